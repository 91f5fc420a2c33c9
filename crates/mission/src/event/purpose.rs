//! Why a gate is run.

use crate::ids::{AttemptId, TaskId};
use serde::{Deserialize, Serialize};

/// Why a gate is run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "why")]
pub enum Purpose {
    /// To know what the project's gate says of the untouched base.
    Baseline,
    /// To see whether the combined tree may land.
    Landing {
        /// Which landing.
        n: u32,
    },
    /// To see whether a task without an agent holds.
    Task {
        /// Which.
        task: TaskId,
    },
    /// To prove an attempt on its own tree.
    Attempt {
        /// Which.
        attempt: AttemptId,
    },
    /// To learn what an acceptance command says before the work.
    Before {
        /// Whose command.
        task: TaskId,
    },
    /// To prove the whole at the end.
    Seal,
}
