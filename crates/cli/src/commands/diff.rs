//! `orchestrator diff`: what has landed against the base.

use crate::args::OneOrLast;
use crate::error::{Error, Exit, Kind};
use crate::host::Store;
use crate::view::{self, escape};
use std::io::IsTerminal as _;
use workbench::git::Git;
use workbench::repository::MissionRepository;

/// The most bytes of a diff that are printed.
const MOST: usize = 64 << 20;

pub(crate) fn run(args: &OneOrLast) -> Result<Exit, Error> {
    let store = Store::open()?;
    let (mission, _) = store.load(store.find(args.mission)?)?;
    let (Some(base), Some((head, _))) = (mission.base(), mission.head()) else {
        return Err(Error::new(
            Kind::Refused,
            format!(
                "{} has not been prepared, so nothing has changed",
                mission.id()
            ),
        ));
    };
    let project = |error: &dyn std::fmt::Display| Error::new(Kind::Project, error);
    let git = Git::find().map_err(|error| project(&error))?;
    let place = store.layout.mission(&mission.full_name());
    let repository =
        MissionRepository::read(&git, place.root()).map_err(|error| project(&error))?;
    let (bytes, more) = repository
        .diff(&base.commit, head, MOST)
        .map_err(|error| project(&error))?;
    if std::io::stdout().is_terminal() {
        view::data(&escape::text(&String::from_utf8_lossy(&bytes)));
    } else {
        // A file or a pipe gets the very bytes, so that `git apply` takes them.
        view::bytes(&bytes);
    }
    if more {
        view::note("the diff is longer than is shown here");
    }
    Ok(Exit::Good)
}
