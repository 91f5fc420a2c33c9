//! What a person does to a mission on its way: looks what it waits for, answers, and has what is left planned anew.

use super::{project, world};
use testkit::world::{Script, Task, ask, heed, run, write};

#[test]
fn the_set_up_that_is_waited_for_is_named_wherever_it_is_looked() {
    let world = world().file("a.txt", "old\n").committed();
    let meeting = world.meeting();
    let place = world.home().join(".config/opencode-orchestrator");
    std::fs::create_dir_all(&place).unwrap();
    let command = format!("{}; sleep 600", meeting.line());
    let config = format!(
        "[[set_up]]\nproject = {:?}\ncommand = {command:?}\nkeyed_by = [\"a.txt\"]\nbring = [\"deps\"]\n",
        world.project()
    );
    std::fs::write(place.join("config.toml"), config).unwrap();
    let running = world.start_task(&super::commands::script(), &["--silence", "7m"]);
    meeting.come();
    let status = world
        .run(&["status"])
        .ends(0, &["set-up", "for the checks"]);
    let row = status.out.lines().find(|line| line.starts_with("set-up "));
    let row = row.unwrap_or_else(|| panic!("no set-up waits: {}", status.out));
    assert!(row.contains("`") && row.contains(" min "), "{row}");
    let status = world.status("m1");
    assert_eq!(status["silence"], 420_000);
    let waits = status["waits"].as_array().unwrap();
    let set_up = waits.iter().find(|wait| wait["who"] == "set-up").unwrap();
    assert!(set_up["until"].as_u64() > Some(0), "{set_up}");
    running.kill();
    // What a killed engine noted last holds no longer.
    let status = world.run(&["status"]).ends(0, &["m1 stopped"]);
    assert!(!status.out.contains("set-up"), "{}", status.out);
    world.all_gone();
}

#[test]
fn an_answer_is_taken_as_it_is_typed_and_what_is_none_is_refused_with_the_choices() {
    let world = project();
    let steps = [ask("bash", "May I run make?"), write("a.txt", "new\n")];
    let task = Task::new("a").writes("a.txt").proof("grep -q new a.txt");
    let script = Script::small(task).worker("a", steps).reviewed();
    world
        .task(&script, &["--approve"])
        .ends(7, &["answer m1 q1 yes|no"]);
    let refused = |text: &str, saying: &str| {
        let ran = world.run(&["answer", "m1", text, "banana"]);
        ran.ends(1, &["error[ORC006]", "is still open", saying]);
    };
    refused("q1", "yes, no");
    world
        .run(&["answer", "m1", "q1", "Y"])
        .ends(0, &["answered"]);
    let mut running = world.start(&["resume"]);
    running.says("q2 asks: May I run make? (orchestrator answer m1 q2 allow|mission|project|deny)");
    world.run(&["status"]).ends(
        0,
        &[
            "q2 asks: May I run make?",
            "answer m1 q2 allow|mission|project|deny",
        ],
    );
    refused("q2", "allow, mission, project, deny");
    world
        .run(&["answer", "m1", "q2", "p"])
        .ends(0, &["answered"]);
    running.ended().ends(0, &["m1 completed"]);
    let log = world.run(&["log"]);
    log.ends(
        0,
        &["q1 answered by user: yes", "q2 answered by user: project"],
    );
    // Every mission of the project says so from now on, and how it is taken back.
    let agent = world.agent(&script);
    let told = world.run(&["task", "again", &agent]);
    let row = told.said();
    let row = row.lines().find(|line| line.starts_with("shell "));
    let row = row.unwrap_or_else(|| panic!("nothing of the shell: {}", told.said()));
    assert!(row.contains("allowed in this project"), "{row}");
    let allowed = world.state().join("allowed");
    std::fs::remove_dir_all(&allowed).unwrap();
    let told = world.run(&["task", "again", &agent]).said();
    assert!(!told.contains("allowed in this project"), "{told}");
}

#[test]
fn a_paused_mission_waits_for_its_resume_and_an_interrupted_one_stays_paused() {
    let world = project();
    let meeting = world.meeting();
    let task = |id: &str| Task::new(id).writes(id).proof(&format!("test -f {id}"));
    let script = Script::plan([task("one"), task("two").needs("one")])
        .worker("one", [run(&meeting.line()), write("one", "")])
        .worker("two", [write("two", "")])
        .reviewed();
    let mut running = world.start_task(&script, &["--reviews", "0"]);
    running.says("T1.1");
    world.run(&["pause"]).ends(
        0,
        &["m1 is paused", "1 turn runs on", "orchestrator resume m1"],
    );
    world
        .run(&["pause", "m1", "--json"])
        .ends(0, &["\"state\":\"paused\""]);
    world
        .run(&["steer", "no new files", "--task", "T2"])
        .ends(0, &["every turn for T2 that begins from now on is told"]);
    world
        .run(&["steer", "x", "--task", "T9"])
        .ends(1, &["error[ORC006]", "there is no task T9"]);
    meeting.come();
    running.says("landing 1 landed");
    let status = world.run(&["status"]);
    status.ends(0, &["m1 paused", "every new turn", "paused it"]);
    world.run(&["list"]).ends(0, &["paused"]);

    // Who interrupts it has a paused mission, until somebody resumes it.
    running.signal(rustix::process::Signal::INT);
    running.ended().ends(130, &["orchestrator resume m1"]);
    assert_eq!(world.status("m1")["state"], "paused");
    let resumed = world.run(&["resume"]);
    let resumed = resumed.ends(0, &["m1 completed", "it goes on after its pause"]);
    assert!(!resumed.said().contains("T1.2"), "{}", resumed.said());
    world
        .run(&["log"])
        .ends(0, &["paused by user", "user says to T2: no new files"]);
    world
        .run(&["pause"])
        .ends(1, &["error[ORC006]", "it is completed"]);
    world.all_gone();
}

#[test]
fn a_mission_that_runs_elsewhere_goes_on_when_it_is_resumed_from_here() {
    let world = project();
    let meeting = world.meeting();
    let task = Task::new("one").writes("one").proof("test -f one");
    let script = Script::plan([task])
        .worker("one", [run(&meeting.line()), write("one", "")])
        .reviewed();
    let mut running = world.start_task(&script, &[]);
    running.says("T1.1");
    world.run(&["pause"]).ends(0, &["m1 is paused"]);
    meeting.come();
    running.says("T1/accept-1 on");
    world
        .run(&["resume", "--tokens", "1M"])
        .ends(1, &["error[ORC006]", "goes on as it was"]);
    world.run(&["resume"]).ends(
        0,
        &["goes on after its pause; following it", "m1 completed"],
    );
    running.ended().ends(0, &["m1 completed"]);
}

#[test]
fn what_has_not_landed_is_planned_anew_and_what_has_stays() {
    let world = project();
    let task = |id: &str| Task::new(id).writes(id).proof(&format!("test -f {id}"));
    let log = world.beside("worked");
    let works = run(&format!("echo good >> {}", log.display()));
    let first = Script::plan([task("good"), task("bad")])
        .worker("good", [works.clone(), write("good", "")])
        .worker("bad", [write("other", "")])
        .reviewed();
    world
        .task(&first, &["--attempts", "1"])
        .ends(4, &["m1 partial", "orchestrator resume m1"]);
    let second = Script::plan([task("good"), task("better").needs("good")])
        .worker("good", [works, write("good", "")])
        .worker("better", [write("better", "")])
        .reviewed();
    let agent = world.agent(&second);
    world
        .run(&["resume", "--replan", &agent])
        .ends(0, &["m1 completed", "planner writes the plan", "Do better"]);
    let worked = std::fs::read_to_string(&log).unwrap();
    assert_eq!(
        worked.lines().count(),
        1,
        "what had landed was worked again"
    );
    assert!(world.project().join("better").exists() && world.project().join("good").exists());
    assert!(!world.project().join("other").exists());
}

#[test]
fn a_check_that_was_red_before_says_so_where_it_is_red_again() {
    let world = world()
        .file("Makefile", "test:\n\t@echo nothing works; exit 1\n")
        .file("a.txt", "old\n")
        .committed();
    let checks = world.run(&["checks"]).ends(0, &["make-test", "red"]);
    assert!(
        checks.out.contains("make-test said last:\n  nothing works"),
        "why it is red: {}",
        checks.out
    );
    let ran = world.task(&super::commands::script(), &[]);
    let ran = ran.ends(0, &["m1 completed"]);
    let told: Vec<&str> = ran
        .err
        .lines()
        .filter(|line| line.contains(" make-test on "))
        .collect();
    let (before, after): (Vec<&str>, Vec<&str>) = told
        .into_iter()
        .partition(|line| line.contains("your files as they were"));
    assert!(!before.is_empty() && !after.is_empty(), "{}", ran.err);
    assert!(
        !before.iter().any(|line| line.contains("before too")),
        "{before:?}"
    );
    assert!(
        after
            .iter()
            .all(|line| line.contains("red (exit 2), red before too")),
        "{after:?}"
    );
}

#[test]
fn what_is_said_reaches_a_turn_that_runs_at_its_next_step() {
    let world = project();
    let task = |id: &str| Task::new(id).writes(id).proof(&format!("test -e {id}"));
    let script = Script::plan([task("one"), task("two")])
        .worker("one", [heed("one"), write("done", "")])
        .worker("two", [heed("two"), heed("two")])
        .reviewed();
    let mut running = world.start_task(&script, &["--reviews", "0"]);
    running.says("T1.1");
    running.says("T2.1");
    // How many turns do not know yet is told as it stands by then: one that waits to be told knows within moments.
    world
        .run(&["steer", "only this one", "--task", "T2"])
        .ends(0, &["every turn for T2 that begins from now on is told"]);
    running.says("T2.1 has been told: only this one");
    world
        .run(&["steer", "mind the gap"])
        .ends(0, &["every turn that begins from now on is told"]);
    let ran = running.ended().ends(0, &["m1 completed"]);
    for told in ["T1.1 has been told: mind", "T2.1 has been told: mind"] {
        assert_eq!(ran.said().matches(told).count(), 1, "{}", ran.said());
    }
    assert_eq!(world.read("one"), "mind the gap\n");
    assert_eq!(world.read("two"), "only this one\nmind the gap\n");
    world.all_gone();
}
