//! Documents: what they name is there.

use super::{blocks, files, normal, nothing, read, root};
use std::collections::BTreeSet;

/// A Markdown text without what stands in code.
fn prose(text: &str) -> String {
    let mut fenced = false;
    let mut out = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let parts = line.split('`').enumerate();
            out.extend(parts.filter(|(n, _)| n % 2 == 0).map(|(_, part)| part));
            out.push('\n');
        }
    }
    out
}

/// Text and target of each link.
fn links(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("](") {
        let label = rest[..at].rsplit('[').next().unwrap_or_default().to_owned();
        rest = &rest[at + 2..];
        let target = rest.split(')').next().unwrap_or_default();
        found.push((label, target.to_owned()));
    }
    found
}

/// The anchors of a document, as they are made from its headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| -> String {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title
            .chars()
            .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut wrong = Vec::new();
    for path in files(".md") {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (label, target) in links(&prose(&read(&path))) {
            if target.contains("://") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let file = if file.is_empty() {
                path.clone()
            } else {
                normal(&format!("{folder}/{file}"))
            };
            if !root().join(&file).exists() {
                wrong.push(format!("{path}: there is no {file}"));
            } else if !anchor.is_empty() && !anchors(&read(&file)).contains(anchor) {
                wrong.push(format!("{path}: {file} has no heading for #{anchor}"));
            } else if file.ends_with(".rs")
                && label.matches('_').count() > 1
                && !shows(&file, &label)
            {
                wrong.push(format!("{path}: {file} has no test {label}"));
            }
        }
    }
    nothing(&wrong);
}

/// Whether a file has a test of this name, or a module beside it does.
fn shows(file: &str, test: &str) -> bool {
    let named = format!("fn {test}(");
    let beside = file
        .trim_end_matches(".rs")
        .trim_end_matches("/main")
        .to_owned()
        + "/";
    read(file).contains(&named)
        || files(".rs")
            .iter()
            .any(|path| path.starts_with(&beside) && read(path).contains(&named))
}

/// The rows of each table of a document, without what stands above them.
fn rows(text: &str) -> Vec<&str> {
    let lines: Vec<&str> = text.lines().collect();
    let tables = lines.split(|line| !line.starts_with('|'));
    tables
        .flat_map(|table| table.iter().skip(2).copied())
        .collect()
}

#[test]
fn every_odd_situation_has_a_test_that_shows_it() {
    let text = read("docs/guide/odd-situations.md");
    let rows = rows(&text);
    assert!(rows.len() > 150, "only {} rows are read", rows.len());
    let mut wrong = Vec::new();
    for row in rows {
        // What stands in the cells before may lead to tests too, and to other documents.
        let last = row.trim_end().trim_end_matches('|').rsplit('|').next();
        let tests = links(last.unwrap_or_default());
        let shown = tests.iter().any(|(label, target)| {
            let file = normal(&format!("docs/guide/{target}"));
            file.ends_with(".rs") && root().join(&file).exists() && shows(&file, label)
        });
        if !shown {
            wrong.push(format!("docs/guide/odd-situations.md: no test shows {row}"));
        }
    }
    nothing(&wrong);
}

#[test]
fn every_error_has_a_page_that_helps() {
    let text = read("crates/cli/src/error.rs");
    let codes: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.split_once("=> \"ORC"))
        .map(|(_, rest)| format!("ORC{}", rest.split('"').next().unwrap()))
        .collect();
    assert!(codes.len() >= 12, "{codes:?}");
    let pages = files(".md").into_iter().filter_map(|path| {
        Some(
            path.strip_prefix("docs/errors/")?
                .strip_suffix(".md")?
                .to_owned(),
        )
    });
    assert_eq!(
        pages.collect::<BTreeSet<_>>(),
        codes,
        "codes and pages differ"
    );
    let list = read("docs/guide/when-things-go-wrong.md");
    let mut wrong = Vec::new();
    for code in codes {
        let page = read(&format!("docs/errors/{code}.md"));
        for part in [
            &format!("# {code}: "),
            "\n## What it means\n",
            "\n## Why it happens\n",
            "\n## What to do\n",
            "\n## Example\n",
            "exit code",
        ] {
            if !page.contains(part) {
                wrong.push(format!("{code} does not have {part:?}"));
            }
        }
        if !list.contains(&code) {
            wrong.push(format!(
                "{code} is not listed in docs/guide/when-things-go-wrong.md"
            ));
        }
    }
    nothing(&wrong);
}

/// The numbers of `enum Exit`.
fn exits() -> BTreeSet<u32> {
    let text = read("crates/cli/src/error.rs");
    let (_, list) = text.split_once("enum Exit {").unwrap();
    let list = list.split('}').next().unwrap();
    let number = |line: &str| {
        line.trim()
            .strip_suffix(',')?
            .split_once(" = ")?
            .1
            .parse()
            .ok()
    };
    list.lines().filter_map(number).collect()
}

#[test]
fn every_exit_code_is_told_where_people_look() {
    let exits = exits();
    assert!(exits.len() >= 9, "{exits:?}");
    let readme = read("README.md");
    let row = readme
        .lines()
        .find(|line| line.starts_with("| Exit code |"));
    let told = row
        .unwrap()
        .split('|')
        .filter_map(|cell| cell.trim().parse().ok());
    assert_eq!(
        told.collect::<BTreeSet<u32>>(),
        exits,
        "README.md tells of others"
    );
    let page = read("docs/guide/when-things-go-wrong.md");
    let (_, section) = page.split_once("with which exit code\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let numbers = section.split(|c: char| !c.is_ascii_digit());
    let told: BTreeSet<u32> = numbers.filter_map(|n| n.parse().ok()).collect();
    assert_eq!(
        told, exits,
        "docs/guide/when-things-go-wrong.md tells of others"
    );
}

#[test]
fn the_two_commands_of_the_readme_are_what_ci_runs() {
    let commands = blocks(&read("README.md"), "## Sixty seconds", "sh");
    assert_eq!(commands, ["cargo run -p orchestrator -- demo", "./test"]);
    let ci = read(".ci/run");
    for command in commands {
        let runs = |line: &str| line.starts_with("step ") && line.ends_with(&format!(" {command}"));
        assert!(ci.lines().any(runs), "CI does not run {command}");
    }
}

#[test]
fn the_glossary_has_the_words_that_are_used() {
    let text = read("GLOSSARY.md");
    let words: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("- **")?.split("**").next())
        .collect();
    assert!(words.len() > 40);
    let mut sorted = words.clone();
    sorted.sort_by_key(|word| word.to_lowercase());
    assert_eq!(words, sorted, "the glossary is not in order");
    let mut used = String::new();
    for path in files(".rs").into_iter().chain(
        files(".md")
            .into_iter()
            .filter(|path| path != "GLOSSARY.md"),
    ) {
        used.push_str(&read(&path).to_lowercase().replace(['_', '-'], " "));
    }
    let unused = words
        .iter()
        .filter(|word| !used.contains(&word.to_lowercase().replace('-', " ")));
    nothing(
        &unused
            .map(|word| format!("{word} is used nowhere"))
            .collect::<Vec<_>>(),
    );
}
