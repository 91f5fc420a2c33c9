//! A person at a terminal: the live view, and an answer that is typed into it.

use super::commands::script;
use super::project;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use testkit::world::{LIMIT, World};

/// A terminal of its own with the program in it.
struct Terminal {
    keys: File,
    child: Child,
    chunks: Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    fn start(world: &World, words: &[&str]) -> Self {
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
        let inner = world.command(words);
        // It makes the terminal the program's own, as a shell's is.
        let mut command = Command::new("setsid");
        command
            .args(["--ctty", "--wait"])
            .arg(inner.get_program())
            .args(inner.get_args())
            .env_clear()
            .envs(
                inner
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .env("TERM", "xterm")
            .current_dir(inner.get_current_dir().unwrap())
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

    fn sees_within(&mut self, text: &str, limit: Duration) -> bool {
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

    #[track_caller]
    fn sees(&mut self, text: &str) {
        let there = self.sees_within(text, LIMIT);
        assert!(there, "{text:?} never stood there:\n{}", self.seen);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn a_person_sees_what_is_being_done_and_answers_a_question_by_a_letter() {
    let world = project();
    let agent = world.agent(&script());
    let words = ["task", "Do what the script says", &agent, "--approve"];
    let mut terminal = Terminal::start(&world, &words);
    terminal.sees("agent   scripted, no model");
    terminal.sees("plan: 1 task");
    terminal.sees("\u{1b}[1mm1 ");
    terminal.sees("q1 [yes/no] > ");
    // What is typed before the question stood there is thrown away, and a test types faster than people read.
    let mut tries = 0;
    while !terminal.sees_within("q1 answered by ", Duration::from_secs(2)) {
        tries += 1;
        assert!(tries < 30, "no answer was taken:\n{}", terminal.seen);
        terminal.keys.write_all(b"y\n").unwrap();
    }
    terminal.sees("m1 completed: Do what the script says");
    terminal.sees("undo: orchestrator undo m1");
    assert!(terminal.child.wait().unwrap().success());
    let (_, end) = terminal.seen.rsplit_once("m1 completed").unwrap();
    assert!(
        !end.contains("tokens\u{1b}") && !end.contains("[yes/no]"),
        "the view is gone: {end:?}"
    );
}
