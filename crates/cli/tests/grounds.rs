//! One eventful mission on three grounds, with the real OpenCode and a scripted model: an npm project and a Python project
//! of more than two hundred files each, and a checkout of this very repository.
//!
//! Workers work side by side; a first attempt fails a check; a Reviewer rejects another; two change the same file and one
//! of them is merged anew; the result is delivered and taken back.
#![cfg(test)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;
use testkit::model::{Gate, Model, Reply, Request};
use testkit::persona::{Crew, Job, Role};
use testkit::user::{User, git};

/// Units of a generated project; each is a file of a few lines.
const UNITS: usize = 200;
/// The file that two tasks change in the same place.
const SHARED: &str = "shared.txt";

/// A ground to work on.
struct Ground {
    /// The files of a generated project; none where it is made by a clone.
    files: Vec<(String, String)>,
    /// The file of a task, by its name.
    file: fn(&str) -> String,
    /// What a good file holds, and what the first attempt at `wrong` holds instead.
    text: fn(&str, bool) -> String,
    /// What must have been said of the first attempt at `wrong`.
    turned_down: &'static str,
}

/// Both generated projects are ours, and are given away as this repository is.
const LICENSE: &str = include_str!("../../../LICENSE");

impl Ground {
    fn with_units(mut self) -> Self {
        self.files.push(("LICENSE".to_owned(), LICENSE.to_owned()));
        for n in 0..UNITS {
            let name = format!("unit{n:03}");
            let unit = ((self.file)(&name), (self.text)(&name, false));
            self.files.push(unit);
        }
        self
    }
}

/// Two hundred modules of which each knows its number, and a test that goes through all modules there are.
fn npm() -> Ground {
    let files = vec![
        (
            "package.json".to_owned(),
            r#"{ "name": "units", "version": "1.0.0", "license": "MIT", "type": "module", "scripts": { "test": "node --test" } }"#.to_owned(),
        ),
        (
            "test/units.test.js".to_owned(),
            "import test from 'node:test';\nimport assert from 'node:assert';\nimport fs from 'node:fs';\n\
             for (const name of fs.readdirSync('src')) {\n\
             \x20 test(name, async () => {\n\
             \x20   const unit = await import(`../src/${name}`);\n\
             \x20   assert.equal(unit.name + '.js', name);\n\
             \x20 });\n}\n"
                .to_owned(),
        ),
    ];
    let text = |name: &str, wrong: bool| {
        let name = if wrong { "somebody" } else { name };
        format!("export const name = '{name}';\n")
    };
    let file = |name: &str| format!("src/{name}.js");
    Ground {
        files,
        file,
        text,
        turned_down: "`npm test` was red",
    }
    .with_units()
}

/// The same in Python, under unittest.
fn python() -> Ground {
    let files = vec![
        (
            "pyproject.toml".to_owned(),
            "[project]\nname = \"units\"\nversion = \"1.0.0\"\nlicense = { file = \"LICENSE\" }\n"
                .to_owned(),
        ),
        ("units/__init__.py".to_owned(), String::new()),
        ("tests/__init__.py".to_owned(), String::new()),
        (
            "tests/test_units.py".to_owned(),
            "import importlib\nimport pathlib\nimport unittest\n\n\n\
             class Units(unittest.TestCase):\n\
             \x20   def test_every_unit_knows_its_name(self):\n\
             \x20       for path in pathlib.Path('units').glob('[a-z]*.py'):\n\
             \x20           unit = importlib.import_module('units.' + path.stem)\n\
             \x20           self.assertEqual(unit.NAME, path.stem)\n"
                .to_owned(),
        ),
    ];
    let text = |name: &str, wrong: bool| {
        let name = if wrong { "somebody" } else { name };
        format!("NAME = \"{name}\"\n")
    };
    let file = |name: &str| format!("units/{name}.py");
    Ground {
        files,
        file,
        text,
        turned_down: "unittest",
    }
    .with_units()
}

/// This repository as it was last committed. Its own checks need tools that this user has not got, so that only the tasks'
/// own commands prove anything.
fn repository() -> Ground {
    Ground {
        files: Vec::new(),
        file: |name| format!("docs/{name}.md"),
        text: |name, wrong| {
            let title = if wrong { "Nothing" } else { name };
            format!("# {title}\n\nA page that a mission wrote.\n")
        },
        turned_down: "docs/wrong.md",
    }
}

#[test]
fn the_generated_projects_are_large_and_anybody_may_have_them() {
    assert!(LICENSE.starts_with("MIT License"), "{LICENSE}");
    for ground in [npm(), python()] {
        assert!(ground.files.len() >= 200, "{}", ground.files.len());
        let named = ground.files.iter().find(|(name, _)| name == "LICENSE");
        assert!(named.is_some_and(|(_, text)| text == LICENSE));
    }
}

/// Two who start from the same state: neither is answered before both have asked.
#[derive(Default)]
struct Pair {
    met: Gate,
    came: Mutex<Vec<String>>,
}

impl Pair {
    fn come(&self, name: &str) -> &Gate {
        let mut came = self.came.lock().expect("nobody panicked here");
        if !came.iter().any(|other| other == name) {
            came.push(name.to_owned());
        }
        if came.len() == 2 {
            self.met.open();
        }
        &self.met
    }
}

fn crew(ground: &Ground) -> Crew {
    let job = |name: &str| {
        let file = (ground.file)(name);
        let text = (ground.text)(name, false);
        let proof = match ground.files.is_empty() {
            true => format!("grep -q '^# {name}$' {file}"),
            false => format!("test -f {file}"),
        };
        Job::new(name, &file, &text, proof)
    };
    let jobs = vec![
        job("wrong").at_first(&(ground.text)("wrong", true)),
        job("hasty"),
        job("left"),
        job("right"),
        job("last").needs(&["wrong", "hasty", "left", "right"]),
    ];
    Crew::new("Add some units.", jobs)
}

/// What the model answers where it does not simply do its work.
fn event(crew: &Crew, pair: &Pair, request: &Request) -> Option<Reply> {
    let job = crew.job(request)?;
    let told = |what: &str| request.messages.iter().any(|m| m.text.contains(what));
    let called = |tool: &str| {
        let mut calls = request.messages.iter().flat_map(|m| &m.calls);
        calls.any(|(name, _)| name == tool)
    };
    match (Role::of(request), job.name()) {
        // The Reviewer of `hasty` wants something, and gets it with the next attempt.
        (Role::Reviewer, "hasty") if !told("It says why.") => {
            let finding = serde_json::json!({
                "kind": "spec", "file": job.file(), "line": 1, "what": "Say why it is there.",
            });
            Some(Reply::fenced(
                &serde_json::json!({ "accept": false, "findings": [finding] }),
            ))
        }
        (Role::Worker, "hasty") if told("Say why it is there.") && !called("write") => {
            Some(Reply::call(
                "write",
                serde_json::json!({
                    "filePath": job.file(), "content": format!("{}{}", job.text(), comment(job.file())),
                }),
            ))
        }
        (Role::Worker, side @ ("left" | "right")) if !called("write") => {
            let again = told("conflict");
            if again && !called("read") {
                return Some(Reply::call(
                    "read",
                    serde_json::json!({ "filePath": SHARED }),
                ));
            }
            let text = if again {
                "left\nright\n".to_owned()
            } else {
                format!("{side}\n")
            };
            let both = Reply::call(
                "write",
                serde_json::json!({ "filePath": SHARED, "content": text }),
            )
            .and_call(
                "write",
                serde_json::json!({ "filePath": job.file(), "content": job.text() }),
            );
            Some(if again {
                both
            } else {
                both.after(pair.come(side))
            })
        }
        _ => None,
    }
}

/// A remark in the language of the file.
fn comment(file: &str) -> &'static str {
    match Path::new(file).extension().and_then(|end| end.to_str()) {
        Some("js") => "// It says why.\n",
        Some("py") => "# It says why.\n",
        _ => "It says why.\n",
    }
}

/// Whoever works there; his OpenCode knows all models that it brings with it.
fn user(ground: &Ground, model: &Model) -> User {
    let program = env!("CARGO_BIN_EXE_orchestrator");
    let user = match ground.files.is_empty() {
        true => User::with(program, &model.url(), clone).has_only(&["git", "sh", "grep", "test"]),
        false => {
            let files: Vec<(&str, &str)> = ground
                .files
                .iter()
                .map(|(name, text)| (name.as_str(), text.as_str()))
                .collect();
            User::new(program, &model.url(), &files)
        }
    };
    user.home().knows_all_models();
    user
}

async fn play(ground: Ground) {
    let crew_of = crew(&ground);
    let texts: BTreeMap<String, String> = crew_of
        .jobs()
        .iter()
        .map(|job| (job.file().to_owned(), job.text().to_owned()))
        .collect();
    let pair = Pair::default();
    let model = Model::start(move |request| {
        event(&crew_of, &pair, request).unwrap_or_else(|| crew_of.answer(request))
    })
    .await;
    let user = user(&ground, &model);
    let before = user.files();
    assert!(before.len() >= 200, "{} files", before.len());
    let words = [
        "task",
        "Add some units",
        "--allow",
        "shell",
        "--workers",
        "4",
    ];
    let ran = user.run(&words).await;
    let said = &ran.said;
    println!("{:?}, {} calls\n{said}", ran.took, model.log().len());
    assert_eq!(ran.code, Some(0), "{said}");
    let turned = |what: &str| {
        let down = |line: &&str| line.contains("turned down") && line.contains(what);
        said.lines().filter(down).count()
    };
    assert_eq!(
        turned(ground.turned_down),
        1,
        "a check failed first: {said}"
    );
    assert_eq!(
        turned("Say why it is there."),
        1,
        "a review rejected: {said}"
    );
    assert_eq!(turned("conflict"), 1, "two did not merge: {said}");
    let mut expected = before.clone();
    expected.extend(texts);
    expected.insert(SHARED.into(), "left\nright\n".into());
    let hasty = (ground.file)("hasty");
    expected
        .entry(hasty.clone())
        .and_modify(|text| text.push_str(comment(&hasty)));
    assert_eq!(
        differing(&expected, &user.files()),
        Vec::<String>::new(),
        "{said}"
    );
    let undone = user.run(&["undo"]).await;
    assert_eq!(undone.code, Some(0), "{}", undone.said);
    assert_eq!(differing(&before, &user.files()), Vec::<String>::new());
    user.deserted().await;
}

/// Paths that are not the same in both, for a message that can be read.
fn differing(a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) -> Vec<String> {
    let paths: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let differs = |path: &&&String| a.get(**path) != b.get(**path);
    let told = |path: &String| {
        let mut told = String::new();
        write!(told, "{path}: {:?} and {:?}", a.get(path), b.get(path)).expect("a string");
        told
    };
    paths
        .iter()
        .filter(differs)
        .map(|path| told(path))
        .collect()
}

fn clone(project: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = root.to_str().expect("a path that can be named");
    git(project, &["clone", "-q", "--no-hardlinks", root, "."]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_eventful_mission_on_an_npm_project() {
    play(npm()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_eventful_mission_on_a_python_project() {
    play(python()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_eventful_mission_on_a_checkout_of_this_repository() {
    play(repository()).await;
}
