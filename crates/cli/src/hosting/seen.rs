//! Missions whose agents are seen in the terminal view in which they were asked for.
//!
//! Which OpenCode that is, the mission's note says; it is chosen when the mission is asked for, and again when it is told
//! there to go on. Whatever keeps agents from being seen is said, and they run in the engine's own server.

use super::front::Remarks;
use super::{Answer, Guest, Hosting, Note};
use crate::begin::Means;
use crate::config::Where;
use crate::host::{Ready, Starting};
use crate::view::{self, escape};
use agents::Agent;
use agents::opencode::front::Tone;
use agents::opencode::visit::{self, Tell, Visit, Visiting};
use mission::ids::MissionId;
use mission::mission::Mission;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Notify;

/// What a mission needs for its agents to be seen.
pub(super) struct Seen {
    pub(super) wanted: Note,
    pub(super) remarks: Remarks,
    pub(super) wake: Arc<Notify>,
}

impl Seen {
    /// Where the agents of a mission are seen, if they are to be and can be. If not, what an engine before this one left at
    /// work there is stopped.
    pub(super) async fn agent(
        self,
        mission: &Mission,
        means: &Means,
        ready: &Ready,
    ) -> Option<Arc<dyn Agent>> {
        let wanted = self.wanted.clone();
        let agent = self.visits(mission, means, ready).await;
        if agent.is_none() {
            wanted.leave(mission).await;
        }
        agent
    }

    async fn visits(
        self,
        mission: &Mission,
        means: &Means,
        ready: &Ready,
    ) -> Option<Arc<dyn Agent>> {
        let bridge = self.wanted.agents.clone()?;
        let Starting::OpenCode(own) = &ready.agent else {
            return None;
        };
        let at = self.wanted.place();
        let left = mission.base().is_some().then(|| self.wanted.left(mission));
        let tell = self.tell(mission.id());
        if means.uses_project() {
            tell("agents run in the engine's own server, where they are not seen: only there the project's own configuration is used as it was approved".to_owned());
            return None;
        }
        let visit = Visit { bridge, at, left };
        match Visiting::begin(own.clone(), visit, tell.clone()).await {
            Ok(visiting) => Some(Arc::new(visiting)),
            Err(why) => {
                tell(format!(
                    "agents run in the engine's own server, where they are not seen: {why}"
                ));
                None
            }
        }
    }

    fn tell(self, id: MissionId) -> Tell {
        Arc::new(move |text| {
            let text = format!("{id}: {text}");
            view::note(&text);
            let shown = escape::short(&text, 300);
            self.remarks.say(shown, Tone::Warning);
            self.wake.notify_one();
        })
    }
}

impl Hosting {
    /// The socket of the OpenCode in which agents are to be seen: the one from which their mission is asked for, if
    /// somebody looks at it.
    pub(super) fn seen_by(guest: &Guest, means: &Means) -> Option<PathBuf> {
        let wanted = means.wanted.at == Where::Tui && guest.hello.screen;
        guest.hello.bridge.clone().filter(|_| wanted)
    }

    /// What an OpenCode is configured with in a folder: our agents, in a workspace of a mission that is seen in it, and
    /// nothing anywhere else.
    pub(super) fn agents_in(
        &self,
        guest: &Guest,
        directory: &Path,
        mcp: &[String],
        prompts: &BTreeMap<String, String>,
    ) -> Answer {
        let mission = self.store.layout.works_in(directory);
        let is_seen = |id: MissionId| {
            let hosted = self.hosted();
            let found = hosted.get(&id);
            found.is_some_and(|hosted| {
                hosted.report.borrow().is_none()
                    && hosted.note.agents.is_some()
                    && hosted.note.agents == guest.hello.bridge
            })
        };
        let config = mission.filter(|id| is_seen(*id));
        Answer {
            config: config.map(|_| Box::new(visit::configuration(mcp, prompts))),
            ..Answer::default()
        }
    }
}
