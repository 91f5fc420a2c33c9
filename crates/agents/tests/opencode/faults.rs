//! Providers, servers and streams that fail.

use crate::world::{World, alone, shared};
use agents::contract::Recorder;
use agents::opencode::{Error, OpenCode};
use agents::{Agent, Order, Question, Reply as Told, ShellRule, Sign};
use mission::ids::Epoch;
use mission::turn::{Failure, Outcome, Role};
use serde_json::json;
use std::time::Duration;
use testkit::model::{End, Gate, Model, Reply};
use testkit::opencode::Home;
use tokio_util::sync::CancellationToken;

fn report() -> Reply {
    Reply::fenced(&json!({ "status": "done", "summary": "did it" }))
}

fn append(word: &str) -> Reply {
    Reply::call(
        "bash",
        json!({ "command": format!("echo {word} >> out.txt"), "description": "append" }),
    )
}

fn failure(outcome: &Outcome) -> Failure {
    match outcome {
        Outcome::Failed { failure, .. } => *failure,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_provider_that_wants_no_more_of_us_is_fatal() {
    shared(async |world| {
        for code in [401, 402, 403] {
            let key = format!("fatal-{code}");
            world
                .stage
                .on(&key, move |_| Reply::status(code, "go away"));
            let outcome = world.run(world.order(Role::Worker, &key)).await;
            assert_eq!(failure(&outcome), Failure::Fatal, "{code}");
            assert_eq!(world.log(&key).len(), 1, "{code} is not tried again");
        }
    });
}

#[test]
fn a_model_that_fails_again_and_again_is_come_back_to_and_told_from_a_provider_that_refuses() {
    shared(async |world| {
        for (key, code, said, is_outage) in [
            ("always-500", 500, "broken", true),
            ("always-429", 429, "Rate limit reached", false),
        ] {
            world.stage.on(key, move |_| Reply::status(code, said));
            let recorder = Recorder::new();
            world
                .watched(world.order(Role::Worker, key), &recorder)
                .await;
            let outcome = recorder.outcome();
            let Outcome::Refused { outage, why, .. } = outcome else {
                panic!("{outcome:?}");
            };
            assert_eq!((outage, why.as_str()), (is_outage, said));
            assert!(world.log(key).len() <= 3);
            let waits =
                |sign: &Sign| matches!(sign, Sign::Waiting { outage, .. } if *outage == is_outage);
            recorder.until(|seen| seen.signs.iter().any(waits)).await;
        }
    });
}

#[test]
fn what_an_earlier_lease_used_is_not_told_again() {
    shared(async |world| {
        let steps = |r: &testkit::model::Request, third: Reply| match r.step() {
            0 => append("one"),
            1 => append("two"),
            _ => third,
        };
        world
            .stage
            .on("leased-twice", move |r| steps(r, Reply::busy("90")));
        let order = world.order(Role::Worker, "leased-twice");
        let refused = world.run(order.clone()).await;
        let Outcome::Refused { usage, .. } = refused else {
            panic!("{refused:?}")
        };
        assert_eq!((usage.tokens(), usage.calls), (Some(220), 2));
        world.stage.on("leased-twice", move |r| steps(r, report()));
        for engine in [1, 2] {
            let again = Order {
                epoch: Epoch(2),
                ..order.clone()
            };
            let done = world.run(again).await;
            let Outcome::Answered { usage, .. } = done else {
                panic!("{done:?}")
            };
            assert_eq!(
                (usage.tokens(), usage.calls),
                (Some(110), 1),
                "engine {engine}"
            );
        }
        let out = std::fs::read_to_string(order.directory.join("out.txt")).unwrap();
        assert_eq!(out, "one\ntwo\n", "and no step is done again");
    });
}

#[test]
fn an_answer_that_breaks_off_is_asked_for_again_by_the_host() {
    shared(async |world| {
        world
            .stage
            .on("breaks-off", |_| Reply::text("half").end(End::Dropped));
        let recorder = Recorder::new();
        let order = world.order(Role::Worker, "breaks-off");
        let mending = async {
            recorder
                .until(|seen| seen.signs.iter().any(|s| matches!(s, Sign::Waiting { .. })))
                .await;
            world.stage.on("breaks-off", |_| report());
        };
        tokio::join!(world.watched(order, &recorder), mending);
        assert!(
            matches!(recorder.outcome(), Outcome::Answered { .. }),
            "{:?}",
            recorder.outcome()
        );
    });
}

#[test]
fn an_answer_that_ends_too_early_is_no_answer() {
    shared(async |world| {
        world
            .stage
            .on("cut-short", |_| Reply::text("half").end(End::Truncated));
        let outcome = world.run(world.order(Role::Worker, "cut-short")).await;
        let calls = world.log("cut-short").len();
        assert_eq!(failure(&outcome), Failure::Transient, "{outcome:?}");
        // OpenCode would ask again for as long as the turn may take. It is stopped after five, and asks on until it has
        // heard that, which takes a busy machine a moment.
        let said = format!("{outcome:?}");
        assert!(said.contains("broke off 5 times in a row"), "{said}");
        assert!((5..=40).contains(&calls), "{calls} calls: {said}");
    });
}

#[test]
fn an_answer_that_is_garbled_may_be_asked_for_again() {
    shared(async |world| {
        world
            .stage
            .on("garbled", |_| Reply::text("half").end(End::Malformed));
        let outcome = world.run(world.order(Role::Worker, "garbled")).await;
        assert_eq!(failure(&outcome), Failure::Transient, "{outcome:?}");
    });
}

#[test]
fn a_context_that_overflows_even_when_compacted_is_an_overflow() {
    shared(async |world| {
        world.stage.on("overflow", |_| Reply::overflow());
        let outcome = world.run(world.order(Role::Worker, "overflow")).await;
        assert_eq!(failure(&outcome), Failure::Overflow, "{outcome:?}");
    });
}

#[test]
fn a_permission_is_put_to_the_watcher_and_a_denial_reaches_the_agent() {
    shared(async |world| {
        world.stage.on("asks-first", |r| match r.step() {
            0 => append("allowed"),
            1 => append("forbidden"),
            _ => report(),
        });
        let recorder = Recorder::answering(|q: &Question| {
            if q.text.contains("forbidden") {
                Told::Deny("not that one".to_owned())
            } else {
                Told::Allow
            }
        });
        let mut order = world.order(Role::Worker, "asks-first");
        order.shell = ShellRule::Ask;
        let directory = order.directory.clone();
        world.watched(order, &recorder).await;
        assert!(
            matches!(recorder.outcome(), Outcome::Answered { .. }),
            "{:?}",
            recorder.outcome()
        );
        let asked: Vec<String> = recorder
            .seen()
            .questions
            .into_iter()
            .map(|q| format!("{}: {}", q.about, q.text))
            .collect();
        assert_eq!(
            asked,
            [
                "bash: run: echo allowed >> out.txt",
                "bash: run: echo forbidden >> out.txt"
            ]
        );
        assert_eq!(
            std::fs::read_to_string(directory.join("out.txt")).unwrap(),
            "allowed\n"
        );
        let log = world.log("asks-first");
        assert!(
            log[2].results()[1].contains("not that one"),
            "{:?}",
            log[2].results()
        );
        searches_unasked(world).await;
    });
}

/// A command that only searches is put to nobody. OpenCode itself refuses to run it elsewhere.
async fn searches_unasked(world: &World) {
    let mut order = world.order(Role::Worker, "searches");
    order.shell = ShellRule::Ask;
    let directory = order.directory.clone();
    std::fs::write(directory.join("a.txt"), "a needle\n").unwrap();
    let outside = world.home.workspace("elsewhere");
    std::fs::write(outside.join("b.txt"), "a needle outside\n").unwrap();
    world.stage.on("searches", move |r| {
        let (command, workdir) = match r.step() {
            0 => ("grep -rn needle . | head -5", "."),
            1 => ("grep -rn needle .", outside.to_str().unwrap()),
            2 => ("grep -rn needle . > found.txt", "."),
            // OpenCode asks about commands, and here is none: SECURITY.md warns of it, for as long as that is so.
            3 => ("> made.txt", "."),
            _ => return report(),
        };
        let told = json!({ "command": command, "workdir": workdir, "description": "search" });
        Reply::call("bash", told)
    });
    let recorder = Recorder::answering(|_| Told::Deny("no such thing".to_owned()));
    world.watched(order, &recorder).await;
    let asked = recorder.seen().questions;
    let asked: Vec<&str> = asked.iter().map(|q| q.text.as_str()).collect();
    assert_eq!(asked, ["run: grep -rn needle . > found.txt"]);
    let log = world.log("searches");
    assert!(
        directory.join("made.txt").exists(),
        "{:?}",
        log[4].results()
    );
    let results = log[3].results();
    assert!(results[0].contains("a.txt:1:a needle"), "{results:?}");
    assert!(!results[1].contains("outside"), "{results:?}");
    assert!(results[2].contains("no such thing"), "{results:?}");
    assert!(!directory.join("found.txt").exists());
}

#[test]
fn a_path_outside_the_workspace_is_refused_without_asking() {
    shared(async |world| {
        world.stage.on("outside", |r| match r.step() {
            0 => Reply::call("read", json!({ "filePath": "/etc/hostname" })),
            _ => report(),
        });
        let recorder = Recorder::new();
        world
            .watched(world.order(Role::Worker, "outside"), &recorder)
            .await;
        assert!(
            matches!(recorder.outcome(), Outcome::Answered { .. }),
            "{:?}",
            recorder.outcome()
        );
        assert_eq!(recorder.seen().questions, []);
        let log = world.log("outside");
        assert!(
            log[1].results()[0].contains("prevents"),
            "{:?}",
            log[1].results()
        );
    });
}

#[test]
fn a_question_gets_its_answer() {
    shared(async |world| {
        world.stage.on("curious", |r| match r.step() {
            0 => Reply::call("question", json!({ "questions": [{
                "question": "Which colour?", "header": "Colour",
                "options": [{ "label": "Red", "description": "r" }, { "label": "Blue", "description": "b" }],
            }] })),
            _ => report(),
        });
        let recorder = Recorder::answering(|_| Told::Text("Blue".to_owned()));
        world
            .watched(world.order(Role::Worker, "curious"), &recorder)
            .await;
        assert!(
            matches!(recorder.outcome(), Outcome::Answered { .. }),
            "{:?}",
            recorder.outcome()
        );
        assert_eq!(recorder.seen().questions[0].choices, ["Red", "Blue"]);
        let log = world.log("curious");
        assert!(
            log[1].results()[0].contains("Blue"),
            "{:?}",
            log[1].results()
        );
    });
}

#[test]
fn a_server_killed_in_the_middle_of_a_turn_costs_no_finished_step() {
    alone(async {
        let world = World::with(|_| {}, |settings| settings.guard = Vec::new()).await;
        let held = Gate::default();
        let gate = held.clone();
        world.stage.on("killed", move |r| match r.step() {
            0 => append("one"),
            1 => append("two"),
            _ => report().after(&gate),
        });
        let recorder = Recorder::new();
        let order = world.order(Role::Worker, "killed");
        let directory = order.directory.clone();
        let killing = async {
            world.model.until(|log| log.len() == 3).await;
            signal(&world, rustix::process::Signal::KILL);
            held.open();
        };
        tokio::join!(world.watched(order, &recorder), killing);
        assert!(
            matches!(recorder.outcome(), Outcome::Answered { .. }),
            "{:?}",
            recorder.outcome()
        );
        assert_eq!(
            std::fs::read_to_string(directory.join("out.txt")).unwrap(),
            "one\ntwo\n"
        );
        let steps: Vec<usize> = world.log("killed").iter().map(|r| r.step()).collect();
        assert_eq!(
            steps,
            [0, 1, 2, 2],
            "only the step that was cut off is asked for again"
        );
        world.opencode.close().await;
    });
}

#[test]
fn a_turn_goes_on_under_the_next_engine() {
    alone(async {
        let world = World::new().await;
        world.stage.on("next-engine", |r| {
            if r.step() == 0 {
                append("one")
            } else {
                Reply::hang()
            }
        });
        let order = world.order(Role::Worker, "next-engine");
        let directory = order.directory.clone();
        // The engine dies: nobody stops the turn, nobody hears of its end, and its server goes with it.
        tokio::select! {
            _ = world.run(order.clone()) => panic!("the model says nothing"),
            _ = world.model.until(|log| log.len() == 2) => {}
        }
        world.opencode.close().await;
        world.stage.on("next-engine", |_| report());
        let next = OpenCode::start(crate::world::settings(&world.home))
            .await
            .unwrap();
        for _ in 0..2 {
            let recorder = Recorder::new();
            next.run(order.clone(), recorder.clone(), CancellationToken::new())
                .await;
            assert!(
                matches!(recorder.outcome(), Outcome::Answered { .. }),
                "{:?}",
                recorder.outcome()
            );
        }
        assert_eq!(
            std::fs::read_to_string(directory.join("out.txt")).unwrap(),
            "one\n"
        );
        let steps: Vec<usize> = world.log("next-engine").iter().map(|r| r.step()).collect();
        assert_eq!(
            steps,
            [0, 1, 1],
            "the finished step is not repeated, and the answer is not asked for twice"
        );
        next.close().await;
    });
}

#[test]
fn a_server_that_hangs_is_replaced() {
    alone(async {
        let world = World::with(
            |_| {},
            |settings| {
                settings.guard = Vec::new();
                settings.pace.probe_every = Duration::from_millis(500);
                settings.pace.probe_deadline = Duration::from_secs(2);
                settings.pace.call = Duration::from_secs(5);
                settings.pace.grace = Duration::from_millis(200);
            },
        )
        .await;
        let held = Gate::default();
        let gate = held.clone();
        world.stage.on("hung-server", move |r| {
            if r.step() == 0 {
                append("one")
            } else {
                report().after(&gate)
            }
        });
        let recorder = Recorder::new();
        let order = world.order(Role::Worker, "hung-server");
        let directory = order.directory.clone();
        let hanging = async {
            world.model.until(|log| log.len() == 2).await;
            signal(&world, rustix::process::Signal::STOP);
            held.open();
        };
        tokio::join!(world.watched(order, &recorder), hanging);
        assert!(
            matches!(recorder.outcome(), Outcome::Answered { .. }),
            "{:?}",
            recorder.outcome()
        );
        assert_eq!(
            std::fs::read_to_string(directory.join("out.txt")).unwrap(),
            "one\n"
        );
        world.opencode.close().await;
    });
}

#[test]
fn a_session_that_cannot_be_stopped_is_ended_with_its_server() {
    alone(async {
        let world = World::with(
            |_| {},
            |settings| {
                settings.guard = Vec::new();
                // Nothing but the turn itself may find out that the server hangs.
                settings.pace.probe_every = Duration::from_secs(3600);
                settings.pace.call = Duration::from_secs(3600);
                settings.pace.quiet = Duration::from_millis(500);
                settings.pace.grace = Duration::from_millis(200);
            },
        )
        .await;
        world.stage.on("unstoppable", |_| Reply::hang());
        let order = world.order(Role::Worker, "unstoppable");
        let (recorder, stop) = (Recorder::new(), CancellationToken::new());
        let told = recorder.clone();
        let running = world.opencode.run(order, told, stop.clone());
        let hanging = async {
            world.model.until(|log| log.len() == 1).await;
            let server = world.opencode.process().expect("a server runs");
            signal(&world, rustix::process::Signal::STOP);
            stop.cancel();
            server
        };
        let ((), server) = tokio::join!(running, hanging);
        assert_eq!(recorder.seen().outcomes, []);
        let process = format!("/proc/{server}");
        assert!(
            !std::path::Path::new(&process).exists(),
            "the turn is over, and its session may go on"
        );
        world.opencode.close().await;
    });
}

/// Sends a signal to the server.
pub(crate) fn signal(world: &World, signal: rustix::process::Signal) {
    let server = world.opencode.process().expect("a server runs");
    let pid = rustix::process::Pid::from_raw(i32::try_from(server).expect("a process id"))
        .expect("not zero");
    rustix::process::kill_process(pid, signal).expect("the server can be signalled");
}

#[test]
fn a_turn_ends_without_any_event() {
    alone(async {
        let world = World::with(
            |_| {},
            |settings| {
                // The stream is dead at once and is not opened again in the time of the test.
                settings.pace.stream_silence = Duration::ZERO;
                settings.pace.reconnect = Duration::from_secs(3600);
            },
        )
        .await;
        world.stage.on("eventless", |r| match r.step() {
            0 => append("allowed"),
            _ => report(),
        });
        let recorder = Recorder::answering(|_| Told::Allow);
        let mut order = world.order(Role::Worker, "eventless");
        order.shell = ShellRule::Ask;
        world.watched(order, &recorder).await;
        assert!(
            matches!(recorder.outcome(), Outcome::Answered { .. }),
            "{:?}",
            recorder.outcome()
        );
        assert_eq!(
            recorder.seen().questions.len(),
            1,
            "what is asked is found by looking"
        );
        world.opencode.close().await;
    });
}

#[test]
fn what_is_missing_is_said_before_anything_is_spent() {
    alone(async {
        let model = Model::start(|_| report()).await;
        let home = Home::new(&model.url());
        let mut settings = crate::world::settings(&home);
        settings.program = "no-such-opencode".into();
        let error = OpenCode::start(settings)
            .await
            .err()
            .expect("there is no such program");
        assert_eq!(error, Error::Missing("no-such-opencode".to_owned()));
        assert!(error.to_string().contains("npm install -g opencode-ai"));

        let mut broken = testkit::opencode::config(&model.url());
        broken["agent"] = json!({ "x": { "mode": "wrong" } });
        std::fs::write(home.path().join("broken.json"), broken.to_string()).unwrap();
        let mut settings = crate::world::settings(&home);
        settings.env.push((
            "OPENCODE_CONFIG".into(),
            home.path().join("broken.json").into(),
        ));
        let error = OpenCode::start(settings)
            .await
            .err()
            .expect("the configuration is broken");
        assert!(
            matches!(&error, Error::Configuration(why) if why.contains("agent.x.mode") && !why.contains('\u{1b}')),
            "{error}"
        );

        home.configure(&json!({ "enabled_providers": [] }));
        let opencode = OpenCode::start(crate::world::settings(&home))
            .await
            .unwrap();
        let error = opencode
            .probe(&home.project(), Role::Worker, None)
            .await
            .unwrap_err();
        assert_eq!(error, Error::NoProvider);
        opencode.close().await;

        home.configure(&testkit::opencode::config(&model.url()));
        let opencode = OpenCode::start(crate::world::settings(&home))
            .await
            .unwrap();
        let error = opencode
            .probe(&home.project(), Role::Worker, Some("mock/m9"))
            .await
            .unwrap_err();
        assert_eq!(
            error,
            Error::NoModel {
                model: "mock/m9".to_owned()
            }
        );
        opencode.close().await;
        assert_eq!(opencode.process(), None);
        assert_eq!(model.log().len(), 0);
    });
}
