//! Noticing that a model's answers break off again and again, and that the end of a call is told twice.
//!
//! Whether an agent gets anywhere with what it does is the core's to say, from the steps that it is told of.

use crate::opencode::events::Did;

/// So many answers in a row may break off: what a provider does not mend in a few tries it does not mend soon.
const BROKEN: u32 = 5;

/// What a turn's calls have come to so far. Events may be lost: then it takes longer.
#[derive(Default)]
pub(super) struct Repeats {
    part: String,
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

    /// Whether a finished call is told for the first time.
    pub(super) fn is_new(&mut self, did: &Did) -> bool {
        let new = did.part != self.part;
        self.part.clone_from(&did.part);
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mission::stagnation::{Act, ActKind};

    #[test]
    fn a_call_whose_end_is_told_twice_is_one() {
        let mut repeats = Repeats::default();
        let did = |part: &str| Did {
            part: part.to_owned(),
            act: Act {
                kind: ActKind::Look,
                what: 1,
                gave: 1,
                alike: 1,
                failed: false,
            },
            what: String::new(),
        };
        assert!(repeats.is_new(&did("a")) && !repeats.is_new(&did("a")));
        assert!(repeats.is_new(&did("b")));
    }
}
