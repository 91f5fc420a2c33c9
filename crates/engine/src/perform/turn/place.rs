//! How the folders are called in which turns and checks work.

use crate::perform::gate;
use mission::schedule::Place;

/// The name of a lane's folder.
pub(crate) fn lane_name(place: Place) -> String {
    match place {
        Place::Front => "front".into(),
        Place::Ahead => "ahead".into(),
        Place::Worker(n) => format!("worker-{n}"),
        Place::Reviewer(n) => format!("reviewer-{n}"),
        Place::Checks => gate::LANE.into(),
    }
}
