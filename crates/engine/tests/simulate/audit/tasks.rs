//! From the plan to the landed line.

use super::*;

impl Audit {
    pub(super) fn task_event(&mut self, event: &Event) {
        match event {
            Event::Planned { plan } => {
                for task in &plan.tasks {
                    let old = self.tasks.insert(task.id, task.clone());
                    assert!(old.is_none(), "{} names two tasks", task.id);
                }
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
                let by_agent = !matches!(
                    rejection,
                    Rejection::Conflict { .. } | Rejection::Person { .. }
                );
                *self.tries.entry(attempt.task).or_default() += u32::from(by_agent);
            }
            Event::TaskFailed { task, .. } => _ = self.given_up.insert(*task),
            Event::Disputed { attempt, .. } => _ = self.given_up.insert(attempt.task),
            Event::TaskDone { task, .. } => self.lands(*task),
            Event::LandingStarted { n, onto, attempts } => {
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
                self.landing = (!put.is_empty()).then_some((n, put));
            }
            Event::LandingFailed { .. } => self.landing = None,
            Event::Landed { n, commit, tree } => {
                let (this, attempts) = self.landing.take().expect("what lands has a landing");
                assert_eq!(*n, this, "another landing landed");
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
        let work = self
            .works
            .get(&attempt)
            .expect("what is accepted was handed in");
        self.proved(attempt, &work.tree);
    }

    /// Every acceptance command of an attempt was run on a tree, by the engine, and was green.
    pub(super) fn proved(&self, attempt: AttemptId, tree: &TreeId) {
        for gate in &self.tasks[&attempt.task].acceptance {
            let green = self.evidence.get(&(tree.clone(), gate.command()));
            assert_eq!(
                green,
                Some(&true),
                "{attempt} goes on though `{}` is not green",
                gate.program
            );
        }
    }

    pub(super) fn lands(&mut self, task: TaskId) {
        assert!(self.landed.insert(task), "{task} landed twice");
        for need in &self.tasks[&task].needs {
            assert!(self.landed.contains(need), "{task} landed before {need}");
        }
    }
}
