//! `orchestrator uninstall`: what `install` did, taken back. Missions and their store stay.

use super::install::not_here;
use crate::args::PluginArgs;
use crate::error::{Error, Exit};
use crate::install::{World, watchdog};
use crate::view::{self, escape};

pub(crate) fn run(args: &PluginArgs) -> Result<Exit, Error> {
    let _watched = watchdog::start(args.patience.time());
    let world = World::find()?;
    let folder = world.layout.plugin();
    if args.dry_run {
        let plan = world.plan_uninstall()?;
        view::data(&escape::text(&plan.diff()));
        if folder.exists() {
            view::note(&format!("would remove {}", folder.display()));
        }
        if plan.is_empty() {
            view::note("OpenCode's configuration has no entry of ours");
        }
        return Ok(Exit::Good);
    }
    if let Some(exit) = not_here(&world, args) {
        return Ok(exit);
    }
    let done = world.uninstall()?;
    for path in &done.changed {
        let how = if path.exists() {
            "taken out of"
        } else {
            "removed"
        };
        view::note(&format!("{how} {}", path.display()));
    }
    for path in &done.backups {
        view::note(&format!("the file as it was: {}", path.display()));
    }
    if done.plugin {
        view::note(&format!("removed {}", folder.display()));
    }
    let state = world.layout.root().display();
    view::note(&match done.plugin || !done.changed.is_empty() {
        true => format!("missions and backups stay in {state}"),
        false => "it is not installed; nothing was changed".to_owned(),
    });
    Ok(Exit::Good)
}
