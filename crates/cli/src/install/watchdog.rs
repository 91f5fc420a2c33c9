//! Ends the program when its work hangs: a file system that does not answer, a lock that nobody gives back.

use crate::error::{Error, Exit, Kind};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

static DOING: Mutex<&str> = Mutex::new("starting");

/// Says what is done now, in case that it hangs.
pub(crate) fn doing(what: &'static str) {
    *DOING.lock().unwrap_or_else(PoisonError::into_inner) = what;
}

/// Whether work is watched: it is until this is dropped.
pub(crate) struct Watched(
    #[expect(dead_code, reason = "that it is dropped says enough")] Sender<()>,
);

/// Ends the program after a time, as a crash would: files are old or new at every instant.
pub(crate) fn start(limit: Duration) -> Watched {
    let (watched, over) = mpsc::channel();
    std::thread::spawn(move || {
        if over.recv_timeout(limit) != Err(RecvTimeoutError::Timeout) {
            return;
        }
        let doing = *DOING.lock().unwrap_or_else(PoisonError::into_inner);
        let what = format!("it took more than {} ms: {doing}", limit.as_millis());
        let error = Error::new(Kind::Plugin, what).hint(
            "every file is the old one or the new one; try again, or allow more with `--time`",
        );
        crate::leave::now(Exit::Failed, &error.to_string());
    });
    Watched(watched)
}
