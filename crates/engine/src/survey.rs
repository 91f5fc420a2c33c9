//! Looks at a project's checks without a mission: what was found, why, and what each says of the base.

use crate::clock::Clock;
use crate::perform::{Bench, Error as Failed, blocking, gate, prepare, set_up};
use crate::settings::Settings;
use mission::gate::GateRun;
use mission::work::Base;
use std::path::Path;
use std::{fs, io};
use tokio_util::sync::CancellationToken;
use workbench::checks::Detected;
use workbench::disk;
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

/// Looks at the project that a folder belongs to. With `run` every check is run on the base, red ones twice; without,
/// nothing of the project is run, its set-up included. Nothing
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
    let surveys = settings.layout.surveys();
    blocking(move || clear(&surveys).map_err(Failed::new)).await?;
    let bench = Bench::at(settings, place);
    let looked = look(&bench, folder, run, cancel).await;
    let root = bench.place.root().to_owned();
    // What went wrong with the look comes first: it may be why there is nothing to remove.
    let removed = blocking(move || disk::remove(&root).map_err(Failed::new)).await;
    let looked = looked?;
    removed?;
    Ok(looked)
}

/// Removes what looks left behind whose process was killed, one of this process's own number included.
fn clear(surveys: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(surveys) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let pid = entry.file_name().to_string_lossy().parse().ok();
        let other = pid.filter(|pid| *pid != std::process::id() as i32);
        let lives = other
            .and_then(rustix::process::Pid::from_raw)
            .is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok());
        if !lives {
            disk::remove(&entry.path()).map_err(io::Error::other)?;
        }
    }
    Ok(())
}

async fn look(
    bench: &Bench,
    folder: &Path,
    run: bool,
    cancel: &CancellationToken,
) -> Result<Survey, Error> {
    let job = prepare::Job {
        project: folder.to_owned(),
        // Without a pin: a look is over long before git prunes anything, and a killed one leaves nothing behind.
        name: String::new(),
        when: Clock::new().now(),
    };
    let (base, notes) = job.pin_in_turn(bench, cancel).await?;
    let (workspace, mut detected) = prepare::detect(bench, &base.commit, folder).await?;
    if !run {
        return Ok(Survey {
            base,
            detected,
            notes,
            baselines: Vec::new(),
        });
    }
    let (recipes, tools) = (&detected.recipes, set_up::tools_of(&detected.gates));
    let (failed, environment) = set_up::on_base(bench, recipes, &tools, &workspace, cancel).await?;
    detected.notes.extend(failed);
    let mut baselines = Vec::new();
    let runner = gate::runner(bench, &detected.recipes);
    for gate in &detected.gates {
        let ran = runner
            .baseline(gate, &base.tree, workspace.path(), &environment, cancel)
            .await;
        let (class, runs) = ran.map_err(Failed::new)?;
        baselines.extend(runs.into_iter().last().map(|run| (class, run)));
    }
    Ok(Survey {
        base,
        detected,
        notes,
        baselines,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_look_left_is_removed_and_a_running_one_is_left_alone() {
        let surveys = tempfile::tempdir().unwrap();
        // No process has this number: the kernel's highest is far below.
        let dead = surveys.path().join("2000000000");
        let ours = surveys.path().join(std::process::id().to_string());
        let parent = surveys
            .path()
            .join(std::os::unix::process::parent_id().to_string());
        for folder in [&dead, &ours, &parent] {
            fs::create_dir_all(folder.join("lanes")).unwrap();
        }
        clear(surveys.path()).unwrap();
        assert!(!dead.exists() && !ours.exists() && parent.exists());
        clear(&surveys.path().join("none")).unwrap();
    }
}
