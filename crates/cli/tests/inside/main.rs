//! Missions inside the real OpenCode, through the plugin, with a scripted model behind it.
#![cfg(test)]
mod children;
mod connected;
mod gone;
mod harmless;
mod house;
mod lean;
mod missions;
mod newer;
mod packed;
mod plugin;
mod scripts;
mod service;
mod tui;
