//! A user whose OpenCode has the plugin, and an OpenCode server of theirs to talk to.

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;
use testkit::model::Model;
use testkit::opencode;
use testkit::persona::{Crew, Job};
use testkit::user::User;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// Whatever takes longer than this has failed. No test waits for it to pass.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_orchestrator");

/// A user with a project, OpenCode, a model and the plugin.
pub(crate) struct House {
    pub(crate) user: User,
    pub(crate) model: Model,
}

/// Two small tasks, one after the other.
pub(crate) fn crew() -> Crew {
    let jobs = vec![Job::word("one"), Job::word("two").needs(&["one"])];
    Crew::new("Add one and two.", jobs)
}

impl House {
    /// One whose model does its work well.
    pub(crate) async fn new() -> Self {
        let crew = crew();
        Self::with(Model::start(move |request| crew.answer(request)).await)
    }

    pub(crate) fn with(model: Model) -> Self {
        let user = User::new(PROGRAM, &model.url(), &[("a.txt", "a\n")]);
        let house = Self { user, model };
        house.install();
        house.engine(Path::new(PROGRAM));
        house
    }

    /// The plugin in a folder of its own, as it is installed.
    pub(crate) fn plugin(&self) -> PathBuf {
        self.user.home().path().join("plugin")
    }

    fn install(&self) {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugin");
        fs::create_dir_all(self.plugin()).unwrap();
        for name in ["server.js", "talk.js", "tui.js"] {
            fs::copy(from.join(name), self.plugin().join(name)).unwrap();
        }
        let package = fs::read_to_string(from.join("package.json")).unwrap();
        let version = format!("{{\n  \"version\": \"{}\",", env!("CARGO_PKG_VERSION"));
        let package = package.replacen('{', &version, 1);
        fs::write(self.plugin().join("package.json"), package).unwrap();
        let mut config = opencode::config(&self.model.url());
        let file = |name: &str| format!("file://{}", self.plugin().join(name).display());
        config["plugin"] = json!([file("server.js")]);
        self.user.home().configure(&config);
        let screen = json!({ "plugin": [file("tui.js")] });
        let place = self.user.home().config_dir().join("tui.json");
        fs::write(place, screen.to_string()).unwrap();
    }

    /// Names the engine as the installer does.
    pub(crate) fn engine(&self, program: &Path) {
        let named = json!({ "program": program, "version": env!("CARGO_PKG_VERSION") });
        fs::write(self.plugin().join("engine.json"), named.to_string()).unwrap();
    }

    /// The folder of private sockets.
    pub(crate) fn sockets(&self) -> PathBuf {
        self.user
            .home()
            .path()
            .join("state/opencode-orchestrator/run")
    }

    /// The conversation in which a mission was asked for.
    pub(crate) fn session_of(&self, mission: &str) -> String {
        let fronts = self.sockets().join("../fronts");
        let note = fs::read(fronts.join(format!("{mission}.json"))).unwrap();
        let note: Value = serde_json::from_slice(&note).unwrap();
        note["session"].as_str().unwrap().to_owned()
    }

    /// OpenCode as this user runs it.
    pub(crate) fn opencode(&self) -> Command {
        let mut command = self.user.command(&opencode::program());
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// `opencode run` with a command.
    pub(crate) fn run(&self, name: &str, arguments: &str) -> Command {
        let mut command = self.opencode();
        command.args(["run", "--command", name, arguments]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs it to its end.
    pub(crate) async fn ran(&self, name: &str, arguments: &str) -> Output {
        let output = self.run(name, arguments).output();
        within("the end of the run", output).await.unwrap()
    }

    /// Starts an OpenCode server in the project.
    pub(crate) async fn serve(&self) -> Server {
        let mut command = self.opencode();
        command.args(["serve", "--hostname", "127.0.0.1", "--port", "0"]);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = within("a server that listens", async {
            loop {
                let line = lines.next_line().await.unwrap().expect("it goes on");
                if let Some((_, url)) = line.split_once("listening on ") {
                    return url.trim().to_owned();
                }
            }
        })
        .await;
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Server {
            _child: Some(child),
            url,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            directory: self.user.project(),
        }
    }

    /// Writes the user's configuration of the program.
    pub(crate) fn prefers(&self, text: &str) {
        let folder = self.user.home().path().join("config/opencode-orchestrator");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("config.toml"), text).unwrap();
    }

    /// The OpenCode that has put its own server on a private socket, and the id of its process.
    pub(crate) fn behind_the_bridge(&self) -> (Server, u32) {
        let entries = fs::read_dir(self.sockets()).unwrap();
        let pid = |name: &str| {
            let pid = name.strip_prefix("oc-")?.strip_suffix(".sock")?;
            pid.parse::<u32>().ok()
        };
        let found: Vec<(PathBuf, u32)> = entries
            .filter_map(|entry| {
                let entry = entry.unwrap();
                Some((entry.path(), pid(entry.file_name().to_str()?)?))
            })
            .collect();
        let [(socket, pid)] = &found[..] else {
            panic!("one OpenCode has a bridge: {found:?}");
        };
        let http = reqwest::Client::builder().no_proxy();
        let server = Server {
            _child: None,
            url: "http://localhost".to_owned(),
            http: http.unix_socket(socket.clone()).build().unwrap(),
            directory: self.user.project(),
        };
        (server, *pid)
    }

    /// The process of the engine that carries missions out, if one runs.
    pub(crate) fn service(&self) -> Option<u32> {
        let processes = self.user.processes();
        let found = processes
            .iter()
            .find(|(_, line)| line.starts_with(&format!("{PROGRAM} serve")));
        found.map(|(pid, _)| *pid)
    }

    /// Ends the engine, if one runs, and waits until nothing of it is left.
    pub(crate) async fn ends(&self) {
        if let Some(pid) = self.service() {
            kill(pid, Signal::TERM);
        }
        self.user.deserted().await;
    }
}

impl Drop for House {
    fn drop(&mut self) {
        // A test that failed leaves an engine behind, which is made to outlive whoever started it.
        if let Some(pid) = self.service() {
            kill(pid, Signal::KILL);
        }
    }
}

/// Sends a signal to a process of ours, which may have ended meanwhile.
pub(crate) fn kill(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, signal).ok();
}

/// An OpenCode server of the user.
pub(crate) struct Server {
    /// The process, where it is a server and nothing else.
    _child: Option<Child>,
    url: String,
    http: reqwest::Client,
    directory: PathBuf,
}

impl Server {
    /// Where it is reached.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let directory = self.directory.to_str().unwrap();
        self.http
            .request(method, format!("{}{path}", self.url))
            .header("x-opencode-directory", directory)
    }

    /// The same server, asked about another folder.
    pub(crate) fn at(&self, directory: &Path) -> Self {
        Self {
            _child: None,
            url: self.url.clone(),
            http: self.http.clone(),
            directory: directory.to_owned(),
        }
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let sent = self.request(reqwest::Method::POST, path).json(body).send();
        let answered = within(path, sent).await.unwrap();
        let status = answered.status().as_u16();
        let text = answered.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let sent = self.request(reqwest::Method::GET, path).send();
        within(path, sent).await.unwrap().json().await.unwrap()
    }

    /// A new conversation.
    pub(crate) async fn session(&self) -> String {
        let (status, session) = self.post("/session", &json!({ "title": "talk" })).await;
        assert_eq!(status, 200, "{session}");
        session["id"].as_str().unwrap().to_owned()
    }

    /// Types a command.
    pub(crate) async fn command(&self, session: &str, name: &str, arguments: &str) -> u16 {
        let path = format!("/session/{session}/command");
        let body = json!({ "command": name, "arguments": arguments });
        self.post(&path, &body).await.0
    }

    /// Says something, and what the model answers.
    pub(crate) async fn say(&self, session: &str, text: &str) -> (u16, Value) {
        let path = format!("/session/{session}/message");
        let body = json!({ "parts": [{ "type": "text", "text": text }] });
        self.post(&path, &body).await
    }

    /// All texts of a conversation, and whether each is kept from the model.
    pub(crate) async fn texts(&self, session: &str) -> Vec<(String, bool)> {
        let messages = self.get(&format!("/session/{session}/message")).await;
        let messages = messages.as_array().cloned().unwrap_or_default();
        let parts = messages
            .iter()
            .flat_map(|message| message["parts"].as_array().cloned().unwrap_or_default());
        let texts = parts.filter(|part| part["type"] == "text");
        texts
            .map(|part| {
                let text = part["text"].as_str().unwrap_or_default().to_owned();
                (text, part["ignored"] == true)
            })
            .collect()
    }

    /// A new conversation in which commands are typed.
    pub(crate) async fn talk(&self) -> Talk<'_> {
        Talk {
            server: self,
            session: self.session().await,
            events: self.events().await,
        }
    }

    /// Everything that happens from now on.
    pub(crate) async fn events(&self) -> Events {
        let opened = self.request(reqwest::Method::GET, "/global/event").send();
        let opened = within("the stream of events", opened).await.unwrap();
        let mut events = Events {
            stream: opened
                .bytes_stream()
                .map(|part| part.map(|part| part.to_vec()))
                .boxed(),
            text: String::new(),
        };
        events.until("server.connected").await;
        events
    }
}

/// A conversation, and what happens while commands are typed in it.
pub(crate) struct Talk<'a> {
    server: &'a Server,
    pub(crate) session: String,
    events: Events,
}

impl Talk<'_> {
    /// Types a command, which asks no model, and waits until something is told. Gives what happened until then.
    pub(crate) async fn types(&mut self, name: &str, arguments: &str, told: &str) -> String {
        let status = self.server.command(&self.session, name, arguments).await;
        assert_eq!(status, 500, "/{name} {arguments}");
        self.events.until(told).await
    }
}

/// A server's events, as text.
pub(crate) struct Events {
    stream: BoxStream<'static, reqwest::Result<Vec<u8>>>,
    text: String,
}

impl Events {
    /// The next events.
    pub(crate) async fn next(&mut self) -> String {
        loop {
            if let Some(at) = self.text.rfind("\n\n") {
                let rest = self.text.split_off(at + 2);
                return std::mem::replace(&mut self.text, rest);
            }
            let more = self.stream.next().await;
            let more = more.expect("the stream goes on").unwrap();
            self.text.push_str(&String::from_utf8_lossy(&more));
        }
    }

    /// The events up to one that holds this.
    pub(crate) async fn until(&mut self, what: &str) -> String {
        let mut seen = String::new();
        let all = async {
            while !seen.contains(what) {
                seen.push_str(&self.next().await);
            }
        };
        match tokio::time::timeout(LIMIT, all).await {
            Ok(()) => seen,
            Err(_) => panic!("{what} did not come: {seen}"),
        }
    }
}

/// What comes of it within the limit.
pub(crate) async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LIMIT, work).await {
        Ok(done) => done,
        Err(_) => panic!("{what} did not come"),
    }
}
