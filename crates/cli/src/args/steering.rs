//! What is typed to steer a mission that runs.

use clap::{Args, ValueEnum};
use mission::ids::{MissionId, TaskId};

/// `orchestrator steer`.
#[derive(Debug, Args)]
pub(crate) struct SteerArgs {
    /// What they should know, in your own words.
    pub(crate) text: String,
    /// The mission, as in `m7`; the last one of this folder if none is named.
    #[arg(long, short, value_name = "MISSION")]
    pub(crate) mission: Option<MissionId>,
    /// Tell only those who work on this task or judge it, as in `T3`.
    #[arg(long, short, value_name = "TASK")]
    pub(crate) task: Option<TaskId>,
    /// Print JSON for machines.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which mission a wish for one of its tasks is about.
#[derive(Debug, Args)]
pub(crate) struct OfMission {
    /// The mission, as in `m7`; the last one of this folder if none is named.
    #[arg(long, short, value_name = "MISSION")]
    pub(crate) mission: Option<MissionId>,
    /// Print JSON for machines.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `orchestrator retry`.
#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    /// The task, as in `T3`.
    pub(crate) task: TaskId,
    /// What whoever tries it should know, in your own words.
    pub(crate) note: Option<String>,
    #[command(flatten)]
    pub(crate) of: OfMission,
}

/// `orchestrator skip`.
#[derive(Debug, Args)]
pub(crate) struct SkipArgs {
    /// The task, as in `T3`.
    pub(crate) task: TaskId,
    /// Why; the summary says it.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Skip those that need it, too.
    #[arg(long, conflicts_with = "run_dependents")]
    pub(crate) with_dependents: bool,
    /// Carry those that need it out without it.
    #[arg(long)]
    pub(crate) run_dependents: bool,
    #[command(flatten)]
    pub(crate) of: OfMission,
}

/// `orchestrator prioritise`.
#[derive(Debug, Args)]
pub(crate) struct PrioritiseArgs {
    /// The task, as in `T3`.
    pub(crate) task: TaskId,
    /// How soon it starts, once it can.
    pub(crate) priority: Class,
    #[command(flatten)]
    pub(crate) of: OfMission,
}

/// How soon a task starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lowercase")]
pub(crate) enum Class {
    /// Before the rest.
    High,
    /// The usual.
    Normal,
    /// When nothing else is ready.
    Low,
}

impl From<Class> for mission::plan::Priority {
    fn from(class: Class) -> Self {
        match class {
            Class::High => Self::High,
            Class::Normal => Self::Normal,
            Class::Low => Self::Low,
        }
    }
}
