//! Which missions that are over go, in which order, and why. Nothing is looked at here and nothing removed.

use crate::config::Retention;
use mission::ids::MissionId;
use mission::time::{Millis, Timestamp};
use std::fmt;

const DAY_MS: u64 = 86_400_000;

/// What counts of a mission for whether and when it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) mission: MissionId,
    pub(super) ended: Timestamp,
    pub(super) bytes: u64,
    /// Work lies there that did not land.
    pub(super) unmerged: bool,
    /// A removal that was cut short left the rest of it.
    pub(super) cut_short: bool,
}

/// Why a mission goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Named,
    CutShort,
    /// It ended so long ago.
    Old(Millis),
    /// All together took more than this.
    Room(u64),
    /// The same, and there was nothing left without unmerged work.
    Last(u64),
}

impl Why {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Named => "named",
            Self::CutShort => "cut_short",
            Self::Old(_) => "old",
            Self::Room(_) => "room",
            Self::Last(_) => "room_with_unmerged_work",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named => write!(out, "named"),
            Self::CutShort => write!(out, "the rest of a removal that was cut short"),
            Self::Old(age) => write!(out, "ended {} ago", days(*age)),
            Self::Room(keep) => write!(
                out,
                "the oldest, and all that may go take more than {}",
                size(*keep)
            ),
            Self::Last(keep) => write!(
                out,
                "with unmerged work, and the rest takes more than {}",
                size(*keep)
            ),
        }
    }
}

/// A mission that goes, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Going {
    pub(super) kept: Kept,
    pub(super) why: Why,
}

/// What goes, and what is to be said of the rest.
#[derive(Debug)]
pub(super) struct Choice {
    /// In the order in which it goes.
    pub(super) going: Vec<Going>,
    /// What is old enough to go and was not handed over.
    undelivered: Vec<MissionId>,
    /// What all that stays takes.
    left: u64,
}

/// Chooses what goes: the rest of what was cut short, what is too old, and the oldest as long as too much is left.
/// What holds unmerged work goes last, when it is too old and all else that goes has not made room. What may not go (what
/// `stays`, and unmerged work that is not old) is held against nobody: however much it takes, nothing makes up for it.
pub(super) fn choose(
    mut may_go: Vec<Kept>,
    undelivered: Vec<Kept>,
    stays: u64,
    limits: &Retention,
    now: Timestamp,
) -> Choice {
    may_go.sort_by_key(|kept| (kept.ended, kept.mission));
    let age = |kept: &Kept| now.since(kept.ended);
    let is_old = |kept: &Kept| age(kept) >= limits.older_than;
    let sum = |all: &mut dyn Iterator<Item = &Kept>| {
        let bytes = all.map(|kept| kept.bytes);
        bytes.fold(0, u64::saturating_add)
    };
    let may = |kept: &&Kept| kept.cut_short || !kept.unmerged || is_old(kept);
    let mut left = sum(&mut may_go.iter().filter(may));
    let stays = stays.saturating_add(sum(&mut may_go.iter().filter(|kept| !may(kept))));
    let mut going: Vec<Going> = Vec::new();
    for step in 0..4 {
        for kept in &may_go {
            let is_over = left > limits.keep;
            let why = match (step, kept.cut_short, kept.unmerged) {
                (0, true, _) => Why::CutShort,
                (1, false, false) if is_old(kept) => Why::Old(age(kept)),
                (2, false, false) if !is_old(kept) && is_over => Why::Room(limits.keep),
                (3, false, true) if is_old(kept) && is_over => Why::Last(limits.keep),
                _ => continue,
            };
            left = left.saturating_sub(kept.bytes);
            going.push(Going { kept: *kept, why });
        }
    }
    let undelivered = undelivered.iter().filter(|kept| is_old(kept));
    Choice {
        going,
        undelivered: undelivered.map(|kept| kept.mission).collect(),
        left: left.saturating_add(stays),
    }
}

impl Choice {
    /// What is to be said of what stays.
    pub(super) fn told(&self, limits: &Retention) -> Vec<String> {
        let mut told: Vec<String> = self
            .undelivered
            .iter()
            .map(|id| {
                format!(
                    "{id} is kept: its result was not delivered. Take it: orchestrator deliver {id}; or remove it: orchestrator clean {id}"
                )
            })
            .collect();
        let (left, keep) = (size(self.left), size(limits.keep));
        if self.left > limits.keep {
            told.push(format!(
                "what is kept takes {left}, more than {keep}: it is not over, was not delivered, or holds unmerged work. What is over goes when it is named: orchestrator clean MISSION"
            ));
        } else if self.going.is_empty() {
            let age = days(limits.older_than);
            told.push(format!(
                "nothing goes: what is kept takes {left} of {keep}, and nothing ended {age} ago that may go by itself"
            ));
        }
        told
    }
}

/// A length in days where it has some, and else in hours.
fn days(length: Millis) -> String {
    match (length.0 / DAY_MS, length.0 / 3_600_000) {
        (0, 0) => "less than an hour".to_owned(),
        (0, 1) => "1 hour".to_owned(),
        (0, hours) => format!("{hours} hours"),
        (1, _) => "1 day".to_owned(),
        (days, _) => format!("{days} days"),
    }
}

/// Bytes, for people.
pub(super) fn size(bytes: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let found = units.iter().find(|(_, power)| bytes >> power > 0);
    found.map_or(format!("{bytes} B"), |(unit, power)| {
        let tenths = (bytes >> (power - 10)).saturating_mul(10) >> 10;
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(100 * DAY_MS);
    const LIMITS: Retention = Retention {
        older_than: Millis(30 * DAY_MS),
        keep: 100,
    };

    /// A mission that ended so many days ago and takes so many bytes.
    fn kept(n: u32, days: u64, bytes: u64) -> Kept {
        Kept {
            mission: MissionId(n),
            ended: Timestamp(NOW.0 - days * DAY_MS),
            bytes,
            unmerged: false,
            cut_short: false,
        }
    }

    fn unmerged(n: u32, days: u64, bytes: u64) -> Kept {
        Kept {
            unmerged: true,
            ..kept(n, days, bytes)
        }
    }

    /// What goes, as `m1 old`, and what is left.
    fn chosen(may_go: &[Kept], stays: u64) -> (Vec<String>, u64) {
        let choice = choose(may_go.to_vec(), Vec::new(), stays, &LIMITS, NOW);
        let told = |one: &Going| format!("{} {}", one.kept.mission, one.why.word());
        (choice.going.iter().map(told).collect(), choice.left)
    }

    #[test]
    fn what_ended_thirty_days_ago_goes_and_a_moment_less_stays() {
        let mut young = kept(2, 30, 10);
        young.ended.0 += 1;
        let (going, left) = chosen(&[kept(3, 31, 10), young, kept(1, 30, 10)], 50);
        assert_eq!((going, left), (vec!["m3 old".into(), "m1 old".into()], 60));
    }

    #[test]
    fn the_oldest_go_until_what_is_left_is_not_too_much() {
        let all = [
            kept(1, 3, 40),
            kept(2, 9, 40),
            kept(3, 1, 40),
            kept(4, 40, 500),
        ];
        let (going, left) = chosen(&all, 30);
        assert_eq!(going, ["m4 old", "m2 room"]);
        assert_eq!(left, 110);
        let two = [kept(1, 3, 40), kept(2, 9, 60)];
        assert_eq!(chosen(&two, 0).0, [""; 0], "just as much as may be");
        let more = [kept(1, 3, 40), kept(2, 9, 61)];
        assert_eq!(chosen(&more, 0).0, ["m2 room"]);
    }

    #[test]
    fn nothing_goes_for_the_sake_of_what_cannot() {
        assert_eq!(chosen(&[kept(1, 3, 40)], 500), (Vec::new(), 540));
        let young = [unmerged(1, 29, 500), kept(2, 3, 40)];
        assert_eq!(chosen(&young, 0), (Vec::new(), 540));
    }

    #[test]
    fn unmerged_work_goes_last_and_only_when_it_is_old_and_nothing_else_is_left() {
        let all = [
            unmerged(1, 90, 60),
            unmerged(2, 29, 60),
            kept(3, 1, 60),
            unmerged(4, 80, 60),
        ];
        let (going, left) = chosen(&all, 0);
        let last = ["m3 room", "m1 room_with_unmerged_work"];
        assert_eq!((going, left), (last.map(str::to_owned).to_vec(), 120));
        let more = unmerged(5, 85, 60);
        let all = [&all[..], &[more]].concat();
        assert_eq!(
            chosen(&all, 0).0,
            [last[0], last[1], "m5 room_with_unmerged_work"]
        );
        let small = [unmerged(1, 90, 60), kept(3, 1, 60)];
        assert_eq!(chosen(&small, 0).0, ["m3 room"], "there is room");
    }

    #[test]
    fn the_rest_of_what_was_cut_short_goes_whenever_it_ended() {
        let half = Kept {
            cut_short: true,
            unmerged: true,
            ..kept(1, 0, 10)
        };
        assert_eq!(chosen(&[half], 0), (vec!["m1 cut_short".into()], 0));
    }

    #[test]
    fn what_stays_although_it_is_old_or_too_much_is_said() {
        let told = |undelivered: &[Kept], stays| {
            let choice = choose(Vec::new(), undelivered.to_vec(), stays, &LIMITS, NOW);
            choice.told(&LIMITS).join("\n")
        };
        let said = told(&[kept(1, 31, 0), kept(2, 1, 0)], 2_000);
        assert!(
            said.contains("m1 is kept") && !said.contains("m2"),
            "{said}"
        );
        assert!(said.contains("takes 1.9 KiB, more than 100 B"), "{said}");
        let said = told(&[], 7);
        assert!(
            said.contains("takes 7 B of 100 B") && said.contains("30 days"),
            "{said}"
        );
    }

    #[test]
    fn sizes_are_told_in_the_unit_that_is_short() {
        let all = [0, 1023, 1024, 1536, 5 << 30, u64::MAX];
        let told = all.map(size);
        assert_eq!(
            told,
            [
                "0 B",
                "1023 B",
                "1.0 KiB",
                "1.5 KiB",
                "5.0 GiB",
                "17179869183.9 GiB"
            ]
        );
    }
}
