//! Tasks that stay stuck after a diagnosis: the Planner is asked to cut such a task anew, with what failed before its eyes.
//!
//! Everything of it has a bound. A mission's terms say how many tasks may be cut anew; one task is cut once, a piece never;
//! an answer that is none goes back with its faults as often as a plan does, and a turn that fails is tried once more.
//! Where nothing comes of it the next remedy is tried.

use crate::decide::{cut, cut_to};
use crate::event::{Ending, Event, Rejection, Turn};
use crate::gate::Gate;
use crate::ids::{AttemptId, TaskId};
use crate::limits;
use crate::mission::{Mission, State, TaskState};
use crate::plan::{Draft, Task, TaskKind, cut_anew, worked_on_again};
use crate::planted;
use crate::stagnation::Remedy;
use crate::time::Timestamp;
use crate::turn::{Failure, Role};
use std::collections::BTreeSet;

/// Who changed the plan, where it was no person.
const PLANNER: &str = "planner";
/// Who gave a task back to a Worker after its pieces had landed.
const ENGINE: &str = "engine";

/// The stuck tasks of a mission that are cut anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cuts {
    /// Those that the Planner is to be asked about, and from when on.
    pub(crate) due: BTreeSet<(Timestamp, TaskId)>,
    /// How many there were.
    pub(crate) n: u32,
}

/// What a task was cut into, or is a piece of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// So many turns asked for it, over the whole mission.
    pub(crate) n: u32,
    /// So many of them failed in a row.
    pub(crate) faults: u32,
    /// So many answers were refused.
    pub(crate) repairs: u32,
    /// What was wrong with the last.
    pub(crate) refused: Vec<String>,
    /// The tasks that stand for it.
    pub(crate) into: Vec<TaskId>,
    /// The task that it is a piece of.
    pub(crate) of: Option<TaskId>,
}

/// Of a task that nobody cut, and that is no piece.
pub(crate) static NONE: Cut = Cut {
    n: 0,
    faults: 0,
    repairs: 0,
    refused: Vec::new(),
    into: Vec::new(),
    of: None,
};

impl Cut {
    /// The tasks that stand for it, once there are any.
    pub fn pieces(&self) -> &[TaskId] {
        &self.into
    }

    /// The task that it is a piece of.
    pub fn piece_of(&self) -> Option<TaskId> {
        self.of
    }

    /// What was wrong with the last answer, while another one is asked for.
    pub fn faults(&self) -> &[String] {
        &self.refused
    }

    /// What came of asking for it, in words that follow others.
    pub(crate) fn told(&self) -> String {
        match self.into.as_slice() {
            [] => "the Planner, who did not cut it anew".to_owned(),
            pieces => format!("the pieces {}", listed(pieces)),
        }
    }
}

fn listed(tasks: &[TaskId]) -> String {
    let names: Vec<String> = tasks.iter().map(TaskId::to_string).collect();
    names.join(", ")
}

impl Mission {
    /// How many stuck tasks the Planner was asked to cut anew.
    pub fn splits(&self) -> u32 {
        self.cuts.n
    }

    /// Whether a task may still be cut anew.
    pub(crate) fn may_be_split(&self, task: &TaskState) -> bool {
        let bounded = self.cuts.n < self.terms.splits && task.cut().of.is_none();
        let room = self.tasks.len() + limits::PIECES <= limits::PLAN_TASKS;
        let whole = task.task.kind == TaskKind::Agent && task.cut().into.is_empty();
        whole && room && (bounded || planted!("split_without_bound"))
    }

    /// Whether the Planner is asked about a task when this attempt is turned down so, instead of another attempt.
    pub(crate) fn is_split_next(&self, attempt: AttemptId, rejection: &Rejection) -> bool {
        let Some(mark) = self.mark(attempt, rejection) else {
            return false;
        };
        let task = &self.tasks[&attempt.task];
        let tried = |remedy| task.stuck.is_tried(remedy, Some(&mark));
        task.stuck.would_be_alike(&mark)
            && tried(Remedy::Diagnose)
            && !tried(Remedy::Split)
            && self.may_be_split(task)
    }

    /// Asks the Planner about the task that has waited longest for it.
    pub(crate) fn start_split(&self, now: Timestamp) -> Vec<Event> {
        let due = self.cuts.due.iter().take_while(|(from, _)| *from <= now);
        let asked = self.leases_of(Role::Planner).next().is_some();
        let mut due = due.filter(|_| self.running() && !asked);
        let later = |id| self.lets_others_try(now, Role::Planner, None, self.tasks[id].refusals);
        let Some((_, id)) = due.find(|(_, id)| !later(id)) else {
            return Vec::new();
        };
        let n = self.tasks[id].cut().n + 1;
        let turn = Turn::Split { task: *id, n };
        // It looks at what has landed by now: the pieces begin there.
        let base = self.head.as_ref().map(|(commit, _)| commit.clone());
        self.start_turn(now, turn, limits::SHORT_TURN, 1, base, None)
    }

    /// What an answer to that comes to. One that nobody waits for any more comes to nothing.
    pub(crate) fn split_answered(&self, id: TaskId, draft: &Draft) -> Vec<Event> {
        let waits = |task: &&TaskState| matches!(task.state, State::Splitting { .. });
        let Some(task) = self.tasks.get(&id).filter(waits) else {
            return Vec::new();
        };
        let next = TaskId(self.last_named() + 1);
        let pieces = cut_anew(&self.tasks, id, draft, next, self.terms.acceptance);
        let faults = match pieces {
            Ok(tasks) => match self.is_dear(&tasks) {
                None => {
                    return self.of_another_plan(vec![Event::PlanEdited {
                        version: self.plan_version + 1,
                        tasks,
                        dropped: Vec::new(),
                        by: PLANNER.to_owned(),
                        split: Some(id),
                        dear: false,
                    }]);
                }
                Some(why) => vec![why],
            },
            Err(faults) => faults
                .iter()
                .take(limits::FINDINGS)
                .map(|fault| cut_to(&fault.to_string(), limits::TODO_BYTES))
                .collect(),
        };
        vec![Event::SplitRefused {
            task: id,
            faults,
            given_up: task.cut().repairs >= limits::PLAN_REPAIRS,
        }]
    }

    /// Why pieces are not carried out though nothing is wrong with them: nobody could pay for them.
    fn is_dear(&self, tasks: &[Task]) -> Option<String> {
        let new = tasks
            .iter()
            .filter(|task| !self.tasks.contains_key(&task.id));
        let needed: u64 = new.map(|task| self.costs_of(task.size).0).sum();
        let free = self.budget.free();
        (needed > free).then(|| {
            format!(
                "the pieces are forecast to use {needed} tokens, and {free} are left: cut fewer or smaller ones"
            )
        })
    }

    /// What follows from a turn that failed at it.
    pub(crate) fn split_failed(&self, id: TaskId, why: &str) -> Vec<Event> {
        let task = &self.tasks[&id];
        let over = task.cut().faults + 1 >= limits::SPLIT_TRIES;
        let refused = over.then(|| Event::SplitRefused {
            task: id,
            faults: vec![cut(why)],
            given_up: true,
        });
        refused.into_iter().collect()
    }

    /// A task without an agent whose command is red fails. One whose pieces have landed goes back to a Worker, on top of
    /// them, as long as it has attempts.
    pub(crate) fn gate_task_is_red(&self, task: &TaskState, red: &Gate) -> Vec<Event> {
        let id = task.task.id;
        let pieces = task.cut().into.as_slice();
        let red = &red.program;
        if pieces.is_empty() {
            let why = format!("`{red}` is red");
            return vec![Event::TaskFailed { task: id, why }];
        }
        if task.tries < self.terms.attempts {
            return self.of_another_plan(vec![Event::PlanEdited {
                version: self.plan_version + 1,
                tasks: worked_on_again(&self.tasks, id, self.terms.acceptance),
                dropped: Vec::new(),
                by: ENGINE.to_owned(),
                split: Some(id),
                dear: false,
            }]);
        }
        let why = format!(
            "`{red}` is red though all that it was cut into has landed ({}){}",
            listed(pieces),
            crate::stagnation::tried(task)
        );
        vec![Event::TaskFailed {
            task: id,
            why: cut(&why),
        }]
    }

    /// Folds that a task is to be cut anew.
    pub(crate) fn splits_now(&mut self, id: TaskId) {
        self.cuts.n += 1;
        let from = self.last;
        let task = self.task_mut(id);
        let cut = task.cut_mut();
        (cut.faults, cut.repairs) = (0, 0);
        cut.refused.clear();
        self.set_state(id, State::Splitting { from });
    }

    /// Folds what became of a turn that was to do it.
    pub(crate) fn split_ended(&mut self, at: Timestamp, id: TaskId, ending: &Ending, seed: &str) {
        let task = self.task_mut(id);
        if !matches!(task.state, State::Splitting { .. }) {
            return;
        }
        let from = match ending {
            Ending::Answered => {
                task.cut_mut().faults = 0;
                (task.refusals, task.machine) = (0, 0);
                at
            }
            Ending::Cancelled => at,
            Ending::Refused { until, .. } => {
                task.refusals += 1;
                *until
            }
            Ending::Held { until, .. } => *until,
            Ending::Failed {
                failure: Failure::Machine,
                ..
            } => {
                task.machine += 1;
                at + crate::recovery::after_machine(task.machine, seed)
            }
            Ending::Failed { .. } | Ending::Expired | Ending::Overspent => {
                let cut = task.cut_mut();
                cut.faults += 1;
                at + crate::recovery::after_fault(cut.faults, seed)
            }
        };
        self.set_state(id, State::Splitting { from });
    }

    /// Folds an answer that is none, or that there is none. Where nobody is asked again, the next remedy is looked for.
    pub(crate) fn split_refused(
        &mut self,
        at: Timestamp,
        id: TaskId,
        faults: &[String],
        given_up: bool,
    ) {
        let cut = self.task_mut(id).cut_mut();
        cut.repairs += 1;
        faults.clone_into(&mut cut.refused);
        if given_up {
            cut.refused.clear();
            self.set_state(id, State::Ready);
            self.stagnant.insert(id);
        } else {
            self.set_state(id, State::Splitting { from: at });
        }
    }

    /// Folds what a task was cut into. What its attempts made is not gone on with: it is what did not work.
    pub(crate) fn cut_anew(&mut self, whole: TaskId, tasks: &[Task]) {
        let new = tasks
            .iter()
            .filter(|task| !self.tasks.contains_key(&task.id));
        let new: Vec<TaskId> = new.map(|task| task.id).collect();
        let task = self.task_mut(whole);
        let cut = task.cut_mut();
        cut.into.extend(new);
        cut.refused.clear();
        task.from = None;
        task.base = None;
        task.report = None;
    }

    /// Why a stuck task is cut anew, or was not.
    pub(super) fn why_split(&self, event: &Event) -> Vec<String> {
        match event {
            Event::Stagnated {
                task,
                remedy: Remedy::Split,
                ..
            } => vec![format!(
                "a diagnosis did not help {task}; it is the {} of at most {} tasks that are cut anew",
                self.cuts.n + 1,
                self.terms.splits
            )],
            Event::PlanEdited {
                tasks,
                split: Some(whole),
                ..
            } => {
                let new = tasks
                    .iter()
                    .filter(|task| !self.tasks.contains_key(&task.id));
                let new: Vec<TaskId> = new.map(|task| task.id).collect();
                vec![match new.is_empty() {
                    true => format!(
                        "its own check is red on what its pieces landed, and it has attempts left: {whole} goes on there"
                    ),
                    false => format!(
                        "{whole} is done when {} have landed and its own checks are green on that; whoever needs it waits \
                         for all of it",
                        listed(&new)
                    ),
                }]
            }
            Event::SplitRefused { given_up: true, .. } => vec![format!(
                "an answer is sent back at most {} times, and a turn may fail {} times: the next remedy is tried",
                limits::PLAN_REPAIRS,
                limits::SPLIT_TRIES
            )],
            _ => Vec::new(),
        }
    }

    /// Why the Planner is asked about a stuck task.
    pub(super) fn why_asked_to_split(&self, id: TaskId) -> Vec<String> {
        let Some(task) = self.tasks.get(&id) else {
            return Vec::new();
        };
        vec![match (task.cut().refused.is_empty(), task.cut().n) {
            (false, _) => format!(
                "what it was cut into was faulty: repair {} of {}",
                task.cut().repairs,
                limits::PLAN_REPAIRS
            ),
            (true, 0) => format!("{id} ended alike after its diagnosis too"),
            (true, n) => format!(
                "try {}: the one before came to nothing, and its wait is over",
                n + 1
            ),
        }]
    }
}
