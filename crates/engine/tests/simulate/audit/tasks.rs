//! From the plan to the landed line.

use super::*;

impl Audit {
    pub(super) fn task_event(&mut self, event: &Event, git: &Git) {
        match event {
            Event::Planned { plan } => {
                self.planned_for();
                self.plan_written();
                self.current.retain(|task| self.landed.contains(task));
                self.current.extend(plan.tasks.iter().map(|task| task.id));
                for task in &plan.tasks {
                    let old = self.tasks.insert(task.id, task.clone());
                    assert!(old.is_none(), "{} names two tasks", task.id);
                }
                self.is_acyclic();
            }
            Event::Worked { attempt, work, .. } => {
                self.works.insert(*attempt, work.clone());
            }
            Event::Reused { task, attempt } => {
                assert!(
                    self.works.contains_key(attempt),
                    "{attempt} has no result to be found again"
                );
                let own = AttemptId { task: *task, n: 1 };
                self.works.insert(own, self.works[attempt].clone());
                self.attempts.insert(*task, 1);
                self.answered.insert(own);
                self.origins.insert(own, *attempt);
                if self.results.contains(attempt) {
                    self.lands(*task);
                }
            }
            Event::Accepted { attempt, .. } => self.accepted(*attempt),
            Event::Rejected { attempt, rejection } => {
                self.stands(attempt.task);
                if let Rejection::Gate { gate, tree } = rejection {
                    self.turned_down(*attempt, gate, tree);
                }
                let by_agent = !matches!(
                    rejection,
                    Rejection::Conflict { .. } | Rejection::Person { .. }
                );
                *self.tries.entry(attempt.task).or_default() += u32::from(by_agent);
            }
            Event::Parked { task, .. } => self.stands(*task),
            Event::TaskFailed { task, .. } => self.gives_up(*task),
            Event::Disputed { attempt, .. } => self.gives_up(attempt.task),
            Event::TaskDone { task, .. } => self.lands(*task),
            _ => self.landing_event(event, git),
        }
    }

    /// At every version of the plan some order carries all of it out.
    pub(super) fn is_acyclic(&self) {
        let mut left = self.current.clone();
        loop {
            let waits = |id: &&TaskId| {
                let needs = &self.tasks[*id].needs;
                needs.iter().any(|need| left.contains(need))
            };
            let still: BTreeSet<TaskId> = left.iter().filter(waits).copied().collect();
            if still.len() == left.len() {
                assert!(left.is_empty(), "{left:?} need each other in a circle");
                return;
            }
            left = still;
        }
    }

    /// What has landed or was given up does not change any more, unless somebody lets the mission go on.
    fn stands(&self, task: TaskId) {
        assert!(
            !self.landed.contains(&task),
            "{task} has landed and goes on"
        );
        assert!(
            !self.given_up.contains(&task),
            "{task} was given up and goes on"
        );
        assert!(
            !self.steered.skipped.contains(&task),
            "{task} is skipped and goes on"
        );
    }

    fn gives_up(&mut self, task: TaskId) {
        self.stands(task);
        self.given_up.insert(task);
    }

    fn landing_event(&mut self, event: &Event, git: &Git) {
        match event {
            Event::LandingStarted { n, onto, attempts } => {
                let together = attempts.len();
                assert!(
                    together <= self.most,
                    "{together} attempts stand in a stack that may have {}",
                    self.most
                );
                attempts
                    .iter()
                    .for_each(|attempt| self.stands(attempt.task));
                assert!(self.landing.is_none(), "two landings at once");
                assert_eq!(
                    self.head.as_ref().map(|(commit, _)| commit),
                    Some(onto),
                    "it stands on another commit"
                );
                self.landing = Some((*n, attempts.clone()));
            }
            Event::Stacked { results, .. } => {
                let (n, _) = self.landing.take().expect("a stack has a landing");
                let put = results
                    .iter()
                    .filter(|stacked| !matches!(stacked.result, StackResult::Conflict { .. }));
                let put: Vec<AttemptId> = put.map(|stacked| stacked.attempt).collect();
                let stands = results.iter();
                let stands = stands.filter(|s| matches!(s.result, StackResult::Put { .. }));
                self.stacked = stands.map(|stacked| stacked.attempt).collect();
                let tree = results
                    .iter()
                    .rev()
                    .find_map(|stacked| match &stacked.result {
                        StackResult::Put { tree, .. } => Some(tree),
                        _ => None,
                    });
                self.top = tree.or(self.head.as_ref().map(|(_, tree)| tree)).cloned();
                self.landing = (!put.is_empty()).then_some((n, put));
            }
            Event::LandingFailed { gate, .. } => {
                let (_, attempts) = self.landing.take().expect("what fails has a landing");
                // Half of what was red together is tried next.
                if gate.is_some() {
                    self.most = (attempts.len() / 2).max(1);
                }
                self.red = gate.clone().map(|gate| (gate, attempts));
            }
            Event::Landed { n, commit, tree } => {
                let (this, attempts) = self.landing.take().expect("what lands has a landing");
                assert_eq!(*n, this, "another landing landed");
                self.gated(&format!("landing {n} lands"), tree, git);
                self.most = limits::STACK;
                for attempt in std::mem::take(&mut self.stacked) {
                    assert!(
                        git.is_on_line(attempt),
                        "{attempt} has landed, and its work is not on the line"
                    );
                }
                for attempt in attempts {
                    self.proved(attempt, tree);
                    self.results.insert(attempt);
                    self.results.extend(self.origins.get(&attempt).copied());
                    self.lands(attempt.task);
                }
                self.head = Some((commit.clone(), tree.clone()));
            }
            _ => {}
        }
    }

    pub(super) fn accepted(&self, attempt: AttemptId) {
        self.stands(attempt.task);
        let work = self
            .works
            .get(&attempt)
            .expect("what is accepted was handed in");
        for gate in &self.tasks[&attempt.task].acceptance {
            let of = (work.tree.clone(), gate.command());
            assert!(
                self.greens.contains(&of),
                "{attempt} is accepted though `{}` was never green on it",
                gate.program
            );
        }
    }

    /// Every acceptance command of an attempt was run on a tree, by the engine, with the tools that there are now, and was
    /// green.
    pub(super) fn proved(&self, attempt: AttemptId, tree: &TreeId) {
        for gate in &self.tasks[&attempt.task].acceptance {
            assert_eq!(
                self.evidence(tree, gate),
                Some(true),
                "{attempt} goes on though `{}` is not green",
                gate.program
            );
        }
    }

    pub(super) fn lands(&mut self, task: TaskId) {
        assert!(
            !self.given_up.contains(&task),
            "{task} was given up and landed"
        );
        assert!(self.landed.insert(task), "{task} landed twice");
        self.may_be_done(task);
    }
}
