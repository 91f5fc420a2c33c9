//! The git program: the one place that starts it.
//!
//! Every call is hermetic. The environment is cleared, system and user configuration are switched off, hooks, file
//! system monitors, external attribute and ignore files are overridden, and the repository and work tree are always
//! named: nothing is discovered from a folder that an agent can write. Filters cannot be switched off by name, so the
//! rest of this crate only hashes and checks out through the mission repository, whose configuration defines none.
//!
//! Every call has a deadline. A call that misses it is killed with all it started.

mod lasting;
mod path;
mod refname;
mod run;
pub(crate) mod strays;
mod talk;

pub(crate) use lasting::Lasting;
pub use path::{BadPath, RepoPath};
pub use refname::{BadRefName, RefName};

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long one call may take unless it says otherwise.
const DEADLINE: Duration = Duration::from_secs(120);

/// How much one call may print unless it says otherwise: a listing of some millions of paths.
const OUTPUT_LIMIT: usize = 512 << 20;

/// What went wrong with the git program itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no `git` on the search path.
    #[error("git is not installed: no `git` in PATH. Install git {min} or newer", min = Version::MINIMUM)]
    Missing,
    /// It is too old.
    #[error("git {found} ({program}) is too old: git {min} or newer is needed for `merge-tree`", min = Version::MINIMUM)]
    TooOld {
        /// What it says it is.
        found: String,
        /// Where it stands.
        program: PathBuf,
    },
    /// It could not be started or talked to.
    #[error("git could not be run for `{what}`: {source}")]
    Start {
        /// The sub-command.
        what: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// It ran and said no.
    #[error("`git {what}` failed with {code} in {place}: {said}")]
    Failed {
        /// The sub-command.
        what: String,
        /// The exit code, or minus the signal.
        code: i32,
        /// The repository or folder it was run on.
        place: PathBuf,
        /// The end of what it printed on standard error, at most 2 KiB; untrusted text.
        said: String,
    },
    /// It was still running at its deadline and was killed.
    #[error(
        "`git {what}` was killed after {after:?} in {place}. A slow or hung disk is the usual cause"
    )]
    TimedOut {
        /// The sub-command.
        what: String,
        /// The deadline.
        after: Duration,
        /// The repository or folder it was run on.
        place: PathBuf,
    },
    /// It printed more than anyone asked for.
    #[error("`git {what}` printed more than {limit} bytes in {place}")]
    TooMuch {
        /// The sub-command.
        what: String,
        /// The limit in bytes.
        limit: usize,
        /// The repository or folder it was run on.
        place: PathBuf,
    },
    /// It printed something that this program does not understand.
    #[error("`git {what}` gave an answer that makes no sense: {why}")]
    Nonsense {
        /// The sub-command.
        what: String,
        /// What was wrong with it.
        why: String,
    },
}

impl Error {
    pub(crate) fn nonsense(what: &str, why: impl fmt::Display) -> Self {
        Self::Nonsense {
            what: what.to_owned(),
            why: why.to_string(),
        }
    }
}

/// A version of git.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The 2 of 2.38.
    pub major: u32,
    /// The 38 of 2.38.
    pub minor: u32,
}

impl Version {
    /// The oldest that works: the first with `merge-tree --write-tree`.
    pub const MINIMUM: Self = Self {
        major: 2,
        minor: 38,
    };

    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.trim().strip_prefix("git version ")?.split(['.', ' ']);
        Some(Self {
            major: numbers.next()?.parse().ok()?,
            minor: numbers.next()?.parse().ok()?,
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// An installed git that is new enough. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Git(Arc<Installed>);

#[derive(Debug)]
struct Installed {
    program: PathBuf,
    search_path: OsString,
    version: Version,
}

impl Git {
    /// The first `git` in the absolute folders of `PATH`.
    ///
    /// # Errors
    /// [`Error::Missing`] if there is none, [`Error::TooOld`] if it is older than [`Version::MINIMUM`].
    pub fn find() -> Result<Self, Error> {
        Self::find_in(&std::env::var_os("PATH").unwrap_or_default())
    }

    /// The first `git` in the absolute folders of a search path, written as in `PATH`.
    ///
    /// # Errors
    /// As [`Git::find`].
    pub fn find_in(search_path: &OsStr) -> Result<Self, Error> {
        // A relative folder would make the working directory decide which program runs.
        let folders: Vec<PathBuf> = std::env::split_paths(search_path)
            .filter(|p| p.is_absolute())
            .collect();
        let program = folders
            .iter()
            .map(|p| p.join("git"))
            .find(|p| p.is_file())
            .ok_or(Error::Missing)?;
        let search_path = std::env::join_paths(&folders).unwrap_or_default();
        let git = Self(Arc::new(Installed {
            program: program.clone(),
            search_path: search_path.clone(),
            version: Version::MINIMUM,
        }));
        let said = git
            .call("version")
            .deadline(Duration::from_secs(10))
            .text()?;
        match Version::parse(&said) {
            Some(version) if version >= Version::MINIMUM => Ok(Self(Arc::new(Installed {
                program,
                search_path,
                version,
            }))),
            _ => Err(Error::TooOld {
                found: said.trim().chars().take(80).collect(),
                program,
            }),
        }
    }

    /// Which version it is.
    pub fn version(&self) -> Version {
        self.0.version
    }

    /// Starts to describe a call of one sub-command.
    pub(crate) fn call(&self, what: &'static str) -> Call {
        Call {
            git: self.clone(),
            what,
            place: None,
            directory: PathBuf::from("/"),
            before: Vec::new(),
            settings: Vec::new(),
            environment: Vec::new(),
            args: Vec::new(),
            input: Vec::new(),
            deadline: DEADLINE,
            limit: OUTPUT_LIMIT,
            answers: &[0],
            user: None,
        }
    }
}

/// Where the user's own git looks for configuration.
///
/// The library reads no environment, so the program says it here. Used only to *read* settings and to find the user's
/// repository; neither runs anything that is configured there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserEnvironment {
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`.
    pub xdg_config_home: Option<PathBuf>,
    /// `GIT_CONFIG_GLOBAL`, where the user sets it.
    pub git_config_global: Option<PathBuf>,
    /// `GIT_CONFIG_SYSTEM`, where the user sets it.
    pub git_config_system: Option<PathBuf>,
    /// Whether the machine's configuration counts (no `GIT_CONFIG_NOSYSTEM`).
    pub system: bool,
}

/// Settings that every call carries; what is set per call comes after and wins.
const SETTINGS: &[(&str, &str)] = &[
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.untrackedCache", "false"),
    ("core.splitIndex", "false"),
    ("core.attributesFile", "/dev/null"),
    ("core.excludesFile", "/dev/null"),
    ("core.autocrlf", "false"),
    ("core.safecrlf", "false"),
    ("core.fileMode", "true"),
    ("core.symlinks", "true"),
    ("core.ignoreCase", "false"),
    ("core.quotePath", "false"),
    ("core.logAllRefUpdates", "false"),
    ("core.sparseCheckout", "false"),
    ("core.protectHFS", "true"),
    ("core.protectNTFS", "true"),
    // What a landing or a delivery rests on is flushed before it is spoken of; one flush for many objects.
    ("core.fsync", "objects,derived-metadata,reference"),
    ("core.fsyncMethod", "batch"),
    // A first checkout is bound by the file system, which serves several at once.
    ("checkout.workers", "0"),
    ("index.sparse", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("protocol.allow", "never"),
    ("submodule.recurse", "false"),
    ("commit.gpgSign", "false"),
    ("log.showSignature", "false"),
    ("color.ui", "false"),
    ("i18n.commitEncoding", "UTF-8"),
    ("i18n.logOutputEncoding", "UTF-8"),
    ("merge.conflictStyle", "merge"),
    ("merge.renames", "true"),
    ("merge.renameLimit", "7000"),
    ("merge.directoryRenames", "conflict"),
    ("diff.algorithm", "histogram"),
    ("diff.noPrefix", "false"),
    ("diff.mnemonicPrefix", "false"),
];

/// One call of git, described before it is made.
#[derive(Debug)]
pub(crate) struct Call {
    git: Git,
    what: &'static str,
    place: Option<PathBuf>,
    directory: PathBuf,
    before: Vec<OsString>,
    settings: Vec<(String, OsString)>,
    environment: Vec<(&'static str, OsString)>,
    args: Vec<OsString>,
    input: Vec<u8>,
    deadline: Duration,
    limit: usize,
    answers: &'static [i32],
    user: Option<UserEnvironment>,
}

impl Call {
    /// The repository to work on.
    pub(crate) fn git_dir(mut self, dir: &Path) -> Self {
        let mut word = OsString::from("--git-dir=");
        word.push(dir);
        self.before.push(word);
        self.directory = dir.to_owned();
        self.place = Some(dir.to_owned());
        self
    }

    /// The folder that holds the files; also where git stands. Call it after [`Call::git_dir`].
    pub(crate) fn work_tree(mut self, dir: &Path) -> Self {
        let mut word = OsString::from("--work-tree=");
        word.push(dir);
        self.before.push(word);
        self.directory = dir.to_owned();
        self
    }

    /// Where git stands, for the one call that discovers the user's repository.
    pub(crate) fn standing_in(mut self, dir: &Path) -> Self {
        self.directory = dir.to_owned();
        self.place = Some(dir.to_owned());
        self
    }

    /// The index to use in place of the repository's.
    pub(crate) fn index(self, file: &Path) -> Self {
        self.env("GIT_INDEX_FILE", file)
    }

    /// Reads the user's configuration instead of none.
    pub(crate) fn reading_user(mut self, user: &UserEnvironment) -> Self {
        self.user = Some(user.clone());
        self
    }

    pub(crate) fn env(mut self, name: &'static str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name, value.as_ref().to_owned()));
        self
    }

    pub(crate) fn setting(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.settings
            .push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    pub(crate) fn settings<'a>(
        self,
        all: impl IntoIterator<Item = &'a (String, OsString)>,
    ) -> Self {
        all.into_iter()
            .fold(self, |call, (name, value)| call.setting(name, value))
    }

    pub(crate) fn arg(mut self, word: impl AsRef<OsStr>) -> Self {
        self.args.push(word.as_ref().to_owned());
        self
    }

    pub(crate) fn args<W: AsRef<OsStr>>(self, words: impl IntoIterator<Item = W>) -> Self {
        words.into_iter().fold(self, Self::arg)
    }

    /// What it reads from standard input; nothing unless said.
    pub(crate) fn input(mut self, bytes: Vec<u8>) -> Self {
        self.input = bytes;
        self
    }

    /// Paths on standard input, each ended by a zero byte.
    pub(crate) fn input_paths<'a>(self, paths: impl IntoIterator<Item = &'a RepoPath>) -> Self {
        let mut bytes = Vec::new();
        for path in paths {
            bytes.extend_from_slice(path.as_bytes());
            bytes.push(0);
        }
        self.input(bytes)
    }

    /// Which of some paths are ignored; for a call of `check-ignore`.
    pub(crate) fn ignored_among(self, paths: &[RepoPath]) -> Result<Vec<RepoPath>, Error> {
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        // It refuses to take paths literally, so nothing may look like the magic that it knows.
        let mut input = Vec::new();
        for path in paths {
            input.extend_from_slice(b"./");
            input.extend_from_slice(path.as_bytes());
            input.push(0);
        }
        let call = self
            .env("GIT_LITERAL_PATHSPECS", "0")
            .args(["-z", "--stdin"])
            .input(input);
        let said = call.answers(&[0, 1]).bytes()?;
        let records = said
            .split(|b| *b == 0)
            .filter_map(|record| record.strip_prefix(b"./"));
        Ok(records.map(RepoPath::printed).collect())
    }

    pub(crate) fn deadline(mut self, after: Duration) -> Self {
        self.deadline = after;
        self
    }

    /// How many bytes are read at most. [`Call::first`] stops there, everything else fails.
    pub(crate) fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// The exit codes that are answers, not failures.
    pub(crate) fn answers(mut self, codes: &'static [i32]) -> Self {
        self.answers = codes;
        self
    }

    fn place(&self) -> PathBuf {
        self.place.clone().unwrap_or_else(|| self.directory.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A `git` that is a shell script. Another process writes it, so that no thread here holds it open while it starts.
    pub(super) fn fake_git(dir: &Path, script: &str) {
        let status = std::process::Command::new("/bin/sh")
            .args([
                "-c",
                "printf '#!/bin/sh\n%s\n' \"$2\" > \"$1/git\" && chmod 755 \"$1/git\"",
                "sh",
            ])
            .arg(dir)
            .arg(script)
            .status();
        assert!(status.unwrap().success());
    }

    #[test]
    fn versions_of_every_vendor_are_understood() {
        for (said, major, minor) in [
            ("git version 2.47.3\n", 2, 47),
            ("git version 2.39.5 (Apple Git-154)\n", 2, 39),
            ("git version 2.38.0.windows.1\n", 2, 38),
        ] {
            assert_eq!(
                Version::parse(said),
                Some(Version { major, minor }),
                "{said}"
            );
        }
        assert_eq!(Version::parse("gut version 2.50"), None);
        assert!(
            Version {
                major: 2,
                minor: 37
            } < Version::MINIMUM
        );
    }

    #[test]
    fn a_git_that_is_missing_or_too_old_is_said_so() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(
            Git::find_in(dir.path().as_os_str()),
            Err(Error::Missing)
        ));
        fake_git(dir.path(), "echo git version 2.30.1");
        let error = Git::find_in(dir.path().as_os_str())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("2.30.1") && error.contains("2.38 or newer"),
            "{error}"
        );
    }

    #[test]
    fn a_call_that_misses_its_deadline_is_killed_with_what_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let script =
            "case \"$*\" in *version*) echo git version 2.99.0;; *) /bin/sleep 1000 & wait;; esac";
        fake_git(dir.path(), script);
        let git = Git::find_in(dir.path().as_os_str()).unwrap();
        let error = git
            .call("gc")
            .deadline(Duration::from_millis(50))
            .run()
            .unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    }
}
