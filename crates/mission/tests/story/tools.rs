//! The tools by which gates judge change while a mission stands still.

use crate::teller::{Story, done, project_gate, task, tree, used, work};
use mission::gate::{GateResult, TestCount};
use mission::input::Input;
use mission::mission::State;
use mission::plan::Draft;
use mission::seal::{Grade, Outcome as Sealed};
use mission::terms::Terms;
use mission::turn::{Answer, ChangedTest, Intent, Outcome, Report};
use mission::work::{TestFacts, Work};

/// Two tasks, one after the other, in a project with tests of its own; the first has landed.
fn half_done() -> Story {
    let mut story = Story::open(Terms::default());
    story.prepare(vec![project_gate("test")]);
    story.gates(|_, _| false);
    let goal = "all of it".into();
    story.answer("intent.1", Answer::Intent(Intent::Plan { goal }));
    let tasks = vec![task("a", &[]), task("b", &["a"])];
    story.answer("plan.1", Answer::Plan(Draft { tasks }));
    story.carry("T1.1");
    assert_eq!(story.state(1), &State::Landed);
    story
}

#[test]
fn what_lands_with_other_tools_is_proved_with_them_and_nothing_is_worked_again() {
    let mut story = half_done();
    let before = story.count("gate_ended");
    story.tools = "newer";
    story.carry("T2.1");
    assert_eq!(story.mission.outcome(), Some(Sealed::Completed));
    assert_eq!(story.count("environment_changed"), 1);
    assert_eq!(story.worked(), ["T1.1", "T2.1"]);
    // The first task was proved with the older ones, and what it was worth then it is worth now.
    for task in story.mission.tasks() {
        assert_eq!(story.mission.grade(task.task.id), Grade::Landed);
    }
    let (_, head) = story.mission.head().unwrap();
    let gates = story.mission.tasks().flat_map(|task| &task.task.acceptance);
    for gate in gates.chain(story.mission.gates()) {
        let found = story.mission.evidence(head, &gate.command());
        assert!(
            found.is_some(),
            "{} is proved by what it said before",
            gate.id
        );
    }
    // The project's tests on the base and on the whole, each task's own; twice what the second needed before the change
    // was noticed.
    assert_eq!(story.count("gate_ended") - before, 6);
}

#[test]
fn what_is_red_with_other_tools_does_not_land() {
    let mut story = half_done();
    story.tools = "newer";
    story.hand_in("T2.1");
    story.gates(|line, of| line == "run test" && *of == tree("base"));
    story.review("T2.1/review.1", true);
    story.stack();
    assert_eq!(story.mission.outcome(), None);
    // It was green on the base with the older tools, and is red there with these: then it must not get worse.
    story.gates(|line, _| line == "run test");
    story.move_line();
    story.gates(|line, _| line == "run test");
    assert_eq!(story.mission.outcome(), Some(Sealed::Completed));
}

#[test]
fn a_landing_that_may_be_moving_stays_green_until_it_has_moved() {
    let mut story = Story::planned(Terms::default(), vec![task("a", &[]), task("b", &[])]);
    story.hand_in("T1.1");
    story.gates(|_, _| false);
    story.review("T1.1/review.1", true);
    story.stack();
    story.gates(|_, _| false);
    story.hand_in("T2.1");
    story.tools = "newer";
    // The move is due, and may be done already.
    assert!(story.due().iter().any(|due| due.starts_with("move")));
    story.gate_ends(GateResult::Passed);
    assert_eq!(story.count("environment_changed"), 0);
    story.move_line();
    story.gates(|_, _| false);
    assert_eq!(story.count("environment_changed"), 1);
    story.review("T2.1/review.1", true);
    story.land();
    story.gates(|_, _| false);
    assert_eq!(story.mission.outcome(), Some(Sealed::Completed));
    story.tell(Input::Tick);
}

#[test]
fn who_goes_back_to_the_older_tools_finds_what_was_proved_with_them() {
    let tasks = vec![task("a", &[]), task("b", &[])];
    let mut story = Story::planned(Terms::default(), tasks);
    story.hand_in("T1.1");
    story.gates(|_, _| false);
    story.review("T1.1/review.1", false);
    story.hand_in("T2.1");
    story.tools = "newer";
    story.gate_ends(GateResult::Passed);
    // The second attempt is the first one again, and a gate of another task runs.
    let answer = Answer::Report(done());
    let usage = used(1_000);
    let outcome = Outcome::Answered { answer, usage };
    story.end("T1.2", outcome, Some(work("T1.1")));
    assert_eq!(story.state(1), &State::Checking);
    story.tools = "environment";
    story.gate_ends(GateResult::Failed { exit: 1 });
    assert_eq!(story.count("environment_changed"), 2);
    assert_ne!(story.state(1), &State::Checking, "it would wait for ever");
}

/// Runs due gates; the project's tests are three on the base and two on everything after it.
fn counted(story: &mut Story) {
    while let Some((epoch, mut run)) = story.gate(|_, _| false) {
        let passed = if run.tree == tree("base") { 3 } else { 2 };
        run.tests = (run.gate == "test").then(|| TestCount {
            passed,
            failed: Vec::new(),
            unnamed: 0,
            skipped: 0,
        });
        story.tell(Input::GateRan { epoch, run });
    }
}

#[test]
fn a_test_that_was_removed_on_purpose_is_not_missed_with_other_tools() {
    let mut story = Story::open(Terms::default());
    story.prepare(vec![project_gate("test")]);
    counted(&mut story);
    let goal = "all of it".into();
    story.answer("intent.1", Answer::Intent(Intent::Plan { goal }));
    let tasks = vec![task("a", &[]), task("b", &["a"])];
    story.answer("plan.1", Answer::Plan(Draft { tasks }));
    let removed = "tests/old".to_owned();
    let answer = Answer::Report(Report::Done {
        summary: "it is gone".into(),
        changed_tests: vec![ChangedTest {
            path: removed.clone(),
            why: "it tested what is gone".into(),
        }],
        notes: Vec::new(),
    });
    let facts = TestFacts {
        removed: vec![removed],
        ..TestFacts::default()
    };
    let usage = used(1);
    let work = Work {
        tests: facts,
        ..work("T1.1")
    };
    story.end("T1.1", Outcome::Answered { answer, usage }, Some(work));
    counted(&mut story);
    story.review("T1.1/review.1", true);
    story.stack();
    counted(&mut story);
    story.move_line();
    assert_eq!(story.state(1), &State::Landed);
    // With these the base is looked at again, and what has landed is not.
    story.tools = "newer";
    story.hand_in("T2.1");
    counted(&mut story);
    story.review("T2.1/review.1", true);
    story.stack();
    counted(&mut story);
    story.move_line();
    assert_eq!(story.state(2), &State::Landed);
}
