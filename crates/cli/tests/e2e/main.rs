//! The program from outside: a user, a project, scripted agents, and everything that can happen to them.

#![expect(clippy::unwrap_used, reason = "these are tests")]
#![cfg_attr(
    feature = "faults",
    expect(
        clippy::print_stdout,
        reason = "the counts of the kill sweep are part of what it says"
    )
)]

mod ahead;
mod cleaned;
mod commands;
#[cfg(feature = "faults")]
mod cut_short;
mod damaged;
mod edited;
mod endings;
mod first;
mod foreseen;
mod honest;
mod interrupted;
mod kept;
#[cfg(feature = "faults")]
mod kill;
mod looked;
mod owner;
mod paid;
mod places;
mod plain;
mod redirected;
mod reused;
mod room;
mod set_ups;
#[cfg(feature = "faults")]
mod slept;
mod stacked;
mod steered;
mod storm;
mod terminal;
mod todo;
mod two;

use testkit::world::World;

/// A user with an empty project under git.
fn world() -> World {
    World::new(env!("CARGO_BIN_EXE_orchestrator"))
}

/// A project whose only check is that every file of `checks/` passes.
fn project() -> World {
    let makefile = "test:\n\t@for f in checks/*.sh; do sh $$f || exit 1; done\n";
    world()
        .file("Makefile", makefile)
        .file("checks/base.sh", "test -f Makefile\n")
        .file("a.txt", "old\n")
        .committed()
}
