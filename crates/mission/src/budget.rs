//! What a mission may use, has used, and has lent.

/// The token budget.
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
    /// Cost in millionths of a dollar, where it is known.
    pub micro_usd: u64,
    /// Model calls.
    pub calls: u64,
}

impl Budget {
    /// A budget of which nothing is used yet.
    pub(crate) fn of(limit: u64) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// What may still be lent.
    pub fn free(&self) -> u64 {
        self.limit
            .saturating_sub(self.spent)
            .saturating_sub(self.reserved)
    }
}
