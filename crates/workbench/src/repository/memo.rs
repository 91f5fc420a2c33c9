//! What git said of objects. An object never changes, so what was said of one once holds for as long as the program runs;
//! and each question costs a process.

use super::{Change, Error, Listing};
use mission::ids::{CommitId, TreeId};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// How many answers of each kind are kept.
const KEPT: usize = 64;
/// A longer answer is not kept.
pub(super) const LONGEST: usize = 20_000;
/// How many files the kept listings of whole trees have together: eight of the longest, or many of a small project.
const LISTED: usize = 8 * LONGEST;

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

    fn put(&self, key: K, value: V) {
        self.put_within(key, value, KEPT, |_| 1);
    }

    /// Keeps as many of the last answers as weigh no more than this together.
    fn put_within(&self, key: K, value: V, most: usize, weight: impl Fn(&V) -> usize) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(known, _)| *known != key);
        kept.push_front((key, value));
        let mut weighs = 0;
        let fitting = kept.iter().take_while(|(_, value)| {
            weighs += weight(value);
            weighs <= most
        });
        let fitting = fitting.count();
        kept.truncate(fitting);
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
        self.trees.put(commit.clone(), tree.clone());
        if let Some(parent) = parent {
            self.parents.put(commit.clone(), parent.clone());
        }
    }

    /// The commit that was made when just this was asked for.
    pub(super) fn made(&self, asked: &str) -> Option<CommitId> {
        self.commits.get(&asked.to_owned())
    }

    pub(super) fn keep_made(&self, asked: String, commit: &CommitId) {
        self.commits.put(asked, commit.clone());
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
            self.changes.put(key, told.clone());
        }
        Ok(told)
    }

    pub(super) fn listing(&self, of: &str) -> Option<Listing> {
        self.listings.get(&self.tree_like(of))
    }

    pub(super) fn keep_listing(&self, of: &str, listing: &Listing) {
        if listing.len() <= LONGEST {
            let key = self.tree_like(of);
            // A listing without files weighs something too.
            let files = |listing: &Listing| listing.len() + LONGEST / KEPT;
            self.listings
                .put_within(key, listing.clone(), LISTED, files);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_answers_are_kept_as_long_as_they_weigh_little_enough_together() {
        let recent: Recent<u32, usize> = Recent::default();
        let known = |keys: &[u32]| -> Vec<bool> {
            keys.iter().map(|key| recent.get(key).is_some()).collect()
        };
        for (key, weight) in [(1, 4), (2, 3), (3, 3)] {
            recent.put_within(key, weight, 10, |weight| *weight);
        }
        assert_eq!(known(&[3, 2, 1]), [true, true, true]);
        // The first was asked for last: it stays, and of the others what still has room.
        recent.put_within(4, 3, 10, |weight| *weight);
        assert_eq!(known(&[4, 1, 2, 3]), [true, true, true, false]);
        recent.put_within(5, 11, 10, |weight| *weight);
        assert_eq!(known(&[1, 2, 4, 5]), [false; 4]);
    }
}
