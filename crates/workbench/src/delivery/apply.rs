//! Writing a planned delivery, and taking it back.

use super::jail::{self, Beside, Form, Found, Jail};
use super::{DeliveryPlan, Error, PlannedFile, State, name_of, open};
use crate::disk;
use crate::fault;
use crate::git::RepoPath;
use crate::repository::{MissionRepository, Project};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A delivery of more files than this flushes the file system instead of each file: two waits for the disk a file are
/// what a large delivery would spend nearly all of its time on.
const FEW: usize = 32;

/// How many files are written beside their places before they are put there: so many a crash may leave behind until the
/// delivery is finished or taken back.
const BATCH: usize = 256;

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
        let many = plan.files.len() > FEW;
        let place = |(new, to): (PathBuf, PathBuf)| {
            std::fs::rename(&new, &to).map_err(disk::failed("write", &to))
        };
        let mut written = Vec::new();
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
            if many {
                written.push((new, to));
                continue;
            }
            copy.sync_all().map_err(disk::failed("write", &new))?;
            place((new, to))?;
            fault::of("deliver.file kept", &file.path);
        }
        if many {
            jail::flush_system(dir).map_err(disk::failed("flush", dir))?;
            written.into_iter().try_for_each(place)?;
            fault::point("deliver.files kept");
        }
        Ok(disk::sync_folder(dir)?)
    }

    /// Writes a planned delivery. Each file changes in one step; files that are already new are passed over, so after
    /// a crash, or an error that was mended, it is called again with the same plan.
    ///
    /// # Errors
    /// [`Error::Edited`] names the first file that is neither old nor new; some of the others are new then, the rest is
    /// old.
    pub fn apply(&self, project: &Project, plan: &DeliveryPlan) -> Result<(), Error> {
        check(project, plan)?;
        let jail = open(project)?;
        settle(&jail, plan)?;
        let mut writer = Writer::new(&jail, plan, Beside::New);
        // Folders give way to files and files to folders, so what goes goes first, the deepest before its folder.
        for file in plan
            .files
            .iter()
            .rev()
            .filter(|file| file.new == State::Absent)
        {
            writer.remove(file)?;
            fault::of("deliver.file removed", &file.path);
        }
        let comes: Vec<&PlannedFile> = plan
            .files
            .iter()
            .filter(|file| file.new != State::Absent)
            .collect();
        self.planned_bytes(project, &comes, |file, bytes| {
            if let Some(found) = owed(&jail, file, &file.old, &file.new)? {
                fault::of("deliver.file before", &file.path);
                writer.stage(file, found, &mut bytes.as_slice())?;
            }
            Ok(())
        })?;
        writer.finish().map(drop)
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
        settle(&jail, plan)?;
        let mut writer = Writer::new(&jail, plan, Beside::Old);
        let came = |file: &&PlannedFile| file.old == State::Absent;
        for file in plan.files.iter().rev().filter(came) {
            writer.remove(file)?;
            fault::of("undo.file removed", &file.path);
        }
        for (n, file) in plan
            .files
            .iter()
            .enumerate()
            .filter(|(_, file)| file.old != State::Absent)
        {
            match owed(&jail, file, &file.new, &file.old) {
                Err(Error::Edited { path }) => writer.edited.push(path),
                Err(error) => return Err(error),
                Ok(None) => {}
                Ok(Some(found)) => {
                    let mut bytes = kept_bytes(file, &kept(dir, n))?;
                    writer.stage(file, found, &mut bytes)?;
                }
            }
        }
        let mut kept = writer.finish()?;
        kept.sort();
        Ok(Undone {
            restored: plan.files.len() - kept.len(),
            kept,
        })
    }

    /// Writes a planned delivery, and takes back what was written where that breaks off.
    ///
    /// # Errors
    /// [`Broken`] says why, and whether anything of it is left.
    pub fn deliver_files(
        &self,
        project: &Project,
        plan: &DeliveryPlan,
        dir: &Path,
    ) -> Result<(), Broken> {
        self.apply(project, plan).map_err(|why| {
            let back = self.undo(project, plan, dir);
            Broken::new(why, back.map(|undone| undone.kept))
        })
    }
}

/// A delivery that broke off.
#[derive(Debug)]
pub struct Broken {
    /// Why.
    pub why: Box<Error>,
    /// Files of the delivery that somebody has edited meanwhile; they were left alone.
    pub kept: Vec<RepoPath>,
    /// Why what was written could not be taken back; nothing where all is as it was.
    pub stuck: Option<Box<Error>>,
}

impl Broken {
    pub(super) fn new(why: Error, back: Result<Vec<RepoPath>, Error>) -> Self {
        let (kept, stuck) = match back {
            Ok(kept) => (kept, None),
            Err(stuck) => (Vec::new(), Some(Box::new(stuck))),
        };
        let why = Box::new(why);
        Self { why, kept, stuck }
    }
}

impl From<Error> for Broken {
    /// One that broke off before anything was written.
    fn from(why: Error) -> Self {
        Self::new(why, Ok(Vec::new()))
    }
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.why)?;
        let named = match &*self.why {
            Error::Edited { path } => Some(path),
            _ => None,
        };
        let others = self.kept.iter().filter(|path| Some(*path) != named);
        for (n, path) in others.enumerate() {
            let before = if n == 0 {
                ". Edited meanwhile and left: "
            } else {
                ", "
            };
            write!(f, "{before}{path}")?;
        }
        match &self.stuck {
            Some(stuck) => write!(f, ". What was written could not be taken back: {stuck}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Broken {}

/// Puts files into their places, or back, and remembers what is still to be flushed.
struct Writer<'a> {
    jail: &'a Jail,
    /// Which side is put there; never [`Beside::Out`].
    side: Beside,
    many: bool,
    staged: Vec<(&'a PlannedFile, Found)>,
    /// Paths whose folders have changed and are not flushed yet.
    changed: Vec<&'a RepoPath>,
    /// Files that somebody has edited; a delivery stops at the first, taking back goes on.
    edited: Vec<RepoPath>,
}

impl<'a> Writer<'a> {
    fn new(jail: &'a Jail, plan: &DeliveryPlan, side: Beside) -> Self {
        Self {
            jail,
            side,
            many: plan.files.len() > FEW,
            staged: Vec::new(),
            changed: Vec::new(),
            edited: Vec::new(),
        }
    }

    /// The states from which and to which a file changes.
    fn way<'f>(&self, file: &'f PlannedFile) -> (&'f State, &'f State) {
        match self.side {
            Beside::New => (&file.old, &file.new),
            _ => (&file.new, &file.old),
        }
    }

    fn was_edited(&mut self, file: &PlannedFile) -> Result<(), Error> {
        if self.side == Beside::New {
            return Err(edited(file));
        }
        self.edited.push(file.path.clone());
        Ok(())
    }

    fn remove(&mut self, file: &'a PlannedFile) -> Result<(), Error> {
        let (from, to) = self.way(file);
        match owed(self.jail, file, from, to) {
            Err(Error::Edited { .. }) => return self.was_edited(file),
            Err(error) => return Err(error),
            Ok(None) => return Ok(()),
            Ok(Some(_)) => {}
        }
        let out = self.jail.take_out(&file.path, |found| from.fits(found));
        if !out.map_err(failed(file))? {
            return self.was_edited(file);
        }
        self.changed.push(&file.path);
        Ok(())
    }

    fn stage(
        &mut self,
        file: &'a PlannedFile,
        found: Found,
        from: &mut impl Read,
    ) -> Result<(), Error> {
        if found == Found::Folder {
            // What is in it went before; anything else in it is somebody's.
            if self.jail.remove_empty_folder(&file.path).is_err() {
                return self.was_edited(file);
            }
        }
        let form = self.form(file, &found);
        self.jail
            .stage(&file.path, from, &form, self.side)
            .map_err(failed(file))?;
        fault::of("deliver.file staged", &file.path);
        self.staged.push((file, found));
        if self.many && self.staged.len() < BATCH {
            return Ok(());
        }
        self.place()
    }

    fn form(&self, file: &PlannedFile, found: &Found) -> Form {
        let (_, to) = self.way(file);
        let executable = matches!(to, State::File { mode, .. } if mode & 0o100 != 0);
        let mode = match (self.side, to, found) {
            (Beside::Old, State::File { mode, .. }, _) => Some(*mode),
            // A replaced file keeps its permissions but for the execute bits, which follow the read bits.
            (Beside::New, _, Found::Entry(entry)) if !entry.link => {
                let plain = entry.mode & 0o666;
                Some(if executable {
                    plain | ((plain & 0o444) >> 2)
                } else {
                    plain
                })
            }
            _ => None,
        };
        Form {
            link: matches!(to, State::Link { .. }),
            mode,
            executable,
            flush: !self.many,
        }
    }

    /// Puts what was staged into its places.
    fn place(&mut self) -> Result<(), Error> {
        if self.many && !self.staged.is_empty() {
            self.flush_all()?;
        }
        while let Some((file, found)) = self.staged.pop() {
            let fresh = !matches!(found, Found::Entry(_));
            let (from, _) = self.way(file);
            let placed = self
                .jail
                .swap_in(&file.path, self.side, fresh, |found| from.fits(found));
            if !placed.map_err(failed(file))? {
                self.was_edited(file)?;
                continue;
            }
            self.changed.push(&file.path);
            match self.side {
                Beside::New => fault::of("deliver.file after", &file.path),
                _ => fault::of("undo.file restored", &file.path),
            }
        }
        Ok(())
    }

    fn flush_all(&self) -> Result<(), Error> {
        let failed = |source| Error::Flush { source };
        self.jail.flush_all().map_err(failed)
    }

    /// Puts the rest into its places, and returns when all of it is on the disk. Gives the files that were left alone.
    fn finish(mut self) -> Result<Vec<RepoPath>, Error> {
        self.place()?;
        if self.many && !self.changed.is_empty() {
            self.flush_all()?;
        }
        self.changed.sort_by_key(|path| path.parent());
        self.changed.dedup_by_key(|path| path.parent());
        for path in &self.changed {
            let failed = |source| Error::Flush { source };
            self.jail.flush_names(path, self.many).map_err(failed)?;
        }
        fault::point(match self.side {
            Beside::New => "deliver.files flushed",
            _ => "undo.files flushed",
        });
        Ok(std::mem::take(&mut self.edited))
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        for (file, _) in &self.staged {
            self.jail.unstage(&file.path, self.side);
        }
    }
}

fn check(project: &Project, plan: &DeliveryPlan) -> Result<(), Error> {
    if plan.project == name_of(project) {
        Ok(())
    } else {
        Err(Error::OtherProject)
    }
}

/// Clears away what a crash has left beside the files.
fn settle(jail: &Jail, plan: &DeliveryPlan) -> Result<(), Error> {
    for file in &plan.files {
        let (old, new) = (
            |found: &_| file.old.fits(found),
            |found: &_| file.new.fits(found),
        );
        jail.settle(&file.path, old, new).map_err(failed(file))?;
    }
    Ok(())
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

/// The bytes that were kept of a file, after comparing them with what it held.
fn kept_bytes(file: &PlannedFile, from: &Path) -> Result<File, Error> {
    let lost = || Error::Lost {
        path: file.path.clone(),
    };
    let (State::File { digest, .. } | State::Link { digest, .. }) = &file.old else {
        return Err(lost());
    };
    let whole = File::open(from).and_then(|mut bytes| jail::copy(&mut bytes, &mut io::sink()));
    if !whole.is_ok_and(|(found, _)| found == *digest) {
        return Err(lost());
    }
    File::open(from).map_err(|_| lost())
}
