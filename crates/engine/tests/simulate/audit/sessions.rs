//! The sessions of a mission, by a book of its own: each belongs to one lane, is used as often as it may be, and is closed
//! once nobody works in it.

use super::*;

/// One that is not closed yet.
#[derive(Clone, Debug)]
struct Open {
    place: (Role, u32),
    turn: Turn,
    uses: u32,
    /// Since when nobody works in it, and to whom it is of no more use.
    idle: Option<Timestamp>,
    retired: bool,
}

/// What the book knows.
#[derive(Default)]
pub(super) struct Sessions {
    open: BTreeMap<String, Open>,
    live: BTreeMap<Epoch, String>,
    /// Whether all that there was has been closed with the workspaces.
    gone: bool,
}

impl Audit {
    /// Whether nothing may be left at the host.
    pub(crate) fn sessions_are_gone(&self) -> bool {
        self.sessions.gone
    }

    pub(super) fn is_being_closed(&self, session: &str) -> bool {
        let open = self.sessions.open.get(session);
        open.is_some_and(|open| open.retired)
    }

    /// Before an event of a later moment: what was due by the last one has been done.
    pub(super) fn sessions_are_bounded(&self) {
        if self.sealed.is_some() {
            return;
        }
        let taken = |place: (Role, u32)| {
            let mut live = self.live.keys().map(|epoch| &self.leases[epoch]);
            live.any(|lease| (lease.turn.role(), lease.lane) == place)
        };
        let mut idle: BTreeMap<Role, usize> = BTreeMap::new();
        for (name, session) in &self.sessions.open {
            let Some(since) = session.idle.filter(|_| !session.retired) else {
                continue;
            };
            if taken(session.place) {
                continue;
            }
            assert!(
                since + limits::SESSION_IDLE > self.last,
                "{name} has been idle for too long and is not closed"
            );
            *idle.entry(session.place.0).or_default() += 1;
        }
        for (role, n) in idle {
            assert!(
                n <= limits::SESSIONS_IDLE,
                "{n} sessions of the {role} are idle"
            );
        }
    }

    pub(super) fn session(&mut self, event: &Event) {
        match event {
            Event::SessionUsed { epoch, session } => self.session_used(*epoch, session),
            Event::TurnEnded {
                turn,
                epoch,
                ending,
                ..
            } => {
                let over = !matches!(turn, Turn::Work { .. })
                    || matches!(
                        ending,
                        Ending::Answered | Ending::Expired | Ending::Overspent
                    );
                let name = self.sessions.live.remove(epoch);
                let open = name.and_then(|name| self.sessions.open.get_mut(&name));
                if let Some(open) = open {
                    open.idle = over.then_some(self.last);
                }
            }
            Event::SessionRetired { session, .. } => {
                let works = self.sessions.live.values().any(|live| live == session);
                assert!(!works, "{session} is closed under a turn");
                let open = self.sessions.open.get_mut(session);
                open.expect("what is closed was open").retired = true;
            }
            Event::SessionClosed { session, .. } => {
                let open = self.sessions.open.remove(session);
                assert!(
                    open.is_some_and(|open| open.retired),
                    "{session} was closed and nobody wanted it"
                );
            }
            Event::Cleaned { sessions_left, .. } => {
                self.sessions.open.clear();
                self.sessions.gone = sessions_left.is_empty();
            }
            Event::CleanFailed { .. } => self.sessions.open.clear(),
            Event::Resumed { .. } => self.sessions.gone = false,
            _ => {}
        }
    }

    fn session_used(&mut self, epoch: Epoch, session: &str) {
        let lease = self.leases[&epoch].clone();
        let place = (lease.turn.role(), lease.lane);
        assert!(self.live.contains_key(&epoch), "a lease that is over works");
        let fresh = || Open {
            place,
            turn: lease.turn,
            uses: 0,
            idle: None,
            retired: false,
        };
        let open = self.sessions.open.entry(session.to_owned());
        let open = open.or_insert_with(fresh);
        assert_eq!(open.place, place, "two lanes work in {session}");
        let repairs = match (open.turn, lease.turn) {
            (Turn::Plan { .. }, Turn::Plan { .. }) => true,
            (Turn::Split { task: one, .. }, Turn::Split { task: other, .. }) => one == other,
            _ => false,
        };
        assert!(
            repairs || open.turn == lease.turn,
            "{} is told what {} was told",
            lease.turn,
            open.turn
        );
        open.turn = lease.turn;
        assert!(!open.retired, "{session} is used and is being closed");
        open.uses += 1;
        open.idle = None;
        assert!(
            open.uses <= limits::SESSION_USES,
            "{session} is used for the {}th time",
            open.uses
        );
        let before = self.sessions.live.insert(epoch, session.to_owned());
        // What the lease began in is nobody's.
        if let Some(left) = before.and_then(|name| self.sessions.open.get_mut(&name)) {
            left.idle = Some(self.last);
        }
    }
}
