//! The process that stands between the engine and everything that it starts.
//!
//! `orchestrator __guard [options] -- program arguments…` starts the program and sees to it that nothing which came from
//! it is left: not when the program ends, not when it is told to stop, not when the engine is killed by `SIGKILL`.
//!
//! How it is done, on Linux:
//!
//! * The guard is a *subreaper*: a process whose parent has ended becomes the guard's child, also after a double fork or
//!   `setsid`. So "the guard has no child left" means that the whole tree is gone, and the kernel itself says so
//!   (`ECHILD`).
//! * Its standard input is one end of a pipe (or of a socket) whose other end only the engine holds. End of file means
//!   that the engine is gone or wants the end. A descriptor on the engine's process says the same a second time.
//! * The guard sets **no** parent-death signal for itself: Linux sends that signal when the *thread* that forked ends,
//!   which a pool of threads does whenever it is idle, and a guard that dies of it leaves its tree behind. The program
//!   that it starts does get one (`SIGKILL`), so that it does not outlive a guard that somebody killed.
//! * The guard leads a session without a terminal: what it starts can neither read nor draw on the user's screen.
//!
//! What it does not reach: work handed to a daemon that was there before (`docker`, `systemd-run`, `at`), and processes
//! that the user may not signal (a `sudo` that worked).
//!
//! On other Unix systems there is no subreaper: the guard ends the program's process group, and a process that left
//! that group lives on.

mod strays;
mod tree;

use rustix::event::{PollFd, PollFlags};
use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, Signal, WaitOptions, WaitStatus};
use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, MissedTickBehavior};

pub use strays::end_strays;

/// The word on the command line that makes the program a guard.
pub const WORD: &str = "__guard";

/// The guard's own exit code when it could not do its work, as in `env` and `timeout`.
pub const FAILED: u8 = 125;

/// The byte that the engine writes to ask the program's process group to end by itself (`SIGTERM`).
pub(crate) const ASK: u8 = b'T';

/// How long the guard goes on killing before it says what is left. A process in an uninterruptible wait, or one of
/// another user, would otherwise hold a gate for ever.
const SWEEP: Duration = Duration::from_secs(5);

/// How often the number of processes is looked at. A fork bomb makes a few thousand processes in this time, which a
/// machine survives; a look costs one read of a small file.
const LOOK: Duration = Duration::from_millis(250);

/// How a guard is started: the program and its arguments up to and including [`WORD`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The program, best absolute: it is looked up before the working directory changes.
    pub program: PathBuf,
    /// Its first arguments; the last is [`WORD`].
    pub arguments: Vec<OsString>,
}

impl Guard {
    /// A guard in a program that calls [`main`] when its first argument is [`WORD`].
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            arguments: vec![WORD.into()],
        }
    }
}

/// Has what a killed guard leaves come to this process, where [`Guard::end_strays`] finds it. A command may run with the
/// rights to kill its own guard.
///
/// # Errors
/// The system refuses.
pub fn adopt_orphans() -> std::io::Result<()> {
    tree::adopt()
}

impl Guard {
    /// Ends what guards that somebody has killed have left to this process; gives how many processes there were.
    pub fn end_strays(&self) -> u32 {
        tree::end_strays(&self.program)
    }
}

/// What the guard does to the program before it starts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Added to the niceness.
    pub(crate) nice: i32,
    /// The program's `oom_score_adj`.
    pub(crate) oom: i32,
    /// Most processes at once; 0 for no limit.
    pub(crate) processes: u32,
}

impl Options {
    pub(crate) fn arguments(self) -> Vec<OsString> {
        let named = |name: &str, value: String| OsString::from(format!("--{name}={value}"));
        vec![
            named("nice", self.nice.to_string()),
            named("oom", self.oom.to_string()),
            named("processes", self.processes.to_string()),
        ]
    }
}

/// What the guard tells the engine, one a line, over its standard input where that is a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Report {
    /// The program ended by itself with this code.
    Exit(i32),
    /// A signal ended the program.
    Signal(i32),
    /// The program could not be started: the system's error number.
    NotStarted(i32),
    /// There were more processes than allowed: how many were seen.
    Processes(u32),
    /// This many processes could not be ended.
    Left(u32),
    /// The guard could not work.
    Broken(String),
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "exit {code}"),
            Self::Signal(number) => write!(f, "signal {number}"),
            Self::NotStarted(number) => write!(f, "not-started {number}"),
            Self::Processes(n) => write!(f, "processes {n}"),
            Self::Left(n) => write!(f, "left {n}"),
            Self::Broken(why) => write!(f, "broken {}", why.replace('\n', " ")),
        }
    }
}

impl Report {
    /// Reads one line; `None` for one that this version does not know.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let (word, rest) = line.split_once(' ')?;
        Some(match word {
            "exit" => Self::Exit(rest.parse().ok()?),
            "signal" => Self::Signal(rest.parse().ok()?),
            "not-started" => Self::NotStarted(rest.parse().ok()?),
            "processes" => Self::Processes(rest.parse().ok()?),
            "left" => Self::Left(rest.parse().ok()?),
            "broken" => Self::Broken(rest.to_owned()),
            _ => return None,
        })
    }

    fn send(&self) {
        // A plain pipe cannot carry it and a dead engine does not want it; both are fine.
        let line = format!("{self}\n");
        let _sent = rustix::io::write(std::io::stdin(), line.as_bytes());
    }
}

/// Why a guard cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line is not one of a guard.
    #[error(
        "`{word}` is not how a guard is started; expected `{WORD} [--nice=N] [--oom=N] [--processes=N] -- PROGRAM …`"
    )]
    Usage {
        /// The first word that does not fit, or what is missing.
        word: String,
    },
    /// Standard input cannot tell when the engine is gone.
    #[error("standard input must be a pipe or a socket whose other end the engine holds")]
    Lifeline,
    /// The system refused something that the guard cannot do without.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

fn system<E: Into<std::io::Error>>(what: &'static str) -> impl FnOnce(E) -> Error {
    move |source| Error::System {
        what,
        source: source.into(),
    }
}

struct Call {
    /// How this very program is started as a guard.
    again: Vec<OsString>,
    options: Options,
    /// Set in the second stage: the guard whose death ends the program.
    child_of: Option<i32>,
    program: OsString,
    arguments: Vec<OsString>,
}

fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Call, Error> {
    let usage = |word: &OsStr| Error::Usage {
        word: word.to_string_lossy().into_owned(),
    };
    let mut args = args.into_iter();
    let mut again = Vec::new();
    args.next(); // the program's own name: it is started again through its open file
    for word in args.by_ref() {
        again.push(word);
        if again.last().is_some_and(|word| word == WORD) {
            break;
        }
    }
    let mut options = Options::default();
    let mut child_of = None;
    loop {
        let word = args.next().ok_or_else(|| usage(OsStr::new("(nothing)")))?;
        if word == "--" {
            break;
        }
        let known = word
            .to_str()
            .and_then(|text| text.strip_prefix("--")?.split_once('='));
        let (name, value) = known.ok_or_else(|| usage(&word))?;
        let number = || value.parse::<i32>().map_err(|_| usage(&word));
        match name {
            "nice" => options.nice = number()?,
            "oom" => options.oom = number()?,
            "processes" => options.processes = number()?.unsigned_abs(),
            "child-of" => child_of = Some(number()?),
            _ => return Err(usage(&word)),
        }
    }
    let program = args
        .next()
        .ok_or_else(|| usage(OsStr::new("(no program)")))?;
    Ok(Call {
        again,
        options,
        child_of,
        program,
        arguments: args.collect(),
    })
}

/// Runs the guard to its end. `args` are all of the process's arguments, its own name first, [`WORD`] among them.
///
/// The exit code is the program's, 128 + n where signal n ended it, 127 or 126 where it could not be started, and
/// [`FAILED`] where the guard itself could not work. Where standard input is a socket the exact end is written to it.
///
/// Must be called first thing in `main`, on the main thread: the program dies with the thread that started it.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let outcome = parse(args).and_then(|call| match call.child_of {
        Some(guard) => become_program(&call, guard).map(|never| match never {}),
        None => supervise(&call),
    });
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(why) => {
            Report::Broken(why.to_string()).send();
            // Nobody else can say it when standard input is at fault.
            let _said = writeln!(std::io::stderr(), "guard: {why}");
            ExitCode::from(FAILED)
        }
    }
}

/// The second stage: sets on itself what the program must have from its first instant, then becomes the program.
///
/// Standard input is a pipe to the guard that the exec closes; what is written to it is the reason of a failure.
fn become_program(call: &Call, guard: i32) -> Result<Infallible, Error> {
    let reply = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .map_err(system("keep the pipe to the guard"))?;
    tree::die_with(guard).map_err(system("tie the program to its guard"))?;
    // Lower priority and an earlier death by memory are courtesies to the rest of the machine: not having them is no
    // reason not to run.
    let _nice = rustix::process::nice(call.options.nice);
    tree::volunteer(call.options.oom);
    let hard = rustix::process::getrlimit(Resource::Core).maximum;
    let none = Rlimit {
        current: Some(0),
        maximum: hard,
    };
    // A core file in a workspace would be taken for a part of the work.
    let _core = rustix::process::setrlimit(Resource::Core, none);
    let refused = Command::new(&call.program)
        .args(&call.arguments)
        .stdin(Stdio::null())
        .exec();
    let number = refused
        .raw_os_error()
        .unwrap_or(Errno::INVAL.raw_os_error());
    File::from(reply)
        .write_all(number.to_string().as_bytes())
        .map_err(system("tell the guard"))?;
    std::process::exit(if number == Errno::NOENT.raw_os_error() {
        127
    } else {
        126
    });
}

/// Starts the second stage and waits until it has become the program. `Err(n)` is the system's refusal to do so.
fn start(call: &Call) -> Result<Result<Pid, i32>, Error> {
    let (mut reply, pipe) = std::io::pipe().map_err(system("make a pipe"))?;
    let me = rustix::process::getpid();
    let mut command = Command::new(tree::own_program().map_err(system("find its own program"))?);
    command
        .args(&call.again)
        .args(call.options.arguments())
        .arg(format!("--child-of={}", me.as_raw_nonzero()))
        .arg("--")
        .arg(&call.program)
        .args(&call.arguments)
        .stdin(Stdio::from(pipe))
        .process_group(0);
    let child = command.spawn().map_err(system("start its second stage"))?;
    drop(command); // with it the last copy of the pipe's other end that is ours
    let mut said = String::new();
    reply
        .read_to_string(&mut said)
        .map_err(system("hear from its second stage"))?;
    if let Ok(number) = said.parse() {
        return Ok(Err(number));
    }
    Ok(Ok(Pid::from_child(&child)))
}

fn supervise(call: &Call) -> Result<u8, Error> {
    tree::adopt().map_err(system("become the parent of orphans"))?;
    // Fails only for one that leads a group already; then it has no terminal to lose, or a person is trying it out.
    let _session = rustix::process::setsid();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("start its event loop"))?;
    runtime.block_on(async {
        let mut news = listen()?;
        let mut watch = Watch::new()?;
        let main = match start(call)? {
            Ok(pid) => pid,
            Err(number) => {
                Report::NotStarted(number).send();
                return Ok(if number == Errno::NOENT.raw_os_error() {
                    127
                } else {
                    126
                });
            }
        };
        let end = watch
            .until_over(main, &mut news, call.options.processes)
            .await;
        let left = watch.end_all(main).await;
        if left > 0 {
            Report::Left(left).send();
        }
        Ok(match end {
            Some(Report::Exit(code)) => u8::try_from(code & 0xff).unwrap_or(FAILED),
            Some(Report::Signal(number)) => 128 + u8::try_from(number & 0x7f).unwrap_or(0),
            _ => 128 + 9,
        })
    })
}

/// What comes from the engine.
#[derive(Clone, Copy, PartialEq, Eq)]
enum News {
    Ask,
    Gone,
}

/// Has a thread wait on the engine's end of standard input and on the engine itself; the last news is [`News::Gone`].
fn listen() -> Result<UnboundedReceiver<News>, Error> {
    let kind =
        rustix::fs::fstat(std::io::stdin()).map(|stat| FileType::from_raw_mode(stat.st_mode));
    // A file or `/dev/null` could never tell that the engine is gone.
    if !matches!(kind, Ok(FileType::Fifo | FileType::Socket)) {
        return Err(Error::Lifeline);
    }
    let parent = tree::parent();
    let (news, receiver) = unbounded_channel();
    let thread = std::thread::Builder::new().name("lifeline".to_owned());
    let wait = move || while news.send(wait_for_news(parent.as_ref())).is_ok() {};
    thread.spawn(wait).map_err(system("start a thread"))?;
    Ok(receiver)
}

fn wait_for_news(parent: Option<&OwnedFd>) -> News {
    let stdin = std::io::stdin();
    loop {
        let mut waits = vec![PollFd::new(&stdin, PollFlags::IN)];
        waits.extend(parent.map(|parent| PollFd::new(parent, PollFlags::IN)));
        match rustix::event::poll(&mut waits, None) {
            Ok(_)
                if waits
                    .get(1)
                    .is_some_and(|parent| !parent.revents().is_empty()) =>
            {
                return News::Gone;
            }
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(_) => return News::Gone,
        }
        let mut byte = [0];
        match rustix::io::read(&stdin, &mut byte) {
            Ok(1) if byte[0] == ASK => return News::Ask,
            Ok(1) | Err(Errno::INTR | Errno::AGAIN) => {}
            Ok(_) | Err(_) => return News::Gone,
        }
    }
}

/// Sees children end and signals come.
struct Watch {
    children: Signals,
    stops: [Signals; 3],
}

impl Watch {
    fn new() -> Result<Self, Error> {
        let on = |kind| signal(kind).map_err(system("watch signals"));
        Ok(Self {
            children: on(SignalKind::child())?,
            stops: [
                on(SignalKind::terminate())?,
                on(SignalKind::interrupt())?,
                on(SignalKind::hangup())?,
            ],
        })
    }

    /// Waits until the program ends, the engine goes or tells the guard to stop, or there are too many processes. What
    /// is known of the program's end has been reported when it returns.
    async fn until_over(
        &mut self,
        main: Pid,
        news: &mut UnboundedReceiver<News>,
        most: u32,
    ) -> Option<Report> {
        let [term, int, hup] = &mut self.stops;
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if let (_, Some(end)) = reap(main) {
                end.send();
                return Some(end);
            }
            tokio::select! {
                _ = self.children.recv() => {}
                heard = news.recv() => {
                    if heard != Some(News::Ask) {
                        return None;
                    }
                    let _gone = rustix::process::kill_process_group(main, Signal::TERM);
                }
                _ = term.recv() => return None,
                _ = int.recv() => return None,
                _ = hup.recv() => return None,
                _ = look.tick(), if most > 0 => {
                    let n = tree::count(most);
                    if n > most {
                        Report::Processes(n).send();
                        return None;
                    }
                }
            }
        }
    }

    /// Kills everything that came from the program; gives the number of processes that could not be ended.
    async fn end_all(&mut self, main: Pid) -> u32 {
        let deadline = Instant::now() + SWEEP;
        if !tree::ADOPTS {
            tree::kill_all(main);
        }
        let mut pause = Duration::from_millis(1);
        loop {
            let (some_left, _) = reap(main);
            if !some_left {
                return 0;
            }
            let n = tree::kill_all(main);
            if Instant::now() >= deadline {
                return n.max(1);
            }
            tokio::select! {
                _ = self.children.recv() => {}
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(Duration::from_millis(50)),
            }
        }
    }
}

/// Takes the status of every child that has ended. Gives whether any child is left, and how `main` ended if it did so now.
fn reap(main: Pid) -> (bool, Option<Report>) {
    let mut end = None;
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == main => end = Some(ended(status)),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return (true, end),
            Err(_) => return (false, end),
        }
    }
}

fn ended(status: WaitStatus) -> Report {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Report::Exit(code),
        (None, Some(number)) => Report::Signal(number),
        (None, None) => Report::Broken("the program neither ended nor was killed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn the_command_line_says_how_to_start_again_and_what() {
        let call = parse(words(
            "orchestrator --quiet __guard --nice=10 --oom=500 --processes=9 -- sh -c -- x",
        ))
        .unwrap();
        assert_eq!(call.again, words("--quiet __guard"));
        assert_eq!(
            (call.options.nice, call.options.oom, call.options.processes),
            (10, 500, 9)
        );
        assert_eq!(
            (call.program, call.arguments),
            (OsString::from("sh"), words("-c -- x"))
        );
    }

    #[test]
    fn a_command_line_that_is_none_is_refused() {
        for line in [
            "o __guard",
            "o __guard --",
            "o __guard sh",
            "o __guard --nice=ten -- sh",
            "o __guard --what=1 -- sh",
        ] {
            assert!(
                matches!(parse(words(line)), Err(Error::Usage { .. })),
                "{line}"
            );
        }
    }

    #[test]
    fn every_report_is_read_back() {
        for report in [
            Report::Exit(3),
            Report::Signal(9),
            Report::NotStarted(2),
            Report::Processes(2001),
            Report::Left(1),
            Report::Broken("cannot watch signals: no".to_owned()),
        ] {
            assert_eq!(Report::parse(&report.to_string()), Some(report));
        }
        assert_eq!(Report::parse("later 1"), None);
    }
}
