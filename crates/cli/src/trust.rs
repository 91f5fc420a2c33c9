//! Whether the project's own configuration for agents may be used.
//!
//! A project can name programs there (plugins, MCP servers, hooks), so it is not used until somebody has read it and
//! said so. What was approved is remembered outside the project, under a digest of its content: one changed byte, and
//! it is not approved any more.
//!
//! Agents are never shown the project's own files, nor those of a workspace: what is used is a copy of exactly the bytes
//! that were looked at.

use crate::error::{Error, Kind};
use agents::opencode::Approved;
use mission::ids::Digest;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Component, Path, PathBuf};
use tempfile::TempDir;

/// What OpenCode reads in a project and obeys.
const NAMES: [&str; 3] = ["opencode.json", "opencode.jsonc", ".opencode"];
/// Where approvals are remembered, below the state directory.
const FOLDER: &str = "trust";
/// The most files that are looked at. A larger configuration is never trusted.
const FILES: usize = 1_000;
/// The most bytes that are looked at.
const BYTES: u64 = 16 << 20;

/// The project's configuration for agents.
#[derive(Debug)]
pub(crate) struct Found {
    /// What there is, for people.
    pub(crate) names: Vec<String>,
    /// The digest of all of it.
    pub(crate) digest: Digest,
    /// The files, by their path from the project.
    files: BTreeMap<PathBuf, Vec<u8>>,
    /// What is a link: what it leads to may change without a trace here.
    links: Vec<PathBuf>,
}

/// A copy of approved configuration, as long as it is needed.
pub(crate) struct Trusted {
    pub(crate) approved: Approved,
    _copy: TempDir,
}

/// What the project has, if it has anything.
pub(crate) fn find(project: &Path) -> Result<Option<Found>, Error> {
    let mut files = BTreeMap::new();
    let mut bytes = 0;
    // OpenCode also obeys what stands above the folder, up to the top of its repository.
    let top = project
        .ancestors()
        .position(|folder| folder.join(".git").exists());
    let mut up = PathBuf::new();
    for folder in project.ancestors().take(top.unwrap_or(0) + 1) {
        let mut here = BTreeMap::new();
        for name in NAMES {
            collect(folder, Path::new(name), &mut here, &mut bytes)?;
        }
        files.extend(here.into_iter().map(|(path, text)| (up.join(path), text)));
        up.push("..");
    }
    if files.is_empty() {
        return Ok(None);
    }
    let mut all = Vec::new();
    for (path, content) in &files {
        for part in [path.as_os_str().as_encoded_bytes(), content] {
            all.extend_from_slice(&(part.len() as u64).to_be_bytes());
            all.extend_from_slice(part);
        }
    }
    let top_of = |path: &PathBuf| -> String {
        let above = path.iter().take_while(|part| *part == "..").count();
        let top: PathBuf = path.iter().take(above + 1).collect();
        top.to_string_lossy().into_owned()
    };
    let names: BTreeSet<String> = files.keys().map(top_of).collect();
    let names = names.into_iter().collect();
    let is_link = |path: &&PathBuf| project.join(path).is_symlink();
    Ok(Some(Found {
        names,
        digest: Digest::of(&all),
        links: files.keys().filter(is_link).cloned().collect(),
        files,
    }))
}

impl Found {
    /// Copies what was found, so that it lies around a folder as it lies around the project.
    /// It lies in a folder of its own that only this user may read, and goes with the program.
    fn copied(&self) -> std::io::Result<Trusted> {
        let copy = tempfile::Builder::new()
            .prefix("orchestrator-trust")
            .tempdir()?;
        let above = |path: &Path| path.iter().take_while(|part| *part == "..").count();
        let deepest = self.files.keys().map(|path| above(path)).max();
        let project = (0..deepest.unwrap_or(0)).fold(copy.path().to_owned(), |at, _| at.join("a"));
        // Configuration is looked for up to the top of a repository.
        for folder in ["objects", "refs"] {
            fs::create_dir_all(copy.path().join(".git").join(folder))?;
        }
        fs::write(copy.path().join(".git/HEAD"), "ref: refs/heads/main\n")?;
        fs::create_dir_all(&project)?;
        for (path, content) in &self.files {
            let top = project.ancestors().nth(above(path)).unwrap_or(&project);
            let below = path.components().filter(|c| *c != Component::ParentDir);
            let to = top.join(below.collect::<PathBuf>());
            to.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(to, content)?;
        }
        let settled = copy.path().join("settled.json");
        Ok(Trusted {
            approved: Approved {
                copy: project,
                settled,
            },
            _copy: copy,
        })
    }
}

fn collect(
    root: &Path,
    at: &Path,
    files: &mut BTreeMap<PathBuf, Vec<u8>>,
    bytes: &mut u64,
) -> Result<(), Error> {
    let path = root.join(at);
    let failed = |error: std::io::Error| Error::io("read", &path, &error);
    let Ok(found) = fs::symlink_metadata(&path) else {
        return Ok(());
    };
    *bytes += found.len();
    if files.len() >= FILES || *bytes > BYTES {
        let what = format!(
            "the configuration for agents in {} is too large to be looked at",
            root.display()
        );
        return Err(Error::new(Kind::Project, what)
            .hint("move what is large out of there; agents work without it"));
    }
    if found.is_dir() {
        // What a package manager put there follows from the files beside it.
        if at.file_name().is_some_and(|name| name == "node_modules") {
            return Ok(());
        }
        for entry in fs::read_dir(&path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            collect(root, &at.join(name), files, bytes)?;
        }
    } else if found.is_file() {
        files.insert(at.to_owned(), fs::read(&path).map_err(failed)?);
    } else {
        // Where a link leads may change without a trace here, so it is told apart from every file and never read.
        let target = fs::read_link(&path).unwrap_or_default();
        files.insert(
            at.to_owned(),
            [b"link:", target.as_os_str().as_encoded_bytes()].concat(),
        );
    }
    Ok(())
}

/// What was decided about the project's configuration.
pub(crate) struct Trust {
    /// What is used of it: a copy of what was approved.
    pub(crate) used: Option<Trusted>,
    found: Option<Found>,
    approved_now: bool,
}

impl Trust {
    /// What is there and is not used, because nobody has read it.
    pub(crate) fn unread(&self) -> Option<&Found> {
        self.found.as_ref().filter(|_| self.used.is_none())
    }

    /// Remembers an approval that was given now.
    pub(crate) fn remember(&self, state: &Path) -> Result<(), Error> {
        let Some(found) = self.found.as_ref().filter(|_| self.approved_now) else {
            return Ok(());
        };
        let path = folder(state)?.join(found.digest.as_str());
        fs::write(&path, b"").map_err(|error| Error::io("write", &path, &error))
    }
}

/// The folder of approvals, which only this user may read.
fn folder(state: &Path) -> Result<PathBuf, Error> {
    let path = state.join(FOLDER);
    let mut private = fs::DirBuilder::new();
    let made = private.recursive(true).mode(0o700).create(&path);
    made.map_err(|error| Error::io("make", &path, &error))?;
    Ok(path)
}

/// Whether the project's configuration may be used: it was approved before, or is now by its digest. An approval is
/// not remembered by this: it is worth that once there is an agent to use it.
pub(crate) fn decide(state: &Path, project: &Path, approved: Option<&str>) -> Result<Trust, Error> {
    let Some(found) = find(project)? else {
        let what = "`--trust` was given, and the project has no configuration for agents";
        return match approved {
            Some(_) => Err(Error::new(Kind::Usage, what).hint("leave `--trust` out")),
            None => Ok(Trust {
                used: None,
                found: None,
                approved_now: false,
            }),
        };
    };
    if let Some(digest) = approved
        && digest != found.digest.as_str()
    {
        let what = format!(
            "`--trust` names {digest}, and the project's configuration for agents is {}",
            found.digest
        );
        return Err(Error::new(Kind::Usage, what).hint(format!(
            "read {} again before you approve it",
            found.names.join(", ")
        )));
    }
    if let Some(link) = found.links.first().filter(|_| approved.is_some()) {
        let what = format!(
            "{} is a link, and what it leads to may change after you have read it",
            link.display()
        );
        return Err(Error::new(Kind::Usage, what).hint("put a file in its place, or go without"));
    }
    let remembered = state.join(FOLDER).join(found.digest.as_str()).exists();
    let used = if found.links.is_empty() && (approved.is_some() || remembered) {
        let copied = found.copied();
        Some(copied.map_err(|error| Error::io("write", &std::env::temp_dir(), &error))?)
    } else {
        None
    };
    Ok(Trust {
        used,
        found: Some(found),
        approved_now: approved.is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_changed_byte_takes_the_approval_away() {
        let (state, project) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let decide = |approved: Option<&str>| decide(state.path(), project.path(), approved);
        assert!(decide(None).unwrap().used.is_none());
        assert!(decide(Some("x")).is_err(), "there is nothing to trust");
        fs::create_dir(project.path().join(".opencode")).unwrap();
        fs::write(project.path().join(".opencode/opencode.json"), "{}").unwrap();
        let digest = find(project.path()).unwrap().unwrap().digest;
        assert!(
            decide(None).unwrap().used.is_none(),
            "nothing is trusted unasked"
        );
        assert!(
            decide(Some("0000")).is_err(),
            "another digest approves nothing"
        );
        let approved = decide(Some(digest.as_str())).unwrap();
        assert!(approved.used.is_some() && decide(None).unwrap().used.is_none());
        approved.remember(state.path()).unwrap();
        let trusted = decide(None).unwrap().used;
        let trusted = trusted.expect("an approval is remembered");
        let copy = trusted.approved.copy.join(".opencode/opencode.json");
        assert_eq!(fs::read_to_string(&copy).unwrap(), "{}");
        fs::write(project.path().join(".opencode/opencode.json"), "{ }").unwrap();
        assert!(
            decide(None).unwrap().used.is_none(),
            "other content was never approved"
        );
        assert_eq!(fs::read_to_string(&copy).unwrap(), "{}");
        drop(trusted);
        assert!(!copy.exists());
    }

    #[test]
    fn a_link_is_never_trusted() {
        let (state, project) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let decide = |approved: Option<&str>| decide(state.path(), project.path(), approved);
        let target = state.path().join("elsewhere.json");
        fs::write(&target, "{}").unwrap();
        std::os::unix::fs::symlink(&target, project.path().join("opencode.json")).unwrap();
        let digest = find(project.path()).unwrap().unwrap().digest;
        let why = decide(Some(digest.as_str())).err().unwrap().to_string();
        assert!(why.contains("opencode.json is a link"), "{why}");
        assert!(decide(None).unwrap().used.is_none());
    }

    #[test]
    fn what_stands_above_the_folder_is_approved_with_it() {
        let root = tempfile::tempdir().unwrap();
        let project = root.path().join("app/web");
        fs::create_dir_all(&project).unwrap();
        fs::write(project.join("opencode.json"), "{}").unwrap();
        let alone = find(&project).unwrap().unwrap();
        assert_eq!(alone.names, ["opencode.json"]);
        fs::write(root.path().join("opencode.json"), "{}").unwrap();
        assert_eq!(find(&project).unwrap().unwrap().digest, alone.digest);
        fs::create_dir(root.path().join(".git")).unwrap();
        let both = find(&project).unwrap().unwrap();
        assert_eq!(both.names, ["../../opencode.json", "opencode.json"]);
        assert_ne!(both.digest, alone.digest);
        let copied = both.copied().unwrap();
        let at = |up: &str| copied.approved.copy.join(up).join("opencode.json");
        assert!(at("").is_file() && at("../..").is_file() && !at("..").exists());
        assert!(copied.approved.copy.join("../../.git").exists());
    }
}
