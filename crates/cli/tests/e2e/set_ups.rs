//! Missions on projects that have to be set up before anything can be checked. Nothing is fetched: what is installed lies
//! in the project.

use crate::world;
use std::net::TcpListener;
use testkit::world::{Ran, Script, Task, World, append, run, write};

const SAID: &str = "exports.said = (what) => `said ${what}`;\n";

/// A Node project that depends on a package of its own folder, and writes a line beside it for each set-up.
fn node() -> World {
    let world = world();
    let package = format!(
        r#"{{ "name": "n", "version": "1.0.0", "scripts": {{ "test": "node --test", "postinstall": "echo . >> {}" }},
            "dependencies": {{ "said": "file:./said" }} }}"#,
        world.beside("set-ups").display()
    );
    world
        .file("package.json", package)
        .file(
            "said/package.json",
            r#"{ "name": "said", "version": "1.0.0" }"#,
        )
        .file("said/index.js", SAID)
        .file("hello.test.js", test("hello"))
        .file("hello.js", module("hello"))
        .committed()
}

fn module(name: &str) -> String {
    format!("module.exports = require('said').said('{name}');\n")
}

fn test(name: &str) -> String {
    format!(
        "const test = require('node:test');\nconst assert = require('node:assert');\n\
         test('{name}', () => assert.equal(require('./{name}.js'), 'said {name}'));\n"
    )
}

fn completed(world: &World, ran: &Ran) {
    assert_eq!(world.state_of("m1"), "completed", "{}", ran.said());
}

#[test]
fn a_node_project_with_dependencies_is_set_up_once_for_all_workers_and_checks() {
    let world = node();
    let names = ["one", "two", "three"];
    let task = |name: &str| Task::new(name).proof(&format!("node --test {name}.test.js"));
    let script = names
        .iter()
        .fold(Script::plan(names.map(task)), |script, name| {
            let files = [
                write(&format!("{name}.js"), &module(name)),
                write(&format!("{name}.test.js"), &test(name)),
                // It works in the Worker's own workspace, too.
                run(&format!("node --test {name}.test.js")),
            ];
            script.worker(name, files)
        });
    let ran = world.task(&script.reviewed(), &["--workers", "3"]);
    completed(&world, &ran);
    let set_ups = std::fs::read_to_string(world.beside("set-ups")).unwrap_or_default();
    assert_eq!(set_ups.lines().count(), 1, "{}", ran.said());
    assert!(!world.project().join("node_modules").exists());
    let reuse = &world.status("m1")["reuse"];
    assert_eq!(reuse["set_ups_run"], 1, "{reuse}");
    // To each of the Workers' lanes and to the one of the gates, at least.
    let [brought, stood] =
        ["set_ups_brought", "set_ups_stood"].map(|what| reuse[what].as_u64().unwrap());
    assert!(brought >= 4 && stood >= 3, "{reuse}");
}

#[test]
fn a_first_task_may_bring_the_manifest_that_everything_is_set_up_by() {
    let world = world().file("README.md", "hi\n").committed();
    let package = r#"{ "name": "b", "version": "1.0.0", "scripts": { "test": "node --test" }, "dependencies": { "said": "file:./said" } }"#;
    let script = Script::plan([
        Task::new("a").proof("npm test --silent"),
        Task::new("b").needs("a").proof("node --test second.test.js"),
    ])
    .declaring(
        "a",
        [
            write("package.json", package),
            write("said/package.json", r#"{ "name": "said", "version": "1.0.0" }"#),
            write("said/index.js", SAID),
            write("first.js", &module("first")),
            write("first.test.js", &test("first")),
            run("npm install --offline --no-audit --no-fund --no-package-lock --silent && npm test --silent"),
        ],
        &["package.json"],
    )
    .worker(
        "b",
        [
            write("second.js", &module("second")),
            write("second.test.js", &test("second")),
            run("node --test second.test.js"),
        ],
    )
    .reviewed();
    let ran = world.task(&script, &[]);
    completed(&world, &ran);
    assert!(
        !world.project().join("node_modules").exists(),
        "it is no work"
    );
}

#[test]
fn a_python_project_is_checked_in_its_own_environment() {
    let own = "import sys\nimport unittest\nfrom calc import add\n\n\nclass Calc(unittest.TestCase):\n    \
        def test_here(self):\n        self.assertTrue(sys.prefix.endswith('.venv'), sys.prefix)\n\n    \
        def test_add(self):\n        self.assertEqual(add(1, 2), 3)\n";
    let world = world()
        .file("requirements.txt", "# nothing but the language\n")
        .file("calc.py", "def add(a, b):\n    return a - b\n")
        .file("test_calc.py", own)
        .committed();
    let script = Script::plan([Task::new("a").proof(".venv/bin/python -m unittest")])
        .worker(
            "a",
            [write("calc.py", "def add(a, b):\n    return a + b\n")],
        )
        .reviewed();
    let ran = world.task(&script, &[]);
    completed(&world, &ran);
    let shown = world.run(&["show", "m1"]).ends(0, &["landed"]);
    assert!(
        shown.out.contains(".venv/bin/python -m unittest"),
        "{}",
        shown.out
    );
}

#[test]
fn a_cargo_workspace_is_checked_as_a_whole() {
    let package = |name: &str, more: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n{more}")
    };
    let test = "\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn adds() {\n        assert_eq!(super::add(1, 2), 3);\n    }\n}\n";
    let world = world()
        .file(
            "Cargo.toml",
            "[workspace]\nmembers = [\"one\", \"two\"]\nresolver = \"2\"\n",
        )
        .file("one/Cargo.toml", package("one", ""))
        .file(
            "one/src/lib.rs",
            format!("pub fn add(a: u32, b: u32) -> u32 {{\n    a * b\n}}\n{test}"),
        )
        .file(
            "two/Cargo.toml",
            package("two", "[dependencies]\none = { path = \"../one\" }\n"),
        )
        .file(
            "two/src/lib.rs",
            "pub fn three() -> u32 {\n    one::add(1, 2)\n}\n",
        )
        .file(".gitignore", "target\nCargo.lock\n")
        .committed();
    let script = Script::plan([Task::new("a").proof("cargo test --offline --workspace")])
        .worker("a", [run("sed -i 's/a \\* b/a + b/' one/src/lib.rs")])
        .reviewed();
    // The user of this world has no toolchain of their own.
    let cargo = std::path::PathBuf::from(env!("CARGO"));
    let tools = cargo.parent().map(|tools| tools.display().to_string());
    let path = std::env::var("PATH").unwrap_or_default();
    let agent = world.agent(&script);
    let mut command = world.command(&["task", "Mend it", &agent]);
    command.env("PATH", format!("{}:{path}", tools.unwrap_or_default()));
    let ran = testkit::world::Running::new(command).ended();
    completed(&world, &ran);
}

#[test]
fn a_check_whose_port_is_taken_hinders_nothing() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let test = format!(
        "const test = require('node:test');\nconst net = require('node:net');\n\
         test('serves', (t, done) => {{\n  const server = net.createServer();\n  server.on('error', done);\n  \
         server.listen({port}, '127.0.0.1', () => server.close(done));\n}});\n"
    );
    let world = world()
        .file(
            "package.json",
            r#"{ "name": "n", "scripts": { "test": "node --test" } }"#,
        )
        .file("serve.test.js", &test)
        .committed();
    let checks = world.run(&["checks"]).ends(0, &["needs"]);
    assert!(checks.out.contains("EADDRINUSE"), "{}", checks.out);
    let script = Script::plan([Task::new("a").proof("grep -q Usage README.md")])
        .worker("a", [write("README.md", "# Usage\n")])
        .reviewed();
    let ran = world.task(&script, &[]);
    completed(&world, &ran);
    drop(taken);
    let checks = world.run(&["checks"]).ends(0, &["green"]);
    assert!(!checks.out.contains("needs"), "{}", checks.out);
}

#[test]
fn a_project_without_checks_rests_on_the_proof_of_its_tasks() {
    let world = world().file("README.md", "# Project\n").committed();
    let script = Script::plan([Task::new("a").proof("grep -q Usage README.md")])
        .worker("a", [append("README.md", "Usage\n")])
        .reviewed();
    let ran = world.task(&script, &[]);
    completed(&world, &ran);
    assert!(
        ran.said().contains("no test command was found"),
        "{}",
        ran.said()
    );
}

#[test]
fn a_set_up_of_the_users_own_runs_once_and_brings_the_files_that_are_named() {
    let world = world()
        .file(".gitignore", ".env\ndeps\n")
        .file("deps.lock", "1\n")
        .file(
            "Makefile",
            "test:\n\tgrep -q made deps/made\n\tgrep -q secret .env\n\ttest ! -e .env.other\n",
        )
        .committed();
    world.write(".env", "KEY=secret\n");
    world.write(".env.other", "KEY=other\n");
    let config = format!(
        "[[set_up]]\nproject = {:?}\ncommand = \"mkdir deps; echo made > deps/made; echo . >> {}\"\n\
         keyed_by = [\"deps.lock\"]\nbring = [\"deps\"]\nfiles = [\".env\"]\n",
        world.project(),
        world.beside("set-ups").display()
    );
    let place = world.home().join(".config/opencode-orchestrator");
    std::fs::create_dir_all(&place).unwrap();
    std::fs::write(place.join("config.toml"), config).unwrap();
    world.git(&["config", "core.excludesFile", "/dev/null"]);
    std::fs::write(world.project().join(".git/info/exclude"), ".env.other\n").unwrap();
    let names = ["one", "two"];
    let task = |name: &str| Task::new(name).proof(&format!("test -f {name}.txt && make test"));
    let script = names
        .iter()
        .fold(Script::plan(names.map(task)), |script, name| {
            let steps = [write(&format!("{name}.txt"), "x\n"), run("make test")];
            script.worker(name, steps)
        });
    let ran = world.task(&script.reviewed(), &["--workers", "2"]);
    completed(&world, &ran);
    let set_ups = std::fs::read_to_string(world.beside("set-ups")).unwrap_or_default();
    assert_eq!(set_ups.lines().count(), 1, "{}", ran.said());
    let landed = world.mission_git("m1", &["ls-tree", "-r", "--name-only", "landed"]);
    assert!(
        !landed.contains(".env") && !landed.contains("deps/"),
        "{landed}"
    );
}

/// A Node of which the test says what version it is, before the one of this machine.
fn a_node_of_version(world: &World, version: &str) -> String {
    let bin = world.beside("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let path = std::env::var("PATH").unwrap();
    let real = std::env::split_paths(&path)
        .map(|folder| folder.join("node"))
        .find(|node| node.exists())
        .expect("node is needed for this test");
    let node = bin.join("node");
    let told = format!("[ \"$1\" = --version ] && echo {version} && exit");
    let line = format!("#!/bin/sh\n{told}\nexec {} \"$@\"\n", real.display());
    std::fs::write(&node, line).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&node, executable).unwrap();
    format!("{}:{path}", bin.display())
}

#[test]
fn what_was_proved_before_a_tool_was_upgraded_is_proved_again_and_no_work_is() {
    for upgraded in [false, true] {
        let world = world()
            .file(
                "package.json",
                r#"{ "name": "n", "scripts": { "test": "node --test" } }"#,
            )
            .file("said.js", "exports.said = 1;\n")
            .file(
                "said.test.js",
                "require('node:test')('says', () => require('node:assert').ok(require('./said.js').said));\n",
            )
            .committed();
        let script = Script::plan([Task::new("a").proof("test -f one.js")])
            .worker("a", [write("one.js", "exports.one = 1;\n")])
            .reviewed();
        let agent = world.agent(&script);
        let run = |words: &[&str], version: &str, dies: Option<&str>| {
            let mut command = world.command(words);
            command.env("PATH", a_node_of_version(&world, version));
            if let Some(point) = dies {
                command.env("ORCHESTRATOR_FAULT", point);
            }
            testkit::world::Running::new(command).ended()
        };
        // The base is checked and the work is proved on its own tree.
        let died = run(&["task", "x", &agent], "v22.0.0", Some("stack.before@1"));
        assert_eq!(died.signal, Some(9), "{}", died.said());
        let version = if upgraded { "v24.0.0" } else { "v22.0.0" };
        let ran = run(&["resume", "m1"], version, None);
        completed(&world, &ran);
        let told = "the tools of the checks are not those of before";
        assert_eq!(ran.said().contains(told), upgraded, "{}", ran.said());
        let log = world.run(&["log", "m1"]).out;
        assert!(!log.contains("T1.2"), "the work is done again: {log}");
    }
}

#[test]
fn a_question_is_answered_while_a_set_up_hangs_and_nothing_of_it_is_left() {
    let world = world();
    // Nobody ever comes to it.
    let hangs = world.meeting().line();
    let package = serde_json::json!({
        "name": "n", "version": "1.0.0",
        "scripts": { "test": "node --test", "preinstall": hangs },
        "dependencies": { "said": "file:./said" },
    });
    let world = world.file("package.json", package.to_string()).committed();
    world
        .task(&Script::answer("42"), &[])
        .ends(0, &["m1 answered", "42"]);
    world.all_gone();
}
