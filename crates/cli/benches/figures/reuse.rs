//! What a mission uses again, in a row of tasks and in tasks side by side: workspaces, set-ups, what was finished before
//! a crash, and sessions.
//!
//! Agents are scripted, and a set-up is a command that waits: what one of a project takes is its own affair.

use super::{percentile, told};
use mission::event::{Event, Recorded, Turn};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use testkit::model::{Model, Reply};
use testkit::persona::{Crew, Job, Role};
use testkit::user::User;
use testkit::world::{Script, Task, World, run, think, write};

/// Tasks of each mission.
const TASKS: usize = 8;
/// Files of the project.
const FILES: usize = 2_000;
/// What an installation would take, in seconds.
const SET_UP: u64 = 1;
/// How long a Worker takes, in milliseconds.
const WORKS: u64 = 300;
/// Where the mission is killed: so many tasks have landed.
const KILLED_AT: usize = 4;

pub(super) async fn of_missions() {
    for is_row in [true, false] {
        let what = if is_row { "in a row" } else { "side by side" };
        println!("{TASKS} tasks {what}, up to 4 Workers, {FILES} files, a set-up of {SET_UP} s");
        undisturbed(is_row);
        killed(is_row);
    }
    sessions().await;
}

/// From a plan to what its Workers do first, where a Planner thought for so long that their workspaces were made
/// meanwhile, and where one answered at once.
pub(super) fn of_lanes() {
    println!(
        "4 tasks side by side, {FILES} files: from the plan to the first and the last Worker's first step"
    );
    for (what, planner) in [("answers at once", 0), ("thinks for 4 s", 4_000)] {
        let world = files().committed();
        let script = script(&world, 4, false, "true");
        let mut script: Value = toml::from_str(&script.text()).unwrap();
        script["turn"][1]["steps"] = json!([think(planner)]);
        let turns = script["turn"].as_array().unwrap().iter().cloned();
        let script = turns.fold(Script::default(), Script::turn);
        let ran = world.task(&script, &WORDS).ends(0, &[]);
        let planned = ran.out.lines().find_map(|line| {
            let recorded: Recorded = serde_json::from_str(line).ok()?;
            matches!(recorded.event, Event::Planned { .. }).then_some(recorded.at.0)
        });
        let planned = planned.expect("there was a plan");
        let waits = starts(&world).into_values();
        let waits: BTreeSet<u64> = waits.map(|at| at.saturating_sub(planned)).collect();
        let of = |wait: Option<&u64>| wait.copied().unwrap_or_default();
        told(
            &format!("  a Planner who {what}"),
            format!("{} ms, {} ms", of(waits.first()), of(waits.last())),
        );
    }
}

/// A user's project.
fn files() -> World {
    let mut world = World::new(env!("CARGO_BIN_EXE_orchestrator"));
    for n in 0..FILES {
        world = world.file(&format!("src/{}/{n}.txt", n / 50), "some text\n".repeat(40));
    }
    world
}

/// A user whose project needs a set-up.
fn world() -> World {
    let world = files()
        .file(".gitignore", "deps\n")
        .file("deps.lock", "1\n")
        .committed();
    let config = format!(
        "[[set_up]]\nproject = {:?}\ncommand = \"sleep {SET_UP}; mkdir -p deps; echo made > deps/made\"\n\
         keyed_by = [\"deps.lock\"]\nbring = [\"deps\"]\n",
        world.project(),
    );
    let place = world.home().join(".config/opencode-orchestrator");
    std::fs::create_dir_all(&place).unwrap();
    std::fs::write(place.join("config.toml"), config).unwrap();
    world
}

/// Tasks whose Workers write down when they begin.
fn script(world: &World, tasks: usize, is_row: bool, proof: &str) -> Script {
    let starts = world.beside("starts");
    let name = |n: usize| format!("t{n}");
    let task = |n: usize| {
        let file = format!("{}.txt", name(n));
        let task = Task::new(&name(n))
            .writes(&file)
            .proof(&format!("grep -q new {file} && {proof}"));
        match n {
            1.. if is_row => task.needs(&name(n - 1)),
            _ => task,
        }
    };
    (0..tasks).fold(Script::plan((0..tasks).map(task)), |script, n| {
        let begun = run(&format!(
            "echo {} $(date +%s%3N) >> {}",
            n + 1,
            starts.display()
        ));
        let file = format!("{}.txt", name(n));
        script.worker(&name(n), [begun, think(WORKS), write(&file, "new\n")])
    })
}

/// What proves that the set-up was run.
const SET: &str = "test -f deps/made";

const WORDS: [&str; 6] = ["--workers", "4", "--reviews", "0", "--yes", "--json"];

/// When the Worker of each task did its first step.
fn starts(world: &World) -> BTreeMap<u32, u64> {
    let starts = std::fs::read_to_string(world.beside("starts")).unwrap();
    let each = starts.lines().map(|line| {
        let (task, at) = line.split_once(' ').expect("a task and when it began");
        (task.parse().unwrap(), at.parse().unwrap())
    });
    each.collect()
}

/// How long each Worker waited from its lease to its first step, by whether its lane had been worked in.
fn waits(world: &World, said: &str) -> [Vec<Duration>; 2] {
    let starts = starts(world);
    let (mut lanes, mut waits) = (BTreeSet::new(), [Vec::new(), Vec::new()]);
    for line in said.lines() {
        let Ok(recorded) = serde_json::from_str::<Recorded>(line) else {
            continue;
        };
        if let Event::TurnStarted {
            turn: Turn::Work { attempt },
            lane,
            ..
        } = recorded.event
        {
            let is_warm = !lanes.insert(lane);
            let waited = starts[&attempt.task.0].saturating_sub(recorded.at.0);
            waits[usize::from(is_warm)].push(Duration::from_millis(waited));
        }
    }
    waits
}

fn undisturbed(is_row: bool) {
    let world = world();
    let ran = world
        .task(&script(&world, TASKS, is_row, SET), &WORDS)
        .ends(0, &[]);
    let reuse = world.status("m1")["reuse"].clone();
    let n = |what: &str| reuse[what].as_u64().unwrap();
    told(
        "  Workers' turns, and in a workspace in which one had worked",
        format!("{}, {}", n("worker_turns"), n("worker_turns_warm")),
    );
    let [mut cold, mut warm] = waits(&world, &ran.out);
    let median = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        match times.is_empty() {
            true => "none".to_owned(),
            false => format!("{:.1?}", percentile(times, 50)),
        }
    };
    told(
        "    from lease to agent, p50 there and where none had worked",
        format!("{}, {}", median(&mut warm), median(&mut cold)),
    );
    let (ran, brought, stood) = (n("set_ups_run"), n("set_ups_brought"), n("set_ups_stood"));
    told(
        "  set-ups that ran, were brought along, still stood",
        format!("{ran}, {brought}, {stood}"),
    );
    // Each workspace to which it was brought would have to run its own.
    told(
        "    what as many of their own would take beyond what ran",
        format!("{} s", brought.saturating_sub(ran) * SET_UP),
    );
}

/// A mission that is killed in its middle: what was answered is asked of nobody again.
fn killed(is_row: bool) {
    let world = world();
    let script = script(&world, TASKS, is_row, SET);
    let began = Instant::now();
    let mut running = world.start_task(&script, &WORDS[..5]);
    running.says(&format!("{KILLED_AT} of {TASKS} tasks done"));
    running.kill();
    let before = began.elapsed();
    let answered = |world: &World| -> BTreeSet<String> {
        let log = world.agent_log("m1");
        let lines = log.lines().filter(|line| line.starts_with("answer "));
        lines
            .filter_map(|line| line.split(' ').nth(2).map(str::to_owned))
            .collect()
    };
    let finished = answered(&world);
    let begun = world.agent_log("m1").lines().count();
    let began = Instant::now();
    world.run(&["resume", "m1"]).ends(0, &["m1 completed"]);
    let after = began.elapsed();
    let log = world.agent_log("m1");
    let again = log.lines().skip(begun).filter(|line| {
        let turn = line.split(' ').nth(2).unwrap_or_default();
        line.starts_with("start ") && finished.contains(turn)
    });
    told(
        "  killed in the middle: turns answered before, asked again",
        format!("{}, {}", finished.len(), again.count()),
    );
    told(
        "    until the kill, and from resume to the end",
        format!("{before:.1?}, {after:.1?}"),
    );
}

/// Sessions of a mission on OpenCode whose provider refuses a Worker for longer than its session waits.
async fn sessions() {
    let names: Vec<String> = (0..TASKS).map(|n| format!("word{n}")).collect();
    let jobs: Vec<Job> = names.iter().map(|name| Job::word(name)).collect();
    let (crew, refused) = (Crew::new("Add some words.", jobs), AtomicUsize::new(0));
    let told_of = crew.clone();
    let model = Model::start(move |request| {
        let first = crew.job(request).is_some_and(|job| job.name() == "word0");
        let is_first = Role::of(request) == Role::Worker && first && request.step() == 0;
        // More often than OpenCode tries.
        match is_first && refused.fetch_add(1, Ordering::Relaxed) < 3 {
            true => Reply::busy("1"),
            false => crew.answer(request),
        }
    })
    .await;
    let user = User::new(
        env!("CARGO_BIN_EXE_orchestrator"),
        &model.url(),
        &[("base.txt", "base\n")],
    );
    super::carried_out(&user, "Add some words").await;
    let status = user.run(&["status", "--json", "m1"]).await.said;
    let status = status
        .lines()
        .find_map(|line| serde_json::from_str::<Value>(line).ok());
    let sessions = status.map_or(json!({}), |status| status["sessions"].clone());
    println!("{TASKS} tasks on OpenCode, whose provider refuses one of them three times");
    told(
        "  sessions made, gone on with",
        format!("{}, {}", sessions["opened"], sessions["gone_on_with"]),
    );
    let mut tasks: BTreeMap<Option<String>, BTreeSet<String>> = BTreeMap::new();
    for request in model.log() {
        if let Some(job) = told_of
            .job(&request)
            .filter(|_| Role::of(&request) == Role::Worker)
        {
            let of = tasks.entry(request.session.clone()).or_default();
            of.insert(job.name().to_owned());
        }
    }
    let handed_on = tasks.values().filter(|tasks| tasks.len() > 1).count();
    told("  handed on from one task to another", handed_on);
}
