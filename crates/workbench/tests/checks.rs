//! What is found in the files of projects, sound and broken ones.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use mission::gate::{GateKind, Program};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use support::{run, run_gate, shell, write};
use workbench::checks::{Detected, detect};
use workbench::process::End;

fn project(files: &[(&str, &str)]) -> (tempfile::TempDir, Detected) {
    let at = tempfile::tempdir().unwrap();
    for (path, text) in files {
        write(at.path(), path, text);
    }
    let detected = detect(at.path());
    (at, detected)
}

/// The gates, one a line: name, kind, folder, command.
fn gates(files: &[(&str, &str)]) -> String {
    let (_at, detected) = project(files);
    let line = |gate: &mission::gate::Gate| {
        let place = if gate.directory.is_empty() {
            String::new()
        } else {
            format!(" in {}", gate.directory)
        };
        format!("{} {:?}{place}: {}", gate.id, gate.kind, gate.program)
    };
    detected
        .gates
        .iter()
        .map(line)
        .collect::<Vec<_>>()
        .join("\n")
}

fn setups(files: &[(&str, &str)]) -> Vec<String> {
    let (_at, detected) = project(files);
    let line = |recipe: &workbench::recipe::Recipe| {
        let setup = recipe
            .setup
            .as_ref()
            .map_or_else(String::new, Program::to_string);
        format!("{setup} | {}", recipe.keyed_by.join(" "))
    };
    detected.recipes.iter().map(line).collect()
}

#[test]
fn a_project_without_checks_says_so_first_of_all() {
    let (_at, detected) = project(&[("README.md", "# box"), ("src/box.txt", "")]);
    assert!(detected.gates.is_empty() && detected.recipes.is_empty());
    assert_eq!(
        detected.notes,
        ["no test command was found; only what each task's own commands show can be proved"]
    );
}

#[test]
fn scripts_of_a_node_project_are_gates_unless_they_watch_or_write() {
    let placeholder = r#"{"scripts":{"test":"echo \"Error: no test specified\" && exit 1"}}"#;
    let (_at, detected) = project(&[("package.json", placeholder)]);
    assert!(detected.gates.is_empty(), "{detected:?}");
    assert!(
        detected
            .notes
            .iter()
            .any(|note| note.contains("placeholder"))
    );
    let package = r#"{"scripts":{"test":"jest --watch","test:ci":"jest","lint":"eslint --fix .","typecheck":"tsc"},
        "devDependencies":{"eslint":"9"}}"#;
    assert_eq!(
        gates(&[
            ("package.json", package),
            ("pnpm-lock.yaml", ""),
            ("eslint.config.js", "")
        ]),
        "pnpm-test-ci Test: pnpm run test:ci\neslint Lint: pnpm exec eslint .\npnpm-typecheck Types: pnpm run typecheck"
    );
    let package = r#"{"packageManager":"yarn@4.1.0","scripts":{"test":"vitest"},"devDependencies":{"typescript":"5"}}"#;
    assert_eq!(
        gates(&[("package.json", package), ("tsconfig.json", "{}")]),
        "yarn-test Test: yarn test\ntsc Types: yarn run tsc --noEmit"
    );
    assert_eq!(
        gates(&[
            ("package.json", r#"{"scripts":{"test":"x"}}"#),
            ("bun.lock", "")
        ]),
        "bun-test Test: bun run test"
    );
}

#[test]
fn a_node_project_is_set_up_by_its_lock_file() {
    let package = ("package.json", r#"{"dependencies":{"a":"1"}}"#);
    assert_eq!(
        setups(&[package, ("package-lock.json", "{}")]),
        ["npm ci --no-audit --no-fund | package-lock.json"]
    );
    assert_eq!(
        setups(&[package]),
        ["npm install --no-audit --no-fund --no-package-lock | package.json"]
    );
    assert_eq!(
        setups(&[package, ("yarn.lock", ""), (".yarnrc.yml", "")]),
        ["yarn install --immutable | yarn.lock"]
    );
    assert!(setups(&[("package.json", r#"{"scripts":{"test":"node --test"}}"#)]).is_empty());
}

#[test]
fn a_cargo_project_is_linted_only_where_it_asks_for_it() {
    let package = "[package]\nname = \"a\"\nversion = \"0.1.0\"\n";
    assert_eq!(
        gates(&[("Cargo.toml", package)]),
        "cargo-test Test: cargo test --no-fail-fast"
    );
    let workspace = "[workspace]\nmembers = [\"a\"]\n[workspace.lints.clippy]\nall = \"warn\"\n";
    assert_eq!(
        gates(&[
            ("Cargo.toml", workspace),
            ("a/Cargo.toml", package),
            ("rustfmt.toml", "")
        ]),
        "cargo-test Test: cargo test --workspace --no-fail-fast\ncargo-clippy Lint: cargo clippy --workspace --all-targets\n\
         cargo-fmt Lint: cargo fmt --all --check"
    );
    let ci = "jobs:\n  a:\n    steps:\n      - run: cargo clippy --all -- -D warnings\n";
    assert_eq!(
        gates(&[("Cargo.toml", package), (".github/workflows/ci.yml", ci)]),
        "cargo-test Test: cargo test --no-fail-fast\ncargo-clippy Lint: cargo clippy --all-targets -- -D warnings"
    );
}

#[test]
fn python_projects_run_what_they_are_configured_for() {
    assert_eq!(
        gates(&[
            (
                "pyproject.toml",
                "[tool.pytest.ini_options]\n[tool.ruff]\n[tool.mypy]\nfiles = [\"src\"]\n"
            ),
            ("uv.lock", "")
        ]),
        "pytest Test: uv run --frozen python -m pytest\nruff Lint: uv run --frozen python -m ruff check .\n\
         mypy Types: uv run --frozen python -m mypy"
    );
    assert_eq!(
        gates(&[("requirements.txt", "pytest==9\n")]),
        "pytest Test: .venv/bin/python -m pytest"
    );
    assert_eq!(
        setups(&[
            ("requirements.txt", "pytest\n"),
            ("requirements-$(id).txt", ""),
            ("setup.py", ""),
            ("test_a.py", "")
        ]),
        [
            "python3 -m venv .venv && .venv/bin/python -m pip install --disable-pip-version-check -r requirements.txt -e . | \
          requirements-$(id).txt requirements.txt setup.py"
        ]
    );
    assert_eq!(
        gates(&[("tests/test_a.py", "def test_a(): pass\n")]),
        "pytest Test: python3 -m pytest"
    );
    assert_eq!(
        gates(&[
            ("tests/test_a.py", "import unittest\n"),
            ("setup.cfg", "[flake8]\n")
        ]),
        "unittest Test: python3 -m unittest discover -s tests\nflake8 Lint: python3 -m flake8"
    );
}

#[test]
fn go_make_and_just_have_their_gates() {
    assert_eq!(
        gates(&[("go.mod", "module a\n"), (".golangci.yml", "")]),
        "go-test Test: go test -v ./...\ngo-vet Lint: go vet ./...\ngolangci-lint Lint: golangci-lint run"
    );
    assert_eq!(
        gates(&[("Makefile", "CC := cc\nlint check: all\n\tcc\n")]),
        "make-check Test: make check\nmake-lint Lint: make lint"
    );
    assert_eq!(
        gates(&[("justfile", "test := 'x'\n@lint:\n  x\n")]),
        "just-lint Lint: just lint"
    );
    let both = [
        ("Makefile", "test:\n\tnpm test\n"),
        ("package.json", r#"{"scripts":{"test":"x"}}"#),
    ];
    assert_eq!(gates(&both), "npm-test Test: npm test");
}

#[test]
fn a_script_for_tests_counts_where_nothing_else_does_and_only_if_it_may_be_executed() {
    let script = ("script/test", "#!/bin/sh\nexit 0\n");
    let (at, detected) = project(&[script]);
    assert!(detected.gates.is_empty());
    assert!(
        detected
            .notes
            .iter()
            .any(|note| note.contains("may not be executed")),
        "{detected:?}"
    );
    let path = at.path().join("script/test");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let gate = &detect(at.path()).gates[0];
    assert_eq!(
        format!("{} {:?}: {}", gate.id, gate.kind, gate.program),
        "script-test Test: script/test"
    );
    assert_eq!(gate.defined_by, ["script/test"]);
    write(at.path(), "Makefile", "test:\n\tscript/test\n");
    let detected = detect(at.path());
    assert_eq!(detected.gates.len(), 1);
    assert_eq!(detected.gates[0].id, "make-test");
}

#[test]
fn packages_are_looked_at_where_the_root_has_nothing_of_their_kind() {
    let package = r#"{"scripts":{"test":"x"}}"#;
    let members = [
        ("packages/b/package.json", package),
        ("packages/a/package.json", package),
        ("node_modules/c/package.json", package),
    ];
    assert_eq!(
        gates(&members),
        "packages/a/npm-test Test in packages/a: npm test\npackages/b/npm-test Test in packages/b: npm test"
    );
    let with_root = [
        &members[..],
        &[
            ("package.json", package),
            ("api/go.mod", "module api"),
            ("tests/fixtures/x/go.mod", "module x"),
        ],
    ]
    .concat();
    assert_eq!(
        gates(&with_root),
        "npm-test Test: npm test\napi/go-test Test in api: go test -v ./...\napi/go-vet Lint in api: go vet ./..."
    );
}

#[test]
fn a_large_monorepo_is_searched_up_to_limits_and_the_rest_is_named() {
    let names: Vec<_> = (0..30).map(|n| format!("p{n:02}/package.json")).collect();
    let files: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), r#"{"scripts":{"test":"x"}}"#))
        .collect();
    let (_at, detected) = project(&files);
    assert_eq!(detected.gates.len(), 20);
    assert!(
        detected
            .notes
            .iter()
            .any(|note| note.starts_with("more than 20 packages")),
        "{:?}",
        detected.notes
    );
}

#[test]
fn what_is_odd_about_a_repository_is_named_and_never_waited_for() {
    let at = tempfile::tempdir().unwrap();
    let root = at.path();
    assert!(
        std::process::Command::new("mkfifo")
            .arg(root.join("package.json"))
            .status()
            .unwrap()
            .success()
    );
    write(
        root,
        "a/package.json",
        &format!("{{\"x\":\"{}\"}}", "x".repeat(10 << 20)),
    );
    write(root, "b/package.json", "{ not json");
    write(root, "c/package.json", &"[".repeat(100_000));
    write(
        root,
        "d/package.json",
        "\u{feff}{\"scripts\":{\"test\":\"x\"}}",
    );
    fs::create_dir_all(root.join("e")).unwrap();
    fs::write(root.join("e/package.json"), [0xff, 0xfe, 0]).unwrap();
    write(
        root,
        "f/package.json",
        r#"{"scripts":["test"],"dependencies":7,"packageManager":null,"workspaces":{}}"#,
    );
    fs::create_dir_all(root.join("g/package.json")).unwrap();
    symlink("..", root.join("g/up")).unwrap();
    symlink("/etc/passwd", root.join("Makefile")).unwrap();
    symlink("../d/package.json", root.join("h")).unwrap();
    write(root, "Cargo.toml", "[package");
    write(root, "pyproject.toml", "\u{0}");
    let detected = detect(root);
    assert_eq!(
        detected
            .gates
            .iter()
            .map(|gate| gate.id.as_str())
            .collect::<Vec<_>>(),
        ["d/npm-test"]
    );
    for named in [
        "package.json was not read: it is not a regular file",
        "a/package.json was not read: it is larger",
        "b/package.json is not valid JSON",
        "c/package.json is not valid JSON",
        "e/package.json was not read: it is not UTF-8",
        "g/package.json was not read",
        "Cargo.toml is not valid TOML",
    ] {
        assert!(
            detected.notes.iter().any(|note| note.starts_with(named)),
            "{named}: {:#?}",
            detected.notes
        );
    }
}

fn only_test(root: &Path) -> mission::gate::Gate {
    let tests: Vec<_> = detect(root)
        .gates
        .into_iter()
        .filter(|gate| gate.kind == GateKind::Test)
        .collect();
    assert_eq!(tests.len(), 1);
    tests.into_iter().next().unwrap()
}

#[tokio::test]
async fn what_was_found_runs() {
    let (node, _) = project(&[
        ("package.json", r#"{"scripts":{"test":"node --test"}}"#),
        ("a.test.js", "require('node:test')('a', () => {});"),
    ]);
    let run_of = run_gate(&only_test(node.path()), node.path()).await;
    assert!(
        run_of.result.passed() && run_of.tests.unwrap().passed == 1,
        "{}",
        run_of.tail
    );
    let (python, _) = project(&[(
        "tests/test_a.py",
        "import unittest\nclass A(unittest.TestCase):\n    def test_a(self): pass\n",
    )]);
    let run_of = run_gate(&only_test(python.path()), python.path()).await;
    assert!(
        run_of.result.passed() && run_of.tests.unwrap().passed == 1,
        "{}",
        run_of.tail
    );
}

#[tokio::test]
async fn a_recipe_that_was_found_sets_its_workspace_up() {
    let (at, _) = project(&[
        (
            "package.json",
            r#"{"scripts":{"test":"said"},"dependencies":{"said":"file:./said"}}"#,
        ),
        (
            "said/package.json",
            r#"{"name":"said","version":"1.0.0","bin":"said.js"}"#,
        ),
        ("said/said.js", "#!/usr/bin/env node\nconsole.log('said')\n"),
    ]);
    let detected = detect(at.path());
    let Some(Program::Argv(mut words)) = detected.recipes[0].setup.clone() else {
        panic!("{detected:?}")
    };
    words.push("--offline".to_owned());
    let setup = run(&shell(at.path(), &words.join(" "))).await;
    assert_eq!(setup.end, End::Exited(0), "{}", setup.output.tail);
    assert!(
        run_gate(&only_test(at.path()), at.path())
            .await
            .result
            .passed()
    );
    assert!(at.path().join(&detected.recipes[0].bring[0].path).is_dir());
}

#[test]
fn every_ecosystem_is_set_up_by_what_it_locks() {
    let package = (
        "package.json",
        r#"{"scripts":{"test":"x"},"dependencies":{"a":"1"}}"#,
    );
    let crate_ = (
        "Cargo.toml",
        "[package]\nname = \"a\"\nversion = \"0.1.0\"\n",
    );
    let python = ("pyproject.toml", "[tool.pytest.ini_options]\n");
    let module = ("go.mod", "module a\n");
    let all: [(&[(&str, &str)], &str); 11] = [
        (
            &[package, ("pnpm-lock.yaml", "")],
            "pnpm install --frozen-lockfile | pnpm-lock.yaml",
        ),
        (
            &[package, ("yarn.lock", "")],
            "yarn install --frozen-lockfile | yarn.lock",
        ),
        (
            &[package, ("bun.lock", "")],
            "bun install --frozen-lockfile | bun.lock",
        ),
        (
            &[package, ("npm-shrinkwrap.json", "{}")],
            "npm ci --no-audit --no-fund | npm-shrinkwrap.json",
        ),
        (&[python, ("uv.lock", "")], "uv sync --frozen | uv.lock"),
        (
            &[python, ("poetry.lock", "")],
            "POETRY_VIRTUALENVS_IN_PROJECT=true poetry install --no-interaction | poetry.lock",
        ),
        (
            &[
                (
                    "pyproject.toml",
                    "[project]\nname = \"a\"\n[project.optional-dependencies]\ntest = []\n",
                ),
                ("test_a.py", ""),
            ],
            "python3 -m venv .venv && .venv/bin/python -m pip install --disable-pip-version-check -e '.[test]' | pyproject.toml",
        ),
        (
            &[crate_, ("Cargo.lock", "")],
            "cargo fetch --locked | Cargo.lock",
        ),
        (&[crate_], "cargo fetch | Cargo.toml"),
        (&[module, ("go.sum", "")], "go mod download | go.sum"),
        (&[module], "go mod download | go.mod"),
    ];
    for (files, line) in all {
        assert_eq!(setups(files), [line], "{files:?}");
    }
    let unlocked = ["pnpm@9", "yarn@1", "bun@1"].map(|manager| {
        let text = format!(r#"{{"packageManager":"{manager}","dependencies":{{"a":"1"}}}}"#);
        setups(&[("package.json", &text)]).concat()
    });
    assert_eq!(
        unlocked,
        [
            "pnpm install --no-lockfile | package.json",
            "yarn install | package.json",
            "bun install --no-save | package.json"
        ]
    );
}

#[test]
fn scripts_that_a_check_runs_define_it_and_what_they_run_in_turn_does_not() {
    let defined = |files: &[(&str, &str)]| {
        let (_at, detected) = project(files);
        detected.gates[0].defined_by.join(" ")
    };
    let makefile = "all:\n\tsh other.sh\ntest: all\n\t@sh -e run-checks.sh --all src.sh\n\tCI=1 ./more.sh && $(PYTHON) ci/x.py\n";
    assert_eq!(
        defined(&[
            ("Makefile", makefile),
            ("run-checks.sh", "sh sub.sh\n"),
            ("more.sh", ""),
            ("ci/x.py", ""),
            ("other.sh", ""),
            ("sub.sh", ""),
            ("src.sh", ""),
        ]),
        "Makefile ci/x.py more.sh run-checks.sh"
    );
    let package = r#"{"scripts":{"pretest":"node prepare.js","test":"npm run unit -- x.js",
        "unit":"node --import ./setup.mjs run.js math.js && sh tests/all.sh"}}"#;
    assert_eq!(
        defined(&[
            ("package.json", package),
            ("prepare.js", ""),
            ("setup.mjs", ""),
            ("run.js", ""),
            ("math.js", ""),
            ("x.js", ""),
            ("tests/all.sh", ""),
        ]),
        "package.json prepare.js run.js setup.mjs"
    );
    assert_eq!(
        defined(&[("justfile", "@test:\n  bash ci.sh\n"), ("ci.sh", "")]),
        "justfile ci.sh"
    );
}
