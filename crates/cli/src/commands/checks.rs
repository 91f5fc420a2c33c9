//! `orchestrator checks`: what would prove work in this project, why, and what it says now.

use crate::args::ChecksArgs;
use crate::begin;
use crate::config::Config;
use crate::error::{Error, Exit, Kind};
use crate::host::{self, Starting, Store};
use crate::view::{self, escape, frame, lines, screen, table};
use agents::scripted::Script;
use engine::doing;
use engine::layout::Place;
use engine::settings::Settings;
use engine::survey::{self, Survey};
use mission::limits;
use mission::time::Millis;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use workbench::gates::Baseline;

const HEADINGS: [&str; 5] = ["check", "now", "took", "command", "because of"];
/// So many lines of a check that is not green are shown: most runners end with what failed.
const SAID: usize = 5;
/// After so long without a word one is said.
const QUIET: Duration = Duration::from_secs(30);

pub(crate) fn run(args: &ChecksArgs) -> Result<Exit, Error> {
    let folder = begin::project(args.directory.as_deref().unwrap_or(Path::new(".")))?;
    crate::places::git_program()?;
    let store = Store::open()?;
    let place = store.layout.survey();
    let nobody = Starting::Scripted(Script::default());
    let settings = Settings {
        recipes: Config::read()?.recipes(),
        ..host::engine_settings(&store, &nobody, &place)?
    };
    let looked = host::block_on(look(settings, &place, &folder, !args.no_run))?;
    let Some(found) = looked else {
        return Ok(Exit::Interrupted);
    };
    view::data(&if args.json {
        json(&found).to_string()
    } else {
        text(&found)
    });
    Ok(Exit::Good)
}

/// Looks at the project; `None` where it was told to stop. Whatever it had begun is ended and removed first.
async fn look(
    settings: Settings,
    place: &Place,
    folder: &Path,
    run: bool,
) -> Result<Option<Survey>, Error> {
    let failed = |error| Error::io("watch", Path::new("signals"), &error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let cancel = CancellationToken::new();
    let looked = survey::survey(settings, folder, run, &cancel);
    tokio::pin!(looked);
    if run {
        view::note("the project's set-up and each of its checks run once; Ctrl-C stops that");
    }
    let (began, mut ticks) = (Instant::now(), tokio::time::interval(QUIET));
    ticks.tick().await;
    loop {
        tokio::select! {
            looked = &mut looked => {
                return match looked {
                    _ if cancel.is_cancelled() => {
                        view::note("interrupted; nothing was changed");
                        Ok(None)
                    }
                    Ok(found) => Ok(Some(found)),
                    Err(error) => Err(Error::new(Kind::Project, error)
                        .hint("name another folder with -C, or look without running anything: --no-run")),
                };
            }
            _ = interrupt.recv() => cancel.cancel(),
            _ = terminate.recv() => cancel.cancel(),
            _ = ticks.tick() => view::note(&still(began.elapsed(), doing::seen(place).set_up.map(frame::SetUp::from))),
        }
    }
}

/// What breaks the silence of a look that takes long.
fn still(since: Duration, set_up: Option<frame::SetUp>) -> String {
    let time = Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
    match set_up {
        Some(set_up) => {
            let (told, most) = (set_up.told(), limits::SET_UP);
            format!("{time} now; the set-up still runs: {told}, which may take {most}")
        }
        None => format!("{time} now; checks still run, each for its own limit at the most"),
    }
}

fn text(found: &Survey) -> String {
    let mut out = String::new();
    let base = &found.base;
    let standing = escape::line(&lines::standing(base));
    writeln!(out, "base {} ({standing})", base.commit.short()).ok();
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
            table::table(&HEADINGS, &rows, screen::room()).trim_end()
        )
        .ok();
        out.push_str(&said(found));
    }
    for line in found.detected.notes.iter().chain(&found.notes) {
        writeln!(out, "note: {}", escape::line(line)).ok();
    }
    out
}

/// What the checks that are not green said last: why, where nobody reads their output by name.
fn said(found: &Survey) -> String {
    let mut out = String::new();
    for (gate, (class, run)) in found.detected.gates.iter().zip(&found.baselines) {
        let lines: Vec<&str> = run
            .tail
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        if matches!(class, Baseline::Green) || lines.is_empty() {
            continue;
        }
        writeln!(out, "\n{} said last:", escape::line(&gate.id)).ok();
        for line in &lines[lines.len().saturating_sub(SAID)..] {
            writeln!(out, "  {}", escape::short(line, 160)).ok();
        }
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
