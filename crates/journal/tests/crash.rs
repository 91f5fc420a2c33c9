//! Real processes, really killed, starved of disk and set against each other.
//!
//! A child is this same program, told by its environment what to do; as a test of its own it does nothing.

#![cfg(test)]

use journal::contract::wanted;
use journal::{Entry, Error, Head, Hold, Journal, Lease, Owner, Sqlite, Takeover, Verdict};
use mission::ids::{MissionId, Seq};
use mission::time::Timestamp;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

const TASK: &str = "JOURNAL_TEST_CHILD";
const DIR: &str = "JOURNAL_TEST_DIR";

/// How many times the harness kills, and from which seed; both can be set, so that a failure can be seen again.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

fn me() -> Owner {
    Owner {
        pid: std::process::id(),
        boot: "boot".to_owned(),
        started: 1,
        endpoint: None,
    }
}

/// One line in one write, so that a kill leaves it whole or not at all.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\n> {line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// What a child said, without what the test program adds.
fn said(line: &str) -> Option<&str> {
    line.strip_prefix("> ")
}

fn child(task: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([
        "--exact",
        "what_a_child_does",
        "--nocapture",
        "--test-threads=1",
    ]);
    command
        .env(TASK, task)
        .env(DIR, dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

#[test]
fn what_a_child_does() {
    let Ok(task) = std::env::var(TASK) else {
        return;
    };
    let dir = std::env::var(DIR).unwrap();
    let dir = Path::new(&dir);
    match task.as_str() {
        "append" => append_for_ever(dir),
        "race" => race(dir),
        "starve" => starve(dir),
        "flush" => flush(dir),
        "full" => fill_and_free(dir),
        "readonly" => say(&Sqlite::open(dir).unwrap_err().to_string()),
        other => panic!("no such task: {other}"),
    }
}

// ---- killed at any moment

const MISSIONS: [MissionId; 2] = [MissionId(1), MissionId(2)];

/// Two threads append to two missions, so that their appends share commits, and say what was acknowledged.
fn append_for_ever(dir: &Path) {
    let journal = Sqlite::open(dir).unwrap();
    while journal.missions().unwrap().len() < MISSIONS.len() {
        journal.create(Timestamp(1), wanted("x")).unwrap();
    }
    std::thread::scope(|scope| {
        for mission in MISSIONS {
            let journal = &journal;
            scope.spawn(move || {
                let lease = journal.acquire(mission, me(), Takeover::IfDead).unwrap();
                say(&format!("{mission} lease {}", lease.epoch().0));
                let mut head = journal.head(mission).unwrap();
                loop {
                    let bodies: Vec<_> = (1..=1 + head.seq.0 % 3)
                        .map(|n| body(mission, head.seq.0 + n))
                        .collect();
                    head = journal
                        .append(&lease, &head, &bodies, Some("busy"))
                        .unwrap();
                    say(&format!("{mission} {} {}", head.seq.0, head.hash));
                }
            });
        }
    });
}

fn body(mission: MissionId, seq: u64) -> Vec<u8> {
    format!("{{\"mission\":\"{mission}\",\"n\":{seq}}}").into_bytes()
}

/// Everything that was ever acknowledged in one store.
#[derive(Default)]
struct Acknowledged {
    heads: BTreeMap<(MissionId, u64), String>,
    epochs: BTreeMap<MissionId, u64>,
}

impl Acknowledged {
    fn note(&mut self, line: &str) {
        let Some(said) = said(line) else { return };
        let words: Vec<&str> = said.split(' ').collect();
        let mission: MissionId = words[0].parse().unwrap();
        if words[1] == "lease" {
            self.epochs.insert(mission, words[2].parse().unwrap());
        } else {
            self.heads
                .insert((mission, words[1].parse().unwrap()), words[2].to_owned());
        }
    }

    /// Nothing is lost, every chain holds, and every lease is free at once.
    fn check(&self, dir: &Path, story: &str) {
        let journal = Sqlite::open(dir).unwrap();
        for row in journal.missions().unwrap() {
            let mission = row.mission;
            if let Some(lease) = &row.lease {
                assert_eq!(
                    lease.hold,
                    Hold::Dead,
                    "{story}: the dead still holds {mission}"
                );
            }
            let last = self
                .heads
                .range((mission, 0)..=(mission, u64::MAX))
                .next_back();
            let acknowledged = last.map_or(0, |((_, seq), _)| *seq);
            let verdict = journal.verify(mission).unwrap();
            let Verdict::Verified { events, .. } = verdict else {
                panic!("{story}: {mission}: {verdict:?}");
            };
            assert!(
                events >= acknowledged,
                "{story}: {mission} lost events {events}..{acknowledged}"
            );
            let entries = journal.read(mission, Seq(1), usize::MAX).unwrap();
            for entry in &entries {
                assert_eq!(entry.body, body(mission, entry.seq.0), "{story}");
                if let Some(hash) = self.heads.get(&(mission, entry.seq.0)) {
                    assert_eq!(
                        entry.hash.as_str(),
                        hash,
                        "{story}: {mission} event {}",
                        entry.seq.0
                    );
                }
            }
            let epoch = self.epochs.get(&mission).copied().unwrap_or(0);
            let stored = row.lease.map_or(0, |lease| lease.epoch.0);
            assert!(stored >= epoch, "{story}: {mission} forgot epoch {epoch}");
        }
        let known = journal.missions().unwrap().len();
        assert!(
            self.heads
                .keys()
                .all(|(mission, _)| mission.0 as usize <= known),
            "{story}: a mission is lost"
        );
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_the_writer_is_killed_at_any_moment() {
    let cycles = number("JOURNAL_KILLS", 500);
    let seed = number("JOURNAL_SEED", 7);
    let mut random = Random(seed);
    let mut store = (tempfile::tempdir().unwrap(), Acknowledged::default());
    let (mut lines, mut early) = (0, 0);
    for cycle in 0..cycles {
        if cycle % 20 == 0 {
            store = (tempfile::tempdir().unwrap(), Acknowledged::default());
        }
        let story = format!("JOURNAL_SEED={seed}, cycle {cycle}");
        let (dir, acknowledged) = &mut store;
        let mut child = child("append", dir.path()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
        // Every seventh child dies while it starts; the others between two words or in the middle of a commit.
        let wait_for = if random.below(7) == 0 {
            0
        } else {
            1 + random.below(30)
        };
        let mut heard = 0;
        while heard < wait_for {
            let line = out.next().expect("the child ended by itself").unwrap();
            heard += u64::from(said(&line).is_some());
            acknowledged.note(&line);
        }
        for _ in 0..random.below(if wait_for == 0 { 400_000 } else { 20_000 }) {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        for line in out.map_while(Result::ok) {
            heard += u64::from(said(&line).is_some());
            acknowledged.note(&line);
        }
        child.wait().unwrap();
        early += u64::from(heard == 0);
        lines += heard;
        acknowledged.check(dir.path(), &story);
    }
    println!(
        "{cycles} kills, {early} of them before the first word; {lines} acknowledgements, none lost"
    );
    assert!(lines > cycles, "the children hardly lived");
}

// ---- many who want one mission

/// Waits for the word, wants the lease, says how it went, and stays until its input ends.
fn race(dir: &Path) {
    let journal = Sqlite::open(dir).unwrap();
    say("ready");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    let mission = line.trim().parse().unwrap();
    let outcome = journal.acquire(mission, me(), Takeover::IfDead);
    match &outcome {
        Ok(lease) => say(&format!("got {}", lease.epoch().0)),
        Err(Error::Held { owner, .. }) => say(&format!("held {}", owner.pid)),
        Err(error) => say(&error.to_string()),
    }
    let mut rest = Vec::new();
    std::io::stdin().read_to_end(&mut rest).unwrap();
    drop(outcome);
}

struct Racer {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Racer {
    fn hear(&mut self) -> String {
        let mut lines = (&mut self.out).lines();
        loop {
            let line = lines.next().expect("the child has more to say").unwrap();
            if let Some(said) = said(&line) {
                return said.to_owned();
            }
        }
    }
}

#[test]
fn of_many_processes_exactly_one_owns_a_mission_and_its_death_frees_it() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Sqlite::open(dir.path()).unwrap();
    for round in 0..10 {
        let mission = journal.create(Timestamp(1), wanted("x")).unwrap();
        let mut racers: Vec<Racer> = (0..5)
            .map(|_| {
                let mut child = child("race", dir.path()).spawn().unwrap();
                let out = BufReader::new(child.stdout.take().unwrap());
                Racer { child, out }
            })
            .collect();
        for racer in &mut racers {
            assert_eq!(racer.hear(), "ready");
        }
        for racer in &mut racers {
            let input = racer.child.stdin.as_mut().unwrap();
            writeln!(input, "{mission}").unwrap();
        }
        let heard: Vec<String> = racers.iter_mut().map(Racer::hear).collect();
        let winner = heard
            .iter()
            .position(|said| said == "got 1")
            .expect("one must win");
        let held = format!("held {}", racers[winner].child.id());
        for (n, said) in heard.iter().enumerate() {
            assert!(
                n == winner || *said == held,
                "round {round}: {heard:?}, and {held}"
            );
        }
        let refused = journal.acquire(mission, me(), Takeover::IfDead).err();
        assert!(matches!(refused, Some(Error::Held { .. })), "{refused:?}");
        racers[winner].child.kill().unwrap();
        racers[winner].child.wait().unwrap();
        let refused = journal.acquire(mission, me(), Takeover::Never).err();
        assert!(
            matches!(refused, Some(Error::Abandoned { .. })),
            "{refused:?}"
        );
        let lease = journal.acquire(mission, me(), Takeover::IfDead).unwrap();
        assert_eq!(lease.epoch().0, 2);
        for mut racer in racers {
            drop(racer.child.stdin.take());
            racer.child.wait().unwrap();
        }
    }
}

// ---- a disk that takes no more

/// Appends until an append fails, and returns what was acknowledged and the failure.
fn append_until_it_fails(journal: &Sqlite, lease: &Lease) -> (Head, Error) {
    let mut head = journal.head(lease.mission()).unwrap();
    loop {
        match journal.append(lease, &head, &[vec![b'x'; 3_000]], None) {
            Ok(next) => head = next,
            Err(error) => return (head, error),
        }
        assert!(head.seq.0 < 100_000, "the disk never filled");
    }
}

/// After a failed write, the handle does nothing more, whatever it is asked.
fn all_poisoned(journal: &Sqlite, lease: &Lease, head: &Head, first: &Error) {
    assert!(matches!(first, Error::Poisoned { .. }), "{first}");
    let mission = lease.mission();
    let first = Some(first);
    assert_eq!(journal.append(lease, head, &[], None).err().as_ref(), first);
    assert_eq!(
        journal.create(Timestamp(1), wanted("y")).err().as_ref(),
        first
    );
    assert_eq!(
        journal
            .acquire(mission, me(), Takeover::IfDead)
            .err()
            .as_ref(),
        first
    );
    assert_eq!(journal.read(mission, Seq(1), 1).err().as_ref(), first);
    assert_eq!(journal.head(mission).err().as_ref(), first);
    assert_eq!(journal.verify(mission).err().as_ref(), first);
    assert_eq!(journal.missions().err().as_ref(), first);
    assert_eq!(journal.version().err().as_ref(), first);
    assert_eq!(journal.rebuild().err().as_ref(), first);
}

/// What was acknowledged is there, and the store works again.
fn whole_again(dir: &Path, head: &Head) {
    let journal = Sqlite::open(dir).unwrap();
    let Ok(Verdict::Verified { head: found, .. }) = journal.verify(MissionId(1)) else {
        panic!("{:?}", journal.verify(MissionId(1)));
    };
    assert!(
        found.seq >= head.seq,
        "lost {} to {}",
        found.seq.0,
        head.seq.0
    );
    let entries: Vec<Entry> = journal.read(MissionId(1), head.seq, 1).unwrap();
    assert_eq!(entries[0].hash, head.hash);
    let lease = journal
        .acquire(MissionId(1), me(), Takeover::IfDead)
        .unwrap();
    assert!(
        journal
            .append(&lease, &found, &[b"{}".to_vec()], None)
            .is_ok()
    );
}

fn starve(dir: &Path) {
    let journal = Sqlite::open(dir).unwrap();
    let mission = journal.create(Timestamp(1), wanted("x")).unwrap();
    let lease = journal.acquire(mission, me(), Takeover::Never).unwrap();
    let (head, error) = append_until_it_fails(&journal, &lease);
    all_poisoned(&journal, &lease, &head, &error);
    say(&format!("{} {}", head.seq.0, head.hash));
}

#[test]
fn a_failed_write_closes_the_journal_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let inner = child("starve", dir.path());
    // The shell makes files that grow too large an error instead of a signal, which no safe code can do.
    let mut outer = Command::new("sh");
    outer.args(["-c", r#"trap "" XFSZ; ulimit -f 600; exec "$0" "$@""#]);
    outer.arg(inner.get_program()).args(inner.get_args());
    outer.env(TASK, "starve").env(DIR, dir.path());
    let output = outer.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let said = text
        .lines()
        .find_map(said)
        .expect("the child says how far it came");
    let (seq, hash) = said.split_once(' ').unwrap();
    let head = Head {
        seq: Seq(seq.parse().unwrap()),
        hash: hash.parse().unwrap(),
    };
    assert!(head.seq.0 > 10, "only {said}");
    whole_again(dir.path(), &head);
}

/// Appends a few times, and says of each whether it was acknowledged.
fn flush(dir: &Path) {
    let outcome = (|| {
        let journal = Sqlite::open(dir)?;
        let mission = journal.create(Timestamp(1), wanted("x"))?;
        let lease = journal.acquire(mission, me(), Takeover::IfDead)?;
        let mut head = Head::start();
        for _ in 0..5 {
            head = journal.append(&lease, &head, &[b"{}".to_vec()], None)?;
            say(&format!("{} {}", head.seq.0, head.hash));
        }
        Ok::<_, Error>(())
    })();
    say(&outcome.map_or_else(|error| error.to_string(), |()| "all".to_owned()));
}

/// The kernel's answer to a flush is replaced by a tracer, so this runs only where there is one and it is allowed.
#[test]
fn nothing_is_acknowledged_after_a_failed_flush() {
    let allowed = Command::new("strace")
        .args(["-f", "-o", "/dev/null", "true"])
        .output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        left_out("no tracer on this machine: install strace");
        return;
    }
    let (mut refused, mut poisoned) = (0, 0);
    // The tracer counts the flushes of each thread apart, so each round fails one of the opener and one of the writer.
    for nth in 1..=12 {
        let dir = tempfile::tempdir().unwrap();
        let trace = dir.path().join("trace");
        let state = dir.path().join("state");
        let inner = child("flush", &state);
        let inject = format!("inject=fsync,fdatasync:error=EIO:when={nth}");
        let mut outer = Command::new("strace");
        outer
            .args([
                "-f",
                "-y",
                "-e",
                "trace=fsync,fdatasync",
                "-e",
                &inject,
                "-o",
            ])
            .arg(&trace);
        outer.arg(inner.get_program()).args(inner.get_args());
        outer.env(TASK, "flush").env(DIR, &state);
        let output = outer.output().unwrap();
        assert!(output.status.success(), "{nth}: {output:?}");
        let text = String::from_utf8_lossy(&output.stdout);
        let said: Vec<&str> = text.lines().filter_map(said).collect();
        let (end, acknowledged) = said.split_last().unwrap();
        let trace = std::fs::read_to_string(&trace).unwrap();
        let failed: Vec<&str> = trace
            .lines()
            .filter(|line| line.contains("INJECTED"))
            .collect();
        // What SQLite flushes besides its files is the directory's list of names, which opening has flushed itself.
        let in_a_file = failed.iter().any(|line| line.contains("journal.db-wal"));
        match *end {
            "all" => assert!(!in_a_file, "{nth}: acknowledged in spite of {failed:?}"),
            error if error.contains("after a failed write") => poisoned += 1,
            _ => refused += 1,
        }
        let journal = Sqlite::open(&state).unwrap();
        for line in acknowledged {
            let (seq, hash) = line.split_once(' ').unwrap();
            let entries = journal
                .read(MissionId(1), Seq(seq.parse().unwrap()), 1)
                .unwrap();
            assert_eq!(entries[0].hash.as_str(), hash, "{nth}: lost {line}");
        }
        if let Ok(head) = journal.head(MissionId(1)) {
            whole_again(&state, &head);
        }
    }
    println!("12 rounds: {refused} did not open, {poisoned} were closed by the failure");
    assert!(refused > 2 && poisoned > 2);
}

fn fill_and_free(dir: &Path) {
    let ballast = dir.join("ballast");
    let dir = dir.join("state");
    std::fs::write(&ballast, vec![1; 400 << 10]).unwrap();
    let journal = Sqlite::open(&dir).unwrap();
    let mission = journal.create(Timestamp(1), wanted("x")).unwrap();
    let lease = journal.acquire(mission, me(), Takeover::Never).unwrap();
    let (head, error) = append_until_it_fails(&journal, &lease);
    assert!(error.to_string().contains("full"), "{error}");
    all_poisoned(&journal, &lease, &head, &error);
    drop((lease, journal));
    std::fs::remove_file(ballast).unwrap();
    whole_again(&dir, &head);
    say("whole again");
}

/// A developer's machine may lack what a test needs. Where a change is judged nothing may be missing.
fn left_out(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{why}");
    println!("left out: {why}");
}

/// Runs a child on a small filesystem of its own, where users may make one. `None` where they may not.
fn on_own_filesystem(task: &str, mount: &str) -> Option<String> {
    let allowed = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "true"])
        .output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        left_out("this machine lets users have no mounts of their own");
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let inner = child(task, dir.path());
    let mut outer = Command::new("unshare");
    let script = format!(r#"{mount} && exec "$0" "$@""#);
    outer.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
    outer.arg(inner.get_program()).args(inner.get_args());
    outer.env(TASK, task).env(DIR, dir.path());
    let output = outer.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(
        text.lines()
            .find_map(said)
            .expect("the child reports")
            .to_owned(),
    )
}

#[test]
fn a_full_disk_loses_nothing_and_the_store_works_again_when_there_is_room() {
    let mount = format!("mount -t tmpfs -o size=1200k none \"${DIR}\"");
    if let Some(said) = on_own_filesystem("full", &mount) {
        assert_eq!(said, "whole again");
    }
}

#[test]
fn a_read_only_filesystem_is_named_as_such() {
    let fresh = format!("mount -t tmpfs -o ro,mode=700 none \"${DIR}\"");
    let Some(said) = on_own_filesystem("readonly", &fresh) else {
        return;
    };
    assert!(said.contains("the filesystem is read-only"), "{said}");
    let store = tempfile::tempdir().unwrap();
    drop(Sqlite::open(store.path()).unwrap());
    let old = format!(
        "mount --bind {} \"${DIR}\" && mount -o remount,ro,bind \"${DIR}\"",
        store.path().display()
    );
    let Some(said) = on_own_filesystem("readonly", &old) else {
        return;
    };
    assert!(said.contains("the filesystem is read-only"), "{said}");
}
