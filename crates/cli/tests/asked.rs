//! Somebody is asked and nobody is here: the program ends, says what to type, and goes on from there.
#![cfg(test)]

use std::path::Path;
use std::process::{Command, Output, Stdio};

const SCRIPT: &str = r#"
[[turn]]
role = "commander"
usage = { input = 10, output = 1 }
end = { answer = { kind = "small", plan = { tasks = [
    { id = "hello", title = "Say hello", goal = "hello.txt is there.", writes = ["hello.txt"], acceptance = ["grep -q hello hello.txt"] },
] } } }

[[turn]]
role = "worker"
steps = [{ write = { path = "hello.txt", text = "hello\n" } }]
usage = { input = 10, output = 1 }
end = { answer = { status = "done", summary = "It is there." } }

[[turn]]
role = "reviewer"
usage = { input = 10, output = 1 }
end = { answer = { accept = true } }
"#;

fn run(home: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_orchestrator"))
        .args(words)
        .env("HOME", home)
        .env("XDG_CONFIG_HOME", home.join("config"))
        .env("ORCHESTRATOR_STATE_DIR", home.join("state"))
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .current_dir(home.join("project"))
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    let both = [&output.stdout, &output.stderr];
    both.map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        .join("\n")
}

#[test]
fn a_plan_that_nobody_is_here_to_approve_waits_and_is_gone_on_with() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("project")).unwrap();
    std::fs::write(home.path().join("script.toml"), SCRIPT).unwrap();

    let words = [
        "task",
        "Say hello",
        "--approve",
        "--agent",
        "scripted:../script.toml",
    ];
    let asked = run(home.path(), &words);
    let told = said(&asked);
    assert_eq!(asked.status.code(), Some(7), "{told}");
    for typed in ["orchestrator answer m1 q1 yes|no", "orchestrator resume m1"] {
        assert!(told.contains(typed), "it names `{typed}`: {told}");
    }
    assert!(!home.path().join("project/hello.txt").exists());

    let again = run(home.path(), &["resume", "m1"]);
    assert_eq!(
        again.status.code(),
        Some(7),
        "still nobody: {}",
        said(&again)
    );

    let answered = run(home.path(), &["answer", "m1", "q1", "yes"]);
    assert_eq!(answered.status.code(), Some(0), "{}", said(&answered));
    let done = run(home.path(), &["resume", "m1"]);
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    let hello = std::fs::read_to_string(home.path().join("project/hello.txt"));
    assert_eq!(hello.unwrap(), "hello\n");
}
