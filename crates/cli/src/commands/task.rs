//! `orchestrator task`: from the request to the summary.

use crate::args::TaskArgs;
use crate::begin::{self, Means};
use crate::config::Config;
use crate::error::{Error, Exit};
use crate::host::{self, Store};
use crate::places;
use crate::view;
use mission::ids::Seq;
use mission::limits;
use std::io::{IsTerminal as _, Read as _};
use std::path::Path;

pub(crate) fn run(args: TaskArgs) -> Result<Exit, Error> {
    let request = request(&args)?;
    let project = begin::project(args.directory.as_deref().unwrap_or(Path::new(".")))?;
    let config = Config::read()?;
    // Whoever wants to see the plan first wants to be asked, from wherever that may be answered.
    let attended = (places::attended() || args.approve) && !args.yes;
    let approve = args.approve && !args.yes;
    let terms = begin::terms(&config, &args.limits, args.deliver, approve, attended)?;
    let means = Means::read(&places::layout()?, &project, None, &config, &args.agent)?;
    if let Some(found) = &means.unused {
        view::note(&format!(
            "the project's own configuration for agents ({}) is not used; read it, then: --trust {}",
            found.names.join(", "),
            found.digest
        ));
    }
    host::block_on(async {
        let ready = means.ready().await?;
        let store = Store::open()?;
        let owned = means.open(&store, &request, terms, |_| Ok(()))?;
        let place = store.layout.mission(&owned.mission.full_name());
        let settings = host::settings(&store, &ready.agent, &place, &means, places::attended())?;
        if !args.json {
            header(&owned.mission, &ready.told, &project, place.root());
        }
        let style = places::style(args.json, args.plain);
        host::run(&store, owned, settings, style, Seq(0)).await
    })
}

/// What a person should know before anything is spent.
fn header(mission: &mission::mission::Mission, agent: &str, project: &Path, place: &Path) {
    let terms = mission.terms();
    view::note(&format!(
        "{}  {}",
        mission.id(),
        view::escape::short(mission.request(), 160)
    ));
    view::note(&format!("agent   {}", view::escape::line(agent)));
    view::note(&format!(
        "folder  {}",
        view::escape::line(&project.to_string_lossy())
    ));
    view::note(&format!(
        "limits  {} workers, {} attempts, {} review rounds, {} tokens, {}",
        terms.workers, terms.attempts, terms.review_rounds, terms.tokens, terms.mission
    ));
    view::note(&format!(
        "work    {} (your files change only at delivery)",
        view::escape::line(&place.to_string_lossy())
    ));
    view::note(&format!(
        "stop    Ctrl-C, or: orchestrator cancel {}\n",
        mission.id()
    ));
}

/// The request, from wherever it comes.
fn request(args: &TaskArgs) -> Result<String, Error> {
    let from_stdin = || {
        let mut text = String::new();
        // One byte more than is taken tells that there is more.
        let most = limits::REQUEST_BYTES as u64 + 1;
        let read = std::io::stdin().lock().take(most).read_to_string(&mut text);
        read.map(|_| text)
            .map_err(|error| Error::io("read", Path::new("standard input"), &error))
    };
    let text = match (&args.request, &args.file) {
        (Some(dash), _) if dash == "-" => from_stdin()?,
        (Some(text), _) => text.clone(),
        (None, Some(file)) => {
            std::fs::read_to_string(file).map_err(|error| Error::io("read", file, &error))?
        }
        (None, None) if !std::io::stdin().is_terminal() => from_stdin()?,
        (None, None) => String::new(),
    };
    begin::request(&text).map_err(|error| match text.trim() {
        "" => error
            .hint("say what you want: orchestrator task \"Add a health check\"")
            .hint("or read it from a file: orchestrator task --file request.md"),
        _ => error,
    })
}
