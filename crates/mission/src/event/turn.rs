//! What agents are asked to do.

use crate::ids::{AttemptId, TaskId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One thing that an agent is asked to do, under a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum Turn {
    /// Read the request's intent.
    Intent {
        /// Which try, from 1.
        n: u32,
    },
    /// Write or repair the plan.
    Plan {
        /// Which try, from 1.
        n: u32,
    },
    /// Cut a task that is stuck anew.
    Split {
        /// Which.
        task: TaskId,
        /// Which try, from 1.
        n: u32,
    },
    /// Carry out one attempt.
    Work {
        /// Which.
        attempt: AttemptId,
    },
    /// Judge one attempt.
    Review {
        /// Which attempt.
        attempt: AttemptId,
        /// Which try at judging it, from 1.
        n: u32,
    },
}

impl Turn {
    /// The task that it is about.
    pub fn task(&self) -> Option<TaskId> {
        match self {
            Self::Intent { .. } | Self::Plan { .. } => None,
            Self::Split { task, .. } => Some(*task),
            Self::Work { attempt } | Self::Review { attempt, .. } => Some(attempt.task),
        }
    }
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Intent { n } => write!(f, "intent.{n}"),
            Self::Plan { n } => write!(f, "plan.{n}"),
            Self::Split { task, n } => write!(f, "{task}/split.{n}"),
            Self::Work { attempt } => write!(f, "{attempt}"),
            Self::Review { attempt, n } => write!(f, "{attempt}/review.{n}"),
        }
    }
}
