//! A person pauses a mission, lets it go on, and tells its agents something more.

use crate::teller::{Story, task};
use mission::ids::{Epoch, TaskId};
use mission::input::{Input, Refusal, Reply};
use mission::limits;
use mission::mission::State;
use mission::seal::Outcome;
use mission::terms::Terms;
use mission::time::Millis;

fn me() -> String {
    "me".to_owned()
}

fn pause() -> Input {
    Input::Pause { by: me() }
}

fn resume() -> Input {
    Input::Resume {
        by: me(),
        more_tokens: 0,
        more_money: 0,
        replan: false,
    }
}

fn steer(task: Option<u32>, text: &str) -> Input {
    Input::Steer {
        task: task.map(TaskId),
        text: text.to_owned(),
        by: me(),
    }
}

/// Two tasks, of which the second waits for the first, in a mission that is paused while the first is worked on.
fn paused() -> Story {
    let mut story = Story::planned(Terms::default(), vec![task("a", &[]), task("b", &["a"])]);
    assert_eq!(story.tell(pause()), Reply::Done);
    story
}

#[test]
fn what_runs_in_a_pause_is_checked_and_lands_and_no_turn_begins() {
    let terms = Terms {
        review_rounds: 0,
        ..Terms::default()
    };
    let mut story = Story::planned(terms, vec![task("a", &[]), task("b", &["a"])]);
    story.tell(pause());
    story.hand_in("T1.1");
    story.gates(|_, _| false);
    story.land();
    story.gates(|_, _| false);
    assert_eq!(story.state(1), &State::Landed);
    assert_eq!(story.state(2), &State::Ready);
    assert_eq!(story.worked(), ["T1.1"]);
    assert_eq!(story.due(), [""; 0], "nothing goes on by itself");
    assert_eq!(story.tell(resume()), Reply::Done);
    assert_eq!(story.worked(), ["T1.1", "T2.1"]);
}

#[test]
fn a_review_waits_for_the_end_of_the_pause() {
    let mut story = paused();
    story.hand_in("T1.1");
    story.gates(|_, _| false);
    assert_eq!(story.due(), [""; 0]);
    story.tell(resume());
    story.review("T1.1/review.1", true);
}

#[test]
fn a_second_pause_or_resume_is_the_first_and_one_that_wants_more_is_refused() {
    let mut story = paused();
    assert_eq!(story.tell(pause()), Reply::Done);
    assert_eq!(story.count("paused"), 1);
    story.tell(resume());
    let n_events = story.mission.n_events();
    assert_eq!(story.tell(resume()), Reply::Done);
    for (more_tokens, more_money, replan) in [(1, 0, false), (0, 1, false), (0, 0, true)] {
        let more = Input::Resume {
            by: me(),
            more_tokens,
            more_money,
            replan,
        };
        assert_eq!(story.tell(more), Reply::Refused(Refusal::Running));
    }
    assert_eq!(story.mission.n_events(), n_events);
}

#[test]
fn a_pause_takes_nothing_of_the_missions_time() {
    let mut story = paused();
    let ran = story.mission.duration();
    story.wait(Millis::from_mins(60));
    assert_eq!(story.mission.running_for(story.now), ran);
    story.tell(resume());
    assert_eq!(
        story.mission.deadline().since(story.now),
        Terms::default().mission
    );
    assert_eq!(story.mission.duration(), ran);
}

#[test]
fn what_fanning_out_came_to_counts_no_time_in_which_nothing_went_on() {
    let terms = Terms {
        review_rounds: 0,
        ..Terms::default()
    };
    let mut story = Story::planned(terms, vec![task("a", &[]), task("b", &["a"])]);
    let lands = |story: &mut Story, attempt: &str| {
        story.hand_in(attempt);
        story.gates(|_, _| false);
        story.land();
        story.gates(|_, _| false);
    };
    let worked = Millis::from_mins(10);
    story.wait(worked);
    story.tell(pause());
    lands(&mut story, "T1.1");
    story.wait(Millis::from_mins(120));
    story.tell(resume());
    let seen = Some(story.now);
    story.now = story.now + Millis::from_mins(600);
    story.tell(Input::Woke { seen });
    story.wait(worked);
    lands(&mut story, "T2.1");
    let (path, took) = story.mission.actual_path().unwrap();
    assert_eq!(path, [TaskId(1), TaskId(2)]);
    assert_eq!(took, worked + worked);
    assert_eq!(story.mission.gain(), Some(10), "one after the other");
}

#[test]
fn a_pause_that_nobody_ends_ends_the_mission_and_a_resume_goes_on() {
    let mut story = paused();
    story.hand_in("T1.1");
    story.gates(|_, _| false);
    story.wait(limits::PAUSE);
    assert_eq!(story.mission.outcome(), Some(Outcome::Failed));
    let why = &story.mission.reasons()[0];
    assert!(why.starts_with("it was paused"), "{why}");
    assert_eq!(story.tell(resume()), Reply::Done);
    assert_eq!(story.mission.pause(), None);
    story.review("T1.1/review.1", true);
}

#[test]
fn a_paused_mission_takes_no_other_terms_and_can_be_cancelled() {
    let mut story = paused();
    let other = Input::Resume {
        by: me(),
        more_tokens: 1,
        more_money: 0,
        replan: false,
    };
    assert_eq!(story.tell(other), Reply::Refused(Refusal::Paused));
    story.tell(Input::Cancel { by: me() });
    assert_eq!(story.mission.outcome(), Some(Outcome::Cancelled));
    assert_eq!(story.mission.pause(), None);
    let over = Reply::Refused(Refusal::Over(Outcome::Cancelled));
    assert_eq!(story.tell(pause()), over);
}

#[test]
fn what_is_said_to_one_task_is_for_that_task_alone() {
    let mut story = Story::planned(Terms::default(), vec![task("a", &[]), task("b", &[])]);
    assert_eq!(story.tell(steer(None, " to all ")), Reply::Done);
    assert_eq!(story.mission.unaware(), 2);
    assert_eq!(story.tell(steer(Some(2), "to the second")), Reply::Done);
    let of = |id| -> Vec<_> { story.mission.said_of(TaskId(id)).collect() };
    assert_eq!(of(1), ["to all"]);
    assert_eq!(of(2), ["to all", "to the second"]);
    assert_eq!(story.mission.unaware(), 1, "the other one need not know");
}

#[test]
fn a_turn_that_runs_is_told_once_and_then_knows() {
    let mut story = Story::planned(Terms::default(), vec![task("a", &[]), task("b", &[])]);
    story.tell(steer(Some(2), "to the second"));
    story.tell(steer(None, "to all"));
    let epochs: Vec<_> = story.mission.leases().map(|(epoch, _)| epoch).collect();
    let n_events = story.mission.n_events();
    let told = |epoch, n| Input::TurnTold { epoch, n };
    story.tell(told(epochs[0], 2));
    assert_eq!(story.mission.unaware(), 1);
    story.tell(told(epochs[1], 1));
    assert_eq!(story.mission.unaware(), 1, "it knows only the first");
    story.tell(told(epochs[1], 2));
    assert_eq!(story.mission.unaware(), 0);
    let told_thrice = story.mission.n_events();
    assert_eq!(told_thrice, n_events + 3);
    // Late, doubled, or of something that nobody said.
    for (epoch, n) in [
        (epochs[0], 2),
        (epochs[1], 1),
        (epochs[0], 3),
        (Epoch(99), 2),
    ] {
        story.tell(told(epoch, n));
    }
    assert_eq!(story.mission.n_events(), told_thrice);
    story.tell(steer(None, "more"));
    assert_eq!(story.mission.unaware(), 2);
}

#[test]
fn what_cannot_be_said_is_refused_with_the_reason() {
    let mut story = Story::planned(Terms::default(), vec![task("a", &[])]);
    let refused = |story: &mut Story, input| match story.tell(input) {
        Reply::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    };
    let long = "x".repeat(limits::SAID_BYTES + 1);
    assert_eq!(refused(&mut story, steer(None, " ")), Refusal::NothingSaid);
    let too_much = Refusal::TooMuchSaid(limits::SAID_BYTES);
    assert_eq!(refused(&mut story, steer(None, &long)), too_much);
    let nobody = Refusal::NoTask(TaskId(7));
    assert_eq!(refused(&mut story, steer(Some(7), "x")), nobody);
    for n in 0..limits::SAID {
        let text = format!("x{n}");
        // Whoever says it again did not hear that it was taken.
        assert_eq!(story.tell(steer(None, &text)), Reply::Done);
        assert_eq!(story.tell(steer(None, &text)), Reply::Done);
        assert_eq!(story.count("steered"), n + 1);
    }
    let enough = Refusal::SaidEnough(limits::SAID);
    assert_eq!(refused(&mut story, steer(None, "x")), enough);
    story.carry("T1.1");
    let over = Refusal::Over(Outcome::Completed);
    assert_eq!(refused(&mut story, steer(None, "x")), over);
}

#[test]
fn no_question_is_closed_in_a_pause_and_its_time_goes_on_afterwards() {
    let terms = Terms {
        approve: true,
        ..Terms::default()
    };
    let mut story = Story::planned(terms, vec![task("a", &[])]);
    let open = |story: &Story| story.mission.questions().count();
    story.wait(Millis::from_mins(20));
    assert_eq!(open(&story), 1, "the plan is asked for");
    story.tell(pause());
    // The program does not run for an hour of it.
    story.wait(Millis::from_mins(60));
    story.now = story.now + Millis::from_mins(60);
    story.tell(Input::Woke { seen: None });
    story.wait(Millis::from_mins(60));
    assert_eq!((open(&story), story.mission.outcome()), (1, None));
    story.tell(resume());
    story.wait(Millis::from_mins(39));
    assert_eq!(open(&story), 1);
    story.wait(Millis::from_mins(2));
    assert_eq!(open(&story), 0, "an hour of it has passed");
    assert_eq!(story.mission.outcome(), Some(Outcome::Cancelled));
}
