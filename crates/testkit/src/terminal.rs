//! A person at a terminal: what a program shows there, and what is typed into it.

use crate::world::LIMIT;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// A terminal of 30 lines and 100 columns with a program in it, which ends with it.
#[derive(Debug)]
pub struct Terminal {
    keys: File,
    child: Child,
    chunks: Receiver<Vec<u8>>,
    /// All that was written to it so far, as it was written.
    pub seen: String,
}

impl Terminal {
    /// Starts a program, which has its environment from the command alone. The terminal calls itself `xterm` unless the
    /// command names another `TERM`.
    ///
    /// # Panics
    /// If there are no terminals, or no `setsid`.
    pub fn start(inner: &Command) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let size = Winsize {
            ws_row: 30,
            ws_col: 100,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&master, size).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let path = OsStr::from_bytes(name.as_bytes());
        let side = || {
            OpenOptions::new()
                .read(true)
                .write(true)
                .open(path)
                .unwrap()
        };
        // It makes the terminal the program's own, as a shell's is. The program may have no way to it.
        let path_of_tests = std::env::var_os("PATH").unwrap_or_default();
        let setsid = std::env::split_paths(&path_of_tests)
            .map(|folder| folder.join("setsid"))
            .find(|path| path.is_file())
            .expect("setsid, of util-linux");
        let mut command = Command::new(setsid);
        command
            .args(["--ctty", "--wait"])
            .arg(inner.get_program())
            .args(inner.get_args())
            .env_clear()
            .env("TERM", "xterm")
            .envs(
                inner
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .current_dir(inner.get_current_dir().unwrap_or(".".as_ref()))
            .stdin(side())
            .stdout(side())
            .stderr(side());
        let child = command.spawn().unwrap();
        let mut screen = File::from(master);
        let keys = screen.try_clone().unwrap();
        let (sender, chunks) = channel();
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            // A terminal whose last program has ended fails to be read.
            while let Ok(n @ 1..) = screen.read(&mut chunk) {
                if sender.send(chunk[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            keys,
            child,
            chunks,
            seen: String::new(),
        }
    }

    /// Whether a text stands there within a time, if not already.
    pub fn sees_within(&mut self, text: &str, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        while !self.seen.contains(text) {
            let left = end.saturating_duration_since(Instant::now());
            match self.chunks.recv_timeout(left) {
                Ok(chunk) => self.seen.push_str(&String::from_utf8_lossy(&chunk)),
                Err(_) => return false,
            }
        }
        true
    }

    /// Waits until a text stands there.
    ///
    /// # Panics
    /// If it never does.
    #[track_caller]
    pub fn sees(&mut self, text: &str) {
        let there = self.sees_within(text, LIMIT);
        assert!(there, "{text:?} never stood there:\n{}", self.seen);
    }

    /// Types.
    ///
    /// # Panics
    /// If nobody has the terminal open any more.
    pub fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the program ends, and tells its exit code; nothing if a signal ended it.
    ///
    /// # Panics
    /// If it was waited for already.
    pub fn ends(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
