//! What never changes in a Worker's requests, at the model's door: standing instructions and tools, by what its shell may do,
//! beside OpenCode's own agent.

use super::opencode::{git_of, serve};
use super::{line, told};
use agents::opencode::{OpenCode, Settings};
use agents::{Agent as _, Note, Order, Question, Reply as Told, ShellRule, Sign, Watcher};
use futures_util::future::BoxFuture;
use mission::ids::{Epoch, MissionId};
use mission::time::Millis;
use mission::turn::{AnswerKind, Outcome, Role};
use serde_json::{Value, json};
use std::future::{pending, ready};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use testkit::model::{Model, Reply, Request};
use testkit::opencode::Home;
use tokio_util::sync::CancellationToken;

/// The most that is promised, in bytes.
const MOST: usize = 14_000;
/// So long is the name of a Worker's workspace in a usual state directory. It stands in the request twice.
const PATH: usize = 100;
/// Where OpenCode's own agent works, and a Worker under each rule of its shell.
const BUILD: &str = "build";
const RULES: [(ShellRule, &str); 4] = [
    (ShellRule::Ask, "asks before commands"),
    (ShellRule::Allow, "may run commands"),
    (ShellRule::AskEach, "has commands told apart by rules"),
    (ShellRule::Deny, "may run none"),
];

/// Prints each of them, and the parts of that which asks.
pub(super) async fn of_requests() {
    let done = json!({ "status": "done", "summary": "nothing to do" });
    let model = Model::start(move |_| Reply::fenced(&done)).await;
    let home = Home::new(&model.url());
    let mut settings = Settings::new(home.path());
    settings.program = testkit::opencode::program().into_os_string();
    settings.env = home.env();
    let host = OpenCode::start(settings).await.unwrap();
    let mut sizes = Vec::new();
    for (n, (shell, _)) in RULES.into_iter().enumerate() {
        let outcome = Arc::new(Heard::default());
        let order = order(n, shell, folder(&home, &format!("worker{n}")));
        host.run(order, outcome.clone(), CancellationToken::new())
            .await;
        let outcome = outcome.0.lock().unwrap().take();
        assert!(
            matches!(outcome, Some(Outcome::Answered { .. })),
            "{outcome:?}"
        );
        sizes.push(parts(&model.log().pop().expect("the model was asked")));
    }
    host.close().await;
    let build = parts(&greeted(&home, &model).await);
    for ((shell, what), parts) in RULES.iter().zip(&sizes) {
        let (what, bytes) = (format!("a Worker that {what}"), total(parts));
        match shell {
            ShellRule::Ask | ShellRule::Allow => {
                line(&what, format!("{bytes} bytes"), "< 14 kB", bytes < MOST);
            }
            ShellRule::AskEach | ShellRule::Deny => told(&what, format!("{bytes} bytes")),
        }
    }
    told("OpenCode's own agent", format!("{} bytes", total(&build)));
    println!("of which, for a Worker that asks before commands:");
    for (what, bytes) in &sizes[0] {
        told(&format!("  {what}"), format!("{bytes} bytes"));
    }
}

/// A folder with a name as long as a Worker's workspace has.
fn folder(home: &Home, name: &str) -> PathBuf {
    let short = home.path().join("work").join(name);
    let more = PATH.saturating_sub(short.as_os_str().len());
    let folder = home.workspace(&format!("{name}{}", "-".repeat(more)));
    git_of(&folder, &[("base.txt".to_owned(), "base\n".to_owned())]);
    folder
}

/// The instructions and each tool, in bytes.
fn parts(request: &Request) -> Vec<(String, usize)> {
    let tools = request.body["tools"].as_array().expect("tools are offered");
    let name = |tool: &Value| {
        tool["function"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let tools = tools
        .iter()
        .map(|tool| (name(tool), tool.to_string().len() + 1));
    [("instructions".to_owned(), request.system.len() + 1)]
        .into_iter()
        .chain(tools)
        .collect()
}

fn total(parts: &[(String, usize)]) -> usize {
    parts.iter().map(|(_, bytes)| bytes).sum()
}

/// What OpenCode's own agent sends for a first word.
async fn greeted(home: &Home, model: &Model) -> Request {
    let (mut server, url) = serve(home).await;
    let folder = folder(home, BUILD);
    let post = async |path: &str, body: Value| -> Value {
        let request = reqwest::Client::new().post(format!("{url}{path}"));
        let request = request.header("x-opencode-directory", &*folder.to_string_lossy());
        let reply = request.json(&body).send().await.unwrap();
        reply.error_for_status().unwrap().json().await.unwrap()
    };
    let session = post("/session", json!({ "title": BUILD })).await;
    let id = session["id"].as_str().expect("a session has an id");
    let text = json!({ "agent": BUILD, "parts": [{ "type": "text", "text": "Hello." }] });
    post(&format!("/session/{id}/message"), text).await;
    server.kill().await.unwrap();
    model.log().pop().expect("the model was asked")
}

fn order(n: usize, shell: ShellRule, directory: PathBuf) -> Order {
    Order {
        key: None,
        mission: MissionId(1),
        nonce: "n0".to_owned(),
        turn: format!("T{n}.1"),
        epoch: Epoch(1),
        workspace: Epoch(1),
        role: Role::Worker,
        title: "measured".to_owned(),
        brief: "Do nothing.".to_owned(),
        told: 0,
        tried: Vec::new(),
        answer: AnswerKind::Report,
        directory,
        model: None,
        shell,
        continues: None,
        closed: Vec::new(),
        limit: Millis::from_mins(2),
        silence: Millis::from_mins(1),
    }
}

/// Hears how a turn ends. Nobody says anything to it, and it asks nothing.
#[derive(Default)]
struct Heard(Mutex<Option<Outcome>>);

impl Watcher for Heard {
    fn sign(&self, _: Sign) {}

    fn may_ask(&self, _: &str, _: Option<u64>) -> BoxFuture<'_, bool> {
        Box::pin(ready(true))
    }

    fn ask(&self, question: Question) -> BoxFuture<'_, Told> {
        panic!("nothing is to be asked: {question:?}")
    }

    fn notes(&self) -> Vec<Note> {
        Vec::new()
    }

    fn more_notes(&self, _: u32) -> BoxFuture<'static, ()> {
        Box::pin(pending())
    }

    fn noted(&self, _: u32) {}

    fn settled(&self, _: &Question, _: &str) {}

    fn reply(&self, outcome: Outcome) {
        *self.0.lock().unwrap() = Some(outcome);
    }
}
