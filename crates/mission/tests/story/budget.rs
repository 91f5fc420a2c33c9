//! The token budget.

use crate::teller::{Story, task, used};
use mission::input::Input;
use mission::mission::State;
use mission::seal::Outcome;
use mission::terms::Terms;
use mission::turn::{Answer, Verdict};

fn two(tokens: u64) -> Story {
    let terms = Terms {
        tokens,
        ..Terms::default()
    };
    Story::planned(terms, vec![task("a", &[]), task("b", &[])])
}

#[test]
fn two_turns_are_never_lent_the_same_tokens() {
    // 2,000 are spent, each Worker has reserved 250,000, and 498,000 are free.
    let mut story = two(1_000_000);
    let (a, b) = (story.epoch("T1.1"), story.epoch("T2.1"));
    story.tell(Input::TurnUsed {
        epoch: a,
        tokens: 600_000,
    });
    assert_eq!(story.mission.budget().reserved, 850_000);
    story.tell(Input::TurnUsed {
        epoch: b,
        tokens: 600_000,
    });
    assert_eq!(story.due(), ["turn T1.1 #3"]);
    assert_eq!(story.mission.budget().spent, 602_000);
}

#[test]
fn a_task_that_goes_past_the_budget_again_and_again_fails() {
    let terms = Terms {
        attempts: 1,
        ..Terms::default()
    };
    let mut story = Story::planned(terms, vec![task("a", &[])]);
    let epoch = story.epoch("T1.1");
    story.tell(Input::TurnUsed {
        epoch,
        tokens: 5_000_000,
    });
    assert!(matches!(story.state(1), State::Failed { .. }));
}

#[test]
fn what_was_paid_for_lands_before_a_spent_budget_ends_the_mission() {
    let mut story = two(1_000_000);
    story.hand_in("T1.1");
    story.gates(|_, _| false);
    let epoch = story.epoch("T1.1/review.1");
    let answer = Answer::Verdict(Verdict {
        accept: true,
        findings: Vec::new(),
    });
    let outcome = mission::turn::Outcome::Answered {
        answer,
        usage: used(500_000),
    };
    story.tell(Input::TurnReplied {
        epoch,
        outcome,
        work: None,
    });
    let outcome = mission::turn::Outcome::Failed {
        failure: mission::turn::Failure::NoAnswer,
        why: "it said nothing".into(),
        usage: used(490_000),
    };
    story.end("T2.1", outcome, None);
    story.wait(mission::time::Millis::from_mins(1));
    story.land();
    assert_eq!(story.mission.outcome(), Some(Outcome::Partial));
    assert_eq!(story.mission.landed(), 1);
}
