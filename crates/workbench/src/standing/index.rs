//! The form of git's index, as `gitformat-index(5)` has it: versions 2 and 3.

/// Bytes of an entry before its object's name: ten numbers of four bytes.
const STAT: usize = 40;

/// One entry of an index.
pub(super) struct Noted<'a> {
    /// What git noted of the file: ten numbers of four bytes.
    pub(super) stat: &'a [u8],
    /// The name of its object, as bytes.
    pub(super) id: &'a [u8],
    pub(super) path: &'a [u8],
}

impl Noted<'_> {
    pub(super) fn mode(&self) -> u32 {
        number(self.stat, 6)
    }
}

/// The entries of an index; nothing if it has another form.
pub(super) fn read(bytes: &[u8], name: usize) -> Option<Vec<Noted<'_>>> {
    let (head, mut rest) = bytes.split_at_checked(12)?;
    if &head[..4] != b"DIRC" || !matches!(number(head, 1), 2 | 3) {
        return None;
    }
    let count = usize::try_from(number(head, 2)).ok()?;
    let mut all = Vec::with_capacity(count.min(bytes.len() / STAT));
    for _ in 0..count {
        let flags = rest.get(STAT + name..STAT + name + 2)?;
        // A stage: the path is in conflict.
        if flags[0] & 0x30 != 0 {
            return None;
        }
        let path = STAT + name + if flags[0] & 0x40 != 0 { 4 } else { 2 };
        let length = rest.get(path..)?.iter().position(|byte| *byte == 0)?;
        all.push(Noted {
            stat: &rest[..STAT],
            id: &rest[STAT..STAT + name],
            path: &rest[path..path + length],
        });
        // One to eight zero bytes make the entry's length a multiple of eight.
        rest = rest.get((path + length + 8) / 8 * 8..)?;
    }
    Some(all)
}

/// The `n`th number of four bytes.
pub(super) fn number(bytes: &[u8], n: usize) -> u32 {
    let four = bytes[n * 4..n * 4 + 4].try_into();
    u32::from_be_bytes(four.unwrap_or_default())
}

/// When the file was written, in nanoseconds.
pub(super) fn modified(stat: &[u8]) -> i128 {
    i128::from(number(stat, 2)) * 1_000_000_000 + i128::from(number(stat, 3))
}
