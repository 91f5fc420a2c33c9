//! Workspaces that will be needed soon, made while a Planner thinks and nothing else is to be done.

use super::turn::lane_name;
use super::{Bench, Error, ready};
use mission::ids::CommitId;
use mission::schedule::Place;
use tokio_util::sync::CancellationToken;

/// Sets the lanes of the gates and of so many Workers to a commit, where nobody has been in them yet: the first that are
/// needed first, since the core takes the lowest free one. They are checked again by whoever needs them, so nothing
/// depends on this, and what goes wrong is told there. `over` ends it, and so does a disk without room for one more; of the
/// lanes that a plan may never need, one without plenty.
pub(crate) async fn lanes(bench: &Bench, base: &CommitId, workers: u32, over: &CancellationToken) {
    let first = [Place::Worker(1), Place::Checks].into_iter();
    for place in first.chain((2..=workers).map(Place::Worker)) {
        let lane = &lane_name(place);
        let is_there = || bench.place.lane(lane).symlink_metadata().is_ok();
        if is_there() {
            continue;
        }
        let Some(_inside) = bench.lanes.enter(lane, over).await else {
            return;
        };
        if is_there() {
            continue;
        }
        let is_spare = place != Place::Checks && place != Place::Worker(1);
        let spare = if is_spare { workers - 1 } else { 0 };
        match make(bench, (lane, spare), base).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => tracing::debug!(%error, lane, "a lane could not be made beforehand"),
        }
    }
}

/// Whether there was room for it, and for as many that may never be used.
async fn make(bench: &Bench, (lane, spare): (&str, u32), base: &CommitId) -> Result<bool, Error> {
    let path = bench.place.lane(lane);
    let kept = ready::kept(&ready::recipes(bench)?);
    let base = base.clone();
    let room = std::sync::Arc::clone(&bench.room);
    bench
        .with_repository(move |repository| {
            let Ok(_room) = room.admits(&path) else {
                return Ok(false);
            };
            if !room.is_plenty(spare) {
                return Ok(false);
            }
            std::fs::create_dir_all(path.parent().unwrap_or(&path)).map_err(Error::new)?;
            room.is_made_bare(&path);
            let made = repository.workspace(&path, &base, &kept);
            made.map(|_| true).map_err(Error::new)
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use crate::perform::gate;

    #[tokio::test]
    async fn lanes_are_made_once_and_nobodys_work_is_touched() {
        let sample = sample::mission(&[("a.txt", "a\n")]);
        let (bench, base) = (&sample.bench, &sample.base.commit);
        let never = CancellationToken::new();
        lanes(bench, base, 3, &never).await;
        let file = |lane: &str| bench.place.lane(lane).join("a.txt");
        for lane in ["worker-1", "worker-2", "worker-3", gate::LANE] {
            assert!(file(lane).exists(), "{lane}");
        }
        let made = std::fs::read_dir(bench.place.lanes()).unwrap();
        assert_eq!(made.count(), 4, "as many Workers as there may be");
        std::fs::write(file("worker-1"), "work\n").unwrap();
        lanes(bench, base, 3, &never).await;
        assert_eq!(std::fs::read(file("worker-1")).unwrap(), b"work\n");
    }

    #[tokio::test]
    async fn none_is_made_once_the_turn_is_over() {
        let sample = sample::mission(&[("a.txt", "a\n")]);
        let (bench, base) = (&sample.bench, &sample.base.commit);
        let over = CancellationToken::new();
        let lane = |n: u32| bench.place.lane(&lane_name(Place::Worker(n)));
        let inside = bench.lanes.enter("worker-2", &over).await.unwrap();
        let ends = async {
            while !bench.place.lane(gate::LANE).exists() {
                tokio::task::yield_now().await;
            }
            over.cancel();
        };
        tokio::join!(lanes(bench, base, 3, &over), ends);
        drop(inside);
        assert!(lane(1).exists() && !lane(2).exists() && !lane(3).exists());
    }

    #[tokio::test]
    async fn none_is_made_without_room_and_none_that_may_never_be_used_without_plenty() {
        for (percent, made) in [(200, 0), (20, 2), (1, 4)] {
            let sample = sample::mission(&[("a.txt", "a\n")]);
            let (bench, base) = (&sample.bench, &sample.base.commit);
            bench.room.takes(percent);
            lanes(bench, base, 3, &CancellationToken::new()).await;
            let found = std::fs::read_dir(bench.place.lanes()).map_or(0, Iterator::count);
            assert_eq!(found, made, "one takes {percent} % of what is free");
        }
    }
}
