//! Lets an agent carry a turn out: a workspace that is checked first, the order, and what the workspace holds after.

mod meter;
mod note;
mod place;
mod probe;
mod steps;
mod wire;

use super::context::{self, Origin};
use super::{Bench, Error, Line, blocking, facts, pack, ready};
use crate::dispatcher::Message;
use agents::brief::{Assignment, Case, Diagnosis, Survey};
use agents::{Order, ShellRule};
use mission::event::Turn;
use mission::ids::{CommitId, Epoch, MissionId, TreeId};
use mission::input::Input;
use mission::schedule::Place;
use mission::time::{Millis, Timestamp};
use mission::turn::{AnswerKind, Outcome, Report};
use mission::work::TestFacts;
pub(super) use note::unkept;
use note::{HANDED_IN, set_by};
pub(crate) use note::{Works, works};
pub(crate) use place::lane_name;
pub(super) use probe::{Glances, Sight};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use workbench::fault;
use workbench::git::RepoPath;
use workbench::landing::{self, StackItem, Stacked};
use workbench::recipe::Recipe;
use workbench::repository::Changed;
use workbench::repository::MissionRepository;
use workbench::workspace::{Touched, Workspace};

/// The most files of a repository that a brief lists.
const MAP: usize = 400;
/// The most of a diff that a Reviewer's brief carries, in bytes; a longer one is read in the workspace.
const DIFF: usize = 60_000;
/// The most touched paths that an event keeps.
const TOUCHED: usize = 2_000;

/// A turn to be carried out.
pub(crate) struct Job {
    pub(crate) mission: MissionId,
    pub(crate) nonce: String,
    pub(crate) turn: Turn,
    pub(crate) epoch: Epoch,
    pub(crate) key: Option<String>,
    pub(crate) title: String,
    /// What the task is called.
    pub(crate) what: String,
    pub(crate) answer: AnswerKind,
    /// What was tried before at its task, for a diagnosis.
    pub(crate) tried: Vec<String>,
    pub(crate) brief: Brief,
    /// The number of the last that people said which the brief holds.
    pub(crate) told: u32,
    pub(crate) lane: Place,
    pub(crate) base: Option<CommitId>,
    /// So many Workers may begin at once.
    pub(crate) workers: u32,
    /// The mission's own base.
    pub(crate) origin: Option<CommitId>,
    pub(crate) from: Option<CommitId>,
    pub(crate) case_base: Option<CommitId>,
    pub(crate) since: Timestamp,
    /// The longest that the agent may take.
    pub(crate) limit: Millis,
    /// When its lease ends, whatever it does.
    pub(crate) deadline: Timestamp,
    pub(crate) continues: Option<String>,
    /// Sessions that are being closed.
    pub(crate) closed: Vec<String>,
    /// What tasks that wait are expected to write: it is looked up while this turn's agent works.
    pub(crate) ahead: Vec<pack::Waiting>,
    /// The model that it is asked of instead of the one that everything else is.
    pub(crate) model: Option<String>,
    /// Whether a person has allowed commands for the whole mission.
    pub(crate) shell_allowed: bool,
    pub(crate) ruled: crate::orders::Ruled,
    /// The files that define the project's checks.
    pub(crate) definitions: BTreeSet<String>,
    /// What the journal holds of what was handed in.
    pub(crate) works: Works,
}

/// What the agent is told, before files and diffs are put in.
pub(crate) enum Brief {
    Intent(Survey),
    Plan(Survey),
    Work(Assignment),
    Review(Case),
}

/// What is left to an agent: its own limit, or what its lease has left where set-up or an earlier engine took more.
fn left(limit: Millis, deadline: Timestamp, now: Timestamp) -> Millis {
    limit.min((deadline - mission::limits::TURN_GRACE).since(now))
}

impl Job {
    /// What tasks will begin from, if they are being planned, and in how many lanes at once.
    pub(crate) fn planned_on(&self) -> Option<(CommitId, u32)> {
        let plans = matches!(self.turn, Turn::Plan { .. });
        let base = self.base.clone().filter(|_| plans)?;
        Some((base, self.workers))
    }

    pub(crate) async fn perform(self, bench: &Bench, line: Line) -> Result<(), Error> {
        fault::of("turn.before", &self.turn);
        let job = Arc::new(self);
        let base = job
            .base
            .clone()
            .ok_or_else(|| Error::new("the turn has no base to start from"))?;
        let Some(_lane) = bench.lanes.enter(&lane_name(job.lane), &line.cancel).await else {
            return Ok(());
        };
        let repository = bench.repository()?;
        let recipes = ready::recipes(bench)?;
        let ((workspace, set_by), goes_on, room) = {
            let (job, place, repository) = (job.clone(), bench.place.clone(), repository.clone());
            let (base, kept) = (base.clone(), ready::kept(&recipes));
            let room = Arc::clone(&bench.room);
            blocking(move || {
                let promised = room.admits(&place.lane(&lane_name(job.lane)))?;
                let (start, goes_on) = job.start(&repository, &base)?;
                let set = job.workspace(&place, &repository, &start, &kept)?;
                Ok((set, goes_on, promised))
            })
            .await?
        };
        job.set_up(bench, &recipes, &workspace, &line).await?;
        drop(room);
        let brief = {
            let (job, repository) = (job.clone(), repository.clone());
            let (origin, place) = (bench.origin.clone(), bench.place.clone());
            let packs = Arc::clone(&bench.packs);
            blocking(move || job.text(&repository, (&origin, &place, &packs), goes_on)).await?
        };
        let order = job.order(bench, workspace.path().to_owned(), set_by, brief);
        let collects = matches!(job.turn, Turn::Work { .. });
        let watcher = job.wire(bench, &line);
        fault::of("turn.agent before", &job.turn);
        let at = (&repository, &workspace, &base);
        let agent = probe::run(&job, (bench, &line), (order, &watcher), at);
        pack::beside(agent, bench, (&base, &job.ahead), &line.cancel).await;
        watcher.steps().keep(&bench.place).map_err(Error::new)?;
        if collects {
            end_strays(bench, &workspace).await?;
        }
        fault::of("turn.agent after", &job.turn);
        if line.cancel.is_cancelled() || watcher.is_held() {
            return Ok(());
        }
        let outcomes = watcher.outcomes();
        if outcomes.is_empty() {
            return Err(Error::new("the agent's host ended the turn without a word"));
        }
        for outcome in outcomes {
            let done = match &outcome {
                Outcome::Answered { answer, .. } => {
                    matches!(answer.report(), Some(Report::Done { .. }))
                }
                _ => false,
            };
            let work = if collects && done {
                let (job, place, repository) =
                    (job.clone(), bench.place.clone(), repository.clone());
                let (workspace, base) = (workspace.clone(), base.clone());
                Some(blocking(move || job.collect(&place, &repository, &workspace, &base)).await?)
            } else {
                None
            };
            job.send(&line, outcome, work).await;
        }
        Ok(())
    }

    /// Prepares a Worker's workspace.
    async fn set_up(
        &self,
        bench: &Bench,
        recipes: &[Recipe],
        workspace: &Workspace,
        line: &Line,
    ) -> Result<(), Error> {
        if matches!(self.turn, Turn::Work { .. }) {
            // A set-up that fails is no reason not to work: the agent sees it, and the checks will say so.
            let name = lane_name(self.lane);
            let lane = (name.as_str(), ready::Use::Work);
            ready::make_ready(bench, recipes, workspace, lane, &line.cancel).await?;
            let (room, path) = (Arc::clone(&bench.room), workspace.path().to_owned());
            // Nobody waits for it: until it is known the floor counts.
            tokio::task::spawn_blocking(move || room.learn(&path));
        }
        fault::of("turn.workspace ready", &self.turn);
        Ok(())
    }

    /// Tells the loop how the turn ended.
    async fn send(&self, line: &Line, outcome: Outcome, work: Option<mission::work::Work>) {
        let input = Input::TurnReplied {
            epoch: self.epoch,
            outcome,
            work,
        };
        fault::of("turn.send before", &self.turn);
        line.inbox.send(Message::Input(input, None)).await.ok();
        fault::of("turn.send after", &self.turn);
    }

    /// The commit that the workspace begins with, and whether it holds the work of an earlier attempt: that work, put
    /// onto what the attempt stands on. Where it does not fit any more, the attempt begins anew.
    fn start(
        &self,
        repository: &MissionRepository,
        base: &CommitId,
    ) -> Result<(CommitId, bool), Error> {
        let (Some(from), Turn::Work { attempt }) = (&self.from, self.turn) else {
            return Ok((base.clone(), false));
        };
        let item = StackItem {
            attempt,
            commit: from.clone(),
            message: self.title.clone(),
            when: self.since,
        };
        let stacked = repository
            .stack(self.mission, base, &[item])
            .map_err(Error::new)?;
        Ok(match stacked.into_iter().next() {
            Some(Stacked::Merged { commit, .. }) => (commit, true),
            Some(Stacked::Empty) => (base.clone(), true),
            Some(Stacked::Conflict { .. }) | None => (base.clone(), false),
        })
    }

    /// The turn's workspace, and the lease that set it up. One in which this very turn was begun already is taken as it
    /// is: the agent goes on in it.
    fn workspace(
        &self,
        place: &crate::layout::Place,
        repository: &MissionRepository,
        start: &CommitId,
        kept: &[RepoPath],
    ) -> Result<(Workspace, Epoch), Error> {
        let lane = lane_name(self.lane);
        let path = place.lane(&lane);
        let note = place.lane_note(&lane);
        let begun = format!("{} {start}", self.turn);
        let earlier = std::fs::read_to_string(&note).unwrap_or_default();
        let left = unkept(&earlier, &self.works);
        workbench::workspace::clear_the_way(&path).map_err(Error::new)?;
        if let Some(set_by) = set_by(&earlier, &begun)
            && let Some(workspace) = repository.workspace_at(&path).map_err(Error::new)?
        {
            return Ok((workspace, set_by));
        }
        for folder in [path.parent(), note.parent()].into_iter().flatten() {
            std::fs::create_dir_all(folder).map_err(Error::new)?;
        }
        // What an earlier turn left here and never handed in is kept before the workspace is set to something else.
        if let Some(turn) = left.filter(|_| matches!(self.lane, Place::Worker(_)))
            && let Some(workspace) = repository.workspace_at(&path).map_err(Error::new)?
        {
            // Named by the lease that takes the lane too, so that the same turn, cut short twice, is kept twice.
            let name = format!("{turn}-before-{}", self.epoch.0);
            match repository.rescue(&workspace, &name, self.since) {
                // One agent's mischief must not keep the lane from everybody after it.
                Err(error) if error.spoiled().is_some() => {
                    tracing::warn!(%error, "nothing could be kept");
                }
                kept => {
                    kept.map_err(Error::new)?;
                }
            }
            fault::of("turn.rescued", &self.turn);
        }
        // The note goes first: a workspace whose set-up was cut short belongs to no turn.
        std::fs::write(&note, b"").map_err(Error::new)?;
        fault::of("turn.note removed", &self.turn);
        let workspace = repository
            .workspace(&path, start, kept)
            .map_err(Error::new)?;
        repository.hide_obeyed(&workspace).map_err(Error::new)?;
        fault::of("turn.workspace made", &self.turn);
        std::fs::write(&note, format!("{begun} {}", self.epoch.0)).map_err(Error::new)?;
        fault::of("turn.note written", &self.turn);
        Ok((workspace, self.epoch))
    }

    fn text(
        &self,
        repository: &MissionRepository,
        (known, place, packs): (&OnceLock<Origin>, &crate::layout::Place, &pack::Packs),
        goes_on: bool,
    ) -> Result<String, Error> {
        let files = |survey: &Survey| -> Result<Survey, Error> {
            let Some(base) = &self.base else {
                return Ok(survey.clone());
            };
            let tree = repository.tree_of(base).map_err(Error::new)?;
            let (files, more) = repository.list_files(&tree, MAP).map_err(Error::new)?;
            let files = files.iter().map(|file| file.path.to_string()).collect();
            Ok(Survey {
                files,
                more_files: more,
                ..survey.clone()
            })
        };
        Ok(match &self.brief {
            Brief::Intent(survey) => files(survey)?.for_commander(),
            Brief::Plan(survey) => files(survey)?.for_planner(),
            Brief::Work(assignment) => {
                let mut found = pack::Pack::default();
                let (files, habits) = match (&self.base, &self.origin) {
                    (Some(base), Some(origin)) => {
                        let origin = match known.get() {
                            Some(origin) => origin,
                            None => {
                                let read = Origin::read(repository, origin)?;
                                known.get_or_init(|| read)
                            }
                        };
                        let (of, at) = ((place, self.turn), (base, origin));
                        found = packs.told(repository, of, at, assignment);
                        context::of(repository, base, origin, assignment)?
                    }
                    _ => Default::default(),
                };
                let diagnosis = assignment.diagnosis.clone().map(|diagnosis| Diagnosis {
                    log: steps::before(place, self.turn),
                    ..diagnosis
                });
                Assignment {
                    files,
                    habits,
                    defines: found.defines,
                    tests: found.tests,
                    goes_on,
                    diagnosis,
                    ..assignment.clone()
                }
                .text()
            }
            Brief::Review(case) => match (&self.case_base, &self.base) {
                (Some(base), Some(commit)) => {
                    let (diff, more) = repository.diff(base, commit, DIFF).map_err(Error::new)?;
                    let diff = String::from_utf8_lossy(&diff).into_owned();
                    Case {
                        diff,
                        more_diff: more,
                        ..case.clone()
                    }
                    .text()
                }
                _ => case.text(),
            },
        })
    }

    fn order(&self, bench: &Bench, directory: PathBuf, workspace: Epoch, brief: String) -> Order {
        let shell = match self.turn {
            Turn::Work { .. } => self.ruled.over(bench.settings.shell, self.shell_allowed),
            _ => ShellRule::Deny,
        };
        Order {
            mission: self.mission,
            nonce: self.nonce.clone(),
            turn: self.turn.to_string(),
            epoch: self.epoch,
            workspace,
            role: self.turn.role(),
            key: self.key.clone(),
            title: self.title.clone(),
            brief,
            told: self.told,
            answer: self.answer,
            tried: self.tried.clone(),
            directory,
            model: self.model.clone().or_else(|| bench.settings.model.clone()),
            shell,
            continues: self.continues.clone(),
            closed: self.closed.clone(),
            limit: left(self.limit, self.deadline, bench.clock.now()),
            silence: bench.settings.silence,
        }
    }

    /// What the workspace holds against its base, as a commit. The same content gives the same commit however often it
    /// is collected.
    fn collect(
        &self,
        place: &crate::layout::Place,
        repository: &MissionRepository,
        workspace: &Workspace,
        base: &CommitId,
    ) -> Result<mission::work::Work, Error> {
        fault::of("turn.collect before", &self.turn);
        let found = match self.taken(place, repository, workspace, base) {
            Err(error) => match error.spoiled() {
                Some(what) => return spoiled(base, repository.tree_of(base), what),
                None => return Err(Error::new(error)),
            },
            Ok(found) => found,
        };
        fault::of("turn.collect tree", &self.turn);
        let message = match self.turn {
            Turn::Work { attempt } => landing::message(self.mission, attempt, &self.what),
            _ => return Err(Error::new("only work is collected")),
        };
        let commit = repository
            .commit_attempt(base, &found.tree, &message, self.since)
            .map_err(Error::new)?;
        fault::of("turn.collect commit", &self.turn);
        // A path that moved is touched where it was, too: a test that is moved out of its runner's sight is gone.
        let changed: BTreeSet<&RepoPath> = found.touched.iter().flat_map(sides).collect();
        let changed: Vec<&RepoPath> = changed.into_iter().collect();
        let touched: Vec<String> = changed.iter().map(ToString::to_string).collect();
        let files = touched.len() as u32;
        let (tests, mut protected) = facts::of(repository, base, &commit, &self.definitions)?;
        protected.extend(found.tampering.map(|_| ".git".to_owned()));
        let note = place.lane_note(&lane_name(self.lane));
        let begun = std::fs::read_to_string(&note).unwrap_or_default();
        if !begun.ends_with(HANDED_IN) {
            // In one step: without the note it would not be known that the workspace holds this work.
            let next = note.with_extension("next");
            std::fs::write(&next, begun + HANDED_IN)
                .and_then(|()| std::fs::rename(&next, &note))
                .map_err(Error::new)?;
        }
        fault::of("turn.collect noted", &self.turn);
        Ok(mission::work::Work {
            commit,
            tree: found.tree,
            touched: touched.into_iter().take(TOUCHED).collect(),
            files,
            tests,
            protected,
        })
    }
}

/// Ends what the agent left running: it would go on writing into what is collected now, and into the next turn's
/// workspace after that.
async fn end_strays(bench: &Bench, workspace: &Workspace) -> Result<(), Error> {
    let (path, guard) = (workspace.path().to_owned(), bench.settings.guard.clone());
    blocking(move || {
        let n = workbench::guard::end_strays(&path);
        if n > 0 {
            tracing::debug!(n, "processes that an agent left running were ended");
        }
        // A shell may have killed its own guard, and left behind what the guard was there to end.
        guard.end_strays();
        Ok(())
    })
    .await
}

impl Job {
    /// The content of the workspace. What brings the manifest of a set-up may have been set up by hand already, and what
    /// that made is no work.
    fn taken(
        &self,
        place: &crate::layout::Place,
        repository: &MissionRepository,
        workspace: &Workspace,
        base: &CommitId,
    ) -> Result<workbench::workspace::Work, workbench::workspace::Error> {
        let found = repository.collect(workspace, base)?;
        let is_manifest = |touched: &Touched| {
            let name = String::from_utf8_lossy(touched.path.name()).into_owned();
            workbench::recipe::is_manifest(&name)
        };
        if !found.touched.iter().any(is_manifest) {
            return Ok(found);
        }
        match ready::learn(place, repository, workspace.path()) {
            Ok(_) => repository.collect(workspace, base),
            Err(error) => {
                tracing::warn!(%error, "what set-up makes may be taken for work");
                Ok(found)
            }
        }
    }
}

/// What is told of a workspace whose content cannot be told because of what its agent did to it: nothing but that.
fn spoiled(
    base: &CommitId,
    tree: Result<TreeId, workbench::repository::Error>,
    what: String,
) -> Result<mission::work::Work, Error> {
    Ok(mission::work::Work {
        commit: base.clone(),
        tree: tree.map_err(Error::new)?,
        touched: vec![what.clone()],
        files: 1,
        tests: TestFacts::default(),
        protected: vec![what],
    })
}

/// The paths of a change: one, or two for a file that moved.
fn sides(touched: &Touched) -> impl Iterator<Item = &RepoPath> {
    let from = match &touched.change {
        Changed::Renamed { from } => Some(from),
        _ => None,
    };
    std::iter::once(&touched.path).chain(from)
}

#[cfg(test)]
mod tests {
    use super::super::sample::{self, Sample};
    use super::*;
    use mission::ids::AttemptId;
    use mission::limits;

    fn work(sample: &Sample, attempt: &str, epoch: u64) -> Job {
        let attempt: AttemptId = attempt.parse().unwrap();
        Job {
            mission: MissionId(1),
            nonce: "n".into(),
            turn: Turn::Work { attempt },
            epoch: Epoch(epoch),
            key: None,
            title: "t".into(),
            what: "t".into(),
            answer: AnswerKind::Report,
            tried: Vec::new(),
            brief: Brief::Work(Assignment::default()),
            told: 0,
            lane: Place::Worker(1),
            base: Some(sample.base.commit.clone()),
            workers: 3,
            origin: Some(sample.base.commit.clone()),
            ahead: Vec::new(),
            from: None,
            case_base: None,
            since: sample::WHEN,
            limit: Millis::from_mins(10),
            deadline: sample::WHEN,
            definitions: BTreeSet::new(),
            works: Works::new(),
            continues: None,
            closed: Vec::new(),
            model: None,
            shell_allowed: false,
            ruled: crate::orders::Ruled::default(),
        }
    }

    /// Sets the lane up for an attempt; gives the lease that it was set up under.
    fn enter(sample: &Sample, attempt: &str, epoch: u64) -> u64 {
        let job = work(sample, attempt, epoch);
        let repository = sample.bench.repository().unwrap();
        let (place, base) = (&sample.bench.place, &sample.base.commit);
        let set = job.workspace(place, &repository, base, &[]).unwrap();
        set.1.0
    }

    #[test]
    fn an_agent_is_told_when_its_workspace_was_set_to_something_else_in_between() {
        let sample = sample::mission(&[("a.txt", "a\n")]);
        let lane = sample.bench.place.lane("worker-1");
        let begun = lane.join("begun.txt");
        assert_eq!(enter(&sample, "T1.1", 3), 3);
        std::fs::write(&begun, "half\n").unwrap();
        assert_eq!(enter(&sample, "T1.1", 3), 3, "the engine was killed");
        assert_eq!(enter(&sample, "T1.1", 5), 3, "its provider was busy");
        assert!(begun.exists(), "the agent goes on in what it has begun");
        let note = sample.bench.place.lane_note("worker-1");
        let text = std::fs::read_to_string(&note).unwrap();
        std::fs::write(&note, text + HANDED_IN).unwrap();
        assert_eq!(enter(&sample, "T1.1", 6), 3, "its reply was lost");
        assert_eq!(enter(&sample, "T2.1", 7), 7);
        assert_eq!(enter(&sample, "T1.1", 8), 8, "another had the lane");
        assert!(!begun.exists());
        std::fs::remove_file(&note).unwrap();
        assert_eq!(enter(&sample, "T1.1", 9), 9, "the mission was tidied");
        let of_old = format!("T1.1 {}", sample.base.commit);
        std::fs::write(&note, of_old).unwrap();
        assert_eq!(enter(&sample, "T1.1", 10), 0, "an earlier version did");
    }

    #[test]
    fn an_agent_has_its_whole_limit_after_set_up_and_never_more_than_its_lease() {
        let (start, limit) = (Timestamp(1_000_000), Millis::from_mins(10));
        let deadline = start + limits::SET_UP + limit + limits::TURN_GRACE;
        assert_eq!(left(limit, deadline, start + limits::SET_UP), limit);
        let late = start + limits::SET_UP + Millis::from_mins(4);
        assert_eq!(left(limit, deadline, late), Millis::from_mins(6));
        assert_eq!(left(limit, deadline, deadline), Millis(0));
    }
}
