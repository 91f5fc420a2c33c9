//! Carries missions out for OpenCode: what the user types there means here what it means on the command line.
//!
//! A mission is opened before whoever typed it is told so, and is an ordinary one: every command works on it from any
//! terminal, through its own door.

mod follow;
mod front;
mod look;
pub(crate) mod note;
mod queue;
mod redirect;
mod seen;
mod typed;
mod watched;

use crate::args::ServeArgs;
use crate::begin::{self, Means};
use crate::config::Config;
use crate::error::{Error, Kind};
use crate::host::{self, Store};
use crate::view::{self, board, escape};
use agents::opencode::front::Tone;
use engine::dispatcher::{Ended, Handle};
use engine::reception::{Answer, Desk, Guest, Want};
use engine::store::{self, Owned};
use front::{Showing, Shown};
use futures_util::future::BoxFuture;
use mission::ids::MissionId;
use mission::input::Input;
use mission::mission::Mission;
use note::Note;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// All missions of this process.
pub(crate) struct Hosting {
    store: Store,
    args: ServeArgs,
    running: watch::Sender<usize>,
    guests: watch::Sender<Vec<Guest>>,
    hosted: Mutex<BTreeMap<MissionId, Hosted>>,
    /// The showing of each mission that is shown.
    showing: Mutex<BTreeMap<MissionId, Showing>>,
    looks: look::Looks,
    /// Held while a mission is opened, so that two requests at once do not both find that none runs.
    opening: tokio::sync::Mutex<()>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// What is known here of a mission that this process carries out or did.
struct Hosted {
    note: Note,
    /// What came of it, once it is over.
    report: watch::Receiver<Option<String>>,
    /// Ends it as long as its agent is not there yet; after that it has a door.
    cancel: CancellationToken,
}

/// What this process has to do for a mission that it answers for.
struct Hosts {
    /// Where what came of it is told.
    told: watch::Sender<Option<String>>,
    cancel: CancellationToken,
    running: Running,
    /// What is said when it begins, to somebody who has waited for that.
    greeting: Option<String>,
}

/// A command as it was typed.
struct Typed {
    key: String,
    command: String,
    arguments: String,
    session: String,
    directory: std::path::PathBuf,
    /// The mission that it was shown.
    mission: Option<MissionId>,
}

impl Typed {
    /// The folder that it is about.
    fn project(&self) -> Result<std::path::PathBuf, Error> {
        if !self.directory.is_absolute() {
            let what = format!("{} is no absolute path", self.directory.display());
            return Err(
                Error::new(Kind::Project, what).hint("open OpenCode in the folder of a project")
            );
        }
        begin::project(&self.directory)
    }

    /// The note of a mission that begins or goes on with it.
    fn note(self, guest: &Guest, agents: Option<std::path::PathBuf>) -> Note {
        Note {
            directory: self.directory,
            session: self.session,
            key: self.key,
            hosted: true,
            after: Vec::new(),
            agents,
            path: guest.hello.path.clone(),
            earlier: Vec::new(),
            board: None,
            posted: false,
            report: None,
            ended: false,
        }
    }
}

/// Counts a mission as running until it is dropped, however it ends.
struct Running(Arc<Hosting>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.send_modify(|n| *n -= 1);
        self.0.looks.stir();
    }
}

impl Hosting {
    pub(crate) fn new(store: Store, args: ServeArgs, stop: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            store,
            args,
            running: watch::Sender::new(0),
            guests: watch::Sender::new(Vec::new()),
            hosted: Mutex::default(),
            showing: Mutex::default(),
            looks: look::Looks::new(),
            opening: tokio::sync::Mutex::default(),
            tasks: TaskTracker::new(),
            stop,
        })
    }

    /// Takes up what an engine before this one left: missions that it carried out go on, and what was not shown yet
    /// waits for somebody to look.
    pub(crate) fn take_up(self: &Arc<Self>) {
        for id in Note::all(&self.store.layout) {
            if let Err(error) = self.take_up_one(id) {
                view::note(&format!("{id} is not taken up: {error}"));
            }
        }
    }

    fn take_up_one(self: &Arc<Self>, id: MissionId) -> Result<(), Error> {
        let layout = &self.store.layout;
        let Some(note) = Note::read(layout, id) else {
            Note::forget(layout, id);
            return Ok(());
        };
        let mission = match store::load(&*self.store.journal, id) {
            Ok((mission, _)) => mission,
            // It was named and never opened; whoever asked for it was never told of it.
            Err(store::Error::NeverOpened(_)) => {
                Note::forget(layout, id);
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        if !note.after.is_empty()
            && note.hosted
            && mission.base().is_none()
            && mission.outcome().is_none()
        {
            self.stand_in_line(id, note, None);
            return Ok(());
        }
        let settled = mission.is_settled();
        if settled || !note.hosted || self.store.owner(id)?.is_some() {
            let mut shown = Shown::new(&self.store, id, note, self.guests.subscribe(), None);
            match mission.outcome() {
                Some(outcome) if settled => shown.remarks().say(
                    format!("{id} is {outcome}; its report stands in the conversation in which it was asked for"),
                    Tone::Info,
                ),
                _ => shown.is_elsewhere(),
            }
            self.tasks.spawn(shown.run(Arc::default(), self.shows(id)));
            return Ok(());
        }
        let means = self.means_of(&mission)?;
        self.host(self.take(id)?, means, note, None);
        Ok(())
    }

    /// A mission begins.
    async fn task(self: &Arc<Self>, guest: &Guest, typed: Typed) -> Result<Answer, Error> {
        let project = typed.project()?;
        let text = match begin::request(typed::unquoted(&typed.arguments)) {
            Ok(text) => text,
            Err(_) if typed.arguments.trim().is_empty() => {
                self.compose(guest, &typed.directory, "/task ".to_owned());
                return Ok(info(
                    "say what you want: /task Add a health check".to_owned(),
                ));
            }
            Err(error) => return Err(error),
        };
        let _one_at_a_time = self.opening.lock().await;
        if let Some(id) = self.of_key(&typed.key) {
            let before = self
                .hosted()
                .get(&id)
                .and_then(|h| h.note.after.last().copied());
            return Ok(match before {
                Some(before) => queue::queued(id, before, &text),
                None => queue::begun(id, &text),
            });
        }
        let before = match self.runs_in(&project, &typed.session)? {
            Some((id, true)) if typed.command == "queue" => self.whole_line(&project, id),
            Some((id, runs)) => return Ok(self.offer(guest, &typed, &text, id, runs)),
            None => Vec::new(),
        };
        let config = Config::read()?;
        // Questions wait for whoever looks, here or in a terminal. Where a script asked, nobody does.
        let attended = !guest.hello.alone;
        let terms = begin::terms(&config, &self.args.limits, None, false, attended)?;
        let means = Means::read(
            &self.store.layout,
            &project,
            None,
            &config,
            &self.args.agent,
        )?;
        let note = Note {
            after: before.clone(),
            ..typed.note(guest, Self::seen_by(guest, &means))
        };
        let layout = &self.store.layout;
        let owned = means.open(&self.store, &text, terms, |mission| {
            note.keep(layout, mission.id())
        })?;
        let id = owned.mission.id();
        Ok(match before.last() {
            None => {
                let shell = host::shell_rule(&self.store, &means, attended);
                self.host(owned, means, note, Some(guest.n));
                match guest.hello.alone {
                    true => queue::begun_alone(id, &text, shell),
                    false => queue::begun(id, &text),
                }
            }
            Some(before) => {
                // Whoever wants to cancel it needs no engine for that.
                drop(owned);
                self.stand_in_line(id, note, Some(guest.n));
                queue::queued(id, *before, &text)
            }
        })
    }

    /// What a mission that was begun before is carried out with.
    fn means_of(&self, mission: &Mission) -> Result<Means, Error> {
        let layout = &self.store.layout;
        let place = layout.mission(&mission.full_name());
        let project = Path::new(mission.project());
        let config = Config::read()?;
        Means::read(layout, project, Some(&place), &config, &self.args.agent)
    }

    /// The ownership of a mission.
    fn take(&self, id: MissionId) -> Result<Owned, Error> {
        let door = self.store.door(id);
        Ok(store::take(&*self.store.journal, id, &door)?)
    }

    /// Carries a mission out in the background, and shows it.
    fn host(self: &Arc<Self>, owned: Owned, means: Means, note: Note, asked_by: Option<u64>) {
        let hosts = self.hosts(owned.mission.id(), &note);
        let this = self.clone();
        self.tasks
            .spawn(Box::pin(this.run(owned, means, note, asked_by, hosts)));
    }

    /// For somebody who shows a mission from now on: whoever showed it before is done with that.
    fn shows(&self, id: MissionId) -> Showing {
        let shown = Showing {
            until: self.stop.child_token(),
            ..Showing::default()
        };
        let mut showing = self.showing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = showing.insert(id, shown.clone()) {
            before.until.cancel();
        }
        shown
    }

    /// From now on this process answers for a mission.
    fn hosts(self: &Arc<Self>, id: MissionId, note: &Note) -> Hosts {
        let (told, report) = watch::channel(None);
        let cancel = CancellationToken::new();
        let kept = Hosted {
            note: note.clone(),
            report,
            cancel: cancel.clone(),
        };
        self.hosted().insert(id, kept);
        self.running.send_modify(|n| *n += 1);
        self.looks.stir();
        Hosts {
            told,
            cancel,
            running: Running(self.clone()),
            greeting: None,
        }
    }

    /// Carries a mission out to its end, and shows it.
    async fn run(
        self: Arc<Self>,
        owned: Owned,
        mut means: Means,
        note: Note,
        asked_by: Option<u64>,
        hosts: Hosts,
    ) {
        means.path.clone_from(&note.path);
        let id = owned.mission.id();
        let cancel = hosts.cancel;
        // One that was begun before has work to keep, and waits for a better day.
        let fresh = asked_by.is_some() && owned.mission.base().is_none();
        let wake = Arc::new(Notify::new());
        let wanted = note.clone();
        let shown = Shown::new(&self.store, id, note, self.guests.subscribe(), asked_by);
        let remarks = shown.remarks();
        if let Some(greeting) = hosts.greeting {
            remarks.say(greeting, Tone::Info);
        }
        let ready = tokio::select! {
            ready = means.ready() => ready,
            () = cancel.cancelled() => Err(Error::new(Kind::Refused, "it was stopped before an agent was there").hint("go on with it: /resume")),
        };
        if let Err(error) = &ready {
            remarks.say(escape::short(&format!("{id}: {error}"), 300), Tone::Bad);
        } else if let Some(found) = means.unread() {
            let names = found.names.join(", ");
            let told =
                format!("{id}: the project's own configuration for agents ({names}) is not used");
            remarks.say(escape::short(&told, 300), Tone::Info);
        }
        let show = self.tasks.spawn(shown.run(wake.clone(), self.shows(id)));
        let ended = match ready {
            Ok(ready) => {
                let seen = seen::Seen {
                    wanted,
                    remarks,
                    wake: wake.clone(),
                };
                self.carry(owned, &means, &ready, seen).await
            }
            Err(error) => {
                let ends = fresh || cancel.is_cancelled();
                self.give_up(owned, error, ends).await
            }
        };
        let text = match ended {
            Ok(text) => text,
            Err(error) => format!("{id} stands still: {error}"),
        };
        view::note(&text);
        hosts.told.send_replace(Some(text));
        drop(hosts.running);
        self.looks.silent(id);
        wake.notify_one();
        show.await.ok();
    }

    async fn carry(
        self: &Arc<Self>,
        owned: Owned,
        means: &Means,
        ready: &host::Ready,
        seen: seen::Seen,
    ) -> Result<String, Error> {
        let place = self.store.layout.mission(&owned.mission.full_name());
        let attended = owned.mission.terms().attended;
        let mut settings = host::settings(&self.store, &ready.agent, &place, means, attended)?;
        if let Some(path) = &means.path {
            settings.environment.insert("PATH".into(), path.into());
        }
        let (this, id, wake) = (self.clone(), owned.mission.id(), seen.wake.clone());
        if let Some(agent) = seen.agent(&owned.mission, means, ready).await {
            settings.agent = agent;
        }
        let watch = |handle: Handle, closed: CancellationToken| {
            tokio::spawn(async move { this.watch(id, attended, handle, closed, wake).await })
        };
        let (ended, _) = Box::pin(host::carry(&self.store, owned, settings, watch)).await?;
        Ok(match ended? {
            Ended::Over(mission) => board::report(&mission),
            Ended::WoundDown(mission) if host::is_deserted(&mission) => {
                host::waits_for_answer(&mission)
            }
            Ended::WoundDown(mission) => format!(
                "interrupted; nothing is lost. Go on with: orchestrator resume {}",
                mission.id()
            ),
        })
    }

    /// There is nobody to carry it out. One that has just begun ends with that; one that was taken up waits.
    async fn give_up(&self, owned: Owned, error: Error, ends: bool) -> Result<String, Error> {
        if ends {
            let id = owned.mission.id();
            let by = escape::short(&format!("the engine, because {error}"), 300);
            store::once(&*self.store.journal, owned, Input::Cancel { by }, None)?;
            // What an engine before this one left of it goes too; without that it would not be over.
            Box::pin(host::settle(&self.store, id, view::Style::Plain)).await?;
        }
        Err(error)
    }

    /// Puts a command where the user types, for them to go on with.
    fn compose(&self, guest: &Guest, directory: &Path, text: String) {
        let bridge = guest.hello.bridge.clone();
        let directory = directory.to_owned();
        self.tasks.spawn(async move {
            let front = bridge.map(|bridge| agents::opencode::front::Front::over(&bridge));
            if let Some(Ok(front)) = front {
                front.compose(&directory, &text).await.ok();
            }
        });
    }

    /// An OpenCode works in one folder more: what is shown there can be shown by it.
    fn works_in(&self, guest: &Guest, directory: std::path::PathBuf) {
        self.guests.send_if_modified(|guests| {
            let found = guests.iter_mut().find(|other| other.n == guest.n);
            let folders = found.map(|found| &mut found.hello.directories);
            let folders = folders.filter(|all| !all.contains(&directory));
            folders.map(|all| all.push(directory)).is_some()
        });
    }

    fn hosted(&self) -> std::sync::MutexGuard<'_, BTreeMap<MissionId, Hosted>> {
        self.hosted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The mission of a request that was made before.
    fn of_key(&self, key: &str) -> Option<MissionId> {
        let hosted = self.hosted();
        let found = hosted.iter().find(|(_, hosted)| hosted.note.key == key);
        found.map(|(id, _)| *id)
    }

    /// The mission of this project that is not over: the one of this conversation, else the newest. And whether
    /// somebody carries it out.
    fn runs_in(&self, project: &Path, session: &str) -> Result<Option<(MissionId, bool)>, Error> {
        let newest = self.newest_in(project, session)?;
        let open = newest.filter(|(mission, _)| mission.outcome().is_none());
        Ok(open.map(|(mission, runs)| (mission.id(), runs)))
    }

    /// The mission of this project to speak of: one that runs, of this conversation before others, else the newest.
    fn newest_in(&self, project: &Path, session: &str) -> Result<Option<(Mission, bool)>, Error> {
        let Some((id, runs)) = self.newest_id(project, session)? else {
            return Ok(None);
        };
        let (mission, _) = self.store.load(id)?;
        Ok(Some((mission, runs)))
    }

    fn newest_id(&self, project: &Path, session: &str) -> Result<Option<(MissionId, bool)>, Error> {
        let rows = self.store.journal.missions()?;
        let here = rows.iter().filter(|row| Path::new(&row.project) == project);
        let of_session = |id: MissionId| {
            let hosted = self.hosted();
            hosted
                .get(&id)
                .is_some_and(|hosted| hosted.note.session == session)
        };
        // One that waits for another is spoken of when its turn has come.
        let waits = |id: MissionId| {
            let hosted = self.hosted();
            hosted
                .get(&id)
                .is_some_and(|hosted| !hosted.note.after.is_empty())
        };
        let live = |row: &&journal::MissionRow| {
            let lease = row.lease.as_ref();
            lease.is_some_and(|lease| lease.hold == journal::Hold::Live)
        };
        let best = here.max_by_key(|row| {
            let id = row.mission;
            (live(row), !waits(id), of_session(id), id)
        });
        Ok(best.map(|best| (best.mission, live(&best))))
    }

    /// Ends with all that runs here, each as a crash would leave it.
    pub(crate) async fn end(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Desk for Hosting {
    fn ask(self: Arc<Self>, guest: Guest, want: Want) -> BoxFuture<'static, Answer> {
        match want {
            Want::Wait { mission } => Box::pin(async move { self.await_report(mission).await }),
            Want::Alive => Box::pin(async { Answer::default() }),
            Want::Here { directory } => {
                self.works_in(&guest, directory);
                Box::pin(async { Answer::default() })
            }
            Want::Agents {
                directory,
                mcp,
                prompts,
            } => {
                let answer = self.agents_in(&guest, &directory, &mcp, &prompts);
                Box::pin(async move { answer })
            }
            Want::Look(looked) => {
                // In the order in which they were asked, whichever is carried out first.
                let until = self.looks.begins(guest.n);
                Box::pin(async move { self.look(&looked, until).await })
            }
            Want::Command {
                key,
                command,
                arguments,
                session,
                directory,
                mission,
            } => {
                let typed = Typed {
                    key,
                    command,
                    arguments,
                    session,
                    directory,
                    mission,
                };
                Box::pin(async move {
                    self.command(&guest, typed).await.unwrap_or_else(|error| {
                        answer(escape::short(&error.to_string(), 600), Tone::Bad)
                    })
                })
            }
        }
    }

    fn came(&self, guest: &Guest) {
        self.guests.send_modify(|guests| guests.push(guest.clone()));
    }

    fn went(&self, guest: &Guest) {
        self.guests
            .send_modify(|guests| guests.retain(|other| other.n != guest.n));
        self.looks.went(guest.n);
    }

    fn running(&self) -> watch::Receiver<usize> {
        self.running.subscribe()
    }
}

/// What a person is told.
fn answer(say: String, tone: Tone) -> Answer {
    Answer {
        say,
        variant: tone.word().to_owned(),
        ..Answer::default()
    }
}

fn info(say: String) -> Answer {
    answer(say, Tone::Info)
}

/// What a person is told of a mission.
fn about(id: MissionId, say: String) -> Answer {
    Answer {
        mission: Some(id),
        ..info(say)
    }
}
