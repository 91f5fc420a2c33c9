//! Text from models, repositories and tools, made harmless for a terminal: it can be read, and it can do nothing else.

use mission::invisible::{Shown, is_invisible};
use std::fmt::Write as _;

/// Makes text harmless and keeps its lines.
pub(crate) fn text(from: &str) -> String {
    let mut out = String::with_capacity(from.len());
    for c in from.chars() {
        match c {
            '\n' | '\t' => out.push(c),
            c if is_invisible(c) => {
                write!(out, "{}", Shown(c)).ok();
            }
            // Control characters, among them ESC and the 8-bit ones, begin what a terminal obeys.
            c if c.is_control() => out.push('\u{FFFD}'),
            c => out.push(c),
        }
    }
    out
}

/// Makes text harmless and puts it on one line.
pub(crate) fn line(from: &str) -> String {
    text(from).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Makes text harmless, puts it on one line, and cuts it to so many characters.
pub(crate) fn short(from: &str, most: usize) -> String {
    let whole = line(from);
    if whole.chars().count() <= most {
        return whole;
    }
    let mut cut: String = whole.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Makes text harmless, puts it on one line, and keeps so many characters of its end: what tells one path from another.
pub(crate) fn end(from: &str, most: usize) -> String {
    let whole = line(from);
    let n = whole.chars().count();
    if n <= most {
        return whole;
    }
    let kept = whole.chars().skip(n + 1 - most);
    std::iter::once('…').chain(kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_gets_through() {
        let attacks = [
            "\u{1b}]52;c;cm0gLXJmIC8=\u{7}",
            "\u{1b}[2J\u{1b}[HApprove? y",
            "\u{1b}[6n",
            "\u{9b}31m\u{9d}0;title\u{9c}",
            "\u{1b}]8;;file:///etc/passwd\u{1b}\\here",
            "a\rb\u{8}\u{7}\u{0}",
        ];
        for attack in attacks {
            let shown = text(attack);
            assert!(
                !shown
                    .chars()
                    .any(|c| c.is_control() && c != '\n' && c != '\t'),
                "{shown:?}"
            );
        }
        assert_eq!(
            text("safe \u{202E}txt.exe\u{E0041}"),
            "safe <U+202E>txt.exe<U+E0041>"
        );
        assert_eq!(short("a\n\nbcdef", 4), "a b…");
        assert_eq!(end("/home/ada/shop", 5), "…shop");
        assert_eq!(end("/shop", 5), "/shop");
    }
}
