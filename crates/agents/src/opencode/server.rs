//! One `opencode serve` of our own: started, watched, started again, ended.

mod config;
mod spawn;
mod visited;

pub(super) use config::{Resolved, Wishes, content_before, last_used, locate};
pub(super) use visited::Visited;

use super::api::Api;
use super::{Error, Pace, Settings};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What there is to talk to now.
#[derive(Clone, Debug)]
pub(super) enum Live {
    /// A server that answers.
    Up(Arc<Api>),
    /// One that is no use any more and is being ended.
    Ending,
    /// None at the moment; one is being started.
    Down,
    /// None, and none will come.
    Gone(String),
}

/// A server that is kept alive.
pub(super) struct Server {
    live: watch::Receiver<Live>,
    /// The last server that did not do what it was told.
    useless: watch::Sender<Option<Arc<Api>>>,
    version: String,
    process: Arc<Mutex<Option<u32>>>,
    ending: CancellationToken,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

/// All that a start needs, found out once.
pub(super) struct Start {
    pub(super) program: PathBuf,
    pub(super) settings: Settings,
    /// The value of `OPENCODE_CONFIG_CONTENT`.
    pub(super) content: String,
}

impl Server {
    /// Starts a server and waits until it answers.
    pub(super) async fn start(start: Start) -> Result<Self, Error> {
        let first = spawn::spawn(&start).await?;
        let version = first.version.clone();
        let process = Arc::new(Mutex::new(first.child.id()));
        let (tell, live) = watch::channel(Live::Up(Arc::clone(&first.api)));
        let ending = CancellationToken::new();
        let (useless, told) = watch::channel(None);
        let keeper = Keeper {
            useless: told,
            start,
            tell,
            process: Arc::clone(&process),
            ending: ending.clone(),
        };
        let keeper = tokio::spawn(keeper.keep(first));
        Ok(Self {
            live,
            useless,
            version,
            process,
            ending,
            keeper: Mutex::new(Some(keeper)),
        })
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// The process that was started, the guard where there is one.
    pub(super) fn process(&self) -> Option<u32> {
        *self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows the server as it comes and goes.
    pub(super) fn watch(&self) -> watch::Receiver<Live> {
        self.live.clone()
    }

    /// The server, once it is up.
    pub(super) async fn up(&self) -> Result<Arc<Api>, String> {
        let mut live = self.live.clone();
        loop {
            match &*live.borrow_and_update() {
                Live::Up(api) => return Ok(Arc::clone(api)),
                Live::Gone(why) => return Err(why.clone()),
                Live::Down | Live::Ending => {}
            }
            if live.changed().await.is_err() {
                return Err("the OpenCode server was ended".to_owned());
            }
        }
    }

    /// Has a server replaced that does not do what it is told, and waits until it has ended.
    pub(super) async fn replace(&self, api: &Arc<Api>) {
        self.useless.send_replace(Some(Arc::clone(api)));
        let ended = |live: &Live| match live {
            Live::Up(up) => !Arc::ptr_eq(up, api),
            Live::Ending => false,
            Live::Down | Live::Gone(_) => true,
        };
        let mut live = self.live.clone();
        // Without a keeper there is no server any more.
        let _gone = live.wait_for(ended).await.is_err();
    }

    /// Ends the server and waits until it has ended.
    pub(super) async fn close(&self) {
        self.ending.cancel();
        let keeper = self
            .keeper
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(keeper) = keeper
            && let Err(error) = keeper.await
        {
            tracing::warn!(%error, "the task that keeps the OpenCode server ended badly");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ending.cancel();
    }
}

/// Watches one server after another.
struct Keeper {
    start: Start,
    tell: watch::Sender<Live>,
    useless: watch::Receiver<Option<Arc<Api>>>,
    process: Arc<Mutex<Option<u32>>>,
    ending: CancellationToken,
}

impl Keeper {
    async fn keep(self, first: spawn::Running) {
        let mut running = first;
        let mut restarts = Restarts::default();
        loop {
            let api = Arc::clone(&running.api);
            let why = tokio::select! {
                () = self.ending.cancelled() => None,
                why = self.died(&mut running) => Some(why),
                () = self.found_useless(&api) => Some("it does not stop a session".to_owned()),
            };
            self.tell.send_replace(Live::Ending);
            running.end().await;
            self.tell.send_replace(Live::Down);
            let Some(why) = why else {
                self.set_process(None);
                self.tell
                    .send_replace(Live::Gone("the OpenCode server was ended".to_owned()));
                return;
            };
            tracing::warn!(why, "the OpenCode server is started again");
            match self.again(&mut restarts, why).await {
                Some(next) => running = next,
                None => return,
            }
        }
    }

    /// Waits until somebody found this server useless.
    async fn found_useless(&self, api: &Arc<Api>) {
        let mut useless = self.useless.clone();
        let this = |told: &Option<Arc<Api>>| told.as_ref().is_some_and(|it| Arc::ptr_eq(it, api));
        if useless.wait_for(this).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    fn set_process(&self, id: Option<u32>) {
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = id;
    }

    /// Starts another server, or gives up and says so.
    async fn again(&self, restarts: &mut Restarts, mut why: String) -> Option<spawn::Running> {
        let pace = &self.start.settings.pace;
        loop {
            let Some(pause) = restarts.next(Instant::now(), pace) else {
                self.set_process(None);
                let gone = format!(
                    "the OpenCode server died {} times in a short while; last: {why}",
                    pace.restarts
                );
                self.tell.send_replace(Live::Gone(gone));
                return None;
            };
            let started = tokio::select! {
                () = self.ending.cancelled() => return self.ended(),
                started = async { tokio::time::sleep(pause).await; spawn::spawn(&self.start).await } => started,
            };
            match started {
                Ok(running) => {
                    self.set_process(running.child.id());
                    self.tell.send_replace(Live::Up(Arc::clone(&running.api)));
                    return Some(running);
                }
                Err(error) => why = error.to_string(),
            }
        }
    }

    fn ended(&self) -> Option<spawn::Running> {
        self.set_process(None);
        self.tell
            .send_replace(Live::Gone("the OpenCode server was ended".to_owned()));
        None
    }

    /// Waits until the server is dead or no use any more, and says which.
    async fn died(&self, running: &mut spawn::Running) -> String {
        let pace = &self.start.settings.pace;
        let mut missed = 0;
        loop {
            tokio::select! {
                exit = running.child.wait() => {
                    let how = exit.map_or_else(|e| e.to_string(), |status| status.to_string());
                    return format!("it ended ({how}): {}", running.tail());
                }
                () = tokio::time::sleep(pace.probe_every) => {}
            }
            match running.api.health(pace.probe_deadline).await {
                Ok(_) => missed = 0,
                Err(error) => {
                    missed += 1;
                    tracing::debug!(%error, missed, "the OpenCode server missed a health probe");
                    if missed >= pace.probes_missed {
                        return format!("it hangs: {error}");
                    }
                }
            }
        }
    }
}

/// How often it was started again, lately.
#[derive(Default)]
struct Restarts {
    at: VecDeque<Instant>,
}

impl Restarts {
    /// How long to wait before the next start; `None` when there were too many.
    fn next(&mut self, now: Instant, pace: &Pace) -> Option<Duration> {
        while self
            .at
            .front()
            .is_some_and(|at| now.duration_since(*at) > pace.restarts_within)
        {
            self.at.pop_front();
        }
        if self.at.len() >= pace.restarts {
            return None;
        }
        // One start every half second, then one, two, four … seconds apart.
        let pause = pace
            .restart_pause
            .saturating_mul(1 << self.at.len().min(16));
        self.at.push_back(now);
        Some(pause.min(Duration::from_secs(30)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts_come_slower_and_slower_and_then_no_more() {
        let pace = Pace::default();
        let mut restarts = Restarts::default();
        let now = Instant::now();
        let pauses: Vec<_> = (0..6)
            .map(|_| restarts.next(now, &pace).map(|p| p.as_millis()))
            .collect();
        assert_eq!(
            pauses,
            [
                Some(500),
                Some(1000),
                Some(2000),
                Some(4000),
                Some(8000),
                None
            ]
        );
        let later = now + pace.restarts_within + Duration::from_secs(1);
        assert_eq!(
            restarts.next(later, &pace),
            Some(Duration::from_millis(500))
        );
    }
}
