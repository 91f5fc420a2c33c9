//! Looks at a project's checks without a mission: what was found, why, and what each says of the base.

use crate::clock::Clock;
use crate::perform::{Bench, Error as Failed, blocking, gate, prepare};
use crate::settings::Settings;
use mission::gate::GateRun;
use mission::work::Base;
use std::path::Path;
use tokio_util::sync::CancellationToken;
use workbench::checks::Detected;
use workbench::gates::Baseline;

/// A look at a project.
#[derive(Debug)]
pub struct Survey {
    /// What a mission would start from.
    pub base: Base,
    /// What the project's files say.
    pub detected: Detected,
    /// What is worth knowing of the base, in words.
    pub notes: Vec<String>,
    /// Each check's class with its last run, in the order of `detected.gates`; empty if none was run.
    pub baselines: Vec<(Baseline, GateRun)>,
}

/// Why a project cannot be looked at.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(#[from] Failed);

/// Looks at the project that a folder belongs to. With `run` every check is run on the base, red ones twice. Nothing
/// of the user's is changed, and what was made for the look is removed.
///
/// # Errors
/// The folder is no project, or a check could not be started at all.
pub async fn survey(
    settings: Settings,
    folder: &Path,
    run: bool,
    cancel: &CancellationToken,
) -> Result<Survey, Error> {
    let place = settings.layout.survey();
    let bench = Bench::at(settings, place);
    let looked = look(&bench, folder, run, cancel).await;
    let root = bench.place.root().to_owned();
    blocking(move || std::fs::remove_dir_all(&root).map_err(Failed::new)).await?;
    looked
}

async fn look(
    bench: &Bench,
    folder: &Path,
    run: bool,
    cancel: &CancellationToken,
) -> Result<Survey, Error> {
    let name = format!("survey-{}", std::process::id());
    let job = prepare::Job {
        project: folder.to_owned(),
        name,
        when: Clock::new().now(),
    };
    let (place, environment) = (bench.place.clone(), bench.settings.git.clone());
    let (base, notes) = blocking(move || {
        let found = job.pin(&place, &environment)?;
        job.unpin(&environment)?;
        Ok(found)
    })
    .await?;
    let found = prepare::find_gates(bench, &base.commit, cancel).await?;
    let mut baselines = Vec::new();
    if run {
        let runner = gate::runner(bench, &found.detected.recipes);
        for gate in &found.detected.gates {
            let ran = runner
                .baseline(
                    gate,
                    &base.tree,
                    found.workspace.path(),
                    &found.environment,
                    cancel,
                )
                .await;
            let (class, runs) = ran.map_err(Failed::new)?;
            baselines.extend(runs.into_iter().last().map(|run| (class, run)));
        }
    }
    Ok(Survey {
        base,
        detected: found.detected,
        notes,
        baselines,
    })
}
