//! A person has a task tried again, leaves one out, wants one sooner, and ends it all at once.

use super::project;
use testkit::world::{Script, Task, ask, run, write};

fn task(id: &str) -> Task {
    Task::new(id).writes(id).proof(&format!("test -f {id}"))
}

#[test]
fn a_task_is_tried_again_with_a_note_and_another_one_left_out_and_both_are_told() {
    let world = project();
    let meeting = world.meeting();
    let tasks = [
        task("one"),
        task("two").needs("one"),
        task("three").needs("two"),
    ];
    let script = Script::plan(tasks)
        .attempt("one", 2, [write("one", "")])
        .hangs("one", [run(&meeting.line())])
        .worker("two", [write("two", "")])
        .worker("three", [write("three", "")]);
    let running = world.start_task(&script, &["--reviews", "0"]);
    meeting.come();
    let refused = ["error[ORC006]", "T2 is needed by T3", "--with-dependents"];
    let skip = ["skip", "T2", "--reason", "not now"];
    world.run(&skip).ends(1, &refused);
    let skip = [&skip[..], &["--run-dependents"]].concat();
    let told = [
        "T2 is skipped; carried out without it: T3",
        "orchestrator retry T2",
    ];
    world.run(&skip).ends(0, &told);
    // Said twice it is done once.
    for _ in 0..2 {
        let retried = world.run(&["retry", "T1", "use a file"]);
        retried.ends(0, &["T1 is tried again"]);
        world.run(&skip).ends(0, &["T2 is skipped"]);
    }
    let ran = running.ended().ends(
        4,
        &["m1 partial", "T2 (Do two) was skipped by user: not now"],
    );
    for starts in ["T1.2 worker", "T3.1 worker"] {
        assert_eq!(ran.said().matches(starts).count(), 1, "{}", ran.said());
    }
    assert!(!ran.said().contains("T1.3"), "{}", ran.said());
    world.run(&["log"]).ends(
        0,
        &[
            "user says to T1: use a file",
            "T1 (Do one) is tried again: user",
            "T2 (Do two) is skipped by user: not now; those that need it run without it",
        ],
    );
    let log = world.run(&["log", "--why", "T1"]);
    log.ends(0, &["T1 (Do one) is tried again: user"]);
    let log = world.run(&["log", "--why", "T2"]);
    log.ends(0, &["T2 (Do two) is skipped by user: not now"]);
    // It is over, and goes on with the task that is wanted after all.
    let retried = world.run(&["retry", "T2", "now it is time"]);
    retried.ends(0, &["T2 is tried again", "orchestrator resume m1"]);
    let resumed = world.run(&["resume"]);
    let resumed = resumed.ends(0, &["m1 completed", "T2.1 worker"]);
    assert!(!resumed.said().contains("T3.2"), "{}", resumed.said());
    assert!(world.project().join("two").exists());
    let over = world.run(&["retry", "T2"]);
    over.ends(1, &["error[ORC006]", "every task has landed"]);
    world.all_gone();
}

#[test]
fn what_is_wanted_sooner_starts_next() {
    let world = project();
    let meeting = world.meeting();
    let script = Script::plan(["one", "two", "three"].map(task))
        .worker("one", [run(&meeting.line()), write("one", "")])
        .worker("two", [write("two", "")])
        .worker("three", [write("three", "")]);
    let mut running = world.start_task(&script, &["--reviews", "0", "--workers", "1"]);
    running.says("T1.1 worker");
    world
        .run(&["prioritise", "T3", "high"])
        .ends(0, &["T3 is of high priority now"]);
    world
        .run(&["prioritise", "T3", "soon"])
        .ends(2, &["error[ORC001]", "high", "normal", "low"]);
    meeting.come();
    let ran = running.ended().ends(0, &["m1 completed"]);
    let at = |text: &str| ran.said().find(text).unwrap_or_else(|| panic!("{text}"));
    assert!(at("T3.1 worker") < at("T2.1 worker"), "{}", ran.said());
    world
        .run(&["prioritise", "T3", "low"])
        .ends(1, &["error[ORC006]", "the mission is over"]);
}

#[test]
fn an_abort_ends_at_once_and_leaves_the_workspace_as_it_is_and_a_cancel_does_not() {
    let world = project();
    let meeting = world.meeting();
    let script = Script::plan([task("one")])
        .attempt("one", 2, [write("one", "")])
        .hangs("one", [write("half", "done"), run(&meeting.line())]);
    let running = world.start_task(&script, &["--reviews", "0"]);
    meeting.come();
    let aborted = world.run(&["abort"]);
    aborted.ends(
        0,
        &["m1 is aborted", "workspaces stay as they are", "resume m1"],
    );
    running
        .ended()
        .ends(6, &["m1 cancelled", "aborted by user"]);
    let half = world.place("m1").join("lanes/worker-1/half");
    assert_eq!(std::fs::read_to_string(&half).unwrap(), "done");
    let again = world.run(&["abort"]);
    again.ends(0, &["m1 is aborted", "workspaces stay as they are"]);
    world
        .run(&["cancel"])
        .ends(1, &["error[ORC006]", "it is cancelled"]);
    assert!(half.exists(), "what was said before stands");
    world.all_gone();
    // It goes on, and what is cancelled is tidied up.
    let running = world.start(&["resume"]);
    meeting.come();
    world.run(&["cancel"]).ends(0, &["m1 is cancelled"]);
    running.ended().ends(6, &["m1 cancelled"]);
    assert!(!half.exists());
    world.run(&["cancel"]).ends(0, &["m1 is cancelled"]);
    world
        .run(&["abort"])
        .ends(1, &["error[ORC006]", "it is cancelled"]);
    world.all_gone();
}

#[test]
fn the_plan_is_looked_at_and_changed_while_it_is_carried_out() {
    let world = project();
    let meeting = world.meeting();
    let script = Script::plan([task("one"), task("two").needs("one")])
        .worker("one", [run(&meeting.line()), write("one", "")])
        .worker("two", [write("zwei", "")])
        .worker("three", [write("three", "")]);
    let mut running = world.start_task(&script, &["--reviews", "0"]);
    running.says("T1.1 worker");
    world
        .run(&["plan"])
        .ends(0, &["m1 plan, version 1", "Do two", "proof: test -f two"]);
    let add = [
        "plan", "add", "--id", "three", "--title", "Do three", "--needs", "one",
    ];
    let add = [&add[..], &["--proof", "test -f three"]].concat();
    world.run(&add).ends(0, &["the plan is version 2 now"]);
    // Said twice it is done once.
    world.run(&add).ends(0, &["the plan is version 2 now"]);
    let set = ["plan", "set", "T2", "--proof", "test -f zwei"];
    let old = world.run(&[&set[..], &["--saw", "1"]].concat());
    old.ends(1, &["error[ORC006]", "you saw version 1, it is version 2"]);
    world.run(&set).ends(0, &["the plan is version 3 now"]);
    let circle = world.run(&["plan", "set", "T2", "--needs", "T2"]);
    circle.ends(1, &["error[ORC006]", "in a circle"]);
    let needed = world.run(&["plan", "drop", "T1"]);
    needed.ends(1, &["error[ORC006]", "T1 has begun"]);
    meeting.come();
    let ran = running.ended();
    let told = ["m1 completed", "the plan was changed by people 2 times"];
    ran.ends(0, &told);
    for path in ["one", "zwei", "three"] {
        assert!(world.project().join(path).exists(), "{path}");
    }
    world.run(&["log"]).ends(
        0,
        &["the plan is changed by user (version 2); new or changed: T3"],
    );
    let log = world.run(&["log", "--why", "T3"]);
    log.ends(0, &["new or changed: T3", "T3.1 worker"]);
    let json = world.run(&["plan", "--json"]).ends(0, &[]);
    let plan: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(
        (plan["version"].as_u64(), plan["tasks"][2]["key"].as_str()),
        (Some(3), Some("three"))
    );
    world
        .run(&["plan", "drop", "T2"])
        .ends(1, &["error[ORC006]", "the mission is over"]);
}

#[test]
fn rules_answer_beforehand_and_one_that_denies_holds_whatever_is_allowed() {
    let world = project();
    let place = world.home().join(".config/opencode-orchestrator");
    std::fs::create_dir_all(&place).unwrap();
    let rule = |action: &str, pattern: &str| {
        format!("[[rules]]\naction = \"{action}\"\nkind = \"bash\"\npattern = \"{pattern}\"\n")
    };
    let rules = [rule("allow", "make *"), rule("deny", "git push *")].concat();
    std::fs::write(place.join("config.toml"), rules).unwrap();
    let asks = |text: &str| ask("bash", &format!("run: {text}"));
    let script = |id: &str| {
        let steps = [asks("make all"), asks("git push origin"), asks("ls")];
        let steps = steps.into_iter().chain([write(id, "")]);
        Script::small(task(id)).worker(id, steps).reviewed()
    };
    let told = |ran: &testkit::world::Ran, texts: [&str; 3]| {
        for text in texts {
            assert!(ran.said().contains(text), "{text}: {}", ran.said());
        }
    };
    // Nobody is there to be asked.
    let ran = world.task(&script("one"), &["--yes"]);
    let ran = ran.ends(0, &["m1 completed"]);
    let answers = [
        "q1 answered by policy: rule 1: allow",
        "q2 answered by policy: rule 2: deny",
        "q3 answered by policy: deny",
    ];
    told(&ran, answers);
    // What is allowed beforehand does not allow what a rule denies.
    let ran = world.task(&script("two"), &["--yes", "--allow", "shell"]);
    let ran = ran.ends(0, &["m2 completed"]);
    let answers = [
        "q1 answered by policy: rule 1: allow",
        "q2 answered by policy: rule 2: deny",
        "q3 answered by policy: rule 3: allow",
    ];
    told(&ran, answers);
}
