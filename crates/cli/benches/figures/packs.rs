//! What looking a task's files up beforehand saves: time between a task's lease and its agent, and calls of an agent that
//! would look for itself.
//!
//! Both sides of each figure do the same work. What it does not say: a model may read a file all the same, and how often
//! one would have looked is its own affair; here it reads what its brief lacks, and nothing else.

use super::opencode::{git_of, serve};
use super::sessions::Server;
use super::{percentile, told};
use mission::event::{Event, Recorded, Turn};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::Duration;
use testkit::model::{Model, Reply, Request};
use testkit::opencode::Home;
use testkit::persona::Role;
use testkit::user::User;
use testkit::world::{Script, Task, World, append, run, think};

/// Tasks in a row, each of which needs the one before it.
const TASKS: usize = 10;
/// The files of each: as many as a brief tells of.
const FILES: usize = 12;
/// Tests that are looked into.
const TESTS: usize = 40;
/// How long a Worker takes: long enough to look up what the next ones are about.
const WORKS: u64 = 500;

/// A file's path: of a task, or of nobody.
fn file(of: usize, n: usize) -> String {
    format!("src/part{of:02}/unit{n:02}.rs")
}

/// A file with some definitions, and lines between them that a brief does not carry.
fn text(of: usize, n: usize) -> String {
    let mut text = String::new();
    for each in 0..20 {
        writeln!(
            text,
            "/// Does one thing.\npub fn part{of}_{n}_{each}(a: u64) -> u64 {{"
        )
        .unwrap();
        text.push_str(&"    let a = a + 1;\n".repeat(8));
        text.push_str("    a\n}\n\n");
    }
    text
}

/// All files: of each task, of nobody, and tests that name one file each.
fn files() -> Vec<(String, String)> {
    let parts = (0..=TASKS).flat_map(|of| (0..FILES).map(move |n| (of, n)));
    let mut all: Vec<(String, String)> = parts.map(|(of, n)| (file(of, n), text(of, n))).collect();
    for n in 0..TESTS {
        let names = format!("use unit{:02};\n", n % FILES);
        all.push((format!("tests/test{n:02}.rs"), names));
    }
    all
}

pub(super) async fn beside_none() {
    on_the_way();
    at_the_door().await;
}

/// From a task's lease to its agent, where its files were looked up beforehand and where others changed them since. In
/// both missions each Worker changes as many files that are not its own.
fn on_the_way() {
    println!(
        "{TASKS} tasks in a row, of {FILES} files each; a Worker takes {WORKS} ms and changes {FILES} files more"
    );
    let [used, stale] = [false, true].map(carried_out);
    for (what, (time, counts)) in [
        ("looked up beforehand", &used),
        ("looked up as it begins", &stale),
    ] {
        let counts = format!(
            "{} used, {} again",
            counts["packs_used"], counts["packs_stale"]
        );
        told(
            &format!("  from lease to agent, {what} ({counts})"),
            format!("p50 {time:.1?}"),
        );
    }
    let saved = stale.0.as_secs_f64() - used.0.as_secs_f64();
    told(
        "  what it takes off each task's way",
        format!("{:.0} ms", saved * 1000.0),
    );
}

/// A mission in which files of nobody, or of the next task, are changed by each Worker.
fn carried_out(spoils: bool) -> (Duration, Value) {
    let world = World::new(env!("CARGO_BIN_EXE_orchestrator"));
    for (path, text) in files() {
        world.write(&path, text);
    }
    let world = world.committed();
    let starts = world.beside("starts");
    let task = |of: usize| {
        let proof = format!("grep -q 'changed by {of}$' {}", file(of, 0));
        let task = Task::new(&format!("t{of}")).proof(&proof);
        let task = (0..FILES).fold(task, |task, n| task.writes(&file(of, n)));
        match of {
            0 => task,
            of => task.needs(&format!("t{}", of - 1)),
        }
    };
    let plan = Script::plan((0..TASKS).map(task));
    let script = (0..TASKS).fold(plan, |script, of| {
        let other = if spoils { of + 1 } else { TASKS };
        let begun = run(&format!("date +%s%3N >> {}", starts.display()));
        let changed = [of, other].into_iter().flat_map(|part| {
            (0..FILES).map(move |n| append(&file(part, n), &format!("// changed by {of}\n")))
        });
        let steps = [begun, think(WORKS)].into_iter().chain(changed);
        script.worker(&format!("t{of}"), steps)
    });
    let words = ["--workers", "1", "--reviews", "0", "--yes", "--json"];
    let ran = world.task(&script, &words).ends(0, &[]);
    let begun = ran.out.lines().filter_map(|line| {
        let recorded: Recorded = serde_json::from_str(line).ok()?;
        let Event::TurnStarted { turn, .. } = recorded.event else {
            return None;
        };
        matches!(turn, Turn::Work { .. }).then_some(recorded.at.0)
    });
    let began = std::fs::read_to_string(&starts).unwrap();
    let began = began.lines().map(|line| line.parse::<u64>().unwrap());
    let times = begun.zip(began).map(|(from, to)| to.saturating_sub(from));
    // Nothing can be looked up for the first one.
    let mut times: Vec<Duration> = times.skip(1).map(Duration::from_millis).collect();
    assert_eq!(times.len(), TASKS - 1, "each began once");
    times.sort_unstable();
    let counts = world.status("m1")["reuse"].clone();
    (percentile(&times, 50), counts)
}

/// The section of a brief that says what files define, and the one that names tests.
const SECTIONS: [&str; 2] = [
    "## What some of them define, with the line\n",
    "## Tests that name them\n",
];

/// A brief without those sections.
fn without(brief: &str) -> String {
    let mut kept = true;
    let mut out = String::new();
    for line in brief.split_inclusive('\n') {
        if line.starts_with("## ") {
            kept = !SECTIONS.contains(&line);
        }
        if kept {
            out.push_str(line);
        }
    }
    out
}

/// The file that a brief is about.
fn about(brief: &str) -> Option<&str> {
    let (_, after) = brief.split_once("## Expected to change\n\n- ")?;
    after.lines().next()
}

/// An agent that looks for itself for what its brief lacks, all at once, and does nothing else.
fn looks(request: &Request) -> Reply {
    let brief = request.asked();
    let Some(path) = about(brief).filter(|_| request.step() == 0) else {
        return Reply::text("done");
    };
    let stem = path.rsplit('/').next().unwrap_or(path);
    let stem = stem.trim_end_matches(".rs");
    let read = ("read", json!({ "filePath": path }));
    let grep = ("grep", json!({ "pattern": stem, "path": "tests" }));
    let calls = SECTIONS.into_iter().zip([read, grep]);
    let lacking = calls.filter(|(section, _)| !brief.contains(section));
    let lacking: Vec<(&str, Value)> = lacking.map(|(_, call)| call).collect();
    match lacking.is_empty() {
        true => Reply::text("done"),
        false => lacking
            .into_iter()
            .fold(Reply::text(""), |reply, (tool, words)| {
                reply.and_call(tool, words)
            }),
    }
}

/// What a mission's Workers were told, each about one file that is there.
async fn briefs() -> Vec<String> {
    let plan: Vec<Value> = (0..TASKS)
        .map(|of| {
            json!({ "id": format!("t{of}"), "title": format!("Change part {of}"), "goal": "It is changed.",
                "needs": [], "writes": [file(of, 0)], "acceptance": [format!("grep -q ^changed {}", file(of, 0))] })
        })
        .collect();
    let model = Model::start(move |request| match Role::of(request) {
        Role::Commander => Reply::fenced(&json!({ "kind": "plan", "goal": "x" })),
        Role::Planner => Reply::fenced(&json!({ "tasks": plan })),
        Role::Worker if request.step() == 0 => {
            let path = about(request.asked())
                .expect("it names its file")
                .to_owned();
            Reply::call("write", json!({ "filePath": path, "content": "changed\n" }))
        }
        _ => Reply::fenced(
            &json!({ "status": "done", "summary": "did it", "changed_tests": [], "notes": [] }),
        ),
    })
    .await;
    let all = files();
    let all: Vec<(&str, &str)> = all
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    let user = User::new(env!("CARGO_BIN_EXE_orchestrator"), &model.url(), &all);
    super::carried_out(&user, "Change the parts").await;
    let log = model.log();
    let told = log
        .iter()
        .filter(|request| Role::of(request) == Role::Worker && request.step() == 0);
    told.map(|request| request.asked().to_owned()).collect()
}

/// What an agent that looks for itself asks and reads, told by its brief and without that.
async fn at_the_door() {
    let briefs = briefs().await;
    assert_eq!(briefs.len(), TASKS, "each Worker was told once");
    let bytes = briefs
        .iter()
        .map(|brief| brief.len() - without(brief).len());
    let carried = bytes.sum::<usize>() / TASKS;
    println!(
        "{TASKS} tasks of one file each, on OpenCode, by an agent that looks at once for what its brief lacks and does \
         nothing else"
    );
    told("  what a brief carries of that", format!("{carried} bytes"));
    let model = Model::start(looks).await;
    let home = Home::new(&model.url());
    let folder = home.workspace("lane");
    git_of(&folder, &files());
    let (mut child, url) = serve(&home).await;
    let server = Server::at(url, &folder);
    for (what, cut) in [("told by its brief", false), ("without that", true)] {
        let before = model.log().len();
        for brief in &briefs {
            let session = server.open().await;
            let brief = if cut { without(brief) } else { brief.clone() };
            server.work(&session, &brief).await;
        }
        let log = model.log().split_off(before);
        // A host asks for a title as well.
        let asked: Vec<&Request> = log
            .iter()
            .filter(|request| !request.tools.is_empty())
            .collect();
        let calls: usize = asked.iter().map(|request| request.results().len()).sum();
        let read: usize = asked
            .iter()
            .map(|request| request.read_by_the_model().len())
            .sum();
        told(
            &format!("  requests, calls and kB that the model reads, {what}"),
            format!(
                "{:.1}, {:.1}, {}",
                asked.len() as f64 / TASKS as f64,
                calls as f64 / TASKS as f64,
                read / TASKS / 1000
            ),
        );
    }
    child.kill().await.unwrap();
}
