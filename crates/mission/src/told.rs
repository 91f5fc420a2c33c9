//! Why something did not go on, in words for people and for whoever tries next.

use crate::decide::{cut, words};
use crate::event::Rejection;
use crate::gate::{Gate, GateResult, GateRun};
use crate::ids::TreeId;
use crate::mission::{Mission, TaskState};

/// The most of a command's last line that is repeated, in characters.
const LINE: usize = 200;

/// Words that a line about a failure has.
const BAD: [&str; 9] = [
    "fail", "failed", "fails", "failure", "failures", "error", "errors", "panicked", "fatal",
];
/// The most failing tests that are named.
const NAMED: usize = 3;

impl Mission {
    /// Why an attempt was turned down: of a gate, what was run, how it ended, and the last that it said.
    pub fn told(&self, rejection: &Rejection) -> String {
        let run = match rejection {
            Rejection::Gate { gate, tree } => self.run_of(gate, tree),
            _ => None,
        };
        match run {
            Some((gate, run)) => cut(&red(gate, run)),
            None => cut(&words(rejection)),
        }
    }

    pub(crate) fn run_of(&self, id: &str, tree: &TreeId) -> Option<(&Gate, &GateRun)> {
        let own = self.tasks().flat_map(|task| &task.task.acceptance);
        let gate = self.gates().iter().chain(own).find(|gate| gate.id == id)?;
        let command = gate.command();
        // It may have been turned down before a tool was upgraded.
        let at_any_time = || {
            self.all_evidence()
                .find(|found| found.run.tree == *tree && found.run.command == command)
        };
        let evidence = self.evidence(tree, &command).or_else(at_any_time)?;
        Some((gate, &evidence.run))
    }

    /// What a disputed task is disputed about.
    pub(crate) fn dispute_told(task: &TaskState) -> String {
        match task.history.last() {
            Some((_, Rejection::Review { findings })) if !findings.is_empty() => {
                let what = &findings[0].what;
                format!("is disputed: its checks are green, and the Reviewer found: {what}")
            }
            _ => "is disputed: its checks are green, and no Reviewer accepted it".into(),
        }
    }
}

/// Whether a line of output is about what went wrong.
fn tells(line: &str) -> bool {
    // What `make` and `npm` say of a failure is only that there was one.
    if ["make:", "make[", "npm "]
        .iter()
        .any(|by| line.starts_with(by))
    {
        return false;
    }
    let small = line.to_lowercase();
    let words: Vec<&str> = small
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    // A count of none is good news, before or behind the word.
    let none = |n: Option<&&str>| n.is_some_and(|word| ["0", "no"].contains(word));
    let bad = |n: usize| {
        let before = n.checked_sub(1).and_then(|n| words.get(n));
        BAD.contains(&words[n]) && !none(before) && !none(words.get(n + 1))
    };
    small.starts_with("not ok") || (0..words.len()).any(bad)
}

fn red(gate: &Gate, run: &GateRun) -> String {
    let command = &gate.program;
    let how = match &run.result {
        GateResult::Passed => "passed, but not as it must".to_owned(),
        GateResult::Failed { exit } => format!("was red (exit {exit})"),
        GateResult::Crashed { signal } => format!("was ended by signal {signal}"),
        GateResult::TimedOut => "ran out of time".to_owned(),
        GateResult::MissingTool { tool } => {
            return format!("`{command}` cannot run: there is no {tool}");
        }
        GateResult::NeedsService { what } => format!("cannot run: it needs a service ({what})"),
        GateResult::OverLimit { what } => format!("went past a limit ({what})"),
    };
    let failed = run.tests.iter().flat_map(|tests| &tests.failed);
    let named: Vec<&str> = failed.take(NAMED).map(String::as_str).collect();
    if let (Some(tests), false) = (&run.tests, named.is_empty()) {
        let n = tests.failed.len() + tests.unnamed as usize;
        let what = format!("{n} failing, {}", named.join(", "));
        let what: String = what.chars().take(LINE).collect();
        return format!("`{command}` {how}: {what}");
    }
    let lines = || run.tail.lines().rev().map(str::trim);
    // Many runners go on after what failed, and their last line is about something that is well.
    let telling = lines().find(|line| tells(line));
    match telling.or_else(|| lines().find(|line| !line.is_empty())) {
        Some(line) => {
            let line: String = line.chars().take(LINE).collect();
            format!("`{command}` {how}: {line}")
        }
        None => format!("`{command}` {how}"),
    }
}

#[cfg(test)]
mod tests {
    use super::tells;

    #[test]
    fn a_line_about_a_failure_is_told_from_one_that_says_all_is_well() {
        for line in [
            "FAIL  test/tag.sh",
            "not ok 3 - adds",
            "10 failed, 2 passed",
            "error[E0308]: mismatched types",
            "AssertionError: 1 != 2 (failed)",
        ] {
            assert!(tells(line), "{line}");
        }
        for line in [
            "ok    test/tag.sh",
            "test result: ok. 3 passed; 0 failed; 0 ignored",
            "failures: 0",
            "make: *** [Makefile:2: test] Error 1",
            "12 tests, no errors",
        ] {
            assert!(!tells(line), "{line}");
        }
    }
}
