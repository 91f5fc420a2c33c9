//! Who starts next and how many at once, by a book of its own: nobody of a lower class is preferred, slots follow from
//! how turns ended, and whoever could start does.

use super::*;
use mission::plan::Priority;
use mission::schedule::Sample;
use mission::schedule::Short;

/// The slots of one role, counted from its turns alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slots {
    pub(super) now: u32,
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

/// What the book knows.
pub(super) struct Book {
    workers: Slots,
    reviewers: Slots,
    /// In so many lanes the plan is carried out.
    lanes: u32,
    /// Since when each task could start, without the time in which nobody ran the mission or it was paused.
    since: BTreeMap<TaskId, Timestamp>,
    /// Since when it is paused, and for how much of that no engine ran it.
    paused: Option<(Timestamp, Millis)>,
    /// Since when it is over.
    over: Option<Timestamp>,
    /// The lowest class that starts while the machine is short of something, and since when it is.
    pressed: Option<(u64, Timestamp)>,
    /// Whether its disk is full: then nothing begins.
    pub(super) full: bool,
}

impl Book {
    pub(super) fn new(terms: &Terms) -> Self {
        Self {
            workers: Slots::new(terms.workers),
            reviewers: Slots::new(limits::REVIEWERS),
            lanes: terms.workers,
            since: BTreeMap::new(),
            paused: None,
            over: None,
            pressed: None,
            full: false,
        }
    }

    /// What counts for nobody's wait.
    fn stands_still(&mut self, event: &Event, at: Timestamp) {
        let moved = match event {
            Event::Woke { idle } if self.over.is_none() => {
                if let Some((_, lost)) = &mut self.paused {
                    *lost = *lost + *idle;
                }
                *idle
            }
            Event::Paused { .. } => {
                self.paused = Some((at, Millis(0)));
                return;
            }
            Event::Unpaused { .. } | Event::Sealed { .. } | Event::Resumed { .. } => {
                let stood = |(since, lost): (Timestamp, Millis)| at.since(since).0 - lost.0;
                let paused = self.paused.take().map_or(0, stood);
                let over = self.over.take().map_or(0, |over| at.since(over).0);
                self.over = matches!(event, Event::Sealed { .. }).then_some(at);
                Millis(paused + over)
            }
            _ => return,
        };
        for since in self.since.values_mut() {
            *since = *since + moved;
        }
    }
}

fn class(priority: Priority, waited: Millis) -> u64 {
    let own = match priority {
        Priority::Low => 0,
        Priority::Normal => 1,
        Priority::High => 2,
    };
    2.min(own + waited.0 / limits::AGING.0)
}

impl Audit {
    /// Looks at an event before it is folded in.
    pub(super) fn scheduled(&self, event: &Event) {
        let begins = matches!(event, Event::TurnStarted { .. } | Event::GateStarted { .. });
        assert!(!begins || !self.book.full, "{event:?} on a full disk");
        let Event::TurnStarted {
            turn: Turn::Work { attempt },
            ..
        } = event
        else {
            return;
        };
        let waited = |since: Timestamp| self.last.since(since);
        let task = self.shadow.task(attempt.task).expect("it is in the plan");
        let own = match (task.state.clone(), self.book.since.get(&attempt.task)) {
            (_, Some(since)) => waited(*since),
            (State::Parked { until, .. }, None) => waited(until),
            (state, None) => panic!("{attempt} starts while it is {state:?}"),
        };
        let own = class(task.task.priority, own);
        let runs = self.shadow.leases().count() + self.shadow.gate_leases().count() > 0;
        if let Some((admits, _)) = self.book.pressed.filter(|_| runs) {
            assert!(own >= admits, "{attempt} starts on a machine without room");
        }
        for (id, since) in &self.book.since {
            let other = &self.shadow.task(*id).expect("it is in the plan").task;
            let held = self.shadow.held().map(|(name, _)| name);
            let mut held = held.chain(self.shadow.wanted_by_checks());
            if held.any(|name| other.resources.iter().any(|own| own == name)) {
                continue;
            }
            let theirs = class(other.priority, waited(*since));
            assert!(
                other.kind != TaskKind::Agent || theirs <= own,
                "{attempt} starts before {id}, which is of a higher class by now"
            );
        }
    }

    /// Keeps the book, after an event was folded in.
    pub(super) fn schedule_goes_on(&mut self, event: &Event) {
        self.asked_of(event);
        self.stagnates(event);
        self.book.stands_still(event, self.last);
        match event {
            Event::TurnEnded { turn, ending, .. } => match turn.role() {
                Role::Worker => self.book.workers.ended(ending),
                Role::Reviewer => self.book.reviewers.ended(ending),
                _ => {}
            },
            // What is hardly any work is done in one lane.
            Event::Planned { .. } | Event::PlanEdited { .. } => {
                let agents = self.shadow.tasks().filter(|task| {
                    task.task.kind == TaskKind::Agent && task.state != State::Landed
                });
                let work: u64 = agents.map(|task| u64::from(task.task.size.weight())).sum();
                self.book.lanes = match work <= limits::TINY {
                    true => 1,
                    false => self.terms.workers,
                };
            }
            Event::Pressed {
                of: Short::Disk, ..
            } => self.book.full = true,
            Event::Relieved {
                of: Some(Short::Disk),
            } => self.book.full = false,
            Event::Pressed { admits, .. } => {
                self.book.pressed = Some((class(*admits, Millis(0)), self.last));
            }
            Event::Relieved { .. } => self.book.pressed = None,
            Event::Resumed { .. } => {
                let (lanes, since) = (self.book.lanes, std::mem::take(&mut self.book.since));
                self.book = Book {
                    lanes,
                    since,
                    pressed: self.book.pressed,
                    full: self.book.full,
                    ..Book::new(&self.terms)
                };
            }
            _ => {}
        }
        let (since, last) = (&mut self.book.since, self.last);
        let anew: Vec<TaskId> = match event {
            Event::Rejected { attempt, .. } => vec![attempt.task],
            Event::TaskRetried { task, .. } | Event::TaskPrioritised { task, .. } => vec![*task],
            Event::PlanEdited { tasks, .. } => tasks.iter().map(|task| task.id).collect(),
            _ => Vec::new(),
        };
        let shadow = &self.shadow;
        // One whose wait is over could start as well, and rises from then on.
        let could = |task: &TaskState| match task.state {
            State::Ready => true,
            State::Parked { until, .. } => until <= last,
            _ => false,
        };
        since.retain(|id, _| !anew.contains(id) && shadow.task(*id).is_some_and(could));
        for task in shadow.tasks().filter(|task| could(task)) {
            since.entry(task.task.id).or_insert(last);
        }
    }

    /// What a look at the machine comes to. Four fifths of its memory, four tasks for each processor and a fifth of the time
    /// are too much when they last for ten seconds, and somewhat less is enough again.
    pub(super) fn looked_at(&self, mission: &Mission, now: Timestamp, sample: &Sample) {
        let input = Input::Sampled { sample: *sample };
        let now = now.max(mission.last());
        let (events, _) = mission.decide(now, input);
        let figures = [
            (sample.memory, 80, 70),
            (sample.processors, 400, 300),
            (sample.stalled, 20, 10),
        ];
        let short = figures.iter().any(|(of, most, _)| of.least > *most);
        let fine = figures.iter().all(|(of, _, enough)| of.now < *enough);
        let wanted = match self.book.pressed {
            _ if self.sealed.is_some() => "",
            // The disk is looked at first: more than there is is too much, and four fifths of it enough again.
            _ if !self.book.full && sample.disk > 100 => "full",
            _ if self.book.full && sample.disk < 80 => "room",
            None if short => "normal",
            Some(_) if fine => "relieved",
            Some((1, since)) if short && now.since(since) >= Millis(10_000) => "high",
            _ => "",
        };
        let found = match &events[..] {
            [] => "",
            [
                Event::Pressed {
                    of: Short::Disk, ..
                },
            ] => "full",
            [
                Event::Relieved {
                    of: Some(Short::Disk),
                },
            ] => "room",
            [
                Event::Pressed {
                    admits: Priority::Normal,
                    ..
                },
            ] => "normal",
            [
                Event::Pressed {
                    admits: Priority::High,
                    ..
                },
            ] => "high",
            [Event::Relieved { .. }] => "relieved",
            _ => "something else",
        };
        assert_eq!(found, wanted, "a look at the machine: {sample:?}");
    }

    /// No role has more turns than slots, and no task waits for a slot that is free.
    pub(super) fn slots(&self, mission: &Mission, now: Timestamp) {
        let of = |role| {
            mission
                .leases()
                .filter(move |(_, lease)| lease.turn.role() == role)
        };
        let (workers, reviewers) = (self.book.workers.now, self.book.reviewers.now);
        assert_eq!(
            (workers, reviewers),
            (mission.worker_slots().now(), mission.reviewer_slots().now()),
            "slots do not follow from how turns ended"
        );
        let budget = mission.budget();
        let reserve = limits::RESERVE_WORK.min(budget.limit / 4).max(1);
        let share = match self.terms.review_rounds {
            0 => 0,
            _ => limits::RESERVE_SHORT.min(budget.limit / 8).max(1),
        };
        let least = Millis(self.terms.mission.0 / 10).min(limits::TURN_LEAST);
        let may = mission.phase() == mission::mission::Phase::Running
            && !mission.winding_down()
            && mission.pause().is_none()
            && mission.outcome().is_none()
            && !mission.awaits_set_up()
            && !self.book.full
            && self.may_ask(Role::Worker, now)
            && budget.free() >= reserve + mission.held_for_reviews().0 + share
            && self.purse.may_begin(self.live.len())
            && mission.deadline().since(now) >= least;
        let workers = workers.min(self.book.lanes);
        let slots_of = |task: &Task| task.weight.min(workers);
        let work = of(Role::Worker).filter_map(|(_, lease)| match lease.turn {
            Turn::Work { attempt } => Some(self.tasks[&attempt.task].weight),
            _ => None,
        });
        let room = workers.saturating_sub(work.sum());
        let mut taken = self.what_runs_has(mission);
        taken.extend(mission.wanted_by_checks());
        let could = |id: &&TaskId| {
            let task = &self.tasks[*id];
            let free = task
                .resources
                .iter()
                .all(|name| !taken.contains(name.as_str()));
            task.kind == TaskKind::Agent && free
        };
        let woken = mission.tasks().filter(|task| match task.state {
            State::Parked { until, .. } => until <= now,
            _ => false,
        });
        let waiting = self.book.since.keys();
        let waiting = waiting.chain(woken.map(|task| &task.task.id));
        let runs = mission.leases().count() + mission.gate_leases().count() > 0;
        let admits = self.book.pressed.filter(|_| runs);
        let admitted = |id: &&TaskId| {
            let since = self.book.since.get(*id);
            let waited = since.map_or(Millis(0), |since| now.since(*since));
            let class = class(self.tasks[*id].priority, waited);
            admits.is_none_or(|(admits, _)| class >= admits)
        };
        // One that needs more slots than are free may be next, and is waited for, whatever class it has risen to.
        let all: Vec<&TaskId> = waiting.filter(could).collect();
        let fit = |id: &&TaskId| slots_of(&self.tasks[*id]) <= room;
        if may && room > 0 && all.iter().all(fit) {
            let waiting: Vec<&TaskId> = all.into_iter().filter(admitted).collect();
            let none: [&TaskId; 0] = [];
            assert_eq!(waiting, none, "waits, and {room} slots are free");
        }
    }

    /// The resources of all Workers and checks that run, each of which only one of them has.
    fn what_runs_has(&self, mission: &Mission) -> BTreeSet<&str> {
        let works = mission
            .leases()
            .filter_map(|(epoch, lease)| match lease.turn {
                Turn::Work { attempt } => Some((epoch, attempt.task)),
                _ => None,
            });
        let checks = mission.gate_leases().filter_map(|(epoch, lease)| {
            let (task, _) = lease.gate.id.split_once("/accept-")?;
            Some((
                epoch,
                task.parse().expect("a task's own check has its name"),
            ))
        });
        let mut taken = BTreeMap::new();
        for (epoch, id) in works.chain(checks) {
            for name in &self.tasks[&id].resources {
                let other = taken.insert(name.as_str(), epoch);
                assert_eq!(other, None, "{name} is held twice, once for {id}");
            }
        }
        let held: BTreeMap<&str, Epoch> = mission.held().collect();
        assert_eq!(held, taken, "what is held is not what runs");
        taken.into_keys().collect()
    }
}
