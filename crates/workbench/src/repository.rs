//! The mission repository: a bare repository of the engine's own that borrows the user's objects.
//!
//! It lies in the state directory and reaches the user's objects through `objects/info/alternates`, so that making it
//! copies nothing. It has no remote, no hook, no filter and none of the user's configuration; the user's ignore rules
//! that lie outside the project's tree are copied into `info/exclude` when it is made and stay as they were then; what
//! set-up makes is added to them.
//! The one thing that the user's repository gains is a ref that keeps the base from being pruned.

mod commits;
mod listing;
mod memo;
mod project;
mod read;

use commits::Commits;
pub(crate) use listing::{Entry, Listing};
use memo::Memo;
pub use project::{Project, UserRepository};
pub use read::{Change, Changed, Content, LineCount, ListedFile};
pub(crate) use read::{entries, parse_raw, records, split_tab};

use crate::disk::{self, Failure};
use crate::git::{self, Call, Git, RepoPath};
use mission::ids::{CommitId, Digest, TreeId};
use mission::time::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What can go wrong with repositories.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Git could not do it.
    #[error(transparent)]
    Git(#[from] git::Error),
    /// The file system could not do it.
    #[error(transparent)]
    Disk(#[from] Failure),
    /// A name that cannot be a ref.
    #[error(transparent)]
    Name(#[from] git::BadRefName),
    /// There are no files to work on.
    #[error(
        "{0:?} is a bare repository: it has no files to work on. Start in a clone or a worktree of it"
    )]
    Bare(PathBuf),
    /// The starting folder is git's own.
    #[error("{0:?} lies inside a `.git` folder. Start in the project's own folder")]
    InsideGit(PathBuf),
    /// Objects may be missing and may not be fetched.
    #[error(
        "{0:?} is a partial clone, and missing files cannot be fetched during a mission. \
         Run `git fetch --refetch --no-filter`, or clone it in full"
    )]
    Partial(PathBuf),
    /// The mission repository borrows from another place than asked.
    #[error(
        "{dir:?} already holds a mission of another project. Choose another state directory, or remove this one"
    )]
    Foreign {
        /// The mission's folder.
        dir: PathBuf,
    },
    /// There is no mission repository here.
    #[error("{0:?} holds no mission repository")]
    NotThere(PathBuf),
    /// Git printed something that is no object name.
    #[error(transparent)]
    Id(#[from] mission::ids::ParseError),
}

/// Who made a commit and when; equal signatures on equal content make equal commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// A name.
    pub name: String,
    /// An address.
    pub email: String,
    /// The moment; git keeps whole seconds.
    pub when: Timestamp,
}

impl Signature {
    /// The engine's own.
    pub fn engine(when: Timestamp) -> Self {
        Self {
            name: "opencode-orchestrator".to_owned(),
            email: "opencode-orchestrator@localhost".to_owned(),
            when,
        }
    }
}

/// A mission's own repository. Cheap to clone; all calls may be made from many threads at once.
#[derive(Clone, Debug)]
pub struct MissionRepository {
    git: Git,
    dir: PathBuf,
    store: PathBuf,
    sha256: bool,
    memo: Arc<Memo>,
    commits: Arc<Commits>,
}

impl MissionRepository {
    /// The git that it is used with.
    pub fn git(&self) -> &Git {
        &self.git
    }

    /// Makes the mission's repository in a folder of its own, or opens it if it is already made.
    ///
    /// A crash leaves either no repository or a whole one.
    ///
    /// # Errors
    /// [`Error::Foreign`] if the folder holds a repository that borrows from another project, [`Error::Partial`] if
    /// the user's objects may be incomplete.
    pub fn create(git: &Git, dir: &Path, project: &Project) -> Result<Self, Error> {
        disk::make(dir)?;
        let dir = &dir.canonicalize().map_err(disk::failed("find", dir))?;
        if project.repository().is_some_and(UserRepository::is_partial) {
            return Err(Error::Partial(project.root().to_owned()));
        }
        let store = dir.join("repo.git");
        let borrowed = project
            .repository()
            .map(|user| alternates_line(&user.objects_dir()));
        if store.exists() {
            let found = disk::read_if_there(&store.join("objects/info/alternates"))?;
            if found != borrowed {
                return Err(Error::Foreign { dir: dir.clone() });
            }
            return Self::open(git, dir);
        }
        let new = dir.join("repo.git.new");
        disk::remove(&new)?;
        let format = if project.is_sha256() {
            "--object-format=sha256"
        } else {
            "--object-format=sha1"
        };
        git.call("init")
            .args([
                "--quiet",
                "--bare",
                "--template=",
                "--initial-branch=main",
                format,
            ])
            .arg(&new)
            .run()?;
        crate::fault::point("repository.begun");
        disk::make(&new.join("info"))?;
        disk::make(&new.join("objects/info"))?;
        if let Some(line) = borrowed {
            disk::write(&new.join("objects/info/alternates"), &line)?;
        }
        for (name, mut bytes) in project.rules()? {
            if name == "info/exclude" {
                bytes.extend_from_slice(&own_rule(dir, project.root()));
            }
            disk::write(&new.join(name), &bytes)?;
        }
        crate::fault::point("repository.written");
        std::fs::rename(&new, &store).map_err(disk::failed("put into place", &store))?;
        disk::sync_folder(dir)?;
        Self::open(git, dir)
    }

    /// Opens a mission's repository, ends what a killed engine has left running in it, and clears away what that left
    /// half-done.
    ///
    /// Only the owner of the mission's lease may open it: stale locks are removed.
    ///
    /// # Errors
    /// [`Error::NotThere`] if there is none.
    pub fn open(git: &Git, dir: &Path) -> Result<Self, Error> {
        let this = Self::read(git, dir)?;
        git::strays::end(&this.store, &this.dir).map_err(disk::failed("take over", &this.dir))?;
        this.clear_leftovers()?;
        Ok(this)
    }

    /// Opens a repository that somebody else may be working in, to read from it. Nothing in it is cleared away.
    ///
    /// # Errors
    /// [`Error::NotThere`].
    pub fn read(git: &Git, dir: &Path) -> Result<Self, Error> {
        let dir = dir
            .canonicalize()
            .map_err(|_| Error::NotThere(dir.to_owned()))?;
        let store = dir.join("repo.git");
        if !store.join("objects").is_dir() {
            return Err(Error::NotThere(dir));
        }
        let config = disk::read_if_there(&store.join("config"))?.unwrap_or_default();
        let this = Self {
            git: git.clone(),
            dir,
            store,
            sha256: String::from_utf8_lossy(&config).contains("sha256"),
            memo: Arc::default(),
            commits: Arc::default(),
        };
        Ok(this)
    }

    /// Keeps out of every later result what set-up makes and tools leave behind: these paths below the root, and folders
    /// of these names anywhere. What the base holds there stays part of it. The same again changes nothing.
    ///
    /// # Errors
    /// If the rules cannot be read or written.
    pub fn set_aside(&self, paths: &[RepoPath], names: &[&str]) -> Result<(), Error> {
        let file = self.store.join("info/exclude");
        let before = disk::read_if_there(&file)?.unwrap_or_default();
        let mut rules = before.clone();
        let own = paths.iter().map(|path| rule_for(path.as_bytes()));
        let named = names.iter().map(|name| format!("\n{name}/\n").into_bytes());
        for rule in own.chain(named) {
            if !rules.windows(rule.len()).any(|there| there == rule) {
                rules.extend_from_slice(&rule);
            }
        }
        if rules != before {
            let next = file.with_extension("next");
            disk::write(&next, &rules)?;
            crate::fault::point("repository.rules written");
            std::fs::rename(&next, &file).map_err(disk::failed("put into place", &file))?;
        }
        Ok(())
    }

    /// The mission's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes a commit of a tree that is there, on commits that are. The same arguments give the same commit, however often.
    ///
    /// # Errors
    /// If git cannot write it.
    pub fn commit(
        &self,
        tree: &TreeId,
        parents: &[&CommitId],
        message: &str,
        by: &Signature,
    ) -> Result<CommitId, Error> {
        let asked = format!("{tree} {parents:?} {by:?} {message}");
        if let Some(made) = self.memo.made(&asked) {
            return Ok(made);
        }
        let commit = self
            .commits
            .write(self, &commits::text(tree, parents, message, by))?;
        let parent = match parents {
            [parent] => Some(*parent),
            _ => None,
        };
        self.memo.commit(&commit, tree, parent);
        self.memo.keep_made(asked, &commit);
        Ok(commit)
    }

    /// The only parent of a commit, where it was made by this program as it runs.
    pub(crate) fn known_parent(&self, commit: &CommitId) -> Option<CommitId> {
        self.memo.parent_of(commit)
    }

    /// The commit of an attempt: the attempt's tree on the commit that the attempt started from.
    ///
    /// # Errors
    /// As [`MissionRepository::commit`].
    pub fn commit_attempt(
        &self,
        base: &CommitId,
        tree: &TreeId,
        message: &str,
        when: Timestamp,
    ) -> Result<CommitId, Error> {
        self.commit(tree, &[base], message, &Signature::engine(when))
    }

    /// A commit of a tree on a base that is looked at and never kept, written by a git of its own: whoever looks is in
    /// nobody's way.
    pub(crate) fn passing_commit(&self, base: &CommitId, tree: &TreeId) -> Result<CommitId, Error> {
        let by = Signature::engine(Timestamp(0));
        let text = commits::text(tree, &[base], "", &by);
        let words = ["-t", "commit", "-w", "--stdin"];
        let call = self.call("hash-object").args(words);
        Ok(call.input(text.into_bytes()).text()?.parse()?)
    }

    /// A call on the mission's repository alone.
    pub(crate) fn call(&self, what: &'static str) -> Call {
        self.git.call(what).git_dir(&self.store)
    }

    pub(crate) fn store(&self) -> &Path {
        &self.store
    }

    /// The object name that stands for nothing.
    pub(crate) fn zeros(&self) -> Digest {
        let digits = "0".repeat(if self.sha256 { 64 } else { 40 });
        digits.parse().expect("zeros are digits")
    }

    pub(crate) fn is_sha256(&self) -> bool {
        self.sha256
    }

    /// A name in the mission's folder that no other call uses.
    pub(crate) fn passing(&self) -> disk::Passing {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join(format!("passing-{}-{n}", std::process::id()));
        // A dead process of the same number may have left one.
        drop(std::fs::remove_file(&path));
        disk::Passing(path)
    }

    fn clear_leftovers(&self) -> Result<(), Error> {
        for entry in std::fs::read_dir(&self.dir)
            .map_err(disk::failed("list", &self.dir))?
            .flatten()
        {
            let name = entry.file_name();
            if name.to_string_lossy().starts_with("passing-") {
                // Another thread of this process may be using its own; a dead process uses none.
                let ours = format!("passing-{}-", std::process::id());
                if !name.to_string_lossy().starts_with(&ours) {
                    disk::remove(&entry.path())?;
                }
            }
        }
        remove_locks(&self.store, 0)?;
        Ok(())
    }
}

/// A rule that ignores the mission's own folder, for a project that holds it (a home folder does).
fn own_rule(dir: &Path, root: &Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    match dir.strip_prefix(root) {
        Ok(inside) => rule_for(inside.as_os_str().as_bytes()),
        Err(_) => Vec::new(),
    }
}

/// A rule that ignores one path below the root.
fn rule_for(path: &[u8]) -> Vec<u8> {
    let mut rule = b"\n/".to_vec();
    for &byte in path {
        match byte {
            b'*' | b'?' | b'[' | b'\\' | b' ' => rule.extend_from_slice(&[b'\\', byte]),
            // A rule cannot name a line end; this matches it and little else.
            b'\n' => rule.push(b'?'),
            _ => rule.push(byte),
        }
    }
    rule.push(b'\n');
    rule
}

/// Removes `*.lock` below the refs, the packed refs and HEAD.
fn remove_locks(folder: &Path, depth: usize) -> Result<(), Failure> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_dir && depth < 8 && (depth > 0 || entry.file_name() == "refs") {
            remove_locks(&path, depth + 1)?;
        } else if !is_dir && path.extension().is_some_and(|end| end == "lock") {
            disk::remove(&path)?;
        }
    }
    Ok(())
}

/// A line of `objects/info/alternates`, quoted where the path would be read as something else.
pub(crate) fn alternates_line(objects: &Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    let bytes = objects.as_os_str().as_bytes();
    let mut line = Vec::new();
    if bytes.contains(&b'\n') || bytes.starts_with(b"\"") || bytes.starts_with(b"#") {
        line.push(b'"');
        for &byte in bytes {
            match byte {
                b'\n' => line.extend_from_slice(b"\\n"),
                b'"' | b'\\' => line.extend_from_slice(&[b'\\', byte]),
                _ => line.push(byte),
            }
        }
        line.push(b'"');
    } else {
        line.extend_from_slice(bytes);
    }
    line.push(b'\n');
    line
}
