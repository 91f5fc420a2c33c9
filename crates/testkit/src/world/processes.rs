//! Which processes came from a world: by a variable of theirs, their folder, or what they were started with.

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::fmt;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// A process that lives.
#[derive(Debug)]
pub(super) struct Process {
    pid: Pid,
    words: String,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pid, self.words)
    }
}

/// Every process that has the variable with this folder as its value, works below the folder, or names it.
pub(super) fn of(variable: &str, folder: &Path) -> Vec<Process> {
    let folder = folder.to_string_lossy().into_owned();
    let mark = format!("{variable}={folder}\0");
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(pid) = name
            .to_str()
            .and_then(|name| name.parse().ok())
            .and_then(Pid::from_raw)
        else {
            continue;
        };
        let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
        let words = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
        let marked = String::from_utf8_lossy(&read("environ")).contains(&mark);
        let inside =
            fs::read_link(entry.path().join("cwd")).is_ok_and(|at| at.starts_with(&folder));
        let ended = String::from_utf8_lossy(&read("stat"))
            .rsplit_once(')')
            .is_none_or(|(_, rest)| rest.trim_start().starts_with(['Z', 'X']));
        if (marked || inside || words.contains(&folder)) && !ended {
            found.push(Process { pid, words });
        }
    }
    found
}

/// Waits until there are none, and gives those that are left at the deadline.
pub(super) fn wait(variable: &str, folder: &Path, most: Duration) -> Vec<String> {
    let deadline = Instant::now() + most;
    loop {
        let left = of(variable, folder);
        let Some(first) = left.first() else {
            return Vec::new();
        };
        let time = deadline.saturating_duration_since(Instant::now());
        if time.is_zero() {
            return left.iter().map(ToString::to_string).collect();
        }
        // The kernel says when the first of them has ended; then they are looked at again.
        ends_within(first.pid, time);
    }
}

/// Waits until a process has ended, at most so long.
pub(super) fn ends_within(pid: Pid, most: Duration) {
    if let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) {
        let most = Timespec::try_from(most).ok();
        rustix::event::poll(&mut [PollFd::new(&process, PollFlags::IN)], most.as_ref()).ok();
    }
}
