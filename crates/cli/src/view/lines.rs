//! A mission as plain lines, one for each thing that a person wants to know of as it happens.

use super::escape;
use mission::event::{Ending, Event, Recorded, Turn};
use mission::gate::{Gate, GateResult, GateRun};
use mission::governor;
use mission::ids::Seq;
use mission::judge::Baseline;
use mission::mission::Mission;
use mission::plan::{Priority, Task};
use mission::schedule::Short;
use mission::terms::Deliver;
use mission::time::{Millis, Timestamp};
use mission::turn::{Failure, Intent};
use mission::work::Base;

/// How wide a time is at the most, unless a mission runs for days: `59 min 59 s`.
const TIME: usize = 11;
/// How far in the text of a line begins, after its time.
pub(crate) const INDENT: usize = TIME + 2;

/// The line for an event; `None` for what only machines want. The mission is as it stands after the event.
pub(crate) fn line(mission: &Mission, recorded: &Recorded) -> Option<String> {
    let told = told(mission, &recorded.event)?;
    let at = recorded.at.since(mission.opened());
    Some(timed(at, &escape::line(&told)))
}

/// A line with its time before it.
pub(super) fn timed(at: Millis, told: &str) -> String {
    format!("{:>TIME$}  {told}", at.to_string())
}

/// The line for an event with its number; what only machines want is named.
pub(crate) fn numbered(mission: &Mission, seq: Seq, recorded: &Recorded) -> String {
    let line = line(mission, recorded).unwrap_or_else(|| {
        let at = recorded.at.since(mission.opened());
        timed(at, &format!("({})", recorded.event.name()))
    });
    format!("{:>5} {line}", seq.0)
}

fn started(mission: &Mission, turn: Turn, lane: u32) -> String {
    let title =
        |id: mission::ids::TaskId| mission.task(id).map_or("", |task| task.task.title.as_str());
    match turn {
        Turn::Intent { .. } => "commander reads the request".into(),
        Turn::Plan { n: 1 } if lane == mission::limits::LANE_AHEAD => {
            "planner begins ahead, from the request alone".into()
        }
        Turn::Plan { n: 1 } => "planner writes the plan".into(),
        Turn::Plan { n } => format!("planner writes the plan (try {n})"),
        Turn::Split { task, .. } => format!("planner cuts {task} anew: {}", title(task)),
        Turn::Work { attempt } => {
            format!("{attempt} worker {lane} starts: {}", title(attempt.task))
        }
        Turn::Review { attempt, .. } => format!("{attempt} is reviewed"),
    }
}

fn told(mission: &Mission, event: &Event) -> Option<String> {
    let title =
        |id: mission::ids::TaskId| mission.task(id).map_or("", |task| task.task.title.as_str());
    Some(match event {
        Event::Prepared {
            base, gates, notes, ..
        } => prepared(base, gates, notes),
        Event::Pressed { of, admits, .. } => pressed(mission, *of, *admits)?,
        Event::Relieved { of } => relieved(*of).into(),
        Event::SetUp { notes, .. } if notes.is_empty() => return None,
        Event::SetUp { notes, .. } => few(notes),
        Event::TurnStarted { turn, lane, .. } => started(mission, *turn, *lane),
        Event::TurnEnded { turn, ending, .. } => ended(mission, turn, ending)?,
        Event::TurnNudged { .. }
        | Event::Stagnated { .. }
        | Event::Diagnosed { .. }
        | Event::SplitRefused { .. }
        | Event::PlanEdited { split: Some(_), .. } => super::stuck::told(mission, event)?,
        Event::ConflictForeseen {
            attempt, conflict, ..
        } => super::foresight::told(mission, *attempt, conflict),
        Event::TurnServed { .. }
        | Event::ModelSwitched { .. }
        | Event::ProviderHeld { .. }
        | Event::BreakerOpened { .. } => asked(mission, event)?,
        Event::IntentRead { intent } => match intent {
            Intent::Answer { .. } => "the request is a question".into(),
            Intent::Small { .. } => "a small change: one task, no planner".into(),
            Intent::Plan { goal } if goal.trim().is_empty() => "to be planned as it stands".into(),
            Intent::Plan { goal } => format!("goal: {}", escape::short(goal, 160)),
        },
        Event::PlanRefused { faults } => format!("the plan is sent back: {}", faults.join("; ")),
        Event::PlannedAhead { came, .. } => super::ahead::told(mission, came),
        Event::Planned { plan } => format!("plan: {}", n_of(plan.tasks.len(), "task")),
        Event::Worked { attempt, work, .. } => {
            let files = n_of(work.files as usize, "changed file");
            format!("{attempt} handed in {files}")
        }
        Event::Reused { task, attempt } => {
            format!("{task} reused: the result of {attempt} still fits")
        }
        Event::GateStarted { .. } => return None,
        Event::GateEnded { run, .. } => gated(mission, run),
        Event::GateLost { why, .. } => format!("a check was lost and runs again: {why}"),
        Event::Rejected { attempt, rejection } => {
            format!("{attempt} turned down: {}", mission.told(rejection))
        }
        Event::Accepted { attempt, by, .. } => format!("{attempt} accepted by {by}"),
        Event::Parked { task, until, why } => {
            format!(
                "{task} waits {} before the next try: {why}",
                until.since(mission.last())
            )
        }
        Event::TaskFailed { task, why } => format!("{task} failed ({}): {why}", title(*task)),
        Event::Disputed { attempt, .. } => format!("{attempt} is disputed and left so"),
        Event::LandingStarted { n, attempts, .. } => {
            let names: Vec<String> = attempts.iter().map(ToString::to_string).collect();
            format!("landing {n}: {}", names.join(", "))
        }
        Event::Stacked { .. } => return None,
        Event::LandingFailed { n, gate } => match gate {
            Some(gate) => format!("landing {n} is red: {gate}"),
            None => format!("landing {n} is put back"),
        },
        Event::Landed { n, commit, .. } => {
            format!(
                "landing {n} landed at {}: {} of {} tasks done",
                commit.short(),
                mission.landed(),
                mission.tasks().count()
            )
        }
        Event::TaskDone { task, .. } => format!("{task} done: {}", title(*task)),
        Event::Asked {
            id, text, choices, ..
        } => {
            let open = mission.questions().find(|(open, _)| open == id);
            let choices = match open {
                Some((_, question)) => super::frame::answers(question),
                // It has been answered since; the mission stands further on.
                None => super::frame::offered(choices, choices.is_empty()),
            };
            format!(
                "{id} asks: {text} (orchestrator answer {} {id} {choices})",
                mission.id()
            )
        }
        Event::QuestionClosed { id, answered } => {
            format!("{id} answered by {}: {}", answered.by, answered.text)
        }
        Event::TodoEdited { version, by, .. } => {
            format!("the TODO was changed by {by} (version {version})")
        }
        Event::Woke { idle } => {
            format!("taken up again after {idle} in which nobody ran it; every deadline moves by that")
        }
        Event::Paused { by } => format!("paused by {by}: no turn begins until it is resumed"),
        Event::Unpaused { by } => format!("it goes on after its pause: {by}"),
        Event::Steered { task, text, by } => match task {
            Some(task) => format!("{by} says to {task}: {text}"),
            None => format!("{by} says to all: {text}"),
        },
        Event::TurnTold { epoch, n } => {
            let turn = mission.lease(*epoch)?.turn.told();
            let said = mission.said().iter().find(|said| said.n == *n)?;
            format!("{turn} has been told: {}", said.text)
        }
        Event::TaskRetried { .. }
        | Event::TaskSkipped { .. }
        | Event::TaskPrioritised { .. }
        | Event::PlanEdited { .. } => super::steering::redirected(mission, event)?,
        Event::CancelAsked { by, abort: false } => format!("cancelled by {by}; winding down"),
        Event::CancelAsked { by, abort: true } => {
            format!("aborted by {by}: it ends now, and workspaces stay as they are")
        }
        Event::Halted { why } => format!("winding down: {why}"),
        Event::Sealed { outcome, .. } => format!("sealed: {outcome}"),
        Event::Resumed { by, .. } => format!("resumed by {by}"),
        Event::DeliverAsked { form } => format!("delivery asked for ({})", form_word(*form)),
        Event::DeliveryPlanned { files: 0, .. } => "delivery planned".into(),
        Event::DeliveryPlanned { files, .. } => {
            format!("delivery planned: {}", n_of(*files as usize, "file"))
        }
        Event::Delivered { place, files } => match files {
            0 => format!("delivered to {place}"),
            n => format!("delivered {} to {place}", n_of(*n as usize, "file")),
        },
        Event::DeliveryRefused { why, hint } => {
            format!("not delivered, nothing was written: {why} (try: {hint})")
        }
        Event::UndoAsked { by } => format!("undo asked for by {by}"),
        Event::Undone { left } if left.is_empty() => "the delivery was undone".into(),
        Event::Undone { left } => format!(
            "the delivery was undone; changed since and left: {}",
            left.join(", ")
        ),
        Event::UndoFailed { why } => format!("the delivery could not be taken back: {why}"),
        Event::EnvironmentChanged { .. } => {
            "the tools of the checks are not those of before: what is still to be proved is proved with the new ones".into()
        }
        Event::CleanFailed { why } => format!(
            "workspaces are left, with whatever did not land: {why} (orchestrator clean {} removes the mission's whole folder)",
            mission.id()
        ),
        Event::SessionUsed { .. }
        | Event::SessionRetired { .. }
        | Event::SessionClosed { .. }
        | Event::Cleaned { .. } => super::sessions::told(mission, event)?,
        Event::Opened { .. }
        | Event::TurnLent { .. }
        | Event::ModelNamed { .. }
        | Event::ModelLimited { .. } => return None,
    })
}

fn ended(mission: &Mission, turn: &Turn, ending: &Ending) -> Option<String> {
    let who = turn.told();
    Some(match ending {
        Ending::Answered => return None,
        Ending::Refused { why, until, .. } => {
            let wait = until.since(mission.last());
            format!("{who} is parked for {wait}, no attempt is used up: {why}")
        }
        Ending::Held { why, until } => {
            let wait = until.since(mission.last());
            format!("{who} is not begun for {wait}, no attempt is used up: {why}")
        }
        // Whoever carried it out is gone; the turn is not.
        Ending::Failed {
            failure: Failure::Transient,
            why,
        } => format!("{who} is orphaned, no attempt is used up: {why}"),
        Ending::Failed { why, .. } => format!("{who} failed: {why}"),
        Ending::Expired => format!("{who} ran out of time"),
        Ending::Overspent => format!("{who} was ended: it used all that there was for it"),
        Ending::Cancelled => format!("{who} is cancelled"),
    })
}

/// Whom turns are asked of, and when.
fn asked(mission: &Mission, event: &Event) -> Option<String> {
    let wait = |until: &Timestamp| until.since(mission.last());
    Some(match event {
        Event::TurnServed { epoch } => {
            let lease = mission.lease(*epoch)?;
            let model = governor::told(mission.model_of(lease));
            format!("{model} serves {} again", lease.turn.told())
        }
        Event::ModelSwitched { role, model, why } => match model {
            Some(model) => format!("every {role} is asked of {model} from now on: {why}"),
            None => format!("every {role} is asked of its own model again: {why}"),
        },
        Event::ProviderHeld {
            provider,
            until,
            why,
            epoch,
            ..
        } => {
            let (name, wait) = (governor::told(provider), wait(until));
            let waits = epoch.and_then(|epoch| mission.lease(epoch));
            match waits {
                Some(lease) => {
                    let who = lease.turn.told();
                    format!("{who} waits for {name}, and no turn begins there for {wait}: {why}")
                }
                // Why is told of the turn that was refused.
                None => format!("no turn begins at {name} for {wait}"),
            }
        }
        Event::BreakerOpened {
            model, until, why, ..
        } => format!(
            "the breaker of {} opens: no turn begins there for {}: {why}",
            governor::told(model),
            wait(until)
        ),
        _ => return None,
    })
}

fn gated(mission: &Mission, run: &GateRun) -> String {
    let how = match &run.result {
        GateResult::Passed => "green".to_owned(),
        GateResult::Failed { exit } => format!("red (exit {exit})"),
        GateResult::Crashed { signal } => format!("red (signal {signal})"),
        GateResult::TimedOut => "red (out of time)".into(),
        GateResult::MissingTool { tool } => format!("cannot run: {tool} is not installed"),
        GateResult::NeedsService { what } => format!("cannot run: it needs a service ({what})"),
        GateResult::OverLimit { what } => format!("red ({what})"),
    };
    // What the project's own checks say of the base is what all later runs are judged by.
    let project = mission.gates().iter().find(|gate| gate.id == run.gate);
    let base = mission.base().is_some_and(|base| base.tree == run.tree);
    // What was red before may land red; without a word of it, a person would take that for a mistake.
    let before = match project.map(|gate| mission.baseline(gate)) {
        Some(Some(Baseline::Red)) if !base && !run.result.passed() => ", red before too",
        _ => "",
    };
    let tree = match project.is_some() && base {
        true => "your files as they were".to_owned(),
        false => run.tree.short().to_owned(),
    };
    format!("{} on {tree}: {how}{before}, {}", run.gate, run.duration)
}

/// So many of something, with the right ending.
pub(crate) fn n_of(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}

fn prepared(base: &Base, gates: &[Gate], notes: &[String]) -> String {
    let names: Vec<&str> = gates.iter().map(|gate| gate.id.as_str()).collect();
    let checks = if names.is_empty() {
        "none found".to_owned()
    } else {
        names.join(", ")
    };
    let mut told = format!(
        "base {} ({}) prepared; checks: {checks}",
        base.commit.short(),
        standing(base)
    );
    if !base.left_out.is_empty() {
        told.push_str(&format!("; left out: {}", few(&base.left_out)));
    }
    if !notes.is_empty() {
        told.push_str(&format!("; {}", few(notes)));
    }
    told
}

fn relieved(of: Option<Short>) -> &'static str {
    match of {
        Some(Short::Disk) => "the disk has room for more workspaces again",
        Some(Short::Full) => "the disk has room for work again",
        _ => "the machine has room again",
    }
}

fn pressed(mission: &Mission, of: Short, admits: Priority) -> Option<String> {
    match of {
        Short::Disk => {
            let cramped = mission.cramped()?.told();
            return Some(format!("nothing begins where no workspace is: {cramped}"));
        }
        Short::Full => {
            let full = mission.full()?.told();
            return Some(format!("no turn and no check begins: {full}"));
        }
        Short::Memory | Short::Processors | Short::Stalled | Short::HeldUp => {}
    }
    let who = match admits {
        Priority::High => "only tasks of high priority start",
        Priority::Normal | Priority::Low => "tasks of low priority wait",
    };
    Some(format!("{who}: {}", mission.pressure()?.told()))
}

/// What a base stands on.
pub(crate) fn standing(base: &Base) -> String {
    let branch = base.branch.as_deref().unwrap_or("no branch");
    let uncommitted = n_of(base.uncommitted as usize, "uncommitted file");
    format!("{branch}, {uncommitted}")
}

/// The first few of a list, and how many more there are.
fn few(list: &[String]) -> String {
    const FEW: usize = 5;
    let shown = list[..list.len().min(FEW)].join(", ");
    match list.len().saturating_sub(FEW) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// The word for a form of delivery.
pub(crate) fn form_word(form: Deliver) -> &'static str {
    match form {
        Deliver::Worktree => "worktree",
        Deliver::Branch => "branch",
        Deliver::Commit => "commit",
        Deliver::None => "none",
    }
}

/// What a task has for itself while it runs.
fn takes(task: &Task) -> String {
    let slots = (task.weight > 1).then(|| format!("{} slots", task.weight));
    let all: Vec<String> = task.resources.iter().cloned().chain(slots).collect();
    match all.is_empty() {
        true => "-".to_owned(),
        false => escape::short(&all.join(", "), 36),
    }
}

/// The plan as a table, where there is room for so many columns.
pub(crate) fn plan(mission: &Mission, room: Option<usize>) -> String {
    // Most plans name nothing of the kind, and a column of dashes takes room from the others.
    let takes_more = mission.tasks().any(|task| takes(&task.task) != "-");
    let rows: Vec<Vec<String>> = mission
        .tasks()
        .map(|task| {
            let list = |words: Vec<String>| {
                if words.is_empty() {
                    "-".to_owned()
                } else {
                    words.join(", ")
                }
            };
            let needs = task.task.needs.iter().map(|need| {
                let added = if task.task.added.contains(need) {
                    "*"
                } else {
                    ""
                };
                format!("{need}{added}")
            });
            let proof = task
                .task
                .acceptance
                .iter()
                .map(|gate| gate.program.to_string())
                .collect();
            let mut row = vec![
                task.task.id.to_string(),
                escape::short(&task.task.title, 44),
                list(needs.collect()),
                escape::short(&list(task.task.writes.clone()), 36),
                escape::short(&list(proof), 48),
            ];
            row.extend(takes_more.then(|| takes(&task.task)));
            row
        })
        .collect();
    let mut headings = vec!["task", "what", "needs", "files", "proof"];
    headings.extend(takes_more.then_some("takes"));
    let mut text = super::table::table(&headings, &rows, room);
    if mission.tasks().any(|task| !task.task.added.is_empty()) {
        text.push_str("* added by the engine: both write the same files\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::frame::tests::planned;
    use super::*;
    use mission::plan::{Draft, TaskDraft, check};

    fn task(id: &str, resources: &[&str], weight: Option<u32>) -> TaskDraft {
        TaskDraft {
            id: id.to_owned(),
            title: format!("Add {id}"),
            goal: "It is there.".to_owned(),
            writes: vec![format!("{id}.rs")],
            acceptance: vec![format!("test -f {id}.rs")],
            resources: resources.iter().map(|name| (*name).to_owned()).collect(),
            weight,
            ..TaskDraft::default()
        }
    }

    fn told(tasks: Vec<TaskDraft>) -> String {
        let plan = check(&Draft { tasks }, Millis::from_mins(15)).unwrap();
        super::plan(&planned(plan), None)
    }

    #[test]
    fn a_plan_tells_what_a_task_has_for_itself_and_how_many_slots_it_takes() {
        let all = told(vec![
            task("a", &[], None),
            task("b", &["port-8080", "database"], Some(2)),
            task("c", &["database"], None),
        ]);
        let expected = "\
task  what   needs  files  proof         takes
T1    Add a  -      a.rs   test -f a.rs  -
T2    Add b  -      b.rs   test -f b.rs  database, port-8080, 2 slots
T3    Add c  -      c.rs   test -f c.rs  database
";
        assert_eq!(all, expected);
        let plain = told(vec![task("a", &[], None)]);
        assert!(!plain.contains("takes"), "{plain}");
    }
}
