//! How missions end, and how strong the proof is.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How a mission ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every task landed, and each is proved better than by a claim.
    Completed,
    /// Every task landed, but for some nothing proves more than that nobody objected.
    Unverified,
    /// Some tasks landed, others did not.
    Partial,
    /// Reviewer and gates do not agree, and nobody decided.
    Disputed,
    /// Nothing landed.
    Failed,
    /// It was cancelled.
    Cancelled,
    /// The request was a question and has been answered.
    Answered,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Completed,
        Self::Unverified,
        Self::Partial,
        Self::Disputed,
        Self::Failed,
        Self::Cancelled,
        Self::Answered,
    ];

    /// One word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Unverified => "unverified",
            Self::Partial => "partial",
            Self::Disputed => "disputed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Answered => "answered",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// How strongly a task's result is proved. Later ones are stronger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// Somebody said so.
    #[default]
    Claimed,
    /// What worked before still works.
    RegressionOnly,
    /// A check that was red on the base is green on the task's tree.
    Discriminating,
    /// Such a check, and the project's gates, are green on the combined tree.
    Landed,
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Claimed => "claimed",
            Self::RegressionOnly => "regression-only",
            Self::Discriminating => "discriminating",
            Self::Landed => "landed",
        })
    }
}
