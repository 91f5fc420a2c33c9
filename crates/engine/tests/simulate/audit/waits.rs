//! What waits: with a deadline that strikes, and no other.

use super::*;
use mission::mission::Phase;

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
        // Only a landing that was green is waited for when the mission's own time is over.
        let over = mission.deadline() <= now && in_flight > 0;
        assert!(
            wake.map_or(over, |wake| wake > now),
            "nobody will wake this mission, or without end"
        );
        self.somebody_moves(mission, in_flight, now);
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
            // The time of a pause counts for no question.
            assert!(
                mission.pause().is_some() || question.deadline > now,
                "the deadline of {id} did not strike"
            );
        }
        for task in mission.tasks() {
            let until = match &task.state {
                State::Parked { until, .. } => *until,
                State::Judging { from } | State::Splitting { from } => *from,
                _ => continue,
            };
            assert!(
                until <= now + SHORT || self.is_held_until(until),
                "{} waits longer than anything may",
                task.task.id
            );
            assert!(
                until <= now || wake.is_some_and(|wake| wake <= until),
                "nobody wakes {}",
                task.task.id
            );
        }
        for (_, lease) in mission.leases() {
            assert!(
                lease.deadline <= mission.deadline() + limits::TURN_GRACE,
                "{} may outlive its mission",
                lease.turn
            );
        }
        let late = mission.deadline() + Millis::from_mins(4 * 60);
        assert!(
            !self.calm || now < late,
            "it is not sealed long after its deadline"
        );
    }

    /// A mission that is not over has something in flight, has asked a person, or waits for a moment that is near. Its
    /// own deadline is no such moment: what only that ends hangs.
    fn somebody_moves(&self, mission: &Mission, in_flight: usize, now: Timestamp) {
        let asks = mission.questions().next().is_some();
        let end = mission.deadline();
        let short = matches!(mission.phase(), Phase::Reading | Phase::Planning)
            && mission.next_wake(now).is_some_and(|wake| wake < end);
        // A wait that ends when the mission has ended is none: it ends at once.
        let waits = |state: &State| match state {
            State::Parked { until: from, .. }
            | State::Judging { from }
            | State::Splitting { from } => *from > now && *from < end,
            _ => false,
        };
        let waits = short
            || self.book.full
            || self.book.cramped
            || self.waits_for_a_provider(now, end)
            || self.somebody_lets_others_try(mission, now)
            || mission.tasks().any(|task| waits(&task.state));
        assert!(
            in_flight > 0 || asks || waits || mission.pause().is_some(),
            "it hangs: nothing is in flight, nobody is asked, and nothing is waited for"
        );
    }

    /// Keeps the time of everything that waits, by a clock that stands still while no engine runs.
    pub(super) fn clock(&mut self, event: &Event) {
        // What was named before it became calm is waited for, as long as it was.
        let waited = self.clocks.attended + self.longest_hold().0;
        let clocks = &mut self.clocks;
        clocks.held_until = clocks.held_until.max(waited);
        if let Event::Resumed { .. } = event {
            let over = self.last + self.terms.mission;
            clocks.begin(Waits::Mission, self.last, over);
        }
        match event {
            Event::Paused { .. } => {
                let (due, lives) = clocks.due[&Waits::Mission];
                let pause = clocks.attended + limits::PAUSE.0;
                clocks.left = Some((due.saturating_sub(clocks.attended), lives));
                clocks.due.insert(Waits::Mission, (due.max(pause), lives));
            }
            Event::Unpaused { .. } => {
                let (left, lives) = clocks.left.take().expect("a pause ends that began");
                let due = clocks.attended + left;
                clocks.due.insert(Waits::Mission, (due, lives));
            }
            Event::Sealed { .. } => clocks.left = None,
            Event::TurnStarted { turn, .. } => {
                assert!(clocks.left.is_none(), "{turn} begins in a pause");
            }
            _ => {}
        }
        let Some(what) = struck(event) else { return };
        let (due, lives) = clocks.due[&what];
        // Less than two seconds without an engine move nothing.
        let lost = limits::IDLE.0 * (clocks.lives - lives);
        assert!(
            clocks.attended + lost >= due,
            "a deadline struck {} too early: {event:?}",
            Millis(due - clocks.attended)
        );
        let calm = clocks
            .attended
            .saturating_sub(self.calm_since.max(clocks.held_until));
        assert!(
            what != Waits::Mission || !self.calm || calm < CALM_ENOUGH.0,
            "nothing goes wrong, and a whole mission's time is not enough"
        );
    }
}

/// The longest that anything waits for a moment that no provider has named, spread.
pub(super) const SHORT: Millis = Millis(limits::REFUSAL_MOST.0 / 3 * 4);
/// The longest that a provider may name, and a little more.
pub(super) const LONGEST: Millis = Millis(limits::NAMED_MOST.0 + limits::LATE_MOST.0);
/// In such a time without faults every mission of the simulator's size is done.
const CALM_ENOUGH: Millis = Millis::from_mins(20 * 60);

/// What waits until a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Waits {
    Lease(Epoch),
    Answer(QuestionId),
    Mission,
}

/// Time as those who work for a mission have it: it stands still while no engine runs.
pub(crate) struct Clocks {
    /// For how long an engine ran it.
    pub(crate) attended: u64,
    /// Until when anything was held, in the same time.
    held_until: u64,
    /// For how long none ran it, at the most, until now.
    pub(super) idle: Millis,
    lives: u64,
    /// What was left of the mission's time when it was paused, and in which life that was set.
    left: Option<(u64, u64)>,
    /// When each deadline is due, and in which life it was set.
    due: BTreeMap<Waits, (u64, u64)>,
}

impl Clocks {
    pub(super) fn new(mission: Millis) -> Self {
        Self {
            attended: 0,
            held_until: 0,
            idle: Millis(0),
            lives: 0,
            left: None,
            due: BTreeMap::from([(Waits::Mission, (mission.0, 0))]),
        }
    }

    /// An engine takes the mission up again, after no more than so much time without one.
    pub(crate) fn taken_up(&mut self, idle: Millis) {
        self.idle = idle;
        self.lives += 1;
    }

    pub(super) fn begin(&mut self, what: Waits, now: Timestamp, deadline: Timestamp) {
        let due = self.attended + deadline.since(now).0;
        self.due.insert(what, (due, self.lives));
    }
}

/// What a deadline made happen, if this is it.
pub(super) fn struck(event: &Event) -> Option<Waits> {
    match event {
        Event::TurnEnded { epoch, ending, .. } if *ending == Ending::Expired => {
            Some(Waits::Lease(*epoch))
        }
        Event::GateLost { epoch, why } if why.ends_with("did not come back in time") => {
            Some(Waits::Lease(*epoch))
        }
        Event::QuestionClosed { id, answered } if answered.by == "deadline" => {
            Some(Waits::Answer(*id))
        }
        Event::Halted { why }
            if why.starts_with("its time of") || why.starts_with("it was paused") =>
        {
            Some(Waits::Mission)
        }
        _ => None,
    }
}
