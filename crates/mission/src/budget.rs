//! What a mission may use, has used, and has lent: tokens, money where its price is known, and turns.

use crate::turn::Usage;

/// The budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Tokens that may be used in all.
    pub limit: u64,
    /// Tokens that ended turns count for.
    pub spent: u64,
    /// Tokens that running turns may still use.
    pub reserved: u64,
    /// Tokens that the provider reported, where it did.
    pub reported: u64,
    /// Whether some turn's use is unknown.
    pub unknown: bool,
    /// What it costs, where that is known.
    pub money: Money,
    /// What tasks used that left the plan without landing, in tokens and in money; part of what is spent.
    pub left_plan: (u64, u64),
    /// Model calls.
    pub calls: u64,
    /// Turns that asked a model since the mission was opened, or resumed after its end.
    pub turns: u32,
}

/// Money, in millionths of a US dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Money {
    /// What may be used in all; `None` leaves it to the tokens.
    pub limit: Option<u64>,
    /// What ended turns count for. A turn whose cost nobody told counts by the price of the others.
    pub spent: u64,
    /// What running turns may still use; nothing while there is no limit or no price is known.
    pub reserved: u64,
    /// What was told of it.
    pub reported: u64,
    /// The tokens that this was told for.
    priced: u64,
    /// Whether the cost of some turn was not told. Subscriptions and models on one's own machine tell none.
    pub unknown: bool,
}

impl Money {
    /// What may still be lent; `None` where there is no limit.
    pub fn free(&self) -> Option<u64> {
        let limit = self.limit?;
        Some(
            limit
                .saturating_sub(self.spent)
                .saturating_sub(self.reserved),
        )
    }

    /// What so many tokens cost, by what was told so far, rounded up; `None` while nothing was.
    pub fn worth(&self, tokens: u64) -> Option<u64> {
        let priced = u128::from(self.priced);
        let whole = (u128::from(tokens) * u128::from(self.reported)).div_ceil(priced.max(1));
        (priced > 0 && self.reported > 0).then(|| u64::try_from(whole).unwrap_or(u64::MAX))
    }

    /// A turn ended that used so many tokens; it told what they cost, or did not.
    fn told(&mut self, tokens: Option<u64>, cost: Option<u64>) {
        match (tokens, cost) {
            (Some(tokens), Some(cost)) => {
                self.priced = self.priced.saturating_add(tokens);
                self.reported = self.reported.saturating_add(cost);
            }
            (None, Some(cost)) => self.reported = self.reported.saturating_add(cost),
            (_, None) => self.unknown = true,
        }
    }
}

impl Budget {
    /// A budget of which nothing is used yet.
    pub(crate) fn of(limit: u64, money: Option<u64>) -> Self {
        Self {
            limit,
            money: Money {
                limit: money,
                ..Money::default()
            },
            ..Self::default()
        }
    }

    /// What may still be lent.
    pub fn free(&self) -> u64 {
        self.limit
            .saturating_sub(self.spent)
            .saturating_sub(self.reserved)
    }

    /// A turn ended: what it used, and what it counts for.
    pub(crate) fn ended(&mut self, usage: &Usage, charged: u64, money: u64) {
        self.spent = self.spent.saturating_add(charged);
        self.money.spent = self.money.spent.saturating_add(money);
        self.calls += u64::from(usage.calls);
        // One that counts for something may have been served, although its host did not live to tell.
        let asked = usage.calls > 0 || charged > 0;
        self.turns = self.turns.saturating_add(u32::from(asked));
        match usage.tokens() {
            Some(tokens) => self.reported = self.reported.saturating_add(tokens),
            None => self.unknown = true,
        }
        if asked {
            self.money.told(usage.tokens(), usage.micro_usd);
        }
    }
}
