//! The engine's clock: wall time once, then a clock that never goes backwards. And how long the machine slept, in which
//! that clock stands still.

use mission::input::Input;
use mission::limits;
use mission::time::{Millis, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};
use workbench::fault;

/// A clock that was set by the wall clock when it was made and is not moved by it afterwards. Its clones show the same.
#[derive(Clone, Debug)]
pub struct Clock {
    wall: Timestamp,
    since: Instant,
    /// Milliseconds in which the machine slept, as far as the clock was told of them.
    slept: Arc<AtomicU64>,
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
            slept: Arc::default(),
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
        let slept = self.slept.load(Ordering::SeqCst);
        self.wall + Millis(self.since.elapsed().as_millis() as u64 + slept)
    }

    /// From now on it shows that much more: the machine slept.
    fn slept(&self, time: Millis) {
        self.slept.fetch_add(time.0, Ordering::SeqCst);
    }

    /// How long it is until a moment; nothing if that is over.
    pub fn until(&self, at: Timestamp) -> Duration {
        Duration::from_millis(at.since(self.now()).0)
    }
}

/// How long the machine runs, with the time in which it slept. Where a system does not tell, it never sleeps.
fn up() -> Option<Duration> {
    #[cfg(target_os = "linux")]
    {
        let up = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let nanos = u32::try_from(up.tv_nsec).ok()?;
        Some(Duration::new(u64::try_from(up.tv_sec).ok()?, nanos) + fault::slept())
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// Notices that the machine slept.
#[derive(Debug)]
pub(crate) struct Sleep {
    since: Instant,
    up: Option<Duration>,
    /// What was told of it.
    told: Duration,
}

impl Sleep {
    /// What was slept before now is not told.
    pub(crate) fn from_now() -> Self {
        Self {
            since: Instant::now(),
            up: up(),
            told: Duration::ZERO,
        }
    }

    /// What a mission is told of a sleep, once, and the clock with it: nobody worked, so that it is as after a time without
    /// an engine.
    pub(crate) fn noticed(&mut self, clock: &Clock) -> Option<Input> {
        let slept = self.untold_at(self.since.elapsed(), up()?)?;
        let seen = Some(clock.now());
        clock.slept(slept);
        Some(Input::Woke { seen })
    }

    /// For how long it slept that was not told yet. Nothing as long as that is so short that it moves no deadline.
    fn untold_at(&mut self, awake: Duration, up: Duration) -> Option<Millis> {
        let all = up.saturating_sub(self.up?).saturating_sub(awake);
        let new = Millis(all.saturating_sub(self.told).as_millis() as u64);
        let counts = new >= limits::IDLE;
        counts.then(|| {
            self.told = all;
            new
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_is_told_once_and_a_clock_that_is_told_shows_it() {
        const HOUR: Duration = Duration::from_secs(3600);
        let (awake, up) = (Duration::from_secs(60), 100 * HOUR);
        let mut sleep = Sleep {
            up: Some(up),
            ..Sleep::from_now()
        };
        assert_eq!(sleep.untold_at(awake, up + awake), None);
        // It is asked in its turn for both clocks: a little between them is no sleep.
        let little = Duration::from_millis(1_999);
        assert_eq!(sleep.untold_at(awake, up + awake + little), None);
        let slept = sleep.untold_at(awake, up + awake + 8 * HOUR);
        assert_eq!(slept, Some(Millis::from_mins(8 * 60)));
        assert_eq!(sleep.untold_at(awake, up + awake + 8 * HOUR), None);
        let later = sleep.untold_at(2 * awake, up + 2 * awake + 9 * HOUR);
        assert_eq!(later, Some(Millis::from_mins(60)));
        // A count that goes back says nothing.
        assert_eq!(sleep.untold_at(3 * awake, up), None);

        let clock = Clock::new();
        let (same, before) = (clock.clone(), clock.now());
        clock.slept(Millis::from_mins(60));
        assert!(same.now() >= before + Millis::from_mins(60));
    }

    #[test]
    fn a_machine_that_is_awake_has_not_slept() {
        let clock = Clock::new();
        assert_eq!(Sleep::from_now().noticed(&clock), None);
        assert_eq!(clock.slept.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_clock_that_was_set_back_goes_on_from_the_last_event() {
        let ahead = Clock::new().now() + Millis::from_mins(60);
        let clock = Clock::not_before(ahead);
        assert!(clock.now() >= ahead);
        assert_eq!(clock.until(ahead), Duration::ZERO);
    }
}
