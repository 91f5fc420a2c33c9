//! When a mission was last run by an engine. A mission that is silent for an hour leaves no event of that hour, and its
//! deadlines must not move by it when the engine is killed and another takes over.

use crate::layout::Place;
use mission::time::Timestamp;
use std::time::Duration;
use workbench::fault;

/// How often the moment is noted. Deadlines may move by so much too much, which is little beside any of them.
pub(crate) const EVERY: Duration = Duration::from_secs(10);

/// Notes that an engine runs the mission now. A note that cannot be made costs no more than that deadlines move.
pub(crate) fn note(place: &Place, now: Timestamp) {
    std::fs::write(place.alive(), now.0.to_string()).ok();
    fault::point("alive.noted");
}

/// When an engine last said that it ran the mission. A note that was cut short by a crash is none.
pub fn seen(place: &Place) -> Option<Timestamp> {
    let text = std::fs::read_to_string(place.alive()).ok()?;
    let noted = Timestamp(text.parse().ok()?);
    // Whatever the file says, it was written in the past.
    (noted <= crate::clock::Clock::new().now()).then_some(noted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;

    #[test]
    fn what_was_noted_is_seen_and_what_is_damaged_or_to_come_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let place = Layout::new(folder.path().to_owned()).mission("m1-x");
        assert_eq!(seen(&place), None);
        std::fs::create_dir_all(place.root()).unwrap();
        note(&place, Timestamp(1_000));
        assert_eq!(seen(&place), Some(Timestamp(1_000)));
        std::fs::write(place.alive(), "").unwrap();
        assert_eq!(seen(&place), None);
        note(&place, Timestamp(u64::MAX));
        assert_eq!(seen(&place), None);
    }
}
