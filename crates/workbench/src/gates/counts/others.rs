//! `go test`.

use super::{Names, Reader, Total};

/// Passed tests are only shown by `go test -v`; without it only failures can be counted.
#[derive(Default)]
pub(super) struct Go {
    total: Total,
    /// Every passed test is shown.
    verbose: bool,
    /// A package was tested or found to have no tests.
    packages: bool,
    /// A package passed whose tests were not shown.
    hidden: bool,
    /// Failed tests of the package that is being tested; its name comes after them.
    open: Vec<String>,
}

impl Reader for Go {
    fn line(&mut self, line: &str, names: &mut Names) {
        self.verbose |= line.starts_with("=== RUN ");
        if let Some(rest) = line.trim_start().strip_prefix("--- ") {
            let (word, rest) = rest.split_once(": ").unwrap_or((rest, ""));
            let name = rest.split(" (").next().unwrap_or(rest);
            match word {
                "PASS" => self.total.passed += 1,
                "SKIP" => self.total.skipped += 1,
                "FAIL" => {
                    self.total.failed += 1;
                    self.open.push(name.to_owned());
                }
                _ => {}
            }
            self.open.truncate(super::NAMED);
        } else if let Some(rest) = line.strip_prefix("FAIL\t") {
            self.packages = true;
            let package = rest.split(['\t', ' ']).next().unwrap_or(rest);
            if let Some((_, why)) = rest.split_once(" [") {
                self.total.failed += 1;
                names.add(&format!("{package} ({})", why.trim_end_matches(']')));
            }
            self.open
                .drain(..)
                .for_each(|test| names.add(&format!("{package} {test}")));
        } else if line.starts_with("ok  \t") || line.starts_with("?   \t") {
            self.packages = true;
            self.hidden |= line.starts_with("ok") && !line.contains("[no tests to run]");
            self.open.clear();
        }
    }

    fn total(&mut self, _names: &mut Names) -> Option<Total> {
        let known = self.verbose || self.total.failed > 0 || !self.hidden;
        (self.packages && known).then(|| self.total.clone())
    }
}
