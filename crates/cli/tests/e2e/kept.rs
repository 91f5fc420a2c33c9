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
    let told = "of them reported; turns that were cut off or did not say count as reserved";
    running.ended().ends(6, &["sealed: cancelled", told]);
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

#[test]
fn what_one_worker_does_to_its_workspace_is_no_matter_of_those_after_it() {
    for (line, said) in [
        ("rm -f .gitignore; mkfifo .gitignore", "it wrote .gitignore"),
        (
            "p=$PWD; mv $p $p.x; cp -r $p.x $p",
            "it wrote the folder of its workspace",
        ),
        (
            "p=$PWD; mv $p $p.x; ln -s / $p",
            "it wrote the folder of its workspace",
        ),
    ] {
        let world = project();
        let task = |name: &str| Task::new(name).proof(&format!("test -f {name}.txt"));
        let script = Script::plan(["bad", "good", "late"].map(task))
            .worker("bad", [write("bad.txt", "x\n"), run(line)])
            .worker("good", [write("good.txt", "x\n")])
            .worker("late", [write("late.txt", "x\n")])
            .reviewed();
        let words = ["--workers", "1", "--attempts", "1", "--deliver", "none"];
        let ran = world.task(&script, &words);
        let told = ran.said();
        assert!(told.contains(said), "{line}:\n{told}");
        assert_eq!(world.state_of("m1"), "partial", "{line}:\n{told}");
        let landed = world.mission_git("m1", &["ls-tree", "--name-only", "landed"]);
        let has = |name: &str| landed.lines().any(|line| line == name);
        assert!(
            has("good.txt") && has("late.txt") && !has("bad.txt"),
            "{landed}"
        );
        let lanes = std::fs::read_dir(world.place("m1").join("lanes"));
        assert_eq!(lanes.map_or(0, Iterator::count), 0, "{line}");
    }
}
