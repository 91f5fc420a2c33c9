//! What people are told of what waits: everything, and each until a moment.

use crate::teller::{Story, project_gate, task, used};
use mission::desk::Desk;
use mission::input::Input;
use mission::limits;
use mission::plan::{Priority, TaskDraft};
use mission::seal::Outcome;
use mission::terms::Terms;
use mission::time::Millis;
use mission::turn::{Failure, Outcome as TurnOutcome};

/// Who waits for what, one line each.
fn waits(story: &Story) -> Vec<String> {
    let waits = story.mission.waits(story.now);
    for wait in &waits {
        assert!(wait.until > story.now, "{wait:?} has no end");
    }
    let told = waits.iter();
    told.map(|wait| format!("{}: {}", wait.who, wait.cause))
        .collect()
}

#[test]
fn whatever_waits_is_told_with_its_cause_and_its_end() {
    let mut story = Story::open(Terms::default());
    assert_eq!(waits(&story), ["preparation: the base and its checks"]);
    story.find(vec![project_gate("test")]);
    let told = waits(&story);
    assert!(
        told[1].starts_with("checks and Workers: the set-up, 30"),
        "{told:?}"
    );
    story.set_up();
    assert!(
        waits(&story).contains(&"check test: `run test` on your files as they were".to_owned()),
        "{:?}",
        waits(&story)
    );
}

#[test]
fn a_provider_that_refuses_the_commander_is_waited_for_in_the_open() {
    let mut story = Story::open(Terms::default());
    story.prepare(Vec::new());
    assert_eq!(waits(&story), ["commander: its agent"]);
    let retry_after = Some(Millis::from_secs(90));
    let (why, usage) = ("429".to_owned(), used(0));
    let refused = TurnOutcome::Refused {
        retry_after,
        why,
        usage,
        outage: false,
    };
    story.end("intent.1", refused, None);
    let told = waits(&story);
    assert_eq!(
        told,
        ["commander: the provider, which refused (429), and then another try"]
    );
    let until = story.mission.waits(story.now)[0].until;
    let wait = until.since(story.now);
    assert!(
        wait >= Millis::from_secs(90) && wait <= Millis::from_secs(95),
        "{wait}"
    );
}

#[test]
fn a_turn_that_stands_still_for_a_question_waits_for_a_person_and_not_for_its_agent() {
    let mut story = Story::planned(Terms::default(), vec![task("a", &[])]);
    let epoch = story.epoch("T1.1");
    story.tell(Input::Question {
        epoch,
        token: 1,
        kind: "bash".into(),
        text: "run: make".into(),
        choices: Vec::new(),
    });
    assert_eq!(
        waits(&story),
        ["worker 1 T1.1: your answer to q1", "q1: your answer"]
    );
    let until = story.mission.waits(story.now)[0].until;
    assert_eq!(until.since(story.now), limits::PERMISSION);
}

#[test]
fn tasks_wait_for_slots_checks_and_landings_and_the_result_for_its_delivery() {
    let terms = Terms {
        workers: 1,
        ..Terms::default()
    };
    let tasks = ["a", "b", "c", "d", "e"].map(|key| task(key, &[]));
    let mut story = Story::planned(terms, tasks.to_vec());
    assert_eq!(
        waits(&story),
        [
            "worker 1 T1.1: its agent",
            "T2, T3, T4 and 1 more: a free Worker"
        ]
    );
    story.hand_in("T1.1");
    story.gates(|_, _| false);
    story.hand_in("T2.1");
    story.review("T1.1/review.1", true);
    let told = waits(&story);
    for wanted in [
        "worker 1 T3.1: its agent",
        "check T2/accept-1: `check b` on T2.1",
        "T1: the attempts that are being checked, to land with them",
    ] {
        assert!(told.contains(&wanted.to_owned()), "{wanted}: {told:?}");
    }
    story.gates(|_, _| false);
    let told = waits(&story);
    let wanted = "landing 1: its merge onto what has landed";
    assert!(told.contains(&wanted.to_owned()), "{told:?}");
    let mut story = Story::planned(Terms::default(), vec![task("a", &[])]);
    story.carry("T1.1");
    assert_eq!(story.mission.outcome(), Some(Outcome::Completed));
    assert_eq!(
        waits(&story),
        ["the delivery: its files, and another delivery into this folder if there is one"]
    );
}

#[test]
fn time_in_which_nobody_ran_it_is_not_counted() {
    let mut story = Story::planned(Terms::default(), vec![task("a", &[])]);
    story.wait(Millis::from_secs(35));
    story.hand_in("T1.1");
    let ran = Millis::from_secs(35);
    assert_eq!(story.mission.duration(), ran);
    assert_eq!(
        story.mission.running_for(story.now + Millis::from_secs(5)),
        Millis::from_secs(40),
        "the time is that of now and not of the last event"
    );
    story.now = story.now + Millis::from_mins(60);
    story.tell(Input::Woke { seen: None });
    assert_eq!(story.mission.duration(), ran);
    story.tell(Input::Cancel { by: "me".into() });
    story.now = story.now + Millis::from_mins(60);
    story.tell(Input::Resume {
        by: "me".into(),
        more_tokens: 0,
        more_money: 0,
        replan: false,
    });
    assert_eq!(story.mission.duration(), ran);
}

#[test]
fn a_moment_that_passes_while_a_disk_is_slow_is_acted_on_all_the_same() {
    let mut story = Story::open(Terms::default());
    story.find(vec![project_gate("test")]);
    let looks = story.now + limits::FIRST_LOOK;
    let mut desk: Desk<()> = Desk::new(story.mission);
    assert_eq!(desk.next_wake(), Some(looks));
    // What was decided took until after that to be durable; nothing else happens.
    let late = looks + Millis(3);
    assert_ne!(desk.mission().next_wake(late), Some(looks));
    desk.durable();
    assert_eq!(
        desk.next_wake(),
        Some(looks),
        "and nobody has acted on it yet"
    );
    desk.take(late, [(Input::Tick, None)]);
    assert_eq!(desk.mission().leases().count(), 1, "the Commander begins");
    assert!(desk.next_wake().is_some_and(|next| next > late));
}

/// However often it looks whether time has done something, no turn begins for so long.
fn asks_no_model(story: &mut Story, length: Millis, while_it: &str) {
    let begun = story.count("turn_started");
    let end = story.now + length;
    while story.now < end {
        story.wait(Millis::from_secs(60));
        assert_eq!(story.count("turn_started"), begun, "{while_it}");
    }
}

#[test]
fn a_mission_that_only_waits_asks_no_model() {
    let plan = || vec![task("a", &[]), task("b", &["a"])];
    let asked_first = Terms {
        approve: true,
        ..Terms::default()
    };
    let mut story = Story::planned(asked_first, plan());
    let nearly = |length: Millis| Millis(length.0 - Millis::from_mins(2).0);
    asks_no_model(
        &mut story,
        nearly(limits::QUESTION),
        "waits for a person's word",
    );

    let mut story = Story::planned(Terms::default(), plan());
    let by = "me".to_owned();
    story.tell(Input::Pause { by });
    story.hand_in("T1.1");
    story.gates(|_, _| false);
    asks_no_model(&mut story, Millis::from_mins(300), "is paused");

    let mut story = Story::planned(Terms::default(), plan());
    let refused = || TurnOutcome::Refused {
        retry_after: Some(Millis::from_mins(200)),
        why: "the quota is used up".into(),
        usage: used(0),
        outage: false,
    };
    story.end("T1.1", refused(), None);
    // It is asked once more before so much is believed.
    asks_no_model(
        &mut story,
        nearly(limits::REFUSAL_MOST),
        "waits for its provider",
    );
    story.wait(Millis::from_mins(3));
    story.end("T1.1", refused(), None);
    asks_no_model(&mut story, Millis::from_mins(198), "waits for its provider");

    // One that runs is worked on, and asks for nobody else while it does.
    let mut story = Story::planned(Terms::default(), plan());
    asks_no_model(&mut story, Millis::from_mins(30), "has a Worker at work");

    let mut story = Story::planned(Terms::default(), vec![task("a", &[])]);
    story.carry("T1.1");
    story.gates(|_, _| false);
    assert!(story.mission.outcome().is_some());
    asks_no_model(&mut story, Millis::from_mins(600), "is over");
}

#[test]
fn whoever_is_orphaned_is_told_from_whoever_is_refused() {
    let mut story = Story::planned(Terms::default(), vec![task("a", &[])]);
    let gone = TurnOutcome::Failed {
        failure: Failure::Transient,
        why: "its server is gone".into(),
        usage: used(10),
    };
    story.end("T1.1", gone, None);
    assert_eq!(waits(&story), ["T1.1: orphaned: its server is gone"]);
    story.wait(limits::BACKOFF_MOST);
    let refused = TurnOutcome::Refused {
        retry_after: Some(Millis::from_mins(2)),
        why: "429".into(),
        usage: used(0),
        outage: false,
    };
    story.end("T1.1", refused, None);
    assert_eq!(waits(&story)[1..], ["T1.1: 429"]);
}

#[test]
fn what_takes_several_slots_waits_for_as_many_and_others_for_it() {
    let heavy = TaskDraft {
        weight: Some(2),
        ..task("heavy", &[])
    };
    let terms = Terms {
        workers: 2,
        review_rounds: 0,
        ..Terms::default()
    };
    let urgent = |key| TaskDraft {
        priority: Priority::High,
        ..task(key, &[])
    };
    let plan = vec![urgent("a"), urgent("b"), heavy, task("light", &[])];
    let mut story = Story::planned(terms, plan);
    let ends = |story: &Story, n: usize| {
        let mut ends: Vec<_> = story
            .mission
            .leases()
            .map(|(_, lease)| lease.deadline)
            .collect();
        ends.sort();
        ends[n]
    };
    let until = |story: &Story, who: &str| {
        let waits = story.mission.waits(story.now);
        waits
            .iter()
            .find(|wait| wait.who == who)
            .map(|wait| wait.until)
    };
    let told = waits(&story);
    assert!(
        told.contains(&"T3: 2 free Workers at once".to_owned()),
        "{told:?}"
    );
    assert!(told.contains(&"T4: a free Worker".to_owned()), "{told:?}");
    assert_eq!(
        until(&story, "T3"),
        Some(ends(&story, 1)),
        "both have to end"
    );
    assert_eq!(until(&story, "T4"), Some(ends(&story, 0)));
    story.hand_in("T1.1");
    let told = waits(&story);
    for told_of in [
        "T3: 2 free Workers at once",
        "T4: T3, which comes first and takes 2 at once",
    ] {
        assert!(told.contains(&told_of.to_owned()), "{told_of}: {told:?}");
    }
    assert_eq!(until(&story, "T3"), Some(ends(&story, 0)));
}
