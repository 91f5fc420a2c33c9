//! Rules of the inbox as the user's file has them.

use agents::SHELL;
use mission::limits;
use mission::rules::{self, Rule};

/// The rules as they count: a blank before or behind a pattern is no part of it.
pub(super) fn trimmed(rules: &[Rule]) -> Vec<Rule> {
    let trimmed = |rule: &Rule| Rule {
        action: rule.action,
        kind: rule.kind.trim().to_owned(),
        pattern: rule.pattern.trim().to_owned(),
    };
    rules.iter().map(trimmed).collect()
}

/// The first rule of the inbox that is none, and why.
pub(super) fn wrong(rules: &[Rule]) -> Option<String> {
    let most = limits::RULES;
    if rules.len() > most {
        return Some(format!(
            "there are {} `rules`; at most {most} are taken",
            rules.len()
        ));
    }
    (1..).zip(rules).find_map(|(n, rule)| {
        let fields = [("kind", &rule.kind), ("pattern", &rule.pattern)];
        let wrong = |(_, text): &(&str, &String)| {
            text.trim().is_empty() || text.len() > limits::RULE_BYTES
        };
        let kind = rule.kind.trim();
        if !kind.is_empty() && !rules::fits(kind, SHELL) {
            // A misspelt rule must not be no rule.
            return Some(format!(
                "`rules.kind` of rule {n} is `{kind}`, which no agent ever asks for: they ask before commands, `{SHELL}`; \
                 files of their workspace they may read and write, and everything else is denied"
            ));
        }
        let (key, text) = fields.into_iter().find(wrong)?;
        let (found, most) = (text.trim().len(), limits::RULE_BYTES);
        Some(format!(
            "`rules.{key}` of rule {n} has {found} bytes; it must have 1 to {most} (`*` fits everything)"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::path::Path;

    #[test]
    fn rules_are_read_in_their_order_and_what_is_none_is_named() {
        let read = |text: &str| Config::parse(text, Path::new("/c")).map(|config| config.rules());
        let text = "[[rules]]\naction = \"deny\"\nkind = \"bash\"\npattern = \"git push *\"\n\
                    [[rules]]\naction = \"allow\"\nkind = \"*\"\npattern = \"*\"\n";
        let rules = read(text).unwrap();
        assert_eq!((rules.len(), rules[0].pattern.as_str()), (2, "git push *"));
        for (text, what) in [
            (
                "[[rules]]\naction = \"never\"\nkind = \"*\"\npattern = \"*\"\n",
                "never",
            ),
            ("[[rules]]\naction = \"deny\"\nkind = \"*\"\n", "pattern"),
            (
                "[[rules]]\naction = \"deny\"\nkind = \" \"\npattern = \"*\"\n",
                "`rules.kind` of rule 1",
            ),
            (
                "[[rules]]\naction = \"deny\"\nkind = \"edit\"\npattern = \"*.lock\"\n",
                "no agent ever asks for",
            ),
            (
                "[[rules]]\naction = \"deny\"\nkind = \"Bash\"\npattern = \"git *\"\n",
                "`rules.kind` of rule 1 is `Bash`",
            ),
            (
                "[[rules]]\naction = \"deny\"\nkind = \"*\"\npattern = \"*\"\nwhen = 1\n",
                "when",
            ),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
        let blank = "[[rules]]\naction = \"deny\"\nkind = \" bash\"\npattern = \" git push * \"\n";
        let rule = read(blank).unwrap().remove(0);
        assert_eq!((&*rule.kind, &*rule.pattern), ("bash", "git push *"));
        let many = "[[rules]]\naction = \"deny\"\nkind = \"*\"\npattern = \"*\"\n";
        let error = read(&many.repeat(limits::RULES + 1))
            .unwrap_err()
            .to_string();
        assert!(error.contains("at most 64 are taken"), "{error}");
    }
}
