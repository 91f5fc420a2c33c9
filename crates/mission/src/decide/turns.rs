//! What an agent's reply means: answers, refusals, failures, and what follows for the task.

use super::*;
use crate::governor::Said;
use crate::time::Millis;

/// The faults of a plan as an event keeps them.
pub(crate) fn told(faults: &[Fault]) -> Vec<String> {
    let kept = faults.iter().take(limits::FINDINGS);
    kept.map(|fault| cut_to(&fault.to_string(), limits::TODO_BYTES))
        .collect()
}

impl Mission {
    /// What is told of whom a turn is asked of, and whether it may be.
    pub(super) fn decide_asked(&self, now: Timestamp, input: Input) -> Decided {
        match input {
            Input::ModelNamed {
                epoch,
                model,
                output,
            } => self.decide_named(epoch, &model, output),
            Input::Held {
                epoch,
                name,
                wait,
                why,
                usage,
            } => self.decide_held(now, epoch, (name, &why), wait, usage),
            Input::Waits { epoch, wait, why } => self.decide_waits(now, epoch, wait, &why),
            _ => stale(),
        }
    }

    /// The host asks a model that nobody knew of yet. What a turn is asked of by our own choice is known, but not how much
    /// that may write.
    fn decide_named(&self, epoch: Epoch, model: &str, output: Option<u64>) -> Decided {
        let Some(lease) = self.leases.get(&epoch) else {
            return stale();
        };
        let (role, model) = (lease.turn.role(), cut_to(model, limits::PATH_BYTES));
        let is_news = lease.model.is_none() && !model.is_empty() && !self.is_named(role, &model);
        let limited = self.limited_otherwise(&model, output);
        let named = is_news.then_some(Event::ModelNamed { role, model });
        done(named.into_iter().chain(limited).collect())
    }

    /// A turn asks nothing more, because of what another mission was told. What it used before was used.
    fn decide_held(
        &self,
        now: Timestamp,
        epoch: Epoch,
        (name, why): (String, &str),
        wait: Millis,
        usage: Usage,
    ) -> Decided {
        let Some(lease) = self.leases.get(&epoch) else {
            return stale();
        };
        let wait = wait.clamp(limits::REFUSAL_LEAST, limits::NAMED_MOST);
        let seed = format!("{}/{name}/{}", self.nonce, epoch.0);
        let (name, why) = (cut_to(&name, limits::PATH_BYTES), cut(why));
        let until = now + recovery::late(wait, &seed);
        // What is known already and lasts as long is no news.
        let known = self.hold_until(&name).filter(|known| *known >= until);
        let held = known.unwrap_or(until);
        let ending = Ending::Held {
            why: why.clone(),
            until: self.waits_until(now, lease, &name, held),
        };
        // Nobody is told again what somebody told us: of two missions each would hold the other for ever.
        let n = 0;
        let event = match name.contains('/') {
            true => Event::BreakerOpened {
                model: name,
                until,
                why,
                n,
            },
            false => Event::ProviderHeld {
                provider: name,
                until,
                why,
                n,
                epoch: None,
            },
        };
        let news = known.is_none().then_some(event).into_iter().collect();
        done(self.end_turn(epoch, lease, ending, usage, news))
    }

    /// A session waits for its provider: nothing new is begun there until that is over.
    fn decide_waits(&self, now: Timestamp, epoch: Epoch, wait: Millis, why: &str) -> Decided {
        let Some(lease) = self.leases.get(&epoch) else {
            return stale();
        };
        // It is about to ask again, and what comes of that is told then.
        if lease.waits && wait < limits::REFUSAL_LEAST {
            return done(Vec::new());
        }
        let (_, held) = self.held_by(now, (epoch, lease), Some(wait), why, true);
        done(held.into_iter().collect())
    }

    /// Ends a lease, with what follows for its task.
    pub(crate) fn end_turn(
        &self,
        epoch: Epoch,
        lease: &Lease,
        ending: Ending,
        usage: Usage,
        mut and_then: Vec<Event>,
    ) -> Vec<Event> {
        // Whoever was refused before its first call used nothing; any other use that is not known may be all of it.
        let nothing = ending.is_refusal() && usage.calls == 0 && !planted!("refusal_charged");
        let unknown = if nothing {
            (0, 0)
        } else {
            (lease.reserved, lease.money)
        };
        let (charged, money) = self.charged(&usage, unknown);
        let mut events = vec![Event::TurnEnded {
            turn: lease.turn,
            epoch,
            ending,
            usage,
            charged,
            money,
        }];
        events.append(&mut and_then);
        events.extend(self.void_ahead_of(lease.turn, &events));
        events
    }

    pub(super) fn turn_replied(
        &self,
        now: Timestamp,
        epoch: Epoch,
        lease: &Lease,
        outcome: Outcome,
        work: Option<Work>,
    ) -> Vec<Event> {
        match outcome {
            Outcome::Refused {
                retry_after,
                why,
                usage,
                outage,
            } => {
                let said = Said {
                    retry_after,
                    why: &why,
                    outage,
                };
                self.turn_refused(now, (epoch, lease), &said, usage)
            }
            Outcome::Failed {
                failure,
                why,
                usage,
            } => {
                let breaks = self.breaks(now, lease, failure, &why);
                // A model to fall back to that cannot be asked at all is left alone; the mission has its own.
                let failure = match (failure, &lease.model) {
                    (Failure::Fatal, Some(_)) => Failure::Transient,
                    _ => failure,
                };
                let ending = Ending::Failed {
                    failure,
                    why: cut(&why),
                };
                let after = self.after_failure(now, lease.turn, failure, &cut(&why));
                let then = breaks.into_iter().chain(after).collect();
                self.end_turn(epoch, lease, ending, usage, then)
            }
            Outcome::Answered { answer, usage } => {
                let undiagnosed = self.undiagnosed(lease.turn, &answer);
                let fits = undiagnosed.is_none();
                let answered = || self.answered(now, lease.turn, answer, work);
                match fits.then(answered).flatten() {
                    Some(then) => self.end_turn(epoch, lease, Ending::Answered, usage, then),
                    None => {
                        let why = undiagnosed.unwrap_or_else(|| {
                            "the answer is of another kind than the turn asks for".to_owned()
                        });
                        let then = self.after_failure(now, lease.turn, Failure::NoAnswer, &why);
                        self.end_turn(
                            epoch,
                            lease,
                            Ending::Failed {
                                failure: Failure::NoAnswer,
                                why,
                            },
                            usage,
                            then,
                        )
                    }
                }
            }
        }
    }

    /// What follows from a turn that failed: a wait, a task's end, or the mission's.
    pub(crate) fn after_failure(
        &self,
        now: Timestamp,
        turn: Turn,
        failure: Failure,
        why: &str,
    ) -> Vec<Event> {
        self.after_ending(now, turn, failure, (why, why))
    }

    /// The same, where what is noted of the attempt is not what people are told.
    pub(crate) fn after_ending(
        &self,
        now: Timestamp,
        turn: Turn,
        failure: Failure,
        (why, noted): (&str, &str),
    ) -> Vec<Event> {
        // Nobody needs it yet: who does, fails by itself.
        if self.is_ahead(turn) {
            return Vec::new();
        }
        if failure == Failure::Fatal {
            return vec![Event::Halted {
                why: why.to_owned(),
            }];
        }
        if failure == Failure::Machine {
            return self.after_machine(now, turn, why);
        }
        match turn {
            Turn::Intent { .. } | Turn::Plan { .. } => {
                let faults = match turn {
                    Turn::Intent { .. } => self.reading.faults,
                    _ => self.planning.faults,
                };
                match faults + 1 >= limits::PLANNING_TRIES {
                    true => vec![Event::Halted {
                        why: format!("{turn} failed {} times: {why}", faults + 1),
                    }],
                    false => Vec::new(),
                }
            }
            Turn::Split { task, .. } => self.split_failed(task, why),
            Turn::Work { attempt } => {
                let task = &self.tasks[&attempt.task];
                let host = failure == Failure::Transient;
                let why_noted = noted.to_owned();
                if !host && self.is_split_next(attempt, &Rejection::Unfinished { why: why_noted }) {
                    return Vec::new();
                }
                let (n, most) = match host {
                    true => (task.faults + 1, limits::STEP_TRIES),
                    false => (task.tries + 1, self.terms.attempts),
                };
                let tried = match host {
                    true => String::new(),
                    false => crate::stagnation::report(task, why),
                };
                vec![self.again_or_fail(now, attempt, (n, most), &tried, why)]
            }
            Turn::Review { attempt, .. } => {
                let faults = self.tasks[&attempt.task].review_faults + 1;
                match faults >= limits::REVIEW_TRIES {
                    true => self.dispute(
                        now,
                        attempt,
                        Vec::new(),
                        &format!("no Reviewer could judge it: {why}"),
                    ),
                    false => Vec::new(),
                }
            }
        }
    }

    /// What follows from a turn that this machine failed: a wait, and after many of them the mission's end, which a resume
    /// goes on from.
    fn after_machine(&self, now: Timestamp, turn: Turn, why: &str) -> Vec<Event> {
        let (n, waits) = match turn {
            Turn::Intent { .. } => (self.reading.machine, None),
            Turn::Plan { .. } => (self.planning.machine, None),
            Turn::Split { task, .. } => (self.tasks[&task].machine, None),
            Turn::Work { attempt } => (self.tasks[&attempt.task].machine, Some(attempt.task)),
            Turn::Review { attempt, .. } => (self.tasks[&attempt.task].machine, None),
        };
        let n = n + 1;
        if n >= limits::MACHINE_TRIES {
            let why = format!("this machine could not carry {turn} out, {n} times in a row: {why}");
            return vec![Event::Halted { why: cut(&why) }];
        }
        let seed = format!("{}/{turn}/machine {n}", self.nonce);
        let until = now + recovery::after_machine(n, &seed);
        let why = cut(&format!("this machine could not carry it out: {why}"));
        let parked = |task| Event::Parked { task, until, why };
        waits.map(parked).into_iter().collect()
    }

    /// After `n` of at most `most` tries: a wait before the next, or the task's end.
    pub(super) fn again_or_fail(
        &self,
        now: Timestamp,
        attempt: AttemptId,
        (n, most): (u32, u32),
        tried: &str,
        why: &str,
    ) -> Event {
        let task = attempt.task;
        if n >= most {
            return Event::TaskFailed {
                task,
                why: cut(&format!("{n} tries failed{tried}; the last: {why}")),
            };
        }
        let until = now + recovery::after_fault(n, &format!("{}/{attempt}/{n}", self.nonce));
        Event::Parked {
            task,
            until,
            why: why.to_owned(),
        }
    }

    /// What follows from an answer; `None` if it is not of the kind that the turn asks for.
    pub(super) fn answered(
        &self,
        now: Timestamp,
        turn: Turn,
        answer: Answer,
        work: Option<Work>,
    ) -> Option<Vec<Event>> {
        match (turn, answer) {
            (Turn::Intent { .. }, Answer::Intent(intent)) => Some(self.intent_read(intent)),
            (Turn::Plan { .. }, Answer::Plan(draft)) if self.is_ahead(turn) => {
                Some(self.answered_ahead(crate::plan::check(&draft, self.terms.acceptance)))
            }
            (Turn::Plan { .. }, Answer::Plan(draft)) => {
                Some(self.plan_checked(crate::plan::check(&draft, self.terms.acceptance)))
            }
            (Turn::Split { task, .. }, Answer::Plan(draft)) => {
                Some(self.split_answered(task, &draft))
            }
            (Turn::Work { attempt }, Answer::Report(report)) => {
                Some(self.reported(now, attempt, report, work))
            }
            (Turn::Work { attempt }, Answer::Diagnosis(diagnosis)) => {
                let said = self.diagnosed(attempt, &diagnosis);
                let then = self.reported(now, attempt, diagnosis.report, work);
                Some(said.into_iter().chain(then).collect())
            }
            (Turn::Review { attempt, .. }, Answer::Verdict(verdict)) => {
                Some(self.judged(now, attempt, verdict))
            }
            _ => None,
        }
    }

    pub(super) fn intent_read(&self, mut intent: Intent) -> Vec<Event> {
        match &mut intent {
            Intent::Answer { text } => {
                *text = cut(text);
                vec![Event::IntentRead { intent }]
            }
            Intent::Small { plan } => {
                let draft = std::mem::take(plan);
                let checked = crate::plan::check_small(&draft, self.terms.acceptance);
                // A faulty draft is not kept: it may be of any size, and its faults say what was wrong with it.
                if checked.is_ok() {
                    *plan = draft;
                }
                let mut events = vec![Event::IntentRead { intent }];
                events.extend(self.plan_checked(checked));
                events
            }
            Intent::Plan { goal } => {
                *goal = cut(goal);
                vec![Event::IntentRead { intent }]
            }
        }
    }

    fn plan_checked(&self, checked: Result<Plan, Vec<Fault>>) -> Vec<Event> {
        match checked {
            Ok(plan) => vec![Event::Planned {
                plan: self.renumbered(plan),
            }],
            Err(faults) => {
                let faults = told(&faults);
                let last = self.planning.repairs >= limits::PLAN_REPAIRS;
                let why = format!(
                    "the plan is faulty after {} repairs: {}",
                    limits::PLAN_REPAIRS,
                    faults.join("; ")
                );
                let mut events = vec![Event::PlanRefused { faults }];
                if last {
                    events.push(Event::Halted { why: cut(&why) });
                }
                events
            }
        }
    }

    /// A later plan's tasks are numbered on from those of earlier ones, so that a name never means two tasks.
    pub(crate) fn renumbered(&self, mut plan: Plan) -> Plan {
        let last = self.last_named();
        let shift = |id: &mut TaskId| id.0 += last;
        for task in &mut plan.tasks {
            shift(&mut task.id);
            task.needs.iter_mut().for_each(shift);
            task.added.iter_mut().for_each(shift);
            for (n, gate) in (1..).zip(&mut task.acceptance) {
                gate.id = format!("{}/accept-{n}", task.id);
            }
        }
        plan
    }

    pub(super) fn reported(
        &self,
        now: Timestamp,
        attempt: AttemptId,
        report: Report,
        work: Option<Work>,
    ) -> Vec<Event> {
        match report {
            Report::Done {
                summary,
                changed_tests,
                notes,
            } => {
                let notes = notes
                    .iter()
                    .take(limits::FINDINGS)
                    .map(|note| cut_to(note, limits::PATH_BYTES))
                    .collect();
                let changed_tests = changed_tests.into_iter().take(limits::FINDINGS);
                let changed_tests = changed_tests.map(|test| ChangedTest {
                    path: cut_to(&test.path, limits::PATH_BYTES),
                    why: cut_to(&test.why, limits::PATH_BYTES),
                });
                let report = Report::Done {
                    summary: cut(&summary),
                    changed_tests: changed_tests.collect(),
                    notes,
                };
                let Some(work) = work.filter(|work| work.files > 0) else {
                    return self.reject(attempt, Rejection::Nothing);
                };
                let fault = self.fault_of(&work, &report);
                let work = crate::bounds::work(work);
                let mut events = vec![Event::Worked {
                    attempt,
                    work,
                    report,
                }];
                if let Some(rejection) = fault {
                    events.extend(self.reject(attempt, rejection));
                }
                events
            }
            Report::Blocked { why } => {
                self.blocked(now, attempt, &format!("it is blocked: {}", cut(&why)))
            }
            Report::SpecWrong { why } => self.blocked(
                now,
                attempt,
                &format!("its specification is wrong: {}", cut(&why)),
            ),
        }
    }

    /// What speaks against a piece of work before any gate has run.
    pub(super) fn fault_of(&self, work: &Work, report: &Report) -> Option<Rejection> {
        if !work.protected.is_empty() {
            return Some(Rejection::Protected {
                paths: few(work.protected.clone(), limits::FINDINGS),
            });
        }
        let Report::Done { changed_tests, .. } = report else {
            return None;
        };
        let declared = |path: &str| {
            changed_tests
                .iter()
                .any(|change| change.path == path && !change.why.trim().is_empty())
        };
        let file = |what: &str| what.split(": ").next().unwrap_or(what).to_owned();
        let mut what = Vec::new();
        for path in work.tests.removed.iter().filter(|path| !declared(path)) {
            what.push(format!(
                "{path} was removed and is not among the declared test changes"
            ));
        }
        for path in work.tests.changed.iter().filter(|path| !declared(path)) {
            what.push(format!(
                "{path} was changed and is not among the declared test changes"
            ));
        }
        for skip in work
            .tests
            .silenced
            .iter()
            .filter(|skip| !declared(&file(skip)))
        {
            what.push(format!(
                "{skip} is newly skipped and is not among the declared test changes"
            ));
        }
        for gate in work
            .tests
            .gates
            .iter()
            .filter(|gate| !declared(&file(gate)))
        {
            what.push(format!(
                "{gate} changes what a gate runs and is not among the declared test changes"
            ));
        }
        (!what.is_empty()).then(|| Rejection::Bent {
            what: few(what, limits::FINDINGS),
        })
    }

    pub(crate) fn blocked(&self, now: Timestamp, attempt: AttemptId, why: &str) -> Vec<Event> {
        let id = QuestionId(self.last_question + 1);
        let title = &self.tasks[&attempt.task].task.title;
        vec![Event::Asked {
            id,
            about: About::Blocked { attempt },
            text: format!(
                "{} ({title}) cannot go on: {why}. A hint for the next try, or `leave`?",
                attempt.task
            ),
            choices: Vec::new(),
            default: "leave".into(),
            deadline: now + limits::QUESTION,
        }]
    }

    pub(super) fn judged(
        &self,
        now: Timestamp,
        attempt: AttemptId,
        verdict: Verdict,
    ) -> Vec<Event> {
        let findings: Vec<Finding> = verdict
            .findings
            .into_iter()
            .take(limits::FINDINGS)
            .map(|finding| Finding {
                file: cut_to(&finding.file, limits::PATH_BYTES),
                what: cut_to(&finding.what, limits::TODO_BYTES),
                ..finding
            })
            .collect();
        if verdict.accept {
            return vec![Event::Accepted {
                attempt,
                by: "reviewer".into(),
                findings,
            }];
        }
        let task = &self.tasks[&attempt.task];
        let last = task.tries + 1 >= self.terms.attempts;
        if last || task.review_rejections + 1 >= self.terms.review_rounds {
            return self.dispute(
                now,
                attempt,
                findings,
                "the Reviewer rejects it and all its gates are green",
            );
        }
        self.reject(attempt, Rejection::Review { findings })
    }

    pub(super) fn dispute(
        &self,
        now: Timestamp,
        attempt: AttemptId,
        findings: Vec<Finding>,
        why: &str,
    ) -> Vec<Event> {
        let id = QuestionId(self.last_question + 1);
        let title = &self.tasks[&attempt.task].task.title;
        vec![Event::Asked {
            id,
            text: format!("{} ({title}) is disputed: {why}.", attempt.task),
            about: About::Dispute { attempt, findings },
            choices: ["accept", "retry", "leave"].map(str::to_owned).to_vec(),
            default: "leave".into(),
            deadline: now + limits::QUESTION,
        }]
    }
}
