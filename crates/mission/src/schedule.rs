//! Which task a free Worker takes next, and in which lane.
//!
//! A task that could start belongs to the lane of the task that made it ready, where its workspace is warm; those that
//! need nothing are dealt out. A free lane takes the newest of its own, and where it has none the oldest of the richest
//! lane. Both only among the tasks of the best rank: the highest class first, and of that the longest remaining path.

mod claim;
mod durations;
mod fan;
mod pressure;
mod ready;
mod room;
mod slots;
mod width;

pub(crate) use claim::Claim;
pub use durations::{Durations, Took};
pub use fan::{Critical, Fan, Narrow};
pub use pressure::{Gauge, Pressure, Sample, Short};
pub(crate) use ready::{Rank, Ready};
pub(crate) use room::Disk;
pub use room::Place;
pub(crate) use slots::AtProviders;
pub use slots::Slots;

use crate::governor::provider_of;
use crate::ids::TaskId;
use crate::limits;
use crate::mission::{Mission, State, TaskState};
use crate::plan::TaskKind;
use crate::planted;
use crate::time::{Millis, Timestamp};
use crate::turn::Role;
use std::cell::OnceCell;
use std::cmp::Reverse;

impl Mission {
    /// What could start by now may: parked tasks whose time has come are ready again, and who waited long rises.
    pub(crate) fn time_goes_on(&mut self, at: Timestamp) {
        while let Some((until, id)) = self
            .parked
            .first()
            .copied()
            .filter(|(until, _)| *until <= at)
        {
            self.parked.remove(&(until, id));
            self.make_ready(id);
        }
        if self.paused.is_none() && self.outcome.is_none() {
            self.ready.age(at);
        }
    }

    /// Puts a task among those that could start.
    pub(crate) fn make_ready(&mut self, id: TaskId) {
        let rank = self.rank(id);
        let task = &self.tasks[&id];
        let home = task.lane.or(task.home);
        let claim = (task.task.kind == TaskKind::Agent).then(|| Claim::of(task));
        let home = home.filter(|_| claim.is_some());
        let (lanes, last) = (self.lanes_open(), self.last);
        self.ready.insert(id, rank, claim, home, lanes, last);
    }

    /// The task that starts now and its lane, if one can: the best of those that are ready and of those whose wait ends
    /// at this very moment. One that needs a resource which somebody has is passed over, and so is one whose provider has
    /// no slot free; one that needs more slots than are free is waited for, or lighter ones would pass it for ever.
    pub(crate) fn next_work(&self, now: Timestamp) -> Option<(TaskId, u32)> {
        let most = self.lanes_open();
        if self.slots_taken(Role::Worker, None) >= most {
            return None;
        }
        let free_at = |provider: &str| self.slots_free(Role::Worker, provider, most).1 > 0;
        // A provider that may not be asked now is waited for by its own tasks, and by nobody else.
        let serves = self.choose_model(now, Role::Worker).is_some();
        let at_own = serves && free_at(self.provider_for(now, Role::Worker));
        let has_slot = |model: Option<&str>| match model.filter(|model| self.serves(now, model)) {
            Some(other) => free_at(provider_of(other)),
            None => at_own,
        };
        let taken: Vec<u32> = self.leases_of(Role::Worker).collect();
        let is_free = |lane: &u32| {
            let alone = !taken.contains(lane) || planted!("lane_shared");
            alone && self.may_begin_in(Place::Worker(*lane))
        };
        // Where no workspace is made, one that stands is of use wherever it is.
        let lanes = match self.cramped() {
            Some(_) => self.lanes(),
            None => most,
        };
        let free: Vec<u32> = (1..=lanes).filter(is_free).collect();
        // Most plans name no resource, and then no check is asked for one.
        let wanted = OnceCell::new();
        let may = |resources: &[String]| {
            resources.is_empty()
                || self.are_free(resources) && {
                    let wanted = wanted.get_or_init(|| self.wanted_by_checks());
                    !resources.iter().any(|name| wanted.contains(name.as_str()))
                }
        };
        // Of time that only passed no event tells; who has waited long enough by now has risen all the same.
        let aged = self.ready.aged(now);
        let all = aged.as_ref().unwrap_or(&self.ready);
        let could = |model: Option<&str>, refusals: u32, resources: &[String]| {
            let later = self.lets_others_try(now, Role::Worker, model, refusals);
            has_slot(model) && !later && may(resources)
        };
        let ready = all.best(&free, |claim| {
            could(claim.model.as_deref(), claim.refusals, &claim.resources)
        });
        let woken = self.woken(now, |task| {
            let model = task.stuck.model(task.next().n);
            could(model, task.refusals, &task.task.resources)
        });
        let (rank, id, lane) = match (ready, woken) {
            (Some(best), Some(woken)) if best.0 < self.rank(woken) => best,
            (Some(best), None) => best,
            (_, Some(woken)) => {
                let own = self.tasks[&woken].lane.filter(|lane| free.contains(lane));
                (self.rank(woken), woken, own.or(free.first().copied())?)
            }
            (None, None) => return None,
        };
        let provider = self.provider_of_next(now, id);
        let (slots, room) = self.slots_free(Role::Worker, provider, most);
        let weight = self.tasks[&id].task.weight.min(slots);
        // It is of the best class that there is: where it may not start, nobody may.
        (weight <= room && self.has_room_for(rank.0.0)).then_some((id, lane))
    }

    /// In so many lanes the plan is carried out.
    pub(crate) fn lanes_open(&self) -> u32 {
        let most = self.fan.map_or(u32::MAX, |fan| fan.lanes);
        most.min(self.lanes())
    }

    /// Time in which nobody ran the mission, or in which it was paused, makes nobody rise.
    pub(crate) fn nobody_waited(&mut self, idle: Millis) {
        self.ready.waits_longer(idle);
    }

    pub(crate) fn rank(&self, id: TaskId) -> Rank {
        let task = &self.tasks[&id];
        let (priority, weight) = (task.task.priority, task.task.weight);
        (Reverse(priority), Reverse(task.path), Reverse(weight))
    }

    /// The best of the parked tasks whose time has come at this very moment, of which no event tells yet, and that may
    /// start. When one of them starts the others are ready, so that only the first few need to be compared.
    fn woken(&self, now: Timestamp, may: impl Fn(&TaskState) -> bool) -> Option<TaskId> {
        let due = self.parked.iter().take_while(|(until, _)| *until <= now);
        let due = due.map(|(_, id)| *id).filter(|id| may(&self.tasks[id]));
        let few = due.take(limits::WORKERS_CAP as usize);
        few.min_by_key(|id| (self.rank(*id), *id))
    }

    /// The first tasks of a plan are dealt out to the lanes, the best first.
    pub(crate) fn deal(&mut self, ids: &[TaskId]) {
        let mut ids = ids.to_vec();
        ids.sort_by_key(|id| (self.rank(*id), *id));
        let lanes = self.lanes_open();
        for (n, id) in (0..).zip(&ids) {
            self.task_mut(*id).home = Some(n % lanes + 1);
        }
        // A lane takes its newest, which is to be its best.
        for id in ids.iter().rev() {
            self.set_state(*id, State::Ready);
        }
    }
}
