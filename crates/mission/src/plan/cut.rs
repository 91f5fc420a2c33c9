//! A task that is stuck, cut anew: the pieces that stand for it, checked like any other part of a plan. The task itself
//! stays in the plan under its name and becomes the check of the whole: it needs every piece, and it is done when its own
//! commands are green on what they landed. So whoever needs it waits for all of them, and nothing of what proves it is lost.

use super::edit::{checked_key, draft_of, named, open_of, rebuilt};
use super::*;
use crate::mission::TaskState;
use crate::planted;

/// The tasks that are new or not as they were, once `whole` is cut into what `draft` says. `next` is the name that the
/// first piece gets.
pub(crate) fn cut_anew(
    tasks: &BTreeMap<TaskId, TaskState>,
    whole: TaskId,
    draft: &Draft,
    next: TaskId,
    limit: Millis,
) -> Result<Vec<Task>, Vec<Fault>> {
    let pieces = checked_pieces(tasks, draft, limit)?;
    let own: BTreeMap<&str, TaskId> = (next.0..)
        .map(TaskId)
        .zip(&pieces)
        .map(|(id, piece)| (piece.id.as_str(), id))
        .collect();
    let before = &tasks[&whole].task;
    let mut open = open_of(tasks);
    for piece in &pieces {
        let id = own[piece.id.as_str()];
        let mut draft = piece.clone();
        draft.id = id.to_string();
        let (among, others): (Vec<&String>, Vec<&String>) = piece
            .needs
            .iter()
            .partition(|need| own.contains_key(need.as_str()));
        let others: Vec<String> = others.into_iter().cloned().collect();
        let among = among.into_iter().map(|need| own[need.as_str()].to_string());
        let mut needs: BTreeSet<String> = among.chain(named(tasks, &others)).collect();
        needs.extend(before.needs.iter().map(TaskId::to_string));
        draft.needs = needs.into_iter().collect();
        open.insert(id, (draft, piece.id.clone()));
    }
    let mut check_of_all = draft_of(tasks, before);
    check_of_all.kind = TaskKind::Gate;
    let few = usize::from(planted!("piece_not_waited_for"));
    let waited_for = own.values().skip(few).map(TaskId::to_string);
    check_of_all.needs.extend(waited_for);
    open.insert(whole, (check_of_all, before.key.clone()));
    rebuilt(tasks, &open, limit)
}

/// A task that was cut and goes back to a Worker, and whatever of the plan is another one by that: what it is expected to
/// write is kept apart from what others are.
pub(crate) fn worked_on_again(
    tasks: &BTreeMap<TaskId, TaskState>,
    whole: TaskId,
    limit: Millis,
) -> Vec<Task> {
    let before = &tasks[&whole].task;
    let mut again = before.clone();
    again.kind = TaskKind::Agent;
    let mut open = open_of(tasks);
    open.insert(whole, (draft_of(tasks, &again), before.key.clone()));
    // Where that goes round in a circle nothing keeps them apart, as where a person has a task tried again.
    rebuilt(tasks, &open, limit).unwrap_or_else(|_| vec![again])
}

/// The pieces alone, with faults that name them as their Planner does.
fn checked_pieces(
    tasks: &BTreeMap<TaskId, TaskState>,
    draft: &Draft,
    limit: Millis,
) -> Result<Vec<TaskDraft>, Vec<Fault>> {
    let found = draft.tasks.len();
    if found > limits::PIECES {
        return Err(vec![Fault::Pieces { found }]);
    }
    let ids: BTreeSet<&str> = draft.tasks.iter().map(|piece| piece.id.as_str()).collect();
    let mut alone = draft.clone();
    for piece in &mut alone.tasks {
        // Whether there is such a task is told when all are checked together.
        piece.needs.retain(|need| ids.contains(need.as_str()));
    }
    check(&alone, limit)?;
    let mut faults = Vec::new();
    for piece in &draft.tasks {
        if piece.kind != TaskKind::Agent {
            let id = piece.id.clone();
            faults.push(Fault::Piece { id });
        }
        // No piece is named like a task that is there, nor as the engine names tasks.
        faults.extend(
            checked_key(tasks, piece, TaskId(0))
                .err()
                .into_iter()
                .flatten(),
        );
    }
    match faults.is_empty() {
        true => Ok(draft.tasks.clone()),
        false => Err(faults),
    }
}
