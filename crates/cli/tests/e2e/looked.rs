//! A look at a project's checks runs what it says and leaves nothing behind.

use std::os::unix::fs::PermissionsExt as _;
use testkit::world::{Running, Script, World};

/// A project with a lock file, and an `npm` that tells of every call.
fn world() -> World {
    let world = super::world()
        .file(
            "package.json",
            r#"{ "name": "p", "version": "1.0.0", "scripts": { "test": "true" }, "dependencies": { "a": "1.0.0" } }"#,
        )
        .file(
            "package-lock.json",
            r#"{ "name": "p", "lockfileVersion": 3 }"#,
        )
        .committed();
    let bin = world.beside("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let calls = world.beside("calls");
    let npm = format!("#!/bin/sh\necho \"$*\" >>'{}'\n", calls.display());
    std::fs::write(bin.join("npm"), npm).unwrap();
    std::fs::set_permissions(bin.join("npm"), std::fs::Permissions::from_mode(0o755)).unwrap();
    world
}

fn look(world: &World, words: &[&str]) -> String {
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", world.beside("bin").display());
    let output = world.command(words).env("PATH", path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(
        !world
            .state()
            .join("surveys")
            .read_dir()
            .unwrap()
            .any(|_| true)
    );
    said
}

#[test]
fn a_look_without_a_run_starts_nothing_of_the_project_not_even_its_set_up() {
    let world = world();
    let said = look(&world, &["checks", "--no-run"]);
    assert!(
        said.contains("npm-test") && said.contains("not run"),
        "{said}"
    );
    assert!(!world.beside("calls").exists());
    look(&world, &["checks"]);
    let calls = std::fs::read_to_string(world.beside("calls")).unwrap();
    assert!(calls.contains("ci ") && calls.contains("test"), "{calls}");
}

#[test]
fn a_list_says_how_missions_stand_also_when_all_that_is_derived_was_dropped() {
    let world = super::project();
    world.task(&Script::answer("It is."), &[]).ends(0, &[]);
    let list = world.run(&["list"]).ends(0, &["answered"]);
    let store = journal::Sqlite::open(&world.state()).unwrap();
    journal::Journal::rebuild(&store).unwrap();
    drop(store);
    assert_eq!(world.run(&["list"]).ends(0, &[]).out, list.out);
}

#[test]
fn a_look_that_is_stopped_says_so_by_its_code_and_leaves_nothing_behind() {
    let world = world();
    let meeting = world.meeting();
    let npm = format!("#!/bin/sh\n{}\nexec sleep 1000\n", meeting.line());
    std::fs::write(world.beside("bin/npm"), npm).unwrap();
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", world.beside("bin").display());
    let mut command = world.command(&["checks"]);
    command.env("PATH", path);
    let mut running = Running::new(command);
    running.says("set-up and each of its checks run once");
    meeting.come();
    running.signal(rustix::process::Signal::INT);
    running
        .ended()
        .ends(130, &["interrupted; nothing was changed"]);
    let left = world.state().join("surveys").read_dir().unwrap().count();
    assert_eq!(left, 0, "the folder of the look is gone");
    world.all_gone();
}
