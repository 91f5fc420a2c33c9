//! `orchestrator pause`: no turn of a mission begins until it is resumed.

use crate::args::OneOrLast;
use crate::error::{Error, Exit};
use crate::host::{self, Store};
use crate::view::{self, json, steering};
use engine::door::Wish;

pub(crate) fn run(args: &OneOrLast) -> Result<Exit, Error> {
    let store = Store::open()?;
    let id = store.find_here(args.mission)?;
    host::block_on(async {
        let (told, _) = host::wish(&store, id, Wish::Pause).await?;
        host::told(id, told)?;
        let (mission, _) = store.load(id)?;
        view::data(&match args.json {
            true => json::changed(&mission).to_string(),
            false => format!(
                "{}. Go on with: orchestrator resume {id}",
                steering::paused(&mission)
            ),
        });
        Ok(Exit::Good)
    })
}
