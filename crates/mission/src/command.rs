//! What is owed, in the imperative. Commands are derived from the state and never stored; each has a name that is the
//! same before and after a crash, and performing one twice is harmless.

use crate::event::{Purpose, Turn};
use crate::gate::Gate;
use crate::ids::{AttemptId, CommitId, Digest, Epoch, TreeId};
use crate::mission::{Delivery, Mission};
use crate::terms::Deliver;
use crate::time::Timestamp;
use crate::turn::Role;
use std::collections::BTreeSet;

/// One thing that is owed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Pin the base, make the mission repository, find the gates.
    Prepare,
    /// Run the project's set-up on the base, and see what checks run with.
    SetUp,
    /// Let an agent carry a turn out.
    Turn {
        /// Which turn.
        turn: Turn,
        /// Its lease.
        epoch: Epoch,
        /// It ends then.
        deadline: Timestamp,
        /// Where it works.
        lane: u32,
    },
    /// Run a gate.
    Gate {
        /// Its lease.
        epoch: Epoch,
        /// Which gate.
        gate: Gate,
        /// On which commit.
        commit: CommitId,
        /// That commit's tree.
        tree: TreeId,
        /// Why.
        purpose: Purpose,
        /// It is given up then.
        deadline: Timestamp,
    },
    /// Put accepted attempts onto the landed line.
    Stack {
        /// Which landing.
        n: u32,
        /// The end of the line.
        onto: CommitId,
        /// The attempts with the commits that hold their work, in order.
        attempts: Vec<(AttemptId, CommitId)>,
    },
    /// Move the landed line.
    Move {
        /// Which landing.
        n: u32,
        /// From here, and only from here or from `adrift`.
        from: CommitId,
        /// Where the line may stand because of moves that were given up, and may have been made all the same.
        adrift: BTreeSet<CommitId>,
        /// To here.
        to: CommitId,
        /// The tree there.
        tree: TreeId,
    },
    /// List the files to write and keep the old ones.
    PlanDelivery {
        /// Which delivery, from 1.
        n: u32,
        /// In which form the result is handed over.
        form: Deliver,
    },
    /// Hand the result over.
    Deliver {
        /// Which delivery.
        n: u32,
        /// In which form.
        form: Deliver,
        /// The digest of the list.
        plan: Digest,
    },
    /// Take a delivery back.
    Undo {
        /// The how manieth try at taking one back, from 1.
        n: u32,
        /// Which delivery.
        delivery: u32,
    },
    /// Close a session at its host.
    CloseSession {
        /// The host's name of it.
        session: String,
        /// Whose lane it belongs to.
        role: Role,
        /// The lane's number.
        lane: u32,
    },
    /// Remove workspaces, keep what was not landed, and close all sessions.
    Clean {
        /// After which seal, from 1.
        n: u32,
    },
}

/// Steps of the engine's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Pin the base, make the mission repository, find the gates.
    Prepare,
    /// Run the project's set-up on the base.
    SetUp,
    /// Put accepted attempts onto the landed line.
    Stack,
    /// Move the landed line.
    Move,
    /// List the files to write and keep the old ones.
    PlanDelivery,
    /// Write them.
    Deliver,
    /// Take a delivery back.
    Undo,
    /// Remove workspaces and keep what was not landed.
    Clean,
}

impl Command {
    /// Its name, stable across crashes and unique among what is owed at one time.
    pub fn name(&self) -> String {
        match self {
            Self::Prepare => "prepare".into(),
            Self::SetUp => "set up".into(),
            Self::Turn { turn, epoch, .. } => format!("turn {turn} #{}", epoch.0),
            Self::Gate { gate, epoch, .. } => format!("gate {} #{}", gate.id, epoch.0),
            Self::Stack { n, .. } => format!("stack {n}"),
            Self::Move { n, .. } => format!("move {n}"),
            Self::PlanDelivery { n, .. } => format!("plan delivery {n}"),
            Self::Deliver { n, .. } => format!("deliver {n}"),
            Self::Undo { n, .. } => format!("undo {n}"),
            Self::CloseSession { session, .. } => format!("close session {session}"),
            Self::Clean { n } => format!("clean {n}"),
        }
    }

    /// The kind of command, for counting.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::SetUp => "set_up",
            Self::Turn { .. } => "turn",
            Self::Gate { .. } => "gate",
            Self::Stack { .. } => "stack",
            Self::Move { .. } => "move",
            Self::PlanDelivery { .. } => "plan_delivery",
            Self::Deliver { .. } => "deliver",
            Self::Undo { .. } => "undo",
            Self::CloseSession { .. } => "close_session",
            Self::Clean { .. } => "clean",
        }
    }
}

impl Mission {
    /// Everything that is owed right now. What it costs depends on what is in flight, not on how large the plan is:
    /// leases, one landing and the delivery are all that can be owed.
    pub fn due(&self) -> Vec<Command> {
        let mut due = Vec::new();
        if self.base().is_none() && self.outcome().is_none() {
            due.push(Command::Prepare);
        }
        if self.awaits_set_up() {
            due.push(Command::SetUp);
        }
        for (epoch, lease) in &self.leases {
            let (turn, deadline, lane) = (lease.turn, lease.deadline, lease.lane);
            due.push(Command::Turn {
                turn,
                epoch: *epoch,
                deadline,
                lane,
            });
        }
        for (epoch, run) in &self.gate_leases {
            due.push(Command::Gate {
                epoch: *epoch,
                gate: run.gate.clone(),
                commit: run.commit.clone(),
                tree: run.tree.clone(),
                purpose: run.purpose.clone(),
                deadline: run.deadline,
            });
        }
        // With the mission's end they go all at once.
        let retired = self.sessions.retired().filter(|_| self.outcome.is_none());
        due.extend(retired.map(|(name, session)| Command::CloseSession {
            session: name.to_owned(),
            role: session.role,
            lane: session.lane,
        }));
        due.extend(self.due_landing());
        let n = self.deliveries;
        match &self.delivery {
            Delivery::Wanted(form) => due.push(Command::PlanDelivery { n, form: *form }),
            Delivery::Planned { form, plan, .. } => {
                let (form, plan) = (*form, plan.clone());
                due.push(Command::Deliver { n, form, plan });
            }
            Delivery::Undoing { .. } => {
                due.extend(self.handed.last().map(|handed| Command::Undo {
                    n: self.undos,
                    delivery: handed.n,
                }));
            }
            Delivery::None | Delivery::Refused | Delivery::Done { .. } | Delivery::Undone => {
                if self.outcome().is_some() && !self.cleaned {
                    due.push(Command::Clean { n: self.seals });
                }
            }
        }
        due
    }

    fn due_landing(&self) -> Option<Command> {
        let landing = self.landing.as_ref()?;
        match &landing.top {
            None => {
                let work =
                    |attempt: &AttemptId| Some((*attempt, self.work(*attempt)?.commit.clone()));
                let attempts = landing.attempts.iter().filter_map(work).collect();
                Some(Command::Stack {
                    n: landing.n,
                    onto: landing.onto.clone(),
                    attempts,
                })
            }
            Some((to, tree)) if self.landing_is_green() => Some(Command::Move {
                n: landing.n,
                from: landing.onto.clone(),
                adrift: self.adrift.clone(),
                to: to.clone(),
                tree: tree.clone(),
            }),
            Some(_) => None,
        }
    }
}
