//! Asking for an answer in a schema, where a message holds none that can be read.
//!
//! With OpenCode's own `format` the model has to call a tool whose parameters are the schema. Who writes faulty JSON, or
//! none, mostly gives a whole answer then. But another list of tools costs the provider's cache of the conversation, some
//! providers refuse to force a tool, and in 1.18.33 a session that holds such a prompt cannot be read any more: its messages
//! answer 400, and nothing of it would survive a crash. So an answer is asked for like this once in a turn, only where its
//! message has none, and in a copy of the session of which nothing but the newest message is read. What comes of it in
//! vain is asked for in words, in the session itself.
//!
//! A copy says of itself which message's answer it is to give, so that whoever goes on with the turn finds it: it is made
//! once and asked once.

use super::prompts::unusable;
use super::{Closed, End, Turn, closed as is_closed, end};
use crate::Sign;
use crate::answer::{self, Unread};
use crate::opencode::api::{Api, CallError, Prompt};
use crate::opencode::events::{Hint, Hints};
use crate::opencode::session::{self, Copy, Step};
use crate::opencode::wire::{Message, Status};
use crate::opencode::{roles, usage};
use mission::turn::AnswerKind;
use serde_json::Value;
use tokio::time::Instant;

/// What came of asking in a schema.
pub(super) enum Given {
    /// What the schema's tool was called with.
    Value(Value),
    /// Nothing: the model or its provider does not do that, or it was cut short.
    Nothing,
    /// The turn ends here.
    End(End),
}

/// Where a copy stands.
enum View {
    /// It does not hold the prompt; its newest message.
    Unasked(Option<Box<Message>>),
    /// It is at work, or about to be.
    Busy(Status),
    /// The prompt has come to this end; to none where its server died on the way.
    Over(Option<Box<Message>>),
}

impl Turn {
    /// Whether the answer is to be asked for in a schema before it is asked for in words: once, and not of a Worker that
    /// has said nothing of an end, which may have its work still to do. What others see as children of their conversation
    /// has no copies.
    pub(super) fn may_copy(&self, api: &Api, unread: &Unread, closed: &Closed) -> bool {
        let family = self.host.family.as_ref();
        let shown = family.is_some_and(|family| family.is_at(api));
        let asked = closed.sent.contains(&Step::Answer);
        let works = matches!(
            self.order.answer,
            AnswerKind::Report | AnswerKind::Diagnosis
        );
        let due = match unread {
            Unread::Absent => works == asked,
            Unread::Wrong(_) => works || !asked,
        };
        due && !shown && !closed.sent.contains(&Step::Repair(1))
    }

    /// Asks in a copy of the session, unless that was done, and waits for the end.
    pub(super) async fn ask_in_copy(
        &mut self,
        api: &Api,
        unread: &Unread,
        closed: &Closed,
    ) -> Result<Given, CallError> {
        let wrong = match unread {
            Unread::Absent => String::new(),
            Unread::Wrong(_) => unusable(unread),
        };
        let text = format!("{wrong}Do no further work. Give now your whole answer.");
        let of = (self.session.as_str(), closed.last.info.id.as_str());
        let given = match session::copy(api, &self.order, of).await {
            Ok(copy) => {
                self.copy = Some(copy.id.clone());
                self.follow(api, &copy, &text).await
            }
            Err(error) => Err(error),
        };
        match given {
            // A server that does not do it is asked in words.
            Err(error) if !matches!(error, CallError::Down(_)) => {
                tracing::debug!(%error, "no answer can be asked for in a schema");
                Ok(Given::Nothing)
            }
            other => other,
        }
    }

    async fn follow(&mut self, api: &Api, copy: &Copy, text: &str) -> Result<Given, CallError> {
        let mut hints = self.host.hub.hear(&copy.id);
        let mut sent: Option<Instant> = None;
        loop {
            match self.look_at(api, copy, sent).await? {
                View::Unasked(newest) => {
                    let (model, output) = (&self.model, self.output);
                    if self.posted.is_none() && !self.watcher.may_ask(model, output).await {
                        return Ok(Given::End(End::Stopped));
                    }
                    let now = Instant::now();
                    (self.posted, self.heard, sent) = (Some(now), now, Some(now));
                    self.ask(api, copy, newest.as_deref(), text).await?;
                }
                View::Busy(status) => {
                    if let Some(end) = self.parked(&status) {
                        return Ok(Given::End(end));
                    }
                }
                View::Over(None) => return Ok(Given::Nothing),
                View::Over(Some(message)) => {
                    let asked_now = sent.is_some();
                    // What an earlier lease asked was accounted for by that one.
                    if copy.is_of_this_lease || asked_now {
                        self.beside = usage::used(std::slice::from_ref(&*message));
                        self.usage = usage::plus(self.usage, self.beside);
                        self.watcher.sign(Sign::Used(self.usage));
                    }
                    return Ok(given(*message, asked_now));
                }
            }
            if let Some(end) = self.hears(&mut hints).await {
                return Ok(Given::End(end));
            }
        }
    }

    async fn ask(
        &mut self,
        api: &Api,
        copy: &Copy,
        after: Option<&Message>,
        text: &str,
    ) -> Result<(), CallError> {
        let schema = answer::schema(self.order.answer);
        let prompt = Prompt {
            id: &Step::Schema.id(&self.order, after),
            agent: &roles::agent_name(self.order.role),
            model: &self.model,
            text,
            told: None,
            schema: Some(&schema),
        };
        api.prompt(&self.order.directory, &copy.id, &prompt).await
    }

    /// Reads where a copy stands. Status first, as everywhere: see [`Turn::look`].
    async fn look_at(
        &mut self,
        api: &Api,
        copy: &Copy,
        sent: Option<Instant>,
    ) -> Result<View, CallError> {
        let directory = &self.order.directory;
        let status = api.status(directory, &copy.id).await?;
        if !matches!(status, Status::Idle) {
            return Ok(View::Busy(status));
        }
        let (newest, asked) = match api.newest(directory, &copy.id).await {
            // The prompt itself: that is what cannot be read.
            Err(CallError::Refused(400, _)) => (None, true),
            other => {
                let newest = other?.map(Box::new);
                let parent = newest.as_ref().map(|newest| newest.info.parent.as_str());
                let answers = parent.is_some_and(|id| Step::Schema.is(id, &self.order));
                (newest, answers)
            }
        };
        // What is given ends with the call of a tool, as nothing else does.
        let is_over = |newest: &Message| !newest.info.structured.is_null() || is_closed(newest);
        if asked && newest.as_ref().is_some_and(|newest| is_over(newest)) {
            return Ok(View::Over(newest));
        }
        // The server says yes to a prompt before it has stored it, and stores it before it is busy.
        if sent.is_some_and(|at| at.elapsed() < self.host.pace.settle) {
            return Ok(View::Busy(Status::Unknown));
        }
        Ok(match asked || sent.is_some() {
            true => View::Over(None),
            false => View::Unasked(newest),
        })
    }

    /// Listens until it is time to look again, or the turn's time is over.
    async fn hears(&mut self, hints: &mut Hints) -> Option<End> {
        let poll = Instant::now() + self.host.pace.poll_most;
        loop {
            let hint = tokio::select! {
                hint = hints.next() => hint,
                () = tokio::time::sleep_until(poll) => return self.over(),
            };
            self.heard = Instant::now();
            if !matches!(hint, Hint::Progress | Hint::Busy | Hint::Step(_)) {
                return self.over();
            }
        }
    }
}

/// What an answer in a copy comes to. A refusal counts where it came now: an old one would be told for ever.
fn given(message: Message, asked_now: bool) -> Given {
    if !message.info.structured.is_null() {
        return Given::Value(message.info.structured);
    }
    match message.info.error.as_ref().map(end::of_fault) {
        Some(end @ End::Refused(..)) if asked_now => Given::End(end),
        _ => Given::Nothing,
    }
}
