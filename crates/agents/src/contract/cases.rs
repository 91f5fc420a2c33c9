//! What every host does.

use super::{Behaviour, Fixture, Recorder};
use crate::{Order, ShellRule, Sign};
use mission::ids::{Epoch, MissionId};
use mission::plan::{Draft, TaskDraft};
use mission::time::Millis;
use mission::turn::{
    Answer, AnswerKind, Failure, Finding, FindingKind, Intent, Outcome, Report, Role, Verdict,
};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Runs the whole suite.
///
/// # Panics
///
/// When the host does not do what every host does; the message says what.
pub async fn check(fixture: &dyn Fixture) {
    every_kind_of_answer_comes_back_as_it_was_given(fixture).await;
    work_is_done_in_the_workspace_of_the_order(fixture).await;
    the_same_order_twice_has_one_effect(fixture).await;
    a_workspace_that_was_set_anew_begins_a_turn_anew(fixture).await;
    a_turn_goes_on_with_an_earlier_one(fixture).await;
    what_is_said_while_a_turn_runs_reaches_it_once(fixture).await;
    what_its_brief_holds_is_not_said_to_a_turn_again(fixture).await;
    nudges_reach_a_turn_that_runs_once_each_and_are_nobodys_notes(fixture).await;
    silence_is_told_before_it_ends_a_turn(fixture).await;
    babble_is_no_answer(fixture).await;
    a_refusal_says_how_long_to_wait_and_uses_nothing_up(fixture).await;
    what_may_not_be_asked_is_not_asked(fixture).await;
    silence_ends_a_turn(fixture).await;
    a_limit_ends_a_turn(fixture).await;
    a_stopped_turn_tells_nothing_and_can_be_run_again(fixture).await;
}

fn order(fixture: &dyn Fixture, role: Role, key: &str) -> Order {
    Order {
        key: Some(key.to_owned()),
        mission: MissionId(1),
        nonce: "contract".to_owned(),
        turn: key.to_owned(),
        epoch: Epoch(1),
        workspace: Epoch(1),
        role,
        title: format!("contract: {key}"),
        brief: format!("Do what the contract says about {key}."),
        told: 0,
        answer: kind(role),
        tried: Vec::new(),
        directory: fixture.workspace(key),
        model: None,
        shell: ShellRule::Allow,
        continues: None,
        closed: Vec::new(),
        limit: Millis::from_secs(120),
        silence: Millis::from_secs(60),
    }
}

fn kind(role: Role) -> AnswerKind {
    match role {
        Role::Commander => AnswerKind::Intent,
        Role::Planner => AnswerKind::Plan,
        Role::Worker => AnswerKind::Report,
        Role::Reviewer => AnswerKind::Verdict,
    }
}

/// An answer that fits the role and has something in every place.
fn answer(role: Role) -> Answer {
    let text = |s: &str| s.to_owned();
    match role {
        Role::Commander => Answer::Intent(Intent::Plan {
            goal: text("Say “hello” in <two> languages.\n```\nx\n```"),
        }),
        Role::Planner => Answer::Plan(Draft {
            tasks: vec![TaskDraft {
                id: text("a"),
                title: text("A"),
                goal: text("g"),
                needs: vec![text("b")],
                ..TaskDraft::default()
            }],
        }),
        Role::Worker => Answer::Report(Report::Done {
            summary: text("done"),
            changed_tests: Vec::new(),
            notes: vec![text("a note")],
        }),
        Role::Reviewer => Answer::Verdict(Verdict {
            accept: false,
            findings: vec![Finding {
                file: text("a.rs"),
                line: 3,
                kind: FindingKind::Defect,
                what: text("wrong"),
            }],
        }),
    }
}

async fn run(fixture: &dyn Fixture, order: Order) -> Outcome {
    let recorder = Recorder::new();
    fixture
        .agent()
        .run(order, Arc::clone(&recorder) as _, CancellationToken::new())
        .await;
    recorder.outcome()
}

async fn every_kind_of_answer_comes_back_as_it_was_given(fixture: &dyn Fixture) {
    for role in [Role::Commander, Role::Planner, Role::Worker, Role::Reviewer] {
        let key = format!("kind-{role}");
        fixture.behave(&key, Behaviour::Answer(answer(role)));
        let outcome = run(fixture, order(fixture, role, &key)).await;
        let Outcome::Answered { answer: got, usage } = outcome else {
            panic!("{key}: {outcome:?}")
        };
        assert_eq!(got, answer(role));
        assert!(usage.calls >= 1, "{key}: a turn that asked a model says so");
    }
}

fn append(line: &str) -> Behaviour {
    Behaviour::Append {
        path: "out.txt".to_owned(),
        line: line.to_owned(),
        answer: answer(Role::Worker),
    }
}

fn written(fixture: &dyn Fixture, key: &str) -> String {
    std::fs::read_to_string(fixture.workspace(key).join("out.txt")).unwrap_or_default()
}

async fn work_is_done_in_the_workspace_of_the_order(fixture: &dyn Fixture) {
    fixture.behave("place", append("here"));
    let outcome = run(fixture, order(fixture, Role::Worker, "place")).await;
    assert!(matches!(outcome, Outcome::Answered { .. }), "{outcome:?}");
    assert_eq!(written(fixture, "place"), "here\n");
}

async fn the_same_order_twice_has_one_effect(fixture: &dyn Fixture) {
    fixture.behave("twice", append("once"));
    let order = order(fixture, Role::Worker, "twice");
    let first = run(fixture, order.clone()).await;
    let asked = fixture.asked("twice");
    let second = run(
        fixture,
        Order {
            epoch: Epoch(2),
            ..order
        },
    )
    .await;
    let (
        Outcome::Answered { answer, usage },
        Outcome::Answered {
            answer: same,
            usage: more,
        },
    ) = (&first, &second)
    else {
        panic!("{first:?} {second:?}")
    };
    assert_eq!(answer, same, "the second run finds what the first one did");
    assert!(usage.calls >= 1, "{usage:?}");
    assert_eq!(
        (more.tokens(), more.calls),
        (Some(0), 0),
        "what the first lease has told is not told again"
    );
    assert_eq!(
        fixture.asked("twice"),
        asked,
        "the second run asks no model"
    );
    assert_eq!(written(fixture, "twice"), "once\n");
}

async fn a_workspace_that_was_set_anew_begins_a_turn_anew(fixture: &dyn Fixture) {
    fixture.behave("anew", append("work"));
    let order = order(fixture, Role::Worker, "anew");
    run(fixture, order.clone()).await;
    assert_eq!(written(fixture, "anew"), "work\n");
    // As when another turn had the workspace in between: what was done is gone.
    std::fs::remove_file(fixture.workspace("anew").join("out.txt")).expect("a written file");
    let again = Order {
        epoch: Epoch(2),
        workspace: Epoch(2),
        ..order
    };
    let outcome = run(fixture, again).await;
    assert!(
        matches!(&outcome, Outcome::Answered { usage, .. } if usage.calls >= 1),
        "the agent is asked again: {outcome:?}"
    );
    assert_eq!(
        written(fixture, "anew"),
        "work\n",
        "and does the work again"
    );
}

async fn a_turn_goes_on_with_an_earlier_one(fixture: &dyn Fixture) {
    let faulty = Answer::Plan(Draft::default());
    fixture.behave("first-plan", Behaviour::Answer(faulty.clone()));
    fixture.behave("mended-plan", Behaviour::Answer(answer(Role::Planner)));
    let first = order(fixture, Role::Planner, "first-plan");
    let outcome = run(fixture, first.clone()).await;
    assert!(
        matches!(&outcome, Outcome::Answered { answer, .. } if *answer == faulty),
        "{outcome:?}"
    );
    let mut second = order(fixture, Role::Planner, "mended-plan");
    second.directory = first.directory;
    (second.epoch, second.workspace) = (Epoch(2), Epoch(2));
    second.continues = Some(first.turn);
    for _ in 0..2 {
        let outcome = run(fixture, second.clone()).await;
        let mended = answer(Role::Planner);
        assert!(
            matches!(&outcome, Outcome::Answered { answer, .. } if *answer == mended),
            "{outcome:?}"
        );
    }
}

/// One that looks for some words and writes down what it finds.
fn heed(words: &str) -> Behaviour {
    Behaviour::Heed {
        words: words.to_owned(),
        path: "out.txt".to_owned(),
        answer: answer(Role::Worker),
    }
}

async fn what_is_said_while_a_turn_runs_reaches_it_once(fixture: &dyn Fixture) {
    fixture.behave("heed", heed("mind the gap"));
    let order = order(fixture, Role::Worker, "heed");
    let (recorder, on) = (Recorder::new(), CancellationToken::new());
    let running = fixture
        .agent()
        .run(order.clone(), Arc::clone(&recorder) as _, on);
    let saying = async {
        let begun = |seen: &super::Seen| seen.signs.iter().any(|s| matches!(s, Sign::Doing(_)));
        recorder.until(begun).await;
        recorder.say(1, "mind the gap");
        recorder.until(|seen| seen.noted.contains(&1)).await;
    };
    tokio::join!(running, saying);
    let outcome = recorder.outcome();
    assert!(matches!(outcome, Outcome::Answered { .. }), "{outcome:?}");
    assert_eq!(written(fixture, "heed"), "mind the gap\n");
    // The turn is leased anew, as after a lost reply: it knows what it was told.
    let asked = fixture.asked("heed");
    let again = Recorder::new();
    again.say(1, "mind the gap");
    let order = Order {
        epoch: Epoch(2),
        told: 1,
        ..order
    };
    let on = CancellationToken::new();
    fixture
        .agent()
        .run(order, Arc::clone(&again) as _, on)
        .await;
    let outcome = again.outcome();
    assert!(matches!(outcome, Outcome::Answered { .. }), "{outcome:?}");
    assert_eq!(fixture.asked("heed"), asked, "nothing is said twice");
}

async fn what_its_brief_holds_is_not_said_to_a_turn_again(fixture: &dyn Fixture) {
    fixture.behave("briefed", Behaviour::Answer(answer(Role::Worker)));
    let mut order = order(fixture, Role::Worker, "briefed");
    order.brief.push_str(" And mind the step.");
    order.told = 1;
    let (recorder, on) = (Recorder::new(), CancellationToken::new());
    recorder.say(1, "mind the step");
    fixture
        .agent()
        .run(order, Arc::clone(&recorder) as _, on)
        .await;
    let outcome = recorder.outcome();
    assert!(matches!(outcome, Outcome::Answered { .. }), "{outcome:?}");
    let noted = recorder.seen().noted;
    assert!(noted.is_empty(), "it knew from the beginning: {noted:?}");
    assert_eq!(fixture.asked("briefed"), 1);
}

async fn nudges_reach_a_turn_that_runs_once_each_and_are_nobodys_notes(fixture: &dyn Fixture) {
    fixture.behave("nudge", heed("go another way"));
    let order = order(fixture, Role::Worker, "nudge");
    let (recorder, on) = (Recorder::new(), CancellationToken::new());
    let running = fixture
        .agent()
        .run(order.clone(), Arc::clone(&recorder) as _, on);
    let pushing = async {
        // What it does is told, so that whoever looks sees whether it gets anywhere.
        let did = |seen: &super::Seen| seen.signs.iter().any(|s| matches!(s, Sign::Did(..)));
        recorder.until(did).await;
        // The numbers are names and no order.
        recorder.push(7, "mind the other one");
        recorder.push(1, "go another way");
    };
    tokio::join!(running, pushing);
    let outcome = recorder.outcome();
    assert!(matches!(outcome, Outcome::Answered { .. }), "{outcome:?}");
    let written = written(fixture, "nudge");
    let heard = written.lines().filter(|line| *line == "go another way");
    assert_eq!(heard.count(), 1, "{written}");
    let noted = recorder.seen().noted;
    assert!(noted.is_empty(), "nobody said anything: {noted:?}");
    // Whoever takes the turn up again finds it there.
    let asked = fixture.asked("nudge");
    let again = Recorder::new();
    again.push(1, "go another way");
    let order = Order {
        epoch: Epoch(2),
        ..order
    };
    let on = CancellationToken::new();
    fixture
        .agent()
        .run(order, Arc::clone(&again) as _, on)
        .await;
    assert!(matches!(again.outcome(), Outcome::Answered { .. }));
    assert_eq!(fixture.asked("nudge"), asked, "nothing is said twice");
}

async fn silence_is_told_before_it_ends_a_turn(fixture: &dyn Fixture) {
    fixture.behave("quiet", Behaviour::Hang);
    let mut order = order(fixture, Role::Worker, "quiet");
    order.silence = Millis(8_000);
    let (recorder, stop) = (Recorder::new(), CancellationToken::new());
    let running = fixture
        .agent()
        .run(order, Arc::clone(&recorder) as _, stop.clone());
    tokio::join!(running, async {
        let quiet = |seen: &super::Seen| seen.signs.contains(&Sign::Quiet(Millis(4_000)));
        recorder.until(quiet).await;
        stop.cancel();
    });
    assert!(recorder.seen().outcomes.is_empty(), "it is not over yet");
}

async fn babble_is_no_answer(fixture: &dyn Fixture) {
    fixture.behave("babble", Behaviour::Babble);
    let outcome = run(fixture, order(fixture, Role::Reviewer, "babble")).await;
    assert!(
        matches!(
            outcome,
            Outcome::Failed {
                failure: Failure::NoAnswer,
                ..
            }
        ),
        "{outcome:?}"
    );
    assert!(
        fixture.asked("babble") <= 4,
        "an answer is asked for once and repaired twice at the most"
    );
}

async fn a_refusal_says_how_long_to_wait_and_uses_nothing_up(fixture: &dyn Fixture) {
    fixture.behave("refusal", Behaviour::Refuse(Millis::from_secs(90)));
    let order = order(fixture, Role::Worker, "refusal");
    let outcome = run(fixture, order.clone()).await;
    let Outcome::Refused {
        retry_after: Some(wait),
        usage,
        ..
    } = outcome
    else {
        panic!("{outcome:?}")
    };
    assert_eq!(
        (usage.tokens(), usage.calls),
        (Some(0), 0),
        "what was refused is known to have used nothing"
    );
    assert!(
        (Millis::from_secs(80)..=Millis::from_secs(91)).contains(&wait),
        "{wait}"
    );
    fixture.behave("refusal", Behaviour::Answer(answer(Role::Worker)));
    let again = Order {
        epoch: Epoch(2),
        ..order
    };
    let outcome = run(fixture, again).await;
    assert!(matches!(outcome, Outcome::Answered { .. }), "{outcome:?}");
}

async fn what_may_not_be_asked_is_not_asked(fixture: &dyn Fixture) {
    fixture.behave("held", Behaviour::Answer(answer(Role::Worker)));
    let (order, recorder) = (order(fixture, Role::Worker, "held"), Recorder::new());
    let run = |order: &Order| {
        let watcher = Arc::clone(&recorder) as _;
        let stop = CancellationToken::new();
        fixture.agent().run(order.clone(), watcher, stop)
    };
    recorder.hold(true);
    run(&order).await;
    let seen = recorder.seen();
    assert_eq!((fixture.asked("held"), seen.models.len()), (0, 1));
    assert!(seen.outcomes.is_empty(), "{:?}", seen.outcomes);
    recorder.hold(false);
    let again = Order {
        epoch: Epoch(2),
        ..order
    };
    run(&again).await;
    assert!(matches!(recorder.outcome(), Outcome::Answered { .. }));
    assert_eq!(fixture.asked("held"), 1);
    // What is answered already is no call, and needs nobody's leave.
    recorder.hold(true);
    let known = Recorder::new();
    known.hold(true);
    let stop = CancellationToken::new();
    fixture
        .agent()
        .run(again, Arc::clone(&known) as _, stop)
        .await;
    assert!(matches!(known.outcome(), Outcome::Answered { .. }));
}

async fn silence_ends_a_turn(fixture: &dyn Fixture) {
    fixture.behave("silence", Behaviour::Hang);
    let mut order = order(fixture, Role::Worker, "silence");
    // Long enough for the call to have begun, also on a machine that is busy with other things.
    order.silence = Millis(15_000);
    let outcome = run(fixture, order).await;
    let Outcome::Failed {
        failure: Failure::Silent,
        usage,
        ..
    } = outcome
    else {
        panic!("{outcome:?}")
    };
    assert_eq!(
        usage.tokens(),
        None,
        "what a call used that nobody heard the end of is unknown"
    );
}

async fn a_limit_ends_a_turn(fixture: &dyn Fixture) {
    fixture.behave("limit", Behaviour::Hang);
    let mut order = order(fixture, Role::Worker, "limit");
    order.limit = Millis(2_500);
    let outcome = run(fixture, order).await;
    assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
}

async fn a_stopped_turn_tells_nothing_and_can_be_run_again(fixture: &dyn Fixture) {
    fixture.behave("stop", Behaviour::Hang);
    let order = order(fixture, Role::Worker, "stop");
    let (recorder, stop) = (Recorder::new(), CancellationToken::new());
    let running = fixture
        .agent()
        .run(order.clone(), Arc::clone(&recorder) as _, stop.clone());
    let stopping = async {
        recorder.until(|seen| !seen.signs.is_empty()).await;
        stop.cancel();
    };
    tokio::join!(running, stopping);
    assert_eq!(
        recorder.seen().outcomes,
        [],
        "a stopped turn tells no outcome"
    );
    let asked = fixture.asked("stop");
    fixture.behave("stop", append("after all"));
    assert_eq!(
        fixture.asked("stop"),
        asked,
        "nothing of a stopped turn runs on"
    );
    let outcome = run(fixture, order).await;
    assert!(matches!(outcome, Outcome::Answered { .. }), "{outcome:?}");
    assert_eq!(written(fixture, "stop"), "after all\n");
}
