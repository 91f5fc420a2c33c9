//! What besides the tree can change how a gate ends, as one digest: evidence is reused only where it is equal.

use super::{Lines, Runner};
use crate::process::{self, Command, End, Limits, digest};
use mission::gate::Program;
use mission::ids::Digest;
use rustix::fs::{Mode, OFlags};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The digests of lock files, by their path below the root.
pub type Locks = BTreeMap<String, Digest>;

/// A larger lock file is not read; the largest seen in the wild are some 10 MB.
const LARGEST_LOCK: u64 = 64 << 20;

/// How long a tool may take to say its version. Some start a virtual machine first.
const VERSION_LIMIT: Duration = Duration::from_secs(30);

/// What a workspace was prepared with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// What each tool says its version is; `absent` for one that is not there.
    pub versions: BTreeMap<String, String>,
    /// The lock files.
    pub locks: Locks,
    /// The set-up command as it was run, empty for none.
    pub setup: String,
}

impl Environment {
    /// One digest of all of it.
    pub fn digest(&self) -> Digest {
        let mut hash = Sha256::new();
        let mut part = |kind: &str, name: &str, value: &str| {
            for text in [kind, name, value] {
                hash.update((text.len() as u64).to_be_bytes());
                hash.update(text);
            }
        };
        self.versions
            .iter()
            .for_each(|(tool, version)| part("tool", tool, version));
        self.locks
            .iter()
            .for_each(|(path, lock)| part("lock", path, lock.as_str()));
        part("setup", "", &self.setup);
        digest(hash)
    }

    /// Digests the lock files that are there. Links, folders, pipes and files over 64 MiB count as not there.
    ///
    /// # Errors
    ///
    /// A file that is there and cannot be read.
    pub fn locks(root: &Path, paths: &[String]) -> io::Result<Locks> {
        let mut locks = Locks::new();
        for path in paths {
            if let Some(digest) = lock(&root.join(path))? {
                locks.insert(path.clone(), digest);
            }
        }
        Ok(locks)
    }
}

fn lock(path: &Path) -> io::Result<Option<Digest>> {
    // Opening a pipe would wait for its other end.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::open(path, flags, Mode::empty()) else {
        return match path.symlink_metadata() {
            Ok(found) if found.is_file() => Err(io::Error::other(format!(
                "{} cannot be opened",
                path.display()
            ))),
            _ => Ok(None),
        };
    };
    let mut file = File::from(file);
    let found = file.metadata()?;
    if !found.is_file() || found.len() > LARGEST_LOCK {
        return Ok(None);
    }
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Some(digest(hash))),
            n => hash.update(&buffer[..n]),
        }
    }
}

impl Runner {
    /// Asks each tool for its version, in `workspace`, where files may choose one (`rust-toolchain.toml`).
    ///
    /// A tool that is not there, fails or takes too long gets `absent`: it is told apart from every version.
    ///
    /// # Errors
    ///
    /// As [`Command::run`].
    pub async fn versions(
        &self,
        tools: &[String],
        workspace: &Path,
        cancel: &CancellationToken,
    ) -> Result<BTreeMap<String, String>, process::Error> {
        let mut versions = BTreeMap::new();
        for tool in tools {
            let word = if tool == "go" { "version" } else { "--version" };
            let command = Command {
                program: Program::Argv(vec![tool.clone(), word.to_owned()]),
                directory: workspace.to_owned(),
                environment: self.environment.clone(),
                limits: Limits {
                    wall: VERSION_LIMIT,
                    output: 64 << 10,
                    ..self.limits.clone()
                },
                spill: None,
            };
            let mut lines = Lines::default();
            let mut first = String::new();
            let mut keep = |line: &str| {
                if first.is_empty() {
                    first = line.chars().filter(|c| !c.is_control()).take(200).collect();
                }
            };
            let done = command
                .run(&self.guard, cancel, &mut |piece| {
                    lines.push(piece, &mut keep);
                })
                .await?;
            lines.finish(&mut keep);
            let there = done.end == End::Exited(0) && !first.is_empty();
            versions.insert(
                tool.clone(),
                if there { first } else { "absent".to_owned() },
            );
        }
        Ok(versions)
    }
}
