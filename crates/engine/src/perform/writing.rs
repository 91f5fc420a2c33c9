//! The turn to write into a project, or to look at it: one mission at a time.
//!
//! The lock is the kernel's and ends with the process, so that nobody waits for the dead. But a delivery whose process
//! died may have written half of its files. Its name stays in the lock's file until it is finished or taken back, and
//! whoever else comes meanwhile is told so: half of a delivery is nobody's base, and nothing is written over it.

use super::{Error, still_owed};
use crate::layout::{Layout, Place};
use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use workbench::fault;

/// How long a delivery, or a look at the project, waits for a delivery into the same project.
pub(super) const WAIT: Duration = Duration::from_millis(mission::limits::DELIVERY_WAIT.0);
/// How often it looks meanwhile.
const LOOK: Duration = Duration::from_millis(50);
/// More bytes than the name of a mission's folder has.
const NAME_BYTES: u64 = 256;

/// The turn of one mission. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    file: File,
    name: String,
    /// Whether the file says already that it is this mission's turn to write.
    says: bool,
}

/// Whose turn it is to be.
#[derive(Clone, Copy)]
pub(crate) struct Whose<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) place: &'a Place,
}

impl Turn {
    /// Waits for the turn in the project with this root.
    ///
    /// # Errors
    /// For good where another mission keeps it longer than `wait`. For now where it is not owed any more, or where
    /// another mission broke off while it wrote: an engine that takes that one up may be at it already.
    pub(crate) fn take(
        whose: Whose<'_>,
        root: &Path,
        wait: Duration,
        cancel: &CancellationToken,
    ) -> Result<Self, Error> {
        let lock = whose.layout.delivery_lock(root);
        let mut file = hold(&lock, wait, cancel)?;
        let mut writer = String::new();
        (&mut file)
            .take(NAME_BYTES)
            .read_to_string(&mut writer)
            .map_err(Error::new)?;
        let name = whose.place.name();
        let is_half = !writer.is_empty() && writer != name;
        // A mission whose folder is gone has nothing left to finish or to take back with.
        if is_half && whose.layout.mission(&writer).root().exists() {
            let id = writer.split('-').next().unwrap_or(&writer);
            let resume = format!("orchestrator resume {id}");
            let why = format!(
                "mission {id} broke off while it wrote into this folder; finish that first: {resume}; or leave it as it is: orchestrator clean {id}"
            );
            return Err(Error::until(why, resume));
        }
        let says = writer == name;
        Ok(Self { file, name, says })
    }

    /// Says, before the first byte, that the user's files are about to be in between. A mission that broke off and goes
    /// on has said so already, and nobody may find nothing said while its files are half written.
    pub(super) fn begin(&mut self) -> Result<(), Error> {
        match self.says {
            // Whoever said so may have died before it was on the disk.
            true => self.file.sync_data().map_err(Error::new),
            false => self.say(&self.name.clone()).map_err(Error::new),
        }
    }

    /// Says that they are not any more.
    pub(super) fn end(&mut self) -> Result<(), Error> {
        self.say("").map_err(Error::new)
    }

    fn say(&mut self, name: &str) -> std::io::Result<()> {
        self.file.set_len(0)?;
        fault::point("writing.half said");
        self.file.rewind()?;
        self.file.write_all(name.as_bytes())?;
        self.file.sync_data()?;
        self.says = !name.is_empty();
        fault::point("writing.said");
        Ok(())
    }
}

/// Waits for the lock.
fn hold(lock: &Path, wait: Duration, cancel: &CancellationToken) -> Result<File, Error> {
    if let Some(folder) = lock.parent() {
        std::fs::create_dir_all(folder).map_err(Error::new)?;
    }
    let file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(lock)
        .map_err(Error::new)?;
    let until = Instant::now() + wait;
    loop {
        match file.try_lock() {
            Ok(()) => {
                fault::point("writing.locked");
                return Ok(file);
            }
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                still_owed(cancel)?;
                std::thread::sleep(LOOK);
            }
            Err(TryLockError::WouldBlock) => {
                let why = format!(
                    "another mission has been writing into this project for {wait:?}; `orchestrator list` names the missions"
                );
                return Err(Error::lasting(why));
            }
            Err(TryLockError::Error(error)) => return Err(Error::new(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_waits_for_another_one_but_not_for_ever() {
        let (dir, on) = (tempfile::tempdir().unwrap(), CancellationToken::new());
        let lock = dir.path().join("deliveries/project.lock");
        let first = hold(&lock, Duration::ZERO, &on).unwrap();
        let error = hold(&lock, Duration::ZERO, &on).unwrap_err();
        assert!(error.is_final(), "{error}");
        assert!(error.to_string().contains("another mission"), "{error}");
        let off = CancellationToken::new();
        off.cancel();
        let error = hold(&lock, WAIT, &off).unwrap_err();
        assert!(error.to_string().contains("not owed"), "{error}");
        drop(first);
        hold(&lock, Duration::ZERO, &on).unwrap();
    }

    #[test]
    fn whoever_broke_off_while_it_wrote_is_finished_first() {
        let (dir, on) = (tempfile::tempdir().unwrap(), CancellationToken::new());
        let layout = Layout::new(dir.path().to_owned());
        let root = Path::new("/project");
        let take = |name: &str| {
            let place = layout.mission(name);
            let whose = Whose {
                layout: &layout,
                place: &place,
            };
            Turn::take(whose, root, Duration::ZERO, &on)
        };
        std::fs::create_dir_all(layout.mission("m1-a").root()).unwrap();
        take("m1-a").unwrap().begin().unwrap();
        let error = take("m2-b").unwrap_err();
        assert!(!error.is_final(), "an engine may be at it already: {error}");
        assert!(
            error.to_string().contains("orchestrator resume m1"),
            "{error}"
        );
        // It goes on. What it said stands all the while: an empty file would be an invitation.
        let lock = layout.delivery_lock(root);
        let mut again = take("m1-a").unwrap();
        let earlier = std::time::UNIX_EPOCH;
        again.file.set_modified(earlier).unwrap();
        again.begin().unwrap();
        let written = std::fs::metadata(&lock).unwrap().modified().unwrap();
        assert_eq!(written, earlier, "it is not written anew");
        again.end().unwrap();
        drop(again);
        take("m2-b").unwrap();
        // Nobody waits for a mission that is no more.
        take("m1-a").unwrap().begin().unwrap();
        std::fs::remove_dir_all(layout.mission("m1-a").root()).unwrap();
        take("m2-b").unwrap();
    }
}
