//! A person has a task tried again, does not want one done, wants one sooner, and ends it all at once.

use crate::teller::{Story, task};
use mission::ids::TaskId;
use mission::input::{Input, Refusal, Reply};
use mission::limits;
use mission::mission::State;
use mission::plan::{Priority, TaskDraft, TaskKind};
use mission::seal::Outcome;
use mission::steering::Dependents;
use mission::terms::Terms;
use mission::time::Millis;
use mission::turn::{Answer, Failure, Report};

fn me() -> String {
    "me".to_owned()
}

fn retry(id: u32, note: &str) -> Input {
    Input::Retry {
        task: TaskId(id),
        note: note.to_owned(),
        by: me(),
    }
}

fn skip(id: u32, dependents: Dependents) -> Input {
    Input::Skip {
        task: TaskId(id),
        why: "not now".to_owned(),
        dependents,
        by: me(),
    }
}

fn prioritise(id: u32, priority: Priority) -> Input {
    Input::Prioritise {
        task: TaskId(id),
        priority,
        by: me(),
    }
}

fn refused(story: &mut Story, input: Input) -> Refusal {
    let n_events = story.mission.n_events();
    match story.tell(input) {
        Reply::Refused(refusal) => {
            assert_eq!(story.mission.n_events(), n_events, "nothing of it was done");
            refusal
        }
        other => panic!("{other:?}"),
    }
}

/// So many Workers, and attempts at each task.
fn terms(workers: u32, attempts: u32) -> Terms {
    Terms {
        workers,
        attempts,
        review_rounds: 0,
        ..Terms::default()
    }
}

fn fails(story: &mut Story, turn: &str) {
    let outcome = mission::turn::Outcome::Failed {
        failure: Failure::NoAnswer,
        why: "it said nothing".into(),
        usage: crate::teller::used(10),
    };
    story.end(turn, outcome, None);
}

#[test]
fn a_task_that_failed_is_tried_again_with_the_note_and_all_its_attempts() {
    let mut story = Story::planned(terms(1, 2), vec![task("a", &[]), task("b", &[])]);
    fails(&mut story, "T1.1");
    story.wait(Millis::from_mins(10));
    assert_eq!(story.worked(), ["T1.1", "T2.1"]);
    story.hand_in("T2.1");
    story.gates(|line, _| line.contains("check b"));
    story.wait(Millis::from_mins(10));
    fails(&mut story, "T1.2");
    assert!(matches!(story.state(1), State::Failed { .. }));
    assert_eq!(story.tell(retry(1, "use a file")), Reply::Done);
    let one = story.mission.task(TaskId(1)).unwrap();
    assert_eq!((one.tries, &one.state), (0, &State::Ready));
    let said: Vec<_> = story.mission.said_of(TaskId(1)).collect();
    assert_eq!(said, ["use a file"]);
    assert_eq!(story.mission.said_of(TaskId(2)).count(), 0);
    // It fails only after as many attempts as it had at first.
    fails(&mut story, "T2.2");
    fails(&mut story, "T1.3");
    assert!(matches!(story.state(1), State::Parked { .. }));
}

#[test]
fn an_attempt_that_runs_is_thrown_away_and_counts_for_nothing() {
    let mut story = Story::planned(terms(1, 1), vec![task("a", &[])]);
    let old = story.epoch("T1.1");
    story.tell(retry(1, "the other way"));
    assert_eq!(story.worked(), ["T1.1", "T1.2"]);
    let late = Input::TurnReplied {
        epoch: old,
        outcome: mission::turn::Outcome::Answered {
            answer: Answer::Report(crate::teller::done()),
            usage: crate::teller::used(1),
        },
        work: Some(crate::teller::work("T1.1")),
    };
    assert_eq!(story.tell(late), Reply::Stale);
    assert_eq!(story.mission.task(TaskId(1)).unwrap().tries, 0);
    // Of one attempt that it may have none is used up.
    story.hand_in("T1.2");
    story.gates(|_, _| false);
    story.land();
    story.gates(|_, _| false);
    assert_eq!(story.mission.outcome(), Some(Outcome::Completed));
}

#[test]
fn the_same_wish_said_twice_is_one() {
    let mut story = Story::planned(terms(1, 2), vec![task("a", &[]), task("b", &[])]);
    story.tell(retry(1, "so"));
    let n_events = story.mission.n_events();
    assert_eq!(story.tell(retry(1, " so ")), Reply::Done);
    assert_eq!(story.mission.n_events(), n_events);
    // Another note is another wish.
    story.tell(retry(1, "no, so"));
    assert_eq!(story.count("task_retried"), 2);
    // Once the attempt has ended the same words mean another one.
    let running = story.worked().last().unwrap().clone();
    assert_eq!(running, "T1.3");
    fails(&mut story, "T1.3");
    story.tell(retry(1, "no, so"));
    assert_eq!(story.count("task_retried"), 3);
    assert_eq!(story.count("steered"), 2, "it was said already");
    story.tell(prioritise(2, Priority::High));
    story.tell(prioritise(2, Priority::High));
    assert_eq!(story.count("task_prioritised"), 1);
    story.tell(skip(2, Dependents::Ask));
    story.tell(skip(2, Dependents::Ask));
    assert_eq!(story.count("task_skipped"), 1);
}

#[test]
fn a_parked_and_an_asking_task_are_tried_again_at_once() {
    let mut story = Story::planned(terms(2, 3), vec![task("a", &[]), task("b", &[])]);
    fails(&mut story, "T1.1");
    let why = "it cannot be".to_owned();
    story.answer("T2.1", Answer::Report(Report::Blocked { why }));
    assert!(matches!(story.state(1), State::Parked { .. }));
    assert!(matches!(story.state(2), State::Asking { .. }));
    story.tell(retry(1, ""));
    story.tell(retry(2, "it can"));
    assert_eq!(story.worked(), ["T1.1", "T2.1", "T1.2", "T2.2"]);
    assert_eq!(story.mission.questions().count(), 0);
}

#[test]
fn what_was_checked_or_queued_is_taken_back_and_its_work_is_gone_on_with() {
    let mut story = Story::planned(terms(1, 3), vec![task("a", &[])]);
    story.hand_in("T1.1");
    assert_eq!(story.state(1), &State::Checking);
    story.tell(retry(1, "smaller"));
    assert_eq!(story.worked(), ["T1.1", "T1.2"]);
    let lease = story.mission.lease(story.epoch("T1.2")).unwrap();
    assert_eq!(lease.from, Some(crate::teller::commit("T1.1")));
    // The check of what was taken back says nothing of what comes after it.
    story.gates(|_, _| false);
    assert!(matches!(story.state(1), State::Working { .. }));
    story.hand_in("T1.2");
    story.gates(|_, _| false);
    story.stack();
    assert_eq!(
        refused(&mut story, retry(1, "x")),
        Refusal::LandsNow(TaskId(1))
    );
    story.gates(|_, _| false);
    story.move_line();
    assert_eq!(story.mission.outcome(), Some(Outcome::Completed));
}

#[test]
fn a_mission_that_is_over_goes_on_with_the_task_that_is_tried_again() {
    let mut story = Story::planned(terms(1, 1), vec![task("a", &[]), task("b", &["a"])]);
    fails(&mut story, "T1.1");
    assert_eq!(story.mission.outcome(), Some(Outcome::Failed));
    assert_eq!(
        refused(&mut story, skip(1, Dependents::Skip)),
        Refusal::OverFirst(Outcome::Failed)
    );
    assert_eq!(story.tell(retry(1, "like this")), Reply::Done);
    assert_eq!(story.worked(), ["T1.1", "T1.2"]);
    let said: Vec<_> = story.mission.said_of(TaskId(1)).collect();
    assert_eq!(said, ["like this"]);
    story.hand_in("T1.2");
    story.gates(|_, _| false);
    story.land();
    story.hand_in("T2.1");
    story.gates(|_, _| false);
    story.land();
    story.gates(|_, _| false);
    assert_eq!(story.mission.outcome(), Some(Outcome::Completed));
}

#[test]
fn who_skips_what_others_need_is_told_of_them_and_says_what_becomes_of_them() {
    let plan = || {
        let tasks = vec![
            task("a", &[]),
            task("b", &["a"]),
            task("c", &["b"]),
            task("d", &[]),
        ];
        Story::planned(terms(2, 3), tasks)
    };
    let mut story = plan();
    let waiting = vec![TaskId(2), TaskId(3)];
    let needed = Refusal::Needed {
        id: TaskId(1),
        waiting,
    };
    assert_eq!(refused(&mut story, skip(1, Dependents::Ask)), needed);
    assert!(
        needed
            .to_string()
            .contains("needed by T2, T3: skip those too (`--with-dependents`)")
    );
    // With them.
    story.tell(skip(1, Dependents::Skip));
    for id in [1, 2, 3] {
        assert_eq!(story.state(id).word(), "skipped");
    }
    story.hand_in("T4.1");
    story.gates(|_, _| false);
    story.land();
    story.gates(|_, _| false);
    assert_eq!(
        story.mission.outcome(),
        Some(Outcome::Partial),
        "never `completed`"
    );
    let reasons = story.mission.reasons();
    assert_eq!(reasons[0], "T1 (Do a) was skipped by me: not now");
    assert_eq!(
        reasons[1],
        "T2 (Do b) was skipped by me: it needs T1: not now"
    );
    assert_eq!(story.worked(), ["T1.1", "T4.1"]);
    // Without it.
    let mut story = plan();
    story.tell(skip(1, Dependents::Run));
    assert_eq!(story.worked(), ["T1.1", "T4.1", "T2.1"]);
    assert_eq!(story.state(3), &State::Waiting { left: 1 });
}

#[test]
fn a_skipped_task_is_wanted_again_and_those_that_have_not_begun_wait_for_it() {
    let tasks = vec![task("a", &[]), task("b", &["a"]), task("c", &["a"])];
    let mut story = Story::planned(terms(1, 3), tasks);
    story.tell(skip(1, Dependents::Run));
    assert_eq!(story.worked(), ["T1.1", "T2.1"]);
    assert_eq!(story.state(3), &State::Ready);
    story.tell(retry(1, ""));
    assert_eq!(story.state(3), &State::Waiting { left: 1 });
    story.hand_in("T2.1");
    story.gates(|_, _| false);
    story.land();
    story.hand_in("T1.2");
    story.gates(|_, _| false);
    story.land();
    assert_eq!(story.worked(), ["T1.1", "T2.1", "T1.2", "T3.1"]);
}

#[test]
fn a_task_that_begins_anew_waits_for_all_that_is_wanted_again() {
    let tasks = vec![task("x", &[]), task("y", &[]), task("d", &["x", "y"])];
    let mut story = Story::planned(terms(3, 3), tasks);
    for id in [1, 2] {
        story.tell(skip(id, Dependents::Run));
    }
    assert_eq!(story.worked(), ["T1.1", "T2.1", "T3.1"]);
    story.tell(retry(2, ""));
    story.tell(retry(3, ""));
    assert_eq!(story.state(3), &State::Waiting { left: 1 });
    story.tell(retry(1, ""));
    assert_eq!(story.state(3), &State::Waiting { left: 2 });
    story.hand_in("T2.2");
    story.gates(|_, _| false);
    story.land();
    assert_eq!(story.state(2), &State::Landed);
    assert_eq!(story.state(3), &State::Waiting { left: 1 });
}

#[test]
fn a_task_that_failed_can_be_left_out_for_those_that_wait_for_it() {
    let tasks = vec![task("a", &[]), task("b", &["a"]), task("c", &[])];
    let mut story = Story::planned(terms(1, 1), tasks);
    fails(&mut story, "T1.1");
    assert_eq!(story.worked(), ["T1.1", "T3.1"]);
    story.tell(skip(1, Dependents::Run));
    story.hand_in("T3.1");
    story.gates(|_, _| false);
    assert_eq!(story.worked(), ["T1.1", "T3.1", "T2.1"]);
}

#[test]
fn who_says_sooner_has_it_next() {
    let tasks = vec![
        task("a", &[]),
        task("b", &[]),
        task("c", &[]),
        task("d", &[]),
    ];
    let mut story = Story::planned(terms(1, 3), tasks);
    story.tell(prioritise(4, Priority::High));
    story.tell(prioritise(2, Priority::Low));
    for attempt in ["T1.1", "T4.1", "T3.1"] {
        assert_eq!(story.worked().last().unwrap(), attempt);
        story.hand_in(attempt);
        story.gates(|_, _| false);
        story.land();
    }
    assert_eq!(story.worked().last().unwrap(), "T2.1");
    assert_eq!(
        refused(&mut story, prioritise(4, Priority::Low)),
        Refusal::DoneAlready(TaskId(4))
    );
}

#[test]
fn what_cannot_be_done_to_a_task_is_refused_with_what_can() {
    let ask = TaskDraft {
        kind: TaskKind::Ask,
        acceptance: Vec::new(),
        ..task("q", &[])
    };
    let tasks = vec![task("a", &[]), task("b", &["a"]), ask];
    let mut story = Story::planned(terms(1, 3), tasks);
    let none = Refusal::NoTask(TaskId(9));
    assert_eq!(refused(&mut story, retry(9, "x")), none);
    assert_eq!(refused(&mut story, skip(9, Dependents::Ask)), none);
    assert_eq!(refused(&mut story, prioritise(9, Priority::Low)), none);
    assert_eq!(
        refused(&mut story, retry(2, "x")),
        Refusal::NotBegun(TaskId(2))
    );
    assert_eq!(
        refused(&mut story, retry(3, "x")),
        Refusal::AsksYou(TaskId(3))
    );
    let silent = Input::Skip {
        task: TaskId(1),
        why: " ".into(),
        dependents: Dependents::Run,
        by: me(),
    };
    assert_eq!(refused(&mut story, silent), Refusal::NoReason);
    let long = "x".repeat(limits::SAID_BYTES + 1);
    let too_much = Refusal::TooMuchSaid(limits::SAID_BYTES);
    assert_eq!(refused(&mut story, retry(1, &long)), too_much);
    story.tell(skip(2, Dependents::Ask));
    let no_more = Refusal::StartsNoMore(TaskId(2), "skipped");
    assert_eq!(refused(&mut story, prioritise(2, Priority::High)), no_more);
    story.hand_in("T1.1");
    story.gates(|_, _| false);
    story.land();
    let done = Refusal::DoneAlready(TaskId(1));
    assert_eq!(refused(&mut story, retry(1, "x")), done);
    assert_eq!(refused(&mut story, skip(1, Dependents::Ask)), done);
    let mut story = Story::open(Terms::default());
    assert_eq!(
        refused(&mut story, skip(1, Dependents::Ask)),
        Refusal::NoPlan
    );
}

#[test]
fn an_abort_ends_it_at_once_and_leaves_the_workspaces() {
    let mut story = Story::planned(terms(1, 3), vec![task("a", &[]), task("b", &[])]);
    story.tell(Input::Abort { by: me() });
    assert_eq!(story.mission.outcome(), Some(Outcome::Cancelled));
    assert_eq!(story.due(), [""; 0], "nothing is cleaned up");
    let n_events = story.mission.n_events();
    assert_eq!(story.tell(Input::Abort { by: me() }), Reply::Done);
    // It was said what stays; whoever wants it gone is told so, and not that it is done.
    let over = Reply::Refused(Refusal::Over(Outcome::Cancelled));
    assert_eq!(story.tell(Input::Cancel { by: me() }), over);
    assert_eq!(
        (story.mission.n_events(), story.due()),
        (n_events, Vec::new())
    );
    // A mission that was aborted goes on, and cleans up at its end.
    let resume = Input::Resume {
        by: me(),
        more_tokens: 0,
        more_money: 0,
        replan: false,
    };
    story.tell(resume);
    assert_eq!(story.worked(), ["T1.1", "T1.1"], "no attempt was used up");
    story.tell(Input::Cancel { by: me() });
    assert_eq!(story.due(), ["clean 2"]);
    let n_events = story.mission.n_events();
    assert_eq!(story.tell(Input::Cancel { by: me() }), Reply::Done);
    // What it tidies up cannot be left any more.
    let over = Reply::Refused(Refusal::Over(Outcome::Cancelled));
    assert_eq!(story.tell(Input::Abort { by: me() }), over);
    assert_eq!(story.mission.n_events(), n_events);
}

#[test]
fn a_line_that_may_be_moving_is_waited_for_by_an_abort_and_a_cancel_becomes_one() {
    let mut story = Story::planned(terms(1, 3), vec![task("a", &[]), task("b", &[])]);
    story.hand_in("T1.1");
    story.gates(|_, _| false);
    story.stack();
    story.gates(|_, _| false);
    story.tell(Input::Cancel { by: me() });
    assert_eq!(story.due(), ["move 1"]);
    story.tell(Input::Abort { by: me() });
    story.tell(Input::Abort { by: me() });
    assert_eq!(story.count("cancel_asked"), 2);
    story.move_line();
    assert_eq!(story.mission.outcome(), Some(Outcome::Cancelled));
    assert_eq!(story.due(), [""; 0]);
    assert_eq!(story.mission.landed(), 1);
}
