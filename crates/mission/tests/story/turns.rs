//! How turns are lent, refused, and end.

use crate::teller::{Story, project_gate, task, used};
use mission::gate::GateResult;
use mission::input::Input;
use mission::limits;
use mission::plan::{Priority, TaskDraft};
use mission::question::QuestionId;
use mission::seal::Outcome;
use mission::terms::Terms;
use mission::time::{Millis, Timestamp};
use mission::turn::{Answer, Failure, Intent, Outcome as TurnOutcome, Report, Usage};

fn refused(wait: Millis) -> TurnOutcome {
    let why = "429".to_owned();
    TurnOutcome::Refused {
        retry_after: Some(wait),
        why,
        usage: used(0),
        outage: false,
    }
}

#[test]
fn a_parked_task_that_waits_for_a_slot_wakes_nobody() {
    let terms = Terms {
        workers: 1,
        ..Terms::default()
    };
    let mut story = Story::planned(terms, vec![task("a", &[]), task("b", &[])]);
    story.end("T1.1", refused(Millis::from_secs(5)), None);
    let parked = story.mission.next_wake(story.now).unwrap();
    let wait = parked.since(story.now);
    assert!(wait >= Millis::from_secs(5), "{wait}");
    story.wait(wait);
    let wake = story.mission.next_wake(story.now).unwrap();
    assert!(
        wake > parked,
        "{wake:?} is over, and the loop would turn without rest"
    );
}

#[test]
fn a_question_is_answered_and_ends_the_gates_that_run_meanwhile() {
    let mut story = Story::open(Terms::default());
    story.prepare(vec![project_gate("test")]);
    story.wait(limits::FIRST_LOOK);
    assert_eq!(story.due(), ["turn intent.1 #2", "gate test #1"]);
    story.answer(
        "intent.1",
        Answer::Intent(Intent::Answer { text: "42".into() }),
    );
    assert_eq!(story.mission.outcome(), Some(Outcome::Answered));
    assert_eq!(story.due(), ["clean 1"]);
}

#[test]
fn what_the_checks_say_of_the_base_is_known_before_a_token_is_spent_or_a_moment_has_passed() {
    let mut story = Story::open(Terms::default());
    story.prepare(vec![project_gate("test"), project_gate("lint")]);
    let waits = |story: &Story| story.mission.waits(story.now)[0].clone();
    assert_eq!(story.due(), ["gate test #1"], "nobody is asked yet");
    assert_eq!(waits(&story).cause, "what the checks say of your files");
    assert_eq!(waits(&story).until, story.now + limits::FIRST_LOOK);
    story.gate_ends(GateResult::Passed);
    assert_eq!(story.due(), ["gate lint #2"]);
    // A red check is run again before it is believed, and that belongs to the look.
    story.gate_ends(GateResult::Failed { exit: 1 });
    story.gate_ends(GateResult::Failed { exit: 1 });
    assert_eq!(story.due(), ["turn intent.1 #4"]);

    let mut slow = Story::open(Terms::default());
    slow.prepare(vec![project_gate("test")]);
    let wake = slow.mission.next_wake(slow.now);
    assert_eq!(wake, Some(slow.now + limits::FIRST_LOOK));
    slow.wait(limits::FIRST_LOOK);
    assert_eq!(slow.due(), ["turn intent.1 #2", "gate test #1"]);
}

#[test]
fn a_persons_hint_is_worth_a_try_even_after_the_last() {
    let terms = Terms {
        attempts: 1,
        ..Terms::default()
    };
    let mut story = Story::planned(terms, vec![task("a", &[])]);
    story.answer(
        "T1.1",
        Answer::Report(Report::Blocked {
            why: "no key".into(),
        }),
    );
    let (id, text, by) = (
        QuestionId(1),
        "it is in the drawer".to_owned(),
        "me".to_owned(),
    );
    story.tell(Input::Answer { id, text, by });
    story.carry("T1.2");
    assert_eq!(story.mission.outcome(), Some(Outcome::Completed));
}

/// Why the first task did not land, as the seal says it.
fn reason(story: &Story) -> &str {
    assert_ne!(story.mission.outcome(), Some(Outcome::Completed));
    &story.mission.reasons()[0]
}

#[test]
fn a_task_that_failed_names_the_command_and_what_it_said() {
    let terms = Terms {
        attempts: 1,
        ..Terms::default()
    };
    let mut story = Story::planned(terms, vec![task("a", &[])]);
    story.hand_in("T1.1");
    story.gates(|_, _| true);
    let why = "T1 (Do a) failed: 1 attempts were turned down; the last: `check a` was red (exit 1)";
    assert!(reason(&story).starts_with(why), "{}", reason(&story));
}

#[test]
fn a_worker_is_told_that_the_attempt_before_it_fell_silent() {
    let terms = Terms {
        attempts: 2,
        ..Terms::default()
    };
    let mut story = Story::planned(terms, vec![task("a", &[])]);
    let silent = || TurnOutcome::Failed {
        failure: Failure::Silent,
        why: "nothing was heard of it, in bash: tail -f log".into(),
        usage: used(10),
    };
    story.end("T1.1", silent(), None);
    let id = "T1".parse().unwrap();
    let (attempt, why) = story.mission.task(id).unwrap().history[0].clone();
    assert_eq!(attempt.to_string(), "T1.1");
    let told = "it ended without a result: nothing was heard of it, in bash: tail -f log";
    assert_eq!(story.mission.told(&why), told);
    story.wait(Millis::from_mins(1));
    story.end("T1.2", silent(), None);
    assert_eq!(story.mission.outcome(), Some(Outcome::Failed));
}

#[test]
fn a_disputed_task_says_what_about() {
    let terms = Terms {
        review_rounds: 1,
        attended: false,
        ..Terms::default()
    };
    let mut story = Story::planned(terms, vec![task("a", &[])]);
    story.hand_in("T1.1");
    story.gates(|_, _| false);
    story.review("T1.1/review.1", false);
    let why = "T1 (Do a) is disputed: its checks are green, and no Reviewer accepted it";
    assert_eq!(reason(&story), why);
}

#[test]
fn a_blocked_task_is_named_once() {
    let terms = Terms {
        attended: false,
        ..Terms::default()
    };
    let mut story = Story::planned(terms, vec![task("a", &[])]);
    story.answer(
        "T1.1",
        Answer::Report(Report::Blocked {
            why: "no key".into(),
        }),
    );
    assert_eq!(
        reason(&story),
        "T1 (Do a) failed: cannot go on: it is blocked: no key"
    );
}

#[test]
fn a_proof_whose_program_is_not_installed_costs_no_further_attempt_and_is_run_again_on_a_persons_word()
 {
    let mut story = Story::planned(Terms::default(), vec![task("a", &[])]);
    story.hand_in("T1.1");
    let missing = |tool: &str| GateResult::MissingTool { tool: tool.into() };
    story.gate_ends(missing("check"));
    let (id, asked) = story.mission.questions().next().unwrap();
    assert_eq!(
        asked.text,
        "T1 (Do a) cannot go on: `check a` cannot prove it: there is no check. A hint for the next try, or `leave`?"
    );
    let (text, by) = ("it is installed now".to_owned(), "me".to_owned());
    story.tell(Input::Answer { id, text, by });
    story.hand_in("T1.2");
    let gate = story.mission.gate_leases().next().unwrap().1;
    assert_eq!(gate.tree, crate::teller::tree("T1.2"));
    // What a script of the tree misses is the Worker's to mend.
    story.gate_ends(missing("./check"));
    assert_eq!(story.mission.questions().count(), 0);
    story.epoch("T1.3");
}

#[test]
fn no_deadline_strikes_because_of_time_in_which_no_engine_ran() {
    let mut story = Story::planned(Terms::default(), vec![task("a", &[]), task("b", &[])]);
    story.answer(
        "T2.1",
        Answer::Report(Report::Blocked {
            why: "no password".into(),
        }),
    );
    let ends = |story: &Story| -> Vec<Timestamp> {
        let leases = story.mission.leases().map(|(_, lease)| lease.deadline);
        let questions = story.mission.questions().map(|(_, asked)| asked.deadline);
        leases
            .chain(questions)
            .chain([story.mission.deadline()])
            .collect()
    };
    let before = ends(&story);
    assert_eq!(before.len(), 3);
    let idle = Millis::from_mins(600);
    story.now = story.now + idle;
    story.tell(Input::Woke { seen: None });
    let moved: Vec<Timestamp> = before.iter().map(|at| *at + idle).collect();
    assert_eq!(ends(&story), moved);
    story.epoch("T1.1");
    // What is left of the time is left, and not a moment more.
    let left = story.mission.leases().next().unwrap().1.deadline;
    story.wait(left.since(story.now));
    assert!(
        story
            .mission
            .leases()
            .all(|(_, lease)| lease.turn.to_string() != "T1.1")
    );
}

#[test]
fn a_task_that_waits_for_a_provider_waits_no_longer_because_no_engine_ran() {
    let mut story = Story::planned(Terms::default(), vec![task("a", &[])]);
    story.end("T1.1", refused(Millis::from_secs(60)), None);
    story.now = story.now + Millis::from_mins(10);
    story.tell(Input::Woke { seen: None });
    story.epoch("T1.1");
}

#[test]
fn a_lease_covers_set_up_and_every_run_that_it_is_for() {
    let mut story = Story::planned(Terms::default(), vec![task("a", &[])]);
    let set_up = Millis::from_mins(30);
    let lease = story.mission.leases().next().unwrap().1;
    assert!(lease.deadline.since(story.now) > Terms::default().attempt + set_up);
    story.hand_in("T1.1");
    let lease = story.mission.gate_leases().next().unwrap().1;
    let runs = lease.gate.timeout + lease.gate.timeout;
    assert!(lease.deadline.since(story.now) > set_up + runs);
}

/// A refusal before any call: nothing is known of its use, because there was none.
fn busy() -> TurnOutcome {
    TurnOutcome::Refused {
        retry_after: None,
        why: "429".into(),
        usage: Usage::default(),
        outage: false,
    }
}

/// After how long something is asked of the provider again; before that it is left to others for a moment.
fn asked_again(story: &mut Story) -> Millis {
    let refused = story.now;
    while story.mission.leases().next().is_none() {
        let wake = story.mission.next_wake(story.now).unwrap();
        story.wait(wake.since(story.now));
    }
    story.now.since(refused)
}

#[test]
fn a_provider_that_refuses_all_day_costs_no_token_and_no_attempt() {
    let mut story = Story::planned(Terms::default(), vec![task("a", &[])]);
    let spent = story.mission.budget().spent;
    let mut waits = Vec::new();
    for _ in 0..20 {
        story.end("T1.1", busy(), None);
        waits.push(asked_again(&mut story));
    }
    assert_eq!(story.mission.budget().spent, spent);
    assert!(waits[10] > waits[0], "{waits:?}");
    story.carry("T1.1");
    assert_eq!(story.mission.outcome(), Some(Outcome::Completed));
}

#[test]
fn a_reviewer_that_is_refused_is_asked_less_and_less_often() {
    let mut story = Story::planned(Terms::default(), vec![task("a", &[])]);
    story.hand_in("T1.1");
    story.gates(|_, _| false);
    let mut waits = Vec::new();
    for n in 1..=6 {
        story.end(&format!("T1.1/review.{n}"), busy(), None);
        waits.push(asked_again(&mut story));
    }
    assert!(waits[5].0 > 8 * waits[0].0, "{waits:?}");
}

#[test]
fn ready_tasks_start_by_priority_and_then_by_the_longest_path() {
    let one = |key: &str, needs: &[&str], priority| TaskDraft {
        priority,
        ..task(key, needs)
    };
    let tasks = vec![
        one("low", &[], Priority::Low),
        one("short", &[], Priority::Normal),
        one("long", &[], Priority::Normal),
        one("high", &[], Priority::High),
        one("after", &["long"], Priority::Normal),
    ];
    let terms = Terms {
        workers: 1,
        ..Terms::default()
    };
    let mut story = Story::planned(terms, tasks);
    for attempt in ["T4.1", "T3.1", "T2.1"] {
        assert_eq!(story.worked().last().map(String::as_str), Some(attempt));
        story.end(attempt, blocked(), None);
    }
    assert_eq!(story.worked().last().map(String::as_str), Some("T1.1"));
}

fn blocked() -> TurnOutcome {
    TurnOutcome::Answered {
        answer: Answer::Report(Report::Blocked { why: "x".into() }),
        usage: used(1),
    }
}

#[test]
fn no_turn_is_promised_more_time_than_the_mission_has_left() {
    let terms = Terms {
        mission: Millis::from_mins(60),
        ..Terms::default()
    };
    let mut story = Story::planned(terms, vec![task("a", &[]), task("b", &["a"])]);
    let end = story.mission.deadline();
    story.wait(Millis::from_mins(40));
    story.carry("T1.1");
    let lease = story.mission.lease(story.epoch("T2.1")).unwrap();
    assert_eq!(lease.deadline, end + limits::TURN_GRACE);
    assert_eq!(story.mission.outcome(), None);
}

#[test]
fn a_turn_that_has_no_time_left_is_not_begun() {
    let terms = Terms {
        mission: Millis::from_mins(60),
        ..Terms::default()
    };
    let mut story = Story::planned(terms, vec![task("a", &[]), task("b", &["a"])]);
    story.wait(Millis(Millis::from_mins(60).0 - 30_000));
    story.hand_in("T1.1");
    story.gates(|_, _| false);
    assert_eq!(story.worked(), ["T1.1"]);
    assert_eq!(story.count("turn_started"), 3);
    assert_eq!(story.mission.outcome(), Some(Outcome::Failed));
    let told = story.mission.reasons().join("; ");
    assert!(told.contains("too little is left"), "{told}");
}

#[test]
fn time_in_which_an_engine_ran_moves_no_deadline() {
    let mut story = Story::planned(Terms::default(), vec![task("a", &[])]);
    let before = story.mission.lease(story.epoch("T1.1")).unwrap().deadline;
    let silent = Millis::from_mins(50);
    story.now = story.now + silent + Millis::from_mins(5);
    let seen = Some(story.now - Millis::from_mins(5));
    story.tell(Input::Woke { seen });
    let after = story.mission.lease(story.epoch("T1.1")).unwrap().deadline;
    assert_eq!(after.since(before), Millis::from_mins(5));
}
