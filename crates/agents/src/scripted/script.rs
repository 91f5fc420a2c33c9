//! The script file: which turn answers what. TOML, and checked as a whole before anything starts.

use super::provider::Permits;
use mission::ids::AttemptId;
use mission::turn::{Answer, AnswerKind, Failure, Role, Usage};
use serde::Deserialize;
use std::path::PathBuf;

/// A script: turns, of which the first that matches an order is played.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// How much the provider permits; where it is absent, everything.
    #[serde(default)]
    pub permits: Option<Permits>,
    /// The turns, best match first.
    #[serde(rename = "turn")]
    pub turns: Vec<Scene>,
}

/// One turn of a script.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scene {
    /// Who is asked.
    pub role: Role,
    /// Only for the task of this name in the plan.
    #[serde(default)]
    pub task: Option<String>,
    /// Only for this attempt at the task, from 1.
    #[serde(default)]
    pub attempt: Option<u32>,
    /// Only when the turn is leased for this time, from 1: a turn that was refused is leased again.
    #[serde(default)]
    pub call: Option<u32>,
    /// What is done, in order. An agent that is killed before its answer is durable does them again, in the workspace as
    /// it left it; steps that should come to the same write a file instead of adding to it.
    #[serde(default)]
    pub steps: Vec<Deed>,
    /// Whether the steps are done over and over until somebody stops the turn.
    #[serde(default)]
    pub forever: bool,
    /// What is done instead of the steps that are left once the turn is told that it goes nowhere. Without any, it does not
    /// listen.
    #[serde(default)]
    pub nudged: Vec<Deed>,
    /// How the turn ends.
    pub end: End,
    /// What it used. Where it is absent that is unknown, but for a refusal, which uses nothing.
    #[serde(default)]
    pub usage: Option<Usage>,
    /// Whether the answer is told twice.
    #[serde(default)]
    pub twice: bool,
}

impl Scene {
    /// What it used, as far as that is known.
    pub(super) fn used(&self) -> Usage {
        self.usage.unwrap_or(match self.end {
            End::Refuse { .. } => Usage::NOTHING,
            _ => Usage::default(),
        })
    }
}

/// One thing that a scripted agent does in its workspace.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Deed {
    /// Writes a file, folders above it included.
    Write {
        /// Where, below the workspace. An absolute path is written too: agents do such things.
        path: PathBuf,
        /// What.
        text: String,
    },
    /// Adds to the end of a file.
    Append {
        /// Where.
        path: PathBuf,
        /// What.
        text: String,
    },
    /// Removes a file.
    Delete(PathBuf),
    /// Runs a line under `sh -c`; its exit code is not looked at.
    Run(String),
    /// Lets time pass, in milliseconds, as a model would.
    Think(u64),
    /// Looks at a file, whether it is there or not.
    Read(PathBuf),
    /// Waits until a person says something that it does not know yet, or it is told that it goes nowhere, and adds that to
    /// the end of a file.
    Heed(PathBuf),
    /// Puts a question, and goes on whatever the answer is.
    Ask {
        /// What kind of thing it is about.
        about: String,
        /// The question.
        text: String,
    },
}

/// How a scripted turn ends.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum End {
    /// With an answer, in the form that the role's schema has.
    Answer(serde_json::Value),
    /// The provider refuses.
    Refuse {
        /// How long it asks to wait, in milliseconds.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// It fails.
    Fail(Failure),
    /// It never ends by itself.
    Hang,
    /// The agent is gone without a word.
    Die,
}

/// Why a script cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// It is not TOML, or not of this form.
    #[error("the script cannot be read at line {line}: {why}")]
    Form {
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        why: String,
    },
    /// An answer does not have the form that its role's turns must have.
    #[error("turn {place} of the script ({role}) answers in the wrong form: {why}")]
    Answer {
        /// Which turn, from 1.
        place: usize,
        /// Whose.
        role: Role,
        /// What is wrong.
        why: String,
    },
}

impl Script {
    /// Reads a script and checks every answer in it.
    ///
    /// # Errors
    /// The first thing that is wrong with it, with its place.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let script: Self = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            ScriptError::Form {
                line: text[..at].matches('\n').count() + 1,
                why: error.message().to_owned(),
            }
        })?;
        for (place, scene) in (1..).zip(&script.turns) {
            if let End::Answer(value) = &scene.end {
                let read = read_answer(kind_of(scene.role), value.clone());
                read.map_err(|why| ScriptError::Answer {
                    place,
                    role: scene.role,
                    why,
                })?;
            }
        }
        Ok(script)
    }

    /// The turn to play for an order, if there is one.
    pub(super) fn scene(
        &self,
        role: Role,
        key: Option<&str>,
        turn: &str,
        call: u32,
    ) -> Option<&Scene> {
        let attempt: Option<AttemptId> = turn.split('/').next().and_then(|name| name.parse().ok());
        self.turns.iter().find(|scene| {
            scene.role == role
                && scene.task.as_deref().is_none_or(|task| Some(task) == key)
                && scene
                    .attempt
                    .is_none_or(|n| attempt.is_some_and(|attempt| attempt.n == n))
                && scene.call.is_none_or(|n| n == call)
        })
    }
}

fn kind_of(role: Role) -> AnswerKind {
    match role {
        Role::Commander => AnswerKind::Intent,
        Role::Planner => AnswerKind::Plan,
        Role::Worker => AnswerKind::Report,
        Role::Reviewer => AnswerKind::Verdict,
    }
}

/// An answer of a kind, from JSON; the error says what does not fit.
pub(super) fn read_answer(kind: AnswerKind, value: serde_json::Value) -> Result<Answer, String> {
    let answer = match kind {
        AnswerKind::Intent => serde_json::from_value(value).map(Answer::Intent),
        AnswerKind::Plan => serde_json::from_value(value).map(Answer::Plan),
        AnswerKind::Report => serde_json::from_value(value).map(Answer::Report),
        AnswerKind::Diagnosis => serde_json::from_value(value).map(Answer::Diagnosis),
        AnswerKind::Verdict => serde_json::from_value(value).map(Answer::Verdict),
    };
    answer.map_err(|error| error.to_string())
}
