//! What a plan that is begun beside the Commander saves, and what it costs: time until a plan stands, calls and tokens,
//! where it is used and where it is void.
//!
//! The Commander and the Planner follow a script and think for a given time, so that the ratio says what a user saves whose
//! own take as long; what they are told to use is given too. How often a Commander has something to add is not said here.

use super::told;
use mission::event::{Event, Recorded, Turn};
use serde_json::{Value, json};
use testkit::world::{Script, Task, World, think, write};

/// How long the Commander thinks, and the Planner, in milliseconds.
const THINK: [u64; 2] = [1_500, 3_000];
/// What each of them uses in calls and tokens.
const COMMANDER: (u32, u64) = (3, 20_000);
const PLANNER: (u32, u64) = (8, 60_000);

/// What a mission came to.
struct Came {
    /// From the first turn to the plan, or to the end where there is none.
    ms: u64,
    /// Calls that were told, and tokens that reading and planning count for.
    calls: u64,
    tokens: u64,
    ahead: Value,
}

fn turn(role: &str, ms: u64, (calls, tokens): (u32, u64), answer: &Value) -> Value {
    json!({
        "role": role, "steps": [think(ms)], "end": { "answer": answer },
        "usage": { "input": tokens, "output": 0, "calls": calls },
    })
}

/// A mission whose Commander says this.
fn carried_out(intent: &Value, words: &[&str]) -> Came {
    let world = World::new(env!("CARGO_BIN_EXE_orchestrator")).committed();
    let [commander, planner] = THINK;
    let plan = Script::plan([Task::new("one").writes("one").proof("test -f one")]);
    let plan: Value = toml::from_str(&plan.text()).unwrap();
    let plan = &plan["turn"][1]["end"]["answer"];
    let script = Script::default()
        .turn(turn("commander", commander, COMMANDER, intent))
        .turn(turn("planner", planner, PLANNER, plan))
        .worker("one", [write("one", "")]);
    let words = [&["--reviews", "0", "--yes", "--json"], words].concat();
    let ran = world.task(&script, &words).ends(0, &[]);
    let events: Vec<Recorded> = ran
        .out
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let at = |is: &dyn Fn(&Event) -> bool| {
        let found = events.iter().find(|recorded| is(&recorded.event));
        found.map(|recorded| recorded.at.0)
    };
    let began = at(&|event| matches!(event, Event::TurnStarted { .. })).unwrap();
    let planned = at(&|event| matches!(event, Event::Planned { .. }));
    let sealed = at(&|event| matches!(event, Event::Sealed { .. })).unwrap();
    let (mut calls, mut tokens) = (0, 0);
    for recorded in &events {
        if let Event::TurnEnded {
            turn: Turn::Intent { .. } | Turn::Plan { .. },
            usage,
            charged,
            ..
        } = &recorded.event
        {
            (calls, tokens) = (calls + u64::from(usage.calls), tokens + charged);
        }
    }
    Came {
        ms: planned.unwrap_or(sealed) - began,
        calls,
        tokens,
        ahead: world.status("m1")["plan_ahead"].clone(),
    }
}

/// The same missions with and without it.
pub(super) fn with_and_without() {
    let [commander, planner] = THINK;
    println!(
        "a Commander who thinks for {commander} ms and a Planner who does for {planner} ms; calls that were told and tokens that \
         reading and planning count for"
    );
    let cases = [
        ("nothing to add", json!({ "kind": "plan", "goal": "" })),
        (
            "something to add",
            json!({ "kind": "plan", "goal": "and leave the rest alone" }),
        ),
        ("a question", json!({ "kind": "answer", "text": "because" })),
    ];
    for (what, intent) in cases {
        let [without, with] = [&[][..], &["--plan-ahead"]].map(|words| carried_out(&intent, words));
        for (how, came) in [("after the Commander", &without), ("begun ahead", &with)] {
            let state = came.ahead["state"].as_str().unwrap_or("none");
            told(
                &format!("  {what}, {how} ({state})"),
                format!(
                    "{} ms, {} calls, {} tokens",
                    came.ms, came.calls, came.tokens
                ),
            );
        }
        told(
            &format!("  {what}: time with / without, tokens with / without"),
            format!(
                "{:.2}, {:.2}",
                with.ms as f64 / without.ms as f64,
                with.tokens as f64 / without.tokens as f64
            ),
        );
    }
}
