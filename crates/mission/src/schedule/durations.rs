//! How long tasks take, as far as this mission has seen it, and how long that makes the rest of the way.

use super::fan::Busy;
use crate::event::Ending;
use crate::ids::TaskId;
use crate::limits;
use crate::mission::{Mission, TaskState};
use crate::plan::{Size, Task, TaskKind};
use crate::time::{Millis, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How long tasks of one kind and size took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Took {
    /// Which kind.
    pub kind: TaskKind,
    /// Which size.
    pub size: Size,
    /// How many finished.
    pub n: u32,
    /// How long all of them took together.
    pub all: Millis,
}

/// How many finished, and how long all of them took, by kind and size.
type Seen = BTreeMap<(TaskKind, Size), (u32, Millis)>;

/// What was learned of how long tasks take, by kind and size: in this mission, and until that is enough in those before
/// it. Until enough attempts have finished nothing is known, and the sizes of the plan are weighed against each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    of: Seen,
    /// The same of this mission and the earlier ones together.
    with_earlier: Seen,
    /// How many of those finished before this mission.
    earlier: u32,
    /// When an engine last took the mission up: a turn that began before stood still for a while.
    woke: Timestamp,
    /// What tasks weighed when paths were last reckoned, where it was not by their sizes.
    reckoned: Option<Vec<u64>>,
    /// Whether paths were last reckoned in time, and not in sizes.
    timed: bool,
    /// How much Workers worked side by side.
    pub(super) busy: Busy,
    /// What each task is known to take, in missions of which everything is known beforehand: in tests.
    told: BTreeMap<TaskId, Millis>,
}

/// What a task weighs on a path while nothing is learned. A command and a person keep no Worker busy.
pub(super) fn by_size(kind: TaskKind, size: Size) -> u64 {
    match kind {
        TaskKind::Agent => u64::from(size.weight()),
        TaskKind::Gate | TaskKind::Ask => 0,
    }
}

impl Durations {
    /// How many finished tasks it knows of.
    pub fn seen(&self) -> u32 {
        self.of.values().map(|(n, _)| n).sum()
    }

    /// What a mission knows that others came before.
    pub(crate) fn after(earlier: &[Took]) -> Self {
        let mut durations = Self::default();
        for took in earlier {
            let seen = durations.with_earlier.entry((took.kind, took.size));
            let (n, all) = seen.or_default();
            *n = n.saturating_add(took.n);
            *all = Millis(all.0.saturating_add(took.all.0));
            durations.earlier = durations.earlier.saturating_add(took.n);
        }
        durations
    }

    /// What this mission has seen itself, for those after it.
    pub fn took(&self) -> Vec<Took> {
        let each = self.of.iter();
        let took = each.map(|((kind, size), (n, all))| Took {
            kind: *kind,
            size: *size,
            n: *n,
            all: *all,
        });
        took.collect()
    }

    /// How many finished tasks of earlier missions it goes by, if it has seen too few of its own.
    pub fn from_earlier(&self) -> Option<u32> {
        let known = |seen: &Seen| Self::of_seen(seen, TaskKind::Agent, Size::Medium).is_some();
        (!known(&self.of) && known(&self.with_earlier)).then_some(self.earlier)
    }

    /// How long such a task takes, as far as is known: what those of its kind and size took on average, or, of which too
    /// few have finished, what its size makes of the others. `None` until enough attempts have finished. What this mission
    /// has seen counts alone once it is enough: it is the same work, on the same machine.
    /// Of what no agent works at nothing is learned: how long a command or a person takes says no size.
    pub fn expected(&self, kind: TaskKind, size: Size) -> Option<Millis> {
        if kind != TaskKind::Agent {
            return None;
        }
        let own = Self::of_seen(&self.of, kind, size);
        own.or_else(|| Self::of_seen(&self.with_earlier, kind, size))
    }

    fn of_seen(of: &Seen, kind: TaskKind, size: Size) -> Option<Millis> {
        let mean = |(n, all): (u32, Millis)| Millis((all.0 / u64::from(n.max(1))).max(1));
        let own = of.get(&(kind, size)).copied();
        if let Some(own) = own.filter(|(n, _)| *n >= limits::LEARNED) {
            return Some(mean(own));
        }
        let agents = of.iter().filter(|((kind, _), _)| *kind == TaskKind::Agent);
        let (mut n, mut weight, mut all) = (0, 0, 0);
        for ((_, size), (seen, took)) in agents {
            n += seen;
            weight += u64::from(*seen) * u64::from(size.weight());
            all = u64::saturating_add(all, took.0);
        }
        let known = n >= limits::LEARNED;
        let all = u128::from(all) * u128::from(size.weight()) / u128::from(weight.max(1));
        known.then(|| Millis(u64::try_from(all).unwrap_or(u64::MAX).max(1)))
    }

    /// What a task weighs on a path: its duration, or where none is known its size.
    fn weight(&self, task: &Task) -> u64 {
        let told = self.told.get(&task.id).copied();
        let known = told.or_else(|| self.expected(task.kind, task.size));
        known.map_or(by_size(task.kind, task.size), |known| known.0)
    }

    /// What agents' tasks of each size weigh.
    fn weights(&self) -> Vec<u64> {
        let sizes = [Size::Small, Size::Medium, Size::Large];
        let weight = |size: Size| {
            let known = self.expected(TaskKind::Agent, size);
            known.map_or(u64::from(size.weight()), |known| known.0)
        };
        sizes.into_iter().map(weight).collect()
    }

    /// Whether tasks weigh otherwise against each other than when paths were last reckoned, by more than a little.
    fn tips(&self) -> bool {
        let now = self.weights();
        let sizes = || Self::default().weights();
        let then = self.reckoned.clone().unwrap_or_else(sizes);
        let share = |weights: &[u64], n: usize| {
            u128::from(weights[n]) * 1_000 / u128::from(weights[0].max(1))
        };
        (1..now.len()).any(|n| {
            let (now, then) = (share(&now, n), share(&then, n));
            now.abs_diff(then) * limits::TIPS > then
        })
    }

    /// Takes one more in. Tells whether paths are to be reckoned anew: not with each, so that the cost of one stays the
    /// same however large the plan is, but each time that twice as many are known, and only if they tell something new.
    fn learn(&mut self, kind: TaskKind, size: Size, took: Millis) -> bool {
        for seen in [&mut self.of, &mut self.with_earlier] {
            let (n, all) = seen.entry((kind, size)).or_default();
            (*n, *all) = (n.saturating_add(1), Millis(all.0.saturating_add(took.0)));
        }
        let seen = self.seen();
        let doubled =
            seen.is_multiple_of(limits::LEARNED) && (seen / limits::LEARNED).is_power_of_two();
        doubled && self.told.is_empty() && self.tips()
    }
}

impl Mission {
    /// What was learned of how long tasks take.
    pub fn durations(&self) -> &Durations {
        &self.durations
    }

    /// From now on turns that run have stood still for a while.
    pub(crate) fn woke_at(&mut self, at: Timestamp) {
        self.durations.woke = at;
    }

    /// A Worker's turn at a task is over. Once it has answered, all turns of its attempt are how long that took: one that
    /// was refused has worked as well. What stood still meanwhile tells nothing.
    pub(crate) fn learn(&mut self, id: TaskId, since: Timestamp, at: Timestamp, ending: &Ending) {
        let goes_on = since >= self.durations.woke;
        let Some(task) = self.tasks.get_mut(&id) else {
            return;
        };
        let worked = task.worked.filter(|_| goes_on);
        task.worked = worked.map(|worked| worked + at.since(since));
        let (kind, size) = (task.task.kind, task.task.size);
        let Some(took) = task.worked.filter(|_| *ending == Ending::Answered) else {
            return;
        };
        if self.durations.learn(kind, size, took) {
            self.durations.reckoned = Some(self.durations.weights());
            self.reckon_paths();
        }
    }

    /// How long a path is, in words.
    pub(crate) fn path_told(&self, path: u64) -> String {
        match self.durations.timed {
            true => format!("about {}", Millis(path)),
            false => format!("{path} small tasks"),
        }
    }

    /// Reckons for each task how long the longest path from its start to the end is.
    pub(crate) fn reckon_paths(&mut self) {
        let known = self.durations.expected(TaskKind::Agent, Size::Small);
        self.durations.timed = known.is_some() || !self.durations.told.is_empty();
        self.durations.reckoned = known.is_some().then(|| self.durations.weights());
        let durations = &self.durations;
        let paths = longest(&self.tasks, |task| durations.weight(task));
        for (id, path) in paths {
            self.task_mut(id).path = path;
            self.ready.moves(id, path);
        }
    }

    /// Tells how long each task will take. For tests, which compare with a mission that knows it.
    #[doc(hidden)]
    pub fn foretell(&mut self, told: BTreeMap<TaskId, Millis>) {
        self.durations.told = told;
        self.reckon_paths();
    }
}

/// The longest path from each task to the end.
pub(super) fn longest(
    tasks: &BTreeMap<TaskId, TaskState>,
    weight: impl Fn(&Task) -> u64,
) -> BTreeMap<TaskId, u64> {
    let mut left: BTreeMap<TaskId, usize> = tasks.keys().map(|id| (*id, 0)).collect();
    for need in tasks.values().flat_map(|task| &task.task.needs) {
        if let Some(left) = left.get_mut(need) {
            *left += 1;
        }
    }
    let mut open: Vec<TaskId> = left
        .iter()
        .filter(|(_, n)| **n == 0)
        .map(|(id, _)| *id)
        .collect();
    let mut paths: BTreeMap<TaskId, u64> = BTreeMap::new();
    while let Some(id) = open.pop() {
        let task = &tasks[&id].task;
        let path = paths.entry(id).or_default();
        *path += weight(task);
        let path = *path;
        for need in &task.needs {
            let Some(n) = left.get_mut(need) else {
                continue;
            };
            let longest = paths.entry(*need).or_default();
            *longest = path.max(*longest);
            *n -= 1;
            if *n == 0 {
                open.push(*need);
            }
        }
    }
    paths
}
