//! What a model costs in a world, and what people let a mission use.

use crate::rng::Rng;
use mission::terms::Terms;
use mission::turn::Usage;

/// What tokens cost, if anybody says so.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Purse {
    /// Millionths of a dollar for a thousand tokens.
    price: Option<u64>,
}

impl Purse {
    /// Draws a price, and now and then tighter terms than those that every mission has.
    pub(crate) fn draw(rng: &mut Rng, terms: &mut Terms) -> Self {
        let price = rng.weigh(&[(5, None), (3, Some(3_000)), (2, Some(75))]);
        terms.micro_usd = rng.weigh(&[
            (6, None),
            (2, Some(500_000_000)),
            (1, Some(3_000_000)),
            (1, Some(200_000)),
        ]);
        terms.task_tokens = rng.weigh(&[(6, None), (1, Some(2_000_000)), (1, Some(300_000))]);
        terms.turns = rng.weigh(&[(6, None), (1, Some(60)), (1, Some(20))]);
        terms.ask_above = rng.weigh(&[(4, Some(u64::MAX)), (3, None), (1, Some(500_000))]);
        Self { price }
    }

    /// What a turn tells that used so many tokens.
    pub(crate) fn used(self, tokens: u64) -> Usage {
        Usage {
            input: Some(tokens),
            output: Some(0),
            calls: 1,
            micro_usd: self.price.map(|price| tokens * price / 1_000),
            ..Usage::default()
        }
    }
}
