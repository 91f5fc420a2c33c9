//! What a change touches of what judges it, and how it was before: tests, and what defines checks.

use super::Error;
use mission::gate::{Gate, GateKind, GateRun, TestCount};
use mission::ids::{CommitId, TreeId};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use workbench::disk;
use workbench::git::RepoPath;
use workbench::repository::{Change, Content, MissionRepository};
use workbench::testdiff::{self, Class};

/// The largest file that is put back, in bytes.
const LARGEST: usize = 4 << 20;
/// The most files that are put back of one kind.
const MOST: usize = 500;
/// Git's kind of a plain file, among the bits of a mode.
const PLAIN: u32 = 0o100_000;

/// A file as it was; nothing where there was none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Put {
    /// Below the root.
    pub(super) name: String,
    old: Option<(Vec<u8>, bool)>,
}

/// What a change touches of what judges it.
#[derive(Debug, Default)]
pub(super) struct Judges {
    /// What decides what the gate runs.
    pub(super) definitions: Vec<Put>,
    /// Tests that were there.
    pub(super) tests: Vec<Put>,
    /// Tests that were not.
    pub(super) new_tests: Vec<Put>,
}

/// Whose judges are asked for.
pub(super) struct Ask<'a> {
    pub(super) gate: &'a Gate,
    /// The files that define the project's gates.
    pub(super) definitions: &'a BTreeSet<String>,
    /// What the mission started from.
    pub(super) base: &'a CommitId,
    /// What the work under judgement started from, if it is work.
    pub(super) since: Option<&'a CommitId>,
    pub(super) commit: &'a CommitId,
    pub(super) tree: &'a TreeId,
}

pub(super) fn of(repository: &MissionRepository, ask: &Ask<'_>) -> Result<Judges, Error> {
    let mut judges = Judges::default();
    let since = ask.since.unwrap_or(ask.base);
    if since == ask.commit {
        return Ok(judges);
    }
    let before = repository.tree_of(since).map_err(Error::new)?;
    let changes = repository
        .changed_files(since, ask.commit)
        .map_err(Error::new)?;
    let own: BTreeSet<&String> = match ask.gate.kind {
        GateKind::Acceptance => ask.definitions.iter().collect(),
        _ => ask.gate.defined_by.iter().collect(),
    };
    for change in &changes {
        let name = change.path.to_string();
        let class = testdiff::classify(&name);
        let is_test = class == Class::Test;
        // Only work is judged by its tests; what has landed was.
        let list = if is_test && change.old_mode == 0 {
            ask.since.map(|_| &mut judges.new_tests)
        } else if is_test {
            ask.since.map(|_| &mut judges.tests)
        } else if change.old_mode == 0 {
            let configures = ask.since.is_some() && testdiff::configures_a_runner(&name);
            configures.then_some(&mut judges.definitions)
        } else {
            let is_own = own.contains(&name)
                || (ask.gate.kind == GateKind::Acceptance && class == Class::GateDefinition);
            let redefines = is_own && redefines(repository, ask, &before, change)?;
            redefines.then_some(&mut judges.definitions)
        };
        let Some(list) = list.filter(|list| list.len() < MOST) else {
            continue;
        };
        list.extend(as_it_was(repository, &before, change)?);
    }
    Ok(judges)
}

/// Whether a change to a file that defines a gate is one to what the gate runs. A manifest defines gates in some of its
/// parts only.
fn redefines(
    repository: &MissionRepository,
    ask: &Ask<'_>,
    before: &TreeId,
    change: &Change,
) -> Result<bool, Error> {
    let name = change.path.to_string();
    if testdiff::classify(&name) != Class::GateDefinition {
        return Ok(true);
    }
    let read = |tree: &TreeId| match repository.read_file(tree, &change.path, LARGEST) {
        Ok(Some(Content::File { bytes, .. } | Content::Link(bytes))) => Ok(Some(bytes)),
        Ok(_) => Ok(None),
        Err(error) => Err(Error::new(error)),
    };
    let (old, new) = (read(before)?, read(ask.tree)?);
    let facts = testdiff::facts([testdiff::Touched {
        path: &name,
        base: old.as_deref(),
        new: new.as_deref(),
    }]);
    Ok(!facts.gate_definitions_changed.is_empty() || !facts.runner_bent.is_empty())
}

fn as_it_was(
    repository: &MissionRepository,
    before: &TreeId,
    change: &Change,
) -> Result<Option<Put>, Error> {
    let name = change.path.to_string();
    // A name that cannot be printed as it is cannot be found again by its print.
    if RepoPath::new(name.as_bytes()).ok().as_ref() != Some(&change.path) {
        return Ok(None);
    }
    if change.old_mode == 0 {
        return Ok(Some(Put { name, old: None }));
    }
    if change.old_mode & PLAIN != PLAIN || change.old_mode >> 12 != PLAIN >> 12 {
        return Ok(None);
    }
    let old = repository
        .read_file(before, &change.path, LARGEST)
        .map_err(Error::new)?;
    Ok(match old {
        Some(Content::File {
            bytes,
            cut: false,
            executable,
        }) => Some(Put {
            name,
            old: Some((bytes, executable)),
        }),
        _ => None,
    })
}

impl Judges {
    /// Tests that were there, fail as they were, and do not fail as the change has them. A task's own command may name
    /// a test that was not there, which is missed then and has not failed; `only_known` leaves such out.
    pub(super) fn broken(&self, now: &GateRun, old: &GateRun, only_known: bool) -> Vec<String> {
        let failed = |run: &GateRun| run.tests.as_ref().map(|tests| tests.failed.clone());
        let now = failed(now).unwrap_or_default();
        let mut broken = failed(old).unwrap_or_default();
        broken.retain(|name| !now.contains(name) && (!only_known || self.knows(name)));
        broken
    }

    /// Whether a test of this name stood in one of the files, or the file itself is meant.
    fn knows(&self, test: &str) -> bool {
        let last = [" > ", " › ", "::"]
            .iter()
            .filter_map(|between| test.rfind(between).map(|at| &test[at + between.len()..]))
            .min_by_key(|part| part.len())
            .unwrap_or(test);
        let last = last.rsplit_once(' ').map_or(last, |(before, after)| {
            // Go names the package first: `example.com/box TestTable/two`.
            if before.contains('/') && !before.contains(' ') {
                after
            } else {
                last
            }
        });
        let ends = [" (", "[", "/"];
        let names: Vec<&str> = std::iter::once(last)
            .chain(ends.iter().filter_map(|end| Some(last.split_once(end)?.0)))
            .filter(|name| !name.is_empty())
            .collect();
        self.tests.iter().any(|put| {
            let Some((bytes, _)) = &put.old else {
                return false;
            };
            let text = String::from_utf8_lossy(bytes);
            let path = Path::new(&put.name);
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            test.contains(&put.name)
                || names
                    .iter()
                    .any(|name| text.contains(name) || Some(*name) == stem)
        })
    }
}

/// Whether a command that is green as the change has it is red as it was, without naming a test.
pub(super) fn falls_silent(now: &GateRun, old: &GateRun) -> bool {
    let names = |tests: &TestCount| !tests.failed.is_empty() || tests.unnamed > 0;
    now.result.passed() && !old.result.passed() && !old.tests.as_ref().is_some_and(names)
}

/// Puts files back as they were: writes them anew, and takes away what was not there.
pub(super) fn put_back(root: &Path, files: &[Put]) -> io::Result<()> {
    for file in files {
        match &file.old {
            Some((bytes, executable)) => write(root, &file.name, bytes, *executable)?,
            None => take_away(root, &file.name)?,
        }
    }
    Ok(())
}

fn take_away(root: &Path, name: &str) -> io::Result<()> {
    let mut path = root.to_owned();
    for part in Path::new(name).components() {
        path.push(part);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => {}
            // A link above leads elsewhere.
            Ok(_) => return fs::remove_file(&path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes a file anew in a workspace. Whatever stands in its way goes, links above all: the work under judgement chose
/// where they lead.
fn write(root: &Path, name: &str, bytes: &[u8], executable: bool) -> io::Result<()> {
    let mut path: PathBuf = root.to_owned();
    let mut parts = Path::new(name).components().peekable();
    while let Some(part) = parts.next() {
        path.push(part);
        let found = fs::symlink_metadata(&path);
        let is_folder = found.as_ref().is_ok_and(fs::Metadata::is_dir);
        let above = parts.peek().is_some();
        match found {
            Ok(_) if is_folder && !above => disk::remove(&path).map_err(io::Error::other)?,
            Ok(_) if !is_folder => fs::remove_file(&path)?,
            _ => {}
        }
        if above && !is_folder {
            fs::create_dir(&path)?;
        }
    }
    let mode = if executable { 0o755 } else { 0o644 };
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&path)?;
    file.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_definition_is_put_back_in_the_workspace_and_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
        for folder in [&root, &outside] {
            fs::create_dir(folder).unwrap();
        }
        let theirs = outside.join("package.json");
        fs::write(&theirs, "theirs").unwrap();
        std::os::unix::fs::symlink(&theirs, root.join("package.json")).unwrap();
        std::os::unix::fs::symlink(&outside, root.join("web")).unwrap();
        let closed = root.join("Makefile/closed");
        fs::create_dir_all(&closed).unwrap();
        fs::write(closed.join("file"), "").unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).unwrap();
        for name in ["package.json", "web/package.json", "Makefile", "a/b/test"] {
            write(&root, name, b"base", name.ends_with("test")).unwrap();
            assert_eq!(fs::read(root.join(name)).unwrap(), b"base");
        }
        assert_eq!(fs::read(&theirs).unwrap(), b"theirs");
        assert!(!root.join("web").is_symlink());
    }

    fn run(passed: bool, failed: &[&str]) -> GateRun {
        let named = !failed.is_empty();
        let digest = mission::ids::Digest::of(b"");
        GateRun {
            gate: "g".into(),
            command: digest.clone(),
            tree: "4b825dc642cb6eb9a060e54bf8d69288fbee4904".parse().unwrap(),
            environment: digest.clone(),
            result: match passed {
                true => mission::gate::GateResult::Passed,
                false => mission::gate::GateResult::Failed { exit: 1 },
            },
            output: digest,
            tail: String::new(),
            tests: named.then(|| TestCount {
                failed: failed.iter().map(|name| (*name).to_owned()).collect(),
                ..TestCount::default()
            }),
            as_before: None,
            duration: mission::time::Millis(1),
        }
    }

    #[test]
    fn a_test_that_was_there_is_told_from_one_that_is_missed() {
        let old = "class Calc:\n    def test_sub(self):\n test('subtracts') func TestTable(\n";
        let judges = Judges {
            tests: vec![Put {
                name: "tests/test_calc.py".into(),
                old: Some((old.as_bytes().to_vec(), false)),
            }],
            ..Judges::default()
        };
        let (was, missed) = (
            [
                "test_sub (test_calc.Calc.test_sub) (n=1)",
                "tests/test_calc.py::Calc::test_sub[3]",
                "math.test.mjs > subtracts",
                "example.com/box TestTable/two",
                "tests/test_calc.py",
                "test_calc (unittest.loader._FailedTest.test_calc)",
            ],
            "test_mul (unittest.loader._FailedTest.test_mul)",
        );
        let all: Vec<&str> = was.into_iter().chain([missed]).collect();
        let broken = judges.broken(&run(true, &[]), &run(false, &all), true);
        assert_eq!(broken, was);
        let all_known = judges.broken(&run(true, &[]), &run(false, &all), false);
        assert_eq!(all_known.len(), all.len());
        let still_red = judges.broken(&run(false, &was), &run(false, &all), true);
        assert!(still_red.is_empty(), "what fails either way was not bent");
        assert!(falls_silent(&run(true, &[]), &run(false, &[])));
        assert!(!falls_silent(&run(true, &[]), &run(false, &was)));
    }

    #[test]
    fn tests_and_definitions_are_put_back_as_they_were_and_new_ones_taken_away() {
        let sample = super::super::sample::mission(&[
            ("Makefile", "test:\n\tsh run.sh\n"),
            ("run.sh", "sh tests/a.sh\n"),
            ("tests/a.sh", "test 1 = 1\n"),
            ("tests/gone.sh", "true\n"),
            ("src.sh", "1\n"),
        ]);
        let repository = sample.bench.repository().unwrap();
        let base = &sample.base.commit;
        let path = sample.bench.place.lane("worker-1");
        let workspace = repository.workspace(&path, base, &[]).unwrap();
        let root = workspace.path();
        for (name, text) in [
            ("run.sh", "true\n"),
            ("GNUmakefile", "test:\n\ttrue\n"),
            ("tests/a.sh", "true\n"),
            ("tests/new.sh", "true\n"),
            ("src.sh", "2\n"),
        ] {
            fs::write(root.join(name), text).unwrap();
        }
        fs::remove_file(root.join("tests/gone.sh")).unwrap();
        let tree = repository.collect(&workspace, base).unwrap().tree;
        let when = super::super::sample::WHEN;
        let commit = repository.commit_attempt(base, &tree, "w\n", when).unwrap();
        let gate = Gate {
            id: "make-test".into(),
            kind: GateKind::Test,
            program: mission::gate::Program::Argv(vec!["make".into(), "test".into()]),
            directory: String::new(),
            timeout: mission::time::Millis(1),
            source: String::new(),
            defined_by: vec!["Makefile".into(), "run.sh".into()],
        };
        let definitions = BTreeSet::new();
        let ask = |since| Ask {
            gate: &gate,
            definitions: &definitions,
            base,
            since,
            commit: &commit,
            tree: &tree,
        };
        let judges = of(&repository, &ask(Some(base))).unwrap();
        let names = |put: &[Put]| put.iter().map(|put| put.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&judges.definitions), ["GNUmakefile", "run.sh"]);
        assert_eq!(names(&judges.tests), ["tests/a.sh", "tests/gone.sh"]);
        assert_eq!(names(&judges.new_tests), ["tests/new.sh"]);
        for list in [&judges.definitions, &judges.tests, &judges.new_tests] {
            put_back(root, list).unwrap();
        }
        let there = |name: &str| fs::read_to_string(root.join(name)).ok();
        assert_eq!(there("GNUmakefile"), None);
        assert_eq!(there("tests/new.sh"), None);
        assert_eq!(there("run.sh").as_deref(), Some("sh tests/a.sh\n"));
        assert_eq!(there("tests/a.sh").as_deref(), Some("test 1 = 1\n"));
        assert_eq!(there("tests/gone.sh").as_deref(), Some("true\n"));
        assert_eq!(there("src.sh").as_deref(), Some("2\n"), "the work stays");
        // What has landed was judged by its tests; only what defines the check is put back.
        let landed = of(&repository, &ask(None)).unwrap();
        assert_eq!(names(&landed.definitions), ["run.sh"]);
        assert!(landed.tests.is_empty() && landed.new_tests.is_empty());
    }
}
