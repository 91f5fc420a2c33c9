//! Names of refs, checked before git sees them.

use std::fmt;
use std::str::FromStr;

/// A full ref name such as `refs/heads/main` that git accepts and that cannot be taken for an option.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefName(String);

/// A text that is no ref name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} cannot be a ref name: {why}")]
pub struct BadRefName {
    given: String,
    why: &'static str,
}

impl RefName {
    /// `refs/heads/` and the name.
    ///
    /// # Errors
    /// If the name breaks git's rules for branches.
    pub fn branch(name: &str) -> Result<Self, BadRefName> {
        if name.starts_with('-') || name == "HEAD" {
            return Err(refuse(name, "git would take it for something else"));
        }
        Self::below("refs/heads/", name)
    }

    pub(crate) fn below(space: &str, name: &str) -> Result<Self, BadRefName> {
        format!("{space}{name}").parse()
    }

    /// The full name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn refuse(given: &str, why: &'static str) -> BadRefName {
    BadRefName {
        given: given.chars().take(80).collect(),
        why,
    }
}

impl FromStr for RefName {
    type Err = BadRefName;

    fn from_str(s: &str) -> Result<Self, BadRefName> {
        let forbidden = |c: char| c.is_control() || " ~^:?*[\\\u{7f}".contains(c);
        if !s.starts_with("refs/") || s.matches('/').count() < 2 {
            return Err(refuse(s, "it must start with `refs/` and a kind"));
        }
        if s.len() > 240 {
            return Err(refuse(s, "it is longer than 240 bytes"));
        }
        if s.contains(forbidden) || s.contains("..") || s.contains("@{") {
            return Err(refuse(s, "it holds a character that git gives a meaning"));
        }
        let bad = |part: &str| {
            part.is_empty()
                || part.starts_with(['.', '-'])
                || part.ends_with('.')
                || part.ends_with(".lock")
        };
        if s.split('/').any(bad) {
            return Err(refuse(
                s,
                "a part is empty, starts with `.` or `-`, or ends with `.` or `.lock`",
            ));
        }
        Ok(Self(s.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_refused_before_git_sees_them() {
        let long = "x".repeat(300);
        for bad in [
            "--upload-pack=x",
            "-f",
            "../x",
            "a/../b",
            "a..b",
            "",
            "a b",
            "a~1",
            "a^",
            "a:b",
            "a?",
            "a*",
            "a[",
            "a\\b",
            "a\nb",
            "a\0",
            ".a",
            "a/.b",
            "a.lock",
            "a/",
            "/a",
            "a//b",
            "a@{1}",
            "a.",
            "HEAD",
            &long,
        ] {
            assert!(
                RefName::branch(bad).is_err(),
                "{bad:?} was taken for a branch"
            );
        }
        for bad in ["main", "refs/main", "refs//x", "HEAD"] {
            assert!(
                bad.parse::<RefName>().is_err(),
                "{bad:?} was taken for a ref"
            );
        }
        assert_eq!(
            RefName::branch("feature/größe-2").unwrap().as_str(),
            "refs/heads/feature/größe-2"
        );
    }
}
