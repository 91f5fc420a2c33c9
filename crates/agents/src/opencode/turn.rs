//! One turn: a prompt or a few in one session, until there is an answer of the asked kind or a reason why not.

mod after;
mod ask;
mod copy;
mod end;
mod looks;
mod notes;
mod prompts;
mod quiet;
mod repeat;
mod search;
mod watch;

use super::api::{Api, CallError};
use super::events::{Hint, Hints};
use super::session::{self, Step};
use super::wire::{Fault, Message, Speaker, Status};
use super::{Error, Host, usage};
use crate::{Order, Sign, Watcher};
use ask::Asks;
use end::End;
use looks::Looks;
use mission::time::Millis;
use mission::turn::{Failure, Outcome, Usage};
use repeat::Repeats;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How many answers of the server that cannot be read or that refuse are borne in a row.
const REFUSALS: u32 = 5;

/// Carries an order out and tells the watcher.
pub(super) async fn run(
    host: Arc<Host>,
    mut order: Order,
    watcher: Arc<dyn Watcher>,
    stop: CancellationToken,
) {
    let now = Instant::now();
    let runs_in = std::env::var_os("SHELL");
    order.shell = super::roles::told_apart(order.shell, host.permissions(), runs_in.as_deref());
    let commands = (order.shell, order.directory.as_path());
    let mut turn = Turn {
        limit: now + Duration::from_millis(order.limit.0),
        asks: Asks::new(Arc::clone(&watcher), host.pace.ask, commands),
        model: String::new(),
        output: None,
        session: String::new(),
        counted: None,
        told: order.told,
        noted: BTreeSet::new(),
        known: 0,
        nudged: BTreeSet::new(),
        known_nudges: BTreeSet::new(),
        quiet_since: None,
        hints: None,
        posted: None,
        sent: None,
        resumes: 0,
        refusals: 0,
        fault: None,
        repeats: Repeats::default(),
        doing: None,
        heard: now,
        looks: Looks::new(&host.pace, now),
        seen: String::new(),
        usage: Usage::NOTHING,
        beside: Usage::NOTHING,
        copy: None,
        steps: usage::Steps::default(),
        host,
        order,
        watcher: Arc::clone(&watcher),
        stop,
    };
    let end = turn.drive().await;
    let stopped = matches!(end, End::Stopped);
    match end {
        End::Answered(_) => turn.nothing_is_asked(),
        _ => turn.quiet().await,
    }
    if !stopped {
        watcher.reply(turn.outcome(end));
    }
}

impl Turn {
    /// The agent has come to its end, and asks nothing any more. Where people see what it asks, somebody may have answered:
    /// what is heard of that late is told, and of the rest that nothing was.
    fn nothing_is_asked(&mut self) {
        let family = self.host.family.as_ref();
        if !family.is_some_and(|family| family.lives_in(&self.host.server)) {
            return;
        }
        while let Some(hint) = self.hints.as_mut().and_then(Hints::ready) {
            if let Hint::Settled(settled) = hint {
                self.asks.settled(&settled);
            }
        }
        self.asks.only(&HashSet::new());
    }
}

struct Turn {
    host: Arc<Host>,
    order: Order,
    watcher: Arc<dyn Watcher>,
    stop: CancellationToken,
    /// The end of the order's time.
    limit: Instant,
    /// As `provider/model`.
    model: String,
    /// The most tokens of one answer of it, where the server says so.
    output: Option<u64>,
    /// Empty until there is one.
    session: String,
    /// The last message that an earlier lease has accounted for.
    counted: Option<String>,
    /// The number of the last note that the brief in the session holds.
    told: u32,
    /// The notes that came after it.
    noted: BTreeSet<u32>,
    /// The number of the last note that there was when the session was last looked at.
    known: u32,
    /// The nudges that the session holds.
    nudged: BTreeSet<u32>,
    /// The nudges that there were when the session was last looked at.
    known_nudges: BTreeSet<u32>,
    /// The moment since which nothing was heard, where that was told.
    quiet_since: Option<Instant>,
    hints: Option<Hints>,
    asks: Asks,
    /// When this run sent its last prompt; an older fault in the session is not this run's.
    posted: Option<Instant>,
    /// That prompt. The server says yes before it has stored it.
    sent: Option<Sent>,
    resumes: u32,
    refusals: u32,
    /// The last `session.error`.
    fault: Option<Fault>,
    repeats: Repeats,
    /// The tool that it uses now, as far as is known.
    doing: Option<String>,
    /// When something was last heard of the agent.
    heard: Instant,
    /// When to look next, if nothing is heard.
    looks: Looks,
    /// What the newest message looked like.
    seen: String,
    usage: Usage,
    /// What of it was used in the copy.
    beside: Usage,
    /// The copy of the session in which an answer is asked for in a schema.
    copy: Option<String>,
    /// Which calls that counts.
    steps: usage::Steps,
}

/// A prompt as it was sent, to send it again if it never arrived.
#[derive(Clone)]
struct Sent {
    id: String,
    text: String,
    /// With a brief: the last note that it holds.
    told: Option<u32>,
}

/// Where a session stands.
enum View {
    /// It does not hold the order yet; its newest message, where it holds an earlier turn.
    Unasked(Option<Box<Message>>),
    /// It does not hold the last prompt, or not yet.
    Lost(Sent),
    /// It is at work.
    Busy(Status),
    /// It has a prompt and is not at work on it.
    Open(Box<Message>),
    /// The last prompt has come to an end.
    Closed(Box<Closed>),
}

/// A prompt that came to an end.
struct Closed {
    prompt: Message,
    /// The last message.
    last: Message,
    /// Which prompts the session holds.
    sent: Vec<Step>,
}

impl Closed {
    /// The first of these prompts that the session does not hold.
    fn unsent(&self, mut steps: impl Iterator<Item = Step>) -> Option<Step> {
        steps.find(|step| !self.sent.contains(step))
    }
}

impl Turn {
    /// Looks and acts until the end.
    async fn drive(&mut self) -> End {
        if let Err(end) = self.choose_model().await {
            return end;
        }
        loop {
            if let Some(end) = self.over() {
                return end;
            }
            let api = tokio::select! {
                () = self.stop.cancelled() => return End::Stopped,
                () = tokio::time::sleep_until(self.limit) => continue,
                up = self.host.server.up() => match up {
                    Ok(api) => api,
                    Err(why) => return End::Failed(Failure::Machine, why),
                },
            };
            // A call that hangs must not outlive what the turn may take.
            let (stop, limit) = (self.stop.clone(), self.limit);
            let advanced = tokio::select! {
                biased;
                advanced = self.advance(&api) => advanced,
                () = stop.cancelled() => return End::Stopped,
                () = tokio::time::sleep_until(limit) => continue,
            };
            match advanced {
                Ok(Some(end)) => return end,
                Ok(None) => self.refusals = 0,
                Err(error) => {
                    tracing::debug!(%error, turn = self.order.turn, "a call to the OpenCode server failed");
                    self.refusals += 1;
                    if self.refusals > REFUSALS && !matches!(error, CallError::Down(_)) {
                        return End::Failed(Failure::Machine, error.to_string());
                    }
                    tokio::time::sleep(self.host.pace.poll_least).await;
                }
            }
        }
    }

    /// Finds the model out, before anything is sent.
    async fn choose_model(&mut self) -> Result<(), End> {
        let host = Arc::clone(&self.host);
        for _ in 0..=REFUSALS {
            let chosen = tokio::select! {
                () = self.stop.cancelled() => return Err(End::Stopped),
                () = tokio::time::sleep_until(self.limit) => break,
                chosen = host.model(&self.order.directory, self.order.role, self.order.model.as_deref()) => chosen,
            };
            match chosen {
                Ok(chosen) => {
                    (self.model, self.output) = (chosen.model, chosen.output);
                    return Ok(());
                }
                // A server that dies now is up again soon.
                Err(Error::Gone(why)) => tracing::debug!(why, "the model could not be found out"),
                Err(error) => return Err(End::Failed(Failure::Fatal, error.to_string())),
            }
            tokio::time::sleep(host.pace.poll_least).await;
        }
        Err(End::Failed(
            Failure::Machine,
            "the OpenCode server does not tell its models".to_owned(),
        ))
    }

    /// Looks once and does what is to be done.
    async fn advance(&mut self, api: &Api) -> Result<Option<End>, CallError> {
        if self.session.is_empty() {
            let family = self.host.family.as_ref().filter(|family| family.is_at(api));
            let parent = family.map(|family| family.parent.as_str());
            let user = self.host.permissions();
            let opened = session::open(api, &self.order, user, parent).await?;
            if let Some(family) = family {
                family.add(&opened.id, &self.order.directory);
            }
            self.session = opened.id;
            self.counted = opened.counted;
            self.hints = Some(self.host.hub.hear(&self.session));
            self.watcher.sign(Sign::Session(self.session.clone()));
        }
        self.known = self.last_said();
        let nudges = self.watcher.nudges().into_iter();
        self.known_nudges = nudges.map(|nudge| nudge.n).collect();
        match self.look(api).await? {
            View::Unasked(newest) => {
                let brief = self.order.brief.clone();
                self.told = self.order.told;
                self.send(api, Step::Work, brief, newest.as_deref()).await
            }
            View::Lost(sent) => self.again(api, sent).await,
            View::Busy(status) => {
                if let Some(end) = self.parked(&status) {
                    return Ok(Some(end));
                }
                let at_work = matches!(status, Status::Busy);
                match self.unsaid().filter(|_| at_work) {
                    Some(note) => self.say(api, note, None).await,
                    None => match self.unnudged().filter(|_| at_work) {
                        Some(nudge) => self.push(api, nudge).await,
                        None => self.watch(api).await,
                    },
                }
            }
            View::Open(prompt) => self.reopen(api, &prompt).await,
            View::Closed(closed) => match self.unheard(&closed) {
                Some(note) => self.say(api, note, Some(&closed.last)).await,
                None => self.judge(api, &closed).await,
            },
        }
    }

    /// Reads where the session stands. Status first: a session that was idle before its messages were read has told
    /// all there is.
    async fn look(&mut self, api: &Api) -> Result<View, CallError> {
        let status = api.status(&self.order.directory, &self.session).await?;
        let order = &self.order;
        let is_first = |m: &Message| Step::of(m, order) == Some(Step::Work);
        if self.posted.is_some() && !matches!(status, Status::Idle) {
            return Ok(View::Busy(status));
        }
        let messages = api
            .messages(&order.directory, &self.session, is_first)
            .await?;
        if let Some(sent) = self.sent.clone()
            && matches!(status, Status::Idle)
            && !messages.iter().any(|m| m.info.id == sent.id)
        {
            return Ok(View::Lost(sent));
        }
        let Some(first) = messages.iter().position(is_first) else {
            let newest = messages.last().cloned();
            return Ok(View::Unasked(newest.map(Box::new)));
        };
        let messages = &messages[first..];
        let prompts = messages
            .iter()
            .filter_map(|m| Some((Step::of(m, order)?, m)));
        let (sent, prompts): (Vec<Step>, Vec<&Message>) = prompts.unzip();
        self.holds(&messages[0], &sent);
        self.steps.stand_in(messages);
        let used = self.used(messages);
        if used != self.usage {
            self.usage = used;
            self.watcher.sign(Sign::Used(used));
        }
        if !matches!(status, Status::Idle) {
            return Ok(View::Busy(status));
        }
        let (Some(prompt), Some(last)) = (prompts.last(), messages.last()) else {
            return Ok(View::Unasked(None));
        };
        let (prompt, last) = ((*prompt).clone(), last.clone());
        if last.info.role == Speaker::Assistant && closed(&last) {
            Ok(View::Closed(Box::new(Closed { prompt, last, sent })))
        } else {
            Ok(View::Open(Box::new(prompt)))
        }
    }

    /// The messages that this lease has to account for.
    fn own<'a>(&self, messages: &'a [Message]) -> &'a [Message] {
        let counted = self.counted.as_ref();
        let counted = counted.and_then(|id| messages.iter().position(|m| m.info.id == *id));
        counted.map_or(messages, |at| &messages[at + 1..])
    }

    /// What this lease has used, whose session holds these messages.
    fn used(&self, messages: &[Message]) -> Usage {
        usage::plus(usage::used(self.own(messages)), self.beside)
    }

    fn outcome(&self, end: End) -> Outcome {
        let usage = match end {
            // Its first call was under way: what that used nobody told.
            End::Failed(Failure::Silent, _) if self.posted.is_some() && self.usage.calls == 0 => {
                Usage::default()
            }
            _ => self.usage,
        };
        match end {
            End::Answered(answer) => Outcome::Answered { answer, usage },
            End::Refused(retry_after, why, outage) => Outcome::Refused {
                retry_after,
                why,
                usage,
                outage,
            },
            End::Failed(failure, why) => Outcome::Failed {
                failure,
                why,
                usage,
            },
            End::Stopped => Outcome::Failed {
                failure: Failure::Transient,
                why: "stopped".to_owned(),
                usage,
            },
        }
    }
}

/// Whether a message ends its prompt. A finish that we do not know is an end only if OpenCode says when.
fn closed(message: &Message) -> bool {
    let going = matches!(
        message.info.finish.as_deref(),
        None | Some("tool-calls" | "unknown")
    );
    message.info.error.is_some() || (!going && message.info.time.completed.is_some())
}

/// What the model said in a message.
fn text_of(message: &Message) -> String {
    let texts = message
        .parts
        .iter()
        .filter(|p| p.r#type == "text" && !p.synthetic);
    texts
        .map(|p| p.text.as_str())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Changes whenever something goes on in a message.
fn fingerprint(message: &Message) -> String {
    let text: usize = message.parts.iter().map(|p| p.text.len()).sum();
    let state = message.parts.last().map_or("", |p| p.state.status.as_str());
    format!("{} {} {text} {state}", message.info.id, message.parts.len())
}

/// Used by [`ask`] and [`end`] to bound what they pass on.
fn line(text: &str, most: usize) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(most)
        .collect()
}

/// A length of time as the core writes it.
fn millis(length: Duration) -> Millis {
    Millis(u64::try_from(length.as_millis()).unwrap_or(u64::MAX))
}
