//! The plan on speculation: where a mission's terms say so, the Planner's first turn begins beside the Commander's, from
//! the request alone.
//!
//! It is a turn like any other, with a lease and a reservation, in a lane of its own. What the Commander says decides: the
//! plan is taken, on the way or finished, where the request is to be planned and the Commander adds nothing to it; else it
//! is void, is ended and counts for what it used. Of all that the Commander says a Planner is told one thing, the goal in
//! its words, so that a goal is nothing new only where it is empty or says the request again, word for word.
//!
//! A mission is never worse off for it but by what it used: it begins only where there is room for it and for another plan
//! after it, it has one try, and a failure of it is none of the mission's.

use crate::decide::{cut, told};
use crate::event::{Ending, Event, Turn};
use crate::ids::Epoch;
use crate::lease::Lease;
use crate::limits;
use crate::mission::{Mission, Phase};
use crate::plan::{Fault, Plan};
use crate::planted;
use crate::time::{Millis, Timestamp};
use crate::turn::{Intent, Usage};
use serde::{Deserialize, Serialize};

/// What came of a plan that was begun from the request alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum Came {
    /// It is written, and waits for what the Commander says.
    Written {
        /// The plan.
        plan: Plan,
    },
    /// It is the mission's plan, or what is still being written of it will be.
    Used {
        /// So much sooner than if the Planner had begun after the Commander.
        ahead: Millis,
    },
    /// It is not.
    Void {
        /// Why.
        why: String,
    },
}

/// The plan that was begun from the request alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanAhead {
    /// The lease of its turn.
    pub epoch: Epoch,
    /// What became of it, once that is known.
    pub settled: Option<Came>,
    /// What its turn counts for in tokens and in money, once it is over.
    pub charged: (u64, u64),
    since: Timestamp,
    /// How long nobody had run the mission before.
    idle: Millis,
    /// What stood on the TODO as it began.
    todo: u64,
    /// The last that people said which its turn knew at its end.
    told: u32,
    /// The plan, and how long it took.
    written: Option<(Plan, Millis)>,
}

/// Whether a plan has nothing to follow but the request.
fn adds_nothing(goal: &str, request: &str) -> bool {
    let said = || goal.split_whitespace();
    said().next().is_none() || said().eq(request.split_whitespace())
}

impl Mission {
    /// What became of the plan that was begun from the request alone, if one was.
    pub fn planned_ahead(&self) -> Option<&PlanAhead> {
        self.planning.ahead.as_ref()
    }

    /// Whether a turn plans before it is known that a plan is wanted.
    pub fn is_ahead(&self, turn: Turn) -> bool {
        self.phase == Phase::Reading && matches!(turn, Turn::Plan { .. })
    }

    /// Whether somebody is at work for whom the phase waits. A plan on speculation keeps no Commander waiting.
    pub(crate) fn is_fronted(&self) -> bool {
        let mut turns = self.leases.values().map(|lease| lease.turn);
        turns.any(|turn| !self.is_ahead(turn))
    }

    /// One of which it is not known what becomes of it.
    fn unsettled(&self) -> Option<&PlanAhead> {
        self.planning
            .ahead
            .as_ref()
            .filter(|ahead| ahead.settled.is_none())
    }

    /// The turn whose plan the `n`th one mends, and in whose session it goes on. What is void nobody mends.
    pub fn mended_by(&self, n: u32) -> Option<Turn> {
        let void = |ahead: &PlanAhead| matches!(ahead.settled, Some(Came::Void { .. }));
        let first = 1 + u32::from(self.planning.ahead.as_ref().is_some_and(void));
        let last = n.checked_sub(1).filter(|last| *last >= first)?;
        let mends = !self.planning.refused.is_empty();
        mends.then_some(Turn::Plan { n: last })
    }

    /// Where the next Planner works: a repair where the plan was written that it mends.
    pub(crate) fn lane_of_next_plan(&self) -> u32 {
        match self.mended_by(self.planning.n + 1) {
            Some(_) => self.planning.lane,
            None => 1,
        }
    }

    /// Begins it beside the Commander who is at work.
    pub(crate) fn start_ahead(&self, now: Timestamp) -> Vec<Event> {
        let turn = Turn::Plan { n: 1 };
        let first = self.planning.n == 0 && !self.winding_down();
        let room = self.has_room_twice(turn);
        match self.terms.plan_ahead && first && room {
            true => self.start_short(now, turn, limits::LANE_AHEAD),
            false => Vec::new(),
        }
    }

    /// What follows from its answer. It has no repair: the plan that is needed has all of them.
    pub(crate) fn answered_ahead(&self, checked: Result<Plan, Vec<Fault>>) -> Vec<Event> {
        let came = match checked {
            Ok(plan) => Came::Written { plan },
            Err(faults) => Came::Void {
                why: cut(&format!("it is faulty: {}", told(&faults).join("; "))),
            },
        };
        let told = |ahead: &PlanAhead| Event::PlannedAhead {
            epoch: ahead.epoch,
            came,
        };
        self.unsettled().map(told).into_iter().collect()
    }

    /// Its turn ended and left no plan: it is void, if the events that end it do not tell already what becomes of it.
    pub(crate) fn void_ahead_of(&self, turn: Turn, events: &[Event]) -> Option<Event> {
        let tells = |event: &Event| matches!(event, Event::PlannedAhead { .. });
        if !self.is_ahead(turn) || events.iter().any(tells) {
            return None;
        }
        let ending = events.iter().find_map(|event| match event {
            Event::TurnEnded { ending, .. } => Some(ending),
            _ => None,
        })?;
        let why = match ending {
            Ending::Refused { why, .. } => format!("it was refused: {why}"),
            Ending::Held { why, .. } => format!("it was not begun: {why}"),
            Ending::Failed { why, .. } => format!("it failed: {why}"),
            Ending::Expired => limits::EXPIRED.to_owned(),
            Ending::Overspent => limits::OVERSPENT.to_owned(),
            Ending::Cancelled | Ending::Answered => "it was cancelled".to_owned(),
        };
        self.void_ahead(&why)
    }

    /// It is void, if it is not known already what became of it.
    pub(crate) fn void_ahead(&self, why: &str) -> Option<Event> {
        let ahead = self.unsettled()?;
        let (epoch, why) = (ahead.epoch, cut(why));
        let came = Came::Void { why };
        Some(Event::PlannedAhead { epoch, came })
    }

    /// What becomes of it now that the request is read.
    pub(crate) fn settle_ahead(&self, now: Timestamp) -> Vec<Event> {
        let (Some(ahead), Some(intent)) = (self.unsettled(), &self.intent) else {
            return Vec::new();
        };
        let (epoch, lease) = (ahead.epoch, self.leases.get(&ahead.epoch));
        if let Some(why) = self.why_void(ahead, lease, intent) {
            let void: Vec<Event> = self.void_ahead(why).into_iter().collect();
            return match lease.filter(|_| !planted!("void_plan_runs_on")) {
                Some(lease) => {
                    self.end_turn(epoch, lease, Ending::Cancelled, Usage::default(), void)
                }
                None => void,
            };
        }
        let (took, plan) = match &ahead.written {
            Some((plan, took)) => (*took, Some(plan.clone())),
            None => (self.worked_for(ahead, now), None),
        };
        let came = Came::Used { ahead: took };
        let planned = plan.map(|plan| Event::Planned {
            plan: self.renumbered(plan),
        });
        let used = Event::PlannedAhead { epoch, came };
        std::iter::once(used).chain(planned).collect()
    }

    /// Why it is not the plan that a Planner would write now; `None` if it is.
    fn why_void(
        &self,
        ahead: &PlanAhead,
        lease: Option<&Lease>,
        intent: &Intent,
    ) -> Option<&'static str> {
        let goal = match intent {
            Intent::Answer { .. } => return Some("the request is a question"),
            Intent::Small { .. } => return Some("a small change needs no planner"),
            Intent::Plan { goal } => goal,
        };
        let told = lease.map_or(ahead.told, |lease| lease.told);
        if planted!("void_plan_taken") {
            None
        } else if !adds_nothing(goal, &self.request) {
            Some("the Commander said more than the request")
        } else if told < self.said.last {
            Some("its Planner does not know all that people said since")
        } else if ahead.todo != self.todo.version {
            Some("people have written on the TODO since")
        } else {
            None
        }
    }

    /// For how long it was worked on by now, without the time in which no engine ran.
    fn worked_for(&self, ahead: &PlanAhead, now: Timestamp) -> Millis {
        let idle = self.idle.0.saturating_sub(ahead.idle.0);
        Millis(now.since(ahead.since).0.saturating_sub(idle))
    }

    /// A turn begins; it may be this one.
    pub(crate) fn begins_ahead(&mut self, at: Timestamp, epoch: Epoch, turn: Turn) {
        if self.is_ahead(turn) {
            self.planning.ahead = Some(PlanAhead {
                epoch,
                settled: None,
                charged: (0, 0),
                since: at,
                idle: self.idle,
                todo: self.todo.version,
                told: 0,
                written: None,
            });
        }
    }

    /// A turn is over that knew so much of what people said; it may be this one.
    pub(crate) fn ends_ahead(&mut self, epoch: Epoch, told: u32, charged: (u64, u64)) {
        if let Some(ahead) = self
            .planning
            .ahead
            .as_mut()
            .filter(|ahead| ahead.epoch == epoch)
        {
            (ahead.told, ahead.charged) = (told, charged);
        }
    }

    pub(crate) fn came_ahead(&mut self, at: Timestamp, came: &Came) {
        let Some(mut ahead) = self.planning.ahead.take() else {
            return;
        };
        match came {
            Came::Written { plan } => {
                ahead.written = Some((plan.clone(), self.worked_for(&ahead, at)));
            }
            Came::Used { .. } | Came::Void { .. } => {
                (ahead.settled, ahead.written) = (Some(came.clone()), None);
            }
        }
        self.planning.ahead = Some(ahead);
    }

    /// Why a turn begins before it is known that a plan is wanted.
    pub(crate) fn why_ahead() -> String {
        "plans are begun ahead here: beside the Commander, from the request alone, where the budget has room for it and for \
         a plan after it"
            .to_owned()
    }

    /// Why that came of it.
    pub(crate) fn why_came(&self, came: &Came) -> Vec<String> {
        let why = match came {
            Came::Written { .. } => "the Commander has not read the request yet",
            Came::Used { .. } => {
                "the request is to be planned, and what the Commander says of it is nothing new to the Planner"
            }
            Came::Void { .. } if self.intent.is_some() => {
                "it would not be what a Planner writes who knows what the Commander says"
            }
            Came::Void { .. } => return Vec::new(),
        };
        vec![why.to_owned()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_nothing_new_where_it_is_empty_or_the_request_again() {
        let request = "Add a health check,\nand say so in the README.";
        for goal in [
            "",
            " \n",
            request,
            "Add a health check, and say  so in the README. ",
        ] {
            assert!(adds_nothing(goal, request), "{goal:?}");
        }
        for goal in [
            "Add a health check",
            "add a health check, and say so in the README.",
            "Add a health check, and do not say so in the README.",
            ".",
        ] {
            assert!(!adds_nothing(goal, request), "{goal:?}");
        }
    }
}
