//! The sessions that a mission's agents worked in: how many there were, how often one was gone on with, and which are
//! closed.

use super::escape;
use mission::event::Event;
use mission::mission::Mission;
use serde_json::{Value, json};

/// What is told of a session as it happens. That a turn begins in one of its own goes without saying.
pub(crate) fn told(mission: &Mission, event: &Event) -> Option<String> {
    Some(match event {
        Event::SessionUsed { session, .. } => {
            let mut known = mission.sessions().known();
            let (_, used) = known.find(|(name, _)| name == session)?;
            if used.uses < 2 {
                return None;
            }
            format!("{} goes on in its session", used.turn.told())
        }
        Event::SessionRetired { session, why } => {
            format!(
                "session {} is closed: {}",
                escape::short(session, 40),
                why.word()
            )
        }
        Event::SessionClosed { session, left } if !left.is_empty() => {
            format!(
                "session {} is left at the agents' host: {left}",
                escape::short(session, 40)
            )
        }
        Event::Cleaned { sessions_left, .. } if !sessions_left.is_empty() => {
            format!("sessions are left at the agents' host: {sessions_left}")
        }
        _ => return None,
    })
}

/// All of them in one line; empty where no host has any.
pub(crate) fn lines(mission: &Mission) -> String {
    let sessions = mission.sessions();
    if sessions.opened == 0 {
        return String::new();
    }
    let by = sessions.closed.iter();
    let mut why: Vec<String> = by.map(|(why, n)| format!("{n} {}", why.word())).collect();
    if sessions.ended > 0 {
        why.push(format!("{} with the workspaces", sessions.ended));
    }
    let why = match why.is_empty() {
        true => String::new(),
        false => format!(" ({})", why.join(", ")),
    };
    let left = match sessions.left {
        0 => String::new(),
        n => format!(", {n} left at their host"),
    };
    format!(
        "sessions: {} opened, {} gone on with, {} closed{why}{left}\n",
        sessions.opened,
        super::lines::n_of(sessions.reused as usize, "time"),
        sessions.n_closed(),
    )
}

/// The same for machines.
pub(crate) fn machines(mission: &Mission) -> Value {
    let sessions = mission.sessions();
    let closed = sessions.closed.iter();
    let closed: serde_json::Map<String, Value> = closed
        .map(|(why, n)| (why.word().to_owned(), json!(n)))
        .chain([("with_workspaces".to_owned(), json!(sessions.ended))])
        .collect();
    json!({
        "opened": sessions.opened,
        "gone_on_with": sessions.reused,
        "closed": closed,
        "left": sessions.left,
    })
}
