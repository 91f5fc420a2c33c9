//! Turns as they usually go.

use crate::world::shared;
use agents::contract::Recorder;
use agents::{ShellRule, Sign};
use mission::turn::{Answer, Outcome, Report, Role};
use serde_json::json;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use testkit::model::{Gate, Reply};

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
        assert_eq!(log[0].tools, ["bash", "edit", "question", "read", "write"]);
        println!("a Worker's first request: {} bytes", log[0].bytes);
        assert!(
            log[0].bytes < 16_000,
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

/// What never changes in a Worker's requests, by what its shell may do. Whose commands are told apart by rules, or who has no
/// shell, has OpenCode's tools for searching; who must ask is not asked about plain searches.
#[test]
fn what_a_worker_begins_with_is_known_for_every_rule_of_its_shell() {
    shared(async |world| {
        let mut sizes = Vec::new();
        for (shell, key) in [
            (ShellRule::Allow, "lean-allow"),
            (ShellRule::Ask, "lean-ask"),
            (ShellRule::AskEach, "lean-each"),
            (ShellRule::Deny, "lean-deny"),
        ] {
            let done = json!({ "status": "done", "summary": "nothing to do" });
            world.stage.on(key, move |_| Reply::fenced(&done));
            let mut order = world.order(Role::Worker, key);
            order.shell = shell;
            world.run(order).await;
            let log = world.log(key);
            let tools = log[0].body["tools"].to_string();
            sizes.push((log[0].tools.len(), log[0].system.len() + tools.len()));
        }
        println!(
            "fixed part of a Worker's request, shell allowed, asked for, ruled, denied: {sizes:?}"
        );
        let tools: Vec<usize> = sizes.iter().map(|(tools, _)| *tools).collect();
        assert_eq!(tools, [5, 5, 7, 6]);
        for ((_, size), most) in sizes.iter().zip([14_000, 14_000, 16_384, 14_000]) {
            assert!(*size < most, "{sizes:?}");
        }
    });
}

#[test]
fn the_prompt_of_a_continued_session_comes_after_all_that_is_there() {
    shared(async |world| {
        let plan = |name: &str| json!({ "tasks": [{ "id": name, "title": name, "goal": name }] });
        world
            .stage
            .on("plan-one", move |_| Reply::fenced(&plan("one")));
        world
            .stage
            .on("plan-two", move |_| Reply::fenced(&plan("two")));
        let first = world.order(Role::Planner, "plan-one");
        let recorder = Recorder::new();
        world.watched(first.clone(), &recorder).await;
        let Some(Sign::Session(session)) = recorder.seen().signs.into_iter().next() else {
            panic!("a turn has a session")
        };
        // A message from an hour ahead, as before the clock was set back.
        let ahead = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_millis()
            + 3_600_000;
        let id = format!(
            "msg_{:012x}00aaaaaaaaaaaa",
            (ahead * 0x1000) & 0xffff_ffff_ffff
        );
        let (port, password) = world.door();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("http://127.0.0.1:{port}/session/{session}/message");
        let sent = http
            .post(&url)
            .basic_auth("opencode", Some(&password))
            .header("x-opencode-directory", first.directory.to_str().unwrap())
            .json(
                &json!({ "messageID": id, "noReply": true, "agent": "orchestrator-planner",
                "parts": [{ "type": "text", "text": "later" }] }),
            )
            .send()
            .await
            .unwrap();
        assert!(sent.status().is_success(), "{}", sent.text().await.unwrap());
        let mut second = world.order(Role::Planner, "plan-two");
        let directory = first.directory.clone();
        second.directory = first.directory;
        second.continues = Some(first.turn);
        let outcome = world.run(second).await;
        let Outcome::Answered {
            answer: Answer::Plan(plan),
            usage,
        } = outcome
        else {
            panic!("{outcome:?}")
        };
        assert_eq!((plan.tasks[0].id.as_str(), usage.calls), ("two", 1));
        let log = world.log("plan-two");
        let last = log[0].asked();
        assert!(last.contains("plan-two"), "the last thing asked is {last}");
        let all = http
            .get(&url)
            .basic_auth("opencode", Some(&password))
            .header("x-opencode-directory", directory.to_str().unwrap())
            .send()
            .await
            .unwrap();
        let all: Vec<serde_json::Value> = serde_json::from_str(&all.text().await.unwrap()).unwrap();
        let prompt = all.iter().find(|m| m.to_string().contains("Do plan-two."));
        let named = prompt.unwrap()["info"]["id"].as_str().unwrap();
        assert!(named > id.as_str(), "{named} sorts before {id}");
    });
}

#[test]
fn what_is_said_in_the_last_step_is_heard_before_the_answer_is_taken() {
    shared(async |world| {
        let held = Gate::default();
        let gate = held.clone();
        world.stage.on("late-word", move |request| {
            let said = |m: &&testkit::model::Message| m.role == "user";
            let asked = request.messages.iter().filter(said);
            let heard = asked.filter(|m| m.text.contains("mind the gap")).count();
            let report = Reply::fenced(&json!({ "status": "done", "summary": heard.to_string() }));
            match heard {
                0 => report.after(&gate),
                _ => report,
            }
        });
        let recorder = Recorder::new();
        let saying = async {
            // Its only step has begun, and the answer to it is on its way.
            let begun = |r: &testkit::model::Request| {
                r.messages.iter().any(|m| m.text.contains("late-word"))
            };
            world.model.until(|log| log.iter().any(begun)).await;
            recorder.say(1, "mind the gap");
            recorder.until(|seen| seen.noted.contains(&1)).await;
            held.open();
        };
        let order = world.order(Role::Worker, "late-word");
        tokio::join!(world.watched(order, &recorder), saying);
        let outcome = recorder.outcome();
        let Outcome::Answered { answer, .. } = outcome else {
            panic!("{outcome:?}")
        };
        let said = |summary: &str| matches!(&answer, Answer::Report(Report::Done { summary: of, .. }) if of == summary);
        assert!(said("1"), "{answer:?}");
        assert_eq!(world.log("late-word").len(), 2, "it is asked once more");
    });
}
