//! `orchestrator checks`: what would prove work in this project, why, and what it says now.

use crate::args::ChecksArgs;
use crate::begin;
use crate::config::Config;
use crate::error::{Error, Exit, Kind};
use crate::host::{self, Starting, Store};
use crate::view::{self, escape, table};
use agents::scripted::Script;
use engine::settings::Settings;
use engine::survey::{self, Survey};
use std::fmt::Write as _;
use std::path::Path;
use tokio_util::sync::CancellationToken;
use workbench::gates::Baseline;

pub(crate) fn run(args: &ChecksArgs) -> Result<Exit, Error> {
    let folder = begin::project(args.directory.as_deref().unwrap_or(Path::new(".")))?;
    let store = Store::open()?;
    let place = store.layout.survey();
    let nobody = Starting::Scripted(Script { turns: Vec::new() });
    let settings = Settings {
        recipes: Config::read()?.recipes(),
        ..host::engine_settings(&store, &nobody, &place)?
    };
    let found = host::block_on(async {
        let cancel = CancellationToken::new();
        let stop = cancel.clone();
        let looked = survey::survey(settings, &folder, !args.no_run, &cancel);
        tokio::select! {
            looked = looked => looked.map_err(|error| Error::new(Kind::Project, error)),
            _ = tokio::signal::ctrl_c() => {
                stop.cancel();
                Err(Error::new(Kind::Project, "interrupted; nothing was changed"))
            }
        }
    })?;
    view::data(&if args.json {
        json(&found).to_string()
    } else {
        text(&found)
    });
    Ok(Exit::Good)
}

fn text(found: &Survey) -> String {
    let mut out = String::new();
    let base = &found.base;
    let branch = base.branch.as_deref().unwrap_or("no branch");
    writeln!(
        out,
        "base {} ({}, {} uncommitted files)",
        base.commit.short(),
        escape::line(branch),
        base.uncommitted
    )
    .ok();
    for left in &base.left_out {
        writeln!(out, "left out: {}", escape::line(left)).ok();
    }
    if found.detected.gates.is_empty() {
        writeln!(
            out,
            "\nno checks were found: work can only be proved by what each task's own commands show"
        )
        .ok();
    } else {
        let rows: Vec<Vec<String>> = found
            .detected
            .gates
            .iter()
            .enumerate()
            .map(|(n, gate)| {
                let (class, took) = match found.baselines.get(n) {
                    Some((class, run)) => (word(class), run.duration.to_string()),
                    None => ("not run".to_owned(), "-".to_owned()),
                };
                let command = escape::short(&gate.program.to_string(), 48);
                vec![
                    escape::line(&gate.id),
                    class,
                    took,
                    command,
                    escape::line(&gate.source),
                ]
            })
            .collect();
        writeln!(
            out,
            "\n{}",
            table::table(&["check", "now", "took", "command", "because of"], &rows).trim_end()
        )
        .ok();
    }
    for line in found.detected.notes.iter().chain(&found.notes) {
        writeln!(out, "note: {}", escape::line(line)).ok();
    }
    out
}

fn word(class: &Baseline) -> String {
    match class {
        Baseline::Green => "green".into(),
        Baseline::Red { failing, .. } if failing.is_empty() => "red".into(),
        Baseline::Red { failing, .. } => format!("red ({} tests fail)", failing.len()),
        Baseline::Flaky { .. } => "flaky".into(),
        Baseline::MissingTool { tool } => format!("{} is missing", escape::line(tool)),
        Baseline::NeedsService { what } => format!("needs {}", escape::short(what, 30)),
    }
}

fn json(found: &Survey) -> serde_json::Value {
    let checks: Vec<serde_json::Value> = found
        .detected
        .gates
        .iter()
        .enumerate()
        .map(|(n, gate)| {
            let baseline = found.baselines.get(n);
            serde_json::json!({ "check": gate, "baseline": baseline.map(|(class, _)| class), "run": baseline.map(|(_, run)| run) })
        })
        .collect();
    serde_json::json!({ "base": found.base, "checks": checks, "why": found.detected.why, "notes": found.detected.notes })
}
