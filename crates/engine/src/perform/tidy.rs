//! Removes workspaces once a mission is over. What was not landed is kept first.

use super::turn::is_handed_in;
use super::{Bench, Error};
use mission::ids::AttemptId;
use mission::input::Input;
use mission::mission::{Mission, State};
use mission::time::Timestamp;
use workbench::fault;
use workbench::git::RefName;
use workbench::repository::MissionRepository;
use workbench::workspace::Workspace;

/// A mission to be tidied.
pub(crate) struct Job {
    n: u32,
    /// Attempts whose work was not landed.
    open: Vec<(AttemptId, mission::ids::CommitId)>,
    when: Timestamp,
}

pub(crate) fn job(mission: &Mission, n: u32) -> Job {
    let open = mission.tasks().filter(|task| task.state != State::Landed);
    let open = open
        .filter_map(|task| Some((task.attempt(), mission.work(task.attempt())?.commit.clone())));
    Job {
        n,
        open: open.collect(),
        when: mission.opened(),
    }
}

impl Job {
    pub(crate) async fn perform(self, bench: &Bench) -> Result<Input, Error> {
        let n = self.n;
        let (place, lanes) = (bench.place.clone(), bench.place.lanes());
        let notes = bench
            .place
            .lane_note("x")
            .parent()
            .map(std::path::Path::to_owned);
        if !bench.place.root().join("repo.git").exists() {
            return Ok(Input::Cleaned {
                n: self.n,
                rescued: 0,
            });
        }
        let _all = bench.lanes.clear().await?;
        let rescued = bench
            .with_repository(move |repository| {
                fault::point("tidy.before");
                let mut rescued = 0;
                for (attempt, commit) in &self.open {
                    let kept = RefName::branch(&format!("rescue/{attempt}")).map_err(Error::new)?;
                    repository.land(&kept, None, commit).map_err(Error::new)?;
                    fault::point("tidy.attempt kept");
                    rescued += 1;
                }
                // Beside the workspaces lies the engine's side of each: what a workspace was set to. It goes with its
                // workspace, and never before, since without it nothing can be told of what the workspace holds.
                let all = folders(&lanes)?;
                // What was brought along goes with the workspaces, so nobody may count on it from here on.
                let notes = notes.filter(|notes| notes.exists());
                let every = notes.as_deref().map(folders).transpose()?;
                for note in every.into_iter().flatten() {
                    let name = note.file_name().unwrap_or_default().to_string_lossy();
                    if name.contains(".recipe-") {
                        std::fs::remove_file(&note).map_err(Error::new)?;
                    }
                }
                for lane in all.iter().filter(|lane| is_workspace(lane)) {
                    workbench::workspace::clear_the_way(lane).map_err(Error::new)?;
                    let Some(workspace) = repository.workspace_at(lane).map_err(Error::new)? else {
                        continue;
                    };
                    let name = lane.file_name().unwrap_or_default().to_string_lossy();
                    // What was handed in stands in a commit already.
                    let handed_in = std::fs::read_to_string(place.lane_note(&name))
                        .is_ok_and(|note| is_handed_in(&note));
                    if name.starts_with("worker-") && !handed_in {
                        // Named by the seal too: a mission that goes on and ends again keeps both.
                        let name = format!("{name}-{n}");
                        rescued += kept(repository, &workspace, &name, self.when)?;
                        fault::point("tidy.lane rescued");
                    }
                    repository.remove(&workspace).map_err(Error::new)?;
                    fault::point("tidy.lane removed");
                }
                for rest in all.iter().filter(|rest| rest.exists()) {
                    std::fs::remove_dir_all(rest).map_err(Error::new)?;
                    fault::point("tidy.folder removed");
                }
                if let Some(notes) = notes {
                    std::fs::remove_dir_all(notes).map_err(Error::new)?;
                }
                fault::point("tidy.after");
                Ok(rescued)
            })
            .await?;
        Ok(Input::Cleaned { n, rescued })
    }
}

/// Keeps what a workspace holds, and tells how much was kept. What its agent did to it must not keep it from going.
fn kept(
    repository: &MissionRepository,
    workspace: &Workspace,
    name: &str,
    when: Timestamp,
) -> Result<u32, Error> {
    match repository.rescue(workspace, name, when) {
        Err(error) if error.spoiled().is_some() => {
            tracing::warn!(%error, "nothing could be kept");
            Ok(0)
        }
        kept => Ok(u32::from(kept.map_err(Error::new)?.is_some())),
    }
}

/// Whether a folder among the lanes is one to work in: `worker-1`, `front`. The engine's side is named by digests.
fn is_workspace(lane: &std::path::Path) -> bool {
    let name = lane.file_name().unwrap_or_default().to_string_lossy();
    name == "front" || name.contains('-')
}

fn folders(lanes: &std::path::Path) -> Result<Vec<std::path::PathBuf>, Error> {
    let entries = match std::fs::read_dir(lanes) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(Error::new)?,
    };
    let mut folders = Vec::new();
    for entry in entries {
        folders.push(entry.map_err(Error::new)?.path());
    }
    folders.sort();
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[tokio::test]
    async fn what_a_worker_left_is_kept_before_its_workspace_goes() {
        let sample = sample::mission(&[("a.txt", "a\n")]);
        let lane = sample.bench.place.lane("worker-1");
        std::fs::create_dir_all(sample.bench.place.lanes()).unwrap();
        let repository = sample.bench.repository().unwrap();
        for seal in [1, 2] {
            repository
                .workspace(&lane, &sample.base.commit, &[])
                .unwrap();
            std::fs::write(lane.join("b.txt"), format!("unfinished {seal}\n")).unwrap();
            let job = Job {
                n: seal,
                open: Vec::new(),
                when: sample::WHEN,
            };
            let cleaned = job.perform(&sample.bench).await.unwrap();
            assert_eq!(
                cleaned,
                Input::Cleaned {
                    n: seal,
                    rescued: 1
                }
            );
            assert_eq!(folders(&sample.bench.place.lanes()).unwrap().len(), 0);
        }
        for seal in [1, 2] {
            let kept = format!("repo.git/refs/rescue/worker-1-{seal}");
            assert!(sample.bench.place.root().join(kept).is_file());
        }
    }
}
