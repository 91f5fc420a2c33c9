//! `orchestrator task`: from the request to the summary.

use crate::args::TaskArgs;
use crate::config::Config;
use crate::error::{Error, Exit, Kind};
use crate::host::{self, Chosen, Store};
use crate::places;
use crate::trust;
use crate::view;
use engine::clock::Clock;
use engine::store;
use mission::ids::Seq;
use mission::limits;
use mission::terms::Terms;
use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

pub(crate) fn run(args: TaskArgs) -> Result<Exit, Error> {
    let request = request(&args)?;
    let project = project(args.directory.as_deref())?;
    let config = Config::read()?;
    let terms = terms(&args, &config)?;
    let wanted = config.agent(&args.agent);
    let chosen = Chosen::read(&wanted, None)?;
    let state = places::layout()?;
    let (trusted, found) = trust::decide(state.root(), &project, args.agent.trust.as_deref())?;
    if let Some(found) = found.filter(|_| trusted.is_none() && matches!(chosen, Chosen::OpenCode)) {
        view::note(&format!(
            "the project's own configuration for agents ({}) is not used; read it, then: --trust {}",
            found.names.join(", "),
            found.digest
        ));
    }
    host::block_on(async {
        let ready = host::ready(chosen, &project, &wanted, trusted.as_ref()).await?;
        let store = Store::open()?;
        let now = Clock::new().now();
        let owned = store::open_new(
            &*store.journal,
            now,
            &project,
            &request,
            terms,
            |id| store.door(id),
            |mission| host::keep_agent(&ready.agent, &store.layout.mission(&mission.full_name())),
        )?;
        let place = store.layout.mission(&owned.mission.full_name());
        let settings = host::settings(&store, &ready.agent, &place, &wanted)?;
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
    let text = text.trim().to_owned();
    if text.is_empty() {
        return Err(Error::new(Kind::Usage, "there is no request")
            .hint("say what you want: orchestrator task \"Add a health check\"")
            .hint("or read it from a file: orchestrator task --file request.md"));
    }
    if text.len() > limits::REQUEST_BYTES {
        let what = format!(
            "the request has {} bytes; at most {} are taken",
            text.len(),
            limits::REQUEST_BYTES
        );
        return Err(Error::new(Kind::Usage, what)
            .hint("put details into a file of the project and name it in the request"));
    }
    Ok(text)
}

/// The folder to work on, absolute.
pub(super) fn project(named: Option<&Path>) -> Result<PathBuf, Error> {
    let folder = named.unwrap_or(Path::new("."));
    let found = folder
        .canonicalize()
        .map_err(|error| Error::io("find", folder, &error))?;
    if !found.is_dir() {
        return Err(Error::new(
            Kind::Project,
            format!("{} is not a folder", found.display()),
        ));
    }
    Ok(found)
}

fn terms(args: &TaskArgs, config: &Config) -> Result<Terms, Error> {
    let limits = config.limits(&args.limits);
    // Whoever wants to see the plan first wants to be asked, from wherever that may be answered.
    let attended = (places::attended() || args.approve) && !args.yes;
    if limits.tokens == 0 {
        return Err(
            Error::new(Kind::Usage, "a mission without tokens can do nothing")
                .hint("for example --tokens 500k"),
        );
    }
    Ok(Terms {
        workers: limits.workers,
        attempts: limits.attempts,
        review_rounds: limits.reviews,
        tokens: limits.tokens,
        attempt: limits.attempt_time,
        mission: limits.time,
        approve: args.approve && !args.yes,
        attended,
        deliver: config.deliver(args.deliver).into(),
        ..Terms::default()
    })
}
