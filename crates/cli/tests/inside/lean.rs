//! What a mission's agents cost before they have read a line: the part of their requests that never changes, at the
//! model's door, beside what OpenCode's own agent sends.

use crate::house::{House, within};
use serde_json::json;
use std::collections::BTreeSet;
use testkit::model::{Gate, Model, Reply, Request};
use testkit::opencode;
use testkit::persona::{Crew, Job, Role};

const KB: usize = 1024;
/// The most that never changes in a Worker's request, in bytes.
const MOST: usize = 14_000;
/// The path of a workspace for which that holds, in bytes.
const PATH: usize = 120;

fn tools(request: &Request) -> String {
    request.body["tools"].to_string()
}

/// The standing instructions and the tools, in bytes.
fn fixed(request: &Request) -> usize {
    request.system.len() + tools(request).len()
}

/// The same where the path of the workspace, which it names, is as long as the guide says that it may be.
fn at_most(request: &Request) -> usize {
    let folder = request.folder().expect("a Worker is told where it works");
    let all = [request.system.as_str(), &tools(request)].concat();
    let named = all.matches(folder).count();
    fixed(request) - named * folder.len() + named * PATH
}

/// How much of the fixed part two requests have in common from its beginning on, in hundredths.
fn shared(one: &Request, other: &Request) -> usize {
    assert_eq!(tools(one), tools(other), "two siblings have the same tools");
    let same = one.system.bytes().zip(other.system.bytes());
    let same = same.take_while(|(a, b)| a == b).count();
    (tools(one).len() + same) * 100 / fixed(one).max(fixed(other))
}

/// What OpenCode's own agent sends for a first word.
async fn greeted(house: &House) -> Request {
    let server = house.serve().await;
    let session = server.session().await;
    let (status, _) = server.say(&session, "Hello.").await;
    assert_eq!(status, 200);
    let log = house.model.log();
    let own = log.into_iter().find(|asked| asked.offers("bash"));
    own.expect("the user's agent asked the model")
}

/// A crew of three Workers, of which the first two wait for the gate. One goes on working until it has heard what it is
/// told meanwhile, and a step longer; the first answer of two is of no use.
fn held(crew: Crew, gate: Gate) -> impl Fn(&Request) -> Reply {
    move |request| {
        let reply = crew.answer(request);
        let job = crew.job(request).map(Job::name);
        let steps = request
            .messages
            .iter()
            .filter(|m| !m.calls.is_empty())
            .count();
        match (Role::of(request), job) {
            (Role::Worker, Some("one" | "two")) if steps == 0 => reply.after(&gate),
            (Role::Worker, Some("one")) if !heard_before_its_last_step(request) => {
                let command = format!("echo {steps}");
                let bash = json!({ "command": command, "description": "goes on" });
                Reply::call("bash", bash)
            }
            (Role::Worker, Some("two")) if !is_repaired(request) => Reply::text("It is done."),
            _ => reply,
        }
    }
}

/// Whether it was told something in the middle of its work, and has made a step since.
fn heard_before_its_last_step(request: &Request) -> bool {
    let mut since = request.messages.iter();
    since.any(|message| message.role == "user" && message.text.contains("the umlauts"))
        && since.any(|message| !message.calls.is_empty())
}

/// Whether the model was told that its answer is of no use.
fn is_repaired(request: &Request) -> bool {
    request.asked().contains("one fenced JSON block")
}

/// A mission of two Workers for three tasks, whose agents are told something while they work.
async fn steered(house: &House, crew: &Crew, gate: &Gate) {
    let words = ["task", "Add three words", "--allow", "shell"];
    let mission = house
        .user
        .start(&[&words[..], &["--workers", "2"]].concat());
    let work = |log: &[Request]| workers(log).len() == 2;
    within("two Workers", house.model.until(work)).await;
    let told = house.user.run(&["steer", "mind the umlauts"]).await;
    assert_eq!(told.code, Some(0), "{}", told.said);
    gate.open();
    let ran = mission.end().await;
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    let log = house.model.log();
    let knows = |name: &str, what: fn(&Request) -> bool| {
        let of = |asked: &&Request| crew.job(asked).is_some_and(|job| job.name() == name);
        workers(&log).into_iter().filter(of).any(what)
    };
    assert!(knows("one", heard_before_its_last_step));
    assert!(knows("two", is_repaired), "its answer was repaired");
}

fn workers(log: &[Request]) -> Vec<&Request> {
    let worker = |asked: &&Request| Role::of(asked) == Role::Worker;
    log.iter().filter(worker).collect()
}

/// Each request of a session is the one before it and something more, whatever was said in it meanwhile.
fn goes_on_in_each_session(log: &[Request]) {
    let sessions: BTreeSet<_> = log.iter().map(|asked| &asked.session).collect();
    let mut pairs = 0;
    for session in sessions {
        let own: Vec<&Request> = log
            .iter()
            .filter(|asked| &asked.session == session)
            .collect();
        for pair in own.windows(2) {
            pairs += 1;
            assert!(
                pair[1].extends(pair[0]),
                "a request begins anew:\n{:#}\n{:#}",
                pair[0].body["messages"],
                pair[1].body["messages"]
            );
        }
    }
    println!(
        "requests that are the one before in their session and something more: {pairs} of {pairs}"
    );
}

/// A lane's next task has all of the constant part of the one before.
fn goes_on_from_task_to_task(firsts: &[&Request]) {
    let mut next = 0;
    for (n, first) in firsts.iter().enumerate() {
        let lane = first.folder().expect("a Worker is told where it works");
        let before = firsts[..n]
            .iter()
            .rfind(|other| other.folder() == Some(lane));
        let Some(before) = before else { continue };
        next += 1;
        assert_eq!(first.constant(), before.constant(), "in {lane}");
    }
    assert!(next > 0, "no lane had two tasks");
    println!("constant part of a lane's next task that is the one before's: 100 %");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_begins_with_less_than_half_of_what_a_plain_session_does() {
    let jobs = ["one", "two", "three"].map(Job::word);
    let crew = Crew::new("Add three words.", jobs.to_vec());
    let gate = Gate::default();
    let house = House::with(Model::start(held(crew.clone(), gate.clone())).await);
    let with_plugin = greeted(&house).await;
    let other = House::with(Model::start(|_| Reply::text("Hello.")).await);
    other
        .user
        .home()
        .configure(&opencode::config(&other.model.url()));
    let plain = greeted(&other).await;
    steered(&house, &crew, &gate).await;

    let log = house.model.log();
    let workers = workers(&log);
    let firsts: Vec<&Request> = workers
        .iter()
        .copied()
        .filter(|asked| asked.messages.len() == 1)
        .collect();
    assert_eq!(firsts.len(), 3, "each Worker began once");
    let own = firsts.iter().map(|asked| fixed(asked)).max().unwrap_or(0);
    let share = shared(firsts[0], firsts[1]).min(shared(firsts[0], firsts[2]));
    println!(
        "fixed part of a Worker's request: {own} bytes (system {}, tools {})",
        firsts[0].system.len(),
        tools(firsts[0]).len()
    );
    let long = firsts.iter().map(|asked| at_most(asked)).max().unwrap_or(0);
    println!("with a path of {PATH} bytes: {long} bytes");
    println!("fixed part of a plain session's: {} bytes", fixed(&plain));
    println!("shared by siblings: {share} %");
    println!(
        "a plain session with the plugin: {} bytes more",
        fixed(&with_plugin).saturating_sub(fixed(&plain))
    );
    for tool in firsts[0].body["tools"].as_array().unwrap() {
        println!("{} {}", tool["function"]["name"], tool.to_string().len());
    }
    // More than a third of it is OpenCode's description of its shell, which no configuration shortens.
    assert!(long < MOST, "{long} bytes of {}", fixed(&plain));
    assert!(share >= 95, "{share} %");
    assert!(
        fixed(&with_plugin) <= fixed(&plain) + KB,
        "{} and {}",
        fixed(&with_plugin),
        fixed(&plain)
    );
    goes_on_in_each_session(&log);
    goes_on_from_task_to_task(&firsts);
    house.ends().await;
    other.ends().await;
}
