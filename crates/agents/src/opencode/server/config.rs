//! What the user has: the program, its version, and what his configuration comes to.

use crate::opencode::roles::Permissions;
use crate::opencode::server::spawn::command;
use crate::opencode::{Error, Settings};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// What the user's configuration comes to, as far as it matters to us.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::opencode) struct Resolved {
    pub(in crate::opencode) model: Option<String>,
    agent: BTreeMap<String, Agent>,
    mcp: BTreeMap<String, IgnoredAny>,
    pub(in crate::opencode) permission: Permissions,
    /// All of it, where something of a project was approved.
    #[serde(skip)]
    whole: Value,
}

/// What a user tells agents, by their names.
pub(in crate::opencode) type Wishes = BTreeMap<String, String>;

/// What of a project's configuration is passed on to the server. Its programs (MCP servers, plugins, formatters) stay
/// off like the user's; its models and its denials are read from what all configuration comes to.
const PASSED: [&str; 6] = [
    "provider",
    "enabled_providers",
    "disabled_providers",
    "small_model",
    "instructions",
    "compaction",
];

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Agent {
    model: Option<String>,
    prompt: Option<String>,
}

impl Resolved {
    /// Asks OpenCode itself: only it knows all the places where configuration may stand. Nothing is started by that,
    /// neither plugins nor MCP servers.
    pub(in crate::opencode) async fn ask(
        program: &Path,
        settings: &Settings,
    ) -> Result<Self, Error> {
        let mut command = command(program, settings);
        if let Some(approved) = &settings.trusted {
            command
                .env_remove("OPENCODE_DISABLE_PROJECT_CONFIG")
                .current_dir(&approved.copy)
                .env("PWD", &approved.copy);
        }
        command
            .args(["debug", "config"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|e| Error::Start(e.to_string()))?;
        let open = child.stdin.take();
        let output = tokio::time::timeout(settings.pace.start, child.wait_with_output()).await;
        drop(open);
        let output = output
            .map_err(|_| Error::Slow(settings.pace.start))?
            .map_err(|e| Error::Start(e.to_string()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(Error::Configuration(uncoloured(&said)));
        }
        let unreadable = |e: serde_json::Error| {
            Error::Configuration(format!("`opencode debug config` cannot be read: {e}"))
        };
        let mut resolved: Self = serde_json::from_slice(&output.stdout).map_err(unreadable)?;
        if settings.trusted.is_some() {
            resolved.whole = serde_json::from_slice(&output.stdout).map_err(unreadable)?;
        }
        Ok(resolved)
    }

    /// Keeps what the approved configuration comes to where the server reads it. It goes by a file and not by a
    /// variable, as the shells of agents see variables and it may name keys.
    pub(in crate::opencode) fn settle(&self, settings: &Settings) -> Result<(), Error> {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        let Some(approved) = &settings.trusted else {
            return Ok(());
        };
        let passed = PASSED
            .iter()
            .filter_map(|key| Some(((*key).to_owned(), self.whole.get(key)?.clone())));
        let text = Value::Object(passed.collect()).to_string();
        let write = || {
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            // Another mission may be reading the last one.
            let next = format!("{}.next", std::process::id());
            let next = approved.settled.with_extension(next);
            options.open(&next)?.write_all(text.as_bytes())?;
            std::fs::rename(next, &approved.settled)
        };
        write().map_err(|e| Error::Start(format!("{}: {e}", approved.settled.display())))
    }

    /// What the user himself, and no project, tells our agents besides what we do: his `prompt` of an agent of ours.
    ///
    /// # Errors
    /// OpenCode cannot say what his configuration comes to.
    pub(in crate::opencode) async fn wishes(
        &self,
        program: &Path,
        settings: &Settings,
    ) -> Result<Wishes, Error> {
        let own = match &settings.trusted {
            None => None,
            // What was approved of a project may name models and forbid; it gives no orders.
            Some(_) => {
                let settings = Settings {
                    trusted: None,
                    ..settings.clone()
                };
                Some(Self::ask(program, &settings).await?)
            }
        };
        let agents = &own.as_ref().unwrap_or(self).agent;
        let wish = |(name, agent): (&String, &Agent)| Some((name.clone(), agent.prompt.clone()?));
        Ok(agents.iter().filter_map(wish).collect())
    }

    /// The names of all MCP servers.
    pub(in crate::opencode) fn mcp(&self) -> Vec<String> {
        self.mcp.keys().cloned().collect()
    }

    /// The model that the user gave one of these agents, the first that has one.
    pub(in crate::opencode) fn agent_model(&self, names: &[&str]) -> Option<String> {
        names
            .iter()
            .find_map(|name| self.agent.get(*name)?.model.clone())
    }
}

/// A message of the program without its colours, bounded.
fn uncoloured(text: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.trim().chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            // A colour is an escape, a bracket, numbers, and a letter.
            chars.by_ref().find(char::is_ascii_alphabetic);
        } else {
            plain.push(c);
        }
    }
    plain.chars().take(2000).collect()
}

/// The model that was used last, as OpenCode remembers it for its own screen.
pub(in crate::opencode) fn last_used(settings: &Settings) -> Option<String> {
    let state = settings.variable("XDG_STATE_HOME").map(PathBuf::from);
    let state =
        state.or_else(|| Some(PathBuf::from(settings.variable("HOME")?).join(".local/state")))?;
    let text = std::fs::read(state.join("opencode/model.json")).ok()?;
    let known: Value = serde_json::from_slice(&text).ok()?;
    let newest = known["recent"].as_array()?.first()?;
    Some(format!(
        "{}/{}",
        newest["providerID"].as_str()?,
        newest["modelID"].as_str()?
    ))
}

/// Where the program is: the name looked up on the path, or the path that was given.
pub(in crate::opencode) fn locate(settings: &Settings) -> Result<PathBuf, Error> {
    let given = Path::new(&settings.program);
    let missing = || Error::Missing(given.display().to_string());
    if given.components().count() > 1 {
        return if is_program(given) {
            Ok(given.to_owned())
        } else {
            Err(missing())
        };
    }
    let path = settings.variable("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).map(|place| place.join(given));
    places
        .into_iter()
        .find(|place| is_program(place))
        .ok_or_else(missing)
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata()
        .is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

/// What stands in `OPENCODE_CONFIG_CONTENT` already.
pub(in crate::opencode) fn content_before(settings: &Settings) -> Result<Option<Value>, Error> {
    let Some(content) = settings.variable("OPENCODE_CONFIG_CONTENT") else {
        return Ok(None);
    };
    // OpenCode would read comments here too. What we could not read we would take away from the user without a word.
    serde_json::from_slice(OsStr::as_encoded_bytes(&content))
        .map(Some)
        .map_err(|e| {
            Error::Configuration(format!(
                "OPENCODE_CONFIG_CONTENT is not plain JSON, without comments: {e}"
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_in_a_variable_is_kept_or_complained_of() {
        let mut settings = Settings::new("/");
        let mut read = |content: &str| {
            settings
                .env
                .push(("OPENCODE_CONFIG_CONTENT".into(), content.into()));
            content_before(&settings)
        };
        let kept = read(r#"{ "small_model": "a/b" }"#).unwrap();
        assert_eq!(kept, Some(serde_json::json!({ "small_model": "a/b" })));
        let error = read("{ /* mine */ }").unwrap_err().to_string();
        assert!(error.contains("without comments"), "{error}");
        assert_eq!(read("").unwrap(), None);
    }
}
