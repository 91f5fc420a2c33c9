//! When two failures are the same: by the tests that fail where the runner names them, else by what was said without
//! what differs each time.

use crate::gate::GateRun;
use crate::ids::Digest;

/// A text without what differs from run to run although nothing else does: times, addresses and other hex, paths, counts.
/// Each such word becomes one sign.
pub fn scrubbed(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let words = line.split_whitespace().map(scrubbed_word);
        words.collect::<Vec<_>>().join(" ")
    });
    let lines: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
    lines.join("\n")
}

fn scrubbed_word(word: &str) -> String {
    // A path says where a workspace lies; what it is called at its end says which file.
    if word.contains('/') {
        let last = word.rsplit('/').next().unwrap_or_default();
        return format!("/{}", scrubbed_word(last));
    }
    let mut out = String::new();
    let mut run = String::new();
    for c in word.chars().chain([' ']) {
        if c.is_alphanumeric() {
            run.push(c);
            continue;
        }
        if !run.is_empty() {
            out.push_str(if differs(&run) { "#" } else { &run });
            run.clear();
        }
        if c != ' ' {
            out.push(c);
        }
    }
    // `1.25s`, `10:02:11` and `1,024` are one count each.
    let mut short = String::new();
    for c in out.chars() {
        let again = c == '#' && short.ends_with(['#', '.', ':', ',', '-']) && short.contains('#');
        match again {
            true => short.truncate(short.trim_end_matches(['.', ':', ',', '-']).len()),
            false => short.push(c),
        }
    }
    short
}

/// Whether a run of letters and digits is a count, a length of time, an address or a digest.
fn differs(run: &str) -> bool {
    let digits = run.chars().filter(char::is_ascii_digit).count();
    let hex = run.len() >= 7 && digits > 0 && run.chars().all(|c| c.is_ascii_hexdigit());
    // `12`, `12ms`, `0x7f`, `3f`; but `E0308` and `utf8` are names.
    hex || run.starts_with(|c: char| c.is_ascii_digit())
}

/// A digest of what kind of failure it is and of what is told of it.
pub(super) fn of_text(kind: &str, text: &str) -> Digest {
    Digest::of(format!("{kind}\n{text}").as_bytes())
}

/// What a run that was not green failed by.
pub(super) fn of_run(run: &GateRun) -> Digest {
    let command = run.command.as_str();
    let told = match &run.tests {
        Some(tests) if !tests.failed.is_empty() => {
            let mut failed = tests.failed.clone();
            failed.sort_unstable();
            failed.dedup();
            format!("tests\n{}\n{}", tests.unnamed, failed.join("\n"))
        }
        _ => format!("{:?}\n{}", run.result, scrubbed(&run.tail)),
    };
    of_text(command, &told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::{GateResult, TestCount};
    use crate::time::Millis;

    fn run(tail: &str, failed: &[&str]) -> GateRun {
        let tests = TestCount {
            failed: failed.iter().map(|name| (*name).to_owned()).collect(),
            ..TestCount::default()
        };
        GateRun {
            gate: "test".into(),
            command: Digest::of(b"npm test"),
            tree: Digest::of(b"tree").as_str().parse().unwrap(),
            environment: Digest::of(b""),
            result: GateResult::Failed { exit: 1 },
            output: Digest::of(tail.as_bytes()),
            tail: tail.into(),
            tests: (!failed.is_empty()).then_some(tests),
            as_before: None,
            duration: Millis(1),
        }
    }

    #[test]
    fn what_differs_from_run_to_run_is_no_other_failure() {
        for (one, other) in [
            ("FAIL in 1.25s", "FAIL in 0.9s"),
            ("at 10:02:11 it failed", "at 23:59:07 it failed"),
            (
                "panicked at /tmp/lane-1/src/a.rs:10:5",
                "panicked at /var/x/lane-7/src/a.rs:11:9",
            ),
            ("object 0x7ffee3a0 is gone", "object 0x1234abcd is gone"),
            ("tree 3f2a9bc is wrong", "tree 91ce00d is wrong"),
            ("12 failed, 3 passed", "7 failed, 11 passed"),
            ("took 12ms\n\n", "took 9ms"),
        ] {
            assert_eq!(scrubbed(one), scrubbed(other));
            assert_eq!(of_run(&run(one, &[])), of_run(&run(other, &[])), "{one}");
        }
    }

    #[test]
    fn another_message_file_or_code_is_another_failure() {
        for (one, other) in [
            (
                "error[E0308]: mismatched types",
                "error[E0277]: mismatched types",
            ),
            ("src/a.rs:1: wrong", "src/b.rs:1: wrong"),
            ("no such table: users", "no such table: posts"),
        ] {
            assert_ne!(scrubbed(one), scrubbed(other));
        }
    }

    #[test]
    fn where_the_runner_names_its_tests_they_alone_count() {
        let first = run("1 of 9 in 3s: adds", &["adds", "subtracts"]);
        assert_eq!(
            of_run(&first),
            of_run(&run("something else", &["subtracts", "adds"]))
        );
        assert_ne!(
            of_run(&first),
            of_run(&run("1 of 9 in 3s: adds", &["adds"]))
        );
    }
}
