//! What a file defines, line by line, told by the words that lines begin with. It is a table of contents and no parser: a
//! line too many or too few costs a look.

use std::collections::BTreeSet;

/// The most definitions of one file.
const LINES: usize = 30;
/// The longest line of them, in characters.
const WIDE: usize = 120;
/// The most different words of one file that are remembered.
const WORDS: usize = 4_000;
/// The shortest name that tells a file from others.
const SHORTEST: usize = 3;
/// Names that many files have.
const COMMON: [&str; 7] = ["mod", "lib", "main", "index", "init", "__init__", "test"];

/// What stands before the word that defines.
const BEFORE: [&str; 18] = [
    "pub",
    "pub(crate)",
    "pub(super)",
    "async",
    "unsafe",
    "export",
    "default",
    "declare",
    "public",
    "private",
    "protected",
    "internal",
    "static",
    "final",
    "abstract",
    "override",
    "sealed",
    "open",
];

/// The words that define something, by the endings of files.
fn defining(path: &str) -> &'static [&'static str] {
    match path.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "rs" => &[
            "fn",
            "struct",
            "enum",
            "trait",
            "impl",
            "mod",
            "type",
            "union",
            "macro_rules!",
            "const",
        ],
        "py" | "pyi" => &["def", "class"],
        "js" | "jsx" | "mjs" | "cjs" | "ts" | "tsx" | "mts" | "cts" => &[
            "function",
            "function*",
            "class",
            "interface",
            "type",
            "enum",
            "namespace",
            "const",
        ],
        "go" => &["func", "type"],
        "java" | "cs" | "kt" | "kts" | "scala" | "swift" => &[
            "class",
            "interface",
            "enum",
            "record",
            "struct",
            "fun",
            "func",
            "object",
            "def",
            "protocol",
            "extension",
        ],
        "rb" => &["def", "class", "module"],
        "php" => &["function", "class", "interface", "trait", "enum"],
        "c" | "h" | "cc" | "cpp" | "hpp" => {
            &["struct", "class", "enum", "union", "typedef", "namespace"]
        }
        "ex" | "exs" => &["def", "defp", "defmodule", "defmacro"],
        _ => &[],
    }
}

/// What a file defines, each with the number of its line.
pub(super) fn definitions(path: &str, text: &str) -> Vec<String> {
    let defining = defining(path);
    if defining.is_empty() {
        return Vec::new();
    }
    let told = |(n, line): (usize, &str)| {
        let mut words = line
            .split_whitespace()
            .skip_while(|word| BEFORE.contains(word));
        let first = words.next()?;
        // `impl<T>` and `def(x)` are told by what stands before the bracket.
        let first = first.split(['<', '(']).next().unwrap_or(first);
        let deep = line.len() - line.trim_start().len() > 8;
        // What a function holds for itself is no definition of the file's.
        let own = first == "const" && line.starts_with([' ', '\t']);
        (defining.contains(&first) && !deep && !own).then(|| {
            let line = line.trim().trim_end_matches(['{', ':']).trim_end();
            let cut: String = line.chars().take(WIDE).collect();
            format!("{}: {cut}", n + 1)
        })
    };
    text.lines()
        .enumerate()
        .filter_map(told)
        .take(LINES)
        .collect()
}

/// The words of a text that may name something.
pub(super) fn words(text: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for word in text.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-') {
        if word.len() >= SHORTEST && all.len() < WORDS && !all.contains(word) {
            all.insert(word.to_owned());
        }
    }
    all
}

/// What a file is called where others name it; nothing of a pattern, or of a name that many files have.
pub(super) fn stem(path: &str) -> Option<&str> {
    let name = path.rsplit('/').next()?;
    let stem = name.split('.').next()?;
    let tells =
        stem.len() >= SHORTEST && !COMMON.contains(&stem) && !name.contains(['*', '?', '[', '{']);
    tells.then_some(stem)
}

/// Whether a path is that of a test, by how tests are commonly called.
pub(super) fn is_test(path: &str) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let in_folder = folder
        .split('/')
        .any(|part| matches!(part, "test" | "tests" | "spec" | "specs" | "__tests__"));
    let parts = ["_test.", ".test.", ".spec.", "_spec."];
    in_folder || name.starts_with("test_") || parts.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_defines_is_told_in_each_language() {
        let cases: [(&str, &str, &[&str]); 7] = [
            (
                "a.rs",
                "use x;\npub(crate) async fn go(a: u8) {\nimpl<T> Far for T {\n    const A: u8 = 1;\n    pub fn near(&self) {}\nlet fn_ = 1;\n",
                &[
                    "2: pub(crate) async fn go(a: u8)",
                    "3: impl<T> Far for T",
                    "5: pub fn near(&self) {}",
                ],
            ),
            (
                "a.py",
                "import x\nclass A(B):\n    async def go(self):\n        x = 1\n",
                &["2: class A(B)", "3: async def go(self)"],
            ),
            (
                "a.ts",
                "export default class A {\n  go() {}\n}\nexport const b = () => 1;\n",
                &["1: export default class A", "4: export const b = () => 1;"],
            ),
            (
                "a.go",
                "package a\nfunc (s *S) Go() error {\n",
                &["2: func (s *S) Go() error"],
            ),
            (
                "a.java",
                "public final class A {\n",
                &["1: public final class A"],
            ),
            (
                "a.rb",
                "module A\n  def go\n",
                &["1: module A", "2: def go"],
            ),
            ("a.txt", "fn go() {}\n", &[]),
        ];
        for (path, text, told) in cases {
            assert_eq!(definitions(path, text), told, "{path}");
        }
        let many = "fn a() {}\n".repeat(1_000);
        assert_eq!(definitions("a.rs", &many).len(), LINES);
        let long = format!("fn {}() {{}}", "ä".repeat(1_000));
        assert!(definitions("a.rs", &long)[0].chars().count() <= WIDE + 3);
    }

    #[test]
    fn tests_and_names_are_told_by_how_they_are_called() {
        for path in [
            "tests/a.rs",
            "src/__tests__/a.ts",
            "a_test.go",
            "a.spec.ts",
            "test_a.py",
        ] {
            assert!(is_test(path), "{path}");
        }
        for path in ["src/a.rs", "contest.py", "latest/a.ts", "a.tested"] {
            assert!(!is_test(path), "{path}");
        }
        assert_eq!(stem("src/login.rs"), Some("login"));
        for path in ["src/mod.rs", "src/*.rs", "a", "x/index.ts"] {
            assert_eq!(stem(path), None, "{path}");
        }
        let found = words("use app::log_in; log-in(x)");
        assert!(
            ["app", "log_in", "log-in"]
                .iter()
                .all(|word| found.contains(*word))
        );
    }
}
