//! `cargo test` and `cargo nextest run`.

use super::{Names, Reader, Total, number_before};

/// The harness that `cargo test` starts, once for every test binary.
#[derive(Default)]
pub(super) struct Libtest {
    total: Total,
    seen: bool,
    /// What Cargo last said it runs.
    binary: String,
    /// A binary has said how many tests it runs, and not yet how they went.
    open: bool,
}

impl Libtest {
    /// A binary that aborts takes its result with it.
    fn close(&mut self, names: &mut Names) {
        if std::mem::take(&mut self.open) {
            self.total.failed += 1;
            names.add(&format!("{} (ended before its result)", self.binary));
        }
    }
}

impl Reader for Libtest {
    fn line(&mut self, line: &str, names: &mut Names) {
        // Never indented: nextest shows the same lines again inside its own.
        if let Some(rest) = line.strip_prefix("test result: ") {
            self.seen = true;
            self.open = false;
            self.total.passed += number_before(rest, "passed");
            self.total.failed += number_before(rest, "failed");
            self.total.skipped += number_before(rest, "ignored");
        } else if let Some(name) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.strip_suffix(" ... FAILED"))
        {
            names.add(name.strip_suffix(" - should panic").unwrap_or(name));
        } else if let Some(name) = line
            .strip_prefix("---- ")
            .and_then(|rest| rest.strip_suffix(" stdout ----"))
        {
            names.add(name);
        } else if line.starts_with("running ")
            && (line.ends_with(" tests") || line.ends_with(" test"))
        {
            self.seen = true;
            self.open = true;
        } else if let Some(rest) = line
            .strip_prefix("     Running ")
            .or_else(|| line.strip_prefix("   Doc-tests "))
        {
            self.close(names);
            let binary = rest.split(" (").next().unwrap_or(rest);
            self.binary = binary
                .strip_prefix("unittests ")
                .unwrap_or(binary)
                .to_owned();
        }
    }

    fn total(&mut self, names: &mut Names) -> Option<Total> {
        self.close(names);
        self.seen.then(|| self.total.clone())
    }
}

/// nextest, which names every failed test again under its summary.
#[derive(Default)]
pub(super) struct Nextest {
    total: Option<Total>,
}

impl Reader for Nextest {
    fn line(&mut self, line: &str, names: &mut Names) {
        let (word, rest) = line.trim_start().split_once(" [").unwrap_or((line, ""));
        // Four columns of indentation at the least: the words are right-aligned.
        let Some((_, rest)) = rest.split_once("] ").filter(|_| line.starts_with("   ")) else {
            return;
        };
        match word {
            "Summary" => {
                let total = self.total.get_or_insert_default();
                total.passed += number_before(rest, "passed");
                let bad = ["failed", "exec", "timed"].map(|word| number_before(rest, word));
                total.failed += bad.iter().sum::<u64>();
                total.skipped += number_before(rest, "skipped");
            }
            "FAIL" | "TIMEOUT" | "ABORT" | "XFAIL" => names.add(test(rest)),
            _ if word.starts_with("SIG") => names.add(test(rest)),
            _ => {}
        }
    }

    fn total(&mut self, _names: &mut Names) -> Option<Total> {
        self.total.take()
    }
}

/// Without the place in the run: `(3/5) cap::it dies`.
fn test(rest: &str) -> &str {
    let place = rest
        .trim_start()
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(") "));
    match place {
        Some((place, name)) if place.contains('/') => name,
        _ => rest,
    }
}
