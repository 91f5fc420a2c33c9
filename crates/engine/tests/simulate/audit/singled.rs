//! Turns that are refused while others are served, by a book of its own: who was refused twice in a row lets others try
//! first, and a refusal costs nobody anything while it is not plain that it is the turn's fault.

use super::*;

/// What came of others at one model since a task's turn was refused there.
#[derive(Clone, Copy, Debug, Default)]
struct Others {
    after: Timestamp,
    served: u32,
    refused: u32,
    muted: u32,
}

/// How often in a row a task's turn was refused although others were served.
#[derive(Clone, Debug, Default)]
struct Row {
    n: u32,
    blamed: bool,
    at: BTreeMap<String, Others>,
}

impl Row {
    fn with_one_more(&self, model: &str, refusals: u32) -> u32 {
        let Some(others) = self.at.get(model) else {
            return self.n;
        };
        match (others.served, others.refused) {
            (served, refused) if served > refused => self.n + 1,
            (0, 0) if self.blamed => self.n + 1,
            (0, 0) if others.muted == 0 && refusals % 4 != 3 && self.n >= limits::SINGLED_SEEN => {
                self.n + 1
            }
            (0, refused) if refused > 0 => 0,
            _ => self.n,
        }
    }
}

/// What the book knows.
#[derive(Default)]
pub(super) struct Rows(BTreeMap<TaskId, Row>);

impl Rows {
    fn tell(&mut self, own: Option<TaskId>, model: &str, tell: impl Fn(&mut Others)) {
        let others = self.0.iter_mut().filter(|(id, _)| own != Some(**id));
        others
            .filter_map(|(_, row)| row.at.get_mut(model))
            .for_each(tell);
    }

    fn served(&mut self, own: Option<TaskId>, model: &str, since: Timestamp) {
        self.tell(own, model, |others| {
            others.served += u32::from(since > others.after);
        });
    }
}

/// For so long after a hold it is left to others by whoever was refused so often in a row: from the second time on, a
/// second for each, but for one in four.
pub(super) fn left_to_others(refusals: u32) -> Millis {
    match refusals {
        0 | 1 => Millis(0),
        n if n % 4 == 3 => Millis(0),
        n => Millis(1_000 * u64::from(n.min(30))),
    }
}

impl Audit {
    /// Looks at an event before it is folded in.
    pub(super) fn singled(&mut self, event: &Event) {
        match event {
            Event::TurnServed { epoch } => {
                let (model, since, _) = self.asks.asked_since(*epoch);
                let own = self.leases[epoch].turn.task();
                self.asks.rows.served(own, &model, since);
            }
            Event::TurnEnded {
                turn,
                epoch,
                ending,
                usage,
                ..
            } => self.turn_was_refused_or_not(*turn, *epoch, ending, usage.calls),
            Event::ModelNamed { model, .. } => {
                for row in self.asks.rows.0.values_mut() {
                    if let Some(others) = row.at.remove("") {
                        row.at.entry(model.clone()).or_insert(others);
                    }
                }
            }
            Event::TaskRetried { task, .. } => {
                self.asks.rows.0.remove(task);
            }
            Event::Resumed { .. } => {
                let given_up = &self.given_up;
                self.asks.rows.0.retain(|id, _| !given_up.contains(id));
            }
            _ => {}
        }
    }

    fn turn_was_refused_or_not(&mut self, turn: Turn, epoch: Epoch, ending: &Ending, calls: u32) {
        let (model, since, served) = self.asks.asked_since(epoch);
        let own = turn.task();
        let before = |id| self.shadow.task(id).map_or(0, |task| task.refusals);
        let refusals = own.map_or(0, before);
        let row = own.map(|id| self.asks.rows.0.entry(id).or_default());
        let found = row
            .as_ref()
            .is_some_and(|row| row.n >= limits::SINGLED_SEEN);
        let n = row
            .as_ref()
            .map_or(0, |row| row.with_one_more(&model, refusals));
        let goes_on = matches!(turn, Turn::Work { .. }) && (served || calls > 0);
        match ending {
            Ending::Refused { outage: true, .. } => {}
            Ending::Refused { .. } if goes_on => {
                if let Some(row) = row {
                    *row = Row::default();
                }
                self.asks
                    .rows
                    .tell(own, &model, |others| others.refused += 1);
            }
            Ending::Refused { .. } => {
                assert!(n < limits::SINGLED, "{turn} is refused for ever");
                if let Some(row) = row {
                    let others = Others {
                        after: self.last,
                        ..Others::default()
                    };
                    row.n = n;
                    row.at.insert(model.clone(), others);
                }
                // Who is refused each time says nothing of the provider.
                self.asks.rows.tell(own, &model, |others| match refusals {
                    0 | 1 => others.refused += 1,
                    _ if found => {}
                    _ => others.muted += 1,
                });
            }
            Ending::Failed {
                failure: Failure::Refused,
                ..
            } => {
                assert!(
                    n >= limits::SINGLED && !goes_on,
                    "{turn} is blamed for refusals that others had as well: {row:?}"
                );
                if let Some(row) = row {
                    (row.n, row.at) = (limits::SINGLED_SEEN, BTreeMap::new());
                    row.blamed = true;
                }
            }
            Ending::Held { .. }
            | Ending::Cancelled
            | Ending::Failed {
                failure: Failure::Transient | Failure::Silent | Failure::Machine,
                ..
            } => {}
            _ => {
                if let Some(row) = row {
                    *row = Row::default();
                }
                if *ending == Ending::Answered && !served {
                    self.asks.rows.served(own, &model, since);
                }
            }
        }
    }

    /// Whether whoever was refused so often in a row may not try what is held of a model yet.
    pub(super) fn lets_others_try(&self, model: &str, refusals: u32, now: Timestamp) -> bool {
        let longer = left_to_others(refusals);
        longer > Millis(0) && self.asks.is_held(model, now, longer)
    }

    /// A turn begins, before it is folded in.
    pub(super) fn others_have_tried(&self, turn: Turn, model: &str) {
        let task = turn.task().and_then(|id| self.shadow.task(id));
        let refusals = task.map_or(0, |task| task.refusals);
        assert!(
            !self.lets_others_try(model, refusals, self.last),
            "{turn} was refused {refusals} times in a row, and tries before others could"
        );
    }

    /// Whether a task waits because it lets others try first.
    pub(super) fn somebody_lets_others_try(&self, mission: &Mission, now: Timestamp) -> bool {
        mission.tasks().any(|task| {
            let longer = left_to_others(task.refusals);
            longer > Millis(0) && self.asks.any_held(now, longer, mission.deadline())
        })
    }
}
