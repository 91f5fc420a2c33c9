//! The figures that the documents quote: `cargo bench -p orchestrator --bench figures`.
//!
//! With names of parts behind it (`-- core task warm program opencode fixed tokens starts sessions packs reuse lanes probes ahead storm`) it prints just these. Times depend on the machine
//! and are printed for reading; ratios are taken inside one run and can be compared.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "figures are what this program is for, and it stops at the first thing that fails"
)]

mod ahead;
mod core;
mod fixed;
mod opencode;
mod packs;
mod probes;
mod reuse;
mod sessions;
mod starts;
mod storm;
mod task;
mod tokens;

use std::fmt::{self, Display};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What can be printed alone.
const PARTS: [&str; 15] = [
    "core", "task", "warm", "program", "opencode", "fixed", "tokens", "starts", "sessions",
    "packs", "reuse", "lanes", "probes", "ahead", "storm",
];

fn main() {
    // Cargo passes words of its own to every benchmark, which begin with a dash.
    let named: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    for name in &named {
        assert!(
            PARTS.contains(&name.as_str()),
            "no part is called {name:?}; there are {PARTS:?}"
        );
    }
    let wanted = |part: &str| named.is_empty() || named.iter().any(|name| name == part);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    if wanted("core") {
        runtime.block_on(core::inputs());
        core::per_event();
        core::hand_over();
    }
    if wanted("task") {
        runtime.block_on(task::overhead());
    }
    if wanted("warm") {
        task::warm_workspace();
    }
    if wanted("program") {
        program();
    }
    if wanted("opencode") {
        runtime.block_on(opencode::beside_raw_sessions());
    }
    if wanted("fixed") {
        runtime.block_on(fixed::of_requests());
    }
    if wanted("tokens") {
        runtime.block_on(tokens::beside_plain_sessions());
    }
    if wanted("starts") {
        runtime.block_on(starts::with_and_without());
    }
    if wanted("sessions") {
        runtime.block_on(sessions::beside_each_other());
    }
    if wanted("packs") {
        runtime.block_on(packs::beside_none());
    }
    if wanted("reuse") {
        runtime.block_on(reuse::of_missions());
    }
    if wanted("lanes") {
        reuse::of_lanes();
    }
    if wanted("probes") {
        probes::of_conflicts();
    }
    if wanted("ahead") {
        ahead::with_and_without();
    }
    if wanted("storm") {
        storm::of_refusals();
    }
}

/// One line: what, how much, what is promised of it, and whether that holds here.
fn line(what: &str, figure: impl Display, promise: &str, holds: bool) {
    let verdict = if holds { "kept" } else { "MISSED" };
    println!("{what:<64} {figure:>24}   {verdict:<6}  {promise}");
}

/// A figure of which nothing is promised.
fn told(what: &str, figure: impl Display) {
    println!("{what:<64} {figure:>24}");
}

/// What half of some times, and all but a hundredth of them, stay below.
struct Spread {
    p50: Duration,
    p99: Duration,
}

impl Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("p50 {:.1?}, p99 {:.1?}", self.p50, self.p99))
    }
}

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn percentile(sorted: &[Duration], p: usize) -> Duration {
    sorted[(sorted.len() * p / 100).min(sorted.len() - 1)]
}

fn spread(times: &mut [Duration]) -> Spread {
    times.sort_unstable();
    Spread {
        p50: percentile(times, 50),
        p99: percentile(times, 99),
    }
}

/// How long a task takes from its start to its first line that somebody sees. It has then not yet asked for OpenCode, and is
/// ended there.
fn first_line(program: &str) -> Duration {
    let home = tempfile::tempdir().unwrap();
    let project = home.path().join("project");
    std::fs::create_dir(&project).unwrap();
    let start = Instant::now();
    let mut task = Command::new(program)
        .args(["task", "Add a health check"])
        .env("HOME", home.path())
        .env("XDG_CONFIG_HOME", home.path().join("config"))
        .env("ORCHESTRATOR_STATE_DIR", home.path().join("state"))
        .current_dir(&project)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut said = BufReader::new(task.stderr.take().unwrap());
    said.read_line(&mut line).unwrap();
    let took = start.elapsed();
    assert!(line.starts_with("request"), "{line}");
    task.kill().unwrap();
    task.wait().unwrap();
    took
}

/// The program itself: how long it takes to say its version, to say the first of a task, and to run the demo.
fn program() {
    let program = env!("CARGO_BIN_EXE_orchestrator");
    let mut times: Vec<Duration> = (0..20)
        .map(|_| {
            let start = Instant::now();
            assert!(
                Command::new(program)
                    .arg("--version")
                    .output()
                    .unwrap()
                    .status
                    .success()
            );
            start.elapsed()
        })
        .collect();
    let version = spread(&mut times);
    let holds = version.p50 <= millis(20);
    line("orchestrator --version", version, "p50 ≤ 20 ms", holds);
    let mut times: Vec<Duration> = (0..20).map(|_| first_line(program)).collect();
    let first = spread(&mut times);
    let holds = first.p99 < Duration::from_secs(1);
    line(
        "orchestrator task, to its first line",
        first,
        "p99 < 1 s",
        holds,
    );
    let start = Instant::now();
    let demo = Command::new(program).arg("demo").output().unwrap();
    assert!(
        demo.status.success(),
        "{}",
        String::from_utf8_lossy(&demo.stderr)
    );
    let took = start.elapsed();
    let holds = took < Duration::from_secs(20);
    line("orchestrator demo", format!("{took:.1?}"), "< 20 s", holds);
}

/// Lets up to four Workers on OpenCode carry out what a user asks for, without a review and without a word in between.
async fn carried_out(user: &testkit::user::User, request: &str) {
    let words = [
        "task",
        request,
        "--allow",
        "shell",
        "--workers",
        "4",
        "--reviews",
        "0",
        "--yes",
    ];
    let ran = user.run(&words).await;
    assert_eq!(ran.code, Some(0), "{}", ran.said);
}
