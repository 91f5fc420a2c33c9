//! The one source of chance: splitmix64. The same seed gives the same world.

#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    /// A number from `low` to below `high`.
    pub(crate) fn range(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low)
    }

    /// True so many times in a thousand.
    pub(crate) fn chance(&mut self, in_1000: u64) -> bool {
        self.below(1000) < in_1000
    }

    pub(crate) fn pick<'a, T>(&mut self, list: &'a [T]) -> Option<&'a T> {
        let n = self.below(list.len() as u64) as usize;
        list.get(n)
    }

    /// One of some things, each as likely as its weight.
    pub(crate) fn weigh<T: Copy>(&mut self, list: &[(u64, T)]) -> T {
        let mut draw = self.below(list.iter().map(|(weight, _)| weight).sum());
        for (weight, thing) in list {
            if draw < *weight {
                return *thing;
            }
            draw -= weight;
        }
        list[0].1
    }
}
