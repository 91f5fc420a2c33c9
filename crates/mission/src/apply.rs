//! Folds one recorded fact into the state. Nothing is decided here: an event of a known form always applies.

mod delivery;
mod gates;
mod landing;
mod plan;
mod tasks;
mod turns;

use crate::event::{Ending, Event, Purpose, Rejection, Turn};
use crate::gate::{Gate, GateRun};
use crate::ids::{AttemptId, CommitId, Digest, Epoch, TaskId, TreeId};
use crate::landing::{Landing, StackResult, Stacked};
use crate::limits;
use crate::mission::{
    Delivery, Evidence, Finished, GateLease, Handed, Lease, Mission, Phase, Short, State, TaskState,
};
use crate::plan::Plan;
use crate::planted;
use crate::question::{About, Question, permit};
use crate::schedule::{AtProviders, Place, Ready};
use crate::seal::Outcome;
use crate::terms::Deliver;
use crate::time::{Millis, Timestamp};
use crate::turn::{Failure, Intent, Report, Usage};
use crate::work::Work;
use std::collections::BTreeSet;

impl Mission {
    /// Folds one event in.
    pub fn apply(&mut self, at: Timestamp, event: &Event) {
        self.last = self.last.max(at);
        self.events += 1;
        match event {
            // All the time in which it was over is told when it is resumed.
            Event::Woke { idle } if self.outcome.is_none() => self.nobody_waited(*idle),
            Event::Unpaused { .. } | Event::Sealed { .. } | Event::Resumed { .. } => {
                let over = self.sealed_at.map_or(Millis(0), |sealed| at.since(sealed));
                self.nobody_waited(self.stood_still(at) + over);
            }
            _ => {}
        }
        self.time_goes_on(at);
        match event {
            Event::Opened { .. } => {}
            Event::EnvironmentChanged { environment } => {
                self.environment = Some(environment.clone());
                // Who goes back to an older tool finds what was proved with it.
                for id in self.checking.clone() {
                    self.attempt_checked(self.tasks[&id].attempt());
                }
            }
            Event::Prepared {
                base,
                gates,
                environment,
                notes,
            } => {
                self.head = Some((base.commit.clone(), base.tree.clone()));
                self.base = Some(base.clone());
                self.gates.clone_from(gates);
                self.environment.clone_from(environment);
                self.notes.clone_from(notes);
                self.reading.from = at + limits::FIRST_LOOK;
                self.phase = Phase::Reading;
            }
            Event::Pressed { of, used, admits } => self.pressed(at, *of, *used, *admits),
            Event::Relieved { of } => self.relieved(*of),
            Event::SetUp { environment, notes } => {
                self.environment = Some(environment.clone());
                self.notes.extend(notes.iter().cloned());
            }
            Event::TurnStarted { .. } => self.lends(at, event),
            Event::TurnLent {
                epoch,
                reserved,
                money,
            } => self.lent(*epoch, *reserved, *money),
            Event::Stagnated { .. } | Event::Diagnosed { .. } | Event::TurnNudged { .. } => {
                self.stagnation_event(event);
            }
            Event::ConflictForeseen {
                attempt, conflict, ..
            } => self.conflict_foreseen(*attempt, conflict),
            Event::TurnTold { epoch, n } => self.turn_told(*epoch, *n),
            Event::TurnServed { .. }
            | Event::ModelNamed { .. }
            | Event::ModelLimited { .. }
            | Event::ModelSwitched { .. }
            | Event::ProviderHeld { .. }
            | Event::BreakerOpened { .. } => self.asked_event(at, event),
            Event::TurnEnded {
                turn,
                epoch,
                ending,
                usage,
                charged,
                money,
            } => {
                let costs = (*charged, *money);
                self.turn_ended(at, *turn, *epoch, ending, usage, costs);
            }
            Event::IntentRead { intent } => {
                if matches!(intent, Intent::Plan { .. }) {
                    self.phase = Phase::Planning;
                }
                self.intent = Some(intent.clone());
            }
            Event::PlannedAhead { came, .. } => self.came_ahead(at, came),
            Event::PlanRefused { faults } => {
                self.planning.repairs += 1;
                self.planning.refused.clone_from(faults);
                self.phase = Phase::Planning;
            }
            Event::Planned { plan } => self.planned(plan),
            Event::PlanEdited { .. } | Event::SplitRefused { .. } => self.plan_event(at, event),
            Event::Worked {
                attempt,
                work,
                report,
            } => {
                self.worked(*attempt, work, report);
            }
            Event::Reused { task, attempt } => self.reused(at, *task, *attempt),
            Event::GateStarted { .. } => self.gate_started(at, event),
            Event::GateEnded { epoch, run } => {
                self.disk.workspaces.insert(Place::Checks);
                self.gate_ended(*epoch, run);
            }
            Event::GateLost { epoch, .. } => {
                if let Some(lease) = self.drop_gate_lease(*epoch) {
                    *self
                        .lost
                        .entry((lease.tree, lease.gate.command()))
                        .or_default() += 1;
                }
            }
            Event::Rejected { attempt, rejection } => self.rejected(*attempt, rejection),
            Event::Accepted { attempt, .. } => self.accepted(*attempt),
            Event::Parked { task, until, why } => {
                self.set_state(
                    *task,
                    State::Parked {
                        until: *until,
                        why: why.clone(),
                    },
                );
            }
            Event::TaskFailed { task, why } => {
                self.set_state(*task, State::Failed { why: why.clone() });
                self.stagnant.remove(task);
                self.task_over(at, *task);
            }
            Event::Disputed { attempt, findings } => {
                self.set_state(attempt.task, State::Disputed);
                let task = self.task_mut(attempt.task);
                // Its turn is over: whatever comes after, a resume for example, is another attempt on top of it.
                task.spent = true;
                task.from = task.work.as_ref().map(|work| work.commit.clone());
                task.history.push((
                    *attempt,
                    Rejection::Review {
                        findings: findings.clone(),
                    },
                ));
                task.ended = Some(at);
            }
            Event::LandingStarted { n, onto, attempts } => self.landing_started(*n, onto, attempts),
            Event::Stacked { results, .. } => self.stacked(results),
            Event::LandingFailed { gate, .. } => self.landing_failed(gate.is_some()),
            Event::Landed { commit, tree, .. } => self.landed_all(at, commit, tree),
            Event::TaskDone { task, note } => {
                if !note.is_empty() {
                    self.task_mut(*task).notes.push(note.clone());
                }
                self.task_landed(at, *task);
            }
            Event::Asked {
                id,
                about,
                text,
                choices,
                default,
                deadline,
            } => {
                let (text, choices, default) = (text.clone(), choices.clone(), default.clone());
                let question = Question {
                    about: about.clone(),
                    text,
                    choices,
                    default,
                    deadline: *deadline,
                };
                match about {
                    About::Plan => {
                        self.phase = Phase::Approving;
                        self.approval_asked = true;
                    }
                    About::Dispute { attempt, .. } | About::Blocked { attempt } => {
                        self.set_state(attempt.task, State::Asking { question: *id });
                    }
                    About::Task { task } => self.set_state(*task, State::Asking { question: *id }),
                    About::Permission { .. } => {}
                }
                self.questions.insert(*id, question);
                self.last_question = self.last_question.max(id.0);
            }
            Event::QuestionClosed { id, answered } => {
                if let Some(question) = self.questions.remove(id) {
                    self.question_closed(at, &question.about, &answered.text);
                }
            }
            Event::TodoEdited { version, edit, .. } => self.todo.apply(*version, edit),
            Event::Woke { idle } => {
                self.woke(at, *idle);
                self.step_begins_anew(at);
            }
            Event::Paused { by } => self.paused_at(at, by),
            Event::Unpaused { .. } => self.unpaused(at),
            Event::Steered { task, text, .. } => self.steered(at, *task, text),
            Event::TaskRetried { task, .. } => self.task_retried(*task),
            Event::TaskSkipped {
                task,
                why,
                without,
                by,
            } => self.task_skipped(at, *task, format!("by {by}: {why}"), *without),
            Event::TaskPrioritised { task, priority, .. } => self.prioritised(*task, *priority),
            Event::CancelAsked { abort, .. } => {
                self.cancelled = true;
                self.aborted |= *abort;
            }
            Event::Halted { why } => self.halted = Some(why.clone()),
            Event::Sealed {
                outcome, reasons, ..
            } => {
                self.goes_on_at(at);
                self.outcome = Some(*outcome);
                self.reasons.clone_from(reasons);
                self.sealed_at = Some(at);
                self.phase = Phase::Sealed;
                self.seals += 1;
                // Who wanted nothing touched finds the workspaces as they were.
                self.cleaned = self.aborted;
                if *outcome == Outcome::Completed && self.terms.deliver != Deliver::None {
                    self.want_delivery(self.terms.deliver);
                }
            }
            Event::Resumed {
                more_tokens,
                more_money,
                replan,
                ..
            } => self.resumed(at, (*more_tokens, *more_money), *replan),
            Event::DeliverAsked { .. }
            | Event::DeliveryPlanned { .. }
            | Event::Delivered { .. }
            | Event::DeliveryRefused { .. }
            | Event::UndoAsked { .. }
            | Event::Undone { .. }
            | Event::UndoFailed { .. } => self.delivery_event(event),
            Event::SessionUsed { .. }
            | Event::SessionRetired { .. }
            | Event::SessionClosed { .. }
            | Event::Cleaned { .. }
            | Event::CleanFailed { .. } => self.session_event(at, event),
        }
        self.time_step(at);
    }

    /// What is asked about goes back to where it stood before the question; what the answer does to it, later events
    /// tell. A question that is withdrawn has none, and its task is asked about again when the mission goes on.
    fn question_closed(&mut self, at: Timestamp, about: &About, answer: &str) {
        match about {
            About::Plan if answer == "yes" => self.phase = Phase::Running,
            About::Plan => self.approval_asked = false,
            About::Permission { kind, .. } if permit::lasts(kind, answer) => {
                self.allowed.insert(kind.clone(), at);
            }
            About::Permission { .. } => {}
            About::Dispute { attempt, .. } => {
                let state = match planted!("finished_work_run_again") {
                    true => State::Ready,
                    false => State::Judging { from: at },
                };
                self.set_state(attempt.task, state);
            }
            About::Blocked { attempt } => {
                let task = self.task_mut(attempt.task);
                task.spent = true;
                // What was handed in and could not be proved is what the next attempt goes on with.
                if let Some(work) = task.work.take() {
                    task.from = Some(work.commit);
                }
                // What a person says of a task is told to whoever works on it next.
                if answer != "leave" {
                    task.notes.push(answer.to_owned());
                    let own = task.task.acceptance.iter().map(Gate::command).collect();
                    self.forget_what_could_not_run(Some(own));
                }
                self.set_state(attempt.task, State::Ready);
            }
            About::Task { task } => self.set_state(*task, State::Ready),
        }
    }

    /// Every deadline moves by the time in which nobody could keep it.
    fn woke(&mut self, at: Timestamp, idle: Millis) {
        self.woke_at(at);
        self.asks_anew(at);
        // How long it took is known once it is over; what is left to do has its deadline then still.
        if self.outcome.is_none() {
            self.idle = self.idle + idle;
        }
        if planted!("deadlines_strike_unattended") {
            return;
        }
        self.deadline = self.deadline + idle;
        let leases = self.leases.values_mut().map(|lease| &mut lease.deadline);
        let gates = self
            .gate_leases
            .values_mut()
            .map(|lease| &mut lease.deadline);
        let questions = self
            .questions
            .values_mut()
            .map(|question| &mut question.deadline);
        for deadline in leases.chain(gates).chain(questions) {
            *deadline = *deadline + idle;
        }
        self.deadlines = std::mem::take(&mut self.deadlines)
            .into_iter()
            .map(|(at, epoch)| (at + idle, epoch))
            .collect();
    }

    pub(crate) fn task_mut(&mut self, id: TaskId) -> &mut TaskState {
        self.tasks
            .get_mut(&id)
            .expect("events name tasks of the plan")
    }

    /// Moves a task to another state and keeps the sets that are looked things up in true.
    pub(crate) fn set_state(&mut self, id: TaskId, state: State) {
        match &self.tasks[&id].state {
            State::Ready => self.ready.remove(id),
            State::Parked { until, .. } => {
                self.parked.remove(&(*until, id));
                // It is among the ready ones once its time has come.
                self.ready.remove(id);
            }
            State::Checking => {
                self.checking.remove(&id);
                self.company.remove(&id);
            }
            State::Judging { from } => _ = self.judging.remove(&(*from, id)),
            State::Splitting { from } => _ = self.cuts.due.remove(&(*from, id)),
            State::Queued if planted!("rejected_attempt_stays_queued") => {}
            State::Queued => self.queue.retain(|attempt| attempt.task != id),
            _ => {}
        }
        match &state {
            State::Ready => self.make_ready(id),
            State::Parked { until, .. } => _ = self.parked.insert((*until, id)),
            State::Checking => _ = self.checking.insert(id),
            State::Judging { from } => _ = self.judging.insert((*from, id)),
            State::Splitting { from } => _ = self.cuts.due.insert((*from, id)),
            _ => {}
        }
        self.task_mut(id).state = state;
    }

    /// A new plan's tasks stand beside landed ones of an earlier plan: what has landed stays done.
    fn planned(&mut self, plan: &Plan) {
        let places: Vec<TaskId> = plan.tasks.iter().map(|task| task.id).collect();
        self.ready = Ready::default();
        self.parked.clear();
        self.checking.clear();
        self.company.clear();
        self.judging.clear();
        self.stagnant.clear();
        self.cuts.due.clear();
        self.queue.clear();
        let stays = |task: &TaskState| task.state == State::Landed;
        let gone = self.tasks.values().filter(|task| !stays(task));
        self.budget.left_plan = gone.fold(self.budget.left_plan, with_what_it_used);
        self.tasks.retain(|_, task| stays(task));
        self.befores.retain(|id| self.tasks.contains_key(id));
        self.forget_what_was_said_of_others();
        for task in &plan.tasks {
            self.tasks.insert(task.id, TaskState::new(task.clone()));
        }
        for id in &places {
            let needs = self.tasks[id].task.needs.clone();
            for need in &needs {
                self.task_mut(*need).needed_by.push(*id);
            }
        }
        self.reckon_paths();
        self.fan_out();
        self.reckon_forecast();
        let first = |id: &&TaskId| self.tasks[id].task.needs.is_empty();
        let first: Vec<TaskId> = places.iter().filter(first).copied().collect();
        self.deal(&first);
        self.plans += 1;
        self.plan_version += 1;
        self.named = self.last_named();
        self.phase = Phase::Running;
        self.approval_asked = false;
    }

    fn worked(&mut self, attempt: AttemptId, work: &Work, report: &Report) {
        self.works.insert(attempt, (work.clone(), report.clone()));
        self.needs_no_warning(attempt);
        let task = self.task_mut(attempt.task);
        task.work = Some(work.clone());
        task.report = Some(report.clone());
        if task.task.acceptance.is_empty() {
            self.set_state(attempt.task, State::Judging { from: self.last });
        } else {
            self.set_state(attempt.task, State::Checking);
            self.attempt_checked(attempt);
        }
    }

    /// The found result becomes the task's own first attempt, so that nothing after this differs from a worked one.
    fn reused(&mut self, at: Timestamp, id: TaskId, attempt: AttemptId) {
        let Some((work, report)) = self.works.get(&attempt).cloned() else {
            return;
        };
        let found = self
            .results
            .values()
            .find(|done| done.attempt == attempt)
            .cloned();
        let own_time = self.running_for(at);
        let own = AttemptId { task: id, n: 1 };
        self.works.insert(own, (work.clone(), report.clone()));
        let task = self.task_mut(id);
        // What it declared of its tests holds for it under this name too.
        task.report = Some(report);
        task.n = own.n;
        task.spent = false;
        task.work = Some(work);
        task.base = found.as_ref().and_then(|done| done.base.clone());
        task.proved_in = found.as_ref().and_then(|done| done.proved_in.clone());
        task.reused = true;
        task.started.get_or_insert(at);
        task.span.0.get_or_insert(own_time);
        if found.is_some_and(|done| done.landed) {
            self.task_landed(at, id);
        } else {
            self.enqueue(own);
        }
        // What its commands said before the work may never have been asked.
        self.befores.insert(id);
        self.before_checked(id);
    }

    fn resumed(&mut self, at: Timestamp, more: (u64, u64), replan: bool) {
        self.spends_more(more.0, more.1);
        self.deadline = at + self.terms.mission;
        (self.cancelled, self.aborted) = (false, false);
        self.slots = AtProviders::new(&self.terms);
        // They went with the end, or may have.
        self.disk.workspaces.clear();
        self.governor.resumed();
        self.asks_anew(at);
        self.halted = None;
        self.outcome = None;
        self.reasons.clear();
        // A mission that is over is run by nobody.
        self.idle = self.idle + at.since(self.sealed_at.unwrap_or(at));
        self.sealed_at = None;
        // What was handed over can still be taken back.
        if !matches!(self.delivery, Delivery::Done { .. }) {
            self.delivery = Delivery::None;
        }
        self.cleaned = false;
        self.lost.clear();
        self.forget_what_could_not_run(None);
        if !replan {
            self.forget_what_is_red_in_the_end();
        }
        if planted!("parked_task_forgotten_on_resume") {
            self.parked.clear();
        }
        let open: Vec<TaskId> = self
            .tasks
            .values()
            .filter(|t| t.state != State::Landed)
            .map(|t| t.task.id)
            .collect();
        for id in open {
            self.task_mut(id).machine = 0;
            if matches!(
                self.tasks[&id].state,
                State::Failed { .. } | State::Disputed
            ) {
                let task = self.task_mut(id);
                (task.tries, task.faults, task.refusals, task.conflicts) = (0, 0, 0, 0);
                task.singled = None;
                (task.review_rejections, task.review_faults) = (0, 0);
                task.forgiven = task.tokens;
                task.ended = None;
                task.stuck.resumed();
                self.stagnant.remove(&id);
                self.set_state(id, State::Ready);
            }
        }
        self.phase = match (&self.base, &self.intent) {
            (None, _) => Phase::Preparing,
            (_, None) => Phase::Reading,
            _ if self.tasks.is_empty() || replan => Phase::Planning,
            _ => Phase::Running,
        };
        self.reading = Short {
            n: self.reading.n,
            ..Short::default()
        };
        self.planning = Short {
            n: self.planning.n,
            ahead: self.planning.ahead.take(),
            ..Short::default()
        };
    }
}

impl Short {
    fn ended(&mut self, at: Timestamp, ending: &Ending, seed: &str) {
        match ending {
            Ending::Answered => (self.faults, self.refusals, self.machine) = (0, 0, 0),
            Ending::Failed {
                failure: Failure::Machine,
                ..
            } => {
                self.machine += 1;
                self.from = at + crate::recovery::after_machine(self.machine, seed);
            }
            Ending::Refused { until, .. } => {
                self.refusals += 1;
                self.from = *until;
            }
            Ending::Held { until, .. } => self.from = *until,
            Ending::Cancelled => {}
            Ending::Failed { .. } | Ending::Expired | Ending::Overspent => {
                self.faults += 1;
                self.from = at + crate::recovery::after_fault(self.faults, seed);
            }
        }
    }
}

/// Tokens and money, and what a task used of both.
fn with_what_it_used(sum: (u64, u64), task: &TaskState) -> (u64, u64) {
    let (tokens, money) = sum;
    (
        tokens.saturating_add(task.tokens),
        money.saturating_add(task.money),
    )
}
