//! The server's event stream, as hints.
//!
//! The stream has no ids and cannot resume, so nothing is concluded from it: an event says which session to look at,
//! and a question that it carries saves asking for it. A lost, doubled or invented event changes nothing but the time
//! at which we look.

use super::Pace;
use super::api::Api;
use super::server::Live;
use super::{usage, wire};
use futures_util::{Stream, StreamExt};
use mission::stagnation::{Act, ActKind};
use mission::turn::Usage;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sse_stream::SseByteStream;
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::{mpsc, watch};
use tokio_util::bytes::Bytes;

/// The longest line that is read; longer ones are dropped.
const MAX_LINE: usize = 1 << 20;

/// How many hints wait for one turn. When there are more, the turn looks for itself soon enough.
const WAITING: usize = 256;

/// What an event says about one session.
#[derive(Clone, Debug)]
pub(super) enum Hint {
    /// Something went on.
    Progress,
    /// It uses a tool.
    Doing(String),
    /// It has used a tool.
    Did(Did),
    /// It is at work.
    Busy,
    /// It waits for the provider.
    Retry {
        attempt: u32,
        message: String,
        next: f64,
    },
    /// It has come to an end.
    Idle,
    /// Something failed; terminal if it is not busy.
    Fault(wire::Fault),
    /// One model call is over.
    Step(Step),
    /// It asks for a permission.
    Permission(wire::Permission),
    /// It asks a question.
    Question(wire::Asked),
    /// What it asked for was answered, by us or by somebody else.
    Settled(wire::Settled),
    /// The stream was away, so anything may have happened.
    Look,
}

/// A finished tool call.
#[derive(Clone, Debug)]
pub(super) struct Did {
    /// Which one.
    pub(super) part: String,
    /// What kind of step it was, and what stands for it and for what it gave back.
    pub(super) act: Act,
    /// The call in one line.
    pub(super) what: String,
}

/// A finished model call.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// Which one: the end of a call may be told more than once.
    pub(super) part: String,
    /// What it used.
    pub(super) used: Usage,
    /// Whether it ended without the model saying that it ends.
    pub(super) broken: bool,
}

/// Who wants to hear of which session.
#[derive(Clone, Default)]
pub(super) struct Hub(Arc<Mutex<HashMap<String, mpsc::Sender<Hint>>>>);

/// One session's hints, until it is dropped.
pub(super) struct Hints {
    session: String,
    hub: Weak<Mutex<HashMap<String, mpsc::Sender<Hint>>>>,
    sender: mpsc::WeakSender<Hint>,
    receiver: mpsc::Receiver<Hint>,
}

impl Hints {
    /// The next one. Never ends.
    pub(super) async fn next(&mut self) -> Hint {
        match self.receiver.recv().await {
            Some(hint) => hint,
            None => std::future::pending().await,
        }
    }
}

impl Hints {
    /// One that is there already.
    pub(super) fn ready(&mut self) -> Option<Hint> {
        self.receiver.try_recv().ok()
    }
}

impl Drop for Hints {
    fn drop(&mut self) {
        if let Some(hub) = self.hub.upgrade() {
            let mut hub = hub.lock().unwrap_or_else(PoisonError::into_inner);
            // Somebody else may hear of the session by now.
            let ours = self.sender.upgrade();
            let ours = ours.as_ref();
            if hub
                .get(&self.session)
                .is_some_and(|it| ours.is_some_and(|ours| it.same_channel(ours)))
            {
                hub.remove(&self.session);
            }
        }
    }
}

impl Hub {
    /// Hears of a session from now on.
    pub(super) fn hear(&self, session: &str) -> Hints {
        let (sender, receiver) = mpsc::channel(WAITING);
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(session.to_owned(), sender.clone());
        Hints {
            session: session.to_owned(),
            sender: sender.downgrade(),
            hub: Arc::downgrade(&self.0),
            receiver,
        }
    }

    fn tell(&self, session: &str, hint: Hint) {
        let hub = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = hub.get(session)
            && sender.try_send(hint).is_err()
        {
            tracing::debug!(session, "a hint is dropped because too many wait");
        }
    }

    fn tell_all(&self) {
        let hub = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for sender in hub.values() {
            // A full queue needs no further reason to look.
            let _full = sender.try_send(Hint::Look);
        }
    }

    /// Reads the stream of one server after another, for ever.
    pub(super) async fn follow(self, mut live: watch::Receiver<Live>, pace: Pace) {
        let mut pause = pace.reconnect;
        loop {
            let up = match &*live.borrow_and_update() {
                Live::Up(api) => Some(Arc::clone(api)),
                Live::Down | Live::Ending => None,
                Live::Gone(_) => {
                    self.tell_all();
                    return;
                }
            };
            let Some(api) = up else {
                if live.changed().await.is_err() {
                    return;
                }
                continue;
            };
            tokio::select! {
                frames = self.read(&api, &pace) => {
                    tracing::debug!(frames, "the event stream ended");
                    pause = if frames > 1 { pace.reconnect } else { (pause * 2).min(pace.poll_most) };
                    tokio::time::sleep(pause).await;
                }
                changed = live.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Reads one stream to its end, and says how many frames it had.
    async fn read(&self, api: &Api, pace: &Pace) -> usize {
        let response = match api.events().await {
            Ok(response) => response,
            Err(error) => {
                tracing::debug!(%error, "no event stream");
                return 0;
            }
        };
        self.tell_all();
        let lines = bounded(response.bytes_stream());
        let mut frames = std::pin::pin!(SseByteStream::new(lines));
        let mut count = 0;
        loop {
            // A heartbeat comes every ten seconds; a stream without any is dead however open it looks.
            match tokio::time::timeout(pace.stream_silence, frames.next()).await {
                Ok(Some(Ok(frame))) => {
                    count += 1;
                    if let Some(data) = frame.data {
                        self.frame(&data);
                    }
                }
                Ok(Some(Err(_)) | None) | Err(_) => return count,
            }
        }
    }

    fn frame(&self, data: &str) {
        let Ok(wire::Frame { payload }) = serde_json::from_str::<wire::Frame>(data) else {
            tracing::debug!(bytes = data.len(), "an event cannot be read");
            return;
        };
        if let Some((session, hint)) = hint(&payload.r#type, payload.properties) {
            self.tell(&session, hint);
        }
    }
}

/// What an event says, and about which session; `None` for what does not concern a turn.
fn hint(kind: &str, properties: Value) -> Option<(String, Hint)> {
    let session = properties["sessionID"].as_str().map(str::to_owned);
    let hint = match kind {
        "session.idle" => Hint::Idle,
        "session.error" => Hint::Fault(typed(&properties["error"])?),
        "session.status" => match typed(&properties["status"])? {
            wire::Status::Idle => Hint::Idle,
            wire::Status::Busy => Hint::Busy,
            wire::Status::Retry {
                attempt,
                message,
                next,
            } => Hint::Retry {
                attempt,
                message,
                next,
            },
            wire::Status::Unknown => Hint::Look,
        },
        "permission.asked" => {
            let asked: wire::Permission = typed(&properties)?;
            return Some((asked.session.clone(), Hint::Permission(asked)));
        }
        "question.asked" => {
            let asked: wire::Asked = typed(&properties)?;
            return Some((asked.session.clone(), Hint::Question(asked)));
        }
        "permission.replied" | "question.replied" | "question.rejected" => {
            Hint::Settled(typed(&properties)?)
        }
        "message.part.delta" => Hint::Progress,
        "message.part.updated" => {
            let part: wire::Part = typed(&properties["part"])?;
            let told = part_hint(&part);
            return Some((session.unwrap_or(part.session), told));
        }
        "message.updated" => {
            let info: wire::Info = typed(&properties["info"])?;
            return Some((session.unwrap_or(info.session), Hint::Progress));
        }
        _ => return None,
    };
    Some((session?, hint))
}

fn typed<T: DeserializeOwned>(value: &Value) -> Option<T> {
    T::deserialize(value).ok()
}

fn part_hint(part: &wire::Part) -> Hint {
    match part.r#type.as_str() {
        "step-finish" => Hint::Step(Step {
            part: part.id.clone(),
            used: usage::step(part),
            broken: matches!(part.reason.as_str(), "unknown" | "other"),
        }),
        "tool" if part.state.status == "running" => {
            doing(&part.tool, &part.state.input).map_or(Hint::Progress, Hint::Doing)
        }
        "tool" if matches!(part.state.status.as_str(), "completed" | "error") => Hint::Did(Did {
            part: part.id.clone(),
            act: act(part),
            what: doing(&part.tool, &part.state.input).unwrap_or_else(|| part.tool.clone()),
        }),
        _ => Hint::Progress,
    }
}

/// A finished tool call as the core looks at it.
fn act(part: &wire::Part) -> Act {
    fn number(what: impl Hash) -> u64 {
        let mut hasher = DefaultHasher::new();
        what.hash(&mut hasher);
        hasher.finish()
    }
    let state = &part.state;
    let kind = match part.tool.as_str() {
        "edit" | "write" | "patch" | "apply_patch" | "multiedit" => ActKind::Change,
        "bash" => ActKind::Run,
        "todowrite" | "todoread" | "question" => ActKind::Other,
        _ => ActKind::Look,
    };
    let exit = state.metadata.exit.as_i64();
    // What an agent says beside a command changes nothing of what it does.
    let counts = |name: &str| kind != ActKind::Run || name != "description";
    let fields = state.input.as_object().into_iter().flatten();
    let asked: BTreeMap<&String, &Value> = fields.filter(|(name, _)| counts(name)).collect();
    Act {
        kind,
        what: number((&part.tool, asked)),
        gave: number((state.output.exact, state.error.exact)),
        alike: number((state.output.alike, state.error.alike)),
        failed: state.status == "error" || exit.is_some_and(|exit| exit != 0),
    }
}

/// A tool call in one line: `bash: cargo test`.
pub(super) fn doing(tool: &str, input: &Value) -> Option<String> {
    let about = ["command", "filePath", "pattern", "path"]
        .iter()
        .find_map(|key| input[*key].as_str())?;
    let line = about.lines().next().unwrap_or_default();
    Some(format!(
        "{tool}: {}",
        line.chars().take(200).collect::<String>()
    ))
}

/// Passes bytes on, but of a line longer than [`MAX_LINE`] only the beginning, so that no line grows without end.
fn bounded<E>(
    stream: impl Stream<Item = Result<Bytes, E>>,
) -> impl Stream<Item = Result<Bytes, E>> {
    let mut length = 0;
    stream.map(move |chunk| {
        chunk.map(|chunk| {
            if length + chunk.len() <= MAX_LINE {
                length = chunk
                    .iter()
                    .rposition(|b| *b == b'\n')
                    .map_or(length + chunk.len(), |at| chunk.len() - at - 1);
                return chunk;
            }
            let mut kept = Vec::with_capacity(chunk.len().min(MAX_LINE));
            for byte in chunk.iter().copied() {
                length = if byte == b'\n' { 0 } else { length + 1 };
                if length <= MAX_LINE {
                    kept.push(byte);
                }
            }
            Bytes::from(kept)
        })
    })
}

#[cfg(test)]
mod tests;
