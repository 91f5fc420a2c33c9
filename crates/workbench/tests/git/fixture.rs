//! One disposable project, with git or without, and a mission on it.

use mission::ids::{CommitId, MissionId};
use mission::time::Timestamp;
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use workbench::git::{Git, RepoPath, UserEnvironment};
use workbench::repository::{MissionRepository, Project};
use workbench::snapshot::{Base, Reason};
use workbench::workspace::{Work, Workspace};

pub(crate) const WHEN: Timestamp = Timestamp(1_700_000_000_000);
pub(crate) const MISSION: MissionId = MissionId(7);

pub(crate) struct World {
    pub(crate) home: PathBuf,
    pub(crate) root: PathBuf,
    pub(crate) state: PathBuf,
    pub(crate) _dir: tempfile::TempDir,
}

pub(crate) fn path(text: &str) -> RepoPath {
    RepoPath::new(text).unwrap()
}

/// Everything below a folder: kind, mode and bytes by path.
pub(crate) fn contents(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    use std::os::unix::fs::PermissionsExt;
    let mut all = BTreeMap::new();
    let mut todo = vec![root.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(&dir).unwrap().flatten() {
            let place = entry.path();
            let data = std::fs::symlink_metadata(&place).unwrap();
            let mut bytes = format!("{:o} ", data.permissions().mode()).into_bytes();
            if data.is_dir() {
                todo.push(place.clone());
            } else if data.is_symlink() {
                bytes.extend_from_slice(std::fs::read_link(&place).unwrap().as_os_str().as_bytes());
            } else if data.is_file() {
                bytes.extend_from_slice(&std::fs::read(&place).unwrap());
            }
            all.insert(place.strip_prefix(root).unwrap().to_owned(), bytes);
        }
    }
    all
}

impl World {
    /// A folder without git.
    pub(crate) fn plain() -> Self {
        Self::plain_named("project")
    }

    pub(crate) fn plain_named(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        let world = Self {
            home: base.join("home"),
            root: base.join(name),
            state: base.join("state"),
            _dir: dir,
        };
        std::fs::create_dir(&world.home).unwrap();
        std::fs::create_dir(&world.root).unwrap();
        world
    }

    /// A repository without commits, on branch `main`.
    pub(crate) fn empty() -> Self {
        let world = Self::plain();
        world.git(&["init", "-q", "-b", "main"]);
        world
    }

    /// A repository with one commit of these files.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let world = Self::empty();
        world.write_all(files);
        world.commit("first");
        world
    }

    pub(crate) fn git(&self, words: &[&str]) -> String {
        self.git_in(&self.root, words)
    }

    /// The user's own git.
    pub(crate) fn git_in(&self, dir: &Path, words: &[&str]) -> String {
        let output = self.command(dir, words).output().unwrap();
        assert!(
            output.status.success(),
            "git {words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned()
    }

    pub(crate) fn command(&self, dir: &Path, words: &[&str]) -> Command {
        let mut command = Command::new("git");
        command
            .args([
                "-c",
                "user.name=User",
                "-c",
                "user.email=user@example.com",
                "-c",
                "protocol.file.allow=always",
            ])
            .args(words)
            .current_dir(dir)
            .env("HOME", &self.home)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("GIT_DIR")
            .env_remove("GIT_CONFIG_GLOBAL");
        command
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        write_in(&self.root, name, bytes);
    }

    pub(crate) fn write_all(&self, files: &[(&str, &str)]) {
        for (name, text) in files {
            self.write(name, text);
        }
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.root.join(name)).unwrap()
    }

    pub(crate) fn commit(&self, message: &str) -> CommitId {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", message]);
        self.git(&["rev-parse", "HEAD"]).parse().unwrap()
    }

    pub(crate) fn commit_file(&self, name: &str) -> CommitId {
        self.write(name, name);
        self.commit(name)
    }

    pub(crate) fn environment(&self) -> UserEnvironment {
        UserEnvironment {
            home: Some(self.home.clone()),
            ..UserEnvironment::default()
        }
    }

    pub(crate) fn project(&self) -> Project {
        Project::find(&Git::find().unwrap(), &self.root, &self.environment()).unwrap()
    }

    pub(crate) fn mission(&self) -> MissionRepository {
        MissionRepository::create(&Git::find().unwrap(), &self.state, &self.project()).unwrap()
    }

    pub(crate) fn base(&self) -> (MissionRepository, Base) {
        let mission = self.mission();
        let base = mission.snapshot(&self.project(), WHEN).unwrap();
        (mission, base)
    }

    pub(crate) fn lane(&self, n: usize) -> PathBuf {
        self.state.join(format!("work/{n}"))
    }

    /// A mission, its base and a workspace on it.
    pub(crate) fn workspace(&self) -> (MissionRepository, Base, Workspace) {
        let (mission, base) = self.base();
        let workspace = mission.workspace(&self.lane(0), &base.commit, &[]).unwrap();
        (mission, base, workspace)
    }

    /// The paths of a tree.
    pub(crate) fn names(
        &self,
        mission: &MissionRepository,
        tree: &mission::ids::TreeId,
    ) -> Vec<String> {
        mission
            .list_files(tree, 1000)
            .unwrap()
            .0
            .iter()
            .map(|file| file.path.to_string())
            .collect()
    }

    /// A file of a tree as text.
    pub(crate) fn text(
        &self,
        mission: &MissionRepository,
        tree: &mission::ids::TreeId,
        name: &str,
    ) -> String {
        match mission.read_file(tree, &path(name), 1 << 20).unwrap() {
            Some(workbench::repository::Content::File { bytes, .. }) => {
                String::from_utf8(bytes).unwrap()
            }
            other => panic!("{name} is {other:?}"),
        }
    }
}

pub(crate) fn write_in(root: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    let place = root.join(name);
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    std::fs::write(place, bytes).unwrap();
}

/// What was left out of a result, and why.
pub(crate) fn left_out(work: &Work) -> Vec<(String, Reason)> {
    work.left_out
        .iter()
        .map(|left| (left.path.to_string(), left.why.clone()))
        .collect()
}
