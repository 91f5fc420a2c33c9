//! What a killed program leaves half-done is finished by whichever command comes next.

use crate::project;
use testkit::world::{Ran, Running, Script, Task, World, append, write};

fn script() -> Script {
    let task = Task::new("a")
        .writes("a.txt")
        .writes("b.txt")
        .proof("test -f b.txt");
    Script::plan([task])
        .worker("a", [append("a.txt", "new\n"), write("b.txt", "new\n")])
        .reviewed()
}

fn dies(world: &World, point: &str, words: &[&str]) -> Ran {
    let mut command = world.command(words);
    command.env("ORCHESTRATOR_FAULT", point);
    let ran = Running::new(command).ended();
    assert_eq!(
        ran.signal,
        Some(9),
        "{point} is not reached: {}",
        ran.said()
    );
    ran
}

/// A world in which the program died at a point of its first mission.
fn died_at(point: &str) -> World {
    let world = project();
    let agent = world.agent(&script());
    dies(&world, point, &["task", "x", &agent]);
    world
}

#[test]
fn a_mission_that_was_only_just_opened_goes_on_with_the_agent_that_it_was_begun_with() {
    let world = died_at("open.after@1");
    world
        .run(&["resume", "m1"])
        .ends(0, &["m1 completed", "delivered as worktree"]);
}

#[test]
fn half_of_a_delivery_is_looked_at_by_nobody_until_it_is_finished() {
    let world = died_at("deliver.file after@1");
    let looked = world.run(&["checks"]);
    looked.ends(1, &["m1 broke off", "orchestrator resume m1"]);
    world
        .run(&["resume", "m1"])
        .ends(0, &["delivered as worktree"]);
    world.run(&["checks"]).ends(0, &[]);
}

#[test]
fn a_delivery_cut_short_is_finished_by_resume() {
    for point in [
        "deliver.plan listed@1",
        "deliver.file after@1",
        "deliver.after@1",
    ] {
        let world = died_at(point);
        world
            .run(&["resume", "m1"])
            .ends(0, &["delivered as worktree"]);
        assert_eq!(
            (world.read("a.txt"), world.read("b.txt")),
            ("old\nnew\n".into(), "new\n".into())
        );
        world
            .run(&["resume", "m1"])
            .ends(1, &["every task has landed"]);
    }
}

#[test]
fn a_landing_that_only_has_to_be_moved_is_moved_when_its_mission_is_cancelled() {
    for point in ["move.before@1", "move.after@1"] {
        let world = died_at(point);
        world.run(&["cancel", "m1"]).ends(0, &["m1 is cancelled"]);
        let list = world.run(&["list"]);
        list.ends(0, &["cancelled"]);
        let log = world.run(&["log", "m1"]);
        log.ends(0, &["landed", "sealed: cancelled", "cleaned"]);
        assert_eq!(world.read("a.txt"), "old\n", "{point}");
    }
}

#[test]
fn a_delivery_cut_short_is_finished_before_it_is_taken_back() {
    let world = died_at("deliver.file after@1");
    world
        .run(&["undo", "m1"])
        .ends(0, &["the delivery was undone"]);
    assert_eq!(
        (world.read("a.txt"), world.read("b.txt")),
        ("old\n".into(), String::new())
    );
}

#[test]
fn an_undo_cut_short_is_finished_by_the_next_command() {
    for point in ["undo.before@1", "undo.file removed@1", "undo.after@1"] {
        let world = project();
        world.task(&script(), &[]).ends(0, &[]);
        dies(&world, point, &["undo", "m1"]);
        world
            .run(&["resume", "m1"])
            .ends(0, &["the delivery was undone"]);
        assert_eq!(
            (world.read("a.txt"), world.read("b.txt")),
            ("old\n".into(), String::new()),
            "{point}"
        );
    }
}

#[test]
fn a_commit_cut_short_is_finished_and_leaves_no_lock() {
    for point in [
        "deliver.commit locked@1",
        "deliver.commit sent@1",
        "deliver.commit applied@1",
        "deliver.commit moved@1",
    ] {
        let world = project();
        let agent = world.agent(&script());
        dies(&world, point, &["task", "x", &agent, "--deliver", "commit"]);
        world
            .run(&["resume", "m1"])
            .ends(0, &["delivered as commit"]);
        assert_eq!(world.git(&["status", "--porcelain"]), "", "{point}");
        assert_eq!(world.git(&["rev-list", "--count", "main"]), "2", "{point}");
        assert_eq!(world.read("b.txt"), "new\n", "{point}");
        assert!(!world.git_state().contains_key("index.lock"), "{point}");
    }
}

#[test]
fn a_commit_that_breaks_off_leaves_nothing_changed_and_can_be_delivered_later() {
    let world = project();
    let lock = world.project().join(".git/refs/heads/main.lock");
    std::fs::write(&lock, "").unwrap();
    world
        .task(&script(), &["--deliver", "commit"])
        .ends(8, &["not delivered, nothing was written"]);
    assert_eq!(world.git(&["status", "--porcelain"]), "");
    std::fs::remove_file(&lock).unwrap();
    world
        .run(&["deliver", "m1", "--as", "commit"])
        .ends(0, &["a commit on your branch"]);
    assert_eq!(world.git(&["rev-list", "--count", "main"]), "2");
    world
        .run(&["undo", "m1"])
        .ends(0, &["the delivery was undone"]);
    assert_eq!(world.git(&["rev-list", "--count", "main"]), "1");
    assert_eq!(world.git(&["status", "--porcelain"]), "");
}

#[test]
fn a_kill_before_the_lock_is_in_place_leaves_the_users_git_free() {
    let world = project();
    let agent = world.agent(&script());
    let words = ["task", "x", &agent, "--deliver", "commit"];
    dies(&world, "deliver.commit marked@1", &words);
    world.git(&["add", "-A"]);
    assert_eq!(world.git(&["status", "--porcelain"]), "");
    world
        .run(&["resume", "m1"])
        .ends(0, &["delivered as commit"]);
    assert!(
        !world
            .project()
            .join(".git/index.orchestrator-lock")
            .exists()
    );
}

#[test]
fn a_commit_that_was_done_before_the_kill_is_the_users_whatever_they_do_then() {
    let world = project();
    let agent = world.agent(&script());
    let words = ["task", "x", &agent, "--deliver", "commit"];
    dies(&world, "deliver.after@1", &words);
    world.git(&["switch", "-q", "-c", "mine"]);
    world
        .run(&["resume", "m1"])
        .ends(0, &["delivered as commit"]);
    assert_eq!(world.git(&["status", "--porcelain"]), "");
    assert_eq!(world.read("b.txt"), "new\n");
}

#[test]
fn a_clean_cut_short_is_finished_by_the_next_one() {
    for point in ["clean.moved@1", "clean.unpinned@1", "unpin.after@1"] {
        let world = project();
        world.task(&script(), &[]).ends(0, &[]);
        dies(&world, point, &["clean", "m1"]);
        world.run(&["clean"]).ends(0, &["m1: removed"]);
        assert_eq!(
            world.git(&["for-each-ref", "refs/orchestrator"]),
            "",
            "{point}"
        );
        let left = std::fs::read_dir(world.state().join("missions")).unwrap();
        assert_eq!(left.count(), 0, "{point}");
        world.run(&["verify", "m1"]).ends(0, &["every link holds"]);
    }
}

#[test]
fn a_look_at_the_checks_leaves_no_ref_although_it_is_killed() {
    let world = project();
    dies(&world, "prepare.line@1", &["checks"]);
    assert_eq!(world.git(&["for-each-ref", "refs/orchestrator"]), "");
    world.run(&["checks", "--no-run"]).ends(0, &[]);
    assert_eq!(world.git(&["for-each-ref", "refs/orchestrator"]), "");
}

#[test]
fn a_mission_that_cannot_be_removed_keeps_no_other_from_it() {
    let world = project();
    for name in ["m1", "m2"] {
        world
            .task(&script(), &["--deliver", "none"])
            .ends(0, &[name]);
    }
    let missions = world.state().join("missions");
    let folders = || -> Vec<String> {
        let entries = std::fs::read_dir(&missions).unwrap().flatten();
        let mut names: Vec<String> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    let first = folders()[0].clone();
    // Something stands where it is moved to on its way out.
    let in_the_way = missions.join(format!("{first}.gone/something"));
    std::fs::create_dir_all(&in_the_way).unwrap();
    let ran = world
        .run(&["clean", "m1", "m2"])
        .ends(1, &["error[ORC011]", "m2: removed"]);
    assert!(ran.said().contains(&first), "{}", ran.said());
    assert_eq!(folders(), [first.clone(), format!("{first}.gone")]);
    std::fs::remove_dir_all(in_the_way.parent().unwrap()).unwrap();
    world.run(&["clean", "m1"]).ends(0, &["m1: removed"]);
}
