//! Two simpler ways to hand tasks out.

use crate::shapes::Graph;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// Whoever could start first starts first.
pub(crate) fn first_come(graph: &Graph, lanes: u32) -> u64 {
    carry(graph, lanes, |_| 0)
}

/// Each task belongs to one lane from the beginning, and no other lane takes it.
pub(crate) fn dealt_out(graph: &Graph, lanes: u32) -> u64 {
    carry(graph, lanes, |task| task % lanes as usize)
}

/// Carries a graph out with a queue for each group of lanes; a queue of all lanes is number 0.
fn carry(graph: &Graph, lanes: u32, queue: impl Fn(usize) -> usize) -> u64 {
    let shared = (0..graph.tasks.len()).all(|task| queue(task) == 0);
    let mut free: Vec<u32> = if shared {
        vec![lanes]
    } else {
        vec![1; lanes as usize]
    };
    let mut left: Vec<usize> = graph.tasks.iter().map(|task| task.needs.len()).collect();
    let mut waiting: BTreeSet<(u64, usize)> = (0..left.len())
        .filter(|task| left[*task] == 0)
        .map(|task| (0, task))
        .collect();
    let mut running: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
    let mut now = 0;
    loop {
        let start: Vec<(u64, usize)> = waiting.iter().copied().collect();
        for (since, task) in start {
            let slots = &mut free[queue(task)];
            if *slots > 0 {
                *slots -= 1;
                waiting.remove(&(since, task));
                running.push(Reverse((now + graph.tasks[task].takes, task)));
            }
        }
        let Some(Reverse((end, task))) = running.pop() else {
            assert!(waiting.is_empty(), "something waits for ever");
            return now;
        };
        now = end;
        free[queue(task)] += 1;
        for (next, node) in graph.tasks.iter().enumerate() {
            if node.needs.contains(&task) {
                left[next] -= 1;
                if left[next] == 0 {
                    waiting.insert((now, next));
                }
            }
        }
    }
}
