//! A user: a home, a project in it, and the program that is run there, watched from outside.

use crate::opencode::Home;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command as Plain, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, Command};

/// A run that takes longer than this has failed. No test waits for it to pass.
const LIMIT: Duration = Duration::from_secs(300);

/// A home with OpenCode, a project under git, and the program.
pub struct User {
    home: Home,
    program: PathBuf,
    alone: bool,
}

/// How a run of the program ended.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it said while it ran and at its end, in that order.
    pub said: String,
    /// How long it took; to be printed, not tested.
    pub took: Duration,
}

/// A run that is not over.
pub struct Running {
    child: Child,
    since: Instant,
    err: BufReader<ChildStderr>,
    /// What was read of it already.
    seen: String,
}

impl User {
    /// A user whose OpenCode knows one model, with a project that holds these files.
    ///
    /// # Panics
    ///
    /// When the temporary directory cannot be written, or there is no git.
    pub fn new(program: impl Into<PathBuf>, model_url: &str, files: &[(&str, &str)]) -> Self {
        Self::with(program, model_url, |project| {
            for (name, text) in files {
                let path = project.join(name);
                fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder");
                fs::write(path, text).expect("a file of the project");
            }
            git(project, &["init", "-q", "-b", "main"]);
            git(project, &["add", "-A"]);
            let who = ["-c", "user.name=u", "-c", "user.email=u@localhost"];
            git(project, &[&who[..], &["commit", "-qm", "base"]].concat());
        })
    }

    /// A user whose OpenCode knows one model, with a project that somebody makes in an empty folder.
    ///
    /// # Panics
    ///
    /// When the temporary directory cannot be written.
    pub fn with(program: impl Into<PathBuf>, model_url: &str, make: impl FnOnce(&Path)) -> Self {
        let home = Home::new(model_url);
        make(&home.project());
        let bin = home.path().join("bin");
        fs::create_dir_all(&bin).expect("a folder in the temporary one");
        std::os::unix::fs::symlink(crate::opencode::program(), bin.join("opencode"))
            .expect("a link in the temporary folder");
        Self {
            home,
            program: program.into(),
            alone: false,
        }
    }

    /// From now on he has these programs and no others, whatever the machine has.
    ///
    /// # Panics
    ///
    /// When the machine has not got one of them.
    pub fn has_only(mut self, programs: &[&str]) -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        for name in programs {
            let found = folders.iter().map(|folder| folder.join(name));
            let found = found.into_iter().find(|path| path.is_file());
            let found = found.unwrap_or_else(|| panic!("this machine has no {name}"));
            std::os::unix::fs::symlink(found, self.home.path().join("bin").join(name))
                .expect("a link in the temporary folder");
        }
        self.alone = true;
        self
    }

    /// The folder of a mission.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn place(&self, mission: &str) -> PathBuf {
        let missions = self
            .home
            .path()
            .join("state/opencode-orchestrator/missions");
        let found = fs::read_dir(missions).expect("missions").flatten();
        let own = |name: String| name.starts_with(&format!("{mission}-"));
        let mut found = found.filter(|entry| own(entry.file_name().to_string_lossy().into_owned()));
        found.next().expect("a folder of the mission").path()
    }

    /// His project.
    pub fn project(&self) -> PathBuf {
        self.home.project()
    }

    /// His home.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// The variables that he has beyond those of the machine.
    ///
    /// # Panics
    ///
    /// When his search path cannot be written down.
    pub fn env(&self) -> Vec<(std::ffi::OsString, std::ffi::OsString)> {
        let others = std::env::var_os("PATH").unwrap_or_default();
        let bin = self.home.path().join("bin");
        let others = std::env::split_paths(&others).filter(|_| !self.alone);
        let path = std::env::join_paths(std::iter::once(bin).chain(others));
        let mut env = self.home.env();
        env.push(("PATH".into(), path.expect("a search path")));
        env
    }

    /// A program that he runs in the project.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.project())
            // As a shell sets it: `opencode run` takes its folder from here, and would work on ours.
            .env("PWD", self.project())
            .envs(self.env())
            .env("ORCHESTRATOR_PRESSURE", "off")
            .env_remove("ORCHESTRATOR_STATE_DIR");
        command
    }

    /// Starts the program in the project.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn start(&self, words: &[&str]) -> Running {
        let mut command = self.command(&self.program);
        command.args(words);
        Self::starts(command)
    }

    /// Starts it where these files stand for others of the system, for it and all that it starts; none where users may have
    /// no mounts of their own. The switch that leaves the machine's state alone is off.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn start_where(&self, files: &[(&Path, &Path)], words: &[&str]) -> Option<Running> {
        let mount = "while [ $1 != -- ]; do mount --bind \"$1\" \"$2\" || exit 90; shift 2; done; shift; exec \"$@\"";
        let places = files.iter().flat_map(|(file, place)| [*file, *place]);
        let words_before = [
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            mount,
            "sh",
        ];
        let mut tried = Plain::new("unshare");
        let tried = tried.args(words_before).args(places.clone());
        let allowed = tried.args(["--", "true"]).status();
        if !allowed.is_ok_and(|status| status.success()) {
            return None;
        }
        let mut command = self.command(Path::new("unshare"));
        command.env("ORCHESTRATOR_PRESSURE", "on");
        command.args(words_before).args(places).arg("--");
        command.arg(&self.program).args(words);
        Some(Self::starts(command))
    }

    fn starts(mut command: Command) -> Running {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        Running {
            err: BufReader::new(child.stderr.take().expect("a pipe")),
            child,
            since: Instant::now(),
            seen: String::new(),
        }
    }

    /// Runs the program in the project to its end.
    pub async fn run(&self, words: &[&str]) -> Ran {
        self.start(words).end().await
    }

    /// The files of his project with what they hold, git's own aside.
    ///
    /// # Panics
    ///
    /// When one cannot be read.
    pub fn files(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.project()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).expect("a folder of the project") {
                let path = entry.expect("an entry").path();
                if path.ends_with(".git") {
                    continue;
                } else if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(self.project()).expect("a path below");
                    let bytes = fs::read(&path).expect("a readable file");
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    found.insert(name.to_string_lossy().into_owned(), text);
                }
            }
        }
        found
    }

    /// What [`git_state`](crate::world::git_state) tells of his project.
    pub fn git_state(&self) -> crate::world::Belongings {
        crate::world::git_state(&self.project())
    }

    /// All living processes that come from this user's runs, with their command lines: those that know his home.
    pub fn processes(&self) -> Vec<(u32, String)> {
        processes_of(self.home.path())
    }

    /// The same, for somebody who looks while the user is busy.
    pub fn processes_of(&self) -> impl Fn() -> Vec<(u32, String)> + Send + 'static {
        let home = self.home.path().to_owned();
        move || processes_of(&home)
    }

    /// Waits until none of them lives.
    ///
    /// # Panics
    ///
    /// When some live on, with their command lines.
    pub async fn deserted(&self) {
        let waiting = async {
            while let Some((pid, _)) = self.processes().first() {
                gone(*pid).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(30), waiting)
            .await
            .is_err()
        {
            panic!("processes live on: {:?}", self.processes());
        }
    }
}

impl Running {
    /// The id of its process.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Ends it as a crash would, and gives what it has said.
    ///
    /// # Panics
    ///
    /// When it has ended before.
    pub async fn crash(mut self) -> String {
        assert!(self.id().is_some(), "it has ended by itself");
        self.child.start_kill().expect("a running process");
        self.end().await.said
    }

    /// Waits until it has said a line on its standard error that holds this.
    ///
    /// # Panics
    ///
    /// When it ends before, or does not say it.
    pub async fn says(&mut self, text: &str) {
        let all = async {
            loop {
                let mut line = Vec::new();
                let n = self.err.read_until(b'\n', &mut line).await.expect("a pipe");
                let line = String::from_utf8_lossy(&line).into_owned();
                self.seen.push_str(&line);
                assert!(n > 0, "it never said {text:?}: {}", self.seen);
                if line.contains(text) {
                    return;
                }
            }
        };
        let said = tokio::time::timeout(LIMIT, all).await;
        said.unwrap_or_else(|_| panic!("it does not say {text:?}"));
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// When it does not end.
    pub async fn end(self) -> Ran {
        let Self {
            child,
            since,
            mut err,
            seen,
        } = self;
        let mut rest = Vec::new();
        let all = async { tokio::join!(child.wait_with_output(), err.read_to_end(&mut rest)) };
        let (output, read) = tokio::time::timeout(LIMIT, all).await.expect("it ends");
        let output = output.expect("its output can be read");
        read.expect("its standard error can be read");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran {
            code: output.status.code(),
            said: seen + &text(&rest) + &text(&output.stdout),
            took: since.elapsed(),
        }
    }
}

/// All living processes that know a home.
fn processes_of(home: &Path) -> Vec<(u32, String)> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let home = home.to_string_lossy().into_owned();
    let knows = |dir: &Path| {
        let holds = |name: &str| {
            let text = fs::read(dir.join(name)).unwrap_or_default();
            String::from_utf8_lossy(&text).contains(&home)
        };
        let works = fs::read_link(dir.join("cwd")).is_ok_and(|cwd| cwd.starts_with(&home));
        works || holds("environ") || holds("cmdline")
    };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let ours = pids.filter(|pid| *pid != std::process::id());
    let found = ours.filter_map(|pid: u32| {
        let dir = PathBuf::from(format!("/proc/{pid}"));
        let line = || fs::read(dir.join("cmdline")).unwrap_or_default();
        let told = || String::from_utf8_lossy(&line()).replace('\0', " ");
        knows(&dir).then(|| (pid, told()))
    });
    found.collect()
}

/// Runs git in a folder.
///
/// # Panics
///
/// When it fails.
pub fn git(folder: &Path, words: &[&str]) {
    let ran = Plain::new("git").args(words).current_dir(folder).status();
    assert!(ran.expect("git runs").success(), "git {words:?}");
}

/// Waits until a process has ended; one that is not there has.
///
/// # Panics
///
/// When it cannot be watched.
pub async fn gone(pid: u32) {
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let Some(Ok(process)) = pid.map(|pid| pidfd_open(pid, PidfdFlags::empty())) else {
        return;
    };
    let watching = tokio::task::spawn_blocking(move || {
        let limit = rustix::time::Timespec {
            tv_sec: 30,
            tv_nsec: 0,
        };
        let mut watched = [PollFd::new(&process, PollFlags::IN)];
        poll(&mut watched, Some(&limit)).expect("a process that can be watched")
    });
    assert_ne!(watching.await.expect("a thread"), 0, "the process lives on");
}
