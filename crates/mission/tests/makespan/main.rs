//! Scheduling in simulated time: the real core carries plans of six shapes out, each many times with other durations,
//! and is held against itself told the true durations, first come first served, and tasks dealt out beforehand.
//!
//! Nothing here looks at a clock. `cargo test --profile sim -p mission --test makespan -- --nocapture` runs all seeds.
#![cfg(test)]

mod carry;
mod others;
mod shapes;
mod storm;

use mission::plan::Size;
use shapes::{Graph, SHAPES};

/// Lanes, and tasks of each graph.
const LANES: u32 = 10;
const TASKS: usize = 200;
/// Seeds of each shape under the profile `sim`, and where nothing is optimised.
const MANY: u64 = 400;
const FEW: u64 = 12;

fn seeds() -> u64 {
    let path = std::env::current_exe().unwrap_or_default();
    let is_sim = path.components().any(|part| part.as_os_str() == "sim");
    if is_sim { MANY } else { FEW }
}

/// What the same graph with the same durations took, in milliseconds.
struct Run {
    seed: u64,
    core: u64,
    clairvoyant: u64,
    first_come: u64,
    dealt_out: u64,
    /// No schedule is shorter.
    bound: u64,
}

fn run(shape: &shapes::Shape, seed: u64) -> Run {
    let graph = Graph::new(shape, seed);
    assert_eq!(graph.tasks.len(), TASKS);
    let work: u64 = graph.tasks.iter().map(|task| task.takes).sum();
    Run {
        seed,
        core: carry::carry(&graph, false),
        clairvoyant: carry::carry(&graph, true),
        first_come: others::first_come(&graph, LANES),
        dealt_out: others::dealt_out(&graph, LANES),
        bound: graph.critical_path().max(work.div_ceil(u64::from(LANES))),
    }
}

fn mean(ratios: &[f64]) -> f64 {
    ratios.iter().sum::<f64>() / ratios.len() as f64
}

/// Mean, 95th percentile and worst of a time against another one.
fn against(runs: &[Run], other: impl Fn(&Run) -> u64) -> (f64, f64, (f64, u64)) {
    let ratio = |run: &Run| (run.core as f64 / other(run) as f64, run.seed);
    let mut ratios: Vec<(f64, u64)> = runs.iter().map(ratio).collect();
    ratios.sort_by(|a, b| a.0.total_cmp(&b.0));
    let p95 = ratios[(ratios.len() * 95).div_ceil(100) - 1].0;
    let all: Vec<f64> = ratios.iter().map(|(ratio, _)| *ratio).collect();
    (mean(&all), p95, *ratios.last().unwrap())
}

#[test]
fn the_core_is_near_a_clairvoyant_and_no_worse_than_simpler_ways() {
    let mut broken = Vec::new();
    println!(
        "makespan over {} seeds of each shape, {TASKS} tasks, {LANES} lanes",
        seeds()
    );
    for shape in &SHAPES {
        let runs: Vec<Run> = (0..seeds()).map(|seed| run(shape, seed)).collect();
        for run in &runs {
            assert!(
                run.core >= run.bound,
                "shorter than possible: seed {}",
                run.seed
            );
        }
        let near: Vec<f64> = runs
            .iter()
            .map(|run| run.clairvoyant as f64 / run.core as f64)
            .collect();
        let near = mean(&near);
        let (bound, ..) = against(&runs, |run| run.bound);
        let name = shape.name;
        println!("{name}: {near:.3} of clairvoyant, {bound:.3} of the lower bound");
        if near < 0.97 {
            broken.push(format!("{name}: {near:.3} of clairvoyant"));
        }
        type Time = fn(&Run) -> u64;
        let others: [(&str, Time); 2] = [
            ("first come", |run| run.first_come),
            ("dealt out", |run| run.dealt_out),
        ];
        for (other, time) in others {
            let (mean, p95, (worst, seed)) = against(&runs, time);
            println!(
                "  against {other}: mean {mean:.3}, p95 {p95:.3}, worst {worst:.3} (seed {seed})"
            );
            if mean > 1.0 || p95 > 1.01 {
                broken.push(format!(
                    "{name} against {other}: mean {mean:.4}, p95 {p95:.4}"
                ));
            }
        }
    }
    assert_eq!(broken, [""; 0]);
}

#[test]
fn a_graph_of_each_shape_has_what_its_name_says() {
    for shape in &SHAPES {
        let graph = Graph::new(shape, 1);
        assert_eq!(graph.tasks.len(), TASKS, "{}", shape.name);
        let forward = |(n, task): (usize, &shapes::Node)| task.needs.iter().all(|need| *need < n);
        assert!(
            graph.tasks.iter().enumerate().all(forward),
            "{}",
            shape.name
        );
        let sized = |size| graph.tasks.iter().filter(|task| task.size == size).count();
        assert!(sized(Size::Small) + sized(Size::Medium) + sized(Size::Large) == TASKS);
    }
}
