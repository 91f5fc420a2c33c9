//! What may begin while the disk of the state directory has little room.
//!
//! Where one more workspace does not fit, lanes that have theirs go on in it, and nothing begins anywhere else. Where not
//! even the room is left that any work needs, nothing begins at all: each turn would fail, and cost something.

use super::{Pressure, Sample, Short};
use crate::event::{Ending, Event};
use crate::limits;
use crate::mission::Mission;
use crate::plan::Priority;
use crate::planted;
use crate::turn::{Failure, Role};
use std::collections::BTreeSet;

/// Where a workspace stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Of whoever reads and plans.
    Front,
    /// Of whoever plans beside who reads.
    Ahead,
    /// In a lane of the Workers.
    Worker(u32),
    /// In a lane of the Reviewers.
    Reviewer(u32),
    /// Of the checks.
    Checks,
}

impl Place {
    /// Where a role works in its lane of this number.
    pub fn of(role: Role, lane: u32) -> Self {
        match role {
            Role::Planner if lane == limits::LANE_AHEAD => Self::Ahead,
            Role::Commander | Role::Planner => Self::Front,
            Role::Worker => Self::Worker(lane),
            Role::Reviewer => Self::Reviewer(lane),
        }
    }
}

/// What is known of the disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Disk {
    /// Since when it has too little room for one more workspace.
    pub(super) cramped: Option<Pressure>,
    /// The same of any work.
    pub(super) full: Option<Pressure>,
    /// Where a workspace is known to stand.
    pub(crate) workspaces: BTreeSet<Place>,
}

impl Mission {
    /// Why no workspace is made, while one more does not fit.
    pub fn cramped(&self) -> Option<&Pressure> {
        self.disk.cramped.as_ref()
    }

    /// Why nothing begins at all, while there is no room for any work.
    pub fn full(&self) -> Option<&Pressure> {
        self.disk.full.as_ref()
    }

    /// Whether no turn and no check may begin for want of room on the disk.
    pub(crate) fn is_full(&self) -> bool {
        self.disk.full.is_some() && !planted!("full_disk_ignored")
    }

    /// Whether what begins there finds its workspace, or may have one made.
    pub(crate) fn may_begin_in(&self, place: Place) -> bool {
        self.disk.cramped.is_none()
            || self.disk.workspaces.contains(&place)
            || planted!("workspace_made_without_room")
    }

    /// A turn ended as only one ends whose workspace stands. Of one that this machine failed, or of which nothing came
    /// back, nobody knows.
    pub(crate) fn worked_in(&mut self, place: Place, ending: &Ending) {
        let stands = match ending {
            Ending::Answered | Ending::Refused { .. } | Ending::Held { .. } | Ending::Overspent => {
                true
            }
            Ending::Failed { failure, .. } => !matches!(failure, Failure::Machine | Failure::Fatal),
            Ending::Expired | Ending::Cancelled => false,
        };
        if stands {
            self.disk.workspaces.insert(place);
        }
    }

    /// What a look at the disk comes to, the gravest first. Nothing runs beside it that would make room, so that no one
    /// is let through.
    pub(super) fn disk_seen(&self, sample: &Sample) -> Option<Event> {
        let all = [
            (Short::Full, &self.disk.full),
            (Short::Disk, &self.disk.cramped),
        ];
        let seen = |(of, known): (Short, &Option<Pressure>)| {
            let ((most, enough), used) = (of.bounds(), sample.gauge(of).now);
            match known {
                _ if self.outcome.is_some() => None,
                None => (used > most).then_some(Event::Pressed {
                    of,
                    used,
                    admits: Priority::High,
                }),
                Some(_) if planted!("disk_stays_full") => None,
                Some(_) => (used < enough).then_some(Event::Relieved { of: Some(of) }),
            }
        };
        all.into_iter().find_map(seen)
    }
}
