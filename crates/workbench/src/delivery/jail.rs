//! Files below one folder, reached without ever following a link.
//!
//! Every folder on the way is opened by its own name with `O_NOFOLLOW`, from the one above it, so neither `..` nor a
//! link that somebody slips in can lead out of the root.

use crate::git::RepoPath;
use mission::ids::Digest;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A folder that paths are looked up below.
pub(super) struct Jail {
    root: OwnedFd,
    /// The file system that the folder lies on.
    device: u64,
}

/// What a file that lies beside its place for a moment is there for. Each has a name of its own, so that a crash leaves
/// no doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beside {
    /// The content that the delivery brings; after the exchange, what it replaced.
    New,
    /// The content that is put back; after the exchange, what it replaced.
    Old,
    /// What was moved out of its place to be removed.
    Out,
}

/// How a file is to be.
pub(super) struct Form {
    pub(super) link: bool,
    /// Its permission bits; by the user's mask where they are not given.
    pub(super) mode: Option<u32>,
    pub(super) executable: bool,
    /// Whether it is flushed at once, and not with many others.
    pub(super) flush: bool,
}

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing, and all folders above it that there are lead there.
    Nothing,
    /// Nothing can be there: something above it is no folder.
    Barred,
    /// A folder.
    Folder,
    /// A file or a link.
    Entry(Entry),
    /// A pipe, socket or device.
    Special,
}

/// A file or a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) link: bool,
    /// Permission bits.
    pub(super) mode: u32,
    /// SHA-256 of its bytes, or of where it leads.
    pub(super) digest: Digest,
    pub(super) size: u64,
}

const FOLDER: OFlags = OFlags::DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC)
    .union(OFlags::RDONLY);

impl Jail {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let root = fs::open(root, FOLDER, Mode::empty())?;
        let device = fs::fstat(&root)?.st_dev;
        Ok(Self { root, device })
    }

    /// The folder that a path is in, made on the way if asked; an error of `NOENT`, `NOTDIR` or `LOOP` if there is none.
    fn parent(&self, path: &RepoPath, make: bool) -> Result<OwnedFd, Errno> {
        let mut at = rustix::io::dup(&self.root)?;
        for part in path
            .parent()
            .split(|b| *b == b'/')
            .filter(|part| !part.is_empty())
        {
            let part = OsStr::from_bytes(part);
            at = match fs::openat(&at, part, FOLDER, Mode::empty()) {
                Err(Errno::NOENT) if make => {
                    match fs::mkdirat(&at, part, Mode::from_raw_mode(0o777)) {
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(error) => return Err(error),
                    }
                    fs::openat(&at, part, FOLDER, Mode::empty())?
                }
                other => other?,
            };
        }
        Ok(at)
    }

    pub(super) fn look(&self, path: &RepoPath) -> io::Result<Found> {
        let parent = match self.parent(path, false) {
            Ok(parent) => parent,
            Err(Errno::NOENT) => return Ok(Found::Nothing),
            Err(Errno::NOTDIR | Errno::LOOP) => return Ok(Found::Barred),
            Err(error) => return Err(error.into()),
        };
        look_in(&parent, OsStr::from_bytes(path.name()))
    }

    /// Copies a file's bytes, or where a link leads; gives their digest.
    pub(super) fn copy_out(
        &self,
        path: &RepoPath,
        link: bool,
        to: &mut impl Write,
    ) -> io::Result<Digest> {
        let parent = self.parent(path, false)?;
        let name = OsStr::from_bytes(path.name());
        if link {
            let target = fs::readlinkat(&parent, name, Vec::new())?.into_bytes();
            to.write_all(&target)?;
            return Ok(Digest::of(&target));
        }
        Ok(copy(&mut open_file(&parent, name)?, to)?.0)
    }

    /// Writes a file or a link beside its place.
    pub(super) fn stage(
        &self,
        path: &RepoPath,
        from: &mut impl Read,
        form: &Form,
        beside: Beside,
    ) -> io::Result<()> {
        let parent = self.parent(path, true)?;
        let passing = passing(path, beside);
        ignore_absent(fs::unlinkat(&parent, &passing, AtFlags::empty()))?;
        if form.link {
            let mut target = Vec::new();
            from.read_to_end(&mut target)?;
            fs::symlinkat(OsStr::from_bytes(&target), &parent, &passing)?;
            return Ok(());
        }
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let birth = Mode::from_raw_mode(if form.executable { 0o777 } else { 0o666 });
        let mut file = File::from(fs::openat(&parent, &passing, flags, birth)?);
        io::copy(from, &mut file)?;
        if let Some(mode) = form.mode {
            fs::fchmod(&file, Mode::from_raw_mode(mode))?;
        }
        if form.flush || self.is_elsewhere(&parent)? {
            file.sync_all()?;
        }
        Ok(())
    }

    /// Removes what was staged and is not wanted any more, and the folders that were made for it.
    pub(super) fn unstage(&self, path: &RepoPath, beside: Beside) {
        if let Ok(parent) = self.parent(path, false) {
            fs::unlinkat(&parent, passing(path, beside), AtFlags::empty()).ok();
            self.prune(path).ok();
        }
    }

    /// Puts what was staged into its place in one step; what was there comes out in the same step and is looked at.
    /// Where that does not fit, or where something is in a place that is to be empty (`fresh`), all is left as it was,
    /// and the answer is no.
    pub(super) fn swap_in(
        &self,
        path: &RepoPath,
        beside: Beside,
        fresh: bool,
        fits: impl Fn(&Found) -> bool,
    ) -> io::Result<bool> {
        let parent = self.parent(path, false)?;
        let (name, passing) = (OsStr::from_bytes(path.name()), passing(path, beside));
        let passing = OsStr::new(&passing);
        let gone = || ignore_absent(fs::unlinkat(&parent, passing, AtFlags::empty()));
        let flags = if fresh {
            RenameFlags::NOREPLACE
        } else {
            RenameFlags::EXCHANGE
        };
        match fs::renameat_with(&parent, passing, &parent, name, flags) {
            Ok(()) if fresh => return Ok(true),
            Ok(()) => {}
            // Somebody was faster.
            Err(Errno::EXIST | Errno::NOENT) => return gone().map(|()| false),
            Err(error) if unknown(error) => {
                // The file system knows no such renames: what is left is to look just before.
                let found = look_in(&parent, name)?;
                let as_seen = match fresh {
                    true => found == Found::Nothing,
                    false => fits(&found),
                };
                if !as_seen {
                    return gone().map(|()| false);
                }
                fs::renameat(&parent, passing, &parent, name)?;
                return Ok(true);
            }
            Err(error) => return Err(error.into()),
        }
        crate::fault::of("deliver.file exchanged", path);
        let as_seen = fits(&look_in(&parent, passing)?);
        if !as_seen {
            fs::renameat_with(&parent, passing, &parent, name, RenameFlags::EXCHANGE)?;
        }
        gone()?;
        Ok(as_seen)
    }

    /// Takes a file or a link out of its place, looks at what came out, and removes it and the folders above it that
    /// this empties. What does not fit goes back, and the answer is no.
    pub(super) fn take_out(
        &self,
        path: &RepoPath,
        fits: impl Fn(&Found) -> bool,
    ) -> io::Result<bool> {
        let parent = self.parent(path, false)?;
        let (name, passing) = (OsStr::from_bytes(path.name()), passing(path, Beside::Out));
        let passing = OsStr::new(&passing);
        match fs::renameat_with(&parent, name, &parent, passing, RenameFlags::NOREPLACE) {
            Ok(()) => {
                crate::fault::of("deliver.file taken out", path);
                if !fits(&look_in(&parent, passing)?) {
                    // Whoever has made another one meanwhile keeps both.
                    match fs::renameat_with(&parent, passing, &parent, name, RenameFlags::NOREPLACE)
                    {
                        Ok(()) | Err(Errno::EXIST) => return Ok(false),
                        Err(error) => return Err(error.into()),
                    }
                }
                fs::unlinkat(&parent, passing, AtFlags::empty())?;
            }
            Err(Errno::NOENT) => {}
            Err(Errno::EXIST) => return Ok(false),
            Err(error) if unknown(error) => {
                if !fits(&look_in(&parent, name)?) {
                    return Ok(false);
                }
                ignore_absent(fs::unlinkat(&parent, name, AtFlags::empty()))?;
            }
            Err(error) => return Err(error.into()),
        }
        self.prune(path)?;
        Ok(true)
    }

    /// Removes the folders above a path that are empty.
    fn prune(&self, path: &RepoPath) -> io::Result<()> {
        let mut folder = path.parent();
        while !folder.is_empty() {
            let here = RepoPath::printed(folder);
            let above = self.parent(&here, false)?;
            if fs::unlinkat(&above, OsStr::from_bytes(here.name()), AtFlags::REMOVEDIR).is_err() {
                break;
            }
            folder = folder
                .iter()
                .rposition(|b| *b == b'/')
                .map_or(&[], |at| &folder[..at]);
        }
        Ok(())
    }

    /// Clears away what a crash has left beside a file, which is the delivery's own or, at the moment of an exchange,
    /// an edit of the user's: that goes back into its place. `old` and `new` tell what fits.
    pub(super) fn settle(
        &self,
        path: &RepoPath,
        old: impl Fn(&Found) -> bool,
        new: impl Fn(&Found) -> bool,
    ) -> io::Result<()> {
        let Ok(parent) = self.parent(path, false) else {
            return Ok(());
        };
        let name = OsStr::from_bytes(path.name());
        for beside in [Beside::New, Beside::Old, Beside::Out] {
            let passing = passing(path, beside);
            let passing = OsStr::new(&passing);
            let left = look_in(&parent, passing)?;
            if left == Found::Nothing {
                continue;
            }
            let is_entry = |found: &Found| matches!(found, Found::Entry(_));
            let ours = |found: &Found| is_entry(found) && (old(found) || new(found));
            let there = look_in(&parent, name)?;
            let swapped = match beside {
                Beside::New => is_entry(&there) && new(&there),
                Beside::Old => is_entry(&there) && old(&there),
                Beside::Out => false,
            };
            if ours(&left) {
                fs::unlinkat(&parent, passing, AtFlags::empty())?;
            } else if swapped {
                fs::renameat_with(&parent, passing, &parent, name, RenameFlags::EXCHANGE)?;
                fs::unlinkat(&parent, passing, AtFlags::empty())?;
            } else if beside != Beside::Out {
                // Written in part, and never put into its place.
                fs::unlinkat(&parent, passing, AtFlags::empty())?;
            } else {
                match fs::renameat_with(&parent, passing, &parent, name, RenameFlags::NOREPLACE) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            self.prune(path)?;
        }
        Ok(())
    }

    /// Whether a folder lies on another file system than the root, so that flushing the root's does not reach it.
    fn is_elsewhere(&self, folder: &OwnedFd) -> io::Result<bool> {
        Ok(fs::fstat(folder)?.st_dev != self.device)
    }

    /// Flushes the whole file system of the root: one wait for many files.
    pub(super) fn flush_all(&self) -> io::Result<()> {
        Ok(flush_system_of(&self.root)?)
    }

    /// Flushes the names in the folder that a path is in, or in the nearest folder above that is still there. With
    /// `elsewhere` only where the root's file system does not hold it.
    pub(super) fn flush_names(&self, path: &RepoPath, elsewhere: bool) -> io::Result<()> {
        let mut at = path.clone();
        loop {
            match self.parent(&at, false) {
                Ok(parent) if elsewhere && !self.is_elsewhere(&parent)? => return Ok(()),
                Ok(parent) => return Ok(fs::fsync(&parent)?),
                Err(_) if at.parent().is_empty() => return Ok(()),
                Err(_) => at = RepoPath::printed(at.parent()),
            }
        }
    }

    /// Removes a folder that holds nothing but empty folders.
    pub(super) fn remove_empty_folder(&self, path: &RepoPath) -> io::Result<()> {
        let parent = self.parent(path, false)?;
        fs::unlinkat(&parent, OsStr::from_bytes(path.name()), AtFlags::REMOVEDIR)?;
        Ok(())
    }

    /// The names of the files in a folder and below it, at most `limit`.
    pub(super) fn files_below(&self, path: &RepoPath, limit: usize) -> io::Result<Vec<RepoPath>> {
        let mut todo = vec![path.clone()];
        let mut files = Vec::new();
        while let Some(folder) = todo.pop() {
            let mut inner = folder.as_bytes().to_owned();
            inner.extend_from_slice(b"/x");
            let dir = self.parent(&RepoPath::printed(&inner), false)?;
            for entry in fs::Dir::read_from(&dir)? {
                let entry = entry?;
                let name = entry.file_name().to_bytes();
                if name == b"." || name == b".." {
                    continue;
                }
                let whole = RepoPath::printed(&[folder.as_bytes(), b"/", name].concat());
                let data = fs::statat(&dir, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
                if FileType::from_raw_mode(data.st_mode) == FileType::Directory {
                    todo.push(whole);
                } else {
                    files.push(whole);
                }
                if files.len() + todo.len() > limit {
                    return Ok(files);
                }
            }
        }
        Ok(files)
    }
}

/// The name of a file beside its place: the same after a crash, so that it is found again.
fn passing(path: &RepoPath, beside: Beside) -> String {
    let end = match beside {
        Beside::New => "new",
        Beside::Old => "old",
        Beside::Out => "out",
    };
    let digest = Digest::of(path.as_bytes());
    format!(".orchestrator-{}.{end}", &digest.as_str()[..16])
}

/// Whether a file system does not know renames that exchange, or that replace nothing.
fn unknown(error: Errno) -> bool {
    matches!(error, Errno::INVAL | Errno::NOSYS | Errno::NOTSUP)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn flush_system_of(file: impl AsFd) -> Result<(), Errno> {
    fs::syncfs(file)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn flush_system_of(_file: impl AsFd) -> Result<(), Errno> {
    fs::sync();
    Ok(())
}

/// Flushes the whole file system that a folder lies on.
pub(super) fn flush_system(folder: &Path) -> io::Result<()> {
    Ok(flush_system_of(fs::open(folder, FOLDER, Mode::empty())?)?)
}

/// What stands under a name in a folder.
fn look_in(parent: &OwnedFd, name: &OsStr) -> io::Result<Found> {
    let data = match fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(data) => data,
        Err(Errno::NOENT) => return Ok(Found::Nothing),
        Err(error) => return Err(error.into()),
    };
    let mode = data.st_mode & 0o7777;
    Ok(match FileType::from_raw_mode(data.st_mode) {
        FileType::Directory => Found::Folder,
        FileType::Symlink => {
            let target = fs::readlinkat(parent, name, Vec::new())?.into_bytes();
            Found::Entry(Entry {
                link: true,
                mode,
                digest: Digest::of(&target),
                size: target.len() as u64,
            })
        }
        FileType::RegularFile => {
            let (digest, size) = copy(&mut open_file(parent, name)?, &mut io::sink())?;
            Found::Entry(Entry {
                link: false,
                mode,
                digest,
                size,
            })
        }
        _ => Found::Special,
    })
}

fn ignore_absent(done: Result<(), Errno>) -> io::Result<()> {
    match done {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn open_file(parent: &OwnedFd, name: &OsStr) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(fs::openat(parent, name, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    Ok(file)
}

/// Copies to the end; gives digest and length.
pub(super) fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<(Digest, u64)> {
    use std::fmt::Write as _;
    let (mut hash, mut size) = (Sha256::new(), 0);
    let mut chunk = vec![0; 1 << 16];
    loop {
        let n = match from.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hash.update(&chunk[..n]);
        to.write_all(&chunk[..n])?;
        size += n as u64;
    }
    let mut hex = String::with_capacity(64);
    for byte in hash.finalize() {
        write!(hex, "{byte:02x}").expect("writing to a string cannot fail");
    }
    let digest = hex
        .parse()
        .map_err(|_| io::Error::other("a digest of another length"))?;
    Ok((digest, size))
}

#[cfg(test)]
mod tests;
