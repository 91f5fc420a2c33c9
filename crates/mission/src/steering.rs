//! What a person does to a mission while it runs: pausing it, and telling its agents something more.

use crate::decide::{Decided, cut_to, done, refused};
use crate::event::{Event, Turn};
use crate::ids::{Epoch, TaskId};
use crate::input::Refusal;
use crate::limits;
use crate::mission::{Mission, State};
use crate::planted;
use crate::time::{Millis, Timestamp};
use serde::{Deserialize, Serialize};

/// A mission that was paused: no turn begins in it, so that no model is asked for anything new. Turns that run go on to
/// their end, and what they hand in is checked; a review is a turn as well and waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Since when.
    pub since: Timestamp,
    /// Who wanted it.
    pub by: String,
    /// What was left of the mission's time.
    left: Millis,
    /// How long nobody had run it before.
    pub(crate) idle: Millis,
}

/// What a person said to a mission's agents after its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Its number in the mission, from 1.
    pub n: u32,
    /// When.
    pub at: Timestamp,
    /// The task that it is about; of all where there is none.
    pub task: Option<TaskId>,
    /// The words.
    pub text: String,
}

/// All that people said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Words {
    all: Vec<Said>,
    /// How much it was in all; what was said of tasks that are no more is forgotten.
    pub(crate) last: u32,
}

/// What becomes of the tasks that need one which is skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dependents {
    /// Whoever skips it is told of them, and says.
    #[default]
    Ask,
    /// They are skipped too.
    Skip,
    /// They are carried out without it.
    Run,
}

impl Said {
    /// Whether a turn should know it.
    pub fn concerns(&self, turn: &Turn) -> bool {
        match turn {
            Turn::Work { attempt } | Turn::Review { attempt, .. } => {
                self.task.is_none_or(|about| about == attempt.task)
            }
            Turn::Split { task, .. } => self.task.is_none_or(|about| about == *task),
            Turn::Intent { .. } | Turn::Plan { .. } => true,
        }
    }
}

impl Mission {
    /// The pause that it is in.
    pub fn pause(&self) -> Option<&Pause> {
        self.paused.as_ref()
    }

    /// Everything that people said, oldest first.
    pub fn said(&self) -> &[Said] {
        &self.said.all
    }

    /// What people said that whoever works on this task or judges it should know, oldest first.
    pub fn said_of(&self, task: TaskId) -> impl Iterator<Item = &str> {
        let concerns = move |said: &&Said| said.task.is_none_or(|about| about == task);
        self.said
            .all
            .iter()
            .filter(concerns)
            .map(|said| said.text.as_str())
    }

    pub(crate) fn steered(&mut self, at: Timestamp, task: Option<TaskId>, text: &str) {
        self.said.last += 1;
        self.said.all.push(Said {
            n: self.said.last,
            at,
            task,
            text: text.to_owned(),
        });
    }

    /// A turn has been told what was said while it ran. It is noted once.
    pub(crate) fn decide_told(&self, epoch: Epoch, n: u32) -> Decided {
        let is_news = self
            .leases
            .get(&epoch)
            .is_some_and(|lease| n > lease.told || planted!("note_told_twice"));
        let told = (is_news && n <= self.said.last).then_some(Event::TurnTold { epoch, n });
        done(told.into_iter().collect())
    }

    /// Turns that run now, that the last words concern, and that do not know them: they began before, and have come to
    /// no step since.
    pub fn unaware(&self) -> usize {
        let Some(said) = self.said.all.last() else {
            return 0;
        };
        self.leases
            .values()
            .filter(|lease| lease.told < said.n && said.concerns(&lease.turn))
            .count()
    }

    /// Whether no turn may begin.
    pub(crate) fn stands_still(&self) -> bool {
        self.paused.is_some() && !planted!("turn_started_in_a_pause")
    }

    pub(crate) fn decide_pause(&self, by: String) -> Decided {
        if let Some(outcome) = self.outcome {
            return refused(Refusal::Over(outcome));
        }
        if self.winding_down() {
            return refused(Refusal::Ending);
        }
        let pauses = self.paused.is_none().then_some(Event::Paused { by });
        done(pauses.into_iter().collect())
    }

    pub(crate) fn decide_steer(&self, task: Option<TaskId>, text: &str, by: String) -> Decided {
        let text = text.trim();
        if let Some(outcome) = self.outcome {
            return refused(Refusal::Over(outcome));
        }
        if self.winding_down() {
            return refused(Refusal::Ending);
        }
        if text.is_empty() {
            return refused(Refusal::NothingSaid);
        }
        // Whoever did not hear that it was taken says it again; every turn hears it once all the same.
        let last = self.said.all.last();
        if last.is_some_and(|last| (last.task, last.text.as_str()) == (task, text)) {
            return done(Vec::new());
        }
        if let Some(why) = self.unsayable(text) {
            return refused(why);
        }
        if let Some(id) = task {
            match self.tasks.get(&id).map(|task| &task.state) {
                None => return refused(Refusal::NoTask(id)),
                Some(State::Landed) => return refused(Refusal::TaskLanded(id)),
                Some(_) => {}
            }
        }
        let text = text.to_owned();
        done(vec![Event::Steered { task, text, by }])
    }

    /// Why a note is not taken. Nothing of it is left out without a word.
    pub(crate) fn unsayable(&self, text: &str) -> Option<Refusal> {
        if cut_to(text, limits::SAID_BYTES) != text {
            return Some(Refusal::TooMuchSaid(limits::SAID_BYTES));
        }
        let enough = self.said.all.len() >= limits::SAID;
        enough.then_some(Refusal::SaidEnough(limits::SAID))
    }

    pub(crate) fn paused_at(&mut self, at: Timestamp, by: &str) {
        self.paused = Some(Pause {
            since: at,
            by: by.to_owned(),
            left: self.deadline.since(at),
            idle: self.idle,
        });
        self.deadline = self.deadline.max(at + limits::PAUSE);
    }

    /// For how long it has been paused by now. In what of that no engine ran, what waits has moved already.
    pub(crate) fn stood_still(&self, at: Timestamp) -> Millis {
        self.paused.as_ref().map_or(Millis(0), |pause| {
            let idle = self.idle.0.saturating_sub(pause.idle.0);
            Millis(at.since(pause.since).0.saturating_sub(idle))
        })
    }

    /// A person ends a pause.
    pub(crate) fn unpaused(&mut self, at: Timestamp) {
        self.goes_on_at(at);
        self.asks_anew(at);
    }

    /// The pause is over, if there was one: its time counts for nothing.
    pub(crate) fn goes_on_at(&mut self, at: Timestamp) {
        let moved = self.stood_still(at);
        if let Some(pause) = self.paused.take() {
            for question in self.questions.values_mut() {
                question.deadline = question.deadline + moved;
            }
            self.idle = pause.idle + at.since(pause.since);
            self.deadline = at + pause.left;
        }
    }

    /// What was said of tasks that are planned anew was told to the Planner; their names mean something else now.
    pub(crate) fn forget_what_was_said_of_others(&mut self) {
        let tasks = &self.tasks;
        self.said
            .all
            .retain(|said| said.task.is_none_or(|id| tasks.contains_key(&id)));
    }
}
