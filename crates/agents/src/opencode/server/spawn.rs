//! One start of one server.

use super::Start;
use crate::opencode::api::Api;
use crate::opencode::{Error, Settings};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// A server that answered.
pub(in crate::opencode) struct Running {
    pub(in crate::opencode) child: Child,
    pub(in crate::opencode) api: Arc<Api>,
    pub(in crate::opencode) version: String,
    /// Held open: a guard ends everything when it closes.
    stdin: Option<ChildStdin>,
    /// A guard must not be killed: it would leave behind what it guards. It ends by itself, at the latest with us.
    guarded: bool,
    said: Said,
    grace: std::time::Duration,
}

/// The last lines that the server said.
type Said = Arc<Mutex<VecDeque<String>>>;

impl Running {
    /// The last that it said.
    pub(in crate::opencode) fn tail(&self) -> String {
        tail(&self.said)
    }

    /// Ends it, gently first, and waits.
    pub(in crate::opencode) async fn end(&mut self) {
        drop(self.stdin.take());
        if let Some(pid) = self
            .child
            .id()
            .and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?))
        {
            // It may be gone already; then there is nothing to end.
            let _gone = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        if tokio::time::timeout(self.grace, self.child.wait())
            .await
            .is_err()
        {
            if self.guarded {
                tracing::warn!("the OpenCode server's guard is still ending it");
            } else if let Err(error) = self.child.kill().await {
                tracing::warn!(%error, "the OpenCode server could not be killed");
            }
        }
    }
}

/// The program behind the guard, with the variables that every call of it gets.
pub(super) fn command(program: &Path, settings: &Settings) -> Command {
    let mut argv: Vec<&std::ffi::OsStr> = settings.guard.iter().map(|word| word.as_ref()).collect();
    argv.push(program.as_os_str());
    let mut command = Command::new(argv[0]);
    command.args(&argv[1..]);
    command.envs(settings.env.iter().map(|(name, value)| (name, value)));
    command
        // Our plugin does nothing where it sees this: a mission must not begin missions.
        .env("ORCHESTRATOR_INSIDE", "1")
        .env("OPENCODE_PURE", "1")
        .env("OPENCODE_DISABLE_AUTOUPDATE", "1")
        // What lies in projects and workspaces is written by anybody. What of it was approved is passed on by itself.
        .env("OPENCODE_DISABLE_PROJECT_CONFIG", "1")
        .current_dir(&settings.directory)
        // Some of OpenCode's commands believe this more than where they are.
        .env("PWD", &settings.directory)
        .kill_on_drop(settings.guard.is_empty());
    command
}

/// Starts a server and waits until it has answered. Tries another port when somebody else took the first one.
pub(in crate::opencode) async fn spawn(start: &Start) -> Result<Running, Error> {
    let deadline = Instant::now() + start.settings.pace.start;
    let mut taken = Error::Start("no port is free".to_owned());
    for _ in 0..3 {
        match tokio::time::timeout_at(deadline, once(start)).await {
            Err(_) => return Err(Error::Slow(start.settings.pace.start)),
            Ok(Err(Error::Start(why))) if why.contains("port") || why.contains("EADDRINUSE") => {
                taken = Error::Start(why);
            }
            Ok(result) => return result,
        }
    }
    Err(taken)
}

async fn once(start: &Start) -> Result<Running, Error> {
    let settings = &start.settings;
    let failed = |e: std::io::Error| Error::Start(e.to_string());
    let port = free_port().map_err(failed)?;
    let password = password()?;
    let mut command = command(&start.program, settings);
    command
        .args(["serve", "--hostname", "127.0.0.1", "--port"])
        .arg(port.to_string())
        .env("OPENCODE_SERVER_PASSWORD", &password)
        .env_remove("OPENCODE_SERVER_USERNAME")
        .env("OPENCODE_CONFIG_CONTENT", &start.content)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(approved) = &settings.trusted {
        command.env("OPENCODE_CONFIG", &approved.settled);
    }
    let mut child = command.spawn().map_err(failed)?;
    let stdin = child.stdin.take();
    let said = Said::default();
    let (heard, mut lines) = mpsc::channel(64);
    if let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) {
        tokio::spawn(listen(out, Arc::clone(&said), Some(heard)));
        tokio::spawn(listen(err, Arc::clone(&said), None));
    }
    // The line comes from the child's own pipe, so it is the child that has the port; only now is the password sent.
    let listening = format!("listening on http://127.0.0.1:{port}");
    while let Some(line) = lines.recv().await {
        if line.contains(&listening) {
            let api = Api::new(port, password, settings.pace.call)
                .map_err(|e| Error::Start(e.to_string()))?;
            let version = answered(&api, settings).await;
            let running = Running {
                child,
                api: Arc::new(api),
                version,
                stdin,
                guarded: !settings.guard.is_empty(),
                said,
                grace: settings.pace.grace,
            };
            return Ok(running);
        }
    }
    let exit = child.wait().await.map_err(failed)?;
    Err(Error::Start(format!(
        "`opencode serve` ended ({exit}): {}",
        tail(&said)
    )))
}

/// Asks until it answers. The first request after the start may be lost for ever, so each has a short deadline.
async fn answered(api: &Api, settings: &Settings) -> String {
    loop {
        match api.health(settings.pace.ready).await {
            Ok(health) => return health.version,
            Err(error) => tracing::debug!(%error, "the OpenCode server is not ready"),
        }
        tokio::time::sleep(settings.pace.ready / 20).await;
    }
}

/// Reads what the server says, for as long as it says something: a full pipe would stop it.
async fn listen(from: impl AsyncRead + Unpin, said: Said, mut heard: Option<mpsc::Sender<String>>) {
    let mut from = BufReader::new(from);
    loop {
        let mut line = Vec::new();
        match (&mut from)
            .take(64 << 10)
            .read_until(b'\n', &mut line)
            .await
        {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let line: String = String::from_utf8_lossy(&line)
            .trim_end()
            .chars()
            .take(400)
            .collect();
        {
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            if said.len() >= 8 {
                said.pop_front();
            }
            said.push_back(line.clone());
        }
        if let Some(tell) = &heard
            && tell.try_send(line).is_err()
        {
            heard = None;
        }
    }
}

fn tail(said: &Said) -> String {
    let said = said.lock().unwrap_or_else(PoisonError::into_inner);
    said.iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(" | ")
}

/// A port that was free a moment ago. OpenCode's own choice would be 4096, where a user's server may stand.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

/// 256 random bits, in hexadecimal.
fn password() -> Result<String, Error> {
    use std::fmt::Write as _;
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|e| Error::Start(format!("no random numbers: {e}")))?;
    let mut hex = String::with_capacity(64);
    for byte in bytes {
        write!(hex, "{byte:02x}").expect("writing to a string cannot fail");
    }
    Ok(hex)
}
