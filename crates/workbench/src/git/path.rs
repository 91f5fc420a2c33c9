//! Paths inside a tree: bytes, not text.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A path below the root of a tree, as git keeps it: bytes between slashes.
///
/// It is shown, and written into journals, as plain text where that is possible, and otherwise quoted as git quotes:
/// `"caf\351"`. Both forms read back to the same bytes, and neither carries a control character to a terminal.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoPath(Vec<u8>);

/// A path that cannot stand in a tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} is no path below the project's root: {why}")]
pub struct BadPath {
    /// The path, quoted.
    pub path: String,
    /// What is wrong with it.
    pub why: &'static str,
}

/// Longer paths are refused; Linux takes no longer ones in one call either.
const LONGEST: usize = 4096;

impl RepoPath {
    /// Takes a path that stays below the root: relative, no empty part, no `.`, `..` or `.git`, no zero byte.
    ///
    /// # Errors
    /// [`BadPath`] says which rule it broke.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, BadPath> {
        let bytes = bytes.into();
        let why = if bytes.is_empty() {
            "it is empty"
        } else if bytes.len() > LONGEST {
            "it is longer than 4096 bytes"
        } else if bytes.contains(&0) {
            "it holds a zero byte"
        } else if bytes
            .split(|b| *b == b'/')
            .any(|part| part.is_empty() || part == b"." || part == b"..")
        {
            "it is absolute or has an empty, `.` or `..` part"
        } else if bytes
            .split(|b| *b == b'/')
            .any(|part| part.eq_ignore_ascii_case(b".git"))
        {
            "it goes through a `.git`"
        } else {
            return Ok(Self(bytes));
        };
        let path = quote(&bytes[..bytes.len().min(200)]);
        Err(BadPath { path, why })
    }

    /// What git itself printed: trusted to be a path, not to be harmless.
    pub(crate) fn printed(bytes: &[u8]) -> Self {
        Self(bytes.to_owned())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As the operating system takes it.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// Below a folder.
    pub fn below(&self, root: &Path) -> PathBuf {
        root.join(self.as_path())
    }

    /// The last part.
    pub fn name(&self) -> &[u8] {
        self.0.rsplit(|b| *b == b'/').next().unwrap_or(&self.0)
    }

    /// Everything before the last part; empty at the root.
    pub fn parent(&self) -> &[u8] {
        self.0
            .iter()
            .rposition(|b| *b == b'/')
            .map_or(&[], |at| &self.0[..at])
    }

    /// Whether it is this folder or lies below it.
    pub fn is_within(&self, folder: &[u8]) -> bool {
        folder.is_empty()
            || self.0 == folder
            || (self.0.starts_with(folder) && self.0.get(folder.len()) == Some(&b'/'))
    }
}

fn plain(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let quiet = !text.starts_with('"') && !text.chars().any(|c| c.is_control() || is_invisible(c));
    quiet.then_some(text)
}

/// Characters that change how others are shown.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

fn quote(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    if let Some(text) = plain(bytes) {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(byte as char);
            }
            b'\n' => out.push_str("\\n"),
            b'\t' => out.push_str("\\t"),
            0x20..=0x7e => out.push(byte as char),
            _ => write!(out, "\\{byte:03o}").expect("writing to a string cannot fail"),
        }
    }
    out.push('"');
    out
}

fn unquote(text: &str) -> Option<Vec<u8>> {
    let Some(inner) = text.strip_prefix('"') else {
        return Some(text.as_bytes().to_owned());
    };
    let mut rest = inner.strip_suffix('"')?.bytes();
    let mut out = Vec::new();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match rest.next()? {
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            same @ (b'"' | b'\\') => out.push(same),
            first => {
                let digits = [first, rest.next()?, rest.next()?];
                out.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 8).ok()?);
            }
        }
    }
    Some(out)
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quote(&self.0))
    }
}

impl fmt::Debug for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<&str> for RepoPath {
    type Error = BadPath;

    fn try_from(text: &str) -> Result<Self, BadPath> {
        Self::new(text)
    }
}

impl Serialize for RepoPath {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&quote(&self.0))
    }
}

impl<'de> Deserialize<'de> for RepoPath {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = unquote(&text)
            .ok_or_else(|| serde::de::Error::custom("a quoted path that does not end"))?;
        Self::new(bytes).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_written_and_read_back_to_the_same_bytes() {
        let odd: [&[u8]; 8] = [
            b"src/a.rs",
            b"-f",
            b"a\nb",
            b"caf\xe9",
            b"\"q\"",
            b"a\\b",
            b"\x1b]52;c;x\x07",
            "\u{202e}x".as_bytes(),
        ];
        for bytes in odd {
            let path = RepoPath::new(bytes).unwrap();
            let text = serde_json::to_string(&path).unwrap();
            assert_eq!(
                serde_json::from_str::<RepoPath>(&text).unwrap(),
                path,
                "{text}"
            );
            assert!(!path.to_string().chars().any(char::is_control), "{path}");
        }
        assert_eq!(
            RepoPath::new(&b"caf\xe9"[..]).unwrap().to_string(),
            r#""caf\351""#
        );
    }

    #[test]
    fn paths_that_leave_the_root_are_refused() {
        let long = vec![b'x'; 5000];
        let bad: [&[u8]; 10] = [
            b"/etc/passwd",
            b"",
            b"a/../b",
            b"..",
            b"a//b",
            b"a/",
            b".git/config",
            b"x/.GIT",
            b"a\0b",
            &long,
        ];
        for bytes in bad {
            assert!(
                RepoPath::new(bytes).is_err(),
                "{:?} was taken",
                String::from_utf8_lossy(bytes)
            );
        }
    }

    #[test]
    fn a_folder_holds_what_lies_below_it_and_nothing_else() {
        let path = RepoPath::new("src/a/b").unwrap();
        assert!(path.is_within(b"src") && path.is_within(b"src/a/b") && path.is_within(b""));
        assert!(!path.is_within(b"sr") && !path.is_within(b"src/a/b/c"));
        assert_eq!((path.parent(), path.name()), (&b"src/a"[..], &b"b"[..]));
    }
}
