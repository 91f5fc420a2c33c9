//! What goes to and fro between this program and one that it has started, in the caller's thread.
//!
//! A call of git takes a few milliseconds and a mission makes hundreds of them; a thread for each of its pipes, and one
//! more that waits for its end, cost a tenth of that.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::process::Pid;
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use std::time::Instant;

/// How much is read at once: what a pipe holds.
const CHUNK: usize = 64 << 10;
/// How much of the end of standard error is kept.
const SAID: usize = 2048;

/// The open ends of a process's pipes, what is still to be written, and what was read.
#[derive(Debug)]
pub(super) struct Talk {
    input: Vec<u8>,
    n_written: usize,
    limit: usize,
    to: Option<ChildStdin>,
    from: Option<ChildStdout>,
    err: Option<ChildStderr>,
    end: Option<OwnedFd>,
    /// What it printed, up to the limit.
    pub(super) stdout: Vec<u8>,
    /// Whether it had more to say than the limit.
    pub(super) cut: bool,
    /// The end of what it printed on standard error.
    pub(super) said: Vec<u8>,
}

/// Where something can be done without waiting.
#[derive(Clone, Copy, Debug)]
enum Side {
    Write,
    Read,
    Listen,
    End,
}

impl Talk {
    /// Takes over the pipes of a process.
    ///
    /// # Errors
    /// The system has no descriptor left.
    pub(super) fn with(child: &mut Child, input: Vec<u8>, limit: usize) -> io::Result<Self> {
        let end = end_of(Pid::from_child(child))?;
        let to = child.stdin.take().filter(|_| !input.is_empty());
        if let Some(to) = &to {
            ioctl_fionbio(to, true)?;
        }
        Ok(Self {
            input,
            n_written: 0,
            limit,
            to,
            from: child.stdout.take(),
            err: child.stderr.take(),
            end: Some(end),
            stdout: Vec::new(),
            cut: false,
            said: Vec::new(),
        })
    }

    /// Talks until the process has ended, which does not reap it, and all that it wrote is read; `false` if that is not so
    /// at the deadline.
    ///
    /// `at_end` is called once the process has ended: what it left behind may hold the pipes open.
    ///
    /// # Errors
    /// The system cannot wait for descriptors.
    pub(super) fn until_over(&mut self, deadline: Instant, at_end: impl Fn()) -> io::Result<bool> {
        while self.from.is_some() || self.err.is_some() || self.end.is_some() {
            // Not only where nothing is ready: a program may chatter for ever.
            if Instant::now() >= deadline {
                return Ok(false);
            }
            for side in self.ready(deadline)? {
                match side {
                    Side::Write => self.write(),
                    Side::Read => self.read(),
                    Side::Listen => self.listen(),
                    Side::End => {
                        (self.end, self.to) = (None, None);
                        at_end();
                    }
                }
            }
        }
        Ok(true)
    }

    /// Waits until something can be done, no longer than the deadline; empty also where a signal came in between.
    fn ready(&self, deadline: Instant) -> io::Result<Vec<Side>> {
        fn fd<F: AsFd>(of: Option<&F>) -> Option<BorrowedFd<'_>> {
            of.map(AsFd::as_fd)
        }
        let sides = [
            (Side::Write, fd(self.to.as_ref()), PollFlags::OUT),
            (Side::Read, fd(self.from.as_ref()), PollFlags::IN),
            (Side::Listen, fd(self.err.as_ref()), PollFlags::IN),
            (Side::End, fd(self.end.as_ref()), PollFlags::IN),
        ];
        let (mut open, mut waits) = (Vec::new(), Vec::new());
        for (side, fd, flags) in sides {
            if let Some(fd) = fd {
                open.push(side);
                waits.push(PollFd::from_borrowed_fd(fd, flags));
            }
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let most = Timespec::try_from(left).ok();
        match poll(&mut waits, most.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(other) => return Err(other.into()),
        }
        let ready = open.iter().zip(&waits);
        let ready = ready.filter(|(_, wait)| !wait.revents().is_empty());
        Ok(ready.map(|(side, _)| *side).collect())
    }

    fn write(&mut self) {
        let Some(to) = &mut self.to else { return };
        match to.write(&self.input[self.n_written..]) {
            Ok(n) => self.n_written += n,
            Err(error) if is_passing(&error) => {}
            // A program that stops reading early has its answer already; its exit code says whether that was right.
            Err(_) => self.n_written = self.input.len(),
        }
        if self.n_written == self.input.len() {
            self.to = None;
        }
    }

    fn read(&mut self) {
        let Some(from) = &mut self.from else { return };
        // One byte more than the limit tells that there is more.
        let most = (self.limit - self.stdout.len()).saturating_add(1);
        let n = take(from, most, &mut self.stdout);
        self.cut = self.stdout.len() > self.limit;
        self.stdout.truncate(self.limit);
        if n == Some(0) || self.cut {
            self.from = None;
        }
    }

    fn listen(&mut self) {
        let Some(err) = &mut self.err else { return };
        let n = take(err, CHUNK, &mut self.said);
        let surplus = self.said.len().saturating_sub(SAID);
        self.said.drain(..surplus);
        if n == Some(0) {
            self.err = None;
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Reads once, at most so much, to the end of `into`; `None` where nothing was there after all. A pipe that cannot be
/// read has ended.
fn take(from: &mut impl io::Read, most: usize, into: &mut Vec<u8>) -> Option<usize> {
    let mut chunk = vec![0; CHUNK.min(most)];
    match from.read(&mut chunk) {
        Ok(n) => {
            into.extend_from_slice(&chunk[..n]);
            Some(n)
        }
        Err(error) if is_passing(&error) => None,
        Err(_) => Some(0),
    }
}

/// A descriptor that becomes readable when a process ends. The process stays unreaped, so its number cannot belong to
/// another when its group is killed by number.
fn end_of(pid: Pid) -> io::Result<OwnedFd> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    match rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) {
        // Before Linux 5.3, and where a container lets only known calls through.
        Err(Errno::NOSYS | Errno::PERM) => {}
        opened => return Ok(opened?),
    }
    waited_for(pid)
}

/// The same where the system has no such descriptor: a thread waits, and closes the other end of a pipe.
fn waited_for(pid: Pid) -> io::Result<OwnedFd> {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    let (end, held) = io::pipe()?;
    std::thread::spawn(move || {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while matches!(waitid(WaitId::Pid(pid), options), Err(Errno::INTR)) {}
        drop(held);
    });
    Ok(end.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    /// Long enough for any machine; no test waits for it.
    const LONG: Duration = Duration::from_secs(300);

    fn sh(script: &str) -> Child {
        Command::new("/bin/sh")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn talked(script: &str, input: &[u8], limit: usize) -> Talk {
        let mut child = sh(script);
        let mut talk = Talk::with(&mut child, input.to_vec(), limit).unwrap();
        let over = talk.until_over(Instant::now() + LONG, || {}).unwrap();
        assert!(over, "{script}");
        child.wait().unwrap();
        talk
    }

    #[test]
    fn more_than_every_pipe_holds_goes_through_both_ways_at_once() {
        let input: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        let talk = talked("tee /dev/stderr", &input, usize::MAX);
        assert!(talk.stdout == input && !talk.cut);
        assert_eq!(talk.said, input[input.len() - SAID..]);
    }

    #[test]
    fn what_is_beyond_the_limit_is_told_and_not_kept() {
        for (limit, cut) in [(0, true), (4, true), (5, false), (6, false)] {
            let talk = talked("printf 12345", b"", limit);
            assert_eq!((talk.stdout.len(), talk.cut), (limit.min(5), cut));
        }
        let talk = talked("exec cat /dev/zero", b"", 100_000);
        assert!(talk.stdout.len() == 100_000 && talk.cut);
    }

    #[test]
    fn whoever_does_not_read_what_it_is_given_has_ended_all_the_same() {
        let talk = talked("exec 0<&-; echo done", &vec![b'x'; 1_000_000], 100);
        assert_eq!(talk.stdout, b"done\n");
    }

    #[test]
    fn whoever_chatters_for_ever_is_late() {
        let mut child = sh("exec cat /dev/zero >&2");
        let mut talk = Talk::with(&mut child, Vec::new(), 100).unwrap();
        let soon = Instant::now() + Duration::from_millis(20);
        assert!(!talk.until_over(soon, || {}).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(talk.said.len() <= SAID);
    }

    #[test]
    fn an_end_is_noticed_also_without_a_descriptor_on_the_process() {
        let mut child = sh("read line");
        let mut talk = Talk::with(&mut child, b"on\n".to_vec(), 100).unwrap();
        talk.end = Some(waited_for(Pid::from_child(&child)).unwrap());
        assert!(talk.until_over(Instant::now() + LONG, || {}).unwrap());
        assert!(child.try_wait().unwrap().is_some());
    }
}
