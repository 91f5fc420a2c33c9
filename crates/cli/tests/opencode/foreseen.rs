//! A conflict that a Worker on the real OpenCode hears of while it works.

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

/// A step that leaves the list like this, beside the Worker's own file.
fn lists(text: &str, own: &str) -> Reply {
    let command = format!("printf '{text}' > list.txt; echo {own} > {own}.txt");
    Reply::call(
        "bash",
        json!({ "command": command, "description": "writes" }),
    )
}

/// What a Worker was told of a conflict.
fn note(request: &Request) -> Option<&str> {
    let told = request.messages.iter().filter(|m| m.role == "user");
    let mut notes = told.map(|m| m.text.as_str());
    notes.find(|text| text.contains("TWO BY THE FIRST"))
}

/// Two Workers who change the same line. The first may begin when the second has written; the second goes on when the
/// first has landed, and makes way once it has heard of that.
fn crew(written: &Gate, landed: &Gate) -> impl Fn(&Request) -> Reply + use<> {
    let crew = Crew::new(
        "Change the list twice.",
        ["first", "second"].map(Job::word).to_vec(),
    );
    let (written, landed) = (written.clone(), landed.clone());
    move |request| {
        let job = crew.job(request).map(Job::name);
        let (told, step) = (note(request).is_some(), request.step());
        let made_way = request.messages.iter().any(|m| {
            m.calls
                .iter()
                .any(|(_, said)| said.contains("by the second\\nsix"))
        });
        match (Role::of(request), job) {
            (Role::Worker, Some("first")) if step == 0 => lists(FIRST, "first").after(&written),
            (Role::Worker, Some("second")) if step == 0 => lists(SECOND, "second"),
            (Role::Worker, Some("second")) if told && !made_way => lists(ASIDE, "second"),
            // Whoever never hears of it hands in what conflicts.
            (Role::Worker, Some("second")) if !told && step < DEAF => {
                let command = format!("echo {step}");
                let goes_on = Reply::call(
                    "bash",
                    json!({ "command": command, "description": "goes on" }),
                );
                goes_on.after(&landed)
            }
            (Role::Worker, Some(_)) => {
                Reply::fenced(&json!({ "status": "done", "summary": "did it" }))
            }
            _ => crew.answer(request),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_hears_at_its_next_step_what_landed_meanwhile_and_both_land_at_the_first_attempt()
{
    let (written, landed) = (Gate::default(), Gate::default());
    let model = Model::start(crew(&written, &landed)).await;
    let user = User::new(
        env!("CARGO_BIN_EXE_orchestrator"),
        &model.url(),
        &[("list.txt", LIST)],
    );
    let words = [
        "task",
        "Change the list twice",
        "--allow",
        "shell",
        "--yes",
        "--reviews",
        "0",
    ];
    let mut running = user.start(&words);
    // Its second request says that the first step is done.
    let of_the_second = |asked: &Request| {
        Role::of(asked) == Role::Worker && asked.body.to_string().contains("by the second")
    };
    model.until(|log| log.iter().any(of_the_second)).await;
    written.open();
    running
        .says("T2.1 is told that it does not merge with T1.1")
        .await;
    landed.open();
    let ran = running.end().await;
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    let saved = "conflicts foreseen: 1 attempt told at work, 1 landed without one";
    assert!(ran.said.contains(saved), "{}", ran.said);
    for never in ["turned down", "T1.2", "T2.2"] {
        assert!(!ran.said.contains(never), "{never}: {}", ran.said);
    }
    assert_eq!(user.files().get("list.txt").map(String::as_str), Some(BOTH));
    let log = model.log();
    let notes: BTreeSet<&str> = log
        .iter()
        .filter(|asked| Role::of(asked) == Role::Worker)
        .filter_map(note)
        .collect();
    assert_eq!(
        notes.len(),
        1,
        "it is told once, and in the same words ever after: {notes:?}"
    );
    let told = notes.first().copied().unwrap_or_default();
    for part in ["list.txt", "git show"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    user.deserted().await;
}
