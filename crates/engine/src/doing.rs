//! What an engine does that no event tells: the set-up that runs, for how long it lets a turn be silent, and what it made
//! ready beforehand. It is noted in a file, so that every process can show it; nothing is decided by it.

use crate::layout::Place;
use mission::ids::TaskId;
use mission::time::{Millis, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use workbench::fault;

/// A set-up command that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetUp {
    /// The command. From the project: escape it where it is shown.
    pub command: String,
    /// For which lane: `worker-1`, `gate-1`.
    pub lane: String,
    /// Since when.
    pub since: Timestamp,
    /// It is ended then.
    pub until: Timestamp,
}

/// What is noted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doing {
    /// A turn of which nothing is heard for so long is over; not known of a look without a mission.
    pub silence: Option<Millis>,
    /// The set-up that runs now.
    pub set_up: Option<SetUp>,
    /// What was made ready, in all lives of the mission's engines; it holds also when none runs it.
    #[serde(default)]
    pub ready: Ready,
}

/// What was made ready before it was needed, and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Of each task whose files were looked up while it waited.
    pub packs: BTreeMap<TaskId, Pack>,
    /// Set-ups that ran to a good end.
    pub set_ups: u32,
    /// How often what one of them made was brought along to another workspace.
    pub brought: u32,
    /// How often it still stood where it had been brought.
    pub stood: u32,
}

/// What became of what was looked up for a task that waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pack {
    /// Its Worker has not begun.
    Waits,
    /// Its Worker was told by it.
    Used,
    /// A part was looked up again as its Worker began: files had changed, or another engine had looked them up.
    Stale,
}

/// Notes something in addition to what was noted before. A note that cannot be made costs no more than that less is
/// shown.
pub(crate) fn change(place: &Place, change: impl FnOnce(&mut Doing)) {
    // Two at once would take back what the other one noted.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let before = seen(place);
    let mut doing = before.clone();
    change(&mut doing);
    // Where a killed engine was at it, the rest of that goes with the next note.
    let whole = place.doing().exists() && !next(place).exists();
    if doing != before || !whole {
        note(place, &doing);
    }
}

/// Where it is written before it stands in its place.
fn next(place: &Place) -> PathBuf {
    place.doing().with_extension("next")
}

/// Notes it in place of what was noted before.
fn note(place: &Place, doing: &Doing) {
    let (file, next) = (place.doing(), next(place));
    // Renamed into place, so that whoever reads it finds all of it.
    let written = serde_json::to_vec(doing).map(|bytes| std::fs::write(&next, bytes));
    fault::point("doing.written");
    if matches!(written, Ok(Ok(()))) {
        std::fs::rename(next, file).ok();
        fault::point("doing.noted");
    }
}

/// What was noted last; nothing where that cannot be read. What it says of now holds only while an engine runs the
/// mission: one that was killed leaves its last note.
pub fn seen(place: &Place) -> Doing {
    let bytes = std::fs::read(place.doing()).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

impl Doing {
    /// What of it holds when no engine runs the mission.
    #[must_use]
    pub fn of_nobody(self) -> Self {
        let ready = self.ready;
        let (silence, set_up) = (None, None);
        Self {
            silence,
            set_up,
            ready,
        }
    }
}

/// A set-up that is noted until this is dropped.
pub(crate) struct Noted(Place);

impl Noted {
    /// Notes that a set-up runs.
    pub(crate) fn new(place: &Place, set_up: SetUp) -> Self {
        change(place, |doing| doing.set_up = Some(set_up));
        Self(place.clone())
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        change(&self.0, |doing| doing.set_up = None);
    }
}

impl Place {
    /// What an engine does that no event tells.
    fn doing(&self) -> PathBuf {
        self.root().join("doing.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;

    #[test]
    fn what_was_made_ready_outlives_what_is_being_done_and_an_older_note_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let place = Layout::new(folder.path().to_owned()).mission("m1-x");
        std::fs::create_dir_all(place.root()).unwrap();
        std::fs::write(place.doing(), r#"{"silence":5,"set_up":null}"#).unwrap();
        assert_eq!(seen(&place).silence, Some(Millis(5)));
        change(&place, |doing| {
            doing.ready.packs.insert(TaskId(3), Pack::Waits);
        });
        let ones: Vec<_> = (0..8)
            .map(|_| {
                let place = place.clone();
                std::thread::spawn(move || change(&place, |doing| doing.ready.brought += 1))
            })
            .collect();
        ones.into_iter().for_each(|one| one.join().unwrap());
        let noted = seen(&place);
        assert_eq!(noted.silence, Some(Millis(5)));
        let left = noted.of_nobody();
        assert_eq!((left.silence, left.ready.brought), (None, 8));
        assert_eq!(left.ready.packs, [(TaskId(3), Pack::Waits)].into());
        // An engine that was killed at it leaves nothing behind.
        std::fs::write(next(&place), "{").unwrap();
        change(&place, |_| {});
        assert!(!next(&place).exists());
        assert_eq!(seen(&place).ready.brought, 8);
    }

    #[test]
    fn a_set_up_is_seen_while_it_runs_and_a_damaged_note_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let place = Layout::new(folder.path().to_owned()).mission("m1-x");
        let set_up = SetUp {
            command: "npm ci".into(),
            lane: "gate-1".into(),
            since: Timestamp(1),
            until: Timestamp(2),
        };
        // Without the mission's folder nothing can be noted, and nothing fails.
        drop(Noted::new(&place, set_up.clone()));
        assert_eq!(seen(&place), Doing::default());
        std::fs::create_dir_all(place.root()).unwrap();
        let silence = Some(Millis(5));
        let idle = Doing {
            silence,
            ..Doing::default()
        };
        change(&place, |doing| doing.silence = silence);
        let noted = Noted::new(&place, set_up.clone());
        let running = Doing {
            silence,
            set_up: Some(set_up),
            ..Doing::default()
        };
        assert_eq!(seen(&place), running);
        drop(noted);
        assert_eq!(seen(&place), idle);
        std::fs::write(place.doing(), "{").unwrap();
        assert_eq!(seen(&place), Doing::default());
    }
}
