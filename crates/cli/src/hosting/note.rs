//! What is known of the conversation in which a mission was asked for. Kept as long as there is something to show in it,
//! so that whoever comes after a crash shows it in the same place.

use crate::error::Error;
use crate::host::Store;
use crate::view;
use agents::opencode::front::Place;
use agents::opencode::visit::{self, Left};
use engine::layout::Layout;
use mission::ids::MissionId;
use mission::mission::Mission;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::PathBuf;

/// The most earlier conversations of one mission that are kept.
const EARLIER: usize = 16;

/// One mission's note.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    /// The folder of the conversation, as OpenCode names it.
    pub(crate) directory: PathBuf,
    /// The conversation.
    pub(crate) session: String,
    /// The name of the request: asked twice, it is carried out once.
    pub(crate) key: String,
    /// Whether the engine that OpenCode started carries it out, and not a terminal.
    pub(crate) hosted: bool,
    /// The missions that it waits for, in their order, if it was asked for while the first of them ran.
    #[serde(default)]
    pub(crate) after: Vec<MissionId>,
    /// The socket of the OpenCode in which its agents are seen, if they are to be.
    #[serde(default)]
    pub(crate) agents: Option<PathBuf>,
    /// Where programs are looked for by the OpenCode in which it was asked for; without it, where the engine does.
    #[serde(default)]
    pub(crate) path: Option<String>,
    /// The conversations of that OpenCode in which it was asked to go on before, the oldest first. Its agents may be at
    /// work below them still.
    #[serde(default)]
    pub(crate) earlier: Vec<Place>,
    /// The id of its board, kept before it was posted.
    #[serde(default)]
    pub(crate) board: Option<String>,
    /// Whether the board was posted. One that is gone after that was taken away by somebody.
    #[serde(default)]
    pub(crate) posted: bool,
    /// The id of its report, kept before it was posted.
    #[serde(default)]
    pub(crate) report: Option<String>,
    /// Whether the mission is over: what is kept of it is what its conversation was not told yet. The plugin reads this,
    /// and has an engine tell it.
    #[serde(default)]
    pub(crate) ended: bool,
}

impl Note {
    /// The conversation.
    pub(crate) fn place(&self) -> Place {
        Place {
            directory: self.directory.clone(),
            session: self.session.clone(),
        }
    }

    /// Keeps it.
    pub(crate) fn keep(&self, layout: &Layout, mission: MissionId) -> io::Result<()> {
        crate::host::keep(&layout.front(mission), &serde_json::to_string(self)?)
    }

    /// The note of a mission. One that cannot be read is none: then the mission is shown nowhere.
    pub(crate) fn read(layout: &Layout, mission: MissionId) -> Option<Self> {
        serde_json::from_slice(&fs::read(layout.front(mission)).ok()?).ok()
    }

    /// There is nothing left to show.
    pub(crate) fn forget(layout: &Layout, mission: MissionId) {
        fs::remove_file(layout.front(mission)).ok();
        workbench::fault::point("note.forgotten");
    }

    /// Notes that a mission is over, if it is, for whoever shows it next.
    pub(crate) fn ends(store: &Store, mission: MissionId) {
        if let Some(note) = Self::read(&store.layout, mission)
            && store
                .load(mission)
                .is_ok_and(|(mission, _)| mission.is_settled())
        {
            let kept = Self {
                ended: true,
                ..note
            }
            .keep(&store.layout, mission);
            if let Err(error) = kept {
                view::note(&format!(
                    "the conversation in which {mission} was asked for is told of its end only when something is typed there: {error}"
                ));
            }
        }
    }

    /// Somebody carries the mission out in a terminal from now on.
    pub(crate) fn let_go(layout: &Layout, mission: MissionId) -> io::Result<()> {
        match Self::read(layout, mission) {
            Some(note) if note.hosted || note.ended => Self {
                hosted: false,
                agents: None,
                earlier: Vec::new(),
                ended: false,
                ..note
            }
            .keep(layout, mission),
            _ => Ok(()),
        }
    }

    /// What an engine before this one may have left at work where its agents are seen.
    pub(crate) fn left(&self, mission: &Mission) -> Left {
        Left {
            mission: mission.id(),
            nonce: mission.nonce().to_owned(),
            earlier: self.earlier.clone(),
        }
    }

    /// The conversations to be asked for what is left, once the mission goes on in another one of the same OpenCode.
    pub(crate) fn earlier_than(&self, session: &str) -> Vec<Place> {
        let mut all = self.earlier.clone();
        all.push(self.place());
        all.retain(|place| place.session != session);
        // Each is asked in turn before anything goes on, and the last ones are those in which something may be left.
        all.split_off(all.len().saturating_sub(EARLIER))
    }

    /// Agents of the mission that an engine before this one left at work where they are seen are stopped: they will go on
    /// elsewhere, and two at once would write into one workspace.
    pub(crate) async fn leave(&self, mission: &Mission) {
        let Some(bridge) = &self.agents else {
            return;
        };
        let id = mission.id();
        if let Err(why) = visit::leave(bridge, &self.place(), &self.left(mission)).await {
            view::note(&format!(
                "agents of {id} may still be at work in the OpenCode where it was asked for: {why}"
            ));
        }
    }

    /// The same for a mission that is ended while nobody carries it out: its agents would work on, for nothing.
    pub(crate) async fn leave_all(store: &Store, mission: MissionId) -> Result<(), Error> {
        if let Some(note) = Self::read(&store.layout, mission) {
            note.leave(&store.load(mission)?.0).await;
        }
        Ok(())
    }

    /// All missions that have one.
    pub(crate) fn all(layout: &Layout) -> Vec<MissionId> {
        let Ok(entries) = fs::read_dir(layout.fronts()) else {
            return Vec::new();
        };
        let name = |entry: fs::DirEntry| {
            let name = entry.file_name().into_string().ok()?;
            name.strip_suffix(".json")?.parse().ok()
        };
        let mut all: Vec<MissionId> = entries.filter_map(|entry| name(entry.ok()?)).collect();
        all.sort_unstable();
        all
    }
}
