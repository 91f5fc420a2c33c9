//! Tasks that get nowhere, told apart and each with its remedy.
//!
//! Within a turn an agent may stand still or go round in circles: [`Progress`] sees that from what it does, it is told so
//! once, and when it goes on all the same its turn is ended. Across attempts a task *stagnates* when two in a row end
//! alike: in the same failure, or with the same tree. Then the next attempt is a diagnosis, which sees what the one before
//! it did and has to name a strategy that nobody tried. Where that ends alike too, the Planner is asked once to cut the task
//! anew; where nothing comes of that, another model may try, if the user named one; after that the task fails, and says
//! what was tried. Each remedy is tried once for one failure, and every attempt
//! counts among those that a task has.

mod digest;
mod progress;

pub use digest::scrubbed;
pub use progress::{Act, ActKind, Progress, Strayed};

use crate::decide::{Decided, cut, cut_to, done};
use crate::event::{Ending, Event, Rejection, Turn};
use crate::ids::{AttemptId, Digest, Epoch, TaskId, TreeId};
use crate::input::Reply;
use crate::limits;
use crate::mission::{Lease, Mission, State, TaskState};
use crate::planted;
use crate::schedule::Claim;
use crate::time::Timestamp;
use crate::turn::{Answer, AnswerKind, Diagnosis, Failure, Report, Role, Usage};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How an agent goes nowhere within its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stray {
    /// Its steps bring nothing new.
    Stalled,
    /// It does the same again and again.
    Looping,
    /// Nothing has been heard of it for long; its host ends it when that goes on.
    Quiet,
}

impl fmt::Display for Stray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stalled => "stalled",
            Self::Looping => "looping",
            Self::Quiet => "quiet",
        })
    }
}

/// What is done about a task whose attempts end alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// The next attempt begins with a diagnosis and names a strategy that nobody tried.
    Diagnose,
    /// The Planner is asked to cut the task anew.
    Split,
    /// The next attempt is made by another model.
    Model,
    /// The task fails.
    GiveUp,
}

/// What an attempt that was turned down ended with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    failure: Option<Digest>,
    tree: Option<TreeId>,
}

impl Mark {
    fn is_like(&self, other: &Self) -> bool {
        let same_failure = self.failure.is_some() && self.failure == other.failure;
        same_failure || (self.tree.is_some() && self.tree == other.tree)
    }
}

/// How stuck a task is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stuck {
    /// What the last attempt ended with, if that may say that it got nowhere.
    mark: Option<Mark>,
    /// So many attempts in a row ended so.
    alike: u32,
    /// What was done so far, and against which failure.
    tried: Vec<(Mark, Remedy)>,
    /// The attempt that is a diagnosis.
    diagnosis: Option<u32>,
    /// The attempt that another model makes, and which.
    model: Option<(u32, String)>,
    /// Every model that was tried so.
    models: Vec<String>,
    /// The strategies that diagnoses named.
    strategies: Vec<String>,
    /// How the attempts ended that ended alike.
    why: Option<String>,
}

impl Stuck {
    /// Whether one more attempt that ends so ends like those before, and a remedy was tried against that.
    pub(crate) fn would_be_alike(&self, mark: &Mark) -> bool {
        let same = self
            .mark
            .as_ref()
            .is_some_and(|before| mark.is_like(before));
        same && self.alike + 1 >= limits::ALIKE
    }

    /// Whether a remedy was tried against what ended so.
    pub(crate) fn is_tried(&self, remedy: Remedy, mark: Option<&Mark>) -> bool {
        let against = |tried: &Mark| mark.is_some_and(|now| now.is_like(tried));
        let mut tried = self.tried.iter();
        tried.any(|(of, it)| *it == remedy && against(of))
    }

    /// So many attempts in a row ended alike.
    pub fn alike(&self) -> u32 {
        self.alike
    }

    /// What was done about it so far, in order.
    pub fn remedies(&self) -> impl Iterator<Item = Remedy> {
        self.tried.iter().map(|(_, remedy)| *remedy)
    }

    /// The strategies that diagnoses named, in order. Untrusted text: escape it where it is shown.
    pub fn strategies(&self) -> &[String] {
        &self.strategies
    }

    /// The model that an attempt of this number is made by because the task stagnates.
    pub(crate) fn model(&self, n: u32) -> Option<&str> {
        let (of, model) = self.model.as_ref()?;
        (*of == n).then_some(model)
    }

    /// The models that tried it because it stagnated.
    pub fn models(&self) -> &[String] {
        &self.models
    }

    /// A person lets it be tried anew: what was tried is still known, and the remedies may be tried again.
    pub(crate) fn resumed(&mut self) {
        *self = Self {
            strategies: std::mem::take(&mut self.strategies),
            ..Self::default()
        };
    }
}

/// A strategy as it is compared: its words, without how they are written.
fn words_of(strategy: &str) -> String {
    let small = strategy.to_lowercase();
    let words = small.split(|c: char| !c.is_alphanumeric());
    words
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Why a diagnosis is none: it names no strategy, or one that was tried before.
///
/// # Errors
/// What is wrong with it, for whoever has to mend it.
pub fn check_strategy(diagnosis: &Diagnosis, tried: &[String]) -> Result<(), String> {
    if !matches!(diagnosis.report, Report::Done { .. }) {
        return Ok(());
    }
    let new = words_of(&diagnosis.strategy);
    if new.is_empty() {
        return Err("`strategy` is missing: say in a sentence what you did otherwise than the attempts before".into());
    }
    match tried.iter().find(|before| words_of(before) == new) {
        Some(before) => Err(format!(
            "`strategy` says what was tried before ({}): do it in another way, and say in which",
            cut_to(before, limits::PATH_BYTES)
        )),
        None => Ok(()),
    }
}

impl Mission {
    /// Whether an attempt is a diagnosis.
    pub fn diagnoses(&self, attempt: AttemptId) -> bool {
        let task = self.tasks.get(&attempt.task);
        task.is_some_and(|task| task.stuck.diagnosis == Some(attempt.n))
    }

    /// What a turn has to answer with.
    pub fn asks_for(&self, turn: Turn) -> AnswerKind {
        match turn {
            Turn::Intent { .. } => AnswerKind::Intent,
            Turn::Plan { .. } | Turn::Split { .. } => AnswerKind::Plan,
            Turn::Work { attempt } if self.diagnoses(attempt) => AnswerKind::Diagnosis,
            Turn::Work { .. } => AnswerKind::Report,
            Turn::Review { .. } => AnswerKind::Verdict,
        }
    }

    /// Everything that was tried at a task so far, as those who tried it say: a diagnosis has to say something else.
    pub fn strategies(&self, id: TaskId) -> Vec<String> {
        let named = self
            .tasks
            .get(&id)
            .map(|task| task.stuck.strategies.clone());
        let of_task = self.works.range(AttemptId { task: id, n: 0 }..);
        let summaries = of_task
            .take_while(|(attempt, _)| attempt.task == id)
            .filter_map(|(_, (_, report))| match report {
                Report::Done { summary, .. } => Some(summary.clone()),
                _ => None,
            });
        let mut all: Vec<String> = summaries.collect();
        all.extend(named.into_iter().flatten());
        all.retain(|text| !words_of(text).is_empty());
        all
    }

    /// What an attempt that is turned down ends with; `None` where that says nothing of whether it got anywhere.
    pub(crate) fn mark(&self, attempt: AttemptId, rejection: &Rejection) -> Option<Mark> {
        let failure = match rejection {
            Rejection::Person { .. } | Rejection::Conflict { .. } => return None,
            // Findings are words, and no two are the same.
            Rejection::Review { .. } => None,
            Rejection::Gate { gate, tree } => {
                let run = self.run_of(gate, tree).map(|(_, run)| run);
                Some(match run {
                    Some(run) => digest::of_run(run),
                    None => digest::of_text("gate", gate),
                })
            }
            Rejection::Nothing => Some(digest::of_text("nothing", "")),
            Rejection::Protected { paths } => Some(digest::of_text("protected", &paths.join("\n"))),
            Rejection::Bent { what } => Some(digest::of_text("bent", &scrubbed(&what.join("\n")))),
            Rejection::Unfinished { why } => Some(digest::of_text("unfinished", &scrubbed(why))),
        };
        // A task may still hold what an attempt before this one handed in.
        let work = self.works.get(&attempt);
        let tree = work.map(|(work, _)| work.tree.clone());
        Some(Mark { failure, tree })
    }

    /// An attempt was turned down: whether it ended like the one before it.
    pub(crate) fn compare(&mut self, attempt: AttemptId, rejection: &Rejection) {
        let mark = self.mark(attempt, rejection);
        let Some(task) = self.tasks.get_mut(&attempt.task) else {
            return;
        };
        let stuck = &mut task.stuck;
        let before = stuck.mark.take();
        let same = matches!((&before, &mark), (Some(before), Some(mark)) if mark.is_like(before));
        stuck.alike = match (same, &mark) {
            (true, _) => stuck.alike + 1,
            (false, Some(_)) => 1,
            (false, None) => 0,
        };
        stuck.mark = mark;
        let stagnates = stuck.alike >= limits::ALIKE && !planted!("stagnation_unseen");
        match stagnates {
            true => _ = self.stagnant.insert(attempt.task),
            false => _ = self.stagnant.remove(&attempt.task),
        }
    }

    /// What is done about the next task that stagnates, before anybody tries it again.
    pub(crate) fn remedy(&self, _now: Timestamp) -> Vec<Event> {
        let waits = |id: &&TaskId| {
            let state = &self.tasks[id].state;
            matches!(state, State::Ready | State::Parked { .. })
        };
        let Some(id) = self.stagnant.iter().filter(|_| self.running()).find(waits) else {
            return Vec::new();
        };
        let task = &self.tasks[id];
        let (remedy, model) = self.chosen_remedy(task);
        let why = match task.history.last() {
            Some((_, rejection)) => self.told(rejection),
            None => "nothing came of them".to_owned(),
        };
        let mut events = vec![Event::Stagnated {
            task: *id,
            n: task.stuck.alike,
            why: why.clone(),
            remedy,
            model,
        }];
        if remedy == Remedy::GiveUp {
            let n = task.stuck.alike;
            let why = format!(
                "it is stuck: {n} attempts in a row ended alike{}; the last: {why}",
                tried(task)
            );
            events.push(Event::TaskFailed {
                task: *id,
                why: cut(&why),
            });
        }
        events
    }

    /// Each remedy once for one failure. The last attempt that a task has is a diagnosis by another model, if there is one.
    fn chosen_remedy(&self, task: &TaskState) -> (Remedy, Option<String>) {
        let stuck = &task.stuck;
        let tried = |remedy: Remedy| stuck.is_tried(remedy, stuck.mark.as_ref());
        let others = self
            .terms
            .fallbacks
            .get(&Role::Worker)
            .into_iter()
            .flatten();
        let mut others = others
            .filter(|model| !stuck.models.contains(model))
            .cloned();
        let last = task.tries + 1 >= self.terms.attempts;
        if !tried(Remedy::Diagnose) {
            return (Remedy::Diagnose, others.next().filter(|_| last));
        }
        let again = planted!("split_without_bound");
        if (!tried(Remedy::Split) || again) && self.may_be_split(task) {
            return (Remedy::Split, None);
        }
        // One that was to be cut anew may have used all its attempts up.
        match others.next().filter(|_| task.tries < self.terms.attempts) {
            Some(model) => (Remedy::Model, Some(model)),
            None if planted!("stuck_task_never_given_up") => (Remedy::Diagnose, None),
            None => (Remedy::GiveUp, None),
        }
    }

    /// The model that an attempt is made by because its task stagnates.
    pub(crate) fn other_model(&self, attempt: AttemptId) -> Option<&str> {
        self.tasks.get(&attempt.task)?.stuck.model(attempt.n)
    }

    /// Folds what was decided about a task that stagnates.
    pub(crate) fn stagnation_event(&mut self, event: &Event) {
        match event {
            Event::Stagnated {
                task,
                remedy,
                model,
                why,
                ..
            } => {
                self.stagnant.remove(task);
                if *remedy == Remedy::Split {
                    self.splits_now(*task);
                }
                let id = *task;
                let task = self.task_mut(id);
                let next = task.n + 1;
                let stuck = &mut task.stuck;
                stuck.why = Some(why.clone());
                stuck
                    .tried
                    .extend(stuck.mark.clone().map(|mark| (mark, *remedy)));
                if *remedy == Remedy::Diagnose {
                    stuck.diagnosis = Some(next);
                }
                if let Some(model) = model {
                    stuck.models.push(model.clone());
                    stuck.model = Some((next, model.clone()));
                    self.ready.claims(id, Claim::of(&self.tasks[&id]));
                }
            }
            Event::Diagnosed { attempt, strategy } => {
                let task = self.task_mut(attempt.task);
                task.stuck.strategies.push(strategy.clone());
            }
            Event::TurnNudged {
                epoch, stray, why, ..
            } => {
                let Some(lease) = self.leases.get_mut(epoch) else {
                    return;
                };
                lease.nudges.push((*stray, why.clone()));
                if let Turn::Work { attempt } = lease.turn {
                    self.task_mut(attempt.task)
                        .nudged
                        .push((*stray, why.clone()));
                }
            }
            _ => {}
        }
    }

    /// What an attempt that comes back was told in its leases before: it goes on in the session that holds it, where the
    /// same is not said again.
    pub(crate) fn nudged_before(&self, turn: Turn) -> Vec<(Stray, String)> {
        match turn {
            Turn::Work { attempt } => {
                let task = self.tasks.get(&attempt.task);
                let same = task.filter(|task| task.n == attempt.n);
                same.map(|task| task.nudged.clone()).unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    /// Why an answer to a diagnosis is none.
    pub(crate) fn undiagnosed(&self, turn: Turn, answer: &Answer) -> Option<String> {
        let Turn::Work { attempt } = turn else {
            return None;
        };
        if !self.diagnoses(attempt) || planted!("stale_diagnosis_accepted") {
            return None;
        }
        let tried = self.strategies(attempt.task);
        let diagnosis = match answer {
            Answer::Diagnosis(diagnosis) => diagnosis.clone(),
            Answer::Report(report) => Diagnosis {
                strategy: String::new(),
                report: report.clone(),
            },
            _ => return None,
        };
        let refused = check_strategy(&diagnosis, &tried).err()?;
        Some(cut(&format!("its answer is no diagnosis: {refused}")))
    }

    /// What a diagnosis said that it does otherwise, as it is recorded.
    pub(crate) fn diagnosed(&self, attempt: AttemptId, diagnosis: &Diagnosis) -> Option<Event> {
        let strategy = cut_to(diagnosis.strategy.trim(), limits::TODO_BYTES);
        // Who is blocked need not name another one; what was tried before is not recorded again.
        let new = words_of(&strategy);
        let tried = || self.strategies(attempt.task);
        let said = self.diagnoses(attempt)
            && !new.is_empty()
            && tried().iter().all(|before| words_of(before) != new);
        said.then_some(Event::Diagnosed { attempt, strategy })
    }

    /// An agent goes nowhere in its turn. It is told so once; when it goes on all the same, its turn is over.
    pub(crate) fn decide_strayed(
        &self,
        now: Timestamp,
        epoch: Epoch,
        strayed: &Strayed,
        usage: Usage,
    ) -> Decided {
        let stray = strayed.stray;
        let Some(lease) = self.leases.get(&epoch) else {
            return (Vec::new(), Reply::Stale);
        };
        let why = cut_to(&strayed.why, limits::TODO_BYTES);
        if lease.is_to_be_nudged(stray, strayed.gained) || planted!("nudged_for_ever") {
            let n = u32::try_from(lease.nudges.len()).unwrap_or(u32::MAX) + 1;
            return done(vec![Event::TurnNudged {
                epoch,
                n,
                stray,
                why,
            }]);
        }
        // Whether silence goes on is heard by its host, which ends it.
        if stray == Stray::Quiet {
            return done(Vec::new());
        }
        let why = format!("it is {stray}, and went on so after it was told: {why}");
        let then = self.after_failure(now, lease.turn, Failure::NoAnswer, &why);
        let failure = Failure::NoAnswer;
        let ending = Ending::Failed { failure, why };
        done(self.end_turn(epoch, lease, ending, usage, then))
    }
}

impl Lease {
    /// Whether it has not been told yet that it goes nowhere, of silence and of everything else once each, or got somewhere
    /// after it was told.
    fn is_to_be_nudged(&self, stray: Stray, gained: u32) -> bool {
        let quiet = |(stray, _): &&(Stray, String)| *stray == Stray::Quiet;
        let of_silence = self.nudges.iter().filter(quiet).count();
        let (told, most) = match stray {
            Stray::Quiet => (of_silence, limits::NUDGES),
            Stray::Stalled | Stray::Looping => {
                // What an attempt that comes back gained in its lease before is not known any more.
                let first = self.heard > 0 && self.heard == self.nudges.len();
                let heard = first || gained >= limits::GAINED;
                let most = [limits::NUDGES, limits::NUDGES_MOST][usize::from(heard)];
                (self.nudges.len() - of_silence, most)
            }
        };
        told < most as usize
    }

    /// What the turn has been told because it went nowhere, by number from 1: how, and what was seen of it.
    pub fn nudges(&self) -> impl Iterator<Item = (u32, Stray, &str)> {
        let nudges = (1..).zip(&self.nudges);
        nudges.map(|(n, (stray, why))| (n, *stray, why.as_str()))
    }
}

/// What was tried at a task that stagnated, in words that follow others.
pub(crate) fn tried(task: &TaskState) -> String {
    let stuck = &task.stuck;
    let mut done = Vec::new();
    let is_diagnosis = |remedy: &Remedy| *remedy == Remedy::Diagnose;
    let diagnoses = stuck.remedies().filter(is_diagnosis);
    done.extend(diagnoses.map(|_| "a diagnosis".to_owned()));
    let named = stuck.strategies.iter();
    done.extend(named.map(|strategy| format!("\"{}\"", cut_to(strategy, limits::PATH_BYTES))));
    let asked = stuck.remedies().any(|remedy| remedy == Remedy::Split);
    done.extend(asked.then(|| task.cut().told()));
    let models = stuck.models.iter();
    done.extend(models.map(|model| format!("the model {model}")));
    match done.is_empty() {
        true => String::new(),
        false => format!(", also with {}", done.join(", ")),
    }
}

/// How attempts at a task ended before, where some of them ended alike, in words that follow their number. What the last
/// one ended with is told behind it, and not twice.
pub(crate) fn report(task: &TaskState, last: &str) -> String {
    match &task.stuck.why {
        Some(why) if why.contains(last) => format!(", some of them alike{}", tried(task)),
        Some(why) => format!(", some of them alike ({why}){}", tried(task)),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagnosis(strategy: &str) -> Diagnosis {
        Diagnosis {
            strategy: strategy.into(),
            report: Report::Done {
                summary: String::new(),
                changed_tests: Vec::new(),
                notes: Vec::new(),
            },
        }
    }

    #[test]
    fn a_strategy_is_the_same_however_it_is_written() {
        let tried = ["Patch the parser.".to_owned()];
        for same in ["patch the parser", " PATCH, the   parser!! "] {
            let why = check_strategy(&diagnosis(same), &tried).unwrap_err();
            assert!(
                why.contains("was tried before (Patch the parser.)"),
                "{why}"
            );
        }
        assert_eq!(
            check_strategy(&diagnosis("patch the lexer"), &tried),
            Ok(())
        );
        let none = check_strategy(&diagnosis(" .. "), &tried).unwrap_err();
        assert!(none.contains("`strategy` is missing"), "{none}");
    }

    #[test]
    fn who_is_blocked_needs_no_strategy() {
        let why = "no key".to_owned();
        let report = Report::Blocked { why };
        let strategy = String::new();
        assert_eq!(check_strategy(&Diagnosis { strategy, report }, &[]), Ok(()));
    }
}
