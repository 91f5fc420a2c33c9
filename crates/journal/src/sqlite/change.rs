//! The changes that the writer makes, each inside a transaction that is not theirs.

use super::writer::Failure;
use super::{digest, read};
use crate::chain::{self, Place};
use crate::{Error, Head, NewMission, Owner, StoreId, Takeover};
use mission::ids::{Epoch, MissionId, Seq};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params};

/// What an append is made of.
pub(super) struct Append {
    pub(super) store: StoreId,
    pub(super) mission: MissionId,
    pub(super) epoch: Epoch,
    pub(super) expect: Head,
    pub(super) bodies: Vec<Vec<u8>>,
    pub(super) status: Option<String>,
}

pub(super) fn create(
    connection: &Connection,
    created: i64,
    about: &NewMission,
) -> Result<MissionId, Failure> {
    let id: u32 = connection
        .prepare_cached(
            "INSERT INTO mission (project, request, created) VALUES (?, ?, ?) RETURNING id",
        )?
        .query_row(params![about.project, about.request, created], |row| {
            row.get(0)
        })?;
    connection
        .prepare_cached("INSERT INTO head (mission, seq, hash) VALUES (?, 0, ?)")?
        .execute(params![id, chain::START])?;
    Ok(MissionId(id))
}

/// Numbers and stores a lease. The caller holds the mission's lock, so that nobody else is between these two statements.
pub(super) fn acquire(
    connection: &Connection,
    mission: MissionId,
    owner: &Owner,
    takeover: Takeover,
) -> Result<Epoch, Failure> {
    let last = read::lease(connection, mission)?;
    if let Some((row, true)) = &last
        && takeover == Takeover::Never
    {
        let owner = row.owner.clone();
        return Err(Error::Abandoned { mission, owner }.into());
    }
    let epoch = last.map_or(0, |(row, _)| row.epoch.0) + 1;
    let started = owner.started.cast_signed();
    let sql = "INSERT INTO lease (mission, epoch, open, pid, boot, started, endpoint) VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6)
        ON CONFLICT (mission) DO UPDATE SET epoch = ?2, open = 1, pid = ?3, boot = ?4, started = ?5, endpoint = ?6";
    connection.prepare_cached(sql)?.execute(params![
        mission.0,
        epoch.cast_signed(),
        owner.pid,
        owner.boot,
        started,
        owner.endpoint
    ])?;
    Ok(Epoch(epoch))
}

/// Notes that a lease was given back, unless there is a newer one.
pub(super) fn give_back(
    connection: &Connection,
    mission: MissionId,
    epoch: Epoch,
) -> Result<(), Failure> {
    connection
        .prepare_cached("UPDATE lease SET open = 0 WHERE mission = ? AND epoch = ?")?
        .execute(params![mission.0, epoch.0.cast_signed()])?;
    Ok(())
}

pub(super) fn append(connection: &Connection, append: &Append) -> Result<Head, Failure> {
    let mission = append.mission;
    let sql = "SELECT lease.epoch, head.seq, head.hash FROM lease JOIN head USING (mission) WHERE mission = ?";
    let (current, seq, mut hash): (i64, i64, [u8; 32]) = connection
        .prepare_cached(sql)?
        .query_row([mission.0], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?
        .ok_or(Error::Unknown { mission })?;
    let current = Epoch(current.cast_unsigned());
    if append.epoch != current {
        let yours = append.epoch;
        return Err(Error::Fenced {
            mission,
            yours,
            current,
        }
        .into());
    }
    let mut seq = Seq(seq.cast_unsigned());
    let found = Head {
        seq,
        hash: digest(&hash),
    };
    if append.expect != found {
        let expected = append.expect.clone();
        return Err(Error::HeadMoved {
            mission,
            expected,
            found,
        }
        .into());
    }
    insert(connection, append, &mut seq, &mut hash)?;
    if !append.bodies.is_empty() {
        connection
            .prepare_cached("UPDATE head SET seq = ?, hash = ? WHERE mission = ?")?
            .execute(params![seq.0.cast_signed(), hash, mission.0])?;
    }
    if let Some(status) = &append.status {
        connection
            .prepare_cached("INSERT INTO status (mission, text) VALUES (?1, ?2) ON CONFLICT (mission) DO UPDATE SET text = ?2")?
            .execute(params![mission.0, status])?;
    }
    Ok(Head {
        seq,
        hash: digest(&hash),
    })
}

/// Links each body to the one before it, and moves the end of the chain along.
fn insert(
    connection: &Connection,
    append: &Append,
    seq: &mut Seq,
    hash: &mut [u8; 32],
) -> Result<(), Failure> {
    let (mission, epoch) = (append.mission, append.epoch);
    let mut insert = connection.prepare_cached(
        "INSERT INTO event (mission, seq, format, epoch, prev, hash, body) VALUES (?, ?, ?, ?, ?, ?, ?)",
    )?;
    for body in &append.bodies {
        seq.0 += 1;
        let place = Place {
            store: append.store,
            mission,
            seq: *seq,
            epoch,
        };
        let prev = *hash;
        *hash = chain::hash(&prev, place, body);
        insert
            .execute(params![
                mission.0,
                seq.0.cast_signed(),
                chain::FORMAT,
                epoch.0.cast_signed(),
                prev,
                *hash,
                body
            ])
            .map_err(|error| follows(error, mission, *seq))?;
    }
    Ok(())
}

/// The table itself refuses an event that does not follow. Then the stored head is wrong, and only this mission suffers.
fn follows(error: rusqlite::Error, mission: MissionId, seq: Seq) -> Failure {
    if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) {
        let flaw = crate::Flaw::PastHead;
        return Error::Broken { mission, seq, flaw }.into();
    }
    error.into()
}

pub(super) fn rebuild(connection: &Connection) -> Result<(), Failure> {
    connection
        .prepare_cached("DELETE FROM status")?
        .execute(())?;
    Ok(())
}
