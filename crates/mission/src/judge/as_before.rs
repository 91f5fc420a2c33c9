//! What the tests as they were before a change say of it. A test that is bent passes as the change has it, and fails as
//! it was.

use super::Baseline;
use crate::gate::{AsBefore, Gate, GateKind, GateRun};
use crate::ids::{TaskId, TreeId};
use crate::mission::Mission;

/// The most names that a sentence lists.
const NAMES: usize = 5;

/// Whether the tests as they were say that those which failed before the work fail still, or cannot run any more.
pub(super) fn contradicts(old: &AsBefore) -> bool {
    let none_failed = |old: &AsBefore| {
        let tests = old.tests.as_ref();
        tests.is_none_or(|tests| tests.failed.is_empty() && tests.unnamed == 0)
    };
    !old.broken.is_empty() || (!old.result.passed() && none_failed(old))
}

impl Mission {
    /// The project's tests that run on an attempt's own tree before its review: where it changes or removes tests, which
    /// it has to declare, its Reviewer is told what they say as they were.
    pub(super) fn tests_before_review(&self, id: TaskId) -> impl Iterator<Item = &Gate> {
        let work = self.tasks.get(&id).and_then(|task| task.work.as_ref());
        let changes = work
            .is_some_and(|work| !work.tests.changed.is_empty() || !work.tests.removed.is_empty());
        self.gates.iter().filter(move |gate| {
            let known = || matches!(self.baseline(gate), Some(Baseline::Green | Baseline::Red));
            changes && gate.kind == GateKind::Test && known()
        })
    }

    /// Why the tests as they were speak against a tree, where nobody declared that they change.
    pub(crate) fn bent_tests(&self, tree: &TreeId, gate: &Gate) -> Option<String> {
        let is_tests = gate.kind == GateKind::Test;
        if is_tests && self.baseline(gate) == Some(Baseline::Flaky) {
            return None;
        }
        let run = &self.evidence(tree, &gate.command())?.run;
        let old = run.as_before.as_deref()?;
        let files = listed(&old.undeclared)?;
        match listed(&old.broken) {
            Some(broken) => Some(format!(
                "with {files} as before the change, which is not among the declared test changes, `{}` finds that these fail: {broken}",
                gate.program
            )),
            // A command of one task may look at nothing but the new test.
            None if is_tests && run.result.passed() && contradicts(old) => Some(format!(
                "with {files} as before the change, which is not among the declared test changes, `{}` is red",
                gate.program
            )),
            None => None,
        }
    }

    /// The same of an attempt on its own tree, by every command that ran there.
    pub(crate) fn bent_attempt(&self, id: TaskId) -> Vec<String> {
        let Some(task) = self.tasks.get(&id) else {
            return Vec::new();
        };
        let Some(work) = &task.work else {
            return Vec::new();
        };
        let all = task.task.acceptance.iter().chain(self.test_gates());
        all.filter_map(|gate| self.bent_tests(&work.tree, gate))
            .collect()
    }

    fn test_gates(&self) -> impl Iterator<Item = &Gate> {
        self.gates.iter().filter(|gate| gate.kind == GateKind::Test)
    }

    /// What is known of a task's tests besides whether they pass, for its Reviewer and for people: what they say as they
    /// were before the work, and whether those that it wrote are run by anything.
    pub fn tests_told(&self, id: TaskId) -> Vec<String> {
        let Some(task) = self.tasks.get(&id) else {
            return Vec::new();
        };
        let (Some(work), Some((_, base))) = (&task.work, &task.base) else {
            return Vec::new();
        };
        let gates: Vec<&Gate> = task
            .task
            .acceptance
            .iter()
            .chain(self.test_gates())
            .collect();
        let run = |tree: &TreeId, gate: &Gate| {
            let evidence = self.evidence_for(task, tree, &gate.command());
            evidence.map(|evidence| &evidence.run)
        };
        let mut told: Vec<String> = gates
            .iter()
            .filter_map(|gate| difference(gate, run(&work.tree, gate)?))
            .collect();
        if work.tests.written > 0 {
            let more = |gate: &&Gate| {
                let count = |tree| Some(run(tree, gate)?.tests.as_ref()?.collected());
                let (before, after) = (count(base)?, count(&work.tree)?);
                Some((gate.program.to_string(), after.saturating_sub(before)))
            };
            let known: Vec<(String, u32)> = gates.iter().filter_map(more).collect();
            let written = work.tests.written;
            told.extend(match known.iter().max_by_key(|(_, more)| *more) {
                Some((_, 0)) => Some(format!(
                    "{written} tests were written, and no command collects more tests than before the work"
                )),
                Some((command, more)) => Some(format!(
                    "{written} tests were written, and `{command}` collects {more} more than before the work"
                )),
                None => None,
            });
        }
        told
    }
}

/// What a command says with the tests as they were, in words.
fn difference(gate: &Gate, run: &GateRun) -> Option<String> {
    let old = run.as_before.as_deref()?;
    let files = listed(&old.files)?;
    let says = match listed(&old.broken) {
        _ if old.result.passed() => "passes".to_owned(),
        Some(broken) => {
            format!("finds that these fail, which do not as the work has them: {broken}")
        }
        None if run.result.passed() => "is red".to_owned(),
        None => "finds nothing else".to_owned(),
    };
    Some(format!(
        "with {files} as before the work, `{}` {says}",
        gate.program
    ))
}

fn listed(names: &[String]) -> Option<String> {
    let more = names.len().saturating_sub(NAMES);
    let shown = names.get(..NAMES).unwrap_or(names).join(", ");
    match more {
        _ if names.is_empty() => None,
        0 => Some(shown),
        _ => Some(format!("{shown} and {more} more")),
    }
}
