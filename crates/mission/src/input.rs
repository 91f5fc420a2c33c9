//! What the world tells a mission. Nothing here is believed because of who says it: replies name their lease.

use crate::gate::{Gate, GateRun};
use crate::ids::{CommitId, Digest, Epoch, TaskId, TreeId};
use crate::landing::Stacked;
use crate::question::{Answered, QuestionId};
use crate::terms::Deliver;
use crate::todo::{EditRefused, TodoEdit};
use crate::turn::Outcome;
use crate::work::{Base, Work};

/// Something that happened outside, or that somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Time passed.
    Tick,
    /// An engine takes the mission over, or the machine slept. It is the first thing that a mission is told by an engine: no
    /// deadline strikes because of time in which nobody could do anything about it.
    Woke {
        /// When an engine is known to have run it last, if that is later than its last event.
        seen: Option<crate::time::Timestamp>,
    },
    /// The machine was looked at.
    Sampled {
        /// What was seen.
        sample: crate::schedule::Sample,
    },
    /// The base is pinned and looked at.
    Prepared {
        /// The base.
        base: Base,
        /// The project's gates.
        gates: Vec<Gate>,
        /// What a person should know of it.
        notes: Vec<String>,
    },
    /// The project's set-up has run on the base.
    SetUp {
        /// What evidence depends on besides the tree.
        environment: Digest,
        /// What a person should know of it.
        notes: Vec<String>,
    },
    /// A step of the engine's own cannot be done, however often it is tried.
    StepFailed {
        /// Which.
        step: crate::command::Step,
        /// The number of its command: of the landing, the delivery, the undo or the seal; 0 for preparing and set-up.
        n: u32,
        /// Why, and what would mend it.
        why: String,
    },
    /// An agent's turn ended.
    TurnReplied {
        /// Its lease.
        epoch: Epoch,
        /// How.
        outcome: Outcome,
        /// What the workspace holds, for a Worker that says it is done.
        work: Option<Work>,
    },
    /// An agent's turn has used so much by now.
    TurnUsed {
        /// Its lease.
        epoch: Epoch,
        /// What it used so far.
        usage: crate::turn::Usage,
    },
    /// The agents' host says which model it asks, and how much that may write.
    ModelNamed {
        /// The turn's lease.
        epoch: Epoch,
        /// The model, as `provider/model`.
        model: String,
        /// The most tokens of one answer, where the host says so.
        output: Option<u64>,
    },
    /// A turn was not begun: what it would have been asked of refused somebody else.
    Held {
        /// Its lease.
        epoch: Epoch,
        /// The provider, or the model as `provider/model`.
        name: String,
        /// It may be asked again after so long.
        wait: crate::time::Millis,
        /// Why.
        why: String,
        /// What the turn had used, where it had begun before the engine ended that ran it.
        usage: crate::turn::Usage,
    },
    /// A turn waits in its session for a provider that refuses, and goes on by itself.
    Waits {
        /// Its lease.
        epoch: Epoch,
        /// For so long.
        wait: crate::time::Millis,
        /// What the provider said.
        why: String,
    },
    /// An agent goes nowhere in its turn.
    Strayed {
        /// Its lease.
        epoch: Epoch,
        /// How.
        strayed: crate::stagnation::Strayed,
        /// What it has used by now.
        usage: crate::turn::Usage,
    },
    /// What a running Worker has changed does not merge with what lies ahead of it.
    Clashed {
        /// Its lease.
        epoch: Epoch,
        /// What was found.
        clash: crate::foresight::Clash,
    },
    /// An agent has been told what a person said while its turn ran.
    TurnTold {
        /// Its lease.
        epoch: Epoch,
        /// The number of what was said.
        n: u32,
    },
    /// A gate ran.
    GateRan {
        /// Its lease.
        epoch: Epoch,
        /// The evidence.
        run: GateRun,
    },
    /// The machine could not run a gate.
    GateLost {
        /// Its lease.
        epoch: Epoch,
        /// Why.
        why: String,
    },
    /// A stack stands.
    Stacked {
        /// Which landing.
        n: u32,
        /// What became of each attempt.
        results: Vec<Stacked>,
    },
    /// The landed line is now here.
    Moved {
        /// Which landing.
        n: u32,
        /// Where the line ends.
        commit: CommitId,
        /// That commit's tree.
        tree: TreeId,
    },
    /// The files of a delivery are listed and their old bytes kept.
    DeliveryPlanned {
        /// Which delivery.
        n: u32,
        /// The digest of the list.
        plan: Digest,
        /// How many files.
        files: u32,
    },
    /// The result was handed over.
    Delivered {
        /// Which delivery.
        n: u32,
        /// Where, in words.
        place: String,
        /// How many files.
        files: u32,
    },
    /// It was not, and nothing was written.
    DeliveryRefused {
        /// Which delivery.
        n: u32,
        /// Why.
        why: String,
        /// What to type instead.
        hint: String,
    },
    /// A delivery was taken back.
    Undone {
        /// Which try at taking one back.
        n: u32,
        /// Paths that were left.
        left: Vec<String>,
    },
    /// Workspaces are gone.
    Cleaned {
        /// After which seal.
        n: u32,
        /// Pieces of work that were kept.
        rescued: u32,
        /// Why sessions could not be closed; empty where all were.
        sessions_left: String,
    },
    /// An agent's turn is carried out in this session of its host.
    SessionNamed {
        /// Its lease.
        epoch: Epoch,
        /// The host's name of it.
        session: String,
    },
    /// A session is gone at the host, or could not be closed.
    SessionClosed {
        /// The host's name of it.
        session: String,
        /// Why it is not; empty where it is.
        left: String,
    },
    /// An agent may not decide something by itself.
    Question {
        /// Its turn's lease.
        epoch: Epoch,
        /// The engine's name for the request.
        token: u64,
        /// What kind of thing.
        kind: String,
        /// In words.
        text: String,
        /// To choose from.
        choices: Vec<String>,
    },
    /// Somebody answered a request of an agent where the agent's host shows it. It is closed with that, whatever there
    /// was to choose from.
    AnsweredElsewhere {
        /// The turn's lease, and the engine's name for the request.
        request: (Epoch, u64),
        /// The answer, and where it was given.
        said: Answered,
    },
    /// Somebody answers a question.
    Answer {
        /// Which.
        id: QuestionId,
        /// The answer.
        text: String,
        /// Who.
        by: String,
    },
    /// Somebody changes the TODO.
    Edit {
        /// The change, with the version that they saw.
        edit: TodoEdit,
        /// Who.
        by: String,
    },
    /// Somebody wants no more turns to begin for now.
    Pause {
        /// Who.
        by: String,
    },
    /// Somebody tells the agents something more.
    Steer {
        /// The task that it is about; of all where there is none.
        task: Option<TaskId>,
        /// The words.
        text: String,
        /// Who.
        by: String,
    },
    /// Somebody changes the plan.
    EditPlan {
        /// How.
        edit: crate::plan::PlanEdit,
        /// The version of the plan that they saw.
        saw: u64,
        /// Who.
        by: String,
    },
    /// Somebody wants a task tried again, whatever became of it or is being done about it.
    Retry {
        /// Which.
        task: TaskId,
        /// What whoever tries it should know; empty for nothing more.
        note: String,
        /// Who.
        by: String,
    },
    /// Somebody does not want a task done.
    Skip {
        /// Which.
        task: TaskId,
        /// Why.
        why: String,
        /// What becomes of those that need it.
        dependents: crate::steering::Dependents,
        /// Who.
        by: String,
    },
    /// Somebody wants a task to start sooner or later than it would.
    Prioritise {
        /// Which.
        task: TaskId,
        /// Its class from now on.
        priority: crate::plan::Priority,
        /// Who.
        by: String,
    },
    /// Somebody ends the mission; its work is kept.
    Cancel {
        /// Who.
        by: String,
    },
    /// Somebody ends the mission and wants nothing touched any more: workspaces stay as they are.
    Abort {
        /// Who.
        by: String,
    },
    /// Somebody lets a paused or a sealed mission go on. A paused one goes on as it was.
    Resume {
        /// Who.
        by: String,
        /// Tokens added to its budget.
        more_tokens: u64,
        /// Money added to it, in millionths of a US dollar; where it had no limit there is none after it either.
        more_money: u64,
        /// Whether what is left is planned anew.
        replan: bool,
    },
    /// Somebody wants the result.
    Deliver {
        /// In which form.
        form: Deliver,
    },
    /// Somebody wants a delivery taken back.
    Undo {
        /// Who.
        by: String,
    },
}

/// What came of an input. It is told to whoever gave the input, and only once its events are durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It took effect.
    Done,
    /// It meant nothing: late, doubled or of an old lease. Nothing changed.
    Stale,
    /// It was not done.
    Refused(Refusal),
}

/// Why somebody's wish was not done. Nothing of it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The TODO has another version or no such line.
    #[error(transparent)]
    Edit(#[from] EditRefused),
    /// There is no such open question.
    #[error("{0} is not open; `orchestrator status` lists the open questions")]
    NoQuestion(QuestionId),
    /// The answer is not among the choices.
    #[error("{id} takes one of: {}", .choices.join(", "))]
    NoChoice {
        /// Which question.
        id: QuestionId,
        /// The choices.
        choices: Vec<String>,
    },
    /// The mission is over.
    #[error("the mission is over: it is {0}")]
    Over(crate::seal::Outcome),
    /// The mission is not over yet.
    #[error(
        "the mission is not over; wait for its end (`orchestrator resume` if nobody runs it), or end it with `orchestrator cancel`"
    )]
    Running,
    /// The mission winds down.
    #[error("the mission is ending; wait for its end, then `orchestrator resume`")]
    Ending,
    /// A pause ends with nothing but its end.
    #[error(
        "the mission is paused and goes on as it was: resume it without more tokens and without a new plan"
    )]
    Paused,
    /// A note without a word.
    #[error("there is nothing to tell; write what the agents should know")]
    NothingSaid,
    /// A note that is too long.
    #[error(
        "that is more than {0} bytes; say it shorter, or write it into a file of the project and name the file"
    )]
    TooMuchSaid(usize),
    /// More notes than a mission takes.
    #[error("{0} notes have been given, and a mission takes no more; cancel it and ask anew")]
    SaidEnough(usize),
    /// There is no such task.
    #[error("there is no task {0}; `orchestrator show` lists the tasks")]
    NoTask(TaskId),
    /// Nobody works on it any more.
    #[error(
        "{0} has landed, and nobody works on it any more; say it to all, or ask for a new mission"
    )]
    TaskLanded(TaskId),
    /// There is nothing yet that could be changed.
    #[error(
        "its plan is not written yet; say this again once it stands (`orchestrator status` tells)"
    )]
    NoPlan,
    /// Somebody was faster.
    #[error(
        "the plan was changed meanwhile: you saw version {saw}, it is version {now}; look at it with `orchestrator plan`, and repeat the change"
    )]
    PlanChanged {
        /// The version that they saw.
        saw: u64,
        /// The plan's version.
        now: u64,
    },
    /// What would come of it is no plan.
    #[error("the plan stays as it is: {}", .0.join("; "))]
    PlanFaults(Vec<String>),
    /// A task that is not as the plan has it any more.
    #[error(
        "{0} has begun or is over (it is {1}), and only what has not begun is changed; steer it, or `orchestrator skip {0}` and add another task"
    )]
    Begun(TaskId, &'static str),
    /// A task that others need.
    #[error(
        "{id} is needed by {}: drop those first or let them need something else (`orchestrator plan set`), or leave it out with `orchestrator skip {id}`",
        .by.iter().map(TaskId::to_string).collect::<Vec<_>>().join(", ")
    )]
    StillNeeded {
        /// Which.
        id: TaskId,
        /// Those that need it.
        by: Vec<TaskId>,
    },
    /// A task that is done.
    #[error("{0} has landed and is done; to change what it did, ask for a new mission")]
    DoneAlready(TaskId),
    /// A task that may be done at any moment.
    #[error(
        "{0} is landing at this moment; look with `orchestrator show`, and say it again if it has not landed then"
    )]
    LandsNow(TaskId),
    /// A task that nobody has tried yet.
    #[error(
        "{0} has not begun, so there is nothing to try again; tell whoever will work on it with `orchestrator steer --task {0}`"
    )]
    NotBegun(TaskId),
    /// A task that asks a person.
    #[error("{0} asks you; answer it: `orchestrator status` shows its question")]
    AsksYou(TaskId),
    /// A task that will not start again by itself.
    #[error("{0} is {1} and starts no more; `orchestrator retry {0}` has it tried again")]
    StartsNoMore(TaskId, &'static str),
    /// A skip without a word.
    #[error("say why it is skipped: the summary and those who work without it are told")]
    NoReason,
    /// A task that others wait for.
    #[error(
        "{id} is needed by {}: skip those too (`--with-dependents`), or let them run without it (`--run-dependents`)",
        .waiting.iter().map(TaskId::to_string).collect::<Vec<_>>().join(", ")
    )]
    Needed {
        /// Which.
        id: TaskId,
        /// Those that wait for it.
        waiting: Vec<TaskId>,
    },
    /// The mission is over, and what is wanted can be had once it goes on.
    #[error(
        "the mission is over: it is {0}; let it go on with `orchestrator resume`, and say this again"
    )]
    OverFirst(crate::seal::Outcome),
    /// There is nothing to go on with.
    #[error("nothing is left to do: {0}")]
    NothingLeft(&'static str),
    /// Nothing has landed.
    #[error("nothing has landed, so there is nothing to deliver")]
    NothingLanded,
    /// A delivery is under way or done.
    #[error("{0}")]
    Delivery(&'static str),
}
