//! Removes workspaces once a mission is over. What was not landed is kept first.

use super::turn::{Works, unkept, works};
use super::{Bench, Error, sessions, still_owed};
use mission::ids::{AttemptId, MissionId};
use mission::input::Input;
use mission::mission::{Mission, State};
use mission::time::Timestamp;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;
use workbench::disk;
use workbench::fault;
use workbench::git::RefName;
use workbench::repository::MissionRepository;
use workbench::workspace::Workspace;

/// A mission to be tidied.
pub(crate) struct Job {
    n: u32,
    /// Whose sessions are closed.
    whose: (MissionId, String),
    /// So many of them are known.
    sessions: usize,
    /// Attempts whose work was not landed.
    open: Vec<(AttemptId, mission::ids::CommitId)>,
    /// What the journal holds of what was handed in.
    works: Works,
    when: Timestamp,
}

pub(crate) fn job(mission: &Mission, n: u32) -> Job {
    let open = mission.tasks().filter(|task| task.state != State::Landed);
    let open = open
        .filter_map(|task| Some((task.attempt(), mission.work(task.attempt())?.commit.clone())));
    Job {
        n,
        whose: (mission.id(), mission.nonce().to_owned()),
        sessions: mission.sessions().known().count(),
        open: open.collect(),
        works: works(mission),
        when: mission.opened(),
    }
}

impl Job {
    pub(crate) async fn perform(
        self,
        bench: &Bench,
        cancel: &CancellationToken,
    ) -> Result<Input, Error> {
        let cancel = cancel.clone();
        let n = self.n;
        let (place, lanes) = (bench.place.clone(), bench.place.lanes());
        let notes = bench.place.notes();
        let (shared, all_lanes) = (bench.lanes.clone(), bench.lanes.clear().await?);
        if !bench.place.root().join("repo.git").exists() {
            return Ok(cleaned(self.n, 0, String::new()));
        }
        let sessions_left = self.close_sessions(bench, &lanes).await?;
        let rescued = bench
            .with_repository(move |repository| {
                // As long as this goes on nobody enters a lane, also where nobody waits for it any more.
                let _kept = (shared, all_lanes);
                fault::point("tidy.before");
                let mut rescued = self.keep_open(repository)?;
                // Beside the workspaces lies the engine's side of each: what a workspace was set to. It goes with its
                // workspace, and never before, since without it nothing can be told of what the workspace holds.
                let all = folders(&lanes)?;
                // What was brought along goes with the workspaces, so nobody may count on it from here on.
                for note in folders(&notes)? {
                    let name = note.file_name().unwrap_or_default().to_string_lossy();
                    if name.contains(".recipe-") {
                        disk::remove(&note).map_err(Error::new)?;
                        fault::of("tidy.note removed", &name);
                    }
                }
                for lane in all.iter().filter(|lane| is_workspace(lane)) {
                    still_owed(&cancel)?;
                    workbench::workspace::clear_the_way(lane).map_err(Error::new)?;
                    let Some(workspace) = repository.workspace_at(lane).map_err(Error::new)? else {
                        continue;
                    };
                    let name = lane.file_name().unwrap_or_default().to_string_lossy();
                    // What was handed in, and has come into the journal, stands in a commit already.
                    let note = std::fs::read_to_string(place.lane_note(&name)).unwrap_or_default();
                    let is_kept = !note.is_empty() && unkept(&note, &self.works).is_none();
                    if name.starts_with("worker-") && !is_kept {
                        // Named by the seal too: a mission that goes on and ends again keeps both.
                        let name = format!("{name}-{n}");
                        rescued += kept(repository, &workspace, &name, self.when)?;
                        fault::of("tidy.lane rescued", &name);
                    }
                    repository.remove(&workspace).map_err(Error::new)?;
                    fault::of("tidy.lane removed", &name);
                }
                for rest in all.iter().filter(|rest| rest.exists()) {
                    still_owed(&cancel)?;
                    disk::remove(rest).map_err(Error::new)?;
                    fault::point("tidy.folder removed");
                }
                still_owed(&cancel)?;
                repository.forget_all().map_err(Error::new)?;
                fault::point("tidy.sides removed");
                remove_prepared(&place.all_prepared())?;
                disk::remove(&notes).map_err(Error::new)?;
                fault::point("tidy.after");
                Ok(rescued)
            })
            .await?;
        Ok(cleaned(n, rescued, sessions_left))
    }
}

impl Job {
    /// Closes all that the host has of the mission, while the folders are there by which it knows them.
    async fn close_sessions(&self, bench: &Bench, lanes: &Path) -> Result<String, Error> {
        // A mission that is ended where no agent is asked has the host of its sessions not at hand.
        if self.sessions > 0 && !bench.settings.agent.keeps_sessions() {
            return Ok("their host was not started for that".to_owned());
        }
        let mut worked_in = folders(lanes)?;
        worked_in.retain(|lane| is_workspace(lane));
        let left = sessions::close_all(bench, self.whose.clone(), worked_in).await;
        if !left.is_empty() {
            tracing::warn!(why = left, "sessions are left at their host");
        }
        Ok(left)
    }

    /// Keeps what was handed in and did not land, and tells how much that is.
    fn keep_open(&self, repository: &MissionRepository) -> Result<u32, Error> {
        for (attempt, commit) in &self.open {
            let kept = RefName::branch(&format!("rescue/{attempt}")).map_err(Error::new)?;
            repository.land(&kept, None, commit).map_err(Error::new)?;
            fault::point("tidy.attempt kept");
        }
        Ok(self.open.len() as u32)
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

fn cleaned(n: u32, rescued: u32, sessions_left: String) -> Input {
    Input::Cleaned {
        n,
        rescued,
        sessions_left,
    }
}

/// Removes the workspaces in which set-up ran. Which set-ups fail on the base already stays known, for a mission that
/// goes on.
fn remove_prepared(prepared: &Path) -> Result<(), Error> {
    let mut all = folders(prepared)?;
    // The marks that set-up is done go before what it made.
    all.sort_by_key(|entry| entry.is_dir());
    let is_blame = |entry: &Path| entry.extension().is_some_and(|end| end == "fails-on-base");
    for entry in all.iter().filter(|entry| !is_blame(entry)) {
        disk::remove(entry).map_err(Error::new)?;
        fault::point("tidy.prepared removed");
    }
    // Only an empty folder goes.
    std::fs::remove_dir(prepared).ok();
    Ok(())
}

/// Whether a folder among the lanes is one to work in: `worker-1`, `front`, `ahead`. The engine's side is named by digests.
fn is_workspace(lane: &Path) -> bool {
    let name = lane.file_name().unwrap_or_default().to_string_lossy();
    matches!(&*name, "front" | "ahead") || name.contains('-')
}

fn folders(lanes: &Path) -> Result<Vec<PathBuf>, Error> {
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
    use futures_util::FutureExt as _;

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
                whose: (MissionId(1), "n".into()),
                sessions: 0,
                open: Vec::new(),
                works: Works::new(),
                when: sample::WHEN,
            };
            let cleaned = job
                .perform(&sample.bench, &CancellationToken::new())
                .await
                .unwrap();
            assert_eq!(
                cleaned,
                Input::Cleaned {
                    n: seal,
                    rescued: 1,
                    sessions_left: String::new(),
                }
            );
            assert_eq!(folders(&sample.bench.place.lanes()).unwrap().len(), 0);
        }
        for seal in [1, 2] {
            let kept = format!("repo.git/refs/rescue/worker-1-{seal}");
            assert!(sample.bench.place.root().join(kept).is_file());
        }
    }

    #[tokio::test]
    async fn nothing_is_tidied_up_beside_somebody_who_still_prepares() {
        let sample = sample::mission(&[("a.txt", "a\n")]);
        let never = CancellationToken::new();
        std::fs::rename(
            sample.bench.place.root().join("repo.git"),
            sample.root.join("not yet"),
        )
        .unwrap();
        let lane = super::super::gate::LANE;
        let prepares = sample.bench.lanes.enter(lane, &never).await.unwrap();
        let job = || Job {
            n: 1,
            whose: (MissionId(1), "n".into()),
            sessions: 0,
            open: Vec::new(),
            works: Works::new(),
            when: sample::WHEN,
        };
        assert!(
            job()
                .perform(&sample.bench, &never)
                .now_or_never()
                .is_none()
        );
        drop(prepares);
        let cleaned = job()
            .perform(&sample.bench, &CancellationToken::new())
            .await
            .unwrap();
        assert_eq!(
            cleaned,
            Input::Cleaned {
                n: 1,
                rescued: 0,
                sessions_left: String::new()
            }
        );
    }

    #[tokio::test]
    async fn what_was_handed_in_and_never_came_into_the_journal_is_kept() {
        for in_journal in [false, true] {
            let sample = sample::mission(&[("a.txt", "a\n")]);
            let place = &sample.bench.place;
            let lane = place.lane("worker-1");
            std::fs::create_dir_all(place.lanes()).unwrap();
            std::fs::create_dir_all(place.notes()).unwrap();
            let base = &sample.base.commit;
            let repository = sample.bench.repository().unwrap();
            repository.workspace(&lane, base, &[]).unwrap();
            std::fs::write(lane.join("b.txt"), "collected\n").unwrap();
            let note = format!("T1.1 {base} handed in");
            std::fs::write(place.lane_note("worker-1"), note).unwrap();
            let job = Job {
                n: 1,
                whose: (MissionId(1), "n".into()),
                sessions: 0,
                open: Vec::new(),
                works: in_journal.then(|| "T1.1".to_owned()).into_iter().collect(),
                when: sample::WHEN,
            };
            let cleaned = job
                .perform(&sample.bench, &CancellationToken::new())
                .await
                .unwrap();
            let rescued = u32::from(!in_journal);
            assert_eq!(
                cleaned,
                Input::Cleaned {
                    n: 1,
                    rescued,
                    sessions_left: String::new()
                }
            );
        }
    }

    #[tokio::test]
    async fn nothing_of_a_workspace_is_left_not_even_of_one_that_was_never_finished() {
        use std::os::unix::fs::PermissionsExt as _;
        let sample = sample::mission(&[("a.txt", "a\n")]);
        let place = &sample.bench.place;
        let lane = place.lane("worker-1");
        std::fs::create_dir_all(place.lanes()).unwrap();
        let repository = sample.bench.repository().unwrap();
        repository
            .workspace(&lane, &sample.base.commit, &[])
            .unwrap();
        // A kill in the middle of the next set-up leaves no record of what the workspace was set to.
        let sides = place.root().join("sides");
        let side = std::fs::read_dir(&sides).unwrap().next().unwrap().unwrap();
        std::fs::remove_file(side.path().join("state.json")).unwrap();
        // Caches of some tools may not be written, folders included.
        let closed = lane.join("cache/of/modules");
        std::fs::create_dir_all(&closed).unwrap();
        std::fs::write(closed.join("file"), "x").unwrap();
        for folder in [closed.as_path(), closed.parent().unwrap()] {
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o555)).unwrap();
        }
        let prepared = place.prepared("0123");
        std::fs::create_dir_all(prepared.join("node_modules")).unwrap();
        std::fs::write(prepared.with_extension("done"), "").unwrap();
        let blamed = prepared.with_extension("fails-on-base");
        std::fs::write(&blamed, "").unwrap();
        let job = Job {
            n: 1,
            whose: (MissionId(1), "n".into()),
            sessions: 0,
            open: Vec::new(),
            works: Works::new(),
            when: sample::WHEN,
        };
        job.perform(&sample.bench, &CancellationToken::new())
            .await
            .unwrap();
        assert_eq!(folders(&place.lanes()).unwrap().len(), 0);
        assert_eq!(folders(&sides).unwrap().len(), 0);
        assert_eq!(folders(&place.all_prepared()).unwrap(), [blamed]);
    }
}
