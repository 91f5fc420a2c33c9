//! What a model answers, and what is made of it.

use crate::world::{World, shared};
use agents::contract::{Recorder, Seen};
use agents::{Agent as _, Sign};
use mission::stagnation::{Act, ActKind};
use mission::turn::{Answer, Failure, Outcome, Role, Usage, Verdict};
use serde_json::{Value, json};
use std::sync::Arc;
use testkit::model::{Finish, Reply, Tokens};
use tokio_util::sync::CancellationToken;

fn accepted(outcome: &Outcome) -> Usage {
    match outcome {
        Outcome::Answered { answer, usage } => {
            assert_eq!(
                *answer,
                Answer::Verdict(Verdict {
                    accept: true,
                    findings: vec![]
                })
            );
            *usage
        }
        other => panic!("{other:?}"),
    }
}

fn accept() -> Value {
    json!({ "accept": true, "findings": [] })
}

/// The last things that the model was asked, one per call.
fn asked(world: &World, key: &str) -> Vec<String> {
    world
        .log(key)
        .iter()
        .map(|r| r.asked().to_owned())
        .collect()
}

#[test]
fn a_faulty_answer_is_repaired_with_the_exact_reason_and_twice_at_the_most() {
    shared(async |world| {
        world.stage.on("perhaps-three", |_| {
            Reply::fenced(&json!({ "accept": "perhaps" }))
        });
        let outcome = world
            .run(world.order(Role::Reviewer, "perhaps-three"))
            .await;
        let Outcome::Failed {
            failure,
            why,
            usage,
        } = outcome
        else {
            panic!("{outcome:?}")
        };
        assert_eq!(failure, Failure::NoAnswer);
        assert_eq!(
            why,
            "at `accept`: invalid type: string \"perhaps\", expected a boolean"
        );
        assert_eq!(usage.calls, 4);
        let asked = asked(world, "perhaps-three");
        assert_eq!(asked.len(), 4, "the order, a schema and two repairs");
        for repair in &asked[1..] {
            assert!(
                repair.starts_with("Your last answer cannot be used: at `accept`"),
                "{repair}"
            );
        }
    });
}

#[test]
fn a_worker_that_only_announces_its_work_is_told_to_do_it() {
    shared(async |world| {
        world.stage.on("announces", |_| {
            Reply::text("\nNow I will write the file.\n")
        });
        let outcome = world.run(world.order(Role::Worker, "announces")).await;
        let Outcome::Failed { failure, why, .. } = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(failure, Failure::NoAnswer);
        let last = "its last words: Now I will write the file.";
        assert!(why.ends_with(last), "{why}");
        let asked = asked(world, "announces");
        assert_eq!(asked.len(), 5);
        assert!(asked[1].contains("do it now"), "{}", asked[1]);
        for repair in &asked[2..] {
            assert!(repair.contains("Do no further work"), "{repair}");
        }
    });
}

#[test]
fn the_same_step_of_an_agent_looks_the_same_however_often_it_is_taken() {
    shared(async |world| {
        world.stage.on("circles", |_| {
            Reply::call(
                "bash",
                json!({ "command": "echo hi; exit 3", "description": "says hi" }),
            )
        });
        let (recorder, stop) = (Recorder::new(), CancellationToken::new());
        let order = world.order(Role::Worker, "circles");
        let watcher = Arc::clone(&recorder) as _;
        let running = world.opencode.run(order, watcher, stop.clone());
        let steps = |seen: &Seen| -> Vec<Act> {
            let signs = seen.signs.iter();
            let step = |sign: &Sign| match sign {
                Sign::Did(act, what) if what.starts_with("bash: echo hi") => Some(*act),
                _ => None,
            };
            signs.filter_map(step).collect()
        };
        tokio::join!(running, async {
            recorder.until(|seen| steps(seen).len() >= 3).await;
            stop.cancel();
        });
        let steps = steps(&recorder.seen());
        assert!(steps.iter().all(|step| *step == steps[0]), "{steps:?}");
        assert_eq!((steps[0].kind, steps[0].failed), (ActKind::Run, true));
    });
}

#[test]
fn a_model_that_ran_out_of_room_is_told_to_go_on() {
    shared(async |world| {
        world.stage.on("roomless", |r| match r.asked() {
            asked if asked.contains("was cut off") => Reply::fenced(&accept()),
            _ => Reply::text("First of all, ```json\n{\"accept\"").finish(Finish::Length),
        });
        let usage = accepted(&world.run(world.order(Role::Reviewer, "roomless")).await);
        assert_eq!(usage.calls, 2);
    });
}

#[test]
fn an_absurd_or_missing_usage_is_unknown() {
    shared(async |world| {
        let absurd = json!({ "prompt_tokens": -5, "completion_tokens": -1e308, "total_tokens": 0 });
        world.stage.on("absurd-usage", move |_| {
            Reply::fenced(&accept()).tokens(Tokens(absurd.clone()))
        });
        world
            .stage
            .on("untold-usage", |_| Reply::fenced(&accept()).untold());
        world.stage.on("cached-usage", |_| {
            Reply::fenced(&accept()).tokens(Tokens::new(100, 10, 60))
        });
        for key in ["absurd-usage", "untold-usage"] {
            let usage = accepted(&world.run(world.order(Role::Reviewer, key)).await);
            assert_eq!(
                (usage.tokens(), usage.micro_usd, usage.calls),
                (None, None, 1),
                "{key}"
            );
        }
        let usage = accepted(&world.run(world.order(Role::Reviewer, "cached-usage")).await);
        assert_eq!(
            (usage.input, usage.cached, usage.output),
            (Some(40), Some(60), Some(10))
        );
    });
}

#[test]
fn an_enormous_tool_output_is_bounded() {
    shared(async |world| {
        world.stage.on("enormous", |r| match r.step() {
            0 => Reply::call("bash", json!({ "command": "head -c 10000000 /dev/zero | tr '\\0' x", "description": "shout" })),
            _ => Reply::fenced(&json!({ "status": "done", "summary": "shouted" })),
        });
        let before = resident();
        let outcome = world.run(world.order(Role::Worker, "enormous")).await;
        assert!(matches!(outcome, Outcome::Answered { .. }), "{outcome:?}");
        let bytes = world.log("enormous").iter().map(|r| r.bytes).max();
        assert!(
            bytes < Some(200_000),
            "what the model is sent is bounded: {bytes:?}"
        );
        let rise = resident().saturating_sub(before);
        assert!(rise < 64 << 20, "our memory rose by {rise} bytes");
    });
}

/// The resident size of this program, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
