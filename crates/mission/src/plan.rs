//! The task graph: what a Planner writes, and what makes it a plan.

mod claim;
mod cut;
mod edit;
mod graph;
mod shared;

use crate::gate::{Gate, GateKind, Program};
use crate::ids::{Digest, TaskId};
use crate::limits;
use crate::planted;
use crate::time::Millis;
use claim::{check_characters, check_claim, path_fault, resources, trivial};
pub(crate) use graph::topological;
use graph::{cycle, depths, separate_overlaps};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) use cut::{cut_anew, worked_on_again};
pub(crate) use edit::{Edited, edited};
pub use edit::{PlanEdit, TaskChange, is_open};
pub use shared::is_shared;

/// How soon a task should run, before the longest remaining path is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// When nothing else is ready.
    Low,
    /// The usual.
    #[default]
    Normal,
    /// Before the rest.
    High,
}

/// The Planner's guess of a task's size; a weight for the critical path until durations are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Size {
    /// A few lines.
    Small,
    /// An hour of a person's work.
    #[default]
    Medium,
    /// A day of a person's work.
    Large,
}

/// What kind of node a task is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// A Worker carries it out.
    #[default]
    Agent,
    /// The engine runs its acceptance commands; no model is asked.
    Gate,
    /// A person is asked.
    Ask,
}

/// A plan as it arrives: unchecked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// The tasks, in any order.
    pub tasks: Vec<TaskDraft>,
}

/// One task as it arrives: unchecked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskDraft {
    /// The Planner's own name for it; unique in the plan; letters, digits, `-`, `_`; at most 64.
    pub id: String,
    /// One line for lists; at most 120 characters.
    pub title: String,
    /// What is to be done and how one knows that it is; at most 8 KiB.
    pub goal: String,
    /// What kind of node it is.
    #[serde(default)]
    pub kind: TaskKind,
    /// Names of tasks that must have landed first.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Paths (or globs) below the root that it is expected to write: a forecast, not a fence.
    #[serde(default)]
    pub writes: Vec<String>,
    /// Shell lines that prove it, run by the engine at the root of the tree.
    #[serde(default)]
    pub acceptance: Vec<String>,
    /// How soon.
    #[serde(default)]
    pub priority: Priority,
    /// How big.
    #[serde(default)]
    pub size: Size,
    /// What no two running tasks may have at once, by any name: a port, a database, a build lock. At most 4.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// How many slots of Workers it takes, from 1 to 4; 1 where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
}

/// A plan that passed every check. Task `T1` is the first of the draft, and so on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The tasks, in the order of the draft.
    pub tasks: Vec<Task>,
}

/// A task of a checked plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The engine's name for it.
    pub id: TaskId,
    /// The Planner's name for it.
    pub key: String,
    /// One line for lists.
    pub title: String,
    /// What is to be done.
    pub goal: String,
    /// What kind of node it is.
    pub kind: TaskKind,
    /// Tasks that must have landed first, sorted.
    pub needs: Vec<TaskId>,
    /// Those of `needs` that the engine added because two forecasts overlap.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<TaskId>,
    /// Its forecast.
    pub writes: Vec<String>,
    /// The gates that prove it.
    pub acceptance: Vec<Gate>,
    /// How soon.
    pub priority: Priority,
    /// How big.
    pub size: Size,
    /// What no two running tasks have at once, sorted, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// How many slots of Workers it takes.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub weight: u32,
}

fn one() -> u32 {
    1
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands a reference to whoever says what is left out"
)]
fn is_one(weight: &u32) -> bool {
    *weight == one()
}

impl Task {
    /// What the task is, for finding its result again: everything that a Worker is told of it, and nothing of its name
    /// or place in the plan.
    pub fn spec(&self) -> Digest {
        let mut bytes = Vec::new();
        let mut part = |text: &str| {
            bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        };
        part(&self.title);
        part(&self.goal);
        part(&format!("{:?}", self.kind));
        for path in &self.writes {
            part(path);
        }
        for gate in &self.acceptance {
            part(gate.command().as_str());
        }
        Digest::of(&bytes)
    }
}

/// What is wrong with a draft. Its text goes back to the Planner as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There is nothing to do.
    #[error("the plan has no tasks")]
    Empty,
    /// Too many tasks.
    #[error(
        "the plan has {found} tasks; at most {} are taken: merge small ones or plan a first part",
        limits::PLAN_TASKS
    )]
    TooMany {
        /// How many there are.
        found: usize,
    },
    /// Too many bytes.
    #[error(
        "the plan has {found} bytes; at most {} are taken: shorten the goals",
        limits::PLAN_BYTES
    )]
    TooLarge {
        /// How many there are.
        found: usize,
    },
    /// A name that is none.
    #[error(
        "task {place} has the id {id:?}; an id has 1 to {} letters, digits, `-` or `_`",
        limits::KEY_BYTES
    )]
    BadId {
        /// Which task, from 1.
        place: usize,
        /// Its name.
        id: String,
    },
    /// Two tasks of one name.
    #[error("two tasks have the id `{id}`; every id must be unique")]
    Duplicate {
        /// The name.
        id: String,
    },
    /// A dependency that does not exist.
    #[error("`{id}` needs `{needs}`, and no task has that id")]
    Unknown {
        /// The task.
        id: String,
        /// What it needs.
        needs: String,
    },
    /// Tasks that wait for each other.
    #[error("these tasks need each other in a circle: {}", .ids.join(" -> "))]
    Cycle {
        /// The circle; the first name stands again at the end.
        ids: Vec<String>,
    },
    /// A chain that is too long.
    #[error(
        "the longest chain of needs has {found} tasks; at most {} are taken",
        limits::PLAN_DEPTH
    )]
    TooDeep {
        /// How long it is.
        found: usize,
    },
    /// Nothing would prove the task.
    #[error(
        "`{id}` has no acceptance command; name at least one that fails now and passes when the task is done"
    )]
    NoAcceptance {
        /// The task.
        id: String,
    },
    /// An acceptance command that passes whatever happens.
    #[error("the acceptance command {command:?} of `{id}` always passes and proves nothing")]
    Trivial {
        /// The task.
        id: String,
        /// The command.
        command: String,
    },
    /// A field that is empty or too long.
    #[error("`{field}` of `{id}` has {found} {unit}; it must have 1 to {most}")]
    Length {
        /// The task.
        id: String,
        /// The field.
        field: &'static str,
        /// How much there is.
        found: usize,
        /// The most that is taken.
        most: usize,
        /// Bytes, characters or entries.
        unit: &'static str,
    },
    /// A text that holds what no line may.
    #[error("`{field}` of `{id}` holds {what}; leave it out")]
    Control {
        /// The task.
        id: String,
        /// The field.
        field: &'static str,
        /// What it holds.
        what: &'static str,
    },
    /// More pieces than one task is cut into.
    #[error(
        "a stuck task is cut into 1 to {} tasks, and there are {found}",
        limits::PIECES
    )]
    Pieces {
        /// How many there are.
        found: usize,
    },
    /// A piece that is no work.
    #[error("`{id}` is no task of kind `agent`; a stuck task is cut into work alone")]
    Piece {
        /// The task.
        id: String,
    },
    /// A small change that is not one task for a Worker.
    #[error("a small change is exactly one task of kind `agent`; anything else is a plan")]
    NotSmall,
    /// A name of a resource that is none.
    #[error(
        "`{id}` names the resource {name:?}; a name has 1 to {} letters, digits, `-`, `_`, `.` or `:`",
        limits::KEY_BYTES
    )]
    BadResource {
        /// The task.
        id: String,
        /// The name.
        name: String,
    },
    /// Too many resources in all.
    #[error(
        "the plan names {found} resources; at most {} are taken: name only what exists once",
        limits::PLAN_RESOURCES
    )]
    TooManyResources {
        /// How many there are.
        found: usize,
    },
    /// A weight that is none.
    #[error("the weight of `{id}` is {found}; it must be 1 to {}", limits::WEIGHT)]
    Weight {
        /// The task.
        id: String,
        /// The weight.
        found: u32,
    },
    /// A path that leaves the root, or is none.
    #[error("`{id}` writes {path:?}: {why}; give paths relative to the root of the repository")]
    BadPath {
        /// The task.
        id: String,
        /// The path.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// Checks a draft. All faults are told at once, so that one repair can mend them all.
pub fn check(draft: &Draft, acceptance_limit: Millis) -> Result<Plan, Vec<Fault>> {
    let mut faults = Vec::new();
    if draft.tasks.is_empty() {
        return Err(vec![Fault::Empty]);
    }
    if draft.tasks.len() > limits::PLAN_TASKS {
        return Err(vec![Fault::TooMany {
            found: draft.tasks.len(),
        }]);
    }
    let bytes = draft.bytes();
    if bytes > limits::PLAN_BYTES {
        return Err(vec![Fault::TooLarge { found: bytes }]);
    }
    let names = names(draft, &mut faults);
    for task in &draft.tasks {
        check_task(task, &names, &mut faults);
    }
    let all: BTreeSet<&String> = draft
        .tasks
        .iter()
        .flat_map(|task| &task.resources)
        .collect();
    if all.len() > limits::PLAN_RESOURCES {
        faults.push(Fault::TooManyResources { found: all.len() });
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut needs: Vec<BTreeSet<usize>> = draft
        .tasks
        .iter()
        .map(|t| t.needs.iter().map(|n| names[n.as_str()]).collect())
        .collect();
    if let Some(cycle) = cycle(&needs)
        && !planted!("circle_unchecked")
    {
        let ids = cycle.iter().map(|i| draft.tasks[*i].id.clone()).collect();
        return Err(vec![Fault::Cycle { ids }]);
    }
    // Edges that the engine adds only order what overlaps; the Planner could not mend a chain of them.
    let depth = depths(&needs).into_iter().max().unwrap_or(0);
    if depth > limits::PLAN_DEPTH {
        return Err(vec![Fault::TooDeep { found: depth }]);
    }
    let added = separate_overlaps(draft, &mut needs);
    Ok(build(draft, &needs, &added, acceptance_limit))
}

/// Checks the draft of a small change: one task for one Worker, which needs no Planner.
pub fn check_small(draft: &Draft, acceptance_limit: Millis) -> Result<Plan, Vec<Fault>> {
    match draft.tasks.as_slice() {
        [only] if only.kind == TaskKind::Agent => check(draft, acceptance_limit),
        _ => Err(vec![Fault::NotSmall]),
    }
}

/// Places by name; bad and doubled names become faults.
fn names<'a>(draft: &'a Draft, faults: &mut Vec<Fault>) -> BTreeMap<&'a str, usize> {
    let mut names = BTreeMap::new();
    for (place, task) in draft.tasks.iter().enumerate() {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let good =
            !task.id.is_empty() && task.id.len() <= limits::KEY_BYTES && task.id.chars().all(plain);
        if !good {
            let id = task.id.chars().take(limits::KEY_BYTES).collect();
            faults.push(Fault::BadId {
                place: place + 1,
                id,
            });
        } else if names.insert(task.id.as_str(), place).is_some() {
            faults.push(Fault::Duplicate {
                id: task.id.clone(),
            });
        }
    }
    names
}

fn check_task(task: &TaskDraft, names: &BTreeMap<&str, usize>, faults: &mut Vec<Fault>) {
    let id: String = task.id.chars().take(limits::KEY_BYTES).collect();
    let mut length = |field, found, least, most, unit| {
        if found < least || found > most {
            faults.push(Fault::Length {
                id: id.clone(),
                field,
                found,
                most,
                unit,
            });
        }
    };
    length(
        "title",
        task.title.trim().chars().count(),
        1,
        limits::TITLE_CHARS,
        "characters",
    );
    length(
        "goal",
        task.goal.trim().len(),
        1,
        limits::GOAL_BYTES,
        "bytes",
    );
    length(
        "writes",
        task.writes.len(),
        0,
        limits::FORECAST_PATHS,
        "entries",
    );
    length(
        "acceptance",
        task.acceptance.len(),
        0,
        limits::ACCEPTANCE_COMMANDS,
        "entries",
    );
    for command in &task.acceptance {
        length(
            "acceptance command",
            command.trim().len(),
            1,
            limits::COMMAND_BYTES,
            "bytes",
        );
    }
    check_characters(task, &id, faults);
    check_claim(task, &id, faults);
    for needs in &task.needs {
        if needs == &task.id {
            faults.push(Fault::Cycle {
                ids: vec![id.clone(), id.clone()],
            });
        } else if !names.contains_key(needs.as_str()) {
            let needs = needs.chars().take(limits::KEY_BYTES).collect();
            faults.push(Fault::Unknown {
                id: id.clone(),
                needs,
            });
        }
    }
    for path in &task.writes {
        if let Some(why) = path_fault(path) {
            let path = path.chars().take(80).collect();
            faults.push(Fault::BadPath {
                id: id.clone(),
                path,
                why,
            });
        }
    }
    if task.kind != TaskKind::Ask && task.acceptance.is_empty() {
        faults.push(Fault::NoAcceptance { id: id.clone() });
    }
    for command in task.acceptance.iter().filter(|command| trivial(command)) {
        faults.push(Fault::Trivial {
            id: id.clone(),
            command: command.clone(),
        });
    }
}

fn build(
    draft: &Draft,
    needs: &[BTreeSet<usize>],
    added: &[(usize, usize)],
    limit: Millis,
) -> Plan {
    let name = |place: usize| TaskId(place as u32 + 1);
    let tasks = draft.tasks.iter().enumerate().map(|(place, task)| Task {
        id: name(place),
        key: task.id.clone(),
        title: task.title.trim().to_owned(),
        goal: task.goal.trim().to_owned(),
        kind: task.kind,
        needs: needs[place].iter().map(|need| name(*need)).collect(),
        added: added
            .iter()
            .filter(|(later, _)| *later == place)
            .map(|(_, need)| name(*need))
            .collect(),
        writes: task.writes.clone(),
        acceptance: (1..)
            .zip(&task.acceptance)
            .map(|(n, line)| acceptance(name(place), n, line, limit))
            .collect(),
        priority: task.priority,
        size: task.size,
        resources: resources(&task.resources),
        weight: task.weight.unwrap_or(one()),
    });
    Plan {
        tasks: tasks.collect(),
    }
}

fn acceptance(task: TaskId, n: usize, line: &str, timeout: Millis) -> Gate {
    Gate {
        id: format!("{task}/accept-{n}"),
        kind: GateKind::Acceptance,
        program: Program::Shell(line.trim().to_owned()),
        directory: String::new(),
        timeout,
        source: "the plan".to_owned(),
        defined_by: Vec::new(),
    }
}

impl Draft {
    /// What it takes as it is stored: characters that are written as several bytes count as several.
    fn bytes(&self) -> usize {
        serde_json::to_vec(self).map_or(usize::MAX, |bytes| bytes.len())
    }
}

impl Size {
    /// Its weight on the critical path, in units of a small task, until durations are known.
    pub fn weight(self) -> u32 {
        match self {
            Self::Small => 1,
            Self::Medium => 3,
            Self::Large => 8,
        }
    }
}

#[cfg(test)]
mod tests;
