//! How the result is handed over, and taken back.

use crate::teller::{Story, task};
use mission::command::Command;
use mission::command::Step;
use mission::ids::Digest;
use mission::input::{Input, Refusal, Reply};
use mission::limits;
use mission::mission::Delivery;
use mission::seal::Outcome;
use mission::terms::{Deliver, Terms};
use mission::time::Millis;

/// Just not the time of a step.
const JUST: Millis = Millis(limits::STEP.0 - 1);

fn completed() -> Story {
    let mut story = Story::planned(Terms::default(), vec![task("a", &[])]);
    story.carry("T1.1");
    assert_eq!(story.mission.outcome(), Some(Outcome::Completed));
    story
}

fn plan(n: u32) -> Input {
    Input::DeliveryPlanned {
        n,
        plan: Digest::of(b"files"),
        files: 1,
    }
}

fn delivered(n: u32) -> Input {
    Input::Delivered {
        n,
        place: "here".into(),
        files: 1,
    }
}

#[test]
fn a_late_reply_of_an_earlier_delivery_means_nothing() {
    let mut story = completed();
    for input in [plan(1), delivered(1), Input::Undo { by: "me".into() }] {
        assert_eq!(story.tell(input), Reply::Done);
    }
    assert_eq!(
        story.tell(Input::Undone {
            n: 1,
            left: Vec::new()
        }),
        Reply::Done
    );
    assert_eq!(
        story.tell(Input::Deliver {
            form: Deliver::Branch
        }),
        Reply::Done
    );
    assert_eq!(story.due(), ["plan delivery 2"]);
    let why = "late".to_owned();
    for late in [
        plan(1),
        delivered(1),
        Input::StepFailed {
            step: Step::Deliver,
            n: 1,
            why,
        },
    ] {
        assert_eq!(story.tell(late), Reply::Stale);
    }
    assert_eq!(story.tell(plan(2)), Reply::Done);
    assert_eq!(story.tell(delivered(1)), Reply::Stale);
    assert_eq!(story.tell(delivered(2)), Reply::Done);
    assert_eq!(
        story.mission.delivery(),
        &Delivery::Done {
            form: Deliver::Branch
        }
    );
}

#[test]
fn a_mission_does_not_go_on_while_the_users_files_are_being_written() {
    let mut story = completed();
    let resume = Input::Resume {
        by: "me".into(),
        more_tokens: 0,
        more_money: 0,
        replan: true,
    };
    for input in [plan(1), delivered(1)] {
        assert!(matches!(
            story.tell(resume.clone()),
            Reply::Refused(Refusal::Delivery(_))
        ));
        assert_eq!(story.tell(input), Reply::Done);
    }
    assert_eq!(story.tell(resume), Reply::Done);
}

#[test]
fn what_was_delivered_can_be_taken_back_and_more_be_delivered_after_a_resume() {
    let mut story = Story::planned(Terms::default(), vec![task("a", &[]), task("b", &["a"])]);
    story.carry("T1.1");
    story.tell(Input::Cancel { by: "me".into() });
    let again = || Input::Deliver {
        form: Deliver::Worktree,
    };
    for input in [again(), plan(1), delivered(1)] {
        assert_eq!(story.tell(input), Reply::Done);
    }
    assert!(matches!(
        story.tell(again()),
        Reply::Refused(Refusal::Delivery(_))
    ));
    story.tell(Input::Resume {
        by: "me".into(),
        more_tokens: 0,
        more_money: 0,
        replan: false,
    });
    assert_eq!(
        story.tell(Input::Undo { by: "me".into() }),
        Reply::Refused(Refusal::Running)
    );
    story.carry("T2.1");
    assert_eq!(story.due(), ["plan delivery 2"]);
    assert_eq!(story.tell(plan(2)), Reply::Done);
}

#[test]
fn a_delivery_that_could_not_be_taken_back_stands_and_can_be_taken_back_later() {
    let mut story = completed();
    let undo = || Input::Undo { by: "me".into() };
    for input in [plan(1), delivered(1), undo()] {
        assert_eq!(story.tell(input), Reply::Done);
    }
    let (step, why) = (Step::Undo, "the disk is full".to_owned());
    assert_eq!(
        story.tell(Input::StepFailed { step, n: 1, why }),
        Reply::Done
    );
    let form = Deliver::Worktree;
    assert_eq!(story.mission.delivery(), &Delivery::Done { form });
    assert_eq!(story.tell(undo()), Reply::Done);
    // What is told twice of the try before says nothing of this one.
    let (step, why) = (Step::Undo, "the disk is full".to_owned());
    let again = Input::StepFailed { step, n: 1, why };
    assert_eq!(story.tell(again), Reply::Stale);
    let left = Vec::new();
    assert_eq!(story.tell(Input::Undone { n: 2, left }), Reply::Done);
    assert_eq!(story.mission.delivery(), &Delivery::Undone);
}

/// Half of a mission is delivered, the mission goes on, and the rest is to be delivered.
fn delivered_twice(second: Input) -> Story {
    let mut story = Story::planned(Terms::default(), vec![task("a", &[]), task("b", &["a"])]);
    story.carry("T1.1");
    story.tell(Input::Cancel { by: "me".into() });
    let form = Deliver::Worktree;
    for input in [Input::Deliver { form }, plan(1), delivered(1)] {
        assert_eq!(story.tell(input), Reply::Done);
    }
    story.tell(Input::Resume {
        by: "me".into(),
        more_tokens: 0,
        more_money: 0,
        replan: false,
    });
    story.carry("T2.1");
    assert_eq!(story.tell(plan(2)), Reply::Done);
    assert_eq!(story.tell(second), Reply::Done);
    story
}

#[test]
fn a_refused_delivery_does_not_hide_the_one_before_it() {
    let (why, hint) = ("you changed a file".to_owned(), String::new());
    let mut story = delivered_twice(Input::DeliveryRefused { n: 2, why, hint });
    assert_eq!(story.mission.delivery(), &Delivery::Refused);
    let undo = Input::Undo { by: "me".into() };
    assert_eq!(story.tell(undo), Reply::Done);
    assert!(
        story.due().contains(&"undo 1".to_owned()),
        "{:?}",
        story.due()
    );
}

#[test]
fn deliveries_are_taken_back_one_by_one_the_last_first() {
    let mut story = delivered_twice(delivered(2));
    for (n, delivery) in [(1, 2), (2, 1)] {
        let undo = Input::Undo { by: "me".into() };
        assert_eq!(story.tell(undo), Reply::Done);
        let due = story.mission.due();
        assert!(due.contains(&Command::Undo { n, delivery }), "{due:?}");
        let left = Vec::new();
        assert_eq!(story.tell(Input::Undone { n, left }), Reply::Done);
    }
    let undo = Input::Undo { by: "me".into() };
    assert!(matches!(
        story.tell(undo),
        Reply::Refused(Refusal::Delivery(_))
    ));
}

#[test]
fn a_delivery_that_broke_off_is_taken_back_and_can_be_taken_back_later() {
    let mut story = completed();
    assert_eq!(story.tell(plan(1)), Reply::Done);
    let given_up = |step| Input::StepFailed {
        step,
        n: 1,
        why: "the disk is full".to_owned(),
    };
    assert_eq!(story.tell(given_up(Step::Deliver)), Reply::Done);
    assert_eq!(story.due(), ["undo 1"]);
    assert_eq!(story.tell(given_up(Step::Undo)), Reply::Done);
    let undo = Input::Undo { by: "me".into() };
    assert_eq!(story.tell(undo), Reply::Done);
    assert_eq!(story.due(), ["undo 2"]);
    let left = Vec::new();
    assert_eq!(story.tell(Input::Undone { n: 2, left }), Reply::Done);
    assert_eq!(story.mission.delivery(), &Delivery::Undone);
    // One that was only to be planned has written nothing.
    let form = Deliver::Worktree;
    assert_eq!(story.tell(Input::Deliver { form }), Reply::Done);
    let why = "no".to_owned();
    let step = Step::PlanDelivery;
    assert_eq!(
        story.tell(Input::StepFailed { step, n: 2, why }),
        Reply::Done
    );
    assert_eq!(story.mission.delivery(), &Delivery::Refused);
}

#[test]
fn what_the_engine_does_itself_is_given_up_when_it_does_not_come_back() {
    let mut story = completed();
    story.wait(JUST);
    assert_eq!(story.due(), ["plan delivery 1"]);
    story.wait(Millis(1));
    assert_eq!(story.mission.delivery(), &Delivery::Refused);
    assert_eq!(story.due(), ["clean 1"]);
    story.wait(JUST);
    assert_eq!(story.due(), ["clean 1"]);
    story.wait(Millis(1));
    assert_eq!(story.due(), [""; 0]);
    assert_eq!(story.mission.next_wake(story.now), None);
    // One whose files may be half written is taken back, and that has its own time.
    let form = Deliver::Worktree;
    assert_eq!(story.tell(Input::Deliver { form }), Reply::Done);
    assert_eq!(story.tell(plan(2)), Reply::Done);
    assert!(!story.mission.broke_off());
    let whole = limits::STEP + limits::STEP_FILE;
    story.wait(limits::STEP);
    assert_eq!(story.due(), ["deliver 2"], "a file more takes longer");
    story.wait(limits::STEP_FILE);
    assert_eq!(story.due(), ["undo 1"]);
    story.wait(whole);
    assert_eq!(story.mission.delivery(), &Delivery::Done { form });
    assert!(story.mission.broke_off(), "it is told as what it is");
}

#[test]
fn a_step_has_its_whole_time_when_nobody_ran_the_mission() {
    let mut story = completed();
    let duration = story.mission.duration();
    story.now = story.now + Millis::from_mins(600);
    // Also where an engine ran it all the time and hung: whoever takes it up tries it first.
    let seen = Some(story.now - Millis::from_secs(10));
    story.tell(Input::Woke { seen });
    assert_eq!(story.due(), ["plan delivery 1"]);
    assert_eq!(story.mission.duration(), duration, "it was over by then");
    story.wait(JUST);
    assert_eq!(story.due(), ["plan delivery 1"]);
}
