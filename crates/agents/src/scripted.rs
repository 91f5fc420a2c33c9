//! An agent that follows a script: for the demo, for tests, and for trying the engine without a model.
//!
//! It really edits files and runs commands in its workspace. Like a real host it remembers, in a folder of its own and
//! across crashes, which turns it was given and what it answered: an order that it has answered is answered again
//! without doing anything.

mod provider;
mod script;

pub use provider::Permits;
pub use script::{Deed, End, Scene, Script, ScriptError};

use provider::Provider;

use crate::{Agent, Note, Order, Question, Sign, Watcher, choices};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use mission::stagnation::{Act, ActKind};
use mission::time::Millis;
use mission::turn::{Failure, Outcome, Usage};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::ffi::OsString;
use std::hash::{DefaultHasher, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// An agent that follows a script.
#[derive(Debug)]
pub struct Scripted {
    script: Script,
    /// Absent where everything is permitted.
    provider: Option<Provider>,
    memory: PathBuf,
    guard: Vec<OsString>,
}

impl Scripted {
    /// An agent with a script and a folder to remember in, which is made if it is not there. Commands are started
    /// through `guard`: a program and its first arguments, which starts what follows and ends it when its own standard
    /// input ends. An empty guard starts commands as they are.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn new(script: Script, memory: PathBuf, guard: Vec<OsString>) -> std::io::Result<Self> {
        std::fs::create_dir_all(&memory)?;
        Ok(Self {
            provider: script.permits.map(Provider::new),
            script,
            memory,
            guard,
        })
    }

    /// Where the agent remembers that it was given one lease of a turn.
    fn started(&self, order: &Order) -> PathBuf {
        let epoch = order.epoch.0;
        self.memory.join(format!("{}#{epoch}.started", turn(order)))
    }

    /// Where the agent remembers its answers to a turn in one state of its workspace, each after the lease's number.
    fn answers(&self, order: &Order) -> String {
        format!("{}@{}#", turn(order), order.workspace.0)
    }

    /// What the agent answered already: to this lease, or to an earlier one whose work is still there.
    fn known(&self, order: &Order) -> std::io::Result<Option<Outcome>> {
        // What the machine's end has left torn is as good as forgotten.
        let read = |name: &str| -> std::io::Result<Option<Outcome>> {
            let bytes = std::fs::read(self.memory.join(name))?;
            Ok(serde_json::from_slice(&bytes).ok())
        };
        let answers = self.answers(order);
        let mine = format!("{answers}{}.answer", order.epoch.0);
        if self.memory.join(&mine).exists()
            && let Some(outcome) = read(&mine)?
        {
            return Ok(Some(outcome));
        }
        for entry in std::fs::read_dir(&self.memory)? {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(&answers)
                && name.ends_with(".answer")
                && let Some(Outcome::Answered { answer, .. }) = read(&name)?
            {
                // What it used was told under the lease that it was used under.
                let usage = Usage::NOTHING;
                return Ok(Some(Outcome::Answered { answer, usage }));
            }
        }
        Ok(None)
    }

    /// For how many leases of this turn the agent was asked, this one included.
    fn call(&self, order: &Order) -> std::io::Result<u32> {
        let mine = self.started(order);
        if !mine.exists() {
            write_whole(&mine, order.turn.as_bytes())?;
            let line = format!("start {} {} {}\n", order.mission, order.turn, order.epoch.0);
            append(&self.memory.join("log"), &line)?;
        }
        let prefix = format!("{}#", turn(order));
        let mut n = 0;
        for entry in std::fs::read_dir(&self.memory)? {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            let epoch = name
                .strip_prefix(&prefix)
                .and_then(|rest| rest.strip_suffix(".started"));
            n += u32::from(
                epoch
                    .and_then(|e| e.parse::<u64>().ok())
                    .is_some_and(|e| e <= order.epoch.0),
            );
        }
        Ok(n)
    }

    async fn play(
        &self,
        order: &Order,
        watcher: &dyn Watcher,
        commands: &TaskTracker,
        heard: &watch::Sender<Heard>,
    ) -> std::io::Result<Option<(Outcome, bool)>> {
        if let Some(outcome) = self.known(order)? {
            return Ok(Some((outcome, false)));
        }
        let call = self.call(order)?;
        let Some(scene) = self
            .script
            .scene(order.role, order.key.as_deref(), &order.turn, call)
        else {
            let why = format!(
                "the script has no turn for {} ({}, call {call})",
                order.turn, order.role
            );
            let failed = Outcome::Failed {
                failure: Failure::Fatal,
                why,
                usage: Usage::NOTHING,
            };
            return Ok(Some((failed, false)));
        };
        let refusal = self
            .provider
            .as_ref()
            .and_then(|it| it.call(Instant::now()));
        let outcome = match refusal {
            Some(wait) => refused(Some(wait), Usage::NOTHING),
            None => {
                watcher.sign(Sign::Session(format!("script {}", order.turn)));
                self.steps(scene, order, watcher, commands, heard).await?;
                match ended(scene, order).await {
                    Some(outcome) => outcome,
                    None => return Ok(None),
                }
            }
        };
        let answered = format!("{}{}.answer", self.answers(order), order.epoch.0);
        write_whole(&self.memory.join(answered), &serde_json::to_vec(&outcome)?)?;
        append(
            &self.memory.join("log"),
            &format!(
                "answer {} {} {}\n",
                order.mission, order.turn, order.epoch.0
            ),
        )?;
        Ok(Some((outcome, scene.twice)))
    }

    /// Does the steps of a turn, and tells of each when it begins and when it is done.
    async fn steps(
        &self,
        scene: &Scene,
        order: &Order,
        watcher: &dyn Watcher,
        commands: &TaskTracker,
        heard: &watch::Sender<Heard>,
    ) -> std::io::Result<()> {
        let (mut told, mut heeded) = (order.told, BTreeSet::new());
        loop {
            for deed in &scene.steps {
                // Whoever waits for a person is not silent.
                let asks = matches!(deed, Deed::Ask { .. } | Deed::Heed(_));
                heard.send_replace(if asks {
                    Heard::Asks
                } else {
                    Heard::At(Instant::now())
                });
                match deed {
                    Deed::Heed(path) => {
                        watcher.sign(Sign::Doing("waits for a word".into()));
                        tokio::select! {
                            () = watcher.more_notes(told) => {}
                            () = watcher.more_nudges(heeded.clone()) => {}
                        }
                        let path = order.directory.join(path);
                        let nudges = watcher.nudges().into_iter();
                        let nudges: Vec<Note> =
                            nudges.filter(|nudge| heeded.insert(nudge.n)).collect();
                        for note in unknown(watcher, told).chain(nudges) {
                            make_parent(&path)?;
                            append(&path, &format!("{}\n", note.text))?;
                        }
                    }
                    _ => self.act(deed, order, watcher, commands).await?,
                }
                if !watcher.nudges().is_empty() && !scene.nudged.is_empty() {
                    for deed in &scene.nudged {
                        self.act(deed, order, watcher, commands).await?;
                    }
                    return Ok(());
                }
                // Between two steps it hears whatever was said.
                for note in unknown(watcher, told) {
                    told = note.n;
                    watcher.noted(note.n);
                }
                heard.send_replace(Heard::At(Instant::now()));
            }
            if !scene.forever {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
    }

    /// Does one thing, and tells of it once it is done.
    async fn act(
        &self,
        deed: &Deed,
        order: &Order,
        watcher: &dyn Watcher,
        commands: &TaskTracker,
    ) -> std::io::Result<()> {
        let done = self.carry_out(deed, order, watcher, commands).await?;
        if let Some((act, what)) = did(deed, &order.directory, done) {
            watcher.sign(Sign::Did(act, what));
        }
        Ok(())
    }

    /// Whether it went well.
    async fn carry_out(
        &self,
        deed: &Deed,
        order: &Order,
        watcher: &dyn Watcher,
        commands: &TaskTracker,
    ) -> std::io::Result<bool> {
        match deed {
            Deed::Write { path, text } => {
                watcher.sign(Sign::Doing(format!("writes {}", path.display())));
                let path = order.directory.join(path);
                make_parent(&path)?;
                std::fs::write(path, text).map(|()| true)
            }
            Deed::Append { path, text } => {
                watcher.sign(Sign::Doing(format!("writes {}", path.display())));
                let path = order.directory.join(path);
                make_parent(&path)?;
                append(&path, text).map(|()| true)
            }
            Deed::Delete(path) => {
                watcher.sign(Sign::Doing(format!("removes {}", path.display())));
                match std::fs::remove_file(order.directory.join(path)) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                    _ => Ok(true),
                }
            }
            Deed::Run(line) => {
                watcher.sign(Sign::Doing(format!("runs {line}")));
                self.run_line(line, &order.directory, commands).await
            }
            Deed::Think(ms) => {
                watcher.sign(Sign::Doing("thinks".into()));
                tokio::time::sleep(Duration::from_millis(*ms)).await;
                Ok(true)
            }
            // What it hears, and when, is the affair of whoever counts its steps.
            Deed::Heed(_) => Ok(true),
            Deed::Read(path) => {
                watcher.sign(Sign::Doing(format!("reads {}", path.display())));
                Ok(order.directory.join(path).exists())
            }
            Deed::Ask { about, text } => {
                let (about, text) = (about.clone(), text.clone());
                watcher
                    .ask(Question {
                        text,
                        choices: choices(&about),
                        about,
                        request: None,
                    })
                    .await;
                Ok(true)
            }
        }
    }

    async fn run_line(
        &self,
        line: &str,
        directory: &Path,
        commands: &TaskTracker,
    ) -> std::io::Result<bool> {
        let mut words = self.guard.iter().cloned();
        let mut command = match words.next() {
            Some(guard) => {
                let mut command = tokio::process::Command::new(guard);
                command
                    .args(words)
                    .args(["sh", "-c", line])
                    .stdin(Stdio::piped());
                command
            }
            None => {
                let mut command = tokio::process::Command::new("sh");
                command.args(["-c", line]).stdin(Stdio::null());
                command
            }
        };
        command
            .current_dir(directory)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(self.guard.is_empty());
        let mut child = command.spawn()?;
        if self.guard.is_empty() {
            return child.wait().await.map(|ended| ended.success());
        }
        // A guard must not be killed: it would leave behind what it guards. When this turn is stopped its pipe closes,
        // and a task of its own waits until it has ended everything.
        let pipe = child.stdin.take();
        let (turn, stopped) = oneshot::channel::<Infallible>();
        let guarded = commands.spawn(async move {
            tokio::select! {
                ended = child.wait() => ended,
                _ = stopped => {
                    drop(pipe);
                    child.wait().await
                }
            }
        });
        let ended = guarded.await.map_err(std::io::Error::other)?;
        drop(turn);
        ended.map(|ended| ended.success())
    }
}

impl Agent for Scripted {
    fn name(&self) -> String {
        "scripted".into()
    }

    fn run(
        &self,
        order: Order,
        watcher: Arc<dyn Watcher>,
        stop: CancellationToken,
    ) -> BoxFuture<'_, ()> {
        async move {
            let failed = |failure, why: String| Outcome::Failed {
                failure,
                why,
                usage: Usage::default(),
            };
            let model = order.model.as_deref().unwrap_or_default();
            let is_known = matches!(self.known(&order), Ok(Some(_)));
            if !is_known && !watcher.may_ask(model, None).await {
                return;
            }
            let commands = TaskTracker::new();
            let (heard, signs) = watch::channel(Heard::At(Instant::now()));
            let played = tokio::select! {
                played = self.play(&order, &*watcher, &commands, &heard) => Some(played),
                why = over(&order, signs, &*watcher) => Some(Ok(Some((failed(Failure::Silent, why), false)))),
                () = stop.cancelled() => None,
            };
            // What it was running has been told to end; nothing of the turn runs on.
            commands.close();
            commands.wait().await;
            let Some(played) = played else { return };
            match played {
                Ok(Some((outcome, twice))) => {
                    if twice {
                        watcher.reply(outcome.clone());
                    }
                    watcher.reply(outcome);
                }
                Ok(None) => watcher.reply(failed(Failure::Transient, "the agent died".into())),
                Err(error) => watcher.reply(failed(
                    Failure::Transient,
                    format!("the script's step failed: {error}"),
                )),
            }
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }
}

fn refused(retry_after: Option<Millis>, usage: Usage) -> Outcome {
    Outcome::Refused {
        retry_after,
        why: "the script refuses (429)".into(),
        usage,
        outage: false,
    }
}

/// How a turn whose steps are done ends; nothing where the agent is gone without a word.
async fn ended(scene: &Scene, order: &Order) -> Option<Outcome> {
    let usage = scene.used();
    Some(match &scene.end {
        End::Hang => std::future::pending().await,
        End::Die => return None,
        End::Answer(value) => match script::read_answer(order.answer, value.clone()) {
            Ok(answer) => Outcome::Answered { answer, usage },
            Err(why) => Outcome::Failed {
                failure: Failure::NoAnswer,
                why,
                usage,
            },
        },
        End::Refuse { retry_after } => refused(retry_after.map(Millis), usage),
        End::Fail(failure) => Outcome::Failed {
            failure: *failure,
            why: "the script fails".into(),
            usage,
        },
    })
}

/// A deed as the core looks at it, and in one line; `None` for what is no step of its own.
fn did(deed: &Deed, directory: &Path, well: bool) -> Option<(Act, String)> {
    fn number(what: impl std::hash::Hash) -> u64 {
        let mut hasher = DefaultHasher::new();
        what.hash(&mut hasher);
        hasher.finish()
    }
    let (kind, what) = match deed {
        Deed::Write { path, .. } | Deed::Append { path, .. } => {
            (ActKind::Change, format!("write: {}", path.display()))
        }
        Deed::Delete(path) => (ActKind::Change, format!("remove: {}", path.display())),
        Deed::Run(line) => (ActKind::Run, format!("run: {line}")),
        Deed::Read(path) => (ActKind::Look, format!("read: {}", path.display())),
        Deed::Think(_) | Deed::Heed(_) | Deed::Ask { .. } => return None,
    };
    let gave = match deed {
        Deed::Read(path) => number(std::fs::read(directory.join(path)).ok()),
        _ => number(well),
    };
    let asked = match deed {
        Deed::Write { text, .. } | Deed::Append { text, .. } => number((&what, text)),
        _ => number(&what),
    };
    let act = Act {
        kind,
        what: asked,
        gave,
        alike: gave,
        failed: !well,
    };
    Some((act, what))
}

/// What people have said after the note with this number.
fn unknown(watcher: &dyn Watcher, told: u32) -> impl Iterator<Item = Note> {
    let notes = watcher.notes().into_iter();
    notes.filter(move |note| note.n > told)
}

/// What was last heard of a turn.
#[derive(Clone, Copy, Debug)]
enum Heard {
    /// A step began or was done then.
    At(Instant),
    /// It waits for a person, and its silence is not its fault.
    Asks,
}

/// Waits until a turn has been silent for too long, or has taken too long, and says which.
async fn over(order: &Order, mut signs: watch::Receiver<Heard>, watcher: &dyn Watcher) -> String {
    let millis = |time: Millis| Duration::from_millis(time.0);
    let last = Instant::now() + millis(order.limit);
    let half = Millis(order.silence.0 / 2);
    let mut told = None;
    loop {
        let heard = match *signs.borrow_and_update() {
            Heard::At(at) => Some(at),
            Heard::Asks => None,
        };
        let silent = heard.map_or(last, |at| at + millis(order.silence));
        let quiet = heard.filter(|_| told != heard);
        let quiet = quiet.map_or(last, |at| at + millis(half));
        tokio::select! {
            () = tokio::time::sleep_until(quiet), if quiet < silent.min(last) => {
                told = heard;
                watcher.sign(Sign::Quiet(half));
            }
            () = tokio::time::sleep_until(last.min(silent)) => {
                return match silent < last {
                    true => format!("nothing was heard for {}", order.silence),
                    false => format!("it took longer than {}", order.limit),
                };
            }
            Ok(()) = signs.changed() => {}
        }
    }
}

/// A turn's name as a file may have it.
fn turn(order: &Order) -> String {
    format!("{}-{}", order.mission, order.turn.replace('/', "_"))
}

fn make_parent(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)
}

fn append(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)?;
    file.write_all(text.as_bytes())
}

/// Old or new, never half, however the program ends. It is not flushed: a turn whose answer goes with the machine's power is
/// played once more.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let next = path.with_extension("next");
    std::fs::write(&next, bytes)?;
    std::fs::rename(&next, path)
}
