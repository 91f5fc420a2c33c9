//! Changes that mend and changes that bend, and the facts that are found in them.

use workbench::testdiff::{Fewer, Skip, TestFacts, Touched, facts};

fn of(changes: &[(&str, &str, &str)]) -> TestFacts {
    facts(changes.iter().map(|(path, base, new)| Touched {
        path,
        base: (!base.is_empty()).then_some(base.as_bytes()),
        new: (!new.is_empty()).then_some(new.as_bytes()),
    }))
}

fn skip(path: &str, mark: &str, more: u32) -> Skip {
    Skip {
        path: path.to_owned(),
        mark: mark.to_owned(),
        more,
    }
}

#[test]
fn honest_work_leaves_nothing_to_explain() {
    let inline = "fn a() {}\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn a() {\n        assert!(true);\n    }\n}\n";
    let more = inline.replace("fn a() {}", "fn a() { 1; }").replace(
        "    }\n}\n",
        "    }\n    #[test]\n    fn b() {\n        assert!(true);\n    }\n}\n",
    );
    let found = of(&[
        ("src/lib.rs", inline, &more),
        ("tests/new.rs", "", "#[test]\nfn works() {}\n"),
        (
            "package.json",
            r#"{"scripts":{"test":"jest"},"dependencies":{}}"#,
            r#"{"scripts":{"test":"jest"},"dependencies":{"a":"1"}}"#,
        ),
        (
            "Cargo.toml",
            "[dependencies]\n",
            "[dependencies]\na = \"1\"\n",
        ),
        ("Cargo.lock", "a", "b"),
        ("same.test.js", "x", "x"),
    ]);
    assert!(found.only_adds(), "{found:#?}");
    assert_eq!(found.added, ["tests/new.rs"]);
    assert_eq!(
        found.shared_touched,
        ["Cargo.lock", "Cargo.toml", "package.json"]
    );
}

#[test]
fn tests_that_changed_went_or_are_fewer_are_listed() {
    let found = of(&[
        (
            "a_test.go",
            "func TestA(t *testing.T) {}\nfunc TestB(t *testing.T) {}\n",
            "func TestA(t *testing.T) {}\n",
        ),
        (
            "tests/test_b.py",
            "def test_b(): assert f() == 1\n",
            "def test_b(): assert f() == 2\n",
        ),
        ("src/c.test.ts", "it('c', () => {});\n", ""),
        (
            "src/d.rs",
            "#[test]\nfn d() {\n    assert_eq!(1, 1);\n}\n",
            "#[test]\nfn d() {\n    assert_eq!(2, 2);\n}\n",
        ),
    ]);
    assert_eq!(found.changed, ["a_test.go", "src/d.rs", "tests/test_b.py"]);
    assert_eq!(found.removed, ["src/c.test.ts"]);
    let fewer = |path: &str, before, after| Fewer {
        path: path.to_owned(),
        before,
        after,
    };
    assert_eq!(
        found.fewer,
        [fewer("a_test.go", 2, 1), fewer("src/c.test.ts", 1, 0)]
    );
    assert!(!found.only_adds());
}

#[test]
fn marks_that_keep_tests_from_running_are_counted_in_every_language() {
    let found = of(&[
        (
            "src/a.rs",
            "#[test]\nfn a() {}\n",
            "#[test]\n#[ignore = \"later\"]\nfn a() {}\n",
        ),
        (
            "a.test.js",
            "it('a');\nit.skip('b');\n",
            "it.only('a');\nit.skip('b');\nxit('c');\nexit('d'); audit.skip('e');\n",
        ),
        (
            "test_a.py",
            "",
            "@pytest.mark.skip\ndef test_a(): pass\n@pytest.mark.skipif(True)\ndef test_b(): self.skipTest('x')\n",
        ),
        (
            "a_test.go",
            "t.Skip()\n",
            "\tt.Skip(\"x\")\n\tt.SkipNow()\n",
        ),
    ]);
    assert_eq!(
        found.skips_added,
        [
            skip("a.test.js", "it.only", 1),
            skip("a.test.js", "xit(", 1),
            skip("a_test.go", "t.SkipNow(", 1),
            skip("src/a.rs", "#[ignore", 1),
            skip("test_a.py", "pytest.mark.skip", 2),
            skip("test_a.py", "self.skipTest(", 1),
        ]
    );
}

#[test]
fn gate_definitions_are_named_with_the_part_that_changed() {
    let found = of(&[
        (
            "package.json",
            r#"{"scripts":{"test":"jest"}}"#,
            r#"{"scripts":{"test":"jest || true"}}"#,
        ),
        (
            "sub/Cargo.toml",
            "[workspace]\nmembers = [\"a\", \"b\"]\n",
            "[workspace]\nmembers = [\"a\"]\n[lib]\ntest = false\n",
        ),
        (
            "pyproject.toml",
            "[tool.pytest.ini_options]\n",
            "[tool.pytest.ini_options]\naddopts = \"--deselect=a\"\n",
        ),
        ("Makefile", "test:\n\tx\n", "test:\n\ttrue\n"),
        (
            "jest.config.js",
            "",
            "module.exports = { passWithNoTests: true }",
        ),
        ("tsconfig.json", "{}", ""),
        ("b/package.json", "{}", "{ broken"),
    ]);
    assert_eq!(
        found.gate_definitions_changed,
        [
            "Makefile: changed",
            "b/package.json: cannot be compared part by part",
            "jest.config.js: added",
            "package.json: `scripts`",
            "pyproject.toml: [tool]",
            "sub/Cargo.toml: `workspace.members`, `lib.test`",
            "tsconfig.json: removed",
        ]
    );
    let bent = [
        "jest.config.js: `passWithNoTests`: passes without any test",
        "package.json: `|| true`: a failure is turned into success",
        "pyproject.toml: `--deselect`: tests are kept from being collected",
    ];
    assert_eq!(found.runner_bent, bent);
}

#[test]
fn a_runner_that_is_made_to_pass_is_named_with_its_file() {
    let found = of(&[
        (
            "conftest.py",
            "",
            "def pytest_sessionfinish(session): session.exitstatus = 0\n",
        ),
        (
            "tests/test_a.py",
            "def test_a(): assert f()\n",
            "import sys\nsys.exit(0)\ndef test_a(): assert f()\n",
        ),
        ("sitecustomize.py", "", "import os\n"),
        (
            ".GitHub/workflows/ci.yml",
            "run: npm test\n",
            "run: npm test\ncontinue-on-error: true\n",
        ),
        ("src/main.py", "", "import sys\nsys.exit(0)\n"),
    ]);
    let files: Vec<_> = found
        .runner_bent
        .iter()
        .map(|why| why.split(':').next().unwrap_or_default())
        .collect();
    assert_eq!(
        files,
        [
            ".GitHub/workflows/ci.yml",
            "conftest.py",
            "conftest.py",
            "sitecustomize.py",
            "tests/test_a.py"
        ]
    );
    assert_eq!(found.protected_touched, [".GitHub/workflows/ci.yml"]);
}

#[test]
fn binary_huge_and_many_files_cost_nothing_and_break_nothing() {
    let huge = vec![b'x'; 5 << 20];
    let paths: Vec<_> = (0..2000).map(|n| format!("tests/{n}.rs")).collect();
    let many = paths.iter().map(|path| Touched {
        path,
        base: None,
        new: Some(&[0xff, 0, 0xfe]),
    });
    let found = facts(many.chain([Touched {
        path: "src/huge.rs",
        base: None,
        new: Some(&huge),
    }]));
    assert_eq!(found.added.len(), 500);
    let padded = facts([Touched {
        path: "a_test.go",
        base: Some(b"func TestA() {}"),
        new: Some(&huge),
    }]);
    assert_eq!(padded.runner_bent, ["a_test.go: too large to look into"]);
}
