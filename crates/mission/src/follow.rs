//! What follows without a new input: deadlines, free slots, the merge queue, the seal. One decision at a time.

mod gates;
mod seal;

use crate::event::{Ending, Event, Purpose, Rejection, Turn};
use crate::gate::Gate;
use crate::ids::{AttemptId, CommitId, Epoch, TaskId, TreeId};
use crate::limits;
use crate::mission::{Mission, Phase, State, TaskState};
use crate::plan::TaskKind;
use crate::planted;
use crate::question::{About, QuestionId};
use crate::schedule::Place;
use crate::seal::{Grade, Outcome};
use crate::time::{Millis, Timestamp};
use crate::turn::{Failure, Intent, Role, Usage};

/// What a task that asks a person comes to when nobody answers.
const UNANSWERED: &str = "no answer";

impl Turn {
    /// Who is asked.
    pub fn role(&self) -> Role {
        match self {
            Self::Intent { .. } => Role::Commander,
            Self::Plan { .. } | Self::Split { .. } => Role::Planner,
            Self::Work { .. } => Role::Worker,
            Self::Review { .. } => Role::Reviewer,
        }
    }
}

impl Mission {
    /// The next events that follow from the state and the time alone; empty when nothing does. Pure.
    pub fn follow(&self, now: Timestamp) -> Vec<Event> {
        if self.outcome.is_some() {
            return self.expire_step(now);
        }
        let steps: [fn(&Self, Timestamp) -> Vec<Event>; 17] = [
            Self::settle_ahead,
            Self::expire,
            Self::expire_step,
            Self::retire_sessions,
            Self::close_questions,
            Self::wind_down,
            Self::read_and_plan,
            Self::start_without_agent,
            Self::accept_unreviewed,
            Self::land,
            Self::start_gate,
            Self::start_review,
            Self::remedy,
            Self::start_split,
            Self::start_work,
            Self::seal,
            Self::waits_past_its_end,
        ];
        steps
            .iter()
            .map(|step| step(self, now))
            .find(|events| !events.is_empty())
            .unwrap_or_default()
    }

    /// Everything that waits has a deadline, and this is where it strikes.
    fn expire(&self, now: Timestamp) -> Vec<Event> {
        let due = self.deadlines.first().filter(|(at, _)| *at <= now);
        let due = due.filter(|_| !planted!("deadline_never_strikes"));
        let Some((_, epoch)) = due else {
            return Vec::new();
        };
        if let Some(lease) = self.leases.get(epoch) {
            let why = format!("{} was not done in time", lease.turn);
            let said = (why.as_str(), limits::EXPIRED);
            let then = self.after_ending(now, lease.turn, Failure::Silent, said);
            return self.end_turn(*epoch, lease, Ending::Expired, Usage::default(), then);
        }
        self.lose_gate(*epoch, "its runner did not come back in time".into())
    }

    fn close_questions(&self, now: Timestamp) -> Vec<Event> {
        let late = |question: &crate::question::Question| {
            // A permission whose turn is over is withdrawn; an unattended mission takes every default at once.
            match question.about {
                About::Permission { epoch, .. } if !self.leases.contains_key(&epoch) => {
                    Some("withdrawn")
                }
                // Money is not spent, nor a plan thrown away, because nobody was there.
                About::Plan if !self.terms.attended && question.deadline > now => None,
                _ if !self.terms.attended => Some("policy"),
                _ if self.paused.is_none()
                    && question.deadline <= now
                    && !planted!("question_never_closed") =>
                {
                    Some("deadline")
                }
                _ => None,
            }
        };
        let found = self
            .questions
            .iter()
            .find_map(|(id, question)| Some((*id, question, late(question)?)));
        let Some((id, question, by)) = found else {
            return Vec::new();
        };
        self.close_question(id, question.default.clone(), by.into())
    }

    /// A cancelled, halted, answered or overdue mission ends what runs, keeps what it has, and is sealed.
    fn wind_down(&self, now: Timestamp) -> Vec<Event> {
        if !self.winding_down() {
            if self.deadline > now {
                return Vec::new();
            }
            let why = match self.paused {
                Some(_) => "it was paused, and nobody let it go on in time".to_owned(),
                None => format!("its time of {} is over", self.terms.mission),
            };
            return vec![Event::Halted { why }];
        }
        if let Some((epoch, lease)) = self.leases.first_key_value() {
            return self.end_turn(
                *epoch,
                lease,
                Ending::Cancelled,
                Usage::default(),
                Vec::new(),
            );
        }
        if let Some(void) = self.void_ahead("the mission winds down") {
            return vec![void];
        }
        if let Some(epoch) = self.gate_leases.keys().next() {
            return vec![Event::GateLost {
                epoch: *epoch,
                why: "the mission winds down".into(),
            }];
        }
        if let Some((id, question)) = self.questions.first_key_value() {
            return vec![question.withdrawn(*id)];
        }
        match &self.landing {
            // The line may be moving this very moment; a landing that is green is waited for.
            Some(_) if self.landing_is_green() => Vec::new(),
            Some(landing) => vec![Event::LandingFailed {
                n: landing.n,
                gate: None,
            }],
            None => vec![self.sealed()],
        }
    }

    /// Whether it is to end, and does nothing but end what it has begun.
    pub fn winding_down(&self) -> bool {
        self.cancelled || self.halted.is_some() || self.is_answered()
    }

    /// Whether the project's set-up has still to run on the base. It runs beside the first turn: a question needs none.
    pub fn awaits_set_up(&self) -> bool {
        let open = self.outcome.is_none() && !self.winding_down();
        open && self.base.is_some() && self.environment.is_none()
    }

    fn is_answered(&self) -> bool {
        matches!(self.intent, Some(Intent::Answer { .. }))
    }

    /// Reading, planning, and asking for the plan's approval.
    fn read_and_plan(&self, now: Timestamp) -> Vec<Event> {
        let idle = !self.is_fronted() && !self.winding_down();
        match self.phase {
            Phase::Reading if idle && (self.reading.from <= now || self.looked()) => {
                let n = self.reading.n + 1;
                self.start_short(now, Turn::Intent { n }, 1)
            }
            Phase::Reading if !idle => self.start_ahead(now),
            Phase::Planning if idle && self.planning.from <= now => {
                let n = self.planning.n + 1;
                self.start_short(now, Turn::Plan { n }, self.lane_of_next_plan())
            }
            Phase::Running if !self.approval_asked && !self.winding_down() => self.ask_word(now),
            _ => Vec::new(),
        }
    }

    /// Whether the first turn need not wait any longer: what there is to know of the base is known.
    fn looked(&self) -> bool {
        self.reading.n == 0 && self.gates.iter().all(|gate| self.baseline(gate).is_some())
    }

    pub(crate) fn start_short(&self, now: Timestamp, turn: Turn, lane: u32) -> Vec<Event> {
        let base = self.base.as_ref().map(|base| base.commit.clone());
        self.start_turn(now, turn, limits::SHORT_TURN, lane, base, None)
    }

    pub(crate) fn start_turn(
        &self,
        now: Timestamp,
        turn: Turn,
        limit: Millis,
        lane: u32,
        base: Option<CommitId>,
        from: Option<CommitId>,
    ) -> Vec<Event> {
        let place = Place::of(turn.role(), lane);
        if self.stands_still() || self.is_full() || !self.may_begin_in(place) {
            return Vec::new();
        }
        // Whoever waits for a provider stays where it is, and loses nothing.
        let Some((model, other)) = self.asked_of(now, turn) else {
            return Vec::new();
        };
        let left = self.deadline.since(now);
        let asked = self.model_or_own(turn.role(), other.or(model.flatten()));
        let (reserved, money) = self.reservation(turn, asked);
        if let Some(why) = self.lacks(turn, (reserved, money), left) {
            // What was paid for already is gated, landed and decided first; none of it needs a token or much time.
            let halted = self.rests().then_some(Event::Halted { why });
            return halted.into_iter().collect();
        }
        let set_up = match turn {
            Turn::Work { .. } => limits::SET_UP,
            _ => Millis(0),
        };
        // No turn is promised more time than the mission has: it would be cut off, and paid for, with nothing to show.
        let most = (set_up + limit).min(left);
        let deadline = now + most + limits::TURN_GRACE;
        let started = Event::TurnStarted {
            turn,
            epoch: self.next_epoch(),
            deadline,
            reserved,
            money,
            lane,
            base,
            from,
            model: other.map(str::to_owned),
        };
        let switched = model.and_then(|model| self.switch(turn.role(), model));
        switched.into_iter().chain([started]).collect()
    }

    /// Whether nothing runs that was begun, and nobody is asked.
    pub(crate) fn rests(&self) -> bool {
        self.leases.is_empty()
            && self.gate_leases.is_empty()
            && self.landing.is_none()
            && self.questions.is_empty()
    }

    /// Whom a turn is asked of: its role's model, or, for a task that stagnates, another one that serves now.
    fn asked_of(&self, now: Timestamp, turn: Turn) -> Option<(Option<Option<&str>>, Option<&str>)> {
        let other = match turn {
            Turn::Work { attempt } => self.other_model(attempt),
            _ => None,
        };
        match other.filter(|model| self.serves(now, model)) {
            Some(model) => Some((None, Some(model))),
            None => Some((Some(self.choose_model(now, turn.role())?), None)),
        }
    }

    /// With less time than this no turn is begun; of a short mission it is a small part.
    pub(crate) fn least_time(&self) -> Millis {
        Millis(self.terms.mission.0 / 10).min(limits::TURN_LEAST)
    }

    pub(crate) fn next_epoch(&self) -> Epoch {
        Epoch(self.epoch.0 + 1)
    }

    pub(crate) fn running(&self) -> bool {
        self.phase == Phase::Running && !self.winding_down()
    }

    /// Tasks that need no Worker: results that are found again, questions, gates.
    fn start_without_agent(&self, now: Timestamp) -> Vec<Event> {
        if !self.running() {
            return Vec::new();
        }
        // Only the best few are looked at each time; the others come as these leave.
        for id in self.ready.iter().take(limits::WORKERS_CAP as usize) {
            let task = &self.tasks[&id];
            if let Some(attempt) = self.found_again(task) {
                return vec![Event::Reused { task: id, attempt }];
            }
            match task.task.kind {
                TaskKind::Agent => {}
                TaskKind::Ask => return self.ask_task(now, task),
                TaskKind::Gate => {
                    if let Some(events) = self.judge_gate_task(task) {
                        return events;
                    }
                }
            }
        }
        Vec::new()
    }

    /// The finished result of an earlier plan that fits a task which was never tried. One that has landed fits only
    /// while nothing that should prove it is red on what has landed since.
    fn found_again(&self, task: &TaskState) -> Option<AttemptId> {
        if self.plans < 2 || task.n > 0 || task.task.kind != TaskKind::Agent {
            return None;
        }
        let found = self.results.get(&self.result_key(task.task.id)?)?;
        let (_, tree) = self.head.as_ref()?;
        let red = |gate: &Gate| self.settled(tree, gate, 0) == Some(false);
        let undone = found.landed && task.task.acceptance.iter().any(red);
        (!undone).then_some(found.attempt)
    }

    fn ask_task(&self, now: Timestamp, task: &TaskState) -> Vec<Event> {
        vec![Event::Asked {
            id: QuestionId(self.last_question + 1),
            about: About::Task { task: task.task.id },
            text: task.task.goal.clone(),
            choices: Vec::new(),
            default: UNANSWERED.into(),
            deadline: now + limits::QUESTION,
        }]
    }

    /// The merge queue: what is red goes back, what waits is stacked.
    fn land(&self, _now: Timestamp) -> Vec<Event> {
        if !self.running() {
            return Vec::new();
        }
        if let Some(landing) = &self.landing {
            let Some(red) = self.red_landing_gate() else {
                return Vec::new();
            };
            let mut events = vec![Event::LandingFailed {
                n: landing.n,
                gate: Some(red.id.clone()),
            }];
            let alone = landing.attempts.len() == 1 || planted!("whole_red_stack_sent_back");
            if let Some((_, tree)) = landing.top.as_ref().filter(|_| alone) {
                let fault = self.count_fault(tree, red);
                let rejection = match fault.or_else(|| self.bent_tests(tree, red)) {
                    Some(fault) => Rejection::Bent {
                        what: vec![format!("{}: {fault}", red.id)],
                    },
                    None => Rejection::Gate {
                        gate: red.id.clone(),
                        tree: tree.clone(),
                    },
                };
                let back = |attempt: &AttemptId| self.reject(*attempt, rejection.clone());
                events.extend(landing.attempts.iter().flat_map(back));
            }
            return events;
        }
        let few = usize::from(planted!("last_in_queue_forgotten"));
        let Some((onto, _)) = self.head.as_ref().filter(|_| self.queue.len() > few) else {
            return Vec::new();
        };
        if self.has_company_coming() {
            return Vec::new();
        }
        let attempts: Vec<AttemptId> = self.queue.iter().take(self.stack_limit).copied().collect();
        vec![Event::LandingStarted {
            n: self.landings + 1,
            onto: onto.clone(),
            attempts,
        }]
    }

    /// Whether attempts that are being proved right now may fill the next stack up, and nobody waits for what is in the
    /// queue: the project's gates then run once for all of them instead of once for each.
    pub(crate) fn has_company_coming(&self) -> bool {
        let is_awaited = |attempt: &AttemptId| !self.tasks[&attempt.task].needed_by.is_empty();
        // Whose check needs what a Worker has may not come for long.
        let comes = |id: &TaskId| {
            let check = self.next_acceptance(*id);
            check.is_none_or(|gate| self.are_free(self.resources_of(gate)))
        };
        self.company.iter().any(comes)
            && self.queue.len() < self.stack_limit
            && !self.queue.iter().any(is_awaited)
    }

    pub(crate) fn leases_of(&self, role: Role) -> impl Iterator<Item = u32> {
        self.leases
            .values()
            .filter(move |lease| lease.turn.role() == role)
            .map(|lease| lease.lane)
    }

    /// The lowest lane in which no Reviewer is, if another one may be.
    fn free_reviewer(&self, now: Timestamp) -> Option<u32> {
        let taken: Vec<u32> = self.leases_of(Role::Reviewer).collect();
        let free = |lane: &u32| {
            let alone = !taken.contains(lane) || planted!("lane_shared");
            alone && self.may_begin_in(Place::Reviewer(*lane))
        };
        let provider = self.provider_for(now, Role::Reviewer);
        let (_, room) = self.slots_free(Role::Reviewer, provider, limits::REVIEWERS);
        (1..=limits::REVIEWERS).filter(|_| room > 0).find(free)
    }

    /// The next task whose attempt a Reviewer could judge now.
    fn next_judged(&self, now: Timestamp) -> Option<TaskId> {
        let due = self.judging.iter().take_while(|(from, _)| *from <= now);
        let mut due = due.filter(|_| self.running()).map(|(_, id)| *id);
        due.find(|id| !self.lets_others_try(now, Role::Reviewer, None, self.tasks[id].refusals))
    }

    /// What nobody reviews is accepted before the merge queue is looked at: it is to land with what was proved with it.
    fn accept_unreviewed(&self, now: Timestamp) -> Vec<Event> {
        let unreviewed = self.terms.review_rounds == 0;
        let Some(id) = self.next_judged(now).filter(|_| unreviewed) else {
            return Vec::new();
        };
        vec![Event::Accepted {
            attempt: self.tasks[&id].attempt(),
            by: "policy: no reviews".into(),
            findings: Vec::new(),
        }]
    }

    fn start_review(&self, now: Timestamp) -> Vec<Event> {
        let Some(id) = self.next_judged(now) else {
            return Vec::new();
        };
        let task = &self.tasks[&id];
        let attempt = task.attempt();
        let Some(lane) = self.free_reviewer(now) else {
            return Vec::new();
        };
        let turn = Turn::Review {
            attempt,
            n: task.reviews + 1,
        };
        let commit = task.work.as_ref().map(|work| work.commit.clone());
        self.start_turn(now, turn, limits::SHORT_TURN, lane, commit, None)
    }

    fn start_work(&self, now: Timestamp) -> Vec<Event> {
        // Whether a set-up that fails is a fault of the work is told by the base's.
        if !self.running() || self.awaits_set_up() {
            return Vec::new();
        }
        let Some((id, lane)) = self.next_work(now) else {
            return Vec::new();
        };
        let task = &self.tasks[&id];
        if let Some(why) = self.task_spent(task, 0) {
            return vec![Event::TaskFailed { task: id, why }];
        }
        let attempt = task.next();
        // An attempt that goes on keeps what it stands on; a new one stands on what has landed by now.
        let base = match (&task.base, task.spent) {
            (Some((commit, _)), false) => Some(commit.clone()),
            _ => self.head.as_ref().map(|(commit, _)| commit.clone()),
        };
        let from = task.from.clone();
        self.start_turn(
            now,
            Turn::Work { attempt },
            self.terms.attempt,
            lane,
            base,
            from,
        )
    }
}
