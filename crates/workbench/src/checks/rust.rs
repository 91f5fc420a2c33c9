//! Cargo.

use super::{Detected, Files, at, gate, words};
use crate::recipe::{Bring, Ecosystem, Means, Recipe};
use mission::gate::{GateKind, Program};
use toml::Table;

pub(super) fn detect(files: &mut Files, folder: &str, detected: &mut Detected) {
    let manifest = at(folder, "Cargo.toml");
    let Some(table) = files.toml(&manifest) else {
        return;
    };
    let is_workspace = table.contains_key("workspace");
    if !is_workspace && !table.contains_key("package") {
        detected
            .notes
            .push(format!("{manifest} has neither a package nor a workspace"));
        return;
    }
    let all = if is_workspace { " --workspace" } else { "" };
    let pinned = [
        "Cargo.toml",
        ".cargo/config.toml",
        "rust-toolchain.toml",
        ".config/nextest.toml",
        "clippy.toml",
        ".clippy.toml",
        "rustfmt.toml",
    ];
    let ci = ci_lines(files);
    let mut add = |id: &str, kind, line: String, source: String| {
        let found = gate(files, folder, id, kind, words(&line), source, &pinned);
        detected.gates.push(found);
    };
    // Every failing test is wanted, not those of the first binary that has one.
    add(
        "cargo-test",
        GateKind::Test,
        format!("cargo test{all} --no-fail-fast"),
        manifest.clone(),
    );
    for (id, line, source) in lints(files, folder, &table, &ci) {
        add(id, GateKind::Lint, line, source);
    }
    if files.is_file(&at(folder, ".config/nextest.toml")) {
        detected.notes.push("nextest is configured; the tests run under `cargo test`, which runs documentation tests too".to_owned());
    }
    detected.recipes.push(recipe(files, folder));
}

/// The linters that the project configures, or runs in its CI: name, command, and where it says so.
fn lints(
    files: &Files,
    folder: &str,
    table: &Table,
    ci: &[(String, String)],
) -> Vec<(&'static str, String, String)> {
    let all = if table.contains_key("workspace") {
        " --workspace"
    } else {
        ""
    };
    let says = |what: &str| ci.iter().find(|(_, line)| line.contains(what));
    let own = |names: &[&str]| files.first(folder, names).map(|name| at(folder, name));
    let mut found = Vec::new();
    let by_ci = says("cargo clippy").map(|(file, _)| format!("`cargo clippy` in {file}"));
    let listed = || {
        has_clippy_lints(table).then(|| format!("the clippy lints in {}", at(folder, "Cargo.toml")))
    };
    if let Some(source) = by_ci
        .or_else(listed)
        .or_else(|| own(&["clippy.toml", ".clippy.toml"]))
    {
        let strict = |line: &str| line.contains("cargo clippy") && line.contains("-D warnings");
        let deny = if ci.iter().any(|(_, line)| strict(line)) {
            " -- -D warnings"
        } else {
            ""
        };
        found.push((
            "cargo-clippy",
            format!("cargo clippy{all} --all-targets{deny}"),
            source,
        ));
    }
    let by_ci = says("cargo fmt").filter(|(_, line)| line.contains("--check"));
    let by_ci = by_ci.map(|(file, _)| format!("`cargo fmt --check` in {file}"));
    if let Some(source) = by_ci.or_else(|| own(&["rustfmt.toml", ".rustfmt.toml"])) {
        found.push(("cargo-fmt", "cargo fmt --all --check".to_owned(), source));
    }
    found
}

fn has_clippy_lints(table: &Table) -> bool {
    let lints = |table: &Table| {
        table
            .get("lints")
            .and_then(|lints| lints.get("clippy"))
            .is_some()
    };
    lints(table)
        || table
            .get("workspace")
            .and_then(toml::Value::as_table)
            .is_some_and(lints)
}

/// The lines of the project's CI configuration with the file that each stands in: what it checks there, it wants checked.
fn ci_lines(files: &mut Files) -> Vec<(String, String)> {
    let workflows = files
        .list(".github/workflows")
        .into_iter()
        .filter(|name| name.ends_with(".yml") || name.ends_with(".yaml"));
    let paths = workflows
        .take(20)
        .map(|name| format!(".github/workflows/{name}"));
    let mut lines = Vec::new();
    for path in paths
        .chain([".gitlab-ci.yml".to_owned()])
        .collect::<Vec<_>>()
    {
        let text = files.maybe(&path).unwrap_or_default();
        let kept = text
            .lines()
            .filter(|line| line.contains("cargo ") && !line.trim_start().starts_with('#'));
        lines.extend(kept.map(|line| (path.clone(), line.to_owned())));
    }
    lines
}

fn recipe(files: &Files, folder: &str) -> Recipe {
    let locked = files.is_file(&at(folder, "Cargo.lock"));
    Recipe {
        ecosystem: Ecosystem::Cargo,
        directory: folder.to_owned(),
        setup: Some(Program::Argv(words(if locked {
            "cargo fetch --locked"
        } else {
            "cargo fetch"
        }))),
        keyed_by: vec![at(folder, if locked { "Cargo.lock" } else { "Cargo.toml" })],
        bring: vec![Bring {
            path: at(folder, "target"),
            means: Means::CloneOnly,
        }],
        variables: ["CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"]
            .map(str::to_owned)
            .to_vec(),
        tools: words("cargo rustc"),
        files: Vec::new(),
        files_from: None,
        venv: None,
    }
}
