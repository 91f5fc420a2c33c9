//! The plugin in OpenCode: put in, taken out, looked at.
//!
//! The program carries the plugin's files, writes them to a folder of its own, and registers that folder in the file
//! that OpenCode really reads. Everything is found out and refused before anything is written; what was made is
//! recorded before it is made, so that a run that is cut short leaves nothing that the next one does not finish or
//! take out.

mod attributes;
mod backup;
mod diff;
mod edit;
pub(crate) mod here;
mod jsonc;
pub(crate) mod locate;
pub(crate) mod plugin;
mod record;
pub(crate) mod watchdog;
pub(crate) mod write;

use crate::error::{Error, Kind};
use crate::places;
use engine::layout::Layout;
use locate::{Family, Found, SCREEN, SERVER};
use record::{Made, Record};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use workbench::fault;
use write::{Failure, Seen};

/// So often it is tried again when another program writes the same file.
const TRIES: usize = 20;

/// What an installation is about: this user, this OpenCode, this program.
#[derive(Clone, Debug)]
pub(crate) struct World {
    /// Our state directory.
    pub(crate) layout: Layout,
    /// The folder of OpenCode's configuration.
    pub(crate) config: PathBuf,
    /// This program.
    pub(crate) program: PathBuf,
    /// The plugin's folder, as OpenCode's configuration names it.
    pub(crate) entry: String,
    /// Whether the plugin has something for OpenCode's screen.
    pub(crate) screen: bool,
}

/// What will be changed, and what is as it should be already.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    changes: Vec<Change>,
    /// What is there already, for people.
    pub(crate) notes: Vec<String>,
}

/// One file and its new content; none if it goes.
#[derive(Clone, Debug)]
struct Change {
    path: PathBuf,
    seen: Seen,
    new: Option<Vec<u8>>,
    made: Made,
    /// Why it is this file and no other.
    why: &'static str,
}

/// What was done.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// Files that were changed, made or removed.
    pub(crate) changed: Vec<PathBuf>,
    /// Where their old content is.
    pub(crate) backups: Vec<PathBuf>,
    /// Whether files of the plugin were written or removed.
    pub(crate) plugin: bool,
    /// What was there already.
    pub(crate) notes: Vec<String>,
    files: Vec<Change>,
    /// Keeps others out of the folder of the configuration, as soon as there is one.
    folder: Option<File>,
}

impl World {
    /// Finds out where everything is.
    pub(crate) fn find() -> Result<Self, Error> {
        let layout = places::layout()?;
        Ok(Self {
            entry: plugin::entry(&layout)?,
            config: places::opencode()?,
            program: plugin::program()?,
            screen: plugin::has_screen(),
            layout,
        })
    }

    /// Why nothing is to be installed or taken out here, if so.
    pub(crate) fn why_not_here(&self) -> Option<String> {
        here::why_not(&self.program, |name| std::env::var(name).ok())
    }

    /// What an install would change.
    pub(crate) fn plan_install(&self) -> Result<Plan, Error> {
        let mut plan = Plan::default();
        let screen = self.screen.then_some(&SCREEN);
        for family in [&SERVER].into_iter().chain(screen) {
            let files = family.find(&self.config)?;
            if let Some((found, entry)) = family.registered(&files, &self.entry) {
                let path = found.path.display();
                let mut note = format!("registered already in {path}, as `{entry}`");
                if plugin::is_from_npm(entry) {
                    note += ", which OpenCode takes from npm and not from this program; for this one: \
                             orchestrator uninstall, then orchestrator install";
                }
                plan.notes.push(note);
                continue;
            }
            let listed = Family::counts(&files);
            let (found, why) = match (files.get(listed.unwrap_or(0)), listed) {
                (Some(found), Some(_)) if family.shadows => (
                    found.clone(),
                    "whose list `plugin` is the one that OpenCode counts",
                ),
                (Some(found), Some(_)) => (found.clone(), "which has a list `plugin`"),
                (Some(found), None) => (
                    found.clone(),
                    "the first file that there is, as none has a list `plugin`",
                ),
                (None, _) => (
                    locate::read(&self.config.join(family.new))?,
                    "which is new, as there was none",
                ),
            };
            plan.changes.push(self.with_entry(family, found, why)?);
        }
        Ok(plan)
    }

    fn with_entry(
        &self,
        family: &Family,
        found: Found,
        why: &'static str,
    ) -> Result<Change, Error> {
        found.seen.has_one_name()?;
        let added = found.text.add(&self.entry, family.schema);
        let added = added.ok_or_else(|| {
            let path = found.path.display();
            let what = format!("{path} is written in a way that cannot be added to");
            let hint = format!("add \"{}\" to its array `plugin` by hand", self.entry);
            Error::new(Kind::Plugin, what).hint(hint)
        })?;
        let missing = found.seen.file.is_none();
        let made = Made {
            folder: missing && !self.config.exists(),
            file: missing,
            content: found.text.is_empty(),
            key: added.made_key,
        };
        Ok(Change {
            path: found.path,
            seen: found.seen,
            new: Some(added.bytes),
            made,
            why,
        })
    }

    /// What taking it out would change.
    pub(crate) fn plan_uninstall(&self) -> Result<Plan, Error> {
        let mut plan = Plan::default();
        let record = Record::read(&self.layout);
        let mut files = SERVER.find(&self.config)?;
        files.extend(SCREEN.find(&self.config)?);
        // Where the configuration was when it was installed, if that is elsewhere.
        for path in record
            .paths()
            .filter(|path| !path.starts_with(&self.config))
        {
            files.push(locate::read(path)?);
        }
        let ours = |entry: &str| plugin::is_ours(entry, &self.entry);
        for found in files {
            let made = record.of(&found.path);
            let Some(bytes) = found.text.remove(&ours, made.key) else {
                continue;
            };
            found.seen.has_one_name()?;
            let screen = SCREEN.names.iter().any(|name| found.path.ends_with(name));
            let schema = if screen { SCREEN.schema } else { SERVER.schema };
            let nothing_left = made.content && bytes == edit::template(schema, "").as_bytes();
            let new = match (nothing_left, made.file) {
                (true, true) => None,
                (true, false) => Some(Vec::new()),
                (false, _) => Some(bytes),
            };
            plan.changes.push(Change {
                path: found.path,
                seen: found.seen,
                new,
                made,
                why: "which names the plugin",
            });
        }
        Ok(plan)
    }

    /// Writes the plugin's files and registers them.
    pub(crate) fn install(&self) -> Result<Done, Error> {
        let mut done = Done::default();
        let _lock = self.lock(&mut done)?;
        let mut record = Record::read(&self.layout);
        let installed = self.until_it_holds(&mut done, |done| {
            watchdog::doing("reading OpenCode's configuration");
            let plan = self.plan_install()?;
            watchdog::doing("writing the plugin's files");
            done.plugin |= plugin::write(&self.layout, &self.program)?;
            for change in &plan.changes {
                record.set(&change.path, change.made);
            }
            if !plan.changes.is_empty() {
                record.write(&self.layout)?;
            }
            fault::point("install.recorded");
            Ok(plan)
        });
        installed.map(|()| done)
    }

    /// Takes our entries and files out.
    pub(crate) fn uninstall(&self) -> Result<Done, Error> {
        let mut done = Done::default();
        if !self.layout.root().exists() && self.plan_uninstall()?.changes.is_empty() {
            return Ok(done);
        }
        let _lock = self.lock(&mut done)?;
        self.until_it_holds(&mut done, |_| {
            watchdog::doing("reading OpenCode's configuration");
            self.plan_uninstall()
        })?;
        watchdog::doing("removing the plugin's files");
        done.plugin = plugin::remove(&self.layout)?;
        for path in Record::read(&self.layout).paths() {
            let (made, folder) = (Record::read(&self.layout).of(path), path.parent());
            if let Some(folder) = folder.filter(|_| made.folder) {
                // It stays where anything is in it.
                fs::remove_dir(folder).ok();
            }
        }
        fs::remove_file(self.layout.install_record()).ok();
        fault::point("install.record removed");
        Ok(done)
    }

    /// One at a time; what an earlier run that was cut short has left is removed.
    fn lock(&self, done: &mut Done) -> Result<File, Error> {
        watchdog::doing("making the state directory");
        write::own_folder(self.layout.root())?;
        watchdog::doing(
            "waiting for another install, which holds install.lock in the state directory",
        );
        let path = self.layout.install_lock();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR).map(File::from);
        let file = file.map_err(|error| Error::io("open", &path, &error.into()))?;
        file.lock()
            .map_err(|error| Error::io("lock", &path, &error))?;
        done.folder = self.lock_folder()?;
        watchdog::doing("tidying up");
        let names = SERVER.names.iter().chain(SCREEN.names);
        let looked_for = names.map(|name| self.config.join(name));
        let record = Record::read(&self.layout);
        // Where there was no folder to lock, whoever has made one since is at work in it, and leaves nothing.
        let is_kept_out = |path: &PathBuf| done.folder.is_some() || !path.starts_with(&self.config);
        let all: Vec<PathBuf> = looked_for
            .chain(record.paths().map(Path::to_owned))
            .filter(is_kept_out)
            .collect();
        let real: Vec<PathBuf> = all
            .iter()
            .filter_map(|path| path.canonicalize().ok())
            .filter(is_kept_out)
            .collect();
        let own = [self.layout.install_record()];
        write::tidy(all.iter().chain(&real).chain(&own).map(PathBuf::as_path));
        fault::point("install.locked");
        Ok(file)
    }

    /// The folder of the configuration, which an install with another state directory changes as well: what that one has
    /// just displaced would be tidied up here. Nothing if there is none yet.
    fn lock_folder(&self) -> Result<Option<File>, Error> {
        watchdog::doing("waiting for another install, which holds OpenCode's configuration");
        let failed = |what, error: &io::Error| Err(Error::io(what, &self.config, error));
        loop {
            let folder = match File::open(&self.config) {
                Ok(folder) => folder,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(error) => return failed("open", &error),
            };
            match folder.lock().map_err(|error| Errno::from_io_error(&error)) {
                // A network's file system may lock no folder. There nobody else can be kept out.
                Ok(()) | Err(Some(Errno::BADF | Errno::NOLCK | Errno::OPNOTSUPP)) => {}
                Err(error) => {
                    let error = error.map_or(ErrorKind::Other.into(), io::Error::from);
                    return failed("lock", &error);
                }
            }
            // Whoever was waited for may have removed it, and what is gone keeps nobody out.
            let locked = folder.metadata().map(|data| (data.dev(), data.ino()));
            let there = fs::metadata(&self.config).map(|data| (data.dev(), data.ino()));
            if there.is_ok_and(|there| locked.is_ok_and(|locked| locked == there)) {
                return Ok(Some(folder));
            }
        }
    }

    /// Plans and carries out until nobody writes in between. If it fails, what was changed is put back.
    fn until_it_holds(
        &self,
        done: &mut Done,
        mut plan: impl FnMut(&mut Done) -> Result<Plan, Error>,
    ) -> Result<(), Error> {
        for _ in 0..TRIES {
            let planned = plan(done).and_then(|plan| {
                watchdog::doing("changing OpenCode's configuration");
                match self.carry_out(&plan, done) {
                    Ok(()) => Ok(Some(plan.notes)),
                    Err(Failure::Changed) => Ok(None),
                    Err(Failure::Failed(error)) => Err(error),
                }
            });
            match planned {
                Ok(Some(notes)) => {
                    done.notes = notes;
                    return Ok(());
                }
                Ok(None) => {}
                Err(error) => return Err(put_back(done, error)),
            }
        }
        let what = format!("another program keeps writing in {}", self.config.display());
        let error = Error::new(Kind::Plugin, what).hint("close it and try again");
        Err(put_back(done, error))
    }

    fn carry_out(&self, plan: &Plan, done: &mut Done) -> Result<(), Failure> {
        let mut changes = plan.changes.iter();
        let is_here = changes.any(|change| change.path.starts_with(&self.config));
        // Whoever takes the plugin out at this moment may remove the folder again before it is locked.
        while is_here && done.folder.is_none() {
            let made = fs::create_dir_all(&self.config);
            made.map_err(|error| Error::io("make", &self.config, &error))?;
            done.folder = self.lock_folder()?;
        }
        for change in &plan.changes {
            if let Some(old) = &change.seen.file {
                let kept = backup::keep(&self.layout, &change.path, &old.bytes)?;
                done.backups.push(kept);
            }
            let good = |bytes: &[u8]| edit::Text::read(bytes).is_ok();
            write::replace(&change.seen, change.new.as_deref(), good)?;
            done.changed.push(change.path.clone());
            done.files.push(change.clone());
        }
        Ok(())
    }
}

/// Puts back what was changed before something failed, unless somebody has written since.
fn put_back(done: &Done, error: Error) -> Error {
    let mut told = error;
    for change in &done.files {
        let now = write::look(&change.path).ok().and_then(|seen| seen.file);
        if now.map(|file| file.bytes) == change.new
            && let Err(error) = write::roll_back(&change.seen)
        {
            told = told.hint(error.to_string());
        }
    }
    told
}

impl Change {
    /// The file, and why it is this one.
    fn told(&self) -> String {
        format!("{}, {}", self.path.display(), self.why)
    }
}

impl Done {
    /// The files that were changed, each with the reason why it is this one.
    pub(crate) fn reasons(&self) -> impl Iterator<Item = String> {
        self.files.iter().map(Change::told)
    }
}

impl Plan {
    /// The files that would be changed, each with the reason why it is this one.
    pub(crate) fn reasons(&self) -> impl Iterator<Item = String> {
        self.changes.iter().map(Change::told)
    }

    /// Whether there is nothing to change.
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// All changes as people read them.
    pub(crate) fn diff(&self) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let one = |change: &Change| {
            let old = change.seen.file.as_ref().map(|file| text(&file.bytes));
            let new = change.new.as_deref().map(text);
            let name = change.path.to_string_lossy();
            diff::diff(&name, old.as_deref(), new.as_deref())
        };
        self.changes.iter().map(one).collect()
    }
}

#[cfg(test)]
mod tests;
