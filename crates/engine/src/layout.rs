//! Where things lie below the state directory. Nothing else in the product names a place in it.

use std::path::{Path, PathBuf};

/// The name of the folder of a mission's workspaces.
const LANES: &str = "lanes";

/// The state directory of one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// A state directory; it need not exist yet.
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of private sockets.
    pub fn doors(&self) -> PathBuf {
        self.root.join("run")
    }

    /// What an engine that works in the background said before it kept a log.
    pub fn start_log(&self) -> PathBuf {
        self.doors().join("start.log")
    }

    /// The log of the engine that works in the background; those before it stand beside it.
    pub fn service_log(&self) -> PathBuf {
        self.root.join("logs/service.log")
    }

    /// The folder of what is known of conversations in which missions are shown.
    pub fn fronts(&self) -> PathBuf {
        self.root.join("fronts")
    }

    /// What is known of the conversation in which one mission is shown.
    pub fn front(&self, mission: mission::ids::MissionId) -> PathBuf {
        self.fronts().join(format!("{mission}.json"))
    }

    /// The folder of one mission, by its full name.
    pub fn mission(&self, full_name: &str) -> Place {
        Place {
            root: self.missions().join(full_name),
        }
    }

    fn missions(&self) -> PathBuf {
        self.root.join("missions")
    }

    /// The mission one of whose workspaces a folder is, under whatever name the state directory goes.
    pub fn works_in(&self, folder: &Path) -> Option<mission::ids::MissionId> {
        let named = self.missions();
        let real = named.canonicalize().unwrap_or_else(|_| named.clone());
        let below = [named, real]
            .iter()
            .find_map(|missions| folder.strip_prefix(missions).ok())?;
        let mut parts = below.components().map(|part| part.as_os_str());
        let mission = parts.next()?.to_str()?.split('-').next()?.parse().ok()?;
        let is_lane = parts.next()? == LANES && parts.next().is_some() && parts.next().is_none();
        is_lane.then_some(mission)
    }

    /// The folder of all looks at projects without a mission, each in a folder with the number of its process.
    pub(crate) fn surveys(&self) -> PathBuf {
        self.root.join("surveys")
    }

    /// A folder for looking at a project's checks without a mission; removed after the look.
    pub fn survey(&self) -> Place {
        Place {
            root: self.surveys().join(std::process::id().to_string()),
        }
    }

    /// The folder of what missions tell each other of providers.
    pub(crate) fn providers(&self) -> PathBuf {
        self.root.join("providers")
    }

    /// The folder of the plugin that OpenCode loads.
    pub fn plugin(&self) -> PathBuf {
        self.root.join("plugin")
    }

    /// The folder of OpenCode's configuration files as they were before a change.
    pub fn backups(&self) -> PathBuf {
        self.root.join("backups")
    }

    /// The file that is held while OpenCode's configuration is changed.
    pub fn install_lock(&self) -> PathBuf {
        self.root.join("install.lock")
    }

    /// What an install made, so that it can be taken out without a trace.
    pub fn install_record(&self) -> PathBuf {
        self.root.join("install.json")
    }

    /// The file that a delivery into one project holds while it writes, by the project's root, so that two missions
    /// deliver one after the other. It holds the name of whoever broke off in between.
    pub fn delivery_lock(&self, root: &Path) -> PathBuf {
        let digest = mission::ids::Digest::of(root.as_os_str().as_encoded_bytes());
        self.root
            .join("deliveries")
            .join(format!("{}.lock", digest.short()))
    }
}

/// The folder of one mission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    root: PathBuf,
}

impl Place {
    /// The folder itself; the mission repository lies in it.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder's name: the mission's full name, or the number of the process that looks.
    pub(crate) fn name(&self) -> String {
        let name = self.root.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// The folder of a mission that is being removed.
    pub fn going(&self) -> PathBuf {
        self.root.with_extension("gone")
    }

    /// The workspace of a lane: `worker-1`, `reviewer-2`, `gate-1`.
    pub fn lane(&self, name: &str) -> PathBuf {
        self.lanes().join(name)
    }

    /// The folder of all workspaces, and of nothing else: the mission repository keeps its side of them elsewhere.
    pub fn lanes(&self) -> PathBuf {
        self.root.join(LANES)
    }

    /// What was last begun in a lane.
    pub fn lane_note(&self, name: &str) -> PathBuf {
        self.notes().join(name)
    }

    /// The folder of all notes.
    pub fn notes(&self) -> PathBuf {
        self.root.join("notes")
    }

    /// The folder of what attempts did, step by step.
    pub(crate) fn steps(&self) -> PathBuf {
        self.root.join("steps")
    }

    /// When an engine last ran the mission, as a number.
    pub(crate) fn alive(&self) -> PathBuf {
        self.root.join("alive")
    }

    /// Where a scripted agent remembers.
    pub fn agent(&self) -> PathBuf {
        self.root.join("agent")
    }

    /// What the mission started from, as the workbench knows it.
    pub fn base(&self) -> PathBuf {
        self.root.join("base.json")
    }

    /// How workspaces are prepared.
    pub fn recipes(&self) -> PathBuf {
        self.root.join("recipes.json")
    }

    /// How workspaces are prepared for what work has added since.
    pub fn later_recipes(&self) -> PathBuf {
        self.root.join("recipes-later.json")
    }

    /// The workspace in which set-up ran, by the digest of what decides its outcome.
    pub fn prepared(&self, key: &str) -> PathBuf {
        self.all_prepared().join(key)
    }

    /// The folder of all of these.
    pub fn all_prepared(&self) -> PathBuf {
        self.root.join("prepared")
    }

    /// The list of files of a delivery, by its number.
    pub fn delivery(&self, n: u32) -> PathBuf {
        self.root.join(format!("delivery-{n}.json"))
    }

    /// The old bytes of a delivery's files.
    pub fn old(&self, n: u32) -> PathBuf {
        self.root.join(format!("old-{n}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_is_known_by_its_place_and_nothing_else_is_one() {
        let real = tempfile::tempdir().unwrap();
        let beside = tempfile::tempdir().unwrap();
        let named = beside.path().join("state");
        std::os::unix::fs::symlink(real.path(), &named).unwrap();
        std::fs::create_dir(real.path().join("missions")).unwrap();
        let layout = Layout::new(named.clone());
        let lane = layout.mission("m7-abc").lane("worker-1");
        let known = |folder: &Path| layout.works_in(folder).map(|id| id.to_string());
        assert_eq!(known(&lane).as_deref(), Some("m7"));
        let resolved = real.path().canonicalize().unwrap();
        let lane = resolved.join("missions/m7-abc/lanes/worker-1");
        assert_eq!(known(&lane).as_deref(), Some("m7"));
        for other in [
            "missions/m7-abc/lanes",
            "missions/m7-abc/lanes/worker-1/src",
            "missions/m7-abc/prepared/x",
            "missions/x/lanes/worker-1",
            "m7-abc/lanes/worker-1",
        ] {
            assert_eq!(known(&named.join(other)), None, "{other}");
        }
        assert_eq!(
            known(Path::new("/home/me/missions/m7-a/lanes/worker-1")),
            None
        );
    }
}
