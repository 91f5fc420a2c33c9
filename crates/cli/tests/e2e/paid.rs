//! What a mission may use: what is asked before it begins, what is said where it ends, and what each change cost.

use super::project;
use serde_json::{Value, json};
use testkit::world::{Script, Task, World, write};

/// Two tasks, each of whose turns is told to cost a dollar.
fn script() -> Script {
    let task = |id: &str| Task::new(id).writes(id).proof(&format!("test -f {id}"));
    let works = |id: &str| {
        let end = json!({ "answer": { "status": "done", "summary": "did it" } });
        json!({
            "role": "worker", "task": id, "steps": [write(id, "")], "end": end,
            "usage": { "input": 1_000, "output": 0, "micro_usd": 1_000_000, "calls": 1 },
        })
    };
    Script::plan([task("one"), task("two").needs("one")])
        .turn(works("one"))
        .turn(works("two"))
        .reviewed()
}

fn summary(world: &World) -> Value {
    let ran = world.run(&["summary", "--json"]);
    serde_json::from_str(&ran.out).unwrap()
}

#[test]
fn what_each_landed_change_cost_is_told_to_people_and_machines() {
    let world = project();
    world.task(&script(), &[]).ends(
        0,
        &[
            "forecast: about 480000 tokens (a guess by the sizes of its tasks)",
            "used for 2 landed changes 2030 tokens, $2.03 (each 1015 tokens, $1.01)",
        ],
    );
    let shown = world.run(&["show"]).ends(0, &[]);
    assert_eq!(
        shown.out.matches("  used 1015 tokens, $1.01").count(),
        2,
        "{}",
        shown.out
    );
    let machines: Value = serde_json::from_str(&world.run(&["show", "--json"]).out).unwrap();
    for task in machines["tasks"].as_array().unwrap() {
        assert_eq!(
            (&task["tokens"], &task["micro_usd"]),
            (&json!(1_015), &json!(1_015_000))
        );
    }
    let cost = &summary(&world)["cost"];
    assert_eq!(
        cost["landed"],
        json!({ "tokens": 2_030, "micro_usd": 2_030_000 })
    );
    assert_eq!(cost["landed_changes"], 2);
    // The other turns of this script tell no price. They count by that of those that do.
    assert_eq!(cost["micro_usd_reported"], 2_000_000);
    assert_eq!(cost["micro_usd_unknown"], true);
}

#[test]
fn what_did_not_land_stays_told_as_that_after_a_new_plan() {
    let world = project();
    let task = |id: &str| Task::new(id).writes(id).proof(&format!("test -f {id}"));
    let works = |id: &str, path: &str| {
        let end = json!({ "answer": { "status": "done", "summary": "did it" } });
        json!({
            "role": "worker", "task": id, "steps": [write(path, "")], "end": end,
            "usage": { "input": 1_000, "output": 0, "micro_usd": 1_000_000, "calls": 1 },
        })
    };
    let first = Script::plan([task("good"), task("bad")])
        .turn(works("good", "good"))
        .turn(works("bad", "other"))
        .reviewed();
    world.task(&first, &["--attempts", "1"]).ends(4, &[]);
    let before = summary(&world)["cost"].clone();
    assert_eq!(before["not_landed"]["tokens"], 1_000);
    let second = Script::plan([task("better")])
        .turn(works("better", "better"))
        .reviewed();
    let agent = world.agent(&second);
    world.run(&["resume", "--replan", &agent]).ends(
        0,
        &["m1 completed", "; what did not land 1000 tokens, $1.00;"],
    );
    let after = summary(&world)["cost"].clone();
    assert_eq!(after["landed_changes"], 2);
    assert_eq!(after["not_landed"], before["not_landed"]);
}

#[test]
fn a_plan_that_is_dearer_than_was_said_is_not_begun_unasked() {
    let world = project();
    let (script, dear) = (script(), ["--ask-above", "100k"]);
    world.task(&script, &dear).ends(
        7,
        &[
            "It is forecast to use about 480000 tokens; above 100000 it has to be asked for",
            "orchestrator answer m1 q1",
            "nobody is here; nothing is lost",
        ],
    );
    assert!(!world.files().contains_key("one"), "nothing is begun");
    world.run(&["answer", "m1", "q1", "yes"]).ends(0, &[]);
    world
        .run(&["resume", &world.agent(&script)])
        .ends(0, &["m1 completed"]);
    let yes = [&dear[..], &["--yes"]].concat();
    project().task(&script, &yes).ends(0, &["m1 completed"]);
}

#[test]
fn a_limit_that_is_reached_says_which_and_how_to_go_on() {
    let world = project();
    let script = script();
    world
        .task(&script, &["--turns", "4"])
        .ends(4, &["its 4 turns are used up", "orchestrator resume m1"]);
    world
        .run(&["resume", &world.agent(&script)])
        .ends(0, &["m1 completed"]);
    for (flags, words) in [
        (["--cost", "much"], "US dollars, as in `5` or `2.50`"),
        (["--cost", "0"], "leave --cost and --task-tokens out"),
        (["--turns", "0"], "1 to 1000000"),
    ] {
        world.task(&script, &flags).ends(2, &[words]);
    }
}
