//! `orchestrator clean`: removes the folders of missions that are over. Their events stay.

use crate::args::CleanArgs;
use crate::error::{Error, Exit, Kind};
use crate::host::Store;
use crate::view;
use engine::layout::Place;
use journal::Takeover;
use mission::ids::MissionId;
use mission::mission::Delivery;
use serde_json::json;
use std::path::Path;
use workbench::disk;
use workbench::fault;
use workbench::git::Git;
use workbench::repository::Project;

pub(crate) fn run(args: &CleanArgs) -> Result<Exit, Error> {
    let store = Store::open()?;
    let named = !args.missions.is_empty();
    let missions: Vec<MissionId> = match named {
        true => args.missions.clone(),
        false => store
            .journal
            .missions()?
            .iter()
            .map(|row| row.mission)
            .collect(),
    };
    // What keeps one mission from being removed is no reason to keep the others.
    let mut failures = missions
        .into_iter()
        .filter_map(|id| clean(&store, args, id, named).err());
    let first = failures.next();
    for more in failures {
        view::note(&more.to_string());
    }
    first.map_or(Ok(Exit::Good), Err)
}

fn clean(store: &Store, args: &CleanArgs, id: MissionId, named: bool) -> Result<(), Error> {
    let mission = match store.load(id) {
        Ok((mission, _)) => mission,
        Err(error) if named => return Err(error),
        Err(_) => return Ok(()),
    };
    let running = store.owner(id)?.is_some();
    if running || mission.outcome().is_none() {
        if named {
            return Err(Error::new(Kind::Refused, format!("{id} is not over"))
                .hint(format!("end it first: orchestrator cancel {id}")));
        }
        return Ok(());
    }
    let place = store.layout.mission(&mission.full_name());
    if !place.root().exists() && !place.going().exists() {
        if named {
            view::note(&format!("{id} is removed already"));
        }
        return Ok(());
    }
    if args.dry_run {
        told(args, id, place.root(), false);
        return Ok(());
    }
    let owed = matches!(
        mission.delivery(),
        Delivery::Wanted(_) | Delivery::Planned { .. } | Delivery::Undoing { .. }
    );
    if owed {
        // Its list and the old bytes lie in the folder; without them it could be neither finished nor taken back.
        view::note(&format!(
            "{id} is kept: a delivery was cut short. Finish it first: orchestrator resume {id}"
        ));
        return Ok(());
    }
    // Nobody may go on with it meanwhile.
    let lease = store.journal.acquire(
        id,
        engine::owner::this_process(&store.door(id)),
        Takeover::IfDead,
    )?;
    remove(&place, mission.project(), &mission.full_name())?;
    drop(lease);
    told(args, id, place.root(), true);
    Ok(())
}

/// Removes a mission's folder and its pin. As long as the repository stands, what it borrows must not be pruned. So it is
/// put out of use first; and as long as there is a folder to remove, the next `clean` knows that there is a pin to
/// remove too.
fn remove(place: &Place, project: &str, name: &str) -> Result<(), Error> {
    fault::point("clean.before");
    if place.root().exists() {
        std::fs::rename(place.root(), place.going())
            .map_err(|error| Error::io("remove", place.root(), &error))?;
        fault::point("clean.moved");
    }
    unpin(project, name);
    fault::point("clean.unpinned");
    disk::remove(&place.going())
        .map_err(|error| Error::io("remove", &place.going(), &std::io::Error::other(error)))?;
    fault::point("clean.after");
    Ok(())
}

fn told(args: &CleanArgs, id: MissionId, folder: &Path, removed: bool) {
    let words = if removed { "removed" } else { "would remove" };
    view::data(&match args.json {
        true => json!({ "mission": id, "folder": folder, "removed": removed }).to_string(),
        false => format!("{id}: {words} {}", folder.display()),
    });
}

/// Removes the mission's ref from the user's repository, where that is still there.
fn unpin(project: &str, name: &str) {
    let found = Git::find()
        .ok()
        .and_then(|git| Project::find(&git, Path::new(project), &crate::places::git()).ok());
    let unpinned = found
        .as_ref()
        .and_then(Project::repository)
        .map(|user| user.unpin(name));
    if let Some(Err(error)) = unpinned {
        view::note(&format!(
            "the ref refs/orchestrator/{name} stays in {project}: {error}"
        ));
    }
}
