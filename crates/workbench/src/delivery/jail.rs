//! Files below one folder, reached without ever following a link.
//!
//! Every folder on the way is opened by its own name with `O_NOFOLLOW`, from the one above it, so neither `..` nor a
//! link that somebody slips in can lead out of the root.

use crate::git::RepoPath;
use mission::ids::Digest;
use rustix::fd::OwnedFd;
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A folder that paths are looked up below.
pub(super) struct Jail(OwnedFd);

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
        Ok(Self(fs::open(root, FOLDER, Mode::empty())?))
    }

    /// The folder that a path is in, made on the way if asked; an error of `NOENT`, `NOTDIR` or `LOOP` if there is none.
    fn parent(&self, path: &RepoPath, make: bool) -> Result<OwnedFd, Errno> {
        let mut at = rustix::io::dup(&self.0)?;
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
        let name = OsStr::from_bytes(path.name());
        let data = match fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(data) => data,
            Err(Errno::NOENT) => return Ok(Found::Nothing),
            Err(error) => return Err(error.into()),
        };
        let mode = data.st_mode & 0o7777;
        Ok(match FileType::from_raw_mode(data.st_mode) {
            FileType::Directory => Found::Folder,
            FileType::Symlink => {
                let target = fs::readlinkat(&parent, name, Vec::new())?.into_bytes();
                Found::Entry(Entry {
                    link: true,
                    mode,
                    digest: Digest::of(&target),
                    size: target.len() as u64,
                })
            }
            FileType::RegularFile => {
                let (digest, size) = copy(&mut open_file(&parent, name)?, &mut io::sink())?;
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

    /// Puts a file or a link at a path in one step. What was there is replaced, or, if `fresh`, is an error.
    pub(super) fn put(
        &self,
        path: &RepoPath,
        from: &mut impl Read,
        link: bool,
        mode: Option<u32>,
        executable: bool,
        fresh: bool,
    ) -> io::Result<()> {
        let parent = self.parent(path, true)?;
        let passing = passing(path);
        ignore_absent(fs::unlinkat(&parent, &passing, AtFlags::empty()))?;
        if link {
            let mut target = Vec::new();
            from.read_to_end(&mut target)?;
            fs::symlinkat(OsStr::from_bytes(&target), &parent, &passing)?;
        } else {
            let flags =
                OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let birth = Mode::from_raw_mode(if executable { 0o777 } else { 0o666 });
            let mut file = File::from(fs::openat(&parent, &passing, flags, birth)?);
            io::copy(from, &mut file)?;
            if let Some(mode) = mode {
                fs::fchmod(&file, Mode::from_raw_mode(mode))?;
            }
            file.sync_all()?;
        }
        let name = OsStr::from_bytes(path.name());
        let moved = if fresh {
            match fs::renameat_with(&parent, &passing, &parent, name, RenameFlags::NOREPLACE) {
                Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                    fs::renameat(&parent, &passing, &parent, name)
                }
                other => other,
            }
        } else {
            fs::renameat(&parent, &passing, &parent, name)
        };
        if let Err(error) = moved {
            ignore_absent(fs::unlinkat(&parent, &passing, AtFlags::empty()))?;
            return Err(error.into());
        }
        fs::fsync(&parent)?;
        Ok(())
    }

    /// Removes what a crash may have left of [`Jail::put`].
    pub(super) fn clear(&self, path: &RepoPath) -> io::Result<()> {
        match self.parent(path, false) {
            Ok(parent) => ignore_absent(fs::unlinkat(&parent, passing(path), AtFlags::empty())),
            Err(_) => Ok(()),
        }
    }

    /// Removes a file or a link, and the folders above it that this empties.
    pub(super) fn remove(&self, path: &RepoPath) -> io::Result<()> {
        let parent = self.parent(path, false)?;
        ignore_absent(fs::unlinkat(
            &parent,
            OsStr::from_bytes(path.name()),
            AtFlags::empty(),
        ))?;
        fs::fsync(&parent)?;
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

/// The name under which a file is written beside its own: the same after a crash, so that it is found again.
fn passing(path: &RepoPath) -> String {
    format!(
        ".orchestrator-{}",
        &Digest::of(path.as_bytes()).as_str()[..16]
    )
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
