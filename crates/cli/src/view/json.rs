//! A mission as JSON, for machines.

use mission::mission::Mission;
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
