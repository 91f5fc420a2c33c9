//! Unmerged work is kept before its workspace goes.

use crate::project;
use testkit::world::{Script, Task, run, write};

#[test]
fn what_a_cancelled_worker_had_written_is_kept_in_the_missions_repository() {
    let world = project();
    let meeting = world.meeting();
    let steps = [
        write("a.txt", "new\n"),
        write("begun.txt", "half\n"),
        run(&meeting.line()),
    ];
    let script =
        Script::plan([Task::new("a").writes("a.txt").proof("grep -q new a.txt")]).hangs("a", steps);
    let running = world.start_task(&script, &[]);
    meeting.come();
    world.run(&["cancel", "m1"]).ends(0, &["its work is kept"]);
    running.ended().ends(6, &["sealed: cancelled"]);
    let kept = world.mission_git(
        "m1",
        &["for-each-ref", "--format=%(refname)", "refs/rescue"],
    );
    assert_eq!(kept, "refs/rescue/worker-1-1");
    assert_eq!(
        world.mission_git("m1", &["show", "refs/rescue/worker-1-1:begun.txt"]),
        "half"
    );
    assert_eq!(
        world.read("a.txt"),
        "old\n",
        "nothing of the user's changed"
    );
}

#[test]
fn what_a_cancelled_worker_had_started_is_ended_with_it() {
    let world = project();
    let meeting = world.meeting();
    // It hears no gentle word, and is the child of what the Worker started.
    let line = format!("(trap '' TERM; {}; sleep 1000) & wait", meeting.line());
    let task = Task::new("a").writes("a.txt").proof("grep -q new a.txt");
    let script = Script::plan([task]).hangs("a", [run(&line)]);
    let running = world.start_task(&script, &[]);
    meeting.come();
    world.run(&["cancel", "m1"]);
    running.ended().ends(6, &["sealed: cancelled"]);
    world.all_gone();
}
