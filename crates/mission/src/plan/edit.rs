//! Changes of a plan while it is carried out: what somebody asks for, and the plan that comes of it, checked like any other.

use super::*;
use crate::mission::{State, TaskState};

/// One change of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "change")]
pub enum PlanEdit {
    /// One task more. What it needs may be named as tasks are, or by the Planner's names.
    Add {
        /// It; its own name may be left empty.
        task: TaskDraft,
    },
    /// One task less.
    Drop {
        /// Which.
        task: TaskId,
    },
    /// A task that has not begun becomes another one.
    Set {
        /// Which.
        task: TaskId,
        /// In what.
        to: TaskChange,
    },
    /// Several at once: all of them or none. New tasks are named in their order.
    Several {
        /// Which.
        edits: Vec<Self>,
    },
}

impl PlanEdit {
    /// The single ones that it comes to, in their order.
    pub(crate) fn singles(&self) -> Vec<&Self> {
        match self {
            Self::Several { edits } => edits.iter().flat_map(Self::singles).collect(),
            single => vec![single],
        }
    }
}

/// In what a task becomes another one; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TaskChange {
    /// The line for lists.
    pub title: Option<String>,
    /// What is to be done.
    pub goal: Option<String>,
    /// The tasks that must have landed first.
    pub needs: Option<Vec<String>>,
    /// Its forecast.
    pub writes: Option<Vec<String>>,
    /// What proves it.
    pub acceptance: Option<Vec<String>>,
    /// How soon.
    pub priority: Option<Priority>,
    /// How big.
    pub size: Option<Size>,
    /// What it has for itself.
    pub resources: Option<Vec<String>>,
    /// How many slots it takes.
    pub weight: Option<u32>,
}

impl TaskChange {
    fn make(&self, draft: &mut TaskDraft) {
        fn set<T: Clone>(field: &mut T, to: Option<&T>) {
            if let Some(to) = to {
                field.clone_from(to);
            }
        }
        set(&mut draft.title, self.title.as_ref());
        set(&mut draft.goal, self.goal.as_ref());
        set(&mut draft.needs, self.needs.as_ref());
        set(&mut draft.writes, self.writes.as_ref());
        set(&mut draft.acceptance, self.acceptance.as_ref());
        set(&mut draft.priority, self.priority.as_ref());
        set(&mut draft.size, self.size.as_ref());
        set(&mut draft.resources, self.resources.as_ref());
        draft.weight = self.weight.or(draft.weight);
    }
}

/// What becomes of a plan: the tasks that are new or not as they were, and those that are no more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Edited {
    pub(crate) tasks: Vec<Task>,
    pub(crate) dropped: Vec<TaskId>,
}

/// Tasks as they are drafted anew, with the names that their Planner gave them.
pub(super) type Open = BTreeMap<TaskId, (TaskDraft, String)>;

/// Whether nobody has begun with a task, so that it may still become another one.
pub fn is_open(task: &TaskState) -> bool {
    task.n == 0 && matches!(task.state, State::Waiting { .. } | State::Ready)
}

/// The plan after a change. `next` is the name that the first new task gets.
pub(crate) fn edited(
    tasks: &BTreeMap<TaskId, TaskState>,
    edit: &PlanEdit,
    next: TaskId,
    limit: Millis,
) -> Result<Edited, Vec<Fault>> {
    let mut open = open_of(tasks);
    let (mut next, mut dropped) = (next, BTreeSet::new());
    // Those whose needs somebody names now: of these alone are names of new tasks meant.
    let mut meant = Vec::new();
    for edit in edit.singles() {
        match edit {
            PlanEdit::Add { task } => {
                let key = checked_key(tasks, task, next)?;
                if open.values().any(|(_, other)| *other == key) {
                    return Err(vec![Fault::Duplicate { id: key }]);
                }
                let mut draft = task.clone();
                draft.id = next.to_string();
                open.insert(next, (draft, key));
                meant.push(next);
                next = TaskId(next.0 + 1);
            }
            PlanEdit::Drop { task } => {
                open.remove(task);
                dropped.insert(*task);
            }
            PlanEdit::Set { task, to } => {
                if let Some((draft, _)) = open.get_mut(task) {
                    // Needs that the engine had added are reckoned anew.
                    to.make(draft);
                    meant.push(*task);
                }
            }
            PlanEdit::Several { .. } => {}
        }
    }
    if open.is_empty() && tasks.keys().all(|id| dropped.contains(id)) {
        return Err(vec![Fault::Empty]);
    }
    let new: BTreeMap<String, String> = open
        .iter()
        .filter(|(id, _)| !tasks.contains_key(id))
        .map(|(id, (_, key))| (key.clone(), id.to_string()))
        .collect();
    for id in meant {
        if let Some((draft, _)) = open.get_mut(&id) {
            let of_new = |need: &String| new.get(need.trim()).unwrap_or(need).clone();
            let needs: Vec<String> = draft.needs.iter().map(of_new).collect();
            draft.needs = named(tasks, &needs);
        }
    }
    let found = tasks.keys().filter(|id| !dropped.contains(id)).count() + new.len();
    if !new.is_empty() && found > limits::PLAN_TASKS {
        return Err(vec![Fault::TooMany { found }]);
    }
    let changed = rebuilt(tasks, &open, limit)?;
    grows_too_deep(tasks, &changed)?;
    let dropped = dropped.into_iter().collect();
    Ok(Edited {
        tasks: changed,
        dropped,
    })
}

/// The tasks that may still become others, as they would be drafted, with the names that their Planner gave them.
pub(super) fn open_of(tasks: &BTreeMap<TaskId, TaskState>) -> Open {
    let open = tasks.iter().filter(|(_, task)| is_open(task));
    open.map(|(id, task)| (*id, (draft_of(tasks, &task.task), task.task.key.clone())))
        .collect()
}

/// What of these is not as it was, checked beside what does not change any more.
pub(super) fn rebuilt(
    tasks: &BTreeMap<TaskId, TaskState>,
    open: &Open,
    limit: Millis,
) -> Result<Vec<Task>, Vec<Fault>> {
    if open.is_empty() {
        return Ok(Vec::new());
    }
    let fixed = fixed(tasks, open);
    let ids: Vec<TaskId> = fixed.keys().chain(open.keys()).copied().collect();
    let drafts = fixed.values().chain(open.values().map(|(draft, _)| draft));
    let tasks_of = Draft {
        tasks: drafts.cloned().collect(),
    };
    let plan = check(&tasks_of, limit)?;
    let of_place = |place: &TaskId| ids[place.0 as usize - 1];
    let mut changed = Vec::new();
    for mut task in plan.tasks.into_iter().skip(fixed.len()) {
        task.id = of_place(&task.id);
        task.key.clone_from(&open[&task.id].1);
        task.needs = task.needs.iter().map(of_place).collect();
        task.added = task.added.iter().map(of_place).collect();
        let before = tasks.get(&task.id).map(|before| &before.task);
        let settled = before.map(|before| settled_of(tasks, before));
        task.added.extend(settled.into_iter().flatten());
        task.added.retain(|id| task.needs.contains(id));
        task.needs.sort_unstable();
        task.added.sort_unstable();
        for (n, gate) in (1..).zip(&mut task.acceptance) {
            gate.id = format!("{}/accept-{n}", task.id);
        }
        if before != Some(&task) {
            changed.push(task);
        }
    }
    goes_round(tasks, &changed)?;
    Ok(changed)
}

/// What has begun without a task that it needs still names it: nothing may need each other by way of that.
fn goes_round(tasks: &BTreeMap<TaskId, TaskState>, changed: &[Task]) -> Result<(), Vec<Fault>> {
    let mut all: BTreeMap<TaskId, &Task> =
        tasks.iter().map(|(id, task)| (*id, &task.task)).collect();
    all.extend(changed.iter().map(|task| (task.id, task)));
    let ids: Vec<TaskId> = all.keys().copied().collect();
    let place = |id: &TaskId| ids.binary_search(id).ok();
    let needs: Vec<BTreeSet<usize>> = all
        .values()
        .map(|task| task.needs.iter().filter_map(place).collect())
        .collect();
    match cycle(&needs) {
        Some(circle) => {
            let ids = circle.iter().map(|at| ids[*at].to_string()).collect();
            Err(vec![Fault::Cycle { ids }])
        }
        None => Ok(()),
    }
}

/// However often a plan is changed, no chain of needs in it grows beyond what a Planner may write: what has landed counts
/// as well.
fn grows_too_deep(tasks: &BTreeMap<TaskId, TaskState>, changed: &[Task]) -> Result<(), Vec<Fault>> {
    let mut all: BTreeMap<TaskId, &Task> =
        tasks.iter().map(|(id, task)| (*id, &task.task)).collect();
    let before = deepest(&all);
    all.extend(changed.iter().map(|task| (task.id, task)));
    let found = deepest(&all);
    match found > limits::PLAN_DEPTH.max(before) {
        true => Err(vec![Fault::TooDeep { found }]),
        false => Ok(()),
    }
}

/// The longest chain of needs, without those that the engine added.
fn deepest(all: &BTreeMap<TaskId, &Task>) -> usize {
    let ids: Vec<TaskId> = all.keys().copied().collect();
    let place = |id: &TaskId| ids.binary_search(id).ok();
    let needs: Vec<BTreeSet<usize>> = all
        .values()
        .map(|task| {
            let own = task.needs.iter().filter(|need| !task.added.contains(need));
            own.filter_map(place).collect()
        })
        .collect();
    depths(&needs).into_iter().max().unwrap_or(0)
}

/// The name that a new task gets from whoever adds it, or its own.
pub(super) fn checked_key(
    tasks: &BTreeMap<TaskId, TaskState>,
    task: &TaskDraft,
    next: TaskId,
) -> Result<String, Vec<Fault>> {
    if task.id.is_empty() {
        return Ok(next.to_string());
    }
    if tasks.values().any(|other| other.task.key == task.id) {
        let id = task.id.clone();
        return Err(vec![Fault::Duplicate { id }]);
    }
    // A name like those of the engine would mean another task as soon as there is one of that number.
    let alone = Draft {
        tasks: vec![task.clone()],
    };
    let mut faults = Vec::new();
    names(&alone, &mut faults);
    if task.id.parse::<TaskId>().is_ok() {
        let id = task.id.clone();
        faults.push(Fault::BadId { place: 1, id });
    }
    match faults.is_empty() {
        true => Ok(task.id.clone()),
        false => Err(faults),
    }
}

/// What does not change any more and what others need or must not meet: first in the plan, so that nothing of it waits
/// for what has not begun. Only a task that was cut anew does, for its pieces: it is the check of all of them.
fn fixed(tasks: &BTreeMap<TaskId, TaskState>, open: &Open) -> BTreeMap<TaskId, TaskDraft> {
    let needed: BTreeSet<&str> = open
        .values()
        .flat_map(|(draft, _)| draft.needs.iter().map(String::as_str))
        .collect();
    let stays = |(id, task): &(&TaskId, &TaskState)| {
        let name = id.to_string();
        !open.contains_key(id)
            && !is_open(task)
            && (!task.state.is_final() || needed.contains(name.as_str()))
    };
    let names: BTreeSet<String> = tasks
        .iter()
        .filter(|one| stays(one) || open.contains_key(one.0))
        .map(|(id, _)| id.to_string())
        .collect();
    let is_there = |need: &str| names.contains(need);
    let draft = |(id, task): (&TaskId, &TaskState)| {
        let mut draft = draft_of(tasks, &task.task);
        match task.state {
            State::Waiting { .. } => draft.needs.retain(|need| is_there(need)),
            _ => draft.needs.clear(),
        }
        if task.state.is_final() {
            draft.writes.clear();
        }
        (*id, draft)
    };
    tasks.iter().filter(stays).map(draft).collect()
}

/// A task of the plan as it would be drafted, without the needs that the engine added and that are reckoned anew.
pub(super) fn draft_of(tasks: &BTreeMap<TaskId, TaskState>, task: &Task) -> TaskDraft {
    let settled = settled_of(tasks, task);
    let stays = |need: &&TaskId| !task.added.contains(need) || settled.contains(need);
    TaskDraft {
        id: task.id.to_string(),
        title: task.title.clone(),
        goal: task.goal.clone(),
        kind: task.kind,
        needs: task
            .needs
            .iter()
            .filter(stays)
            .map(TaskId::to_string)
            .collect(),
        writes: task.writes.clone(),
        acceptance: task
            .acceptance
            .iter()
            .map(|gate| gate.program.to_string())
            .collect(),
        priority: task.priority,
        size: task.size,
        resources: task.resources.clone(),
        weight: Some(task.weight),
    }
}

/// Those of the needs that the engine added which are settled: nothing is gained by forgetting them.
fn settled_of(tasks: &BTreeMap<TaskId, TaskState>, task: &Task) -> Vec<TaskId> {
    let settled = |id: &&TaskId| tasks.get(id).is_some_and(|task| task.state.is_final());
    task.added.iter().filter(settled).copied().collect()
}

/// Names of tasks as the engine has them, wherever they are the Planner's.
pub(super) fn named(tasks: &BTreeMap<TaskId, TaskState>, needs: &[String]) -> Vec<String> {
    let name = |need: &String| {
        let need = need.trim();
        let own = need
            .parse::<TaskId>()
            .ok()
            .filter(|id| tasks.contains_key(id));
        // Of several plans' tasks of that name the newest is meant.
        let of_key = tasks.values().rev().find(|task| task.task.key == need);
        match own.or(of_key.map(|task| task.task.id)) {
            Some(id) => id.to_string(),
            None => need.to_owned(),
        }
    };
    let all: BTreeSet<String> = needs.iter().map(name).collect();
    all.into_iter().collect()
}
