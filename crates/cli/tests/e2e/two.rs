//! Two programs that want to run the same mission at the same moment.

use crate::project;
use std::sync::mpsc::channel;
use testkit::world::{Ran, Running, Script, Task, run, write};

#[test]
fn of_two_resumes_at_once_one_acts_and_the_other_follows_or_says_who_does() {
    let world = project();
    let meetings = [world.meeting(), world.meeting()];
    let steps = [
        write("a.txt", "new\n"),
        run(&meetings[0].line()),
        run(&meetings[1].line()),
    ];
    let task = Task::new("a").writes("a.txt").proof("grep -q new a.txt");
    let script = Script::plan([task]).worker("a", steps).reviewed();
    let first = world.start_task(&script, &[]);
    meetings[0].come();
    first.kill();
    // Whoever acts waits at the meeting until the other one has found that out.
    let (heard, lines) = channel();
    let both = [(); 2].map(|()| world.start(&["resume", "m1"]));
    let pids = [both[0].pid(), both[1].pid()];
    let both = both.map(|mut one: Running| {
        let heard = heard.clone();
        let pid = one.pid();
        std::thread::spawn(move || -> Ran {
            while let Some(line) = one.line() {
                heard.send((pid, line)).ok();
            }
            one.ended()
        })
    });
    drop(heard);
    let gives_way = |line: &str| line.contains("is running already") || line.contains("ORC005");
    let (other, _) = lines.iter().find(|(_, line)| gives_way(line)).unwrap();
    let actor = *pids.iter().find(|pid| **pid != other).unwrap();
    for meeting in &meetings {
        meeting.come();
    }
    for (pid, ran) in pids.iter().zip(both.map(|one| one.join().unwrap())) {
        let said = ran.said();
        if *pid == actor || said.contains("is running already") {
            ran.ends(0, &["m1 completed"]);
        } else {
            assert_eq!(ran.code, Some(1), "{said}");
            assert!(said.contains(&actor.to_string()), "{said}");
        }
    }
    let log = world.agent_log("m1");
    let answers = log
        .lines()
        .filter(|line| line.starts_with("answer m1 T1.1 "));
    assert_eq!(answers.count(), 1, "{log}");
    assert_eq!(world.read("a.txt"), "new\n");
    world.all_gone();
}
