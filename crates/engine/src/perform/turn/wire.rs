//! What an agent tells while it carries a turn out, on its way to the loop.

use super::meter::Meter;
use super::steps::Steps;
use crate::dispatcher::Message;
use crate::perform::{Bench, Line, Nudges};
use crate::providers::{Held, Providers};
use agents::{Note, Question, Reply, Sign, Watcher};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use mission::event::Turn;
use mission::ids::Epoch;
use mission::input::Input;
use mission::stagnation::{ActKind, Stray, Strayed};
use mission::steering::Said;
use mission::turn::{Outcome, Usage};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};

/// The engine's side of a turn.
pub(super) struct Wire {
    turn: Turn,
    epoch: Epoch,
    inbox: mpsc::Sender<Message>,
    said: watch::Receiver<Vec<Said>>,
    nudges: watch::Receiver<Nudges>,
    steps: Steps,
    outcomes: Mutex<Vec<Outcome>>,
    providers: Arc<Providers>,
    held: AtomicBool,
    used: Mutex<Usage>,
    meter: Mutex<Meter>,
    /// What it has used and the loop has not been told, because nobody kept up.
    untold: Arc<Mutex<Option<Usage>>>,
    /// How often it did something that may have changed its workspace.
    did: watch::Sender<u64>,
    /// Whether its host keeps sessions, of which the mission has to know.
    sessions: bool,
}

impl super::Job {
    pub(super) fn wire(&self, bench: &Bench, line: &Line) -> Arc<Wire> {
        let turn = (self.turn, self.epoch);
        let said = (bench.said.subscribe(), bench.nudges.subscribe());
        let providers = Arc::clone(&bench.providers);
        let sessions = bench.settings.agent.keeps_sessions();
        let wire = Wire::new(turn, line.inbox.clone(), said, providers, sessions);
        Arc::new(wire)
    }
}

impl Wire {
    fn new(
        (turn, epoch): (Turn, Epoch),
        inbox: mpsc::Sender<Message>,
        (said, nudges): (watch::Receiver<Vec<Said>>, watch::Receiver<Nudges>),
        providers: Arc<Providers>,
        sessions: bool,
    ) -> Self {
        Self {
            turn,
            epoch,
            inbox,
            said,
            nudges,
            steps: Steps::new(turn),
            outcomes: Mutex::default(),
            providers,
            held: AtomicBool::new(false),
            used: Mutex::new(Usage::NOTHING),
            meter: Mutex::new(Meter::new()),
            untold: Arc::default(),
            did: watch::Sender::new(0),
            sessions,
        }
    }

    /// How often its agent did something that may have changed its workspace.
    pub(super) fn did(&self) -> watch::Receiver<u64> {
        self.did.subscribe()
    }

    /// What its agent did.
    pub(super) fn steps(&self) -> &Steps {
        &self.steps
    }

    /// Tells the loop that the agent goes nowhere.
    fn strays(&self, strayed: Strayed) {
        let usage = *self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let epoch = self.epoch;
        let input = Input::Strayed {
            epoch,
            strayed,
            usage,
        };
        // Where nobody keeps up, it will be seen again if it goes on.
        self.inbox.try_send(Message::Input(input, None)).ok();
    }

    /// Tells the loop what the turn has used, so that it ends before the next call where that is too much. Where nobody
    /// keeps up it is told as soon as somebody does, and only the last of it.
    fn uses(&self, usage: Usage) {
        if usage.tokens().is_some_and(|tokens| tokens > 0)
            && self.providers.tries_for_all(self.epoch)
        {
            let (providers, epoch) = (Arc::clone(&self.providers), self.epoch);
            tokio::task::spawn_blocking(move || providers.served(epoch));
        }
        let epoch = self.epoch;
        let told = move |usage| Message::Input(Input::TurnUsed { epoch, usage }, None);
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = &mut *untold {
            *before = usage;
            return;
        }
        if let Err(TrySendError::Full(_)) = self.inbox.try_send(told(usage)) {
            *untold = Some(usage);
            let (inbox, untold) = (self.inbox.clone(), Arc::clone(&self.untold));
            tokio::spawn(async move {
                let Ok(slot) = inbox.reserve().await else {
                    return;
                };
                let mut untold = untold.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(usage) = untold.take() {
                    slot.send(told(usage));
                }
            });
        }
    }

    fn meter(&self) -> MutexGuard<'_, Meter> {
        self.meter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the turn was not begun, and the loop has been told why.
    pub(super) fn is_held(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }

    /// What was told so far of how the turn ended.
    pub(super) fn outcomes(&self) -> Vec<Outcome> {
        let told = self.outcomes.lock();
        std::mem::take(&mut *told.unwrap_or_else(|broken| broken.into_inner()))
    }
}

impl Watcher for Wire {
    fn sign(&self, sign: Sign) {
        // Signs are for people and may be dropped when nobody keeps up; what was used is not only a sign.
        if let Sign::Used(usage) = &sign {
            *self.used.lock().unwrap_or_else(PoisonError::into_inner) = *usage;
        }
        if let Sign::Used(usage) = &sign
            && let Some(usage) = self.meter().reads(*usage)
        {
            self.uses(usage);
        }
        match &sign {
            Sign::Did(act, doing) => {
                if act.kind != ActKind::Look {
                    self.did.send_modify(|n| *n += 1);
                }
                if let Some(strayed) = self.steps.take(*act, doing) {
                    self.strays(strayed);
                }
            }
            Sign::Quiet(silence) => {
                let why = format!("nothing was heard of it for {silence}");
                self.strays(Strayed {
                    stray: Stray::Quiet,
                    why,
                    gained: 0,
                });
            }
            _ => {}
        }
        if let Sign::Session(session) = &sign
            && self.sessions
        {
            let (epoch, session) = (self.epoch, session.clone());
            let input = Input::SessionNamed { epoch, session };
            // Where nobody keeps up it is closed with the workspaces, like one that a crash left.
            self.inbox.try_send(Message::Input(input, None)).ok();
        }
        // Of a model that fails nothing is told yet: others may be served at its provider, and it may be soon.
        if let Sign::Waiting {
            cause,
            at_most,
            outage: false,
        } = &sign
        {
            let (epoch, wait, why) = (self.epoch, *at_most, cause.clone());
            let input = Input::Waits { epoch, wait, why };
            self.inbox.try_send(Message::Input(input, None)).ok();
        }
        self.inbox.try_send(Message::Sign(self.epoch, sign)).ok();
    }

    fn may_ask(&self, model: &str, output: Option<u64>) -> BoxFuture<'_, bool> {
        let model = model.to_owned();
        async move {
            if model.is_empty() {
                return true;
            }
            let epoch = self.epoch;
            let providers = Arc::clone(&self.providers);
            let named = Input::ModelNamed {
                epoch,
                model: model.clone(),
                output,
            };
            self.inbox.send(Message::Input(named, None)).await.ok();
            let asked = tokio::task::spawn_blocking(move || providers.ask(epoch, &model));
            let Some(Held { name, wait, why }) = asked.await.unwrap_or_default() else {
                return true;
            };
            let usage = *self.used.lock().unwrap_or_else(PoisonError::into_inner);
            let held = Input::Held {
                epoch,
                name,
                wait,
                why,
                usage,
            };
            self.held.store(true, Ordering::Relaxed);
            self.inbox.send(Message::Input(held, None)).await.ok();
            false
        }
        .boxed()
    }

    fn ask(&self, question: Question) -> BoxFuture<'_, Reply> {
        async move {
            let (answer, answered) = oneshot::channel();
            let gone = || Reply::Deny("the engine is winding down".into());
            if self
                .inbox
                .send(Message::Ask(self.epoch, question, answer))
                .await
                .is_err()
            {
                return gone();
            }
            answered.await.unwrap_or_else(|_| gone())
        }
        .boxed()
    }

    fn notes(&self) -> Vec<Note> {
        let said = self.said.borrow();
        let concerns = said.iter().filter(|said| said.concerns(&self.turn));
        let note = |said: &Said| Note {
            n: said.n,
            text: said.text.clone(),
        };
        concerns.map(note).collect()
    }

    fn more_notes(&self, after: u32) -> BoxFuture<'static, ()> {
        let (mut said, turn) = (self.said.clone(), self.turn);
        async move {
            let is_news = |said: &Said| said.n > after && said.concerns(&turn);
            let news = said.wait_for(|all| all.iter().any(is_news)).await.is_ok();
            if !news {
                // The engine is gone, and nobody will say anything.
                std::future::pending::<()>().await;
            }
        }
        .boxed()
    }

    fn nudges(&self) -> Vec<Note> {
        let nudges = self.nudges.borrow();
        nudges.get(&self.epoch).cloned().unwrap_or_default()
    }

    fn more_nudges(&self, known: BTreeSet<u32>) -> BoxFuture<'static, ()> {
        let (mut nudges, epoch) = (self.nudges.clone(), self.epoch);
        async move {
            let is_news = |all: &Nudges| {
                let own = all.get(&epoch).into_iter().flatten();
                own.into_iter().any(|nudge| !known.contains(&nudge.n))
            };
            if nudges.wait_for(is_news).await.is_err() {
                // The engine is gone.
                std::future::pending::<()>().await;
            }
        }
        .boxed()
    }

    fn noted(&self, n: u32) {
        let epoch = self.epoch;
        let input = Input::TurnTold { epoch, n };
        // Only for people; where nobody keeps up, the turn is taken for one that does not know.
        self.inbox.try_send(Message::Input(input, None)).ok();
    }

    fn settled(&self, question: &Question, answer: &str) {
        let told = Message::Settled(self.epoch, question.clone(), answer.to_owned());
        if self.inbox.try_send(told).is_err() {
            // It stays open until its turn ends, or somebody answers it for nobody.
            tracing::debug!("an answer that was given elsewhere could not be told");
        }
    }

    fn reply(&self, outcome: Outcome) {
        self.outcomes
            .lock()
            .unwrap_or_else(|broken| broken.into_inner())
            .push(outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;
    use mission::event::{Event, Recorded};
    use mission::ids::MissionId;
    use mission::time::Timestamp;
    use std::time::Duration;

    const EPOCH: Epoch = Epoch(7);

    fn of(tokens: u64) -> Usage {
        Usage {
            input: Some(tokens),
            calls: 1,
            ..Usage::NOTHING
        }
    }

    fn missions(dir: &std::path::Path) -> [Arc<Providers>; 3] {
        let layout = Layout::new(dir.to_owned());
        let account = crate::providers::Account::of(&std::collections::BTreeMap::new());
        let of = |n| Providers::new(layout.clone(), MissionId(n), account.clone());
        [1, 2, 3].map(|n| Arc::new(of(n)))
    }

    /// A turn's wire and what its loop hears, of which it keeps so many.
    fn wire(providers: &Arc<Providers>, keeps: usize) -> (Wire, mpsc::Receiver<Message>) {
        let (inbox, heard) = mpsc::channel(keeps);
        let said = watch::Sender::new(Vec::new()).subscribe();
        let nudges = watch::Sender::new(Nudges::new()).subscribe();
        let turn = (Turn::Intent { n: 1 }, EPOCH);
        let wire = Wire::new(turn, inbox, (said, nudges), Arc::clone(providers), false);
        (wire, heard)
    }

    #[tokio::test]
    async fn what_was_used_is_told_also_where_nobody_kept_up() {
        let dir = tempfile::tempdir().unwrap();
        let (wire, mut heard) = wire(&missions(dir.path())[0], 1);
        wire.sign(Sign::Doing("It takes the only place.".into()));
        for tokens in [100, 200, 300] {
            wire.sign(Sign::Used(of(tokens)));
        }
        assert!(matches!(heard.recv().await, Some(Message::Sign(..))));
        let next = tokio::time::timeout(Duration::from_mins(1), heard.recv());
        let Ok(Some(Message::Input(Input::TurnUsed { epoch, usage }, None))) = next.await else {
            panic!("it is never told");
        };
        assert_eq!((epoch, usage), (EPOCH, of(300)), "the last, and only that");
        // Nothing is left of it, and the next goes its usual way.
        wire.sign(Sign::Used(of(400)));
        let next = heard.try_recv();
        assert!(
            matches!(&next, Ok(Message::Input(Input::TurnUsed { usage, .. }, None)) if *usage == of(400)),
        );
    }

    #[tokio::test]
    async fn a_provider_that_serves_a_mission_which_it_never_refused_is_free_for_all_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let [one, two, three] = missions(dir.path());
        // It may be asked again at once.
        let at = Timestamp(5);
        let event = Event::ProviderHeld {
            provider: "acme".into(),
            until: at,
            why: "429".into(),
            n: 1,
            epoch: None,
        };
        let v = mission::event::VERSION;
        one.note(&Recorded { v, at, event });
        let (wire, _heard) = wire(&two, 16);
        assert!(wire.may_ask("acme/large", None).await);
        assert!(three.ask(EPOCH, "acme/large").is_some());
        wire.sign(Sign::Used(of(0)));
        assert!(two.tries_for_all(EPOCH), "nothing has come of it yet");
        wire.sign(Sign::Used(of(1)));
        let kept = || std::fs::read_dir(dir.path().join("providers")).unwrap();
        let freed = async {
            while kept().count() > 1 {
                tokio::task::yield_now().await;
            }
        };
        // A trial that nobody ends lasts longer.
        let freed = tokio::time::timeout(Duration::from_secs(30), freed).await;
        assert_eq!(freed, Ok(()), "only the lock is left");
        assert_eq!(three.ask(EPOCH, "acme/large"), None);
    }
}
