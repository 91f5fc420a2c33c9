//! The private socket of a running engine: one JSON line in, one JSON line out.
//!
//! The folder is 0700 and ours, the socket 0600, and a peer of another user is closed before a byte is read. Only
//! wishes pass here; what is shown is read from the journal.

use crate::dispatcher::{Gone, Handle};
use crate::socket::{self, Socket};
use mission::input::{Input, Reply};
use mission::question::QuestionId;
use mission::terms::Deliver;
use mission::todo::TodoEdit;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections at once; further ones wait in the kernel's queue.
const CONNECTIONS: usize = 64;
/// How long a connection may be silent.
const IDLE: Duration = Duration::from_secs(10);
/// How long an engine may take to answer.
const ANSWER: Duration = Duration::from_secs(30);

/// What somebody wants of a mission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "want", deny_unknown_fields)]
pub enum Wish {
    /// A question is answered.
    Answer {
        /// Which.
        id: QuestionId,
        /// How.
        text: String,
    },
    /// The TODO is changed.
    Edit {
        /// How.
        edit: TodoEdit,
    },
    /// The mission ends; its work is kept.
    Cancel,
    /// A sealed mission goes on.
    Resume {
        /// Tokens added to its budget.
        more_tokens: u64,
        /// Whether what is left is planned anew.
        replan: bool,
    },
    /// The result is handed over.
    Deliver {
        /// In which form.
        form: Deliver,
    },
    /// A delivery is taken back.
    Undo,
}

impl Wish {
    /// The input that it is for a mission.
    pub fn input(self, by: &str) -> Input {
        let by = by.to_owned();
        match self {
            Self::Answer { id, text } => Input::Answer { id, text, by },
            Self::Edit { edit } => Input::Edit { edit, by },
            Self::Cancel => Input::Cancel { by },
            Self::Resume {
                more_tokens,
                replan,
            } => Input::Resume {
                by,
                more_tokens,
                replan,
            },
            Self::Deliver { form } => Input::Deliver { form },
            Self::Undo => Input::Undo { by },
        }
    }
}

/// One line to an engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    /// The version of this form of talk.
    v: u16,
    by: String,
    #[serde(flatten)]
    wish: Wish,
}

/// The form of talk that this program speaks.
const TALK: u16 = 1;

/// What came of a wish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reply")]
pub enum Told {
    /// It took effect, durably.
    Done,
    /// It meant nothing any more.
    Stale,
    /// It was not done.
    Refused {
        /// Why, and what to do.
        why: String,
    },
}

impl From<Reply> for Told {
    fn from(reply: Reply) -> Self {
        match reply {
            Reply::Done => Self::Done,
            Reply::Stale => Self::Stale,
            Reply::Refused(refusal) => Self::Refused {
                why: refusal.to_string(),
            },
        }
    }
}

/// Why a door cannot be opened or reached.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket.
    #[error(transparent)]
    Socket(#[from] socket::Error),
    /// The engine did not answer.
    #[error(
        "the engine at {0:?} did not answer within {ANSWER:?}; it may be stopped. `orchestrator status` tells its process"
    )]
    Silent(PathBuf),
    /// The engine ended before it answered.
    #[error(
        "the engine at {0:?} ended before it answered; `orchestrator log` tells whether it took effect"
    )]
    Ended(PathBuf),
    /// It answered something else.
    #[error("the engine at {path:?} speaks another language: {why}. Is it of another version?")]
    Foreign {
        /// Which.
        path: PathBuf,
        /// What was wrong.
        why: String,
    },
}

/// An open door. Closed when it is dropped.
#[derive(Debug)]
pub struct Door(Socket);

impl Door {
    /// Opens a door at a path whose folder is made if it is not there. What an engine that was killed left there is
    /// replaced; anything that is not a socket is left alone.
    ///
    /// # Errors
    /// See [`Error`]; nothing was changed.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Ok(Self(Socket::open(path)?))
    }

    /// Answers until it is told to stop.
    pub async fn serve(self, handle: Handle, stop: CancellationToken) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let guests = TaskTracker::new();
        loop {
            let Ok(place) = places.clone().acquire_owned().await else {
                break;
            };
            let stream = tokio::select! {
                stream = self.0.accept() => stream,
                () = stop.cancelled() => break,
            };
            let (handle, stop) = (handle.clone(), stop.clone());
            guests.spawn(async move {
                tokio::select! {
                    () = attend(stream, handle) => {}
                    () = stop.cancelled() => {}
                }
                drop(place);
            });
        }
        guests.close();
        guests.wait().await;
    }
}

/// Answers one guest, line by line.
async fn attend(stream: UnixStream, handle: Handle) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let Some(line) = socket::line(&mut reader, IDLE).await else {
            return;
        };
        let told = match serde_json::from_slice::<Asked>(&line) {
            Ok(asked) if asked.v == TALK => match handle.tell(asked.wish.input(&asked.by)).await {
                Ok(reply) => reply.into(),
                // Whether it took effect is not known here, so nothing is said of it.
                Err(Gone) => return,
            },
            Ok(asked) => Told::Refused {
                why: format!("this engine speaks version {TALK}, not {}", asked.v),
            },
            Err(error) => Told::Refused {
                why: format!("the line is not understood: {error}"),
            },
        };
        let Ok(mut bytes) = serde_json::to_vec(&told) else {
            return;
        };
        bytes.push(b'\n');
        // A guest who never reads does not keep its place.
        let written = tokio::time::timeout(IDLE, writer.write_all(&bytes)).await;
        if !matches!(written, Ok(Ok(()))) {
            return;
        }
    }
}

/// Tells a wish to the engine behind a door. `None` if nobody is behind it.
///
/// # Errors
/// Somebody is there and the wish did not reach it, or its answer did not come back: whether it took effect, the
/// journal says.
pub async fn tell(path: &Path, by: &str, wish: Wish) -> Result<Option<Told>, Error> {
    let io = |error| Error::from(socket::Error::io(path)(error));
    let Some(mut stream) = socket::connect(path).await? else {
        return Ok(None);
    };
    let asked = Asked {
        v: TALK,
        by: by.to_owned(),
        wish,
    };
    let mut bytes = serde_json::to_vec(&asked).map_err(|error| io(error.into()))?;
    bytes.push(b'\n');
    stream.write_all(&bytes).await.map_err(io)?;
    let mut reader = BufReader::new(stream);
    let read = tokio::time::timeout(ANSWER, socket::line(&mut reader, ANSWER * 2)).await;
    let Some(line) = read.map_err(|_| Error::Silent(path.to_owned()))? else {
        return Err(Error::Ended(path.to_owned()));
    };
    let told = serde_json::from_slice(&line).map_err(|error| Error::Foreign {
        path: path.to_owned(),
        why: error.to_string(),
    });
    told.map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncBufReadExt as _;
    use tokio::net::UnixListener;

    #[tokio::test]
    async fn an_engine_that_ends_before_it_answered_is_not_taken_for_a_foreign_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("door");
        let listener = UnixListener::bind(&path).unwrap();
        let engine = async {
            let (stream, _) = listener.accept().await.unwrap();
            let mut line = String::new();
            let mut stream = BufReader::new(stream);
            stream.read_line(&mut line).await.unwrap();
            stream.write_all(b"{\"reply\":").await.unwrap();
        };
        let (told, ()) = tokio::join!(tell(&path, "me", Wish::Cancel), engine);
        assert!(matches!(told, Err(Error::Ended(_))), "{told:?}");
    }
}
