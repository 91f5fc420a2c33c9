//! Everything that waits: who, for what, and until when at the latest. For people; nothing is decided by it.
//!
//! A task that waits for another one is not among it: the plan says so, and what that one waits for is here.

use crate::event::{Purpose, Turn};
use crate::governor::{self, provider_of};
use crate::ids::{AttemptId, Epoch, TaskId};
use crate::limits;
use crate::mission::{Delivery, Lease, Mission, Phase, State};
use crate::question::{About, Question, QuestionId};
use crate::schedule::{Place, Rank};
use crate::time::{Millis, Timestamp};
use crate::turn::Role;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Of many that wait for the same thing, so many are named.
const NAMED: usize = 3;

/// What kind of thing waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The mission, before its base and checks are known, and its checks before they can run.
    Preparing,
    /// A turn, for its agent or for a person.
    Turn(Epoch),
    /// A check that runs, for its end.
    Gate(Epoch),
    /// Whatever would begin, for the end of a pause.
    Pause,
    /// Whatever would begin, for a provider or a model.
    Provider,
    /// Whatever would begin, for room on the disk.
    Room,
    /// A moment, before something is tried again or begun.
    Moment,
    /// A slot that something else has.
    Slot,
    /// A landing, for what the engine does itself.
    Landing,
    /// A question, for a person.
    Question(QuestionId),
    /// The result's way to the user or back.
    Delivery,
}

/// One thing that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// What kind of thing it is.
    pub kind: Kind,
    /// Who waits, as people call it.
    pub who: String,
    /// For what. May hold text from outside: escape it where it is shown.
    pub cause: String,
    /// It is over then, one way or the other.
    pub until: Timestamp,
}

impl Turn {
    /// What people call whoever carries it out: `commander`, `planner`, `T1.2`, `review of T1.2`.
    pub fn told(&self) -> String {
        match self {
            Self::Intent { .. } => "commander".into(),
            Self::Plan { .. } => "planner".into(),
            Self::Split { task, .. } => format!("planner for {task}"),
            Self::Work { attempt } => attempt.to_string(),
            Self::Review { attempt, .. } => format!("review of {attempt}"),
        }
    }
}

impl Purpose {
    /// On what a check runs, in words.
    pub fn told(&self) -> String {
        match self {
            Self::Baseline => "your files as they were".to_owned(),
            Self::Landing { n } => format!("landing {n}"),
            Self::Task { task } => format!("what has landed, for {task}"),
            Self::Attempt { attempt } => attempt.to_string(),
            Self::Before { task } => format!("what {task} began with"),
            Self::Seal => "the whole".to_owned(),
        }
    }
}

impl Mission {
    /// Everything that waits now, in the order in which things come in a mission.
    pub fn waits(&self, now: Timestamp) -> Vec<Wait> {
        let mut found = Vec::new();
        if self.outcome.is_none() {
            found.extend(self.waits_in_a_pause());
            found.extend(self.waits_for_the_disk());
            found.extend(self.waits_before_the_plan(now));
            found.extend(self.waits_for_set_up());
            found.extend(self.waits_of_providers(now));
            found.extend(self.waits_of_turns());
            found.extend(self.waits_of_gates());
            found.extend(self.waits_of_tasks(now));
            found.extend(self.waits_of_landings());
            let questions = self.questions.iter();
            found.extend(questions.map(|(id, question)| Wait {
                kind: Kind::Question(*id),
                who: id.to_string(),
                cause: "your answer".into(),
                until: self.answered_until(question),
            }));
        }
        found.extend(self.waits_of_delivery());
        found
    }

    /// How long it has run until now, without the time in which no engine did.
    pub fn running_for(&self, now: Timestamp) -> Millis {
        let now = self
            .paused
            .as_ref()
            .map_or(now.max(self.last), |pause| pause.since);
        let end = self.sealed_at.unwrap_or(now);
        // What of a pause no engine ran has not gone by before it either.
        let idle = self.paused.as_ref().map_or(self.idle, |pause| pause.idle);
        Millis(end.since(self.opened).0.saturating_sub(idle.0))
    }

    /// The permission that a turn stands still for.
    pub fn asked_by(&self, epoch: Epoch) -> Option<(QuestionId, &Question)> {
        self.questions().find(
            |(_, question)| matches!(question.about, About::Permission { epoch: of, .. } if of == epoch),
        )
    }

    fn waits_in_a_pause(&self) -> Option<Wait> {
        let pause = self.paused.as_ref()?;
        let cause = format!("a resume: {} paused it", pause.by);
        Some(Wait {
            kind: Kind::Pause,
            who: "every new turn".to_owned(),
            cause,
            until: self.deadline,
        })
    }

    fn waits_for_the_disk(&self) -> Option<Wait> {
        let (who, short) = match (self.full(), self.cramped()) {
            (Some(full), _) => ("every new turn and check", full),
            (None, Some(cramped)) => ("whoever has no workspace yet", cramped),
            (None, None) => return None,
        };
        Some(Wait {
            kind: Kind::Room,
            who: who.to_owned(),
            cause: format!("the machine: {}", short.told()),
            until: self.deadline,
        })
    }

    fn waits_before_the_plan(&self, now: Timestamp) -> Option<Wait> {
        let wait = |kind, who: &str, cause: String, until| Wait {
            kind,
            who: who.to_owned(),
            cause,
            until,
        };
        if self.base.is_none() {
            let cause = "the base and its checks".to_owned();
            return Some(wait(Kind::Preparing, "preparation", cause, self.deadline));
        }
        let (who, short) = match self.phase {
            Phase::Reading => ("commander", &self.reading),
            Phase::Planning => ("planner", &self.planning),
            _ => return None,
        };
        let room = self.full().is_none() && self.may_begin_in(Place::Front);
        if self.is_fronted() || self.paused.is_some() || !room {
            return None;
        }
        let (cause, until) = match (short.from > now, short.n) {
            (true, 0) => ("what the checks say of your files", short.from),
            (true, _) => ("the provider or the server, then another try", short.from),
            (false, _) => ("the engine", self.deadline),
        };
        let role = match self.phase {
            Phase::Reading => Role::Commander,
            _ => Role::Planner,
        };
        let held = self.held_for(now, role).map(|(name, hold)| {
            let (name, why) = (governor::told(name), &hold.why);
            let cause = format!("{name}, which refused ({why}), and then another try");
            (cause, hold.until)
        });
        let (cause, until) = held.unwrap_or((cause.to_owned(), until));
        Some(wait(Kind::Moment, who, cause, until))
    }

    /// Whatever would begin at a provider that refused, or at a model that failed again and again.
    fn waits_of_providers(&self, now: Timestamp) -> Vec<Wait> {
        if self.phase != Phase::Running || self.paused.is_some() {
            return Vec::new();
        }
        let wait = |who: String, cause: String, until| Wait {
            kind: Kind::Provider,
            who,
            cause,
            until,
        };
        let held = self.held_providers().filter(|(_, hold)| hold.until > now);
        let held = held.map(|(name, hold)| {
            let (name, why) = (governor::told(name), &hold.why);
            let cause = format!("{name}, which refused ({why}); then one turn tries it");
            wait("every new turn".to_owned(), cause, hold.until)
        });
        let open = self.open_breakers().filter(|(_, hold)| hold.until > now);
        let open = open.map(|(model, hold)| {
            let (name, why) = (governor::told(model), &hold.why);
            let cause =
                format!("the breaker of {name}, which is open ({why}); then one turn tries it");
            wait("every new turn".to_owned(), cause, hold.until)
        });
        let on_trial = self.on_trial(now).map(|(name, until)| {
            let cause = format!("the turn that tries {} to be served", governor::told(name));
            wait("every other turn".to_owned(), cause, until)
        });
        held.chain(open).chain(on_trial).collect()
    }

    fn waits_for_set_up(&self) -> Option<Wait> {
        let each = limits::SET_UP;
        self.awaits_set_up().then(|| Wait {
            kind: Kind::Preparing,
            who: "checks and Workers".to_owned(),
            cause: format!("the set-up, {each} each command of it"),
            until: self.deadline,
        })
    }

    /// Until when an answer is waited for. No question's time runs out in a pause.
    fn answered_until(&self, question: &Question) -> Timestamp {
        match self.paused {
            Some(_) => self.deadline.max(question.deadline),
            None => question.deadline,
        }
    }

    fn waits_of_turns(&self) -> impl Iterator<Item = Wait> {
        self.leases.iter().map(|(epoch, lease)| {
            let who = match lease.turn.role() {
                Role::Worker => format!("worker {} {}", lease.lane, lease.turn.told()),
                Role::Reviewer => format!("{} by reviewer {}", lease.turn.told(), lease.lane),
                Role::Commander | Role::Planner => lease.turn.told(),
            };
            let (cause, until) = match self.asked_by(*epoch) {
                Some((id, question)) => (
                    format!("your answer to {id}"),
                    self.answered_until(question),
                ),
                None => ("its agent".to_owned(), lease.deadline),
            };
            let kind = Kind::Turn(*epoch);
            Wait {
                kind,
                who,
                cause,
                until: until.min(lease.deadline),
            }
        })
    }

    fn waits_of_gates(&self) -> impl Iterator<Item = Wait> {
        self.gate_leases.iter().map(|(epoch, lease)| Wait {
            kind: Kind::Gate(*epoch),
            who: format!("check {}", lease.gate.id),
            cause: format!("`{}` on {}", lease.gate.program, lease.purpose.told()),
            until: lease.deadline,
        })
    }

    fn waits_of_tasks(&self, now: Timestamp) -> Vec<Wait> {
        let moment = |attempt: AttemptId, cause: &str, until| Wait {
            kind: Kind::Moment,
            who: attempt.to_string(),
            cause: cause.to_owned(),
            until,
        };
        let (mut found, mut work, mut review, mut check) = (vec![], vec![], vec![], vec![]);
        for task in self.tasks.values() {
            let id = task.task.id;
            if let Some(until) = self.lets_others_try_until(now, task) {
                found.push(moment(task.attempt(), "others to be asked first", until));
                continue;
            }
            match &task.state {
                State::Parked { until, why } if *until > now => {
                    // Whoever carried it out is gone, and the same attempt goes on.
                    let orphaned = if task.orphaned { "orphaned: " } else { "" };
                    found.push(moment(task.attempt(), &format!("{orphaned}{why}"), *until));
                }
                State::Parked { .. } | State::Ready => work.push(id),
                State::Judging { from } if *from > now => {
                    found.push(moment(task.attempt(), "the next try at its review", *from));
                }
                State::Judging { .. } => review.push(id),
                State::Splitting { from } if *from > now => {
                    found.push(moment(
                        task.attempt(),
                        "the next try at cutting it anew",
                        *from,
                    ));
                }
                State::Checking => check.push(id),
                _ => {}
            }
        }
        let checked = |id: &TaskId| {
            let of = |purpose: &Purpose| matches!(purpose, Purpose::Attempt { attempt } if attempt.task == *id);
            self.gate_leases.values().any(|lease| of(&lease.purpose))
        };
        check.retain(|id| !checked(id));
        // What waits for the set-up waits for nothing else yet.
        if self.phase == Phase::Running && !self.awaits_set_up() && self.full().is_none() {
            if self.paused.is_none() {
                found.extend(self.waits_for_room(&mut work));
                found.extend(self.waits_for_resources(&mut work));
                found.extend(self.waits_for_slots(now, &work));
                let reviewer = (Role::Reviewer, self.provider_for(now, Role::Reviewer));
                found.extend(self.slot(&review, "a free Reviewer", reviewer, (1, 1)));
            }
            let until = self.first_gate();
            let cause = "its checks; one runs at a time";
            found.extend(self.waits_for_resources(&mut check));
            found.extend(shared(&check, cause, until.unwrap_or(self.deadline)));
        }
        found
    }

    /// Takes those out that wait until the machine is less busy.
    fn waits_for_room(&self, waiting: &mut Vec<TaskId>) -> Option<Wait> {
        let pressure = self.pressure.as_ref()?;
        let class = |id: &TaskId| {
            let risen = self.ready.class(*id);
            risen.unwrap_or(self.tasks[id].task.priority)
        };
        let (held, others) = waiting
            .drain(..)
            .partition(|id| !self.has_room_for(class(id)));
        *waiting = others;
        let held: Vec<TaskId> = held;
        let cause = format!("the machine: {}", pressure.told());
        shared(&held, &cause, self.deadline)
    }

    /// Takes those out that wait for a resource which another one has; one wait for all that wait for the same.
    fn waits_for_resources(&self, waiting: &mut Vec<TaskId>) -> Vec<Wait> {
        let mut of: BTreeMap<String, (Timestamp, Vec<TaskId>)> = BTreeMap::new();
        waiting.retain(|id| {
            let Some((name, who)) = self.holder(&self.tasks[id].task.resources) else {
                return true;
            };
            let until = self.held.get(name).and_then(|epoch| {
                let turn = self.leases.get(epoch).map(|lease| lease.deadline);
                turn.or_else(|| Some(self.gate_leases.get(epoch)?.deadline))
            });
            let until = until.unwrap_or(self.deadline);
            let of = of.entry(format!("{name}, which {who} has"));
            of.or_insert((until, Vec::new())).1.push(*id);
            false
        });
        let each = of.iter();
        each.filter_map(|(cause, (until, ids))| shared(ids, cause, *until))
            .collect()
    }

    /// What could begin but for a slot: one wait for all that wait for the same. Of what could begin in what is free nothing
    /// does before what comes first and takes more.
    fn waits_for_slots(&self, now: Timestamp, work: &[TaskId]) -> Vec<Wait> {
        let mut known: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
        let all: Vec<_> = work
            .iter()
            .map(|id| {
                let provider = self.provider_of_next(now, *id);
                let (slots, free) = *known
                    .entry(provider)
                    .or_insert_with(|| self.slots_free(Role::Worker, provider, self.lanes_open()));
                let takes = self.tasks[id].task.weight.min(slots);
                (*id, provider, takes, free)
            })
            .collect();
        let heavy = all
            .iter()
            .filter(|(.., takes, free)| *free > 0 && takes > free);
        let first = heavy.min_by_key(|(id, ..)| self.risen(*id));
        let mut by: BTreeMap<(&str, u32, u32, String), Vec<TaskId>> = BTreeMap::new();
        for (id, provider, takes, free) in all.iter().copied() {
            let comes_first =
                first.filter(|first| takes <= free && self.risen(first.0) < self.risen(id));
            let lacking = takes.saturating_sub(free);
            let key = match comes_first {
                Some((first, provider, takes, free)) => {
                    let cause = format!("{first}, which comes first and takes {takes} at once");
                    (*provider, *takes, takes - free, cause)
                }
                None if takes > 1 => (
                    provider,
                    takes,
                    lacking,
                    format!("{takes} free Workers at once"),
                ),
                None => (provider, takes, lacking, "a free Worker".to_owned()),
            };
            by.entry(key).or_default().push(id);
        }
        let each = by.iter();
        each.filter_map(|((provider, takes, lacking, cause), work)| {
            self.slot(work, cause, (Role::Worker, provider), (*takes, *lacking))
        })
        .collect()
    }

    /// Where a task comes in the order of those that are ready, with the class that it has risen to.
    fn risen(&self, id: TaskId) -> Rank {
        let (priority, path, weight) = self.rank(id);
        (self.ready.class(id).map_or(priority, Reverse), path, weight)
    }

    /// So many slots of a role are free when turns that have as many are over.
    fn slot(
        &self,
        waiting: &[TaskId],
        cause: &str,
        of: (Role, &str),
        (takes, lacking): (u32, u32),
    ) -> Option<Wait> {
        let (role, provider) = of;
        let slots = self.slots_at(role, provider);
        let (now, cap) = (slots.now(), slots.cap());
        let cause = match self.cramped() {
            Some(_) => format!("{cause} that has a workspace"),
            None => cause.to_owned(),
        };
        let cause = match now < cap {
            true => format!(
                "{cause}; {now} of {cap} at once{}, and one more when {} turns in a row go well",
                self.told_where(role, provider),
                limits::SLOTS_GROW
            ),
            false => cause,
        };
        // Where others have all that the user allows, any of them that ends makes room.
        let is_full = self.slots_taken(role, Some(provider)) + takes > now;
        let counts = |lease: &&Lease| !is_full || provider_of(self.model_of(lease)) == provider;
        let taken = self.leases.values();
        let taken = taken
            .filter(|lease| lease.turn.role() == role)
            .filter(counts);
        let mut ends: Vec<_> = taken
            .map(|lease| (lease.deadline, self.takes(lease)))
            .collect();
        ends.sort_unstable();
        let mut freed = 0;
        let until = ends.into_iter().find_map(|(until, takes)| {
            freed += takes;
            (freed >= lacking).then_some(until)
        });
        shared(waiting, &cause, until.unwrap_or(self.deadline))
    }

    fn first_gate(&self) -> Option<Timestamp> {
        self.gate_leases.values().map(|lease| lease.deadline).min()
    }

    fn waits_of_landings(&self) -> Vec<Wait> {
        let next = self.first_gate().unwrap_or(self.deadline);
        let mut found = Vec::new();
        if let Some(landing) = &self.landing {
            let runs = |purpose: &Purpose| *purpose == Purpose::Landing { n: landing.n };
            let gated = self.gate_leases.values().any(|gate| runs(&gate.purpose));
            let needs = self.next_landing_gate();
            let needs = needs.and_then(|gate| self.holder(self.resources_of(gate)));
            let cause = match (&landing.top, needs) {
                (None, _) => Some("its merge onto what has landed".to_owned()),
                (Some(_), _) if self.landing_is_green() => Some("the landed line to move".into()),
                (Some(_), _) if gated => None,
                (Some(_), Some((name, who))) => Some(format!("{name}, which {who} has")),
                (Some(_), None) => Some("its checks; one runs at a time".into()),
            };
            found.extend(cause.map(|cause| Wait {
                kind: Kind::Landing,
                who: format!("landing {}", landing.n),
                cause,
                until: self.owed.map_or(next, |owed| owed.until),
            }));
        }
        let queued = self
            .tasks
            .values()
            .filter(|task| task.state == State::Queued);
        let queued: Vec<TaskId> = queued.map(|task| task.task.id).collect();
        let for_what = match self.landing {
            None if self.has_company_coming() => {
                "the attempts that are being checked, to land with them"
            }
            _ => "the landing before it",
        };
        found.extend(shared(&queued, for_what, next));
        found
    }

    fn waits_of_delivery(&self) -> Option<Wait> {
        let what = match &self.delivery {
            Delivery::Wanted(_) | Delivery::Planned { .. } => "the delivery",
            Delivery::Undoing { .. } => "the undo",
            _ => return None,
        };
        Some(Wait {
            kind: Kind::Delivery,
            who: what.to_owned(),
            cause: "its files, and another delivery into this folder if there is one".into(),
            until: self.owed?.until,
        })
    }
}

/// One wait for all tasks that wait for the same slot.
fn shared(tasks: &[TaskId], cause: &str, until: Timestamp) -> Option<Wait> {
    let names: Vec<String> = tasks.iter().take(NAMED).map(TaskId::to_string).collect();
    let more = match tasks.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!tasks.is_empty()).then(|| Wait {
        kind: Kind::Slot,
        who: format!("{}{more}", names.join(", ")),
        cause: cause.to_owned(),
        until,
    })
}
