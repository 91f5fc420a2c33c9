//! A turn that its provider always refuses, while it serves all others: they are done, and it ends.

use crate::governor::{name, refused, running};
use crate::teller::{Story, task};
use crate::why::{is, says, starts, why};
use mission::event::{Ending, Event, Turn};
use mission::ids::{Epoch, TaskId};
use mission::input::Input;
use mission::limits;
use mission::mission::State;
use mission::plan::{Priority, TaskDraft};
use mission::seal::Outcome;
use mission::terms::Terms;
use mission::time::{Millis, Timestamp};
use mission::turn::{Failure, Outcome as TurnOutcome, Usage};
use std::collections::BTreeSet;

/// How long a refusal takes, a model's first words, a review and an attempt.
const REFUSED: Millis = Millis(300);
const SERVED: Millis = Millis::from_secs(2);
const REVIEWED: Millis = Millis::from_mins(1);
const WORKED: Millis = Millis::from_mins(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happens {
    Refused,
    /// At a later call than its first.
    CutOff,
    Served,
    Ends,
}

/// What a provider says to a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Serves,
    Refuses,
    /// It serves the first call and refuses the second.
    CutsOff,
}

/// Lets a mission happen of which these turns are always refused, until it ends.
fn happen(story: &mut Story, is_refused: impl Fn(Turn) -> bool) {
    happen_at(story, |_, turn| is_refused(turn));
}

/// The same, where it also depends on when a turn begins.
fn happen_at(story: &mut Story, is_refused: impl Fn(Timestamp, Turn) -> bool) {
    happen_as(story, |now, turn| match is_refused(now, turn) {
        true => Says::Refuses,
        false => Says::Serves,
    });
}

/// The same, for whatever is said.
fn happen_as(story: &mut Story, says: impl Fn(Timestamp, Turn) -> Says) {
    let mut known: BTreeSet<Epoch> = BTreeSet::new();
    let mut queue: BTreeSet<(Timestamp, Epoch, Happens)> = BTreeSet::new();
    while story.mission.outcome().is_none() {
        story.gates(|_, _| false);
        if story.due().iter().any(|due| due.starts_with("stack")) {
            story.land();
            continue;
        }
        let leases = story
            .mission
            .leases()
            .map(|(epoch, lease)| (epoch, lease.turn));
        for (epoch, turn) in leases.collect::<Vec<_>>() {
            if !known.insert(epoch) {
                continue;
            }
            if story
                .mission
                .leases()
                .any(|(of, lease)| of == epoch && story.mission.model_of(lease).is_empty())
            {
                name(story, &turn.to_string(), "acme/large");
            }
            let takes = match turn {
                Turn::Work { .. } => WORKED,
                _ => REVIEWED,
            };
            match says(story.now, turn) {
                Says::Refuses => _ = queue.insert((story.now + REFUSED, epoch, Happens::Refused)),
                Says::CutsOff => {
                    queue.insert((story.now + SERVED, epoch, Happens::Served));
                    queue.insert((story.now + SERVED + REFUSED, epoch, Happens::CutOff));
                }
                Says::Serves => {
                    queue.insert((story.now + SERVED, epoch, Happens::Served));
                    queue.insert((story.now + takes, epoch, Happens::Ends));
                }
            }
        }
        let wake = story.mission.next_wake(story.now).expect("it is not over");
        let first = queue.first().copied().filter(|(at, ..)| *at <= wake);
        let Some((at, epoch, what)) = first else {
            let left = wake.since(story.now);
            story.wait(left);
            continue;
        };
        queue.pop_first();
        story.now = at;
        if let Some(turn) = story.mission.lease(epoch).map(|lease| lease.turn) {
            now_happens(story, epoch, turn, what);
        }
    }
}

fn one_call() -> Usage {
    Usage {
        input: Some(10),
        output: Some(0),
        calls: 1,
        ..Usage::default()
    }
}

fn now_happens(story: &mut Story, epoch: Epoch, turn: Turn, what: Happens) {
    let named = turn.to_string();
    match (what, turn) {
        (Happens::Refused | Happens::CutOff, _) => {
            // Before the first call nothing is used, and nobody says so.
            let usage = match what {
                Happens::CutOff => one_call(),
                _ => Usage::default(),
            };
            let outcome = TurnOutcome::Refused {
                retry_after: Some(Millis::from_mins(1)),
                why: "429".into(),
                usage,
                outage: false,
            };
            let work = None;
            story.tell(Input::TurnReplied {
                epoch,
                outcome,
                work,
            });
        }
        (Happens::Served, _) => {
            let usage = one_call();
            story.tell(Input::TurnUsed { epoch, usage });
        }
        (Happens::Ends, Turn::Work { .. }) => story.hand_in(&named),
        (Happens::Ends, _) => story.review(&named, true),
    }
}

/// How the turns of one task ended that were refused: as refusals, and as faults.
fn refusals(story: &Story, id: TaskId) -> (usize, usize) {
    let (mut refused, mut faults) = (0, 0);
    for recorded in &story.told {
        let Event::TurnEnded { turn, ending, .. } = &recorded.event else {
            continue;
        };
        match ending {
            _ if turn.task() != Some(id) => {}
            Ending::Refused { .. } => refused += 1,
            Ending::Failed {
                failure: Failure::Refused,
                ..
            } => faults += 1,
            _ => {}
        }
    }
    (refused, faults)
}

/// Eleven tasks that need nothing, of which the first is of this class.
fn eleven(workers: u32, priority: Priority) -> Story {
    let plan = (0..11).map(|n| TaskDraft {
        priority: if n == 0 { priority } else { Priority::Normal },
        ..task(&format!("k{n}"), &[])
    });
    let terms = Terms {
        workers,
        ask_above: Some(u64::MAX),
        splits: 0,
        ..Terms::default()
    };
    Story::planned(terms, plan.collect())
}

/// The last moment at which another task than the first landed.
fn others_landed(story: &Story) -> Timestamp {
    let others = story.mission.tasks().filter(|task| task.task.id.0 != 1);
    let mut ended: Vec<Timestamp> = Vec::new();
    for task in others {
        assert_eq!(task.state, State::Landed, "{}", task.task.id);
        assert_eq!((task.n, task.tries), (1, 0), "{}", task.task.id);
        ended.extend(task.ended);
    }
    ended.into_iter().max().expect("they ended")
}

#[test]
fn a_review_that_is_always_refused_is_disputed_and_every_other_task_lands_before() {
    let mut story = eleven(3, Priority::Normal);
    let began = story.now;
    happen(
        &mut story,
        |turn| matches!(turn, Turn::Review { attempt, .. } if attempt.task == TaskId(1)),
    );
    // Four rounds of three Workers, whom it holds back for a minute or two each time.
    let took = others_landed(&story).since(began);
    assert!(took < Millis::from_mins(45), "the others took {took}");
    assert_eq!(story.state(1), &State::Disputed);
    let (refused, faults) = refusals(&story, TaskId(1));
    assert_eq!(faults, limits::REVIEW_TRIES as usize);
    assert!(refused >= limits::SINGLED as usize, "{refused}");
    assert_eq!(story.mission.outcome(), Some(Outcome::Disputed));
    let took = story.now.since(began);
    assert!(took < Millis::from_mins(150), "it took {took}");
}

#[test]
fn a_task_that_is_wanted_first_and_always_refused_fails_and_every_other_one_lands_before() {
    let mut story = eleven(3, Priority::High);
    let began = story.now;
    happen(
        &mut story,
        |turn| matches!(turn, Turn::Work { attempt, .. } if attempt.task == TaskId(1)),
    );
    let took = others_landed(&story).since(began);
    assert!(took < Millis::from_mins(60), "the others took {took}");
    let State::Failed { why } = story.state(1) else {
        panic!("{:?}", story.state(1));
    };
    let told = "it is refused again and again, and others were served: 429";
    assert!(why.ends_with(told), "{why}");
    assert_eq!(
        refusals(&story, TaskId(1)).1,
        story.mission.terms().attempts as usize
    );
    assert_eq!(story.mission.outcome(), Some(Outcome::Partial));
    // What was refused before a model was called costs nothing.
    let task = story.mission.task(TaskId(1)).expect("it is there");
    assert_eq!(task.tokens, 0);
    let took = story.now.since(began);
    assert!(took < Millis::from_mins(120), "it took {took}");
}

#[test]
fn several_turns_that_are_always_refused_hold_nobody_back_and_end_as_well() {
    let mut story = eleven(3, Priority::Normal);
    let began = story.now;
    happen(
        &mut story,
        |turn| matches!(turn, Turn::Review { attempt, .. } if attempt.task.0 <= 3),
    );
    for task in story.mission.tasks() {
        let took = task.ended.map(|at| at.since(began));
        if task.task.id.0 <= 3 {
            assert_eq!(task.state, State::Disputed, "{}", task.task.id);
        } else {
            assert_eq!(task.state, State::Landed, "{}", task.task.id);
            assert!(took < Some(Millis::from_mins(45)), "{took:?}");
        }
    }
}

#[test]
fn a_provider_that_refuses_everybody_for_hours_costs_nobody_an_attempt() {
    let mut story = eleven(3, Priority::Normal);
    let storm = story.now + Millis::from_mins(6);
    let calm = storm + Millis::from_mins(150);
    happen_at(&mut story, |now, _| storm <= now && now < calm);
    assert_eq!(story.mission.outcome(), Some(Outcome::Completed));
    for task in story.mission.tasks() {
        assert_eq!((task.n, task.tries), (1, 0), "{}", task.task.id);
    }
    assert!(story.now > calm);
}

/// Whoever gets on by a call at a time, as where an account permits fewer than its Workers would make.
#[test]
fn a_worker_that_is_served_before_each_refusal_loses_no_attempt() {
    let mut story = eleven(3, Priority::High);
    let calm = story.now + Millis::from_mins(40);
    happen_as(&mut story, |now, turn| match turn {
        Turn::Work { attempt, .. } if attempt.task == TaskId(1) && now < calm => Says::CutsOff,
        _ => Says::Serves,
    });
    let (refused, faults) = refusals(&story, TaskId(1));
    assert!(refused > limits::SINGLED as usize, "{refused}");
    assert_eq!(faults, 0);
    assert_eq!(story.mission.outcome(), Some(Outcome::Completed));
}

/// Whenever a storm comes: it costs whoever was refused alone before it nothing as long as that was not found out.
#[test]
fn a_storm_that_comes_upon_a_turn_that_is_refused_alone_costs_it_no_attempt() {
    for minutes in 2..25 {
        let mut story = eleven(3, Priority::Normal);
        let storm = story.now + Millis::from_mins(minutes);
        let calm = storm + Millis::from_mins(120);
        happen_at(&mut story, |now, turn| match turn {
            Turn::Work { attempt, .. } if attempt.task == TaskId(1) => now < calm,
            _ => storm <= now && now < calm,
        });
        let fault = |recorded: &&mission::event::Recorded| {
            let Event::TurnEnded { ending, .. } = &recorded.event else {
                return false;
            };
            let failure = Failure::Refused;
            matches!(ending, Ending::Failed { failure: of, .. } if *of == failure)
        };
        let faults: Vec<Timestamp> = story.told.iter().filter(fault).map(|of| of.at).collect();
        if faults.iter().all(|at| *at > storm) {
            assert_eq!(faults, [], "a storm after {minutes} minutes");
        }
    }
}

#[test]
fn whoever_was_refused_twice_in_a_row_lets_others_try_first_and_says_so() {
    let mut story = eleven(1, Priority::High);
    name(&mut story, "T1.1", "acme/large");
    for _ in 0..2 {
        assert_eq!(running(&story), ["T1.1"]);
        story.end("T1.1", refused(30), None);
        let wake = story.mission.next_wake(story.now).expect("it is held");
        story.wait(wake.since(story.now));
    }
    assert_eq!(running(&story), ["T2.1"]);
    let waits = story.mission.waits(story.now);
    let wait = waits
        .iter()
        .find(|wait| wait.who == "T1.1")
        .expect("it waits");
    assert_eq!(wait.cause, "others to be asked first");
    assert_eq!(wait.until.since(story.now).0, 2 * limits::REFUSED_STEP.0);
    says(
        &why(&story, starts("T2.1")),
        &[
            "T1 would come first, and waits for others to try the provider first, since it was refused 2 times in a row",
        ],
    );
    says(
        &why(&story, is("turn_ended")),
        &[
            "others may try first for 2.0 s after that; others were served between its refusals 0 of 5 times",
        ],
    );
    // One in four of its tries is as early as any: a provider that serves all in turn serves it as well.
    story.end("T2.1", refused(30), None);
    story.wait(Millis::from_mins(1));
    assert_eq!(running(&story), ["T1.1"]);
    story.end("T1.1", refused(30), None);
    let wake = story.mission.next_wake(story.now).expect("it is held");
    story.wait(wake.since(story.now));
    assert_eq!(running(&story), ["T1.1"]);
}
