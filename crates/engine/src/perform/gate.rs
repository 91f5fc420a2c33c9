//! Runs a gate on a clean checkout of the exact commit. Its outcome is the evidence.

use super::{Bench, Error, Line, ready};
use mission::gate::{Gate, GateResult, GateRun};
use mission::ids::{CommitId, Digest, Epoch, TreeId};
use mission::input::Input;
use mission::mission::Mission;
use mission::time::Millis;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use workbench::fault;
use workbench::gates::Runner;
use workbench::git::RepoPath;
use workbench::process;
use workbench::recipe::Recipe;
use workbench::repository::Content;
use workbench::testdiff;
use workbench::workspace::Workspace;

/// The largest file that may define a gate, in bytes.
const DEFINITION: usize = 4 << 20;
/// The lane in which gates run. There is one: gates run one at a time.
const LANE: &str = "gate-1";

/// A gate to be run.
pub(crate) struct Job {
    epoch: Epoch,
    gate: Gate,
    commit: CommitId,
    tree: TreeId,
    environment: Digest,
    base: CommitId,
}

pub(crate) fn job(
    mission: &Mission,
    epoch: Epoch,
    gate: &Gate,
    commit: &CommitId,
    tree: &TreeId,
) -> Job {
    Job {
        epoch,
        gate: gate.clone(),
        commit: commit.clone(),
        tree: tree.clone(),
        environment: mission
            .environment()
            .cloned()
            .unwrap_or_else(|| Digest::of(b"")),
        base: mission
            .base()
            .map_or_else(|| commit.clone(), |base| base.commit.clone()),
    }
}

/// What gates are run with.
pub(crate) fn runner(bench: &Bench, recipes: &[Recipe]) -> Runner {
    Runner {
        guard: bench.settings.guard.clone(),
        environment: process::clean(&bench.settings.environment, &ready::variables(recipes)),
        limits: process::Limits::default(),
    }
}

impl Job {
    pub(crate) async fn perform(self, bench: &Bench, line: Line) -> Result<Option<Input>, Error> {
        let Some(_lane) = bench.lanes.enter(LANE, &line.cancel).await else {
            return Ok(None);
        };
        fault::point("gate.before");
        let recipes = ready::recipes(bench)?;
        let workspace = self.workspace(bench, &recipes).await?;
        let lane = (LANE, ready::Use::Proof);
        let setup = ready::make_ready(bench, &recipes, &workspace, lane, &line.cancel).await;
        if line.cancel.is_cancelled() {
            return Ok(None);
        }
        let fault = setup?
            .into_iter()
            .find(|failed| !ready::fails_on_base(bench, failed));
        if let Some(failed) = fault
            && self.base != self.commit
        {
            // The base's own set-up is a matter of the machine and was told when the mission was prepared; one that
            // only this tree breaks is a fault of this tree.
            return Ok(Some(Input::GateRan {
                epoch: self.epoch,
                run: self.broken_setup(failed),
            }));
        }
        let runner = runner(bench, &recipes);
        let pinned = self.pin_definitions(bench, &workspace).await?;
        fault::point("gate.run before");
        let mut ran = runner
            .run(
                &self.gate,
                &self.tree,
                workspace.path(),
                &self.environment,
                &line.cancel,
            )
            .await;
        if pinned && ran.as_ref().is_ok_and(|run| run.result.passed()) {
            // Green as the base defines the gate; now as the change defines it.
            let workspace = self.workspace(bench, &recipes).await?;
            ran = runner
                .run(
                    &self.gate,
                    &self.tree,
                    workspace.path(),
                    &self.environment,
                    &line.cancel,
                )
                .await;
        }
        fault::point("gate.run after");
        if line.cancel.is_cancelled() {
            return Ok(None);
        }
        let run = ran.map_err(Error::new)?;
        Ok(Some(Input::GateRan {
            epoch: self.epoch,
            run,
        }))
    }

    async fn workspace(&self, bench: &Bench, recipes: &[Recipe]) -> Result<Workspace, Error> {
        let (path, commit, kept) = (
            bench.place.lane(LANE),
            self.commit.clone(),
            ready::kept(recipes),
        );
        bench
            .with_repository(move |repository| {
                std::fs::create_dir_all(path.parent().unwrap_or(&path)).map_err(Error::new)?;
                repository
                    .workspace(&path, &commit, &kept)
                    .map_err(Error::new)
            })
            .await
    }

    /// Puts back what defines the gate as the base has it, where the change defines it otherwise. Tells whether it did.
    async fn pin_definitions(&self, bench: &Bench, workspace: &Workspace) -> Result<bool, Error> {
        if self.gate.defined_by.is_empty() || self.commit == self.base {
            return Ok(false);
        }
        let (base, tree, root) = (
            self.base.clone(),
            self.tree.clone(),
            workspace.path().to_owned(),
        );
        let paths = self.gate.defined_by.clone();
        bench
            .with_repository(move |repository| {
                let before = repository.tree_of(&base).map_err(Error::new)?;
                let mut pinned = false;
                for name in &paths {
                    let Ok(path) = RepoPath::new(name.as_bytes()) else {
                        continue;
                    };
                    let read = |tree: &TreeId| {
                        repository
                            .read_file(tree, &path, DEFINITION)
                            .map_err(Error::new)
                    };
                    let (
                        Some(Content::File {
                            bytes: old,
                            executable,
                            ..
                        }),
                        now,
                    ) = (read(&before)?, read(&tree)?)
                    else {
                        continue;
                    };
                    let new = match &now {
                        Some(Content::File { bytes, .. }) => Some(bytes.as_slice()),
                        _ => None,
                    };
                    let facts = testdiff::facts([testdiff::Touched {
                        path: name,
                        base: Some(&old),
                        new,
                    }]);
                    if !facts.gate_definitions_changed.is_empty() || !facts.runner_bent.is_empty() {
                        put_back(&root, name, &old, executable).map_err(Error::new)?;
                        pinned = true;
                    }
                }
                Ok(pinned)
            })
            .await
    }

    fn broken_setup(&self, failed: ready::SetupFailed) -> GateRun {
        GateRun {
            gate: self.gate.id.clone(),
            command: self.gate.command(),
            tree: self.tree.clone(),
            environment: self.environment.clone(),
            result: GateResult::Failed { exit: 1 },
            output: Digest::of(failed.tail.as_bytes()),
            tail: format!(
                "the set-up `{}` failed on this tree:\n{}",
                failed.command, failed.tail
            ),
            tests: None,
            duration: Millis(0),
        }
    }
}

/// Writes a file anew in a workspace. Whatever stands in its way goes, links above all: the work under judgement chose
/// where they lead.
fn put_back(root: &Path, name: &str, bytes: &[u8], executable: bool) -> io::Result<()> {
    let mut path = root.to_owned();
    let mut parts = Path::new(name).components().peekable();
    while let Some(part) = parts.next() {
        path.push(part);
        let found = std::fs::symlink_metadata(&path);
        let is_folder = found.as_ref().is_ok_and(std::fs::Metadata::is_dir);
        let above = parts.peek().is_some();
        match found {
            Ok(_) if is_folder && !above => std::fs::remove_dir_all(&path)?,
            Ok(_) if !is_folder => std::fs::remove_file(&path)?,
            _ => {}
        }
        if above && !is_folder {
            std::fs::create_dir(&path)?;
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

    #[test]
    fn a_definition_is_put_back_in_the_workspace_and_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
        for folder in [&root, &outside] {
            std::fs::create_dir(folder).unwrap();
        }
        let theirs = outside.join("package.json");
        std::fs::write(&theirs, "theirs").unwrap();
        std::os::unix::fs::symlink(&theirs, root.join("package.json")).unwrap();
        std::os::unix::fs::symlink(&outside, root.join("web")).unwrap();
        std::fs::create_dir(root.join("Makefile")).unwrap();
        for name in ["package.json", "web/package.json", "Makefile", "a/b/test"] {
            put_back(&root, name, b"base", name.ends_with("test")).unwrap();
            assert_eq!(std::fs::read(root.join(name)).unwrap(), b"base");
        }
        assert_eq!(std::fs::read(&theirs).unwrap(), b"theirs");
        assert!(!root.join("web").is_symlink());
    }
}
