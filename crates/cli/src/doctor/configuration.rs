//! What OpenCode reads its plugins from, which file counts, and whether ours is in it.

use super::{Finding, Repair};
use crate::error::Error;
use crate::install::World;
use crate::install::locate::{self, Family, Found, SCREEN, SERVER};
use crate::install::plugin;

const ABOUT: &str = "configuration";

/// Variables with which OpenCode reads more, or less.
const VARIABLES: [(&str, &str); 6] = [
    ("OPENCODE_CONFIG", "its plugins are added"),
    ("OPENCODE_CONFIG_DIR", "the plugins of its files are added"),
    ("OPENCODE_CONFIG_CONTENT", "its plugins are added"),
    (
        "OPENCODE_TUI_CONFIG",
        "its plugins for the screen are added",
    ),
    ("OPENCODE_PURE", "OpenCode loads no plugin at all"),
    (
        "OPENCODE_DISABLE_PROJECT_CONFIG",
        "the project's files are left out",
    ),
];

/// The files, and our entries in them.
pub(super) fn files(world: &World) -> Vec<Finding> {
    let mut findings = vec![family(world, &SERVER, true)];
    if world.screen {
        findings.push(family(world, &SCREEN, false));
    }
    let set = VARIABLES
        .iter()
        .filter(|(name, _)| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    let set: Vec<String> = set
        .map(|(name, what)| format!("{name} is set: {what}"))
        .collect();
    if let Some((first, more)) = set.split_first() {
        findings.push(Finding::note("environment", first).more(more.to_vec()));
    }
    findings
}

fn family(world: &World, family: &Family, server: bool) -> Finding {
    let read = |name: &&str| locate::read(&world.config.join(name));
    let all: Vec<(&str, Result<Found, Error>)> = family
        .names
        .iter()
        .map(|name| (*name, read(name)))
        .collect();
    if let Some((_, Err(error))) = all.iter().find(|(_, read)| read.is_err()) {
        return Finding::broken(ABOUT, error.what()).advice(
            "OpenCode does not start with it, or hangs; put the file right or move it away",
        );
    }
    let there = all.into_iter().filter_map(|(_, read)| read.ok());
    let files: Vec<Found> = there.filter(|found| found.seen.file.is_some()).collect();
    let counts = Family::counts(&files);
    let lines = files.iter().enumerate().map(|(n, found)| {
        let counted = !family.shadows || counts == Some(n);
        line(
            found,
            counted,
            counts.and_then(|n| files.get(n)),
            &world.entry,
        )
    });
    let lines: Vec<String> = lines.collect();
    if let Some(odd) = files.iter().find_map(odd) {
        return Finding::broken(ABOUT, odd)
            .more(lines)
            .advice("OpenCode takes texts and pairs of a text and an object; put the entry right");
    }
    let n_ours = |found: &Found| {
        let specs = found.text.specs().unwrap_or_default();
        let all = specs.into_iter().flatten();
        all.filter(|spec| plugin::is_ours(spec, &world.entry))
            .count()
    };
    let counted: usize = match family.shadows {
        true => counts.and_then(|n| files.get(n)).map_or(0, n_ours),
        false => files.iter().map(n_ours).sum(),
    };
    let whose = match server {
        true => "OpenCode's server",
        false => "OpenCode's screen",
    };
    entries(counted, files.iter().map(n_ours).sum(), whose).more(lines)
}

/// What it means that so many entries of ours count, of so many that there are.
fn entries(counted: usize, anywhere: usize, whose: &str) -> Finding {
    match (counted, anywhere) {
        (0, 0) => Finding::note(ABOUT, format!("the plugin is not installed for {whose}"))
            .advice("to install it: orchestrator install")
            .repair(Repair::Install),
        (0, _) => {
            let told = "our entry stands in a file whose list does not count";
            Finding::broken(ABOUT, told)
                .advice("to register it where it counts: orchestrator install")
                .repair(Repair::Install)
        }
        (1, n) => {
            let dead = "an entry of ours in another file counts for nothing";
            Finding::good(ABOUT, format!("the plugin is installed for {whose}"))
                .more((n > 1).then(|| dead.to_owned()))
        }
        _ => {
            let told = "our entry stands there twice, and may be loaded twice";
            Finding::broken(ABOUT, told)
                .advice("to have it once: orchestrator uninstall, and then orchestrator install")
                .repair(Repair::Again)
        }
    }
}

fn line(found: &Found, counts: bool, counted: Option<&Found>, entry: &str) -> String {
    let path = found.path.display();
    let Some(specs) = found.text.specs() else {
        return format!("{path}: no list of plugins");
    };
    let ours = match locate::ours(found, entry) {
        Some(ours) => format!(", ours as `{ours}`"),
        None => String::new(),
    };
    let n = specs.len();
    let plugins = if n == 1 { "plugin" } else { "plugins" };
    let why = match (counts, counted) {
        (true, _) => "the list that counts".to_owned(),
        (false, Some(higher)) => {
            let higher = higher
                .path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy();
            format!("counts for nothing, because {higher} has a list")
        }
        (false, None) => "counts for nothing".to_owned(),
    };
    format!("{path}: {n} {plugins}{ours}; {why}")
}

/// An element of a list with which OpenCode does not start.
fn odd(found: &Found) -> Option<String> {
    let mut elements = found.text.plugins()?.iter().enumerate();
    let (n, odd) = elements.find(|(_, node)| {
        let pair = node.elements().is_some_and(|pair| {
            matches!(pair, [name, options] if name.text().is_some() && options.properties().is_some())
        });
        node.text().is_none() && !pair
    })?;
    let path = found.path.display();
    Some(format!(
        "{path}: entry {} of `plugin` is {}",
        n + 1,
        odd.called()
    ))
}

/// The plugin's own files, where they are of use.
pub(super) fn plugin(world: &World) -> Vec<Finding> {
    const ABOUT: &str = "plugin";
    let folder = world.layout.plugin();
    let path = folder.display();
    let files = SERVER.find(&world.config).unwrap_or_default();
    let entry = SERVER
        .registered(&files, &world.entry)
        .map(|(_, entry)| entry.to_owned());
    let named = entry.as_deref().is_some_and(plugin::is_from_npm);
    let found = match (plugin::stale(&world.layout, &world.program), &entry) {
        (_, Some(entry)) if named => Finding::note(
            ABOUT,
            format!("OpenCode takes it from npm, as `{entry}`, and not from this program"),
        )
        .advice("to use this program's own: orchestrator uninstall, and then orchestrator install")
        .repair(Repair::Again),
        (_, None) if !folder.exists() => return Vec::new(),
        (Err(error), _) => Finding::broken(ABOUT, error.what()),
        (Ok(stale), _) if stale.is_empty() => {
            Finding::good(ABOUT, format!("{path}: as this program carries it"))
        }
        (Ok(stale), Some(_)) => {
            let version = version(world).unwrap_or_else(|| "unknown".into());
            let told = format!(
                "{path}: not as this program carries it: {}",
                stale.join(", ")
            );
            Finding::broken(ABOUT, told)
                .more([format!(
                    "it was written by version {version}; this is {}",
                    env!("CARGO_PKG_VERSION")
                )])
                .advice("to write it anew: orchestrator install")
                .repair(Repair::Install)
        }
        (Ok(_), None) => Finding::note(ABOUT, format!("{path} is there and not registered"))
            .advice("to register it: orchestrator install; to remove it: orchestrator uninstall")
            .repair(Repair::Install),
    };
    vec![found]
}

/// The version that wrote the folder.
fn version(world: &World) -> Option<String> {
    let seen = crate::install::write::look(&world.layout.plugin().join(plugin::ENGINE)).ok()?;
    let engine: serde_json::Value = serde_json::from_slice(&seen.file?.bytes).ok()?;
    Some(engine["version"].as_str()?.to_owned())
}
