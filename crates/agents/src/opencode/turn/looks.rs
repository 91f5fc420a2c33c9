//! When to look at what events would have told: soon after something went on, and ever more rarely while nothing does.

use crate::opencode::Pace;
use std::time::Duration;
use tokio::time::Instant;

/// The next look, and what led to it. It reads no clock: whoever asks says what time it is.
pub(super) struct Looks {
    least: Duration,
    most: Duration,
    interval: Duration,
    next: Instant,
}

impl Looks {
    /// The first look is due at once.
    pub(super) fn new(pace: &Pace, now: Instant) -> Self {
        Self {
            least: pace.poll_least,
            most: pace.poll_most,
            interval: pace.poll_least,
            next: now,
        }
    }

    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Something goes on: look again soon, if nothing more is heard.
    pub(super) fn soon(&mut self, now: Instant) {
        self.interval = self.least;
        self.next = now + self.interval;
    }

    /// Nothing has changed since the last look.
    pub(super) fn later(&mut self, now: Instant) {
        self.interval = (self.interval * 2).min(self.most);
        self.next = now + self.interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_get_rarer_while_nothing_changes_and_are_frequent_again_after_a_change() {
        let mut now = Instant::now();
        let mut looks = Looks::new(&Pace::default(), now);
        assert_eq!(looks.next(), now, "the first look is not waited for");
        for _ in 0..2 {
            looks.soon(now);
            let mut waited = Vec::new();
            for _ in 0..6 {
                waited.push((looks.next() - now).as_millis());
                now = looks.next();
                looks.later(now);
            }
            assert_eq!(waited, [500, 1000, 2000, 4000, 5000, 5000]);
        }
    }

    #[test]
    fn a_look_that_took_long_is_not_made_up_for() {
        let start = Instant::now();
        let mut looks = Looks::new(&Pace::default(), start);
        let late = start + Duration::from_secs(60);
        looks.later(late);
        assert_eq!(looks.next() - late, Duration::from_secs(1));
        looks.soon(late);
        assert_eq!(looks.next() - late, Duration::from_millis(500));
    }
}
