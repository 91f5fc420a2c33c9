//! What stands on the screen before any token is spent.

use crate::host;
use crate::view::{self, escape};
use agents::ShellRule;
use engine::layout::Layout;
use mission::mission::Mission;
use mission::spending::dollars;
use mission::terms::Terms;
use mission::time::Millis;
use std::path::Path;

/// How far in what is told stands, after its name.
const INDENT: usize = 8;

fn row(name: &str, what: &str) {
    view::hanging(&format!("{name:<INDENT$}{what}"), INDENT);
}

fn path(path: &Path) -> String {
    escape::line(&path.to_string_lossy())
}

/// What is known at once: the request, the folder, the limits.
pub(super) fn first(request: &str, project: &Path, terms: &Terms, silence: Millis) {
    row("request", &escape::short(request, 160));
    row("folder", &path(project));
    let cost = terms.micro_usd.map_or(String::new(), |micro| {
        format!("{} where prices are known, ", dollars(micro))
    });
    let limits = format!(
        "{} workers, {} attempts, {} review rounds, {} tokens, {cost}{}",
        terms.workers, terms.attempts, terms.review_rounds, terms.tokens, terms.mission
    );
    row("limits", &limits);
    row(
        "silence",
        &format!("{silence} without a sign of life end a turn"),
    );
}

/// The agent, or that it is being started.
pub(super) fn agent(told: &str) {
    row("agent", &escape::line(told));
}

/// What becomes of commands that agents ask for, where that is not that somebody is asked: what a person once allowed for
/// all missions of a project, and how that is taken back, or that nobody is here.
pub(super) fn shell(layout: &Layout, project: &Path, rule: ShellRule) {
    if rule == ShellRule::Deny {
        row("shell", &escape::line(host::SHELL_DENIED));
    } else if engine::allowed::kinds(layout, project).contains(agents::SHELL) {
        let file = path(&engine::allowed::file(layout, project));
        let told =
            format!("allowed in this project, as you said once; to be asked again: rm {file}");
        row("shell", &told);
    }
}

/// The mission, and where its work is done.
pub(super) fn mission(mission: &Mission, place: &Path) {
    let id = mission.id();
    row("mission", &id.to_string());
    row("work", &path(place));
    row("files", "yours change only at delivery");
    row("stop", &format!("Ctrl-C, or: orchestrator cancel {id}"));
}

/// What a mission that goes on begins with: the turns and checks whose leases are out, else the tasks that are left.
pub(super) fn goes_on(mission: &Mission) {
    let turns = mission.leases().map(|(_, lease)| lease.turn.told());
    let gates = mission
        .gate_leases()
        .map(|(_, lease)| format!("{} on {}", lease.gate.id, lease.purpose.told()));
    let mut found: Vec<String> = turns.chain(gates).collect();
    if found.is_empty() {
        let left = mission.tasks().filter(|task| !task.state.is_final());
        found.extend(left.map(|task| format!("{} ({})", task.task.id, task.state.word())));
    }
    if !found.is_empty() {
        row("goes on", &escape::short(&found.join(", "), 160));
    }
}
