//! A person at a terminal: the live view, and an answer that is typed into it.

use super::commands::script;
use super::project;
use std::time::Duration;
use testkit::terminal::Terminal;

#[test]
fn a_person_sees_what_is_being_done_and_answers_a_question_by_a_letter() {
    let world = project();
    let agent = world.agent(&script());
    let words = ["task", "Do what the script says", &agent, "--approve"];
    let mut terminal = Terminal::start(&world.command(&words));
    terminal.sees("agent   scripted, no model");
    terminal.sees("plan: 1 task");
    terminal.sees("\u{1b}[1mm1 ");
    terminal.sees("q1 [yes/no] > ");
    // What is typed before the question stood there is thrown away, and a test types faster than people read.
    let mut tries = 0;
    while !terminal.sees_within("q1 answered by ", Duration::from_secs(2)) {
        tries += 1;
        assert!(tries < 30, "no answer was taken:\n{}", terminal.seen);
        terminal.types("y\n");
    }
    terminal.sees("m1 completed: Do what the script says");
    terminal.sees("undo: orchestrator undo m1");
    assert_eq!(terminal.ends(), Some(0));
    let (_, end) = terminal.seen.rsplit_once("m1 completed").unwrap();
    assert!(
        !end.contains("tokens\u{1b}") && !end.contains("[yes/no]"),
        "the view is gone: {end:?}"
    );
}
