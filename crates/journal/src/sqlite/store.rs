//! Opens the store's file, makes it if there is none, and refuses everything that it does not know.

use super::locks::{self, Held, Locks};
use super::{Found, io, storage};
use crate::{Error, StoreId, limits};
use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::Read as _;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _,
    PermissionsExt as _,
};
use std::path::{Path, PathBuf};

/// Says to every tool what the file is: `ocoj` in ASCII.
pub(super) const APPLICATION: u32 = 0x6f63_6f6a;

/// The format of the file, kept in `user_version`. An older one will be copied into a new file that takes its name, with
/// [`place`], as a new store does; there is none older than the first yet.
pub(super) const FORMAT: u32 = 1;

const SCHEMA: &str = include_str!("schema.sql");

/// A store that is open for one writer.
pub(super) struct Store {
    pub(super) file: PathBuf,
    pub(super) locks: Locks,
    pub(super) writer: Connection,
    pub(super) id: StoreId,
    pub(super) found: Found,
}

/// Opens the store in a directory. One process at a time does this, so that two that make one at once do not meet.
pub(super) fn open(dir: &Path) -> Result<Store, Error> {
    let dir = directory(dir)?;
    let _alone: Held = locks::wait(&dir.join("open.lock"))?;
    let leases = directory(&dir.join("leases"))?;
    let file = dir.join("journal.db");
    // The database makes its other files with the mode of the first, so that one which was closed for a moment leaves
    // closed ones behind; the database itself would not say which.
    for place in [&dir, &file, &beside(&file, "-wal"), &beside(&file, "-shm")] {
        writable(place)?;
    }
    let found = match look(&file)? {
        Look::Nothing => {
            place(&file)?;
            Found::Nothing
        }
        Look::Empty => {
            place(&file)?;
            Found::Empty
        }
        Look::Something => check(&file)?,
    };
    let writer = writer(&file)?;
    let id = writer
        .query_row("SELECT value FROM meta WHERE name = 'store'", (), |row| {
            row.get(0)
        })
        .map_err(|error| storage("reading the store's name", &error))?;
    // By now the log exists. SQLite flushes its name too, but lets a failure of that pass, and a log whose name is lost
    // takes every acknowledged event with it.
    sync(&dir)?;
    Ok(Store {
        file,
        locks: Locks(leases),
        writer,
        id: StoreId(id),
        found,
    })
}

/// Makes a directory that only its owner enters, or checks the one that is there.
fn directory(dir: &Path) -> Result<PathBuf, Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| io("making", dir, &error))?;
    let dir = fs::canonicalize(dir).map_err(|error| io("finding", dir, &error))?;
    let metadata = fs::metadata(&dir).map_err(|error| io("reading", &dir, &error))?;
    // Whoever may write there all the same (the superuser) would leave files that its owner cannot use any more.
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        let owner = metadata.uid();
        return Err(Error::Theirs { path: dir, owner });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(Error::Unsafe { path: dir, mode });
    }
    if mode & 0o055 != 0 {
        // Something else made it, with what its umask allows: nobody could write there, and now nobody looks either.
        fs::set_permissions(&dir, Permissions::from_mode(0o700))
            .map_err(|error| io("closing", &dir, &error))?;
    }
    on_this_machine(&dir)?;
    Ok(dir)
}

/// Refuses what may not be written; what is not there yet may.
fn writable(path: &Path) -> Result<(), Error> {
    use rustix::fs::{Access, access};
    use rustix::io::Errno;
    match access(path, Access::WRITE_OK) {
        Err(Errno::ROFS) => Err(Error::ReadOnly {
            path: path.to_owned(),
        }),
        Err(Errno::ACCESS | Errno::PERM) => Err(Error::Closed {
            path: path.to_owned(),
        }),
        _ => Ok(()),
    }
}

#[cfg(target_os = "linux")]
fn on_this_machine(dir: &Path) -> Result<(), Error> {
    let answer = rustix::fs::statfs(dir)
        .map_err(|error| io("asking about the filesystem of", dir, &error.into()))?;
    // The kernel's magic numbers have 32 bits; the field is wider on most machines and signed on some.
    match network(answer.f_type as u32) {
        Some(kind) => Err(Error::Network {
            path: dir.to_owned(),
            kind,
        }),
        None => Ok(()),
    }
}

/// Elsewhere the kernel has no such numbers, and the locks themselves must fail.
#[cfg(not(target_os = "linux"))]
fn on_this_machine(_dir: &Path) -> Result<(), Error> {
    Ok(())
}

/// The name of a filesystem that is shared between machines. FUSE is not among them: most of it is local encryption.
#[cfg(target_os = "linux")]
fn network(magic: u32) -> Option<&'static str> {
    Some(match magic {
        0x0000_6969 => "nfs",
        0x0000_517b | 0xff53_4d42 | 0xfe53_4d42 => "smb",
        0x0102_1997 => "9p",
        0x00c3_6400 => "ceph",
        0x5346_414f | 0x6b41_4653 => "afs",
        0x7375_7245 => "coda",
        0x0bd0_0bd0 => "lustre",
        0x4750_4653 => "gpfs",
        0x786f_4256 => "vboxsf",
        _ => return None,
    })
}

enum Look {
    Nothing,
    Empty,
    Something,
}

/// Looks at the store's place without opening it: closing a database's file by other means than the database drops its
/// locks in the whole process.
fn look(file: &Path) -> Result<Look, Error> {
    let not = |found: &str| Error::NotAJournal {
        path: file.to_owned(),
        found: found.to_owned(),
    };
    let look = match fs::symlink_metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Look::Nothing,
        Err(error) => return Err(io("reading", file, &error)),
        Ok(metadata) => {
            let kind = metadata.file_type();
            if kind.is_symlink() {
                return Err(not("it is a symbolic link"));
            } else if kind.is_dir() {
                return Err(not("it is a directory"));
            } else if kind.is_fifo() {
                return Err(not("it is a pipe"));
            } else if !kind.is_file() {
                return Err(not("it is not a file"));
            } else if metadata.len() > 0 {
                return Ok(Look::Something);
            }
            Look::Empty
        }
    };
    without_log(file)?;
    Ok(look)
}

/// Refuses where there is a log without its file: it may hold events that were acknowledged, and a new file beside it
/// would swallow or lose them.
fn without_log(file: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(beside(file, "-wal")) {
        Ok(metadata) if metadata.len() > 0 => Err(Error::NotAJournal {
            path: file.to_owned(),
            found: "it is gone or empty, but its log `journal.db-wal` is still there and may hold what was lost"
                .to_owned(),
        }),
        _ => Ok(()),
    }
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn remove(file: &Path) -> Result<(), Error> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(io("removing", file, &error))
        }
        _ => Ok(()),
    }
}

fn sync(path: &Path) -> Result<(), Error> {
    let file = File::open(path).map_err(|error| io("opening", path, &error))?;
    file.sync_all()
        .map_err(|error| io("flushing", path, &error))
}

/// Makes a new store under another name, and gives it its name when it is whole and on the disk. The caller is alone.
fn place(file: &Path) -> Result<(), Error> {
    let new = beside(file, ".new");
    for suffix in ["", "-journal", "-wal", "-shm"] {
        remove(&beside(&new, suffix))?;
    }
    // Made here, and not by the database, so that nobody else may read it even for a moment.
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)
        .map_err(|error| io("making", &new, &error))?;
    fill(&new).map_err(|error| storage("making a new store", &error))?;
    sync(&new)?;
    for suffix in ["-wal", "-shm"] {
        remove(&beside(file, suffix))?;
    }
    fs::rename(&new, file).map_err(|error| io("naming", file, &error))?;
    match file.parent() {
        Some(dir) => sync(dir),
        None => Ok(()),
    }
}

fn fill(new: &Path) -> rusqlite::Result<()> {
    let mut connection = Connection::open_with_flags(
        new,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NOFOLLOW,
    )?;
    let transaction = connection.transaction()?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.execute_batch(SCHEMA)?;
    transaction.execute("INSERT INTO meta VALUES ('store', randomblob(16))", ())?;
    transaction.commit()?;
    let _mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    connection.close().map_err(|(_, error)| error)
}

/// Reads the format before anything else, on a connection that changes not one byte of the file.
fn check(file: &Path) -> Result<Found, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let read = || -> rusqlite::Result<(u32, u32)> {
        let connection = Connection::open_with_flags(file, flags)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.busy_timeout(limits::WAIT)?;
        let number = |name| connection.pragma_query_value(None, name, |row| row.get(0));
        Ok((number("application_id")?, number("user_version")?))
    };
    let not = |found: String| Error::NotAJournal {
        path: file.to_owned(),
        found,
    };
    match read() {
        Ok((APPLICATION, FORMAT)) => Ok(Found::Store),
        Ok((APPLICATION, found)) if found > FORMAT => Err(Error::Newer {
            path: file.to_owned(),
            found,
            known: FORMAT,
        }),
        Ok((application, format)) => Err(not(format!(
            "it is a database of another program (application {application:#x}, format {format})"
        ))),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            if !only_zeros(file)? {
                return Err(not(
                    "it is not a database, or its beginning is damaged".to_owned()
                ));
            }
            without_log(file)?;
            place(file)?;
            Ok(Found::Empty)
        }
        Err(error) => Err(storage("opening the store", &error)),
    }
}

/// Whether a file, which is no database, holds nothing at all: what a power cut leaves of a file that was never flushed.
fn only_zeros(path: &Path) -> Result<bool, Error> {
    let mut file = File::open(path).map_err(|error| io("opening", path, &error))?;
    let mut page = [0; 4096];
    loop {
        let n = file
            .read(&mut page)
            .map_err(|error| io("reading", path, &error))?;
        if n == 0 {
            return Ok(true);
        }
        if page[..n].iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
    }
}

fn writer(file: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || -> rusqlite::Result<(Connection, String)> {
        let connection = Connection::open_with_flags(file, flags)?;
        connection.busy_timeout(limits::WAIT)?;
        let mode =
            connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
        connection.pragma_update(None, "synchronous", "full")?;
        // On macOS an ordinary flush stops at the drive's cache. Elsewhere these two change nothing.
        connection.pragma_update(None, "fullfsync", true)?;
        connection.pragma_update(None, "checkpoint_fullfsync", true)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "journal_size_limit", limits::LOG_BYTES)?;
        connection.set_prepared_statement_cache_capacity(32);
        Ok((connection, mode))
    };
    let (connection, mode) = open().map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::ReadOnly) => Error::ReadOnly {
            path: file.to_owned(),
        },
        _ => storage("opening the store", &error),
    })?;
    if connection.is_readonly(rusqlite::MAIN_DB).unwrap_or(true) {
        return Err(Error::ReadOnly {
            path: file.to_owned(),
        });
    }
    // The database falls back to another mode where memory cannot be shared, and then readers would block the writer.
    if mode == "wal" {
        return Ok(connection);
    }
    Err(Error::NotAJournal {
        path: file.to_owned(),
        found: format!("the filesystem cannot share its log between processes (mode {mode})"),
    })
}

/// A connection that only reads.
pub(super) fn reader(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(limits::WAIT)?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_database_is_past_its_log_reset_fault() {
        assert!(
            rusqlite::version_number() >= 3_051_003,
            "{}",
            rusqlite::version()
        );
    }

    #[test]
    fn every_commit_is_flushed() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path()).unwrap();
        let pragma = |name: &str| {
            store
                .writer
                .pragma_query_value(None, name, |row| row.get::<_, i64>(0))
                .unwrap()
        };
        assert_eq!(pragma("synchronous"), 2);
        assert_eq!(pragma("fullfsync"), 1);
        assert_eq!(pragma("foreign_keys"), 1);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_filesystem_of_another_machine_is_known_by_its_number() {
        let named: Vec<_> = [0x6969, 0xff53_4d42, 0x0102_1997]
            .map(network)
            .into_iter()
            .flatten()
            .collect();
        assert_eq!(named, ["nfs", "smb", "9p"]);
        // ext4, btrfs, xfs, tmpfs, overlay, zfs, FUSE
        for local in [
            0xef53,
            0x9123_683e,
            0x5846_5342,
            0x0102_1994,
            0x794c_7630,
            0x2fc1_2fc1,
            0x6573_5546,
        ] {
            assert_eq!(network(local), None);
        }
    }
}
