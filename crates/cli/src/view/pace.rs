//! What holds a mission up and what its Workers gain side by side: the critical path and the lanes, predicted and as they
//! came.

use mission::ids::TaskId;
use mission::mission::Mission;
use mission::schedule::{Fan, Narrow};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The most tasks of a path that are named.
const NAMED: usize = 8;

/// One line for the critical path and one for the lanes; nothing for a plan of one task.
pub(crate) fn lines(mission: &Mission) -> String {
    let mut out = String::new();
    if mission.tasks().nth(1).is_none() {
        return out;
    }
    if let Some(critical) = mission.critical_path() {
        let path = names(&critical.tasks);
        let long = match critical.expected {
            Some(long) => match mission.durations().from_earlier() {
                Some(n) => {
                    format!("about {long}, by {n} finished attempts of missions before it here")
                }
                None => format!(
                    "about {long}, by {} finished attempts",
                    mission.durations().seen()
                ),
            },
            // Checks and questions alone take no agent any time.
            None if critical.weight == 0 => "no agent has to work on it".to_owned(),
            None => format!(
                "weighs {} small tasks; too few attempts have finished to say how long",
                critical.weight
            ),
        };
        write!(out, "critical path {path}: {long}").ok();
        if let Some((path, took)) = mission
            .actual_path()
            .filter(|_| mission.outcome().is_some())
        {
            write!(out, "; as it came {}: {took}", names(&path)).ok();
        }
        out.push('\n');
    }
    if let Some(fan) = mission.fan() {
        write!(out, "{}", fanned(mission, &fan)).ok();
        // Where one is enough there is nothing to gain.
        let gain = mission.gain().filter(|_| fan.enough > 1);
        if let Some(gain) = gain.filter(|_| mission.outcome().is_some()) {
            write!(out, "; as it came {} times", tenths(gain)).ok();
        }
        out.push('\n');
    }
    out
}

fn fanned(mission: &Mission, fan: &Fan) -> String {
    let allowed = mission.terms().workers;
    let gain = tenths(fan.predicted);
    let workers = |n: u32| match n {
        1 => "one Worker".to_owned(),
        n => format!("{n} Workers"),
    };
    match fan.narrow {
        Some(Narrow::Tiny { gain }) => {
            let some = workers(fan.lanes);
            let forgone = match gain {
                0..=10 => String::new(),
                gain => format!(
                    ", without which more were predicted {} times as fast as one",
                    tenths(gain)
                ),
            };
            format!(
                "{some} of {allowed}: all of it is hardly more than setting up another workspace{forgone}"
            )
        }
        Some(Narrow::Graph { overlaps }) => {
            let why = match overlaps {
                0 => "of what needs what".to_owned(),
                1 => "of what needs what, once because forecasts overlap".to_owned(),
                n => format!("of what needs what, {n} times because forecasts overlap"),
            };
            let some = workers(fan.enough);
            let gain = match fan.enough {
                1 => String::new(),
                _ => format!(": predicted {gain} times as fast as one"),
            };
            match fan.enough == fan.lanes {
                // Nobody else could ever work beside them.
                true => format!("{some} of {allowed}, because {why}{gain}"),
                false => format!("{some} of {allowed} would be as fast, because {why}{gain}"),
            }
        }
        None => format!(
            "{}: predicted {gain} times as fast as one",
            workers(fan.lanes)
        ),
    }
}

fn tenths(n: u64) -> String {
    format!("{}.{}", n / 10, n % 10)
}

fn names(path: &[TaskId]) -> String {
    let (first, more) = (path.iter().take(NAMED), path.len().saturating_sub(NAMED));
    let mut named: Vec<String> = first.map(TaskId::to_string).collect();
    if more > 0 {
        named.push(format!("{more} more"));
    }
    named.join(" → ")
}

/// The same for machines.
pub(crate) fn machines(mission: &Mission) -> Value {
    let critical = mission.critical_path();
    let actual = mission.actual_path();
    let fan = mission.fan();
    json!({
        "critical_path": critical.as_ref().map(|critical| &critical.tasks),
        "critical_weight": critical.as_ref().map(|critical| critical.weight),
        "critical_from": critical.as_ref().map(|critical| match critical.expected {
            None => "sizes",
            Some(_) if mission.durations().from_earlier().is_some() => "earlier missions",
            Some(_) => "this mission",
        }),
        "critical_ms": critical.and_then(|critical| critical.expected),
        "actual_path": actual.as_ref().map(|(path, _)| path),
        "actual_ms": actual.map(|(_, took)| took),
        "lanes": fan.map(|fan| fan.lanes),
        "lanes_enough": fan.map(|fan| fan.enough),
        "gain_predicted_tenths": fan.map(|fan| fan.predicted),
        "gain_tenths": mission.gain(),
        "worker_slots": mission.worker_slots().now(),
    })
}
