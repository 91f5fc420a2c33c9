//! Cutting output that comes in pieces into lines for those who read it.

/// A longer line is cut here; what the readers look for stands at the start of a line.
const LONGEST: usize = 4096;

/// Collects pieces and gives whole lines.
#[derive(Default)]
pub(super) struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Calls `line` for each line that `piece` completes: without its end, without colours, broken bytes replaced.
    pub(super) fn push(&mut self, piece: &[u8], mut line: impl FnMut(&str)) {
        let mut parts = piece.split(|&byte| byte == b'\n');
        self.extend(parts.next().unwrap_or_default());
        for part in parts {
            self.finish(&mut line);
            self.extend(part);
        }
    }

    /// Gives what stands after the last end of line, if anything.
    pub(super) fn finish(&mut self, mut line: impl FnMut(&str)) {
        line(&plain(&self.partial));
        self.partial.clear();
    }

    fn extend(&mut self, part: &[u8]) {
        let room = LONGEST - self.partial.len();
        self.partial
            .extend_from_slice(&part[..part.len().min(room)]);
    }
}

/// Without escape sequences of the form `ESC [ … letter`, and without the carriage return of a foreign line end.
fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end_matches('\r');
    if !text.contains('\u{1b}') {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        out.push_str(before);
        rest = match after.strip_prefix('[') {
            Some(sequence) => {
                let end = sequence.find(|letter: char| ('\u{40}'..='\u{7e}').contains(&letter));
                end.map_or("", |end| &sequence[end + 1..])
            }
            None => after,
        };
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut all) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.push(piece, |line| all.push(line.to_owned()));
        }
        lines.finish(|line| all.push(line.to_owned()));
        all
    }

    #[test]
    fn lines_are_the_same_however_the_output_is_cut() {
        let text = "one\r\n\u{1b}[31mt\u{1b}[0mwo\n\nthree ä";
        let whole = cut(&[text.as_bytes()]);
        assert_eq!(whole, ["one", "two", "", "three ä"]);
        let single: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(cut(&single), whole);
    }

    #[test]
    fn one_endless_line_is_cut() {
        assert_eq!(
            cut(&[&[b'x'; 100_000], &[b'y'; 10], b"\nz"])[0].len(),
            LONGEST
        );
        assert_eq!(cut(&[b"\x1b[3", b"1"]), [""]);
    }
}
