//! Which gate runs next, and what a task without an agent comes to by its gates.

use super::*;
use crate::time::Millis;

impl Mission {
    /// A task of kind `gate` is done when its commands are green on the landed line, and failed when one is red.
    pub(super) fn judge_gate_task(&self, task: &TaskState) -> Option<Vec<Event>> {
        let (_, tree) = self.head()?;
        let verdict = |gate: &Gate| self.settled(tree, gate, 0);
        let id = task.task.id;
        if let Some(red) = task
            .task
            .acceptance
            .iter()
            .find(|gate| verdict(gate) == Some(false))
        {
            return Some(self.gate_task_is_red(task, red));
        }
        let green = task
            .task
            .acceptance
            .iter()
            .all(|gate| verdict(gate) == Some(true));
        green.then(|| {
            vec![Event::TaskDone {
                task: id,
                note: String::new(),
            }]
        })
    }

    /// The next gate, if a gate's slot is free: the baseline first, since all else is judged by it, then what holds
    /// the merge queue up, then attempts, then what only the grade needs.
    pub(super) fn start_gate(&self, now: Timestamp) -> Vec<Event> {
        if self.winding_down() || self.awaits_set_up() {
            return Vec::new();
        }
        let checking = self.checking.iter().filter(|_| self.running());
        if let Some(red) = checking
            .copied()
            .find_map(|id| Some((id, self.red_acceptance(id)?)))
        {
            let (id, gate) = red;
            let task = &self.tasks[&id];
            let Some(work) = &task.work else {
                return Vec::new();
            };
            if let Some(tool) = self.not_installed(&work.tree, gate) {
                let why = format!("`{}` cannot prove it: there is no {tool}", gate.program);
                return self.blocked(now, task.attempt(), &why);
            }
            return self.reject(
                task.attempt(),
                Rejection::Gate {
                    gate: gate.id.clone(),
                    tree: work.tree.clone(),
                },
            );
        }
        let checking = self.checking.iter().filter(|_| self.running());
        let bent = checking.map(|id| (*id, self.bent_attempt(*id)));
        if let Some((id, what)) = bent.into_iter().find(|(_, what)| !what.is_empty()) {
            return self.reject(self.tasks[&id].attempt(), Rejection::Bent { what });
        }
        let most = limits::GATES as usize + usize::from(planted!("gates_overbooked"));
        let may = !self.is_full() && self.may_begin_in(Place::Checks);
        if self.gate_leases.len() >= most || !may {
            return Vec::new();
        }
        let Some((gate, commit, tree, purpose)) = self.next_gate() else {
            return Vec::new();
        };
        let runs = Millis(gate.timeout.0.saturating_mul(limits::GATE_RUNS));
        let deadline = now + limits::SET_UP + runs + limits::GATE_GRACE;
        let (gate, epoch) = (gate.clone(), self.next_epoch());
        vec![Event::GateStarted {
            epoch,
            gate,
            commit,
            tree,
            purpose,
            deadline,
        }]
    }

    pub(super) fn next_gate(&self) -> Option<(&Gate, CommitId, TreeId, Purpose)> {
        let base = self.base.as_ref()?;
        if let Some(gate) = self.gates.iter().find(|gate| self.baseline(gate).is_none()) {
            return Some((
                gate,
                base.commit.clone(),
                base.tree.clone(),
                Purpose::Baseline,
            ));
        }
        // While a plan is written or waits for a word, what an earlier plan left is not touched.
        if !self.running() {
            return None;
        }
        // A check that needs what a Worker has is passed over until that one is done.
        let free = |gate: &&Gate| self.are_free(self.resources_of(gate));
        if let Some(landing) = &self.landing
            && let Some((commit, tree)) = landing.top.clone()
            && let Some(gate) = self.next_landing_gate().filter(free)
        {
            return Some((gate, commit, tree, Purpose::Landing { n: landing.n }));
        }
        let (head, head_tree) = self.head.clone()?;
        let few = || self.ready.iter().take(limits::WORKERS_CAP as usize);
        for id in few() {
            let task = &self.tasks[&id].task;
            let open = |gate: &&Gate| self.settled(&head_tree, gate, 0).is_none();
            if task.kind == TaskKind::Gate
                && let Some(gate) = task.acceptance.iter().find(open).filter(free)
            {
                return Some((gate, head, head_tree, Purpose::Task { task: id }));
            }
        }
        if let Some((id, gate)) = self
            .checking
            .iter()
            .find_map(|id| Some((*id, self.next_acceptance(id.to_owned()).filter(free)?)))
        {
            let task = &self.tasks[&id];
            let work = task.work.as_ref()?;
            let purpose = Purpose::Attempt {
                attempt: task.attempt(),
            };
            return Some((gate, work.commit.clone(), work.tree.clone(), purpose));
        }
        if let Some((id, gate)) = self
            .befores
            .iter()
            .find_map(|id| Some((*id, self.next_before(*id).filter(free)?)))
        {
            let (commit, tree) = self.tasks[&id].base.clone()?;
            return Some((gate, commit, tree, Purpose::Before { task: id }));
        }
        if self.nothing_moves() {
            return Some((self.next_seal_gate()?, head, head_tree, Purpose::Seal));
        }
        None
    }
}
