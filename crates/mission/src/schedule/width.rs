//! How many tasks can be at work at once at the most, however long each takes: the largest set of them of which none waits
//! for another. By the theorem of Dilworth that is how many there are, less the most pairs of one that waits and one that
//! it waits for, of which no task is in two on the same side.

use crate::ids::TaskId;
use crate::mission::TaskState;
use crate::plan::{TaskKind, topological};
use std::collections::{BTreeMap, BTreeSet};

/// How many of these tasks Workers can be at work at once at the most.
pub(super) fn width(tasks: &BTreeMap<TaskId, TaskState>) -> usize {
    let ids: Vec<TaskId> = tasks.keys().copied().collect();
    let needs = tasks.values().map(|task| match task.waits_for_its_needs() {
        true => {
            let needs = task.task.needs.iter();
            needs.filter_map(|id| ids.binary_search(id).ok()).collect()
        }
        false => BTreeSet::new(),
    });
    let needs: Vec<BTreeSet<usize>> = needs.collect();
    let works = |task: &TaskState| task.task.kind == TaskKind::Agent;
    let works: Vec<bool> = tasks.values().map(works).collect();
    widest(&needs, &works)
}

/// The same by what each needs, and whether it counts. What waits for one that does not count waits for all that it needs.
fn widest(needs: &[BTreeSet<usize>], counts: &[bool]) -> usize {
    let mut before = vec![vec![false; needs.len()]; needs.len()];
    for task in topological(needs) {
        for need in &needs[task] {
            let theirs = before[*need].clone();
            let all = before[task].iter_mut().zip(theirs);
            all.for_each(|(own, theirs)| *own |= theirs);
            before[task][*need] = true;
        }
    }
    let mut pair: Vec<Option<usize>> = vec![None; needs.len()];
    let counted = || (0..needs.len()).filter(|task| counts[*task]);
    let waits_for = |task: usize, need: usize| counts[need] && before[task][need];
    let pairs = |task: &usize| {
        let mut seen = vec![false; needs.len()];
        finds_a_pair(*task, &waits_for, &mut seen, &mut pair)
    };
    counted().count() - counted().filter(pairs).count()
}

/// Whether a task can be the one that waits in one pair more, where others may take another one that they wait for.
fn finds_a_pair(
    task: usize,
    waits_for: &impl Fn(usize, usize) -> bool,
    seen: &mut [bool],
    pair: &mut [Option<usize>],
) -> bool {
    for need in 0..pair.len() {
        if !waits_for(task, need) || std::mem::replace(&mut seen[need], true) {
            continue;
        }
        let may = match pair[need] {
            None => true,
            Some(other) => finds_a_pair(other, waits_for, seen, pair),
        };
        if may {
            pair[need] = Some(task);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same by trying every set.
    fn tried(needs: &[BTreeSet<usize>], counts: &[bool]) -> usize {
        let waits = |task: usize, need: usize| {
            let mut open: Vec<usize> = needs[task].iter().copied().collect();
            while let Some(next) = open.pop() {
                if next == need {
                    return true;
                }
                open.extend(&needs[next]);
            }
            false
        };
        let is_free = |set: &u32| {
            let of = |task: &usize| set & (1 << task) != 0;
            let all: Vec<usize> = (0..needs.len()).filter(of).collect();
            let alone = |task: &usize| all.iter().all(|other| !waits(*task, *other));
            all.iter().all(|task| counts[*task] && alone(task))
        };
        let sets = (0..1_u32 << needs.len()).filter(is_free);
        sets.map(|set| set.count_ones() as usize).max().unwrap_or(0)
    }

    #[test]
    fn it_is_the_largest_set_of_which_none_waits_for_another() {
        let mut seed = 1_u64;
        let mut draw = |n: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % n
        };
        let mut seen = BTreeSet::new();
        for _ in 0..300 {
            let n = 1 + draw(8) as usize;
            let dense = 1 + draw(5);
            let needs = (0..n).map(|task| (0..task).filter(|_| draw(6) < dense).collect());
            let needs: Vec<BTreeSet<usize>> = needs.collect();
            let counts: Vec<bool> = (0..n).map(|_| draw(4) > 0).collect();
            let found = widest(&needs, &counts);
            assert_eq!(found, tried(&needs, &counts), "{needs:?}, {counts:?}");
            seen.insert(found);
        }
        assert!(seen.len() > 5, "{seen:?}");
    }
}
