//! What a person wants of one task: again, not at all, or sooner.

use super::*;
use crate::mission::{State, TaskState};
use crate::plan::{Priority, TaskKind};
use crate::steering::Dependents;
use std::collections::BTreeSet;

impl Mission {
    /// Who says the same again while what it asked for has not ended has said it once.
    pub(super) fn decide_retry(&self, id: TaskId, note: &str, by: String) -> Decided {
        let (mut events, sealed) = match self.outcome {
            None => (Vec::new(), false),
            Some(_) => match self.resume(by.clone(), (0, 0), false) {
                (events, Reply::Done) => (events, true),
                refused => return refused,
            },
        };
        if let Some(why) = self.takes_no_more().filter(|_| !sealed) {
            return refused(why);
        }
        let note = note.trim();
        let task = match self.may_begin_anew(id) {
            Ok(task) => task,
            Err(why) => return refused(why),
        };
        let asked_for = task.again == Some(task.n) || task.again.map(|n| n + 1) == Some(task.n);
        let unbegun = task.again == Some(task.n) && !task.state.is_final();
        let stands = asked_for && !task.spent && !task.state.is_final() || unbegun;
        let known = note.is_empty() || self.said_of(id).last() == Some(note);
        if stands && known && !sealed && !planted!("retry_done_twice") {
            return done(Vec::new());
        }
        if let Some(why) = self.unsayable(note).filter(|_| !known) {
            return refused(why);
        }
        events.extend(self.lets_go(task));
        if !known {
            let (task, text, by) = (Some(id), note.to_owned(), by.clone());
            events.push(Event::Steered { task, text, by });
        }
        // One that has not begun since it was asked for begins with the new note.
        if !unbegun || planted!("retry_done_twice") {
            events.push(Event::TaskRetried { task: id, by });
        }
        done(self.of_another_plan(events))
    }

    pub(super) fn decide_skip(
        &self,
        id: TaskId,
        why: &str,
        dependents: Dependents,
        by: String,
    ) -> Decided {
        if let Some(why) = self.takes_no_more() {
            return refused(why);
        }
        let why = why.trim();
        if why.is_empty() {
            return refused(Refusal::NoReason);
        }
        if cut_to(why, limits::SAID_BYTES) != why {
            return refused(Refusal::TooMuchSaid(limits::SAID_BYTES));
        }
        let Some(task) = self.tasks.get(&id) else {
            return refused(Refusal::NoTask(id));
        };
        let waiting = self.wait_for(id);
        let skipped = matches!(task.state, State::Skipped { .. });
        match task.state {
            State::Landed => return refused(Refusal::DoneAlready(id)),
            State::Landing => return refused(Refusal::LandsNow(id)),
            _ if waiting.is_empty() => {}
            State::Skipped { .. } if dependents == Dependents::Ask => return done(Vec::new()),
            _ if dependents == Dependents::Ask => {
                return refused(Refusal::Needed { id, waiting });
            }
            _ => {}
        }
        let mut events = Vec::new();
        let without = dependents == Dependents::Run;
        let freed = matches!(task.state, State::Skipped { without: true, .. });
        if !skipped || (without && !freed && !waiting.is_empty()) {
            events.extend(self.lets_go(task));
            let (task, why, by) = (id, why.to_owned(), by.clone());
            events.push(Event::TaskSkipped {
                task,
                why,
                without,
                by,
            });
        }
        if dependents == Dependents::Skip {
            events.extend(waiting.into_iter().map(|task| Event::TaskSkipped {
                task,
                why: format!("it needs {id}: {why}"),
                without: false,
                by: by.clone(),
            }));
        }
        done(self.of_another_plan(events))
    }

    pub(super) fn decide_prioritise(&self, id: TaskId, priority: Priority, by: String) -> Decided {
        if let Some(why) = self.takes_no_more() {
            return refused(why);
        }
        let Some(task) = self.tasks.get(&id) else {
            return refused(Refusal::NoTask(id));
        };
        if task.task.priority == priority {
            return done(Vec::new());
        }
        if task.state == State::Landed {
            return refused(Refusal::DoneAlready(id));
        }
        if task.state.is_final() {
            return refused(Refusal::StartsNoMore(id, task.state.word()));
        }
        done(vec![Event::TaskPrioritised {
            task: id,
            priority,
            by,
        }])
    }

    pub(super) fn decide_cancel(&self, by: String, abort: bool) -> Decided {
        match self.outcome {
            // Said again; but what a cancel has tidied up no abort leaves as it was, and what an abort has left no cancel
            // tidies up any more.
            Some(SealOutcome::Cancelled) if abort == self.aborted => done(Vec::new()),
            Some(outcome) => refused(Refusal::Over(outcome)),
            None if self.cancelled && (self.aborted || !abort) => done(Vec::new()),
            None => done(vec![Event::CancelAsked { by, abort }]),
        }
    }

    /// Why nothing of the plan changes any more, if that is so.
    pub fn takes_no_more(&self) -> Option<Refusal> {
        match self.outcome {
            Some(outcome) => Some(Refusal::OverFirst(outcome)),
            None if self.winding_down() => Some(Refusal::Ending),
            None => match self.phase {
                Phase::Preparing | Phase::Reading | Phase::Planning => Some(Refusal::NoPlan),
                Phase::Approving | Phase::Running | Phase::Sealed => None,
            },
        }
    }

    /// A task that can be tried again.
    fn may_begin_anew(&self, id: TaskId) -> Result<&TaskState, Refusal> {
        let task = self.tasks.get(&id).ok_or(Refusal::NoTask(id))?;
        let asks = matches!(task.state, State::Asking { .. }) && task.task.kind == TaskKind::Ask;
        let began = task.n > 0 || task.again.is_some();
        match task.state {
            State::Landed => Err(Refusal::DoneAlready(id)),
            State::Landing if self.outcome.is_none() => Err(Refusal::LandsNow(id)),
            _ if asks => Err(Refusal::AsksYou(id)),
            State::Waiting { .. } | State::Ready if !began => Err(Refusal::NotBegun(id)),
            _ => Ok(task),
        }
    }

    /// Takes a task out of the hands of whoever has it now.
    fn lets_go(&self, task: &TaskState) -> Vec<Event> {
        match task.state {
            State::Working { epoch } | State::Reviewing { epoch } => {
                match self.leases.get(&epoch) {
                    Some(lease) => {
                        let usage = Usage::default();
                        self.end_turn(epoch, lease, Ending::Cancelled, usage, Vec::new())
                    }
                    None => Vec::new(),
                }
            }
            State::Splitting { .. } => {
                let of_this = |(_, lease): &(&Epoch, &Lease)| matches!(lease.turn, Turn::Split { task: id, .. } if id == task.task.id);
                let asked = self.leases.iter().find(of_this);
                let usage = Usage::default();
                asked.map_or_else(Vec::new, |(epoch, lease)| {
                    self.end_turn(*epoch, lease, Ending::Cancelled, usage, Vec::new())
                })
            }
            State::Asking { question: id } => match self.questions.get(&id) {
                Some(question) => vec![question.withdrawn(id)],
                None => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    /// The tasks that cannot start without this one, those that wait for such a one included, in the order of their names.
    fn wait_for(&self, id: TaskId) -> Vec<TaskId> {
        let mut open = vec![id];
        let mut found = BTreeSet::new();
        while let Some(need) = open.pop() {
            for next in &self.tasks[&need].needed_by {
                let waits = self.tasks.get(next).map(|task| &task.state);
                if matches!(waits, Some(State::Waiting { .. })) && found.insert(*next) {
                    open.push(*next);
                }
            }
        }
        // What is carried out without it does not wait for it.
        if matches!(self.tasks[&id].state, State::Skipped { without: true, .. }) {
            return Vec::new();
        }
        found.into_iter().collect()
    }
}
