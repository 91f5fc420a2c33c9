//! Characters that nobody sees. In text from outside they can tell a model what no person reads, or have a line look like
//! another one.

use std::fmt::Write as _;

/// Characters that change how others are shown, or that are not shown at all: those of Unicode's general category `Cf` but
/// the marks that are seen, variation selectors, and fillers that have no form.
pub fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
        | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}'
        | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF9}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
        | '\u{E0000}'..='\u{E01EF}')
}

/// Whether it belongs to writing behind another character: a joiner behind a letter or a picture that is not ASCII, and what
/// says whether a picture is shown as one, behind it or what keys of a telephone have on them.
fn belongs(c: char, before: char) -> bool {
    let is_seen = !before.is_ascii() && !is_invisible(before);
    match c {
        '\u{200C}' | '\u{200D}' => is_seen || before == '\u{FE0F}',
        '\u{FE0E}' | '\u{FE0F}' => {
            is_seen || before.is_ascii_digit() || matches!(before, '#' | '*')
        }
        _ => false,
    }
}

/// Such a character as it is shown instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown(pub char);

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<U+{:04X}>", self.0 as u32)
    }
}

/// A text in which all of them are shown, and which there were, each once, in the order of their first appearance.
///
/// What belongs to writing stays. The mark that some editors put at the beginning of a file is left out.
pub fn reveal(text: &str) -> (String, Vec<Shown>) {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let (mut out, mut found, mut before) = (String::with_capacity(text.len()), Vec::new(), ' ');
    for c in text.chars() {
        match is_invisible(c) && !belongs(c, before) {
            true => {
                let shown = Shown(c);
                if !found.contains(&shown) {
                    found.push(shown);
                }
                write!(out, "{shown}").ok();
            }
            false => out.push(c),
        }
        before = c;
    }
    (out, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sees_is_shown_and_what_belongs_to_writing_stays() {
        let hidden = "Use tabs.\u{E0041}\u{E0042}\u{E0041}\u{202E}\n";
        let (shown, found) = reveal(hidden);
        assert_eq!(shown, "Use tabs.<U+E0041><U+E0042><U+E0041><U+202E>\n");
        assert_eq!(found, ['\u{E0041}', '\u{E0042}', '\u{202E}'].map(Shown));
        for plain in [
            "👨\u{200D}💻 wrote it",
            "می\u{200C}خواهم",
            "❤\u{FE0F}\u{200D}🔥 1\u{FE0F}\u{20E3}",
            "tabs\n\tand more",
        ] {
            assert_eq!(reveal(plain), (plain.to_owned(), vec![]));
        }
        assert_eq!(reveal("\u{FEFF}a"), ("a".to_owned(), vec![]));
        // Behind a joiner that joins something, and behind ASCII, there is nothing to join.
        assert_eq!(reveal("💻\u{200D}\u{200D}").0, "💻\u{200D}<U+200D>");
        assert_eq!(reveal("a\u{200D}").0, "a<U+200D>");
        // So that bytes can be hidden behind one picture.
        let smuggled = reveal("😀\u{FE01}\u{E0145}").0;
        assert_eq!(smuggled, "😀<U+FE01><U+E0145>");
    }
}
