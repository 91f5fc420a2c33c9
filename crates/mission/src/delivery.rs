//! How the result reaches the user.

use crate::ids::{CommitId, Digest};
use crate::terms::Deliver;

/// Where the result's way to the user is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Nobody asked for it.
    None,
    /// It was asked for.
    Wanted(Deliver),
    /// The files are listed.
    Planned {
        /// In which form.
        form: Deliver,
        /// The digest of the list.
        plan: Digest,
        /// How many files.
        files: u32,
    },
    /// It could not be; nothing was written.
    Refused,
    /// It is done.
    Done {
        /// In which form.
        form: Deliver,
    },
    /// It is being taken back.
    Undoing {
        /// The form that it was done in.
        form: Deliver,
    },
    /// It was taken back.
    Undone,
}

/// Who takes a delivery back that broke off.
pub(crate) const ENGINE: &str = "the engine";

/// A delivery that was done and not taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handed {
    /// Which delivery.
    pub n: u32,
    /// In which form.
    pub form: Deliver,
    /// How many files it changed.
    pub files: u32,
    /// The end of the landed line that was handed over.
    pub commit: Option<CommitId>,
}
