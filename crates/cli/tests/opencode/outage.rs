//! A model that fails again and again, behind the real OpenCode.

use crate::{Role, recorded};
use mission::event::{Ending, Event, Turn};
use mission::ids::Epoch;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use testkit::model::{Model, Reply};
use testkit::opencode::config;
use testkit::persona::{Crew, Job};
use testkit::user::User;

fn crew() -> Crew {
    let words = ["one", "two", "three", "four", "five"];
    Crew::new("Add five words.", words.map(Job::word).to_vec())
}

fn user(model: &Model) -> User {
    let program = env!("CARGO_BIN_EXE_orchestrator");
    User::new(program, &model.url(), &[("README.md", "words\n")])
}

/// OpenCode asks a model that fails again by itself, and says so like of one that refuses; five turns of it are an outage
/// of that model, and another one at the same provider is asked meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_fails_again_and_again_is_left_alone_and_another_one_at_its_provider_stands_in()
 {
    let crew = crew();
    let model = Model::start(move |request| match Role::of(request) {
        Role::Worker if request.model == "m1" => Reply::status(500, "it is broken"),
        _ => crew.answer(request),
    })
    .await;
    let user = user(&model);
    let mut settings = config(&model.url());
    let models = &mut settings["provider"]["mock"]["models"];
    models["m2"] = models["m1"].clone();
    user.home().configure(&settings);
    let request = ["task", "Add five words", "--allow", "shell", "--yes"];
    let how = ["--workers", "5", "--reviews", "0", "--fallback", "mock/m2"];
    let ran = user.run(&[&request[..], &how].concat()).await;
    let said = &ran.said;
    assert_eq!(ran.code, Some(0), "{said}");
    for told in [
        "the breaker of mock/m1 opens: no turn begins there for 30.0 s: it is broken",
        "mock/m2 stood in for the worker's own model",
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
    for held in ["no turn begins at mock", "waits for mock"] {
        assert!(!said.contains(held), "{said}");
    }
    for task in 1..=5 {
        assert!(
            !said.contains(&format!("T{task}.2")),
            "no attempt is lost: {said}"
        );
    }
    // Where turns fail fewer run at once, and one more again where they go well, whichever model serves.
    let why = user.run(&["log", "m1", "--why"]).await.said;
    for told in [
        "slots of workers: 2 in a row were refused or failed by their host",
        "slots of workers: 3 turns in a row went well",
    ] {
        assert!(why.contains(told), "no {told:?} in: {why}");
    }
    let failed = model.log();
    let failed = failed
        .iter()
        .filter(|r| Role::of(r) == Role::Worker && r.model == "m1");
    // Two calls of each of five turns; the first one may come back before the last one has failed.
    let calls = failed.count();
    assert!((10..=20).contains(&calls), "{calls}");
    user.deserted().await;
}

async fn is_anybody_at_work(user: &User) -> bool {
    let status = user.run(&["status", "m1", "--json"]).await.said;
    let status: serde_json::Value = serde_json::from_str(&status).expect("it is JSON");
    let tasks = status["tasks"].as_array().expect("it tells the tasks");
    tasks.iter().any(|task| task["state"] == "working")
}

/// A breaker that has opened lets one turn after the other try the model when its time is over. Two that are served close it,
/// and no attempt is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_serves_again_is_tried_by_one_turn_at_a_time_and_then_by_all() {
    let crew = crew();
    let broken = Arc::new(AtomicBool::new(true));
    let fails = broken.clone();
    let model = Model::start(move |request| match Role::of(request) {
        Role::Worker if fails.load(Ordering::SeqCst) => Reply::status(500, "it is broken"),
        _ => crew.answer(request),
    })
    .await;
    let user = user(&model);
    let request = ["task", "Add five words", "--allow", "shell", "--yes"];
    let how = ["--workers", "5", "--reviews", "0"];
    let mut running = user.start(&[&request[..], &how].concat());
    running.says("the breaker of mock/m1 opens").await;
    // Whoever is still at work fails as well.
    while is_anybody_at_work(&user).await {}
    broken.store(false, Ordering::SeqCst);
    let ran = running.end().await;
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    assert!(!ran.said.contains(".2 worker"), "{}", ran.said);
    let all = recorded(&user).await;
    // It opens anew where a turn has tried it sooner.
    let opened = |event: &Event| match event {
        Event::BreakerOpened { until, .. } => Some(*until),
        _ => None,
    };
    let newest = all.iter().enumerate().rev();
    let mut newest = newest.filter_map(|(at, one)| Some((at, opened(&one.event)?)));
    let (at, until) = newest.next().expect("it has opened");
    // Who was told of the breaker just before its first call asked nobody, and begins anew.
    let held = |of: Epoch| {
        let mut all = all.iter();
        all.any(|one| matches!(&one.event, Event::TurnEnded { epoch, ending: Ending::Held { .. }, .. } if *epoch == of))
    };
    let begun = all.iter().enumerate().skip(at);
    let begun: Vec<_> = begun
        .filter_map(|(at, one)| match &one.event {
            Event::TurnStarted {
                turn: Turn::Work { .. },
                epoch,
                ..
            } if !held(*epoch) => Some((at, *epoch)),
            _ => None,
        })
        .collect();
    assert_eq!(begun.len(), 5, "{}", ran.said);
    assert!(
        all[begun[0].0].at >= until,
        "it was left alone: {}",
        ran.said
    );
    for pair in begun[..3].windows(2) {
        let (_, epoch) = pair[0];
        let served =
            |event: &Event| matches!(event, Event::TurnServed { epoch: of } if *of == epoch);
        let served = all.iter().position(|one| served(&one.event));
        assert!(
            served.is_some_and(|served| served < pair[1].0),
            "{}",
            ran.said
        );
    }
    user.deserted().await;
}

/// A quota that is reset only after the mission's time: once that is named again nothing is waited for, and whoever resumes it
/// has it asked anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_is_spent_for_longer_than_a_mission_has_ends_it_and_a_resume_asks_anew() {
    let crew = crew();
    let spent = Arc::new(AtomicBool::new(true));
    let refuses = spent.clone();
    let model = Model::start(move |request| match Role::of(request) {
        Role::Worker if refuses.load(Ordering::SeqCst) => Reply::busy("18000"),
        _ => crew.answer(request),
    })
    .await;
    let user = user(&model);
    let request = ["task", "Add five words", "--allow", "shell", "--yes"];
    let how = ["--workers", "1", "--reviews", "0"];
    let mut running = user.start(&[&request[..], &how].concat());
    let of_workers = || {
        let log = model.log();
        log.iter().filter(|r| Role::of(r) == Role::Worker).count()
    };
    // Only that model is left alone, and so much is not believed at once.
    running.says("T1.1 is parked for").await;
    assert_eq!(of_workers(), 1);
    let status = user.run(&["status", "m1"]).await.said;
    assert!(status.contains("mock/m1"), "{status}");
    // Whoever lets it go on has it asked at once.
    let paused = user.run(&["pause", "m1"]).await;
    assert_eq!(paused.code, Some(0), "{}", paused.said);
    let followed = user.run(&["resume", "m1"]).await;
    let ran = running.end().await;
    assert_eq!(followed.code, ran.code, "{}", followed.said);
    for told in [
        "its time is over in 3 h 59 min, and mock/m1 may be asked again in",
        "a resume asks at once",
    ] {
        assert!(ran.said.contains(told), "{told}: {}", ran.said);
    }
    assert_eq!(ran.code, Some(1), "{}", ran.said);
    assert_eq!(of_workers(), 2, "{}", ran.said);
    // It is asked once where the quota was raised in vain.
    let again = user.run(&["resume", "m1"]).await;
    assert_eq!(again.code, ran.code, "{}", again.said);
    assert_eq!(of_workers(), 3, "{}", again.said);
    spent.store(false, Ordering::SeqCst);
    let ran = user.run(&["resume", "m1"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    for task in 1..=5 {
        assert!(!ran.said.contains(&format!("T{task}.2")), "{}", ran.said);
    }
    user.deserted().await;
}
