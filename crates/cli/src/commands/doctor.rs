//! `orchestrator doctor`: what is as it should be, what is not, and what to do about it.

use crate::args::DoctorArgs;
use crate::doctor::{self, Finding, Repair};
use crate::error::{Error, Exit, Kind};
use crate::install::{World, watchdog};
use crate::{places, view};

pub(crate) fn run(args: &DoctorArgs) -> Result<Exit, Error> {
    if args.fix && !args.yes && !places::attended() {
        let what = "nobody is here to be asked before each repair";
        return Err(Error::new(Kind::Usage, what).hint("`--yes` makes all of them unasked"));
    }
    let world = World::find()?;
    let mut findings = doctor::examine(&world);
    let mut failed = false;
    if args.fix {
        view::note(&doctor::text(&findings));
        failed = repair(&world, &findings, args);
        findings = doctor::examine(&world);
    }
    view::data(&match args.json {
        true => doctor::json(&findings).to_string(),
        false => doctor::text(&findings),
    });
    Ok(match failed || doctor::is_broken(&findings) {
        true => Exit::Failed,
        false => Exit::Good,
    })
}

/// Makes the repairs that are wanted, each whatever became of the others. Tells whether one failed.
fn repair(world: &World, findings: &[Finding], args: &DoctorArgs) -> bool {
    let mut wanted: Vec<&Repair> = findings
        .iter()
        .filter_map(|found| found.repair.as_ref())
        .collect();
    // Nothing is written into a folder that is not ours alone.
    wanted.sort_by_key(|repair| !matches!(repair, Repair::Mode(_)));
    let (mut asked, mut failed): (Vec<&Repair>, bool) = (Vec::new(), false);
    for repair in wanted {
        // To install again is to install.
        let covered = *repair == Repair::Install && asked.contains(&&Repair::Again);
        if covered || asked.contains(&repair) {
            continue;
        }
        asked.push(repair);
        if !args.yes && !doctor::is_wanted(repair) {
            continue;
        }
        // Only while it is carried out: whoever is asked may think for as long as they like.
        let _watched = watchdog::start(args.patience().time());
        watchdog::doing(repair.doing());
        match repair.carry_out(world, args.even_here) {
            Ok(()) => view::note(&format!("done: {}", repair.what())),
            Err(error) => {
                view::note(&error.to_string());
                failed = true;
            }
        }
    }
    failed
}
