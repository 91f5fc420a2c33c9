//! Delivery into the user's repository: as a new branch, or as a commit on the branch that is checked out.

use super::{Broken, DeliveryPlan, Error, Undone};
use crate::disk;
use crate::git::{Call, RefName, RepoPath};
use crate::repository::{MissionRepository, Project, UserRepository};
use crate::snapshot::{Base, Head};
use mission::ids::CommitId;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// What came of delivering a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Branch {
    /// It is new.
    Made,
    /// It was there already, at this commit.
    AlreadyThere,
}

impl MissionRepository {
    /// Makes a new branch in the user's repository at a commit, with all objects it needs. An existing branch is never
    /// moved; nothing is checked out.
    ///
    /// # Errors
    /// [`Error::BranchTaken`] if a branch of that name stands elsewhere, [`Error::NoGit`] without a repository.
    pub fn deliver_branch(
        &self,
        project: &Project,
        name: &str,
        commit: &CommitId,
    ) -> Result<Branch, Error> {
        let user = project.repository().ok_or(Error::NoGit)?;
        let name = RefName::branch(name)?;
        let taken = |found: CommitId| match found == *commit {
            true => Ok(Branch::AlreadyThere),
            false => Err(Error::BranchTaken {
                name: name.clone(),
                found,
            }),
        };
        if let Some(found) = user.commit_at(name.as_str())? {
            return taken(found);
        }
        self.send(user, commit)?;
        crate::fault::point("deliver.branch sent");
        let nothing = self.zeros();
        let words = [
            "--no-deref",
            name.as_str(),
            commit.as_str(),
            nothing.as_str(),
        ];
        match user.call("update-ref").args(words).run() {
            Ok(_) => {
                crate::fault::point("deliver.branch made");
                Ok(Branch::Made)
            }
            Err(error) => match user.commit_at(name.as_str())? {
                Some(found) => taken(found),
                None => Err(error.into()),
            },
        }
    }

    /// Removes a delivered branch, if it still ends where it was delivered. Tells whether it is gone.
    ///
    /// # Errors
    /// [`Error::BranchInUse`] if it is checked out somewhere: without it, everything there would look newly added.
    pub fn undo_branch(
        &self,
        project: &Project,
        name: &str,
        commit: &CommitId,
    ) -> Result<bool, Error> {
        let user = project.repository().ok_or(Error::NoGit)?;
        let name = RefName::branch(name)?;
        match user.commit_at(name.as_str())? {
            None => Ok(true),
            Some(found) if found != *commit => Ok(false),
            Some(_) => {
                if let Some(place) = checked_out(user, &name)? {
                    return Err(Error::BranchInUse { name, place });
                }
                // Git compares once more while it holds the lock.
                let words = ["--no-deref", "-d", name.as_str(), commit.as_str()];
                user.call("update-ref").args(words).run()?;
                crate::fault::point("undo.branch removed");
                Ok(true)
            }
        }
    }

    /// Puts a result on the branch that is checked out: files, branch and index move together.
    ///
    /// It means what a fast-forward means, and is done only where that is safe: the user had nothing uncommitted when
    /// the mission began and has nothing now, is on the same branch at the same commit, and the plan is the result
    /// itself. The index is locked first, so the user's git waits; the branch moves by compare-and-swap. After a crash
    /// it is called again with the same plan; a delivery that was done is left as it is then, whatever the user has
    /// done since. `dir` holds the kept bytes.
    ///
    /// # Errors
    /// [`Error::NotOnBranch`] says which of this does not hold. What was written before anything went wrong is taken
    /// back: see [`Broken`].
    pub fn deliver_commit(
        &self,
        project: &Project,
        base: &Base,
        plan: &DeliveryPlan,
        commit: &CommitId,
        dir: &Path,
    ) -> Result<(), Broken> {
        let user = project.repository().ok_or(Error::NoGit)?;
        let not = |why| Error::NotOnBranch { why };
        let Head::Branch(branch) = &base.head else {
            return Err(not("no branch was checked out").into());
        };
        if base.head_commit.as_ref() != Some(&base.commit) || plan.now != base.tree {
            return Err(not("there is uncommitted work").into());
        }
        if plan.merged != self.tree_of(commit).map_err(Error::from)? {
            return Err(not("the result was merged with newer work").into());
        }
        let to = Commit {
            project,
            user,
            base,
            branch,
            plan,
            commit,
            dir,
        };
        // A delivery that began holds the index until it is done or taken back. Without our lock there is nothing half
        // done, and a delivery that was done is the user's.
        if !Lock::is_ours(user, commit)? && to.stands()? == Stands::Delivered {
            return Ok(());
        }
        let lock =
            Lock::take(user, commit)?.ok_or_else(|| not("another git command holds the index"))?;
        let here = crate::snapshot::find_head(user).map_err(Error::from)?.0 == base.head;
        crate::fault::point("deliver.commit locked");
        let done = match to.stands()? {
            // It was cut short between the branch and the index.
            Stands::Delivered if here && to.at()?.as_ref() == Some(commit) => Ok(()),
            Stands::Delivered => return Ok(()),
            Stands::Before if here => self.commit_files(&to),
            Stands::Before | Stands::Elsewhere => {
                let why = not("the branch has moved or another is checked out");
                if !lock.taken_over {
                    return Err(why.into());
                }
                let back = self.undo(project, plan, dir);
                lock.stays_if(back.is_err());
                return Err(Broken::new(why, back.map(|undone| undone.kept)));
            }
        };
        match done.and_then(|()| self.finish_index(&to, &lock)) {
            Ok(()) => Ok(()),
            Err(why) => {
                let back = self.take_back(&to, &lock);
                // While something of it is left the lock stays: whoever tries again sees that it is ours.
                lock.stays_if(back.is_err());
                Err(Broken::new(why, back))
            }
        }
    }

    /// Takes a delivered commit back: files, branch and index. Gives the files that were left as the user has edited
    /// them, and the branch's name if it stays because somebody has gone on from the commit.
    ///
    /// # Errors
    /// [`Error::CommitStays`] if another branch is checked out, something that was delivered is staged anew, or another
    /// git command holds the index. Nothing is changed then.
    pub fn undo_commit(
        &self,
        project: &Project,
        base: &Base,
        plan: &DeliveryPlan,
        commit: &CommitId,
        dir: &Path,
    ) -> Result<(Undone, Option<String>), Error> {
        let user = project.repository().ok_or(Error::NoGit)?;
        let stays = |why: String| Error::CommitStays { why };
        let Head::Branch(branch) = &base.head else {
            return Err(stays("it was delivered to no branch".to_owned()));
        };
        let name = branch.strip_prefix("refs/heads/").unwrap_or(branch);
        let to = Commit {
            project,
            user,
            base,
            branch,
            plan,
            commit,
            dir,
        };
        let lock = Lock::take(user, commit)?.ok_or_else(|| {
            stays("another git command holds the index; undo again when it has ended".to_owned())
        })?;
        if crate::snapshot::find_head(user)?.0 != base.head {
            let why = format!("another branch is checked out; check out {name} and undo again");
            return Err(stays(why));
        }
        let at = to.at()?;
        if at.as_ref() == Some(commit) || at == base.head_commit {
            let kept = self.take_back(&to, &lock)?;
            let restored = plan.files.len() - kept.len();
            return Ok((Undone { restored, kept }, None));
        }
        let undone = self.undo(project, plan, dir)?;
        Ok((undone, Some(name.to_owned())))
    }

    /// Writes the files and moves the branch.
    fn commit_files(&self, to: &Commit<'_>) -> Result<(), Error> {
        self.send(to.user, to.commit)?;
        crate::fault::point("deliver.commit sent");
        self.apply(to.project, to.plan)?;
        crate::fault::point("deliver.commit applied");
        to.moved(&to.base.commit, to.commit, "deliver")?;
        crate::fault::point("deliver.commit moved");
        Ok(())
    }

    /// Makes the index what the commit holds.
    fn finish_index(&self, to: &Commit<'_>, lock: &Lock<'_>) -> Result<(), Error> {
        let index = self.passing();
        crate::snapshot::copy_index(to.user, &index.0)?;
        let words = ["--reset", to.commit.as_str()];
        self.index_call(to, &index.0, "read-tree")
            .args(words)
            .run()?;
        self.refresh(to, &index.0)?;
        lock.write_index(&index.0)
    }

    /// Files, branch and index as they were, whatever of them was changed already. Gives the files that were left.
    fn take_back(&self, to: &Commit<'_>, lock: &Lock<'_>) -> Result<Vec<RepoPath>, Error> {
        let (commit, base) = (to.commit.as_str(), to.base.commit.as_str());
        // The index is made first: what the user has staged since may be in the way, and then nothing is changed.
        let index = self.passing();
        crate::snapshot::copy_index(to.user, &index.0)?;
        let words = ["-m", "-i", commit, base];
        let merged = self.index_call(to, &index.0, "read-tree").args(words).run();
        merged.map_err(|_| Error::CommitStays {
            why: "something that was delivered is staged anew; unstage it (git restore --staged .) and undo again"
                .to_owned(),
        })?;
        let kept = self.undo(to.project, to.plan, to.dir)?.kept;
        crate::fault::point("undo.commit files");
        if to.at()?.as_ref() == Some(to.commit) {
            to.moved(to.commit, &to.base.commit, "undo")?;
        }
        crate::fault::point("undo.commit moved");
        self.refresh(to, &index.0)?;
        lock.write_index(&index.0)?;
        Ok(kept)
    }

    fn index_call(&self, to: &Commit<'_>, index: &Path, what: &'static str) -> Call {
        self.call(what)
            .work_tree(to.project.root())
            .index(index)
            .settings(to.project.settings())
    }

    fn refresh(&self, to: &Commit<'_>, index: &Path) -> Result<(), Error> {
        self.index_call(to, index, "update-index")
            .args(["-q", "--refresh"])
            .answers(&[0, 1])
            .run()?;
        Ok(())
    }

    /// Copies all objects of a commit that the user's repository lacks into it.
    fn send(&self, user: &UserRepository, commit: &CommitId) -> Result<(), Error> {
        let mut wanted = format!("{commit}\n");
        if let Some(head) = user.commit_at("HEAD")? {
            wanted.push_str(&format!("^{head}\n"));
        }
        let words = ["--revs", "--stdout", "--quiet", "--delta-base-offset"];
        let pack = self
            .call("pack-objects")
            .args(words)
            .input(wanted.into_bytes())
            .bytes()?;
        user.call("index-pack")
            .args(["--stdin", "--fix-thin"])
            .input(pack)
            .run()?;
        Ok(())
    }
}

/// The working tree of a repository that a branch is checked out in. One whose folder is gone is none; one on a disk that is
/// not there now still is.
fn checked_out(user: &UserRepository, name: &RefName) -> Result<Option<PathBuf>, Error> {
    let words = ["list", "--porcelain", "-z"];
    let listing = user.call("worktree").args(words).bytes()?;
    let lines: Vec<&[u8]> = listing.split(|byte| *byte == 0).collect();
    // An empty line ends what is told of each.
    for told in lines.split(|line| line.is_empty()) {
        let of = |what: &[u8]| told.iter().find_map(|line| line.strip_prefix(what));
        let is_on_it = of(b"branch ") == Some(name.as_str().as_bytes());
        let Some(place) = of(b"worktree ").filter(|_| is_on_it) else {
            continue;
        };
        let place = PathBuf::from(OsStr::from_bytes(place));
        let is_removed = || place.parent().is_some_and(Path::is_dir) && !place.exists();
        if of(b"prunable").is_none() || !is_removed() {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

/// A delivery as a commit: whose, where and what.
struct Commit<'a> {
    project: &'a Project,
    user: &'a UserRepository,
    base: &'a Base,
    branch: &'a str,
    plan: &'a DeliveryPlan,
    commit: &'a CommitId,
    dir: &'a Path,
}

/// Where the branch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stands {
    /// Where the mission began.
    Before,
    /// At the delivered commit, or somewhere the user has gone from it.
    Delivered,
    /// Somewhere else.
    Elsewhere,
}

impl Commit<'_> {
    fn at(&self) -> Result<Option<CommitId>, Error> {
        Ok(self.user.commit_at(self.branch)?)
    }

    fn stands(&self) -> Result<Stands, Error> {
        let Some(at) = self.at()? else {
            return Ok(Stands::Elsewhere);
        };
        if at == self.base.commit {
            return Ok(Stands::Before);
        }
        if at == *self.commit || self.user.descends(&at, self.commit)? {
            return Ok(Stands::Delivered);
        }
        // The user may have amended it, or gone back before it: then it stands in what git remembers of the branch.
        let words = ["-g", "--format=%H", "--max-count=1000", self.branch, "--"];
        let call = self.user.call("log").args(words);
        let said = call.answers(&[0, 128]).text()?;
        let last = said
            .lines()
            .find(|id| *id == self.commit.as_str() || *id == self.base.commit.as_str());
        Ok(match last == Some(self.commit.as_str()) {
            true => Stands::Delivered,
            false => Stands::Elsewhere,
        })
    }

    /// Moves the branch by compare-and-swap.
    fn moved(&self, from: &CommitId, to: &CommitId, why: &str) -> Result<(), Error> {
        let message = format!("opencode-orchestrator: {why}");
        self.user
            .call("update-ref")
            .setting("core.logAllRefUpdates", "true")
            .env("GIT_COMMITTER_NAME", "opencode-orchestrator")
            .env("GIT_COMMITTER_EMAIL", "opencode-orchestrator@localhost")
            .args(["--no-deref", "-m", &message, self.branch])
            .args([to.as_str(), from.as_str()])
            .run()?;
        Ok(())
    }
}

/// The lock of the user's index, by git's own rules: `index.lock`, made anew or not at all.
struct Lock<'a> {
    user: &'a UserRepository,
    mark: Vec<u8>,
    /// Whether a delivery of the same commit that was cut short held it already.
    taken_over: bool,
    stays: bool,
}

impl<'a> Lock<'a> {
    fn place(user: &UserRepository) -> PathBuf {
        user.git_dir().join("index.lock")
    }

    fn mark(commit: &CommitId) -> Vec<u8> {
        format!("opencode-orchestrator {commit}\n").into_bytes()
    }

    /// Whether a delivery of this commit that was cut short holds the index.
    fn is_ours(user: &UserRepository, commit: &CommitId) -> Result<bool, Error> {
        Ok(disk::read_if_there(&Self::place(user))? == Some(Self::mark(commit)))
    }

    /// Takes the lock; nothing if somebody else has it. One that a killed delivery of the same commit left is taken over.
    ///
    /// It appears whole: a lock without its mark would be nobody's, and in the way of the user's git for good.
    fn take(user: &'a UserRepository, commit: &CommitId) -> Result<Option<Self>, Error> {
        let (path, mark) = (Self::place(user), Self::mark(commit));
        let beside = user.git_dir().join("index.orchestrator-lock");
        disk::write(&beside, &mark)?;
        crate::fault::point("deliver.commit marked");
        let put = disk::put_new(&beside, &path);
        disk::remove(&beside)?;
        let lock = |taken_over| Self {
            user,
            mark,
            taken_over,
            stays: false,
        };
        match put {
            Ok(()) => Ok(Some(lock(false))),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                Ok(Self::is_ours(user, commit)?.then(|| lock(true)))
            }
            Err(error) => Err(disk::failed("lock", &path)(error).into()),
        }
    }

    /// Leaves the lock where it is, for whoever tries again.
    fn stays_if(mut self, stays: bool) {
        self.stays = stays;
    }

    /// Puts a new index into place, whole and in one step.
    fn write_index(&self, new: &Path) -> Result<(), Error> {
        let index = self.user.git_dir().join("index");
        let bytes = fs::read(new).map_err(disk::failed("read", new))?;
        let beside = self.user.git_dir().join("index.orchestrator");
        disk::write(&beside, &bytes)?;
        crate::fault::point("deliver.commit index written");
        fs::rename(&beside, &index).map_err(disk::failed("replace", &index))?;
        crate::fault::point("deliver.commit index replaced");
        Ok(())
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        let path = Self::place(self.user);
        let ours =
            || disk::read_if_there(&path).is_ok_and(|found| found.as_ref() == Some(&self.mark));
        if !self.stays && ours() {
            drop(fs::remove_file(&path));
        }
    }
}
