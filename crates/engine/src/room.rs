//! Room on the disk of the state directory, and how many workspaces there are.
//!
//! A workspace that finds no room while it is made stands there half made, and whatever else writes to that disk fails with
//! it. So the room is looked at before: by the mission, which lets nothing begin that needs one, and once more by
//! whoever makes one, with what others are making at the same time. How much one takes is known after the first Worker's
//! was set up; before that what any of them takes that is there counts, and before the first a floor.

use crate::perform::Error;
use mission::limits;
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What is kept free in any case: the journal, git's objects and the output of checks are written to the same disk.
const FLOOR: u64 = 64 * 1024 * 1024;
/// All workspaces that may never be used take no more than this of what is free, in percent, where there is plenty of room:
/// then nobody lacks what they take.
const PLENTY: u64 = 10;
/// So many files of a workspace are looked at to see how much it takes; of more it takes at least that.
const FILES: usize = 500_000;

/// The disk that a mission's workspaces are made on.
#[derive(Debug)]
pub(crate) struct Room {
    /// The mission's own folder, or where that is not there yet the state directory.
    place: PathBuf,
    root: PathBuf,
    /// What one workspace takes with all that was set up in it; 0 before that is known.
    one: AtomicU64,
    /// What one takes that was there before that: its files alone, or from an engine before this one; 0 before that too.
    earlier: AtomicU64,
    /// What those will take that are being made.
    promised: Mutex<u64>,
    /// Those that are there and are not set up.
    bare: Mutex<BTreeSet<PathBuf>>,
}

/// Room for a workspace that is being made, until it is there.
#[derive(Debug)]
pub(crate) struct Promised {
    room: Arc<Room>,
    bytes: u64,
}

impl Drop for Promised {
    fn drop(&mut self) {
        *self.room.promised() -= self.bytes;
    }
}

impl Room {
    pub(crate) fn of(place: &Path, root: &Path) -> Self {
        Self {
            place: place.to_owned(),
            root: root.to_owned(),
            one: AtomicU64::new(0),
            earlier: AtomicU64::new(0),
            promised: Mutex::new(0),
            bare: Mutex::default(),
        }
    }

    fn promised(&self) -> std::sync::MutexGuard<'_, u64> {
        self.promised.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bare(&self) -> std::sync::MutexGuard<'_, BTreeSet<PathBuf>> {
        self.bare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is free for whoever is no superuser; `None` where the system does not tell.
    fn free(&self) -> Option<u64> {
        let stat = [&self.place, &self.root]
            .into_iter()
            .find_map(|path| rustix::fs::statvfs(path).ok())?;
        // A file system without blocks tells of no room at all, and takes what is written.
        (stat.f_blocks > 0).then(|| stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// What one workspace takes, as far as it is known.
    fn one(&self) -> u64 {
        match self.one.load(Ordering::Relaxed) {
            0 => self.earlier.load(Ordering::Relaxed),
            known => known,
        }
    }

    /// What one more workspace needs.
    fn needs(&self) -> u64 {
        FLOOR.saturating_add(self.one())
    }

    /// What one more workspace takes of what is free, and what any work needs of it, in percent.
    pub(crate) fn taken(&self) -> (u32, u32) {
        let Some(free) = self.free() else {
            return (0, 0);
        };
        let percent = |bytes: u64| {
            let percent = u128::from(bytes) * 100 / u128::from(free.max(1));
            u32::try_from(percent).unwrap_or(u32::MAX)
        };
        (percent(self.needs()), percent(FLOOR))
    }

    /// Whether a workspace may be made in a lane's folder, beside those that are being made: each has its room promised
    /// until it is there. One that is there is used again.
    pub(crate) fn admits(self: &Arc<Self>, lane: &Path) -> Result<Option<Promised>, Error> {
        let is_bare = self.bare().contains(lane);
        let is_there = lane.symlink_metadata().is_ok();
        if is_there && !is_bare {
            return Ok(None);
        }
        let lanes = lane.parent().unwrap_or(lane);
        let n = std::fs::read_dir(lanes).map_or(0, Iterator::count);
        if !is_there && n >= limits::WORKSPACES as usize {
            return Err(Error::lasting(format!(
                "{} holds {n} workspaces, and a mission has no more than {}; remove what is none of its own",
                lanes.display(),
                limits::WORKSPACES
            )));
        }
        if self.one() == 0 {
            self.look_at_another(lanes);
        }
        let mut promised = self.promised();
        let (Some(free), needs) = (self.free(), self.needs().saturating_add(*promised)) else {
            return Ok(None);
        };
        if free < needs {
            return Err(Error::new(format!(
                "a workspace needs {} of room in {} beside those that are being made, and {} are free; free some disk space",
                told(needs),
                self.root.display(),
                told(free)
            )));
        }
        let bytes = self.one();
        *promised += bytes;
        self.bare().remove(lane);
        let room = Arc::clone(self);
        Ok(Some(Promised { room, bytes }))
    }

    /// A workspace was made beforehand and is not set up: whoever begins in it needs the room of one that is not there.
    pub(crate) fn is_made_bare(&self, lane: &Path) {
        self.bare().insert(lane.to_owned());
    }

    /// Whether there is room for so many workspaces that may never be used.
    pub(crate) fn is_plenty(&self, n: u32) -> bool {
        let all = u128::from(self.needs()) * u128::from(n) * 100;
        self.free()
            .is_none_or(|free| all <= u128::from(free) * u128::from(PLENTY))
    }

    /// For tests of what is done with little room: one more workspace takes so many percent of it.
    #[cfg(test)]
    pub(crate) fn takes(&self, percent: u64) {
        let one = self.free().unwrap_or(0) / 100 * percent;
        self.one.store(one, Ordering::Relaxed);
    }

    /// Looks how much a workspace takes that is there already.
    fn look_at_another(&self, lanes: &Path) {
        let there = std::fs::read_dir(lanes).into_iter().flatten().flatten();
        let most = there.map(|entry| size(&entry.path())).max();
        self.earlier.store(most.unwrap_or(0), Ordering::Relaxed);
    }

    /// Looks how much a workspace takes that was set up, once in this life of the engine.
    pub(crate) fn learn(&self, workspace: &Path) {
        if self.one.load(Ordering::Relaxed) == 0 {
            self.one.store(size(workspace), Ordering::Relaxed);
        }
    }
}

/// What a folder takes on its disk, as far as it can be read. No link is followed.
fn size(folder: &Path) -> u64 {
    let (mut all, mut seen, mut open) = (0_u64, 0, vec![folder.to_owned()]);
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let Ok(found) = entry.metadata() else {
                continue;
            };
            all = all.saturating_add(found.blocks().saturating_mul(512));
            seen += 1;
            if seen >= FILES {
                return all;
            }
            if found.is_dir() {
                open.push(entry.path());
            }
        }
    }
    all
}

/// Bytes, for people.
fn told(bytes: u64) -> String {
    format!("{} MiB", bytes / (1024 * 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_workspace_takes_is_known_after_the_first_and_a_floor_counts_before() {
        let dir = tempfile::tempdir().unwrap();
        let room = Arc::new(Room::of(&dir.path().join("not-yet"), dir.path()));
        assert_eq!(room.needs(), FLOOR);
        assert!(room.free().unwrap() > 0);
        // Before that is known, what is too little for one more is too little for all.
        let (one_more, any) = room.taken();
        assert!(one_more < u32::MAX && one_more >= any);
        let lane = dir.path().join("lanes/worker-1");
        std::fs::create_dir_all(lane.join("deep")).unwrap();
        std::fs::write(lane.join("deep/file"), vec![7; 3 << 20]).unwrap();
        std::os::unix::fs::symlink("/", lane.join("all")).unwrap();
        room.learn(&lane);
        let one = room.needs() - FLOOR;
        assert!((3 << 20..4 << 20).contains(&one), "{one}");
        // What is learned is learned once: a full workspace is no measure of the next one.
        std::fs::write(lane.join("more"), vec![7; 3 << 20]).unwrap();
        room.learn(&lane);
        assert_eq!(room.needs() - FLOOR, one);
        room.one.store(u64::MAX / 2, Ordering::Relaxed);
        let why = room.admits(&dir.path().join("lanes/worker-2")).unwrap_err();
        assert!(why.to_string().contains("free some disk space"), "{why}");
        let (one_more, any) = room.taken();
        assert!(one_more > 100 && any < one_more);
        room.admits(&lane).unwrap();
    }

    #[test]
    fn whoever_is_made_at_the_same_time_has_its_room_too() {
        let dir = tempfile::tempdir().unwrap();
        let room = Arc::new(Room::of(dir.path(), dir.path()));
        let lane = |n: u32| dir.path().join(format!("lanes/worker-{n}"));
        // Room for two and a half.
        let one = (room.free().unwrap() - FLOOR) / 5 * 2;
        room.one.store(one, Ordering::Relaxed);
        let first = room.admits(&lane(1)).unwrap();
        let second = room.admits(&lane(2)).unwrap();
        assert!(room.admits(&lane(3)).is_err(), "two are being made");
        drop(second);
        assert!(room.admits(&lane(3)).is_ok());
        drop(first);
        assert_eq!(*room.promised(), 0);
    }

    #[test]
    fn whoever_begins_in_one_that_is_not_set_up_needs_the_room_of_another() {
        let dir = tempfile::tempdir().unwrap();
        let room = Arc::new(Room::of(dir.path(), dir.path()));
        let lane = |n: u32| dir.path().join(format!("lanes/worker-{n}"));
        for n in 1..=3 {
            std::fs::create_dir_all(lane(n)).unwrap();
            room.is_made_bare(&lane(n));
        }
        // Room for two and a half.
        let one = (room.free().unwrap() - FLOOR) / 5 * 2;
        room.one.store(one, Ordering::Relaxed);
        let first = room.admits(&lane(1)).unwrap();
        let second = room.admits(&lane(2)).unwrap();
        assert!(first.is_some() && second.is_some());
        assert!(room.admits(&lane(3)).is_err(), "two are being set up");
        drop((first, second));
        assert!(room.admits(&lane(3)).unwrap().is_some());
        assert!(room.admits(&lane(3)).unwrap().is_none(), "it is set up");
    }

    #[test]
    fn an_engine_that_takes_a_mission_up_again_learns_from_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let room = Arc::new(Room::of(dir.path(), dir.path()));
        let lane = |n: u32| dir.path().join(format!("lanes/worker-{n}"));
        std::fs::create_dir_all(lane(1)).unwrap();
        std::fs::write(lane(1).join("file"), vec![7; 3 << 20]).unwrap();
        room.admits(&lane(2)).unwrap();
        let one = room.needs() - FLOOR;
        assert!((3 << 20..4 << 20).contains(&one), "{one}");
    }

    #[test]
    fn there_are_never_more_workspaces_than_lanes_may_have() {
        let dir = tempfile::tempdir().unwrap();
        let room = Arc::new(Room::of(dir.path(), dir.path()));
        let lane = |n: u32| dir.path().join(format!("lanes/worker-{n}"));
        for n in 0..limits::WORKSPACES {
            let promised = room.admits(&lane(n)).unwrap();
            assert!(promised.is_some());
            std::fs::create_dir_all(lane(n)).unwrap();
        }
        let why = room.admits(&lane(limits::WORKSPACES)).unwrap_err();
        assert!(
            why.is_final() && why.to_string().contains("no more than 37"),
            "{why}"
        );
    }
}
