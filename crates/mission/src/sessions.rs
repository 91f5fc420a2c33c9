//! The sessions in which turns are carried out, as their host names them: which there are, what of them is gone on with,
//! and which are closed.
//!
//! A session belongs to one lane of one role, where its conversation and its workspace speak of the same files. It is gone
//! on with by the turn that it was begun for, which comes back after a refusal or a fault, and by the repair of a plan; no
//! other task ever gets it. What is over is closed at the host, so that nothing grows there. What a crash left there and
//! nobody named is found and closed with the workspaces.

use crate::bounds::cut_to;
use crate::decide::{Decided, done, stale};
use crate::event::{Ending, Event, Turn};
use crate::ids::Epoch;
use crate::limits;
use crate::mission::{Mission, State};
use crate::planted;
use crate::time::Timestamp;
use crate::turn::{Failure, Role, Usage};
use crate::work::Workspaces;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Why a session is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retired {
    /// Its lane works in another one.
    Replaced,
    /// It was used as often as a session may be.
    Worn,
    /// Nobody has worked in it for a while, and nobody will.
    Idle,
    /// Its role has enough others that are idle.
    Crowded,
}

impl Retired {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Replaced => "replaced",
            Self::Worn => "worn",
            Self::Idle => "idle",
            Self::Crowded => "crowded",
        }
    }
}

/// One session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Whose lane it belongs to.
    pub role: Role,
    /// The lane's number.
    pub lane: u32,
    /// The turn that was last carried out in it.
    pub turn: Turn,
    /// How many leases have worked in it.
    pub uses: u32,
    /// The lease that works in it.
    pub(crate) epoch: Option<Epoch>,
    /// When its last lease ended.
    pub(crate) since: Timestamp,
    /// Whether that ended so that the same turn goes on.
    goes_on: bool,
    /// Why it is being closed.
    pub(crate) retired: Option<Retired>,
}

impl Session {
    /// Whether a turn in this lane may know what was said in it: it is its own, or it wrote the plan, or the cut of the same
    /// task, that it repairs.
    fn is_of(&self, turn: Turn, lane: u32) -> bool {
        let repairs = match (self.turn, turn) {
            (Turn::Plan { .. }, Turn::Plan { .. }) => true,
            (Turn::Split { task: one, .. }, Turn::Split { task: other, .. }) => one == other,
            _ => false,
        };
        self.lane == lane && (self.turn == turn || repairs)
    }
}

/// All that a host has of a mission, as far as it is known, and how many there were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sessions {
    known: BTreeMap<String, Session>,
    /// The workspaces of the lanes that they belong to.
    pub(crate) workspaces: Workspaces,
    /// So many were begun.
    pub opened: u32,
    /// So often a further lease went on in one.
    pub reused: u32,
    /// So many were closed before the mission's end, by the reason.
    pub closed: BTreeMap<Retired, u32>,
    /// So many with its workspaces.
    pub ended: u32,
    /// So many could not be closed when they should have been.
    pub left: u32,
}

impl Sessions {
    /// Those that there are, by their names.
    pub fn known(&self) -> impl Iterator<Item = (&str, &Session)> {
        self.known
            .iter()
            .map(|(name, session)| (name.as_str(), session))
    }

    /// Those that are being closed.
    pub fn retired(&self) -> impl Iterator<Item = (&str, &Session)> {
        self.known()
            .filter(|(_, session)| session.retired.is_some())
    }

    /// How many were closed, whatever for.
    pub fn n_closed(&self) -> u32 {
        self.closed.values().sum::<u32>() + self.ended
    }

    fn used(&mut self, name: &str, epoch: Epoch, (turn, lane): (Turn, u32), at: Timestamp) {
        let known = self.known.contains_key(name);
        let session = self.known.entry(name.to_owned()).or_insert(Session {
            role: turn.role(),
            lane,
            turn,
            uses: 0,
            epoch: None,
            since: at,
            goes_on: false,
            retired: None,
        });
        if !planted!("session_uses_uncounted") {
            session.uses += 1;
        }
        (session.turn, session.lane, session.epoch) = (turn, lane, Some(epoch));
        match known {
            true => self.reused += 1,
            false => self.opened += 1,
        }
    }

    /// Another session works for this lease now: what it was begun in is nobody's.
    fn left_by(&mut self, epoch: Epoch, name: &str) {
        for (other, session) in &mut self.known {
            if session.epoch == Some(epoch) && other != name {
                session.epoch = None;
            }
        }
    }

    fn turn_ended(&mut self, epoch: Epoch, goes_on: bool, at: Timestamp) {
        for session in self.known.values_mut() {
            if session.epoch == Some(epoch) {
                (session.epoch, session.since, session.goes_on) = (None, at, goes_on);
            }
        }
    }

    fn gone(&mut self, name: &str, left: bool) {
        let Some(session) = self.known.remove(name) else {
            return;
        };
        match session.retired.filter(|_| !left) {
            Some(why) => *self.closed.entry(why).or_default() += 1,
            None => self.left += 1,
        }
    }
}

impl Mission {
    /// The sessions in which its turns are carried out.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// A host says in which session a turn is carried out.
    pub(crate) fn decide_session(&self, now: Timestamp, epoch: Epoch, session: &str) -> Decided {
        let Some(lease) = self.leases.get(&epoch) else {
            return stale();
        };
        let name = cut_to(session, limits::PATH_BYTES);
        let known = self.sessions.known.get(&name);
        let is_foreign = |known: &Session| {
            let shared = planted!("session_shared");
            known.retired.is_some() || (!known.is_of(lease.turn, lease.lane) && !shared)
        };
        match known {
            // Whoever works there would read what another was told.
            Some(known) if is_foreign(known) => {
                let why = format!("its host gave it a session that is not its own: {name}");
                let failure = Failure::Machine;
                let then = self.after_failure(now, lease.turn, failure, &why);
                let ending = Ending::Failed { failure, why };
                done(self.end_turn(epoch, lease, ending, Usage::default(), then))
            }
            Some(known) if known.epoch == Some(epoch) => done(Vec::new()),
            _ if name.is_empty() => done(Vec::new()),
            _ => done(vec![Event::SessionUsed {
                epoch,
                session: name,
            }]),
        }
    }

    /// A session is closed, or could not be.
    pub(crate) fn decide_closed(&self, session: &str, left: &str) -> Decided {
        let known = self.sessions.known.get(session);
        // After the end they go all at once, and what comes of it is told then.
        let is_owed = known.is_some_and(|known| known.retired.is_some());
        if !is_owed || self.outcome.is_some() {
            return stale();
        }
        done(vec![Event::SessionClosed {
            session: session.to_owned(),
            left: cut_to(left, limits::TODO_BYTES),
        }])
    }

    pub(crate) fn session_event(&mut self, at: Timestamp, event: &Event) {
        match event {
            Event::SessionUsed { epoch, session } => {
                if let Some(lease) = self.leases.get(epoch) {
                    self.sessions.left_by(*epoch, session);
                    let place = (lease.turn, lease.lane);
                    self.sessions.used(session, *epoch, place, at);
                }
            }
            Event::SessionRetired { session, why } => {
                if let Some(session) = self.sessions.known.get_mut(session) {
                    session.retired = Some(*why);
                }
            }
            Event::SessionClosed { session, left } => {
                self.sessions.gone(session, !left.is_empty());
            }
            Event::Cleaned { sessions_left, .. } => self.sessions_ended(!sessions_left.is_empty()),
            Event::CleanFailed { .. } => self.sessions_ended(true),
            _ => {}
        }
    }

    /// A lease is over, and so is what its session was needed for, unless the same turn goes on.
    pub(crate) fn session_turn_ended(
        &mut self,
        at: Timestamp,
        turn: Turn,
        epoch: Epoch,
        ending: &Ending,
    ) {
        let comes_back = match ending {
            Ending::Refused { .. } | Ending::Held { .. } | Ending::Cancelled => true,
            Ending::Failed { failure, .. } => matches!(
                failure,
                Failure::Transient | Failure::Machine | Failure::Fatal
            ),
            Ending::Answered | Ending::Expired | Ending::Overspent => false,
        };
        let goes_on = comes_back && matches!(turn, Turn::Work { .. });
        self.sessions.turn_ended(epoch, goes_on, at);
    }

    /// The workspaces are gone, and with them all sessions that were known.
    fn sessions_ended(&mut self, left: bool) {
        self.cleaned = true;
        self.sessions.workspaces.gone();
        let n = self.sessions.known.len() as u32;
        self.sessions.known.clear();
        match left {
            true => self.sessions.left += n,
            false => self.sessions.ended += n,
        }
    }

    /// Whether the turn of a session is to come back to it.
    fn is_awaited(&self, session: &Session) -> bool {
        let Turn::Work { attempt } = session.turn else {
            return false;
        };
        let task = self.tasks.get(&attempt.task);
        let waits = task.is_some_and(|task| {
            let waits = matches!(task.state, State::Ready | State::Parked { .. });
            waits && task.attempt() == attempt && !task.spent
        });
        session.goes_on && waits
    }

    /// Whether a lease works, or is about to work, where a session belongs.
    fn is_taken(&self, session: &Session) -> bool {
        let mut places = self
            .leases
            .values()
            .map(|lease| (lease.turn.role(), lease.lane));
        places.any(|place| place == (session.role, session.lane))
    }

    /// Sessions in which nobody works and to which nobody comes back, each with since when.
    fn idle_sessions(&self) -> impl Iterator<Item = (&str, &Session)> {
        self.sessions.known().filter(|(_, session)| {
            let free = session.epoch.is_none() && session.retired.is_none();
            free && !self.is_awaited(session) && !self.is_taken(session)
        })
    }

    /// When the next one has been idle for long enough.
    pub(crate) fn next_idle_session(&self) -> Option<Timestamp> {
        let since = self.idle_sessions().map(|(_, session)| session.since);
        Some(since.min()? + limits::SESSION_IDLE)
    }

    /// The next session that is to be closed.
    pub(crate) fn retire_sessions(&self, now: Timestamp) -> Vec<Event> {
        let free = self
            .sessions
            .known()
            .filter(|(_, session)| session.epoch.is_none() && session.retired.is_none());
        let why = |session: &Session| {
            if session.uses >= limits::SESSION_USES && !self.is_taken(session) {
                return Some(Retired::Worn);
            }
            // Its lane's workspace belongs to whoever works there now.
            let other = |other: &Session| {
                other.epoch.is_some() && (other.role, other.lane) == (session.role, session.lane)
            };
            let replaced = self.sessions.known.values().any(other);
            replaced.then_some(Retired::Replaced)
        };
        let mut found = free.filter_map(|(name, session)| Some((name, why(session)?)));
        let found = found.next().or_else(|| self.retire_idle(now));
        let retired = found.map(|(name, why)| Event::SessionRetired {
            session: name.to_owned(),
            why,
        });
        retired.into_iter().collect()
    }

    fn retire_idle(&self, now: Timestamp) -> Option<(&str, Retired)> {
        if planted!("idle_sessions_stay") {
            return None;
        }
        let mut idle: Vec<(&str, &Session)> = self.idle_sessions().collect();
        idle.sort_by_key(|(name, session)| (session.since, *name));
        let of = |role: Role| idle.iter().filter(|(_, other)| other.role == role).count();
        idle.iter().find_map(|(name, session)| {
            if session.since + limits::SESSION_IDLE <= now {
                return Some((*name, Retired::Idle));
            }
            let crowded = of(session.role) > limits::SESSIONS_IDLE;
            crowded.then_some((*name, Retired::Crowded))
        })
    }

    /// Why a session is closed or gone on with.
    pub(crate) fn why_session(&self, at: Timestamp, event: &Event) -> Vec<String> {
        match event {
            Event::SessionUsed { session, .. } => {
                vec![match self.sessions.known.get(session) {
                    None => {
                        "a session of its own: no other turn was ever told anything in it".into()
                    }
                    Some(known) => format!(
                        "it goes on in its lane's session, for the {}th time of at most {}",
                        known.uses + 1,
                        limits::SESSION_USES
                    ),
                }]
            }
            Event::SessionRetired { session, why } => {
                let Some(session) = self.sessions.known.get(session) else {
                    return Vec::new();
                };
                let lane = format!("{} lane {}", session.role, session.lane);
                vec![match why {
                    Retired::Replaced => format!("{lane} works in another session now"),
                    Retired::Worn => format!(
                        "{} leases have worked in it: whatever keeps its turn from its end may stand in it",
                        session.uses
                    ),
                    Retired::Idle => format!(
                        "nobody has worked in it for {}, and no turn comes back to it",
                        at.since(session.since)
                    ),
                    Retired::Crowded => format!(
                        "more than {} of the {}'s sessions are idle, and this one for the longest",
                        limits::SESSIONS_IDLE,
                        session.role
                    ),
                }]
            }
            _ => Vec::new(),
        }
    }
}
