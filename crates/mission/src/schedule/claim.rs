//! What a task needs to itself while it runs: resources that exist once, and slots, at a provider of its own where it
//! stagnates.

use crate::event::Ending;
use crate::gate::{Gate, GateKind};
use crate::ids::{Epoch, TaskId};
use crate::mission::{Mission, TaskState};
use crate::planted;
use std::collections::BTreeSet;

/// What a task takes while it runs. Tasks that take the same are looked for together.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Claim {
    /// The resources, sorted.
    pub(crate) resources: Vec<String>,
    /// So many slots.
    pub(crate) weight: u32,
    /// The model that its next attempt is asked of, where that is not its role's.
    pub(crate) model: Option<String>,
    /// How often in a row it was refused: others may be to try first.
    pub(crate) refusals: u32,
}

impl Claim {
    pub(crate) fn of(task: &TaskState) -> Self {
        Self {
            resources: task.task.resources.clone(),
            weight: task.task.weight,
            model: task.stuck.model(task.next().n).map(str::to_owned),
            refusals: task.refusals,
        }
    }
}

impl Mission {
    /// Which lease has which resource: that of a Worker whose task names it, or of a check of such a task.
    pub fn held(&self) -> impl Iterator<Item = (&str, Epoch)> {
        self.held
            .iter()
            .map(|(name, epoch)| (name.as_str(), *epoch))
    }

    /// The first of these resources that somebody has, and who that is as people call it.
    pub(crate) fn holder(&self, resources: &[String]) -> Option<(&str, String)> {
        let (name, epoch) = resources
            .iter()
            .find_map(|name| self.held.get_key_value(name))?;
        let worker = self.leases.get(epoch).map(|lease| lease.turn.told());
        let check = || {
            Some(format!(
                "the check {}",
                self.gate_leases.get(epoch)?.gate.id
            ))
        };
        Some((name, worker.or_else(check).unwrap_or_default()))
    }

    /// Whether nobody has any of these resources.
    pub(crate) fn are_free(&self, resources: &[String]) -> bool {
        let taken = resources.iter().any(|name| self.held.contains_key(name));
        !taken || planted!("resource_held_twice")
    }

    /// What a check needs to itself: the resources of the task whose proof it is.
    pub(crate) fn resources_of(&self, gate: &Gate) -> &[String] {
        let own = (gate.kind == GateKind::Acceptance).then_some(&gate.id);
        let id = own.and_then(|id| id.split('/').next()?.parse::<TaskId>().ok());
        let task = id.and_then(|id| self.tasks.get(&id));
        task.map_or(&[], |task| &task.task.resources)
    }

    /// The resources that checks wait for: of the landing, and of what was handed in. No Worker takes one before them, or
    /// what is finished would wait for what is only begun, again and again.
    pub fn wanted_by_checks(&self) -> BTreeSet<&str> {
        let landing = self.landing.as_ref().and_then(|_| self.next_landing_gate());
        let handed_in = self
            .checking
            .iter()
            .filter_map(|id| self.next_acceptance(*id));
        landing
            .into_iter()
            .chain(handed_in)
            .flat_map(|gate| self.resources_of(gate))
            .map(String::as_str)
            .collect()
    }

    pub(crate) fn hold(&mut self, epoch: Epoch, resources: &[String]) {
        let held = resources.iter().map(|name| (name.clone(), epoch));
        self.held.extend(held);
    }

    /// A lease is over, however it ended, and what it had is free.
    pub(crate) fn release(&mut self, epoch: Epoch, ending: Option<&Ending>) {
        if planted!("resource_leaked_on_cancel") && ending == Some(&Ending::Cancelled) {
            return;
        }
        self.held.retain(|_, holder| *holder != epoch);
    }
}
