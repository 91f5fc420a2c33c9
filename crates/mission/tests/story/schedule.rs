//! Which task starts next, in which lane, and how many run at once.

use crate::teller::{Story, task, used};
use mission::event::{Event, Turn};
use mission::ids::TaskId;
use mission::input::Input;
use mission::limits;
use mission::plan::{Priority, Size, TaskDraft, TaskKind};
use mission::schedule::Narrow;
use mission::seal::Outcome;
use mission::terms::Terms;
use mission::time::Millis;
use mission::turn::{Failure, Outcome as TurnOutcome, Role};

fn terms(workers: u32) -> Terms {
    Terms {
        workers,
        review_rounds: 0,
        mission: Millis::from_mins(24 * 60),
        tokens: 1_000_000_000,
        ..Terms::default()
    }
}

fn tasks(n: usize) -> Vec<TaskDraft> {
    (1..=n).map(|n| task(&format!("t{n}"), &[])).collect()
}

/// The Workers that run, each with its lane.
fn running(story: &Story) -> Vec<(String, u32)> {
    let worker = story.mission.leases().map(|(_, lease)| lease);
    worker
        .filter(|lease| lease.turn.role() == Role::Worker)
        .map(|lease| (lease.turn.to_string(), lease.lane))
        .collect()
}

/// The lane in which a turn was started last.
fn lane_of(story: &Story, turn: &str) -> u32 {
    let started = story
        .told
        .iter()
        .rev()
        .find_map(|recorded| match &recorded.event {
            Event::TurnStarted { turn: t, lane, .. } if t.to_string() == turn => Some(*lane),
            _ => None,
        });
    started.unwrap_or_else(|| panic!("{turn} was never started; {:?}", running(story)))
}

fn refuse(story: &mut Story, turn: &str) {
    let (why, usage) = ("429".to_owned(), used(0));
    let refused = TurnOutcome::Refused {
        retry_after: None,
        why,
        usage,
        outage: false,
    };
    story.end(turn, refused, None);
}

#[test]
fn a_task_starts_in_the_lane_of_the_task_that_made_it_ready() {
    let plan = vec![
        task("a", &[]),
        task("b", &[]),
        task("after-b", &["b"]),
        task("other", &[]),
        task("also-b", &["b"]),
    ];
    let mut story = Story::planned(terms(2), plan);
    // The longest path comes first.
    assert_eq!(lane_of(&story, "T2.1"), 1);
    story.hand_in("T2.1");
    // Nothing that needs it can start before it has landed, and lane 1 takes what was left.
    assert_eq!(lane_of(&story, "T4.1"), 1);
    story.gates(|_, _| false);
    story.land();
    story.hand_in("T4.1");
    assert_eq!(lane_of(&story, "T3.1"), 1);
    story.hand_in("T1.1");
    assert_eq!(
        lane_of(&story, "T5.1"),
        2,
        "a free lane takes what waits in another"
    );
}

#[test]
fn a_retry_prefers_the_lane_that_it_was_in() {
    let mut story = Story::planned(terms(3), tasks(3));
    assert_eq!(lane_of(&story, "T3.1"), 3);
    for turn in ["T3.1", "T2.1", "T1.1"] {
        let (why, usage) = ("gone".to_owned(), used(0));
        let failure = Failure::Overflow;
        story.end(
            turn,
            TurnOutcome::Failed {
                failure,
                why,
                usage,
            },
            None,
        );
    }
    story.wait(limits::BACKOFF_MOST);
    let lanes = ["T1.2", "T2.2", "T3.2"].map(|turn| lane_of(&story, turn));
    assert_eq!(lanes, [1, 2, 3]);
}

#[test]
fn what_is_low_rises_by_waiting_and_runs_before_what_is_high_and_shorter() {
    let low = TaskDraft {
        priority: Priority::Low,
        ..task("low", &[])
    };
    let high = |n: usize| TaskDraft {
        priority: Priority::High,
        ..task(&format!("h{n}"), &[])
    };
    // What follows the low one makes its path the longer one.
    let mut plan = vec![low, task("after", &["low"])];
    plan.extend((0..10).map(high));
    let mut story = Story::planned(terms(1), plan);
    let first = |story: &Story| running(story)[0].0.clone();
    let mut order = vec![first(&story)];
    for _ in 0..3 {
        story.wait(Millis::from_mins(14));
        story.hand_in(&first(&story));
        order.push(first(&story));
    }
    assert_eq!(order, ["T3.1", "T4.1", "T5.1", "T1.1"]);
}

/// Lets every Worker hand in, one after the other, until nobody works; tells how many ran at once at the most.
fn carry_all(story: &mut Story) -> usize {
    let mut most = 0;
    while let Some((turn, _)) = running(story).first().cloned() {
        let lanes: std::collections::BTreeSet<u32> =
            running(story).iter().map(|(_, lane)| *lane).collect();
        assert_eq!(lanes.len(), running(story).len(), "a lane has two Workers");
        most = most.max(lanes.len());
        story.hand_in(&turn);
        story.gates(|_, _| false);
        while story.mission.landing().is_some() {
            story.land();
        }
    }
    story.gates(|_, _| false);
    while story.mission.landing().is_some() {
        story.land();
        story.gates(|_, _| false);
    }
    most
}

#[test]
fn sixty_tasks_at_a_limit_of_ten_never_peak_above_ten() {
    let mut story = Story::planned(terms(10), tasks(60));
    assert_eq!(running(&story).len(), 10);
    assert_eq!(carry_all(&mut story), 10);
    assert_eq!(story.mission.outcome(), Some(Outcome::Completed));
    assert_eq!(story.worked().len(), 60);
}

#[test]
fn fifty_waiters_are_woken_as_slots_grow() {
    let mut story = Story::planned(terms(32), tasks(60));
    assert_eq!(running(&story).len(), limits::SLOTS_FIRST as usize);
    let mut seen = Vec::new();
    for n in 1..=24 {
        let (turn, _) = running(&story)[0].clone();
        story.hand_in(&turn);
        let slots = story.mission.worker_slots().now();
        assert_eq!(slots, limits::SLOTS_FIRST + n / limits::SLOTS_GROW);
        assert_eq!(
            running(&story).len(),
            slots as usize,
            "a new slot wakes a waiter at once"
        );
        seen.push(slots);
    }
    assert_eq!(seen.last(), Some(&18));
    assert!(carry_all(&mut story) > 18);
    assert_eq!(story.mission.outcome(), Some(Outcome::Completed));
    assert_eq!(story.worked().len(), 60);
}

#[test]
fn refusals_take_slots_and_turns_that_go_well_give_them_back() {
    let mut story = Story::planned(terms(3), tasks(20));
    assert_eq!(running(&story).len(), 3);
    refuse(&mut story, "T1.1");
    let slots = |story: &Story| story.mission.worker_slots().now();
    assert_eq!(slots(&story), 3, "one refusal may be chance");
    refuse(&mut story, "T2.1");
    assert_eq!(slots(&story), 2);
    // Whoever was at work stays at it, and nobody begins before the provider may be asked again.
    assert_eq!(running(&story).len(), 1);
    let held = story.mission.next_wake(story.now).unwrap();
    story.wait(held.since(story.now));
    assert_eq!(running(&story).len(), 2);
    let waits = story.mission.waits(story.now);
    let told = "a free Worker; 2 of 3 at once, and one more when 3 turns in a row go well";
    assert!(waits.iter().any(|wait| wait.cause == told), "{waits:?}");
    for _ in 0..3 {
        let (turn, _) = running(&story)[0].clone();
        story.hand_in(&turn);
    }
    assert_eq!(running(&story).len(), 3);
    let works = |turn: &Turn| turn.role() == Role::Worker;
    assert!(story.mission.leases().all(|(_, lease)| works(&lease.turn)));
}

fn with_resource(key: &str, needs: &[&str]) -> TaskDraft {
    TaskDraft {
        resources: vec!["port-8080".into()],
        ..task(key, needs)
    }
}

fn names(story: &Story) -> Vec<String> {
    running(story).into_iter().map(|(turn, _)| turn).collect()
}

fn causes(story: &Story) -> Vec<String> {
    let waits = story.mission.waits(story.now);
    let told = waits.iter();
    told.map(|wait| format!("{}: {}", wait.who, wait.cause))
        .collect()
}

#[test]
fn no_two_tasks_that_name_a_resource_run_at_once_and_others_pass() {
    let plan = vec![
        with_resource("a", &[]),
        with_resource("b", &[]),
        task("c", &[]),
        task("d", &[]),
    ];
    let mut story = Story::planned(terms(3), plan);
    assert_eq!(names(&story), ["T1.1", "T3.1", "T4.1"]);
    let told = causes(&story);
    let wanted = "T2: port-8080, which T1.1 has".to_owned();
    assert!(told.contains(&wanted), "{told:?}");
    story.hand_in("T3.1");
    assert_eq!(names(&story), ["T1.1", "T4.1"]);
    story.gates(|_, _| false);
    story.hand_in("T1.1");
    // The check of what was handed in needs the port as well, and comes first.
    assert_eq!(names(&story), ["T4.1"]);
    let told = causes(&story);
    let wanted = "T2: port-8080, which the check T1/accept-1 has".to_owned();
    assert!(told.contains(&wanted), "{told:?}");
    story.gates(|_, _| false);
    assert_eq!(names(&story), ["T4.1", "T2.1"]);
    story.land();
    // Now the landing of the first waits for the port.
    story.stack();
    let told = causes(&story);
    let wanted = "landing 2: port-8080, which T2.1 has".to_owned();
    assert!(told.contains(&wanted), "{told:?}");
    story.hand_in("T2.1");
    story.gates(|_, _| false);
    story.move_line();
    assert_eq!(carry_all(&mut story), 1);
    assert_eq!(story.mission.outcome(), Some(Outcome::Completed));
    assert_eq!(story.mission.held().count(), 0);
}

#[test]
fn a_resource_is_free_after_every_ending() {
    type End = fn(&mut Story);
    let ends: [(&str, End); 5] = [
        ("refused", |story| refuse(story, "T1.1")),
        ("failed", |story| {
            let (why, usage) = ("gone".to_owned(), used(0));
            let failure = Failure::Transient;
            story.end(
                "T1.1",
                TurnOutcome::Failed {
                    failure,
                    why,
                    usage,
                },
                None,
            );
        }),
        ("expired", |story| {
            let epoch = story.epoch("T1.1");
            let deadline = story.mission.lease(epoch).unwrap().deadline;
            story.wait(deadline.since(story.now));
        }),
        ("cancelled", |story| {
            story.tell(Input::Cancel { by: "me".into() });
        }),
        ("handed in", |story| {
            story.hand_in("T1.1");
            story.gates(|_, _| false);
        }),
    ];
    for (name, end) in ends {
        let plan = vec![with_resource("a", &[]), with_resource("b", &[])];
        let mut story = Story::planned(terms(2), plan);
        assert_eq!(names(&story), ["T1.1"]);
        end(&mut story);
        if story.mission.outcome().is_some() {
            assert_eq!(story.mission.held().count(), 0, "{name}");
            story.tell(Input::Resume {
                by: "me".into(),
                more_tokens: 0,
                more_money: 0,
                replan: false,
            });
        }
        // A provider that refused is asked again later.
        let held = story
            .mission
            .held_providers()
            .next()
            .map(|(_, hold)| hold.until);
        story.wait(held.map_or(Millis(0), |until| until.since(story.now)));
        assert_eq!(
            running(&story).len(),
            1,
            "{name}: nobody has it, and nobody starts"
        );
        assert_eq!(story.mission.held().count(), 1, "{name}");
    }
}

#[test]
fn a_heavy_task_takes_its_slots_and_no_lighter_one_passes_it() {
    let heavy = TaskDraft {
        weight: Some(2),
        ..task("heavy", &["a"])
    };
    let light = ["a", "b", "c", "d", "e", "f", "g"].map(|key| task(key, &[]));
    let plan: Vec<TaskDraft> = light.into_iter().chain([heavy]).collect();
    let mut story = Story::planned(terms(3), plan);
    story.hand_in("T1.1");
    assert_eq!(names(&story), ["T2.1", "T3.1", "T4.1"]);
    story.gates(|_, _| false);
    story.land();
    story.hand_in("T2.1");
    assert_eq!(
        names(&story),
        ["T3.1", "T4.1"],
        "one slot is left, and T8 takes two"
    );
    story.hand_in("T3.1");
    assert_eq!(names(&story), ["T4.1", "T8.1"]);
    story.hand_in("T4.1");
    assert_eq!(names(&story), ["T8.1", "T7.1"]);
    story.hand_in("T8.1");
    assert_eq!(running(&story).len(), 3);
}

#[test]
fn a_task_that_takes_more_slots_than_there_are_takes_all_of_them() {
    let heavy = TaskDraft {
        weight: Some(4),
        ..task("heavy", &[])
    };
    let mut story = Story::planned(terms(2), vec![task("a", &[]), heavy]);
    assert_eq!(names(&story), ["T2.1"]);
    story.hand_in("T2.1");
    assert_eq!(names(&story), ["T1.1"]);
}

fn paths(story: &Story) -> Vec<u64> {
    story.mission.tasks().map(|task| task.path).collect()
}

#[test]
fn the_longest_remaining_path_counts_sizes_until_durations_are_known() {
    let sized = |key: &str, needs: &[&str], size| TaskDraft {
        size,
        ..task(key, needs)
    };
    let plan = vec![
        task("a", &[]),
        task("b", &["a"]),
        sized("c", &["a"], Size::Large),
        task("d", &["b", "c"]),
        sized("s1", &[], Size::Small),
        sized("s2", &[], Size::Small),
        sized("s3", &[], Size::Small),
        task("m1", &[]),
        task("m2", &[]),
        task("m3", &[]),
    ];
    let mut story = Story::planned(terms(7), plan);
    assert_eq!(
        paths(&story),
        [3 + 8 + 3, 3 + 3, 8 + 3, 3, 1, 1, 1, 3, 3, 3]
    );
    let expected = |story: &Story, size| story.mission.durations().expected(TaskKind::Agent, size);
    for turn in ["T5.1", "T6.1"] {
        story.wait(Millis::from_mins(5));
        story.hand_in(turn);
        assert_eq!(expected(&story, Size::Small), None, "two say little");
    }
    story.wait(Millis::from_mins(5));
    story.hand_in("T7.1");
    // They took 5, 10 and 15 minutes; of the other sizes nothing is known but their weight.
    let mins = |n| Some(Millis::from_mins(n));
    let known = [Size::Small, Size::Medium, Size::Large].map(|size| expected(&story, size));
    assert_eq!(known, [mins(10), mins(30), mins(80)]);
    assert_eq!(
        paths(&story)[0],
        3 + 8 + 3,
        "which tells nothing of what comes first"
    );
    // Now three of another size are done, in much less time than their size says.
    for turn in ["T8.1", "T9.1", "T10.1"] {
        story.wait(Millis::from_mins(5));
        story.hand_in(turn);
    }
    let known = [Size::Small, Size::Medium].map(|size| expected(&story, size));
    assert_eq!(known, [mins(10), mins(25)]);
    // Of 105 minutes for what weighs 12, what weighs 8 has 70.
    assert_eq!(expected(&story, Size::Large), mins(70));
    let told = paths(&story);
    assert_eq!(told[0], Millis::from_mins(25 + 70 + 25).0);
    assert_eq!(told[1], Millis::from_mins(25 + 25).0);
}

#[test]
fn a_turn_in_which_nobody_ran_the_mission_tells_nothing_of_durations() {
    let mut story = Story::planned(terms(3), tasks(9));
    story.now = story.now + Millis::from_mins(600);
    story.tell(Input::Woke { seen: None });
    for turn in ["T1.1", "T2.1", "T3.1"] {
        story.hand_in(turn);
    }
    assert_eq!(story.mission.durations().seen(), 0);
    story.wait(Millis::from_mins(1));
    let next = names(&story)[0].clone();
    story.hand_in(&next);
    assert_eq!(story.mission.durations().seen(), 1);
}

#[test]
fn how_long_a_task_takes_is_all_that_its_attempt_was_worked_at() {
    let mut story = Story::planned(terms(1), tasks(2));
    // It is refused after nine minutes, and done in one more after it was waited for.
    story.wait(Millis::from_mins(9));
    refuse(&mut story, "T1.1");
    let held = story.mission.next_wake(story.now).unwrap();
    story.wait(held.since(story.now));
    story.wait(Millis::from_mins(1));
    story.hand_in("T1.1");
    let took = |story: &Story| story.mission.durations().took()[0].all;
    assert_eq!(took(&story), Millis::from_mins(10));
    // What an attempt before it was worked at is no part of it.
    story.wait(Millis::from_mins(30));
    let (why, usage) = ("gone".to_owned(), used(0));
    let failure = Failure::Overflow;
    let gone = TurnOutcome::Failed {
        failure,
        why,
        usage,
    };
    story.end("T2.1", gone, None);
    story.wait(limits::BACKOFF_MOST);
    story.wait(Millis::from_mins(5));
    story.hand_in("T2.2");
    assert_eq!(took(&story), Millis::from_mins(15));
}

#[test]
fn what_workers_gained_is_told_of_their_work_alone_as_it_is_predicted() {
    let plan = |needs: &[&str]| vec![task("a", &[]), task("b", needs)];
    let mut side_by_side = Story::planned(terms(2), plan(&[]));
    side_by_side.wait(Millis::from_mins(10));
    side_by_side.hand_in("T1.1");
    side_by_side.hand_in("T2.1");
    side_by_side.wait(Millis::from_mins(40));
    let mut in_a_row = Story::planned(terms(2), plan(&["a"]));
    for turn in ["T1.1", "T2.1"] {
        in_a_row.wait(Millis::from_mins(10));
        in_a_row.hand_in(turn);
        // The check takes longer than the work.
        in_a_row.wait(Millis::from_mins(20));
        in_a_row.gates(|_, _| false);
        in_a_row.land();
    }
    for (story, gain) in [(side_by_side, 20), (in_a_row, 10)] {
        assert_eq!(story.mission.fan().unwrap().predicted, gain);
        assert_eq!(story.mission.gain(), Some(gain));
    }
}

#[test]
fn work_of_a_few_lines_is_done_in_one_lane_and_it_is_said_why() {
    let small = |n: usize| TaskDraft {
        size: Size::Small,
        ..task(&format!("t{n}"), &[])
    };
    let mut story = Story::planned(terms(3), (1..=3).map(small).collect());
    let fan = story.mission.fan().unwrap();
    assert_eq!(
        (fan.lanes, fan.narrow, fan.predicted),
        (1, Some(Narrow::Tiny { gain: 30 }), 10)
    );
    assert_eq!(carry_all(&mut story), 1);
    let lanes = ["T1.1", "T2.1", "T3.1"].map(|turn| lane_of(&story, turn));
    assert_eq!(lanes, [1, 1, 1], "no other workspace is set up");
    let four = Story::planned(terms(3), (1..=4).map(small).collect());
    assert_eq!(running(&four).len(), 3);
    assert_eq!(four.mission.fan().unwrap().predicted, 20);
}

#[test]
fn how_many_lanes_a_narrow_graph_gains_by_is_told_with_its_reason() {
    let lines = |n: usize| {
        let chain = |c: usize| {
            (0..8).map(move |k| {
                let need = format!("c{c}-{}", k - usize::from(k > 0));
                let needs: Vec<&str> = (k > 0).then_some(need.as_str()).into_iter().collect();
                task(&format!("c{c}-{k}"), &needs)
            })
        };
        (0..n).flat_map(chain).collect::<Vec<_>>()
    };
    for chains in [1, 2, 5, 9] {
        let story = Story::planned(terms(12), lines(chains as usize));
        let fan = story.mission.fan().unwrap();
        let narrow = Some(Narrow::Graph { overlaps: 0 });
        assert_eq!(
            (fan.enough, fan.narrow),
            (chains, narrow),
            "{chains} chains"
        );
        assert_eq!(fan.lanes, chains, "no more can ever run at once");
        assert_eq!(fan.predicted, u64::from(chains) * 10);
    }
    let wide = Story::planned(terms(12), tasks(60));
    assert_eq!(wide.mission.fan().unwrap().narrow, None);
    let overlapping = |n: usize| TaskDraft {
        writes: vec!["src/one.rs".into()],
        ..task(&format!("t{n}"), &[])
    };
    let story = Story::planned(terms(12), (0..9).map(overlapping).collect());
    let narrow = story.mission.fan().unwrap().narrow;
    assert_eq!(narrow, Some(Narrow::Graph { overlaps: 8 }));
}

#[test]
fn the_critical_path_is_predicted_and_told_as_it_came() {
    let large = TaskDraft {
        size: Size::Large,
        ..task("c", &["a"])
    };
    let plan = vec![
        task("a", &[]),
        task("b", &["a"]),
        large,
        task("d", &["b", "c"]),
    ];
    let mut story = Story::planned(terms(3), plan);
    let predicted = story.mission.critical_path().unwrap();
    assert_eq!(predicted.tasks, [1, 3, 4].map(TaskId));
    assert_eq!((predicted.weight, predicted.expected), (3 + 8 + 3, None));
    assert_eq!(story.mission.actual_path(), None);
    // It comes otherwise: what was large is done at once, and T2 takes long.
    for (turn, minutes) in [("T1.1", 10), ("T3.1", 1), ("T2.1", 29), ("T4.1", 5)] {
        story.wait(Millis::from_mins(minutes));
        story.hand_in(turn);
        story.gates(|_, _| false);
        story.land();
    }
    let (path, took) = story.mission.actual_path().unwrap();
    assert_eq!(path, [1, 2, 4].map(TaskId));
    assert_eq!(took, Millis::from_mins(45));
    // T2 and T3 ran beside each other for a minute.
    assert_eq!(story.mission.gain(), Some(10));
    assert!(story.mission.critical_path().unwrap().expected.is_some());
}
