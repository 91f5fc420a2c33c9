//! The kill sweep of an answer that outlasts its mission: what is allowed for a project.

use super::chain::{Met, nothing_lost, parallel};
use super::points;
use std::collections::BTreeSet;
use testkit::world::{Running, Script, Task, ask, write};

/// The program dies at one point of keeping what was answered, and the mission goes on.
fn dies_at(point: &str, met: &Met) {
    let world = crate::project();
    let task = Task::new("a").writes("a.txt").proof("grep -q new a.txt");
    let steps = [ask("bash", "May I run make?"), write("a.txt", "new\n")];
    let script = Script::small(task).worker("a", steps).reviewed();
    let mut lives = vec![world.task(&script, &["--approve"]).ends(7, &[])];
    world.run(&["answer", "m1", "q1", "yes"]).ends(0, &[]);
    let mut command = world.command(&["resume", "m1"]);
    command.env("ORCHESTRATOR_FAULT", format!("{point}@1"));
    let mut running = Running::new(command);
    running.says("q2 asks: May I run make?");
    // Whoever answers may hear of it or not: its owner dies of it.
    world.run(&["answer", "m1", "q2", "project"]);
    let died = running.ended();
    assert_eq!(died.signal, Some(9), "{point}: {}", died.said());
    met.died(point);
    lives.push(died);
    world.all_gone();
    lives.push(world.run(&["resume", "m1"]).ends(0, &["m1 completed"]));
    nothing_lost(&world, "m1", &lives);
    let log = world.run(&["log", "m1"]).ends(0, &[]).out;
    assert_eq!(log.matches("q2 answered by user: project").count(), 1);
    // The turn begins again and asks again, and nobody is troubled with it.
    assert!(
        log.contains("q3 answered by policy: allow"),
        "{point}: {log}"
    );
    // It is kept whole or not at all; whoever has not kept it is asked again by the next mission.
    let told = world.task(&script, &["--yes"]).said();
    let is_kept = told.contains("allowed in this project");
    assert_eq!(is_kept, point == "allowed.kept", "{point}: {told}");
}

#[test]
fn what_is_allowed_for_a_project_is_kept_whole_or_not_at_all_and_its_mission_goes_on() {
    let (met, all) = (Met::default(), points::of(points::ANSWER));
    let all: Vec<&str> = all.into_iter().collect();
    parallel(&all, |point, _| dies_at(point, &met));
    let died: BTreeSet<String> = met.all();
    println!("an answer: {} points, {} deaths", all.len(), met.deaths());
    assert_eq!(died.len(), all.len());
}
