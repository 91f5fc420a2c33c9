//! The engine's clock: wall time once, then a clock that never goes backwards.

use mission::time::{Millis, Timestamp};
use std::time::{Duration, Instant, SystemTime};

/// A clock that was set by the wall clock when it was made and is not moved by it afterwards.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall: Timestamp,
    since: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// A clock that starts now.
    pub fn new() -> Self {
        let wall = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        Self {
            wall: Timestamp(wall.as_millis() as u64),
            since: Instant::now(),
        }
    }

    /// A clock that starts now, or at `least` if the wall clock shows an earlier moment: a clock that was set back must
    /// not make a mission stand still until it has caught up.
    pub fn not_before(least: Timestamp) -> Self {
        let clock = Self::new();
        Self {
            wall: clock.wall.max(least),
            ..clock
        }
    }

    /// The moment that it shows.
    pub fn now(&self) -> Timestamp {
        self.wall + Millis(self.since.elapsed().as_millis() as u64)
    }

    /// How long it is until a moment; nothing if that is over.
    pub fn until(&self, at: Timestamp) -> Duration {
        Duration::from_millis(at.since(self.now()).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_goes_on_from_the_last_event() {
        let ahead = Clock::new().now() + Millis::from_mins(60);
        let clock = Clock::not_before(ahead);
        assert!(clock.now() >= ahead);
        assert_eq!(clock.until(ahead), Duration::ZERO);
    }
}
