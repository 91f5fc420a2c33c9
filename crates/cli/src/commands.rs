//! The commands, one file each.

mod answer;
mod cancel;
mod checks;
mod clean;
mod deliver;
mod demo;
mod diff;
mod doctor;
mod explain;
mod header;
mod install;
mod list;
mod log;
mod manual;
mod pause;
mod plan;
pub(crate) mod redirect;
mod resume;
mod serve;
mod show;
mod status;
mod steer;
mod task;
mod todo;
mod uninstall;
mod verify;

use crate::args::{Cli, Command};
use crate::error::{Error, Exit, Kind};
use clap::Parser as _;
use std::path::Path;
use std::process::ExitCode;

/// Reads the command line and does what it says.
pub(crate) fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            // What is wrong on the command line has a page like every other error.
            let coded = format!("error[{}]:", Kind::Usage.code());
            let text = error.render().to_string().replacen("error:", &coded, 1);
            let said = text.split("\nFor more information").next();
            let hint = "  hint: `--help` behind a command shows all that it takes";
            crate::view::note(&format!("{}\n{hint}", said.unwrap_or(&text).trim_end()));
            return Exit::Usage.into();
        }
        Err(help) => {
            crate::view::data(&help.render().to_string());
            return ended(Ok(Exit::Good)).into();
        }
    };
    ended(command(cli.command)).into()
}

/// How the program ends: as its command did, unless what the command said was lost on the way.
fn ended(done: Result<Exit, Error>) -> Exit {
    let done = done.and_then(|exit| match crate::view::lost() {
        Some(error) => Err(Error::io("write", Path::new("standard output"), &error)),
        None => Ok(exit),
    });
    done.unwrap_or_else(|error| {
        crate::view::note(&error.to_string());
        error.exit()
    })
}

fn command(command: Command) -> Result<Exit, Error> {
    match command {
        Command::Task(args) => task::run(args),
        Command::Demo(args) => demo::run(&args),
        Command::Checks(args) => checks::run(&args),
        Command::Status(args) => status::run(&args),
        Command::List(args) => list::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Log(args) => log::run(&args),
        Command::Plan(args) => plan::run(args),
        Command::Todo(args) => todo::run(args),
        Command::Diff(args) => diff::run(&args),
        Command::Deliver(args) => deliver::deliver(&args),
        Command::Undo(args) => deliver::undo(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Pause(args) => pause::run(&args),
        Command::Steer(args) => steer::run(&args),
        Command::Resume(args) => resume::run(&args),
        Command::Retry(args) => redirect::retry(&args),
        Command::Skip(args) => redirect::skip(&args),
        Command::Prioritise(args) => redirect::prioritise(&args),
        Command::Cancel(args) => cancel::run(&args),
        Command::Abort(args) => cancel::abort(&args),
        Command::Answer(args) => answer::run(&args),
        Command::Summary(args) => show::summary(&args),
        Command::Serve(args) => serve::run(args),
        Command::Clean(args) => clean::run(&args),
        Command::Install(args) => install::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Uninstall(args) => uninstall::run(&args),
        Command::Completions { shell } => manual::completions(shell),
        Command::Man { folder } => manual::pages(&folder),
        Command::Explain { code } => explain::run(&code),
    }
}
