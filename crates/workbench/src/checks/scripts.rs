//! Which scripts of the project a command runs, by its text. They decide what a check says as much as the line does that
//! names them. What such a script runs in its turn is not followed: there the code under test begins.

use super::{Files, at};
use crate::testdiff::{Class, classify};
use std::collections::BTreeSet;

/// Programs whose first argument is a script.
const INTERPRETERS: [&str; 19] = [
    "sh", "bash", "dash", "zsh", "ksh", "node", "nodejs", "bun", "deno", "tsx", "ts-node",
    "python", "python3", "ruby", "perl", "php", "lua", "pwsh", "exec",
];

/// Options whose value is a script that is loaded first.
const LOADING: [&str; 5] = ["--import", "--require", "-r", "--loader", "--test-reporter"];

/// Words that stand before a command and are none.
const BEFORE: [&str; 13] = [
    "uv", "poetry", "pipenv", "npx", "env", "time", "exec", "command", "nice", "sudo", "run",
    "then", "do",
];

/// The scripts in `folder` that lines of shell run: by name, or through an interpreter. Test files are left out, for
/// which there are rules of their own.
pub(super) fn run_by(files: &Files, folder: &str, lines: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let unfolded = lines.replace("\\\n", " ");
    for command in unfolded.split(['\n', ';', '&', '|', '(', ')', '`']) {
        let words = command
            .split_whitespace()
            .map(|word| word.trim_matches(['"', '\'', '@', '{', '}']))
            .filter(|word| !word.is_empty());
        let mut takes_script = true;
        let mut loads = false;
        for word in words {
            let is_setting = word
                .split_once('=')
                .is_some_and(|(name, _)| !name.starts_with('-'));
            if let Some((option, value)) = word.split_once('=')
                && LOADING.contains(&option)
            {
                add(files, folder, value, &mut found);
            } else if loads {
                add(files, folder, word, &mut found);
                loads = false;
            } else if LOADING.contains(&word) {
                loads = true;
            } else if word.starts_with('-') || is_setting || BEFORE.contains(&word) {
                // An option, a variable, or a word before the command.
            } else if takes_script {
                let name = word.rsplit('/').next().unwrap_or(word);
                let is_interpreter = INTERPRETERS.contains(&name) || word.starts_with('$');
                if !is_interpreter {
                    add(files, folder, word, &mut found);
                    takes_script = false;
                }
            }
        }
    }
    found
}

fn add(files: &Files, folder: &str, word: &str, found: &mut BTreeSet<String>) {
    let word = word.strip_prefix("./").unwrap_or(word);
    let path = at(folder, word);
    let plain = !word.starts_with('/') && !word.split('/').any(|part| part == "..");
    if plain && files.is_file(&path) && classify(&path) != Class::Test {
        found.insert(path);
    }
}

/// The lines of a target of a makefile or a justfile: those indented below it, and what follows it on its own line.
pub(super) fn recipe_of(text: &str, is_target: impl Fn(&str) -> bool) -> String {
    let mut lines = String::new();
    let mut inside = false;
    for line in text.lines() {
        let indented = line.starts_with([' ', '\t']);
        if inside && (indented || line.trim().is_empty()) {
            lines.push_str(line.trim());
            lines.push('\n');
        } else {
            inside = is_target(line);
            if let Some((_, rest)) = line.split_once(';').filter(|_| inside) {
                lines.push_str(rest);
                lines.push('\n');
            }
        }
    }
    lines
}
