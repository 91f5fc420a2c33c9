//! How many turns a mission may have and how much one task may use, behind the real OpenCode.

use crate::Role;
use testkit::model::{Model, Tokens};
use testkit::persona::{Crew, Job};
use testkit::user::User;

const REQUEST: [&str; 5] = ["task", "Add words", "--allow", "shell", "--yes"];
/// One task after the other, and nobody judges them.
const ONE_BY_ONE: [&str; 4] = ["--workers", "1", "--reviews", "0"];

fn crew() -> Crew {
    let words = ["one", "two", "three"];
    Crew::new("Add words.", words.map(Job::word).to_vec())
}

fn user(model: &Model) -> User {
    let program = env!("CARGO_BIN_EXE_orchestrator");
    User::new(program, &model.url(), &[("README.md", "words\n")])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mission_has_no_more_turns_than_it_may_and_a_resume_gives_it_as_many_again() {
    let crew = crew();
    let model = Model::start(move |request| crew.answer(request)).await;
    let user = user(&model);
    // One reads, one plans, and two work.
    let turns = ["--turns", "4"];
    let ran = user
        .run(&[&REQUEST[..], &ONE_BY_ONE, &turns].concat())
        .await;
    assert_eq!(ran.code, Some(4), "{}", ran.said);
    assert!(ran.said.contains("its 4 turns are used up"), "{}", ran.said);
    // Reading and planning are a call each, and each work is two.
    assert_eq!(model.log().len(), 6, "{}", ran.said);
    let ran = user.run(&["resume", "m1", "--allow", "shell"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    assert_eq!(model.log().len(), 8, "{}", ran.said);
    user.deserted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_uses_more_than_one_may_is_ended_within_a_call_and_the_others_are_done() {
    let crew = crew();
    let own = crew.clone();
    let is_dear = move |request: &_| {
        let job = crew.job(request).map(Job::name);
        Role::of(request) == Role::Worker && job == Some("two")
    };
    let counts = is_dear.clone();
    let model = Model::start(move |request| {
        let reply = own.answer(request);
        match is_dear(request) {
            true => reply.tokens(Tokens::new(9_000, 0, 0)),
            false => reply,
        }
    })
    .await;
    let user = user(&model);
    let most = ["--task-tokens", "5000"];
    let ran = user.run(&[&REQUEST[..], &ONE_BY_ONE, &most].concat()).await;
    assert_eq!(ran.code, Some(4), "{}", ran.said);
    for told in [
        "tokens of the 5000 that one task may use",
        "T1    landed",
        "T2    failed",
        "T3    landed",
    ] {
        assert!(ran.said.contains(told), "no {told:?} in: {}", ran.said);
    }
    let calls = model.log().iter().filter(|request| counts(request)).count();
    // What one call has used is told while the next one may have begun.
    assert!((1..=2).contains(&calls), "{calls}: {}", ran.said);
    user.deserted().await;
}
