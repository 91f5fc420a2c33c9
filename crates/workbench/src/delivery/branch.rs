//! Delivery into the user's repository: as a new branch, or as a commit on the branch that is checked out.

use super::{DeliveryPlan, Error};
use crate::disk;
use crate::git::RefName;
use crate::repository::{MissionRepository, Project, UserRepository};
use crate::snapshot::{Base, Head};
use mission::ids::CommitId;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

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
        let words = ["--no-deref", name.as_str(), commit.as_str(), &self.zeros()];
        match user.call("update-ref").args(words).run() {
            Ok(_) => Ok(Branch::Made),
            Err(error) => match user.commit_at(name.as_str())? {
                Some(found) => taken(found),
                None => Err(error.into()),
            },
        }
    }

    /// Removes a delivered branch, if it still ends where it was delivered. Tells whether it is gone.
    ///
    /// # Errors
    /// If git refuses.
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
                // Git compares once more while it holds the lock.
                let words = ["--no-deref", "-d", name.as_str(), commit.as_str()];
                user.call("update-ref").args(words).run()?;
                Ok(true)
            }
        }
    }

    /// Puts a result on the branch that is checked out: files, branch and index move together.
    ///
    /// It means what a fast-forward means, and is done only where that is safe: the user had nothing uncommitted when
    /// the mission began and has nothing now, is on the same branch at the same commit, and the plan is the result
    /// itself. The index is locked first, so the user's git waits; the branch moves by compare-and-swap. After a crash
    /// it is called again with the same plan.
    ///
    /// # Errors
    /// [`Error::NotOnBranch`] says which of this does not hold; nothing is changed then.
    pub fn deliver_commit(
        &self,
        project: &Project,
        base: &Base,
        plan: &DeliveryPlan,
        commit: &CommitId,
    ) -> Result<(), Error> {
        let user = project.repository().ok_or(Error::NoGit)?;
        let not = |why| Error::NotOnBranch { why };
        let Head::Branch(branch) = &base.head else {
            return Err(not("no branch was checked out"));
        };
        if base.head_commit.as_ref() != Some(&base.commit) || plan.now != base.tree {
            return Err(not("there is uncommitted work"));
        }
        if plan.merged != self.tree_of(commit)? {
            return Err(not("the result was merged with newer work"));
        }
        let lock =
            Lock::take(user, commit)?.ok_or_else(|| not("another git command holds the index"))?;
        let (head, at) = crate::snapshot::find_head(user)?;
        if let Some(at) = &at
            && head == base.head
            && at != commit
            && user.descends(at, commit)?
        {
            // It was delivered before a crash, and the user has committed on top of it.
            return Ok(());
        }
        if head != base.head || (at.as_ref() != Some(&base.commit) && at.as_ref() != Some(commit)) {
            return Err(not("the branch has moved or another is checked out"));
        }
        crate::fault::point("deliver.commit locked");
        let index = self.passing();
        crate::snapshot::copy_index(user, &index.0)?;
        self.send(user, commit)?;
        crate::fault::point("deliver.commit sent");
        self.apply(project, plan)?;
        crate::fault::point("deliver.commit applied");
        let words = [
            "--no-deref",
            "-m",
            "opencode-orchestrator: deliver",
            branch,
            commit.as_str(),
        ];
        user.call("update-ref")
            .setting("core.logAllRefUpdates", "true")
            .env("GIT_COMMITTER_NAME", "opencode-orchestrator")
            .env("GIT_COMMITTER_EMAIL", "opencode-orchestrator@localhost")
            .args(words)
            .arg(at.as_ref().map_or("", CommitId::as_str))
            .run()?;
        crate::fault::point("deliver.commit moved");
        let call = |what| {
            self.call(what)
                .work_tree(project.root())
                .index(&index.0)
                .settings(project.settings())
        };
        call("read-tree").args(["--reset", commit.as_str()]).run()?;
        call("update-index")
            .args(["-q", "--refresh"])
            .answers(&[0, 1])
            .run()?;
        lock.replace_index(&index.0)
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

/// The lock of the user's index, by git's own rules: `index.lock`, made anew or not at all.
struct Lock<'a> {
    user: &'a UserRepository,
    done: bool,
}

impl<'a> Lock<'a> {
    /// Takes the lock; nothing if somebody else has it. One that a killed delivery of the same commit left is taken over.
    fn take(user: &'a UserRepository, commit: &CommitId) -> Result<Option<Self>, Error> {
        let path = user.git_dir().join("index.lock");
        let mark = format!("opencode-orchestrator {commit}\n");
        match File::options().write(true).create_new(true).open(&path) {
            Ok(mut file) => file
                .write_all(mark.as_bytes())
                .map_err(disk::failed("write", &path))?,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                if disk::read_if_there(&path)?.as_deref() != Some(mark.as_bytes()) {
                    return Ok(None);
                }
            }
            Err(error) => return Err(disk::failed("lock", &path)(error).into()),
        }
        Ok(Some(Self { user, done: false }))
    }

    fn replace_index(mut self, new: &Path) -> Result<(), Error> {
        let lock = self.user.git_dir().join("index.lock");
        let index = self.user.git_dir().join("index");
        // The new index is whole beside the lock before it takes the index's place; the lock then goes.
        let bytes = fs::read(new).map_err(disk::failed("read", new))?;
        let beside = self.user.git_dir().join("index.orchestrator");
        disk::write(&beside, &bytes)?;
        fs::rename(&beside, &index).map_err(disk::failed("replace", &index))?;
        disk::remove(&lock)?;
        self.done = true;
        Ok(())
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        if !self.done {
            drop(fs::remove_file(self.user.git_dir().join("index.lock")));
        }
    }
}
