//! Somebody else's server: used as long as it lives and does what it is told, and never started or ended here. What was
//! begun in it goes on in our own, which reads the same sessions.

use super::{Live, Server};
use crate::opencode::Pace;
use crate::opencode::api::Api;
use crate::opencode::visit::Family;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A server to be visited.
pub(in crate::opencode) struct Visited {
    pub(in crate::opencode) api: Arc<Api>,
    pub(in crate::opencode) version: String,
    /// The private socket that it answers on.
    pub(in crate::opencode) bridge: PathBuf,
    pub(in crate::opencode) pace: Pace,
    /// What was begun in it.
    pub(in crate::opencode) family: Family,
    /// Told once, and why, when it is of no use any more.
    pub(in crate::opencode) lost: Box<dyn FnOnce(&str) + Send + Sync>,
}

impl Server {
    /// A visited server, and when that is lost our own, as it comes and goes.
    pub(in crate::opencode) fn visit(visited: Visited, own: &Self) -> Self {
        let (tell, live) = watch::channel(Live::Up(Arc::clone(&visited.api)));
        let (useless, told) = watch::channel(None);
        let ending = CancellationToken::new();
        let version = visited.version.clone();
        let keeper = Keeper {
            visited,
            tell,
            useless: told,
            own: own.live.clone(),
            own_useless: own.useless.clone(),
            ending: ending.clone(),
        };
        Self {
            live,
            useless,
            version,
            process: Arc::default(),
            ending,
            keeper: Mutex::new(Some(tokio::spawn(keeper.keep()))),
        }
    }

    /// Whether this very server is the one to talk to now.
    pub(in crate::opencode) fn is_at(&self, api: &Arc<Api>) -> bool {
        matches!(&*self.live.borrow(), Live::Up(up) if Arc::ptr_eq(up, api))
    }
}

struct Keeper {
    visited: Visited,
    tell: watch::Sender<Live>,
    useless: watch::Receiver<Option<Arc<Api>>>,
    own: watch::Receiver<Live>,
    own_useless: watch::Sender<Option<Arc<Api>>>,
    ending: CancellationToken,
}

impl Keeper {
    async fn keep(self) {
        let ending = self.ending.clone();
        let tell = self.tell.clone();
        tokio::select! {
            () = ending.cancelled() => {}
            () = self.follow() => {}
        }
        tell.send_replace(Live::Gone("the OpenCode server is left".to_owned()));
    }

    async fn follow(self) {
        let Self {
            visited,
            tell,
            mut useless,
            mut own,
            own_useless,
            ..
        } = self;
        let is_it = |told: &Option<Arc<Api>>| {
            told.as_ref()
                .is_some_and(|it| Arc::ptr_eq(it, &visited.api))
        };
        let why = tokio::select! {
            why = lost(&visited) => why,
            Ok(_) = useless.wait_for(is_it) => "it does not stop a session",
        };
        tracing::warn!(why, "a visited OpenCode server is left");
        let Visited {
            api,
            bridge,
            pace,
            family,
            lost,
            ..
        } = visited;
        lost(why);
        // It does not end with the visit: who stands still may go on long after it.
        tokio::spawn(silence(api, bridge, pace, family));
        loop {
            tell.send_replace(own.borrow_and_update().clone());
            tokio::select! {
                changed = own.changed() => if changed.is_err() { return },
                changed = useless.changed() => {
                    if changed.is_err() { return }
                    own_useless.send_replace(useless.borrow_and_update().clone());
                }
            }
        }
    }
}

/// Waits until the server is of no use any more, and says why.
async fn lost(visited: &Visited) -> &'static str {
    let pace = &visited.pace;
    let (mut line, mut missed) = (None, 0);
    loop {
        // A connection on which nothing is said: its end tells at once that the process behind it is gone.
        let open = match line.take() {
            Some(open) => open,
            None => match UnixStream::connect(&visited.bridge).await {
                Ok(open) => open,
                Err(_) => return "it has ended",
            },
        };
        tokio::select! {
            open = ended(open) => {
                drop(open);
                tokio::time::sleep(pace.reconnect).await;
                continue;
            }
            () = tokio::time::sleep(pace.probe_every) => {}
        }
        match visited.api.health(pace.probe_deadline).await {
            Ok(_) => missed = 0,
            Err(_) => missed += 1,
        }
        if missed >= pace.probes_missed {
            return "it does not answer";
        }
    }
}

/// Waits until the other side has closed.
async fn ended(mut open: UnixStream) -> UnixStream {
    let mut bytes = [0; 64];
    while open.read(&mut bytes).await.is_ok_and(|n| n > 0) {}
    open
}

/// Stops what was begun in a server that is left, as soon as it hears that, or until it is gone: what stood still there
/// must not write into workspaces that others have by now.
async fn silence(api: Arc<Api>, bridge: PathBuf, pace: Pace, family: Family) {
    while UnixStream::connect(&bridge).await.is_ok() {
        let mut all = true;
        for (session, directory) in family.members() {
            all &= api.abort(&directory, &session).await.is_ok();
        }
        if all {
            return;
        }
        tokio::time::sleep(pace.probe_every).await;
    }
}
