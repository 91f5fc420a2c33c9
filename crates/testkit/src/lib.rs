//! For tests, ours and our users: disposable worlds, a scripted model server, personas.

/// Leaves a test out on a developer's machine that does not allow what it needs, and says so.
///
/// # Panics
///
/// Where a change is judged: nothing may be missing there.
#[expect(clippy::print_stdout, reason = "who runs the test is to read it")]
pub fn left_out(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{why}");
    println!("left out: {why}");
}

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
