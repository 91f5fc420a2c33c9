//! What a scripted provider permits: so many calls in each stretch of time, and a refusal for every other one.

use mission::time::Millis;
use serde::Deserialize;
use std::num::NonZeroU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How much is permitted. A turn of a script is one call.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permits {
    /// How many calls are served in each stretch.
    pub calls: NonZeroU64,
    /// How long a stretch is, in milliseconds. The first one begins with the first call.
    pub each: NonZeroU64,
}

/// A provider as one engine knows it: what was called before an engine died is forgotten with it.
#[derive(Debug)]
pub(super) struct Provider {
    permits: Permits,
    /// When the first call came; the stretch of the last one, and how many were served in it.
    state: Mutex<(Option<Instant>, u128, u64)>,
}

impl Provider {
    pub(super) fn new(permits: Permits) -> Self {
        Self {
            permits,
            state: Mutex::default(),
        }
    }

    /// A call at a moment: nothing where it is served, or how long the provider asks to wait.
    pub(super) fn call(&self, now: Instant) -> Option<Millis> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let each = Duration::from_millis(self.permits.each.get());
        let since = now.duration_since(*state.0.get_or_insert(now));
        let stretch = since.as_nanos() / each.as_nanos();
        if state.1 != stretch {
            (state.1, state.2) = (stretch, 0);
        }
        if state.2 < self.permits.calls.get() {
            state.2 += 1;
            return None;
        }
        let left = each.as_nanos() - since.as_nanos() % each.as_nanos();
        Some(Millis(
            left.div_ceil(1_000_000).try_into().unwrap_or(u64::MAX),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::{Permits, Provider};
    use mission::time::Millis;
    use std::time::Duration;
    use tokio::time::Instant;

    #[test]
    fn so_many_calls_are_served_in_each_stretch_and_the_rest_is_told_when_the_next_one_begins() {
        let permits: Permits = toml::from_str("calls = 2\neach = 1000").unwrap();
        let provider = Provider::new(permits);
        let begun = Instant::now();
        let call = |ms| provider.call(begun + Duration::from_millis(ms));
        assert_eq!([call(0), call(10)], [None, None]);
        assert_eq!(call(300), Some(Millis(700)));
        assert_eq!(call(999), Some(Millis(1)));
        assert_eq!([call(1000), call(1500)], [None, None]);
        assert_eq!(call(1501), Some(Millis(499)));
        // What one stretch leaves is not there in the next.
        assert_eq!([call(5000), call(5001)], [None, None]);
        assert_eq!(call(5002), Some(Millis(998)));
        for nothing in ["calls = 0\neach = 1", "calls = 1\neach = 0"] {
            toml::from_str::<Permits>(nothing).unwrap_err();
        }
    }
}
