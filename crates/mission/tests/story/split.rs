//! Tasks that stay stuck after a diagnosis: what the Planner makes of them, and that this has an end.

use crate::teller::{Story, done, task, used, work};
use mission::event::{Event, Turn};
use mission::ids::TaskId;
use mission::input::{Input, Refusal, Reply};
use mission::limits;
use mission::mission::State;
use mission::plan::{Draft, PlanEdit, Size, TaskDraft, TaskKind};
use mission::seal::Outcome;
use mission::stagnation::Remedy;
use mission::steering::Dependents;
use mission::terms::Terms;
use mission::turn::{Answer, AnswerKind, Diagnosis, Failure, Outcome as TurnOutcome, Role};

/// A mission of a task and one that needs it. The first has ended alike three times, once after a diagnosis, and the
/// Planner is asked about it.
fn stuck(terms: Terms) -> Story {
    let tasks = vec![task("a", &[]), task("b", &["a"])];
    let mut story = Story::planned(terms, tasks);
    sticks(&mut story, "T1", 1);
    story
}

fn sticks(story: &mut Story, task: &str, from: u32) {
    for n in [from, from + 1] {
        story.hand_in(&format!("{task}.{n}"));
        red(story);
    }
    let attempt = format!("{task}.{}", from + 2);
    let answer = Answer::Diagnosis(Diagnosis {
        strategy: format!("as in {attempt}"),
        report: done(),
    });
    let usage = used(1_000);
    let outcome = TurnOutcome::Answered { answer, usage };
    story.end(&attempt, outcome, Some(work(&attempt)));
    red(story);
}

/// The check that runs says that it is red, and always in the same way.
fn red(story: &mut Story) {
    let (epoch, mut run) = story.gate(|_, _| true).expect("a check runs");
    run.tail = "FAIL".to_owned();
    story.tell(Input::GateRan { epoch, run });
}

fn cut(story: &mut Story, turn: &str, tasks: Vec<TaskDraft>) -> Reply {
    story.answer(turn, Answer::Plan(Draft { tasks }))
}

fn remedies(story: &Story) -> Vec<Remedy> {
    let events = story.told.iter().map(|recorded| &recorded.event);
    let remedy = |event: &Event| match event {
        Event::Stagnated { remedy, .. } => Some(*remedy),
        _ => None,
    };
    events.filter_map(remedy).collect()
}

fn pieces(story: &Story, id: u32) -> Vec<u32> {
    let task = story.mission.task(TaskId(id)).unwrap();
    task.cut().pieces().iter().map(|id| id.0).collect()
}

fn failed(story: &Story, id: u32) -> String {
    match story.state(id) {
        State::Failed { why } => why.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_task_that_its_diagnosis_did_not_help_is_cut_anew_and_is_done_when_all_of_it_is() {
    // It has no attempt left: cutting it anew is none.
    let mut story = stuck(Terms::default());
    assert_eq!(remedies(&story), [Remedy::Diagnose, Remedy::Split]);
    let turn = story.mission.lease(story.epoch("T1/split.1")).unwrap().turn;
    assert_eq!(story.mission.asks_for(turn), AnswerKind::Plan);
    assert_eq!(turn.role(), Role::Planner);
    let version = story.mission.plan_version();
    cut(
        &mut story,
        "T1/split.1",
        vec![task("a-1", &[]), task("a-2", &["a-1"])],
    );
    assert_eq!(pieces(&story, 1), [3, 4]);
    assert_eq!(story.mission.plan_version(), version + 1);
    assert_eq!(story.mission.plan_edits(), 0, "no person changed it");
    let whole = &story.mission.task(TaskId(1)).unwrap().task;
    assert_eq!((whole.kind, whole.needs.len()), (TaskKind::Gate, 2));
    assert_eq!(whole.acceptance[0].program.to_string(), "check a");
    story.carry("T3.1");
    assert_eq!(*story.state(1), State::Waiting { left: 1 });
    assert_eq!(*story.state(2), State::Waiting { left: 1 });
    story.hand_in("T4.1");
    story.gates(|_, _| false);
    story.review("T4.1/review.1", true);
    story.land();
    assert!(
        story.worked().iter().all(|turn| !turn.starts_with("T2")),
        "it begins before the whole is proved"
    );
    story.gates(|_, _| false);
    assert_eq!(*story.state(1), State::Landed);
    story.carry("T2.1");
    assert_eq!(story.mission.outcome(), Some(Outcome::Completed));
    let tries = story
        .worked()
        .iter()
        .filter(|turn| turn.starts_with("T1."))
        .count();
    assert_eq!(tries, 3);
}

#[test]
fn a_whole_that_is_red_after_its_pieces_goes_back_to_a_worker_while_it_has_attempts() {
    let terms = Terms {
        attempts: 5,
        ..Terms::default()
    };
    let mut story = stuck(terms);
    cut(&mut story, "T1/split.1", vec![task("a-1", &[])]);
    story.hand_in("T3.1");
    story.gates(|_, _| false);
    story.review("T3.1/review.1", true);
    story.stack();
    story.gates(|_, _| false);
    story.move_line();
    story.gates(|line, _| line == "check a");
    let again = story.mission.lease(story.epoch("T1.4")).unwrap();
    assert_eq!(again.from, None, "it begins on what the pieces landed");
    story.carry("T1.4");
    story.carry("T2.1");
    assert_eq!(story.mission.outcome(), Some(Outcome::Completed));
}

#[test]
fn a_whole_that_is_red_after_its_pieces_and_has_no_attempt_left_fails_with_a_report() {
    let mut story = stuck(Terms::default());
    cut(&mut story, "T1/split.1", vec![task("a-1", &[])]);
    story.hand_in("T3.1");
    story.gates(|_, _| false);
    story.review("T3.1/review.1", true);
    story.land();
    story.gates(|line, _| line == "check a");
    let why = failed(&story, 1);
    let told = "`check a` is red though all that it was cut into has landed (T3), also with a diagnosis, \"as in T1.3\"";
    assert!(why.starts_with(told), "{why}");
}

#[test]
fn an_answer_that_is_none_goes_back_with_its_faults_and_then_the_next_remedy_is_tried() {
    let mut story = stuck(Terms::default());
    let many = (0..=limits::PIECES).map(|n| task(&format!("p{n}"), &[]));
    cut(&mut story, "T1/split.1", many.collect());
    let told = |story: &Story| {
        let task = story.mission.task(TaskId(1)).unwrap();
        task.cut().faults().join("; ")
    };
    assert!(told(&story).contains("cut into 1 to 5 tasks, and there are 6"));
    // Its own name, a task that needs it, and what a person decides.
    cut(&mut story, "T1/split.2", vec![task("b", &[])]);
    assert!(told(&story).contains("two tasks have the id `b`"));
    let ask = TaskDraft {
        kind: TaskKind::Ask,
        ..task("x", &["b"])
    };
    cut(&mut story, "T1/split.3", vec![ask]);
    assert_eq!(story.count("split_refused"), 3);
    assert_eq!(story.count("plan_edited"), 0);
    let all = [Remedy::Diagnose, Remedy::Split, Remedy::GiveUp];
    assert_eq!(remedies(&story), all);
    let why = failed(&story, 1);
    assert!(
        why.contains("the Planner, who did not cut it anew"),
        "{why}"
    );
}

#[test]
fn a_piece_that_needs_what_waits_for_the_whole_goes_round_in_a_circle() {
    let mut story = stuck(Terms::default());
    cut(&mut story, "T1/split.1", vec![task("a-1", &["b"])]);
    let task = story.mission.task(TaskId(1)).unwrap();
    let told = task.cut().faults().join("; ");
    assert!(told.contains("need each other in a circle"), "{told}");
}

#[test]
fn a_planner_that_cannot_be_asked_is_tried_once_more_and_then_another_model_is() {
    let terms = Terms {
        attempts: 6,
        fallbacks: [(Role::Worker, vec!["a/other".to_owned()])].into(),
        ..Terms::default()
    };
    let mut story = stuck(terms);
    for n in [1, 2] {
        let (failure, usage) = (Failure::NoAnswer, used(10));
        let why = "no JSON".to_owned();
        let outcome = TurnOutcome::Failed {
            failure,
            why,
            usage,
        };
        story.end(&format!("T1/split.{n}"), outcome, None);
        story.wait(limits::BACKOFF_MOST);
    }
    let all = [Remedy::Diagnose, Remedy::Split, Remedy::Model];
    assert_eq!(remedies(&story), all);
    let lease = story.mission.lease(story.epoch("T1.4")).unwrap();
    assert_eq!(lease.model.as_deref(), Some("a/other"));
}

#[test]
fn pieces_that_nobody_could_pay_for_are_refused() {
    let terms = Terms {
        tokens: 600_000,
        task_tokens: Some(600_000),
        ..Terms::default()
    };
    let mut story = stuck(terms);
    let large = TaskDraft {
        size: Size::Large,
        ..task("a-1", &[])
    };
    let two = [
        large.clone(),
        TaskDraft {
            id: "a-2".into(),
            ..large
        },
    ];
    cut(&mut story, "T1/split.1", two.to_vec());
    let task = story.mission.task(TaskId(1)).unwrap();
    let told = task.cut().faults().join("; ");
    assert!(told.contains("forecast to use 880000 tokens"), "{told}");
}

#[test]
fn a_piece_is_not_cut_and_a_mission_asks_for_no_more_than_its_terms_say() {
    let terms = Terms {
        splits: 1,
        attempts: 3,
        ..Terms::default()
    };
    let tasks = vec![task("a", &[]), task("b", &["a"])];
    let mut story = Story::planned(terms, tasks);
    sticks(&mut story, "T1", 1);
    cut(&mut story, "T1/split.1", vec![task("a-1", &[])]);
    sticks(&mut story, "T3", 1);
    let all = [Remedy::Diagnose, Remedy::Split, Remedy::Diagnose];
    assert_eq!(remedies(&story), all);
    assert!(failed(&story, 3).contains("3 attempts were turned down"));
    let splits = story.told.iter().filter(|recorded| {
        let turn = |turn: &Turn| matches!(turn, Turn::Split { .. });
        matches!(&recorded.event, Event::TurnStarted { turn: it, .. } if turn(it))
    });
    assert_eq!(splits.count(), 1);
}

#[test]
fn a_mission_from_before_there_was_such_a_thing_goes_on_as_it_was() {
    let mut old = serde_json::to_value(Terms::default()).unwrap();
    old.as_object_mut().unwrap().remove("splits");
    let terms: Terms = serde_json::from_value(old).unwrap();
    let story = stuck(terms);
    assert_eq!(remedies(&story), [Remedy::Diagnose]);
    failed(&story, 1);
}

#[test]
fn who_skips_a_task_that_is_being_cut_ends_the_turn_and_a_late_answer_means_nothing() {
    let mut story = stuck(Terms::default());
    let epoch = story.epoch("T1/split.1");
    story.tell(Input::Skip {
        task: TaskId(1),
        why: "not wanted".into(),
        dependents: Dependents::Run,
        by: "me".into(),
    });
    assert!(story.mission.lease(epoch).is_none(), "it is asked on");
    let answer = Answer::Plan(Draft {
        tasks: vec![task("a-1", &[])],
    });
    let usage = used(1);
    let outcome = TurnOutcome::Answered { answer, usage };
    let work = None;
    let late = story.tell(Input::TurnReplied {
        epoch,
        outcome,
        work,
    });
    assert_eq!(late, Reply::Stale);
    story.carry("T2.1");
    assert!(story.mission.outcome().is_some());
}

#[test]
fn who_saw_the_plan_before_a_task_was_cut_changes_nothing_of_it() {
    let mut story = stuck(Terms::default());
    let saw = story.mission.plan_version();
    cut(&mut story, "T1/split.1", vec![task("a-1", &[])]);
    let edit = PlanEdit::Drop { task: TaskId(2) };
    let by = "me".to_owned();
    let reply = story.tell(Input::EditPlan { edit, saw, by });
    let now = saw + 1;
    assert_eq!(reply, Reply::Refused(Refusal::PlanChanged { saw, now }));
}

#[test]
fn a_mission_that_is_resumed_while_a_task_is_being_cut_asks_again() {
    let mut story = stuck(Terms::default());
    let by = "me".to_owned();
    story.tell(Input::Cancel { by });
    assert_eq!(story.mission.outcome(), Some(Outcome::Cancelled));
    let by = "me".to_owned();
    story.tell(Input::Resume {
        by,
        more_tokens: 0,
        more_money: 0,
        replan: false,
    });
    cut(&mut story, "T1/split.2", vec![task("a-1", &[])]);
    assert_eq!(pieces(&story, 1), [3]);
}

/// Pieces of the first task, the second of which writes what the task does that needs the whole.
fn cut_in_the_way_of_another(terms: Terms) -> Story {
    let mut needs_it = task("b", &["a"]);
    needs_it.writes = vec!["both".into()];
    let mut story = Story::planned(terms, vec![task("a", &[]), needs_it]);
    sticks(&mut story, "T1", 1);
    let mut second = task("a-2", &["a-1"]);
    second.writes = vec!["both".into()];
    cut(&mut story, "T1/split.1", vec![task("a-1", &[]), second]);
    story
}

#[test]
fn a_plan_may_be_changed_while_pieces_wait_that_write_what_others_do() {
    let mut story = cut_in_the_way_of_another(Terms::default());
    assert!(story.worked().contains(&"T3.1".to_owned()), "a piece runs");
    let saw = story.mission.plan_version();
    let edit = PlanEdit::Add {
        task: task("c", &[]),
    };
    let by = "me".to_owned();
    let reply = story.tell(Input::EditPlan { edit, saw, by });
    assert_eq!(reply, Reply::Done);
    let needs = |id| story.mission.task(TaskId(id)).unwrap().task.needs.clone();
    assert_eq!(needs(1), [TaskId(3), TaskId(4)]);
    assert_eq!(needs(4), [TaskId(3)], "a piece waits for no other's end");
}

#[test]
fn a_whole_that_goes_back_to_a_worker_is_kept_apart_from_what_writes_the_same() {
    let terms = Terms {
        attempts: 5,
        ..Terms::default()
    };
    let mut first = task("a", &[]);
    first.writes = vec!["both".into()];
    let mut story = Story::planned(terms, vec![first]);
    sticks(&mut story, "T1", 1);
    cut(&mut story, "T1/split.1", vec![task("a-1", &[])]);
    let saw = story.mission.plan_version();
    let mut other = task("c", &["a-1"]);
    other.writes = vec!["both".into()];
    let edit = PlanEdit::Add { task: other };
    let by = "me".to_owned();
    assert_eq!(story.tell(Input::EditPlan { edit, saw, by }), Reply::Done);
    story.hand_in("T2.1");
    story.gates(|_, _| false);
    story.review("T2.1/review.1", true);
    story.stack();
    story.gates(|_, _| false);
    story.move_line();
    story.gates(|line, _| line == "check a");
    let turns = story.worked();
    let runs = |name: &str| turns.iter().any(|turn| turn == name);
    assert!(runs("T1.4") != runs("T3.1"), "both at once: {turns:?}");
}
