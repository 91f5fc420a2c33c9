//! What a workspace that is still worked in would not merge with. Nothing is written but objects that nobody names.

use super::Workspace;
use crate::landing::{self, ConflictPath, Merge};
use crate::repository::MissionRepository;
use mission::ids::CommitId;
use std::collections::BTreeSet;

impl MissionRepository {
    /// Holds the content of a workspace, as it is this moment, against other commits: of each the paths that do not merge,
    /// as far as the workspace changed them, with what the commit says there as [`ConflictPath::ours`].
    ///
    /// The workspace's own index and the agent's repository are left alone. An agent may be in the middle of writing: what
    /// is found is true of that moment, and may be an error.
    ///
    /// # Errors
    /// If the content cannot be taken, for whatever reason.
    pub fn foresee(
        &self,
        workspace: &Workspace,
        base: &CommitId,
        others: &[CommitId],
    ) -> Result<Vec<Vec<ConflictPath>>, landing::Error> {
        let index = self.passing();
        let tree = workspace
            .check_identity()
            .and_then(|()| self.take(workspace, base, &index.0))
            .map_err(Box::new)?
            .tree;
        let changes = self.changes(base.as_str(), tree.as_str(), false)?;
        if changes.is_empty() {
            return Ok(vec![Vec::new(); others.len()]);
        }
        let own: BTreeSet<_> = changes.iter().map(|change| &change.path).collect();
        let commit = self.passing_commit(base, &tree)?;
        let mut found = Vec::new();
        for other in others {
            found.push(match self.merge(other, &commit)? {
                Merge::Clean(_) => Vec::new(),
                // What others do to each other is not this workspace's affair.
                Merge::Conflict(mut paths) => {
                    paths.retain(|conflict| own.contains(&conflict.path));
                    paths
                }
            });
        }
        Ok(found)
    }
}
