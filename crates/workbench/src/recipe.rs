//! Preparing workspaces: how an ecosystem sets one up, what keys that, and what is brought along to the next.
//!
//! Set-up runs once for each key in a base workspace; every other workspace is made from it. What is brought along is
//! ignored by git and made by tools: `node_modules`, a Python environment, a build cache.
//!
//! How it is brought along, and why so:
//!
//! * **Clone** (a reflink): the copy shares disk blocks until one side writes. Nothing can leak from one workspace into
//!   another, and it costs next to nothing. Needs btrfs, XFS, bcachefs or the like.
//! * **Copy** where there are no clones. Slower, and as safe.
//! * **Hard links** only where a configuration asks for them. Two names of one file share every write in place, and
//!   tools do write into `node_modules` (caches, generated clients, patches), so that one attempt would change what
//!   another is tested with.
//! * **Never a symbolic link** to the tree: it is one tree then, not two.

mod bring;
mod touched;
mod venv;

pub use bring::{Brought, bring_along};
pub use touched::state_of;
pub use venv::move_venv;

use crate::gates::Environment;
use crate::process::digest;
use mission::gate::Program;
use mission::ids::Digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Who sets a workspace up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ecosystem {
    /// npm.
    Npm,
    /// pnpm.
    Pnpm,
    /// Yarn, both generations.
    Yarn,
    /// Bun.
    Bun,
    /// uv.
    Uv,
    /// Poetry.
    Poetry,
    /// Python's own `venv` and pip.
    Pip,
    /// Cargo.
    Cargo,
    /// Go.
    Go,
    /// Nobody's: the user's own set-up, from their configuration.
    Own,
}

impl fmt::Display for Ecosystem {
    /// The name of its program.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Npm => "npm",
            Self::Pnpm => "pnpm",
            Self::Yarn => "yarn",
            Self::Bun => "bun",
            Self::Uv => "uv",
            Self::Poetry => "poetry",
            Self::Pip => "pip",
            Self::Cargo => "cargo",
            Self::Go => "go",
            Self::Own => "your configuration",
        })
    }
}

/// How a path may be brought along; see the top of this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Means {
    /// By clone, or else by copy: what the workspace cannot do without.
    CloneOrCopy,
    /// By clone, or else not at all: caches of many gigabytes that a tool makes again by itself.
    CloneOnly,
    /// By hard link, or else by copy. Only for trees that nothing ever writes into.
    HardLink,
}

/// One path that is brought along.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Bring {
    /// Below the root. Nothing there is fine: it is left out.
    pub path: String,
    /// How.
    pub means: Means,
}

/// How one part of a repository is prepared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// Whose recipe it is.
    pub ecosystem: Ecosystem,
    /// The folder below the root in which set-up runs; empty for the root.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub directory: String,
    /// What is run, once for each [`prepared_key`]; `None` where nothing needs to be.
    pub setup: Option<Program>,
    /// The files below the root whose content decides what set-up makes: lock files, or manifests where there are none.
    pub keyed_by: Vec<String>,
    /// What other workspaces get from the prepared one. Environment files (`.env`) are never in a detected recipe: they
    /// hold secrets, and are brought along only when a configuration names them.
    pub bring: Vec<Bring>,
    /// Names of variables that its tools need besides [`crate::process::PASSED`], as far as the caller has them.
    pub variables: Vec<String>,
    /// Programs whose versions belong to the environment of its gates.
    pub tools: Vec<String>,
    /// Files of the user's folder, below the root, that the prepared workspace gets before set-up runs: environment files
    /// that a configuration names. They are among [`Recipe::bring`], too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// The user's folder, where there are such files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files_from: Option<PathBuf>,
    /// A Python environment among [`Recipe::bring`] that [`move_venv`] must correct after it was brought along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub venv: Option<String>,
}

impl Recipe {
    /// Names of folders that its tools leave behind wherever they run. Nobody keeps work under them.
    pub fn litter(&self) -> &'static [&'static str] {
        match self.ecosystem {
            Ecosystem::Npm | Ecosystem::Pnpm | Ecosystem::Yarn | Ecosystem::Bun => {
                &["node_modules"]
            }
            Ecosystem::Uv | Ecosystem::Poetry | Ecosystem::Pip => {
                &["__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache"]
            }
            _ => &[],
        }
    }
}

/// The recipes of a tree under the user's own: one that runs a command takes the place of those that were detected for
/// its folder.
pub fn under(detected: Vec<Recipe>, own: &[Recipe]) -> Vec<Recipe> {
    let replaced = |recipe: &Recipe| {
        let same = |own: &Recipe| own.setup.is_some() && own.directory == recipe.directory;
        own.iter().any(same)
    };
    let kept = detected.into_iter().filter(|recipe| !replaced(recipe));
    kept.chain(own.iter().cloned()).collect()
}

/// Whether a file of this name can say how a workspace is set up.
pub fn is_manifest(name: &str) -> bool {
    matches!(
        name,
        "package.json"
            | "package-lock.json"
            | "npm-shrinkwrap.json"
            | "pnpm-lock.yaml"
            | "pnpm-workspace.yaml"
            | "yarn.lock"
            | ".yarnrc.yml"
            | "bun.lock"
            | "bun.lockb"
            | "pyproject.toml"
            | "setup.py"
            | "setup.cfg"
            | "uv.lock"
            | "poetry.lock"
            | "Cargo.toml"
            | "Cargo.lock"
            | "go.mod"
            | "go.sum"
    ) || (name.starts_with("requirements") && name.ends_with(".txt"))
}

/// Why a workspace could not be prepared from another.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A path does not stay inside its workspace.
    #[error("`{path}` does not stay inside the workspace {}; name a path below its root", root.display())]
    Outside {
        /// The path as given.
        path: String,
        /// The workspace.
        root: PathBuf,
    },
    /// There is something already.
    #[error("{} is there already; a path is brought along into a fresh workspace only", path.display())]
    Exists {
        /// The path.
        path: PathBuf,
    },
    /// The tree is larger than any that makes sense.
    #[error("{} has more than {most} entries or is nested too deeply; leave it out of the recipe", path.display())]
    TooLarge {
        /// The tree.
        path: PathBuf,
        /// The limit.
        most: u64,
    },
    /// It was cancelled.
    #[error("preparing the workspace was cancelled")]
    Cancelled,
    /// The system refused.
    #[error("cannot {what} {}: {source}", path.display())]
    System {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn system(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::System {
        what,
        path: path.to_owned(),
        source,
    }
}

/// What a prepared workspace can be found again by: equal keys mean that set-up would make the same.
///
/// Versions of tools are not in it; a caller that wants them adds [`Environment::digest`].
///
/// # Errors
///
/// A lock file that is there and cannot be read.
pub fn prepared_key(root: &Path, recipe: &Recipe) -> Result<Digest, Error> {
    let locks = Environment::locks(root, &recipe.keyed_by)
        .map_err(system("read the lock files of", root))?;
    let mut hash = Sha256::new();
    let mut part = |text: &str| {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    };
    part(&recipe.ecosystem.to_string());
    part(&recipe.directory);
    match &recipe.setup {
        Some(Program::Argv(words)) => words.iter().for_each(|word| part(word)),
        Some(Program::Shell(line)) => part(line),
        None => {}
    }
    for path in &recipe.keyed_by {
        part(path);
        part(locks.get(path).map_or("absent", Digest::as_str));
    }
    if let Some(from) = &recipe.files_from {
        let files = Environment::locks(from, &recipe.files).map_err(system("read", from))?;
        for path in &recipe.files {
            part(path);
            part(files.get(path).map_or("absent", Digest::as_str));
        }
    }
    Ok(digest(hash))
}
