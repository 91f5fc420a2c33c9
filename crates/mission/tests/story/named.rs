//! Waits of hours that a provider names: once they are named again they are waited for, unless somebody lets the mission go
//! on or its time is over before.

use crate::governor::{hand_in, models, open, refused, running};
use crate::teller::Story;
use mission::event::Event;
use mission::input::Input;
use mission::limits;
use mission::seal::Outcome;
use mission::terms::Terms;
use mission::time::{Millis, Timestamp};
use mission::turn::Role;
use std::collections::BTreeMap;

const HOUR: u64 = 60 * 60;

/// A mission of four hours with one Worker and so many tasks that need nothing.
fn story(tasks: u32) -> Story {
    open(terms(1), tasks)
}

fn terms(workers: u32) -> Terms {
    Terms {
        workers,
        review_rounds: 0,
        ..Terms::default()
    }
}

fn until(story: &Story) -> Timestamp {
    let mut held = story.mission.held_providers();
    held.next().expect("it is held").1.until
}

fn begun(story: &Story) -> usize {
    story.count("turn_started")
}

/// Waits until the one that runs alone is asked, and it is refused.
fn refused_again(story: &mut Story, secs: u64) {
    while running(story).is_empty() {
        let next = story.mission.next_wake(story.now).expect("it waits");
        story.wait(next.since(story.now));
    }
    let turn = running(story).remove(0);
    story.end(&turn, refused(secs), None);
}

fn resume(story: &mut Story) {
    story.tell(Input::Resume {
        by: "me".into(),
        more_tokens: 0,
        more_money: 0,
        replan: false,
    });
}

fn halted(story: &Story) -> &str {
    let mut events = story.told.iter().map(|recorded| &recorded.event);
    let why = events.find_map(|event| match event {
        Event::Halted { why } => Some(why),
        _ => None,
    });
    why.expect("it was ended")
}

#[test]
fn what_is_named_in_hours_is_asked_once_more_and_then_waited_for() {
    let mut story = story(1);
    story.end("T1.1", refused(3 * HOUR), None);
    let first = until(&story).since(story.now);
    assert!(
        first >= limits::REFUSAL_MOST && first <= limits::REFUSAL_MOST + limits::LATE_MOST,
        "{first}"
    );
    let held: Vec<&str> = story.mission.held_providers().map(|(of, _)| of).collect();
    assert_eq!(
        held,
        ["acme/large"],
        "other models have quotas of their own"
    );
    refused_again(&mut story, 3 * HOUR);
    let (before, until) = (begun(&story), until(&story));
    assert!(until.since(story.now) >= Millis::from_secs(3 * HOUR));
    while story.now + Millis::from_mins(1) < until {
        story.wait(Millis::from_mins(1));
        assert_eq!(begun(&story), before, "{}", until.since(story.now));
    }
    story.wait(until.since(story.now));
    assert_eq!(story.mission.outcome(), None);
    while running(&story).is_empty() {
        story.wait(limits::REFUSED_STEP);
    }
    assert_eq!(running(&story), ["T1.1"], "the same attempt goes on");
}

#[test]
fn a_turn_that_ran_before_tells_nothing_a_second_time() {
    let mut story = open(terms(2), 2);
    story.end("T1.1", refused(3 * HOUR), None);
    // The other one was begun before, and is refused once that wait is over.
    story.wait(limits::REFUSAL_MOST + limits::LATE_MOST);
    story.end("T2.1", refused(3 * HOUR), None);
    let held = until(&story).since(story.now);
    assert!(
        held <= limits::REFUSAL_MOST + limits::LATE_MOST,
        "hours are believed once whoever tries it is told them: {held}"
    );
}

#[test]
fn whoever_lets_a_mission_go_on_has_asked_at_once_what_is_held_for_hours() {
    let paused = |story: &mut Story| {
        story.tell(Input::Pause { by: "me".into() });
        story.wait(Millis::from_secs(1));
        resume(story);
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
        // A wait that is nearly over is not worth asking about.
        refused_again(&mut story, 50);
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
    assert_eq!(story.mission.outcome(), None, "it is asked once more");
    refused_again(&mut story, 5 * HOUR);
    assert_eq!(story.mission.outcome(), Some(Outcome::Partial));
    for part in [
        "its time is over in 3 h 49 min",
        "acme/large may be asked again in 5 h 0 min",
        "a resume asks at once",
    ] {
        let why = halted(&story);
        assert!(why.contains(part), "{part}: {why}");
    }
    resume(&mut story);
    assert_eq!(running(&story), ["T2.1"], "it is asked once");
}

#[test]
fn near_its_end_a_mission_waits_for_nothing_that_comes_too_late() {
    let mut story = story(1);
    story.wait(Millis(limits::MISSION.0 - 90_000));
    // Its attempt's time was over long ago.
    while running(&story).is_empty() {
        story.wait(Millis::from_secs(1));
    }
    let turn = running(&story).remove(0);
    story.end(&turn, refused(40), None);
    assert_eq!(story.mission.outcome(), Some(Outcome::Failed));
    let why = halted(&story);
    assert!(why.contains("acme may be asked again in 4"), "{why}");
    assert!(why.contains("a resume gives it 4 h 0 min more"), "{why}");
}

#[test]
fn whatever_else_can_still_be_done_is_done_before_such_an_end() {
    let mut story = open(terms(2), 2);
    story.end("T1.1", refused(5 * HOUR), None);
    assert_eq!(running(&story), ["T2.1"], "whoever is at work stays");
    hand_in(&mut story, "T2.1");
    story.land();
    refused_again(&mut story, 5 * HOUR);
    assert_eq!(story.mission.outcome(), Some(Outcome::Partial));
    assert_eq!(story.count("landed"), 1);
}

/// What stands in refuses for hours; meanwhile the own model may be asked again.
#[test]
fn whoever_is_refused_for_hours_where_it_was_not_at_home_goes_back_when_its_own_model_may_be_asked()
{
    let other = "other/small".to_owned();
    let terms = Terms {
        fallbacks: BTreeMap::from([(Role::Worker, vec![other])]),
        ..terms(1)
    };
    let mut story = open(terms, 1);
    story.end("T1.1", refused(120), None);
    let own = until(&story);
    story.wait(Millis::from_secs(1));
    assert_eq!(models(&story), ["other/small"]);
    for _ in 0..2 {
        refused_again(&mut story, 5 * HOUR);
        assert_eq!(story.mission.outcome(), None);
        if story.now < own {
            let parked = story.mission.next_wake(story.now).expect("it waits");
            assert_eq!(parked, own, "its own may be asked before");
        }
    }
    assert_eq!(story.mission.outcome(), None);
}
