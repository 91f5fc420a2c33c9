//! `orchestrator verify`: the chain of events, link by link.

use crate::args::OneOrLast;
use crate::error::{Error, Exit, Kind};
use crate::host::Store;
use crate::view;
use journal::Verdict;
use serde_json::json;

pub(crate) fn run(args: &OneOrLast) -> Result<Exit, Error> {
    let store = Store::open()?;
    let id = store.find(args.mission)?;
    let verdict = store.journal.verify(id)?;
    if args.json {
        let told = match &verdict {
            Verdict::Verified { events, head } => {
                json!({ "mission": id, "events": events, "head": head.hash, "intact": true })
            }
            Verdict::Broken { seq, flaw } => {
                json!({ "mission": id, "intact": false, "broken_at": seq, "flaw": flaw.to_string() })
            }
        };
        view::data(&told.to_string());
    }
    match verdict {
        Verdict::Verified { events, head } => {
            if !args.json {
                let hash = head.hash;
                view::data(&format!(
                    "{id}: {events} events, every link holds; head {hash}"
                ));
            }
            Ok(Exit::Good)
        }
        Verdict::Broken { seq, flaw } => {
            let what = format!("{id} event {}: {flaw}", seq.0);
            let hint = "`orchestrator explain ORC010` says what is still safe";
            Err(Error::new(Kind::Broken, what).hint(hint))
        }
    }
}
