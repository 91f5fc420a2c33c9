//! The figures that the documents quote: `cargo bench -p orchestrator --bench figures`.
//!
//! Times depend on the machine and are printed for reading; ratios are taken inside one run and can be compared.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "figures are what this program is for, and it stops at the first thing that fails"
)]

mod core;
mod opencode;
mod task;

use std::process::Command;
use std::time::{Duration, Instant};

fn main() {
    // Cargo passes its own words to every benchmark; none of them means anything here.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(core::inputs());
    core::per_event();
    core::hand_over();
    runtime.block_on(task::overhead());
    task::warm_workspace();
    program();
    runtime.block_on(opencode::beside_raw_sessions());
}

/// One line: what, how much, and what is promised of it.
fn line(what: &str, figure: &str, promise: &str) {
    println!("{what:<64} {figure:>24}   {promise}");
}

fn percentile(sorted: &[Duration], p: usize) -> Duration {
    sorted[(sorted.len() * p / 100).min(sorted.len() - 1)]
}

/// p50 and p99 of some times.
fn spread(times: &mut [Duration]) -> String {
    times.sort_unstable();
    format!(
        "p50 {:.1?}, p99 {:.1?}",
        percentile(times, 50),
        percentile(times, 99)
    )
}

/// The program itself: how long it takes to say its version, and to run the demo.
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
    line("orchestrator --version", &spread(&mut times), "≤ 20 ms");
    let start = Instant::now();
    let demo = Command::new(program).arg("demo").output().unwrap();
    assert!(
        demo.status.success(),
        "{}",
        String::from_utf8_lossy(&demo.stderr)
    );
    line(
        "orchestrator demo",
        &format!("{:.1?}", start.elapsed()),
        "< 20 s",
    );
}
