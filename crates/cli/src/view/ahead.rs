//! The plan that was begun beside the Commander, and what that came to.

use super::escape;
use super::lines::n_of;
use mission::ahead::Came;
use mission::mission::Mission;
use serde_json::{Value, json};

/// What it came to, in a line. Empty where none was begun.
pub(crate) fn lines(mission: &Mission) -> String {
    let Some(ahead) = mission.planned_ahead() else {
        return String::new();
    };
    let told = match &ahead.settled {
        None => "it waits for what the Commander says".to_owned(),
        Some(Came::Void { why }) => format!(
            "void, {}; it used {}",
            escape::short(why, 120),
            used(ahead.charged)
        ),
        Some(Came::Written { .. } | Came::Used { .. }) => match saved(mission) {
            Some(ms) => format!("used, {ms} ms sooner"),
            None => "used".to_owned(),
        },
    };
    format!("planned ahead: {told}\n")
}

/// How much sooner the plan was there.
fn saved(mission: &Mission) -> Option<u64> {
    match mission.planned_ahead()?.settled {
        Some(Came::Used { ahead }) => Some(ahead.0),
        _ => None,
    }
}

fn used((tokens, money): (u64, u64)) -> String {
    match money {
        0 => format!("{tokens} tokens"),
        _ => format!("{tokens} tokens, {}", mission::spending::dollars(money)),
    }
}

/// The line for what came of it.
pub(super) fn told(mission: &Mission, came: &Came) -> String {
    let charged = mission
        .planned_ahead()
        .map_or((0, 0), |ahead| ahead.charged);
    match came {
        Came::Written { plan } => format!(
            "a plan of {} waits for the commander",
            n_of(plan.tasks.len(), "task")
        ),
        Came::Used { ahead } => format!(
            "the plan that was begun ahead is used: {} ms sooner",
            ahead.0
        ),
        Came::Void { why } => format!(
            "the plan that was begun ahead is void: {why}; it used {}",
            used(charged)
        ),
    }
}

/// The same for machines; null where none was begun.
pub(super) fn machines(mission: &Mission) -> Value {
    let Some(ahead) = mission.planned_ahead() else {
        return Value::Null;
    };
    let (state, why) = match &ahead.settled {
        None => ("open", None),
        Some(Came::Void { why }) => ("void", Some(why)),
        Some(Came::Written { .. } | Came::Used { .. }) => ("used", None),
    };
    json!({
        "state": state,
        "why": why,
        "saved_ms": saved(mission),
        "tokens": ahead.charged.0,
        "micro_usd": ahead.charged.1,
    })
}
