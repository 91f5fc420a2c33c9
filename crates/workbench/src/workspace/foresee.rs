//! What a workspace that is still worked in would not merge with. Nothing is written but objects that nobody names.

use super::Workspace;
use crate::git::RepoPath;
use crate::landing::{self, ConflictPath, Merge};
use crate::repository::MissionRepository;
use mission::ids::CommitId;
use std::collections::BTreeSet;

/// What a workspace held at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glance {
    commit: CommitId,
    base: CommitId,
    changed: BTreeSet<RepoPath>,
}

impl Glance {
    /// The commit that holds it; its base where nothing is changed. No ref keeps it: whoever comes back to it may find
    /// that it is gone.
    pub fn commit(&self) -> &CommitId {
        &self.commit
    }
}

impl MissionRepository {
    /// Takes the content of a workspace as it is this moment.
    ///
    /// The workspace's own index and the agent's repository are left alone. An agent may be in the middle of writing: what
    /// is found is true of that moment, and may be an error.
    ///
    /// # Errors
    /// If the content cannot be taken, for whatever reason.
    pub fn glance(&self, workspace: &Workspace, base: &CommitId) -> Result<Glance, landing::Error> {
        let index = self.passing();
        let tree = workspace
            .check_identity()
            .and_then(|()| self.take(workspace, base, &index.0))
            .map_err(Box::new)?
            .tree;
        let changes = self.changes(base.as_str(), tree.as_str(), false)?;
        let changed: BTreeSet<_> = changes.into_iter().map(|change| change.path).collect();
        let commit = match changed.is_empty() {
            true => base.clone(),
            false => self.passing_commit(base, &tree)?,
        };
        let base = base.clone();
        Ok(Glance {
            commit,
            base,
            changed,
        })
    }

    /// Holds what a workspace held against another commit, that of another workspace or one that stays: the paths that do
    /// not merge, as far as the workspace changed them, with what the other says there as [`ConflictPath::ours`].
    ///
    /// # Errors
    /// If either is not there any more.
    pub fn foresee(
        &self,
        glance: &Glance,
        other: &CommitId,
    ) -> Result<Vec<ConflictPath>, landing::Error> {
        if glance.changed.is_empty() {
            return Ok(Vec::new());
        }
        let Merge::Conflict(mut paths) = self.merge(other, &glance.commit)? else {
            return Ok(Vec::new());
        };
        // What others do to each other is not this workspace's affair.
        paths.retain(|conflict| glance.changed.contains(&conflict.path));
        if paths.is_empty() {
            return Ok(paths);
        }
        // Nor is what the other has against the base: it may have begun on an older line.
        if let Merge::Conflict(without) = self.merge(other, &glance.base)? {
            let same = |one: &ConflictPath, other: &ConflictPath| {
                (&one.path, one.kind, &one.ours) == (&other.path, other.kind, &other.ours)
            };
            paths.retain(|conflict| !without.iter().any(|other| same(conflict, other)));
        }
        Ok(paths)
    }
}
