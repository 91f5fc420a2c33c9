//! Every number of the core, once, each with its reason. Nothing else in this crate holds a bare limit.

use crate::time::Millis;

/// The most tasks in one plan. A plan that a person can still read; larger ones are several missions.
pub const PLAN_TASKS: usize = 200;
/// The most bytes of a plan as it arrives (256 KiB): 200 tasks with a page of text each.
pub const PLAN_BYTES: usize = 256 * 1024;
/// The longest chain of tasks that need each other. Deeper graphs have no parallelism left to gain.
pub const PLAN_DEPTH: usize = 50;
/// The lane of a Planner that begins beside the Commander, who is in the first: two agents never share a workspace.
pub const LANE_AHEAD: u32 = 2;
/// How often a faulty plan goes back with its faults before the mission fails.
pub const PLAN_REPAIRS: u32 = 2;
/// Stuck tasks of one mission that the Planner is asked to cut anew, unless its terms say otherwise: each costs a turn and
/// its pieces, and where more than a few are stuck it is the plan or the project.
pub const SPLITS: u32 = 3;
/// The most tasks that stand for one that was stuck: as many as one person keeps apart; more are another plan.
pub const PIECES: usize = 5;
/// Turns in a row that may fail at cutting a task anew before something else is tried: one failure may be chance.
pub const SPLIT_TRIES: u32 = 2;
/// The longest name that a Planner may give a task, in bytes.
pub const KEY_BYTES: usize = 64;
/// The longest title of a task, in characters: one line on a wide terminal.
pub const TITLE_CHARS: usize = 120;
/// The longest goal of a task, in bytes.
pub const GOAL_BYTES: usize = 8 * 1024;
/// The most acceptance commands of one task.
pub const ACCEPTANCE_COMMANDS: usize = 10;
/// The longest acceptance command, in bytes.
pub const COMMAND_BYTES: usize = 2 * 1024;
/// The most paths in one forecast.
pub const FORECAST_PATHS: usize = 100;
/// The longest path in a forecast, in bytes: what file systems commonly take.
pub const PATH_BYTES: usize = 1024;
/// The most resources that one task may have to itself. Whoever needs more is alone in most projects.
pub const TASK_RESOURCES: usize = 4;
/// The most different resources in one plan: what a project has once is little, and each set of them is a queue of its own.
pub const PLAN_RESOURCES: usize = 16;
/// The most slots that one task may take: with more, few others would run beside it.
pub const WEIGHT: u32 = 4;
/// The longest request, in bytes.
pub const REQUEST_BYTES: usize = 64 * 1024;

/// Workers at once, unless the user says otherwise: enough to see parallelism, few enough for a first bill.
pub const WORKERS: u32 = 3;
/// So many turns of a role run at once at a provider from the beginning, if the user allows as many. Beyond that it is
/// worked up to: nobody knows yet what the provider bears.
pub const SLOTS_FIRST: u32 = 10;
/// The fewest slots of a role at a provider: with none nothing would ever go well again.
pub const SLOTS_LEAST: u32 = 1;
/// Turns that go well in a row before their role gets a slot more at their provider: slower than slots go, so that one that
/// refuses is not tried again at once.
pub const SLOTS_GROW: u32 = 3;
/// Turns in a row that their host fails or the provider refuses before their role has a slot less there: one may be chance.
pub const SLOTS_SHRINK: u32 = 2;
/// The most Workers at once that may be asked for.
pub const WORKERS_CAP: u32 = 32;
/// So many finished attempts tell how long others take: of one or two the mean is mostly chance.
pub const LEARNED: u32 = 3;
/// So many earlier missions of the same folder tell how long tasks take in it: what was long ago was other work.
pub const EARLIER: usize = 5;
/// Of an earlier mission with more events than this nothing is learned: it is read while somebody waits for a beginning.
pub const EARLIER_EVENTS: u64 = 5_000;
/// Paths are reckoned anew when what one size of task takes against another has changed by more than one part in so many:
/// less changes hardly any order, and all tasks are looked at for it.
pub const TIPS: u128 = 10;
/// A lane more is told to gain something where it makes the mission shorter by more than one part in so many, by sizes
/// that are guesses.
pub const LANE_PAYS: u64 = 20;
/// Work that weighs no more than so many small tasks is done in one lane: setting up another one takes about as long.
pub const TINY: u64 = 3;
/// How long a task that could start waits before it rises a class: about as long as an attempt takes, so that what is
/// low runs after two, however much that is high comes after it.
pub const AGING: Millis = Millis::from_mins(15);
/// Reviewers at once. Reviews are short and must not starve the Workers of a provider's rate.
pub const REVIEWERS: u32 = 2;
/// Gates at once: two test suites on one machine make each other flaky.
pub const GATES: u32 = 1;
/// Attempts at one task that end by the agent's fault; refusals by the provider do not count.
pub const ATTEMPTS: u32 = 3;
/// Reviews of one task that may reject with all gates green before the task is disputed.
pub const REVIEW_ROUNDS: u32 = 2;
/// How often one task may come back from the merge queue with a conflict before it fails.
pub const CONFLICTS: u32 = 3;
/// The longest that one attempt may take.
pub const ATTEMPT: Millis = Millis::from_mins(60);
/// The longest that one reading, planning or reviewing turn may take.
pub const SHORT_TURN: Millis = Millis::from_mins(15);
/// A turn is not begun with less time than this: what a model needs to read its order, and a short answer.
pub const TURN_LEAST: Millis = Millis::from_mins(1);
/// A turn of which nothing was heard for this long is over.
pub const SILENCE: Millis = Millis::from_mins(5);
/// The longest that a mission may run between being started (or resumed) and its seal.
pub const MISSION: Millis = Millis(4 * 60 * 60 * 1000);
/// Tokens that a mission may use, cached ones included.
pub const TOKENS: u64 = 5_000_000;
/// Turns that may ask a model between a mission's opening (or its resume after the end) and its seal: each task of the
/// largest plan has five. Every turn is one agent, and none of them begins agents of its own, so that this bounds the
/// agents as well.
pub const TURNS: u32 = 1_000;
/// Model calls that a Worker's turn may make in a row before its host asks it for its answer. A task of an hour makes
/// about a hundred.
pub const STEPS_WORK: u32 = 200;
/// The same for every other turn, which reads and writes nothing.
pub const STEPS_SHORT: u32 = 60;
/// One task may use one part in so many of a mission's tokens where it is not the only one: whatever it does, others go
/// on.
pub const TASK_SHARE: u64 = 2;
/// What a task of each size is forecast to use while nothing is learned: a guess, and told as one. The largest is what an
/// attempt reserves at the most.
pub const FORECAST: [u64; 3] = [80_000, 200_000, 400_000];
/// What a review is forecast to use.
pub const FORECAST_REVIEW: u64 = 40_000;
/// How long a question waits for a person before its default is taken.
pub const QUESTION: Millis = Millis::from_mins(60);
/// How long a permission that an agent waits for stays open; the agent's turn stands still meanwhile.
pub const PERMISSION: Millis = Millis::from_mins(10);
/// The most questions that may be open at once; more are answered by their default.
pub const OPEN_QUESTIONS: usize = 100;

/// How often a session is used. A conversation that so many leases did not bring to its end is long, each call reads all of
/// it again, and what keeps the turn from its end may stand in it.
pub const SESSION_USES: u32 = 10;
/// For how long a session is kept in which nobody works and to which nobody comes back: somebody may still look at how it
/// ended, and providers keep what they have read of a conversation for about as long.
pub const SESSION_IDLE: Millis = Millis::from_mins(5);
/// So many of them are kept for each role: more than this nobody looks at.
pub const SESSIONS_IDLE: usize = 5;

/// Of so many models it is kept how much they write in one answer: roles and what may stand in for them name fewer, and a
/// host that names another one each time makes no state grow without end.
pub const MODELS: usize = 100;
/// The most that a turn reserves of the token budget before it starts: what such turns use at the 95th percentile of
/// ordinary work. A turn that goes past it is ended when the budget has no more to lend.
pub const RESERVE_SHORT: u64 = 100_000;
/// The same for a Worker's attempt.
pub const RESERVE_WORK: u64 = 400_000;

/// What a turn that goes past its reservation is lent at a time, so that few events tell of it.
pub const RESERVE_STEP: u64 = 50_000;

/// The first wait after a failed turn; doubled with each further one.
pub const BACKOFF_FIRST: Millis = Millis::from_secs(2);
/// The longest wait after a failed turn.
pub const BACKOFF_MOST: Millis = Millis::from_mins(2);
/// The first wait after a refusal that names no time.
pub const REFUSAL_FIRST: Millis = Millis::from_secs(5);
/// The shortest wait after a refusal, whatever the provider said.
pub const REFUSAL_LEAST: Millis = Millis::from_secs(1);
/// The longest wait after a refusal that names no time, before waits are spread: after it one more try is cheap.
pub const REFUSAL_MOST: Millis = Millis::from_mins(10);
/// The longest wait that a provider may name: quotas are reset daily, and whoever names more has no clock. More than
/// [`REFUSAL_MOST`] is believed at the second time: seconds are taken for milliseconds, and gateways name what they like.
pub const NAMED_MOST: Millis = Millis::from_mins(24 * 60);
/// What is held for longer than this is asked at once where somebody lets the mission go on: shorter waits are over before
/// he looks.
pub const ASKED_ANEW: Millis = Millis::from_mins(1);
/// So many refusals in a row are waited for as long as the provider named: it knows best. One that goes on refusing is
/// asked less and less often, whatever it names.
pub const REFUSALS_BELIEVED: u32 = 2;
/// Whoever was refused so often in a row lets others try first what is held: it may be what it asks for.
pub const REFUSED_LAST: u32 = 2;
/// For so long after a hold they may, for each time that it was refused: a turn begins within moments, and one in another
/// mission of the same account within seconds.
pub const REFUSED_STEP: Millis = Millis::from_secs(1);
/// No more than so many times that: whoever was refused without a reason of its own is not to wait for long.
pub const REFUSED_STEPS: u32 = 30;
/// One in so many of its tries comes as early as any, so that a provider which serves everybody in turn serves it as well.
pub const REFUSED_FAIR: u32 = 4;
/// So many refusals of one turn in a row, each after others at its model were served that came later, are its own fault:
/// where a provider refuses half of all calls by chance, that happens to hardly any turn.
pub const SINGLED: u32 = 5;
/// After so many of them it counts as well that it is refused where nobody else asks: others may all be done by then. Its
/// next attempt goes on from here.
pub const SINGLED_SEEN: u32 = 3;
/// The least and the most by which a wait that a provider named is made longer, so that missions do not come back at one
/// instant. Within a mission one turn comes back first, so that more would only be lost.
pub const LATE_LEAST: Millis = Millis(250);
/// The most of that.
pub const LATE_MOST: Millis = Millis::from_secs(5);
/// A turn that tries what was held is taken for one that is served after so long without a refusal: calls are refused
/// within moments, and a set-up before the first call may take long.
pub const TRIAL: Millis = Millis::from_mins(1);
/// A provider at which more turns than this may try at once, each time twice as many, is free again.
pub const TRIALS: u32 = 8;
/// So many turns in a row that their host fails open the breaker of their model: fewer may be chance.
pub const BREAKER: u32 = 5;
/// For so long a breaker is open at first; doubled each time that the turn which tries the model then fails as well.
pub const BREAKER_OPEN: Millis = Millis::from_secs(30);
/// So many turns that try a model are served before its breaker closes: one may be chance.
pub const BREAKER_CLOSES: u32 = 2;
/// Turns in a row that this machine fails, of one task, of the reading or of the planning, before the mission winds down
/// with what it has. Their waits double up to [`REFUSAL_MOST`], so that it takes a quarter of an hour: somebody may free
/// a disk meanwhile, and a resume goes on.
pub const MACHINE_TRIES: u32 = 10;
/// A provider that is held for longer than this is not waited for where the user named a model to fall back to.
pub const FALLBACK_AFTER: Millis = Millis::from_secs(60);
/// The most models to fall back to for one role. Each may be held or broken too.
pub const FALLBACKS: usize = 3;
/// Reading or planning turns that may fail before the mission does.
pub const PLANNING_TRIES: u32 = 3;
/// Reviewing turns of one attempt that may fail before the attempt is disputed for want of a judge.
pub const REVIEW_TRIES: u32 = 3;
/// Runs of one gate that the machine may lose (not the gate's own verdict) before it counts as inconclusive.
pub const GATE_TRIES: u32 = 3;
/// Times that preparing the mission or moving the landed line may fail before the mission does.
pub const STEP_TRIES: u32 = 5;

/// The most attempts that land as one stack. With gates of minutes each, larger stacks lose more to bisection.
pub const STACK: usize = 5;
/// For how long the machine has to be short of something before low classes wait: a build's peak is shorter.
pub const PRESSURE_FOR: Millis = Millis::from_secs(10);
/// The percent of memory in use above which low classes wait, and below which they start again. Above four fifths little
/// is left for one more build; the gap keeps them from starting and waiting in turns.
pub const PRESSURE_MEMORY: (u32, u32) = (80, 70);
/// The same of what wants to run, in percent of the processors. Builds beside each other make some of it everywhere.
pub const PRESSURE_PROCESSORS: (u32, u32) = (400, 300);
/// The same of the percent of ten seconds in which somebody waited for memory, as the kernel counts it: a machine that
/// pages is slower with each further task.
pub const PRESSURE_STALLED: (u32, u32) = (20, 10);
/// The same of the percent in which everything that could have run waited for a disk or for its share of the processors. A
/// build waits for them now and then; where nobody gets on, one more task only waits as well.
pub const PRESSURE_HELD_UP: (u32, u32) = (80, 70);
/// What one more workspace may take of what is free on the disk of the state directory, in percent, before none is made,
/// and below which one is again. With more than all of it a workspace fails half made; lanes that have theirs go on.
pub const PRESSURE_DISK: (u32, u32) = (100, 80);
/// The same of what any work needs there, before nothing begins. The journal, git's objects and the output of checks are
/// written to that disk too: with less than that, work in a lane that has its workspace fails and is paid for.
pub const PRESSURE_FULL: (u32, u32) = (100, 80);
/// The most workspaces that a mission's lanes have at once: one for each Worker and Reviewer that there may be, one for
/// checks, one for whoever reads and plans, and one for a Planner that begins beside the Commander. Each may be as large
/// as the project with all that it installs.
pub const WORKSPACES: u32 = WORKERS_CAP + REVIEWERS + GATES + 2;
/// A shorter time than this without an engine is none: it moves no deadline that matters, and every start of a mission
/// has one.
pub const IDLE: Millis = Millis::from_secs(2);

/// How long the first turn waits for what the checks say of the base: a person should see that before a token is spent,
/// and nobody waits longer for a slow test suite.
pub const FIRST_LOOK: Millis = Millis::from_secs(5);

/// The longest that a mission stays paused. Then it ends as if its time were over, and a resume goes on with it.
pub const PAUSE: Millis = Millis::from_mins(24 * 60);
/// The most notes that people give a mission's agents. Each is in every brief after it.
pub const SAID: usize = 20;
/// The longest of them, in bytes.
pub const SAID_BYTES: usize = 1024;

/// So often is an attempt told at most of conflicts that are foreseen, each time of other files or of something else in
/// them. Whoever runs into more of them is better off beginning anew on what has landed, as it does after the first
/// conflict in the merge queue.
pub const FORESEEN: u32 = 3;
/// So many of them may be of what others still write: one is left for what that came to.
pub const FORESEEN_AT_WORK: u32 = FORESEEN - 1;
/// The most files that one such note names, and the most attempts: more than that is not mended on the way.
pub const FORESEEN_PATHS: usize = 10;
/// The most that it shows of what the other side says there, in bytes: it is read with each request after it.
pub const FORESEEN_BYTES: usize = 2 * 1024;

/// How often a red gate is run again on the same tree before red is believed: once tells most flaky tests apart.
pub const CONFIRMATIONS: u32 = 1;

/// The longest that the set-up of a workspace may take: what a project installs. Leases of Workers and gates cover it, so
/// that it eats nobody's own time.
pub const SET_UP: Millis = Millis::from_mins(30);
/// How often a gate may run under one lease: as the base defines it, as the change does, and with the tests as they
/// were; and each of the first and the last once more where it speaks against the work, and to see whose change it is.
pub const GATE_RUNS: u64 = 6;
/// Time beyond a gate's own limit after which its run is given up: the runner did not come back.
pub const GATE_GRACE: Millis = Millis::from_secs(60);
/// Time beyond a turn's own limit after which it is given up: its host did not come back.
pub const TURN_GRACE: Millis = Millis::from_secs(30);
/// How long a delivery waits for another one into the same project: that one writes files, which takes seconds.
pub const DELIVERY_WAIT: Millis = Millis::from_mins(10);
/// The longest that one thing takes which the engine does itself, all its tries included: putting attempts onto the landed
/// line, moving it, handing over, taking back, tidying up. Each takes seconds, and may wait for another delivery; a disk
/// that hangs is what takes longer.
pub const STEP: Millis = Millis::from_mins(30);
/// What is added to that for each file that is handed over or taken back: one flush to a slow disk.
pub const STEP_FILE: Millis = Millis(100);

/// The most events that one input may make. A resume of the largest plan makes a few hundred; a journal takes this many
/// at once.
pub const STEP_EVENTS: usize = 10_000;

/// The most lines of a mission's TODO that people may add.
pub const TODO_PROPOSALS: usize = 200;
/// The longest line that people may add to a TODO, in bytes.
pub const TODO_BYTES: usize = 2 * 1024;
/// What is noted of an attempt that was not done in time, as two of them are compared.
pub const EXPIRED: &str = "it was not done in time";
/// The same of one that used up what there was to use.
pub const OVERSPENT: &str = "it used more tokens than there were";
/// The most findings that are kept of one review.
pub const FINDINGS: usize = 50;
/// The most paths that an event lists for people: files that an undo left, for example.
pub const PATHS_TOLD: usize = 200;
/// The most bytes of one list of paths of a piece of work that an event keeps. Eight such lists fit an event.
pub const PATH_LIST_BYTES: usize = 64 * 1024;
/// The most reasons for an outcome that a seal lists: more than a person reads.
pub const REASONS: usize = 100;
/// The longest free text of an agent that an event keeps, in bytes; the rest is cut and said to be.
pub const TEXT_BYTES: usize = 8 * 1024;

/// So many attempts in a row that end alike are stagnation: one may be chance, and a third would cost as much again.
pub const ALIKE: u32 = 2;
/// How often a turn that goes nowhere is told so before it is ended. Whoever does not hear it once does not hear it twice;
/// that nothing is heard of it is another matter, and told apart.
pub const NUDGES: u32 = 1;
/// After so many edits and new results since it was told, it had heard it, and is told once more: what it reads then is for
/// another part of its work.
pub const GAINED: u32 = 10;
/// How often a turn is told at most, silence apart. Whoever needs it more often gets somewhere too slowly.
pub const NUDGES_MOST: u32 = 5;
/// So often in a row may the same call give the same back. A person would have stopped by then.
pub const SAME_CALL: u32 = 5;
/// So many calls in a row that were all seen before are a circle, if they are few different ones: some files are read again
/// after a host has summed a conversation up, but not the same few over and over.
pub const CIRCLE: u32 = 12;
/// So many different calls are few.
pub const CIRCLE_CALLS: u32 = 4;
/// After so many edits in a row may the same command fail in the same way: two are tries, and at five nobody expects the
/// sixth to help.
pub const SAME_FAILURE: u32 = 5;
/// So many steps in a row may bring nothing new: enough to read what a change touches once more.
pub const IDLE_STEPS: u32 = 40;
/// So many steps of looking around count as progress before the first edit. Large repositories are read for long, and
/// then something is written.
pub const LOOKS: u32 = 150;
/// The longest text of what an agent asks for, in characters, that is known to be whole: hosts cut it there. Longer ones are
/// whole scripts, which nobody reads in a question and no rule reads either.
pub const ASKED_CHARS: usize = 4_000;
/// As much of it is shown to a person, in characters: six lines of a terminal.
pub const SHOWN_CHARS: usize = 500;
/// The most rules of an inbox. All of them stand in a mission's first event, and every question is held against each.
pub const RULES: usize = 64;
/// The longest kind or pattern of one, in bytes: as long as a path may be that is told.
pub const RULE_BYTES: usize = 1024;
