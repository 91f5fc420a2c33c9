//! What must hold after every step, told from the events and the world alone: a second, simpler book beside the fold.

mod seal;
mod state;
mod tasks;
mod turns;
mod waits;

use crate::git::Git;
use crate::people::Wish;
use crate::scenario::{Goal, Scenario};
use crate::world::Ticket;
use journal::Head;
use mission::event::{Ending, Event, Recorded, Rejection, Turn};
use mission::ids::{AttemptId, CommitId, Digest, Epoch, Seq, TaskId, TreeId};
use mission::input::{Input, Reply};
use mission::landing::StackResult;
use mission::limits;
use mission::mission::{Lease, Mission, State};
use mission::plan::{Task, TaskKind};
use mission::question::{About, QuestionId};
use mission::seal::Outcome;
use mission::terms::{Deliver, Terms};
use mission::time::{Millis, Timestamp};
use mission::todo::LineId;
use mission::turn::{Failure, Role};
use mission::work::Work;
use std::collections::{BTreeMap, BTreeSet};

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
    /// When an engine last took the mission up again.
    woke: Option<Timestamp>,
    /// Every lease that ever was.
    pub(crate) leases: BTreeMap<Epoch, Lease>,
    pub(crate) asked: BTreeMap<QuestionId, About>,
    /// What is wanted by now.
    pub(crate) goals: Vec<Goal>,
    terms: Terms,
    events: Vec<Recorded>,
    /// The last event that is known to be durable.
    pub(crate) durable: Seq,
    tickets: BTreeMap<u64, Seq>,
    edits: BTreeSet<(LineId, u64)>,
    epoch: Epoch,
    owner: Epoch,
    live: BTreeMap<Epoch, u64>,
    spent: u64,
    limit: u64,
    gates: BTreeMap<Epoch, (TreeId, Digest)>,
    evidence: BTreeMap<(TreeId, Digest), bool>,
    tasks: BTreeMap<TaskId, Task>,
    attempts: BTreeMap<TaskId, u32>,
    works: BTreeMap<AttemptId, Work>,
    answered: BTreeSet<AttemptId>,
    tries: BTreeMap<TaskId, u32>,
    given_up: BTreeSet<TaskId>,
    landed: BTreeSet<TaskId>,
    /// Attempts whose results have landed, and for one that was found again, whose result it is.
    results: BTreeSet<AttemptId>,
    origins: BTreeMap<AttemptId, AttemptId>,
    landing: Option<(u32, Vec<AttemptId>)>,
    head: Option<(CommitId, TreeId)>,
    sealed: Option<Outcome>,
    deliveries: u32,
    seals: u32,
    patience: u32,
}

impl Audit {
    pub(crate) fn new(scenario: &Scenario, first: Recorded) -> Self {
        Self {
            step: 0,
            calm: false,
            last: first.at,
            woke: None,
            leases: BTreeMap::new(),
            asked: BTreeMap::new(),
            goals: scenario.goals.clone(),
            terms: scenario.terms.clone(),
            events: vec![first],
            durable: Seq(1),
            tickets: BTreeMap::new(),
            edits: BTreeSet::new(),
            epoch: Epoch(0),
            owner: Epoch(0),
            live: BTreeMap::new(),
            spent: 0,
            limit: scenario.terms.tokens,
            gates: BTreeMap::new(),
            evidence: BTreeMap::new(),
            tasks: BTreeMap::new(),
            attempts: BTreeMap::new(),
            works: BTreeMap::new(),
            answered: BTreeSet::new(),
            tries: BTreeMap::new(),
            given_up: BTreeSet::new(),
            landed: BTreeSet::new(),
            results: BTreeSet::new(),
            origins: BTreeMap::new(),
            landing: None,
            head: None,
            sealed: None,
            deliveries: 0,
            seals: 0,
            patience: 0,
        }
    }

    /// The Planner's name of the task that a turn is about.
    pub(crate) fn key_of(&self, turn: Turn) -> Option<String> {
        match turn {
            Turn::Work { attempt } | Turn::Review { attempt, .. } => {
                self.tasks.get(&attempt.task).map(|task| task.key.clone())
            }
            _ => None,
        }
    }

    /// A reply whose lease, landing or delivery is over means nothing.
    pub(crate) fn input(&self, mission: &Mission, now: Timestamp, input: &Input) {
        let n = mission
            .landing()
            .map(|landing| (landing.n, landing.top.is_some()));
        let stale = match input {
            Input::TurnReplied { epoch, .. }
            | Input::TurnUsed { epoch, .. }
            | Input::Question { epoch, .. } => mission.lease(*epoch).is_none(),
            Input::GateRan { epoch, .. } | Input::GateLost { epoch, .. } => {
                mission.gate_leases().all(|(live, _)| live != *epoch)
            }
            Input::Stacked { n: of, .. } => n != Some((*of, false)),
            Input::Moved { n: of, .. } => n != Some((*of, true)),
            Input::DeliveryPlanned { n, .. }
            | Input::Delivered { n, .. }
            | Input::DeliveryRefused { n, .. } => *n != self.deliveries,
            Input::Undone { n, .. } => mission.handed().is_none_or(|handed| handed.n != *n),
            Input::Cleaned { n, .. } => *n != self.seals,
            _ => false,
        };
        if stale {
            let (events, reply) = mission.decide(now.max(mission.last()), input.clone());
            assert!(events.is_empty(), "a stale reply made events: {events:?}");
            assert_eq!(reply, Reply::Stale, "a stale reply was taken");
        }
    }

    pub(crate) fn taken(&mut self, tickets: &[Ticket], needs: Seq) {
        for (id, _) in tickets {
            self.tickets.insert(*id, needs);
        }
    }

    pub(crate) fn stored(&mut self, head: Seq) {
        self.durable = head;
    }

    pub(crate) fn replied(&mut self, (id, wish): &Ticket, reply: &Reply) {
        let needs = self.tickets[id];
        assert!(
            needs <= self.durable,
            "a reply left before what it tells was durable"
        );
        if let (Some(Wish::Edit(line, saw)), Reply::Done) = (wish, reply) {
            assert!(
                self.edits.insert((*line, *saw)),
                "two writers changed version {saw} of {line:?}"
            );
        }
    }

    pub(crate) fn lease(&mut self, epoch: Epoch) {
        assert!(epoch > self.owner, "the owner's epoch did not grow");
        self.owner = epoch;
    }

    pub(crate) fn recovered(&mut self, head: &Head) {
        assert!(
            head.seq >= self.durable,
            "events that were acknowledged are gone"
        );
        self.durable = head.seq;
    }

    /// Events that became durable as the engine died are heard of on its next start.
    pub(crate) fn catch_up(
        &mut self,
        mission: &Mission,
        read: impl Fn() -> Vec<Recorded>,
        git: &Git,
    ) -> Vec<Event> {
        if mission.n_events() == self.events.len() as u64 {
            return Vec::new();
        }
        let all = read();
        assert_eq!(
            all[..self.events.len()],
            self.events,
            "what was durable has changed"
        );
        let missed: Vec<Recorded> = all[self.events.len()..].to_vec();
        missed.iter().for_each(|recorded| self.event(recorded, git));
        missed.into_iter().map(|recorded| recorded.event).collect()
    }

    pub(crate) fn event(&mut self, recorded: &Recorded, git: &Git) {
        assert!(
            recorded.at >= self.last,
            "time ran backwards in the journal"
        );
        self.last = recorded.at;
        self.events.push(recorded.clone());
        let event = &recorded.event;
        if self.sealed.is_some() {
            self.after_the_seal(event);
        }
        if self.woke == Some(recorded.at) {
            assert!(
                !waits::struck(event),
                "a deadline struck because of time in which no engine ran: {event:?}"
            );
        }
        match event {
            Event::TurnStarted { .. } | Event::TurnLent { .. } | Event::TurnEnded { .. } => {
                self.turn(event);
            }
            Event::GateStarted {
                epoch, gate, tree, ..
            } => {
                self.new_epoch(*epoch);
                self.gates.insert(*epoch, (tree.clone(), gate.command()));
            }
            Event::GateEnded { epoch, run } => {
                let lease = self
                    .gates
                    .remove(epoch)
                    .expect("a gate that ends has a lease");
                let of = (run.tree.clone(), run.command.clone());
                assert_eq!(of, lease, "evidence of another tree or command was taken");
                self.evidence.insert(lease, run.result.passed());
            }
            Event::GateLost { epoch, .. } => {
                assert!(
                    self.gates.remove(epoch).is_some(),
                    "a gate that is lost has a lease"
                );
            }
            Event::Woke { .. } => self.woke = Some(recorded.at),
            Event::Asked { id, about, .. } => {
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
            Event::Resumed { more_tokens, .. } => {
                self.sealed = None;
                self.limit = self.limit.saturating_add(*more_tokens);
                for task in std::mem::take(&mut self.given_up) {
                    self.tries.insert(task, 0);
                }
            }
            Event::DeliverAsked { .. } => self.deliveries += 1,
            Event::Prepared { base, .. } => {
                self.head = Some((base.commit.clone(), base.tree.clone()));
            }
            _ => self.task_event(event),
        }
    }
}
