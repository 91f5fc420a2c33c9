//! Reading what known test runners say of their tests.
//!
//! The readers look at lines as they come and keep only numbers and names, so that output of any length costs little.
//! What they read is information for people and for comparisons; whether a gate passed is its exit code's business.

mod javascript;
mod others;
mod python;
mod rust;

use mission::gate::TestCount;
use std::collections::BTreeSet;

/// At most this many failed tests are named: [`TestCount::failed`]'s own limit.
const NAMED: usize = 200;

/// Longer names are cut to this many characters; they are compared between runs, and kept in the journal.
const NAME: usize = 300;

/// What one runner said in one gate, several summaries added up. Each number that is read fits 32 bits, whatever a runner
/// prints, so that no sum of them goes over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Total {
    passed: u64,
    failed: u64,
    skipped: u64,
}

/// Reads the output of one runner.
trait Reader: Send {
    /// Looks at one line; names of failed tests go to `names`.
    fn line(&mut self, line: &str, names: &mut Names);

    /// What was counted; `None` where this runner did not run. `names` takes what is still open.
    fn total(&mut self, names: &mut Names) -> Option<Total>;
}

/// Names of failed tests, bounded.
struct Names {
    /// Where the run takes place: cut out of names, which must be equal between workspaces.
    root: String,
    set: BTreeSet<String>,
}

impl Names {
    fn add(&mut self, name: &str) {
        let mut name = name.trim().to_owned();
        if self.root.len() > 1 {
            name = name.replace(&format!("{}/", self.root), "");
        }
        let name: String = name
            .chars()
            .filter(|c| !c.is_control())
            .take(NAME)
            .collect();
        if name.is_empty() {
            return;
        }
        self.set.insert(name);
        if self.set.len() > NAMED {
            self.set.pop_last();
        }
    }
}

/// Reads the output of every known runner at once; most gates start one, some start several.
pub(super) struct Counts {
    readers: Vec<Box<dyn Reader>>,
    names: Names,
}

impl Counts {
    /// For a run that takes place in `root`.
    pub(super) fn new(root: &str) -> Self {
        Self {
            readers: vec![
                Box::new(rust::Libtest::default()),
                Box::new(rust::Nextest::default()),
                Box::new(python::Pytest::default()),
                Box::new(python::Unittest::default()),
                Box::new(javascript::Tap::default()),
                Box::new(javascript::Spec::default()),
                Box::new(javascript::Jest::default()),
                Box::new(javascript::Vitest::default()),
                Box::new(javascript::Mocha::default()),
                Box::new(others::Go::default()),
            ],
            names: Names {
                root: root.trim_end_matches('/').to_owned(),
                set: BTreeSet::new(),
            },
        }
    }

    pub(super) fn line(&mut self, line: &str) {
        for reader in &mut self.readers {
            reader.line(line, &mut self.names);
        }
    }

    /// The sum over all runners that were seen, or `None` where none was.
    pub(super) fn finish(mut self) -> Option<TestCount> {
        let names = &mut self.names;
        let totals: Vec<_> = self
            .readers
            .iter_mut()
            .filter_map(|reader| reader.total(names))
            .collect();
        if totals.is_empty() {
            return None;
        }
        let sum = |part: fn(&Total) -> u64| {
            u32::try_from(totals.iter().map(part).sum::<u64>()).unwrap_or(u32::MAX)
        };
        let failed: Vec<_> = self.names.set.into_iter().collect();
        let named = u32::try_from(failed.len()).unwrap_or(u32::MAX);
        Some(TestCount {
            passed: sum(|total| total.passed),
            unnamed: sum(|total| total.failed).saturating_sub(named),
            failed,
            skipped: sum(|total| total.skipped),
        })
    }
}

/// A number of tests.
fn number_of(text: &str) -> Option<u64> {
    text.parse::<u32>().ok().map(u64::from)
}

/// The number before `word` in lists like `1 failed, 2 passed` or `1 failed | 2 passed (3)`.
fn number_before(text: &str, word: &str) -> u64 {
    let mut before = "";
    for part in text
        .split([' ', ',', '|', ';', '(', ')'])
        .filter(|part| !part.is_empty())
    {
        if part == word {
            return number_of(before).unwrap_or(0);
        }
        before = part;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(output: &str) -> Option<TestCount> {
        let mut counts = Counts::new("/project/");
        output.lines().for_each(|line| counts.line(line));
        counts.finish()
    }

    fn shown(output: &str) -> String {
        let count = read(output).unwrap();
        let numbers = format!(
            "{} passed, {} skipped, {} unnamed",
            count.passed, count.skipped, count.unnamed
        );
        std::iter::once(numbers)
            .chain(count.failed)
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn cargo_test() {
        assert_eq!(
            shown(include_str!("../../tests/outputs/cargo.txt")),
            "2 passed, 1 skipped, 0 unnamed\ntests/it.rs (ended before its result)\ntests::bad\ntests::must_panic"
        );
    }

    #[test]
    fn nextest() {
        assert_eq!(
            shown(include_str!("../../tests/outputs/nextest.txt")),
            "2 passed, 1 skipped, 0 unnamed\ncap tests::bad\ncap tests::must_panic\ncap::it dies"
        );
    }

    #[test]
    fn pytest() {
        assert_eq!(
            shown(include_str!("../../tests/outputs/pytest.txt")),
            "0 passed, 0 skipped, 0 unnamed\nt/test_b.py"
        );
        assert_eq!(
            shown(include_str!("../../tests/outputs/pytest-q.txt")),
            "2 passed, 2 skipped, 0 unnamed\nt/test_a.py::TestBox::test_in_class\nt/test_a.py::test_bad\n\
             t/test_a.py::test_param[2]"
        );
        assert_eq!(
            shown(include_str!("../../tests/outputs/pytest-none.txt")),
            "0 passed, 0 skipped, 0 unnamed"
        );
        assert_eq!(
            shown("============ no tests ran in 0.01s ============"),
            "0 passed, 0 skipped, 0 unnamed"
        );
    }

    #[test]
    fn unittest() {
        assert_eq!(
            shown(include_str!("../../tests/outputs/unittest.txt")),
            "0 passed, 2 skipped, 0 unnamed\ntest_bad (test_u.Box.test_bad)\ntest_err (test_u.Box.test_err)\n\
             test_sub (test_u.Box.test_sub) (n=1)\ntest_sub (test_u.Box.test_sub) (n=3)"
        );
    }

    #[test]
    fn node_in_both_of_its_formats() {
        assert_eq!(
            shown(include_str!("../../tests/outputs/node-tap.txt")),
            "2 passed, 2 skipped, 0 unnamed\nn/a.test.js > bad # one\nn/a.test.js > suite > inner bad\nn/b.test.js"
        );
        assert_eq!(
            shown(include_str!("../../tests/outputs/node-spec.txt")),
            "2 passed, 2 skipped, 0 unnamed\nn/a.test.js > bad # one\nn/a.test.js > inner bad\nn/b.test.js"
        );
    }

    #[test]
    fn jest() {
        assert_eq!(
            shown(include_str!("../../tests/outputs/jest.txt")),
            "1 passed, 2 skipped, 0 unnamed\nj/a.test.js > bad\nj/a.test.js > suite › inner bad\n\
             j/b.test.js > Test suite failed to run"
        );
    }

    #[test]
    fn vitest() {
        assert_eq!(
            shown(include_str!("../../tests/outputs/vitest.txt")),
            "1 passed, 2 skipped, 0 unnamed\na.test.js > bad\na.test.js > suite > inner bad\nb.test.js [ b.test.js ]"
        );
        assert_eq!(
            shown(" Test Files  no tests\n      Tests  no tests"),
            "0 passed, 0 skipped, 0 unnamed"
        );
    }

    #[test]
    fn mocha() {
        assert_eq!(
            shown(include_str!("../../tests/outputs/mocha.txt")),
            "1 passed, 1 skipped, 0 unnamed\nhooked > \"before all\" hook for \"never\"\nsuite > deep > inner bad\ntop bad"
        );
    }

    #[test]
    fn go_test() {
        assert_eq!(
            shown(include_str!("../../tests/outputs/go.txt")),
            "3 passed, 1 skipped, 0 unnamed\nexample.com/box TestBad\nexample.com/box TestTable\n\
             example.com/box TestTable/two\nexample.com/box/broken (build failed)"
        );
    }

    #[test]
    fn output_of_no_runner_counts_nothing() {
        assert_eq!(
            read("compiling\n3 passed the bar\nall good, 1 failed attempt\nFAIL: whatever\nOK\n"),
            None
        );
    }

    #[test]
    fn absurd_numbers_are_read_without_an_accident() {
        let most = "4294967295";
        let line = format!("Tests: {most} failed, {most} skipped, {most} todo, {most} passed\n");
        let count = read(&line.repeat(3)).unwrap();
        assert_eq!((count.passed, count.unnamed), (u32::MAX, u32::MAX));
        let count = read("Tests: 99999999999999999999 failed, 1 passed\n").unwrap();
        assert_eq!((count.passed, count.unnamed), (1, 0));
    }

    #[test]
    fn names_are_bounded_and_the_rest_is_still_counted() {
        use std::fmt::Write as _;
        let mut text = "running 1000 tests\n".to_owned();
        for n in 0..1000 {
            writeln!(text, "test {}{n:04} ... FAILED", "x".repeat(n)).unwrap();
        }
        text.push_str(
            "test result: FAILED. 0 passed; 1000 failed; 0 ignored; 0 measured; 0 filtered out\n",
        );
        let count = read(&text).unwrap();
        assert_eq!(
            (count.failed.len(), count.unnamed, count.collected()),
            (200, 800, 1000)
        );
        assert!(count.failed.iter().all(|name| name.len() <= NAME));
    }
}
