//! In how many lanes a plan can be carried out at all, by what needs what.

use crate::teller::{Story, task};
use mission::event::Turn;
use mission::ids::TaskId;
use mission::input::{Input, Reply};
use mission::plan::{Priority, Size, TaskDraft, TaskKind};
use mission::steering::Dependents;
use mission::terms::Terms;
use mission::time::Millis;

fn planned(workers: u32, tasks: Vec<TaskDraft>) -> Story {
    let terms = Terms {
        workers,
        review_rounds: 0,
        tokens: 1_000_000_000,
        ..Terms::default()
    };
    Story::planned(terms, tasks)
}

fn lanes(story: &Story) -> u32 {
    story.mission.fan().unwrap().lanes
}

/// The tasks that Workers have.
fn running(story: &Story) -> Vec<u32> {
    let leases = story.mission.leases();
    let work = leases.filter_map(|(_, lease)| match lease.turn {
        Turn::Work { attempt } => Some(attempt.task.0),
        _ => None,
    });
    work.collect()
}

fn lands(story: &mut Story, turn: &str) {
    story.hand_in(turn);
    story.gates(|_, _| false);
    story.land();
}

fn skip(id: u32, dependents: Dependents) -> Input {
    Input::Skip {
        task: TaskId(id),
        why: "not now".into(),
        dependents,
        by: "me".into(),
    }
}

#[test]
fn more_lanes_than_tasks_can_ever_run_at_once_are_not_opened() {
    let of = |tasks: &[(&str, &[&str])]| {
        let tasks = tasks.iter().map(|(key, needs)| task(key, needs)).collect();
        lanes(&planned(4, tasks))
    };
    assert_eq!(of(&[("a", &[]), ("b", &["a"]), ("c", &["b"])]), 1);
    let across: [(&str, &[&str]); 4] = [("a", &[]), ("b", &[]), ("c", &["a"]), ("d", &["a", "b"])];
    assert_eq!(of(&across), 2);
    let fan: [(&str, &[&str]); 5] = [
        ("a", &[]),
        ("b", &["a"]),
        ("c", &["a"]),
        ("d", &["a"]),
        ("e", &["b", "c", "d"]),
    ];
    assert_eq!(of(&fan), 3);
    let wide = ["a", "b", "c", "d", "e"].map(|key| task(key, &[]));
    assert_eq!(lanes(&planned(4, wide.to_vec())), 4, "no more than allowed");
}

#[test]
fn what_waits_for_a_check_waits_for_all_that_the_check_needs() {
    let check = TaskDraft {
        kind: TaskKind::Gate,
        ..task("check", &["a", "b"])
    };
    let plan = vec![task("a", &[]), task("b", &[]), check, task("c", &["check"])];
    assert_eq!(lanes(&planned(4, plan)), 2);
}

#[test]
fn where_a_task_takes_several_slots_no_lane_is_closed() {
    let heavy = TaskDraft {
        weight: Some(2),
        ..task("b", &["a"])
    };
    let mut story = planned(4, vec![task("a", &[]), heavy]);
    assert_eq!(lanes(&story), 4);
    lands(&mut story, "T1.1");
    assert_eq!(running(&story), [2]);
}

#[test]
fn what_runs_without_a_task_that_is_left_out_has_a_lane_of_its_own() {
    let urgent = |key: &str, needs: &[&str]| TaskDraft {
        priority: Priority::High,
        ..task(key, needs)
    };
    let plan = vec![urgent("a", &[]), task("b", &["a"]), task("c", &["b"])];
    let mut story = planned(3, plan);
    assert_eq!((lanes(&story), running(&story)), (1, vec![1]));
    assert_eq!(story.tell(skip(2, Dependents::Run)), Reply::Done);
    assert_eq!((lanes(&story), running(&story)), (2, vec![1, 3]));
    // Whoever wants it after all has it beside what went on without it.
    let retry = Input::Retry {
        task: TaskId(2),
        note: String::new(),
        by: "me".into(),
    };
    assert_eq!(story.tell(retry), Reply::Done);
    lands(&mut story, "T1.1");
    assert_eq!(running(&story), [3, 2]);
}

#[test]
fn a_check_and_a_question_on_a_path_take_no_workers_time_before_and_after_it_is_learned() {
    let without_agent = |key: &str, kind| TaskDraft {
        kind,
        ..task(key, &["a"])
    };
    // Both chains are two tasks of agents long.
    let plan = vec![
        task("a", &[]),
        without_agent("looked", TaskKind::Gate),
        without_agent("asked", TaskKind::Ask),
        task("b", &["looked", "asked"]),
        task("c", &[]),
        task("d", &["c"]),
        task("e", &[]),
    ];
    let mut story = planned(3, plan);
    let path = |story: &Story, id| story.mission.task(TaskId(id)).unwrap().path;
    let weight = u64::from(Size::Medium.weight());
    assert_eq!((path(&story, 1), path(&story, 5)), (2 * weight, 2 * weight));
    let predicted = story.mission.critical_path().unwrap();
    assert_eq!((predicted.weight, predicted.expected), (2 * weight, None));
    story.wait(Millis::from_mins(10));
    for turn in ["T1.1", "T5.1", "T7.1"] {
        story.hand_in(turn);
    }
    assert_eq!(path(&story, 1), path(&story, 5));
    let predicted = story.mission.critical_path().unwrap();
    assert_eq!(predicted.expected, Some(Millis::from_mins(20)));
    let of_a_check = story
        .mission
        .durations()
        .expected(TaskKind::Gate, Size::Medium);
    assert_eq!(of_a_check, None, "nobody has seen how long one takes");
}
