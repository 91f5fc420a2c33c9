//! What came of pausing and steering, in words: what runs on, and who does not know yet.

use super::lines::n_of;
use mission::mission::Mission;

/// What a pause means for what runs now.
pub(crate) fn paused(mission: &Mission) -> String {
    let (id, runs) = (mission.id(), mission.leases().count());
    match runs {
        0 => format!("{id} is paused: nothing is asked of a model"),
        n => format!(
            "{id} is paused: no turn begins any more; {} to its end and is checked",
            runs_on(n)
        ),
    }
}

/// Who knows of what was said last.
pub(crate) fn said(mission: &Mission) -> String {
    let told = "every turn that begins from now on is told";
    match mission.unaware() {
        0 => told.to_owned(),
        n => format!(
            "{told}; {} that {} now {} not, and what {} in is judged by it",
            n_of(n, "turn"),
            if n == 1 { "runs" } else { "run" },
            if n == 1 { "is" } else { "are" },
            if n == 1 { "it hands" } else { "they hand" },
        ),
    }
}

fn runs_on(n: usize) -> String {
    let runs = if n == 1 { "runs on" } else { "run on" };
    format!("{} {runs}", n_of(n, "turn"))
}
