//! Starting the program, feeding it, reading it, and ending it when its time is up.

use super::{Call, Error, SETTINGS, strays};
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

/// What git answered.
#[derive(Debug)]
pub(crate) struct Output {
    /// The exit code; one of the call's answers.
    pub(crate) code: i32,
    /// What it printed.
    pub(crate) stdout: Vec<u8>,
    /// Whether it had more to say than the limit.
    pub(crate) cut: bool,
}

impl Call {
    /// Makes the call.
    pub(crate) fn run(self) -> Result<Output, Error> {
        let (what, limit, place) = (self.what, self.limit, self.place());
        let output = self.first()?;
        if output.cut {
            return Err(Error::TooMuch {
                what: what.to_owned(),
                limit,
                place,
            });
        }
        Ok(output)
    }

    /// Makes the call and gives what it printed.
    pub(crate) fn bytes(self) -> Result<Vec<u8>, Error> {
        Ok(self.run()?.stdout)
    }

    /// Makes the call and gives what it printed as text without the last line end.
    pub(crate) fn text(self) -> Result<String, Error> {
        let what = self.what;
        let mut text =
            String::from_utf8(self.bytes()?).map_err(|_| Error::nonsense(what, "not UTF-8"))?;
        if text.ends_with('\n') {
            text.pop();
        }
        Ok(text)
    }

    /// Makes the call and reads no more than the limit; a call cut short counts as answered.
    pub(crate) fn first(mut self) -> Result<Output, Error> {
        let failed = |source| Error::Start {
            what: self.what.to_owned(),
            source,
        };
        let mut child = self.command().spawn().map_err(failed)?;
        let input = std::mem::take(&mut self.input);
        let (mut to, from, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let limit = self.limit;
        let feeder = (!input.is_empty()).then(|| {
            let to = to.take();
            // A program that stops reading early has its answer already; its exit code says whether that was right.
            thread::spawn(move || to.map(|mut to| to.write_all(&input)))
        });
        drop(to);
        let reader =
            thread::spawn(move || from.map(|from| read_up_to(from, limit)).unwrap_or_default());
        let listener =
            thread::spawn(move || err.map(|err| read_last(err, 2048)).unwrap_or_default());
        let status = self.wait(&mut child)?;
        let (stdout, cut) = reader.join().unwrap_or_default();
        let said = listener.join().unwrap_or_default();
        if let Some(feeder) = feeder {
            drop(feeder.join());
        }
        let code = status
            .code()
            .unwrap_or_else(|| -status.signal().unwrap_or(0));
        if !cut && !self.answers.contains(&code) {
            return Err(Error::Failed {
                what: self.what.to_owned(),
                code,
                place: self.place(),
                said: String::from_utf8_lossy(&said).trim().to_owned(),
            });
        }
        Ok(Output { code, stdout, cut })
    }

    fn command(&self) -> Command {
        let installed = &self.git.0;
        let mut command = Command::new(&installed.program);
        command
            .env_clear()
            .env("PATH", &installed.search_path)
            .env(strays::MARK, strays::own())
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ASKPASS", "/bin/false")
            .env("GIT_SSH_COMMAND", "/bin/false")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_LITERAL_PATHSPECS", "1")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_PAGER", "cat")
            .env("GIT_EDITOR", "/bin/false");
        self.configure(&mut command);
        for (name, value) in &self.environment {
            command.env(name, value);
        }
        command
            .args(&self.before)
            .arg(self.what)
            .args(&self.args)
            .current_dir(&self.directory)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn configure(&self, command: &mut Command) {
        match &self.user {
            None => {
                command
                    .env("GIT_CONFIG_NOSYSTEM", "1")
                    .env("GIT_CONFIG_SYSTEM", "/dev/null")
                    .env("GIT_CONFIG_GLOBAL", "/dev/null")
                    .env("GIT_CEILING_DIRECTORIES", "/");
            }
            Some(user) => {
                if !user.system {
                    command.env("GIT_CONFIG_NOSYSTEM", "1");
                }
                let places = [
                    ("HOME", &user.home),
                    ("XDG_CONFIG_HOME", &user.xdg_config_home),
                    ("GIT_CONFIG_GLOBAL", &user.git_config_global),
                    ("GIT_CONFIG_SYSTEM", &user.git_config_system),
                ];
                for (name, value) in places {
                    if let Some(value) = value {
                        command.env(name, value);
                    }
                }
                // What the user has configured is the question here, so nothing may stand over it.
                return;
            }
        }
        let fixed = SETTINGS
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).into()));
        let mut count = 0;
        for (name, value) in fixed.chain(self.settings.iter().cloned()) {
            command
                .env(format!("GIT_CONFIG_KEY_{count}"), name)
                .env(format!("GIT_CONFIG_VALUE_{count}"), value);
            count += 1;
        }
        command.env("GIT_CONFIG_COUNT", count.to_string());
    }

    /// Waits for the end or the deadline, whichever comes first.
    fn wait(&self, child: &mut Child) -> Result<std::process::ExitStatus, Error> {
        use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
        let pid = Pid::from_child(child);
        let (ended, at_end) = mpsc::channel();
        // The wait leaves the process unreaped, so its number cannot belong to another when it is killed by number.
        let watcher = thread::spawn(move || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while matches!(
                waitid(WaitId::Pid(pid), options),
                Err(rustix::io::Errno::INTR)
            ) {}
            ended.send(()).ok();
        });
        let late = at_end.recv_timeout(self.deadline).is_err();
        if late {
            kill_process_group(pid, Signal::KILL).ok();
        }
        drop(watcher.join());
        if !late {
            // Whatever it left behind would hold our pipes open.
            kill_process_group(pid, Signal::KILL).ok();
        }
        let status = child.wait().map_err(|source| Error::Start {
            what: self.what.to_owned(),
            source,
        })?;
        if late {
            return Err(Error::TimedOut {
                what: self.what.to_owned(),
                after: self.deadline,
                place: self.place(),
            });
        }
        Ok(status)
    }
}

/// Reads to the end or to the limit; says whether there was more.
fn read_up_to(from: impl Read, limit: usize) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    drop(from.take(limit as u64 + 1).read_to_end(&mut bytes));
    let cut = bytes.len() > limit;
    bytes.truncate(limit);
    (bytes, cut)
}

/// Reads to the end and keeps the last bytes only.
fn read_last(mut from: impl Read, keep: usize) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(n @ 1..) = from.read(&mut chunk) {
        kept.extend_from_slice(&chunk[..n]);
        if kept.len() > 2 * keep {
            kept.drain(..kept.len() - keep);
        }
    }
    kept.drain(..kept.len().saturating_sub(keep));
    kept
}
