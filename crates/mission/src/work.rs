//! What the engine saw in the user's folder and in workspaces.

use crate::ids::{CommitId, Digest, TreeId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Which lanes have a workspace in which a Worker has worked, and how often that was of use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workspaces {
    lanes: BTreeSet<u32>,
    /// So many turns of Workers began.
    pub begun: u32,
    /// So many of them in a workspace in which one had worked before: only what differs was written for them.
    pub warm: u32,
}

impl Workspaces {
    pub(crate) fn begun_in(&mut self, lane: u32) {
        self.begun += 1;
        self.warm += u32::from(!self.lanes.insert(lane));
    }

    /// The workspaces are gone.
    pub(crate) fn gone(&mut self) {
        self.lanes.clear();
    }
}

/// The state that a mission starts from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// The commit that holds it, uncommitted files included.
    pub commit: CommitId,
    /// Its tree.
    pub tree: TreeId,
    /// The branch that was checked out; `None` for a detached head or a folder without git.
    pub branch: Option<String>,
    /// The commit that was checked out; `None` where there was none.
    pub head: Option<CommitId>,
    /// How many changed or untracked files went into it.
    pub uncommitted: u32,
    /// Files that stayed out, with the reason; at most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

/// What an attempt's workspace held against its base, whatever the agent committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// The commit that holds it; its parent is the attempt's base.
    pub commit: CommitId,
    /// Its tree.
    pub tree: TreeId,
    /// Paths that differ from the base, sorted; at most 2,000.
    pub touched: Vec<String>,
    /// How many paths differ in all.
    pub files: u32,
    /// What the diff does to tests and gates.
    #[serde(default)]
    pub tests: TestFacts,
    /// Paths among the touched that no agent may write.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protected: Vec<String>,
}

/// What a diff does to what judges it. Facts, not judgements.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestFacts {
    /// Test files that are new, or lost no line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<String>,
    /// Those of the added that were there before: they lost no line and gained some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grown: Vec<String>,
    /// How many tests more are written in the added files, as far as they can be counted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub written: u32,
    /// Test files that the base has and that differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
    /// Test files that are gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
    /// Tests that are newly skipped, as `file: what`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silenced: Vec<String>,
    /// Gate definitions that differ, as `file: what`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<String>,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// What a finished result is found again by: what was asked, of whom, on top of which results. The base tree and the
/// model are not part of it: whether an old result still fits, merge and gates decide, and they cost no tokens.
pub fn result_key(spec: &Digest, needs: &[Digest], policy: &str) -> Digest {
    let mut bytes = Vec::new();
    for part in std::iter::once(spec.as_str())
        .chain(needs.iter().map(Digest::as_str))
        .chain([policy])
    {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    Digest::of(&bytes)
}
