//! Where a turn works.

/// Where a turn works.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Front,
    Worker(u32),
    Reviewer(u32),
}

impl Place {
    pub(super) fn name(self) -> String {
        match self {
            Self::Front => "front".into(),
            Self::Worker(n) => format!("worker-{n}"),
            Self::Reviewer(n) => format!("reviewer-{n}"),
        }
    }
}
