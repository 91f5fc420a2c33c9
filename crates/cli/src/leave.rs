//! What is put right even when the program ends at once.

use crate::error::Exit;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

static FOLDER: Mutex<Option<PathBuf>> = Mutex::new(None);

/// This folder is of no use once the program has ended.
pub(crate) fn remove(folder: Option<PathBuf>) {
    *FOLDER.lock().unwrap_or_else(PoisonError::into_inner) = folder;
}

/// Ends the program now, and says how to go on where something is left to go on with.
pub(crate) fn now(exit: Exit, on: &str) -> ! {
    crate::view::screen::end();
    let folder = FOLDER.lock().unwrap_or_else(PoisonError::into_inner).take();
    match folder {
        // What cannot be removed is left to whoever cleans the temporary folder.
        Some(folder) => workbench::disk::remove(&folder).unwrap_or(()),
        None => crate::view::note(on),
    }
    std::process::exit(exit as i32)
}
