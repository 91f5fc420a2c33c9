//! What it saves that a running Worker hears of a conflict: one mission of two tasks that change the same line, whose second
//! Worker makes way when it is told, and one whose second Worker does not and meets the conflict in the merge queue.
//!
//! Agents are scripted: an attempt is work of a fixed length, in two halves, between which the list is written.

use super::{line, told};
use std::time::{Duration, Instant};
use testkit::world::{Script, Task, World, heed, run, think, write};

/// Missions of each kind; the median of their times is printed.
const ROUNDS: usize = 5;
/// How long half an attempt takes, in milliseconds.
const HALF: u64 = 500;

const LIST: &str = "one\ntwo\nthree\nfour\nfive\nsix\n";
const FIRST: &str = "one\nTWO BY THE FIRST\nthree\nfour\nfive\nsix\n";
const SECOND: &str = "one\ntwo by the second\nthree\nfour\nfive\nsix\n";
/// The same change elsewhere, so that both fit.
const ASIDE: &str = "one\ntwo\nthree\nfour\nfive\nby the second\nsix\n";
const BOTH: &str = "one\nTWO BY THE FIRST\nthree\nfour\nfive\nby the second\nsix\n";

/// What one mission took.
#[derive(Clone, Copy)]
struct Took {
    attempts: usize,
    turns: usize,
    /// From where the first has landed and the second begins to write, to the end.
    time: Duration,
}

pub(super) fn of_conflicts() {
    println!(
        "two tasks that change the same line, one after the other; an attempt takes {} ms",
        2 * HALF
    );
    let [heeding, deaf] = [true, false].map(|heeds| {
        let mut rounds: Vec<Took> = (0..ROUNDS).map(|_| mission(heeds)).collect();
        rounds.sort_by_key(|took| took.time);
        let took = rounds[ROUNDS / 2];
        let what = if heeds { "heeds" } else { "does not heed" };
        told(
            &format!("  the second {what} the note: attempts, turns of agents, time"),
            format!(
                "{}, {}, {} ms",
                took.attempts,
                took.turns,
                took.time.as_millis()
            ),
        );
        took
    });
    let saved = deaf.attempts - heeding.attempts;
    line(
        "  attempts saved",
        saved,
        "1: that which the merge queue would turn down",
        saved == 1,
    );
    told("  turns saved", deaf.turns - heeding.turns);
    let saved = deaf.time.saturating_sub(heeding.time);
    told("  time saved", format!("{} ms", saved.as_millis()));
}

fn mission(heeds: bool) -> Took {
    let world = World::new(env!("CARGO_BIN_EXE_orchestrator"))
        .file("list.txt", LIST)
        .committed();
    let meeting = world.meeting();
    let note = world.beside("note");
    let task = |id: &str| Task::new(id).writes(id).proof(&format!("test -f {id}"));
    let wrote = [run(&meeting.line()), think(HALF), write("list.txt", SECOND)];
    let made_way = |text: &str| [write("list.txt", text), write("second", "")];
    let script = Script::plan([task("first"), task("second")])
        .worker("first", [write("list.txt", FIRST), write("first", "")]);
    let script = match heeds {
        true => {
            let note = note.to_str().expect("a temporary path");
            script.worker(
                "second",
                wrote
                    .into_iter()
                    .chain([heed(note)])
                    .chain(made_way(ASIDE))
                    .chain([think(HALF)]),
            )
        }
        false => {
            let handed_in = [write("second", ""), think(HALF)];
            // It begins again on what has landed.
            let again = [think(HALF)]
                .into_iter()
                .chain(made_way(BOTH))
                .chain([think(HALF)]);
            script
                .attempt("second", 1, wrote.into_iter().chain(handed_in))
                .attempt("second", 2, again)
        }
    };
    let mut running = world.start_task(&script, &["--reviews", "0", "--yes"]);
    running.says("landing 1 landed");
    let begun = Instant::now();
    meeting.come();
    let ran = running.ended().ends(0, &["m1 completed"]);
    let time = begun.elapsed();
    assert!(ran.said().contains("T2.1 is told that"), "{}", ran.said());
    assert_eq!(world.read("list.txt"), BOTH);
    let log = world.agent_log("m1");
    let turns = || log.lines().filter(|line| line.starts_with("start "));
    let works = |line: &&str| {
        line.split(' ')
            .nth(2)
            .is_some_and(|turn| turn.starts_with('T'))
    };
    Took {
        attempts: turns().filter(works).count(),
        turns: turns().count(),
        time,
    }
}
