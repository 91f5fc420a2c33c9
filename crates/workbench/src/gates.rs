//! Running gates: a command becomes evidence.
//!
//! The exit code decides whether a gate passed, and nothing else does. What a test runner prints is read for people and
//! for comparisons between runs, and what a shell prints is read to tell "it failed" from "it could not be run".

mod counts;
mod environment;
mod lines;
mod signs;

pub use environment::{Environment, Locks};

use crate::guard::Guard;
use crate::process::{self, Command, End, Limits};
use counts::Counts;
use lines::Lines;
use mission::gate::{Gate, GateResult, GateRun, Program};
use mission::ids::{Digest, TreeId};
use mission::time::Millis;
use serde::{Deserialize, Serialize};
use signs::Signs;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Why there is no evidence. None of these says anything about the tree.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The run was cancelled.
    #[error("gate `{gate}` was cancelled")]
    Cancelled {
        /// The gate's name.
        gate: String,
    },
    /// The gate's folder is not a folder inside the workspace.
    #[error(
        "gate `{gate}` wants to run in `{directory}`, which is not a folder inside the workspace; correct the gate"
    )]
    Misplaced {
        /// The gate's name.
        gate: String,
        /// The folder as the gate names it.
        directory: String,
    },
    /// The guard was killed or failed while the gate ran.
    #[error("gate `{gate}` lost its guard ({why}); run it again")]
    GuardLost {
        /// The gate's name.
        gate: String,
        /// What is known.
        why: String,
    },
    /// The command could not be run for a reason of ours.
    #[error("gate `{gate}`: {source}")]
    Process {
        /// The gate's name.
        gate: String,
        /// The reason.
        source: process::Error,
    },
}

/// What all gates of a workspace are run with.
#[derive(Clone, Debug)]
pub struct Runner {
    /// How a guard is started.
    pub guard: Guard,
    /// The environment of every gate, whole; see [`process::clean`]. `CI=true` is added unless it is set: without it
    /// some runners wait for changes instead of ending, or write new snapshots instead of comparing.
    pub environment: BTreeMap<OsString, OsString>,
    /// What a gate may take. [`Limits::wall`] is not used: each gate has its own.
    pub limits: Limits,
}

impl Runner {
    /// Runs one gate once, in a workspace that holds `tree`, and gives the evidence.
    ///
    /// `environment` is [`Environment::digest`] of what the workspace was prepared with.
    ///
    /// # Errors
    ///
    /// Only what is no property of the tree; a gate that fails, crashes or hangs is evidence.
    pub async fn run(
        &self,
        gate: &Gate,
        tree: &TreeId,
        workspace: &Path,
        environment: &Digest,
        cancel: &CancellationToken,
    ) -> Result<GateRun, Error> {
        let mut lines = Lines::default();
        let root = workspace
            .canonicalize()
            .unwrap_or_else(|_| workspace.to_owned());
        let mut counts = Counts::new(&root.to_string_lossy());
        let mut signs = Signs::default();
        let command = self.command(gate, workspace)?;
        let mut read = |line: &str| {
            counts.line(line);
            signs.line(line);
        };
        let ran = command
            .run(&self.guard, cancel, &mut |piece| {
                lines.push(piece, &mut read);
            })
            .await;
        lines.finish(&mut read);
        let finished = ran.map_err(|source| Error::Process {
            gate: gate.id.clone(),
            source,
        })?;
        Ok(GateRun {
            gate: gate.id.clone(),
            command: gate.command(),
            tree: tree.clone(),
            environment: environment.clone(),
            result: self.classify(gate, finished.end, &signs)?,
            output: finished.output.digest,
            tail: finished.output.tail,
            tests: counts.finish(),
            as_before: None,
            duration: Millis(u64::try_from(finished.duration.as_millis()).unwrap_or(u64::MAX)),
        })
    }

    /// Runs one gate on the untouched base: once, and a second time if it did not pass, to tell red from flaky. A
    /// second run of what could not be run at all is saved.
    ///
    /// # Errors
    ///
    /// As [`Runner::run`].
    pub async fn baseline(
        &self,
        gate: &Gate,
        tree: &TreeId,
        workspace: &Path,
        environment: &Digest,
        cancel: &CancellationToken,
    ) -> Result<(Baseline, Vec<GateRun>), Error> {
        let mut runs = vec![self.run(gate, tree, workspace, environment, cancel).await?];
        if !runs[0].result.passed() && runs[0].result.conclusive() {
            runs.push(self.run(gate, tree, workspace, environment, cancel).await?);
        }
        let (first, others) = runs.split_first().expect("a gate was run");
        Ok((classify_baseline(first, others), runs))
    }

    fn command(&self, gate: &Gate, workspace: &Path) -> Result<Command, Error> {
        let misplaced = || Error::Misplaced {
            gate: gate.id.clone(),
            directory: gate.directory.clone(),
        };
        let plain = Path::new(&gate.directory)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        let resolved = |path: PathBuf| path.canonicalize().map_err(|_| misplaced());
        let (root, directory) = (
            resolved(workspace.to_owned())?,
            resolved(workspace.join(&gate.directory))?,
        );
        if !plain || !directory.starts_with(&root) || !directory.is_dir() {
            return Err(misplaced());
        }
        let mut environment = self.environment.clone();
        environment
            .entry("CI".into())
            .or_insert_with(|| "true".into());
        Ok(Command {
            program: gate.program.clone(),
            directory,
            environment,
            limits: Limits {
                wall: Duration::from_millis(gate.timeout.0),
                ..self.limits.clone()
            },
            spill: None,
        })
    }

    fn classify(&self, gate: &Gate, end: End, signs: &Signs) -> Result<GateResult, Error> {
        let failed = |exit: i32| {
            if let Some(tool) = signs.missing_tool(exit) {
                return GateResult::MissingTool {
                    tool: tool.to_owned(),
                };
            }
            match signs.service() {
                Some(what) => GateResult::NeedsService {
                    what: what.to_owned(),
                },
                None => GateResult::Failed { exit },
            }
        };
        Ok(match end {
            End::Exited(0) => GateResult::Passed,
            End::Exited(exit) => failed(exit),
            End::Signalled(signal) => GateResult::Crashed { signal },
            End::NotStarted(errno) if errno == rustix::io::Errno::NOENT.raw_os_error() => {
                GateResult::MissingTool {
                    tool: name(&gate.program),
                }
            }
            End::NotStarted(_) => GateResult::Failed { exit: 126 },
            End::TimedOut => GateResult::TimedOut,
            End::TooMuchOutput => GateResult::OverLimit {
                what: format!("more than {} bytes of output", self.limits.output),
            },
            End::TooManyProcesses(n) => GateResult::OverLimit {
                what: format!(
                    "{n} processes at once, more than the {} allowed",
                    self.limits.processes
                ),
            },
            End::Cancelled => {
                return Err(Error::Cancelled {
                    gate: gate.id.clone(),
                });
            }
            End::GuardLost(why) => {
                return Err(Error::GuardLost {
                    gate: gate.id.clone(),
                    why,
                });
            }
        })
    }
}

fn name(program: &Program) -> String {
    match program {
        Program::Argv(words) => words.first().cloned().unwrap_or_default(),
        Program::Shell(_) => "sh".to_owned(),
    }
}

/// What a gate says of the untouched base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Baseline {
    /// It passes.
    Green,
    /// It does not pass, every time: it must not get worse.
    Red {
        /// Tests that failed in any run, sorted; empty where the runner is not one we read.
        failing: Vec<String>,
        /// Those of them that did not fail in every run.
        flaky: Vec<String>,
    },
    /// It passes sometimes.
    Flaky {
        /// Tests that failed in any run, sorted.
        failing: Vec<String>,
    },
    /// It cannot be run: the program is not there.
    MissingTool {
        /// The program's name.
        tool: String,
    },
    /// It cannot be run: a service does not answer.
    NeedsService {
        /// What it said of it, shortened.
        what: String,
    },
}

/// Classes a gate by its runs on the untouched base, all on the same tree.
///
/// One run that passed and one that did not are flaky, whatever the reason. Red needs the last word of no run: a single
/// red run is red too, only less certain.
pub fn classify_baseline(first: &GateRun, others: &[GateRun]) -> Baseline {
    let runs = || std::iter::once(first).chain(others);
    let failed = |run: &GateRun| -> BTreeSet<String> {
        run.tests
            .iter()
            .flat_map(|tests| tests.failed.clone())
            .collect()
    };
    let any: BTreeSet<_> = runs().flat_map(failed).collect();
    let passed = runs().filter(|run| run.result.passed()).count();
    if passed == others.len() + 1 {
        return Baseline::Green;
    }
    if passed > 0 {
        return Baseline::Flaky {
            failing: any.into_iter().collect(),
        };
    }
    for run in runs() {
        match &run.result {
            GateResult::MissingTool { tool } => {
                return Baseline::MissingTool { tool: tool.clone() };
            }
            GateResult::NeedsService { what } => {
                return Baseline::NeedsService { what: what.clone() };
            }
            _ => {}
        }
    }
    let flaky = any
        .iter()
        .filter(|name| !runs().all(|run| failed(run).contains(*name)))
        .cloned()
        .collect();
    Baseline::Red {
        failing: any.into_iter().collect(),
        flaky,
    }
}
