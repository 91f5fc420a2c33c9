//! The token budget.

use crate::resume::resume;
use crate::teller::{Story, task, used};
use mission::ids::TaskId;
use mission::input::{Input, Reply};
use mission::mission::State;
use mission::plan::PlanEdit;
use mission::seal::Outcome;
use mission::steering::Dependents;
use mission::terms::Terms;
use mission::turn::{Answer, Usage, Verdict};

fn two(tokens: u64) -> Story {
    let terms = Terms {
        tokens,
        task_tokens: Some(tokens),
        ..Terms::default()
    };
    Story::planned(terms, vec![task("a", &[]), task("b", &[])])
}

#[test]
fn two_turns_are_never_lent_the_same_tokens() {
    // 2,000 are spent, each Worker has reserved 250,000 and holds 100,000 for its review, and 298,000 are free.
    let mut story = two(1_000_000);
    let (a, b) = (story.epoch("T1.1"), story.epoch("T2.1"));
    story.tell(Input::TurnUsed {
        epoch: a,
        usage: used(500_000),
    });
    assert_eq!(story.mission.budget().reserved, 750_000);
    story.tell(Input::TurnUsed {
        epoch: b,
        usage: used(500_000),
    });
    assert_eq!(story.due(), ["turn T1.1 #3"]);
    assert_eq!(story.mission.budget().spent, 502_000);
}

#[test]
fn a_task_that_goes_past_the_budget_again_and_again_fails() {
    let terms = Terms {
        attempts: 1,
        ..Terms::default()
    };
    let mut story = Story::planned(terms, vec![task("a", &[])]);
    let epoch = story.epoch("T1.1");
    story.tell(Input::TurnUsed {
        epoch,
        usage: used(5_000_000),
    });
    assert!(matches!(story.state(1), State::Failed { .. }));
}

#[test]
fn what_was_paid_for_lands_before_a_spent_budget_ends_the_mission() {
    let mut story = two(1_000_000);
    story.hand_in("T1.1");
    story.gates(|_, _| false);
    let epoch = story.epoch("T1.1/review.1");
    story.tell(Input::TurnReplied {
        epoch,
        outcome: accepts(used(500_000)),
        work: None,
    });
    let outcome = mission::turn::Outcome::Failed {
        failure: mission::turn::Failure::NoAnswer,
        why: "it said nothing".into(),
        usage: used(490_000),
    };
    story.end("T2.1", outcome, None);
    story.wait(mission::time::Millis::from_mins(1));
    story.land();
    assert_eq!(story.mission.outcome(), Some(Outcome::Partial));
    assert_eq!(story.mission.landed(), 1);
}

/// A turn ends that cost so many dollars.
fn priced(tokens: u64, dollars: u64) -> Usage {
    Usage {
        micro_usd: Some(dollars * 1_000_000),
        ..used(tokens)
    }
}

fn accepts(usage: Usage) -> mission::turn::Outcome {
    let answer = Answer::Verdict(Verdict {
        accept: true,
        findings: Vec::new(),
    });
    mission::turn::Outcome::Answered { answer, usage }
}

/// Carries an attempt that nobody reviews to the landed line.
pub(crate) fn land_unreviewed(story: &mut Story, attempt: &str) {
    story.hand_in(attempt);
    story.gates(|_, _| false);
    story.land();
    story.gates(|_, _| false);
}

/// A plan of some tasks, read and planned for a dollar in 100,000 tokens each.
fn dear(terms: Terms, tasks: &[&str]) -> Story {
    let mut story = Story::open(terms);
    story.prepare(Vec::new());
    let goal = "all of it".into();
    let intent = Answer::Intent(mission::turn::Intent::Plan { goal });
    let plan = Answer::Plan(mission::plan::Draft {
        tasks: tasks.iter().map(|key| task(key, &[])).collect(),
    });
    for (turn, answer) in [("intent.1", intent), ("plan.1", plan)] {
        let usage = priced(100_000, 1);
        story.end(
            turn,
            mission::turn::Outcome::Answered { answer, usage },
            None,
        );
    }
    story
}

fn with_cost(dollars: u64) -> Terms {
    Terms {
        micro_usd: Some(dollars * 1_000_000),
        workers: 8,
        ..Terms::default()
    }
}

#[test]
fn a_turn_reserves_money_by_what_tokens_cost_so_far() {
    let story = dear(with_cost(100), &["a", "b"]);
    let money = story.mission.budget().money;
    // 400,000 tokens for each Worker, at a dollar for 100,000.
    assert_eq!((money.spent, money.reserved), (2_000_000, 8_000_000));
    assert_eq!(story.mission.forecast().money, Some(4_800_000));
}

#[test]
fn no_turn_begins_that_the_cost_limit_has_no_room_for() {
    // Two dollars are spent. A Worker and its review reserve a quarter of the limit and a dollar.
    let story = dear(with_cost(10), &["a", "b", "c", "d"]);
    assert_eq!(story.due(), ["turn T1.1 #3", "turn T2.1 #4"]);
    let money = story.mission.budget().money;
    assert_eq!((money.spent, money.reserved), (2_000_000, 5_000_000));
}

#[test]
fn a_turn_that_costs_more_than_there_is_ends_and_the_mission_after_it() {
    let mut story = dear(with_cost(10), &["a"]);
    let epoch = story.epoch("T1.1");
    story.tell(Input::TurnUsed {
        epoch,
        usage: Usage {
            micro_usd: Some(6_500_000),
            ..used(300_000)
        },
    });
    assert_eq!(story.mission.lease(epoch).unwrap().money, 6_500_000);
    story.tell(Input::TurnUsed {
        epoch,
        usage: Usage {
            micro_usd: Some(7_500_000),
            ..used(390_000)
        },
    });
    story.wait(mission::time::Millis::from_mins(1));
    let outcome = story.mission.outcome();
    assert_eq!(outcome, Some(Outcome::Failed), "{:?}", story.due());
    let why = story.mission.reasons().join(" ");
    assert!(
        why.contains("cost limit is reached: $9.50 of $10.00"),
        "{why}"
    );
}

#[test]
fn what_a_killed_turn_cost_is_all_that_it_had() {
    let mut story = dear(with_cost(100), &["a"]);
    story.tell(Input::Cancel { by: "me".into() });
    let money = story.mission.budget().money;
    assert_eq!((money.spent, money.reported), (6_000_000, 2_000_000));
    assert!(money.unknown);
}

#[test]
fn a_subscription_is_told_as_unknown_and_counts_for_nothing() {
    let mut story = Story::planned(with_cost(1), vec![task("a", &[])]);
    story.carry("T1.1");
    let money = story.mission.budget().money;
    assert!(money.unknown && money.spent == 0 && money.reserved == 0);
    assert_eq!(story.mission.outcome(), Some(Outcome::Completed));
}

#[test]
fn work_is_not_begun_that_could_not_be_judged() {
    // Of a million, 2,000 are spent. Each Worker takes 250,000 and 100,000 for its review: a third one has no room.
    let terms = Terms {
        tokens: 1_000_000,
        ask_above: Some(u64::MAX),
        ..Terms::default()
    };
    let tasks = ["a", "b", "c"].map(|key| task(key, &[]));
    let mut story = Story::planned(terms, tasks.to_vec());
    assert_eq!(story.due(), ["turn T1.1 #3", "turn T2.1 #4"]);
    // What its work used is paid out of its own part; the review's stays until it is judged.
    let outcome = mission::turn::Outcome::Answered {
        answer: Answer::Report(crate::teller::done()),
        usage: used(240_000),
    };
    story.end("T1.1", outcome, Some(crate::teller::work("T1.1")));
    assert_eq!(story.mission.held_for_reviews().0, 200_000);
    story.gates(|_, _| false);
    assert!(
        story
            .due()
            .iter()
            .any(|due| due.starts_with("turn T1.1/review.1"))
    );
}

#[test]
fn one_task_may_not_use_what_all_may() {
    let terms = Terms {
        task_tokens: Some(500_000),
        ..Terms::default()
    };
    let mut story = Story::planned(terms, vec![task("a", &[]), task("b", &[])]);
    let epoch = story.epoch("T1.1");
    story.tell(Input::TurnUsed {
        epoch,
        usage: used(510_000),
    });
    story.wait(mission::time::Millis::from_mins(1));
    let State::Failed { why } = story.state(1) else {
        panic!("{:?}", story.state(1));
    };
    assert!(why.contains("510000 tokens of the 500000"), "{why}");
    assert!(matches!(story.state(2), State::Working { .. }));
}

#[test]
fn a_task_that_began_as_the_only_one_keeps_what_it_may_use_when_others_are_added() {
    let terms = Terms {
        tokens: 1_000_000,
        ..Terms::default()
    };
    let mut story = Story::planned(terms, vec![task("a", &[])]);
    let limit = |story: &Story, id| {
        let task = story.mission.task(TaskId(id)).unwrap();
        story.mission.task_limit(task)
    };
    assert_eq!(limit(&story, 1), 1_000_000);
    let added = Input::EditPlan {
        edit: PlanEdit::Add {
            task: task("b", &[]),
        },
        saw: 1,
        by: "me".into(),
    };
    assert_eq!(story.tell(added), Reply::Done);
    assert_eq!((limit(&story, 1), limit(&story, 2)), (1_000_000, 500_000));
    let epoch = story.epoch("T1.1");
    story.tell(Input::TurnUsed {
        epoch,
        usage: used(510_000),
    });
    assert!(matches!(story.state(1), State::Working { .. }));
}

#[test]
fn a_person_who_lets_a_dear_task_go_on_lets_it_use_as_much_again() {
    let terms = Terms {
        task_tokens: Some(500_000),
        ..Terms::default()
    };
    let mut story = Story::planned(terms, vec![task("a", &[])]);
    let epoch = story.epoch("T1.1");
    story.tell(Input::TurnUsed {
        epoch,
        usage: used(510_000),
    });
    story.wait(mission::time::Millis::from_mins(1));
    assert_eq!(story.mission.outcome(), Some(Outcome::Failed));
    story.tell(resume(false));
    assert!(matches!(story.state(1), State::Working { .. }));
    assert_eq!(story.mission.task(TaskId(1)).unwrap().forgiven, 510_000);
}

#[test]
fn a_mission_ends_when_its_turns_are_used_up_and_a_resume_has_as_many_again() {
    let terms = Terms {
        turns: Some(3),
        review_rounds: 0,
        ..Terms::default()
    };
    let mut story = Story::planned(terms, vec![task("a", &[]), task("b", &["a"])]);
    land_unreviewed(&mut story, "T1.1");
    assert_eq!(story.mission.outcome(), Some(Outcome::Partial));
    let why = story.mission.reasons().join(" ");
    assert!(why.contains("its 3 turns are used up"), "{why}");
    story.tell(resume(false));
    land_unreviewed(&mut story, "T2.1");
    assert_eq!(story.mission.outcome(), Some(Outcome::Completed));
}

#[test]
fn a_plan_that_is_forecast_to_use_more_than_is_left_waits_for_a_word() {
    let terms = Terms {
        tokens: 400_000,
        ..Terms::default()
    };
    let mut story = Story::planned(terms.clone(), vec![task("a", &[]), task("b", &[])]);
    assert!(story.due().is_empty(), "{:?}", story.due());
    let (id, question) = story.mission.questions().next().expect("a question");
    assert!(
        question.text.contains("about 480000 tokens"),
        "{}",
        question.text
    );
    story.tell(Input::Answer {
        id,
        text: "yes".into(),
        by: "me".into(),
    });
    assert_eq!(story.due(), ["turn T1.1 #3", "turn T2.1 #4"]);
    // Whoever says beforehand that he agrees is not asked.
    let terms = Terms {
        ask_above: Some(u64::MAX),
        ..terms
    };
    let story = Story::planned(terms, vec![task("a", &[]), task("b", &[])]);
    assert!(story.mission.questions().next().is_none());
}

#[test]
fn who_leaves_tasks_of_a_dear_plan_out_is_asked_about_what_is_left_of_it() {
    let skip = |task: u32| Input::Skip {
        task: TaskId(task),
        why: "not now".into(),
        dependents: Dependents::Ask,
        by: "me".into(),
    };
    let terms = Terms {
        ask_above: Some(500_000),
        ..Terms::default()
    };
    let tasks = || {
        vec![
            task("a", &[]),
            task("b", &[]),
            task("c", &[]),
            task("d", &[]),
        ]
    };
    let mut story = Story::planned(terms, tasks());
    let asked = |story: &Story| {
        let all: Vec<String> = story
            .mission
            .questions()
            .map(|(_, q)| q.text.clone())
            .collect();
        assert!(all.len() < 2, "{all:?}");
        all.into_iter().next()
    };
    assert!(asked(&story).unwrap().contains("about 960000 tokens"));
    story.tell(skip(1));
    assert!(asked(&story).unwrap().contains("about 720000 tokens"));
    assert!(story.worked().is_empty());
    // Said twice it changes nothing, and the question stays.
    story.tell(skip(1));
    assert!(asked(&story).is_some());
    story.tell(skip(2));
    assert_eq!(asked(&story), None, "what is left is not dear");
    assert_eq!(story.worked().len(), 2);
    // Where each plan is to be approved, the smaller one is asked about as well.
    let terms = Terms {
        approve: true,
        ..Terms::default()
    };
    let mut story = Story::planned(terms, tasks());
    story.tell(skip(1));
    assert!(asked(&story).is_some());
    assert!(story.worked().is_empty());
}

#[test]
fn a_dear_plan_that_nobody_attends_waits_as_well_and_a_resume_is_a_word() {
    let terms = Terms {
        ask_above: Some(100_000),
        attended: false,
        ..Terms::default()
    };
    let mut story = Story::planned(terms, vec![task("a", &[])]);
    let (id, question) = story.mission.questions().next().expect("a question");
    assert!(
        question.text.contains("about 240000 tokens; above 100000"),
        "{}",
        question.text
    );
    story.tell(Input::Answer {
        id,
        text: "no".into(),
        by: "me".into(),
    });
    assert_eq!(story.mission.outcome(), Some(Outcome::Cancelled));
    assert_eq!(story.worked().len(), 0);
    story.tell(resume(false));
    assert_eq!(story.worked(), ["T1.1"]);
}

#[test]
fn a_forecast_learns_from_what_tasks_of_the_same_size_used() {
    let tasks = ["a", "b", "c", "d"].map(|key| task(key, &[]));
    let mut story = Story::planned(Terms::default(), tasks.to_vec());
    assert!(!story.mission.forecast().learned);
    assert_eq!(story.mission.forecast().tokens, 4 * 240_000);
    for attempt in ["T1.1", "T2.1", "T3.1"] {
        story.carry(attempt);
    }
    // Each used 1,000 for its work and 1,000 for its review.
    let forecast = story.mission.forecast();
    assert_eq!((forecast.tokens, forecast.learned), (2_000, true));
}

#[test]
fn what_is_left_out_is_not_forecast() {
    let tasks = ["a", "b"].map(|key| task(key, &[]));
    let mut story = Story::planned(Terms::default(), tasks.to_vec());
    story.tell(Input::Skip {
        task: TaskId(2),
        why: "not now".into(),
        dependents: Dependents::Ask,
        by: "me".into(),
    });
    assert_eq!(story.mission.forecast().tokens, 240_000);
}
