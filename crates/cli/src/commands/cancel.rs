//! `orchestrator cancel`: ends a mission and keeps its work.

use crate::args::OneOrLast;
use crate::error::{Error, Exit};
use crate::host::{self, Store};
use crate::hosting::note::Note;
use crate::view::{self, json};
use engine::door::Wish;

pub(crate) fn run(args: &OneOrLast) -> Result<Exit, Error> {
    let store = Store::open()?;
    let id = store.find(args.mission)?;
    host::block_on(async {
        let (told, mine) = host::wish(&store, id, Wish::Cancel).await?;
        host::told(told)?;
        if mine {
            Note::leave_all(&store, id).await?;
            host::settle(&store, id, view::Style::Plain).await?;
            Note::ends(&store, id);
        }
        if args.json {
            view::data(&json::changed(&store.load(id)?.0).to_string());
        } else {
            view::data(&format!(
                "{id} is cancelled; its work is kept. Go on with: orchestrator resume {id}"
            ));
        }
        Ok(Exit::Good)
    })
}
