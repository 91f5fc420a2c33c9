//! What all worlds together saw.

mod wanted;

use mission::ahead::Came;
use mission::event::{Ending, Event, Rejection};
use mission::governor::provider_of;
use mission::landing::StackResult;
use mission::mission::Mission;
use mission::sessions::Retired;
use mission::stagnation::{Remedy, Stray};
use mission::turn::{Failure, Role};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use wanted::{COMMANDS, CRASHES, OUTCOMES, SIGHTS};

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
    /// Worlds by the number of tasks in their first plan.
    pub(crate) sizes: BTreeMap<usize, u64>,
    planned: usize,
    events: BTreeMap<&'static str, u64>,
    replies: BTreeMap<(&'static str, Fate), u64>,
    crashes: BTreeMap<&'static str, u64>,
    outcomes: BTreeMap<&'static str, u64>,
    sights: BTreeMap<&'static str, u64>,
    pub(crate) fenced: u64,
}

impl Coverage {
    pub(crate) fn event(&mut self, event: &Event) {
        *self.events.entry(event.name()).or_default() += 1;
        match event {
            Event::Sealed { outcome, .. } => *self.outcomes.entry(outcome.word()).or_default() += 1,
            Event::Planned { plan } if self.planned == 0 => self.planned = plan.tasks.len(),
            Event::PlannedAhead { came, .. } => self.saw(match came {
                Came::Written { .. } => "a plan is written before the request is read",
                Came::Used { .. } => "a plan that was begun ahead is taken",
                Came::Void { why } => void(why),
            }),
            Event::TurnEnded { ending, .. } => self.saw(ended(ending)),
            Event::Rejected { rejection, .. } => self.saw(rejected(rejection)),
            Event::Stacked { results, .. } => {
                for stacked in results {
                    self.saw(match stacked.result {
                        StackResult::Put { .. } => "stacked: put",
                        StackResult::Empty => "stacked: empty",
                        StackResult::Conflict { .. } => "stacked: conflict",
                    });
                }
            }
            Event::TurnNudged { stray, .. } => self.saw(match stray {
                Stray::Stalled => "a stalled turn is told so",
                Stray::Looping => "a looping turn is told so",
                Stray::Quiet => "a quiet turn is told so",
            }),
            Event::Stagnated { remedy, model, .. } => self.saw(match (remedy, model) {
                (Remedy::Diagnose, None) => "a task stagnates: diagnosis",
                (Remedy::Diagnose, Some(_)) => "a task stagnates: diagnosis by another model",
                (Remedy::Split, _) => "a task stagnates: the planner is asked",
                (Remedy::Model, _) => "a task stagnates: another model",
                (Remedy::GiveUp, _) => "a task stagnates: it is given up",
            }),
            Event::PlanEdited {
                split: Some(_), by, ..
            } => self.saw(match by.as_str() {
                "planner" => "a stuck task is cut anew",
                _ => "a whole goes back to a worker",
            }),
            Event::PlanEdited { dear: true, .. } => self.saw("a plan is made dear by its change"),
            Event::SplitRefused { given_up, .. } => self.saw(match given_up {
                true => "a stuck task is not cut anew",
                false => "what a stuck task is cut into is sent back",
            }),
            Event::TaskSkipped { without: true, .. } => {
                self.saw("a task is left out, and others run without it");
            }
            Event::CancelAsked { abort: true, .. } => self.saw("a mission is aborted"),
            Event::SessionRetired { why, .. } => self.saw(match why {
                Retired::Replaced => "a session is closed: replaced",
                Retired::Worn => "a session is closed: worn",
                // No world has more lanes than may be idle; a story tells of that.
                Retired::Idle | Retired::Crowded => "a session is closed: idle",
            }),
            Event::LandingFailed { gate: Some(_), .. } => self.saw("a stack is red"),
            Event::Halted { why } => self.saw(halted(why)),
            Event::QuestionClosed { answered, .. } => self.saw(match answered.by.as_str() {
                "deadline" => "a question is closed by its deadline",
                "policy" => "a question is closed by a policy",
                by if by.starts_with("policy: rule ") => "a question is closed by a rule",
                "withdrawn" => "a question is withdrawn",
                "opencode" => "a question is answered where the host shows it",
                _ => "a question is answered by a person",
            }),
            _ => {}
        }
    }

    pub(crate) fn saw(&mut self, what: &'static str) {
        *self.sights.entry(what).or_default() += 1;
    }

    /// What Workers are asked of at once, and how many each provider bears.
    pub(crate) fn slots(&mut self, mission: &Mission) {
        let slots = mission.slots().filter(|(role, ..)| *role == Role::Worker);
        let slots: BTreeSet<u32> = slots.map(|(_, _, slots)| slots.now()).collect();
        if slots.len() > 1 {
            self.saw("a role has other slots at another provider");
        }
        let work = mission.leases().map(|(_, lease)| lease);
        let work = work.filter(|lease| lease.turn.role() == Role::Worker);
        let asked: BTreeSet<&str> = work
            .map(|lease| provider_of(mission.model_of(lease)))
            .collect();
        if asked.len() > 1 {
            self.saw("two providers are asked at once");
        }
    }

    pub(crate) fn reply(&mut self, kind: &'static str, fate: Fate) {
        *self.replies.entry((kind, fate)).or_default() += 1;
    }

    pub(crate) fn crash(&mut self, place: &'static str) {
        *self.crashes.entry(place).or_default() += 1;
    }

    /// One world is over.
    pub(crate) fn ended(&mut self, steps: u64) {
        (self.worlds, self.steps) = (1, steps);
        self.sizes.insert(self.planned, 1);
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
        sum(&mut self.sizes, other.sizes);
        sum(&mut self.events, other.events);
        sum(&mut self.replies, other.replies);
        sum(&mut self.crashes, other.crashes);
        sum(&mut self.outcomes, other.outcomes);
        sum(&mut self.sights, other.sights);
    }

    /// Worlds whose first plan has four to twenty tasks, in a hundred.
    fn ordinary(&self) -> u64 {
        let n: u64 = self.sizes.range(4..=20).map(|(_, n)| n).sum();
        n * 100 / self.worlds.max(1)
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
        let all: [(&str, &[&str], _); 3] = [
            ("no engine died", &CRASHES, &self.crashes),
            ("no mission ended", &OUTCOMES, &self.outcomes),
            ("nobody saw", SIGHTS, &self.sights),
        ];
        for (what, wanted, seen) in all {
            let missing = wanted.iter().filter(|name| !seen.contains_key(*name));
            holes.extend(missing.map(|name| format!("{what} {name}")));
            let unknown = seen.keys().filter(|name| !wanted.contains(name));
            holes.extend(unknown.map(|name| format!("{name} is on no list")));
        }
        if self.fenced == 0 {
            holes.push("no old engine was fenced".into());
        }
        if self.ordinary() < 80 {
            holes.push(format!(
                "only {} in a hundred worlds have 4 to 20 tasks",
                self.ordinary()
            ));
        }
        holes
    }
}

fn ended(ending: &Ending) -> &'static str {
    match ending {
        Ending::Answered => "ending: answered",
        Ending::Refused { outage: true, .. } => "ending: put off",
        Ending::Refused { .. } => "ending: refused",
        Ending::Failed { failure, .. } => match failure {
            Failure::Transient => "ending: transient failure",
            Failure::Machine => "ending: the machine failed",
            Failure::NoAnswer => "ending: no answer",
            Failure::Overflow => "ending: overflow",
            Failure::Silent => "ending: silent",
            Failure::Refused => "ending: refused alone",
            Failure::Fatal => "ending: fatal",
        },
        Ending::Held { .. } => "ending: held",
        Ending::Expired => "ending: expired",
        Ending::Overspent => "ending: overspent",
        Ending::Cancelled => "ending: cancelled",
    }
}

fn rejected(rejection: &Rejection) -> &'static str {
    match rejection {
        Rejection::Nothing => "rejected: nothing was changed",
        Rejection::Unfinished { .. } => "rejected: unfinished",
        Rejection::Protected { .. } => "rejected: protected",
        Rejection::Bent { .. } => "rejected: bent",
        Rejection::Gate { .. } => "rejected: gate",
        Rejection::Review { .. } => "rejected: review",
        Rejection::Person { .. } => "rejected: person",
        Rejection::Conflict { .. } => "rejected: conflict",
    }
}

fn void(why: &str) -> &'static str {
    let starts = [
        ("the request is a question", "a plan ahead: a question"),
        ("a small change", "a plan ahead: a small change"),
        ("the Commander said more", "a plan ahead: more to follow"),
        (
            "its Planner does not know",
            "a plan ahead: something was said",
        ),
        (
            "people have written",
            "a plan ahead: something was proposed",
        ),
        ("it is faulty", "a plan ahead: it is faulty"),
        (
            "the mission winds down",
            "a plan ahead: the end before the Commander's",
        ),
    ];
    let known = starts.iter().find(|(start, _)| why.starts_with(start));
    known.map_or("a plan ahead: no answer", |(_, name)| name)
}

fn halted(why: &str) -> &'static str {
    let starts = [
        ("the token budget is spent", "halted: the budget is spent"),
        (
            "the cost limit is reached",
            "halted: the cost limit is reached",
        ),
        ("its 20 turns", "halted: its turns are used up"),
        ("its 60 turns", "halted: its turns are used up"),
        ("its time of", "halted: the time is over"),
        (
            "its time is over in",
            "halted: all that could go on waits past its end",
        ),
        ("of its time of", "halted: too little time is left"),
        ("the check", "halted: a check could not be run"),
        ("the plan is faulty", "halted: a faulty plan"),
        ("it cannot be done here", "halted: a step failed"),
        ("it was not done within", "halted: a step hung"),
        ("intent.", "halted: a failed turn"),
        ("plan.", "halted: a failed turn"),
        ("it failed", "halted: a fatal failure"),
    ];
    let known = starts.iter().find(|(start, _)| why.starts_with(start));
    known.map_or("halted: otherwise", |(_, name)| name)
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (worlds, steps) = (self.worlds, self.steps);
        writeln!(
            f,
            "{worlds} worlds, {steps} steps, {} a world",
            steps / worlds.max(1)
        )?;
        writeln!(
            f,
            "tasks in the first plan, with how many worlds: {:?}; 4 to 20 in {} of 100",
            self.sizes,
            self.ordinary()
        )?;
        writeln!(f, "outcomes {:?}", self.outcomes)?;
        writeln!(
            f,
            "crashes {:?}, old engines fenced {}",
            self.crashes, self.fenced
        )?;
        writeln!(f, "replies as they arrived {:?}", self.replies)?;
        writeln!(f, "seen {:?}", self.sights)?;
        write!(f, "events {:?}", self.events)
    }
}
