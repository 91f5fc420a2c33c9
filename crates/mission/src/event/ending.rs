//! How turns and attempts end.

use crate::ids::TreeId;
use crate::time::Timestamp;
use crate::turn::{Failure, Finding};
use serde::{Deserialize, Serialize};

/// How a turn's lease ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "how")]
pub enum Ending {
    /// With an answer; the next event says which.
    Answered,
    /// The provider would not serve it.
    Refused {
        /// What it said.
        why: String,
        /// The turn is tried again then.
        until: Timestamp,
        /// It did not say no, it failed again and again: that counts for the breaker of the model.
        #[serde(default, skip_serializing_if = "is_false")]
        outage: bool,
    },
    /// Without an answer.
    Failed {
        /// What kind of failure.
        failure: Failure,
        /// What is known of it.
        why: String,
    },
    /// It was not begun: its provider had refused somebody else, or its model was left alone.
    Held {
        /// What was known of that.
        why: String,
        /// The turn is tried again then.
        until: Timestamp,
    },
    /// Its time ran out.
    Expired,
    /// The budget had no more to lend.
    Overspent,
    /// The mission was cancelled.
    Cancelled,
}

impl Ending {
    /// Whether its provider would not serve it, whosever fault that was.
    pub fn is_refusal(&self) -> bool {
        let failure = match self {
            Self::Failed { failure, .. } => Some(*failure),
            _ => None,
        };
        matches!(self, Self::Refused { .. }) || failure == Some(Failure::Refused)
    }
}

/// Who or what turned an attempt down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Rejection {
    /// Nothing differs from the base.
    Nothing,
    /// Its turn ended without an answer: it fell silent, gave none, or ran out of room, time or tokens.
    Unfinished {
        /// Why, as far as is known.
        why: String,
    },
    /// It wrote where no agent may.
    Protected {
        /// The paths.
        paths: Vec<String>,
    },
    /// It bent what judges it: removed or silenced tests without saying so, changed what a gate runs.
    Bent {
        /// What was bent, in words.
        what: Vec<String>,
    },
    /// A gate was not green.
    Gate {
        /// The gate's name.
        gate: String,
        /// The tree it was run on.
        tree: TreeId,
    },
    /// The Reviewer did not accept it.
    Review {
        /// What was found.
        findings: Vec<Finding>,
    },
    /// A person did not accept it.
    Person {
        /// What they said.
        note: String,
    },
    /// It could not be merged onto what had landed meanwhile.
    Conflict {
        /// The paths that both sides changed.
        paths: Vec<String>,
        /// Both sides, shortened.
        excerpt: String,
    },
}

/// What is not so is not stored.
fn is_false(is: &bool) -> bool {
    !is
}
