//! Whether an agent gets anywhere in its turn, from what it does.
//!
//! Progress is evidence. Before the first edit it is something that was not looked at before, for so many steps; after it,
//! it is another edit, or a command that says something else. Only numbers that stand for what was done are looked at, and
//! never a text.

use super::Stray;
use crate::limits;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What kind of step an agent took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ActKind {
    /// It looked at something: a file, a list, the answer to a query.
    Look,
    /// It changed a file.
    Change,
    /// It ran a command.
    Run,
    /// Anything else, such as a note to itself: that is never progress.
    Other,
}

/// One finished step of an agent. The numbers stand for texts: equal texts have equal numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Act {
    /// What kind of step.
    pub kind: ActKind,
    /// What was asked for: the tool and its arguments.
    pub what: u64,
    /// What came back.
    pub gave: u64,
    /// The same without what differs from run to run; see [`super::scrubbed`].
    pub alike: u64,
    /// Whether it failed, as far as the host says.
    pub failed: bool,
}

impl Act {
    /// What tells it from others. A failure that differs by a time or a place in memory is the same failure; of what goes
    /// well such a difference may be all that is waited for.
    fn trace(self) -> (ActKind, u64, u64) {
        let gave = match self.failed {
            true => self.alike,
            false => self.gave,
        };
        (self.kind, self.what, gave)
    }
}

/// How an agent goes nowhere in its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strayed {
    /// In which way.
    pub stray: Stray,
    /// What was seen of it.
    pub why: String,
    /// Edits, and commands that said something new, since it last did, or since it began.
    pub gained: u32,
}

/// What one turn has come to so far.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Whether its agent is there to change something.
    edits: bool,
    /// Steps that were seen before: what was asked, and what came of it.
    seen: BTreeSet<(ActKind, u64, u64)>,
    /// The last few, newest last.
    recent: VecDeque<(ActKind, u64, u64)>,
    /// How often in a row the last one was taken.
    same: u32,
    /// Steps in a row that were seen before.
    known: u32,
    /// Steps in a row without progress.
    idle: u32,
    /// Steps until the first change.
    looked: u32,
    changed: bool,
    /// How the last run of each command failed, and after how many changes it failed so.
    failures: BTreeMap<u64, (u64, u32)>,
    /// Changes so far.
    changes: u32,
    /// Changes there were when a command last ran.
    ran_at: BTreeMap<u64, u32>,
    /// Changes and new results since it last went nowhere.
    gained: u32,
}

impl Progress {
    /// Of a turn that has just begun; `edits` where its agent is to change something.
    pub fn new(edits: bool) -> Self {
        Self {
            edits,
            seen: BTreeSet::new(),
            recent: VecDeque::new(),
            same: 0,
            known: 0,
            idle: 0,
            looked: 0,
            changed: false,
            failures: BTreeMap::new(),
            changes: 0,
            ran_at: BTreeMap::new(),
            gained: 0,
        }
    }

    /// Takes a finished step; says how the agent goes nowhere and what was seen of it, if it does. It begins to count anew
    /// then. `doing` is the step in one line.
    pub fn take(&mut self, act: Act, doing: &str) -> Option<Strayed> {
        let (stray, why) = self.looping(act, doing).or_else(|| self.stalled(act))?;
        self.recent.clear();
        self.failures.clear();
        (self.same, self.known, self.idle, self.looked) = (0, 0, 0, 0);
        let gained = std::mem::take(&mut self.gained);
        Some(Strayed { stray, why, gained })
    }

    fn looping(&mut self, act: Act, doing: &str) -> Option<(Stray, String)> {
        let trace = act.trace();
        self.same = match self.recent.back() == Some(&trace) {
            true => self.same + 1,
            false => 1,
        };
        self.recent.push_back(trace);
        if self.recent.len() > limits::CIRCLE as usize {
            self.recent.pop_front();
        }
        self.known = match self.seen.contains(&trace) {
            true => self.known + 1,
            false => 0,
        };
        let told = |why: String| Some((Stray::Looping, why));
        if self.same >= limits::SAME_CALL {
            let n = self.same;
            return told(format!(
                "it made the same call {n} times and got the same back: {doing}"
            ));
        }
        let few: BTreeSet<_> = self.recent.iter().collect();
        if self.known >= limits::CIRCLE && few.len() <= limits::CIRCLE_CALLS as usize {
            let (n, of) = (self.known, few.len());
            return told(format!(
                "its last {n} calls were the same {of} again and again: {doing}"
            ));
        }
        let n = self.failed_again(act)?;
        told(format!(
            "after {n} edits in a row this failed in the same way: {doing}"
        ))
    }

    /// After how many edits in a row a command has failed in one way, when that are too many.
    fn failed_again(&mut self, act: Act) -> Option<u32> {
        match act.kind {
            ActKind::Change if !act.failed => self.changes += 1,
            ActKind::Run => {
                let edited = self.ran_at.insert(act.what, self.changes) != Some(self.changes);
                if !act.failed {
                    self.failures.remove(&act.what);
                    return None;
                }
                let (alike, n) = self.failures.entry(act.what).or_insert((act.alike, 0));
                if *alike != act.alike {
                    (*alike, *n) = (act.alike, u32::from(edited && self.changes > 0));
                    return None;
                }
                *n += u32::from(edited && self.changes > 0);
                return (*n >= limits::SAME_FAILURE).then_some(*n);
            }
            _ => {}
        }
        None
    }

    fn stalled(&mut self, act: Act) -> Option<(Stray, String)> {
        let new = self.seen.insert(act.trace());
        let changes = act.kind == ActKind::Change && !act.failed;
        self.changed |= changes;
        let evidence = match act.kind {
            ActKind::Change => changes,
            ActKind::Run => true,
            ActKind::Look => {
                self.looked += u32::from(!self.changed);
                // Whoever is there to change something does not read for ever.
                !self.edits || (!self.changed && self.looked <= limits::LOOKS)
            }
            ActKind::Other => false,
        };
        let works = matches!(act.kind, ActKind::Change | ActKind::Run);
        self.gained += u32::from(new && evidence && works);
        self.idle = match new && evidence {
            true => 0,
            false => self.idle + 1,
        };
        if self.idle < limits::IDLE_STEPS {
            return None;
        }
        let n = self.idle;
        Some((
            Stray::Stalled,
            match self.changed || !self.edits {
                true => format!("its last {n} steps brought nothing new"),
                false => format!(
                    "its last {n} steps brought nothing that it had not seen, and it has changed nothing yet"
                ),
            },
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ActKind::{Change, Look, Other, Run};

    fn act(kind: ActKind, what: u64, gave: u64) -> Act {
        let (alike, failed) = (gave, false);
        Act {
            kind,
            what,
            gave,
            alike,
            failed,
        }
    }

    /// At which step, from 1, a Worker that takes these steps is found to go nowhere, and how.
    fn strays(acts: impl Iterator<Item = Act>) -> Option<(usize, Stray)> {
        let mut progress = Progress::new(true);
        let mut steps = (1..).zip(acts.take(1000));
        steps.find_map(|(n, act)| Some((n, progress.take(act, "x")?.stray)))
    }

    #[test]
    fn the_same_call_over_and_over_is_a_loop() {
        let at = limits::SAME_CALL as usize;
        let same = std::iter::repeat(act(Look, 7, 7));
        assert_eq!(strays(same), Some((at, Stray::Looping)));
        let other = (0..).map(|n| act(Run, 7, n));
        assert_eq!(
            strays(other),
            None,
            "as when a log is read until it is long enough"
        );
    }

    #[test]
    fn a_command_that_fails_alike_is_a_loop_whatever_time_it_tells() {
        let edit = std::iter::once(act(Change, 0, 0));
        let red = edit.chain((0..).map(|n| Act {
            alike: 9,
            failed: true,
            ..act(Run, 7, n)
        }));
        let at = 1 + limits::SAME_CALL as usize;
        assert_eq!(strays(red), Some((at, Stray::Looping)));
    }

    #[test]
    fn a_few_calls_in_turns_are_a_loop() {
        let circle = (0..).map(|n| act(Look, n % 3, 1));
        let at = 3 + limits::CIRCLE as usize;
        assert_eq!(strays(circle), Some((at, Stray::Looping)));
    }

    #[test]
    fn who_reads_what_is_known_stalls_and_who_reads_on_for_ever_too() {
        let known = (0..).map(|n| act(Look, n % 20, 1));
        let at = 20 + limits::IDLE_STEPS as usize;
        assert_eq!(strays(known), Some((at, Stray::Stalled)));
        let new = (0..).map(|n| act(Look, n, 1));
        let at = (limits::LOOKS + limits::IDLE_STEPS) as usize;
        assert_eq!(strays(new), Some((at, Stray::Stalled)));
        let mut reviewer = Progress::new(false);
        let never = (0..1000).all(|n| reviewer.take(act(Look, n, 1), "x").is_none());
        assert!(never, "whoever only reads may read on");
    }

    #[test]
    fn after_an_edit_only_edits_and_other_results_are_progress() {
        let edit = std::iter::once(act(Change, 0, 0));
        let reads = edit.clone().chain((1..).map(|n| act(Look, n, 1)));
        let at = 1 + limits::IDLE_STEPS as usize;
        assert_eq!(strays(reads), Some((at, Stray::Stalled)));
        let notes = edit.clone().chain((1..).map(|n| act(Other, n, n)));
        assert_eq!(strays(notes), Some((at, Stray::Stalled)));
        let works = edit.chain((1..).map(|n| match n % 10 {
            0 => act(Change, n, 1),
            _ => act(Look, n, 1),
        }));
        assert_eq!(strays(works), None);
    }

    #[test]
    fn edits_that_leave_the_same_failure_are_a_loop() {
        let edits = |alike: fn(u64) -> u64| {
            (0..).map(move |n| match n % 2 {
                0 => act(Change, n, 1),
                _ => Act {
                    alike: alike(n),
                    failed: true,
                    ..act(Run, 9, n)
                },
            })
        };
        let same = strays(edits(|_| 4));
        let at = 2 * (limits::SAME_FAILURE as usize);
        assert_eq!(
            same,
            Some((at, Stray::Looping)),
            "times in the output differ, the failure does not"
        );
        assert_eq!(
            strays(edits(|n| n)),
            None,
            "as when one test after another is mended"
        );
        let green = (0..).map(|n| match n % 2 {
            0 => act(Change, n, 1),
            _ => act(Run, 9, 1),
        });
        assert_eq!(strays(green), None, "what is green stays green");
    }

    #[test]
    fn what_was_gained_since_it_last_went_nowhere_is_told() {
        let mut progress = Progress::new(true);
        let mut gained = Vec::new();
        // Five edits, then it reads; then two edits and a command, and it reads again.
        let edits = |from: u64, n: u64| (from..from + n).map(|n| act(Change, n, 1));
        let reads = || (0..u64::from(limits::IDLE_STEPS)).map(|n| act(Look, n, 1));
        let acts = edits(0, 5).chain(reads()).chain(edits(9, 2));
        for act in acts.chain([act(Run, 1, 1)]).chain(reads()) {
            gained.extend(progress.take(act, "x").map(|strayed| strayed.gained));
        }
        assert_eq!(gained, [5, 3]);
    }

    #[test]
    fn it_counts_anew_after_it_was_told() {
        let mut progress = Progress::new(true);
        let mut told = Vec::new();
        for n in 1..=3 * limits::SAME_CALL {
            told.extend(progress.take(act(Look, 7, 7), "x").map(|_| n));
        }
        let n = limits::SAME_CALL;
        assert_eq!(told, [n, 2 * n, 3 * n]);
    }
}
