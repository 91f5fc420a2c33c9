//! The program as documents show it.

use super::{blocks, read, root};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// The program in a world without configuration.
fn orchestrator(folder: &Path, state: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orchestrator"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ORCHESTRATOR_") {
            command.env_remove(name);
        }
    }
    let command = command
        .args(arguments)
        .current_dir(folder)
        .env("COLUMNS", "100");
    let command = command
        .env("ORCHESTRATOR_STATE_DIR", state)
        .env("ORCHESTRATOR_CONFIG", "/dev/null");
    command.stdin(std::process::Stdio::null()).output().unwrap()
}

fn help(arguments: &[&str]) -> String {
    let output = orchestrator(&root(), Path::new("/nowhere"), arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect()
}

#[test]
fn the_page_of_commands_is_what_the_program_says() {
    let all = help(&["--help"]);
    let list = all
        .split("\nCommands:\n")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap();
    let names: Vec<&str> = list
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(
        names.contains(&"task") && names.contains(&"explain"),
        "{names:?}"
    );
    let mut page = format!(
        "# Commands\n\nMade from the program's own help; see [CONTRIBUTING.md](../../CONTRIBUTING.md#set-up) for how to make it anew.\n\n```text\n{all}```\n"
    );
    for name in names {
        page += &format!("\n## {name}\n\n```text\n{}```\n", help(&[name, "--help"]));
    }
    let at = root().join("docs/guide/cli.md");
    if std::env::var_os("ORCHESTRATOR_REFRESH").is_some() {
        fs::write(&at, &page).unwrap();
    }
    let stored = fs::read_to_string(&at).unwrap_or_default();
    assert!(
        stored == page,
        "docs/guide/cli.md is old; make it anew: ORCHESTRATOR_REFRESH=1 cargo test -p orchestrator --test tidy"
    );
}

/// What the page on scripts tells a reader to type, typed.
#[test]
fn the_example_on_the_page_of_scripts_runs() {
    let page = read("docs/guide/scripts.md");
    let shell = blocks(&page, "## An example that runs", "sh");
    let script = &blocks(&page, "## An example that runs", "toml")[0];
    let (made, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut sh = Command::new("sh");
    sh.args(["-ec", &shell[0]]).current_dir(made.path());
    for (name, value) in [("NAME", "Ada"), ("EMAIL", "ada@example.org")] {
        sh.env(format!("GIT_AUTHOR_{name}"), value)
            .env(format!("GIT_COMMITTER_{name}"), value);
    }
    let set_up = sh.output().unwrap();
    assert!(set_up.status.success(), "{set_up:?}");
    fs::write(made.path().join("greet.toml"), script).unwrap();
    let project = made.path().join("greet");

    let command = "orchestrator task --agent scripted:../greet.toml \"Greet people by name\"";
    assert_eq!(shell[1], command);
    let played = orchestrator(
        &project,
        state.path(),
        &[
            "task",
            "--agent",
            "scripted:../greet.toml",
            "Greet people by name",
        ],
    );
    let (out, told) = (
        String::from_utf8_lossy(&played.stdout),
        String::from_utf8_lossy(&played.stderr),
    );
    assert!(played.status.success(), "{out}{told}");
    let landed = out
        .lines()
        .filter(|line| line.contains("landed  landed"))
        .count();
    assert!(
        out.contains("m1 completed: Greet people by name") && landed == 2,
        "{out}"
    );
    assert!(
        told.contains("T1.1 turned down: `make test` was red")
            && told.contains("no attempt is used up"),
        "{told}"
    );
    assert!(
        fs::read_to_string(project.join("README.md"))
            .unwrap()
            .contains("greet.sh Ada")
    );

    let verified = orchestrator(&project, state.path(), &["verify"]);
    assert!(
        String::from_utf8_lossy(&verified.stdout).contains("every link holds"),
        "{verified:?}"
    );
    let undone = orchestrator(&project, state.path(), &["undo"]);
    assert!(
        undone.status.success() && !project.join("README.md").exists(),
        "{undone:?}"
    );
}

/// The guide tells the engine's table of interrupts, row by row.
#[test]
fn the_guide_tells_what_an_interrupt_does() {
    let guide = read("docs/guide/when-things-go-wrong.md");
    let (_, table) = guide.split_once("| Under way |").unwrap();
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let told: Vec<(String, String)> = rows
        .map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            (cells[1].to_owned(), cells[3].to_owned())
        })
        .collect();
    let is = engine::shutdown::POLICY.iter().map(|row| {
        let limit = match row.limit.is_zero() {
            true => "at once".to_owned(),
            false => format!("{} s", row.limit.as_secs_f64()),
        };
        (row.part.told().to_owned(), limit)
    });
    assert_eq!(told, is.collect::<Vec<_>>());
}
