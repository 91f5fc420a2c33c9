//! Gates: commands run by the engine whose outcome is evidence.

use crate::ids::{Digest, TreeId};
use crate::time::Millis;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a gate looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateKind {
    /// The project's tests.
    Test,
    /// A linter that the project configures.
    Lint,
    /// A type checker that the project configures.
    Types,
    /// The project's build.
    Build,
    /// A command that the plan names to prove one task.
    Acceptance,
}

/// How a gate is started. An argument list is never joined into a shell line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Program {
    /// A program and its arguments.
    Argv(Vec<String>),
    /// A line for `sh -c`: what a project's scripts and a plan's acceptance commands are written in.
    Shell(String),
}

impl fmt::Display for Program {
    /// As a person would type it; for screens only, never for running.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argv(words) => f.write_str(&words.join(" ")),
            Self::Shell(line) => f.write_str(line),
        }
    }
}

/// A check that the engine can run on a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// A short name, unique in the mission: `npm-test`, `cargo-clippy`, `T3/accept-1`.
    pub id: String,
    /// What it looks at.
    pub kind: GateKind,
    /// What is run.
    pub program: Program,
    /// Where, below the root of the tree; empty for the root itself. Never absolute, never with `..`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub directory: String,
    /// After this long it is killed and counts as not passed.
    pub timeout: Millis,
    /// Why this is a gate, in words a person can check: "`scripts.test` in package.json".
    pub source: String,
    /// Files that define this gate, below the root. They are pinned from the base: a change to one is shown and the
    /// gate is run both ways.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub defined_by: Vec<String>,
}

impl Gate {
    /// What makes two gates the same for evidence: program and place, not the name.
    pub fn command(&self) -> Digest {
        let mut bytes = Vec::new();
        let mut part = |text: &str| {
            bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        };
        match &self.program {
            Program::Argv(words) => {
                part("argv");
                words.iter().for_each(|word| part(word));
            }
            Program::Shell(line) => {
                part("shell");
                part(line);
            }
        }
        part("in");
        part(&self.directory);
        Digest::of(&bytes)
    }
}

/// How a run of a gate ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "how")]
pub enum GateResult {
    /// It exited with 0.
    Passed,
    /// It exited with another code.
    Failed {
        /// The code.
        exit: i32,
    },
    /// A signal ended it that was not ours.
    Crashed {
        /// The signal's number.
        signal: i32,
    },
    /// It was still running at its limit and was killed with all it had started.
    TimedOut,
    /// The program is not there; what it would have said is unknown.
    MissingTool {
        /// The program's name.
        tool: String,
    },
    /// It wants a service that does not answer (a database, a port).
    NeedsService {
        /// What it said of it, shortened.
        what: String,
    },
    /// It went past a limit other than its time (output, processes) and was killed with all it had started.
    OverLimit {
        /// Which limit, and how far it was.
        what: String,
    },
}

impl GateResult {
    /// Whether this is proof.
    pub fn passed(&self) -> bool {
        matches!(self, Self::Passed)
    }

    /// Whether the run says anything about the tree at all; if not, it proves neither good nor bad.
    pub fn conclusive(&self) -> bool {
        !matches!(self, Self::MissingTool { .. } | Self::NeedsService { .. })
    }
}

/// What a known test runner said of its tests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestCount {
    /// Tests that ran and passed.
    pub passed: u32,
    /// Names of tests that failed, sorted, at most 200.
    pub failed: Vec<String>,
    /// Tests that failed beyond those named: the list was full, or the runner gave only their number.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unnamed: u32,
    /// Tests that were skipped or ignored, or were expected to fail and did.
    pub skipped: u32,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl TestCount {
    /// How many tests the runner collected.
    pub fn collected(&self) -> u32 {
        // The numbers come from what a runner printed, which may be anything.
        let failed = u32::try_from(self.failed.len()).unwrap_or(u32::MAX);
        [failed, self.unnamed, self.skipped]
            .into_iter()
            .fold(self.passed, u32::saturating_add)
    }
}

/// Evidence: one run of one gate, by the engine, on one exact tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateRun {
    /// The gate's name.
    pub gate: String,
    /// [`Gate::command`] of what was run.
    pub command: Digest,
    /// The tree it was run on.
    pub tree: TreeId,
    /// A digest of what else could change the outcome: set-up recipe, lock files, tool versions.
    pub environment: Digest,
    /// How it ended.
    pub result: GateResult,
    /// The digest of all its output, whatever its length.
    pub output: Digest,
    /// The last of its output, as it came, at most 4 KiB. Untrusted text: escape it where it is shown.
    pub tail: String,
    /// What the test runner counted, where it is one we read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<TestCount>,
    /// What the same command said of the same tree with the tests as they were before the change; only where the change
    /// touches tests that were there, and the engine asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_before: Option<Box<AsBefore>>,
    /// How long it took.
    pub duration: Millis,
}

/// A gate's second run on a tree whose change touches what judges it: with the base's version of those files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AsBefore {
    /// The files that were put back, at most 50.
    pub files: Vec<String>,
    /// Those of them whose change nobody declared, if the run ends no better with these alone put back; at most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undeclared: Vec<String>,
    /// How the run ended.
    pub result: GateResult,
    /// What the test runner counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<TestCount>,
    /// Tests that were there before, fail as they were, and do not fail as the change has them; sorted, at most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub broken: Vec<String>,
}

impl GateRun {
    /// Whether it passed although its test runner ran no test at all: none was found, or all were skipped. Such a run
    /// proves nothing where tests were expected: a filter that matches nothing, or tests that were moved out of sight.
    pub fn ran_nothing(&self) -> bool {
        self.result.passed()
            && self
                .tests
                .as_ref()
                .is_some_and(|tests| tests.collected() == tests.skipped)
    }
}
