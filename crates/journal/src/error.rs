//! What can go wrong, and what to do about it.

use crate::{Flaw, Head, Owner};
use mission::ids::{Epoch, MissionId, Seq};
use std::path::PathBuf;

/// Why the journal did not do what it was asked.
///
/// Except for [`Error::Poisoned`], an error means that nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store has no such mission.
    #[error("there is no mission {mission} in this store; list the missions to see their names")]
    Unknown {
        /// The name as given.
        mission: MissionId,
    },
    /// A living owner holds the lease.
    #[error("{mission} is held by {owner}; go through that process, or end it first")]
    Held {
        /// The mission.
        mission: MissionId,
        /// Who holds it.
        owner: Owner,
    },
    /// The last owner died without giving the lease back, and the caller did not ask to take over.
    #[error(
        "{mission} was left behind by {owner}, which no longer runs; resume it to take it over"
    )]
    Abandoned {
        /// The mission.
        mission: MissionId,
        /// Who held it.
        owner: Owner,
    },
    /// The lease is not the newest one: somebody else owns the mission now. The holder must stop.
    #[error("the lease on {mission} is over: it has epoch {yours}, the store is at {current}; stop, another owner works on it", yours = yours.0, current = current.0)]
    Fenced {
        /// The mission.
        mission: MissionId,
        /// The epoch of the lease that was shown.
        yours: Epoch,
        /// The epoch in the store.
        current: Epoch,
    },
    /// The lease was made by another store.
    #[error("the lease on {mission} belongs to another store; acquire it in this one")]
    Foreign {
        /// The mission that the lease names.
        mission: MissionId,
    },
    /// Somebody appended since the caller looked.
    #[error(
        "{mission} has moved on: expected {expected}, found {found}; read what is new and decide again"
    )]
    HeadMoved {
        /// The mission.
        mission: MissionId,
        /// The head that the caller saw.
        expected: Head,
        /// The head in the store.
        found: Head,
    },
    /// Something is longer than a limit in [`crate::limits`].
    #[error("{what} has {size}, at most {limit} are allowed; shorten it or keep it in a file")]
    TooLarge {
        /// What was too large, with its unit: `the bytes of a body`.
        what: &'static str,
        /// How large it was.
        size: u64,
        /// How large it may be.
        limit: u64,
    },
    /// A write failed, now or earlier, and this handle is closed for good.
    ///
    /// What was not acknowledged may or may not be stored: only opening the store again tells. A failed flush is never
    /// tried again, because the kernel may have dropped the pages that it could not write.
    #[error(
        "the journal is closed after a failed write ({why}); free space or repair the disk, then start again"
    )]
    Poisoned {
        /// What failed.
        why: String,
    },
    /// An event does not fit the chain.
    #[error("{mission} is broken at event {seq}: {flaw}; run `verify`, and restore the store from a copy", seq = seq.0)]
    Broken {
        /// The mission.
        mission: MissionId,
        /// The first bad place.
        seq: Seq,
        /// What is wrong there.
        flaw: Flaw,
    },
    /// The store was written by a newer version of this program. It was not touched.
    #[error("{} has format {found}, this version knows formats up to {known}; install the newer version again", path.display())]
    Newer {
        /// The store.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// What stands at the store's place is not a store of this program.
    #[error("{} is not a journal: {found}; move it away, or choose another state directory", path.display())]
    NotAJournal {
        /// The place.
        path: PathBuf,
        /// What was found there.
        found: String,
    },
    /// The directory is on a filesystem of another machine, where locks and shared memory cannot be relied on.
    #[error("{} is on a network filesystem ({kind}); choose a state directory on a local disk", path.display())]
    Network {
        /// The directory.
        path: PathBuf,
        /// The filesystem's name.
        kind: &'static str,
    },
    /// The filesystem is mounted read-only.
    #[error("{} cannot be written: the filesystem is read-only; choose another state directory", path.display())]
    ReadOnly {
        /// The directory or file.
        path: PathBuf,
    },
    /// The directory or a file of the store may not be written by this user.
    #[error("{} may not be written; run `chmod u+w` on it, or choose another state directory", path.display())]
    Closed {
        /// The directory or file.
        path: PathBuf,
    },
    /// Other users may write to the directory.
    #[error("{} can be written by other users (mode {mode:o}); run `chmod 700` on it", path.display())]
    Unsafe {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The directory is another user's.
    #[error("{} belongs to another user (number {owner}); choose a state directory of your own", path.display())]
    Theirs {
        /// The directory.
        path: PathBuf,
        /// The number of the user whose it is.
        owner: u32,
    },
    /// Another process kept something locked for longer than [`crate::limits::WAIT`].
    #[error("{what} is locked by another process for too long; see which one hangs, and try again")]
    Busy {
        /// What was waited for.
        what: String,
    },
    /// The operating system refused.
    #[error("{doing} {} failed: {why}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// The database refused to read.
    #[error(
        "{doing} failed: {why}; free disk space if it is full, else check the disk and run `verify`"
    )]
    Storage {
        /// What was tried.
        doing: &'static str,
        /// What the database said.
        why: String,
    },
}
