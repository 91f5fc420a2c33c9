//! Who starts next, by a book of its own: nobody of a lower class is preferred.

use super::*;
use mission::plan::Priority;
use mission::schedule::Sample;
use mission::schedule::Short;

/// What the book knows.
pub(super) struct Book {
    pub(super) slots: slots::Book,
    /// In so many lanes the plan is carried out.
    pub(super) lanes: u32,
    /// Since when each task could start, without the time in which nobody ran the mission or it was paused.
    pub(super) since: BTreeMap<TaskId, Timestamp>,
    /// Since when it is paused, and for how much of that no engine ran it.
    paused: Option<(Timestamp, Millis)>,
    /// Since when it is over.
    over: Option<Timestamp>,
    /// The lowest class that starts while the machine is short of something, and since when it is.
    pub(super) pressed: Option<(u64, Timestamp)>,
    /// Whether its disk is full: then nothing begins.
    pub(super) full: bool,
    /// Whether no more workspace fits there, and where one is known to stand.
    pub(super) cramped: bool,
    pub(super) made: BTreeSet<(&'static str, u32)>,
}

/// Where the workspace of a turn stands.
fn place(turn: Turn, lane: u32) -> (&'static str, u32) {
    match turn.role() {
        Role::Commander | Role::Planner => ("front", 1),
        Role::Worker => ("worker", lane),
        Role::Reviewer => ("reviewer", lane),
    }
}

/// Whether a turn that ended so had its workspace.
fn stood(ending: &Ending) -> bool {
    let failed = matches!(
        ending,
        Ending::Failed {
            failure: Failure::Machine | Failure::Fatal,
            ..
        }
    );
    !failed && !matches!(ending, Ending::Expired | Ending::Cancelled)
}

impl Book {
    pub(super) fn new(terms: &Terms) -> Self {
        Self {
            slots: slots::Book::default(),
            lanes: terms.workers,
            since: BTreeMap::new(),
            paused: None,
            over: None,
            pressed: None,
            full: false,
            cramped: false,
            made: BTreeSet::new(),
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

pub(super) fn class(priority: Priority, waited: Millis) -> u64 {
    let own = match priority {
        Priority::Low => 0,
        Priority::Normal => 1,
        Priority::High => 2,
    };
    2.min(own + waited.0 / limits::AGING.0)
}

impl Audit {
    /// Looks at an event before it is folded in.
    pub(super) fn scheduled(&mut self, event: &Event) {
        self.singled(event);
        self.ends_early(event);
        let begins = matches!(event, Event::TurnStarted { .. } | Event::GateStarted { .. });
        assert!(!begins || !self.book.full, "{event:?} on a full disk");
        self.stands_somewhere(event);
        let Event::TurnStarted { turn, model, .. } = event else {
            return;
        };
        self.takes_a_slot(*turn, model.as_ref());
        self.others_have_tried(*turn, &self.asks.begins_at(turn.role(), model.as_ref()));
        let Turn::Work { attempt } = turn else {
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
            let other = self.shadow.task(*id).expect("it is in the plan");
            if self.has_no_slot(other, self.last) {
                continue;
            }
            let other = &other.task;
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

    /// What begins while no more workspace fits begins where one stands.
    fn stands_somewhere(&self, event: &Event) {
        let place = match event {
            Event::TurnStarted { turn, lane, .. } => place(*turn, *lane),
            Event::GateStarted { .. } => ("checks", 1),
            _ => return,
        };
        assert!(
            !self.book.cramped || self.book.made.contains(&place),
            "{place:?} needs a workspace, and none fits: {event:?}"
        );
    }

    /// Whether the disk has no room for one more workspace.
    pub(crate) fn is_cramped(&self) -> bool {
        self.book.cramped
    }

    /// Keeps the book of the disk; whether it is one of its events.
    fn room_goes_on(&mut self, event: &Event) -> bool {
        match event {
            Event::Pressed {
                of: Short::Disk, ..
            } => self.book.cramped = true,
            Event::Relieved {
                of: Some(Short::Disk),
            } => self.book.cramped = false,
            Event::Pressed {
                of: Short::Full, ..
            } => self.book.full = true,
            Event::Relieved {
                of: Some(Short::Full),
            } => self.book.full = false,
            Event::GateEnded { .. } => _ = self.book.made.insert(("checks", 1)),
            Event::TurnEnded {
                turn,
                epoch,
                ending,
                ..
            } if stood(ending) => {
                let place = place(*turn, self.leases[epoch].lane);
                self.book.made.insert(place);
            }
            _ => return false,
        }
        true
    }

    /// Keeps the book, after an event was folded in.
    pub(super) fn schedule_goes_on(&mut self, event: &Event) {
        self.slots_go_on(event);
        self.asked_of(event);
        self.asks.outputs.go_on(event);
        self.stagnates(event);
        self.book.stands_still(event, self.last);
        match event {
            // What is hardly any work is done in one lane, until somebody wants more of it.
            Event::Planned { .. } | Event::PlanEdited { .. } => {
                self.book.lanes = if self.is_tiny() {
                    1
                } else {
                    self.terms.workers
                };
            }
            Event::TaskSkipped { .. } | Event::TaskRetried { .. } if !self.is_tiny() => {
                self.book.lanes = self.terms.workers;
            }
            _ if self.room_goes_on(event) => {}
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
                    cramped: self.book.cramped,
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

    /// Whether what is still to be done is hardly any work.
    fn is_tiny(&self) -> bool {
        let over = |state: &State| matches!(state, State::Landed | State::Skipped { .. });
        let open = self.shadow.tasks().filter(|task| !over(&task.state));
        let agents = open.filter(|task| task.task.kind == TaskKind::Agent);
        let work: u64 = agents.map(|task| u64::from(task.task.size.weight())).sum();
        work <= limits::TINY
    }

    /// What a look at the machine comes to. Four fifths of its memory, four tasks for each processor, a fifth of the time
    /// for memory and four fifths of it for anything else are too much when they last for ten seconds, and somewhat less is enough again.
    pub(super) fn looked_at(&self, mission: &Mission, now: Timestamp, sample: &Sample) {
        let input = Input::Sampled { sample: *sample };
        let now = now.max(mission.last());
        let (events, _) = mission.decide(now, input);
        let figures = [
            (sample.memory, 80, 70),
            (sample.processors, 400, 300),
            (sample.stalled, 20, 10),
            (sample.held_up, 80, 70),
        ];
        let short = figures.iter().any(|(of, most, _)| of.least > *most);
        let fine = figures.iter().all(|(of, _, enough)| of.now < *enough);
        let wanted = match self.book.pressed {
            _ if self.sealed.is_some() => "",
            // The disk is looked at first: more than there is is too much, and four fifths of it enough again.
            _ if !self.book.full && sample.full > 100 => "full",
            _ if self.book.full && sample.full < 80 => "room for work",
            _ if !self.book.cramped && sample.disk > 100 => "cramped",
            _ if self.book.cramped && sample.disk < 80 => "room",
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
            ] => "cramped",
            [
                Event::Pressed {
                    of: Short::Full, ..
                },
            ] => "full",
            [
                Event::Relieved {
                    of: Some(Short::Full),
                },
            ] => "room for work",
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

    /// The resources of all Workers and checks that run, each of which only one of them has.
    pub(super) fn what_runs_has(&self, mission: &Mission) -> BTreeSet<&str> {
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
