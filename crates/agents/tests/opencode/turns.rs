//! Turns as they usually go.

use crate::world::shared;
use agents::Sign;
use agents::contract::Recorder;
use mission::turn::{Answer, Outcome, Report, Role};
use serde_json::json;
use std::time::Instant;
use testkit::model::Reply;

#[test]
fn a_worker_works_and_reports() {
    shared(async |world| {
        world.stage.on("T1.1", |r| match r.step() {
            0 => Reply::call(
                "bash",
                json!({ "command": "echo hi > out.txt", "description": "write" }),
            ),
            _ => Reply::fenced(&json!({ "status": "done", "summary": "wrote it" })),
        });
        let order = world.order(Role::Worker, "T1.1");
        let directory = order.directory.clone();
        let recorder = Recorder::new();
        world.watched(order, &recorder).await;
        let signs = recorder.seen().signs;
        assert!(matches!(signs[0], Sign::Session(_)), "{signs:?}");
        assert!(
            signs.contains(&Sign::Doing("bash: echo hi > out.txt".to_owned())),
            "{signs:?}"
        );
        // How often it is told depends on how often the host was looked at; that it is told does not.
        assert!(
            signs.iter().any(|sign| matches!(sign, Sign::Used(_))),
            "what was used is told: {signs:?}"
        );
        let outcome = recorder.outcome();
        let Outcome::Answered { answer, usage } = outcome else {
            panic!("{outcome:?}")
        };
        let done = Report::Done {
            summary: "wrote it".into(),
            changed_tests: vec![],
            notes: vec![],
        };
        assert_eq!(answer, Answer::Report(done));
        assert_eq!(
            (usage.input, usage.output, usage.calls),
            (Some(200), Some(20), 2)
        );
        assert_eq!(
            std::fs::read_to_string(directory.join("out.txt")).unwrap(),
            "hi\n"
        );
        let log = world.log("T1.1");
        assert_eq!(log.len(), 2, "a valid block needs no further call");
        assert_eq!(
            log[0].tools,
            ["bash", "edit", "glob", "grep", "question", "read", "write"]
        );
        println!("a Worker's first request: {} bytes", log[0].bytes);
        assert!(
            log[0].bytes < 20_000,
            "a Worker's first request is small: {} bytes",
            log[0].bytes
        );

        world
            .stage
            .on("T1.2", |_| Reply::fenced(&json!({ "accept": true })));
        let started = Instant::now();
        let outcome = world.run(world.order(Role::Reviewer, "T1.2")).await;
        println!("a turn of one call: {:?}", started.elapsed());
        assert!(matches!(outcome, Outcome::Answered { .. }), "{outcome:?}");
        assert_eq!(world.log("T1.2")[0].tools, ["glob", "grep", "read"]);
    });
}
