//! What is proved, how strongly, and what a mission ends as because of it.

use crate::teller::{Story, commit, project_gate, run_of, task, tree, used, work};
use mission::event::Purpose;
use mission::gate::{GateResult, GateRun, TestCount};
use mission::ids::{Epoch, TaskId};
use mission::input::Input;
use mission::mission::GateLease;
use mission::plan::{Draft, TaskDraft, TaskKind};
use mission::seal::{Grade, Outcome};
use mission::terms::Terms;
use mission::turn::{Answer, ChangedTest, Intent, Outcome as TurnOutcome, Report};
use mission::work::{TestFacts, Work};

fn of_kind(kind: TaskKind) -> TaskDraft {
    TaskDraft {
        kind,
        ..task("a", &[])
    }
}

#[test]
fn a_plan_that_only_looks_is_never_completed() {
    let mut story = Story::planned(Terms::default(), vec![of_kind(TaskKind::Gate)]);
    story.gates(|_, _| false);
    assert_eq!(story.mission.outcome(), Some(Outcome::Unverified));
    assert!(story.mission.reasons()[0].contains("no task changed anything"));
}

#[test]
fn a_plan_that_only_asks_nobody_is_never_completed() {
    let terms = Terms {
        attended: false,
        ..Terms::default()
    };
    let mut story = Story::planned(terms, vec![of_kind(TaskKind::Ask)]);
    story.gates(|_, _| false);
    assert_eq!(story.mission.outcome(), Some(Outcome::Unverified));
    let told = story.mission.reasons().join("; ");
    assert!(told.contains("nobody answered T1"), "{told}");
}

#[test]
fn a_small_change_is_one_task_for_a_worker_and_nothing_else() {
    for tasks in [
        vec![of_kind(TaskKind::Gate)],
        vec![task("a", &[]), task("b", &[])],
    ] {
        let mut story = Story::open(Terms::default());
        story.prepare(Vec::new());
        let plan = Draft { tasks };
        story.answer("intent.1", Answer::Intent(Intent::Small { plan }));
        assert_eq!(story.due(), ["turn plan.1 #2"]);
        assert!(story.mission.plan_faults()[0].contains("exactly one task"));
    }
}

#[test]
fn the_grade_of_a_task_grows_with_what_was_run() {
    let mut story = Story::planned(Terms::default(), vec![task("a", &[])]);
    let grade = |story: &Story| story.mission.grade(TaskId(1));
    assert_eq!(grade(&story), Grade::Claimed);
    story.hand_in("T1.1");
    assert_eq!(grade(&story), Grade::Claimed);
    story.gates(|_, _| false);
    assert_eq!(grade(&story), Grade::Discriminating);
    story.review("T1.1/review.1", true);
    story.land();
    story.gates(|_, _| false);
    assert_eq!(grade(&story), Grade::Landed);
    assert_eq!(story.mission.outcome(), Some(Outcome::Completed));
}

fn next_gate(story: &Story) -> Option<(Epoch, GateLease)> {
    let (epoch, lease) = story.mission.gate_leases().next()?;
    Some((epoch, lease.clone()))
}

/// Runs every gate; the task's own command was green before the work as well.
fn always_green(story: &mut Story) {
    while let Some((epoch, lease)) = next_gate(story) {
        let mut run = run_of(&lease.gate, &lease.tree, true);
        if !matches!(lease.purpose, Purpose::Before { .. }) {
            run.tests = Some(counted(3, 0, 0));
        }
        story.tell(Input::GateRan { epoch, run });
    }
}

#[test]
fn a_command_that_was_green_before_proves_only_that_nothing_broke() {
    let mut story = Story::planned(Terms::default(), vec![task("a", &[])]);
    story.hand_in("T1.1");
    always_green(&mut story);
    story.review("T1.1/review.1", true);
    story.stack();
    always_green(&mut story);
    story.move_line();
    always_green(&mut story);
    assert_eq!(story.mission.grade(TaskId(1)), Grade::RegressionOnly);
    assert_eq!(story.mission.outcome(), Some(Outcome::Completed));
}

fn counted(passed: u32, unnamed: u32, skipped: u32) -> TestCount {
    TestCount {
        passed,
        failed: Vec::new(),
        unnamed,
        skipped,
    }
}

/// A story whose one task waits on the stack for the project's tests. The base ends as told.
fn stacked(base: GateResult, tests: TestCount, report: Report, facts: TestFacts) -> Story {
    let mut story = Story::open(Terms::default());
    story.prepare(vec![project_gate("test")]);
    for _ in 0..2 {
        let Some((epoch, lease)) = story.mission.gate_leases().next() else {
            break;
        };
        let run = GateRun {
            result: base.clone(),
            tests: Some(tests.clone()),
            ..run_of(&lease.gate, &lease.tree, true)
        };
        story.tell(Input::GateRan { epoch, run });
    }
    let plan = Draft {
        tasks: vec![task("a", &[])],
    };
    story.answer("intent.1", Answer::Intent(Intent::Small { plan }));
    let outcome = TurnOutcome::Answered {
        answer: Answer::Report(report),
        usage: used(1),
    };
    let work = Work {
        tests: facts,
        ..work("T1.1")
    };
    story.end("T1.1", outcome, Some(work));
    story.gates(|_, _| false);
    story.review("T1.1/review.1", true);
    story.stack();
    story
}

/// Ends the project's tests on the stack, and their confirmation, like this; other gates are green.
fn tests_end(story: &mut Story, result: &GateResult, tests: &TestCount) {
    while let Some((epoch, lease)) = next_gate(story) {
        let mut run = run_of(&lease.gate, &lease.tree, true);
        if lease.gate.id == "test" {
            (run.result, run.tests) = (result.clone(), Some(tests.clone()));
        }
        story.tell(Input::GateRan { epoch, run });
    }
}

fn said(changed_tests: Vec<ChangedTest>) -> Report {
    Report::Done {
        summary: "done".into(),
        changed_tests,
        notes: Vec::new(),
    }
}

#[test]
fn a_red_base_whose_failures_have_no_names_may_not_get_worse_either() {
    let red = GateResult::Failed { exit: 1 };
    for (failures, lands) in [(50, false), (2, false), (1, true)] {
        let facts = TestFacts::default();
        let mut story = stacked(red.clone(), counted(60, 1, 0), said(Vec::new()), facts);
        tests_end(&mut story, &red, &counted(61 - failures, failures, 0));
        let moves = story.due().iter().any(|name| name.starts_with("move"));
        assert_eq!(moves, lands, "{failures}: {:?}", story.due());
    }
}

#[test]
fn a_declaration_of_what_was_not_touched_excuses_no_missing_test() {
    let declared = |path: &str, why: &str| {
        vec![ChangedTest {
            path: path.into(),
            why: why.into(),
        }]
    };
    let facts = || TestFacts {
        removed: vec!["tests/a.rs".into()],
        ..TestFacts::default()
    };
    let passed = GateResult::Passed;
    for (said_of, facts, lands) in [
        (declared("tests/a.rs", "it tested what went"), facts(), true),
        (
            declared("tests/b.rs", "untouched"),
            TestFacts::default(),
            false,
        ),
    ] {
        let mut story = stacked(passed.clone(), counted(9, 0, 0), said(said_of), facts);
        tests_end(&mut story, &passed, &counted(8, 0, 0));
        let moves = story.due().iter().any(|name| name.starts_with("move"));
        assert_eq!(moves, lands, "{:?}", story.due());
    }
}

#[test]
fn absurd_numbers_of_tests_are_counted_without_an_accident() {
    let all = TestCount {
        passed: u32::MAX,
        failed: vec!["a".into()],
        unnamed: u32::MAX,
        skipped: 1,
    };
    assert_eq!(all.collected(), u32::MAX);
}

#[test]
fn a_proof_whose_tool_is_missing_asks_wherever_the_tool_stands_in_the_line() {
    for (line, asks) in [("cd x && pytest -q", true), ("make check", false)] {
        let mut story = Story::planned(
            Terms::default(),
            vec![TaskDraft {
                acceptance: vec![line.into()],
                ..task("a", &[])
            }],
        );
        story.hand_in("T1.1");
        story.gate_ends(GateResult::MissingTool {
            tool: "pytest".into(),
        });
        let asked = story.mission.questions().next().is_some();
        assert_eq!(asked, asks, "{line}: {:?}", story.due());
    }
}

#[test]
fn a_hint_does_not_unsettle_a_green_landing_that_is_moving_the_line() {
    let mut story = Story::open(Terms::default());
    let mut gate = project_gate("types");
    gate.program = mission::gate::Program::Shell("tsc".into());
    story.prepare(vec![gate]);
    story.gate_ends(GateResult::MissingTool { tool: "tsc".into() });
    story.answer(
        "intent.1",
        Answer::Intent(Intent::Plan { goal: "x".into() }),
    );
    let second = TaskDraft {
        acceptance: vec!["tsc".into()],
        ..task("b", &[])
    };
    let tasks = vec![task("a", &[]), second];
    story.answer("plan.1", Answer::Plan(Draft { tasks }));
    story.hand_in("T1.1");
    story.gates(|_, _| false);
    story.review("T1.1/review.1", true);
    story.stack();
    story.gates(|_, _| false);
    assert!(story.due().iter().any(|name| name.starts_with("move")));
    story.hand_in("T2.1");
    story.gate_ends(GateResult::MissingTool { tool: "tsc".into() });
    let (id, _) = story.mission.questions().next().expect("it is blocked");
    let (text, by) = ("installed".to_owned(), "me".to_owned());
    story.tell(Input::Answer { id, text, by });
    assert!(
        story.due().iter().any(|name| name.starts_with("move")),
        "{:?}",
        story.due()
    );
}

#[test]
fn a_result_that_was_turned_down_at_the_queue_is_not_found_again() {
    let mut story = Story::planned(Terms::default(), vec![task("a", &[])]);
    story.hand_in("T1.1");
    story.gates(|_, _| false);
    story.review("T1.1/review.1", true);
    story.stack();
    story.gates(|_, at| *at == tree("stack 1"));
    assert_eq!(story.worked(), ["T1.1", "T1.2"]);
    let by = "me".to_owned();
    story.tell(Input::Cancel { by: by.clone() });
    let (more_tokens, replan) = (0, true);
    story.tell(Input::Resume {
        by,
        more_tokens,
        more_money: 0,
        replan,
    });
    let tasks = vec![task("a", &[])];
    story.answer("plan.2", Answer::Plan(Draft { tasks }));
    assert_eq!(story.count("reused"), 0);
    assert_eq!(story.worked(), ["T1.1", "T1.2", "T2.1"]);
}

#[test]
fn a_result_that_is_found_again_keeps_what_it_declared() {
    let mut story = Story::planned(Terms::default(), vec![task("a", &[])]);
    let report = said(vec![ChangedTest {
        path: "tests/a.rs".into(),
        why: "it tested what went".into(),
    }]);
    let work = Work {
        tests: TestFacts {
            removed: vec!["tests/a.rs".into()],
            ..TestFacts::default()
        },
        ..work("T1.1")
    };
    let outcome = TurnOutcome::Answered {
        answer: Answer::Report(report.clone()),
        usage: used(1),
    };
    story.end("T1.1", outcome, Some(work));
    story.gates(|_, _| false);
    story.review("T1.1/review.1", true);
    let by = "me".to_owned();
    story.tell(Input::Cancel { by: by.clone() });
    let (more_tokens, replan) = (0, true);
    story.tell(Input::Resume {
        by,
        more_tokens,
        more_money: 0,
        replan,
    });
    let tasks = vec![task("a", &[])];
    story.answer("plan.2", Answer::Plan(Draft { tasks }));
    assert_eq!(story.count("reused"), 1);
    let again = story.mission.task(TaskId(2)).unwrap();
    assert_eq!(again.report.as_ref(), Some(&report));
    assert_eq!(again.work.as_ref().unwrap().commit, commit("T1.1"));
}

#[test]
fn a_rejection_after_the_last_attempt_with_green_gates_is_a_dispute() {
    let terms = Terms {
        attempts: 1,
        ..Terms::default()
    };
    let mut story = Story::planned(terms, vec![task("a", &[])]);
    story.hand_in("T1.1");
    story.gates(|_, _| false);
    story.review("T1.1/review.1", false);
    let (_, question) = story.mission.questions().next().expect("it is disputed");
    assert!(question.text.contains("is disputed"), "{}", question.text);
}
