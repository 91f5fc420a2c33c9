//! Source files: none too long, none forgotten.

use super::{files, normal, nothing, read};
use std::collections::BTreeSet;

/// The longest file, in lines.
const FILE_LINES: usize = 600;
/// The longest function, in lines.
const FUNCTION_LINES: usize = 70;
/// Files that are longer, with the most lines that they may have. Looked at on 2026-11-22; an entry goes when its file
/// is split, and none is added without a date.
const LONG_FILES: &[(&str, usize)] = &[
    ("crates/cli/tests/e2e/honest.rs", 750),
    ("crates/workbench/tests/git/snapshot.rs", 740),
];

/// Functions that are longer, as file and name, with the most lines that they may have. Looked at on 2026-11-22.
const LONG_FUNCTIONS: &[(&str, &str, usize)] = &[
    (
        "crates/agents/tests/opencode/turns.rs",
        "a_worker_works_and_reports",
        80,
    ),
    ("crates/cli/tests/e2e/honest.rs", "liars", 290),
    ("crates/cli/tests/e2e/honest.rs", "twins", 280),
    // One arm for each event, and nothing else. Looked at on 2026-11-29.
    ("crates/cli/src/view/lines.rs", "told", 170),
    // The fold: one arm for each event. Looked at on 2026-11-29.
    ("crates/mission/src/apply.rs", "apply", 240),
    // One arm for each input.
    ("crates/mission/src/decide.rs", "decide", 130),
    // One line for each field. Looked at on 2026-11-29.
    ("crates/mission/src/mission.rs", "new", 83),
    ("crates/mission/src/plan.rs", "check_task", 90),
    ("crates/workbench/src/checks/node.rs", "recipe", 80),
    (
        "crates/workbench/tests/git/landing.rs",
        "accepted_attempts_land_in_order_and_a_conflict_is_skipped_with_both_sides",
        90,
    ),
    (
        "crates/workbench/tests/git/mischief.rs",
        "nothing_that_an_agent_configures_is_run",
        90,
    ),
    (
        "crates/workbench/tests/git/workspace.rs",
        "odd_things_in_a_workspace_are_taken_or_named_and_never_lost",
        90,
    ),
];

#[test]
fn files_and_functions_fit_on_few_screens() {
    let mut wrong = Vec::new();
    for path in files(".rs") {
        let text = read(&path);
        let lines: Vec<&str> = text.lines().collect();
        let most = LONG_FILES
            .iter()
            .find(|(long, _)| *long == path)
            .map_or(FILE_LINES, |(_, most)| *most);
        if lines.len() > most {
            wrong.push(format!("(\"{path}\", {}),", lines.len()));
        }
        for (name, length) in functions(&lines) {
            let long = LONG_FUNCTIONS
                .iter()
                .find(|(file, function, _)| *file == path && *function == name);
            if length > long.map_or(FUNCTION_LINES, |(_, _, most)| *most) {
                wrong.push(format!("(\"{path}\", \"{name}\", {length}),"));
            }
        }
    }
    nothing(&wrong);
}

/// Functions with their length in lines. It trusts the formatter: a function ends with a brace as far in as it begins.
fn functions(lines: &[&str]) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let indent = &line[..line.len() - code.len()];
        let words: Vec<&str> = code
            .split(' ')
            .take_while(|word| !word.contains('(') || word.starts_with("pub("))
            .collect();
        let is_function = code.contains("fn ")
            && words.iter().all(|word| {
                ["pub", "async", "const", "unsafe", "fn"].contains(word) || word.starts_with("pub(")
            });
        let name = code
            .split("fn ")
            .nth(1)
            .and_then(|rest| rest.split(['(', '<']).next());
        let (true, Some(name)) = (is_function, name) else {
            continue;
        };
        let end = lines[start..]
            .iter()
            .position(|line| *line == format!("{indent}}}"));
        let none = lines[start..].iter().position(|line| {
            line.starts_with(indent)
                && line.ends_with(';')
                && !line[indent.len()..].starts_with(' ')
        });
        // A declaration without a body ends with a semicolon before any brace.
        if let Some(end) = end.filter(|end| none.is_none_or(|none| *end < none)) {
            found.push((name.to_owned(), end + 1));
        }
    }
    found
}

/// A file that no target reaches is neither compiled nor run, and nobody sees it.
#[test]
fn every_source_file_is_reached() {
    let all: BTreeSet<String> = files(".rs")
        .into_iter()
        .filter(|path| path.starts_with("crates/"))
        .collect();
    let is_root = |path: &&String| {
        let parts: Vec<&str> = path.split('/').skip(2).collect();
        matches!(
            parts.as_slice(),
            ["src", "lib.rs" | "main.rs"]
                | ["build.rs"]
                | ["tests" | "benches" | "examples", _]
                | ["tests" | "benches" | "examples", _, "main.rs"]
                | ["src", "bin", ..]
        )
    };
    let mut open: Vec<String> = all.iter().filter(is_root).cloned().collect();
    let mut reached = BTreeSet::new();
    while let Some(path) = open.pop() {
        open.extend(modules(&path).into_iter().filter(|path| all.contains(path)));
        reached.insert(path);
    }
    nothing(
        &all.difference(&reached)
            .map(|path| format!("{path} is reached by nothing"))
            .collect::<Vec<_>>(),
    );
}

/// Where the modules that a file declares may stand.
fn modules(path: &str) -> Vec<String> {
    let (folder, file) = path.rsplit_once('/').unwrap();
    let is_root = ["lib.rs", "main.rs", "mod.rs"].contains(&file)
        || path.matches("/tests/").count() == 1 && folder.ends_with("/tests");
    let below = if is_root {
        folder.to_owned()
    } else {
        path.trim_end_matches(".rs").to_owned()
    };
    let mut found = Vec::new();
    let mut named = None;
    for line in read(path).lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("#[path = \"") {
            named = rest.split('"').next().map(str::to_owned);
        } else if let Some(name) = line
            .strip_suffix(';')
            .and_then(|line| line.split_once("mod "))
            .map(|(_, name)| name)
        {
            match named.take() {
                Some(at) => found.push(normal(&format!("{folder}/{at}"))),
                None => found.extend([
                    format!("{below}/{name}.rs"),
                    format!("{below}/{name}/mod.rs"),
                ]),
            }
        }
    }
    found
}
