//! What is known because the engine ran a command on an exact tree, with the tools that there were.

use crate::gate::GateRun;
use crate::ids::{Digest, TreeId};
use crate::mission::{Mission, TaskState};

/// What is known of one command on one tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The last run.
    pub run: GateRun,
    /// How many runs there were.
    pub runs: u32,
    /// Whether runs on the same tree disagreed.
    pub flaky: bool,
}

impl Mission {
    /// What is known of a command on a tree, in the environment in which evidence is made now.
    pub fn evidence(&self, tree: &TreeId, command: &Digest) -> Option<&Evidence> {
        self.evidence_in(self.environment.as_ref()?, tree, command)
    }

    fn evidence_in(
        &self,
        environment: &Digest,
        tree: &TreeId,
        command: &Digest,
    ) -> Option<&Evidence> {
        let key = (tree.clone(), command.clone(), environment.clone());
        self.evidence.get(&key)
    }

    /// What a command said of a tree that a task's proof is about: in the environment in which the task was proved,
    /// else in today's. What was proved once is not unproved by an upgrade of a tool.
    pub fn evidence_for(
        &self,
        task: &TaskState,
        tree: &TreeId,
        command: &Digest,
    ) -> Option<&Evidence> {
        let then = task.proved_in.as_ref();
        then.and_then(|then| self.evidence_in(then, tree, command))
            .or_else(|| self.evidence(tree, command))
    }

    /// All evidence.
    pub fn all_evidence(&self) -> impl Iterator<Item = &Evidence> {
        self.evidence.values()
    }
}
