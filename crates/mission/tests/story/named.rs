//! Waits of hours that a provider names: they are waited for, unless somebody lets the mission go on or its time is over
//! before.

use crate::governor::{hand_in, open, refused, running};
use crate::teller::Story;
use mission::event::Event;
use mission::input::Input;
use mission::limits;
use mission::seal::Outcome;
use mission::terms::Terms;
use mission::time::{Millis, Timestamp};

const HOUR: u64 = 60 * 60;

/// A mission of four hours with one Worker and so many tasks that need nothing.
fn story(tasks: u32) -> Story {
    let terms = Terms {
        workers: 1,
        review_rounds: 0,
        ..Terms::default()
    };
    open(terms, tasks)
}

fn until(story: &Story) -> Timestamp {
    let mut held = story.mission.held_providers();
    held.next().expect("its provider is held").1.until
}

fn begun(story: &Story) -> usize {
    story.count("turn_started")
}

#[test]
fn what_is_named_in_hours_is_waited_for_and_nobody_asks_before() {
    let mut story = story(1);
    story.end("T1.1", refused(3 * HOUR), None);
    let (before, until) = (begun(&story), until(&story));
    assert!(until.since(story.now) >= Millis::from_secs(3 * HOUR));
    while story.now + Millis::from_mins(1) < until {
        story.wait(Millis::from_mins(1));
        assert_eq!(begun(&story), before, "{}", until.since(story.now));
    }
    story.wait(until.since(story.now));
    assert_eq!(running(&story), ["T1.1"], "the same attempt goes on");
    assert_eq!(story.mission.outcome(), None);
}

#[test]
fn whoever_lets_a_mission_go_on_has_asked_at_once_what_is_held_for_hours() {
    let paused = |story: &mut Story| {
        story.tell(Input::Pause { by: "me".into() });
        story.wait(Millis::from_secs(1));
        story.tell(Input::Resume {
            by: "me".into(),
            more_tokens: 0,
            more_money: 0,
            replan: false,
        });
    };
    let woken = |story: &mut Story| {
        let seen = Some(story.now);
        story.now = story.now + Millis::from_secs(30);
        story.tell(Input::Woke { seen });
    };
    for let_go_on in [paused as fn(&mut Story), woken] {
        let mut story = story(1);
        story.end("T1.1", refused(3 * HOUR), None);
        assert_eq!(running(&story), [""; 0]);
        let_go_on(&mut story);
        assert_eq!(running(&story), ["T1.1"], "one turn tries it");
        // What it is told then is believed.
        story.end("T1.1", refused(2 * HOUR), None);
        let before = begun(&story);
        story.wait(Millis::from_secs(2 * HOUR - 1));
        assert_eq!(begun(&story), before);
        // A wait of minutes is not worth asking about.
        let held = until(&story);
        story.wait(held.since(story.now));
        // Whoever was refused that often lets others try first.
        story.wait(Millis(
            limits::REFUSED_STEP.0 * u64::from(limits::REFUSED_STEPS),
        ));
        story.end("T1.1", refused(500), None);
        let_go_on(&mut story);
        assert_eq!(running(&story), [""; 0]);
    }
}

#[test]
fn a_mission_whose_provider_serves_again_after_its_end_says_so_and_ends_with_what_it_has() {
    let mut story = story(2);
    hand_in(&mut story, "T1.1");
    story.land();
    story.end("T2.1", refused(5 * HOUR), None);
    assert_eq!(story.mission.outcome(), Some(Outcome::Partial));
    let Some(Event::Halted { why }) = story
        .told
        .iter()
        .map(|recorded| &recorded.event)
        .find(|event| matches!(event, Event::Halted { .. }))
    else {
        panic!("{:?}", story.told.last());
    };
    for part in [
        "its time is over in 4",
        "acme may be asked again in 5",
        "resume",
    ] {
        assert!(why.contains(part), "{part}: {why}");
    }
    story.tell(Input::Resume {
        by: "me".into(),
        more_tokens: 0,
        more_money: 0,
        replan: false,
    });
    assert_eq!(running(&story), ["T2.1"], "it is asked once");
}

#[test]
fn whatever_else_can_still_be_done_is_done_before_such_an_end() {
    let terms = Terms {
        workers: 2,
        review_rounds: 0,
        ..Terms::default()
    };
    let mut story = open(terms, 2);
    story.end("T1.1", refused(5 * HOUR), None);
    assert_eq!(running(&story), ["T2.1"], "whoever is at work stays");
    hand_in(&mut story, "T2.1");
    story.land();
    assert_eq!(story.mission.outcome(), Some(Outcome::Partial));
    assert_eq!(story.count("landed"), 1);
}
