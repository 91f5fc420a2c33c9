//! The kill sweep: the program is killed at every point, and goes on as if nothing had been.
//!
//! A mission of twelve tasks is run once undisturbed, with every point listed that it passes: before and after everything
//! that it does to the world. Each point is one kind of effect on one thing, as `turn.note written T3.1`.
//!
//! Then missions are run that die. Each has a part of the points to die at, spread over its whole length; it dies at the
//! first of them that it passes, is resumed, dies again after a few more points of whichever kind, is resumed, dies at
//! the next of its own, and so on to its end. So every point is died at, and every recovery from it is cut short too,
//! and what is looked at in the end has come through all of it. A point that was not passed, because other things
//! happened first in that mission, is tried again in another one; after that one counts that differs from it
//! by its numbers.
//!
//! `ORCHESTRATOR_KILL_PARTS` says in how many missions the points are died at, `ORCHESTRATOR_KILL_SEED` draws other
//! numbers, `ORCHESTRATOR_KILL_POINTS` names points, separated by commas, to die at in one mission, and nowhere else.

mod afterwards;
mod answered;
mod chain;
#[path = "../tidy/points.rs"]
mod points;

use chain::{Armed, Met, Wanted, chain, each_once, kind, number, parallel};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Instant;
use testkit::world::{Belongings, Ran, Running, Script, Task, World, delete, run, write};
use workbench::fault::without_numbers;

/// How often points that were not passed are tried again.
const ROUNDS: u64 = 3;

/// So many points of the undisturbed mission may be of an order of things that no other mission comes to.
const SELDOM: usize = 3;

/// So many kills come at some instant.
const INSTANTS: usize = 200;

/// What two tasks do to one file. With a file of its own each has something to land, whichever lands last.
fn aside(id: &str, shared: &str) -> [serde_json::Value; 2] {
    let own = write(&format!("{id}.log"), &format!("{id}\n"));
    [write("shared.txt", shared), own]
}

/// Whether a file begins with a line in which a word stands. The shell needs no other program for it: some fifty proofs
/// are run in each mission, and there are many missions.
fn says(file: &str, word: &str) -> String {
    format!("read line < {file} && case $line in *{word}*) ;; *) false;; esac")
}

/// The mission that is killed.
///
/// A Worker that dies between its edit and its answer is asked again in the same workspace, where its edit still stands.
/// So every step here can be done twice, as a model's can that looks before it writes.
fn script() -> Script {
    let small = |id: &str| {
        let file = format!("{id}.txt");
        Task::new(id).writes(&file).proof(&says(&file, id))
    };
    let meet = |id: &str| {
        let aside = format!("{id}.log");
        Task::new(id)
            .with("priority", json!("high"))
            .writes(&aside)
            .proof(&says("shared.txt", id))
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
    Script::plan(plan)
        .attempt("left", 1, aside("left", "left\n"))
        .attempt("right", 1, aside("right", "right\n"))
        .worker("left", aside("left", "left right\n"))
        .worker("right", aside("right", "left right\n"))
        .attempt("red", 1, [write("red.txt", "wrong\n")])
        .worker("red", writes("red"))
        .attempt("rejected", 1, [write("rejected.txt", "rejected, badly\n")])
        .worker("rejected", writes("rejected"))
        .rejected("rejected", 1, "it is done badly")
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
        .file(
            "Makefile",
            "test:\n\t@for f in checks/*.sh; do . ./$$f || exit 1; done\n",
        )
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
        "was red",
        "delivered as worktree",
    ] {
        assert!(
            said.contains(happened),
            "the mission is to see {happened:?}:\n{said}"
        );
    }
    let passed = std::fs::read_to_string(list).unwrap();
    let wanted = Wanted {
        tree: world.mission_git("m1", &["rev-parse", "landed^{tree}"]),
        files: world.files(),
        points: each_once(&passed),
        took,
    };
    let kinds: BTreeSet<&str> = wanted.points.iter().map(|point| kind(point)).collect();
    println!(
        "undisturbed: {} passings of {} points of {} kinds, {} ms",
        passed.lines().count(),
        wanted.points.len(),
        kinds.len(),
        took.as_millis()
    );
    intact(&world, &git, "m1", &wanted, &[ran]);
    wanted
}

/// Everything that was promised of a mission that is over, whose lives said this.
#[track_caller]
fn intact(world: &World, git: &Belongings, mission: &str, wanted: &Wanted, lives: &[Ran]) {
    let said = lives.last().map(Ran::said).unwrap_or_default();
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
    chain::nothing_lost(world, mission, lives);
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
    chain::nothing_left(world, mission);
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
        assert!(starts(turn) <= 1, "{turn} was paid for twice:\n{log}");
    }
}

/// One mission that dies at all of these points, and again in each recovery.
fn dies_at(points: &[String], script: &Script, wanted: &Wanted, met: &Met, draw: u64) {
    let (world, git) = before();
    let agent = world.agent(script);
    let first = ["task", "sweep", &agent];
    let lives = chain(&world, &first, &Armed::Points(points), met, draw);
    intact(&world, &git, "m1", wanted, &lives);
    world.run(&["clean", "m1"]).ends(0, &["removed"]);
    let refs = world.git(&["for-each-ref", "refs/orchestrator"]);
    assert_eq!(refs, "", "a pin was left");
    let left: Vec<_> = std::fs::read_dir(world.state().join("missions"))
        .unwrap()
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// It dies before its first event is durable: nothing was promised, and a new mission works.
fn dies_before_it_is_open(point: &str, script: &Script, wanted: &Wanted, met: &Met) {
    let (world, git) = before();
    let agent = world.agent(script);
    let mut command = world.command(&["task", "sweep", &agent]);
    command.env("ORCHESTRATOR_FAULT", format!("{point}@1"));
    let ran = Running::new(command).ended();
    assert_eq!(ran.signal, Some(9), "{point}: {}", ran.said());
    met.died(point);
    assert_ne!(world.run(&["status", "m1"]).code, Some(0), "{point}");
    let ran = world.run(&["task", "sweep", &agent]).ends(0, &[]);
    let second = ran.said().contains("m2 completed");
    intact(
        &world,
        &git,
        if second { "m2" } else { "m1" },
        wanted,
        &[ran],
    );
}

/// Whether a point is passed before the mission's first event is durable, when nothing was promised yet.
pub(super) fn is_early(point: &str) -> bool {
    let opening = point.starts_with("open.") && point != "open.after";
    // What a mission is begun with is kept before it is open, and by nobody else in these missions.
    opening || point.starts_with("keep.")
}

#[test]
fn a_mission_killed_at_every_point_and_again_in_each_recovery_goes_on_as_if_nothing_had_been() {
    let (script, began) = (script(), Instant::now());
    let wanted = undisturbed(&script);
    let (early, points): (Vec<String>, Vec<String>) = wanted
        .points
        .iter()
        .cloned()
        .partition(|point| is_early(point));
    let met = Met::default();
    if let Ok(named) = std::env::var("ORCHESTRATOR_KILL_POINTS") {
        let named: Vec<String> = named.split(',').map(str::to_owned).collect();
        return dies_at(&named, &script, &wanted, &met, 1);
    }
    parallel(&early, |point, _| {
        dies_before_it_is_open(point, &script, &wanted, &met);
    });
    // Every mission begins with one, has neighbours in different missions, and dies where it takes the lease.
    let n_parts = number("ORCHESTRATOR_KILL_PARTS", 48);
    let parts: Vec<Vec<String>> = (0..n_parts)
        .map(|part| {
            let own = points.iter().skip(part).step_by(n_parts).cloned();
            own.chain(["take.leased".to_owned()]).collect()
        })
        .collect();
    parallel(&parts, |part, draw| {
        dies_at(part, &script, &wanted, &met, draw);
    });
    let again = missed(&points, &met);
    die_again(
        &points,
        |part, draw| {
            dies_at(part, &script, &wanted, &met, draw);
        },
        &met,
    );
    let (never, died) = (missed(&points, &met), met.all());
    let (unseen, without) = unseen(without_one_alike(&never, &died), &wanted);
    let kinds: BTreeSet<&str> = died.iter().map(|point| kind(point)).collect();
    println!(
        "{} points of {} kinds: {} died at, {} of them at the second try, {} only at another one of the same kind; \
         {} deaths in all, {} of them in recoveries; {} missions of at most {} lives; {} s; never passed again: {unseen:?}",
        wanted.points.len(),
        kinds.len(),
        wanted.points.len() - never.len(),
        again.len() - never.len(),
        never.len() - without.len() - unseen.len(),
        met.deaths(),
        met.in_recoveries(),
        met.missions(),
        met.most_lives(),
        began.elapsed().as_secs(),
    );
    no_kind_is_spared(&kinds, &script, &wanted);
    let passed = wanted.points.iter().map(|point| kind(point).to_owned());
    let passed = passed.chain(met.passed()).collect();
    points::all_passed(points::MISSION, &passed);
    nobody_survives(&met);
    assert!(
        without.is_empty(),
        "never died at, nor at one that differs by its numbers: {without:?}"
    );
    assert!(
        unseen.len() <= SELDOM,
        "in none of {} missions: {unseen:?}",
        met.missions()
    );
}

/// No life passed what it was to die at: what was not died at came in another order of things, or not at all.
#[track_caller]
fn nobody_survives(met: &Met) {
    let (armed, died) = (met.armed(), met.all());
    let spared: Vec<&String> = armed.difference(&died).collect();
    assert!(spared.is_empty(), "passed and survived: {spared:?}");
}

/// Those of some points that nothing has died at, nor at one that is the same but for its numbers.
pub(super) fn without_one_alike(points: &[String], died: &BTreeSet<String>) -> Vec<String> {
    let alikes: BTreeSet<String> = died.iter().map(|point| without_numbers(point)).collect();
    let without = points
        .iter()
        .filter(|point| !alikes.contains(&without_numbers(point)));
    without.cloned().collect()
}

/// Lets missions of their own die at those of some points that nothing died at, and then at those that differ from them
/// by their numbers: in which order things come is not for the machine's speed to say.
fn die_again(points: &[String], dies_at: impl Fn(&Vec<String>, u64) + Sync, met: &Met) {
    for round in 1..=2 * ROUNDS {
        let missed = missed(points, met);
        let missed = match round > ROUNDS {
            true => alikes(&without_one_alike(&missed, &met.all())),
            false => missed,
        };
        let parts: Vec<Vec<String>> = missed.chunks(24).map(<[String]>::to_vec).collect();
        parallel(&parts, |part, draw| dies_at(part, 1000 * round + draw));
    }
}

/// Points as they are armed where only their numbers may be others, each once.
pub(super) fn alikes(points: &[String]) -> Vec<String> {
    let alikes: BTreeSet<String> = points.iter().map(|point| without_numbers(point)).collect();
    alikes.into_iter().collect()
}

/// Of points that nothing has died at, those that were the only one of their kind in the undisturbed mission, whose order of
/// things no other has come to: whoever passes one dies, see [`nobody_survives`]. And the others.
fn unseen(never: Vec<String>, wanted: &Wanted) -> (Vec<String>, Vec<String>) {
    never.into_iter().partition(|point| {
        let of_it = wanted.points.iter().filter(|it| kind(it) == kind(point));
        of_it.count() == 1
    })
}

/// The points that nothing has died at.
fn missed(points: &[String], met: &Met) -> Vec<String> {
    let died = met.all();
    let missed = points.iter().filter(|point| !died.contains(*point));
    missed.cloned().collect()
}

/// Some kinds of points are passed only when two things happen in one order. A mission that passes one dies there.
fn no_kind_is_spared(kinds: &BTreeSet<&str>, script: &Script, wanted: &Wanted) {
    let passed: BTreeSet<&str> = wanted.points.iter().map(|point| kind(point)).collect();
    let missing: Vec<String> = passed
        .difference(kinds)
        .map(|kind| format!("{kind}*"))
        .collect();
    if missing.is_empty() {
        return;
    }
    let last = Met::default();
    dies_at(&missing, script, wanted, &last, 2000);
    nobody_survives(&last);
}

#[test]
fn a_mission_killed_at_two_hundred_instants_goes_on_as_if_nothing_had_been() {
    let (script, began) = (script(), Instant::now());
    let wanted = undisturbed(&script);
    let (n, met) = (
        number("ORCHESTRATOR_KILL_INSTANTS", INSTANTS),
        Met::default(),
    );
    let mut n_missions = 0;
    // A mission may come to its end before it was killed ten times. Then there are more of them.
    while met.deaths() < n {
        let missing = (n - met.deaths()).div_ceil(10);
        let missions: Vec<usize> = (n_missions..n_missions + missing).collect();
        n_missions += missing;
        assert!(n_missions <= n, "they end before they are killed");
        parallel(&missions, |mission, _| {
            dies_at_instants(*mission as u64, &script, &wanted, &met);
        });
    }
    println!(
        "{n_missions} missions, {} deaths at some instant; {} s",
        met.deaths(),
        began.elapsed().as_secs()
    );
}

/// One mission that is killed ten times, whatever it is at.
fn dies_at_instants(draw: u64, script: &Script, wanted: &Wanted, met: &Met) {
    let (world, git) = before();
    let agent = world.agent(script);
    let first = ["task", "sweep", &agent];
    // An instant of the whole length would mostly come after the end of what is left.
    let longest = wanted.took / 3;
    let at = Armed::Instants { n: 10, longest };
    let lives = chain(&world, &first, &at, met, draw);
    let opened = world.run(&["status", "m1"]).code == Some(0);
    let lives = match opened {
        true => lives,
        // The first instant may come before the mission was opened.
        false => vec![world.run(&first).ends(0, &[])],
    };
    let second = lives.iter().any(|ran| ran.said().contains("m2 completed"));
    let mission = if second { "m2" } else { "m1" };
    intact(&world, &git, mission, wanted, &lives);
}
