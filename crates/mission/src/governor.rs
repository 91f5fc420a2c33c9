//! Whom turns are asked of, and when: what a provider refuses to one it refuses to all, and a model that fails again and
//! again is left alone for a while.
//!
//! A provider that refuses is *held*: no turn begins there until it may be asked again. Then one turn is sent to see, and
//! with each one that is served twice as many, so that not everybody comes back at once. A model whose turns their host
//! fails in a row has its *breaker* opened: it is held likewise, and one turn at a time tries it until it has served two.
//! All of it is folded from events; a task that waits for a provider loses nothing by it.

mod named;
mod refused;
mod singled;

use crate::decide::cut;
use crate::event::{Ending, Event};
use crate::ids::Epoch;
use crate::limits;
use crate::mission::{Lease, Mission};
use crate::planted;
use crate::recovery;
use crate::time::Timestamp;
use crate::turn::{Failure, Role};
use std::collections::BTreeMap;

pub(crate) use refused::Said;
pub(crate) use singled::Singled;

/// A provider or a model of which nothing new is asked until a moment, and little for a while after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Since when.
    pub since: Timestamp,
    /// Until when nothing is asked of it.
    pub until: Timestamp,
    /// Why. Untrusted text: escape it where it is shown.
    pub why: String,
    /// How often in a row.
    pub n: u32,
    /// Whether it was to last for so long that something else is to be asked meanwhile.
    is_long: bool,
    /// So many turns may try it at once after that.
    permits: u32,
    /// So many that tried it were served.
    served: u32,
}

/// What is known of one model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Breaker {
    /// Turns that its host failed, in a row.
    failures: u32,
    open: Option<Hold>,
}

/// Everything that is known of providers and models. The empty name is the one that nobody has named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Governor {
    /// What the host says that a role is carried out by where nothing else is said.
    named: BTreeMap<Role, String>,
    /// What it is carried out by instead.
    instead: BTreeMap<Role, String>,
    /// What ever was instead, and how often that began.
    switched: BTreeMap<(Role, String), u32>,
    /// Providers, and models of which a quota is spent.
    held: BTreeMap<String, Hold>,
    breakers: BTreeMap<String, Breaker>,
    /// The most tokens that a model writes in one answer, where the host said so.
    outputs: BTreeMap<String, u64>,
}

/// The provider of a model, which is written `provider/model`.
pub fn provider_of(model: &str) -> &str {
    model.split_once('/').map_or("", |(provider, _)| provider)
}

/// What a refusal may hold of a model: its provider, and itself. Where nobody has named it that is the same.
fn names_of(model: &str) -> impl Iterator<Item = &str> {
    let provider = provider_of(model);
    std::iter::once(provider).chain(Some(model).filter(|model| *model != provider))
}

/// What people call a provider or a model.
pub fn told(name: &str) -> &str {
    match name {
        "" => "the provider",
        name => name,
    }
}

impl Hold {
    fn new(since: Timestamp, until: Timestamp, why: &str, n: u32) -> Self {
        Self {
            since,
            until,
            why: why.to_owned(),
            n,
            is_long: until.since(since) > limits::FALLBACK_AFTER,
            permits: 1,
            served: 0,
        }
    }

    /// How many turns may try it at once.
    pub fn permits(&self) -> u32 {
        self.permits
    }

    /// Since when a turn tries it, if it does: it was begun for that, or waits for it in its session.
    pub(crate) fn tried_by(&self, lease: &Lease) -> Option<Timestamp> {
        match lease.waits {
            true => Some(self.until),
            false => Some(lease.since).filter(|since| *since >= self.until),
        }
    }
}

impl Governor {
    fn holds_mut(&mut self) -> impl Iterator<Item = &mut Hold> {
        let breakers = self.breakers.values_mut();
        let open = breakers.filter_map(|breaker| breaker.open.as_mut());
        self.held.values_mut().chain(open)
    }

    /// A person who lets a sealed mission go on wants everything tried anew; of providers only what they ask for long waits
    /// is, see [`Mission::asks_anew`].
    pub(crate) fn resumed(&mut self) {
        self.breakers.clear();
        // Another model may have been chosen for it.
        self.named.clear();
    }
}

impl Mission {
    /// Providers that refused, and models of which only that was told, or on trial after that.
    pub fn held_providers(&self) -> impl Iterator<Item = (&str, &Hold)> {
        let held = self.governor.held.iter();
        held.map(|(name, hold)| (name.as_str(), hold))
    }

    /// Models whose breaker is open, or on trial after that.
    pub fn open_breakers(&self) -> impl Iterator<Item = (&str, &Hold)> {
        let breakers = self.governor.breakers.iter();
        breakers.filter_map(|(name, breaker)| Some((name.as_str(), breaker.open.as_ref()?)))
    }

    /// How many turns in a row their host failed at a model.
    pub(crate) fn failures_at(&self, model: &str) -> u32 {
        let breaker = self.governor.breakers.get(model);
        breaker.map_or(0, |breaker| breaker.failures)
    }

    /// The models that roles are carried out by instead of their own.
    pub fn instead(&self) -> impl Iterator<Item = (Role, &str)> {
        let instead = self.governor.instead.iter();
        instead.map(|(role, model)| (*role, model.as_str()))
    }

    /// Every model that ever carried a role out instead of its own, and how often that began.
    pub fn switched(&self) -> impl Iterator<Item = (Role, &str, u32)> {
        let switched = self.governor.switched.iter();
        switched.map(|((role, model), n)| (*role, model.as_str(), *n))
    }

    /// The model that a role is asked of: this one, or what the host said where nothing is chosen.
    pub(crate) fn model_or_own<'a>(&'a self, role: Role, chosen: Option<&'a str>) -> &'a str {
        let own = || self.governor.named.get(&role).map(String::as_str);
        chosen.or_else(own).unwrap_or_default()
    }

    /// The model of a running turn, as far as it is known.
    pub fn model_of<'a>(&'a self, lease: &'a Lease) -> &'a str {
        self.model_or_own(lease.turn.role(), lease.model.as_deref())
    }

    /// The holds that a turn at this model has to do with, each with its name: of its provider, and two of itself.
    fn holds_of<'a>(&'a self, model: &'a str) -> impl Iterator<Item = (&'a str, &'a Hold)> {
        let refused = names_of(model).filter_map(|of| Some((of, self.governor.held.get(of)?)));
        refused.chain(self.breaker_of(model).map(|open| (model, open)))
    }

    /// Its breaker, where that is open.
    fn breaker_of(&self, model: &str) -> Option<&Hold> {
        self.governor.breakers.get(model)?.open.as_ref()
    }

    /// Turns that try what was held and of which nobody knows yet whether they are served, each with when it is taken
    /// for one that is: a model that has not refused for so long is at work.
    fn trying<'a>(&'a self, hold: &'a Hold, of: &'a str) -> impl Iterator<Item = Timestamp> {
        let at = move |model: &str| of == model || of == provider_of(model);
        self.leases
            .values()
            .filter(move |lease| !lease.served && at(self.model_of(lease)))
            .filter_map(|lease| Some(hold.tried_by(lease)? + limits::TRIAL))
    }

    /// Whether one more turn may begin under this hold.
    fn admits(&self, now: Timestamp, hold: &Hold, of: &str) -> bool {
        let trying = self.trying(hold, of).filter(|until| *until > now).count();
        let room = trying < hold.permits as usize || planted!("probe_not_limited");
        hold.until <= now && room
    }

    /// Whether one more turn may begin at this model.
    pub(crate) fn serves(&self, now: Timestamp, model: &str) -> bool {
        self.holds_of(model)
            .all(|(of, hold)| self.admits(now, hold, of) || planted!("hold_ignored"))
    }

    /// What the next turn of a role waits for, if it is a provider or a model, with its name.
    pub(crate) fn held_for(&self, now: Timestamp, role: Role) -> Option<(&str, &Hold)> {
        let model = self.model_or_own(role, None);
        let waits = self.choose_model(now, role).is_none();
        self.holds_of(model)
            .find(|(_, hold)| waits && hold.until > now)
    }

    /// Providers and models that a turn tries while others wait, and until when they do at the most.
    pub(crate) fn on_trial(&self, now: Timestamp) -> impl Iterator<Item = (&str, Timestamp)> {
        let holds = self.held_providers().chain(self.open_breakers());
        holds.filter_map(move |(of, hold)| {
            let waits = hold.until <= now && !self.admits(now, hold, of);
            let mut trying = self.trying(hold, of).filter(|until| *until > now);
            Some((of, trying.next().filter(|_| waits)?))
        })
    }

    /// The model that the next turn of a role is asked of, if any can be now: its own, or the first of those to fall
    /// back to where those before it are broken or held for long. Inside, `None` is its own.
    pub(crate) fn choose_model(&self, now: Timestamp, role: Role) -> Option<Option<&str>> {
        let fallbacks = self.terms.fallbacks.get(&role).into_iter().flatten();
        let others = fallbacks.map(|model| Some(model.as_str()));
        for chosen in std::iter::once(None).chain(others) {
            let model = self.model_or_own(role, chosen);
            if self.serves(now, model) {
                return Some(chosen);
            }
            let broken = self.breaker_of(model).is_some();
            if !broken && !self.holds_of(model).any(|(_, hold)| hold.is_long) {
                return None;
            }
        }
        None
    }

    /// The provider that the next turn of a role would be asked of; its own where it may not be asked of any now.
    pub(crate) fn provider_for(&self, now: Timestamp, role: Role) -> &str {
        let chosen = self.choose_model(now, role).flatten();
        provider_of(self.model_or_own(role, chosen))
    }

    /// The provider that a role's last turn was asked of where it was its role's.
    pub(crate) fn provider_asked(&self, role: Role) -> &str {
        let instead = self.governor.instead.get(&role).map(String::as_str);
        provider_of(self.model_or_own(role, instead))
    }

    /// Why a role is not carried out by its own model.
    fn why_not_own(&self, role: Role) -> String {
        let own = self.model_or_own(role, None);
        if let Some(open) = self.breaker_of(own) {
            return format!("the breaker of {} is open: {}", told(own), open.why);
        }
        match self.holds_of(own).max_by_key(|(_, hold)| hold.until) {
            Some((name, held)) => format!("{} is held: {}", told(name), held.why),
            None => "it serves again".to_owned(),
        }
    }

    /// What is to be recorded before a turn of a role begins, where another model carries it out than before.
    pub(crate) fn switch(&self, role: Role, chosen: Option<&str>) -> Option<Event> {
        let before = self.governor.instead.get(&role).map(String::as_str);
        (before != chosen).then(|| Event::ModelSwitched {
            role,
            model: chosen.map(str::to_owned),
            why: match chosen {
                Some(_) => cut(&self.why_not_own(role)),
                None => "it is tried again".to_owned(),
            },
        })
    }

    /// The next moment at which something that is held may be asked, or one more turn may try it.
    pub(crate) fn next_trial(&self, now: Timestamp) -> Option<Timestamp> {
        let holds = self.held_providers().chain(self.open_breakers());
        let moments = holds.flat_map(|(of, hold)| {
            let trying = self.trying(hold, of);
            std::iter::once(hold.until).chain(trying)
        });
        let moments = moments.chain(self.next_of_the_last());
        let next = moments.filter(|at| *at > now).min();
        next.filter(|_| !planted!("hold_wakes_nobody"))
    }

    /// What follows for its model from a turn that its host failed.
    pub(crate) fn breaks(
        &self,
        now: Timestamp,
        lease: &Lease,
        failure: Failure,
        why: &str,
    ) -> Option<Event> {
        let model = self.model_of(lease);
        if failure == Failure::Fatal && lease.model.is_some() {
            return Some(Event::BreakerOpened {
                model: model.to_owned(),
                until: now + limits::REFUSAL_MOST,
                why: cut(why),
                // That it cannot be asked from here says nothing to others.
                n: 0,
            });
        }
        if !matches!(failure, Failure::Transient | Failure::Silent) {
            return None;
        }
        let breaker = self.governor.breakers.get(model);
        let open = breaker.and_then(|breaker| breaker.open.as_ref());
        let n = match open {
            // It ran already when the breaker opened, and tells nothing new.
            Some(hold) if hold.tried_by(lease).is_none() => return None,
            Some(hold) => hold.n + 1,
            None if breaker.map_or(0, |known| known.failures) + 1 < limits::BREAKER => return None,
            None => 1,
        };
        let wait = recovery::wait(limits::BREAKER_OPEN, limits::REFUSAL_MOST, n);
        Some(Event::BreakerOpened {
            model: model.to_owned(),
            until: now + wait,
            why: cut(why),
            n,
        })
    }

    /// Whether it is news that a turn is served: it tries something that was held.
    pub(crate) fn is_first_served(&self, now: Timestamp, lease: &Lease) -> bool {
        let mut holds = self.holds_of(self.model_of(lease));
        let tries = |hold: &Hold| hold.until <= now && hold.tried_by(lease).is_some();
        !lease.served && holds.any(|(_, hold)| tries(hold))
    }

    /// Until when a provider or a model is known to be held.
    pub(crate) fn hold_until(&self, name: &str) -> Option<Timestamp> {
        let holds = self.held_providers().chain(self.open_breakers());
        let mut of = holds.filter(|(held, _)| *held == name);
        of.next().map(|(_, hold)| hold.until)
    }

    /// Folds in what an event says of whom turns are asked of.
    pub(crate) fn asked_event(&mut self, at: Timestamp, event: &Event) {
        match event {
            Event::TurnServed { epoch } => self.served(at, *epoch),
            Event::ModelNamed { role, model } => self.model_named(*role, model),
            Event::ModelLimited { model, output } => {
                self.governor.outputs.insert(model.clone(), *output);
            }
            Event::ModelSwitched { role, model, .. } => self.model_switched(*role, model.as_ref()),
            Event::ProviderHeld {
                provider,
                until,
                why,
                n,
                epoch,
            } => self.provider_held(at, provider, (*until, why, *n), *epoch),
            Event::BreakerOpened {
                model,
                until,
                why,
                n,
            } => self.breaker_opened(at, model, (*until, why, *n)),
            _ => {}
        }
    }

    fn model_named(&mut self, role: Role, model: &str) {
        // What was known of the one without a name is known of this one.
        if let Some(hold) = self.governor.held.remove("") {
            let provider = provider_of(model).to_owned();
            self.governor.held.entry(provider).or_insert(hold);
        }
        if let Some(breaker) = self.governor.breakers.remove("") {
            let known = self.governor.breakers.entry(model.to_owned());
            let known = known.or_default();
            known.failures = known.failures.max(breaker.failures);
            known.open = known.open.take().or(breaker.open);
        }
        self.singled_at(model);
        self.slots.named(role, provider_of(model));
        self.governor.named.insert(role, model.to_owned());
    }

    /// Whether that is what is known.
    pub(crate) fn is_named(&self, role: Role, model: &str) -> bool {
        self.governor
            .named
            .get(&role)
            .is_some_and(|known| known == model)
    }

    /// The most tokens that a model writes in one answer, where that is known.
    pub(crate) fn output_of(&self, model: &str) -> Option<u64> {
        self.governor.outputs.get(model).copied()
    }

    /// What is to be recorded where a host says something else than is known of how much a model writes.
    pub(crate) fn limited_otherwise(&self, model: &str, output: Option<u64>) -> Option<Event> {
        let outputs = &self.governor.outputs;
        let has_room = outputs.len() < limits::MODELS || outputs.contains_key(model);
        let output = output.filter(|output| *output > 0 && has_room && !model.is_empty())?;
        (self.output_of(model) != Some(output)).then(|| Event::ModelLimited {
            model: model.to_owned(),
            output,
        })
    }

    /// Every model that a turn of a role may be asked of, as far as they are known.
    pub(crate) fn models_for(&self, role: Role) -> impl Iterator<Item = &str> {
        let fallbacks = self.terms.fallbacks.get(&role).into_iter().flatten();
        let others = fallbacks.map(|model| Some(model.as_str()));
        let all = std::iter::once(None).chain(others);
        all.map(move |chosen| self.model_or_own(role, chosen))
    }

    fn model_switched(&mut self, role: Role, model: Option<&String>) {
        let Some(model) = model else {
            self.governor.instead.remove(&role);
            return;
        };
        self.governor.instead.insert(role, model.clone());
        let often = self.governor.switched.entry((role, model.clone()));
        *often.or_default() += 1;
    }

    /// The model that a turn of this role is asked of that begins now.
    pub(crate) fn chosen(&self, role: Role) -> Option<String> {
        self.governor.instead.get(&role).cloned()
    }

    fn provider_held(
        &mut self,
        at: Timestamp,
        provider: &str,
        hold: (Timestamp, &str, u32),
        epoch: Option<Epoch>,
    ) {
        let (until, why, n) = hold;
        let n = match self.governor.held.get(provider) {
            Some(known) if n == 0 => known.n,
            _ => n,
        };
        let hold = Hold::new(at, until, why, n);
        self.governor.held.insert(provider.to_owned(), hold);
        if let Some(lease) = epoch.and_then(|epoch| self.leases.get_mut(&epoch)) {
            (lease.waits, lease.served) = (true, false);
        }
    }

    fn breaker_opened(
        &mut self,
        at: Timestamp,
        model: &str,
        (until, why, n): (Timestamp, &str, u32),
    ) {
        let breaker = self.governor.breakers.entry(model.to_owned()).or_default();
        let n = match &breaker.open {
            Some(known) if n == 0 => known.n,
            _ => n,
        };
        breaker.open = Some(Hold::new(at, until, why, n));
    }

    /// A running turn was served.
    fn served(&mut self, at: Timestamp, epoch: Epoch) {
        let Some(mut lease) = self.leases.get(&epoch).cloned() else {
            return;
        };
        let model = self.model_of(&lease).to_owned();
        self.tried(at, &model, &lease);
        self.others_were_served(&model, &lease);
        (lease.served, lease.waits) = (true, false);
        self.leases.insert(epoch, lease);
    }

    /// A turn that tried this model was served.
    fn tried(&mut self, at: Timestamp, model: &str, lease: &Lease) {
        let tries = |hold: &Hold| hold.until <= at && hold.tried_by(lease).is_some();
        for of in names_of(model) {
            if let Some(hold) = self.governor.held.get_mut(of)
                && tries(hold)
            {
                // Whatever it refuses next is the first in a row.
                (hold.permits, hold.n) = (hold.permits * 2, 0);
                if hold.permits > limits::TRIALS {
                    self.governor.held.remove(of);
                }
            }
        }
        if let Some(breaker) = self.governor.breakers.get_mut(model)
            && let Some(hold) = &mut breaker.open
            && tries(hold)
        {
            hold.served += 1;
            if hold.served >= limits::BREAKER_CLOSES && !planted!("breaker_never_closes") {
                self.governor.breakers.remove(model);
            }
        }
    }

    /// A turn is over: it was served, or its host failed it, or that is not known.
    pub(crate) fn turn_at_model_ended(&mut self, at: Timestamp, lease: &Lease, ending: &Ending) {
        let model = self.model_of(lease).to_owned();
        match ending {
            Ending::Failed {
                failure: Failure::Transient | Failure::Silent,
                ..
            }
            | Ending::Refused { outage: true, .. } => {
                self.governor.breakers.entry(model).or_default().failures += 1;
            }
            // It says nothing of the model.
            Ending::Failed {
                failure: Failure::Machine | Failure::Refused,
                ..
            } => {}
            Ending::Answered | Ending::Failed { .. } => {
                if let Some(breaker) = self.governor.breakers.get_mut(&model) {
                    breaker.failures = 0;
                }
                if !lease.served {
                    self.tried(at, &model, lease);
                }
            }
            _ => {}
        }
    }
}
