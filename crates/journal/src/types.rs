//! The plain values that go in and out of a journal.

use mission::ids::{Digest, Epoch, MissionId, Seq};
use mission::time::Timestamp;
use std::any::Any;
use std::fmt;

/// The random name of one store: 128 bits, made when the store is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreId(pub [u8; 16]);

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The end of a mission's chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The place of the last event, zero if there is none.
    pub seq: Seq,
    /// Its hash, 64 zeros if there is none.
    pub hash: Digest,
}

impl Head {
    /// The head of a mission without events.
    pub fn start() -> Self {
        Self {
            seq: Seq(0),
            hash: crate::chain::hex(&crate::chain::START),
        }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event {} ({})", self.seq.0, self.hash.short())
    }
}

/// What is known of a mission before its first event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMission {
    /// The path of the user's folder.
    pub project: String,
    /// What the user asked, for lists.
    pub request: String,
}

/// A mission as lists show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissionRow {
    /// Its name.
    pub mission: MissionId,
    /// The path of the user's folder.
    pub project: String,
    /// What the user asked.
    pub request: String,
    /// When it was made.
    pub created: Timestamp,
    /// The end of its chain.
    pub head: Head,
    /// What its owner last said about it; derived, and empty after a rebuild.
    pub status: String,
    /// Its newest lease, if it ever had one.
    pub lease: Option<LeaseRow>,
}

/// The newest lease of a mission, as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRow {
    /// Who took it.
    pub owner: Owner,
    /// Its number.
    pub epoch: Epoch,
    /// What became of it.
    pub hold: Hold,
}

/// What became of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Its owner lives.
    Live,
    /// Its owner died without giving it back.
    Dead,
    /// Its owner gave it back.
    GivenBack,
}

/// A process that owns a mission. The journal keeps these facts for people; it decides nothing by them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its number, which the system uses again after a while.
    pub pid: u32,
    /// The name of the system's boot in which the number means something.
    pub boot: String,
    /// When the process started, in the system's own unit; with the number it names a process for good.
    pub started: u64,
    /// Where it can be reached.
    pub endpoint: Option<String>,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.pid)?;
        match &self.endpoint {
            Some(endpoint) => write!(f, " (at {endpoint})"),
            None => Ok(()),
        }
    }
}

/// Whether a lease may be taken from an owner that died. From one that lives it is never taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takeover {
    /// Only a mission that is free is taken.
    Never,
    /// A mission whose owner died is taken too.
    IfDead,
}

/// The right to append to one mission, for as long as this value lives and no newer lease exists.
///
/// Dropping it gives the lease back. It is not forged or copied: only [`crate::Journal::acquire`] makes one.
pub struct Lease {
    pub(crate) store: StoreId,
    pub(crate) mission: MissionId,
    pub(crate) epoch: Epoch,
    /// Whatever keeps the lease alive; its drop gives the lease back.
    _hold: Box<dyn Any + Send + Sync>,
}

impl Lease {
    pub(crate) fn new(
        store: StoreId,
        mission: MissionId,
        epoch: Epoch,
        hold: Box<dyn Any + Send + Sync>,
    ) -> Self {
        Self {
            store,
            mission,
            epoch,
            _hold: hold,
        }
    }

    /// The mission that it allows to append to.
    pub fn mission(&self) -> MissionId {
        self.mission
    }

    /// Its number, which goes into every event and every name that must not be mistaken for an older one.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease({}, epoch {})", self.mission, self.epoch.0)
    }
}

/// One event as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place, from 1.
    pub seq: Seq,
    /// The lease under which it was written.
    pub epoch: Epoch,
    /// The bytes that the caller gave.
    pub body: Vec<u8>,
    /// The hash of the event before it.
    pub prev: Digest,
    /// Its own hash, over all of the above.
    pub hash: Digest,
}

/// What [`crate::Journal::verify`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every link holds.
    Verified {
        /// How many events there are.
        events: u64,
        /// The end of the chain.
        head: Head,
    },
    /// A link does not hold.
    Broken {
        /// The first bad place.
        seq: Seq,
        /// What is wrong there.
        flaw: Flaw,
    },
}

impl From<Result<Head, (Seq, Flaw)>> for Verdict {
    fn from(walked: Result<Head, (Seq, Flaw)>) -> Self {
        match walked {
            Ok(head) => Self::Verified {
                events: head.seq.0,
                head,
            },
            Err((seq, flaw)) => Self::Broken { seq, flaw },
        }
    }
}

/// What is wrong with a link of the chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// Another event stands where this one should.
    #[error("it is missing, event {found} stands in its place")]
    Gap {
        /// The place that the event found there claims.
        found: u64,
    },
    /// The store's head is further on than its events.
    #[error("it is missing, and so is everything up to event {head}")]
    Cut {
        /// The place of the stored head.
        head: u64,
    },
    /// There are events behind the store's head.
    #[error("it stands behind the stored head")]
    PastHead,
    /// The last event is not the one that the stored head names.
    #[error("the stored head names another hash")]
    OtherHead,
    /// The event has a format that this version does not know.
    #[error("its format is {found}, this version knows {known}; a newer version may have written it", known = crate::chain::FORMAT)]
    Format {
        /// The format of the event.
        found: u64,
    },
    /// The event does not name the hash of the one before it.
    #[error("it does not follow from the event before it")]
    Prev,
    /// The event's hash is not the hash of its bytes.
    #[error("its bytes do not match its hash")]
    Hash,
    /// The event's epoch is below the one before it, or above the newest lease.
    #[error("it was written under epoch {found}, out of order")]
    Epoch {
        /// The epoch of the event.
        found: u64,
    },
}
