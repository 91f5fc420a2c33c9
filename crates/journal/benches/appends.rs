//! How fast the journal appends, beside the database alone doing work of the same shape.
//!
//! It prints figures and tests nothing: times are the machine's. `cargo bench -p journal` takes half a minute.

#![expect(clippy::print_stdout, reason = "figures are what this program is for")]

use journal::contract::{owner, wanted};
use journal::{Head, Journal, Sqlite, Takeover, Verdict};
use mission::ids::{MissionId, Seq};
use mission::time::Timestamp;
use rusqlite::{Connection, params};
use std::path::Path;
use std::time::{Duration, Instant};

/// About what an event of a mission takes.
const BODY: [u8; 256] = [b'x'; 256];
const LENGTH: Duration = Duration::from_secs(2);

/// How many things per second happen, and the middle and the 99th hundredth of how long one takes.
struct Figures {
    per_second: f64,
    median: Duration,
    late: Duration,
}

impl Figures {
    fn of(mut times: Vec<Duration>, each: usize, elapsed: Duration) -> Self {
        times.sort();
        Self {
            per_second: (times.len() * each) as f64 / elapsed.as_secs_f64(),
            median: times[times.len() / 2],
            late: times[times.len() * 99 / 100],
        }
    }

    fn print(&self, what: &str) {
        let (median, late) = (self.median.as_micros(), self.late.as_micros());
        println!(
            "{what:<48} {:>9.0} events/s   p50 {median:>6} µs   p99 {late:>6} µs",
            self.per_second
        );
    }
}

/// Clients that each append one event after another to a mission of their own.
fn clients(journal: &Sqlite, clients: usize) -> Figures {
    let start = Instant::now();
    let times = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..clients)
            .map(|_| {
                let mission = journal.create(Timestamp(1), wanted("x")).expect("made");
                scope.spawn(move || append_for(journal, mission, start))
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("no panic"))
            .collect()
    });
    Figures::of(times, 1, start.elapsed())
}

fn append_for(journal: &Sqlite, mission: MissionId, start: Instant) -> Vec<Duration> {
    let lease = journal
        .acquire(mission, owner(1), Takeover::Never)
        .expect("free");
    let (mut head, mut times) = (Head::start(), Vec::new());
    while start.elapsed() < LENGTH {
        let asked = Instant::now();
        head = journal
            .append(&lease, &head, &[BODY.to_vec()], None)
            .expect("appended");
        times.push(asked.elapsed());
    }
    times
}

/// The database alone: one connection, one transaction of so many rows after another, no hash, no lease, no head.
fn bare(dir: &Path, rows: usize) -> rusqlite::Result<Figures> {
    let connection = Connection::open(dir.join(format!("bare{rows}.db")))?;
    let _mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    connection.pragma_update(None, "synchronous", "full")?;
    let table = "CREATE TABLE event (mission INTEGER, seq INTEGER, prev BLOB, hash BLOB, body BLOB, PRIMARY KEY (mission, seq)) STRICT";
    connection.execute_batch(table)?;
    let (start, mut times, mut seq) = (Instant::now(), Vec::new(), 0u32);
    while start.elapsed() < LENGTH {
        let asked = Instant::now();
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let mut insert = connection.prepare_cached("INSERT INTO event VALUES (?, ?, ?, ?, ?)")?;
        seq += 1;
        for mission in 0..rows {
            insert.execute(params![mission as i64, seq, [0u8; 32], [0u8; 32], BODY])?;
        }
        connection.execute_batch("COMMIT")?;
        times.push(asked.elapsed());
    }
    Ok(Figures::of(times, rows, start.elapsed()))
}

/// Opens a store of ten thousand events, checks them all and reads them all.
fn reopen(dir: &Path) {
    {
        let journal = Sqlite::open(dir).expect("opened");
        let mission = journal.create(Timestamp(1), wanted("x")).expect("made");
        let lease = journal
            .acquire(mission, owner(1), Takeover::Never)
            .expect("free");
        let bodies = vec![BODY.to_vec(); 10_000];
        journal
            .append(&lease, &Head::start(), &bodies, None)
            .expect("appended");
    }
    let start = Instant::now();
    let journal = Sqlite::open(dir).expect("opened");
    let opened = start.elapsed();
    let verdict = journal.verify(MissionId(1)).expect("readable");
    assert!(matches!(verdict, Verdict::Verified { events: 10_000, .. }));
    let verified = start.elapsed();
    let entries = journal
        .read(MissionId(1), Seq(1), usize::MAX)
        .expect("readable");
    assert_eq!(entries.len(), 10_000);
    let read = start.elapsed();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "10,000 events: open {:.1} ms, verify {:.1} ms, read and check {:.1} ms",
        ms(opened),
        ms(verified - opened),
        ms(read - verified)
    );
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Test runners start every target; only `cargo bench` says this word.
    if !std::env::args().any(|word| word == "--bench") {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let one_bare = bare(dir.path(), 1)?;
    one_bare.print("SQLite alone, 1 row per transaction");
    let many_bare = bare(dir.path(), 64)?;
    many_bare.print("SQLite alone, 64 rows per transaction");
    let journal = Sqlite::open(&dir.path().join("clients"))?;
    let one = clients(&journal, 1);
    one.print("journal, 1 client");
    let eight = clients(&journal, 8);
    eight.print("journal, 8 clients");
    let many = clients(&journal, 64);
    many.print("journal, 64 clients");
    println!(
        "journal to SQLite alone: 1 client {:.2}, 64 clients {:.2}",
        one.per_second / one_bare.per_second,
        many.per_second / many_bare.per_second
    );
    reopen(&dir.path().join("reopen"));
    Ok(())
}
