//! A mission as JSON, for machines.

use super::{lines, reuse};
use mission::mission::{Delivery, Mission, TaskState};
use mission::time::Timestamp;
use serde_json::{Value, json};
use std::path::Path;

/// The first line of a mission that runs here: what its header tells people.
pub(crate) fn began(mission: &Mission, agent: &str, place: &Path) -> Value {
    json!({ "mission": {
        "id": mission.id(),
        "request": mission.request(),
        "folder": mission.project(),
        "agent": agent,
        "terms": mission.terms(),
        "work": place,
    } })
}

/// What a command that changes a mission came to.
pub(crate) fn changed(mission: &Mission) -> Value {
    json!({
        "mission": mission.id(),
        "state": mission.phase_word(),
        "delivery": delivery(mission),
    })
}

/// How a mission stands, or ended.
pub(crate) fn summary(mission: &Mission, ready: &reuse::Ready, now: Timestamp) -> Value {
    let budget = mission.budget();
    json!({
        "mission": mission.id(),
        "state": mission.phase_word(),
        "outcome": mission.outcome(),
        "request": mission.request(),
        "reasons": mission.reasons(),
        "tasks": mission.tasks().map(|one| task(mission, one)).collect::<Vec<_>>(),
        "changed": super::summary::changed_paths(mission),
        "delivery": delivery(mission),
        "ms": mission.running_for(now).0,
        "tokens": budget.spent,
        "token_limit": budget.limit,
        "tokens_reported": budget.reported,
        "tokens_unknown": budget.unknown,
        "model_calls": budget.calls,
        "cost": super::cost::machines(mission),
        "pace": super::pace::machines(mission),
        "plan_ahead": super::ahead::machines(mission),
        "asked": super::asked::machines(mission),
        "stuck": super::stuck::machines(mission),
        "foreseen": super::foresight::machines(mission),
        "sessions": super::sessions::machines(mission),
        "reuse": reuse::machines(mission, ready),
    })
}

/// A task, how far it is and what proves it.
pub(crate) fn task(mission: &Mission, task: &TaskState) -> Value {
    let proof = super::summary::proof(mission, task);
    let history = task.history.iter();
    json!({
        "id": task.task.id,
        "title": task.task.title,
        "state": task.state.word(),
        "proof": proof,
        "attempt": task.n,
        "tokens": task.tokens,
        "micro_usd": task.money,
        "history": history.map(|(attempt, why)| json!({ "attempt": attempt, "why": mission.told(why) })).collect::<Vec<_>>(),
    })
}

/// Where the result's way to the user is.
fn delivery(mission: &Mission) -> Value {
    let (state, form) = match mission.delivery() {
        Delivery::None => ("none", None),
        Delivery::Wanted(form) => ("wanted", Some(*form)),
        Delivery::Planned { form, .. } => ("planned", Some(*form)),
        Delivery::Refused => ("refused", None),
        Delivery::Done { form } => ("done", Some(*form)),
        Delivery::Undoing { form } => ("undoing", Some(*form)),
        Delivery::Undone => ("undone", None),
    };
    json!({ "state": state, "form": form.map(lines::form_word) })
}
