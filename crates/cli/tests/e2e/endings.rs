//! After every ending: no process of the mission is left, nobody holds it, and no workspace lies about.

use crate::project;
use rustix::process::Signal;
use serde_json::json;
use testkit::world::{Running, Script, Task, World, run, write};

fn task(name: &str) -> Task {
    Task::new(name).proof(&format!("test -f {name}.txt"))
}

/// A crew of which this task's Worker writes something else.
fn script(names: &[&str], bad: &str) -> Script {
    let tasks: Vec<Task> = names.iter().map(|name| task(name)).collect();
    let works = |script: Script, name: &&str| {
        let file = match *name == bad {
            true => "other.txt".to_owned(),
            false => format!("{name}.txt"),
        };
        script.worker(name, [write(&file, "x\n")])
    };
    names.iter().fold(Script::plan(tasks), works).reviewed()
}

/// The workspaces of its lanes.
fn lanes(world: &World) -> usize {
    let lanes = std::fs::read_dir(world.place("m1").join("lanes"));
    lanes.map_or(0, Iterator::count)
}

/// What lies where workspaces are, and what is made ready or noted for them.
fn workspaces(world: &World) -> usize {
    let place = world.place("m1");
    let folders = ["lanes", "sides", "prepared", "notes"].map(|name| place.join(name));
    let lie = folders.map(|folder| std::fs::read_dir(folder).map_or(0, Iterator::count));
    lie.iter().sum()
}

/// Looks at the machine.
fn is_left_alone(world: &World, how: &str) {
    world.all_gone();
    assert_eq!(
        world.status("m1")["owned"],
        false,
        "{how}: somebody holds it"
    );
}

fn is_over(world: &World, how: &str) {
    assert_eq!(world.state_of("m1"), how);
    is_left_alone(world, how);
    assert_eq!(workspaces(world), 0, "{how}: workspaces are left");
}

#[test]
fn a_mission_that_ends_by_itself_leaves_nothing_running_and_no_workspace() {
    for (names, bad, how) in [
        (&["one"][..], "", "completed"),
        (&["one", "two"][..], "two", "partial"),
        (&["one"][..], "one", "failed"),
    ] {
        let world = project();
        world.task(&script(names, bad), &["--attempts", "1"]);
        is_over(&world, how);
    }
}

/// A task that writes another line into a file that is there.
fn new_line(proof: &str) -> Task {
    Task::new("a").writes("a.txt").proof(proof)
}

#[test]
fn a_mission_that_answers_is_in_doubt_or_has_no_more_to_use_leaves_nothing_either() {
    let changes =
        |proof: &str| Script::small(new_line(proof)).worker("a", [write("a.txt", "new\n")]);
    // Its proof was green before, so that nobody has shown anything.
    let unverified = changes("test -f a.txt").reviewed();
    let disputed = changes("grep -q new a.txt").rejected("a", 1, "it is not enough");
    let both = script(&["one", "two"], "");
    let paid = json!({
        "role": "worker", "task": "one", "steps": [write("one.txt", "x\n")],
        "end": { "answer": { "status": "done", "summary": "did it" } },
        "usage": { "input": 1_000, "output": 0, "micro_usd": 1_000_000, "calls": 1 },
    });
    let paid = Script::plan(["one", "two"].map(task)).turn(paid);
    let paid = paid.worker("two", [write("two.txt", "x\n")]);
    let one_by_one =
        |limit: &'static [&str]| [limit, &["--reviews", "0", "--workers", "1"]].concat();
    for (script, words, how, why) in [
        (Script::answer("42"), vec![], "answered", "42"),
        (unverified, vec![], "unverified", "claim"),
        (disputed, vec!["--attempts", "1"], "disputed", "not enough"),
        (
            both.clone(),
            one_by_one(&["--turns", "3"]),
            "partial",
            "its 3 turns are used up",
        ),
        (
            both,
            one_by_one(&["--tokens", "40", "--yes"]),
            "partial",
            "the token budget is spent",
        ),
        (
            paid,
            one_by_one(&["--cost", "1"]),
            "partial",
            "the cost limit is reached",
        ),
    ] {
        let world = World::new(env!("CARGO_BIN_EXE_orchestrator"))
            .file("a.txt", "old\n")
            .committed();
        let ran = world.task(&script, &words);
        assert!(ran.said().contains(why), "no {why:?} in: {}", ran.said());
        is_over(&world, how);
    }
}

#[test]
fn a_mission_that_waits_for_an_answer_which_nobody_is_here_to_give_leaves_nothing_running() {
    let world = project();
    let ran = world.task(&script(&["one"], ""), &["--approve"]);
    ran.ends(7, &["orchestrator answer m1"]);
    is_left_alone(&world, "waits for an answer");
    world.run(&["cancel", "m1"]).ends(0, &[]);
    is_over(&world, "cancelled");
}

#[test]
fn a_mission_whose_result_could_not_be_handed_over_leaves_nothing_either() {
    let world = project();
    let mine = format!("echo mine > {}/a.txt", world.project().display());
    let script = Script::small(new_line("grep -q new a.txt"))
        .worker("a", [write("a.txt", "new\n"), run(&mine)])
        .reviewed();
    world.task(&script, &[]).ends(8, &["not delivered"]);
    is_over(&world, "completed");
}

/// A Worker that hangs, with a child of its own that hears no gentle word, once it has done this.
fn hanging(first: &str) -> Script {
    let line = format!("(trap '' TERM; {first}; sleep 1000) & wait");
    Script::plan([task("a")]).hangs("a", [write("a.txt", "half\n"), run(&line)])
}

/// A mission whose Worker hangs.
fn hangs(world: &World) -> Running {
    let meeting = world.meeting();
    let running = world.start_task(&hanging(&meeting.line()), &[]);
    meeting.come();
    running
}

#[test]
fn a_mission_whose_time_is_up_leaves_nothing_running() {
    let world = project();
    let meeting = world.meeting();
    let words = ["--time", "20s"];
    let running = world.start_task(&hanging(&meeting.line()), &words);
    meeting.come();
    running.ended();
    is_over(&world, "failed");
}

#[test]
fn a_mission_that_somebody_ends_leaves_nothing_running() {
    let world = project();
    let running = hangs(&world);
    world.run(&["cancel", "m1"]).ends(0, &[]);
    running.ended();
    is_over(&world, "cancelled");
    let world = project();
    let running = hangs(&world);
    world.run(&["abort", "m1"]).ends(0, &[]);
    running.ended();
    is_left_alone(&world, "aborted");
    assert_ne!(lanes(&world), 0, "they are to be looked at");
    let place = world.place("m1");
    world.run(&["clean", "m1"]).ends(0, &[]);
    assert!(!place.exists(), "until they are removed");
}

#[test]
fn a_mission_that_was_interrupted_or_killed_leaves_nothing_running_and_nothing_once_it_is_over() {
    for signal in [Signal::INT, Signal::KILL] {
        let world = project();
        let running = hangs(&world);
        running.signal(signal);
        running.ended();
        is_left_alone(&world, "interrupted");
        world.run(&["cancel", "m1"]);
        if world.state_of("m1") != "cancelled" {
            world.run(&["resume", "m1"]);
        }
        is_over(&world, "cancelled");
    }
}
