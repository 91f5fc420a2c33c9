//! OpenCode as a host of agents, against the real one and a scripted model.
#![cfg(test)]

mod answers;
mod contract;
mod eventless;
mod faults;
mod lost;
mod schema;
mod sessions;
mod trust;
mod turns;
mod upstream;
mod user;
mod world;
