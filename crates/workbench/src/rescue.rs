//! Rescue: unmerged work is kept before a workspace goes.
//!
//! What is kept are the files as they are, and the commits that the agent made in its own repository. That repository
//! is not believed: its ref files are read as text, and its objects are read as data by a git whose configuration is
//! the engine's.

use crate::git::RefName;
use crate::repository::{self, MissionRepository, Signature};
use crate::snapshot;
use crate::workspace::{Error, Workspace};
use mission::ids::CommitId;
use mission::time::Timestamp;
use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::Path;

/// The most commits of an agent that are looked at.
const HEADS: usize = 64;

/// The largest ref file that is read.
const REF_FILE_LIMIT: u64 = 1 << 20;

impl MissionRepository {
    /// Keeps what a workspace holds under `refs/rescue/<name>`, if it is more than its base; gives the kept commit.
    ///
    /// The kept commit has the workspace's files as its tree, and as its parents the base and every commit of the
    /// agent's own that is not in the base. The same work gives the same commit.
    ///
    /// # Errors
    /// [`Error::Replaced`] if the folder is not the one that was handed out.
    pub fn rescue(
        &self,
        workspace: &Workspace,
        name: &str,
        when: Timestamp,
    ) -> Result<Option<CommitId>, Error> {
        let name = RefName::below("refs/rescue/", name).map_err(repository::Error::from)?;
        let base = workspace.commit();
        let work = match self.collect(workspace, base) {
            // A pipe holds no work, and must not keep the rest from being kept.
            Err(Error::Snapshot(snapshot::Error::SpecialRules { .. })) => {
                snapshot::remove_rules(workspace.path(), &[])?;
                self.collect(workspace, base)?
            }
            other => other?,
        };
        let own = self.own_commits(workspace)?;
        if own.is_empty() && work.tree == self.tree_of(base)? {
            return Ok(None);
        }
        let mut parents = vec![base];
        parents.extend(&own);
        let message = format!("Unmerged work, kept as {name}\n");
        let commit = self.commit(&work.tree, &parents, &message, &Signature::engine(when))?;
        self.call("update-ref")
            .args(["--no-deref", name.as_str(), commit.as_str()])
            .run()?;
        crate::fault::of("rescue.kept", &name);
        Ok(Some(commit))
    }

    /// Whether unmerged work is kept here: of workspaces, or of attempts that were handed in and did not land.
    ///
    /// # Errors
    /// If git cannot say it.
    pub fn holds_rescued(&self) -> Result<bool, repository::Error> {
        let kept = self
            .call("for-each-ref")
            .args(["--count=1", "refs/rescue/", "refs/heads/rescue/"])
            .text()?;
        Ok(!kept.is_empty())
    }

    /// The commits of the agent that are not in the base, with their objects brought into the mission's repository.
    fn own_commits(&self, workspace: &Workspace) -> Result<Vec<CommitId>, Error> {
        let dir = workspace.agent_dir();
        let objects = dir.join("objects");
        let plain = |path: &Path| fs::symlink_metadata(path).is_ok_and(|data| data.is_dir());
        if !plain(&dir) || !plain(&objects) {
            return Ok(Vec::new());
        }
        let base = workspace.commit();
        let mut named = BTreeSet::new();
        for file in ["HEAD", "ORIG_HEAD", "packed-refs", "logs/HEAD"] {
            read_ids(&dir.join(file), &mut named);
        }
        read_folder(&dir.join("refs"), 0, &mut named);
        named.remove(base);
        let mut own = Vec::new();
        for commit in named.into_iter().take(HEADS) {
            let words = [
                "--quiet",
                "--verify",
                "--end-of-options",
                &format!("{commit}^{{commit}}"),
            ];
            let call = |what| {
                self.call(what)
                    .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", quoted(&objects))
            };
            // An object that is missing or damaged is the agent's loss.
            if call("rev-parse").args(words).run().is_err() {
                continue;
            }
            let wanted = format!("{commit}\n^{base}\n").into_bytes();
            let Ok(pack) = call("pack-objects")
                .args(["--revs", "--stdout", "--quiet"])
                .input(wanted)
                .bytes()
            else {
                continue;
            };
            let words = ["--stdin", "--fix-thin", "--strict"];
            let brought = self
                .call("index-pack")
                .args(words)
                .input(pack)
                .run()
                .is_ok();
            let range = [commit.as_str().to_owned(), format!("^{base}")];
            let more = || {
                self.call("rev-list")
                    .args(["--max-count=1"])
                    .args(&range)
                    .text()
            };
            if brought && !more()?.is_empty() {
                own.push(commit);
            }
        }
        self.only_tips(own)
    }

    /// Leaves out commits that others hold already.
    fn only_tips(&self, commits: Vec<CommitId>) -> Result<Vec<CommitId>, Error> {
        if commits.len() < 2 {
            return Ok(commits);
        }
        let words = commits.iter().map(CommitId::as_str);
        let said = self
            .call("merge-base")
            .arg("--independent")
            .args(words)
            .text()?;
        let mut tips = said
            .lines()
            .map(str::parse)
            .collect::<Result<Vec<CommitId>, _>>()
            .map_err(repository::Error::from)?;
        tips.sort();
        Ok(tips)
    }
}

/// A path as git takes it in a list of object folders.
fn quoted(path: &Path) -> std::ffi::OsString {
    use std::ffi::OsString;
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let mut out = vec![b'"'];
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'\n' => out.extend_from_slice(b"\\n"),
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
    OsString::from_vec(out)
}

/// Every word of a plain file that looks like an object's name.
fn read_ids(path: &Path, found: &mut BTreeSet<CommitId>) {
    if !fs::symlink_metadata(path).is_ok_and(|data| data.is_file()) {
        return;
    }
    let mut text = Vec::new();
    let Ok(file) = fs::File::open(path) else {
        return;
    };
    if file.take(REF_FILE_LIMIT).read_to_end(&mut text).is_err() {
        return;
    }
    let words = String::from_utf8_lossy(&text);
    let ids = words
        .split_ascii_whitespace()
        .filter_map(|word| word.parse::<CommitId>().ok());
    found.extend(
        ids.filter(|id| id.as_str().bytes().any(|b| b != b'0'))
            .take(10 * HEADS),
    );
}

fn read_folder(folder: &Path, depth: usize, found: &mut BTreeSet<CommitId>) {
    if !fs::symlink_metadata(folder).is_ok_and(|data| data.is_dir()) {
        return;
    }
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten().take(10 * HEADS) {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth < 8 => read_folder(&entry.path(), depth + 1, found),
            Ok(kind) if kind.is_file() => read_ids(&entry.path(), found),
            _ => {}
        }
    }
}
