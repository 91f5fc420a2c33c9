//! Noticing that an agent goes round in circles.

use crate::opencode::events::Did;
use std::collections::HashSet;

/// So often in a row may the same call give the same back. A person would have stopped by then.
const SAME: u32 = 5;
/// So many calls in a row may bring nothing that the turn has not seen: enough to read some files again after the
/// host has summed the conversation up.
const KNOWN: u32 = 30;

/// So many answers in a row may break off: what a provider does not mend in a few tries it does not mend soon.
const BROKEN: u32 = 5;

/// What a turn's tool calls have brought so far. Events may be lost: then it takes longer.
#[derive(Default)]
pub(super) struct Repeats {
    part: String,
    last: u64,
    same: u32,
    known: u32,
    seen: HashSet<u64>,
    broken: u32,
}

impl Repeats {
    /// Takes the end of a model call; a reason to stop when too many in a row broke off. OpenCode asks again by itself
    /// as long as a provider's stream ends without saying so, and each time is paid for.
    pub(super) fn ended(&mut self, broken: bool) -> Option<String> {
        self.broken = match broken {
            true => self.broken + 1,
            false => 0,
        };
        (self.broken >= BROKEN)
            .then(|| format!("the model's answer broke off {BROKEN} times in a row"))
    }

    /// Takes a finished call; a reason to stop when nothing new came for too long.
    pub(super) fn take(&mut self, did: &Did) -> Option<String> {
        // The end of a call may be told more than once.
        if did.part == self.part {
            return None;
        }
        self.part.clone_from(&did.part);
        self.same = match did.trace == self.last {
            true => self.same + 1,
            false => 1,
        };
        self.last = did.trace;
        self.known = match self.seen.insert(did.trace) {
            true => 0,
            false => self.known + 1,
        };
        if self.same >= SAME {
            let what = &did.what;
            return Some(format!(
                "it made the same call {SAME} times and got the same back: {what}"
            ));
        }
        (self.known >= KNOWN).then(|| {
            format!("it goes round in circles: its last {KNOWN} calls brought nothing new")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many calls it is stopped, if each call brings this.
    fn stopped(traces: impl Iterator<Item = u64>) -> Option<usize> {
        let mut repeats = Repeats::default();
        let calls = traces.take(1000).enumerate().map(|(n, trace)| Did {
            part: n.to_string(),
            trace,
            what: "read: a.txt".to_owned(),
        });
        let mut ends = calls.map(|did| repeats.take(&did));
        ends.position(|end| end.is_some()).map(|n| n + 1)
    }

    #[test]
    fn the_same_call_over_and_over_is_stopped() {
        assert_eq!(stopped(std::iter::repeat(7)), Some(5));
    }

    #[test]
    fn a_circle_of_calls_is_stopped() {
        assert_eq!(stopped((0..).map(|n| n % 3)), Some(33));
    }

    #[test]
    fn a_call_that_brings_something_new_is_work() {
        assert_eq!(
            stopped(0..),
            None,
            "as when a log is read until it is long enough"
        );
        let tries = (0..).map(|n| if n % 2 == 0 { 1 } else { n });
        assert_eq!(
            stopped(tries),
            None,
            "as when a test is run after each edit"
        );
    }

    #[test]
    fn a_call_whose_end_is_told_twice_is_one() {
        let mut repeats = Repeats::default();
        let did = Did {
            part: "p".to_owned(),
            trace: 1,
            what: String::new(),
        };
        assert!((0..10).all(|_| repeats.take(&did).is_none()));
    }
}
