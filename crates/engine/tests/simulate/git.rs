//! Git, as far as landing needs it: trees, commits, one line that is moved by compare-and-swap, and merges by path.

use mission::ids::{AttemptId, CommitId, Digest, TreeId};
use mission::landing::{StackResult, Stacked};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Paths with what they hold.
pub(crate) type Tree = BTreeMap<String, u64>;

#[derive(Debug)]
struct Commit {
    tree: TreeId,
    parent: Option<CommitId>,
    label: String,
}

/// A mission's repository. It outlives the engine.
#[derive(Debug, Default)]
pub(crate) struct Git {
    trees: BTreeMap<TreeId, Rc<Tree>>,
    commits: BTreeMap<CommitId, Commit>,
    /// Where the landed line ends.
    pub(crate) line: Option<CommitId>,
    /// Where what has landed ends, while a move may have been made that was given up.
    pub(crate) adrift: Option<CommitId>,
}

fn name<T: std::str::FromStr<Err = mission::ids::ParseError>>(bytes: &str) -> T {
    Digest::of(bytes.as_bytes())
        .as_str()
        .parse()
        .expect("a digest names an object")
}

impl Git {
    pub(crate) fn write(&mut self, tree: &Tree) -> TreeId {
        let mut bytes = String::new();
        for (path, content) in tree {
            bytes.push_str(path);
            bytes.push('=');
            bytes.push_str(&content.to_string());
            bytes.push('\n');
        }
        let id: TreeId = name(&bytes);
        self.trees
            .entry(id.clone())
            .or_insert_with(|| Rc::new(tree.clone()));
        id
    }

    pub(crate) fn commit(
        &mut self,
        tree: &TreeId,
        parent: Option<&CommitId>,
        label: &str,
    ) -> CommitId {
        let id: CommitId = name(&format!("{tree} {parent:?} {label}"));
        let commit = Commit {
            tree: tree.clone(),
            parent: parent.cloned(),
            label: label.to_owned(),
        };
        self.commits.insert(id.clone(), commit);
        id
    }

    pub(crate) fn tree(&self, id: &TreeId) -> Rc<Tree> {
        self.trees
            .get(id)
            .cloned()
            .unwrap_or_else(|| panic!("tree {} does not exist", id.short()))
    }

    pub(crate) fn tree_of(&self, commit: &CommitId) -> TreeId {
        self.known(commit).tree.clone()
    }

    fn known(&self, commit: &CommitId) -> &Commit {
        self.commits
            .get(commit)
            .unwrap_or_else(|| panic!("commit {} does not exist", commit.short()))
    }

    /// What a commit changes against its parent, put onto another tree; the paths that both changed if it cannot be.
    pub(crate) fn pick(&self, onto: &Tree, commit: &CommitId) -> Result<Tree, Vec<String>> {
        let known = self.known(commit);
        let theirs = self.tree(&known.tree);
        let base = match &known.parent {
            Some(parent) => self.tree(&self.known(parent).tree),
            None => Rc::default(),
        };
        let paths: BTreeSet<&String> = base.keys().chain(theirs.keys()).collect();
        let (mut merged, mut both) = (onto.clone(), Vec::new());
        for path in paths {
            let (old, new, here) = (base.get(path), theirs.get(path), onto.get(path));
            if old == new || here == new {
                continue;
            }
            if here != old {
                both.push(path.clone());
            } else if let Some(new) = new {
                merged.insert(path.clone(), *new);
            } else {
                merged.remove(path);
            }
        }
        if both.is_empty() {
            Ok(merged)
        } else {
            Err(both)
        }
    }

    /// Puts attempts onto a commit, one after the other; those that conflict stay out.
    pub(crate) fn stack(
        &mut self,
        onto: &CommitId,
        attempts: &[(AttemptId, CommitId)],
    ) -> Vec<Stacked> {
        let mut top = onto.clone();
        let mut results = Vec::new();
        for (attempt, commit) in attempts {
            let here = self.tree(&self.tree_of(&top));
            let result = match self.pick(&here, commit) {
                Err(paths) => StackResult::Conflict {
                    paths,
                    excerpt: "both sides".into(),
                },
                Ok(tree) if tree == *here => StackResult::Empty,
                Ok(tree) => {
                    let tree = self.write(&tree);
                    top = self.commit(&tree, Some(&top), &attempt.to_string());
                    StackResult::Put {
                        commit: top.clone(),
                        tree,
                    }
                }
            };
            results.push(Stacked {
                attempt: *attempt,
                result,
            });
        }
        results
    }

    /// Moves the line, from here and only from here. Tells where it stands after it.
    pub(crate) fn compare_and_swap(
        &mut self,
        from: &CommitId,
        adrift: &BTreeSet<CommitId>,
        to: &CommitId,
    ) -> Option<CommitId> {
        let stands = self.line.as_ref();
        if stands.is_some_and(|stands| stands == from || adrift.contains(stands)) {
            self.line = Some(to.clone());
            self.adrift = None;
        }
        self.line.clone()
    }

    /// A landing is given up above what has landed.
    pub(crate) fn is_given_up(&mut self, end: &CommitId) {
        if self.line.as_ref() != Some(end) {
            self.adrift = Some(end.clone());
        }
    }

    /// The end of what has landed: the line's, but for a move that was given up and was made all the same.
    pub(crate) fn end(&self) -> Option<&CommitId> {
        self.adrift.as_ref().or(self.line.as_ref())
    }

    /// An attempt whose work stands on the line more than once: as two commits, each with its name.
    pub(crate) fn twice_on_line(&self) -> Option<&str> {
        let mut found = BTreeSet::new();
        let mut at = self.line.as_ref();
        while let Some(commit) = at {
            let known = self.known(commit);
            if !found.insert(known.label.as_str()) {
                return Some(&known.label);
            }
            at = known.parent.as_ref();
        }
        None
    }

    /// Whether an attempt's work has landed.
    pub(crate) fn is_on_line(&self, attempt: AttemptId) -> bool {
        let label = attempt.to_string();
        let mut at = self.end();
        while let Some(commit) = at {
            let known = self.known(commit);
            if known.label == label {
                return true;
            }
            at = known.parent.as_ref();
        }
        false
    }
}
