//! Why things were decided as they were: which rule, and which numbers.
//!
//! Nothing of it is stored. Whoever replays the events has, before each of them, the state that it was decided from, and
//! the same rules say why. What came from outside, such as an answer, is a fact and has no reason here.

mod host;
mod queue;
mod start;

use crate::event::{Event, Purpose, Turn};
use crate::ids::{AttemptId, Epoch, TaskId};
use crate::limits;
use crate::mission::Mission;
use crate::plan::Priority;
use crate::question::About;
use crate::schedule::{Narrow, Short};
use crate::time::Timestamp;

/// Of many tasks, so many are named.
const NAMED: usize = 3;

impl Priority {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }
}

impl Mission {
    /// Why an event happened that follows from this state, as sentences. May hold text from outside: escape it where it is
    /// shown.
    pub fn why(&self, at: Timestamp, event: &Event) -> Vec<String> {
        match event {
            Event::TurnStarted {
                turn,
                lane,
                reserved,
                deadline,
                model,
                ..
            } => {
                let mut why = self.why_started(at, *turn, *lane);
                let asked = (*turn, model.as_deref());
                why.push(self.why_lent(at, asked, *reserved, *deadline));
                why
            }
            Event::Planned { .. } => self.why_fanned(at, event),
            Event::PlannedAhead { came, .. } => self.why_came(came),
            Event::Pressed { .. } | Event::Relieved { .. } => self.why_admitted(event),
            Event::Stagnated { .. } | Event::PlanEdited { .. } | Event::SplitRefused { .. } => {
                self.why_split(event)
            }
            Event::TurnEnded { .. }
            | Event::TurnServed { .. }
            | Event::TurnLent { .. }
            | Event::ModelSwitched { .. }
            | Event::ProviderHeld { .. }
            | Event::BreakerOpened { .. } => self.why_of_hosts(at, event),
            Event::Parked { .. }
            | Event::Rejected { .. }
            | Event::GateStarted { .. }
            | Event::Accepted { .. }
            | Event::LandingStarted { .. }
            | Event::LandingFailed { .. } => self.why_of_work(at, event),
            Event::ConflictForeseen {
                attempt, conflict, ..
            } => self.why_foreseen(*attempt, conflict.stands()),
            Event::SessionUsed { .. } | Event::SessionRetired { .. } => self.why_session(at, event),
            Event::Asked {
                default, deadline, ..
            } => {
                let wait = deadline.since(at);
                vec![match self.terms.attended {
                    true => format!("where nobody answers for {wait}, `{default}` is taken"),
                    false => format!("nobody attends this mission: `{default}` is taken at once"),
                }]
            }
            Event::Landed { .. } | Event::TaskDone { .. } => self.why_next(at, event),
            Event::Sealed { .. } => self.why_so_long(),
            _ => Vec::new(),
        }
    }

    /// What a plan fans out into, and the path that nothing shortens.
    fn why_fanned(&self, at: Timestamp, event: &Event) -> Vec<String> {
        let mut after = self.clone();
        after.apply(at, event);
        let mut why = Vec::new();
        if let Some(fan) = after.fan() {
            let (cap, tenths) = (after.lanes(), fan.predicted);
            let gains = format!(
                "by the plan's sizes that is {}.{} times as fast as one lane",
                tenths / 10,
                tenths % 10
            );
            why.push(match fan.narrow {
                None => format!("all {cap} lanes may be used: {gains}"),
                Some(Narrow::Tiny { gain }) => {
                    let forgone = match gain {
                        0..=10 => String::new(),
                        gain => format!(
                            "; without that all lanes would be {}.{} times as fast as one, by the plan's sizes",
                            gain / 10,
                            gain % 10
                        ),
                    };
                    format!(
                        "one lane: all of it weighs no more than {} small tasks, and another workspace costs about as \
                         much{forgone}",
                        limits::TINY
                    )
                }
                Some(Narrow::Graph { overlaps }) => {
                    let added = match overlaps {
                        0 => String::new(),
                        n => format!(" ({n} of it added for overlapping files)"),
                    };
                    let gains = match fan.enough {
                        1 => String::new(),
                        _ => format!(": {gains}"),
                    };
                    let (enough, lanes) = (fan.enough, fan.lanes);
                    let closed = match lanes < cap {
                        true => format!("; in more than {lanes} nothing could ever run"),
                        false => String::new(),
                    };
                    format!("{enough} of {cap} lanes would do, because of what needs what{added}{gains}{closed}")
                }
            });
        }
        if let Some(path) = after.critical_path() {
            why.push(format!(
                "the critical path is {}: {}",
                names(&path.tasks, usize::MAX, " → "),
                match path.expected {
                    Some(expected) => format!("about {expected}, by what was learned"),
                    None => format!("{} small tasks long, by sizes alone", path.weight),
                }
            ));
        }
        why
    }

    /// Why the machine's state keeps tasks from starting, or does no longer.
    fn why_admitted(&self, event: &Event) -> Vec<String> {
        match event {
            Event::Pressed {
                of: of @ Short::Disk,
                used,
                ..
            } => vec![format!(
                "{used} is more than {}; below {} workspaces are made again, and until then lanes go on that have theirs",
                of.bounds().0,
                of.bounds().1
            )],
            Event::Pressed {
                of: of @ Short::Full,
                used,
                ..
            } => vec![format!(
                "{used} is more than {}; below {} all may begin again, and until then no turn and no check does",
                of.bounds().0,
                of.bounds().1
            )],
            Event::Pressed { of, used, admits } => {
                let (most, enough) = of.bounds();
                let waits = self.ready.iter().filter(|id| self.class_of(*id) < *admits);
                let again = match self.pressure {
                    Some(_) => ", and so it has been for as long again",
                    None => "",
                };
                vec![format!(
                    "{used} is more than {most}, for {} on end{again}; below {enough} all may start, and until then {} \
                     could and may not",
                    limits::PRESSURE_FOR,
                    count(waits.count(), "task"),
                )]
            }
            _ => vec!["each figure of the machine is below what is enough".to_owned()],
        }
    }

    /// What an end of a task lets begin.
    fn why_next(&self, at: Timestamp, event: &Event) -> Vec<String> {
        let mut after = self.clone();
        after.apply(at, event);
        let new = after
            .ready
            .iter()
            .filter(|id| self.ready.class(*id).is_none());
        let mut new: Vec<TaskId> = new.collect();
        new.sort();
        match new.is_empty() {
            true => Vec::new(),
            false => vec![format!(
                "all that {} needed has landed",
                names(&new, NAMED, ", ")
            )],
        }
    }

    /// The path that the mission's time was.
    fn why_so_long(&self) -> Vec<String> {
        let mut why = Vec::new();
        if let Some((path, took)) = self.actual_path() {
            why.push(format!(
                "the path that nothing shortened was {}, {took}",
                names(&path, usize::MAX, " → ")
            ));
        }
        if let Some(gain) = self.gain() {
            why.push(format!(
                "while any Worker worked, {}.{} of them did on average",
                gain / 10,
                gain % 10
            ));
        }
        why
    }

    /// The tasks that an event is about.
    pub fn concerned(&self, event: &Event) -> Vec<TaskId> {
        let of = |attempts: &[AttemptId]| attempts.iter().map(|attempt| attempt.task).collect();
        let turn = |turn: &Turn| match turn {
            Turn::Work { attempt } | Turn::Review { attempt, .. } => vec![attempt.task],
            Turn::Split { task, .. } => vec![*task],
            Turn::Intent { .. } | Turn::Plan { .. } => Vec::new(),
        };
        let under = |epoch: &Epoch| {
            let lease = self.leases.get(epoch);
            lease.map_or(Vec::new(), |lease| turn(&lease.turn))
        };
        let asked = |about: &About| match about {
            About::Dispute { attempt, .. } | About::Blocked { attempt } => vec![attempt.task],
            About::Task { task } => vec![*task],
            About::Permission { epoch, .. } => under(epoch),
            About::Plan => Vec::new(),
        };
        match event {
            Event::TurnStarted { turn: it, .. } | Event::TurnEnded { turn: it, .. } => turn(it),
            Event::TurnLent { epoch, .. }
            | Event::TurnTold { epoch, .. }
            | Event::TurnNudged { epoch, .. }
            | Event::TurnServed { epoch }
            | Event::SessionUsed { epoch, .. }
            | Event::ProviderHeld {
                epoch: Some(epoch), ..
            } => under(epoch),
            Event::Planned { plan } => plan.tasks.iter().map(|task| task.id).collect(),
            Event::PlanEdited { tasks, dropped, .. } => {
                let tasks = tasks.iter().map(|task| task.id);
                tasks.chain(dropped.iter().copied()).collect()
            }
            Event::Stagnated { task, .. } | Event::SplitRefused { task, .. } => vec![*task],
            Event::Worked { attempt, .. }
            | Event::ConflictForeseen { attempt, .. }
            | Event::Diagnosed { attempt, .. }
            | Event::Rejected { attempt, .. }
            | Event::Accepted { attempt, .. }
            | Event::Disputed { attempt, .. } => vec![attempt.task],
            Event::Reused { task, .. }
            | Event::Parked { task, .. }
            | Event::TaskFailed { task, .. }
            | Event::TaskDone { task, .. }
            | Event::TaskRetried { task, .. }
            | Event::TaskSkipped { task, .. }
            | Event::TaskPrioritised { task, .. }
            | Event::Steered {
                task: Some(task), ..
            } => vec![*task],
            Event::GateStarted { purpose, .. } => self.proved_by(purpose),
            Event::GateEnded { epoch, .. } | Event::GateLost { epoch, .. } => {
                let lease = self.gate_leases.get(epoch);
                lease.map_or(Vec::new(), |lease| self.proved_by(&lease.purpose))
            }
            Event::LandingStarted { attempts, .. } => of(attempts),
            Event::Stacked { .. } | Event::LandingFailed { .. } | Event::Landed { .. } => {
                let landing = self.landing.as_ref();
                landing.map_or(Vec::new(), |landing| of(&landing.attempts))
            }
            Event::Asked { about, .. } => asked(about),
            Event::QuestionClosed { id, .. } => {
                let question = self.questions.get(id);
                question.map_or(Vec::new(), |question| asked(&question.about))
            }
            _ => Vec::new(),
        }
    }

    fn proved_by(&self, purpose: &Purpose) -> Vec<TaskId> {
        match purpose {
            Purpose::Task { task } | Purpose::Before { task } => vec![*task],
            Purpose::Attempt { attempt } => vec![attempt.task],
            Purpose::Landing { .. } => {
                let landing = self.landing.iter();
                landing
                    .flat_map(|landing| &landing.attempts)
                    .map(|attempt| attempt.task)
                    .collect()
            }
            Purpose::Baseline | Purpose::Seal => Vec::new(),
        }
    }

    /// The class that a task is in by now.
    fn class_of(&self, id: TaskId) -> Priority {
        let own = || self.tasks.get(&id).map(|task| task.task.priority);
        self.ready.class(id).or_else(own).unwrap_or_default()
    }
}

/// The first of some tasks by name, and how many more there are.
fn names(tasks: &[TaskId], most: usize, between: &str) -> String {
    let named: Vec<String> = tasks.iter().take(most).map(TaskId::to_string).collect();
    match tasks.len().saturating_sub(most) {
        0 => named.join(between),
        more => format!("{} and {more} more", named.join(between)),
    }
}

/// So many of something, with the right ending.
fn count(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}
