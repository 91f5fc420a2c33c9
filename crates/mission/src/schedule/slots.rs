//! How many turns of one role run at once at one provider: fewer while it fails or refuses, more again while all goes
//! well. What one provider does says nothing of how many another one bears.

use crate::event::{Ending, Turn};
use crate::governor::provider_of;
use crate::ids::TaskId;
use crate::limits;
use crate::mission::{Lease, Mission};
use crate::planted;
use crate::terms::Terms;
use crate::time::Timestamp;
use crate::turn::{Failure, Role};
use std::collections::BTreeMap;

/// The slots of one role at one provider. They follow from how its turns there ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots {
    now: u32,
    cap: u32,
    /// Of the last turns, so many in a row went well, or did not.
    well: u32,
    badly: u32,
    /// The fewest that there ever were.
    fewest: u32,
}

impl Slots {
    pub(crate) fn new(cap: u32) -> Self {
        let now = cap.clamp(limits::SLOTS_LEAST, limits::SLOTS_FIRST);
        Self {
            now,
            cap: cap + u32::from(planted!("slot_above_cap")),
            well: 0,
            badly: 0,
            fewest: now,
        }
    }

    /// How many turns may run at once now.
    pub fn now(&self) -> u32 {
        self.now
    }

    /// How many of them may be taken: all.
    pub(crate) fn granted(&self) -> u32 {
        match planted!("waiter_not_woken") {
            true => self.fewest,
            false => self.now,
        }
    }

    /// How many at the most, whatever goes well.
    pub fn cap(&self) -> u32 {
        self.cap
    }

    /// A turn of the role is over. What the agent did wrong says nothing of how many its host bears.
    pub(crate) fn ended(&mut self, ending: &Ending) {
        match ending {
            Ending::Answered => (self.well, self.badly) = (self.well + 1, 0),
            Ending::Refused { .. }
            | Ending::Failed {
                failure: Failure::Transient | Failure::Silent,
                ..
            } => (self.well, self.badly) = (0, self.badly + 1),
            Ending::Failed { .. }
            | Ending::Held { .. }
            | Ending::Expired
            | Ending::Overspent
            | Ending::Cancelled => {}
        }
        if self.well >= limits::SLOTS_GROW {
            self.well = 0;
            self.now = (self.now + 1).min(self.cap);
        }
        if self.badly >= limits::SLOTS_SHRINK {
            self.badly = 0;
            self.now = (self.now - 1).max(limits::SLOTS_LEAST);
            self.fewest = self.fewest.min(self.now);
        }
    }
}

/// The slots of all roles at all providers. There are as many providers as models were named that turns ended at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AtProviders {
    /// The most Workers that the user allows.
    workers: u32,
    known: BTreeMap<Role, BTreeMap<String, Slots>>,
}

impl AtProviders {
    /// What a mission begins with, and begins anew with when it is resumed.
    pub(crate) fn new(terms: &Terms) -> Self {
        Self {
            workers: terms.workers.clamp(1, limits::WORKERS_CAP),
            known: BTreeMap::new(),
        }
    }

    /// Of a provider at which no turn has ended yet as many as any begins with.
    fn of(&self, role: Role, provider: &str) -> Slots {
        let known = self.known.get(&role).and_then(|of| of.get(provider));
        known.copied().unwrap_or_else(|| {
            Slots::new(match role {
                Role::Worker => self.workers,
                Role::Reviewer => limits::REVIEWERS,
                Role::Commander | Role::Planner => 1,
            })
        })
    }

    fn ended(&mut self, role: Role, provider: &str, ending: &Ending) {
        let mut slots = self.of(role, provider);
        slots.ended(ending);
        let of_role = self.known.entry(role).or_default();
        of_role.insert(provider.to_owned(), slots);
        if planted!("slots_shrink_everywhere") {
            for other in of_role.values_mut() {
                other.now = other.now.min(slots.now);
            }
        }
    }

    /// A role's provider has a name now: what was counted without one was counted of it. Where both were, the fewer slots
    /// are what it was seen to bear.
    pub(crate) fn named(&mut self, role: Role, provider: &str) {
        let Some(of_role) = self.known.get_mut(&role) else {
            return;
        };
        if let Some(nobody) = of_role.remove("") {
            let known = of_role.entry(provider.to_owned()).or_insert(nobody);
            if nobody.now < known.now {
                *known = nobody;
            }
        }
    }
}

impl Mission {
    /// How many lanes of Workers there are: as many as the user allows, whatever they are asked of.
    pub(crate) fn lanes(&self) -> u32 {
        self.slots.of(Role::Worker, "").cap()
    }

    /// The slots of a role at a provider.
    pub fn slots_at(&self, role: Role, provider: &str) -> Slots {
        self.slots.of(role, provider)
    }

    /// The slots of the Workers at the provider that they are asked of.
    pub fn worker_slots(&self) -> Slots {
        self.slots
            .of(Role::Worker, self.provider_asked(Role::Worker))
    }

    /// Every provider at which turns of Workers or Reviewers ended, with the slots there.
    pub fn slots(&self) -> impl Iterator<Item = (Role, &str, Slots)> {
        let known = self.slots.known.iter();
        known.flat_map(|(role, of)| {
            of.iter()
                .map(|(name, slots)| (*role, name.as_str(), *slots))
        })
    }

    /// A turn is over, and its role may have another number of slots there from now on.
    pub(crate) fn slot_ended(&mut self, lease: &Lease, ending: &Ending) {
        let role = lease.turn.role();
        if matches!(role, Role::Worker | Role::Reviewer) {
            let provider = provider_of(self.model_of(lease)).to_owned();
            self.slots.ended(role, &provider, ending);
        }
    }

    /// How many slots a role's turns take that run, of all providers or of one.
    pub(crate) fn slots_taken(&self, role: Role, provider: Option<&str>) -> u32 {
        let there = |lease: &&Lease| {
            let of = || provider_of(self.model_of(lease));
            lease.turn.role() == role && provider.is_none_or(|provider| provider == of())
        };
        let taken = self.leases.values().filter(there);
        taken.map(|lease| self.takes(lease)).sum()
    }

    /// How many slots a running turn takes.
    pub(crate) fn takes(&self, lease: &Lease) -> u32 {
        match lease.turn {
            Turn::Work { attempt } => self.tasks[&attempt.task].task.weight,
            _ => 1,
        }
    }

    /// How many slots a role has at a provider and how many of them are free, of no more than so many over all providers.
    pub(crate) fn slots_free(&self, role: Role, provider: &str, most: u32) -> (u32, u32) {
        let slots = self.slots.of(role, provider).granted().min(most);
        let there = match planted!("provider_slots_ignored") {
            true => slots,
            false => slots.saturating_sub(self.slots_taken(role, Some(provider))),
        };
        let all = most.saturating_sub(self.slots_taken(role, None));
        (slots, there.min(all))
    }

    /// The provider that the next attempt at a task would be asked of.
    pub(crate) fn provider_of_next(&self, now: Timestamp, id: TaskId) -> &str {
        match self.other_model(self.tasks[&id].next()) {
            Some(model) if self.serves(now, model) => provider_of(model),
            _ => self.provider_for(now, Role::Worker),
        }
    }

    /// Where a role was asked of more than one provider, at which of them, in words that follow others.
    pub(crate) fn told_where(&self, role: Role, provider: &str) -> String {
        let known = self.slots.known.get(&role).into_iter().flatten();
        let mut others = known.filter(|(name, _)| *name != provider);
        match others.next() {
            Some(_) => format!(" at {}", crate::governor::told(provider)),
            None => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> Ending {
        Ending::Refused {
            why: "429".into(),
            until: Timestamp(0),
            outage: false,
        }
    }

    /// How many slots there are after each of these endings.
    fn after(slots: &mut Slots, ending: &Ending, n: usize) -> Vec<u32> {
        (0..n)
            .map(|_| {
                slots.ended(ending);
                slots.now()
            })
            .collect()
    }

    #[test]
    fn three_turns_that_go_well_add_a_slot_and_two_that_do_not_take_one() {
        let mut slots = Slots::new(12);
        assert_eq!(slots.now(), 10);
        let grown = after(&mut slots, &Ending::Answered, 9);
        assert_eq!(grown, [10, 10, 11, 11, 11, 12, 12, 12, 12]);
        assert_eq!(after(&mut slots, &refused(), 4), [12, 11, 11, 10]);
        // In a row means in a row.
        after(&mut slots, &refused(), 1);
        after(&mut slots, &Ending::Answered, 2);
        assert_eq!(after(&mut slots, &refused(), 1), [10]);
        assert_eq!(after(&mut slots, &Ending::Answered, 2), [10, 10]);
    }

    #[test]
    fn there_is_always_a_slot_and_never_one_more_than_the_user_allows() {
        for cap in [1, 3, 32] {
            let mut slots = Slots::new(cap);
            let most = after(&mut slots, &Ending::Answered, 200);
            assert_eq!(most.iter().max(), Some(&cap));
            let least = after(&mut slots, &refused(), 200);
            assert_eq!(least.iter().min(), Some(&1));
        }
    }

    #[test]
    fn what_an_agent_does_wrong_changes_no_slot() {
        let mut slots = Slots::new(3);
        let failed = Ending::Failed {
            failure: Failure::NoAnswer,
            why: String::new(),
        };
        for ending in [
            failed,
            Ending::Expired,
            Ending::Overspent,
            Ending::Cancelled,
        ] {
            assert_eq!(after(&mut slots, &ending, 6), [3; 6]);
        }
    }

    #[test]
    fn a_provider_that_gets_its_name_keeps_what_was_counted_and_the_fewer_where_both_were() {
        let terms = Terms {
            workers: 3,
            ..Terms::default()
        };
        let mut slots = AtProviders::new(&terms);
        let now = |slots: &AtProviders, name| slots.of(Role::Worker, name).now();
        let refuse = |slots: &mut AtProviders, name: &str, n| {
            for _ in 0..n {
                slots.ended(Role::Worker, name, &refused());
            }
        };
        refuse(&mut slots, "", 2);
        refuse(&mut slots, "acme", 4);
        slots.named(Role::Worker, "acme");
        assert_eq!((now(&slots, ""), now(&slots, "acme")), (3, 1));
        refuse(&mut slots, "", 2);
        slots.named(Role::Worker, "other");
        assert_eq!((now(&slots, ""), now(&slots, "other")), (3, 2));
        refuse(&mut slots, "", 4);
        slots.named(Role::Worker, "other");
        assert_eq!(now(&slots, "other"), 1);
        // A name of one role says nothing of another.
        slots.ended(Role::Reviewer, "", &refused());
        slots.named(Role::Worker, "acme");
        assert_eq!(slots.known[&Role::Reviewer].len(), 1);
        assert_eq!(
            slots.known[&Role::Worker].len(),
            2,
            "and none is without a name"
        );
    }
}
