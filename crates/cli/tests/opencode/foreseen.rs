//! Conflicts that a Worker on the real OpenCode hears of while it works.

use serde_json::json;
use std::collections::BTreeSet;
use testkit::model::{Gate, Model, Reply, Request};
use testkit::persona::{Crew, Job, Role};
use testkit::user::User;

/// Steps in which a Worker has heard what it was told.
const DEAF: usize = 40;
const LIST: &str = "one\ntwo\nthree\nfour\nfive\nsix\n";
const FIRST: &str = "one\nTWO BY THE FIRST\nthree\nfour\nfive\nsix\n";
const SECOND: &str = "one\ntwo by the second\nthree\nfour\nfive\nsix\n";
/// The same change elsewhere, so that both fit.
const ASIDE: &str = "one\ntwo\nthree\nfour\nfive\nby the second\nsix\n";
const BOTH: &str = "one\nTWO BY THE FIRST\nthree\nfour\nfive\nby the second\nsix\n";
/// What notes say of the other side.
const AT_WORK: &str = "at work when this was found";
const LANDED: &str = "has landed since you began";

/// A step that leaves a list like this, beside the Worker's own file.
fn lists(text: &str, list: &str, own: &str) -> Reply {
    let command = format!("printf '{text}' > {list}; echo {own} > {own}.txt");
    Reply::call(
        "bash",
        json!({ "command": command, "description": "writes" }),
    )
}

/// A step that changes nothing, once it may be done.
fn goes_on(step: usize, gate: &Gate) -> Reply {
    let command = format!("echo {step}");
    let step = json!({ "command": command, "description": "goes on" });
    Reply::call("bash", step).after(gate)
}

/// What a Worker was told of conflicts.
fn notes(request: &Request) -> impl Iterator<Item = &str> {
    let told = request.messages.iter().filter(|m| m.role == "user");
    let notes = told.map(|m| m.text.as_str());
    notes.filter(|text| text.contains("TWO BY THE FIRST"))
}

/// Whether a Worker has left a list like this.
fn has_left(request: &Request, text: &str, list: &str) -> bool {
    let text = text.replace('\n', "\\n");
    let mut calls = request.messages.iter().flat_map(|m| &m.calls);
    calls.any(|(_, said)| said.contains(&text) && said.contains(&format!("> {list}")))
}

/// What the test lets happen.
#[derive(Clone, Default)]
struct Gates {
    /// The second has written into the one list, and the first may.
    written: Gate,
    /// The second is told of what the first has there.
    told: Gate,
    /// It has made way, and the first may go on.
    made_way: Gate,
    /// The first has landed, and the second may write into the other list.
    landed: Gate,
    /// It is told of that, too.
    told_again: Gate,
}

/// Two Workers who change the same line, of one list while both work, and of another when the first has landed. The second
/// makes way once it has heard; whoever never hears hands in what conflicts.
fn crew(gates: &Gates) -> impl Fn(&Request) -> Reply + use<> {
    let crew = Crew::new(
        "Change two lists twice.",
        ["first", "second"].map(Job::word).to_vec(),
    );
    let gates = gates.clone();
    move |request| {
        let job = crew.job(request).map(Job::name);
        let step = request.step();
        let told = |what| notes(request).any(|note| note.contains(what));
        let left = |text, list| has_left(request, text, list);
        let done = || Reply::fenced(&json!({ "status": "done", "summary": "did it" }));
        match (Role::of(request), job) {
            (Role::Worker, Some("first")) => match step {
                0 => lists(FIRST, "one.txt", "first").after(&gates.written),
                1 => lists(FIRST, "other.txt", "first").after(&gates.made_way),
                _ => done(),
            },
            (Role::Worker, Some("second")) => match () {
                () if !left(SECOND, "one.txt") => lists(SECOND, "one.txt", "second"),
                () if !told(AT_WORK) && step < DEAF => goes_on(step, &gates.told),
                () if !told(AT_WORK) => done(),
                () if !left(ASIDE, "one.txt") => lists(ASIDE, "one.txt", "second"),
                () if !left(SECOND, "other.txt") => {
                    lists(SECOND, "other.txt", "second").after(&gates.landed)
                }
                () if !told(LANDED) && step < DEAF => goes_on(step, &gates.told_again),
                () if told(LANDED) && !left(ASIDE, "other.txt") => {
                    lists(ASIDE, "other.txt", "second")
                }
                () => done(),
            },
            _ => crew.answer(request),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_hears_at_its_next_step_what_landed_meanwhile_and_both_land_at_the_first_attempt()
{
    let gates = Gates::default();
    let model = Model::start(crew(&gates)).await;
    let user = User::new(
        env!("CARGO_BIN_EXE_orchestrator"),
        &model.url(),
        &[("one.txt", LIST), ("other.txt", LIST)],
    );
    let words = [
        "task",
        "Change two lists twice",
        "--allow",
        "shell",
        "--yes",
        "--reviews",
        "0",
    ];
    let mut running = user.start(&words);
    let worker = |asked: &Request| Role::of(asked) == Role::Worker;
    // Its next request says that a step is done.
    let second = |asked: &Request, text| worker(asked) && has_left(asked, text, "one.txt");
    model
        .until(|log| log.iter().any(|asked| second(asked, SECOND)))
        .await;
    gates.written.open();
    running
        .says("which is at work and began first: one.txt")
        .await;
    gates.told.open();
    model
        .until(|log| log.iter().any(|asked| second(asked, ASIDE)))
        .await;
    gates.made_way.open();
    running.says("landing 1 landed").await;
    gates.landed.open();
    running.says("which landed: other.txt").await;
    gates.told_again.open();
    let ran = running.end().await;
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    let saved = "conflicts foreseen: 1 attempt told at work, 1 landed without one";
    assert!(ran.said.contains(saved), "{}", ran.said);
    for never in ["turned down", "T1.2", "T2.2", "T1.1 is told"] {
        assert!(!ran.said.contains(never), "{never}: {}", ran.said);
    }
    for list in ["one.txt", "other.txt"] {
        assert_eq!(user.files().get(list).map(String::as_str), Some(BOTH));
    }
    let log = model.log();
    let notes: BTreeSet<&str> = log
        .iter()
        .filter(|asked| worker(asked))
        .flat_map(notes)
        .collect();
    assert_eq!(
        notes.len(),
        2,
        "it is told once of each, and in the same words ever after: {notes:?}"
    );
    for (note, list) in [(AT_WORK, "- one.txt"), (LANDED, "- other.txt")] {
        let told = notes.iter().find(|told| told.contains(note));
        let told = told.copied().unwrap_or_default();
        for part in [list, "git show"] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
    user.deserted().await;
}
