//! What came of pausing and steering, in words: what runs on, and who does not know yet.

use super::lines::n_of;
use mission::event::Event;
use mission::ids::TaskId;
use mission::mission::{Mission, State, TaskState};
use mission::plan::Priority;

/// What a pause means for what runs now.
pub(crate) fn paused(mission: &Mission) -> String {
    let (id, runs) = (mission.id(), mission.leases().count());
    match runs {
        0 => format!("{id} is paused: nothing is asked of a model"),
        n => format!(
            "{id} is paused: no turn begins any more; {} to its end and is checked",
            runs_on(n)
        ),
    }
}

/// Who knows of what was said last.
pub(crate) fn said(mission: &Mission) -> String {
    let about = mission.said().last().and_then(|said| said.task);
    let of = about.map(|task| format!(" for {task}")).unwrap_or_default();
    let told = format!("every turn{of} that begins from now on is told");
    let n = mission.unaware();
    if n == 0 {
        return told;
    }
    let (runs, its) = match n {
        1 => ("runs", "its"),
        _ => ("run", "their"),
    };
    format!(
        "{told}, and {} that {runs} now at {its} next step",
        n_of(n, "turn")
    )
}

/// What a person did to one task.
pub(super) fn redirected(mission: &Mission, event: &Event) -> Option<String> {
    let named = |id: &TaskId| match mission.task(*id) {
        Some(task) => format!("{id} ({})", task.task.title),
        None => id.to_string(),
    };
    Some(match event {
        Event::TaskRetried { task, by } => format!("{} is tried again: {by}", named(task)),
        Event::TaskSkipped {
            task,
            why,
            without,
            by,
        } => {
            let rest = match without {
                true => "; those that need it run without it",
                false => "",
            };
            format!("{} is skipped by {by}: {why}{rest}", named(task))
        }
        Event::TaskPrioritised { task, priority, by } => {
            format!(
                "{} is of {} priority now: {by}",
                named(task),
                class(*priority)
            )
        }
        Event::PlanEdited {
            version,
            tasks,
            dropped,
            by,
            ..
        } => {
            let named = |id: TaskId| id.to_string();
            let changed: Vec<String> = tasks.iter().map(|task| named(task.id)).collect();
            let mut what = Vec::new();
            if !changed.is_empty() {
                what.push(format!("new or changed: {}", changed.join(", ")));
            }
            if !dropped.is_empty() {
                let dropped: Vec<String> = dropped.iter().map(|id| named(*id)).collect();
                what.push(format!("dropped: {}", dropped.join(", ")));
            }
            format!(
                "the plan is changed by {by} (version {version}); {}",
                what.join("; ")
            )
        }
        _ => return None,
    })
}

/// A class as it is typed.
pub(crate) fn class(priority: Priority) -> &'static str {
    match priority {
        Priority::Low => "low",
        Priority::Normal => "normal",
        Priority::High => "high",
    }
}

/// What became of a task that is to be tried again.
pub(crate) fn retried(mission: &Mission, id: TaskId) -> String {
    let Some(task) = mission.task(id) else {
        return format!("{id} is tried again");
    };
    match &task.state {
        State::Working { .. } => format!("{id} is tried again: {} has begun", task.attempt()),
        State::Waiting { .. } => {
            let needs: Vec<String> = task.task.needs.iter().map(TaskId::to_string).collect();
            format!("{id} is tried again once {} have landed", needs.join(", "))
        }
        _ => format!("{id} is tried again as soon as there is a slot for it"),
    }
}

/// What became of those that needed a task that was skipped.
pub(crate) fn skipped(mission: &Mission, id: TaskId) -> String {
    let needs = |task: &&TaskState| task.task.needs.contains(&id);
    let list = |tasks: Vec<&TaskState>| {
        let names: Vec<String> = tasks.iter().map(|t| t.task.id.to_string()).collect();
        names.join(", ")
    };
    let (out, on): (Vec<_>, Vec<_>) = mission
        .tasks()
        .filter(needs)
        .partition(|task| matches!(task.state, State::Skipped { .. }));
    let mut text = format!("{id} is skipped");
    if !out.is_empty() {
        text.push_str(&format!(", and so are {}", list(out)));
    }
    if !on.is_empty() {
        text.push_str(&format!("; carried out without it: {}", list(on)));
    }
    text.push_str(&format!(
        ". It is wanted again with: orchestrator retry {id} --mission {}",
        mission.id()
    ));
    text
}

fn runs_on(n: usize) -> String {
    let runs = if n == 1 { "runs on" } else { "run on" };
    format!("{} {runs}", n_of(n, "turn"))
}
