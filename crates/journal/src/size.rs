//! Refuses what is too large, before anything is done with it.

use crate::Error;
use crate::limits;
use crate::types::{NewMission, Owner};

fn within(what: &'static str, size: usize, limit: usize) -> Result<(), Error> {
    if size <= limit {
        return Ok(());
    }
    Err(Error::TooLarge {
        what,
        size: size as u64,
        limit: limit as u64,
    })
}

/// A number that every store can hold: databases count with a sign.
pub(crate) fn number(what: &'static str, number: u64) -> Result<i64, Error> {
    i64::try_from(number).map_err(|_| Error::TooLarge {
        what,
        size: number,
        limit: i64::MAX as u64,
    })
}

pub(crate) fn mission(about: &NewMission) -> Result<(), Error> {
    within(
        "the bytes of a project's path",
        about.project.len(),
        limits::PROJECT_BYTES,
    )?;
    within(
        "the bytes of a request",
        about.request.len(),
        limits::REQUEST_BYTES,
    )
}

pub(crate) fn owner(owner: &Owner) -> Result<(), Error> {
    number("the start of a process", owner.started)?;
    within(
        "the bytes of a boot's name",
        owner.boot.len(),
        limits::OWNER_BYTES,
    )?;
    let endpoint = owner.endpoint.as_ref().map_or(0, String::len);
    within("the bytes of an endpoint", endpoint, limits::OWNER_BYTES)
}

pub(crate) fn batch(bodies: &[Vec<u8>], status: Option<&str>) -> Result<(), Error> {
    within(
        "the number of events of one append",
        bodies.len(),
        limits::BATCH_EVENTS,
    )?;
    let mut total = 0;
    for body in bodies {
        within("the bytes of a body", body.len(), limits::BODY_BYTES)?;
        total += body.len();
    }
    within("the bytes of one append", total, limits::BATCH_BYTES)?;
    within(
        "the bytes of a status",
        status.map_or(0, str::len),
        limits::STATUS_BYTES,
    )
}
