//! One performer at a time in each lane.
//!
//! A command that is owed no more is cancelled, and its lane is free for the mission at once. Its performer is not done
//! at once: an agent that was told to stop may write for some seconds more. Whoever comes next into the lane, or wants
//! to remove it, waits here until the one before has left.

use super::Error;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{OwnedMutexGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};
use tokio_util::sync::CancellationToken;

/// How long those who were told to leave may take. A host of agents takes half of it at the most.
const LEAVE: Duration = Duration::from_secs(60);

/// Who is in which lane.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    site: Arc<RwLock<()>>,
    each: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

/// The right to be in a lane, until it is dropped.
pub(crate) struct Inside {
    _lane: OwnedMutexGuard<()>,
    _site: OwnedRwLockReadGuard<()>,
}

/// The lanes of a mission, by its folder. Whoever carries it out next in this process shares them with a performer of
/// the one before that has not come back yet.
pub(crate) fn of(place: &Path) -> Arc<Lanes> {
    static ALL: Mutex<BTreeMap<PathBuf, Weak<Lanes>>> = Mutex::new(BTreeMap::new());
    let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|_, lanes| lanes.strong_count() > 0);
    if let Some(lanes) = all.get(place).and_then(Weak::upgrade) {
        return lanes;
    }
    let lanes = Arc::<Lanes>::default();
    all.insert(place.to_owned(), Arc::downgrade(&lanes));
    lanes
}

impl Lanes {
    /// Enters a lane once nobody else is in it. Nothing if it was cancelled meanwhile.
    pub(crate) async fn enter(&self, name: &str, cancel: &CancellationToken) -> Option<Inside> {
        let lane = {
            let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
            each.entry(name.to_owned()).or_default().clone()
        };
        let site = self.site.clone();
        let entered = async {
            Inside {
                _lane: lane.lock_owned().await,
                _site: site.read_owned().await,
            }
        };
        tokio::select! {
            biased;
            () = cancel.cancelled() => None,
            inside = entered => Some(inside),
        }
    }

    /// Has all lanes to itself, once everybody has left.
    pub(crate) async fn clear(&self) -> Result<OwnedRwLockWriteGuard<()>, Error> {
        let all = self.site.clone().write_owned();
        tokio::time::timeout(LEAVE, all)
            .await
            .map_err(|_| Error::new("somebody still works in a lane"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[tokio::test]
    async fn the_lanes_of_a_mission_are_shared_as_long_as_somebody_is_in_them() {
        let never = CancellationToken::new();
        let place = Path::new("/state/missions/m1-lanes-test");
        let first = of(place);
        let inside = first.enter("worker-1", &never).await.unwrap();
        let second = of(place);
        assert!(second.enter("worker-1", &never).now_or_never().is_none());
        drop(inside);
        assert!(second.enter("worker-1", &never).await.is_some());
        let other = of(Path::new("/state/missions/m2-lanes-test"));
        let _all = first.clear().await.unwrap();
        assert!(other.enter("worker-1", &never).await.is_some());
    }

    #[tokio::test]
    async fn a_lane_is_entered_when_the_one_before_has_left() {
        let lanes = Lanes::default();
        let never = CancellationToken::new();
        let first = lanes.enter("worker-1", &never).await.unwrap();
        assert!(lanes.enter("worker-1", &never).now_or_never().is_none());
        assert!(lanes.enter("worker-2", &never).await.is_some());
        assert!(lanes.clear().now_or_never().is_none(), "somebody is inside");
        let cancelled = CancellationToken::new();
        cancelled.cancel();
        assert!(lanes.enter("worker-1", &cancelled).await.is_none());
        drop(first);
        assert!(lanes.enter("worker-1", &never).await.is_some());
        let all = lanes.clear().await.unwrap();
        assert!(lanes.enter("worker-1", &never).now_or_never().is_none());
        drop(all);
        assert!(lanes.enter("worker-1", &never).await.is_some());
    }
}
