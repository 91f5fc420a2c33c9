//! Leases, tries and tokens.

use super::waits::Waits;
use super::*;

impl Audit {
    pub(super) fn new_epoch(&mut self, epoch: Epoch) {
        assert!(
            epoch > self.epoch,
            "epoch {} was handed out before",
            epoch.0
        );
        self.epoch = epoch;
    }

    pub(super) fn turn(&mut self, event: &Event) {
        match event {
            Event::TurnStarted { .. } => self.turn_begins(event),
            Event::TurnTold { epoch, n } => {
                let lease = self
                    .leases
                    .get_mut(epoch)
                    .expect("a turn that is told runs");
                assert!(*n > lease.told, "a turn is told again what it knows");
                assert!(*n <= self.said, "a turn is told what nobody said");
                lease.told = *n;
            }
            Event::TurnLent {
                epoch,
                reserved,
                money,
            } => {
                let had = self.live.insert(*epoch, *reserved);
                self.purse.lent(*epoch, *money);
                // Where money alone is lent, another turn may have gone past the tokens by its last call.
                if had != Some(*reserved) {
                    self.within_the_limit();
                }
            }
            Event::TurnEnded {
                turn,
                epoch,
                ending,
                usage,
                charged,
                money,
            } => {
                self.charged(*epoch, ending, usage, *charged);
                self.purse.charged((*turn, *epoch), usage, *charged, *money);
                if let Turn::Work { attempt } = turn {
                    if *ending == Ending::Answered {
                        self.answered.insert(*attempt);
                    }
                    self.tried(attempt.task, ending);
                }
            }
            _ => {}
        }
    }

    fn turn_begins(&mut self, event: &Event) {
        let Event::TurnStarted {
            turn,
            epoch,
            deadline,
            reserved,
            money,
            lane,
            base,
            from,
            model,
        } = event
        else {
            return;
        };

        self.new_epoch(*epoch);
        let asked = self.asks.asked(*epoch);
        let fair = self.reserve(turn.role(), &asked);
        assert_eq!(*reserved, fair, "{turn} reserves otherwise at {asked:?}");
        let lease = Lease {
            turn: *turn,
            deadline: *deadline,
            reserved: *reserved,
            money: *money,
            lane: *lane,
            since: self.last,
            base: base.clone(),
            from: from.clone(),
            told: self.said,
            model: model
                .clone()
                .or_else(|| self.asks.instead.get(&turn.role()).cloned()),
            served: false,
            waits: false,
            nudges: Vec::new(),
            heard: 0,
        };
        self.has_time(*deadline);
        self.clocks
            .begin(Waits::Lease(*epoch), self.last, *deadline);
        if let Turn::Work { attempt } = turn {
            self.work_started(*attempt);
        }
        self.leases.insert(*epoch, lease);
        self.live.insert(*epoch, *reserved);
        self.within_the_limit();
        self.may_be_paid(*turn, *epoch, *money);
    }

    /// No turn begins when too little time is left for it, and none is promised more than there is.
    fn has_time(&self, deadline: Timestamp) {
        let over = self.shadow.deadline();
        let least = Millis(self.terms.mission.0 / 10).min(limits::TURN_LEAST);
        assert!(
            over.since(self.last) >= least,
            "a turn begins, and the mission has no time left for it"
        );
        assert!(
            deadline <= over + limits::TURN_GRACE,
            "a turn may outlive its mission"
        );
    }

    pub(super) fn tried(&mut self, task: TaskId, ending: &Ending) {
        let by_agent = match ending {
            Ending::Failed { failure, .. } => !matches!(
                failure,
                Failure::Transient | Failure::Machine | Failure::Fatal
            ),
            Ending::Expired | Ending::Overspent => true,
            Ending::Answered | Ending::Refused { .. } | Ending::Held { .. } | Ending::Cancelled => {
                false
            }
        };
        *self.tries.entry(task).or_default() += u32::from(by_agent);
    }

    pub(super) fn work_started(&mut self, attempt: AttemptId) {
        assert!(
            !self.answered.contains(&attempt),
            "{attempt} is finished and was started again"
        );
        assert!(
            !self.given_up.contains(&attempt.task),
            "{attempt} was started after its task was given up"
        );
        let last = self.attempts.insert(attempt.task, attempt.n).unwrap_or(0);
        assert!(
            attempt.n == last || attempt.n == last + 1,
            "{attempt} follows attempt {last}"
        );
        assert!(
            !self.landed.contains(&attempt.task),
            "{attempt} has landed and was started again"
        );
        self.may_be_done(attempt.task);
    }
}
