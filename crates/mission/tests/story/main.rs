//! Short stories of missions, each about one thing that once went wrong or easily could. The simulator of the engine
//! tells the long ones.
#![cfg(test)]

mod budget;
mod deliver;
mod edits;
mod governor;
mod judges;
mod landing;
mod permission;
mod plan;
mod pressure;
mod proof;
mod resume;
mod schedule;
mod set_up;
mod steering;
mod tasks;
mod teller;
mod tools;
mod turns;
mod waits;
