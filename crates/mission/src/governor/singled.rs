//! Turns that are refused again and again while others at the same model are served: what is wrong is what they ask for.
//!
//! Such a turn would take each trial of what is held, be refused, and hold all others back once more. So whoever was
//! refused twice in a row lets others try first; and of whoever was refused so often that others were served in between
//! each time, the next refusal is a fault of the turn, which is bounded as every fault is. A storm refuses everybody
//! alike, and nobody loses an attempt by it of whom that was not found out before.

use crate::decide::cut;
use crate::event::{Ending, Event, Turn};
use crate::ids::{Epoch, TaskId};
use crate::limits;
use crate::mission::{Lease, Mission, State, TaskState};
use crate::planted;
use crate::time::{Millis, Timestamp};
use crate::turn::{Failure, Role, Usage};
use std::collections::BTreeMap;

/// How often in a row a task's turn was refused while others were served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Singled {
    n: u32,
    /// Whether a turn of it has failed by that already.
    blamed: bool,
    /// What came of others since its last refusal at each model.
    since: BTreeMap<String, Others>,
}

/// What came of other turns at one model that began or ended after a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Others {
    after: Timestamp,
    /// Served, of those that began after it.
    served: u32,
    /// Those of which it is not known yet that they are refused each time.
    refused: u32,
    /// Those of which it is, but not that it is their own fault.
    muted: u32,
}

impl Singled {
    /// How often it is with one more refusal at this model, of a turn that came as early as any or let others try first.
    fn next(&self, model: &str, is_early: bool) -> u32 {
        let Some(others) = self.since.get(model) else {
            return self.n;
        };
        match (others.served, others.refused) {
            _ if planted!("storm_blamed_on_turns") => self.n + 1,
            (served, refused) if served > refused => self.n + 1,
            // Nobody was served: it is the provider.
            (0, refused) if refused > 0 => 0,
            // Nobody else asks any more: what was seen before stands. Where others do who are refused each time as well, it
            // says something only of a turn that was found out before.
            (0, 0) if self.blamed => self.n + 1,
            (0, 0) if others.muted == 0 && !is_early && self.n >= limits::SINGLED_SEEN => {
                self.n + 1
            }
            _ => self.n,
        }
    }
}

/// Whether whoever was refused so often in a row comes as early as any all the same.
fn is_early(refusals: u32) -> bool {
    refusals % limits::REFUSED_FAIR == limits::REFUSED_FAIR - 1
}

/// For how much longer than something is held it is left to others, by whoever was refused so often in a row. Now and then
/// it comes as early as any: where much is refused, whoever always comes late finds that others had what there was.
fn left_to_others(refusals: u32) -> Millis {
    match refusals < limits::REFUSED_LAST
        || is_early(refusals)
        || planted!("refused_turn_tries_first")
    {
        true => Millis(0),
        false => Millis(limits::REFUSED_STEP.0 * u64::from(refusals.min(limits::REFUSED_STEPS))),
    }
}

/// Whether a turn that ends was served first, and goes on in its session when it comes back.
pub(crate) fn goes_on(lease: &Lease, usage: &Usage) -> bool {
    matches!(lease.turn, Turn::Work { .. }) && (lease.served || usage.calls > 0)
}

impl Mission {
    /// Whether others try first what is held of a model, before whoever was refused so often in a row.
    fn is_left_to_others(&self, now: Timestamp, model: &str, refusals: u32) -> bool {
        let longer = left_to_others(refusals);
        let mut holds = self.holds_of(model);
        longer > Millis(0) && holds.any(|(_, hold)| now < hold.until + longer)
    }

    /// Whether a turn about a task lets others try first: of Workers, where its next attempt is asked of this model.
    pub(crate) fn lets_others_try(
        &self,
        now: Timestamp,
        role: Role,
        other: Option<&str>,
        refusals: u32,
    ) -> bool {
        // Most were never refused, and ask nobody.
        if refusals < limits::REFUSED_LAST {
            return false;
        }
        let other = other.filter(|model| self.serves(now, model));
        let chosen = other.or_else(|| self.choose_model(now, role).flatten());
        self.is_left_to_others(now, self.model_or_own(role, chosen), refusals)
    }

    /// Until when a task lets others try first that could be tried by now otherwise.
    pub(crate) fn lets_others_try_until(
        &self,
        now: Timestamp,
        task: &TaskState,
    ) -> Option<Timestamp> {
        let (role, due) = match task.state {
            State::Ready => (Role::Worker, now),
            State::Parked { until, .. } => (Role::Worker, until),
            State::Judging { from } => (Role::Reviewer, from),
            State::Splitting { from } => (Role::Planner, from),
            _ => return None,
        };
        let other = task
            .stuck
            .model(task.next().n)
            .filter(|_| role == Role::Worker);
        let later = due <= now && self.lets_others_try(now, role, other, task.refusals);
        let longer = left_to_others(task.refusals);
        let until = || {
            let holds = self.held_providers().chain(self.open_breakers());
            let moments = holds.map(|(_, hold)| hold.until + longer);
            moments.filter(|until| *until > now).min()
        };
        later.then(until).flatten()
    }

    /// When those that let others try first may try themselves, of everything that is held.
    pub(crate) fn next_of_the_last(&self) -> impl Iterator<Item = Timestamp> {
        let holds = self.held_providers().chain(self.open_breakers());
        holds.flat_map(|(_, hold)| {
            let last = self
                .tasks
                .values()
                .map(|task| left_to_others(task.refusals));
            last.filter(|longer| longer.0 > 0)
                .map(|longer| hold.until + longer)
        })
    }

    /// The task that a turn is about.
    fn task_asked_about(&self, lease: &Lease) -> Option<&TaskState> {
        self.tasks.get(&lease.turn.task()?)
    }

    /// How often in a row a turn was refused while others were served, with one more refusal. A Worker that was served
    /// before it was refused goes on where it is, and is no such turn.
    pub(crate) fn singled_out(&self, lease: &Lease, usage: &Usage) -> u32 {
        if goes_on(lease, usage) {
            return 0;
        }
        let task = self.task_asked_about(lease);
        let singled = task.and_then(|task| Some((task.refusals, task.singled.as_ref()?)));
        singled.map_or(0, |(refusals, singled)| {
            singled.next(self.model_of(lease), is_early(refusals))
        })
    }

    /// Whether one more refusal of a turn is its own fault.
    pub(crate) fn is_singled_out(&self, lease: &Lease, usage: &Usage) -> bool {
        self.singled_out(lease, usage) >= limits::SINGLED && !planted!("refused_for_ever")
    }

    /// What is refused to one turn alone holds nobody else back: it is a fault of what that turn asks for.
    pub(crate) fn refused_alone(
        &self,
        now: Timestamp,
        (epoch, lease): (Epoch, &Lease),
        why: &str,
        usage: Usage,
    ) -> Vec<Event> {
        let why = cut(&format!(
            "it is refused again and again, and others were served: {why}"
        ));
        let failure = Failure::Refused;
        let then = self.after_failure(now, lease.turn, failure, &why);
        let ending = Ending::Failed { failure, why };
        self.end_turn(epoch, lease, ending, usage, then)
    }

    /// Folds the end of a turn: what it says of itself and of others that were refused.
    pub(crate) fn singles_out(
        &mut self,
        at: Timestamp,
        lease: &Lease,
        ending: &Ending,
        usage: &Usage,
    ) {
        let model = self.model_of(lease).to_owned();
        let own = lease.turn.task();
        match ending {
            // What its model or the way there did says nothing of what is asked for.
            Ending::Refused { outage: true, .. } => {}
            Ending::Refused { .. } if goes_on(lease, usage) => {
                self.tell_the_refused(&model, own, |others| others.refused += 1);
                self.is_served_after_all(own);
            }
            Ending::Refused { .. } => {
                // Whoever is refused each time says nothing of the provider.
                let task = self.task_asked_about(lease);
                let says = task.is_none_or(|task| task.refusals < limits::REFUSED_LAST);
                let n = task.and_then(|task| Some(task.singled.as_ref()?.n));
                let is_found = n.is_some_and(|n| n >= limits::SINGLED_SEEN);
                self.tell_the_refused(&model, own, |others| {
                    others.refused += u32::from(says);
                    others.muted += u32::from(!says && !is_found);
                });
                let n = self.singled_out(lease, usage);
                if let Some(task) = own.and_then(|id| self.tasks.get_mut(&id)) {
                    let singled = task.singled.get_or_insert_default();
                    singled.n = n;
                    let others = Others {
                        after: at,
                        served: 0,
                        refused: 0,
                        muted: 0,
                    };
                    singled.since.insert(model, others);
                }
            }
            // That it was not heard of says nothing of what it asks for.
            Ending::Held { .. }
            | Ending::Cancelled
            | Ending::Failed {
                failure: Failure::Transient | Failure::Silent | Failure::Machine,
                ..
            } => {}
            // Whoever tries next asks for the same, and others may all be done by then.
            Ending::Failed {
                failure: Failure::Refused,
                ..
            } => {
                if let Some(task) = own.and_then(|id| self.tasks.get_mut(&id)) {
                    let singled = task.singled.get_or_insert_default();
                    singled.n = limits::SINGLED_SEEN;
                    singled.blamed = true;
                    singled.since.clear();
                }
            }
            Ending::Answered | Ending::Failed { .. } | Ending::Expired | Ending::Overspent => {
                if *ending == Ending::Answered && !lease.served {
                    self.others_were_served(&model, lease);
                }
                self.is_served_after_all(own);
            }
        }
    }

    /// Nothing of what was refused before counts for a task any more.
    fn is_served_after_all(&mut self, task: Option<TaskId>) {
        if let Some(task) = task.and_then(|id| self.tasks.get_mut(&id)) {
            (task.singled, task.refusals) = (None, 0);
        }
    }

    /// Folds that a turn was served, for those that were refused before it began.
    pub(super) fn others_were_served(&mut self, model: &str, lease: &Lease) {
        let since = lease.since;
        self.tell_the_refused(model, lease.turn.task(), |others| {
            others.served += u32::from(since > others.after);
        });
    }

    /// What came of one turn, for all others that were refused at its model.
    fn tell_the_refused(&mut self, model: &str, own: Option<TaskId>, tell: impl Fn(&mut Others)) {
        for task in self.tasks.values_mut() {
            let others = task.singled.as_mut().filter(|_| own != Some(task.task.id));
            if let Some(others) = others.and_then(|singled| singled.since.get_mut(model)) {
                tell(others);
            }
        }
    }

    /// A model has a name now: what is known of the one without is known of it.
    pub(super) fn singled_at(&mut self, model: &str) {
        for task in self.tasks.values_mut() {
            let since = task.singled.as_mut().map(|singled| &mut singled.since);
            if let Some(since) = since
                && let Some(others) = since.remove("")
            {
                since.entry(model.to_owned()).or_insert(others);
            }
        }
    }

    /// What a refusal says of the turn itself.
    pub(crate) fn why_singled(
        &self,
        lease: &Lease,
        ending: &Ending,
        usage: &Usage,
    ) -> Option<String> {
        if matches!(ending, Ending::Refused { outage: true, .. }) {
            return None;
        }
        let task = self.task_asked_about(lease)?;
        let n = self.singled_out(lease, usage);
        let refusals = match goes_on(lease, usage) {
            true => 1,
            false => task.refusals + 1,
        };
        let longer = left_to_others(refusals);
        match ending {
            Ending::Refused { .. } if longer > Millis(0) => Some(format!(
                "others may try first for {longer} after that; others were served between its refusals {n} of {} times",
                limits::SINGLED
            )),
            Ending::Failed {
                failure: Failure::Refused,
                ..
            } => Some(format!(
                "others were served between its refusals {n} times: what it asks for is at fault, and nobody else is held back"
            )),
            _ => None,
        }
    }
}
