//! Copying trees between workspaces.

use super::{Bring, Error, Means, system};
use crate::disk;
use rustix::fs::{Mode, OFlags};
use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// More entries than this in one tree is no dependency folder any more.
const MOST: u64 = 1_000_000;

/// Deeper than any tool nests; it bounds the stack.
const DEEPEST: usize = 128;

/// What became of one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brought {
    /// The path below the root.
    pub path: String,
    /// Files that share their blocks with the source.
    pub cloned: u64,
    /// Files that are the source's under another name.
    pub linked: u64,
    /// Files that were copied.
    pub copied: u64,
    /// Pipes, sockets and devices, which are left out.
    pub odd: u64,
    /// Why it was left out as a whole; nothing was made then.
    pub left_out: Option<&'static str>,
}

/// Brings ignored paths along from a prepared workspace to a fresh one. It blocks; call it off the event loop.
///
/// Modes and times of files are kept (build tools compare times). A symbolic link stays one: a relative one word for
/// word, an absolute one into `from` turned to the same place in `to`. Each path appears whole or not at all.
///
/// # Errors
///
/// See [`Error`]. Paths that were brought before the failing one stay.
pub fn bring_along(
    from: &Path,
    to: &Path,
    paths: &[Bring],
    cancel: &CancellationToken,
) -> Result<Vec<Brought>, Error> {
    let from = from.canonicalize().map_err(system("find", from))?;
    let to = to.canonicalize().map_err(system("find", to))?;
    paths
        .iter()
        .map(|bring| one(&from, &to, bring, cancel))
        .collect()
}

fn one(
    from: &Path,
    to: &Path,
    bring: &Bring,
    cancel: &CancellationToken,
) -> Result<Brought, Error> {
    let mut brought = Brought {
        path: bring.path.clone(),
        cloned: 0,
        linked: 0,
        copied: 0,
        odd: 0,
        left_out: None,
    };
    let source = below(from, &bring.path)?;
    let found = source.symlink_metadata();
    brought.left_out = match &found {
        Err(_) => Some("it is not there"),
        Ok(found) if found.is_symlink() => {
            Some("it is a link: both workspaces would share what it leads to")
        }
        Ok(_) => None,
    };
    if brought.left_out.is_some() {
        return Ok(brought);
    }
    let target = below(to, &bring.path)?;
    if target.symlink_metadata().is_ok() {
        return Err(Error::Exists { path: target });
    }
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent).map_err(system("make", parent))?;
    }
    let partial = beside(&target);
    clear(&partial)?;
    let mut walk = Walk {
        from,
        to,
        means: bring.means,
        cancel,
        brought,
        entries: 0,
    };
    match walk.entry(&source, &partial, 0) {
        Ok(Go::On) => {
            fs::rename(&partial, &target).map_err(system("put in place", &target))?;
            Ok(walk.brought)
        }
        Ok(Go::NoClones) => {
            clear(&partial)?;
            Ok(Brought {
                left_out: Some(
                    "the file system has no clones, and a copy costs more than making it again",
                ),
                cloned: 0,
                odd: 0,
                ..walk.brought
            })
        }
        Err(why) => {
            clear(&partial)?;
            Err(why)
        }
    }
}

/// The path, if no part of it leads out of `root`: neither by `..` nor by a link that the repository holds.
fn below(root: &Path, path: &str) -> Result<PathBuf, Error> {
    let outside = || Error::Outside {
        path: path.to_owned(),
        root: root.to_owned(),
    };
    let plain = Path::new(path)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if !plain || path.is_empty() {
        return Err(outside());
    }
    let full = root.join(path);
    let nearest = full
        .ancestors()
        .skip(1)
        .find(|above| above.symlink_metadata().is_ok())
        .ok_or_else(outside)?;
    let resolved = nearest.canonicalize().map_err(|_| outside())?;
    if resolved == nearest {
        Ok(full)
    } else {
        Err(outside())
    }
}

fn beside(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}

fn clear(path: &Path) -> Result<(), Error> {
    disk::remove(path).map_err(|error| system("remove", path)(std::io::Error::other(error)))
}

enum Go {
    On,
    NoClones,
}

struct Walk<'a> {
    from: &'a Path,
    to: &'a Path,
    means: Means,
    cancel: &'a CancellationToken,
    brought: Brought,
    entries: u64,
}

impl Walk<'_> {
    fn entry(&mut self, source: &Path, target: &Path, depth: usize) -> Result<Go, Error> {
        self.entries += 1;
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        if self.entries > MOST || depth > DEEPEST {
            return Err(Error::TooLarge {
                path: source.to_owned(),
                most: MOST,
            });
        }
        let found = source
            .symlink_metadata()
            .map_err(system("look at", source))?;
        if found.is_symlink() {
            let leads = fs::read_link(source).map_err(system("read", source))?;
            let leads = match leads.strip_prefix(self.from) {
                Ok(inside) => self.to.join(inside),
                Err(_) => leads,
            };
            symlink(leads, target).map_err(system("make", target))?;
        } else if found.is_dir() {
            fs::create_dir(target).map_err(system("make", target))?;
            for entry in fs::read_dir(source).map_err(system("list", source))? {
                let entry = entry.map_err(system("list", source))?;
                if let Go::NoClones =
                    self.entry(&entry.path(), &target.join(entry.file_name()), depth + 1)?
                {
                    return Ok(Go::NoClones);
                }
            }
            // Last: a folder that may not be written could not be filled.
            let mode = Permissions::from_mode(found.permissions().mode() & 0o777 | 0o700);
            fs::set_permissions(target, mode).map_err(system("set the mode of", target))?;
        } else if found.is_file() {
            return self.file(source, target);
        } else {
            self.brought.odd += 1;
        }
        Ok(Go::On)
    }

    fn file(&mut self, source: &Path, target: &Path) -> Result<Go, Error> {
        if self.means == Means::HardLink && fs::hard_link(source, target).is_ok() {
            self.brought.linked += 1;
            return Ok(Go::On);
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = rustix::fs::open(source, flags, Mode::empty())
            .map_err(|errno| system("read", source)(errno.into()))?;
        let mut input = File::from(opened);
        let found = input.metadata().map_err(system("look at", source))?;
        let mut output = File::create_new(target).map_err(system("make", target))?;
        if cloned(&output, &input) {
            self.brought.cloned += 1;
        } else if self.means == Means::CloneOnly && found.len() > 0 {
            return Ok(Go::NoClones);
        } else {
            std::io::copy(&mut input, &mut output).map_err(system("copy to", target))?;
            self.brought.copied += 1;
        }
        let mode = Permissions::from_mode(found.permissions().mode() & 0o777);
        output
            .set_permissions(mode)
            .map_err(system("set the mode of", target))?;
        if let Ok(modified) = found.modified() {
            output
                .set_times(FileTimes::new().set_modified(modified))
                .map_err(system("set the time of", target))?;
        }
        Ok(Go::On)
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn cloned(to: &File, from: &File) -> bool {
    rustix::fs::ioctl_ficlone(to, from).is_ok()
}

/// `clonefile` makes its target itself and is not reached from here yet: files are copied.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn cloned(_to: &File, _from: &File) -> bool {
    false
}
