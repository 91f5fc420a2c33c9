//! The hash chain, to the byte, so that any tool can check it.
//!
//! The hash of an event is the SHA-256 of these bytes, one after another; numbers are unsigned and big-endian:
//!
//! | at | bytes | what                                                        |
//! |---:|------:|-------------------------------------------------------------|
//! |  0 |    32 | the hash of the event before, or 32 zero bytes              |
//! | 32 |     4 | how long the header is that follows: 48                     |
//! | 36 |     4 | the format of the event: 1                                  |
//! | 40 |    16 | the store's id                                              |
//! | 56 |     4 | the mission's number: 7 for `m7`                            |
//! | 60 |     8 | the event's place, from 1                                   |
//! | 68 |     8 | the epoch of the lease under which it was written           |
//! | 76 |     8 | how long the body is                                        |
//! | 84 |     … | the body                                                    |
//!
//! Every field has a fixed width or stands behind its length, so two different events never give the same bytes. The
//! store's id and the mission are part of it, so an event that was moved elsewhere does not fit there.

use crate::types::{Flaw, Head, StoreId};
use mission::ids::{Digest, Epoch, MissionId, Seq};
use sha2::{Digest as _, Sha256};

/// The newest format of an event that this version writes and knows.
pub const FORMAT: u32 = 1;

/// The hash in front of the first event.
pub const START: [u8; 32] = [0; 32];

const HEADER_BYTES: u32 = 48;

/// What an event's hash binds besides its body and the hash before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The store.
    pub store: StoreId,
    /// The mission.
    pub mission: MissionId,
    /// The place in the mission.
    pub seq: Seq,
    /// The lease.
    pub epoch: Epoch,
}

/// The hash of an event of format 1.
pub fn hash(prev: &[u8; 32], place: Place, body: &[u8]) -> [u8; 32] {
    let mut sha = Sha256::new();
    sha.update(prev);
    sha.update(HEADER_BYTES.to_be_bytes());
    sha.update(FORMAT.to_be_bytes());
    sha.update(place.store.0);
    sha.update(place.mission.0.to_be_bytes());
    sha.update(place.seq.0.to_be_bytes());
    sha.update(place.epoch.0.to_be_bytes());
    sha.update((body.len() as u64).to_be_bytes());
    sha.update(body);
    sha.finalize().into()
}

/// The 32 bytes that a digest spells. A digest of another length than 64 digits gives a hash that nothing has.
pub(crate) fn bytes(digest: &Digest) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digest.as_str().as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(pair).unwrap_or_default();
        *byte = u8::from_str_radix(digits, 16).unwrap_or_default();
    }
    bytes
}

/// A hash in the spelling that people see.
pub fn hex(hash: &[u8; 32]) -> Digest {
    Digest::from_hash(*hash)
}

/// An event as some store holds it, not yet believed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    pub(crate) seq: u64,
    pub(crate) format: u64,
    pub(crate) epoch: u64,
    pub(crate) prev: &'a [u8],
    pub(crate) hash: &'a [u8],
    pub(crate) body: &'a [u8],
}

/// A walk along a chain that stops at the first link that does not hold.
#[derive(Debug)]
pub(crate) struct Walk {
    store: StoreId,
    mission: MissionId,
    seq: u64,
    hash: [u8; 32],
    epoch: u64,
}

impl Walk {
    /// Starts behind an event that is already believed, or at the beginning.
    pub(crate) fn new(store: StoreId, mission: MissionId, seq: u64, hash: [u8; 32]) -> Self {
        Self {
            store,
            mission,
            seq,
            hash,
            epoch: 0,
        }
    }

    /// The place that the next event must have.
    pub(crate) fn next(&self) -> Seq {
        Seq(self.seq + 1)
    }

    /// The hash of the last event that was believed.
    pub(crate) fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// Believes one more event, or says why not.
    pub(crate) fn step(&mut self, row: Row<'_>) -> Result<(), Flaw> {
        let seq = self.next();
        if row.seq != seq.0 {
            return Err(Flaw::Gap { found: row.seq });
        }
        if row.format != u64::from(FORMAT) {
            return Err(Flaw::Format { found: row.format });
        }
        if row.prev != self.hash {
            return Err(Flaw::Prev);
        }
        let place = Place {
            store: self.store,
            mission: self.mission,
            seq,
            epoch: Epoch(row.epoch),
        };
        let found = hash(&self.hash, place, row.body);
        if row.hash != found {
            return Err(Flaw::Hash);
        }
        if row.epoch < self.epoch {
            return Err(Flaw::Epoch { found: row.epoch });
        }
        self.seq = seq.0;
        self.hash = found;
        self.epoch = row.epoch;
        Ok(())
    }

    /// Compares the end of the walk with the head and the epoch that the store keeps apart from the events.
    pub(crate) fn finish(
        &self,
        head_seq: u64,
        head_hash: &[u8],
        newest_epoch: u64,
    ) -> Result<Head, (Seq, Flaw)> {
        if self.seq < head_seq {
            return Err((self.next(), Flaw::Cut { head: head_seq }));
        }
        if self.seq > head_seq {
            return Err((Seq(head_seq.saturating_add(1)), Flaw::PastHead));
        }
        if self.hash != head_hash {
            return Err((Seq(self.seq), Flaw::OtherHead));
        }
        if self.epoch > newest_epoch {
            return Err((Seq(self.seq), Flaw::Epoch { found: self.epoch }));
        }
        Ok(Head {
            seq: Seq(self.seq),
            hash: hex(&self.hash),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"v":1,"asked":"add a login"}"#;

    fn place(seq: u64) -> Place {
        Place {
            store: StoreId(*b"0123456789abcdef"),
            mission: MissionId(7),
            seq: Seq(seq),
            epoch: Epoch(3),
        }
    }

    /// Ten lines that share nothing with the code above, as somebody would write them from the table.
    fn by_the_table(prev: [u8; 32], seq: u64, body: &[u8]) -> Digest {
        let mut bytes = prev.to_vec();
        bytes.extend([0, 0, 0, 48, 0, 0, 0, 1]);
        bytes.extend(b"0123456789abcdef");
        bytes.extend([0, 0, 0, 7]);
        for number in [seq, 3, body.len() as u64] {
            bytes.extend((0..8).rev().map(|n| (number >> (8 * n)) as u8));
        }
        bytes.extend(body);
        Digest::of(&bytes)
    }

    #[test]
    fn two_linked_events_have_the_published_hashes() {
        let first = hash(&START, place(1), BODY);
        let second = hash(&first, place(2), b"");
        assert_eq!(
            hex(&first).as_str(),
            "6b8884596eb9deb1261ef6ccd3065911549b1af7d64e2f982ae4dec89c34ad9b"
        );
        assert_eq!(
            hex(&second).as_str(),
            "6945229fcd46f4652c0f198206a6fe90f5bfb7a58273385ef3ab6e9eb055b2e1"
        );
        assert_eq!(hex(&first), by_the_table(START, 1, BODY));
        assert_eq!(hex(&second), by_the_table(first, 2, b""));
    }

    #[test]
    fn every_field_of_the_header_changes_the_hash() {
        let base = hash(&START, place(1), BODY);
        let others = [
            hash(&[1; 32], place(1), BODY),
            hash(&START, place(2), BODY),
            hash(&START, place(1), &BODY[1..]),
            hash(
                &START,
                Place {
                    store: StoreId([0; 16]),
                    ..place(1)
                },
                BODY,
            ),
            hash(
                &START,
                Place {
                    mission: MissionId(8),
                    ..place(1)
                },
                BODY,
            ),
            hash(
                &START,
                Place {
                    epoch: Epoch(4),
                    ..place(1)
                },
                BODY,
            ),
        ];
        assert!(others.iter().all(|other| *other != base));
    }

    #[test]
    fn a_walk_names_what_is_wrong_first() {
        let first = hash(&START, place(1), BODY);
        let good = Row {
            seq: 1,
            format: 1,
            epoch: 3,
            prev: &START,
            hash: &first,
            body: BODY,
        };
        let check = |row| Walk::new(place(1).store, MissionId(7), 0, START).step(row);
        assert_eq!(check(good), Ok(()));
        assert_eq!(check(Row { seq: 2, ..good }), Err(Flaw::Gap { found: 2 }));
        assert_eq!(
            check(Row { format: 2, ..good }),
            Err(Flaw::Format { found: 2 })
        );
        assert_eq!(
            check(Row {
                prev: &first,
                ..good
            }),
            Err(Flaw::Prev)
        );
        assert_eq!(check(Row { epoch: 4, ..good }), Err(Flaw::Hash));
        assert_eq!(
            check(Row {
                body: b"{}",
                ..good
            }),
            Err(Flaw::Hash)
        );
        assert_eq!(
            check(Row {
                hash: &first[1..],
                ..good
            }),
            Err(Flaw::Hash)
        );
    }

    #[test]
    fn an_epoch_never_falls_along_a_chain() {
        let first = hash(&START, place(1), BODY);
        let second = hash(
            &first,
            Place {
                epoch: Epoch(2),
                ..place(2)
            },
            BODY,
        );
        let mut walk = Walk::new(place(1).store, MissionId(7), 0, START);
        walk.step(Row {
            seq: 1,
            format: 1,
            epoch: 3,
            prev: &START,
            hash: &first,
            body: BODY,
        })
        .unwrap();
        assert_eq!(
            walk.finish(1, &first, 2),
            Err((Seq(1), Flaw::Epoch { found: 3 }))
        );
        let late = Row {
            seq: 2,
            format: 1,
            epoch: 2,
            prev: &first,
            hash: &second,
            body: BODY,
        };
        assert_eq!(walk.step(late), Err(Flaw::Epoch { found: 2 }));
    }
}
