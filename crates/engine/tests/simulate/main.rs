//! The simulator: thousands of small worlds in which everything goes wrong that can, each from one seed, around the
//! real core, the real desk and the real journal.
//!
//! `SIM_SEEDS=n` says how many worlds; `SIM_SEED=n` tells the story of one; with `--cfg planted`, `SIM_BUG=name` plants
//! only that bug.
#![cfg(test)]

mod audit;
mod coverage;
mod day;
mod folder;
mod git;
mod host;
mod outputs;
mod people;
mod perform;
mod probe;
mod purse;
mod rng;
mod scenario;
mod story;
mod weather;
mod world;

use coverage::Coverage;
use journal::Head;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use world::World;

/// Seeds of an ordinary test run, where nothing is optimised, and of one under the profile `sim`.
const FEW: u64 = 200;
const MANY: u64 = 10_000;
/// So many worlds together must have seen everything; fewer may miss something rare.
const ENOUGH: u64 = 5_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn seeds() -> u64 {
    number("SIM_SEEDS").unwrap_or(if is_sim() { MANY } else { FEW })
}

/// Whether this binary was built under the profile `sim`: cargo puts it into a folder of that name.
fn is_sim() -> bool {
    let path = std::env::current_exe().unwrap_or_default();
    path.components().any(|part| part.as_os_str() == "sim")
}

/// Lets one world happen.
fn live(seed: u64) -> Result<(Head, Coverage), String> {
    let mut world = World::new(seed);
    let ended = catch_unwind(AssertUnwindSafe(|| world.run()));
    let said = |panic: Box<dyn std::any::Any + Send>| match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic
            .downcast_ref::<&str>()
            .map_or_else(|| "it panicked".into(), |text| (*text).to_owned()),
    };
    let head = ended.map_err(said)?;
    let mut coverage = std::mem::take(&mut world.coverage);
    coverage.ended(world.steps);
    Ok((head, coverage))
}

/// The story of a world that broke.
fn retell(seed: u64, why: &str) -> String {
    story::begin();
    let again = live(seed).err();
    let story = story::end();
    let same = if again.as_deref() == Some(why) {
        ""
    } else {
        " (and it broke otherwise the second time)"
    };
    format!(
        "{story}\n\nseed {seed}: {why}{same}\nagain: SIM_SEED={seed} cargo test --profile sim -p engine --test simulate"
    )
}

/// Panics are caught and told with their world's story; the usual message would only stand in between.
fn quietly<T>(run: impl FnOnce() -> T) -> T {
    static HOOK: Mutex<()> = Mutex::new(());
    let _one = HOOK.lock();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = run();
    std::panic::set_hook(hook);
    result
}

/// Lets many worlds happen on all cores, until one breaks.
fn live_all(seeds: u64, prepare: impl Fn() + Sync) -> Result<Coverage, (u64, String)> {
    let next = AtomicU64::new(0);
    let broken: Mutex<Option<(u64, String)>> = Mutex::new(None);
    let all = Mutex::new(Coverage::default());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    quietly(|| {
        std::thread::scope(|scope| {
            for _ in 0..cores {
                scope.spawn(|| {
                    prepare();
                    let mut own = Coverage::default();
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= seeds || broken.lock().unwrap().is_some() {
                            break;
                        }
                        match live(seed) {
                            Ok((_, coverage)) => own.add(coverage),
                            Err(why) => {
                                let mut broken = broken.lock().unwrap();
                                if broken.as_ref().is_none_or(|(first, _)| seed < *first) {
                                    *broken = Some((seed, why));
                                }
                            }
                        }
                    }
                    all.lock().unwrap().add(own);
                });
            }
        });
    });
    match broken.into_inner().unwrap() {
        Some(broken) => Err(broken),
        None => Ok(all.into_inner().unwrap()),
    }
}

#[test]
fn every_world_keeps_every_promise() {
    if let Some(seed) = number("SIM_SEED") {
        story::begin();
        let ended = live(seed).map(|(head, coverage)| format!("{head}\n{coverage}"));
        println!("{}\n{ended:?}", story::end());
        return assert!(ended.is_ok(), "seed {seed}");
    }
    let (seeds, start) = (seeds(), Instant::now());
    match live_all(seeds, || {}) {
        Err((seed, why)) => panic!("{}", quietly(|| retell(seed, &why))),
        Ok(coverage) => {
            let per_second = seeds as f64 / start.elapsed().as_secs_f64();
            println!("{coverage}\n{per_second:.0} seeds a second");
            if seeds >= ENOUGH {
                assert_eq!(coverage.holes(), [""; 0]);
            }
            assert!(
                coverage.steps / coverage.worlds >= 400,
                "the worlds are too short"
            );
        }
    }
}

#[test]
fn a_story_tells_a_world_from_its_terms_to_its_seal() {
    story::begin();
    let ended = live(3);
    let story = story::end();
    let lines: Vec<&str> = story.lines().collect();
    assert!(
        ended.is_ok() && lines[0].starts_with("seed 3: Terms {"),
        "{story}"
    );
    assert!(lines[1].ends_with("life 1 begins"), "{story}");
    for sign in [
        " < Woke",
        " > TurnStarted",
        " ! turn intent.1",
        " > Sealed",
        "is done by an agent",
    ] {
        assert!(story.contains(sign), "{sign}\n{story}");
    }
    assert!(lines.len() <= 461, "{} lines", lines.len());
}

/// Whoever gets the story of a broken world finds in it what broke, and how to see it again.
#[cfg(planted)]
#[test]
fn a_failing_seed_prints_its_story() {
    let bug = "claim_trusted";
    let broken = live_all(2_000, || mission::planted::choose(bug));
    let (seed, why) = broken.expect_err("a planted bug is found");
    mission::planted::choose(bug);
    let told = quietly(|| retell(seed, &why));
    mission::planted::choose("");
    assert!(
        told.starts_with(&format!("seed {seed}: Terms {{")),
        "{told}"
    );
    let end = format!("seed {seed}: {why}\nagain: SIM_SEED={seed} cargo test");
    assert!(told.contains(&end), "{told}");
    let (story, _) = told.rsplit_once(&end).expect("the end is there");
    let last = story.lines().rfind(|line| line.contains(" > "));
    let last = last.expect("events are told");
    // The event that broke the promise is the last that is told, behind the input that it came from.
    assert!(
        last.contains("Accepted {") || last.contains("Landed {"),
        "{told}"
    );
    assert!(story.contains(" < ") && story.contains(" ! "), "{told}");
    println!("{told}");
}

#[test]
fn equal_seeds_end_with_equal_chains() {
    for seed in 0..40 {
        let [first, second] = [(); 2].map(|()| live(seed).map(|(head, _)| head));
        assert_eq!(first, second, "seed {seed}");
    }
}

/// A simulator that finds no bug shows nothing. Each planted bug must be found within so many seeds.
#[cfg(planted)]
#[test]
fn every_planted_bug_is_caught_within_two_thousand_seeds() {
    let mut escaped = Vec::new();
    let one = std::env::var("SIM_BUG").ok();
    let wanted = |bug: &&&str| one.as_deref().is_none_or(|one| one == **bug);
    for bug in mission::planted::ALL.iter().filter(wanted) {
        match live_all(2_000, || mission::planted::choose(bug)) {
            Err((seed, why)) => println!(
                "{bug}: seed {seed}: {}",
                why.lines().next().unwrap_or_default()
            ),
            Ok(_) => escaped.push(*bug),
        }
    }
    assert_eq!(escaped, [""; 0], "these bugs escaped");
}
