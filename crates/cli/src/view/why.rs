//! Why each thing of a mission was decided so, below its line in the log.

use super::{escape, lines};
use mission::event::{Event, Recorded};
use mission::ids::{Seq, TaskId};
use mission::mission::Mission;

/// How far in a reason stands: below the text of its event, whose number takes six columns.
const INDENT: usize = 6 + lines::INDENT + 2;

/// The reasons of an event, from the mission before it. `None` where the event is not to be shown: it does not concern
/// the one task that is asked about.
pub(crate) fn reasons(
    before: &Mission,
    recorded: &Recorded,
    task: Option<TaskId>,
) -> Option<Vec<String>> {
    let (at, event) = (recorded.at, &recorded.event);
    let Some(task) = task else {
        return Some(before.why(at, event));
    };
    if before.concerned(event).contains(&task) {
        return Some(before.why(at, event));
    }
    match event {
        // What holds all back holds this one back.
        Event::Sealed { .. }
        | Event::Resumed { .. }
        | Event::Halted { .. }
        | Event::Pressed { .. }
        | Event::Relieved { .. }
        | Event::Paused { .. }
        | Event::Unpaused { .. } => Some(before.why(at, event)),
        Event::TurnStarted { turn, .. } => Some(vec![before.why_not(at, *turn, task)?]),
        _ => None,
    }
}

/// An event with its reasons. The mission is as it stands after it.
pub(crate) fn lines(
    mission: &Mission,
    seq: Seq,
    recorded: &Recorded,
    reasons: &[String],
) -> String {
    let mut told = lines::numbered(mission, seq, recorded);
    for reason in reasons {
        let reason = escape::line(reason);
        told.push_str(&format!("\n{:INDENT$}{reason}", ""));
    }
    told
}

/// The same for machines.
pub(crate) fn json(seq: Seq, recorded: &Recorded, reasons: &[String]) -> String {
    let event = &recorded.event;
    serde_json::json!({
        "seq": seq.0,
        "v": recorded.v,
        "at": recorded.at.0,
        "event": event,
        "why": reasons,
    })
    .to_string()
}
