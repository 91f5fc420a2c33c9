//! What a turn may use before it begins, what it is lent when it goes past that, and what it counts for in the end.
//!
//! Three levels are reserved before anything is spent. The mission has its limits. A task that is worked on holds what its
//! review will need, so that no work is paid for that nobody could judge. A turn reserves what it may write or such turns
//! commonly use, whichever is less, and is lent more in steps while there is more; what it used is told after each call, so
//! that at most one call of each running turn goes past a limit.

use crate::decide::{Decided, done, stale};
use crate::event::{Ending, Event, Turn};
use crate::ids::{AttemptId, Epoch, TaskId};
use crate::lease::Lease;
use crate::limits;
use crate::mission::{Mission, TaskState};
use crate::planted;
use crate::time::{Millis, Timestamp};
use crate::turn::{Failure, Role, Usage};

/// Dollars and cents of so many millionths; more places where that would be nothing.
pub fn dollars(micro: u64) -> String {
    match micro {
        0 => "$0".to_owned(),
        1..10_000 => format!("${}.{:04}", micro / 1_000_000, micro % 1_000_000 / 100),
        _ => format!("${}.{:02}", micro / 1_000_000, micro % 1_000_000 / 10_000),
    }
}

impl Mission {
    /// What a turn reserves that is asked of a model, in tokens and in money: the least of what it may write in all its
    /// steps, where the model's host tells how much that is, of what such turns commonly use, and of a share of the
    /// limit. A model that writes little holds less of a small budget, so that more runs beside it; and a small budget is
    /// lent in parts, so that a mission with little may still begin. What a turn reads counts as well, and may be more than
    /// it writes: for that it is lent more in steps once it has used what it reserved.
    pub(crate) fn reservation(&self, turn: Turn, model: &str) -> (u64, u64) {
        let limit = self.budget.limit;
        let (common, share) = match turn {
            Turn::Intent { .. } | Turn::Plan { .. } | Turn::Split { .. } => {
                (limits::RESERVE_SHORT, limit / 4)
            }
            Turn::Review { .. } => (limits::RESERVE_SHORT, limit / 8),
            Turn::Work { .. } => (limits::RESERVE_WORK, limit / 4),
        };
        let written = self.written_at_most(turn, model).unwrap_or(u64::MAX);
        let tokens = common.min(share).min(written).max(1);
        let money = self.budget.money;
        let money = money.limit.map_or(0, |limit| {
            let worth = money.worth(tokens).unwrap_or(0);
            worth.min(limit / 4)
        });
        (tokens, money)
    }

    /// The most that a turn may write in all the steps that its agent has in a row, where the model's limit is known.
    pub(crate) fn written_at_most(&self, turn: Turn, model: &str) -> Option<u64> {
        let output = self.output_of(model);
        let output = output.filter(|_| !planted!("output_limit_ignored"))?;
        Some(u64::from(turn.role().steps()).saturating_mul(output))
    }

    /// What is held for a turn that comes later, in tokens and in money: enough for each model that it may be asked of
    /// then, since another one may stand in by then, and what was held must do.
    fn reservation_later(&self, turn: Turn) -> (u64, u64) {
        let models = self.models_for(turn.role());
        let most = models.map(|model| self.reservation(turn, model)).max();
        most.unwrap_or_default()
    }

    /// Tasks whose work will be judged or is about to be: each holds what its review reserves.
    fn reviews_owed(&self) -> u64 {
        if self.terms.review_rounds == 0 || planted!("review_not_held") {
            return 0;
        }
        let worked = self.leases_of(Role::Worker).count();
        (worked + self.checking.len() + self.judging.len()) as u64
    }

    /// What all owed reviews hold, in tokens and in money.
    pub fn held_for_reviews(&self) -> (u64, u64) {
        self.reserved_for(self.reviews_owed())
    }

    /// What so many reviews hold.
    fn reserved_for(&self, reviews: u64) -> (u64, u64) {
        let nobody = AttemptId {
            task: TaskId(0),
            n: 0,
        };
        let (tokens, money) = self.reservation_later(Turn::Review {
            attempt: nobody,
            n: 0,
        });
        (
            reviews.saturating_mul(tokens),
            reviews.saturating_mul(money),
        )
    }

    /// What may still be lent besides what so many reviews hold, in tokens and in money.
    fn lendable(&self, reviews: u64) -> (u64, Option<u64>) {
        let (tokens, money) = self.reserved_for(reviews);
        let free = self.budget.money.free();
        (
            self.budget.free().saturating_sub(tokens),
            free.map(|free| free.saturating_sub(money)),
        )
    }

    /// What a turn lacks to begin that reserves so much, in words.
    pub(crate) fn lacks(
        &self,
        turn: Turn,
        (tokens, money): (u64, u64),
        left: Millis,
    ) -> Option<String> {
        let owed = self.reviews_owed();
        // A Worker needs its review's part as well; a review has its own.
        let others = match turn {
            Turn::Review { .. } => owed.saturating_sub(1),
            Turn::Work { .. } if self.terms.review_rounds > 0 && !planted!("review_not_held") => {
                owed + 1
            }
            _ => owed,
        };
        let (free, paid) = self.lendable(others);
        let budget = &self.budget;
        let most = self.terms.turns.unwrap_or(limits::TURNS);
        let turns = budget.turns as usize + self.leases.len();
        if free < tokens {
            let (spent, limit) = (budget.spent, budget.limit);
            Some(format!("the token budget is spent: {spent} of {limit}"))
        } else if let Some(limit) = budget.money.limit
            && paid.is_none_or(|paid| paid < money.max(1))
            && !planted!("money_unlimited")
        {
            let (spent, limit) = (dollars(budget.money.spent), dollars(limit));
            Some(format!("the cost limit is reached: {spent} of {limit}"))
        } else if turns >= most as usize && !planted!("turns_unlimited") {
            Some(format!("its {most} turns are used up"))
        } else if left < self.least_time() && !planted!("turn_started_without_time") {
            Some(format!(
                "of its time of {} too little is left for another turn",
                self.terms.mission
            ))
        } else {
            None
        }
    }

    /// Whether the budget has room for a turn and for another one like it after it.
    pub(crate) fn has_room_twice(&self, turn: Turn) -> bool {
        let (tokens, money) = self.reservation_later(turn);
        let (free, paid) = self.lendable(self.reviews_owed());
        let turns = self.budget.turns as usize + self.leases.len() + 1;
        free >= 2 * tokens
            && paid.is_none_or(|paid| paid >= 2 * money.max(1))
            && turns < self.terms.turns.unwrap_or(limits::TURNS) as usize
    }

    /// Tokens that a task may use, all its attempts and reviews together. One that began as the only one keeps what it
    /// may use when others are added.
    pub fn task_limit(&self, task: &TaskState) -> u64 {
        let share = match self.tasks.len() {
            0 | 1 => self.budget.limit,
            _ if task.alone => self.budget.limit,
            _ => self.budget.limit / limits::TASK_SHARE,
        };
        self.terms.task_tokens.unwrap_or(share).max(1)
    }

    /// Why a task is worked on no more, if with so many further tokens it has used what one task may.
    pub(crate) fn task_spent(&self, task: &TaskState, further: u64) -> Option<String> {
        let used = (task.tokens - task.forgiven).saturating_add(further);
        let limit = self.task_limit(task);
        let over = used > limit && !planted!("task_unlimited");
        over.then(|| format!("it used {used} tokens of the {limit} that one task may use"))
    }

    /// A running turn has used so much by now.
    pub(crate) fn turn_used(&self, now: Timestamp, epoch: Epoch, usage: Usage) -> Decided {
        let (Some(lease), Some(tokens)) = (self.leases.get(&epoch), usage.tokens()) else {
            return stale();
        };
        let is_news = tokens > 0 && self.is_first_served(now, lease);
        let served = is_news.then_some(Event::TurnServed { epoch });
        let mut events: Vec<Event> = served.into_iter().collect();
        let of_task = match lease.turn {
            Turn::Work { attempt } => self.task_spent(&self.tasks[&attempt.task], tokens),
            _ => None,
        };
        let lent = match of_task {
            Some(why) => Err(why),
            None => self.lends_more(lease, tokens, usage.micro_usd),
        };
        match lent {
            Ok(None) => {}
            Ok(Some((reserved, money))) => events.push(Event::TurnLent {
                epoch,
                reserved,
                money,
            }),
            Err(why) => {
                let said = (why.as_str(), limits::OVERSPENT);
                let then = self.after_ending(now, lease.turn, Failure::Overflow, said);
                events.extend(self.end_turn(epoch, lease, Ending::Overspent, usage, then));
            }
        }
        done(events)
    }

    /// What a turn that has used so much may use from now on, if that is more than before; `Err` says why it may not. It
    /// is lent more in steps, so that two turns never count on the same tokens and few events tell of it.
    fn lends_more(
        &self,
        lease: &Lease,
        tokens: u64,
        money: Option<u64>,
    ) -> Result<Option<(u64, u64)>, String> {
        let (free, paid) = self.lendable(self.reviews_owed());
        // What nobody may need takes nothing from the plan that is needed then.
        let kept = match self.is_ahead(lease.turn) {
            true => self.reservation_later(lease.turn),
            false => (0, 0),
        };
        let (free, paid) = (
            free.saturating_sub(kept.0),
            paid.map(|paid| paid.saturating_sub(kept.1)),
        );
        let over = tokens.saturating_sub(lease.reserved);
        let step = over.max(limits::RESERVE_STEP).min(free);
        if over > 0 && step < over {
            return Err("it used more tokens than the budget had to lend".to_owned());
        }
        let reserved = lease.reserved + if over > 0 { step } else { 0 };
        let price = self.budget.money;
        let cost = money.or_else(|| price.worth(tokens)).unwrap_or(0);
        let over_cost = match paid {
            Some(_) => cost.saturating_sub(lease.money),
            None => 0,
        };
        let step = price.worth(limits::RESERVE_STEP).unwrap_or(0);
        let step = over_cost.max(step).min(paid.unwrap_or(0));
        if over_cost > 0 && step < over_cost && !planted!("money_unlimited") {
            return Err("it cost more than the limit had to lend".to_owned());
        }
        let lent = lease.money + if over_cost > 0 { step } else { 0 };
        let more = over > 0 || over_cost > 0;
        Ok(more.then_some((reserved, lent)))
    }

    /// What a turn counts for, in tokens and in money. What is not known may be all that it had.
    pub(crate) fn charged(&self, usage: &Usage, had: (u64, u64)) -> (u64, u64) {
        let tokens = usage.tokens().unwrap_or(had.0);
        let priced = || {
            let worth = self.budget.money.worth(tokens).unwrap_or(0);
            match usage.tokens() {
                Some(_) => worth,
                None => worth.max(had.1),
            }
        };
        (tokens, usage.micro_usd.unwrap_or_else(priced))
    }

    pub(crate) fn lent(&mut self, epoch: Epoch, reserved: u64, money: u64) {
        let Some(lease) = self.leases.get_mut(&epoch) else {
            return;
        };
        if !planted!("lent_tokens_uncounted") {
            self.budget.reserved += reserved - lease.reserved;
            self.budget.money.reserved += money - lease.money;
        }
        (lease.reserved, lease.money) = (reserved, money);
    }

    /// A person lets an ended mission go on, with so much more.
    pub(crate) fn spends_more(&mut self, tokens: u64, money: u64) {
        self.budget.limit = self.budget.limit.saturating_add(tokens);
        let limit = &mut self.budget.money.limit;
        *limit = limit.map(|limit| limit.saturating_add(money));
        self.budget.turns = 0;
        self.wants_word = false;
    }
}
