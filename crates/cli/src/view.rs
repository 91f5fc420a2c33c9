//! What a person or a machine sees of a mission. Every view folds events; none asks the engine for state.

pub(crate) mod board;
pub(crate) mod escape;
mod frame;
pub(crate) mod keyboard;
pub(crate) mod lines;
pub(crate) mod live;
pub(crate) mod mishaps;
pub(crate) mod screen;
pub(crate) mod summary;
pub(crate) mod table;

use std::io::Write as _;

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

/// Prints data: what the command was asked for. A closed pipe is no error; there is just nobody to tell any more.
pub(crate) fn data(text: &str) {
    let mut out = std::io::stdout().lock();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    let written = out
        .write_all(text.as_bytes())
        .and_then(|()| out.write_all(end.as_bytes()));
    written.and_then(|()| out.flush()).ok();
}

/// Prints everything else.
pub(crate) fn note(text: &str) {
    screen::above(text.trim_end());
}
