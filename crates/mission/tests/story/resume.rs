//! What goes on after a seal, and from where.

use crate::teller::{Story, task};
use mission::input::{Input, Reply};
use mission::mission::State;
use mission::plan::Draft;
use mission::question::QuestionId;
use mission::seal::Outcome;
use mission::terms::Terms;
use mission::turn::{Answer, Report};

pub(crate) fn resume(replan: bool) -> Input {
    Input::Resume {
        by: "me".into(),
        more_tokens: 0,
        more_money: 0,
        replan,
    }
}

fn cancel() -> Input {
    Input::Cancel { by: "me".into() }
}

#[test]
fn what_an_earlier_plan_left_is_not_gated_or_landed_while_a_new_plan_is_written() {
    let mut story = Story::planned(Terms::default(), vec![task("a", &[]), task("b", &[])]);
    story.hand_in("T1.1");
    story.gates(|_, _| false);
    story.review("T1.1/review.1", true);
    story.hand_in("T2.1");
    story.tell(Input::Cancel { by: "me".into() });
    story.tell(resume(true));
    assert_eq!(story.due(), ["turn plan.2 #9"]);
    story.answer(
        "plan.2",
        Answer::Plan(Draft {
            tasks: vec![task("c", &[])],
        }),
    );
    story.carry("T3.1");
    assert_eq!(story.mission.outcome(), Some(Outcome::Completed));
}

fn disputed() -> Story {
    let terms = Terms {
        review_rounds: 1,
        ..Terms::default()
    };
    let mut story = Story::planned(terms, vec![task("a", &[])]);
    story.hand_in("T1.1");
    story.gates(|_, _| false);
    story.review("T1.1/review.1", false);
    story
}

fn answer(text: &str) -> Input {
    Input::Answer {
        id: QuestionId(1),
        text: text.into(),
        by: "me".into(),
    }
}

#[test]
fn an_attempt_that_was_left_disputed_is_not_worked_again_but_built_upon() {
    let mut story = disputed();
    story.tell(answer("leave"));
    assert_eq!(story.mission.outcome(), Some(Outcome::Disputed));
    assert_eq!(story.tell(resume(false)), Reply::Done);
    assert_eq!(story.worked(), ["T1.1", "T1.2"]);
    let (_, lease) = story.mission.leases().next().unwrap();
    assert_eq!(lease.from, Some(crate::teller::commit("T1.1")));
}

#[test]
fn an_attempt_whose_dispute_was_cut_short_is_judged_again() {
    let mut story = disputed();
    story.tell(cancel());
    story.tell(resume(false));
    assert_eq!(story.worked(), ["T1.1"]);
    story.review("T1.1/review.2", true);
    story.land();
    assert_eq!(story.mission.outcome(), Some(Outcome::Completed));
}

#[test]
fn an_attempt_that_was_blocked_when_the_mission_ended_is_followed_by_another() {
    let mut story = Story::planned(Terms::default(), vec![task("a", &[])]);
    story.answer(
        "T1.1",
        Answer::Report(Report::Blocked {
            why: "no key".into(),
        }),
    );
    story.tell(cancel());
    story.tell(resume(false));
    assert_eq!(story.worked(), ["T1.1", "T1.2"]);
}

#[test]
fn a_plan_that_was_never_approved_is_asked_about_again() {
    let terms = Terms {
        approve: true,
        ..Terms::default()
    };
    let mut story = Story::planned(terms, vec![task("a", &[])]);
    story.tell(answer("no"));
    assert_eq!(story.mission.outcome(), Some(Outcome::Cancelled));
    story.tell(resume(false));
    assert_eq!(story.worked(), [""; 0]);
    assert_eq!(story.count("asked"), 2);
    assert!(matches!(
        story.mission.phase(),
        mission::mission::Phase::Approving
    ));
}

#[test]
fn a_landed_result_that_is_red_by_now_is_worked_anew() {
    let mut story = Story::planned(Terms::default(), vec![task("a", &[]), task("b", &[])]);
    story.carry("T1.1");
    story.hand_in("T2.1");
    story.gates(|_, _| false);
    story.review("T2.1/review.1", true);
    story.stack();
    // Landing the second task breaks the first, which only the seal's gates see.
    story.gates(|_, _| false);
    story.move_line();
    story.gates(|line, _| line == "check a");
    assert_eq!(story.mission.outcome(), Some(Outcome::Partial));
    story.tell(resume(true));
    story.answer(
        "plan.2",
        Answer::Plan(Draft {
            tasks: vec![task("a", &[]), task("b", &[])],
        }),
    );
    assert_eq!(story.worked(), ["T1.1", "T2.1", "T3.1"]);
    assert_eq!(story.count("reused"), 1);
    assert_eq!(story.state(4), &State::Landed);
}

#[test]
fn what_was_red_on_the_whole_is_run_again_when_somebody_goes_on() {
    let mut story = Story::planned(Terms::default(), vec![task("a", &[]), task("b", &[])]);
    story.carry("T1.1");
    story.hand_in("T2.1");
    story.gates(|_, _| false);
    story.review("T2.1/review.1", true);
    story.land();
    assert_eq!(story.mission.outcome(), None);
    story.gates(|line, _| line == "check a");
    assert_eq!(story.mission.outcome(), Some(Outcome::Partial));
    story.tell(resume(false));
    story.gates(|_, _| false);
    assert_eq!(story.mission.outcome(), Some(Outcome::Completed));
    assert_eq!(story.worked(), ["T1.1", "T2.1"], "nothing is done again");
}
