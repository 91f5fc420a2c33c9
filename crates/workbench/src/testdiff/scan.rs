//! What stands in a file: tests, marks that keep them from running, and lines that bend a runner.
//!
//! Lines are looked at, not parsed: it must work on code that does not compile. A mark in a comment or a string is
//! counted too, on both sides alike; a fact is a reason to look, not a verdict.

use super::paths::Class;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use toml::Table;

/// What was counted in one file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// Tests that are written there.
    pub(super) tests: u32,
    /// For Rust, each test with its body, to see that one changed.
    bodies: BTreeSet<String>,
    marks: BTreeMap<&'static str, u32>,
}

const RUST: [&str; 3] = ["#[ignore", "#[cfg(any())]", "#[cfg(not(test))]"];
const PYTHON: [&str; 9] = [
    "pytest.mark.skip",
    "pytest.mark.xfail",
    "pytest.skip(",
    "pytest.xfail(",
    "pytest.importorskip(",
    "unittest.skip",
    "@skip",
    "self.skipTest(",
    "unittest.expectedFailure",
];
const JAVASCRIPT: [&str; 19] = [
    "it.skip",
    "test.skip",
    "describe.skip",
    "suite.skip",
    "it.todo",
    "test.todo",
    "it.only",
    "test.only",
    "describe.only",
    "it.fails",
    "test.fails",
    "it.failing",
    "test.failing",
    "test.fixme",
    "this.skip(",
    "t.skip(",
    "xit(",
    "xdescribe(",
    "xtest(",
];
const GO: [&str; 4] = ["t.Skip(", "t.Skipf(", "t.SkipNow(", "//go:build ignore"];

/// Whether tests can be seen in a file of this name.
pub(super) fn has_tests(path: &str) -> bool {
    let ending = path.rsplit_once('.').map(|(_, ending)| ending);
    let ending = ending.unwrap_or_default().to_ascii_lowercase();
    matches!(
        ending.as_str(),
        "rs" | "py" | "go" | "js" | "jsx" | "ts" | "tsx" | "mjs" | "cjs" | "mts" | "cts"
    )
}

impl Marks {
    pub(super) fn of(path: &str, text: &str) -> Self {
        let ending = path
            .rsplit_once('.')
            .map(|(_, ending)| ending.to_ascii_lowercase())
            .unwrap_or_default();
        let (marks, is_test): (&[&'static str], fn(&str) -> bool) = match ending.as_str() {
            "rs" => (&RUST, |line| {
                let attribute = line.strip_prefix("#[").unwrap_or_default();
                let name = attribute.split(['(', ']', ' ']).next().unwrap_or_default();
                matches!(name, "test" | "rstest" | "test_case" | "quickcheck")
                    || name.ends_with("::test")
            }),
            "py" => (&PYTHON, |line| {
                line.starts_with("def test_")
                    || line.starts_with("async def test_")
                    || line.starts_with("def test(")
            }),
            "js" | "jsx" | "ts" | "tsx" | "mjs" | "cjs" | "mts" | "cts" => (&JAVASCRIPT, |line| {
                [
                    "it(",
                    "test(",
                    "it.each",
                    "test.each",
                    "it.only(",
                    "test.only(",
                    "await t.test(",
                    "t.test(",
                ]
                .iter()
                .any(|call| line.starts_with(call))
            }),
            "go" => (&GO, |line| {
                line.starts_with("func Test") || line.starts_with("t.Run(")
            }),
            _ => return Self::default(),
        };
        let mut found = Self::default();
        for line in text.lines().map(str::trim_start) {
            found.tests += u32::from(is_test(line));
            for mark in marks {
                let n = occurrences(line, mark);
                if n > 0 {
                    *found.marks.entry(mark).or_default() += n;
                }
            }
        }
        if ending == "rs" && found.tests > 0 {
            found.bodies = rust_tests(text, is_test);
        }
        found
    }

    pub(super) fn count(&self, mark: &str) -> u32 {
        self.marks.get(mark).copied().unwrap_or(0)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&'static str, u32)> {
        self.marks.iter().map(|(mark, n)| (*mark, *n))
    }

    /// Whether a test that stood beside the code is gone or reads differently.
    pub(super) fn tests_lost(&self, after: &Self) -> bool {
        after.tests < self.tests || !self.bodies.is_subset(&after.bodies)
    }
}

/// How often `mark` stands in `line` as a word of its own, so that `exit(` is no `xit(` and `audit.skip` no `it.skip`.
fn occurrences(line: &str, mark: &str) -> u32 {
    let own_start =
        |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$');
    let n = line
        .match_indices(mark)
        .filter(|(at, _)| !mark.starts_with(char::is_alphabetic) || own_start(*at))
        .count();
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Each test from its attribute to the brace that closes it, by indentation as rustfmt writes it, without indentation.
fn rust_tests(text: &str, is_test: fn(&str) -> bool) -> BTreeSet<String> {
    let mut bodies = BTreeSet::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if !is_test(line.trim_start()) {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let mut body = String::new();
        for line in lines.by_ref() {
            body.push_str(line.trim());
            body.push('\n');
            let closes = line.len() - line.trim_start().len() == indent
                && (line.trim() == "}" || (line.contains("fn ") && line.ends_with('}')));
            if closes {
                break;
            }
        }
        bodies.insert(body);
    }
    bodies
}

/// Which part of a gate definition changed; `None` where only parts did that define no gate.
pub(super) fn definition_changed(path: &str, base: &str, new: &str) -> Option<String> {
    let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
    match name.as_str() {
        "package.json" => {
            let (Ok(base), Ok(new)) = (json(base), json(new)) else {
                return Some("cannot be compared part by part".to_owned());
            };
            let parts = [
                "scripts",
                "jest",
                "mocha",
                "ava",
                "c8",
                "nyc",
                "vitest",
                "eslintConfig",
                "babel",
                "type",
                "workspaces",
                "overrides",
                "packageManager",
            ];
            let changed = parts
                .iter()
                .filter(|part| base.get(part) != new.get(part))
                .map(|part| format!("`{part}`"));
            joined(changed)
        }
        "pyproject.toml" | "cargo.toml" => {
            let (Ok(base), Ok(new)) = (base.parse::<Table>(), new.parse::<Table>()) else {
                return Some("cannot be compared part by part".to_owned());
            };
            let parts = [
                "tool", "lints", "profile", "patch", "replace", "test", "bench", "features",
            ];
            let mut changed: Vec<_> = parts
                .iter()
                .filter(|part| base.get(**part) != new.get(**part))
                .map(|part| format!("[{part}]"))
                .collect();
            for (table, keys) in [
                ("workspace", ["members", "exclude", "lints"]),
                ("package", ["build", "autotests", "autobins"]),
                ("lib", ["test", "doctest", "harness"]),
            ] {
                let part =
                    |of: &Table, key: &str| of.get(table).and_then(|table| table.get(key)).cloned();
                changed.extend(
                    keys.iter()
                        .filter(|key| part(&base, key) != part(&new, key))
                        .map(|key| format!("`{table}.{key}`")),
                );
            }
            joined(changed.into_iter())
        }
        _ => Some(
            if new.is_empty() {
                "removed"
            } else if base.is_empty() {
                "added"
            } else {
                "changed"
            }
            .to_owned(),
        ),
    }
}

fn json(text: &str) -> serde_json::Result<Value> {
    if text.is_empty() {
        Ok(Value::Null)
    } else {
        serde_json::from_str(text)
    }
}

fn joined(parts: impl Iterator<Item = String>) -> Option<String> {
    let parts: Vec<_> = parts.collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Texts that make a runner pass, or run less, with what they do. Reported where there are more of them than before.
const BENDS: [(&str, &str); 15] = [
    ("|| true", "a failure is turned into success"),
    ("|| exit 0", "a failure is turned into success"),
    ("|| :", "a failure is turned into success"),
    ("--passWithNoTests", "passes without any test"),
    ("passWithNoTests", "passes without any test"),
    ("--no-verify", "hooks are passed over"),
    ("continue-on-error", "a failure is passed over"),
    ("collect_ignore", "tests are kept from being collected"),
    ("--ignore=", "tests are kept from being collected"),
    ("--deselect", "tests are kept from being collected"),
    (
        "testPathIgnorePatterns",
        "tests are kept from being collected",
    ),
    ("pytest_collection_modifyitems", "decides which tests run"),
    ("pytest_runtest_makereport", "rewrites the reports of tests"),
    (
        "pytest_sessionfinish",
        "may change the exit code of the run",
    ),
    (
        "pytest_ignore_collect",
        "tests are kept from being collected",
    ),
];

/// The same for code that tests load: ending the process early with success.
const EXITS: [(&str, &str); 7] = [
    ("sys.exit(0)", "ends the process with success"),
    ("os._exit(0)", "ends the process with success"),
    ("process.exit(0)", "ends the process with success"),
    ("process.exit()", "ends the process with success"),
    ("process.exitCode = 0", "sets the exit code to success"),
    ("process::exit(0)", "ends the process with success"),
    ("os.Exit(0)", "ends the process with success"),
];

/// Why a change to this file may bend the runner.
pub(super) fn bent(path: &str, class: Class, base: &str, new: &str) -> Vec<String> {
    let lists: &[&[(&str, &str)]] = match class {
        Class::GateDefinition | Class::Protected => &[&BENDS, &EXITS],
        Class::Test => &[&EXITS],
        Class::Source | Class::Shared => &[],
    };
    let more = |text: &str| new.matches(text).count() > base.matches(text).count();
    let mut why: Vec<_> = lists
        .iter()
        .copied()
        .flatten()
        .filter(|(text, _)| more(text))
        .map(|(text, why)| format!("`{text}`: {why}"))
        .collect();
    let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
    if name == "conftest.py" && base.is_empty() && !new.is_empty() {
        why.push("a new conftest.py runs before every test below it".to_owned());
    }
    if matches!(name.as_str(), "sitecustomize.py" | "usercustomize.py") && !new.is_empty() {
        why.push("runs at the start of every Python process".to_owned());
    }
    why
}
