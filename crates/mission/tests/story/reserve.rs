//! What a turn reserves of the token budget before it begins.

use crate::budget::land_unreviewed;
use crate::teller::{Story, task, used};
use mission::input::Input;
use mission::limits;
use mission::plan::Draft;
use mission::terms::Terms;
use mission::time::Millis;
use mission::turn::{Answer, Intent, Outcome, Role, Usage};
use std::collections::BTreeMap;

/// The host says which model it asks, and how much that may write.
fn limited(story: &mut Story, turn: &str, model: &str, output: Option<u64>) {
    let (epoch, model) = (story.epoch(turn), model.to_owned());
    story.tell(Input::ModelNamed {
        epoch,
        model,
        output,
    });
}

fn reserved(story: &Story, turn: &str) -> u64 {
    story.mission.lease(story.epoch(turn)).unwrap().reserved
}

/// A mission of one Worker without reviews, in which nobody is asked what its plan is worth.
fn unreviewed(tokens: u64) -> Terms {
    Terms {
        tokens,
        workers: 1,
        review_rounds: 0,
        ask_above: Some(u64::MAX),
        task_tokens: Some(tokens),
        ..Terms::default()
    }
}

#[test]
fn a_turn_reserves_the_least_of_what_it_may_write_what_is_common_and_its_share() {
    let small = 200 * 300;
    for (tokens, output, expected) in [
        (5_000_000, None, limits::RESERVE_WORK),
        (5_000_000, Some(0), limits::RESERVE_WORK),
        (5_000_000, Some(8_192), limits::RESERVE_WORK),
        (5_000_000, Some(u64::MAX), limits::RESERVE_WORK),
        (5_000_000, Some(300), small),
        (1_000_000, Some(1_500), 250_000),
        (1_000_000, Some(300), small),
        (100_000, Some(300), 25_000),
    ] {
        let plan = vec![task("a", &[]), task("b", &[])];
        let mut story = Story::planned(unreviewed(tokens), plan);
        let unknown = limits::RESERVE_WORK.min(tokens / 4);
        assert_eq!(reserved(&story, "T1.1"), unknown, "nobody has told of it");
        limited(&mut story, "T1.1", "acme/large", output);
        assert_eq!(reserved(&story, "T1.1"), unknown, "what it has stays");
        land_unreviewed(&mut story, "T1.1");
        let told = format!("{output:?} of {tokens}");
        assert_eq!(reserved(&story, "T2.1"), expected, "{told}");
        // What it reads counts as well.
        let epoch = story.epoch("T2.1");
        let usage = used(expected + 1);
        story.tell(Input::TurnUsed { epoch, usage });
        let lent = expected + limits::RESERVE_STEP;
        assert_eq!(reserved(&story, "T2.1"), lent, "{told}");
    }
}

#[test]
fn a_short_turn_reserves_what_it_may_write_in_its_own_steps() {
    let mut story = Story::open(Terms::default());
    story.prepare(Vec::new());
    // The Commander's model is told with the Commander's turn, and the Planner's with its own.
    limited(&mut story, "intent.1", "acme/large", Some(300));
    let goal = "all of it".into();
    story.answer("intent.1", Answer::Intent(Intent::Plan { goal }));
    assert_eq!(reserved(&story, "plan.1"), limits::RESERVE_SHORT);
    limited(&mut story, "plan.1", "acme/large", Some(300));
    let plan = Draft { tasks: Vec::new() };
    story.answer("plan.1", Answer::Plan(plan));
    assert_eq!(reserved(&story, "plan.2"), 60 * 300);
}

#[test]
fn with_a_model_that_writes_little_more_turns_run_beside_each_other_in_a_small_budget() {
    let terms = Terms {
        workers: 8,
        ..unreviewed(1_000_000)
    };
    let plan = ["a", "b", "c", "d", "e", "f"].map(|key| task(key, &[]));
    let mut story = Story::planned(terms, plan.to_vec());
    let common = ["turn T1.1 #3", "turn T2.1 #4", "turn T3.1 #5"];
    assert_eq!(story.due(), common, "each holds a quarter");
    limited(&mut story, "T1.1", "acme/large", Some(500));
    let more = ["turn T4.1 #6", "turn T5.1 #7"];
    assert_eq!(
        story.due(),
        [&common[..], &more].concat(),
        "each of these holds a tenth"
    );
}

#[test]
fn whatever_stands_in_for_a_model_has_a_limit_of_its_own() {
    let terms = Terms {
        fallbacks: BTreeMap::from([(Role::Worker, vec!["other/small".to_owned()])]),
        ..unreviewed(5_000_000)
    };
    let plan = ["a", "b", "c"].map(|key| task(key, &[]));
    let mut story = Story::planned(terms, plan.to_vec());
    limited(&mut story, "T1.1", "acme/large", Some(300));
    let refused = Outcome::Refused {
        retry_after: Some(Millis::from_mins(10)),
        why: "429".into(),
        usage: Usage::NOTHING,
        outage: false,
    };
    story.end("T1.1", refused, None);
    // The next one is asked of the other model, of which nothing is known yet.
    assert_eq!(reserved(&story, "T2.1"), limits::RESERVE_WORK);
    limited(&mut story, "T2.1", "other/small", Some(1_000));
    assert_eq!(story.count("model_named"), 1, "it was chosen here");
    assert_eq!(story.count("model_limited"), 2);
    land_unreviewed(&mut story, "T2.1");
    assert_eq!(reserved(&story, "T3.1"), 200 * 1_000);
    // Its own serves again.
    story.wait(Millis::from_mins(11));
    land_unreviewed(&mut story, "T3.1");
    assert_eq!(reserved(&story, "T1.1"), 200 * 300);
}

#[test]
fn what_is_held_for_a_review_is_enough_for_each_model_that_it_may_be_asked_of() {
    let terms = Terms {
        fallbacks: BTreeMap::from([(Role::Reviewer, vec!["other/small".to_owned()])]),
        workers: 1,
        ..Terms::default()
    };
    let mut story = Story::planned(terms, vec![task("a", &[]), task("b", &[])]);
    let held = |story: &Story| story.mission.held_for_reviews().0;
    assert_eq!(held(&story), limits::RESERVE_SHORT);
    story.hand_in("T1.1");
    story.gates(|_, _| false);
    limited(&mut story, "T1.1/review.1", "acme/large", Some(300));
    story.review("T1.1/review.1", true);
    assert_eq!(reserved(&story, "T2.1"), limits::RESERVE_WORK);
    assert_eq!(
        held(&story),
        limits::RESERVE_SHORT,
        "it may have to be another"
    );
    // Whoever is asked of that one tells how much it writes.
    limited(&mut story, "T2.1", "other/small", Some(1_000));
    assert_eq!(held(&story), 60 * 1_000);
    story.hand_in("T2.1");
    story.gates(|_, _| false);
    assert_eq!(reserved(&story, "T2.1/review.1"), 60 * 300);
}

#[test]
fn how_much_a_model_writes_is_recorded_when_it_is_news_and_of_so_many_models() {
    let mut story = Story::planned(unreviewed(5_000_000), vec![task("a", &[])]);
    let mut told = |model: &str, output| {
        limited(&mut story, "T1.1", model, output);
        story.count("model_limited")
    };
    assert_eq!(told("acme/large", None), 0);
    assert_eq!(told("acme/large", Some(0)), 0);
    assert_eq!(told("acme/large", Some(300)), 1);
    assert_eq!(told("acme/large", Some(300)), 1, "it is known");
    assert_eq!(told("acme/large", None), 1, "nobody takes it back");
    assert_eq!(told("acme/large", Some(400)), 2, "it was set otherwise");
    for n in 0..limits::MODELS {
        told(&format!("odd/{n}"), Some(300));
    }
    assert_eq!(told("acme/large", Some(500)), limits::MODELS + 2);
}
