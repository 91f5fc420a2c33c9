//! Python: pytest or unittest, and ruff, flake8, mypy, pyright where they are configured.

use super::{Detected, Files, at, gate, words};
use crate::recipe::{Bring, Ecosystem, Means, Recipe};
use mission::gate::{GateKind, Program};
use toml::Table;

/// At most this many test files are read to tell pytest from unittest.
const TEST_FILES: usize = 50;

/// What the manifests of one folder say, once.
struct Project {
    pyproject: Option<Table>,
    setup_cfg: String,
    tox: String,
    /// Everything that names dependencies, lower case.
    dependencies: String,
    requirements: Vec<String>,
}

impl Project {
    fn read(files: &mut Files, folder: &str) -> Option<Self> {
        let requirements: Vec<_> = files
            .list(folder)
            .into_iter()
            .filter(|name| name.starts_with("requirements") && name.ends_with(".txt"))
            .take(10)
            .collect();
        let manifests = [
            "pyproject.toml",
            "setup.py",
            "setup.cfg",
            "pytest.ini",
            "tox.ini",
            "Pipfile",
        ];
        if requirements.is_empty()
            && files.first(folder, &manifests).is_none()
            && tests(files, folder).is_empty()
        {
            return None;
        }
        let text =
            |files: &mut Files, name: &str| files.maybe(&at(folder, name)).unwrap_or_default();
        let named = requirements.iter().map(String::as_str).chain([
            "pyproject.toml",
            "setup.py",
            "setup.cfg",
            "tox.ini",
            "Pipfile",
        ]);
        let dependencies = named
            .map(|name| text(files, name).to_lowercase())
            .collect::<Vec<_>>()
            .join("\n");
        Some(Self {
            pyproject: files.toml(&at(folder, "pyproject.toml")),
            setup_cfg: text(files, "setup.cfg"),
            tox: text(files, "tox.ini"),
            dependencies,
            requirements,
        })
    }

    fn tool(&self, name: &str) -> bool {
        self.pyproject
            .as_ref()
            .and_then(|table| table.get("tool"))
            .is_some_and(|tools| tools.get(name).is_some())
    }
}

/// Test files in the usual places.
fn tests(files: &Files, folder: &str) -> Vec<String> {
    let is_test = |name: &String| {
        (name.starts_with("test_") && name.ends_with(".py")) || name.ends_with("_test.py")
    };
    let in_folder = |name: &str| {
        let place = if name.is_empty() {
            folder.to_owned()
        } else {
            at(folder, name)
        };
        files
            .list(&place)
            .into_iter()
            .filter(is_test)
            .map(move |file| at(&place, &file))
            .collect::<Vec<_>>()
    };
    ["", "tests", "test"]
        .into_iter()
        .flat_map(in_folder)
        .take(TEST_FILES)
        .collect()
}

pub(super) fn detect(files: &mut Files, folder: &str, detected: &mut Detected) {
    let Some(project) = Project::read(files, folder) else {
        return;
    };
    let recipe = recipe(files, folder, &project);
    let python = match recipe.as_ref().map(|recipe| recipe.ecosystem) {
        Some(Ecosystem::Uv) => "uv run --frozen python",
        Some(Ecosystem::Poetry) => "poetry run python",
        Some(_) => ".venv/bin/python",
        None => "python3",
    };
    let before = detected.gates.len();
    test(files, folder, &project, python, detected);
    lints(files, folder, &project, python, detected);
    if detected.gates.len() == before {
        return;
    }
    if let Some(recipe) = recipe {
        let keys = recipe.keyed_by.join(", ");
        detected.why.push(format!(
            "{} prepares {}, because of {keys}",
            recipe.ecosystem,
            if folder.is_empty() {
                "the root"
            } else {
                folder
            }
        ));
        detected.recipes.push(recipe);
    }
}

/// Where the project says that it uses pytest.
fn configured(files: &Files, folder: &str, project: &Project) -> Option<String> {
    let named = |name: &str| Some(at(folder, name));
    if project.tool("pytest") {
        Some(format!("[tool.pytest] in {}", at(folder, "pyproject.toml")))
    } else if let Some(name) = files.first(
        folder,
        &[
            "pytest.toml",
            ".pytest.toml",
            "pytest.ini",
            ".pytest.ini",
            "conftest.py",
            "tests/conftest.py",
        ],
    ) {
        named(name)
    } else if project.tox.contains("[pytest]") {
        named("tox.ini")
    } else if project.setup_cfg.contains("[tool:pytest]") {
        named("setup.cfg")
    } else if project.dependencies.contains("pytest") {
        Some("pytest among the dependencies".to_owned())
    } else {
        None
    }
}

fn test(files: &mut Files, folder: &str, project: &Project, python: &str, detected: &mut Detected) {
    let tests = tests(files, folder);
    let bare = |files: &mut Files, path: &String| {
        let text = files.maybe(path).unwrap_or_default();
        text.contains("import pytest") || text.lines().any(|line| line.starts_with("def test_"))
    };
    let for_pytest = || {
        tests
            .first()
            .map(|first| format!("{first}, which is written for pytest"))
    };
    let source = match configured(files, folder, project) {
        Some(source) => Some(source),
        None if tests.iter().any(|path| bare(files, path)) => for_pytest(),
        None => None,
    };
    let pinned = [
        "pyproject.toml",
        "pytest.toml",
        ".pytest.toml",
        "pytest.ini",
        ".pytest.ini",
        "tox.ini",
        "setup.cfg",
        "conftest.py",
        "tests/conftest.py",
        "test/conftest.py",
    ];
    let (id, line, source) = match (source, tests.first()) {
        (Some(source), _) => ("pytest", format!("{python} -m pytest"), source),
        (None, Some(first)) => {
            // `discover` finds a folder's tests only where it is told of the folder or the folder is a package.
            let place = first
                .strip_prefix(&at(folder, ""))
                .unwrap_or(first)
                .rsplit_once('/')
                .map(|(place, _)| place.to_owned());
            let from = place.map_or_else(String::new, |place| format!(" discover -s {place} -t ."));
            let package = from.is_empty()
                || files.is_file(&at(
                    folder,
                    &format!("{}/__init__.py", from.split(' ').nth(3).unwrap_or_default()),
                ));
            let from = if package {
                from
            } else {
                from.trim_end_matches(" -t .").to_owned()
            };
            (
                "unittest",
                format!("{python} -m unittest{from}"),
                first.clone(),
            )
        }
        (None, None) => return,
    };
    detected.gates.push(gate(
        files,
        folder,
        id,
        GateKind::Test,
        words(&line),
        source,
        &pinned,
    ));
}

fn lints(
    files: &mut Files,
    folder: &str,
    project: &Project,
    python: &str,
    detected: &mut Detected,
) {
    let (cfg, tox) = (&project.setup_cfg, &project.tox);
    let section =
        |name: &str| cfg.contains(&format!("[{name}")) || tox.contains(&format!("[{name}"));
    let found = [
        (
            "ruff",
            "ruff check .",
            GateKind::Lint,
            project.tool("ruff"),
            vec!["ruff.toml", ".ruff.toml"],
        ),
        (
            "flake8",
            "flake8",
            GateKind::Lint,
            section("flake8]"),
            vec![".flake8"],
        ),
        (
            "mypy",
            "mypy .",
            GateKind::Types,
            project.tool("mypy") || section("mypy]"),
            vec!["mypy.ini", ".mypy.ini"],
        ),
        (
            "pyright",
            "pyright",
            GateKind::Types,
            project.tool("pyright"),
            vec!["pyrightconfig.json"],
        ),
    ];
    for (id, line, kind, in_shared, own) in found {
        let own_file = files.first(folder, &own);
        let Some(source) = own_file.or(in_shared.then_some("the project's configuration")) else {
            continue;
        };
        // Files that the project names itself are not overruled.
        let mypy = project
            .pyproject
            .as_ref()
            .and_then(|table| table.get("tool")?.get("mypy"));
        let names_files = id == "mypy"
            && mypy.is_some_and(|mypy| mypy.get("files").or(mypy.get("packages")).is_some());
        let line = if names_files { id } else { line };
        let pinned: Vec<_> = own
            .iter()
            .copied()
            .chain(["pyproject.toml", "setup.cfg", "tox.ini"])
            .collect();
        let argv = words(&format!("{python} -m {line}"));
        detected.gates.push(gate(
            files,
            folder,
            id,
            kind,
            argv,
            format!("{source} for {id}"),
            &pinned,
        ));
    }
}

fn recipe(files: &Files, folder: &str, project: &Project) -> Option<Recipe> {
    let python = Recipe {
        ecosystem: Ecosystem::Pip,
        directory: folder.to_owned(),
        setup: None,
        keyed_by: Vec::new(),
        bring: vec![Bring {
            path: at(folder, ".venv"),
            means: Means::CloneOrCopy,
        }],
        variables: ["PYENV_ROOT", "UV_CACHE_DIR", "PIP_CACHE_DIR"]
            .map(str::to_owned)
            .to_vec(),
        tools: words("python3"),
        files: Vec::new(),
        files_from: None,
        venv: Some(at(folder, ".venv")),
    };
    if files.is_file(&at(folder, "uv.lock")) {
        return Some(Recipe {
            ecosystem: Ecosystem::Uv,
            setup: Some(Program::Argv(words("uv sync --frozen"))),
            keyed_by: vec![at(folder, "uv.lock")],
            tools: words("python3 uv"),
            ..python
        });
    }
    if files.is_file(&at(folder, "poetry.lock")) {
        // Without the variable its environment is somewhere in the home folder and shared.
        return Some(Recipe {
            ecosystem: Ecosystem::Poetry,
            setup: Some(Program::Shell(
                "POETRY_VIRTUALENVS_IN_PROJECT=true poetry install --no-interaction".to_owned(),
            )),
            keyed_by: vec![at(folder, "poetry.lock")],
            tools: words("python3 poetry"),
            ..python
        });
    }
    pip(files, folder, project, python)
}

/// An environment of its own, from requirement files and the project itself.
fn pip(files: &Files, folder: &str, project: &Project, python: Recipe) -> Option<Recipe> {
    let mut install: Vec<_> = project
        .requirements
        .iter()
        .filter(|name| plain(name))
        .map(|name| format!("-r {name}"))
        .collect();
    let mut keyed_by: Vec<_> = project
        .requirements
        .iter()
        .map(|name| at(folder, name))
        .collect();
    let package = project
        .pyproject
        .as_ref()
        .and_then(|table| table.get("project"));
    let setup_py = files.is_file(&at(folder, "setup.py"));
    if package.is_some() || setup_py {
        let extras = package.and_then(|package| package.get("optional-dependencies")?.as_table());
        let wanted = ["test", "tests", "testing", "dev"]
            .into_iter()
            .filter(|name| extras.is_some_and(|extras| extras.contains_key(*name)));
        let wanted = wanted.collect::<Vec<_>>().join(",");
        install.push(if wanted.is_empty() {
            "-e .".to_owned()
        } else {
            format!("-e '.[{wanted}]'")
        });
        let manifests = ["pyproject.toml", "setup.py", "setup.cfg"].map(|name| at(folder, name));
        keyed_by.extend(manifests.into_iter().filter(|path| files.is_file(path)));
    }
    if install.is_empty() {
        return None;
    }
    let line = format!(
        "python3 -m venv .venv && .venv/bin/python -m pip install --disable-pip-version-check {}",
        install.join(" ")
    );
    Some(Recipe {
        setup: Some(Program::Shell(line)),
        keyed_by,
        ..python
    })
}

/// A name that may stand in a shell line as it is: the repository chose it.
fn plain(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}
