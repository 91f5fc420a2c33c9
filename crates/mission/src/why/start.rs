//! Why a turn began: why this task and no other, in this lane, now.

use super::{NAMED, count, names};
use crate::event::Turn;
use crate::governor;
use crate::ids::{AttemptId, TaskId};
use crate::limits;
use crate::mission::Mission;
use crate::plan::TaskKind;
use crate::schedule::{Narrow, Rank};
use crate::time::Timestamp;
use crate::turn::Role;
use std::cmp::Reverse;

/// A task that could start: its rank, and the lane that it belongs to.
type Candidate = (Rank, TaskId, Option<u32>);

impl Mission {
    /// The Worker's task that the rules start at this moment, and its lane. For tests, which hold it against what started.
    #[doc(hidden)]
    pub fn would_start(&self, at: Timestamp) -> Option<(TaskId, u32)> {
        self.next_work(at)
    }

    pub(super) fn why_started(&self, at: Timestamp, turn: Turn, lane: u32) -> Vec<String> {
        let mut why = match turn {
            Turn::Intent { n: 1 } => vec![match at < self.reading.from {
                true => "what the checks say of the base is known".to_owned(),
                false => format!(
                    "what the checks say of the base was waited for {}, and no longer",
                    limits::FIRST_LOOK
                ),
            }],
            turn if self.is_ahead(turn) => vec![Self::why_ahead()],
            Turn::Intent { n } => vec![self.why_again(n, self.reading.faults)],
            Turn::Plan { n } if self.planning.faults > 0 => {
                vec![self.why_again(n, self.planning.faults)]
            }
            Turn::Plan { .. } if !self.planning.refused.is_empty() => vec![format!(
                "the plan before it was faulty: repair {} of {}",
                self.planning.repairs,
                limits::PLAN_REPAIRS
            )],
            Turn::Plan { .. } => vec!["the request is more than one small change".to_owned()],
            Turn::Split { task, .. } => self.why_asked_to_split(task),
            Turn::Review { attempt, n } => self.why_reviewed(at, attempt, n),
            Turn::Work { attempt } => self.why_worked(at, attempt, lane),
        };
        why.extend(self.why_model(at, turn.role()));
        why
    }

    fn why_again(&self, n: u32, faults: u32) -> String {
        match faults {
            0 => format!("try {n}: the one before was not served, and its wait is over"),
            _ => format!(
                "try {n}: {faults} of at most {} failed in a row, and the wait after the last is over",
                limits::PLANNING_TRIES
            ),
        }
    }

    /// What a turn may use of the budget and of the time. The model is the one that it is asked of where its task stagnates.
    pub(super) fn why_lent(
        &self,
        at: Timestamp,
        (turn, model): (Turn, Option<&str>),
        reserved: u64,
        deadline: Timestamp,
    ) -> String {
        let left = match turn {
            Turn::Work { .. } => format!(
                ", which are {} for a set-up and {} for the attempt, or what the mission has left",
                limits::SET_UP,
                self.terms.attempt
            ),
            _ => String::new(),
        };
        let held = match (turn, self.held_for_reviews().0) {
            (Turn::Work { .. }, held) if held > 0 => {
                format!(" (of which {held} are held for reviews of what others work on)")
            }
            _ => String::new(),
        };
        let role = turn.role();
        let chosen = self.chosen(role);
        let model = self.model_or_own(role, model.or(chosen.as_deref()));
        let written = self.written_at_most(turn, model);
        let steps = match written.filter(|written| *written == reserved) {
            Some(_) => format!(
                ", which is all that {} writes in {} steps",
                governor::told(model),
                role.steps()
            ),
            None => String::new(),
        };
        format!(
            "{reserved} of {} free tokens{held} are reserved for it{steps}, and it has {}{left}",
            self.budget.free(),
            deadline.since(at)
        )
    }

    fn why_model(&self, at: Timestamp, role: Role) -> Option<String> {
        let model = self.choose_model(at, role).flatten()?;
        Some(format!(
            "it is asked of {}, because its own may not be asked now",
            governor::told(model)
        ))
    }

    fn why_reviewed(&self, at: Timestamp, attempt: AttemptId, n: u32) -> Vec<String> {
        let waiting = self.judging.iter().take_while(|(from, _)| *from <= at);
        let waits = waiting.clone().count();
        let is_first = waiting.map(|(_, id)| *id).next() == Some(attempt.task);
        let which = match is_first {
            true => "it waits longest",
            false => "those that wait longer were refused again and again, and let it try first",
        };
        let running = self.leases_of(Role::Reviewer).count();
        let mut why = vec![format!(
            "{} for a Reviewer, and {which}; {running} of {} Reviewers are busy",
            match waits {
                1 => "1 attempt waits".to_owned(),
                waits => format!("{waits} attempts wait"),
            },
            self.slots_at(Role::Reviewer, self.provider_for(at, Role::Reviewer))
                .now()
        )];
        if n > 1 {
            why.push(format!(
                "try {n}: no judgement of {attempt} came of the one before"
            ));
        }
        why
    }

    /// The tasks of Workers that could start at this moment, the best first.
    fn candidates(&self, at: Timestamp) -> Vec<Candidate> {
        let aged = self.ready.aged(at);
        let ready = aged.as_ref().unwrap_or(&self.ready).of_workers();
        let ready = ready.map(|(rank, id, lane)| (rank, id, Some(lane)));
        let is_worked = |id: &TaskId| self.tasks[id].task.kind == TaskKind::Agent;
        let due = self.parked.iter().take_while(|(until, _)| *until <= at);
        let due = due.map(|(_, id)| *id).filter(is_worked);
        let woken = due.map(|id| (self.rank(id), id, self.tasks[&id].lane));
        let mut all: Vec<Candidate> = ready.chain(woken).collect();
        all.sort_by_key(|(rank, id, _)| (*rank, *id));
        all.dedup_by_key(|(_, id, _)| *id);
        all
    }

    fn why_worked(&self, at: Timestamp, attempt: AttemptId, lane: u32) -> Vec<String> {
        let all = self.candidates(at);
        let id = attempt.task;
        let Some(own) = all.iter().find(|(_, of, _)| *of == id) else {
            return Vec::new();
        };
        let mut why = vec![self.why_first(own, &all)];
        why.extend(self.why_passed_over(at, own, &all));
        why.push(self.why_lane(own, lane));
        why.push(self.why_now(at, id, lane));
        why.extend(self.why_attempt(attempt));
        let path = self.critical_path();
        if path.is_some_and(|path| path.tasks.contains(&id)) {
            why.push("it is on the critical path".to_owned());
        }
        why
    }

    /// What makes it the first, and against which other one that told.
    fn why_first(&self, own: &Candidate, all: &[Candidate]) -> String {
        let (rank, id, _) = own;
        let (Reverse(class), Reverse(path), _) = rank;
        let task = &self.tasks[id].task;
        let risen = match *class > task.priority {
            true => format!(
                ", risen from {} because it waited for {}",
                task.priority.word(),
                limits::AGING
            ),
            false => String::new(),
        };
        let is_own = format!(
            "{id} is of {} priority{risen}, and from its start to the end it is {}",
            class.word(),
            self.path_told(*path)
        );
        let mut others = all
            .iter()
            .filter(|(of, other, _)| other != id && of >= rank);
        match others.next() {
            None => format!("{is_own}; no other could start"),
            Some(next) => format!(
                "{is_own}; next is {}, {}",
                next.1,
                self.why_behind(&next.0, rank)
            ),
        }
    }

    /// What makes one rank worse than another.
    fn why_behind(&self, worse: &Rank, better: &Rank) -> String {
        let (Reverse(class), Reverse(path), Reverse(weight)) = worse;
        let told = self.path_told(*path);
        if worse.0 != better.0 {
            format!("of {} priority", class.word())
        } else if worse.1 != better.1 {
            format!("from which it is {told}")
        } else if worse.2 != better.2 {
            format!("which takes fewer slots ({weight})")
        } else {
            "which is as urgent, and belongs to another lane or came at another time".to_owned()
        }
    }

    /// What would come before it and may not.
    fn why_passed_over(&self, at: Timestamp, own: &Candidate, all: &[Candidate]) -> Vec<String> {
        let better = all.iter().filter(|(rank, _, _)| *rank < own.0);
        let told = better.filter_map(|(_, id, _)| {
            Some(format!(
                "{id} would come first, and waits for {}",
                self.lacks_first(at, *id)?
            ))
        });
        told.take(NAMED).collect()
    }

    /// What a task cannot have now: a resource, or a provider that it leaves to others for a moment.
    fn lacks_first(&self, at: Timestamp, id: TaskId) -> Option<String> {
        let task = self.tasks.get(&id)?;
        let model = task.stuck.model(task.next().n);
        let later = self.lets_others_try(at, Role::Worker, model, task.refusals);
        let told = || {
            format!(
                "others to try the provider first, since it was refused {} in a row",
                count(task.refusals as usize, "time")
            )
        };
        self.lacks_resource(id).or_else(|| later.then(told))
    }

    /// The resource that a task cannot have now.
    fn lacks_resource(&self, id: TaskId) -> Option<String> {
        let resources = &self.tasks.get(&id)?.task.resources;
        if let Some((name, who)) = self.holder(resources) {
            return Some(format!("{name}, which {who} has"));
        }
        let wanted = self.wanted_by_checks();
        let name = resources
            .iter()
            .find(|name| wanted.contains(name.as_str()))?;
        Some(format!(
            "{name}, which a check of what is finished needs first"
        ))
    }

    fn why_lane(&self, own: &Candidate, lane: u32) -> String {
        let (_, id, home) = own;
        let task = &self.tasks[id];
        if task.lane == Some(lane) {
            return format!("lane {lane}: it was there before, and its workspace still is");
        }
        if task.home == Some(lane) && !task.task.needs.is_empty() {
            return format!(
                "lane {lane}: what it needed was done there, so that its workspace is warm"
            );
        }
        match home {
            Some(home) if *home == lane => format!("lane {lane}: it was dealt to it"),
            Some(home) => format!(
                "lane {lane} had nothing as urgent of its own, and takes the oldest of lane {home}"
            ),
            None => format!("lane {lane}: the first that is free"),
        }
    }

    fn why_now(&self, at: Timestamp, id: TaskId, lane: u32) -> String {
        let (role, provider) = (Role::Worker, self.provider_of_next(at, id));
        let slots = self.slots_at(role, provider);
        let taken = self.slots_taken(role, Some(provider));
        let there = self.told_where(role, provider);
        let mut told = format!("{taken} of {} slots{there} were taken", slots.now());
        if slots.now() < slots.cap() {
            told.push_str(&format!(
                " ({} are allowed; one more after {} turns in a row that go well)",
                slots.cap(),
                limits::SLOTS_GROW
            ));
        }
        if self
            .fan
            .is_some_and(|fan| matches!(fan.narrow, Some(Narrow::Tiny { .. })))
        {
            told.push_str(&format!(
                ", and lane {lane} is the only one: the plan is tiny"
            ));
        }
        if self.cramped().is_some() {
            told.push_str(
                "; the disk has no room for another workspace, and this lane has its own",
            );
        }
        if let Some(pressure) = &self.pressure {
            let idle = self.leases.is_empty() && self.gate_leases.is_empty();
            told.push_str(match idle {
                true => "; the machine is short of room, and one task may always run",
                false => "; the machine is short of room, and admits what is as urgent: ",
            });
            if !idle {
                told.push_str(pressure.admits.word());
            }
        }
        told
    }

    fn why_attempt(&self, attempt: AttemptId) -> Option<String> {
        let task = &self.tasks[&attempt.task];
        if task.n == 0 {
            return None;
        }
        if !task.spent {
            return Some(format!(
                "{attempt} goes on: it did not end by its agent's fault ({} so far of its host, {} by its provider, in a row)",
                count(task.faults as usize, "failure"),
                count(task.refusals as usize, "refusal")
            ));
        }
        let from = match &task.from {
            Some(_) => "on top of the work before",
            None => "from what has landed",
        };
        Some(format!(
            "a new attempt, {from}: {} of at most {} ended by the agent's fault",
            task.tries, self.terms.attempts
        ))
    }

    /// Why a task did not start when another one did: it could have, and was not the best, or waits for something. `None`
    /// where it could not have started anyway.
    pub fn why_not(&self, at: Timestamp, turn: Turn, id: TaskId) -> Option<String> {
        let Turn::Work { attempt } = turn else {
            return None;
        };
        let all = self.candidates(at);
        let of = |id: TaskId| all.iter().find(|(_, of, _)| *of == id);
        let (other, own) = (of(attempt.task)?, of(id)?);
        if attempt.task == id {
            return None;
        }
        let why = match self.lacks_first(at, id) {
            Some(lacks) => format!("it waits for {lacks}"),
            None if own.0 >= other.0 => {
                let (Reverse(class), Reverse(path), _) = other.0;
                format!(
                    "{} comes first: it is of {} priority and {} from the end; {id} is one {}",
                    attempt.task,
                    class.word(),
                    self.path_told(path),
                    self.why_behind(&own.0, &other.0)
                )
            }
            None => "a wait of the other one ended at this very moment".to_owned(),
        };
        let before: Vec<TaskId> = all
            .iter()
            .take_while(|(rank, _, _)| *rank < own.0)
            .map(|(_, id, _)| *id)
            .collect();
        Some(match before.len() {
            0 => format!("not {id}: {why}"),
            n => format!(
                "not {id}: {why}; before it come {} ({n})",
                names(&before, NAMED, ", ")
            ),
        })
    }
}
