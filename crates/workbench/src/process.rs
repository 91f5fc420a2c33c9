//! Running one command under a [guard](crate::guard), with limits on everything that it takes.

mod output;

pub(crate) use output::digest;
pub use output::{Output, Spill};

use crate::guard::{ASK, Guard, Options, Report};
use mission::gate::Program;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::process::Child;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Names that a command may see of the caller's environment without being asked for.
///
/// Everything else is left out: an environment carries keys and tokens, and what a command can see it can print.
pub const PASSED: [&str; 5] = ["PATH", "HOME", "USER", "LANG", "TMPDIR"];

/// How long a guard that was told to end everything may take before it is killed itself. Longer than it sweeps.
const GUARD_GRACE: Duration = Duration::from_secs(10);

/// How long the pipe is read after the guard has ended. All writers are dead then, unless one could not be killed.
const DRAIN: Duration = Duration::from_millis(500);

/// The most that one command may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Time from start to end; then it is asked to end (`SIGTERM`), and after [`Limits::grace`] it is killed.
    pub wall: Duration,
    /// Time between asking and killing.
    pub grace: Duration,
    /// Bytes of output, both streams together; one more and it is killed, and what follows is not read. A command that never stops printing would
    /// otherwise run until its time is over and fill a disk somewhere.
    pub output: u64,
    /// Processes at once; a fork bomb ends here. 0 for no limit.
    pub processes: u32,
    /// Added to the niceness: builds must not starve the engine, which commits and answers in between.
    pub nice: i32,
    /// `oom_score_adj`: when memory runs out a build dies, not the engine.
    pub oom_score: i32,
}

impl Default for Limits {
    /// Ten minutes, two seconds, 32 MiB, 2,000 processes, nice 10, score 500.
    fn default() -> Self {
        Self {
            wall: Duration::from_secs(600),
            grace: Duration::from_secs(2),
            output: 32 << 20,
            processes: 2000,
            nice: 10,
            oom_score: 500,
        }
    }
}

/// What is to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The program; a [`Program::Shell`] line runs under `sh -c`.
    pub program: Program,
    /// Where: an existing folder.
    pub directory: PathBuf,
    /// Its whole environment; see [`clean`].
    pub environment: BTreeMap<OsString, OsString>,
    /// What it may take.
    pub limits: Limits,
    /// Where its output is kept besides the tail; `None` for nowhere.
    pub spill: Option<Spill>,
}

/// The part of the caller's environment that a command may see: [`PASSED`], what `also` names, `TERM=dumb` and
/// `NO_COLOR=1`. Names that the caller does not have stay unset.
pub fn clean(caller: &BTreeMap<OsString, OsString>, also: &[&str]) -> BTreeMap<OsString, OsString> {
    let passed = PASSED.iter().chain(also).map(OsString::from);
    let mut environment: BTreeMap<_, _> = passed
        .filter_map(|name| caller.get(&name).cloned().map(|value| (name, value)))
        .collect();
    for (name, value) in [("TERM", "dumb"), ("NO_COLOR", "1")] {
        environment.insert(name.into(), value.into());
    }
    environment
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this code.
    Exited(i32),
    /// By a signal that was not ours.
    Signalled(i32),
    /// It could not be started: the system's error. [`io::ErrorKind::NotFound`] for a program (or the interpreter that
    /// its first line names) that is not there.
    NotStarted(i32),
    /// It reached [`Limits::wall`].
    TimedOut,
    /// The token was cancelled.
    Cancelled,
    /// It wrote more than [`Limits::output`].
    TooMuchOutput,
    /// It had more than [`Limits::processes`]: how many were seen.
    TooManyProcesses(u32),
    /// The guard was killed or failed; what the command did is unknown. The reason as far as it is known.
    GuardLost(String),
}

/// A command that has been run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// How it ended.
    pub end: End,
    /// From its start until nothing of it was left.
    pub duration: Duration,
    /// What it wrote.
    pub output: Output,
    /// Processes that it started and that could not be ended; anything but 0 is worth telling a person.
    pub left: u32,
}

/// Why a command could not be run at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such folder to run it in.
    #[error("cannot run a command in {}: it is not a folder; prepare the workspace first", directory.display())]
    Directory {
        /// The folder.
        directory: PathBuf,
    },
    /// The guard did not start.
    #[error("cannot start the guard {}: {source}; it is part of this program, so reinstall it", program.display())]
    Guard {
        /// The guard's program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file for the output could not be made or written.
    #[error("cannot keep output in {}: {source}", path.display())]
    Spill {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused a pipe or a read of one.
    #[error("cannot talk with a guarded command: {0}")]
    Pipe(#[from] io::Error),
}

/// A running command as the engine sees it.
struct Running {
    child: Child,
    /// The engine's end of the guard's lifeline.
    line: UnixStream,
    output: pipe::Receiver,
    started: Instant,
}

/// What the engine has decided about a running command.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Runs,
    /// It was asked to end.
    Asked,
    /// The guard was told to end everything.
    Closed,
    /// The guard itself was killed.
    Killed,
}

impl Command {
    /// Runs it to its end, and everything that it started: when this returns nothing of it is left, save what
    /// [`Finished::left`] counts. A background process does not keep it waiting.
    ///
    /// Every piece of output is also shown to `see` as it comes. Dropping the future ends everything too.
    ///
    /// # Errors
    ///
    /// Only what is no fault of the command; see [`Error`]. A program that is not there is [`End::NotStarted`].
    pub async fn run(
        &self,
        guard: &Guard,
        cancel: &CancellationToken,
        see: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<Finished, Error> {
        let mut kept = output::Kept::new(self.spill.as_ref())?;
        let mut running = self.start(guard)?;
        let stopped = self.attend(&mut running, &mut kept, cancel, see).await?;
        drain(&mut running.output, &mut kept, self.limits.output, see).await?;
        let duration = running.started.elapsed();
        let reports = reports(&running.line);
        let left = reports.iter().find_map(|report| {
            if let Report::Left(n) = report {
                Some(*n)
            } else {
                None
            }
        });
        let end = stopped.unwrap_or_else(|| end(&reports));
        if matches!(end, End::GuardLost(_)) {
            guard.end_strays();
        }
        Ok(Finished {
            end,
            duration,
            output: kept.finish().await?,
            left: left.unwrap_or(0),
        })
    }

    fn start(&self, guard: &Guard) -> Result<Running, Error> {
        if !self.directory.is_dir() {
            return Err(Error::Directory {
                directory: self.directory.clone(),
            });
        }
        let (line, theirs) = UnixStream::pair()?;
        line.set_nonblocking(true)?;
        let (reader, writer) = io::pipe()?;
        let options = Options {
            nice: self.limits.nice,
            oom: self.limits.oom_score,
            processes: self.limits.processes,
        };
        let mut command = tokio::process::Command::new(&guard.program);
        command
            .args(&guard.arguments)
            .args(options.arguments())
            .arg("--");
        match &self.program {
            Program::Argv(words) => command.args(words),
            Program::Shell(line) => command.args(["sh", "-c", line]),
        };
        command
            .env_clear()
            .envs(&self.environment)
            .current_dir(&self.directory)
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
            .stdout(Stdio::from(writer.try_clone()?))
            .stderr(Stdio::from(writer));
        let started = Instant::now();
        let child = command.spawn().map_err(|source| Error::Guard {
            program: guard.program.clone(),
            source,
        })?;
        drop(command); // with it our copies of the pipe's other end, so that its end is seen
        Ok(Running {
            child,
            line,
            output: pipe::Receiver::from_owned_fd(reader.into())?,
            started,
        })
    }

    /// Reads output until the guard ends; gives why the engine stopped the command, if it did.
    async fn attend(
        &self,
        running: &mut Running,
        kept: &mut output::Kept,
        cancel: &CancellationToken,
        see: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<Option<End>, Error> {
        let mut buffer = vec![0; 64 << 10];
        let mut stage = Stage::Runs;
        let mut stopped = None;
        let mut open = true;
        let timer = tokio::time::sleep(self.limits.wall);
        tokio::pin!(timer);
        loop {
            let next = tokio::select! {
                ended = running.child.wait() => {
                    ended?;
                    return Ok(stopped);
                }
                n = running.output.read(&mut buffer), if open => {
                    let n = n?;
                    open = n > 0;
                    let piece = &buffer[..n];
                    see(piece);
                    kept.push(piece).await?;
                    if kept.bytes() <= self.limits.output || stage >= Stage::Closed {
                        continue;
                    }
                    // What is not read fills the pipe and holds the writer until it is killed.
                    open = false;
                    stopped.get_or_insert(End::TooMuchOutput);
                    Stage::Closed
                }
                () = cancel.cancelled(), if stage == Stage::Runs => {
                    stopped = Some(End::Cancelled);
                    Stage::Asked
                }
                () = &mut timer, if stage != Stage::Killed => match stage {
                    Stage::Runs => {
                        stopped = Some(End::TimedOut);
                        Stage::Asked
                    }
                    Stage::Asked => Stage::Closed,
                    Stage::Closed | Stage::Killed => Stage::Killed,
                },
            };
            stage = next;
            let wait = match stage {
                Stage::Runs => continue,
                Stage::Asked => {
                    let _gone = rustix::io::write(&running.line, &[ASK]);
                    self.limits.grace
                }
                Stage::Closed => {
                    let _gone = running.line.shutdown(std::net::Shutdown::Write);
                    GUARD_GRACE
                }
                Stage::Killed => {
                    let _gone = running.child.start_kill();
                    continue;
                }
            };
            timer.as_mut().reset(Instant::now() + wait);
        }
    }
}

/// Reads what is still in the pipe.
async fn drain(
    from: &mut pipe::Receiver,
    kept: &mut output::Kept,
    most: u64,
    see: &mut (dyn FnMut(&[u8]) + Send),
) -> Result<(), Error> {
    let mut buffer = vec![0; 64 << 10];
    let until = Instant::now() + DRAIN;
    while kept.bytes() <= most {
        match tokio::time::timeout_at(until, from.read(&mut buffer)).await {
            Ok(Ok(0)) | Err(_) => break,
            Ok(n) => {
                let piece = &buffer[..n?];
                see(piece);
                kept.push(piece).await?;
            }
        }
    }
    Ok(())
}

/// What the guard said. It has ended, so all of it is in the socket; a guard says at most a few lines.
fn reports(line: &UnixStream) -> Vec<Report> {
    let mut buffer = [0; 4096];
    let n = rustix::io::read(line, &mut buffer).unwrap_or(0);
    String::from_utf8_lossy(&buffer[..n])
        .lines()
        .filter_map(Report::parse)
        .collect()
}

fn end(reports: &[Report]) -> End {
    let end = reports.iter().find_map(|report| match report {
        Report::Exit(code) => Some(End::Exited(*code)),
        Report::Signal(number) => Some(End::Signalled(*number)),
        Report::NotStarted(number) => Some(End::NotStarted(*number)),
        Report::Processes(n) => Some(End::TooManyProcesses(*n)),
        Report::Broken(why) => Some(End::GuardLost(why.clone())),
        Report::Left(_) => None,
    });
    end.unwrap_or_else(|| End::GuardLost("it ended without a word; was it killed?".to_owned()))
}
