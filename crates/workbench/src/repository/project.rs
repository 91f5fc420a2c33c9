//! The user's folder and, where there is one, the user's repository: read, and changed only by pin and delivery.

use super::Error;
use crate::disk;
use crate::git::{self, Call, Git, RefName, UserEnvironment};
use mission::ids::CommitId;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Folders that nobody wants in a snapshot of a folder without git, and so without ignore rules.
const NEVER_WANTED: &str =
    "node_modules/\ntarget/\n.venv/\nvenv/\n__pycache__/\n.tox/\ndist/\nbuild/\n.DS_Store\n";

/// The user's project: a folder with or without git.
#[derive(Clone, Debug)]
pub struct Project {
    root: PathBuf,
    start: PathBuf,
    repository: Option<UserRepository>,
}

impl Project {
    /// Finds the project that a folder belongs to: its git work tree, or the folder itself where there is no git.
    ///
    /// # Errors
    /// [`Error::Bare`] and [`Error::InsideGit`] where there are no files to work on; git's own words where git refuses
    /// the repository (damaged, or owned by somebody else).
    pub fn find(git: &Git, folder: &Path, environment: &UserEnvironment) -> Result<Self, Error> {
        let folder = folder
            .canonicalize()
            .map_err(disk::failed("find", folder))?;
        let ask = |question: &str| {
            let call = git
                .call("rev-parse")
                .standing_in(&folder)
                .reading_user(environment);
            call.arg("--path-format=absolute").arg(question).bytes()
        };
        if let Some(found) = UserRepository::at_once(git, &folder, environment) {
            return Self::of(found, &folder, environment);
        }
        // One of the questions has no answer here: which, git says where each is asked alone.
        let kinds = match ask("--is-bare-repository") {
            Err(git::Error::Failed { said, .. })
                if said.contains("not a git repository (or any") =>
            {
                return Ok(Self {
                    root: folder,
                    start: PathBuf::new(),
                    repository: None,
                });
            }
            other => other?,
        };
        if line(&ask("--is-inside-git-dir")?) == b"true" {
            let bare = line(&kinds) == b"true";
            return Err(if bare {
                Error::Bare(folder)
            } else {
                Error::InsideGit(folder)
            });
        }
        if line(&kinds) == b"true" {
            return Err(Error::Bare(folder));
        }
        let path = |bytes: Vec<u8>| PathBuf::from(OsString::from_vec(line(&bytes).to_owned()));
        let root = path(ask("--show-toplevel")?);
        let git_dir = path(ask("--absolute-git-dir")?);
        let common_dir = path(ask("--git-common-dir")?);
        let sha256 = line(&ask("--show-object-format")?) == b"sha256";
        let found = UserRepository::new(git, [root, git_dir, common_dir], sha256);
        Self::of(found, &folder, environment)
    }

    fn of(
        found: UserRepository,
        folder: &Path,
        environment: &UserEnvironment,
    ) -> Result<Self, Error> {
        let root = found.root.clone();
        let start = folder
            .strip_prefix(&root)
            .unwrap_or(Path::new(""))
            .to_owned();
        let repository = Some(found.with_configuration(environment)?);
        Ok(Self {
            root,
            start,
            repository,
        })
    }

    /// The top folder of the project; absolute, without symbolic links.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the user stood, below the root; empty at the root itself.
    pub fn start(&self) -> &Path {
        &self.start
    }

    /// The user's repository, where there is one.
    pub fn repository(&self) -> Option<&UserRepository> {
        self.repository.as_ref()
    }

    /// What git has to be told to see the user's files as the user's own git does.
    pub(crate) fn settings(&self) -> &[(String, OsString)] {
        self.repository.as_ref().map_or(&[], |user| &user.settings)
    }

    pub(crate) fn is_sha256(&self) -> bool {
        self.repository.as_ref().is_some_and(|user| user.sha256)
    }

    /// Files of the mission's repository that carry the user's rules from outside the tree.
    pub(crate) fn rules(&self) -> Result<Vec<(&'static str, Vec<u8>)>, Error> {
        let Some(user) = &self.repository else {
            return Ok(vec![("info/exclude", NEVER_WANTED.as_bytes().to_owned())]);
        };
        // The later rule wins, so the repository's own come after the user's, and attributes likewise.
        let join = |first: Option<&PathBuf>, second: &str| -> Result<Vec<u8>, Error> {
            let mut all = Vec::new();
            for file in first
                .into_iter()
                .cloned()
                .chain([user.common_dir.join(second)])
            {
                if let Some(bytes) = disk::read_if_there(&file).unwrap_or_default() {
                    all.extend_from_slice(&bytes);
                    all.push(b'\n');
                }
            }
            Ok(all)
        };
        let mut rules = vec![(
            "info/exclude",
            join(user.excludes.as_ref(), "info/exclude")?,
        )];
        rules.push(("info/attributes", join(None, "info/attributes")?));
        if let Some(cut) = disk::read_if_there(&user.common_dir.join("shallow"))? {
            rules.push(("shallow", cut));
        }
        Ok(rules)
    }
}

/// The user's git repository. Only the pin and a delivery change it.
#[derive(Clone, Debug)]
pub struct UserRepository {
    git: Git,
    root: PathBuf,
    git_dir: PathBuf,
    common_dir: PathBuf,
    sha256: bool,
    settings: Vec<(String, OsString)>,
    excludes: Option<PathBuf>,
    attributes: Option<PathBuf>,
    partial: bool,
}

/// Settings that change how files on disk are seen. All else of the user's configuration is left aside.
const TAKEN: &[&str] = &[
    "core.autocrlf",
    "core.eol",
    "core.filemode",
    "core.ignorecase",
    "core.symlinks",
    "core.trustctime",
    "core.checkstat",
    "core.precomposeunicode",
    "core.checkroundtripencoding",
];

impl UserRepository {
    fn new(git: &Git, [root, git_dir, common_dir]: [PathBuf; 3], sha256: bool) -> Self {
        Self {
            git: git.clone(),
            root,
            git_dir,
            common_dir,
            sha256,
            settings: Vec::new(),
            excludes: None,
            attributes: None,
            partial: false,
        }
    }

    /// What is to be known of an ordinary repository, by one question; nothing where it is not an ordinary one.
    fn at_once(git: &Git, folder: &Path, environment: &UserEnvironment) -> Option<Self> {
        let questions = [
            "--path-format=absolute",
            "--is-bare-repository",
            "--is-inside-git-dir",
            "--show-object-format",
            "--show-toplevel",
            "--absolute-git-dir",
            "--git-common-dir",
        ];
        let call = git
            .call("rev-parse")
            .standing_in(folder)
            .reading_user(environment);
        let said = call.args(questions).bytes().ok()?;
        let lines: Vec<&[u8]> = line(&said).split(|byte| *byte == b'\n').collect();
        // A path may hold a line's end.
        let [b"false", b"false", format, places @ ..] = &lines[..] else {
            return None;
        };
        let places: [&[u8]; 3] = places.try_into().ok()?;
        let path = |bytes: &[u8]| PathBuf::from(OsString::from_vec(bytes.to_owned()));
        Some(Self::new(git, places.map(path), *format == b"sha256"))
    }

    fn with_configuration(mut self, environment: &UserEnvironment) -> Result<Self, Error> {
        let call = || {
            self.git
                .call("config")
                .git_dir(&self.git_dir)
                .reading_user(environment)
        };
        let listing = call().args(["--list", "-z"]).bytes()?;
        let mut all: BTreeMap<String, OsString> = BTreeMap::new();
        for record in listing
            .split(|b| *b == 0)
            .filter(|record| !record.is_empty())
        {
            let (key, value) = match record.iter().position(|b| *b == b'\n') {
                Some(at) => (&record[..at], &record[at + 1..]),
                None => (record, &b"true"[..]),
            };
            all.insert(
                String::from_utf8_lossy(key).into_owned(),
                OsStr::from_bytes(value).to_owned(),
            );
        }
        let file = |key: &str, default: &str| -> Result<Option<PathBuf>, Error> {
            if all.contains_key(key) {
                let bytes = call()
                    .args(["--type=path", "--get", key])
                    .answers(&[0, 1])
                    .bytes()?;
                return Ok(Some(self.root.join(OsStr::from_bytes(line(&bytes)))));
            }
            let home = environment.home.as_ref().map(|home| home.join(".config"));
            Ok(environment
                .xdg_config_home
                .clone()
                .or(home)
                .map(|dir| dir.join(default)))
        };
        let excludes = file("core.excludesfile", "git/ignore")?;
        let attributes = file("core.attributesfile", "git/attributes")?;
        let mut settings: Vec<(String, OsString)> = TAKEN
            .iter()
            .filter_map(|key| Some(((*key).to_owned(), all.get(*key)?.clone())))
            .collect();
        if let Some(attributes) = &attributes {
            settings.push((
                "core.attributesFile".to_owned(),
                attributes.clone().into_os_string(),
            ));
        }
        self.partial = all.contains_key("extensions.partialclone")
            || all
                .iter()
                .any(|(key, value)| key.ends_with(".promisor") && value == "true");
        self.settings = settings;
        self.excludes = excludes;
        self.attributes = attributes;
        Ok(self)
    }

    /// Keeps a commit from being pruned, by the ref `refs/orchestrator/<name>`. Again is the same as once.
    ///
    /// # Errors
    /// If the name cannot be a ref, or git cannot write it.
    pub fn pin(&self, name: &str, commit: &CommitId) -> Result<(), Error> {
        let name = RefName::below("refs/orchestrator/", name)?;
        self.move_pin(&name, &["update-ref", commit.as_str()])
    }

    /// Removes the pin. No such pin is fine.
    ///
    /// # Errors
    /// If the name cannot be a ref, or git cannot remove it.
    pub fn unpin(&self, name: &str) -> Result<(), Error> {
        let name = RefName::below("refs/orchestrator/", name)?;
        self.move_pin(&name, &["-d"])?;
        crate::fault::point("unpin.after");
        // Git leaves an empty folder behind; it would be the only trace.
        drop(std::fs::remove_dir(
            self.common_dir.join("refs/orchestrator"),
        ));
        Ok(())
    }

    fn move_pin(&self, name: &RefName, words: &[&str]) -> Result<(), Error> {
        let call = || match words {
            [_, commit] => self
                .call("update-ref")
                .arg("--no-deref")
                .arg(name.as_str())
                .arg(commit)
                .run(),
            _ => self
                .call("update-ref")
                .args(["--no-deref", "-d"])
                .arg(name.as_str())
                .run(),
        };
        if call().is_err() {
            // The ref belongs to one mission, so a lock on it is what a killed engine left.
            disk::remove(&self.common_dir.join(format!("{name}.lock")))?;
            call()?;
        }
        Ok(())
    }

    /// The pin's commit, if it is there.
    ///
    /// # Errors
    /// If the name cannot be a ref, or git cannot read it.
    pub fn pinned(&self, name: &str) -> Result<Option<CommitId>, Error> {
        self.commit_at(RefName::below("refs/orchestrator/", name)?.as_str())
    }

    /// Whether a commit has another one among its ancestors, or is it. One that is not there is nobody's ancestor.
    pub(crate) fn descends(&self, commit: &CommitId, from: &CommitId) -> Result<bool, Error> {
        let words = ["--is-ancestor", from.as_str(), commit.as_str()];
        let call = self.call("merge-base").args(words);
        Ok(call.answers(&[0, 1, 128]).run()?.code == 0)
    }

    /// The commit that a ref or `HEAD` names; nothing if it is unborn or absent.
    pub(crate) fn commit_at(&self, name: &str) -> Result<Option<CommitId>, Error> {
        let words = [
            "--quiet",
            "--verify",
            "--end-of-options",
            &format!("{name}^{{commit}}"),
        ];
        let said = self.call("rev-parse").args(words).answers(&[0, 1]).text()?;
        Ok(if said.is_empty() {
            None
        } else {
            Some(said.parse()?)
        })
    }

    /// A call on the user's repository, under the engine's settings. Never one that hashes or writes the user's files.
    pub(crate) fn call(&self, what: &'static str) -> Call {
        self.git.call(what).git_dir(&self.git_dir)
    }

    pub(crate) fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    pub(crate) fn objects_dir(&self) -> PathBuf {
        self.common_dir.join("objects")
    }

    pub(crate) fn is_partial(&self) -> bool {
        self.partial
    }
}

/// A line of output without its end.
fn line(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(b"\n").unwrap_or(bytes)
}
