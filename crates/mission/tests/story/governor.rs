//! A provider that refuses one refuses all, and a model that fails again and again is left alone for a while.

use crate::teller::{Story, task, used};
use mission::event::{Ending, Event};
use mission::input::Input;
use mission::limits;
use mission::seal::Outcome;
use mission::terms::Terms;
use mission::time::{Millis, Timestamp};
use mission::turn::{Failure, Outcome as TurnOutcome, Role, Usage};
use std::collections::BTreeMap;

pub(crate) fn refused(secs: u64) -> TurnOutcome {
    TurnOutcome::Refused {
        retry_after: Some(Millis::from_secs(secs)),
        why: "429".into(),
        usage: Usage::NOTHING,
        outage: false,
    }
}

fn failed() -> TurnOutcome {
    TurnOutcome::Failed {
        failure: Failure::Transient,
        why: "the connection was closed".into(),
        usage: used(0),
    }
}

/// A mission without reviews that has so many tasks which need nothing.
fn story(workers: u32, tasks: u32) -> Story {
    let terms = Terms {
        workers,
        review_rounds: 0,
        ask_above: Some(u64::MAX),
        ..Terms::default()
    };
    open(terms, tasks)
}

pub(crate) fn open(terms: Terms, tasks: u32) -> Story {
    let plan = (0..tasks).map(|n| task(&format!("k{n}"), &[])).collect();
    let mut story = Story::planned(terms, plan);
    for turn in running(&story) {
        name(&mut story, &turn, "acme/large");
    }
    story
}

pub(crate) fn name(story: &mut Story, turn: &str, model: &str) {
    let (epoch, model) = (story.epoch(turn), model.to_owned());
    story.tell(Input::ModelNamed {
        epoch,
        model,
        output: None,
    });
}

/// A Worker hands in, and its check is green.
pub(crate) fn hand_in(story: &mut Story, turn: &str) {
    story.hand_in(turn);
    story.gates(|_, _| false);
}

pub(crate) fn running(story: &Story) -> Vec<String> {
    let leases = story.mission.leases();
    leases.map(|(_, lease)| lease.turn.to_string()).collect()
}

/// Until when the provider, or else the model, is held.
fn held(story: &Story) -> Timestamp {
    let providers = story.mission.held_providers();
    let mut held = providers.chain(story.mission.open_breakers());
    held.next().expect("something is held").1.until
}

fn wait_until(story: &mut Story, at: Timestamp) {
    story.wait(at.since(story.now));
}

/// The provider answers a turn for the first time.
fn serve(story: &mut Story, turn: &str) {
    let (epoch, tokens) = (story.epoch(turn), 100);
    story.tell(Input::TurnUsed {
        epoch,
        usage: used(tokens),
    });
}

#[test]
fn what_one_turn_is_told_holds_back_every_new_one_and_nobody_loses_an_attempt() {
    let mut story = story(3, 6);
    let before = story.worked().len();
    story.end("T1.1", refused(90), None);
    assert_eq!(
        running(&story),
        ["T2.1", "T3.1"],
        "whoever is at work stays"
    );
    hand_in(&mut story, "T2.1");
    hand_in(&mut story, "T3.1");
    story.land();
    assert_eq!(running(&story), [""; 0]);
    let waits = story.mission.waits(story.now);
    let told = "acme, which refused (429); then one turn tries it";
    let wait = waits.iter().find(|wait| wait.cause == told);
    let wait = wait.unwrap_or_else(|| panic!("{waits:?}"));
    assert_eq!(
        (wait.who.as_str(), wait.until),
        ("every new turn", held(&story))
    );
    let left = held(&story).since(story.now);
    assert!(
        left >= Millis::from_secs(90) && left <= Millis::from_secs(95),
        "{left}"
    );
    assert_eq!(story.mission.next_wake(story.now), Some(held(&story)));
    let until = held(&story);
    wait_until(&mut story, until - Millis(1));
    assert_eq!(story.worked().len(), before);
    wait_until(&mut story, until);
    assert_eq!(running(&story).len(), 1);
    for task in story.mission.tasks() {
        assert_eq!((task.tries, task.n <= 1), (0, true), "{:?}", task.task.id);
    }
}

#[test]
fn one_turn_comes_back_first_and_with_each_that_is_served_twice_as_many() {
    let mut story = story(32, 32);
    let first = running(&story);
    assert_eq!(first.len(), limits::SLOTS_FIRST as usize);
    for turn in &first {
        story.end(turn, refused(20), None);
    }
    // All were refused at once, which is one refusal.
    assert_eq!(story.count("provider_held"), 1);
    assert_eq!(story.mission.held_providers().next().unwrap().1.n, 1);
    let until = held(&story);
    wait_until(&mut story, until);
    let mut seen = vec![running(&story).len()];
    let mut served = Vec::new();
    for _ in 0..4 {
        let next = running(&story)
            .into_iter()
            .find(|turn| !served.contains(turn));
        let Some(turn) = next else { break };
        serve(&mut story, &turn);
        serve(&mut story, &turn);
        served.push(turn);
        seen.push(running(&story).len());
    }
    // Refusals have taken half of the slots.
    assert_eq!(story.mission.worker_slots().now(), 5);
    assert_eq!(seen, [1, 3, 5, 5, 5]);
    assert_eq!(story.count("turn_served"), 4);
    assert_eq!(story.mission.held_providers().count(), 0);
}

#[test]
fn a_turn_that_tries_and_says_nothing_holds_nobody_back_for_longer_than_a_minute() {
    let mut story = story(3, 6);
    story.end("T1.1", refused(5), None);
    let until = held(&story);
    wait_until(&mut story, until);
    assert_eq!(running(&story).len(), 3);
    hand_in(&mut story, "T2.1");
    assert_eq!(running(&story).len(), 2, "one tries, and is alone with it");
    let told = "the turn that tries acme to be served";
    let waits = story.mission.waits(story.now);
    assert!(waits.iter().any(|wait| wait.cause == told), "{waits:?}");
    let wake = story.mission.next_wake(story.now);
    assert_eq!(wake, Some(until + limits::TRIAL));
    story.wait(limits::TRIAL);
    assert_eq!(running(&story).len(), 3);
}

#[test]
fn a_provider_that_served_in_between_is_not_one_that_goes_on_refusing() {
    let mut story = story(1, 3);
    let mut waits = Vec::new();
    for _ in 0..6 {
        let turn = running(&story)[0].clone();
        serve(&mut story, &turn);
        story.end(&turn, refused(1), None);
        let until = held(&story);
        waits.push(until.since(story.now).0);
        wait_until(&mut story, until);
    }
    assert!(waits.iter().all(|wait| *wait <= 1_250), "{waits:?}");
}

#[test]
fn a_tripped_breaker_recovers() {
    let mut story = story(5, 12);
    let first = running(&story);
    for turn in &first {
        assert_eq!(story.count("breaker_opened"), 0);
        // Whoever starts meanwhile stays at work.
        story.end(turn, failed(), None);
    }
    assert_eq!(story.count("breaker_opened"), 1);
    let open = story.mission.open_breakers().next().unwrap();
    assert_eq!(
        (open.0, open.1.why.as_str()),
        ("acme/large", "the connection was closed")
    );
    assert_eq!(open.1.until.since(story.now), limits::BREAKER_OPEN);
    let told = "the breaker of acme/large, which is open (the connection was closed); then one turn tries it";
    let waits = story.mission.waits(story.now);
    assert!(waits.iter().any(|wait| wait.cause == told), "{waits:?}");
    for turn in running(&story) {
        hand_in(&mut story, &turn);
    }
    assert_eq!(
        story.mission.open_breakers().count(),
        1,
        "they began before it opened"
    );
    assert_eq!(running(&story), [""; 0]);
    // The one that tries it fails as well, and it is left alone for longer.
    let until = held(&story);
    wait_until(&mut story, until);
    let alone = running(&story);
    assert_eq!(alone.len(), 1);
    story.end(&alone[0], failed(), None);
    assert_eq!(held(&story).since(story.now).0, 2 * limits::BREAKER_OPEN.0);
    // Two that are served close it.
    let until = held(&story);
    wait_until(&mut story, until);
    assert_eq!(running(&story).len(), 1);
    let tries = running(&story)[0].clone();
    serve(&mut story, &tries);
    assert_eq!(
        (running(&story).len(), story.mission.open_breakers().count()),
        (2, 1)
    );
    let tries = running(&story)[1].clone();
    serve(&mut story, &tries);
    assert_eq!(story.mission.open_breakers().count(), 0);
    while story.mission.outcome().is_none() {
        story.gates(|_, _| false);
        match running(&story).first().cloned() {
            Some(turn) => hand_in(&mut story, &turn),
            None if story.due().iter().any(|due| due.starts_with("stack")) => story.land(),
            None => {
                let wake = story.mission.next_wake(story.now).unwrap();
                wait_until(&mut story, wake);
            }
        }
    }
    assert_eq!(story.mission.landed(), 12);
    assert_eq!(story.mission.outcome(), Some(Outcome::Completed));
}

/// The model fails again and again, and its host comes back later.
fn put_off() -> TurnOutcome {
    TurnOutcome::Refused {
        retry_after: None,
        why: "broken".into(),
        usage: used(0),
        outage: true,
    }
}

#[test]
fn a_model_whose_turns_are_put_off_five_times_is_left_alone_and_its_provider_is_not() {
    let mut story = with_fallbacks((5, 5), "acme/small");
    for (n, turn) in running(&story).iter().enumerate() {
        assert_eq!(story.mission.open_breakers().count(), 0, "after {n}");
        story.end(turn, put_off(), None);
    }
    assert_eq!(story.mission.held_providers().count(), 0);
    let open = story.mission.open_breakers().next().expect("it is open");
    assert_eq!((open.0, open.1.why.as_str()), ("acme/large", "broken"));
    let until = held(&story);
    assert_eq!(until.since(story.now), limits::BREAKER_OPEN);
    story.wait(limits::REFUSAL_FIRST);
    // Its provider has fewer slots by now.
    assert_eq!(models(&story), ["acme/small"; 3]);
    // Nothing was used up, however often it was tried.
    for task in story.mission.tasks() {
        assert_eq!((task.tries, task.faults), (0, 0), "{}", task.task.id);
        assert!(task.n <= 1, "{}", task.task.id);
    }
    // Two that are served by it close it.
    for _ in 0..2 {
        wait_until(&mut story, until);
        let turn = running(&story)[0].clone();
        hand_in(&mut story, &turn);
        let tries = running(&story).last().expect("one tries it").clone();
        assert_eq!(models(&story).last(), Some(&"acme/large"));
        serve(&mut story, &tries);
    }
    assert_eq!(story.mission.open_breakers().count(), 0);
}

#[test]
fn a_turn_that_is_put_off_waits_longer_each_time_and_holds_nobody() {
    let mut story = story(1, 1);
    let mut waits = Vec::new();
    for _ in 0..limits::BREAKER - 1 {
        story.end("T1.1", put_off(), None);
        assert_eq!(story.mission.held_providers().count(), 0);
        assert_eq!(story.mission.open_breakers().count(), 0);
        let wake = story.mission.next_wake(story.now).expect("it waits");
        waits.push(wake.since(story.now));
        wait_until(&mut story, wake);
    }
    assert!(waits[3].0 > 4 * waits[0].0, "{waits:?}");
}

fn with_fallback() -> Story {
    with_fallbacks((2, 8), "other/small")
}

fn with_fallbacks((workers, tasks): (u32, u32), other: &str) -> Story {
    let fallbacks = BTreeMap::from([(Role::Worker, vec![other.to_owned()])]);
    let terms = Terms {
        workers,
        review_rounds: 0,
        fallbacks,
        ..Terms::default()
    };
    open(terms, tasks)
}

pub(crate) fn models(story: &Story) -> Vec<&str> {
    let leases = story.mission.leases();
    leases
        .map(|(_, lease)| story.mission.model_of(lease))
        .collect()
}

#[test]
fn a_provider_that_is_held_for_long_is_not_waited_for_where_another_model_is_named() {
    let mut story = with_fallback();
    story.end("T1.1", refused(30), None);
    assert_eq!(
        models(&story),
        ["acme/large"],
        "half a minute is waited for"
    );
    let until = held(&story);
    wait_until(&mut story, until);
    let tries = running(&story).last().unwrap().clone();
    story.end(&tries, refused(300), None);
    // Slots went with the refusals where they were; elsewhere there are as many as ever.
    let turn = running(&story)[0].clone();
    hand_in(&mut story, &turn);
    assert_eq!(models(&story), ["other/small", "other/small"]);
    let switched = story
        .told
        .iter()
        .find_map(|recorded| match &recorded.event {
            Event::ModelSwitched { role, model, why } => Some((*role, model.clone(), why.clone())),
            _ => None,
        });
    let why = "acme is held: 429".to_owned();
    assert_eq!(
        switched,
        Some((Role::Worker, Some("other/small".into()), why))
    );
    assert_eq!(
        story.mission.instead().collect::<Vec<_>>(),
        [(Role::Worker, "other/small")]
    );
    let until = held(&story);
    wait_until(&mut story, until);
    let turn = running(&story)[0].clone();
    hand_in(&mut story, &turn);
    assert_eq!(models(&story), ["other/small", "acme/large"]);
    assert_eq!(story.mission.instead().count(), 0);
    let turn = running(&story)[0].clone();
    hand_in(&mut story, &turn);
    assert_eq!(models(&story), ["acme/large", "other/small"]);
    // One that is held as well is no help.
    story.end(&running(&story)[0].clone(), refused(300), None);
    story.wait(limits::REFUSAL_LEAST);
    assert_eq!(models(&story), ["other/small", "other/small"]);
    for turn in running(&story) {
        story.end(&turn, refused(200), None);
    }
    story.wait(limits::REFUSAL_LEAST);
    assert_eq!(models(&story), [""; 0]);
}

#[test]
fn a_turn_that_is_not_begun_because_of_another_mission_costs_nothing() {
    let mut story = story(3, 6);
    let (spent, slots) = (story.mission.budget().spent, story.mission.worker_slots());
    for turn in ["T1.1", "T2.1", "T3.1"] {
        let (epoch, name) = (story.epoch(turn), "acme".to_owned());
        let (wait, why) = (Millis::from_secs(45), "m7 was told: 429".to_owned());
        story.tell(Input::Held {
            epoch,
            name,
            wait,
            why,
            usage: used(0),
        });
    }
    assert_eq!(running(&story), [""; 0]);
    let ended = story
        .told
        .iter()
        .filter_map(|recorded| match &recorded.event {
            Event::TurnEnded { ending, .. } => Some(ending),
            _ => None,
        });
    let is_held =
        |ending: &&Ending| matches!(ending, Ending::Held { why, .. } if why.starts_with("m7"));
    assert_eq!(ended.filter(is_held).count(), 3);
    assert_eq!(story.mission.budget().spent, spent);
    assert_eq!(story.mission.worker_slots(), slots);
    let until = held(&story);
    assert!(until.since(story.now) >= Millis::from_secs(45));
    wait_until(&mut story, until);
    assert_eq!(running(&story).len(), 1);
    assert!(
        story
            .mission
            .tasks()
            .all(|task| task.tries == 0 && task.n <= 1)
    );
    let told = story.told.iter();
    let told = told.filter_map(|recorded| match &recorded.event {
        Event::ProviderHeld { n, .. } => Some(*n),
        _ => None,
    });
    assert!(told.into_iter().all(|n| n == 0), "nobody is told it again");
    // What it is told itself counts as the first refusal.
    story.end(&running(&story)[0].clone(), refused(1), None);
    assert_eq!(story.mission.held_providers().next().unwrap().1.n, 1);
}

#[test]
fn what_a_turn_used_before_it_was_held_is_charged_and_its_own_refusals_are_not_forgotten() {
    let mut story = story(2, 6);
    story.end("T1.1", refused(1), None);
    let spent = story.mission.budget().spent;
    let held = Input::Held {
        epoch: story.epoch("T2.1"),
        name: "acme".into(),
        wait: Millis::from_secs(90),
        why: "m7 was told: 429".into(),
        usage: used(300),
    };
    story.tell(held);
    assert_eq!(story.mission.budget().spent, spent + 300);
    let hold = story.mission.held_providers().next().unwrap().1;
    assert_eq!(hold.n, 1);
    assert!(hold.until.since(story.now) >= Millis::from_secs(90));
}

#[test]
fn a_model_to_fall_back_to_that_cannot_be_asked_is_left_alone_and_the_mission_goes_on() {
    let mut story = with_fallback();
    story.end("T1.1", refused(300), None);
    let until = held(&story);
    assert_eq!(models(&story), ["acme/large", "other/small"]);
    let [own, other] = &running(&story)[..] else {
        panic!("{:?}", running(&story));
    };
    let unknown = TurnOutcome::Failed {
        failure: Failure::Fatal,
        why: "there is no such model".into(),
        usage: used(0),
    };
    story.end(other, unknown, None);
    assert_eq!(story.mission.outcome(), None);
    let open = story.mission.open_breakers().map(|(name, _)| name);
    assert_eq!(open.collect::<Vec<_>>(), ["other/small"]);
    hand_in(&mut story, own);
    story.wait(Millis::from_secs(60));
    assert_eq!(models(&story), [""; 0]);
    wait_until(&mut story, until);
    assert_eq!(models(&story), ["acme/large"]);
}

#[test]
fn whoever_resumes_may_have_chosen_another_model_and_does_not_wait_for_the_old_one() {
    let mut story = story(1, 2);
    story.end("T1.1", refused(500), None);
    story.tell(Input::Cancel { by: "me".into() });
    assert_eq!(story.mission.outcome(), Some(Outcome::Cancelled));
    story.tell(Input::Resume {
        by: "me".into(),
        more_tokens: 0,
        more_money: 0,
        replan: false,
    });
    assert_eq!(running(&story).len(), 1, "its host says whom it asks now");
}

#[test]
fn nothing_begins_where_a_session_waits_and_it_frees_the_others_when_it_is_served() {
    let mut story = story(2, 6);
    let epoch = story.epoch("T1.1");
    let (wait, why) = (Millis::from_secs(8), "slow down".to_owned());
    story.tell(Input::Waits { epoch, wait, why });
    // It is looked at again and again, and says the same.
    for left in [7_000, 3_000, 10] {
        story.now = story.now + Millis(1_000);
        let (wait, why) = (Millis(left), "slow down".to_owned());
        story.tell(Input::Waits { epoch, wait, why });
    }
    assert_eq!(story.count("provider_held"), 1);
    hand_in(&mut story, "T2.1");
    assert_eq!(running(&story), ["T1.1"]);
    let until = held(&story);
    wait_until(&mut story, until);
    assert_eq!(
        running(&story),
        ["T1.1"],
        "it asks again by itself, and is the one that tries"
    );
    serve(&mut story, "T1.1");
    assert_eq!(running(&story).len(), 2);
}

#[test]
fn a_commander_that_is_refused_before_anybody_named_the_model_holds_it_by_its_name() {
    let mut story = Story::open(Terms::default());
    story.prepare(Vec::new());
    story.end("intent.1", refused(2), None);
    let until = held(&story);
    wait_until(&mut story, until);
    name(&mut story, "intent.2", "acme/large");
    let names: Vec<&str> = story
        .mission
        .held_providers()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["acme"]);
    serve(&mut story, "intent.2");
    assert_eq!(story.count("turn_served"), 1);
}
