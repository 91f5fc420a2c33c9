//! What waits: with a deadline that strikes, and no other.

use super::*;

impl Audit {
    pub(super) fn at_rest(&self, mission: &Mission) {
        assert_eq!(
            mission.leases().count() + mission.gate_leases().count(),
            0,
            "leases behind the seal"
        );
        assert_eq!(
            mission.questions().count(),
            0,
            "open questions behind the seal"
        );
        assert_eq!(
            mission.budget().reserved,
            0,
            "a reservation behind the seal"
        );
        assert!(mission.landing().is_none(), "a landing behind the seal");
    }

    /// Everything that waits has a deadline, which is in the future and wakes somebody.
    pub(super) fn waits(&self, mission: &Mission, in_flight: usize, now: Timestamp) {
        let wake = mission.next_wake(now);
        assert!(
            wake.is_some() || in_flight > 0,
            "nobody will ever wake this mission"
        );
        assert!(
            wake.is_none_or(|wake| wake > now),
            "it would be woken without end"
        );
        for (epoch, lease) in mission.leases() {
            assert!(
                lease.deadline > now,
                "the deadline of {} (#{}) did not strike",
                lease.turn,
                epoch.0
            );
        }
        for (epoch, lease) in mission.gate_leases() {
            assert!(
                lease.deadline > now,
                "the deadline of {} (#{}) did not strike",
                lease.gate.id,
                epoch.0
            );
        }
        for (id, question) in mission.questions() {
            assert!(
                question.deadline > now,
                "the deadline of {id} did not strike"
            );
        }
        for task in mission.tasks() {
            let until = match &task.state {
                State::Parked { until, .. } => *until,
                State::Judging { from } => *from,
                _ => continue,
            };
            assert!(
                until <= now || wake.is_some_and(|wake| wake <= until),
                "nobody wakes {}",
                task.task.id
            );
        }
        let late = mission.deadline() + Millis::from_mins(4 * 60);
        assert!(
            !self.calm || now < late,
            "it is not sealed long after its deadline"
        );
    }
}

/// Whether a deadline made this happen.
pub(super) fn struck(event: &Event) -> bool {
    match event {
        Event::TurnEnded { ending, .. } => *ending == Ending::Expired,
        Event::GateLost { why, .. } => why.ends_with("did not come back in time"),
        Event::QuestionClosed { answered, .. } => answered.by == "deadline",
        Event::Halted { why } => why.starts_with("its time of"),
        _ => false,
    }
}
