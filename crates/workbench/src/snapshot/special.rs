//! Pipes, sockets and devices: git does not see them, but it opens them where it looks for its rules, and then waits
//! for ever.

use super::Error;
use crate::git::RepoPath;
use std::collections::BTreeSet;
use std::fs::{self, FileType};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// How many entries of folders that hold no tracked file are looked at. Beyond that a deadline ends what hangs.
const LOOKED_AT: usize = 50_000;

/// The name of the files that say how others are stored and checked out.
pub(crate) const ATTRIBUTES: &[u8] = b".gitattributes";

fn is_special(kind: FileType) -> bool {
    kind.is_fifo() || kind.is_socket() || kind.is_block_device() || kind.is_char_device()
}

/// Whether git opens a file of this name to read rules.
fn is_rules(name: &[u8]) -> bool {
    name == b".gitignore" || name == ATTRIBUTES
}

fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() {
        name.to_owned()
    } else {
        [folder, b"/", name].concat()
    }
}

fn entries(root: &Path, folder: &[u8]) -> Vec<(Vec<u8>, FileType)> {
    let place = root.join(std::ffi::OsStr::from_bytes(folder));
    // A link in place of a folder leads elsewhere.
    if !fs::symlink_metadata(&place).is_ok_and(|data| data.is_dir()) {
        return Vec::new();
    }
    let Ok(entries) = fs::read_dir(&place) else {
        return Vec::new();
    };
    let named = entries.flatten().filter_map(|entry| {
        Some((
            entry.file_name().as_bytes().to_owned(),
            entry.file_type().ok()?,
        ))
    });
    named.collect()
}

/// The special files right in some folders, and the folders in them that are not among them.
pub(super) fn in_folders(
    root: &Path,
    folders: &BTreeSet<Vec<u8>>,
) -> (Vec<RepoPath>, Vec<Vec<u8>>) {
    let (mut specials, mut others) = (Vec::new(), Vec::new());
    for folder in folders {
        for (name, kind) in entries(root, folder) {
            let whole = join(folder, &name);
            if is_special(kind) {
                specials.push(RepoPath::printed(&whole));
            } else if kind.is_dir() && name != b".git" && !folders.contains(&whole) {
                others.push(whole);
            }
        }
    }
    (specials, others)
}

/// Stops before git would open a special file as its rules.
pub(super) fn refuse_as_rules(
    root: &Path,
    specials: &[RepoPath],
    others: Vec<Vec<u8>>,
) -> Result<(), Error> {
    if let Some(path) = specials.iter().find(|path| is_rules(path.name())) {
        return Err(Error::SpecialRules { path: path.clone() });
    }
    let (mut todo, mut looked_at) = (others, 0);
    while let Some(folder) = todo.pop() {
        for (name, kind) in entries(root, &folder) {
            looked_at += 1;
            let whole = join(&folder, &name);
            if is_special(kind) && is_rules(&name) {
                let path = RepoPath::printed(&whole);
                return Err(Error::SpecialRules { path });
            }
            if kind.is_dir() && name != b".git" {
                todo.push(whole);
            }
        }
        if looked_at > LOOKED_AT {
            break;
        }
    }
    Ok(())
}

/// Removes special files in place of rules, everywhere but below some paths.
pub(crate) fn remove_rules(root: &Path, keep: &[RepoPath]) -> Result<(), crate::disk::Failure> {
    remove(root, keep, |name, kind| is_special(kind) && is_rules(name))
}

/// Removes attributes, everywhere but below some paths: git takes those that it finds there for files that are checked
/// out, where the tree has none.
pub(crate) fn remove_attributes(
    root: &Path,
    keep: &[RepoPath],
) -> Result<(), crate::disk::Failure> {
    remove(root, keep, |name, kind| {
        name == ATTRIBUTES && !kind.is_dir()
    })
}

fn remove(
    root: &Path,
    keep: &[RepoPath],
    goes: impl Fn(&[u8], FileType) -> bool,
) -> Result<(), crate::disk::Failure> {
    let mut todo = vec![Vec::new()];
    while let Some(folder) = todo.pop() {
        for (name, kind) in entries(root, &folder) {
            let whole = join(&folder, &name);
            if goes(&name, kind) {
                crate::disk::remove(&RepoPath::printed(&whole).below(root))?;
            } else if kind.is_dir() && !keep.iter().any(|path| path.as_bytes() == whole) {
                todo.push(whole);
            }
        }
    }
    Ok(())
}
