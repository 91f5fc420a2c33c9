//! Python environments hold absolute paths.
//!
//! Scripts name the environment's interpreter in their first line, `activate` its folder, and an *editable* install the
//! folder of the source. The last is the dangerous one: tests in the new workspace would import the old workspace's
//! code and prove nothing. So the old root is replaced by the new one in the few places where installers write it.

use super::{Error, system};
use std::fs;
use std::path::Path;

/// Scripts and path files are small; larger ones are programs.
const LARGEST: u64 = 1 << 20;

/// Corrects an environment that was brought along from the workspace `from` to the workspace `to`; `venv` is its path
/// below both roots. Gives the number of files that were changed.
///
/// # Errors
///
/// A file that cannot be read or written.
pub fn move_venv(from: &Path, to: &Path, venv: &str) -> Result<usize, Error> {
    let from = from.canonicalize().map_err(system("find", from))?;
    let to = to.canonicalize().map_err(system("find", to))?;
    let (Some(old), Some(new)) = (from.to_str(), to.to_str()) else {
        return Ok(0); // no installer writes such a name as text
    };
    let environment = to.join(venv);
    let mut changed = usize::from(correct(&environment.join("pyvenv.cfg"), old, new)?);
    for path in files(&environment.join("bin"))? {
        changed += usize::from(correct(&path, old, new)?);
    }
    for python in files(&environment.join("lib"))? {
        for path in files(&python.join("site-packages"))? {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let points = name.ends_with(".pth")
                || name.ends_with(".egg-link")
                || name.starts_with("__editable__");
            if points {
                changed += usize::from(correct(&path, old, new)?);
            } else if name.ends_with(".dist-info") {
                changed += usize::from(correct(&path.join("direct_url.json"), old, new)?);
            }
        }
    }
    Ok(changed)
}

/// What a folder holds; nothing where there is no such folder or it is a link.
fn files(folder: &Path) -> Result<Vec<std::path::PathBuf>, Error> {
    if !folder.symlink_metadata().is_ok_and(|found| found.is_dir()) {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder).map_err(system("list", folder))?;
    entries
        .map(|entry| Ok(entry.map_err(system("list", folder))?.path()))
        .collect()
}

/// Replaces `old` by `new` in a small text file, where it stands as a whole path.
fn correct(path: &Path, old: &str, new: &str) -> Result<bool, Error> {
    let small = path
        .symlink_metadata()
        .is_ok_and(|found| found.is_file() && found.len() <= LARGEST);
    if !small {
        return Ok(false);
    }
    let bytes = fs::read(path).map_err(system("read", path))?;
    let Ok(text) = String::from_utf8(bytes) else {
        return Ok(false);
    };
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find(old) {
        let (before, after) = (&rest[..at], &rest[at + old.len()..]);
        // `/work/base` also begins `/work/base-2`.
        let whole =
            !after.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'));
        out.push_str(before);
        out.push_str(if whole { new } else { old });
        rest = after;
    }
    out.push_str(rest);
    if out == text {
        return Ok(false);
    }
    fs::write(path, out).map_err(system("correct", path))?;
    Ok(true)
}
