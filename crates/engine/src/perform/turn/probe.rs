//! Holds what a running Worker has changed against what lies ahead of it: what landed or was handed in since it began.
//!
//! It looks when something new lies ahead, and after each step that may have changed the workspace while something does;
//! then it rests for many times as long as that took. Nothing waits for it: it has git processes and an index of its own,
//! writes objects that nobody names, and ends with its agent, whatever it is at. What cannot be looked at is not known.

use super::wire::Wire;
use super::{Job, Line};
use crate::dispatcher::Message;
use crate::perform::{Bench, Error, blocking, land};
use agents::Order;
use mission::event::Turn;
use mission::foresight::{Ahead, Clash};
use mission::ids::{AttemptId, CommitId, Epoch};
use mission::input::Input;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use workbench::landing::{ConflictKind, ConflictPath};
use workbench::repository::MissionRepository;
use workbench::workspace::Workspace;

/// The most that one look is held against: what lands next first. Each costs a git process.
const AHEAD: usize = 8;
/// The most looks of one turn: each may write what the workspace holds as objects, which stay until the mission goes.
const LOOKS: u32 = 200;
/// It rests for so many times as long as a look took, so that looking takes a twentieth of a processor at the most.
const REST: u32 = 20;

/// What is needed to look.
#[derive(Clone)]
struct Probe {
    attempt: AttemptId,
    epoch: Epoch,
    repository: MissionRepository,
    workspace: Workspace,
    base: CommitId,
    ahead: watch::Receiver<Vec<Ahead>>,
    inbox: mpsc::Sender<Message>,
}

impl Probe {
    /// The one beside a turn; none beside a turn that changes nothing.
    fn of(
        job: &Job,
        bench: &Bench,
        line: &Line,
        (repository, workspace, base): (&MissionRepository, &Workspace, &CommitId),
    ) -> Option<Self> {
        let Turn::Work { attempt } = job.turn else {
            return None;
        };
        Some(Self {
            attempt,
            epoch: job.epoch,
            repository: repository.clone(),
            workspace: workspace.clone(),
            base: base.clone(),
            ahead: bench.ahead.subscribe(),
            inbox: line.inbox.clone(),
        })
    }

    /// What lies ahead of the attempt now, the nearest first.
    fn others(&mut self) -> Vec<CommitId> {
        let ahead = self.ahead.borrow_and_update();
        let is_other = |ahead: &&Ahead| match ahead.attempt {
            Some(other) => other.task != self.attempt.task,
            None => ahead.commit != self.base,
        };
        let others = ahead.iter().filter(is_other).take(AHEAD);
        others.map(|ahead| ahead.commit.clone()).collect()
    }

    /// Looks until its agent has ended.
    async fn looks(mut self, mut did: watch::Receiver<u64>) {
        for _ in 0..LOOKS {
            let mut others = self.others();
            while others.is_empty() {
                if self.ahead.changed().await.is_err() {
                    return;
                }
                others = self.others();
            }
            did.borrow_and_update();
            let begun = Instant::now();
            self.look(others).await;
            tokio::time::sleep(begun.elapsed() * REST).await;
            let more = tokio::select! {
                more = self.ahead.changed() => more,
                more = did.changed() => more,
            };
            if more.is_err() {
                return;
            }
        }
    }

    /// Looks once, and tells what it found.
    async fn look(&self, others: Vec<CommitId>) {
        let this = self.clone();
        match blocking(move || this.clashes(&others)).await {
            Ok(found) => {
                for clash in found {
                    let epoch = self.epoch;
                    let input = Input::Clashed { epoch, clash };
                    self.inbox.send(Message::Input(input, None)).await.ok();
                }
            }
            // Its agent may be in the middle of writing; the next step is looked at again.
            Err(error) => tracing::debug!(%error, "a workspace could not be looked at"),
        }
    }

    fn clashes(&self, others: &[CommitId]) -> Result<Vec<Clash>, Error> {
        let found = self
            .repository
            .foresee(&self.workspace, &self.base, others)
            .map_err(Error::new)?;
        let found = others.iter().zip(found);
        let found: Vec<_> = found.filter(|(_, paths)| !paths.is_empty()).collect();
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let landed = self
            .repository
            .landed_attempts(&land::line()?, &self.base)
            .map_err(Error::new)?;
        let landed: Vec<AttemptId> = landed.into_iter().map(|(attempt, _)| attempt).collect();
        let clash = |(other, conflicts): (&CommitId, Vec<ConflictPath>)| Clash {
            commit: other.clone(),
            landed: landed.clone(),
            files: conflicts
                .iter()
                .map(|conflict| (conflict.path.to_string(), there(conflict)))
                .collect(),
        };
        Ok(found.into_iter().map(clash).collect())
    }
}

/// What the other side says in a file in conflict.
fn there(conflict: &ConflictPath) -> String {
    let kind = match conflict.kind {
        ConflictKind::Content => "both changed the same lines, there to",
        ConflictKind::BothAdded => "both added it, there as",
        ConflictKind::DeletedInHead => "it is deleted there",
        ConflictKind::DeletedInAttempt => "you deleted it, and there it is changed to",
        ConflictKind::Names => "names collide",
    };
    format!("{}: {kind}\n{}\n", conflict.path, conflict.ours.trim_end())
}

/// Lets an agent work, and looks at what it does meanwhile.
pub(super) async fn run(
    job: &Job,
    (bench, line): (&Bench, &Line),
    (order, watcher): (Order, &Arc<Wire>),
    at: (&MissionRepository, &Workspace, &CommitId),
) {
    let cancel = line.cancel.clone();
    let agent = bench.settings.agent.run(order, watcher.clone(), cancel);
    let looks = async {
        if let Some(probe) = Probe::of(job, bench, line, at) {
            probe.looks(watcher.did()).await;
        }
        std::future::pending::<std::convert::Infallible>().await
    };
    tokio::select! {
        () = agent => {}
        never = looks => match never {},
    }
}
