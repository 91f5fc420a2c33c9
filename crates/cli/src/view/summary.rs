//! The end of a mission as text: what changed, what proves it and how strongly, what was not done, what it cost.

use super::table::table;
use super::{escape, pace, reuse};
use mission::gate::Gate;

use mission::mission::{Delivery, Evidence, Mission, State, TaskState};
use mission::plan::TaskKind;
use mission::seal::Outcome;
use mission::terms::Deliver;
use mission::turn::Intent;
use std::fmt::Write as _;

/// The summary of a mission, rendered from facts alone, with what may be done next.
pub(crate) fn summary(mission: &Mission, ready: &reuse::Ready, room: Option<usize>) -> String {
    let mut out = facts(mission, room);
    // Of no use to the agent that reads the report of a mission in its conversation.
    out.push_str(&super::sessions::lines(mission));
    out.push_str(&reuse::lines(mission, ready));
    let id = mission.id();
    let mut next = match mission.landed() {
        0 => vec![format!("look: orchestrator show {id}")],
        _ => vec![format!("look: orchestrator diff {id}")],
    };
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
pub(crate) fn facts(mission: &Mission, room: Option<usize>) -> String {
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
        writeln!(out, "\n{}", tasks(mission, room).trim_end()).ok();
        if mission.plan_edits() > 0 {
            let times = super::lines::n_of(mission.plan_edits() as usize, "time");
            writeln!(out, "\nthe plan was changed by people {times}").ok();
        }
        changed(mission, &mut out);
        proved(mission, &mut out);
    }
    write!(out, "\n{}", pace::lines(mission)).ok();
    out.push_str(&super::ahead::lines(mission));
    out.push_str(&super::asked::lines(mission, mission.last()));
    out.push_str(&super::stuck::lines(mission));
    out.push_str(&super::foresight::lines(mission));
    out.push_str(&super::cost::lines(mission, mission.last()));
    writeln!(out, "{}", delivery(mission)).ok();
    out
}

/// The plan with how far each task is and what proves it.
pub(crate) fn tasks(mission: &Mission, room: Option<usize>) -> String {
    let rows: Vec<Vec<String>> = mission.tasks().map(|task| row(mission, task)).collect();
    let headings = ["task", "state", "proof", "tries", "needs", "title"];
    table(&headings, &rows, room)
}

fn row(mission: &Mission, task: &TaskState) -> Vec<String> {
    let needs: Vec<String> = task.task.needs.iter().map(ToString::to_string).collect();
    let proof = proof(mission, task);
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

/// How strongly a task is proved, in one word.
pub(crate) fn proof(mission: &Mission, task: &TaskState) -> String {
    match (&task.state, task.task.kind) {
        (state, _) if !has_proof(state) => "-".to_owned(),
        // A gate is its own proof, and a person's answer needs none.
        (_, TaskKind::Gate) => "gate".to_owned(),
        (_, TaskKind::Ask) => "answer".to_owned(),
        (_, TaskKind::Agent) => mission.grade(task.task.id).to_string(),
    }
}

/// Whether there is something yet that could be proved: what nobody has handed in, or what came to nothing, is not
/// even claimed.
fn has_proof(state: &State) -> bool {
    matches!(
        state,
        State::Judging { .. }
            | State::Reviewing { .. }
            | State::Queued
            | State::Landing
            | State::Landed
            | State::Disputed
    )
}

/// The paths that what has landed changed, in order.
pub(crate) fn changed_paths(mission: &Mission) -> Vec<&str> {
    let landed = mission
        .tasks()
        .filter(|task| task.state == State::Landed)
        .filter_map(|task| task.work.as_ref());
    let mut paths: Vec<&str> = landed
        .flat_map(|work| work.touched.iter().map(String::as_str))
        .collect();
    paths.sort_unstable();
    paths.dedup();
    paths
}

fn changed(mission: &Mission, out: &mut String) {
    let paths = changed_paths(mission);
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

/// What proves what has landed: each command with what it says of the result, and what it said before the work.
fn proved(mission: &Mission, out: &mut String) {
    let Some((_, result)) = mission.head().filter(|_| mission.landed() > 0) else {
        return;
    };
    let says = |evidence: Option<&Evidence>| {
        let evidence = evidence?;
        let passed = evidence.run.result.passed();
        Some(match (passed, evidence.flaky) {
            (_, true) => "flaky",
            (true, false) => "green",
            (false, false) => "red",
        })
    };
    let line = |who: &str, gate: &Gate, before: Option<&Evidence>| {
        let command = escape::short(&gate.program.to_string(), 100);
        let after = says(mission.evidence(result, &gate.command())).unwrap_or("not run");
        let before = says(before).map_or(String::new(), |before| format!(", {before} before"));
        format!("  {who:<5} {command}: {after} on the result{before}\n")
    };
    let mut lines = String::new();
    for task in mission.tasks().filter(|task| task.state == State::Landed) {
        for gate in &task.task.acceptance {
            let base = task.base.as_ref();
            let before =
                base.and_then(|(_, tree)| mission.evidence_for(task, tree, &gate.command()));
            lines.push_str(&line(&task.task.id.to_string(), gate, before));
        }
    }
    let base = mission.base().map(|base| &base.tree);
    for gate in mission.gates() {
        let before = base.and_then(|tree| mission.evidence(tree, &gate.command()));
        lines.push_str(&line("all", gate, before));
    }
    if !lines.is_empty() {
        write!(out, "\nproved by\n{lines}").ok();
    }
}

/// Where the result's way to the user is, in one line.
pub(crate) fn delivery(mission: &Mission) -> String {
    match mission.delivery() {
        Delivery::Done { .. } if mission.broke_off() => format!(
            "delivered in part: it broke off and could not be taken back. Take it back: orchestrator undo {}",
            mission.id()
        ),
        Delivery::Undone if mission.broke_off() => {
            "not delivered: it broke off, and what was written was taken back".into()
        }
        Delivery::Done {
            form: Deliver::Branch,
        } => format!("delivered as branch orchestrator/{}", mission.id()),
        Delivery::Done { form } => format!("delivered as {}", super::lines::form_word(*form)),
        Delivery::Wanted(_) | Delivery::Planned { .. } => "delivery is under way".into(),
        Delivery::Refused => "not delivered; nothing of yours was changed".into(),
        Delivery::Undoing { .. } => "the delivery is being taken back".into(),
        Delivery::Undone => "the delivery was taken back".into(),
        Delivery::None => "nothing was delivered; your files are as they were".into(),
    }
}
