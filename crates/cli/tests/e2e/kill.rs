//! The kill sweep: the program is killed at every point, and goes on as if nothing had been.
//!
//! A mission of twelve tasks is run once undisturbed, with every point listed that it passes. Then it is run again for
//! each of them: it dies there by `SIGKILL`, is resumed until it ends, and everything that was promised is looked at.
//!
//! By default every kind of point is taken at its first and last passing, and of the passings between every fiftieth.
//! `ORCHESTRATOR_KILL_STRIDE` sets another stride (1 takes all), `ORCHESTRATOR_KILL_SEED` another seed.

use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use testkit::world::{Belongings, Ran, Running, Script, Task, World, delete, run, write};

/// A mission is resumed at most so often.
const RESUMES: usize = 4;

/// The mission that is killed.
///
/// A Worker that dies between its edit and its answer is asked again in the same workspace, where its edit still stands.
/// So every step here can be done twice, as a model's can that looks before it writes.
fn script() -> Script {
    let small = |id: &str| {
        let file = format!("{id}.txt");
        Task::new(id)
            .writes(&file)
            .proof(&format!("grep -q {id} {file}"))
    };
    let meet = |id: &str| {
        let aside = format!("{id}.log");
        Task::new(id)
            .with("priority", json!("high"))
            .writes(&aside)
            .proof(&format!("grep -q {id} shared.txt"))
    };
    let plan = [
        meet("left"),
        meet("right"),
        small("red"),
        small("rejected"),
        small("busy"),
        Task::new("changed")
            .writes("a.txt")
            .proof("grep -q new a.txt"),
        Task::new("gone")
            .writes("gone.txt")
            .proof("test ! -e gone.txt"),
        Task::new("moved")
            .writes("from.txt")
            .writes("to.txt")
            .proof("test -x to.txt"),
        small("deep").needs("red").needs("left"),
        small("deeper").needs("deep").needs("busy"),
        Task::new("check")
            .writes("checks/more.sh")
            .proof("test -f checks/more.sh"),
        small("last")
            .needs("deeper")
            .needs("right")
            .needs("rejected")
            .needs("check"),
    ];
    let writes = |id: &str| [write(&format!("{id}.txt"), &format!("{id}\n"))];
    let busy = json!({ "role": "worker", "task": "busy", "call": 1, "end": { "refuse": { "retry_after": 1 } } });
    Script::plan(plan)
        .attempt("left", 1, [write("shared.txt", "left\n")])
        .attempt("right", 1, [write("shared.txt", "right\n")])
        .worker("left", [write("shared.txt", "left right\n")])
        .worker("right", [write("shared.txt", "left right\n")])
        .attempt("red", 1, [write("red.txt", "wrong\n")])
        .worker("red", writes("red"))
        .attempt("rejected", 1, [write("rejected.txt", "rejected, badly\n")])
        .worker("rejected", writes("rejected"))
        .rejected("rejected", 1, "it is done badly")
        .turn(busy)
        .worker("busy", writes("busy"))
        .worker("changed", [run("grep -q new a.txt || echo new >> a.txt")])
        .worker("gone", [delete("gone.txt")])
        .worker(
            "moved",
            [run("test -e to.txt || mv from.txt to.txt; chmod +x to.txt")],
        )
        .worker("deep", writes("deep"))
        .worker("deeper", writes("deeper"))
        .worker(
            "check",
            [write("checks/more.sh", "test -f check.me || true\n")],
        )
        .worker("last", writes("last"))
        .reviewed()
}

/// A user with uncommitted work.
fn before() -> (World, Belongings) {
    let world = crate::project()
        .file("gone.txt", "gone\n")
        .file("from.txt", "from\n")
        .file("mine.txt", "committed\n")
        .committed();
    world.write("mine.txt", "not committed\n");
    world.write("staged.txt", "staged\n");
    world.git(&["add", "staged.txt"]);
    world.write("untracked.txt", "untracked\n");
    let git = world.git_state();
    (world, git)
}

/// What the undisturbed run came to.
struct Wanted {
    tree: String,
    files: Belongings,
    points: Vec<String>,
}

fn undisturbed(script: &Script) -> Wanted {
    let (world, git) = before();
    let list = world.beside("points");
    let agent = world.agent(script);
    let mut command = world.command(&["task", "sweep", &agent]);
    command.env("ORCHESTRATOR_FAULT_LIST", &list);
    let began = Instant::now();
    let ran = Running::new(command).ended();
    let took = began.elapsed();
    let said = ran.said();
    let ran = ran.ends(0, &["m1 completed"]);
    for happened in [
        "rejected",
        "conflicts in shared.txt",
        "is parked for",
        "was red",
        "delivered as worktree",
    ] {
        assert!(
            said.contains(happened),
            "the mission is to see {happened:?}:\n{said}"
        );
    }
    let points = std::fs::read_to_string(list).unwrap();
    let points: Vec<String> = points.lines().map(str::to_owned).collect();
    let wanted = Wanted {
        tree: world.mission_git("m1", &["rev-parse", "landed^{tree}"]),
        files: world.files(),
        points,
    };
    println!(
        "undisturbed: {} points, {} ms",
        wanted.points.len(),
        took.as_millis()
    );
    intact(&world, &git, "m1", &wanted, &ran);
    wanted
}

/// Everything that was promised of a mission that is over.
#[track_caller]
fn intact(world: &World, git: &Belongings, mission: &str, wanted: &Wanted, last: &Ran) {
    let said = last.said();
    let state = world.status(mission);
    assert_eq!(state["state"], "completed", "the mission's state: {said}");
    assert_eq!(
        world.mission_git(mission, &["rev-parse", "landed^{tree}"]),
        wanted.tree,
        "the landed tree: {said}"
    );
    assert_eq!(world.files(), wanted.files, "the user's files: {said}");
    assert_eq!(
        world.git_state(),
        *git,
        "index, HEAD, branches and configuration stay: {said}"
    );
    world
        .run(&["verify", mission])
        .ends(0, &["every link holds"]);
    never_twice(&world.agent_log(mission));
    let trailers = world.mission_git(
        mission,
        &["log", "--format=%(trailers:key=Task,valueonly)", "landed"],
    );
    let mut tasks: Vec<&str> = trailers.lines().filter(|line| !line.is_empty()).collect();
    tasks.sort_unstable();
    let mut all: Vec<String> = state["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| task["id"].as_str().unwrap().to_owned())
        .collect();
    all.sort_unstable();
    assert_eq!(tasks, all, "each task landed once: {said}");
    let lanes: Vec<_> = std::fs::read_dir(world.place(mission).join("lanes"))
        .unwrap()
        .map(|lane| lane.unwrap().path())
        .collect();
    assert!(lanes.is_empty(), "workspaces were left: {lanes:?}\n{said}");
    world.all_gone();
}

/// No lease of a turn began again after its answer or was answered twice; no turn began again after a real answer.
#[track_caller]
fn never_twice(log: &str) {
    let mut answered = BTreeSet::new();
    for line in log.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [what, _, turn, epoch] = words[..] else {
            panic!("{line:?} in\n{log}")
        };
        match what {
            "start" => assert!(
                !answered.contains(&(turn, epoch)),
                "{turn} of epoch {epoch} began again:\n{log}"
            ),
            _ => assert!(
                answered.insert((turn, epoch)),
                "{turn} of epoch {epoch} was answered twice:\n{log}"
            ),
        }
    }
    let starts = |turn: &str| {
        log.lines()
            .filter(|line| line.starts_with("start ") && line.split(' ').nth(2) == Some(turn))
            .count()
    };
    for (turn, _) in &answered {
        let most = if *turn == "T5.1" { 2 } else { 1 };
        assert!(starts(turn) <= most, "{turn} was paid for twice:\n{log}");
    }
}

/// Resumes a mission until it ends by itself.
#[track_caller]
fn resumed(world: &World, mission: &str) -> Ran {
    let mut said = String::new();
    for _ in 0..RESUMES {
        let ran = world.run(&["resume", mission]);
        if ran.code == Some(0) {
            return ran;
        }
        let nothing_left = ran.said().contains("every task has landed");
        if nothing_left && world.state_of(mission) == "completed" {
            return ran;
        }
        said.push_str(&ran.said());
    }
    panic!(
        "{RESUMES} times resumed, and not done:\n{said}\n{}",
        world.run(&["log", mission]).out
    );
}

/// The points to die at: a name and its how-manieth passing.
fn chosen(points: &[String], stride: usize) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for point in points {
        *counts.entry(point).or_default() += 1;
    }
    let take = |n: usize, last: usize| n == 1 || n == last || n.is_multiple_of(stride);
    let of = |(name, last): (&str, usize)| {
        (1..=last)
            .filter(|n| take(*n, last))
            .map(|n| format!("{name}@{n}"))
            .collect::<Vec<_>>()
    };
    counts.into_iter().flat_map(of).collect()
}

/// What a sweep met.
#[derive(Default)]
struct Met {
    died: AtomicUsize,
    twice: AtomicUsize,
    unreached: AtomicUsize,
    before_opened: AtomicUsize,
}

/// One life, one death, one recovery; with `again` a second death in the recovery.
fn die_at(point: &str, again: Option<&str>, script: &Script, wanted: &Wanted, met: &Met) {
    let (world, git) = before();
    let agent = world.agent(script);
    let mut command = world.command(&["task", "sweep", &agent]);
    command.env("ORCHESTRATOR_FAULT", point);
    let ran = Running::new(command).ended();
    world.all_gone();
    let count = |of: &AtomicUsize| of.fetch_add(1, Ordering::SeqCst);
    if ran.signal.is_none() {
        // Points are passed as often as the loop finds things done at once; a last passing may be missing.
        count(&met.unreached);
        return intact(&world, &git, "m1", wanted, &ran.ends(0, &[]));
    }
    count(&met.died);
    assert_eq!(ran.signal, Some(9), "{}", ran.said());
    let opened = world.run(&["status", "m1"]);
    if opened.code != Some(0) {
        // It died before the mission's first event was durable: nothing was promised, and a new one works.
        count(&met.before_opened);
        assert!(point.starts_with("open."), "{}", opened.said());
        let ran = world.run(&["task", "sweep", &agent]).ends(0, &[]);
        let mission = if ran.said().contains("m2 completed") {
            "m2"
        } else {
            "m1"
        };
        return intact(&world, &git, mission, wanted, &ran);
    }
    if let Some(again) = again {
        let mut command = world.command(&["resume", "m1"]);
        command.env("ORCHESTRATOR_FAULT", again);
        let ran = Running::new(command).ended();
        if ran.signal.is_some() {
            count(&met.twice);
        }
        world.all_gone();
    }
    let ran = resumed(&world, "m1");
    intact(&world, &git, "m1", wanted, &ran);
}

/// Does all of it on as many threads as there are processors, and names what failed.
fn sweep(jobs: &[(String, Option<String>)], one: impl Fn(&str, Option<&str>) + Sync) {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((point, again)) = jobs.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        one(point, again.as_deref());
                    }));
                    if done.is_err() {
                        failed.lock().unwrap().push(format!("{point} {again:?}"));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(
        failed.is_empty(),
        "{} of {} failed: {failed:#?}",
        failed.len(),
        jobs.len()
    );
}

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// Numbers that look random and are the same every time.
struct Draws(u64);

impl Draws {
    fn new() -> Self {
        Self(number("ORCHESTRATOR_KILL_SEED", 1) as u64)
    }

    fn below(&mut self, most: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % most
    }
}

#[test]
fn a_mission_killed_at_any_point_goes_on_as_if_nothing_had_been() {
    let (script, began) = (script(), Instant::now());
    let wanted = undisturbed(&script);
    let points = chosen(&wanted.points, number("ORCHESTRATOR_KILL_STRIDE", 50));
    let jobs: Vec<_> = points.into_iter().map(|point| (point, None)).collect();
    let met = Met::default();
    sweep(&jobs, |point, again| {
        die_at(point, again, &script, &wanted, &met);
    });
    let of = |count: &AtomicUsize| count.load(Ordering::SeqCst);
    println!(
        "{} points tried: {} died, {} of them before the mission was opened, {} not reached; {} s",
        jobs.len(),
        of(&met.died),
        of(&met.before_opened),
        of(&met.unreached),
        began.elapsed().as_secs(),
    );
    assert!(
        of(&met.died) * 10 >= jobs.len() * 9,
        "most points are reached"
    );
}

#[test]
fn a_mission_killed_again_while_it_recovers_goes_on_as_if_nothing_had_been() {
    let (script, began) = (script(), Instant::now());
    let wanted = undisturbed(&script);
    let mut draws = Draws::new();
    let names: Vec<&String> = wanted
        .points
        .iter()
        .filter(|point| !point.starts_with("open."))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let first = chosen(&wanted.points, usize::MAX);
    let jobs: Vec<(String, Option<String>)> = (0..number("ORCHESTRATOR_KILL_TWICE", 40))
        .map(|_| {
            let first = first[draws.below(first.len())].clone();
            let again = format!("{}@{}", names[draws.below(names.len())], 1 + draws.below(3));
            (first, Some(again))
        })
        .collect();
    let met = Met::default();
    sweep(&jobs, |point, again| {
        die_at(point, again, &script, &wanted, &met);
    });
    let of = |count: &AtomicUsize| count.load(Ordering::SeqCst);
    println!(
        "{} tried: {} died, {} died twice; {} s",
        jobs.len(),
        of(&met.died),
        of(&met.twice),
        began.elapsed().as_secs()
    );
}

#[test]
fn a_mission_killed_from_outside_at_any_line_goes_on_as_if_nothing_had_been() {
    let (script, began) = (script(), Instant::now());
    let wanted = undisturbed(&script);
    let mut draws = Draws::new();
    let jobs: Vec<(String, Option<String>)> = (0..number("ORCHESTRATOR_KILL_RANDOM", 20))
        .map(|_| {
            (
                (1 + draws.below(60)).to_string(),
                Some((1 + draws.below(30)).to_string()),
            )
        })
        .collect();
    let kills = AtomicUsize::new(0);
    let killed_after = |mut running: Running, lines: &str| {
        for _ in 0..lines.parse::<usize>().unwrap() {
            if running.line().is_none() {
                break;
            }
        }
        let ran = running.kill();
        kills.fetch_add(usize::from(ran.signal == Some(9)), Ordering::SeqCst);
        ran
    };
    sweep(&jobs, |first, again| {
        let (world, git) = before();
        let agent = world.agent(&script);
        let mut ran = killed_after(world.start(&["task", "sweep", &agent]), first);
        world.all_gone();
        if ran.signal.is_some() {
            ran = killed_after(world.start(&["resume", "m1"]), again.unwrap());
            world.all_gone();
        }
        if ran.signal.is_some() {
            ran = resumed(&world, "m1");
        }
        intact(&world, &git, "m1", &wanted, &ran);
    });
    println!(
        "{} missions, {} kills; {} s",
        jobs.len(),
        kills.into_inner(),
        began.elapsed().as_secs()
    );
}
