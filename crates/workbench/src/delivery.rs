//! Delivery: a mission's result arrives in the user's files, and can be undone.
//!
//! 1. [`MissionRepository::plan_delivery`] looks at the user's files as they are now, merges the result into them in
//!    memory, and says which files would change and how. Nothing is written.
//! 2. The caller journals the plan; [`MissionRepository::keep_old`] keeps the bytes that will be replaced.
//! 3. [`MissionRepository::apply`] writes, one file at a time, each in one step. After a crash it is called again with
//!    the same plan, or [`MissionRepository::undo`] is.
//!
//! A file is written only while it holds exactly what the plan saw in it; an edit that came between is never
//! overwritten. The user's index, branches and configuration are not touched; delivery as a branch or as a commit is
//! asked for by name.

mod apply;
mod branch;
mod jail;
mod smudge;

pub use apply::{Broken, Undone};
pub use branch::Branch;

use crate::disk::Failure;
use crate::git::{self, RefName, RepoPath};
use crate::landing::{self, ConflictPath, Merge};
use crate::repository::{self, Change, MissionRepository, Project, Signature};
use crate::snapshot::{self, Base, Head};
use jail::{Entry, Found, Jail};
use mission::ids::{CommitId, Digest, TreeId};
use mission::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// How often a plan is made anew because files changed while it was made.
const TRIES: usize = 3;

/// What can go wrong in a delivery.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The repository could not do it.
    #[error(transparent)]
    Repository(#[from] repository::Error),
    /// The user's files could not be read as a tree.
    #[error(transparent)]
    Snapshot(#[from] snapshot::Error),
    /// The merge could not be made.
    #[error(transparent)]
    Landing(#[from] landing::Error),
    /// Git could not do it.
    #[error(transparent)]
    Git(#[from] git::Error),
    /// The file system could not do it.
    #[error(transparent)]
    Disk(#[from] Failure),
    /// A name that cannot be a branch.
    #[error(transparent)]
    Name(#[from] git::BadRefName),
    /// One of the user's files could not be read or written.
    #[error("could not read or write {path}: {source}")]
    File {
        /// The file.
        path: RepoPath,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The user has edited a file since the plan was made.
    #[error(
        "{path} was edited during the delivery and was left alone. Move the edit away and deliver again"
    )]
    Edited {
        /// The file.
        path: RepoPath,
    },
    /// The kept bytes of a file are missing or damaged.
    #[error(
        "the kept content of {path} is missing or damaged, so it cannot be put back; it is left as it is"
    )]
    Lost {
        /// The file.
        path: RepoPath,
    },
    /// What was written may not be on the disk.
    #[error("could not flush what was delivered to the disk: {source}")]
    Flush {
        /// The system's answer.
        source: std::io::Error,
    },
    /// The plan is for other files than these.
    #[error("the delivery was planned for another project folder")]
    OtherProject,
    /// What git would write for a file is not what was planned.
    #[error(
        "{path} would now be written with other bytes than planned (line-end settings changed?). Plan the delivery again"
    )]
    Unstable {
        /// The file.
        path: RepoPath,
    },
    /// There is no git here to deliver to.
    #[error(
        "the project has no git repository, so the result cannot be delivered as a branch or commit"
    )]
    NoGit,
    /// A branch of that name is something else.
    #[error("the branch {name} already exists at {found}. Choose another name, or delete it")]
    BranchTaken {
        /// The ref.
        name: RefName,
        /// Where it stands.
        found: CommitId,
    },
    /// A branch cannot be taken back while somebody is on it.
    #[error(
        "the branch {name} is checked out in {}; check out another one there and undo again",
        place.display()
    )]
    BranchInUse {
        /// The ref.
        name: RefName,
        /// The working tree that is on it.
        place: PathBuf,
    },
    /// A commit on the user's branch cannot be taken back now.
    #[error("the commit cannot be taken back: {why}")]
    CommitStays {
        /// Why, and what to do.
        why: String,
    },
    /// A commit on the user's branch is not safe now.
    #[error(
        "the result cannot be committed on the current branch: {why}. Deliver it as a new branch instead"
    )]
    NotOnBranch {
        /// Why.
        why: &'static str,
    },
}

/// What stands at a path before or after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum State {
    /// Nothing.
    Absent,
    /// A file.
    File {
        /// Git's name for what it stores.
        blob: Digest,
        /// SHA-256 of the bytes on disk, which may have other line ends than the blob.
        digest: Digest,
        /// The bytes on disk.
        size: u64,
        /// Permission bits on disk; for a file to be written only the execute bits count.
        mode: u32,
    },
    /// A symbolic link.
    Link {
        /// Git's name for where it leads.
        blob: Digest,
        /// SHA-256 of where it leads.
        digest: Digest,
    },
}

impl State {
    fn fits(&self, found: &Found) -> bool {
        match (self, found) {
            // A folder is what stays when files below it come, or what goes when they leave; it holds no content.
            (Self::Absent, Found::Nothing | Found::Barred | Found::Folder) => true,
            (Self::File { digest, mode, .. }, Found::Entry(entry)) => {
                !entry.link && entry.digest == *digest && (entry.mode & 0o100) == (mode & 0o100)
            }
            (Self::Link { digest, .. }, Found::Entry(entry)) => {
                entry.link && entry.digest == *digest
            }
            _ => false,
        }
    }

    fn of(entry: &Entry, blob: &Digest) -> Self {
        let (blob, digest) = (blob.clone(), entry.digest.clone());
        if entry.link {
            Self::Link { blob, digest }
        } else {
            let (size, mode) = (entry.size, entry.mode);
            Self::File {
                blob,
                digest,
                size,
                mode,
            }
        }
    }
}

/// One file that a delivery changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedFile {
    /// Where.
    pub path: RepoPath,
    /// What is there.
    pub old: State,
    /// What will be there.
    pub new: State,
}

/// All that a delivery will do. It is journaled before the first write, and is all that a resume needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryPlan {
    /// A digest of the project's root, so that a plan is not applied elsewhere.
    pub project: Digest,
    /// The user's files as the plan saw them.
    pub now: TreeId,
    /// The user's files afterwards.
    pub merged: TreeId,
    /// What changes, sorted by path.
    pub files: Vec<PlannedFile>,
}

/// Why a path cannot be delivered into the user's files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "why")]
pub enum Obstacle {
    /// Only a program could say what is to be written.
    Filter {
        /// The filter's name.
        name: String,
    },
    /// Something is there that the snapshot leaves out: an ignored or very large file, a folder with such files.
    Occupied,
    /// The file is tracked and not checked out.
    NotCheckedOut,
    /// It is a submodule.
    Submodule,
    /// It cannot be a path here.
    BadPath,
}

impl std::fmt::Display for Obstacle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Filter { name } => write!(f, "only the filter {name:?} could write it"),
            Self::Occupied => f.write_str("something that git does not track is there"),
            Self::NotCheckedOut => f.write_str("it is not checked out"),
            Self::Submodule => f.write_str("it is a submodule"),
            Self::BadPath => f.write_str("it cannot be a path here"),
        }
    }
}

/// A path that cannot be delivered, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    /// Where.
    pub path: RepoPath,
    /// Why.
    #[serde(flatten)]
    pub obstacle: Obstacle,
}

/// Why nothing was planned. Nothing was written, and the result can still be delivered as a branch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "refused")]
pub enum Refusal {
    /// The user has another branch checked out than when the mission began.
    BranchChanged {
        /// Then.
        was: Head,
        /// Now.
        now: Head,
    },
    /// The user has changed what the result changes.
    Conflicts {
        /// Where; `ours` is the user's side.
        paths: Vec<ConflictPath>,
    },
    /// Some paths cannot be written.
    Blocked {
        /// Which.
        paths: Vec<Blocked>,
    },
    /// The files did not hold still, three times over.
    Restless,
}

/// The outcome of planning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Planned {
    /// It can be applied.
    Ready(DeliveryPlan),
    /// It cannot.
    Refused(Refusal),
}

impl MissionRepository {
    /// Plans a delivery: merges a result into the user's files as they are now, and lists what would change.
    ///
    /// The user may have gone on working, and may have committed on the same branch; only what both changed is in the
    /// way. Nothing of the user's is written.
    ///
    /// # Errors
    /// As [`MissionRepository::snapshot`]; a refusal is no error.
    pub fn plan_delivery(
        &self,
        project: &Project,
        base: &Base,
        result: &CommitId,
        when: Timestamp,
    ) -> Result<Planned, Error> {
        for _ in 0..TRIES {
            let now = self.snapshot(project, when)?;
            if !same_place(&base.head, &now.head)
                || (now.head == Head::Detached && now.head_commit != base.head_commit)
            {
                let (was, now) = (base.head.clone(), now.head);
                return Ok(Planned::Refused(Refusal::BranchChanged { was, now }));
            }
            let merged = match self.merge_into(base, &now.tree, result, when)? {
                Merge::Clean(tree) => tree,
                Merge::Conflict(paths) => {
                    return Ok(Planned::Refused(Refusal::Conflicts { paths }));
                }
            };
            let changes = self.changes(now.tree.as_str(), merged.as_str(), false)?;
            let planned = self.plan_files(project, &changes)?;
            // Between the first look and reading the files the user may have written. Then the trees differ.
            if self.tree_now(project)? != now.tree {
                continue;
            }
            return Ok(match planned {
                Err(paths) => Planned::Refused(Refusal::Blocked { paths }),
                Ok(files) => Planned::Ready(DeliveryPlan {
                    project: name_of(project),
                    now: now.tree,
                    merged,
                    files,
                }),
            });
        }
        Ok(Planned::Refused(Refusal::Restless))
    }

    /// The result with what the user has done since the base.
    fn merge_into(
        &self,
        base: &Base,
        now: &TreeId,
        result: &CommitId,
        when: Timestamp,
    ) -> Result<Merge, Error> {
        if *now == base.tree {
            return Ok(Merge::Clean(self.tree_of(result)?));
        }
        // On the base, so that the base is where the merge starts, whatever the user has committed since.
        let by = Signature::engine(when);
        let ours = self.commit(now, &[&base.commit], "The project now\n", &by)?;
        Ok(self.merge(&ours, result)?)
    }

    fn plan_files(
        &self,
        project: &Project,
        changes: &[Change],
    ) -> Result<Result<Vec<PlannedFile>, Vec<Blocked>>, Error> {
        let jail = open(project)?;
        let mut blocked = Vec::new();
        let written: Vec<&Change> = changes
            .iter()
            .filter(|change| matches!(change.new_mode, 0o100_644 | 0o100_755))
            .collect();
        for (path, name) in self.filtered(project, &written)? {
            let obstacle = Obstacle::Filter { name };
            blocked.push(Blocked { path, obstacle });
        }
        let going: BTreeMap<&RepoPath, bool> = changes
            .iter()
            .map(|change| (&change.path, change.new_mode == 0))
            .collect();
        let mut old = Vec::new();
        for change in changes {
            match look(&jail, change, &going)? {
                Ok(state) => old.push(state),
                Err(obstacle) => {
                    let path = change.path.clone();
                    blocked.push(Blocked { path, obstacle });
                }
            }
        }
        if !blocked.is_empty() {
            return Ok(Err(blocked));
        }
        let new = self.new_states(project, changes)?;
        let files = changes
            .iter()
            .zip(old)
            .zip(new)
            .map(|((change, old), new)| PlannedFile {
                path: change.path.clone(),
                old,
                new,
            });
        Ok(Ok(files.filter(|file| file.old != file.new).collect()))
    }
}

/// What is on disk where the plan expects the old side, or why that is not deliverable.
fn look(
    jail: &Jail,
    change: &Change,
    going: &BTreeMap<&RepoPath, bool>,
) -> Result<Result<State, Obstacle>, Error> {
    let path = &change.path;
    if RepoPath::new(path.as_bytes()).is_err() {
        return Ok(Err(Obstacle::BadPath));
    }
    if change.old_mode == 0o160_000 || change.new_mode == 0o160_000 {
        return Ok(Err(Obstacle::Submodule));
    }
    let failed = |source| Error::File {
        path: path.clone(),
        source,
    };
    let found = jail.look(path).map_err(failed)?;
    Ok(match (&found, change.old_mode) {
        (Found::Nothing, 0) => Ok(State::Absent),
        (Found::Entry(entry), old) if old != 0 => Ok(State::of(entry, &change.old)),
        (Found::Nothing | Found::Barred, old) if old != 0 => Err(Obstacle::NotCheckedOut),
        (Found::Barred, _) => {
            // A file above it must be on its way out.
            let mut above = path.parent();
            let mut leaves = false;
            while !above.is_empty() {
                let here = RepoPath::printed(above);
                leaves |= going.get(&here) == Some(&true);
                above = above
                    .iter()
                    .rposition(|b| *b == b'/')
                    .map_or(&[], |at| &above[..at]);
            }
            if leaves {
                Ok(State::Absent)
            } else {
                Err(Obstacle::Occupied)
            }
        }
        (Found::Folder, 0) => {
            let below = jail.files_below(path, 10_000).map_err(failed)?;
            let all_go = below.iter().all(|file| going.get(file) == Some(&true));
            if all_go {
                Ok(State::Absent)
            } else {
                Err(Obstacle::Occupied)
            }
        }
        _ => Err(Obstacle::Occupied),
    })
}

/// A branch that had no commit when the mission began may have one now.
fn same_place(was: &Head, now: &Head) -> bool {
    match (was, now) {
        (Head::Unborn(was), Head::Branch(now)) => was == now,
        _ => was == now,
    }
}

fn open(project: &Project) -> Result<Jail, Error> {
    let failed = crate::disk::failed("open the project", project.root());
    Ok(Jail::open(project.root()).map_err(failed)?)
}

fn name_of(project: &Project) -> Digest {
    Digest::of(project.root().as_os_str().as_bytes())
}
