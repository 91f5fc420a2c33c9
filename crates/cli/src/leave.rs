//! What is put right even when the program ends at once.

use crate::error::Exit;
use engine::shutdown;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError, mpsc};

static FOLDER: Mutex<Option<PathBuf>> = Mutex::new(None);

/// This folder is of no use once the program has ended.
pub(crate) fn remove(folder: Option<PathBuf>) {
    *FOLDER.lock().unwrap_or_else(PoisonError::into_inner) = folder;
}

/// Ends the program now, and says how to go on where something is left to go on with.
pub(crate) fn now(exit: Exit, on: &str) -> ! {
    let (done, said) = mpsc::channel::<()>();
    let on = on.to_owned();
    let words = std::thread::Builder::new().spawn(move || {
        last_words(&on);
        drop(done);
    });
    // A terminal that takes nothing any more, and a thread that cannot be had, keep nobody here.
    if words.is_ok() {
        said.recv_timeout(shutdown::LAST_WORDS).ok();
    }
    std::process::exit(exit as i32)
}

fn last_words(on: &str) {
    crate::view::screen::end();
    let folder = FOLDER.lock().unwrap_or_else(PoisonError::into_inner).take();
    match folder {
        // What cannot be removed is left to whoever cleans the temporary folder.
        Some(folder) => workbench::disk::remove(&folder).unwrap_or(()),
        None => crate::view::note(on),
    }
}

/// From now on the program has as long as the guard of [`shutdown`] gives, whatever hangs in it. A thread of its own watches
/// over that, since what hangs may be what runs everything else.
pub(crate) fn at_the_latest(exit: Exit, on: String) {
    let guard = move || {
        std::thread::sleep(shutdown::GUARD.saturating_sub(shutdown::LAST_WORDS));
        now(exit, &on)
    };
    if let Err(error) = std::thread::Builder::new().spawn(guard) {
        tracing::warn!(%error, "nobody watches over how long the end takes");
    }
}
