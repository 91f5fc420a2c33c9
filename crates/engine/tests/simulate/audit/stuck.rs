//! Tasks whose attempts end alike: that it is seen, that something is done about it, and that this has an end.

use super::*;
use mission::stagnation::{Remedy, Stray};
use mission::turn::Report;

/// What an attempt that was turned down ended with, as far as the events tell.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Mark {
    /// In this failure.
    Failed(String),
    /// In one that was told in more than one way.
    Unclear,
}

#[derive(Clone, Debug, Default)]
struct Stuck {
    /// How the last attempts in a row ended, newest last, with the trees that they handed in.
    marks: Vec<(Mark, Option<TreeId>)>,
    /// Whether something was done since the last of them.
    remedied: bool,
    remedies: Vec<(Mark, Remedy)>,
    /// What the last attempt in a diagnosis said.
    strategies: Vec<String>,
    summaries: Vec<String>,
}

/// A second book of what is stuck.
#[derive(Debug, Default)]
pub(super) struct Marks {
    tasks: BTreeMap<TaskId, Stuck>,
    diagnoses: BTreeSet<AttemptId>,
    diagnosed: BTreeSet<AttemptId>,
    nudges: BTreeMap<(Option<AttemptId>, Epoch), Vec<Stray>>,
    /// Leases in which something was told.
    told_in: BTreeSet<Epoch>,
    /// What a turn had gained when it was last said to go nowhere.
    pub(super) gained: BTreeMap<Epoch, u32>,
    /// How a command ended on a tree; `None` where it ended in more than one way.
    runs: BTreeMap<(String, TreeId), Option<String>>,
    others: BTreeSet<(TaskId, String)>,
    /// The attempt at a task that another model makes.
    asked: BTreeMap<TaskId, (AttemptId, String)>,
    /// How often the Planner was asked to cut a task anew.
    asked_to_cut: u32,
    /// The tasks that were cut, and the pieces.
    cut: BTreeMap<TaskId, BTreeSet<TaskId>>,
}

fn plain(text: &str) -> String {
    let words: String = text.chars().filter(|c| c.is_alphanumeric()).collect();
    words.to_lowercase()
}

impl Audit {
    /// Whether a turn is to be answered with a diagnosis.
    pub(crate) fn diagnoses(&self, turn: Turn) -> bool {
        matches!(turn, Turn::Work { attempt } if self.stuck.diagnoses.contains(&attempt))
    }

    pub(super) fn stagnates(&mut self, event: &Event) {
        match event {
            Event::GateEnded { run, .. } => {
                let failed = run
                    .tests
                    .as_ref()
                    .map(|tests| (&tests.failed, tests.unnamed));
                let told = format!("{:?} {failed:?}", run.result);
                let key = (run.gate.clone(), run.tree.clone());
                let known = self.stuck.runs.entry(key).or_insert(Some(told.clone()));
                if known.as_ref() != Some(&told) {
                    *known = None;
                }
            }
            Event::Rejected { attempt, rejection } => self.ends_in(*attempt, rejection),
            Event::TurnEnded {
                turn: Turn::Work { attempt },
                ending,
                ..
            } => self.comes_to_nothing(*attempt, ending),
            Event::TurnStarted {
                turn: Turn::Work { attempt },
                model,
                ..
            } => self.work_goes_on(*attempt, model.as_deref()),
            Event::Stagnated {
                task,
                n,
                remedy,
                model,
                ..
            } => self.remedied(*task, *n, *remedy, model.as_deref()),
            Event::Diagnosed { attempt, strategy } => self.diagnosed(*attempt, strategy),
            Event::Worked {
                attempt, report, ..
            } => {
                let diagnosis = self.stuck.diagnoses.contains(attempt);
                assert!(
                    !diagnosis || self.stuck.diagnosed.contains(attempt),
                    "{attempt} is a diagnosis and was taken without a new strategy"
                );
                if let Report::Done { summary, .. } = report {
                    let stuck = self.stuck.tasks.entry(attempt.task).or_default();
                    stuck.summaries.push(plain(summary));
                }
            }
            Event::TurnNudged {
                epoch, stray, n, ..
            } => self.nudged(*epoch, *stray, *n),
            Event::SplitRefused { task, given_up, .. } => {
                let stuck = self.stuck.tasks.entry(*task).or_default();
                // It is no remedy, and another one has to follow.
                stuck.remedied &= !given_up;
            }
            Event::Resumed { .. } => {
                for task in self.given_up.clone() {
                    self.unstuck(task);
                }
            }
            Event::TaskRetried { task, .. } => self.unstuck(*task),
            _ => {}
        }
    }

    /// The model that an attempt is made by because its task stagnates.
    pub(super) fn other_model(&self, attempt: AttemptId) -> Option<String> {
        let (of, model) = self.stuck.asked.get(&attempt.task)?;
        (*of == attempt).then(|| model.clone())
    }

    /// A person lets a task be tried anew.
    fn unstuck(&mut self, task: TaskId) {
        self.stuck.asked.remove(&task);
        let stuck = self.stuck.tasks.entry(task).or_default();
        (stuck.marks, stuck.remedies) = Default::default();
        stuck.remedied = false;
        self.stuck.others.retain(|(of, _)| *of != task);
        self.stuck.diagnoses.retain(|of| of.task != task);
    }

    /// A turn that ended without an answer, by its agent's fault.
    fn comes_to_nothing(&mut self, attempt: AttemptId, ending: &Ending) {
        let mark = match ending {
            Ending::Failed {
                failure: Failure::Transient | Failure::Machine | Failure::Fatal,
                ..
            } => return,
            Ending::Failed { why, .. } => {
                let why: String = why.chars().filter(|c| !c.is_ascii_digit()).collect();
                format!("unfinished: {why}")
            }
            Ending::Expired => "expired".to_owned(),
            Ending::Overspent => "overspent".to_owned(),
            _ => return,
        };
        self.marked(attempt, Mark::Failed(mark));
    }

    fn nudged(&mut self, epoch: Epoch, stray: Stray, n: u32) {
        // An attempt that comes back under another lease has heard it already.
        let of = match self.leases[&epoch].turn {
            Turn::Work { attempt } => (Some(attempt), Epoch(0)),
            _ => (None, epoch),
        };
        let told = self.stuck.nudges.entry(of).or_default();
        told.push(stray);
        assert_eq!(told.len(), n as usize, "a nudge has another number");
        let quiet = told.iter().filter(|stray| **stray == Stray::Quiet).count();
        let before = told.len() > 1;
        let first = self.stuck.told_in.insert(epoch) && before;
        let heard = first || self.stuck.gained.get(&epoch).copied() >= Some(limits::GAINED);
        let most = if heard {
            limits::NUDGES_MOST
        } else {
            limits::NUDGES
        };
        let others = (told.len() - quiet) as u32;
        assert!(
            quiet as u32 <= limits::NUDGES && (stray == Stray::Quiet || others <= most),
            "epoch {} is told again and again that it goes nowhere",
            epoch.0
        );
        assert!(
            self.live.contains_key(&epoch),
            "a turn that is over is told something"
        );
    }

    fn ends_in(&mut self, attempt: AttemptId, rejection: &Rejection) {
        let mark = match rejection {
            Rejection::Person { .. } | Rejection::Conflict { .. } => {
                self.stuck
                    .tasks
                    .entry(attempt.task)
                    .or_default()
                    .marks
                    .clear();
                return;
            }
            Rejection::Gate { gate, tree } => {
                let run = self.stuck.runs.get(&(gate.clone(), tree.clone()));
                match run.cloned().flatten() {
                    Some(run) => Mark::Failed(format!("{gate}: {run}")),
                    None => Mark::Unclear,
                }
            }
            Rejection::Nothing => Mark::Failed("nothing".into()),
            Rejection::Protected { paths } => Mark::Failed(format!("protected {paths:?}")),
            _ => Mark::Unclear,
        };
        self.marked(attempt, mark);
    }

    fn marked(&mut self, attempt: AttemptId, mark: Mark) {
        let tree = self.works.get(&attempt).map(|work| work.tree.clone());
        let stuck = self.stuck.tasks.entry(attempt.task).or_default();
        stuck.marks.push((mark, tree));
        stuck.remedied = false;
    }

    /// An attempt begins: what stagnates is not simply tried again.
    fn work_goes_on(&mut self, attempt: AttemptId, model: Option<&str>) {
        let Some(stuck) = self.stuck.tasks.get(&attempt.task) else {
            return;
        };
        if let [.., (one, _), (two, _)] = stuck.marks.as_slice()
            && one == two
            && *two != Mark::Unclear
        {
            assert!(
                stuck.remedied,
                "{attempt} begins though the two before it ended alike: {one:?}"
            );
        }
        if let Some(model) = model {
            let other = (attempt.task, model.to_owned());
            assert!(
                self.stuck.others.contains(&other),
                "{attempt} is asked of another model, and nobody said why"
            );
        }
    }

    fn remedied(&mut self, task: TaskId, n: u32, remedy: Remedy, model: Option<&str>) {
        let next = AttemptId {
            task,
            n: self.attempts.get(&task).copied().unwrap_or(0) + 1,
        };
        let stuck = self.stuck.tasks.entry(task).or_default();
        let [.., (one, tree), (two, same)] = stuck.marks.as_slice() else {
            panic!("{task} stagnates after fewer than two attempts");
        };
        let unclear = [one, two].contains(&&Mark::Unclear);
        let alike = one == two || unclear || (tree.is_some() && tree == same);
        assert!(
            alike,
            "{task} stagnates, and its attempts ended in {one:?} and {two:?}"
        );
        assert!(n >= limits::ALIKE, "{task} stagnates after {n}");
        let tried = (two.clone(), remedy);
        assert!(
            *two == Mark::Unclear || !stuck.remedies.contains(&tried) || remedy == Remedy::Model,
            "{task} is treated again in the way that did not help: {tried:?}"
        );
        stuck.remedies.push(tried);
        stuck.remedied = true;
        if remedy == Remedy::Split {
            self.stuck.asked_to_cut += 1;
            let (asked, most) = (self.stuck.asked_to_cut, self.terms.splits);
            assert!(
                asked <= most,
                "{asked} tasks are cut anew, and {most} may be"
            );
            let mut known = self.stuck.cut.iter();
            assert!(
                known.all(|(whole, pieces)| *whole != task && !pieces.contains(&task)),
                "{task} is cut anew a second time, or is a piece"
            );
        }
        if remedy == Remedy::Diagnose {
            self.stuck.diagnoses.insert(next);
        }
        if let Some(model) = model {
            let other = (task, model.to_owned());
            self.stuck.asked.insert(task, (next, model.to_owned()));
            assert!(
                self.stuck.others.insert(other),
                "{task} is asked of {model} again"
            );
        }
    }

    /// A task is cut anew: nothing that proves it is lost, and it waits for each piece. Or it is red when all of them have
    /// landed, and a Worker goes on.
    pub(super) fn cut(&mut self, whole: TaskId, tasks: &[Task], dropped: &[TaskId]) {
        assert!(dropped.is_empty(), "{whole} is cut and {dropped:?} dropped");
        assert!(
            !self.landed.contains(&whole),
            "{whole} has landed and is cut"
        );
        let after = tasks.iter().find(|task| task.id == whole);
        let after = after.expect("a task that is cut stays in the plan");
        let before = &self.tasks[&whole];
        let proofs = |task: &Task| -> Vec<String> {
            let all = task.acceptance.iter();
            all.map(|gate| gate.program.to_string()).collect()
        };
        assert_eq!(proofs(before), proofs(after), "{whole} is proved otherwise");
        assert!(
            before.needs.iter().all(|need| after.needs.contains(need)),
            "{whole} does not need any more what it needed"
        );
        let new = tasks
            .iter()
            .filter(|task| !self.tasks.contains_key(&task.id));
        let new: BTreeSet<TaskId> = new.map(|task| task.id).collect();
        if new.is_empty() {
            assert_eq!(after.kind, TaskKind::Agent, "{whole} goes back to nobody");
            let pieces = &self.stuck.cut[&whole];
            let gone = |piece: &TaskId| {
                self.landed.contains(piece) || self.steered.waived.contains(&(whole, *piece))
            };
            assert!(
                pieces.iter().all(gone),
                "{whole} goes on before its pieces are done"
            );
            return;
        }
        let last = self.stuck.tasks[&whole].remedies.last();
        let asked = last.is_some_and(|(_, remedy)| *remedy == Remedy::Split);
        assert!(asked, "nobody asked for {whole} to be cut");
        assert!(
            new.len() <= limits::PIECES,
            "{whole} is cut into {}",
            new.len()
        );
        assert!(
            new.iter().all(|piece| after.needs.contains(piece)),
            "{whole} does not wait for all of its pieces"
        );
        assert_eq!(
            after.kind,
            TaskKind::Gate,
            "{whole} is worked on beside its pieces"
        );
        let again = self.stuck.cut.insert(whole, new);
        assert!(again.is_none(), "{whole} is cut twice");
    }

    fn diagnosed(&mut self, attempt: AttemptId, strategy: &str) {
        assert!(
            self.stuck.diagnoses.contains(&attempt),
            "{attempt} names a strategy that nobody asked for"
        );
        self.stuck.diagnosed.insert(attempt);
        let stuck = self.stuck.tasks.entry(attempt.task).or_default();
        let new = plain(strategy);
        let before = stuck.strategies.iter().chain(&stuck.summaries);
        assert!(
            !new.is_empty() && before.clone().all(|tried| *tried != new),
            "{attempt} does what was tried before: {strategy}"
        );
        stuck.strategies.push(new);
    }
}
