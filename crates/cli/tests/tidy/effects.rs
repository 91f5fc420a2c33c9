//! Effects on the world: each is announced by a point at which the kill sweep can let the program die.
//!
//! The rule: a function of engine, workbench or program that makes, changes or removes a file, or moves a ref of git,
//! passes a point itself. Objects of git need none, since nobody sees them before a ref or a file names them. Where the
//! points stand around the call instead, or nothing of a mission is touched, the function is named here with the reason.

use super::points::{NEVER, SWEPT};
use super::{files, nothing, read};
use std::collections::BTreeSet;

/// What touches the world.
const TOUCHES: &[&str] = &[
    "fs::write(",
    "fs::rename(",
    "fs::remove_file(",
    "fs::remove_dir",
    "fs::create_dir",
    "fs::copy(",
    "fs::hard_link(",
    "fs::set_permissions(",
    "fs::symlink(",
    "File::create(",
    "File::create_new(",
    ".create(true)",
    ".create_new(true)",
    ".set_len(",
    "DirBuilder::new(",
    "renameat",
    "unlinkat(",
    "mkdirat(",
    "linkat(",
    ".persist(",
    "disk::remove(",
    "disk::make(",
    "disk::write(",
    "disk::put",
    "call(\"update-ref\")",
];

/// Where no point stands in the function itself: files or functions, as `file` or `file function`, with the reason.
const ELSEWHERE: &[(&str, &[&str])] = &[
    (
        "the one who calls passes points before and after",
        &[
            "crates/engine/src/perform/judges.rs",
            "crates/workbench/src/delivery/jail.rs",
            "crates/workbench/src/delivery/branch.rs moved",
            "crates/workbench/src/disk.rs",
            "crates/workbench/src/process/output.rs new",
            "crates/workbench/src/recipe/bring.rs",
            "crates/workbench/src/recipe/venv.rs",
            "crates/workbench/src/repository/commits.rs write",
            "crates/workbench/src/repository/project.rs move_pin",
            "crates/workbench/src/snapshot.rs",
            "crates/workbench/src/snapshot/special.rs",
            "crates/workbench/src/workspace.rs check_out_whatever_is_there",
            "crates/workbench/src/workspace.rs clear_the_way",
            "crates/workbench/src/workspace.rs place",
            "crates/workbench/src/workspace/agent.rs",
            "crates/workbench/src/workspace/clean.rs",
            "crates/workbench/src/workspace/ignored.rs",
            "crates/cli/src/install/write.rs",
            "crates/cli/src/install.rs carry_out",
        ],
    ),
    (
        "a folder that is empty, and is made again by whoever misses it",
        &[
            "crates/engine/src/perform/gate.rs workspace",
            "crates/engine/src/perform/set_up.rs environment_now",
            "crates/engine/src/perform/warm.rs make",
            "crates/engine/src/providers.rs lock",
            "crates/cli/src/host.rs engine_settings",
        ],
    ),
    (
        "what somebody left who is dead, cleared away again until it is gone",
        &[
            "crates/workbench/src/delivery/branch.rs drop",
            "crates/workbench/src/repository.rs clear_leftovers",
            "crates/workbench/src/repository.rs passing",
            "crates/workbench/src/repository.rs remove_locks",
            "crates/workbench/src/workspace.rs forget_all",
            "crates/workbench/src/workspace.rs forget_collected",
            "crates/engine/src/socket.rs clear",
            "crates/engine/src/survey.rs",
            "crates/cli/src/install/backup.rs prune",
        ],
    ),
    (
        "nothing of a mission",
        &[
            "crates/engine/src/reception.rs open",
            "crates/engine/src/socket.rs check_folder",
            "crates/workbench/src/fault.rs",
            "crates/workbench/src/guard/tree.rs volunteer",
            "crates/cli/src/commands/demo.rs new",
            "crates/cli/src/commands/manual.rs pages",
            "crates/cli/src/demo.rs make_project",
            "crates/cli/src/doctor/repair.rs",
            "crates/cli/src/leave.rs last_words",
            "crates/cli/src/service_log.rs",
            "crates/cli/src/trust.rs",
        ],
    ),
];

/// The functions of a file's own code, its tests aside, each with its name and its lines.
fn functions(text: &str) -> Vec<(String, Vec<&str>)> {
    let lines: Vec<&str> = text.lines().collect();
    let is_tests = |n: usize| {
        lines[n].starts_with("#[cfg(test)]")
            && lines
                .get(n + 1)
                .is_some_and(|line| line.starts_with("mod ") && line.ends_with('{'))
    };
    let end = (0..lines.len()).find(|n| is_tests(*n));
    let lines = &lines[..end.unwrap_or(lines.len())];
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let indent = &line[..line.len() - code.len()];
        let Some((before, after)) = code.split_once("fn ") else {
            continue;
        };
        let words = before.split_whitespace();
        let mut words = words.map(|word| word.split('(').next().unwrap_or_default());
        if !words.all(|word| ["pub", "async", "const", "in", "super)", "crate)"].contains(&word)) {
            continue;
        }
        let name = after.split(['(', '<']).next().unwrap_or_default();
        // A declaration has no body.
        let opens = lines[start..]
            .iter()
            .find(|line| line.ends_with(['{', ';', '}']));
        if opens.is_none_or(|line| line.ends_with(';')) {
            continue;
        }
        let last = lines[start..]
            .iter()
            .position(|line| *line == format!("{indent}}}"));
        let last = last.map_or(start + 1, |n| start + n + 1);
        found.push((name.to_owned(), lines[start..last].to_vec()));
    }
    found
}

/// The points that a file's own code passes.
fn points(text: &str) -> BTreeSet<String> {
    let bodies = functions(text).into_iter().map(|(_, body)| body.join("\n"));
    let mut found = BTreeSet::new();
    for body in bodies {
        for (start, _) in body.match_indices("fault::") {
            let call = &body[start..];
            let passes = ["fault::point(", "fault::of("];
            if passes.iter().any(|begins| call.starts_with(begins)) {
                let call = call.split(';').next().unwrap_or_default();
                found.extend(call.split('"').skip(1).step_by(2).map(str::to_owned));
            }
        }
    }
    found
}

fn touches(line: &str) -> bool {
    let code = line.trim_start();
    !code.starts_with("//")
        && !code.starts_with("use ")
        && TOUCHES.iter().any(|touch| code.contains(touch))
}

/// Whether a file is of the program, and no test.
fn own(path: &&String) -> bool {
    let crates = ["engine", "workbench", "cli"].map(|name| format!("crates/{name}/src/"));
    let is_test = ["/tests.rs", "/sample.rs"];
    let is_test = is_test.iter().any(|end| path.ends_with(end));
    crates.iter().any(|folder| path.starts_with(folder)) && !is_test
}

#[test]
fn every_point_is_passed_by_a_sweep() {
    let mut there = BTreeSet::new();
    for path in files(".rs").iter().filter(own) {
        let text = read(path);
        there.extend(points(&text));
        // Each is found: none is named where its call does not show it.
        let calls = ["fault::point(name", "fault::of(name"];
        assert!(!calls.iter().any(|call| text.contains(call)), "{path}");
    }
    assert!(there.len() > 100, "{there:?}");
    let listed = SWEPT.iter().chain(NEVER).flat_map(|(_, points)| *points);
    let listed: Vec<String> = listed.map(|point| (*point).to_owned()).collect();
    let all: BTreeSet<String> = listed.iter().cloned().collect();
    let mut wrong: Vec<String> = Vec::new();
    let missing = there.difference(&all);
    wrong.extend(missing.map(|point| format!("no sweep is said to pass `{point}`")));
    let gone = all.difference(&there);
    wrong.extend(gone.map(|point| format!("`{point}` is in no source")));
    let twice = (0..listed.len()).filter(|n| listed[..*n].contains(&listed[*n]));
    wrong.extend(twice.map(|n| format!("`{}` stands there twice", listed[n])));
    nothing(&wrong);
}

#[test]
fn every_effect_on_the_world_has_its_point() {
    let mut wrong = Vec::new();
    let mut used = Vec::new();
    let all: Vec<&str> = ELSEWHERE
        .iter()
        .flat_map(|(_, who)| who.iter().copied())
        .collect();
    for path in files(".rs").iter().filter(own) {
        for (name, body) in functions(&read(path)) {
            let silent = !body.iter().any(|line| line.contains("fault::"));
            if !silent || !body.iter().any(|line| touches(line)) {
                continue;
            }
            let named = format!("{path} {name}");
            let excused = all.iter().find(|who| **who == named || *who == path);
            match excused {
                Some(who) => used.push(*who),
                None => wrong.push(format!("{named} touches the world and passes no point")),
            }
        }
    }
    let needless = all.iter().filter(|who| !used.contains(*who));
    wrong.extend(needless.map(|who| format!("{who} needs no exception any more")));
    nothing(&wrong);
}

#[test]
fn an_effect_without_a_point_is_seen_and_a_test_is_not() {
    let text = "pub(crate) fn one() {\n    std::fs::write(a, b)\n}\n\n    pub fn two() {\n        disk::remove(x);\n        fault::point(\"x\");\n    }\n\n#[cfg(test)]\nmod tests {\n    fn three() {\n        fs::write(a, b)\n    }\n}\n";
    let found = functions(text);
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["one", "two"]);
    assert!(
        found
            .iter()
            .all(|(_, body)| body.iter().any(|line| touches(line)))
    );
    assert!(!touches("    // fs::write( is not called"));
    let text = "fn one() {\n    fault::point(\"x.before\");\n    fault::of(\n        \"x.after\",\n        &y,\n    );\n}\n";
    assert_eq!(
        points(text).into_iter().collect::<Vec<_>>(),
        ["x.after", "x.before"]
    );
}
