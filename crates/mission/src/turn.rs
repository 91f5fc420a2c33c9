//! What agents are asked and what they answer. Everything here that an agent wrote is untrusted.

use crate::limits;
use crate::plan::Draft;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads the request's intent.
    Commander,
    /// Writes the task graph.
    Planner,
    /// Carries one task out in a workspace of its own.
    Worker,
    /// Judges one attempt on specification, diff and evidence; reads only.
    Reviewer,
}

impl Role {
    /// The most model calls of a turn in a row; after them its agent has to answer with what it has.
    pub fn steps(self) -> u32 {
        match self {
            Self::Worker => limits::STEPS_WORK,
            Self::Commander | Self::Planner | Self::Reviewer => limits::STEPS_SHORT,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Commander => "commander",
            Self::Planner => "planner",
            Self::Worker => "worker",
            Self::Reviewer => "reviewer",
        })
    }
}

/// The Commander's reading of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Intent {
    /// The request is a question; here is its answer. Nothing is changed.
    Answer {
        /// The answer, in Markdown.
        text: String,
    },
    /// A small change: a plan of one task.
    Small {
        /// The plan; exactly one task.
        plan: Draft,
    },
    /// Larger work: the Planner is asked.
    Plan {
        /// What is wanted, in the Commander's words, for the Planner.
        goal: String,
    },
}

/// How a Worker says that its turn is over. A claim, never proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "status")]
pub enum Report {
    /// The work is done, as far as the Worker can tell.
    Done {
        /// What was done, in a few sentences.
        summary: String,
        /// Tests that were changed or removed on purpose, with the reason.
        #[serde(default)]
        changed_tests: Vec<ChangedTest>,
        /// What a reader of the result should know: open risks, things left alone.
        #[serde(default)]
        notes: Vec<String>,
    },
    /// The Worker cannot go on.
    Blocked {
        /// Why, and what would help.
        why: String,
    },
    /// The task's specification is wrong or contradicts the repository.
    SpecWrong {
        /// What is wrong with it.
        why: String,
    },
}

/// A Worker's report of an attempt after others that ended alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// What it did otherwise than those before it; empty where it says nothing of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub strategy: String,
    /// How its turn ended.
    #[serde(flatten)]
    pub report: Report,
}

/// A declared change to an existing test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedTest {
    /// The file, below the root.
    pub path: String,
    /// Why it had to change.
    pub why: String,
}

/// A Reviewer's judgement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether the attempt does what its task asks.
    pub accept: bool,
    /// What is wrong with it; empty for a clean acceptance.
    #[serde(default)]
    pub findings: Vec<Finding>,
}

/// One thing that a Reviewer found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The file, below the root.
    pub file: String,
    /// The line, from 1; 0 for the whole file.
    #[serde(default)]
    pub line: u32,
    /// What kind of fault.
    pub kind: FindingKind,
    /// What is wrong and what would mend it.
    pub what: String,
}

/// Kinds of findings. Style is not one of them: linters that the project configures judge style.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// The task's specification is not met.
    Spec,
    /// A defect in what was written.
    Defect,
    /// A test is missing, wrong, or was weakened.
    Test,
    /// A security hole.
    Security,
}

/// What one turn used, as the provider counted it. Absent numbers are unknown, not zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens sent, those read from the provider's cache apart.
    pub input: Option<u64>,
    /// Tokens received, reasoning included.
    pub output: Option<u64>,
    /// Tokens read from the provider's cache.
    pub cached: Option<u64>,
    /// Cost in millionths of a US dollar; `None` where it is unknown or a subscription.
    pub micro_usd: Option<u64>,
    /// Model calls made.
    #[serde(default)]
    pub calls: u32,
}

impl Usage {
    /// What a turn used that made no model call: nothing, which is known.
    pub const NOTHING: Self = Self {
        input: Some(0),
        output: Some(0),
        cached: Some(0),
        micro_usd: Some(0),
        calls: 0,
    };

    /// All tokens, or `None` where the provider did not say.
    pub fn tokens(&self) -> Option<u64> {
        Some(self.input? + self.output? + self.cached.unwrap_or(0))
    }
}

/// What shape of answer a turn must end with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerKind {
    /// An [`Intent`].
    Intent,
    /// A [`Draft`] of a plan.
    Plan,
    /// A [`Report`].
    Report,
    /// A [`Diagnosis`].
    Diagnosis,
    /// A [`Verdict`].
    Verdict,
}

/// The answer of a turn, read into its type; what it says is still only a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The Commander's.
    Intent(Intent),
    /// The Planner's.
    Plan(Draft),
    /// A Worker's.
    Report(Report),
    /// A Worker's, of an attempt that is a diagnosis.
    Diagnosis(Diagnosis),
    /// A Reviewer's.
    Verdict(Verdict),
}

impl Answer {
    /// Which kind it is.
    pub fn kind(&self) -> AnswerKind {
        match self {
            Self::Intent(_) => AnswerKind::Intent,
            Self::Plan(_) => AnswerKind::Plan,
            Self::Report(_) => AnswerKind::Report,
            Self::Diagnosis(_) => AnswerKind::Diagnosis,
            Self::Verdict(_) => AnswerKind::Verdict,
        }
    }

    /// How a Worker says that its turn is over, if it is a Worker's.
    pub fn report(&self) -> Option<&Report> {
        match self {
            Self::Report(report) | Self::Diagnosis(Diagnosis { report, .. }) => Some(report),
            Self::Intent(_) | Self::Plan(_) | Self::Verdict(_) => None,
        }
    }
}

/// How a turn ended, as the agent's host tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "how")]
pub enum Outcome {
    /// An answer of the asked kind came.
    Answered {
        /// The answer.
        answer: Answer,
        /// What the turn used.
        usage: Usage,
    },
    /// The provider would not serve the turn now (429, overload, spent quota). No attempt is used up.
    Refused {
        /// How long the provider asked to wait, if it said.
        retry_after: Option<crate::time::Millis>,
        /// What it said.
        why: String,
        /// What the turn used before.
        usage: Usage,
        /// It did not say no, it failed again and again, and the turn comes back later: that speaks of its model alone.
        #[serde(default)]
        outage: bool,
    },
    /// The turn ended without an answer.
    Failed {
        /// What kind of failure.
        failure: Failure,
        /// What is known of it, for people.
        why: String,
        /// What the turn used.
        usage: Usage,
    },
}

/// Kinds of failed turns, as far as they are treated differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The connection, the model or the agent's process failed; trying again may help.
    Transient,
    /// What the turn needs here failed before a model could: no room on the disk, no process, no server of agents. It is
    /// no fault of the model, nor of the agent.
    Machine,
    /// No answer of the asked kind came, after every repair.
    NoAnswer,
    /// The model's context overflowed.
    Overflow,
    /// Nothing was heard of the agent for too long.
    Silent,
    /// The provider refuses this one turn again and again, and serves others: what it asks for is at fault.
    Refused,
    /// It will not work however often it is tried: no login, a revoked key, an unknown model, no money.
    Fatal,
}
