//! A model server that says what a script tells it to: OpenAI's chat completions on a loopback port.
//!
//! A test hands [`Model::start`] a closure from [`Request`] to [`Reply`]. Whatever a provider can do to its caller, a
//! reply can do: answer, call tools, run out of length, refuse, hang, break off, speak nonsense. Nothing here waits
//! for the wall clock; what has to be slow is held by a [`Gate`] that the test opens.

mod reply;
mod request;

pub use reply::{End, Finish, Gate, Reply, Tokens};
pub use request::{Message, Request};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use axum::routing::{get, post};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

type Script = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

/// A running model server. It ends when it is dropped.
pub struct Model {
    port: u16,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

/// What the server and the test both see.
struct Shared {
    state: Mutex<Inner>,
    changed: Notify,
}

struct Inner {
    script: Script,
    log: Vec<Request>,
    running: usize,
    peak: usize,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a request as running until it is dropped, however it ends.
struct Running(Arc<Shared>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
        self.0.changed.notify_waiters();
    }
}

impl Model {
    /// Starts a server on a free loopback port.
    ///
    /// # Panics
    ///
    /// When no loopback port can be had.
    pub async fn start(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::new(Inner {
                script: Arc::new(script),
                log: Vec::new(),
                running: 0,
                peak: 0,
            }),
            changed: Notify::new(),
        });
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a free loopback port");
        let port = listener
            .local_addr()
            .expect("a bound socket has an address")
            .port();
        let app = axum::Router::new()
            .route("/v1/chat/completions", post(complete))
            .route("/v1/models", get(async || r#"{"object":"list","data":[]}"#))
            .layer(axum::extract::DefaultBodyLimit::max(256 << 20))
            .with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            // A test server that cannot serve shows as a failing test; there is nobody to tell.
            let _unserved = axum::serve(listener, app).await;
        });
        Self {
            port,
            shared,
            server,
        }
    }

    /// The base address, as a provider's `baseURL`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// Replaces the script for the requests to come.
    pub fn script(&self, script: impl Fn(&Request) -> Reply + Send + Sync + 'static) {
        self.shared.lock().script = Arc::new(script);
    }

    /// All requests so far, in the order of their arrival.
    pub fn log(&self) -> Vec<Request> {
        self.shared.lock().log.clone()
    }

    /// How many requests were answered at once, at the most.
    pub fn peak(&self) -> usize {
        self.shared.lock().peak
    }

    /// Waits until the log fits, and returns it. The test's own time limit is the deadline.
    pub async fn until(&self, fits: impl Fn(&[Request]) -> bool) -> Vec<Request> {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let log = self.log();
            if fits(&log) {
                return log;
            }
            changed.await;
        }
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn complete(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let request = Request::read(&headers, &body);
    let script = {
        let mut inner = shared.lock();
        inner.running += 1;
        inner.peak = inner.peak.max(inner.running);
        inner.log.push(request.clone());
        Arc::clone(&inner.script)
    };
    shared.changed.notify_waiters();
    let running = Running(shared);
    script(&request).respond(&request, running).await
}

#[cfg(test)]
mod tests;
