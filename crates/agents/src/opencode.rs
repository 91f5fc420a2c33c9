//! OpenCode as a host of agents: a server of our own, driven over its HTTP interface.
//!
//! Every turn is one session. The server's event stream only says when to look; what happened is read from the
//! server, so that lost, late and doubled events change nothing. A prompt has a name of its own: sent twice it is one
//! prompt, and a turn that the server's death interrupted goes on where it stopped.

mod api;
mod closing;
mod events;
pub mod front;
mod roles;
mod server;
mod session;
mod turn;
mod usage;
pub mod visit;
mod wire;

pub use roles::instructions;

use crate::{Agent, Closing, Order, Watcher};
use events::Hub;
use futures_util::future::BoxFuture;
use mission::turn::Role;
use roles::Permissions;
use server::{Resolved, Server, Start, Wishes};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How OpenCode is started.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The program: a name that is looked up on the path, or a path.
    pub program: OsString,
    /// What the program is started through, such as a guard that ends it with us; the first word is a program. It must
    /// end its child when its standard input ends. May be empty, but then a crash of ours leaves the server behind.
    pub guard: Vec<OsString>,
    /// Variables on top of our own environment.
    pub env: Vec<(OsString, OsString)>,
    /// Where the server is started. The user's configuration is resolved here.
    pub directory: PathBuf,
    /// The project's configuration that somebody has read and approved: it can name programs. What stands in projects
    /// and workspaces themselves is never read, since it may have changed since.
    pub trusted: Option<Approved>,
    /// How long things may take.
    pub pace: Pace,
}

impl Settings {
    /// The usual: `opencode` from the path, no guard, nothing trusted.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            program: "opencode".into(),
            guard: Vec::new(),
            env: Vec::new(),
            directory: directory.into(),
            trusted: None,
            pace: Pace::default(),
        }
    }

    /// A variable as the server sees it.
    fn variable(&self, name: &str) -> Option<OsString> {
        let set = self
            .env
            .iter()
            .rev()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone());
        set.or_else(|| std::env::var_os(name))
            .filter(|value| !value.is_empty())
    }
}

/// Configuration of a project that was approved.
#[derive(Clone, Debug)]
pub struct Approved {
    /// A folder that stands for the project: a copy of what was approved lies there, and above it as above the project.
    /// It is read once, at the start.
    pub copy: PathBuf,
    /// Where to keep what it comes to. It is read again whenever the server starts, and may hold secrets.
    pub settled: PathBuf,
}

/// How long things may take, and how often they are tried. Tests use shorter ones.
#[derive(Clone, Debug)]
pub struct Pace {
    /// From the start of a server to its first answer.
    pub start: Duration,
    /// One request of the readiness probe; the first one after a start may be lost for ever.
    pub ready: Duration,
    /// Any other call.
    pub call: Duration,
    /// How long a session may take to be stopped. One that is not stopped by then is ended with its server, which is
    /// started again for the others.
    pub quiet: Duration,
    /// How long a server may take to end by itself.
    pub grace: Duration,
    /// How often a server is asked for a sign of life.
    pub probe_every: Duration,
    /// How long a sign of life may take.
    pub probe_deadline: Duration,
    /// So many signs of life missed in a row make a hanging server.
    pub probes_missed: u32,
    /// The first pause before a server is started again; each further one is twice as long, 30 s at the most.
    pub restart_pause: Duration,
    /// So many starts …
    pub restarts: usize,
    /// … within this time, and it is given up.
    pub restarts_within: Duration,
    /// The first pause before the event stream is opened again.
    pub reconnect: Duration,
    /// After this long without any frame the event stream is taken for dead.
    pub stream_silence: Duration,
    /// The shortest and first interval of looking while events are silent.
    pub poll_least: Duration,
    /// The longest interval.
    pub poll_most: Duration,
    /// How long a session may be idle after a prompt before it counts as not having taken it.
    pub settle: Duration,
    /// A provider that asks to wait longer than this is not waited for: the turn goes on in its session when it may be
    /// asked, and others use its slot and its lane meanwhile. Stopping and going on costs no token and about a second.
    pub retry_most: Duration,
    /// After so many tries of one model call the provider is not waited for either.
    pub retries: u32,
    /// How long a permission or question may stay open.
    pub ask: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let secs = Duration::from_secs;
        Self {
            start: secs(30),
            ready: secs(1),
            call: secs(30),
            // With `grace` it is less than what a lease leaves beyond its turn's limit.
            quiet: secs(20),
            // Whoever interrupts a mission waits for its performers and then for this, five seconds in all. A guarded server
            // that takes longer is ended by its guard.
            grace: Duration::from_secs(1),
            probe_every: secs(10),
            probe_deadline: secs(10),
            probes_missed: 3,
            restart_pause: Duration::from_millis(500),
            restarts: 5,
            restarts_within: secs(600),
            reconnect: Duration::from_millis(250),
            stream_silence: secs(30),
            poll_least: Duration::from_millis(500),
            poll_most: secs(5),
            settle: secs(2),
            retry_most: secs(20),
            retries: 2,
            ask: secs(3600),
        }
    }
}

/// Why there is no OpenCode to work with. Each is found before any token is spent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The program is not there.
    #[error("there is no program `{0}`; install OpenCode with `npm install -g opencode-ai`")]
    Missing(String),
    /// The program is there, but of a version that we cannot drive.
    #[error(
        "OpenCode {0} cannot be driven, only 1.x; install one with `npm install -g opencode-ai@1`"
    )]
    Version(String),
    /// OpenCode does not accept the user's configuration.
    #[error("OpenCode does not accept its configuration; see `opencode debug config`: {0}")]
    Configuration(String),
    /// The server does not start.
    #[error("the OpenCode server does not start: {0}")]
    Start(String),
    /// The server does not answer in time.
    #[error("the OpenCode server did not answer within {} s", .0.as_secs())]
    Slow(Duration),
    /// There is no provider that one could ask.
    #[error("OpenCode knows no provider; log in to one with `opencode auth login`")]
    NoProvider,
    /// A provider or model was named that OpenCode does not know.
    #[error(
        "OpenCode does not know the model `{model}`; `opencode models` lists those it knows, `opencode auth login` adds a provider"
    )]
    NoModel {
        /// The model, as it was named.
        model: String,
    },
    /// The server died and could not be started again.
    #[error("{0}")]
    Gone(String),
}

/// What would be used, before anything is spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// OpenCode's version.
    pub version: String,
    /// Whether this version is one that is tested against; others of the same major version are only likely to work.
    pub tested: bool,
    /// The provider.
    pub provider: String,
    /// The model, as `provider/model`.
    pub model: String,
    /// Why this model: `asked for`, `set for the agent`, `set in the configuration`, `used last`, `OpenCode's default`.
    pub because: &'static str,
    /// The user's MCP servers that stay off.
    pub mcp_off: Vec<String>,
}

/// A running OpenCode.
pub struct OpenCode {
    host: Arc<Host>,
    follower: JoinHandle<()>,
}

/// What the turns share.
struct Host {
    server: Server,
    hub: Hub,
    config: Resolved,
    wishes: Wishes,
    last_used: Option<String>,
    pace: Pace,
    /// Whose children new sessions are, where they are shown to somebody.
    family: Option<visit::Family>,
}

impl OpenCode {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    ///
    /// Every reason why there is none, each with what to do about it.
    pub async fn start(settings: Settings) -> Result<Self, Error> {
        let program = server::locate(&settings)?;
        let config = Resolved::ask(&program, &settings).await?;
        config.settle(&settings)?;
        let wishes = config.wishes(&program, &settings).await?;
        let content = roles::content(server::content_before(&settings)?, &config.mcp(), &wishes);
        let last_used = server::last_used(&settings);
        let pace = settings.pace.clone();
        let server = Server::start(Start {
            program,
            settings,
            content: content.to_string(),
        })
        .await?;
        if !server.version().starts_with("1.") {
            let version = server.version().to_owned();
            server.close().await;
            return Err(Error::Version(version));
        }
        if !server.version().starts_with("1.18.") {
            tracing::warn!(
                version = server.version(),
                "this version of OpenCode is not tested, only 1.18"
            );
        }
        let hub = Hub::default();
        let follower = tokio::spawn(hub.clone().follow(server.watch(), pace.clone()));
        let host = Arc::new(Host {
            server,
            hub,
            config,
            wishes,
            last_used,
            pace,
            family: None,
        });
        Ok(Self { host, follower })
    }

    /// Which model a turn of this role would use in this directory. Spends nothing.
    ///
    /// # Errors
    ///
    /// When there is no provider, or none that has the model.
    pub async fn probe(
        &self,
        directory: &Path,
        role: Role,
        model: Option<&str>,
    ) -> Result<Probe, Error> {
        let Chosen { model, because, .. } = self.host.model(directory, role, model).await?;
        let version = self.host.server.version().to_owned();
        Ok(Probe {
            tested: version.starts_with("1.18."),
            version,
            provider: model.split('/').next().unwrap_or_default().to_owned(),
            model,
            because,
            mcp_off: self.host.config.mcp(),
        })
    }

    /// The id of the server's process (of its guard, where it has one), while there is one.
    pub fn process(&self) -> Option<u32> {
        self.host.server.process()
    }
}

/// The model that a turn is asked of.
struct Chosen {
    /// As `provider/model`.
    model: String,
    /// Why this one.
    because: &'static str,
    /// The most tokens of one answer of it, where the server says so.
    output: Option<u64>,
}

impl Host {
    /// The model for a role.
    async fn model(
        &self,
        directory: &Path,
        role: Role,
        asked: Option<&str>,
    ) -> Result<Chosen, Error> {
        let api = self.server.up().await.map_err(Error::Gone)?;
        let known = api
            .providers(directory)
            .await
            .map_err(|e| Error::Gone(e.to_string()))?;
        let has = |model: &str| known.provider_of(model).is_some();
        let choose = |model: String, because| Chosen {
            output: known.output_of(&model),
            model,
            because,
        };
        if known.providers.is_empty() {
            return Err(Error::NoProvider);
        }
        let (ours, plain) = (roles::agent_name(role), role.to_string());
        let named = [
            (asked.map(str::to_owned), "asked for"),
            (
                self.config.agent_model(&[&ours, &plain]),
                "set for the agent",
            ),
            (self.config.model.clone(), "set in the configuration"),
        ];
        if let Some((model, because)) = named
            .into_iter()
            .find_map(|(model, because)| Some((model?, because)))
        {
            return if has(&model) {
                Ok(choose(model, because))
            } else {
                Err(Error::NoModel { model })
            };
        }
        // What was used last may have gone since; nobody named it, so that is no error.
        if let Some(model) = self.last_used.clone().filter(|model| has(model)) {
            return Ok(choose(model, "used last"));
        }
        let defaults = known.providers.iter().filter_map(|p| {
            let model = known.default.get(&p.id)?;
            Some(format!("{}/{model}", p.id))
        });
        let first = defaults.into_iter().find(|model| has(model));
        first
            .map(|model| choose(model, "OpenCode's default"))
            .ok_or(Error::NoProvider)
    }

    fn permissions(&self) -> &Permissions {
        &self.config.permission
    }
}

impl Agent for OpenCode {
    fn name(&self) -> String {
        format!("opencode {}", self.host.server.version())
    }

    fn run(
        &self,
        order: Order,
        watcher: Arc<dyn Watcher>,
        stop: CancellationToken,
    ) -> BoxFuture<'_, ()> {
        let host = Arc::clone(&self.host);
        Box::pin(turn::run(host, order, watcher, stop))
    }

    fn keeps_sessions(&self) -> bool {
        true
    }

    fn close_sessions(&self, closing: Closing) -> BoxFuture<'_, Result<u32, String>> {
        Box::pin(async move { closing::close(&self.host, &closing).await })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.host.server.close().await;
            self.follower.abort();
        })
    }
}

impl Drop for OpenCode {
    fn drop(&mut self) {
        self.follower.abort();
    }
}
