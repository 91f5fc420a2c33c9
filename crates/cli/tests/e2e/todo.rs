//! Many processes write on one TODO at once: every word that was acknowledged is there, and no other.

use crate::project;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use testkit::world::{Script, Task, World, run};

/// Processes at once.
const WRITERS: usize = 8;
/// Updates in all, one process each.
const UPDATES: usize = 1_000;
/// Lines that they write on.
const LINES: [&str; 4] = ["T1", "T2", "T3", "T4"];

/// A line, the version that the writer saw, and what it wrote.
type Note = (String, u64, String);

/// What one writer was told.
#[derive(Default)]
struct Told {
    acknowledged: BTreeSet<Note>,
    refused: BTreeSet<Note>,
}

/// Writes notes, each with the version that it last heard of.
fn write(world: &World, writer: usize) -> Told {
    let mut told = Told::default();
    let mut versions: BTreeMap<&str, u64> = BTreeMap::new();
    for n in 0..UPDATES / WRITERS {
        let line = LINES[(n / LINES.len() + writer) % LINES.len()];
        let saw = versions.get(line).copied().unwrap_or(0);
        let text = format!("writer {writer}, update {n}");
        let version = saw.to_string();
        let ran = world.run(&[
            "todo", "m1", "--note", line, "--saw", &version, "--text", &text,
        ]);
        let note = (line.to_owned(), saw, text);
        if ran.code == Some(0) {
            versions.insert(line, saw + 1);
            told.acknowledged.insert(note);
            continue;
        }
        let said = ran.said();
        let now = said.split("it has version ").nth(1);
        let now = now.and_then(|rest| rest.split(';').next()?.parse().ok());
        versions.insert(
            line,
            now.unwrap_or_else(|| panic!("{:?}: {said}", ran.code)),
        );
        told.refused.insert(note);
    }
    told
}

/// The notes that the journal holds, in order.
fn journaled(world: &World) -> Vec<Note> {
    let log = world.run(&["log", "m1", "--json"]);
    let events = log.out.lines().filter_map(|line| {
        let value: Value = serde_json::from_str(line).expect("a line is JSON");
        (value["event"]["type"] == "todo_edited").then(|| value["event"]["edit"].clone())
    });
    let note = |edit: Value| {
        let line = edit["line"]["task"].as_str().expect("a task's line");
        let (saw, text) = (edit["saw"].as_u64(), edit["text"].as_str());
        (
            line.to_owned(),
            saw.expect("a version"),
            text.expect("a text").to_owned(),
        )
    };
    events.map(note).collect()
}

#[test]
fn of_a_thousand_concurrent_updates_none_is_lost_and_none_falsely_acknowledged() {
    let world = project();
    let meeting = world.meeting();
    let task = |id: &str| Task::new(id).writes(id).proof(&format!("test -f {id}"));
    let plan = [
        task("a"),
        task("b").needs("a"),
        task("c").needs("a"),
        task("d").needs("a"),
    ];
    let script = Script::plan(plan).hangs("a", [run(&meeting.line())]);
    let running = world.start_task(&script, &[]);
    meeting.come();
    let world_ref = &world;
    let told: Vec<Told> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| scope.spawn(move || write(world_ref, writer)))
            .collect();
        writers
            .into_iter()
            .map(|writer| writer.join().expect("a writer ends"))
            .collect()
    });
    world.run(&["cancel", "m1"]);
    drop(running.ended());
    let acknowledged: BTreeSet<Note> = told
        .iter()
        .flat_map(|told| told.acknowledged.clone())
        .collect();
    let refused: BTreeSet<Note> = told.iter().flat_map(|told| told.refused.clone()).collect();
    println!(
        "{} updates by {WRITERS} processes at once: {} acknowledged, {} refused",
        acknowledged.len() + refused.len(),
        acknowledged.len(),
        refused.len()
    );
    assert_eq!(acknowledged.len() + refused.len(), UPDATES);
    // Everybody begins with version 0 of every line, and only one of them can be right.
    assert!(refused.len() >= (WRITERS - 1) * LINES.len());
    let journaled = journaled(&world);
    let once: BTreeSet<Note> = journaled.iter().cloned().collect();
    assert_eq!(once.len(), journaled.len(), "an update was made twice");
    let lost: Vec<&Note> = acknowledged.difference(&once).collect();
    let false_ones: Vec<&Note> = once.difference(&acknowledged).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    assert!(false_ones.is_empty(), "refused and made: {false_ones:?}");
    for line in LINES {
        let versions: Vec<u64> = journaled
            .iter()
            .filter(|(of, ..)| of == line)
            .map(|(_, saw, _)| *saw)
            .collect();
        let expected: Vec<u64> = (0..versions.len() as u64).collect();
        assert_eq!(versions, expected, "{line}");
    }
}
