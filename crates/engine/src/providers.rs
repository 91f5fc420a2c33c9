//! What the missions of one user tell each other of providers: who refused, and until when nothing is to be asked there.
//!
//! A provider counts the calls of one account together, so that what it says to one mission it says to all that ask with
//! the same account, and to no others. Each mission decides for itself from its own events; what is kept here is only
//! looked at just before a turn's first call. It may be lost, and nobody waits for ever because of it: then each mission
//! finds out for itself.

mod account;

use crate::layout::Layout;
use mission::event::{Ending, Event, Recorded};
use mission::governor::provider_of;
use mission::ids::{Digest, Epoch, MissionId};
use mission::limits;
use mission::time::{Millis, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, TryLockError};
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use workbench::fault;

pub(crate) use account::Account;

/// Whoever waits for another mission's turn to be served looks again after so long: a call is served within seconds.
const LOOK: Millis = Millis::from_secs(10);
/// Nothing is held for longer than the longest wait that a provider may name, spread: a file that says so is wrong.
const MOST: Millis = Millis(limits::NAMED_MOST.0 + limits::LATE_MOST.0);

/// So often the lock is asked for, a millisecond apart.
const LOCK: u32 = 50;

/// After so many refusals in a row of one mission, while another was served in between, it keeps them to itself: what it
/// asks for may be what is never served.
const ALONE: u32 = 3;

/// What is known of one provider or model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    /// Its name; for people who look, and against two names with one digest.
    name: String,
    /// When that was said; in files from before this was kept, never.
    #[serde(default)]
    since: Timestamp,
    until: Timestamp,
    /// What it said. Untrusted.
    why: String,
    /// The mission that was refused.
    mission: MissionId,
    /// The mission that tries it, and until when nobody else does.
    trial: Option<(MissionId, Timestamp)>,
}

impl Kept {
    /// Nobody is held, and nobody tries, for longer than that: a clock was set back, or the file is not ours.
    fn can_be(&self, now: Timestamp) -> bool {
        let tried = self
            .trial
            .is_none_or(|(_, until)| until <= now + limits::TRIAL);
        tried && self.since <= now + limits::TRIAL && self.until <= now + MOST
    }

    /// Whether it holds a mission back that goes on since a moment. What was said before that of a long wait is asked once
    /// more: a quota may have been raised since.
    fn holds(&self, now: Timestamp, mission: MissionId, anew: Anew) -> bool {
        let most = match anew.wanted || self.mission == mission {
            true => limits::ASKED_ANEW,
            false => limits::REFUSAL_MOST,
        };
        let long = self.until > now + most;
        self.until > now && !(long && self.since < anew.since)
    }

    /// Whether somebody tries it.
    fn is_tried(&self, now: Timestamp) -> bool {
        self.trial.is_some_and(|(_, until)| until > now)
    }
}

/// Since when a mission goes on.
#[derive(Clone, Copy, Debug)]
struct Anew {
    since: Timestamp,
    /// Whether somebody let it go on. Whoever only begins one has not heard of waits of minutes.
    wanted: bool,
}

/// Why a turn is not begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// The provider, or the model.
    pub(crate) name: String,
    /// It may be asked again after so long.
    pub(crate) wait: Millis,
    pub(crate) why: String,
}

/// What one mission knows of providers and says of them.
#[derive(Debug)]
pub(crate) struct Providers {
    layout: Layout,
    mission: MissionId,
    account: Account,
    anew: Mutex<Anew>,
    /// What its turns try for all others.
    tries: Mutex<BTreeMap<Epoch, BTreeSet<String>>>,
}

/// What the clock on the wall says: the one that all missions share. An engine's own stands still while a machine sleeps.
fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp(since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }))
}

impl Providers {
    /// Of a mission that is taken up again somebody wants that it goes on: who did that is not told by an event of this
    /// engine.
    pub(crate) fn taken_up(self) -> Self {
        self.anew
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .wanted = true;
        self
    }

    pub(crate) fn new(layout: Layout, mission: MissionId, account: Account) -> Self {
        Self {
            layout,
            mission,
            account,
            anew: Mutex::new(Anew {
                since: wall(),
                wanted: false,
            }),
            tries: Mutex::default(),
        }
    }

    /// Whether a turn of this mission may ask a model now. Whoever is the first to come once it may be asked again tries it
    /// for all others.
    pub(crate) fn ask(&self, epoch: Epoch, model: &str) -> Option<Held> {
        self.ask_at(wall(), epoch, model)
    }

    fn ask_at(&self, now: Timestamp, epoch: Epoch, model: &str) -> Option<Held> {
        self.held_or_tries(now, epoch, model)
            .unwrap_or_else(|error| {
                tracing::warn!(%error, model, "what other missions know of a provider cannot be read");
                None
            })
    }

    /// What holds a turn back; or else what it tries is noted.
    fn held_or_tries(&self, now: Timestamp, epoch: Epoch, model: &str) -> io::Result<Option<Held>> {
        let names = [provider_of(model), model];
        let known = |name: &&str| !name.is_empty() && self.file(name).exists();
        let names: Vec<&str> = names.into_iter().filter(known).collect();
        // Hardly ever is anything held, and then nobody waits for a lock.
        if names.is_empty() {
            return Ok(None);
        }
        let Some(_lock) = self.lock()? else {
            return Ok(None);
        };
        let mut kept = Vec::new();
        for name in names {
            match self.read(name) {
                // What cannot be so says nothing.
                Some(found) if !found.can_be(now) => self.remove(name)?,
                found => kept.extend(found),
            }
        }
        // Both are looked at before either is tried.
        if let Some(held) = kept.iter().find_map(|kept| self.held(now, epoch, kept)) {
            return Ok(Some(held));
        }
        let mut tries = BTreeSet::new();
        for kept in kept {
            match kept.trial {
                Some(_) if kept.is_tried(now) => _ = tries.insert(kept.name),
                // Whoever tried it was not refused for so long: it is free. Of what was tried before its time nobody knows.
                Some(_) if kept.until <= now => self.remove(&kept.name)?,
                _ => {
                    tries.insert(kept.name.clone());
                    let trial = Some((self.mission, now + limits::TRIAL));
                    self.write(&Kept { trial, ..kept })?;
                }
            }
        }
        if !tries.is_empty() {
            self.tries().entry(epoch).or_default().extend(tries);
        }
        Ok(None)
    }

    fn held(&self, now: Timestamp, epoch: Epoch, kept: &Kept) -> Option<Held> {
        let (mission, why) = (kept.mission, &kept.why);
        let told = match mission == self.mission {
            true => why.clone(),
            false => format!("{mission} was told: {why}"),
        };
        let held = |wait: Millis, why: String| Held {
            name: kept.name.clone(),
            wait,
            why,
        };
        match kept.trial.filter(|_| kept.is_tried(now)) {
            None if kept.holds(now, self.mission, self.anew()) => {
                Some(held(kept.until.since(now), told))
            }
            Some((by, until)) if !self.may_go_on(by, epoch, &kept.name) => {
                let wait = LOOK.min(until.since(now));
                let whose = match by == self.mission {
                    true => "another turn".to_owned(),
                    false => by.to_string(),
                };
                Some(held(wait, format!("{whose} tries it; {told}")))
            }
            _ => None,
        }
    }

    /// Whether it is this turn that tries it, or one of an engine of this mission that is no more: no other turn does.
    fn may_go_on(&self, by: MissionId, epoch: Epoch, name: &str) -> bool {
        let tries = self.tries();
        let mut others = tries.iter().filter(|(of, _)| **of != epoch);
        by == self.mission && !others.any(|(_, names)| names.contains(name))
    }

    /// Whether a turn tries something for all others.
    pub(crate) fn tries_for_all(&self, epoch: Epoch) -> bool {
        self.tries().contains_key(&epoch)
    }

    /// A turn was served. Its own mission may have been refused nothing, and then no event of it tells.
    pub(crate) fn served(&self, epoch: Epoch) {
        self.served_at(wall(), epoch);
    }

    fn served_at(&self, now: Timestamp, epoch: Epoch) {
        if let Err(error) = self.free(now, epoch) {
            tracing::warn!(%error, "other missions are not told that a provider serves");
        }
    }

    /// Tells the other missions what this one was told by an event that is durable.
    pub(crate) fn note(&self, recorded: &Recorded) {
        self.note_at(wall(), recorded);
    }

    fn note_at(&self, now: Timestamp, recorded: &Recorded) {
        let noted = match &recorded.event {
            Event::ProviderHeld {
                provider: name,
                until,
                why,
                n,
                ..
            }
            | Event::BreakerOpened {
                model: name,
                until,
                why,
                n,
            } if *n > 0 && !name.is_empty() => {
                let wait = until.since(recorded.at);
                // Of hours that are named for the first time ten minutes are believed, and a failure says nothing of them.
                let failed = matches!(recorded.event, Event::BreakerOpened { .. });
                let shortens = !failed && (*n > 1 || wait < limits::REFUSAL_MOST);
                self.hold(now, name, (wait, shortens), (why, *n))
            }
            Event::Unpaused { .. } | Event::Resumed { .. } | Event::Woke { .. } => {
                *self.anew.lock().unwrap_or_else(PoisonError::into_inner) = Anew {
                    since: now,
                    wanted: true,
                };
                return;
            }
            Event::TurnServed { epoch } => self.free(now, *epoch),
            Event::TurnEnded {
                epoch,
                ending: Ending::Answered,
                ..
            } => {
                let told = self.free(now, *epoch);
                self.tries().remove(epoch);
                told
            }
            Event::TurnEnded { epoch, .. } => {
                self.tries().remove(epoch);
                return;
            }
            _ => return,
        };
        if let Err(error) = noted {
            tracing::warn!(%error, "other missions are not told of a provider");
        }
    }

    /// Holds all missions back that ask there, after the n-th refusal in a row. What is tried before its time may come to
    /// be held for less, if that says something of it.
    fn hold(
        &self,
        now: Timestamp,
        name: &str,
        (wait, shortens): (Millis, bool),
        (why, n): (&str, u32),
    ) -> io::Result<()> {
        let Some(_lock) = self.lock()? else {
            return Ok(());
        };
        let until = now + wait;
        let known = self.read(name).filter(|kept| kept.can_be(now));
        // What is tried before its time is told anew by whoever tries it.
        let says_more = |kept: &Kept| kept.until >= until && !(shortens && kept.is_tried(now));
        if known.as_ref().is_some_and(says_more) {
            return Ok(());
        }
        // What it was told before stands there until somebody is served.
        if n > ALONE && known.is_none() {
            return Ok(());
        }
        self.write(&Kept {
            name: name.to_owned(),
            since: now,
            until,
            why: why.to_owned(),
            mission: self.mission,
            trial: None,
        })
    }

    /// A turn was served that tried something.
    fn free(&self, now: Timestamp, epoch: Epoch) -> io::Result<()> {
        if !self.tries().contains_key(&epoch) {
            return Ok(());
        }
        // Who has the lock now lets go of it soon; what is tried is known until then.
        let Some(_lock) = self.lock()? else {
            return Ok(());
        };
        let tried = self.tries().remove(&epoch).unwrap_or_default();
        for name in tried {
            let ours = |kept: &Kept| kept.trial.is_some_and(|(by, _)| by == self.mission);
            if self
                .read(&name)
                .is_some_and(|kept| kept.until <= now || ours(&kept))
            {
                self.remove(&name)?;
            }
        }
        Ok(())
    }

    fn tries(&self) -> MutexGuard<'_, BTreeMap<Epoch, BTreeSet<String>>> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn anew(&self) -> Anew {
        *self.anew.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, name: &str) -> PathBuf {
        let digest = Digest::of(format!("{}\n{name}", self.account.0).as_bytes());
        let name = format!("{}.json", digest.short());
        self.layout.providers().join(name)
    }

    /// Ends with the process, so that nobody waits for the dead. What is done under it takes moments; whoever is stopped
    /// while he has it stops nobody else, and then nothing is read or kept.
    fn lock(&self) -> io::Result<Option<File>> {
        std::fs::create_dir_all(self.layout.providers())?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.layout.providers().join("lock"))?;
        for _ in 0..LOCK {
            match lock.try_lock() {
                Ok(()) => return Ok(Some(lock)),
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        tracing::warn!("what missions tell each other of providers is locked for too long");
        Ok(None)
    }

    /// What cannot be read holds nobody back.
    fn read(&self, name: &str) -> Option<Kept> {
        let text = std::fs::read(self.file(name)).ok()?;
        let kept: Kept = serde_json::from_slice(&text).ok()?;
        (kept.name == name).then_some(kept)
    }

    fn write(&self, kept: &Kept) -> io::Result<()> {
        let file = self.file(&kept.name);
        let next = file.with_extension("next");
        fault::point("provider.before");
        std::fs::write(&next, serde_json::to_vec(kept)?)?;
        fault::point("provider.written");
        std::fs::rename(next, file)?;
        fault::point("provider.kept");
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.file(name))?;
        fault::point("provider.removed");
        Ok(())
    }
}

#[cfg(test)]
mod tests;
