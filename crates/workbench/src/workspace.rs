//! Workspaces: folders where agents and gates work, each at a path that stays the same for a lane.
//!
//! The engine's side of a workspace (its index, what it was last set to) lies in the mission's folder, in `lanes/`, and
//! the engine always names it. The `.git` file that an agent sees leads to another, throw-away repository of that
//! workspace: `git status`, `diff`, `log` and `commit` work there, it has no remote, and nothing of it is ever
//! believed. So nothing that an agent writes, in the tree or in its repository, makes the engine run anything.

mod agent;
mod clean;
mod collect;
mod foresee;
mod ignored;

pub use collect::{Flag, Tampering, Touched, Work};
pub use foresee::Glance;

use crate::disk::{self, Failure};
use crate::fault;
use crate::git::{self, Call, RepoPath};
use crate::repository::{self, Change, Entry, MissionRepository};
use crate::snapshot;
use crate::standing::{self, Which};
use mission::ids::{CommitId, Digest, TreeId};
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A first check-out of a large project on a slow disk.
const CHECKOUT_DEADLINE: Duration = Duration::from_secs(600);

/// So many files are checked out one by one; for more, git goes through all of the tree.
const FEW: usize = 200;

/// How the name of an index begins that is kept for the tree that the rest of the name is.
const COLLECTED: &str = "collected-";

/// What agents' hosts obey where they find it in a folder, programs among it: OpenCode 1.18.33 runs the plugins of a
/// workspace at its first prompt, whatever it is told of projects' configuration.
const OBEYED: [&[u8]; 3] = [b".opencode", b"opencode.json", b"opencode.jsonc"];

/// What can go wrong with workspaces.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The repository could not do it.
    #[error(transparent)]
    Repository(#[from] repository::Error),
    /// The files could not become a tree.
    #[error(transparent)]
    Snapshot(#[from] snapshot::Error),
    /// Git could not do it.
    #[error(transparent)]
    Git(#[from] git::Error),
    /// The file system could not do it.
    #[error(transparent)]
    Disk(#[from] Failure),
    /// The path is not one to work in.
    #[error("{path:?} cannot be a workspace: {why}")]
    Path {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// After being set up it was not what it should be.
    #[error("the workspace {path:?} is not at {commit}: {} differ. Check the disk, and that nothing else writes there", snapshot::some(.differing))]
    NotClean {
        /// The path.
        path: PathBuf,
        /// What it should hold.
        commit: CommitId,
        /// What differs.
        differing: Vec<RepoPath>,
    },
    /// The folder is not the one that was handed out.
    #[error(
        "the workspace {0:?} was removed or replaced by another folder; what was in it cannot be told"
    )]
    Replaced(PathBuf),
}

impl Error {
    /// What whoever worked in a workspace did to it so that its content cannot be told; nothing if it was not they. No
    /// other try mends it, and what is wrong goes when the workspace is set to something else.
    pub fn spoiled(&self) -> Option<String> {
        match self {
            Self::Replaced(_) => Some("the folder of its workspace".to_owned()),
            Self::Snapshot(snapshot::Error::SpecialRules { path }) => Some(path.to_string()),
            _ => None,
        }
    }
}

/// Removes what stands in a workspace's place and is no folder: an agent may have put a link there.
///
/// # Errors
/// If the file system refuses.
pub fn clear_the_way(path: &Path) -> Result<(), Error> {
    if fs::symlink_metadata(path).is_ok_and(|data| !data.is_dir()) {
        disk::remove(path)?;
    }
    Ok(())
}

/// A workspace that was set to a commit and checked.
#[derive(Clone, Debug)]
pub struct Workspace {
    path: PathBuf,
    lane: PathBuf,
    set: Set,
}

/// What a workspace was last set to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Set {
    commit: CommitId,
    device: u64,
    inode: u64,
}

impl Workspace {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The commit that it was set to.
    pub fn commit(&self) -> &CommitId {
        &self.set.commit
    }

    fn index(&self) -> PathBuf {
        self.lane.join("index")
    }

    fn pointer(&self) -> PathBuf {
        self.path.join(".git")
    }

    /// The repository that the workspace's `.git` file leads to: the one folder outside the workspace that an agent's
    /// git has to be able to write. It is made anew at every reset.
    pub fn agent_dir(&self) -> PathBuf {
        self.lane.join("agent.git")
    }

    fn check_identity(&self) -> Result<(), Error> {
        match fs::symlink_metadata(&self.path) {
            Ok(data)
                if data.is_dir()
                    && data.dev() == self.set.device
                    && data.ino() == self.set.inode =>
            {
                Ok(())
            }
            _ => Err(Error::Replaced(self.path.clone())),
        }
    }
}

/// What is known of a place that is to be a workspace.
#[derive(Debug)]
enum Before {
    /// Nothing.
    Unknown,
    /// It was set to another commit.
    Other {
        /// Which.
        commit: CommitId,
        /// Whether nobody is expected to have changed anything since.
        untouched: bool,
    },
    /// The files of the wanted commit stood there.
    Same,
}

/// Does two things at once, the first in a thread of its own. What went wrong with the second is told before what went
/// wrong with the first.
fn beside<T: Send>(
    first: impl FnOnce() -> Result<T, Error> + Send,
    second: impl FnOnce() -> Result<(), Error>,
) -> Result<T, Error> {
    std::thread::scope(|scope| {
        let first = scope.spawn(first);
        let second = second();
        let first = first
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        second.and(first)
    })
}

impl MissionRepository {
    /// Makes a workspace at an absolute path, or sets the one that is there to another commit.
    ///
    /// Everything that the commit does not hold is removed but the paths in `keep` (`node_modules`, `target`): callers
    /// keep unmerged work first, by [`MissionRepository::collect`] or [`MissionRepository::rescue`]. It is handed out
    /// only after it was compared with the commit. One caller at a time per path; different paths in parallel.
    ///
    /// # Errors
    /// [`Error::Path`] if the path is relative or a link, [`Error::NotClean`] if the files are not the commit's
    /// afterwards. After an error the workspace counts as not there.
    pub fn workspace(
        &self,
        path: &Path,
        commit: &CommitId,
        keep: &[RepoPath],
    ) -> Result<Workspace, Error> {
        self.set(path, commit, keep, false)
    }

    /// The same for a place in which nobody is expected to have changed anything: where it was last set to the same tree,
    /// it is compared first, and checked out anew only if it differs.
    ///
    /// # Errors
    /// As [`MissionRepository::workspace`].
    pub fn workspace_again(
        &self,
        path: &Path,
        commit: &CommitId,
        keep: &[RepoPath],
    ) -> Result<Workspace, Error> {
        self.set(path, commit, keep, true)
    }

    fn set(
        &self,
        path: &Path,
        commit: &CommitId,
        keep: &[RepoPath],
        again: bool,
    ) -> Result<Workspace, Error> {
        let path = self.place(path)?;
        let lane = self.lane(&path);
        disk::make(&lane)?;
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let state = lane.join("state.json");
        let before = self.workspace_at(&path)?;
        // Written over in place, like all that is small here: see [`agent::make`].
        fs::write(&state, b"").map_err(disk::failed("write", &state))?;
        fault::of("workspace.forgotten", &name);
        let data = fs::symlink_metadata(&path).map_err(disk::failed("look at", &path))?;
        let set = Set {
            commit: commit.clone(),
            device: data.dev(),
            inode: data.ino(),
        };
        let workspace = Workspace { path, lane, set };
        // Whoever worked there may have changed everything; what still stands is found by the same comparison.
        let before = before.filter(|before| before.check_identity().is_ok());
        let stands = match &before {
            Some(before) if again => self.same_tree(before, commit)?,
            _ => false,
        };
        let before = match self.take_collected(&workspace)? || stands {
            true => Before::Same,
            false => before.map_or(Before::Unknown, |before| Before::Other {
                commit: before.set.commit,
                untouched: again,
            }),
        };
        self.fill(&workspace, keep, &before, &name)?;
        agent::point_to(&workspace)?;
        workspace.check_identity()?;
        fault::of("workspace.pointed", &name);
        let text = serde_json::to_vec(&workspace.set).unwrap_or_default();
        fs::write(&state, text).map_err(disk::failed("write", &state))?;
        fault::of("workspace.noted", &name);
        Ok(workspace)
    }

    /// Takes out of a workspace what an agent's host would obey there, before an agent begins in it. It stays a part of
    /// the work: see [`MissionRepository::collect`].
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn hide_obeyed(&self, workspace: &Workspace) -> Result<(), Error> {
        for name in OBEYED {
            disk::remove(&workspace.path.join(OsStr::from_bytes(name)))?;
        }
        fault::point("workspace.hidden");
        Ok(())
    }

    /// Makes a workspace's files those of its commit, and compares them with it. Of what is known to have been there, no
    /// more is checked out than differs; only if that was not enough, all of it.
    fn fill(
        &self,
        workspace: &Workspace,
        keep: &[RepoPath],
        before: &Before,
        name: &str,
    ) -> Result<(), Error> {
        let mut quick = None;
        // An agent waits for this, so what does not need each other goes on at once.
        let listing = beside(
            || Ok(self.listing(workspace.set.commit.as_str())?),
            || {
                let changed = beside(
                    || Ok(self.changed_since(workspace, before)),
                    || Ok(snapshot::remove_rules(&workspace.path, keep)?),
                )?;
                quick = match (before, changed) {
                    (Before::Same, _) => Some(Which::All),
                    (Before::Other { untouched, .. }, Some(changes)) => {
                        self.check_out_changes(workspace, changes, *untouched)?
                    }
                    _ => None,
                };
                match quick {
                    Some(_) => Ok(()),
                    None => self.check_out_whatever_is_there(workspace, keep),
                }
            },
        )?;
        fault::of("workspace.checked out", &name);
        let paths = listing.iter().map(|entry| entry.path.as_bytes());
        let stays: Vec<&[u8]> = paths.chain([&b".git"[..]]).collect();
        let cleaned = |which: &Which| {
            beside(
                || Ok(agent::make(self, workspace)?),
                || {
                    clean::all_but(&workspace.path, &stays, keep)?;
                    self.verify(workspace, &listing, which)
                },
            )
        };
        match cleaned(quick.as_ref().unwrap_or(&Which::All)) {
            Err(Error::NotClean { .. }) if quick.is_some() => {
                self.check_out_whatever_is_there(workspace, keep)?;
                cleaned(&Which::All)?;
            }
            other => other?,
        }
        fault::of("workspace.cleaned", &name);
        Ok(())
    }

    /// The workspace that was last handed out at a path, for an engine that was started again; nothing if its set-up
    /// never finished.
    ///
    /// # Errors
    /// If the path cannot be a workspace or its record cannot be read.
    pub fn workspace_at(&self, path: &Path) -> Result<Option<Workspace>, Error> {
        let path = self.place(path)?;
        let lane = self.lane(&path);
        let state = disk::read_if_there(&lane.join("state.json"))?;
        let set = state.and_then(|text| serde_json::from_slice(&text).ok());
        Ok(set.map(|set| Workspace { path, lane, set }))
    }

    /// Removes a workspace and the engine's side of it. Unmerged work in it is lost: see [`MissionRepository::rescue`].
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn remove(&self, workspace: &Workspace) -> Result<(), Error> {
        let name = workspace.path.file_name().unwrap_or_default();
        let name = name.to_string_lossy();
        disk::remove(&workspace.lane.join("state.json"))?;
        fault::of("workspace.let go", &name);
        disk::remove(&workspace.path)?;
        fault::of("workspace.removed", &name);
        disk::remove(&workspace.lane)?;
        Ok(())
    }

    /// Removes the engine's side of all workspaces, also of those whose set-up never finished. The workspaces themselves
    /// are gone.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn forget_all(&self) -> Result<(), Error> {
        Ok(disk::remove(&self.sides())?)
    }

    fn same_tree(&self, before: &Workspace, commit: &CommitId) -> Result<bool, Error> {
        Ok(before.commit() == commit || self.tree_of(before.commit())? == self.tree_of(commit)?)
    }

    /// Keeps the index of what was collected from a workspace: who works there next often begins with just that.
    fn keep_collected(
        &self,
        workspace: &Workspace,
        index: &Path,
        tree: &TreeId,
    ) -> Result<(), Failure> {
        self.forget_collected(workspace)?;
        let kept = workspace.lane.join(format!("{COLLECTED}{tree}"));
        fs::rename(index, &kept).map_err(disk::failed("keep", &kept))?;
        fault::point("workspace.index kept");
        Ok(())
    }

    /// Whether a workspace's files are known to have been those of its commit when they were collected last.
    fn take_collected(&self, workspace: &Workspace) -> Result<bool, Error> {
        let tree = self.tree_of(workspace.commit())?;
        let kept = workspace.lane.join(format!("{COLLECTED}{tree}"));
        let taken = match fs::rename(&kept, workspace.index()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            other => {
                other.map_err(disk::failed("take", &kept))?;
                true
            }
        };
        fault::point("workspace.index taken");
        self.forget_collected(workspace)?;
        Ok(taken)
    }

    fn forget_collected(&self, workspace: &Workspace) -> Result<(), Failure> {
        let lane = &workspace.lane;
        for entry in fs::read_dir(lane).map_err(disk::failed("list", lane))? {
            let entry = entry.map_err(disk::failed("list", lane))?;
            if entry
                .file_name()
                .as_bytes()
                .starts_with(COLLECTED.as_bytes())
            {
                disk::remove(&entry.path())?;
            }
        }
        Ok(())
    }

    fn sides(&self) -> PathBuf {
        self.dir().join("sides")
    }

    fn place(&self, path: &Path) -> Result<PathBuf, Error> {
        let refuse = |why| Error::Path {
            path: path.to_owned(),
            why,
        };
        let name = path.file_name().ok_or_else(|| refuse("it has no name"))?;
        let parent = path
            .parent()
            .filter(|_| path.is_absolute())
            .ok_or_else(|| refuse("it is not absolute"))?;
        disk::make(parent)?;
        let path = parent
            .canonicalize()
            .map_err(disk::failed("find", parent))?
            .join(name);
        if self.dir().starts_with(&path) || path.starts_with(self.store()) {
            return Err(refuse("it holds, or lies in, the mission's repository"));
        }
        match fs::symlink_metadata(&path) {
            Ok(data) if data.is_dir() => {}
            Ok(_) => return Err(refuse("it is a file or a link")),
            Err(_) => fs::create_dir(&path).map_err(disk::failed("make the folder", &path))?,
        }
        Ok(path)
    }

    fn lane(&self, path: &Path) -> PathBuf {
        let name = Digest::of(path.as_os_str().as_bytes());
        self.sides().join(&name.as_str()[..20])
    }

    fn lane_call(&self, workspace: &Workspace, what: &'static str) -> Call {
        self.call(what)
            .work_tree(&workspace.path)
            .index(&workspace.index())
    }

    fn check_out_whatever_is_there(
        &self,
        workspace: &Workspace,
        keep: &[RepoPath],
    ) -> Result<(), Error> {
        let lock = workspace.lane.join("index.lock");
        disk::remove(&lock)?;
        snapshot::remove_attributes(&workspace.path, keep)?;
        if self.check_out(workspace).is_err() {
            // Whatever is in the way, or a damaged index: start from nothing.
            disk::remove(&lock)?;
            disk::remove(&workspace.index())?;
            clean::all_but(&workspace.path, &[], keep)?;
            self.check_out(workspace)?;
        }
        Ok(())
    }

    /// What differs between a workspace's commit and the one that it was set to before, and what somebody has changed
    /// there. Nothing where that cannot be told.
    fn changed_since(&self, workspace: &Workspace, before: &Before) -> Option<Vec<Change>> {
        let Before::Other { commit, untouched } = before else {
            return None;
        };
        // What is not known any more of the other commit, a check-out of this one does without.
        let now = workspace.set.commit.as_str();
        let mut changes = self.changes(commit.as_str(), now, false).ok()?;
        if !untouched {
            let index = workspace.index();
            let differing = standing::differing(&workspace.path, &index, self.is_sha256());
            changes.extend(differing?);
        }
        Some(changes)
    }

    /// Checks out what differs. Says which files have yet to be compared with the commit; nothing where it could not be
    /// done like this. Git looks at every file and every folder of the tree otherwise.
    fn check_out_changes(
        &self,
        workspace: &Workspace,
        changes: Vec<Change>,
        untouched: bool,
    ) -> Result<Option<Which>, Error> {
        const SUBMODULE: u32 = 0o160_000;
        let (root, commit) = (workspace.path.as_path(), workspace.set.commit.as_str());
        let plain = |change: &Change| change.old_mode != SUBMODULE && change.new_mode != SUBMODULE;
        if changes.len() > FEW || !changes.iter().all(plain) {
            return Ok(None);
        }
        let paths: Vec<RepoPath> = changes.into_iter().map(|change| change.path).collect();
        // The few files that are checked out say nothing of the others, if nobody has looked at those.
        let which = match untouched {
            true => Which::Untouched,
            false => Which::Those(paths.iter().cloned().collect()),
        };
        if paths.is_empty() {
            return Ok(Some(which));
        }
        // Of single files git takes the attributes that stand there, and not those that are to stand there.
        let files = self.listing(commit)?;
        if paths.iter().any(|path| path.name() == snapshot::ATTRIBUTES)
            || snapshot::has_attributes(root, &files, &paths)
        {
            return Ok(None);
        }
        let call = self
            .lane_call(workspace, "checkout")
            .deadline(CHECKOUT_DEADLINE);
        // Threads that look at few files cost more than they save.
        let call = call.setting("core.preloadIndex", "false");
        let call = call.args(["--quiet", "--no-overlay", commit]);
        let call = call.args(["--pathspec-from-file=-", "--pathspec-file-nul"]);
        let checked_out = call.input_paths(&paths).run().is_ok();
        Ok(checked_out.then_some(which))
    }

    fn check_out(&self, workspace: &Workspace) -> Result<(), git::Error> {
        let call = self
            .lane_call(workspace, "read-tree")
            .deadline(CHECKOUT_DEADLINE);
        call.args(["--reset", "-u", workspace.set.commit.as_str()])
            .run()?;
        Ok(())
    }

    /// Compares the files with the commit. If not all of them are compared for the first time, it says no of whatever it
    /// cannot tell at once.
    fn verify(&self, workspace: &Workspace, listing: &[Entry], which: &Which) -> Result<(), Error> {
        let (root, index) = (workspace.path.as_path(), workspace.index());
        if standing::holds(root, &index, listing, self.is_sha256(), which) {
            return Ok(());
        }
        let unclean = |differing| Error::NotClean {
            path: workspace.path.clone(),
            commit: workspace.set.commit.clone(),
            differing,
        };
        if !matches!(which, Which::All) {
            return Err(unclean(Vec::new()));
        }
        let words = [
            "-z",
            "--raw",
            "--no-abbrev",
            "--no-renames",
            "--ignore-submodules=all",
        ];
        let call = self.lane_call(workspace, "diff-index").args(words);
        let listing = call.arg(workspace.set.commit.as_str()).bytes()?;
        let mut differing = repository::parse_raw(&listing)?;
        // A file whose stored form is not the one git would store today looks changed and is not.
        if !differing.is_empty() {
            let same = self.unchanged_bytes(&workspace.path, &differing)?;
            differing.retain(|change| {
                change.old_mode != change.new_mode || !same.contains(&change.path)
            });
        }
        if differing.is_empty() {
            return Ok(());
        }
        let paths = differing.into_iter().map(|change| change.path);
        Err(unclean(paths.collect()))
    }
}
