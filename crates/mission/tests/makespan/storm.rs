//! A provider that permits so much and refuses the rest, in simulated time: what the core gets done of what is permitted.

use crate::carry::{begin, hand_in, land};
use crate::shapes::{Graph, Node};
use mission::event::Turn;
use mission::ids::Epoch;
use mission::input::Input;
use mission::mission::Mission;
use mission::plan::Size;
use mission::time::{Millis, Timestamp};
use mission::turn::{Outcome, Usage};
use std::collections::BTreeSet;

const SECOND: u64 = 1_000;
/// How long a model's first words take, and how long a refusal.
const SERVED: u64 = 2 * SECOND;
const REFUSED: u64 = 300;

/// How much a provider permits.
enum Permits {
    /// So many calls in each stretch of so many milliseconds.
    Window { calls: u64, length: u64 },
    /// One call each so many milliseconds, and as many at once as have come together, up to so many.
    Bucket { each: u64, most: u64 },
}

struct Provider {
    permits: Permits,
    /// What was called in which window, or when the bucket was empty for the last time, as far as it is known.
    state: (u64, u64),
    calls: u64,
    refused: u64,
}

impl Provider {
    /// A call: nothing, or how long to wait.
    fn call(&mut self, now: u64) -> Option<u64> {
        self.calls += 1;
        let wait = match self.permits {
            Permits::Window { calls, length } => {
                let window = now / length;
                if self.state.0 != window {
                    self.state = (window, 0);
                }
                let full = self.state.1 >= calls;
                self.state.1 += u64::from(!full);
                full.then(|| length - now % length)
            }
            Permits::Bucket { each, most } => {
                let since = now - self.state.0;
                let there = (self.state.1 + since).min(most * each);
                let full = there < each;
                self.state = (now, if full { there } else { there - each });
                full.then(|| each - there)
            }
        };
        self.refused += u64::from(wait.is_some());
        wait
    }

    /// How long the provider takes at the least for so many calls.
    fn least(&self, calls: u64) -> u64 {
        match self.permits {
            Permits::Window { calls: n, length } => (calls - 1) / n * length,
            Permits::Bucket { each, most } => (calls - most) * each,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happens {
    Refused(u64),
    Served,
    Ends,
}

/// Carries so many tasks out that each take so long; the time that it took.
fn carry(tasks: usize, takes: u64, provider: &mut Provider) -> (u64, Mission) {
    let node = |_| Node {
        needs: Vec::new(),
        size: Size::Medium,
        takes,
    };
    let tasks = (0..tasks).map(node).collect();
    let mut mission = begin(&Graph { tasks });
    let mut now = Timestamp(0);
    mission.step(now, Input::Tick);
    let mut known: BTreeSet<Epoch> = BTreeSet::new();
    let mut queue: BTreeSet<(u64, Epoch, Happens)> = BTreeSet::new();
    while mission.outcome().is_none() {
        let leases: Vec<(Epoch, Turn)> = mission.leases().map(|(e, l)| (e, l.turn)).collect();
        for (epoch, _) in leases {
            if !known.insert(epoch) {
                continue;
            }
            match provider.call(now.0) {
                Some(wait) => {
                    queue.insert((now.0 + REFUSED, epoch, Happens::Refused(wait)));
                }
                None => {
                    queue.insert((now.0 + SERVED, epoch, Happens::Served));
                    queue.insert((now.0 + takes, epoch, Happens::Ends));
                }
            }
        }
        let wake = mission.next_wake(now).map(|at| at.0);
        let first = queue.first().copied();
        match first.filter(|(at, ..)| wake.is_none_or(|wake| *at <= wake)) {
            Some((at, epoch, what)) => {
                queue.pop_first();
                now = Timestamp(at);
                happen(&mut mission, now, epoch, what);
            }
            None => {
                now = Timestamp(wake.expect("somebody is waited for"));
                mission.step(now, Input::Tick);
            }
        }
    }
    (now.0, mission)
}

fn happen(mission: &mut Mission, now: Timestamp, epoch: Epoch, what: Happens) {
    let turn = mission.lease(epoch).map(|lease| lease.turn.to_string());
    match what {
        Happens::Refused(wait) => {
            let outcome = Outcome::Refused {
                retry_after: Some(Millis(wait)),
                why: "429".into(),
                usage: Usage::NOTHING,
                outage: false,
            };
            let work = None;
            let input = Input::TurnReplied {
                epoch,
                outcome,
                work,
            };
            mission.step(now, input);
        }
        Happens::Served => {
            let usage = Usage {
                input: Some(10),
                output: Some(0),
                calls: 1,
                ..Usage::default()
            };
            mission.step(now, Input::TurnUsed { epoch, usage });
        }
        Happens::Ends => {
            hand_in(mission, now, epoch, &turn.unwrap_or_default());
            land(mission, now);
        }
    }
}

/// What a storm costs: every task is done at its first attempt, and hardly any of what is permitted is lost.
fn weather(name: &str, permits: Permits, extra_calls: f64) {
    let (tasks, takes) = (400, 10 * SECOND);
    let state = match permits {
        Permits::Window { .. } => (0, 0),
        Permits::Bucket { each, most } => (0, each * most),
    };
    let mut provider = Provider {
        permits,
        state,
        calls: 0,
        refused: 0,
    };
    let (took, mission) = carry(tasks, takes, &mut provider);
    let least = provider.least(tasks as u64) + takes;
    let rate = least as f64 / took as f64;
    let (calls, refused) = (provider.calls, provider.refused);
    println!(
        "{name}: {rate:.3} of the permitted rate, {calls} calls of which {refused} were refused"
    );
    assert!(rate >= 0.9, "{name}: {rate:.3} of the permitted rate");
    assert!(refused > 10, "{name}: hardly a storm");
    assert!(
        calls as f64 <= tasks as f64 * extra_calls,
        "{name}: {calls} calls"
    );
    for task in mission.tasks() {
        assert_eq!(
            (task.n, task.tries),
            (1, 0),
            "{} lost an attempt",
            task.task.id
        );
    }
}

#[test]
fn a_storm_of_refusals_costs_no_attempt_and_hardly_any_of_what_is_permitted() {
    let window = Permits::Window {
        calls: 20,
        length: 60 * SECOND,
    };
    weather("20 calls a minute", window, 1.2);
    let bucket = Permits::Bucket {
        each: 3 * SECOND,
        most: 20,
    };
    weather("a call each three seconds", bucket, 2.0);
}
