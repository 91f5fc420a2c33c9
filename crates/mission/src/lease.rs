//! Leases: the right to carry a turn out, or to run a gate.

use crate::event::{Purpose, Turn};
use crate::gate::Gate;
use crate::ids::{CommitId, TreeId};
use crate::stagnation::Stray;
use crate::time::Timestamp;

/// A lease on a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Which turn.
    pub turn: Turn,
    /// It ends then.
    pub deadline: Timestamp,
    /// What it may use.
    pub reserved: u64,
    /// What it may use of the money.
    pub money: u64,
    /// Where it works.
    pub lane: u32,
    /// Since when.
    pub since: Timestamp,
    /// The commit that it starts from.
    pub base: Option<CommitId>,
    /// Work that it goes on with.
    pub from: Option<CommitId>,
    /// The number of the last that people said which it knows.
    pub told: u32,
    /// The model that it is asked of instead of its role's own.
    pub model: Option<String>,
    /// Whether its provider is known to have served it since it was last refused.
    pub served: bool,
    /// Whether it waits in its session for a provider that refuses.
    pub waits: bool,
    /// What its turn has been told because it went nowhere, oldest first, also in leases before this one: how, and what
    /// was seen of it.
    pub nudges: Vec<(Stray, String)>,
    /// How many of these in leases before this one.
    pub heard: usize,
}

/// A lease on a gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateLease {
    /// Which gate.
    pub gate: Gate,
    /// On which commit.
    pub commit: CommitId,
    /// That commit's tree.
    pub tree: TreeId,
    /// Why.
    pub purpose: Purpose,
    /// It is given up then.
    pub deadline: Timestamp,
    /// Since when.
    pub since: Timestamp,
}
