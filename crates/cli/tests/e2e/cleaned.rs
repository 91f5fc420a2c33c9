//! What is kept of missions that are over, for how long, and what goes last.

use crate::project;
use serde_json::Value;
use testkit::world::{Script, Task, World, append, run, write};

fn script() -> Script {
    Script::plan([Task::new("a").writes("a.txt").proof("grep -q new a.txt")])
        .worker("a", [append("a.txt", "new\n")])
        .reviewed()
}

/// What goes, as the program tells it to machines: the mission, why, and its bytes.
fn told(world: &World, words: &[&str]) -> Vec<(String, String, u64)> {
    let words: Vec<&str> = ["clean", "--json"].iter().chain(words).copied().collect();
    let ran = world.run(&words).ends(0, &[]);
    let line = |line: &str| {
        let told: Value = serde_json::from_str(line).expect(line);
        let text = |key: &str| told[key].as_str().expect(line).to_owned();
        (
            text("mission"),
            text("why"),
            told["bytes"].as_u64().expect(line),
        )
    };
    ran.out.lines().map(line).collect()
}

fn there(world: &World) -> Vec<String> {
    let missions = std::fs::read_dir(world.state().join("missions"));
    let name = |entry: std::fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.split('-').next().map(str::to_owned)
    };
    let mut there: Vec<String> = missions.unwrap().flatten().filter_map(name).collect();
    there.sort();
    there
}

#[test]
fn a_dry_run_says_what_goes_and_why_and_a_run_removes_just_that() {
    let world = project();
    for deliver in ["worktree", "none", "worktree"] {
        world.task(&script(), &["--deliver", deliver]).ends(0, &[]);
    }
    let said = world.run(&["clean"]).ends(0, &["nothing goes"]);
    assert!(said.out.is_empty(), "they ended just now: {}", said.out);
    let all = told(&world, &["--keep", "0B", "--dry-run"]);
    let names = |all: &[(String, String, u64)]| -> Vec<String> {
        let told = all.iter().map(|(id, why, _)| format!("{id} {why}"));
        told.collect()
    };
    // The result of the second lies nowhere else.
    assert_eq!(names(&all), ["m1 room", "m3 room"]);
    world
        .run(&["clean", "--older-than", "0d"])
        .ends(0, &["m2 is kept: its result was not delivered"]);
    assert_eq!(there(&world), ["m2"]);
    world
        .run(&["clean", "--dry-run", "m2"])
        .ends(0, &["m2: would remove", "(named)"]);
    assert_eq!(there(&world), ["m2"]);
    world.run(&["clean", "m2"]).ends(0, &["m2: removed"]);
    assert_eq!(there(&world), Vec::<String>::new());
    world
        .run(&["retry", "T1", "--mission", "m1"])
        .ends(1, &["was removed"]);
    assert_eq!(world.state_of("m1"), "completed", "it did not begin anew");
    for id in ["m1", "m2", "m3"] {
        world.run(&["verify", id]).ends(0, &["every link holds"]);
    }
}

#[test]
fn the_oldest_goes_until_there_is_room_and_what_runs_stays() {
    let world = project();
    for _ in 0..2 {
        world.task(&script(), &[]).ends(0, &[]);
    }
    let sizes = told(&world, &["--older-than", "0d", "--dry-run"]);
    let room = format!("{}B", sizes[1].2);
    let would = told(&world, &["--keep", &room, "--dry-run"]);
    assert_eq!(there(&world), ["m1", "m2"], "a dry run removes nothing");
    assert_eq!(would, [("m1".to_owned(), "room".to_owned(), sizes[0].2)]);
    assert_eq!(told(&world, &["--keep", &room]), would);
    assert_eq!(there(&world), ["m2"]);
    let meeting = world.meeting();
    let steps = [write("begun.txt", "half\n"), run(&meeting.line())];
    let task = Task::new("a").proof("test -f begun.txt");
    let running = world.start_task(&Script::plan([task]).hangs("a", steps), &[]);
    meeting.come();
    let all = ["clean", "--older-than", "0d", "--keep", "0B"];
    world.run(&all).ends(0, &["m2: removed", "more than 0 B"]);
    assert_eq!(there(&world), ["m3"], "it runs");
    world.run(&["cancel", "m3"]).ends(0, &[]);
    running.ended();
    // Its unmerged work is kept as long as it is not old, however little room there is.
    assert_eq!(told(&world, &["--keep", "0B"]), []);
    assert_eq!(told(&world, &["--older-than", "0d"]), []);
    let last = told(&world, &["--older-than", "0d", "--keep", "0B"]);
    assert_eq!(
        (last[0].0.as_str(), last[0].1.as_str()),
        ("m3", "room_with_unmerged_work")
    );
}

#[test]
fn a_ref_that_cannot_be_removed_is_removed_by_the_next_clean() {
    let world = project();
    world.task(&script(), &[]).ends(0, &[]);
    let refs = world.project().join(".git/refs/orchestrator");
    let pinned = || {
        let names = std::fs::read_dir(&refs).into_iter().flatten().flatten();
        names.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let [pin] = &pinned()[..] else {
        panic!("{:?}", pinned())
    };
    // As while somebody packs the refs of a large repository.
    let lock = world.project().join(".git/packed-refs.lock");
    std::fs::write(&lock, "").unwrap();
    let said = world.run(&["clean", "m1"]);
    said.ends(0, &["m1: removed", "stays in", "tries again"]);
    assert!(pin.exists());
    std::fs::remove_file(&lock).unwrap();
    world.run(&["clean"]).ends(0, &["m1: removed"]);
    assert!(!pin.exists());
    assert_eq!(there(&world), Vec::<String>::new());
}
