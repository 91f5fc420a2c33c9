//! Answers that are asked for in a schema, beside the session whose last message holds none.

use crate::faults::signal;
use crate::world::{World, alone, shared};
use agents::contract::Recorder;
use agents::{Agent as _, Closing};
use mission::ids::Epoch;
use mission::turn::{Answer, Outcome, Role, Usage, Verdict};
use serde_json::{Value, json};
use testkit::model::{Gate, Reply, Request};

/// The tool through which OpenCode has an answer given in a schema.
const TOOL: &str = "StructuredOutput";

fn accept() -> Value {
    json!({ "accept": true, "findings": [] })
}

/// What was used for it.
#[track_caller]
fn accepted(outcome: &Outcome) -> Usage {
    let accept = Answer::Verdict(Verdict {
        accept: true,
        findings: vec![],
    });
    match outcome {
        Outcome::Answered { answer, usage } if *answer == accept => *usage,
        other => panic!("{other:?}"),
    }
}

/// A model that speaks in prose, does this where it has to give an answer in a schema, and gives one in words where it is
/// asked for it.
fn speaks(world: &World, key: &str, in_schema: impl Fn(&Request) -> Reply + Send + Sync + 'static) {
    world.stage.on(key, move |r| match r.asked() {
        _ if r.must_call => in_schema(r),
        asked if asked.contains("fits this schema") => Reply::fenced(&accept()),
        _ => Reply::text("I accept this."),
    });
}

/// How the model was asked, call by call: for the work, in a schema, or in words.
fn asked(world: &World, key: &str) -> Vec<&'static str> {
    let how = |r: &Request| match r.asked() {
        _ if r.must_call => "schema",
        asked if asked.contains("fits this schema") => "words",
        _ => "work",
    };
    world.log(key).iter().map(how).collect()
}

#[test]
fn an_answer_that_is_missing_is_given_in_a_schema_once() {
    shared(async |world| {
        speaks(world, "in-schema", |_| Reply::call(TOOL, accept()));
        let mut order = world.order(Role::Reviewer, "in-schema");
        order.nonce = "in-schema".to_owned();
        let usage = accepted(&world.run(order.clone()).await);
        let log = world.log("in-schema");
        assert_eq!(asked(world, "in-schema"), ["work", "schema"]);
        assert_eq!((usage.calls, usage.input), (2, Some(200)));
        assert_eq!(log[1].tools, [TOOL], "nothing else can be done there");
        let before: Vec<_> = log[1].messages.iter().map(|m| m.text.as_str()).collect();
        assert_eq!(before[..2], ["Do in-schema.", "I accept this."]);
        // Whoever goes on with the turn finds the answer, and what it cost.
        let again = accepted(&world.run(order.clone()).await);
        assert_eq!(again, usage);
        // The next lease finds it as well, and that it was accounted for.
        order.epoch = Epoch(2);
        let later = accepted(&world.run(order.clone()).await);
        assert_eq!(later.calls, 0);
        assert_eq!(world.log("in-schema").len(), 2, "it is asked once");
        let closing = Closing {
            mission: order.mission,
            nonce: order.nonce.clone(),
            directories: vec![order.directory.clone()],
            only: None,
        };
        let closed = world.opencode.close_sessions(closing).await;
        assert_eq!(closed, Ok(2), "the session and its copy");
    });
}

#[test]
fn a_faulty_report_is_mended_in_a_schema_and_a_missing_one_is_asked_for_with_tools_first() {
    shared(async |world| {
        let done = json!({ "status": "done", "summary": "did it" });
        for (key, said, expected) in [
            (
                "faulty-report",
                "```json\n{ \"status\": \"finished\" }\n```",
                &["work", "schema"][..],
            ),
            (
                "missing-report",
                "It is done.",
                &["work", "words", "schema"][..],
            ),
        ] {
            let done = done.clone();
            world.stage.on(key, move |r| match r.must_call {
                true => Reply::call(TOOL, done.clone()),
                false => Reply::text(said),
            });
            let outcome = world.run(world.order(Role::Worker, key)).await;
            assert!(
                matches!(outcome, Outcome::Answered { .. }),
                "{key}: {outcome:?}"
            );
            assert_eq!(asked(world, key), expected, "{key}");
        }
        let log = world.log("faulty-report");
        let why = "Your last answer cannot be used: at `status`";
        assert!(log[1].asked().starts_with(why), "{}", log[1].asked());
        assert!(log[1].asked().contains("Do no further work"));
        let log = world.log("missing-report");
        assert!(
            log[1].tools.contains(&"edit".to_owned()),
            "{:?}",
            log[1].tools
        );
    });
}

#[test]
fn what_is_not_given_in_a_schema_is_asked_for_in_words() {
    shared(async |world| {
        speaks(world, "prose-in-schema", |_| Reply::text("I do accept it."));
        speaks(world, "no-schema", |_| {
            Reply::status(400, "tool_choice is not supported")
        });
        speaks(world, "no-endpoint", |_| {
            Reply::status(
                404,
                "No endpoints found that support the provided tool_choice",
            )
        });
        for (key, calls) in [("prose-in-schema", 3), ("no-schema", 2), ("no-endpoint", 2)] {
            let usage = accepted(&world.run(world.order(Role::Reviewer, key)).await);
            assert_eq!(usage.calls, calls, "{key}");
            assert_eq!(asked(world, key), ["work", "schema", "words"], "{key}");
            let words = world.log(key).pop().unwrap();
            let said = words.messages.iter().map(|m| m.text.as_str());
            let said: Vec<_> = said.filter(|text| text.contains("accept")).collect();
            assert_eq!(said[0], "I accept this.", "{key}: the session goes on");
            assert!(!said.contains(&"I do accept it."), "{key}: {said:?}");
        }
    });
}

#[test]
fn what_a_schema_lets_through_and_is_no_answer_is_repaired_with_the_reason() {
    shared(async |world| {
        speaks(world, "perhaps-in-schema", |_| {
            Reply::call(TOOL, json!({ "accept": "perhaps" }))
        });
        accepted(
            &world
                .run(world.order(Role::Reviewer, "perhaps-in-schema"))
                .await,
        );
        let key = "perhaps-in-schema";
        assert_eq!(asked(world, key), ["work", "schema", "words"]);
        let log = world.log(key);
        let repair = log[2].asked();
        let why =
            "Your answer `{\"accept\":\"perhaps\"}` cannot be used: at `accept`: invalid type";
        assert!(repair.starts_with(why), "{repair}");
    });
}

#[test]
fn a_provider_that_refuses_there_is_come_back_to_in_words() {
    shared(async |world| {
        speaks(world, "busy-in-schema", |_| Reply::busy("3600"));
        let order = world.order(Role::Reviewer, "busy-in-schema");
        let outcome = world.run(order.clone()).await;
        let Outcome::Refused {
            retry_after, usage, ..
        } = outcome
        else {
            panic!("{outcome:?}")
        };
        assert!(retry_after.is_some_and(|wait| wait.0 > 3_000_000));
        assert_eq!(usage.calls, 1);
        accepted(&world.run(order).await);
        assert_eq!(asked(world, "busy-in-schema"), ["work", "schema", "words"]);
    });
}

#[test]
fn what_is_said_while_a_schema_is_filled_is_heard_before_the_answer_is_taken() {
    shared(async |world| {
        let (key, held) = ("late-in-schema", Gate::default());
        let gate = held.clone();
        world.stage.on(key, move |r| match r.asked() {
            _ if r.must_call => Reply::call(TOOL, json!({ "accept": false })).after(&gate),
            asked if asked.contains("mind the gap") => Reply::fenced(&accept()),
            _ => Reply::text("I accept this."),
        });
        let recorder = Recorder::new();
        let saying = async {
            let is_asked = |r: &Request| r.must_call && r.messages[0].text.contains(key);
            world.model.until(|log| log.iter().any(is_asked)).await;
            recorder.say(1, "mind the gap");
            held.open();
        };
        let order = world.order(Role::Reviewer, key);
        tokio::join!(world.watched(order, &recorder), saying);
        accepted(&recorder.outcome());
        assert_eq!(asked(world, key), ["work", "schema", "work"]);
    });
}

#[test]
fn a_server_killed_while_a_schema_is_filled_costs_no_more_than_that_call() {
    alone(async {
        let world = World::with(|_| {}, |settings| settings.guard = Vec::new()).await;
        let held = Gate::default();
        let gate = held.clone();
        speaks(&world, "killed-in-schema", move |_| {
            Reply::call(TOOL, accept()).after(&gate)
        });
        let killing = async {
            world.model.until(|log| log.len() == 2).await;
            signal(&world, rustix::process::Signal::KILL);
            held.open();
        };
        let running = world.run(world.order(Role::Reviewer, "killed-in-schema"));
        let (outcome, ()) = tokio::join!(running, killing);
        accepted(&outcome);
        assert_eq!(
            asked(&world, "killed-in-schema"),
            ["work", "schema", "words"]
        );
        world.opencode.close().await;
    });
}
