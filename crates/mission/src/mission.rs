//! The fold: what a mission is, as far as its events tell.

mod facts;

use crate::ahead::PlanAhead;
pub use crate::budget::Budget;
pub use crate::delivery::{Delivery, Handed};
use crate::event::{Event, Recorded, VERSION};
pub use crate::evidence::Evidence;
use crate::foresight::{AllWarned, Foresight};
use crate::gate::Gate;
use crate::governor::Governor;
use crate::ids::{AttemptId, CommitId, Digest, Epoch, MissionId, TaskId, TreeId};
use crate::input::{Input, Reply};
use crate::landing::Landing;
pub use crate::lease::{GateLease, Lease};
use crate::plan::Plan;
use crate::planted;
use crate::question::{Question, QuestionId};
use crate::schedule::{AtProviders, Disk, Durations, Fan, Pressure, Ready, Took};
use crate::seal::Outcome;
use crate::sessions::Sessions;
use crate::split::Cuts;
use crate::steering::{Pause, Words};
use crate::steps::Owed;
pub use crate::task::{State, TaskState};
use crate::terms::Terms;
use crate::time::{Millis, Timestamp};
use crate::todo::Todo;
use crate::turn::{Intent, Report};
use crate::work::{Base, Work};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What a mission is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The base is being pinned.
    Preparing,
    /// The Commander reads the request.
    Reading,
    /// The Planner writes the plan.
    Planning,
    /// The plan waits for a person's word.
    Approving,
    /// Tasks are carried out.
    Running,
    /// It is over.
    Sealed,
}

/// How the turns before the plan are going.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Short {
    pub(crate) n: u32,
    pub(crate) faults: u32,
    pub(crate) machine: u32,
    pub(crate) refusals: u32,
    pub(crate) repairs: u32,
    pub(crate) from: Timestamp,
    pub(crate) refused: Vec<String>,
    /// Where the last one worked.
    pub(crate) lane: u32,
    /// The plan that was begun from the request alone.
    pub(crate) ahead: Option<PlanAhead>,
}

/// A result that is found again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) attempt: AttemptId,
    pub(crate) landed: bool,
    pub(crate) base: Option<(CommitId, TreeId)>,
    pub(crate) proved_in: Option<Digest>,
}

/// A mission: a fold over its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mission {
    pub(crate) id: MissionId,
    pub(crate) nonce: String,
    pub(crate) project: String,
    pub(crate) request: String,
    pub(crate) terms: Terms,
    pub(crate) phase: Phase,
    pub(crate) opened: Timestamp,
    pub(crate) last: Timestamp,
    pub(crate) deadline: Timestamp,
    pub(crate) base: Option<Base>,
    pub(crate) gates: Vec<Gate>,
    pub(crate) environment: Option<Digest>,
    /// What the machine is short of.
    pub(crate) pressure: Option<Pressure>,
    pub(crate) disk: Disk,
    pub(crate) notes: Vec<String>,
    pub(crate) intent: Option<Intent>,
    pub(crate) reading: Short,
    pub(crate) planning: Short,
    pub(crate) tasks: BTreeMap<TaskId, TaskState>,
    pub(crate) plans: u32,
    /// Grows by one with every plan and with every change of it.
    pub(crate) plan_version: u64,
    /// How often people changed it.
    pub(crate) edits: u32,
    /// The highest name that a task ever had.
    pub(crate) named: u32,
    pub(crate) works: BTreeMap<AttemptId, (Work, Report)>,
    pub(crate) results: BTreeMap<Digest, Finished>,
    pub(crate) ready: Ready,
    pub(crate) durations: Durations,
    pub(crate) fan: Option<Fan>,
    /// Which lease has which resource.
    pub(crate) held: BTreeMap<String, Epoch>,
    pub(crate) slots: AtProviders,
    pub(crate) governor: Governor,
    pub(crate) sessions: Sessions,
    pub(crate) parked: BTreeSet<(Timestamp, TaskId)>,
    /// Tasks that stagnate and about which something is still to be done.
    pub(crate) stagnant: BTreeSet<TaskId>,
    /// What the Planner is to cut anew.
    pub(crate) cuts: Cuts,
    pub(crate) checking: BTreeSet<TaskId>,
    /// Those of them that were being proved already when the merge queue last ceased to be empty: it waits for no others.
    pub(crate) company: BTreeSet<TaskId>,
    pub(crate) judging: BTreeSet<(Timestamp, TaskId)>,
    pub(crate) befores: BTreeSet<TaskId>,
    pub(crate) queue: VecDeque<AttemptId>,
    pub(crate) landing: Option<Landing>,
    pub(crate) landings: u32,
    /// The tops of landings that were given up since the line was last seen to move: it may stand there.
    pub(crate) adrift: BTreeSet<CommitId>,
    pub(crate) stack_limit: usize,
    pub(crate) head: Option<(CommitId, TreeId)>,
    pub(crate) leases: BTreeMap<Epoch, Lease>,
    pub(crate) gate_leases: BTreeMap<Epoch, GateLease>,
    pub(crate) deadlines: BTreeSet<(Timestamp, Epoch)>,
    pub(crate) epoch: Epoch,
    /// By tree, command and environment.
    pub(crate) evidence: BTreeMap<(TreeId, Digest, Digest), Evidence>,
    pub(crate) lost: BTreeMap<(TreeId, Digest), u32>,
    pub(crate) budget: Budget,
    /// Whether the plan is forecast to use more than it may without a person's word.
    pub(crate) wants_word: bool,
    pub(crate) questions: BTreeMap<QuestionId, Question>,
    pub(crate) last_question: u32,
    /// Kinds of things that a person has allowed for the whole mission, and when.
    pub(crate) allowed: BTreeMap<String, Timestamp>,
    pub(crate) approval_asked: bool,
    pub(crate) todo: Todo,
    pub(crate) paused: Option<Pause>,
    pub(crate) said: Words,
    /// Attempts that were told of conflicts while they worked and that are not over.
    pub(crate) warned: AllWarned,
    /// What came of it.
    pub(crate) foresight: Foresight,
    pub(crate) cancelled: bool,
    /// Cancelled so that workspaces stay as they are.
    pub(crate) aborted: bool,
    pub(crate) halted: Option<String>,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) reasons: Vec<String>,
    pub(crate) sealed_at: Option<Timestamp>,
    pub(crate) idle: Millis,
    pub(crate) owed: Option<Owed>,
    pub(crate) delivery: Delivery,
    /// Whether the last delivery broke off.
    pub(crate) broke_off: bool,
    pub(crate) deliveries: u32,
    /// The last is taken back first.
    pub(crate) handed: Vec<Handed>,
    pub(crate) undos: u32,
    pub(crate) seals: u32,
    pub(crate) cleaned: bool,
    pub(crate) landed: u32,
    pub(crate) events: u64,
}

/// What one input came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What happened, in order, already applied. May be empty.
    pub events: Vec<Recorded>,
    /// What is told to whoever gave the input, once the events are durable.
    pub reply: Reply,
}

impl Mission {
    /// Opens a mission: the first event, and the mission that it makes.
    pub fn open(
        now: Timestamp,
        id: MissionId,
        nonce: String,
        project: String,
        request: String,
        terms: Terms,
    ) -> (Self, Recorded) {
        Self::open_after(now, (id, nonce), (project, request), terms, Vec::new())
    }

    /// The same for a mission that others in the same folder came before, which tell how long tasks take there.
    pub fn open_after(
        now: Timestamp,
        (id, nonce): (MissionId, String),
        (project, request): (String, String),
        terms: Terms,
        earlier: Vec<Took>,
    ) -> (Self, Recorded) {
        let event = Event::Opened {
            id,
            nonce,
            project,
            request,
            terms,
            earlier,
        };
        let first = Recorded {
            v: VERSION,
            at: now,
            event,
        };
        let mission = Self::replay([&first]).expect("the first event opens a mission");
        (mission, first)
    }

    /// The mission that some events make; `None` if they do not begin with its opening.
    pub fn replay<'a>(events: impl IntoIterator<Item = &'a Recorded>) -> Option<Self> {
        let mut events = events.into_iter();
        let first = events.next()?;
        let Event::Opened {
            id,
            nonce,
            project,
            request,
            terms,
            earlier,
        } = &first.event
        else {
            return None;
        };
        let (name, what) = ((*id, nonce.clone()), (project.clone(), request.clone()));
        let mut mission = Self::new(name, what, terms.clone(), first.at);
        mission.durations = Durations::after(earlier);
        for recorded in events {
            mission.apply(recorded.at, &recorded.event);
        }
        Some(mission)
    }

    fn new(id: (MissionId, String), of: (String, String), terms: Terms, at: Timestamp) -> Self {
        Self {
            id: id.0,
            nonce: id.1,
            project: of.0,
            request: of.1,
            deadline: at + terms.mission,
            phase: Phase::Preparing,
            opened: at,
            last: at,
            base: None,
            gates: Vec::new(),
            environment: None,
            pressure: None,
            disk: Disk::default(),
            notes: Vec::new(),
            intent: None,
            reading: Short::default(),
            planning: Short::default(),
            tasks: BTreeMap::new(),
            plans: 0,
            plan_version: 0,
            edits: 0,
            named: 0,
            works: BTreeMap::new(),
            results: BTreeMap::new(),
            ready: Ready::default(),
            durations: Durations::default(),
            fan: None,
            held: BTreeMap::new(),
            slots: AtProviders::new(&terms),
            governor: Governor::default(),
            sessions: Sessions::default(),
            parked: BTreeSet::new(),
            stagnant: BTreeSet::new(),
            cuts: Cuts::default(),
            checking: BTreeSet::new(),
            company: BTreeSet::new(),
            judging: BTreeSet::new(),
            befores: BTreeSet::new(),
            queue: VecDeque::new(),
            landing: None,
            landings: 0,
            adrift: BTreeSet::new(),
            stack_limit: crate::limits::STACK,
            head: None,
            leases: BTreeMap::new(),
            gate_leases: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            epoch: Epoch(0),
            evidence: BTreeMap::new(),
            lost: BTreeMap::new(),
            budget: Budget::of(terms.tokens, terms.micro_usd),
            wants_word: false,
            terms,
            questions: BTreeMap::new(),
            last_question: 0,
            allowed: BTreeMap::new(),
            approval_asked: false,
            todo: Todo::default(),
            paused: None,
            said: Words::default(),
            warned: AllWarned::new(),
            foresight: Foresight::default(),
            cancelled: false,
            aborted: false,
            halted: None,
            outcome: None,
            reasons: Vec::new(),
            sealed_at: None,
            idle: Millis(0),
            owed: None,
            delivery: Delivery::None,
            broke_off: false,
            deliveries: 0,
            handed: Vec::new(),
            undos: 0,
            seals: 0,
            cleaned: false,
            landed: 0,
            events: 1,
        }
    }

    /// What an input means now, with all that follows from it: decides, applies, and goes on until nothing more
    /// follows. Time never goes backwards inside a mission: an earlier `now` counts as the last one.
    ///
    /// # Panics
    /// More than [`crate::limits::STEP_EVENTS`] events follow. Such a mission would never come to rest, and an engine
    /// that ends is better than one that fills the machine's memory.
    pub fn step(&mut self, now: Timestamp, input: Input) -> Step {
        let now = now.max(self.last);
        let (decided, reply) = self.decide(now, input);
        if planted!("changed_without_event") && reply == Reply::Stale {
            self.budget.calls += 1;
        }
        let mut events = Vec::new();
        let mut batch = decided;
        loop {
            for event in batch {
                self.apply(now, &event);
                events.push(Recorded {
                    v: VERSION,
                    at: now,
                    event,
                });
            }
            assert!(
                events.len() < crate::limits::STEP_EVENTS,
                "one input made {} events: the mission goes round in circles",
                events.len()
            );
            batch = self.follow(now);
            if batch.is_empty() {
                return Step { events, reply };
            }
        }
    }

    /// The next moment after `now` at which time alone may change something; `None` if nothing waits for time. What
    /// could have changed by now waits for something else, a free slot for example, and is no reason to wake.
    pub fn next_wake(&self, now: Timestamp) -> Option<Timestamp> {
        let now = now.max(self.last);
        let owed = self.owed.map(|owed| owed.until);
        if self.outcome.is_some() {
            return owed.filter(|until| *until > now);
        }
        let firsts = [
            self.deadlines.first().map(|(at, _)| *at),
            self.ready.next_rise(now).filter(|_| self.paused.is_none()),
            self.questions
                .values()
                .map(|question| question.deadline)
                .min(),
            self.next_try(now),
            self.next_idle_session(),
            owed,
            Some(self.deadline),
        ];
        firsts.into_iter().flatten().filter(|at| *at > now).min()
    }

    /// The next moment at which a turn may begin that waits for nothing else.
    pub(crate) fn next_try(&self, now: Timestamp) -> Option<Timestamp> {
        let short = match self.phase {
            Phase::Reading => Some(self.reading.from),
            Phase::Planning => Some(self.planning.from),
            _ => None,
        };
        let from = (now + Millis(1), TaskId(0));
        let waiting = [&self.parked, &self.judging, &self.cuts.due];
        let waiting = waiting.map(|until| until.range(from..).next().map(|(at, _)| *at));
        let firsts = waiting.into_iter().chain([short, self.next_trial(now)]);
        firsts.flatten().filter(|at| *at > now).min()
    }

    /// What a task's result is found again by; `None` while a task that it needs has no result.
    pub(crate) fn result_key(&self, id: TaskId) -> Option<Digest> {
        let task = self.tasks.get(&id)?;
        let mut needs = Vec::new();
        for need in &task.task.needs {
            let need = self.tasks.get(need)?;
            needs.push(match &need.work {
                Some(work) => Digest::of(work.tree.as_str().as_bytes()),
                None => Digest::of(need.notes.join("\n").as_bytes()),
            });
        }
        let policy = format!("worker, {} reviews", self.terms.review_rounds);
        Some(crate::work::result_key(&task.task.spec(), &needs, &policy))
    }

    /// Plans the tasks of `plan` as they are, without a check. For benchmarks and tests of large missions.
    #[doc(hidden)]
    pub fn planned_unchecked(&mut self, now: Timestamp, plan: Plan) {
        self.apply(now, &Event::Planned { plan });
    }
}
