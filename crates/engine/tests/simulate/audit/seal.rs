//! The seal, what may come after it, and how a world must end.

use super::*;

impl Audit {
    pub(super) fn after_the_seal(&self, event: &Event) {
        let fits = matches!(
            event,
            Event::TodoEdited { .. }
                | Event::Woke { .. }
                | Event::Resumed { .. }
                | Event::DeliverAsked { .. }
                | Event::DeliveryPlanned { .. }
                | Event::Delivered { .. }
                | Event::DeliveryRefused { .. }
                | Event::UndoAsked { .. }
                | Event::Undone { .. }
                | Event::UndoFailed { .. }
                | Event::Cleaned { .. }
                | Event::CleanFailed { .. }
        );
        assert!(fits, "it happened after the seal: {event:?}");
    }

    pub(super) fn sealed(
        &mut self,
        outcome: Outcome,
        commit: Option<&CommitId>,
        tree: Option<&TreeId>,
        git: &Git,
    ) {
        self.sealed = Some(outcome);
        self.seals += 1;
        self.cleaned = self.steered.aborted;
        let delivers = outcome == Outcome::Completed && self.terms.deliver != Deliver::None;
        self.deliveries += u32::from(delivers);
        assert!(self.live.is_empty(), "turns run on behind the seal");
        assert!(self.gates.is_empty(), "gates run on behind the seal");
        if let Some(commit) = commit {
            assert_eq!(
                git.end(),
                Some(commit),
                "the seal names another commit than the line's end"
            );
            assert_eq!(
                Some(&git.tree_of(commit)),
                tree,
                "the seal names another tree"
            );
        }
        if matches!(outcome, Outcome::Completed | Outcome::Unverified) {
            let tree = tree.expect("where everything has landed there is a tree");
            self.gated(&format!("the mission is {outcome}"), tree, git);
            for task in &self.current {
                assert!(
                    self.landed.contains(task),
                    "{outcome}, and {task} has not landed"
                );
                let attempt = AttemptId { task: *task, n: 0 };
                self.proved(attempt, tree);
            }
        }
        if outcome == Outcome::Completed {
            let agent = |task: &TaskId| self.tasks[task].kind == TaskKind::Agent;
            assert!(
                self.current.iter().any(agent),
                "completed, and no task changed anything"
            );
            let tree = git.tree(tree.expect("a completed mission has a tree"));
            for goal in self.goals_of_the_plan() {
                assert!(
                    goal.is_met(&tree),
                    "completed, and {} is not done",
                    goal.key
                );
            }
        }
    }

    /// Goals of agents whose acceptance tells done from not done.
    pub(super) fn goals_of_the_plan(&self) -> Vec<Goal> {
        let keys: BTreeSet<&str> = self
            .current
            .iter()
            .map(|id| self.tasks[id].key.as_str())
            .collect();
        let goals = self
            .goals
            .iter()
            .filter(|goal| keys.contains(goal.key.as_str()));
        goals
            .filter(|goal| goal.kind == TaskKind::Agent && goal.discriminates)
            .cloned()
            .collect()
    }

    pub(crate) fn patience(&mut self, n: u32) {
        self.patience = n;
    }

    /// Once nothing goes wrong any more, the work gets done.
    pub(crate) fn ended(&self, mission: &Mission) {
        let outcome = mission.outcome().expect("it is over");
        let (told, asked) = (self.edits_told, self.edits_asked);
        let recorded = self.edits_recorded;
        // Who asked an engine that died over it does not know whether it was done.
        assert!(
            told <= recorded && recorded <= asked,
            "of {asked} changes of the TODO {recorded} were recorded, and {told} people were told theirs was"
        );
        let told = self.events.last().map(|recorded| &recorded.event);
        // A short mission may run out of time, however honest everybody is.
        let short = self.terms.mission < Millis::from_mins(12 * 60);
        let overdue = short
            && mission
                .reasons()
                .iter()
                .any(|why| why.contains("its time of"));
        if mission.base().is_none() || overdue {
            return;
        }
        assert!(
            is_good(outcome),
            "with nothing going wrong and {} resumes it is {outcome} ({:?}); last: {told:?}",
            self.patience,
            mission.reasons()
        );
    }
}
