//! Whom a mission asks: providers that refuse, models that are left alone, and what stood in for what.

use super::escape;
use mission::governor::{self, Hold};
use mission::mission::Mission;
use mission::time::Timestamp;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// What there is to say of it, a line each. Empty where every turn was asked of its own model and may be now.
pub(crate) fn lines(mission: &Mission, now: Timestamp) -> String {
    let mut out = String::new();
    let mut held = |what: &str, name: &str, hold: &Hold| {
        let (name, why) = (
            escape::short(governor::told(name), 80),
            escape::short(&hold.why, 160),
        );
        let when = match hold.until > now {
            true => format!("no turn begins there for {}", hold.until.since(now)),
            false => "it is tried again, one turn first".to_owned(),
        };
        writeln!(out, "{what}{name}: {when} ({why})").ok();
    };
    if mission.outcome().is_none() {
        let providers = mission.held_providers();
        providers.for_each(|(name, hold)| held("refused by ", name, hold));
        let models = mission.open_breakers();
        models.for_each(|(name, hold)| held("breaker of ", name, hold));
    }
    for (role, model, n) in mission.switched() {
        let model = escape::short(model, 80);
        let still = mission.instead().any(|(now, _)| now == role);
        let still = match still && mission.outcome().is_none() {
            true => ", and does now",
            false => "",
        };
        let times = super::lines::n_of(n as usize, "time");
        writeln!(
            out,
            "{model} stood in for the {role}'s own model {times}{still}"
        )
        .ok();
    }
    out
}

/// The same for machines.
pub(super) fn machines(mission: &Mission) -> Value {
    let told = |(name, hold): (&str, &Hold)| json!({ "name": name, "until": hold.until, "why": hold.why, "in_a_row": hold.n });
    let switched = mission
        .switched()
        .map(|(role, model, n)| json!({ "role": role, "model": model, "times": n }));
    json!({
        "held": mission.held_providers().map(told).collect::<Vec<_>>(),
        "breakers": mission.open_breakers().map(told).collect::<Vec<_>>(),
        "switched": switched.collect::<Vec<_>>(),
    })
}
