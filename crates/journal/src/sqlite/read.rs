//! What is read, on connections of its own, while the writer writes.

use super::digest;
use crate::chain::{self, Row, Walk};
use crate::{
    Entry, Error, Flaw, Head, Hold, LeaseRow, MissionRow, Owner, StoreId, Verdict, limits,
};
use mission::ids::{Epoch, MissionId, Seq};
use mission::time::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Transaction, types::ValueRef};

/// What stops a reader: the database, or what it found there.
pub(super) enum Failure {
    Database(rusqlite::Error),
    Found(Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Found(error)
    }
}

/// A lease as it is stored, and whether it is still open. Whether its owner lives, the caller asks the kernel.
fn lease_row(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Option<(LeaseRow, bool)>> {
    let Some(epoch) = row.get::<_, Option<i64>>(at)? else {
        return Ok(None);
    };
    let open: bool = row.get(at + 1)?;
    let owner = Owner {
        pid: row.get(at + 2)?,
        boot: row.get(at + 3)?,
        started: row.get::<_, i64>(at + 4)?.cast_unsigned(),
        endpoint: row.get(at + 5)?,
    };
    let row = LeaseRow {
        owner,
        epoch: Epoch(epoch.cast_unsigned()),
        hold: if open { Hold::Live } else { Hold::GivenBack },
    };
    Ok(Some((row, open)))
}

/// The newest lease of a mission, and whether it was not given back.
pub(super) fn lease(
    connection: &Connection,
    mission: MissionId,
) -> rusqlite::Result<Option<(LeaseRow, bool)>> {
    let row = connection
        .prepare_cached(
            "SELECT epoch, open, pid, boot, started, endpoint FROM lease WHERE mission = ?",
        )?
        .query_row([mission.0], |row| lease_row(row, 0))
        .optional()?;
    Ok(row.flatten())
}

/// All missions. An open lease is shown as live; the caller asks the kernel.
pub(super) fn missions(connection: &Connection) -> rusqlite::Result<Vec<MissionRow>> {
    let sql = "SELECT id, project, request, created, head.seq, head.hash, coalesce(text, ''),
            epoch, open, pid, boot, started, endpoint
        FROM mission JOIN head ON head.mission = id
        LEFT JOIN status ON status.mission = id
        LEFT JOIN lease ON lease.mission = id
        ORDER BY id";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map((), |row| {
        let hash: [u8; 32] = row.get(5)?;
        Ok(MissionRow {
            mission: MissionId(row.get(0)?),
            project: row.get(1)?,
            request: row.get(2)?,
            created: Timestamp(row.get::<_, i64>(3)?.cast_unsigned()),
            head: Head {
                seq: Seq(row.get::<_, i64>(4)?.cast_unsigned()),
                hash: digest(&hash),
            },
            status: row.get(6)?,
            lease: lease_row(row, 7)?.map(|(lease, _)| lease),
        })
    })?;
    rows.collect()
}

/// The stored end of a chain.
fn end(connection: &Connection, mission: MissionId) -> Result<(u64, [u8; 32]), Failure> {
    let (seq, hash): (i64, [u8; 32]) = connection
        .prepare_cached("SELECT seq, hash FROM head WHERE mission = ?")?
        .query_row([mission.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?
        .ok_or(Error::Unknown { mission })?;
    Ok((seq.cast_unsigned(), hash))
}

pub(super) fn head(connection: &Connection, mission: MissionId) -> Result<Head, Failure> {
    let (seq, hash) = end(connection, mission)?;
    Ok(Head {
        seq: Seq(seq),
        hash: digest(&hash),
    })
}

const EVENTS: &str = "SELECT seq, format, epoch, prev, hash, body FROM event WHERE mission = ? AND seq >= ? ORDER BY seq";

/// The columns of [`EVENTS`] as they are, whatever somebody made of them.
fn event<'a>(row: &'a rusqlite::Row<'_>) -> rusqlite::Result<Row<'a>> {
    fn bytes(value: ValueRef<'_>) -> &[u8] {
        match value {
            ValueRef::Blob(bytes) | ValueRef::Text(bytes) => bytes,
            _ => &[],
        }
    }
    Ok(Row {
        seq: row.get::<_, i64>(0)?.cast_unsigned(),
        format: row.get::<_, i64>(1)?.cast_unsigned(),
        epoch: row.get::<_, i64>(2)?.cast_unsigned(),
        prev: bytes(row.get_ref(3)?),
        hash: bytes(row.get_ref(4)?),
        body: bytes(row.get_ref(5)?),
    })
}

/// A page of events, each checked against its hash and the event before it.
pub(super) fn events(
    snapshot: &Transaction<'_>,
    store: StoreId,
    mission: MissionId,
    from: Seq,
    at_most: usize,
) -> Result<Vec<Entry>, Failure> {
    let (end, _) = end(snapshot, mission)?;
    let from = from.0.max(1);
    if from > end || at_most == 0 {
        return Ok(Vec::new());
    }
    let mut walk = before(snapshot, store, mission, from)?;
    let mut statement = snapshot.prepare_cached(EVENTS)?;
    let mut rows = statement.query((mission.0, from.cast_signed()))?;
    let (mut entries, mut bytes) = (Vec::new(), 0);
    while entries.len() < at_most
        && let Some(row) = rows.next()?
    {
        let event = event(row)?;
        bytes += event.body.len();
        if bytes > limits::READ_BYTES && !entries.is_empty() {
            break;
        }
        let seq = walk.next();
        let prev = *walk.hash();
        walk.step(event)
            .map_err(|flaw| Error::Broken { mission, seq, flaw })?;
        entries.push(Entry {
            seq,
            epoch: Epoch(event.epoch),
            body: event.body.to_vec(),
            prev: digest(&prev),
            hash: digest(walk.hash()),
        });
    }
    Ok(entries)
}

/// A walk that begins behind the event before `from`, whose hash is believed here: its own page checked it.
fn before(
    snapshot: &Transaction<'_>,
    store: StoreId,
    mission: MissionId,
    from: u64,
) -> Result<Walk, Failure> {
    let last = from - 1;
    if last == 0 {
        return Ok(Walk::new(store, mission, 0, chain::START));
    }
    let hash: Option<Vec<u8>> = snapshot
        .prepare_cached("SELECT hash FROM event WHERE mission = ? AND seq = ?")?
        .query_row((mission.0, last.cast_signed()), |row| row.get(0))
        .optional()?;
    let seq = Seq(last);
    let hash = hash.ok_or(Error::Broken {
        mission,
        seq,
        flaw: Flaw::Gap { found: from },
    })?;
    let hash = hash.try_into().map_err(|_| Error::Broken {
        mission,
        seq,
        flaw: Flaw::Hash,
    })?;
    Ok(Walk::new(store, mission, last, hash))
}

pub(super) fn verify(
    snapshot: &Transaction<'_>,
    store: StoreId,
    mission: MissionId,
) -> Result<Verdict, Failure> {
    let (end, hash) = end(snapshot, mission)?;
    let newest = lease(snapshot, mission)?.map_or(0, |(row, _)| row.epoch.0);
    let mut walk = Walk::new(store, mission, 0, chain::START);
    let mut statement = snapshot.prepare_cached(EVENTS)?;
    let mut rows = statement.query((mission.0, i64::MIN))?;
    while let Some(row) = rows.next()? {
        if let Err(flaw) = walk.step(event(row)?) {
            let seq = walk.next();
            return Ok(Verdict::Broken { seq, flaw });
        }
    }
    Ok(walk.finish(end, &hash, newest).into())
}
