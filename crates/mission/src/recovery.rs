//! Waiting before another try: doubled each time, spread by a seed so that many do not come back at once.

use crate::ids::Digest;
use crate::limits;
use crate::time::Millis;

/// The wait before try `n + 1` when `n` tries have failed: `first` doubled `n - 1` times, at most `most`.
pub fn wait(first: Millis, most: Millis, n: u32) -> Millis {
    let doubled = first.0.saturating_mul(1 << n.saturating_sub(1).min(20));
    Millis(doubled.min(most.0))
}

/// The same, spread between three quarters and the whole of it by a seed. The same seed gives the same wait.
pub fn spread(wait: Millis, seed: &str) -> Millis {
    let digest = Digest::of(seed.as_bytes());
    let draw = u64::from_str_radix(&digest.as_str()[..8], 16).unwrap_or(0);
    Millis(wait.0 - wait.0 / 4 * draw / u64::from(u32::MAX))
}

/// The wait after a refusal: what the provider asked for within bounds, or a doubling wait where it named none.
pub fn after_refusal(asked: Option<Millis>, n: u32, seed: &str) -> Millis {
    match asked {
        Some(asked) => asked.clamp(limits::REFUSAL_LEAST, limits::REFUSAL_MOST),
        None => spread(
            wait(limits::REFUSAL_FIRST, limits::REFUSAL_MOST, n + 1),
            seed,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_limit_and_never_leave_it() {
        let waits: Vec<u64> = (1..8)
            .map(|n| wait(Millis(2_000), Millis(60_000), n).0)
            .collect();
        assert_eq!(waits, [2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
        assert_eq!(wait(Millis(2_000), Millis(60_000), u32::MAX).0, 60_000);
    }

    #[test]
    fn a_spread_wait_keeps_three_quarters_and_repeats_for_its_seed() {
        let seen: Vec<u64> = (0..200)
            .map(|n| spread(Millis(8_000), &format!("m1/T{n}")).0)
            .collect();
        assert!(seen.iter().all(|ms| (6_000..=8_000).contains(ms)));
        assert!(seen.iter().min().unwrap() < &6_200 && seen.iter().max().unwrap() > &7_800);
        assert_eq!(spread(Millis(8_000), "x"), spread(Millis(8_000), "x"));
    }

    #[test]
    fn a_provider_cannot_ask_for_no_wait_or_for_ever() {
        assert_eq!(
            after_refusal(Some(Millis(0)), 0, "x"),
            limits::REFUSAL_LEAST
        );
        assert_eq!(
            after_refusal(Some(Millis(86_400_000)), 0, "x"),
            limits::REFUSAL_MOST
        );
        assert_eq!(after_refusal(Some(Millis(30_000)), 0, "x"), Millis(30_000));
    }
}
