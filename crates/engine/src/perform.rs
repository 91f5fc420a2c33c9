//! Performs commands. A job is plain data taken from the mission when its command starts; performing it reads the
//! mission no more. Every performer first asks the world whether its work is done already.

mod context;
mod deliver;
mod facts;
pub(crate) mod gate;
mod judges;
mod land;
mod lanes;
mod outline;
mod pack;
pub(crate) mod prepare;
mod ready;
#[cfg(test)]
pub(crate) mod sample;
mod sessions;
pub(crate) mod set_up;
mod tidy;
pub(crate) mod turn;
mod warm;
mod writing;

use crate::clock::Clock;
use crate::dispatcher::Message;
use crate::doing;
use crate::layout::Place;
use crate::orders;
use crate::providers::{Account, Providers};
use crate::room::Room;
use crate::settings::Settings;
use agents::Note;
use mission::command::{Command, Step};
use mission::event::Turn;
use mission::foresight::Foreseen;
use mission::ids::{Digest, Epoch, MissionId};
use mission::input::Input;
use mission::mission::Mission;
use mission::schedule::Place as Lane;
use mission::steering::Said;
use mission::turn::{Failure, Outcome, Usage};
pub(crate) use pack::{AHEAD, Waiting};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, OnceLock};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use workbench::git::Git;
use workbench::repository::MissionRepository;

/// What performers work with: the mission's place and the tools.
pub(crate) struct Bench {
    pub(crate) settings: Settings,
    pub(crate) place: Place,
    pub(crate) clock: Clock,
    /// Opened once: opening removes the locks that a dead engine left, and must not meet those of a living performer.
    repository: OnceLock<MissionRepository>,
    pub(crate) lanes: Arc<lanes::Lanes>,
    pub(crate) setups: ready::Setups,
    pub(crate) failed_setups: ready::FailedSetups,
    /// What evidence depends on besides the tree, as this life of the engine has found it.
    pub(crate) environment: tokio::sync::OnceCell<Digest>,
    /// What Workers are told of the mission's own base.
    pub(crate) origin: Arc<OnceLock<context::Origin>>,
    /// What was read of the files that tasks are about.
    pub(crate) packs: Arc<pack::Packs>,
    planned: deliver::PlannedIn,
    pub(crate) room: Arc<Room>,
    pub(crate) providers: Arc<Providers>,
    /// What people have said to the mission's agents, as far as it is durable.
    said: watch::Sender<Vec<Said>>,
    /// What the engine itself tells turns, as far as it is durable.
    nudges: watch::Sender<Nudges>,
    /// What the results of running Workers will have to go together with, as far as it is durable.
    sight: watch::Sender<turn::Sight>,
    /// What running Workers had in their workspaces when these were last looked at.
    glances: Arc<watch::Sender<turn::Glances>>,
}

/// What the engine itself tells each turn: the last because it goes nowhere, and each conflict that is foreseen.
pub(crate) type Nudges = BTreeMap<Epoch, Vec<Note>>;

/// A performer's line to the loop.
pub(crate) struct Line {
    pub(crate) inbox: mpsc::Sender<Message>,
    pub(crate) cancel: CancellationToken,
}

/// Why a performer failed. It is tried again, unless it is final.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct Error {
    why: String,
    is_final: bool,
    waits_for: Option<String>,
}

impl Error {
    /// A failure that another try may mend.
    pub(crate) fn new(why: impl Display) -> Self {
        Self {
            why: why.to_string(),
            is_final: false,
            waits_for: None,
        }
    }

    /// A failure that another try may mend, once something else has been done: what a person types for that.
    pub(crate) fn until(why: impl Display, done: String) -> Self {
        Self {
            waits_for: Some(done),
            ..Self::new(why)
        }
    }

    /// A failure that no other try mends: it is about what the user has, not about luck.
    pub(crate) fn lasting(why: impl Display) -> Self {
        Self {
            is_final: true,
            ..Self::new(why)
        }
    }

    pub(crate) fn is_final(&self) -> bool {
        self.is_final
    }
}

/// What is to be done, with all that is needed for it.
pub(crate) enum Job {
    Prepare(prepare::Job),
    SetUp(set_up::Job),
    Turn(Box<turn::Job>),
    Gate(Box<gate::Job>),
    Stack(land::Stack),
    Move(land::Move),
    PlanDelivery(deliver::Plan),
    Deliver(deliver::Apply),
    Undo(deliver::Undo),
    CloseSession(sessions::Job),
    Clean(tidy::Job),
}

/// The job of a command, as the mission stands now.
pub(crate) fn job(mission: &Mission, command: &Command) -> Job {
    match command {
        Command::Prepare => Job::Prepare(prepare::job(mission)),
        Command::SetUp => Job::SetUp(set_up::job(mission)),
        Command::Turn {
            turn, epoch, lane, ..
        } => Job::Turn(Box::new(orders::turn(mission, *turn, *epoch, *lane))),
        Command::Gate {
            epoch,
            gate,
            commit,
            tree,
            purpose,
            ..
        } => {
            let job = gate::job(mission, *epoch, (gate, purpose), commit, tree);
            Job::Gate(Box::new(job))
        }
        Command::Stack { n, onto, attempts } => {
            Job::Stack(land::stack(mission, *n, onto, attempts))
        }
        Command::Move {
            n,
            from,
            adrift,
            to,
            tree,
        } => Job::Move(land::Move {
            n: *n,
            from: from.clone(),
            adrift: adrift.clone(),
            to: to.clone(),
            tree: tree.clone(),
        }),
        Command::PlanDelivery { n, form } => Job::PlanDelivery(deliver::plan(mission, *n, *form)),
        Command::Deliver { n, form, plan } => {
            Job::Deliver(deliver::apply(mission, *n, *form, plan))
        }
        Command::Undo { n, delivery } => Job::Undo(deliver::undo(mission, *n, *delivery)),
        Command::CloseSession {
            session,
            role,
            lane,
        } => Job::CloseSession(sessions::job(mission, session, Lane::of(*role, *lane))),
        Command::Clean { n } => Job::Clean(tidy::job(mission, *n)),
    }
}

/// Does it. The input is told to the mission as the performer ends; a cancelled performer has none.
pub(crate) async fn perform(bench: &Bench, job: Job, line: Line) -> Result<Option<Input>, Error> {
    match job {
        Job::Prepare(job) => job.perform(bench, &line.cancel).await,
        Job::SetUp(job) => job.perform(bench, &line.cancel).await,
        Job::Turn(job) => {
            let (planned, over) = (job.planned_on(), line.cancel.child_token());
            let turn = async {
                let ended = job.perform(bench, line).await;
                over.cancel();
                ended
            };
            let ended = match planned {
                Some((base, n)) => tokio::join!(turn, warm::lanes(bench, &base, n, &over)).0,
                None => turn.await,
            };
            ended.map(|()| None)
        }
        Job::Gate(job) => job.perform(bench, line).await,
        Job::Stack(job) => job.perform(bench).await.map(Some),
        Job::Move(job) => job.perform(bench, &line.cancel).await.map(Some),
        Job::PlanDelivery(job) => job.perform(bench, &line.cancel).await.map(Some),
        Job::Deliver(job) => job.perform(bench, &line.cancel).await.map(Some),
        Job::Undo(job) => job.perform(bench, &line.cancel).await.map(Some),
        Job::CloseSession(job) => job.perform(bench).await.map(Some),
        Job::Clean(job) => job.perform(bench, &line.cancel).await.map(Some),
    }
}

/// What the mission is told when a command is given up.
pub(crate) fn give_up(command: &Command, why: &str) -> Input {
    let failed = |step, n| Input::StepFailed {
        step,
        n,
        why: why.to_owned(),
    };
    match command {
        Command::Prepare => failed(Step::Prepare, 0),
        Command::SetUp => failed(Step::SetUp, 0),
        Command::Turn { epoch, .. } => Input::TurnReplied {
            epoch: *epoch,
            outcome: Outcome::Failed {
                // No agent said how it ended: it was its performer that could not go on.
                failure: Failure::Machine,
                why: why.to_owned(),
                usage: Usage::NOTHING,
            },
            work: None,
        },
        Command::Gate { epoch, .. } => Input::GateLost {
            epoch: *epoch,
            why: why.to_owned(),
        },
        Command::Stack { n, .. } => failed(Step::Stack, *n),
        Command::Move { n, .. } => failed(Step::Move, *n),
        Command::PlanDelivery { n, .. } => failed(Step::PlanDelivery, *n),
        Command::Deliver { n, .. } => failed(Step::Deliver, *n),
        Command::Undo { n, .. } => failed(Step::Undo, *n),
        Command::CloseSession { session, .. } => Input::SessionClosed {
            session: session.clone(),
            left: why.to_owned(),
        },
        Command::Clean { n } => failed(Step::Clean, *n),
    }
}

impl Bench {
    pub(crate) fn new(settings: Settings, mission: &Mission) -> Self {
        let place = settings.layout.mission(&mission.full_name());
        let account = Account::of(&settings.environment);
        let providers = Providers::new(settings.layout.clone(), mission.id(), account);
        let providers = match mission.base() {
            Some(_) => providers.taken_up(),
            None => providers,
        };
        let clock = Clock::not_before(mission.last());
        Self {
            clock,
            said: watch::Sender::new(mission.said().to_vec()),
            nudges: watch::Sender::new(nudges(mission)),
            sight: watch::Sender::new(turn::Sight::of(mission)),
            providers: Arc::new(providers),
            ..Self::at(settings, place)
        }
    }

    /// A bench at a place of its own.
    pub(crate) fn at(settings: Settings, place: Place) -> Self {
        let lanes = lanes::of(place.root());
        // Whoever only looks at a project asks nobody.
        let account = Account::of(&settings.environment);
        let providers = Providers::new(settings.layout.clone(), MissionId(0), account);
        let room = Room::of(place.root(), settings.layout.root());
        Self {
            providers: Arc::new(providers),
            room: Arc::new(room),
            settings,
            place,
            clock: Clock::new(),
            repository: OnceLock::new(),
            lanes,
            setups: ready::Setups::default(),
            failed_setups: ready::FailedSetups::default(),
            environment: tokio::sync::OnceCell::new(),
            origin: Arc::default(),
            packs: Arc::default(),
            planned: Arc::default(),
            said: watch::Sender::default(),
            nudges: watch::Sender::default(),
            sight: watch::Sender::default(),
            glances: Arc::default(),
        }
    }

    /// Turns that run hear of what people have said since they began.
    pub(crate) fn heard(&self, mission: &Mission) {
        self.said.send_replace(mission.said().to_vec());
    }

    /// Turns hear of what the engine has to tell them.
    pub(crate) fn pushed(&self, mission: &Mission) {
        self.nudges.send_replace(nudges(mission));
    }

    /// Workers that run are held against what lies ahead of them now.
    pub(crate) fn lies_ahead(&self, mission: &Mission) {
        let now = turn::Sight::of(mission);
        self.sight.send_if_modified(|sight| {
            let differs = *sight != now;
            *sight = now;
            differs
        });
    }

    /// Notes what this engine does that no event tells, in place of what a killed one left.
    pub(crate) fn begin(&self) {
        let silence = Some(self.settings.silence);
        doing::change(&self.place, |doing| {
            (doing.silence, doing.set_up) = (silence, None);
        });
    }

    /// The mission's repository, which stands once the mission is prepared.
    pub(crate) fn repository(&self) -> Result<MissionRepository, Error> {
        if let Some(opened) = self.repository.get() {
            return Ok(opened.clone());
        }
        let git = Git::find().map_err(Error::lasting)?;
        let opened = MissionRepository::open(&git, self.place.root()).map_err(Error::new)?;
        Ok(self.repository.get_or_init(|| opened).clone())
    }

    /// Runs something that blocks, with the mission's repository.
    pub(crate) async fn with_repository<T: Send + 'static>(
        &self,
        work: impl FnOnce(&MissionRepository) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let repository = self.repository()?;
        blocking(move || work(&repository)).await
    }
}

fn nudges(mission: &Mission) -> Nudges {
    let told = |(epoch, lease): (Epoch, &mission::mission::Lease)| {
        let stray = lease.nudges().last().map(|(n, stray, why)| Note {
            n,
            text: agents::brief::nudged(stray, why),
        });
        let foreseen = match lease.turn {
            Turn::Work { attempt } => mission.foreseen(attempt),
            _ => &[],
        };
        let foreseen = (1..).zip(foreseen).map(|(n, conflict)| Note {
            n: agents::TOLD_IN_TURN + n,
            text: foretold(mission, conflict),
        });
        let all: Vec<Note> = stray.into_iter().chain(foreseen).collect();
        (!all.is_empty()).then_some((epoch, all))
    };
    mission.leases().filter_map(told).collect()
}

/// What a Worker is told of a conflict: what the other tasks are called is part of what landed.
fn foretold(mission: &Mission, conflict: &Foreseen) -> String {
    let tasks = conflict.with.iter();
    let tasks = tasks.filter_map(|attempt| mission.task(attempt.task));
    let titles: Vec<String> = tasks.map(|task| task.task.title.clone()).collect();
    let (commit, paths) = (conflict.commit.to_string(), &conflict.paths);
    agents::brief::foreseen(
        (&titles, conflict.stands()),
        &commit,
        paths,
        &conflict.excerpt,
    )
}

/// An error for whoever was given up while it waited or while its disk hung: what comes after it may be under way.
pub(crate) fn still_owed(cancel: &CancellationToken) -> Result<(), Error> {
    match cancel.is_cancelled() {
        true => Err(Error::new("it is not owed any more")),
        false => Ok(()),
    }
}

/// Runs something that blocks, away from the loop.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::new(error)),
    }
}
