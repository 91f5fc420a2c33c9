//! The kill sweep of what comes after a mission, and of what the large mission has not: set-up, a commit and a branch as
//! delivery, undo, a cancelled mission's rescue, clean.
//!
//! Each story is a list of commands. Each is killed at every point that it passes, and again after some points of the next
//! try, until it has done what it is for; then comes the next.

use super::chain::{At, Draws, Met, each_once, life, nothing_lost, number, parallel};
use super::points;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Instant;
use testkit::world::{Ran, Running, Script, Task, World, delete, run, write};

/// More files than are put into their places one by one.
const MANY: usize = 40;

/// A command is tried at most so often without being killed.
const TRIES: usize = 4;

/// A command of a story, and whether it has done what it is for.
struct Step {
    words: &'static [&'static str],
    done: fn(&World) -> bool,
    /// Where it is always killed once first, if anywhere.
    cut: Option<&'static str>,
}

fn step(words: &'static [&'static str], done: fn(&World) -> bool) -> Step {
    Step {
        words,
        done,
        cut: None,
    }
}

/// A story with its user.
struct Story {
    name: &'static str,
    world: fn() -> World,
    script: fn() -> Script,
    steps: Vec<Step>,
    /// How the points begin that it is there for, and dies at; all that it passes where there are none.
    only: &'static [&'static str],
    /// What must hold at the end, whatever happened on the way.
    end: fn(&World),
}

/// A Node project with a dependency of its own, so that nothing is fetched.
fn node() -> World {
    let lock = r#"{ "name": "app", "version": "1.0.0", "lockfileVersion": 3, "requires": true, "packages": {
        "": { "name": "app", "version": "1.0.0", "dependencies": { "part": "file:part" } },
        "node_modules/part": { "resolved": "part", "link": true }, "part": { "version": "1.0.0" } } }"#;
    crate::world()
        .file(
            "package.json",
            r#"{ "name": "app", "version": "1.0.0", "dependencies": { "part": "file:part" } }"#,
        )
        .file("package-lock.json", lock)
        .file(
            "part/package.json",
            r#"{ "name": "part", "version": "1.0.0" }"#,
        )
        .file(".gitignore", "node_modules/\n")
        .file("a.txt", "old\n")
        .file("gone.txt", "gone\n")
        .file("folder/kept.txt", "kept\n")
        .committed()
}

fn changes() -> Script {
    let task = Task::new("change")
        .writes("a.txt")
        .writes("folder/new.txt")
        .writes("gone.txt")
        .proof("grep -q new a.txt && test -d node_modules/part");
    let steps = [
        write("a.txt", "new\n"),
        write("folder/new.txt", "new\n"),
        delete("gone.txt"),
        run("chmod +x folder/kept.txt"),
    ];
    Script::plan([task]).worker("change", steps).reviewed()
}

fn stands(world: &World, state: &str) -> bool {
    world.run(&["status", "m1"]).code == Some(0) && world.state_of("m1") == state
}

fn is_old(world: &World) -> bool {
    world.read("a.txt") == "old\n" && world.read("gone.txt") == "gone\n"
}

fn is_new(world: &World) -> bool {
    world.read("a.txt") == "new\n"
        && world.read("folder/new.txt") == "new\n"
        && world.read("gone.txt").is_empty()
}

fn handed_over() -> Story {
    Story {
        name: "handed over",
        world: node,
        script: changes,
        steps: vec![
            step(&["task", "change it", "--deliver", "commit"], |world| {
                stands(world, "completed") && is_new(world)
            }),
            step(&["undo", "m1"], |world| {
                is_old(world) && world.git(&["rev-list", "--count", "main"]) == "1"
            }),
            step(&["deliver", "m1", "--as", "branch"], |world| {
                !world
                    .git(&["branch", "--list", "orchestrator/m1"])
                    .is_empty()
            }),
            step(&["undo", "m1"], |world| {
                world
                    .git(&["branch", "--list", "orchestrator/m1"])
                    .is_empty()
            }),
            step(&["deliver", "m1"], is_new),
            step(&["undo", "m1"], is_old),
            step(&["deliver", "m1"], is_new),
            step(&["clean", "m1"], |world| {
                std::fs::read_dir(world.state().join("missions"))
                    .is_ok_and(|left| left.count() == 0)
            }),
        ],
        only: &[],
        end: |world| {
            assert!(is_new(world));
            assert_eq!(world.git(&["rev-list", "--count", "main"]), "1");
            let refs = world.git(&["for-each-ref", "--format=%(refname)"]);
            assert_eq!(refs, "refs/heads/main");
            assert_eq!(
                world.git(&["status", "--porcelain"]),
                " M a.txt\n M folder/kept.txt\n D gone.txt\n?? folder/new.txt"
            );
            let git: Vec<String> = std::fs::read_dir(world.project().join(".git"))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
                .filter(|name| name.contains("lock") || name.contains("orchestrator"))
                .collect();
            assert_eq!(git, Vec::<String>::new());
            let left = world
                .files()
                .into_keys()
                .filter(|name| name.contains(".orchestrator-"));
            assert_eq!(left.collect::<Vec<_>>(), Vec::<String>::new());
        },
    }
}

/// A Worker is killed in the middle of its work, and the mission is cancelled: what it has written is kept.
fn cancelled() -> Story {
    let script = || {
        let task = Task::new("change")
            .writes("a.txt")
            .proof("grep -q new a.txt");
        Script::plan([task])
            .worker("change", [write("a.txt", "new\n")])
            .reviewed()
    };
    Story {
        name: "cancelled",
        world: crate::project,
        script,
        steps: vec![
            Step {
                words: &["task", "change it"],
                done: |world| world.run(&["status", "m1"]).code == Some(0),
                cut: Some("turn.agent after: T1.1"),
            },
            step(&["cancel", "m1"], |world| {
                world.run(&["log", "m1"]).out.contains("cancelled by")
            }),
            // Whatever comes next finishes what a killed `cancel` has left, and then there is nothing to undo.
            step(&["undo", "m1"], |world| {
                let lanes = world.place("m1").join("lanes").read_dir();
                stands(world, "cancelled") && lanes.is_ok_and(|mut left| left.next().is_none())
            }),
        ],
        only: &[],
        end: |world| {
            assert_eq!(world.read("a.txt"), "old\n");
            let kept = world.mission_git(
                "m1",
                &["for-each-ref", "--format=%(refname)", "refs/rescue"],
            );
            let kept = kept.lines().next().expect("nothing was kept").to_owned();
            let text = world.mission_git("m1", &["show", &format!("{kept}:a.txt")]);
            assert_eq!(text, "new");
        },
    }
}

/// A provider refuses a turn, and what it said is told to all missions until another turn is served.
fn refused() -> Story {
    let script = || {
        let task = Task::new("change")
            .writes("a.txt")
            .proof("grep -q new a.txt");
        let busy = json!({ "role": "worker", "task": "change", "call": 1, "end": { "refuse": { "retry_after": 1 } } });
        Script::plan([task])
            .turn(busy)
            .worker("change", [write("a.txt", "new\n")])
            .reviewed()
    };
    Story {
        name: "refused",
        world: crate::project,
        script,
        steps: vec![step(
            &["task", "change it", "--model", "acme/large"],
            |world| stands(world, "completed") && world.read("a.txt") == "new\n",
        )],
        only: &["provider."],
        end: |world| {
            let told = std::fs::read_dir(world.state().join("providers")).unwrap();
            for file in told.map(|entry| entry.unwrap().path()) {
                if file.extension().is_some_and(|end| end == "json") {
                    let text = std::fs::read(&file).unwrap();
                    serde_json::from_slice::<serde_json::Value>(&text).expect("it is whole");
                }
            }
            // Whatever was left of it, no other mission is held back by it.
            world.write("a.txt", "old\n");
            let task = Task::new("change")
                .writes("a.txt")
                .proof("grep -q new a.txt");
            let script = Script::small(task).worker("change", [write("a.txt", "new\n")]);
            let agent = world.agent(&script);
            let model = ["--model", "acme/large", "--reviews", "0"];
            let words = [&["task", "again", &agent][..], &model].concat();
            world.run(&words).ends(0, &["m2 completed"]);
        },
    }
}

/// A set-up that fails on the base already, a task that lands many files, one whose work does not land, and one whose Worker
/// fails and leaves the only lane as it is.
fn in_part() -> Story {
    fn files() -> impl Iterator<Item = String> {
        (0..MANY).map(|n| format!("many/{n}.txt"))
    }
    let world = || {
        let world = files().fold(crate::project(), |world, file| world.file(&file, "old\n"));
        let world = world.committed();
        let config = format!(
            "[[set_up]]\nproject = {:?}\ncommand = \"false\"\nkeyed_by = [\"Makefile\"]\nbring = []\n",
            world.project()
        );
        let place = world.home().join(".config/opencode-orchestrator");
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(place.join("config.toml"), config).unwrap();
        world
    };
    let script = || {
        let changed = Task::new("changed").proof("grep -q new many/0.txt");
        let bad = Task::new("bad").proof("test -f good.txt").needs("changed");
        let left = Task::new("left").proof("test -f left.txt");
        let left = left.with("priority", json!("high"));
        // However often it is asked: whoever is killed in its turn asks it again.
        let fails = json!({ "role": "worker", "task": "left",
            "steps": [write("left.txt", "left\n")], "end": { "fail": "no_answer" } });
        Script::plan([left, changed, bad])
            .turn(fails)
            .worker("changed", files().map(|file| write(&file, "new\n")))
            .worker("bad", [write("bad.txt", "bad\n")])
    };
    let words = &[
        "task",
        "change it",
        "--attempts",
        "1",
        "--reviews",
        "0",
        "--workers",
        "1",
    ];
    Story {
        name: "in part",
        world,
        script,
        steps: vec![
            step(words, |world| stands(world, "partial")),
            step(&["deliver", "m1"], |world| {
                world.read("many/0.txt") == "new\n"
            }),
        ],
        only: &[
            "set-up.blamed",
            "tidy.attempt kept",
            "turn.rescued",
            "deliver.files kept",
        ],
        end: |world| {
            let is_new = |n: usize| world.read(&format!("many/{n}.txt")) == "new\n";
            assert!((0..MANY).all(is_new) && world.read("bad.txt").is_empty());
            let kept = ["for-each-ref", "--format=%(refname)"];
            let kept = world.mission_git("m1", &kept);
            assert!(kept.contains("refs/heads/rescue/T3."), "{kept}");
            let left = kept.lines().find(|name| name.contains("rescue/T1."));
            let left =
                left.unwrap_or_else(|| panic!("what the Worker that failed wrote is gone: {kept}"));
            let text = world.mission_git("m1", &["show", &format!("{left}:left.txt")]);
            assert_eq!(text, "left");
        },
    }
}

/// Runs a story and kills it at these points, or, without any, gives all that it passes.
fn play(story: &Story, points: Option<&[String]>, met: &Met, draw: u64) -> Vec<String> {
    let world = (story.world)();
    let agent = world.agent(&(story.script)());
    let mut draws = Draws::new(draw);
    let (plan, list) = (world.beside("armed.points"), world.beside("all"));
    std::fs::write(&plan, points.unwrap_or_default().join("\n")).unwrap();
    let mut lives: Vec<Ran> = Vec::new();
    for step in &story.steps {
        let mut words = step.words.to_vec();
        if words[0] == "task" {
            words.push(&agent);
        }
        if let Some(cut) = step.cut {
            let at = world.beside("cut.points");
            std::fs::write(&at, cut).unwrap();
            let ran = life(&world, &words, At::Plan(&at), met);
            assert_eq!(ran.signal, Some(9), "{cut} is not passed: {}", ran.said());
            lives.push(ran);
            continue;
        }
        if points.is_none() {
            let mut command = world.command(&words);
            command.env("ORCHESTRATOR_FAULT_LIST", &list);
            let ran = Running::new(command).ended();
            assert!((step.done)(&world), "{words:?}: {}", ran.said());
            continue;
        }
        let (mut tries, mut recovers) = (0, false);
        loop {
            // A mission that was opened goes on; everything else is typed again.
            let opened = words[0] == "task" && world.run(&["status", "m1"]).code == Some(0);
            let typed: &[&str] = if opened { &["resume", "m1"] } else { &words };
            let at = match recovers {
                true => At::Nth(1 + draws.below(8)),
                false => At::Plan(&plan),
            };
            let ran = life(&world, typed, at, met);
            let ended = ran.signal.is_none();
            recovers = !ended && !recovers;
            lives.push(ran);
            if lives.len().is_multiple_of(3) {
                world.all_gone();
            }
            if ended && (step.done)(&world) {
                break;
            }
            tries += usize::from(ended);
            let said: String = lives.iter().rev().take(4).map(Ran::said).collect();
            assert!(
                tries < TRIES,
                "{}: {words:?} is not done: {said}",
                story.name
            );
        }
    }
    world.all_gone();
    (story.end)(&world);
    nothing_lost(&world, "m1", &lives);
    let passed = std::fs::read_to_string(list).unwrap_or_default();
    each_once(&passed)
}

/// What all stories came to.
#[derive(Default)]
struct Told {
    /// The points of the undisturbed runs, but for those before anything is promised.
    points: BTreeSet<String>,
    /// The kinds that any run passed.
    passed: BTreeSet<String>,
    died: BTreeSet<String>,
}

impl Told {
    /// Kills a story at all its points.
    fn tell(&mut self, story: &Story, began: Instant) {
        let met = Met::default();
        let points = play(story, None, &met, 0);
        let meant = |point: &String| {
            let only = story.only.iter().any(|only| point.starts_with(only));
            (only || story.only.is_empty()) && !super::is_early(point)
        };
        let points: Vec<String> = points.into_iter().filter(meant).collect();
        let n_parts = match story.only {
            [] => number("ORCHESTRATOR_KILL_PARTS", 48).div_ceil(8),
            // After a death at one of few the others may not be passed any more.
            _ => points.len(),
        };
        let parts: Vec<Vec<String>> = (0..n_parts)
            .map(|part| points.iter().skip(part).step_by(n_parts).cloned().collect())
            .collect();
        parallel(&parts, |part, draw| {
            play(story, Some(part), &met, draw);
        });
        let missed = || super::missed(&points, &met);
        for round in 1..=super::ROUNDS {
            let again = missed();
            if !again.is_empty() {
                play(story, Some(&again), &met, 1000 * round);
            }
        }
        let others = super::alikes(&super::without_one_alike(&missed(), &met.all()));
        if !others.is_empty() {
            play(story, Some(&others), &met, 1000 * (super::ROUNDS + 1));
        }
        println!(
            "{}: {} points, {} not died at; {} deaths, {} of them in recoveries; {} s",
            story.name,
            points.len(),
            missed().len(),
            met.deaths(),
            met.in_recoveries(),
            began.elapsed().as_secs()
        );
        super::nobody_survives(&met);
        self.points.extend(points);
        self.died.extend(met.all());
        self.passed.extend(met.passed());
    }
}

/// What one story passes only in some order of things (a workspace made while the Planner still thinks, say, and tidied
/// although nobody has worked in it) another one passes in any: it counts wherever it was died at.
#[test]
fn commands_killed_at_every_point_are_done_in_the_end_and_done_once() {
    let (mut told, began) = (Told::default(), Instant::now());
    for story in [handed_over(), cancelled(), refused(), in_part()] {
        told.tell(&story, began);
    }
    let missed: Vec<String> = told.points.difference(&told.died).cloned().collect();
    let without = super::without_one_alike(&missed, &told.died);
    assert!(
        without.is_empty(),
        "never died at, nor at one that differs by its numbers: {without:?}"
    );
    points::all_passed(points::COMMANDS, &told.passed);
}
