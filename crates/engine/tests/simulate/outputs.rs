//! How much models write in one answer, as their host says in some worlds: little or much, late, or now so and then so.

use crate::rng::Rng;
use crate::weather::{OTHER, OWN};
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default)]
pub(crate) struct Outputs {
    /// What is said of a model, one of them each time.
    of: BTreeMap<&'static str, Vec<Option<u64>>>,
}

impl Outputs {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let mut of = BTreeMap::new();
        for model in [OWN, OTHER] {
            let n = rng.weigh(&[(3, 1), (1, 2)]);
            let mut all = Vec::new();
            for _ in 0..n {
                let little = rng.range(300, 2_000);
                all.push(rng.weigh(&[
                    (6, Some(little)),
                    (2, Some(8_192)),
                    (2, None),
                    (1, Some(0)),
                    (1, Some(u64::MAX)),
                ]));
            }
            of.insert(model, all);
        }
        Self { of }
    }

    /// Whether a host says anything of it in this world.
    pub(crate) fn are_told(&self) -> bool {
        !self.of.is_empty()
    }

    /// What the host says of a model this time.
    pub(crate) fn said(&self, rng: &mut Rng, model: &str) -> Option<u64> {
        let all = self.of.get(model)?;
        rng.pick(all).copied().flatten()
    }
}
