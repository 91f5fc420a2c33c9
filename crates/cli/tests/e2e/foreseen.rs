//! Conflicts that running Workers hear of before they hand anything in.

use super::world;
use testkit::world::{Script, Task, World, heed, run, write};

const LIST: &str = "one\ntwo\nthree\nfour\nfive\nsix\n";
const FIRST: &str = "one\nTWO BY THE FIRST\nthree\nfour\nfive\nsix\n";
const SECOND: &str = "one\ntwo by the second\nthree\nfour\nfive\nsix\n";
/// The same change elsewhere, so that both fit.
const ASIDE: &str = "one\ntwo\nthree\nfour\nfive\nby the second\nsix\n";

fn project() -> World {
    world().file("list.txt", LIST).committed()
}

/// A task that forecasts a file of its own, and is proved by it.
fn task(id: &str) -> Task {
    Task::new(id).writes(id).proof(&format!("test -f {id}"))
}

fn landed_both(world: &World) {
    let both = "one\nTWO BY THE FIRST\nthree\nfour\nfive\nby the second\nsix\n";
    assert_eq!(world.read("list.txt"), both);
}

#[test]
fn a_worker_is_told_what_landed_meanwhile_conflicts_with_and_lands_at_its_first_attempt() {
    let world = project();
    let meeting = world.meeting();
    let note = world.beside("note");
    let note = note.to_str().unwrap();
    let second = [
        run(&meeting.line()),
        write("list.txt", SECOND),
        heed(note),
        // What the note says that a Worker may look at is there to look at.
        run(&format!(
            "sed -n 's/.*\\(git show [0-9a-f]*:\\).*/\\1list.txt/p' {note} | sh > {note}.there"
        )),
        write("list.txt", ASIDE),
        write("second", ""),
    ];
    let script = Script::plan([task("first"), task("second")])
        .worker("first", [write("list.txt", FIRST), write("first", "")])
        .worker("second", second)
        .reviewed();
    let mut running = world.start_task(&script, &["--reviews", "0"]);
    running.says("landing 1 landed");
    meeting.come();
    let told = "T2.1 is told that it does not merge with T1.1 (Do first), which landed: list.txt";
    running.says(told);
    let ran = running.ended().ends(0, &["m1 completed"]);
    assert_eq!(
        ran.said().matches("is told that").count(),
        1,
        "{}",
        ran.said()
    );
    for never in ["turned down", "T2.2", "has been told"] {
        assert!(!ran.said().contains(never), "{never}: {}", ran.said());
    }
    landed_both(&world);
    let note = std::fs::read_to_string(note).unwrap();
    for part in ["Do first", "- list.txt", "TWO BY THE FIRST", "git show"] {
        assert!(note.contains(part), "{part}: {note}");
    }
    assert!(
        !note.contains("first is done."),
        "a goal is an order: {note}"
    );
    let there = std::fs::read_to_string(world.beside("note.there")).unwrap();
    assert_eq!(there, FIRST);
    let saved = "conflicts foreseen: 1 attempt told at work, 1 landed without one";
    assert!(ran.said().contains(saved), "{}", ran.said());
    world.run(&["status"]).ends(0, &[saved]);
    assert_eq!(world.status("m1")["foreseen"]["landed"], 1);
    let why = world.run(&["log", "--why"]);
    why.ends(0, &[told, "the line has moved since the attempt began"]);
    world.all_gone();
}

#[test]
fn what_another_has_handed_in_is_told_before_it_lands() {
    let world = project();
    let (begun, proved) = (world.meeting(), world.meeting());
    // It writes once the other is done: of what is still written it would be told before.
    let second = [
        run(&begun.line()),
        write("list.txt", SECOND),
        heed("note"),
        write("list.txt", ASIDE),
        write("second", ""),
    ];
    // Its first check on what it wrote waits; those after it do not.
    let once = world.beside("once");
    let (once, line) = (once.display(), proved.line());
    let proof = format!("test -f first && (test -e {once} || (touch {once} && {line}))");
    let script = Script::plan([
        Task::new("first").writes("first").proof(&proof),
        task("second"),
    ])
    .worker("first", [write("list.txt", FIRST), write("first", "")])
    .worker("second", second)
    .reviewed();
    let mut running = world.start_task(&script, &["--reviews", "0"]);
    running.says("T1.1 handed in");
    begun.come();
    running.says(
        "T2.1 is told that it does not merge with T1.1 (Do first), which is handed in: list.txt",
    );
    proved.come();
    let ran = running.ended().ends(0, &["m1 completed"]);
    assert!(!ran.said().contains("turned down"), "{}", ran.said());
    landed_both(&world);
}

#[test]
fn of_two_that_both_write_a_line_the_one_that_began_later_makes_way_and_both_land_at_the_first_attempt()
 {
    let world = project();
    let [written, begun, made_way, waited] = [(); 4].map(|()| world.meeting());
    let note = world.beside("note");
    let note = note.to_str().unwrap();
    // The other has written first, and is told all the same: it began later.
    let first = [
        run(&begun.line()),
        write("list.txt", FIRST),
        run(&waited.line()),
        write("first", ""),
    ];
    let second = [
        write("list.txt", SECOND),
        run(&written.line()),
        heed(note),
        run(&format!(
            "sed -n 's/.*\\(git show [0-9a-f]*:\\).*/\\1list.txt/p' {note} | sh > {note}.there"
        )),
        write("list.txt", ASIDE),
        run(&made_way.line()),
        write("second", ""),
    ];
    let script = Script::plan([task("first"), task("second")])
        .worker("first", first)
        .worker("second", second)
        .reviewed();
    let mut running = world.start_task(&script, &["--reviews", "0"]);
    written.come();
    begun.come();
    let told = "T2.1 is told that it does not merge with T1.1 (Do first), which is at work and began first: list.txt";
    running.says(told);
    made_way.come();
    waited.come();
    let ran = running.ended().ends(0, &["m1 completed"]);
    assert_eq!(
        ran.said().matches("is told that").count(),
        1,
        "{}",
        ran.said()
    );
    for never in ["turned down", "T1.2", "T2.2"] {
        assert!(!ran.said().contains(never), "{never}: {}", ran.said());
    }
    landed_both(&world);
    let note = std::fs::read_to_string(note).unwrap();
    for part in [
        "Do first",
        "- list.txt",
        "TWO BY THE FIRST",
        "at work when this was found",
    ] {
        assert!(note.contains(part), "{part}: {note}");
    }
    let there = std::fs::read_to_string(world.beside("note.there")).unwrap();
    assert_eq!(there, FIRST);
    let saved = "conflicts foreseen: 1 attempt told at work, 1 landed without one";
    assert!(ran.said().contains(saved), "{}", ran.said());
    let why = world.run(&["log", "--why"]);
    why.ends(0, &[told, "the one that began later makes way"]);
    world.all_gone();
}
