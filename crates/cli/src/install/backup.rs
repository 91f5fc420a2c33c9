//! Keeps OpenCode's configuration files as they were before a change, for whoever wants one back.

use super::write;
use crate::error::Error;
use engine::layout::Layout;
use mission::ids::Digest;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use workbench::fault;

/// So many are kept of each file.
const KEPT: usize = 5;

/// Keeps the bytes of a file, for this user's eyes only, and lets the oldest go.
pub(crate) fn keep(layout: &Layout, of: &Path, bytes: &[u8]) -> Result<PathBuf, Error> {
    let folder = layout.backups();
    write::own_folder(&folder)?;
    let suffix = suffix(of);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let stamp = stamp(now.unwrap_or_default().as_millis());
    let kept = place(&folder, &stamp, &suffix, bytes)
        .map_err(|error| Error::io("write a backup into", &folder, &error))?;
    fault::point("install.backed up");
    prune(&folder, &suffix);
    Ok(kept)
}

fn place(folder: &Path, stamp: &str, suffix: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    let mut file = tempfile::Builder::new()
        .prefix(stamp)
        .suffix(suffix)
        .permissions(fs::Permissions::from_mode(0o600))
        .tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    let (_, path) = file.keep()?;
    fs::File::open(folder)?.sync_all()?;
    Ok(path)
}

/// What the names of one file's backups end with.
fn suffix(of: &Path) -> String {
    let digest = Digest::of(of.as_os_str().as_encoded_bytes());
    let name = of.file_name().unwrap_or_default().to_string_lossy();
    format!("-{}-{name}", digest.short())
}

fn prune(folder: &Path, suffix: &str) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().ends_with(suffix))
        .collect();
    // Their names begin with the time.
    all.sort();
    for old in all.iter().rev().skip(KEPT) {
        // One that cannot be removed is there to be looked at, and does no harm.
        fs::remove_file(old).ok();
    }
}

/// A time since 1970 as it stands at the beginning of a name: later times sort later.
fn stamp(ms: u128) -> String {
    let (days, ms) = (ms / 86_400_000, ms % 86_400_000);
    let (hour, minute) = (ms / 3_600_000, ms / 60_000 % 60);
    // Years that begin in March end with their leap day; 400 of them have 146,097 days, and 1970 began on day 719,468.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u128::from(month <= 2);
    let second = ms / 1000 % 60;
    let ms = ms % 1000;
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}.{ms:03}Z-")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_stamp_is_the_time_of_day_in_utc() {
        for (ms, stamp) in [
            (0, "19700101T000000.000Z-"),
            (951_827_696_789, "20000229T123456.789Z-"),
            (1_709_251_199_001, "20240229T235959.001Z-"),
            (4_107_542_400_000, "21000301T000000.000Z-"),
        ] {
            assert_eq!(super::stamp(ms), stamp);
        }
    }
}
