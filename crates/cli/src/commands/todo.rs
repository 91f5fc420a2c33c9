//! `orchestrator todo`: the plan as a list that people may write on.

use crate::args::TodoArgs;
use crate::error::{Error, Exit, Kind};
use crate::host::{self, Store};
use crate::view::{self, escape};
use engine::door::Wish;
use mission::mission::{Mission, State};
use mission::todo::{LineId, TodoEdit};
use std::fmt::Write as _;

pub(crate) fn run(args: TodoArgs) -> Result<Exit, Error> {
    let store = Store::open()?;
    let id = match args.is_edit() {
        true => store.find_here(args.one.mission)?,
        false => store.find(args.one.mission)?,
    };
    let (mission, _) = store.load(id)?;
    let Some(edit) = edit(&args, &mission)? else {
        match args.one.json {
            true => view::data(&json(&mission).to_string()),
            false => view::data(&text(&mission)),
        }
        return Ok(Exit::Good);
    };
    host::block_on(async {
        let (told, _) = host::wish(&store, id, Wish::Edit { edit }).await?;
        host::told(id, told)?;
        let (mission, _) = store.load(id)?;
        view::data(&match args.one.json {
            true => json(&mission).to_string(),
            false => "written".to_owned(),
        });
        Ok(Exit::Good)
    })
}

/// The change that is asked for, if one is.
fn edit(args: &TodoArgs, mission: &Mission) -> Result<Option<TodoEdit>, Error> {
    let line = |name: &str| -> Result<(LineId, u64), Error> {
        let id = line_id(name)?;
        Ok((id, args.saw.unwrap_or(mission.todo().line(id).version)))
    };
    let text = args.text.clone().unwrap_or_default();
    Ok(if let Some(name) = &args.tick {
        let (line, saw) = line(name)?;
        Some(TodoEdit::Tick { line, saw })
    } else if let Some(name) = &args.untick {
        let (line, saw) = line(name)?;
        Some(TodoEdit::Untick { line, saw })
    } else if let Some(name) = &args.note {
        let (line, saw) = line(name)?;
        Some(TodoEdit::Note { line, saw, text })
    } else if args.propose {
        Some(TodoEdit::Propose { text })
    } else {
        None
    })
}

fn line_id(name: &str) -> Result<LineId, Error> {
    let proposal = || {
        name.strip_prefix('P')
            .and_then(|n| n.parse().ok())
            .map(LineId::Proposal)
    };
    let task = || name.parse().ok().map(LineId::Task);
    task().or_else(proposal).ok_or_else(|| {
        Error::new(Kind::Usage, format!("`{name}` is not a line of a TODO"))
            .hint("lines are named `T3` (tasks) or `P1` (proposals)")
    })
}

fn text(mission: &Mission) -> String {
    let mut out = format!(
        "# {} (version {})\n\n",
        escape::line(mission.request()),
        mission.todo().version
    );
    for task in mission.tasks() {
        let line = mission.todo().line(LineId::Task(task.task.id));
        let done = if task.state == State::Landed {
            'x'
        } else {
            ' '
        };
        write!(
            out,
            "- [{done}] {} {} ({})",
            task.task.id,
            escape::line(&task.task.title),
            task.state.word()
        )
        .ok();
        written(&mut out, &line);
    }
    for (id, line) in mission.todo().lines() {
        if let LineId::Proposal(n) = id {
            write!(out, "- [ ] P{n} {} (proposed)", escape::line(&line.text)).ok();
            written(&mut out, line);
        }
    }
    out
}

fn written(out: &mut String, line: &mission::todo::Line) {
    if line.ticked {
        out.push_str("; ticked, which asks and proves nothing");
    }
    if !line.note.is_empty() {
        write!(out, "; note: {}", escape::line(&line.note)).ok();
    }
    if line.version > 0 {
        write!(out, " [v{}]", line.version).ok();
    }
    out.push('\n');
}

fn json(mission: &Mission) -> serde_json::Value {
    let line = |name: String, text: &str, state: &str, line: &mission::todo::Line| serde_json::json!({ "line": name, "text": text, "state": state, "version": line.version, "ticked": line.ticked, "note": line.note });
    let tasks = mission.tasks().map(|task| {
        let written = mission.todo().line(LineId::Task(task.task.id));
        line(
            task.task.id.to_string(),
            &task.task.title,
            task.state.word(),
            &written,
        )
    });
    let proposals = mission.todo().lines().filter_map(|(id, written)| match id {
        LineId::Proposal(n) => Some(line(format!("P{n}"), &written.text, "proposed", written)),
        LineId::Task(_) => None,
    });
    serde_json::json!({ "version": mission.todo().version, "lines": tasks.chain(proposals).collect::<Vec<_>>() })
}
