//! The plan that is begun beside the Commander: when it may begin, when it is taken, and that it is settled once.

use super::*;
use mission::ahead::Came;
use mission::turn::Intent;

/// One that was begun.
#[derive(Debug)]
pub(super) struct Begun {
    epoch: Epoch,
    /// The changes of the TODO before it.
    todo: u64,
    /// The names of its tasks, once it is written.
    written: Option<Vec<String>>,
    settled: Option<Came>,
}

impl Audit {
    pub(super) fn plans_ahead(&mut self, event: &Event) {
        match event {
            Event::TurnStarted {
                turn: Turn::Plan { .. },
                epoch,
                ..
            } if self.read().is_none() => self.begins_ahead(*epoch),
            Event::PlannedAhead { epoch, came } => self.came_ahead(*epoch, came),
            Event::Planned { plan } => self.is_owed(plan),
            Event::Sealed { .. } => {
                let open = self.ahead.as_ref().filter(|begun| begun.settled.is_none());
                assert!(open.is_none(), "nobody said what became of {open:?}");
            }
            _ => {}
        }
    }

    /// How the request was read.
    fn read(&self) -> Option<&Intent> {
        self.events
            .iter()
            .find_map(|recorded| match &recorded.event {
                Event::IntentRead { intent } => Some(intent),
                _ => None,
            })
    }

    fn begins_ahead(&mut self, epoch: Epoch) {
        assert!(self.terms.plan_ahead, "a plan is begun ahead unasked");
        assert!(self.ahead.is_none(), "a plan is begun ahead again");
        let reads = |epoch| {
            let lease = self.leases.get(epoch);
            lease.is_some_and(|lease| matches!(lease.turn, Turn::Intent { .. }))
        };
        assert!(
            self.live.keys().any(reads),
            "a plan is begun before the Commander"
        );
        // It, and the plan that may have to come after it.
        let share = self.reserve_later(Role::Planner);
        let needs = self.spent + self.reserved() + 2 * share;
        assert!(
            needs <= self.limit,
            "a plan is begun ahead, and {needs} are not there of {}",
            self.limit
        );
        self.ahead = Some(Begun {
            epoch,
            todo: self.edits_recorded,
            written: None,
            settled: None,
        });
    }

    fn came_ahead(&mut self, epoch: Epoch, came: &Came) {
        let why_not = self.why_not_taken();
        let read = self.read().cloned();
        let begun = self.ahead.as_mut();
        let begun = begun.expect("something comes of a plan that nobody began");
        assert_eq!(begun.epoch, epoch, "it is another one");
        assert_eq!(begun.settled, None, "it is settled twice");
        match came {
            Came::Written { plan } => {
                assert_eq!(read, None, "it waits, and the request is read");
                let keys = plan.tasks.iter().map(|task| task.key.clone());
                begun.written = Some(keys.collect());
                return;
            }
            Came::Used { .. } => assert_eq!(why_not, None, "it is taken"),
            Came::Void { .. } => {
                let runs = self.live.contains_key(&epoch);
                assert!(!runs, "a plan is void and goes on being written");
                let fits = why_not.is_some() || read.is_none();
                assert!(fits, "it is what is wanted, and is void");
            }
        }
        begun.settled = Some(came.clone());
    }

    /// Why it must not be the plan.
    fn why_not_taken(&self) -> Option<&'static str> {
        let Some(Intent::Plan { goal }) = self.read() else {
            return Some("no plan is wanted");
        };
        let begun = self.ahead.as_ref()?;
        let told = self.leases.get(&begun.epoch).map(|lease| lease.told);
        if !goal.is_empty() && *goal != self.shadow.request() {
            Some("there is more to follow")
        } else if told != Some(self.said) {
            Some("it does not know all that was said")
        } else if begun.todo != self.edits_recorded {
            Some("it does not know what is proposed")
        } else {
            None
        }
    }

    /// A plan stands because somebody was asked for it and answered, or because it was begun ahead and is what is wanted.
    fn is_owed(&self, plan: &mission::plan::Plan) {
        let before = self.events.len().checked_sub(2);
        let before = before.map(|n| &self.events[n].event);
        let fits = match before {
            Some(Event::TurnEnded { turn, ending, .. }) => {
                matches!(turn, Turn::Plan { .. }) && *ending == Ending::Answered
            }
            Some(Event::IntentRead { intent }) => matches!(intent, Intent::Small { .. }),
            Some(Event::PlannedAhead { came, .. }) => match came {
                Came::Written { .. } | Came::Void { .. } => false,
                Came::Used { .. } => {
                    let keys = plan.tasks.iter().map(|task| task.key.clone());
                    let written = self.ahead.as_ref().and_then(|begun| begun.written.clone());
                    written == Some(keys.collect())
                }
            },
            _ => false,
        };
        assert!(fits, "nobody owed this plan, after {before:?}");
    }
}
