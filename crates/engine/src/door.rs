//! The private socket of a running engine: one JSON line in, one JSON line out.
//!
//! The folder is 0700 and ours, the socket 0600, and a peer of another user is closed before a byte is read. Only
//! wishes pass here; what is shown is read from the journal.

use crate::dispatcher::{Gone, Handle};
use mission::input::{Input, Reply};
use mission::question::QuestionId;
use mission::terms::Deliver;
use mission::todo::TodoEdit;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The longest line that is read, in bytes.
const LINE: u64 = 1 << 20;
/// Connections at once; further ones wait in the kernel's queue.
const CONNECTIONS: usize = 64;
/// How long a connection may be silent.
const IDLE: Duration = Duration::from_secs(10);
/// The wait after a connection that could not be accepted.
const RETRY: Duration = Duration::from_millis(100);
/// How long an engine may take to answer.
const ANSWER: Duration = Duration::from_secs(30);
/// The longest path that a socket can be bound to, in bytes.
const PATH: usize = 107;

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
    /// The folder is not safe.
    #[error("{folder:?} {why}; remove it, or name another state directory")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The path is too long for a socket.
    #[error(
        "{0:?} is longer than the {PATH} bytes that a socket may have; name a state directory with a shorter path"
    )]
    Long(PathBuf),
    /// The system said no.
    #[error("the socket {path:?} cannot be used: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
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
pub struct Door {
    path: PathBuf,
    listener: UnixListener,
}

/// Makes the folder of doors, or checks the one that is there: a real folder, ours, closed to others.
fn check_folder(folder: &Path) -> Result<(), Error> {
    let wrong = |why| Error::Folder {
        folder: folder.to_owned(),
        why,
    };
    let io = |source| Error::Io {
        path: folder.to_owned(),
        source,
    };
    match fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
    {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(io(error)),
        _ => {}
    }
    let found = fs::symlink_metadata(folder).map_err(io)?;
    if !found.is_dir() {
        return Err(wrong("is not a folder"));
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(wrong("belongs to another user"));
    }
    if found.mode() & 0o077 != 0 {
        return Err(wrong("is open to other users"));
    }
    Ok(())
}

impl Door {
    /// Opens a door at a path whose folder is made if it is not there. What an engine that was killed left there is
    /// replaced; anything that is not a socket is left alone.
    ///
    /// # Errors
    /// See [`Error`]; nothing was changed.
    pub fn open(path: &Path) -> Result<Self, Error> {
        if path.as_os_str().len() > PATH {
            return Err(Error::Long(path.to_owned()));
        }
        check_folder(path.parent().unwrap_or(Path::new("/")))?;
        let io = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        match fs::symlink_metadata(path) {
            Ok(found) if std::os::unix::fs::FileTypeExt::is_socket(&found.file_type()) => {
                fs::remove_file(path).map_err(io)?;
            }
            Ok(_) => {
                return Err(Error::Folder {
                    folder: path.to_owned(),
                    why: "is not a socket",
                });
            }
            Err(_) => {}
        }
        let listener = UnixListener::bind(path).map_err(io)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(io)?;
        Ok(Self {
            path: path.to_owned(),
            listener,
        })
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
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        tracing::warn!(%error, "a connection was not accepted");
                        // Too many open files, mostly: trying again at once would only burn time.
                        tokio::time::sleep(RETRY).await;
                        continue;
                    }
                },
                () = stop.cancelled() => break,
            };
            let ours = stream
                .peer_cred()
                .is_ok_and(|peer| peer.uid() == rustix::process::geteuid().as_raw());
            if !ours {
                continue;
            }
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

impl Drop for Door {
    fn drop(&mut self) {
        // Whoever finds the file later finds nobody behind it, which is told apart from an engine anyway.
        fs::remove_file(&self.path).ok();
    }
}

/// Answers one guest, line by line.
async fn attend(stream: UnixStream, handle: Handle) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = Vec::new();
        let mut bounded = (&mut reader).take(LINE);
        match tokio::time::timeout(IDLE, bounded.read_until(b'\n', &mut line)).await {
            Ok(Ok(n)) if n > 0 => {}
            _ => return,
        }
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
    let io = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    let mut stream = match UnixStream::connect(path).await {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(io(error)),
    };
    let asked = Asked {
        v: TALK,
        by: by.to_owned(),
        wish,
    };
    let mut bytes = serde_json::to_vec(&asked).map_err(|error| io(error.into()))?;
    bytes.push(b'\n');
    stream.write_all(&bytes).await.map_err(io)?;
    let mut line = String::new();
    let mut reader = BufReader::new(stream).take(LINE);
    let read = tokio::time::timeout(ANSWER, reader.read_line(&mut line)).await;
    read.map_err(|_| Error::Silent(path.to_owned()))?
        .map_err(io)?;
    if !line.ends_with('\n') {
        return Err(Error::Ended(path.to_owned()));
    }
    let told = serde_json::from_str(&line).map_err(|error| Error::Foreign {
        path: path.to_owned(),
        why: error.to_string(),
    });
    told.map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

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
