//! What was damaged outside of the program: it says what and where, and changes nothing.

use super::commands::script;
use super::project;
use rusqlite::Connection;
use testkit::world::World;

/// A connection to the store that knows nothing of the journal's rules.
fn store(world: &World) -> Connection {
    Connection::open(world.state().join("journal.db")).unwrap()
}

/// Changes one event of the first mission to bytes that say the same, past what guards the events.
fn changes(world: &World, seq: u32) {
    let store = store(world);
    store
        .execute_batch("DROP TRIGGER event_never_changes")
        .unwrap();
    let change = "UPDATE event SET body = CAST(body || ' ' AS BLOB) WHERE mission = 1 AND seq = ?1";
    assert_eq!(store.execute(change, [seq]).unwrap(), 1);
}

#[test]
fn an_event_that_was_changed_is_named_and_other_missions_are_not_touched_by_it() {
    let world = project();
    world.task(&script(), &[]).ends(0, &["m1 completed"]);
    world.run(&["undo"]).ends(0, &[]);
    world.task(&script(), &[]).ends(0, &["m2 completed"]);
    world.run(&["verify", "m1"]).ends(0, &["every link holds"]);
    changes(&world, 4);
    let broken = ["error[ORC010]: m1 event 4: ", "\n  hint: "];
    let ran = world.run(&["verify", "m1"]).ends(1, &broken);
    assert_eq!(ran.out, "", "a chain that is broken is no data");
    let told = world.run(&["verify", "m1", "--json"]).ends(1, &broken).out;
    let told: serde_json::Value = serde_json::from_str(&told).expect(&told);
    assert_eq!(
        (&told["intact"], &told["broken_at"]),
        (&false.into(), &4.into())
    );
    // What stands behind the break is used by nothing.
    let stands = ["error[ORC010]: m1 is broken at event 4: ", "\n  hint: "];
    for words in [["show", "m1"], ["resume", "m1"]] {
        let ran = world.run(&words).ends(1, &stands);
        assert_eq!(ran.out, "", "{words:?}");
    }
    world.run(&["verify", "m2"]).ends(0, &["every link holds"]);
}

#[test]
fn a_store_of_a_newer_program_is_refused_and_stays_as_it_is() {
    let world = project();
    world.task(&script(), &[]).ends(0, &["m1 completed"]);
    store(&world)
        .pragma_update(None, "user_version", 99)
        .unwrap();
    let file = world.state().join("journal.db");
    let before = std::fs::read(&file).unwrap();
    for words in [&["list"][..], &["verify", "m1"], &["resume"]] {
        let newer = [
            "error[ORC003]: ",
            "format 99",
            "newer version",
            "\n  hint: ",
        ];
        let ran = world.run(words).ends(1, &newer);
        assert_eq!(ran.out, "", "{words:?}");
    }
    world.task(&script(), &[]).ends(1, &["error[ORC003]"]);
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn a_script_that_is_none_is_refused_before_anything_is_begun() {
    let world = project();
    let path = world.beside("bad.toml");
    let agent = format!("--agent=scripted:{}", path.display());
    let unknown = "[[turn]]\nrole = \"planner\"\ncolour = \"red\"\n";
    let answer = "[[turn]]\nrole = \"planner\"\nend = { answer = { tusks = [] } }\n";
    for (text, said) in [
        ("turn = [", "bad.toml: "),
        (unknown, "colour"),
        (answer, "turn 1 of the script (planner)"),
    ] {
        std::fs::write(&path, text).unwrap();
        let wrong = ["error[ORC009]: ", said, "\n  hint: mend the script"];
        let ran = world.run(&["task", "x", &agent]).ends(2, &wrong);
        assert!(!ran.said().contains("mission m1"), "{}", ran.said());
    }
    world.run(&["list"]).ends(0, &["there is no mission yet"]);
}
