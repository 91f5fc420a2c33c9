//! Reading trees and commits: files, listings, differences. Nothing here runs a diff driver or a filter.

use super::{Entry, Error, Listing, MissionRepository, listing, memo};
use crate::git::{self, RepoPath};
use mission::ids::{CommitId, Digest, TreeId};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// What a path holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A file.
    File {
        /// Its bytes, up to the limit.
        bytes: Vec<u8>,
        /// Whether there is more.
        cut: bool,
        /// Whether it may be run.
        executable: bool,
    },
    /// A symbolic link and where it points.
    Link(Vec<u8>),
    /// A folder.
    Folder,
    /// A submodule at a commit.
    Submodule,
}

/// A file of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFile {
    /// Where.
    pub path: RepoPath,
    /// Git's mode: `100644`, `100755`, `120000` for links, `160000` for submodules.
    pub mode: u32,
    /// The blob, or the commit of a submodule.
    pub id: Digest,
}

/// Lines that a change adds and removes in one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineCount {
    /// Where.
    pub path: RepoPath,
    /// Lines added; nothing for binary files.
    pub added: Option<u32>,
    /// Lines removed; nothing for binary files.
    pub removed: Option<u32>,
}

/// How a path changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Changed {
    /// It is new.
    Added,
    /// Its content, kind or mode is another.
    Modified,
    /// It is gone.
    Deleted,
    /// It was under another name, with mostly the same content.
    Renamed {
        /// The other name.
        from: RepoPath,
    },
}

/// One path that differs between two trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub path: RepoPath,
    /// How.
    pub changed: Changed,
    /// The mode before; 0 if absent.
    pub old_mode: u32,
    /// The mode after; 0 if absent.
    pub new_mode: u32,
    /// The blob before; all zeros if absent.
    pub old: Digest,
    /// The blob after; all zeros if absent.
    pub new: Digest,
}

impl MissionRepository {
    /// The tree of a commit.
    ///
    /// # Errors
    /// If the commit is not there.
    pub fn tree_of(&self, commit: &CommitId) -> Result<TreeId, Error> {
        if let Some(known) = self.memo.tree_of(commit) {
            return Ok(known);
        }
        let tree = self
            .call("rev-parse")
            .args(["--verify", &format!("{commit}^{{tree}}")])
            .text()?
            .parse()?;
        self.memo.commit(commit, &tree, None);
        Ok(tree)
    }

    /// All files of a tree or a commit.
    pub(crate) fn listing(&self, of: &str) -> Result<Listing, Error> {
        let commit = of.parse().ok();
        match commit.and_then(|commit| self.known_parent(&commit)) {
            Some(parent) => self.listing_after(parent.as_str(), of),
            None => self.listing_after("", of),
        }
    }

    /// The same for one that differs little from another: where that one's files are known, git is asked for no more than
    /// what differs.
    pub(crate) fn listing_after(&self, before: &str, of: &str) -> Result<Listing, Error> {
        if let Some(known) = self.memo.listing(of) {
            return Ok(known);
        }
        let told = Arc::new(match self.memo.listing(before) {
            Some(known) => listing::with(&known, &self.changes(before, of, false)?),
            None => {
                let words = ["-r", "-z", "--full-tree", of];
                listed(&self.call("ls-tree").args(words).bytes()?)?
            }
        });
        self.memo.keep_listing(of, &told);
        Ok(told)
    }

    /// What a path holds in a tree; nothing if it is not there. At most `limit` bytes of a file are read.
    ///
    /// # Errors
    /// If the tree is not there.
    pub fn read_file(
        &self,
        tree: &TreeId,
        path: &RepoPath,
        limit: usize,
    ) -> Result<Option<Content>, Error> {
        let Some(files) = self.memo.listing(tree.as_str()) else {
            let call = self.call("ls-tree");
            let call = call.args(["-z", "--full-tree", tree.as_str(), "--"]);
            let said = listed(&call.arg(path.as_path()).bytes()?)?;
            let content = said.first().map(|entry| self.content(entry, limit));
            return content.transpose();
        };
        match files.binary_search_by(|entry| entry.path.cmp(path)) {
            Ok(at) => self.content(&files[at], limit).map(Some),
            Err(_) => {
                let mut inside = files.iter().map(|entry| &entry.path);
                let is_folder = inside.any(|file| file.is_within(path.as_bytes()));
                Ok(is_folder.then_some(Content::Folder))
            }
        }
    }

    fn content(&self, entry: &Entry, limit: usize) -> Result<Content, Error> {
        Ok(match entry.mode {
            0o040_000 => Content::Folder,
            0o160_000 => Content::Submodule,
            0o120_000 => Content::Link(self.blob(&entry.id, limit)?.0),
            mode => {
                let (bytes, cut) = self.blob(&entry.id, limit)?;
                let executable = mode == 0o100_755;
                Content::File {
                    bytes,
                    cut,
                    executable,
                }
            }
        })
    }

    /// The bytes of a blob up to a limit, and whether there is more.
    ///
    /// # Errors
    /// If there is no such blob.
    pub fn blob(&self, id: &Digest, limit: usize) -> Result<(Vec<u8>, bool), Error> {
        let output = self
            .call("cat-file")
            .args(["blob", id.as_str()])
            .limit(limit)
            .first()?;
        Ok((output.stdout, output.cut))
    }

    /// All files of a tree in git's order, without their sizes, for which git would open each; at most `limit`; the flag says whether there are more.
    ///
    /// # Errors
    /// If the tree is not there.
    pub fn list_files(
        &self,
        tree: &TreeId,
        limit: usize,
    ) -> Result<(Vec<ListedFile>, bool), Error> {
        let listing = self.listing(tree.as_str())?;
        let file = |entry: &Entry| ListedFile {
            path: entry.path.clone(),
            mode: entry.mode,
            id: entry.id.clone(),
        };
        let files = listing.iter().take(limit).map(file).collect();
        Ok((files, listing.len() > limit))
    }

    /// The change between two commits as a unified diff, at most `limit` bytes; the flag says whether it was cut.
    ///
    /// # Errors
    /// If a commit is not there.
    pub fn diff(
        &self,
        base: &CommitId,
        commit: &CommitId,
        limit: usize,
    ) -> Result<(Vec<u8>, bool), Error> {
        let words = [
            "-p",
            "-M",
            "--no-ext-diff",
            "--no-textconv",
            "--no-color",
            "--ignore-submodules=all",
        ];
        let call = self
            .call("diff-tree")
            .args(words)
            .args([base.as_str(), commit.as_str()]);
        let output = call.limit(limit).first()?;
        Ok((output.stdout, output.cut))
    }

    /// Lines added and removed per file between two commits.
    ///
    /// # Errors
    /// If a commit is not there.
    pub fn numstat(&self, base: &CommitId, commit: &CommitId) -> Result<Vec<LineCount>, Error> {
        let words = [
            "-r",
            "-z",
            "--numstat",
            "--no-renames",
            "--no-ext-diff",
            "--no-textconv",
        ];
        let listing = self
            .call("diff-tree")
            .args(words)
            .args([base.as_str(), commit.as_str()])
            .bytes()?;
        let counted = records(&listing).filter_map(|record| {
            let mut parts = record.splitn(3, |b| *b == b'\t');
            let mut count = || std::str::from_utf8(parts.next()?).ok()?.parse().ok();
            let (added, removed) = (count(), count());
            let path = RepoPath::printed(parts.next()?);
            Some(LineCount {
                path,
                added,
                removed,
            })
        });
        Ok(counted.collect())
    }

    /// Which of some seemingly changed files hold, unconverted, exactly the bytes that were stored.
    pub(crate) fn unchanged_bytes(
        &self,
        root: &Path,
        changes: &[Change],
    ) -> Result<HashSet<RepoPath>, git::Error> {
        let is_file = |change: &&Change| {
            let old_is_file = matches!(change.old_mode, 0o100_644 | 0o100_755);
            old_is_file
                && fs::symlink_metadata(change.path.below(root)).is_ok_and(|data| data.is_file())
        };
        let files: Vec<&Change> = changes.iter().filter(is_file).collect();
        if files.is_empty() {
            return Ok(HashSet::new());
        }
        // Git reads lines here, and unquotes what this quotes.
        let lines: String = files
            .iter()
            .map(|change| format!("{}\n", change.path))
            .collect();
        let call = self
            .call("hash-object")
            .work_tree(root)
            .args(["--no-filters", "--stdin-paths"]);
        let said = call.input(lines.into_bytes()).text()?;
        let same = files
            .iter()
            .zip(said.lines())
            .filter(|(change, id)| change.old.as_str() == *id);
        Ok(same.map(|(change, _)| change.path.clone()).collect())
    }

    /// The paths that differ between two commits; one that moved is gone in one place and new in another.
    ///
    /// # Errors
    /// If a commit is not there.
    pub fn changed_files(&self, from: &CommitId, to: &CommitId) -> Result<Vec<Change>, Error> {
        self.changes(from.as_str(), to.as_str(), false)
    }

    /// The paths that differ between two trees (or commits).
    pub(crate) fn changes(
        &self,
        from: &str,
        to: &str,
        renames: bool,
    ) -> Result<Vec<Change>, Error> {
        let told = self.memo.changes((from, to, renames), || {
            if renames {
                let plain = self.changes(from, to, false)?;
                let any = |changed| plain.iter().any(|change| change.changed == changed);
                // Something has to be gone in one place and new in another.
                if !any(Changed::Deleted) || !any(Changed::Added) {
                    return Ok(plain);
                }
            } else if let (Some(before), Some(after)) =
                (self.memo.listing(from), self.memo.listing(to))
            {
                return Ok(listing::difference(&before, &after, &self.zeros()));
            }
            let renames = match renames {
                true => ["-M", "-l1000"],
                false => ["--no-renames", "-l0"],
            };
            let words = ["-r", "-z", "--raw", "--no-abbrev", "--no-commit-id"];
            let call = self.call("diff-tree").args(words).args(renames);
            parse_raw(&call.args([from, to]).bytes()?)
        });
        Ok(told?.to_vec())
    }

    /// Keeps what a tree is known to hold, and what follows from that: what differs from a commit. Of a large tree
    /// nothing is kept: git finds what differs without going through all of it.
    pub(crate) fn keep_tree(
        &self,
        from: &CommitId,
        to: &TreeId,
        files: Vec<Entry>,
    ) -> Result<(), Error> {
        if files.len() > memo::LONGEST {
            return Ok(());
        }
        let before = self.listing(from.as_str())?;
        let changes = listing::difference(&before, &files, &self.zeros());
        self.memo.keep_listing(to.as_str(), &Arc::new(files));
        let asked = (from.as_str(), to.as_str(), false);
        self.memo.changes(asked, || Ok(changes))?;
        Ok(())
    }
}

/// Reads what `git ls-tree -z` said.
fn listed(said: &[u8]) -> Result<Vec<Entry>, Error> {
    entries(said, |words| match words[..] {
        [mode, _, id] => Some((mode, id)),
        _ => None,
    })
}

/// Reads a listing in which each path follows a tab, and mode and object name stand among the words before it.
pub(crate) fn entries(
    said: &[u8],
    pick: impl Fn(Vec<&str>) -> Option<(&str, &str)>,
) -> Result<Vec<Entry>, Error> {
    let entry = |record: &[u8]| {
        let (words, path) = split_tab(record)?;
        let (mode, id) = pick(words.split(' ').collect())?;
        Some(Entry {
            mode: u32::from_str_radix(mode, 8).ok()?,
            id: id.parse().ok()?,
            path: RepoPath::printed(path),
        })
    };
    let all = records(said).map(|record| {
        entry(record).ok_or_else(|| git::Error::nonsense("a listing", "another form").into())
    });
    all.collect()
}

/// Reads the raw format of git's diff commands, ended by zero bytes.
pub(crate) fn parse_raw(listing: &[u8]) -> Result<Vec<Change>, Error> {
    let nonsense = || git::Error::nonsense("diff", "a raw line of another form");
    let mut parts = records(listing);
    let mut changes = Vec::new();
    while let Some(head) = parts.next() {
        let head = std::str::from_utf8(head).map_err(|_| nonsense())?;
        let words: Vec<&str> = head.trim_start_matches(':').split(' ').collect();
        let [old_mode, new_mode, old, new, status] = words[..] else {
            return Err(nonsense().into());
        };
        let mut path = RepoPath::printed(parts.next().ok_or_else(nonsense)?);
        let changed = match status.as_bytes().first() {
            Some(b'A') => Changed::Added,
            Some(b'D') => Changed::Deleted,
            Some(b'R' | b'C') => {
                let from = std::mem::replace(
                    &mut path,
                    RepoPath::printed(parts.next().ok_or_else(nonsense)?),
                );
                Changed::Renamed { from }
            }
            _ => Changed::Modified,
        };
        let mode = |text| u32::from_str_radix(text, 8).map_err(|_| nonsense());
        changes.push(Change {
            path,
            changed,
            old_mode: mode(old_mode)?,
            new_mode: mode(new_mode)?,
            old: old.parse()?,
            new: new.parse()?,
        });
    }
    Ok(changes)
}

/// Records that are ended by zero bytes.
pub(crate) fn records(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes
        .strip_suffix(&[0])
        .unwrap_or(bytes)
        .split(|b| *b == 0)
        .filter(|record| !record.is_empty())
}

/// What stands before and after the first tab.
pub(crate) fn split_tab(record: &[u8]) -> Option<(&str, &[u8])> {
    let at = record.iter().position(|b| *b == b'\t')?;
    Some((std::str::from_utf8(&record[..at]).ok()?, &record[at + 1..]))
}
