//! The TODO: a view of the plan that people may write on. Every line has its own version; a writer names the one it
//! saw, so that two writers of different lines never hinder each other and two writers of one line never lose a word.

use crate::ids::TaskId;
use crate::limits;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A line's name: a task's, or a proposal's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineId {
    /// A task of the plan.
    Task(TaskId),
    /// A line that somebody added, from 1.
    Proposal(u32),
}

/// A change that somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "edit")]
pub enum TodoEdit {
    /// Says that a line is done. A request: what is done, evidence says.
    Tick {
        /// Which line.
        line: LineId,
        /// The line's version that the writer saw.
        saw: u64,
    },
    /// Takes a tick back.
    Untick {
        /// Which line.
        line: LineId,
        /// The line's version that the writer saw.
        saw: u64,
    },
    /// Writes a note beside a line.
    Note {
        /// Which line.
        line: LineId,
        /// The line's version that the writer saw.
        saw: u64,
        /// The note.
        text: String,
    },
    /// Adds a line: a proposed task.
    Propose {
        /// What it says.
        text: String,
    },
}

/// What people wrote on one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Grows by one with every change of the line; a line that nobody has touched has 0.
    pub version: u64,
    /// Whether somebody asked for a tick.
    pub ticked: bool,
    /// The note beside it.
    pub note: String,
    /// What a proposal says; empty for tasks.
    pub text: String,
}

/// Why a change was not made. Nothing of it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditRefused {
    /// Somebody was faster.
    #[error(
        "the line was changed meanwhile: you saw version {saw}, it has version {now}; read it again and repeat the change"
    )]
    Stale {
        /// The version that the writer saw.
        saw: u64,
        /// The line's version.
        now: u64,
    },
    /// There is no such line.
    #[error("there is no such line in the TODO; `orchestrator todo` shows its lines")]
    Unknown,
    /// The text is empty or too long.
    #[error("the text has {found} bytes; it must have 1 to {}", limits::TODO_BYTES)]
    Length {
        /// How many it has.
        found: usize,
    },
    /// There are too many proposals.
    #[error(
        "the TODO has {} proposed lines already; no more are taken",
        limits::TODO_PROPOSALS
    )]
    Full,
}

/// What people wrote on the TODO.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Todo {
    /// Grows by one with every change.
    pub version: u64,
    lines: BTreeMap<LineId, Line>,
    proposals: u32,
}

impl Todo {
    /// The lines that somebody wrote on.
    pub fn lines(&self) -> impl Iterator<Item = (LineId, &Line)> {
        self.lines.iter().map(|(id, line)| (*id, line))
    }

    /// What was written on one line.
    pub fn line(&self, id: LineId) -> Line {
        self.lines.get(&id).cloned().unwrap_or_default()
    }

    /// Whether a change may be made; `known` says which tasks there are.
    pub fn check(
        &self,
        edit: &TodoEdit,
        known: impl Fn(TaskId) -> bool,
    ) -> Result<(), EditRefused> {
        let text_fits = |text: &str| match text.trim().len() {
            1..=limits::TODO_BYTES => Ok(()),
            found => Err(EditRefused::Length { found }),
        };
        let (line, saw) = match edit {
            TodoEdit::Propose { text } => {
                return if self.proposals as usize >= limits::TODO_PROPOSALS {
                    Err(EditRefused::Full)
                } else {
                    text_fits(text)
                };
            }
            TodoEdit::Note { line, saw, text } => {
                text_fits(text)?;
                (line, saw)
            }
            TodoEdit::Tick { line, saw } | TodoEdit::Untick { line, saw } => (line, saw),
        };
        let there = match line {
            LineId::Task(task) => known(*task),
            LineId::Proposal(n) => *n >= 1 && *n <= self.proposals,
        };
        let now = self.lines.get(line).map_or(0, |line| line.version);
        if !there {
            Err(EditRefused::Unknown)
        } else if now != *saw && !crate::planted!("todo_version_unchecked") {
            Err(EditRefused::Stale { saw: *saw, now })
        } else {
            Ok(())
        }
    }

    /// Makes a change that was checked.
    pub(crate) fn apply(&mut self, version: u64, edit: &TodoEdit) {
        self.version = version;
        let line = match edit {
            TodoEdit::Propose { .. } => {
                self.proposals += 1;
                LineId::Proposal(self.proposals)
            }
            TodoEdit::Tick { line, .. }
            | TodoEdit::Untick { line, .. }
            | TodoEdit::Note { line, .. } => *line,
        };
        let line = self.lines.entry(line).or_default();
        line.version += 1;
        match edit {
            TodoEdit::Tick { .. } => line.ticked = true,
            TodoEdit::Untick { .. } => line.ticked = false,
            TodoEdit::Note { text, .. } => text.trim().clone_into(&mut line.note),
            TodoEdit::Propose { text } => text.trim().clone_into(&mut line.text),
        }
    }
}
