//! Go, Make, just, and projects that only have scripts.

use super::{Detected, Files, at, gate, words};
use crate::recipe::{Ecosystem, Recipe};
use mission::gate::{GateKind, Program};

/// Where projects that follow "scripts to rule them all" keep what runs their tests.
const SCRIPT: &str = "script/test";

pub(super) fn go(files: &mut Files, folder: &str, detected: &mut Detected) {
    let module = at(folder, "go.mod");
    if !files.is_file(&module) {
        return;
    }
    // `-v` shows passed and skipped tests, so that they can be counted.
    let pinned = [
        "go.mod",
        ".golangci.yml",
        ".golangci.yaml",
        ".golangci.toml",
        ".golangci.json",
    ];
    detected.gates.push(gate(
        files,
        folder,
        "go-test",
        GateKind::Test,
        words("go test -v ./..."),
        module.clone(),
        &pinned,
    ));
    detected.gates.push(gate(
        files,
        folder,
        "go-vet",
        GateKind::Lint,
        words("go vet ./..."),
        module,
        &pinned,
    ));
    if let Some(name) = files.first(folder, &pinned[1..]) {
        detected.gates.push(gate(
            files,
            folder,
            "golangci-lint",
            GateKind::Lint,
            words("golangci-lint run"),
            at(folder, name),
            &pinned,
        ));
    }
    let sum = files
        .first(folder, &["go.sum", "go.mod"])
        .unwrap_or("go.mod");
    detected.recipes.push(Recipe {
        ecosystem: Ecosystem::Go,
        directory: folder.to_owned(),
        setup: Some(Program::Argv(words("go mod download"))),
        keyed_by: vec![at(folder, sum)],
        bring: Vec::new(), // its caches are the user's and keyed by content
        variables: ["GOPATH", "GOMODCACHE", "GOCACHE", "GOPROXY", "GOTOOLCHAIN"]
            .map(str::to_owned)
            .to_vec(),
        tools: words("go"),
        files: Vec::new(),
        files_from: None,
        venv: None,
    });
}

/// Targets of the root's Makefile, for kinds of checks that no ecosystem gave: mostly they only call those again.
pub(super) fn make(files: &mut Files, detected: &mut Detected) {
    let Some(name) = files.first("", &["GNUmakefile", "makefile", "Makefile"]) else {
        return;
    };
    let text = files.maybe(name).unwrap_or_default();
    let is = |line: &str, target: &str| is_target(line, target);
    targets(files, detected, ("make", name), &text, is);
}

/// Recipes of a justfile, under the same rule.
pub(super) fn just(files: &mut Files, detected: &mut Detected) {
    let Some(name) = files.first("", &["justfile", "Justfile", ".justfile"]) else {
        return;
    };
    let text = files.maybe(name).unwrap_or_default();
    let is = |line: &str, target: &str| is_target(line.trim_start_matches('@'), target);
    targets(files, detected, ("just", name), &text, is);
}

/// The executable `script/test`, where nothing else gave tests. "Scripts to rule them all" is a convention that many
/// projects follow whatever they are written in: it runs the whole suite, and takes no arguments.
pub(super) fn script(files: &mut Files, detected: &mut Detected) {
    let tested = detected
        .gates
        .iter()
        .any(|gate| gate.kind == GateKind::Test);
    if tested || !files.is_file(SCRIPT) {
        return;
    }
    if !files.is_executable(SCRIPT) {
        let note = format!("{SCRIPT} may not be executed, so it is no check");
        detected.notes.push(note);
        return;
    }
    let source = format!("the script {SCRIPT}");
    let argv = words(SCRIPT);
    let text = files.maybe(SCRIPT).unwrap_or_default();
    let mut found = gate(
        files,
        "",
        "script-test",
        GateKind::Test,
        argv,
        source,
        &[SCRIPT],
    );
    super::defined_too(&mut found, files, &text);
    detected.gates.push(found);
}

fn targets(
    files: &mut Files,
    detected: &mut Detected,
    (program, file): (&str, &str),
    text: &str,
    is: impl Fn(&str, &str) -> bool,
) {
    let has = |target: &str| text.lines().any(|line| is(line, target));
    for (kind, names) in [
        (GateKind::Test, ["test", "check"].as_slice()),
        (GateKind::Lint, &["lint"]),
        (GateKind::Types, &["typecheck"]),
    ] {
        if detected.gates.iter().any(|gate| gate.kind == kind) {
            continue;
        }
        if let Some(target) = names.iter().find(|target| has(target)) {
            let source = format!("target `{target}` in {file}");
            let argv = words(&format!("{program} {target}"));
            let id = format!("{program}-{target}");
            let mut found = gate(files, "", &id, kind, argv, source, &[file]);
            let lines = super::scripts::recipe_of(text, |line| is(line, target));
            super::defined_too(&mut found, files, &lines);
            detected.gates.push(found);
        }
    }
}

/// `test: build`, `lint test:`, but not `test := x`.
fn is_target(line: &str, target: &str) -> bool {
    let Some((names, rest)) = line.split_once(':') else {
        return false;
    };
    let indented = line.starts_with([' ', '\t']);
    !indented && !rest.starts_with('=') && names.split_whitespace().any(|name| name == target)
}
