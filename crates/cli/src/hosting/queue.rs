//! Missions that wait for the one before them in the same project: they were asked for while it ran.

use super::{Answer, Guest, Hosting, Note, Typed, about, answer};
use crate::begin::Means;
use crate::error::Error;
use crate::host;
use crate::view::{Style, board, escape};
use agents::ShellRule;
use agents::opencode::front::Tone;
use engine::store::Owned;
use mission::ids::MissionId;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How often a mission is looked at that another process carries out, or nobody.
pub(super) const LOOK: Duration = Duration::from_secs(2);

pub(super) fn begun(id: MissionId, request: &str) -> Answer {
    let request = escape::short(request, 120);
    about(
        id,
        format!("{id} begins: {request}\n/status shows it, /stop ends it"),
    )
}

/// The same for a script, which waits for it.
pub(super) fn begun_alone(id: MissionId, request: &str, shell: ShellRule) -> Answer {
    let request = escape::short(request, 120);
    let denied = match shell {
        ShellRule::Deny => format!("\nshell: {}", host::SHELL_DENIED),
        _ => String::new(),
    };
    about(
        id,
        format!(
            "{id} begins: {request}\norchestrator status {id} shows it, orchestrator cancel {id} ends it{denied}"
        ),
    )
}

/// What somebody is told whose request waits.
pub(super) fn queued(id: MissionId, before: MissionId, request: &str) -> Answer {
    let told = format!(
        "{id} waits until {before} is over: {}\n/status shows both, orchestrator cancel {id} takes it back",
        escape::short(request, 120)
    );
    about(id, told)
}

impl Hosting {
    /// One mission runs in this project: the user chooses what becomes of the new request.
    pub(super) fn offer(
        &self,
        guest: &Guest,
        typed: &Typed,
        text: &str,
        id: MissionId,
        runs: bool,
    ) -> Answer {
        if !runs {
            let told = format!(
                "{id} is not over, and nobody runs it: /resume goes on with it, /stop ends it and keeps its work"
            );
            return answer(told, Tone::Warning);
        }
        // It stands ready where they type, so that a key is enough, and another word is easily put before it.
        self.compose(guest, &typed.directory, format!("/queue {text}"));
        let told = format!(
            "{id} runs here. Enter queues this behind it; /steer instead of /queue tells it to the agents that work; /status shows {id}"
        );
        answer(told, Tone::Warning)
    }

    /// Behind whom a new mission of this project waits: the one that runs, and all that wait for it.
    pub(super) fn whole_line(&self, project: &Path, runs: MissionId) -> Vec<MissionId> {
        let waiting = self.waiting(project).into_iter().map(|(id, _)| id);
        std::iter::once(runs).chain(waiting).collect()
    }

    /// What is told of those who wait.
    pub(super) fn line(&self, project: &Path) -> String {
        let told = self
            .waiting(project)
            .into_iter()
            .map(|(id, request)| format!("\nthen {id}: {}", escape::short(&request, 80)));
        told.collect()
    }

    /// The missions of a project that wait here, with their requests.
    fn waiting(&self, project: &Path) -> Vec<(MissionId, String)> {
        let ids: Vec<MissionId> = self
            .hosted()
            .iter()
            .filter(|(_, hosted)| !hosted.note.after.is_empty() && hosted.report.borrow().is_none())
            .map(|(id, _)| *id)
            .collect();
        let of_project = |id: MissionId| {
            let (mission, _) = self.store.load(id).ok()?;
            let waits = mission.outcome().is_none() && mission.base().is_none();
            let here = Path::new(mission.project()) == project;
            (waits && here).then(|| (id, mission.request().to_owned()))
        };
        ids.into_iter().filter_map(of_project).collect()
    }

    /// Has a mission wait for those before it, and carries it out then.
    pub(super) fn stand_in_line(
        self: &Arc<Self>,
        id: MissionId,
        note: Note,
        asked_by: Option<u64>,
    ) {
        let mut hosts = self.hosts(id, &note);
        let this = self.clone();
        self.tasks.spawn(async move {
            let line = note.after.clone();
            let begun = loop {
                let all = async {
                    for before in &line {
                        this.is_over(*before).await;
                    }
                };
                tokio::select! {
                    () = all => {}
                    () = this.is_over(id) => {}
                    () = this.stop.cancelled() => return,
                }
                // Somebody may be resuming it at this moment, or may just have resumed one before it.
                let _one_at_a_time = this.opening.lock().await;
                if this.has_ended(id) || line.iter().all(|before| this.has_ended(*before)) {
                    if let Some(hosted) = this.hosted().get_mut(&id) {
                        hosted.note.after.clear();
                    }
                    break this.begin(id, note);
                }
            };
            match begun {
                Ok(Some((owned, means, note))) => {
                    let request = escape::short(owned.mission.request(), 120);
                    let before = line.last().map(MissionId::to_string).unwrap_or_default();
                    hosts.greeting = Some(format!("{id} begins, as {before} is over: {request}"));
                    // A mission is large, and is moved with whatever runs it.
                    Box::pin(this.run(owned, means, note, asked_by, hosts)).await;
                }
                Ok(None) => {
                    let told = this
                        .store
                        .load(id)
                        .map(|(mission, _)| board::report(&mission));
                    hosts.told.send_replace(told.ok());
                }
                Err(error) => {
                    let told = format!("{id} stands still: {error}");
                    crate::view::note(&told);
                    hosts.told.send_replace(Some(told));
                }
            }
        });
    }

    /// Takes a mission up whose turn it is; nothing if it was cancelled meanwhile, or begun in a terminal.
    fn begin(&self, id: MissionId, mut note: Note) -> Result<Option<(Owned, Means, Note)>, Error> {
        let (mission, _) = self.store.load(id)?;
        if mission.outcome().is_some() {
            Note::forget(&self.store.layout, id);
            return Ok(None);
        }
        let elsewhere = Note::read(&self.store.layout, id).is_some_and(|kept| !kept.hosted);
        if elsewhere || self.store.owner(id)?.is_some() {
            return Ok(None);
        }
        note.after.clear();
        note.keep(&self.store.layout, id)
            .map_err(|error| Error::io("write", &self.store.layout.front(id), &error))?;
        let means = self.means_of(&mission)?;
        Ok(Some((self.take(id)?, means, note)))
    }

    /// Whether a mission has come to its end, whatever it still owes.
    fn has_ended(&self, id: MissionId) -> bool {
        let loaded = self.store.load(id);
        loaded.is_ok_and(|(mission, _)| mission.outcome().is_some())
    }

    /// Waits until a mission is over, whoever carries it out. What it still owes and nobody is at is done here.
    async fn is_over(&self, id: MissionId) {
        loop {
            if let Ok((mission, _)) = self.store.load(id)
                && mission.outcome().is_some()
            {
                if mission.due().is_empty() {
                    return;
                }
                let is_here = self.hosted().contains_key(&id);
                if !is_here && matches!(self.store.owner(id), Ok(None)) {
                    let settled = Box::pin(host::settle(&self.store, id, Style::Plain)).await;
                    if let Err(error) = settled {
                        crate::view::note(&format!("what {id} owes could not be done: {error}"));
                    }
                    return;
                }
            }
            // Of one that is carried out here the end is heard at once.
            let report = self.hosted().get(&id).map(|hosted| hosted.report.clone());
            let ended = async {
                match report {
                    Some(mut report) if report.borrow().is_none() => {
                        report.changed().await.ok();
                    }
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                () = ended => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }
}
