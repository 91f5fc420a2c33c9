//! Where nothing is drawn, silence is broken: after half a minute without a line one says who waits for what.

use super::frame::{self, SetUp, Signs};
use super::lines;
use agents::Sign;
use mission::ids::Epoch;
use mission::mission::Mission;
use mission::time::{Millis, Timestamp};
use std::time::Duration;

/// How often it is looked whether it is silent.
pub(crate) const LOOK: Duration = Duration::from_secs(1);

/// Plain lines, and since when there was none.
#[derive(Debug)]
pub(crate) struct Quiet {
    signs: Signs,
    since: Timestamp,
}

impl Quiet {
    /// Nothing was said before now. Turns may be silent for so long.
    pub(crate) fn new(now: Timestamp, silence: Option<Millis>) -> Self {
        let signs = Signs::new(silence);
        Self { signs, since: now }
    }

    /// Hears a sign of life of a turn.
    pub(crate) fn hear(&mut self, now: Timestamp, epoch: Epoch, sign: Sign) {
        self.signs.hear(now, epoch, sign);
    }

    /// Takes in what the engine does that no event tells.
    pub(crate) fn doing(&mut self, silence: Option<Millis>, set_up: Option<SetUp>) {
        self.signs.doing(silence, set_up);
    }

    /// Something happened to the mission, and a line was printed of it.
    pub(crate) fn said(&mut self, now: Timestamp, mission: &Mission) {
        self.signs.keep(mission);
        self.since = now;
    }

    /// The line that breaks the silence, when it is time.
    pub(crate) fn line(&mut self, now: Timestamp, mission: &Mission) -> Option<String> {
        if now.since(self.since) < frame::WAIT {
            return None;
        }
        self.since = now;
        let told = frame::waiting(mission, &self.signs, now)?;
        Some(lines::timed(now.since(mission.opened()), &told))
    }
}
