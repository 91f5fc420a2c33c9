//! Writes commits, by one git that goes on as long as the repository is in use.

use super::{Error, MissionRepository, Signature};
use crate::disk;
use crate::git::Lasting;
use mission::ids::{CommitId, TreeId};
use std::sync::{Mutex, PoisonError};

/// The git that writes commits, once there was one to be written.
#[derive(Debug, Default)]
pub(super) struct Commits(Mutex<Option<Lasting>>);

/// A commit as git stores it.
pub(super) fn text(tree: &TreeId, parents: &[&CommitId], message: &str, by: &Signature) -> String {
    let plain = |text: &str| text.replace(['<', '>', '\n', '\0'], " ");
    let who = format!(
        "{} <{}> {} +0000",
        plain(&by.name).trim(),
        plain(&by.email).trim(),
        by.when.0 / 1000
    );
    let parents: String = parents
        .iter()
        .map(|parent| format!("parent {parent}\n"))
        .collect();
    let message = message.replace('\0', " ");
    format!("tree {tree}\n{parents}author {who}\ncommitter {who}\n\n{message}")
}

impl Commits {
    /// Writes a commit, which git checks for its form. The same text gives the same commit.
    pub(super) fn write(&self, of: &MissionRepository, text: &str) -> Result<CommitId, Error> {
        let file = of.passing();
        std::fs::write(&file.0, text).map_err(disk::failed("write", &file.0))?;
        // The name of a passing file holds nothing that git would read as anything else.
        let name = file.0.file_name().unwrap_or_default().to_string_lossy();
        let line = format!("../{name}");
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.take();
        let was_there = known.is_some();
        let ask = |git: Option<Lasting>| -> Result<(Lasting, String), Error> {
            let mut git = match git {
                Some(git) => git,
                None => of
                    .call("hash-object")
                    .args(["-t", "commit", "-w", "--stdin-paths", "--no-filters"])
                    .lasting()?,
            };
            let said = git.ask(&line)?;
            Ok((git, said))
        };
        let (git, said) = match ask(known) {
            // Somebody may have ended it since.
            Err(_) if was_there => ask(None)?,
            answered => answered?,
        };
        let commit = said.parse()?;
        *kept = Some(git);
        Ok(commit)
    }
}
