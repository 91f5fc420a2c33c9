//! The form in which events are stored: canonical bytes, with the version that wrote them.

use crate::event::Event;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The version of the stored form that this program writes. It grows with every change to a stored type, added
/// fields included, so that an older program that meets a newer event says so instead of guessing.
pub const VERSION: u16 = 1;

/// An event as it is stored: with the version that wrote it and the moment at which it was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// The version of the stored form.
    pub v: u16,
    /// When it was decided.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}

/// Why stored bytes are not an event that this program knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A newer program wrote it.
    #[error(
        "the event was written in format {found}, and this program reads formats up to {VERSION}: upgrade it"
    )]
    Newer {
        /// The format it was written in.
        found: u16,
    },
    /// It is not an event.
    #[error("the event cannot be read: {0}")]
    Unreadable(String),
}

impl Recorded {
    /// The canonical bytes: JSON without blanks, fields in the order of their declaration.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("events hold nothing that JSON cannot say")
    }

    /// Reads canonical bytes. The version is looked at before anything else.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        #[derive(Deserialize)]
        struct Head {
            v: u16,
        }
        let unreadable = |error: serde_json::Error| DecodeError::Unreadable(error.to_string());
        let head: Head = serde_json::from_slice(bytes).map_err(unreadable)?;
        if head.v > VERSION {
            return Err(DecodeError::Newer { found: head.v });
        }
        serde_json::from_slice(bytes).map_err(unreadable)
    }
}
