//! What it means that a turn was refused: for its provider, for its model, and for the turn itself.

use crate::decide::cut;
use crate::event::{Ending, Event, Turn};
use crate::ids::Epoch;
use crate::mission::{Lease, Mission};
use crate::recovery;
use crate::time::{Millis, Timestamp};
use crate::turn::{Failure, Usage};

/// What was said to a turn that was not served.
pub(crate) struct Said<'a> {
    /// How long it is to wait.
    pub(crate) retry_after: Option<Millis>,
    pub(crate) why: &'a str,
    /// Nothing was said: it failed again and again.
    pub(crate) outage: bool,
}

impl Mission {
    /// What follows from a turn that was not served, of which nothing is used up.
    pub(crate) fn turn_refused(
        &self,
        now: Timestamp,
        (epoch, lease): (Epoch, &Lease),
        said: &Said<'_>,
        usage: Usage,
    ) -> Vec<Event> {
        let whose = (epoch, lease);
        if !said.outage && self.is_singled_out(lease, &usage) {
            return self.refused_alone(now, whose, said.why, usage);
        }
        let (until, event) = match said.outage {
            true => self.outage(now, whose, said.why),
            false => {
                let (held, event) = self.held_by(now, whose, said.retry_after, said.why, false);
                let name = self.held_name(lease, said.retry_after);
                (self.waits_until(now, lease, name, held), event)
            }
        };
        let ending = Ending::Refused {
            why: cut(said.why),
            until,
            outage: said.outage,
        };
        self.end_turn(epoch, lease, ending, usage, event.into_iter().collect())
    }

    /// Until when a turn waits whose model fails again and again, and whether its breaker opens by that. It says nothing
    /// of other models of its provider, nor of whether others are served at its own.
    fn outage(
        &self,
        now: Timestamp,
        (epoch, lease): (Epoch, &Lease),
        why: &str,
    ) -> (Timestamp, Option<Event>) {
        let model = self.model_of(lease);
        let opens = self.breaks(now, lease, Failure::Transient, why);
        let open = match &opens {
            Some(Event::BreakerOpened { until, .. }) => Some(*until),
            _ => self.hold_until(model).filter(|until| *until > now),
        };
        let seed = format!("{}/{model}/{}", self.nonce, epoch.0);
        let own = now + recovery::after_refusal(None, self.refusals_of(lease.turn), &seed);
        let until = open.map(|open| self.waits_until(now, lease, model, open.max(own)));
        (until.unwrap_or(own), opens)
    }

    /// How often in a row a turn was refused.
    pub(crate) fn refusals_of(&self, turn: Turn) -> u32 {
        let task = turn.task().and_then(|id| self.tasks.get(&id));
        match turn {
            Turn::Intent { .. } => self.reading.refusals,
            Turn::Plan { .. } => self.planning.refusals,
            _ => task.map_or(0, |task| task.refusals),
        }
    }
}
