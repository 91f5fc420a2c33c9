//! What a person changes of the plan while it is carried out. Whoever changes it names the version that they saw.

use super::*;
use crate::mission::TaskState;
use crate::plan::{PlanEdit, TaskChange, edited, is_open};

impl Mission {
    pub(super) fn decide_plan_edit(&self, edit: &PlanEdit, saw: u64, by: String) -> Decided {
        if let Some(why) = self.takes_no_more() {
            return refused(why);
        }
        // No plan has so many tasks that each could change twice.
        let found = edit.singles().len();
        if found > 2 * limits::PLAN_TASKS {
            let fault = Fault::TooMany { found };
            return refused(Refusal::PlanFaults(vec![fault.to_string()]));
        }
        if self.is_made(edit) {
            return done(Vec::new());
        }
        let now = self.plan_version;
        if saw != now && !planted!("plan_version_unchecked") {
            return refused(Refusal::PlanChanged { saw, now });
        }
        if let Err(why) = self.may_be_changed(edit) {
            return refused(why);
        }
        let next = TaskId(self.last_named() + 1);
        let after = match edited(&self.tasks, edit, next, self.terms.acceptance) {
            Ok(after) => after,
            Err(faults) => {
                let faults = faults.iter().take(limits::FINDINGS);
                let told = faults.map(|fault| cut_to(&fault.to_string(), limits::TODO_BYTES));
                return refused(Refusal::PlanFaults(told.collect()));
            }
        };
        if after.tasks.is_empty() && after.dropped.is_empty() {
            return done(Vec::new());
        }
        let dear = self.becomes_dear(&after);
        done(self.of_another_plan(vec![Event::PlanEdited {
            version: now + 1,
            dear,
            tasks: after.tasks,
            dropped: after.dropped,
            by,
            split: None,
        }]))
    }

    /// Whoever is asked whether the plan is to be carried out is asked about the one that it becomes.
    pub(crate) fn of_another_plan(&self, events: Vec<Event>) -> Vec<Event> {
        let changes = events.iter().any(|event| {
            matches!(
                event,
                Event::PlanEdited { .. } | Event::TaskSkipped { .. } | Event::TaskRetried { .. }
            )
        });
        let mut all = self.questions.iter();
        let asked = all.find(|(_, question)| question.about == About::Plan);
        let withdrawn = asked.filter(|_| changes);
        let withdrawn = withdrawn.map(|(id, question)| question.withdrawn(*id));
        withdrawn.into_iter().chain(events).collect()
    }

    /// Whether the plan is as somebody wants it already.
    fn is_made(&self, edit: &PlanEdit) -> bool {
        let unchanged = |id: TaskId, edit: &PlanEdit| {
            let task = self.tasks.get(&id).filter(|task| is_open(task));
            let after = task.map(|_| edited(&self.tasks, edit, TaskId(0), self.terms.acceptance));
            matches!(after, Some(Ok(after)) if after.tasks.is_empty())
        };
        match edit {
            PlanEdit::Drop { task } => {
                let was = task.0 >= 1 && task.0 <= self.last_named();
                was && !self.tasks.contains_key(task)
            }
            PlanEdit::Set { task, .. } => unchanged(*task, edit),
            // One of that name that is the same, or without a name one with which nobody has begun.
            PlanEdit::Add { task } => {
                let is_it = |other: &&TaskState| match task.id.is_empty() {
                    true => other.task.title == task.title.trim(),
                    false => other.task.key == task.id,
                };
                let to = TaskChange {
                    title: Some(task.title.clone()),
                    goal: Some(task.goal.clone()),
                    needs: Some(task.needs.clone()),
                    writes: Some(task.writes.clone()),
                    acceptance: Some(task.acceptance.clone()),
                    priority: Some(task.priority),
                    size: Some(task.size),
                    resources: Some(task.resources.clone()),
                    weight: Some(task.weight.unwrap_or(1)),
                };
                let same = |there: &TaskState| {
                    let (task, to) = (there.task.id, to.clone());
                    unchanged(task, &PlanEdit::Set { task, to })
                };
                let of_kind = |other: &&TaskState| other.task.kind == task.kind;
                let mut there = self.tasks.values().filter(is_it).filter(of_kind);
                there.any(same)
            }
            PlanEdit::Several { edits } => edits.iter().all(|edit| self.is_made(edit)),
        }
    }

    /// Whether every task that is changed has not begun, and nobody counts on one that is to go: whoever goes with it or
    /// gets other needs by the same change does not, and is checked with the plan that comes of it.
    fn may_be_changed(&self, edit: &PlanEdit) -> Result<(), Refusal> {
        let singles = edit.singles();
        let counts_no_more = |id: TaskId| {
            singles.iter().any(|edit| match edit {
                PlanEdit::Drop { task } => *task == id,
                PlanEdit::Set { task, to } => *task == id && to.needs.is_some(),
                _ => false,
            })
        };
        for edit in &singles {
            match edit {
                PlanEdit::Set { task, .. } => {
                    self.not_begun(*task)?;
                }
                PlanEdit::Drop { task: id } => {
                    let needed_by = &self.not_begun(*id)?.needed_by;
                    // An edge that the engine added between two forecasts goes with either of them.
                    let only_ordered = |by: &TaskId| {
                        let by = self.tasks.get(by).filter(|by| is_open(by));
                        by.is_some_and(|by| by.task.added.contains(id))
                    };
                    let by: Vec<TaskId> = needed_by
                        .iter()
                        .copied()
                        .filter(|by| !counts_no_more(*by) && !only_ordered(by))
                        .collect();
                    if !by.is_empty() {
                        return Err(Refusal::StillNeeded { id: *id, by });
                    }
                }
                PlanEdit::Add { .. } | PlanEdit::Several { .. } => {}
            }
        }
        Ok(())
    }

    /// A task that has not begun.
    fn not_begun(&self, id: TaskId) -> Result<&TaskState, Refusal> {
        let task = self.tasks.get(&id).ok_or(Refusal::NoTask(id))?;
        let of_this =
            |lease: &crate::mission::GateLease| lease.purpose == Purpose::Task { task: id };
        if !is_open(task) || self.gate_leases.values().any(of_this) {
            return Err(Refusal::Begun(id, task.state.word()));
        }
        Ok(task)
    }

    /// The highest name that a task ever had.
    pub(crate) fn last_named(&self) -> u32 {
        let works = self.works.keys().map(|attempt| attempt.task.0);
        let all = self.tasks.keys().map(|task| task.0).chain(works);
        all.max().unwrap_or(0).max(self.named)
    }
}
