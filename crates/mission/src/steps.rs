//! What the engine does itself, without an agent or a check: at most one such step is owed at a time, and each has a
//! deadline like everything that waits.

use crate::command::Step;
use crate::event::Event;
use crate::limits;
use crate::mission::{Delivery, Mission};
use crate::planted;
use crate::time::{Millis, Timestamp};

/// A step that is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owed {
    step: Step,
    n: u32,
    pub(crate) until: Timestamp,
}

impl Mission {
    /// The step that is owed, by its name. Preparing is not among them: it has the mission's own deadline.
    fn step_in_hand(&self) -> Option<(Step, u32)> {
        if let Some(landing) = &self.landing {
            return match landing.top {
                None => Some((Step::Stack, landing.n)),
                Some(_) => self.landing_is_green().then_some((Step::Move, landing.n)),
            };
        }
        match self.delivery {
            Delivery::Wanted(_) => Some((Step::PlanDelivery, self.deliveries)),
            Delivery::Planned { .. } => Some((Step::Deliver, self.deliveries)),
            Delivery::Undoing { .. } => Some((Step::Undo, self.undos)),
            Delivery::None | Delivery::Refused | Delivery::Done { .. } | Delivery::Undone => {
                let cleans = self.outcome.is_some() && !self.cleaned;
                cleans.then_some((Step::Clean, self.seals))
            }
        }
    }

    /// Notes until when the step in hand may take, if it was not in hand before.
    pub(crate) fn time_step(&mut self, at: Timestamp) {
        let owed = self.step_in_hand();
        if owed != self.owed.map(|owed| (owed.step, owed.n)) {
            self.owed = owed.map(|(step, n)| Owed {
                step,
                n,
                until: at + self.step_time(step),
            });
        }
    }

    /// How long a step may take.
    fn step_time(&self, step: Step) -> Millis {
        let files = match (step, &self.delivery) {
            (Step::Deliver, Delivery::Planned { files, .. }) => *files,
            (Step::Undo, _) => self.handed.last().map_or(0, |handed| handed.files),
            _ => 0,
        };
        limits::STEP + Millis(limits::STEP_FILE.0 * u64::from(files))
    }

    /// Another engine takes the mission up, and tries the step in hand anew.
    pub(crate) fn step_begins_anew(&mut self, at: Timestamp) {
        if let Some(step) = self.owed.map(|owed| owed.step) {
            let until = at + self.step_time(step);
            self.owed = self.owed.map(|owed| Owed { until, ..owed });
        }
    }

    /// Whoever does the step did not come back in time: it counts as one that cannot be done.
    pub(crate) fn expire_step(&self, now: Timestamp) -> Vec<Event> {
        let late = |owed: &Owed| owed.until <= now && !planted!("step_never_given_up");
        let Some(Owed { step, n, .. }) = self.owed.filter(late) else {
            return Vec::new();
        };
        let why = format!("it was not done within {}", self.step_time(step));
        self.step_failed(step, n, why).0
    }
}
