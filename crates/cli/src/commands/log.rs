//! `orchestrator log`: the events, as they are stored, and why they are what they are.

use crate::args::LogArgs;
use crate::error::{Error, Exit, Kind};
use crate::host::{self, Followed, Store};
use crate::show::Show;
use crate::view::Style;
use engine::store;
use mission::event::{Event, Recorded};
use mission::ids::{MissionId, Seq, TaskId};

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
    if let Some(task) = args.why {
        if let Some(task) = task {
            known(&store, id, task)?;
        }
        show = show.explained(task);
    }
    if args.follow {
        return Ok(match host::block_on(host::follow(&store, id, show))? {
            Followed::Over(mission) => host::ended(&mission),
            Followed::Left(exit) => exit,
        });
    }
    show.catch_up()?;
    Ok(Exit::Good)
}

/// A task that the mission never had has no reasons, and whoever asks for one mistyped it.
fn known(store: &Store, id: MissionId, task: TaskId) -> Result<(), Error> {
    let events = store::events(&*store.journal, id, Seq(1))?;
    let planned = |recorded: &Recorded| match &recorded.event {
        Event::Planned { plan } => plan.tasks.iter().any(|planned| planned.id == task),
        // Whoever changes a plan, and a task that is cut anew, bring new ones.
        Event::PlanEdited { tasks, .. } => tasks.iter().any(|planned| planned.id == task),
        _ => false,
    };
    match events.iter().any(|(_, recorded)| planned(recorded)) {
        true => Ok(()),
        false => Err(
            Error::new(Kind::Refused, format!("{id} never had a task {task}"))
                .hint(format!("`orchestrator show {id}` lists its tasks")),
        ),
    }
}
