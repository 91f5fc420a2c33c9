//! The core of opencode-orchestrator: what a mission is and what it owes.
//!
//! A mission is a fold over events; commands are derived from it: whatever the state says is owed. This crate does no
//! I/O, awaits nothing and is told the time: the same inputs give the same events, byte for byte. Start with
//! [`mission::Mission::step`].

pub mod ahead;
mod apply;
mod bounds;
pub mod budget;
pub mod command;
pub mod decide;
pub mod delivery;
pub mod desk;
pub mod event;
mod evidence;
mod follow;
pub mod forecast;
pub mod foresight;
pub mod gate;
pub mod governor;
pub mod ids;
pub mod input;
pub mod invisible;
pub mod judge;
pub mod landing;
mod lease;
pub mod limits;
pub mod mission;
pub mod plan;
pub mod planted;
pub mod question;
pub mod recovery;
pub mod rules;
pub mod schedule;
pub mod seal;
pub mod sessions;
pub mod spending;
pub mod split;
pub mod stagnation;
pub mod steering;
mod steps;
mod stored;
pub mod task;
pub mod terms;
pub mod time;
pub mod todo;
mod told;
pub mod turn;
pub mod waits;
mod why;
pub mod work;
