//! The graph of needs, as places in the draft: circles, order, depth, and edges between overlapping forecasts.

use super::*;

/// A circle of needs, as places, the first standing again at the end; `None` if there is none.
pub(super) fn cycle(needs: &[BTreeSet<usize>]) -> Option<Vec<usize>> {
    let mut graph = petgraph::graphmap::DiGraphMap::<usize, ()>::new();
    for (task, needs) in needs.iter().enumerate() {
        graph.add_node(task);
        for need in needs {
            graph.add_edge(task, *need, ());
        }
    }
    let knot = petgraph::algo::tarjan_scc(&graph)
        .into_iter()
        .find(|part| part.len() > 1)?;
    // Inside a strongly connected part every task needs another of it: walking along needs must come round.
    let inside: BTreeSet<usize> = knot.iter().copied().collect();
    let mut walked: Vec<usize> = vec![*inside.first()?];
    loop {
        let here = *walked.last()?;
        let next = *needs[here].iter().find(|need| inside.contains(need))?;
        if let Some(start) = walked.iter().position(|seen| *seen == next) {
            walked.drain(..start);
            walked.push(next);
            return Some(walked);
        }
        walked.push(next);
    }
}

/// Adds an edge between tasks whose forecasts overlap and that no path of needs orders yet: the later one waits for
/// the earlier, so that the graph stays acyclic. Tells the added edges as (task, need).
pub(super) fn separate_overlaps(
    draft: &Draft,
    needs: &mut [BTreeSet<usize>],
) -> Vec<(usize, usize)> {
    let order = topological(needs);
    let mut added = Vec::new();
    for (place, later) in order.iter().enumerate() {
        // The nearest first: whatever it waits for needs no edge of its own.
        for earlier in order[..place].iter().rev() {
            let agents = [later, earlier]
                .iter()
                .all(|t| draft.tasks[**t].kind == TaskKind::Agent);
            if agents
                && overlap(&draft.tasks[*earlier].writes, &draft.tasks[*later].writes)
                && !reaches(needs, *later, *earlier)
            {
                needs[*later].insert(*earlier);
                added.push((*later, *earlier));
            }
        }
    }
    added
}

/// Whether two forecasts name a common path that is no shared one. A glob is compared by the part before its first
/// wildcard, which errs on the side of overlap: an edge too many costs time, one too few costs a conflict.
pub(super) fn overlap(a: &[String], b: &[String]) -> bool {
    let covers = |(a, glob): &(String, bool), b: &str| {
        a.is_empty()
            || a == b
            || (*glob && b.starts_with(a.as_str()))
            || b.strip_prefix(a.as_str())
                .is_some_and(|r| r.starts_with('/'))
    };
    let own = |paths: &[String]| -> Vec<(String, bool)> {
        let unshared = |path: &&String| {
            let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
            !is_shared(name)
        };
        paths.iter().filter(unshared).map(|p| fixed(p)).collect()
    };
    let right = own(b);
    own(a).iter().any(|left| {
        right
            .iter()
            .any(|right| covers(left, &right.0) || covers(right, &left.0))
    })
}

/// A path as it is compared: without what means the folder itself, up to its first wildcard, and whether there is one.
/// Empty for the root.
fn fixed(path: &str) -> (String, bool) {
    let parts = path.split(['/', '\\']);
    let plain: Vec<&str> = parts.filter(|part| !matches!(*part, "" | ".")).collect();
    let plain = plain.join("/");
    match plain.find(['*', '?', '[', '{']) {
        Some(at) => (plain[..at].to_owned(), true),
        None => (plain, false),
    }
}

pub(super) fn reaches(needs: &[BTreeSet<usize>], from: usize, to: usize) -> bool {
    let mut open = vec![from];
    let mut seen = BTreeSet::new();
    while let Some(task) = open.pop() {
        if task == to {
            return true;
        }
        if seen.insert(task) {
            open.extend(needs[task].iter().copied());
        }
    }
    false
}

/// Places in an order in which every task stands after what it needs, otherwise as in the draft.
pub(crate) fn topological(needs: &[BTreeSet<usize>]) -> Vec<usize> {
    let mut left: Vec<usize> = needs.iter().map(BTreeSet::len).collect();
    let mut needed_by: Vec<Vec<usize>> = vec![Vec::new(); needs.len()];
    for (task, needs) in needs.iter().enumerate() {
        needs.iter().for_each(|need| needed_by[*need].push(task));
    }
    let mut ready: BTreeSet<usize> = (0..needs.len()).filter(|task| left[*task] == 0).collect();
    let mut order = Vec::with_capacity(needs.len());
    while let Some(task) = ready.pop_first() {
        order.push(task);
        for next in &needed_by[task] {
            left[*next] -= 1;
            if left[*next] == 0 {
                ready.insert(*next);
            }
        }
    }
    order
}

/// For each task the number of tasks on the longest chain of needs that ends in it.
pub(super) fn depths(needs: &[BTreeSet<usize>]) -> Vec<usize> {
    let mut depth = vec![0; needs.len()];
    for task in topological(needs) {
        depth[task] = 1 + needs[task]
            .iter()
            .map(|need| depth[*need])
            .max()
            .unwrap_or(0);
    }
    depth
}
