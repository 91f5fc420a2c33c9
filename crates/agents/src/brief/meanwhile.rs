//! What an agent that is at work is told meanwhile.

use super::{fenced, list};
use mission::foresight::Stands;
use mission::stagnation::Stray;

/// What an agent that is at work is told when a person says something more.
pub fn said(text: &str) -> String {
    format!(
        "The user says, while you work:\n\n{}\nThis counts like your task, also for what you have done already. Then go on, and end as you were asked to.",
        list(&[text.to_owned()])
    )
}

/// What an agent that goes nowhere is told, with what was seen of it.
pub fn nudged(stray: Stray, why: &str) -> String {
    let (what, then) = match stray {
        Stray::Looping => (
            "you go round in circles",
            "Once more of the same brings nothing else. Say to yourself in two sentences what you know now and what you \
             do not, and take another way to it.",
        ),
        Stray::Stalled => (
            "you get nowhere",
            "Decide with what you know: make the smallest change that may be right, run its check, and go on from what \
             that says.",
        ),
        Stray::Quiet => (
            "nothing has been heard of you for long",
            "If a command hangs, end it and do without it.",
        ),
    };
    format!(
        "The engine sees that {what}:\n\n{}\n{then} If nothing is left to try, end your turn and say what you tried and what \
         would help. If it goes on like this, your turn is ended. End as you were asked to.",
        list(&[why.to_owned()])
    )
}

/// What an agent that is at work is told of what its work as it stands would not merge with: of whose tasks, as far as that
/// is known, and how far those are, the commit where it is found, the paths, and what is written there.
pub fn foreseen(
    (titles, stands): (&[String], Stands),
    commit: &str,
    paths: &[String],
    excerpt: &str,
) -> String {
    // Who goes on with an attempt is told the same again, maybe when the other has ended: what was at work is told as past.
    let (what, says, then) = match stands {
        Stands::Landed => ("has landed since you began", "says", "It stays."),
        Stands::HandedIn => (
            "another task has handed in",
            "says",
            "It will land before your work, if it is found good.",
        ),
        Stands::AtWork => (
            "another task, at work when this was found, had there when it was last looked at",
            "said",
            "It began before you, so that you are the one who makes way: while both of you work it is not told. What it \
             has there may change. Once it has ended only what it handed in or what landed counts, and you are told of that \
             only where it is something else.",
        ),
    };
    let whose = match titles.is_empty() {
        true => String::new(),
        false => format!("It belongs to:\n\n{}\n", list(titles)),
    };
    let says = match excerpt.is_empty() {
        true => String::new(),
        false => format!("It {says} there:\n\n{}\n\n", fenced(excerpt)),
    };
    format!(
        "The engine foresees a conflict: your work as it stands does not merge with what {what}, in:\n\n{}\n{whose}{says}\
         {then} All of it can be read with `git show {commit}:PATH`; your own files do not have it, and need not. Where \
         your task allows it, leave the lines that it changes as they were when you began, and put yours elsewhere in \
         the file, with a line between that neither changes. Where it does not, do your task as it is written: both \
         sides are put together afterwards. Then go on, and end as you were asked to.",
        list(paths)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nudge_says_what_was_seen_and_keeps_it_in_its_line() {
        let all = [Stray::Looping, Stray::Stalled, Stray::Quiet].map(|stray| {
            let text = nudged(stray, "bash: a\n\n## Request");
            assert!(text.contains("\n- bash: a ## Request\n"), "{text}");
            text
        });
        assert!(all[0] != all[1] && all[1] != all[2]);
    }

    #[test]
    fn a_conflict_that_is_foreseen_is_told_with_what_is_written_there_as_data() {
        let (titles, paths) = (
            ["Add a\n\n## Request".to_owned()],
            ["a.txt\n## b".to_owned()],
        );
        let text = foreseen(
            (&titles, Stands::Landed),
            "c0ffee",
            &paths,
            "a.txt: both\n```\n## Request",
        );
        for told in [
            "has landed since you began",
            "\n- a.txt ## b\n",
            "\n- Add a ## Request\n",
            "````text\na.txt: both\n```\n## Request\n````",
            "`git show c0ffee:PATH`",
        ] {
            assert!(text.contains(told), "{told}\n{text}");
        }
        let text = foreseen((&[], Stands::HandedIn), "c0ffee", &paths, "");
        assert!(
            !text.contains("belongs to") && !text.contains("says there"),
            "{text}"
        );
        assert!(text.contains("another task has handed in"), "{text}");
    }

    #[test]
    fn what_another_was_at_work_on_is_told_in_words_that_stay_true_when_it_has_ended() {
        let (titles, paths) = (["Add a".to_owned()], ["a.txt".to_owned()]);
        let text = foreseen((&titles, Stands::AtWork), "c0ffee", &paths, "a.txt: both");
        for told in [
            "at work when this was found, had there when it was last looked at",
            "It began before you",
            "while both of you work it is not told",
            "Once it has ended only what it handed in or what landed counts",
            "told of that only where it is something else",
            "It said there",
            "\n- Add a\n",
        ] {
            assert!(text.contains(told), "{told}\n{text}");
        }
        for passing in [
            "still at work",
            "has there now",
            "told nothing",
            "is ahead of",
        ] {
            assert!(!text.contains(passing), "{passing}\n{text}");
        }
    }
}
