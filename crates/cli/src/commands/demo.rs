//! `orchestrator demo`: a whole mission with everything that can go wrong, without a model and without a risk.

use crate::args::DemoArgs;
use crate::demo;
use crate::error::{Error, Exit};
use crate::host::{self, Chosen, Starting, Store};
use crate::leave;
use crate::view::{self, escape, mishaps, summary};
use agents::ShellRule;
use engine::clock::Clock;
use engine::dispatcher::Ended;
use engine::layout::Layout;
use engine::settings::Settings;
use engine::store;
use journal::Verdict;
use mission::event::Recorded;
use mission::ids::Seq;
use mission::mission::Mission;
use mission::terms::Terms;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Workers at once: enough to see what parallel work is.
const WORKERS: u32 = 4;

pub(crate) fn run(args: &DemoArgs) -> Result<Exit, Error> {
    host::block_on(async {
        // From here on an interrupt is heard instead of ending the program, so that nothing is left behind.
        let mut interrupt = signal(SignalKind::interrupt())
            .map_err(|error| Error::io("watch", Path::new("signals"), &error))?;
        let ground = Ground::new(args.keep)?;
        let exit = play(args, &ground, &mut interrupt).await;
        if !args.json {
            ground.say();
        }
        exit
    })
}

/// Where the demo takes place. What is not kept goes with it.
struct Ground {
    project: PathBuf,
    store: Store,
    whole: PathBuf,
    passing: Option<TempDir>,
}

impl Ground {
    fn new(keep: bool) -> Result<Self, Error> {
        let made = tempfile::Builder::new().prefix("orc-demo-").tempdir();
        let made = made.map_err(|error| Error::io("make", &std::env::temp_dir(), &error))?;
        let whole = made.path().canonicalize();
        let whole = whole.map_err(|error| Error::io("find", made.path(), &error))?;
        let passing = if keep {
            drop(made.keep());
            None
        } else {
            leave::remove(Some(whole.clone()));
            Some(made)
        };
        let project = whole.join("notes");
        std::fs::create_dir(&project).map_err(|error| Error::io("make", &project, &error))?;
        // What is kept is looked at with the other commands, so it stands where they look.
        let layout = match keep {
            true => crate::places::layout()?,
            false => Layout::new(whole.join("state")),
        };
        Ok(Self {
            project,
            store: Store::at(layout)?,
            whole,
            passing,
        })
    }

    /// Where things are now, and what may be done next.
    fn say(&self) {
        let place = escape::line(&self.whole.to_string_lossy());
        if self.passing.is_some() {
            view::note(
                "The sample project is removed again. To keep it and look around: orchestrator demo --keep",
            );
        } else {
            let project = escape::line(&self.project.to_string_lossy());
            view::note(&format!("The sample project is kept: cd {project}"));
            view::note("  what was decided, and why:  orchestrator log");
            view::note(
                "  what changed:               orchestrator diff    (take it back: orchestrator undo)",
            );
            view::note("  the chain of events:        orchestrator verify");
            view::note(&format!(
                "  away with it:               orchestrator clean && rm -r {place}"
            ));
        }
        view::note("Your own project: orchestrator checks, then: orchestrator task \"…\"");
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        leave::remove(None);
    }
}

async fn play(args: &DemoArgs, ground: &Ground, interrupt: &mut Signal) -> Result<Exit, Error> {
    let script = demo::script(args.slow)?;
    demo::make_project(&ground.project)?;
    let store = &ground.store;
    let terms = Terms {
        workers: WORKERS,
        attended: false,
        ..Terms::default()
    };
    let now = Clock::new().now();
    let chosen = Chosen::Scripted {
        script: script.clone(),
        text: demo::SCRIPT.to_owned(),
    };
    let owned = store::open_new(
        &*store.journal,
        now,
        &ground.project,
        demo::REQUEST,
        terms,
        |id| store.door(id),
        |mission| host::keep_agent(&chosen, &store.layout.mission(&mission.full_name())),
    )?;
    let id = owned.mission.id();
    let place = store.layout.mission(&owned.mission.full_name());
    let settings = Settings {
        shell: ShellRule::Allow,
        ..host::engine_settings(store, &Starting::Scripted(script), &place)?
    };
    if !args.json {
        header(&owned.mission, &ground.project);
    }
    let interrupted = tokio::select! {
        biased;
        _ = interrupt.recv() => true,
        () = std::future::ready(()) => false,
    };
    if interrupted {
        return Ok(Exit::Interrupted);
    }
    let style = crate::places::style(args.json, args.plain);
    let ran = host::drive(store, owned, settings, style, Seq(0)).await?;
    let Ended::Over(mission) = ran.ended else {
        view::note("interrupted");
        return Ok(Exit::Interrupted);
    };
    let events = store::events(&*store.journal, id, Seq(1))?;
    let verdict = store.journal.verify(id)?;
    if args.json {
        view::data(&json(&mission, &events, &verdict, ground).to_string());
    } else {
        view::data(&text(&mission, &events, &verdict));
    }
    Ok(host::ended(&mission))
}

fn header(mission: &Mission, project: &Path) {
    view::note(
        "A sample project, the real engine, real git and real checks. Only the crew is scripted: it makes",
    );
    view::note("mistakes, and no model is asked. Nothing of yours is touched.\n");
    view::note(&format!("{}  {}", mission.id(), mission.request()));
    view::note(&format!(
        "folder  {}\n",
        escape::line(&project.to_string_lossy())
    ));
}

fn text(mission: &Mission, events: &[(Seq, Recorded)], verdict: &Verdict) -> String {
    let mut out = format!("\n{}", summary::facts(mission, view::screen::room()));
    let found = mishaps::mishaps(mission, events);
    out.push_str("\nwhat went wrong on the way:\n");
    for mishap in &found {
        out.push_str(&format!("  - {}\n", mishaps::line(mishap)));
    }
    out.push_str(&match verdict {
        Verdict::Verified { events, .. } => {
            format!("\nAll of it is in the journal: {events} events, every link holds.\n")
        }
        Verdict::Broken { seq, flaw } => {
            format!("\nThe journal is broken at event {}: {flaw}\n", seq.0)
        }
    });
    out
}

fn json(
    mission: &Mission,
    events: &[(Seq, Recorded)],
    verdict: &Verdict,
    ground: &Ground,
) -> serde_json::Value {
    let found = mishaps::mishaps(mission, events);
    let found: Vec<serde_json::Value> = found
        .iter()
        .map(|mishap| {
            serde_json::json!({
                "kind": mishap.kind.name(), "seq": mishap.seq.0, "who": mishap.who,
                "what": mishap.what, "then": mishap.then,
            })
        })
        .collect();
    let intact = matches!(verdict, Verdict::Verified { .. });
    serde_json::json!({ "demo": {
        "mission": mission.id(),
        "outcome": mission.phase_word(),
        "mishaps": found,
        "events": events.len(),
        "intact": intact,
        "ms": mission.duration().0,
        "project": ground.project,
        "kept": ground.passing.is_none(),
    } })
}
