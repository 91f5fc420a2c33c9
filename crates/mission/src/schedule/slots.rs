//! How many turns of one role run at once: fewer while their host fails or refuses, more again while all goes well.

use crate::event::Ending;
use crate::limits;
use crate::planted;
use crate::turn::Failure;

/// The slots of one role. They follow from how its turns ended.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    fn refused() -> Ending {
        Ending::Refused {
            why: "429".into(),
            until: Timestamp(0),
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
}
