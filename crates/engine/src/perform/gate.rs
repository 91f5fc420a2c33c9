//! Runs a gate on a clean checkout of the exact commit. Its outcome is the evidence.
//!
//! Where the change touches what judges it, the gate runs more than once: as the base defines it, as the change does, and
//! with the tests as they were before.

use super::judges::{self, Judges, Put};
use super::{Bench, Error, Line, ready};
use crate::room::Promised;
use mission::event::Purpose;
use mission::gate::{AsBefore, Gate, GateKind, GateResult, GateRun, TestCount};
use mission::ids::{AttemptId, CommitId, Digest, Epoch, TreeId};
use mission::input::Input;
use mission::mission::Mission;
use mission::time::Millis;
use mission::turn::Report;
use std::collections::BTreeSet;
use tokio_util::sync::CancellationToken;
use workbench::fault;
use workbench::gates::Runner;
use workbench::process;
use workbench::recipe::Recipe;
use workbench::workspace::Workspace;

/// The lane in which the base is looked at and gates run. There is one: gates run one at a time.
pub(crate) const LANE: &str = "gate-1";
/// The most files and names that evidence lists of what was put back.
const LISTED: usize = 50;

/// A gate to be run.
pub(crate) struct Job {
    epoch: Epoch,
    gate: Gate,
    commit: CommitId,
    tree: TreeId,
    /// Known once it begins.
    environment: Digest,
    /// The programs of the project's gates, whose versions are part of that.
    tools: BTreeSet<String>,
    base: CommitId,
    /// Where the work under judgement began, if it is work.
    since: Option<CommitId>,
    /// The test files of which it was said that they change.
    declared: BTreeSet<String>,
    /// The files that define the project's gates.
    definitions: BTreeSet<String>,
    /// What it is run for, in words.
    about: String,
}

pub(crate) fn job(
    mission: &Mission,
    epoch: Epoch,
    (gate, purpose): (&Gate, &Purpose),
    commit: &CommitId,
    tree: &TreeId,
) -> Job {
    let (since, attempts) = judged(mission, purpose);
    let reports = attempts
        .iter()
        .filter_map(|attempt| mission.task(attempt.task)?.report.as_ref());
    let declared = reports.flat_map(|report| match report {
        Report::Done { changed_tests, .. } => changed_tests.as_slice(),
        _ => &[],
    });
    let definitions = mission.gates().iter().flat_map(|gate| &gate.defined_by);
    Job {
        epoch,
        gate: gate.clone(),
        commit: commit.clone(),
        tree: tree.clone(),
        environment: Digest::of(b""),
        tools: super::set_up::tools_of(mission.gates()),
        base: mission
            .base()
            .map_or_else(|| commit.clone(), |base| base.commit.clone()),
        since,
        declared: declared
            .filter(|change| !change.why.trim().is_empty())
            .map(|change| change.path.clone())
            .collect(),
        definitions: definitions.cloned().collect(),
        about: crate::points::gate(gate, purpose),
    }
}

/// Where the work that a gate judges began, and whose work it is.
fn judged(mission: &Mission, purpose: &Purpose) -> (Option<CommitId>, Vec<AttemptId>) {
    match purpose {
        Purpose::Attempt { attempt } => {
            let base = mission
                .task(attempt.task)
                .and_then(|task| task.base.clone());
            (base.map(|(commit, _)| commit), vec![*attempt])
        }
        Purpose::Landing { .. } => match mission.landing() {
            Some(landing) => (Some(landing.onto.clone()), landing.attempts.clone()),
            None => (None, Vec::new()),
        },
        Purpose::Baseline | Purpose::Task { .. } | Purpose::Before { .. } | Purpose::Seal => {
            (None, Vec::new())
        }
    }
}

/// A count with no more names than are listed; the rest is still counted.
fn fewer_names(mut tests: TestCount) -> TestCount {
    let more = tests.failed.len().saturating_sub(LISTED);
    tests.failed.truncate(LISTED);
    tests.unnamed = tests
        .unnamed
        .saturating_add(u32::try_from(more).unwrap_or(u32::MAX));
    tests
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
    pub(crate) async fn perform(
        mut self,
        bench: &Bench,
        line: Line,
    ) -> Result<Option<Input>, Error> {
        let Some(_lane) = bench.lanes.enter(LANE, &line.cancel).await else {
            return Ok(None);
        };
        let (base, tools) = (&self.base, &self.tools);
        let environment = super::set_up::environment_now(bench, base, tools, &line.cancel).await;
        if line.cancel.is_cancelled() {
            return Ok(None);
        }
        self.environment = environment?;
        fault::of("gate.before", &self.about);
        let judges = self.judges(bench).await?;
        fault::of("gate.run before", &self.about);
        let ran = self.judge(bench, &judges, &line.cancel).await?;
        fault::of("gate.run after", &self.about);
        if line.cancel.is_cancelled() {
            return Ok(None);
        }
        Ok(ran.map(|run| Input::GateRan {
            epoch: self.epoch,
            run,
        }))
    }

    async fn judges(&self, bench: &Bench) -> Result<Judges, Error> {
        let (gate, base, since) = (self.gate.clone(), self.base.clone(), self.since.clone());
        let (commit, tree) = (self.commit.clone(), self.tree.clone());
        let definitions = self.definitions.clone();
        bench
            .with_repository(move |repository| {
                let ask = judges::Ask {
                    gate: &gate,
                    definitions: &definitions,
                    base: &base,
                    since: since.as_ref(),
                    commit: &commit,
                    tree: &tree,
                };
                judges::of(repository, &ask)
            })
            .await
    }

    /// Whether it belongs to one task, which may want to change what it looks at.
    fn is_of_a_task(&self) -> bool {
        self.gate.kind == GateKind::Acceptance
    }

    /// Every run that the gate needs; nothing if it was cancelled.
    async fn judge(
        &self,
        bench: &Bench,
        judges: &Judges,
        cancel: &CancellationToken,
    ) -> Result<Option<GateRun>, Error> {
        let run = async |put: &[&[Put]]| self.once(bench, put, cancel).await;
        let defined = judges.definitions.as_slice();
        if !self.is_of_a_task() && !defined.is_empty() {
            let Some(as_defined) = run(&[defined]).await? else {
                return Ok(None);
            };
            if !as_defined.result.passed() {
                // New tests may need what is newly defined. Then all that judged before must be green together.
                let (tests, new) = (judges.tests.as_slice(), judges.new_tests.as_slice());
                if tests.is_empty() && new.is_empty() {
                    return Ok(Some(as_defined));
                }
                match run(&[defined, tests, new]).await? {
                    Some(before) if before.result.passed() => {}
                    Some(_) => return Ok(Some(as_defined)),
                    None => return Ok(None),
                }
            }
        }
        // Green as the base defines the gate; now as the change defines it.
        let Some(mut ran) = run(&[]).await? else {
            return Ok(None);
        };
        let touched = !judges.tests.is_empty() || (self.is_of_a_task() && !defined.is_empty());
        let is_of_tests = matches!(self.gate.kind, GateKind::Test | GateKind::Acceptance);
        if touched && is_of_tests && (ran.result.passed() || ran.tests.is_some()) {
            let Some(as_before) = self.as_before(bench, judges, &ran, cancel).await? else {
                return Ok(None);
            };
            ran.as_before = Some(Box::new(as_before));
        }
        Ok(Some(ran))
    }

    /// The same with the tests as they were. What speaks against the work is believed if it is said twice.
    async fn as_before(
        &self,
        bench: &Bench,
        judges: &Judges,
        ran: &GateRun,
        cancel: &CancellationToken,
    ) -> Result<Option<AsBefore>, Error> {
        let (tests, defined) = (judges.tests.as_slice(), judges.definitions.as_slice());
        // A task's own command may name a new test file; the project's run whatever there is.
        let new: &[Put] = match self.is_of_a_task() {
            true => &[],
            false => &judges.new_tests,
        };
        let broken = |old: &GateRun| judges.broken(ran, old, self.is_of_a_task());
        let worse = |old: &GateRun| !broken(old).is_empty() || judges::falls_silent(ran, old);
        let Some(mut old) = self.once(bench, &[tests, defined, new], cancel).await? else {
            return Ok(None);
        };
        let first = broken(&old);
        if worse(&old) {
            let Some(again) = self.once(bench, &[tests, defined, new], cancel).await? else {
                return Ok(None);
            };
            old = again;
        }
        let names = |put: &[Put]| {
            put.iter()
                .map(|put| put.name.clone())
                .take(LISTED)
                .collect()
        };
        let undeclared: Vec<Put> = tests
            .iter()
            .filter(|put| !self.declared.contains(&put.name))
            .cloned()
            .collect();
        let is_undeclared = match worse(&old) {
            false => false,
            true if undeclared.is_empty() => false,
            true if undeclared.len() == tests.len() => true,
            true => match self
                .once(bench, &[&undeclared, defined, new], cancel)
                .await?
            {
                Some(alone) => worse(&alone),
                None => return Ok(None),
            },
        };
        let mut broken = broken(&old);
        broken.retain(|name| first.contains(name));
        broken.truncate(LISTED);
        Ok(Some(AsBefore {
            files: names(&[tests, if self.is_of_a_task() { defined } else { &[] }].concat()),
            undeclared: if is_undeclared {
                names(&undeclared)
            } else {
                Vec::new()
            },
            broken,
            result: old.result,
            tests: old.tests.map(fewer_names),
        }))
    }

    /// One run on a clean checkout in which some files are as they were; nothing if it was cancelled.
    async fn once(
        &self,
        bench: &Bench,
        put: &[&[Put]],
        cancel: &CancellationToken,
    ) -> Result<Option<GateRun>, Error> {
        let recipes = ready::recipes(bench)?;
        let (workspace, room) = self.workspace(bench, &recipes).await?;
        let lane = (LANE, ready::Use::Proof);
        let setup = ready::make_ready(bench, &recipes, &workspace, lane, cancel).await;
        drop(room);
        if cancel.is_cancelled() {
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
            return Ok(Some(self.broken_setup(failed)));
        }
        let (root, put) = (workspace.path().to_owned(), put.concat());
        super::blocking(move || judges::put_back(&root, &put).map_err(Error::new)).await?;
        let ran = runner(bench, &recipes)
            .run(
                &self.gate,
                &self.tree,
                workspace.path(),
                &self.environment,
                cancel,
            )
            .await;
        if cancel.is_cancelled() {
            return Ok(None);
        }
        ran.map(Some).map_err(Error::new)
    }

    /// The workspace, and the room that is promised to it until it is set up.
    async fn workspace(
        &self,
        bench: &Bench,
        recipes: &[Recipe],
    ) -> Result<(Workspace, Option<Promised>), Error> {
        let (path, commit, kept) = (
            bench.place.lane(LANE),
            self.commit.clone(),
            ready::kept(recipes),
        );
        let room = std::sync::Arc::clone(&bench.room);
        bench
            .with_repository(move |repository| {
                let promised = room.admits(&path)?;
                std::fs::create_dir_all(path.parent().unwrap_or(&path)).map_err(Error::new)?;
                let made = repository.workspace_again(&path, &commit, &kept);
                Ok((made.map_err(Error::new)?, promised))
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
            as_before: None,
            duration: Millis(0),
        }
    }
}
