//! Points at which a test lets the program die: before and after everything that it does to the world.
//!
//! In ordinary builds a point is nothing. With the feature `faults` variables arm them:
//!
//! * [`DIE`] names a point and how often it is passed before the process kills itself there (`gate.ran@3`), or, as `#7`,
//!   the seventh point that the process passes, whichever it is.
//! * [`PLAN`] names a file of points, one a line; `turn.rescued*` is the first that begins so, and `turn.rescued: T#.#`
//!   the first that is so whatever its numbers. The process dies at the first of them that it passes, and adds it to the
//!   file of the same name that ends with `.died`; what stands there already kills nobody any more. So one mission dies
//!   at many points, each in a life of its own.
//! * [`LIST`] names a file to which every point that is passed is added, one a line.
//!
//! [`SLEPT`] names a file that says for how many milliseconds the machine slept: no test can let it sleep.
//!
//! Two passings of one point are told apart by what they are about: a turn, a gate, a path. A line is the point's name,
//! or the name, a colon, a blank, and what it is about.

use std::fmt::Display;
use std::time::Duration;

/// The variable that names the point to die at.
pub const DIE: &str = "ORCHESTRATOR_FAULT";

/// The variable that names the file of points to die at.
pub const PLAN: &str = "ORCHESTRATOR_FAULT_PLAN";

/// The variable that names the file in which points are listed.
pub const LIST: &str = "ORCHESTRATOR_FAULT_LIST";

/// The variable that names the file of how long the machine slept.
pub const SLEPT: &str = "ORCHESTRATOR_FAULT_SLEPT";

/// Whether this build has points at all.
pub const ON: bool = cfg!(feature = "faults");

/// Passes a point that is about nothing in particular.
#[inline(always)]
pub fn point(name: &'static str) {
    of(name, &"");
}

/// Passes a point that is about something.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub fn of(_name: &'static str, _about: &dyn Display) {}

/// Passes a point that is about something, or dies there as a crash would let it.
#[cfg(feature = "faults")]
pub fn of(name: &'static str, about: &dyn Display) {
    let about = about.to_string().replace('\n', " ");
    let line = match about.is_empty() {
        true => name.to_owned(),
        false => format!("{name}: {about}"),
    };
    armed::ARMED.pass(name, &line);
}

/// For how long the machine slept, as a test wants it.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub fn slept() -> Duration {
    Duration::ZERO
}

/// For how long the machine slept, as a test wants it.
#[cfg(feature = "faults")]
pub fn slept() -> Duration {
    let text = std::env::var_os(SLEPT).and_then(|path| std::fs::read_to_string(path).ok());
    let slept = text.and_then(|text| text.trim().parse().ok());
    slept.map_or(Duration::ZERO, Duration::from_millis)
}

/// Whether a line is what is armed, one of those that begin so (`turn.rescued*`), or one that differs from it by its numbers
/// (`turn.rescued: T#.#`).
#[cfg(feature = "faults")]
pub fn fits(armed: &str, line: &str) -> bool {
    match armed.strip_suffix('*') {
        Some(beginning) => line.starts_with(beginning),
        None => armed == line || armed.contains('#') && armed == without_numbers(line),
    }
}

/// A line with `#` for each of its numbers.
#[cfg(feature = "faults")]
pub fn without_numbers(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for letter in line.chars() {
        match letter.is_ascii_digit() {
            true if text.ends_with('#') => {}
            true => text.push('#'),
            false => text.push(letter),
        }
    }
    text
}

#[cfg(feature = "faults")]
mod armed {
    use super::fits;
    use std::collections::BTreeSet;
    use std::ffi::OsString;
    use std::fs::File;
    use std::io::Write as _;
    use std::path::PathBuf;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    pub(super) static ARMED: LazyLock<Armed> = LazyLock::new(Armed::read);

    pub(super) struct Armed {
        /// A point's name, or nothing for whichever, and at which passing.
        die: Option<(Option<String>, u64)>,
        passed: AtomicU64,
        plan: BTreeSet<String>,
        died: Option<File>,
        list: Option<File>,
    }

    fn appended(path: OsString) -> Option<File> {
        File::options().append(true).create(true).open(path).ok()
    }

    impl Armed {
        fn read() -> Self {
            let die = std::env::var(super::DIE).ok().and_then(|text| {
                if let Some(n) = text.strip_prefix('#') {
                    return Some((None, n.parse().ok()?));
                }
                let (name, n) = text.split_once('@')?;
                Some((Some(name.to_owned()), n.parse().ok()?))
            });
            let mut plan = BTreeSet::new();
            let mut died = None;
            if let Some(path) = std::env::var_os(super::PLAN) {
                let lines = |path: &OsString| -> BTreeSet<String> {
                    let text = std::fs::read_to_string(path).unwrap_or_default();
                    text.lines().map(str::to_owned).collect()
                };
                let memory = PathBuf::from(&path).with_extension("died").into_os_string();
                let before = lines(&memory);
                plan = lines(&path);
                plan.retain(|armed| !before.iter().any(|line| fits(armed, line)));
                died = appended(memory);
            }
            Self {
                die,
                passed: AtomicU64::new(0),
                plan,
                died,
                list: std::env::var_os(super::LIST).and_then(appended),
            }
        }

        pub(super) fn pass(&self, name: &'static str, line: &str) {
            // One write, so that points of two threads do not mix.
            let note = |mut file: &File| file.write_all(format!("{line}\n").as_bytes()).ok();
            let dies = self.plan.contains(line) || self.plan.iter().any(|armed| fits(armed, line));
            // First where it dies: another thread may die before the second line is written.
            if dies {
                self.died.as_ref().map(note);
            }
            self.list.as_ref().map(note);
            if dies {
                die();
            }
            let Some((_, n)) = self
                .die
                .as_ref()
                .filter(|(at, _)| at.as_deref().is_none_or(|at| at == name))
            else {
                return;
            };
            if self.passed.fetch_add(1, Ordering::SeqCst) + 1 == *n {
                die();
            }
        }
    }

    fn die() {
        let this = rustix::process::getpid();
        rustix::process::kill_process(this, rustix::process::Signal::KILL).ok();
        // The signal is on its way; nothing may happen before it arrives.
        loop {
            std::thread::park();
        }
    }

    #[cfg(test)]
    #[test]
    fn a_point_is_armed_whole_by_its_beginning_or_whatever_its_numbers() {
        let line = "gate.before: T11/accept-1 for Landing { n: 3 }";
        for armed in [
            line,
            "gate.before*",
            "gate.before: T11*",
            "gate.before: T#/accept-# for Landing { n: # }",
        ] {
            assert!(fits(armed, line), "{armed}");
        }
        for armed in [
            "gate.before",
            "gate.before: T12*",
            "gate.before: T1/accept-1 for Landing { n: 3 }",
            "gate.before: T#/accept-# for Attempt { attempt: T#.# }",
            "gate.before: T##/accept-# for Landing { n: # }",
        ] {
            assert!(!fits(armed, line), "{armed}");
        }
    }
}
