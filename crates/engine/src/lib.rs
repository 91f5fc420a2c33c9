//! The shell: one loop that feeds the core and performs what it asks.
//!
//! [`dispatcher`] is the loop; if you read one file, read that one. `perform` turns one command into one future.
//! [`store`] opens the journal and the missions in it, [`door`] is the private socket of a running engine.

pub mod alive;
pub mod allowed;
pub mod clock;
pub mod dispatcher;
pub mod doing;
pub mod door;
pub mod layout;
mod orders;
pub mod owner;
mod perform;
mod points;
pub mod pressure;
mod providers;
pub mod reception;
mod room;
pub mod settings;
pub mod shutdown;
pub mod socket;
pub mod store;
pub mod survey;
