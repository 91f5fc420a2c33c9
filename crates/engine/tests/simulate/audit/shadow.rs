//! The state is what the events make that were let out, and nothing else.

use super::*;

impl Audit {
    /// Folds an event in a second time. A deadline moves by the time in which no engine ran, and by no more.
    pub(super) fn follows(&mut self, recorded: &Recorded) {
        let moved = match recorded.event {
            Event::Woke { idle } => Some((idle, deadlines(&self.shadow))),
            _ => None,
        };
        // Telling why costs more than deciding, so that not everything is told.
        if self.whole && self.events.len().is_multiple_of(4) {
            self.can_be_explained(recorded);
        }
        if let Event::PlanEdited { .. } = recorded.event {
            self.forecast_before();
        }
        self.shadow.apply(recorded.at, &recorded.event);
        let Some((idle, before)) = moved else { return };
        let most = self.clocks.idle;
        assert!(
            idle <= most,
            "deadlines moved by {idle}, and no engine ran for {most} at the most"
        );
        for (name, at) in deadlines(&self.shadow) {
            let from = before[&name];
            assert_eq!(at, from + idle, "the deadline of {name} moved otherwise");
        }
    }

    /// Whoever replays the events finds that the rules start the very task that started, in that lane, and says why.
    fn can_be_explained(&self, recorded: &Recorded) {
        let (at, event) = (recorded.at, &recorded.event);
        let why = self.shadow.why(at, event);
        let decided = matches!(
            event,
            Event::TurnStarted { .. }
                | Event::GateStarted { .. }
                | Event::LandingStarted { .. }
                | Event::LandingFailed { .. }
                | Event::Parked { .. }
                | Event::ProviderHeld { .. }
                | Event::BreakerOpened { .. }
                | Event::ModelSwitched { .. }
        );
        assert!(!decided || !why.is_empty(), "nothing explains {event:?}");
        assert!(
            why.iter().all(|why| !why.is_empty()),
            "an empty reason: {why:?}"
        );
        if let Event::TurnStarted {
            turn: Turn::Work { attempt },
            lane,
            ..
        } = event
        {
            let rules = self.shadow.would_start(at);
            assert_eq!(
                rules,
                Some((attempt.task, *lane)),
                "the rules start another"
            );
        }
    }

    pub(super) fn is_the_fold(&self, mission: &Mission) {
        let facts = |mission: &Mission| {
            let (budget, todo) = (*mission.budget(), mission.todo().version);
            let counts = (mission.n_events(), mission.last(), mission.landed(), todo);
            (counts, budget, mission.phase(), mission.deadline())
        };
        let shadow = &self.shadow;
        let whole = self.whole || self.step.is_multiple_of(16);
        assert!(
            facts(shadow) == facts(mission) && (!whole || shadow == mission),
            "the state is not what its events make"
        );
    }
}

/// Everything that has a deadline.
fn deadlines(mission: &Mission) -> BTreeMap<String, Timestamp> {
    let leases = mission
        .leases()
        .map(|(epoch, lease)| (format!("{} #{}", lease.turn, epoch.0), lease.deadline));
    let gates = mission
        .gate_leases()
        .map(|(epoch, lease)| (format!("{} #{}", lease.gate.id, epoch.0), lease.deadline));
    let questions = mission
        .questions()
        .map(|(id, question)| (id.to_string(), question.deadline));
    let own = [("the mission".to_owned(), mission.deadline())];
    leases.chain(gates).chain(questions).chain(own).collect()
}
