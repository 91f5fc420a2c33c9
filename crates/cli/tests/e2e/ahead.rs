//! A plan that is begun beside the Commander, from the request alone.

use super::world;
use serde_json::{Value, json};
use testkit::model::{Gate, Model, Reply, Request};
use testkit::persona::{Crew, Job, Role};
use testkit::user::User;
use testkit::world::{Running, Script, Task, World, run, write};

/// A Commander and a Planner who wait for each other, one that says this and one whose plan has one task.
fn script(world: &World, goal: &str) -> Script {
    let meeting = world.meeting();
    let path = meeting.line();
    let path = path.trim_start_matches("echo > ");
    let plan = json!({ "tasks": [{
        "id": "one", "title": "Do one", "goal": "It is done.", "writes": ["one"], "acceptance": ["test -f one"],
    }] });
    let turn = |role: &str, steps: Value, answer: Value| {
        json!({
            "role": role, "steps": steps, "end": { "answer": answer },
            "usage": { "input": 1_000, "output": 0, "calls": 1 },
        })
    };
    let intent = json!({ "kind": "plan", "goal": goal });
    // The second Planner of a void plan meets nobody.
    let meets = format!(
        "test -e {path}.met || {{ echo > {path}.met; {}; }}",
        meeting.line()
    );
    Script::default()
        .turn(turn(
            "commander",
            json!([run(&format!("cat {path}"))]),
            intent,
        ))
        .turn(turn("planner", json!([run(&meets)]), plan))
        .worker("one", [write("one", "")])
}

const WORDS: [&str; 3] = ["--reviews", "0", "--yes"];

fn log(world: &World) -> String {
    world.run(&["log", "m1", "--why"]).ends(0, &[]).out
}

#[test]
fn a_plan_that_is_begun_ahead_is_used_where_the_commander_has_nothing_to_add() {
    let world = world().committed();
    let script = script(&world, "");
    let words = [&WORDS[..], &["--plan-ahead"]].concat();
    let ran = world.task(&script, &words).ends(
        0,
        &[
            "planner begins ahead, from the request alone",
            "to be planned as it stands",
            "the plan that was begun ahead is used: ",
            "planned ahead: used, ",
        ],
    );
    assert!(!ran.said().contains("(try 2)"), "{}", ran.said());
    let told = &world.status("m1")["plan_ahead"];
    assert_eq!(
        (&told["state"], &told["tokens"]),
        (&json!("used"), &json!(1_000))
    );
    assert!(told["saved_ms"].is_u64(), "{told}");
    let why = log(&world);
    assert!(why.contains("plans are begun ahead here"), "{why}");
}

#[test]
fn one_that_is_void_is_begun_anew_with_what_the_commander_says() {
    let world = world().committed();
    // A variable of the environment wants it as well.
    let script = script(&world, "and leave the rest alone");
    let agent = world.agent(&script);
    let mut command = world.command(&[&["task", "Do it", &agent][..], &WORDS].concat());
    command.env("ORCHESTRATOR_PLAN_AHEAD", "on");
    Running::new(command).ended().ends(
        0,
        &[
            "the plan that was begun ahead is void: the Commander said more than the request",
            "planner writes the plan (try 2)",
            "planned ahead: void, the Commander said more than the request; it used ",
        ],
    );
    let told = &world.status("m1")["plan_ahead"];
    assert_eq!(told["state"], "void");
    // What it used where it was written already, or all that it had.
    let used = told["tokens"].as_u64();
    assert!(matches!(used, Some(1_000 | 100_000)), "{told}");
}

#[test]
fn nobody_plans_ahead_unasked() {
    let world = world().committed();
    let task = Task::new("one").proof("test -f one");
    let script = Script::plan([task]).worker("one", [write("one", "")]);
    let ran = world.task(&script, &WORDS).ends(0, &[]);
    assert!(!ran.said().contains("ahead"), "{}", ran.said());
    assert_eq!(world.status("m1")["plan_ahead"], Value::Null);
}

/// On OpenCode the two are asked side by side, each in a folder and a session of its own.
#[tokio::test(flavor = "multi_thread")]
async fn on_opencode_a_planner_begins_beside_the_commander_and_is_asked_once() {
    let crew = Crew::new("Add a word.", vec![Job::word("alpha")]);
    let asked = Gate::default();
    let model = {
        let asked = asked.clone();
        Model::start(move |request| match Role::of(request) {
            // It says nothing before the Planner was asked, and then nothing new.
            Role::Commander => Reply::fenced(&json!({ "kind": "plan", "goal": "" })).after(&asked),
            Role::Planner => {
                asked.open();
                crew.answer(request)
            }
            _ => crew.answer(request),
        })
        .await
    };
    let files = [("base.txt", "base\n")];
    let user = User::new(env!("CARGO_BIN_EXE_orchestrator"), &model.url(), &files);
    let words = ["task", "Add a word", "--plan-ahead", "--allow", "shell"];
    let ran = user.run(&[&words[..], &WORDS].concat()).await;
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    assert!(ran.said.contains("planned ahead: used, "), "{}", ran.said);
    let log = model.log();
    let of = |role| -> Vec<&Request> { log.iter().filter(|it| Role::of(it) == role).collect() };
    let (commander, planner) = (of(Role::Commander), of(Role::Planner));
    assert_eq!((commander.len(), planner.len()), (1, 1));
    assert_ne!(commander[0].folder(), planner[0].folder());
    assert_ne!(commander[0].session, planner[0].session);
    let told = |request: &Request, text| request.asked().contains(text);
    assert!(told(commander[0], "A Planner may be at work already"));
    assert!(told(planner[0], "Add a word") && !told(planner[0], "What is wanted"));
    user.deserted().await;
}

/// Killed while the plan waits for the Commander: it is there again, and nobody writes it twice.
#[test]
fn a_plan_that_waits_for_the_commander_outlives_the_engine() {
    let world = world().committed();
    let (never, told) = (world.meeting(), world.beside("told"));
    let never = never.line().replace("echo >", "cat");
    // The first time nobody comes.
    let waits = format!("test -e {} || {never}", told.display());
    let plan = json!({ "tasks": [{ "id": "one", "title": "Do one", "goal": "It is done.", "acceptance": ["test -f one"] }] });
    let script = Script::default()
        .turn(json!({
            "role": "commander", "steps": [run(&waits)],
            "end": { "answer": { "kind": "plan", "goal": "" } },
        }))
        .answers("planner", plan)
        .worker("one", [write("one", "")]);
    let mut running = world.start_task(&script, &[&WORDS[..], &["--plan-ahead"]].concat());
    running.says("a plan of 1 task waits for the commander");
    running.kill();
    std::fs::write(told, "").unwrap();
    let agent = world.agent(&script);
    world
        .run(&["resume", &agent])
        .ends(0, &["planned ahead: used, ", "m1 completed"]);
    let log = world.agent_log("m1");
    let planned = log
        .lines()
        .filter(|line| line.starts_with("start m1 plan."));
    assert_eq!(planned.count(), 1, "{log}");
}
