//! A task and where it is on its way.

use crate::event::Rejection;
use crate::governor::Singled;
use crate::ids::{AttemptId, CommitId, Digest, Epoch, TaskId, TreeId};
use crate::plan::Task;
use crate::question::QuestionId;
use crate::split::Cut;
use crate::stagnation::{Stray, Stuck};
use crate::time::{Millis, Timestamp};
use crate::turn::Report;
use crate::work::Work;

/// Where a task is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Tasks that it needs have not landed.
    Waiting {
        /// How many.
        left: u32,
    },
    /// It may start as soon as a slot is free.
    Ready,
    /// It waits for time to pass; no attempt is lost by it.
    Parked {
        /// Until then.
        until: Timestamp,
        /// For what.
        why: String,
    },
    /// A Worker has it.
    Working {
        /// Under this lease.
        epoch: Epoch,
    },
    /// Its acceptance commands run.
    Checking,
    /// It is stuck, and the Planner is asked to cut it anew.
    Splitting {
        /// Not before then.
        from: Timestamp,
    },
    /// It waits for a Reviewer.
    Judging {
        /// Not before then.
        from: Timestamp,
    },
    /// A Reviewer has it.
    Reviewing {
        /// Under this lease.
        epoch: Epoch,
    },
    /// A person is asked about it.
    Asking {
        /// With this question.
        question: QuestionId,
    },
    /// Accepted, it waits in the merge queue.
    Queued,
    /// It is being landed.
    Landing,
    /// It is done: what it changed is on the landed line.
    Landed,
    /// It will not be done.
    Failed {
        /// Why.
        why: String,
    },
    /// Reviewer and gates do not agree, and nobody decided.
    Disputed,
    /// A person does not want it done.
    Skipped {
        /// Who, and why.
        why: String,
        /// Whether those that need it are carried out without it.
        without: bool,
    },
}

impl State {
    /// Whether it will not change any more by itself.
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Landed | Self::Failed { .. } | Self::Disputed | Self::Skipped { .. }
        )
    }

    /// One word for lists.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Waiting { .. } => "waiting",
            Self::Ready => "ready",
            Self::Parked { .. } => "parked",
            Self::Working { .. } => "working",
            Self::Checking => "checking",
            Self::Splitting { .. } => "splitting",
            Self::Judging { .. } => "judging",
            Self::Reviewing { .. } => "reviewing",
            Self::Asking { .. } => "asking",
            Self::Queued => "queued",
            Self::Landing => "landing",
            Self::Landed => "landed",
            Self::Failed { .. } => "failed",
            Self::Disputed => "disputed",
            Self::Skipped { .. } => "skipped",
        }
    }
}

/// A task and all that has happened to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskState {
    /// What is to be done.
    pub task: Task,
    /// Where it is on its way.
    pub state: State,
    /// The weight of the longest path from its start to the end of the mission.
    pub path: u64,
    /// Tasks that need this one.
    pub needed_by: Vec<TaskId>,
    /// The number of the current attempt; 0 before the first.
    pub n: u32,
    /// The first lease of that attempt.
    pub(crate) began: Epoch,
    /// Whether that attempt ended by the agent's fault, so that the next start is another attempt.
    pub spent: bool,
    /// Attempts that ended by the agent's fault.
    pub tries: u32,
    /// Turns that the host failed in a row.
    pub faults: u32,
    /// Whether the last one was, so that the same attempt goes on without whoever carried it out.
    pub(crate) orphaned: bool,
    /// Turns that this machine failed in a row.
    pub machine: u32,
    /// Refusals by the provider in a row.
    pub refusals: u32,
    /// How often in a row while others were served; nothing of most.
    pub(crate) singled: Option<Box<Singled>>,
    /// How often it came back from the merge queue with a conflict.
    pub conflicts: u32,
    /// Reviews that rejected with green gates.
    pub review_rejections: u32,
    /// Reviewing turns of the current attempt.
    pub reviews: u32,
    /// Reviewing turns of the current attempt that failed in a row.
    pub review_faults: u32,
    /// The lane that it was last in.
    pub lane: Option<u32>,
    /// The lane that it belongs to before it was in one: that of the task that made it ready.
    pub home: Option<u32>,
    /// What the current attempt stands on.
    pub base: Option<(CommitId, TreeId)>,
    /// Work that the next attempt goes on with.
    pub from: Option<CommitId>,
    /// What the current attempt handed in.
    pub work: Option<Work>,
    /// What its Worker said.
    pub report: Option<Report>,
    /// The environment in which its acceptance commands were green on the current attempt's own tree.
    pub proved_in: Option<Digest>,
    /// Why earlier attempts were turned down, oldest first.
    pub history: Vec<(AttemptId, Rejection)>,
    /// Whether its attempts get anywhere, and what was done where they do not.
    pub stuck: Stuck,
    /// What it was cut into, or is a piece of.
    pub(crate) cut: Option<Box<Cut>>,
    /// Hints that people gave, and for an `ask` its answer.
    pub notes: Vec<String>,
    /// The attempt that a person last had thrown away.
    pub again: Option<u32>,
    /// Whether the result was found again instead of being worked for.
    pub reused: bool,
    /// What the attempt that runs was told because it went nowhere, in all its leases: see [`crate::mission::Lease`].
    pub(crate) nudged: Vec<(Stray, String)>,
    /// When it first started.
    pub started: Option<Timestamp>,
    /// Whether it was the only task then: what it may use is not halved by others that are added.
    pub alone: bool,
    /// When it came to its final state.
    pub ended: Option<Timestamp>,
    /// When that was in the mission's own time, which goes on while an engine runs it and it is not paused: when the task
    /// first started, and when it came to its final state.
    pub(crate) span: (Option<Millis>, Option<Millis>),
    /// How long Workers worked at the current attempt; nothing where nobody ran the mission meanwhile.
    pub(crate) worked: Option<Millis>,
    /// Tokens that it was charged for.
    pub tokens: u64,
    /// The same in money, in millionths of a US dollar; nothing where no price is known.
    pub money: u64,
    /// The tokens that do not count against what one task may use: a person let it go on after them.
    pub forgiven: u64,
}

impl TaskState {
    /// One that waits for what it needs.
    pub(crate) fn new(task: Task) -> Self {
        let left = task.needs.len() as u32;
        Self {
            task,
            state: State::Waiting { left },
            path: 0,
            needed_by: Vec::new(),
            n: 0,
            began: Epoch(0),
            spent: true,
            tries: 0,
            faults: 0,
            orphaned: false,
            machine: 0,
            refusals: 0,
            singled: None,
            conflicts: 0,
            review_rejections: 0,
            reviews: 0,
            review_faults: 0,
            lane: None,
            home: None,
            base: None,
            from: None,
            work: None,
            report: None,
            proved_in: None,
            history: Vec::new(),
            stuck: Stuck::default(),
            cut: None,
            notes: Vec::new(),
            again: None,
            reused: false,
            nudged: Vec::new(),
            started: None,
            span: (None, None),
            worked: Some(Millis(0)),
            alone: false,
            ended: None,
            tokens: 0,
            money: 0,
            forgiven: 0,
        }
    }

    /// What it was cut into, or is a piece of; nothing of most.
    pub fn cut(&self) -> &Cut {
        self.cut.as_deref().unwrap_or(&crate::split::NONE)
    }

    pub(crate) fn cut_mut(&mut self) -> &mut Cut {
        self.cut.get_or_insert_default()
    }

    /// The current attempt's name.
    pub fn attempt(&self) -> AttemptId {
        AttemptId {
            task: self.task.id,
            n: self.n,
        }
    }

    /// Whether nobody has begun with it since it was planned or a person had it tried anew.
    pub(crate) fn is_unbegun(&self) -> bool {
        self.n == 0 || self.again == Some(self.n)
    }

    /// Whether it does not start before what it needs has landed: one that was begun goes on, though a task that it needs
    /// is taken up again.
    pub(crate) fn waits_for_its_needs(&self) -> bool {
        let is_ready = matches!(self.state, State::Ready);
        matches!(self.state, State::Waiting { .. }) || (is_ready && self.is_unbegun())
    }

    /// The name of the attempt that starts next: another one where the current one was used up.
    pub(crate) fn next(&self) -> AttemptId {
        AttemptId {
            task: self.task.id,
            n: self.n + u32::from(self.spent),
        }
    }
}
