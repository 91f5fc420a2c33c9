//! The merge queue.

use crate::teller::{Story, commit, project_gate, task, tree};
use mission::command::Command;
use mission::gate::GateResult;
use mission::input::Input;
use mission::judge::Baseline;
use mission::limits;
use mission::mission::State;
use mission::seal::Outcome;
use mission::terms::Terms;
use mission::turn::{Answer, Outcome as TurnOutcome};
use mission::work::Work;

#[test]
fn an_attempt_that_is_red_when_combined_leaves_the_queue_and_is_tried_again() {
    let mut story = Story::planned(Terms::default(), vec![task("a", &[])]);
    story.hand_in("T1.1");
    story.gates(|_, _| false);
    story.review("T1.1/review.1", true);
    story.stack();
    story.gates(|_, on| *on == tree("stack 1"));
    assert!(
        matches!(story.state(1), State::Working { .. }),
        "{:?}",
        story.state(1)
    );
    assert_eq!(story.count("landing_started"), 1);
    story.carry("T1.2");
    assert_eq!(story.mission.outcome(), Some(Outcome::Completed));
}

#[test]
fn a_line_that_somebody_moved_halts_the_mission_instead_of_being_tried_for_ever() {
    let mut story = Story::planned(Terms::default(), vec![task("a", &[])]);
    story.hand_in("T1.1");
    story.gates(|_, _| false);
    story.review("T1.1/review.1", true);
    story.stack();
    story.gates(|_, _| false);
    let (commit, tree) = (commit("elsewhere"), tree("elsewhere"));
    story.tell(Input::Moved { n: 1, commit, tree });
    assert_eq!(story.mission.outcome(), Some(Outcome::Failed));
    assert_eq!(story.count("landing_started"), 1);
}

#[test]
fn a_move_that_was_given_up_and_was_made_all_the_same_is_in_nobodys_way() {
    let mut story = Story::planned(Terms::default(), vec![task("a", &[]), task("b", &[])]);
    story.hand_in("T1.1");
    story.gates(|_, _| false);
    story.review("T1.1/review.1", true);
    story.stack();
    story.gates(|_, _| false);
    assert_eq!(story.due().last().unwrap(), "move 1");
    story.wait(limits::STEP);
    assert_eq!(story.mission.outcome(), Some(Outcome::Failed));
    assert_eq!(story.mission.landed(), 0);
    story.tell(Input::Resume {
        by: "me".into(),
        more_tokens: 0,
        more_money: 0,
        replan: false,
    });
    story.stack();
    story.gates(|_, _| false);
    let due = story.mission.due();
    let moved = due.iter().find_map(|command| match command {
        Command::Move { from, adrift, .. } => Some((from.clone(), adrift.clone())),
        _ => None,
    });
    let adrift = [commit("stack 1 T1.1")].into();
    assert_eq!(moved, Some((commit("base"), adrift)));
    story.move_line();
    assert_eq!(story.mission.landed(), 1);
}

#[test]
fn a_gate_that_is_red_once_on_the_base_and_lost_ever_after_is_red() {
    let mut story = Story::open(Terms::default());
    story.prepare(vec![project_gate("test")]);
    let gate = project_gate("test");
    let (epoch, _) = story.mission.gate_leases().next().unwrap();
    let run = crate::teller::run_of(&gate, &tree("base"), false);
    story.tell(Input::GateRan { epoch, run });
    for _ in 0..3 {
        let (epoch, _) = story.mission.gate_leases().next().unwrap();
        story.tell(Input::GateLost {
            epoch,
            why: "killed".into(),
        });
    }
    assert_eq!(story.mission.baseline(&gate), Some(Baseline::Red));
    assert_eq!(story.mission.gate_leases().count(), 0);
}

#[test]
fn an_attempt_whose_tree_was_proved_before_is_not_gated_again_and_goes_on() {
    let mut story = Story::planned(Terms::default(), vec![task("a", &[])]);
    let same = |attempt: &str, story: &mut Story| {
        let work = Work {
            tree: tree("same"),
            ..crate::teller::work(attempt)
        };
        let answer = Answer::Report(crate::teller::done());
        let outcome = TurnOutcome::Answered {
            answer,
            usage: crate::teller::used(1),
        };
        story.end(attempt, outcome, Some(work));
    };
    same("T1.1", &mut story);
    story.gates(|_, _| false);
    story.review("T1.1/review.1", false);
    same("T1.2", &mut story);
    story.review("T1.2/review.1", true);
    story.land();
    assert_eq!(story.mission.outcome(), Some(Outcome::Completed));
}

#[test]
fn a_run_before_the_work_that_the_machine_keeps_losing_does_not_hold_the_seal_up() {
    let mut story = Story::planned(Terms::default(), vec![task("a", &[])]);
    story.hand_in("T1.1");
    let (epoch, lease) = story.mission.gate_leases().next().unwrap();
    let run = crate::teller::run_of(&lease.gate, &lease.tree, true);
    story.tell(Input::GateRan { epoch, run });
    for _ in 0..3 {
        let (epoch, _) = story.mission.gate_leases().next().unwrap();
        story.tell(Input::GateLost {
            epoch,
            why: "killed".into(),
        });
    }
    story.review("T1.1/review.1", true);
    story.land();
    assert_eq!(story.mission.outcome(), Some(Outcome::Unverified));
}

#[test]
fn the_good_part_of_a_red_stack_lands_and_what_is_red_is_found() {
    let keys = ["a", "b", "c", "d"];
    let terms = Terms {
        workers: 4,
        ..Terms::default()
    };
    let mut story = Story::open(terms);
    story.prepare(vec![project_gate("test")]);
    story.gates(|_, _| false);
    let goal = "all of it".to_owned();
    story.answer(
        "intent.1",
        Answer::Intent(mission::turn::Intent::Plan { goal }),
    );
    let tasks = keys.map(|key| task(key, &[])).to_vec();
    story.answer("plan.1", Answer::Plan(mission::plan::Draft { tasks }));
    for n in 1..=4 {
        story.hand_in(&format!("T{n}.1"));
    }
    story.gates(|_, _| false);
    for n in 1..=4 {
        story.review(&format!("T{n}.1/review.1"), true);
    }
    // What holds the third attempt is red together with anything, and alone.
    let mut stacks = Vec::new();
    while story.due().iter().any(|due| due.starts_with("stack")) {
        let due = story.mission.due();
        let held = due.iter().find_map(|command| match command {
            Command::Stack { attempts, .. } => Some(
                attempts
                    .iter()
                    .map(|(attempt, _)| attempt.to_string())
                    .collect::<Vec<_>>(),
            ),
            _ => None,
        });
        let held = held.unwrap();
        let red = held.iter().any(|attempt| attempt == "T3.1");
        story.stack();
        let landing = story.mission.landing().cloned();
        let top = landing.and_then(|landing| landing.top).unwrap().1;
        story.gates(|_, on| red && *on == top);
        if !red {
            story.move_line();
        }
        stacks.push(held.len());
    }
    for (n, landed) in [(1, true), (2, true), (3, false), (4, true)] {
        let is_landed = matches!(story.state(n), State::Landed);
        assert_eq!(
            is_landed,
            landed,
            "T{n} is {:?}; stacks {stacks:?}",
            story.state(n)
        );
    }
    assert_eq!(stacks.iter().max(), Some(&3), "{stacks:?}");
    assert!(
        matches!(story.state(3), State::Working { .. }),
        "it is tried again"
    );
}

/// Six tasks whose Workers all hand in, and of which the first is accepted while the others are still to be proved.
fn one_of_six_is_accepted(needed: bool) -> Story {
    let terms = Terms {
        workers: 6,
        review_rounds: 0,
        ..Terms::default()
    };
    let mut tasks = ["a", "b", "c", "d", "e", "f"]
        .map(|key| task(key, &[]))
        .to_vec();
    if needed {
        tasks.push(task("g", &["a"]));
    }
    let mut story = Story::planned(terms, tasks);
    for n in 1..=6 {
        story.hand_in(&format!("T{n}.1"));
    }
    story.gate_ends(GateResult::Passed);
    story
}

#[test]
fn attempts_that_are_being_proved_are_waited_for_and_land_as_one_stack() {
    let mut story = one_of_six_is_accepted(false);
    for _ in 2..=4 {
        assert_eq!(story.count("landing_started"), 0);
        story.gate_ends(GateResult::Passed);
    }
    // The fifth fills the stack up, and nobody waits for the sixth.
    assert_eq!(story.count("landing_started"), 0);
    story.gate_ends(GateResult::Passed);
    assert_eq!(story.mission.landing().map(|l| l.attempts.len()), Some(5));
}

#[test]
fn what_is_proved_last_lands_with_the_others() {
    let mut story = one_of_six_is_accepted(false);
    story.gate_ends(GateResult::Passed);
    for _ in 3..=5 {
        story.gate_ends(GateResult::Failed { exit: 1 });
    }
    assert_eq!(story.count("landing_started"), 0);
    story.gate_ends(GateResult::Passed);
    assert_eq!(story.mission.landing().map(|l| l.attempts.len()), Some(3));
}

#[test]
fn an_attempt_that_comes_again_is_not_waited_for_once_more() {
    let mut story = one_of_six_is_accepted(false);
    for _ in 2..=5 {
        story.gate_ends(GateResult::Failed { exit: 1 });
    }
    story.hand_in("T2.2");
    assert_eq!(story.count("landing_started"), 0, "the sixth is proved");
    story.gate_ends(GateResult::Failed { exit: 1 });
    let landing = story.mission.landing();
    assert_eq!(landing.map(|landing| landing.attempts.len()), Some(1));
}

#[test]
fn what_somebody_waits_for_lands_at_once() {
    let story = one_of_six_is_accepted(true);
    assert_eq!(story.mission.landing().map(|l| l.attempts.len()), Some(1));
}

#[test]
fn an_attempt_that_is_turned_down_is_waited_for_no_longer() {
    let mut story = one_of_six_is_accepted(false);
    for _ in 2..=6 {
        assert_eq!(story.count("landing_started"), 0);
        story.gate_ends(GateResult::Failed { exit: 1 });
    }
    assert_eq!(story.mission.landing().map(|l| l.attempts.len()), Some(1));
}
