//! A plan that was changed.

use super::*;
use crate::plan::Task;

impl Mission {
    pub(super) fn plan_event(&mut self, at: Timestamp, event: &Event) {
        match event {
            Event::PlanEdited {
                version,
                tasks,
                dropped,
                split,
                dear,
                ..
            } => {
                self.plan_edited(*version, tasks, dropped, *split);
                if *dear {
                    // A word that was given was about another plan.
                    (self.wants_word, self.approval_asked) = (true, false);
                }
            }
            Event::SplitRefused {
                task,
                faults,
                given_up,
            } => self.split_refused(at, *task, faults, *given_up),
            _ => {}
        }
    }

    fn plan_edited(
        &mut self,
        version: u64,
        tasks: &[Task],
        dropped: &[TaskId],
        split: Option<TaskId>,
    ) {
        self.plan_version = version;
        self.edits += u32::from(split.is_none());
        if let Some(whole) = split {
            self.cut_anew(whole, tasks);
        }
        for id in dropped {
            self.ready.remove(*id);
            self.befores.remove(id);
            self.stagnant.remove(id);
            if let Some(task) = self.tasks.remove(id) {
                self.budget.left_plan = with_what_it_used(self.budget.left_plan, &task);
                self.is_not_needed_by(&task.task.needs, *id);
            }
        }
        for task in tasks {
            let id = task.id;
            self.named = self.named.max(id.0);
            match self.tasks.get_mut(&id) {
                Some(there) => {
                    let before = std::mem::replace(&mut there.task, task.clone());
                    self.is_not_needed_by(&before.needs, id);
                }
                None => {
                    let mut new = TaskState::new(task.clone());
                    if split.is_some() {
                        new.cut_mut().of = split;
                    }
                    self.tasks.insert(id, new);
                }
            }
        }
        // One that was cut anew needs tasks that are named after it.
        for task in tasks {
            let id = task.id;
            for need in &task.needs {
                if let Some(need) = self.tasks.get_mut(need) {
                    need.needed_by.push(id);
                    need.needed_by.sort_unstable();
                }
            }
        }
        self.reckon_paths();
        self.fan_out();
        for task in tasks {
            self.waits_or_is_ready(task.id);
        }
        self.forget_what_was_said_of_others();
        self.is_another_plan();
    }

    /// What a person was asked about the plan was withdrawn, if they were: whether it needs their word is reckoned anew.
    pub(super) fn is_another_plan(&mut self) {
        if self.wants_word {
            self.reckon_forecast();
        }
        let asked = self
            .questions
            .values()
            .any(|asked| asked.about == About::Plan);
        if self.phase == Phase::Approving && !asked {
            self.phase = Phase::Running;
        }
    }

    fn is_not_needed_by(&mut self, needs: &[TaskId], id: TaskId) {
        for need in needs {
            if let Some(need) = self.tasks.get_mut(need) {
                need.needed_by.retain(|other| *other != id);
            }
        }
    }
}
