//! Every command from outside: how it ends, what is data and what is said beside it, and what machines get.

use super::project;
use serde_json::Value;
use std::fs::OpenOptions;
use std::process::Stdio;
use testkit::world::{Ran, Script, Task, World, run, write};

/// One task that changes one file.
pub(super) fn script() -> Script {
    let task = Task::new("a").title("Change a").writes("a.txt");
    Script::small(task.proof("grep -q new a.txt"))
        .worker("a", [write("a.txt", "new\n")])
        .reviewed()
}

/// A user whose first mission is completed and delivered.
fn completed() -> World {
    let world = project();
    world.task(&script(), &[]).ends(0, &["m1 completed"]);
    world
}

/// A command, how it ends, what its data has, and what is said beside it. An empty list is silence.
type Row = (
    &'static str,
    i32,
    &'static [&'static str],
    &'static [&'static str],
);

#[track_caller]
fn holds(world: &World, (words, code, out, err): Row) {
    let ran = world.run(&words.split(' ').collect::<Vec<_>>());
    assert_eq!(ran.code, Some(code), "{words}: {}", ran.said());
    for (stream, wanted, name) in [(&ran.out, out, "data"), (&ran.err, err, "else")] {
        let silent = wanted.is_empty() && !stream.trim().is_empty();
        assert!(!silent, "{words}: {name} is not silent: {stream}");
        for text in wanted {
            assert!(
                stream.contains(text),
                "{words}: {name} has no {text:?}: {stream}"
            );
        }
    }
    mends(words, &ran.err);
}

/// Whatever is wrong is said with what to do about it.
#[track_caller]
fn mends(words: &str, err: &str) {
    let said = err.split("error[").skip(1);
    for wrong in said {
        assert!(wrong.contains("\n  hint: "), "{words}: what now? {err}");
    }
}

const DONE: &[Row] = &[
    (
        "list",
        0,
        &[
            "mission  state",
            "m1",
            "completed",
            "just now",
            "Do what the script says",
        ],
        &[],
    ),
    (
        "show",
        0,
        &[
            "base ",
            "(main, 0 uncommitted files)",
            "check make-test",
            "proof: grep -q new",
        ],
        &[],
    ),
    (
        "summary",
        0,
        &[
            "proved by",
            "grep -q new a.txt: green on the result, red before",
            "look: orchestrator diff m1   undo: orchestrator undo m1",
        ],
        &[],
    ),
    ("status", 0, &["m1 completed", "T1", "time "], &[]),
    (
        "log",
        0,
        &[
            "    1 ",
            "make-test on your files as they were: green",
            "sealed: completed",
        ],
        &[],
    ),
    (
        "log --follow --from 3",
        0,
        &["    3 ", "sealed: completed"],
        &[],
    ),
    (
        "log --why",
        0,
        &[
            "what the checks say of the base is known",
            "T1.1 worker 1 starts: Change a\n                     T1 is of normal priority, and",
            "no other could start",
            "1 of 1 in the merge queue, at most 5 together",
            "the path that nothing shortened was T1, ",
        ],
        &[],
    ),
    ("log --why T1", 0, &["T1.1 worker 1 starts"], &[]),
    (
        "log --why T7",
        1,
        &[],
        &["error[ORC006]", "m1 never had a task T7", "hint: "],
    ),
    ("log --why m1", 2, &[], &["error[ORC001]", "as in `T3`"]),
    ("todo", 0, &["- [x] T1 Change a (landed)"], &[]),
    ("todo --tick T1", 0, &["written"], &[]),
    (
        "todo",
        0,
        &["T1 Change a (landed); ticked, which asks and proves nothing [v1]"],
        &[],
    ),
    (
        "todo --untick T1 --saw 0",
        1,
        &[],
        &["error[ORC006]", "you saw version 0, it has version 1"],
    ),
    ("todo --untick T1 --saw 1", 0, &["written"], &[]),
    ("todo --propose --text later", 0, &["written"], &[]),
    ("todo --note P1 --text soon", 0, &["written"], &[]),
    (
        "todo",
        0,
        &[
            "T1 Change a (landed) [v2]",
            "- [ ] P1 later (proposed); note: soon",
        ],
        &[],
    ),
    (
        "todo --tick T9",
        1,
        &[],
        &["error[ORC006]", "`orchestrator todo` shows its lines"],
    ),
    ("todo --tick t1", 2, &[], &["error[ORC001]", "hint: "]),
    (
        "answer m1 q1 yes",
        1,
        &[],
        &["error[ORC006]", "q1 is not open"],
    ),
    ("diff", 0, &["-old", "+new"], &[]),
    ("verify m1", 0, &["every link holds"], &[]),
    ("explain orc004", 0, &["# ORC004: "], &[]),
    ("clean m1 --dry-run", 0, &["m1: would remove "], &[]),
    (
        "undo",
        0,
        &["the delivery was taken back"],
        &["the delivery was undone"],
    ),
    ("undo", 1, &[], &["error[ORC006]"]),
    (
        "deliver --as branch",
        0,
        &["delivered as branch orchestrator/m1"],
        &["delivered"],
    ),
    ("clean m1", 0, &["m1: removed "], &[]),
    ("clean m1", 0, &[], &["m1 is removed already"]),
    ("diff", 1, &[], &["error[ORC006]", "hint: "]),
    ("list", 0, &["m1"], &[]),
];

#[test]
fn each_command_ends_with_its_code_and_keeps_its_data_apart_from_what_it_says() {
    let world = completed();
    for row in DONE {
        holds(&world, *row);
    }
    assert_eq!(world.git(&["show", "orchestrator/m1:a.txt"]), "new");
    let from = world.run(&["log", "--from", "3"]);
    assert!(!from.out.contains("    2 "), "{}", from.out);
}

const WRONG: &[Row] = &[
    ("list", 0, &[], &["there is no mission yet"]),
    ("status", 2, &[], &["error[ORC004]", "hint: "]),
    ("clean m99", 2, &[], &["error[ORC004]", "m99"]),
    ("show m99", 2, &[], &["error[ORC004]"]),
    ("explain ORC099", 2, &[], &["error[ORC001]"]),
    (
        "answer m1 x y",
        2,
        &[],
        &["error[ORC001]", "`x` is not a question"],
    ),
    ("deliver --as none", 2, &[], &["error[ORC001]", "worktree"]),
    ("todo --text x", 2, &[], &["error[ORC001]"]),
    ("todo --saw 3", 2, &[], &["error[ORC001]"]),
    (
        "task x --time 90",
        2,
        &[],
        &["error[ORC001]", "with a unit"],
    ),
    (
        "task x --workers 99",
        2,
        &[],
        &["error[ORC001]", "a whole number from 1 to 32"],
    ),
    (
        "task x --workers many",
        2,
        &[],
        &["error[ORC001]", "a whole number from 1 to 32"],
    ),
    (
        "task x --model large",
        2,
        &[],
        &["error[ORC001]", "provider/model"],
    ),
    (
        "task x --agent nobody",
        2,
        &[],
        &["error[ORC001]", "no agent `nobody`"],
    ),
    (
        "task x --agent scripted:",
        2,
        &[],
        &["error[ORC001]", "scripted:FILE"],
    ),
    (
        "task x --agent scripted:/nowhere/s.toml",
        1,
        &[],
        &["error[ORC011]", "hint: "],
    ),
    (
        "task --file /nowhere",
        1,
        &[],
        &["error[ORC011]", "/nowhere"],
    ),
    (
        "task x -C /dev/null",
        1,
        &[],
        &["error[ORC007]", "is not a folder"],
    ),
    ("task", 2, &[], &["error[ORC001]", "there is no request"]),
    ("nonsense", 2, &[], &["error[ORC001]"]),
];

#[test]
fn what_is_wrong_on_a_command_line_has_a_code_and_says_what_to_do() {
    let world = super::world();
    for row in WRONG {
        holds(&world, *row);
    }
}

/// A command, and keys that each line of its data has.
const MACHINES: [(&str, &[&str]); 13] = [
    (
        "list",
        &["mission", "state", "running", "project", "request"],
    ),
    (
        "status",
        &[
            "mission",
            "state",
            "owned",
            "tasks",
            "waits",
            "questions",
            "ms",
            "tokens",
        ],
    ),
    ("show", &["mission", "state", "base", "gates", "tasks"]),
    (
        "summary",
        &[
            "mission", "outcome", "reasons", "tasks", "changed", "delivery", "ms", "tokens",
        ],
    ),
    ("checks", &["base", "checks", "why", "notes"]),
    ("plan", &["version", "tasks"]),
    ("log", &["seq", "at", "event"]),
    ("log --why", &["seq", "at", "event", "why"]),
    ("todo", &["version", "lines"]),
    ("diff", &["mission", "base", "result", "diff"]),
    ("verify", &["mission", "events", "head", "intact"]),
    ("undo", &["mission", "state", "delivery"]),
    ("deliver", &["mission", "state", "delivery"]),
];

#[test]
fn what_machines_get_is_json_and_nothing_else() {
    let world = completed();
    for row in MACHINES {
        gives(&world, row);
    }
    let show: Value = json(&world.run(&["show", "--json"]));
    assert_eq!(show["tasks"][0]["proof"], "landed");
    assert_eq!(show["tasks"][0]["history"], Value::Array(Vec::new()));
    world.run(&["undo"]).ends(0, &[]);
    let cleaned = json(&world.run(&["clean", "m1", "--json"]));
    assert_eq!(cleaned["removed"], true);
    let task = world.task(&script(), &["--json"]).ends(0, &[]);
    let began: Value = serde_json::from_str(task.out.lines().next().unwrap()).unwrap();
    assert_eq!(began["mission"]["agent"], "scripted, no model");
    assert_eq!(began["mission"]["terms"]["workers"], 3);
}

/// Checks that a command gives machines lines of JSON, each with these keys, and nothing else.
#[track_caller]
fn gives(world: &World, (words, keys): (&str, &[&str])) {
    let all: Vec<&str> = words.split(' ').chain(["--json"]).collect();
    let ran = world.run(&all).ends(0, &[]);
    assert!(!ran.out.is_empty(), "{words} gives machines nothing");
    for line in ran.out.lines() {
        let told: Value = serde_json::from_str(line).expect(line);
        let missing: Vec<&&str> = keys
            .iter()
            .filter(|key| told.get(**key).is_none())
            .collect();
        assert!(missing.is_empty(), "{words} has no {missing:?}: {line}");
    }
}

/// What changes a mission that waits for a word, in this order, and what machines get of it.
const CHANGES: [(&str, &[&str]); 8] = [
    ("plan", &["version", "tasks"]),
    ("pause", CHANGED),
    ("answer m1 q1 yes", &["mission", "question", "answered"]),
    ("plan set T1 --goal shorter", CHANGED),
    ("prioritise T1 high", CHANGED),
    ("steer shorter", CHANGED),
    ("cancel", CHANGED),
    ("summary", &["mission", "outcome", "reasons"]),
];
const CHANGED: &[&str] = &["mission", "state", "delivery"];

#[test]
fn machines_get_json_of_what_they_change_too() {
    let world = project();
    let asks = ["orchestrator answer m1 q1 yes|no"];
    world.task(&script(), &["--approve"]).ends(7, &asks);
    for row in CHANGES {
        gives(&world, row);
    }
    assert_eq!(world.state_of("m1"), "cancelled");
}

#[track_caller]
fn json(ran: &Ran) -> Value {
    serde_json::from_str(ran.out.trim()).expect(&ran.out)
}

#[test]
fn output_that_could_not_be_written_is_no_success() {
    let world = completed();
    for words in [["list", "--json"], ["diff", "m1"], ["show", "m1"]] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let ran = world.command(&words).stdout(full).output().unwrap();
        let err = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(1), "{words:?}: {err}");
        assert!(err.contains("error[ORC011]"), "{words:?}: {err}");
    }
}

#[test]
fn each_way_to_end_has_a_code_of_its_own() {
    let two = || {
        let task = |id: &str| Task::new(id).writes(id).proof(&format!("test -f {id}"));
        Script::plan([task("good"), task("bad")])
            .worker("good", [write("good", "")])
            .worker("bad", [write("other", "")])
            .reviewed()
    };
    let once: &[&str] = &["--attempts", "1"];
    project()
        .task(&two(), once)
        .ends(4, &["m1 partial", "orchestrator diff m1"]);
    let bad = Task::new("a").writes("a.txt").proof("false");
    let failing = Script::small(bad)
        .worker("a", [write("a.txt", "x\n")])
        .reviewed();
    let failed = project().task(&failing, once).ends(1, &["m1 failed"]);
    assert!(
        !failed.out.contains("orchestrator diff"),
        "nothing landed: {}",
        failed.out
    );
    // Nothing is checked there, and the proof was green before: nobody has shown anything.
    let green = Script::small(Task::new("a").writes("a.txt").proof("test -f a.txt"));
    let green = green.worker("a", [write("a.txt", "new\n")]).reviewed();
    let world = super::world().file("a.txt", "old\n").committed();
    let unverified = [
        "m1 unverified",
        "nothing was delivered",
        "orchestrator deliver m1",
    ];
    world.task(&green, &[]).ends(3, &unverified);
    world.run(&["deliver"]).ends(0, &["delivered as worktree"]);
    assert_eq!(world.read("a.txt"), "new\n");
    let asked = Script::answer("42");
    project().task(&asked, &[]).ends(0, &["m1 answered", "42"]);
    project()
        .task(&script(), &["--approve"])
        .ends(7, &["orchestrator answer m1 q1 yes|no"]);
    project()
        .task(&script(), &["--approve", "--yes"])
        .ends(0, &["m1 completed"]);

    // Somebody changed the same line meanwhile: the work is done, and it could not be handed over.
    let world = project();
    let mine = format!("echo mine > {}/a.txt", world.project().display());
    let task = Task::new("a").writes("a.txt").proof("grep -q new a.txt");
    let clashing = Script::small(task)
        .worker("a", [write("a.txt", "new\n"), run(&mine)])
        .reviewed();
    world
        .task(&clashing, &[])
        .ends(8, &["m1 completed", "not delivered"]);
    assert_eq!(world.read("a.txt"), "mine\n");
}

#[test]
fn a_form_that_needs_git_is_refused_before_anything_is_begun_where_there_is_none() {
    let world = World::without_git(env!("CARGO_BIN_EXE_orchestrator")).file("a.txt", "old\n");
    for form in ["branch", "commit"] {
        let ran = world.task(&script(), &["--deliver", form]);
        let ran = ran.ends(
            2,
            &["error[ORC001]", "there is no git", "--deliver worktree"],
        );
        assert!(!ran.said().contains("mission m1"), "{}", ran.said());
    }
    assert!(!world.state().exists());
    world.task(&script(), &[]).ends(0, &["m1 completed"]);
}

#[test]
fn a_request_comes_from_where_it_is_said_to_and_limits_from_flags_and_environment() {
    let world = project();
    let agent = world.agent(&script());
    let agent = agent.trim_start_matches("--agent=");
    std::fs::write(world.beside("request.md"), "Change the file\n").unwrap();
    let file = world.beside("request.md").display().to_string();
    let project = world.project().display().to_string();
    let words = [
        "task",
        "-f",
        &file,
        "-C",
        &project,
        "--reviews",
        "0",
        "--attempts",
        "2",
    ];
    let more = [
        "--time",
        "90m",
        "--silence",
        "2m",
        "--plain",
        "--model",
        "a/b",
    ];
    let mut command = world.command(&[&words[..], &more[..]].concat());
    let command = command
        .env("ORCHESTRATOR_AGENT", agent)
        .env("ORCHESTRATOR_WORKERS", "2")
        .env("ORCHESTRATOR_TOKENS", "600k")
        .current_dir(world.home());
    let ran = command.output().unwrap();
    let err = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{err}");
    for line in [
        "request Change the file",
        &format!("folder  {project}"),
        "limits  2 workers, 2 attempts, 0 review rounds, 600000 tokens, 1 h 30 min\n",
        "silence 2 min 0 s without a sign of life end a turn\n",
        "agent   scripted, no model",
        "mission m1",
        "stop    Ctrl-C, or: orchestrator cancel m1",
        "accepted by policy: no reviews",
    ] {
        assert!(err.contains(line), "there is no {line:?}: {err}");
    }
    let mut command = world.command(&["task", "-", &format!("--agent={agent}")]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, b"Said on a pipe\n").unwrap();
    drop(stdin);
    let ran = child.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&ran.stderr).contains("request Said on a pipe"));
}

#[test]
fn a_shell_completes_the_commands_and_their_options() {
    let world = project();
    let script = world.run(&["completions", "bash"]).ends(0, &[]);
    world.write("completions", &script.out);
    let asked = |typed: &str| {
        let words: Vec<&str> = typed.split(' ').collect();
        let (last, before) = (words[words.len() - 1], words[words.len() - 2]);
        let ask = format!(
            "source ./completions; COMP_WORDS=({typed}); COMP_CWORD={}; \
             _orchestrator orchestrator '{last}' '{before}'; echo \"${{COMPREPLY[@]}}\"",
            words.len() - 1
        );
        let mut bash = std::process::Command::new("bash");
        let output = bash.args(["-c", &ask]).current_dir(world.project());
        let output = output.output().expect("bash runs");
        assert!(output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(asked("orchestrator pa"), "pause");
    assert_eq!(asked("orchestrator steer --ta"), "--task");
    for shell in ["zsh", "fish"] {
        world.run(&["completions", shell]).ends(0, &["steer"]);
    }
    world
        .run(&["completions", "cmd"])
        .ends(2, &["error[ORC001]", "possible values: bash"]);
}

#[test]
fn every_command_has_a_page_of_the_manual() {
    let world = project();
    let folder = world.beside("man/man1");
    let folder = folder.to_str().unwrap();
    world.run(&["man", folder]).ends(0, &["orchestrator.1"]);
    let help = world.run(&["--help"]).out;
    let commands = help.lines().filter_map(|line| {
        let name = line.strip_prefix("  ")?.split(' ').next()?;
        name.starts_with(|c: char| c.is_ascii_lowercase())
            .then_some(name)
    });
    let commands: Vec<&str> = commands.filter(|name| *name != "help").collect();
    assert!(commands.len() > 20, "{help}");
    for name in commands {
        let page = format!("{folder}/orchestrator-{name}.1");
        let page = std::fs::read_to_string(&page).unwrap_or_else(|error| panic!("{page}: {error}"));
        assert!(page.contains(".SH SYNOPSIS"), "{page}");
    }
    world
        .run(&["man", &format!("{folder}/orchestrator.1")])
        .ends(1, &["error[ORC011]"]);
}
