//! What the missions of one user tell each other of providers: who refused, and until when nothing is to be asked there.
//!
//! A provider counts the calls of all missions together, so that what it says to one it says to all. Each mission decides
//! for itself from its own events; what is kept here is only looked at just before a turn's first call. It may be lost, and
//! nobody waits for ever because of it: then each mission finds out for itself.

use crate::layout::Layout;
use mission::event::{Event, Recorded};
use mission::governor::provider_of;
use mission::ids::{Digest, MissionId};
use mission::limits;
use mission::mission::Mission;
use mission::time::{Millis, Timestamp};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::path::PathBuf;

/// Whoever waits for another mission's turn to be served looks again after so long: a call is served within seconds.
const LOOK: Millis = Millis::from_secs(10);
/// Nothing is held for longer than a provider's longest wait, spread: a file that says so is wrong.
const MOST: Millis = Millis(limits::REFUSAL_MOST.0 * 2);

/// What is known of one provider or model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    /// Its name; for people who look, and against two names with one digest.
    name: String,
    until: Timestamp,
    /// What it said. Untrusted.
    why: String,
    /// The mission that was refused.
    mission: MissionId,
    /// The mission that tries it, and until when nobody else does.
    trial: Option<(MissionId, Timestamp)>,
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
#[derive(Clone, Debug)]
pub(crate) struct Providers {
    layout: Layout,
    mission: MissionId,
}

impl Providers {
    pub(crate) fn new(layout: Layout, mission: MissionId) -> Self {
        Self { layout, mission }
    }

    /// Whether a turn of this mission may ask a model now. Whoever is the first to come once it may be asked again tries it
    /// for all others.
    pub(crate) fn ask(&self, now: Timestamp, model: &str) -> Option<Held> {
        let names = [provider_of(model), model];
        names.into_iter().find_map(|name| {
            let asked = self.ask_of(now, name);
            asked.unwrap_or_else(|error| {
                tracing::warn!(%error, name, "what other missions know of a provider cannot be read");
                None
            })
        })
    }

    fn ask_of(&self, now: Timestamp, name: &str) -> io::Result<Option<Held>> {
        let file = self.file(name);
        // Hardly ever is anything held, and then nobody waits for a lock.
        if name.is_empty() || !file.exists() {
            return Ok(None);
        }
        let _lock = self.lock()?;
        let Some(kept) = self.read(name) else {
            return Ok(None);
        };
        let held = |wait: Millis, why: String| {
            Ok(Some(Held {
                name: name.to_owned(),
                wait,
                why,
            }))
        };
        let (mission, why) = (kept.mission, &kept.why);
        let told = match mission == self.mission {
            true => why.clone(),
            false => format!("{mission} was told: {why}"),
        };
        if kept.until > now && kept.until <= now + MOST {
            return held(kept.until.since(now), told);
        }
        match kept.trial {
            Some((by, until)) if by != self.mission && until > now => {
                held(LOOK.min(until.since(now)), format!("{by} tries it; {told}"))
            }
            // Whoever tried it was not refused for so long: it is free.
            Some((_, until)) if until <= now => {
                std::fs::remove_file(file)?;
                Ok(None)
            }
            Some(_) => Ok(None),
            None => {
                let trial = Some((self.mission, now + limits::TRIAL));
                self.write(&Kept { trial, ..kept })?;
                Ok(None)
            }
        }
    }

    /// Tells the other missions what this one was told. The mission is as it stands after the event, which is durable.
    pub(crate) fn note(&self, mission: &Mission, recorded: &Recorded) {
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
            } if *n > 0 && !name.is_empty() => self.hold(name, *until, why),
            Event::TurnServed { epoch } => match mission.lease(*epoch) {
                Some(lease) => self.free(recorded.at, mission.model_of(lease)),
                None => Ok(()),
            },
            _ => return,
        };
        if let Err(error) = noted {
            tracing::warn!(%error, "other missions are not told of a provider");
        }
    }

    fn hold(&self, name: &str, until: Timestamp, why: &str) -> io::Result<()> {
        let _lock = self.lock()?;
        let later = self.read(name).is_some_and(|kept| kept.until >= until);
        if later {
            return Ok(());
        }
        self.write(&Kept {
            name: name.to_owned(),
            until,
            why: why.to_owned(),
            mission: self.mission,
            trial: None,
        })
    }

    fn free(&self, now: Timestamp, model: &str) -> io::Result<()> {
        let _lock = self.lock()?;
        for name in [provider_of(model), model] {
            if self.read(name).is_some_and(|kept| kept.until <= now) {
                std::fs::remove_file(self.file(name))?;
            }
        }
        Ok(())
    }

    fn file(&self, name: &str) -> PathBuf {
        let digest = Digest::of(name.as_bytes());
        let name = format!("{}.json", digest.short());
        self.layout.providers().join(name)
    }

    /// Ends with the process, so that nobody waits for the dead. What is done under it takes moments.
    fn lock(&self) -> io::Result<File> {
        std::fs::create_dir_all(self.layout.providers())?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.layout.providers().join("lock"))?;
        lock.lock()?;
        Ok(lock)
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
        std::fs::write(&next, serde_json::to_vec(kept)?)?;
        std::fs::rename(next, file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn at(secs: u64) -> Timestamp {
        NOW + Millis::from_secs(secs)
    }

    fn some(dir: &std::path::Path, n: u32) -> Providers {
        Providers::new(Layout::new(dir.to_owned()), MissionId(n))
    }

    #[test]
    fn what_one_mission_was_told_holds_all_others_back_and_one_of_them_tries() {
        let dir = tempfile::tempdir().unwrap();
        let [one, two, three] = [1, 2, 3].map(|n| some(dir.path(), n));
        assert_eq!(two.ask(NOW, "acme/large"), None);
        one.hold("acme", at(90), "429").unwrap();
        let held = two.ask(at(30), "acme/small").unwrap();
        assert_eq!(
            (held.name.as_str(), held.wait),
            ("acme", Millis::from_secs(60))
        );
        assert_eq!(held.why, "m1 was told: 429");
        assert_eq!(two.ask(at(30), "other/large"), None);
        // The turns of the mission itself that were about to begin are held as well.
        assert_eq!(one.ask(at(30), "acme/small").unwrap().why, "429");
        assert_eq!(two.ask(at(90), "acme/small"), None);
        let held = three.ask(at(90), "acme/small").unwrap();
        assert_eq!(
            (held.wait, held.why.as_str()),
            (LOOK, "m2 tries it; m1 was told: 429")
        );
        assert_eq!(two.ask(at(91), "acme/small"), None);
        two.free(at(92), "acme/small").unwrap();
        assert_eq!(three.ask(at(92), "acme/small"), None);
        assert_eq!(
            std::fs::read_dir(dir.path().join("providers"))
                .unwrap()
                .count(),
            1
        );
    }

    #[test]
    fn whoever_tried_and_died_holds_nobody_back_for_long() {
        let dir = tempfile::tempdir().unwrap();
        let [one, two] = [1, 2].map(|n| some(dir.path(), n));
        one.hold("acme/large", at(30), "it failed").unwrap();
        assert_eq!(one.ask(at(30), "acme/large"), None);
        assert!(two.ask(at(31), "acme/large").is_some());
        assert_eq!(
            two.ask(at(31), "acme/small"),
            None,
            "its breaker is another"
        );
        assert_eq!(two.ask(at(91), "acme/large"), None);
    }

    #[test]
    fn what_is_damaged_or_cannot_be_holds_nobody_back() {
        let dir = tempfile::tempdir().unwrap();
        let [one, two] = [1, 2].map(|n| some(dir.path(), n));
        one.hold("acme", at(7 * 86_400), "for ever").unwrap();
        assert_eq!(two.ask(NOW, "acme/large"), None);
        std::fs::write(two.file("other"), "{").unwrap();
        assert_eq!(two.ask(NOW, "other/large"), None);
        one.hold("other", at(9), "429").unwrap();
        assert!(two.ask(NOW, "other/large").is_some());
        // A shorter wait does not take a longer one back.
        one.hold("other", at(3), "429").unwrap();
        assert!(two.ask(at(5), "other/large").is_some());
        assert_eq!(two.ask(NOW, ""), None);
    }
}
