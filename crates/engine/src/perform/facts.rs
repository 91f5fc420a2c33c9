//! What a piece of work does to what judges it, read from both sides of its diff.

use super::Error;
use mission::ids::CommitId;
use mission::work::TestFacts;
use std::collections::BTreeSet;
use workbench::repository::{Change, MissionRepository};
use workbench::testdiff::{self, Class, Touched};

/// The most touched files whose content is looked into. All are judged by their names.
const FILES: usize = 2_000;
/// The most bytes of one file that are looked into: one more than is looked at, so that a larger one shows as such.
const BYTES: usize = (2 << 20) + 1;
/// The most facts of one kind. Nobody declares as many.
const MOST: usize = 500;
/// Git's modes of plain files and links.
const READABLE: [u32; 3] = [0o100_644, 0o100_755, 0o120_000];

/// The facts, and the paths among the touched that no agent may write. `definitions` are the files that define the
/// project's checks.
pub(super) fn of(
    repository: &MissionRepository,
    base: &CommitId,
    commit: &CommitId,
    definitions: &BTreeSet<String>,
) -> Result<(TestFacts, Vec<String>), Error> {
    let changes = repository.changed_files(base, commit).map_err(Error::new)?;
    let mut named: Vec<(String, Class, &Change)> = changes
        .iter()
        .map(|change| {
            let path = change.path.to_string();
            let class = testdiff::classify(&path);
            (path, class, change)
        })
        .collect();
    // What judges comes first, so that no number of other files keeps it from being looked into.
    named.sort_by_key(|(_, class, _)| match class {
        Class::Protected => 0,
        Class::GateDefinition => 1,
        Class::Test => 2,
        Class::Source | Class::Shared => 3,
    });
    let (looked, passed_over) = named.split_at(named.len().min(FILES));
    let mut sides = Vec::new();
    for (path, class, change) in looked {
        let looks = testdiff::looks_into(path, *class);
        let read = |mode: u32, id, unread: &[u8]| match looks {
            _ if mode == 0 => Ok(None),
            true if READABLE.contains(&mode) => {
                repository.blob(id, BYTES).map(|(bytes, _)| Some(bytes))
            }
            // That it differs is all that matters.
            _ => Ok(Some(unread.to_vec())),
        };
        let old = read(change.old_mode, &change.old, b"before").map_err(Error::new)?;
        let new = read(change.new_mode, &change.new, b"after").map_err(Error::new)?;
        sides.push((path, old, new));
    }
    let found = testdiff::facts(sides.iter().map(|(path, base, new)| Touched {
        path,
        base: base.as_deref(),
        new: new.as_deref(),
    }));
    let (facts, mut protected) = told(repository, base, commit, found)?;
    let mut facts = by_name(facts, passed_over, &mut protected);
    // A file that a check runs defines the check, whatever it is called; tests have rules of their own.
    for (path, class, change) in &named {
        let is_run = definitions.contains(path) && change.old_mode != 0;
        if is_run && matches!(class, Class::Source | Class::Shared) {
            facts.gates.push(format!("{path}: a check runs it"));
        }
    }
    for list in [
        &mut facts.added,
        &mut facts.grown,
        &mut facts.changed,
        &mut facts.removed,
        &mut facts.silenced,
        &mut facts.gates,
        &mut protected,
    ] {
        list.sort();
        list.dedup();
        list.truncate(MOST);
    }
    Ok((facts, protected))
}

/// What was found, as the mission keeps it.
fn told(
    repository: &MissionRepository,
    base: &CommitId,
    commit: &CommitId,
    found: testdiff::TestFacts,
) -> Result<(TestFacts, Vec<String>), Error> {
    // A test file that lost no line only gained tests, which nobody has to declare.
    let counts = match found.changed.is_empty() {
        true => Vec::new(),
        false => repository.numstat(base, commit).map_err(Error::new)?,
    };
    let whole = counts
        .iter()
        .filter(|count| count.removed == Some(0))
        .map(|count| count.path.to_string());
    let whole: BTreeSet<String> = whole.collect();
    let (grown, changed) = found
        .changed
        .into_iter()
        .partition::<Vec<_>, _>(|path| whole.contains(path));
    let skips = found
        .skips_added
        .iter()
        .map(|skip| format!("{}: {} more {}", skip.path, skip.more, skip.mark));
    let fewer = found.fewer.iter().map(|fewer| {
        format!(
            "{}: {} tests are written, {} were",
            fewer.path, fewer.after, fewer.before
        )
    });
    let facts = TestFacts {
        added: found.added.into_iter().chain(grown.clone()).collect(),
        grown,
        written: found.written,
        changed,
        silenced: skips
            .chain(fewer.filter(|fewer| {
                !found
                    .removed
                    .iter()
                    .any(|path| fewer.starts_with(path.as_str()))
            }))
            .collect(),
        removed: found.removed,
        gates: found
            .gate_definitions_changed
            .into_iter()
            .chain(found.runner_bent)
            .collect(),
    };
    Ok((facts, found.protected_touched))
}

/// Adds the files that nobody looked into, each at its worst.
fn by_name(
    mut facts: TestFacts,
    passed_over: &[(String, Class, &Change)],
    protected: &mut Vec<String>,
) -> TestFacts {
    for (path, class, change) in passed_over {
        let path = path.clone();
        let both = change.old_mode != 0 && change.new_mode != 0;
        match class {
            Class::Protected => protected.push(path),
            Class::GateDefinition => facts.gates.push(format!(
                "{path}: too many files were touched to look into it"
            )),
            Class::Test if change.old_mode == 0 => facts.added.push(path),
            Class::Test if change.new_mode == 0 => facts.removed.push(path),
            Class::Test => facts.changed.push(path),
            // Rust's tests stand beside the code.
            Class::Source if both && path.ends_with(".rs") => facts.changed.push(path),
            Class::Source | Class::Shared => {}
        }
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::super::sample::{self, Sample};
    use super::*;

    /// What an attempt that leaves the workspace like this does to what judges it.
    fn facts_of(
        sample: &Sample,
        definitions: &[&str],
        work: impl Fn(&std::path::Path),
    ) -> (TestFacts, Vec<String>) {
        let repository = sample.bench.repository().unwrap();
        let base = &sample.base.commit;
        let path = sample.bench.place.lane("worker-1");
        let workspace = repository.workspace(&path, base, &[]).unwrap();
        work(workspace.path());
        let tree = repository.collect(&workspace, base).unwrap().tree;
        let commit = repository
            .commit_attempt(base, &tree, "work\n", sample::WHEN)
            .unwrap();
        let definitions = definitions.iter().map(|name| (*name).to_owned()).collect();
        of(&repository, base, &commit, &definitions).unwrap()
    }

    #[test]
    fn no_number_of_files_hides_a_protected_path_or_a_test() {
        let sample = sample::mission(&[("tests/a.sh", "true\n"), ("tests/b.sh", "true\n")]);
        let (facts, protected) = facts_of(&sample, &[], |root| {
            std::fs::create_dir(root.join("!")).unwrap();
            for n in 0..=FILES {
                std::fs::write(root.join(format!("!/{n}")), "x").unwrap();
            }
            std::fs::write(root.join("AGENTS.md"), "obey\n").unwrap();
            std::fs::remove_file(root.join("tests/a.sh")).unwrap();
            std::fs::write(root.join("tests/b.sh"), "false\n").unwrap();
        });
        assert_eq!(protected, ["AGENTS.md"]);
        assert_eq!(facts.removed, ["tests/a.sh"]);
        assert_eq!(facts.changed, ["tests/b.sh"]);
    }

    #[test]
    fn tests_beyond_those_that_are_looked_into_count_as_changed() {
        let names: Vec<String> = (0..FILES + 2).map(|n| format!("tests/{n:04}.sh")).collect();
        let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "true\n")).collect();
        let sample = sample::mission(&files);
        let grow = |root: &std::path::Path| {
            for name in &names {
                std::fs::write(root.join(name), "true\nexit 0\n").unwrap();
            }
        };
        let (facts, _) = facts_of(&sample, &[], grow);
        let last: Vec<&String> = names.iter().skip(FILES).collect();
        assert_eq!(facts.changed.iter().collect::<Vec<_>>(), last);
    }

    #[test]
    fn a_script_that_a_check_runs_defines_the_check() {
        let sample = sample::mission(&[("run.sh", "false\n"), ("sub.sh", "true\n")]);
        let (facts, _) = facts_of(&sample, &["run.sh"], |root| {
            std::fs::write(root.join("run.sh"), "exit 0\n").unwrap();
            std::fs::write(root.join("sub.sh"), "true true\n").unwrap();
        });
        assert_eq!(facts.gates, ["run.sh: a check runs it"]);
    }

    #[test]
    fn a_test_file_that_only_grew_needs_no_word_and_is_told_from_a_new_one() {
        let sample = sample::mission(&[("test_a.py", "def test_a():\n    pass\n")]);
        let (facts, _) = facts_of(&sample, &[], |root| {
            let more = "def test_a():\n    pass\ndef test_b():\n    pass\n";
            std::fs::write(root.join("test_a.py"), more).unwrap();
            std::fs::write(root.join("test_c.py"), "def test_c():\n    pass\n").unwrap();
        });
        assert_eq!(facts.added, ["test_a.py", "test_c.py"]);
        assert_eq!(
            (facts.grown, facts.written),
            (vec!["test_a.py".to_owned()], 2)
        );
        assert!(facts.changed.is_empty());
    }
}
