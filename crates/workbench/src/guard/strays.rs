//! Ending what was left running in a folder by somebody who is done there, while the program that started it runs on.

use super::tree;
use rustix::event::{PollFd, PollFlags, Timespec};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long what was killed may take to end. A process in an uninterruptible wait would otherwise hold us for ever.
const END: Duration = Duration::from_secs(5);

/// Kills every process that came from this one and works below a folder, and waits until none is left; gives how many
/// there were. One that was being started meanwhile is found by looking again.
///
/// What left the folder is not found: it lives until the server that started it ends.
pub fn end_strays(folder: &Path) -> usize {
    // The kernel names folders without links.
    let Ok(folder) = folder.canonicalize() else {
        return 0;
    };
    let deadline = Instant::now() + END;
    let mut n = 0;
    loop {
        let killed = tree::kill_inside(&folder);
        n += killed.len();
        let left = deadline.saturating_duration_since(Instant::now());
        if killed.is_empty() || left.is_zero() {
            return n;
        }
        for process in &killed {
            let most = Timespec::try_from(left).ok();
            let mut watched = [PollFd::new(process, PollFlags::IN)];
            let _ended = rustix::event::poll(&mut watched, most.as_ref());
        }
    }
}
