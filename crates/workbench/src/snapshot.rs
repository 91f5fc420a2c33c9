//! The base snapshot: what the user's folder holds, as a commit of the mission's repository.
//!
//! It starts from a copy of the user's index, so unchanged files are never hashed again: LFS files and files with
//! converted line ends stay what they are. The user's index, files, refs and configuration are only read.
//!
//! A changed file under Git LFS enters the snapshot as its pointer, made here by hashing; its content stays where it
//! is. A changed file under any other filter stops the snapshot, because its stored form cannot be known without
//! running the filter.

mod capture;
mod special;

pub(crate) use capture::{Bounds, Capture, Captured, Filtered, Nested, has_attributes};
pub(crate) use special::{ATTRIBUTES, remove_attributes, remove_rules};

use crate::disk::{self, Failure};
use crate::git::{self, RepoPath};
use crate::repository::{self, Listing, MissionRepository, Project, Signature, UserRepository};
use mission::ids::{CommitId, TreeId};
use mission::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

/// The largest untracked file that enters a snapshot: 1 MiB.
pub const UNTRACKED_FILE_LIMIT: u64 = 1 << 20;

/// The most that all untracked files of a snapshot may hold together: 50 MiB.
pub const UNTRACKED_LIMIT: u64 = 50 << 20;

/// The most untracked files of a snapshot; a folder with more lacks an ignore rule.
pub const UNTRACKED_COUNT_LIMIT: usize = 50_000;

/// The largest changed file of any kind: 2 GiB.
const CHANGED_FILE_LIMIT: u64 = 2 << 30;

/// What can go wrong when files become a tree.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The repository could not do it.
    #[error(transparent)]
    Repository(#[from] repository::Error),
    /// Git could not do it.
    #[error(transparent)]
    Git(#[from] git::Error),
    /// The file system could not do it.
    #[error(transparent)]
    Disk(#[from] Failure),
    /// Git printed something that is no object name.
    #[error(transparent)]
    Id(#[from] mission::ids::ParseError),
    /// A changed file has a filter that only a program could apply.
    #[error(
        "{path} is changed and has the filter `{filter}`, and filters are not run for a mission. \
         Commit the file, or undo the change, and start again"
    )]
    Filter {
        /// The file.
        path: RepoPath,
        /// The filter's name in `.gitattributes`.
        filter: String,
    },
    /// A pipe, socket or device stands where git reads rules, and would keep it waiting for ever.
    #[error(
        "{path} is a pipe, socket or device in place of git's rules. Remove it and start again"
    )]
    SpecialRules {
        /// The file.
        path: RepoPath,
    },
    /// A merge is unfinished.
    #[error("the index has unresolved conflicts in {}. Resolve them, or abort the merge, and start again", some(.0))]
    Conflicted(Vec<RepoPath>),
}

/// The first few paths, for a message.
pub(crate) fn some(paths: &[RepoPath]) -> String {
    let mut shown: Vec<String> = paths.iter().take(5).map(ToString::to_string).collect();
    if paths.len() > 5 {
        shown.push(format!("{} more", paths.len() - 5));
    }
    shown.join(", ")
}

/// Where the user's `HEAD` stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Head {
    /// On a branch, by its full ref name.
    Branch(String),
    /// On a commit.
    Detached,
    /// On a branch that has no commit yet.
    Unborn(String),
    /// There is no git.
    None,
}

/// Why a path is not in a tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// One file over the limit.
    TooLarge {
        /// Its size.
        bytes: u64,
    },
    /// With it, all untracked files would be over the limit.
    TooMuchInAll {
        /// Its size.
        bytes: u64,
    },
    /// A pipe, socket or device.
    Special,
    /// It may not be read.
    Unreadable,
    /// A repository inside the project that is no submodule.
    NestedRepository,
    /// Files in a submodule's folder; the submodule stays at its commit.
    Submodule,
    /// Only a program could say what git stores for it.
    Filter {
        /// The filter's name.
        name: String,
    },
    /// The base ignores it; the change un-ignored it.
    Ignored,
    /// The change itself ignores it; the base did not.
    NewlyIgnored,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: &u64| *bytes as f64 / f64::from(1 << 20);
        match self {
            Self::TooLarge { bytes } => write!(f, "too large ({:.1} MiB)", mib(bytes)),
            Self::TooMuchInAll { bytes } => {
                write!(f, "too much in all ({:.1} MiB more)", mib(bytes))
            }
            Self::Special => f.write_str("a pipe, socket or device"),
            Self::Unreadable => f.write_str("not readable"),
            Self::NestedRepository => f.write_str("a repository of its own"),
            Self::Submodule => f.write_str("inside a submodule"),
            Self::Filter { name } => write!(f, "needs the filter `{name}`"),
            Self::Ignored => f.write_str("ignored by the base"),
            Self::NewlyIgnored => f.write_str("ignored by this change itself"),
        }
    }
}

/// A path that is not in a tree, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LeftOut {
    /// Where.
    pub path: RepoPath,
    /// Why.
    pub why: Reason,
}

/// What a mission starts from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// The snapshot; the user's own commit if nothing was uncommitted.
    pub commit: CommitId,
    /// Its tree.
    pub tree: TreeId,
    /// Where the user's `HEAD` stood.
    pub head: Head,
    /// The user's commit, if there is one.
    pub head_commit: Option<CommitId>,
    /// Paths that differ from the user's commit, untracked ones included, sorted.
    pub dirty: Vec<RepoPath>,
    /// How many of them are untracked.
    pub untracked: usize,
    /// What is in the folder and not in the snapshot; the first 1,000.
    pub left_out: Vec<LeftOut>,
    /// What a user should know, in words.
    pub warnings: Vec<String>,
}

impl MissionRepository {
    /// Takes the base snapshot. The same files at the same moment `when` give the same commit.
    ///
    /// Ignored files stay out. Untracked files are taken up to [`UNTRACKED_FILE_LIMIT`] each and [`UNTRACKED_LIMIT`]
    /// together, in the order of their paths. Pipes, sockets and devices are named where they lie beside known files.
    ///
    /// # Errors
    /// [`Error::Conflicted`] during an unfinished merge, [`Error::Filter`] for a changed file under a filter other
    /// than LFS.
    pub fn snapshot(&self, project: &Project, when: Timestamp) -> Result<Base, Error> {
        let mut warnings = Vec::new();
        let (captured, (head, head_commit)) = std::thread::scope(|scope| {
            let captured = scope.spawn(|| self.capture(project));
            let head = match project.repository() {
                Some(user) => {
                    warnings.extend(unfinished(user));
                    find_head(user)?
                }
                None => (Head::None, None),
            };
            let captured = captured
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            Ok::<_, Error>((captured?, head))
        })?;
        let tree = captured.tree;
        if captured.unlisted > 0 {
            let n = captured.unlisted;
            warnings.push(format!(
                "{n} more files are not in the snapshot than are listed; is an ignore rule missing?"
            ));
        }
        let (commit, dirty) = self.commit_snapshot(project, &tree, head_commit.as_ref(), when)?;
        if head == Head::Detached {
            warnings.push(
                "HEAD is detached: the result can be delivered as files or as a new branch"
                    .to_owned(),
            );
        }
        Ok(Base {
            commit,
            tree,
            head,
            head_commit,
            dirty,
            untracked: captured.untracked,
            left_out: captured.left_out,
            warnings,
        })
    }

    /// The tree of a snapshot that is taken now, and nothing else of it.
    ///
    /// # Errors
    /// As [`MissionRepository::snapshot`].
    pub(crate) fn tree_now(&self, project: &Project) -> Result<TreeId, Error> {
        Ok(self.capture(project)?.tree)
    }

    /// The files of the project as a tree.
    fn capture(&self, project: &Project) -> Result<Captured, Error> {
        let index = self.passing();
        let tracked = match project.repository() {
            Some(user) => {
                copy_index(user, &index.0)?;
                copy_shared_indexes(user, self)?;
                self.index_listing(&index.0)?
            }
            None => Listing::default(),
        };
        let capture = Capture {
            mission: self,
            root: project.root(),
            index: &index.0,
            settings: project.settings(),
            tracked,
            against: None,
            bounds: Bounds {
                untracked_each: UNTRACKED_FILE_LIMIT,
                untracked_all: UNTRACKED_LIMIT,
                untracked_count: UNTRACKED_COUNT_LIMIT,
                each: CHANGED_FILE_LIMIT,
            },
            filtered: Filtered::Point,
            nested: Nested::LeaveOut,
            hidden: &[],
        };
        capture.run()
    }

    fn commit_snapshot(
        &self,
        project: &Project,
        tree: &TreeId,
        head: Option<&CommitId>,
        when: Timestamp,
    ) -> Result<(CommitId, Vec<RepoPath>), Error> {
        let from = match (head, project.repository()) {
            (Some(commit), Some(_)) => self.tree_of(commit)?,
            _ => self.call("mktree").text()?.parse()?,
        };
        let dirty: Vec<RepoPath> = self
            .changes(from.as_str(), tree.as_str(), false)?
            .into_iter()
            .map(|change| change.path)
            .collect();
        if let Some(commit) = head.filter(|_| from == *tree) {
            return Ok((commit.clone(), dirty));
        }
        let parents: Vec<&CommitId> = head.into_iter().collect();
        let message = "Uncommitted work in the project when the mission began\n";
        let commit = self.commit(tree, &parents, message, &Signature::engine(when))?;
        if project.repository().is_some() {
            self.keep_staged(&commit, head)?;
        }
        Ok((commit, dirty))
    }

    /// Copies what only the user's index keeps alive: the user's git may prune a blob that is staged and never
    /// committed, and the pin does not hold it.
    fn keep_staged(&self, commit: &CommitId, head: Option<&CommitId>) -> Result<(), Error> {
        let mut wanted = format!("{commit}\n");
        if let Some(head) = head {
            wanted.push_str(&format!("^{head}\n"));
        }
        let pack = self.store().join("objects/pack/pack");
        let call = self
            .call("pack-objects")
            .args(["--revs", "--quiet"])
            .arg(pack);
        call.input(wanted.into_bytes()).run()?;
        Ok(())
    }

    /// What a copy of the user's index holds.
    fn index_listing(&self, index: &Path) -> Result<Listing, Error> {
        let words = ["-z", "--stage"];
        let listing = self.call("ls-files").index(index).args(words).bytes()?;
        let unmerged = |record: &[u8]| {
            let (words, path) = repository::split_tab(record)?;
            (!words.ends_with(" 0")).then(|| RepoPath::printed(path))
        };
        let mut conflicted: Vec<RepoPath> =
            repository::records(&listing).filter_map(unmerged).collect();
        conflicted.dedup();
        if !conflicted.is_empty() {
            return Err(Error::Conflicted(conflicted));
        }
        let entries = repository::entries(&listing, |words| match words[..] {
            [mode, id, _] => Some((mode, id)),
            _ => None,
        })?;
        Ok(Arc::new(entries))
    }
}

/// Copies the user's index with its time: git compares files against that time to know which to read again.
pub(crate) fn copy_index(user: &UserRepository, to: &Path) -> Result<(), Failure> {
    let from = user.git_dir().join("index");
    match fs::copy(&from, to) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(disk::failed("copy", &from))?,
    };
    let time = fs::metadata(&from)
        .and_then(|data| data.modified())
        .map_err(disk::failed("look at", &from))?;
    let set = File::options()
        .write(true)
        .open(to)
        .and_then(|file| file.set_modified(time));
    set.map_err(disk::failed("set the time of", to))
}

/// A split index names its other half, which git looks for beside the repository.
fn copy_shared_indexes(user: &UserRepository, mission: &MissionRepository) -> Result<(), Failure> {
    let Ok(entries) = fs::read_dir(user.git_dir()) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        if entry
            .file_name()
            .to_string_lossy()
            .starts_with("sharedindex.")
        {
            let to = mission.store().join(entry.file_name());
            fs::copy(entry.path(), &to).map_err(disk::failed("copy", &to))?;
        }
    }
    Ok(())
}

pub(crate) fn find_head(user: &UserRepository) -> Result<(Head, Option<CommitId>), Error> {
    let branch = user
        .call("symbolic-ref")
        .args(["--quiet", "HEAD"])
        .answers(&[0, 1])
        .text()?;
    let commit = user.commit_at("HEAD")?;
    let head = match (branch.is_empty(), &commit) {
        (true, _) => Head::Detached,
        (false, Some(_)) => Head::Branch(branch),
        (false, None) => Head::Unborn(branch),
    };
    Ok((head, commit))
}

/// What the user is in the middle of.
fn unfinished(user: &UserRepository) -> Vec<String> {
    let marks = [
        ("MERGE_HEAD", "merge"),
        ("rebase-merge", "rebase"),
        ("rebase-apply", "rebase"),
        ("CHERRY_PICK_HEAD", "cherry-pick"),
        ("REVERT_HEAD", "revert"),
        ("BISECT_LOG", "bisect"),
    ];
    let there = marks
        .iter()
        .filter(|(mark, _)| user.git_dir().join(mark).exists());
    there
        .map(|(_, what)| format!("a {what} is in progress in the project"))
        .collect()
}
