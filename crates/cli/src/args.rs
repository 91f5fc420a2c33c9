//! The command line. What stands here as documentation is the manual that `--help` prints.

mod clean;
mod plan;
mod steering;

use clap::{Args, Parser, Subcommand, ValueEnum};
pub(crate) use clean::{CleanArgs, parse_age, parse_size};
use mission::ids::{MissionId, TaskId};
pub(crate) use plan::{EditArgs, PlanArgs, PlanChange, TaskFields};
use serde::Deserialize;
use std::path::PathBuf;
pub(crate) use steering::{OfMission, PrioritiseArgs, RetryArgs, SkipArgs, SteerArgs};

/// Turns one request into finished, verified work.
#[derive(Debug, Parser)]
#[command(
    name = "orchestrator",
    version,
    about = "Turns one request into finished, verified work",
    max_term_width = 100
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Carries a request out: plans it, works on it in parallel, checks it, and hands the result over.
    Task(TaskArgs),
    /// Shows a whole mission in a sample project, mishaps and all. It needs git and a shell, and no model.
    Demo(DemoArgs),
    /// Shows the checks that a mission here would use, why, and what each says of your files as they are.
    Checks(ChecksArgs),
    /// Shows what is running, what it waits for and until when, and open questions.
    Status(OneOrLast),
    /// Lists all missions.
    List(ListArgs),
    /// Shows one mission: its plan, how far each task is and what proves it.
    Show(OneOrLast),
    /// Prints a mission's events.
    Log(LogArgs),
    /// Shows a mission's plan with its version, or changes what of it has not begun.
    Plan(PlanArgs),
    /// Shows a mission's TODO, or writes on it.
    Todo(TodoArgs),
    /// Prints what a mission changed, as a diff against its base.
    Diff(OneOrLast),
    /// Hands a mission's result over.
    Deliver(DeliverArgs),
    /// Takes a delivery back; files that were changed since are left.
    Undo(OneOrLast),
    /// Checks a mission's chain of events, link by link.
    Verify(OneOrLast),
    /// Lets no turn of a mission begin until it is resumed. Turns that run go on to their end.
    Pause(OneOrLast),
    /// Tells a mission's agents something more: turns that run at their next step, all others as they begin.
    Steer(SteerArgs),
    /// Has a task tried again: one that failed, that waits, or that is being worked on.
    Retry(RetryArgs),
    /// Leaves a task out.
    Skip(SkipArgs),
    /// Changes how soon a task starts.
    Prioritise(PrioritiseArgs),
    /// Lets a mission go on after a pause, a crash, a cancellation or a failure. What had finished is kept.
    Resume(ResumeArgs),
    /// Ends a mission. Its work is kept.
    Cancel(OneOrLast),
    /// Ends a mission and touches nothing more: its workspaces stay as they are, to look at.
    Abort(OneOrLast),
    /// Answers an open question.
    Answer(AnswerArgs),
    /// Prints a mission's summary.
    Summary(OneOrLast),
    /// Runs missions for OpenCode in the background; started on demand.
    Serve(ServeArgs),
    /// Removes what is kept of missions that are over and old, or that take too much room.
    Clean(CleanArgs),
    /// Puts the plugin into OpenCode: its files, and one entry in the configuration that OpenCode reads.
    Install(PluginArgs),
    /// Takes the plugin out of OpenCode again. Missions stay.
    Uninstall(PluginArgs),
    /// Looks at OpenCode, the plugin, git and the store, and says what is wrong and what to do about it.
    Doctor(DoctorArgs),
    /// Prints the completions of a shell: words and options, after which Tab goes on.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Writes the manual pages into a folder, one for each command.
    Man {
        /// The folder, such as `~/.local/share/man/man1`; it is made if it is not there.
        folder: PathBuf,
    },
    /// Explains an error code.
    Explain {
        /// The code, as in `ORC004`.
        code: String,
    },
}

/// A mission by its name, or the last one.
#[derive(Debug, Args)]
pub(crate) struct OneOrLast {
    /// The mission, as in `m7`; the last one of this folder if none is named.
    pub(crate) mission: Option<MissionId>,
    /// Print JSON for machines.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a mission may use.
#[derive(Clone, Debug, Args)]
pub(crate) struct LimitArgs {
    /// Workers at once [default: 3].
    #[arg(long, value_name = "N", env = "ORCHESTRATOR_WORKERS", value_parser = |text: &str| whole(text, 1, mission::limits::WORKERS_CAP))]
    pub(crate) workers: Option<u32>,
    /// Attempts at one task before it fails [default: 3].
    #[arg(long, value_name = "N", value_parser = |text: &str| whole(text, 1, 10))]
    pub(crate) attempts: Option<u32>,
    /// Reviews that may reject before a task is disputed; 0 leaves reviews out [default: 2].
    #[arg(long, value_name = "N", value_parser = |text: &str| whole(text, 0, 10))]
    pub(crate) reviews: Option<u32>,
    /// Tokens in all, as in `500k` [default: 5M].
    #[arg(long, value_name = "N", env = "ORCHESTRATOR_TOKENS", value_parser = parse_count)]
    pub(crate) tokens: Option<u64>,
    /// Money in all, in US dollars, as in `5` or `2.50`; it holds where the provider's price is known [default: none].
    #[arg(long, value_name = "USD", env = "ORCHESTRATOR_COST", value_parser = parse_money)]
    pub(crate) cost: Option<u64>,
    /// Tokens that one task may use in all its attempts [default: half of all where there are others].
    #[arg(long, value_name = "N", value_parser = parse_count)]
    pub(crate) task_tokens: Option<u64>,
    /// Turns that may ask a model; every turn is one agent [default: 1000].
    #[arg(long, value_name = "N", value_parser = |text: &str| whole(text, 1, 1_000_000))]
    pub(crate) turns: Option<u32>,
    /// Ask before a plan is carried out that is forecast to use more tokens than this [default: what is left of all].
    #[arg(long, value_name = "N", value_parser = parse_count)]
    pub(crate) ask_above: Option<u64>,
    /// Begin to plan beside the Commander, from the request alone: sooner where its plan is wanted, and paid for where it is not
    /// [default: off].
    #[arg(long, value_name = "SWITCH", env = "ORCHESTRATOR_PLAN_AHEAD", num_args = 0..=1, require_equals = true, default_missing_value = "on")]
    pub(crate) plan_ahead: Option<Switch>,
    /// The longest that the mission may run, as in `90m` [default: 4h].
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) time: Option<mission::time::Millis>,
    /// The longest that one attempt may take [default: 60m].
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) attempt_time: Option<mission::time::Millis>,
    /// A model to fall back to while the one before it is broken or refuses for long, as `provider/model`; up to three.
    #[arg(long, value_name = "MODEL", value_parser = parse_model)]
    pub(crate) fallback: Vec<String>,
}

/// How agents run.
#[derive(Clone, Debug, Args)]
pub(crate) struct AgentArgs {
    /// Who carries turns out: `opencode`, or `scripted:FILE` to follow a script [default: opencode].
    #[arg(long, value_name = "AGENT", env = "ORCHESTRATOR_AGENT")]
    pub(crate) agent: Option<String>,
    /// The model, as `provider/model` [default: OpenCode's].
    #[arg(long, value_name = "MODEL", env = "ORCHESTRATOR_MODEL", value_parser = parse_model)]
    pub(crate) model: Option<String>,
    /// What agents may do without being asked: `shell`.
    #[arg(long, value_name = "WHAT")]
    pub(crate) allow: Vec<Allowed>,
    /// A turn of which nothing is heard for this long is over [default: 5m].
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) silence: Option<mission::time::Millis>,
    /// Whether tasks of low and then of normal priority wait while the machine is short of room [default: on].
    #[arg(long, value_name = "SWITCH", env = "ORCHESTRATOR_PRESSURE")]
    pub(crate) pressure: Option<Switch>,
    /// Use the project's own configuration for agents, which has this digest and which you have read.
    #[arg(long, value_name = "DIGEST")]
    pub(crate) trust: Option<String>,
}

/// Whether something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Switch {
    /// It is.
    On,
    /// It is not.
    Off,
}

/// What may be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Allowed {
    /// Shell commands inside workspaces.
    Shell,
}

/// How a result is handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Form {
    /// As changed files in your folder; nothing is staged or committed.
    Worktree,
    /// As the new branch `orchestrator/mN`.
    Branch,
    /// As one commit on the branch that is checked out.
    Commit,
    /// Not until you ask.
    None,
}

/// How a result can be handed over now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lowercase")]
pub(crate) enum Way {
    /// As changed files in your folder; nothing is staged or committed.
    Worktree,
    /// As the new branch `orchestrator/mN`.
    Branch,
    /// As one commit on the branch that is checked out.
    Commit,
}

impl From<Way> for mission::terms::Deliver {
    fn from(way: Way) -> Self {
        match way {
            Way::Worktree => Self::Worktree,
            Way::Branch => Self::Branch,
            Way::Commit => Self::Commit,
        }
    }
}

impl From<Form> for mission::terms::Deliver {
    fn from(form: Form) -> Self {
        match form {
            Form::Worktree => Self::Worktree,
            Form::Branch => Self::Branch,
            Form::Commit => Self::Commit,
            Form::None => Self::None,
        }
    }
}

/// `orchestrator task`.
#[derive(Debug, Args)]
pub(crate) struct TaskArgs {
    /// What you want, in your own words; `-` reads it from standard input.
    pub(crate) request: Option<String>,
    /// Read the request from a file.
    #[arg(long, short, value_name = "FILE", conflicts_with = "request")]
    pub(crate) file: Option<PathBuf>,
    /// Work on this folder instead of the current one.
    #[arg(long, short = 'C', value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    /// Show the plan and wait for your word before any of it is carried out.
    #[arg(long)]
    pub(crate) approve: bool,
    /// Answer `yes` to the plan, whatever it is forecast to use, and take the default of every other question.
    #[arg(long)]
    pub(crate) yes: bool,
    /// How the result is handed over when the mission is completed [default: worktree].
    #[arg(long, value_name = "FORM")]
    pub(crate) deliver: Option<Form>,
    #[command(flatten)]
    pub(crate) agent: AgentArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    /// Print JSON lines on standard output: what the mission begins with, then its events.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print plain lines only, and draw nothing.
    #[arg(long)]
    pub(crate) plain: bool,
}

/// `orchestrator demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Keep the sample project and its mission, to look around.
    #[arg(long)]
    pub(crate) keep: bool,
    /// Let everybody take longer, to watch.
    #[arg(long)]
    pub(crate) slow: bool,
    /// Print events as JSON lines on standard output, and what became of the demo as the last.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print plain lines only, and draw nothing.
    #[arg(long)]
    pub(crate) plain: bool,
}

/// `orchestrator checks`.
#[derive(Debug, Args)]
pub(crate) struct ChecksArgs {
    /// Look at this folder instead of the current one.
    #[arg(long, short = 'C', value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    /// Only say what was found; run nothing.
    #[arg(long)]
    pub(crate) no_run: bool,
    /// Print JSON for machines.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `orchestrator list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Print JSON for machines.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `orchestrator log`.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    #[command(flatten)]
    pub(crate) one: OneOrLast,
    /// Begin with this event.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) from: u64,
    /// Go on as events happen, until the mission is over.
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Say below each event why it was decided so: which rule, which numbers. With a task, as in `T3`, only of what
    /// concerns that one, and why it did not start when others did.
    #[arg(long, value_name = "TASK", num_args = 0..=1)]
    pub(crate) why: Option<Option<TaskId>>,
}

/// `orchestrator todo`.
#[derive(Debug, Args)]
pub(crate) struct TodoArgs {
    #[command(flatten)]
    pub(crate) one: OneOrLast,
    /// Say that a line is done, as in `T3`. A request: evidence decides.
    #[arg(long, value_name = "LINE", group = "edit")]
    pub(crate) tick: Option<String>,
    /// Take a tick back.
    #[arg(long, value_name = "LINE", group = "edit")]
    pub(crate) untick: Option<String>,
    /// Write a note beside a line; the text comes after `--text`.
    #[arg(long, value_name = "LINE", group = "edit", requires = "text")]
    pub(crate) note: Option<String>,
    /// Propose a task; the text comes after `--text`.
    #[arg(long, group = "edit", requires = "text")]
    pub(crate) propose: bool,
    /// The text of a note or a proposal.
    #[arg(long, value_name = "TEXT", requires = "edit")]
    pub(crate) text: Option<String>,
    /// The line's version that you saw; without it, its version now.
    #[arg(long, value_name = "N", requires = "edit")]
    pub(crate) saw: Option<u64>,
}

impl TodoArgs {
    /// Whether something is to be written, and not only shown.
    pub(crate) fn is_edit(&self) -> bool {
        self.propose
            || [&self.tick, &self.untick, &self.note]
                .iter()
                .any(|line| line.is_some())
    }
}

/// `orchestrator deliver`.
#[derive(Debug, Args)]
pub(crate) struct DeliverArgs {
    #[command(flatten)]
    pub(crate) one: OneOrLast,
    /// In which form.
    #[arg(long = "as", value_name = "FORM", default_value = "worktree")]
    pub(crate) form: Way,
}

/// `orchestrator resume`.
#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    /// The mission, as in `m7`; the last one of this folder if none is named.
    pub(crate) mission: Option<MissionId>,
    /// Add tokens to its budget, as in `500k`.
    #[arg(long, value_name = "N", default_value = "0", value_parser = parse_count)]
    pub(crate) tokens: u64,
    /// Add money to its limit in US dollars, as in `2.50`.
    #[arg(long, value_name = "USD", default_value = "0", value_parser = parse_money)]
    pub(crate) cost: u64,
    /// Plan anew what has not landed.
    #[arg(long)]
    pub(crate) replan: bool,
    #[command(flatten)]
    pub(crate) agent: AgentArgs,
    /// Print JSON lines on standard output: what the mission begins with, then its events.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print plain lines only, and draw nothing.
    #[arg(long)]
    pub(crate) plain: bool,
}

/// `orchestrator answer`.
#[derive(Debug, Args)]
pub(crate) struct AnswerArgs {
    /// The mission, as in `m7`.
    pub(crate) mission: MissionId,
    /// The question, as in `q2`.
    pub(crate) question: String,
    /// The answer.
    pub(crate) text: String,
    /// Print JSON for machines.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `orchestrator serve`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ServeArgs {
    /// End when nothing has run and nobody has asked for this long.
    #[arg(long, value_name = "TIME", env = "ORCHESTRATOR_IDLE", default_value = "10m", value_parser = parse_time)]
    pub(crate) idle: mission::time::Millis,
    #[command(flatten)]
    pub(crate) agent: AgentArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// `orchestrator install` and `orchestrator uninstall`.
#[derive(Debug, Args)]
pub(crate) struct PluginArgs {
    /// Print what would change as a diff, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do it in a CI environment and from a build folder too, where otherwise nothing is changed.
    #[arg(long)]
    pub(crate) even_here: bool,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

/// How long work on OpenCode's files may take.
#[derive(Debug, Args)]
pub(crate) struct Patience {
    /// The longest that it may take [default: 30s].
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    time: Option<mission::time::Millis>,
}

/// `orchestrator doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Put right what can be put right, and ask before each change.
    #[arg(long)]
    pub(crate) fix: bool,
    /// Do not ask: make every change that `--fix` would offer.
    #[arg(long, requires = "fix")]
    pub(crate) yes: bool,
    /// Install in a CI environment and from a build folder too.
    #[arg(long, requires = "fix")]
    pub(crate) even_here: bool,
    /// Print JSON for machines.
    #[arg(long)]
    pub(crate) json: bool,
    /// The longest that one change may take [default: 30s].
    #[arg(long, requires = "fix", value_name = "TIME", value_parser = parse_time)]
    time: Option<mission::time::Millis>,
}

impl DoctorArgs {
    /// The longest that one change may take.
    pub(crate) fn patience(&self) -> Patience {
        Patience { time: self.time }
    }
}

impl Patience {
    /// The longest that it may take. Nobody waits longer for three small files.
    pub(crate) fn time(&self) -> std::time::Duration {
        let limit = self.time.unwrap_or(mission::time::Millis(30_000));
        std::time::Duration::from_millis(limit.0)
    }
}

/// A whole number within bounds.
fn whole(text: &str, least: u32, most: u32) -> Result<u32, String> {
    let n = text.parse().ok();
    n.filter(|n| (least..=most).contains(n))
        .ok_or_else(|| format!("it must be a whole number from {least} to {most}"))
}

/// A model with its provider.
pub(crate) fn parse_model(text: &str) -> Result<String, String> {
    match text.split_once('/') {
        Some((provider, model)) if !provider.is_empty() && !model.is_empty() => Ok(text.to_owned()),
        _ => Err(format!(
            "`{text}` names no provider; write it as `provider/model`"
        )),
    }
}

pub(crate) fn parse_count(text: &str) -> Result<u64, String> {
    let (digits, factor) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1_000),
        None => match text.strip_suffix(['m', 'M']) {
            Some(digits) => (digits, 1_000_000),
            None => (text, 1),
        },
    };
    let n: u64 = digits
        .parse()
        .map_err(|_| "expected a whole number, as in `500k` or `5M`".to_owned())?;
    n.checked_mul(factor)
        .ok_or_else(|| "that is too many".to_owned())
}

/// US dollars, in millionths.
pub(crate) fn parse_money(text: &str) -> Result<u64, String> {
    let wrong = || "expected US dollars, as in `5` or `2.50`".to_owned();
    let text = text.strip_prefix('$').unwrap_or(text);
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 6 {
        return Err(wrong());
    }
    let millionths: u64 = format!("{part:0<6}").parse().map_err(|_| wrong())?;
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let all = whole.checked_mul(1_000_000);
    all.and_then(|all| all.checked_add(millionths))
        .ok_or_else(|| "that is too much".to_owned())
}

pub(crate) fn parse_time(text: &str) -> Result<mission::time::Millis, String> {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
    let found = units
        .iter()
        .find_map(|(unit, ms)| Some((text.strip_suffix(unit)?, *ms)));
    let wrong = || "expected a whole number with a unit, as in `30s`, `90m` or `4h`".to_owned();
    let (digits, ms) = found.ok_or_else(wrong)?;
    let n: u64 = digits.parse().map_err(|_| wrong())?;
    match n.checked_mul(ms) {
        Some(0) => Err("it must be more than nothing".to_owned()),
        Some(ms) => Ok(mission::time::Millis(ms)),
        None => Err("that is too long".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_install_ends_after_thirty_seconds_unless_another_time_is_named() {
        for (words, seconds) in [(&[][..], 30), (&["--time", "2m"], 120)] {
            for word in ["install", "uninstall"] {
                let line = [&["orchestrator", word], words].concat();
                let (Command::Install(args) | Command::Uninstall(args)) =
                    Cli::try_parse_from(line).unwrap().command
                else {
                    panic!("{word}");
                };
                assert_eq!(
                    args.patience.time(),
                    std::time::Duration::from_secs(seconds)
                );
            }
        }
    }

    #[test]
    fn counts_and_times_are_read_with_their_units() {
        assert_eq!(parse_count("5M"), Ok(5_000_000));
        assert_eq!(parse_count("500k"), Ok(500_000));
        assert!(
            parse_count("1.5M").is_err()
                && parse_count("-1").is_err()
                && parse_count("99999999999999M").is_err()
        );
        assert_eq!(parse_time("90m"), Ok(mission::time::Millis::from_mins(90)));
        assert!(parse_time("90").is_err() && parse_time("0s").is_err() && parse_time("h").is_err());
    }
}
