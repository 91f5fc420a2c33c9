//! What the suite asks of leases.

use super::{World, bodies, made, owner, taken};
use crate::{Error, Head, Hold, Takeover};
use mission::ids::Epoch;
use std::sync::Barrier;

/// Every lease has a higher epoch.
pub fn every_lease_has_a_higher_epoch(world: &dyn World) {
    let journal = world.open();
    let mission = made(&*journal);
    for epoch in 1..5 {
        let lease = world.open().acquire(mission, owner(1), Takeover::Never);
        let lease = lease.expect("the last one was given back");
        assert_eq!((lease.mission(), lease.epoch()), (mission, Epoch(epoch)));
    }
    let row = &journal.missions().expect("they can be listed")[0];
    let lease = row.lease.as_ref().expect("it had a lease");
    assert_eq!((lease.epoch, lease.hold), (Epoch(4), Hold::GivenBack));
    assert_eq!(lease.owner, owner(1));
}

/// A living owner keeps its lease.
pub fn a_living_owner_keeps_its_lease(world: &dyn World) {
    let journal = world.open();
    let mission = made(&*journal);
    let lease = journal
        .acquire(mission, owner(41), Takeover::Never)
        .expect("it is free");
    let held = Some(Error::Held {
        mission,
        owner: owner(41),
    });
    for takeover in [Takeover::Never, Takeover::IfDead] {
        assert_eq!(journal.acquire(mission, owner(42), takeover).err(), held);
        assert_eq!(
            world.open().acquire(mission, owner(42), takeover).err(),
            held
        );
        let row = &world.open().missions().expect("they can be listed")[0];
        assert_eq!(row.lease.as_ref().map(|lease| lease.hold), Some(Hold::Live));
    }
    assert!(
        journal
            .append(&lease, &Head::start(), &bodies(&["{}"]), None)
            .is_ok()
    );
}

/// A dead owner loses its lease at once but only on request.
pub fn a_dead_owner_loses_its_lease_at_once_but_only_on_request(world: &dyn World) {
    let journal = world.open();
    let mission = made(&*journal);
    let dead = journal
        .acquire(mission, owner(41), Takeover::Never)
        .expect("it is free");
    world.kill(mission);
    let other = world.open();
    let row = &other.missions().expect("they can be listed")[0];
    assert_eq!(row.lease.as_ref().map(|lease| lease.hold), Some(Hold::Dead));
    let left = Error::Abandoned {
        mission,
        owner: owner(41),
    };
    assert_eq!(
        other.acquire(mission, owner(42), Takeover::Never).err(),
        Some(left)
    );
    let lease = other
        .acquire(mission, owner(42), Takeover::IfDead)
        .expect("it is dead");
    assert_eq!(lease.epoch(), Epoch(2));
    drop(dead);
    let held = Error::Held {
        mission,
        owner: owner(42),
    };
    assert_eq!(
        journal.acquire(mission, owner(41), Takeover::IfDead).err(),
        Some(held),
        "the end of the dead owner gave away the lease of the next"
    );
}

/// Of many who want a lease exactly one gets it.
pub fn of_many_who_want_a_lease_exactly_one_gets_it(world: &dyn World) {
    let journal = world.open();
    for round in 1..=10 {
        let mission = made(&*journal);
        let start = Barrier::new(8);
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|pid| {
                    let (journal, start) = (world.open(), &start);
                    scope.spawn(move || {
                        start.wait();
                        journal.acquire(mission, owner(pid), Takeover::IfDead)
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("no panic"))
                .collect()
        });
        let winners: Vec<u32> = (0..8u32)
            .filter(|pid| outcomes[*pid as usize].is_ok())
            .collect();
        assert_eq!(winners.len(), 1, "round {round}: {outcomes:?}");
        let held = Error::Held {
            mission,
            owner: owner(winners[0]),
        };
        for outcome in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
            assert_eq!(*outcome, held, "a loser is told who won");
        }
    }
}

/// A holder that lost its lease is fenced.
pub fn a_holder_that_lost_its_lease_is_fenced(world: &dyn World) {
    let journal = world.open();
    let mission = made(&*journal);
    let stale = taken(&*journal, mission);
    world.kill(mission);
    let other = world.open();
    let lease = taken(&*other, mission);
    let fenced = Err(Error::Fenced {
        mission,
        yours: Epoch(1),
        current: Epoch(2),
    });
    let late = bodies(&["late"]);
    assert_eq!(
        journal.append(&stale, &Head::start(), &late, Some("late")),
        fenced
    );
    assert_eq!(
        journal.append(&stale, &Head::start(), &[], Some("late")),
        fenced
    );
    assert_eq!(other.head(mission), Ok(Head::start()));
    assert_eq!(other.missions().expect("they can be listed")[0].status, "");
    let head = other
        .append(&lease, &Head::start(), &bodies(&["on time"]), None)
        .expect("the newest lease may append");
    assert_eq!(journal.append(&stale, &head, &late, None), fenced);
}

/// A lease of another mission is no use.
pub fn a_lease_of_another_mission_is_no_use(world: &dyn World) {
    let journal = world.open();
    let (one, two) = (made(&*journal), made(&*journal));
    let lease = taken(&*journal, one);
    journal
        .append(&lease, &Head::start(), &bodies(&["1"]), None)
        .expect("the head is right");
    assert_eq!(journal.head(two), Ok(Head::start()));
    let other = crate::Memory::new(crate::StoreId([7; 16]));
    made(&other);
    let foreign = taken(&other, one);
    let outcome = journal.append(&foreign, &Head::start(), &bodies(&["x"]), None);
    assert_eq!(outcome, Err(Error::Foreign { mission: one }));
}
