//! Gates that ran, and what is known because of them.

use super::*;

impl Mission {
    pub(super) fn gate_started(&mut self, at: Timestamp, event: &Event) {
        let Event::GateStarted {
            epoch,
            gate,
            commit,
            tree,
            purpose,
            deadline,
        } = event
        else {
            return;
        };
        let (gate, commit, tree) = (gate.clone(), commit.clone(), tree.clone());
        let lease = GateLease {
            gate,
            commit,
            tree,
            purpose: purpose.clone(),
            deadline: *deadline,
            since: at,
        };
        let resources = self.resources_of(&lease.gate).to_vec();
        self.hold(*epoch, &resources);
        self.gate_leases.insert(*epoch, lease);
        self.deadlines.insert((*deadline, *epoch));
        self.epoch = self.epoch.max(*epoch);
    }

    pub(super) fn drop_gate_lease(&mut self, epoch: Epoch) -> Option<GateLease> {
        let lease = self.gate_leases.remove(&epoch)?;
        self.release(epoch, None);
        self.deadlines.remove(&(lease.deadline, epoch));
        Some(lease)
    }

    pub(super) fn gate_ended(&mut self, epoch: Epoch, run: &GateRun) {
        let Some(lease) = self.drop_gate_lease(epoch) else {
            return;
        };
        let environment = match &self.environment {
            Some(own) if planted!("evidence_of_another_environment_accepted") => own,
            _ => &run.environment,
        };
        let key = (
            lease.tree.clone(),
            lease.gate.command(),
            environment.clone(),
        );
        let evidence = self.evidence.entry(key).or_insert_with(|| Evidence {
            run: run.clone(),
            runs: 0,
            flaky: false,
        });
        evidence.flaky |= evidence.runs > 0 && evidence.run.result.passed() != run.result.passed();
        evidence.runs += 1;
        evidence.run = run.clone();
        // Evidence is evidence, whatever it was asked for: it counts for every attempt that has this tree.
        let of_this_tree = |id: &&TaskId| {
            let work = self.tasks[*id].work.as_ref();
            work.is_some_and(|work| work.tree == lease.tree)
        };
        let checked: Vec<TaskId> = self.checking.iter().filter(of_this_tree).copied().collect();
        for id in checked {
            self.attempt_checked(self.tasks[&id].attempt());
        }
        if let Purpose::Before { task } = lease.purpose {
            self.before_checked(task);
        }
    }

    /// When the last acceptance command of an attempt is green, the attempt waits for its judge, and what the same
    /// commands said before the work is asked meanwhile.
    pub(super) fn attempt_checked(&mut self, attempt: AttemptId) {
        let task = &self.tasks[&attempt.task];
        if task.state != State::Checking
            || task.attempt() != attempt
            || !self.acceptance_is_green(attempt.task)
        {
            return;
        }
        self.set_state(attempt.task, State::Judging { from: self.last });
        self.task_mut(attempt.task).proved_in = self.environment.clone();
        self.befores.insert(attempt.task);
        self.before_checked(attempt.task);
    }

    pub(super) fn before_checked(&mut self, task: TaskId) {
        if self.next_before(task).is_none() {
            self.befores.remove(&task);
        }
    }

    /// A person may have installed what was missing: what could not run is run again. While the mission runs, that
    /// holds for some commands only, and the baseline stays what it is: a landing that is green by it may be moving
    /// the line at this moment.
    pub(super) fn forget_what_could_not_run(&mut self, only: Option<BTreeSet<Digest>>) {
        let base = self.base.as_ref().map(|base| base.tree.clone());
        let gates: BTreeSet<Digest> = self.gates.iter().map(Gate::command).collect();
        self.evidence.retain(|(tree, command, _), evidence| {
            let kept = only.as_ref().is_some_and(|only| {
                !only.contains(command) || (Some(tree) == base.as_ref() && gates.contains(command))
            });
            kept || evidence.run.result.conclusive()
        });
    }

    /// What is red on the whole may have been mended from outside, by a service that runs again for example: who resumes
    /// wants to know. A new plan wants to know what is red instead. What is known of the base stands.
    pub(super) fn forget_what_is_red_in_the_end(&mut self) {
        let Some((_, head)) = self.head.clone().filter(|_| self.landed > 0) else {
            return;
        };
        let base = self.base.as_ref().map(|base| base.tree.clone());
        self.evidence.retain(|(tree, _, _), evidence| {
            *tree != head || Some(tree) == base.as_ref() || evidence.run.result.passed()
        });
    }
}
