//! `orchestrator deliver` and `orchestrator undo`.

use crate::args::{DeliverArgs, OneOrLast};
use crate::error::{Error, Exit, Kind};
use crate::host::{self, Settled, Store};
use crate::view::{self, summary};
use engine::door::Wish;
use mission::ids::MissionId;
use mission::mission::Delivery;

pub(crate) fn deliver(args: &DeliverArgs) -> Result<Exit, Error> {
    let store = Store::open()?;
    let id = store.find_here(args.one.mission)?;
    let form = args.form.into();
    settle(&store, id, Wish::Deliver { form }, args.one.json)
}

pub(crate) fn undo(args: &OneOrLast) -> Result<Exit, Error> {
    let store = Store::open()?;
    let id = store.find_here(args.mission)?;
    settle(&store, id, Wish::Undo, args.json)
}

/// Tells the wish and carries out what is owed because of it. No agent is asked.
fn settle(store: &Store, id: MissionId, wish: Wish, json: bool) -> Result<Exit, Error> {
    host::block_on(async {
        let (mission, _) = store.load(id)?;
        host::check_folder(store, &mission)?;
        let cut_short = match mission.delivery() {
            Delivery::Wanted(_) | Delivery::Planned { .. } => matches!(wish, Wish::Deliver { .. }),
            Delivery::Undoing { .. } => wish == Wish::Undo,
            _ => false,
        };
        // What a process that ended left half-done comes first, and may be all that is wished.
        let meant = match host::settle(store, id, view::Style::Plain).await? {
            Settled::Interrupted => return Ok(Exit::Interrupted),
            Settled::Done => cut_short,
            Settled::Nothing => false,
        };
        let undoing = wish == Wish::Undo;
        if !meant {
            let (told, mine) = host::wish(store, id, wish).await?;
            host::told(id, told)?;
            if mine
                && let Settled::Interrupted = host::settle(store, id, view::Style::Plain).await?
            {
                return Ok(Exit::Interrupted);
            }
        }
        let (mission, _) = store.load(id)?;
        // What came of it is what was asked for; the steps on the way are told beside it.
        view::data(&match json {
            true => view::json::changed(&mission).to_string(),
            false => summary::delivery(&mission),
        });
        match mission.delivery() {
            Delivery::Refused => Ok(Exit::Failed),
            // It broke off and was taken back.
            Delivery::Undone if !undoing => Ok(Exit::Failed),
            // It was done, was to be taken back, and still stands: why, the lines above say.
            Delivery::Done { .. } if undoing => Ok(Exit::Failed),
            Delivery::Wanted(_) | Delivery::Planned { .. } | Delivery::Undoing { .. } => {
                view::note(&format!(
                    "under way; look again with: orchestrator status {id}"
                ));
                Ok(Exit::Good)
            }
            _ => Ok(Exit::Good),
        }
    })
    .map_err(|error: Error| match error.kind() {
        Kind::Held => error.hint("another process is at it; look with: orchestrator status"),
        _ => error,
    })
}
