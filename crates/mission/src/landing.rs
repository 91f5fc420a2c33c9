//! The merge queue: accepted attempts are put onto the landed line, gated as that combined tree, and land together.

use crate::ids::{AttemptId, CommitId, TreeId};
use serde::{Deserialize, Serialize};

/// What became of one attempt when it was put onto the landed line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stacked {
    /// Which attempt.
    pub attempt: AttemptId,
    /// What became of it.
    pub result: StackResult,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum StackResult {
    /// It stands in the stack as this commit.
    Put {
        /// The commit; its parent is the one below it.
        commit: CommitId,
        /// Its tree: all below it, and it.
        tree: TreeId,
    },
    /// What it changes is there already.
    Empty,
    /// Both sides changed the same lines.
    Conflict {
        /// The paths.
        paths: Vec<String>,
        /// Both sides, shortened.
        excerpt: String,
    },
}

/// A landing in flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landing {
    /// Which, from 1.
    pub n: u32,
    /// What it stands on.
    pub onto: CommitId,
    /// Its attempts, in order.
    pub attempts: Vec<AttemptId>,
    /// How far it is; `None` until the stack stands.
    pub top: Option<(CommitId, TreeId)>,
}
