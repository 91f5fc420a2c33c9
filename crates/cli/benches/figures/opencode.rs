//! What the engine adds to the real OpenCode: a mission beside the same prompts in raw sessions, with a scripted model
//! that takes a fixed time to answer.

use super::{line, millis, told};
use engine::clock::Clock;
use mission::event::{Event, Recorded, Turn};
use mission::time::{Millis, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use testkit::model::{Gate, Model, Reply, Request};
use testkit::opencode::Home;
use testkit::persona::{Crew, Job, Role};
use testkit::user::{User, git};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Notify;

/// Sessions at once.
const SLOTS: usize = 8;
/// Requests that a Worker makes for a task: it writes its file, and it reports.
const STEPS: u32 = 2;
/// How long a mission may take to ask its Planner.
const PLANS: Duration = Duration::from_secs(60);
/// Sessions that a server has had before it is measured.
const WARM: usize = 2;
/// Ticks of the kernel's clock in a second, by which it counts a process's time.
const TICKS: u64 = 100;

/// So many independent tasks, each with so much time of the model, on both sides.
pub(super) async fn beside_raw_sessions() {
    for (tasks, model_time) in [(8, Duration::from_secs(2)), (24, Duration::from_secs(1))] {
        let words = ["--workers", "8", "--reviews", "0", "--yes"];
        // What Workers are told is the same in every mission; from this one it is known before the next one plans.
        let (_, prompts) = mission(tasks, Duration::ZERO, &words).await;
        let (mission, raw) = beside(tasks, model_time, &words, prompts).await;
        let what = format!("{tasks} tasks of {model_time:?} of the model at {SLOTS} slots");
        let ratio = mission.work.as_secs_f64() / raw.work.as_secs_f64();
        line(
            &what,
            format!("{ratio:.2} of {:.1?}", raw.work),
            "≤ 1.5 of the same prompts in raw sessions of the same server",
            ratio <= 1.5,
        );
        told(
            "  the host's CPU, mission (its start included) and raw",
            format!("{:.1} s, {:.1} s", mission.host, raw.host),
        );
        told(
            "  the engine's CPU, its git and checks included",
            format!("{:.1} s", mission.engine),
        );
        line(
            "  model requests beyond the tasks' own",
            mission.extra,
            "≤ 4: intent and plan, without reviews",
            mission.extra <= 4,
        );
        told(
            "  a Worker's first request",
            format!("{} bytes", mission.bytes),
        );
        let sent: usize = mission.log.iter().map(|asked| asked.bytes).sum();
        told(
            "  what the model is sent, planning included",
            format!("{} kB", sent / 1000),
        );
        let beyond = mission.report.saturating_sub(raw.report);
        line(
            "  the model's last answer → result in the user's files, less checks",
            format!("{:?}", mission.report),
            "≤ 0.3 s",
            mission.report <= millis(300),
        );
        // As many sessions end at once on both sides, and the server takes its time for that.
        line(
            "  … beyond what raw sessions take to end after it",
            format!("{beyond:?}"),
            "≤ 0.3 s",
            beyond <= millis(300),
        );
        told(
            "  the model's last answer → the program's end, less checks",
            format!("{:?}", mission.end),
        );
    }
}

/// What one side took.
pub(super) struct Side {
    work: Duration,
    /// CPU seconds of OpenCode's server.
    host: f64,
    engine: f64,
    extra: usize,
    bytes: usize,
    /// All that the model was asked.
    pub(super) log: Vec<Request>,
    report: Duration,
    end: Duration,
}

/// When the model last answered a Worker.
type LastAnswer = Arc<Mutex<Option<(Timestamp, Instant)>>>;

fn crew(tasks: usize) -> Crew {
    let jobs = (0..tasks).map(|n| Job::word(&format!("word{n:02}")));
    Crew::new("Add some words.", jobs.collect())
}

/// A Planner that is answered when it may be.
#[derive(Clone, Default)]
struct Plan {
    asked: Arc<Notify>,
    may: Gate,
}

/// A model that does what the crew does, and thinks for a while before each step of a task.
async fn model(tasks: usize, model_time: Duration, last: LastAnswer, plan: Plan) -> Model {
    let clock = Clock::new();
    let crew = crew(tasks);
    let step = model_time / STEPS;
    Model::start(move |request| {
        if Role::of(request) == Role::Planner {
            plan.asked.notify_one();
            return crew.answer(request).after(&plan.may);
        }
        // In a plain session a task is OpenCode's own agent's; a Reviewer reads of one and does not carry it out.
        let works = matches!(Role::of(request), Role::Worker | Role::Host);
        if !works || request.tools.is_empty() || crew.job(request).is_none() {
            return crew.answer(request);
        }
        let gate = Gate::default();
        let (opener, last, clock) = (gate.clone(), last.clone(), clock.clone());
        tokio::spawn(async move {
            tokio::time::sleep(step).await;
            *last.lock().unwrap() = Some((clock.now(), Instant::now()));
            opener.open();
        });
        worker(&crew, request).after(&gate)
    })
    .await
}

/// A Worker's steps, also for a session that knows nothing of Workers.
fn worker(crew: &Crew, request: &Request) -> Reply {
    let wrote = request.messages.iter().any(|m| !m.calls.is_empty());
    let job = crew.job(request).filter(|_| !wrote);
    match job {
        Some(job) => Reply::call(
            "write",
            json!({ "filePath": job.file(), "content": job.text() }),
        ),
        None => Reply::fenced(&json!({
            "status": "done", "summary": "did it", "changed_tests": [], "notes": [],
        })),
    }
}

/// A mission, from its first Worker's lease to the last one's answer, and what each Worker was told.
pub(super) async fn mission(
    tasks: usize,
    model_time: Duration,
    words: &[&str],
) -> (Side, Vec<Prompt>) {
    let (side, ()) = carried_out(tasks, model_time, words, async |_| ()).await;
    let crew = crew(tasks);
    let told = side
        .log
        .iter()
        .filter(|request| Role::of(request) == Role::Worker && request.step() == 0);
    let prompts: Vec<Prompt> = told.map(|request| Prompt::of(request, &crew)).collect();
    assert_eq!(prompts.len(), tasks, "each Worker was told once");
    (side, prompts)
}

/// A mission and the same prompts in raw sessions of the server that it has started, before its Planner is answered.
async fn beside(
    tasks: usize,
    model_time: Duration,
    words: &[&str],
    prompts: Vec<Prompt>,
) -> (Side, Side) {
    let (mut mission, (raw, asked)) = carried_out(tasks, model_time, words, async |setting| {
        let (pid, server) = Server::of(&setting.user);
        let cpu = || seconds(Path::new(&format!("/proc/{pid}"))).unwrap_or(0.0);
        let (before, host) = (setting.model.log().len(), cpu());
        let mut raw = plain(
            &server,
            setting.user.home(),
            prompts,
            &setting.answered,
            &setting.model,
        )
        .await;
        raw.host = cpu() - host;
        (raw, before..setting.model.log().len())
    })
    .await;
    mission.host -= raw.host;
    mission.extra -= asked.len();
    mission.log.drain(asked);
    (mission, raw)
}

/// Where a mission is carried out.
struct Setting {
    model: Model,
    user: User,
    answered: LastAnswer,
}

/// Carries a mission out, and does something else before its Planner is answered.
async fn carried_out<T>(
    tasks: usize,
    model_time: Duration,
    words: &[&str],
    meanwhile: impl AsyncFnOnce(&Setting) -> T,
) -> (Side, T) {
    let (answered, plan) = (LastAnswer::default(), Plan::default());
    let model = model(tasks, model_time, answered.clone(), plan.clone()).await;
    let program = env!("CARGO_BIN_EXE_orchestrator");
    let user = User::new(program, &model.url(), &[("base.txt", "base\n")]);
    user.home().knows_all_models();
    let setting = Setting {
        model,
        user,
        answered,
    };
    let times = Times::default();
    let watched = times.watch(setting.user.processes_of());
    let task = ["task", "Add some words", "--allow", "shell", "--json"];
    let run = async {
        let ran = setting.user.run(&[&task[..], words].concat()).await;
        (ran, Instant::now())
    };
    let before = async {
        let asked = tokio::time::timeout(PLANS, plan.asked.notified()).await;
        asked.expect("the Planner is asked");
        let made = meanwhile(&setting).await;
        plan.may.open();
        made
    };
    let ((ran, ended), made) = tokio::join!(run, before);
    watched.abort();
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    (side(&ran.said, ended, &setting, &times, tasks), made)
}

/// What a mission took, by its events and by what its model was asked.
fn side(said: &str, ended: Instant, setting: &Setting, times: &Times, tasks: usize) -> Side {
    let events: Vec<Recorded> = said
        .lines()
        .filter_map(|text| serde_json::from_str(text).ok())
        .collect();
    let starts = at(
        &events,
        |event| matches!(event, Event::TurnStarted { turn, .. } if is_work(turn)),
    );
    let ends = at(
        &events,
        |event| matches!(event, Event::TurnEnded { turn, .. } if is_work(turn)),
    );
    let (first, last) = (starts[0], ends[ends.len() - 1]);
    let done = at(&events, |event| matches!(event, Event::Delivered { .. }))[0];
    let (answered_at, answered) = setting
        .answered
        .lock()
        .unwrap()
        .expect("a Worker was answered");
    let checks: u64 = events
        .iter()
        .filter(|recorded| recorded.at >= last)
        .filter_map(|recorded| match &recorded.event {
            Event::GateEnded { run, .. } => Some(run.duration.0),
            _ => None,
        })
        .sum();
    let log = setting.model.log();
    let works = |request: &&Request| Role::of(request) == Role::Worker;
    Side {
        work: length(last.since(first)),
        host: times.of("opencode"),
        engine: times.of("orchestrator"),
        // A Worker's repeated request is one beyond the tasks' own, too.
        extra: log.len() - tasks * STEPS as usize,
        bytes: log.iter().find(works).expect("a Worker asked").bytes,
        log,
        report: length(Millis(done.since(answered_at).0.saturating_sub(checks))),
        end: ended
            .duration_since(answered)
            .saturating_sub(length(Millis(checks))),
    }
}

fn is_work(turn: &Turn) -> bool {
    matches!(turn, Turn::Work { .. })
}

/// When events like that happened.
fn at(events: &[Recorded], wanted: fn(&Event) -> bool) -> Vec<Timestamp> {
    let fits = events.iter().filter(|recorded| wanted(&recorded.event));
    fits.map(|recorded| recorded.at).collect()
}

fn length(millis: Millis) -> Duration {
    Duration::from_millis(millis.0)
}

/// What a Worker was told.
pub(super) struct Prompt {
    job: Job,
    text: String,
}

impl Prompt {
    fn of(request: &Request, crew: &Crew) -> Self {
        Self {
            job: crew.job(request).expect("a Worker has a task").clone(),
            text: request.asked().to_owned(),
        }
    }
}

/// The same prompts in raw sessions of a plain OpenCode.
pub(super) async fn raw(prompts: Vec<Prompt>, tasks: usize, model_time: Duration) -> Side {
    let (answered, plan) = (LastAnswer::default(), Plan::default());
    let model = model(tasks, model_time, answered.clone(), plan).await;
    let home = Home::new(&model.url());
    home.knows_all_models();
    let (mut process, url) = serve(&home).await;
    let password = None;
    let side = plain(&Server { url, password }, &home, prompts, &answered, &model).await;
    process.kill().await.unwrap();
    side
}

/// A repository of one file to work in.
pub(super) fn workspace(home: &Home, name: &str) -> PathBuf {
    let folder = home.workspace(name);
    git_of(&folder, &[("base.txt".to_owned(), "base\n".to_owned())]);
    folder
}

/// Makes a folder a repository of these files.
pub(super) fn git_of(folder: &Path, files: &[(String, String)]) {
    for (path, text) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    git(folder, &["init", "-q", "-b", "main"]);
    git(folder, &["add", "-A"]);
    let who = ["-c", "user.name=u", "-c", "user.email=u@localhost"];
    git(folder, &[&who[..], &["commit", "-qm", "base"]].concat());
}

/// The same prompts, each in a session of its own, in folders like the Workers', once the server is warm. Their `report` is
/// from the model's last answer to the end of the last session: several end at once there as well.
async fn plain(
    server: &Server,
    home: &Home,
    prompts: Vec<Prompt>,
    answered: &LastAnswer,
    model: &Model,
) -> Side {
    let folders: Vec<PathBuf> = (0..SLOTS)
        .map(|n| workspace(home, &format!("slot{n}")))
        .collect();
    server.warm(&home.project()).await;
    let before = model.log().len();
    let prompts = Mutex::new(prompts);
    let start = Instant::now();
    let slots = folders.iter().map(|folder| slot(server, folder, &prompts));
    futures_util::future::join_all(slots).await;
    let work = start.elapsed();
    let (_, last) = answered.lock().unwrap().expect("a session was answered");
    Side {
        work,
        host: 0.0,
        engine: 0.0,
        extra: 0,
        bytes: 0,
        log: model.log().split_off(before),
        report: Duration::from_millis(last.elapsed().as_millis() as u64),
        end: Duration::ZERO,
    }
}

/// An OpenCode that listens.
struct Server {
    url: String,
    password: Option<String>,
}

impl Server {
    /// The one that a user's mission has started, with its process: how it is reached stands in what it was started with.
    fn of(user: &User) -> (u32, Self) {
        let mut all = user.processes().into_iter();
        let is = |words: &str| {
            let (program, words) = words.split_once(' ').unwrap_or_default();
            program.ends_with("opencode") && words.starts_with("serve ")
        };
        let (pid, words) = all.find(|(_, words)| is(words)).expect("a server");
        let (_, port) = words.split_once("--port ").expect("its port");
        let port = port.split(' ').next().unwrap_or_default();
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
        let environ = String::from_utf8_lossy(&environ).into_owned();
        let password = environ
            .split('\0')
            .find_map(|line| line.strip_prefix("OPENCODE_SERVER_PASSWORD="));
        let server = Self {
            url: format!("http://127.0.0.1:{port}"),
            password: password.map(str::to_owned),
        };
        (pid, server)
    }

    /// Posts to a path, for a folder.
    async fn post(&self, folder: &Path, path: &str, body: Value) -> Value {
        let request = reqwest::Client::new()
            .post(format!("{}{path}", self.url))
            .header("x-opencode-directory", &*folder.to_string_lossy());
        let request = match &self.password {
            Some(password) => request.basic_auth("opencode", Some(password)),
            None => request,
        };
        let reply = request.json(&body).send().await.unwrap();
        reply.error_for_status().unwrap().json().await.unwrap()
    }

    /// Sessions before the clock starts: a mission's server has read a request and written a plan before its Workers.
    async fn warm(&self, folder: &Path) {
        for _ in 0..WARM {
            self.prompt(folder, "warm", "Hello.").await;
        }
    }

    /// A session with one prompt, to its end.
    async fn prompt(&self, folder: &Path, title: &str, text: &str) {
        let session = self
            .post(folder, "/session", json!({ "title": title }))
            .await;
        let id = session["id"].as_str().expect("a session has an id");
        let body = json!({ "agent": "build", "parts": [{ "type": "text", "text": text }] });
        self.post(folder, &format!("/session/{id}/message"), body)
            .await;
    }
}

/// An OpenCode server in a home's project, once it listens.
pub(super) async fn serve(home: &Home) -> (Child, String) {
    serve_with(home, &[]).await
}

/// The same with variables of its own.
pub(super) async fn serve_with(home: &Home, variables: &[(&str, &str)]) -> (Child, String) {
    let mut server = Command::new(testkit::opencode::program())
        .args(["serve", "--hostname", "127.0.0.1", "--port", "0"])
        .envs(home.env())
        .envs(variables.iter().copied())
        .current_dir(home.project())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = BufReader::new(server.stdout.take().unwrap()).lines();
    let url = loop {
        let text = said.next_line().await.unwrap().expect("the server starts");
        if let Some((_, url)) = text.split_once("listening on ") {
            break url.trim().to_owned();
        }
    };
    (server, url)
}

/// Takes one prompt after the other.
async fn slot(server: &Server, folder: &Path, prompts: &Mutex<Vec<Prompt>>) {
    loop {
        let Some(Prompt { job, text }) = prompts.lock().unwrap().pop() else {
            return;
        };
        server.prompt(folder, &job.title(), &text).await;
        assert!(
            folder.join(job.file()).exists(),
            "{} was not done",
            job.name()
        );
    }
}

/// CPU times of processes, by their program's name, as they were when last seen.
#[derive(Clone, Default)]
struct Times(Arc<Mutex<BTreeMap<(String, u32), f64>>>);

impl Times {
    /// Looks again and again until it is stopped.
    fn watch(
        &self,
        processes: impl Fn() -> Vec<(u32, String)> + Send + 'static,
    ) -> tokio::task::JoinHandle<()> {
        let times = self.clone();
        tokio::spawn(async move {
            loop {
                for (pid, words) in processes() {
                    let Some(seconds) = seconds(Path::new(&format!("/proc/{pid}"))) else {
                        continue;
                    };
                    let program = words.split(' ').next().unwrap_or_default();
                    let name = program.rsplit('/').next().unwrap_or_default().to_owned();
                    times.0.lock().unwrap().insert((name, pid), seconds);
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        })
    }

    fn of(&self, name: &str) -> f64 {
        let times = self.0.lock().unwrap();
        let of = times.iter().filter(|((program, _), _)| program == name);
        of.map(|(_, seconds)| seconds).sum()
    }
}

/// The CPU time of a process and the children that it has waited for: fields 14 to 17 of its `stat`.
fn seconds(process: &Path) -> Option<f64> {
    let stat = std::fs::read_to_string(process.join("stat")).ok()?;
    let fields = stat.rsplit_once(')')?.1.split_whitespace();
    let ticks: u64 = fields
        .skip(11)
        .take(4)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Some(ticks as f64 / TICKS as f64)
}
