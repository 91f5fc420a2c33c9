//! Tests that an attempt touches, as they were before it.

use crate::teller::{Story, project_gate, run_of, task, tree, used, work};
use mission::event::{Event, Purpose, Rejection};
use mission::gate::{AsBefore, GateResult, GateRun, TestCount};
use mission::ids::Epoch;
use mission::input::Input;
use mission::mission::{GateLease, State};
use mission::seal::{Grade, Outcome};
use mission::terms::Terms;
use mission::turn::{Answer, ChangedTest, Intent, Outcome as TurnOutcome, Report};
use mission::work::{TestFacts, Work};

fn counted(passed: u32, failed: &[&str]) -> TestCount {
    TestCount {
        passed,
        failed: failed.iter().map(|name| (*name).to_owned()).collect(),
        ..TestCount::default()
    }
}

/// What the tests as they were say: these fail still, or again.
fn as_before(broken: &[&str], undeclared: bool) -> AsBefore {
    let files = vec!["t.py".to_owned()];
    AsBefore {
        undeclared: if undeclared {
            files.clone()
        } else {
            Vec::new()
        },
        files,
        result: match broken {
            [] => GateResult::Passed,
            _ => GateResult::Failed { exit: 1 },
        },
        tests: Some(counted(1, broken)),
        broken: broken.iter().map(|name| (*name).to_owned()).collect(),
    }
}

/// A mission on a project whose test `sub` fails, or not, before the work.
fn begun(red: bool) -> Story {
    let mut story = Story::open(Terms::default());
    story.prepare(vec![project_gate("test")]);
    story.gates(|_, _| red);
    let goal = "all of it".to_owned();
    story.answer("intent.1", Answer::Intent(Intent::Plan { goal }));
    let tasks = vec![task("a", &[])];
    story.answer("plan.1", Answer::Plan(mission::plan::Draft { tasks }));
    story
}

fn hand_in(story: &mut Story, attempt: &str, tests: TestFacts, declared: &[&str]) {
    let declare = |path: &&str| ChangedTest {
        path: (*path).to_owned(),
        why: "it was wrong".into(),
    };
    let report = Report::Done {
        summary: "done".into(),
        changed_tests: declared.iter().map(declare).collect(),
        notes: Vec::new(),
    };
    let work = Work {
        tests,
        touched: vec!["calc.py".into(), "t.py".into()],
        ..work(attempt)
    };
    let outcome = TurnOutcome::Answered {
        answer: Answer::Report(report),
        usage: used(1),
    };
    story.end(attempt, outcome, Some(work));
}

fn grown() -> TestFacts {
    TestFacts {
        added: vec!["t.py".into()],
        grown: vec!["t.py".into()],
        ..TestFacts::default()
    }
}

fn changed() -> TestFacts {
    TestFacts {
        changed: vec!["t.py".into()],
        ..TestFacts::default()
    }
}

/// The gate that runs.
fn next(story: &Story) -> Option<(Epoch, GateLease)> {
    let first = story.mission.gate_leases().next();
    first.map(|(epoch, lease)| (epoch, lease.clone()))
}

/// Runs what is due: `sub` fails before the work and passes after it, and the tests as they were say this.
fn gates(story: &mut Story, old: &AsBefore) {
    while let Some((epoch, lease)) = next(story) {
        let before = matches!(lease.purpose, Purpose::Before { .. });
        let run = run_of(&lease.gate, &lease.tree, !before);
        let run = GateRun {
            tests: Some(match before {
                true => counted(1, &["sub"]),
                false => counted(2, &[]),
            }),
            as_before: (!before).then(|| Box::new(old.clone())),
            ..run
        };
        story.tell(Input::GateRan { epoch, run });
    }
}

fn bent(story: &Story) -> Option<String> {
    story
        .told
        .iter()
        .find_map(|recorded| match &recorded.event {
            Event::Rejected {
                rejection: Rejection::Bent { what },
                ..
            } => Some(what.join("; ")),
            _ => None,
        })
}

#[test]
fn an_attempt_whose_undeclared_change_makes_a_test_pass_is_turned_down() {
    let mut story = begun(false);
    hand_in(&mut story, "T1.1", grown(), &[]);
    gates(&mut story, &as_before(&["sub"], true));
    let why = bent(&story).expect("it is turned down");
    assert!(why.contains("t.py") && why.contains("sub"), "{why}");
    assert!(matches!(story.state(1), State::Working { .. }));
    // The next one leaves the test as it was.
    story.carry("T1.2");
    assert_eq!(story.mission.outcome(), Some(Outcome::Completed));
}

#[test]
fn a_test_that_still_fails_as_it_was_was_not_turned_green_by_the_work() {
    for (broken, grade) in [(&["sub"][..], Grade::Claimed), (&[], Grade::Discriminating)] {
        let mut story = begun(true);
        hand_in(&mut story, "T1.1", changed(), &["t.py"]);
        gates(&mut story, &as_before(broken, false));
        assert_eq!(
            story.mission.grade(mission::ids::TaskId(1)),
            grade,
            "{broken:?}"
        );
        assert_eq!(bent(&story), None, "a declared change goes to the Reviewer");
        story.epoch("T1.1/review.1");
    }
}

#[test]
fn the_projects_tests_run_before_the_review_where_tests_change_and_what_they_say_is_told() {
    let mut story = begun(false);
    hand_in(&mut story, "T1.1", changed(), &["t.py"]);
    let mut on_the_attempt = Vec::new();
    let old = as_before(&["sub"], false);
    while let Some((epoch, lease)) = next(&story) {
        if lease.tree == tree("T1.1") {
            on_the_attempt.push(lease.gate.program.to_string());
        }
        let run = GateRun {
            as_before: Some(Box::new(old.clone())),
            tests: Some(counted(2, &[])),
            ..run_of(&lease.gate, &lease.tree, true)
        };
        story.tell(Input::GateRan { epoch, run });
    }
    assert_eq!(on_the_attempt, ["check a", "run test"]);
    let told = story.mission.tests_told(mission::ids::TaskId(1));
    let of_the_project = told.iter().find(|line| line.contains("`run test`"));
    assert!(
        of_the_project.is_some_and(|line| line.contains("sub")),
        "{told:?}"
    );
}

#[test]
fn a_command_that_names_no_test_and_looks_at_the_new_one_alone_proves_no_more_than_the_projects_tests_do()
 {
    let old = AsBefore {
        tests: None,
        result: GateResult::Failed { exit: 1 },
        ..as_before(&[], false)
    };
    for (red, outcome) in [(false, Outcome::Completed), (true, Outcome::Unverified)] {
        let mut story = begun(red);
        hand_in(&mut story, "T1.1", grown(), &[]);
        let run = |story: &mut Story| {
            while let Some((epoch, lease)) = next(story) {
                let before = matches!(lease.purpose, Purpose::Before { .. });
                let is_own = lease.gate.kind == mission::gate::GateKind::Acceptance;
                let run = GateRun {
                    as_before: (is_own && !before).then(|| Box::new(old.clone())),
                    ..run_of(&lease.gate, &lease.tree, !before && (is_own || !red))
                };
                story.tell(Input::GateRan { epoch, run });
            }
        };
        run(&mut story);
        story.review("T1.1/review.1", true);
        story.stack();
        run(&mut story);
        story.move_line();
        run(&mut story);
        assert_eq!(story.mission.outcome(), Some(outcome), "red before: {red}");
    }
}

#[test]
fn tests_that_nothing_collects_are_told() {
    let mut story = begun(false);
    let tests = TestFacts {
        added: vec!["new_test.py".into()],
        written: 2,
        ..TestFacts::default()
    };
    hand_in(&mut story, "T1.1", tests, &[]);
    while let Some((epoch, lease)) = next(&story) {
        let run = GateRun {
            tests: Some(counted(2, &[])),
            ..run_of(&lease.gate, &lease.tree, true)
        };
        story.tell(Input::GateRan { epoch, run });
    }
    let told = story.mission.tests_told(mission::ids::TaskId(1));
    assert!(told[0].contains("no command collects more"), "{told:?}");
}
