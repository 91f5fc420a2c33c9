//! Where OpenCode's plugins come in: one private socket for each user, behind which one process carries missions out.
//!
//! A guest says who it is, then asks, line by line; answers come in the order in which they are ready. What is asked
//! means nothing here: a [`Desk`] says what comes of it. Here stand who may ask, how much, of which version, and when
//! the process may end.

mod view;

pub use view::{Ask, Choice, Row, View};

use crate::socket::{self, Socket, line};
use futures_util::future::BoxFuture;
use mission::ids::MissionId;
use semver::Version;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The form of talk that this program speaks.
pub const TALK: u16 = 1;
/// Guests at once. Every running OpenCode is two: its server and its screen.
const GUESTS: usize = 128;
/// Connections that have not said who they are; the oldest goes for a new one.
const STRANGERS: usize = 32;
/// What one guest may ask before it has its answers. More is read when one is there.
const ASKED: usize = 16;
/// How long a line may take from its first byte, and a guest to say who it is or to take an answer.
const SLOW: Duration = Duration::from_secs(10);
/// How long guests may take to hear that another engine takes the missions over.
const FAREWELL: Duration = Duration::from_millis(500);

/// The first line of a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The form of talk.
    pub talk: u16,
    /// The version of the plugin.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// The socket on which it has put OpenCode's own server.
    #[serde(default)]
    pub bridge: Option<PathBuf>,
    /// The folders in which that OpenCode works.
    #[serde(default)]
    pub directories: Vec<PathBuf>,
    /// Where programs are looked for by whoever started it.
    #[serde(default)]
    pub path: Option<String>,
    /// Whether a person looks at that server, in the same process.
    #[serde(default)]
    pub screen: bool,
    /// Whether nobody is there: a script runs it, and waits for what comes of it.
    #[serde(default)]
    pub alone: bool,
    /// Whether it starts an engine of its version where there is none: only for such a guest missions are laid down.
    #[serde(default)]
    pub starts: bool,
    /// Whether it does nothing but wait for what a mission comes to, which is told to whoever speaks this form of talk: it
    /// began the mission with an engine before this one.
    #[serde(default)]
    pub waits: bool,
}

/// What a guest asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "want")]
pub enum Want {
    /// The user typed a command of ours.
    Command {
        /// Names the request: asked twice, it is carried out once.
        key: String,
        /// `task`, `stop`, …
        command: String,
        /// All that stands behind it.
        #[serde(default)]
        arguments: String,
        /// The conversation in which it was typed.
        session: String,
        /// The folder of that conversation.
        directory: PathBuf,
        /// The mission that is meant; without it, the one of the folder and the conversation.
        #[serde(default)]
        mission: Option<MissionId>,
    },
    /// The report of a mission, once it is over.
    Wait {
        /// Which.
        mission: MissionId,
    },
    /// A sign of life, answered at once.
    Alive,
    /// OpenCode works in one folder more.
    Here {
        /// Which.
        directory: PathBuf,
    },
    /// What OpenCode is to be configured with in a workspace of ours.
    Agents {
        /// The workspace.
        directory: PathBuf,
        /// The MCP servers that the user has.
        #[serde(default)]
        mcp: Vec<String>,
        /// What the user tells our agents himself, by their names.
        #[serde(default)]
        prompts: BTreeMap<String, String>,
    },
    /// How the mission of a folder stands, once that is another than was seen. A guest that looks again does not look
    /// any more as it did before.
    Look(Look),
}

/// What a guest looks at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// The folder of the conversation.
    pub directory: PathBuf,
    /// The conversation, if one is looked at.
    #[serde(default)]
    pub session: String,
    /// The name of what was seen last.
    #[serde(default)]
    pub seen: String,
    /// The columns of the page; none where it is not looked at.
    #[serde(default)]
    pub page: u16,
}

/// One line of a guest behind the first.
#[derive(Debug, Deserialize)]
struct Asked {
    id: u64,
    #[serde(flatten)]
    want: Want,
}

/// What a guest is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// For a person.
    pub say: String,
    /// How it is shown: `info`, `success`, `warning`, `error`.
    pub variant: String,
    /// The mission that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mission: Option<MissionId>,
    /// How a program ends that waited for a mission: the exit code that a terminal would have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit: Option<u8>,
    /// What there is to see, for whoever looks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view: Option<Box<View>>,
    /// What is to be laid over OpenCode's configuration; nothing where it stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Box<serde_json::Value>>,
}

/// One line to a guest.
#[derive(Serialize)]
#[serde(untagged)]
enum Line {
    /// It may ask.
    Welcome { talk: u16, version: &'static str },
    /// It may not. Either this process makes place for one of the guest's version, or it would for a guest that starts one.
    Refused {
        refused: String,
        leaving: bool,
        older: bool,
    },
    /// A newer engine comes in the place of this one, and takes up what ran here.
    Leaving { leaving: bool },
    /// The command is here and is carried out; the answer comes when there is one.
    Taken { id: u64, taken: bool },
    /// The answer to what it asked.
    Answer {
        id: u64,
        #[serde(flatten)]
        answer: Answer,
    },
    /// So many missions run here now.
    Running { running: usize },
}

/// A guest that has said who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// No other guest of this process has it, before or after.
    pub n: u64,
    /// What it said.
    pub hello: Hello,
}

/// Says what comes of what guests ask.
pub trait Desk: Send + Sync + 'static {
    /// What a guest asked is done, and it is told.
    fn ask(self: Arc<Self>, guest: Guest, want: Want) -> BoxFuture<'static, Answer>;

    /// A guest came.
    fn came(&self, guest: &Guest);

    /// A guest went.
    fn went(&self, guest: &Guest);

    /// How many missions run here.
    fn running(&self) -> watch::Receiver<usize>;
}

/// Why the reception closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Nothing ran and nobody asked for long enough.
    Idle,
    /// It was told to.
    Stopped,
    /// A guest of a newer version came: nothing ran, or it starts one that takes up what ran.
    Newer(String),
}

/// The one reception of a user. Closed when it is dropped.
#[derive(Debug)]
pub struct Reception {
    socket: Socket,
    version: &'static str,
    /// Whoever has it has the reception; where the process dies, the kernel gives it back.
    lock: File,
}

/// The socket of the one reception, in the folder of private sockets.
pub fn socket(folder: &Path) -> PathBuf {
    folder.join("service.sock")
}

impl Reception {
    /// Opens the reception in the folder of private sockets, for a program of this version. `None` if another process
    /// has it.
    ///
    /// # Errors
    /// The folder or the socket is not safe or cannot be made.
    pub fn open(folder: &Path, version: &'static str) -> Result<Option<Self>, socket::Error> {
        socket::check_folder(folder)?;
        let path = folder.join("service.lock");
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0))
            .open(&path)
            .map_err(socket::Error::io(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(socket::Error::io(&path)(error)),
        }
        socket::clear(folder);
        Ok(Some(Self {
            socket: Socket::open(&socket(folder))?,
            version,
            lock,
        }))
    }

    /// Lets guests in until it is told to stop, or until nothing has run and nobody has asked for so long. Nobody else opens
    /// a reception here before what is handed back is dropped: whoever does takes up whatever nobody carries out.
    pub async fn serve(
        self,
        desk: Arc<dyn Desk>,
        idle: Duration,
        stop: CancellationToken,
    ) -> (Closed, Held) {
        let (touched, seen) = watch::channel(Instant::now());
        let (leave, mut leaving) = mpsc::channel(1);
        let inside = Inside {
            desk: desk.clone(),
            version: self.version,
            touched: Arc::new(touched),
            leave,
            places: Arc::new(Semaphore::new(GUESTS)),
            makes_place: CancellationToken::new(),
            waiting: Arc::default(),
        };
        let (guests, gone) = (TaskTracker::new(), stop.child_token());
        let mut strangers: VecDeque<CancellationToken> = VecDeque::new();
        let quiet = quiet(desk.running(), seen, idle);
        tokio::pin!(quiet);
        let mut n = 0;
        let closed = loop {
            let stream = tokio::select! {
                stream = self.socket.accept() => stream,
                () = stop.cancelled() => break Closed::Stopped,
                () = &mut quiet => break Closed::Idle,
                Some(version) = leaving.recv() => break Closed::Newer(version),
            };
            n += 1;
            let stranger = gone.child_token();
            strangers.retain(|token| !token.is_cancelled());
            if strangers.len() >= STRANGERS
                && let Some(oldest) = strangers.pop_front()
            {
                oldest.cancel();
            }
            strangers.push_back(stranger.clone());
            let (inside, gone) = (inside.clone(), gone.clone());
            guests.spawn(async move {
                tokio::select! {
                    () = inside.attend(n, stream, stranger) => {}
                    () = gone.cancelled() => {}
                }
            });
        };
        // Nobody comes in any more; those who are here are told so by the end of their connection.
        drop(self.socket);
        guests.close();
        if matches!(closed, Closed::Newer(_)) {
            inside.makes_place.cancel();
            tokio::time::timeout(FAREWELL, guests.wait()).await.ok();
        }
        gone.cancel();
        guests.wait().await;
        (closed, Held(self.lock))
    }
}

/// A reception that lets nobody in any more, and in whose place nobody comes yet.
#[derive(Debug)]
#[must_use = "whoever comes in its place takes up what is still carried out"]
pub struct Held(#[expect(dead_code, reason = "that it is dropped says enough")] File);

/// Waits until nothing has run and nobody has asked for so long.
async fn quiet(
    mut running: watch::Receiver<usize>,
    mut touched: watch::Receiver<Instant>,
    idle: Duration,
) {
    let mut since = Instant::now();
    loop {
        let busy = *running.borrow_and_update() > 0;
        since = since.max(*touched.borrow_and_update());
        tokio::select! {
            () = tokio::time::sleep_until(since + idle), if !busy => return,
            changed = running.changed() => match changed {
                Ok(()) => since = Instant::now(),
                Err(_) => return,
            },
            changed = touched.changed() => if changed.is_err() { return },
        }
    }
}

/// What every guest needs.
#[derive(Clone)]
struct Inside {
    desk: Arc<dyn Desk>,
    version: &'static str,
    touched: Arc<watch::Sender<Instant>>,
    leave: mpsc::Sender<String>,
    places: Arc<Semaphore>,
    /// A newer engine takes up what runs here: whoever has an older one does not start it for that.
    makes_place: CancellationToken,
    /// Guests that wait for what a mission comes to. They are answered a moment after it has ended.
    waiting: Arc<AtomicUsize>,
}

impl Inside {
    /// Attends to one connection until it ends.
    async fn attend(self, n: u64, stream: UnixStream, stranger: CancellationToken) {
        let (reader, mut writer) = stream.into_split();
        let mut reader = BufReader::new(reader);
        let hello = tokio::select! {
            hello = hello(&mut reader) => hello,
            () = stranger.cancelled() => return,
        };
        // It is none any more, and does not go for a new one.
        stranger.cancel();
        let Some(hello) = hello else { return };
        let place = self.places.clone().try_acquire_owned();
        let refusal = match (self.refuses(&hello), &place) {
            (Some(refusal), _) => refusal,
            (None, Err(_)) => Refusal {
                told: format!("{GUESTS} OpenCodes are connected already"),
                ..Refusal::default()
            },
            (None, Ok(_)) => {
                let guest = Guest { n, hello };
                self.touched.send_replace(Instant::now());
                self.desk.came(&guest);
                let _went = Went(&self, &guest);
                return self.talk(reader, writer, &guest).await;
            }
        };
        let (leaving, older) = (refusal.leaving, refusal.older);
        let line = Line::Refused {
            refused: refusal.told,
            leaving,
            older,
        };
        if write(&mut writer, &line).await && leaving {
            self.leave.send(hello.version).await.ok();
        }
    }

    /// Why a guest may not ask; nothing where it may.
    fn refuses(&self, hello: &Hello) -> Option<Refusal> {
        let (ours, theirs) = (self.version, hello.version.as_str());
        if hello.talk == TALK && (theirs == ours || hello.waits) {
            return None;
        }
        if !is_newer(theirs, ours) {
            let told = format!(
                "the engine is of version {ours}, this plugin is of version {theirs}: start OpenCode anew, \
                 and if that does not help: orchestrator install"
            );
            return Some(Refusal {
                told,
                ..Refusal::default()
            });
        }
        let running = self.at_work();
        let leaving = running == 0 || hello.starts;
        let told = match leaving {
            true => format!("the engine of version {ours} makes place for {theirs}"),
            false => format!(
                "the engine is of version {ours} and carries {running} out, this plugin is of version {theirs}; \
                 an engine of that version takes over with the next command: /status. \
                 If it does not: orchestrator doctor"
            ),
        };
        Some(Refusal {
            told,
            leaving,
            older: !leaving,
        })
    }

    /// How many missions run or are waited for.
    fn at_work(&self) -> usize {
        let running = *self.desk.running().borrow();
        running.max(self.waiting.load(Ordering::Acquire))
    }

    /// Answers a guest until it goes.
    async fn talk(
        &self,
        mut reader: BufReader<impl AsyncRead + Unpin>,
        mut writer: OwnedWriteHalf,
        guest: &Guest,
    ) {
        let welcome = Line::Welcome {
            talk: TALK,
            version: self.version,
        };
        if !write(&mut writer, &welcome).await {
            return;
        }
        let (answers, answered) = mpsc::channel::<Line>(ASKED);
        let (asking, ended) = (TaskTracker::new(), CancellationToken::new());
        let read = async {
            let places = Arc::new(Semaphore::new(ASKED));
            // A guest may be silent for as long as it likes; a line that it has begun may not.
            while let Ok(place) = places.clone().acquire_owned().await
                && reader.fill_buf().await.is_ok_and(|bytes| !bytes.is_empty())
                && let Some(line) = line(&mut reader, SLOW).await
                && let Ok(Asked { id, want }) = serde_json::from_slice(&line)
                && (!guest.hello.waits || matches!(want, Want::Wait { .. } | Want::Alive))
            {
                self.touched.send_replace(Instant::now());
                // What a command comes to may take a while, and whoever typed it waits a second.
                if matches!(want, Want::Command { .. }) {
                    answers.send(Line::Taken { id, taken: true }).await.ok();
                }
                // What was asked for is done though the guest goes; only who waits does not wait any longer.
                let waits = matches!(want, Want::Wait { .. } | Want::Look(_));
                let counted =
                    matches!(want, Want::Wait { .. }).then(|| Waiting::new(&self.waiting));
                let answer = self.desk.clone().ask(guest.clone(), want);
                let (answers, ended) = (answers.clone(), ended.clone());
                asking.spawn(async move {
                    let answer = tokio::select! {
                        answer = answer => answer,
                        () = ended.cancelled(), if waits => return,
                    };
                    answers.send(Line::Answer { id, answer }).await.ok();
                    drop((place, counted));
                });
            }
        };
        tokio::select! {
            () = read => {}
            () = self.tell(writer, answered) => {}
        }
        ended.cancel();
    }

    /// Tells a guest its answers and how many missions run, until it takes no more or this process makes place.
    async fn tell(&self, mut writer: OwnedWriteHalf, mut answered: mpsc::Receiver<Line>) {
        let mut running = self.desk.running();
        running.mark_changed();
        loop {
            let line = tokio::select! {
                biased;
                Some(line) = answered.recv() => line,
                () = self.makes_place.cancelled() => {
                    if self.at_work() > 0 {
                        write(&mut writer, &Line::Leaving { leaving: true }).await;
                    }
                    return;
                }
                Ok(()) = running.changed() => {
                    let running = *running.borrow_and_update();
                    Line::Running { running }
                }
                else => return,
            };
            if !write(&mut writer, &line).await {
                return;
            }
        }
    }
}

/// Counts a guest that waits, until it has its answer or has gone.
struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    fn new(all: &Arc<AtomicUsize>) -> Self {
        all.fetch_add(1, Ordering::AcqRel);
        Self(all.clone())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Why a guest may not ask.
#[derive(Default)]
struct Refusal {
    /// For a person.
    told: String,
    /// Whether this process makes place for another because of it.
    leaving: bool,
    /// Whether it would, for a guest that starts an engine of its version.
    older: bool,
}

/// Tells the desk that a guest went, however it did.
struct Went<'a>(&'a Inside, &'a Guest);

impl Drop for Went<'_> {
    fn drop(&mut self) {
        self.0.desk.went(self.1);
    }
}

async fn hello(reader: &mut BufReader<impl AsyncRead + Unpin>) -> Option<Hello> {
    serde_json::from_slice(&line(reader, SLOW).await?).ok()
}

/// Whether the guest took a line in time. One that never reads does not keep its place.
async fn write(writer: &mut OwnedWriteHalf, line: &Line) -> bool {
    let Ok(mut bytes) = serde_json::to_vec(line) else {
        return false;
    };
    bytes.push(b'\n');
    let written = tokio::time::timeout(SLOW, writer.write_all(&bytes)).await;
    matches!(written, Ok(Ok(())))
}

/// Whether a version comes after another one. One that is none comes after nothing.
fn is_newer(version: &str, than: &str) -> bool {
    let read = |text| Version::parse(text).ok();
    let both = read(version).zip(read(than));
    both.is_some_and(|(version, than)| version > than)
}

#[cfg(test)]
mod tests;
