//! Tasks that get nowhere: how it is seen, and what is done about it.

use crate::teller::{Story, done, task, tree, used, work};
use mission::event::{Ending, Event};
use mission::ids::{Epoch, TaskId};
use mission::input::{Input, Reply};
use mission::limits;
use mission::mission::State;
use mission::seal::Outcome;
use mission::stagnation::{Remedy, Stray, Strayed};
use mission::terms::Terms;
use mission::time::Millis;
use mission::turn::{
    Answer, AnswerKind, Diagnosis, Failure, Outcome as TurnOutcome, Report, Role, Usage,
};

/// A mission of one task that may be tried so often, and models to fall back to.
fn story(attempts: u32, fallbacks: &[&str]) -> Story {
    let fallbacks: Vec<String> = fallbacks.iter().map(|name| (*name).to_owned()).collect();
    let terms = Terms {
        attempts,
        // What the Planner makes of a stuck task is told in `split`.
        splits: 0,
        fallbacks: [(Role::Worker, fallbacks)].into(),
        ..Terms::default()
    };
    Story::planned(terms, vec![task("a", &[])])
}

/// The attempt hands in, and its check says this.
fn red(story: &mut Story, attempt: &str, says: &str) {
    story.hand_in(attempt);
    judged(story, says);
}

fn judged(story: &mut Story, says: &str) {
    let (epoch, mut run) = story.gate(|_, _| true).expect("a check runs");
    run.tail = says.to_owned();
    story.tell(Input::GateRan { epoch, run });
}

fn diagnosed(story: &mut Story, attempt: &str, strategy: &str) {
    let answer = Answer::Diagnosis(Diagnosis {
        strategy: strategy.into(),
        report: done(),
    });
    let usage = used(1_000);
    story.end(
        attempt,
        TurnOutcome::Answered { answer, usage },
        Some(work(attempt)),
    );
}

fn asks(story: &Story, attempt: &str) -> AnswerKind {
    let lease = story.mission.lease(story.epoch(attempt)).unwrap();
    story.mission.asks_for(lease.turn)
}

/// What was done about the task, in order.
fn remedies(story: &Story) -> Vec<Remedy> {
    let remedy = |event: &Event| match event {
        Event::Stagnated { remedy, .. } => Some(*remedy),
        _ => None,
    };
    let events = story.told.iter().map(|recorded| &recorded.event);
    events.filter_map(remedy).collect()
}

fn first() -> TaskId {
    TaskId(1)
}

#[test]
fn two_attempts_that_end_alike_are_followed_by_a_diagnosis_which_names_what_it_does_otherwise() {
    let mut story = story(4, &[]);
    red(&mut story, "T1.1", "FAIL adds in 1.2s");
    assert_eq!(asks(&story, "T1.2"), AnswerKind::Report);
    assert_eq!(remedies(&story), []);
    red(&mut story, "T1.2", "FAIL adds in 3.4s");
    assert_eq!(remedies(&story), [Remedy::Diagnose]);
    assert_eq!(asks(&story, "T1.3"), AnswerKind::Diagnosis);
    diagnosed(&mut story, "T1.3", "mend the caller");
    story.gates(|_, _| false);
    story.review("T1.3/review.1", true);
    story.land();
    story.gates(|_, _| false);
    assert_eq!(story.mission.outcome(), Some(Outcome::Completed));
    let task = story.mission.task(first()).unwrap();
    assert_eq!(task.stuck.strategies(), ["mend the caller"]);
    assert_eq!(story.count("diagnosed"), 1);
}

#[test]
fn attempts_that_fail_in_different_ways_get_somewhere() {
    let mut story = story(4, &[]);
    for (n, says) in (1..).zip(["no such file: a", "no such file: b", "no such file: c"]) {
        red(&mut story, &format!("T1.{n}"), says);
    }
    assert_eq!(remedies(&story), []);
    assert_eq!(asks(&story, "T1.4"), AnswerKind::Report);
}

#[test]
fn a_diagnosis_that_names_nothing_new_is_no_answer_and_uses_its_attempt_up() {
    let mut story = story(5, &[]);
    red(&mut story, "T1.1", "FAIL");
    red(&mut story, "T1.2", "FAIL");
    // A report as before, and what the Workers before called what they did.
    story.hand_in("T1.3");
    let told = |story: &Story| {
        let task = story.mission.task(first()).unwrap();
        story.mission.told(&task.history.last().unwrap().1)
    };
    assert!(
        told(&story).contains("`strategy` is missing"),
        "{}",
        told(&story)
    );
    assert_eq!(story.count("worked"), 2, "its work is not looked at");
    story.wait(limits::BACKOFF_MOST);
    let task = story.mission.task(first()).unwrap();
    assert_eq!((task.tries, asks(&story, "T1.4")), (3, AnswerKind::Report));
}

#[test]
fn a_strategy_that_was_tried_is_refused_however_it_is_written() {
    let mut story = story(3, &[]);
    red(&mut story, "T1.1", "FAIL");
    red(&mut story, "T1.2", "FAIL");
    assert_eq!(story.mission.strategies(first()), ["done", "done"]);
    diagnosed(&mut story, "T1.3", " DONE. ");
    let State::Failed { why } = story.state(1) else {
        panic!("{:?}", story.state(1))
    };
    assert!(why.contains("says what was tried before (done)"), "{why}");
    assert_eq!((story.count("diagnosed"), story.count("worked")), (0, 2));
}

#[test]
fn whoever_is_blocked_in_a_diagnosis_says_so_without_a_strategy() {
    let mut story = story(4, &[]);
    red(&mut story, "T1.1", "FAIL");
    red(&mut story, "T1.2", "FAIL");
    let why = "the database is gone".to_owned();
    story.answer("T1.3", Answer::Report(Report::Blocked { why }));
    assert!(matches!(story.state(1), State::Asking { .. }));
}

#[test]
fn a_task_that_is_stuck_after_its_diagnosis_fails_with_a_report_and_pays_for_no_further_attempt() {
    let mut story = story(6, &[]);
    red(&mut story, "T1.1", "FAIL");
    red(&mut story, "T1.2", "FAIL");
    diagnosed(&mut story, "T1.3", "mend the caller");
    judged(&mut story, "FAIL");
    assert_eq!(remedies(&story), [Remedy::Diagnose, Remedy::GiveUp]);
    let State::Failed { why } = story.state(1) else {
        panic!("{:?}", story.state(1))
    };
    let told = "it is stuck: 3 attempts in a row ended alike, also with a diagnosis, \
                \"mend the caller\"; the last: `check a` was red (exit 1): FAIL";
    assert_eq!(why, told);
    assert_eq!(story.worked(), ["T1.1", "T1.2", "T1.3"]);
}

#[test]
fn another_model_tries_where_the_user_named_one() {
    let mut story = story(6, &["a/other"]);
    red(&mut story, "T1.1", "FAIL");
    red(&mut story, "T1.2", "FAIL");
    let model = |story: &Story, attempt: &str| {
        let lease = story.mission.lease(story.epoch(attempt)).unwrap();
        lease.model.clone()
    };
    assert_eq!(model(&story, "T1.3"), None, "its own model diagnoses first");
    diagnosed(&mut story, "T1.3", "mend the caller");
    judged(&mut story, "FAIL");
    assert_eq!(model(&story, "T1.4").as_deref(), Some("a/other"));
    red(&mut story, "T1.4", "FAIL");
    let all = [Remedy::Diagnose, Remedy::Model, Remedy::GiveUp];
    assert_eq!(remedies(&story), all);
    let State::Failed { why } = story.state(1) else {
        panic!("{:?}", story.state(1))
    };
    assert!(why.contains("the model a/other; the last"), "{why}");
    assert_eq!(
        story.count("model_switched"),
        0,
        "other tasks stay where they are"
    );
}

#[test]
fn the_last_attempt_that_is_left_is_a_diagnosis_by_another_model() {
    let mut story = story(3, &["a/other"]);
    red(&mut story, "T1.1", "FAIL");
    red(&mut story, "T1.2", "FAIL");
    let lease = story.mission.lease(story.epoch("T1.3")).unwrap();
    assert_eq!(lease.model.as_deref(), Some("a/other"));
    assert_eq!(asks(&story, "T1.3"), AnswerKind::Diagnosis);
}

#[test]
fn a_diagnosis_is_one_for_as_long_as_its_attempt_lasts() {
    let mut story = story(4, &["a/other"]);
    red(&mut story, "T1.1", "FAIL");
    red(&mut story, "T1.2", "FAIL");
    let failure = Failure::Transient;
    let (why, usage) = ("its server died".to_owned(), used(1));
    story.end(
        "T1.3",
        TurnOutcome::Failed {
            failure,
            why,
            usage,
        },
        None,
    );
    story.wait(limits::BACKOFF_MOST);
    assert_eq!(asks(&story, "T1.3"), AnswerKind::Diagnosis, "it goes on");
}

#[test]
fn the_same_tree_handed_in_again_is_stagnation_whatever_is_found_in_it() {
    let terms = Terms {
        attempts: 5,
        review_rounds: 5,
        ..Terms::default()
    };
    let mut story = Story::planned(terms, vec![task("a", &[])]);
    for attempt in ["T1.1", "T1.2"] {
        let answer = Answer::Report(done());
        let usage = used(1);
        let mut same = work(attempt);
        same.tree = tree("same");
        story.end(attempt, TurnOutcome::Answered { answer, usage }, Some(same));
        story.gates(|_, _| false);
        story.review(&format!("{attempt}/review.1"), false);
    }
    assert_eq!(remedies(&story), [Remedy::Diagnose]);
}

#[test]
fn a_resumed_task_may_be_tried_in_every_way_again_and_what_was_tried_is_known() {
    let mut story = story(3, &[]);
    red(&mut story, "T1.1", "FAIL");
    red(&mut story, "T1.2", "FAIL");
    diagnosed(&mut story, "T1.3", "mend the caller");
    judged(&mut story, "FAIL");
    story.gates(|_, _| false);
    assert!(story.mission.outcome().is_some());
    let by = "me".to_owned();
    let (more_tokens, replan) = (0, false);
    story.tell(Input::Resume {
        by,
        more_tokens,
        more_money: 0,
        replan,
    });
    assert_eq!(asks(&story, "T1.4"), AnswerKind::Report);
    red(&mut story, "T1.4", "FAIL");
    red(&mut story, "T1.5", "FAIL");
    diagnosed(&mut story, "T1.6", "Mend the caller!");
    assert_eq!(
        story.count("diagnosed"),
        1,
        "it was tried before the resume"
    );
}

/// The agent of a turn goes nowhere.
fn strays(story: &mut Story, turn: &str, stray: Stray) -> Reply {
    strays_after(story, turn, stray, 0)
}

/// The same, after so many edits since it last did.
fn strays_after(story: &mut Story, turn: &str, stray: Stray, gained: u32) -> Reply {
    let (epoch, why) = (story.epoch(turn), "read: a.txt".to_owned());
    story.tell(Input::Strayed {
        epoch,
        strayed: Strayed { stray, why, gained },
        usage: used(300),
    })
}

#[test]
fn whoever_got_somewhere_after_it_was_told_is_told_again_and_not_for_ever() {
    let mut story = story(3, &[]);
    strays(&mut story, "T1.1", Stray::Stalled);
    for told in 2..=limits::NUDGES_MOST {
        strays_after(&mut story, "T1.1", Stray::Stalled, limits::GAINED);
        let lease = story.mission.lease(story.epoch("T1.1")).unwrap();
        assert_eq!(lease.nudges().count(), told as usize);
    }
    let epoch = story.epoch("T1.1");
    strays_after(&mut story, "T1.1", Stray::Stalled, limits::GAINED);
    assert!(story.mission.lease(epoch).is_none(), "it is over");
}

#[test]
fn a_little_less_after_it_was_told_is_nothing() {
    let mut story = story(3, &[]);
    let epoch = story.epoch("T1.1");
    strays(&mut story, "T1.1", Stray::Looping);
    strays_after(&mut story, "T1.1", Stray::Looping, limits::GAINED - 1);
    assert!(story.mission.lease(epoch).is_none(), "it is over");
}

#[test]
fn an_attempt_that_comes_back_has_heard_what_it_was_told_before() {
    let mut story = story(3, &[]);
    let lease = story.epoch("T1.1");
    strays(&mut story, "T1.1", Stray::Looping);
    story.end("T1.1", crate::governor::refused(1), None);
    story.wait(Millis::from_secs(2));
    let again = story.epoch("T1.1");
    assert_ne!(again, lease, "another lease of the same attempt");
    let of = story.mission.lease(again).unwrap();
    let nudges: Vec<(u32, Stray, &str)> = of.nudges().collect();
    assert_eq!(nudges, [(1, Stray::Looping, "read: a.txt")]);
    // What it gained meanwhile nobody knows, so it is told again, under another number than what its session holds.
    strays(&mut story, "T1.1", Stray::Looping);
    let of = story.mission.lease(again).unwrap();
    assert_eq!(of.nudges().map(|(n, _, _)| n).collect::<Vec<_>>(), [1, 2]);
    strays(&mut story, "T1.1", Stray::Looping);
    assert!(story.mission.lease(again).is_none(), "it is over");
    // The next attempt has another session.
    story.wait(limits::BACKOFF_MOST);
    let next = story.epoch("T1.2");
    assert_eq!(story.mission.lease(next).unwrap().nudges().count(), 0);
    strays(&mut story, "T1.2", Stray::Looping);
    assert_eq!(story.mission.lease(next).unwrap().nudges().count(), 1);
}

#[test]
fn whoever_goes_nowhere_is_told_once_and_then_ended() {
    let mut story = story(3, &[]);
    assert_eq!(strays(&mut story, "T1.1", Stray::Looping), Reply::Done);
    let lease = story.mission.lease(story.epoch("T1.1")).unwrap();
    let nudges: Vec<(u32, Stray, &str)> = lease.nudges().collect();
    assert_eq!(nudges, [(1, Stray::Looping, "read: a.txt")]);
    assert_eq!(lease.told, 0, "nobody said anything");
    strays(&mut story, "T1.1", Stray::Stalled);
    let Some(Event::TurnEnded {
        ending: Ending::Failed { failure, why },
        usage,
        ..
    }) =
        story.told.iter().map(|recorded| &recorded.event).find(
            |event| matches!(event, Event::TurnEnded { turn, .. } if turn.to_string() == "T1.1"),
        )
    else {
        panic!("the turn goes on")
    };
    assert_eq!((*failure, usage.tokens()), (Failure::NoAnswer, Some(300)));
    assert_eq!(
        why,
        "it is stalled, and went on so after it was told: read: a.txt"
    );
    let task = story.mission.task(first()).unwrap();
    assert_eq!((task.tries, story.count("turn_nudged")), (1, 1));
}

#[test]
fn a_model_that_makes_no_progress_ends_bounded() {
    let mut story = story(limits::ATTEMPTS, &[]);
    let mut turns = 0;
    while story.mission.outcome().is_none() {
        let running = story.mission.leases().next();
        if let Some((_, lease)) = running {
            let turn = lease.turn.to_string();
            strays(&mut story, &turn, Stray::Looping);
            strays(&mut story, &turn, Stray::Looping);
            turns += 1;
        }
        assert!(turns <= 10, "it goes on for ever");
        story.wait(limits::BACKOFF_MOST);
    }
    assert_eq!((turns, story.mission.outcome()), (3, Some(Outcome::Failed)));
    assert_eq!(remedies(&story), [Remedy::Diagnose]);
    let State::Failed { why } = story.state(1) else {
        panic!("{:?}", story.state(1))
    };
    let told = "3 tries failed, some of them alike, also with a diagnosis; the last: it is looping";
    assert!(why.starts_with(told), "{why}");
    // What is over asks no model for anything.
    story.wait(Millis::from_mins(600));
    assert_eq!(story.mission.leases().count(), 0);
}

#[test]
fn silence_is_told_once_and_ended_by_its_host_alone() {
    let mut story = story(3, &[]);
    for _ in 0..3 {
        strays(&mut story, "T1.1", Stray::Quiet);
    }
    assert_eq!(
        (story.count("turn_nudged"), story.count("turn_ended")),
        (1, 2)
    );
    strays(&mut story, "T1.1", Stray::Looping);
    assert_eq!(story.count("turn_nudged"), 2, "that is another matter");
    let strayed = Strayed {
        stray: Stray::Looping,
        why: String::new(),
        gained: 0,
    };
    let late = story.tell(Input::Strayed {
        epoch: Epoch(99),
        strayed,
        usage: Usage::default(),
    });
    assert_eq!(late, Reply::Stale);
}

#[test]
fn a_hint_in_between_begins_the_count_anew() {
    let mut story = story(6, &[]);
    red(&mut story, "T1.1", "FAIL");
    let why = "which one?".to_owned();
    story.answer("T1.2", Answer::Report(Report::Blocked { why }));
    let (id, _) = story.mission.questions().next().unwrap();
    let (text, by) = ("the first".to_owned(), "me".to_owned());
    story.tell(Input::Answer { id, text, by });
    red(&mut story, "T1.3", "FAIL");
    assert_eq!(
        remedies(&story),
        [],
        "what a person said may have changed everything"
    );
    red(&mut story, "T1.4", "FAIL");
    assert_eq!(remedies(&story), [Remedy::Diagnose]);
}
