//! Reads a configuration file as OpenCode reads it: JSON with comments and trailing commas, and where everything stands.
//!
//! It takes what OpenCode 1.18 takes and refuses what it refuses: a raw tab in a string is an error there, half of a
//! surrogate pair is none, the last of two equal keys counts. Libraries for such files differ in those. Nothing is
//! written here, and numbers are never computed, so that none can lose a digit.

use std::fmt;
use std::ops::Range;

/// OpenCode itself gives up somewhat deeper, and no configuration goes there.
const DEPTH: usize = 512;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Its bytes.
    pub(crate) at: Range<usize>,
    /// What it is.
    pub(crate) kind: Kind,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// Keys and values, in their order.
    Object(Vec<Property>),
    /// Values.
    Array(Vec<Node>),
    /// A text, with its escapes read; half a surrogate pair becomes a replacement character.
    Text(String),
    /// A number, `true`, `false` or `null`, as it is written.
    Word(String),
}

/// One key and its value.
#[derive(Clone, Debug)]
pub(crate) struct Property {
    /// The key, with its escapes read.
    pub(crate) key: String,
    /// Where key and value stand.
    pub(crate) at: Range<usize>,
    /// The value.
    pub(crate) value: Node,
}

impl Node {
    /// Its text, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Its properties, if it is an object.
    pub(crate) fn properties(&self) -> Option<&[Property]> {
        match &self.kind {
            Kind::Object(properties) => Some(properties),
            _ => None,
        }
    }

    /// Its elements, if it is an array.
    pub(crate) fn elements(&self) -> Option<&[Self]> {
        match &self.kind {
            Kind::Array(elements) => Some(elements),
            _ => None,
        }
    }

    /// The property of this name that counts: the last one.
    pub(crate) fn property(&self, key: &str) -> Option<&Property> {
        let mut all = self.properties()?.iter();
        all.rfind(|property| property.key == key)
    }

    /// What it is, for people.
    pub(crate) fn called(&self) -> &str {
        match &self.kind {
            Kind::Object(_) => "an object",
            Kind::Array(_) => "an array",
            Kind::Text(_) => "a string",
            Kind::Word(word) if word == "null" => "null",
            Kind::Word(word) if word == "true" || word == "false" => word,
            Kind::Word(_) => "a number",
        }
    }
}

/// Equal in what they say, wherever they stand.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        match (&self.kind, &other.kind) {
            (Kind::Object(a), Kind::Object(b)) => a == b,
            (Kind::Array(a), Kind::Array(b)) => a == b,
            (Kind::Text(a), Kind::Text(b)) | (Kind::Word(a), Kind::Word(b)) => a == b,
            _ => false,
        }
    }
}

impl PartialEq for Property {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.value == other.value
    }
}

/// Why a text is not what OpenCode reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// What is wrong.
    pub(crate) what: &'static str,
    /// The line, from 1.
    pub(crate) line: usize,
    /// The character in the line, from 1.
    pub(crate) column: usize,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}, column {}: {}",
            self.line, self.column, self.what
        )
    }
}

/// Line and column of a place in a text, both from 1.
pub(crate) fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    (line, before[start..].chars().count() + 1)
}

/// Reads a text that begins without a byte-order mark.
pub(crate) fn parse(text: &str) -> Result<Node, Wrong> {
    let mut reader = Reader { text, at: 0 };
    let read = reader.skip().and_then(|()| {
        let node = reader.value(0)?;
        reader.skip()?;
        match reader.peek() {
            None => Ok(node),
            Some(_) => Err("something stands after the end of the value"),
        }
    });
    read.map_err(|what| {
        let (line, column) = place(text, reader.at);
        Wrong { what, line, column }
    })
}

/// The end of what means nothing (spaces, line ends, comments) from a place on.
pub(crate) fn after_trivia(text: &str, at: usize) -> usize {
    let mut reader = Reader { text, at };
    reader.skip().ok();
    reader.at
}

/// The length of the block comment that a text begins with.
pub(crate) fn one_comment(text: &str) -> usize {
    let end = text.get(2..).and_then(|inside| inside.find("*/"));
    end.map_or(text.len(), |end| end + 4)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

type Read<T> = Result<T, &'static str>;

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn skip(&mut self) -> Read<()> {
        loop {
            let rest = self.rest();
            if rest.starts_with([' ', '\t', '\r', '\n']) {
                self.at += 1;
            } else if rest.starts_with("//") {
                self.at += rest.find(['\n', '\r']).unwrap_or(rest.len());
            } else if let Some(inside) = rest.strip_prefix("/*") {
                inside.find("*/").ok_or("a comment is never closed")?;
                self.at += one_comment(rest);
            } else {
                return Ok(());
            }
        }
    }

    fn value(&mut self, depth: usize) -> Read<Node> {
        if depth > DEPTH {
            return Err("values stand in one another too deep");
        }
        let start = self.at;
        let kind = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => Kind::Text(self.string()?),
            Some(_) => Kind::Word(self.word()?),
            None => return Err("a value is missing"),
        };
        Ok(Node {
            at: start..self.at,
            kind,
        })
    }

    /// Whether the closing character comes now; else goes past the comma that must stand before the next one.
    fn closed(&mut self, close: u8, first: bool) -> Read<bool> {
        self.skip()?;
        if !first && self.peek() != Some(close) {
            if self.peek() != Some(b',') {
                return Err("a comma or the closing bracket is missing");
            }
            self.at += 1;
            self.skip()?;
        }
        let closed = self.peek() == Some(close);
        self.at += usize::from(closed);
        Ok(closed)
    }

    fn array(&mut self, depth: usize) -> Read<Kind> {
        self.at += 1;
        let mut elements = Vec::new();
        while !self.closed(b']', elements.is_empty())? {
            elements.push(self.value(depth + 1)?);
        }
        Ok(Kind::Array(elements))
    }

    fn object(&mut self, depth: usize) -> Read<Kind> {
        self.at += 1;
        let mut properties = Vec::new();
        while !self.closed(b'}', properties.is_empty())? {
            let start = self.at;
            if self.peek() != Some(b'"') {
                return Err("a key in double quotes is missing");
            }
            let key = self.string()?;
            self.skip()?;
            if self.peek() != Some(b':') {
                return Err("a colon is missing");
            }
            self.at += 1;
            self.skip()?;
            let value = self.value(depth + 1)?;
            properties.push(Property {
                key,
                at: start..self.at,
                value,
            });
        }
        Ok(Kind::Object(properties))
    }

    fn word(&mut self) -> Read<String> {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c));
        let word = &rest[..end.unwrap_or(rest.len())];
        if !["true", "false", "null"].contains(&word) && !is_number(word) {
            return Err("this is no value");
        }
        let word = word.to_owned();
        self.at += word.len();
        Ok(word)
    }

    fn string(&mut self) -> Read<String> {
        self.at += 1;
        let mut units: Vec<u16> = Vec::new();
        loop {
            let next = self.rest().chars().next();
            let c = next.ok_or("a string is never closed")?;
            match c {
                '"' => {
                    self.at += 1;
                    return Ok(String::from_utf16_lossy(&units));
                }
                '\\' => {
                    let unit = self.escape()?;
                    units.push(unit);
                }
                '\n' | '\r' => return Err("a string is never closed on its line"),
                c if (c as u32) < 0x20 => return Err("a control character stands in a string"),
                c => {
                    units.extend(c.encode_utf16(&mut [0; 2]).iter());
                    self.at += c.len_utf8();
                }
            }
        }
    }

    fn escape(&mut self) -> Read<u16> {
        const WRONG: &str = "an escape in a string is wrong";
        let bytes = self.rest().as_bytes();
        let (unit, length) = match bytes.get(1) {
            Some(c @ (b'"' | b'\\' | b'/')) => (u16::from(*c), 2),
            Some(b'b') => (0x08, 2),
            Some(b'f') => (0x0c, 2),
            Some(b'n') => (0x0a, 2),
            Some(b'r') => (0x0d, 2),
            Some(b't') => (0x09, 2),
            Some(b'u') => {
                let digits = self.rest().get(2..6).ok_or(WRONG)?;
                if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                    return Err(WRONG);
                }
                (u16::from_str_radix(digits, 16).map_err(|_| WRONG)?, 6)
            }
            _ => return Err(WRONG),
        };
        self.at += length;
        Ok(unit)
    }
}

/// Whether a word is a number of JSON, of any size.
fn is_number(word: &str) -> bool {
    fn digits(text: &str) -> (usize, &str) {
        let n = text.bytes().take_while(u8::is_ascii_digit).count();
        (n, &text[n..])
    }
    let word = word.strip_prefix('-').unwrap_or(word);
    let (n, mut rest) = digits(word);
    if n == 0 || (n > 1 && word.starts_with('0')) {
        return false;
    }
    if let Some(fraction) = rest.strip_prefix('.') {
        let (n, after) = digits(fraction);
        if n == 0 {
            return false;
        }
        rest = after;
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let (n, after) = digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
        return n > 0 && after.is_empty();
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_opencode_reads_is_read() {
        let long = format!("{}1{}", "[".repeat(500), "]".repeat(500));
        for text in [
            "{}",
            " [1, 2,] // end",
            "{\"a\":\"\\ud800\",\"n\":1e400,\"m\":9007199254740993,}",
            "/* a */{/* b */\"a\"/**/:/**/-0.5e-10/**/,/**/}/* c */",
            "{\"pl\\u0075gin\":[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]}\r\n",
            "\"\u{7f}\u{85}\u{2028}\"",
            &long,
        ] {
            assert!(parse(text).is_ok(), "{text}: {:?}", parse(text));
        }
        let keys = parse("{\"pl\\u0075gin\":1,\"plugin\":2}").unwrap();
        let last = keys.property("plugin").unwrap();
        assert_eq!(last.value.kind_word(), "2");
    }

    #[test]
    fn what_opencode_refuses_is_refused_with_its_place() {
        let deep = "[".repeat(100_000);
        for (text, line, column) in [
            ("", 1, 1),
            ("// c\n", 2, 1),
            ("{\"a\":1,,}", 1, 8),
            ("{\n  \"é\": 1\n  \"b\": 2\n}", 3, 3),
            ("{'a':1}", 1, 2),
            ("{a:1}", 1, 2),
            ("{\"a\":01}", 1, 6),
            ("{\"a\":.5}", 1, 6),
            ("{\"a\":+5}", 1, 6),
            ("{\"a\":1.}", 1, 6),
            ("{\"a\":1e}", 1, 6),
            ("{\"a\":0x1}", 1, 6),
            ("{\"a\":NaN}", 1, 6),
            ("{\"a\":tru}", 1, 6),
            ("{\"a\":\"b\tc\"}", 1, 8),
            ("{\"a\":\"b\nc\"}", 1, 8),
            ("{\"a\":\"\\x41\"}", 1, 7),
            ("{\"a\":\"\\u00g1\"}", 1, 7),
            ("{\"a\":1} x", 1, 9),
            ("{\"a\":1", 1, 7),
            ("{\"a\" 1}", 1, 6),
            ("/* a", 1, 1),
            ("\u{a0}{}", 1, 1),
            (deep.as_str(), 1, 514),
        ] {
            let wrong = parse(text).unwrap_err();
            assert_eq!((wrong.line, wrong.column), (line, column), "{wrong}");
        }
    }

    impl Node {
        fn kind_word(&self) -> &str {
            match &self.kind {
                Kind::Word(word) => word,
                _ => "",
            }
        }
    }
}
