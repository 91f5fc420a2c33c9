//! What a Worker would otherwise look up first: what its task's files define, and which tests name them.
//!
//! It is read while other agents work, for tasks that wait, and kept by the content that it was read from: a task that
//! starts later, on files that have changed since, is told of them as they are then. Nothing of it decides anything, and
//! what cannot be read is left out.

use super::context::Origin;
use super::outline::{definitions, is_test, stem, words};
use super::{Bench, Error};
use crate::doing::{self, Pack as Noted};
use crate::layout::Place;
use agents::brief::Assignment;
use mission::event::Turn;
use mission::ids::{CommitId, Digest, TaskId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;
use workbench::repository::MissionRepository;

/// The most files of a task whose definitions are told.
const FILES: usize = 12;
/// The most tests that are looked into for one task, each a call of git where it is not known yet.
const TESTS: usize = 40;
/// The most tests that are named.
const NAMED: usize = 10;
/// The most of a file that is read, in bytes; definitions stand at the beginning of long ones too.
const READ: usize = 64 * 1024;
/// The most that a brief carries of definitions, in bytes: about as much as a Worker reads in one call.
const BYTES: usize = 6_000;
/// The most files that are remembered. Beyond that all are read anew, which costs time and nothing else.
const KEPT: usize = 4_000;
/// The most waiting tasks that are looked up while an agent works.
pub(crate) const AHEAD: usize = 8;
/// The most files of a repository that are looked at.
const LOOKED_AT: usize = 20_000;
/// The mode of a plain file, and of one that may be run.
const PLAIN: [u32; 2] = [0o100_644, 0o100_755];

/// A task that waits, and what it is expected to write.
pub(crate) type Waiting = (TaskId, Vec<String>);

/// What was read of one content.
#[derive(Debug)]
struct Looked {
    definitions: Vec<String>,
    words: BTreeSet<String>,
}

/// What was read so far, by content.
#[derive(Debug, Default)]
pub(crate) struct Packs {
    known: Mutex<BTreeMap<Digest, Arc<Looked>>>,
}

/// What is known of a task's files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pack {
    /// Of each file what it defines, a line each.
    pub(crate) defines: Vec<(String, Vec<String>)>,
    /// Tests that name one of them.
    pub(crate) tests: Vec<String>,
    /// How many files it was made of.
    looked: usize,
    /// How many of them had to be read for it: the others were known.
    read: usize,
}

impl Pack {
    /// With one file more.
    fn with(&mut self, (looked, was_read): (Arc<Looked>, bool)) -> Arc<Looked> {
        self.looked += 1;
        self.read += usize::from(was_read);
        looked
    }
}

impl Packs {
    fn known(&self, id: &Digest) -> Option<Arc<Looked>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(id).cloned()
    }

    /// What a file holds, and whether it was read for that now: what was read of the same content before is known.
    fn look(
        &self,
        repository: &MissionRepository,
        path: &str,
        id: &Digest,
    ) -> Result<(Arc<Looked>, bool), Error> {
        if let Some(known) = self.known(id) {
            return Ok((known, false));
        }
        let (bytes, _) = repository.blob(id, READ).map_err(Error::new)?;
        let text = String::from_utf8_lossy(&bytes);
        let words = match is_test(path) {
            true => words(&text),
            false => BTreeSet::new(),
        };
        let looked = Arc::new(Looked {
            definitions: definitions(path, &text),
            words,
        });
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(id.clone(), Arc::clone(&looked));
        Ok((looked, true))
    }

    /// What a Worker is told of its files. One that cannot be told of them looks for itself. Whether it was looked up
    /// beforehand is noted.
    pub(super) fn told(
        &self,
        repository: &MissionRepository,
        (place, turn): (&Place, Turn),
        (base, origin): (&CommitId, &Origin),
        assignment: &Assignment,
    ) -> Pack {
        let about = (origin.files.as_slice(), assignment.writes.as_slice());
        let found = self.of(repository, base, about, &CancellationToken::new());
        let found = found.unwrap_or_else(|error| {
            tracing::warn!(%error, "what a task's files define could not be told");
            Pack::default()
        });
        doing::change(place, |doing| {
            let noted = match turn {
                Turn::Work { attempt } => doing.ready.packs.get_mut(&attempt.task),
                _ => None,
            };
            if let Some(noted) = noted.filter(|noted| **noted == Noted::Waits) {
                *noted = match found.read {
                    0 => Noted::Used,
                    _ => Noted::Stale,
                };
            }
        });
        found
    }

    /// What is known of a task's files on a commit, as far as they were there when the mission began.
    pub(super) fn of(
        &self,
        repository: &MissionRepository,
        base: &CommitId,
        (there, writes): (&[String], &[String]),
        over: &CancellationToken,
    ) -> Result<Pack, Error> {
        let tree = repository.tree_of(base).map_err(Error::new)?;
        let (files, _) = repository
            .list_files(&tree, LOOKED_AT)
            .map_err(Error::new)?;
        let files: BTreeMap<String, Digest> = files
            .into_iter()
            .filter(|file| PLAIN.contains(&file.mode))
            .map(|file| (file.path.to_string(), file.id))
            .collect();
        let mut pack = Pack::default();
        let mut told = 0;
        let own = there.iter().filter(|path| writes.contains(path));
        for path in own.take(FILES) {
            let Some(id) = files.get(path).filter(|_| !over.is_cancelled()) else {
                continue;
            };
            let looked = pack.with(self.look(repository, path, id)?);
            let mut lines = looked.definitions.clone();
            lines.retain(|line| {
                told += line.len() + 1;
                told <= BYTES
            });
            if !lines.is_empty() {
                pack.defines.push((path.clone(), lines));
            }
        }
        // What a task is to write may not be there yet, and its tests may.
        let stems: BTreeSet<&str> = writes.iter().filter_map(|path| stem(path)).collect();
        let tests = there.iter().filter(|path| is_test(path)).take(TESTS);
        for path in tests {
            let Some(id) = files.get(path).filter(|_| !over.is_cancelled()) else {
                continue;
            };
            let looked = pack.with(self.look(repository, path, id)?);
            let names = stems.iter().any(|stem| looked.words.contains(*stem));
            if names && !writes.contains(path) && pack.tests.len() < NAMED {
                pack.tests.push(path.clone());
            }
        }
        Ok(pack)
    }
}

/// While an agent works, looks up what tasks that wait will be told; what is not done when the agent is, is left.
pub(super) async fn beside<T>(
    agent: impl Future<Output = T>,
    bench: &Bench,
    (base, waiting): (&CommitId, &[Waiting]),
    cancel: &CancellationToken,
) -> T {
    let over = cancel.child_token();
    let agent = async {
        let ended = agent.await;
        over.cancel();
        ended
    };
    tokio::join!(agent, ahead(bench, base, waiting, &over)).0
}

/// Looks up what tasks that wait will be told, until `over`. What goes wrong is told where it is needed.
async fn ahead(bench: &Bench, base: &CommitId, waiting: &[Waiting], over: &CancellationToken) {
    let Some(there) = bench.origin.get().map(|origin| origin.files.clone()) else {
        return;
    };
    let (packs, base) = (Arc::clone(&bench.packs), base.clone());
    let (waiting, until, place) = (waiting.to_vec(), over.clone(), bench.place.clone());
    let looked = bench
        .with_repository(move |repository| {
            let mut made = Vec::new();
            for (task, writes) in &waiting {
                let pack = packs.of(repository, &base, (&there, writes), &until)?;
                if until.is_cancelled() {
                    break;
                }
                made.extend((pack.looked > 0).then_some(*task));
            }
            doing::change(&place, |doing| {
                for task in made {
                    doing.ready.packs.entry(task).or_insert(Noted::Waits);
                }
            });
            Ok(())
        })
        .await;
    if let Err(error) = looked {
        tracing::debug!(%error, "what waiting tasks are about could not be looked up beforehand");
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use std::time::Instant;

    const LOGIN: &str = "use x;\n\npub fn login(user: &str) -> bool {\n    true\n}\n";

    fn all(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_task_is_told_what_its_files_define_and_which_tests_name_them() {
        let sample = sample::mission(&[
            ("src/login.rs", LOGIN),
            ("src/other.rs", "fn other() {}\n"),
            ("tests/entry.rs", "use app::login;\n"),
            ("tests/far.rs", "use app::other;\n"),
        ]);
        let repository = sample.bench.repository().unwrap();
        let base = &sample.base.commit;
        let there = all(&[
            "src/login.rs",
            "src/other.rs",
            "tests/entry.rs",
            "tests/far.rs",
        ]);
        let writes = all(&["src/login.rs", "src/new.rs"]);
        let (packs, never) = (Packs::default(), CancellationToken::new());
        let start = Instant::now();
        let pack = packs.of(&repository, base, (&there, &writes), &never);
        println!("looked up in {:?}", start.elapsed());
        let told = Pack {
            defines: vec![(
                "src/login.rs".into(),
                vec!["3: pub fn login(user: &str) -> bool".into()],
            )],
            tests: all(&["tests/entry.rs"]),
            looked: 3,
            read: 3,
        };
        assert_eq!(pack.unwrap(), told);
        assert_eq!(
            packs.known.lock().unwrap().len(),
            3,
            "one of four is no test and not its own"
        );
        let start = Instant::now();
        let again = packs.of(&repository, base, (&there, &writes), &never);
        println!("looked up again in {:?}", start.elapsed());
        assert_eq!(again.unwrap(), Pack { read: 0, ..told });
    }

    #[tokio::test]
    async fn what_was_looked_up_beforehand_is_told_as_it_is_when_the_task_starts() {
        let sample = sample::mission(&[("src/login.rs", LOGIN)]);
        let repository = sample.bench.repository().unwrap();
        let base = &sample.base.commit;
        let origin = Origin::read(&repository, base).unwrap();
        sample.bench.origin.set(origin).unwrap();
        let origin = sample.bench.origin.get().unwrap();
        let (there, never) = (all(&["src/login.rs"]), CancellationToken::new());
        // One is there, one is to be made, and one whose Worker begins before anything lands.
        let waiting = [
            (TaskId(1), there.clone()),
            (TaskId(2), all(&["src/new.rs"])),
            (TaskId(3), there.clone()),
        ];
        ahead(&sample.bench, base, &waiting, &never).await;
        let packs = &sample.bench.packs;
        assert_eq!(packs.known.lock().unwrap().len(), 1);
        let place = &sample.bench.place;
        let noted = || doing::seen(place).ready.packs;
        let waits = [(TaskId(1), Noted::Waits), (TaskId(3), Noted::Waits)];
        assert_eq!(noted(), waits.into(), "of nothing nothing is noted");
        let asks = Assignment {
            writes: there.clone(),
            ..Assignment::default()
        };
        let told = |attempt: &str, at| {
            let attempt = attempt.parse().unwrap();
            let of = (place, Turn::Work { attempt });
            packs.told(&repository, of, (at, origin), &asks)
        };
        assert_eq!(told("T3.1", base).defines.len(), 1);
        // Another task has landed meanwhile.
        std::fs::create_dir_all(sample.bench.place.lanes()).unwrap();
        let lane = sample.bench.place.lane("worker-1");
        let workspace = repository.workspace(&lane, base, &[]).unwrap();
        std::fs::write(lane.join("src/login.rs"), "fn logout() {}\n").unwrap();
        let tree = repository.collect(&workspace, base).unwrap().tree;
        let landed = repository
            .commit_attempt(base, &tree, "landed\n", sample::WHEN)
            .unwrap();
        let pack = told("T1.1", &landed);
        let now = vec![(
            "src/login.rs".to_owned(),
            vec!["1: fn logout() {}".to_owned()],
        )];
        assert_eq!(pack.defines, now);
        let ended = [(TaskId(1), Noted::Stale), (TaskId(3), Noted::Used)];
        assert_eq!(noted(), ended.into());
        // What was told once stays told, whatever is looked up for the same task later.
        ahead(&sample.bench, &landed, &waiting, &never).await;
        told("T1.2", &landed);
        assert_eq!(noted(), ended.into());
    }

    #[tokio::test]
    async fn nothing_is_looked_up_any_more_when_the_agent_is_done() {
        let sample = sample::mission(&[("src/login.rs", LOGIN)]);
        let repository = sample.bench.repository().unwrap();
        let origin = Origin::read(&repository, &sample.base.commit).unwrap();
        sample.bench.origin.set(origin).unwrap();
        let over = CancellationToken::new();
        over.cancel();
        let waiting = [(TaskId(1), all(&["src/login.rs"]))];
        ahead(&sample.bench, &sample.base.commit, &waiting, &over).await;
        assert!(sample.bench.packs.known.lock().unwrap().is_empty());
        let noted = doing::seen(&sample.bench.place).ready.packs;
        assert!(noted.is_empty(), "{noted:?}");
    }

    #[test]
    fn definitions_of_many_files_are_bounded() {
        let text: String = (0..100)
            .map(|n| format!("fn {}{n}() {{}}\n", "x".repeat(90)))
            .collect();
        let files: Vec<(String, String)> = (0..30)
            .map(|n| (format!("f{n:02}.rs"), text.clone()))
            .collect();
        let files: Vec<(&str, &str)> = files
            .iter()
            .map(|(p, t)| (p.as_str(), t.as_str()))
            .collect();
        let sample = sample::mission(&files);
        let repository = sample.bench.repository().unwrap();
        let names: Vec<String> = files.iter().map(|(path, _)| (*path).to_owned()).collect();
        let never = CancellationToken::new();
        let pack = Packs::default().of(&repository, &sample.base.commit, (&names, &names), &never);
        let lines = pack.unwrap().defines;
        let bytes: usize = lines
            .iter()
            .flat_map(|(_, lines)| lines)
            .map(String::len)
            .sum();
        assert!(
            (5_000..=BYTES).contains(&bytes) && lines.len() <= FILES,
            "{bytes}"
        );
    }
}
