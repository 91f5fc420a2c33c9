//! The demo, as a person runs it: every mishap that it promises really happens, and the work is done all the same.
#![cfg(test)]

use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// The program in surroundings of its own.
fn program(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orchestrator"));
    let temporary = home.join("tmp");
    std::fs::create_dir_all(&temporary).unwrap();
    command
        .env("HOME", home)
        .env("TMPDIR", temporary)
        .env("ORCHESTRATOR_STATE_DIR", home.join("state"))
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .current_dir(home)
        .stdin(Stdio::null());
    command
}

fn lines(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// What is left in the temporary folder.
fn left(home: &Path) -> Vec<std::ffi::OsString> {
    let entries = std::fs::read_dir(home.join("tmp")).unwrap();
    entries.map(|entry| entry.unwrap().file_name()).collect()
}

#[test]
fn every_mishap_happens_and_the_work_is_done_and_delivered() {
    let home = tempfile::tempdir().unwrap();
    let ran = program(home.path())
        .args(["demo", "--keep", "--json"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(0), "{said}");
    let told = lines(&ran.stdout);
    let (last, journal) = told.split_last().unwrap();
    let demo = &last["demo"];
    println!("{demo:#}");
    assert_eq!(demo["outcome"], "completed");
    assert_eq!(demo["intact"], true);
    assert_eq!(demo["events"], journal.len());

    let events: Vec<&Value> = journal.iter().map(|line| &line["event"]).collect();
    let of = |name: &str| -> Vec<(usize, &Value)> {
        let all = events.iter().copied().enumerate();
        all.filter(|(_, event)| event["type"] == name).collect()
    };
    let tasks = of("planned")[0].1["plan"]["tasks"].as_array().unwrap();
    assert!(tasks.len() >= 8, "the plan is a real one");
    the_six_mishaps(&events, &of("rejected"), &of("turn_ended"));

    let starts = of("turn_started");
    let working = starts
        .iter()
        .filter(|(_, event)| event["turn"]["what"] == "work");
    let lanes = working.filter_map(|(_, event)| event["lane"].as_u64());
    assert_eq!(
        lanes.max(),
        Some(4),
        "as many Workers as may work side by side"
    );
    let kinds: Vec<&str> = demo["mishaps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| found["kind"].as_str().unwrap())
        .collect();
    for kind in [
        "check_red",
        "review_rejected",
        "conflict",
        "refused",
        "false_claim",
        "agent_lost",
    ] {
        assert!(kinds.contains(&kind), "the report names {kind}: {kinds:?}");
    }

    assert!(of("delivered")[0].1["files"].as_u64().unwrap() > 10);
    let project = Path::new(demo["project"].as_str().unwrap());
    let tests = Command::new("script/test")
        .current_dir(project)
        .output()
        .unwrap();
    assert!(
        tests.status.success(),
        "what was delivered works: {tests:?}"
    );
    assert!(project.join("command/export.sh").exists());

    let verified = program(home.path()).args(["verify"]).output().unwrap();
    assert!(
        verified.status.success(),
        "the kept mission is the user's: {verified:?}"
    );
}

/// Each mishap, found in the journal without the help of the program's own report.
fn the_six_mishaps(events: &[&Value], rejected: &[(usize, &Value)], ended: &[(usize, &Value)]) {
    let accepted = |until: usize, attempt: &Value| {
        let before = events[..until].iter();
        before
            .into_iter()
            .any(|event| event["type"] == "accepted" && event["attempt"] == *attempt)
    };
    let by = |who: &'static str| {
        rejected
            .iter()
            .filter(move |(_, event)| event["rejection"]["by"] == who)
    };

    let gates = |was_accepted: bool| -> Vec<&(usize, &Value)> {
        by("gate")
            .filter(|(at, event)| accepted(*at, &event["attempt"]) == was_accepted)
            .collect()
    };
    let (red, claimed) = (gates(false), gates(true));
    assert_eq!(red.len(), 1, "a first attempt fails its own check");
    assert!(
        red[0].1["rejection"]["gate"]
            .as_str()
            .unwrap()
            .contains("/accept-")
    );
    assert_eq!(
        claimed.len(),
        1,
        "what was said to be done is red on the combined tree"
    );
    assert_eq!(claimed[0].1["rejection"]["gate"], "script-test");
    let work = events[..claimed[0].0]
        .iter()
        .find(|event| event["type"] == "worked" && event["attempt"] == claimed[0].1["attempt"]);
    let summary = work.unwrap()["report"]["summary"].as_str().unwrap();
    assert!(summary.contains("All tests pass"), "{summary}");

    assert_eq!(by("review").count(), 1, "a Reviewer turns an attempt down");
    let conflict = by("conflict").next().expect("two tasks conflict");
    assert_eq!(conflict.1["rejection"]["paths"][0], "help.txt");

    for how in ["refused", "failed"] {
        let (at, lost) = *ended
            .iter()
            .find(|(_, event)| event["ending"]["how"] == how)
            .unwrap();
        let task = |event: &Value| {
            let attempt = event["turn"]["attempt"].as_str().unwrap_or_default();
            attempt.split('.').next().unwrap_or_default().to_owned()
        };
        let again = events[at..].iter().find(|event| {
            let works = event["type"] == "turn_started" && event["turn"]["what"] == "work";
            works && task(event) == task(lost)
        });
        assert_eq!(
            again.unwrap()["turn"],
            lost["turn"],
            "no attempt was used up: {how}"
        );
    }
}

#[test]
fn nothing_is_left_behind_and_the_users_store_is_not_touched() {
    let home = tempfile::tempdir().unwrap();
    let ran = program(home.path()).arg("demo").output().unwrap();
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert_eq!(ran.status.code(), Some(0), "{text}");
    assert!(
        text.contains("completed") && text.contains("what went wrong on the way"),
        "{text}"
    );
    assert!(left(home.path()).is_empty(), "{:?}", left(home.path()));
    assert!(!home.path().join("state").exists());
}

/// What POSIX gives every system, as far as projects and shells ask for it.
const POSIX: &[&str] = &[
    "[", "awk", "basename", "cat", "chmod", "cmp", "cp", "cut", "date", "diff", "dirname", "echo",
    "env", "expr", "false", "find", "grep", "head", "ls", "mkdir", "mktemp", "mv", "printf", "rm",
    "rmdir", "sed", "sh", "sleep", "sort", "tail", "test", "touch", "tr", "true", "uname", "wc",
    "xargs",
];

#[test]
fn it_needs_nothing_but_git_and_what_every_system_has() {
    let home = tempfile::tempdir().unwrap();
    let bin = home.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    let has = |name: &str| {
        let mut folders = std::env::split_paths(&path);
        folders.find_map(|folder| Some(folder.join(name)).filter(|file| file.is_file()))
    };
    for name in POSIX.iter().chain(&["git"]) {
        let found = has(name).unwrap_or_else(|| panic!("this machine has no {name}"));
        std::os::unix::fs::symlink(found, bin.join(name)).unwrap();
    }
    let ran = program(home.path())
        .env_clear()
        .env("PATH", &bin)
        .env("HOME", home.path())
        .env("TMPDIR", home.path().join("tmp"))
        .args(["demo", "--plain"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(0), "{said}");
    let text = String::from_utf8_lossy(&ran.stdout);
    assert!(text.contains("completed"), "{text}");
    assert!(left(home.path()).is_empty(), "{:?}", left(home.path()));
}

#[test]
fn an_interrupt_leaves_nothing_behind_either() {
    let home = tempfile::tempdir().unwrap();
    let mut running = program(home.path())
        .args(["demo", "--json", "--slow"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let told = BufReader::new(running.stdout.take().unwrap()).lines();
    let working = told
        .map(Result::unwrap)
        .find(|line| line.contains("\"what\":\"work\""));
    assert!(working.is_some(), "a Worker was started");
    let pid = running.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(running.wait().unwrap().code(), Some(130));
    assert!(left(home.path()).is_empty(), "{:?}", left(home.path()));
}
