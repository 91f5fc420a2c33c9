//! Starting the program, feeding it, reading it, and ending it when its time is up.

use super::talk::Talk;
use super::{Call, Error, SETTINGS, strays};
use rustix::process::{Pid, Signal, kill_process_group};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

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
        let over = self.talk(&mut child);
        // Nothing of a call outlives it, whatever came of it. The process is not reaped yet, so its number is its own.
        kill_process_group(Pid::from_child(&child), Signal::KILL).ok();
        let status = child.wait().map_err(failed)?;
        let talk = over.map_err(failed)?.ok_or_else(|| Error::TimedOut {
            what: self.what.to_owned(),
            after: self.deadline,
            place: self.place(),
        })?;
        let code = status
            .code()
            .unwrap_or_else(|| -status.signal().unwrap_or(0));
        if !talk.cut && !self.answers.contains(&code) {
            return Err(Error::Failed {
                what: self.what.to_owned(),
                code,
                place: self.place(),
                said: String::from_utf8_lossy(&talk.said).trim().to_owned(),
            });
        }
        Ok(Output {
            code,
            stdout: talk.stdout,
            cut: talk.cut,
        })
    }

    /// Feeds it and reads it until it has ended; nothing where it is still running at the deadline.
    fn talk(&mut self, child: &mut Child) -> io::Result<Option<Talk>> {
        let deadline = Instant::now() + self.deadline;
        let pid = Pid::from_child(child);
        let mut talk = Talk::with(child, std::mem::take(&mut self.input), self.limit)?;
        // Whatever it left behind would hold our pipes open.
        let over = talk.until_over(deadline, || {
            kill_process_group(pid, Signal::KILL).ok();
        })?;
        Ok(over.then_some(talk))
    }

    pub(super) fn command(&self) -> Command {
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
}
