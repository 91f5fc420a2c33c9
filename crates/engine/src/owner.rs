//! Who this process is, so that others can tell whether the owner of a mission still lives.

use journal::Owner;
use std::fs;
use std::path::Path;

/// This process, reachable at a door.
pub fn this_process(door: &Path) -> Owner {
    Owner {
        pid: std::process::id(),
        boot: fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map(|id| id.trim().to_owned())
            .unwrap_or_default(),
        started: started().unwrap_or(0),
        endpoint: Some(door.to_string_lossy().into_owned()),
    }
}

/// When this process started, in clock ticks since boot: the 22nd field of its `stat`. The second field is a name in
/// brackets that may hold blanks and brackets itself.
fn started() -> Option<u64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(19)?
        .parse()
        .ok()
}
