//! A crash at every point that an install or its undoing passes: old or new, and nothing left after the next run.

#[path = "../tidy/points.rs"]
mod points;

use super::{Home, ran};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::ExitStatusExt as _;

/// A start: files of OpenCode's configuration.
type Start = &'static [(&'static str, &'static str)];

const STARTS: [Start; 3] = [
    &[(
        "opencode.json",
        "// mine\n{\n  \"model\": \"m\", // why\n}\n",
    )],
    &[("opencode.jsonc", "")],
    &[],
];

fn home(start: Start) -> Home {
    start
        .iter()
        .fold(Home::new(), |home, (name, text)| home.with(name, text))
}

/// The files that OpenCode reads, and only those.
fn read(home: &Home) -> BTreeMap<String, String> {
    let mut all = home.configuration();
    all.retain(|name, _| !name.starts_with('.'));
    all
}

fn normal(home: &Home, files: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let path = home.path().to_str().unwrap();
    files
        .into_iter()
        .map(|(name, text)| (name, text.replace(path, "HOME")))
        .collect()
}

/// Every point that a command passes, each with how often.
fn points(home: &Home, word: &str) -> Vec<String> {
    let list = home.path().join("points");
    let mut command = home.command(&[word, "--even-here"]);
    ran(command.env("ORCHESTRATOR_FAULT_LIST", &list)).ends(0, &[]);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let text = fs::read_to_string(&list).unwrap();
    fs::remove_file(&list).unwrap();
    let points = text.lines().map(|name| {
        let n = counts.entry(name.to_owned()).or_default();
        *n += 1;
        format!("{name}@{n}")
    });
    points.collect()
}

#[test]
fn a_crash_at_any_point_leaves_the_old_or_the_new_and_the_next_run_tidies_up() {
    let (mut died, mut passed) = (0, BTreeSet::new());
    for start in STARTS {
        for word in ["install", "uninstall"] {
            let prepared = || {
                let home = home(start);
                if word == "uninstall" {
                    home.install().ends(0, &[]);
                }
                home
            };
            let undisturbed = prepared();
            let old = normal(&undisturbed, undisturbed.configuration());
            let points = points(&undisturbed, word);
            let new = normal(&undisturbed, undisturbed.configuration());
            assert!(points.len() > 5, "{points:?}");
            let names = points.iter().filter_map(|point| point.split('@').next());
            passed.extend(names.map(str::to_owned));
            for point in &points {
                let home = prepared();
                let mut command = home.command(&[word, "--even-here"]);
                let output = command.env("ORCHESTRATOR_FAULT", point).output().unwrap();
                assert_eq!(output.status.signal(), Some(9), "{point}");
                died += 1;
                let now = normal(&home, read(&home));
                // Each file is the one or the other; what OpenCode's server reads may be new before what its screen reads.
                let is_whole = |name: &String| {
                    let found = now.get(name);
                    found == old.get(name) || found == new.get(name)
                };
                let names = now.keys().chain(old.keys()).chain(new.keys());
                assert!(names.clone().all(is_whole), "{word} {point}: {now:#?}");
                home.run(&[word, "--even-here"]).ends(0, &[]);
                assert_eq!(normal(&home, home.configuration()), new, "{word} {point}");
                let own = fs::read_dir(home.state())
                    .unwrap()
                    .map(|entry| entry.unwrap().file_name());
                let own: Vec<_> = own
                    .filter(|name| name.to_string_lossy().starts_with('.'))
                    .collect();
                assert!(own.is_empty(), "{word} {point}: {own:?}");
                // And the other way round, from wherever it was cut short.
                home.uninstall().ends(0, &[]);
                let back = normal(&home, home.configuration());
                let files: Vec<&str> = start.iter().map(|(name, _)| *name).collect();
                assert_eq!(back.keys().collect::<Vec<_>>(), files, "{word} {point}");
                for (name, text) in start {
                    assert_eq!(home.text(name), *text, "{word} {point}");
                }
            }
        }
    }
    println!("died {died} times");
    points::all_passed(points::INSTALL, &passed);
}
