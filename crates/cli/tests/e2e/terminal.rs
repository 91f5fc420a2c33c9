//! A person at a terminal: the live view, and an answer that is typed into it.

use super::commands::script;
use super::project;
use std::time::Duration;
use testkit::terminal::Terminal;
use testkit::world::{Script, Task, World, ask, write};

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
    answers(&mut terminal, "y\n", "q1 answered by ");
    terminal.sees("m1 completed: Do what the script says");
    terminal.sees("undo: orchestrator undo m1");
    assert_eq!(terminal.ends(), Some(0));
    let (_, end) = terminal.seen.rsplit_once("m1 completed").unwrap();
    assert!(
        !end.contains("tokens\u{1b}") && !end.contains("[yes/no]"),
        "the view is gone: {end:?}"
    );
}

/// Types until it is taken: what is typed before a question stood there is thrown away, and a test types faster than
/// people read.
#[track_caller]
fn answers(terminal: &mut Terminal, keys: &str, taken: &str) {
    for _ in 0..30 {
        terminal.types(keys);
        if terminal.sees_within(taken, Duration::from_secs(2)) {
            return;
        }
    }
    panic!("no answer was taken:\n{}", terminal.seen);
}

/// Interrupts a mission that waits for a word, and goes on with it: the same question stands there again, and takes an
/// answer.
#[track_caller]
fn interrupted(world: &World, words: &[&str], asks: &str, keys: &str) {
    let mut terminal = Terminal::start(&world.command(words));
    terminal.sees(asks);
    // As Ctrl-C does: the terminal makes the signal of it.
    terminal.types("\u{3}");
    // What the guard has to end after five seconds does not come to say so.
    terminal.sees("Go on with: orchestrator resume m1");
    assert_eq!(terminal.ends(), Some(130), "{}", terminal.seen);
    world.all_gone();
    world.run(&["verify", "m1"]).ends(0, &["every link holds"]);
    assert_eq!(world.read("a.txt"), "old\n");
    let mut terminal = Terminal::start(&world.command(&["resume", "m1"]));
    terminal.sees(asks);
    // It may be answered before whoever asked it has come back to ask.
    answers(&mut terminal, keys, "q1 answered by ");
    terminal.sees("m1 completed");
    assert_eq!(terminal.ends(), Some(0), "{}", terminal.seen);
    assert_eq!(world.read("a.txt"), "new\n");
    // In the journal it is asked and answered once: the interrupt closed nothing, and nothing was asked beside it.
    let log = world.run(&["log", "m1"]).ends(0, &[]).out;
    for (text, times) in [(" asks: ", 1), ("q1 asks: ", 1), (" answered by ", 1)] {
        assert_eq!(log.matches(text).count(), times, "{text:?} in\n{log}");
    }
}

#[test]
fn an_interrupt_while_a_plan_waits_for_a_word_leaves_its_question_open() {
    let world = project();
    let agent = world.agent(&script());
    let words = ["task", "Do what the script says", &agent, "--approve"];
    interrupted(&world, &words, "q1 [yes/no] > ", "y\n");
}

#[test]
fn an_interrupt_while_an_agent_waits_for_a_word_leaves_its_question_open() {
    let world = project();
    let task = Task::new("a").writes("a.txt").proof("grep -q new a.txt");
    let steps = [ask("bash", "May I run make?"), write("a.txt", "new\n")];
    let script = Script::small(task).worker("a", steps).reviewed();
    let agent = world.agent(&script);
    let words = ["task", "Do what the script says", &agent];
    let asks = "q1 [allow/mission/project/deny] > ";
    interrupted(&world, &words, asks, "allow\n");
}
