//! Names of things. Each kind is its own type, and each is readable on a screen.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A name that came from outside and is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a {what}; expected {expected}")]
pub struct ParseError {
    /// The text as given, shortened to 80 characters.
    pub given: String,
    /// The kind of name that was expected.
    pub what: &'static str,
    /// An example of the right form.
    pub expected: &'static str,
}

fn refuse(given: &str, what: &'static str, expected: &'static str) -> ParseError {
    ParseError {
        given: given.chars().take(80).collect(),
        what,
        expected,
    }
}

/// A mission's short name, unique in one store: `m7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MissionId(pub u32);

impl fmt::Display for MissionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m{}", self.0)
    }
}

impl FromStr for MissionId {
    type Err = ParseError;

    fn from_str(s: &str) -> Result<Self, ParseError> {
        ordinal(s, 'm')
            .map(Self)
            .ok_or_else(|| refuse(s, "mission", "`m` and a number, as in `m7`"))
    }
}

impl TryFrom<String> for MissionId {
    type Error = ParseError;

    fn try_from(s: String) -> Result<Self, ParseError> {
        s.parse()
    }
}

impl From<MissionId> for String {
    fn from(id: MissionId) -> Self {
        id.to_string()
    }
}

/// A task's name inside its mission: `T3`. The engine gives it, in the order of the plan, and never reuses one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskId(pub u32);

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "T{}", self.0)
    }
}

impl FromStr for TaskId {
    type Err = ParseError;

    fn from_str(s: &str) -> Result<Self, ParseError> {
        ordinal(s, 'T')
            .map(Self)
            .ok_or_else(|| refuse(s, "task", "`T` and a number, as in `T3`"))
    }
}

impl TryFrom<String> for TaskId {
    type Error = ParseError;

    fn try_from(s: String) -> Result<Self, ParseError> {
        s.parse()
    }
}

impl From<TaskId> for String {
    fn from(id: TaskId) -> Self {
        id.to_string()
    }
}

/// One try at a task: `T3.2` is the second try at `T3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AttemptId {
    /// The task that is tried.
    pub task: TaskId,
    /// Which try, from 1.
    pub n: u32,
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.task, self.n)
    }
}

impl FromStr for AttemptId {
    type Err = ParseError;

    fn from_str(s: &str) -> Result<Self, ParseError> {
        let refused = || refuse(s, "attempt", "a task and a number, as in `T3.2`");
        let (task, n) = s.split_once('.').ok_or_else(refused)?;
        Ok(Self {
            task: task.parse().map_err(|_| refused())?,
            n: number(n).ok_or_else(refused)?,
        })
    }
}

impl TryFrom<String> for AttemptId {
    type Error = ParseError;

    fn try_from(s: String) -> Result<Self, ParseError> {
        s.parse()
    }
}

impl From<AttemptId> for String {
    fn from(id: AttemptId) -> Self {
        id.to_string()
    }
}

/// Digits without sign, blank or leading zero, so that every name has exactly one spelling.
fn number(s: &str) -> Option<u32> {
    let plain = !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit()) && !s.starts_with('0');
    if plain { s.parse().ok() } else { None }
}

fn ordinal(s: &str, letter: char) -> Option<u32> {
    s.strip_prefix(letter).and_then(number)
}

/// A fencing number. It grows with every lease that the mission hands out, so that a late reply names an old one.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// The place of an event in its mission's journal, from 1. Zero is the place before the first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

macro_rules! object_name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name in full.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The first ten characters, for screens.
            pub fn short(&self) -> &str {
                &self.0[..10]
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = ParseError;

            fn from_str(s: &str) -> Result<Self, ParseError> {
                let hex = s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                if hex && (s.len() == 40 || s.len() == 64) {
                    Ok(Self(s.to_owned()))
                } else {
                    Err(refuse(s, $what, "40 or 64 lower-case hexadecimal digits"))
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseError;

            fn try_from(s: String) -> Result<Self, ParseError> {
                s.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}

object_name! {
    /// The git name of a tree: the exact content of all files.
    TreeId, "tree"
}

object_name! {
    /// The git name of a commit.
    CommitId, "commit"
}

object_name! {
    /// A SHA-256 digest (or another, of 40 or 64 digits), in hexadecimal.
    Digest, "digest"
}

impl Digest {
    /// The SHA-256 digest of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::{Digest as _, Sha256};
        Self::from_hash(Sha256::digest(bytes).into())
    }

    /// The digest that 32 bytes are.
    pub fn from_hash(hash: [u8; 32]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = String::with_capacity(64);
        for byte in hash {
            hex.push(char::from(DIGITS[usize::from(byte >> 4)]));
            hex.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        Self(hex)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_exactly_one_spelling() {
        assert_eq!("m7".parse(), Ok(MissionId(7)));
        assert_eq!("T3.2".parse::<AttemptId>().unwrap().to_string(), "T3.2");
        for bad in [
            "",
            "m",
            "m07",
            "m+7",
            "M7",
            "m7 ",
            "../../x",
            "m7\0",
            "m99999999999",
            "T3",
            "m0",
        ] {
            assert!(
                bad.parse::<MissionId>().is_err(),
                "{bad:?} was taken for a mission"
            );
        }
        for bad in ["T3", "T3.", "T3.0", "T03.1", ".1", "T3.1.1", "T-3.1"] {
            assert!(
                bad.parse::<AttemptId>().is_err(),
                "{bad:?} was taken for an attempt"
            );
        }
    }

    #[test]
    fn the_digest_is_sha_256() {
        assert_eq!(
            Digest::of(b"abc").as_str(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
