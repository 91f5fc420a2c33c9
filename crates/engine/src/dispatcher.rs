//! The loop: take what the world says, decide, make it durable, and only then answer, show and act.
//!
//! One task owns the mission. Performers and doors send it messages; it sends them nothing but cancellations. Every
//! thing that can wake it is an arm of the one `select!` below.

use crate::clock::{Clock, Sleep};
use crate::perform::{self, Bench};
use crate::points;
use crate::pressure::{self, Watch};
use crate::settings::Settings;
use crate::store::{Owned, Shared};
use agents::Sign;
use early::Early;
use journal::Head;
use mission::command::Command;
use mission::desk::Desk;
use mission::event::{Event, Recorded};
use mission::ids::{Epoch, MissionId, Seq};
use mission::input::{Input, Reply};
use mission::mission::Mission;
use mission::question::{About, Answered, QuestionId, permit};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use workbench::fault;

/// Messages that may wait for the loop. A sender beyond it waits.
const INBOX: usize = 4_096;
/// Inputs that become one append at the most, unless a performer ended: then all that it said comes first.
const BATCH: usize = 1_024;
/// Things that a slow watcher may lag behind before it is told to read the journal again.
const FEED: usize = 4_096;
/// How often a performer may fail before its command is given up.
const TRIES: u32 = mission::limits::STEP_TRIES;
/// The first wait before a failed performer is started again; doubled each time.
const COOL: Duration = Duration::from_millis(100);

/// What a watcher sees.
#[derive(Clone, Debug)]
pub enum Seen {
    /// Something happened, and is durable.
    Event(Seq, Arc<Recorded>),
    /// A sign of life of a running turn. Not remembered.
    Sign(Epoch, Sign),
}

/// What the loop is sent.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every message is the large one"
)]
pub(crate) enum Message {
    Input(Input, Option<oneshot::Sender<Reply>>),
    Sign(Epoch, Sign),
    Ask(Epoch, agents::Question, oneshot::Sender<agents::Reply>),
    /// Somebody answered where the agent's host shows the question.
    Settled(Epoch, agents::Question, String),
}

/// How an engine's run ended.
#[derive(Debug)]
pub enum Ended {
    /// The mission is over and nothing is owed.
    Over(Box<Mission>),
    /// The engine was told to wind down; the mission can go on later.
    WoundDown(Box<Mission>),
}

/// Why an engine stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was decided could not be made durable. Nothing of it was answered, shown or done.
    #[error("the journal refused an append, so the engine stopped: {0}")]
    Journal(#[from] journal::Error),
}

/// The engine is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the engine has ended")]
pub struct Gone;

/// A way to talk to a running engine. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    mission: MissionId,
    inbox: mpsc::Sender<Message>,
    feed: broadcast::Sender<Seen>,
    stop: CancellationToken,
}

impl Handle {
    /// The mission that the engine runs.
    pub fn mission(&self) -> MissionId {
        self.mission
    }

    /// Tells the engine something and waits until what came of it is durable.
    ///
    /// # Errors
    /// The engine ended before it answered; whether the input took effect, the journal says.
    pub async fn tell(&self, input: Input) -> Result<Reply, Gone> {
        let (answer, answered) = oneshot::channel();
        self.inbox
            .send(Message::Input(input, Some(answer)))
            .await
            .map_err(|_| Gone)?;
        answered.await.map_err(|_| Gone)
    }

    /// Everything that happens from now on.
    pub fn watch(&self) -> broadcast::Receiver<Seen> {
        self.feed.subscribe()
    }

    /// Lets the engine wind down, by the table of [`crate::shutdown`]. The mission stays as a crash would leave it, and can go
    /// on.
    pub fn wind_down(&self) {
        self.stop.cancel();
    }
}

/// One running mission.
pub struct Dispatcher {
    journal: Shared,
    lease: Arc<journal::Lease>,
    head: Head,
    desk: Desk<oneshot::Sender<Reply>>,
    bench: Arc<Bench>,
    clock: Clock,
    inbox: mpsc::Receiver<Message>,
    sender: mpsc::Sender<Message>,
    feed: broadcast::Sender<Seen>,
    stop: CancellationToken,
    performers: JoinSet<Performed>,
    tokens: BTreeMap<String, CancellationToken>,
    running: HashMap<tokio::task::Id, (Command, AbortHandle)>,
    failures: BTreeMap<String, u32>,
    cooling: Vec<(Instant, String)>,
    asked: BTreeMap<(Epoch, u64), oneshot::Sender<agents::Reply>>,
    /// The host's names of what is asked, where it has any.
    requests: BTreeMap<(Epoch, u64), String>,
    open: BTreeMap<QuestionId, ((Epoch, u64), String)>,
    early: Early,
    last_token: u64,
    alive: tokio::time::Interval,
    watch: Watch,
    looks: tokio::time::Interval,
    sleep: Sleep,
    pending: Vec<(Input, Option<oneshot::Sender<Reply>>)>,
}

/// What a performer ends with: what the mission is told, if anything.
type Performed = Result<Option<Input>, perform::Error>;

impl Dispatcher {
    /// An engine for a mission that this process owns, and a way to talk to it.
    pub fn new(journal: Shared, owned: Owned, settings: Settings) -> (Self, Handle) {
        let (sender, inbox) = mpsc::channel(INBOX);
        let (feed, _) = broadcast::channel(FEED);
        let stop = CancellationToken::new();
        let mission = owned.mission.id();
        let bench = Arc::new(Bench::new(settings, &owned.mission));
        // Questions of an engine before this one are still open; whoever waited for them will ask again.
        let open: BTreeMap<QuestionId, ((Epoch, u64), String)> = owned
            .mission
            .questions()
            .filter_map(|(id, question)| match &question.about {
                About::Permission { epoch, token, kind } => {
                    Some((id, ((*epoch, *token), kind.clone())))
                }
                _ => None,
            })
            .collect();
        let (alive, looks) = (every(crate::alive::EVERY), every(pressure::EVERY));
        let machine = bench.settings.machine.clone();
        let early = Early::of(&owned.mission);
        let room = Arc::clone(&bench.room);
        let last_token = open
            .values()
            .map(|((_, token), _)| *token)
            .max()
            .unwrap_or(0);
        let dispatcher = Self {
            journal,
            lease: Arc::new(owned.lease),
            head: owned.head,
            desk: Desk::new(owned.mission),
            clock: bench.clock.clone(),
            bench,
            inbox,
            sender: sender.clone(),
            feed: feed.clone(),
            stop: stop.clone(),
            performers: JoinSet::new(),
            tokens: BTreeMap::new(),
            running: HashMap::new(),
            failures: BTreeMap::new(),
            cooling: Vec::new(),
            asked: BTreeMap::new(),
            requests: BTreeMap::new(),
            open,
            early,
            last_token,
            alive,
            looks,
            sleep: Sleep::from_now(),
            watch: Watch::of(machine, room),
            pending: Vec::new(),
        };
        (
            dispatcher,
            Handle {
                mission,
                inbox: sender,
                feed,
                stop,
            },
        )
    }

    /// Runs the mission until it is over and nothing is owed, or until it is told to wind down.
    ///
    /// # Errors
    /// The journal refused an append. Everything that runs is ended first.
    pub async fn run(mut self) -> Result<Ended, Error> {
        let seen = crate::alive::seen(&self.bench.place);
        self.bench.begin();
        self.pending.push((Input::Woke { seen }, None));
        if self.watch.machine_is_left_alone() {
            // What an engine before this one saw is not looked at any more.
            let sample = self.watch.sample();
            self.pending.push((Input::Sampled { sample }, None));
        }
        loop {
            if let Err(error) = self.turn().await {
                self.wind_down().await;
                return Err(error);
            }
            if self.stop.is_cancelled() {
                self.wind_down().await;
                return Ok(Ended::WoundDown(Box::new(self.desk.mission().clone())));
            }
            let over = self.desk.mission().outcome().is_some() && self.desk.n_in_flight() == 0;
            if over && self.pending.is_empty() && self.inbox.is_empty() {
                return Ok(Ended::Over(Box::new(self.desk.mission().clone())));
            }
            self.wait().await;
        }
    }

    /// Waits for something to happen and puts it into `pending`.
    async fn wait(&mut self) {
        if !self.pending.is_empty() {
            return;
        }
        let wake = self.desk.next_wake().map(|at| self.clock.until(at));
        let cooled = self
            .cooling
            .iter()
            .map(|(at, _)| at.saturating_duration_since(Instant::now()))
            .min();
        let pause = wake.into_iter().chain(cooled).min();
        tokio::select! {
            Some(message) = self.inbox.recv() => self.receive(message),
            Some(joined) = self.performers.join_next_with_id() => self.ended(joined),
            () = tokio::time::sleep(pause.unwrap_or(Duration::MAX)), if pause.is_some() => {
                self.pending.push((Input::Tick, None));
            }
            _ = self.looks.tick() => {
                let woke = self.sleep.noticed(&self.clock);
                self.pending.extend(woke.map(|woke| (woke, None)));
                let sample = self.watch.sample();
                self.pending.push((Input::Sampled { sample }, None));
            }
            _ = self.alive.tick() => crate::alive::note(&self.bench.place, self.clock.now()),
            () = self.stop.cancelled() => {}
        }
        // What is done already is heard before time passes for it.
        while let Some(joined) = self.performers.try_join_next_with_id() {
            self.ended(joined);
        }
        self.drain(BATCH);
    }

    /// A performer ended: what it said before is in the inbox already, and is heard first.
    fn ended(&mut self, joined: Result<(tokio::task::Id, Performed), tokio::task::JoinError>) {
        self.drain(INBOX);
        self.performed(joined);
    }

    /// Hears what was sent meanwhile, until so much is pending.
    fn drain(&mut self, most: usize) {
        while self.pending.len() < most
            && let Ok(message) = self.inbox.try_recv()
        {
            self.receive(message);
        }
    }

    fn receive(&mut self, message: Message) {
        match message {
            Message::Input(input, who) => self.pending.push((input, who)),
            Message::Sign(epoch, sign) => {
                self.feed.send(Seen::Sign(epoch, sign)).ok();
            }
            Message::Settled(epoch, question, answer) => self.settled(epoch, &question, answer),
            Message::Ask(epoch, question, answer) => {
                if let Some(reply) = self.early.take(epoch, &question) {
                    answer.send(reply).ok();
                    return;
                }
                let before = self.asked_before(epoch, &question);
                let token = before.unwrap_or(self.last_token + 1);
                self.asked.insert((epoch, token), answer);
                if let Some(request) = &question.request {
                    self.requests.insert((epoch, token), request.clone());
                }
                if before.is_some() {
                    return;
                }
                self.last_token = token;
                let agents::Question {
                    text,
                    choices,
                    about: kind,
                    request: _,
                } = question;
                self.pending.push((
                    Input::Question {
                        epoch,
                        token,
                        kind,
                        text,
                        choices,
                    },
                    None,
                ));
            }
        }
    }

    /// A question of a turn was answered elsewhere. It may be so new that it is not durable yet.
    fn settled(&mut self, epoch: Epoch, question: &agents::Question, text: String) {
        let token = match &question.request {
            // Another one may have the same text, and is not answered with it.
            Some(request) => {
                let mut named = self.requests.iter();
                let is_it =
                    |((of, _), named): &(&(Epoch, u64), &String)| *of == epoch && *named == request;
                named.find(is_it).map(|((_, token), _)| *token)
            }
            None => self.token_of(epoch, question),
        };
        if let Some(token) = token {
            let by = "OpenCode".to_owned();
            let (request, said) = ((epoch, token), Answered { text, by });
            self.pending
                .push((Input::AnsweredElsewhere { request, said }, None));
        }
    }

    /// The open question that reads so.
    fn token_of(&self, epoch: Epoch, question: &agents::Question) -> Option<u64> {
        let new = self.pending.iter().find_map(|(input, _)| match input {
            Input::Question {
                epoch: of,
                token,
                text,
                choices,
                ..
            } if *of == epoch && *text == question.text && *choices == question.choices => {
                Some(*token)
            }
            _ => None,
        });
        let known = |(id, asked): (QuestionId, &mission::question::Question)| {
            let (of, token) = self.open.get(&id)?.0;
            let fits =
                of == epoch && asked.text == question.text && asked.choices == question.choices;
            fits.then_some(token)
        };
        new.or_else(|| self.desk.mission().questions().find_map(known))
    }

    /// The open question that an engine before this one put for the same turn, and for which nobody waits here.
    fn asked_before(&self, epoch: Epoch, question: &agents::Question) -> Option<u64> {
        let same = |(id, asked): (QuestionId, &mission::question::Question)| {
            let (of, token) = self.open.get(&id)?.0;
            let fits =
                of == epoch && asked.text == question.text && asked.choices == question.choices;
            (fits && !self.asked.contains_key(&(of, token))).then_some(token)
        };
        self.desk.mission().questions().find_map(same)
    }

    fn performed(&mut self, joined: Result<(tokio::task::Id, Performed), tokio::task::JoinError>) {
        let (id, result) = match joined {
            Ok(ended) => ended,
            // A performer that panicked is a fault of this program. Its command is tried again as after any failure.
            Err(error) => (
                error.id(),
                Err(perform::Error::new(format!(
                    "a fault of this program: {error}"
                ))),
            ),
        };
        let Some((command, _)) = self.running.remove(&id) else {
            return;
        };
        let name = command.name();
        self.tokens.remove(&name);
        match result {
            Ok(input) => {
                self.failures.remove(&name);
                // Before whatever came meanwhile: its step may have no time left.
                self.pending.splice(0..0, input.map(|input| (input, None)));
                self.cool(name, 0);
            }
            Err(error) => {
                let failures = self.failures.entry(name.clone()).or_default();
                *failures += 1;
                let failures = *failures;
                tracing::warn!(command = name, failures, %error, "a performer failed");
                if failures >= TRIES || error.is_final() {
                    self.failures.remove(&name);
                    self.pending
                        .push((perform::give_up(&command, &error.to_string()), None));
                }
                self.cool(name, failures);
            }
        }
    }

    /// After this wait the command may be started again, if it is still owed.
    fn cool(&mut self, name: String, failures: u32) {
        let wait = if failures == 0 {
            Duration::ZERO
        } else {
            COOL * 2u32.pow(failures.min(8))
        };
        self.cooling.push((Instant::now() + wait, name));
    }

    /// One turn of the loop: decide, make durable, release.
    async fn turn(&mut self) -> Result<(), Error> {
        let now = self.clock.now();
        let pending = std::mem::take(&mut self.pending);
        let gates = points::gates(self.desk.mission());
        let events = self.desk.take(now, pending);
        let bodies: Vec<Vec<u8>> = events.iter().map(Recorded::encode).collect();
        let named = events.iter().filter(|_| fault::ON);
        let named: Vec<String> = named
            .map(|recorded| points::event(&recorded.event, &gates))
            .collect();
        self.release_replies();
        let before = self.head.seq;
        if !bodies.is_empty() {
            let (journal, lease, head) =
                (self.journal.clone(), self.lease.clone(), self.head.clone());
            let status = self.desk.mission().phase_word();
            named
                .iter()
                .for_each(|about| fault::of("loop.append before", about));
            let appended = tokio::task::spawn_blocking(move || {
                journal.append(&lease, &head, &bodies, Some(status))
            });
            self.head = match appended.await {
                Ok(head) => head?,
                Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
            };
            named
                .iter()
                .for_each(|about| fault::of("loop.append after", about));
        }
        let cooled = Instant::now();
        let ready: Vec<String> = self
            .cooling
            .extract_if(.., |(at, _)| *at <= cooled)
            .map(|(_, name)| name)
            .collect();
        ready.iter().for_each(|name| self.desk.ended(name));
        let released = self.desk.durable();
        self.release_replies();
        for (n, recorded) in (1..).zip(released.events) {
            self.answer_agents(&recorded.event);
            self.bench.providers.note(&recorded);
            self.tell_turns(&recorded.event);
            let seen = Seen::Event(Seq(before.0 + n), Arc::new(recorded));
            self.feed.send(seen).ok();
        }
        // A question that meant nothing any more was not asked; whoever waits for its answer is told that by the drop.
        let open: BTreeSet<(Epoch, u64)> = self.open.values().map(|(key, _)| *key).collect();
        self.asked.retain(|key, _| open.contains(key));
        self.requests.retain(|key, _| open.contains(key));
        for name in released.stop {
            if let Some(token) = self.tokens.remove(&name) {
                token.cancel();
            }
        }
        for command in released.start {
            let about = fault::ON.then(|| points::command(&command));
            self.start(command);
            fault::of("loop.started", &about.unwrap_or_default());
        }
        Ok(())
    }

    fn release_replies(&mut self) {
        for (who, reply) in self.desk.replies() {
            // Whoever asked may be gone; the reply was theirs alone.
            who.send(reply).ok();
        }
    }

    /// Turns that run hear of what has happened, as far as it is for them.
    fn tell_turns(&self, event: &Event) {
        let mission = self.desk.mission();
        match event {
            Event::Steered { .. } => self.bench.heard(mission),
            Event::TurnNudged { .. }
            | Event::ConflictForeseen { .. }
            | Event::TurnStarted { .. } => self.bench.pushed(mission),
            _ => {}
        }
        self.bench.lies_ahead(mission);
    }

    /// Hands answered permissions back to the agents that wait for them, and keeps what is allowed from now on.
    fn answer_agents(&mut self, event: &Event) {
        match event {
            Event::Asked {
                id,
                about: About::Permission { epoch, token, kind },
                ..
            } => {
                self.open.insert(*id, ((*epoch, *token), kind.clone()));
            }
            Event::QuestionClosed { id, answered } => {
                let Some((key, kind)) = self.open.remove(id) else {
                    return;
                };
                let lasts = permit::lasts(&kind, &answered.text);
                if lasts && answered.text == permit::PROJECT {
                    let project = std::path::Path::new(self.desk.mission().project());
                    let layout = &self.bench.settings.layout;
                    if let Err(error) = crate::allowed::remember(layout, project, &kind) {
                        tracing::warn!(%error, "what is allowed in the project cannot be kept");
                    }
                }
                let reply = match answered.text.as_str() {
                    _ if lasts => agents::Reply::Allow,
                    permit::ONCE => agents::Reply::Allow,
                    permit::DENY => agents::Reply::Deny(format!("denied by {}", answered.by)),
                    text => agents::Reply::Text(text.to_owned()),
                };
                match self.asked.remove(&key) {
                    Some(waiting) => {
                        waiting.send(reply).ok();
                    }
                    None => self.early.answered(*id, reply),
                }
            }
            _ => {}
        }
    }

    fn start(&mut self, command: Command) {
        let name = command.name();
        let token = CancellationToken::new();
        self.tokens.insert(name, token.clone());
        let job = perform::job(self.desk.mission(), &command);
        let line = perform::Line {
            inbox: self.sender.clone(),
            cancel: token,
        };
        let bench = self.bench.clone();
        let task = self
            .performers
            .spawn(async move { perform::perform(&bench, job, line).await });
        self.running.insert(task.id(), (command, task));
    }
}

/// Ticks so often, and no sooner after a late one.
fn every(period: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks
}

mod early;
mod ending;
#[cfg(test)]
mod tests;
