//! A disposable world for the real program: a project of a user, a state directory, and scripts for its agents.
//!
//! ```no_run
//! use testkit::world::{Script, Task, World, write};
//!
//! let world = World::new("path/to/orchestrator").file("a.txt", "old\n").committed();
//! let script = Script::plan([Task::new("a").writes("a.txt").proof("grep -q new a.txt")])
//!     .worker("a", [write("a.txt", "new\n")])
//!     .reviewed();
//! assert_eq!(world.task(&script, &[]).code, Some(0));
//! ```

mod processes;
mod script;

pub use script::{Script, Task, append, ask, delete, heed, run, think, write};

use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;

/// How long anything may take before a test fails. Nothing waits for it to pass.
pub const LIMIT: Duration = Duration::from_secs(120);

/// The variable that every process of a world has.
const MARK: &str = "ORCHESTRATOR_TEST_WORLD";

/// A user, a project of theirs, and a state directory; gone when it is dropped.
#[derive(Debug)]
pub struct World {
    dir: TempDir,
    program: PathBuf,
}

/// How the program ended, and what it said.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Its exit code.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Ran {
    /// All that it said.
    pub fn said(&self) -> String {
        format!("{}\n{}", self.err, self.out)
    }

    /// Checks its exit code and what it said, and gives itself back.
    ///
    /// # Panics
    /// If the code is another, or one of the texts was not said.
    #[track_caller]
    pub fn ends(self, code: i32, saying: &[&str]) -> Self {
        let said = self.said();
        assert_eq!(self.code, Some(code), "signal {:?}:\n{said}", self.signal);
        for text in saying {
            assert!(said.contains(text), "it does not say {text:?}:\n{said}");
        }
        self
    }
}

/// What belongs to the user: their files, and what git keeps for them.
pub type Belongings = BTreeMap<String, Vec<u8>>;

impl World {
    /// A world for a program, with an empty project under git.
    ///
    /// # Panics
    /// If there is no temporary folder or no git.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        let world = Self::without_git(program);
        world.git(&["init", "-q", "-b", "main"]);
        world
    }

    /// A world whose project is a plain folder.
    ///
    /// # Panics
    /// If there is no temporary folder.
    pub fn without_git(program: impl Into<PathBuf>) -> Self {
        let dir = tempfile::Builder::new().prefix("w").tempdir().unwrap();
        for folder in ["project", "home"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let world = Self {
            dir,
            program: program.into(),
        };
        let config = "[user]\n\tname = User\n\temail = user@localhost\n[gc]\n\tauto = 0\n";
        fs::write(world.home().join(".gitconfig"), config).unwrap();
        world
    }

    /// The user's project.
    pub fn project(&self) -> PathBuf {
        self.dir.path().join("project")
    }

    /// The user's home.
    pub fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// The state directory; the program makes it.
    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// A path beside project and state.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// With this file in the project.
    ///
    /// # Panics
    /// If it cannot be written.
    #[must_use]
    pub fn file(self, path: &str, text: impl AsRef<[u8]>) -> Self {
        self.write(path, text);
        self
    }

    /// With everything that is in the project committed.
    #[must_use]
    pub fn committed(self) -> Self {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", "base"]);
        self
    }

    /// The user writes a file of the project.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.project().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A file of the project as text; empty where there is none.
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.project().join(path)).unwrap_or_default()
    }

    /// What the user's git says.
    ///
    /// # Panics
    /// If it fails.
    #[track_caller]
    pub fn git(&self, words: &[&str]) -> String {
        self.git_in(&self.project(), words)
    }

    /// What git says in some folder.
    ///
    /// # Panics
    /// If it fails.
    #[track_caller]
    pub fn git_in(&self, folder: &Path, words: &[&str]) -> String {
        let mut git = Command::new("git");
        let ran = self
            .dress(&mut git)
            .args(words)
            .current_dir(folder)
            .output();
        let ran = ran.unwrap();
        let err = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "git {words:?}: {err}");
        String::from_utf8_lossy(&ran.stdout).trim_end().to_owned()
    }

    /// The program with arguments, in the project.
    pub fn command<S: AsRef<OsStr>>(&self, words: &[S]) -> Command {
        let mut command = Command::new(&self.program);
        self.dress(&mut command)
            .args(words)
            .current_dir(self.project())
            .stdin(Stdio::null());
        command
    }

    fn dress<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("LC_ALL", "C.UTF-8")
            .env("ORCHESTRATOR_STATE_DIR", self.state())
            // Tests fill the machine that they run on, and who starts beside whom is what many of them are about.
            .env("ORCHESTRATOR_PRESSURE", "off")
            .env(MARK, self.dir.path())
    }

    /// Runs the program to its end.
    pub fn run<S: AsRef<OsStr>>(&self, words: &[S]) -> Ran {
        self.start(words).ended()
    }

    /// Starts the program.
    pub fn start<S: AsRef<OsStr>>(&self, words: &[S]) -> Running {
        Running::new(self.command(words))
    }

    /// Writes a script where the program finds it, and tells the words that name it.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn agent(&self, script: &Script) -> String {
        let path = self.beside("script.toml");
        fs::write(&path, script.text()).unwrap();
        format!("--agent=scripted:{}", path.display())
    }

    /// Starts a task whose agents follow a script.
    pub fn start_task(&self, script: &Script, words: &[&str]) -> Running {
        let agent = self.agent(script);
        let all: Vec<&str> = ["task", "Do what the script says", &agent]
            .into_iter()
            .chain(words.iter().copied())
            .collect();
        self.start(&all)
    }

    /// Carries a task out whose agents follow a script.
    pub fn task(&self, script: &Script, words: &[&str]) -> Ran {
        self.start_task(script, words).ended()
    }

    /// What `status --json` says.
    ///
    /// # Panics
    /// If it says nothing of the kind.
    #[track_caller]
    pub fn status(&self, mission: &str) -> Value {
        let ran = self.run(&["status", "--json", mission]).ends(0, &[]);
        serde_json::from_str(&ran.out).unwrap()
    }

    /// How a mission stands, in one word.
    #[track_caller]
    pub fn state_of(&self, mission: &str) -> String {
        let status = self.status(mission);
        status["state"].as_str().unwrap_or_default().to_owned()
    }

    /// A place where a script meets its test: the script runs [`Meeting::line`], and [`Meeting::come`] returns then. A
    /// script that comes twice in a row may meet its test but once, and needs two of them.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn meeting(&self) -> Meeting {
        let mut paths = (1..).map(|n| self.beside(&format!("meeting-{n}")));
        let path = paths.find(|path| !path.exists()).expect("one is free");
        let made = Command::new("mkfifo").arg(&path).status();
        assert!(made.is_ok_and(|status| status.success()), "no mkfifo");
        Meeting { path }
    }

    /// The folder of a mission.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    pub fn place(&self, mission: &str) -> PathBuf {
        let prefix = format!("{mission}-");
        let missions = fs::read_dir(self.state().join("missions"));
        let found = missions.into_iter().flatten().flatten().find(|entry| {
            let name = entry.file_name();
            name.to_string_lossy().starts_with(&prefix)
        });
        found
            .unwrap_or_else(|| panic!("{mission} has no folder"))
            .path()
    }

    /// What git says in a mission's repository.
    #[track_caller]
    pub fn mission_git(&self, mission: &str, words: &[&str]) -> String {
        self.git_in(&self.place(mission).join("repo.git"), words)
    }

    /// The files of the project, without `.git`.
    pub fn files(&self) -> Belongings {
        let mut files = BTreeMap::new();
        collect(&self.project(), "", &mut files);
        files
    }

    /// What [`git_state`] tells of his project.
    pub fn git_state(&self) -> Belongings {
        git_state(&self.project())
    }

    /// Processes that came from this world and still live.
    pub fn processes(&self) -> Vec<String> {
        let found = processes::of(MARK, self.dir.path());
        found.into_iter().map(|one| one.to_string()).collect()
    }

    /// Waits until nothing of this world lives any more.
    ///
    /// # Panics
    /// If something lives after [`LIMIT`].
    #[track_caller]
    pub fn all_gone(&self) {
        let left = processes::wait(MARK, self.dir.path(), LIMIT);
        assert!(left.is_empty(), "these outlived the program: {left:#?}");
    }

    /// What the scripted agents of a mission wrote down: `start` and `answer` lines.
    #[track_caller]
    pub fn agent_log(&self, mission: &str) -> String {
        let log = self.place(mission).join("agent/log");
        fs::read_to_string(log).unwrap_or_default()
    }
}

/// A pipe with a name, at which one side waits for the other.
#[derive(Debug)]
pub struct Meeting {
    path: PathBuf,
}

impl Meeting {
    /// What a script runs to come to the meeting.
    pub fn line(&self) -> String {
        format!("echo > {}", self.path.display())
    }

    /// Waits until the script has come.
    ///
    /// # Panics
    /// If it does not come within [`LIMIT`].
    #[track_caller]
    pub fn come(&self) {
        let (sender, came) = channel();
        let path = self.path.clone();
        std::thread::spawn(move || sender.send(fs::read(path)).ok());
        assert!(
            came.recv_timeout(LIMIT).is_ok(),
            "nobody came to the meeting"
        );
    }
}

/// A user's index, branches, configuration, what is checked out and what is locked. Refs of the program are left out.
pub fn git_state(project: &Path) -> Belongings {
    let git = project.join(".git");
    let mut state = Belongings::new();
    collect(&git.join("refs"), "refs/", &mut state);
    state.retain(|name, _| !name.starts_with("refs/orchestrator/"));
    for name in ["HEAD", "index", "config", "packed-refs"] {
        state.insert(name.into(), fs::read(git.join(name)).unwrap_or_default());
    }
    let locks = fs::read_dir(&git).into_iter().flatten().flatten();
    let locks = locks.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let locks = locks.filter(|name| name.ends_with(".lock"));
    state.extend(locks.map(|name| (name, Vec::new())));
    state
}

fn collect(folder: &Path, prefix: &str, into: &mut Belongings) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let path = entry.path();
        if name == ".git" {
            continue;
        }
        match fs::symlink_metadata(&path) {
            Ok(data) if data.is_dir() => collect(&path, &format!("{name}/"), into),
            Ok(data) if data.is_symlink() => {
                let target = fs::read_link(&path).unwrap_or_default();
                into.insert(name, target.into_os_string().into_encoded_bytes());
            }
            _ => {
                into.insert(name, fs::read(&path).unwrap_or_default());
            }
        }
    }
}

/// The program while it runs. Killed when it is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    seen: String,
    out: Option<JoinHandle<String>>,
}

impl Running {
    /// Starts a command whose output is read as it comes.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn new(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = channel();
        let err = BufReader::new(child.stderr.take().unwrap());
        let mut out = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            for line in err.split(b'\n') {
                let Ok(line) = line else { return };
                if sender
                    .send(String::from_utf8_lossy(&line).into_owned())
                    .is_err()
                {
                    return;
                }
            }
        });
        let out = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            out.read_to_end(&mut bytes).ok();
            String::from_utf8_lossy(&bytes).into_owned()
        });
        Self {
            child,
            lines,
            seen: String::new(),
            out: Some(out),
        }
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line of its standard error; nothing at its end.
    ///
    /// # Panics
    /// If none comes for [`LIMIT`].
    #[track_caller]
    pub fn line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(LIMIT) {
            Ok(line) => {
                self.seen.push_str(&line);
                self.seen.push('\n');
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("it is silent after:\n{}", self.seen),
        }
    }

    /// Waits for a line that holds this.
    ///
    /// # Panics
    /// If the program ends before.
    #[track_caller]
    pub fn says(&mut self, text: &str) -> String {
        loop {
            match self.line() {
                Some(line) if line.contains(text) => return line,
                Some(_) => {}
                None => panic!("it never said {text:?}:\n{}", self.seen),
            }
        }
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// If it cannot be sent.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it says nothing for [`LIMIT`] and does not end.
    #[track_caller]
    pub fn ended(mut self) -> Ran {
        while self.line().is_some() {}
        let status: ExitStatus = self.child.wait().unwrap();
        let out = self.out.take().map(|out| out.join().unwrap_or_default());
        Ran {
            code: status.code(),
            signal: status.signal(),
            out: out.unwrap_or_default(),
            err: std::mem::take(&mut self.seen),
        }
    }

    /// Kills it when this much time has passed, unless it has ended before.
    ///
    /// # Panics
    /// If it cannot be killed.
    pub fn kill_after(self, instant: Duration) -> Ran {
        let pid = rustix::process::Pid::from_child(&self.child);
        processes::ends_within(pid, instant);
        self.kill()
    }

    /// Kills it, as the kernel does when memory is short.
    ///
    /// # Panics
    /// If it cannot be killed.
    pub fn kill(mut self) -> Ran {
        self.child.kill().unwrap();
        self.ended()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
