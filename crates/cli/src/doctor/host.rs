//! The programs: this one, git, OpenCode, and what OpenCode has to work with.

use super::Finding;
use crate::install::World;
use crate::install::locate::SERVER;
use crate::install::plugin as ours;
use agents::opencode::{OpenCode, Settings};
use mission::turn::Role;
use serde::Deserialize;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use workbench::git::Git;

/// How long OpenCode may take to say what it loads.
const ASK: Duration = Duration::from_secs(60);

/// One OpenCode at a time: in a fresh home the first one makes its database, and a second one that begins meanwhile
/// fails at the same.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

pub(super) fn program(world: &World) -> Vec<Finding> {
    const ABOUT: &str = "program";
    let told = format!(
        "orchestrator {}, {}",
        env!("CARGO_PKG_VERSION"),
        world.program.display()
    );
    vec![match world.why_not_here() {
        None => Finding::good(ABOUT, told),
        Some(why) => Finding::note(ABOUT, told)
            .more([why])
            .advice("install and uninstall change nothing here unless `--even-here` is given"),
    }]
}

pub(super) fn git(_world: &World) -> Vec<Finding> {
    vec![match Git::find() {
        Ok(git) => Finding::good("git", git.version().to_string()),
        Err(error) => Finding::broken("git", error.to_string())
            .advice("install git 2.38 or newer; without it no mission can start"),
    }]
}

pub(super) fn confinement(_world: &World) -> Vec<Finding> {
    vec![
        Finding::note("confinement", "none: agents' shells run with your rights")
            .advice("a workspace is a folder and not a prison; SECURITY.md says what that means"),
    ]
}

/// As much of what OpenCode says of its configuration as tells which plugins it loads.
#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    plugin_origins: Vec<Origin>,
}

#[derive(Deserialize)]
struct Origin {
    spec: serde_json::Value,
    source: String,
}

impl Origin {
    fn name(&self) -> &str {
        let first = self.spec.get(0).and_then(serde_json::Value::as_str);
        self.spec.as_str().or(first).unwrap_or("?")
    }
}

/// A configuration that OpenCode cannot read is not tried on it: at a pipe it would wait for ever.
fn unasked(about: &'static str, world: &World) -> Option<Finding> {
    let readable = SERVER.find(&world.config).is_ok();
    let told = "OpenCode was not asked, because it cannot read its configuration";
    (!readable).then(|| Finding::note(about, told))
}

/// Asks OpenCode, or tells why it does not say.
fn asked() -> Result<Told, Finding> {
    const ABOUT: &str = "loaded";
    let asked = crate::host::block_on(async {
        let mut command = tokio::process::Command::new("opencode");
        command.args(["debug", "config"]).env("OPENCODE_PURE", "1");
        command.stdin(Stdio::null()).kill_on_drop(true);
        Ok(tokio::time::timeout(ASK, command.output()).await)
    });
    let output = match asked {
        Ok(Ok(Ok(output))) => output,
        // The look at the model says more.
        Ok(Ok(Err(error))) => {
            let told = format!("OpenCode cannot be asked: {error}");
            return Err(Finding::note(ABOUT, told));
        }
        Ok(Err(_)) => {
            let told = format!(
                "OpenCode did not say within {} s what it loads",
                ASK.as_secs()
            );
            return Err(Finding::broken(ABOUT, told));
        }
        Err(error) => return Err(Finding::broken(ABOUT, error.what())),
    };
    if !output.status.success() {
        // What follows is the whole file, with all that is secret in it.
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let said = said.split("---").next().unwrap_or_default();
        let told = format!("OpenCode does not accept its configuration: {said}");
        return Err(Finding::broken(ABOUT, told).advice("opencode debug config"));
    }
    serde_json::from_slice(&output.stdout).map_err(|_| {
        let told = "what OpenCode says of its configuration cannot be read";
        Finding::note(ABOUT, told)
    })
}

/// What OpenCode itself says that it loads here. It loads none of it for that.
pub(super) fn loaded(world: &World) -> Vec<Finding> {
    const ABOUT: &str = "loaded";
    if let Some(unasked) = unasked(ABOUT, world) {
        return vec![unasked];
    }
    let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let told = asked();
    drop(alone);
    let told = match told {
        Ok(told) => told,
        Err(found) => return vec![found],
    };
    let lines = told
        .plugin_origins
        .iter()
        .map(|origin| format!("{} from {}", origin.name(), origin.source));
    let lines: Vec<String> = lines.collect();
    let n = told
        .plugin_origins
        .iter()
        .filter(|origin| ours::is_ours(origin.name(), &world.entry))
        .count();
    let all = match lines.len() {
        1 => "1 plugin".to_owned(),
        n => format!("{n} plugins"),
    };
    vec![match n {
        0 => Finding::note(ABOUT, format!("{all} in this folder, ours not among them")).more(lines),
        1 => Finding::good(ABOUT, format!("{all} in this folder, ours among them")).more(lines),
        _ => Finding::broken(ABOUT, "ours would be loaded more than once in this folder")
            .more(lines)
            .advice("take out the entries that are not in OpenCode's own folder"),
    }]
}

/// Which model a mission here would use. Spends nothing.
pub(super) fn model(world: &World) -> Vec<Finding> {
    const ABOUT: &str = "model";
    if let Some(unasked) = unasked(ABOUT, world) {
        return vec![unasked];
    }
    let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let probed = crate::host::block_on(async {
        let here = std::env::current_dir().unwrap_or_else(|_| "/".into());
        let mut settings = Settings::new(&here);
        settings.guard = crate::host::guard_words()?;
        let host = match OpenCode::start(settings).await {
            Ok(host) => host,
            Err(error) => return Ok(Err(error)),
        };
        let probed = host.probe(&here, Role::Worker, None).await;
        agents::Agent::close(&host).await;
        Ok(probed)
    });
    drop(alone);
    vec![match probed {
        Ok(Ok(probe)) => {
            let told = format!(
                "OpenCode {}, model {} ({})",
                probe.version, probe.model, probe.because
            );
            match probe.tested {
                true => Finding::good(ABOUT, told),
                false => {
                    Finding::note(ABOUT, told).more(["this version was not tested".to_owned()])
                }
            }
        }
        // Each says itself what to do.
        Ok(Err(error)) => {
            Finding::broken(ABOUT, error.to_string()).advice("orchestrator explain ORC008")
        }
        Err(error) => Finding::broken(ABOUT, error.what()),
    }]
}
