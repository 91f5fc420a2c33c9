//! The real OpenCode, pinned, in a world of its own: found or installed, and kept away from the user's.

use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The version that the tests are written against.
pub const VERSION: &str = "1.18.33";

/// The variable that names an OpenCode program to test against, instead of the pinned one.
pub const VARIABLE: &str = "ORCHESTRATOR_TEST_OPENCODE";

/// The pinned OpenCode program; installs it with npm into the user's cache when it is not there.
///
/// # Panics
///
/// When it cannot be had, with the reason and what to do: a test of the real thing that does not run is a failure.
pub fn program() -> PathBuf {
    if let Some(named) = std::env::var_os(VARIABLE) {
        let named = PathBuf::from(named);
        assert!(
            named.is_file(),
            "{VARIABLE} names {}, which is not a file",
            named.display()
        );
        return named;
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let cache = cache.expect(
        "neither XDG_CACHE_HOME nor HOME is set: there is no cache to install OpenCode into",
    );
    let folder = cache
        .join("opencode-orchestrator-test")
        .join(format!("opencode-{VERSION}"));
    let program = folder.join("node_modules/opencode-ai/bin/opencode.exe");
    let complete = folder.join("complete");
    if complete.is_file() && program.is_file() {
        return program;
    }
    install(&folder, &program, &complete).unwrap_or_else(|why| {
        panic!(
            "OpenCode {VERSION} is needed for this test and could not be installed: {why}\n\
             Install it by hand and name it: {VARIABLE}=/path/to/opencode"
        )
    })
}

fn install(folder: &Path, program: &Path, complete: &Path) -> Result<PathBuf, String> {
    fs::create_dir_all(folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
    let lock = File::create(folder.join("lock")).map_err(|e| format!("cannot make a lock: {e}"))?;
    // Several test programs start at once; the first one installs and the others wait for it.
    match lock.try_lock() {
        Err(TryLockError::WouldBlock) => lock
            .lock()
            .map_err(|e| format!("cannot wait for the lock: {e}"))?,
        other => other.map_err(|e| format!("cannot lock: {e}"))?,
    }
    if complete.is_file() && program.is_file() {
        return Ok(program.to_owned());
    }
    let output = Command::new("npm")
        .args(["install", "--no-audit", "--no-fund", "--prefix", "."])
        .arg(format!("opencode-ai@{VERSION}"))
        .current_dir(folder)
        .output()
        .map_err(|e| format!("cannot run npm: {e}"))?;
    if !output.status.success() {
        return Err(format!(
            "npm failed: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    // npm may leave install scripts alone; this one puts the platform's program where the package expects it.
    let script = folder.join("node_modules/opencode-ai/postinstall.mjs");
    let asked = Command::new(program).arg("--version").output();
    if !asked.is_ok_and(|o| o.status.success()) {
        let linked = Command::new("node")
            .arg(&script)
            .current_dir(folder)
            .output();
        let linked = linked.map_err(|e| format!("cannot run node: {e}"))?;
        if !linked.status.success() {
            return Err(format!(
                "its install script failed: {}",
                String::from_utf8_lossy(&linked.stderr)
            ));
        }
    }
    fs::write(complete, VERSION).map_err(|e| format!("cannot mark the install: {e}"))?;
    Ok(program.to_owned())
}

/// Directories of a user who has only OpenCode, configured for a scripted model.
pub struct Home {
    dir: TempDir,
}

impl Home {
    /// Makes one, with a provider `mock` whose one model `m1` is served at `model_url`.
    ///
    /// # Panics
    ///
    /// When the temporary directory cannot be written.
    pub fn new(model_url: &str) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("home")
            .tempdir()
            .expect("a temporary directory");
        let home = Self { dir };
        let opencode = home.config_dir();
        for made in ["data", "state", "cache", "project"] {
            fs::create_dir_all(home.path().join(made)).expect("a directory in the temporary one");
        }
        // Without these two a plugin in the configuration makes OpenCode wait for a registry, more than a minute where
        // there is none.
        fs::create_dir_all(opencode.join("node_modules"))
            .expect("a directory in the temporary one");
        let lock =
            json!({ "packages": { "": { "dependencies": { "@opencode-ai/plugin": VERSION } } } });
        fs::write(opencode.join("package-lock.json"), lock.to_string())
            .expect("a file in the temporary directory");
        home.configure(&config(model_url));
        // OpenCode keeps there what it fetched of the models that the world has. Its own list of some thousand costs each
        // start of a terminal view a third of its time, and the one model of these tests stands in the configuration.
        fs::create_dir_all(home.models().parent().expect("a folder"))
            .expect("a directory in the temporary one");
        fs::write(home.models(), "{}").expect("a file in the temporary directory");
        home
    }

    fn models(&self) -> PathBuf {
        self.path().join("cache/opencode/models.json")
    }

    /// Has OpenCode know all the models that it brings with it, as that of a user does.
    ///
    /// # Panics
    ///
    /// When the list that stands there cannot be removed.
    pub fn knows_all_models(&self) {
        fs::remove_file(self.models()).expect("the short list can be removed");
    }

    /// The directory that holds all of it.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// OpenCode's own configuration directory.
    pub fn config_dir(&self) -> PathBuf {
        self.path().join("config/opencode")
    }

    /// OpenCode's own data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.path().join("data/opencode")
    }

    /// An empty directory to work in.
    pub fn project(&self) -> PathBuf {
        self.path().join("project")
    }

    /// Another empty directory to work in.
    ///
    /// # Panics
    ///
    /// When it cannot be made.
    pub fn workspace(&self, name: &str) -> PathBuf {
        let made = self.path().join("work").join(name);
        fs::create_dir_all(&made).expect("a directory in the temporary one");
        made
    }

    /// Replaces OpenCode's configuration.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn configure(&self, config: &Value) {
        fs::write(self.config_dir().join("opencode.json"), config.to_string())
            .expect("a writable configuration");
    }

    /// The environment that keeps OpenCode inside.
    pub fn env(&self) -> Vec<(OsString, OsString)> {
        let inside =
            |name: &str, sub: &str| (OsString::from(name), self.path().join(sub).into_os_string());
        let mut env = vec![
            inside("HOME", ""),
            inside("XDG_CONFIG_HOME", "config"),
            inside("XDG_DATA_HOME", "data"),
            inside("XDG_STATE_HOME", "state"),
            inside("XDG_CACHE_HOME", "cache"),
            // OpenCode's terminal view puts libraries of 5 to 14 MB there at every start, and leaves them there.
            inside("BUN_TMPDIR", "cache"),
        ];
        let off = ["AUTOUPDATE", "MODELS_FETCH", "LSP_DOWNLOAD", "SHARE"];
        env.extend(
            off.iter()
                .map(|what| (format!("OPENCODE_DISABLE_{what}").into(), "1".into())),
        );
        env
    }
}

/// The same, where every token of the model costs so many US dollars a million, cached or not.
pub fn priced(model_url: &str, dollars: f64) -> Value {
    let mut config = config(model_url);
    config["provider"]["mock"]["models"]["m1"]["cost"] = json!({
        "input": dollars, "output": dollars, "cache_read": dollars, "cache_write": dollars,
    });
    config
}

/// The same, where the model writes so many tokens in one answer at the most.
pub fn writing(model_url: &str, output: u64) -> Value {
    let mut config = config(model_url);
    config["provider"]["mock"]["models"]["m1"]["limit"]["output"] = json!(output);
    config
}

/// A configuration with one provider, `mock`, and its one model, `m1`.
pub fn config(model_url: &str) -> Value {
    json!({
        "$schema": "https://opencode.ai/config.json",
        "model": "mock/m1",
        "small_model": "mock/m1",
        "enabled_providers": ["mock"],
        "provider": { "mock": {
            "npm": "@ai-sdk/openai-compatible",
            "name": "Mock",
            "options": { "baseURL": model_url, "apiKey": "none" },
            "models": { "m1": {
                "name": "Mock One",
                "tool_call": true,
                "limit": { "context": 200_000, "output": 8192 },
            } },
        } },
    })
}
