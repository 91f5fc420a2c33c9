//! What gets done of what a provider permits that refuses everything beyond it, through the engine as it is.
//!
//! Agents are scripted, and so is their provider; git, the journal and the processes are real. In simulated time the tests
//! in `crates/mission/tests/makespan` hold the core to the same.

use super::{line, told};
use serde_json::Value;
use testkit::world::{Script, Task, World, think, write};

/// What the provider serves in each stretch, and how long that is in milliseconds.
const CALLS: u64 = 10;
const EACH: u64 = 5_000;
/// Tasks, each of them one call; the Commander's and the Planner's are two more.
const TASKS: usize = 58;
/// How long a turn of a Worker takes, in milliseconds.
const WORKS: u64 = 500;

pub(super) fn of_refusals() {
    let world = World::new(env!("CARGO_BIN_EXE_orchestrator"))
        .file("readme", "")
        .committed();
    let id = |n: usize| format!("t{n}");
    let task = |n: usize| {
        Task::new(&id(n))
            .writes(&id(n))
            .proof(&format!("test -f {}", id(n)))
    };
    let script = Script::plan((0..TASKS).map(task)).permits(CALLS, EACH);
    let script = (0..TASKS).fold(script, |script, n| {
        script.worker(&id(n), [think(WORKS), write(&id(n), "")])
    });
    let words = ["--workers", "10", "--reviews", "0", "--yes", "--json"];
    let ran = world.task(&script, &words).ends(0, &[]);
    let events: Vec<Value> = ran
        .out
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let of = |kind: &'static str| {
        events
            .iter()
            .filter(move |event| event["event"]["type"] == kind)
    };
    let ends = |how: &'static str| {
        of("turn_ended").filter(move |event| event["event"]["ending"]["how"] == how)
    };
    let calls = TASKS + 2;
    assert_eq!(ends("answered").count(), calls, "each turn is served once");
    let at = |event: Option<&Value>| event.and_then(|event| event["at"].as_u64()).unwrap();
    // The first call comes with the first lease.
    let took = at(ends("answered").next_back()) - at(of("turn_started").next());
    let first = |event: &&Value| {
        let attempt = event["event"]["attempt"].as_str();
        attempt.is_some_and(|attempt| attempt.ends_with(".1"))
    };
    let lost = TASKS - of("worked").filter(first).count();
    println!("{calls} calls to a provider that serves {CALLS} each {EACH} ms; 10 Workers");
    let stretches = (calls as u64 - 1) / CALLS;
    let rate = (stretches * EACH + WORKS) as f64 / took as f64;
    line(
        "  of the permitted rate",
        format!("{rate:.3}"),
        "≥ 0.9",
        rate >= 0.9,
    );
    told("  calls that were refused", ends("refused").count());
    line("  attempts lost", lost, "0", lost == 0);
}
