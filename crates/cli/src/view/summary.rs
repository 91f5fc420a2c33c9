//! The end of a mission as text: what changed, what proves it and how strongly, what was not done, what it cost.

use super::escape;
use super::table::table;
use mission::mission::{Delivery, Mission, State, TaskState};
use mission::plan::TaskKind;
use mission::seal::Outcome;
use mission::turn::Intent;
use std::fmt::Write as _;

/// The summary of a mission, rendered from facts alone, with what may be done next.
pub(crate) fn summary(mission: &Mission) -> String {
    let mut out = facts(mission);
    let id = mission.id();
    let mut next = vec![format!("look: orchestrator diff {id}")];
    match mission.delivery() {
        Delivery::Done { .. } => next.push(format!("undo: orchestrator undo {id}")),
        _ if mission.landed() > 0 => next.push(format!("take: orchestrator deliver {id}")),
        _ => {}
    }
    if !matches!(
        mission.outcome(),
        Some(Outcome::Completed | Outcome::Answered)
    ) {
        next.push(format!("go on: orchestrator resume {id}"));
    }
    if mission.outcome() != Some(Outcome::Answered) {
        writeln!(out, "{}", next.join("   ")).ok();
    }
    out
}

/// What a mission came to: what changed, what proves it, what it cost, where it is.
pub(crate) fn facts(mission: &Mission) -> String {
    let mut out = String::new();
    let word = mission.phase_word();
    writeln!(
        out,
        "{} {word}: {}",
        mission.id(),
        escape::short(mission.request(), 200)
    )
    .ok();
    if let (Some(Outcome::Answered), Some(Intent::Answer { text })) =
        (mission.outcome(), mission.intent())
    {
        writeln!(out, "\n{}", escape::text(text)).ok();
    }
    for reason in mission.reasons() {
        writeln!(out, "  - {}", escape::line(reason)).ok();
    }
    if mission.tasks().next().is_some() {
        writeln!(out, "\n{}", tasks(mission).trim_end()).ok();
        changed(mission, &mut out);
    }
    writeln!(out, "\n{}", cost(mission)).ok();
    writeln!(out, "{}", delivery(mission)).ok();
    out
}

/// The plan with how far each task is and what proves it.
pub(crate) fn tasks(mission: &Mission) -> String {
    let rows: Vec<Vec<String>> = mission.tasks().map(|task| row(mission, task)).collect();
    table(
        &["task", "state", "proof", "tries", "needs", "title"],
        &rows,
    )
}

fn row(mission: &Mission, task: &TaskState) -> Vec<String> {
    let needs: Vec<String> = task.task.needs.iter().map(ToString::to_string).collect();
    let proof = match (&task.state, task.task.kind) {
        (State::Waiting { .. } | State::Ready, _) => "-".to_owned(),
        // A gate is its own proof, and a person's answer needs none.
        (_, TaskKind::Gate) => "gate".to_owned(),
        (_, TaskKind::Ask) => "answer".to_owned(),
        (_, TaskKind::Agent) => mission.grade(task.task.id).to_string(),
    };
    let state = if task.reused {
        format!("{} (reused)", task.state.word())
    } else {
        task.state.word().to_owned()
    };
    vec![
        task.task.id.to_string(),
        state,
        proof,
        task.n.to_string(),
        if needs.is_empty() {
            "-".to_owned()
        } else {
            needs.join(",")
        },
        escape::short(&task.task.title, 80),
    ]
}

fn changed(mission: &Mission, out: &mut String) {
    let landed = mission
        .tasks()
        .filter(|task| task.state == State::Landed)
        .filter_map(|task| task.work.as_ref());
    let mut paths: Vec<&str> = landed
        .flat_map(|work| work.touched.iter().map(String::as_str))
        .collect();
    paths.sort_unstable();
    paths.dedup();
    if paths.is_empty() {
        return;
    }
    let shown: Vec<String> = paths
        .iter()
        .take(12)
        .map(|path| escape::line(path))
        .collect();
    let more = paths.len().saturating_sub(shown.len());
    let more = if more > 0 {
        format!(", and {more} more")
    } else {
        String::new()
    };
    writeln!(out, "\nchanged: {}{more}", shown.join(", ")).ok();
}

/// Time and tokens in one line.
pub(crate) fn cost(mission: &Mission) -> String {
    let budget = mission.budget();
    let money = match budget.micro_usd {
        0 => String::new(),
        micro => format!(", ${}.{:02}", micro / 1_000_000, micro % 1_000_000 / 10_000),
    };
    let unknown = if budget.unknown {
        " (some turns did not say; they count as reserved)"
    } else {
        ""
    };
    format!(
        "time {}, tokens {} of {}{unknown}, model calls {}{money}",
        mission.duration(),
        budget.spent,
        budget.limit,
        budget.calls
    )
}

fn delivery(mission: &Mission) -> String {
    match mission.delivery() {
        Delivery::Done { form } => format!("delivered as {}", super::lines::form_word(*form)),
        Delivery::Wanted(_) | Delivery::Planned { .. } => "delivery is under way".into(),
        Delivery::Refused => "not delivered; nothing of yours was changed".into(),
        Delivery::Undoing { .. } => "the delivery is being taken back".into(),
        Delivery::Undone => "the delivery was taken back".into(),
        Delivery::None => "nothing was delivered; your files are as they were".into(),
    }
}
