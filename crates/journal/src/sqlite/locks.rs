//! Locks of the kernel on files in the store's directory. They end with the process that holds them, however it ends.
//!
//! Each mission has two files. Who holds `m7.lock` owns the mission. `m7.gate` is held alone for the time of taking the
//! lease, and shared by those who only look whether the owner lives: so a look is never mistaken for an owner, and who
//! fails to become the owner finds the winner already written down.

use super::io;
use crate::{Error, Hold, limits};
use mission::ids::MissionId;
use rustix::fs::OFlags;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A lock that is held until this value is dropped.
#[derive(Debug)]
pub(super) struct Held(File);

impl Drop for Held {
    fn drop(&mut self) {
        // Unlocking, and not only closing, also ends the hold of a child that was forked and has not yet executed.
        // Should it fail, closing the file comes next and does the same.
        let _closed_next = self.0.unlock();
    }
}

/// Opens a lock's file, which is never removed: removing it would let two processes lock two files of one name.
fn open(path: &Path) -> Result<File, Error> {
    let nofollow = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(nofollow.bits().cast_signed())
        .open(path)
        .map_err(|error| io("opening", path, &error))?;
    let metadata = file
        .metadata()
        .map_err(|error| io("reading", path, &error))?;
    if metadata.is_file() {
        return Ok(file);
    }
    Err(Error::NotAJournal {
        path: path.to_owned(),
        found: "something else than a file stands in place of a lock".to_owned(),
    })
}

/// Whether a file is still the one that others find under this name.
fn has_name(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(ours), Ok(theirs)) => (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino()),
        _ => false,
    }
}

/// Takes a lock if it is free. `None` means that somebody has it.
fn take(path: &Path) -> Result<Option<Held>, Error> {
    loop {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(io("locking", path, &error)),
        }
        // Somebody may have removed the file between opening and locking; then the lock is on nothing that others see.
        if has_name(&file, path) {
            return Ok(Some(Held(file)));
        }
    }
}

/// Takes a lock, and waits for it at most [`limits::WAIT`].
pub(super) fn wait(path: &Path) -> Result<Held, Error> {
    let start = Instant::now();
    loop {
        if let Some(held) = take(path)? {
            return Ok(held);
        }
        if start.elapsed() > limits::WAIT {
            return Err(Error::Busy {
                what: path.display().to_string(),
            });
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The locks of all missions of one store.
#[derive(Debug)]
pub(super) struct Locks(pub(super) PathBuf);

impl Locks {
    fn owner(&self, mission: MissionId) -> PathBuf {
        self.0.join(format!("{mission}.lock"))
    }

    /// Keeps all others from taking or looking at a mission's lease for a moment.
    pub(super) fn gate(&self, mission: MissionId) -> Result<Held, Error> {
        wait(&self.0.join(format!("{mission}.gate")))
    }

    /// Becomes the owner, if there is none. The caller holds the gate.
    pub(super) fn own(&self, mission: MissionId) -> Result<Option<Held>, Error> {
        take(&self.owner(mission))
    }

    /// Whether a lock that was taken by [`Locks::own`] still keeps others away.
    pub(super) fn owns(&self, mission: MissionId, held: &Held) -> bool {
        has_name(&held.0, &self.owner(mission))
    }

    /// Whether the owner of a lease that was not given back lives.
    pub(super) fn look(&self, mission: MissionId) -> Result<Hold, Error> {
        let gate = self.0.join(format!("{mission}.gate"));
        // Whoever holds the gate alone is alive and takes the lease right now.
        let Some(_gate) = share(&gate)? else {
            return Ok(Hold::Live);
        };
        Ok(match share(&self.owner(mission))? {
            Some(_free) => Hold::Dead,
            None => Hold::Live,
        })
    }
}

fn share(path: &Path) -> Result<Option<Held>, Error> {
    let file = open(path)?;
    match file.try_lock_shared() {
        Ok(()) => Ok(Some(Held(file))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(io("locking", path, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_by_one_and_free_again_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let locks = Locks(dir.path().to_owned());
        assert_eq!(locks.look(MissionId(1)), Ok(Hold::Dead));
        let held = locks.own(MissionId(1)).unwrap();
        assert!(held.is_some());
        assert!(locks.own(MissionId(1)).unwrap().is_none());
        assert!(locks.own(MissionId(2)).unwrap().is_some());
        assert_eq!(locks.look(MissionId(1)), Ok(Hold::Live));
        drop(held);
        assert_eq!(locks.look(MissionId(1)), Ok(Hold::Dead));
        assert!(locks.own(MissionId(1)).unwrap().is_some());
    }

    #[test]
    fn a_look_during_an_acquisition_says_live_and_disturbs_no_one() {
        let dir = tempfile::tempdir().unwrap();
        let locks = Locks(dir.path().to_owned());
        let gate = locks.gate(MissionId(1)).unwrap();
        assert_eq!(locks.look(MissionId(1)), Ok(Hold::Live));
        assert!(locks.own(MissionId(1)).unwrap().is_some());
        drop(gate);
    }

    #[test]
    fn a_symlink_or_a_directory_in_place_of_a_lock_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let locks = Locks(dir.path().to_owned());
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("m1.lock")).unwrap();
        fs::create_dir(dir.path().join("m2.lock")).unwrap();
        assert!(locks.own(MissionId(1)).is_err());
        assert!(locks.own(MissionId(2)).is_err());
    }
}
