//! How to talk to coding agents: OpenCode over HTTP, or a script.
//!
//! One trait, [`Agent`], and one contract suite that every implementation passes. An agent is handed an [`Order`] and
//! answers through a [`Watcher`]; it never sees a mission, a plan or another agent's order.

pub mod answer;
pub mod brief;
#[cfg(feature = "contract")]
pub mod contract;
pub mod opencode;
pub mod scripted;

use futures_util::future::BoxFuture;
use mission::ids::{Epoch, MissionId};
use mission::limits;
use mission::question::{QUESTION, permit};
use mission::stagnation::Act;
use mission::time::Millis;
use mission::turn::{AnswerKind, Outcome, Role, Usage};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// One turn that an agent is to carry out.
#[derive(Clone, Debug)]
pub struct Order {
    /// The mission that the turn belongs to.
    pub mission: MissionId,
    /// Tells missions of different stores apart; part of every name that reaches the agent's host.
    pub nonce: String,
    /// The turn's name, stable across crashes: `intent.1`, `plan.2`, `T3.2`, `T3.2/review.1`.
    pub turn: String,
    /// The lease under which it runs. A host that already knows a turn of this name, in this same workspace, goes on
    /// with it; what it used under earlier leases was told then and is not told again.
    pub epoch: Epoch,
    /// The lease under which the workspace was last set to something. When it is another one than before, nothing that
    /// was done there before is there any more, and the turn begins anew.
    pub workspace: Epoch,
    /// Who is asked.
    pub role: Role,
    /// The name of the task in the plan, for a Worker or a Reviewer.
    pub key: Option<String>,
    /// One line for lists that a person sees.
    pub title: String,
    /// What the agent is told this time; the role's standing instructions are the agent's own affair.
    pub brief: String,
    /// The number of the last that people said which the brief holds; 0 where they have said nothing.
    pub told: u32,
    /// What it must answer with.
    pub answer: AnswerKind,
    /// What was tried before, as those who tried it say. A diagnosis has to name something else.
    pub tried: Vec<String>,
    /// The workspace; the agent works there and nowhere else.
    pub directory: PathBuf,
    /// The model, as `provider/model`; `None` leaves it to the host.
    pub model: Option<String>,
    /// What a shell command of this agent needs.
    pub shell: ShellRule,
    /// A turn of the same role whose conversation this one goes on with, such as the plan that is being repaired.
    pub continues: Option<String>,
    /// The host's names of sessions that are being closed: nothing is begun in them any more.
    pub closed: Vec<String>,
    /// The turn is over after this long, whatever it does.
    pub limit: Millis,
    /// The turn is over after nothing was heard of the agent for this long.
    pub silence: Millis,
}

/// Sessions of a mission that are to be closed at their host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    /// The mission that they belong to.
    pub mission: MissionId,
    /// Tells missions of different stores apart.
    pub nonce: String,
    /// The workspaces that they worked in.
    pub directories: Vec<PathBuf>,
    /// Only the one of this name; all of the mission's where none is said.
    pub only: Option<String>,
}

/// What a question about a shell command is about.
pub const SHELL: &str = "bash";

/// The answers to a request of some kind. Whoever may run one command in a workspace may do there what he likes, so that
/// may be allowed for longer; anything else is asked each time.
pub(crate) fn choices(kind: &str) -> Vec<String> {
    let choices: &[&str] = match kind {
        SHELL => &[permit::ONCE, permit::MISSION, permit::PROJECT, permit::DENY],
        QUESTION => &[],
        _ => &[permit::ONCE, permit::DENY],
    };
    choices.iter().map(|choice| (*choice).to_owned()).collect()
}

/// Whether an agent may run shell commands in its workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShellRule {
    /// It may.
    Allow,
    /// Each command is put to [`Watcher::ask`], but one that only looks at files of its workspace.
    Ask,
    /// Each command is put to [`Watcher::ask`]: there are rules that tell some from others.
    AskEach,
    /// It may not; it is told so.
    Deny,
}

/// A sign of life, for people who watch. Untrusted text: escape it where it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The host gave the turn a session.
    Session(String),
    /// What the agent is doing: a file that it reads or writes, a command that it runs.
    Doing(String),
    /// A step that it has finished: numbers that stand for what it did, and the step in one line.
    Did(Act, String),
    /// Nothing has been heard of it for so long; half of what it may be silent for is over.
    Quiet(Millis),
    /// What the turn has used so far.
    Used(Usage),
    /// Its provider refuses or fails, and its host asks again by itself.
    Waiting {
        /// What the provider said.
        cause: String,
        /// For how long it waits before that.
        at_most: Millis,
        /// It said nothing of a limit: its model fails, and others may be served.
        outage: bool,
    },
}

/// Something that an agent may not decide by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What is asked, in one line: `run: npm install left-pad`.
    pub text: String,
    /// The answers to choose from; empty where any text will do.
    pub choices: Vec<String>,
    /// What kind of thing it is about (`bash`, `external_directory`, `question`), for policies.
    pub about: String,
    /// The host's own name of the request, where it has one: two requests may have the same text.
    pub request: Option<String>,
}

/// The highest number of what the engine itself tells an attempt: that it goes nowhere, and behind that what its work
/// would not merge with.
pub const NUDGES: u32 = TOLD_IN_TURN + limits::FORESEEN;
/// The highest number of what says that a turn goes nowhere: of silence, and of everything else.
pub const TOLD_IN_TURN: u32 = limits::NUDGES + limits::NUDGES_MOST;

/// What a person said to a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Its number in the mission, from 1.
    pub n: u32,
    /// The words.
    pub text: String,
}

/// What a person or a policy answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Go on, this once.
    Allow,
    /// No, and why.
    Deny(String),
    /// The answer to a question.
    Text(String),
}

/// Where an agent tells how its turn goes. The engine's side of a turn.
pub trait Watcher: Send + Sync {
    /// Tells a sign of life.
    fn sign(&self, sign: Sign);

    /// Asked before the first call of a turn, with the model that it goes to: whether that may be asked now. If not, the
    /// turn is over without a reply, and nothing was asked. `output` is the most tokens that the model writes in one answer,
    /// where the host says so.
    fn may_ask(&self, model: &str, output: Option<u64>) -> BoxFuture<'_, bool>;

    /// Puts a question to a person or a policy. It is always answered within the inbox's own deadline.
    fn ask(&self, question: Question) -> BoxFuture<'_, Reply>;

    /// All that people have said to the turn by now, oldest first, what its brief holds included.
    fn notes(&self) -> Vec<Note>;

    /// Waits until people have said something after the one with this number; for ever where nobody does.
    fn more_notes(&self, after: u32) -> BoxFuture<'static, ()>;

    /// Tells that a note stands where the agent reads it next. May be told more than once.
    fn noted(&self, n: u32);

    /// What the engine itself tells the turn: that it goes nowhere, or what its work will not merge with. Each has a number
    /// of its own in the attempt. It is no note of a person's, and reaches the agent at its next step, once.
    fn nudges(&self) -> Vec<Note> {
        Vec::new()
    }

    /// Waits until there is one with none of these numbers; for ever where there is none.
    fn more_nudges(&self, _known: BTreeSet<u32>) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    /// Tells that a question was answered elsewhere, where the agent's host shows it to people as well. Whoever was asked
    /// need not answer any more; the answer is for the record.
    fn settled(&self, question: &Question, answer: &str);

    /// Tells how the turn ended. A host that answers late or twice may call it so: replies name their lease, and a
    /// stale one means nothing.
    fn reply(&self, outcome: Outcome);
}

/// A host of coding agents.
pub trait Agent: Send + Sync {
    /// What people call it: `opencode 1.18.33`, `scripted`.
    fn name(&self) -> String;

    /// Carries a turn out, or goes on with it if the host already knows it: first ask the world, then act.
    ///
    /// What people say meanwhile reaches the agent at its next step, each once, and at the latest before its answer is
    /// taken. So does a nudge, unless the turn ends before.
    ///
    /// Ends after [`Watcher::reply`] was called, or without it when `stop` was cancelled or the model may not be asked;
    /// then nothing of the turn runs on.
    fn run(
        &self,
        order: Order,
        watcher: Arc<dyn Watcher>,
        stop: CancellationToken,
    ) -> BoxFuture<'_, ()>;

    /// Whether its sessions stay when their turns are over, so that somebody has to close them.
    fn keeps_sessions(&self) -> bool {
        false
    }

    /// Closes sessions in which no turn runs, and tells how many there were. Closing what is gone already is no failure.
    fn close_sessions(&self, _closing: Closing) -> BoxFuture<'_, Result<u32, String>> {
        Box::pin(std::future::ready(Ok(0)))
    }

    /// Ends all that the host runs. Called once, last.
    fn close(&self) -> BoxFuture<'_, ()>;
}
