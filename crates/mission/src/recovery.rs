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

/// The wait after the `n`th failure in a row of whoever carries turns out.
pub fn after_fault(n: u32, seed: &str) -> Millis {
    spread(wait(limits::BACKOFF_FIRST, limits::BACKOFF_MOST, n), seed)
}

/// The wait after the `n + 1`th refusal in a row: it doubles, is never shorter than what the provider asked for within
/// bounds, and is spread so that not everybody comes back at one instant: by up to a quarter less where it named no
/// time, by up to a third more where it did.
pub fn after_refusal(asked: Option<Millis>, n: u32, seed: &str) -> Millis {
    let doubled = wait(
        limits::REFUSAL_FIRST,
        limits::REFUSAL_MOST,
        n.saturating_add(1),
    );
    let Some(asked) = asked else {
        return spread(doubled, seed);
    };
    let least = asked.clamp(limits::REFUSAL_LEAST, limits::REFUSAL_MOST);
    spread(doubled.max(Millis(least.0 / 3 * 4)), seed).max(least)
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
        assert!(after_refusal(Some(Millis(0)), 0, "x") >= limits::REFUSAL_LEAST);
        let day = after_refusal(Some(Millis(86_400_000)), 0, "x");
        assert!(day >= limits::REFUSAL_MOST && day.0 <= limits::REFUSAL_MOST.0 / 3 * 4);
    }

    #[test]
    fn whoever_asks_for_a_wait_gets_no_less_and_not_from_everybody_at_once() {
        let waits: Vec<u64> = (0..100)
            .map(|n| after_refusal(Some(Millis(30_000)), 0, &format!("m1/T{n}")).0)
            .collect();
        assert!(waits.iter().all(|ms| (30_000..=40_000).contains(ms)));
        assert!(waits.iter().min().unwrap() < &31_500 && waits.iter().max().unwrap() > &38_500);
    }

    #[test]
    fn a_provider_that_goes_on_refusing_is_asked_less_and_less_often() {
        let nth = |n| after_refusal(Some(Millis(1_000)), n, "x");
        assert!(nth(1) > nth(0) && nth(4) > nth(3));
        assert!(nth(4) >= Millis(60_000), "{:?}", nth(4));
        assert!(after_refusal(None, u32::MAX, "x") <= limits::REFUSAL_MOST);
    }
}
