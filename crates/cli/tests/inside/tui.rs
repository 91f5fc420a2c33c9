//! The real terminal view of OpenCode, under tmux: what the user types and what they see.

use crate::house::{House, crew, kill, within};
use rustix::process::Signal;
use serde_json::json;
use std::path::PathBuf;
use std::process::Stdio;
use testkit::model::{Gate, Model, Reply, Request};
use testkit::persona::Role;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::process::Command;

/// OpenCode on a terminal.
struct Screen {
    socket: PathBuf,
    /// Everything that it writes; what it is does not matter, only that it comes.
    written: pipe::Receiver,
    /// What stood there, one after the other: told when something did not come.
    seen: Vec<String>,
}

/// How many of the last screens are told.
const TOLD: usize = 12;

impl Screen {
    async fn open(house: &House, words: &[&str]) -> Self {
        let home = house.user.home().path();
        let n = std::fs::read_dir(home).unwrap().count();
        let (socket, fifo) = (home.join(format!("t{n}")), home.join(format!("w{n}")));
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        let written = pipe::OpenOptions::new()
            .read_write(true)
            .open_receiver(&fifo)
            .unwrap();
        let screen = Self {
            socket,
            written,
            seen: Vec::new(),
        };
        let socket = screen.socket.display();
        let program = format!(
            "opencode {}; tmux -S {socket} wait-for -S over",
            words.join(" ")
        );
        let mut tmux = house.user.command("tmux".as_ref());
        tmux.args(["-f", "/dev/null", "-S"]).arg(&screen.socket);
        tmux.args(["new-session", "-d", "-x", "120", "-y", "45"]);
        tmux.args(["-e", "TERM=xterm-256color", &program]);
        let started = tmux.env("TERM", "xterm-256color").status().await;
        let started = started
            .expect("tmux is needed for this test: install it, as in `apt-get install tmux`");
        assert!(started.success(), "tmux does not start");
        screen
            .tmux(&["pipe-pane", &format!("cat > {}", fifo.display())])
            .await;
        screen
    }

    async fn tmux(&self, words: &[&str]) -> String {
        let mut tmux = Command::new("tmux");
        tmux.arg("-S").arg(&self.socket).args(words);
        let output = tmux.stderr(Stdio::inherit()).output().await.unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What stands there, once it fits.
    async fn until(&mut self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        let looking = async {
            loop {
                let now = self.tmux(&["capture-pane", "-p"]).await;
                if self.seen.last() != Some(&now) {
                    self.seen.push(now.clone());
                }
                if fits(&now) {
                    return now;
                }
                let mut bytes = [0; 4096];
                let n = self.written.read(&mut bytes).await.unwrap();
                assert!(n > 0, "the terminal is gone:\n{now}");
            }
        };
        match tokio::time::timeout(crate::house::LIMIT, looking).await {
            Ok(found) => found,
            Err(_) => {
                let from = self.seen.len().saturating_sub(TOLD);
                panic!(
                    "{what} did not come:\n{}",
                    self.seen[from..].join("\n----\n")
                )
            }
        }
    }

    async fn shows(&mut self, what: &str) -> String {
        self.until(what, |screen| screen.contains(what)).await
    }

    /// Types a line into the prompt and sends it. The blank at its end closes the list of commands, in which Enter
    /// would only choose one. OpenCode empties the prompt when it takes the line, with whatever was typed since: so it
    /// is waited for.
    async fn types(&mut self, line: &str) {
        self.writes(&format!("{line} "), line).await;
        self.tmux(&["send-keys", "Enter"]).await;
        let taken = format!("a prompt without {line}");
        self.until(&taken, |screen| !stands(screen, line)).await;
    }

    /// Types a text, until the whole line stands in the prompt.
    async fn writes(&mut self, text: &str, line: &str) {
        self.tmux(&["send-keys", "-l", text]).await;
        self.until(line, |screen| stands(screen, line)).await;
    }

    /// Leaves OpenCode as a user does.
    async fn quit(self) {
        self.tmux(&["send-keys", "C-c"]).await;
        within("the end of OpenCode", self.tmux(&["wait-for", "over"])).await;
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let mut tmux = std::process::Command::new("tmux");
        tmux.arg("-S").arg(&self.socket).arg("kill-server");
        tmux.stderr(Stdio::null()).status().ok();
    }
}

/// Whether a line stands in the prompt.
fn stands(screen: &str, line: &str) -> bool {
    let mut rows = screen
        .lines()
        .filter_map(|row| row.trim().strip_prefix('┃'));
    rows.any(|row| row.trim() == line)
}

/// A crew whose Workers wait for a gate each.
pub(crate) async fn held() -> (Model, [Gate; 2]) {
    let (crew, gates) = (crew(), [Gate::default(), Gate::default()]);
    let kept = gates.clone();
    let model = Model::start(move |request: &Request| -> Reply {
        let reply = crew.answer(request);
        let job = crew.job(request).map(|job| job.name().to_owned());
        match (Role::of(request), job.as_deref()) {
            (Role::Worker, Some("one")) => reply.after(&kept[0]),
            (Role::Worker, Some("two")) => reply.after(&kept[1]),
            _ => reply,
        }
    });
    (model.await, gates)
}

fn nothing_but_the_mission(model: &Model) {
    let asked = model.log();
    let others = asked
        .iter()
        .filter(|request| Role::of(request) == Role::Host);
    assert_eq!(others.count(), 0, "only the mission asked the model");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_typed_seen_and_stopped() {
    let (model, _gates) = held().await;
    let house = House::with(model);
    let mut screen = Screen::open(&house, &[]).await;
    screen.shows("Ask anything").await;
    screen.types("/task Add one and two").await;
    screen.shows("m1 begins").await;
    let seen = screen.shows("- T1 working: Add one").await;
    println!("{seen}");
    screen.types("/status").await;
    // The board's own line begins with "##".
    screen.shows("┃  m1 running: Add one and two").await;
    screen.types("/stop").await;
    let seen = screen.shows("## m1 cancelled").await;
    println!("{seen}");
    screen.shows("Report of mission m1").await;
    nothing_but_the_mission(&house.model);
    screen.quit().await;
    house.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mission_outlives_its_engine_and_the_terminal_view() {
    let (model, gates) = held().await;
    let house = House::with(model);
    let mut screen = Screen::open(&house, &[]).await;
    screen.shows("Ask anything").await;
    screen.types("/task Add one and two").await;
    screen.shows("- T1 working: Add one").await;

    let session = house.session_of("m1");
    let engine = house.service().expect("an engine runs");
    kill(engine, Signal::KILL);
    within("the end of the engine", testkit::user::gone(engine)).await;
    gates[0].open();
    let seen = screen.shows("- T2 working: Add two").await;
    println!("{seen}");
    assert_ne!(house.service(), Some(engine), "another one took it up");
    assert_eq!(
        seen.matches("## m1 ").count(),
        1,
        "it is the same board: {seen}"
    );

    screen.quit().await;
    gates[1].open();
    let followed = house.user.run(&["log", "m1", "--follow"]).await;
    assert!(
        followed.said.contains("sealed: completed"),
        "{}",
        followed.said
    );
    nothing_but_the_mission(&house.model);

    let mut screen = Screen::open(&house, &["--session", &session]).await;
    screen.shows("## m1 completed: Add one and two").await;
    let seen = screen.shows("Report of mission m1").await;
    println!("{seen}");
    screen.quit().await;
    let server = house.serve().await;
    let texts = server.texts(&session).await;
    assert_eq!(texts.len(), 2, "one board and one report: {texts:?}");
    drop(server);
    house.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_without_text_is_put_into_the_prompt_to_be_gone_on_with() {
    let (model, _gates) = held().await;
    let house = House::with(model);
    let mut screen = Screen::open(&house, &[]).await;
    screen.shows("Ask anything").await;
    screen.writes("/task ", "/task").await;
    screen.tmux(&["send-keys", "Enter"]).await;
    screen.shows("say what you want: /task Add a health").await;
    screen
        .until("the command again", |seen| stands(seen, "/task"))
        .await;
    screen
        .writes("Add one and two", "/task Add one and two")
        .await;
    screen.tmux(&["send-keys", "Enter"]).await;
    screen.shows("m1 begins: Add one and two").await;
    screen.shows("- T1 working: Add one").await;
    screen.types("/stop").await;
    screen.shows("## m1 cancelled").await;
    nothing_but_the_mission(&house.model);
    screen.quit().await;
    house.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_task_stands_in_the_prompt_and_a_key_queues_it() {
    let (model, _gates) = held().await;
    let house = House::with(model);
    let mut screen = Screen::open(&house, &[]).await;
    screen.shows("Ask anything").await;
    screen.types("/task Add one and two").await;
    screen.shows("- T1 working: Add one").await;
    screen.types("/task Add three").await;
    let seen = screen
        .until("the request again", |seen| stands(seen, "/queue Add three"))
        .await;
    println!("{seen}");
    screen.tmux(&["send-keys", "Enter"]).await;
    screen.shows("m2 waits until m1 is over: Add three").await;
    screen.types("/pause").await;
    let seen = screen.shows("## m1 paused: Add one and two").await;
    println!("{seen}");
    screen.types("/resume").await;
    screen.shows("## m1 running: Add one and two").await;
    screen.types("/steer no new files").await;
    screen
        .shows("every turn that begins from now on is told")
        .await;
    screen.types("/stop").await;
    screen.shows("## m1 cancelled").await;
    screen.shows("## m2 ").await;
    screen.types("/stop").await;
    screen.shows("## m2 cancelled").await;
    nothing_but_the_mission(&house.model);
    screen.quit().await;
    house.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_is_asked_for_and_answered_where_the_user_types() {
    let crew = crew();
    let model = Model::start(move |request: &Request| -> Reply {
        let reply = crew.answer(request);
        let job = crew.job(request).map(|job| job.name().to_owned());
        match (Role::of(request), job.as_deref(), request.step()) {
            (Role::Worker, Some("one"), 0) => {
                let bash = json!({ "command": "echo hello > hello.txt", "description": "greets" });
                reply.and_call("bash", bash)
            }
            _ => reply,
        }
    });
    let house = House::with(model.await);
    let mut screen = Screen::open(&house, &[]).await;
    screen.shows("Ask anything").await;
    screen.types("/task Add one and two").await;
    let seen = screen
        .shows("(type /answer q1 allow or mission or project or deny)")
        .await;
    println!("{seen}");
    assert!(
        seen.contains("q1 asks for T1.1: run: echo hello > hello.txt"),
        "{seen}"
    );
    screen.writes("/answer ", "/answer").await;
    screen.tmux(&["send-keys", "Enter"]).await;
    screen
        .until("the beginning of the answer", |seen| {
            stands(seen, "/answer q1")
        })
        .await;
    screen.writes("allow", "/answer q1 allow").await;
    screen.tmux(&["send-keys", "Enter"]).await;
    screen.shows("q1 is answered").await;
    screen.shows("Report of mission m1").await;
    assert!(
        house.user.files().contains_key("hello.txt"),
        "it was allowed"
    );
    nothing_but_the_mission(&house.model);
    screen.quit().await;
    house.ends().await;
}
