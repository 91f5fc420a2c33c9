//! The real terminal view of OpenCode, under tmux: what the user types and what they see.

use crate::house::{House, crew, kill, within};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Stdio;
use testkit::model::{Gate, Model, Reply, Request};
use testkit::persona::Role;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::process::Command;

/// OpenCode on a terminal.
pub(crate) struct Screen {
    socket: PathBuf,
    /// Everything that it writes; what it is does not matter, only that it comes.
    written: pipe::Receiver,
    /// What stood there, one after the other: told when something did not come.
    seen: Vec<String>,
}

/// How many of the last screens are told.
const TOLD: usize = 12;

impl Screen {
    pub(crate) async fn open(house: &House, words: &[&str]) -> Self {
        Self::sized(house, words, 120).await
    }

    /// One of so many columns. From 121 on OpenCode shows its sidebar.
    pub(crate) async fn sized(house: &House, words: &[&str], columns: u16) -> Self {
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
        tmux.args(["new-session", "-d", "-y", "45", "-x", &columns.to_string()]);
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

    pub(crate) async fn tmux(&self, words: &[&str]) -> String {
        let mut tmux = Command::new("tmux");
        tmux.arg("-S").arg(&self.socket).args(words);
        let output = tmux.stderr(Stdio::inherit()).output().await.unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What stands there, once it fits.
    pub(crate) async fn until(&mut self, what: &str, fits: impl Fn(&str) -> bool) -> String {
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

    pub(crate) async fn shows(&mut self, what: &str) -> String {
        self.until(what, |screen| screen.contains(what)).await
    }

    /// Types a line into the prompt and sends it. The blank at its end closes the list of commands, in which Enter
    /// would only choose one. OpenCode empties the prompt when it takes the line, with whatever was typed since: so it
    /// is waited for.
    pub(crate) async fn types(&mut self, line: &str) {
        self.writes(&format!("{line} "), line).await;
        self.tmux(&["send-keys", "Enter"]).await;
        let taken = format!("a prompt without {line}");
        self.until(&taken, |screen| !stands(screen, line)).await;
    }

    /// Types a text, until the whole line stands in the prompt.
    pub(crate) async fn writes(&mut self, text: &str, line: &str) {
        self.tmux(&["send-keys", "-l", text]).await;
        self.until(line, |screen| stands(screen, line)).await;
    }

    /// Leaves OpenCode as a user does.
    pub(crate) async fn quit(self) {
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
pub(crate) fn stands(screen: &str, line: &str) -> bool {
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

/// One whose first Worker asks for a permission, and then waits.
pub(crate) async fn asking() -> (Model, [Gate; 2]) {
    let (crew, gates) = (crew(), [Gate::default(), Gate::default()]);
    let kept = gates.clone();
    let model = Model::start(move |request: &Request| -> Reply {
        let reply = crew.answer(request);
        let job = crew.job(request).map(|job| job.name().to_owned());
        match (Role::of(request), job.as_deref(), request.step()) {
            (Role::Worker, Some("one"), 0) => {
                let bash = json!({ "command": "echo hello > hello.txt", "description": "greets" });
                reply.and_call("bash", bash)
            }
            (Role::Worker, Some("one"), _) => reply.after(&kept[0]),
            (Role::Worker, Some("two"), _) => reply.after(&kept[1]),
            _ => reply,
        }
    });
    (model.await, gates)
}

pub(crate) fn nothing_but_the_mission(model: &Model) {
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
    // The mission was asked for before there was a conversation; it is of this one all the same.
    screen
        .until("a badge of what is over", |seen| {
            let of_prompt = |row: &&str| row.contains("Build · Mock One");
            let row = seen.lines().find(of_prompt);
            row.is_some_and(|row| row.contains("m1 cancelled"))
        })
        .await;
    nothing_but_the_mission(&house.model);
    screen.quit().await;
    house.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mission_outlives_its_engine_and_the_terminal_view() {
    let (model, gates) = held().await;
    let house = House::with(model);
    let mut screen = Screen::sized(&house, &[], 160).await;
    screen.shows("Ask anything").await;
    screen.types("/task Add one and two").await;
    screen.shows("- T1 working: Add one").await;

    let session = house.session_of("m1");
    let engine = house.service().expect("an engine runs");
    kill(engine, Signal::KILL);
    within("the end of the engine", testkit::user::gone(engine)).await;
    gates[0].open();
    screen.shows("- T2 working: Add two").await;
    let seen = screen.shows("● T2 Add two").await;
    println!("{seen}");
    assert!(seen.contains("✓ T1 Add one"), "{seen}");
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
    let (model, gates) = asking().await;
    gates.iter().for_each(Gate::open);
    let house = House::with(model);
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

#[tokio::test(flavor = "multi_thread")]
async fn the_panel_shows_the_mission_and_its_page_answers_and_ends_it() {
    let (model, _gates) = asking().await;
    let house = House::with(model);
    let mut screen = Screen::sized(&house, &[], 160).await;
    screen.shows("Ask anything").await;
    screen.types("/task Add one and two").await;
    let seen = screen.shows("/mission answers it").await;
    println!("{seen}");
    for shown in [
        "Mission m1 running",
        "● T1 Add one",
        "○ T2 Add two",
        "q1 asks for T1.1: run:",
        "m1 asks q1",
    ] {
        assert!(seen.contains(shown), "{shown}: {seen}");
    }

    screen.writes("/mission", "/mission").await;
    screen.tmux(&["send-keys", "Enter"]).await;
    let seen = screen.shows("esc back · a answer · p pause · s end").await;
    println!("{seen}");
    let seen = screen
        .shows("q1 asks for T1.1: run: echo hello > hello.txt")
        .await;
    println!("{seen}");
    screen.tmux(&["send-keys", "a"]).await;
    let seen = screen.shows("for the rest of this mission").await;
    println!("{seen}");
    // Who does not want to say it now has the page back, and the question.
    screen.tmux(&["send-keys", "Escape"]).await;
    let seen = screen
        .until("a page without the choices", |seen| {
            !seen.contains("for the rest of this mission")
        })
        .await;
    assert!(seen.contains("q1 asks for T1.1"), "{seen}");
    screen.tmux(&["send-keys", "a"]).await;
    screen.shows("for the rest of this mission").await;
    screen.tmux(&["send-keys", "Enter"]).await;
    screen.shows("q1 is answered").await;
    let seen = screen
        .until("a page without the question", |seen| {
            !seen.contains("q1 asks")
        })
        .await;
    println!("{seen}");

    screen.tmux(&["send-keys", "p"]).await;
    screen.shows("r go on").await;
    screen.tmux(&["send-keys", "r"]).await;
    screen.shows("p pause").await;
    screen.tmux(&["send-keys", "s"]).await;
    screen.shows("End the mission?").await;
    screen.tmux(&["send-keys", "Enter"]).await;
    let seen = screen.shows("m1 cancelled: Add one and two").await;
    println!("{seen}");
    screen.tmux(&["send-keys", "Escape"]).await;
    let seen = screen.shows("Report of mission m1").await;
    println!("{seen}");
    assert!(seen.contains("Mission m1 cancelled"), "{seen}");
    nothing_but_the_mission(&house.model);
    screen.quit().await;
    house.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_without_sense_is_not_drawn_and_breaks_nothing() {
    let house = House::new().await;
    let welcome = json!({ "talk": 1, "version": env!("CARGO_PKG_VERSION") });
    crate::harmless::instead(&house, move |line| {
        let asked: Value = serde_json::from_str(line).unwrap();
        let view = json!({ "seen": line.len(), "badge": 3, "panel": "x", "page": [null], "commands": {}, "asks": [{ "text": {}, "choices": [{ "word": {} }, null] }] });
        Some(match asked["want"] == "look" {
            // One answer, and then silence: a view is asked for again as soon as one is there.
            true if asked["seen"] == "" => {
                format!("{}\n", json!({ "id": asked["id"], "view": view }))
            }
            true => String::new(),
            false => format!("{welcome}\n"),
        })
    });
    let mut screen = Screen::sized(&house, &[], 160).await;
    screen.shows("Ask anything").await;
    screen.writes("/mission", "/mission").await;
    screen.tmux(&["send-keys", "Enter"]).await;
    screen.shows("a answer").await;
    screen.tmux(&["send-keys", "psr"]).await;
    screen.tmux(&["send-keys", "a"]).await;
    screen.shows("[object Object]").await;
    screen.tmux(&["send-keys", "Escape"]).await;
    screen
        .until("no dialog", |seen| !seen.contains("[object Object]"))
        .await;
    screen.tmux(&["send-keys", "Escape"]).await;
    screen.shows("Ask anything").await;
    screen.types("Hello").await;
    screen.shows("Build · Mock One").await;
    screen.quit().await;
}

/// A crew whose first Worker asks two things of its own accord.
async fn curious() -> Model {
    let crew = crew();
    let asks = |text: &str| {
        let options = ["Tabs", "Spaces"].map(|label| json!({ "label": label, "description": "" }));
        json!({ "questions": [{ "question": text, "header": "Style", "options": options }] })
    };
    Model::start(move |request: &Request| -> Reply {
        let reply = crew.answer(request);
        let job = crew.job(request).map(|job| job.name().to_owned());
        match (Role::of(request), job.as_deref(), request.step()) {
            (Role::Worker, Some("one"), 0) => Reply::call("question", asks("Tabs or spaces?")),
            (Role::Worker, Some("one"), 1) => Reply::call("question", asks("And how many?")),
            _ => reply,
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_wants_to_know_is_answered_in_words_of_ones_own_once() {
    let house = House::with(curious().await);
    let mut screen = Screen::sized(&house, &[], 160).await;
    screen.shows("Ask anything").await;
    screen.types("/task Add one and two").await;
    let seen = screen.shows("q1 asks for T1.1: Tabs or spaces?").await;
    println!("{seen}");
    // In the page's dialog, in words that nobody proposed.
    screen.writes("/mission", "/mission").await;
    screen.tmux(&["send-keys", "Enter"]).await;
    screen.shows("a answer").await;
    screen.tmux(&["send-keys", "a"]).await;
    let seen = screen.shows("something else").await;
    println!("{seen}");
    assert!(seen.contains("Tabs") && seen.contains("Spaces"), "{seen}");
    screen.tmux(&["send-keys", "Up"]).await;
    screen.tmux(&["send-keys", "Enter"]).await;
    let seen = screen
        .until("a place to write", |seen| {
            !seen.contains("in your own words")
        })
        .await;
    println!("{seen}");
    screen
        .tmux(&["send-keys", "-l", "as the file has it"])
        .await;
    screen.shows("as the file has it").await;
    screen.tmux(&["send-keys", "Enter"]).await;
    screen.shows("q2 asks for T1.1: And how many?").await;
    // Who comes too late is told so, and the other question is answered in the conversation.
    let late = house.user.run(&["answer", "m1", "q1", "Tabs"]).await;
    assert_ne!(late.code, Some(0), "{}", late.said);
    screen.tmux(&["send-keys", "Escape"]).await;
    screen.shows("## m1 running").await;
    screen.types("/answer q2 four of them").await;
    screen.shows("Report of mission m1").await;
    let log = house.model.log();
    let told = |answer: &str| {
        log.iter()
            .any(|asked| asked.results().concat().contains(answer))
    };
    assert!(told("as the file has it") && told("four of them"));
    nothing_but_the_mission(&house.model);
    screen.quit().await;
    house.ends().await;
}
