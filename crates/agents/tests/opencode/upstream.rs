//! What stands between us and the server, or is not the server that it was: nothing is concluded from it.

use crate::lost::{asked, behind, between};
use crate::world::{World, alone};
use agents::contract::Recorder;
use agents::opencode::{Error, OpenCode};
use agents::{Agent as _, Sign};
use mission::turn::{Outcome, Role, Usage};
use serde_json::json;
use testkit::model::{Model, Reply};
use testkit::opencode::Home;

/// Has a Worker run a command and report, and gives what it used. Each call is asked for once, and none is told or counted
/// twice on the way: the engine ends a turn by what it is told of its use.
async fn work(world: &World, key: &str) -> Usage {
    let line = format!("echo {key} >> out.txt");
    world.stage.on(key, move |r| match r.step() {
        0 => Reply::call("bash", json!({ "command": line, "description": "appends" })),
        _ => Reply::fenced(&json!({ "status": "done", "summary": "did it" })),
    });
    let order = world.order(Role::Worker, key);
    let file = order.directory.join("out.txt");
    let recorder = Recorder::new();
    world.watched(order, &recorder).await;
    let outcome = recorder.outcome();
    let Outcome::Answered { usage, .. } = outcome else {
        panic!("{key}: {outcome:?}")
    };
    let signs = recorder.seen().signs;
    let used = signs.iter().filter_map(|sign| match sign {
        Sign::Used(used) => Some(used.calls),
        _ => None,
    });
    let used: Vec<u32> = used.collect();
    assert!(used.is_sorted(), "{key}: {used:?} went down again");
    assert_eq!(used.last(), Some(&usage.calls), "{key}: {used:?}");
    let did = |sign: &&Sign| matches!(sign, Sign::Did(..));
    assert!(signs.iter().filter(did).count() <= 1, "{key}: {signs:?}");
    let steps: Vec<usize> = world.log(key).iter().map(|r| r.step()).collect();
    assert_eq!(steps, [0, 1], "{key}: each step is asked for once");
    assert_eq!(std::fs::read_to_string(file).unwrap(), format!("{key}\n"));
    usage
}

#[test]
fn events_that_come_thrice_by_halves_or_in_another_order_change_nothing() {
    alone(async {
        let mut told = Vec::new();
        for kind in ["triple", "half", "rest", "shuffle"] {
            let (world, between) = behind(&format!("GET ^/global/event$ {kind}"), |_| {}).await;
            let usage = work(&world, &format!("events-{kind}")).await;
            let left = std::fs::read_to_string(between.join("faults")).unwrap();
            assert_eq!(left, "", "{kind}: the stream was left as it is");
            told.push((usage.calls, usage.input, usage.output, usage.cached));
            world.opencode.close().await;
        }
        let whole = (2, Some(200), Some(20), Some(0));
        assert_eq!(told, [whole; 4]);
    });
}

#[test]
fn what_somebody_else_answers_is_no_answer_of_the_server_and_nobody_goes_where_he_points() {
    alone(async {
        let (world, between) = behind("", |_| {}).await;
        for (n, faults) in [
            "GET ^/session/status$ html",
            "GET ^/session/status$ empty",
            "GET ^/session/status$ move",
            "GET /message$ html",
            "GET /message$ empty",
            "GET /message$ move",
            "POST ^/session$ html",
            "POST ^/session$ empty",
            "POST ^/session$ move",
            "POST /prompt_async$ move",
        ]
        .into_iter()
        .enumerate()
        {
            std::fs::write(between.join("faults"), faults).unwrap();
            let usage = work(&world, &format!("else-{n}")).await;
            assert_eq!(usage.calls, 2, "{faults}");
            let left = std::fs::read_to_string(between.join("faults")).unwrap();
            assert_eq!(left, "", "{faults} did not happen");
        }
        assert_eq!(asked(&between, |line| line.ends_with("/elsewhere")), 0);
        world.opencode.close().await;
    });
}

#[test]
fn a_server_whose_first_sign_of_life_is_lost_comes_up() {
    alone(async {
        let (world, between) = behind("GET ^/global/health$ hold", |_| {}).await;
        let left = std::fs::read_to_string(between.join("faults")).unwrap();
        assert_eq!(left, "", "it was asked for a sign of life");
        work(&world, "after-silence").await;
        world.opencode.close().await;
    });
}

#[test]
fn a_server_of_another_version_is_refused_with_what_to_install() {
    alone(async {
        let model = Model::start(|_| Reply::text("")).await;
        let home = Home::new(&model.url());
        let folder = between(&home, "GET ^/global/health$ newer");
        let mut settings = crate::world::settings(&home);
        settings.program = folder.join("opencode").into();
        let error = OpenCode::start(settings)
            .await
            .err()
            .expect("it is refused");
        assert_eq!(error, Error::Version("2.0.0".to_owned()));
        let said = error.to_string();
        assert!(said.contains("npm install -g opencode-ai@1"), "{said}");
    });
}
