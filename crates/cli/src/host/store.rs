//! The store of this user, and which mission is meant.

use crate::error::{Error, Kind};
use crate::view::escape;
use engine::layout::Layout;
use engine::store::Shared;
use journal::{Hold, MissionRow, Sqlite};
use mission::ids::{MissionId, Seq};
use mission::mission::Mission;
use std::path::PathBuf;
use std::sync::Arc;

/// The store of this user.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) layout: Layout,
    pub(crate) journal: Shared,
}

impl Store {
    /// Opens the store, which is made if it is not there.
    pub(crate) fn open() -> Result<Self, Error> {
        Self::at(crate::places::layout()?)
    }

    /// Opens the store for a mission that is to run here: its socket must have room in the state directory.
    pub(crate) fn for_running() -> Result<Self, Error> {
        let layout = crate::places::layout()?;
        crate::places::roomy(&layout)?;
        let store = Self::at(layout)?;
        store.can_open_doors()?;
        Ok(store)
    }

    /// Says so if a mission could not open its socket, before one is begun.
    pub(crate) fn can_open_doors(&self) -> Result<(), Error> {
        let checked = engine::socket::check_folder(&self.layout.doors());
        Ok(checked.map_err(engine::door::Error::from)?)
    }

    /// Opens the store in a state directory, which is made if it is not there.
    pub(crate) fn at(layout: Layout) -> Result<Self, Error> {
        let journal = Sqlite::open(layout.root())?;
        Ok(Self {
            layout,
            journal: Arc::new(journal),
        })
    }

    /// The named mission, or the last one of the current folder, or the last one: to look at.
    pub(crate) fn find(&self, named: Option<MissionId>) -> Result<MissionId, Error> {
        match self.named_or_here(named)? {
            Some(id) => Ok(id),
            None => Ok(self.last()?.mission),
        }
    }

    /// The named mission, or the last one of the current folder: to do something to. That of another folder is somebody
    /// else's work to whoever does not name it.
    pub(crate) fn find_here(&self, named: Option<MissionId>) -> Result<MissionId, Error> {
        if let Some(id) = self.named_or_here(named)? {
            return Ok(id);
        }
        let last = self.last()?;
        let (id, project) = (last.mission, escape::line(&last.project));
        let what =
            format!("there is no mission of this folder; the last one is {id}, of {project}");
        let hint =
            format!("name the mission that is meant, as in {id}: `orchestrator list` has all");
        Err(Error::new(Kind::NoMission, what).hint(hint))
    }

    fn named_or_here(&self, named: Option<MissionId>) -> Result<Option<MissionId>, Error> {
        if let Some(id) = named {
            self.journal.head(id)?;
            return Ok(Some(id));
        }
        let here = std::env::current_dir().ok();
        let is_here = |project: &str| here.as_ref().is_some_and(|here| here.starts_with(project));
        let rows = self.journal.missions()?;
        let here = rows.iter().filter(|row| is_here(&row.project));
        // Of projects in each other the innermost is meant, and of its missions the last.
        let last = here.max_by_key(|row| (row.project.len(), row.mission));
        Ok(last.map(|row| row.mission))
    }

    fn last(&self) -> Result<MissionRow, Error> {
        self.journal.missions()?.pop().ok_or_else(|| {
            Error::new(Kind::NoMission, "there is no mission yet")
                .hint("start one: orchestrator task \"…\"")
        })
    }

    /// A mission as it is durable now.
    pub(crate) fn load(&self, id: MissionId) -> Result<(Mission, Seq), Error> {
        Ok(engine::store::load(&*self.journal, id)?)
    }

    /// The socket of a mission's owner. Its name is short: sockets have little room.
    pub(crate) fn door(&self, id: MissionId) -> PathBuf {
        self.layout
            .doors()
            .join(format!("{id}-{}.sock", std::process::id()))
    }

    /// Where the living owner of a mission can be reached, if it has one.
    pub(crate) fn owner(&self, id: MissionId) -> Result<Option<PathBuf>, Error> {
        let rows = self.journal.missions()?;
        let lease = rows
            .into_iter()
            .find(|row| row.mission == id)
            .and_then(|row| row.lease);
        let live = lease.filter(|lease| lease.hold == Hold::Live);
        Ok(live
            .and_then(|lease| lease.owner.endpoint)
            .map(PathBuf::from))
    }
}
