//! The files of whole trees, and what follows from them without asking git.

use super::{Change, Changed};
use crate::git::RepoPath;
use mission::ids::Digest;
use std::cmp::Ordering;
use std::sync::Arc;

/// A file, a link or a submodule of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Git's mode.
    pub(crate) mode: u32,
    /// The blob, or the commit of a submodule.
    pub(crate) id: Digest,
    /// Where.
    pub(crate) path: RepoPath,
}

/// The files of a tree in git's order, which is that of the bytes of their paths.
pub(crate) type Listing = Arc<Vec<Entry>>;

/// What differs between two trees: what `git diff-tree -r --no-renames` says of them. `zeros` is the name that stands for
/// nothing.
pub(super) fn difference(before: &[Entry], after: &[Entry], zeros: &Digest) -> Vec<Change> {
    let (mut old, mut new) = (before.iter().peekable(), after.iter().peekable());
    let mut changes = Vec::new();
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return changes,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => old.path.cmp(&new.path),
        };
        let old = old.next_if(|_| order.is_le());
        let new = new.next_if(|_| order.is_ge());
        let same = |(old, new): (&Entry, &Entry)| old.mode == new.mode && old.id == new.id;
        if old.zip(new).is_some_and(same) {
            continue;
        }
        let (changed, path) = match (old, new) {
            (Some(_), Some(new)) => (Changed::Modified, &new.path),
            (None, Some(new)) => (Changed::Added, &new.path),
            (Some(old), None) => (Changed::Deleted, &old.path),
            (None, None) => continue,
        };
        let id = |entry: Option<&Entry>| entry.map_or(zeros, |entry| &entry.id).clone();
        changes.push(Change {
            path: path.clone(),
            changed,
            old_mode: old.map_or(0, |old| old.mode),
            new_mode: new.map_or(0, |new| new.mode),
            old: id(old),
            new: id(new),
        });
    }
}

/// The files of a tree that differs from a known one by some changes without renames, in their order.
pub(super) fn with(before: &[Entry], changes: &[Change]) -> Vec<Entry> {
    let mut after = Vec::with_capacity(before.len() + changes.len());
    let mut rest = before.iter().peekable();
    for change in changes {
        while let Some(entry) = rest.next_if(|entry| entry.path < change.path) {
            after.push(entry.clone());
        }
        rest.next_if(|entry| entry.path == change.path);
        if change.new_mode != 0 {
            after.push(Entry {
                mode: change.new_mode,
                id: change.new.clone(),
                path: change.path.clone(),
            });
        }
    }
    after.extend(rest.cloned());
    after
}
