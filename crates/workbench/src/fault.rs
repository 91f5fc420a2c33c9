//! Points at which a test lets the program die: before and after everything that it does to the world.
//!
//! In ordinary builds a point is nothing. With the feature `faults` two variables arm them: [`DIE`] names a point and
//! how often it is passed before the process kills itself there (`gate.ran@3`), and [`LIST`] names a file to which
//! every point that is passed is added, one name a line.

/// The variable that names the point to die at.
pub const DIE: &str = "ORCHESTRATOR_FAULT";

/// The variable that names the file in which points are listed.
pub const LIST: &str = "ORCHESTRATOR_FAULT_LIST";

/// Passes a point.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub fn point(_name: &'static str) {}

/// Passes a point, or dies there as a crash would let it.
#[cfg(feature = "faults")]
pub fn point(name: &'static str) {
    armed::ARMED.pass(name);
}

#[cfg(feature = "faults")]
mod armed {
    use std::fs::File;
    use std::io::Write as _;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    pub(super) static ARMED: LazyLock<Armed> = LazyLock::new(Armed::read);

    pub(super) struct Armed {
        die: Option<(String, u64)>,
        passed: AtomicU64,
        list: Option<File>,
    }

    impl Armed {
        fn read() -> Self {
            let die = std::env::var(super::DIE).ok().and_then(|text| {
                let (name, n) = text.split_once('@')?;
                Some((name.to_owned(), n.parse().ok()?))
            });
            let list = std::env::var_os(super::LIST)
                .and_then(|path| File::options().append(true).create(true).open(path).ok());
            Self {
                die,
                passed: AtomicU64::new(0),
                list,
            }
        }

        pub(super) fn pass(&self, name: &'static str) {
            if let Some(mut list) = self.list.as_ref() {
                // One write, so that points of two threads do not mix.
                list.write_all(format!("{name}\n").as_bytes()).ok();
            }
            let Some((_, n)) = self.die.as_ref().filter(|(at, _)| at == name) else {
                return;
            };
            if self.passed.fetch_add(1, Ordering::SeqCst) + 1 == *n {
                let this = rustix::process::getpid();
                rustix::process::kill_process(this, rustix::process::Signal::KILL).ok();
                // The signal is on its way; nothing may happen before it arrives.
                loop {
                    std::thread::park();
                }
            }
        }
    }
}
