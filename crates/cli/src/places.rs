//! What the program reads of its surroundings, in one place: environment, folders, who the user is.

use crate::error::{Error, Kind};
use crate::view::Style;
use engine::layout::Layout;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use workbench::git::{Git, UserEnvironment};
use workbench::guard::Guard;

/// Names another state directory.
pub(crate) const STATE: &str = "ORCHESTRATOR_STATE_DIR";

/// The user's environment.
pub(crate) fn environment() -> BTreeMap<OsString, OsString> {
    std::env::vars_os().collect()
}

fn path(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// The state directory: `ORCHESTRATOR_STATE_DIR`, else `opencode-orchestrator` in `XDG_STATE_HOME`, else below the
/// home directory's `.local/state`.
pub(crate) fn layout() -> Result<Layout, Error> {
    let named = path(STATE).map(Ok);
    let xdg = || path("XDG_STATE_HOME").filter(|dir| dir.is_absolute());
    let found = named.unwrap_or_else(|| {
        let state = xdg().or_else(|| path("HOME").map(|home| home.join(".local/state")));
        state
            .map(|state| state.join("opencode-orchestrator"))
            .ok_or_else(|| {
                Error::new(
                    Kind::Setup,
                    "there is no home directory: neither HOME nor XDG_STATE_HOME is set",
                )
                .hint(format!("set {STATE} to a folder that may be written"))
            })
    })?;
    let absolute =
        std::path::absolute(&found).map_err(|error| Error::io("find", &found, &error))?;
    Ok(Layout::new(absolute))
}

/// Says so if a state directory has too long a path for the socket of a running mission, before anything is made.
pub(crate) fn roomy(layout: &Layout) -> Result<(), Error> {
    // Missions and processes get longer numbers with time.
    let longest = layout.doors().join("m99999-9999999.sock");
    let (long, most) = (longest.as_os_str().len(), engine::socket::PATH);
    if long <= most {
        return Ok(());
    }
    let what = format!(
        "the state directory {} has too long a path: sockets in it would have {long} bytes, and {most} are possible",
        layout.root().display()
    );
    Err(Error::new(Kind::Door, what).hint(format!("set {STATE} to a folder with a shorter path")))
}

/// The user's git, which everything here needs.
pub(crate) fn git_program() -> Result<Git, Error> {
    Git::find().map_err(|error| {
        Error::new(Kind::Setup, error).hint("install git, for example: apt-get install git")
    })
}

/// The user's configuration file: `ORCHESTRATOR_CONFIG`, else `config.toml` in `opencode-orchestrator` of
/// `XDG_CONFIG_HOME`, else below the home directory's `.config`.
pub(crate) fn config() -> Option<PathBuf> {
    let xdg = path("XDG_CONFIG_HOME").filter(|dir| dir.is_absolute());
    let folder = xdg.or_else(|| path("HOME").map(|home| home.join(".config")));
    path("ORCHESTRATOR_CONFIG")
        .or_else(|| folder.map(|folder| folder.join("opencode-orchestrator/config.toml")))
}

/// A file's text. Whatever is not a file is not opened: somebody would have to write into a pipe first.
pub(crate) fn text_of(path: &Path) -> std::io::Result<String> {
    use std::io::{Error, ErrorKind};
    let found = std::fs::metadata(path)?;
    match (found.is_file(), found.is_dir()) {
        (true, _) => std::fs::read_to_string(path),
        (_, true) => Err(ErrorKind::IsADirectory.into()),
        _ => Err(Error::new(ErrorKind::InvalidInput, "it is not a file")),
    }
}

/// Whether the user named the configuration file.
pub(crate) fn config_is_named() -> bool {
    path("ORCHESTRATOR_CONFIG").is_some()
}

/// The folder that OpenCode always reads its configuration from. `OPENCODE_CONFIG` and `OPENCODE_CONFIG_DIR` name more,
/// and never another one instead.
pub(crate) fn opencode() -> Result<PathBuf, Error> {
    let found = path("XDG_CONFIG_HOME").or_else(|| path("HOME").map(|home| home.join(".config")));
    let Some(folder) = found else {
        let what = "there is no home directory: neither HOME nor XDG_CONFIG_HOME is set";
        return Err(Error::new(Kind::Setup, what).hint("set HOME, or XDG_CONFIG_HOME"));
    };
    let folder = folder.join("opencode");
    std::path::absolute(&folder).map_err(|error| Error::io("find", &folder, &error))
}

/// The user's home directory.
pub(crate) fn home() -> Option<PathBuf> {
    path("HOME")
}

/// Where the user's git is configured.
pub(crate) fn git() -> UserEnvironment {
    UserEnvironment {
        home: path("HOME"),
        xdg_config_home: path("XDG_CONFIG_HOME"),
        git_config_global: path("GIT_CONFIG_GLOBAL"),
        git_config_system: path("GIT_CONFIG_SYSTEM"),
        system: std::env::var_os("GIT_CONFIG_NOSYSTEM").is_none(),
    }
}

/// This program as a guard.
pub(crate) fn guard() -> Result<Guard, Error> {
    let program = std::env::current_exe()
        .map_err(|error| Error::io("find", Path::new("this program"), &error))?;
    Ok(Guard::new(program))
}

/// Who is asking, for the journal.
pub(crate) fn user() -> String {
    std::env::var("USER")
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "user".into())
}

/// How a running mission is shown: what was asked for, else what the terminal can do.
pub(crate) fn style(json: bool, plain: bool) -> Style {
    let named = |name: &str| std::env::var(name).unwrap_or_default();
    let dumb = matches!(named("TERM").as_str(), "" | "dumb");
    if json {
        Style::Json
    } else if plain || dumb || !named("NO_COLOR").is_empty() || !std::io::stderr().is_terminal() {
        Style::Plain
    } else {
        Style::Live
    }
}

/// Whether a person can be asked here and now.
pub(crate) fn attended() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}
