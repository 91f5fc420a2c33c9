//! `orchestrator show` and `orchestrator summary`: one mission, from its events.

use crate::args::OneOrLast;
use crate::error::{Error, Exit};
use crate::host::Store;
use crate::view::{self, escape, summary};
use std::fmt::Write as _;

pub(crate) fn run(args: &OneOrLast) -> Result<Exit, Error> {
    let store = Store::open()?;
    let (mission, _) = store.load(store.find(args.mission)?)?;
    if args.json {
        let tasks: Vec<serde_json::Value> = mission
            .tasks()
            .map(|task| serde_json::json!({ "task": task.task, "state": task.state.word(), "work": task.work, "report": task.report, "tests": mission.tests_told(task.task.id) }))
            .collect();
        view::data(&serde_json::json!({ "mission": mission.id(), "base": mission.base(), "gates": mission.gates(), "tasks": tasks }).to_string());
        return Ok(Exit::Good);
    }
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
        let branch = base.branch.as_deref().unwrap_or("no branch");
        writeln!(
            out,
            "base {} ({}, {} uncommitted files)",
            base.commit.short(),
            escape::line(branch),
            base.uncommitted
        )
        .ok();
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
            mission.grade(task.task.id),
            escape::line(&task.task.title)
        )
        .ok();
        writeln!(
            out,
            "  {}",
            escape::text(&task.task.goal).replace('\n', "\n  ")
        )
        .ok();
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
    view::data(&out);
    Ok(Exit::Good)
}

pub(crate) fn summary(args: &OneOrLast) -> Result<Exit, Error> {
    if args.json {
        return run(args);
    }
    let store = Store::open()?;
    let (mission, _) = store.load(store.find(args.mission)?)?;
    view::data(&summary::summary(&mission));
    Ok(Exit::Good)
}
