//! What a person did to one task.

use super::*;
use crate::plan::Priority;

impl Mission {
    /// Whatever it had is thrown away, and it has all its attempts before it.
    pub(super) fn task_retried(&mut self, id: TaskId) {
        self.befores.remove(&id);
        let own = self.tasks[&id].attempt();
        self.results.retain(|_, found| found.attempt != own);
        let was_without = matches!(self.tasks[&id].state, State::Skipped { without: true, .. });
        let task = self.task_mut(id);
        if !planted!("retry_counted_as_attempt") {
            task.tries = 0;
        }
        (task.faults, task.refusals, task.conflicts) = (0, 0, 0);
        task.singled = None;
        (task.review_rejections, task.review_faults) = (0, 0);
        // A person lets it be tried anew, by whatever remedies and for as much as at first.
        task.stuck.resumed();
        task.forgiven = task.tokens;
        task.machine = 0;
        task.again = Some(task.n);
        task.spent = true;
        task.reused = false;
        task.ended = None;
        task.span.1 = None;
        if let Some(work) = task.work.take() {
            task.from = Some(work.commit);
        }
        self.stagnant.remove(&id);
        let commands: BTreeSet<Digest> = self.tasks[&id]
            .task
            .acceptance
            .iter()
            .map(Gate::command)
            .collect();
        self.forget_what_is_red(&commands);
        self.forget_what_could_not_run(Some(commands));
        self.waits_or_is_ready(id);
        // Those that have not begun wait for it again.
        if was_without {
            for next in self.tasks[&id].needed_by.clone() {
                let waits = matches!(
                    self.tasks[&next].state,
                    State::Waiting { .. } | State::Ready
                );
                if waits && self.tasks[&next].is_unbegun() {
                    self.waits_or_is_ready(next);
                }
            }
        }
        self.opens_lanes();
        self.is_another_plan();
    }

    /// A task has come to its final state.
    pub(super) fn task_over(&mut self, at: Timestamp, id: TaskId) {
        let own_time = self.running_for(at);
        let task = self.task_mut(id);
        (task.ended, task.span.1) = (Some(at), Some(own_time));
    }

    pub(super) fn task_skipped(&mut self, at: Timestamp, id: TaskId, why: String, without: bool) {
        self.befores.remove(&id);
        self.stagnant.remove(&id);
        let own = self.tasks[&id].attempt();
        self.results.retain(|_, found| found.attempt != own);
        let state = match planted!("skipped_task_runs") {
            true => State::Ready,
            false => State::Skipped { why, without },
        };
        self.set_state(id, state);
        self.task_over(at, id);
        self.opens_lanes();
        if without {
            self.needed_no_more(id);
        }
        self.is_another_plan();
    }

    /// Those that waited for a task wait for one less.
    pub(super) fn needed_no_more(&mut self, id: TaskId) {
        let lane = self.tasks[&id].lane;
        for next in self.tasks[&id].needed_by.clone().into_iter().rev() {
            if matches!(self.tasks[&next].state, State::Waiting { .. }) {
                self.task_mut(next).home = lane;
                self.waits_or_is_ready(next);
            }
        }
    }

    pub(crate) fn waits_or_is_ready(&mut self, id: TaskId) {
        let state = match self.needs_left(id) {
            0 => State::Ready,
            left => State::Waiting { left },
        };
        self.set_state(id, state);
    }

    /// How many of the tasks that it needs have neither landed nor been left out for it.
    pub(crate) fn needs_left(&self, id: TaskId) -> u32 {
        let open = |need: &&TaskId| {
            self.tasks.get(need).is_some_and(|need| {
                !matches!(
                    need.state,
                    State::Landed | State::Skipped { without: true, .. }
                )
            })
        };
        self.tasks[&id].task.needs.iter().filter(open).count() as u32
    }

    /// What was red on what has landed is run again, for a task that is asked for once more. What is known of the base by
    /// the project's own gates stands.
    fn forget_what_is_red(&mut self, commands: &BTreeSet<Digest>) {
        let Some((_, head)) = self.head.clone() else {
            return;
        };
        let base = self.base.as_ref().map(|base| base.tree.clone());
        let gates: BTreeSet<Digest> = self.gates.iter().map(Gate::command).collect();
        self.evidence.retain(|(tree, command, _), evidence| {
            let stands = Some(tree) == base.as_ref() && gates.contains(command);
            *tree != head || !commands.contains(command) || stands || evidence.run.result.passed()
        });
    }

    pub(super) fn prioritised(&mut self, id: TaskId, priority: Priority) {
        self.task_mut(id).task.priority = priority;
        let (rank, now) = (self.rank(id), self.last);
        if !planted!("priority_ignored") {
            self.ready.ranks(id, rank, now);
        }
    }
}
