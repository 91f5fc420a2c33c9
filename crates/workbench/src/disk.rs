//! Files and folders, with failures that say what was done to which.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file or folder that could not be read, written or removed.
#[derive(Debug, thiserror::Error)]
#[error("could not {doing} {path:?}: {source}")]
pub struct Failure {
    doing: &'static str,
    path: PathBuf,
    source: io::Error,
}

pub(crate) fn failed<'a>(
    doing: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> Failure + 'a {
    move |source| Failure {
        doing,
        path: path.to_owned(),
        source,
    }
}

/// Makes a folder and its parents.
pub(crate) fn make(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(failed("make the folder", path))
}

/// Writes a file in place and flushes it: for new files in folders that are renamed into place later.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let done = File::create(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    done.map_err(failed("write", path))
}

/// Gives a file a name that nothing has yet, in one step; [`io::ErrorKind::AlreadyExists`] where something has.
pub(crate) fn put_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => fs::hard_link(from, to),
        other => Ok(other?),
    }
}

/// Flushes the names in a folder.
pub(crate) fn sync_folder(path: &Path) -> Result<(), Failure> {
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(failed("flush the folder", path))
}

/// A file's content, or nothing if there is no such file.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// Removes whatever is there, folders that may not be written included, never following a link; nothing there is fine.
///
/// # Errors
/// The system refuses all the same.
pub fn remove(path: &Path) -> Result<(), Failure> {
    let done = match fs::symlink_metadata(path) {
        Ok(data) if data.is_dir() => {
            fs::remove_dir_all(path).or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => Err(error),
                // Folders that may not be written (a module cache), or that go deeper than files may be opened.
                _ => loosen(path).and_then(|()| fs::remove_dir_all(path)),
            })
        }
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match done {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Removes all that is in a folder and keeps the folder. What is no folder, or a link to one, is left as it is.
///
/// # Errors
/// The system refuses all the same.
pub fn empty(folder: &Path) -> Result<(), Failure> {
    let data = fs::symlink_metadata(folder).map_err(failed("look at", folder))?;
    if !data.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder).map_err(failed("list", folder))? {
        remove(&entry.map_err(failed("list", folder))?.path())?;
    }
    Ok(())
}

/// The lengths of all files of a folder, each once however many names it has there, and no link followed. What goes
/// away meanwhile is not counted; no folder at all is nothing.
///
/// # Errors
/// Something in it may not be looked at.
pub fn length(folder: &Path) -> Result<u64, Failure> {
    use std::os::unix::fs::MetadataExt;
    let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let (mut all, mut seen) = (0_u64, std::collections::BTreeSet::new());
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        let data = match fs::symlink_metadata(&path) {
            Ok(data) => data,
            Err(error) if gone(&error) => continue,
            Err(error) => return Err(failed("look at", &path)(error)),
        };
        if !data.is_dir() {
            if data.nlink() == 1 || seen.insert((data.dev(), data.ino())) {
                all = all.saturating_add(data.len());
            }
            continue;
        }
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if gone(&error) => continue,
            Err(error) => return Err(failed("look into", &path)(error)),
        };
        for entry in entries {
            open.push(entry.map_err(failed("look into", &path))?.path());
        }
    }
    Ok(all)
}

/// So deep, names of any length still make a path that the system takes.
const SHALLOW: usize = 12;

/// Makes every folder below one writable, and moves deep ones up to its top.
fn loosen(top: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mut todo = vec![(top.to_owned(), 0)];
    let mut n = 0;
    while let Some((folder, depth)) = todo.pop() {
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                continue;
            }
            if depth < SHALLOW {
                todo.push((entry.path(), depth + 1));
                continue;
            }
            // A folder must be writable itself to be moved.
            fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o700))?;
            let higher = loop {
                n += 1;
                let name = top.join(format!("moved-up-{n}"));
                if fs::symlink_metadata(&name).is_err() {
                    break name;
                }
            };
            fs::rename(entry.path(), &higher)?;
            todo.push((higher, 1));
        }
    }
    Ok(())
}

/// A file that is removed when this goes.
pub(crate) struct Passing(pub(crate) PathBuf);

impl Drop for Passing {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
        let mut lock = self.0.clone().into_os_string();
        lock.push(".lock");
        drop(fs::remove_file(PathBuf::from(lock)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_folder_counts_each_file_once_and_nothing_behind_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (root, beside) = (folder.path().join("root"), folder.path().join("beside"));
        fs::create_dir_all(root.join("deep/er")).unwrap();
        fs::create_dir(&beside).unwrap();
        fs::write(beside.join("big"), [0; 5_000]).unwrap();
        assert_eq!(length(&root).unwrap(), 0);
        fs::write(root.join("a"), [0; 300]).unwrap();
        fs::write(root.join("deep/er/b"), [0; 20]).unwrap();
        fs::hard_link(root.join("a"), root.join("deep/a")).unwrap();
        assert_eq!(length(&root).unwrap(), 320);
        std::os::unix::fs::symlink("../beside", root.join("c")).unwrap();
        let link = "../beside".len() as u64;
        assert_eq!(length(&root).unwrap(), 320 + link, "the link itself");
        assert_eq!(length(&root.join("none")).unwrap(), 0);
    }
}
