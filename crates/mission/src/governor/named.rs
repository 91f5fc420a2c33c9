//! Waits for which a provider named a time: until when they are believed, and what is left of a mission that they outlast.

use crate::decide::cut;
use crate::event::Event;
use crate::governor::{provider_of, told};
use crate::ids::Epoch;
use crate::limits;
use crate::mission::{Lease, Mission, Phase, State};
use crate::planted;
use crate::recovery;
use crate::time::{Millis, Timestamp};

impl Mission {
    /// What a provider's refusal of a turn means: until when it is held, and the event that says so where it does not
    /// say what is known already. Of many turns that are refused at once one counts.
    pub(crate) fn held_by(
        &self,
        now: Timestamp,
        (epoch, lease): (Epoch, &Lease),
        asked: Option<Millis>,
        why: &str,
        waits: bool,
    ) -> (Timestamp, Option<Event>) {
        let name = self.held_name(lease, asked);
        let known = self.governor.held.get(name);
        let same = known.filter(|hold| hold.until > now);
        let n = match (same, known) {
            (Some(hold), _) => hold.n.max(1),
            // It ran already when that was held, and does not tell it a second time.
            (None, Some(hold)) if hold.tried_by(lease).is_none() => hold.n.max(1),
            (None, known) => known.map_or(0, |hold| hold.n) + 1,
        };
        let seed = format!("{}/{name}/{}", self.nonce, epoch.0);
        // A session that goes on waiting says the same again, and less of it is left.
        let earlier = if lease.waits { 0 } else { n - 1 };
        let until = now + recovery::after_refusal(asked, earlier, &seed);
        let is_news = waits && !lease.waits;
        if let Some(hold) = same
            && (asked.is_none() || until <= hold.until + limits::REFUSAL_LEAST)
            && !is_news
        {
            return (hold.until, None);
        }
        let until = same.map_or(until, |hold| hold.until.max(until));
        let held = Event::ProviderHeld {
            provider: name.to_owned(),
            until,
            why: cut(why),
            n,
            epoch: waits.then_some(epoch),
        };
        (until, Some(held))
    }

    /// What a refusal holds that asks for such a wait: the provider, or, for longer than any rate limit lasts, the model
    /// alone. That is a quota, and many providers have one for each model.
    pub(crate) fn held_name<'a>(&'a self, lease: &'a Lease, asked: Option<Millis>) -> &'a str {
        let model = self.model_of(lease);
        match asked.is_some_and(|asked| asked > limits::REFUSAL_MOST) {
            true => model,
            false => provider_of(model),
        }
    }

    /// Until when a turn waits whose provider or model is held: less long where another model may be asked before.
    pub(crate) fn waits_until(
        &self,
        now: Timestamp,
        lease: &Lease,
        of: &str,
        held: Timestamp,
    ) -> Timestamp {
        let is_long = of.contains('/') || held.since(now) > limits::FALLBACK_AFTER;
        if !is_long {
            return held;
        }
        let role = lease.turn.role();
        let others = self.terms.fallbacks.get(&role).into_iter().flatten();
        let others = others.map(String::as_str);
        // Its role's own may be what it was not asked of this time.
        let all = std::iter::once(self.model_or_own(role, None)).chain(others);
        let concerns = |model: &str| of == model || of == provider_of(model);
        let free = all
            .filter(|model| !concerns(model))
            .map(|model| self.holds_of(model).map(|(_, hold)| hold.until).max())
            .map(|until| until.unwrap_or(now).max(now + limits::REFUSAL_LEAST));
        free.min().map_or(held, |free| free.min(held))
    }

    /// Somebody lets the mission go on, or an engine takes it up. He may know more than what was said when a provider named
    /// hours: a quota was raised, or another account is used. So whatever would be waited for that long is asked once, now;
    /// one turn tries it, as ever, and what it is told then is believed again.
    pub(crate) fn asks_anew(&mut self, at: Timestamp) {
        let far = at + limits::ASKED_ANEW;
        let sooner = |until: &mut Timestamp| {
            if *until > far && !planted!("long_hold_not_asked_anew") {
                *until = at;
            }
        };
        self.governor
            .holds_mut()
            .for_each(|hold| sooner(&mut hold.until));
        sooner(&mut self.reading.from);
        sooner(&mut self.planning.from);
        let later = self.tasks.values().filter_map(|task| {
            let mut state = task.state.clone();
            match &mut state {
                State::Parked { until: from, .. }
                | State::Judging { from }
                | State::Splitting { from } => sooner(from),
                _ => {}
            }
            (state != task.state).then_some((task.task.id, state))
        });
        for (id, state) in later.collect::<Vec<_>>() {
            self.set_state(id, state);
        }
        // What could start now rises from now on.
        self.time_goes_on(at);
    }

    /// Nothing runs, and whatever could go on waits for a moment that comes too late: the mission ends with what it has,
    /// and says what it would have waited for. A resume gives it more time.
    pub(crate) fn waits_past_its_end(&self, now: Timestamp) -> Vec<Event> {
        let may = matches!(
            self.phase,
            Phase::Reading | Phase::Planning | Phase::Running
        );
        // Of these another moment is over when nobody knows.
        let room = self.full().is_some() || self.cramped().is_some();
        let other = room || self.paused.is_some() || self.awaits_set_up();
        if !may || other || self.winding_down() || !self.rests() {
            return Vec::new();
        }
        let next = self.next_try(now);
        let Some(next) = next.filter(|next| *next + self.least_time() > self.deadline) else {
            return Vec::new();
        };
        if planted!("waits_past_its_end") {
            return Vec::new();
        }
        let mut holds = self.held_providers().chain(self.open_breakers());
        let what = match holds.find(|(_, hold)| hold.until == next) {
            Some((name, _)) => format!("{} may be asked again", told(name)),
            None => "anything is tried again".to_owned(),
        };
        let (wait, left) = (next.since(now), self.deadline.since(now));
        let asks = match wait > limits::ASKED_ANEW {
            true => "asks at once and ",
            false => "",
        };
        let why = format!(
            "its time is over in {left}, and {what} in {wait}; a resume {asks}gives it {} more",
            self.terms.mission
        );
        vec![Event::Halted { why: cut(&why) }]
    }
}
