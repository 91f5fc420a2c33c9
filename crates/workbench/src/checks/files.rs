//! Reading a repository that nobody vouches for: bounded, never waiting, never following links.

use super::at;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// A larger manifest is not read.
const LARGEST: u64 = 1 << 20;

/// Folders are looked at this deep, and this many.
const DEPTH: usize = 4;
const FOLDERS: usize = 2_000;

/// Entries of all folders together; one folder with a million files ends the search too.
const ENTRIES: usize = 50_000;

/// Folders that hold others' code, products or samples: what they check is not what this project checks.
const PASSED_OVER: [&str; 27] = [
    "node_modules",
    "target",
    "vendor",
    "third_party",
    "dist",
    "build",
    "out",
    "venv",
    "env",
    "__pycache__",
    "fixtures",
    "__fixtures__",
    "fixture",
    "testdata",
    "test-data",
    "test",
    "tests",
    "spec",
    "examples",
    "example",
    "samples",
    "templates",
    "template",
    "docs",
    "bench",
    "benchmarks",
    "snapshots",
];

/// Reads files below a root and remembers what was wrong with them.
pub(super) struct Files {
    root: PathBuf,
    pub(super) notes: Vec<String>,
    /// What has been read; packages ask for the same files again.
    read: BTreeMap<String, Option<String>>,
}

impl Files {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            notes: Vec::new(),
            read: BTreeMap::new(),
        }
    }

    /// The text of a small regular file, without a byte-order mark. `None` where there is none; where there is one that
    /// cannot be used a note says why.
    pub(super) fn maybe(&mut self, path: &str) -> Option<String> {
        if let Some(known) = self.read.get(path) {
            return known.clone();
        }
        let text = self.open(path).unwrap_or_else(|why| {
            self.notes.push(format!("{path} was not read: {why}"));
            None
        });
        self.read.insert(path.to_owned(), text.clone());
        text
    }

    fn open(&self, path: &str) -> Result<Option<String>, String> {
        // Opening a pipe without NONBLOCK would wait for its other end.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::open(self.root.join(path), flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(Errno::LOOP) => return Err("it is a link".to_owned()),
            Err(errno) => return Err(errno.to_string()),
        };
        let found = file.metadata().map_err(|why| why.to_string())?;
        if !found.is_file() {
            return Err("it is not a regular file".to_owned());
        }
        let mut bytes = Vec::new();
        file.take(LARGEST + 1)
            .read_to_end(&mut bytes)
            .map_err(|why| why.to_string())?;
        if bytes.len() as u64 > LARGEST {
            return Err(format!("it is larger than {} KiB", LARGEST >> 10));
        }
        let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        Ok(Some(
            text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned(),
        ))
    }

    pub(super) fn json(&mut self, path: &str) -> Option<serde_json::Value> {
        let text = self.maybe(path)?;
        let parsed = serde_json::from_str(&text);
        parsed
            .map_err(|why| self.note_once(format!("{path} is not valid JSON: {why}")))
            .ok()
    }

    pub(super) fn toml(&mut self, path: &str) -> Option<toml::Table> {
        let text = self.maybe(path)?;
        let first =
            |why: &toml::de::Error| why.message().lines().next().unwrap_or_default().to_owned();
        text.parse()
            .map_err(|why| self.note_once(format!("{path} is not valid TOML: {}", first(&why))))
            .ok()
    }

    fn note_once(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Whether there is a regular file, not a link to one.
    pub(super) fn is_file(&self, path: &str) -> bool {
        self.root
            .join(path)
            .symlink_metadata()
            .is_ok_and(|found| found.is_file())
    }

    /// Whether its owner may execute a regular file.
    pub(super) fn is_executable(&self, path: &str) -> bool {
        let found = self.root.join(path).symlink_metadata();
        found.is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o100 != 0)
    }

    /// The first of `names` that is a file in `folder`.
    pub(super) fn first<'a>(&self, folder: &str, names: &[&'a str]) -> Option<&'a str> {
        names
            .iter()
            .find(|name| self.is_file(&at(folder, name)))
            .copied()
    }

    /// The names of regular files in a folder, sorted; at most 1,000 entries are looked at.
    pub(super) fn list(&self, folder: &str) -> Vec<String> {
        let is_folder = self
            .root
            .join(folder)
            .symlink_metadata()
            .is_ok_and(|found| found.is_dir());
        let entries = is_folder
            .then(|| std::fs::read_dir(self.root.join(folder)).ok())
            .flatten();
        let entries = entries.into_iter().flatten().take(1_000).flatten();
        let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
        let mut names: Vec<_> = files
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }

    /// The folders below the root that may hold packages, nearest first, sorted. Says so when it stops early.
    pub(super) fn folders(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        let mut queue = VecDeque::from([(String::new(), 0)]);
        let mut entries = 0;
        while let Some((folder, depth)) = queue.pop_front() {
            let Ok(listed) = std::fs::read_dir(self.root.join(&folder)) else {
                continue;
            };
            let mut below = Vec::new();
            for entry in listed.flatten() {
                entries += 1;
                if entries > ENTRIES {
                    break;
                }
                let Ok(name) = entry.file_name().into_string() else {
                    continue;
                };
                // Links report themselves as such, so that a loop of links is no folder.
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                if is_folder && !name.starts_with('.') && !PASSED_OVER.contains(&name.as_str()) {
                    below.push(at(&folder, &name));
                }
            }
            below.sort();
            if depth < DEPTH {
                queue.extend(below.iter().map(|path| (path.clone(), depth + 1)));
                all.append(&mut below);
            }
            if entries > ENTRIES || all.len() > FOLDERS {
                self.notes.push(format!(
                    "the repository is large: only its first {} folders were searched for packages",
                    all.len().min(FOLDERS)
                ));
                all.truncate(FOLDERS);
                break;
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_search_of_many_folders_ends_at_its_limit_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..=FOLDERS {
            fs::create_dir(dir.path().join(format!("p{n}"))).unwrap();
        }
        let mut files = Files::new(dir.path());
        assert_eq!(files.folders().len(), FOLDERS);
        let note =
            "the repository is large: only its first 2000 folders were searched for packages";
        assert_eq!(files.notes, [note]);
    }

    #[test]
    fn a_search_ends_in_a_folder_of_many_files_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/below")).unwrap();
        let many = dir.path().join("many");
        fs::create_dir(&many).unwrap();
        // Of the entries, three are the folders.
        for n in 0..ENTRIES - 3 {
            File::create(many.join(n.to_string())).unwrap();
        }
        let mut files = Files::new(dir.path());
        assert_eq!(files.folders(), ["a", "many", "a/below"]);
        assert_eq!(files.notes, [""; 0]);
        File::create(many.join("one more")).unwrap();
        assert_eq!(files.folders(), ["a", "many", "a/below"]);
        let note = "the repository is large: only its first 3 folders were searched for packages";
        assert_eq!(files.notes, [note]);
    }

    #[test]
    fn a_search_goes_so_deep_and_no_deeper() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("d/".repeat(200))).unwrap();
        let found = Files::new(dir.path()).folders();
        assert_eq!(found, ["d", "d/d", "d/d/d", "d/d/d/d"]);
    }
}
