//! What a path is, by its name alone.
//!
//! Names are compared without regard to case: on a file system that folds it `.GIT/hooks` is `.git/hooks`.

use serde::{Deserialize, Serialize};

/// What a path is to the one who judges a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// A test file, or data that tests compare with.
    Test,
    /// Only a person may change it: `.git`, CI, agent and editor configuration, hooks.
    Protected,
    /// It defines what gates run: manifests with scripts, runner and linter configuration, `conftest.py`, Makefiles.
    GateDefinition,
    /// Several tasks may touch it: lock files, changelogs.
    Shared,
    /// Anything else.
    Source,
}

/// Folders that belong to git, to CI, to agents or to editors, wherever they stand.
const PROTECTED_FOLDERS: [&str; 16] = [
    ".git",
    ".github",
    ".gitlab",
    ".circleci",
    ".buildkite",
    ".opencode",
    ".claude",
    ".cursor",
    ".codex",
    ".gemini",
    ".windsurf",
    ".vscode",
    ".idea",
    ".zed",
    ".husky",
    ".githooks",
];

/// Files of the same kinds, wherever they stand.
const PROTECTED_FILES: [&str; 28] = [
    ".gitmodules",
    ".gitattributes",
    ".gitlab-ci.yml",
    ".travis.yml",
    "azure-pipelines.yml",
    "bitbucket-pipelines.yml",
    "jenkinsfile",
    "codeowners",
    "agents.md",
    "agents.override.md",
    "claude.md",
    "claude.local.md",
    "gemini.md",
    "opencode.json",
    "opencode.jsonc",
    ".mcp.json",
    "mcp.json",
    ".cursorrules",
    ".windsurfrules",
    ".clinerules",
    ".aider.conf.yml",
    ".envrc",
    ".pre-commit-config.yaml",
    "lefthook.yml",
    "lefthook.yaml",
    ".lefthook.yml",
    ".lintstagedrc",
    ".editorconfig",
];

const DEFINITIONS: [&str; 47] = [
    "package.json",
    "conftest.py",
    "pytest.ini",
    ".pytest.ini",
    "pytest.toml",
    ".pytest.toml",
    "pyproject.toml",
    "setup.cfg",
    "tox.ini",
    "noxfile.py",
    "makefile",
    "gnumakefile",
    "justfile",
    ".justfile",
    "cargo.toml",
    "clippy.toml",
    ".clippy.toml",
    "rustfmt.toml",
    ".rustfmt.toml",
    "nextest.toml",
    "build.rs",
    "rust-toolchain.toml",
    "rust-toolchain",
    "ruff.toml",
    ".ruff.toml",
    ".flake8",
    "mypy.ini",
    ".mypy.ini",
    "pyrightconfig.json",
    ".coveragerc",
    "sitecustomize.py",
    "usercustomize.py",
    ".npmrc",
    ".yarnrc",
    ".yarnrc.yml",
    ".pnpmfile.cjs",
    "pnpmfile.js",
    "bunfig.toml",
    "deno.json",
    "deno.jsonc",
    "biome.json",
    "biome.jsonc",
    ".golangci.yml",
    ".golangci.yaml",
    ".golangci.toml",
    ".golangci.json",
    "karma.conf.js",
];

/// `jest.config.ts`, `vitest.workspace.js`, `.mocharc.yml`, `tsconfig.test.json` and the like.
const DEFINITION_STARTS: [&str; 13] = [
    "jest.config.",
    "jest.setup.",
    "vitest.config.",
    "vitest.workspace.",
    "vitest.setup.",
    "vite.config.",
    ".mocharc",
    "playwright.config.",
    "cypress.config.",
    "eslint.config.",
    ".eslintrc",
    "tsconfig",
    "babel.config.",
];

/// Says what a path below the root is.
pub fn classify(path: &str) -> Class {
    let lower = folded(path);
    let parts: Vec<_> = lower
        .split(['/', '\\'])
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    let Some((name, folders)) = parts.split_last() else {
        return Class::Protected;
    };
    let protected =
        parts.iter().any(|part| PROTECTED_FOLDERS.contains(part)) || PROTECTED_FILES.contains(name);
    let cargo_configuration = folders.last() == Some(&".cargo");
    // "Scripts to rule them all": what a gate may run where nothing else names the tests.
    let test_script = parts == ["script", "test"];
    // Packages of these names are found before the runner's own, and run in its place.
    let before_the_runner = parts.contains(&"node_modules")
        || matches!(
            parts[0],
            "unittest" | "unittest.py" | "pytest" | "pytest.py" | "_pytest"
        );
    if protected || parts.contains(&"..") {
        Class::Protected
    } else if DEFINITIONS.contains(name)
        || DEFINITION_STARTS
            .iter()
            .any(|start| name.starts_with(start))
        || cargo_configuration
        || test_script
        || before_the_runner
    {
        Class::GateDefinition
    } else if mission::plan::is_shared(name) {
        Class::Shared
    } else if is_test(name, folders) {
        Class::Test
    } else {
        Class::Source
    }
}

/// Whether a file of this name decides how a runner runs what is there already, and is no manifest that new code may
/// need: a new `jest.config.js` bends the tests that there are, a new `Cargo.toml` brings a package.
pub fn configures_a_runner(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
    let is_manifest = matches!(
        name.as_str(),
        "package.json" | "pyproject.toml" | "cargo.toml" | "build.rs"
    );
    classify(path) == Class::GateDefinition && !is_manifest
}

/// Lower case, and without what some file systems drop or ignore: zero-width characters (HFS+), and blanks and dots at
/// the end of a name (NTFS), or a stream behind a colon.
fn folded(path: &str) -> String {
    let visible = path.chars().filter(|c| !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'));
    let lower: String = visible.flat_map(char::to_lowercase).collect();
    let part = |part: &str| {
        let part = part.split(':').next().unwrap_or(part);
        let plain = part.trim_end_matches(['.', ' ']);
        let plain = if plain.is_empty() { part } else { plain };
        // The short name that Windows gives to `.git`.
        if plain == "git~1" {
            ".git".to_owned()
        } else {
            plain.to_owned()
        }
    };
    lower
        .split(['/', '\\'])
        .map(part)
        .collect::<Vec<_>>()
        .join("/")
}

fn is_test(name: &str, folders: &[&str]) -> bool {
    let in_folder = folders.iter().any(|folder| {
        matches!(
            *folder,
            "test"
                | "tests"
                | "__tests__"
                | "spec"
                | "specs"
                | "e2e"
                | "__snapshots__"
                | "snapshots"
                | "testdata"
                | "fixtures"
        ) || *folder == "__fixtures__"
    });
    let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
    let by_name = match ending {
        "py" => stem.starts_with("test_") || stem.ends_with("_test") || stem == "tests",
        "go" => stem.ends_with("_test"),
        "rs" => {
            stem == "tests" || stem.ends_with("_test") || stem.ends_with("_tests") || stem == "test"
        }
        "rb" => stem.ends_with("_spec") || stem.ends_with("_test"),
        "js" | "jsx" | "ts" | "tsx" | "mjs" | "cjs" | "mts" | "cts" => {
            stem.ends_with(".test")
                || stem.ends_with(".spec")
                || stem.ends_with("-test")
                || matches!(stem, "test" | "tests")
        }
        "java" | "kt" | "cs" | "swift" | "php" => stem.ends_with("test") || stem.ends_with("tests"),
        "snap" => true,
        _ => false,
    };
    in_folder || by_name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_apart_by_the_conventions_of_their_ecosystems() {
        for (class, paths) in [
            (
                Class::Test,
                "tests/it.rs src/a_test.go src/a.test.ts src/__tests__/a.js test_a.py a/tests/data.json src/tests.rs a.snap FooTest.java",
            ),
            (
                Class::Protected,
                ".git/config .github/workflows/ci.yml AGENTS.md sub/opencode.json .opencode/agent/x.md .mcp.json .vscode/tasks.json .husky/pre-commit",
            ),
            (
                Class::GateDefinition,
                "unittest/__main__.py node_modules/.bin/node package.json tests/conftest.py jest.config.ts Makefile pyproject.toml .cargo/config.toml sub/Cargo.toml tsconfig.json .npmrc script/test pytest.toml sub/.pytest.toml bunfig.toml .yarnrc.yml .pnpmfile.cjs .golangci.toml",
            ),
            (
                Class::Shared,
                "Cargo.lock sub/package-lock.json CHANGELOG.md go.sum requirements-dev.txt",
            ),
            (
                Class::Source,
                "src/lib.rs src/contest.py latest.js src/testing.rs README.md src/attestation.go",
            ),
        ] {
            for path in paths.split(' ') {
                assert_eq!(classify(path), class, "{path}");
            }
        }
    }

    #[test]
    fn a_name_that_another_file_system_takes_for_a_protected_one_is_protected() {
        for path in [
            ".GIT/config",
            ".Github/x",
            ".g\u{200c}it/config",
            "a\\.git\\hooks\\x",
            ".git./config",
            "GIT~1/config",
            ".git::$INDEX_ALLOCATION/x",
            "Agents.MD",
            "sub/.CLAUDE/settings.json",
            "../x",
            "",
            "OpenCode.json ",
            "./.vscode/x",
        ] {
            assert_eq!(classify(path), Class::Protected, "{path:?}");
        }
        assert_eq!(classify("Package.JSON"), Class::GateDefinition);
        assert_eq!(classify("TESTS/CONFTEST.PY"), Class::GateDefinition);
    }
}
