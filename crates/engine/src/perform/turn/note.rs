//! What stands beside a lane: which turn was begun there, under which lease, and whether its work was handed in.

use mission::ids::Epoch;
use mission::mission::Mission;
use std::collections::BTreeSet;

/// What a lane's note ends with once the work in it was handed in and stands in a commit.
pub(super) const HANDED_IN: &str = " handed in";

/// The lease under which the workspace was set to what the note says, if the note says that this was begun there. Notes
/// of earlier versions do not name it.
pub(super) fn set_by(note: &str, begun: &str) -> Option<Epoch> {
    let note = note.strip_suffix(HANDED_IN).unwrap_or(note);
    match note.strip_prefix(begun)? {
        "" => Some(Epoch(0)),
        rest => rest.strip_prefix(' ')?.parse().ok().map(Epoch),
    }
}

/// The attempts whose work the journal holds, by name.
pub(crate) type Works = BTreeSet<String>;

pub(crate) fn works(mission: &Mission) -> Works {
    let attempts = mission.works().map(|attempt| attempt.to_string());
    attempts.collect()
}

/// The turn whose work lies in a lane and in no event, by the lane's note: it was never handed in, or the engine ended
/// between collecting it and making that durable.
pub(in crate::perform) fn unkept<'a>(note: &'a str, works: &Works) -> Option<&'a str> {
    let turn = note.split(' ').next()?;
    let kept = note.ends_with(HANDED_IN) && works.contains(turn);
    (!turn.is_empty() && !kept).then_some(turn)
}
