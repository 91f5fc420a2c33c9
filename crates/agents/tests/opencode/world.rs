//! A real OpenCode in a home of its own, and orders for it.

use agents::contract::Recorder;
use agents::opencode::{OpenCode, Pace, Settings};
use agents::{Agent, Order, ShellRule};
use mission::ids::{Epoch, MissionId};
use mission::time::Millis;
use mission::turn::{AnswerKind, Outcome, Role};
use std::ffi::OsString;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;
use testkit::model::{Model, Reply, Request};
use testkit::opencode::Home;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// One runtime for all tests of the program, so that they can share one server.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

/// Never dropped, so its home is removed by the guard.
static SHARED: LazyLock<World> = LazyLock::new(|| {
    RUNTIME.block_on(World::with(
        |_| {},
        |settings| {
            settings.guard.pop();
            settings.guard.push(settings.directory.clone().into());
        },
    ))
});

/// Runs a test against the server that all share. Each test has keys of its own.
pub(crate) fn shared<F: Future>(test: impl FnOnce(&'static World) -> F) {
    let world = &*SHARED;
    RUNTIME.block_on(test(world));
}

/// Runs a test that needs a world of its own.
pub(crate) fn alone(test: impl Future) {
    RUNTIME.block_on(test);
}

type Script = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

/// What the model does, by a word in what it was asked; the newest script for a word counts.
#[derive(Clone, Default)]
pub(crate) struct Stage(Arc<Mutex<Vec<(String, Script)>>>);

impl Stage {
    pub(crate) fn on(&self, key: &str, script: impl Fn(&Request) -> Reply + Send + Sync + 'static) {
        self.0
            .lock()
            .expect("no test panics with it")
            .insert(0, (key.to_owned(), Arc::new(script)));
    }

    fn play(&self, request: &Request) -> Reply {
        let script = self.script(request);
        // A compaction speaks of no key, and needs no more than this.
        script.map_or_else(
            || Reply::text("There is no script for this."),
            |script| script(request),
        )
    }

    fn script(&self, request: &Request) -> Option<Script> {
        let scripts = self.0.lock().expect("no script runs under the lock");
        // The newest message counts first: a session may go through several turns.
        let mut asked = request.messages.iter().rev().filter(|m| m.role == "user");
        asked.find_map(|message| {
            let (_, script) = scripts.iter().find(|(key, _)| message.text.contains(key))?;
            Some(Arc::clone(script))
        })
    }
}

/// A model, a home and a running OpenCode.
pub(crate) struct World {
    pub(crate) stage: Stage,
    pub(crate) model: Model,
    pub(crate) home: Home,
    pub(crate) opencode: OpenCode,
}

/// The real one's times, but quick to look.
pub(crate) fn pace() -> Pace {
    Pace {
        poll_least: Duration::from_millis(200),
        poll_most: Duration::from_secs(1),
        ..Pace::default()
    }
}

pub(crate) fn settings(home: &Home) -> Settings {
    let mut settings = Settings::new(home.path());
    settings.program = testkit::opencode::program().into_os_string();
    settings.env = home.env();
    settings.pace = pace();
    // Ends the server with the test program, however that ends: its standard input ends then. The last word
    // names a home to remove with it, or `keep`.
    let script = r#"exec 3<&0
        "$@" 3<&- & child=$!
        (cat <&3; kill $child; (sleep 1; [ "$0" = keep ] || rm -rf "$0") &) > /dev/null 2>&1 & watch=$!
        trap 'kill $child' TERM
        wait $child; code=$?
        wait $child; kill $watch; exit $code"#;
    let words = ["sh", "-c", script].map(OsString::from);
    settings.guard = words.into_iter().chain(["keep".into()]).collect();
    settings
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}, |_| {}).await
    }

    /// One whose home and settings were changed before the start.
    pub(crate) async fn with(home: impl FnOnce(&Home), change: impl FnOnce(&mut Settings)) -> Self {
        let stage = Stage::default();
        let play = stage.clone();
        let model = Model::start(move |r| play.play(r)).await;
        let world = Home::new(&model.url());
        home(&world);
        let mut settings = settings(&world);
        change(&mut settings);
        let opencode = OpenCode::start(settings).await.expect("OpenCode starts");
        Self {
            stage,
            model,
            home: world,
            opencode,
        }
    }

    /// An order whose turn is named like its brief's key.
    pub(crate) fn order(&self, role: Role, key: &str) -> Order {
        Order {
            key: None,
            mission: MissionId(7),
            nonce: "n0".to_owned(),
            turn: key.to_owned(),
            epoch: Epoch(1),
            workspace: Epoch(1),
            role,
            title: format!("test {key}"),
            brief: format!("Do {key}."),
            told: 0,
            tried: Vec::new(),
            answer: match role {
                Role::Commander => AnswerKind::Intent,
                Role::Planner => AnswerKind::Plan,
                Role::Worker => AnswerKind::Report,
                Role::Reviewer => AnswerKind::Verdict,
            },
            directory: self.home.workspace(key),
            model: None,
            shell: ShellRule::Allow,
            continues: None,
            closed: Vec::new(),
            limit: Millis::from_secs(120),
            silence: Millis::from_secs(60),
        }
    }

    /// Runs an order to its end.
    pub(crate) async fn run(&self, order: Order) -> Outcome {
        let recorder = Recorder::new();
        self.watched(order, &recorder).await;
        recorder.outcome()
    }

    pub(crate) async fn watched(&self, order: Order, recorder: &Arc<Recorder>) {
        self.opencode
            .run(order, Arc::clone(recorder) as _, CancellationToken::new())
            .await;
    }

    /// The port of the server and the password that it wants, as whoever started it knows them.
    pub(crate) fn door(&self) -> (u16, String) {
        let server = self.opencode.process().expect("a server runs");
        let read = |name: &str| {
            let bytes = std::fs::read(format!("/proc/{server}/{name}")).expect("our own process");
            let words: Vec<String> = bytes
                .split(|byte| *byte == 0)
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .collect();
            words
        };
        let words = read("cmdline");
        let at = words.iter().position(|word| word == "--port");
        let port = words[at.expect("it is told its port") + 1].parse();
        let variables = read("environ");
        let mut passwords = variables
            .iter()
            .filter_map(|it| it.strip_prefix("OPENCODE_SERVER_PASSWORD="));
        let password = passwords.next().expect("it is told a password");
        (port.expect("a port"), password.to_owned())
    }

    /// What the model was asked in turns that hold the key.
    pub(crate) fn log(&self, key: &str) -> Vec<Request> {
        let holds = |r: &Request| {
            r.messages
                .iter()
                .any(|m| m.role == "user" && m.text.contains(key))
        };
        self.model.log().into_iter().filter(holds).collect()
    }
}
