//! What evidence says: of an attempt, of a combined tree, of the whole. An agent's word is not evidence.

mod as_before;

use crate::gate::{Gate, GateKind, GateResult, GateRun, Program};
use crate::ids::{TaskId, TreeId};
use crate::limits;
use crate::mission::{Mission, State, TaskState};
use crate::planted;
use crate::seal::Grade;
use crate::turn::Report;
use crate::work::Work;

/// What a project's gate says of the untouched base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Baseline {
    /// It passes, and must go on to.
    Green,
    /// It fails, and must not get worse.
    Red,
    /// It says now this, now that.
    Flaky,
    /// It cannot be run here, so it proves nothing and hinders nothing.
    Unusable,
}

/// Whether it was the work that turned a red command green; nothing where that cannot be told. Where tests had failed,
/// more of them must pass now, they must pass as they were written before the work, and something besides tests must
/// have changed: a runner that falls silent, a test that is skipped, removed or bent is green as well, whoever declared
/// it. A command that names no tests and is as red as before with the tests as they were tells nothing: it may look at
/// the new test alone.
fn turned_by_work(before: &GateRun, after: Option<&GateRun>, work: &Work) -> Option<bool> {
    let failing = |run: &GateRun| {
        let tests = run.tests.as_ref();
        tests
            .filter(|tests| !tests.failed.is_empty() || tests.unnamed > 0)
            .map(|tests| tests.passed)
    };
    let old = after.and_then(|run| run.as_before.as_deref());
    let Some(passed) = failing(before) else {
        return old.is_none_or(|old| old.result.passed()).then_some(true);
    };
    let tests = &work.tests;
    let bent = [&tests.changed, &tests.removed, &tests.grown]
        .into_iter()
        .any(|list| !list.is_empty());
    let is_test = |path: &String| {
        let lists = [&tests.changed, &tests.removed, &tests.added];
        lists.iter().any(|list| list.contains(path))
    };
    let more = after
        .and_then(|run| run.tests.as_ref())
        .is_some_and(|tests| tests.passed > passed);
    let only_tests = bent && work.touched.iter().all(is_test);
    Some(more && !only_tests && !old.is_some_and(as_before::contradicts))
}

impl Mission {
    /// What a gate says of the base; `None` until it has run often enough to say.
    pub fn baseline(&self, gate: &Gate) -> Option<Baseline> {
        let tree = &self.base()?.tree;
        let Some(evidence) = self.evidence(tree, &gate.command()) else {
            return self.given_up(tree, gate).then_some(Baseline::Unusable);
        };
        if !evidence.run.result.conclusive() {
            Some(Baseline::Unusable)
        } else if evidence.flaky {
            Some(Baseline::Flaky)
        } else if evidence.run.result.passed() {
            Some(Baseline::Green)
        } else if evidence.runs > limits::CONFIRMATIONS || self.given_up(tree, gate) {
            Some(Baseline::Red)
        } else {
            None
        }
    }

    /// Whether the machine lost this gate's run on this tree so often that it is not tried again.
    fn given_up(&self, tree: &TreeId, gate: &Gate) -> bool {
        let lost = self.lost.get(&(tree.clone(), gate.command()));
        lost.is_some_and(|lost| *lost >= limits::GATE_TRIES)
    }

    /// Whether a gate is green on a tree; `None` while it must run (again). Red is believed after `confirmations`
    /// further runs.
    pub(crate) fn settled(&self, tree: &TreeId, gate: &Gate, confirmations: u32) -> Option<bool> {
        if planted!("claim_trusted") && gate.kind == GateKind::Acceptance {
            return Some(true);
        }
        match self.evidence(tree, &gate.command()) {
            Some(evidence) if evidence.run.result.passed() => Some(true),
            Some(evidence) if evidence.runs > confirmations => Some(false),
            Some(_) | None if self.given_up(tree, gate) => Some(false),
            Some(_) | None => None,
        }
    }

    /// Whether every acceptance command of a task is green on its attempt's own tree.
    pub(crate) fn acceptance_is_green(&self, id: TaskId) -> bool {
        let task = &self.tasks[&id];
        let Some(work) = &task.work else { return false };
        task.task
            .acceptance
            .iter()
            .all(|gate| self.settled(&work.tree, gate, 0) == Some(true))
            && self
                .tests_before_review(id)
                .all(|gate| self.settled(&work.tree, gate, 0).is_some())
            && self.bent_attempt(id).is_empty()
    }

    /// The first command that has not run on an attempt's tree and must before its review: an acceptance command, or,
    /// where it changes tests, the project's own tests. Whether one was red already is asked before.
    pub(crate) fn next_acceptance(&self, id: TaskId) -> Option<&Gate> {
        let task = &self.tasks[&id];
        let tree = &task.work.as_ref()?.tree;
        task.task
            .acceptance
            .iter()
            .chain(self.tests_before_review(id))
            .find(|gate| self.settled(tree, gate, 0).is_none())
    }

    /// The first acceptance command of a task that is red on its attempt's tree.
    pub(crate) fn red_acceptance(&self, id: TaskId) -> Option<&Gate> {
        let task = &self.tasks[&id];
        let tree = &task.work.as_ref()?.tree;
        task.task
            .acceptance
            .iter()
            .find(|gate| self.settled(tree, gate, 0) == Some(false))
    }

    /// A program that a command names, where a run on this tree showed that it is not installed. No attempt can mend
    /// that: what the command would have said stays unknown. A script of the tree's own is another matter.
    pub(crate) fn not_installed(&self, tree: &TreeId, gate: &Gate) -> Option<&str> {
        let named = |tool: &str| match &gate.program {
            Program::Argv(words) => words.iter().any(|word| word == tool),
            Program::Shell(line) => {
                let between = |c: char| c.is_whitespace() || "&|;()`$".contains(c);
                line.split(between).any(|word| word == tool)
            }
        };
        match &self.evidence(tree, &gate.command())?.run.result {
            GateResult::MissingTool { tool } if !tool.contains('/') && named(tool) => Some(tool),
            _ => None,
        }
    }

    /// The first acceptance command of a task of which it is not known what it says of the attempt's base.
    pub(crate) fn next_before(&self, id: TaskId) -> Option<&Gate> {
        let task = &self.tasks[&id];
        let (_, tree) = task.base.as_ref()?;
        let known = |gate: &Gate| self.evidence_for(task, tree, &gate.command()).is_some();
        task.task
            .acceptance
            .iter()
            .find(|gate| !known(gate) && self.settled(tree, gate, 0).is_none())
    }

    /// What a project's gate says of a combined tree: whether it may land. `None` while something must run first.
    pub(crate) fn project_gate_allows(&self, tree: &TreeId, gate: &Gate) -> Option<bool> {
        if planted!("project_gate_ignored") {
            return Some(true);
        }
        match self.baseline(gate)? {
            Baseline::Unusable => Some(true),
            Baseline::Green => {
                let green = self.settled(tree, gate, limits::CONFIRMATIONS)?;
                Some(green && self.count_fault(tree, gate).is_none())
            }
            Baseline::Flaky => self.settled(tree, gate, 2 * limits::CONFIRMATIONS),
            Baseline::Red => {
                self.settled(tree, gate, 0)?;
                Some(self.no_worse(tree, gate))
            }
        }
    }

    /// Whether a gate that is red on the base got no worse. Where the runner names its tests, no test may fail that
    /// did not fail before; where it does not, nothing can be told, and nothing is claimed.
    fn no_worse(&self, tree: &TreeId, gate: &Gate) -> bool {
        let command = gate.command();
        let run_on = |tree: &TreeId| self.evidence(tree, &command).map(|evidence| &evidence.run);
        let (Some(base), Some(now)) = (
            self.base().and_then(|base| run_on(&base.tree)),
            run_on(tree),
        ) else {
            return false;
        };
        match (&base.tests, &now.tests) {
            _ if now.result.passed() => true,
            (Some(before), Some(after)) => {
                // A name that is new may be one of those that the list had no room for before.
                let new = after
                    .failed
                    .iter()
                    .filter(|name| !before.failed.contains(name));
                let unknown = (new.count() as u32).saturating_add(after.unnamed);
                unknown <= before.unnamed && after.collected() >= before.collected()
            }
            (Some(_), None) => false,
            (None, _) => true,
        }
    }

    /// Why the number of tests speaks against a green run: fewer collected or more skipped than on what it stands
    /// on, and nobody in the stack changed tests and declared it.
    pub(crate) fn count_fault(&self, tree: &TreeId, gate: &Gate) -> Option<String> {
        if gate.kind != GateKind::Test {
            return None;
        }
        let command = gate.command();
        let tests = |tree: &TreeId| {
            self.evidence(tree, &command)
                .and_then(|evidence| evidence.run.tests.as_ref())
        };
        // What has landed may have been proved with tools that were upgraded since; what it collected then is nearer to
        // it than what the base collects now, where a test was removed on purpose in between.
        let at_any_time = |tree: &TreeId| {
            self.all_evidence()
                .filter(|found| found.run.tree == *tree && found.run.command == command)
                .find_map(|found| found.run.tests.as_ref())
        };
        let after = tests(tree);
        let before = self
            .head()
            .and_then(|(_, head)| tests(head).or_else(|| at_any_time(head)))
            .or_else(|| tests(&self.base()?.tree))?;
        let Some(after) = after else {
            return Some("the runner no longer says how many tests it ran".into());
        };
        let mut stack = self.landing().into_iter().flat_map(|l| &l.attempts);
        if stack.any(|attempt| self.declares(attempt.task)) {
            None
        } else if after.collected() < before.collected() {
            Some(format!(
                "{} tests were collected, {} before",
                after.collected(),
                before.collected()
            ))
        } else if after.skipped > before.skipped {
            Some(format!(
                "{} tests were skipped, {} before",
                after.skipped, before.skipped
            ))
        } else {
            None
        }
    }

    /// Whether what a task handed in removes, changes or skips tests and says so, with a reason.
    fn declares(&self, task: TaskId) -> bool {
        let Some(TaskState {
            work: Some(work),
            report: Some(Report::Done { changed_tests, .. }),
            ..
        }) = self.task(task)
        else {
            return false;
        };
        let facts = &work.tests;
        let touched = |path: &String| {
            let skips = |skip: &String| skip.split(": ").next() == Some(path.as_str());
            facts.changed.contains(path)
                || facts.removed.contains(path)
                || facts.silenced.iter().any(skips)
        };
        changed_tests
            .iter()
            .any(|change| touched(&change.path) && !change.why.trim().is_empty())
    }

    /// The gates of the landing in flight with what each says of its combined tree.
    fn landing_verdicts(&self) -> Vec<(&Gate, Option<bool>)> {
        let Some(landing) = &self.landing else {
            return Vec::new();
        };
        let Some((_, tree)) = &landing.top else {
            return Vec::new();
        };
        let project = self
            .gates
            .iter()
            .map(|gate| (gate, self.project_gate_allows(tree, gate)))
            .map(|(gate, allows)| {
                (
                    gate,
                    allows.map(|yes| yes && self.bent_tests(tree, gate).is_none()),
                )
            });
        let tasks = landing
            .attempts
            .iter()
            .filter_map(|attempt| self.tasks.get(&attempt.task));
        let own = tasks.flat_map(|task| &task.task.acceptance);
        let own = own.map(|gate| (gate, self.settled(tree, gate, limits::CONFIRMATIONS)));
        project.chain(own).collect()
    }

    /// Whether everything that must be green on the combined tree is.
    pub(crate) fn landing_is_green(&self) -> bool {
        let stacked = self
            .landing
            .as_ref()
            .is_some_and(|landing| landing.top.is_some());
        stacked
            && self
                .landing_verdicts()
                .iter()
                .all(|(_, verdict)| *verdict == Some(true))
    }

    /// The first gate that speaks against the landing in flight.
    pub(crate) fn red_landing_gate(&self) -> Option<&Gate> {
        self.landing_verdicts()
            .into_iter()
            .find(|(_, verdict)| *verdict == Some(false))
            .map(|(gate, _)| gate)
    }

    /// The next gate that the landing in flight waits for, unless one was red already.
    pub(crate) fn next_landing_gate(&self) -> Option<&Gate> {
        self.landing_verdicts()
            .into_iter()
            .find(|(_, verdict)| verdict.is_none())
            .map(|(gate, _)| gate)
    }

    /// The next gate that the seal waits for on the final tree.
    pub(crate) fn next_seal_gate(&self) -> Option<&Gate> {
        let (_, tree) = self.head()?;
        if self.landed == 0 {
            return None;
        }
        let waits = |gate: &&Gate| self.settled(tree, gate, limits::CONFIRMATIONS).is_none();
        let project = self
            .gates
            .iter()
            .find(|gate| self.project_gate_allows(tree, gate).is_none());
        let landed = self
            .tasks
            .values()
            .filter(|task| task.state == State::Landed);
        project.or_else(|| landed.flat_map(|task| &task.task.acceptance).find(waits))
    }

    /// What is red on the final tree, in words.
    pub(crate) fn seal_faults(&self) -> Vec<String> {
        let Some((_, tree)) = self.head() else {
            return Vec::new();
        };
        let mut faults = Vec::new();
        for gate in self
            .gates
            .iter()
            .filter(|gate| self.project_gate_allows(tree, gate) == Some(false))
        {
            faults.push(format!("{} is red on the final tree", gate.id));
        }
        for task in self
            .tasks
            .values()
            .filter(|task| task.state == State::Landed)
        {
            let red = |gate: &&Gate| self.settled(tree, gate, limits::CONFIRMATIONS) == Some(false);
            for gate in task.task.acceptance.iter().filter(red) {
                faults.push(format!(
                    "{}: `{}` is red on the final tree",
                    task.task.id, gate.program
                ));
            }
        }
        faults
    }

    /// How strongly a task's result is proved.
    ///
    /// A gate proves only what it discriminates. An acceptance command that was red on what the attempt stood on and
    /// is green on its tree is `discriminating`, and `landed` once it and the project's gates are green on the
    /// combined tree. One that was green already proves at most that nothing broke, and even that only where it, or
    /// a gate of the project, is known to look at something: `true` is green on every tree.
    pub fn grade(&self, id: TaskId) -> Grade {
        let Some(task) = self.tasks.get(&id) else {
            return Grade::Claimed;
        };
        let (Some(work), Some((_, before))) = (&task.work, &task.base) else {
            return Grade::Claimed;
        };
        let landed = task.state == State::Landed;
        let known = |tree: &TreeId, gate: &Gate| self.evidence_for(task, tree, &gate.command());
        let run_on = |tree: &TreeId, gate: &Gate| known(tree, gate).map(|evidence| &evidence.run);
        // What has landed is judged by the tools as they are now.
        let on_head = |tree: &TreeId, gate: &Gate| {
            let evidence = self.evidence(tree, &gate.command());
            evidence.map(|evidence| evidence.run.result.passed())
        };
        let green_on =
            |tree: &TreeId, gate: &Gate| run_on(tree, gate).is_some_and(|run| run.result.passed());
        let own = &task.task.acceptance;
        let head = self.head().map(|(_, tree)| tree).filter(|_| landed);
        let stale = |gate: &Gate| head.is_some_and(|tree| on_head(tree, gate) == Some(false));
        if own.is_empty()
            || !own.iter().all(|gate| green_on(&work.tree, gate))
            || own.iter().any(stale)
        {
            return Grade::Claimed;
        }
        // Out of time, over a limit or crashed says nothing of what the work changed; nor does a check that says now
        // this, now that.
        let red_before = |gate: &Gate| {
            known(before, gate)
                .filter(|evidence| {
                    !evidence.flaky && matches!(evidence.run.result, GateResult::Failed { .. })
                })
                .map(|evidence| turned_by_work(&evidence.run, run_on(&work.tree, gate), work))
        };
        let turned: Vec<Option<bool>> = own.iter().filter_map(red_before).collect();
        if turned.contains(&Some(false)) {
            return Grade::Claimed;
        }
        if turned.contains(&Some(true)) {
            return if landed {
                Grade::Landed
            } else {
                Grade::Discriminating
            };
        }
        let tests_something =
            |run: &GateRun| run.tests.as_ref().is_some_and(|tests| tests.passed > 0);
        // Where the tests alone may have turned a command green, no linter stands for them.
        let untold = turned.contains(&None);
        let guarded = |gate: &Gate| {
            (gate.kind == GateKind::Test || !untold)
                && self.baseline(gate) == Some(Baseline::Green)
                && head.is_some_and(|tree| on_head(tree, gate) == Some(true))
        };
        let looks = own
            .iter()
            .filter_map(|gate| run_on(&work.tree, gate))
            .any(tests_something);
        if looks || self.gates.iter().any(guarded) {
            Grade::RegressionOnly
        } else {
            Grade::Claimed
        }
    }
}
