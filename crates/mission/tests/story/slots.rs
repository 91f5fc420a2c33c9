//! How many turns run at once at each provider.

use crate::governor::{hand_in, models, name, open, refused, running};
use crate::teller::{Story, task, used};
use mission::ids::TaskId;
use mission::input::Input;
use mission::limits;
use mission::plan::{Priority, TaskDraft};
use mission::terms::Terms;
use mission::time::Millis;
use mission::turn::{Failure, Outcome as TurnOutcome, Role};
use std::collections::BTreeMap;

/// So many Workers with a model to fall back to, and of those that run so many are refused for long.
fn refused_for_long(workers: u32, n: usize) -> Story {
    let fallbacks = BTreeMap::from([(Role::Worker, vec!["other/small".to_owned()])]);
    let terms = Terms {
        workers,
        review_rounds: 0,
        fallbacks,
        ask_above: Some(u64::MAX),
        ..Terms::default()
    };
    let mut story = open(terms, 40);
    for turn in running(&story).iter().take(n) {
        story.end(turn, refused(500), None);
    }
    story
}

fn slots(story: &Story) -> [u32; 2] {
    ["acme", "other"].map(|provider| story.mission.slots_at(Role::Worker, provider).now())
}

#[test]
fn a_provider_that_refuses_loses_its_own_slots_and_the_other_one_begins_with_all_of_its_own() {
    let mut story = refused_for_long(12, 4);
    assert_eq!(slots(&story), [8, 10]);
    // Never more than the user allows, of both together.
    let at = |story: &Story, of: &str| models(story).iter().filter(|model| **model == of).count();
    let both = |story: &Story| (at(story, "acme/large"), at(story, "other/small"));
    assert_eq!(both(&story), (6, 6));
    for turn in running(&story).iter().take(6) {
        hand_in(&mut story, turn);
    }
    assert_eq!(both(&story), (0, 10), "no more than its slots");
    assert_eq!(slots(&story), [10, 10], "what is served gives slots back");
    let waits = story.mission.waits(story.now);
    let told =
        "a free Worker; 10 of 12 at once at other, and one more when 3 turns in a row go well";
    assert!(waits.iter().any(|wait| wait.cause == told), "{waits:?}");
    for n in [10, 10, 11] {
        let turn = running(&story)[0].clone();
        hand_in(&mut story, &turn);
        assert_eq!(both(&story), (0, n), "a new slot wakes a waiter at once");
    }
    assert_eq!(slots(&story), [10, 11]);
    for turn in running(&story).iter().take(2) {
        story.end(turn, refused(5), None);
    }
    assert_eq!(slots(&story), [10, 10]);
    let reviewers = story.mission.slots_at(Role::Reviewer, "other").now();
    assert_eq!(reviewers, limits::REVIEWERS, "another role has its own");
}

#[test]
fn what_was_counted_before_a_model_had_a_name_is_counted_of_its_provider() {
    let plan = (0..9).map(|n| task(&format!("k{n}"), &[])).collect();
    let terms = Terms {
        workers: 3,
        review_rounds: 0,
        ..Terms::default()
    };
    let mut story = Story::planned(terms, plan);
    for turn in ["T1.1", "T2.1"] {
        story.end(turn, refused(5), None);
    }
    let now = |story: &Story, provider| story.mission.slots_at(Role::Worker, provider).now();
    assert_eq!((now(&story, ""), now(&story, "acme")), (2, 3));
    name(&mut story, "T3.1", "acme/large");
    assert_eq!((now(&story, ""), now(&story, "acme")), (3, 2));
    let known = story.mission.slots().map(|(_, name, _)| name.to_owned());
    assert_eq!(known.collect::<Vec<_>>(), ["acme"]);
    assert_eq!(story.mission.worker_slots().now(), 2);
}

/// Two urgent tasks and many others for two Workers: two attempts at the first one end alike, and the next one is another
/// model's.
fn stuck() -> Story {
    let fallbacks = BTreeMap::from([(Role::Worker, vec!["other/small".to_owned()])]);
    let terms = Terms {
        workers: 2,
        review_rounds: 0,
        attempts: 3,
        splits: 0,
        fallbacks,
        ..Terms::default()
    };
    let urgent = |id: &str| TaskDraft {
        priority: Priority::High,
        ..task(id, &[])
    };
    let mut plan = vec![urgent("a"), urgent("b")];
    plan.extend((0..20).map(|n| task(&format!("k{n}"), &[])));
    let mut story = Story::planned(terms, plan);
    name(&mut story, "T1.1", "acme/large");
    fail(&mut story, "T1.1", Failure::NoAnswer);
    fail(&mut story, "T1.2", Failure::NoAnswer);
    story
}

#[test]
fn a_stuck_task_whose_other_provider_has_no_slot_free_lets_others_pass() {
    let mut story = stuck();
    // The other model loses a slot.
    fail(&mut story, "T1.3", Failure::Transient);
    fail(&mut story, "T1.3", Failure::Transient);
    assert_eq!(slots(&story), [2, 1]);
    fail(&mut story, "T2.1", Failure::NoAnswer);
    come(&mut story, "T1.3");
    fail(&mut story, "T2.2", Failure::NoAnswer);
    story.wait(limits::BACKOFF_MOST);
    for _ in 0..3 {
        assert_eq!(running(&story).len(), 2, "whoever can begins");
        assert!(!running(&story).contains(&"T2.3".to_owned()));
        let turn = running(&story);
        let turn = turn.iter().find(|turn| *turn != "T1.3").unwrap();
        hand_in(&mut story, turn);
    }
    let waits = story.mission.waits(story.now);
    let told = "a free Worker; 1 of 2 at once at other, and one more when 3 turns in a row go well";
    let wait = waits.iter().find(|wait| wait.cause == told);
    let wait = wait.unwrap_or_else(|| panic!("{waits:?}"));
    let lease = story.mission.lease(story.epoch("T1.3")).unwrap();
    assert_eq!((wait.who.as_str(), wait.until), ("T2", lease.deadline));
    hand_in(&mut story, "T1.3");
    assert_eq!(models(&story), ["acme/large", "other/small"]);
    come(&mut story, "T2.3");
}

/// Until a turn runs: time passes, and whoever else is at work hands in.
fn come(story: &mut Story, turn: &str) {
    for _ in 0..9 {
        if running(story).iter().any(|running| running == turn) {
            return;
        }
        story.wait(limits::BACKOFF_MOST);
        let all = running(story);
        let mut others = all
            .iter()
            .filter(|of| !of.starts_with("T1.") && !of.starts_with("T2."));
        if let Some(other) = others.next() {
            hand_in(story, other);
        }
    }
    panic!("{turn} never runs: {:?}", running(story));
}

/// A turn runs and ends so.
fn fail(story: &mut Story, turn: &str, failure: Failure) {
    come(story, turn);
    let outcome = TurnOutcome::Failed {
        failure,
        why: "it stopped".into(),
        usage: used(0),
    };
    story.end(turn, outcome, None);
}

#[test]
fn whoever_waits_for_a_provider_that_is_held_lets_a_task_of_another_one_pass() {
    let mut story = stuck();
    // The other model's turn comes back later, and by then its task is the least urgent one.
    fail(&mut story, "T1.3", Failure::Transient);
    story.tell(Input::Prioritise {
        task: TaskId(1),
        priority: Priority::Low,
        by: "me".into(),
    });
    for turn in running(&story) {
        story.end(&turn, refused(50), None);
    }
    assert_eq!(story.mission.held_providers().count(), 1);
    assert!(running(&story).is_empty());
    story.wait(limits::BACKOFF_FIRST + limits::BACKOFF_FIRST);
    assert_eq!(running(&story), ["T1.3"]);
    assert_eq!(models(&story), ["other/small"]);
    assert_eq!(story.mission.held_providers().count(), 1);
}

#[test]
fn however_many_woke_that_may_not_start_one_that_may_does() {
    let same = |n| TaskDraft {
        resources: vec!["port-8080".into()],
        ..task(&format!("p{n}"), &[])
    };
    let mut plan: Vec<TaskDraft> = (0..=limits::WORKERS_CAP).map(same).collect();
    plan.push(TaskDraft {
        priority: Priority::High,
        ..task("free", &[])
    });
    let terms = Terms {
        workers: 2,
        tokens: 1_000_000_000,
        ask_above: Some(u64::MAX),
        ..Terms::default()
    };
    let mut story = Story::planned(terms, plan);
    let fails = |story: &mut Story, turn: &str| {
        let failure = Failure::Overflow;
        let (why, usage) = (format!("{turn} is gone"), used(0));
        let failed = TurnOutcome::Failed {
            failure,
            why,
            usage,
        };
        story.end(turn, failed, None);
    };
    // Whoever failed twice waits longer, so that it is the last to wake.
    fails(&mut story, "T34.1");
    story.wait(limits::BACKOFF_FIRST);
    fails(&mut story, "T34.2");
    for _ in 0..limits::WORKERS_CAP {
        let turn = running(&story)[0].clone();
        fails(&mut story, &turn);
    }
    let running_now = running(&story);
    let [last] = &running_now[..] else {
        panic!("{running_now:?}");
    };
    story.wait(Millis(2 * limits::BACKOFF_FIRST.0));
    assert_eq!(
        running(&story),
        [last.as_str(), "T34.3"],
        "it has what all others need"
    );
}
