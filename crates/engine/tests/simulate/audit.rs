//! What must hold after every step, told from the events and the world alone: a second, simpler book beside the fold.

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

    fn after_the_seal(&self, event: &Event) {
        let fits = matches!(
            event,
            Event::TodoEdited { .. }
                | Event::Resumed { .. }
                | Event::DeliverAsked { .. }
                | Event::DeliveryPlanned { .. }
                | Event::Delivered { .. }
                | Event::DeliveryRefused { .. }
                | Event::UndoAsked { .. }
                | Event::Undone { .. }
                | Event::UndoFailed { .. }
                | Event::Cleaned { .. }
        );
        assert!(fits, "it happened after the seal: {event:?}");
    }

    fn new_epoch(&mut self, epoch: Epoch) {
        assert!(
            epoch > self.epoch,
            "epoch {} was handed out before",
            epoch.0
        );
        self.epoch = epoch;
    }

    fn reserved(&self) -> u64 {
        self.live.values().sum()
    }

    fn turn(&mut self, event: &Event) {
        match event {
            Event::TurnStarted {
                turn,
                epoch,
                deadline,
                reserved,
                lane,
                base,
                from,
            } => {
                self.new_epoch(*epoch);
                let lease = Lease {
                    turn: *turn,
                    deadline: *deadline,
                    reserved: *reserved,
                    lane: *lane,
                    since: self.last,
                    base: base.clone(),
                    from: from.clone(),
                };
                if let Turn::Work { attempt } = turn {
                    self.work_started(*attempt);
                }
                self.leases.insert(*epoch, lease);
                self.live.insert(*epoch, *reserved);
                self.within_the_limit();
            }
            Event::TurnLent { epoch, reserved } => {
                self.live.insert(*epoch, *reserved);
                self.within_the_limit();
            }
            Event::TurnEnded {
                turn,
                epoch,
                ending,
                charged,
                ..
            } => {
                assert!(
                    self.live.remove(epoch).is_some(),
                    "a turn that ends has a lease"
                );
                self.spent += charged;
                if let Turn::Work { attempt } = turn {
                    if *ending == Ending::Answered {
                        self.answered.insert(*attempt);
                    }
                    self.tried(attempt.task, ending);
                }
            }
            _ => {}
        }
    }

    fn within_the_limit(&self) {
        let (spent, reserved, limit) = (self.spent, self.reserved(), self.limit);
        assert!(
            spent + reserved <= limit,
            "{spent} spent and {reserved} reserved of {limit}"
        );
    }

    fn tried(&mut self, task: TaskId, ending: &Ending) {
        let by_agent = match ending {
            Ending::Failed { failure, .. } => {
                !matches!(failure, Failure::Transient | Failure::Fatal)
            }
            Ending::Expired | Ending::Overspent => true,
            Ending::Answered | Ending::Refused { .. } | Ending::Cancelled => false,
        };
        *self.tries.entry(task).or_default() += u32::from(by_agent);
    }

    fn work_started(&mut self, attempt: AttemptId) {
        assert!(
            !self.answered.contains(&attempt),
            "{attempt} is finished and was started again"
        );
        let last = self.attempts.insert(attempt.task, attempt.n).unwrap_or(0);
        assert!(
            attempt.n == last || attempt.n == last + 1,
            "{attempt} follows attempt {last}"
        );
        assert!(
            !self.landed.contains(&attempt.task),
            "{attempt} has landed and was started again"
        );
        for need in &self.tasks[&attempt.task].needs {
            assert!(
                self.landed.contains(need),
                "{attempt} was started before {need} had landed"
            );
        }
    }

    fn task_event(&mut self, event: &Event) {
        match event {
            Event::Planned { plan } => {
                for task in &plan.tasks {
                    let old = self.tasks.insert(task.id, task.clone());
                    assert!(old.is_none(), "{} names two tasks", task.id);
                }
            }
            Event::Worked { attempt, work, .. } => {
                self.works.insert(*attempt, work.clone());
            }
            Event::Reused { task, attempt } => {
                assert!(
                    self.works.contains_key(attempt),
                    "{attempt} has no result to be found again"
                );
                let own = AttemptId { task: *task, n: 1 };
                self.works.insert(own, self.works[attempt].clone());
                self.attempts.insert(*task, 1);
                self.answered.insert(own);
                self.origins.insert(own, *attempt);
                if self.results.contains(attempt) {
                    self.lands(*task);
                }
            }
            Event::Accepted { attempt, .. } => self.accepted(*attempt),
            Event::Rejected { attempt, rejection } => {
                let by_agent = !matches!(
                    rejection,
                    Rejection::Conflict { .. } | Rejection::Person { .. }
                );
                *self.tries.entry(attempt.task).or_default() += u32::from(by_agent);
            }
            Event::TaskFailed { task, .. } => _ = self.given_up.insert(*task),
            Event::Disputed { attempt, .. } => _ = self.given_up.insert(attempt.task),
            Event::TaskDone { task, .. } => self.lands(*task),
            Event::LandingStarted { n, onto, attempts } => {
                assert!(self.landing.is_none(), "two landings at once");
                assert_eq!(
                    self.head.as_ref().map(|(commit, _)| commit),
                    Some(onto),
                    "it stands on another commit"
                );
                self.landing = Some((*n, attempts.clone()));
            }
            Event::Stacked { results, .. } => {
                let (n, _) = self.landing.take().expect("a stack has a landing");
                let put = results
                    .iter()
                    .filter(|stacked| !matches!(stacked.result, StackResult::Conflict { .. }));
                let put: Vec<AttemptId> = put.map(|stacked| stacked.attempt).collect();
                self.landing = (!put.is_empty()).then_some((n, put));
            }
            Event::LandingFailed { .. } => self.landing = None,
            Event::Landed { n, commit, tree } => {
                let (this, attempts) = self.landing.take().expect("what lands has a landing");
                assert_eq!(*n, this, "another landing landed");
                for attempt in attempts {
                    self.proved(attempt, tree);
                    self.results.insert(attempt);
                    self.results.extend(self.origins.get(&attempt).copied());
                    self.lands(attempt.task);
                }
                self.head = Some((commit.clone(), tree.clone()));
            }
            _ => {}
        }
    }

    fn accepted(&self, attempt: AttemptId) {
        let work = self
            .works
            .get(&attempt)
            .expect("what is accepted was handed in");
        self.proved(attempt, &work.tree);
    }

    /// Every acceptance command of an attempt was run on a tree, by the engine, and was green.
    fn proved(&self, attempt: AttemptId, tree: &TreeId) {
        for gate in &self.tasks[&attempt.task].acceptance {
            let green = self.evidence.get(&(tree.clone(), gate.command()));
            assert_eq!(
                green,
                Some(&true),
                "{attempt} goes on though `{}` is not green",
                gate.program
            );
        }
    }

    fn lands(&mut self, task: TaskId) {
        assert!(self.landed.insert(task), "{task} landed twice");
        for need in &self.tasks[&task].needs {
            assert!(self.landed.contains(need), "{task} landed before {need}");
        }
    }

    fn sealed(
        &mut self,
        outcome: Outcome,
        commit: Option<&CommitId>,
        tree: Option<&TreeId>,
        git: &Git,
    ) {
        self.sealed = Some(outcome);
        self.seals += 1;
        let delivers = outcome == Outcome::Completed && self.terms.deliver != Deliver::None;
        self.deliveries += u32::from(delivers);
        assert!(self.live.is_empty(), "turns run on behind the seal");
        assert!(self.gates.is_empty(), "gates run on behind the seal");
        if let Some(commit) = commit {
            assert_eq!(
                git.line.as_ref(),
                Some(commit),
                "the seal names another commit than the line's end"
            );
            assert_eq!(
                Some(&git.tree_of(commit)),
                tree,
                "the seal names another tree"
            );
        }
        if outcome == Outcome::Completed {
            let tree = git.tree(tree.expect("a completed mission has a tree"));
            for goal in self.goals_of_the_plan() {
                assert!(
                    goal.is_met(&tree),
                    "completed, and {} is not done",
                    goal.key
                );
            }
        }
    }

    /// Goals of agents whose acceptance tells done from not done.
    fn goals_of_the_plan(&self) -> Vec<Goal> {
        let keys: BTreeSet<&str> = self.tasks.values().map(|task| task.key.as_str()).collect();
        let goals = self
            .goals
            .iter()
            .filter(|goal| keys.contains(goal.key.as_str()));
        goals
            .filter(|goal| goal.kind == TaskKind::Agent && goal.discriminates)
            .cloned()
            .collect()
    }

    /// What holds of the state between two steps.
    pub(crate) fn state(&self, mission: &Mission, in_flight: usize, now: Timestamp, git: &Git) {
        let leases: Vec<&Lease> = mission.leases().map(|(_, lease)| lease).collect();
        let mut lanes = BTreeSet::new();
        let mut of: BTreeMap<Role, u32> = BTreeMap::new();
        for lease in &leases {
            let role = lease.turn.role();
            assert!(
                lanes.insert((role, lease.lane)),
                "two turns share lane {} of the {role}s",
                lease.lane
            );
            *of.entry(role).or_default() += 1;
        }
        for (role, n) in of {
            let most = match role {
                Role::Worker => self.terms.workers,
                Role::Reviewer => limits::REVIEWERS,
                Role::Commander | Role::Planner => 1,
            };
            assert!(n <= most, "{n} {role}s at once");
        }
        let gates = mission.gate_leases().count();
        assert!(gates <= limits::GATES as usize, "{gates} gates at once");
        let budget = mission.budget();
        let reserved: u64 = leases.iter().map(|lease| lease.reserved).sum();
        assert_eq!(
            (budget.reserved, budget.spent),
            (reserved, self.spent),
            "the budget's sums are wrong"
        );
        assert_eq!(
            reserved,
            self.reserved(),
            "a lease's reservation is not the one that was recorded"
        );
        for task in mission.tasks() {
            let tries = self.tries.get(&task.task.id).copied().unwrap_or(0);
            assert_eq!(
                task.tries, tries,
                "{} counts other tries than happened",
                task.task.id
            );
        }
        if let Some((commit, _)) = mission.head() {
            let top = mission
                .landing()
                .and_then(|landing| landing.top.as_ref())
                .map(|(top, _)| top);
            let line = git.line.as_ref();
            assert!(
                line == Some(commit) || line == top,
                "the line is neither where it was nor one move ahead"
            );
        }
        match mission.outcome() {
            Some(_) => self.at_rest(mission),
            None => self.waits(mission, in_flight, now),
        }
    }

    pub(crate) fn patience(&mut self, n: u32) {
        self.patience = n;
    }

    /// Once nothing goes wrong any more, the work gets done.
    pub(crate) fn ended(&self, mission: &Mission) {
        let outcome = mission.outcome().expect("it is over");
        let told = self.events.last().map(|recorded| &recorded.event);
        // A short mission may run out of time, however honest everybody is.
        let short = self.terms.mission < Millis::from_mins(12 * 60);
        let overdue = short
            && mission
                .reasons()
                .iter()
                .any(|why| why.starts_with("its time of"));
        if mission.base().is_none() || overdue {
            return;
        }
        assert!(
            is_good(outcome),
            "with nothing going wrong and {} resumes it is {outcome} ({:?}); last: {told:?}",
            self.patience,
            mission.reasons()
        );
    }
}
