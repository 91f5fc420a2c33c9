//! Where a turn works.

use mission::turn::Role;

/// Where a turn works.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Front,
    Worker(u32),
    Reviewer(u32),
}

impl Place {
    /// Where a role works in its lane of this number.
    pub(crate) fn of(role: Role, lane: u32) -> Self {
        match role {
            Role::Commander | Role::Planner => Self::Front,
            Role::Worker => Self::Worker(lane),
            Role::Reviewer => Self::Reviewer(lane),
        }
    }

    pub(crate) fn name(self) -> String {
        match self {
            Self::Front => "front".into(),
            Self::Worker(n) => format!("worker-{n}"),
            Self::Reviewer(n) => format!("reviewer-{n}"),
        }
    }
}
