//! One mission that dies many times, and what must hold of it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use testkit::world::{Belongings, Ran, Running, World};
use workbench::fault::fits;

/// A mission that ends by itself is at most so many lives away.
const RESUMES: usize = 4;

/// What the undisturbed run came to.
pub(super) struct Wanted {
    pub(super) tree: String,
    pub(super) files: Belongings,
    /// Every point once, in the order of their first passing.
    pub(super) points: Vec<String>,
    pub(super) took: Duration,
}

/// Where the lives of a mission end.
pub(super) enum Armed<'a> {
    /// At each of these points once, and each recovery from one dies too, after some points.
    Points(&'a [String]),
    /// So often at some instant, no longer than this after a start.
    Instants { n: usize, longest: Duration },
}

/// What a sweep met.
#[derive(Default)]
pub(super) struct Met {
    points: Mutex<BTreeSet<String>>,
    passed: Mutex<BTreeSet<String>>,
    armed: Mutex<BTreeSet<String>>,
    deaths: AtomicUsize,
    in_recoveries: AtomicUsize,
    missions: AtomicUsize,
    most_lives: AtomicUsize,
}

impl Met {
    pub(super) fn died(&self, point: &str) {
        self.points.lock().unwrap().insert(point.to_owned());
        self.deaths.fetch_add(1, Ordering::SeqCst);
    }

    /// The kinds of points that were passed at all.
    pub(super) fn passed(&self) -> BTreeSet<String> {
        self.passed.lock().unwrap().clone()
    }

    /// The points that were passed by a life that was to die there.
    pub(super) fn armed(&self) -> BTreeSet<String> {
        self.armed.lock().unwrap().clone()
    }

    /// The points that something died at.
    pub(super) fn all(&self) -> BTreeSet<String> {
        self.points.lock().unwrap().clone()
    }

    pub(super) fn deaths(&self) -> usize {
        self.deaths.load(Ordering::SeqCst)
    }

    pub(super) fn in_recoveries(&self) -> usize {
        self.in_recoveries.load(Ordering::SeqCst)
    }

    pub(super) fn missions(&self) -> usize {
        self.missions.load(Ordering::SeqCst)
    }

    pub(super) fn most_lives(&self) -> usize {
        self.most_lives.load(Ordering::SeqCst)
    }
}

/// A point without what it is about.
pub(super) fn kind(point: &str) -> &str {
    point.split_once(": ").map_or(point, |(kind, _)| kind)
}

/// Every point of a list once, in the order of their first passing.
pub(super) fn each_once(passed: &str) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let new = passed.lines().filter(|line| seen.insert(*line));
    new.map(str::to_owned).collect()
}

/// Runs a life of a mission in which it dies at the first of some points, or after some points whichever they are, and
/// notes where it died.
pub(super) fn life(world: &World, words: &[&str], at: At<'_>, met: &Met) -> Ran {
    let list = world.beside("passed");
    let mut command = world.command(words);
    command.env("ORCHESTRATOR_FAULT_LIST", &list);
    match at {
        At::Nth(n) => command.env("ORCHESTRATOR_FAULT", format!("#{n}")),
        At::Plan(plan) => command.env("ORCHESTRATOR_FAULT_PLAN", plan),
    };
    let armed = match at {
        At::Nth(_) => Vec::new(),
        At::Plan(plan) => still_armed(plan),
    };
    let ran = Running::new(command).ended();
    assert!(matches!(ran.signal, None | Some(9)), "{}", ran.said());
    if ran.signal.is_some() {
        let memory = match at {
            At::Nth(_) => list.clone(),
            At::Plan(plan) => plan.with_extension("died"),
        };
        let lines = std::fs::read_to_string(memory).unwrap_or_default();
        met.died(lines.lines().last().unwrap_or("before any point"));
        // Two threads may be at one each.
        if matches!(at, At::Plan(_)) {
            met.points
                .lock()
                .unwrap()
                .extend(lines.lines().map(str::to_owned));
        }
        let again = usize::from(matches!(at, At::Nth(_)));
        met.in_recoveries.fetch_add(again, Ordering::SeqCst);
    }
    let passed = std::fs::read_to_string(&list).unwrap_or_default();
    let kinds = passed.lines().map(|point| kind(point).to_owned());
    met.passed.lock().unwrap().extend(kinds);
    let both = passed
        .lines()
        .filter(|line| armed.iter().any(|armed| fits(armed, line)));
    met.armed.lock().unwrap().extend(both.map(str::to_owned));
    std::fs::remove_file(&list).ok();
    ran
}

/// What a life is to die at, as the program reads it: nothing that a life before it has died at.
fn still_armed(plan: &Path) -> Vec<String> {
    let lines = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    let (all, died) = (lines(plan), lines(&plan.with_extension("died")));
    let spent = |armed: &&str| died.lines().any(|line| fits(armed, line));
    let left = all.lines().filter(|armed| !spent(armed));
    left.map(str::to_owned).collect()
}

/// Where a life ends.
#[derive(Clone, Copy)]
pub(super) enum At<'a> {
    /// At this point that it passes, whichever it is.
    Nth(usize),
    /// At the first that is named in this file and that nothing died at yet.
    Plan(&'a Path),
}

/// Runs a command, and then `resume`, and kills it as it is armed, until it ends by itself. Gives all its lives.
#[track_caller]
pub(super) fn chain(
    world: &World,
    first: &[&str],
    armed: &Armed<'_>,
    met: &Met,
    draw: u64,
) -> Vec<Ran> {
    let mut draws = Draws::new(draw);
    let plan = world.beside("armed.points");
    if let Armed::Points(points) = armed {
        std::fs::write(&plan, points.join("\n")).unwrap();
    }
    let mut lives: Vec<Ran> = Vec::new();
    let mut deaths = 0;
    let mut by_itself = 0;
    while by_itself < RESUMES {
        let words = if lives.is_empty() {
            first
        } else {
            &["resume", "m1"]
        };
        let ran = match armed {
            // Every second life is the recovery from a death at one of the points.
            Armed::Points(_) if lives.len() % 2 == 1 => {
                life(world, words, At::Nth(1 + draws.below(12)), met)
            }
            Armed::Points(_) => life(world, words, At::Plan(&plan), met),
            Armed::Instants { n, longest } => {
                let started = world.start(words);
                let ran = match deaths < *n {
                    true => started.kill_after(longest.mul_f64(draws.below(1000) as f64 / 1000.0)),
                    false => started.ended(),
                };
                met.deaths
                    .fetch_add(usize::from(ran.signal.is_some()), Ordering::SeqCst);
                ran
            }
        };
        let killed = ran.signal.is_some();
        let over = !killed && is_over(world, &ran);
        by_itself += usize::from(!killed);
        deaths += usize::from(killed);
        lives.push(ran);
        // Sometimes the next comes at once, while what the dead one has started is still being ended.
        if lives.len().is_multiple_of(3) {
            world.all_gone();
        }
        let opened = lives.len() > 1 || !killed || world.run(&["status", "m1"]).code == Some(0);
        if over || !opened {
            met.missions.fetch_add(1, Ordering::SeqCst);
            met.most_lives.fetch_max(lives.len(), Ordering::SeqCst);
            return lives;
        }
    }
    panic!(
        "{by_itself} times it ended by itself, and is not done:\n{}\n{}",
        lives.iter().map(Ran::said).collect::<String>(),
        world.run(&["log", "m1"]).out
    );
}

/// Whether a command that ended by itself has left nothing to do.
#[track_caller]
fn is_over(world: &World, ran: &Ran) -> bool {
    ran.code == Some(0)
        || (ran.said().contains("every task has landed") && world.state_of("m1") == "completed")
}

/// What was said of a mission stands in its journal, and the journal holds together.
#[track_caller]
pub(super) fn nothing_lost(world: &World, mission: &str, lives: &[Ran]) {
    world
        .run(&["verify", mission])
        .ends(0, &["every link holds"]);
    let log = world.run(&["log", mission]).ends(0, &[]).out;
    let known: BTreeSet<&str> = log.lines().filter_map(|line| line.get(6..)).collect();
    for life in lives {
        let mut said: Vec<&str> = life.err.lines().collect();
        // A kill may cut the last line short.
        let last = life
            .signal
            .and_then(|_| said.pop())
            .filter(|line| is_event(line));
        let cut = |line: &&str| known.iter().any(|known| known.starts_with(line));
        let lost = said
            .into_iter()
            .filter(|line| is_event(line) && !known.contains(line));
        let lost: Vec<&str> = lost.chain(last.filter(|line| !cut(line))).collect();
        assert!(
            lost.is_empty(),
            "it was said, and is in no event: {lost:?}\n{log}"
        );
    }
}

/// Whether a line tells an event: it begins with a time, in a column of its own.
fn is_event(line: &str) -> bool {
    let (time, _) = line.trim_start().split_once("  ").unwrap_or_default();
    time.starts_with(|c: char| c.is_ascii_digit()) && time.ends_with(['s', 'n'])
}

/// Nothing of the workspaces of a mission is left.
#[track_caller]
pub(super) fn nothing_left(world: &World, mission: &str) {
    let place = world.place(mission);
    for folder in ["lanes", "sides", "prepared", "notes"] {
        let left: Vec<_> = std::fs::read_dir(place.join(folder))
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert!(left.is_empty(), "{folder} holds {left:?}");
    }
    let passing: Vec<String> = std::fs::read_dir(&place)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| {
            name.starts_with("passing-") || name.ends_with(".next") || name.ends_with(".new")
        })
        .collect();
    assert!(passing.is_empty(), "{passing:?}");
}

/// Does all of it on as many threads as there are processors and two more, since some of it is waiting, and names what
/// failed.
pub(super) fn parallel<T: Sync + std::fmt::Debug>(jobs: &[T], one: impl Fn(&T, u64) + Sync) {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, usize::from) + 2;
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::SeqCst);
                    let Some(job) = jobs.get(n) else { return };
                    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        one(job, n as u64);
                    }));
                    if done.is_err() {
                        failed.lock().unwrap().push(format!("{n}: {job:?}"));
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

pub(super) fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// Numbers that look random and are the same every time.
pub(super) struct Draws(u64);

impl Draws {
    pub(super) fn new(draw: u64) -> Self {
        let seed = number("ORCHESTRATOR_KILL_SEED", 1) as u64;
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(draw))
    }

    pub(super) fn below(&mut self, most: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % most
    }
}
