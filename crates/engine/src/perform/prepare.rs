//! Pins the base, makes the mission repository and finds the project's gates.

use super::context;
use super::gate::LANE;
use super::land::line;
use super::ready;
use super::writing::{self, Turn, Whose};
use super::{Bench, Error, blocking, deliver, still_owed};
use crate::layout::Place;
use mission::ids::CommitId;
use mission::input::Input;
use mission::mission::Mission;
use mission::time::Timestamp;
use mission::work::Base;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;
use workbench::checks::{self, Detected};
use workbench::fault;
use workbench::git::{Git, UserEnvironment};
use workbench::recipe::{self, Recipe};
use workbench::repository::{MissionRepository, Project};
use workbench::snapshot::Head;
use workbench::workspace::Workspace;

/// The most notes that an event keeps.
const NOTES: usize = 50;
/// The most left-out files that an event names.
const LEFT_OUT: usize = 50;

/// A mission to be prepared.
pub(crate) struct Job {
    pub(crate) project: PathBuf,
    /// Under which name the base is pinned; empty for a look without a pin.
    pub(crate) name: String,
    pub(crate) when: Timestamp,
}

pub(crate) fn job(mission: &Mission) -> Job {
    Job {
        project: mission.project().into(),
        name: mission.full_name(),
        when: mission.opened(),
    }
}

impl Job {
    pub(crate) async fn perform(
        self,
        bench: &Bench,
        cancel: &CancellationToken,
    ) -> Result<Option<Input>, Error> {
        // Whoever tidies up waits until nobody is in a lane.
        let Some(_lane) = bench.lanes.enter(LANE, cancel).await else {
            return Ok(None);
        };
        let project = self.project.clone();
        let (base, notes) = self.pin_in_turn(bench, cancel).await?;
        if cancel.is_cancelled() {
            return Ok(None);
        }
        let (_, detected) = detect(bench, &base.commit, &project).await?;
        let commit = base.commit.clone();
        let hidden = bench
            .with_repository(move |repository| context::hidden_note(repository, &commit))
            .await?;
        let notes = notes
            .into_iter()
            .chain(hidden)
            .chain(detected.notes)
            .take(NOTES)
            .collect();
        let gates = detected.gates;
        Ok(Some(Input::Prepared { base, gates, notes }))
    }

    /// The same as [`Job::pin`], once no mission writes into the project.
    pub(crate) async fn pin_in_turn(
        self,
        bench: &Bench,
        cancel: &CancellationToken,
    ) -> Result<(Base, Vec<String>), Error> {
        let (place, settings) = (bench.place.clone(), bench.settings.clone());
        let cancel = cancel.clone();
        blocking(move || {
            let whose = Whose {
                layout: &settings.layout,
                place: &place,
            };
            let hold = |root: &Path| Turn::take(whose, root, writing::WAIT, &cancel);
            self.pin(&place, &settings.git, hold, &cancel)
        })
        .await
    }

    /// The mission repository, the base and the pin. Nothing of the project is run. `hold` takes the turn to look at the
    /// project, by its root: half of another mission's delivery is no base.
    pub(crate) fn pin<T>(
        &self,
        place: &Place,
        environment: &UserEnvironment,
        hold: impl FnOnce(&Path) -> Result<T, Error>,
        cancel: &CancellationToken,
    ) -> Result<(Base, Vec<String>), Error> {
        fault::point("prepare.before");
        let git = Git::find().map_err(Error::lasting)?;
        let project = Project::find(&git, &self.project, environment).map_err(Error::lasting)?;
        let repository =
            MissionRepository::create(&git, place.root(), &project).map_err(Error::lasting)?;
        fault::point("prepare.repository");
        let turn = hold(project.root())?;
        let found = repository
            .snapshot(&project, self.when)
            .map_err(Error::lasting)?;
        drop(turn);
        fault::point("prepare.snapshot");
        // Of a mission that has ended meanwhile nothing would take the pin away again.
        still_owed(cancel)?;
        // What the mission borrows is the user's commit; what was uncommitted stands in the mission's own repository.
        if let (Some(user), Some(head)) = (project.repository(), &found.head_commit)
            && !self.name.is_empty()
        {
            user.pin(&self.name, head).map_err(Error::new)?;
            fault::point("prepare.pin");
        }
        // A try that a crash cut short may have begun the line at an older snapshot. Nothing has landed before the
        // mission is prepared, so the line simply begins here.
        let before = repository.landed(&line()?).map_err(Error::new)?;
        repository
            .land(&line()?, before.as_ref(), &found.commit)
            .map_err(Error::new)?;
        fault::point("prepare.line");
        let bytes = serde_json::to_vec(&found).map_err(Error::new)?;
        deliver::write_durably(&place.base(), &bytes)?;
        fault::point("prepare.base");
        let left_out = found.left_out.iter().take(LEFT_OUT);
        let base = Base {
            commit: found.commit,
            tree: found.tree,
            branch: match found.head {
                Head::Branch(name) | Head::Unborn(name) => {
                    Some(name.strip_prefix("refs/heads/").unwrap_or(&name).to_owned())
                }
                Head::Detached | Head::None => None,
            },
            head: found.head_commit,
            uncommitted: found.dirty.len() as u32,
            left_out: left_out
                .map(|left| format!("{} ({})", left.path, left.why))
                .collect(),
        };
        Ok((base, found.warnings))
    }
}

/// Checks the base out and reads the project's files for its gates and its set-up, which is kept for those who run it.
/// Nothing of the project is run.
pub(crate) async fn detect(
    bench: &Bench,
    commit: &CommitId,
    project: &Path,
) -> Result<(Workspace, Detected), Error> {
    let (path, at) = (bench.place.lane(LANE), commit.clone());
    let own = own_recipes(bench, project);
    let (workspace, detected) = bench
        .with_repository(move |repository| {
            std::fs::create_dir_all(path.parent().unwrap_or(&path)).map_err(Error::new)?;
            let workspace = repository.workspace(&path, &at, &[]).map_err(Error::new)?;
            let mut detected = checks::detect(workspace.path());
            if !own.is_empty() {
                let why = format!("{} set-up is named in your configuration", own.len());
                detected.why.push(why);
            }
            detected.recipes = recipe::under(detected.recipes, &own);
            ready::set_aside(repository, &detected.recipes)?;
            Ok((workspace, detected))
        })
        .await?;
    let recipes = serde_json::to_vec(&detected.recipes).map_err(Error::new)?;
    fault::point("prepare.workspace");
    deliver::write_durably(&bench.place.recipes(), &recipes)?;
    fault::point("prepare.recipes");
    Ok((workspace, detected))
}

/// The set-up that the user's configuration names for a project.
fn own_recipes(bench: &Bench, project: &Path) -> Vec<Recipe> {
    let of_this = |(folder, _): &&(PathBuf, Recipe)| {
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.clone());
        project.starts_with(folder)
    };
    let own = bench.settings.recipes.iter().filter(of_this);
    own.map(|(_, recipe)| recipe.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use std::time::Duration;

    #[test]
    fn half_of_another_missions_delivery_is_no_base() {
        let sample = sample::mission(&[("a.txt", "a\n")]);
        let (layout, on) = (&sample.bench.settings.layout, CancellationToken::new());
        let project = sample.root.join("project");
        let place = layout.mission("m2-test");
        let whose = Whose {
            layout,
            place: &place,
        };
        let hold = |root: &Path| Turn::take(whose, root, Duration::ZERO, &on);
        let delivers = hold(&project).unwrap();
        let job = Job {
            project: project.clone(),
            name: String::new(),
            when: sample::WHEN,
        };
        let error = job.pin(&place, &sample.bench.settings.git, hold, &on);
        assert!(error.is_err_and(|error| error.is_final()));
        assert!(!place.base().exists());
        std::fs::write(project.join("a.txt"), "delivered\n").unwrap();
        drop(delivers);
        let (base, _) = job
            .pin(&place, &sample.bench.settings.git, hold, &on)
            .unwrap();
        assert_ne!(base.tree, sample.base.tree);
        // Its own turn is over when the base stands.
        hold(&project).unwrap();
    }
}
