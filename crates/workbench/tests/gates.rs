//! Gates on real small projects: what their runs are taken for.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use mission::gate::{Gate, GateResult, Program};
use mission::ids::Digest;
use mission::time::Millis;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use support::{baseline, gate, run_gate, runner, tree, write};
use tokio_util::sync::CancellationToken;
use workbench::gates::{Baseline, Environment, Error};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn cargo_workspace(root: &Path, asserted: &str) {
    write(
        root,
        "Cargo.toml",
        "[workspace]\nresolver = \"3\"\nmembers = [\"one\", \"two\"]\n",
    );
    for name in ["one", "two"] {
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[lib]\ndoctest = false\n"
        );
        write(root, &format!("{name}/Cargo.toml"), &manifest);
        let test = format!(
            "#[test]\nfn {name}_works() {{ assert!({asserted}); }}\n#[test]\n#[ignore]\nfn later() {{}}\n"
        );
        write(root, &format!("{name}/src/lib.rs"), &test);
    }
}

#[tokio::test]
async fn a_green_cargo_workspace_passes_and_is_counted() {
    let at = folder();
    cargo_workspace(at.path(), "true");
    let (class, runs) = baseline(&gate("cargo test --offline"), at.path()).await;
    assert_eq!(
        (class, runs.len()),
        (Baseline::Green, 1),
        "{}",
        runs[0].tail
    );
    let tests = runs[0].tests.clone().unwrap();
    assert_eq!((tests.passed, tests.skipped, tests.collected()), (2, 2, 4));
}

#[tokio::test]
async fn a_red_base_is_run_twice_and_its_failing_tests_are_named() {
    let at = folder();
    cargo_workspace(at.path(), "1 == 2");
    let (class, runs) = baseline(&gate("cargo test --offline --no-fail-fast"), at.path()).await;
    let failing = ["one_works", "two_works"].map(str::to_owned).to_vec();
    assert_eq!(
        class,
        Baseline::Red {
            failing,
            flaky: Vec::new()
        }
    );
    assert_eq!(
        runs.iter()
            .map(|run| run.result.clone())
            .collect::<Vec<_>>(),
        [
            GateResult::Failed { exit: 101 },
            GateResult::Failed { exit: 101 }
        ]
    );
}

#[tokio::test]
async fn a_flaky_base_is_told_from_a_red_one() {
    let at = folder();
    let test = "const fs = require('node:fs');
        require('node:test')('now and then', () => {
            if (!fs.existsSync('been')) { fs.writeFileSync('been', ''); throw new Error('first time'); }
        });";
    write(at.path(), "a.test.js", test);
    let (class, runs) = baseline(&gate("node --test"), at.path()).await;
    assert_eq!(runs.len(), 2);
    let failing = vec!["a.test.js > now and then".to_owned()];
    assert_eq!(class, Baseline::Flaky { failing });
}

#[tokio::test]
async fn a_test_that_fails_in_one_of_two_red_runs_is_flaky_in_a_red_base() {
    let at = folder();
    let test = "import unittest, os
class Box(unittest.TestCase):
    def test_always(self): self.fail()
    def test_once(self):
        if not os.path.exists('been'):
            open('been', 'w').close()
            self.fail()
";
    write(at.path(), "test_box.py", test);
    let (class, _) = baseline(&gate("python3 -m unittest"), at.path()).await;
    let Baseline::Red { failing, flaky } = class else {
        panic!("{class:?}")
    };
    assert_eq!(failing.len(), 2);
    assert!(
        flaky.len() == 1 && flaky[0].starts_with("test_once"),
        "{flaky:?}"
    );
}

#[tokio::test]
async fn a_base_that_needs_a_database_says_so() {
    // A well-known port where nothing answers on this machine.
    let refuses = |port: &u16| TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).is_err();
    let port = [27017, 5432, 6379, 3306, 4222]
        .into_iter()
        .find(refuses)
        .unwrap();
    let at = folder();
    let test = format!(
        "require('node:test')('asks the database', (t, done) => {{
            require('node:net').connect({port}, '127.0.0.1').on('error', done).on('connect', () => done());
        }});"
    );
    write(at.path(), "a.test.js", &test);
    let (class, runs) = baseline(&gate("node --test"), at.path()).await;
    assert_eq!(runs.len(), 1, "what says nothing is not run again");
    assert!(matches!(class, Baseline::NeedsService { what } if what.contains(&port.to_string())));
}

#[tokio::test]
async fn a_refused_connection_to_the_projects_own_server_is_a_failure() {
    let at = folder();
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let line = format!("echo 'Error: connect ECONNREFUSED 127.0.0.1:{free}'; exit 1");
    assert_eq!(
        run_gate(&gate(&line), at.path()).await.result,
        GateResult::Failed { exit: 1 }
    );
}

#[tokio::test]
async fn a_missing_script_is_a_failure_and_a_missing_runner_is_not() {
    let at = folder();
    write(
        at.path(),
        "package.json",
        r#"{"name":"box","scripts":{"test":"no-such-runner --ci"}}"#,
    );
    let missing = run_gate(&gate("npm test"), at.path()).await;
    let tool = "no-such-runner".to_owned();
    assert_eq!(
        missing.result,
        GateResult::MissingTool { tool },
        "{}",
        missing.tail
    );
    let failed = run_gate(&gate("npm run lint"), at.path()).await;
    assert_eq!(
        failed.result,
        GateResult::Failed { exit: 1 },
        "{}",
        failed.tail
    );
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let at = folder();
    let gate = Gate {
        program: Program::Argv(vec!["no-such-program".to_owned(), "test".to_owned()]),
        ..gate("")
    };
    let (class, runs) = baseline(&gate, at.path()).await;
    let tool = "no-such-program".to_owned();
    assert_eq!((class, runs.len()), (Baseline::MissingTool { tool }, 1));
}

#[tokio::test]
async fn a_pass_in_which_no_test_ran_is_visible() {
    let at = folder();
    write(
        at.path(),
        "test_box.py",
        "import unittest\n@unittest.skip('all')\nclass Box(unittest.TestCase):\n    def test(self): pass\n",
    );
    let run = run_gate(&gate("python3 -m unittest"), at.path()).await;
    assert!(run.result.passed() && run.ran_nothing(), "{run:?}");
    let liar = run_gate(
        &gate("echo 'test result: ok. 5 passed; 0 failed'; exit 1"),
        at.path(),
    )
    .await;
    assert_eq!(liar.result, GateResult::Failed { exit: 1 });
}

#[tokio::test]
async fn a_gate_that_hangs_crashes_or_prints_without_end_is_evidence_too() {
    let at = folder();
    let hangs = Gate {
        timeout: Millis(200),
        ..gate("exec sleep 1000")
    };
    assert_eq!(
        run_gate(&hangs, at.path()).await.result,
        GateResult::TimedOut
    );
    let crashes = run_gate(&gate("kill -ABRT $$"), at.path()).await;
    assert_eq!(crashes.result, GateResult::Crashed { signal: 6 });
    let mut small = runner();
    small.limits.output = 100_000;
    let environment = Environment::default().digest();
    let prints = small
        .run(
            &gate("exec yes"),
            &tree(),
            at.path(),
            &environment,
            &CancellationToken::new(),
        )
        .await
        .unwrap();
    assert!(
        matches!(prints.result, GateResult::OverLimit { .. }),
        "{:?}",
        prints.result
    );
}

#[tokio::test]
async fn a_gate_outside_its_workspace_is_refused() {
    let at = folder();
    std::os::unix::fs::symlink("/usr", at.path().join("away")).unwrap();
    for directory in ["..", "/usr", "away", "nowhere", "./x"] {
        let gate = Gate {
            directory: directory.to_owned(),
            ..gate("true")
        };
        let environment = Environment::default().digest();
        let refused = runner()
            .run(
                &gate,
                &tree(),
                at.path(),
                &environment,
                &CancellationToken::new(),
            )
            .await;
        assert!(
            matches!(refused, Err(Error::Misplaced { .. })),
            "{directory}"
        );
    }
}

#[tokio::test]
async fn a_cancelled_gate_is_no_evidence() {
    let at = folder();
    let cancel = CancellationToken::new();
    cancel.cancel();
    let environment = Environment::default().digest();
    let refused = runner()
        .run(
            &gate("exec sleep 1000"),
            &tree(),
            at.path(),
            &environment,
            &cancel,
        )
        .await;
    assert!(matches!(refused, Err(Error::Cancelled { .. })));
}

#[tokio::test]
async fn the_environments_digest_moves_with_tools_locks_and_set_up() {
    let at = folder();
    write(at.path(), "package-lock.json", "{}");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(at.path().join("yarn.lock"))
            .status()
            .unwrap()
            .success()
    );
    std::os::unix::fs::symlink("package-lock.json", at.path().join("bun.lock")).unwrap();
    let paths = ["package-lock.json", "yarn.lock", "bun.lock", "uv.lock"].map(str::to_owned);
    let locks = Environment::locks(at.path(), &paths).unwrap();
    assert_eq!(
        locks.into_iter().collect::<Vec<_>>(),
        [("package-lock.json".to_owned(), Digest::of(b"{}"))]
    );
    let tools = ["node".to_owned(), "no-such-tool".to_owned()];
    let versions = runner()
        .versions(&tools, at.path(), &CancellationToken::new())
        .await
        .unwrap();
    assert!(versions["node"].starts_with('v'), "{versions:?}");
    assert_eq!(versions["no-such-tool"], "absent");
    let base = Environment {
        versions,
        locks: Environment::locks(at.path(), &paths).unwrap(),
        setup: "npm ci".to_owned(),
    };
    let mut others = [base.clone(), base.clone(), base.clone()];
    others[0]
        .versions
        .insert("node".to_owned(), "v0".to_owned());
    others[1].locks.clear();
    others[2].setup.clear();
    assert!(others.iter().all(|other| other.digest() != base.digest()));
}
