//! Rules of the inbox: what agents ask for that a person has answered beforehand.
//!
//! Of the rules that fit what is asked for, one that denies wins over one that has a person asked, and that over one that
//! allows, in whatever order they stand: a rule is read alone. They are fixed when a mission opens. What OpenCode denies by
//! the user's own configuration is never asked for, so that no rule can allow it.

use crate::limits;
use crate::mission::Mission;
use crate::planted;
use crate::question::QUESTION;
use serde::{Deserialize, Serialize};

/// The kind of what is asked for before a command runs.
const SHELL: &str = "bash";

/// What a rule answers. The greater wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Yes, this once and every time.
    Allow,
    /// A person is asked, whatever else is allowed.
    Ask,
    /// No.
    Deny,
}

/// What is answered to what. In patterns `*` stands for any text and `?` for one character; ` *` at the end may stand for
/// nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The answer.
    pub action: Action,
    /// Which kind of thing, as OpenCode names it: `bash`, `edit`, `webfetch`.
    pub kind: String,
    /// What exactly: a command, a path, an address.
    pub pattern: String,
}

/// Whether a pattern names a text, as OpenCode reads its own.
pub fn fits(pattern: &str, text: &str) -> bool {
    let wild = |pattern: &str| {
        let (pattern, text): (Vec<char>, Vec<char>) =
            (pattern.chars().collect(), text.chars().collect());
        let (mut p, mut t) = (0, 0);
        // Where the last star stands, and what it stands for so far.
        let mut star: Option<(usize, usize)> = None;
        while t < text.len() {
            if p < pattern.len() && pattern[p] == '*' {
                star = Some((p, t));
                p += 1;
            } else if p < pattern.len() && (pattern[p] == '?' || pattern[p] == text[t]) {
                (p, t) = (p + 1, t + 1);
            } else if let Some((at, from)) = star {
                star = Some((at, from + 1));
                (p, t) = (at + 1, from + 1);
            } else {
                return false;
            }
        }
        pattern[p..].iter().all(|c| *c == '*')
    };
    wild(pattern) || pattern.strip_suffix(" *").is_some_and(wild)
}

/// What is asked for without the word before it that tells people what kind of thing it is.
fn named<'a>(kind: &str, text: &'a str) -> &'a str {
    let verb = if kind == SHELL { "run" } else { kind };
    let rest = text.strip_prefix(verb);
    rest.and_then(|rest| rest.strip_prefix(": "))
        .unwrap_or(text)
}

/// What begins or ends a command inside a line of shell, or writes into a file.
const JOINTS: [char; 12] = [';', '&', '|', '\n', '`', '$', '(', ')', '<', '>', '{', '}'];
/// What a command may stand between that a shell is given as a text.
const QUOTES: [char; 2] = ['"', '\''];

/// What may stand before a command and leaves it the same: words of the shell, and programs that start another.
const BEFORE: [&str; 34] = [
    "!", "if", "then", "elif", "else", "while", "until", "do", "time", "coproc", "exec", "eval",
    "command", "builtin", "env", "nice", "ionice", "chrt", "taskset", "nohup", "sudo", "doas",
    "su", "setsid", "stdbuf", "script", "strace", "xargs", "timeout", "watch", "parallel", "find",
    "fd", "busybox",
];

/// So many words are read of a command to find where another one begins in it.
const WORDS: usize = 32;

/// The parts of a line of shell, and whether each begins with the rest of a word: of a variable, or of a file's name.
fn parts(line: &str) -> impl Iterator<Item = (&str, bool)> {
    line.split_inclusive(JOINTS).scan(false, |is_rest, part| {
        let end = part.chars().next_back().filter(|c| JOINTS.contains(c));
        let text = &part[..part.len() - end.map_or(0, char::len_utf8)];
        let was_rest = std::mem::replace(is_rest, matches!(end, Some('$' | '<' | '>')));
        Some((text.trim(), was_rest))
    })
}

/// The commands that a part of a line may run: without quotes and with one space where there are several, from its first
/// word, or from any where something else stands before the command; and each by its name alone where its place is named.
fn readings(part: &str, begins_with_a_rest: bool) -> Vec<String> {
    let text: String = part
        .chars()
        .filter(|c| !QUOTES.contains(c) && *c != '\\')
        .collect();
    let words: Vec<&str> = text.split_whitespace().collect();
    let first = words.first().copied().unwrap_or_default();
    let sets = first.split_once('=').is_some_and(|(name, _)| {
        let name = name.strip_suffix('+').unwrap_or(name);
        !name.is_empty() && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric())
    });
    let read = match begins_with_a_rest || sets || BEFORE.contains(&file_name(first)) {
        true => words.len().min(WORDS),
        false => words.len().min(1),
    };
    let from = (0..read).map(|from| words[from..].join(" "));
    from.flat_map(|command| [file_name_first(&command), command])
        .collect()
}

fn file_name(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// A command whose program is named without the folder that it lies in.
fn file_name_first(command: &str) -> String {
    let (program, rest) = command.split_at(command.find(' ').unwrap_or(command.len()));
    format!("{}{rest}", file_name(program))
}

impl Rule {
    fn is_about(&self, kind: &str) -> bool {
        kind != QUESTION && fits(&self.kind, kind)
    }

    fn fits(&self, kind: &str, text: &str, whole: bool) -> bool {
        if !self.is_about(kind) {
            return false;
        }
        let what = named(kind, text).trim();
        if self.pattern == "*" {
            return true;
        }
        let parts: Vec<(&str, bool)> = match kind {
            SHELL => parts(what).collect(),
            _ => what.split(", ").map(|part| (part.trim(), false)).collect(),
        };
        let mut each = parts.iter().filter(|(part, _)| !part.is_empty());
        match self.action {
            // What is cut off may be anything, and what a command is joined to by more than `;`, `&` and `|` is not read.
            Action::Allow => {
                let nested = |c: char| "`$()<>{}\n".contains(c);
                let unread = kind == SHELL && what.contains(nested);
                whole && !unread && each.all(|(part, _)| fits(&self.pattern, part))
            }
            Action::Ask | Action::Deny => {
                let names = |part: &str| fits(&self.pattern, part);
                // In quotes there may stand a line of its own.
                let mut inside = each.flat_map(|(part, is_rest)| {
                    let quoted = part.split(QUOTES).flat_map(|inner| readings(inner, false));
                    let whole = readings(part, *is_rest);
                    quoted.chain(whole).chain([(*part).to_owned()])
                });
                names(what) || inside.any(|part| names(&part))
            }
        }
    }
}

/// The answer of the rules, and the number, from 1, of the one that gives it. Behind what was cut off may stand what a rule
/// denies or has a person asked about, so that such a text is asked about wherever there is such a rule.
pub fn ruled(rules: &[Rule], kind: &str, text: &str, whole: bool) -> Option<(usize, Action)> {
    let unseen = |rule: &Rule| !whole && rule.action > Action::Allow && rule.is_about(kind);
    let answers = (1..).zip(rules).filter_map(|(n, rule)| {
        if rule.fits(kind, text, whole) {
            return Some((n, rule.action));
        }
        unseen(rule).then_some((n, Action::Ask))
    });
    // Of several that answer the same the first is named.
    answers.reduce(|best, next| match next.1 > best.1 {
        true => next,
        false => best,
    })
}

/// What a person is shown of what an agent asks for; how much more there is, is said.
pub(crate) fn shown(text: &str) -> String {
    let more = text.chars().count().saturating_sub(limits::SHOWN_CHARS);
    if more == 0 {
        return text.to_owned();
    }
    let shown: String = text.chars().take(limits::SHOWN_CHARS).collect();
    format!("{shown}… and {more} more characters that are not shown")
}

impl Mission {
    /// The answer of the rules to what an agent asks for, and the number of the one that gives it. Of what is noted in a
    /// question only the beginning is known if it is `shown`.
    pub(crate) fn ruled(&self, kind: &str, text: &str, shown: bool) -> Option<(usize, Action)> {
        let most = if shown {
            limits::SHOWN_CHARS
        } else {
            limits::ASKED_CHARS - 1
        };
        let whole = text.chars().count() <= most;
        let ruled = ruled(&self.terms.rules, kind, text, whole);
        ruled.filter(|(_, action)| !(planted!("deny_rule_ignored") && *action == Action::Deny))
    }

    /// Whether a rule keeps something of a kind from being allowed as a whole: then each is asked for.
    pub fn restricts(&self, kind: &str) -> bool {
        let rules = self.terms.rules.iter();
        let mut of = rules.filter(|rule| rule.action > Action::Allow);
        of.any(|rule| fits(&rule.kind, kind))
    }

    /// Whether a rule may allow something of a kind that is denied otherwise.
    pub fn may_allow(&self, kind: &str) -> bool {
        let rules = self.terms.rules.iter();
        let mut of = rules.filter(|rule| rule.action == Action::Allow);
        of.any(|rule| fits(&rule.kind, kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(action: Action, kind: &str, pattern: &str) -> Rule {
        Rule {
            action,
            kind: kind.into(),
            pattern: pattern.into(),
        }
    }

    #[test]
    fn patterns_are_read_as_opencode_reads_them() {
        for (pattern, text) in [
            ("git push *", "git push origin main"),
            ("git push *", "git push"),
            ("*", ""),
            ("*.env", "a/b.env"),
            ("a?c", "abc"),
            ("a*b*c", "aXbYbZc"),
            ("ä*", "äß"),
        ] {
            assert!(fits(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("git push *", "git pushing"),
            ("a?c", "ac"),
            ("", "x"),
            ("a*b", "ac"),
        ] {
            assert!(!fits(pattern, text), "{pattern} {text}");
        }
        // No pattern takes longer than its length times that of the text.
        let (pattern, text) = (format!("{}b", "a*".repeat(200)), "a".repeat(2_000));
        assert!(!fits(&pattern, &text));
    }

    #[test]
    fn deny_wins_over_ask_and_that_over_allow_in_any_order() {
        let mut rules = vec![
            rule(Action::Allow, "bash", "git *"),
            rule(Action::Ask, "bash", "git push *"),
            rule(Action::Deny, "*", "*--force*"),
        ];
        for _ in 0..3 {
            let of = |text: &str| ruled(&rules, "bash", text, true).map(|(_, action)| action);
            assert_eq!(of("run: git status"), Some(Action::Allow));
            assert_eq!(of("run: git push origin"), Some(Action::Ask));
            assert_eq!(of("run: git push --force"), Some(Action::Deny));
            assert_eq!(of("run: make"), None);
            rules.rotate_left(1);
        }
        let (n, _) = ruled(&rules, "bash", "run: git push --force", true).unwrap();
        assert_eq!(n, 3);
        assert_eq!(
            ruled(&rules, QUESTION, "--force?", true),
            None,
            "no permission"
        );
    }

    #[test]
    fn nothing_is_allowed_along_with_what_is_and_nothing_is_hidden_from_what_denies() {
        let allow = [rule(Action::Allow, "bash", "git *")];
        let may = |text: &str| ruled(&allow, "bash", text, true).is_some();
        assert!(may("run: git status && git diff | git x"));
        for text in [
            "run: git status; rm -rf x",
            "run: git log $(rm x)",
            "run: git log `rm x`",
            "run: git log > x",
            "run: git status & rm x",
            "run: git a\nrm x",
        ] {
            assert!(!may(text), "{text}");
        }
        assert_eq!(ruled(&allow, "bash", "run: git xx", false), None, "cut off");
        let deny = [rule(Action::Deny, "bash", "git push *")];
        for text in [
            "run: git push",
            "run: cd x && git push -f",
            "run: (git push)",
            "run: x;git push a",
            "run: if true; then git push; fi",
            "run: for x in a b; do git  push $x; done",
            "run: A=1 B=2 git push",
            "run: sudo -n nice -n 5 git push",
            "run: ! git\tpush",
            "run: sh -c 'git push'",
            "run: { git push; }",
            "run: sudo -u deploy git push",
            "run: env -u X git push",
            "run: timeout 10s git push",
            "run: find . | xargs -I{} git push",
            "run: PATH=$PATH:/x git push",
            "run: 2>/dev/null git push",
            "run: git \"push\"",
            "run: 'git' push",
            "run: g\\it push",
            "run: /usr/bin/git push",
            "run: sudo /usr/bin/git push",
            "run: find . -name x -exec git push {} +",
            "run: A+=1 git push",
            "run: coproc git push",
            "run: stdbuf -oL git push",
            "run: watch -n 5 git push",
        ] {
            assert!(ruled(&deny, "bash", text, true).is_some(), "{text}");
        }
        for text in [
            "run: git pull",
            "run: echo a=git push",
            "run: git stash push",
            "run: echo git push",
            "run: ls bin/git push",
        ] {
            assert!(ruled(&deny, "bash", text, true).is_none(), "{text}");
        }
        let edit = [
            rule(Action::Allow, "edit", "src/*"),
            rule(Action::Deny, "edit", "*.lock"),
        ];
        let of = |text: &str| ruled(&edit, "edit", text, true).map(|(_, action)| action);
        assert_eq!(of("edit: src/a, src/b"), Some(Action::Allow));
        assert_eq!(of("edit: src/a, /etc/passwd"), None);
        assert_eq!(of("edit: src/a, Cargo.lock"), Some(Action::Deny));
        let all = [rule(Action::Allow, "bash", "*")];
        assert!(
            ruled(&all, "bash", "run: a; b > c", true).is_some(),
            "all is all"
        );
    }

    #[test]
    fn what_may_stand_behind_what_was_cut_off_is_asked_about() {
        let long = format!("run: cat <<E\n{}", "x\n".repeat(9));
        let mut rules = vec![rule(Action::Allow, "bash", "*")];
        let of = |rules: &[Rule], whole| ruled(rules, "bash", &long, whole);
        assert_eq!(of(&rules, false), Some((1, Action::Allow)), "all is all");
        for (action, cut) in [(Action::Deny, Action::Ask), (Action::Ask, Action::Ask)] {
            rules.push(rule(action, "bash", "git push *"));
            assert_eq!(of(&rules, true), Some((1, Action::Allow)));
            assert_eq!(of(&rules, false), Some((2, cut)));
            rules.pop();
        }
        rules.push(rule(Action::Deny, "edit", "*"));
        assert_eq!(of(&rules, false), Some((1, Action::Allow)), "another kind");
    }

    #[test]
    fn who_is_asked_sees_how_much_is_not_shown() {
        let short = "x".repeat(limits::SHOWN_CHARS);
        assert_eq!(shown(&short), short);
        let long = format!("{short}yz");
        assert!(shown(&long).ends_with("x… and 2 more characters that are not shown"));
    }
}
