//! What is kept of a command's output: a digest of all, the last of it, and a file where one is wanted.

use super::Error;
use mission::ids::Digest;
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;
use tokio::io::AsyncWriteExt as _;

/// How much of the end is kept, in bytes: enough for the summary of any test runner, little enough for a journal.
const TAIL: usize = 4096;

/// A file that keeps the beginning of the output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spill {
    /// The file. It must not exist yet: a name that is taken may be a link to somewhere else.
    pub path: PathBuf,
    /// At most this many bytes are written.
    pub most: u64,
}

impl Spill {
    /// A file of at most 16 MiB: what a person can still open.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            most: 16 << 20,
        }
    }
}

/// What a command wrote, both streams in the order in which they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// How much it was, in bytes.
    pub bytes: u64,
    /// The digest of all of it.
    pub digest: Digest,
    /// The last of it, at most 4 KiB. Bytes that are not UTF-8 are replaced. Untrusted: escape it where it is shown.
    pub tail: String,
}

pub(super) struct Kept {
    bytes: u64,
    hash: Sha256,
    tail: Vec<u8>,
    spill: Option<(tokio::fs::File, Spill)>,
}

impl Kept {
    pub(super) fn new(spill: Option<&Spill>) -> Result<Self, Error> {
        let open = |spill: &Spill| -> Result<_, Error> {
            let file = std::fs::File::create_new(&spill.path).map_err(|source| Error::Spill {
                path: spill.path.clone(),
                source,
            })?;
            Ok((tokio::fs::File::from_std(file), spill.clone()))
        };
        Ok(Self {
            bytes: 0,
            hash: Sha256::new(),
            tail: Vec::new(),
            spill: spill.map(open).transpose()?,
        })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) async fn push(&mut self, piece: &[u8]) -> Result<(), Error> {
        if let Some((file, spill)) = &mut self.spill {
            let room = usize::try_from(spill.most.saturating_sub(self.bytes)).unwrap_or(usize::MAX);
            let written = file.write_all(&piece[..piece.len().min(room)]).await;
            written.map_err(|source| Error::Spill {
                path: spill.path.clone(),
                source,
            })?;
        }
        self.bytes += piece.len() as u64;
        self.hash.update(piece);
        self.tail
            .extend_from_slice(&piece[piece.len().saturating_sub(TAIL)..]);
        let over = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..over);
        Ok(())
    }

    pub(super) async fn finish(mut self) -> Result<Output, Error> {
        if let Some((file, spill)) = &mut self.spill {
            file.flush().await.map_err(|source| Error::Spill {
                path: spill.path.clone(),
                source,
            })?;
        }
        Ok(Output {
            bytes: self.bytes,
            digest: digest(self.hash),
            tail: last(&self.tail),
        })
    }
}

/// The name of a finished hash.
pub(crate) fn digest(hash: Sha256) -> Digest {
    use std::fmt::Write as _;
    let mut hex = String::with_capacity(64);
    for byte in hash.finalize() {
        write!(hex, "{byte:02x}").expect("writing to a string cannot fail");
    }
    hex.parse().expect("64 hexadecimal digits are a digest")
}

/// Replacing broken bytes can make text longer, so it is cut once more, at the start of a character.
fn last(bytes: &[u8]) -> String {
    // A tail that starts inside a character would start with a replacement that the output does not hold.
    let whole = bytes
        .iter()
        .take(3)
        .take_while(|&&byte| byte & 0xc0 == 0x80)
        .count();
    let text = String::from_utf8_lossy(&bytes[whole..]);
    let mut from = text.len().saturating_sub(TAIL);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text[from..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_tail_is_the_end_and_never_longer_than_allowed() {
        let mut kept = Kept::new(None).unwrap();
        for _ in 0..1000 {
            kept.push("äöü\n".as_bytes()).await.unwrap();
        }
        let output = kept.finish().await.unwrap();
        assert_eq!(output.bytes, 7000);
        assert!(output.tail.len() <= TAIL && output.tail.len() > TAIL - 4);
        assert!(output.tail.ends_with("äöü\n") && !output.tail.contains('\u{fffd}'));
        assert_eq!(output.digest, Digest::of("äöü\n".repeat(1000).as_bytes()));
    }

    #[test]
    fn bytes_that_are_no_text_do_not_make_it_longer() {
        assert!(last(&[0xff; TAIL]).len() <= TAIL);
    }
}
