//! `orchestrator completions` and `orchestrator man`: what a shell and `man` know of the command line.

use crate::args::Cli;
use crate::error::{Error, Exit};
use crate::view;
use clap::CommandFactory as _;
use std::path::Path;

pub(crate) fn completions(shell: clap_complete::Shell) -> Result<Exit, Error> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "orchestrator", &mut text);
    view::data(String::from_utf8_lossy(&text).trim_end());
    Ok(Exit::Good)
}

pub(crate) fn pages(folder: &Path) -> Result<Exit, Error> {
    std::fs::create_dir_all(folder).map_err(|error| Error::io("make", folder, &error))?;
    clap_mangen::generate_to(Cli::command(), folder)
        .map_err(|error| Error::io("write into", folder, &error))?;
    view::data(&format!(
        "wrote orchestrator.1 and a page for each command to {}",
        folder.display()
    ));
    Ok(Exit::Good)
}
