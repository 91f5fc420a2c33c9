//! What is typed to look at a plan and to change it.

use super::steering::{Class, OfMission};
use clap::{Args, Subcommand, ValueEnum};
use mission::ids::{MissionId, TaskId};
use std::path::PathBuf;

/// `orchestrator plan`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct PlanArgs {
    /// What to change; without one the plan is shown.
    #[command(subcommand)]
    pub(crate) change: Option<PlanChange>,
    /// The mission, as in `m7`; the last one of this folder if none is named.
    pub(crate) mission: Option<MissionId>,
    /// Print JSON for machines.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A change of a plan.
#[derive(Debug, Subcommand)]
pub(crate) enum PlanChange {
    /// Adds a task.
    Add {
        /// A name for it, which others may need it by; `T` and its number if none is given.
        #[arg(long, value_name = "NAME")]
        id: Option<String>,
        /// Who does it.
        #[arg(long, value_name = "KIND", default_value = "agent")]
        kind: Kind,
        #[command(flatten)]
        fields: TaskFields,
        #[command(flatten)]
        seen: Seen,
    },
    /// Drops a task that has not begun and that no other needs.
    Drop {
        /// The task, as in `T3`.
        task: TaskId,
        #[command(flatten)]
        seen: Seen,
    },
    /// Opens what has not begun in your editor, and makes all your changes at once or none.
    Edit(EditArgs),
    /// Changes a task that has not begun. What is not named stays.
    Set {
        /// The task, as in `T3`.
        task: TaskId,
        #[command(flatten)]
        fields: TaskFields,
        #[command(flatten)]
        seen: Seen,
    },
}

/// `orchestrator plan edit`.
#[derive(Debug, Args)]
pub(crate) struct EditArgs {
    /// The mission, as in `m7`; the last one of this folder if none is named.
    pub(crate) mission: Option<MissionId>,
    /// Take the edited text from a file, `-` for standard input; no editor is opened.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Print the text that the editor would open, and change nothing.
    #[arg(long, conflicts_with_all = ["file", "json"])]
    pub(crate) print: bool,
    /// Print JSON for machines.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which plan somebody saw.
#[derive(Debug, Args)]
pub(crate) struct Seen {
    /// The version of the plan that you saw; without it, its version now.
    #[arg(long, value_name = "N")]
    pub(crate) saw: Option<u64>,
    #[command(flatten)]
    pub(crate) of: OfMission,
}

/// What a task is.
#[derive(Debug, Args)]
pub(crate) struct TaskFields {
    /// One line for lists.
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,
    /// What is to be done, and how one knows that it is.
    #[arg(long, value_name = "TEXT")]
    pub(crate) goal: Option<String>,
    /// Tasks that must have landed first, as in `T1,T2`; an empty text for none.
    #[arg(long, value_name = "TASKS", value_delimiter = ',')]
    pub(crate) needs: Option<Vec<String>>,
    /// Paths that it will probably write, with commas between them; an empty text for none.
    #[arg(long, value_name = "PATHS", value_delimiter = ',')]
    pub(crate) writes: Option<Vec<String>>,
    /// A command that proves it; may be repeated.
    #[arg(long, value_name = "COMMAND")]
    pub(crate) proof: Option<Vec<String>>,
    /// How soon it starts, once it can.
    #[arg(long, value_name = "CLASS")]
    pub(crate) priority: Option<Class>,
    /// How big it is.
    #[arg(long, value_name = "SIZE")]
    pub(crate) size: Option<Bulk>,
}

/// How big a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lowercase")]
pub(crate) enum Bulk {
    /// A few lines.
    Small,
    /// An hour of a person's work.
    Medium,
    /// A day of it.
    Large,
}

/// Who does a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// A Worker.
    Agent,
    /// Its commands alone: they must be green on what has landed.
    Gate,
    /// You are asked.
    Ask,
}

impl From<Bulk> for mission::plan::Size {
    fn from(bulk: Bulk) -> Self {
        match bulk {
            Bulk::Small => Self::Small,
            Bulk::Medium => Self::Medium,
            Bulk::Large => Self::Large,
        }
    }
}

impl From<Kind> for mission::plan::TaskKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Agent => Self::Agent,
            Kind::Gate => Self::Gate,
            Kind::Ask => Self::Ask,
        }
    }
}
