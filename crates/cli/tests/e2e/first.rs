//! First use: what stands on the screen before anything is spent, and what is said where something is missing.

use super::commands::script;
use super::project;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use testkit::world::{Ran, Running, Script, Task, World, run, write};

/// A folder with programs of a test's own, and nothing else but git.
fn bin(world: &World, programs: &[(&str, &str)], git: bool) -> PathBuf {
    let bin = world.beside("bin");
    std::fs::create_dir_all(&bin).unwrap();
    if git {
        let path = std::env::var_os("PATH").unwrap();
        let found = std::env::split_paths(&path).map(|folder| folder.join("git"));
        let found = found.into_iter().find(|git| git.is_file()).unwrap();
        symlink(found, bin.join("git")).unwrap();
    }
    for (name, text) in programs {
        std::fs::write(bin.join(name), text).unwrap();
        std::fs::set_permissions(bin.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    bin
}

fn with_path(world: &World, path: &PathBuf, words: &[&str]) -> Ran {
    let output = world.command(words).env("PATH", path).output().unwrap();
    Ran {
        code: output.status.code(),
        signal: None,
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[test]
fn what_is_known_at_once_is_said_while_a_host_that_never_answers_is_started() {
    let world = project();
    let silent = [("opencode", "#!/bin/sh\nexec sleep 1000\n")];
    let bin = bin(&world, &silent, false);
    let path = std::env::var("PATH").unwrap();
    let mut command = world.command(&["task", "Add a health check"]);
    command.env("PATH", format!("{}:{path}", bin.display()));
    let mut running = Running::new(command);
    for line in [
        "request Add a health check",
        "folder  ",
        "limits  3 workers",
        "agent   starting OpenCode…",
    ] {
        running.says(line);
    }
    running.kill();
    assert!(
        !world.state().join("missions").exists(),
        "nothing was created"
    );
    world.all_gone();
}

#[test]
fn what_is_missing_is_named_with_what_to_type_and_nothing_is_created() {
    let world = project();
    let only_git = bin(&world, &[], true);
    let ran = with_path(&world, &only_git, &["task", "x"]);
    ran.ends(
        1,
        &[
            "error[ORC008]",
            "there is no program `opencode`",
            "hint: npm install -g opencode-ai",
        ],
    );
    let nothing = world.beside("empty");
    std::fs::create_dir(&nothing).unwrap();
    let agent = world.agent(&script());
    for words in [&["task", "x", &agent][..], &["checks"], &["demo"]] {
        let ran = with_path(&world, &nothing, words);
        ran.ends(1, &["error[ORC002]", "git is not installed", "hint: "]);
    }
    assert!(!world.state().exists());
}

#[test]
fn a_folder_that_no_mission_can_start_from_is_told_as_what_it_is() {
    let world = project();
    let agent = world.agent(&script());
    world.git(&[
        "init",
        "-q",
        "--bare",
        world.beside("bare").to_str().unwrap(),
    ]);
    let bare = world.beside("bare").display().to_string();
    let inside = world.project().join(".git").display().to_string();
    for (folder, why) in [(&bare, "bare"), (&inside, ".git")] {
        for words in [
            &["checks", "-C", folder][..],
            &["task", "x", "-C", folder, &agent],
        ] {
            let ran = world.run(words).ends(1, &["error[ORC007]", "hint: "]);
            let told = ran
                .err
                .lines()
                .find(|line| line.contains("ORC007"))
                .unwrap();
            assert!(
                told.contains(why) && !told.contains("os error"),
                "{words:?}: {told}"
            );
        }
    }
    assert!(!world.state().join("missions").exists());
}

#[test]
fn a_state_directory_is_for_its_owner_alone_whoever_makes_it_and_an_approval_waits_for_an_agent() {
    let world = project().file("opencode.json", "{}");
    let agent = world.agent(&script());
    let wrong = world
        .run(&["task", "x", &agent, "--trust", "00"])
        .ends(2, &["error[ORC001]"]);
    let digest = wrong
        .err
        .lines()
        .find_map(|line| line.split("for agents is ").nth(1))
        .unwrap();
    let only_git = bin(&world, &[], true);
    with_path(&world, &only_git, &["task", "x", "--trust", digest]).ends(1, &["error[ORC008]"]);
    assert!(!world.state().exists(), "nothing was created, as it says");
    world
        .run(&["task", "x", &agent, "--trust", digest])
        .ends(0, &["m1 completed"]);
    let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(world.state()), 0o700);
    assert_eq!(mode(world.state().join("trust")), 0o700);
    assert!(world.state().join("trust").join(digest).exists());
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(world.state(), open).unwrap();
    world.run(&["list"]).ends(0, &[]);
    assert_eq!(mode(world.state()), 0o700, "it is closed again");
}

#[test]
fn a_state_directory_with_too_long_a_path_is_refused_before_anything_is_made() {
    let world = project();
    let agent = world.agent(&script());
    let long = world.beside(&"x".repeat(100));
    let mut command = world.command(&["task", "x", &agent]);
    let ran = command
        .env("ORCHESTRATOR_STATE_DIR", &long)
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{err}");
    assert!(
        err.contains("error[ORC012]") && err.contains("hint: "),
        "{err}"
    );
    assert!(!long.exists());
}

#[test]
fn a_configuration_file_that_is_named_has_to_be_there() {
    let world = project();
    let agent = world.agent(&script());
    let mut command = world.command(&["task", "x", &agent]);
    let ran = command
        .env("ORCHESTRATOR_CONFIG", "/nowhere/config.toml")
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(2), "{err}");
    assert!(
        err.contains("error[ORC013]") && err.contains("/nowhere/config.toml"),
        "{err}"
    );
}

#[test]
fn what_waits_is_told_while_it_runs_and_what_goes_on_when_it_is_resumed() {
    let world = project();
    let meeting = world.meeting();
    let task = Task::new("a").title("Change a").proof("grep -q new a.txt");
    let hanging = Script::small(task).hangs("a", [run(&meeting.line())]);
    let running = world.start_task(&hanging, &[]);
    meeting.come();
    let status = world.status("m1");
    assert_eq!(status["waits"][0]["who"], "worker 1 T1.1");
    assert!(status["waits"][0]["until"].as_u64() > Some(0), "{status}");
    let told = world.run(&["status"]).ends(
        0,
        &["worker 1 T1.1  its agent", "at most", "heard for 5 min 0 s"],
    );
    let task = told
        .out
        .lines()
        .find(|line| line.starts_with("T1 "))
        .unwrap();
    assert!(
        task.contains("working") && !task.contains("claimed"),
        "{task}"
    );
    let list = world.run(&["list"]).ends(0, &["running"]);
    assert!(!list.out.contains("stopped"), "{}", list.out);
    running.kill();
    world.run(&["list"]).ends(0, &["stopped"]);
    let status = world.run(&["status"]).ends(
        0,
        &[
            "m1 stopped",
            "nobody runs it; go on with: orchestrator resume m1",
        ],
    );
    assert!(!status.out.contains("its agent"), "{}", status.out);
    let mut again = world.start(&["resume"]);
    for line in [
        "request Do what the script says",
        "agent   scripted, no model",
        "mission m1",
        "goes on T1.1",
    ] {
        again.says(line);
    }
    again.kill();
    world.all_gone();
}

#[test]
fn an_interrupt_that_is_sent_twice_at_once_winds_down_as_one_does_and_says_how_to_go_on() {
    let world = project();
    let meeting = world.meeting();
    let task = Task::new("a").title("Change a").proof("grep -q new a.txt");
    let hanging = Script::small(task).hangs("a", [run(&meeting.line())]);
    let running = world.start_task(&hanging, &[]);
    meeting.come();
    running.signal(rustix::process::Signal::INT);
    running.signal(rustix::process::Signal::TERM);
    let ran = running.ended().ends(130, &["orchestrator resume m1"]);
    assert!(
        ran.err.contains("interrupted; nothing is lost"),
        "{}",
        ran.err
    );
    world.all_gone();
}

#[test]
fn a_plan_says_what_holds_it_up_and_what_workers_gain() {
    let task = |id: &str| Task::new(id).writes(id).proof(&format!("test -e {id}"));
    let ends = |plan: Vec<Task>, saying: &[&str]| {
        let world = project();
        let names = ["a", "b", "c"];
        let script = names.iter().fold(Script::plan(plan), |script, id| {
            script.worker(id, [write(id, "")])
        });
        let ran = world.task(&script, &["--reviews", "0"]);
        ran.ends(0, saying);
        world.run(&["status"]).ends(0, saying);
    };
    let chain = vec![task("a"), task("b").needs("a"), task("c").needs("b")];
    ends(
        chain,
        &[
            "critical path T1 → T2 → T3: about ",
            "by 3 finished attempts; as it came T1 → T2 → T3: ",
            "one Worker of 3, because of what needs what\n",
        ],
    );
    let wide = vec![task("a"), task("b"), task("c")];
    ends(
        wide,
        &["3 Workers: predicted 3.0 times as fast as one; as it came "],
    );
}
