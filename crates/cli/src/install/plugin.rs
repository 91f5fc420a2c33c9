//! The plugin's files, which the program carries, and the folder that they are written to.

use super::write;
use crate::error::{Error, Kind};
use engine::layout::Layout;
use std::fs;
use std::path::{Path, PathBuf};
use workbench::fault;

/// The name under which it is known to npm, and which begins an entry from there.
pub(crate) const NAME: &str = "opencode-orchestrator";

/// Says to the plugin which program to start, and for which version the files were written.
pub(crate) const ENGINE: &str = "engine.json";

/// Says to npm and to OpenCode what the folder is.
const PACKAGE: &str = "package.json";

macro_rules! carried {
    ($($name:literal)*) => {
        /// All files of the plugin. A new one is a new line here.
        const FILES: &[(&str, &str)] = &[
            $(($name, include_str!(concat!("../../../../plugin/", $name))),)*
        ];
    };
}

carried! {
    "package.json"
    "server.js"
    "talk.js"
    "tui.js"
}

/// Whether the plugin has something for OpenCode's screen.
pub(crate) fn has_screen() -> bool {
    let package = FILES.iter().find(|(name, _)| *name == PACKAGE);
    let exports = package.and_then(|(_, text)| serde_json::from_str(text).ok());
    exports.is_some_and(|package: serde_json::Value| !package["exports"]["./tui"].is_null())
}

/// The files as they should stand in the folder.
fn wanted(program: &Path) -> Result<Vec<(&'static str, String)>, Error> {
    let Some(path) = program.to_str() else {
        let what = format!("the path of this program is no text: {}", program.display());
        return Err(
            Error::new(Kind::Plugin, what).hint("move the program to a folder whose name is UTF-8")
        );
    };
    let engine = serde_json::json!({ "version": env!("CARGO_PKG_VERSION"), "program": path });
    let files = FILES.iter().map(|(name, text)| match *name {
        PACKAGE => (*name, versioned(text)),
        _ => (*name, (*text).to_owned()),
    });
    Ok(files.chain([(ENGINE, format!("{engine}\n"))]).collect())
}

/// The description of the package with the version of this program, which stands in `Cargo.toml` and nowhere else.
fn versioned(package: &str) -> String {
    let version = format!("{{\n  \"version\": \"{}\",", env!("CARGO_PKG_VERSION"));
    package.replacen('{', &version, 1)
}

/// This program, as the plugin will start it.
pub(crate) fn program() -> Result<PathBuf, Error> {
    let this = std::env::current_exe().and_then(|path| path.canonicalize());
    this.map_err(|error| Error::io("find", Path::new("this program"), &error))
}

/// The folder, as it is written into OpenCode's configuration.
pub(crate) fn entry(layout: &Layout) -> Result<String, Error> {
    let folder = layout.plugin();
    let hint = format!("name another state directory with {}", crate::places::STATE);
    match folder.to_str() {
        Some(text) if !text.contains('?') => Ok(text.to_owned()),
        Some(text) => {
            let what = format!("OpenCode loads no plugin from a path with a `?`: {text}");
            Err(Error::new(Kind::Plugin, what).hint(hint))
        }
        None => {
            let what = format!("{} cannot stand in a configuration", folder.display());
            Err(Error::new(Kind::Plugin, what).hint(hint))
        }
    }
}

/// Which files in the folder are not as they should be, or should not be there; none if all is well.
pub(crate) fn stale(layout: &Layout, program: &Path) -> Result<Vec<String>, Error> {
    let (folder, wanted) = (layout.plugin(), wanted(program)?);
    let differs = |(name, text): &&(&str, String)| {
        write::look(&folder.join(name))
            .ok()
            .and_then(|seen| seen.file)
            .is_none_or(|file| file.bytes != text.as_bytes())
    };
    let mut stale: Vec<String> = wanted
        .iter()
        .filter(differs)
        .map(|(name, _)| (*name).to_owned())
        .collect();
    stale.extend(foreign(&folder, &wanted));
    Ok(stale)
}

/// What an earlier version left in the folder.
fn foreign(folder: &Path, wanted: &[(&str, String)]) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_dir()));
    let names = files.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names
        .filter(|name| wanted.iter().all(|(known, _)| known != name))
        .collect()
}

/// Writes the folder. Tells whether anything was not as it should be.
pub(crate) fn write(layout: &Layout, program: &Path) -> Result<bool, Error> {
    let (folder, wanted) = (layout.plugin(), wanted(program)?);
    write::own_folder(&folder)?;
    fault::point("install.folder made");
    let mut changed = false;
    for (name, text) in &wanted {
        changed |= write::own(&folder.join(name), text.as_bytes())?;
    }
    for name in foreign(&folder, &wanted) {
        let path = folder.join(name);
        fs::remove_file(&path).map_err(|error| Error::io("remove", &path, &error))?;
        changed = true;
    }
    Ok(changed)
}

/// Removes the folder. Tells whether there was one.
pub(crate) fn remove(layout: &Layout) -> Result<bool, Error> {
    let folder = layout.plugin();
    let removed = match fs::symlink_metadata(&folder) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(&folder).map(|()| true),
        Ok(_) => fs::remove_file(&folder).map(|()| true),
        Err(_) => Ok(false),
    };
    fault::point("install.folder removed");
    removed.map_err(|error| Error::io("remove", &folder, &error))
}

/// Whether an entry of OpenCode's configuration is the package of our name, which OpenCode fetches from npm.
pub(crate) fn is_from_npm(entry: &str) -> bool {
    let version = entry.strip_prefix(NAME);
    version.is_some_and(|version| version.is_empty() || version.starts_with('@'))
}

/// Whether an entry of OpenCode's configuration is ours, in any form that it can have.
pub(crate) fn is_ours(entry: &str, folder: &str) -> bool {
    if is_from_npm(entry) {
        return true;
    }
    let path = match entry.strip_prefix("file://") {
        Some(url) => decoded(url),
        None => entry.to_owned(),
    };
    path.trim_end_matches('/') == folder.trim_end_matches('/')
}

/// The path of a file URL.
fn decoded(url: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = url.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| *first == b'%');
        let code = code.and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_ours_are_known_in_every_form_and_look_alikes_are_not() {
        let folder = "/home/a da/.local/state/opencode-orchestrator/plugin";
        for ours in [
            "opencode-orchestrator",
            "opencode-orchestrator@1.2.3",
            "opencode-orchestrator@latest",
            folder,
            "/home/a da/.local/state/opencode-orchestrator/plugin/",
            "file:///home/a%20da/.local/state/opencode-orchestrator/plugin",
        ] {
            assert!(is_ours(ours, folder), "{ours}");
        }
        for other in [
            "@other/opencode-orchestrator",
            "@other/opencode-orchestrator@1",
            "opencode-orchestrator-extra",
            "my-opencode-orchestrator",
            "opencode-orchestrator/sub",
            "/home/a da/.local/state/opencode-orchestrator/plugin2",
            "/home/a da/.local/state/opencode-orchestrator",
            "file:///plugin",
            "",
        ] {
            assert!(!is_ours(other, folder), "{other}");
        }
    }

    #[test]
    fn the_package_says_what_it_is_and_runs_nothing_when_it_is_installed() {
        let (_, text) = FILES.iter().find(|(name, _)| *name == PACKAGE).unwrap();
        let plain: serde_json::Value = serde_json::from_str(text).unwrap();
        assert!(
            plain["version"].is_null(),
            "the version stands in Cargo.toml"
        );
        let package: serde_json::Value = serde_json::from_str(&versioned(text)).unwrap();
        assert_eq!(package["name"], NAME);
        assert_eq!(package["version"], env!("CARGO_PKG_VERSION"));
        for (_, file) in package["exports"].as_object().unwrap() {
            let file = file.as_str().unwrap().trim_start_matches("./");
            assert!(
                FILES.iter().any(|(name, _)| *name == file),
                "{file} is not carried"
            );
        }
        let scripts = package["scripts"].as_object().unwrap();
        assert_eq!(scripts["cleanup:plugin"], "orchestrator uninstall");
        assert_eq!(scripts.len(), 1, "{scripts:?}");
    }
}
