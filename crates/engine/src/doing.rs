//! What an engine does that no event tells: the set-up that runs, and for how long it lets a turn be silent. It is noted
//! in a file, so that every process can show it; nothing is decided by it.

use crate::layout::Place;
use mission::time::{Millis, Timestamp};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
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
}

/// Notes it in place of what was noted before. A note that cannot be made costs no more than that less is shown.
pub(crate) fn note(place: &Place, doing: &Doing) {
    let (file, next) = (place.doing(), place.doing().with_extension("next"));
    // Renamed into place, so that whoever reads it finds all of it.
    let written = serde_json::to_vec(doing).map(|bytes| std::fs::write(&next, bytes));
    fault::point("doing.written");
    if matches!(written, Ok(Ok(()))) {
        std::fs::rename(next, file).ok();
        fault::point("doing.noted");
    }
}

/// What was noted last; nothing where that cannot be read. It holds only while an engine runs the mission: one that was
/// killed leaves its last note.
pub fn seen(place: &Place) -> Doing {
    let bytes = std::fs::read(place.doing()).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// A set-up that is noted until this is dropped.
pub(crate) struct Noted {
    place: Place,
    silence: Option<Millis>,
}

impl Noted {
    /// Notes that a set-up runs.
    pub(crate) fn new(place: &Place, set_up: SetUp) -> Self {
        let silence = seen(place).silence;
        let set_up = Some(set_up);
        note(place, &Doing { silence, set_up });
        let place = place.clone();
        Self { place, silence }
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        let silence = self.silence;
        let set_up = None;
        note(&self.place, &Doing { silence, set_up });
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
            set_up: None,
        };
        note(&place, &idle);
        let noted = Noted::new(&place, set_up.clone());
        let running = Doing {
            silence,
            set_up: Some(set_up),
        };
        assert_eq!(seen(&place), running);
        drop(noted);
        assert_eq!(seen(&place), idle);
        std::fs::write(place.doing(), "{").unwrap();
        assert_eq!(seen(&place), Doing::default());
    }
}
