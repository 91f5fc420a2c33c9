//! Calls of a killed engine that still run.
//!
//! Nothing ends a git whose caller was killed; a large check-out goes on for seconds, and would write into a workspace
//! that the next engine has set to something else. So every call carries the mark of the process that made it, and
//! whoever takes a mission up ends first what a dead one has left of it.

use std::path::Path;

/// The variable that names the process that made a call: its number and when it was started.
pub(super) const MARK: &str = "ORCHESTRATOR_CALLED_BY";

#[cfg(any(target_os = "linux", target_os = "android"))]
mod linux {
    use super::{MARK, Path};
    use rustix::event::{PollFd, PollFlags, Timespec};
    use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
    use std::ffi::OsStr;
    use std::fs;
    use std::io;
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::PathBuf;
    use std::sync::LazyLock;
    use std::time::{Duration, Instant};

    /// How long a guard whose engine is dead may take to end what it guards. Longer than it sweeps.
    const GUARDS: Duration = Duration::from_secs(20);
    /// How long a killed git may take to be gone: it may wait for a slow disk.
    const GONE: Duration = Duration::from_secs(20);

    static OWN: LazyLock<String> = LazyLock::new(|| {
        let pid = std::process::id();
        format!("{pid}:{}", started(Path::new("/proc/self")).unwrap_or(0))
    });

    /// The mark of this process.
    pub(crate) fn own() -> &'static str {
        &OWN
    }

    /// When a process was started, in clock ticks since boot: the 22nd field of its `stat`, the second being a name in
    /// parentheses that may hold anything.
    fn started(process: &Path) -> Option<u64> {
        fields(process)?.get(19)?.parse().ok()
    }

    /// The fields of `stat` after the name; nothing for a process that has ended.
    fn fields(process: &Path) -> Option<Vec<String>> {
        let stat = fs::read(process.join("stat")).ok()?;
        let text = String::from_utf8_lossy(&stat).into_owned();
        let fields: Vec<String> = text
            .rsplit_once(')')?
            .1
            .split_ascii_whitespace()
            .map(str::to_owned)
            .collect();
        let has_ended = fields
            .first()
            .is_some_and(|state| state == "Z" || state == "X");
        (!has_ended).then_some(fields)
    }

    fn words(process: &Path, file: &str) -> Vec<Vec<u8>> {
        let bytes = fs::read(process.join(file)).unwrap_or_default();
        bytes.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
    }

    /// Whether the process that a mark names has ended.
    fn is_dead(mark: &str) -> bool {
        let Some((pid, start)) = mark.split_once(':') else {
            return false;
        };
        let found = started(&PathBuf::from("/proc").join(pid));
        found.map(|found| found.to_string()) != Some(start.to_owned())
    }

    /// Whether a process is a call on this repository by an engine that has ended.
    fn is_stray(process: &Path, store: &Path) -> bool {
        let mut word = b"--git-dir=".to_vec();
        word.extend_from_slice(store.as_os_str().as_bytes());
        if !words(process, "cmdline").contains(&word) {
            return false;
        }
        // Numbers mean something only among processes that see each other.
        let sees = |process: &Path| fs::read_link(process.join("ns/pid")).ok();
        if sees(process).is_none() || sees(process) != sees(Path::new("/proc/self")) {
            return false;
        }
        let marked = words(process, "environ").into_iter().find_map(|variable| {
            let text = String::from_utf8(variable).ok()?;
            Some(text.strip_prefix(MARK)?.strip_prefix('=')?.to_owned())
        });
        marked.is_some_and(|mark| is_dead(&mark))
    }

    /// Whether a process is a guard, not of this process, that works below a folder.
    fn is_guard(process: &Path, folder: &Path) -> bool {
        let guards = words(process, "cmdline")
            .iter()
            .any(|word| word == crate::guard::WORD.as_bytes());
        let inside = || fs::read_link(process.join("cwd")).is_ok_and(|at| at.starts_with(folder));
        let parent = || fields(process).and_then(|fields| fields.get(1)?.parse::<u32>().ok());
        guards && inside() && parent() != Some(std::process::id())
    }

    /// Ends every call on a repository that a dead engine has left, and waits for the guards of a dead engine that work
    /// below a folder: they end what they guard, and then themselves.
    pub(crate) fn end(store: &Path, folder: &Path) -> io::Result<()> {
        let Ok(entries) = fs::read_dir("/proc") else {
            return Ok(());
        };
        for entry in entries.flatten() {
            let process = entry.path();
            let pid = entry.file_name();
            let Some(pid) = pid
                .to_str()
                .and_then(|pid| pid.parse().ok())
                .and_then(Pid::from_raw)
            else {
                continue;
            };
            // The number is tied to the process before it is looked at, so that it cannot become a stranger's.
            let Ok(process_fd) = pidfd_open(pid, PidfdFlags::empty()) else {
                continue;
            };
            let limit = if is_stray(&process, store) {
                let _gone = pidfd_send_signal(&process_fd, Signal::KILL);
                GONE
            } else if is_guard(&process, folder) {
                GUARDS
            } else {
                continue;
            };
            if !ends_within(&process_fd, limit) {
                let words = words(&process, "cmdline").join(&b' ');
                let words = OsStr::from_bytes(&words).to_string_lossy().into_owned();
                let why = format!("process {pid}, left by a killed engine, does not end: {words}");
                return Err(io::Error::other(why));
            }
        }
        Ok(())
    }

    fn ends_within(process: &std::os::fd::OwnedFd, most: Duration) -> bool {
        let until = Instant::now() + most;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let time = Timespec::try_from(left).ok();
            let mut waits = [PollFd::new(process, PollFlags::IN)];
            match rustix::event::poll(&mut waits, time.as_ref()) {
                Err(rustix::io::Errno::INTR) => {}
                found => return found.is_ok_and(|n| n > 0),
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
        use std::process::{Child, Command, Stdio};

        /// A process that looks like a call on a repository and ends with its standard input.
        fn call(store: &Path, mark: &str) -> Child {
            Command::new("sh")
                .args(["-c", "read nothing", "git"])
                .arg(format!("--git-dir={}", store.display()))
                .env(MARK, mark)
                .process_group(0)
                .stdin(Stdio::piped())
                .spawn()
                .unwrap()
        }

        #[test]
        fn calls_of_a_dead_engine_end_and_those_of_a_living_one_go_on() {
            let dir = tempfile::tempdir().unwrap();
            let (ours, others) = (dir.path().join("repo.git"), dir.path().join("other.git"));
            let parent = std::os::unix::process::parent_id();
            let start = started(&PathBuf::from(format!("/proc/{parent}"))).unwrap();
            // No process has this number: the kernel's highest is far below.
            let dead = "2000000000:1";
            let mut stray = call(&ours, dead);
            // A number that was given away again.
            let mut old = call(&ours, &format!("{parent}:{}", start + 1));
            let mut living: Vec<Child> = vec![
                call(&ours, own()),
                call(&ours, &format!("{parent}:{start}")),
                call(&others, dead),
            ];
            end(&ours, dir.path()).unwrap();
            assert_eq!(stray.wait().unwrap().signal(), Some(9));
            assert_eq!(old.wait().unwrap().signal(), Some(9));
            for child in &mut living {
                assert!(child.try_wait().unwrap().is_none());
                drop(child.stdin.take());
                assert_eq!(child.wait().unwrap().signal(), None);
            }
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod fallback {
    use super::Path;
    use std::io;

    /// The mark of this process.
    pub(crate) fn own() -> &'static str {
        ""
    }

    /// Processes cannot be told apart here: what a killed engine has left runs on.
    pub(crate) fn end(_store: &Path, _folder: &Path) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) use fallback::{end, own};
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) use linux::{end, own};
