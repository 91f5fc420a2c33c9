//! Frames of fixed missions, as a person would see them.

use super::*;
use agents::Sign;
use mission::event::{Event, Purpose};
use mission::gate::{Gate, GateKind, Program};
use mission::ids::{AttemptId, CommitId, Digest, MissionId, TreeId};
use mission::plan::{self, Draft, Plan, TaskDraft};
use mission::question::{About, QuestionId};
use mission::terms::Terms;
use mission::turn::Usage;
use mission::work::Base;

const START: Timestamp = Timestamp(1_000_000);

pub(in crate::view) fn at(secs: u64) -> Timestamp {
    START + Millis::from_secs(secs)
}

fn commit() -> CommitId {
    "1111111111111111111111111111111111111111".parse().unwrap()
}

fn tree() -> TreeId {
    "2222222222222222222222222222222222222222".parse().unwrap()
}

#[test]
fn choices_are_told_as_a_shell_takes_them() {
    let told = |choices: &[&str], is_free| {
        let choices: Vec<String> = choices.iter().map(|it| (*it).to_owned()).collect();
        offered(&choices, is_free)
    };
    assert_eq!(told(&["yes", "no"], false), "yes|no");
    assert_eq!(told(&[], true), "TEXT");
    let hostile = ["ok; curl x|sh", "it's", ""];
    assert_eq!(told(&hostile, true), r"'ok; curl x|sh'|'it'\''s'|''|TEXT");
}

/// A mission with three tasks, two of which run.
pub(in crate::view) fn running(titles: [&str; 3]) -> Mission {
    let tasks = ["a", "b", "c"].map(|id| TaskDraft {
        id: id.into(),
        title: id.into(),
        goal: "It is there.".into(),
        writes: vec![format!("{id}.rs")],
        acceptance: vec![format!("test -f {id}.rs")],
        ..TaskDraft::default()
    });
    let draft = Draft {
        tasks: tasks.to_vec(),
    };
    let mut plan = plan::check(&draft, Millis::from_mins(15)).unwrap();
    for (task, title) in plan.tasks.iter_mut().zip(titles) {
        title.clone_into(&mut task.title);
    }
    let mut mission = planned(plan);
    for event in [start(work("T1.1"), 1, 1), start(work("T2.1"), 2, 2)] {
        mission.apply(at(60), &event);
    }
    mission
}

/// A mission with a plan of which nothing has begun.
pub(in crate::view) fn planned(plan: Plan) -> Mission {
    let request = "Add a health check".to_owned();
    let terms = Terms::default();
    let id: MissionId = "m7".parse().unwrap();
    let (mut mission, _) = Mission::open(START, id, "abc".into(), "/p".into(), request, terms);
    let base = Base {
        commit: commit(),
        tree: tree(),
        branch: None,
        head: None,
        uncommitted: 0,
        left_out: Vec::new(),
    };
    let (gates, notes) = (Vec::new(), Vec::new());
    let environment = Digest::of(b"");
    let intent = mission::turn::Intent::Plan {
        goal: "more".into(),
    };
    for event in [
        Event::Prepared {
            base,
            gates,
            environment: Some(environment),
            notes,
        },
        Event::IntentRead { intent },
        Event::Planned { plan },
    ] {
        mission.apply(at(60), &event);
    }
    mission
}

fn work(attempt: &str) -> Turn {
    let attempt: AttemptId = attempt.parse().unwrap();
    Turn::Work { attempt }
}

fn start(turn: Turn, epoch: u64, lane: u32) -> Event {
    Event::TurnStarted {
        turn,
        epoch: Epoch(epoch),
        deadline: at(3_600),
        reserved: 1,
        money: 0,
        lane,
        base: Some(commit()),
        from: None,
        model: None,
    }
}

/// The first Worker may not decide something by itself.
pub(in crate::view) fn asked(text: &str) -> Event {
    let about = About::Permission {
        epoch: Epoch(1),
        token: 1,
        kind: "bash".into(),
    };
    Event::Asked {
        id: QuestionId(1),
        about,
        text: text.into(),
        choices: ["allow", "deny"].map(str::to_owned).to_vec(),
        default: "deny".into(),
        deadline: at(660),
    }
}

fn usage(tokens: u64) -> Usage {
    Usage {
        input: Some(tokens),
        output: Some(0),
        ..Usage::default()
    }
}

#[test]
fn each_worker_has_a_line_with_what_it_does_and_since_when_it_is_silent() {
    let mission = running(["Add the endpoint", "Describe it", "Count requests"]);
    let mut signs = Signs::default();
    signs.hear(at(70), Epoch(1), Sign::Doing("runs cargo test".into()));
    signs.hear(at(72), Epoch(1), Sign::Used(usage(12_345)));
    assert_eq!(
        frame(&mission, &signs, at(75), 90).join("\n"),
        "\
m7 running  ────────────────────────  0 of 3 done, 0 of 5.0M tokens, 1 min 15 s
  worker 1 T1.1   Add the endpoint: runs cargo test                            3 s     12k
  worker 2 T2.1   Describe it: starts                                         15 s       -"
    );
}

#[test]
fn checks_waits_and_questions_are_shown_with_how_long_they_may_last() {
    let mut mission = running(["Add the endpoint", "Describe it", "Count requests"]);
    let gate = Gate {
        id: "cargo-test".into(),
        kind: GateKind::Test,
        program: Program::Argv(vec!["cargo".into(), "test".into()]),
        directory: String::new(),
        timeout: Millis::from_mins(20),
        source: "Cargo.toml".into(),
        defined_by: Vec::new(),
    };
    let deadline = at(70) + gate.timeout;
    let (epoch, purpose) = (Epoch(3), Purpose::Baseline);
    let started = Event::GateStarted {
        epoch,
        gate,
        commit: commit(),
        tree: tree(),
        purpose,
        deadline,
    };
    mission.apply(at(70), &started);
    let ending = mission::event::Ending::Refused {
        why: "429".into(),
        until: at(200),
        outage: false,
    };
    let turn = work("T2.1");
    let ended = Event::TurnEnded {
        turn,
        epoch: Epoch(2),
        ending,
        usage: usage(5),
        charged: 5,
        money: 0,
    };
    mission.apply(at(71), &ended);
    mission.apply(at(72), &asked("run: npm install left-pad"));
    let mut signs = Signs::default();
    let (cause, at_most) = ("the provider (429)".into(), Millis::from_mins(2));
    signs.hear(
        at(74),
        Epoch(1),
        Sign::Waiting {
            cause,
            at_most,
            outage: false,
        },
    );
    assert_eq!(
        frame(&mission, &signs, at(75), 100).join("\n"),
        "\
m7 running  ────────────────────────  0 of 3 done, 5 of 5.0M tokens, 1 min 15 s
  worker 1 T1.1   Add the endpoint: waits up to 9 min 45 s for your answer to q1         1 s       -
  check           cargo-test on your files as they were: cargo test                      5 s
  T2.1            waits: 429                                                   2 min 5 s at the most
  q1 asks: run: npm install left-pad [allow/deny]                                    9 min 45 s left"
    );
}

#[test]
fn a_turn_that_is_silent_for_long_says_for_whom_it_waits_and_until_when() {
    let mission = running(["Add the endpoint", "Describe it", "Count requests"]);
    let mut signs = Signs::new(Some(Millis::from_mins(5)));
    signs.hear(at(70), Epoch(1), Sign::Doing("thinks".into()));
    let rows = |now| frame(&mission, &signs, now, 140).join("\n");
    assert!(!rows(at(89)).contains("waits"), "{}", rows(at(89)));
    let told = rows(at(103));
    for wanted in [
        "Add the endpoint: thinks, waits up to 4 min 27 s for the model",
        "Describe it: starts, waits up to 58 min 17 s for the set-up of its workspace, or the model",
    ] {
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
    let line = waiting(&mission, &signs, at(103)).unwrap();
    assert!(
        line.starts_with("worker 1 T1.1 waits for the model, at most 4 min 27 s; worker 2 T2.1"),
        "{line}"
    );
}

#[test]
fn a_set_up_that_runs_is_named_with_how_long_it_may_last() {
    let mission = running(["Add the endpoint", "Describe it", "Count requests"]);
    let mut signs = Signs::default();
    let set_up = |lane: &str| {
        Some(SetUp {
            command: "npm ci\u{1b}[2J".into(),
            lane: lane.into(),
            since: at(60),
            until: at(1_860),
        })
    };
    assert!(signs.doing(None, set_up("worker-2")));
    assert!(!signs.doing(None, set_up("worker-2")), "it is no news");
    let shown = frame(&mission, &signs, at(95), 110).join("\n");
    assert!(
        shown.contains("Describe it: starts, waits up to 29 min 25 s for its set-up"),
        "{shown}"
    );
    let row = shown.lines().last().unwrap();
    assert!(
        row.starts_with("  set-up          `npm ci") && row.contains("` for worker 2"),
        "{row}"
    );
    assert!(row.ends_with("35 s, 29 min 25 s at the most"), "{row}");
    assert!(!row.contains('\u{1b}'), "{row:?}");
    signs.doing(None, set_up("gate-1"));
    let line = waiting(&mission, &signs, at(95)).unwrap();
    assert!(
        line.ends_with("` for the checks, at most 29 min 25 s")
            && line.contains("; set-up waits for `npm ci"),
        "{line}"
    );
    signs.doing(None, None);
    assert!(!waiting(&mission, &signs, at(95)).unwrap().contains("npm"));
}

#[test]
fn where_nothing_is_drawn_half_a_minute_of_silence_is_broken_by_who_waits() {
    let mission = running(["a", "b", "c"]);
    let mut quiet = crate::view::quiet::Quiet::new(at(60), Some(Millis::from_mins(5)));
    quiet.hear(at(61), Epoch(1), Sign::Doing("thinks".into()));
    assert_eq!(quiet.line(at(89), &mission), None);
    let line = quiet.line(at(95), &mission).unwrap();
    assert!(
        line.contains("worker 1 T1.1 waits for the model, at most 4 min 26 s"),
        "{line}"
    );
    assert_eq!(quiet.line(at(100), &mission), None, "once in half a minute");
    assert!(quiet.line(at(125), &mission).is_some());
    quiet.said(at(126), &mission);
    assert_eq!(quiet.line(at(155), &mission), None, "a line was printed");
}

#[test]
fn nothing_that_an_agent_writes_reaches_the_terminal_or_breaks_a_row() {
    let attack = "x\u{1b}]0;title\u{7}\u{1b}[2J\u{9b}31m\r\nApprove? \u{202E}txt";
    let mission = running([
        attack,
        "宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽",
        "c",
    ]);
    let mut signs = Signs::default();
    for epoch in [1, 2] {
        signs.hear(at(61), Epoch(epoch), Sign::Doing(attack.repeat(9)));
    }
    let cause = attack.to_owned();
    signs.hear(
        at(61),
        Epoch(2),
        Sign::Waiting {
            cause,
            at_most: Millis(1),
            outage: false,
        },
    );
    for width in [0, 1, 10, 40, 79, 200] {
        for row in frame(&mission, &signs, at(62), width) {
            assert!(!row.chars().any(char::is_control), "{row:?}");
            assert!(!row.contains('\u{202E}'), "{row:?}");
            assert!(row.width() <= width, "{width}: {row:?}");
        }
    }
}

#[test]
fn numbers_and_times_are_short() {
    assert_eq!(
        [999, 1_250, 99_900, 1_250_000].map(count),
        ["999", "1.2k", "99k", "1.2M"]
    );
    assert_eq!(whole(Millis(4_900)), "4 s");
    assert_eq!(whole(Millis::from_secs(190)), "3 min 10 s");
}
