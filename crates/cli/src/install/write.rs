//! Reads and replaces one file of somebody else so that it is the old one or the new one at every instant.
//!
//! The new content is flushed in a file beside it, the two change places in one call, and what was displaced is looked
//! at: if another program has written meanwhile, they change back and nothing has happened.

use super::attributes::{self, Attributes, Which};
use crate::error::{Error, Kind};
use rustix::fs::{Mode, OFlags, RenameFlags};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;
use workbench::fault;

/// The longest configuration that is read, in bytes: no person writes more.
const LONGEST: u64 = 16 << 20;
/// What the names of files that are on their way have in them.
const MARK: &str = ".orchestrator-";

/// A file as it was seen.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Where it really stands, links followed.
    pub(crate) real: PathBuf,
    /// What it was; nothing if it is not there.
    pub(crate) file: Option<Content>,
}

/// A file's content and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    mode: u32,
    owner: (u32, u32),
    place: (u64, u64),
    attributes: Attributes,
    /// How many names it has in its file system.
    names: u64,
}

impl Seen {
    /// Refuses a file that has a second name: it would keep the old content under that one, and the two would be two
    /// files from then on.
    pub(crate) fn has_one_name(&self) -> Result<(), Error> {
        match &self.file {
            Some(file) if file.names > 1 => {
                let why = format!(
                    "has {} names (hard links), which would be parted; make it a file of its own, or a symbolic link",
                    file.names
                );
                Err(refused(&self.real, &why))
            }
            _ => Ok(()),
        }
    }
}

/// Why a file was not replaced.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It is not what was seen any more. Nothing was changed.
    Changed,
    /// Something went wrong. The old content is there.
    Failed(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

fn refused(path: &Path, why: &str) -> Error {
    let what = format!("{} {why}", path.display());
    Error::new(Kind::Plugin, what).hint("nothing was changed")
}

fn failed(verb: &str, path: &Path, error: &io::Error) -> Error {
    refused(path, &format!("could not be {verb}: {error}"))
}

/// Looks at a file. What is no file is never opened: a pipe would not let go.
pub(crate) fn look(path: &Path) -> Result<Seen, Error> {
    let real = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let (parent, name) = (path.parent(), path.file_name());
            let parent = parent.and_then(|parent| parent.canonicalize().ok());
            let real = parent.zip(name).map(|(parent, name)| parent.join(name));
            return Ok(Seen {
                real: real.unwrap_or_else(|| path.to_owned()),
                file: None,
            });
        }
        Err(error) => return Err(failed("looked at", path, &error)),
        Ok(_) => path.canonicalize().map_err(|error| match error.kind() {
            ErrorKind::NotFound => refused(path, "is a link that leads nowhere"),
            _ => failed("looked at", path, &error),
        })?,
    };
    let file = content(&real).map_err(|error| match error.kind() {
        ErrorKind::InvalidInput => refused(path, &error.to_string()),
        _ => failed("read", path, &error),
    })?;
    Ok(Seen {
        real,
        file: Some(file),
    })
}

fn content(real: &Path) -> io::Result<Content> {
    let odd = |why: &str| io::Error::new(ErrorKind::InvalidInput, why);
    const NO_FILE: &str = "is no file; OpenCode cannot read it either. Move it away and try again";
    if !fs::metadata(real)?.is_file() {
        return Err(odd(NO_FILE));
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = File::from(rustix::fs::open(real, flags, Mode::empty())?);
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(odd(NO_FILE));
    }
    let attributes = attributes::read(&file)?;
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(odd("is longer than any configuration"));
    }
    Ok(Content {
        bytes,
        mode: found.mode() & 0o7777,
        owner: (found.uid(), found.gid()),
        place: (found.dev(), found.ino()),
        attributes,
        names: found.nlink(),
    })
}

/// Replaces a file by new content, or removes it; `good` says whether what stands there afterwards is right. When it is
/// not, or anything else fails, the old content is put back.
pub(crate) fn replace(
    seen: &Seen,
    new: Option<&[u8]>,
    good: impl Fn(&[u8]) -> bool,
) -> Result<(), Failure> {
    let Some(new) = new else {
        return remove(seen);
    };
    let temporary = prepare(seen, new).map_err(|error| failed("written", &seen.real, &error))?;
    fault::point("install.prepared");
    put(seen, temporary, new)?;
    fault::point("install.put");
    let settled = flush_folder(&seen.real).and_then(|()| content(&seen.real));
    fault::point("install.flushed");
    match settled {
        Ok(now) if now.bytes == new && good(new) => Ok(()),
        // Somebody has written since: that is theirs, and is not rolled back.
        Ok(now) if now.bytes != new => Err(Failure::Changed),
        settled => {
            let why = match settled {
                Err(error) => error.to_string(),
                Ok(_) => "it does not say what it should".to_owned(),
            };
            roll_back(seen)?;
            let what = format!("could not be changed and was put back: {why}");
            Err(refused(&seen.real, &what).into())
        }
    }
}

/// Puts the old content back.
pub(crate) fn roll_back(seen: &Seen) -> Result<(), Error> {
    let restored = match &seen.file {
        None => fs::remove_file(&seen.real),
        Some(old) => prepare(seen, &old.bytes).and_then(|temporary| {
            temporary.persist(&seen.real)?;
            Ok(())
        }),
    };
    let restored = restored.and_then(|()| flush_folder(&seen.real));
    restored.map_err(|error| {
        let what = format!("{} could not be put back: {error}", seen.real.display());
        Error::new(Kind::Plugin, what).hint("`orchestrator doctor` names the folder of backups")
    })
}

/// The new content, flushed, in a file beside the old one with its owner and mode.
fn prepare(seen: &Seen, new: &[u8]) -> io::Result<NamedTempFile> {
    let mut temporary = temporary(&seen.real)?;
    if let Some(old) = &seen.file {
        let file = temporary.as_file();
        let made = file.metadata()?;
        if (made.uid(), made.gid()) != old.owner {
            let (uid, gid) = old.owner;
            std::os::unix::fs::fchown(file, Some(uid), Some(gid))?;
        }
        // Before the mode, which may forbid its owner to write any.
        attributes::give(file, &old.attributes, Which::Others)?;
        // After the owner, whose change takes bits of the mode away.
        file.set_permissions(fs::Permissions::from_mode(old.mode))?;
        // After the mode, of which an access list says once more what it is.
        attributes::give(file, &old.attributes, Which::AccessLists)?;
    }
    temporary.write_all(new)?;
    temporary.as_file().sync_all()?;
    Ok(temporary)
}

/// A new file beside another, under a name that nobody can foresee, which is gone when it is dropped.
fn temporary(beside: &Path) -> io::Result<NamedTempFile> {
    let folder = beside.parent().unwrap_or(Path::new("/"));
    let name = beside.file_name().unwrap_or_default().to_string_lossy();
    tempfile::Builder::new()
        .prefix(&format!(".{name}{MARK}"))
        .rand_bytes(12)
        .permissions(fs::Permissions::from_mode(0o600))
        .tempfile_in(folder)
}

/// Puts the new file into its place if the old one is still what was seen.
fn put(seen: &Seen, temporary: NamedTempFile, new: &[u8]) -> Result<(), Failure> {
    let fail = |error: &io::Error| Failure::Failed(failed("replaced", &seen.real, error));
    let Some(old) = &seen.file else {
        return match temporary.persist_noclobber(&seen.real) {
            Ok(_) => Ok(()),
            Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Err(Failure::Changed),
            Err(error) => Err(fail(&error.error)),
        };
    };
    if content(&seen.real).ok().as_ref() != Some(old) {
        return Err(Failure::Changed);
    }
    fault::point("install.checked");
    match exchange(temporary.path(), &seen.real) {
        Ok(()) => {}
        // Somebody has removed it since that look.
        Err(rustix::io::Errno::NOENT) => return Err(Failure::Changed),
        // Not every file system can; then the look just before must do.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => {
            let put = temporary.persist(&seen.real);
            return put.map(drop).map_err(|error| fail(&error.error));
        }
        Err(error) => return Err(fail(&error.into())),
    }
    fault::point("install.exchanged");
    if content(temporary.path()).ok().as_ref() == Some(old) {
        return Ok(());
    }
    // Another program was faster. What it wrote goes back, unless it has even written once more.
    let ours = |path: &Path| content(path).is_ok_and(|found| found.bytes == new);
    let back = exchange(temporary.path(), &seen.real).and_then(|()| match ours(temporary.path()) {
        true => Ok(()),
        false => exchange(temporary.path(), &seen.real),
    });
    back.map_err(|error| fail(&error.into()))?;
    Err(Failure::Changed)
}

fn exchange(one: &Path, other: &Path) -> rustix::io::Result<()> {
    use rustix::fs::{CWD, renameat_with};
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)
}

fn remove(seen: &Seen) -> Result<(), Failure> {
    if content(&seen.real).ok() != seen.file {
        return Err(Failure::Changed);
    }
    fault::point("install.checked");
    let removed = take_away(seen).map_err(|error| failed("removed", &seen.real, &error));
    fault::point("install.removed");
    match removed? {
        true => Ok(()),
        false => Err(Failure::Changed),
    }
}

/// Takes a file away, and whether it was still what was seen: if another program was faster, what it wrote goes back,
/// unless it has even written once more.
fn take_away(seen: &Seen) -> io::Result<bool> {
    let aside = temporary(&seen.real)?;
    fs::rename(&seen.real, aside.path())?;
    fault::point("install.aside");
    if content(aside.path()).ok() == seen.file {
        drop(aside);
        flush_folder(&seen.real)?;
        return Ok(true);
    }
    match aside.persist_noclobber(&seen.real) {
        Err(error) if error.error.kind() != ErrorKind::AlreadyExists => Err(error.error),
        _ => Ok(false),
    }
}

/// Flushes the names in the folder of a file.
fn flush_folder(of: &Path) -> io::Result<()> {
    File::open(of.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// Writes a file of our own: old or new, and only for this user's eyes. Tells whether it was not so already.
pub(crate) fn own(path: &Path, bytes: &[u8]) -> Result<bool, Error> {
    if fs::symlink_metadata(path).is_ok_and(|found| found.is_file())
        && content(path).is_ok_and(|found| found.bytes == bytes)
    {
        return Ok(false);
    }
    let written = temporary(path).and_then(|mut temporary| {
        temporary.write_all(bytes)?;
        temporary.as_file().sync_all()?;
        fault::point("install.own written");
        temporary.persist(path)?;
        fault::point("install.own put");
        flush_folder(path)
    });
    written.map_err(|error| failed("written", path, &error))?;
    Ok(true)
}

/// Makes a folder of our own, or checks the one that is there: nobody else may put anything into it.
pub(crate) fn own_folder(path: &Path) -> Result<(), Error> {
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path);
    made.map_err(|error| failed("made", path, &error))?;
    let found = fs::symlink_metadata(path).map_err(|error| failed("looked at", path, &error))?;
    let found = match found.is_symlink() {
        true => fs::metadata(path).map_err(|error| failed("looked at", path, &error))?,
        false => found,
    };
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(refused(path, "belongs to somebody else"));
    }
    if found.mode() & 0o022 != 0 {
        let why = "may be written by others; take that right away with `chmod go-w`";
        return Err(refused(path, why));
    }
    Ok(())
}

/// Removes what earlier runs that were cut short left beside these files.
pub(crate) fn tidy<'a>(files: impl IntoIterator<Item = &'a Path>) -> usize {
    let mut removed = 0;
    for file in files {
        let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else {
            continue;
        };
        let start = format!(".{}{MARK}", name.to_string_lossy());
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let left = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&start));
        removed += left
            .filter(|entry| fs::remove_file(entry.path()).is_ok())
            .count();
    }
    removed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        fs::write(&path, bytes).unwrap();
        (dir, path)
    }

    fn names(dir: &tempfile::TempDir) -> usize {
        fs::read_dir(dir.path()).unwrap().count()
    }

    #[test]
    fn what_is_saved_at_the_moment_of_removing_it_stays() {
        let (dir, path) = folder_with(b"old");
        let seen = look(&path).unwrap();
        fs::write(&path, "theirs").unwrap();
        assert!(!take_away(&seen).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"theirs");
        let seen = look(&path).unwrap();
        assert!(take_away(&seen).unwrap());
        assert_eq!(names(&dir), 0);
    }

    #[test]
    fn what_somebody_has_written_meanwhile_is_left_as_it_is() {
        let (dir, path) = folder_with(b"old");
        let seen = look(&path).unwrap();
        fs::write(&path, "theirs").unwrap();
        let replaced = replace(&seen, Some(b"new"), |_| true);
        assert!(matches!(replaced, Err(Failure::Changed)), "{replaced:?}");
        assert!(matches!(
            replace(&seen, None, |_| true),
            Err(Failure::Changed)
        ));
        assert_eq!(fs::read(&path).unwrap(), b"theirs");

        let missing = look(&dir.path().join("b.json")).unwrap();
        fs::write(dir.path().join("b.json"), "theirs").unwrap();
        let made = replace(&missing, Some(b"new"), |_| true);
        assert!(matches!(made, Err(Failure::Changed)), "{made:?}");
        assert_eq!(fs::read(dir.path().join("b.json")).unwrap(), b"theirs");
        assert_eq!(names(&dir), 2, "nothing else is left");
    }

    #[test]
    fn what_was_written_between_the_look_and_the_exchange_comes_back() {
        let (dir, path) = folder_with(b"old");
        let seen = look(&path).unwrap();
        let temporary = prepare(&seen, b"new").unwrap();
        // The look of `put` is passed by a file that differs from the seen one in its place alone.
        let mut same = look(&path).unwrap();
        let next = dir.path().join("next");
        fs::write(&next, "old").unwrap();
        fs::rename(&next, &path).unwrap();
        same.file = Some(content(&path).unwrap());
        assert_ne!(same.file, seen.file);
        assert!(matches!(
            put(&seen, temporary, b"new"),
            Err(Failure::Changed)
        ));
        assert_eq!(content(&path).ok(), same.file);
        assert_eq!(names(&dir), 1);
    }

    #[test]
    fn what_turns_out_wrong_is_put_back_with_mode_and_owner() {
        let (dir, path) = folder_with(b"old");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let seen = look(&path).unwrap();
        let replaced = replace(&seen, Some(b"new"), |_| false);
        assert!(matches!(replaced, Err(Failure::Failed(_))), "{replaced:?}");
        let now = look(&path).unwrap().file.unwrap();
        let before = seen.file.unwrap();
        assert_eq!(
            (now.bytes, now.mode, now.owner),
            (before.bytes, 0o640, before.owner)
        );

        let missing = look(&dir.path().join("b.json")).unwrap();
        assert!(replace(&missing, Some(b"new"), |_| false).is_err());
        assert_eq!(names(&dir), 1, "a new file goes again");
    }
}
