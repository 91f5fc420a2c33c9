//! Node's own runner (TAP and spec), Jest, Vitest and Mocha.

use super::{Names, Reader, Total, number_before, number_of};

/// The counts that Node's runner prints at its end: `# pass 2` in TAP, `ℹ pass 2` in spec.
#[derive(Default)]
struct Numbers {
    total: Option<Total>,
}

impl Numbers {
    fn line(&mut self, text: &str) {
        let Some((word, number)) = text.split_once(' ') else {
            return;
        };
        let Some(n) = number_of(number.trim()) else {
            return;
        };
        if word == "tests" {
            self.total.get_or_insert_default();
        }
        let Some(total) = &mut self.total else {
            return;
        };
        match word {
            "pass" => total.passed += n,
            "fail" | "cancelled" => total.failed += n,
            "skipped" | "todo" | "skip" => total.skipped += n,
            _ => {}
        }
    }
}

/// TAP as Node writes it, and plain TAP with the same summary (tape).
#[derive(Default)]
pub(super) struct Tap {
    numbers: Numbers,
    /// The names of the tests around the current line, outermost first.
    around: Vec<String>,
    /// A failed test whose details are being read: its name, and its file if that has been seen.
    open: Option<(String, Option<String>)>,
}

impl Tap {
    fn close(&mut self, names: &mut Names) {
        match self.open.take() {
            Some((name, Some(file))) if file != name => names.add(&format!("{file} > {name}")),
            Some((name, _)) => names.add(&name),
            None => {}
        }
    }
}

impl Reader for Tap {
    fn line(&mut self, line: &str, names: &mut Names) {
        let text = line.trim_start();
        let depth = (line.len() - text.len()) / 4;
        if let Some(name) = text.strip_prefix("# Subtest: ") {
            self.close(names);
            self.around.truncate(depth.min(50));
            self.around.push(unescaped(name));
        } else if let Some(rest) = text.strip_prefix("not ok ") {
            self.close(names);
            let (name, directive) = split_directive(rest);
            let name = name.split_once(" - ").map_or(name, |(_, name)| name);
            if !directive {
                let mut path = self.around.iter().take(depth).cloned().collect::<Vec<_>>();
                path.push(unescaped(name));
                self.open = Some((path.join(" > "), None));
            }
        } else if let Some(place) = text.strip_prefix("location: '") {
            if let Some((_, file)) = &mut self.open {
                // Without line and column, which move with every edit.
                let path = place.trim_end_matches('\'').rsplitn(3, ':').last();
                *file = path.map(str::to_owned);
            }
        } else if text == "type: 'suite'" {
            // A suite fails when a test in it does, and is not counted.
            self.open = None;
        } else if text == "..." {
            self.close(names);
        } else if let Some(text) = line.strip_prefix("# ") {
            self.numbers.line(text);
        }
    }

    fn total(&mut self, names: &mut Names) -> Option<Total> {
        self.close(names);
        self.numbers.total.take()
    }
}

/// `name # SKIP why` and `name # TODO` are no failures. A `#` of the name itself is written as `\#`.
fn split_directive(text: &str) -> (&str, bool) {
    let directive = text.rsplit_once(" # ").filter(|(_, word)| {
        let word = word.to_ascii_uppercase();
        word.starts_with("SKIP") || word.starts_with("TODO")
    });
    directive.map_or((text, false), |(name, _)| (name, true))
}

fn unescaped(name: &str) -> String {
    name.replace("\\#", "#").replace("\\\\", "\\")
}

/// Node's spec format: names come from the list of failing tests at the end.
#[derive(Default)]
pub(super) struct Spec {
    numbers: Numbers,
    listing: bool,
    file: Option<String>,
}

impl Reader for Spec {
    fn line(&mut self, line: &str, names: &mut Names) {
        if let Some(text) = line.strip_prefix("ℹ ") {
            self.numbers.line(text);
        } else if line == "✖ failing tests:" {
            self.listing = true;
        } else if let Some(place) = line.strip_prefix("test at ") {
            self.file = place.rsplitn(3, ':').last().map(str::to_owned);
        } else if let Some(rest) = line.strip_prefix("✖ ")
            && self.listing
        {
            let name = rest
                .rsplit_once(" (")
                .filter(|(_, time)| time.ends_with("ms)"))
                .map_or(rest, |(name, _)| name);
            match self.file.take() {
                Some(file) if !name.ends_with(&file) => names.add(&format!("{file} > {name}")),
                Some(file) => names.add(&file),
                None => names.add(name),
            }
        }
    }

    fn total(&mut self, _names: &mut Names) -> Option<Total> {
        self.numbers.total.take()
    }
}

/// Jest.
#[derive(Default)]
pub(super) struct Jest {
    total: Option<Total>,
    file: Option<String>,
}

impl Reader for Jest {
    fn line(&mut self, line: &str, names: &mut Names) {
        if let Some(rest) = line.strip_prefix("Tests: ") {
            let total = self.total.get_or_insert_default();
            total.passed += number_before(rest, "passed");
            total.failed += number_before(rest, "failed");
            total.skipped += number_before(rest, "skipped") + number_before(rest, "todo");
        } else if let Some(rest) = line.strip_prefix("FAIL ") {
            let file = rest.trim_start();
            self.file = Some(file.split(" (").next().unwrap_or(file).to_owned());
        } else if line.starts_with("PASS ") {
            self.file = None;
        } else if let (Some(name), Some(file)) = (line.strip_prefix("  ● "), &self.file)
            && name != "Console"
        {
            names.add(&format!("{file} > {name}"));
        }
    }

    fn total(&mut self, _names: &mut Names) -> Option<Total> {
        self.total.take()
    }
}

/// Vitest.
#[derive(Default)]
pub(super) struct Vitest {
    total: Option<Total>,
}

impl Reader for Vitest {
    fn line(&mut self, line: &str, names: &mut Names) {
        if let Some(name) = line.strip_prefix(" FAIL  ") {
            names.add(name);
        } else if let Some(rest) = line.strip_prefix("      Tests  ") {
            let total = self.total.get_or_insert_default();
            total.passed += number_before(rest, "passed");
            total.failed += number_before(rest, "failed");
            total.skipped += number_before(rest, "skipped") + number_before(rest, "todo");
        }
    }

    fn total(&mut self, _names: &mut Names) -> Option<Total> {
        self.total.take()
    }
}

/// Mocha: numbers first, then a numbered list of failures whose titles go over several lines.
#[derive(Default)]
pub(super) struct Mocha {
    total: Option<Total>,
    listing: bool,
    title: Vec<String>,
}

impl Reader for Mocha {
    fn line(&mut self, line: &str, names: &mut Names) {
        let text = line.trim();
        let (number, rest) = text.split_once(' ').unwrap_or((text, ""));
        if let Some(n) = number_of(number)
            && line.starts_with("  ")
        {
            if rest.starts_with("passing (") {
                self.listing = false;
                self.total.get_or_insert_default().passed += n;
            } else if let (Some(total), "pending") = (&mut self.total, rest) {
                total.skipped += n;
            } else if let (Some(total), "failing") = (&mut self.total, rest) {
                total.failed += n;
                self.listing = true;
            }
            return;
        }
        if !self.listing {
            return;
        }
        let first = line
            .strip_prefix("  ")
            .and_then(|rest| rest.split_once(") "))
            .filter(|(n, _)| n.parse::<u32>().is_ok());
        let part = match first {
            Some((_, part)) => {
                self.title.clear();
                part
            }
            None if !self.title.is_empty() && line.starts_with("       ") => text,
            None => {
                self.title.clear();
                return;
            }
        };
        self.title
            .push(part.strip_suffix(':').unwrap_or(part).to_owned());
        if part.ends_with(':') || self.title.len() > 20 {
            names.add(&self.title.join(" > "));
            self.title.clear();
        }
    }

    fn total(&mut self, _names: &mut Names) -> Option<Total> {
        self.total.take()
    }
}
