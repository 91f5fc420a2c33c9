//! A task's result: what its workspace holds against its base, whatever the agent did with git in there.

use super::{Error, OBEYED, Workspace, agent};
use crate::git::RepoPath;
use crate::repository::{Change, Changed, MissionRepository};
use crate::snapshot::{Bounds, Capture, Captured, Filtered, LeftOut, Nested};
use mission::ids::{CommitId, TreeId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The largest file that a task may deliver: 50 MiB.
const FILE_LIMIT: u64 = 50 << 20;

/// The most that all new files of a task may hold together: 1 GiB.
const NEW_FILES_LIMIT: u64 = 1 << 30;

/// The most new files of a task.
const NEW_FILES_COUNT_LIMIT: usize = 100_000;

/// The content of a workspace against a base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// All files as a tree.
    pub tree: TreeId,
    /// The paths that differ from the base, sorted; empty if nothing was done.
    pub touched: Vec<Touched>,
    /// What is in the workspace and not in the tree. Ignored files are not listed.
    pub left_out: Vec<LeftOut>,
    /// How many more were left out than are listed: the list ends after 1,000, and new files count up to 100,000.
    #[serde(default)]
    pub unlisted: usize,
    /// What a reviewer should look at.
    pub flags: Vec<Flag>,
    /// What the agent did to the engine's things.
    pub tampering: Option<Tampering>,
}

/// A path that a task changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    /// Where.
    pub path: RepoPath,
    /// How.
    pub change: Changed,
    /// Git's mode now (`0o100644`, `0o100755`, `0o120000`); 0 if it is gone.
    pub mode: u32,
}

/// Something unusual in a result that is not an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum Flag {
    /// A new or changed link that leads out of the project.
    LinkOutside {
        /// The link.
        path: RepoPath,
        /// Where it leads, shown safely.
        target: String,
    },
    /// Two paths that are one on a disk that ignores case.
    CaseCollision {
        /// One.
        path: RepoPath,
        /// The other.
        with: RepoPath,
    },
}

/// A sign that an agent reached for the engine's side of its workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tampering {
    /// The workspace's `.git` file is gone.
    PointerRemoved,
    /// The workspace's `.git` file says something else.
    PointerChanged,
    /// There is a folder, a link or something else in place of the `.git` file.
    PointerReplaced,
}

impl MissionRepository {
    /// Takes the content of a workspace as a tree and compares it with a base.
    ///
    /// Commits and branches that the agent made play no part. Links are taken as links and never followed; the files
    /// of a repository inside the workspace are taken as plain files; submodules stay at the base's commit. Files over
    /// 50 MiB, under a filter, unreadable or special are left out and named.
    ///
    /// A path is ignored if the base's rules *or* the workspace's rules ignore it, so that taking a line out of
    /// `.gitignore` cannot carry secrets out; what only the workspace's own new rules ignore is named, so that adding
    /// a line cannot hide work.
    ///
    /// What hosts obey is not there for an agent, and is kept as it was; what an agent writes in its place is taken.
    ///
    /// # Errors
    /// [`Error::Replaced`] if the folder is not the one that was handed out.
    pub fn collect(&self, workspace: &Workspace, base: &CommitId) -> Result<Work, Error> {
        workspace.check_identity()?;
        let tampering = find_tampering(workspace);
        let index = self.passing();
        let taken = self.take(workspace, base, &index.0)?;
        let tree = taken.tree;
        let changes = self.changes(base.as_str(), tree.as_str(), true)?;
        let flags = self.flags(base, &tree, &changes)?;
        // A file with another name elsewhere is given to nobody who might write to it.
        if !taken.linked {
            self.keep_collected(workspace, &index.0, &tree)?;
        }
        let touched = changes.into_iter().map(|change| Touched {
            path: change.path,
            change: change.changed,
            mode: change.new_mode,
        });
        Ok(Work {
            tree,
            touched: touched.collect(),
            left_out: taken.left_out,
            unlisted: taken.unlisted,
            flags,
            tampering,
        })
    }

    /// The content of a workspace as a tree, with an index of one's own.
    pub(super) fn take(
        &self,
        workspace: &Workspace,
        base: &CommitId,
        index: &Path,
    ) -> Result<Captured, Error> {
        agent::copy_index(&workspace.index(), index)?;
        let capture = Capture {
            mission: self,
            root: workspace.path(),
            index,
            settings: &[],
            // The index is the one that the workspace was set up with.
            tracked: self.listing(workspace.commit().as_str())?,
            against: Some(base),
            bounds: Bounds {
                untracked_each: FILE_LIMIT,
                untracked_all: NEW_FILES_LIMIT,
                untracked_count: NEW_FILES_COUNT_LIMIT,
                each: FILE_LIMIT,
            },
            filtered: Filtered::LeaveOut,
            nested: Nested::Plain,
            hidden: &OBEYED,
        };
        let mut taken = capture.run()?;
        let left_out = &mut taken.left_out;
        taken.tree = self.respect_old_rules(workspace, base, taken.tree, index, left_out)?;
        taken.left_out.sort();
        Ok(taken)
    }

    fn flags(
        &self,
        base: &CommitId,
        tree: &TreeId,
        changes: &[Change],
    ) -> Result<Vec<Flag>, Error> {
        let mut flags = Vec::new();
        for change in changes.iter().filter(|change| change.new_mode == 0o120_000) {
            let (target, _) = self.blob(&change.new, 4096)?;
            if leads_outside(change.path.parent(), &target) {
                flags.push(Flag::LinkOutside {
                    path: change.path.clone(),
                    target: RepoPath::printed(&target).to_string(),
                });
            }
        }
        let added: Vec<&RepoPath> = changes
            .iter()
            .filter(|change| change.old_mode == 0)
            .map(|change| &change.path)
            .collect();
        if !added.is_empty() {
            let listing = self.listing_after(base.as_str(), tree.as_str())?;
            let mut folded: BTreeMap<String, Vec<&[u8]>> = BTreeMap::new();
            for path in listing.iter().map(|entry| entry.path.as_bytes()) {
                folded
                    .entry(String::from_utf8_lossy(path).to_lowercase())
                    .or_default()
                    .push(path);
            }
            for path in added {
                let twins = folded.get(&String::from_utf8_lossy(path.as_bytes()).to_lowercase());
                for twin in twins
                    .into_iter()
                    .flatten()
                    .filter(|twin| **twin != path.as_bytes())
                {
                    flags.push(Flag::CaseCollision {
                        path: path.clone(),
                        with: RepoPath::printed(twin),
                    });
                }
            }
        }
        Ok(flags)
    }
}

pub(super) fn find_tampering(workspace: &Workspace) -> Option<Tampering> {
    let pointer = workspace.pointer();
    match fs::symlink_metadata(&pointer) {
        Err(_) => Some(Tampering::PointerRemoved),
        Ok(data) if !data.is_file() => Some(Tampering::PointerReplaced),
        Ok(data) => {
            let expected = agent::pointer(workspace);
            let same = data.len() == expected.len() as u64
                && fs::read(&pointer).is_ok_and(|found| found == expected);
            (!same).then_some(Tampering::PointerChanged)
        }
    }
}

/// Whether a link in a folder leads out of the root, by its text alone.
fn leads_outside(folder: &[u8], target: &[u8]) -> bool {
    use std::path::Component;
    let mut depth = folder
        .split(|b| *b == b'/')
        .filter(|part| !part.is_empty())
        .count();
    for part in Path::new(std::ffi::OsStr::from_bytes(target)).components() {
        match part {
            Component::RootDir | Component::Prefix(_) => return true,
            Component::ParentDir if depth == 0 => return true,
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
        }
    }
    false
}
