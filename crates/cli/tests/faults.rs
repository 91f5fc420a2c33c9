//! The program with the real OpenCode when one of the two is killed, and when the provider is busy: what was finished
//! is not asked for again, and nothing is left running.
#![cfg(test)]

use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use testkit::model::{Gate, Model, Reply, Request};
use testkit::persona::{Crew, Job, Role};
use testkit::user::{Ran, Running, User, gone};

const PROJECT: &[(&str, &str)] = &[("base.txt", "base\n")];

fn crew() -> Crew {
    let jobs = vec![
        Job::word("alpha"),
        Job::word("beta").needs(&["alpha"]),
        Job::word("gamma").needs(&["beta"]),
    ];
    Crew::new("Add three words, one after the other.", jobs)
}

fn user(model: &Model) -> User {
    User::new(env!("CARGO_BIN_EXE_orchestrator"), &model.url(), PROJECT)
}

/// A request as its role, its task and its step, as in `Worker beta 1`.
fn told(crew: &Crew, request: &Request) -> String {
    let role = Role::of(request);
    let job = crew.job(request).map_or("", Job::name);
    format!("{role:?} {job} {}", request.step())
}

/// All requests, sorted, as tasks may run side by side.
fn all(crew: &Crew, model: &Model) -> Vec<String> {
    let mut all: Vec<String> = model.log().iter().map(|r| told(crew, r)).collect();
    all.sort_unstable();
    all
}

/// Every request of a mission in which nothing goes wrong, and these.
fn once_each_and(again: &[&str]) -> Vec<String> {
    let mut all: Vec<String> = ["Commander  0", "Planner  0"].map(str::to_owned).to_vec();
    for job in ["alpha", "beta", "gamma"] {
        all.extend([
            format!("Worker {job} 0"),
            format!("Worker {job} 1"),
            format!("Reviewer {job} 0"),
        ]);
    }
    all.extend(again.iter().map(|line| (*line).to_owned()));
    all.sort_unstable();
    all
}

/// A crew's model that holds some requests back, each until its gate is opened.
async fn holding<const N: usize>(
    crew: &Arc<Crew>,
    cuts: [&'static str; N],
) -> (Model, Arc<[Gate]>) {
    let gates: Arc<[Gate]> = (0..N).map(|_| Gate::default()).collect();
    let (script, held) = (Arc::clone(crew), Arc::clone(&gates));
    let model = Model::start(move |request| {
        let reply = script.answer(request);
        let told = told(&script, request);
        match cuts.iter().position(|cut| *cut == told) {
            Some(n) => reply.after(&held[n]),
            None => reply,
        }
    });
    (model.await, gates)
}

/// The one OpenCode server that the program runs.
fn server(user: &User) -> u32 {
    let serving = |line: &str| line.contains(" serve ") && !line.contains("__guard");
    let servers = user.processes().into_iter();
    let servers: Vec<u32> = servers
        .filter(|(_, line)| serving(line))
        .map(|(pid, _)| pid)
        .collect();
    assert_eq!(servers.len(), 1, "{:?}", user.processes());
    servers[0]
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(i32::try_from(id).unwrap()).unwrap()
}

/// The journal holds together and knows all that was said; of workspaces nothing is left, and after `clean` no ref.
async fn nothing_is_lost_or_left(user: &User, lives: &[String]) {
    let verified = user.run(&["verify", "m1"]).await;
    assert!(
        verified.said.contains("every link holds"),
        "{}",
        verified.said
    );
    let log = user.run(&["log", "m1"]).await.said;
    let known: Vec<&str> = log.lines().filter_map(|line| line.get(6..)).collect();
    // A line that tells an event begins with a time, in a column of its own.
    let is_event = |line: &&str| {
        let (time, _) = line.trim_start().split_once("  ").unwrap_or_default();
        time.starts_with(|c: char| c.is_ascii_digit()) && time.ends_with(['s', 'n'])
    };
    let told: Vec<&str> = lives
        .iter()
        .flat_map(|life| life.lines())
        .filter(is_event)
        .collect();
    assert!(told.len() >= 20, "{told:?}");
    for line in told {
        assert!(
            known.contains(&line),
            "it was said, and is in no event: {line:?}\n{log}"
        );
    }
    let place = user.place("m1");
    for folder in ["lanes", "sides", "prepared", "notes"] {
        let left = std::fs::read_dir(place.join(folder)).into_iter().flatten();
        assert_eq!(left.count(), 0, "{folder}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_killed_ten_times_goes_on_and_asks_for_no_finished_step_twice() {
    const CUT: [&str; 10] = [
        "Commander  0",
        "Planner  0",
        "Worker alpha 0",
        "Worker alpha 1",
        "Reviewer alpha 0",
        "Worker beta 0",
        "Worker beta 1",
        "Reviewer beta 0",
        "Worker gamma 0",
        "Worker gamma 1",
    ];
    let crew = Arc::new(crew());
    let (model, gates) = holding(&crew, CUT).await;
    let user = user(&model);
    let (before, git) = (user.files(), user.git_state());
    let resume = ["resume", "m1", "--allow", "shell"];
    let mut lives = Vec::new();
    for (n, (cut, gate)) in CUT.iter().zip(gates.iter()).enumerate() {
        let task = ["task", "Add three words", "--allow", "shell"];
        let life = user.start(if n == 0 { &task } else { &resume });
        model
            .until(|log| log.iter().any(|r| told(&crew, r) == *cut))
            .await;
        lives.push(life.crash().await);
        user.deserted().await;
        assert_eq!(user.files(), before, "nothing is delivered before the end");
        assert_eq!(
            user.git_state(),
            git,
            "index, HEAD, branches and configuration"
        );
        gate.open();
    }
    let ran = user.run(&resume).await;
    println!("{} in {:?}", ran.said, ran.took);
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    // Only the steps that were cut off are asked for again.
    assert_eq!(all(&crew, &model), once_each_and(&CUT));
    let expected = delivered(&before);
    assert_eq!(user.files(), expected, "{}", ran.said);
    let [landed, has] = trees(&user);
    assert_eq!(landed, has, "{}", ran.said);
    user.deserted().await;
    lives.push(ran.said);
    nothing_is_lost_or_left(&user, &lives).await;
    let asked = model.log().len();
    let again = user.run(&["resume", "m1"]).await;
    println!("{}", again.said);
    assert_eq!(model.log().len(), asked, "a finished mission asks nobody");
    user.deserted().await;
    let place = user.place("m1");
    assert_eq!(user.run(&["clean", "m1"]).await.code, Some(0));
    assert!(!place.exists());
    let pins = user.project().join(".git/refs/orchestrator");
    assert!(!pins.exists(), "the pin is gone");
    assert_eq!(user.files(), expected);
    assert_eq!(
        user.git_state(),
        git,
        "index, HEAD, branches and configuration"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opencode_server_that_is_killed_again_and_again_costs_no_finished_step() {
    const CUT: [&str; 4] = [
        "Planner  0",
        "Worker alpha 1",
        "Reviewer beta 0",
        "Worker gamma 0",
    ];
    let crew = Arc::new(crew());
    let (model, gates) = holding(&crew, CUT).await;
    let user = user(&model);
    let (before, git) = (user.files(), user.git_state());
    let running = user.start(&["task", "Add three words", "--allow", "shell"]);
    for (cut, gate) in CUT.iter().zip(gates.iter()) {
        model
            .until(|log| log.iter().any(|r| told(&crew, r) == *cut))
            .await;
        let server = server(&user);
        kill_process(pid(server), Signal::KILL).unwrap();
        gone(server).await;
        gate.open();
    }
    let ran = running.end().await;
    println!("{} in {:?}", ran.said, ran.took);
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    // Only the steps that were cut off are asked for again, so no finished task has run again.
    assert_eq!(all(&crew, &model), once_each_and(&CUT));
    assert_eq!(user.files(), delivered(&before), "{}", ran.said);
    assert_eq!(
        user.git_state(),
        git,
        "index, HEAD, branches and configuration"
    );
    // A tree's name is that of its content: it is the one to which an undisturbed mission comes.
    let [landed, has] = trees(&user);
    assert_eq!(landed, has, "{}", ran.said);
    user.deserted().await;
    nothing_is_lost_or_left(&user, &[ran.said]).await;
}

/// The tree of all that landed, and of what the user has now.
fn trees(user: &User) -> [String; 2] {
    let tree = |folder: &Path, words: &[&str]| {
        let index = user.home().path().join("another-index");
        let ran = std::process::Command::new("git")
            .args(words)
            .env("GIT_INDEX_FILE", index)
            .current_dir(folder)
            .output()
            .unwrap();
        assert!(ran.status.success(), "{words:?}: {ran:?}");
        String::from_utf8(ran.stdout).unwrap()
    };
    let repository = user.place("m1").join("repo.git");
    tree(&user.project(), &["add", "-A"]);
    [
        tree(&repository, &["rev-parse", "landed^{tree}"]),
        tree(&user.project(), &["write-tree"]),
    ]
}

/// The user's files with what the crew adds to them.
fn delivered(before: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut files = before.clone();
    for word in ["alpha", "beta", "gamma"] {
        files.insert(format!("{word}.txt"), format!("{word}\n"));
    }
    files
}

/// Interrupts it once while its OpenCode works.
async fn once(running: Running) -> Ran {
    kill_process(pid(running.id().unwrap()), Signal::INT).unwrap();
    running.end().await
}

/// Interrupts it until it stops at once. A second interrupt that comes with the first one is the first one again, so it is
/// repeated until it was heard.
async fn twice(running: Running) -> Ran {
    let program = running.id().unwrap();
    let again = async {
        loop {
            // It may have ended between two of them.
            kill_process(pid(program), Signal::INT).ok();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        ran = running.end() => ran,
        () = again => unreachable!("it goes on for ever"),
    }
}

/// A mission is interrupted while its OpenCode works or hears nothing; what it leaves is what a crash leaves.
async fn interrupted<F: Future<Output = Ran>>(hears: bool, how: impl Fn(Running) -> F) -> String {
    const CUT: [&str; 1] = ["Worker beta 0"];
    let crew = Arc::new(crew());
    let (model, gates) = holding(&crew, CUT).await;
    let user = user(&model);
    let before = user.files();
    let running = user.start(&["task", "Add three words", "--allow", "shell"]);
    model
        .until(|log| log.iter().any(|r| told(&crew, r) == CUT[0]))
        .await;
    if !hears {
        kill_process(pid(server(&user)), Signal::STOP).unwrap();
    }
    let life = how(running).await;
    println!("{} in {:?}", life.said, life.took);
    assert_eq!(life.code, Some(130), "{}", life.said);
    let on = "nothing is lost. Go on with: orchestrator resume m1";
    assert!(life.said.contains(on), "{}", life.said);
    user.deserted().await;
    assert_eq!(user.files(), before, "nothing is delivered before the end");
    gates[0].open();
    let ran = user.run(&["resume", "m1", "--allow", "shell"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    assert_eq!(all(&crew, &model), once_each_and(&CUT));
    assert_eq!(user.files(), delivered(&before), "{}", ran.said);
    user.deserted().await;
    nothing_is_lost_or_left(&user, &[life.said.clone(), ran.said]).await;
    life.said
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_ends_opencode_and_leaves_what_a_crash_leaves() {
    let said = interrupted(true, once).await;
    assert!(said.contains("interrupted; nothing is lost"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_ends_an_opencode_that_hears_nothing() {
    let said = interrupted(false, once).await;
    assert!(said.contains("nothing is lost"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_interrupt_stops_at_once_and_leaves_what_a_crash_leaves() {
    // One that hears nothing is waited for, so that there is time for a second one.
    let said = interrupted(false, twice).await;
    assert!(said.contains("stopped at once"), "{said}");
}

/// What the mission has spent, by its own account.
async fn tokens(user: &User) -> u64 {
    let ran = user.run(&["status", "--json", "m1"]).await;
    let status: serde_json::Value = serde_json::from_str(&ran.said).unwrap();
    status["tokens"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_provider_parks_a_task_and_uses_no_attempt_up() {
    let crew = Arc::new(crew());
    let (first, second) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let script = Arc::clone(&crew);
    let model = Model::start(move |request| {
        // Before anything is done, and when a step is done and paid for; each time more often than OpenCode tries.
        let refused = match told(&script, request).as_str() {
            "Worker alpha 0" => first.fetch_add(1, Ordering::Relaxed) < 3,
            "Worker alpha 1" => second.fetch_add(1, Ordering::Relaxed) < 3,
            _ => false,
        };
        match refused {
            true => Reply::busy("1"),
            false => script.answer(request),
        }
    })
    .await;
    let user = user(&model);
    let words = [
        "task",
        "Add three words",
        "--allow",
        "shell",
        "--attempts",
        "1",
    ];
    let ran = user.run(&words).await;
    println!("{} in {:?}", ran.said, ran.took);
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    let parked = "no attempt is used up: Rate limit reached";
    assert!(ran.said.contains(parked), "{}", ran.said);
    let again = [["Worker alpha 0"; 3], ["Worker alpha 1"; 3]].concat();
    assert_eq!(all(&crew, &model), once_each_and(&again));
    // The crew's model says 1,000 tokens for each of its answers.
    let answered = all(&crew, &model).len() - again.len();
    assert_eq!(
        tokens(&user).await,
        1000 * answered as u64,
        "each answer is paid for once, and a refusal not at all"
    );
    user.deserted().await;
}

/// How long the provider refuses everybody, which is longer than a session waits.
const STORM: Duration = Duration::from_secs(22);

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_refusals_costs_no_attempt_and_hardly_a_call_in_any_mission() {
    let words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta"];
    let jobs = words.map(Job::word).to_vec();
    let crew = Arc::new(Crew::new("Add six words.", jobs));
    let script = Arc::clone(&crew);
    let storm: Mutex<Option<Instant>> = Mutex::default();
    let refused = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&refused);
    let model = Model::start(move |request| {
        let mut storm = storm.lock().unwrap();
        if Role::of(request) == Role::Worker {
            storm.get_or_insert_with(Instant::now);
        }
        let left = storm.map_or(Duration::ZERO, |since| {
            STORM.saturating_sub(since.elapsed())
        });
        if left.is_zero() {
            return script.answer(request);
        }
        count.fetch_add(1, Ordering::Relaxed);
        Reply::busy(&(left.as_secs() + 1).to_string())
    })
    .await;
    let user = user(&model);
    let words = [
        "task",
        "Add six words",
        "--allow",
        "shell",
        "--attempts",
        "1",
    ];
    let mut first = user.start(&words);
    // It is said when it is durable, and the others hear of it before that.
    first.says("no turn begins there for").await;
    let others = [&words[..], &["--deliver", "none"]].concat();
    let second = user.run(&others).await;
    let first = first.end().await;
    println!("{}\n{}", first.said, second.said);
    assert_eq!((first.code, second.code), (Some(0), Some(0)));
    let held = "commander is not begun for";
    assert!(second.said.contains(held), "{}", second.said);
    assert!(second.said.contains("m1 was told: Rate limit reached"));
    for mission in ["m1", "m2"] {
        let ran = user.run(&["status", "--json", mission]).await;
        let status: serde_json::Value = serde_json::from_str(&ran.said).unwrap();
        for task in status["tasks"].as_array().unwrap() {
            assert_eq!(task["attempt"], 1, "{task}");
        }
    }
    // Three Workers had begun; after them nobody was asked for what was refused.
    let refused = refused.load(Ordering::Relaxed);
    let calls = model.log().len();
    println!("{refused} of {calls} calls were refused");
    assert!(refused <= 4, "{refused} of {calls} calls were refused");
    assert_eq!(calls, 2 * (2 + 3 * 6) + refused);
    user.deserted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_left_running_is_gone_when_the_next_one_has_its_workspace() {
    let jobs = vec![Job::word("alpha"), Job::word("beta").needs(&["alpha"])];
    let crew = Arc::new(Crew::new("Add two words, one after the other.", jobs));
    let (script, held) = (Arc::clone(&crew), Gate::default());
    let gate = held.clone();
    let model = Model::start(move |request| {
        let reply = script.answer(request);
        match told(&script, request).as_str() {
            "Worker alpha 0" => {
                let stray =
                    "while : stray; do [ ! -e beta.txt ] || echo x > junk; sleep 0.05; done";
                let command = format!("setsid sh -c '{stray}' > /dev/null 2>&1 & echo left");
                let bash = serde_json::json!({ "command": command, "description": "leaves" });
                reply.and_call("bash", bash)
            }
            "Worker beta 0" => reply.after(&gate),
            _ => reply,
        }
    })
    .await;
    let user = user(&model);
    let words = [
        "task",
        "Add two words",
        "--allow",
        "shell",
        "--workers",
        "1",
    ];
    let running = user.start(&words);
    let log = model
        .until(|log| log.iter().any(|r| told(&crew, r) == "Worker beta 0"))
        .await;
    let left = log
        .iter()
        .any(|r| r.results().iter().any(|said| said.contains("left")));
    assert!(left, "the first Worker left nothing running");
    let strays = user.processes().into_iter();
    let strays: Vec<_> = strays
        .filter(|(_, line)| line.contains(": stray;"))
        .collect();
    held.open();
    let ran = running.end().await;
    println!("{} in {:?}", ran.said, ran.took);
    assert_eq!(strays, [], "they work in the next one's workspace");
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    assert!(!user.files().contains_key("junk"), "{:?}", user.files());
    user.deserted().await;
}
