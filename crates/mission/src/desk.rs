//! The loop without the world: takes inputs, hands out what must become durable, and only then releases replies,
//! events and commands. The engine and the simulator run this same code.

use crate::command::Command;
use crate::event::Recorded;
use crate::input::{Input, Reply};
use crate::mission::Mission;
use crate::planted;
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// A mission with everything about it that is not durable yet or not answered yet. `T` is what a reply is handed to.
#[derive(Debug)]
pub struct Desk<T> {
    mission: Mission,
    /// When it was told something last.
    told: Timestamp,
    waiting: Vec<(T, Reply)>,
    replies: Vec<(T, Reply)>,
    undurable: Vec<Recorded>,
    in_flight: BTreeMap<String, Command>,
}

/// What became durable lets out.
#[derive(Debug, Default)]
pub struct Released {
    /// Events, in order, for whoever watches.
    pub events: Vec<Recorded>,
    /// Commands that are owed and not in flight; they count as in flight from now on.
    pub start: Vec<Command>,
    /// Names of commands in flight that are no longer owed.
    pub stop: Vec<String>,
}

impl<T> Desk<T> {
    /// A desk for a mission whose events so far are all durable.
    pub fn new(mission: Mission) -> Self {
        Self {
            told: mission.last(),
            mission,
            waiting: Vec::new(),
            replies: Vec::new(),
            undurable: Vec::new(),
            in_flight: BTreeMap::new(),
        }
    }

    /// The mission, with events that may not be durable yet. Nothing may be shown or done because of them.
    pub fn mission(&self) -> &Mission {
        &self.mission
    }

    /// Takes inputs, in order, each with whoever waits for its reply. Tells what must become durable, as one append;
    /// an empty list needs none, and [`Desk::durable`] may be called at once.
    pub fn take(
        &mut self,
        now: Timestamp,
        inputs: impl IntoIterator<Item = (Input, Option<T>)>,
    ) -> &[Recorded] {
        self.told = now;
        for (input, who) in inputs {
            let step = self.mission.step(now, input);
            self.undurable.extend(step.events);
            if let Some(who) = who {
                let early = planted!("reply_released_before_commit");
                let list = if early {
                    &mut self.replies
                } else {
                    &mut self.waiting
                };
                list.push((who, step.reply));
            }
        }
        &self.undurable
    }

    /// The next moment at which time alone may change something. It is reckoned from when the mission was told something
    /// last and not from now: a moment that passed since, while a disk was slow, has changed nothing yet.
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.mission.next_wake(self.told)
    }

    /// All that was taken is durable: its replies may go, and what the state owes now is started.
    pub fn durable(&mut self) -> Released {
        self.replies.append(&mut self.waiting);
        let events = std::mem::take(&mut self.undurable);
        let due: BTreeMap<String, Command> = self
            .mission
            .due()
            .into_iter()
            .map(|command| (command.name(), command))
            .collect();
        let stop: Vec<String> = self
            .in_flight
            .keys()
            .filter(|name| !due.contains_key(*name))
            .cloned()
            .collect();
        for name in &stop {
            self.in_flight.remove(name);
        }
        let mut start = Vec::new();
        for (name, command) in due {
            if let Entry::Vacant(free) = self.in_flight.entry(name) {
                start.push(command.clone());
                free.insert(command);
            }
        }
        Released {
            events,
            start,
            stop,
        }
    }

    /// Replies whose inputs are durable, each with whoever waits for it.
    pub fn replies(&mut self) -> Vec<(T, Reply)> {
        std::mem::take(&mut self.replies)
    }

    /// A performer ended. If its command is still owed, the next [`Desk::durable`] starts it again.
    pub fn ended(&mut self, name: &str) {
        self.in_flight.remove(name);
    }

    /// How many commands are in flight.
    pub fn n_in_flight(&self) -> usize {
        self.in_flight.len()
    }
}
