//! What it costs to give a lane's next task a conversation that knows nothing of the one before, by each way that OpenCode
//! has for that, and what the model is sent then.
//!
//! Every way gets the same pairs of tasks in the same workspace of a real server. The first task of a pair is told a
//! secret, writes it into a file and says it; what counts is what the second one's first request holds.

use super::opencode::{serve_with, workspace};
use super::{line, percentile, told};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use testkit::model::{Model, Reply, Request};
use testkit::opencode::Home;

/// Pairs of tasks for each way.
const PAIRS: usize = 10;

/// A way from one task's conversation to the next one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// A new session; the one before is left.
    Fresh,
    /// A new session, and the one before is deleted.
    FreshAndDelete,
    /// The same session, taken back to before its first message.
    Revert,
    /// A session that forks off before the first message.
    Fork,
    /// The same session after its server's own compaction.
    Compact,
    /// The same session as it is.
    Keep,
}

/// Each, and whether OpenCode takes snapshots of the files: it takes files back by them, and only in a revert.
const WAYS: [(Way, bool); 7] = [
    (Way::Fresh, false),
    (Way::FreshAndDelete, false),
    (Way::Revert, false),
    (Way::Revert, true),
    (Way::Fork, false),
    (Way::Compact, false),
    (Way::Keep, false),
];

/// What a way cost, over all pairs.
#[derive(Default)]
struct Cost {
    /// From the end of one task to a session that is ready for the next.
    ready: Vec<Duration>,
    /// From then to the next task's end.
    task: Vec<Duration>,
    requests: usize,
    model_calls: usize,
    bytes: usize,
    known: usize,
    leaks: usize,
    files_gone: usize,
    sessions: usize,
    messages: usize,
}

pub(super) async fn beside_each_other() {
    println!(
        "a lane's next task, {PAIRS} times each; known is what its first request has in common with the one before from \
         its beginning on"
    );
    let mut ready = BTreeMap::new();
    for (way, snapshots) in WAYS {
        let cost = measure(way, snapshots).await;
        cost.tell(way, snapshots);
        if !snapshots {
            ready.insert(way, median(&cost.ready));
        }
    }
    let ratio = |way: Way| ready[&Way::FreshAndDelete].as_secs_f64() / ready[&way].as_secs_f64();
    line(
        "  ready by a fresh session and a deletion / by a revert",
        format!("{:.2}", ratio(Way::Revert)),
        "≤ 1: of what is clean and leaves nothing, the fresh one is the default",
        ratio(Way::Revert) <= 1.0,
    );
    told(
        "  … / by a compaction, which asks a model and keeps the secret",
        format!("{:.2}", ratio(Way::Compact)),
    );
}

impl Cost {
    fn tell(&self, way: Way, snapshots: bool) {
        let each = |n: usize| n as f64 / (2 * PAIRS) as f64;
        let name = format!("{way:?}{}", if snapshots { ", with snapshots" } else { "" });
        let (ready, task) = (median(&self.ready), median(&self.task));
        told(
            &format!("  {name}: until ready, and the task after it"),
            format!("{ready:.1?}, {task:.1?}"),
        );
        told(
            "    calls of the server, of the model",
            format!("{}, {}", self.requests / PAIRS, self.model_calls / PAIRS),
        );
        told(
            "    bytes of its first request, and known of them",
            format!("{}, {}", self.bytes / PAIRS, self.known / PAIRS),
        );
        told(
            "    sessions and messages left at the server for each task",
            format!("{:.1}, {:.1}", each(self.sessions), each(self.messages)),
        );
        told("    requests that hold the secret", self.leaks);
        told(
            "    times that it took the first task's file away",
            self.files_gone,
        );
    }
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    percentile(&times, 50)
}

/// Writes what it was told, and says it.
fn answer(request: &Request) -> Reply {
    let asked = request.asked();
    let word = |text: &str| {
        let from = text.find("secret-")?;
        let word: String = text[from..].chars().take_while(|c| *c != ' ').collect();
        Some(word)
    };
    match (request.tools.is_empty(), request.step()) {
        // A compaction keeps what a summary should keep.
        (true, _) => Reply::text(format!("So far: {}", word(asked).unwrap_or_default())),
        (false, 0) => {
            let file = match asked.contains("First") {
                true => "first.txt",
                false => "second.txt",
            };
            let text = word(asked).unwrap_or_default();
            Reply::call("write", json!({ "filePath": file, "content": text }))
        }
        _ => Reply::text(format!("I wrote {}.", word(asked).unwrap_or_default())),
    }
}

/// A server, and how often it was asked.
pub(super) struct Server {
    client: reqwest::Client,
    url: String,
    folder: PathBuf,
}

impl Server {
    /// One that listens there, for a folder.
    pub(super) fn at(url: String, folder: &Path) -> Self {
        Self {
            client: reqwest::Client::new(),
            url,
            folder: folder.to_owned(),
        }
    }

    async fn ask(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> Value {
        let request = self.client.request(method, format!("{}{path}", self.url));
        let folder = self.folder.to_string_lossy().into_owned();
        let mut request = request.header("x-opencode-directory", folder);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let reply = request.send().await.unwrap().error_for_status().unwrap();
        reply.json().await.unwrap()
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.ask(reqwest::Method::POST, path, Some(body)).await
    }

    pub(super) async fn open(&self) -> String {
        let session = self.post("/session", json!({ "title": "a task" })).await;
        id_of(&session)
    }

    /// Has a task done, and tells the name of its prompt.
    pub(super) async fn work(&self, session: &str, text: &str) -> String {
        let body = json!({ "agent": "build", "parts": [{ "type": "text", "text": text }] });
        let said = self
            .post(&format!("/session/{session}/message"), body)
            .await;
        let answered = said["info"]["parentID"].as_str();
        answered.expect("an answer names its prompt").to_owned()
    }

    /// The session of the next task, after the one of the last, and how many calls that took.
    async fn next(&self, way: Way, last: &str, first: &str) -> (String, usize) {
        let here = format!("/session/{last}");
        match way {
            Way::Fresh => (self.open().await, 1),
            Way::FreshAndDelete => {
                self.ask(reqwest::Method::DELETE, &here, None).await;
                (self.open().await, 2)
            }
            Way::Revert => {
                let to = json!({ "messageID": first });
                self.post(&format!("{here}/revert"), to).await;
                (last.to_owned(), 1)
            }
            Way::Fork => {
                let at = json!({ "messageID": first });
                let fork = self.post(&format!("{here}/fork"), at).await;
                (id_of(&fork), 1)
            }
            Way::Compact => {
                let by = json!({ "providerID": "mock", "modelID": "m1" });
                self.post(&format!("{here}/summarize"), by).await;
                (last.to_owned(), 1)
            }
            Way::Keep => (last.to_owned(), 0),
        }
    }

    /// How many sessions and messages there are.
    async fn left(&self) -> (usize, usize) {
        let get = reqwest::Method::GET;
        let sessions = self.ask(get.clone(), "/session?limit=1000", None).await;
        let sessions = sessions.as_array().expect("a list").clone();
        let mut messages = 0;
        for session in &sessions {
            let path = format!("/session/{}/message?limit=1000", id_of(session));
            let all = self.ask(get.clone(), &path, None).await;
            messages += all.as_array().expect("a list").len();
        }
        (sessions.len(), messages)
    }
}

fn id_of(session: &Value) -> String {
    session["id"]
        .as_str()
        .expect("a session has an id")
        .to_owned()
}

async fn measure(way: Way, snapshots: bool) -> Cost {
    let model = Model::start(answer).await;
    let home = Home::new(&model.url());
    let folder = workspace(&home, "lane");
    let content = json!({ "snapshot": snapshots }).to_string();
    let (mut child, url) = serve_with(&home, &[("OPENCODE_CONFIG_CONTENT", &content)]).await;
    let server = Server::at(url, &folder);
    let warm = server.open().await;
    server.work(&warm, "First: nothing special.").await;
    let path = format!("/session/{warm}");
    server.ask(reqwest::Method::DELETE, &path, None).await;
    let mut cost = Cost::default();
    for n in 0..PAIRS {
        pair(&server, &model, way, n, &mut cost).await;
    }
    (cost.sessions, cost.messages) = server.left().await;
    child.kill().await.unwrap();
    cost
}

/// One task with a secret, the way to the next, and that one.
async fn pair(server: &Server, model: &Model, way: Way, n: usize, cost: &mut Cost) {
    let secret = format!("secret-{n}-told");
    let session = server.open().await;
    let before = model.log().len();
    let text = format!("First task: write {secret} into a file.");
    let first = server.work(&session, &text).await;
    let asked = model.log()[before].clone();
    let file = server.folder.join("first.txt");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), secret);
    let before = model.log().len();
    let start = Instant::now();
    let (next, requests) = server.next(way, &session, &first).await;
    cost.ready.push(start.elapsed());
    cost.requests += requests;
    cost.model_calls += model.log().len() - before;
    let before = model.log().len();
    let start = Instant::now();
    server
        .work(&next, "Second task: write done into another file.")
        .await;
    cost.task.push(start.elapsed());
    let log = model.log();
    let then = &log[before];
    cost.bytes += then.bytes;
    let (one, other) = (asked.read_by_the_model(), then.read_by_the_model());
    let same = one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b);
    cost.known += same.count();
    let holds = |request: &&Request| request.body.to_string().contains(&secret);
    cost.leaks += log[before..].iter().filter(holds).count();
    cost.files_gone += usize::from(!is_kept(&file, &secret));
}

/// Whether a file holds what was written into it.
fn is_kept(file: &Path, text: &str) -> bool {
    std::fs::read_to_string(file).is_ok_and(|found| found == text)
}
