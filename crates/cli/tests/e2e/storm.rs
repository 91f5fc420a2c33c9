//! A provider that serves so many calls in a stretch of time, and refuses whatever comes beyond them.

use super::project;
use serde_json::Value;
use testkit::world::{Script, Task, write};

#[test]
fn a_storm_of_refusals_costs_no_agent_an_attempt() {
    let world = project();
    let ids: Vec<String> = (0..6).map(|n| format!("t{n}")).collect();
    let task = |id: &String| Task::new(id).writes(id).proof(&format!("test -f {id}"));
    // The Commander's and the Planner's calls are served; six Workers begin at once.
    let script = Script::plan(ids.iter().map(task)).permits(2, 2_000);
    let script = ids
        .iter()
        .fold(script, |script, id| script.worker(id, [write(id, "")]));
    let words = ["--workers", "6", "--reviews", "0", "--yes", "--json"];
    let ran = world.task(&script, &words).ends(0, &[]);
    let events: Vec<Value> = ran
        .out
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let of = |kind: &'static str| {
        let events = events.iter().map(|event| &event["event"]);
        events.filter(move |event| event["type"] == kind)
    };
    let refused = of("turn_ended").filter(|event| event["ending"]["how"] == "refused");
    assert!(refused.count() > 0, "hardly a storm");
    let mut worked: Vec<&str> = of("worked")
        .filter_map(|event| event["attempt"].as_str())
        .collect();
    worked.sort_unstable();
    let first: Vec<String> = (1..=ids.len()).map(|n| format!("T{n}.1")).collect();
    assert_eq!(worked, first, "each at its first attempt");
    for id in &ids {
        world.read(id);
    }
}
