//! What is told before a model is asked for the first token.

use std::path::Path;
use std::process::Stdio;
use testkit::model::{Gate, Model};
use testkit::persona::{Crew, Job};
use testkit::user::User;
use tokio::io::{AsyncBufReadExt as _, BufReader};

/// What each line begins with and what it says, in their order.
fn rows(project: &str) -> [(&'static str, &str); 11] {
    [
        ("request", "Add a word"),
        ("folder", project),
        (
            "limits",
            "3 workers, 3 attempts, 0 review rounds, 5000000 tokens",
        ),
        ("silence", "without a sign of life end a turn"),
        ("agent", "starting OpenCode…"),
        ("agent", "model mock/m1 (set in the configuration)"),
        (
            "shell",
            "nobody is here to be asked; to allow it: --allow shell",
        ),
        ("mission", "m1"),
        ("work", "missions/m1-"),
        ("files", "yours change only at delivery"),
        ("stop", "Ctrl-C, or: orchestrator cancel m1"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_will_happen_is_told_before_the_first_token() {
    let crew = Crew::new("Add a word.", vec![Job::word("one")]);
    let all = Gate::default();
    let gate = all.clone();
    let model = Model::start(move |request| crew.answer(request).after(&gate)).await;
    let user = User::new(
        env!("CARGO_BIN_EXE_orchestrator"),
        &model.url(),
        &[("README.md", "words\n"), ("Makefile", "test:\n\ttrue\n")],
    );
    let mut running = user
        .command(Path::new(env!("CARGO_BIN_EXE_orchestrator")))
        .args(["task", "Add a word", "--reviews", "0"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the program starts");
    let mut lines = BufReader::new(running.stderr.take().expect("a pipe")).lines();
    let project = user.project().display().to_string();
    // The model gives no token before all of these lines were seen.
    for (name, what) in rows(&project) {
        let line = lines.next_line().await.expect("a pipe").expect("a line");
        assert!(
            line.starts_with(name) && line.contains(what),
            "{name}, {what}: {line}"
        );
    }
    // Nor before it was seen what the work starts from, and what is green there.
    let seen: [&[&str]; 2] = [
        &[
            "base ",
            "(main, 0 uncommitted files)",
            "prepared; checks: make-test",
        ],
        &["make-test on your files as they were: green"],
    ];
    for parts in seen {
        loop {
            let line = lines.next_line().await.expect("a pipe");
            let line = line.unwrap_or_else(|| panic!("it never says {parts:?}"));
            println!("{line}");
            if parts.iter().all(|part| line.contains(part)) {
                break;
            }
        }
    }
    all.open();
    while let Some(line) = lines.next_line().await.expect("a pipe") {
        println!("{line}");
    }
    assert_eq!(running.wait().await.expect("an end").code(), Some(0));
    user.deserted().await;
}
