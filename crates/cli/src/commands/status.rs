//! `orchestrator status`: what runs, what waits for what until when, what is asked.

use crate::args::OneOrLast;
use crate::error::{Error, Exit};
use crate::host::Store;
use crate::view::{self, escape, summary, table};
use engine::clock::Clock;
use mission::mission::{Mission, State};
use mission::time::Timestamp;
use std::fmt::Write as _;

pub(crate) fn run(args: &OneOrLast) -> Result<Exit, Error> {
    let store = Store::open()?;
    let id = store.find(args.mission)?;
    let (mission, _) = store.load(id)?;
    let owned = store.owner(id)?.is_some();
    let now = Clock::new().now();
    if args.json {
        view::data(&json(&mission, owned).to_string());
    } else {
        view::data(&text(&mission, owned, now));
    }
    Ok(Exit::Good)
}

fn text(mission: &Mission, owned: bool, now: Timestamp) -> String {
    let mut out = String::new();
    let running = if owned || (mission.outcome().is_some() && mission.due().is_empty()) {
        ""
    } else {
        ", but nobody runs it: orchestrator resume"
    };
    writeln!(
        out,
        "{} {}{running}: {}",
        mission.id(),
        mission.phase_word(),
        escape::short(mission.request(), 120)
    )
    .ok();
    if mission.tasks().next().is_some() {
        writeln!(out, "\n{}", summary::tasks(mission).trim_end()).ok();
    }
    let waits = waits(mission, now);
    if !waits.is_empty() {
        writeln!(
            out,
            "\n{}",
            table::table(&["what", "waits for", "at most"], &waits).trim_end()
        )
        .ok();
    }
    for (id, question) in mission.questions() {
        writeln!(out, "\n{id} asks: {}", escape::text(&question.text)).ok();
        let choices = if question.choices.is_empty() {
            "TEXT".to_owned()
        } else {
            question.choices.join("|")
        };
        writeln!(
            out,
            "  answer: orchestrator answer {} {id} {choices}",
            mission.id()
        )
        .ok();
    }
    writeln!(out, "\n{}", summary::cost(mission)).ok();
    out
}

/// Everything that waits: who, for what, for how long at the most.
fn waits(mission: &Mission, now: Timestamp) -> Vec<Vec<String>> {
    let left = |at: Timestamp| at.since(now).to_string();
    let turns = mission.leases().map(|(_, lease)| {
        vec![
            lease.turn.to_string(),
            format!("the {}", lease.turn.role()),
            left(lease.deadline),
        ]
    });
    let gates = mission.gate_leases().map(|(_, gate)| {
        vec![
            escape::line(&gate.gate.id),
            "the check to end".into(),
            left(gate.deadline),
        ]
    });
    let parked = mission.tasks().filter_map(|task| match &task.state {
        State::Parked { until, why } => Some(vec![
            task.attempt().to_string(),
            escape::short(why, 80),
            left(*until),
        ]),
        _ => None,
    });
    let asked = mission
        .questions()
        .map(|(id, question)| vec![id.to_string(), "an answer".into(), left(question.deadline)]);
    turns.chain(gates).chain(parked).chain(asked).collect()
}

fn json(mission: &Mission, owned: bool) -> serde_json::Value {
    let tasks: Vec<serde_json::Value> = mission
        .tasks()
        .map(|task| {
            serde_json::json!({
                "id": task.task.id,
                "title": task.task.title,
                "state": task.state.word(),
                "proof": mission.grade(task.task.id).to_string(),
                "attempt": task.n,
                "tokens": task.tokens,
            })
        })
        .collect();
    let questions: Vec<serde_json::Value> = mission
        .questions()
        .map(|(id, question)| {
            serde_json::json!({ "id": id.to_string(), "text": question.text, "choices": question.choices, "deadline": question.deadline })
        })
        .collect();
    serde_json::json!({
        "mission": mission.id(),
        "state": mission.phase_word(),
        "owned": owned,
        "reasons": mission.reasons(),
        "tasks": tasks,
        "questions": questions,
        "tokens": mission.budget().spent,
        "token_limit": mission.budget().limit,
    })
}
