//! Who gets nowhere and what was done about it: turns that stall or go round in circles, and tasks that stagnate.

use super::escape;
use super::lines::n_of;
use mission::event::Event;
use mission::ids::TaskId;
use mission::mission::{Mission, State, TaskState};
use mission::plan::Task;
use mission::stagnation::{Remedy, Stray};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// What there is to say of it, a line each. Empty where everything gets somewhere.
pub(crate) fn lines(mission: &Mission) -> String {
    let mut out = String::new();
    for (_, lease) in mission.leases() {
        for (_, stray, why) in lease.nudges() {
            let (who, why) = (lease.turn.told(), escape::short(why, 160));
            writeln!(out, "{who} is {stray} and was told so: {why}").ok();
        }
    }
    for task in mission.tasks() {
        let remedies: Vec<Remedy> = task.stuck.remedies().collect();
        if !remedies.is_empty() {
            writeln!(out, "{}", of_task(task, &remedies)).ok();
        }
    }
    out
}

/// What was done about a task whose attempts ended alike, and what came of it.
fn of_task(task: &TaskState, remedies: &[Remedy]) -> String {
    let n = remedies
        .iter()
        .filter(|it| **it == Remedy::Diagnose)
        .count();
    let mut done = vec![n_of(n, "diagnosis").replace("diagnosiss", "diagnoses")];
    let named = task.stuck.strategies().iter();
    done.extend(named.map(|strategy| format!("\"{}\"", escape::short(strategy, 120))));
    if remedies.contains(&Remedy::Split) {
        done.push(match task.cut().pieces() {
            [] => "the Planner was asked to cut it anew".to_owned(),
            pieces => format!("cut into {}", listed(pieces)),
        });
    }
    let models = task.stuck.models().iter();
    done.extend(models.map(|model| format!("another model ({})", escape::short(model, 80))));
    let came = match &task.state {
        State::Landed => "it landed".to_owned(),
        State::Failed { .. } => "it failed all the same".to_owned(),
        state => format!("it is {}", state.word()),
    };
    format!("{} stagnated: {}; {came}", task.task.id, done.join(", "))
}

fn listed(tasks: &[TaskId]) -> String {
    let names: Vec<String> = tasks.iter().map(TaskId::to_string).collect();
    names.join(", ")
}

/// What became of a task that was cut, as the plan has it since.
fn cut(mission: &Mission, version: u64, tasks: &[Task], whole: TaskId) -> String {
    let is_piece = |task: &&Task| {
        let of = mission.task(task.id).and_then(|task| task.cut().piece_of());
        of == Some(whole)
    };
    let pieces = tasks.iter().filter(is_piece).map(|task| task.id);
    match pieces.collect::<Vec<_>>().as_slice() {
        [] => format!(
            "{whole} is red after its pieces, and a worker goes on with it (plan version {version})"
        ),
        pieces => format!(
            "{whole} is cut into {} and is done when all of it is (plan version {version})",
            listed(pieces)
        ),
    }
}

/// The line for an event of it.
pub(super) fn told(mission: &Mission, event: &Event) -> Option<String> {
    Some(match event {
        Event::TurnNudged {
            epoch, stray, why, ..
        } => {
            let lease = mission.lease(*epoch);
            let who = lease.map_or_else(|| "a turn".to_owned(), |lease| lease.turn.told());
            let how = match stray {
                Stray::Stalled | Stray::Looping => format!("is {stray}"),
                Stray::Quiet => "is stalled".to_owned(),
            };
            format!("{who} {how} and is told so: {why}")
        }
        Event::Stagnated {
            task,
            n,
            why,
            remedy,
            model,
        } => {
            let then = match (remedy, model) {
                (Remedy::Diagnose, None) => {
                    "the next one looks for the cause first and has to name another strategy"
                        .to_owned()
                }
                (Remedy::Diagnose, Some(model)) => format!(
                    "the next one is made by {model}, looks for the cause first and has to name another strategy"
                ),
                (Remedy::Split, _) => "the planner is asked to cut it anew".to_owned(),
                (Remedy::Model, model) => {
                    let model = model.as_deref().unwrap_or("another model");
                    format!("the next one is made by {model}")
                }
                (Remedy::GiveUp, _) => "nothing is left to try".to_owned(),
            };
            format!("{task} stagnates, {n} attempts in a row ended alike ({why}): {then}")
        }
        Event::SplitRefused {
            task,
            faults,
            given_up,
        } => {
            let then = match given_up {
                true => "nobody is asked again",
                false => "it is sent back",
            };
            format!("{task} is not cut anew, {then}: {}", faults.join("; "))
        }
        Event::PlanEdited {
            version,
            tasks,
            split: Some(whole),
            ..
        } => cut(mission, *version, tasks, *whole),
        Event::Diagnosed { attempt, strategy } => {
            format!("{attempt} says what it does otherwise: {strategy}")
        }
        _ => return None,
    })
}

/// The same for machines.
pub(super) fn machines(mission: &Mission) -> Value {
    let nudges = mission.leases().flat_map(|(_, lease)| {
        let turn = lease.turn.to_string();
        let told = move |(n, stray, why): (u32, Stray, &str)| {
            json!({ "turn": turn, "n": n, "stray": stray, "why": why })
        };
        lease.nudges().map(told).collect::<Vec<_>>()
    });
    let tasks = mission.tasks().filter_map(|task| {
        let remedies: Vec<Remedy> = task.stuck.remedies().collect();
        let told = json!({
            "task": task.task.id.to_string(),
            "remedies": remedies,
            "strategies": task.stuck.strategies(),
            "models": task.stuck.models(),
            "pieces": task.cut().pieces().iter().map(TaskId::to_string).collect::<Vec<_>>(),
        });
        (!remedies.is_empty()).then_some(told)
    });
    json!({
        "nudged": nudges.collect::<Vec<_>>(),
        "stagnated": tasks.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use mission::event::Rejection;
    use mission::ids::{AttemptId, Epoch};

    /// A Worker of the second task that was told that it loops, and the first task, which was diagnosed.
    pub(in crate::view) fn stuck() -> [Event; 4] {
        let attempt: AttemptId = "T1.1".parse().unwrap();
        let why = "the same failure".to_owned();
        [
            Event::TurnNudged {
                epoch: Epoch(2),
                n: 1,
                stray: Stray::Looping,
                why: "`cargo test` for the fourth time".into(),
            },
            Event::Rejected {
                attempt,
                rejection: Rejection::Unfinished { why: why.clone() },
            },
            Event::Stagnated {
                task: attempt.task,
                n: 2,
                why,
                remedy: Remedy::Diagnose,
                model: None,
            },
            Event::Diagnosed {
                attempt,
                strategy: "read the lock file".into(),
            },
        ]
    }
}
