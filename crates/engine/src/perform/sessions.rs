//! Closes sessions at the agents' host: one that nobody needs any more, and in the end all of a mission.

use super::turn::lane_name;
use super::{Bench, Error};
use agents::Closing;
use mission::ids::MissionId;
use mission::input::Input;
use mission::mission::Mission;
use mission::schedule::Place;
use std::path::PathBuf;
use std::time::Duration;
use workbench::fault;

/// How long the end of a mission waits for its sessions. A host that is gone must not keep its workspaces.
const ALL: Duration = Duration::from_secs(60);

/// A session to be closed.
pub(crate) struct Job {
    mission: MissionId,
    nonce: String,
    session: String,
    lane: Place,
}

pub(crate) fn job(mission: &Mission, session: &str, lane: Place) -> Job {
    Job {
        mission: mission.id(),
        nonce: mission.nonce().to_owned(),
        session: session.to_owned(),
        lane,
    }
}

impl Job {
    pub(crate) async fn perform(self, bench: &Bench) -> Result<Input, Error> {
        fault::point("session.close before");
        let closing = Closing {
            mission: self.mission,
            nonce: self.nonce,
            directories: vec![bench.place.lane(&lane_name(self.lane))],
            only: Some(self.session.clone()),
        };
        let closed = bench.settings.agent.close_sessions(closing).await;
        closed.map_err(Error::new)?;
        fault::point("session.close after");
        Ok(Input::SessionClosed {
            session: self.session,
            left: String::new(),
        })
    }
}

/// Closes all that a mission has in these workspaces, known or not. Tells why they are left, where they are.
pub(super) async fn close_all(
    bench: &Bench,
    (mission, nonce): (MissionId, String),
    directories: Vec<PathBuf>,
) -> String {
    let closing = Closing {
        mission,
        nonce,
        directories,
        only: None,
    };
    let closed = bench.settings.agent.close_sessions(closing);
    match tokio::time::timeout(ALL, closed).await {
        Ok(Ok(n)) => {
            tracing::debug!(n, "sessions were closed");
            String::new()
        }
        Ok(Err(why)) => why,
        Err(_) => format!("their host did not close them within {} s", ALL.as_secs()),
    }
}
