//! What people did to single tasks, and to the mission as a whole.

use super::*;

/// What is known of what people wanted.
#[derive(Debug, Default)]
pub(super) struct Steered {
    /// Tasks that nobody wants done.
    pub(super) skipped: BTreeSet<TaskId>,
    /// Tasks that are carried out without one that they need.
    pub(super) waived: BTreeSet<(TaskId, TaskId)>,
    /// The attempt that was last thrown away, of tasks that have not begun again since.
    again: BTreeMap<TaskId, u32>,
    /// Whether the mission is to end with everything as it stands.
    pub(super) aborted: bool,
}

impl Audit {
    pub(super) fn steers(&mut self, event: &Event) -> bool {
        match event {
            Event::TaskRetried { task, .. } => {
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
                let begun = &self.attempts;
                self.steered
                    .waived
                    .retain(|(who, need)| need != task || begun.contains_key(who));
            }
            Event::TaskSkipped { task, without, .. } => {
                assert!(
                    !self.landed.contains(task),
                    "{task} has landed and is skipped"
                );
                self.steered.skipped.insert(*task);
                self.given_up.remove(task);
                if *without {
                    let needs = self.tasks.values().filter(|who| who.needs.contains(task));
                    let waived = needs.map(|who| (who.id, *task));
                    self.steered.waived.extend(waived);
                }
            }
            Event::TaskPrioritised { task, priority, .. } => {
                if let Some(task) = self.tasks.get_mut(task) {
                    task.priority = *priority;
                }
            }
            Event::CancelAsked { abort, .. } => self.steered.aborted |= *abort,
            _ => return false,
        }
        true
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
