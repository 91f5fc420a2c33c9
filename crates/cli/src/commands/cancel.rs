//! `orchestrator cancel` and `abort`: end a mission and keep its work, or touch nothing of it.

use crate::args::OneOrLast;
use crate::error::{Error, Exit};
use crate::host::{self, Store};
use crate::hosting::note::Note;
use crate::view::{self, json};
use engine::door::Wish;
use mission::ids::MissionId;

pub(crate) fn run(args: &OneOrLast) -> Result<Exit, Error> {
    ends(args, Wish::Cancel, |id| {
        format!("{id} is cancelled; its work is kept. Go on with: orchestrator resume {id}")
    })
}

pub(crate) fn abort(args: &OneOrLast) -> Result<Exit, Error> {
    let store = Store::open()?;
    ends(args, Wish::Abort, |id| {
        let lanes = match store.load(id) {
            Ok((mission, _)) => store.layout.mission(&mission.full_name()).lanes(),
            Err(_) => return format!("{id} is aborted"),
        };
        format!(
            "{id} is aborted; its workspaces stay as they are, in {}. Go on with: orchestrator resume {id}",
            view::escape::line(&lanes.display().to_string())
        )
    })
}

fn ends(
    args: &OneOrLast,
    wish: Wish,
    told_as: impl Fn(MissionId) -> String,
) -> Result<Exit, Error> {
    let store = Store::open()?;
    let id = store.find_here(args.mission)?;
    host::block_on(async {
        let (told, mine) = host::wish(&store, id, wish).await?;
        host::told(id, told)?;
        if mine {
            Note::leave_all(&store, id).await?;
            host::settle(&store, id, view::Style::Plain).await?;
            Note::ends(&store, id);
        }
        if args.json {
            view::data(&json::changed(&store.load(id)?.0).to_string());
        } else {
            view::data(&told_as(id));
        }
        Ok(Exit::Good)
    })
}
