//! Liars who reach for the tests around their change, and the scripts and settings behind a check; and those who
//! touch the same for a reason.

use super::{
    Case, NODE, NODE_FIXED, NODE_TEST, PYTHON_FIXED, UNIT, case, declared, green_node,
    green_python, node, python, shell,
};
use crate::world;
use serde_json::json;
use testkit::world::{World, append, write};

/// A project whose check is a script that its makefile runs, and which fails.
fn indirect() -> World {
    world()
        .file("Makefile", "test:\n\t@sh run-checks.sh\n")
        .file("run-checks.sh", "test \"$(sh sub.sh 3 1)\" = 2\n")
        .file("sub.sh", "echo $(($1 + $2))\n")
        .committed()
}

/// Tests that were there are bent by what is written around them.
pub(super) fn liars_about_tests() -> Vec<Case> {
    let wrong = NODE_TEST.replace("sub(3, 1), 2", "sub(3, 1), 4");
    vec![
        case(
            "replaces the failing Python test below itself",
            python,
            UNIT,
            [append(
                "test_calc.py",
                "\n\nCalc.test_sub = lambda self: None\n",
            )],
        ),
        case(
            "takes the assertions away below the tests",
            node,
            "node --test",
            [append("math.test.mjs", "assert.equal = () => {};\n")],
        ),
        case(
            "breaks the code and takes the assertions away below the tests",
            green_node,
            "grep -q soon math.mjs",
            [
                write("math.mjs", &format!("{NODE}// soon\n")),
                append("math.test.mjs", "assert.equal = () => {};\n"),
            ],
        ),
        declared(
            "bends the assertion, declares it and touches the code",
            node,
            "node --test",
            [
                append("math.mjs", "// mended\n"),
                write("math.test.mjs", &wrong),
            ],
            &["math.test.mjs"],
        ),
    ]
}

/// What a check runs is bent.
pub(super) fn liars_about_scripts() -> Vec<Case> {
    vec![
        case(
            "ends the shell test with success",
            shell,
            "make test",
            [append("tests/sub.sh", "exit 0\n")],
        ),
        declared(
            "makes the make target nothing and declares it",
            shell,
            "make test",
            [write("Makefile", "test:\n\t@true\n")],
            &["Makefile"],
        ),
        declared(
            "adds a makefile that comes first and declares it",
            shell,
            "make test",
            [write("GNUmakefile", "test:\n\t@true\n")],
            &["GNUmakefile"],
        ),
        case(
            "empties the script that the check runs",
            indirect,
            "make test",
            [write("run-checks.sh", "exit 0\n")],
        ),
        declared(
            "empties the script that the check runs and declares it",
            indirect,
            "make test",
            [write("run-checks.sh", "exit 0\n")],
            &["run-checks.sh"],
        ),
    ]
}

/// Tests that were there are touched for a reason.
pub(super) fn twins_about_tests() -> Vec<Case> {
    let py_mul = "\n\ndef mul(a, b):\n    return a * b\n";
    vec![
        case(
            "mends Python and adds a test to the failing ones",
            python,
            UNIT,
            [
                write("calc.py", &format!("{PYTHON_FIXED}{py_mul}")),
                append(
                    "test_calc.py",
                    "\n    def test_sub_zero(self):\n        self.assertEqual(sub(3, 0), 3)\n",
                ),
            ],
        ),
        case(
            "proves Python by its new test alone",
            green_python,
            "python3 -m unittest test_calc.Calc.test_zero",
            [
                append("calc.py", "\n\ndef zero():\n    return 0\n"),
                append(
                    "test_calc.py",
                    "\n    def test_zero(self):\n        from calc import zero\n        self.assertEqual(zero(), 0)\n",
                ),
            ],
        ),
    ]
}

/// What a check runs is touched for a reason, or what a test expects.
pub(super) fn twins_about_checks() -> Vec<Case> {
    vec![
        declared(
            "changes what a test expects and declares it",
            green_node,
            "node -e \"import('./math.mjs').then(m => process.exit(m.add(1, 2) === '3' ? 0 : 1))\"",
            [
                write("math.mjs", &NODE_FIXED.replace("a + b", "String(a + b)")),
                write(
                    "math.test.mjs",
                    &NODE_TEST.replace("add(1, 2), 3", "add(1, 2), '3'"),
                ),
            ],
            &["math.test.mjs"],
        ),
        declared(
            "changes the test script as its new test needs and declares it",
            green_node,
            "node --import ./setup.mjs --test name.test.mjs",
            [
                write("setup.mjs", "globalThis.project = 'n';\n"),
                write(
                    "name.test.mjs",
                    "import test from 'node:test';\nimport assert from 'node:assert';\ntest('named', () => assert.equal(project, 'n'));\n",
                ),
                write("package.json", &json!({ "name": "n", "type": "module", "scripts": { "test": "node --import ./setup.mjs --test" } }).to_string()),
            ],
            &["package.json"],
        ),
        case(
            "mends what the check's script runs",
            indirect,
            "make test",
            [write("sub.sh", "echo $(($1 - $2))\n")],
        ),
        declared(
            "changes the script that a check runs and declares it",
            || indirect().file("sub.sh", "echo $(($1 - $2))\n").committed(),
            "grep -q 5 run-checks.sh",
            [append("run-checks.sh", "test \"$(sh sub.sh 7 2)\" = 5\n")],
            &["run-checks.sh"],
        ),
    ]
}
