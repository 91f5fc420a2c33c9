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

/// The wait after the `n`th turn in a row that the machine failed: what it lacks may take longer to mend.
pub fn after_machine(n: u32, seed: &str) -> Millis {
    spread(wait(limits::BACKOFF_FIRST, limits::REFUSAL_MOST, n), seed)
}

/// The wait after the `n + 1`th refusal in a row. Where the provider named a time that is what is waited for, within
/// bounds and a little more, and hours once it names them again; where it did not, or goes on refusing all the same, the wait doubles each time. Both are
/// spread by a seed, so that not everybody comes back at one instant.
pub fn after_refusal(asked: Option<Millis>, n: u32, seed: &str) -> Millis {
    let doubled = |n| wait(limits::REFUSAL_FIRST, limits::REFUSAL_MOST, n);
    let Some(asked) = asked else {
        return spread(doubled(n.saturating_add(1)), seed);
    };
    let most = match n {
        0 => limits::REFUSAL_MOST,
        _ => limits::NAMED_MOST,
    };
    let named = asked.clamp(limits::REFUSAL_LEAST, most);
    let believed = limits::REFUSALS_BELIEVED;
    late(
        match n < believed {
            true => named,
            false => named.max(doubled(n - believed + 1)),
        },
        seed,
    )
}

/// A wait that must not be shorter, made longer by a little.
pub fn late(wait: Millis, seed: &str) -> Millis {
    let most = Millis(wait.0 / 16).clamp(limits::LATE_LEAST, limits::LATE_MOST);
    wait + Millis(spread(Millis(4 * most.0), seed).0 - 3 * most.0)
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
        let year = |n| after_refusal(Some(Millis(limits::NAMED_MOST.0 * 365)), n, "x");
        for (n, most) in [(0, limits::REFUSAL_MOST), (1, limits::NAMED_MOST)] {
            assert!(year(n) >= most && year(n) <= most + limits::LATE_MOST);
        }
    }

    #[test]
    fn whoever_asks_for_a_wait_gets_no_less_and_not_from_everybody_at_once() {
        let waits: Vec<u64> = (0..100)
            .map(|n| after_refusal(Some(Millis(30_000)), 0, &format!("m1/T{n}")).0)
            .collect();
        assert!(waits.iter().all(|ms| (30_000..=31_875).contains(ms)));
        assert!(waits.iter().min().unwrap() < &30_100 && waits.iter().max().unwrap() > &31_775);
    }

    #[test]
    fn what_a_provider_names_is_waited_for_and_not_more() {
        for n in 0..limits::REFUSALS_BELIEVED {
            let wait = after_refusal(Some(Millis(1_000)), n, "x");
            assert!((1_000..=1_250).contains(&wait.0), "{wait:?}");
        }
        // Hours too, once it has named them again.
        for n in 1..20 {
            let named = Millis::from_mins(180);
            let wait = after_refusal(Some(named), n, "x");
            assert!(wait >= named && wait <= named + limits::LATE_MOST, "{wait}");
        }
    }

    #[test]
    fn a_provider_that_goes_on_refusing_is_asked_less_and_less_often() {
        let nth = |n| after_refusal(Some(Millis(1_000)), n, "x");
        assert!(nth(2) > Millis(4_000) && nth(3) > nth(2) && nth(4) > nth(3));
        assert!(nth(6) >= Millis(60_000), "{:?}", nth(6));
        assert!(after_refusal(None, u32::MAX, "x") <= limits::REFUSAL_MOST);
    }
}
