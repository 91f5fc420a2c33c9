//! What an event keeps of what comes from outside. Lengths are those of the stored form, in which one character may take
//! six bytes, so that no event grows past what a journal takes.

use crate::limits;
use crate::work::Work;

/// Free text from outside, cut to what an event keeps. The cut is said.
pub(crate) fn cut(text: &str) -> String {
    cut_to(text, limits::TEXT_BYTES)
}

/// The same with another limit.
pub(crate) fn cut_to(text: &str, most: usize) -> String {
    let mut stored = 0;
    let fits = |c: char| {
        stored += stored_bytes(c);
        stored <= most
    };
    let kept = text.chars().take_while({
        let mut fits = fits;
        move |c| fits(*c)
    });
    let end: usize = kept.map(char::len_utf8).sum();
    match text.len() - end {
        0 => text.to_owned(),
        more => format!("{} [{more} bytes cut]", &text[..end]),
    }
}

/// The first of some lines, each cut to a path's length; how many more there were is said in a last line.
pub(crate) fn few(lines: Vec<String>, most: usize) -> Vec<String> {
    let more = lines.len().saturating_sub(most);
    let mut kept: Vec<String> = lines
        .iter()
        .take(most)
        .map(|line| cut_to(line, limits::PATH_BYTES))
        .collect();
    if more > 0 {
        kept.push(format!("and {more} more"));
    }
    kept
}

/// What of a piece of work an event keeps: of each list the first entries, in so many bytes.
pub(crate) fn work(mut work: Work) -> Work {
    let tests = &mut work.tests;
    let lists = [
        &mut work.touched,
        &mut work.protected,
        &mut tests.added,
        &mut tests.grown,
        &mut tests.changed,
        &mut tests.removed,
        &mut tests.silenced,
        &mut tests.gates,
    ];
    for list in lists {
        let mut stored = 0;
        list.retain(|entry| {
            stored += entry.chars().map(stored_bytes).sum::<usize>() + 3;
            stored <= limits::PATH_LIST_BYTES
        });
    }
    work
}

/// How many bytes a character takes between the quotes of the stored form.
fn stored_bytes(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        c => c.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cut_text_is_stored_in_so_many_bytes(text in "(?s).{0,200}", most in 1_usize..200) {
            let cut = cut_to(&text, most);
            let kept = cut.rfind(" [").map_or(cut.as_str(), |at| &cut[..at]);
            if cut != text {
                prop_assert!(text.starts_with(kept));
                prop_assert!(serde_json::to_string(kept).unwrap().len() <= most + 2);
            }
        }

        #[test]
        fn what_a_character_takes_is_what_the_stored_form_has(c in any::<char>()) {
            let stored = serde_json::to_string(&c.to_string()).unwrap();
            prop_assert_eq!(stored.len() - 2, stored_bytes(c));
        }
    }

    #[test]
    fn the_first_lines_are_kept_and_the_rest_is_counted() {
        let lines = (1..=5).map(|n| n.to_string()).collect();
        assert_eq!(few(lines, 3), ["1", "2", "3", "and 2 more"]);
    }
}
