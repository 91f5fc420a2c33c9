//! What agents ask for, put to the watcher, and the answers given back.

use super::line;
use crate::opencode::api::{Api, CallError};
use crate::opencode::wire::{Asked, Permission};
use crate::{Question, Reply, SHELL, Watcher, choices};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use mission::question::QUESTION;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Everything that a turn's agent waits for.
pub(super) struct Asks {
    watcher: Arc<dyn Watcher>,
    within: Duration,
    known: HashSet<String>,
    open: FuturesUnordered<BoxFuture<'static, Answered>>,
}

/// An answer to give back.
pub(super) struct Answered {
    id: String,
    how: How,
}

enum How {
    Permission(Option<String>),
    Question(Vec<String>),
}

impl Asks {
    pub(super) fn new(watcher: Arc<dyn Watcher>, within: Duration) -> Self {
        Self {
            watcher,
            within,
            known: HashSet::new(),
            open: FuturesUnordered::new(),
        }
    }

    /// Whether the agent waits for an answer; then its silence is not its fault.
    pub(super) fn open(&self) -> bool {
        !self.open.is_empty()
    }

    /// The next answer. Waits for ever when nothing is asked.
    pub(super) async fn next(&mut self) -> Option<Answered> {
        if self.open.is_empty() {
            return std::future::pending().await;
        }
        self.open.next().await
    }

    /// Takes back an answer that could not be given. One that the server may not have heard is kept and given again; what
    /// it did not accept is asked anew, if it still asks.
    pub(super) fn untold(&mut self, answered: Answered, why: &CallError) {
        match why {
            CallError::Down(_) => self.open.push(Box::pin(std::future::ready(answered))),
            _ => {
                self.known.remove(&answered.id);
            }
        }
    }

    /// Puts a permission to the watcher, once.
    pub(super) fn permission(&mut self, asked: Permission) {
        if !self.known.insert(asked.id.clone()) {
            return;
        }
        let what = asked.metadata["command"].as_str().map(str::to_owned);
        let what = what.unwrap_or_else(|| asked.patterns.join(", "));
        let is_shell = asked.permission == SHELL;
        let verb = if is_shell { "run" } else { &asked.permission };
        let question = Question {
            text: line(&format!("{verb}: {what}"), 500),
            choices: choices(&asked.permission),
            about: asked.permission.clone(),
        };
        let (watcher, within) = (Arc::clone(&self.watcher), self.within);
        self.open.push(Box::pin(async move {
            let refusal = match put(&*watcher, question, within).await {
                Reply::Allow => None,
                Reply::Deny(why) => Some(why),
                Reply::Text(text) if text.trim().eq_ignore_ascii_case("allow") => None,
                Reply::Text(text) => Some(text),
            };
            // A refusal without a word would end the turn; with one the agent goes on and knows why.
            let refusal = refusal.map(|why| {
                if why.trim().is_empty() {
                    "Not allowed.".to_owned()
                } else {
                    why
                }
            });
            Answered {
                id: asked.id,
                how: How::Permission(refusal),
            }
        }));
    }

    /// Puts a question to the watcher, once.
    pub(super) fn question(&mut self, asked: Asked) {
        if !self.known.insert(asked.id.clone()) {
            return;
        }
        let (watcher, within) = (Arc::clone(&self.watcher), self.within);
        self.open.push(Box::pin(async move {
            let mut answers = Vec::new();
            for one in asked.questions.iter().take(16) {
                let choices: Vec<String> = one.options.iter().map(|o| line(&o.label, 200)).collect();
                let first = choices.first().cloned();
                let question = Question { text: line(&one.question, 2000), choices, about: QUESTION.to_owned() };
                answers.push(match put(&*watcher, question, within).await {
                    Reply::Text(text) => text,
                    Reply::Allow => first.unwrap_or_else(|| "yes".to_owned()),
                    Reply::Deny(why) => format!("No answer ({why}). Decide yourself, and say in your report what you decided."),
                });
            }
            Answered { id: asked.id, how: How::Question(answers) }
        }));
    }
}

async fn put(watcher: &dyn Watcher, question: Question, within: Duration) -> Reply {
    match tokio::time::timeout(within, watcher.ask(question)).await {
        Ok(reply) => reply,
        Err(_) => Reply::Deny("nobody answered in time".to_owned()),
    }
}

impl Answered {
    /// Gives the answer back. One that nobody waits for any more is no error.
    pub(super) async fn tell(&self, api: &Api, directory: &Path) -> Result<(), CallError> {
        let told = match &self.how {
            How::Permission(refusal) => api.permit(directory, &self.id, refusal.as_deref()).await,
            How::Question(answers) => api.answer(directory, &self.id, Some(answers)).await,
        };
        match told {
            Err(CallError::Missing(_)) => Ok(()),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sign;
    use mission::turn::Outcome;

    /// Somebody who is asked and never answers.
    struct Silent;

    impl Watcher for Silent {
        fn sign(&self, _: Sign) {}

        fn ask(&self, _: Question) -> BoxFuture<'_, Reply> {
            Box::pin(std::future::pending())
        }

        fn notes(&self) -> Vec<crate::Note> {
            Vec::new()
        }

        fn more_notes(&self, _: u32) -> BoxFuture<'static, ()> {
            Box::pin(std::future::pending())
        }

        fn noted(&self, _: u32) {}

        fn reply(&self, _: Outcome) {}
    }

    fn asks() -> Asks {
        let mut asks = Asks::new(Arc::new(Silent), Duration::ZERO);
        let asked = serde_json::json!({ "id": "per_1", "permission": "bash" });
        asks.permission(serde_json::from_value(asked).unwrap());
        asks
    }

    #[tokio::test]
    async fn what_nobody_answers_in_time_is_denied() {
        let mut asks = asks();
        let asked = serde_json::json!({ "id": "que_1", "questions": [{ "question": "Why?" }] });
        asks.question(serde_json::from_value(asked).unwrap());
        for _ in 0..2 {
            let said = match asks.next().await.unwrap().how {
                How::Permission(refusal) => refusal.unwrap(),
                How::Question(answers) => answers[0].clone(),
            };
            assert!(said.contains("nobody answered in time"), "{said}");
        }
        assert!(!asks.open());
    }

    #[tokio::test]
    async fn an_answer_that_could_not_be_given_is_kept_or_asked_for_again() {
        let mut asks = asks();
        let answered = asks.next().await.unwrap();
        asks.untold(answered, &CallError::Down("gone".into()));
        let again = asks.next().await.unwrap();
        assert_eq!(again.id, "per_1", "nobody is asked a second time");
        asks.untold(again, &CallError::Refused(500, "no".into()));
        assert!(!asks.open());
        let asked = serde_json::json!({ "id": "per_1" });
        asks.permission(serde_json::from_value(asked).unwrap());
        assert!(asks.open(), "what is still open is asked anew");
    }
}
