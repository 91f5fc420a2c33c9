//! Missions inside the real OpenCode, through the plugin, with a scripted model behind it.
#![cfg(test)]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "these are tests, and what they measured is part of what they say"
)]

mod harmless;
mod house;
mod missions;
mod plugin;
mod service;
mod tui;
