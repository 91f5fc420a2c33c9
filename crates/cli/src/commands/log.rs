//! `orchestrator log`: the events, as they are stored.

use crate::args::LogArgs;
use crate::error::{Error, Exit};
use crate::host::{self, Followed, Store};
use crate::show::Show;
use crate::view::Style;
use mission::ids::Seq;

pub(crate) fn run(args: &LogArgs) -> Result<Exit, Error> {
    let store = Store::open()?;
    let id = store.find(args.one.mission)?;
    let style = if args.one.json {
        Style::Json
    } else {
        Style::Plain
    };
    let before = Seq(args.from.saturating_sub(1));
    let mut show = Show::new(&store, id, style, before).numbered();
    if args.follow {
        return Ok(match host::block_on(host::follow(&store, id, show))? {
            Followed::Over(mission) => host::ended(&mission),
            Followed::Left(exit) => exit,
        });
    }
    show.catch_up()?;
    Ok(Exit::Good)
}
