//! Twenty-four hours of simulated time: a mission that is struck each minute ends, loses no attempt to refusals, and
//! keeps no more than it needs.

use crate::story;
use crate::world::World;
use mission::event::{Ending, Event, Recorded, Turn};
use mission::ids::TaskId;
use mission::mission::Mission;
use mission::seal::Outcome;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Instant;

/// Two Workers have about a day of work in so many tasks, with all that goes wrong.
const TASKS: u64 = 110;

/// How much of each field of a mission there is, in lines of its shape: every element of every map is at least one.
fn shape(mission: &Mission) -> BTreeMap<String, usize> {
    let (mut fields, mut field) = (BTreeMap::new(), String::new());
    for line in format!("{mission:#?}").lines() {
        let own = line
            .strip_prefix("    ")
            .filter(|rest| !rest.starts_with([' ', '}', ']', ')']));
        if let Some((name, _)) = own.and_then(|own| own.split_once(':')) {
            field = name.to_owned();
        }
        *fields.entry(field.clone()).or_default() += 1;
    }
    fields
}

/// So many lines of a mission's shape each task, attempt, run of a gate and change of a line by a person may account for,
/// with what is kept for it in any field. Each is about what one of them is printed with: a task some 110, and up to 40 more
/// while it stands in the order of those that are ready.
const PER_TASK: usize = 150;
const PER_ATTEMPT: usize = 80;
const PER_GATE_RUN: usize = 40;
const PER_WORD: usize = 10;
/// What does not grow with any of these: what runs, what is held, what the machine is short of.
const ANYWAY: usize = 1_200;
/// No one field of those that follow neither tasks nor attempts, evidence nor people has ever more than that.
const ONE_FIELD: usize = 160;
/// Fields that grow with what was done, planned and said.
const GROWS: [&str; 11] = [
    "tasks", "works", "results", "ready", "befores", "evidence", "todo", "said", "gates", "intent",
    "warned",
];
/// Events of a task that goes well, and those that a fault adds to it.
const EVENTS_PER_TASK: usize = 40;
const EVENTS_PER_FAULT: usize = 2;
/// A provider that refuses for a day and names no time is asked less and less often: every ten minutes, by one turn. Each says in which
/// session it works, and one that has been used ten times is closed.
const EVENTS_PER_HOUR_OF_REFUSALS: u64 = 50;

/// Attempts that were refused, each of which goes on as the same one.
fn refusals(events: &[Recorded]) -> usize {
    let mut refused: BTreeMap<TaskId, u32> = BTreeMap::new();
    let mut n = 0;
    for recorded in events {
        match &recorded.event {
            Event::TurnEnded {
                turn: Turn::Work { attempt },
                ending: Ending::Refused { .. } | Ending::Held { .. },
                ..
            } => {
                n += 1;
                refused.insert(attempt.task, attempt.n);
            }
            Event::TurnStarted {
                turn: Turn::Work { attempt },
                ..
            } => {
                if let Some(before) = refused.remove(&attempt.task) {
                    assert_eq!(attempt.n, before, "{attempt}: a refusal used an attempt up");
                }
            }
            // Whoever goes on after the end, or plans anew, begins with new attempts.
            Event::Resumed { .. } | Event::Planned { .. } => refused.clear(),
            Event::TaskRetried { task, .. } => _ = refused.remove(task),
            Event::TaskFailed { task, .. } => {
                assert!(!refused.contains_key(task), "{task} failed of refusals");
            }
            _ => {}
        }
    }
    n
}

/// How many events of these kinds there are.
fn n_of(events: &[Recorded], kinds: &[&str]) -> usize {
    let of = |recorded: &&Recorded| kinds.contains(&recorded.event.name());
    events.iter().filter(of).count()
}

/// What is kept is explained by what was planned, tried, checked and said, and by nothing else.
fn is_bounded(mission: &Mission, events: &[Recorded]) -> usize {
    let shape = shape(mission);
    for (field, n) in &shape {
        let grows = GROWS.contains(&field.as_str());
        assert!(grows || *n <= ONE_FIELD, "{field} has {n} lines");
    }
    let words = ["todo_edited", "steered", "question_closed"];
    let planned = n_of(events, &["planned"]) + n_of(events, &["resumed"]);
    let most = ANYWAY
        + PER_TASK * mission.tasks().count()
        + PER_ATTEMPT * n_of(events, &["worked", "rejected", "reused"])
        + PER_GATE_RUN * n_of(events, &["gate_ended"])
        + PER_WORD * (n_of(events, &words) + planned);
    let lines = shape.values().sum();
    assert!(
        lines <= most,
        "{lines} lines where {most} are explained: {shape:?}"
    );
    lines
}

/// Every hour is looked at, with the events until then.
fn hours_are_bounded(world: &World) {
    let day = world.day.as_ref().expect("it is such a world");
    // Where no engine runs at the full hour nothing is seen of it.
    assert!(day.hours.len() >= 20, "{} hours were seen", day.hours.len());
    for (n, mission) in &day.hours {
        is_bounded(mission, &world.audit.events()[..*n as usize]);
    }
    // Each of two Workers, of the Reviewers and of the checks, what is landed or handed over, and a session to be closed for
    // each lane, where closing hangs.
    let lanes = 2 + mission::limits::REVIEWERS;
    let most = lanes + mission::limits::GATES + 1 + lanes;
    assert!(day.in_flight <= most as usize, "{} at once", day.in_flight);
}

/// The seeds of the days: so many where all is optimised, one where it is not, or the one that is asked for.
fn days(many: u64) -> std::ops::Range<u64> {
    let all = 0..if crate::is_sim() { many } else { 1 };
    crate::number("SIM_SEED").map_or(all, |seed| seed..seed + 1)
}

/// Lets a day happen. What breaks it is told with its seed: the usual message may be silenced for other tests.
fn live(world: &mut World, seed: u64) {
    // A day is long, and only one that is asked for is told.
    if crate::number("SIM_SEED").is_some() {
        story::begin();
    }
    let ended = catch_unwind(AssertUnwindSafe(|| {
        world.run_the_day();
        hours_are_bounded(world);
    }));
    let story = story::end();
    if let Err(panic) = ended {
        println!("{story}");
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        println!("day {seed}: {}", text.unwrap_or("it panicked"));
        resume_unwind(panic);
    }
}

#[test]
fn a_day_with_a_fault_each_minute_ends_and_nothing_grows_without_bound() {
    for seed in days(8) {
        let start = Instant::now();
        let mut world = World::of_a_day(seed, TASKS, false);
        live(&mut world, seed);
        let lines = is_bounded(&world.measure().1, world.audit.events());
        let (_, mission) = world.measure();
        let (events, tasks) = (world.audit.events(), mission.tasks().count());
        let outcome = mission.outcome().expect("it ended");
        let told = outcome == Outcome::Completed || !mission.reasons().is_empty();
        assert!(told, "it is {outcome}, and nothing says why");
        let refusals = refusals(events);
        assert!(refusals > 0, "nothing was refused");
        let faults = &world.day.as_ref().expect("it is such a world").faults;
        let n_faults: u64 = faults.values().sum();
        let most = EVENTS_PER_TASK * tasks + EVENTS_PER_FAULT * n_faults as usize;
        assert!(
            events.len() <= most,
            "{} events of {tasks} tasks and {n_faults} faults",
            events.len()
        );
        println!(
            "day {seed}: {outcome} after {:.1} h, {} of {tasks} tasks landed, {} events, {lines} lines of state, \
             {refusals} refusals of Workers, {n_faults} faults, in {} ms",
            world.since_the_start() as f64 / 3_600_000.0,
            mission.landed(),
            events.len(),
            start.elapsed().as_millis(),
        );
        println!("    {faults:?}");
        // One each minute; the few that found nothing to strike are not counted.
        assert!(n_faults >= 24 * 60 - 10, "only {n_faults} faults");
    }
}

/// Whoever waits a whole day for a provider costs nothing that grows, and then the work is done.
#[test]
fn a_provider_that_refuses_for_a_day_fills_no_journal_and_costs_no_attempt() {
    for seed in days(4) {
        let mut world = World::of_a_day(seed, 20, true);
        live(&mut world, seed);
        let day = world.day.as_ref().expect("it is such a world");
        let lines: Vec<usize> = day
            .hours
            .iter()
            .map(|(_, m)| shape(m).values().sum())
            .collect();
        let counts: Vec<u64> = day.hours.iter().map(|(n, _)| *n).collect();
        for pair in counts.windows(2) {
            let more = pair[1] - pair[0];
            assert!(
                more <= EVENTS_PER_HOUR_OF_REFUSALS,
                "{more} events in one hour"
            );
        }
        println!("refused for a day {seed}: events {counts:?}, lines of state {lines:?}");
        refusals(world.audit.events());
        let (_, mission) = world.measure();
        let outcome = mission.outcome().expect("it ended");
        // Many tasks that begin at once when the provider is back may conflict in what they share; nothing else may fail.
        let by_conflict = |why: &String| why.contains("in a conflict") || why.contains("it needs");
        let reasons = mission.reasons();
        let is_done = crate::audit::is_good(outcome) || reasons.iter().all(by_conflict);
        assert!(is_done && mission.landed() > 0, "{reasons:?}");
    }
}
