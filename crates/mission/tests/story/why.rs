//! Why things were decided as they were: told from the events alone, and true.

use crate::teller::{Story, task, used};
use mission::event::{Event, Recorded, Turn};
use mission::ids::TaskId;
use mission::input::Input;
use mission::limits;
use mission::mission::Mission;
use mission::plan::{Priority, Size, TaskDraft};
use mission::schedule::{Gauge, Sample};
use mission::terms::Terms;
use mission::time::Millis;
use mission::turn::{Failure, Outcome, Role};
use std::collections::BTreeMap;

/// Every event of a story with its reasons, as whoever replays it finds them.
fn reasons(story: &Story) -> Vec<(Recorded, Vec<String>, Mission)> {
    let mut mission = Mission::replay(&story.told[..1]).unwrap();
    let mut all = Vec::new();
    for recorded in &story.told[1..] {
        let why = mission.why(recorded.at, &recorded.event);
        all.push((recorded.clone(), why, mission.clone()));
        mission.apply(recorded.at, &recorded.event);
    }
    all
}

/// The reasons of the last event that is meant.
pub(crate) fn why(story: &Story, meant: impl Fn(&Event) -> bool) -> String {
    let all = reasons(story);
    let found = all
        .iter()
        .rev()
        .find(|(recorded, _, _)| meant(&recorded.event));
    found.expect("it happened").1.join("\n")
}

pub(crate) fn starts(turn: &'static str) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::TurnStarted { turn: it, .. } if it.to_string() == turn)
}

pub(crate) fn is(name: &'static str) -> impl Fn(&Event) -> bool {
    move |event| event.name() == name
}

#[track_caller]
pub(crate) fn says(why: &str, parts: &[&str]) {
    for part in parts {
        assert!(why.contains(part), "{part:?} is not in:\n{why}");
    }
}

fn terms(workers: u32) -> Terms {
    Terms {
        workers,
        ..Terms::default()
    }
}

fn refused(story: &mut Story, turn: &str, wait: u64) {
    let (why, usage) = ("429".to_owned(), used(0));
    let retry_after = Some(Millis::from_secs(wait));
    let outcome = Outcome::Refused {
        retry_after,
        why,
        usage,
        outage: false,
    };
    story.end(turn, outcome, None);
}

fn fails(story: &mut Story, turn: &str, failure: Failure) {
    let (why, usage) = ("gone".to_owned(), used(0));
    let outcome = Outcome::Failed {
        failure,
        why,
        usage,
    };
    story.end(turn, outcome, None);
}

#[test]
fn a_start_names_its_class_its_way_the_next_one_its_lane_and_the_slots() {
    let high = TaskDraft {
        priority: Priority::High,
        ..task("high", &[])
    };
    let large = TaskDraft {
        size: Size::Large,
        ..task("large", &[])
    };
    let plan = vec![task("a", &[]), task("after", &["a"]), high, large];
    let story = Story::planned(terms(2), plan);
    says(
        &why(&story, starts("T3.1")),
        &[
            "T3 is of high priority, and from its start to the end it is 3 small tasks",
            "next is T4, of normal priority",
            "lane 1: it was dealt to it",
            "0 of 2 slots were taken",
            "of 4998000 free tokens are reserved",
        ],
    );
    says(
        &why(&story, starts("T4.1")),
        &[
            "T4 is of normal priority, and from its start to the end it is 8 small tasks",
            "next is T1, from which it is 6 small tasks",
            "1 of 2 slots were taken",
            "it is on the critical path",
        ],
    );
    says(
        &why(&story, is("planned")),
        &[
            "all 2 lanes may be used",
            "the critical path is T4: 8 small tasks long",
        ],
    );
    // What could have started says why it did not; what could not have says nothing.
    let all = reasons(&story);
    let (recorded, _, before) = all
        .iter()
        .find(|(recorded, _, _)| starts("T4.1")(&recorded.event))
        .unwrap();
    let Event::TurnStarted { turn, .. } = recorded.event else {
        panic!("a turn starts");
    };
    let not = before.why_not(recorded.at, turn, TaskId(1)).unwrap();
    says(
        &not,
        &["not T1: T4 comes first", "from which it is 6 small tasks"],
    );
    assert_eq!(before.why_not(recorded.at, turn, TaskId(2)), None);
    assert_eq!(before.why_not(recorded.at, turn, TaskId(4)), None);
}

#[test]
fn what_waits_for_a_resource_says_who_has_it_and_what_rose_says_that_it_waited() {
    let port = |key: &str, priority| TaskDraft {
        resources: vec!["port".into()],
        priority,
        ..task(key, &[])
    };
    let low = TaskDraft {
        priority: Priority::Low,
        ..task("low", &[])
    };
    let plan = vec![port("a", Priority::High), port("b", Priority::High), low];
    let mut story = Story::planned(terms(2), plan);
    says(
        &why(&story, starts("T3.1")),
        &[
            "T3 is of low priority",
            "T2 would come first, and waits for port, which T1.1 has",
        ],
    );
    story.wait(limits::AGING);
    fails(&mut story, "T3.1", Failure::Transient);
    story.wait(limits::BACKOFF_MOST);
    says(
        &why(&story, starts("T3.1")),
        &[
            "T3.1 goes on: it did not end by its agent's fault (1 failure",
            "lane 2: it was there before",
        ],
    );
    fails(&mut story, "T3.1", Failure::Overflow);
    says(
        &why(&story, is("turn_ended")),
        &["by its agent's fault: 1 of at most 3"],
    );
    says(
        &why(&story, is("parked")),
        &["1 of at most 3 failed", "doubled with each"],
    );
    story.wait(limits::BACKOFF_MOST);
    says(
        &why(&story, starts("T3.2")),
        &["a new attempt, from what has landed: 1 of at most 3 ended"],
    );
}

#[test]
fn refusals_holds_slots_breakers_and_other_models_say_how_often_and_how_long() {
    let other = BTreeMap::from([(Role::Worker, vec!["other/small".to_owned()])]);
    let terms = Terms {
        fallbacks: other,
        review_rounds: 0,
        ..terms(3)
    };
    let plan = (1..=3).map(|n| task(&format!("t{n}"), &[])).collect();
    let mut story = Story::planned(terms, plan);
    let epoch = story.epoch("T1.1");
    story.tell(Input::ModelNamed {
        epoch,
        model: "acme/large".into(),
        output: None,
    });
    refused(&mut story, "T1.1", 30);
    says(
        &why(&story, is("turn_ended")),
        &["a refusal is no fault", "refusal 1 of it in a row"],
    );
    says(
        &why(&story, is("provider_held")),
        &["the first refusal in a row: 3", "one turn tries it"],
    );
    refused(&mut story, "T2.1", 300);
    says(
        &why(&story, is("turn_ended")),
        &["2 instead of 3 slots of workers: 2 in a row were refused"],
    );
    story.wait(Millis::from_secs(2));
    says(
        &why(&story, is("model_switched")),
        &[
            "of its own, other/small the first that may be asked is other/small",
            "left alone are acme for",
        ],
    );
    says(
        &why(&story, starts("T2.1")),
        &[
            "it is asked of other/small, because its own may not be asked now",
            "0 of 3 slots at other were taken",
        ],
    );
}

#[test]
fn a_breaker_says_how_many_failures_opened_it() {
    let mut story = Story::planned(terms(2), vec![task("a", &[]), task("b", &[])]);
    for _ in 0..limits::BREAKER {
        let (_, lease) = story.mission.leases().next().expect("a turn runs");
        let turn = lease.turn.to_string();
        fails(&mut story, &turn, Failure::Transient);
        if story.count("breaker_opened") == 0 {
            story.wait(limits::BACKOFF_MOST);
        }
    }
    says(
        &why(&story, is("turn_ended")),
        &["failure 5 in a row at the provider; 5 open its breaker"],
    );
    says(
        &why(&story, is("breaker_opened")),
        &[
            "5 turns in a row failed there: 30.0 s",
            "2 turns that try it",
        ],
    );
}

#[test]
fn checks_and_landings_say_what_they_wait_for() {
    let terms = Terms {
        review_rounds: 0,
        ..terms(2)
    };
    let plan = vec![task("a", &[]), task("b", &[]), task("c", &[])];
    let mut story = Story::planned(terms, plan);
    story.hand_in("T1.1");
    story.hand_in("T2.1");
    says(
        &why(&story, is("gate_started")),
        &["this proves what was handed in"],
    );
    story.gate_ends(mission::gate::GateResult::Passed);
    says(
        &why(&story, is("accepted")),
        &["place 1 in the merge queue: it waits for T2, which are being checked"],
    );
    story.gates(|_, _| false);
    says(
        &why(&story, is("landing_started")),
        &[
            "2 of 2 in the merge queue, at most 5 together",
            "nothing is being checked",
        ],
    );
    story.stack();
    story.gate_ends(mission::gate::GateResult::Failed { exit: 1 });
    story.gates(|line, tree| line == "check a" && *tree == crate::teller::tree("stack 1"));
    says(
        &why(&story, is("landing_failed")),
        &["of 2 together nobody knows which is red: at most 1 land together next"],
    );
}

#[test]
fn a_machine_that_is_short_of_room_says_by_how_much_and_whom_it_holds_back() {
    let plan = (1..=4).map(|n| TaskDraft {
        priority: Priority::Low,
        ..task(&format!("t{n}"), &[])
    });
    let mut story = Story::planned(terms(2), plan.collect());
    let memory = Gauge { now: 95, least: 90 };
    let sample = Sample {
        memory,
        ..Sample::default()
    };
    story.tell(Input::Sampled { sample });
    says(
        &why(&story, is("pressed")),
        &[
            "95 is more than 80, for 10.0 s on end; below 70 all may start",
            "2 tasks could and may not",
        ],
    );
}

/// What replaying says would start is what did start, for every Worker of a mission in which much goes wrong.
#[test]
fn every_start_follows_from_the_events_before_it() {
    let plan = (1..=6).map(|n| TaskDraft {
        priority: [Priority::Low, Priority::Normal, Priority::High][n % 3],
        ..task(&format!("t{n}"), if n > 4 { &["t1"] } else { &[] })
    });
    let mut story = Story::planned(terms(2), plan.collect());
    for turn in 0..40 {
        let Some(name) = story.mission.leases().next().map(|(_, lease)| lease.turn) else {
            story.wait(limits::REFUSAL_MOST);
            continue;
        };
        match (name, turn % 4) {
            (Turn::Review { .. }, _) => story.review(&name.to_string(), true),
            (_, 0) => refused(&mut story, &name.to_string(), 5),
            (_, 1) => fails(&mut story, &name.to_string(), Failure::Transient),
            _ => story.hand_in(&name.to_string()),
        }
        story.gates(|_, _| false);
        if story.due().iter().any(|due| due.starts_with("stack")) {
            story.land();
            story.gates(|_, _| false);
        }
    }
    let mut n = 0;
    for (recorded, why, before) in reasons(&story) {
        if let Event::TurnStarted {
            turn: Turn::Work { attempt },
            lane,
            ..
        } = recorded.event
        {
            n += 1;
            assert_eq!(before.would_start(recorded.at), Some((attempt.task, lane)));
            assert!(why.len() >= 4, "{why:?}");
        }
    }
    assert!(n >= 8, "{n} starts");
}

#[test]
fn a_turn_that_reserves_what_its_model_may_write_says_so() {
    let mut story = Story::planned(terms(1), vec![task("a", &[]), task("b", &[])]);
    says(&why(&story, starts("T1.1")), &["are reserved for it, and"]);
    let epoch = story.epoch("T1.1");
    story.tell(Input::ModelNamed {
        epoch,
        model: "acme/large".into(),
        output: Some(500),
    });
    story.carry("T1.1");
    let reserved = "100000 of 4997000 free tokens";
    let reason = "reserved for it, which is all that acme/large writes in 200 steps, and";
    says(&why(&story, starts("T2.1")), &[reserved, reason]);
}
