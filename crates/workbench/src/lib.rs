//! What agents and gates work with: mission repositories, workspaces, landing, gates.

pub mod checks;
pub mod delivery;
pub mod disk;
pub mod fault;
pub mod gates;
pub mod git;
pub mod guard;
pub mod landing;
pub mod process;
pub mod recipe;
pub mod repository;
pub mod rescue;
pub mod sample;
pub mod snapshot;
mod standing;
pub mod testdiff;
pub mod workspace;
