//! The live view as text: a pure function of the mission, the signs of life, the time and the width.

use super::escape;
use super::table::cut;
use agents::Sign;
use mission::event::Turn;
use mission::ids::{Epoch, TaskId};
use mission::mission::{GateLease, Lease, Mission, State};
use mission::question::Question;
use mission::time::{Millis, Timestamp};
use mission::waits::{Kind, Wait};
use std::collections::BTreeMap;
use unicode_width::UnicodeWidthStr as _;

/// A shorter wait is not worth a line.
pub(super) const WAIT: Millis = Millis::from_secs(30);
/// The most columns that a title takes beside what is being done.
const TITLE: usize = 44;
/// The widest that the bar becomes.
const BAR: usize = 24;

/// What was last heard of a turn.
#[derive(Clone, Debug, Default)]
struct Life {
    heard: Option<Timestamp>,
    doing: String,
    tokens: Option<u64>,
    waiting: Option<(String, Timestamp)>,
}

/// A set-up command that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SetUp {
    /// The command. Untrusted text.
    pub(crate) command: String,
    /// The lane that it is for: `worker-1`, `gate-1`.
    pub(crate) lane: String,
    /// Since when.
    pub(crate) since: Timestamp,
    /// It is ended then.
    pub(crate) until: Timestamp,
}

impl SetUp {
    /// The command and for whom it runs.
    pub(crate) fn told(&self) -> String {
        let command = escape::short(&self.command, 60);
        match self.lane.split_once('-') {
            Some(("gate", _)) | None => format!("`{command}` for the checks"),
            Some((role, n)) => format!("`{command}` for {} {n}", escape::line(role)),
        }
    }

    fn is_of(&self, lease: &Lease) -> bool {
        self.lane == format!("worker-{}", lease.lane)
    }
}

/// What was last heard of each turn that runs, and what no event tells besides.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signs {
    lives: BTreeMap<Epoch, Life>,
    /// After so long without a sign a turn is over, where that is known.
    silence: Option<Millis>,
    /// The set-up that runs.
    set_up: Option<SetUp>,
}

impl Signs {
    /// Nothing heard yet of turns that may be silent for so long.
    pub(crate) fn new(silence: Option<Millis>) -> Self {
        Self {
            silence,
            ..Self::default()
        }
    }

    /// Takes in what the engine does now that no event tells, and tells whether that is news.
    pub(crate) fn doing(&mut self, silence: Option<Millis>, set_up: Option<SetUp>) -> bool {
        self.silence = silence.or(self.silence);
        let news = self.set_up != set_up;
        self.set_up = set_up;
        news
    }

    /// Takes a sign of life in.
    pub(crate) fn hear(&mut self, now: Timestamp, epoch: Epoch, sign: Sign) {
        let life = self.lives.entry(epoch).or_default();
        life.heard = Some(now);
        match sign {
            Sign::Session(_) | Sign::Did(..) | Sign::Quiet(_) => {}
            Sign::Doing(what) => {
                life.doing = escape::short(&what, 200);
                life.waiting = None;
            }
            Sign::Used(usage) => life.tokens = usage.tokens().or(life.tokens),
            Sign::Waiting { cause, at_most, .. } => {
                life.waiting = Some((escape::short(&cause, 200), now + at_most));
            }
        }
    }

    /// What a turn was heard to do last.
    pub(super) fn said(&self, epoch: Epoch) -> Option<&str> {
        let life = self.lives.get(&epoch)?;
        (!life.doing.is_empty()).then_some(life.doing.as_str())
    }

    /// The set-up command that runs and for whom.
    pub(super) fn sets_up(&self) -> Option<String> {
        self.set_up.as_ref().map(SetUp::told)
    }

    /// Forgets turns that are over.
    pub(crate) fn keep(&mut self, mission: &Mission) {
        self.lives
            .retain(|epoch, _| mission.lease(*epoch).is_some());
    }

    /// What a turn waits for and until when, once it has been silent for longer than a moment.
    fn waits(
        &self,
        mission: &Mission,
        epoch: Epoch,
        lease: &Lease,
        now: Timestamp,
    ) -> Option<Waiting> {
        let life = self.lives.get(&epoch);
        if let Some((id, question)) = mission.asked_by(epoch) {
            return Some((format!("your answer to {id}"), question.deadline));
        }
        if let Some(waiting) = life.and_then(|life| life.waiting.clone()) {
            return Some(waiting);
        }
        let heard = life.and_then(|life| life.heard);
        let last = heard.unwrap_or(lease.since).max(lease.since);
        if now.since(last) < WAIT {
            return None;
        }
        if let (None, Turn::Work { .. }, Some(set_up)) = (heard, lease.turn, &self.set_up)
            && set_up.is_of(lease)
        {
            return Some(("its set-up".to_owned(), set_up.until.min(lease.deadline)));
        }
        let silent = heard.and_then(|heard| Some(heard + self.silence?));
        // What the host hears of an agent and does not pass on keeps the turn alive, too.
        let until = silent.filter(|at| *at > now).unwrap_or(lease.deadline);
        let doing = life.map_or("", |life| &life.doing);
        let cause = match (heard, lease.turn) {
            (None, Turn::Work { .. }) => "the set-up of its workspace, or the model",
            _ if doing.is_empty() || doing.starts_with("thinks") => "the model",
            _ => "what it does",
        };
        Some((cause.to_owned(), until.min(lease.deadline)))
    }
}

/// For what, and until when at the latest.
type Waiting = (String, Timestamp);

/// Everything that waits, in one line; nothing where nothing does.
pub(crate) fn waiting(mission: &Mission, signs: &Signs, now: Timestamp) -> Option<String> {
    let told = |wait: Wait| {
        let leased = |epoch| Some((epoch, mission.lease(epoch)?));
        let lease = match wait.kind {
            Kind::Turn(epoch) => leased(epoch),
            // What somebody has to answer is told with its turn, or stands above as a question.
            Kind::Question(id) if mission.leases().any(|(epoch, _)| asks(mission, epoch, id)) => {
                return None;
            }
            _ => None,
        };
        let told = lease.and_then(|(epoch, lease)| signs.waits(mission, epoch, lease, now));
        let (cause, until) = told.unwrap_or((wait.cause, wait.until));
        let left = whole(until.since(now));
        let who = escape::short(&wait.who, 60);
        Some(format!(
            "{who} waits for {}, at most {left}",
            escape::short(&cause, 80)
        ))
    };
    let set_up = signs.set_up.iter().map(|set_up| {
        let left = whole(set_up.until.since(now));
        format!("set-up waits for {}, at most {left}", set_up.told())
    });
    let waits = mission.waits(now).into_iter().filter_map(told);
    let all: Vec<String> = waits.chain(set_up).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

fn asks(mission: &Mission, epoch: Epoch, id: mission::question::QuestionId) -> bool {
    mission
        .asked_by(epoch)
        .is_some_and(|(asked, _)| asked == id)
}

/// The mission now, one string for each line, none of them wider than `width`.
pub(crate) fn frame(mission: &Mission, signs: &Signs, now: Timestamp, width: usize) -> Vec<String> {
    let mut rows = vec![bar(mission, now, width)];
    let mut turns: Vec<(Epoch, &Lease)> = mission.leases().collect();
    turns.sort_by_key(|(_, lease)| (matches!(lease.turn, Turn::Review { .. }), lease.lane));
    rows.extend(turns.into_iter().map(|(epoch, lease)| {
        let life = signs.lives.get(&epoch).cloned().unwrap_or_default();
        let waits = signs.waits(mission, epoch, lease, now);
        turn(mission, lease, &life, waits, now, width)
    }));
    rows.extend(
        mission
            .gate_leases()
            .map(|(_, lease)| gate(lease, now, width)),
    );
    rows.extend(signs.set_up.iter().map(|set_up| {
        let right = lasts(set_up.since, set_up.until, now);
        both(
            &format!("  {:<15} {}", "set-up", set_up.told()),
            &right,
            width,
        )
    }));
    rows.extend(waits(mission, now, width));
    let questions = mission.questions();
    rows.extend(questions.map(|(id, question)| {
        let left = question.deadline.since(now);
        let right = format!("{left} left");
        both(&format!("  {id} asks: {}", asked(question)), &right, width)
    }));
    rows
}

/// What there is to type for a question.
pub(crate) fn choices(question: &Question) -> String {
    match question.choices.is_empty() {
        true => "any text".into(),
        false => escape::short(&question.choices.join("/"), 80),
    }
}

/// The same for a command line.
pub(crate) fn answers(question: &Question) -> String {
    offered(&question.choices, question.is_free())
}

/// Choices as they are typed into a shell: an agent's may hold anything.
pub(crate) fn offered(choices: &[String], is_free: bool) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./,:@%+=".contains(c);
    let typed = |choice: &String| {
        let choice = escape::line(choice);
        match !choice.is_empty() && choice.chars().all(plain) {
            true => choice,
            false => format!("'{}'", choice.replace('\'', r"'\''")),
        }
    };
    let free = is_free.then(|| "TEXT".to_owned());
    let all: Vec<String> = choices.iter().map(typed).chain(free).collect();
    all.join("|")
}

fn asked(question: &Question) -> String {
    format!(
        "{} [{}]",
        escape::short(&question.text, 400),
        choices(question)
    )
}

fn bar(mission: &Mission, now: Timestamp, width: usize) -> String {
    let total = mission.tasks().count();
    let landed = mission
        .tasks()
        .filter(|task| task.state == State::Landed)
        .count();
    let budget = mission.budget();
    let time = mission.running_for(now);
    let mut parts = Vec::new();
    if total > 0 {
        parts.push(format!("{landed} of {total} done"));
    }
    let queued = mission
        .tasks()
        .filter(|task| matches!(task.state, State::Queued | State::Landing))
        .count();
    if queued > 0 {
        parts.push(format!("{queued} landing"));
    }
    parts.push(format!(
        "{} of {} tokens",
        count(budget.spent),
        count(budget.limit)
    ));
    parts.push(whole(time));
    let head = format!("{} {}  ", mission.id(), mission.phase_word());
    let tail = parts.join(", ");
    let room = width.saturating_sub(head.width() + tail.width() + 2);
    let cells = room.min(BAR);
    if total == 0 || cells < 5 {
        return fit(&format!("{head}{tail}"), width);
    }
    let done = cells * landed / total;
    let bar = "━".repeat(done) + &"─".repeat(cells - done);
    fit(&format!("{head}{bar}  {tail}"), width)
}

fn turn(
    mission: &Mission,
    lease: &Lease,
    life: &Life,
    waits: Option<Waiting>,
    now: Timestamp,
    width: usize,
) -> String {
    let title = |id: TaskId| {
        let title = mission.task(id).map_or("", |task| &task.task.title);
        cut(&escape::line(title), TITLE.min(width / 3))
    };
    let (who, what) = match lease.turn {
        Turn::Intent { .. } => ("commander".to_owned(), "reads the request".to_owned()),
        Turn::Plan { .. } => ("planner".to_owned(), "writes the plan".to_owned()),
        Turn::Split { task, .. } => (
            format!("planner {task}"),
            format!("cuts anew: {}", title(task)),
        ),
        Turn::Work { attempt } => (
            format!("worker {} {attempt}", lease.lane),
            title(attempt.task),
        ),
        Turn::Review { attempt, .. } => (
            format!("review {} {attempt}", lease.lane),
            title(attempt.task),
        ),
    };
    let heard = life.heard.unwrap_or(lease.since).max(lease.since);
    let does = match life.heard {
        None => "starts",
        Some(_) => life.doing.as_str(),
    };
    let doing = match waits {
        Some((cause, until)) => {
            let left = whole(until.since(now));
            let does = if life.waiting.is_some() || does.is_empty() {
                String::new()
            } else {
                format!("{}, ", cut(does, TITLE.min(width / 3)))
            };
            format!("{does}waits up to {left} for {cause}")
        }
        None => does.to_owned(),
    };
    let tokens = life.tokens.map_or_else(|| "-".to_owned(), count);
    let right = format!("{:>8}  {tokens:>6}", whole(now.since(heard)));
    let left = match doing.is_empty() {
        true => format!("  {who:<15} {what}"),
        false => format!("  {who:<15} {what}: {doing}"),
    };
    both(&left, &right, width)
}

fn gate(lease: &GateLease, now: Timestamp, width: usize) -> String {
    let on = lease.purpose.told();
    let name = escape::line(&lease.gate.id);
    let command = escape::short(&lease.gate.program.to_string(), 200);
    let right = lasts(lease.since, lease.deadline, now);
    both(
        &format!("  {:<15} {name} on {on}: {command}", "check"),
        &right,
        width,
    )
}

/// For how long a command runs, and after a while also how long it may.
fn lasts(since: Timestamp, until: Timestamp, now: Timestamp) -> String {
    let time = now.since(since);
    match time >= WAIT {
        false => format!("{:>8}  {:>6}", whole(time), ""),
        true => format!("{}, {} at the most", whole(time), whole(until.since(now))),
    }
}

/// Who else waits for longer than a moment, for what, and for how long at the most.
fn waits(mission: &Mission, now: Timestamp, width: usize) -> Vec<String> {
    // Turns, checks and questions have rows of their own, and a slot that is taken is seen in the row of who has it.
    let shown = |wait: &Wait| match wait.kind {
        Kind::Preparing | Kind::Landing | Kind::Delivery => now.since(mission.last()) >= WAIT,
        Kind::Pause | Kind::Room => true,
        Kind::Moment | Kind::Provider => wait.until.since(now) > WAIT,
        Kind::Turn(_) | Kind::Gate(_) | Kind::Slot | Kind::Question(_) => false,
    };
    let row = |wait: Wait| {
        let left = format!("{} at the most", whole(wait.until.since(now)));
        let (who, cause) = (
            escape::short(&wait.who, 60),
            escape::short(&wait.cause, 200),
        );
        both(&format!("  {who:<15} waits: {cause}"), &left, width)
    };
    mission
        .waits(now)
        .into_iter()
        .filter(shown)
        .map(row)
        .collect()
}

/// Two texts at the two ends of a line; the left one is cut.
fn both(left: &str, right: &str, width: usize) -> String {
    let room = width.saturating_sub(right.width() + 2);
    if room < 20 {
        return fit(left, width);
    }
    let left = fit(left, room);
    let pad = room.saturating_sub(left.width()) + 2;
    format!("{left}{}{right}", " ".repeat(pad))
        .trim_end()
        .to_owned()
}

/// One harmless line, cut to so many columns.
fn fit(text: &str, width: usize) -> String {
    let safe: String = escape::text(text)
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .collect();
    cut(&safe, width)
}

/// A number that a person takes in at a glance.
/// A number of tokens, in a few characters.
pub(crate) fn count(n: u64) -> String {
    match n {
        0..1_000 => n.to_string(),
        1_000..10_000 => format!("{}.{}k", n / 1_000, n % 1_000 / 100),
        10_000..1_000_000 => format!("{}k", n / 1_000),
        _ => format!("{}.{}M", n / 1_000_000, n % 1_000_000 / 100_000),
    }
}

/// A length of time in whole seconds: tenths of them only flicker.
fn whole(time: Millis) -> String {
    match time.0 {
        0..60_000 => format!("{} s", time.0 / 1_000),
        _ => time.to_string(),
    }
}

#[cfg(test)]
pub(super) mod tests;
