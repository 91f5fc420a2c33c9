//! A change as people read it.

use std::fmt::Write as _;

/// So many lines are shown around the change.
const AROUND: usize = 3;

/// The difference of two texts that differ in one place, as a unified diff; nothing if there is none.
pub(crate) fn diff(name: &str, old: Option<&str>, new: Option<&str>) -> String {
    let lines = |text: Option<&str>| -> Vec<String> {
        let lines = text.unwrap_or("").split_inclusive('\n');
        lines.map(str::to_owned).collect()
    };
    if old == new {
        return String::new();
    }
    let (from, to) = (lines(old), lines(new));
    let same = |(a, b): &(&String, &String)| a == b;
    let head = from.iter().zip(&to).take_while(same).count();
    let tail = from[head..].iter().rev().zip(to[head..].iter().rev());
    let tail = tail.take_while(same).count();
    let start = head.saturating_sub(AROUND);
    let range = |all: &Vec<String>| start..(all.len() - tail + AROUND).min(all.len());
    let (a, b) = (range(&from), range(&to));
    let count = |range: &std::ops::Range<usize>| {
        let first = if range.is_empty() { 0 } else { range.start + 1 };
        format!("{first},{}", range.len())
    };
    let side = |there: bool, mark: &str| match there {
        true => format!("{mark}/{}", name.trim_start_matches('/')),
        false => "/dev/null".to_owned(),
    };
    let (left, right) = (side(old.is_some(), "a"), side(new.is_some(), "b"));
    let mut out = format!(
        "--- {left}\n+++ {right}\n@@ -{} +{} @@\n",
        count(&a),
        count(&b)
    );
    let mut put = |sign: char, lines: &[String]| {
        for line in lines {
            let end = if line.ends_with('\n') {
                ""
            } else {
                "\n\\ No newline at end of file\n"
            };
            write!(out, "{sign}{line}{end}").ok();
        }
    };
    put(' ', &from[a.start..head]);
    put('-', &from[head..from.len() - tail]);
    put('+', &to[head..to.len() - tail]);
    put(' ', &to[to.len() - tail..b.end]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_shown_with_the_lines_around_it() {
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n9";
        let new = "1\n2\n3\n4\n5\nx\n6\n7\n8\n9";
        let wanted = "--- a/f\n+++ b/f\n@@ -3,6 +3,7 @@\n 3\n 4\n 5\n+x\n 6\n 7\n 8\n";
        assert_eq!(diff("/f", Some(old), Some(new)), wanted);
        assert_eq!(diff("f", Some("a"), Some("a")), "");
        assert_eq!(
            diff("f", None, Some("a\n")),
            "--- /dev/null\n+++ b/f\n@@ -0,0 +1,1 @@\n+a\n"
        );
        assert_eq!(
            diff("f", Some("a"), Some("b")),
            "--- a/f\n+++ b/f\n@@ -1,1 +1,1 @@\n-a\n\\ No newline at end of file\n+b\n\\ No newline at end of file\n"
        );
    }
}
