//! The part of a plan that may still change, as a text that people edit, and the changes that an edited one asks for.
//!
//! The text says by itself which version it was taken from and which tasks stood on it, so that it can be handed in any
//! time later: a task is dropped because its block was taken out, never because it was not there yet.

use crate::error::{Error, Kind};
use mission::ids::TaskId;
use mission::mission::{Mission, TaskState};
use mission::plan::{PlanEdit, Priority, Size, Task, TaskChange, TaskDraft, TaskKind, is_open};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use toml::Spanned;

/// A plan on paper.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sheet {
    /// The version that it was taken from.
    pub(super) version: u64,
    /// The tasks that stood on it.
    open: Vec<TaskId>,
    #[serde(default, rename = "task")]
    tasks: Vec<Spanned<Block>>,
}

/// A task on it. What is left out stays as it was, or is as usual for a new one.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Block {
    id: Option<String>,
    title: Option<String>,
    goal: Option<String>,
    kind: Option<TaskKind>,
    needs: Option<Vec<String>>,
    writes: Option<Vec<String>>,
    proof: Option<Vec<String>>,
    priority: Option<Priority>,
    size: Option<Size>,
    resources: Option<Vec<String>>,
    weight: Option<u32>,
}

/// Why a text is no sheet of this plan.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unusable {
    pub(super) line: usize,
    pub(super) why: String,
}

/// The text of what of a plan has not begun.
pub(super) fn text(mission: &Mission) -> Result<String, Error> {
    let (id, version) = (mission.id(), mission.plan_version());
    let open: Vec<&Task> = mission
        .tasks()
        .filter(|task| is_open(task))
        .map(|task| &task.task)
        .collect();
    let names: Vec<String> = open.iter().map(|task| format!("\"{}\"", task.id)).collect();
    let names = names.join(", ");
    let mut out = format!(
        "# The plan of {id}, version {version}: its tasks that nobody has begun.\n\
         # Change what you like; take a whole block out to drop its task; add a block to add a task.\n\
         # A new one has no `id`, or a name by which others may need it. `needs` takes T1 and such names.\n\
         # A line that you take out stays as it was; `[]` is for none. Saved as it is, it changes nothing.\n\
         # The next two lines say what you saw; leave them.\n\
         version = {version}\n\
         open = [{names}]\n"
    );
    for task in open {
        let block = toml::to_string_pretty(&of(task)).map_err(|error| {
            let what = format!("{} cannot be written as TOML: {error}", task.id);
            Error::new(Kind::Setup, what).hint("change it with: orchestrator plan set")
        })?;
        out.push_str("\n[[task]]\n");
        out.push_str(&block);
    }
    Ok(out)
}

fn of(task: &Task) -> Block {
    let needs = task.needs.iter().filter(|need| !task.added.contains(need));
    let proof = task.acceptance.iter().map(|gate| gate.program.to_string());
    Block {
        id: Some(task.id.to_string()),
        title: Some(task.title.clone()),
        goal: Some(task.goal.clone()),
        kind: Some(task.kind),
        needs: Some(needs.map(TaskId::to_string).collect()),
        writes: Some(task.writes.clone()),
        proof: Some(proof.collect()),
        priority: Some(task.priority),
        size: Some(task.size),
        resources: Some(task.resources.clone()).filter(|names| !names.is_empty()),
        weight: Some(task.weight).filter(|weight| *weight != 1),
    }
}

impl Sheet {
    /// What somebody wrote.
    pub(super) fn read(text: &str) -> Result<Self, Unusable> {
        toml::from_str(text).map_err(|error| Unusable {
            line: line(text, error.span().map_or(0, |span| span.start)),
            why: error.message().to_owned(),
        })
    }

    /// The changes that make the plan what stands on the sheet.
    pub(super) fn changes(self, mission: &Mission, text: &str) -> Result<Vec<PlanEdit>, Unusable> {
        let there = |id: TaskId| mission.tasks().find(|task| task.task.id == id);
        let (saw, now) = (self.version, mission.plan_version());
        let (mut kept, mut changes) = (BTreeSet::new(), Vec::new());
        for block in self.tasks {
            let at = line(text, block.span().start);
            let wrong = |why: String| Err(Unusable { line: at, why });
            let block = block.into_inner();
            let named = block.id.as_deref().and_then(|id| id.trim().parse().ok());
            let Some(id) = named else {
                changes.push(PlanEdit::Add { task: new(block) });
                continue;
            };
            let Some(before) = there(id) else {
                return wrong(match saw == now {
                    true => format!(
                        "{id} is no task of the plan; a new one has no `id`, or a name of its own"
                    ),
                    false => format!(
                        "{id} is no task of the plan any more: that is version {now}, and this was taken from {saw}"
                    ),
                });
            };
            if !kept.insert(id) {
                return wrong(format!("{id} stands there twice; leave one of the two"));
            }
            if block.kind.is_some_and(|kind| kind != before.task.kind) {
                return wrong(format!(
                    "the `kind` of {id} cannot change; take the block out and add another one"
                ));
            }
            let to = change(block, before);
            if to != TaskChange::default() {
                changes.push(PlanEdit::Set { task: id, to });
            }
        }
        let dropped = self.open.into_iter().filter(|id| !kept.contains(id));
        let dropped = dropped.filter(|id| there(*id).is_some());
        changes.extend(dropped.map(|task| PlanEdit::Drop { task }));
        Ok(changes)
    }
}

/// In what a block is not as the task is.
fn change(block: Block, before: &TaskState) -> TaskChange {
    fn other<T: PartialEq>(to: Option<T>, was: Option<T>) -> Option<T> {
        to.filter(|to| was.as_ref() != Some(to))
    }
    let was = of(&before.task);
    TaskChange {
        title: other(block.title, was.title),
        goal: other(block.goal, was.goal),
        needs: other(block.needs, was.needs),
        writes: other(block.writes, was.writes),
        acceptance: other(block.proof, was.proof),
        priority: other(block.priority, was.priority),
        size: other(block.size, was.size),
        resources: other(block.resources, Some(before.task.resources.clone())),
        weight: other(block.weight, Some(before.task.weight)),
    }
}

fn new(block: Block) -> TaskDraft {
    let title = block.title.unwrap_or_default();
    TaskDraft {
        id: block.id.unwrap_or_default(),
        // Where nothing more is said than in the line for lists, that is what is to be done.
        goal: block.goal.unwrap_or_else(|| title.clone()),
        title,
        kind: block.kind.unwrap_or_default(),
        needs: block.needs.unwrap_or_default(),
        writes: block.writes.unwrap_or_default(),
        acceptance: block.proof.unwrap_or_default(),
        priority: block.priority.unwrap_or_default(),
        size: block.size.unwrap_or_default(),
        resources: block.resources.unwrap_or_default(),
        weight: block.weight,
    }
}

/// The number of the line at a place in a text.
fn line(text: &str, at: usize) -> usize {
    let before = text.as_bytes().iter().take(at);
    before.filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let head = "version = 1\nopen = []\n\n[[task]]\ntitle = \"x\"\n";
        assert!(Sheet::read(head).is_ok());
        let wrong = |text: &str| Sheet::read(text).unwrap_err();
        let key = wrong(&format!("{head}aim = \"y\"\n"));
        assert_eq!(key.line, 6);
        assert!(key.why.contains("unknown field `aim`"), "{}", key.why);
        assert_eq!(wrong(&format!("{head}needs = [\"T1\"\n")).line, 6);
        assert_eq!(wrong(&format!("{head}priority = \"soon\"\n")).line, 6);
        let nothing = wrong("");
        assert!(nothing.why.contains("version"), "{}", nothing.why);
    }
}
