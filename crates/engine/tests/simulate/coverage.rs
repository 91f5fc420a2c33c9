//! What all worlds together saw.

use mission::event::Event;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What became of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    Lost,
    Late,
    Doubled,
}

#[derive(Debug, Default)]
pub(crate) struct Coverage {
    pub(crate) worlds: u64,
    pub(crate) steps: u64,
    events: BTreeMap<&'static str, u64>,
    replies: BTreeMap<(&'static str, Fate), u64>,
    crashes: BTreeMap<&'static str, u64>,
    outcomes: BTreeMap<String, u64>,
    pub(crate) fenced: u64,
}

/// Every kind of command.
const COMMANDS: [&str; 9] = [
    "prepare",
    "turn",
    "gate",
    "stack",
    "move",
    "plan_delivery",
    "deliver",
    "undo",
    "clean",
];

impl Coverage {
    pub(crate) fn event(&mut self, event: &Event) {
        *self.events.entry(event.name()).or_default() += 1;
        if let Event::Sealed { outcome, .. } = event {
            *self.outcomes.entry(outcome.to_string()).or_default() += 1;
        }
    }

    pub(crate) fn reply(&mut self, kind: &'static str, fate: Fate) {
        *self.replies.entry((kind, fate)).or_default() += 1;
    }

    pub(crate) fn crash(&mut self, place: &'static str) {
        *self.crashes.entry(place).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: Self) {
        fn sum<K: Ord>(into: &mut BTreeMap<K, u64>, from: BTreeMap<K, u64>) {
            for (key, n) in from {
                *into.entry(key).or_default() += n;
            }
        }
        self.worlds += other.worlds;
        self.steps += other.steps;
        self.fenced += other.fenced;
        sum(&mut self.events, other.events);
        sum(&mut self.replies, other.replies);
        sum(&mut self.crashes, other.crashes);
        sum(&mut self.outcomes, other.outcomes);
    }

    /// What no world has seen.
    pub(crate) fn holes(&self) -> Vec<String> {
        let mut holes = Vec::new();
        if self.events.len() != Event::KINDS {
            let seen: BTreeSet<&&str> = self.events.keys().collect();
            holes.push(format!(
                "{} of {} kinds of event, only {seen:?}",
                seen.len(),
                Event::KINDS
            ));
        }
        for kind in COMMANDS {
            for fate in [Fate::Lost, Fate::Late, Fate::Doubled] {
                if !self.replies.contains_key(&(kind, fate)) {
                    holes.push(format!("no reply to `{kind}` was {fate:?}"));
                }
            }
        }
        if self.fenced == 0 {
            holes.push("no old engine was fenced".into());
        }
        holes
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (worlds, steps) = (self.worlds, self.steps);
        writeln!(
            f,
            "{worlds} worlds, {steps} steps, {} a world",
            steps / worlds.max(1)
        )?;
        writeln!(f, "outcomes {:?}", self.outcomes)?;
        writeln!(
            f,
            "crashes {:?}, old engines fenced {}",
            self.crashes, self.fenced
        )?;
        writeln!(f, "replies {:?}", self.replies)?;
        write!(f, "events {:?}", self.events)
    }
}
