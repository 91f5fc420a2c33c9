//! What is made once and used more than once, or before it is needed, as people and machines are told of it.

use crate::project;
use std::time::Instant;
use testkit::world::{LIMIT, Script, Task, World, run, write};

/// What `status --json` says of it.
fn reuse(world: &World) -> serde_json::Value {
    world.status("m1")["reuse"].clone()
}

#[test]
fn what_was_looked_up_for_tasks_that_waited_is_counted_by_what_became_of_it() {
    let world = project()
        .file("b.rs", "fn b() {}\n")
        .file("c.rs", "fn c() {}\n")
        .file("d.rs", "fn d() {}\n")
        .committed();
    let meeting = world.meeting();
    let task = |name: &str| {
        let file = format!("{name}.rs");
        Task::new(name)
            .writes(&file)
            .proof(&format!("grep -q new {file}"))
    };
    let plan = [
        task("a"),
        task("b").needs("a"),
        task("c").needs("b"),
        task("d").needs("c"),
    ];
    let writes = |name: &str| write(&format!("{name}.rs"), "fn new() {}\n");
    let script = Script::plan(plan)
        // What another task is about changes although nobody foresaw it.
        .worker(
            "a",
            [
                run(&meeting.line()),
                writes("a"),
                write("b.rs", "fn other() {}\n"),
            ],
        )
        .worker("b", [writes("b")])
        .worker("c", [writes("c")]);
    let mut running = world.start_task(&script, &["--workers", "1", "--reviews", "0"]);
    running.says("worker 1 starts");
    let began = Instant::now();
    while reuse(&world)["packs_prepared"] != 3 {
        assert!(began.elapsed() < LIMIT, "{}", reuse(&world));
    }
    let text = world.run(&["status", "m1"]).ends(0, &[]).out;
    let told = "looked up beforehand: files of 3 tasks, 0 used, 0 looked up again, 3 waiting\n";
    assert!(text.contains(told), "{text}");
    world
        .run(&["skip", "T4", "--reason", "not now"])
        .ends(0, &[]);
    meeting.come();
    let told = [
        "workspaces: a Worker began 3 times, 2 where one had worked before",
        "looked up beforehand: files of 3 tasks, 1 used, 1 looked up again, 1 never used",
    ];
    let ran = running.ended();
    let said = ran.said();
    assert!(told.iter().all(|line| said.contains(line)), "{said}");
    let counts = reuse(&world);
    let is = |name: &str| counts[name].as_u64();
    assert_eq!(is("packs_prepared"), Some(3), "{counts}");
    assert_eq!(is("packs_used"), Some(1), "{counts}");
    assert_eq!(is("packs_stale"), Some(1), "{counts}");
    assert_eq!(is("packs_unused"), Some(1), "{counts}");
    assert_eq!(is("worker_turns_warm"), Some(2), "{counts}");
    world.run(&["summary", "m1"]).ends(0, &told);
}
