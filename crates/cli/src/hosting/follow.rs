//! A mission that is read on as its events become durable.

use crate::host::Store;
use engine::store;
use mission::event::Recorded;
use mission::ids::{MissionId, Seq};
use mission::mission::Mission;

/// One mission, as far as it was read.
pub(super) struct Followed {
    store: Store,
    id: MissionId,
    mission: Option<Mission>,
    seq: Seq,
}

impl Followed {
    /// Nothing of it is read yet.
    pub(super) fn new(store: &Store, id: MissionId) -> Self {
        Self {
            store: store.clone(),
            id,
            mission: None,
            seq: Seq(0),
        }
    }

    /// The mission as it was read last; nothing if it was not opened by then.
    pub(super) fn mission(&self) -> Option<&Mission> {
        self.mission.as_ref()
    }

    /// Takes in what has become durable, and hands each event on with the mission that it led to. What cannot be read is
    /// tried again the next time.
    pub(super) fn read(&mut self, mut each: impl FnMut(&Mission, &Recorded)) {
        let events = store::events(&*self.store.journal, self.id, Seq(self.seq.0 + 1));
        for (seq, recorded) in events.unwrap_or_default() {
            match &mut self.mission {
                Some(mission) => mission.apply(recorded.at, &recorded.event),
                none => *none = Mission::replay([&recorded]),
            }
            self.seq = seq;
            let Some(mission) = &self.mission else { return };
            each(mission, &recorded);
        }
    }
}
