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
    let about = mission.said().last().and_then(|said| said.task);
    let of = about.map(|task| format!(" for {task}")).unwrap_or_default();
    let told = format!("every turn{of} that begins from now on is told");
    let n = mission.unaware();
    if n == 0 {
        return told;
    }
    let (runs, its) = match n {
        1 => ("runs", "its"),
        _ => ("run", "their"),
    };
    format!(
        "{told}, and {} that {runs} now at {its} next step",
        n_of(n, "turn")
    )
}

fn runs_on(n: usize) -> String {
    let runs = if n == 1 { "runs on" } else { "run on" };
    format!("{} {runs}", n_of(n, "turn"))
}
