//! What must hold of the repository itself: which crate may name which, that documents tell of what is there, that
//! nothing is forgotten and nothing grows without end.
#![cfg(test)]

mod crates;
mod documents;
mod effects;
mod points;
mod program;
mod sources;

use std::fs;
use std::path::{Component, Path, PathBuf};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// Files of the repository with this ending, below the root; nothing that a tool has made.
pub(crate) fn files(ending: &str) -> Vec<String> {
    fn walk(root: &Path, folder: &Path, ending: &str, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
            if entry.file_type().unwrap().is_dir() {
                if !["target", "node_modules", ".git"].contains(&name.as_str()) {
                    walk(root, &path, ending, found);
                }
            } else if name.ends_with(ending) {
                found.push(
                    path.strip_prefix(root)
                        .unwrap()
                        .to_str()
                        .unwrap()
                        .to_owned(),
                );
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), &root(), ending, &mut found);
    found.sort();
    assert!(!found.is_empty(), "no file ends with {ending}");
    found
}

pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Fails with everything that is wrong, not only with the first.
#[track_caller]
pub(crate) fn nothing(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// A path without its detours.
pub(crate) fn normal(path: &str) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir => drop(parts.pop()),
            Component::Normal(name) => parts.push(name.to_str().unwrap().to_owned()),
            _ => {}
        }
    }
    parts.join("/")
}

/// The blocks of one language below a heading, up to the next one as high.
pub(crate) fn blocks(text: &str, heading: &str, language: &str) -> Vec<String> {
    let (_, section) = text
        .split_once(&format!("\n{heading}\n"))
        .unwrap_or_else(|| panic!("there is no {heading}"));
    let section = section.split("\n## ").next().unwrap();
    let fence = format!("\n```{language}\n");
    let pieces = section.split(&fence).skip(1);
    pieces
        .map(|piece| piece.split("\n```").next().unwrap().to_owned())
        .collect()
}
