//! `orchestrator resume`: goes on where a mission stopped, for whatever reason it did.

use super::header;
use crate::args::ResumeArgs;
use crate::begin::Means;
use crate::config::Config;
use crate::error::{Error, Exit};
use crate::host::{self, Chosen, Followed, Settled, Store};
use crate::hosting::note::Note;
use crate::show::Show;
use crate::view::{self, json};
use agents::ShellRule;
use engine::door::Wish;
use engine::layout::Layout;
use engine::store::{self, Owned};
use mission::ids::{MissionId, Seq};
use mission::mission::Mission;
use mission::seal::Outcome;
use std::path::Path;

pub(crate) fn run(args: &ResumeArgs) -> Result<Exit, Error> {
    let store = Store::for_running()?;
    let id = store.find_here(args.mission)?;
    let style = crate::places::style(args.json, args.plain);
    host::block_on(async {
        if store.owner(id)?.is_some() {
            goes_on_elsewhere(&store, args, id).await?;
            let show = Show::new(&store, id, style, Seq(0));
            return Ok(match host::follow(&store, id, show).await? {
                Followed::Over(mission) => host::finish(&store, &mission, style),
                Followed::Left(exit) => exit,
            });
        }
        let (mission, _) = store.load(id)?;
        host::check_folder(&store, &mission)?;
        // What it owed when it ended comes first: a half-written delivery is finished, whatever else is wanted.
        let settled = host::settle(&store, id, style).await?;
        let (mission, seq) = store.load(id)?;
        let whole = matches!(
            mission.outcome(),
            Some(Outcome::Completed | Outcome::Unverified | Outcome::Answered)
        );
        match settled {
            Settled::Interrupted => return Ok(Exit::Interrupted),
            Settled::Done if whole && !args.replan => {
                return Ok(host::finish(&store, &mission, style));
            }
            Settled::Done | Settled::Nothing => {}
        }
        if mission.outcome().is_none() && (args.replan || args.tokens > 0 || args.cost > 0) {
            view::note(&format!(
                "{id} has not ended: it goes on as it was, without --tokens, --cost and --replan. They count once it has"
            ));
        }
        let place = store.layout.mission(&mission.full_name());
        let project = Path::new(mission.project());
        let means = Means::read(
            &store.layout,
            project,
            Some(&place),
            &Config::read()?,
            &args.agent,
        )?;
        begin(args, &mission, &means);
        let ready = means.ready().await?;
        if mission.outcome().is_some() || mission.pause().is_some() {
            let other = mission.outcome().is_some();
            let (told, _) = host::wish(&store, id, wish(args, other)).await?;
            host::told(id, told)?;
        }
        host::keep_agent(&means.chosen, &place)
            .map_err(|error| Error::io("write", place.root(), &error))?;
        let owned = take_over(&store, id).await?;
        // What nobody was there to answer when it began is answered by a policy still.
        let attended = crate::places::attended() && owned.mission.terms().attended;
        let settings = host::settings(&store, &ready.agent, &place, &means, attended)?;
        let layout = &store.layout;
        goes_on(
            args,
            &owned.mission,
            &ready.told,
            (layout, place.root()),
            settings.shell,
        );
        let ran = host::run(&store, owned, settings, style, seq).await;
        Note::ends(&store, id);
        ran
    })
}

/// From now on this terminal carries it out, and not the engine that OpenCode started.
async fn take_over(store: &Store, id: MissionId) -> Result<Owned, Error> {
    let before = Note::read(&store.layout, id);
    Note::let_go(&store.layout, id)
        .map_err(|error| Error::io("write", &store.layout.front(id), &error))?;
    let owned = store::take(&*store.journal, id, &store.door(id))?;
    if let Some(before) = before {
        before.leave(&owned.mission).await;
    }
    Ok(owned)
}

/// Somebody carries it out already: it goes on there if it is paused.
async fn goes_on_elsewhere(store: &Store, args: &ResumeArgs, id: MissionId) -> Result<(), Error> {
    if store.load(id)?.0.pause().is_none() {
        view::note(&format!("{id} is running already; following it"));
        return Ok(());
    }
    host::told(id, host::wish(store, id, wish(args, true)).await?.0)?;
    view::note(&format!("{id} goes on after its pause; following it"));
    Ok(())
}

/// To go on, with what more was said if that counts.
fn wish(args: &ResumeArgs, more: bool) -> Wish {
    let only = |n: u64| if more { n } else { 0 };
    Wish::Resume {
        more_tokens: only(args.tokens),
        more_money: only(args.cost),
        replan: more && args.replan,
    }
}

/// What is known before the agent's host has started.
fn begin(args: &ResumeArgs, mission: &Mission, means: &Means) {
    if args.json {
        return;
    }
    let silence = means.wanted.silence;
    header::first(mission.request(), &means.project, mission.terms(), silence);
    if matches!(means.chosen, Chosen::OpenCode) {
        header::agent("starting OpenCode…");
    }
}

/// What is known once it has.
fn goes_on(
    args: &ResumeArgs,
    mission: &Mission,
    agent: &str,
    (layout, place): (&Layout, &Path),
    shell: ShellRule,
) {
    if args.json {
        return view::data(&json::began(mission, agent, place).to_string());
    }
    header::agent(agent);
    header::shell(layout, Path::new(mission.project()), shell);
    header::mission(mission, place);
    header::goes_on(mission);
    view::note("");
}
