//! What has happened, in the past tense. The only type of the core that is stored.

mod ending;
mod name;
mod purpose;
mod turn;

use crate::gate::{Gate, GateRun};
use crate::ids::{AttemptId, CommitId, Digest, Epoch, MissionId, TaskId, TreeId};
use crate::plan::{Plan, Priority, Task};
use crate::question::{About, Answered, QuestionId};
use crate::schedule::{Short, Took};
use crate::stagnation::{Remedy, Stray};
pub use crate::stored::{DecodeError, Recorded, VERSION};
use crate::terms::{Deliver, Terms};
use crate::time::{Millis, Timestamp};
use crate::turn::{Finding, Intent, Report, Role, Usage};
use crate::work::{Base, Work};
pub use ending::{Ending, Rejection};
use name::is_nothing;
pub use purpose::Purpose;
use serde::{Deserialize, Serialize};
pub use turn::Turn;

/// What has happened to a mission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum Event {
    /// The mission began.
    Opened {
        /// Its name.
        id: MissionId,
        /// Tells it apart from missions of other stores, and seeds its jitter.
        nonce: String,
        /// The user's folder.
        project: String,
        /// What was asked for.
        request: String,
        /// Under which terms.
        terms: Terms,
        /// How long tasks took in earlier missions of the same folder.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        earlier: Vec<Took>,
    },
    /// The base is pinned, the mission repository stands, the project's gates are known.
    Prepared {
        /// The base.
        base: Base,
        /// The project's gates.
        gates: Vec<Gate>,
        /// The environment, as a mission of an earlier version notes it here; now [`Event::SetUp`] does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        environment: Option<Digest>,
        /// What a person should know of it.
        notes: Vec<String>,
    },
    /// The project's set-up has run on the base, and what checks run with is known.
    SetUp {
        /// A digest of the tools that evidence depends on, and of how workspaces are set up.
        environment: Digest,
        /// What failed.
        notes: Vec<String>,
    },
    /// The machine is short of something: only this class and those above it start; where its disk is full, nothing.
    Pressed {
        /// Of what.
        of: Short,
        /// How much of it is used.
        used: u32,
        /// The lowest class that starts.
        admits: Priority,
    },
    /// The machine is no longer short of anything that peaks and passes, or of what is named.
    Relieved {
        /// Of what; all but the disk where it is not said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        of: Option<Short>,
    },
    /// Gates judge by other tools than before: what was proved with those is proved again where it is still needed.
    EnvironmentChanged {
        /// The digest of the tools as they are now.
        environment: Digest,
    },
    /// A lease was handed out and its turn may run.
    TurnStarted {
        /// Which turn.
        turn: Turn,
        /// Its lease.
        epoch: Epoch,
        /// It ends then, whatever it does.
        deadline: Timestamp,
        /// What it may use of the token budget.
        reserved: u64,
        /// What it may use of the money, in millionths of a US dollar; 0 without a limit or a known price.
        #[serde(default, skip_serializing_if = "is_nothing")]
        money: u64,
        /// Where it works: the lane's number, from 1, apart for Workers and others.
        lane: u32,
        /// The commit that it starts from.
        base: Option<CommitId>,
        /// An earlier attempt's work that it goes on with.
        from: Option<CommitId>,
        /// The model that it is asked of because its task stagnates.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<String>,
    },
    /// A running turn goes nowhere and is told so: the words reach its agent at its next step.
    TurnNudged {
        /// Its lease.
        epoch: Epoch,
        /// The how manieth time, from 1.
        n: u32,
        /// How it goes nowhere.
        stray: Stray,
        /// What was seen of it.
        why: String,
    },
    /// What a running Worker has changed does not merge with what lies ahead of it: its agent hears so at its next step.
    ConflictForeseen {
        /// Whose.
        attempt: AttemptId,
        /// The how manieth time, from 1.
        n: u32,
        /// What it was not told of before.
        conflict: crate::foresight::Foreseen,
    },
    /// A running turn used up what it had reserved and was lent more.
    TurnLent {
        /// Its lease.
        epoch: Epoch,
        /// What it may use from now on, in all.
        reserved: u64,
        /// The same of the money.
        #[serde(default, skip_serializing_if = "is_nothing")]
        money: u64,
    },
    /// A running turn was told what a person said after it had begun: it stands where the agent reads it next.
    TurnTold {
        /// Its lease.
        epoch: Epoch,
        /// The number of what was said, from 1 in the mission.
        n: u32,
    },
    /// A turn that tried what was held is served: its provider or its model is at work again.
    TurnServed {
        /// Its lease.
        epoch: Epoch,
    },
    /// A lease ended.
    TurnEnded {
        /// Which turn.
        turn: Turn,
        /// Its lease.
        epoch: Epoch,
        /// How.
        ending: Ending,
        /// What it used.
        usage: Usage,
        /// What it counts for in the budget: the tokens used, or its whole reservation where they are unknown.
        charged: u64,
        /// What it counts for of the money: its cost, or what so many tokens cost by what was told so far.
        #[serde(default, skip_serializing_if = "is_nothing")]
        money: u64,
    },
    /// The agents' host said which model carries a role out where nothing else is said.
    ModelNamed {
        /// Which role.
        role: Role,
        /// The model, as `provider/model`.
        model: String,
    },
    /// The agents' host said how much a model writes in one answer at the most.
    ModelLimited {
        /// The model, as `provider/model`.
        model: String,
        /// So many tokens.
        output: u64,
    },
    /// A role is carried out by another model from now on.
    ModelSwitched {
        /// Which role.
        role: Role,
        /// By which; `None` for its own again.
        model: Option<String>,
        /// Why.
        why: String,
    },
    /// A provider refused. Nothing new is asked of it until it may be asked again.
    ProviderHeld {
        /// Its name; empty where nobody has named it. That of a model where it named hours, and only that one is held.
        provider: String,
        /// Until then.
        until: Timestamp,
        /// What it said.
        why: String,
        /// How often in a row; 0 where only another mission was refused.
        n: u32,
        /// The turn that waits for it in its session and goes on by itself.
        epoch: Option<Epoch>,
    },
    /// Too many turns in a row failed at one model. It is left alone for a while.
    BreakerOpened {
        /// The model; empty where nobody has named it.
        model: String,
        /// Until then.
        until: Timestamp,
        /// How the last of them failed.
        why: String,
        /// How often in a row; 0 where only another mission's turns failed.
        n: u32,
    },
    /// The Commander read the request.
    IntentRead {
        /// As what.
        intent: Intent,
    },
    /// Something came of the plan that was begun beside the Commander, from the request alone.
    PlannedAhead {
        /// The lease of its turn.
        epoch: Epoch,
        /// What.
        came: crate::ahead::Came,
    },
    /// A plan was sent back.
    PlanRefused {
        /// With these faults.
        faults: Vec<String>,
    },
    /// A plan stands.
    Planned {
        /// The plan.
        plan: Plan,
    },
    /// A person changed the plan, or the Planner cut a task that was stuck anew.
    PlanEdited {
        /// The plan's version after it.
        version: u64,
        /// Tasks that are new or not as they were.
        tasks: Vec<Task>,
        /// Tasks that are no more.
        dropped: Vec<TaskId>,
        /// Who.
        by: String,
        /// The task that is among them because it was stuck: it is done when its pieces have landed and its own commands
        /// are green on that; or, where they are not, a Worker goes on with it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        split: Option<TaskId>,
        /// Whether it is forecast to use more than before, and more than it may without a person's word: it waits for one.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        dear: bool,
    },
    /// A stuck task was not cut anew.
    SplitRefused {
        /// The task.
        task: TaskId,
        /// What is wrong with the answer, or why there is none.
        faults: Vec<String>,
        /// Whether nobody is asked again: something else is tried.
        given_up: bool,
    },
    /// A Worker handed in.
    Worked {
        /// Which attempt.
        attempt: AttemptId,
        /// What its workspace held against its base.
        work: Work,
        /// What it said.
        report: Report,
    },
    /// A task's finished result of earlier was found to fit again.
    Reused {
        /// The task.
        task: TaskId,
        /// The attempt whose result it is.
        attempt: AttemptId,
    },
    /// A gate may run.
    GateStarted {
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
    /// A gate ran.
    GateEnded {
        /// Its lease.
        epoch: Epoch,
        /// The evidence.
        run: GateRun,
    },
    /// The machine lost a gate's run; it says nothing of the tree.
    GateLost {
        /// Its lease.
        epoch: Epoch,
        /// What is known of it.
        why: String,
    },
    /// An attempt was turned down; the task is tried again, is disputed, or has failed by a later event.
    Rejected {
        /// Which attempt.
        attempt: AttemptId,
        /// By whom and why.
        rejection: Rejection,
    },
    /// A Reviewer, a policy or a person accepted an attempt; it waits in the merge queue.
    Accepted {
        /// Which attempt.
        attempt: AttemptId,
        /// Who.
        by: String,
        /// What was found all the same.
        findings: Vec<Finding>,
    },
    /// A task waits, without losing an attempt.
    Parked {
        /// The task.
        task: TaskId,
        /// Until then at the latest.
        until: Timestamp,
        /// For what.
        why: String,
    },
    /// A task stagnates: its last attempts ended alike.
    Stagnated {
        /// The task.
        task: TaskId,
        /// So many attempts in a row.
        n: u32,
        /// How they ended.
        why: String,
        /// What is done about it.
        remedy: Remedy,
        /// The other model that makes the next attempt.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<String>,
    },
    /// The Worker of a diagnosis said what it does otherwise than the attempts before.
    Diagnosed {
        /// Which attempt.
        attempt: AttemptId,
        /// What it does otherwise.
        strategy: String,
    },
    /// A task will not be done.
    TaskFailed {
        /// The task.
        task: TaskId,
        /// Why.
        why: String,
    },
    /// The Reviewer and the gates do not agree about a task, and no one decided.
    Disputed {
        /// The attempt that they disagree about.
        attempt: AttemptId,
        /// What the Reviewer found.
        findings: Vec<Finding>,
    },
    /// Accepted attempts are put onto what has landed.
    LandingStarted {
        /// Which landing, from 1.
        n: u32,
        /// The commit they are put onto.
        onto: CommitId,
        /// The attempts, in order.
        attempts: Vec<AttemptId>,
    },
    /// The stack stands.
    Stacked {
        /// Which landing.
        n: u32,
        /// What became of each attempt.
        results: Vec<crate::landing::Stacked>,
    },
    /// The stack was red, or what it stood on had moved.
    LandingFailed {
        /// Which landing.
        n: u32,
        /// The gate that was red; `None` if the landed line had moved.
        gate: Option<String>,
    },
    /// The landed line moved; every task in it is done.
    Landed {
        /// Which landing.
        n: u32,
        /// The new end of the line.
        commit: CommitId,
        /// Its tree.
        tree: TreeId,
    },
    /// A task without an agent is done.
    TaskDone {
        /// The task.
        task: TaskId,
        /// What came of it: a person's answer, or nothing.
        note: String,
    },
    /// A person is asked.
    Asked {
        /// The question's name.
        id: QuestionId,
        /// About what.
        about: About,
        /// In words.
        text: String,
        /// To choose from; empty where any text will do.
        choices: Vec<String>,
        /// What is taken when no one answers.
        default: String,
        /// When that is.
        deadline: Timestamp,
    },
    /// A question is closed.
    QuestionClosed {
        /// Which.
        id: QuestionId,
        /// How.
        answered: Answered,
    },
    /// Someone changed the TODO.
    TodoEdited {
        /// The TODO's version after it.
        version: u64,
        /// The change.
        edit: crate::todo::TodoEdit,
        /// Who.
        by: String,
    },
    /// An engine took the mission over that nobody had run for a while, or the machine slept. What may take so long, may
    /// take that much longer; what is to wait until a moment, a provider's for example, waits until that moment.
    Woke {
        /// For how long nobody ran it.
        idle: Millis,
    },
    /// No turn begins any more until it goes on.
    Paused {
        /// Who wanted it.
        by: String,
    },
    /// A paused mission goes on.
    Unpaused {
        /// Who wanted it.
        by: String,
    },
    /// A person tells the agents something more.
    Steered {
        /// The task that it is about; of all where there is none.
        task: Option<TaskId>,
        /// The words.
        text: String,
        /// Who.
        by: String,
    },
    /// A task is tried again because a person wants it, with as many attempts before it as at first.
    TaskRetried {
        /// The task.
        task: TaskId,
        /// Who wanted it.
        by: String,
    },
    /// A person does not want a task done.
    TaskSkipped {
        /// The task.
        task: TaskId,
        /// Why.
        why: String,
        /// Whether those that need it are carried out without it.
        without: bool,
        /// Who wanted it.
        by: String,
    },
    /// A person changed how soon a task is to start.
    TaskPrioritised {
        /// The task.
        task: TaskId,
        /// Its class from now on.
        priority: Priority,
        /// Who wanted it.
        by: String,
    },
    /// The mission winds down.
    CancelAsked {
        /// Who asked.
        by: String,
        /// Whether workspaces are left as they are.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        abort: bool,
    },
    /// The mission cannot go on as it is; it winds down and keeps what it has.
    Halted {
        /// Why, in words.
        why: String,
    },
    /// The mission is over.
    Sealed {
        /// How.
        outcome: crate::seal::Outcome,
        /// Why not better, in words; empty for a clean completion.
        reasons: Vec<String>,
        /// The commit that it ends on.
        commit: Option<CommitId>,
        /// That commit's tree.
        tree: Option<TreeId>,
    },
    /// A sealed mission goes on: what had failed is tried again, what had finished is kept.
    Resumed {
        /// Who asked.
        by: String,
        /// Tokens added to the budget.
        more_tokens: u64,
        /// Money added to it, in millionths of a US dollar.
        #[serde(default, skip_serializing_if = "is_nothing")]
        more_money: u64,
        /// Whether what is left is planned anew; what had finished is found again by what was asked.
        replan: bool,
    },
    /// The result is to be delivered.
    DeliverAsked {
        /// In which form.
        form: Deliver,
    },
    /// The files to write are known and their old bytes are kept.
    DeliveryPlanned {
        /// The digest of the stored list.
        plan: Digest,
        /// How many files.
        files: u32,
    },
    /// The result is in the user's hands.
    Delivered {
        /// Where, in words for people.
        place: String,
        /// How many files were written.
        files: u32,
    },
    /// Nothing was written.
    DeliveryRefused {
        /// Why.
        why: String,
        /// What a person can type to have it all the same.
        hint: String,
    },
    /// The delivery is to be taken back.
    UndoAsked {
        /// Who asked.
        by: String,
    },
    /// It was taken back.
    Undone {
        /// Paths that were left because someone had changed them since.
        left: Vec<String>,
    },
    /// It could not be taken back; what was handed over still is, as far as nobody changed it.
    UndoFailed {
        /// Why.
        why: String,
    },
    /// A turn is carried out in a session of its host: a new one, or one that is known and is gone on with.
    SessionUsed {
        /// Its lease.
        epoch: Epoch,
        /// The host's name of the session.
        session: String,
    },
    /// Nobody works in a session any more: it is to be closed at the host.
    SessionRetired {
        /// The host's name of it.
        session: String,
        /// Why.
        why: crate::sessions::Retired,
    },
    /// A session is gone at the host.
    SessionClosed {
        /// The host's name of it.
        session: String,
        /// Why it is not, where it could not be closed; it goes with the workspaces then.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        left: String,
    },
    /// Workspaces are gone and what was not landed is kept under `refs/rescue`; sessions are gone at their host.
    Cleaned {
        /// How many pieces of work were kept.
        rescued: u32,
        /// Why sessions could not be closed; empty where all were.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        sessions_left: String,
    },
    /// They could not be removed. What was not landed is still in them, until the mission's folder is removed.
    CleanFailed {
        /// Why.
        why: String,
    },
}
