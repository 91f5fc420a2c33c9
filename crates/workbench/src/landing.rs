//! Landing: accepted attempts are stacked on a head, and a ref moves to the stack's top by compare-and-swap.
//!
//! A stacked commit says at its end which mission, task and attempt it is, so that after a crash git itself can be
//! asked what has landed.

use crate::git::{self, RefName, RepoPath};
use crate::repository::{self, MissionRepository, Signature};
use mission::ids::{AttemptId, CommitId, Digest, MissionId, TreeId};
use mission::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most bytes of each side of a conflict that are carried to the task.
const SIDE_LIMIT: usize = 4096;

/// The most paths of a conflict that are described.
const PATH_LIMIT: usize = 50;

/// The largest file that is searched for conflict marks.
const FILE_LIMIT: usize = 4 << 20;

/// What can go wrong when landing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The repository could not do it.
    #[error(transparent)]
    Repository(#[from] repository::Error),
    /// Git could not do it.
    #[error(transparent)]
    Git(#[from] git::Error),
    /// The content of a workspace could not be taken.
    #[error(transparent)]
    Workspace(#[from] Box<crate::workspace::Error>),
    /// Git printed something that is no object name.
    #[error(transparent)]
    Id(#[from] mission::ids::ParseError),
}

/// An attempt that is to land.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackItem {
    /// Whose it is.
    pub attempt: AttemptId,
    /// Its commit; the parent is what the attempt started from and must be an ancestor of the head.
    pub commit: CommitId,
    /// What the landed commit says. The trailers come after it.
    pub message: String,
    /// When it was accepted.
    pub when: Timestamp,
}

/// What became of one attempt in a stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Stacked {
    /// It is the next commit of the stack.
    Merged {
        /// The commit; one parent.
        commit: CommitId,
        /// Its tree: what the gates are to run on.
        tree: TreeId,
    },
    /// It changes what another has changed; it is not in the stack.
    Conflict {
        /// Where, at most 50.
        paths: Vec<ConflictPath>,
    },
    /// The head already holds all of it; it needs no commit.
    Empty,
}

/// One path in conflict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConflictPath {
    /// Where.
    pub path: RepoPath,
    /// What kind of conflict.
    pub kind: ConflictKind,
    /// What the head says there, at most 4 KiB; untrusted text.
    pub ours: String,
    /// What the attempt says there, at most 4 KiB; untrusted text.
    pub theirs: String,
}

/// What kind of conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictKind {
    /// Both changed the same lines, or the file is binary.
    Content,
    /// Both added the path.
    BothAdded,
    /// The head deleted what the attempt changed.
    DeletedInHead,
    /// The attempt deleted what the head changed.
    DeletedInAttempt,
    /// Names collide: renames, or a file where the other has a folder.
    Names,
}

/// What became of moving the ref.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Landed {
    /// The ref stands at the new commit, moved now or before.
    Landed,
    /// It was not where it was expected and was left alone.
    Moved {
        /// Where it is; nothing if it does not exist.
        found: Option<CommitId>,
    },
}

/// The message of the commit that lands an attempt. The attempt's own commit has it too: where that stands on the landed
/// line already, it is what lands.
pub fn message(mission: MissionId, attempt: AttemptId, title: &str) -> String {
    let (title, task) = (title.trim_end(), attempt.task);
    format!("{title}\n\nMission: {mission}\nTask: {task}\nAttempt: {attempt}\n")
}

/// A merge of two commits.
pub(crate) enum Merge {
    Clean(TreeId),
    Conflict(Vec<ConflictPath>),
}

impl MissionRepository {
    /// Stacks attempts on a head, in order, each merged onto what came before it.
    ///
    /// An attempt in conflict is skipped and the rest goes on. The same arguments give the same commits. Nothing but
    /// objects is written.
    ///
    /// # Errors
    /// If a commit is not there.
    pub fn stack(
        &self,
        mission: MissionId,
        head: &CommitId,
        items: &[StackItem],
    ) -> Result<Vec<Stacked>, Error> {
        let mut head = head.clone();
        let mut tree = self.tree_of(&head)?;
        let mut stacked = Vec::with_capacity(items.len());
        for item in items {
            // Work that stands on the head already is merged by nothing.
            let merged = match self.known_parent(&item.commit) {
                Some(parent) if parent == head => Merge::Clean(self.tree_of(&item.commit)?),
                _ => self.merge(&head, &item.commit)?,
            };
            stacked.push(match merged {
                Merge::Conflict(paths) => Stacked::Conflict { paths },
                Merge::Clean(merged) if merged == tree => Stacked::Empty,
                Merge::Clean(merged) => {
                    let message = message(mission, item.attempt, &item.message);
                    let commit =
                        self.commit(&merged, &[&head], &message, &Signature::engine(item.when))?;
                    head = commit.clone();
                    tree = merged.clone();
                    Stacked::Merged {
                        commit,
                        tree: merged,
                    }
                }
            });
        }
        Ok(stacked)
    }

    /// Moves a ref from one commit to another, if it still is where it was expected; `expect` of nothing makes it.
    ///
    /// Again is the same as once: a ref that is already at `new` has landed.
    ///
    /// # Errors
    /// If git cannot write the ref although it is where it was expected.
    pub fn land(
        &self,
        name: &RefName,
        expect: Option<&CommitId>,
        new: &CommitId,
    ) -> Result<Landed, Error> {
        let old = expect.map_or_else(|| self.zeros().to_string(), ToString::to_string);
        let call = self
            .call("update-ref")
            .args(["--no-deref", name.as_str(), new.as_str(), &old]);
        let Err(error) = call.run() else {
            crate::fault::of("line.moved", name);
            return Ok(Landed::Landed);
        };
        let found = self.landed(name)?;
        if found.as_ref() == Some(new) {
            Ok(Landed::Landed)
        } else if found.as_ref() == expect {
            Err(error.into())
        } else {
            Ok(Landed::Moved { found })
        }
    }

    /// Where a ref stands; nothing if it does not exist.
    ///
    /// # Errors
    /// If git cannot read it.
    pub fn landed(&self, name: &RefName) -> Result<Option<CommitId>, Error> {
        let words = ["--quiet", "--verify", "--end-of-options", name.as_str()];
        let said = self.call("rev-parse").args(words).answers(&[0, 1]).text()?;
        Ok(if said.is_empty() {
            None
        } else {
            Some(said.parse()?)
        })
    }

    /// The attempts that landed on a ref after a commit, oldest first, with their commits.
    ///
    /// Only the last three lines of a commit's message count: a message that a model wrote cannot name an attempt.
    ///
    /// # Errors
    /// If the ref or the commit is not there.
    pub fn landed_attempts(
        &self,
        name: &RefName,
        since: &CommitId,
    ) -> Result<Vec<(AttemptId, CommitId)>, Error> {
        let range = [name.as_str().to_owned(), format!("^{since}")];
        let words = ["-z", "--reverse", "--first-parent", "--format=%H%n%B"];
        let listing = self
            .call("log")
            .args(words)
            .args(&range)
            .arg("--")
            .bytes()?;
        let mut landed = Vec::new();
        for record in repository::records(&listing) {
            let text = String::from_utf8_lossy(record);
            let Some((commit, message)) = text.trim_end().split_once('\n') else {
                continue;
            };
            let mut last = message.trim_end().rsplit('\n');
            let attempt = last.next().and_then(|line| line.strip_prefix("Attempt: "));
            let task = last.next().and_then(|line| line.strip_prefix("Task: "));
            let mission = last.next().and_then(|line| line.strip_prefix("Mission: "));
            if let (Some(Ok(attempt)), Some(_), Some(_)) =
                (attempt.map(str::parse::<AttemptId>), task, mission)
            {
                landed.push((attempt, commit.parse()?));
            }
        }
        Ok(landed)
    }

    /// Merges `theirs` into `ours` in memory.
    pub(crate) fn merge(&self, ours: &CommitId, theirs: &CommitId) -> Result<Merge, Error> {
        let words = [
            "--write-tree",
            "-z",
            "--no-messages",
            ours.as_str(),
            theirs.as_str(),
        ];
        let output = self.call("merge-tree").args(words).answers(&[0, 1]).run()?;
        let mut records = repository::records(&output.stdout);
        let tree = records
            .next()
            .ok_or_else(|| git::Error::nonsense("merge-tree", "no tree"))?;
        let tree: TreeId = String::from_utf8_lossy(tree).parse()?;
        if output.code == 0 {
            return Ok(Merge::Clean(tree));
        }
        let mut stages: BTreeMap<RepoPath, [Option<Digest>; 3]> = BTreeMap::new();
        for record in records {
            let Some((words, path)) = repository::split_tab(record) else {
                break;
            };
            let words: Vec<&str> = words.split(' ').collect();
            let [_, id, stage @ ("1" | "2" | "3")] = words[..] else {
                break;
            };
            let at = usize::from(stage.as_bytes()[0] - b'1');
            stages.entry(RepoPath::printed(path)).or_default()[at] = Some(id.parse()?);
        }
        let mut paths = Vec::new();
        for (path, stages) in stages.into_iter().take(PATH_LIMIT) {
            paths.push(self.describe(&tree, path, &stages)?);
        }
        Ok(Merge::Conflict(paths))
    }

    fn describe(
        &self,
        tree: &TreeId,
        path: RepoPath,
        stages: &[Option<Digest>; 3],
    ) -> Result<ConflictPath, Error> {
        let kind = match stages {
            [Some(_), Some(_), Some(_)] => ConflictKind::Content,
            [None, Some(_), Some(_)] => ConflictKind::BothAdded,
            [Some(_), None, Some(_)] => ConflictKind::DeletedInHead,
            [Some(_), Some(_), None] => ConflictKind::DeletedInAttempt,
            _ => ConflictKind::Names,
        };
        let merged = match self.read_file(tree, &path, FILE_LIMIT)? {
            Some(repository::Content::File { bytes, .. }) => bytes,
            _ => Vec::new(),
        };
        let (mut ours, mut theirs) = sides(&String::from_utf8_lossy(&merged));
        if ours.is_empty() && theirs.is_empty() {
            let side = |id: &Option<Digest>| -> Result<String, Error> {
                let Some(id) = id else {
                    return Ok(String::new());
                };
                Ok(String::from_utf8_lossy(&self.blob(id, SIDE_LIMIT)?.0).into_owned())
            };
            (ours, theirs) = (side(&stages[1])?, side(&stages[2])?);
        }
        Ok(ConflictPath {
            path,
            kind,
            ours,
            theirs,
        })
    }
}

/// What stands between the conflict marks of a merged file: all of one side, all of the other.
fn sides(merged: &str) -> (String, String) {
    let (mut ours, mut theirs) = (String::new(), String::new());
    let mut side = None;
    for line in merged.split_inclusive('\n') {
        let mark = line.get(..7).unwrap_or_default();
        match (mark, side) {
            ("<<<<<<<", None) => side = Some(false),
            ("=======", Some(false)) => side = Some(true),
            (">>>>>>>", Some(true)) => side = None,
            (_, Some(theirs_now)) => {
                let to = if theirs_now { &mut theirs } else { &mut ours };
                if to.len() + line.len() <= SIDE_LIMIT {
                    to.push_str(line);
                }
            }
            (_, None) => {}
        }
    }
    (ours, theirs)
}
