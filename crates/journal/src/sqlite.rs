//! A journal in one SQLite file, shared by all processes of one user on one machine.
//!
//! The directory holds `journal.db` with its log, and `leases/` with two empty files per mission to lock. All changes of
//! this process go through one thread, which makes many in one transaction and flushes once: eight connections that write
//! by themselves are twenty times slower and starve each other. Reads have connections of their own and never wait for
//! the writer.
//!
//! `schema.sql` says which tables are truth and which are derived, and keeps other programs from changing events.

mod change;
mod locks;
mod read;
mod store;
mod writer;

use crate::types::{
    Entry, Head, Hold, Lease, MissionRow, NewMission, Owner, StoreId, Takeover, Verdict,
};
use crate::{Error, Journal, chain, limits, size};
use locks::{Held, Locks};
use mission::ids::{Digest, Epoch, MissionId, Seq};
use mission::time::Timestamp;
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use writer::{Alive, Ask, Job};

/// A journal in a directory of its own. A clone is the same handle.
#[derive(Clone, Debug)]
pub struct Sqlite {
    inner: Arc<Inner>,
}

/// What was at the store's place when it was opened. Anything but [`Found::Store`] is a thing to tell the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A store; it was opened.
    Store,
    /// Nothing; a new store was made.
    Nothing,
    /// A file without a single byte other than zero; a new store was made in its place.
    Empty,
}

struct Inner {
    store: StoreId,
    found: Found,
    file: PathBuf,
    locks: Locks,
    poison: Arc<OnceLock<String>>,
    /// Taken only when the last handle goes, which ends the writer.
    jobs: Option<SyncSender<Box<dyn Job>>>,
    writer: Option<JoinHandle<()>>,
    idle: Mutex<Vec<Connection>>,
    /// One connection from the first question on, because the version counts per connection.
    follower: Mutex<Option<Connection>>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The readers go first, so that the writer is the last to close and folds the log into the file.
        self.idle
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        drop(
            self.follower
                .get_mut()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        drop(self.jobs.take());
        if let Some(writer) = self.writer.take() {
            // A panic of the writer was noted as poison and told to everyone who asked.
            let _panic = writer.join();
        }
    }
}

/// Gives a lease back: first in the store, then to the kernel.
struct Guard {
    journal: Sqlite,
    mission: MissionId,
    epoch: Epoch,
    owned: Held,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let (mission, epoch) = (self.mission, self.epoch);
        // A lock that somebody removed no longer speaks for its owner, which counts as dead and has nothing to give.
        if !self.journal.inner.locks.owns(mission, &self.owned) {
            return;
        }
        // If the note cannot be made, the lease counts as left behind, which is true.
        let _noted = self
            .journal
            .ask(move |connection| change::give_back(connection, mission, epoch));
    }
}

impl Sqlite {
    /// Opens the store in a directory, and makes both if they are not there.
    ///
    /// The directory is made for its owner alone. A new store gets its name only when it is whole and on the disk, so that
    /// a crash leaves a store or none, and processes that open at once find the same one.
    ///
    /// # Errors
    /// [`Error::Newer`], and nothing is touched; [`Error::NotAJournal`] for a link, pipe, directory or foreign file at its
    /// place; [`Error::Network`], [`Error::ReadOnly`], [`Error::Closed`], [`Error::Theirs`] and [`Error::Unsafe`] for a
    /// directory that cannot keep the promises; [`Error::Busy`] if another process hangs while opening; [`Error::Io`] and [`Error::Storage`] for the rest.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let store = store::open(dir)?;
        let poison = Arc::new(OnceLock::new());
        let (jobs, waiting) = sync_channel(limits::QUEUE);
        let (alive, connection) = (Alive(poison.clone()), store.writer);
        let writer = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || {
                writer::run(&connection, &waiting, &alive.0);
            })
            .map_err(|error| io("starting the writer of", &store.file, &error))?;
        let inner = Inner {
            store: store.id,
            found: store.found,
            file: store.file,
            locks: store.locks,
            poison,
            jobs: Some(jobs),
            writer: Some(writer),
            idle: Mutex::default(),
            follower: Mutex::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// What was there when the store was opened.
    pub fn found(&self) -> Found {
        self.inner.found
    }

    fn poisoned(&self) -> Error {
        let why = self
            .inner
            .poison
            .get()
            .map_or("the writer has ended", String::as_str);
        Error::Poisoned {
            why: why.to_owned(),
        }
    }

    fn sound(&self) -> Result<(), Error> {
        match self.inner.poison.get() {
            Some(_) => Err(self.poisoned()),
            None => Ok(()),
        }
    }

    /// Has the writer make a change, and waits until it is durable.
    fn ask<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Connection) -> Result<T, writer::Failure> + Send + 'static,
    ) -> Result<T, Error> {
        self.sound()?;
        let (reply, answer) = sync_channel(1);
        let job = Ask {
            change: Some(change),
            answer: None,
            reply,
        };
        let jobs = self.inner.jobs.as_ref().ok_or_else(|| self.poisoned())?;
        jobs.send(Box::new(job)).map_err(|_| self.poisoned())?;
        answer.recv().map_err(|_| self.poisoned())?
    }

    /// Reads on a connection of its own, as of one moment.
    fn look<T>(
        &self,
        doing: &'static str,
        read: impl FnOnce(&Transaction<'_>) -> Result<T, read::Failure>,
    ) -> Result<T, Error> {
        self.sound()?;
        let idle = self
            .inner
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let outcome = (|| {
            let connection = match idle {
                Some(connection) => connection,
                None => store::reader(&self.inner.file)?,
            };
            let snapshot = Transaction::new_unchecked(&connection, TransactionBehavior::Deferred)?;
            let value = read(&snapshot)?;
            snapshot.finish()?;
            let mut idle = self
                .inner
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if idle.len() < limits::IDLE_READERS {
                idle.push(connection);
            }
            Ok(value)
        })();
        outcome.map_err(|failure| match failure {
            read::Failure::Found(error) => error,
            read::Failure::Database(error) => storage(doing, &error),
        })
    }
}

impl Journal for Sqlite {
    fn store(&self) -> StoreId {
        self.inner.store
    }

    fn create(&self, now: Timestamp, about: NewMission) -> Result<MissionId, Error> {
        size::mission(&about)?;
        let created = size::number("the time of creation", now.0)?;
        self.ask(move |connection| change::create(connection, created, &about))
    }

    fn missions(&self) -> Result<Vec<MissionRow>, Error> {
        let mut rows = self.look("listing the missions", |snapshot| {
            Ok(read::missions(snapshot)?)
        })?;
        for row in &mut rows {
            if let Some(lease) = &mut row.lease
                && lease.hold == Hold::Live
            {
                lease.hold = self.inner.locks.look(row.mission)?;
            }
        }
        Ok(rows)
    }

    fn acquire(
        &self,
        mission: MissionId,
        owner: Owner,
        takeover: Takeover,
    ) -> Result<Lease, Error> {
        size::owner(&owner)?;
        self.head(mission)?;
        let locks = &self.inner.locks;
        let _gate = locks.gate(mission)?;
        let Some(owned) = locks.own(mission)? else {
            let held = self.look("reading a lease", |snapshot| {
                Ok(read::lease(snapshot, mission)?)
            })?;
            return Err(match held {
                Some((row, _)) => Error::Held {
                    mission,
                    owner: row.owner,
                },
                None => Error::Busy {
                    what: format!("the lock file of {mission}"),
                },
            });
        };
        let epoch =
            self.ask(move |connection| change::acquire(connection, mission, &owner, takeover))?;
        let guard = Guard {
            journal: self.clone(),
            mission,
            epoch,
            owned,
        };
        Ok(Lease::new(
            self.inner.store,
            mission,
            epoch,
            Box::new(guard),
        ))
    }

    fn append(
        &self,
        lease: &Lease,
        expect: &Head,
        bodies: &[Vec<u8>],
        status: Option<&str>,
    ) -> Result<Head, Error> {
        size::batch(bodies, status)?;
        let mission = lease.mission;
        if lease.store != self.inner.store {
            return Err(Error::Foreign { mission });
        }
        let append = change::Append {
            store: lease.store,
            mission,
            epoch: lease.epoch,
            expect: expect.clone(),
            bodies: bodies.to_vec(),
            status: status.map(str::to_owned),
        };
        self.ask(move |connection| change::append(connection, &append))
    }

    fn read(&self, mission: MissionId, from: Seq, at_most: usize) -> Result<Vec<Entry>, Error> {
        let store = self.inner.store;
        self.look("reading events", |snapshot| {
            read::events(snapshot, store, mission, from, at_most)
        })
    }

    fn head(&self, mission: MissionId) -> Result<Head, Error> {
        self.look("reading a head", |snapshot| read::head(snapshot, mission))
    }

    fn verify(&self, mission: MissionId) -> Result<Verdict, Error> {
        let store = self.inner.store;
        self.look("verifying", |snapshot| {
            read::verify(snapshot, store, mission)
        })
    }

    fn rebuild(&self) -> Result<(), Error> {
        self.ask(change::rebuild)
    }

    fn version(&self) -> Result<u64, Error> {
        self.sound()?;
        let mut follower = self
            .inner
            .follower
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let version = (|| -> rusqlite::Result<i64> {
            let connection = match &mut *follower {
                Some(connection) => connection,
                none => none.insert(store::reader(&self.inner.file)?),
            };
            connection.pragma_query_value(None, "data_version", |row| row.get(0))
        })();
        version
            .map(i64::cast_unsigned)
            .map_err(|error| storage("asking for news", &error))
    }
}

fn digest(hash: &[u8; 32]) -> Digest {
    chain::hex(hash)
}

/// What the operating system refused.
fn io(doing: &'static str, path: &Path, error: &std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::ReadOnlyFilesystem {
        return Error::ReadOnly {
            path: path.to_owned(),
        };
    }
    Error::Io {
        doing,
        path: path.to_owned(),
        why: error.to_string(),
    }
}

/// What the database refused.
fn storage(doing: &'static str, error: &rusqlite::Error) -> Error {
    if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) {
        return Error::Busy {
            what: "the store".to_owned(),
        };
    }
    Error::Storage {
        doing,
        why: error.to_string(),
    }
}
