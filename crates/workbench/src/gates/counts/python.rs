//! pytest and unittest.

use super::{Names, Reader, Total, number_before, number_of};

/// pytest: its last line, with or without the rule around it, and its short summary.
#[derive(Default)]
pub(super) struct Pytest {
    total: Option<Total>,
    /// Inside the short summary, where failed tests are listed.
    listing: bool,
}

impl Reader for Pytest {
    fn line(&mut self, line: &str, names: &mut Names) {
        let inner = line.trim_matches(['=', ' ']);
        if inner == "short test summary info" {
            self.listing = true;
        } else if is_last_line(inner) {
            self.listing = false;
            let total = self.total.get_or_insert_default();
            let n = |word| number_before(inner, word);
            total.passed += n("passed") + n("xpassed");
            total.failed += n("failed") + n("error") + n("errors");
            total.skipped += n("skipped") + n("xfailed");
        } else if let Some(rest) = line
            .strip_prefix("FAILED ")
            .or_else(|| line.strip_prefix("ERROR "))
            && self.listing
        {
            names.add(rest.split(" - ").next().unwrap_or(rest));
        }
    }

    fn total(&mut self, _names: &mut Names) -> Option<Total> {
        self.total.take()
    }
}

/// `1 failed, 2 passed in 0.12s`, `no tests ran in 0.01s`, `7 deselected in 0.01s`, `3 passed in 65.00s (0:01:05)`.
fn is_last_line(text: &str) -> bool {
    let Some((list, time)) = text.rsplit_once(" in ") else {
        return false;
    };
    let seconds = time.split(' ').next().unwrap_or(time);
    let timed = seconds
        .strip_suffix('s')
        .is_some_and(|number| number.parse::<f64>().is_ok());
    let known = [
        "passed",
        "failed",
        "skipped",
        "deselected",
        "xfailed",
        "xpassed",
        "error",
        "errors",
        "warning",
        "warnings",
    ];
    let counted = |part: &str| {
        let (number, word) = part.split_once(' ').unwrap_or((part, ""));
        number.parse::<u32>().is_ok()
            && (known.contains(&word) || word.starts_with("rerun") || word.starts_with("subtests"))
    };
    timed && (list == "no tests ran" || list.split(", ").all(counted))
}

/// unittest, and Django's runner, which prints the same.
#[derive(Default)]
pub(super) struct Unittest {
    total: Option<Total>,
    /// The last line was the rule that stands above a failure.
    ruled: bool,
    /// How many ran, until the line that says how it went.
    ran: Option<u64>,
}

impl Reader for Unittest {
    fn line(&mut self, line: &str, names: &mut Names) {
        if let Some(name) = line
            .strip_prefix("FAIL: ")
            .or_else(|| line.strip_prefix("ERROR: "))
            && self.ruled
        {
            names.add(name);
        }
        self.ruled = line.len() == 70 && line.bytes().all(|byte| byte == b'=');
        if let Some(rest) = line
            .strip_prefix("Ran ")
            .filter(|rest| rest.contains(" test") && rest.contains(" in "))
        {
            self.ran = rest.split(' ').next().and_then(number_of);
        } else if let Some(ran) = self.ran
            && (line.starts_with("OK") || line.starts_with("FAILED") || line == "NO TESTS RAN")
        {
            self.ran = None;
            let n = |word: &str| {
                let parts = line
                    .split(['(', ',', ')'])
                    .filter_map(|part| part.trim().split_once('='));
                parts
                    .filter(|(name, _)| *name == word)
                    .filter_map(|(_, n)| number_of(n))
                    .sum::<u64>()
            };
            let failed = n("failures") + n("errors") + n("unexpected successes");
            let skipped = n("skipped") + n("expected failures");
            let total = self.total.get_or_insert_default();
            total.failed += failed;
            total.skipped += skipped;
            total.passed += ran.saturating_sub(failed).saturating_sub(skipped);
        }
    }

    fn total(&mut self, _names: &mut Names) -> Option<Total> {
        self.total.take()
    }
}
