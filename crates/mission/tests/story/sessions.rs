//! The sessions in which turns are carried out: whose they are, how often they are used, and when they are closed.

use crate::teller::{Story, task, used};
use mission::event::{Ending, Event};
use mission::input::{Input, Reply};
use mission::limits;
use mission::seal::Outcome;
use mission::terms::Terms;
use mission::time::Millis;
use mission::turn::{Failure, Outcome as TurnOutcome};

/// A mission without reviews of so many tasks that need nothing, on as many lanes as are said.
fn story(workers: u32, tasks: u32) -> Story {
    let terms = Terms {
        workers,
        review_rounds: 0,
        ask_above: Some(u64::MAX),
        ..Terms::default()
    };
    let plan = (0..tasks).map(|n| task(&format!("k{n}"), &[])).collect();
    Story::planned(terms, plan)
}

fn names(story: &mut Story, turn: &str, session: &str) -> Reply {
    let (epoch, session) = (story.epoch(turn), session.to_owned());
    story.tell(Input::SessionNamed { epoch, session })
}

fn closed(story: &mut Story, session: &str, left: &str) -> Reply {
    story.tell(Input::SessionClosed {
        session: session.into(),
        left: left.into(),
    })
}

fn refuses(story: &mut Story, turn: &str) {
    let outcome = TurnOutcome::Refused {
        retry_after: Some(Millis::from_secs(1)),
        why: "429".into(),
        usage: used(0),
        outage: false,
    };
    story.end(turn, outcome, None);
    // A wait is spread, and never longer than this.
    story.wait(limits::REFUSAL_MOST + Millis::from_mins(1));
}

/// Which sessions were to be closed, with the word for why.
fn retired(story: &Story) -> Vec<(String, &'static str)> {
    let retired = |event: &Event| match event {
        Event::SessionRetired { session, why } => Some((session.clone(), why.word())),
        _ => None,
    };
    let told = story.told.iter();
    told.filter_map(|recorded| retired(&recorded.event))
        .collect()
}

fn one(session: &str, why: &'static str) -> Vec<(String, &'static str)> {
    vec![(session.to_owned(), why)]
}

#[test]
fn a_turn_that_comes_back_goes_on_in_its_session_and_nothing_of_it_is_closed() {
    let mut story = story(1, 1);
    names(&mut story, "T1.1", "s1");
    names(&mut story, "T1.1", "s1");
    assert_eq!(story.count("session_used"), 1, "it is named twice");
    refuses(&mut story, "T1.1");
    names(&mut story, "T1.1", "s1");
    let sessions = story.mission.sessions();
    assert_eq!((sessions.opened, sessions.reused), (1, 1));
    assert_eq!(retired(&story), []);
}

#[test]
fn a_session_in_which_another_was_told_something_ends_the_turn_before_it_is_believed() {
    // Of the same lane and of another one.
    for (workers, turn) in [(1, "T2.1"), (2, "T2.1")] {
        let mut story = story(workers, 2);
        names(&mut story, "T1.1", "s1");
        if workers == 1 {
            story.hand_in("T1.1");
        }
        assert_eq!(names(&mut story, turn, "s1"), Reply::Done);
        let ended = story
            .told
            .iter()
            .rev()
            .find_map(|recorded| match &recorded.event {
                Event::TurnEnded { turn, ending, .. } => Some((turn.to_string(), ending.clone())),
                _ => None,
            });
        let (who, ending) = ended.expect("a turn ended");
        assert_eq!(who, turn);
        let failure = Failure::Machine;
        assert!(
            matches!(&ending, Ending::Failed { failure: f, why } if *f == failure && why.contains("not its own")),
            "{ending:?}"
        );
        assert_eq!(story.mission.sessions().opened, 1);
    }
}

#[test]
fn a_lane_that_works_elsewhere_has_its_old_session_closed() {
    let mut story = story(1, 2);
    names(&mut story, "T1.1", "s1");
    story.hand_in("T1.1");
    assert_eq!(retired(&story), [], "the next one may not have begun yet");
    names(&mut story, "T2.1", "s2");
    assert_eq!(retired(&story), one("s1", "replaced"));
    assert!(story.due().contains(&"close session s1".to_owned()));
    assert_eq!(closed(&mut story, "s2", ""), Reply::Stale, "nobody asked");
    assert_eq!(closed(&mut story, "s1", ""), Reply::Done);
    assert_eq!(closed(&mut story, "s1", ""), Reply::Stale);
    assert!(!story.due().iter().any(|name| name.starts_with("close")));
    assert_eq!(story.mission.sessions().n_closed(), 1);
}

#[test]
fn what_cannot_be_closed_is_told_and_not_tried_for_ever() {
    let mut story = story(1, 2);
    names(&mut story, "T1.1", "s1");
    story.hand_in("T1.1");
    names(&mut story, "T2.1", "s2");
    closed(&mut story, "s1", "it does not answer");
    let sessions = story.mission.sessions();
    assert_eq!((sessions.n_closed(), sessions.left), (0, 1));
    assert!(!story.due().iter().any(|name| name.starts_with("close")));
}

#[test]
fn a_session_to_which_nobody_comes_back_is_closed_after_five_minutes() {
    let mut story = story(1, 1);
    names(&mut story, "T1.1", "s1");
    story.hand_in("T1.1");
    // Its check runs meanwhile.
    let until = story.now + limits::SESSION_IDLE;
    let wake = story.mission.next_wake(story.now);
    assert!(wake.is_some_and(|wake| wake <= until), "{wake:?}");
    story.wait(Millis(limits::SESSION_IDLE.0 - 1));
    assert_eq!(retired(&story), []);
    story.wait(Millis(1));
    assert_eq!(retired(&story), one("s1", "idle"));
}

#[test]
fn a_session_is_used_ten_times_and_then_the_turn_begins_in_another() {
    let mut story = story(1, 1);
    for n in 1..=limits::SESSION_USES {
        names(&mut story, "T1.1", "s1");
        assert_eq!(retired(&story), [], "use {n}");
        refuses(&mut story, "T1.1");
    }
    assert_eq!(retired(&story), one("s1", "worn"));
    // It is being closed; a host that hands it out all the same is not believed.
    names(&mut story, "T1.1", "s2");
    assert_eq!(story.mission.sessions().opened, 2);
}

#[test]
fn more_than_five_idle_sessions_of_a_role_are_never_kept() {
    let n = limits::SESSIONS_IDLE as u32 + 2;
    let mut story = story(n, n);
    for n in 1..=n {
        names(&mut story, &format!("T{n}.1"), &format!("s{n}"));
    }
    for n in 1..n {
        story.hand_in(&format!("T{n}.1"));
        story.wait(Millis(1));
    }
    assert_eq!(retired(&story), one("s1", "crowded"), "the longest idle");
}

#[test]
fn the_end_takes_all_that_are_known_and_owes_no_closing_beside_it() {
    let mut story = story(1, 2);
    names(&mut story, "T1.1", "s1");
    story.hand_in("T1.1");
    names(&mut story, "T2.1", "s2");
    story.tell(Input::Cancel { by: "me".into() });
    assert_eq!(story.mission.outcome(), Some(Outcome::Cancelled));
    assert_eq!(story.due(), ["clean 1"]);
    story.tell(Input::Cleaned {
        n: 1,
        rescued: 0,
        sessions_left: String::new(),
    });
    let sessions = story.mission.sessions();
    assert_eq!((sessions.known().count(), sessions.ended), (0, 2));
    assert_eq!(closed(&mut story, "s1", ""), Reply::Stale);
}
