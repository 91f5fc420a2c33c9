//! What a turn is charged for, and what the budget bears.

use super::*;

impl Audit {
    pub(super) fn charged(&mut self, epoch: Epoch, ending: &Ending, usage: &Usage, charged: u64) {
        let reserved = self.live.remove(&epoch);
        let reserved = reserved.expect("a turn that ends has a lease");
        let refused = matches!(ending, Ending::Refused { .. }) && usage.calls == 0;
        let fair = match usage.tokens() {
            Some(tokens) => tokens,
            None if refused => 0,
            None => reserved,
        };
        assert_eq!(charged, fair, "epoch {} is charged otherwise", epoch.0);
        let told = self.used.remove(&epoch).unwrap_or(0);
        assert!(
            charged >= told,
            "{charged} are charged for epoch {}, of which {told} were told",
            epoch.0
        );
        self.spent += charged;
        self.beyond += charged.saturating_sub(reserved);
        // Only what one turn used before anybody could hear of it may go past the limit.
        let (spent, limit) = (self.spent + self.reserved(), self.limit + self.beyond);
        assert!(spent <= limit, "{spent} are spent or reserved of {limit}");
    }

    pub(super) fn reserved(&self) -> u64 {
        self.live.values().sum()
    }

    pub(super) fn within_the_limit(&mut self) {
        self.beyond = 0;
        let (spent, reserved, limit) = (self.spent, self.reserved(), self.limit);
        assert!(
            spent + reserved <= limit,
            "{spent} spent and {reserved} reserved of {limit}"
        );
    }
}
