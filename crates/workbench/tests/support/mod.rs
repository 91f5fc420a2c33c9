//! What the tests of processes, gates and recipes share.

#![allow(
    dead_code,
    clippy::allow_attributes,
    clippy::unwrap_used,
    reason = "every test file is a crate of its own, uses a part of this, and may panic"
)]

use mission::gate::{Gate, GateKind, GateRun, Program};
use mission::ids::TreeId;
use mission::time::Millis;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use workbench::gates::{Baseline, Environment, Runner};
use workbench::guard::Guard;
use workbench::process::{Command, Finished, Limits, clean};

/// The example program `guard`, which every plain `cargo test` builds beside the tests.
pub(crate) fn guard_program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples/guard");
    assert!(
        program.is_file(),
        "{} is missing; `cargo build -p workbench --examples` makes it",
        program.display()
    );
    program
}

pub(crate) fn guard() -> Guard {
    Guard::new(guard_program())
}

pub(crate) fn environment() -> BTreeMap<OsString, OsString> {
    clean(
        &std::env::vars_os().collect(),
        &["CARGO_HOME", "RUSTUP_HOME"],
    )
}

/// Limits that end a broken test soon and never a sound one.
pub(crate) fn limits() -> Limits {
    Limits {
        wall: Duration::from_secs(120),
        ..Limits::default()
    }
}

pub(crate) fn shell(directory: &Path, line: &str) -> Command {
    Command {
        program: Program::Shell(line.to_owned()),
        directory: directory.to_owned(),
        environment: environment(),
        limits: limits(),
        spill: None,
    }
}

pub(crate) async fn run(command: &Command) -> Finished {
    command
        .run(&guard(), &CancellationToken::new(), &mut |_| {})
        .await
        .unwrap()
}

pub(crate) fn write(root: &Path, path: &str, content: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

/// Whether a process runs; one that has ended and was not counted yet does not.
pub(crate) fn alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !matches!(
        stat.rsplit(')').next().and_then(|rest| rest.chars().nth(1)),
        None | Some('Z' | 'X')
    )
}

/// The process numbers in a file, one a line.
pub(crate) fn pids(file: &Path) -> Vec<i32> {
    std::fs::read_to_string(file)
        .unwrap()
        .lines()
        .map(|line| line.trim().parse().unwrap())
        .collect()
}

pub(crate) fn runner() -> Runner {
    Runner {
        guard: guard(),
        environment: environment(),
        limits: Limits::default(),
    }
}

pub(crate) fn gate(line: &str) -> Gate {
    Gate {
        id: "the-gate".to_owned(),
        kind: GateKind::Test,
        program: Program::Shell(line.to_owned()),
        directory: String::new(),
        timeout: Millis::from_secs(120),
        source: "the test".to_owned(),
        defined_by: Vec::new(),
    }
}

pub(crate) fn tree() -> TreeId {
    "0123456789012345678901234567890123456789".parse().unwrap()
}

/// Runs a gate once on what stands in `workspace`.
pub(crate) async fn run_gate(gate: &Gate, workspace: &Path) -> GateRun {
    let environment = Environment::default().digest();
    runner()
        .run(
            gate,
            &tree(),
            workspace,
            &environment,
            &CancellationToken::new(),
        )
        .await
        .unwrap()
}

pub(crate) async fn baseline(gate: &Gate, workspace: &Path) -> (Baseline, Vec<GateRun>) {
    let environment = Environment::default().digest();
    runner()
        .baseline(
            gate,
            &tree(),
            workspace,
            &environment,
            &CancellationToken::new(),
        )
        .await
        .unwrap()
}
