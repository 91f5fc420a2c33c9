//! Where missions are remembered: a hash-chained log and leases, in memory and in SQLite.
//!
//! A journal keeps, for each mission, a list of events that only grows, and one lease that says who may make it grow.
//! It does not know what an event means: a body is bytes to it, and the caller makes them canonical. What it promises:
//!
//! - An append that was answered is on the disk, whole, and stays at its place.
//! - Only the holder of the newest lease appends, and only behind the head that it saw.
//! - Every event carries the hash of the one before ([`chain`] says over which bytes), so that [`Journal::verify`] can
//!   name the first one that was changed, removed or put elsewhere.
//!
//! Two implementations pass one contract suite: [`Memory`] for tests and simulations, [`Sqlite`] for everything else.
//! Absent on purpose: deleting, compaction, and any query about what bodies say. A reader that wants to know folds.

pub mod chain;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod error;
pub mod limits;
mod memory;
mod size;
mod sqlite;
mod types;

pub use error::Error;
pub use memory::Memory;
pub use sqlite::{Found, Sqlite};
pub use types::{
    Entry, Flaw, Head, Hold, Lease, LeaseRow, MissionRow, NewMission, Owner, StoreId, Takeover,
    Verdict,
};

use mission::ids::{MissionId, Seq};
use mission::time::Timestamp;

/// A place where missions are remembered.
///
/// Every method may be called from any thread and blocks until it has its answer. The methods that change something are
/// durable when they return. After [`Error::Poisoned`] every method of the same handle returns it again.
pub trait Journal: Send + Sync {
    /// The name that this store got when it was made. It is part of every hash, and tells missions of different stores apart.
    fn store(&self) -> StoreId;

    /// Makes a mission and gives it the next free name: `m1`, `m2`, … across all processes; no name is used twice.
    ///
    /// The request and the project are kept for lists and are not part of the chain.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for a request or a project beyond [`limits::REQUEST_BYTES`] and [`limits::PROJECT_BYTES`].
    fn create(&self, now: Timestamp, about: NewMission) -> Result<MissionId, Error>;

    /// All missions by number, as of one moment, but for the liveness of their owners, which is asked of the kernel.
    fn missions(&self) -> Result<Vec<MissionRow>, Error>;

    /// Takes the one lease on a mission. Its epoch is one above the last, and is stored before it is returned.
    ///
    /// Whether the last owner lives is decided by a lock that the kernel drops with the process, never by a clock, so
    /// that a mission can be taken over at the moment its owner died. The lease is given back when the value is dropped.
    ///
    /// # Errors
    /// [`Error::Unknown`]; [`Error::Held`] if the owner lives, this process included; [`Error::Abandoned`] if it died
    /// and `takeover` is [`Takeover::Never`]; [`Error::Busy`] if somebody hangs in the middle of taking the lease.
    fn acquire(&self, mission: MissionId, owner: Owner, takeover: Takeover)
    -> Result<Lease, Error>;

    /// Adds events behind the head that the caller saw, all or none, and returns the new head.
    ///
    /// With no bodies it only sets the status. A `status` of `None` leaves the old one.
    ///
    /// # Errors
    /// [`Error::Fenced`] if the store has a newer epoch than the lease; [`Error::HeadMoved`] if the head is another;
    /// [`Error::Foreign`] for a lease of another store; [`Error::TooLarge`] for more than [`limits::BATCH_EVENTS`]
    /// bodies, a body beyond [`limits::BODY_BYTES`], all together beyond [`limits::BATCH_BYTES`], or a status beyond
    /// [`limits::STATUS_BYTES`]. [`Error::Poisoned`] leaves open whether the events were stored.
    fn append(
        &self,
        lease: &Lease,
        expect: &Head,
        bodies: &[Vec<u8>],
        status: Option<&str>,
    ) -> Result<Head, Error>;

    /// Events from a place on, in order, while others write. An empty answer means that there are no more.
    ///
    /// It returns at most `at_most` events, and fewer when their bodies pass [`limits::READ_BYTES`]. Each is checked
    /// against its hash and the one before it, so that a changed event is never handed out.
    ///
    /// # Errors
    /// [`Error::Unknown`]; [`Error::Broken`] for an event that does not fit, or whose format is newer than
    /// [`chain::FORMAT`].
    fn read(&self, mission: MissionId, from: Seq, at_most: usize) -> Result<Vec<Entry>, Error>;

    /// The place and hash of the last event.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    fn head(&self, mission: MissionId) -> Result<Head, Error>;

    /// Walks the whole chain of a mission and names the first link that does not hold.
    ///
    /// A removed tail is found too, against the head that is stored apart from the events. Not found is what someone
    /// with full access does who computes all hashes anew: compare the head with one written down elsewhere.
    ///
    /// # Errors
    /// [`Error::Unknown`]; [`Error::Storage`] if the events cannot even be read.
    fn verify(&self, mission: MissionId) -> Result<Verdict, Error>;

    /// Drops everything that is only derived. Today that is the status of each mission, which becomes empty until its
    /// owner sets it again, with an append that may have no bodies. Missions, leases, events and heads are truth and stay.
    fn rebuild(&self) -> Result<(), Error>;

    /// A number that differs from the last one returned by this handle if anybody changed anything in between.
    ///
    /// It costs a few microseconds and takes no lock, so that a follower in another process may ask often.
    fn version(&self) -> Result<u64, Error>;
}
