//! What an engine is told from outside. It reads no environment and no configuration by itself.

use crate::layout::Layout;
use crate::pressure::Machine;
use agents::{Agent, ShellRule};
use mission::time::Millis;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use workbench::git::UserEnvironment;
use workbench::guard::Guard;
use workbench::recipe::Recipe;

/// What an engine works with.
#[derive(Clone)]
pub struct Settings {
    /// Where it keeps things.
    pub layout: Layout,
    /// Who carries turns out.
    pub agent: Arc<dyn Agent>,
    /// How a guarded process is started.
    pub guard: Guard,
    /// The user's environment, of which gates see a part.
    pub environment: BTreeMap<OsString, OsString>,
    /// Where the user's git is configured.
    pub git: UserEnvironment,
    /// What a Worker's shell command needs.
    pub shell: ShellRule,
    /// The model to ask for, if the user named one.
    pub model: Option<String>,
    /// How the user has workspaces of their projects prepared, by the project's folder.
    pub recipes: Vec<(PathBuf, Recipe)>,
    /// A turn of which nothing was heard for this long is over.
    pub silence: Millis,
    /// The machine whose room for more work counts, if it does.
    pub machine: Option<Machine>,
}
