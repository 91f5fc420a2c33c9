//! `orchestrator install`: the plugin's files, and their entry in OpenCode's configuration.

use crate::args::PluginArgs;
use crate::error::{Error, Exit};
use crate::install::{World, plugin, watchdog};
use crate::view::{self, escape};

pub(crate) fn run(args: &PluginArgs) -> Result<Exit, Error> {
    let _watched = watchdog::start(args.patience.time());
    let world = World::find()?;
    let folder = world.layout.plugin();
    if args.dry_run {
        let plan = world.plan_install()?;
        view::data(&escape::text(&plan.diff()));
        plan.notes.iter().for_each(|line| view::note(line));
        for file in plan.reasons() {
            view::note(&format!("would register in {file}"));
        }
        if !plugin::stale(&world.layout, &world.program)?.is_empty() {
            view::note(&format!(
                "would write the plugin's files to {}",
                folder.display()
            ));
        }
        return Ok(Exit::Good);
    }
    if let Some(exit) = not_here(&world, args) {
        return Ok(exit);
    }
    let done = world.install()?;
    done.notes.iter().for_each(|line| view::note(line));
    for file in done.reasons() {
        view::note(&format!("registered in {file}"));
    }
    for path in &done.backups {
        view::note(&format!("the file as it was: {}", path.display()));
    }
    if done.plugin {
        view::note(&format!("wrote the plugin's files to {}", folder.display()));
    }
    view::note(match done.plugin || !done.changed.is_empty() {
        true => "start OpenCode anew to load it; to take it out again: orchestrator uninstall",
        false => "nothing was changed",
    });
    Ok(Exit::Good)
}

/// Says why nothing is done here, if so.
pub(super) fn not_here(world: &World, args: &PluginArgs) -> Option<Exit> {
    let why = world.why_not_here().filter(|_| !args.even_here)?;
    view::note(&format!(
        "nothing was changed: {why}; `--even-here` does it all the same"
    ));
    Some(Exit::Good)
}
