//! The private socket of a running engine: one JSON line in, one JSON line out.
//!
//! The folder is 0700 and ours, the socket 0600, and a peer of another user is closed before a byte is read. Only
//! wishes pass here; what is shown is read from the journal.

use crate::dispatcher::{Gone, Handle};
use crate::socket::{self, Socket};
use mission::ids::TaskId;
use mission::input::{Input, Reply};
use mission::plan::{PlanEdit, Priority};
use mission::question::QuestionId;
use mission::steering::Dependents;
use mission::terms::Deliver;
use mission::todo::TodoEdit;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections at once. For one more, the one goes that has been silent longest; while all of them are being answered, it
/// waits.
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
    /// The plan is changed.
    EditPlan {
        /// How.
        edit: PlanEdit,
        /// The version of the plan that its writer saw.
        saw: u64,
    },
    /// A task is tried again.
    Retry {
        /// Which.
        task: TaskId,
        /// What whoever tries it should know; empty for nothing more.
        #[serde(default)]
        note: String,
    },
    /// A task is not done.
    Skip {
        /// Which.
        task: TaskId,
        /// Why.
        why: String,
        /// What becomes of those that need it.
        #[serde(default)]
        dependents: Dependents,
    },
    /// A task starts sooner or later than it would.
    Prioritise {
        /// Which.
        task: TaskId,
        /// Its class from now on.
        priority: Priority,
    },
    /// The mission ends; its work is kept.
    Cancel,
    /// The mission ends, and its workspaces stay as they are.
    Abort,
    /// No more turns begin for now.
    Pause,
    /// The agents are told something more.
    Steer {
        /// The task that it is about; of all where there is none.
        task: Option<TaskId>,
        /// The words.
        text: String,
    },
    /// A paused or a sealed mission goes on.
    Resume {
        /// Tokens added to its budget.
        more_tokens: u64,
        /// Money added to it, in millionths of a US dollar.
        #[serde(default)]
        more_money: u64,
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
            Self::EditPlan { edit, saw } => Input::EditPlan { edit, saw, by },
            Self::Retry { task, note } => Input::Retry { task, note, by },
            Self::Skip {
                task,
                why,
                dependents,
            } => Input::Skip {
                task,
                why,
                dependents,
                by,
            },
            Self::Prioritise { task, priority } => Input::Prioritise { task, priority, by },
            Self::Cancel => Input::Cancel { by },
            Self::Abort => Input::Abort { by },
            Self::Pause => Input::Pause { by },
            Self::Steer { task, text } => Input::Steer { task, text, by },
            Self::Resume {
                more_tokens,
                more_money,
                replan,
            } => Input::Resume {
                by,
                more_tokens,
                more_money,
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
pub struct Door {
    socket: Socket,
    idle: Duration,
}

impl Door {
    /// Opens a door at a path whose folder is made if it is not there. What an engine that was killed left there is
    /// replaced; anything that is not a socket is left alone.
    ///
    /// # Errors
    /// See [`Error`]; nothing was changed.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Ok(Self {
            socket: Socket::open(path)?,
            idle: IDLE,
        })
    }

    /// Answers until it is told to stop.
    pub async fn serve(self, handle: Handle, stop: CancellationToken) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let (guests, silent) = (TaskTracker::new(), Silent::default());
        loop {
            let came = async {
                let stream = self.socket.accept().await;
                if places.available_permits() == 0 {
                    silent.let_the_longest_go();
                }
                let place = places.clone().acquire_owned().await;
                place.ok().map(|place| (stream, place))
            };
            let (stream, place) = tokio::select! {
                Some(came) = came => came,
                () = stop.cancelled() => break,
            };
            let (handle, stop, silent) = (handle.clone(), stop.clone(), silent.clone());
            guests.spawn(async move {
                tokio::select! {
                    () = attend(stream, handle, self.idle, &silent) => {}
                    () = stop.cancelled() => {}
                }
                drop(place);
            });
        }
        guests.close();
        guests.wait().await;
    }
}

/// Guests who say nothing for now, in the order in which they fell silent.
#[derive(Clone, Debug, Default)]
struct Silent(Arc<Mutex<Queue>>);

#[derive(Debug, Default)]
struct Queue {
    /// Counts all that ever waited, so that nobody is taken for another.
    next: u64,
    guests: BTreeMap<u64, CancellationToken>,
}

impl Silent {
    /// What a guest says, if it is not let go before it has.
    async fn until_said<T>(&self, said: impl Future<Output = Option<T>>) -> Option<T> {
        let token = CancellationToken::new();
        let n = {
            let mut queue = self.queue();
            let n = queue.next;
            queue.next += 1;
            queue.guests.insert(n, token.clone());
            n
        };
        let said = tokio::select! {
            said = said => said,
            () = token.cancelled() => return None,
        };
        self.queue().guests.remove(&n);
        said
    }

    fn let_the_longest_go(&self) {
        if let Some((_, token)) = self.queue().guests.pop_first() {
            token.cancel();
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers one guest, line by line.
async fn attend(stream: UnixStream, handle: Handle, idle: Duration, silent: &Silent) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let said = socket::line(&mut reader, idle);
        let Some(line) = silent.until_said(said).await else {
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
        let written = tokio::time::timeout(idle, writer.write_all(&bytes)).await;
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
    use crate::clock::Clock;
    use crate::dispatcher::Dispatcher;
    use crate::perform::sample;
    use crate::store;
    use mission::terms::Terms;
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use tokio::io::AsyncBufReadExt as _;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::UnixListener;

    /// A door with an engine behind it that never runs: what is asked stays in its inbox.
    fn door(folder: &Path, idle: Duration) -> (Door, Handle, Dispatcher) {
        let journal = Arc::new(journal::Memory::new(journal::StoreId([1; 16])));
        let (now, nowhere) = (Clock::new().now(), Path::new("/nowhere"));
        let terms = Terms::default();
        let opened = store::open_new(
            &*journal,
            now,
            nowhere,
            "r",
            terms,
            |_| nowhere.into(),
            |_| Ok(()),
        );
        let settings = sample::settings(folder);
        let (engine, handle) = Dispatcher::new(journal, opened.unwrap(), settings);
        let mut door = Door::open(&folder.join("run/m1")).unwrap();
        door.idle = idle;
        (door, handle, engine)
    }

    async fn says(stream: &mut UnixStream) -> String {
        stream.write_all(b"what?\n").await.unwrap();
        heard(stream).await
    }

    async fn heard(stream: &mut UnixStream) -> String {
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).await.unwrap();
        line
    }

    #[test]
    fn a_door_opens_only_in_a_folder_of_ones_own_that_is_closed_to_others() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let _inside = runtime.enter();
        let place = tempfile::tempdir().unwrap();
        let refused = |path: &Path, why: &str| match Door::open(path) {
            Err(Error::Socket(socket::Error::Folder { why: found, .. })) => assert_eq!(found, why),
            other => panic!("{other:?}"),
        };
        let open = place.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        refused(&open.join("m1"), "is open to other users");
        let theirs = match rustix::process::geteuid().is_root() {
            true => {
                let theirs = place.path().join("theirs");
                fs::create_dir(&theirs).unwrap();
                std::os::unix::fs::chown(&theirs, Some(12345), None).unwrap();
                theirs
            }
            false => PathBuf::from("/usr"),
        };
        refused(&theirs.join("m1"), "belongs to another user");
        let link = place.path().join("link");
        std::os::unix::fs::symlink(place.path(), &link).unwrap();
        refused(&link.join("m1"), "is not a folder");
        let own = place.path().join("own");
        let door = Door::open(&own.join("m1")).unwrap();
        let mode = |path: &Path| fs::symlink_metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&own), mode(&own.join("m1"))), (0o700, 0o600));
        drop(door);
        fs::write(own.join("m1"), "somebody's").unwrap();
        refused(&own.join("m1"), "is not a socket");
        assert_eq!(fs::read(own.join("m1")).unwrap(), b"somebody's");
        // A socket that a killed engine left is replaced.
        drop(std::os::unix::net::UnixListener::bind(own.join("m2")).unwrap());
        assert!(own.join("m2").exists());
        Door::open(&own.join("m2")).unwrap();
    }

    #[tokio::test]
    async fn who_says_nothing_loses_the_connection() {
        let folder = tempfile::tempdir().unwrap();
        let (door, handle, _engine) = door(folder.path(), Duration::from_millis(1));
        let (path, stop) = (folder.path().join("run/m1"), CancellationToken::new());
        let guest = async {
            let mut stream = UnixStream::connect(&path).await.unwrap();
            let mut nothing = Vec::new();
            stream.read_to_end(&mut nothing).await.unwrap();
            assert_eq!(nothing, b"");
            stop.cancel();
        };
        tokio::join!(door.serve(handle, stop.clone()), guest);
    }

    #[tokio::test]
    async fn a_line_without_end_closes_the_connection_and_a_deep_one_is_not_understood() {
        let folder = tempfile::tempdir().unwrap();
        let (door, handle, _engine) = door(folder.path(), Duration::from_secs(3600));
        let (path, stop) = (folder.path().join("run/m1"), CancellationToken::new());
        let guest = async {
            let mut stream = UnixStream::connect(&path).await.unwrap();
            let deep = format!("{}\n", "[".repeat(100_000));
            stream.write_all(deep.as_bytes()).await.unwrap();
            assert!(heard(&mut stream).await.contains("not understood"));
            // It is closed before all of it is there, so that the writing may fail.
            stream.write_all(&vec![b'x'; 2 << 20]).await.ok();
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.ok();
            assert_eq!(rest, b"");
            let mut next = UnixStream::connect(&path).await.unwrap();
            assert!(says(&mut next).await.contains("not understood"));
            stop.cancel();
        };
        tokio::join!(door.serve(handle, stop.clone()), guest);
    }

    #[tokio::test]
    async fn a_thousand_silent_guests_do_not_keep_one_who_speaks_out() {
        let folder = tempfile::tempdir().unwrap();
        let (door, handle, _engine) = door(folder.path(), Duration::from_secs(3600));
        let (path, stop) = (folder.path().join("run/m1"), CancellationToken::new());
        let guests = async {
            let mut silent = Vec::new();
            for n in 0..1_000 {
                let mut stream = UnixStream::connect(&path).await.unwrap();
                // Some have spoken before they fell silent.
                if n % 10 == 0 {
                    assert!(says(&mut stream).await.contains("not understood"));
                }
                silent.push(stream);
            }
            let mut next = UnixStream::connect(&path).await.unwrap();
            assert!(says(&mut next).await.contains("not understood"));
            // Those went who had been silent longest, and no more than had to.
            for stream in &mut silent[..=1_000 - CONNECTIONS] {
                assert_eq!(heard(stream).await, "");
            }
            for stream in &mut silent[1_001 - CONNECTIONS..] {
                assert!(says(stream).await.contains("not understood"));
            }
            stop.cancel();
        };
        tokio::join!(door.serve(handle, stop.clone()), guests);
    }

    #[tokio::test]
    async fn who_is_being_answered_does_not_go_for_another() {
        let silent = Silent::default();
        let said = silent.until_said(std::future::ready(Some("a wish"))).await;
        assert_eq!(said, Some("a wish"));
        // Nobody is silent now, so nobody goes; whoever falls silent afterwards does.
        silent.let_the_longest_go();
        let one = silent.until_said(std::future::pending::<Option<()>>());
        let other = async {
            let heard = silent.until_said(std::future::ready(Some(()))).await;
            silent.let_the_longest_go();
            heard
        };
        assert_eq!(tokio::join!(one, other), (None, Some(())));
    }

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
