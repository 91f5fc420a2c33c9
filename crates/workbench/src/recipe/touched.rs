//! Whether a tree is as it was brought: by what the file system says of each entry, without reading a file.

use mission::ids::Digest;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// What the file system says of some paths below a root and of everything below them: names, kinds, sizes, inodes and
/// the times of their last change. No program can set that last time back, so two equal answers mean that nothing was
/// written in between.
///
/// # Errors
/// An entry cannot be looked at.
pub fn state_of<'a>(root: &Path, paths: impl IntoIterator<Item = &'a str>) -> io::Result<Digest> {
    let mut text = Vec::new();
    for path in paths {
        let top = root.join(path);
        match fs::symlink_metadata(&top) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            found => tell(&top, &found?, &mut text),
        }
        let mut folders = vec![top];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = fs::read_dir(&folder) else {
                continue;
            };
            let mut entries = entries.collect::<io::Result<Vec<_>>>()?;
            entries.sort_by_key(fs::DirEntry::file_name);
            for entry in entries {
                let found = entry.metadata()?;
                tell(&entry.path(), &found, &mut text);
                if found.is_dir() {
                    folders.push(entry.path());
                }
            }
        }
    }
    Ok(Digest::of(&text))
}

fn tell(path: &Path, found: &fs::Metadata, text: &mut Vec<u8>) {
    let name = path.as_os_str().as_bytes();
    text.extend_from_slice(&(name.len() as u64).to_be_bytes());
    text.extend_from_slice(name);
    for number in [found.mode().into(), found.ino(), found.size()] {
        text.extend_from_slice(&number.to_be_bytes());
    }
    for time in [found.ctime(), found.ctime_nsec()] {
        text.extend_from_slice(&time.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_shows_and_a_look_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let deps = dir.path().join("deps");
        fs::create_dir_all(deps.join("a")).unwrap();
        fs::write(deps.join("a/x"), "1").unwrap();
        fs::write(dir.path().join("other"), "1").unwrap();
        let state = || state_of(dir.path(), ["deps", "none"]).unwrap();
        let first = state();
        fs::read(deps.join("a/x")).unwrap();
        fs::write(dir.path().join("other"), "2").unwrap();
        assert_eq!(state(), first);
        let old = fs::metadata(deps.join("a/x")).unwrap();
        // The file system's clock may tick only every few milliseconds.
        let tick = dir.path().join("tick");
        while fs::metadata(&tick).is_ok_and(|at| at.ctime_nsec() == old.ctime_nsec())
            || !tick.exists()
        {
            fs::write(&tick, "").unwrap();
        }
        fs::write(deps.join("a/x"), "2").unwrap();
        let times = fs::FileTimes::new().set_modified(old.modified().unwrap());
        let file = fs::File::options().write(true).open(deps.join("a/x"));
        file.unwrap().set_times(times).unwrap();
        let second = state();
        assert_ne!(second, first, "same size and time, other content");
        fs::write(deps.join("a/y"), "").unwrap();
        assert_ne!(state(), second);
    }
}
