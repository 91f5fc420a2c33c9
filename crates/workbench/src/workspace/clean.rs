//! Removing what a commit does not hold: ignored files, nested repositories, pipes, empty folders, whatever there is.

use crate::disk::{self, Failure};
use crate::git::RepoPath;
use std::collections::HashSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

struct Wanted<'a> {
    files: HashSet<&'a [u8]>,
    folders: HashSet<&'a [u8]>,
    keep: &'a [RepoPath],
}

/// Removes everything below a folder but some files and some whole paths. Links are never followed.
pub(super) fn all_but(root: &Path, tracked: &[&[u8]], keep: &[RepoPath]) -> Result<(), Failure> {
    let mut folders = HashSet::new();
    for path in tracked
        .iter()
        .copied()
        .chain(keep.iter().map(RepoPath::as_bytes))
    {
        let mut rest = path;
        while let Some(at) = rest.iter().rposition(|b| *b == b'/') {
            rest = &rest[..at];
            if !folders.insert(rest) {
                break;
            }
        }
    }
    let wanted = Wanted {
        files: tracked.iter().copied().collect(),
        folders,
        keep,
    };
    sweep(root, &mut Vec::new(), &wanted)
}

fn sweep(folder: &Path, prefix: &mut Vec<u8>, wanted: &Wanted) -> Result<(), Failure> {
    let entries = fs::read_dir(folder).map_err(disk::failed("list", folder))?;
    for entry in entries {
        let entry = entry.map_err(disk::failed("list", folder))?;
        let name = entry.file_name();
        let length = prefix.len();
        if length > 0 {
            prefix.push(b'/');
        }
        prefix.extend_from_slice(name.as_bytes());
        let here = prefix.as_slice();
        let place = entry.path();
        let is_dir = entry
            .file_type()
            .map_err(disk::failed("look at", &place))?
            .is_dir();
        if wanted.keep.iter().any(|path| path.as_bytes() == here) {
            // Kept as it is.
        } else if is_dir && (wanted.folders.contains(here) || wanted.files.contains(here)) {
            sweep(&place, prefix, wanted)?;
        } else if is_dir || !wanted.files.contains(here) {
            disk::remove(&place)?;
        }
        prefix.truncate(length);
    }
    Ok(())
}
