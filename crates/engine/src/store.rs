//! The journal and the missions in it, as the engine and every reader use them.

use journal::{Head, Journal, Lease, NewMission, Takeover};
use mission::event::{DecodeError, Event, Recorded};
use mission::ids::{MissionId, Seq};
use mission::input::{Input, Reply};
use mission::limits;
use mission::mission::Mission;
use mission::plan::{Size, TaskKind};
use mission::schedule::Took;
use mission::terms::Terms;
use mission::time::{Millis, Timestamp};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use workbench::fault;

/// How many events are read at once.
const PAGE: usize = 5_000;

/// What can go wrong with remembered missions.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// An event of a form that this program does not know.
    #[error("event {} of {mission} cannot be used: {source}", .seq.0)]
    Event {
        /// Whose.
        mission: MissionId,
        /// Its place.
        seq: Seq,
        /// Why.
        source: DecodeError,
    },
    /// A mission whose first event is missing: it was named and never opened.
    #[error("{0} was never opened: the program was ended while it began. Start a new mission")]
    NeverOpened(MissionId),
    /// What the mission needs to go on after a crash could not be kept.
    #[error("what the mission is run with cannot be kept: {0}")]
    Keep(std::io::Error),
    /// The system has no randomness to give.
    #[error("the system gives no random bytes: {0}")]
    Random(String),
}

/// A mission that this process owns: the fold, the lease and the end of its chain.
pub struct Owned {
    /// The fold of all that is durable.
    pub mission: Mission,
    /// The right to append.
    pub lease: Lease,
    /// The end of the chain.
    pub head: Head,
}

/// Reads a mission's events from a place on.
///
/// # Errors
/// A broken chain or an event of a newer form.
pub fn events(
    journal: &dyn Journal,
    mission: MissionId,
    from: Seq,
) -> Result<Vec<(Seq, Recorded)>, Error> {
    let mut events = Vec::new();
    let mut next = from;
    loop {
        let page = journal.read(mission, next, PAGE)?;
        let Some(last) = page.last() else {
            return Ok(events);
        };
        next = Seq(last.seq.0 + 1);
        for entry in page {
            let event = Recorded::decode(&entry.body).map_err(|source| Error::Event {
                mission,
                seq: entry.seq,
                source,
            })?;
            events.push((entry.seq, event));
        }
    }
}

/// A mission as its events tell, and the place of the last of them.
///
/// # Errors
/// As [`events`]; [`Error::NeverOpened`] for a mission without events.
pub fn load(journal: &dyn Journal, id: MissionId) -> Result<(Mission, Seq), Error> {
    let events = events(journal, id, Seq(1))?;
    let last = events.last().map_or(Seq(0), |(seq, _)| *seq);
    let mission =
        Mission::replay(events.iter().map(|(_, event)| event)).ok_or(Error::NeverOpened(id))?;
    Ok((mission, last))
}

/// Opens a new mission and takes its lease. `keep` keeps what the mission needs to go on after a crash, before the
/// mission's first event.
///
/// # Errors
/// What the journal says, or `keep`.
pub fn open_new(
    journal: &dyn Journal,
    now: Timestamp,
    project: &Path,
    request: &str,
    terms: Terms,
    door: impl FnOnce(MissionId) -> std::path::PathBuf,
    keep: impl FnOnce(&Mission) -> std::io::Result<()>,
) -> Result<Owned, Error> {
    let project = project.to_string_lossy().into_owned();
    let about = NewMission {
        project: project.clone(),
        request: request.to_owned(),
    };
    let earlier = took_before(journal, &project)?;
    fault::point("open.before");
    let id = journal.create(now, about)?;
    fault::point("open.named");
    let lease = journal.acquire(id, crate::owner::this_process(&door(id)), Takeover::IfDead)?;
    fault::point("open.leased");
    let (name, what) = ((id, nonce()?), (project, request.to_owned()));
    let (mission, first) = Mission::open_after(now, name, what, terms, earlier);
    keep(&mission).map_err(Error::Keep)?;
    fault::point("open.kept");
    let head = journal.append(
        &lease,
        &Head::start(),
        &[first.encode()],
        Some(mission.phase_word()),
    )?;
    fault::point("open.after");
    Ok(Owned {
        mission,
        lease,
        head,
    })
}

/// How long tasks took in the last missions of a folder. One that cannot be read here tells nothing, and its own readers
/// say why.
fn took_before(journal: &dyn Journal, project: &str) -> Result<Vec<Took>, Error> {
    let mut rows = journal.missions()?;
    rows.retain(|row| row.project == project && row.head.seq.0 <= limits::EARLIER_EVENTS);
    rows.sort_by_key(|row| row.mission);
    let mut all: BTreeMap<(TaskKind, Size), Took> = BTreeMap::new();
    for row in rows.iter().rev().take(limits::EARLIER) {
        let Ok((mission, _)) = load(journal, row.mission) else {
            continue;
        };
        for took in mission.durations().took() {
            let known = all.entry((took.kind, took.size)).or_insert(Took {
                n: 0,
                all: Millis(0),
                ..took.clone()
            });
            (known.n, known.all) = (known.n + took.n, known.all + took.all);
        }
    }
    Ok(all.into_values().collect())
}

/// Takes the lease on a mission that is there already.
///
/// # Errors
/// [`journal::Error::Held`] if its owner lives.
pub fn take(journal: &dyn Journal, id: MissionId, door: &Path) -> Result<Owned, Error> {
    let lease = journal.acquire(id, crate::owner::this_process(door), Takeover::IfDead)?;
    fault::point("take.leased");
    let (mission, _) = load(journal, id)?;
    let head = journal.head(id)?;
    Ok(Owned {
        mission,
        lease,
        head,
    })
}

/// A journal that many hold.
pub type Shared = Arc<dyn Journal>;

fn nonce() -> Result<String, Error> {
    let mut bytes = [0; 5];
    getrandom::fill(&mut bytes).map_err(|error| Error::Random(error.to_string()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Gives one input to a mission that nobody runs and makes what comes of it durable. Nothing is performed; what is
/// owed because of it is owed when the mission is run next. `seen` is when an engine last ran it.
///
/// # Errors
/// What the journal says; nothing took effect then.
pub fn once(
    journal: &dyn Journal,
    mut owned: Owned,
    input: Input,
    seen: Option<Timestamp>,
) -> Result<Reply, Error> {
    let at = crate::clock::Clock::new().now().max(owned.mission.last());
    let mut bodies = Vec::new();
    let mut keep = |mission: &mut Mission, events: Vec<Event>| {
        for event in events {
            mission.apply(at, &event);
            let v = mission::event::VERSION;
            bodies.push(Recorded { v, at, event }.encode());
        }
    };
    // Nobody carries out what would follow from being awake, and its time and tokens would run meanwhile.
    let (woke, _) = owned.mission.decide(at, Input::Woke { seen });
    keep(&mut owned.mission, woke);
    let ends = !matches!(
        input,
        Input::Answer { .. }
            | Input::Edit { .. }
            | Input::Pause { .. }
            | Input::Steer { .. }
            | Input::Prioritise { .. }
            | Input::EditPlan { .. }
    );
    let (decided, reply) = owned.mission.decide(at, input);
    keep(&mut owned.mission, decided);
    let mut follows = Vec::new();
    if ends {
        // What ends a mission, or wakes it up again, is followed to its end: no turn starts on the way.
        follows = owned.mission.follow(at);
    }
    while !follows.is_empty() && !follows.iter().any(starts) {
        keep(&mut owned.mission, follows);
        follows = owned.mission.follow(at);
    }
    if !bodies.is_empty() {
        let status = owned.mission.phase_word();
        fault::point("once.append before");
        journal.append(&owned.lease, &owned.head, &bodies, Some(status))?;
        fault::point("once.append after");
    }
    Ok(reply)
}

/// Whether this begins something that somebody would have to carry out now.
fn starts(event: &Event) -> bool {
    matches!(event, Event::TurnStarted { .. } | Event::GateStarted { .. })
}

#[cfg(test)]
mod earlier;

#[cfg(test)]
mod tests {
    use super::*;
    use mission::gate::Gate;
    use mission::ids::{CommitId, Digest, TreeId};
    use mission::todo::TodoEdit;
    use mission::work::Base;

    /// A mission that was opened then, and this process its owner.
    fn opened(at: Timestamp) -> (journal::Memory, Owned) {
        let journal = journal::Memory::new(journal::StoreId([1; 16]));
        let (project, terms) = (Path::new("/p"), Terms::default());
        let door = |_| "/nowhere".into();
        let owned = open_new(&journal, at, project, "r", terms, door, |_| Ok(()));
        (journal, owned.unwrap())
    }

    #[test]
    fn a_word_to_a_mission_that_stands_still_starts_no_turn() {
        let now = crate::clock::Clock::new().now();
        let (journal, owned) = opened(now);
        let id = owned.mission.id();
        let object = Digest::of(b"x");
        let commit: CommitId = object.as_str().parse().unwrap();
        let tree: TreeId = object.as_str().parse().unwrap();
        let prepared = Event::Prepared {
            base: Base {
                commit,
                tree,
                branch: None,
                head: None,
                uncommitted: 0,
                left_out: Vec::new(),
            },
            gates: Vec::<Gate>::new(),
            environment: Some(object),
            notes: Vec::new(),
        };
        let v = mission::event::VERSION;
        let body = Recorded {
            v,
            at: now,
            event: prepared,
        }
        .encode();
        journal
            .append(&owned.lease, &owned.head, &[body], None)
            .unwrap();
        drop(owned);
        let owned = take(&journal, id, Path::new("/nowhere")).unwrap();
        let edit = TodoEdit::Propose {
            text: "and a manual".into(),
        };
        let by = "somebody".to_owned();
        assert_eq!(
            once(&journal, owned, Input::Edit { edit, by }, None).unwrap(),
            Reply::Done
        );
        let (mission, last) = load(&journal, id).unwrap();
        assert_eq!(last, Seq(3));
        assert_eq!(mission.leases().count(), 0);
    }

    #[test]
    fn a_word_to_a_mission_that_stands_still_costs_it_no_time() {
        let hour = Millis::from_mins(60);
        let (journal, owned) = opened(crate::clock::Clock::new().now() - hour);
        let (id, deadline) = (owned.mission.id(), owned.mission.deadline());
        drop(owned);
        let owned = take(&journal, id, Path::new("/nowhere")).unwrap();
        let edit = TodoEdit::Propose {
            text: "and a manual".into(),
        };
        let by = "somebody".to_owned();
        once(&journal, owned, Input::Edit { edit, by }, None).unwrap();
        let (mission, _) = load(&journal, id).unwrap();
        assert!(mission.deadline() >= deadline + hour);
    }
}
