//! Our own folders, sockets and store.

use super::{Finding, Repair};
use crate::config::Config;
use crate::install::World;
use crate::service_log;
use crate::view::escape;
use journal::{Journal as _, Sqlite, Verdict};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// An engine answers at once; one that has not by then stands still.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// The longest line that is read of one, in bytes.
const LINE: u64 = 1 << 16;

pub(super) fn directory(world: &World) -> Vec<Finding> {
    const ABOUT: &str = "state directory";
    let root = world.layout.root();
    if !root.exists() {
        return vec![Finding::good(
            ABOUT,
            format!(
                "{}: not there yet; it is made when it is needed",
                root.display()
            ),
        )];
    }
    vec![private(ABOUT, root, 0o022).unwrap_or_else(|| {
        let mut told = vec![format!(
            "backups of OpenCode's configuration: {}",
            world.layout.backups().display()
        )];
        told.retain(|_| world.layout.backups().exists());
        Finding::good(ABOUT, root.display().to_string()).more(told)
    })]
}

/// What is wrong with a folder of which others must not have these rights.
fn private(about: &'static str, folder: &Path, denied: u32) -> Option<Finding> {
    let path = folder.display();
    let data = match fs::metadata(folder) {
        Ok(data) if data.is_dir() => data,
        Ok(_) => {
            return Some(
                Finding::broken(about, format!("{path} is no folder")).advice("move it away"),
            );
        }
        Err(error) => {
            return Some(Finding::broken(
                about,
                format!("{path} cannot be looked at: {error}"),
            ));
        }
    };
    if data.uid() != rustix::process::geteuid().as_raw() {
        let told = format!("{path} belongs to user {}", data.uid());
        let advice = format!(
            "give it to you, or name another with {}",
            crate::places::STATE
        );
        return Some(Finding::broken(about, told).advice(advice));
    }
    let mode = data.mode() & 0o777;
    (mode & denied != 0).then(|| {
        Finding::broken(
            about,
            format!("{path} has mode {mode:o}: others may use it"),
        )
        .advice(format!("chmod 700 {path}"))
        .repair(Repair::Mode(folder.to_owned()))
    })
}

pub(super) fn sockets(world: &World) -> Vec<Finding> {
    const ABOUT: &str = "sockets";
    let folder = world.layout.doors();
    if !folder.exists() {
        return vec![Finding::good(ABOUT, "no engine runs")];
    }
    if let Some(wrong) = private(ABOUT, &folder, 0o077) {
        return vec![wrong];
    }
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
    let all: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "sock"))
        .collect();
    let engine = engine::reception::socket(&folder);
    if let Some(wrong) = silent_or_other(&engine) {
        return vec![wrong];
    }
    let live = all
        .iter()
        .filter(|path| UnixStream::connect(path).is_ok())
        .count();
    let told = format!(
        "{}: {live} answer, {} are left over",
        folder.display(),
        all.len() - live
    );
    vec![Finding::good(ABOUT, told)]
}

/// What is wrong with the engine that runs in the background: it takes connections, as the kernel does for a process that
/// stands still, and says nothing, or it is another version than this program.
fn silent_or_other(socket: &Path) -> Option<Finding> {
    const ABOUT: &str = "engine";
    let mut stream = UnixStream::connect(socket).ok()?;
    let pid = rustix::net::sockopt::socket_peercred(&stream).map_or_else(
        |_| "unknown".to_owned(),
        |peer| peer.pid.as_raw_nonzero().to_string(),
    );
    let version = env!("CARGO_PKG_VERSION");
    let hello = serde_json::json!({
        "talk": engine::reception::TALK, "version": version, "pid": std::process::id(),
    });
    let answer = stream
        .set_read_timeout(Some(ANSWERS_WITHIN))
        .and_then(|()| writeln!(stream, "{hello}"))
        .and_then(|()| {
            let mut line = String::new();
            BufReader::new((&stream).take(LINE))
                .read_line(&mut line)
                .map(|_| line)
        })
        .unwrap_or_default();
    let told: serde_json::Value = serde_json::from_str(&answer).unwrap_or_default();
    if told["version"] == version {
        return None;
    }
    Some(match told["refused"].as_str() {
        Some(refused) => Finding::note(ABOUT, format!("process {pid}: {}", escape::short(refused, 300))),
        None => Finding::broken(
            ABOUT,
            format!("the engine in the background (process {pid}) takes connections and does not answer"),
        )
        .advice(format!(
            "end it: kill -9 {pid}; nothing that was acknowledged is lost, and the next command in OpenCode starts another"
        )),
    })
}

pub(super) fn log(world: &World) -> Vec<Finding> {
    const ABOUT: &str = "log";
    let config = Config::read();
    let named = config.as_ref().ok().and_then(Config::log_file);
    let log = service_log::look(&world.layout, named);
    let path = log.path.display();
    let kilobytes = |bytes: u64| bytes.div_ceil(1_000);
    let size = match log.size {
        Some(size) => format!("{} kB", kilobytes(size)),
        None => "not there yet; it is made when an engine runs".to_owned(),
    };
    let (n, bytes) = log.before;
    let told = format!("{path}: {size}");
    let room = format!(
        "full ones before it: {n}, {} kB; all of them take at most {} kB",
        kilobytes(bytes),
        kilobytes(service_log::ROOM)
    );
    let mut found = vec![match log.faults.is_empty() {
        true => Finding::good(ABOUT, told).more([room]),
        false => Finding::broken(ABOUT, told).more(log.faults).advice(
            "put that right, or name another place with `log.file` in the configuration file",
        ),
    }];
    // Which place it names is not known then, and no mission begins.
    if let Err(error) = config {
        found.push(
            Finding::broken(ABOUT, format!("where it is to be is not known: {error}"))
                .advice("orchestrator explain ORC013"),
        );
    }
    found
}

pub(super) fn store(world: &World) -> Vec<Finding> {
    const ABOUT: &str = "store";
    let root = world.layout.root();
    let file = root.join("journal.db");
    if fs::symlink_metadata(&file).is_err() {
        return vec![Finding::good(
            ABOUT,
            "not there yet; it is made when it is needed",
        )];
    }
    let broken = |error: journal::Error| {
        vec![Finding::broken(ABOUT, error.to_string()).advice(format!(
            "nothing is done to a store that cannot be used; keep a copy of {} before you try anything",
            file.display()
        ))]
    };
    let journal = match Sqlite::open(root) {
        Ok(journal) => journal,
        Err(error) => return broken(error),
    };
    let missions = match journal.missions() {
        Ok(missions) => missions,
        Err(error) => return broken(error),
    };
    let (mut n_events, mut flaws) = (0, Vec::new());
    for row in &missions {
        match journal.verify(row.mission) {
            Ok(Verdict::Verified { events, .. }) => n_events += events,
            Ok(Verdict::Broken { seq, flaw }) => {
                flaws.push(format!("{} event {}: {flaw}", row.mission, seq.0));
            }
            Err(error) => flaws.push(format!("{}: {error}", row.mission)),
        }
    }
    let told = format!(
        "{}: {} missions, {n_events} events",
        file.display(),
        missions.len()
    );
    vec![match flaws.is_empty() {
        true => Finding::good(ABOUT, format!("{told}; every link holds")),
        false => Finding::broken(ABOUT, told)
            .more(flaws)
            .advice("orchestrator explain ORC010"),
    }]
}
