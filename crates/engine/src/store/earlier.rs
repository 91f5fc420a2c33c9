//! What a new mission is told of those before it.

use super::*;
use mission::event::{Ending, Turn, VERSION};
use mission::ids::{AttemptId, Epoch, TaskId};
use mission::plan::{Draft, TaskDraft, check};
use mission::turn::Usage;

fn open(journal: &dyn Journal, project: &str) -> Owned {
    let (now, terms) = (Timestamp(1_000), Terms::default());
    let (door, keep) = (|_| "/nowhere".into(), |_: &Mission| Ok(()));
    open_new(journal, now, Path::new(project), "r", terms, door, keep).unwrap()
}

/// A mission in a folder in which three attempts took so many minutes each.
fn took(journal: &dyn Journal, project: &str, minutes: u64) {
    let owned = open(journal, project);
    let task = |n: u32| TaskDraft {
        id: format!("t{n}"),
        title: "A task".into(),
        goal: "It is done.".into(),
        acceptance: vec![format!("test -f {n}")],
        ..TaskDraft::default()
    };
    let tasks = (1..=3).map(task).collect();
    let plan = check(&Draft { tasks }, Millis::from_mins(15)).unwrap();
    let mut events = vec![(0, Event::Planned { plan })];
    for n in 1..=3 {
        let epoch = Epoch(u64::from(n));
        let turn = Turn::Work {
            attempt: AttemptId {
                task: TaskId(n),
                n: 1,
            },
        };
        let started = Event::TurnStarted {
            turn,
            epoch,
            deadline: Timestamp(u64::MAX),
            reserved: 1,
            money: 0,
            model: None,
            lane: n,
            base: None,
            from: None,
        };
        let ended = Event::TurnEnded {
            turn,
            epoch,
            ending: Ending::Answered,
            usage: Usage::NOTHING,
            charged: 0,
            money: 0,
        };
        events.extend([(0, started), (minutes * 60_000, ended)]);
    }
    events.sort_by_key(|(at, _)| *at);
    let body = |(at, event): (u64, Event)| {
        let (v, at) = (VERSION, Timestamp(2_000 + at));
        Recorded { v, at, event }.encode()
    };
    let bodies: Vec<Vec<u8>> = events.into_iter().map(body).collect();
    journal
        .append(&owned.lease, &owned.head, &bodies, None)
        .unwrap();
}

fn expected(owned: &Owned) -> Option<Millis> {
    let durations = owned.mission.durations();
    durations.expected(TaskKind::Agent, Size::Medium)
}

#[test]
fn a_new_mission_is_told_how_long_tasks_took_in_the_last_ones_of_its_folder() {
    let journal = journal::Memory::new(journal::StoreId([1; 16]));
    took(&journal, "/p", 500);
    for _ in 0..limits::EARLIER {
        took(&journal, "/p", 10);
    }
    took(&journal, "/other", 90);
    assert_eq!(expected(&open(&journal, "/nobody")), None);
    let owned = open(&journal, "/p");
    // The oldest is too long ago, and the other folder is another project.
    assert_eq!(expected(&owned), Some(Millis::from_mins(10)));
    assert_eq!(owned.mission.durations().from_earlier(), Some(15));
    // It is part of the mission, whatever becomes of the others.
    let (again, _) = load(&journal, owned.mission.id()).unwrap();
    assert_eq!(again, owned.mission);
}
