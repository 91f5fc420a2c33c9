//! What people and policies say: questions and their answers, the TODO, going on, delivery.

use super::*;
use crate::rules::{self, Action};

impl Mission {
    pub(super) fn question(
        &self,
        now: Timestamp,
        epoch: Epoch,
        token: u64,
        kind: String,
        text: String,
        choices: Vec<String>,
    ) -> Decided {
        let known = self.questions.values().any(|question| {
            matches!(question.about, About::Permission { epoch: e, token: t, .. } if e == epoch && t == token)
        });
        if known || !self.leases.contains_key(&epoch) {
            return stale();
        }
        let id = QuestionId(self.last_question + 1);
        let about = About::Permission {
            epoch,
            token,
            kind: cut(&kind),
        };
        let deadline = now + limits::PERMISSION;
        let shown = cut(&rules::shown(&text));
        let choices = choices.iter().take(limits::FINDINGS);
        let choices = choices
            .map(|choice| cut_to(choice.trim(), limits::PATH_BYTES))
            .collect();
        let mut events = vec![Event::Asked {
            id,
            about,
            text: shown,
            choices,
            default: permit::DENY.into(),
            deadline,
        }];
        let full = self.questions.len() >= limits::OPEN_QUESTIONS;
        let policy = || "policy".to_owned();
        let by_policy = match self.ruled(&kind, &text, false) {
            Some((n, Action::Deny)) => Some((permit::DENY, format!("policy: rule {n}"))),
            Some((n, Action::Allow)) => Some((permit::ONCE, format!("policy: rule {n}"))),
            Some(_) => full.then(|| (permit::DENY, policy())),
            None if self.allowed_since(&kind, epoch) => Some((permit::ONCE, policy())),
            None => full.then(|| (permit::DENY, policy())),
        };
        events.extend(by_policy.map(|(text, by)| {
            let text = text.to_owned();
            let answered = Answered { text, by };
            Event::QuestionClosed { id, answered }
        }));
        done(events)
    }

    pub(super) fn answer(&self, id: QuestionId, text: String, by: String) -> Decided {
        let Some(question) = self.questions.get(&id) else {
            return refused(Refusal::NoQuestion(id));
        };
        let text = cut(text.trim());
        if text.is_empty() || !(question.is_free() || question.choices.contains(&text)) {
            return refused(Refusal::NoChoice {
                id,
                choices: question.choices.clone(),
            });
        }
        done(self.close_question(id, text, by))
    }

    /// What an agent asked for was answered at its host already. What is allowed for longer is allowed only here, so that
    /// an answer that would last there counts once.
    pub(super) fn answered_elsewhere(&self, request: (Epoch, u64), said: Answered) -> Decided {
        let asked = self
            .questions
            .iter()
            .find_map(|(id, question)| match &question.about {
                About::Permission { epoch, token, kind } if (*epoch, *token) == request => {
                    Some((*id, kind))
                }
                _ => None,
            });
        let Some((id, kind)) = asked else {
            return stale();
        };
        let text = match permit::lasts(kind, said.text.trim()) {
            true => permit::ONCE.to_owned(),
            false => cut(said.text.trim()),
        };
        let answered = Answered { text, by: said.by };
        done(vec![Event::QuestionClosed { id, answered }])
    }

    /// Closes a question, with what follows from its answer.
    pub(crate) fn close_question(&self, id: QuestionId, text: String, by: String) -> Vec<Event> {
        let Some(question) = self.questions.get(&id) else {
            return Vec::new();
        };
        let answered = Answered {
            text: text.clone(),
            by: by.clone(),
        };
        let mut events = vec![Event::QuestionClosed { id, answered }];
        match &question.about {
            About::Plan if text != "yes" => {
                let abort = false;
                events.push(Event::CancelAsked { by, abort });
            }
            About::Permission { kind, .. } if permit::lasts(kind, &text) => {
                events.extend(self.allow_others(id, kind, &by));
            }
            About::Plan | About::Permission { .. } => {}
            About::Dispute { attempt, findings } => match text.as_str() {
                "accept" => events.push(Event::Accepted {
                    attempt: *attempt,
                    by,
                    findings: findings.clone(),
                }),
                // A person's word for another try holds, however many there were.
                "retry" => {
                    let findings = findings.clone();
                    let (attempt, rejection) = (*attempt, Rejection::Review { findings });
                    events.push(Event::Rejected { attempt, rejection });
                }
                _ => events.push(Event::Disputed {
                    attempt: *attempt,
                    findings: findings.clone(),
                }),
            },
            About::Blocked { attempt } => match text.as_str() {
                "leave" => {
                    let why = question
                        .text
                        .split(". A hint")
                        .next()
                        .unwrap_or(&question.text);
                    // The question names the task; its end does so by itself.
                    let title = &self.tasks[&attempt.task].task.title;
                    let named = format!("{} ({title}) ", attempt.task);
                    let why = why.strip_prefix(&named).unwrap_or(why).to_owned();
                    events.push(Event::TaskFailed {
                        task: attempt.task,
                        why,
                    });
                }
                _ => events.extend(self.reject(*attempt, Rejection::Person { note: text })),
            },
            About::Task { task } => events.push(Event::TaskDone {
                task: *task,
                note: text,
            }),
        }
        events
    }

    /// Whether it was allowed while this very turn ran. One that began later runs under rules that allow it, and asks only
    /// where the user's own rules want it to.
    fn allowed_since(&self, kind: &str, epoch: Epoch) -> bool {
        let began = self.leases.get(&epoch).map(|lease| lease.since);
        let allowed = self.allowed.get(kind);
        // Where a rule has each of them asked for, those that began later ask as well.
        if self.restricts(kind) {
            return began.is_some() && allowed.is_some();
        }
        began
            .zip(allowed)
            .is_some_and(|(began, allowed)| began < *allowed)
    }

    /// What is allowed for the whole mission is allowed to those as well who wait for it now.
    fn allow_others(&self, id: QuestionId, kind: &str, by: &str) -> Vec<Event> {
        let waits = |(other, question): (&QuestionId, &Question)| {
            let same = matches!(&question.about, About::Permission { kind: of, .. } if of == kind);
            let kept = self.ruled(kind, &question.text, true).is_some();
            (same && *other != id && !kept).then_some(*other)
        };
        let others = self.questions.iter().filter_map(waits);
        let allowed = others.map(|id| Event::QuestionClosed {
            id,
            answered: Answered {
                text: permit::ONCE.to_owned(),
                by: by.to_owned(),
            },
        });
        allowed.collect()
    }

    pub(super) fn edit(&self, mut edit: TodoEdit, by: String) -> Decided {
        if let TodoEdit::Note { text, .. } | TodoEdit::Propose { text } = &mut edit {
            *text = text.trim().to_owned();
        }
        match self
            .todo
            .check(&edit, |task| self.tasks.contains_key(&task))
        {
            Ok(()) => done(vec![Event::TodoEdited {
                version: self.todo.version + 1,
                edit,
                by,
            }]),
            Err(why) => refused(why.into()),
        }
    }

    pub(super) fn resume(&self, by: String, more: (u64, u64), replan: bool) -> Decided {
        let (more_tokens, more_money) = more;
        let Some(outcome) = self.outcome else {
            return match (&self.paused, more != (0, 0) || replan) {
                _ if self.winding_down() => refused(Refusal::Ending),
                (Some(_), false) => done(vec![Event::Unpaused { by }]),
                (Some(_), true) => refused(Refusal::Paused),
                // It goes on, as was wished.
                (None, false) => done(Vec::new()),
                (None, true) => refused(Refusal::Running),
            };
        };
        match outcome {
            _ if self.delivering() => refused(Refusal::Delivery(
                "a delivery is under way; wait for its end and resume then",
            )),
            SealOutcome::Answered => refused(Refusal::NothingLeft(
                "the request was a question and has been answered",
            )),
            SealOutcome::Completed | SealOutcome::Unverified if !replan => {
                refused(Refusal::NothingLeft("every task has landed"))
            }
            _ if self.base.is_none() => refused(Refusal::NothingLeft(
                "it could not be prepared; start a new mission",
            )),
            _ => done(vec![Event::Resumed {
                by,
                more_tokens,
                more_money,
                replan,
            }]),
        }
    }

    /// Whether what has landed is what was handed over last.
    pub(crate) fn is_handed_over(&self) -> bool {
        let head = self.head.as_ref().map(|(commit, _)| commit);
        self.handed
            .last()
            .is_some_and(|handed| handed.commit.as_ref() == head)
    }

    /// Whether the user's files are being written, one way or the other.
    pub(super) fn delivering(&self) -> bool {
        matches!(
            self.delivery,
            Delivery::Wanted(_) | Delivery::Planned { .. } | Delivery::Undoing { .. }
        )
    }

    pub(super) fn deliver(&self, form: Deliver) -> Decided {
        match (&self.delivery, self.outcome) {
            (_, None) => refused(Refusal::Running),
            _ if form == Deliver::None => {
                refused(Refusal::Delivery("`none` is not a form of delivery"))
            }
            _ if self.landed == 0 => refused(Refusal::NothingLanded),
            _ if self.delivering() => refused(Refusal::Delivery("a delivery is under way")),
            (Delivery::Done { .. }, _) if self.is_handed_over() => {
                refused(Refusal::Delivery("the result is delivered already"))
            }
            _ => done(vec![Event::DeliverAsked { form }]),
        }
    }

    pub(super) fn undo(&self, by: String) -> Decided {
        if self.outcome.is_none() {
            refused(Refusal::Running)
        } else if self.delivering() {
            refused(Refusal::Delivery("a delivery is under way"))
        } else if self.handed.is_empty() {
            refused(Refusal::Delivery(
                "nothing is delivered, so there is nothing to undo",
            ))
        } else {
            done(vec![Event::UndoAsked { by }])
        }
    }
}
