//! The `orchestrator` program. Everything a person sees is here; everything that decides is not.

mod args;
mod begin;
mod commands;
mod config;
mod demo;
mod doctor;
mod error;
mod host;
mod hosting;
mod install;
mod leave;
mod places;
mod service_log;
mod show;
mod stamp;
mod trust;
mod view;

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args_os()
        .nth(1)
        .is_some_and(|word| word == workbench::guard::WORD)
    {
        return workbench::guard::main(std::env::args_os());
    }
    commands::run()
}
