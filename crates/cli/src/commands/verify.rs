//! `orchestrator verify`: the chain of events, link by link.

use crate::args::OneOrLast;
use crate::error::{Error, Exit, Kind};
use crate::host::Store;
use crate::view;
use journal::Verdict;

pub(crate) fn run(args: &OneOrLast) -> Result<Exit, Error> {
    let store = Store::open()?;
    let id = store.find(args.mission)?;
    match store.journal.verify(id)? {
        Verdict::Verified { events, head } => {
            if args.json {
                view::data(&serde_json::json!({ "mission": id, "events": events, "head": head.hash, "intact": true }).to_string());
            } else {
                view::data(&format!(
                    "{id}: {events} events, every link holds; head {}",
                    head.hash
                ));
            }
            Ok(Exit::Good)
        }
        Verdict::Broken { seq, flaw } => Err(Error::new(
            Kind::Broken,
            format!("{id} event {}: {flaw}", seq.0),
        )),
    }
}
