//! What lands together, and is red together.

use crate::world;
use testkit::world::{Script, Task, run, write};

/// A project whose check bears each of two files, and not both.
#[test]
fn of_two_that_are_red_only_together_one_lands_and_the_other_hears_why() {
    let world = world()
        .file("Makefile", "test:\n\t@sh check.sh\n")
        .file("check.sh", "test ! -e left.txt || test ! -e right.txt\n")
        .committed();
    let at_work = [world.meeting(), world.meeting()];
    let (begun, held) = (world.meeting(), world.meeting());
    // The proof of a third task keeps every other check waiting until all are handed in.
    let met = world.beside("met");
    let (met, begins, waits) = (met.display(), begun.line(), held.line());
    let once = format!("test -e {met} || {{ touch {met}; {begins}; {waits}; }}");
    let proof = format!("test -e first.txt && {{ {once}; }}");
    let task = |id: &str| {
        let file = format!("{id}.txt");
        Task::new(id)
            .writes(&file)
            .proof(&format!("test -e {file}"))
    };
    let first = Task::new("first").writes("first.txt").proof(&proof);
    let worker = |n: usize, file: &str| [run(&at_work[n].line()), write(file, "it\n")];
    let script = Script::plan([first, task("left"), task("right")])
        .worker("first", [write("first.txt", "it\n")])
        .worker("left", worker(0, "left.txt"))
        .worker("right", worker(1, "right.txt"));
    let mut mission = world.start_task(&script, &["--reviews", "0", "--attempts", "1"]);
    begun.come();
    at_work.iter().for_each(|meeting| meeting.come());
    for _ in 0..3 {
        mission.says("handed in 1 changed file");
    }
    held.come();
    let ran = mission.ended();
    // All three, the lower half, the upper half, and each of that: what is red together is found by halves.
    let steps = [
        "landing 1: T1.1, T2.1, T3.1",
        "landing 1 is red: make-test",
        "landing 2: T1.1\n",
        "1 of 3 tasks done",
        "landing 3: T2.1, T3.1",
        "landing 3 is red: make-test",
        "landing 4: T2.1\n",
        "2 of 3 tasks done",
        "landing 5: T3.1\n",
        "T3.1 turned down: `make test` was red",
        "sealed: partial",
    ];
    let said = ran.said();
    let mut rest = said.as_str();
    for step in steps {
        let at = rest.find(step);
        rest = &rest[at.unwrap_or_else(|| panic!("{step:?} does not follow:\n{said}"))..];
    }
    let landed = world.mission_git("m1", &["ls-tree", "--name-only", "landed"]);
    assert_eq!(landed, "Makefile\ncheck.sh\nfirst.txt\nleft.txt");
    world.all_gone();
}
