//! What an input means now. Stale and doubled replies mean nothing.

mod people;
mod plan;
mod tasks;
mod turns;

pub(crate) use crate::bounds::{cut, cut_to, few};
pub(crate) use turns::told;

use crate::command::Step;
use crate::delivery::ENGINE;
use crate::event::{Ending, Event, Purpose, Rejection, Turn};
use crate::gate::{Gate, GateRun};
use crate::ids::{AttemptId, Digest, Epoch, TaskId};
use crate::input::{Input, Refusal, Reply};
use crate::landing::{StackResult, Stacked};
use crate::limits;
use crate::mission::{Delivery, Lease, Mission, Phase};
use crate::plan::{Fault, Plan};
use crate::planted;
use crate::question::{About, Answered, Question, QuestionId, permit};
use crate::recovery;
use crate::seal::Outcome as SealOutcome;
use crate::terms::Deliver;
use crate::time::Timestamp;
use crate::todo::TodoEdit;
use crate::turn::{Answer, ChangedTest, Failure, Finding, Intent, Outcome, Report, Usage, Verdict};
use crate::work::{Base, Work};

pub(crate) type Decided = (Vec<Event>, Reply);

pub(crate) fn done(events: Vec<Event>) -> Decided {
    (events, Reply::Done)
}

pub(crate) fn stale() -> Decided {
    (Vec::new(), Reply::Stale)
}

pub(crate) fn refused(refusal: Refusal) -> Decided {
    (Vec::new(), Reply::Refused(refusal))
}

impl Mission {
    /// What an input means now: the events that follow from it at once, and what is told to whoever gave it. Pure.
    pub fn decide(&self, now: Timestamp, input: Input) -> Decided {
        match input {
            Input::Tick => done(Vec::new()),
            Input::Woke { seen } => {
                let seen = seen.filter(|_| !planted!("seen_engine_ignored"));
                let idle = now.since(seen.map_or(self.last, |seen| self.last.max(seen)));
                let waits = self.outcome.is_none() || self.owed.is_some();
                let wakes = waits && idle >= limits::IDLE;
                done(wakes.then_some(Event::Woke { idle }).into_iter().collect())
            }
            Input::Sampled { sample } => done(self.sampled(now, &sample).into_iter().collect()),
            Input::Prepared { base, gates, notes } => self.prepared(base, gates, notes),
            Input::SetUp { environment, notes } => self.set_up(environment, notes),
            Input::StepFailed { step, n, why } => self.step_failed(step, n, why),
            Input::TurnReplied {
                epoch,
                outcome,
                work,
            } => match self.leases.get(&epoch) {
                Some(lease) => done(self.turn_replied(now, epoch, lease, outcome, work)),
                None => self.stale_turn(now, epoch, outcome, work),
            },
            Input::TurnUsed { epoch, usage } => self.turn_used(now, epoch, usage),
            Input::Clashed { epoch, clash } => self.decide_clash(epoch, clash),
            Input::TurnTold { epoch, n } => self.decide_told(epoch, n),
            Input::Strayed {
                epoch,
                strayed,
                usage,
            } => self.decide_strayed(now, epoch, &strayed, usage),
            asked @ (Input::ModelNamed { .. } | Input::Held { .. } | Input::Waits { .. }) => {
                self.decide_asked(now, asked)
            }
            Input::GateRan { epoch, run } => self.gate_ran(epoch, run),
            Input::GateLost { epoch, why } => match self.gate_leases.contains_key(&epoch) {
                true => done(self.lose_gate(epoch, cut(&why))),
                false => stale(),
            },
            Input::Stacked { n, results } => self.stack_stands(n, results),
            Input::Moved { n, commit, tree } => {
                let this = self.landing.as_ref().filter(|landing| landing.n == n);
                match this.and_then(|landing| landing.top.clone()) {
                    _ if planted!("landing_not_idempotent") && n <= self.landings => {
                        done(vec![Event::Landed { n, commit, tree }])
                    }
                    Some(top) if top == (commit.clone(), tree.clone()) => {
                        done(vec![Event::Landed { n, commit, tree }])
                    }
                    Some(_) => {
                        let found = commit.short();
                        let why = format!("the landed line stands at {found}, where nobody put it");
                        self.step_failed(Step::Move, n, why)
                    }
                    None => stale(),
                }
            }
            Input::DeliveryPlanned { n, plan, files } => match self.delivery {
                Delivery::Wanted(_) if self.delivers(n) => {
                    done(vec![Event::DeliveryPlanned { plan, files }])
                }
                _ => stale(),
            },
            Input::Delivered { n, place, files } => match self.delivery {
                Delivery::Planned { .. } if self.delivers(n) => done(vec![Event::Delivered {
                    place: cut(&place),
                    files,
                }]),
                _ => stale(),
            },
            Input::DeliveryRefused { n, why, hint } => match self.delivery {
                Delivery::Wanted(_) | Delivery::Planned { .. } if self.delivers(n) => {
                    done(vec![Event::DeliveryRefused {
                        why: cut(&why),
                        hint: cut(&hint),
                    }])
                }
                _ => stale(),
            },
            Input::Undone { n, left } => match self.delivery {
                Delivery::Undoing { .. } if self.undoes(n) => {
                    let left = few(left, limits::PATHS_TOLD);
                    done(vec![Event::Undone { left }])
                }
                _ => stale(),
            },
            Input::Cleaned {
                n,
                rescued,
                sessions_left,
            } => self.decide_cleaned(n, rescued, &sessions_left),
            Input::SessionNamed { epoch, session } => self.decide_session(now, epoch, &session),
            Input::SessionClosed { session, left } => self.decide_closed(&session, &left),
            Input::Question {
                epoch,
                token,
                kind,
                text,
                choices,
            } => self.question(now, epoch, token, kind, text, choices),
            Input::AnsweredElsewhere { request, said } => self.answered_elsewhere(request, said),
            Input::Answer { id, text, by } => self.answer(id, text, named(&by)),
            Input::Edit { edit, by } => self.edit(edit, named(&by)),
            Input::Pause { by } => self.decide_pause(named(&by)),
            Input::Steer { task, text, by } => self.decide_steer(task, &text, named(&by)),
            Input::EditPlan { edit, saw, by } => self.decide_plan_edit(&edit, saw, named(&by)),
            Input::Retry { task, note, by } => self.decide_retry(task, &note, named(&by)),
            Input::Skip {
                task,
                why,
                dependents,
                by,
            } => self.decide_skip(task, &why, dependents, named(&by)),
            Input::Prioritise { task, priority, by } => {
                self.decide_prioritise(task, priority, named(&by))
            }
            Input::Cancel { by } => self.decide_cancel(named(&by), false),
            Input::Abort { by } => self.decide_cancel(named(&by), true),
            Input::Resume {
                by,
                more_tokens,
                more_money,
                replan,
            } => self.resume(named(&by), (more_tokens, more_money), replan),
            Input::Deliver { form } => self.deliver(form),
            Input::Undo { by } => self.undo(named(&by)),
        }
    }

    fn stale_turn(
        &self,
        now: Timestamp,
        epoch: Epoch,
        outcome: Outcome,
        work: Option<Work>,
    ) -> Decided {
        // With the planted bug a reply that names no live lease is taken for whatever turn runs now.
        if planted!("result_of_old_attempt_accepted")
            && let Some((live, lease)) = self.leases.iter().find(|(live, _)| **live > epoch)
        {
            return done(self.turn_replied(now, *live, lease, outcome, work));
        }
        stale()
    }

    /// Whether this is the delivery in hand.
    fn delivers(&self, n: u32) -> bool {
        n == self.deliveries || planted!("stale_delivery_accepted")
    }

    /// Whether this is the try at taking a delivery back that is in hand.
    fn undoes(&self, n: u32) -> bool {
        n == self.undos || planted!("stale_delivery_accepted")
    }

    /// Whether the workspaces are to go because of this very seal.
    fn to_clean(&self, n: u32) -> bool {
        self.outcome.is_some() && !self.cleaned && n == self.seals
    }

    fn decide_cleaned(&self, n: u32, rescued: u32, sessions_left: &str) -> Decided {
        if !self.to_clean(n) {
            return stale();
        }
        let sessions_left = cut(sessions_left);
        done(vec![Event::Cleaned {
            rescued,
            sessions_left,
        }])
    }

    /// Whether this landing is at this very step.
    fn lands(&self, n: u32, step: Step) -> bool {
        let this = self.landing.as_ref().filter(|landing| landing.n == n);
        this.is_some_and(|landing| landing.top.is_some() == (step == Step::Move))
    }

    pub(crate) fn step_failed(&self, step: Step, n: u32, why: String) -> Decided {
        let why = cut(&why);
        match step {
            Step::Prepare if self.phase == Phase::Preparing => {
                let reasons = vec![why];
                done(vec![Event::Sealed {
                    outcome: SealOutcome::Failed,
                    reasons,
                    commit: None,
                    tree: None,
                }])
            }
            Step::SetUp if self.awaits_set_up() => done(vec![Event::Halted { why }]),
            Step::Stack | Step::Move if self.lands(n, step) => {
                let mut events = vec![Event::LandingFailed { n, gate: None }];
                events.extend(self.halted.is_none().then_some(Event::Halted { why }));
                done(events)
            }
            Step::PlanDelivery | Step::Deliver if n == self.deliveries => match self.delivery {
                Delivery::Wanted(_) => {
                    let hint = format!("orchestrator deliver {}", self.id);
                    done(vec![Event::DeliveryRefused { why, hint }])
                }
                // Files may have been written. What may be there is taken for delivered and taken back; where that
                // cannot be done now either, `undo` is left.
                Delivery::Planned { files, .. } => done(vec![
                    Event::Delivered {
                        place: cut(&format!("some of their places, and broke off: {why}")),
                        files,
                    },
                    Event::UndoAsked {
                        by: ENGINE.to_owned(),
                    },
                ]),
                _ => stale(),
            },
            Step::Undo if matches!(self.delivery, Delivery::Undoing { .. }) && self.undoes(n) => {
                done(vec![Event::UndoFailed { why }])
            }
            Step::Clean if self.to_clean(n) => done(vec![Event::CleanFailed { why }]),
            _ => stale(),
        }
    }

    fn prepared(&self, base: Base, gates: Vec<Gate>, notes: Vec<String>) -> Decided {
        if self.phase != Phase::Preparing || self.base.is_some() {
            return stale();
        }
        let notes = few(notes, limits::FINDINGS);
        done(vec![Event::Prepared {
            base,
            gates,
            environment: None,
            notes,
        }])
    }

    fn set_up(&self, environment: Digest, notes: Vec<String>) -> Decided {
        if !self.awaits_set_up() {
            return stale();
        }
        let notes = few(notes, limits::FINDINGS);
        done(vec![Event::SetUp { environment, notes }])
    }

    /// Turns an attempt down, with what follows for its task.
    pub(crate) fn reject(&self, attempt: AttemptId, rejection: Rejection) -> Vec<Event> {
        let task = &self.tasks[&attempt.task];
        let end = match &rejection {
            Rejection::Conflict { paths, .. } if task.conflicts + 1 >= limits::CONFLICTS => {
                Some(format!(
                    "{} landings ended in a conflict; the last in {}",
                    task.conflicts + 1,
                    paths.join(", ")
                ))
            }
            Rejection::Conflict { .. } | Rejection::Person { .. } => None,
            // The Planner is asked before it is given up.
            other if self.is_split_next(attempt, other) => None,
            other if task.tries + 1 >= self.terms.attempts => {
                let last = self.told(other);
                Some(format!(
                    "{} attempts were turned down{}; the last: {last}",
                    task.tries + 1,
                    crate::stagnation::report(task, &last),
                ))
            }
            _ => None,
        };
        let mut events = vec![Event::Rejected { attempt, rejection }];
        events.extend(end.map(|why| Event::TaskFailed {
            task: attempt.task,
            why: cut(&why),
        }));
        events
    }

    /// A run of a gate was lost. When that has happened too often on one tree, the machine is at fault and no agent: the
    /// mission winds down with what it has, unless the run would only have told more of the base.
    pub(crate) fn lose_gate(&self, epoch: Epoch, why: String) -> Vec<Event> {
        let mut events = vec![Event::GateLost {
            epoch,
            why: why.clone(),
        }];
        if let Some(lease) = self.gate_leases.get(&epoch)
            && !matches!(lease.purpose, Purpose::Baseline | Purpose::Before { .. })
        {
            let key = (lease.tree.clone(), lease.gate.command());
            let lost = self.lost.get(&key).copied().unwrap_or(0) + 1;
            if lost >= limits::GATE_TRIES && self.halted.is_none() {
                let why = format!(
                    "the check {} could not be run {lost} times: {why}",
                    lease.gate.id
                );
                events.push(Event::Halted { why: cut(&why) });
            }
        }
        events
    }

    fn gate_ran(&self, epoch: Epoch, run: GateRun) -> Decided {
        let Some(lease) = self.gate_leases.get(&epoch) else {
            return stale();
        };
        let fits = run.command == lease.gate.command()
            && (run.tree == lease.tree || planted!("evidence_of_another_tree_accepted"));
        if !fits {
            let why = format!(
                "it ran on tree {} instead of {}",
                run.tree.short(),
                lease.tree.short()
            );
            return done(self.lose_gate(epoch, why));
        }
        let mut events = Vec::new();
        if let Some(environment) = self.other_environment(&run) {
            events.push(Event::EnvironmentChanged { environment });
        }
        events.push(Event::GateEnded { epoch, run });
        done(events)
    }

    /// The environment that a run was made in, where that is not the one in which all before it was proved. A green
    /// landing may be moving the line at this moment: until it has, it stays green.
    fn other_environment(&self, run: &GateRun) -> Option<Digest> {
        let other = self.environment.as_ref() != Some(&run.environment);
        let ignored = planted!("evidence_of_another_environment_accepted");
        (other && !self.landing_is_green() && !ignored).then(|| run.environment.clone())
    }

    fn stack_stands(&self, n: u32, results: Vec<Stacked>) -> Decided {
        let this = self
            .landing
            .as_ref()
            .filter(|landing| landing.n == n || planted!("stale_stack_result_accepted"))
            .filter(|landing| landing.top.is_none());
        let Some(landing) = this else { return stale() };
        let named: Vec<AttemptId> = results.iter().map(|stacked| stacked.attempt).collect();
        if named != landing.attempts && !planted!("stale_stack_result_accepted") {
            return stale();
        }
        let results: Vec<Stacked> = results.into_iter().map(shortened).collect();
        let mut events = vec![Event::Stacked {
            n,
            results: results.clone(),
        }];
        for stacked in results {
            if let StackResult::Conflict { paths, excerpt } = stacked.result {
                let rejection = Rejection::Conflict { paths, excerpt };
                events.extend(self.reject(stacked.attempt, rejection));
            }
        }
        done(events)
    }
}

/// Who gave an input, as an event keeps it.
fn named(by: &str) -> String {
    cut_to(by, limits::PATH_BYTES)
}

/// A rejection in a few words.
pub fn words(rejection: &Rejection) -> String {
    match rejection {
        Rejection::Unfinished { why } => format!("it ended without a result: {why}"),
        Rejection::Nothing => "nothing was changed".into(),
        Rejection::Protected { paths } => {
            format!("it wrote {}, which no agent may", paths.join(", "))
        }
        Rejection::Bent { what } => what.join("; "),
        Rejection::Gate { gate, .. } => format!("{gate} was red"),
        Rejection::Review { findings } => match findings.first() {
            Some(first) => format!("the Reviewer found: {}", first.what),
            None => "the Reviewer did not accept it".into(),
        },
        Rejection::Person { note } => format!("a person said: {note}"),
        Rejection::Conflict { paths, .. } => format!("it conflicts in {}", paths.join(", ")),
    }
}

/// A conflict as events keep it.
fn shortened(mut stacked: Stacked) -> Stacked {
    if let StackResult::Conflict { paths, excerpt } = &mut stacked.result {
        *paths = few(std::mem::take(paths), limits::FINDINGS);
        *excerpt = cut(excerpt);
    }
    stacked
}
