//! Every limit of the journal, with its reason.

use std::time::Duration;

/// The longest body of one event. What is longer is a file, and the event names its digest.
pub const BODY_BYTES: usize = 1 << 20;
/// The most events of one append. A plan of 200 tasks makes a few thousand.
pub const BATCH_EVENTS: usize = 10_000;
/// The most bytes of one append, so that one transaction fits in memory.
pub const BATCH_BYTES: usize = 64 << 20;
/// The longest request that is kept for lists; the first event may hold more.
pub const REQUEST_BYTES: usize = 64 << 10;
/// The longest path of a project: what Linux calls `PATH_MAX`.
pub const PROJECT_BYTES: usize = 4 << 10;
/// The longest status: it is a line or a small record for lists, never the state itself.
pub const STATUS_BYTES: usize = 4 << 10;
/// The longest boot name, and the longest endpoint, of an owner.
pub const OWNER_BYTES: usize = 4 << 10;
/// A read stops after this many bytes of bodies, so that a reader's memory is bounded whatever it asked for.
pub const READ_BYTES: usize = 64 << 20;
/// How long a call waits for another process before it gives up: far above any commit, far below a person's patience.
pub const WAIT: Duration = Duration::from_secs(10);

/// Calls that wait for the writer; the next one blocks its caller, which is the back-pressure.
pub(crate) const QUEUE: usize = 1024;
/// The most calls that share one commit, so that the first one does not wait for ever.
pub(crate) const GROUP_JOBS: usize = 512;
/// Read connections that are kept open between calls.
pub(crate) const IDLE_READERS: usize = 8;
/// The log file is cut back to this after a checkpoint, so that one burst does not keep its space for ever.
pub(crate) const LOG_BYTES: u32 = 64 << 20;
