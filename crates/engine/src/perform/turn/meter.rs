//! What a running turn has used, also where a provider does not say it of every call.

use mission::turn::Usage;

/// Counts the calls of one turn. A call whose use is not told makes that of the whole turn unknown; limits have to hold all
/// the same, so that it counts as the largest one so far.
#[derive(Debug)]
pub(super) struct Meter {
    /// The last use that was known.
    known: Usage,
    /// Tokens of the largest call so far.
    largest: u64,
}

impl Meter {
    pub(super) const fn new() -> Self {
        Self {
            known: Usage::NOTHING,
            largest: 0,
        }
    }

    /// What the turn counts for by now; nothing where no call of it has told what it used.
    pub(super) fn reads(&mut self, usage: Usage) -> Option<Usage> {
        if let Some(tokens) = usage.tokens() {
            let before = self.known.tokens().unwrap_or(0);
            self.largest = self.largest.max(tokens.saturating_sub(before));
            self.known = usage;
            return Some(usage);
        }
        let untold = u64::from(usage.calls.saturating_sub(self.known.calls));
        let guessed = self.largest.saturating_mul(untold);
        (self.largest > 0).then(|| Usage {
            input: self.known.input.map(|input| input.saturating_add(guessed)),
            calls: usage.calls,
            micro_usd: usage.micro_usd,
            ..self.known
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(calls: u32, tokens: Option<u64>) -> Usage {
        Usage {
            input: tokens,
            output: tokens.map(|_| 0),
            cached: tokens.map(|_| 0),
            micro_usd: None,
            calls,
        }
    }

    #[test]
    fn a_call_that_tells_nothing_counts_as_the_largest_so_far() {
        let mut meter = Meter::new();
        let mut reads = |usage| meter.reads(usage).and_then(|usage| usage.tokens());
        assert_eq!(reads(after(1, None)), None, "nothing is known yet");
        assert_eq!(reads(after(1, Some(100))), Some(100));
        assert_eq!(reads(after(2, Some(130))), Some(130));
        for calls in 3..=5 {
            let untold = u64::from(calls) - 2;
            assert_eq!(reads(after(calls, None)), Some(130 + 100 * untold));
        }
        // What is known again, from the messages themselves, counts as it is.
        assert_eq!(reads(after(5, Some(150))), Some(150));
    }
}
