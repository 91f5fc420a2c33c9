//! The log of the engine that works in the background: where its words are kept when nobody sees them.
//!
//! Each line has its time, and each file and the number of files have a limit. Nothing stops because of the log: what
//! cannot be written goes where the program's words go otherwise. What happens in missions stands in the journal.

use crate::config::Config;
use crate::view::{self, escape};
use engine::layout::Layout;
use rustix::fs::{Access, OFlags};
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use tracing::field::{Field, Visit};
use tracing::span;

/// The longest file, in bytes: more than any editor minds, and some thousand missions.
const MOST: u64 = 1 << 20;
/// So many files are kept beside the one that is written: enough to find what was said before a week of trouble.
const KEPT: u32 = 4;
/// The longest line, in characters. A mission's last words are far shorter.
const LINE: usize = 8_000;

/// The log of this process, if it keeps one.
static LOG: OnceLock<Log> = OnceLock::new();

/// A file that is written line by line, and those before it.
struct Log {
    path: PathBuf,
    most: u64,
    /// Whether all that this process says goes here and nowhere else.
    alone: bool,
    writing: Mutex<()>,
}

/// What a look at the log finds.
pub(crate) struct Looked {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its size in bytes; none if it is not there yet.
    pub(crate) size: Option<u64>,
    /// How many full ones are kept beside it, and their bytes.
    pub(crate) before: (u32, u64),
    /// Why nothing would be written there, or nothing kept.
    pub(crate) faults: Vec<String>,
}

/// The most bytes that the log and those before it take.
pub(crate) const ROOM: u64 = MOST * (KEPT as u64 + 1);

/// Looks at the log without a word into it: whether it could be written, and could make place when it is full. `named` is
/// where the user's configuration has it.
pub(crate) fn look(layout: &Layout, named: Option<&Path>) -> Looked {
    let log = Log {
        path: named.map_or_else(|| layout.service_log(), Path::to_owned),
        most: MOST,
        alone: false,
        writing: Mutex::default(),
    };
    let mut faults = Vec::new();
    let size = match open(&log.path, false) {
        Ok(file) => file.metadata().ok().map(|data| data.len()),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => {
            faults.push(format!("it cannot be written: {error}"));
            None
        }
    };
    // Files are made and moved in its folder. That of the state directory is made by whoever begins the log.
    let made = log.path.ancestors().skip(1).find(|folder| folder.exists());
    let folder = match named {
        Some(path) => path.parent(),
        None => made,
    };
    if let Some(folder) = folder.filter(|folder| !folder.as_os_str().is_empty())
        && let Err(error) = rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK)
    {
        let (folder, error) = (folder.display(), io::Error::from(error));
        faults.push(format!("nothing can be made in {folder}: {error}"));
    }
    let mut before = (0, 0);
    for n in 1..=KEPT {
        match fs::symlink_metadata(log.before(n)) {
            Ok(data) if data.is_file() => before = (before.0 + 1, before.1 + data.len()),
            Ok(_) => faults.push(format!(
                "{} is no file, so that what is full cannot be moved there",
                log.before(n).display()
            )),
            Err(_) => {}
        }
    }
    Looked {
        path: log.path,
        size,
        before,
        faults,
    }
}

/// Keeps a log from now on: where the user's configuration says, else in the state directory.
///
/// The plugin gives the engine a file for what it says before this; from here on that goes into the log as well, with
/// whatever the standard library says of a panic.
pub(crate) fn begin(layout: &Layout) {
    let config = Config::read();
    let named = config.as_ref().ok().and_then(Config::log_file);
    let log = Log {
        path: named.map_or_else(|| layout.service_log(), Path::to_owned),
        most: MOST,
        alone: is_stderr(&layout.start_log()),
        writing: Mutex::default(),
    };
    let version = env!("CARGO_PKG_VERSION");
    let begins = format!("version {version} begins, process {}", std::process::id());
    let made = folder(&layout.service_log()).and_then(|()| log.write(&begins));
    if let Err(error) = made {
        // It may be mended while the engine runs, so that each line is tried anew.
        let place = log.path.display();
        view::note(&format!("the log {place} cannot be written: {error}"));
    }
    LOG.set(log).ok();
    if let Err(error) = config {
        view::note(&error.to_string());
    }
    // Whoever has set another one already hears the warnings instead.
    tracing::subscriber::set_global_default(Warnings).ok();
}

/// Writes what is said into the log, if one is kept. Tells whether that is enough.
pub(crate) fn told(text: &str) -> bool {
    let Some(log) = LOG.get() else {
        return false;
    };
    // Where there is no log to bound what is said, the file that takes its place is not to grow without end either.
    let enough = || log.write(text).is_ok() || stderr().is_ok_and(|file| file.len() > MOST);
    enough() && log.alone
}

/// What this process's words go into.
fn stderr() -> io::Result<fs::Metadata> {
    let stderr = rustix::stdio::stderr().try_clone_to_owned()?;
    File::from(stderr).metadata()
}

/// Makes the folder of the log in the state directory, for its owner alone.
fn folder(of: &Path) -> io::Result<()> {
    let folder = of.parent().unwrap_or(of);
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700).create(folder)
}

/// Whether what this process says goes into this file.
fn is_stderr(path: &Path) -> bool {
    let (Ok(stderr), Ok(file)) = (stderr(), fs::symlink_metadata(path)) else {
        return false;
    };
    file.is_file() && (file.dev(), file.ino()) == (stderr.dev(), stderr.ino())
}

impl Log {
    /// Appends one line. The file is opened for each, so that one that was removed or renamed is made again.
    fn write(&self, text: &str) -> io::Result<()> {
        let cut: String = text.trim_end().chars().take(LINE).collect();
        // What goes on stands further in, so that every line that begins at the left has a time.
        let text = escape::text(&cut).replace('\n', "\n  ");
        let line = format!("{} {text}\n", crate::stamp::now());
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = open(&self.path, true)?;
        let size = file.metadata()?.len();
        if size > 0 && size + line.len() as u64 > self.most {
            match self.turn() {
                Ok(()) => file = open(&self.path, true)?,
                Err(error) => {
                    file.set_len(0)?;
                    let why = format!("what stood here could not be moved away: {error}");
                    writeln!(file, "{} {why}", crate::stamp::now())?;
                }
            }
        }
        file.write_all(line.as_bytes())?;
        if self.alone {
            rustix::stdio::dup2_stderr(&file)?;
        }
        Ok(())
    }

    /// The name of a file that was full, the newest of them with number one.
    fn before(&self, n: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{n}"));
        name.into()
    }

    /// Moves every file one further; the last one goes.
    fn turn(&self) -> io::Result<()> {
        for n in (1..KEPT).rev() {
            match fs::rename(self.before(n), self.before(n + 1)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, self.before(1))
    }
}

/// Opens a file to append to it, if it is one of ours: in a folder that others may write to, such as `/tmp`, somebody
/// could put a link there to have something else written to. A pipe is not waited for. One that is not there is made if it
/// may be.
fn open(path: &Path, make: bool) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    options.append(true).create(make).mode(0o600);
    let opened = options.custom_flags(flags.bits().cast_signed()).open(path);
    let refused = |why| Err(io::Error::new(ErrorKind::InvalidInput, why));
    if fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) {
        return refused("it is a link");
    }
    let file = opened?;
    let found = file.metadata()?;
    let ours = rustix::process::geteuid().as_raw();
    match () {
        () if !found.is_file() => refused("it is not a file"),
        () if found.uid() != ours => refused("it belongs to another user"),
        () if found.nlink() > 1 => refused("it has a second name elsewhere"),
        () => Ok(file),
    }
}

/// Puts the warnings of all crates into the log.
struct Warnings;

impl tracing::Subscriber for Warnings {
    fn enabled(&self, about: &tracing::Metadata<'_>) -> bool {
        *about.level() <= tracing::Level::WARN
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        Some(tracing::level_filters::LevelFilter::WARN)
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let mut said = Said(event.metadata().target().to_owned());
        event.record(&mut said);
        view::note(&escape::line(&said.0));
    }

    // Spans are not told of, so that one number serves all of them.
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// What a warning says, on one line.
struct Said(String);

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let told = match field.name() {
            "message" => write!(self.0, ": {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
        // Writing into a string does not fail.
        told.ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    fn log(dir: &tempfile::TempDir, most: u64) -> Log {
        Log {
            path: dir.path().join("service.log"),
            most,
            alone: false,
            writing: Mutex::default(),
        }
    }

    fn text(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_log_turns_when_it_is_full_and_the_oldest_file_goes() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(&dir, 1_000);
        for n in 0..500 {
            log.write(&format!("line {n}")).unwrap();
        }
        let mut files: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        assert_eq!(files.len() as u32, KEPT + 1, "{files:?}");
        for file in &files {
            let data = fs::metadata(file).unwrap();
            assert!(data.len() <= 1_000, "{file:?} {}", data.len());
            assert_eq!(data.mode() & 0o777, 0o600);
        }
        // In order, and without a gap.
        let all: String = files.iter().rev().map(|file| text(file)).collect();
        let numbers: Vec<u32> = all
            .lines()
            .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
            .collect();
        let first = numbers[0];
        assert!(first > 0 && numbers == (first..500).collect::<Vec<_>>());
    }

    #[test]
    fn what_would_mislead_a_reader_is_made_harmless_and_cut() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(&dir, MOST);
        log.write("one\ntwo \x1b[2J\n").unwrap();
        log.write(&"x".repeat(LINE * 2)).unwrap();
        let text = text(&log.path);
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[0].ends_with("Z one") && lines[1] == "  two \u{FFFD}[2J",
            "{lines:?}"
        );
        assert!(lines.len() == 3 && lines[2].len() < LINE + 30);
    }

    #[test]
    fn a_warning_of_any_crate_is_kept_and_less_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(&dir, MOST);
        let path = log.path.clone();
        LOG.set(log).ok().expect("no other test keeps a log");
        tracing::subscriber::with_default(Warnings, || {
            tracing::info!("all is well");
            tracing::warn!(n = 3, error = %"no\nroom", "a pipe broke");
        });
        let text = text(&path);
        let said = "orchestrator::service_log::tests: a pipe broke n=3 error=no room\n";
        assert!(text.ends_with(said) && text.lines().count() == 1, "{text}");
    }

    #[test]
    fn what_is_not_a_file_of_ours_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(&dir, MOST);
        let other = dir.path().join("other");
        fs::write(&other, "kept").unwrap();
        let refused = |why: &str| {
            let error = log.write("words").unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
            assert_eq!(text(&other), "kept");
        };
        symlink(&other, &log.path).unwrap();
        refused("it is a link");
        fs::remove_file(&log.path).unwrap();
        symlink(dir.path().join("nowhere"), &log.path).unwrap();
        refused("it is a link");
        assert!(!dir.path().join("nowhere").exists());
        fs::remove_file(&log.path).unwrap();
        fs::hard_link(&other, &log.path).unwrap();
        refused("a second name");
        fs::remove_file(&log.path).unwrap();
        fs::create_dir(&log.path).unwrap();
        refused("directory");
        fs::remove_dir(&log.path).unwrap();
        let socket = UnixListener::bind(&log.path).unwrap();
        refused("");
        drop(socket);
        fs::remove_file(&log.path).unwrap();
        // Nobody reads this pipe: whoever waited for that would wait for ever.
        let made = std::process::Command::new("mkfifo").arg(&log.path).status();
        assert!(made.unwrap().success());
        refused("");
        fs::remove_file(&log.path).unwrap();
        // Once the place is free again, it is written as if nothing had been.
        log.write("words").unwrap();
        assert!(text(&log.path).ends_with(" words\n"));
    }

    #[test]
    fn a_log_that_cannot_be_moved_away_begins_anew_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(&dir, 200);
        fs::create_dir_all(log.before(KEPT).join("taken")).unwrap();
        fs::write(log.before(KEPT - 1), "").unwrap();
        for n in 0..20 {
            log.write(&format!("line {n}")).unwrap();
        }
        let text = text(&log.path);
        assert!(text.contains("could not be moved away") && text.ends_with("line 19\n"));
        assert!(text.len() < 400, "{text}");
    }
}
