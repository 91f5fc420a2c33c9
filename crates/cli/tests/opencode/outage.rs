//! A model that fails again and again, behind the real OpenCode.

use crate::Role;
use testkit::model::{Model, Reply};
use testkit::opencode::config;
use testkit::persona::{Crew, Job};
use testkit::user::User;

/// OpenCode asks a model that fails again by itself, and says so like of one that refuses; five turns of it are an outage
/// of that model, and another one at the same provider is asked meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_fails_again_and_again_is_left_alone_and_another_one_at_its_provider_stands_in()
 {
    let words = ["one", "two", "three", "four", "five"];
    let crew = Crew::new("Add five words.", words.map(Job::word).to_vec());
    let model = Model::start(move |request| match Role::of(request) {
        Role::Worker if request.model == "m1" => Reply::status(500, "it is broken"),
        _ => crew.answer(request),
    })
    .await;
    let user = User::new(
        env!("CARGO_BIN_EXE_orchestrator"),
        &model.url(),
        &[("README.md", "words\n")],
    );
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
        "4 instead of 5 slots of workers",
        "2 in a row were refused or failed by their host",
        "4 instead of 3 slots of workers",
        "3 turns in a row went well",
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
