//! The bytes that git would check out: the blob, with the line ends that the user's settings ask for, filters not run.

use super::{Error, PlannedFile, State};
use crate::git::{self, Call, RepoPath};
use crate::repository::{Change, MissionRepository, Project};
use mission::ids::Digest;
use std::collections::BTreeSet;

/// How many files are in memory at once.
const BATCH: usize = 16;

/// Attributes that make the bytes on disk differ from the blob without running a program.
const CONVERTING: [&str; 5] = ["text", "eol", "crlf", "ident", "working-tree-encoding"];

impl MissionRepository {
    fn user_call(&self, project: &Project, what: &'static str) -> Call {
        self.call(what)
            .work_tree(project.root())
            .settings(project.settings())
    }

    /// The values of attributes that are neither unspecified nor unset: path, attribute, value.
    fn attributes(
        &self,
        project: &Project,
        names: &[&str],
        paths: &[&RepoPath],
    ) -> Result<Vec<(RepoPath, String)>, Error> {
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        let nothing = self.passing();
        let call = self
            .user_call(project, "check-attr")
            .index(&nothing.0)
            .args(["-z", "--stdin"])
            .args(names);
        let said = call.input_paths(paths.iter().copied()).bytes()?;
        let words: Vec<&[u8]> = said
            .strip_suffix(&[0])
            .unwrap_or(&said)
            .split(|b| *b == 0)
            .collect();
        let set = words
            .chunks_exact(3)
            .filter(|triple| !matches!(triple[2], b"unspecified" | b"unset" | b""));
        Ok(set
            .map(|three| {
                (
                    RepoPath::printed(three[0]),
                    String::from_utf8_lossy(three[2]).into_owned(),
                )
            })
            .collect())
    }

    /// The paths whose content only a program could make, and the filter's name.
    pub(super) fn filtered(
        &self,
        project: &Project,
        changes: &[&Change],
    ) -> Result<Vec<(RepoPath, String)>, Error> {
        let paths: Vec<&RepoPath> = changes.iter().map(|change| &change.path).collect();
        self.attributes(project, &["filter"], &paths)
    }

    /// What will be on disk after each change.
    pub(super) fn new_states(
        &self,
        project: &Project,
        changes: &[Change],
    ) -> Result<Vec<State>, Error> {
        let mut states = vec![State::Absent; changes.len()];
        let there: Vec<usize> = (0..changes.len())
            .filter(|n| changes[*n].new_mode != 0)
            .collect();
        let wanted: Vec<(&RepoPath, &Digest, bool)> = there
            .iter()
            .map(|n| {
                (
                    &changes[*n].path,
                    &changes[*n].new,
                    changes[*n].new_mode == 0o120_000,
                )
            })
            .collect();
        self.checked_out(project, &wanted, |n, bytes| {
            let change = &changes[there[n]];
            let (blob, digest) = (change.new.clone(), Digest::of(&bytes));
            states[there[n]] = match change.new_mode {
                0o120_000 => State::Link { blob, digest },
                mode => State::File {
                    blob,
                    digest,
                    size: bytes.len() as u64,
                    mode: mode & 0o777,
                },
            };
            Ok(())
        })?;
        Ok(states)
    }

    /// Gives the bytes of each planned file in turn, after comparing them with the plan.
    pub(super) fn planned_bytes<'a>(
        &self,
        project: &Project,
        files: &[&'a PlannedFile],
        mut each: impl FnMut(&'a PlannedFile, Vec<u8>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let wanted: Vec<(&RepoPath, &Digest, bool)> = files
            .iter()
            .filter_map(|file| match &file.new {
                State::Absent => None,
                State::File { blob, .. } => Some((&file.path, blob, false)),
                State::Link { blob, .. } => Some((&file.path, blob, true)),
            })
            .collect();
        self.checked_out(project, &wanted, |n, bytes| {
            let file = files[n];
            let (State::File { digest, .. } | State::Link { digest, .. }) = &file.new else {
                return Ok(());
            };
            if Digest::of(&bytes) != *digest {
                let path = file.path.clone();
                return Err(Error::Unstable { path });
            }
            each(file, bytes)
        })
    }

    fn checked_out(
        &self,
        project: &Project,
        wanted: &[(&RepoPath, &Digest, bool)],
        mut each: impl FnMut(usize, Vec<u8>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let files: Vec<&RepoPath> = wanted
            .iter()
            .filter(|(_, _, link)| !link)
            .map(|(path, _, _)| *path)
            .collect();
        let always = project
            .settings()
            .iter()
            .any(|(key, value)| key == "core.autocrlf" && value != "false");
        let converted: BTreeSet<RepoPath> = if always {
            files.iter().map(|path| (*path).clone()).collect()
        } else {
            self.attributes(project, &CONVERTING, &files)?
                .into_iter()
                .map(|(path, _)| path)
                .collect()
        };
        for (batch, chunk) in wanted.chunks(BATCH).enumerate() {
            let plain: Vec<&Digest> = chunk
                .iter()
                .filter(|(path, _, link)| *link || !converted.contains(path))
                .map(|(_, id, _)| *id)
                .collect();
            let mut plain = self.blobs(&plain)?.into_iter();
            for (n, (path, id, link)) in chunk.iter().enumerate() {
                let bytes = if *link || !converted.contains(path) {
                    plain
                        .next()
                        .ok_or_else(|| git::Error::nonsense("cat-file", "an object is missing"))?
                } else {
                    self.converted(project, path, id)?
                };
                each(batch * BATCH + n, bytes)?;
            }
        }
        Ok(())
    }

    fn converted(&self, project: &Project, path: &RepoPath, id: &Digest) -> Result<Vec<u8>, Error> {
        use std::ffi::{OsStr, OsString};
        use std::os::unix::ffi::OsStrExt;
        let mut word = OsString::from("--path=");
        word.push(OsStr::from_bytes(path.as_bytes()));
        let nothing = self.passing();
        let call = self
            .user_call(project, "cat-file")
            .index(&nothing.0)
            .arg("--filters")
            .arg(word);
        Ok(call.arg(id.as_str()).bytes()?)
    }

    /// Several blobs in one call.
    fn blobs(&self, ids: &[&Digest]) -> Result<Vec<Vec<u8>>, Error> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let lines: String = ids.iter().map(|id| format!("{id}\n")).collect();
        let said = self
            .call("cat-file")
            .arg("--batch")
            .input(lines.into_bytes())
            .bytes()?;
        let mut rest = said.as_slice();
        let mut blobs = Vec::with_capacity(ids.len());
        for id in ids {
            let nonsense = || git::Error::nonsense("cat-file", format!("no blob {id}"));
            let end = rest.iter().position(|b| *b == b'\n').ok_or_else(nonsense)?;
            let head = std::str::from_utf8(&rest[..end]).map_err(|_| nonsense())?;
            let size: usize = head
                .rsplit(' ')
                .next()
                .and_then(|size| size.parse().ok())
                .ok_or_else(nonsense)?;
            let from = end + 1;
            blobs.push(rest.get(from..from + size).ok_or_else(nonsense)?.to_owned());
            rest = rest.get(from + size + 1..).unwrap_or_default();
        }
        Ok(blobs)
    }
}
