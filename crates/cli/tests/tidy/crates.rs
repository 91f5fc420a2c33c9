//! Which crate may name which, and what must hold of the core and of the roles.

use super::{files, nothing, read, root};
use std::collections::{BTreeMap, BTreeSet};

/// The longest standing instructions of a role, in bytes: they are part of every request to a model.
const ROLE_BYTES: usize = 3 * 1024;

#[test]
fn dependencies_point_one_way() {
    let may: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("mission", &[][..]),
        ("journal", &["mission"]),
        ("agents", &["mission"]),
        ("workbench", &["mission"]),
        ("engine", &["mission", "journal", "agents", "workbench"]),
        (
            "orchestrator",
            &["mission", "journal", "agents", "workbench", "engine"],
        ),
        (
            "testkit",
            &["mission", "journal", "agents", "workbench", "engine"],
        ),
    ]);
    let ours: BTreeSet<&str> = may.keys().copied().collect();
    let mut wrong = Vec::new();
    for package in &packages() {
        let name = package.name.as_str();
        let Some(may) = may.get(name) else {
            wrong.push(format!(
                "{name} is a new crate: give it a place in this test and in ARCHITECTURE.md"
            ));
            continue;
        };
        for needed in package
            .dependencies
            .iter()
            .filter(|needed| ours.contains(needed.name.as_str()))
        {
            let of_tests = needed.kind == cargo_metadata::DependencyKind::Development;
            // A crate may name itself in its tests, to switch a feature on.
            let fits = may.contains(&needed.name.as_str())
                || (of_tests && ["testkit", name].contains(&needed.name.as_str()));
            if !fits {
                wrong.push(format!("{name} names {} ({:?})", needed.name, needed.kind));
            }
        }
    }
    nothing(&wrong);
}

/// What is heavy, or belongs to one file's wire, is a dependency of one crate.
#[test]
fn wire_types_stay_in_their_folder() {
    let only: [(&str, &[&str]); 6] = [
        ("rusqlite", &["journal"]),
        ("reqwest", &["agents"]),
        ("sse-stream", &["agents"]),
        ("clap", &["orchestrator"]),
        ("axum", &["testkit"]),
        (
            "tokio",
            &["agents", "workbench", "engine", "orchestrator", "testkit"],
        ),
    ];
    let mut wrong = Vec::new();
    for package in packages() {
        for (needed, by) in only {
            let named = package.dependencies.iter().any(|found| {
                found.name == needed && found.kind == cargo_metadata::DependencyKind::Normal
            });
            if named && !by.contains(&package.name.as_str()) {
                wrong.push(format!(
                    "{} names {needed}; only {} may",
                    package.name,
                    by.join(", ")
                ));
            }
        }
    }
    if read("crates/agents/src/opencode.rs").contains("pub mod wire") {
        wrong.push("OpenCode's wire types are open to everybody".into());
    }
    nothing(&wrong);
}

fn packages() -> Vec<cargo_metadata::Package> {
    let mut command = cargo_metadata::MetadataCommand::new();
    command.manifest_path(root().join("Cargo.toml")).no_deps();
    command.exec().unwrap().packages
}

/// The version is written into Cargo.toml; every crate takes it from there, and the plugin's package is given it where it is
/// packed or installed.
#[test]
fn the_version_stands_in_one_place() {
    let mut wrong = Vec::new();
    for package in packages() {
        let manifest = std::fs::read_to_string(&package.manifest_path).unwrap();
        if !manifest.contains("version.workspace = true") {
            wrong.push(format!("{} has a version of its own", package.name));
        }
    }
    let at = "plugin/package.json";
    if read(at).contains("\"version\"") {
        wrong.push(format!("{at} has a version of its own"));
    }
    nothing(&wrong);
}

#[test]
fn views_see_events_and_nothing_else() {
    let views = files(".rs")
        .into_iter()
        .filter(|path| path.starts_with("crates/cli/src/view"));
    let asks = |path: &String| {
        // A sign of life is data that is handed to a view, and what it makes for a screen is data that it hands on;
        // everything else of these crates could be asked.
        let text = read(path)
            .replace("agents::Sign", "")
            .replace("engine::reception::{Ask, Choice, Row, View}", "");
        ["engine::", "journal::", "agents::"]
            .iter()
            .any(|name| text.contains(name))
    };
    nothing(
        &views
            .filter(asks)
            .map(|path| format!("{path} asks somebody for state"))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn tests_of_the_core_do_not_sleep() {
    let mut wrong = Vec::new();
    for path in files(".rs")
        .iter()
        .filter(|path| path.starts_with("crates/mission/"))
    {
        for word in ["sleep(", "Instant::now", "SystemTime::now"] {
            if read(path).contains(word) {
                wrong.push(format!("{path} has {word}"));
            }
        }
    }
    nothing(&wrong);
}

#[test]
fn every_limit_has_a_reason() {
    let text = read("crates/mission/src/limits.rs");
    let mut reason = String::new();
    let mut wrong = Vec::new();
    for line in text.lines() {
        if let Some(said) = line.strip_prefix("/// ") {
            reason.push_str(said);
        } else if let Some(limit) = line.strip_prefix("pub const ") {
            // One that follows another without a line between shares its reason.
            if reason.split_whitespace().count() < 3 {
                wrong.push(format!(
                    "{} has no reason",
                    limit.split(':').next().unwrap()
                ));
            }
        }
        if line.is_empty() || line.starts_with("pub const ") {
            reason.clear();
        }
    }
    nothing(&wrong);
}

#[test]
fn roles_are_told_what_to_do_in_few_words() {
    let roles = files(".md")
        .into_iter()
        .filter(|path| path.starts_with("crates/agents/src/roles/"));
    let sizes: Vec<(String, usize)> = roles
        .map(|path| (path.clone(), read(&path).len()))
        .collect();
    assert_eq!(sizes.len(), 4, "{sizes:?}");
    let long = sizes.iter().filter(|(_, bytes)| *bytes > ROLE_BYTES);
    nothing(
        &long
            .map(|(path, bytes)| format!("{path} has {bytes} bytes"))
            .collect::<Vec<_>>(),
    );
}
