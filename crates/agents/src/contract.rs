//! The suite that every host of agents passes, and what tests of hosts need.
//!
//! A host's test implements [`Fixture`] and calls [`check`]. The suite knows nothing of how a host works; it gives
//! orders, looks at workspaces and counts how often the model was asked.

mod cases;

pub use cases::check;

use crate::{Agent, Note, Question, Reply, Sign, Watcher};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use mission::time::Millis;
use mission::turn::{Answer, Outcome};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};

/// A host, and control over the model behind it.
///
/// Turns are told apart by a key, a word that stands in their brief.
pub trait Fixture: Send + Sync {
    /// The host.
    fn agent(&self) -> &dyn Agent;

    /// An empty directory of this name for a turn to work in; the same one whenever the name is the same.
    fn workspace(&self, name: &str) -> PathBuf;

    /// From now on the model behaves so in turns whose brief holds the key.
    fn behave(&self, key: &str, behaviour: Behaviour);

    /// How often the model was asked so far in such turns.
    fn asked(&self, key: &str) -> usize;
}

/// What a model does in one turn.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// It answers at once.
    Answer(Answer),
    /// It appends a line to a file of its workspace, and then answers. A script for a model that sees its own earlier
    /// steps appends only once.
    Append {
        /// The file, below the workspace.
        path: String,
        /// The line.
        line: String,
        /// What it answers then.
        answer: Answer,
    },
    /// It works, step after step, until it reads something that a person said, adds that to a file of its workspace as
    /// often as it reads it, and then answers.
    Heed {
        /// What it looks for.
        words: String,
        /// The file, below the workspace.
        path: String,
        /// What it answers then.
        answer: Answer,
    },
    /// It says something that is no answer, however often it is asked.
    Babble,
    /// Its provider refuses to serve it, and asks to wait so long.
    Refuse(Millis),
    /// It never says anything.
    Hang,
}

/// A watcher that writes down what it is told, and answers every question in one way.
pub struct Recorder {
    seen: Mutex<Seen>,
    changed: Notify,
    said: watch::Sender<Vec<Note>>,
    nudges: watch::Sender<Vec<Note>>,
    reply: Box<dyn Fn(&Question) -> Reply + Send + Sync>,
    holds: AtomicBool,
}

/// What a [`Recorder`] was told.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Signs of life, in order.
    pub signs: Vec<Sign>,
    /// Questions, in order.
    pub questions: Vec<Question>,
    /// The numbers of the notes that it was said to have been told, in order.
    pub noted: Vec<u32>,
    /// The models of which it was said that they are to be asked, in order.
    pub models: Vec<String>,
    /// Every outcome; a good host tells one.
    pub outcomes: Vec<Outcome>,
}

impl Recorder {
    /// One that denies whatever it is asked.
    pub fn new() -> Arc<Self> {
        Self::answering(|_| Reply::Deny("nobody is here to ask".to_owned()))
    }

    /// One that answers like this.
    pub fn answering(reply: impl Fn(&Question) -> Reply + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            seen: Mutex::default(),
            changed: Notify::new(),
            said: watch::Sender::default(),
            nudges: watch::Sender::default(),
            reply: Box::new(reply),
            holds: AtomicBool::new(false),
        })
    }

    /// From now on no model may be asked, or any may again.
    pub fn hold(&self, holds: bool) {
        self.holds.store(holds, Ordering::Relaxed);
    }

    /// A person says something to the turn.
    pub fn say(&self, n: u32, text: &str) {
        let text = text.to_owned();
        self.said.send_modify(|said| said.push(Note { n, text }));
    }

    /// The engine itself tells the turn something.
    pub fn push(&self, n: u32, text: &str) {
        let text = text.to_owned();
        self.nudges.send_modify(|all| all.push(Note { n, text }));
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.lock());
        self.changed.notify_waiters();
    }

    /// All that it was told so far.
    pub fn seen(&self) -> Seen {
        self.lock().clone()
    }

    /// The one outcome that it was told.
    ///
    /// # Panics
    ///
    /// When there is none, or more than one.
    pub fn outcome(&self) -> Outcome {
        let seen = self.seen();
        assert_eq!(seen.outcomes.len(), 1, "a turn has one outcome: {seen:#?}");
        seen.outcomes[0].clone()
    }

    /// Waits until what it was told fits. The test's own time limit is the deadline.
    pub async fn until(&self, fits: impl Fn(&Seen) -> bool) -> Seen {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let seen = self.seen();
            if fits(&seen) {
                return seen;
            }
            changed.await;
        }
    }
}

impl Watcher for Recorder {
    fn settled(&self, _: &Question, _: &str) {}

    fn sign(&self, sign: Sign) {
        self.note(|seen| seen.signs.push(sign));
    }

    fn may_ask(&self, model: &str, _: Option<u64>) -> BoxFuture<'_, bool> {
        let may = !self.holds.load(Ordering::Relaxed);
        self.note(|seen| seen.models.push(model.to_owned()));
        Box::pin(std::future::ready(may))
    }

    fn ask(&self, question: Question) -> BoxFuture<'_, Reply> {
        let reply = (self.reply)(&question);
        self.note(|seen| seen.questions.push(question));
        Box::pin(std::future::ready(reply))
    }

    fn notes(&self) -> Vec<Note> {
        self.said.borrow().clone()
    }

    fn more_notes(&self, after: u32) -> BoxFuture<'static, ()> {
        let mut said = self.said.subscribe();
        async move {
            let news = said.wait_for(|said| said.iter().any(|note| note.n > after));
            if news.await.is_err() {
                std::future::pending::<()>().await;
            }
        }
        .boxed()
    }

    fn nudges(&self) -> Vec<Note> {
        self.nudges.borrow().clone()
    }

    fn more_nudges(&self, known: BTreeSet<u32>) -> BoxFuture<'static, ()> {
        let mut nudges = self.nudges.subscribe();
        async move {
            let is_news = |all: &Vec<Note>| all.iter().any(|nudge| !known.contains(&nudge.n));
            if nudges.wait_for(is_news).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
        .boxed()
    }

    fn noted(&self, n: u32) {
        self.note(|seen| seen.noted.push(n));
    }

    fn reply(&self, outcome: Outcome) {
        self.note(|seen| seen.outcomes.push(outcome));
    }
}
