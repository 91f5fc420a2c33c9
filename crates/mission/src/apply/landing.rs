//! From the judgement on an attempt to the landed line.

use super::*;

impl Mission {
    pub(super) fn rejected(&mut self, attempt: AttemptId, rejection: &Rejection) {
        self.compare(attempt, rejection);
        self.warned_is_over(attempt, Some(rejection));
        self.befores.remove(&attempt.task);
        // What was turned down after all is no finished result that a later plan could find again.
        self.results.retain(|_, found| found.attempt != attempt);
        let task = self.task_mut(attempt.task);
        let conflict = matches!(rejection, Rejection::Conflict { .. });
        match rejection {
            Rejection::Conflict { .. } => task.conflicts += 1,
            // Who was blocked and got a hint has done nothing wrong.
            Rejection::Person { .. } => {}
            _ => task.tries += 1,
        }
        if matches!(rejection, Rejection::Review { .. }) {
            task.review_rejections += 1;
        }
        task.spent = true;
        // After a conflict the work no longer fits what it stands on; everything else is mended where it lies.
        let keeps = !conflict && !matches!(rejection, Rejection::Protected { .. });
        if let Some(work) = task.work.take().filter(|_| keeps) {
            task.from = Some(work.commit);
        } else if !matches!(rejection, Rejection::Person { .. }) {
            task.from = None;
        }
        task.history.push((attempt, rejection.clone()));
        self.set_state(attempt.task, State::Ready);
    }

    pub(super) fn accepted(&mut self, attempt: AttemptId) {
        if let Some(key) = self.result_key(attempt.task) {
            let task = &self.tasks[&attempt.task];
            let (base, proved_in) = (task.base.clone(), task.proved_in.clone());
            self.results.insert(
                key,
                Finished {
                    attempt,
                    landed: false,
                    base,
                    proved_in,
                },
            );
        }
        self.enqueue(attempt);
    }

    /// Puts an attempt into the merge queue.
    pub(crate) fn enqueue(&mut self, attempt: AttemptId) {
        self.set_state(attempt.task, State::Queued);
        if self.queue.is_empty() {
            self.company = self.checking.clone();
        }
        self.queue.push_back(attempt);
    }

    pub(super) fn landing_started(&mut self, n: u32, onto: &CommitId, attempts: &[AttemptId]) {
        self.queue.retain(|queued| !attempts.contains(queued));
        for attempt in attempts {
            self.set_state(attempt.task, State::Landing);
        }
        self.landing = Some(Landing {
            n,
            onto: onto.clone(),
            attempts: attempts.to_vec(),
            top: None,
        });
        self.landings = n;
    }

    pub(super) fn stacked(&mut self, results: &[Stacked]) {
        let Some(landing) = &mut self.landing else {
            return;
        };
        let out: BTreeSet<AttemptId> = results
            .iter()
            .filter(|stacked| matches!(stacked.result, StackResult::Conflict { .. }))
            .map(|stacked| stacked.attempt)
            .collect();
        landing.attempts.retain(|attempt| !out.contains(attempt));
        let put = |stacked: &Stacked| match &stacked.result {
            StackResult::Put { commit, tree } => Some((commit.clone(), tree.clone())),
            _ => None,
        };
        landing.top = results
            .iter()
            .rev()
            .find_map(put)
            .or_else(|| self.head.clone());
        if landing.attempts.is_empty() {
            self.landing = None;
        }
    }

    pub(super) fn landing_failed(&mut self, red: bool) {
        let Some(landing) = self.landing.take() else {
            return;
        };
        if red && !planted!("red_stack_never_split") {
            // Half of a red stack is tried next, so that what is good in it lands and what is red is found.
            self.stack_limit = (landing.attempts.len() / 2).max(1);
        }
        if let Some((top, _)) = landing.top.filter(|_| !red) {
            self.adrift.insert(top);
        }
        for attempt in landing.attempts.iter().rev() {
            self.set_state(attempt.task, State::Queued);
            self.queue.push_front(*attempt);
        }
    }

    pub(super) fn landed_all(&mut self, at: Timestamp, commit: &CommitId, tree: &TreeId) {
        self.head = Some((commit.clone(), tree.clone()));
        self.stack_limit = limits::STACK;
        self.adrift.clear();
        let Some(landing) = self.landing.take() else {
            return;
        };
        for attempt in &landing.attempts {
            self.warned_is_over(*attempt, None);
            self.task_landed(at, attempt.task);
        }
    }

    pub(super) fn task_landed(&mut self, at: Timestamp, id: TaskId) {
        if let Some(key) = self
            .result_key(id)
            .filter(|_| self.tasks[&id].work.is_some())
        {
            let task = &self.tasks[&id];
            let attempt = task.attempt();
            let (base, proved_in) = (task.base.clone(), task.proved_in.clone());
            // What it was accepted for may have been something else: a task that it needs was left out since, or is wanted
            // again.
            let own = self.results.values_mut();
            own.filter(|found| found.attempt == attempt)
                .for_each(|found| found.landed = true);
            self.results
                .entry(key)
                .or_insert(Finished {
                    attempt,
                    landed: true,
                    base,
                    proved_in,
                })
                .landed = true;
        }
        self.set_state(id, State::Landed);
        self.task_over(at, id);
        self.landed += 1;
        let lane = self.tasks[&id].lane;
        // The first of the plan becomes the newest of its lane, which is taken first.
        for next in self.tasks[&id].needed_by.clone().into_iter().rev() {
            if matches!(self.tasks[&next].state, State::Waiting { .. }) {
                self.task_mut(next).home = lane;
                match planted!("dependency_counted_before_landing") {
                    true => self.set_state(next, State::Ready),
                    false => self.waits_or_is_ready(next),
                }
            }
        }
    }
}
