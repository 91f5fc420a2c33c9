//! What people did to single tasks, and to the mission as a whole.

use super::*;
use mission::rules::Action;

/// What is known of what people wanted.
#[derive(Debug, Default)]
pub(super) struct Steered {
    /// Tasks that nobody wants done.
    pub(super) skipped: BTreeSet<TaskId>,
    /// Tasks that are carried out without one that they need.
    pub(super) waived: BTreeSet<(TaskId, TaskId)>,
    /// Tasks that are left out for those that need them.
    without: BTreeSet<TaskId>,
    /// The version of the plan.
    version: u64,
    /// The attempt that was last thrown away, of tasks that have not begun again since.
    again: BTreeMap<TaskId, u32>,
    /// What was asked for just now, and how a rule answers it.
    ruled: Option<(QuestionId, &'static str)>,
    /// Whether the mission is to end with everything as it stands.
    pub(super) aborted: bool,
}

impl Audit {
    pub(super) fn steers(&mut self, event: &Event) -> bool {
        match event {
            Event::TaskRetried { task, .. } => self.tried_again(task),
            Event::TaskSkipped { task, without, .. } => {
                assert!(
                    !self.landed.contains(task),
                    "{task} has landed and is skipped"
                );
                self.steered.skipped.insert(*task);
                self.given_up.remove(task);
                if *without {
                    self.steered.without.insert(*task);
                    let needs = self.tasks.values().filter(|who| who.needs.contains(task));
                    let waived = needs.map(|who| (who.id, *task));
                    self.steered.waived.extend(waived);
                }
                self.planned_otherwise();
            }
            Event::TaskPrioritised { task, priority, .. } => {
                if let Some(task) = self.tasks.get_mut(task) {
                    task.priority = *priority;
                }
            }
            Event::PlanEdited {
                version,
                tasks,
                dropped,
                split,
                dear,
                ..
            } => {
                if let Some(whole) = split {
                    self.cut(*whole, tasks, dropped);
                }
                self.plan_edited(*version, tasks, dropped, *split);
                self.planned_otherwise();
                self.made_dear(split.is_none(), *dear);
            }
            Event::Steered { .. } => self.said += 1,
            Event::CancelAsked { abort, .. } => self.steered.aborted |= *abort,
            _ => return false,
        }
        true
    }

    /// A person lets a task be tried anew: what it frees others from ends for those that have not begun.
    fn tried_again(&mut self, task: &TaskId) {
        assert!(
            !self.landed.contains(task),
            "{task} has landed and is tried again"
        );
        let n = self.attempts.get(task).copied().unwrap_or(0);
        let given_up = self.given_up.remove(task) | self.steered.skipped.remove(task);
        let before = self.steered.again.insert(*task, n);
        assert!(
            given_up || before != Some(n),
            "{task} is tried again twice before it has begun"
        );
        self.tries.insert(*task, 0);
        self.purse.retried(*task);
        self.steered.without.remove(task);
        let (begun, again) = (&self.attempts, &self.steered.again);
        // A question that is put to people and a check that runs have begun as well.
        let without_agent = |who: &TaskId| {
            self.shadow.task(*who).is_some_and(|task| {
                let waits = matches!(task.state, State::Waiting { .. } | State::Ready);
                task.task.kind != TaskKind::Agent && !waits
            })
        };
        let has_begun = |who: &TaskId| {
            begun.get(who).is_some_and(|n| again.get(who) != Some(n)) || without_agent(who)
        };
        self.steered
            .waived
            .retain(|(who, need)| need != task || has_begun(who));
        self.planned_otherwise();
    }

    /// What a rule answers is answered at once, and by nothing else: the one that denies wins.
    pub(super) fn rules(&mut self, event: &Event) {
        self.plans_ahead(event);
        if let Some((id, wanted)) = self.steered.ruled.take() {
            let by_rule = match event {
                Event::QuestionClosed {
                    id: closed,
                    answered,
                } => {
                    *closed == id
                        && answered.text == wanted
                        && answered.by.starts_with("policy: rule ")
                }
                _ => false,
            };
            assert!(
                by_rule,
                "a rule answers {id} by {wanted}, and then: {event:?}"
            );
            return;
        }
        if let Event::QuestionClosed { id, answered } = event {
            let by_rule = answered.by.starts_with("policy: rule ");
            assert!(!by_rule, "no rule answers {id}: {answered:?}");
        }
        let Event::Asked {
            id,
            about: About::Permission { kind, .. },
            ..
        } = event
        else {
            return;
        };
        let fit = self
            .terms
            .rules
            .iter()
            .filter(|rule| rule.pattern == "may *" && (rule.kind == "*" || rule.kind == *kind));
        let answers: BTreeSet<Action> = fit.map(|rule| rule.action).collect();
        self.steered.ruled = match answers.last() {
            Some(Action::Deny) => Some((*id, "deny")),
            Some(Action::Allow) => Some((*id, "allow")),
            Some(Action::Ask) | None => None,
        };
    }

    pub(super) fn plan_written(&mut self) {
        self.steered.version += 1;
    }

    /// Only what has not begun becomes something else, and what is dropped is needed by nobody.
    fn plan_edited(
        &mut self,
        version: u64,
        tasks: &[Task],
        dropped: &[TaskId],
        split: Option<TaskId>,
    ) {
        self.plan_written();
        assert_eq!(
            version, self.steered.version,
            "a version of the plan is missing"
        );
        let changed = tasks.iter().map(|task| task.id);
        let changed = changed.filter(|id| Some(*id) != split);
        for id in changed.chain(dropped.iter().copied()) {
            let begun = self.attempts.contains_key(&id) || self.landed.contains(&id);
            assert!(!begun, "{id} has begun and is changed");
        }
        for task in tasks {
            let waived = task
                .needs
                .iter()
                .filter(|need| self.steered.without.contains(need));
            let waived = waived.map(|need| (task.id, *need));
            self.steered.waived.extend(waived);
            self.tasks.insert(task.id, task.clone());
            self.current.insert(task.id);
        }
        for id in dropped {
            assert!(self.current.remove(id), "{id} is dropped and was not there");
        }
        self.is_acyclic();
        // Once all of them are gone: one may go with those that needed it.
        for id in dropped {
            let needs = |who: &TaskId| self.tasks[who].needs.contains(id);
            assert!(
                !self.current.iter().any(needs),
                "{id} is dropped and needed"
            );
        }
    }

    /// Nobody changes a plan that they have not seen.
    pub(super) fn plan_is_seen(&self, mission: &Mission, now: Timestamp, input: &Input) {
        let Input::EditPlan { saw, .. } = input else {
            return;
        };
        let (events, _) = mission.decide(now.max(mission.last()), input.clone());
        assert!(
            events.is_empty() || *saw == mission.plan_version(),
            "a change of version {saw} of the plan is made to version {}",
            mission.plan_version()
        );
    }

    /// What nobody wants is not begun, and what a task needs is there or was given up for it.
    pub(super) fn may_be_done(&self, task: TaskId) {
        assert!(
            !self.steered.skipped.contains(&task),
            "{task} is skipped and goes on"
        );
        for need in &self.tasks[&task].needs {
            assert!(
                self.landed.contains(need) || self.steered.waived.contains(&(task, *need)),
                "{task} goes on before {need} has landed"
            );
        }
    }
}
