//! The tasks that could start, as they are looked for: by rank, and of one rank by lane.

use super::claim::Claim;
use crate::ids::TaskId;
use crate::limits;
use crate::plan::Priority;
use crate::planted;
use crate::time::{Millis, Timestamp};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// How soon a task is to start: its class, then the longest path from its start to the end, then the slots that it takes:
/// what is heavy finds no room once the light ones run. The best is the least.
pub(crate) type Rank = (Reverse<Priority>, Reverse<u64>, Reverse<u32>);

/// Of one lane, the oldest first.
type Lane = BTreeSet<(u64, TaskId)>;

/// What is known of one task that could start.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    rank: Rank,
    /// Of a task that needs a Worker.
    claim: Option<Claim>,
    lane: u32,
    order: u64,
    /// When it rises a class.
    rises: Option<Timestamp>,
}

/// By rank, and of one rank by lane.
type Lanes = BTreeMap<Rank, BTreeMap<u32, Lane>>;

/// The tasks that could start. Every change costs as much as finding a place in a map, and every search as much as there
/// are different claims among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ready {
    entries: BTreeMap<TaskId, Entry>,
    ranked: BTreeSet<(Rank, TaskId)>,
    /// Those that need a Worker.
    lanes: BTreeMap<Claim, Lanes>,
    rising: BTreeSet<(Timestamp, TaskId)>,
    /// How many have come in so far.
    came: u64,
    /// How many were dealt out because no lane was theirs.
    dealt: u32,
}

impl Ready {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// All of them, the best first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = TaskId> {
        self.ranked.iter().map(|(_, id)| *id)
    }

    /// The class that a task is in by now, where it is among them.
    pub(crate) fn class(&self, id: TaskId) -> Option<Priority> {
        self.entries.get(&id).map(|entry| entry.rank.0.0)
    }

    /// Those that need a Worker, the best first, each with the lane that it belongs to.
    pub(crate) fn of_workers(&self) -> impl Iterator<Item = (Rank, TaskId, u32)> {
        let entries = self
            .ranked
            .iter()
            .map(|(rank, id)| (*rank, *id, &self.entries[id]));
        let of_workers = entries.filter(|(_, _, entry)| entry.claim.is_some());
        of_workers.map(|(rank, id, entry)| (rank, id, entry.lane))
    }

    /// Puts a task in that belongs to the lane `home`, or to the next in turn where it belongs to none. One that is
    /// there already stays as it is.
    pub(crate) fn insert(
        &mut self,
        id: TaskId,
        rank: Rank,
        claim: Option<Claim>,
        home: Option<u32>,
        lanes: u32,
        now: Timestamp,
    ) {
        if self.entries.contains_key(&id) {
            return;
        }
        let lane = home.filter(|lane| *lane <= lanes).unwrap_or_else(|| {
            self.dealt = self.dealt % lanes + 1;
            self.dealt
        });
        self.came += 1;
        let entry = Entry {
            rank,
            claim,
            lane,
            order: self.came,
            rises: raised(rank).map(|_| now + limits::AGING),
        };
        self.put(id, entry);
    }

    fn put(&mut self, id: TaskId, entry: Entry) {
        self.ranked.insert((entry.rank, id));
        self.rising.extend(entry.rises.map(|at| (at, id)));
        if let Some(claim) = &entry.claim {
            let lanes = self.lanes.entry(claim.clone()).or_default();
            let lanes = lanes.entry(entry.rank).or_default();
            lanes
                .entry(entry.lane)
                .or_default()
                .insert((entry.order, id));
        }
        self.entries.insert(id, entry);
    }

    /// The path from a task to the end has another length than it was put in with.
    pub(crate) fn moves(&mut self, id: TaskId, path: u64) {
        if let Some(entry) = self.take(id) {
            let (class, _, weight) = entry.rank;
            let rank = (class, Reverse(path), weight);
            self.put(id, Entry { rank, ..entry });
        }
    }

    /// Somebody changed how soon a task is to start: it waits from now on, and rises as one that came in now.
    pub(crate) fn ranks(&mut self, id: TaskId, rank: Rank, now: Timestamp) {
        if let Some(entry) = self.take(id) {
            let rises = raised(rank).map(|_| now + limits::AGING);
            self.put(
                id,
                Entry {
                    rank,
                    rises,
                    ..entry
                },
            );
        }
    }

    /// A task takes something else while it runs than it was put in with.
    pub(crate) fn claims(&mut self, id: TaskId, claim: Claim) {
        if let Some(entry) = self.take(id) {
            let claim = entry.claim.is_some().then_some(claim);
            self.put(id, Entry { claim, ..entry });
        }
    }

    /// Takes a task out, if it is there.
    pub(crate) fn remove(&mut self, id: TaskId) {
        self.take(id);
    }

    fn take(&mut self, id: TaskId) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        self.ranked.remove(&(entry.rank, id));
        self.rising.remove(&(entry.rises.unwrap_or_default(), id));
        if let Some(claim) = &entry.claim
            && let Some(lanes) = self.lanes.get_mut(claim)
        {
            remove(lanes, id, &entry);
            if lanes.is_empty() {
                self.lanes.remove(claim);
            }
        }
        Some(entry)
    }

    /// When the next one rises.
    pub(crate) fn next_rise(&self, after: Timestamp) -> Option<Timestamp> {
        let from = (after + Millis(1), TaskId(0));
        let next = self.rising.range(from..).next().map(|(at, _)| *at);
        // Who has risen by then without an event that tells of it rises once more.
        let twice = |id: &TaskId| raised(self.entries[id].rank).and_then(raised).is_some();
        let risen = self.rising.range(..from).filter(|(_, id)| twice(id));
        let again = risen.map(|(at, _)| *at + limits::AGING);
        next.into_iter().chain(again.filter(|at| *at > after)).min()
    }

    /// As it is at this moment, where that is another than it was.
    pub(crate) fn aged(&self, now: Timestamp) -> Option<Self> {
        let rises = self.rising.first().is_some_and(|(at, _)| *at <= now);
        rises.then(|| {
            let mut aged = self.clone();
            aged.age(now);
            aged
        })
    }

    /// Everybody rises so much later.
    pub(crate) fn waits_longer(&mut self, idle: Millis) {
        for entry in self.entries.values_mut() {
            entry.rises = entry.rises.map(|at| at + idle);
        }
        let rising = std::mem::take(&mut self.rising).into_iter();
        self.rising = rising.map(|(at, id)| (at + idle, id)).collect();
    }

    /// Who has waited long enough rises a class. Nobody rises more than twice.
    pub(crate) fn age(&mut self, now: Timestamp) {
        if planted!("low_starves") {
            return;
        }
        while let Some((at, id)) = self.rising.first().copied().filter(|(at, _)| *at <= now) {
            let Some(entry) = self.take(id) else { return };
            let rank = raised(entry.rank).unwrap_or(entry.rank);
            let rises = raised(rank).map(|_| at + limits::AGING);
            self.put(
                id,
                Entry {
                    rank,
                    rises,
                    ..entry
                },
            );
        }
    }

    /// The task that starts next, with its rank and its lane, when these lanes are free and `may` says yes to what
    /// it takes: the newest of a free lane's own, else for the first free lane the oldest of the richest one;
    /// always of the best rank.
    pub(crate) fn best(
        &self,
        free: &[u32],
        may: impl Fn(&Claim) -> bool,
    ) -> Option<(Rank, TaskId, u32)> {
        let may = self.lanes.iter().filter(|(claim, _)| may(claim));
        let firsts: Vec<_> = may
            .filter_map(|(_, lanes)| lanes.first_key_value())
            .collect();
        let rank = *firsts.iter().map(|(rank, _)| *rank).min()?;
        let of_rank = || {
            firsts
                .iter()
                .filter(|(of, _)| **of == rank)
                .map(|(_, lanes)| *lanes)
        };
        let own = |lane: &u32| {
            let newest = of_rank()
                .filter_map(|lanes| lanes.get(lane)?.last())
                .max()?;
            Some((newest.1, *lane))
        };
        if let Some((id, lane)) = free.iter().find_map(own) {
            return Some((rank, id, lane));
        }
        let mut lengths: BTreeMap<u32, usize> = BTreeMap::new();
        for (lane, tasks) in of_rank().flatten() {
            *lengths.entry(*lane).or_default() += tasks.len();
        }
        let richest = lengths
            .iter()
            .max_by_key(|(lane, n)| (**n, Reverse(**lane)));
        let (richest, _) = richest?;
        let oldest = of_rank()
            .filter_map(|lanes| lanes.get(richest)?.first())
            .min();
        Some((rank, oldest?.1, *free.first()?))
    }
}

/// Takes a task out of its lane, and leaves no empty lane behind.
fn remove(lanes: &mut Lanes, id: TaskId, entry: &Entry) {
    let Some(of_rank) = lanes.get_mut(&entry.rank) else {
        return;
    };
    if let Some(lane) = of_rank.get_mut(&entry.lane) {
        lane.remove(&(entry.order, id));
        if lane.is_empty() {
            of_rank.remove(&entry.lane);
        }
    }
    if of_rank.is_empty() {
        lanes.remove(&entry.rank);
    }
}

/// The rank one class higher, if there is one.
fn raised((Reverse(class), path, weight): Rank) -> Option<Rank> {
    let higher = match class {
        Priority::Low => Priority::Normal,
        Priority::Normal => Priority::High,
        Priority::High => return None,
    };
    Some((Reverse(higher), path, weight))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(class: Priority, path: u64) -> Rank {
        (Reverse(class), Reverse(path), Reverse(1))
    }

    /// Tasks of these numbers that came in like this, each in its lane and all of one rank.
    fn ready(tasks: &[(u32, u32)]) -> Ready {
        let mut ready = Ready::default();
        let claim = || Claim {
            resources: Vec::new(),
            weight: 1,
            model: None,
            refusals: 0,
        };
        for (id, lane) in tasks {
            let rank = rank(Priority::Normal, 1);
            ready.insert(
                TaskId(*id),
                rank,
                Some(claim()),
                Some(*lane),
                9,
                Timestamp(0),
            );
        }
        ready
    }

    fn best(ready: &Ready, free: &[u32]) -> Option<(u32, u32)> {
        let (_, id, lane) = ready.best(free, |_| true)?;
        Some((id.0, lane))
    }

    #[test]
    fn a_lane_takes_its_own_newest_and_steals_the_oldest_of_the_richest() {
        let ready = ready(&[(1, 1), (2, 2), (3, 1), (4, 2), (5, 2)]);
        assert_eq!(best(&ready, &[1]), Some((3, 1)), "its own newest");
        assert_eq!(best(&ready, &[2]), Some((5, 2)));
        assert_eq!(best(&ready, &[3]), Some((2, 3)), "the richest one's oldest");
        assert_eq!(best(&ready, &[3, 1]), Some((3, 1)), "none steals before");
        assert_eq!(best(&ready, &[]), None);
    }

    #[test]
    fn of_lanes_that_are_equally_rich_the_first_is_stolen_from() {
        let ready = ready(&[(1, 2), (2, 1), (3, 2), (4, 1)]);
        assert_eq!(best(&ready, &[3]), Some((2, 3)));
    }
}
