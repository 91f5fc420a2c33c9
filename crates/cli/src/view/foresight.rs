//! Conflicts that running attempts were told of, and what that came to.

use super::lines::n_of;
use mission::foresight::{Foreseen, Stands};
use mission::ids::AttemptId;
use mission::mission::Mission;
use serde_json::{Value, json};

/// How many were told and how many of them then landed, in a line. Empty where nothing was foreseen.
pub(crate) fn lines(mission: &Mission) -> String {
    let foresight = mission.foresight();
    if foresight.told == 0 {
        return String::new();
    }
    let told = n_of(foresight.told as usize, "attempt");
    let all_the_same = match foresight.conflicts {
        0 => String::new(),
        n => format!(", {n} conflicted all the same"),
    };
    format!(
        "conflicts foreseen: {told} told at work, {} landed without one{all_the_same}\n",
        foresight.landed
    )
}

/// The line for a conflict that is foreseen.
pub(super) fn told(mission: &Mission, attempt: AttemptId, conflict: &Foreseen) -> String {
    let named = |other: &AttemptId| match mission.task(other.task) {
        Some(task) => format!("{other} ({})", task.task.title),
        None => other.to_string(),
    };
    let with: Vec<String> = conflict.with.iter().map(named).collect();
    let (all, which) = match conflict.stands() {
        Stands::Landed => ("what has landed", "which landed"),
        Stands::HandedIn => ("what is handed in", "which is handed in"),
        Stands::AtWork => ("what others work at", "which is at work and began first"),
    };
    let with = match with.as_slice() {
        [] => all.to_owned(),
        with => format!("{}, {which}", with.join(", ")),
    };
    let paths = conflict.paths.join(", ");
    format!("{attempt} is told that it does not merge with {with}: {paths}")
}

/// The same for machines.
pub(super) fn machines(mission: &Mission) -> Value {
    let foresight = mission.foresight();
    json!({
        "told": foresight.told,
        "landed": foresight.landed,
        "conflicts": foresight.conflicts,
    })
}
