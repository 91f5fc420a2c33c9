//! `orchestrator plan`: the plan with its version, and changes of what has not begun.

mod edit;
mod sheet;

use crate::args::{PlanArgs, PlanChange, TaskFields};
use crate::commands::redirect;
use crate::error::{Error, Exit};
use crate::host::Store;
use crate::view::{self, escape, steering, summary};
use engine::door::Wish;
use mission::mission::{Mission, TaskState};
use mission::plan::{PlanEdit, TaskChange, TaskDraft};
use std::fmt::Write as _;

pub(crate) fn run(args: PlanArgs) -> Result<Exit, Error> {
    let (edit, seen) = match args.change {
        None => {
            let store = Store::open()?;
            let (mission, _) = store.load(store.find(args.mission)?)?;
            view::data(&match args.json {
                true => json(&mission).to_string(),
                false => text(&mission),
            });
            return Ok(Exit::Good);
        }
        Some(PlanChange::Add {
            id,
            kind,
            fields,
            seen,
        }) => {
            let task = draft(id.unwrap_or_default(), kind.into(), change(fields));
            (PlanEdit::Add { task }, seen)
        }
        Some(PlanChange::Edit(args)) => return edit::run(&args),
        Some(PlanChange::Drop { task, seen }) => (PlanEdit::Drop { task }, seen),
        Some(PlanChange::Set { task, fields, seen }) => {
            let to = change(fields);
            (PlanEdit::Set { task, to }, seen)
        }
    };
    let saw = match seen.saw {
        Some(saw) => saw,
        None => {
            let store = Store::open()?;
            store
                .load(store.find_here(seen.of.mission)?)?
                .0
                .plan_version()
        }
    };
    redirect::wanted(&seen.of, Wish::EditPlan { edit, saw }, is_now)
}

fn is_now(mission: &Mission) -> String {
    format!(
        "the plan is version {} now: orchestrator plan {}",
        mission.plan_version(),
        mission.id()
    )
}

/// What is named on the command line. An empty text names nothing.
fn change(fields: TaskFields) -> TaskChange {
    let named = |list: Vec<String>| -> Vec<String> {
        list.into_iter()
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .collect()
    };
    TaskChange {
        title: fields.title,
        goal: fields.goal,
        needs: fields.needs.map(named),
        writes: fields.writes.map(named),
        acceptance: fields.proof,
        priority: fields.priority.map(Into::into),
        size: fields.size.map(Into::into),
        resources: None,
        weight: None,
    }
}

fn draft(id: String, kind: mission::plan::TaskKind, to: TaskChange) -> TaskDraft {
    let title = to.title.unwrap_or_default();
    TaskDraft {
        id,
        // Where nothing more is said than in the line for lists, that is what is to be done.
        goal: to.goal.unwrap_or_else(|| title.clone()),
        title,
        kind,
        needs: to.needs.unwrap_or_default(),
        writes: to.writes.unwrap_or_default(),
        acceptance: to.acceptance.unwrap_or_default(),
        priority: to.priority.unwrap_or_default(),
        size: to.size.unwrap_or_default(),
        ..TaskDraft::default()
    }
}

fn text(mission: &Mission) -> String {
    let mut out = format!(
        "{} plan, version {}\n\n",
        mission.id(),
        mission.plan_version()
    );
    if mission.tasks().next().is_none() {
        out.push_str("it is not written yet\n");
        return out;
    }
    out.push_str(&summary::tasks(mission, view::screen::room()));
    for task in mission.tasks() {
        writeln!(out, "\n{} {}", task.task.id, escape::line(&task.task.title)).ok();
        let goal = escape::text(&task.task.goal);
        for line in goal.lines() {
            writeln!(out, "  {line}").ok();
        }
        let list = |names: &[String]| escape::line(&names.join(", "));
        writeln!(out, "  priority: {}", steering::class(task.task.priority)).ok();
        if !task.task.writes.is_empty() {
            writeln!(out, "  writes: {}", list(&task.task.writes)).ok();
        }
        for gate in &task.task.acceptance {
            writeln!(out, "  proof: {}", escape::line(&gate.program.to_string())).ok();
        }
    }
    out
}

fn json(mission: &Mission) -> serde_json::Value {
    let task = |task: &TaskState| {
        let mut value = serde_json::json!(task.task);
        value["state"] = task.state.word().into();
        value
    };
    let tasks: Vec<serde_json::Value> = mission.tasks().map(task).collect();
    serde_json::json!({ "version": mission.plan_version(), "tasks": tasks })
}
