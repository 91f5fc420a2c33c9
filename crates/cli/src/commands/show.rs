//! `orchestrator show` and `orchestrator summary`: one mission, from its events.

use crate::args::OneOrLast;
use crate::error::{Error, Exit};
use crate::host::Store;
use crate::view::{self, cost, escape, json, lines, summary};
use mission::mission::{Mission, TaskState};
use std::fmt::Write as _;

pub(crate) fn run(args: &OneOrLast) -> Result<Exit, Error> {
    let store = Store::open()?;
    let (mission, _) = store.load(store.find(args.mission)?)?;
    if args.json {
        view::data(&machines(&mission).to_string());
        return Ok(Exit::Good);
    }
    view::data(&text(&mission));
    Ok(Exit::Good)
}

fn machines(mission: &Mission) -> serde_json::Value {
    let task = |task: &TaskState| {
        let mut told = json::task(mission, task);
        told["task"] = serde_json::json!(task.task);
        told["work"] = serde_json::json!(task.work);
        told["report"] = serde_json::json!(task.report);
        told["tests"] = serde_json::json!(mission.tests_told(task.task.id));
        told
    };
    let tasks: Vec<serde_json::Value> = mission.tasks().map(task).collect();
    serde_json::json!({
        "mission": mission.id(), "state": mission.phase_word(), "request": mission.request(),
        "base": mission.base(), "gates": mission.gates(), "tasks": tasks,
    })
}

fn text(mission: &Mission) -> String {
    let mut out = String::new();
    writeln!(
        out,
        "{} {}\n\n{}\n",
        mission.id(),
        mission.phase_word(),
        escape::text(mission.request())
    )
    .ok();
    if let Some(base) = mission.base() {
        let standing = escape::line(&lines::standing(base));
        writeln!(out, "base {} ({standing})", base.commit.short()).ok();
    }
    for gate in mission.gates() {
        writeln!(
            out,
            "check {}: {} ({})",
            escape::line(&gate.id),
            escape::line(&gate.program.to_string()),
            escape::line(&gate.source)
        )
        .ok();
    }
    for task in mission.tasks() {
        writeln!(
            out,
            "\n{} [{}, {}] {}",
            task.task.id,
            task.state.word(),
            summary::proof(mission, task),
            escape::line(&task.task.title)
        )
        .ok();
        writeln!(
            out,
            "  {}",
            escape::text(&task.task.goal).replace('\n', "\n  ")
        )
        .ok();
        if task.tokens > 0 {
            let used = cost::of((task.tokens, task.money));
            writeln!(out, "  used {used}").ok();
        }
        for gate in &task.task.acceptance {
            writeln!(out, "  proof: {}", escape::line(&gate.program.to_string())).ok();
        }
        for told in mission.tests_told(task.task.id) {
            writeln!(out, "  tests: {}", escape::line(&told)).ok();
        }
        for (attempt, why) in &task.history {
            writeln!(
                out,
                "  {attempt} turned down: {}",
                escape::line(&mission.told(why))
            )
            .ok();
        }
    }
    out
}

pub(crate) fn summary(args: &OneOrLast) -> Result<Exit, Error> {
    let store = Store::open()?;
    let (mission, _) = store.load(store.find(args.mission)?)?;
    let ready = store.made_ready(&mission);
    view::data(&match args.json {
        true => json::summary(&mission, &ready, mission.last()).to_string(),
        false => summary::summary(&mission, &ready, view::screen::room()),
    });
    Ok(Exit::Good)
}
