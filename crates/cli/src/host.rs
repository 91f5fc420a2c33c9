//! Hosts an engine in this process, or follows one elsewhere, and shows what happens.

mod signals;
mod store;

use crate::args::Allowed;
use crate::begin::Means;
use crate::config::Resolved;
use crate::error::{Error, Exit, Kind};
use crate::show::Show;
use crate::trust::Trusted;
use crate::view::{self, Style, summary};
use agents::opencode::{OpenCode, Probe};
use agents::scripted::{Script, Scripted};
use agents::{Agent, ShellRule};
use engine::dispatcher::{Dispatcher, Ended, Handle};
use engine::door::{Door, Told, Wish};
use engine::layout::Place;
use engine::settings::Settings;
use engine::shutdown::{self, Part};
use engine::store::Owned;
use mission::ids::{MissionId, Seq};
use mission::mission::{Delivery, Mission};
use mission::question::{About, Question};
use mission::seal::Outcome;
use mission::terms::Deliver;
use mission::turn::Role;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use workbench::fault;

pub(crate) use store::Store;

/// The script that a mission was begun with.
const SCRIPT: &str = "script.toml";
/// How often another process's mission is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Who carries turns out, as it was chosen.
pub(crate) enum Chosen {
    Scripted { script: Script, text: String },
    OpenCode,
}

impl Chosen {
    /// Reads the choice from the command line, else what the mission was begun with.
    pub(crate) fn read(args: &Resolved, place: Option<&Place>) -> Result<Self, Error> {
        let kept = place
            .map(|place| place.root().join(SCRIPT))
            .filter(|path| path.exists());
        let path = match args.agent.as_deref() {
            None => kept,
            Some("opencode") => None,
            Some(named) => match named.strip_prefix("scripted:") {
                Some(path) if !path.is_empty() => Some(PathBuf::from(path)),
                _ => {
                    return Err(
                        Error::new(Kind::Usage, format!("there is no agent `{named}`"))
                            .hint("`--agent opencode` or `--agent scripted:FILE`"),
                    );
                }
            },
        };
        let Some(path) = path else {
            return Ok(Self::OpenCode);
        };
        let text =
            std::fs::read_to_string(&path).map_err(|error| Error::io("read", &path, &error))?;
        let script = Script::parse(&text).map_err(|error| {
            Error::new(Kind::Script, format!("{}: {error}", path.display()))
                .hint("mend the script; `orchestrator explain ORC009` says what one looks like")
        })?;
        Ok(Self::Scripted { script, text })
    }
}

/// An agent that is ready, with what a person should know of it.
pub(crate) struct Ready {
    pub(crate) agent: Starting,
    pub(crate) told: String,
}

/// An agent before its mission has a place.
pub(crate) enum Starting {
    Scripted(Script),
    OpenCode(Arc<OpenCode>),
}

/// Starts the agent's host, before anything is created and before any token is spent.
pub(crate) async fn ready(
    chosen: &Chosen,
    project: &Path,
    wanted: &Resolved,
    trusted: Option<&Trusted>,
    path: Option<&str>,
) -> Result<Ready, Error> {
    match chosen {
        Chosen::Scripted { script, .. } => Ok(Ready {
            agent: Starting::Scripted(script.clone()),
            told: "scripted, no model".into(),
        }),
        Chosen::OpenCode => {
            let mut settings = agents::opencode::Settings::new(project);
            settings.guard = guard_words()?;
            settings
                .env
                .extend(path.map(|path| ("PATH".into(), path.into())));
            settings.trusted = trusted.map(|trusted| trusted.approved.clone());
            let host = OpenCode::start(settings).await.map_err(agent_error)?;
            let probed = host
                .probe(project, Role::Worker, wanted.model.as_deref())
                .await;
            let probe: Probe = match probed {
                Ok(probe) => probe,
                Err(error) => {
                    host.close().await;
                    return Err(agent_error(error));
                }
            };
            let untested = if probe.tested {
                ""
            } else {
                " (a version that was not tested)"
            };
            // Nobody chose it, and nobody logged in to it: a first user should know where their code goes.
            let free = if probe.provider == "opencode" && probe.because == "OpenCode's default" {
                "; your code goes to OpenCode's own provider. Another: opencode auth login, or --model"
            } else {
                ""
            };
            let told = format!(
                "OpenCode {}{untested}, model {} ({}){free}",
                probe.version, probe.model, probe.because
            );
            Ok(Ready {
                agent: Starting::OpenCode(Arc::new(host)),
                told,
            })
        }
    }
}

fn agent_error(error: agents::opencode::Error) -> Error {
    use agents::opencode::Error as Host;
    let hint = match &error {
        Host::Missing(_) => "npm install -g opencode-ai && opencode auth login",
        Host::Version(_) => "npm install -g opencode-ai@1",
        Host::NoProvider => "opencode auth login",
        Host::NoModel { .. } => "opencode models",
        _ => "opencode debug config",
    };
    Error::new(
        Kind::Agent,
        format!("{error}. Nothing was created and nothing was spent"),
    )
    .hint(hint)
    .hint("without a model: orchestrator demo")
}

/// How the host of the agents is started: behind the engine, which commits and answers in between, and before checks.
pub(crate) fn guard_words() -> Result<Vec<OsString>, Error> {
    let guard = crate::places::guard()?;
    let words = std::iter::once(guard.program.into_os_string()).chain(guard.arguments);
    Ok(words
        .chain(["--nice=5", "--"].map(OsString::from))
        .collect())
}

/// What a mission is run with, once it has a place.
pub(crate) fn settings(
    store: &Store,
    ready: &Starting,
    place: &Place,
    means: &Means,
    attended: bool,
) -> Result<Settings, Error> {
    let args = &means.wanted;
    let shell = shell_rule(store, means, attended);
    let common = engine_settings(store, ready, place)?;
    Ok(Settings {
        shell,
        model: args.model.clone(),
        recipes: args.recipes.clone(),
        silence: args.silence,
        machine: args.machine.clone(),
        ..common
    })
}

/// What is said where agents are denied their commands, because nobody is here to be asked.
pub(crate) const SHELL_DENIED: &str = "denied but for plain searches and what rules allow, as nobody is here to be asked; to allow it: --allow shell, or allow = [\"shell\"] in the configuration file";

/// What becomes of commands that agents ask for.
pub(crate) fn shell_rule(store: &Store, means: &Means, attended: bool) -> ShellRule {
    let allowed = means.wanted.allow.contains(&Allowed::Shell)
        || engine::allowed::kinds(&store.layout, &means.project).contains(agents::SHELL);
    match means.chosen {
        _ if allowed => ShellRule::Allow,
        Chosen::Scripted { .. } => ShellRule::Allow,
        Chosen::OpenCode if attended => ShellRule::Ask,
        Chosen::OpenCode => ShellRule::Deny,
    }
}

/// Keeps what a mission was begun with, so that it goes on with the same: without it a scripted mission that was killed
/// early would be resumed by a real model.
pub(crate) fn keep_agent(chosen: &Chosen, place: &Place) -> std::io::Result<()> {
    let kept = place.root().join(SCRIPT);
    match chosen {
        Chosen::Scripted { text, .. } if !kept.exists() => keep(&kept, text),
        _ => Ok(()),
    }
}

/// Writes a file so that after a crash it is there as a whole, or as it was.
pub(crate) fn keep(file: &Path, text: &str) -> std::io::Result<()> {
    let next = file.with_extension("next");
    let folder = file.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(folder)?;
    std::fs::write(&next, text)?;
    std::fs::File::open(&next)?.sync_all()?;
    fault::point("keep.written");
    std::fs::rename(&next, file)?;
    fault::point("keep.put");
    std::fs::File::open(folder)?.sync_all()
}

/// What an engine needs for work that asks no agent.
pub(crate) fn engine_settings(
    store: &Store,
    ready: &Starting,
    place: &Place,
) -> Result<Settings, Error> {
    let agent: Arc<dyn Agent> = match ready {
        Starting::OpenCode(host) => host.clone(),
        Starting::Scripted(script) => {
            std::fs::create_dir_all(place.root())
                .map_err(|error| Error::io("make", place.root(), &error))?;
            let memory = place.agent();
            let agent = Scripted::new(script.clone(), memory.clone(), guard_words()?);
            Arc::new(agent.map_err(|error| Error::io("make", &memory, &error))?)
        }
    };
    Ok(Settings {
        layout: store.layout.clone(),
        agent,
        guard: crate::places::guard()?,
        environment: crate::places::environment(),
        git: crate::places::git(),
        shell: ShellRule::Deny,
        model: None,
        recipes: Vec::new(),
        silence: mission::limits::SILENCE,
        machine: None,
    })
}

/// How a mission that ran here ended.
pub(crate) struct Ran {
    pub(crate) ended: Ended,
    /// Somebody is asked, and nobody is here.
    pub(crate) deserted: bool,
}

/// Runs a mission that this process owns until it is over, shows it, and ends with its summary.
pub(crate) async fn run(
    store: &Store,
    owned: Owned,
    settings: Settings,
    style: Style,
    after: Seq,
) -> Result<Exit, Error> {
    let ran = drive(store, owned, settings, style, after).await?;
    match ran.ended {
        Ended::Over(mission) => Ok(finish(store, &mission, style)),
        Ended::WoundDown(mission) if ran.deserted => Ok(needs_input(&mission)),
        Ended::WoundDown(mission) => {
            view::note(&format!(
                "interrupted; nothing is lost. Go on with: orchestrator resume {}",
                mission.id()
            ));
            Ok(Exit::Interrupted)
        }
    }
}

/// Nothing goes on without an answer, and nobody is here to give it: what to type, here or elsewhere.
fn needs_input(mission: &Mission) -> Exit {
    view::note(&waits_for_answer(mission));
    Exit::NeedsInput
}

/// The same in words.
pub(crate) fn waits_for_answer(mission: &Mission) -> String {
    let id = mission.id();
    let begin = format!("{id} waits for an answer, and nobody is here; nothing is lost. To go on:");
    let answers = mission.questions().map(|(question, asked)| {
        let text = view::escape::short(&asked.text, 160);
        let choices = view::frame::answers(asked);
        format!("  orchestrator answer {id} {question} {choices}    ({text})")
    });
    let end = format!("  orchestrator resume {id}");
    let lines: Vec<String> = std::iter::once(begin).chain(answers).chain([end]).collect();
    lines.join("\n")
}

/// Whether a mission waits for a word that nobody is there to give.
pub(crate) fn is_deserted(mission: &Mission) -> bool {
    let asked = |(_, question): (_, &Question)| question.about == About::Plan;
    mission.outcome().is_none() && !mission.terms().attended && mission.questions().any(asked)
}

/// Runs a mission that this process owns until nothing is owed any more, and shows what happens.
pub(crate) async fn drive(
    store: &Store,
    owned: Owned,
    settings: Settings,
    style: Style,
    after: Seq,
) -> Result<Ran, Error> {
    let (id, silence) = (owned.mission.id(), Some(settings.silence));
    let (ended, (shown, heard)) = Box::pin(carry(store, owned, settings, |handle, closed| {
        let show = Show::silent_for(store, id, style, after, silence);
        let seen = handle.watch();
        let watched = handle.clone();
        let here = tokio::runtime::Handle::current();
        let watch = move || here.block_on(show.watch(seen, watched, closed));
        let shown = tokio::task::spawn_blocking(watch);
        (shown, tokio::spawn(signals::listen(handle)))
    }))
    .await?;
    let shown = match shown.await {
        Ok(shown) => shown?,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    };
    heard.abort();
    Ok(Ran {
        ended: ended?,
        deserted: shown.deserted,
    })
}

/// Carries a mission that this process owns out until nothing is owed any more, with its door open. `watch` begins to
/// look at it before it goes on, and is told when that is over.
pub(crate) async fn carry<T>(
    store: &Store,
    owned: Owned,
    settings: Settings,
    watch: impl FnOnce(Handle, CancellationToken) -> T,
) -> Result<(Result<Ended, engine::dispatcher::Error>, T), Error> {
    let agent = settings.agent.clone();
    // Without it what an agent hides from its guard would outlive this process; everything else works.
    workbench::guard::adopt_orphans().ok();
    let door = Door::open(&store.door(owned.mission.id()))?;
    let (dispatcher, handle) = Dispatcher::new(store.journal.clone(), owned, settings);
    let closed = CancellationToken::new();
    let watching = watch(handle.clone(), closed.clone());
    let work = async {
        let ended = dispatcher.run().await;
        closed.cancel();
        ended
    };
    let (ended, ()) = tokio::join!(work, door.serve(handle, closed.clone()));
    let closing = agent.close();
    if tokio::time::timeout(shutdown::limit(Part::Host), closing)
        .await
        .is_err()
    {
        tracing::warn!("the agents' host did not end in time; its guard ends it");
    }
    Ok((ended, watching))
}

/// What became of what a mission that is over still owed.
pub(crate) enum Settled {
    /// It owed nothing.
    Nothing,
    /// It was done.
    Done,
    /// The program was told to end before that.
    Interrupted,
}

/// Does what a mission that is over, or is to end, still owes and nobody does: a delivery that was cut short, tidying, a
/// landing that only has to be moved. No agent is asked.
pub(crate) async fn settle(store: &Store, id: MissionId, style: Style) -> Result<Settled, Error> {
    let (mission, _) = store.load(id)?;
    let over = mission.outcome().is_some() || mission.winding_down();
    if !over || mission.due().is_empty() || store.owner(id)?.is_some() {
        return Ok(Settled::Nothing);
    }
    let owned = engine::store::take(&*store.journal, id, &store.door(id))?;
    let place = store.layout.mission(&owned.mission.full_name());
    let nobody = Starting::Scripted(Script::default());
    let settings = engine_settings(store, &nobody, &place)?;
    let shown = owned.head.seq;
    Ok(
        match drive(store, owned, settings, style, shown).await?.ended {
            Ended::Over(_) => Settled::Done,
            Ended::WoundDown(_) => Settled::Interrupted,
        },
    )
}

/// Says so if the folder of a mission, which all further work needs, was removed.
pub(crate) fn check_folder(store: &Store, mission: &Mission) -> Result<(), Error> {
    let place = store.layout.mission(&mission.full_name());
    if mission.base().is_none() || place.root().join("repo.git").exists() {
        return Ok(());
    }
    let what = format!(
        "the folder of {} was removed, and its work with it",
        mission.id()
    );
    Err(Error::new(Kind::Refused, what).hint("start a new one: orchestrator task \"…\""))
}

/// Shows the end of a mission and tells how the program ends.
pub(crate) fn finish(store: &Store, mission: &Mission, style: Style) -> Exit {
    if style != Style::Json {
        view::data(&format!(
            "\n{}",
            summary::summary(mission, &store.made_ready(mission), view::screen::room())
        ));
    }
    ended(mission)
}

/// How the program ends with a mission that is over.
pub(crate) fn ended(mission: &Mission) -> Exit {
    let wanted = mission.terms().deliver != Deliver::None;
    match mission.outcome() {
        // Work that was to be handed over and was not is no success for whoever waits for it.
        Some(Outcome::Completed)
            if wanted && (mission.broke_off() || *mission.delivery() == Delivery::Refused) =>
        {
            Exit::Undelivered
        }
        None if is_deserted(mission) => Exit::NeedsInput,
        outcome => outcome.map_or(Exit::Failed, Exit::from),
    }
}

/// How following a mission ended.
pub(crate) enum Followed {
    /// It is over.
    Over(Box<Mission>),
    /// It is not, and the program ends like this.
    Left(Exit),
}

/// Follows a mission that another process runs until it is over, or until its owner is gone.
pub(crate) async fn follow(
    store: &Store,
    id: MissionId,
    mut show: Show,
) -> Result<Followed, Error> {
    let mut version = None;
    loop {
        let now = store.journal.version()?;
        if version != Some(now) {
            version = Some(now);
            show.catch_up()?;
        }
        show.draw();
        // What its owner still does after the end (delivery, tidying) is part of what is followed.
        if let Some(mission) = show.mission()
            && mission.outcome().is_some()
            && (mission.due().is_empty() || store.owner(id)?.is_none())
        {
            return Ok(Followed::Over(Box::new(mission.clone())));
        }
        if store.owner(id)?.is_none() {
            drop(show);
            view::note(&format!(
                "nobody runs {id} now; go on with: orchestrator resume {id}"
            ));
            return Ok(Followed::Left(Exit::Interrupted));
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = tokio::signal::ctrl_c() => {
                view::note(&format!("{id} goes on without this window; look again with: orchestrator log {id} --follow"));
                return Ok(Followed::Left(Exit::Good));
            }
        }
    }
}

/// Tells a wish to the mission's owner, or makes it durable under a short lease where nobody owns it. Then the engine
/// is run here if something is owed because of it.
pub(crate) async fn wish(store: &Store, id: MissionId, wish: Wish) -> Result<(Told, bool), Error> {
    let by = crate::places::user();
    if let Some(door) = store.owner(id)?
        && let Some(told) = engine::door::tell(&door, &by, wish.clone()).await?
    {
        return Ok((told, false));
    }
    let owned = engine::store::take(&*store.journal, id, &store.door(id))?;
    let place = store.layout.mission(&owned.mission.full_name());
    let seen = engine::alive::seen(&place);
    let told = engine::store::once(&*store.journal, owned, wish.input(&by), seen)?;
    Ok((told.into(), true))
}

/// What a wish came to, for a person.
pub(crate) fn told(id: MissionId, told: Told) -> Result<(), Error> {
    let why = match told {
        Told::Done => return Ok(()),
        Told::Stale => "it means nothing any more; nothing was changed".to_owned(),
        Told::Refused { why } => why,
    };
    let hint = format!("see how it stands: orchestrator status {id}");
    Err(Error::new(Kind::Refused, why).hint(hint))
}

/// A runtime for commands that need one.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| {
        Error::new(Kind::Setup, format!("no threads can be started: {error}"))
            .hint("see how many processes you may have: ulimit -u")
    })?;
    let done = runtime.block_on(work);
    // A thread that waits for a lock of another process must not keep this one from ending.
    runtime.shutdown_timeout(shutdown::limit(Part::Threads));
    done
}
