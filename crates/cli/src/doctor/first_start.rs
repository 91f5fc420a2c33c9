//! The slow first start of OpenCode on closed networks.
//!
//! With any plugin in its configuration OpenCode 1.18 waits, in a folder where it has not done so yet, until npm has
//! fetched one package or has given up, which takes it more than a minute. Two small files say that it is there.

use super::{Finding, Repair};
use crate::install::World;
use crate::install::locate::{Family, SERVER};
use crate::install::write;
use std::fs;

/// The package that OpenCode fetches.
pub(super) const PACKAGE: &str = "@opencode-ai/plugin";

pub(super) fn seeds(world: &World) -> Vec<Finding> {
    const ABOUT: &str = "first start";
    let files = SERVER.find(&world.config).unwrap_or_default();
    let counted = Family::counts(&files).and_then(|n| files.get(n));
    let any = counted
        .and_then(|found| found.text.plugins())
        .is_some_and(|all| !all.is_empty());
    if !any {
        return vec![Finding::good(
            ABOUT,
            "no plugin is configured, so OpenCode waits for nothing",
        )];
    }
    let lock = write::look(&world.config.join("package-lock.json")).ok();
    let lock = lock.and_then(|seen| seen.file).map(|file| file.bytes);
    let lock: Option<serde_json::Value> = lock
        .as_deref()
        .and_then(|bytes| serde_json::from_slice(bytes).ok());
    let noted = lock
        .as_ref()
        .and_then(|lock| lock["packages"][""]["dependencies"][PACKAGE].as_str());
    let path = world.config.display();
    if noted.is_some() && world.config.join("node_modules").is_dir() {
        let version = noted.unwrap_or_default();
        return vec![Finding::good(
            ABOUT,
            format!("{path}: {PACKAGE} {version} is noted as fetched"),
        )];
    }
    let told =
        format!("{path}: OpenCode will fetch {PACKAGE} at its next start, and waits for that");
    let found = Finding::note(ABOUT, told).advice(
        "on a closed network that takes more than a minute, once; `orchestrator doctor --fix` offers to note it as fetched",
    );
    // What is there already is somebody's; a seed is only for a folder without both.
    let free = ["package.json", "package-lock.json"]
        .iter()
        .all(|name| !world.config.join(name).exists());
    vec![match free && fs::metadata(&world.config).is_ok() {
        true => found.repair(Repair::Seed),
        false => found,
    }]
}
