//! Plans, and plans after plans.

use crate::teller::{Story, task, used, work};
use mission::ids::TaskId;
use mission::input::{Input, Reply};
use mission::limits;
use mission::plan::{Draft, TaskDraft};
use mission::question::QuestionId;
use mission::seal::Outcome;
use mission::terms::Terms;
use mission::todo::TodoEdit;
use mission::turn::{
    Answer, ChangedTest, Finding, FindingKind, Intent, Outcome as TurnOutcome, Report, Verdict,
};
use mission::work::{TestFacts, Work};

fn resume(replan: bool) -> Input {
    Input::Resume {
        by: "me".into(),
        more_tokens: 0,
        more_money: 0,
        replan,
    }
}

#[test]
fn a_later_plan_with_needs_is_numbered_on_and_carried_out() {
    let mut story = Story::planned(Terms::default(), vec![task("a", &[]), task("b", &["a"])]);
    story.carry("T1.1");
    story.tell(Input::Cancel { by: "me".into() });
    assert_eq!(story.tell(resume(true)), Reply::Done);
    let tasks = vec![task("c", &[]), task("d", &["c"]), task("e", &["d", "c"])];
    story.answer("plan.2", Answer::Plan(Draft { tasks }));
    for attempt in ["T3.1", "T4.1", "T5.1"] {
        story.carry(attempt);
    }
    assert_eq!(story.mission.outcome(), Some(Outcome::Completed));
}

#[test]
fn what_tasks_used_that_leave_the_plan_is_remembered() {
    let mut story = Story::planned(Terms::default(), vec![task("a", &[]), task("b", &["a"])]);
    story.carry("T1.1");
    story.hand_in("T2.1");
    story.tell(Input::Cancel { by: "me".into() });
    let used = |story: &Story, id| story.mission.task(TaskId(id)).unwrap().tokens;
    let second = used(&story, 2);
    assert!(second > 0);
    assert_eq!(
        story.mission.budget().left_plan,
        (0, 0),
        "it is in the plan"
    );
    let anew = |story: &mut Story, turn: &str| {
        assert_eq!(story.tell(resume(true)), Reply::Done);
        let tasks = vec![task("c", &[])];
        story.answer(turn, Answer::Plan(Draft { tasks }));
    };
    anew(&mut story, "plan.2");
    assert_eq!(story.mission.budget().left_plan.0, second);
    story.hand_in("T3.1");
    story.tell(Input::Cancel { by: "me".into() });
    let third = used(&story, 3);
    anew(&mut story, "plan.3");
    assert_eq!(story.mission.budget().left_plan.0, second + third);
}

#[test]
fn no_answer_of_an_agent_makes_an_event_that_a_journal_refuses() {
    let wide = "\u{1}".repeat(300_000);
    let mut story = Story::open(Terms::default());
    story.prepare(Vec::new());
    let plan = Draft {
        tasks: vec![TaskDraft {
            goal: wide.clone(),
            ..task("a", &[])
        }],
    };
    story.answer("intent.1", Answer::Intent(Intent::Small { plan }));
    story.answer(
        "plan.1",
        Answer::Plan(Draft {
            tasks: vec![task("a", &[])],
        }),
    );
    story.answer(
        "T1.1",
        Answer::Report(Report::Blocked { why: wide.clone() }),
    );
    let (id, text, by) = (QuestionId(1), wide.clone(), "me".to_owned());
    story.tell(Input::Answer { id, text, by });
    let epoch = story.epoch("T1.2");
    let choices = vec![wide.clone(); 60];
    story.tell(Input::Question {
        epoch,
        token: 1,
        kind: wide.clone(),
        text: wide.clone(),
        choices,
    });
    story.hand_in("T1.2");
    story.gates(|_, _| false);
    let finding = Finding {
        file: wide.clone(),
        line: 1,
        kind: FindingKind::Defect,
        what: wide,
    };
    let verdict = Verdict {
        accept: false,
        findings: vec![finding; 60],
    };
    story.answer("T1.2/review.1", Answer::Verdict(verdict));
    assert_fits(&story);
}

fn assert_fits(story: &Story) {
    let longest = story
        .told
        .iter()
        .map(|recorded| recorded.encode().len())
        .max()
        .unwrap();
    assert!(longest < 1 << 20, "an event of {longest} bytes");
}

#[test]
fn no_work_and_no_word_of_a_person_makes_an_event_that_a_journal_refuses() {
    let wide = "\u{1}".repeat(300_000);
    let paths = || -> Vec<String> {
        (0..5_000)
            .map(|n| format!("{n}\u{1}{}", "x".repeat(900)))
            .collect()
    };
    let mut story = Story::planned(Terms::default(), vec![task("a", &[]), task("b", &[])]);
    let edit = TodoEdit::Propose {
        text: format!("{}x", " ".repeat(900_000)),
    };
    story.tell(Input::Edit {
        edit,
        by: wide.clone(),
    });
    for (n, tests) in [
        TestFacts {
            removed: paths(),
            changed: paths(),
            silenced: paths(),
            gates: paths(),
            written: u32::MAX,
            added: paths(),
            grown: paths(),
        },
        TestFacts::default(),
    ]
    .into_iter()
    .enumerate()
    {
        let attempt = format!("T1.{}", n + 1);
        let work = Work {
            touched: paths(),
            files: 5_000,
            protected: if n == 0 { Vec::new() } else { paths() },
            tests,
            ..work(&attempt)
        };
        let report = Answer::Report(Report::Done {
            summary: wide.clone(),
            changed_tests: vec![
                ChangedTest {
                    path: wide.clone(),
                    why: wide.clone()
                };
                60
            ],
            notes: vec![wide.clone(); 60],
        });
        let usage = used(1);
        let outcome = TurnOutcome::Answered {
            answer: report,
            usage,
        };
        story.end(&attempt, outcome, Some(work));
    }
    let report = Report::Blocked { why: wide.clone() };
    story.answer("T2.1", Answer::Report(report));
    story.tell(Input::Cancel { by: wide });
    assert_fits(&story);
    assert!(story.mission.reasons().len() <= limits::REASONS + 1);
}

#[test]
fn the_reasons_of_two_hundred_failed_tasks_fit_one_event() {
    let wide = "\u{1}".repeat(30_000);
    let terms = Terms {
        attended: false,
        workers: 32,
        ask_above: Some(u64::MAX),
        ..Terms::default()
    };
    let tasks = (0..200).map(|n| task(&format!("t{n}"), &[])).collect();
    let mut story = Story::planned(terms, tasks);
    let running = |story: &Story| {
        let (_, lease) = story.mission.leases().next()?;
        Some(lease.turn.to_string())
    };
    while let Some(turn) = running(&story) {
        let report = Report::Blocked { why: wide.clone() };
        story.answer(&turn, Answer::Report(report));
    }
    assert_eq!(story.mission.outcome(), Some(Outcome::Failed));
    assert_fits(&story);
}
