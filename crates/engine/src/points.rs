//! What the points of the loop are about, for the tests that let the program die there.

use mission::command::Command;
use mission::event::{Event, Purpose};
use mission::gate::Gate;
use mission::ids::Epoch;
use mission::mission::Mission;
use std::collections::BTreeMap;

/// Why the gates run that run now; nothing in builds without points.
pub(crate) fn gates(mission: &Mission) -> BTreeMap<Epoch, String> {
    if !workbench::fault::ON {
        return BTreeMap::new();
    }
    let leases = mission.gate_leases();
    leases
        .map(|(epoch, run)| (epoch, gate(&run.gate, &run.purpose)))
        .collect()
}

/// A gate and why it runs. Without numbers that depend on what was faster.
pub(crate) fn gate(gate: &Gate, purpose: &Purpose) -> String {
    format!("{} for {purpose:?}", gate.id)
}

/// An event in few words.
pub(crate) fn event(event: &Event, gates: &BTreeMap<Epoch, String>) -> String {
    let name = event.name();
    match event {
        Event::TurnStarted { turn, .. } | Event::TurnEnded { turn, .. } => format!("{name} {turn}"),
        Event::GateStarted {
            gate: which,
            purpose,
            ..
        } => format!("{name} {}", gate(which, purpose)),
        Event::GateEnded { epoch, .. } | Event::GateLost { epoch, .. } => {
            let which = gates.get(epoch).map_or("", String::as_str);
            format!("{name} {which}")
        }
        Event::Worked { attempt, .. }
        | Event::Rejected { attempt, .. }
        | Event::Accepted { attempt, .. }
        | Event::Disputed { attempt, .. }
        | Event::Reused { attempt, .. } => format!("{name} {attempt}"),
        Event::Parked { task, .. }
        | Event::TaskFailed { task, .. }
        | Event::TaskDone { task, .. } => format!("{name} {task}"),
        Event::LandingStarted { n, .. }
        | Event::Stacked { n, .. }
        | Event::LandingFailed { n, .. }
        | Event::Landed { n, .. } => format!("{name} {n}"),
        _ => name.to_owned(),
    }
}

/// A command in few words, without its epoch.
pub(crate) fn command(command: &Command) -> String {
    match command {
        Command::Turn { turn, .. } => format!("turn {turn}"),
        Command::Gate {
            gate: which,
            purpose,
            ..
        } => format!("gate {}", gate(which, purpose)),
        other => other.name(),
    }
}
