//! What an install made that was not there before, so that it goes again with what it was made for.

use super::write;
use crate::error::Error;
use engine::layout::Layout;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Of each configuration file, by its path, what was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Record {
    files: BTreeMap<String, Made>,
}

/// What was made in one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Made {
    /// The folder that the file is in.
    pub(crate) folder: bool,
    /// The file.
    pub(crate) file: bool,
    /// All of its content: the file was empty.
    pub(crate) content: bool,
    /// The key that lists plugins.
    pub(crate) key: bool,
}

impl Record {
    /// Reads what was kept. What cannot be read counts for nothing: then a key that we made may stay, empty.
    pub(crate) fn read(layout: &Layout) -> Self {
        let seen = write::look(&layout.install_record()).ok();
        let bytes = seen.and_then(|seen| seen.file).map(|file| file.bytes);
        bytes
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    /// Keeps it.
    pub(crate) fn write(&self, layout: &Layout) -> Result<(), Error> {
        let text = serde_json::json!({ "v": 1, "files": self.files }).to_string() + "\n";
        write::own(&layout.install_record(), text.as_bytes()).map(drop)
    }

    /// What was made in a file.
    pub(crate) fn of(&self, path: &Path) -> Made {
        self.files
            .get(&*path.to_string_lossy())
            .copied()
            .unwrap_or_default()
    }

    /// Remembers what is made in a file.
    pub(crate) fn set(&mut self, path: &Path, made: Made) {
        self.files.insert(path.to_string_lossy().into_owned(), made);
    }

    /// All files that were changed.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.keys().map(Path::new)
    }
}
