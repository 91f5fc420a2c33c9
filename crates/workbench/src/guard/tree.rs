//! The one place that knows how a system keeps track of a tree of processes.

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) use fallback::*;
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) use linux::*;

#[cfg(any(target_os = "linux", target_os = "android"))]
mod linux {
    use rustix::event::{PollFd, PollFlags, Timespec};
    use rustix::io::Errno;
    use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};
    use std::collections::{BTreeMap, BTreeSet};
    use std::io;
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::MetadataExt as _;
    use std::path::{Path, PathBuf};

    /// Whether orphans become children of the guard, so that having no child means that nothing is left.
    pub(crate) const ADOPTS: bool = true;

    /// How deep a tree of strays may be that is ended at once; a deeper one ends at the next look.
    const ROUNDS: usize = 20;

    /// Makes orphans of this process's tree its children.
    pub(crate) fn adopt() -> io::Result<()> {
        Ok(rustix::process::set_child_subreaper(Some(
            rustix::process::getpid(),
        ))?)
    }

    /// The program that this process runs, also after an upgrade has replaced the file.
    pub(crate) fn own_program() -> io::Result<PathBuf> {
        Ok(PathBuf::from("/proc/self/exe"))
    }

    /// Has the kernel kill this process when `guard` dies; an error where that has already happened.
    pub(crate) fn die_with(guard: i32) -> io::Result<()> {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
        if parent == Some(guard) {
            Ok(())
        } else {
            Err(Errno::SRCH.into())
        }
    }

    /// Has this process chosen before others when memory runs out. Raising the score needs no privilege.
    pub(crate) fn volunteer(score: i32) {
        let _refused = std::fs::write("/proc/self/oom_score_adj", score.to_string());
    }

    /// A descriptor that becomes readable when the parent ends; `None` before Linux 5.3.
    pub(crate) fn parent() -> Option<OwnedFd> {
        rustix::process::pidfd_open(rustix::process::getppid()?, PidfdFlags::NONBLOCK).ok()
    }

    /// How many processes the tree has, looked at closely only when the whole machine has more than `most`.
    pub(crate) fn count(most: u32) -> u32 {
        let everywhere = std::fs::read_to_string("/proc/loadavg")
            .ok()
            .and_then(|text| {
                let (_, threads) = text.split(' ').nth(3)?.split_once('/')?;
                threads.parse::<u32>().ok()
            });
        if everywhere.is_some_and(|n| n <= most) {
            return 0;
        }
        let mut n = 0;
        descendants(|_, _| n += 1);
        n
    }

    /// Sends `SIGKILL` to every descendant; gives how many there were.
    ///
    /// A process number is tied to its process by a descriptor before it is checked and signalled, so that a number
    /// which was given away in between never hits a stranger.
    pub(crate) fn kill_all(_main: Pid) -> u32 {
        let mut n = 0;
        descendants(|process, _| {
            n += 1;
            process.kill();
        });
        n
    }

    /// Sends `SIGKILL` to every descendant that works below a folder, and gives what tells when each has ended.
    pub(crate) fn kill_inside(folder: &Path) -> Vec<OwnedFd> {
        let mut killed = Vec::new();
        descendants(|process, number| {
            // A process that has ended works nowhere; one of another user does not say where.
            let at = std::fs::read_link(format!("/proc/{number}/cwd"));
            if at.is_ok_and(|at| at.starts_with(folder)) {
                process.kill();
                if let Found::Pinned(fd) = process {
                    killed.push(fd);
                }
            }
        });
        killed
    }

    /// Ends the children of this process that it did not start: what is left of a guard that somebody killed. Nobody else
    /// leads, or is in, a session of its own but guards, which are told by their program. Gives how many there were.
    pub(crate) fn end_strays(guard: &Path) -> u32 {
        let me = rustix::process::getpid();
        let own_session = family_of(Path::new("/proc/self")).map(|(_, session)| session);
        // By the file itself and not by its name: an upgrade may have replaced it since a guard was started.
        let file = |path: &Path| {
            std::fs::metadata(path)
                .map(|data| (data.dev(), data.ino()))
                .ok()
        };
        let programs = [file(guard), file(Path::new("/proc/self/exe"))];
        let is_stray = |process: &Path| {
            let Some((parent, session)) = family_of(process) else {
                return false;
            };
            let program = file(&process.join("exe"));
            parent == me.as_raw_nonzero().get()
                && Some(session) != own_session
                && program.is_some()
                && !programs.contains(&program)
        };
        let mut n = 0;
        // Each that is killed leaves its own children to this process; they are found in the next round.
        for _ in 0..ROUNDS {
            let mut killed = Vec::new();
            for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
                let pid = entry
                    .file_name()
                    .to_str()
                    .and_then(|name| name.parse::<i32>().ok());
                let Some(pid) = pid.and_then(Pid::from_raw) else {
                    continue;
                };
                if !is_stray(&entry.path()) {
                    continue;
                }
                if let Ok(fd) = rustix::process::pidfd_open(pid, PidfdFlags::empty())
                    && is_stray(&entry.path())
                {
                    let _gone = rustix::process::pidfd_send_signal(&fd, Signal::KILL);
                    killed.push((pid, fd));
                }
            }
            if killed.is_empty() {
                break;
            }
            for (pid, fd) in killed {
                n += 1;
                let limit = Timespec {
                    tv_sec: 5,
                    tv_nsec: 0,
                };
                let mut waits = [PollFd::new(&fd, PollFlags::IN)];
                let _late = rustix::event::poll(&mut waits, Some(&limit));
                // It is ours to bury.
                let _buried = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
            }
        }
        n
    }

    enum Found {
        Pinned(OwnedFd),
        /// Before Linux 5.3.
        Number(Pid),
    }

    impl Found {
        fn kill(&self) {
            let _gone = match self {
                Self::Pinned(fd) => rustix::process::pidfd_send_signal(fd, Signal::KILL),
                Self::Number(pid) => rustix::process::kill_process(*pid, Signal::KILL),
            };
        }
    }

    /// Calls `with` for every living descendant that one look at `/proc` shows, parents first, and its number.
    fn descendants(mut with: impl FnMut(Found, i32)) {
        let me = rustix::process::getpid().as_raw_nonzero().get();
        let place = |number: i32| PathBuf::from(format!("/proc/{number}"));
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let all = entries.filter_map(|entry| {
            let number = entry.file_name().to_str()?.parse::<i32>().ok()?;
            Some((number, parent_of(&entry.path())?))
        });
        let family = family(me, &all.collect());
        let ours: BTreeSet<i32> = family.iter().copied().chain([me]).collect();
        for number in family {
            let Some(pid) = Pid::from_raw(number) else {
                continue;
            };
            // The number may have been given away since.
            let is_ours = || parent_of(&place(number)).is_some_and(|parent| ours.contains(&parent));
            let found = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
                Ok(fd) if is_ours() => Found::Pinned(fd),
                Err(Errno::NOSYS) if is_ours() => Found::Number(pid),
                _ => continue,
            };
            with(found, number);
        }
    }

    /// Who descends from `me`, parents first, when each process has the parent given. Numbers say nothing about who came
    /// first: the kernel begins again with low ones when it has used the highest up.
    fn family(me: i32, parents: &BTreeMap<i32, i32>) -> Vec<i32> {
        let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        for (&child, &parent) in parents.iter().filter(|(child, _)| **child != me) {
            children.entry(parent).or_default().push(child);
        }
        let mut family = children.remove(&me).unwrap_or_default();
        let mut next = 0;
        while let Some(&parent) = family.get(next) {
            family.extend(children.remove(&parent).unwrap_or_default());
            next += 1;
        }
        family
    }

    fn parent_of(process: &Path) -> Option<i32> {
        family_of(process).map(|(parent, _)| parent)
    }

    /// The numbers of the parent and of the session, from `/proc/N/stat`; `None` for a process that has ended and only
    /// waits to be counted.
    fn family_of(process: &Path) -> Option<(i32, i32)> {
        let stat = std::fs::read(process.join("stat")).ok()?;
        // The program's name is in parentheses and may hold anything, parentheses too.
        let after = stat.iter().rposition(|&byte| byte == b')')?;
        let text = std::str::from_utf8(stat.get(after + 1..)?).ok()?;
        let mut fields = text.split_ascii_whitespace();
        let state = fields.next()?;
        if matches!(state, "Z" | "X") {
            return None;
        }
        let parent = fields.next()?.parse().ok()?;
        let session = fields.nth(1)?.parse().ok()?;
        Some((parent, session))
    }

    #[cfg(test)]
    mod tests {
        use super::family;
        use std::collections::BTreeMap;

        #[test]
        fn a_child_with_a_lower_number_than_its_parent_is_family() {
            // The guard is 32,000; its child came before the numbers began again, and a grandchild after.
            let parents = [
                (1, 0),
                (310, 32_010),
                (311, 310),
                (400, 1),
                (32_000, 1),
                (32_010, 32_000),
            ];
            assert_eq!(family(32_000, &BTreeMap::from(parents)), [32_010, 310, 311]);
            assert_eq!(family(400, &BTreeMap::from(parents)), [0; 0]);
        }

        #[test]
        fn a_list_that_was_read_while_numbers_were_given_anew_has_an_end() {
            let circle = BTreeMap::from([(5, 6), (6, 5), (7, 7)]);
            assert_eq!(family(5, &circle), [6], "nobody descends from themselves");
            assert_eq!(family(6, &circle), [5]);
            assert_eq!(family(7, &circle), [0; 0]);
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod fallback {
    use rustix::process::{Pid, Signal};
    use std::io;
    use std::os::fd::OwnedFd;
    use std::path::{Path, PathBuf};

    /// Whether orphans become children of the guard.
    pub(crate) const ADOPTS: bool = false;

    /// Orphans go to the first process of the system here; only the program's group can be ended.
    pub(crate) fn adopt() -> io::Result<()> {
        Ok(())
    }

    /// The program that this process runs.
    pub(crate) fn own_program() -> io::Result<PathBuf> {
        std::env::current_exe()
    }

    /// There is no parent-death signal here: a program outlives a guard that somebody killed.
    pub(crate) fn die_with(_guard: i32) -> io::Result<()> {
        Ok(())
    }

    /// There is no such score here.
    pub(crate) fn volunteer(_score: i32) {}

    /// There is no such descriptor here.
    pub(crate) fn parent() -> Option<OwnedFd> {
        None
    }

    /// The tree cannot be counted here, so the limit on processes does not hold.
    pub(crate) fn count(_most: u32) -> u32 {
        0
    }

    /// Where a process works cannot be asked here.
    pub(crate) fn kill_inside(_folder: &Path) -> Vec<OwnedFd> {
        Vec::new()
    }

    /// Orphans do not come to this process here.
    pub(crate) fn end_strays(_guard: &std::path::Path) -> u32 {
        0
    }

    /// Kills the program's process group.
    pub(crate) fn kill_all(main: Pid) -> u32 {
        u32::from(rustix::process::kill_process_group(main, Signal::KILL).is_ok())
    }
}
