//! The suite that every journal passes. It says what the words of [`Journal`] mean, one promise per case.
//!
//! A test file calls [`contract_tests!`](crate::contract_tests) with an expression that makes a [`World`], and gets one
//! test per case. A case panics where a promise does not hold.

mod events;
mod leases;

#[doc(hidden)]
pub use events::*;
#[doc(hidden)]
pub use leases::*;

use crate::{Entry, Journal, Lease, NewMission, Owner, Takeover};
use mission::ids::{MissionId, Seq};
use mission::time::Timestamp;
use std::sync::Arc;

/// One empty store, and what can happen to the processes that use it.
pub trait World {
    /// A handle on the store, as one more process has it.
    fn open(&self) -> Arc<dyn Journal>;

    /// Lets the kernel's lock of a mission's owner go, as it does when the owner dies, while the owner's [`Lease`] value
    /// stays behind like a process that does not know yet.
    fn kill(&self, mission: MissionId);
}

/// Makes one test of each case. The argument is an expression that makes a [`World`](crate::contract::World).
#[macro_export]
macro_rules! contract_tests {
    ($world:expr) => {
        $crate::contract_tests!($world;
            names_are_given_in_order_and_never_twice
            a_mission_is_listed_as_it_was_made
            an_unknown_mission_is_said_to_be_unknown
            every_lease_has_a_higher_epoch
            a_living_owner_keeps_its_lease
            a_dead_owner_loses_its_lease_at_once_but_only_on_request
            of_many_who_want_a_lease_exactly_one_gets_it
            a_holder_that_lost_its_lease_is_fenced
            an_append_names_the_head_that_it_saw
            a_refused_append_changes_nothing
            an_append_is_all_or_nothing
            what_was_appended_is_read_back_by_others
            pages_join_without_gap_or_overlap
            the_chain_is_the_published_one
            a_whole_chain_is_verified
            a_status_is_kept_until_it_is_replaced_or_rebuilt
            what_is_too_large_is_refused
            a_follower_sees_that_something_changed
            a_lease_of_another_mission_is_no_use
            many_threads_append_to_many_missions
        );
    };
    ($world:expr; $($case:ident)*) => {
        $(#[test]
        fn $case() {
            $crate::contract::$case(&$world);
        })*
    };
}

/// An owner with this process number.
pub fn owner(pid: u32) -> Owner {
    Owner {
        pid,
        boot: "b2f1c0de".to_owned(),
        started: 4_711,
        endpoint: Some(format!("/run/orchestrator/{pid}.sock")),
    }
}

/// A mission that wants this.
pub fn wanted(request: &str) -> NewMission {
    NewMission {
        project: "/home/ada/shop".to_owned(),
        request: request.to_owned(),
    }
}

fn made(journal: &dyn Journal) -> MissionId {
    journal
        .create(Timestamp(1_000), wanted("add a login"))
        .expect("a mission can be made")
}

fn taken(journal: &dyn Journal, mission: MissionId) -> Lease {
    journal
        .acquire(mission, owner(1), Takeover::IfDead)
        .expect("the lease is free")
}

fn bodies(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn all(journal: &dyn Journal, mission: MissionId) -> Vec<Entry> {
    journal
        .read(mission, Seq(1), usize::MAX)
        .expect("the mission can be read")
}
