//! What must hold after every step, told from the events and the world alone: a second, simpler book beside the fold.

mod ahead;
mod charge;
mod foreseen;
mod gates;
mod holds;
mod outputs;
mod schedule;
mod seal;
mod sessions;
mod shadow;
mod singled;
mod slots;
mod state;
mod steered;
mod stuck;
mod tasks;
mod turns;
mod waits;

use crate::git::Git;
use crate::people::Wish;
use crate::scenario::{Goal, Scenario};
use crate::world::Ticket;
use journal::Entry;
use mission::command::Step;
use mission::event::{Ending, Event, Recorded, Rejection, Turn};
use mission::gate::{Gate, GateRun};
use mission::ids::{AttemptId, CommitId, Digest, Epoch, Seq, TaskId, TreeId};
use mission::input::{Input, Reply};
use mission::landing::StackResult;
use mission::limits;
use mission::mission::{Delivery, Lease, Mission, State, TaskState};
use mission::plan::{Task, TaskKind};
use mission::question::{About, QuestionId};
use mission::seal::Outcome;
use mission::terms::{Deliver, Terms};
use mission::time::{Millis, Timestamp};
use mission::todo::LineId;
use mission::turn::{Failure, Role, Usage};
use mission::work::Work;
use std::collections::{BTreeMap, BTreeSet};
use waits::Waits;

pub(crate) fn is_good(outcome: Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Completed | Outcome::Unverified | Outcome::Answered
    )
}

pub(crate) struct Audit {
    pub(crate) step: u64,
    pub(crate) calm: bool,
    /// When the last event was decided.
    pub(crate) last: Timestamp,
    /// Since when nothing goes wrong, by the clock of those who work.
    pub(crate) calm_since: u64,
    pub(crate) clocks: waits::Clocks,
    /// What the events that were let out make: the mission, folded a second time.
    shadow: Mission,
    /// Whether the whole state is compared after every step. It is in every eighth world, and after every sixteenth
    /// step of the others; what is cheap to compare is compared after every step of all.
    whole: bool,
    /// Every lease that ever was.
    pub(crate) leases: BTreeMap<Epoch, Lease>,
    pub(crate) asked: BTreeMap<QuestionId, About>,
    /// What is wanted by now.
    pub(crate) goals: Vec<Goal>,
    terms: Terms,
    events: Vec<Recorded>,
    /// What is known to be durable, byte for byte.
    bodies: Vec<Vec<u8>>,
    tickets: BTreeMap<u64, Seq>,
    /// Versions of lines that somebody was told they had changed.
    edits: BTreeSet<(LineId, u64)>,
    /// Changes of the TODO: asked for, told of, and recorded.
    pub(crate) edits_asked: u64,
    edits_told: u64,
    edits_recorded: u64,
    epoch: Epoch,
    owner: Epoch,
    /// How much people have said.
    said: u32,
    live: BTreeMap<Epoch, u64>,
    spent: u64,
    limit: u64,
    /// What turns have used beyond what they had reserved, since a turn was last admitted.
    beyond: u64,
    purse: charge::Purse,
    /// What was last told of the use of a running turn.
    used: BTreeMap<Epoch, u64>,
    gates: BTreeMap<Epoch, (TreeId, Digest)>,
    project: Vec<Gate>,
    base: Option<TreeId>,
    /// By environment and command.
    on_base: BTreeMap<(Digest, Digest), Vec<GateRun>>,
    /// By environment, tree and command.
    evidence: BTreeMap<(Digest, TreeId, Digest), bool>,
    /// Commands that were green on a tree, with any tools and in any of their runs.
    greens: BTreeSet<(TreeId, Digest)>,
    /// In which evidence counts now.
    environment: Option<Digest>,
    tasks: BTreeMap<TaskId, Task>,
    /// Tasks of the plan that stands, those that landed before it included.
    current: BTreeSet<TaskId>,
    attempts: BTreeMap<TaskId, u32>,
    works: BTreeMap<AttemptId, Work>,
    answered: BTreeSet<AttemptId>,
    tries: BTreeMap<TaskId, u32>,
    given_up: BTreeSet<TaskId>,
    steered: steered::Steered,
    landed: BTreeSet<TaskId>,
    /// Attempts whose results have landed, and for one that was found again, whose result it is.
    results: BTreeSet<AttemptId>,
    origins: BTreeMap<AttemptId, AttemptId>,
    landing: Option<(u32, Vec<AttemptId>)>,
    /// Whose work stands in its stack as a commit.
    stacked: Vec<AttemptId>,
    /// Where the stack of that landing ends, or of the last one.
    top: Option<TreeId>,
    /// How many may land together after a red stack, until something has landed.
    most: usize,
    /// The last landing that was red, with what stood in it.
    red: Option<(String, Vec<AttemptId>)>,
    pub(crate) head: Option<(CommitId, TreeId)>,
    sealed: Option<Outcome>,
    cleaned: bool,
    deliveries: u32,
    undos: u32,
    /// Deliveries that were done and not taken back.
    pub(crate) handed: Vec<u32>,
    /// The one that was last taken back.
    pub(crate) undone: Option<u32>,
    seals: u32,
    patience: u32,
    book: schedule::Book,
    asks: holds::Asked,
    stuck: stuck::Marks,
    sessions: sessions::Sessions,
    foretold: foreseen::Foretold,
    ahead: Option<ahead::Begun>,
}

impl Audit {
    pub(crate) fn new(scenario: &Scenario, first: Recorded, whole: bool) -> Self {
        let shadow = Mission::replay([&first]).expect("the first event opens a mission");
        Self {
            clocks: waits::Clocks::new(scenario.terms.mission),
            shadow,
            whole,
            bodies: vec![first.encode()],
            edits_asked: 0,
            edits_told: 0,
            edits_recorded: 0,
            beyond: 0,
            used: BTreeMap::new(),
            project: Vec::new(),
            base: None,
            on_base: BTreeMap::new(),
            current: BTreeSet::new(),
            top: None,
            stacked: Vec::new(),
            most: limits::STACK,
            red: None,
            cleaned: false,
            handed: Vec::new(),
            undone: None,
            step: 0,
            calm: false,
            last: first.at,
            calm_since: 0,
            leases: BTreeMap::new(),
            asked: BTreeMap::new(),
            goals: scenario.goals.clone(),
            terms: scenario.terms.clone(),
            events: vec![first],
            tickets: BTreeMap::new(),
            edits: BTreeSet::new(),
            epoch: Epoch(0),
            owner: Epoch(0),
            said: 0,
            live: BTreeMap::new(),
            spent: 0,
            limit: scenario.terms.tokens,
            purse: charge::Purse::new(&scenario.terms),
            gates: BTreeMap::new(),
            evidence: BTreeMap::new(),
            greens: BTreeSet::new(),
            environment: None,
            tasks: BTreeMap::new(),
            attempts: BTreeMap::new(),
            works: BTreeMap::new(),
            answered: BTreeSet::new(),
            tries: BTreeMap::new(),
            given_up: BTreeSet::new(),
            steered: steered::Steered::default(),
            landed: BTreeSet::new(),
            results: BTreeSet::new(),
            origins: BTreeMap::new(),
            landing: None,
            head: None,
            sealed: None,
            deliveries: 0,
            undos: 0,
            seals: 0,
            patience: 0,
            book: schedule::Book::new(&scenario.terms),
            asks: holds::Asked::default(),
            stuck: stuck::Marks::default(),
            sessions: sessions::Sessions::default(),
            foretold: foreseen::Foretold::default(),
            ahead: None,
        }
    }

    /// Everything that happened.
    pub(crate) fn events(&self) -> &[Recorded] {
        &self.events
    }

    /// The Planner's name of the task that a turn is about.
    pub(crate) fn key_of(&self, turn: Turn) -> Option<String> {
        match turn {
            Turn::Work { attempt } | Turn::Review { attempt, .. } => {
                self.tasks.get(&attempt.task).map(|task| task.key.clone())
            }
            Turn::Split { task, .. } => self.tasks.get(&task).map(|task| task.key.clone()),
            _ => None,
        }
    }

    fn resumed(&mut self, more_tokens: u64, more_money: u64) {
        (self.sealed, self.cleaned, self.steered.aborted) = (None, false, false);
        self.purse.resumed(more_money, &self.given_up);
        self.limit = self.limit.saturating_add(more_tokens);
        for task in std::mem::take(&mut self.given_up) {
            self.tries.insert(task, 0);
        }
    }

    /// A reply whose lease, landing or delivery is over means nothing.
    pub(crate) fn input(&mut self, mission: &Mission, now: Timestamp, input: &Input) {
        if self.is_stale(mission, input) {
            let (events, reply) = mission.decide(now.max(mission.last()), input.clone());
            assert!(events.is_empty(), "a stale reply made events: {events:?}");
            assert_eq!(reply, Reply::Stale, "a stale reply was taken");
        } else if let Input::Sampled { sample } = input {
            self.looked_at(mission, now, sample);
        } else if let Input::ModelNamed { model, output, .. } = input {
            self.asks.outputs.are_said(model, *output);
        } else if let Input::EditPlan { .. } = input {
            self.plan_is_seen(mission, now, input);
        } else if let Input::Strayed { epoch, strayed, .. } = input {
            self.stuck.gained.insert(*epoch, strayed.gained);
        } else if let Input::TurnUsed { epoch, usage } = input {
            let tokens = usage.tokens().unwrap_or(0);
            self.is_bound(mission, now, input, (*epoch, tokens, usage.micro_usd));
            let used = self.used.entry(*epoch).or_default();
            *used = (*used).max(tokens);
        }
    }

    fn is_stale(&self, mission: &Mission, input: &Input) -> bool {
        let landing = mission
            .landing()
            .map(|landing| (landing.n, landing.top.is_some()));
        let delivery = mission.delivery();
        let wanted = matches!(delivery, Delivery::Wanted(_));
        let planned = matches!(delivery, Delivery::Planned { .. });
        let undoes = |n: u32| matches!(delivery, Delivery::Undoing { .. }) && n == self.undos;
        let cleans = |n: u32| self.sealed.is_some() && !self.cleaned && n == self.seals;
        let fits = match input {
            Input::Prepared { .. } => mission.base().is_none() && mission.outcome().is_none(),
            Input::SetUp { .. } => mission.awaits_set_up(),
            Input::TurnReplied { epoch, .. }
            | Input::TurnUsed { epoch, .. }
            | Input::ModelNamed { epoch, .. }
            | Input::Held { epoch, .. }
            | Input::Strayed { epoch, .. }
            | Input::Waits { epoch, .. }
            | Input::SessionNamed { epoch, .. }
            | Input::AnsweredElsewhere {
                request: (epoch, _),
                ..
            }
            | Input::Question { epoch, .. } => mission.lease(*epoch).is_some(),
            Input::Clashed { epoch, clash } => match clash.at_work {
                Some(other) => self.is_ahead(mission, *epoch, other),
                None => self.lies_ahead(mission, *epoch, &clash.commit),
            },
            Input::GateRan { epoch, .. } | Input::GateLost { epoch, .. } => {
                mission.gate_leases().any(|(live, _)| live == *epoch)
            }
            Input::Stacked { n, .. } => landing == Some((*n, false)),
            Input::Moved { n, .. } => landing == Some((*n, true)),
            Input::DeliveryPlanned { n, .. } => wanted && *n == self.deliveries,
            Input::Delivered { n, .. } => planned && *n == self.deliveries,
            Input::DeliveryRefused { n, .. } => (wanted || planned) && *n == self.deliveries,
            Input::Undone { n, .. } => undoes(*n),
            Input::Cleaned { n, .. } => cleans(*n),
            Input::StepFailed { step, n, .. } => match step {
                Step::Prepare => mission.base().is_none() && mission.outcome().is_none(),
                Step::SetUp => mission.awaits_set_up(),
                Step::Stack => landing == Some((*n, false)),
                Step::Move => landing == Some((*n, true)),
                Step::PlanDelivery | Step::Deliver => (wanted || planned) && *n == self.deliveries,
                Step::Undo => undoes(*n),
                Step::Clean => cleans(*n),
            },
            Input::SessionClosed { session, .. } => {
                self.sealed.is_none() && self.is_being_closed(session)
            }
            _ => true,
        };
        !fits
    }

    pub(crate) fn taken(&mut self, tickets: &[Ticket], needs: Seq) {
        for (id, _) in tickets {
            self.tickets.insert(*id, needs);
        }
    }

    pub(crate) fn durable(&self) -> Seq {
        Seq(self.bodies.len() as u64)
    }

    pub(crate) fn stored(&mut self, bodies: &[Vec<u8>]) {
        self.bodies.extend_from_slice(bodies);
    }

    pub(crate) fn replied(&mut self, (id, wish): &Ticket, reply: &Reply) {
        let needs = self.tickets[id];
        assert!(
            needs <= self.durable(),
            "a reply left before what it tells was durable"
        );
        let Some(Wish::Edit(line)) = wish else { return };
        if *reply == Reply::Done {
            self.edits_told += 1;
        } else {
            self.edits_asked -= 1;
        }
        if let (Some((line, saw)), Reply::Done) = (line, reply) {
            assert!(
                self.edits.insert((*line, *saw)),
                "two writers changed version {saw} of {line:?}"
            );
        }
    }

    pub(crate) fn lease(&mut self, epoch: Epoch) {
        assert!(epoch > self.owner, "the owner's epoch did not grow");
        self.owner = epoch;
        // What was told and did not become durable is told again.
        self.used.clear();
    }

    /// What was durable is there again, at the same place and byte for byte.
    pub(crate) fn recovered(&mut self, entries: &[Entry]) {
        assert!(
            entries.len() >= self.bodies.len(),
            "events that were acknowledged are gone"
        );
        for (n, (entry, body)) in (1..).zip(entries.iter().zip(&self.bodies)) {
            assert_eq!(entry.seq, Seq(n), "an event has moved");
            assert!(
                entry.body == *body,
                "what was durable has changed: event {n}"
            );
        }
        let more = entries.iter().skip(self.bodies.len());
        let more: Vec<Vec<u8>> = more.map(|entry| entry.body.clone()).collect();
        self.bodies.extend(more);
    }

    /// Events that became durable as the engine died, and that are heard of on its next start.
    pub(crate) fn missed<'a>(&self, all: &'a [Recorded]) -> &'a [Recorded] {
        &all[self.events.len()..]
    }

    /// Time has come so far: what was due before has been done.
    fn moment(&mut self, at: Timestamp) {
        if at > self.last {
            self.sessions_are_bounded();
        }
        self.last = at;
    }

    pub(crate) fn event(&mut self, recorded: &Recorded, git: &Git) {
        assert!(
            recorded.at >= self.last,
            "time ran backwards in the journal"
        );
        self.moment(recorded.at);
        self.purse.word(&recorded.event, &self.asked);
        self.events.push(recorded.clone());
        let event = &recorded.event;
        self.rules(event);
        self.scheduled(event);
        if self.sealed.is_some() {
            self.after_the_seal(event);
        }
        self.session(event);
        self.clock(event);
        self.follows(recorded);
        self.schedule_goes_on(event);
        match event {
            Event::TurnStarted { .. }
            | Event::TurnLent { .. }
            | Event::TurnTold { .. }
            | Event::TurnEnded { .. } => {
                self.turn(event);
            }
            Event::GateStarted { .. } | Event::GateEnded { .. } | Event::GateLost { .. } => {
                self.gate(event);
            }
            Event::Asked {
                id,
                about,
                deadline,
                ..
            } => {
                self.clocks.begin(Waits::Answer(*id), self.last, *deadline);
                assert!(
                    self.asked.insert(*id, about.clone()).is_none(),
                    "{id} was asked twice"
                );
            }
            Event::Sealed {
                outcome,
                commit,
                tree,
                ..
            } => self.sealed(*outcome, commit.as_ref(), tree.as_ref(), git),
            Event::Resumed {
                more_tokens,
                more_money,
                ..
            } => self.resumed(*more_tokens, *more_money),
            Event::DeliverAsked { .. } => self.deliveries += 1,
            Event::Delivered { .. } => self.handed.push(self.deliveries),
            Event::UndoAsked { .. } => self.undos += 1,
            Event::Undone { .. } => {
                self.undone = self.handed.pop();
                assert!(self.undone.is_some(), "nothing was there to be undone");
            }
            Event::Cleaned { .. } | Event::CleanFailed { .. } => self.cleaned = true,
            Event::TodoEdited { version, .. } => {
                self.edits_recorded += 1;
                assert_eq!(
                    *version, self.edits_recorded,
                    "a version of the TODO is missing"
                );
            }
            _ if self.judges(event) || self.steers(event) || self.foresees(event) => {}
            _ => self.task_event(event, git),
        }
    }
}
