//! A machine that sleeps while a mission waits.

use crate::project;
use serde_json::json;
use testkit::world::{Running, Script, Task, write};

/// The longest that a mission takes if nothing else is said, and as much again, and some of what is not told.
const SLEPT_MS: u64 = (8 * 60 * 60 + 30) * 1000;

#[test]
fn time_that_a_machine_slept_counts_for_what_a_provider_named_and_for_no_deadline() {
    let world = project();
    let task = Task::new("change")
        .writes("a.txt")
        .proof("grep -q new a.txt");
    let hour = json!({ "refuse": { "retry_after": 60 * 60 * 1000 } });
    let refused = json!({ "role": "worker", "task": "change", "call": 1, "end": hour });
    let script = Script::plan([task])
        .turn(refused)
        .worker("change", [write("a.txt", "new\n")])
        .reviewed();
    let agent = world.agent(&script);
    let slept = world.beside("slept");
    let mut command = world.command(&["task", "change it", &agent, "--model", "acme/large"]);
    command.env("ORCHESTRATOR_FAULT_SLEPT", &slept);
    let mut running = Running::new(command);
    running.says("no turn begins at");
    std::fs::write(&slept, SLEPT_MS.to_string()).unwrap();
    let told =
        "taken up again after 8 h 0 min in which nobody ran it; every deadline moves by that";
    running.ended().ends(0, &[told, "m1 completed"]);
    assert_eq!(world.read("a.txt"), "new\n");
}
