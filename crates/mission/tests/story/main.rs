//! Short stories of missions, each about one thing that once went wrong or easily could. The simulator of the engine
//! tells the long ones.
#![cfg(test)]

mod ahead;
mod budget;
mod deliver;
mod earlier;
mod edits;
mod foresight;
mod governor;
mod judges;
mod landing;
mod lanes;
mod machine;
mod named;
mod permission;
mod plan;
mod pressure;
mod proof;
mod reserve;
mod resume;
mod schedule;
mod sessions;
mod set_up;
mod singled;
mod slots;
mod split;
mod stagnation;
mod steering;
mod tasks;
mod teller;
mod tools;
mod turns;
mod waits;
mod why;
