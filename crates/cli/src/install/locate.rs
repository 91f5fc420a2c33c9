//! Which files OpenCode reads its plugins from, and which of them counts.
//!
//! Seen with OpenCode 1.18.33: of the files in its own folder, the list of the highest one that has the key `plugin`
//! is the only one that counts, even if it is empty. Lists from other places (`OPENCODE_CONFIG`, `OPENCODE_CONFIG_DIR`,
//! the project) are added to that one. The lists of the two files for the screen are added to one another.

use super::edit::Text;
use super::plugin;
use super::write::{self, Seen};
use crate::error::{Error, Kind};
use std::path::{Path, PathBuf};

/// A family of files in OpenCode's folder.
#[derive(Debug)]
pub(crate) struct Family {
    /// Their names; the highest first.
    pub(crate) names: &'static [&'static str],
    /// The one that is made when there is none.
    pub(crate) new: &'static str,
    /// What a new one says of itself, so that OpenCode has nothing to add.
    pub(crate) schema: &'static str,
    /// Whether a higher list makes a lower one count for nothing.
    pub(crate) shadows: bool,
}

/// What the server reads.
pub(crate) const SERVER: Family = Family {
    names: &["opencode.jsonc", "opencode.json", "config.json"],
    new: "opencode.jsonc",
    schema: "https://opencode.ai/config.json",
    shadows: true,
};

/// What the screen reads. A new file is not called `tui.json`: OpenCode moves an old `theme` and old keys there only as
/// long as there is none.
pub(crate) const SCREEN: Family = Family {
    names: &["tui.jsonc", "tui.json"],
    new: "tui.jsonc",
    schema: "https://opencode.ai/tui.json",
    shadows: false,
};

/// One file that there is.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// Where OpenCode looks for it.
    pub(crate) path: PathBuf,
    /// What it was when it was looked at.
    pub(crate) seen: Seen,
    /// What it says.
    pub(crate) text: Text,
}

/// Reads one file.
pub(crate) fn read(path: &Path) -> Result<Found, Error> {
    let seen = write::look(path)?;
    let bytes = seen.file.as_ref().map_or(&[][..], |file| &file.bytes);
    let text = Text::read(bytes).map_err(|wrong| {
        let hint = "OpenCode does not read this file either; put it right and try again. Nothing was changed";
        Error::new(Kind::Plugin, format!("{}: {wrong}", path.display())).hint(hint)
    })?;
    Ok(Found {
        path: path.to_owned(),
        seen,
        text,
    })
}

impl Family {
    /// The files of this family that there are; the highest first.
    pub(crate) fn find(&self, folder: &Path) -> Result<Vec<Found>, Error> {
        let all = self.names.iter().map(|name| read(&folder.join(name)));
        let there = all.filter(|read| !read.as_ref().is_ok_and(|found| found.seen.file.is_none()));
        there.collect()
    }

    /// The one whose list counts, by its place: the highest with a list.
    pub(crate) fn counts(files: &[Found]) -> Option<usize> {
        files
            .iter()
            .position(|found| found.text.plugins().is_some())
    }

    /// The entry of ours that counts, and where it is.
    pub(crate) fn registered<'a>(
        &self,
        files: &'a [Found],
        folder: &str,
    ) -> Option<(&'a Found, &'a str)> {
        let count = match self.shadows {
            true => Self::counts(files).and_then(|n| files.get(n..=n)),
            false => Some(files),
        };
        count?
            .iter()
            .find_map(|found| Some((found, ours(found, folder)?)))
    }
}

/// The first entry of ours in a file.
pub(crate) fn ours<'a>(found: &'a Found, folder: &str) -> Option<&'a str> {
    let specs = found.text.specs()?.into_iter().flatten();
    specs.into_iter().find(|spec| plugin::is_ours(spec, folder))
}
