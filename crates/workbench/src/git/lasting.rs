//! A git that goes on answering, where starting one for each question takes longer than all of its work.

use super::{Call, Error};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group};
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout};

/// How much is kept of what it says when it fails.
const SAID: u64 = 2048;

/// A call that is asked line by line, and answers each line with one.
///
/// It ends with this program: its standard input does.
#[derive(Debug)]
pub(crate) struct Lasting {
    call: Call,
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    err: ChildStderr,
}

impl Call {
    /// Makes the call, to be asked line by line.
    pub(crate) fn lasting(self) -> Result<Lasting, Error> {
        let failed = |source| Error::Start {
            what: self.what.to_owned(),
            source,
        };
        let mut child = self.command().spawn().map_err(failed)?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(to), Some(from), Some(err)) = pipes else {
            return Err(failed(ErrorKind::BrokenPipe.into()));
        };
        Ok(Lasting {
            call: self,
            child,
            to,
            from: BufReader::new(from),
            err,
        })
    }
}

impl Lasting {
    /// Asks one line and gives the answer to it. After an error it is of no more use.
    pub(crate) fn ask(&mut self, line: &str) -> Result<String, Error> {
        match self.answer(line) {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(Error::TimedOut {
                what: self.call.what.to_owned(),
                after: self.call.deadline,
                place: self.call.place(),
            }),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Nothing where it has not answered at the deadline.
    fn answer(&mut self, line: &str) -> io::Result<Option<String>> {
        self.to.write_all(format!("{line}\n").as_bytes())?;
        // Git writes an answer at once, and no second one before it is asked again.
        let most = Timespec::try_from(self.call.deadline).map_err(io::Error::other)?;
        let mut waits = [PollFd::new(self.from.get_ref(), PollFlags::IN)];
        loop {
            match poll(&mut waits, Some(&most)) {
                Ok(0) => return Ok(None),
                Ok(_) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(other) => return Err(other.into()),
            }
        }
        let mut answer = String::new();
        self.from.read_line(&mut answer)?;
        match answer.pop() {
            Some('\n') => Ok(Some(answer)),
            _ => Err(ErrorKind::UnexpectedEof.into()),
        }
    }

    /// What it said when it ended, or else what the system says of talking to it.
    fn failed(&mut self, error: &io::Error) -> Error {
        self.end();
        let mut said = Vec::new();
        let read = self.err.by_ref().take(SAID).read_to_end(&mut said);
        let code = self.child.wait().ok().and_then(|status| status.code());
        let said = match read {
            Ok(1..) => String::from_utf8_lossy(&said).trim().to_owned(),
            _ => error.to_string(),
        };
        Error::Failed {
            what: self.call.what.to_owned(),
            code: code.unwrap_or(-1),
            place: self.call.place(),
            said,
        }
    }

    fn end(&self) {
        kill_process_group(Pid::from_child(&self.child), Signal::KILL).ok();
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        // It is not reaped before this, so its number is its own.
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.end();
        }
        self.child.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use crate::git::tests::fake_git;
    use crate::git::{Error, Git};
    use std::time::Duration;

    /// Answers each line with the same in capitals; hangs when it is asked for that, and ends when it is asked for anything
    /// that it does not know.
    const SCRIPT: &str = r#"case "$*" in *version*) echo git version 2.99.0; exit;; esac
        while read -r line; do case "$line" in
            one) echo ONE;; two) echo TWO;; hang) exec /bin/sleep 1000;; *) echo "no such $line" >&2; exit 3;;
        esac; done"#;

    #[test]
    fn it_answers_line_by_line_and_says_why_when_it_cannot() {
        let dir = tempfile::tempdir().unwrap();
        fake_git(dir.path(), SCRIPT);
        let git = Git::find_in(dir.path().as_os_str()).unwrap();
        let mut asked = git.call("cat-file").lasting().unwrap();
        assert_eq!(asked.ask("one").unwrap(), "ONE");
        assert_eq!(asked.ask("two").unwrap(), "TWO");
        let error = asked.ask("three").unwrap_err();
        let said = matches!(&error, Error::Failed { code: 3, said, .. } if said == "no such three");
        assert!(said, "{error}");
        assert!(asked.ask("one").is_err(), "it has ended");
    }

    #[test]
    fn one_that_does_not_answer_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        fake_git(dir.path(), SCRIPT);
        let git = Git::find_in(dir.path().as_os_str()).unwrap();
        let call = git.call("cat-file").deadline(Duration::from_millis(20));
        let error = call.lasting().unwrap().ask("hang").unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    }
}
