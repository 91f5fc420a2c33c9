//! `orchestrator steer`: tells a mission's agents something more.

use crate::args::SteerArgs;
use crate::error::{Error, Exit};
use crate::host::{self, Store};
use crate::view::{self, json, steering};
use engine::door::Wish;

pub(crate) fn run(args: &SteerArgs) -> Result<Exit, Error> {
    let store = Store::open()?;
    let id = store.find_here(args.mission)?;
    host::block_on(async {
        let wish = Wish::Steer {
            task: args.task,
            text: args.text.clone(),
        };
        let (told, mine) = host::wish(&store, id, wish).await?;
        host::told(id, told)?;
        let (mission, _) = store.load(id)?;
        view::data(&match args.json {
            true => json::changed(&mission).to_string(),
            false => steering::said(&mission),
        });
        if mine {
            view::note(&format!(
                "nobody runs {id} now; go on with: orchestrator resume {id}"
            ));
        }
        Ok(Exit::Good)
    })
}
