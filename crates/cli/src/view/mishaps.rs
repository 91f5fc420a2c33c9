//! What went wrong on a mission's way and what became of it, as its journal tells.

use super::escape;
use mission::event::{Ending, Event, Recorded, Rejection, Turn};
use mission::ids::{AttemptId, Seq};
use mission::mission::{Mission, State};
use mission::turn::{Failure, Report};

/// Kinds of mishaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An attempt's own check was red on its own tree.
    CheckRed,
    /// A Reviewer turned an attempt down.
    ReviewRejected,
    /// What was accepted did not merge onto what had landed meanwhile.
    Conflict,
    /// The provider would not serve a turn.
    Refused,
    /// An attempt was said to be done and accepted, and the combined tree was red.
    FalseClaim,
    /// An agent ended without a word.
    AgentLost,
}

impl Kind {
    /// Its name for machines.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CheckRed => "check_red",
            Self::ReviewRejected => "review_rejected",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
            Self::FalseClaim => "false_claim",
            Self::AgentLost => "agent_lost",
        }
    }
}

/// One thing that went wrong.
#[derive(Clone, Debug)]
pub(crate) struct Mishap {
    /// Which event tells of it.
    pub(crate) seq: Seq,
    /// What kind.
    pub(crate) kind: Kind,
    /// Which turn or attempt it befell.
    pub(crate) who: String,
    /// What happened. Untrusted text: escape it where it is shown.
    pub(crate) what: String,
    /// What became of it.
    pub(crate) then: String,
}

/// The mishaps of a mission, in the order in which they happened. The mission is as it stands after the events.
pub(crate) fn mishaps(mission: &Mission, events: &[(Seq, Recorded)]) -> Vec<Mishap> {
    let mut found = Vec::new();
    for (n, (seq, recorded)) in events.iter().enumerate() {
        let (before, after) = (&events[..n], &events[n + 1..]);
        let told = match &recorded.event {
            Event::Rejected { attempt, rejection } => rejected(before, *attempt, rejection)
                .map(|(kind, what)| (kind, attempt.to_string(), what, ending(mission, *attempt))),
            Event::TurnEnded { turn, ending, .. } => ended(ending)
                .map(|(kind, what)| (kind, turn.to_string(), what, again(recorded, *turn, after))),
            _ => None,
        };
        found.extend(told.map(|(kind, who, what, then)| Mishap {
            seq: *seq,
            kind,
            who,
            what,
            then,
        }));
    }
    found
}

/// A mishap in one line.
pub(crate) fn line(mishap: &Mishap) -> String {
    let Mishap {
        who, what, then, ..
    } = mishap;
    escape::line(&format!("{who} {what}; {then}"))
}

fn rejected(
    before: &[(Seq, Recorded)],
    attempt: AttemptId,
    rejection: &Rejection,
) -> Option<(Kind, String)> {
    match rejection {
        Rejection::Gate { gate, .. } => {
            let accepted = before.iter().any(|(_, recorded)| {
                matches!(&recorded.event, Event::Accepted { attempt: a, .. } if *a == attempt)
            });
            Some(match accepted {
                true => (Kind::FalseClaim, claimed(before, attempt, gate)),
                false => (Kind::CheckRed, format!("failed its own check {gate}")),
            })
        }
        Rejection::Review { findings } => {
            let first = findings
                .first()
                .map_or(String::new(), |first| format!(": {}", first.what));
            let what = format!("was turned down by its Reviewer{first}");
            Some((Kind::ReviewRejected, escape::short(&what, 120)))
        }
        Rejection::Conflict { paths, .. } => {
            let paths = paths.join(", ");
            Some((
                Kind::Conflict,
                format!("did not merge: others had changed {paths} too"),
            ))
        }
        _ => None,
    }
}

/// What an attempt said of itself, and what the check of the combined tree said.
fn claimed(before: &[(Seq, Recorded)], attempt: AttemptId, gate: &str) -> String {
    let said = before
        .iter()
        .rev()
        .find_map(|(_, recorded)| match &recorded.event {
            Event::Worked {
                attempt: a,
                report: Report::Done { summary, .. },
                ..
            } if *a == attempt => Some(escape::short(summary, 80)),
            _ => None,
        });
    let said = said.unwrap_or_else(|| "it is done".into());
    format!("said \"{said}\", and {gate} was red on the combined tree")
}

fn ended(ending: &Ending) -> Option<(Kind, String)> {
    match ending {
        Ending::Refused {
            why, outage: true, ..
        } => Some((
            Kind::Refused,
            format!("was put off, since its model fails: {why}"),
        )),
        Ending::Refused { why, .. } => {
            Some((Kind::Refused, format!("was refused by its provider: {why}")))
        }
        Ending::Failed {
            failure: Failure::Transient,
            why,
        } => Some((Kind::AgentLost, format!("lost its agent: {why}"))),
        _ => None,
    }
}

/// How the task of a rejected attempt ended.
fn ending(mission: &Mission, attempt: AttemptId) -> String {
    match mission.task(attempt.task) {
        Some(task) if task.state == State::Landed => format!("{} landed", task.attempt()),
        Some(task) => format!("{} is {}", task.task.id, task.state.word()),
        None => "its task was planned anew".into(),
    }
}

/// How a turn that ended without an answer went on.
fn again(ended: &Recorded, turn: Turn, after: &[(Seq, Recorded)]) -> String {
    let next = after.iter().find_map(|(_, recorded)| match recorded.event {
        Event::TurnStarted { turn: next, .. } if same(turn, next) => Some((recorded.at, next)),
        _ => None,
    });
    match next {
        Some((at, next)) => {
            let wait = at.since(ended.at);
            format!("went on after {wait} as {next}, no attempt used up")
        }
        None => "was not tried again".into(),
    }
}

/// Whether a turn is another try of the same thing at no cost of an attempt.
fn same(turn: Turn, next: Turn) -> bool {
    match (turn, next) {
        (Turn::Review { attempt: a, .. }, Turn::Review { attempt: b, .. }) => a == b,
        (Turn::Split { task: a, .. }, Turn::Split { task: b, .. }) => a == b,
        (Turn::Intent { .. }, Turn::Intent { .. }) | (Turn::Plan { .. }, Turn::Plan { .. }) => true,
        (turn, next) => turn == next,
    }
}
