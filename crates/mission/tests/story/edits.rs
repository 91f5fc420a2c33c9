//! A person changes the plan while it is carried out.

use crate::teller::{Story, task};
use mission::event::Event;
use mission::ids::TaskId;
use mission::input::{Input, Refusal, Reply};
use mission::limits;
use mission::mission::{Phase, State};
use mission::plan::{PlanEdit, Priority, TaskChange, TaskDraft};
use mission::question::QuestionId;
use mission::seal::Outcome;
use mission::terms::Terms;

fn terms() -> Terms {
    Terms {
        workers: 1,
        review_rounds: 0,
        ..Terms::default()
    }
}

fn edit(saw: u64, edit: PlanEdit) -> Input {
    let by = "me".to_owned();
    Input::EditPlan { edit, saw, by }
}

fn add(saw: u64, task: TaskDraft) -> Input {
    edit(saw, PlanEdit::Add { task })
}

fn drop_it(saw: u64, id: u32) -> Input {
    edit(saw, PlanEdit::Drop { task: TaskId(id) })
}

fn set(saw: u64, id: u32, to: TaskChange) -> Input {
    let task = TaskId(id);
    edit(saw, PlanEdit::Set { task, to })
}

fn needs(names: &[&str]) -> TaskChange {
    TaskChange {
        needs: Some(names.iter().map(|name| (*name).to_owned()).collect()),
        ..TaskChange::default()
    }
}

fn refused(story: &mut Story, input: Input) -> Refusal {
    match story.tell(input) {
        Reply::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

fn plan() -> Story {
    let tasks = vec![task("a", &[]), task("b", &["a"]), task("c", &["b"])];
    Story::planned(terms(), tasks)
}

fn carry(story: &mut Story, attempt: &str) {
    story.hand_in(attempt);
    story.gates(|_, _| false);
    story.land();
    story.gates(|_, _| false);
}

#[test]
fn a_task_that_is_added_is_carried_out_and_waits_for_what_it_needs() {
    let mut story = plan();
    assert_eq!(story.mission.plan_version(), 1);
    assert_eq!(story.tell(add(1, task("d", &["T1"]))), Reply::Done);
    assert_eq!(story.tell(add(2, task("", &["b", "d"]))), Reply::Done);
    assert_eq!(story.mission.plan_version(), 3);
    let of = |story: &Story, id| story.mission.task(TaskId(id)).unwrap().task.clone();
    assert_eq!(
        (of(&story, 4).key.as_str(), of(&story, 4).needs),
        ("d", vec![TaskId(1)])
    );
    let last = of(&story, 5);
    assert_eq!(
        (last.key.as_str(), last.needs),
        ("T5", vec![TaskId(2), TaskId(4)])
    );
    assert_eq!(last.acceptance[0].id, "T5/accept-1");
    carry(&mut story, "T1.1");
    for attempt in ["T2.1", "T3.1", "T4.1", "T5.1"] {
        let running = story.worked().last().unwrap().clone();
        assert!(
            ["T2.1", "T3.1", "T4.1", "T5.1"].contains(&running.as_str()),
            "{attempt}"
        );
        carry(&mut story, &running);
    }
    assert_eq!(story.mission.outcome(), Some(Outcome::Completed));
    assert_eq!(story.mission.landed(), 5);
}

#[test]
fn a_task_without_a_name_is_added_once_while_one_that_says_the_same_has_not_begun() {
    let mut story = plan();
    let nameless = || task("", &["T1"]);
    for saw in [1, 1, 2] {
        assert_eq!(story.tell(add(saw, nameless())), Reply::Done);
        assert_eq!(story.mission.plan_version(), 2);
    }
    let other = TaskDraft {
        goal: "Do it otherwise".into(),
        ..nameless()
    };
    assert_eq!(story.tell(add(2, other)), Reply::Done);
    assert_eq!(story.mission.plan_version(), 3);
    // Once it has begun, whoever wants the same again wants another one.
    carry(&mut story, "T1.1");
    while !story.worked().contains(&"T4.1".to_owned()) {
        let running = story.worked().last().unwrap().clone();
        carry(&mut story, &running);
    }
    assert_eq!(story.tell(add(3, nameless())), Reply::Done);
    assert_eq!(story.mission.plan_version(), 4);
}

#[test]
fn what_has_not_begun_becomes_another_task_and_what_runs_keeps_its_own() {
    let mut story = plan();
    let to = TaskChange {
        goal: Some("the other way".into()),
        acceptance: Some(vec!["check other".into()]),
        priority: Some(Priority::High),
        ..TaskChange::default()
    };
    assert_eq!(story.tell(set(1, 2, to.clone())), Reply::Done);
    let two = &story.mission.task(TaskId(2)).unwrap().task;
    assert_eq!(
        (two.goal.as_str(), two.priority),
        ("the other way", Priority::High)
    );
    assert_eq!(two.acceptance[0].program.to_string(), "check other");
    assert_eq!(
        refused(&mut story, set(2, 1, to)),
        Refusal::Begun(TaskId(1), "working")
    );
    // Who needs nothing more starts when there is a slot, and who needs more waits.
    story.tell(set(2, 3, needs(&[])));
    assert_eq!(story.state(3), &State::Ready);
    story.tell(set(3, 3, needs(&["a"])));
    assert_eq!(story.state(3), &State::Waiting { left: 1 });
    carry(&mut story, "T1.1");
    assert_eq!(story.worked(), ["T1.1", "T2.1"]);
}

#[test]
fn what_is_dropped_is_no_part_of_the_plan_and_its_name_means_nothing_else() {
    let mut story = plan();
    let by = vec![TaskId(3)];
    let needed = Refusal::StillNeeded { id: TaskId(2), by };
    assert_eq!(refused(&mut story, drop_it(1, 2)), needed);
    story.tell(drop_it(1, 3));
    story.tell(drop_it(2, 2));
    assert_eq!(story.mission.tasks().count(), 1);
    story.tell(add(3, task("d", &[])));
    assert!(story.mission.task(TaskId(4)).is_some() && story.mission.task(TaskId(2)).is_none());
    carry(&mut story, "T1.1");
    carry(&mut story, "T4.1");
    assert_eq!(story.mission.outcome(), Some(Outcome::Completed));
}

#[test]
fn a_change_of_a_plan_that_somebody_changed_meanwhile_is_refused_and_the_same_one_is_made_once() {
    let mut story = plan();
    story.tell(add(1, task("d", &[])));
    let changed = Refusal::PlanChanged { saw: 1, now: 2 };
    assert_eq!(refused(&mut story, add(1, task("e", &[]))), changed);
    assert_eq!(refused(&mut story, drop_it(1, 3)), changed);
    // The same again, whose answer was lost on the way.
    let n_events = story.mission.n_events();
    assert_eq!(story.tell(add(1, task("d", &[]))), Reply::Done);
    story.tell(drop_it(2, 3));
    story.tell(drop_it(2, 3));
    let to = || TaskChange {
        title: Some("Another".into()),
        ..TaskChange::default()
    };
    story.tell(set(3, 2, to()));
    story.tell(set(3, 2, to()));
    assert_eq!(story.mission.n_events(), n_events + 2);
    assert_eq!(story.mission.plan_version(), 4);
}

#[test]
fn what_would_be_no_plan_is_refused_with_all_its_faults() {
    let mut story = plan();
    let faults = |story: &mut Story, input| match refused(story, input) {
        Refusal::PlanFaults(faults) => faults.join("; "),
        other => panic!("{other:?}"),
    };
    let circle = faults(&mut story, set(1, 2, needs(&["T3"])));
    assert!(circle.contains("need each other in a circle: "), "{circle}");
    let unknown = faults(&mut story, add(1, task("d", &["x"])));
    assert_eq!(unknown, "`T4` needs `x`, and no task has that id");
    let twice = faults(&mut story, add(1, task("a", &[])));
    assert!(twice.contains("two tasks have the id `a`"), "{twice}");
    let misnamed = faults(&mut story, add(1, task("T9", &[])));
    assert!(misnamed.contains("an id has"), "{misnamed}");
    let bare = TaskDraft {
        acceptance: vec!["true".into()],
        goal: String::new(),
        ..task("d", &[])
    };
    let bare = faults(&mut story, add(1, bare));
    assert!(
        bare.contains("`goal` of `T4`") && bare.contains("always passes"),
        "{bare}"
    );
    assert_eq!(
        refused(&mut story, drop_it(1, 9)),
        Refusal::NoTask(TaskId(9))
    );
    let mut story = Story::planned(terms(), vec![task("a", &[]), task("b", &["a"])]);
    story.tell(drop_it(1, 2));
    assert_eq!(story.mission.plan_version(), 2);
    assert_eq!(
        refused(&mut story, drop_it(2, 1)),
        Refusal::Begun(TaskId(1), "working")
    );
}

#[test]
fn what_is_added_waits_for_a_task_that_runs_and_writes_the_same() {
    let wants = |key: &str| TaskDraft {
        writes: vec!["src/x".into()],
        ..task(key, &[])
    };
    let mut story = Story::planned(terms(), vec![wants("a"), task("b", &[])]);
    story.tell(add(1, wants("c")));
    let three = story.mission.task(TaskId(3)).unwrap();
    assert_eq!(
        (&three.task.added, &three.state),
        (&vec![TaskId(1)], &State::Waiting { left: 1 })
    );
    carry(&mut story, "T1.1");
    // What has landed is in nobody's way, and nothing of the rest is written anew.
    story.tell(add(2, wants("d")));
    let Event::PlanEdited { tasks, .. } = &story.told.last().unwrap().event else {
        let last = story.told.last();
        panic!("{last:?}");
    };
    let changed: Vec<TaskId> = tasks.iter().map(|task| task.id).collect();
    assert_eq!(changed, [TaskId(4)]);
    assert_eq!(tasks[0].added, [TaskId(3)]);
}

#[test]
fn whoever_is_asked_for_the_plan_is_asked_for_the_one_that_stands() {
    let terms = Terms {
        approve: true,
        ..terms()
    };
    let mut story = Story::planned(terms, vec![task("a", &[]), task("b", &[])]);
    let asked = |story: &Story| {
        let (id, question) = story.mission.questions().next().unwrap();
        (id, question.text.clone())
    };
    let (first, text) = asked(&story);
    assert_eq!(text, "Carry out this plan of 2 tasks?");
    story.tell(add(1, task("c", &[])));
    let (second, text) = asked(&story);
    assert_eq!(text, "Carry out this plan of 3 tasks?");
    assert!(second > first && story.mission.questions().count() == 1);
    assert_eq!(
        (story.mission.phase(), story.worked().len()),
        (Phase::Approving, 0)
    );
    let yes = |id| Input::Answer {
        id,
        text: "yes".into(),
        by: "me".into(),
    };
    assert_eq!(refused(&mut story, yes(first)), Refusal::NoQuestion(first));
    story.tell(yes(second));
    assert_eq!(story.worked().len(), 1);
}

#[test]
fn what_has_begun_without_a_task_makes_no_circle_with_it() {
    let mut story = Story::planned(terms(), vec![task("a", &[]), task("b", &["a"])]);
    story.tell(add(1, task("c", &[])));
    let skip = Input::Skip {
        task: TaskId(3),
        why: "not now".into(),
        dependents: mission::steering::Dependents::Run,
        by: "me".into(),
    };
    story.tell(set(2, 2, needs(&["c"])));
    story.tell(skip);
    carry(&mut story, "T1.1");
    assert_eq!(story.worked(), ["T1.1", "T2.1"]);
    story.tell(Input::Retry {
        task: TaskId(3),
        note: String::new(),
        by: "me".into(),
    });
    let version = story.mission.plan_version();
    match refused(&mut story, set(version, 3, needs(&["b"]))) {
        Refusal::PlanFaults(faults) => assert!(faults[0].contains("in a circle"), "{faults:?}"),
        other => panic!("{other:?}"),
    }
}

fn several(saw: u64, edits: Vec<PlanEdit>) -> Input {
    edit(saw, PlanEdit::Several { edits })
}

#[test]
fn several_changes_are_one_version_and_name_each_other() {
    let mut story = plan();
    let to = TaskChange {
        goal: Some("the other way".into()),
        needs: Some(vec!["e".into()]),
        ..TaskChange::default()
    };
    // The third goes although the second was needed by it: both go at once. A new one needs another new one.
    let edits = vec![
        PlanEdit::Drop { task: TaskId(2) },
        PlanEdit::Set {
            task: TaskId(3),
            to,
        },
        PlanEdit::Add {
            task: task("d", &["T1"]),
        },
        PlanEdit::Add {
            task: task("e", &["d"]),
        },
    ];
    assert_eq!(story.tell(several(1, edits.clone())), Reply::Done);
    assert_eq!(story.mission.plan_version(), 2);
    let needs = |story: &Story, id| story.mission.task(TaskId(id)).unwrap().task.needs.clone();
    assert!(story.mission.task(TaskId(2)).is_none());
    assert_eq!(needs(&story, 3), [TaskId(5)]);
    assert_eq!(needs(&story, 4), [TaskId(1)]);
    assert_eq!(needs(&story, 5), [TaskId(4)]);
    // Said again, it is made already.
    let n_events = story.mission.n_events();
    assert_eq!(story.tell(several(1, edits)), Reply::Done);
    assert_eq!(story.mission.n_events(), n_events);
    for attempt in ["T1.1", "T4.1", "T5.1", "T3.1"] {
        carry(&mut story, attempt);
    }
    assert_eq!(story.mission.outcome(), Some(Outcome::Completed));
}

#[test]
fn of_several_changes_all_are_made_or_none() {
    let mut story = plan();
    let added = PlanEdit::Add {
        task: task("d", &[]),
    };
    let n_events = story.mission.n_events();
    let begun = PlanEdit::Drop { task: TaskId(1) };
    assert_eq!(
        refused(&mut story, several(1, vec![added.clone(), begun])),
        Refusal::Begun(TaskId(1), "working")
    );
    let needed = PlanEdit::Drop { task: TaskId(2) };
    let by = vec![TaskId(3)];
    assert_eq!(
        refused(&mut story, several(1, vec![added.clone(), needed])),
        Refusal::StillNeeded { id: TaskId(2), by }
    );
    let twice = refused(&mut story, several(1, vec![added.clone(), added.clone()]));
    assert!(matches!(twice, Refusal::PlanFaults(_)), "{twice:?}");
    let circle = PlanEdit::Set {
        task: TaskId(2),
        to: needs(&["T3"]),
    };
    let circle = refused(&mut story, several(1, vec![added, circle]));
    assert!(matches!(circle, Refusal::PlanFaults(_)), "{circle:?}");
    assert_eq!(story.mission.n_events(), n_events);
    assert_eq!(story.mission.plan_version(), 1);
}

#[test]
fn a_task_that_another_one_only_waits_for_by_its_forecast_may_go() {
    let mut later = task("c", &[]);
    later.writes = vec!["src/b".into()];
    let mut before = task("b", &["a"]);
    before.writes = vec!["src/b".into()];
    let mut story = Story::planned(terms(), vec![task("a", &[]), before, later]);
    assert_eq!(
        story.mission.task(TaskId(3)).unwrap().task.added,
        [TaskId(2)]
    );
    assert_eq!(story.tell(drop_it(1, 2)), Reply::Done);
    assert!(story.mission.task(TaskId(3)).unwrap().task.needs.is_empty());
    assert_eq!(story.state(3), &State::Ready);
}

#[test]
fn a_plan_that_grows_by_changes_has_as_many_tasks_as_one_may_and_no_more() {
    let mut story = plan();
    carry(&mut story, "T1.1");
    let add = |n: usize| {
        let all = (0..n).map(|n| PlanEdit::Add {
            task: task(&format!("more{n}"), &["T3"]),
        });
        all.collect::<Vec<_>>()
    };
    let room = limits::PLAN_TASKS - 3;
    let refusal = refused(&mut story, several(1, add(room + 1)));
    let Refusal::PlanFaults(faults) = refusal else {
        panic!("{refusal:?}")
    };
    assert!(faults[0].contains("the plan has 201 tasks"), "{faults:?}");
    assert_eq!(story.tell(several(1, add(room))), Reply::Done);
    assert_eq!(story.mission.tasks().count(), limits::PLAN_TASKS);
    // What has landed counts; what goes makes room, and a change that adds nothing needs none.
    let one = || PlanEdit::Add {
        task: task("one", &[]),
    };
    refused(&mut story, edit(2, one()));
    let drop = PlanEdit::Drop { task: TaskId(200) };
    assert_eq!(story.tell(several(2, vec![drop, one()])), Reply::Done);
    assert_eq!(story.tell(set(3, 3, needs(&[]))), Reply::Done);
}

#[test]
fn a_chain_that_grows_by_changes_is_as_long_as_one_may_be_and_no_longer() {
    let name = |n: usize| format!("t{n}");
    let chain = (0..limits::PLAN_DEPTH).map(|n| match n {
        0 => task(&name(0), &[]),
        n => task(&name(n), &[&name(n - 1)]),
    });
    let terms = Terms {
        ask_above: Some(u64::MAX),
        ..terms()
    };
    let mut story = Story::planned(terms, chain.collect());
    carry(&mut story, "T1.1");
    carry(&mut story, "T2.1");
    let last = format!("T{}", limits::PLAN_DEPTH);
    let refusal = refused(&mut story, add(1, task("more", &[&last])));
    let Refusal::PlanFaults(faults) = refusal else {
        panic!("{refusal:?}")
    };
    assert!(faults[0].contains("chain of needs has 51"), "{faults:?}");
    assert_eq!(story.tell(add(1, task("more", &["T49"]))), Reply::Done);
}

fn asked(story: &Story) -> Option<(QuestionId, String)> {
    let mut all = story.mission.questions();
    all.next().map(|(id, question)| (id, question.text.clone()))
}

fn answer(story: &mut Story, text: &str) {
    let (id, _) = asked(story).expect("a question");
    let (text, by) = (text.to_owned(), "me".to_owned());
    assert_eq!(story.tell(Input::Answer { id, text, by }), Reply::Done);
}

#[test]
fn whoever_makes_a_plan_dear_is_asked_for_it_while_what_runs_goes_on() {
    // A task is forecast to use 200,000 tokens.
    let terms = Terms {
        ask_above: Some(600_000),
        ..terms()
    };
    let tasks = vec![task("a", &[]), task("b", &["a"])];
    let mut story = Story::planned(terms, tasks);
    assert_eq!(story.tell(add(1, task("c", &[]))), Reply::Done);
    assert_eq!(asked(&story), None, "it is not dear yet");
    assert_eq!(story.tell(add(2, task("d", &[]))), Reply::Done);
    let (_, text) = asked(&story).expect("a question");
    assert!(
        text.contains("4 tasks") && text.contains("about 800000 tokens; above 600000"),
        "{text}"
    );
    // What runs goes on to its end, and nothing begins.
    story.hand_in("T1.1");
    assert_eq!(story.worked(), ["T1.1"]);
    // A change that leaves it cheap enough asks nobody any more.
    assert_eq!(story.tell(drop_it(3, 4)), Reply::Done);
    assert_eq!(asked(&story), None);
    story.tell(add(4, task("e", &[])));
    answer(&mut story, "yes");
    // That word was for this plan: one that costs no more needs none, one that does needs another.
    story.tell(set(5, 2, needs(&[])));
    assert_eq!(asked(&story), None);
    story.tell(add(6, task("f", &[])));
    let (_, text) = asked(&story).expect("a question");
    assert!(text.contains("about 1000000 tokens"), "{text}");
    answer(&mut story, "no");
    assert_eq!(story.mission.outcome(), Some(Outcome::Cancelled));
}
