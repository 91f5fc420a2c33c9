//! `orchestrator diff`: what has landed against the base.

use crate::args::OneOrLast;
use crate::error::{Error, Exit, Kind};
use crate::host::{self, Store};
use crate::places;
use crate::view::{self, escape};
use std::io::IsTerminal as _;
use workbench::repository::MissionRepository;

/// The most bytes of a diff that are printed.
const MOST: usize = 64 << 20;

pub(crate) fn run(args: &OneOrLast) -> Result<Exit, Error> {
    let store = Store::open()?;
    let (mission, _) = store.load(store.find(args.mission)?)?;
    let id = mission.id();
    let (Some(base), Some((head, _))) = (mission.base(), mission.head()) else {
        let what = format!("{id} has not been prepared, so nothing has changed");
        return Err(
            Error::new(Kind::Refused, what).hint(format!("see why: orchestrator summary {id}"))
        );
    };
    host::check_folder(&store, &mission)?;
    let project = |error: &dyn std::fmt::Display| {
        Error::new(Kind::Project, error)
            .hint(format!("see what is known of it: orchestrator show {id}"))
    };
    let git = places::git_program()?;
    let place = store.layout.mission(&mission.full_name());
    let repository =
        MissionRepository::read(&git, place.root()).map_err(|error| project(&error))?;
    let (bytes, more) = repository
        .diff(&base.commit, head, MOST)
        .map_err(|error| project(&error))?;
    let lossy = || String::from_utf8_lossy(&bytes).into_owned();
    if args.json {
        let told = serde_json::json!({
            "mission": id, "base": base.commit, "result": head, "cut": more, "diff": lossy(),
        });
        view::data(&told.to_string());
    } else if std::io::stdout().is_terminal() {
        view::data(&escape::text(&lossy()));
    } else {
        // A file or a pipe gets the very bytes, so that `git apply` takes them.
        view::bytes(&bytes);
    }
    if more {
        view::note("the diff is longer than is shown here");
    }
    Ok(Exit::Good)
}
