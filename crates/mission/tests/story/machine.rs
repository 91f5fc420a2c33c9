//! Turns that this machine failed: a full disk, no process, no server of agents.

use crate::teller::{Story, task, used};
use mission::input::Input;
use mission::limits;
use mission::mission::State;
use mission::seal::Outcome;
use mission::terms::Terms;
use mission::time::Millis;
use mission::turn::{Failure, Outcome as TurnOutcome};

fn fails(story: &mut Story, turn: &str, failure: Failure) {
    let (why, usage) = ("no space left on device".to_owned(), used(0));
    let outcome = TurnOutcome::Failed {
        failure,
        why,
        usage,
    };
    story.end(turn, outcome, None);
}

fn story() -> Story {
    let terms = Terms {
        workers: 2,
        attempts: 1,
        ..Terms::default()
    };
    let mut story = Story::planned(terms, vec![task("a", &[]), task("b", &[])]);
    let epoch = story.epoch("T1.1");
    let model = "acme/large".to_owned();
    story.tell(Input::ModelNamed {
        epoch,
        model,
        output: None,
    });
    story
}

#[test]
fn it_opens_no_breaker_takes_no_slot_and_no_attempt_and_the_task_goes_on() {
    let mut story = story();
    for n in 1..limits::MACHINE_TRIES {
        fails(&mut story, "T1.1", Failure::Machine);
        let State::Parked { until, why } = story.state(1).clone() else {
            panic!("it waits: {:?}", story.state(1));
        };
        assert_eq!(
            why,
            "this machine could not carry it out: no space left on device"
        );
        let wait = until.since(story.now);
        let most = limits::BACKOFF_FIRST.0 << (n - 1);
        assert!(wait.0 <= most.min(limits::REFUSAL_MOST.0), "{wait}");
        assert!(wait.0 >= most.min(limits::REFUSAL_MOST.0) / 4 * 3, "{wait}");
        story.wait(wait);
    }
    assert_eq!(story.mission.open_breakers().count(), 0);
    assert_eq!(story.mission.worker_slots().now(), 2);
    let task = story.mission.task(mission::ids::TaskId(1)).unwrap();
    assert_eq!((task.tries, task.faults), (0, 0));
    // There is room again.
    story.hand_in("T1.1");
    let task = story.mission.task(mission::ids::TaskId(1)).unwrap();
    assert_eq!(task.machine, 0);
}

#[test]
fn failures_of_a_model_are_in_a_row_whatever_the_machine_fails_between_them() {
    let mut story = story();
    for n in 0..limits::BREAKER {
        assert_eq!(story.count("breaker_opened"), 0, "after {n}");
        for failure in [Failure::Machine, Failure::Transient] {
            let (_, lease) = story.mission.leases().next().expect("a turn runs");
            let turn = lease.turn.to_string();
            fails(&mut story, &turn, failure);
            if story.count("breaker_opened") == 0 {
                story.wait(limits::REFUSAL_MOST);
            }
        }
    }
    assert_eq!(story.count("breaker_opened"), 1);
}

#[test]
fn a_machine_that_fails_on_and_on_ends_the_mission_which_a_resume_goes_on_with() {
    let mut story = story();
    let begun = story.now;
    for _ in 1..limits::MACHINE_TRIES {
        fails(&mut story, "T1.1", Failure::Machine);
        story.wait(limits::REFUSAL_MOST);
    }
    assert!(story.mission.outcome().is_none());
    assert!(story.now.since(begun) >= Millis::from_mins(15));
    fails(&mut story, "T1.1", Failure::Machine);
    assert_eq!(story.mission.outcome(), Some(Outcome::Failed));
    let why = &story.mission.reasons()[0];
    assert!(
        why.contains("this machine could not carry T1.1 out, 10 times in a row: no space left"),
        "{why}"
    );
    story.tell(Input::Resume {
        by: "me".into(),
        more_tokens: 0,
        more_money: 0,
        replan: false,
    });
    fails(&mut story, "T1.1", Failure::Machine);
    assert!(story.mission.outcome().is_none(), "it begins to count anew");
    story.wait(limits::BACKOFF_FIRST);
    story.hand_in("T1.1");
    assert!(story.mission.outcome().is_none());
}

#[test]
fn readings_plans_and_reviews_wait_for_the_machine_too() {
    let mut story = Story::open(Terms::default());
    story.prepare(Vec::new());
    for n in 1..limits::PLANNING_TRIES + 2 {
        fails(&mut story, &format!("intent.{n}"), Failure::Machine);
        story.wait(limits::REFUSAL_MOST);
    }
    assert!(story.mission.outcome().is_none());
    let mut story = self::story();
    story.hand_in("T1.1");
    story.gates(|_, _| false);
    for n in 1..limits::REVIEW_TRIES + 2 {
        fails(&mut story, &format!("T1.1/review.{n}"), Failure::Machine);
        story.wait(limits::REFUSAL_MOST);
    }
    assert_eq!(story.mission.questions().count(), 0, "nothing is disputed");
}
