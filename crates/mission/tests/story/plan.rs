//! Plans, and plans after plans.

use crate::teller::{Story, task};
use mission::input::{Input, Reply};
use mission::plan::{Draft, TaskDraft};
use mission::question::QuestionId;
use mission::seal::Outcome;
use mission::terms::Terms;
use mission::turn::{Answer, Finding, FindingKind, Intent, Report, Verdict};

fn resume(replan: bool) -> Input {
    Input::Resume {
        by: "me".into(),
        more_tokens: 0,
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
    let longest = story
        .told
        .iter()
        .map(|recorded| recorded.encode().len())
        .max()
        .unwrap();
    assert!(longest < 1 << 20, "an event of {longest} bytes");
}
