//! The live view: folds what happens and what is heard into a frame, and draws it when something changed.

use super::frame::{self, SetUp, Signs};
use super::screen;
use agents::Sign;
use mission::ids::Epoch;
use mission::mission::Mission;
use mission::question::QuestionId;
use mission::time::{Millis, Timestamp};
use std::time::Duration;

/// At most so often something is drawn.
pub(crate) const TICK: Duration = Duration::from_millis(100);
/// Without a change this many ticks pass between drawings, so that clocks go on.
const IDLE: u32 = 10;

/// A live view of one mission.
#[derive(Debug)]
pub(crate) struct Live {
    signs: Signs,
    changed: bool,
    idle: u32,
}

impl Live {
    /// Takes the terminal. Turns may be silent for so long.
    pub(crate) fn begin(silence: Option<Millis>) -> Self {
        screen::begin();
        Self {
            signs: Signs::new(silence),
            changed: false,
            idle: 0,
        }
    }

    /// Hears a sign of life of a turn.
    pub(crate) fn hear(&mut self, now: Timestamp, epoch: Epoch, sign: Sign) {
        self.signs.hear(now, epoch, sign);
        self.changed = true;
    }

    /// Takes in what the engine does that no event tells.
    pub(crate) fn doing(&mut self, silence: Option<Millis>, set_up: Option<SetUp>) {
        self.changed |= self.signs.doing(silence, set_up);
    }

    /// Enter was typed where nothing was asked.
    pub(crate) fn entered(&mut self) {
        screen::entered();
        self.changed = true;
    }

    /// Something happened to the mission.
    pub(crate) fn happened(&mut self, mission: &Mission) {
        self.signs.keep(mission);
        self.changed = true;
    }

    /// Draws, if it is worth it. `asks` is the question that can be answered here.
    pub(crate) fn tick(&mut self, mission: &Mission, now: Timestamp, asks: Option<QuestionId>) {
        self.idle += 1;
        if !self.changed && self.idle < IDLE {
            return;
        }
        (self.changed, self.idle) = (false, 0);
        let Some((width, height)) = screen::size() else {
            return;
        };
        let rows = frame::frame(mission, &self.signs, now, width);
        let question = asks.and_then(|id| mission.questions().find(|(open, _)| *open == id));
        let prompt = question.map_or_else(String::new, |(id, question)| {
            format!("{id} [{}] > ", frame::choices(question))
        });
        screen::draw(short(rows, height / 2), prompt, width);
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        screen::end();
    }
}

/// A block that leaves room for the lines above it.
fn short(mut rows: Vec<String>, most: usize) -> Vec<String> {
    if rows.len() > most {
        let more = rows.len() - most + 1;
        rows.truncate(most.saturating_sub(1));
        rows.push(format!("  and {more} more; all of it: orchestrator status"));
    }
    rows
}
