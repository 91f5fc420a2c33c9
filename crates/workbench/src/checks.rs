//! Finding the checks of a project: which gates it has, and how its workspaces are prepared.
//!
//! Files are read, nothing of the repository is run. A gate is found only where the project itself says so: a script
//! (of `package.json`, or the executable `script/test`), a target, a test folder, a linter's configuration. For each
//! ecosystem the root comes first; where it has no gate of that ecosystem, the packages below it are looked at, so that
//! a monorepo with scripts at its root is not run twice.

mod files;
mod node;
mod others;
mod python;
mod rust;
mod scripts;

use crate::recipe::Recipe;
use files::Files;
use mission::gate::{Gate, GateKind, Program};
use mission::time::Millis;
use std::collections::BTreeSet;
use std::path::Path;

/// Tests get this long: the suites of large projects do, and a longer wait helps nobody who watches.
const TEST_LIMIT: Millis = Millis::from_mins(20);

/// Linters and type checkers get this long.
const LINT_LIMIT: Millis = Millis::from_mins(10);

/// At most this many packages below the root get gates of their own.
const PACKAGES: usize = 20;

/// What a project's files say of its checks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detected {
    /// The gates, tests first within each package. Names are unique.
    pub gates: Vec<Gate>,
    /// How workspaces are prepared, one recipe for each ecosystem and folder that needs it.
    pub recipes: Vec<Recipe>,
    /// What was chosen and because of what, for people.
    pub why: Vec<String>,
    /// What was not understood, not looked at, or is missing, for people.
    pub notes: Vec<String>,
}

/// Finds gates and recipes below `root`, which should be the untouched base.
///
/// It never fails: what cannot be read is named in [`Detected::notes`]. It blocks on the file system, and reads at most
/// some thousand small files.
pub fn detect(root: &Path) -> Detected {
    let mut files = Files::new(root);
    let mut detected = Detected::default();
    let folders = files.folders();
    for ecosystem in [node::detect, rust::detect, python::detect, others::go]
        as [fn(&mut Files, &str, &mut Detected); 4]
    {
        let gates = detected.gates.len();
        ecosystem(&mut files, "", &mut detected);
        if detected.gates.len() > gates {
            continue;
        }
        let mut packages = 0;
        for folder in &folders {
            let before = (detected.gates.len(), detected.recipes.len());
            ecosystem(&mut files, folder, &mut detected);
            packages += usize::from((detected.gates.len(), detected.recipes.len()) != before);
            if packages >= PACKAGES {
                detected.notes.push(format!("more than {PACKAGES} packages have checks of their own; the rest were not looked at"));
                break;
            }
        }
    }
    others::make(&mut files, &mut detected);
    others::just(&mut files, &mut detected);
    others::script(&mut files, &mut detected);
    if !detected
        .gates
        .iter()
        .any(|gate| gate.kind == GateKind::Test)
    {
        detected.notes.push(
            "no test command was found; only what each task's own commands show can be proved"
                .to_owned(),
        );
    }
    unique(&mut detected);
    detected.notes.append(&mut files.notes);
    detected
}

fn unique(detected: &mut Detected) {
    let mut names = BTreeSet::new();
    for gate in &mut detected.gates {
        let base = gate.id.clone();
        let mut n = 1;
        while !names.insert(gate.id.clone()) {
            n += 1;
            gate.id = format!("{base}-{n}");
        }
    }
    let why = detected.gates.iter().map(|gate| {
        format!(
            "{}: `{}`, because of {}",
            gate.id, gate.program, gate.source
        )
    });
    let mut why: Vec<_> = why.collect();
    why.append(&mut detected.why);
    detected.why = why;
    let notes: BTreeSet<_> = std::mem::take(&mut detected.notes).into_iter().collect();
    detected.notes = notes.into_iter().collect();
}

/// A path below the root.
fn at(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

/// Adds the scripts that a gate's own text runs to what defines it.
fn defined_too(gate: &mut Gate, files: &Files, text: &str) {
    for script in scripts::run_by(files, &gate.directory, text) {
        if !gate.defined_by.contains(&script) {
            gate.defined_by.push(script);
        }
    }
}

/// A gate in `folder`. `defined_by` names files in that folder; those that are not there are left out.
fn gate(
    files: &Files,
    folder: &str,
    id: &str,
    kind: GateKind,
    argv: Vec<String>,
    source: String,
    defined_by: &[&str],
) -> Gate {
    let is_test = matches!(
        kind,
        GateKind::Test | GateKind::Build | GateKind::Acceptance
    );
    Gate {
        id: at(folder, id),
        kind,
        program: Program::Argv(argv),
        directory: folder.to_owned(),
        timeout: if is_test { TEST_LIMIT } else { LINT_LIMIT },
        source,
        defined_by: defined_by
            .iter()
            .map(|name| at(folder, name))
            .filter(|path| files.is_file(path))
            .collect(),
    }
}
