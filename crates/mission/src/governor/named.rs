//! Waits for which a provider named a time: until when they are believed, and what is left of a mission that they outlast.

use crate::event::Event;
use crate::governor::told;
use crate::limits;
use crate::mission::{Mission, Phase, State};
use crate::planted;
use crate::time::Timestamp;

impl Mission {
    /// Somebody lets the mission go on. He may know more than what was said when a provider named hours: a quota was
    /// raised, or another account is used. So whatever would be waited for that long is asked once, now; one turn tries it,
    /// as ever, and what it is told then is believed again.
    pub(crate) fn asks_anew(&mut self, at: Timestamp) {
        let far = at + limits::REFUSAL_MOST;
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
        let other = self.paused.is_some() || self.full().is_some() || self.awaits_set_up();
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
        let holds = self.held_providers().chain(self.open_breakers());
        let held = holds.filter(|(_, hold)| hold.until > now);
        let first = held.min_by_key(|(_, hold)| hold.until);
        let what = match first {
            Some((name, _)) => format!("{} may be asked again", told(name)),
            None => "anything is tried again".to_owned(),
        };
        let (wait, left) = (next.since(now), self.deadline.since(now));
        let why = format!(
            "its time is over in {left}, and {what} in {wait}; a resume asks at once and gives it {} more",
            self.terms.mission
        );
        vec![Event::Halted { why }]
    }
}
