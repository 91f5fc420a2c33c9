//! Leases, tries and tokens.

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

    pub(super) fn reserved(&self) -> u64 {
        self.live.values().sum()
    }

    pub(super) fn turn(&mut self, event: &Event) {
        match event {
            Event::TurnStarted {
                turn,
                epoch,
                deadline,
                reserved,
                lane,
                base,
                from,
            } => {
                self.new_epoch(*epoch);
                let lease = Lease {
                    turn: *turn,
                    deadline: *deadline,
                    reserved: *reserved,
                    lane: *lane,
                    since: self.last,
                    base: base.clone(),
                    from: from.clone(),
                };
                if let Turn::Work { attempt } = turn {
                    self.work_started(*attempt);
                }
                self.leases.insert(*epoch, lease);
                self.live.insert(*epoch, *reserved);
                self.within_the_limit();
            }
            Event::TurnLent { epoch, reserved } => {
                self.live.insert(*epoch, *reserved);
                self.within_the_limit();
            }
            Event::TurnEnded {
                turn,
                epoch,
                ending,
                charged,
                ..
            } => {
                assert!(
                    self.live.remove(epoch).is_some(),
                    "a turn that ends has a lease"
                );
                self.spent += charged;
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

    pub(super) fn within_the_limit(&self) {
        let (spent, reserved, limit) = (self.spent, self.reserved(), self.limit);
        assert!(
            spent + reserved <= limit,
            "{spent} spent and {reserved} reserved of {limit}"
        );
    }

    pub(super) fn tried(&mut self, task: TaskId, ending: &Ending) {
        let by_agent = match ending {
            Ending::Failed { failure, .. } => {
                !matches!(failure, Failure::Transient | Failure::Fatal)
            }
            Ending::Expired | Ending::Overspent => true,
            Ending::Answered | Ending::Refused { .. } | Ending::Cancelled => false,
        };
        *self.tries.entry(task).or_default() += u32::from(by_agent);
    }

    pub(super) fn work_started(&mut self, attempt: AttemptId) {
        assert!(
            !self.answered.contains(&attempt),
            "{attempt} is finished and was started again"
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
        for need in &self.tasks[&attempt.task].needs {
            assert!(
                self.landed.contains(need),
                "{attempt} was started before {need} had landed"
            );
        }
    }
}
