//! Writing a planned delivery, and taking it back.

use super::jail::{self, Found, Jail};
use super::{DeliveryPlan, Error, PlannedFile, State, name_of, open};
use crate::disk;
use crate::fault;
use crate::git::RepoPath;
use crate::repository::{MissionRepository, Project};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// What came of taking a delivery back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    /// How many files are as they were before.
    pub restored: usize,
    /// Files that the user has edited since; they were left alone.
    pub kept: Vec<RepoPath>,
}

fn failed(file: &PlannedFile) -> impl Fn(io::Error) -> Error + '_ {
    |source| Error::File {
        path: file.path.clone(),
        source,
    }
}

fn edited(file: &PlannedFile) -> Error {
    Error::Edited {
        path: file.path.clone(),
    }
}

impl MissionRepository {
    /// Keeps the bytes that a delivery will replace, in a folder of the caller's, flushed to disk. Again is the same
    /// as once, also in the middle of the delivery.
    ///
    /// # Errors
    /// [`Error::Edited`] if a file no longer holds what the plan saw and was not kept before.
    pub fn keep_old(
        &self,
        project: &Project,
        plan: &DeliveryPlan,
        dir: &Path,
    ) -> Result<(), Error> {
        check(project, plan)?;
        disk::make(dir)?;
        let jail = open(project)?;
        for (n, file) in plan.files.iter().enumerate() {
            let (link, digest) = match &file.old {
                State::Absent => continue,
                State::File { digest, .. } => (false, digest),
                State::Link { digest, .. } => (true, digest),
            };
            let to = kept(dir, n);
            if File::open(&to)
                .and_then(|mut from| jail::copy(&mut from, &mut io::sink()))
                .is_ok_and(|(d, _)| d == *digest)
            {
                continue;
            }
            if !file.old.fits(&jail.look(&file.path).map_err(failed(file))?) {
                return Err(edited(file));
            }
            let new = to.with_extension("new");
            let mut copy = File::create(&new).map_err(disk::failed("write", &new))?;
            let found = jail
                .copy_out(&file.path, link, &mut copy)
                .map_err(failed(file))?;
            if found != *digest {
                return Err(edited(file));
            }
            copy.sync_all()
                .and_then(|()| std::fs::rename(&new, &to))
                .map_err(disk::failed("write", &to))?;
            fault::point("deliver.file kept");
        }
        Ok(disk::sync_folder(dir)?)
    }

    /// Writes a planned delivery. Each file changes in one step; files that are already new are passed over, so after
    /// a crash, or an error that was mended, it is called again with the same plan.
    ///
    /// # Errors
    /// [`Error::Edited`] names the first file that is neither old nor new; files before it are new, files after it
    /// are old.
    pub fn apply(&self, project: &Project, plan: &DeliveryPlan) -> Result<(), Error> {
        check(project, plan)?;
        let jail = open(project)?;
        for file in &plan.files {
            jail.clear(&file.path).map_err(failed(file))?;
        }
        // Folders give way to files and files to folders, so what goes goes first, the deepest before its folder.
        for file in plan
            .files
            .iter()
            .rev()
            .filter(|file| file.new == State::Absent)
        {
            match owed(&jail, file, &file.old, &file.new)? {
                None => {}
                Some(_) => jail.remove(&file.path).map_err(failed(file))?,
            }
            fault::point("deliver.file removed");
        }
        let comes: Vec<&PlannedFile> = plan
            .files
            .iter()
            .filter(|file| file.new != State::Absent)
            .collect();
        self.planned_bytes(project, &comes, |file, bytes| {
            let Some(found) = owed(&jail, file, &file.old, &file.new)? else {
                return Ok(());
            };
            fault::point("deliver.file before");
            write(&jail, file, &file.new, &found, &mut bytes.as_slice())?;
            fault::point("deliver.file after");
            Ok(())
        })
    }

    /// Takes a delivery back, whole or half-done: puts back the kept bytes where a file still is what was delivered.
    ///
    /// # Errors
    /// [`Error::Lost`] if kept bytes are missing or damaged.
    pub fn undo(
        &self,
        project: &Project,
        plan: &DeliveryPlan,
        dir: &Path,
    ) -> Result<Undone, Error> {
        check(project, plan)?;
        let jail = open(project)?;
        let mut undone = Undone::default();
        for file in &plan.files {
            jail.clear(&file.path).map_err(failed(file))?;
        }
        for file in plan
            .files
            .iter()
            .rev()
            .filter(|file| file.old == State::Absent)
        {
            match owed(&jail, file, &file.new, &file.old) {
                Err(Error::Edited { path }) => undone.kept.push(path),
                Err(error) => return Err(error),
                Ok(None) => undone.restored += 1,
                Ok(Some(_)) => {
                    jail.remove(&file.path).map_err(failed(file))?;
                    fault::point("undo.file removed");
                    undone.restored += 1;
                }
            }
        }
        for (n, file) in plan
            .files
            .iter()
            .enumerate()
            .filter(|(_, file)| file.old != State::Absent)
        {
            let step = owed(&jail, file, &file.new, &file.old).and_then(|found| match found {
                Some(found) => restore(&jail, file, &found, &kept(dir, n)),
                None => Ok(()),
            });
            fault::point("undo.file restored");
            match step {
                Err(Error::Edited { path }) => undone.kept.push(path),
                Err(error) => return Err(error),
                Ok(()) => undone.restored += 1,
            }
        }
        undone.kept.sort();
        Ok(undone)
    }
}

fn check(project: &Project, plan: &DeliveryPlan) -> Result<(), Error> {
    if plan.project == name_of(project) {
        Ok(())
    } else {
        Err(Error::OtherProject)
    }
}

fn kept(dir: &Path, n: usize) -> PathBuf {
    dir.join(format!("{n:06}"))
}

/// What is there, if the step from one state to the other is still to be made; nothing if it is made.
fn owed(jail: &Jail, file: &PlannedFile, from: &State, to: &State) -> Result<Option<Found>, Error> {
    let found = jail.look(&file.path).map_err(failed(file))?;
    if to.fits(&found) {
        Ok(None)
    } else if from.fits(&found) {
        Ok(Some(found))
    } else {
        Err(edited(file))
    }
}

fn write(
    jail: &Jail,
    file: &PlannedFile,
    to: &State,
    found: &Found,
    from: &mut impl Read,
) -> Result<(), Error> {
    if *found == Found::Folder {
        jail.remove_empty_folder(&file.path)
            .map_err(|_| edited(file))?;
    }
    let executable = matches!(to, State::File { mode, .. } if mode & 0o100 != 0);
    // A replaced file keeps its permissions but for the execute bits, which follow the read bits.
    let mode = match found {
        Found::Entry(entry) if !entry.link => {
            let plain = entry.mode & 0o666;
            Some(if executable {
                plain | ((plain & 0o444) >> 2)
            } else {
                plain
            })
        }
        _ => None,
    };
    let link = matches!(to, State::Link { .. });
    let fresh = !matches!(found, Found::Entry(_));
    match jail.put(&file.path, from, link, mode, executable, fresh) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(edited(file)),
        other => other.map_err(failed(file)),
    }
}

fn restore(jail: &Jail, file: &PlannedFile, found: &Found, from: &Path) -> Result<(), Error> {
    let lost = || Error::Lost {
        path: file.path.clone(),
    };
    let (State::File { digest, .. } | State::Link { digest, .. }) = &file.old else {
        return Ok(());
    };
    let whole = File::open(from).and_then(|mut bytes| jail::copy(&mut bytes, &mut io::sink()));
    if !whole.is_ok_and(|(found, _)| found == *digest) {
        return Err(lost());
    }
    let mut bytes = File::open(from).map_err(|_| lost())?;
    if *found == Found::Folder {
        jail.remove_empty_folder(&file.path)
            .map_err(|_| edited(file))?;
    }
    let (link, mode) = match &file.old {
        State::File { mode, .. } => (false, Some(*mode)),
        _ => (true, None),
    };
    let fresh = !matches!(found, Found::Entry(_));
    match jail.put(&file.path, &mut bytes, link, mode, false, fresh) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(edited(file)),
        other => other.map_err(failed(file)),
    }
}
