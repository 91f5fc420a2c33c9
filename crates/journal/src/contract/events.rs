//! What the suite asks of missions, events and statuses.

use super::{World, all, bodies, made, owner, taken, wanted};
use crate::{Error, Head, Owner, Takeover, Verdict, chain, limits};
use mission::ids::{MissionId, Seq};
use mission::time::Timestamp;

/// Names are given in order and never twice.
pub fn names_are_given_in_order_and_never_twice(world: &dyn World) {
    let first = world.open();
    assert_eq!(first.create(Timestamp(1), wanted("a")), Ok(MissionId(1)));
    assert_eq!(
        world.open().create(Timestamp(1), wanted("a")),
        Ok(MissionId(2))
    );
    let mut names: Vec<MissionId> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let journal = world.open();
                scope.spawn(move || (0..5).map(|_| made(&*journal)).collect::<Vec<_>>())
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("no panic"))
            .collect()
    });
    names.sort();
    assert_eq!(names, (3..=42).map(MissionId).collect::<Vec<_>>());
}

/// A mission is listed as it was made.
pub fn a_mission_is_listed_as_it_was_made(world: &dyn World) {
    let journal = world.open();
    assert_eq!(journal.missions(), Ok(vec![]));
    let text = "töte\nnothing \u{0} 'quoted'; DROP TABLE event; --";
    let mission = journal
        .create(Timestamp(77), wanted(text))
        .expect("it is made");
    let rows = world.open().missions().expect("they can be listed");
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!((row.mission, row.created), (mission, Timestamp(77)));
    assert_eq!(
        (row.project.as_str(), row.request.as_str()),
        ("/home/ada/shop", text)
    );
    assert_eq!(
        (&row.head, row.status.as_str(), &row.lease),
        (&Head::start(), "", &None)
    );
}

/// An unknown mission is said to be unknown.
pub fn an_unknown_mission_is_said_to_be_unknown(world: &dyn World) {
    let journal = world.open();
    made(&*journal);
    for mission in [MissionId(0), MissionId(2), MissionId(u32::MAX)] {
        let unknown = Error::Unknown { mission };
        assert_eq!(journal.head(mission), Err(unknown.clone()));
        assert_eq!(journal.read(mission, Seq(1), 1), Err(unknown.clone()));
        assert_eq!(journal.verify(mission), Err(unknown.clone()));
        let refused = journal.acquire(mission, owner(1), Takeover::IfDead);
        assert_eq!(refused.err(), Some(unknown));
    }
}

/// An append names the head that it saw.
pub fn an_append_names_the_head_that_it_saw(world: &dyn World) {
    let journal = world.open();
    let mission = made(&*journal);
    let lease = taken(&*journal, mission);
    let one = journal
        .append(&lease, &Head::start(), &bodies(&["1"]), None)
        .expect("the head is right");
    let wrong_hash = Head {
        seq: Seq(1),
        ..Head::start()
    };
    let wrong_place = Head {
        seq: Seq(u64::MAX),
        hash: one.hash.clone(),
    };
    for expected in [Head::start(), wrong_hash, wrong_place] {
        let moved = Err(Error::HeadMoved {
            mission,
            expected: expected.clone(),
            found: one.clone(),
        });
        assert_eq!(
            journal.append(&lease, &expected, &bodies(&["2"]), None),
            moved
        );
    }
    let two = journal
        .append(&lease, &one, &bodies(&["2"]), None)
        .expect("the head is right");
    assert_eq!(two.seq, Seq(2));
    assert_eq!(journal.head(mission), Ok(two));
}

/// A refused append changes nothing.
pub fn a_refused_append_changes_nothing(world: &dyn World) {
    let journal = world.open();
    let mission = made(&*journal);
    let lease = taken(&*journal, mission);
    let head = journal
        .append(&lease, &Head::start(), &bodies(&["1"]), Some("one"))
        .expect("the head is right");
    let entries = all(&*journal, mission);
    for refused in [
        journal.append(&lease, &Head::start(), &bodies(&["x"]), Some("x")),
        journal.append(&lease, &head, &[vec![0; limits::BODY_BYTES + 1]], Some("x")),
    ] {
        assert!(refused.is_err());
    }
    assert_eq!(all(&*journal, mission), entries);
    assert_eq!(
        journal.missions().expect("they can be listed")[0].status,
        "one"
    );
    assert_eq!(journal.head(mission), Ok(head));
}

/// An append is all or nothing.
pub fn an_append_is_all_or_nothing(world: &dyn World) {
    let journal = world.open();
    let mission = made(&*journal);
    let lease = taken(&*journal, mission);
    let reader = world.open();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut head = Head::start();
            for _ in 0..20 {
                let batch = vec![b"{}".to_vec(); 10];
                head = journal
                    .append(&lease, &head, &batch, None)
                    .expect("the head is right");
            }
        });
        let mut seen = 0;
        while !writer.is_finished() {
            let entries = all(&*reader, mission);
            assert_eq!(entries.len() % 10, 0, "a part of an append was visible");
            assert!(entries.len() >= seen, "events went away");
            seen = entries.len();
        }
    });
    assert_eq!(all(&*reader, mission).len(), 200);
}

/// What was appended is read back by others.
pub fn what_was_appended_is_read_back_by_others(world: &dyn World) {
    let journal = world.open();
    let mission = made(&*journal);
    let lease = taken(&*journal, mission);
    let every_byte: Vec<u8> = (0..=255).collect();
    let given = vec![
        b"{}".to_vec(),
        Vec::new(),
        every_byte,
        vec![b'x'; limits::BODY_BYTES],
    ];
    let head = journal
        .append(&lease, &Head::start(), &given, None)
        .expect("all bodies are allowed");
    drop(lease);
    let other = world.open();
    let lease = taken(&*other, mission);
    let head = other
        .append(&lease, &head, &bodies(&["next"]), None)
        .expect("the head is right");
    let entries = all(&*world.open(), mission);
    let found: Vec<&[u8]> = entries.iter().map(|entry| &*entry.body).collect();
    assert_eq!(
        &found[..4],
        given.iter().map(|body| &**body).collect::<Vec<_>>()
    );
    assert_eq!(found[4], b"next");
    let places: Vec<_> = entries.iter().map(|e| (e.seq.0, e.epoch.0)).collect();
    assert_eq!(places, [(1, 1), (2, 1), (3, 1), (4, 1), (5, 2)]);
    assert_eq!(entries[4].hash, head.hash);
}

/// Pages join without gap or overlap.
pub fn pages_join_without_gap_or_overlap(world: &dyn World) {
    let journal = world.open();
    let mission = made(&*journal);
    let lease = taken(&*journal, mission);
    let given: Vec<Vec<u8>> = (0..23u8).map(|n| vec![n]).collect();
    journal
        .append(&lease, &Head::start(), &given, None)
        .expect("the head is right");
    let whole = all(&*journal, mission);
    assert_eq!(whole.len(), 23);
    for size in [1, 5, 23, 100] {
        let mut joined = Vec::new();
        loop {
            let from = Seq(joined.len() as u64 + 1);
            let page = journal.read(mission, from, size).expect("it can be read");
            assert!(page.len() <= size);
            if page.is_empty() {
                break;
            }
            joined.extend(page);
        }
        assert_eq!(joined, whole);
    }
    assert_eq!(journal.read(mission, Seq(0), 23), Ok(whole));
    for (from, at_most) in [(24, 5), (u64::MAX, 5), (1, 0)] {
        assert_eq!(journal.read(mission, Seq(from), at_most), Ok(vec![]));
    }
}

/// The chain is the published one.
pub fn the_chain_is_the_published_one(world: &dyn World) {
    let journal = world.open();
    made(&*journal);
    let mission = made(&*journal);
    let lease = taken(&*journal, mission);
    let head = journal
        .append(&lease, &Head::start(), &bodies(&["{}", "[]"]), None)
        .expect("the head is right");
    let mut prev = chain::START;
    for entry in all(&*journal, mission) {
        assert_eq!(entry.prev, chain::hex(&prev));
        let place = chain::Place {
            store: journal.store(),
            mission,
            seq: entry.seq,
            epoch: entry.epoch,
        };
        prev = chain::hash(&prev, place, &entry.body);
        assert_eq!(entry.hash, chain::hex(&prev));
    }
    assert_eq!(head.hash, chain::hex(&prev));
}

/// A whole chain is verified.
pub fn a_whole_chain_is_verified(world: &dyn World) {
    let journal = world.open();
    let mission = made(&*journal);
    let verified = |head: &Head| {
        Ok(Verdict::Verified {
            events: head.seq.0,
            head: head.clone(),
        })
    };
    let mut head = Head::start();
    assert_eq!(journal.verify(mission), verified(&head));
    for _ in 0..3 {
        let lease = taken(&*journal, mission);
        head = journal
            .append(&lease, &head, &bodies(&["1", "2"]), None)
            .expect("the head is right");
        assert_eq!(world.open().verify(mission), verified(&head));
    }
}

/// A status is kept until it is replaced or rebuilt.
pub fn a_status_is_kept_until_it_is_replaced_or_rebuilt(world: &dyn World) {
    let journal = world.open();
    let mission = made(&*journal);
    let lease = taken(&*journal, mission);
    let status = || {
        world.open().missions().expect("they can be listed")[0]
            .status
            .clone()
    };
    let head = journal
        .append(&lease, &Head::start(), &bodies(&["1"]), Some("planning"))
        .expect("the head is right");
    let head = journal
        .append(&lease, &head, &bodies(&["2"]), None)
        .expect("the head is right");
    assert_eq!(status(), "planning");
    assert_eq!(
        journal.append(&lease, &head, &[], Some("working")),
        Ok(head.clone())
    );
    assert_eq!(status(), "working");
    assert_eq!(journal.rebuild(), Ok(()));
    assert_eq!(status(), "");
    assert_eq!(journal.head(mission), Ok(head.clone()));
    assert_eq!(journal.append(&lease, &head, &[], Some("again")), Ok(head));
    assert_eq!(status(), "again");
}

/// What is too large is refused.
pub fn what_is_too_large_is_refused(world: &dyn World) {
    let journal = world.open();
    let mission = made(&*journal);
    let lease = taken(&*journal, mission);
    let refused = |bodies: &[Vec<u8>], status: Option<&str>| {
        let outcome = journal.append(&lease, &Head::start(), bodies, status);
        assert!(
            matches!(outcome, Err(Error::TooLarge { .. })),
            "{outcome:?}"
        );
    };
    refused(&[vec![0; limits::BODY_BYTES + 1]], None);
    refused(&vec![Vec::new(); limits::BATCH_EVENTS + 1], None);
    refused(&vec![vec![0; limits::BODY_BYTES]; 65], None);
    refused(&[], Some(&"s".repeat(limits::STATUS_BYTES + 1)));
    let head = journal.append(
        &lease,
        &Head::start(),
        &vec![Vec::new(); limits::BATCH_EVENTS],
        None,
    );
    assert_eq!(head.map(|head| head.seq), Ok(Seq(10_000)));
    let long = "r".repeat(limits::REQUEST_BYTES);
    assert_eq!(
        journal.create(Timestamp(1), wanted(&long)),
        Ok(MissionId(2))
    );
    let longer = journal.create(Timestamp(1), wanted(&format!("{long}r")));
    assert!(matches!(longer, Err(Error::TooLarge { .. })), "{longer:?}");
    let never = journal.create(Timestamp(u64::MAX), wanted("x"));
    assert!(matches!(never, Err(Error::TooLarge { .. })), "{never:?}");
    let endless = Owner {
        endpoint: Some("e".repeat(limits::OWNER_BYTES + 1)),
        ..owner(1)
    };
    let outcome = journal.acquire(MissionId(2), endless, Takeover::Never);
    assert!(
        matches!(outcome, Err(Error::TooLarge { .. })),
        "{outcome:?}"
    );
}

/// A follower sees that something changed.
pub fn a_follower_sees_that_something_changed(world: &dyn World) {
    let journal = world.open();
    let follower = world.open();
    let version = || follower.version().expect("it can be asked");
    let mut last = version();
    let mut changed = || {
        let now = version();
        let changed = now != last;
        last = now;
        changed
    };
    assert!(!changed());
    let mission = made(&*journal);
    assert!(changed());
    let lease = taken(&*journal, mission);
    assert!(changed());
    let head = journal
        .append(&lease, &Head::start(), &bodies(&["1"]), None)
        .expect("the head is right");
    assert!(changed());
    assert!(!changed());
    drop(journal.append(&lease, &Head::start(), &bodies(&["1"]), None));
    let own = journal.version();
    journal
        .append(&lease, &head, &bodies(&["2"]), None)
        .expect("the head is right");
    assert_ne!(own, journal.version(), "a handle sees its own changes too");
}

/// Many threads append to many missions.
pub fn many_threads_append_to_many_missions(world: &dyn World) {
    let journal = world.open();
    let missions: Vec<MissionId> = (0..16).map(|_| made(&*journal)).collect();
    std::thread::scope(|scope| {
        for (number, mission) in missions.iter().enumerate() {
            let journal = &journal;
            scope.spawn(move || {
                let lease = taken(&**journal, *mission);
                let mut head = Head::start();
                for round in 0..20 {
                    let body = format!("{number} {round}").into_bytes();
                    let wrong = Head {
                        seq: Seq(99),
                        ..Head::start()
                    };
                    let refused = journal.append(&lease, &wrong, std::slice::from_ref(&body), None);
                    assert!(matches!(refused, Err(Error::HeadMoved { .. })));
                    head = journal
                        .append(&lease, &head, &[body], None)
                        .expect("a refusal of one does not fail another");
                }
            });
        }
    });
    for (number, mission) in missions.iter().enumerate() {
        let found: Vec<Vec<u8>> = all(&*journal, *mission)
            .into_iter()
            .map(|e| e.body)
            .collect();
        let given: Vec<Vec<u8>> = (0..20)
            .map(|round| format!("{number} {round}").into_bytes())
            .collect();
        assert_eq!(found, given);
    }
}
