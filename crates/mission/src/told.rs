//! Why something did not go on, in words for people and for whoever tries next.

use crate::decide::{cut, words};
use crate::event::Rejection;
use crate::gate::{Gate, GateResult, GateRun};
use crate::ids::TreeId;
use crate::mission::{Mission, TaskState};

/// The most of a command's last line that is repeated, in characters.
const LINE: usize = 200;

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

    fn run_of(&self, id: &str, tree: &TreeId) -> Option<(&Gate, &GateRun)> {
        let own = self.tasks().flat_map(|task| &task.task.acceptance);
        let gate = self.gates().iter().chain(own).find(|gate| gate.id == id)?;
        let evidence = self.evidence(tree, &gate.command())?;
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
    let mut lines = run.tail.lines().rev().map(str::trim);
    let last = lines.find(|line| !line.is_empty());
    match last {
        Some(line) => {
            let line: String = line.chars().take(LINE).collect();
            format!("`{command}` {how}: {line}")
        }
        None => format!("`{command}` {how}"),
    }
}
