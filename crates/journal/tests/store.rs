//! What stands at the store's place: made, found, refused, never guessed.

#![cfg(test)]

use journal::contract::{owner, wanted};
use journal::{Error, Flaw, Found, Head, Journal, Sqlite, Takeover, Verdict};
use mission::ids::{MissionId, Seq};
use mission::time::Timestamp;
use rusqlite::Connection;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

const M1: MissionId = MissionId(1);

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A store with one mission of three events, closed.
fn filled(dir: &Path) -> Head {
    let journal = Sqlite::open(dir).unwrap();
    journal.create(Timestamp(1), wanted("x")).unwrap();
    let lease = journal.acquire(M1, owner(1), Takeover::Never).unwrap();
    let bodies = [b"1".to_vec(), b"2".to_vec(), b"3".to_vec()];
    journal
        .append(&lease, &Head::start(), &bodies, Some("fine"))
        .unwrap()
}

/// A connection that knows nothing of the journal's rules.
fn raw(dir: &Path) -> Connection {
    Connection::open(dir.join("journal.db")).unwrap()
}

fn without_triggers(connection: &Connection) {
    let names: Vec<String> = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
        .unwrap()
        .query_map((), |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    for name in names {
        connection
            .execute_batch(&format!("DROP TRIGGER {name}"))
            .unwrap();
    }
}

fn refused(dir: &Path) -> Error {
    Sqlite::open(dir).unwrap_err()
}

#[test]
fn a_new_store_is_for_its_owner_alone() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("state/orchestrator");
    let journal = Sqlite::open(&dir).unwrap();
    assert_eq!(journal.found(), Found::Nothing);
    journal.create(Timestamp(1), wanted("x")).unwrap();
    let lease = journal.acquire(M1, owner(1), Takeover::Never).unwrap();
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&dir.join("leases")), 0o700);
    for file in [
        "journal.db",
        "journal.db-wal",
        "journal.db-shm",
        "open.lock",
        "leases/m1.lock",
    ] {
        assert_eq!(mode(&dir.join(file)), 0o600, "{file}");
    }
    drop(lease);
    let id = journal.store();
    drop(journal);
    let again = Sqlite::open(&dir).unwrap();
    assert_eq!((again.found(), again.store()), (Found::Store, id));
}

#[test]
fn a_store_of_another_user_is_named_with_its_owner_and_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let theirs = match rustix::process::geteuid().is_root() {
        true => {
            let theirs = home.path().join("theirs");
            fs::create_dir(&theirs).unwrap();
            std::os::unix::fs::chown(&theirs, Some(12345), None).unwrap();
            theirs
        }
        false => "/usr".into(),
    };
    let error = Sqlite::open(&theirs).unwrap_err();
    assert!(matches!(error, Error::Theirs { .. }), "{error}");
    assert!(!theirs.join("open.lock").exists());
}

#[test]
fn a_file_of_the_store_that_may_not_be_written_is_named() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("state");
    let journal = Sqlite::open(&dir).unwrap();
    journal.create(Timestamp(1), wanted("x")).unwrap();
    drop(journal);
    for name in ["journal.db", "journal.db-shm"] {
        let closed = dir.join(name);
        let there = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(&closed);
        drop(there.unwrap());
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o400)).unwrap();
        match (rustix::process::geteuid().is_root(), Sqlite::open(&dir)) {
            // No mode keeps the superuser out.
            (true, Ok(_)) => {}
            (false, Err(Error::Closed { path })) => assert_eq!(path, closed),
            (is_root, other) => panic!("superuser: {is_root}, {:?}", other.err()),
        }
        // Whoever could open the store has taken the shared memory away with it.
        if closed.exists() {
            fs::set_permissions(&closed, fs::Permissions::from_mode(0o600)).unwrap();
        }
        Sqlite::open(&dir).unwrap();
    }
}

#[test]
fn two_stores_have_two_names() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let names = [&one, &two].map(|dir| Sqlite::open(dir.path()).unwrap().store());
    assert_ne!(names[0], names[1]);
}

#[test]
fn many_who_make_a_store_at_once_find_the_same_one() {
    for _ in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        let start = std::sync::Barrier::new(8);
        let found: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        let journal = Sqlite::open(dir.path()).unwrap();
                        (journal.store(), journal.found())
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert!(found.iter().all(|(store, _)| *store == found[0].0));
        let makers = found.iter().filter(|(_, found)| *found == Found::Nothing);
        assert_eq!(makers.count(), 1);
    }
}

#[test]
fn what_a_crash_leaves_of_a_store_that_was_never_finished_is_swept_away() {
    let dir = tempfile::tempdir().unwrap();
    for suffix in ["", "-wal", "-shm", "-journal"] {
        fs::write(dir.path().join(format!("journal.db.new{suffix}")), "half").unwrap();
    }
    symlink("/dev/null", dir.path().join("link")).unwrap();
    fs::rename(dir.path().join("link"), dir.path().join("journal.db.new")).unwrap();
    assert_eq!(Sqlite::open(dir.path()).unwrap().found(), Found::Nothing);
    let mut names: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["journal.db", "leases", "open.lock"]);
}

#[test]
fn an_empty_or_zero_filled_file_is_made_anew_and_it_is_said() {
    for zeros in [0, 512, 40_000] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("journal.db");
        fs::write(&file, vec![0; zeros]).unwrap();
        let journal = Sqlite::open(dir.path()).unwrap();
        assert_eq!(journal.found(), Found::Empty, "{zeros} zeros");
        assert_eq!(journal.create(Timestamp(1), wanted("x")), Ok(M1));
        assert_eq!(mode(&file), 0o600);
    }
}

#[test]
fn a_log_without_its_store_is_kept_for_a_person_to_look_at() {
    for left in [None, Some(0), Some(512), Some(40_000)] {
        let dir = tempfile::tempdir().unwrap();
        if let Some(zeros) = left {
            fs::write(dir.path().join("journal.db"), vec![0; zeros]).unwrap();
        }
        let log = dir.path().join("journal.db-wal");
        fs::write(&log, "acknowledged").unwrap();
        let error = refused(dir.path()).to_string();
        assert!(
            error.contains("its log `journal.db-wal` is still there"),
            "{left:?}: {error}"
        );
        assert_eq!(fs::read(&log).unwrap(), b"acknowledged");
    }
}

#[test]
fn a_directory_a_pipe_a_link_and_a_foreign_file_are_refused_untouched() {
    let home = tempfile::tempdir().unwrap();
    let elsewhere = home.path().join("elsewhere");
    fs::write(&elsewhere, "").unwrap();
    let foreign = b"SQLite format 2\0 and then something else entirely".repeat(20);
    let make = |why: &str, file: &Path| match why {
        "it is a directory" => fs::create_dir(file).unwrap(),
        "it is a pipe" => {
            let made = std::process::Command::new("mkfifo").arg(file).status();
            assert!(made.unwrap().success());
        }
        "it is a symbolic link" => symlink(&elsewhere, file).unwrap(),
        "it is not a database" => fs::write(file, &foreign).unwrap(),
        _ => Connection::open(file)
            .unwrap()
            .execute_batch("CREATE TABLE t (x)")
            .unwrap(),
    };
    for why in [
        "it is a directory",
        "it is a pipe",
        "it is a symbolic link",
        "it is not a database",
        "it is a database of another program",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("journal.db");
        make(why, &file);
        let before = fs::symlink_metadata(&file).unwrap();
        let error = refused(dir.path());
        assert!(
            matches!(&error, Error::NotAJournal { found, .. } if found.contains(why)),
            "{error}"
        );
        let after = fs::symlink_metadata(&file).unwrap();
        assert_eq!(
            after.modified().unwrap(),
            before.modified().unwrap(),
            "{why}"
        );
    }
    assert_eq!(fs::read(&elsewhere).unwrap(), b"");
}

#[test]
fn a_directory_that_others_can_write_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o770)).unwrap();
    let error = refused(dir.path());
    assert!(
        matches!(error, Error::Unsafe { mode: 0o770, .. }),
        "{error}"
    );
}

#[test]
fn a_store_of_a_newer_format_is_refused_and_not_one_byte_changes() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    raw(dir.path())
        .pragma_update(None, "user_version", 2)
        .unwrap();
    let file = dir.path().join("journal.db");
    let before = fs::read(&file).unwrap();
    let newer = Error::Newer {
        path: fs::canonicalize(&file).unwrap(),
        found: 2,
        known: 1,
    };
    assert_eq!(refused(dir.path()), newer);
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[test]
fn an_event_of_a_newer_format_is_named_and_not_guessed_at() {
    let dir = tempfile::tempdir().unwrap();
    let head = filled(dir.path());
    let connection = raw(dir.path());
    connection
        .execute_batch(
            "INSERT INTO event SELECT mission, 4, 2, epoch, hash, zeroblob(32), x'6e6577' FROM event WHERE seq = 3;
             UPDATE head SET seq = 4, hash = zeroblob(32);",
        )
        .unwrap();
    let journal = Sqlite::open(dir.path()).unwrap();
    let (seq, flaw) = (Seq(4), Flaw::Format { found: 2 });
    assert_eq!(
        journal.verify(M1),
        Ok(Verdict::Broken {
            seq,
            flaw: flaw.clone()
        })
    );
    let broken = Error::Broken {
        mission: M1,
        seq,
        flaw,
    };
    assert_eq!(
        broken.to_string(),
        "m1 is broken at event 4: its format is 2, this version knows 1; a newer version may have written it; \
         run `verify`, and restore the store from a copy"
    );
    assert_eq!(journal.read(M1, Seq(1), 10), Err(broken));
    let old = journal.read(M1, Seq(1), 3).unwrap();
    assert_eq!(old.last().map(|entry| &entry.hash), Some(&head.hash));
}

/// Every table is filled, and the hashes were made by another program. A store like it must open for ever.
#[test]
fn a_store_of_the_first_format_is_read_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let connection = raw(dir.path());
    connection
        .execute_batch(include_str!("stores/1.sql"))
        .unwrap();
    connection.close().unwrap();
    let journal = Sqlite::open(dir.path()).unwrap();
    assert_eq!(journal.found(), Found::Store);
    assert_eq!(
        journal.store().to_string(),
        "30313233343536373839616263646566"
    );
    let row = &journal.missions().unwrap()[0];
    assert_eq!(
        (row.request.as_str(), row.status.as_str()),
        ("add a login", "working")
    );
    let Ok(Verdict::Verified { events: 2, head }) = journal.verify(M1) else {
        panic!("{:?}", journal.verify(M1));
    };
    assert_eq!(
        head.hash.as_str(),
        "931726c583058002a8bc56510521fb39153ee9add9a37de59e481c10a972b7e7"
    );
    let lease = journal.acquire(M1, owner(2), Takeover::IfDead).unwrap();
    assert_eq!(lease.epoch().0, 4);
    assert!(
        journal
            .append(&lease, &head, &[b"{}".to_vec()], None)
            .is_ok()
    );
}

/// If this fails, the format has changed, and its number must too.
#[test]
fn the_schema_is_the_one_of_its_number() {
    let schema = |connection: &Connection| -> Vec<String> {
        let mut statement = connection
            .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
            .unwrap();
        let rows = statement.query_map((), |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let connection = raw(old.path());
    connection
        .execute_batch(include_str!("stores/1.sql"))
        .unwrap();
    filled(new.path());
    assert_eq!(schema(&raw(new.path())), schema(&connection));
}

#[test]
fn no_program_changes_removes_skips_or_replaces_an_event() {
    let dir = tempfile::tempdir().unwrap();
    let head = filled(dir.path());
    let connection = raw(dir.path());
    connection
        .pragma_update(None, "foreign_keys", true)
        .unwrap();
    let copy = "SELECT mission, seq, format, epoch, prev, hash, body FROM event WHERE seq = 2";
    let event = "an event never changes";
    let mission = "a mission never changes";
    let meta = "what a store says of itself never changes";
    let behind = "an event stands behind the last one or not at all";
    let cases = [
        ("UPDATE event SET body = x'00' WHERE seq = 2", event),
        (
            "DELETE FROM event WHERE seq = 3",
            "an event never goes away",
        ),
        (&format!("INSERT OR REPLACE INTO event {copy}"), behind),
        (
            &format!("INSERT INTO event {}", copy.replace("seq,", "9,")),
            behind,
        ),
        (
            &format!("INSERT INTO event {}", copy.replace("mission, seq", "9, 1")),
            "FOREIGN KEY constraint failed",
        ),
        ("UPDATE mission SET request = 'x'", mission),
        ("DELETE FROM mission", "a mission never goes away"),
        ("UPDATE lease SET epoch = 1", "an epoch only grows"),
        ("UPDATE lease SET epoch = 0", "an epoch only grows"),
        ("DELETE FROM lease", "a lease never goes away"),
        (
            "INSERT OR REPLACE INTO mission SELECT id, project, 'x', created FROM mission",
            mission,
        ),
        (
            "INSERT OR REPLACE INTO lease SELECT mission, epoch, 0, pid, boot, started, endpoint FROM lease",
            "an epoch only grows",
        ),
        ("INSERT OR REPLACE INTO meta VALUES ('store', x'00')", meta),
        ("UPDATE meta SET value = x'00'", meta),
        (
            "DELETE FROM meta",
            "what a store says of itself never goes away",
        ),
    ];
    for (sql, why) in cases {
        assert_eq!(
            connection.execute(sql, ()).unwrap_err().to_string(),
            why,
            "{sql}"
        );
    }
    let verified = Verdict::Verified { events: 3, head };
    assert_eq!(Sqlite::open(dir.path()).unwrap().verify(M1), Ok(verified));
}

#[test]
fn events_behind_the_stored_head_stop_this_mission_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let head = filled(dir.path());
    let connection = raw(dir.path());
    connection
        .execute_batch("UPDATE head SET seq = 2, hash = (SELECT hash FROM event WHERE seq = 2)")
        .unwrap();
    let journal = Sqlite::open(dir.path()).unwrap();
    let lease = journal.acquire(M1, owner(1), Takeover::Never).unwrap();
    let two = journal.head(M1).unwrap();
    assert_ne!(two, head);
    let (seq, flaw) = (Seq(3), Flaw::PastHead);
    let broken = Error::Broken {
        mission: M1,
        seq,
        flaw: flaw.clone(),
    };
    assert_eq!(
        journal.append(&lease, &two, &[b"x".to_vec()], None),
        Err(broken)
    );
    assert_eq!(journal.verify(M1), Ok(Verdict::Broken { seq, flaw }));
    assert_eq!(journal.create(Timestamp(1), wanted("y")), Ok(MissionId(2)));
    let lease = journal
        .acquire(MissionId(2), owner(1), Takeover::Never)
        .unwrap();
    assert!(
        journal
            .append(&lease, &Head::start(), &[b"x".to_vec()], None)
            .is_ok()
    );
}

#[test]
fn an_append_that_fails_half_way_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let connection = raw(dir.path());
    without_triggers(&connection);
    connection
        .execute_batch("DELETE FROM event WHERE seq = 2; UPDATE head SET seq = 1, hash = (SELECT hash FROM event WHERE seq = 1)")
        .unwrap();
    let journal = Sqlite::open(dir.path()).unwrap();
    let lease = journal.acquire(M1, owner(1), Takeover::Never).unwrap();
    let one = journal.head(M1).unwrap();
    let refused = journal.append(&lease, &one, &[b"a".to_vec(), b"b".to_vec()], Some("half"));
    let (seq, flaw) = (Seq(3), Flaw::PastHead);
    assert_eq!(
        refused,
        Err(Error::Broken {
            mission: M1,
            seq,
            flaw
        })
    );
    let left: String = connection
        .query_row("SELECT group_concat(seq) FROM event", (), |row| row.get(0))
        .unwrap();
    assert_eq!(left, "1,3");
    assert_eq!(journal.missions().unwrap()[0].status, "fine");
}

#[test]
fn removed_swapped_and_moved_events_are_named() {
    let cases = [
        ("DELETE FROM event WHERE seq = 3", 3, Flaw::Cut { head: 3 }),
        ("DELETE FROM event", 1, Flaw::Cut { head: 3 }),
        ("DELETE FROM event WHERE seq = 1", 1, Flaw::Gap { found: 2 }),
        (
            "UPDATE event SET seq = 9 WHERE seq = 2; UPDATE event SET seq = 2 WHERE seq = 3; UPDATE event SET seq = 3 WHERE seq = 9",
            2,
            Flaw::Prev,
        ),
        (
            "UPDATE event SET body = (SELECT body FROM event WHERE seq = 1) WHERE seq = 2",
            2,
            Flaw::Hash,
        ),
        ("UPDATE head SET hash = zeroblob(32)", 3, Flaw::OtherHead),
        ("UPDATE lease SET epoch = 0", 3, Flaw::Epoch { found: 1 }),
        ("UPDATE meta SET value = zeroblob(16)", 1, Flaw::Hash),
        ("UPDATE event SET body = x'' WHERE seq = 1", 1, Flaw::Hash),
    ];
    for (sql, seq, flaw) in cases {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path());
        let connection = raw(dir.path());
        without_triggers(&connection);
        connection.execute_batch(sql).unwrap();
        let verdict = Sqlite::open(dir.path()).unwrap().verify(M1);
        assert_eq!(
            verdict,
            Ok(Verdict::Broken {
                seq: Seq(seq),
                flaw
            }),
            "{sql}"
        );
    }
}

#[test]
fn every_flipped_bit_of_every_event_is_found_and_never_handed_out() {
    let dir = tempfile::tempdir().unwrap();
    let head = filled(dir.path());
    let journal = Sqlite::open(dir.path()).unwrap();
    let verified = Ok(Verdict::Verified { events: 3, head });
    let whole = journal.read(M1, Seq(1), 10).unwrap();
    let connection = raw(dir.path());
    connection
        .pragma_update(None, "foreign_keys", false)
        .unwrap();
    connection
        .pragma_update(None, "synchronous", "off")
        .unwrap();
    without_triggers(&connection);
    let mut flips = 0;
    for row in 1..=3i64 {
        for column in ["mission", "seq", "format", "epoch"] {
            let get = format!("SELECT {column} FROM event WHERE rowid = {row}");
            let set = format!("UPDATE event SET {column} = ? WHERE rowid = {row}");
            let value: i64 = connection.query_row(&get, (), |row| row.get(0)).unwrap();
            for bit in 0..64 {
                // A place that is taken cannot be written at all.
                if connection.execute(&set, [value ^ (1 << bit)]).is_ok() {
                    found(&journal, &whole, &format!("{column} {row} {bit}"));
                    connection.execute(&set, [value]).unwrap();
                    flips += 1;
                }
            }
        }
        for column in ["prev", "hash", "body"] {
            let get = format!("SELECT {column} FROM event WHERE rowid = {row}");
            let set = format!("UPDATE event SET {column} = ? WHERE rowid = {row}");
            let value: Vec<u8> = connection.query_row(&get, (), |row| row.get(0)).unwrap();
            for bit in 0..value.len() * 8 {
                let mut flipped = value.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                connection.execute(&set, [flipped]).unwrap();
                found(&journal, &whole, &format!("{column} {row} {bit}"));
                flips += 1;
            }
            connection.execute(&set, [value]).unwrap();
        }
    }
    assert_eq!(
        journal.verify(M1),
        verified,
        "the sweep has put everything back"
    );
    assert!(flips > 2_300, "only {flips} bits were tried");
}

/// A damaged chain is found as a whole, and page by page gives true events or an error.
fn found(journal: &Sqlite, whole: &[journal::Entry], what: &str) {
    let verdict = journal.verify(M1).unwrap();
    assert!(
        matches!(verdict, Verdict::Broken { .. }),
        "{what}: {verdict:?}"
    );
    for entry in whole {
        match journal.read(M1, entry.seq, 1).as_deref() {
            Ok([read]) => assert_eq!(read, entry, "{what}"),
            Ok([]) | Err(Error::Broken { .. }) => {}
            other => panic!("{what}: {other:?}"),
        }
    }
}
