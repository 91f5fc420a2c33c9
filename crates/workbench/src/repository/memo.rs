//! What git said of objects. An object never changes, so what was said of one once holds for as long as the program runs;
//! and each question costs a process.

use super::{Change, Error, Listing};
use mission::ids::{CommitId, TreeId};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// How many answers of each kind are kept.
const KEPT: usize = 64;
/// How many listings of whole trees are kept.
const LISTINGS: usize = 8;
/// A longer answer is not kept.
pub(super) const LONGEST: usize = 20_000;

/// The last answers to questions of one kind, the one asked for last first.
#[derive(Debug)]
struct Recent<K, V>(Mutex<VecDeque<(K, V)>>);

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: PartialEq, V: Clone> Recent<K, V> {
    fn get(&self, key: &K) -> Option<V> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|(known, _)| known == key)?;
        let found = kept.remove(at)?;
        let value = found.1.clone();
        kept.push_front(found);
        Some(value)
    }

    fn put(&self, key: K, value: V, most: usize) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(known, _)| *known != key);
        kept.push_front((key, value));
        kept.truncate(most);
    }
}

/// Which two things were compared, and whether renames were looked for.
type Compared = (String, String, bool);

/// All that is kept for one repository.
#[derive(Debug, Default)]
pub(super) struct Memo {
    trees: Recent<CommitId, TreeId>,
    commits: Recent<String, CommitId>,
    parents: Recent<CommitId, CommitId>,
    changes: Recent<Compared, Arc<Vec<Change>>>,
    listings: Recent<String, Listing>,
}

impl Memo {
    pub(super) fn tree_of(&self, commit: &CommitId) -> Option<TreeId> {
        self.trees.get(commit)
    }

    /// What is known of a commit.
    pub(super) fn commit(&self, commit: &CommitId, tree: &TreeId, parent: Option<&CommitId>) {
        self.trees.put(commit.clone(), tree.clone(), KEPT);
        if let Some(parent) = parent {
            self.parents.put(commit.clone(), parent.clone(), KEPT);
        }
    }

    /// The commit that was made when just this was asked for.
    pub(super) fn made(&self, asked: &str) -> Option<CommitId> {
        self.commits.get(&asked.to_owned())
    }

    pub(super) fn keep_made(&self, asked: String, commit: &CommitId) {
        self.commits.put(asked, commit.clone(), KEPT);
    }

    /// The only parent of a commit that was made here.
    pub(super) fn parent_of(&self, commit: &CommitId) -> Option<CommitId> {
        self.parents.get(commit)
    }

    /// The tree of a commit where it is known, else the name as it is: commits of one tree are told apart by nothing
    /// that is asked here.
    fn tree_like(&self, name: &str) -> String {
        let known = name.parse().ok().and_then(|commit| self.trees.get(&commit));
        known.map_or_else(|| name.to_owned(), |tree| tree.to_string())
    }

    pub(super) fn changes(
        &self,
        (from, to, renames): (&str, &str, bool),
        ask: impl FnOnce() -> Result<Vec<Change>, Error>,
    ) -> Result<Arc<Vec<Change>>, Error> {
        let key = (self.tree_like(from), self.tree_like(to), renames);
        if let Some(known) = self.changes.get(&key) {
            return Ok(known);
        }
        let told = Arc::new(ask()?);
        if told.len() <= LONGEST {
            self.changes.put(key, told.clone(), KEPT);
        }
        Ok(told)
    }

    pub(super) fn listing(&self, of: &str) -> Option<Listing> {
        self.listings.get(&self.tree_like(of))
    }

    pub(super) fn keep_listing(&self, of: &str, listing: &Listing) {
        if listing.len() <= LONGEST {
            let key = self.tree_like(of);
            self.listings.put(key, listing.clone(), LISTINGS);
        }
    }
}
