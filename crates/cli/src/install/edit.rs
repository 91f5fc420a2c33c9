//! Puts our entry into the text of a configuration file and takes it out again, and leaves every other byte as it is.
//!
//! Nothing is printed anew: an edit is a few bytes in or a few bytes out. Each is read back before anybody gets it, and
//! must say exactly what the old text said and the entry.

use super::jsonc::{self, Kind, Node, Property, Wrong};
use std::ops::Range;

/// The key that lists plugins.
const KEY: &str = "plugin";

/// A configuration file as it stands.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    /// Whether it begins with a byte-order mark.
    mark: bool,
    /// What follows.
    text: String,
    /// What it says; nothing if the file is empty.
    root: Option<Node>,
}

/// An entry that was put in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Added {
    /// The new content.
    pub(crate) bytes: Vec<u8>,
    /// Whether the key is new too.
    pub(crate) made_key: bool,
}

impl Text {
    /// Reads a file.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Wrong> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let (line, column) = jsonc::place(&String::from_utf8_lossy(good), usize::MAX);
            let what = "this is no UTF-8 text";
            Wrong { what, line, column }
        })?;
        let (mark, text) = match text.strip_prefix('\u{feff}') {
            Some(text) => (true, text.to_owned()),
            None => (false, text.to_owned()),
        };
        let read = Self {
            mark,
            root: match text.is_empty() {
                true => None,
                false => Some(jsonc::parse(&text)?),
            },
            text,
        };
        read.check().map_err(|(what, at)| {
            let (line, column) = jsonc::place(&read.text, at);
            Wrong { what, line, column }
        })?;
        Ok(read)
    }

    /// OpenCode does not start with anything else.
    fn check(&self) -> Result<(), (&'static str, usize)> {
        let Some(root) = &self.root else {
            return Ok(());
        };
        if root.properties().is_none() {
            return Err(("the whole is not an object", root.at.start));
        }
        match root.property(KEY).map(|found| &found.value) {
            Some(value) if value.elements().is_none() => {
                let what = match value.called() {
                    "a string" => "`plugin` is a string, and must be an array",
                    "null" => "`plugin` is null, and must be an array",
                    "an object" => "`plugin` is an object, and must be an array",
                    _ => "`plugin` is no array",
                };
                Err((what, value.at.start))
            }
            _ => Ok(()),
        }
    }

    /// Whether the file is empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// The elements of the list of plugins, if it has the key.
    pub(crate) fn plugins(&self) -> Option<&[Node]> {
        self.root.as_ref()?.property(KEY)?.value.elements()
    }

    /// What the plugins are called, in the form of the name alone; elements of unknown forms have none.
    pub(crate) fn specs(&self) -> Option<Vec<Option<&str>>> {
        Some(self.plugins()?.iter().map(spec).collect())
    }

    /// With an entry at the end of its list. An empty file becomes one with this schema.
    pub(crate) fn add(&self, entry: &str, schema: &str) -> Option<Added> {
        let entry = quoted(entry);
        let Some(root) = &self.root else {
            let whole = template(schema, &format!(",\n  {}: [{entry}]", quoted(KEY)));
            return Some(Added {
                bytes: self.bytes(&whole),
                made_key: true,
            });
        };
        let mut wanted = root.clone();
        let new = jsonc::parse(&entry).ok()?;
        let (made_key, insertions) = match root.property(KEY) {
            Some(found) => {
                list(&mut wanted)?.push(new);
                let items = found.value.elements()?.iter();
                let items: Vec<_> = items.map(|item| item.at.clone()).collect();
                let into = append(&self.text, &found.value.at, &items, &entry);
                (false, into)
            }
            None => {
                let property = format!("{}: [{entry}]", quoted(KEY));
                let properties = root.properties()?;
                let items: Vec<_> = properties.iter().map(|item| item.at.clone()).collect();
                let Kind::Object(all) = &mut wanted.kind else {
                    return None;
                };
                all.push(Property {
                    key: KEY.into(),
                    at: 0..0,
                    value: jsonc::parse(&format!("[{entry}]")).ok()?,
                });
                let into = append(&self.text, &root.at, &items, &property);
                (true, into)
            }
        };
        let mut text = self.text.clone();
        for (at, new) in insertions.iter().rev() {
            text.insert_str(*at, new);
        }
        let said = jsonc::parse(&text).ok()?;
        (said == wanted).then(|| Added {
            bytes: self.bytes(&text),
            made_key,
        })
    }

    /// Without our entries; without the key too if it is empty then and `made_key` says that it is ours. Nothing if
    /// there is nothing to take out.
    pub(crate) fn remove(&self, ours: &dyn Fn(&str) -> bool, made_key: bool) -> Option<Vec<u8>> {
        let mut text = self.text.clone();
        let mut root = self.root.clone()?;
        let mut changed = false;
        while let Some((property, n)) = find(&root, ours) {
            let list = &root.properties()?.get(property)?.value;
            let items: Vec<_> = list
                .elements()?
                .iter()
                .map(|item| item.at.clone())
                .collect();
            let mut wanted = root.clone();
            elements(&mut wanted, property)?.remove(n);
            (text, root) = cut(&text, &wanted, &items, n)?;
            changed = true;
        }
        let emptied = root.property(KEY).is_some_and(|found| {
            let elements = found.value.elements();
            elements.is_some_and(<[Node]>::is_empty)
        });
        if changed && made_key && emptied {
            let properties = root.properties()?;
            let n = properties.iter().rposition(|found| found.key == KEY)?;
            let items: Vec<_> = properties.iter().map(|item| item.at.clone()).collect();
            let mut wanted = root.clone();
            let Kind::Object(all) = &mut wanted.kind else {
                return None;
            };
            all.remove(n);
            (text, _) = cut(&text, &wanted, &items, n)?;
        }
        changed.then(|| self.bytes(&text))
    }

    fn bytes(&self, text: &str) -> Vec<u8> {
        let mark = if self.mark { "\u{feff}" } else { "" };
        [mark.as_bytes(), text.as_bytes()].concat()
    }
}

/// A new file with this schema and what follows it.
pub(crate) fn template(schema: &str, more: &str) -> String {
    format!("{{\n  \"$schema\": {}{more}\n}}\n", quoted(schema))
}

/// What an element of the list names: a plain name, or the first of a name with options.
fn spec(node: &Node) -> Option<&str> {
    let first = || node.elements()?.first()?.text();
    node.text().or_else(first)
}

/// A text as JSON. OpenCode puts variables and files in place of `{env:…}` and `{file:…}` before it reads; a brace that
/// is written as an escape means only itself.
fn quoted(text: &str) -> String {
    let quoted = serde_json::Value::String(text.to_owned()).to_string();
    quoted.replace('{', "\\u007b")
}

fn list(root: &mut Node) -> Option<&mut Vec<Node>> {
    let n = root.properties()?.iter().rposition(|p| p.key == KEY)?;
    elements(root, n)
}

fn elements(root: &mut Node, property: usize) -> Option<&mut Vec<Node>> {
    let Kind::Object(all) = &mut root.kind else {
        return None;
    };
    match &mut all.get_mut(property)?.value.kind {
        Kind::Array(elements) => Some(elements),
        _ => None,
    }
}

/// Where the first entry of ours is: in which property, at which place of its list. A key that stands twice counts once
/// for OpenCode, and nothing of ours is to stay in either.
fn find(root: &Node, ours: &dyn Fn(&str) -> bool) -> Option<(usize, usize)> {
    let properties = root.properties()?.iter().enumerate();
    let mut lists = properties.filter(|(_, found)| found.key == KEY);
    lists.find_map(|(property, found)| {
        let mut elements = found.value.elements()?.iter();
        let n = elements.position(|item| spec(item).is_some_and(ours))?;
        Some((property, n))
    })
}

/// What to insert where, so that a new item stands last. The neighbours say how: beside the last one if that shares its
/// line with others, else on a line of its own, indented alike.
fn append(
    text: &str,
    container: &Range<usize>,
    items: &[Range<usize>],
    new: &str,
) -> Vec<(usize, String)> {
    let Some(last) = items.last() else {
        let start = container.start + 1;
        let inside = text.get(start..container.end - 1).unwrap_or("");
        let Some(newline) = inside.find('\n') else {
            return vec![(start, new.to_owned())];
        };
        let unit = if text.contains("\n\t") { "\t" } else { "  " };
        let outer = indent(text, container.end - 1);
        let newline = line_end(text, start + newline);
        return vec![(start, format!("{newline}{outer}{unit}{new}"))];
    };
    let comma = comma_after(text, last.end);
    let Some(newline) = leads_line(text, last.start) else {
        return match comma {
            None => vec![(last.end, format!(", {new}"))],
            Some(comma) => vec![(comma + 1, format!(" {new},"))],
        };
    };
    let (newline, indent) = (line_end(text, newline), indent(text, last.start));
    match comma {
        None => {
            let at = rest_of_line(text, last.end);
            let line = (at, format!("{newline}{indent}{new}"));
            vec![(last.end, ",".into()), line]
        }
        Some(comma) => {
            let at = rest_of_line(text, comma + 1);
            vec![(at, format!("{newline}{indent}{new},"))]
        }
    }
}

/// Takes one of several items out, and the comma that goes with it; tells the text and what it says, which is `wanted`.
fn cut(text: &str, wanted: &Node, items: &[Range<usize>], n: usize) -> Option<(String, Node)> {
    let item = items.get(n)?.clone();
    let before = n.checked_sub(1).and_then(|n| items.get(n));
    let comma = match (comma_after(text, item.end), before) {
        (Some(comma), _) => Some(comma),
        (None, Some(before)) => comma_after(text, before.end),
        (None, None) => None,
    };
    let comma = comma.map_or(0..0, |comma| comma..comma + 1);
    let spaces = |text: &str| text.len() - text.trim_start_matches([' ', '\t']).len();
    let start = match leads_line(text, item.start) {
        Some(newline) => newline + 1 - line_end(text, newline).len(),
        None if before.is_some() => text[..item.start].trim_end_matches([' ', '\t']).len(),
        None => item.start,
    };
    // The first of several on one line takes the space behind its comma along.
    let behind = match start == item.start && items.len() > 1 && comma.start >= item.end {
        true => comma.end..comma.end + spaces(&text[comma.end..]),
        false => 0..0,
    };
    let neat = vec![start..item.end, comma.clone(), behind];
    let plain = vec![item, comma];
    [neat, plain].into_iter().find_map(|ranges| {
        let mut kept = String::with_capacity(text.len());
        for (at, c) in text.char_indices() {
            if !ranges.iter().any(|range| range.contains(&at)) {
                kept.push(c);
            }
        }
        let said = jsonc::parse(&kept).ok()?;
        (said == *wanted).then_some((kept, said))
    })
}

/// The comma that follows, whatever comments stand before it.
fn comma_after(text: &str, at: usize) -> Option<usize> {
    let at = jsonc::after_trivia(text, at);
    (text.as_bytes().get(at) == Some(&b',')).then_some(at)
}

/// The line feed before a place that only spaces separate from it.
fn leads_line(text: &str, at: usize) -> Option<usize> {
    let before = text.get(..at)?.trim_end_matches([' ', '\t']);
    before.ends_with('\n').then(|| before.len() - 1)
}

/// How the line ends that ends with this line feed.
fn line_end(text: &str, newline: usize) -> &'static str {
    match text.get(..newline).is_some_and(|text| text.ends_with('\r')) {
        true => "\r\n",
        false => "\n",
    }
}

/// What the line of a place begins with.
fn indent(text: &str, at: usize) -> &str {
    let before = text.get(..at).unwrap_or(text);
    let line = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = text.get(line..).unwrap_or("");
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}

/// The end of the comments that stand on the same line behind a place.
fn rest_of_line(text: &str, at: usize) -> usize {
    let mut end = at;
    loop {
        let rest = text.get(end..).unwrap_or("");
        let comment = rest.trim_start_matches([' ', '\t']);
        let skipped = rest.len() - comment.len();
        let length = if comment.starts_with("//") {
            comment.find(['\r', '\n']).unwrap_or(comment.len())
        } else if comment.starts_with("/*") {
            let length = jsonc::one_comment(comment);
            if comment[..length].contains(['\r', '\n']) {
                return end;
            }
            length
        } else {
            return end;
        };
        end += skipped + length;
    }
}

#[cfg(test)]
mod tests;
