//! The git half of the workbench, on real repositories.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod again;
mod commit;
mod commits;
mod delivery;
mod fixture;
mod landing;
mod listing;
mod mischief;
mod moves;
mod snapshot;
mod user;
mod workspace;
