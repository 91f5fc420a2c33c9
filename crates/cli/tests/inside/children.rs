//! Missions whose agents are seen in the terminal view: as children of the conversation, in its own server.

use crate::house::{House, Server, kill, within};
use crate::tui::{Screen, asking, held, nothing_but_the_mission};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use testkit::model::{Gate, Model, Reply, Request};
use testkit::opencode;
use testkit::persona::{Crew, Job, Role};

const SEEN: &str = "[agents]\nwhere = \"tui\"\n";

/// A terminal view of a user who wants to see agents, in which a mission was asked for.
async fn asked(house: &House) -> Screen {
    house.prefers(SEEN);
    let mut screen = Screen::sized(house, &[], 160).await;
    screen.shows("Ask anything").await;
    screen.types("/task Add one and two").await;
    screen.shows("m1 begins").await;
    screen
}

/// The user has an MCP server and a formatter of their own.
fn has_more(house: &House) {
    let mut config = opencode::config(&house.model.url());
    let plugin = house.plugin().join("server.js");
    config["plugin"] = json!([format!("file://{}", plugin.display())]);
    config["mcp"] = json!({ "mine": { "type": "local", "command": ["false"] } });
    let formatter =
        json!({ "command": ["sh", "-c", "echo formatted >> $FILE"], "extensions": [".txt"] });
    config["formatter"] = json!({ "mine": formatter });
    house.user.home().configure(&config);
}

/// The children of the mission's conversation: the directory and the id of each, by its title.
async fn children(house: &House, server: &Server) -> BTreeMap<String, (PathBuf, String)> {
    let path = format!("/session/{}/children", house.session_of("m1"));
    let all = server.get(&path).await;
    let word = |child: &Value, key: &str| child[key].as_str().unwrap().to_owned();
    let child = |child: &Value| {
        let place = (word(child, "directory").into(), word(child, "id"));
        (word(child, "title"), place)
    };
    all.as_array().unwrap().iter().map(child).collect()
}

/// Waits until a Worker is at a task.
async fn works(house: &House, name: &'static str) -> Vec<Request> {
    let crew = crate::house::crew();
    let is = move |asked: &Request| {
        let job = crew.job(asked);
        Role::of(asked) == Role::Worker && job.is_some_and(|job| job.name() == name)
    };
    let works = house.model.until(move |log| log.iter().any(&is));
    within("a Worker at its task", works).await
}

/// Kills the engine, and waits until it is gone.
async fn killed(house: &House) {
    let engine = house.service().expect("an engine runs");
    kill(engine, Signal::KILL);
    within("the end of the engine", testkit::user::gone(engine)).await;
}

/// How the mission went, once it is over.
pub(crate) async fn completed(house: &House) -> String {
    let followed = house.user.run(&["log", "m1", "--follow"]);
    let said = within("the end of the mission", followed).await.said;
    assert!(said.contains("sealed: completed"), "{said}");
    said
}

/// What the engine in the background has said.
fn service_log(house: &House) -> String {
    fs::read_to_string(house.sockets().join("../logs/service.log")).unwrap()
}

/// The names of OpenCode's agents in a folder.
async fn agents(server: &Server) -> Vec<String> {
    let all = server.get("/agent").await;
    let name = |agent: &Value| agent["name"].as_str().unwrap().to_owned();
    all.as_array().unwrap().iter().map(name).collect()
}

fn ours(names: &[String]) -> usize {
    let ours = names
        .iter()
        .filter(|name| name.starts_with("orchestrator-"));
    ours.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_are_children_of_the_conversation_and_are_seen_there() {
    let (model, gates) = held().await;
    let house = House::with(model);
    has_more(&house);
    let mut screen = asked(&house).await;
    works(&house, "one").await;
    let (server, _) = house.behind_the_bridge();
    let found = children(&house, &server).await;
    let titles: Vec<&str> = found.keys().map(String::as_str).collect();
    let expected = [
        "T1.1 Add one [m1]",
        "intent.1 of the commander [m1]",
        "plan.1 of the planner [m1]",
    ];
    assert_eq!(titles, expected);

    // In the workspace there are our agents and none of the user's programs; in the project it is the other way round.
    let lane = server.at(&found["T1.1 Add one [m1]"].0);
    assert_eq!(ours(&agents(&lane).await), 4);
    let config = lane.get("/config").await;
    let off = json!([config["snapshot"], config["formatter"], config["lsp"]]);
    assert_eq!(off, json!([false, false, false]));
    assert_eq!(lane.get("/mcp").await["mine"]["status"], "disabled");
    let commands = lane.get("/command").await.to_string();
    assert!(!commands.contains("\"task\""), "{commands}");
    assert_eq!(ours(&agents(&server).await), 0);
    // Another folder of the user that OpenCode reads only now: instances share parts of what they read.
    let other = house.user.home().path().join("other");
    fs::create_dir(&other).unwrap();
    let other = server.at(&other);
    assert_eq!(ours(&agents(&other).await), 0);
    for theirs in [&server, &other] {
        let status = theirs.get("/mcp").await;
        assert_eq!(
            status["mine"]["status"], "failed",
            "it was started: {status}"
        );
    }
    let formatters = server.get("/formatter").await.to_string();
    assert!(formatters.contains("mine"), "{formatters}");

    screen.tmux(&["send-keys", "C-x", "Down"]).await;
    let seen = screen.shows("Subagent (3 of 3)").await;
    println!("{seen}");
    assert!(seen.contains("Orchestrator-Worker"), "{seen}");
    gates.iter().for_each(Gate::open);
    completed(&house).await;
    let parent = Some(house.session_of("m1"));
    let log = house.model.log();
    assert!(
        log.iter().all(|asked| asked.parent == parent),
        "all are seen"
    );
    nothing_but_the_mission(&house.model);
    let said = service_log(&house);
    assert!(!said.contains("own server"), "{said}");
    assert_eq!(
        house.user.files()["one.txt"],
        "one\n",
        "nobody formatted it"
    );
    screen.quit().await;
    house.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_agents_four_are_seen() {
    let names = ["one", "two", "three", "four", "five", "six"];
    let crew = Crew::new("Add six.", names.map(Job::word).to_vec());
    let gate = Gate::default();
    let kept = gate.clone();
    let model = Model::start(move |request: &Request| -> Reply {
        let reply = crew.answer(request);
        match Role::of(request) {
            Role::Worker => reply.after(&kept),
            _ => reply,
        }
    });
    let house = House::with(model.await);
    house.prefers(SEEN);
    let mut screen = Screen::sized(&house, &[], 160).await;
    screen.shows("Ask anything").await;
    let more = format!("{SEEN}[limits]\nworkers = 6\n");
    house.prefers(&more);
    screen.types("/task Add six").await;
    let workers = |log: &[Request]| -> Vec<Request> {
        let at_work = log.iter().filter(|asked| Role::of(asked) == Role::Worker);
        at_work.cloned().collect()
    };
    let six = house.model.until(|log| workers(log).len() == 6);
    let log = within("six Workers", six).await;
    let parent = Some(house.session_of("m1"));
    let seen = workers(&log).iter().filter(|w| w.parent == parent).count();
    assert_eq!(seen, 4, "the others run elsewhere");
    let (server, _) = house.behind_the_bridge();
    let tasks = children(&house, &server).await;
    let tasks = tasks.keys().filter(|title| title.starts_with('T')).count();
    assert_eq!(tasks, 4);

    // Nobody carries it out any more; whoever ends it ends them, and not only the mission.
    house.engine("/nowhere/orchestrator".as_ref());
    killed(&house).await;
    let told = house.user.run(&["cancel", "m1"]).await;
    assert_eq!(told.code, Some(0), "{}", told.said);
    for (title, (directory, _)) in children(&house, &server).await {
        let status = server.at(&directory).get("/session/status").await;
        assert_eq!(status, json!({}), "{title} is at work still");
    }
    screen.quit().await;
    house.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_view_that_is_killed_costs_no_attempt() {
    let (model, gates) = held().await;
    let house = House::with(model);
    let screen = asked(&house).await;
    let before = works(&house, "one").await.len();
    let (_, pid) = house.behind_the_bridge();
    kill(pid, Signal::KILL);
    within("the end of OpenCode", testkit::user::gone(pid)).await;
    // The same turn is at work again, in the same session, before anybody lets it answer.
    let again = house.model.until(|log| log.len() > before);
    let log = within("the turn in another server", again).await;
    assert_eq!(log[before].session, log[before - 1].session);
    gates.iter().for_each(Gate::open);
    let said = completed(&house).await;
    assert!(!said.contains("T1.2") && !said.contains("T2.2"), "{said}");
    let told = service_log(&house);
    assert!(told.contains("is lost (it has ended)"), "{told}");
    drop(screen);
    house.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mission_goes_on_in_the_engine_when_the_user_leaves() {
    let (model, gates) = held().await;
    let house = House::with(model);
    let screen = asked(&house).await;
    works(&house, "one").await;
    screen.quit().await;
    gates.iter().for_each(Gate::open);
    let said = completed(&house).await;
    assert!(!said.contains("T1.2") && !said.contains("T2.2"), "{said}");
    house.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_killed_finds_its_agents_again_where_they_are_seen() {
    let (model, gates) = held().await;
    let house = House::with(model);
    let mut screen = asked(&house).await;
    works(&house, "one").await;
    let (server, _) = house.behind_the_bridge();
    let before = children(&house, &server).await;
    killed(&house).await;
    gates[0].open();
    let log = works(&house, "two").await;
    let worker = |asked: &&Request| Role::of(asked) == Role::Worker;
    let steps: Vec<_> = log
        .iter()
        .filter(worker)
        .map(|asked| (asked.session.clone(), asked.step()))
        .collect();
    let different: BTreeSet<_> = steps.iter().collect();
    assert_eq!(different.len(), steps.len(), "nothing is asked twice");
    let now = children(&house, &server).await;
    assert!(now.contains_key("T2.1 Add two [m1]"), "{now:?}");
    let same = before
        .iter()
        .all(|(title, place)| now.get(title) == Some(place));
    assert!(same, "{before:?} {now:?}");
    gates[1].open();
    completed(&house).await;
    screen.shows("Report of mission m1").await;
    screen.quit().await;
    house.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_that_are_left_where_they_are_seen_stop_when_a_terminal_goes_on_with_them() {
    let (model, gates) = held().await;
    let house = House::with(model);
    let screen = asked(&house).await;
    let before = works(&house, "one").await.len();
    let (server, _) = house.behind_the_bridge();
    let (directory, child) = children(&house, &server).await["T1.1 Add one [m1]"].clone();
    let lane = server.at(&directory);
    // The next engine does not take it up by itself, and it goes on in another conversation of the same OpenCode.
    house.prefers("[no such thing]\n");
    killed(&house).await;
    let mut talk = server.talk().await;
    talk.types("status", "", "nobody runs it").await;
    house.prefers(SEEN);
    talk.types("resume", "", "m1 goes on").await;
    assert_eq!(house.session_of("m1"), talk.session);
    // No engine takes it up again.
    house.engine("/nowhere/orchestrator".as_ref());
    killed(&house).await;
    let status = lane.get("/session/status").await;
    assert_eq!(status[&child]["type"], "busy", "{status}");

    let terminal = house.user.start(&["resume", "m1", "--allow", "shell"]);
    let again = house.model.until(|log| log.len() > before);
    let log = within("the turn in the engine's own server", again).await;
    assert_eq!(log[before].session, Some(child));
    let status = lane.get("/session/status").await;
    assert_eq!(status, json!({}), "nobody works there any more");
    gates.iter().for_each(Gate::open);
    let ended = within("the end of the mission", terminal.end()).await;
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    screen.quit().await;
    house.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stopped_stops_its_children_and_a_parent_only_itself() {
    let (model, _gates) = held().await;
    let house = House::with(model);
    let mut screen = asked(&house).await;
    works(&house, "one").await;
    let (server, _) = house.behind_the_bridge();
    let (directory, child) = children(&house, &server).await["T1.1 Add one [m1]"].clone();
    let lane = server.at(&directory);
    let abort = format!("/session/{}/abort", house.session_of("m1"));
    assert_eq!(server.post(&abort, &json!({})).await.0, 200);
    let status = lane.get("/session/status").await;
    assert_eq!(status[&child]["type"], "busy", "{status}");

    // One that is stopped in its own view goes on: who wants it to end says so of the mission.
    let before = house.model.log().len();
    let abort = format!("/session/{child}/abort");
    assert_eq!(lane.post(&abort, &json!({})).await.0, 200);
    let again = house.model.until(|log| log.len() > before);
    let log = within("the child again", again).await;
    assert_eq!(log.last().unwrap().session, Some(child.clone()));

    screen.types("/stop").await;
    screen.shows("## m1 cancelled").await;
    let status = lane.get("/session/status").await;
    assert_eq!(status, json!({}), "nothing of it runs on");
    let messages = lane.get(&format!("/session/{child}/message")).await;
    let last = messages.as_array().unwrap().last().unwrap();
    assert_eq!(last["info"]["error"]["name"], "MessageAbortedError");
    screen.quit().await;
    house.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_is_answered_once_from_either_side() {
    let (model, gates) = asking().await;
    gates.iter().for_each(Gate::open);
    let house = House::with(model);
    let mut screen = asked(&house).await;
    // OpenCode itself asks in the view of the parent, and so does our panel.
    let seen = screen
        .until("both questions", |seen| {
            seen.contains("Permission required") && seen.contains("q1 asks for T1.1: run")
        })
        .await;
    println!("{seen}");
    screen.tmux(&["send-keys", "Enter"]).await;
    let said = completed(&house).await;
    assert!(said.contains("OpenCode"), "who answered is told: {said}");
    assert!(
        house.user.files().contains_key("hello.txt"),
        "it was allowed"
    );
    let late = house.user.run(&["answer", "m1", "q1", "deny"]).await;
    assert_ne!(late.code, Some(0), "{}", late.said);
    screen.quit().await;
    house.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_that_is_answered_here_is_not_asked_there_any_more() {
    let (model, gates) = asking().await;
    let house = House::with(model);
    let mut screen = asked(&house).await;
    screen
        .until("both questions", |seen| {
            seen.contains("Permission required") && seen.contains("q1 asks for T1.1: run")
        })
        .await;
    let (server, _) = house.behind_the_bridge();
    let (directory, _) = children(&house, &server).await["T1.1 Add one [m1]"].clone();
    let lane = server.at(&directory);
    let open = lane.get("/permission").await;
    let asked = open[0]["id"].as_str().unwrap().to_owned();
    let told = house.user.run(&["answer", "m1", "q1", "allow"]).await;
    assert_eq!(told.code, Some(0), "{}", told.said);
    screen
        .until("a view that asks nothing", |seen| {
            !seen.contains("Permission required")
        })
        .await;
    let path = format!("/permission/{asked}/reply");
    let (status, _) = lane.post(&path, &json!({ "reply": "reject" })).await;
    println!("the other side is told {status}");
    gates.iter().for_each(Gate::open);
    completed(&house).await;
    assert!(
        house.user.files().contains_key("hello.txt"),
        "it was allowed"
    );
    screen.quit().await;
    house.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_with_configuration_of_its_own_is_worked_on_without_it() {
    let (model, gates) = held().await;
    gates.iter().for_each(Gate::open);
    let house = House::with(model);
    fs::write(house.user.project().join("opencode.json"), "{}").unwrap();
    let mut screen = asked(&house).await;
    screen.shows("Report of mission m1").await;
    completed(&house).await;
    let told = service_log(&house);
    assert!(!told.contains("would obey"), "{told}");
    let log = house.model.log();
    let workers = log.iter().filter(|asked| Role::of(asked) == Role::Worker);
    assert!(workers.count() > 0 && log.iter().any(|asked| asked.parent.is_some()));
    screen.quit().await;
    house.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_looks_agents_are_nobodys_children() {
    let house = House::new().await;
    house.prefers(SEEN);
    let output = house.ran("task", "Add one and two").await;
    assert!(output.status.success(), "{output:?}");
    let log = house.model.log();
    let workers = log.iter().filter(|asked| Role::of(asked) == Role::Worker);
    assert!(workers.count() > 0 && log.iter().all(|asked| asked.parent.is_none()));
    house.ends().await;
}

/// A folder that looks like a workspace of an engine.
fn workspace(house: &House) -> PathBuf {
    let folder = house.sockets().join("../missions/m1-x/lanes/worker-1");
    fs::create_dir_all(&folder).unwrap();
    folder.canonicalize().unwrap()
}

/// OpenCode works in a workspace, and nothing of ours is there.
async fn is_harmless(house: &House) {
    let lane = workspace(house);
    let server = house.serve().await;
    let lane = server.at(&lane);
    let session = lane.session().await;
    let (status, answer) = lane.say(&session, "Hello there").await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(ours(&agents(&lane).await), 0);
    let commands = lane.get("/command").await.to_string();
    assert!(!commands.contains("\"task\""), "{commands}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_is_not_harmed_by_an_engine_that_is_not_there() {
    let house = House::new().await;
    house.engine("/nowhere/orchestrator".as_ref());
    is_harmless(&house).await;
    assert_eq!(house.service(), None, "none is started for it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_is_not_harmed_by_an_engine_that_never_answers() {
    let house = House::new().await;
    let welcome = json!({ "talk": 1, "version": env!("CARGO_PKG_VERSION") });
    let (heard, mut asked) = tokio::sync::mpsc::unbounded_channel();
    crate::harmless::instead(&house, move |line| {
        heard.send(line.to_owned()).ok();
        let hello = line.contains("\"talk\"");
        Some(match hello {
            true => format!("{welcome}\n"),
            false => String::new(),
        })
    });
    let lane = workspace(&house);
    let server = house.serve().await;
    // The plugin finds the engine when OpenCode works in the project; one connection is all that it makes.
    server.session().await;
    let first = within("a plugin that comes", asked.recv()).await.unwrap();
    assert!(first.contains("\"talk\""), "{first}");
    within("the welcome", async {
        while server.get("/agent").await.is_null() {}
    })
    .await;
    let lane = server.at(&lane);
    let session = lane.session().await;
    let (status, answer) = lane.say(&session, "Hello there").await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(ours(&agents(&lane).await), 0);
    let mut rest = Vec::new();
    while let Ok(line) = asked.try_recv() {
        rest.push(line);
    }
    let comes = rest.iter().filter(|line| line.contains("\"talk\""));
    assert_eq!(comes.count(), 0, "{rest:?}");
    let asks = rest.iter().filter(|line| line.contains("\"agents\""));
    assert!(asks.count() <= 1, "{rest:?}");
}
