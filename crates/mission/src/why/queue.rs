//! Why checks, attempts and landings come when they do.

use super::{NAMED, names};
use crate::event::{Event, Purpose, Rejection};
use crate::ids::TaskId;
use crate::limits;
use crate::mission::Mission;
use crate::time::Timestamp;

impl Mission {
    pub(super) fn why_of_work(&self, at: Timestamp, event: &Event) -> Vec<String> {
        match event {
            Event::Parked { task, until, .. } => {
                let wait = until.since(at);
                let task = self.tasks.get(task);
                let (n, of, longest) = task.map_or((0, 0, wait), |task| match task.spent {
                    _ if task.machine > 0 => {
                        (task.machine, limits::MACHINE_TRIES, limits::REFUSAL_MOST)
                    }
                    true => (task.tries, self.terms.attempts, limits::BACKOFF_MOST),
                    false => (task.faults, limits::STEP_TRIES, limits::BACKOFF_MOST),
                });
                vec![format!(
                    "{n} of at most {of} failed: {wait}, which is {} doubled with each, {longest} at the most, and spread",
                    limits::BACKOFF_FIRST,
                )]
            }
            Event::Rejected { attempt, rejection } => {
                let task = self.tasks.get(&attempt.task);
                let (tries, conflicts) = task.map_or((0, 0), |task| (task.tries, task.conflicts));
                vec![match rejection {
                    Rejection::Conflict { .. } => format!(
                        "others landed first, which is not its fault: conflict {} of at most {}",
                        conflicts + 1,
                        limits::CONFLICTS
                    ),
                    Rejection::Person { .. } => {
                        "a person said so, and no attempt is used up".to_owned()
                    }
                    _ => format!(
                        "{} of at most {} attempts are used up",
                        tries + 1,
                        self.terms.attempts
                    ),
                }]
            }
            Event::GateStarted { purpose, .. } => self.why_checked(purpose),
            Event::Accepted { .. } => self.why_queued(at, event),
            Event::LandingStarted { attempts, .. } => {
                let tasks: Vec<TaskId> = attempts.iter().map(|attempt| attempt.task).collect();
                self.why_landed(&tasks)
            }
            Event::LandingFailed { gate, .. } => self.why_back(gate.is_some()),
            _ => Vec::new(),
        }
    }

    fn why_checked(&self, purpose: &Purpose) -> Vec<String> {
        let first = match purpose {
            Purpose::Baseline => {
                "first of all: everything else is judged by what it says of the base"
            }
            Purpose::Landing { .. } => "before all others: the merge queue waits for it",
            Purpose::Task { .. } => "no landing waits for a check, and this task is one",
            Purpose::Attempt { .. } => {
                "no landing waits for a check, and this proves what was handed in"
            }
            Purpose::Before { .. } => {
                "nothing else waits for a check; what it said before the work is for the grade"
            }
            Purpose::Seal => "nothing moves any more: it proves the whole",
        };
        let waits = self.checking.len();
        let more = match purpose {
            Purpose::Attempt { .. } if waits > 1 => format!(
                "; of {waits} attempts that wait for theirs it is the first of the plan, and {} runs at a time",
                limits::GATES
            ),
            _ => String::new(),
        };
        vec![format!("{first}{more}")]
    }

    /// What an accepted attempt waits for before it lands.
    fn why_queued(&self, at: Timestamp, event: &Event) -> Vec<String> {
        let mut after = self.clone();
        after.apply(at, event);
        if after.queue.is_empty() {
            return Vec::new();
        }
        let place = format!("place {} in the merge queue", after.queue.len());
        vec![if let Some(landing) = &after.landing {
            format!("{place}: landing {} goes before it", landing.n)
        } else if after.has_company_coming() {
            let company: Vec<TaskId> = after.company.iter().copied().collect();
            format!(
                "{place}: it waits for {}, which are being checked and may land with it, and nobody waits for it",
                names(&company, NAMED, ", ")
            )
        } else {
            format!("{place}: nothing is before it, and it waits for nobody")
        }]
    }

    fn why_landed(&self, tasks: &[TaskId]) -> Vec<String> {
        let queued = self.queue.len();
        let most = self.stack_limit;
        let halved = match most < limits::STACK {
            true => " since a larger stack was red",
            false => "",
        };
        let awaited: Vec<TaskId> = tasks
            .iter()
            .copied()
            .filter(|id| {
                self.tasks
                    .get(id)
                    .is_some_and(|task| !task.needed_by.is_empty())
            })
            .collect();
        let now = if queued >= most {
            "the stack is full".to_owned()
        } else if !awaited.is_empty() {
            format!("others need {}", names(&awaited, NAMED, ", "))
        } else {
            "nothing is being checked that could land with them".to_owned()
        };
        vec![format!(
            "{} of {queued} in the merge queue, at most {most} together{halved}: {now}",
            tasks.len()
        )]
    }

    fn why_back(&self, red: bool) -> Vec<String> {
        let n = self
            .landing
            .as_ref()
            .map_or(0, |landing| landing.attempts.len());
        vec![match (red, n) {
            (false, _) => "what it stood on is no longer the end of the line, or it is given up; it stays in the queue".to_owned(),
            (true, 0 | 1) => "it stood alone, so that it is what is red".to_owned(),
            (true, n) => format!(
                "of {n} together nobody knows which is red: at most {} land together next",
                (n / 2).max(1)
            ),
        }]
    }
}
