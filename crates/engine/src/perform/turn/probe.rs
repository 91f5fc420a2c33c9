//! Holds what a running Worker has changed against what lies ahead of it: what landed or was handed in since it began, and
//! what Workers have changed that run beside it and are ahead of it, as the core says.
//!
//! It looks when something new lies ahead, and after each step that may have changed the workspace while something does
//! or while somebody behind it has to be held against that; then it rests for many times as long as that took, and for
//! the sake of who runs beside it alone it looks ever more rarely. Nothing waits for it: it has git processes and an
//! index of its own, writes objects that nobody names, and ends with its agent, whatever it is at. What cannot be
//! looked at is not known. What each has is known from its own looks, in memory alone: an engine that takes a mission
//! up finds it again at the next steps.

mod errand;

use self::errand::{Errand, Next, Pace};
use super::wire::Wire;
use super::{Job, Line};
use crate::dispatcher::Message;
use crate::perform::{Bench, Error, blocking, land};
use agents::Order;
use mission::event::Turn;
use mission::foresight::{Ahead, AtWork, Clash};
use mission::ids::{AttemptId, CommitId, Epoch};
use mission::input::Input;
use mission::mission::Mission;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use workbench::landing::{ConflictKind, ConflictPath};
use workbench::repository::MissionRepository;
use workbench::workspace::Workspace;

/// The most that one look is held against: what lands next first, and then who began first of those that run. Each costs a
/// git process.
const AHEAD: usize = 8;
/// The most looks of one turn: each may write what the workspace holds as objects, which stay until the mission goes.
const LOOKS: u32 = 200;
/// It rests for so many times as long as a look took, so that looking takes a twentieth of a processor at the most for
/// each Worker that runs.
const REST: u32 = 20;

/// What running Workers are held against, as far as the mission knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sight {
    ahead: Vec<Ahead>,
    at_work: Vec<AtWork>,
}

impl Sight {
    pub(crate) fn of(mission: &Mission) -> Self {
        Self {
            ahead: mission.ahead(),
            at_work: mission.at_work(),
        }
    }
}

/// What the workspaces of running Workers held when they were last looked at, by their leases. No ref keeps these commits.
pub(crate) type Glances = BTreeMap<Epoch, CommitId>;

/// What others see of a workspace that is worked in; nothing once its turn is over.
struct Shown {
    epoch: Epoch,
    glances: Arc<watch::Sender<Glances>>,
}

impl Shown {
    fn put(&self, commit: Option<CommitId>) {
        self.glances.send_if_modified(|glances| match commit {
            Some(commit) => glances.insert(self.epoch, commit.clone()) != Some(commit),
            None => glances.remove(&self.epoch).is_some(),
        });
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.put(None);
    }
}

/// What is needed to look.
#[derive(Clone)]
struct Probe {
    attempt: AttemptId,
    epoch: Epoch,
    repository: MissionRepository,
    workspace: Workspace,
    base: CommitId,
    sight: watch::Receiver<Sight>,
    glances: watch::Receiver<Glances>,
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
            sight: bench.sight.subscribe(),
            glances: bench.glances.subscribe(),
            inbox: line.inbox.clone(),
        })
    }

    fn errand(&mut self) -> Errand {
        let (sight, glances) = (&mut self.sight, &mut self.glances);
        let (sight, glances) = (sight.borrow_and_update(), glances.borrow_and_update());
        Errand::of((self.attempt, self.epoch, &self.base), &sight, &glances)
    }

    /// Looks until its agent has ended. What it saw last stays when it has looked too often to look on.
    async fn looks(mut self, mut did: watch::Receiver<u64>, shown: &Shown) {
        let mut pace = Pace::default();
        for _ in 0..LOOKS {
            let Some(errand) = self.next(&mut pace, &mut did, shown).await else {
                return;
            };
            let begun = Instant::now();
            match self.look(errand.clone()).await {
                Some(commit) if errand.is_followed => {
                    shown.put(Some(commit).filter(|commit| *commit != self.base));
                }
                Some(_) => {}
                None => pace.failed(),
            }
            tokio::time::sleep(begun.elapsed() * REST).await;
        }
    }

    /// Waits until there is something to look for; nothing where the engine ends.
    async fn next(
        &mut self,
        pace: &mut Pace,
        did: &mut watch::Receiver<u64>,
        shown: &Shown,
    ) -> Option<Errand> {
        loop {
            let errand = self.errand();
            if !errand.is_followed {
                // Nobody keeps it as it is.
                shown.put(None);
            }
            let step = *did.borrow_and_update();
            let until = match pace.next(&errand, step, Instant::now()) {
                Next::Look => return Some(errand),
                Next::Wait(until) => until,
            };
            let late = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            let more = tokio::select! {
                () = late => Ok(()),
                more = self.sight.changed() => more,
                more = self.glances.changed() => more,
                more = did.changed() => more,
            };
            more.ok()?;
        }
    }

    /// Looks once, and tells what it found; gives what the workspace held.
    async fn look(&self, errand: Errand) -> Option<CommitId> {
        let this = self.clone();
        match blocking(move || this.clashes(&errand)).await {
            Ok((commit, found)) => {
                for clash in found {
                    let epoch = self.epoch;
                    let input = Input::Clashed { epoch, clash };
                    self.inbox.send(Message::Input(input, None)).await.ok();
                }
                Some(commit)
            }
            // Its agent may be in the middle of writing.
            Err(error) => {
                tracing::debug!(%error, "a workspace could not be looked at");
                None
            }
        }
    }

    fn clashes(&self, errand: &Errand) -> Result<(CommitId, Vec<Clash>), Error> {
        let glance = self
            .repository
            .glance(&self.workspace, &self.base)
            .map_err(Error::new)?;
        let mut found = Vec::new();
        for (commit, at_work) in errand.others() {
            match self.repository.foresee(&glance, commit) {
                Ok(conflicts) if conflicts.is_empty() => {}
                Ok(conflicts) => found.push((commit, at_work, conflicts)),
                // No ref keeps it; it is found again when the other is looked at anew.
                Err(error) if at_work.is_some() => {
                    tracing::debug!(%error, "what another has in its workspace is gone");
                }
                Err(error) => return Err(Error::new(error)),
            }
        }
        let landed = match found.iter().any(|(_, at_work, _)| at_work.is_none()) {
            true => self.landed()?,
            false => Vec::new(),
        };
        let clash = |(commit, at_work, conflicts): (&CommitId, _, Vec<ConflictPath>)| Clash {
            commit: commit.clone(),
            at_work,
            landed: landed.clone(),
            files: conflicts
                .iter()
                .map(|conflict| (conflict.path.to_string(), there(conflict)))
                .collect(),
        };
        let clashes = found.into_iter().map(clash).collect();
        Ok((glance.commit().clone(), clashes))
    }

    /// The attempts that have landed since the work began.
    fn landed(&self) -> Result<Vec<AttemptId>, Error> {
        let landed = self
            .repository
            .landed_attempts(&land::line()?, &self.base)
            .map_err(Error::new)?;
        Ok(landed.into_iter().map(|(attempt, _)| attempt).collect())
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
        let (epoch, glances) = (job.epoch, Arc::clone(&bench.glances));
        let shown = Shown { epoch, glances };
        if let Some(probe) = Probe::of(job, bench, line, at) {
            probe.looks(watcher.did(), &shown).await;
        }
        std::future::pending::<std::convert::Infallible>().await
    };
    tokio::select! {
        () = agent => {}
        never = looks => match never {},
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::perform::sample;

    fn commit(n: usize) -> CommitId {
        format!("{n:040x}").parse().unwrap()
    }

    #[test]
    fn what_a_workspace_held_is_forgotten_with_its_turn() {
        let glances = Arc::new(watch::Sender::new(Glances::new()));
        let shown = |epoch| Shown {
            epoch: Epoch(epoch),
            glances: Arc::clone(&glances),
        };
        let (one, other) = (shown(1), shown(2));
        one.put(Some(commit(1)));
        other.put(Some(commit(2)));
        let mut watcher = glances.subscribe();
        one.put(Some(commit(1)));
        assert!(!watcher.has_changed().unwrap(), "it is where it was");
        drop(one);
        let left = watcher.borrow_and_update().clone();
        assert_eq!(left, Glances::from([(Epoch(2), commit(2))]));
    }

    #[test]
    fn what_another_had_and_is_gone_hides_no_conflict_with_the_rest() {
        let sample = sample::mission(&[("a.txt", "one\n")]);
        let (repository, base) = (sample.bench.repository().unwrap(), &sample.base.commit);
        let workspace = |lane: &str, text: &str| {
            let path = sample.bench.place.lane(lane);
            let workspace = repository.workspace(&path, base, &[]).unwrap();
            std::fs::write(workspace.path().join("a.txt"), text).unwrap();
            workspace
        };
        let other = workspace("worker-2", "two\n");
        let other = repository.glance(&other, base).unwrap();
        let (inbox, _heard) = mpsc::channel(1);
        let probe = Probe {
            attempt: "T3.1".parse().unwrap(),
            epoch: Epoch(3),
            workspace: workspace("worker-1", "three\n"),
            base: base.clone(),
            sight: sample.bench.sight.subscribe(),
            glances: sample.bench.glances.subscribe(),
            repository: repository.clone(),
            inbox,
        };
        let gone = commit(7);
        let look = |stays, beside| {
            probe.clashes(&Errand {
                stays,
                beside,
                is_followed: false,
            })
        };
        let both = [(gone.clone(), Epoch(1)), (other.commit().clone(), Epoch(2))];
        let (_, found) = look(Vec::new(), both.to_vec()).unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].at_work, Some(Epoch(2)));
        assert_eq!(found[0].files[0].0, "a.txt");
        assert!(found[0].files[0].1.contains("two"), "{found:?}");
        // What was handed in is there, or the look says nothing at all.
        assert!(look(vec![gone], Vec::new()).is_err());
    }
}
