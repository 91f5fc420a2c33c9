//! For tests, ours and our users: disposable worlds, a scripted model server, personas.

pub mod model;
pub mod opencode;
pub mod persona;
#[expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a terminal that cannot be had is a failed test"
)]
pub mod terminal;
#[cfg(target_os = "linux")]
pub mod user;
#[expect(
    clippy::unwrap_used,
    reason = "a world that cannot be made is a failed test"
)]
pub mod world;
