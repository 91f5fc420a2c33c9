//! Where nobody listens any more, and where a terminal takes nothing but text.

use super::commands::script;
use super::project;
use std::process::Command;
use testkit::terminal::Terminal;
use testkit::world::World;

/// One end of a pipe that nobody reads.
fn unread() -> std::io::PipeWriter {
    let (_, writer) = std::io::pipe().unwrap();
    writer
}

#[test]
fn a_reader_that_has_gone_ends_a_log_quietly() {
    let world = project();
    world.task(&script(), &[]).ends(0, &["m1 completed"]);
    for words in [
        &["log"][..],
        &["log", "--json"],
        &["log", "--why"],
        &["log", "--follow"],
        &["diff"],
    ] {
        let ran = world.command(words).stdout(unread()).output().unwrap();
        let err = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(0), "{words:?}: {err}");
        assert_eq!(err, "", "{words:?}");
    }
    // What is said beside the data finds nobody either, and the code says it all the same.
    let mut wrong = world.command(&["status", "m99"]);
    let ran = wrong.stderr(unread()).output().unwrap();
    assert_eq!(ran.status.code(), Some(2), "{:?}", ran.status);
}

/// All that a mission and looks at it show in a terminal.
fn shown(dressed: impl Fn(&mut Command)) -> String {
    let world = project();
    let agent = world.agent(&script());
    let task = ["task", "Do what the script says", &agent];
    let mut seen = in_terminal(&world, &task, "undo: orchestrator undo m1", &dressed);
    for (words, last) in [
        (&["status"][..], "time "),
        (&["log"], "sealed: completed"),
        (&["diff"], "+new"),
        (&["clean", "m99"], "hint: "),
    ] {
        seen += &in_terminal(&world, words, last, &dressed);
    }
    seen
}

fn in_terminal(
    world: &World,
    words: &[&str],
    last: &str,
    dressed: &impl Fn(&mut Command),
) -> String {
    let mut command = world.command(words);
    dressed(&mut command);
    let mut terminal = Terminal::start(&command);
    terminal.sees(last);
    terminal.ends();
    terminal.seen.clone()
}

#[test]
fn a_terminal_that_takes_no_colours_gets_text_alone() {
    let live = shown(|_| ());
    assert!(live.contains('\u{1b}'), "nothing is live there: {live}");
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let plain = shown(|command| {
            command.env(name, value);
        });
        assert!(!plain.contains('\u{1b}'), "{name}={value}: {plain:?}");
    }
}
