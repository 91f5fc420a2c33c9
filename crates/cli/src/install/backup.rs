//! Keeps OpenCode's configuration files as they were before a change, for whoever wants one back.

use super::write;
use crate::error::Error;
use engine::layout::Layout;
use mission::ids::Digest;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use workbench::fault;

/// So many are kept of each file.
const KEPT: usize = 5;

/// Keeps the bytes of a file, for this user's eyes only, and lets the oldest go.
pub(crate) fn keep(layout: &Layout, of: &Path, bytes: &[u8]) -> Result<PathBuf, Error> {
    let folder = layout.backups();
    write::own_folder(&folder)?;
    let suffix = suffix(of);
    let stamp = crate::stamp::now() + "-";
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
