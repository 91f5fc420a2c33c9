//! What a person or a machine sees of a mission. Every view folds events; none asks the engine for state.

pub(crate) mod ahead;
pub(crate) mod asked;
pub(crate) mod board;
pub(crate) mod cost;
pub(crate) mod escape;
pub(crate) mod foresight;
pub(crate) mod frame;
pub(crate) mod json;
pub(crate) mod keyboard;
pub(crate) mod lines;
pub(crate) mod live;
pub(crate) mod mishaps;
pub(crate) mod pace;
pub(crate) mod panel;
pub(crate) mod quiet;
pub(crate) mod reuse;
pub(crate) mod screen;
pub(crate) mod sessions;
pub(crate) mod steering;
pub(crate) mod stuck;
pub(crate) mod summary;
pub(crate) mod table;
pub(crate) mod why;

use std::io::{self, Write as _};
use std::sync::{Mutex, PoisonError};

/// How a running mission is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Its events as JSON, for machines.
    Json,
    /// One line for each thing that a person wants to know of.
    Plain,
    /// The same lines, and below them what is being done at this moment.
    Live,
}

/// What was first lost of the data, and why.
static LOST: Mutex<Option<io::Error>> = Mutex::new(None);

/// Prints data: what the command was asked for. A closed pipe is no error; there is just nobody to tell any more.
pub(crate) fn data(text: &str) {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    bytes(format!("{text}{end}").as_bytes());
}

/// Prints data as it is, byte by byte.
pub(crate) fn bytes(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let mut lost = LOST.lock().unwrap_or_else(PoisonError::into_inner);
            lost.get_or_insert(error);
        }
        _ => {}
    }
}

/// Why data that was to be printed was not, if it was not.
pub(crate) fn lost() -> Option<io::Error> {
    LOST.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Prints everything else. What works in the background keeps it as well, or instead.
pub(crate) fn note(text: &str) {
    if !crate::service_log::told(text) {
        screen::above(text.trim_end());
    }
}

/// Prints lines that a terminal which is too narrow breaks between words; what goes on stands so many columns in.
pub(crate) fn hanging(text: &str, indent: usize) {
    match screen::size() {
        Some((width, _)) => note(&screen::wrap(text, width, indent)),
        None => note(text),
    }
}
