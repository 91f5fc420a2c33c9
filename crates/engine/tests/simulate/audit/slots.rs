//! How many turns of a role run at once, by a book of its own: each provider has slots that follow from how turns there
//! ended, all of them together are no more than the user allows, and whoever could start does.

use super::schedule::class;
use super::*;
use mission::governor::provider_of;

/// The slots of one role at one provider, counted from its turns there alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slots {
    now: u32,
    cap: u32,
    row: i32,
}

impl Slots {
    fn new(cap: u32) -> Self {
        let now = cap.min(limits::SLOTS_FIRST);
        Self { now, cap, row: 0 }
    }

    fn ended(&mut self, ending: &Ending) {
        let host = matches!(
            ending,
            Ending::Failed {
                failure: Failure::Transient | Failure::Silent,
                ..
            }
        );
        match ending {
            Ending::Answered => self.row = self.row.max(0) + 1,
            Ending::Refused { .. } => self.row = self.row.min(0) - 1,
            _ if host => self.row = self.row.min(0) - 1,
            _ => return,
        }
        if self.row == limits::SLOTS_GROW as i32 {
            (self.now, self.row) = (self.cap.min(self.now + 1), 0);
        } else if self.row == -(limits::SLOTS_SHRINK as i32) {
            (self.now, self.row) = (1.max(self.now - 1), 0);
        }
    }
}

/// The slots of a role at each provider at which a turn of it ended.
#[derive(Default)]
pub(super) struct Book(BTreeMap<(Role, String), Slots>);

fn cap(role: Role, terms: &Terms) -> u32 {
    match role {
        Role::Worker => terms.workers,
        Role::Reviewer => limits::REVIEWERS,
        Role::Commander | Role::Planner => 1,
    }
}

impl Book {
    fn at(&self, role: Role, provider: &str, terms: &Terms) -> Slots {
        let known = self.0.get(&(role, provider.to_owned()));
        known.copied().unwrap_or(Slots::new(cap(role, terms)))
    }
}

impl Audit {
    /// Keeps the book, before whom turns are asked of is looked at.
    pub(super) fn slots_go_on(&mut self, event: &Event) {
        let book = &mut self.book.slots;
        match event {
            Event::TurnEnded {
                turn,
                epoch,
                ending,
                ..
            } if matches!(turn.role(), Role::Worker | Role::Reviewer) => {
                let provider = provider_of(&self.asks.asked(*epoch)).to_owned();
                let mut slots = book.at(turn.role(), &provider, &self.terms);
                slots.ended(ending);
                book.0.insert((turn.role(), provider), slots);
            }
            // Nobody knew at whom they were counted.
            Event::ModelNamed { role, model } => {
                if let Some(counted) = book.0.remove(&(*role, String::new())) {
                    let name = provider_of(model).to_owned();
                    let known = book.0.entry((*role, name)).or_insert(counted);
                    if counted.now < known.now {
                        *known = counted;
                    }
                }
            }
            _ => {}
        }
    }

    /// In how many lanes turns of a role may run, whatever they are asked of.
    fn most(&self, role: Role) -> u32 {
        match role {
            Role::Worker => self.book.lanes.min(self.terms.workers),
            _ => cap(role, &self.terms),
        }
    }

    fn slots_taken(&self, role: Role, provider: Option<&str>) -> u32 {
        let weight = |turn: Turn| match turn {
            Turn::Work { attempt } => self.tasks[&attempt.task].weight,
            _ => 1,
        };
        let there = |of: &str| provider.is_none_or(|name| name == provider_of(of));
        let live = self.asks.running();
        let live = live.filter(|(turn, model)| turn.role() == role && there(model));
        live.map(|(turn, _)| weight(turn)).sum()
    }

    /// How many slots a role has at a provider, and how many of them are free.
    fn free(&self, role: Role, provider: &str) -> (u32, u32) {
        let most = self.most(role);
        let slots = self
            .book
            .slots
            .at(role, provider, &self.terms)
            .now
            .min(most);
        let there = slots.saturating_sub(self.slots_taken(role, Some(provider)));
        (
            slots,
            there.min(most.saturating_sub(self.slots_taken(role, None))),
        )
    }

    /// The model that a task's next attempt would be asked of.
    fn model_that_would_be_asked(&self, task: &TaskState, now: Timestamp) -> String {
        let other = self.other_that_serves(task, now);
        other.unwrap_or_else(|| self.asks.own(Role::Worker, &self.terms, now))
    }

    /// The model that the next attempt at a stuck task is asked of, where it serves.
    fn other_that_serves(&self, task: &TaskState, now: Timestamp) -> Option<String> {
        let n = task.n + u32::from(task.spent);
        let next = AttemptId {
            task: task.task.id,
            n,
        };
        self.other_model(next)
            .filter(|model| self.asks.may(model, now))
    }

    /// Whether a task's provider may not be asked or has no slot for it at all, so that others pass it.
    pub(super) fn has_no_slot(&self, task: &TaskState, now: Timestamp) -> bool {
        let served = self.other_that_serves(task, now).is_some() || self.may_ask(Role::Worker, now);
        let asked = self.model_that_would_be_asked(task, now);
        let later = self.lets_others_try(&asked, task.refusals, now);
        !served || later || self.free(Role::Worker, provider_of(&asked)).1 == 0
    }

    /// A turn begins where there is a slot for it.
    pub(super) fn takes_a_slot(&self, turn: Turn, model: Option<&String>) {
        let role = turn.role();
        if !matches!(role, Role::Worker | Role::Reviewer) {
            return;
        }
        let provider = provider_of(&self.asks.begins_at(role, model)).to_owned();
        let (slots, free) = self.free(role, &provider);
        let takes = match turn {
            Turn::Work { attempt } => self.tasks[&attempt.task].weight.min(slots),
            _ => 1,
        };
        assert!(
            takes <= free,
            "{turn} takes {takes} slots at {provider:?}, and {free} of {slots} are free"
        );
    }

    /// No role has more slots at a provider than follow from its turns there, and no task waits for one that is free.
    pub(super) fn slots(&self, mission: &Mission, now: Timestamp) {
        let found = mission.slots();
        let found: BTreeMap<(Role, String), u32> = found
            .map(|(role, name, slots)| ((role, name.to_owned()), slots.now()))
            .collect();
        let book = self.book.slots.0.iter();
        let book = book.map(|(of, slots)| (of.clone(), slots.now)).collect();
        assert_eq!(found, book, "slots do not follow from how turns ended");
        let left = self.left_for_work(mission);
        let least = Millis(self.terms.mission.0 / 10).min(limits::TURN_LEAST);
        let may = mission.phase() == mission::mission::Phase::Running
            && !mission.winding_down()
            && mission.pause().is_none()
            && mission.outcome().is_none()
            && !mission.awaits_set_up()
            && !self.book.full
            && self.purse.may_begin(self.live.len())
            && mission.deadline().since(now) >= least;
        let work = mission.leases().map(|(_, lease)| lease);
        let work = work.filter(|lease| lease.turn.role() == Role::Worker);
        let busy: BTreeSet<u32> = work.map(|lease| lease.lane).collect();
        let stands =
            |lane: &u32| !busy.contains(lane) && self.book.made.contains(&("worker", *lane));
        let may = may && (!self.book.cramped || (1..=self.terms.workers).any(|lane| stands(&lane)));
        let mut taken = self.what_runs_has(mission);
        taken.extend(mission.wanted_by_checks());
        let could = |task: &&TaskState| {
            let free = |name: &String| !taken.contains(name.as_str());
            task.task.kind == TaskKind::Agent
                && task.task.resources.iter().all(free)
                && !self.has_no_slot(task, now)
        };
        let woken = mission.tasks().filter(|task| match task.state {
            State::Parked { until, .. } => until <= now,
            _ => false,
        });
        let waiting = self.book.since.keys();
        let waiting = waiting.filter_map(|id| mission.task(*id)).chain(woken);
        let runs = mission.leases().count() + mission.gate_leases().count() > 0;
        let admits = self.book.pressed.filter(|_| runs);
        let admitted = |task: &&TaskState| {
            let since = self.book.since.get(&task.task.id);
            let waited = since.map_or(Millis(0), |since| now.since(*since));
            let class = class(task.task.priority, waited);
            admits.is_none_or(|(admits, _)| class >= admits)
        };
        // One that needs more slots or tokens than are free may be next, and is waited for, whatever class it has risen to.
        let all: Vec<&TaskState> = waiting.filter(could).collect();
        let fit = |task: &&TaskState| {
            let asked = self.model_that_would_be_asked(task, now);
            let (slots, free) = self.free(Role::Worker, provider_of(&asked));
            task.task.weight.min(slots) <= free && self.reserve(Role::Worker, &asked) <= left
        };
        if may && all.iter().all(fit) {
            let waiting = all.into_iter().filter(admitted);
            let waiting: Vec<TaskId> = waiting.map(|task| task.task.id).collect();
            assert_eq!(
                waiting,
                [TaskId(0); 0],
                "waits, and there is a free slot for it"
            );
        }
    }
}
