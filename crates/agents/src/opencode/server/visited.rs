//! Somebody else's server: used as long as it lives and does what it is told, and never started or ended here. What was
//! begun in it goes on in our own, which reads the same sessions.

use super::{Live, Server};
use crate::opencode::Pace;
use crate::opencode::api::Api;
use crate::opencode::visit::Family;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// So long nobody answers behind a socket before the process is taken to be gone. One that lives may close its socket and
/// open it again at the same path, as soon as its user goes on.
const GONE: Duration = Duration::from_secs(60);

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

/// Stops what was begun in a server that is left, until it says itself that nothing of it goes on, or is gone: what stood
/// still there must not write into workspaces that others have by now. It says yes to an abort also where the session
/// goes on for a while.
async fn silence(api: Arc<Api>, bridge: PathBuf, pace: Pace, family: Family) {
    let (mut heard, mut pause) = (Instant::now(), pace.reconnect);
    while heard.elapsed() < GONE {
        if UnixStream::connect(&bridge).await.is_ok() {
            let mut all = true;
            for (session, directory) in family.members() {
                all &= matches!(api.stilled(&directory, &session).await, Ok(true));
            }
            if all {
                return;
            }
            heard = Instant::now();
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(pace.poll_most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::UnixListener;
    use tokio::sync::mpsc;

    /// Whoever is behind the socket; it answers once it may, and tells what it was asked for. A session is at work in it
    /// until it was told twice to end.
    fn behind(socket: &Path) -> (watch::Sender<bool>, mpsc::UnboundedReceiver<String>) {
        let listener = UnixListener::bind(socket).unwrap();
        let (answers, mut may) = watch::channel(false);
        let (tell, told) = mpsc::unbounded_channel();
        let aborts = Arc::new(AtomicUsize::new(0));
        tokio::spawn(async move {
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    // It ends with the test's side of it.
                    ended = async { while may.changed().await.is_ok() {} } => { let () = ended; return }
                };
                let (mut stream, _) = accepted.unwrap();
                let (mut may, tell, aborts) = (may.clone(), tell.clone(), aborts.clone());
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    let mut byte = [0];
                    while !head.ends_with(b"\r\n\r\n") {
                        match stream.read(&mut byte).await {
                            Ok(1) => head.push(byte[0]),
                            _ => return,
                        }
                    }
                    if may.wait_for(|may| *may).await.is_err() {
                        return;
                    }
                    let head = String::from_utf8_lossy(&head);
                    let line = head.lines().next().unwrap_or_default().to_owned();
                    let body = match line.split(' ').nth(1) {
                        Some("/session/ses_child/abort") => {
                            aborts.fetch_add(1, Ordering::SeqCst);
                            "true"
                        }
                        Some("/session/status") if aborts.load(Ordering::SeqCst) < 2 => {
                            r#"{"ses_child":{"type":"busy"}}"#
                        }
                        Some("/session/status") => "{}",
                        _ => "true",
                    };
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                        body.len()
                    );
                    stream.write_all(answer.as_bytes()).await.ok();
                    tell.send(line).ok();
                });
            }
        });
        (answers, told)
    }

    /// A visited server, our own beside it, and why it is lost.
    fn visit(socket: &Path) -> (Server, Arc<Api>, mpsc::UnboundedReceiver<String>) {
        let quick = Duration::from_millis(1);
        let pace = Pace {
            probe_every: quick,
            probe_deadline: quick,
            reconnect: quick,
            ..Pace::default()
        };
        let api = Arc::new(Api::over(socket, Duration::from_secs(5)).unwrap());
        let family = Family::of(Arc::clone(&api), "ses_parent".to_owned());
        family.add("ses_child", Path::new("/lane"));
        let (tell, why) = mpsc::unbounded_channel();
        let visited = Visited {
            api,
            version: "1".to_owned(),
            bridge: socket.to_owned(),
            pace,
            family,
            lost: Box::new(move |why| tell.send(why.to_owned()).unwrap()),
        };
        let mine = Arc::new(Api::over(Path::new("/nowhere"), quick).unwrap());
        let (stays, live) = watch::channel(Live::Up(Arc::clone(&mine)));
        // As long as the test runs.
        tokio::spawn(async move { stays.closed().await });
        let own = Server {
            live,
            useless: watch::Sender::new(None),
            version: String::new(),
            process: Arc::default(),
            ending: CancellationToken::new(),
            keeper: Mutex::new(None),
        };
        (Server::visit(visited, &own), mine, why)
    }

    /// Waits until the session was told to end for as long as it was at work.
    async fn stopped(told: &mut mpsc::UnboundedReceiver<String>) {
        let mut aborts = 0;
        while aborts < 2 {
            let line = told
                .recv()
                .await
                .expect("what was begun there was not stopped");
            aborts += usize::from(line.starts_with("POST /session/ses_child/abort"));
        }
    }

    #[tokio::test]
    async fn one_that_stands_still_is_left_and_stopped_as_soon_as_it_hears() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let (answers, mut told) = behind(&socket);
        let (server, mine, mut why) = visit(&socket);
        assert_eq!(why.recv().await.unwrap(), "it does not answer");
        let mut live = server.watch();
        let is_mine = |live: &Live| matches!(live, Live::Up(api) if Arc::ptr_eq(api, &mine));
        live.wait_for(is_mine).await.unwrap();
        answers.send_replace(true);
        stopped(&mut told).await;
    }

    #[tokio::test]
    async fn one_that_comes_back_at_the_same_place_is_stopped_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let (_server, _mine, mut why) = visit(&socket);
        drop((listener.accept().await.unwrap(), listener));
        std::fs::remove_file(&socket).unwrap();
        assert_eq!(why.recv().await.unwrap(), "it has ended");
        let (answers, mut told) = behind(&socket);
        answers.send_replace(true);
        stopped(&mut told).await;
    }

    #[tokio::test]
    async fn one_that_ends_is_left_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let (server, mine, mut why) = visit(&socket);
        let (line, _) = listener.accept().await.unwrap();
        drop((listener, line));
        assert_eq!(why.recv().await.unwrap(), "it has ended");
        let is_mine = |live: &Live| matches!(live, Live::Up(api) if Arc::ptr_eq(api, &mine));
        server.watch().wait_for(is_mine).await.unwrap();
        server.close().await;
        assert!(server.up().await.is_err());
    }
}
