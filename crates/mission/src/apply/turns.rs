//! Leases of turns, handed out and ended.

use super::*;
use crate::recovery;

impl Mission {
    /// Hands the lease out that an event tells of.
    pub(super) fn lends(&mut self, at: Timestamp, event: &Event) {
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
        let nudges = self.nudged_before(*turn);
        let lease = Lease {
            turn: *turn,
            deadline: *deadline,
            reserved: *reserved,
            money: *money,
            lane: *lane,
            since: at,
            base: base.clone(),
            from: from.clone(),
            told: self.said.last,
            model: model.clone().or_else(|| self.chosen(turn.role())),
            served: false,
            waits: false,
            heard: nudges.len(),
            nudges,
        };
        self.turn_started(at, *epoch, lease);
    }

    fn turn_started(&mut self, at: Timestamp, epoch: Epoch, lease: Lease) {
        self.budget.reserved += lease.reserved;
        self.budget.money.reserved += lease.money;
        self.deadlines.insert((lease.deadline, epoch));
        self.epoch = self.epoch.max(epoch);
        match lease.turn {
            Turn::Intent { n } => self.reading.n = n,
            Turn::Plan { n } => {
                (self.planning.n, self.planning.lane) = (n, lease.lane);
                self.begins_ahead(at, epoch, lease.turn);
            }
            Turn::Split { task, n } => self.task_mut(task).cut_mut().n = n,
            Turn::Work { attempt } => {
                if !planted!("started_task_stays_ready") {
                    self.set_state(attempt.task, State::Working { epoch });
                }
                let tree = self.head.as_ref().map(|(_, tree)| tree.clone());
                let alone = self.tasks.len() == 1;
                let own_time = self.running_for(at);
                self.keeps_busy(at, true);
                let task = self.task_mut(attempt.task);
                if task.n != attempt.n {
                    task.n = attempt.n;
                    task.began = epoch;
                    task.spent = false;
                    task.reviews = 0;
                    task.review_faults = 0;
                    task.base = None;
                    task.nudged.clear();
                    task.worked = Some(Millis(0));
                }
                if task.base.is_none() {
                    task.base = lease.base.clone().zip(tree);
                }
                task.lane = Some(lease.lane);
                task.alone |= alone && task.started.is_none();
                task.started.get_or_insert(at);
                task.span.0.get_or_insert(own_time);
                let resources = task.task.resources.clone();
                self.hold(epoch, &resources);
                self.sessions.workspaces.begun_in(lease.lane);
            }
            Turn::Review { attempt, n } => {
                self.set_state(attempt.task, State::Reviewing { epoch });
                self.task_mut(attempt.task).reviews = n;
            }
        }
        self.leases.insert(epoch, lease);
        self.forget_warnings();
    }

    pub(super) fn turn_ended(
        &mut self,
        at: Timestamp,
        turn: Turn,
        epoch: Epoch,
        ending: &Ending,
        usage: &Usage,
        (charged, money): (u64, u64),
    ) {
        if let Some(lease) = self.leases.remove(&epoch) {
            self.ends_ahead(epoch, lease.told, (charged, money));
            if let Turn::Work { attempt } = turn {
                self.keeps_busy(at, false);
                self.learn(attempt.task, lease.since, at, ending);
            }
            self.deadlines.remove(&(lease.deadline, epoch));
            self.singles_out(at, &lease, ending, usage);
            self.turn_at_model_ended(at, &lease, ending);
            self.slot_ended(&lease, ending);
            self.worked_in(Place::of(turn.role(), lease.lane), ending);
            if !(planted!("reservation_leaked_on_cancel") && *ending == Ending::Cancelled) {
                self.budget.reserved -= lease.reserved;
                self.budget.money.reserved -= lease.money;
            }
        }
        self.session_turn_ended(at, turn, epoch, ending);
        self.release(epoch, Some(ending));
        self.budget.ended(usage, charged, money);
        let seed = format!("{}/{turn}/{}", self.nonce, epoch.0);
        match turn {
            Turn::Intent { .. } => self.reading.ended(at, ending, &seed),
            // A failure of it counts for none, and who refused it is held for all.
            Turn::Plan { .. } if self.is_ahead(turn) => {}
            Turn::Plan { .. } => self.planning.ended(at, ending, &seed),
            Turn::Split { task, .. } => {
                self.charge(task, charged, money);
                self.split_ended(at, task, ending, &seed);
            }
            Turn::Work { attempt } => {
                self.charge(attempt.task, charged, money);
                self.work_ended(attempt, ending);
            }
            Turn::Review { attempt, .. } => {
                self.charge(attempt.task, charged, money);
                self.review_ended(at, attempt, ending, &seed);
            }
        }
    }

    /// A running turn knows what people said, up to this.
    pub(super) fn turn_told(&mut self, epoch: Epoch, n: u32) {
        if let Some(lease) = self.leases.get_mut(&epoch) {
            lease.told = n;
        }
    }

    /// What a turn counts for is its task's.
    fn charge(&mut self, id: TaskId, charged: u64, money: u64) {
        let task = self.task_mut(id);
        task.tokens = task.tokens.saturating_add(charged);
        task.money = task.money.saturating_add(money);
    }

    pub(super) fn work_ended(&mut self, attempt: AttemptId, ending: &Ending) {
        let task = self.task_mut(attempt.task);
        let transient = Failure::Transient;
        task.orphaned = matches!(ending, Ending::Failed { failure, .. } if *failure == transient);
        match ending {
            Ending::Answered => (task.faults, task.refusals, task.machine) = (0, 0, 0),
            // Neither the agent nor its model did anything wrong.
            Ending::Failed {
                failure: Failure::Machine,
                ..
            } => {
                task.machine += 1;
                if planted!("machine_uses_up_attempt") {
                    task.tries += 1;
                }
                self.set_state(attempt.task, State::Ready);
            }
            Ending::Refused { until, why, .. } => {
                task.refusals += 1;
                if planted!("refusal_uses_up_attempt") {
                    task.tries += 1;
                }
                self.set_state(
                    attempt.task,
                    State::Parked {
                        until: *until,
                        why: why.clone(),
                    },
                );
            }
            Ending::Held { until, why } => {
                if planted!("hold_uses_up_attempt") {
                    task.tries += 1;
                }
                let (until, why) = (*until, why.clone());
                self.set_state(attempt.task, State::Parked { until, why });
            }
            // The host failed, not the agent: the same attempt goes on, after a wait that a later event tells.
            Ending::Failed {
                failure: Failure::Transient | Failure::Fatal,
                ..
            } => {
                task.faults += 1;
                self.set_state(attempt.task, State::Ready);
            }
            Ending::Failed { .. } | Ending::Expired | Ending::Overspent => {
                let why = match ending {
                    Ending::Failed { why, .. } => why.clone(),
                    Ending::Expired => limits::EXPIRED.into(),
                    _ => limits::OVERSPENT.into(),
                };
                // Whoever tries next is told, so that it does not end the same way.
                let rejection = Rejection::Unfinished { why };
                self.compare(attempt, &rejection);
                let task = self.task_mut(attempt.task);
                task.history.push((attempt, rejection));
                task.tries += 1;
                task.spent = true;
                task.faults = 0;
                self.set_state(attempt.task, State::Ready);
            }
            Ending::Cancelled => self.set_state(attempt.task, State::Ready),
        }
    }

    fn review_ended(&mut self, at: Timestamp, attempt: AttemptId, ending: &Ending, seed: &str) {
        let task = self.task_mut(attempt.task);
        let from = match ending {
            Ending::Answered => {
                (task.review_faults, task.refusals, task.machine) = (0, 0, 0);
                at
            }
            Ending::Failed {
                failure: Failure::Machine,
                ..
            } => {
                task.machine += 1;
                at + recovery::after_machine(task.machine, seed)
            }
            Ending::Refused { until, .. } => {
                task.refusals += 1;
                *until
            }
            Ending::Held { until, .. } => *until,
            Ending::Cancelled => at,
            Ending::Failed { .. } | Ending::Expired | Ending::Overspent => {
                task.review_faults += 1;
                at + recovery::after_fault(task.review_faults, seed)
            }
        };
        self.set_state(attempt.task, State::Judging { from });
    }
}
