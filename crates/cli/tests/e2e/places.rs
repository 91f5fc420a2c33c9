//! Places that no mission can begin in, and files that are none: said at once, and nothing is begun.

use super::commands::script;
use super::{project, world};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use testkit::world::{Ran, World};

#[track_caller]
fn ends(mut command: Command, code: i32, saying: &[&str]) {
    let ended = command.output().unwrap();
    let ran = Ran {
        code: ended.status.code(),
        signal: None,
        out: String::from_utf8_lossy(&ended.stdout).into_owned(),
        err: String::from_utf8_lossy(&ended.stderr).into_owned(),
    };
    ran.ends(code, saying);
}

#[test]
fn nobodys_home_and_not_the_whole_disk_are_taken_for_a_project() {
    let world = project();
    let agent = world.agent(&script());
    let home = world.home();
    let above = home.parent().unwrap();
    for folder in [home.as_path(), above, std::path::Path::new("/")] {
        for words in [&["task", "x", &agent][..], &["checks", "--no-run"]] {
            let mut command = world.command(words);
            command.arg("-C").arg(folder);
            ends(
                command,
                1,
                &["error[ORC007]", "is no project", "-C", "git init"],
            );
        }
    }
    assert!(!world.state().join("missions").exists());
    // Who has made a repository of it means it.
    world.git_in(&home, &["init", "-q"]);
    let mut command = world.command(&["checks", "--no-run", "-C"]);
    command.arg(&home);
    ends(command, 0, &["no checks were found"]);
}

#[test]
fn a_folder_whose_name_no_journal_can_keep_is_refused_and_such_files_are_not() {
    let world = world().file("a.txt", "old\n");
    let name = OsStr::from_bytes(b"b\xe9te");
    std::fs::write(world.project().join(name), "x").unwrap();
    let world = world.committed();
    world.task(&script(), &[]).ends(0, &["m1 completed"]);
    let odd = world.beside("x").with_file_name(name);
    std::fs::rename(world.project(), &odd).unwrap();
    let agent = world.agent(&script());
    let mut command = world.command(&["task", "x", &agent, "-C"]);
    command.arg(&odd).current_dir(world.home());
    ends(
        command,
        1,
        &["error[ORC007]", "is not UTF-8", "rename the folder"],
    );
    let mut list = world.command(&["list"]);
    let listed = list.current_dir(world.home()).output().unwrap();
    assert!(!String::from_utf8_lossy(&listed.stdout).contains("m2"));
}

#[test]
fn a_project_whose_path_a_shell_would_obey_goes_the_whole_way_and_nothing_of_it_is_run() {
    let world = project();
    let name = "-rf; touch canary $(touch canary) `touch canary` \"q\" 'p'\n%s\\ * \u{1b}]0;t\u{7}";
    let odd = world.beside(name);
    std::fs::rename(world.project(), &odd).unwrap();
    let agent = world.agent(&script());
    let run = |words: &[&str], saying: &[&str]| {
        let mut command = world.command(words);
        ends(
            {
                command.current_dir(&odd);
                command
            },
            0,
            saying,
        );
    };
    run(&["checks"], &["make test"]);
    run(
        &["task", "x", &agent],
        &["m1 completed", "delivered as worktree"],
    );
    let has = || std::fs::read_to_string(odd.join("a.txt")).unwrap();
    assert_eq!(has(), "new\n");
    run(&["undo", "m1"], &[]);
    assert_eq!(has(), "old\n");
    run(&["deliver", "m1", "--as", "branch"], &["orchestrator/m1"]);
    run(&["verify", "m1"], &["every link holds"]);
    run(&["clean", "m1"], &["removed"]);
    let mut places = vec![odd.parent().unwrap().to_owned()];
    while let Some(place) = places.pop() {
        for entry in std::fs::read_dir(place).unwrap().flatten() {
            assert_ne!(entry.file_name(), "canary", "{entry:?}");
            let is_folder = entry.file_type().unwrap().is_dir();
            places.extend(is_folder.then(|| entry.path()));
        }
    }
}

fn configuration(world: &World) -> std::path::PathBuf {
    let place = world.home().join(".config/opencode-orchestrator");
    std::fs::create_dir_all(&place).unwrap();
    place.join("config.toml")
}

#[test]
fn a_configuration_that_is_no_text_in_a_file_is_named_and_never_waited_for() {
    let world = project();
    let agent = world.agent(&script());
    let file = configuration(&world);
    let refused = |why: &str| {
        let words = ["task", "x", &agent];
        world
            .run(&words)
            .ends(1, &["error[ORC011]", "config.toml", why]);
    };
    let made = Command::new("mkfifo").arg(&file).status();
    assert!(made.unwrap().success());
    refused("it is not a file");
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    refused("name a file, not a folder");
    std::fs::remove_dir(&file).unwrap();
    std::fs::write(&file, [0xff]).unwrap();
    refused("text in UTF-8");
}

#[test]
fn a_folder_of_sockets_that_is_open_to_others_is_named_before_a_mission_is_begun() {
    let world = project();
    world.run(&["list"]).ends(0, &[]);
    let doors = world.state().join("run");
    std::fs::create_dir(&doors).unwrap();
    std::fs::set_permissions(&doors, std::fs::Permissions::from_mode(0o755)).unwrap();
    world
        .task(&script(), &[])
        .ends(1, &["error[ORC012]", "run `chmod 700` on it"]);
    world.run(&["list"]).ends(0, &["there is no mission yet"]);
    std::fs::set_permissions(&doors, std::fs::Permissions::from_mode(0o700)).unwrap();
    world.task(&script(), &[]).ends(0, &["m1 completed"]);
}

#[test]
fn what_is_done_to_a_mission_of_another_folder_names_it() {
    let world = project();
    world.task(&script(), &[]).ends(0, &["m1 completed"]);
    let (home, files) = (world.home(), world.files());
    let elsewhere = |words: &[&str]| {
        let mut command = world.command(words);
        command.current_dir(&home);
        command
    };
    let project = world.project().display().to_string();
    let told = ["error[ORC004]", "no mission of this folder", &project, "m1"];
    for words in [
        &["undo"][..],
        &["deliver"],
        &["resume"],
        &["cancel"],
        &["abort"],
        &["pause"],
        &["steer", "x"],
        &["retry", "T1"],
        &["skip", "T1", "--reason", "x"],
        &["plan", "edit", "--file", "plan.toml"],
        &["todo", "--propose", "--text", "x"],
    ] {
        ends(elsewhere(words), 2, &told);
    }
    assert_eq!(world.files(), files);
    // To look at it does no harm.
    ends(elsewhere(&["status"]), 0, &["m1"]);
    ends(elsewhere(&["undo", "m1"]), 0, &["taken back"]);
}
