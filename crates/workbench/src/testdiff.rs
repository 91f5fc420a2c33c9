//! What a change does to tests and to what runs them: facts for a decision that is made elsewhere.
//!
//! A worker can make a gate pass by mending the code or by bending the test. The difference is not always visible, but
//! what is visible is listed here: tests that were changed, removed or skipped, and files that decide what runs at all.

mod paths;
mod scan;

pub use paths::{Class, classify, configures_a_runner};

use scan::Marks;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Content of a larger file is not looked into; its path still is.
const LARGEST: usize = 2 << 20;

/// At most this many facts of each kind; a change that touches more is judged on these.
const MOST: usize = 500;

/// One path that a change touches, with its content on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touched<'a> {
    /// Below the root, with `/`.
    pub path: &'a str,
    /// On the base; `None` where it is not there.
    pub base: Option<&'a [u8]>,
    /// After the change; `None` where it is not there.
    pub new: Option<&'a [u8]>,
}

/// What a change does to tests. Every list is sorted by path and at most 500 long.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestFacts {
    /// Test files that are new.
    pub added: Vec<String>,
    /// Test files whose content changed, and sources in which a test changed or went away.
    pub changed: Vec<String>,
    /// Test files that are gone.
    pub removed: Vec<String>,
    /// Marks that keep tests from running (`#[ignore]`, `it.skip`, `.only`) which are more than before.
    pub skips_added: Vec<Skip>,
    /// Files in which fewer tests are written than before.
    pub fewer: Vec<Fewer>,
    /// Paths that only a person may change: `.git`, CI, agent and editor configuration.
    pub protected_touched: Vec<String>,
    /// Files that define gates, and how they were touched.
    pub gate_definitions_changed: Vec<String>,
    /// Why what the test runner says may no longer be worth what it was, in words with the file's name.
    pub runner_bent: Vec<String>,
    /// Lock files, module lists and changelogs, which several tasks may touch.
    pub shared_touched: Vec<String>,
    /// How many tests more than before are written in test files, as far as they can be counted.
    #[serde(default)]
    pub written: u32,
}

/// Marks of one kind that were added to one file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Skip {
    /// The file.
    pub path: String,
    /// The mark as it is written: `#[ignore]`, `it.skip`.
    pub mark: String,
    /// How many more than before.
    pub more: u32,
}

/// A file that holds fewer tests than before.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fewer {
    /// The file.
    pub path: String,
    /// Tests written in it on the base.
    pub before: u32,
    /// Tests written in it now; 0 for a file that is gone.
    pub after: u32,
}

/// Whether [`facts`] looks into the content of a path, or only at its name.
pub fn looks_into(path: &str, class: Class) -> bool {
    match class {
        Class::Test | Class::GateDefinition => true,
        Class::Source => scan::has_tests(path),
        Class::Protected | Class::Shared => false,
    }
}

/// Looks at a change. A file that moved is one path that is gone and one that is new.
pub fn facts<'a>(touched: impl IntoIterator<Item = Touched<'a>>) -> TestFacts {
    let mut facts = TestFacts::default();
    for one in touched {
        if one.base != one.new {
            look(&one, &mut facts);
        }
    }
    facts.finish();
    facts
}

fn look(one: &Touched<'_>, facts: &mut TestFacts) {
    let path = one.path.to_owned();
    let (base, new) = (text(one.base), text(one.new));
    let (before, after) = (Marks::of(one.path, &base), Marks::of(one.path, &new));
    let class = classify(one.path);
    match class {
        Class::Test => {
            let more = after.tests.saturating_sub(before.tests);
            facts.written = facts.written.saturating_add(more);
            match (one.base, one.new) {
                (None, _) => facts.added.push(path.clone()),
                (_, None) => facts.removed.push(path.clone()),
                _ => facts.changed.push(path.clone()),
            }
        }
        // Tests beside the code: adding some is welcome, changing what is there is not unseen.
        Class::Source if before.tests_lost(&after) => facts.changed.push(path.clone()),
        Class::Source => {}
        Class::Protected => facts.protected_touched.push(path.clone()),
        Class::GateDefinition => definition(one, &base, &new, facts),
        Class::Shared => facts.shared_touched.push(path.clone()),
    }
    // In a file without tests such a mark stands in a comment or a string.
    let has_tests =
        class == Class::Test || (class == Class::Source && (before.tests > 0 || after.tests > 0));
    if has_tests {
        let more = |(mark, n): (&'static str, u32)| {
            let more = n.saturating_sub(before.count(mark));
            (more > 0).then(|| Skip {
                path: path.clone(),
                mark: mark.to_owned(),
                more,
            })
        };
        facts.skips_added.extend(after.all().filter_map(more));
        if after.tests < before.tests {
            facts.fewer.push(Fewer {
                path: path.clone(),
                before: before.tests,
                after: after.tests,
            });
        }
    }
    let large = |side: Option<&[u8]>| side.is_some_and(|bytes| bytes.len() > LARGEST);
    if matches!(class, Class::Test | Class::GateDefinition) && (large(one.base) || large(one.new)) {
        facts
            .runner_bent
            .push(format!("{path}: too large to look into"));
    }
    facts.runner_bent.extend(
        scan::bent(one.path, class, &base, &new)
            .into_iter()
            .map(|why| format!("{path}: {why}")),
    );
}

/// A manifest defines gates in some of its parts only: a new dependency is everyday work.
fn definition(one: &Touched<'_>, base: &str, new: &str, facts: &mut TestFacts) {
    match scan::definition_changed(one.path, base, new) {
        Some(part) => facts
            .gate_definitions_changed
            .push(format!("{}: {part}", one.path)),
        None => facts.shared_touched.push(one.path.to_owned()),
    }
}

fn text(content: Option<&[u8]>) -> String {
    let bytes = content
        .filter(|bytes| bytes.len() <= LARGEST)
        .unwrap_or_default();
    String::from_utf8_lossy(bytes).into_owned()
}

impl TestFacts {
    fn finish(&mut self) {
        let texts = [
            &mut self.added,
            &mut self.changed,
            &mut self.removed,
            &mut self.protected_touched,
            &mut self.gate_definitions_changed,
            &mut self.runner_bent,
            &mut self.shared_touched,
        ];
        texts.into_iter().for_each(sort);
        sort(&mut self.skips_added);
        sort(&mut self.fewer);
    }

    /// Whether the change leaves alone what was there: it may add tests, and nothing else of what is listed here.
    pub fn only_adds(&self) -> bool {
        let Self {
            added: _,
            changed,
            removed,
            skips_added,
            fewer,
            protected_touched,
            gate_definitions_changed,
            runner_bent,
            shared_touched: _,
            written: _,
        } = self;
        let none = [
            changed,
            removed,
            protected_touched,
            gate_definitions_changed,
            runner_bent,
        ]
        .into_iter()
        .all(Vec::is_empty);
        none && skips_added.is_empty() && fewer.is_empty()
    }
}

fn sort<T: Ord + Clone>(list: &mut Vec<T>) {
    let set: BTreeSet<_> = std::mem::take(list).into_iter().collect();
    list.extend(set.into_iter().take(MOST));
}
