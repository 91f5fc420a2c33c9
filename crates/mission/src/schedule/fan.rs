//! Into how many lanes a plan fans out, what that gains, and the path that nothing shortens. A forecast by sizes, and what
//! it came to.

use super::durations::{by_size, longest};
use super::width::width;
use crate::ids::TaskId;
use crate::limits;
use crate::mission::{Mission, State, TaskState};
use crate::plan::TaskKind;
use crate::planted;
use crate::time::{Millis, Timestamp};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Why a plan does not gain by as many lanes as the user allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Narrow {
    /// All of it together is hardly more than setting up another lane: it is done in one.
    Tiny {
        /// How many tenths of the time that it would take in all lanes it takes in the one, without what setting them up
        /// takes.
        gain: u64,
    },
    /// More lanes would make it hardly shorter, because of what needs what. Those are closed in which nothing could ever
    /// run, however long tasks take, and no others: in simulated time plans took up to a fifth longer where a forecast
    /// by sizes had closed some.
    Graph {
        /// How many needs the engine added because forecasts overlap.
        overlaps: usize,
    },
}

/// Into how many lanes a plan fans out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fan {
    /// So many lanes are opened at the most.
    pub lanes: u32,
    /// With so many it takes as long as with all that the user allows, or hardly longer.
    pub enough: u32,
    /// Why it does not gain by more, if it does not.
    pub narrow: Option<Narrow>,
    /// How many tenths of the time it would take in one lane, over the time that it takes: 25 is two and a half times as
    /// fast. By the sizes of the plan.
    pub predicted: u64,
    /// All of it is hardly any work, and is done in one lane.
    pub tiny: bool,
}

/// The path that nothing shortens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Critical {
    /// The tasks of it, in order.
    pub tasks: Vec<TaskId>,
    /// How long it is in small tasks, by sizes.
    pub weight: u64,
    /// How long it takes, by what was learned; `None` while too little is known.
    pub expected: Option<Millis>,
}

/// How much Workers worked, in the mission's own time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Busy {
    /// How many do.
    n: u32,
    /// Since when so many do.
    since: Millis,
    /// How long all of them worked in sum.
    all: Millis,
    /// How long any of them worked.
    any: Millis,
}

impl Mission {
    /// Into how many lanes the plan fans out; `None` before there is a plan.
    pub fn fan(&self) -> Option<Fan> {
        self.fan
    }

    /// Says into how many lanes a new plan fans out.
    pub(crate) fn fan_out(&mut self) {
        self.fan = Some(self.fanned_out());
    }

    /// What is still to be done, and whoever waits for it.
    fn still_open(&self) -> BTreeMap<TaskId, TaskState> {
        let over = |state: &State| matches!(state, State::Landed | State::Skipped { .. });
        let open = self.tasks.iter().filter(|(_, task)| !over(&task.state));
        open.map(|(id, task)| (*id, task.clone())).collect()
    }

    fn fanned_out(&self) -> Fan {
        let (cap, open) = (self.lanes(), self.still_open());
        let agents = || {
            open.values()
                .filter(|task| task.task.kind == TaskKind::Agent)
        };
        let work: u64 = agents()
            .map(|task| u64::from(task.task.size.weight()))
            .sum();
        let (mut lanes, mut enough, mut narrow) = (of_use(&open, cap), cap, None);
        let most = time(&open, cap);
        let gains = |lanes: &u32| time(&open, *lanes) <= most + most / limits::LANE_PAYS;
        let tiny = work <= limits::TINY;
        if tiny {
            (lanes, enough) = (1, 1);
            let gain = time(&open, 1) * 10 / most.max(1);
            narrow = (agents().count() > 1 && cap > 1).then_some(Narrow::Tiny { gain });
        } else if let Some(fewer) = (1..cap).find(gains) {
            let overlaps = agents().map(|task| task.task.added.len()).sum();
            (enough, narrow) = (fewer, Some(Narrow::Graph { overlaps }));
        }
        let predicted = time(&open, 1) * 10 / time(&open, lanes).max(1);
        Fan {
            lanes,
            enough,
            narrow,
            predicted,
            tiny,
        }
    }

    /// A task was left out or taken up again: more may run at once than before, and more may be of use. What is done in one
    /// lane because it is hardly any work still is, as long as that is so.
    pub(crate) fn opens_lanes(&mut self) {
        let (lanes, now) = (of_use(&self.still_open(), self.lanes()), self.fanned_out());
        if let Some(fan) = &mut self.fan
            && !(fan.tiny && now.tiny)
            && !planted!("lanes_stay_closed")
        {
            fan.lanes = fan.lanes.max(lanes);
            if now.enough > fan.enough || (fan.tiny && !now.tiny) {
                *fan = Fan {
                    lanes: fan.lanes,
                    ..now
                };
            }
        }
    }

    /// How many tenths of the time in which any Worker worked all of them worked in sum: what fanning out gained, in the
    /// mission's own time. Like what is predicted it speaks of work alone: a check or a wait in which nobody works is in
    /// neither. `None` before somebody has worked.
    pub fn gain(&self) -> Option<u64> {
        let Busy { all, any, .. } = self.durations.busy;
        (any.0 > 0).then(|| all.0 * 10 / any.0)
    }

    /// A Worker begins, or is through.
    pub(crate) fn keeps_busy(&mut self, at: Timestamp, begins: bool) {
        let now = self.running_for(at);
        let busy = &mut self.durations.busy;
        let passed = now.0.saturating_sub(busy.since.0);
        busy.since = now;
        if busy.n > 0 {
            busy.all = busy.all + Millis(passed * u64::from(busy.n));
            busy.any = busy.any + Millis(passed);
        }
        busy.n = match begins {
            true => busy.n + 1,
            false => busy.n.saturating_sub(1),
        };
    }

    /// The longest path of the plan, as it is predicted.
    pub fn critical_path(&self) -> Option<Critical> {
        let learned = self.durations();
        let expected = |task: &crate::plan::Task| learned.expected(task.kind, task.size);
        let paths = longest(&self.tasks, |task| {
            expected(task).map_or(by_size(task.kind, task.size), |known| known.0)
        });
        let best = |id: &TaskId| (paths.get(id).copied(), Reverse(*id));
        let mut next = paths.keys().copied().max_by_key(best);
        let mut tasks = Vec::new();
        while let Some(id) = next {
            tasks.push(id);
            let after = self.tasks[&id].needed_by.iter();
            let after = after.filter(|id| self.tasks.contains_key(id));
            next = after.copied().max_by_key(best);
        }
        let of = |id: &TaskId| &self.tasks[id].task;
        let size = |id: &TaskId| by_size(of(id).kind, of(id).size);
        let weight = tasks.iter().map(size).sum();
        let agents = tasks.iter().filter(|id| of(id).kind == TaskKind::Agent);
        let known: Option<Vec<Millis>> = agents.map(|id| expected(of(id))).collect();
        let known = known.filter(|known| !known.is_empty());
        let expected = known.map(|known| Millis(known.iter().map(|known| known.0).sum()));
        (!tasks.is_empty()).then_some(Critical {
            tasks,
            weight,
            expected,
        })
    }

    /// The path that it came to: from the task that landed last back along whatever was waited for last. With how long
    /// that took from its first start to its end, in the mission's own time. `None` before something has landed.
    pub fn actual_path(&self) -> Option<(Vec<TaskId>, Millis)> {
        let landed = |id: &TaskId| {
            let task = self
                .tasks
                .get(id)
                .filter(|task| task.state == State::Landed)?;
            Some((task.span.1?, *id))
        };
        let (end, last) = self.tasks.keys().filter_map(landed).max()?;
        let (mut path, mut start) = (vec![last], end);
        loop {
            let task = &self.tasks[path.last()?];
            start = task.span.0.unwrap_or(start).min(start);
            match task.task.needs.iter().filter_map(landed).max() {
                Some((_, need)) => path.push(need),
                None => break,
            }
        }
        path.reverse();
        Some((path, Millis(end.0.saturating_sub(start.0))))
    }
}

/// In so many lanes one of these tasks could ever run beside all others. A task that takes several slots may be waited for
/// by what could run beside it, so that then all are of use.
fn of_use(open: &BTreeMap<TaskId, TaskState>, cap: u32) -> u32 {
    if open.values().any(|task| task.task.weight > 1) {
        return cap;
    }
    let most = u32::try_from(width(open)).unwrap_or(cap);
    let few = u32::from(planted!("lane_too_few"));
    cap.min(most.saturating_sub(few).max(1))
}

/// How long tasks take in so many lanes, in small tasks: whoever has the longest path before them starts first.
fn time(tasks: &BTreeMap<TaskId, TaskState>, lanes: u32) -> u64 {
    let weight = |id: &TaskId| by_size(tasks[id].task.kind, tasks[id].task.size);
    let paths = longest(tasks, |task| weight(&task.id));
    let known = |id: &TaskId| {
        tasks[id]
            .task
            .needs
            .iter()
            .filter(|need| tasks.contains_key(need))
    };
    let mut left: BTreeMap<TaskId, usize> =
        tasks.keys().map(|id| (*id, known(id).count())).collect();
    let free = left.iter().filter(|(_, left)| **left == 0);
    let mut ready: BTreeSet<(Reverse<u64>, TaskId)> =
        free.map(|(id, _)| (Reverse(paths[id]), *id)).collect();
    let mut running: BTreeSet<(Timestamp, TaskId)> = BTreeSet::new();
    let mut now = Timestamp(0);
    loop {
        while running.len() < lanes as usize
            && let Some((_, id)) = ready.pop_first()
        {
            running.insert((now + Millis(weight(&id)), id));
        }
        let Some((end, id)) = running.pop_first() else {
            return now.0;
        };
        now = end;
        for next in &tasks[&id].needed_by {
            let Some(left) = left.get_mut(next) else {
                continue;
            };
            *left -= 1;
            if *left == 0 {
                ready.insert((Reverse(paths[next]), *next));
            }
        }
    }
}
