//! Workspaces that will be needed soon, made while a Planner thinks and nothing else is to be done.

use super::{Bench, Error, gate, ready};
use mission::ids::CommitId;
use tokio_util::sync::CancellationToken;

/// The lane that the first task is worked in: the core takes the lowest free one.
const FIRST_WORKER: &str = "worker-1";

/// Sets the first Worker's lane and that of the gates to a commit, where nobody has been in them yet. They are checked
/// again by whoever needs them, so nothing depends on this, and what goes wrong is told there. `over` ends it.
pub(crate) async fn lanes(bench: &Bench, base: &CommitId, over: &CancellationToken) {
    for lane in [FIRST_WORKER, gate::LANE] {
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
        if let Err(error) = make(bench, lane, base).await {
            tracing::debug!(%error, lane, "a lane could not be made beforehand");
        }
    }
}

async fn make(bench: &Bench, lane: &str, base: &CommitId) -> Result<(), Error> {
    let path = bench.place.lane(lane);
    let kept = ready::kept(&ready::recipes(bench)?);
    let base = base.clone();
    let room = std::sync::Arc::clone(&bench.room);
    bench
        .with_repository(move |repository| {
            let _room = room.admits(&path)?;
            std::fs::create_dir_all(path.parent().unwrap_or(&path)).map_err(Error::new)?;
            let made = repository.workspace(&path, &base, &kept);
            made.map(|_| ()).map_err(Error::new)
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[tokio::test]
    async fn lanes_are_made_once_and_nobodys_work_is_touched() {
        let sample = sample::mission(&[("a.txt", "a\n")]);
        let (bench, base) = (&sample.bench, &sample.base.commit);
        let never = CancellationToken::new();
        lanes(bench, base, &never).await;
        let file = |lane: &str| bench.place.lane(lane).join("a.txt");
        assert!(file(FIRST_WORKER).exists() && file(gate::LANE).exists());
        std::fs::write(file(FIRST_WORKER), "work\n").unwrap();
        lanes(bench, base, &never).await;
        assert_eq!(std::fs::read(file(FIRST_WORKER)).unwrap(), b"work\n");
    }
}
