//! A person takes what of a plan has not begun into an editor, or hands it in from a file.

use super::project;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use testkit::terminal::Terminal;
use testkit::world::{Meeting, Ran, Running, Script, Task, World, run, write};

fn task(id: &str) -> Task {
    Task::new(id).writes(id).proof(&format!("test -f {id}"))
}

/// A mission whose first task is being worked on; two more have not begun.
fn begun(world: &World) -> (Running, Meeting) {
    let meeting = world.meeting();
    let tasks = [
        task("one"),
        task("two").needs("one"),
        task("three").needs("two"),
    ];
    let script = Script::plan(tasks)
        .worker("one", [run(&meeting.line()), write("one", "")])
        .worker("two", [write("zwei", "")])
        .worker("three", [write("three", "")])
        .worker("four", [write("four", "")]);
    let mut running = world.start_task(&script, &["--reviews", "0"]);
    running.says("T1.1 worker");
    (running, meeting)
}

fn version(world: &World) -> u64 {
    let json = world.run(&["plan", "--json"]).ends(0, &[]);
    let plan: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    plan["version"].as_u64().unwrap()
}

/// What is seen of `plan edit` in a terminal, with this editor.
fn edits(world: &World, editor: &str, code: i32, saying: &str) {
    let mut command = world.command(&["plan", "edit"]);
    command.env("EDITOR", editor).env("TMPDIR", papers(world));
    let mut terminal = Terminal::start(&command);
    terminal.sees(saying);
    assert_eq!(terminal.ends(), Some(code), "{}", terminal.seen);
}

/// Where edited texts lie; made on first use.
fn papers(world: &World) -> PathBuf {
    let papers = world.beside("papers");
    fs::create_dir_all(&papers).unwrap();
    papers
}

fn kept(world: &World) -> Vec<PathBuf> {
    let found = fs::read_dir(papers(world)).unwrap();
    found.map(|entry| entry.unwrap().path()).collect()
}

fn hands_in(world: &World, file: &str, stdin: Option<&Path>) -> Ran {
    let mut command = world.command(&["plan", "edit", "m1", "--file", file]);
    command.env("TMPDIR", papers(world));
    if let Some(stdin) = stdin {
        command.stdin(File::open(stdin).unwrap());
    }
    Running::new(command).ended()
}

#[test]
fn a_plan_is_edited_in_the_editor_all_of_it_at_once() {
    let world = project();
    let (running, meeting) = begun(&world);
    let no_terminal = world.run(&["plan", "edit"]);
    no_terminal.ends(2, &["error[ORC001]", "no terminal", "--print"]);
    // An editor is a command with arguments, and one that changes nothing or fails changes nothing.
    edits(&world, "true", 0, "the plan of m1 is as it was");
    let fails = "sed -i -e 's/Do two/Do it all/' nowhere";
    edits(&world, fails, 1, "ended with exit status");
    assert_eq!((version(&world), kept(&world).len()), (1, 1));
    fs::remove_file(&kept(&world)[0]).unwrap();
    // One in a folder with a blank: the third goes, the second becomes another one, and a fourth needs it.
    let editor = world.beside("my editor");
    let script = "#!/bin/sh\n\
        test \"$1\" = --wait || exit 9\n\
        sed -e 's/test -f two/test -f zwei/' -e '/^id = \"T3\"/,$d' \"$2\" > \"$2.new\"\n\
        printf '%s\\n' 'id = \"four\"' 'title = \"Do four\"' 'needs = [\"T2\"]' 'proof = [\"test -f four\"]' >> \"$2.new\"\n\
        mv \"$2.new\" \"$2\"\n";
    fs::write(&editor, script).unwrap();
    let call = format!("sh '{}' --wait", editor.display());
    edits(&world, &call, 0, "the plan is version 2 now");
    assert_eq!(kept(&world), Vec::<PathBuf>::new());
    meeting.come();
    running.ended().ends(0, &["m1 completed"]);
    for (path, there) in [
        ("one", true),
        ("zwei", true),
        ("three", false),
        ("four", true),
    ] {
        assert_eq!(world.project().join(path).exists(), there, "{path}");
    }
    let changed = ["(version 2); new or changed: T2, T4; dropped: T3"];
    world.run(&["log"]).ends(0, &changed);
    let over = world.run(&["plan", "edit", "--file", "-"]);
    over.ends(1, &["error[ORC006]", "the mission is over"]);
}

#[test]
fn what_is_handed_in_from_a_file_is_checked_and_never_lost() {
    let world = project();
    let (running, meeting) = begun(&world);
    let printed = world
        .run(&["plan", "edit", "--print"])
        .ends(0, &["id = \"T3\""]);
    assert!(!printed.out.contains("id = \"T1\""), "{}", printed.out);
    let text = printed.out.replace("test -f two", "test -f zwei");
    let file = world.beside("plan.toml");
    let name = file.display().to_string();
    let put = |text: &str| fs::write(&file, text).unwrap();
    // What nobody can read is named with its line, and kept.
    let wrong = text.replace("priority = \"normal\"", "priority = \"soon\"");
    put(&wrong);
    let n = 1 + wrong
        .lines()
        .position(|line| line.contains("soon"))
        .unwrap();
    let at = format!("line {n} of the edited plan");
    let unusable = hands_in(&world, &name, None);
    unusable.ends(
        2,
        &["error[ORC001]", &at, "`soon`", &format!("--file {name}")],
    );
    hands_in(&world, "-", Some(&file)).ends(2, &["error[ORC001]", &at, "the edited text is in"]);
    let kept = kept(&world);
    assert_eq!(fs::read_to_string(&kept[0]).unwrap(), wrong);
    // The plan was changed meanwhile.
    let meanwhile = ["plan", "set", "T3", "--goal", "the other way"];
    world.run(&meanwhile).ends(0, &["version 2"]);
    put(&text);
    let late = ["error[ORC006]", "you saw version 1, it is version 2", &name];
    hands_in(&world, &name, None).ends(1, &late);
    // One that is refused is refused as a whole.
    let text = world.run(&["plan", "edit", "--print"]).out;
    let text = text.replace("test -f two", "test -f zwei");
    put(&text.replace("needs = [\"T1\"]", "needs = [\"T3\"]"));
    hands_in(&world, &name, None).ends(1, &["error[ORC006]", "in a circle", &name]);
    assert_eq!(version(&world), 2);
    put(&text);
    hands_in(&world, &name, None).ends(0, &["the plan is version 3 now"]);
    // Again: it is so already.
    hands_in(&world, &name, None).ends(0, &["as it was"]);
    // A task that went meanwhile is not taken for a misspelt one.
    world.run(&["plan", "drop", "T3"]).ends(0, &["version 4"]);
    let gone = ["T3 is no task of the plan any more: that is version 4, and this was taken from 2"];
    hands_in(&world, &name, None).ends(2, &gone);
    meeting.come();
    running.ended().ends(0, &["m1 completed"]);
    assert!(world.project().join("zwei").exists());
}

#[test]
fn a_change_that_makes_a_plan_dear_waits_for_a_word_where_nobody_is_there() {
    let world = project();
    let meeting = world.meeting();
    let script = Script::plan([task("one"), task("two").needs("one")])
        .worker("one", [run(&meeting.line()), write("one", "")])
        .worker("two", [write("two", "")])
        .worker("three", [write("three", "")])
        .reviewed();
    let mut running = world.start_task(&script, &["--ask-above", "500k"]);
    running.says("T1.1 worker");
    let add = ["plan", "add", "--id", "three", "--title", "Do three"];
    let add = [&add[..], &["--proof", "test -f three"]].concat();
    world.run(&add).ends(0, &["the plan is version 2 now"]);
    meeting.come();
    // What was worked on is handed in; its review would be a turn more.
    let told = ["orchestrator answer m1 q1 yes|no", "orchestrator resume m1"];
    let ran = running.ended().ends(7, &told);
    assert!(!ran.said().contains("T3.1"), "{}", ran.said());
    world.run(&["answer", "m1", "q1", "yes"]).ends(0, &[]);
    let ran = world.run(&["resume"]).ends(0, &["m1 completed"]);
    assert!(!ran.said().contains("T1.2"), "{}", ran.said());
}
