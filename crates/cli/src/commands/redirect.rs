//! `orchestrator retry`, `skip` and `prioritise`: what a person wants of one task.

use crate::args::{OfMission, PrioritiseArgs, RetryArgs, SkipArgs};
use crate::error::{Error, Exit};
use crate::host::{self, Store};
use crate::hosting::note::Note;
use crate::view::{self, json, steering};
use engine::door::Wish;
use mission::ids::MissionId;
use mission::mission::Mission;
use mission::plan::Priority;
use mission::steering::Dependents;

pub(crate) fn retry(args: &RetryArgs) -> Result<Exit, Error> {
    let wish = Wish::Retry {
        task: args.task,
        note: args.note.clone().unwrap_or_default(),
    };
    wanted(&args.of, wish, |mission| {
        steering::retried(mission, args.task)
    })
}

pub(crate) fn skip(args: &SkipArgs) -> Result<Exit, Error> {
    let dependents = match (args.with_dependents, args.run_dependents) {
        (true, _) => Dependents::Skip,
        (_, true) => Dependents::Run,
        _ => Dependents::Ask,
    };
    let wish = Wish::Skip {
        task: args.task,
        why: args.reason.clone(),
        dependents,
    };
    wanted(&args.of, wish, |mission| {
        steering::skipped(mission, args.task)
    })
}

pub(crate) fn prioritise(args: &PrioritiseArgs) -> Result<Exit, Error> {
    let (task, priority) = (args.task, Priority::from(args.priority));
    wanted(&args.of, Wish::Prioritise { task, priority }, |_| {
        format!("{task} is of {} priority now", steering::class(priority))
    })
}

/// Tells a wish to whoever runs the mission, and what it came to.
pub(super) fn wanted(
    of: &OfMission,
    wish: Wish,
    came_to: impl Fn(&Mission) -> String,
) -> Result<Exit, Error> {
    let store = Store::open()?;
    let id = store.find_here(of.mission)?;
    let (mission, _) = store.load(id)?;
    // It would go on where nothing is left to go on with.
    if mission.outcome().is_some() && matches!(wish, Wish::Retry { .. }) {
        host::check_folder(&store, &mission)?;
    }
    host::block_on(async {
        let (told, mine) = host::wish(&store, id, wish).await?;
        host::told(id, told)?;
        if mine {
            after(&store, id).await?;
        }
        let (mission, _) = store.load(id)?;
        view::data(&match of.json {
            true => json::changed(&mission).to_string(),
            false => came_to(&mission),
        });
        if mine && mission.outcome().is_none() {
            view::note(&format!(
                "nobody runs {id} now; go on with: orchestrator resume {id}"
            ));
        }
        Ok(Exit::Good)
    })
}

/// What a mission owes that ended by what was wanted of it, where nobody runs it.
pub(crate) async fn after(store: &Store, id: MissionId) -> Result<(), Error> {
    if store.load(id)?.0.outcome().is_none() {
        return Ok(());
    }
    Note::leave_all(store, id).await?;
    host::settle(store, id, view::Style::Plain).await?;
    Note::ends(store, id);
    Ok(())
}
