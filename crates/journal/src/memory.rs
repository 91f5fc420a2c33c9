//! A journal that lives as long as the process, for tests and simulations.

use crate::chain::{self, Place, Row, Walk};
use crate::types::{
    Entry, Head, Hold, Lease, LeaseRow, MissionRow, NewMission, Owner, StoreId, Takeover, Verdict,
};
use crate::{Error, Journal, limits, size};
use mission::ids::{Epoch, MissionId, Seq};
use mission::time::Timestamp;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// A journal in memory. It keeps every promise but the one about disks, and draws no random number: two stores with the
/// same id that are told the same things have the same hashes.
///
/// A clone is the same handle, as another thread of one process has it. [`Memory::reopen`] makes the handle that another
/// process would have.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    store: StoreId,
    disk: Arc<Mutex<Disk>>,
    poison: Arc<OnceLock<String>>,
}

#[derive(Debug, Default)]
struct Disk {
    missions: Vec<Kept>,
    version: u64,
}

#[derive(Debug)]
struct Kept {
    about: NewMission,
    created: Timestamp,
    status: String,
    entries: Vec<Entry>,
    epoch: Epoch,
    owner: Option<(Owner, Hold)>,
}

impl Kept {
    fn head(&self) -> Head {
        match self.entries.last() {
            Some(entry) => Head {
                seq: entry.seq,
                hash: entry.hash.clone(),
            },
            None => Head::start(),
        }
    }
}

impl Disk {
    fn mission(&mut self, mission: MissionId) -> Result<&mut Kept, Error> {
        let place = (mission.0 as usize).checked_sub(1);
        place
            .and_then(|place| self.missions.get_mut(place))
            .ok_or(Error::Unknown { mission })
    }
}

/// A panic of another thread leaves the data whole, because every change is made after the last thing that can fail.
fn lock(disk: &Mutex<Disk>) -> MutexGuard<'_, Disk> {
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives the lease back when it is dropped, unless a newer one exists or its owner is dead.
struct Guard {
    disk: Arc<Mutex<Disk>>,
    mission: MissionId,
    epoch: Epoch,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut disk = lock(&self.disk);
        disk.version += 1;
        if let Ok(kept) = disk.mission(self.mission)
            && kept.epoch == self.epoch
            && let Some((_, hold @ Hold::Live)) = &mut kept.owner
        {
            *hold = Hold::GivenBack;
        }
    }
}

impl Memory {
    /// An empty store of this name.
    pub fn new(store: StoreId) -> Self {
        Self {
            store,
            ..Self::default()
        }
    }

    /// Another handle on the same store, as a new process has it: not poisoned, and holding no lease.
    pub fn reopen(&self) -> Self {
        Self {
            store: self.store,
            disk: self.disk.clone(),
            poison: Arc::default(),
        }
    }

    /// Lets the owner of a mission die as `kill -9` does: the lease is free, and what the dead one still sends is fenced
    /// as soon as somebody takes over.
    pub fn kill(&self, mission: MissionId) {
        let mut disk = lock(&self.disk);
        if let Ok(kept) = disk.mission(mission)
            && let Some((_, hold @ Hold::Live)) = &mut kept.owner
        {
            *hold = Hold::Dead;
        }
    }

    /// Lets this handle fail for good, as a disk does that lost a write.
    pub fn poison(&self, why: &str) {
        // Only the first reason is kept; the handle was closed by it.
        let _first = self.poison.set(why.to_owned());
    }

    fn sound(&self) -> Result<MutexGuard<'_, Disk>, Error> {
        match self.poison.get() {
            Some(why) => Err(Error::Poisoned { why: why.clone() }),
            None => Ok(lock(&self.disk)),
        }
    }
}

impl Journal for Memory {
    fn store(&self) -> StoreId {
        self.store
    }

    fn create(&self, now: Timestamp, about: NewMission) -> Result<MissionId, Error> {
        size::mission(&about)?;
        size::number("the time of creation", now.0)?;
        let mut disk = self.sound()?;
        let count = u32::try_from(disk.missions.len() + 1).map_err(|_| Error::TooLarge {
            what: "the number of missions",
            size: disk.missions.len() as u64 + 1,
            limit: u64::from(u32::MAX),
        })?;
        disk.version += 1;
        disk.missions.push(Kept {
            about,
            created: now,
            status: String::new(),
            entries: Vec::new(),
            epoch: Epoch(0),
            owner: None,
        });
        Ok(MissionId(count))
    }

    fn missions(&self) -> Result<Vec<MissionRow>, Error> {
        let disk = self.sound()?;
        let rows = disk
            .missions
            .iter()
            .zip(1..)
            .map(|(kept, number)| MissionRow {
                mission: MissionId(number),
                project: kept.about.project.clone(),
                request: kept.about.request.clone(),
                created: kept.created,
                head: kept.head(),
                status: kept.status.clone(),
                lease: kept.owner.clone().map(|(owner, hold)| LeaseRow {
                    owner,
                    epoch: kept.epoch,
                    hold,
                }),
            });
        Ok(rows.collect())
    }

    fn acquire(
        &self,
        mission: MissionId,
        owner: Owner,
        takeover: Takeover,
    ) -> Result<Lease, Error> {
        size::owner(&owner)?;
        let mut disk = self.sound()?;
        let kept = disk.mission(mission)?;
        match (&kept.owner, takeover) {
            (Some((owner, Hold::Live)), _) => {
                let owner = owner.clone();
                return Err(Error::Held { mission, owner });
            }
            (Some((owner, Hold::Dead)), Takeover::Never) => {
                let owner = owner.clone();
                return Err(Error::Abandoned { mission, owner });
            }
            _ => {}
        }
        kept.epoch.0 += 1;
        kept.owner = Some((owner, Hold::Live));
        let epoch = kept.epoch;
        disk.version += 1;
        let guard = Guard {
            disk: self.disk.clone(),
            mission,
            epoch,
        };
        Ok(Lease::new(self.store, mission, epoch, Box::new(guard)))
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
        let mut disk = self.sound()?;
        if lease.store != self.store {
            return Err(Error::Foreign { mission });
        }
        let kept = disk.mission(mission)?;
        if lease.epoch != kept.epoch && !mission::planted!("epoch_unchecked_on_append") {
            return Err(Error::Fenced {
                mission,
                yours: lease.epoch,
                current: kept.epoch,
            });
        }
        let mut head = kept.head();
        if *expect != head {
            return Err(Error::HeadMoved {
                mission,
                expected: expect.clone(),
                found: head,
            });
        }
        let mut prev = chain::bytes(&head.hash);
        for body in bodies {
            let place = Place {
                store: self.store,
                mission,
                seq: Seq(head.seq.0 + 1),
                epoch: lease.epoch,
            };
            let hash = chain::hash(&prev, place, body);
            let entry = Entry {
                seq: place.seq,
                epoch: place.epoch,
                body: body.clone(),
                prev: head.hash,
                hash: chain::hex(&hash),
            };
            head = Head {
                seq: entry.seq,
                hash: entry.hash.clone(),
            };
            prev = hash;
            kept.entries.push(entry);
        }
        if let Some(status) = status {
            status.clone_into(&mut kept.status);
        }
        disk.version += 1;
        Ok(head)
    }

    fn read(&self, mission: MissionId, from: Seq, at_most: usize) -> Result<Vec<Entry>, Error> {
        let mut disk = self.sound()?;
        let entries = &disk.mission(mission)?.entries;
        let skip = usize::try_from(from.0.saturating_sub(1)).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let page = entries.iter().skip(skip).take(at_most).take_while(|entry| {
            let first = bytes == 0;
            bytes += entry.body.len().max(1);
            first || bytes <= limits::READ_BYTES
        });
        Ok(page.cloned().collect())
    }

    fn head(&self, mission: MissionId) -> Result<Head, Error> {
        Ok(self.sound()?.mission(mission)?.head())
    }

    fn verify(&self, mission: MissionId) -> Result<Verdict, Error> {
        let mut disk = self.sound()?;
        let kept = disk.mission(mission)?;
        let mut walk = Walk::new(self.store, mission, 0, chain::START);
        for entry in &kept.entries {
            let row = Row {
                seq: entry.seq.0,
                format: u64::from(chain::FORMAT),
                epoch: entry.epoch.0,
                prev: &chain::bytes(&entry.prev),
                hash: &chain::bytes(&entry.hash),
                body: &entry.body,
            };
            if let Err(flaw) = walk.step(row) {
                return Ok(Verdict::Broken {
                    seq: walk.next(),
                    flaw,
                });
            }
        }
        let head = kept.head();
        Ok(walk
            .finish(head.seq.0, &chain::bytes(&head.hash), kept.epoch.0)
            .into())
    }

    fn rebuild(&self) -> Result<(), Error> {
        let mut disk = self.sound()?;
        for kept in &mut disk.missions {
            kept.status.clear();
        }
        disk.version += 1;
        Ok(())
    }

    fn version(&self) -> Result<u64, Error> {
        Ok(self.sound()?.version)
    }
}
