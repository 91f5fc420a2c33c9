//! The project's set-up runs beside the first turns, and everything that needs it waits for it.

use crate::teller::{Story, project_gate, task};
use mission::command::{Command, Step};
use mission::event::Event;
use mission::ids::Digest;
use mission::input::{Input, Reply};
use mission::limits;
use mission::plan::Draft;
use mission::seal::Outcome;
use mission::terms::Terms;
use mission::time::Millis;
use mission::turn::{Answer, Intent};

fn owes_set_up(story: &Story) -> bool {
    story.mission.due().contains(&Command::SetUp)
}

fn found() -> Story {
    let mut story = Story::open(Terms::default());
    assert!(!owes_set_up(&story), "there is nothing to set up yet");
    story.find(vec![project_gate("test")]);
    assert!(owes_set_up(&story));
    story
}

#[test]
fn a_question_is_answered_while_the_set_up_still_runs_and_ends_it() {
    let mut story = found();
    assert_eq!(
        story.mission.leases().count(),
        0,
        "a quick set-up is waited for"
    );
    story.wait(limits::FIRST_LOOK);
    let text = "42".to_owned();
    story.answer("intent.1", Answer::Intent(Intent::Answer { text }));
    assert_eq!(story.mission.outcome(), Some(Outcome::Answered));
    assert!(!owes_set_up(&story), "nobody needs it any more");
    let late = Input::SetUp {
        environment: Digest::of(b"x"),
        notes: Vec::new(),
    };
    assert_eq!(story.tell(late), Reply::Stale);
}

#[test]
fn nothing_is_checked_and_nobody_works_before_the_set_up_is_over() {
    let mut story = found();
    story.wait(limits::FIRST_LOOK);
    let goal = "all of it".into();
    story.answer("intent.1", Answer::Intent(Intent::Plan { goal }));
    let tasks = vec![task("a", &[])];
    story.answer("plan.1", Answer::Plan(Draft { tasks }));
    story.wait(Millis::from_mins(10));
    assert_eq!(story.mission.leases().count(), 0);
    assert_eq!(story.mission.gate_leases().count(), 0);
    assert_eq!(story.mission.outcome(), None);
    let waits = story.mission.waits(story.now).into_iter();
    let who: Vec<String> = waits.map(|wait| wait.who).collect();
    assert_eq!(who, ["checks and Workers"]);
    story.set_up();
    assert_eq!(story.mission.leases().count(), 1, "a Worker starts");
    assert_eq!(
        story.mission.gate_leases().count(),
        1,
        "the base is checked"
    );
    assert!(!owes_set_up(&story));
}

#[test]
fn a_set_up_that_cannot_be_run_ends_the_mission_with_the_reason() {
    let mut story = found();
    story.tell(Input::StepFailed {
        step: Step::SetUp,
        n: 0,
        why: "the disk is full".into(),
    });
    assert_eq!(story.mission.outcome(), Some(Outcome::Failed));
    let reasons = story.told.iter().find_map(|event| match &event.event {
        Event::Sealed { reasons, .. } => Some(reasons.clone()),
        _ => None,
    });
    assert_eq!(reasons.unwrap(), ["the disk is full"]);
}

#[test]
fn a_mission_of_an_earlier_version_was_set_up_when_it_was_prepared() {
    let line = include_str!("../stored/format-1.jsonl").lines();
    let prepared = line
        .map(|line| mission::event::Recorded::decode(line.as_bytes()).unwrap())
        .find(|recorded| matches!(&recorded.event, Event::Prepared { .. }))
        .unwrap();
    let mut story = Story::open(Terms::default());
    story.mission.apply(story.now, &prepared.event);
    assert!(story.mission.base().is_some() && !owes_set_up(&story));
}
