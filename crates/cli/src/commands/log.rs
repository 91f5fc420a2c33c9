//! `orchestrator log`: the events, as they are stored.

use crate::args::LogArgs;
use crate::error::{Error, Exit};
use crate::host::{self, Store};
use crate::view::{self, lines};
use engine::store;
use mission::ids::Seq;
use mission::mission::Mission;

pub(crate) fn run(args: &LogArgs) -> Result<Exit, Error> {
    let store = Store::open()?;
    let id = store.find(args.one.mission)?;
    if args.follow {
        return host::block_on(host::follow(
            &store,
            id,
            crate::places::style(args.one.json, true),
        ));
    }
    let mut mission: Option<Mission> = None;
    for (seq, recorded) in store::events(&*store.journal, id, Seq(1))? {
        match &mut mission {
            Some(mission) => mission.apply(recorded.at, &recorded.event),
            none => *none = Mission::replay([&recorded]),
        }
        if seq.0 < args.from {
            continue;
        }
        if args.one.json {
            view::data(&crate::show::json_line(seq, &recorded));
        } else if let Some(mission) = &mission {
            let line = lines::line(mission, &recorded);
            let line = line.unwrap_or_else(|| {
                format!(
                    "{:>9}  ({})",
                    recorded.at.since(mission.opened()).to_string(),
                    recorded.event.name()
                )
            });
            view::data(&format!("{:>5} {line}", seq.0));
        }
    }
    Ok(Exit::Good)
}
