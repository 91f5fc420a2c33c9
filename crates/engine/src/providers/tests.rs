use super::*;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn at(secs: u64) -> Timestamp {
    NOW + Millis::from_secs(secs)
}

/// The same where the mission was begun at a moment.
fn going_on(of: Providers, secs: u64) -> Providers {
    of.anew.lock().unwrap().since = at(secs);
    of
}

fn some(dir: &std::path::Path, n: u32) -> Providers {
    with(dir, n, &[("HOME", "/home/ada")])
}

fn with(dir: &std::path::Path, n: u32, environment: &[(&str, &str)]) -> Providers {
    let pairs = environment.iter();
    let environment = pairs.map(|(name, value)| ((*name).into(), (*value).into()));
    let account = Account::of(&environment.collect());
    let of = Providers::new(Layout::new(dir.to_owned()), MissionId(n), account);
    going_on(of, 0)
}

const TURN: Epoch = Epoch(7);

fn ask(of: &Providers, secs: u64, model: &str) -> Option<Held> {
    of.ask_at(at(secs), TURN, model)
}

fn hold(of: &Providers, secs: u64, name: &str, wait: u64, why: &str) {
    of.hold(at(secs), name, (Millis::from_secs(wait), true), (why, 1))
        .unwrap();
}

#[test]
fn what_one_mission_was_told_holds_all_others_back_and_one_of_them_tries() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two, three] = [1, 2, 3].map(|n| some(dir.path(), n));
    assert_eq!(ask(&two, 0, "acme/large"), None);
    hold(&one, 0, "acme", 90, "429");
    let held = ask(&two, 30, "acme/small").unwrap();
    assert_eq!(
        (held.name.as_str(), held.wait),
        ("acme", Millis::from_secs(60))
    );
    assert_eq!(held.why, "m1 was told: 429");
    assert_eq!(ask(&two, 30, "other/large"), None);
    // The turns of the mission itself that were about to begin are held as well.
    assert_eq!(ask(&one, 30, "acme/small").unwrap().why, "429");
    assert_eq!(ask(&two, 90, "acme/small"), None);
    let held = ask(&three, 90, "acme/small").unwrap();
    assert_eq!(
        (held.wait, held.why.as_str()),
        (LOOK, "m2 tries it; m1 was told: 429")
    );
    assert_eq!(ask(&two, 91, "acme/small"), None);
    // One turn tries it, and not all of its mission.
    let held = two.ask_at(at(91), Epoch(8), "acme/small").unwrap();
    assert_eq!(
        (held.wait, held.why.as_str()),
        (LOOK, "another turn tries it; m1 was told: 429")
    );
    two.served_at(at(92), Epoch(8));
    assert!(ask(&three, 92, "acme/small").is_some(), "it tried nothing");
    two.served_at(at(92), TURN);
    assert_eq!(two.ask_at(at(92), Epoch(8), "acme/small"), None);
    assert_eq!(ask(&three, 92, "acme/small"), None);
    let left = std::fs::read_dir(dir.path().join("providers")).unwrap();
    assert_eq!(left.count(), 1, "the lock");
}

#[test]
fn whoever_is_refused_alone_again_and_again_holds_no_other_mission_back() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two] = [1, 2].map(|n| some(dir.path(), n));
    let mut held = Vec::new();
    for n in 1..=8 {
        let minute = u64::from(n) * 60;
        let why = ("too large", n);
        one.hold(at(minute), "acme", (Millis::from_secs(20), true), why)
            .unwrap();
        held.push(two.ask_at(at(minute + 1), Epoch(9), "acme/large").is_some());
        two.ask_at(at(minute + 30), Epoch(9), "acme/large");
        two.served_at(at(minute + 31), Epoch(9));
    }
    assert_eq!(held, [true, true, true, false, false, false, false, false]);
    // A provider that refuses both is held for both, however often.
    for n in 1..=8 {
        let minute = 1_000 + u64::from(n) * 60;
        one.hold(
            at(minute),
            "acme",
            (Millis::from_secs(20), true),
            ("429", n),
        )
        .unwrap();
        assert!(two.ask_at(at(minute + 1), Epoch(9), "acme/large").is_some());
    }
}

#[test]
fn what_one_account_was_told_holds_no_other_account_back() {
    let dir = tempfile::tempdir().unwrap();
    let home = ("HOME", "/home/ada");
    let one = with(dir.path(), 1, &[home, ("ACME_API_KEY", "a"), ("TERM", "x")]);
    hold(&one, 0, "acme", 90, "429");
    let same = [home, ("ACME_API_KEY", "a"), ("TERM", "y")];
    assert!(ask(&with(dir.path(), 2, &same), 1, "acme/large").is_some());
    let others: [&[(&str, &str)]; 4] = [
        &[home, ("ACME_API_KEY", "b")],
        &[home],
        &[("HOME", "/home/bob"), ("ACME_API_KEY", "a")],
        &[home, ("ACME_API_KEY", "a"), ("XDG_DATA_HOME", "/elsewhere")],
    ];
    for other in others {
        assert_eq!(ask(&with(dir.path(), 3, other), 1, "acme/large"), None);
    }
    // Of a key nothing can be read in what is kept.
    let kept = std::fs::read_dir(one.layout.providers()).unwrap();
    for entry in kept.map(|entry| entry.unwrap().path()) {
        let text = std::fs::read_to_string(&entry).unwrap_or_default();
        assert!(!text.contains("ACME_API_KEY"), "{text}");
    }
}

#[test]
fn what_a_mission_only_heard_it_does_not_tell_and_an_answer_frees_what_was_tried() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two] = [1, 2].map(|n| some(dir.path(), n));
    let recorded = |event| Recorded {
        v: mission::event::VERSION,
        // An engine's own clock may stand elsewhere.
        at: Timestamp(5),
        event,
    };
    let held = |n, secs: u64| {
        recorded(Event::ProviderHeld {
            provider: "acme".into(),
            until: Timestamp(5) + Millis::from_secs(secs),
            why: "429".into(),
            n,
            epoch: None,
        })
    };
    one.note_at(at(0), &held(0, 60));
    assert_eq!(ask(&two, 1, "acme/large"), None);
    one.note_at(at(0), &held(1, 60));
    assert_eq!(
        ask(&two, 30, "acme/large").unwrap().wait,
        Millis::from_secs(30)
    );
    assert_eq!(ask(&two, 60, "acme/large"), None);
    assert!(ask(&one, 61, "acme/large").is_some());
    two.note_at(
        at(62),
        &recorded(Event::TurnEnded {
            turn: mission::event::Turn::Intent { n: 1 },
            epoch: TURN,
            ending: Ending::Answered,
            usage: mission::turn::Usage::NOTHING,
            charged: 0,
            money: 0,
        }),
    );
    assert_eq!(ask(&one, 62, "acme/large"), None);
    assert!(two.tries().is_empty());
}

#[test]
fn who_is_held_by_one_name_does_not_try_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two, three] = [1, 2, 3].map(|n| some(dir.path(), n));
    hold(&one, 0, "acme", 10, "429");
    hold(&one, 0, "acme/large", 30, "it failed");
    assert_eq!(ask(&two, 10, "acme/large").unwrap().name, "acme/large");
    assert_eq!(ask(&three, 10, "acme/small"), None, "it tries the provider");
}

#[test]
fn whoever_tried_and_died_holds_nobody_back_for_long() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two] = [1, 2].map(|n| some(dir.path(), n));
    hold(&one, 0, "acme/large", 30, "it failed");
    assert_eq!(ask(&one, 30, "acme/large"), None);
    assert!(ask(&two, 31, "acme/large").is_some());
    assert_eq!(ask(&two, 31, "acme/small"), None, "its breaker is another");
    // The next engine of the mission itself takes it up under another lease.
    let next = some(dir.path(), 1);
    assert_eq!(next.ask_at(at(32), Epoch(9), "acme/large"), None);
    assert!(next.ask_at(at(32), TURN, "acme/large").is_some());
    assert_eq!(ask(&two, 91, "acme/large"), None);
}

#[test]
fn what_is_damaged_or_cannot_be_holds_nobody_back() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two] = [1, 2].map(|n| some(dir.path(), n));
    hold(&one, 0, "acme", 7 * 86_400, "for ever");
    // It stands in nobody's way either.
    hold(&one, 0, "acme", 9, "429");
    assert!(ask(&two, 0, "acme/large").is_some());
    assert_eq!(ask(&one, 9, "acme/large"), None);
    // The clock was set back by a day: whoever tries it does so in no future.
    let day = NOW.0 - 86_400_000;
    assert_eq!(two.ask_at(Timestamp(day), TURN, "acme/large"), None);
    std::fs::write(two.file("other"), "{").unwrap();
    assert_eq!(ask(&two, 0, "other/large"), None);
    hold(&one, 0, "other", 9, "429");
    assert!(ask(&two, 0, "other/large").is_some());
    // A shorter wait does not take a longer one back.
    hold(&one, 0, "other", 3, "429");
    assert!(ask(&two, 5, "other/large").is_some());
    assert_eq!(ask(&two, 0, ""), None);
}

#[test]
fn a_day_of_refusals_keeps_one_file_for_each_name_and_no_turn_that_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let missions = [1, 2, 3].map(|n| some(dir.path(), n));
    let names = ["acme", "acme/large", "other/small"];
    for minute in 0..24 * 60_u64 {
        let (now, epoch) = (at(minute * 60), Epoch(minute));
        let of = &missions[minute as usize % missions.len()];
        let name = names[minute as usize / 7 % names.len()];
        of.hold(
            now,
            name,
            (Millis::from_secs(50), true),
            (&"429".repeat(40), 1),
        )
        .unwrap();
        for of in &missions {
            for model in ["acme/large", "other/small"] {
                of.ask_at(now + Millis::from_secs(55), epoch, model);
            }
            let ending = Ending::Cancelled;
            let usage = mission::turn::Usage::NOTHING;
            let event = Event::TurnEnded {
                turn: mission::event::Turn::Intent { n: 1 },
                epoch,
                ending,
                usage,
                charged: 0,
                money: 0,
            };
            let (v, at) = (mission::event::VERSION, now);
            of.note_at(now, &Recorded { v, at, event });
            assert!(of.tries().is_empty());
        }
    }
    let files = std::fs::read_dir(dir.path().join("providers")).unwrap();
    let sizes: Vec<u64> = files
        .map(|f| f.unwrap().metadata().unwrap().len())
        .collect();
    assert!(sizes.len() <= names.len() + 1, "{sizes:?}");
    assert!(sizes.iter().all(|size| *size < 1_000), "{sizes:?}");
}

#[test]
fn whoever_is_stopped_while_he_has_the_lock_stops_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two] = [1, 2].map(|n| some(dir.path(), n));
    hold(&one, 0, "acme", 90, "429");
    let lock = one.lock().unwrap();
    assert!(lock.is_some());
    assert_eq!(ask(&two, 1, "acme/large"), None);
    drop(lock);
    assert!(ask(&two, 1, "acme/large").is_some());
}

#[test]
fn what_was_told_for_hours_is_asked_once_more_by_whoever_begins_after_it() {
    const HOURS: u64 = 5 * 60 * 60;
    let dir = tempfile::tempdir().unwrap();
    let one = going_on(some(dir.path(), 1), 0);
    let early = going_on(some(dir.path(), 2), 9);
    hold(&one, 10, "acme", HOURS, "the quota is used up");
    for knows in [&one, &early] {
        assert!(ask(knows, 20, "acme/large").is_some());
    }
    // A mission that begins later tries it, alone, and tells the others what came of it.
    let late = going_on(some(dir.path(), 3), 30);
    let later = going_on(some(dir.path(), 4), 30);
    assert_eq!(ask(&late, 31, "acme/large"), None);
    assert_eq!(ask(&later, 32, "acme/large").unwrap().wait, LOOK);
    hold(&late, 33, "acme", HOURS, "the quota is used up");
    for knows in [&one, &late, &later] {
        assert!(ask(knows, 34, "acme/large").is_some());
    }
    // So does one that a person lets go on, and what is served then is free for all.
    let event = Event::Unpaused { by: "me".into() };
    let (v, when) = (mission::event::VERSION, at(40));
    one.note_at(at(40), &Recorded { v, at: when, event });
    assert_eq!(ask(&one, 41, "acme/large"), None);
    one.served_at(at(42), TURN);
    assert_eq!(ask(&later, 43, "acme/large"), None);
    // A wait of minutes is waited for by whoever begins, and not by whom somebody lets go on.
    hold(&one, 50, "acme", 600, "429");
    let last = going_on(some(dir.path(), 5), 60);
    assert!(ask(&last, 61, "acme/large").is_some());
    let event = Event::Woke { idle: Millis(9) };
    last.note_at(at(62), &Recorded { v, at: when, event });
    assert_eq!(ask(&last, 63, "acme/large"), None);
}

#[test]
fn who_hears_of_hours_for_the_first_time_or_fails_makes_no_wait_of_hours_shorter() {
    const HOURS: u64 = 5 * 60 * 60;
    let dir = tempfile::tempdir().unwrap();
    let one = going_on(some(dir.path(), 1), 0);
    hold(&one, 10, "acme/large", HOURS, "the quota is used up");
    let (v, when) = (mission::event::VERSION, at(40));
    let (until, why) = (when + limits::REFUSAL_MOST, "the quota".to_owned());
    let model = "acme/large".to_owned();
    let first = Event::ProviderHeld {
        provider: model.clone(),
        until,
        why: why.clone(),
        n: 1,
        epoch: None,
    };
    let until = when + limits::BREAKER_OPEN;
    let fails = Event::BreakerOpened {
        model,
        until,
        why,
        n: 1,
    };
    for (n, secs, event) in [(2, 30, first), (3, 130, fails)] {
        let late = going_on(some(dir.path(), n), secs);
        assert_eq!(ask(&late, secs + 1, "acme/large"), None);
        late.note_at(at(secs + 10), &Recorded { v, at: when, event });
        let held = ask(&one, secs + 90, "acme/large").expect("it is held still");
        assert_eq!(held.wait, Millis::from_secs(HOURS + 10 - (secs + 90)));
    }
}

#[test]
fn a_mission_that_is_taken_up_again_asks_what_was_told_for_minutes() {
    let dir = tempfile::tempdir().unwrap();
    hold(&some(dir.path(), 1), 10, "acme/large", 600, "429");
    let fresh = going_on(some(dir.path(), 2), 90);
    assert!(ask(&fresh, 91, "acme/large").is_some());
    let again = going_on(some(dir.path(), 3).taken_up(), 90);
    assert_eq!(ask(&again, 91, "acme/large"), None);
}

#[test]
fn whoever_tries_before_the_time_and_dies_leaves_what_was_told() {
    let dir = tempfile::tempdir().unwrap();
    let one = going_on(some(dir.path(), 1), 0);
    hold(&one, 10, "acme/large", 9_000, "the quota is used up");
    let late = going_on(some(dir.path(), 2), 30);
    assert_eq!(ask(&late, 31, "acme/large"), None);
    let held = ask(&one, 95, "acme/large").unwrap();
    assert_eq!(held.wait, Millis::from_secs(9_010 - 95));
    assert_eq!(ask(&one, 95, "acme/small"), None, "only that model is held");
    // A newer mission may try it as well, and what is said now counts, be it less.
    let later = going_on(some(dir.path(), 3), 96);
    assert_eq!(ask(&later, 97, "acme/large"), None);
    hold(&later, 98, "acme/large", 900, "the quota is used up");
    assert_eq!(
        ask(&one, 99, "acme/large").unwrap().wait,
        Millis::from_secs(899)
    );
    // A file of an engine that kept no beginning is asked anew.
    let text = std::fs::read_to_string(one.file("acme/large")).unwrap();
    let mut old: serde_json::Value = serde_json::from_str(&text).unwrap();
    old.as_object_mut().unwrap().remove("since").unwrap();
    std::fs::write(one.file("acme/large"), old.to_string()).unwrap();
    let next = going_on(some(dir.path(), 4), 100);
    assert_eq!(ask(&next, 101, "acme/large"), None);
}
