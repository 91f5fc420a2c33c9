//! The one thread that writes. It takes what waits, does it in one transaction, flushes once, and only then answers.

use super::storage;
use crate::{Error, limits};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode};
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, OnceLock};

/// Why a change did not happen.
pub(super) enum Failure {
    /// The journal's own rules; others in the same transaction are not concerned.
    Refused(Error),
    /// The database; nothing in the transaction can be trusted any more.
    Fatal(String),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Fatal(why(&error))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// What the database says, with its number: `disk I/O error` alone does not tell a write from a flush.
fn why(error: &rusqlite::Error) -> String {
    match error.sqlite_error() {
        Some(code) => format!("{error}, code {}", code.extended_code),
        None => error.to_string(),
    }
}

/// A change that waits for the writer.
pub(super) trait Job: Send {
    /// Makes the change and keeps the answer.
    fn run(&mut self, connection: &Connection) -> Result<Outcome, String>;
    /// Gives the answer that was kept.
    fn answer(self: Box<Self>);
    /// Gives another answer instead: the change was never tried.
    fn refuse(self: Box<Self>, error: Error);
}

/// Whether a change that ran stays.
#[derive(PartialEq, Eq)]
pub(super) enum Outcome {
    Made,
    Refused,
}

/// A change and the place where its answer goes. If it is dropped without an answer, the journal is poisoned.
pub(super) struct Ask<T, F> {
    pub(super) change: Option<F>,
    pub(super) answer: Option<Result<T, Error>>,
    pub(super) reply: SyncSender<Result<T, Error>>,
}

impl<T, F> Job for Ask<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, Failure> + Send,
{
    fn run(&mut self, connection: &Connection) -> Result<Outcome, String> {
        let Some(change) = self.change.take() else {
            return Ok(Outcome::Refused);
        };
        match change(connection) {
            Ok(value) => {
                self.answer = Some(Ok(value));
                Ok(Outcome::Made)
            }
            Err(Failure::Refused(error)) => {
                self.answer = Some(Err(error));
                Ok(Outcome::Refused)
            }
            Err(Failure::Fatal(why)) => Err(why),
        }
    }

    fn answer(self: Box<Self>) {
        if let Some(answer) = self.answer {
            // The one who asked waits for this and nothing else; if it is gone, nobody wants the answer.
            let _gone = self.reply.send(answer);
        }
    }

    fn refuse(self: Box<Self>, error: Error) {
        let _gone = self.reply.send(Err(error));
    }
}

/// Writes until nobody can ask any more, or until a write fails.
pub(super) fn run(
    connection: &Connection,
    jobs: &Receiver<Box<dyn Job>>,
    poison: &OnceLock<String>,
) {
    while let Ok(first) = jobs.recv() {
        let mut group = vec![first];
        while group.len() < limits::GROUP_JOBS
            && let Ok(next) = jobs.try_recv()
        {
            group.push(next);
        }
        if let Err(why) = commit(connection, &mut group) {
            // Set before the group is dropped, which wakes the unanswered callers: they must find the reason.
            let _first = poison.set(why);
            // After a failed flush the disk's state is unknown, so nothing more is written, not even at closing.
            let _closing =
                connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
            return;
        }
    }
}

/// Makes all changes of a group in one transaction, and answers when they are on the disk.
fn commit(connection: &Connection, group: &mut Vec<Box<dyn Job>>) -> Result<(), String> {
    let sql = |sql: &str| {
        connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(()))
            .map_err(|error| why(&error))
    };
    if let Err(error) = connection.execute_batch("BEGIN IMMEDIATE") {
        if error.sqlite_error_code() != Some(ErrorCode::DatabaseBusy) {
            return Err(why(&error));
        }
        for job in group.drain(..) {
            job.refuse(storage("writing", &error));
        }
        return Ok(());
    }
    for job in &mut *group {
        sql("SAVEPOINT job")?;
        if job.run(connection)? == Outcome::Refused {
            sql("ROLLBACK TO job")?;
        }
        sql("RELEASE job")?;
    }
    sql("COMMIT")?;
    for job in group.drain(..) {
        job.answer();
    }
    Ok(())
}

/// Marks the journal as closed if the thread ends by a panic.
pub(super) struct Alive(pub(super) Arc<OnceLock<String>>);

impl Drop for Alive {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _first = self.0.set("the writer panicked".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::{change, store};
    use crate::{NewMission, Sqlite};
    use mission::ids::MissionId;
    use std::sync::mpsc::{TryRecvError, sync_channel};

    fn job<T: Send + 'static>(
        reply: SyncSender<Result<T, Error>>,
        change: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Box<dyn Job> {
        Box::new(Ask {
            change: Some(change),
            answer: None,
            reply,
        })
    }

    #[test]
    fn what_waits_shares_one_commit_and_is_answered_after_it() {
        let dir = tempfile::tempdir().unwrap();
        drop(Sqlite::open(dir.path()).unwrap());
        let store = store::open(dir.path()).unwrap();
        let others = store::reader(&store.file).unwrap();
        let count = |connection: &Connection| -> u32 {
            connection
                .query_row("SELECT count(*) FROM mission", (), |row| row.get(0))
                .unwrap()
        };
        let (jobs, waiting) = sync_channel(8);
        let (reply, first) = sync_channel(1);
        let about = NewMission {
            project: String::new(),
            request: String::new(),
        };
        jobs.send(job(reply, move |connection| {
            change::create(connection, 1, &about)
        }))
        .unwrap();
        let (reply, second) = sync_channel(1);
        jobs.send(job(reply, move |connection| {
            // The first change is made, but nobody else sees it yet, and its caller has not been told.
            let early = first.try_recv().err();
            Ok((count(connection), count(&others), early, first))
        }))
        .unwrap();
        drop(jobs);
        run(&store.writer, &waiting, &OnceLock::new());
        let (inside, outside, early, first) = second.recv().unwrap().unwrap();
        assert_eq!((inside, outside, early), (1, 0, Some(TryRecvError::Empty)));
        assert_eq!(first.recv().unwrap(), Ok(MissionId(1)));
        assert_eq!(count(&store::reader(&store.file).unwrap()), 1);
    }
}
