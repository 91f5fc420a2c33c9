//! What is said to an agent, and what its answers lead to.

use super::copy::Given;
use super::notes::told_with;
use super::{Closed, End, Sent, Turn, end, line, text_of};
use crate::answer::{self, Unread};
use crate::opencode::api::{Api, CallError, Prompt};
use crate::opencode::roles;
use crate::opencode::session::{GO_ON, REPAIRS, Step};
use crate::opencode::wire::Message;
use mission::stagnation::check_strategy;
use mission::turn::{Answer, AnswerKind, Failure};
use tokio::time::Instant;

/// How many characters of an answer are shown to whoever gave it.
const GIVEN: usize = 8_000;

/// How often a turn that stands still is set going again without a finished step in between.
const RESUMES: u32 = 3;

impl Turn {
    /// Sends a prompt. Its id says whose it is, so that nobody sends it a second time.
    pub(super) async fn send(
        &mut self,
        api: &Api,
        step: Step,
        text: String,
        after: Option<&Message>,
    ) -> Result<Option<End>, CallError> {
        let id = step.id(&self.order, after);
        let told = (step == Step::Work).then_some(self.order.told);
        self.post(api, Sent { id, text, told }).await
    }

    pub(super) async fn post(&mut self, api: &Api, sent: Sent) -> Result<Option<End>, CallError> {
        let (model, output) = (&self.model, self.output);
        if self.posted.is_none() && !self.watcher.may_ask(model, output).await {
            return Ok(Some(End::Stopped));
        }
        self.fault = None;
        self.posted = Some(Instant::now());
        self.heard = Instant::now();
        self.soon();
        self.sent = Some(sent.clone());
        let agent = roles::agent_name(self.order.role);
        let prompt = Prompt {
            id: &sent.id,
            agent: &agent,
            model: &self.model,
            text: &sent.text,
            told: sent.told,
            schema: None,
        };
        api.prompt(&self.order.directory, &self.session, &prompt)
            .await?;
        Ok(None)
    }

    /// Sends a prompt again that nobody works on. Sent twice under its own id it stays one prompt, and the session
    /// goes on after its last finished step.
    pub(super) async fn again(&mut self, api: &Api, sent: Sent) -> Result<Option<End>, CallError> {
        if let Some(fault) = self.fault.take() {
            return Ok(Some(end::of_fault(&fault)));
        }
        // The server says yes to a prompt before it has stored it, and stores it before it is busy.
        if self
            .posted
            .is_some_and(|at| at.elapsed() < self.host.pace.settle)
        {
            return self.watch(api).await;
        }
        if self.resumes >= RESUMES {
            let why = "the OpenCode server takes the prompt and does nothing with it";
            return Ok(Some(End::Failed(Failure::Transient, why.to_owned())));
        }
        self.resumes += 1;
        self.post(api, sent).await
    }

    /// Sets a prompt going again that is in the session: the server died or was ended meanwhile.
    pub(super) async fn reopen(
        &mut self,
        api: &Api,
        prompt: &Message,
    ) -> Result<Option<End>, CallError> {
        let text = text_of(prompt);
        let text = if text.is_empty() {
            self.order.brief.clone()
        } else {
            text
        };
        self.again(
            api,
            Sent {
                id: prompt.info.id.clone(),
                text,
                told: told_with(prompt),
            },
        )
        .await
    }

    /// Reads the end of a prompt.
    pub(super) async fn judge(
        &mut self,
        api: &Api,
        closed: &Closed,
    ) -> Result<Option<End>, CallError> {
        if let Some(fault) = &closed.last.info.error {
            return match fault.name.as_str() {
                "MessageOutputLengthError" => self.go_on(api, closed).await,
                // Whoever stopped it, it is to go on now. So is one whose fault an earlier run has reported.
                "MessageAbortedError" => self.reopen(api, &closed.prompt).await,
                _ if self.posted.is_none() => self.reopen(api, &closed.prompt).await,
                _ => Ok(Some(end::of_fault(fault))),
            };
        }
        if closed.last.info.finish.as_deref() == Some("length") {
            return self.go_on(api, closed).await;
        }
        let read = answer::from_text(self.order.answer, &text_of(&closed.last));
        match read.and_then(|answer| self.differs(answer)) {
            Ok(answer) => Ok(Some(End::Answered(answer))),
            Err(unread) => self.repair(api, &unread, closed).await,
        }
    }

    /// A diagnosis that names nothing new is no answer, and its agent hears why while it still can do better.
    fn differs(&self, answer: Answer) -> Result<Answer, Unread> {
        if let Answer::Diagnosis(diagnosis) = &answer {
            check_strategy(diagnosis, &self.order.tried).map_err(Unread::Wrong)?;
        }
        Ok(answer)
    }

    async fn go_on(&mut self, api: &Api, closed: &Closed) -> Result<Option<End>, CallError> {
        let Some(step) = closed.unsent((1..=GO_ON).map(Step::GoOn)) else {
            let why = "the model ran out of room for its answer again and again";
            return Ok(Some(End::Failed(Failure::NoAnswer, why.to_owned())));
        };
        let text = "Your last message was cut off because it was too long. Go on where it stopped, say less, and end \
                    with the whole JSON block.";
        self.send(api, step, text.to_owned(), Some(&closed.last))
            .await
    }

    /// Asks for the answer, with the reason why there is none yet: in a schema first, where that can be; in words else, as
    /// a fenced block.
    async fn repair(
        &mut self,
        api: &Api,
        unread: &Unread,
        closed: &Closed,
    ) -> Result<Option<End>, CallError> {
        if !self.may_copy(api, unread, closed) {
            return self.ask_in_words(api, unread, closed, None).await;
        }
        let given = match self.ask_in_copy(api, unread, closed).await? {
            Given::End(end) => return Ok(Some(end)),
            given => given,
        };
        let read = match &given {
            Given::Value(value) => answer::from_value(self.order.answer, value),
            _ => Err(unread.clone()),
        };
        match read.and_then(|answer| self.differs(answer)) {
            Err(unread) => self.ask_in_words(api, &unread, closed, Some(&given)).await,
            Ok(answer) => match self.unheard(closed) {
                // Somebody said it while the answer was asked for.
                Some(note) => self.say(api, note, Some(&closed.last)).await,
                None => Ok(Some(End::Answered(answer))),
            },
        }
    }

    /// Asks for the answer as a fenced block, and says what is wrong with the last one: with what was given in a schema,
    /// where one was asked for first. That is not known in the session.
    async fn ask_in_words(
        &mut self,
        api: &Api,
        unread: &Unread,
        closed: &Closed,
        in_schema: Option<&Given>,
    ) -> Result<Option<End>, CallError> {
        // One that came and is faulty needs no asking for, only mending.
        let mended = closed.sent.contains(&Step::Repair(1));
        let asks = matches!(unread, Unread::Absent) && !mended && in_schema.is_none();
        let asked = asks.then_some(Step::Answer).into_iter();
        let steps = asked.chain((1..=REPAIRS).map(Step::Repair));
        let Some(step) = closed.unsent(steps) else {
            let why = match unread {
                Unread::Absent => said_instead(&text_of(&closed.last)),
                Unread::Wrong(_) => unread.reason(),
            };
            return Ok(Some(End::Failed(Failure::NoAnswer, why)));
        };
        let wrong = match (unread, in_schema) {
            (Unread::Absent, _) if step == Step::Answer => String::new(),
            (other, Some(Given::Value(given))) => {
                let given = line(&given.to_string(), GIVEN);
                format!("Your answer `{given}` cannot be used: {}. ", other.reason())
            }
            (other, _) => unusable(other),
        };
        let schema = answer::schema(self.order.answer);
        // A Worker that only says what it is about to do, or asks back, has not worked yet.
        let before = match (self.order.answer, unread) {
            (AnswerKind::Report | AnswerKind::Diagnosis, Unread::Absent)
                if step == Step::Answer =>
            {
                "Your turn ends only with a report. Nobody answers what you ask in a message: decide yourself. If \
                 something of the task is not done yet, do it now, with your tools, and do not only say so. Then give"
            }
            _ => "Do no further work. Give now",
        };
        let text = format!(
            "{wrong}{before} your whole answer: nothing but one fenced JSON block that fits this \
             schema.\n\n```json\n{schema}\n```"
        );
        self.send(api, step, text, Some(&closed.last)).await
    }
}

/// What an agent is told whose answer cannot be used.
pub(super) fn unusable(unread: &Unread) -> String {
    format!("Your last answer cannot be used: {}. ", unread.reason())
}

/// Why there is no answer, for people and for whoever tries next: what came instead of one.
fn said_instead(text: &str) -> String {
    let last = text.trim().lines().next_back().unwrap_or_default();
    match last {
        "" => "it ended without a word".to_owned(),
        last => format!(
            "it ended without an answer in the asked form; its last words: {}",
            line(last, 200)
        ),
    }
}
