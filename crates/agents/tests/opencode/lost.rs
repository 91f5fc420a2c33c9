//! Answers of the server that are lost, held back, or come of a call that was made twice: nothing is done twice for it.

use crate::world::{World, alone};
use agents::contract::Recorder;
use agents::{Agent as _, Reply as Told, ShellRule};
use mission::turn::{Outcome, Role};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;
use testkit::model::Reply;
use testkit::opencode::Home;

/// Puts somebody between a home and its server who loses what he is told to; gives the folder in which he is told.
pub(crate) fn between(home: &Home, faults: &str) -> PathBuf {
    let folder = home.path().join("between");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("faults"), faults).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/opencode/between.py");
    let text = format!(
        "#!/bin/sh\nexport BETWEEN='{}' BETWEEN_REAL='{}'\nexec python3 '{}' \"$@\"\n",
        folder.display(),
        testkit::opencode::program().display(),
        script.display()
    );
    let program = folder.join("opencode");
    std::fs::write(&program, text).unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&program, mode).unwrap();
    folder
}

/// A world whose server is behind somebody who does this to its start, and to what comes later what he is told then.
pub(crate) async fn behind(
    faults: &str,
    change: impl FnOnce(&mut agents::opencode::Settings),
) -> (World, PathBuf) {
    let mut folder = PathBuf::new();
    let world = World::with(
        |home| folder = between(home, faults),
        |settings| {
            let home = settings.directory.clone();
            settings.program = home.join("between/opencode").into();
            change(settings);
        },
    )
    .await;
    (world, folder)
}

/// What was asked of the server: `POST /session`.
pub(crate) fn asked(between: &Path, what: impl Fn(&str) -> bool) -> usize {
    let log = std::fs::read_to_string(between.join("log")).unwrap_or_default();
    log.lines().filter(|line| what(line)).count()
}

#[test]
fn a_lost_answer_of_the_server_never_makes_two_prompts_of_one() {
    alone(async {
        // Long enough for every call; an answer that is held back is waited for no longer.
        let (world, between) =
            behind("", |settings| settings.pace.call = Duration::from_secs(5)).await;
        for (key, faults) in [
            ("lost-session", "POST ^/session$ lose"),
            ("lost-prompt", "POST /prompt_async$ lose"),
            ("held-prompt", "POST /prompt_async$ hold"),
            ("double-prompt", "POST /prompt_async$ double"),
            ("lost-look", "GET /message$ lose"),
            ("cut-session", "POST ^/session$ cut"),
            ("cut-prompt", "POST /prompt_async$ cut"),
            ("cut-permission", "POST ^/permission/.*/reply$ cut"),
            ("lost-permission", "POST ^/permission/.*/reply$ lose"),
            ("double-permission", "POST ^/permission/.*/reply$ double"),
        ] {
            std::fs::write(between.join("faults"), faults).unwrap();
            std::fs::write(between.join("log"), "").unwrap();
            world.stage.on(key, move |r| match r.step() {
                0 => {
                    let command = format!("echo {key} >> out.txt");
                    Reply::call(
                        "bash",
                        json!({ "command": command, "description": "append" }),
                    )
                }
                _ => Reply::fenced(&json!({ "status": "done", "summary": "did it" })),
            });
            let mut order = world.order(Role::Worker, key);
            order.shell = ShellRule::Ask;
            let directory = order.directory.clone();
            let recorder = Recorder::answering(|_| Told::Allow);
            world.watched(order, &recorder).await;
            let outcome = recorder.outcome();
            assert!(
                matches!(outcome, Outcome::Answered { .. }),
                "{key}: {outcome:?}"
            );
            let left = std::fs::read_to_string(between.join("faults")).unwrap();
            assert_eq!(left, "", "{key}: the fault did not happen");
            let steps: Vec<usize> = world.log(key).iter().map(|r| r.step()).collect();
            assert_eq!(steps, [0, 1], "{key}: each step is asked for once");
            let out = std::fs::read_to_string(directory.join("out.txt")).unwrap();
            assert_eq!(out, format!("{key}\n"));
            let questions = recorder.seen().questions.len();
            assert_eq!(questions, 1, "{key}: nobody is asked twice");
            let sessions = asked(&between, |line| line == "POST /session");
            let tries = if key == "cut-session" { 2 } else { 1 };
            assert_eq!(sessions, tries, "{key}: a session that is there is found");
        }
        world.opencode.close().await;
    });
}

#[test]
fn a_lost_answer_never_has_two_copies_of_a_session_asked_for_an_answer() {
    alone(async {
        let (world, between) =
            behind("", |settings| settings.pace.call = Duration::from_secs(5)).await;
        for (key, faults) in [
            ("lost-copy", "POST /fork$ lose"),
            ("cut-copy", "POST /fork$ cut"),
            ("double-copy", "POST /fork$ double"),
            ("lost-rules", "PATCH ^/session/[^/]*$ lose"),
            ("cut-rules", "PATCH ^/session/[^/]*$ cut"),
            ("held-rules", "PATCH ^/session/[^/]*$ hold"),
        ] {
            std::fs::write(between.join("faults"), faults).unwrap();
            world.stage.on(key, |r| match r.must_call {
                true => Reply::call("StructuredOutput", json!({ "accept": true })),
                false => Reply::text("I accept this."),
            });
            let outcome = world.run(world.order(Role::Reviewer, key)).await;
            assert!(
                matches!(outcome, Outcome::Answered { usage, .. } if usage.calls == 2),
                "{key}: {outcome:?}"
            );
            let left = std::fs::read_to_string(between.join("faults")).unwrap();
            assert_eq!(left, "", "{key}: the fault did not happen");
            let forced: Vec<bool> = world.log(key).iter().map(|r| r.must_call).collect();
            assert_eq!(forced, [false, true], "{key}: each is asked for once");
        }
        world.opencode.close().await;
    });
}

#[test]
fn nothing_is_polled_while_events_flow() {
    alone(async {
        let (world, between) = behind("", |settings| {
            // Whoever counted on polling would wait for an hour.
            settings.pace.poll_least = Duration::from_secs(3600);
            settings.pace.poll_most = Duration::from_secs(3600);
        })
        .await;
        world.stage.on("by-events", |r| match r.step() {
            0 => Reply::call(
                "bash",
                json!({ "command": "echo x > out.txt", "description": "x" }),
            ),
            _ => Reply::fenced(&json!({ "status": "done", "summary": "did it" })),
        });
        let mut order = world.order(Role::Worker, "by-events");
        order.shell = ShellRule::Ask;
        let recorder = Recorder::answering(|_| Told::Allow);
        world.watched(order, &recorder).await;
        let outcome = recorder.outcome();
        assert!(matches!(outcome, Outcome::Answered { .. }), "{outcome:?}");
        assert_eq!(recorder.seen().questions.len(), 1);
        let polled = |line: &str| line == "GET /permission" || line == "GET /question";
        assert_eq!(asked(&between, polled), 0, "what is asked came as an event");
        world.opencode.close().await;
    });
}
