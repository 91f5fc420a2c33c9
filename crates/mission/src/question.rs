//! The inbox: everything that a person or a policy decides.

use crate::event::Event;
use crate::ids::{AttemptId, Epoch, TaskId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A question's name: `q4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QuestionId(pub u32);

impl fmt::Display for QuestionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "q{}", self.0)
    }
}

/// The kind of a request that is no permission but a question of the agent's own.
pub const QUESTION: &str = "question";

/// The answers to a permission. What is allowed for the mission is not asked about again in it; for the project, in none
/// of its missions.
pub mod permit {
    /// This once.
    pub const ONCE: &str = "allow";
    /// For the rest of the mission.
    pub const MISSION: &str = "mission";
    /// For this mission and all that begin in the same folder.
    pub const PROJECT: &str = "project";
    /// No.
    pub const DENY: &str = "deny";

    /// Whether it allows all of the kind that was asked about. An agent's own question is no permission, however its
    /// answer reads.
    pub fn lasts(kind: &str, answer: &str) -> bool {
        kind != super::QUESTION && matches!(answer, MISSION | PROJECT)
    }
}

/// What a question is about, and so what its answer does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "about")]
pub enum About {
    /// Whether the plan may be carried out: `yes` or `no`.
    Plan,
    /// Something that an agent may not decide by itself; its turn stands still.
    Permission {
        /// The turn's lease.
        epoch: Epoch,
        /// The engine's own name for the request, to hand the answer back.
        token: u64,
        /// What kind of thing, for policies.
        kind: String,
    },
    /// What to do with an attempt that the Reviewer rejects with green gates: `accept`, `retry` or `leave`.
    Dispute {
        /// Which attempt.
        attempt: AttemptId,
        /// What the Reviewer found.
        findings: Vec<crate::turn::Finding>,
    },
    /// What to do with a task whose Worker cannot go on: a hint, or `leave`.
    Blocked {
        /// Which attempt.
        attempt: AttemptId,
    },
    /// A task of kind `ask`: its answer is its result.
    Task {
        /// Which.
        task: TaskId,
    },
}

/// How a question was closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// The answer.
    pub text: String,
    /// Who gave it: a person's name, `deadline`, `policy`, or `withdrawn` when it no longer matters.
    pub by: String,
}

/// An open question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// About what.
    pub about: About,
    /// In words. Untrusted where an agent wrote it.
    pub text: String,
    /// To choose from; empty where any text will do.
    pub choices: Vec<String>,
    /// What is taken when no one answers.
    pub default: String,
    /// When that is.
    pub deadline: crate::time::Timestamp,
}

impl Question {
    /// It no longer matters, and takes its default.
    pub(crate) fn withdrawn(&self, id: QuestionId) -> Event {
        let (text, by) = (self.default.clone(), "withdrawn".to_owned());
        let answered = Answered { text, by };
        Event::QuestionClosed { id, answered }
    }

    /// Whether it may be answered in other words than its choices. An agent that asks of its own accord proposes answers,
    /// and the right one may be none of them.
    pub fn is_free(&self) -> bool {
        let is_own = matches!(&self.about, About::Permission { kind, .. } if kind == QUESTION);
        is_own || self.choices.is_empty()
    }
}
