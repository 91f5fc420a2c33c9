//! `orchestrator task`: from the request to the summary.

use super::header;
use crate::args::TaskArgs;
use crate::begin::{self, Means};
use crate::config::Config;
use crate::error::{Error, Exit, Kind};
use crate::host::{self, Chosen, Store};
use crate::places;
use crate::view::{self, json};
use mission::ids::Seq;
use mission::limits;
use mission::terms::Deliver;
use std::io::{IsTerminal as _, Read as _};
use std::path::Path;
use workbench::repository::Project;

pub(crate) fn run(args: TaskArgs) -> Result<Exit, Error> {
    let request = request(&args)?;
    let project = begin::project(args.directory.as_deref().unwrap_or(Path::new(".")))?;
    let config = Config::read()?;
    // Whoever wants to see the plan first wants to be asked, from wherever that may be answered.
    let attended = (places::attended() || args.approve) && !args.yes;
    let approve = args.approve && !args.yes;
    let mut terms = begin::terms(&config, &args.limits, args.deliver, approve, attended)?;
    if args.yes {
        terms.ask_above = Some(u64::MAX);
    }
    let layout = places::layout()?;
    places::roomy(&layout)?;
    if !args.json {
        let silence = config.agent(&args.agent).silence;
        header::first(&request, &project, &terms, silence);
    }
    deliverable(&project, terms.deliver)?;
    let means = Means::read(&layout, &project, None, &config, &args.agent)?;
    if let Some(found) = means.unread() {
        view::note(&format!(
            "the project's own configuration for agents ({}) is not used; read it, then: --trust {}",
            found.names.join(", "),
            found.digest
        ));
    }
    if !args.json && matches!(means.chosen, Chosen::OpenCode) {
        header::agent("starting OpenCode…");
    }
    host::block_on(async {
        let ready = means.ready().await?;
        let store = Store::at(layout)?;
        store.can_open_doors()?;
        let owned = means.open(&store, &request, terms, |_| Ok(()))?;
        let place = store.layout.mission(&owned.mission.full_name());
        let asks = attended && places::attended();
        let settings = host::settings(&store, &ready.agent, &place, &means, asks)?;
        if args.json {
            let began = json::began(&owned.mission, &ready.told, place.root());
            view::data(&began.to_string());
        } else {
            header::agent(&ready.told);
            header::shell(&store.layout, &project, settings.shell);
            header::mission(&owned.mission, place.root());
            view::note("");
        }
        let style = places::style(args.json, args.plain);
        host::run(&store, owned, settings, style, Seq(0)).await
    })
}

/// Whether a mission can start from this folder, and its result be handed over in that form. What no mission could
/// mend is said before one is begun.
fn deliverable(project: &Path, form: Deliver) -> Result<(), Error> {
    let git = places::git_program()?;
    let found = Project::find(&git, project, &places::git())
        .map_err(|error| Error::new(Kind::Project, error).hint("name another folder with -C"))?;
    if found.repository().is_none() && matches!(form, Deliver::Branch | Deliver::Commit) {
        let (form, folder) = (view::lines::form_word(form), found.root().display());
        let what =
            format!("there is no git in {folder}, so nothing can be handed over as a {form}");
        return Err(Error::new(Kind::Usage, what)
            .hint("`--deliver worktree` changes the files")
            .hint("or begin a repository: git init"));
    }
    Ok(())
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
        "" => error.hint("or read it from a file: orchestrator task --file request.md"),
        _ => error,
    })
}
