//! `orchestrator clean`: removes the folders of missions that are over. Their events stay.
//!
//! Which ones go is in `retention`; here they are looked at and removed.

mod retention;

use crate::args::CleanArgs;
use crate::config::{Config, Retention};
use crate::error::{Error, Exit, Kind};
use crate::host::Store;
use crate::view;
use engine::clock::Clock;
use engine::layout::Place;
use journal::Takeover;
use mission::ids::MissionId;
use mission::mission::{Delivery, Mission};
use mission::time::Timestamp;
use retention::{Choice, Going, Kept, Why, size};
use serde_json::json;
use std::io;
use std::path::Path;
use workbench::disk;
use workbench::fault;
use workbench::git::Git;
use workbench::repository::{self, MissionRepository, Project};

pub(crate) fn run(args: &CleanArgs) -> Result<Exit, Error> {
    let store = Store::open()?;
    let mut failures = Vec::new();
    let going = match args.missions.is_empty() {
        true => {
            let limits = Config::read()?.retention(args);
            let choice = choose(&store, &limits, Clock::new().now())?;
            for note in choice.told(&limits) {
                view::note(&note);
            }
            choice.going
        }
        false => args
            .missions
            .iter()
            .filter_map(|id| {
                named(&store, *id).unwrap_or_else(|error| {
                    failures.push(error);
                    None
                })
            })
            .collect(),
    };
    let (mut n, mut bytes) = (0, 0);
    for one in &going {
        match clean(&store, args, one) {
            Ok(false) => {}
            Ok(true) => (n, bytes) = (n + 1, bytes + one.kept.bytes),
            // What keeps one mission from being removed is no reason to keep the others.
            Err(error) => failures.push(error),
        }
    }
    if n > 1 && !args.json {
        let words = if args.dry_run { "would free" } else { "freed" };
        view::data(&format!("{n} missions, {words} {}", size(bytes)));
    }
    let mut failures = failures.into_iter();
    let first = failures.next();
    for more in failures {
        view::note(&more.to_string());
    }
    first.map_or(Ok(Exit::Good), Err)
}

/// What goes of all missions by the limits of what is kept.
fn choose(store: &Store, limits: &Retention, now: Timestamp) -> Result<Choice, Error> {
    let (mut may_go, mut undelivered, mut stays) = (Vec::new(), Vec::new(), 0_u64);
    for row in store.journal.missions()? {
        // Of what cannot be read nothing is known, so nothing of it goes.
        let Ok((mission, _)) = store.load(row.mission) else {
            continue;
        };
        let place = store.layout.mission(&mission.full_name());
        if is_gone(&place) {
            continue;
        }
        let kept = looked_at(&mission, &place);
        let over = mission.outcome().is_some() && store.owner(row.mission)?.is_none();
        if over && !is_owed(&mission) && (kept.cut_short || !mission.is_undelivered()) {
            may_go.push(kept);
            continue;
        }
        stays = stays.saturating_add(kept.bytes);
        if over && mission.is_undelivered() {
            undelivered.push(kept);
        }
    }
    Ok(retention::choose(may_go, undelivered, stays, limits, now))
}

/// A mission that is to go because it was named.
fn named(store: &Store, id: MissionId) -> Result<Option<Going>, Error> {
    let (mission, _) = store.load(id)?;
    let running = store.owner(id)?.is_some();
    if running || mission.outcome().is_none() {
        return Err(Error::new(Kind::Refused, format!("{id} is not over"))
            .hint(format!("end it first: orchestrator cancel {id}")));
    }
    let place = store.layout.mission(&mission.full_name());
    if is_gone(&place) {
        view::note(&format!("{id} is removed already"));
        return Ok(None);
    }
    if is_owed(&mission) {
        // Its list and the old bytes lie in the folder; without them it could be neither finished nor taken back.
        view::note(&format!(
            "{id} is kept: a delivery was cut short. Finish it first: orchestrator resume {id}"
        ));
        return Ok(None);
    }
    let (kept, why) = (looked_at(&mission, &place), Why::Named);
    Ok(Some(Going { kept, why }))
}

fn is_gone(place: &Place) -> bool {
    !place.root().exists() && !place.going().exists()
}

fn is_owed(mission: &Mission) -> bool {
    matches!(
        mission.delivery(),
        Delivery::Wanted(_) | Delivery::Planned { .. } | Delivery::Undoing { .. }
    )
}

/// What counts of a mission for whether and when it goes.
fn looked_at(mission: &Mission, place: &Place) -> Kept {
    let id = mission.id();
    let lengths = [place.root().to_owned(), place.going()].map(|folder| {
        disk::length(&folder).unwrap_or_else(|error| {
            view::note(&format!("{id} takes more than is told: {error}"));
            0
        })
    });
    let unmerged = holds_unmerged(place).unwrap_or_else(|error| {
        view::note(&format!(
            "{id} is taken to hold unmerged work, since nobody can say: {error}"
        ));
        true
    });
    Kept {
        mission: id,
        ended: mission.ended().unwrap_or(mission.last()),
        bytes: lengths.iter().sum(),
        unmerged,
        cut_short: !place.root().exists(),
    }
}

/// Whether work lies there that did not land: kept when its workspace went, or still in the workspaces of a mission
/// that was aborted.
fn holds_unmerged(place: &Place) -> Result<bool, Box<dyn std::error::Error>> {
    match std::fs::read_dir(place.lanes()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        // Whoever cannot look must not take it for empty.
        lanes => {
            let mut lanes = lanes?;
            if lanes.next().is_some() {
                return Ok(true);
            }
        }
    }
    match MissionRepository::read(&Git::find()?, place.root()) {
        Ok(repository) => Ok(repository.holds_rescued()?),
        // It ended before there was anything to work on.
        Err(repository::Error::NotThere(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether what a mission was chosen for still holds: it may have gone on, ended again or been taken back since.
fn may_still_go(mission: &Mission, place: &Place, one: &Going) -> bool {
    if mission.outcome().is_none() || is_owed(mission) {
        return false;
    }
    if one.why == Why::Named || one.kept.cut_short {
        return true;
    }
    let unmerged = holds_unmerged(place).unwrap_or(true);
    let since = mission.ended().unwrap_or(mission.last());
    !mission.is_undelivered() && since == one.kept.ended && unmerged == one.kept.unmerged
}

/// Removes a mission, or says that it would; whether it did.
fn clean(store: &Store, args: &CleanArgs, one: &Going) -> Result<bool, Error> {
    let id = one.kept.mission;
    let (mission, _) = store.load(id)?;
    let place = store.layout.mission(&mission.full_name());
    if args.dry_run {
        told(args, one, place.root(), false);
        return Ok(true);
    }
    // Nobody may go on with it meanwhile.
    let lease = store.journal.acquire(
        id,
        engine::owner::this_process(&store.door(id)),
        Takeover::IfDead,
    )?;
    let (mission, _) = store.load(id)?;
    if !may_still_go(&mission, &place, one) {
        view::note(&format!("{id} is kept: somebody went on with it meanwhile"));
        return Ok(false);
    }
    remove(&place, mission.project(), &mission.full_name())?;
    drop(lease);
    told(args, one, place.root(), true);
    Ok(true)
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
    let unpinned = unpin(project, name);
    fault::point("clean.unpinned");
    let going = place.going();
    let cannot = |error: disk::Failure| Error::io("remove", &going, &io::Error::other(error));
    match unpinned {
        Ok(()) => disk::remove(&going).map_err(cannot)?,
        Err(why) => {
            view::note(&format!(
                "the ref refs/orchestrator/{name} stays in {project}: {why}. The next `orchestrator clean` tries again"
            ));
            disk::empty(&going).map_err(cannot)?;
        }
    }
    fault::point("clean.after");
    Ok(())
}

fn told(args: &CleanArgs, one: &Going, folder: &Path, removed: bool) {
    let (id, bytes) = (one.kept.mission, one.kept.bytes);
    let words = if removed { "removed" } else { "would remove" };
    view::data(&match args.json {
        true => json!({
            "mission": id, "folder": folder, "removed": removed, "why": one.why.word(), "bytes": bytes,
        })
        .to_string(),
        false => format!(
            "{id}: {words} {} ({}), {}",
            folder.display(),
            one.why,
            size(bytes)
        ),
    });
}

/// Removes the mission's ref from the user's repository. Where that was removed, the ref went with it.
fn unpin(project: &str, name: &str) -> Result<(), Box<dyn std::error::Error>> {
    if !Path::new(project).try_exists()? {
        return Ok(());
    }
    let found = Project::find(&Git::find()?, Path::new(project), &crate::places::git())?;
    match found.repository() {
        Some(user) => Ok(user.unpin(name)?),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::layout::Layout;
    use engine::store;
    use mission::input::Input;
    use mission::terms::Terms;
    use mission::time::Millis;

    const LIMITS: Retention = Retention {
        older_than: Millis(1_000),
        keep: 5,
    };

    fn chosen(store: &Store, now: Timestamp) -> Vec<(u32, &'static str, u64)> {
        let going = choose(store, &LIMITS, now).unwrap().going;
        let told = |one: &Going| (one.kept.mission.0, one.why.word(), one.kept.bytes);
        going.iter().map(told).collect()
    }

    #[test]
    fn the_journal_says_when_a_mission_ended_and_its_folder_what_it_takes_and_holds() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(Layout::new(folder.path().join("state"))).unwrap();
        let journal = &*store.journal;
        let opened = || {
            let door = |_| folder.path().join("door");
            let terms = Terms::default();
            let owned = store::open_new(
                journal,
                Timestamp(1),
                Path::new("/p"),
                "x",
                terms,
                door,
                |_| Ok(()),
            );
            let mission = owned.unwrap().mission;
            let place = store.layout.mission(&mission.full_name());
            std::fs::create_dir_all(place.lanes()).unwrap();
            std::fs::write(place.root().join("x"), "four").unwrap();
            (mission.id(), place)
        };
        let cancel = |id| {
            let owned = store::take(journal, id, folder.path()).unwrap();
            store::once(journal, owned, Input::Cancel { by: "u".into() }, None).unwrap();
            let ended = store.load(id).unwrap().0.ended();
            ended.unwrap()
        };
        let (first, place) = opened();
        assert_eq!(chosen(&store, Timestamp(u64::MAX)), [], "it is not over");
        let ended = cancel(first);
        assert!(ended > Timestamp(1), "it is the end that counts");
        assert_eq!(chosen(&store, ended + Millis(999)), []);
        assert_eq!(chosen(&store, ended + Millis(1_000)), [(1, "old", 4)]);
        // A workspace still stands there, as after an abort.
        std::fs::create_dir(place.lane("worker-1")).unwrap();
        assert_eq!(chosen(&store, ended + Millis(1_000)), [], "there is room");
        std::fs::write(place.lane("worker-1").join("y"), "ok").unwrap();
        let told = chosen(&store, ended + Millis(1_000));
        assert_eq!(told, [(1, "room_with_unmerged_work", 6)]);
        let (second, other) = opened();
        std::fs::write(other.root().join("y"), "ok").unwrap();
        let ended = cancel(second);
        assert_eq!(chosen(&store, ended), [(2, "room", 6)]);
        // What it was chosen for must hold when it is its turn.
        let mission = store.load(second).unwrap().0;
        let kept = looked_at(&mission, &other);
        let going = |why| Going { kept, why };
        let (room, named) = (going(Why::Room(5)), going(Why::Named));
        assert!(may_still_go(&mission, &other, &room));
        let mut later = room;
        later.kept.ended = Timestamp(ended.0 - 1);
        assert!(!may_still_go(&mission, &other, &later), "it ended again");
        std::fs::create_dir(other.lane("worker-1")).unwrap();
        assert!(!may_still_go(&mission, &other, &room), "it holds work now");
        assert!(may_still_go(&mission, &other, &named));
    }
}
