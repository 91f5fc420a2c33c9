//! Turns in the server of an OpenCode that a person looks at: each is a child of the conversation in which the mission
//! was asked for, so that it is seen there as it goes.
//!
//! That server is somebody else's. It is asked for its agents before anything is sent to it, it is given few turns at
//! once, and whatever it cannot carry out, our own server does: when it ends in the middle of a turn, the turn goes on
//! where it stopped.

use super::api::{Api, CallError};
use super::events::Hub;
use super::front::Place;
use super::server::{Server, Visited};
use super::{Host, OpenCode, Pace, roles, session, turn, wire};
use crate::{Agent, Closing, Order, Watcher};
use futures_util::future::BoxFuture;
use mission::ids::MissionId;
use mission::turn::{Failure, Outcome, Usage};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Turns at once. That server is one thread, which also draws what the user sees and answers their keys.
const AT_ONCE: usize = 4;
/// How long it may take to be ready for a turn in a workspace that it has not seen before. It answers in a fraction of a
/// second; on a full machine it may take a few.
const READY: Duration = Duration::from_secs(20);
/// How soon a session that does not end is told again.
const AGAIN: Duration = Duration::from_millis(250);
/// What OpenCode obeys where it finds it in a folder. Some of it are programs, which whoever writes into a workspace
/// could have it start.
const OBEYED: [&str; 3] = ["opencode.json", "opencode.jsonc", ".opencode"];

/// The configuration that makes workspaces ours in a server that is not: our agents, and none of the user's MCP servers,
/// formatters and language servers. `mcp` names those that the user has, `wishes` is what he tells our agents himself,
/// by their names. To be laid over what there is.
pub fn configuration(mcp: &[String], wishes: &BTreeMap<String, String>) -> Value {
    roles::content(None, mcp, wishes)
}

/// Where turns are to be carried out.
#[derive(Clone, Debug)]
pub struct Visit {
    /// The private socket of the server.
    pub bridge: PathBuf,
    /// The conversation whose children they are.
    pub at: Place,
    /// Whose turns an engine before this one may have left at work there.
    pub left: Option<Left>,
}

/// Turns of a mission that may be at work still.
#[derive(Clone, Debug)]
pub struct Left {
    /// Its id.
    pub mission: MissionId,
    /// What it is told by from the missions of other stores.
    pub nonce: String,
    /// Conversations of the same server in which it was asked to go on before. What was begun in them may be at work
    /// still.
    pub earlier: Vec<Place>,
}

impl Left {
    /// The sessions of the mission below a conversation and all earlier ones.
    async fn sessions(&self, api: &Api, at: &Place) -> Result<Vec<wire::Session>, CallError> {
        let mut all = Vec::new();
        for place in self.earlier.iter().chain([at]) {
            let children = match api.children(&place.directory, &place.session).await {
                // Whoever deletes the conversation deletes them with it.
                Err(CallError::Missing(_)) => Vec::new(),
                found => found?,
            };
            all.extend(children);
        }
        all.retain(|child| session::is_of(child, self.mission, &self.nonce));
        Ok(all)
    }
}

/// What a person is told about where turns are carried out.
pub type Tell = Arc<dyn Fn(String) + Send + Sync>;

/// Stops what a mission still does in a server where an engine before this one had it be seen, for whoever carries it
/// out elsewhere from now on. Where that server is gone there is nothing to stop.
///
/// # Errors
/// It is there and does not do it.
pub async fn leave(bridge: &Path, at: &Place, left: &Left) -> Result<(), String> {
    if UnixStream::connect(bridge).await.is_err() {
        return Ok(());
    }
    let stop = async {
        let api = Api::over(bridge, READY)?;
        let sessions = left.sessions(&api, at).await?;
        loop {
            let mut all = true;
            for child in &sessions {
                all &= api.stilled(&child.directory, &child.id).await?;
            }
            if all {
                break;
            }
            tokio::time::sleep(AGAIN).await;
        }
        Ok::<(), CallError>(())
    };
    match tokio::time::timeout(READY, stop).await {
        Ok(stopped) => stopped.map_err(|error| error.to_string()),
        Err(_) => Err("they are not stopped in time".to_owned()),
    }
}

/// What was begun in a server of somebody else.
#[derive(Clone)]
pub(super) struct Family {
    api: Arc<Api>,
    pub(super) parent: String,
    members: Arc<Mutex<BTreeMap<String, PathBuf>>>,
}

impl Family {
    pub(super) fn of(api: Arc<Api>, parent: String) -> Self {
        Self {
            api,
            parent,
            members: Arc::default(),
        }
    }

    /// Whether this is the server in which it lives.
    pub(super) fn is_at(&self, api: &Api) -> bool {
        std::ptr::eq(&*self.api, api)
    }

    /// Whether that is the one to talk to now.
    pub(super) fn lives_in(&self, server: &Server) -> bool {
        server.is_at(&self.api)
    }

    pub(super) fn add(&self, session: &str, directory: &Path) {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.insert(session.to_owned(), directory.to_owned());
    }

    /// Adds what an engine before this one began: where this server is left, that must be stopped as well.
    async fn find(&self, at: &Place, left: &Left) -> Result<(), CallError> {
        for child in left.sessions(&self.api, at).await? {
            self.add(&child.id, &child.directory);
        }
        Ok(())
    }

    /// The sessions, each with its directory.
    pub(super) fn members(&self) -> BTreeMap<String, PathBuf> {
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.clone()
    }
}

/// A host whose turns are seen.
pub struct Visiting {
    own: Arc<OpenCode>,
    host: Arc<Host>,
    api: Arc<Api>,
    follower: JoinHandle<()>,
    places: Arc<Semaphore>,
    again: bool,
    tell: Tell,
    told: Mutex<BTreeSet<String>>,
}

/// Why a turn is carried out by our own server.
enum Elsewhere {
    /// There are enough already, or it was told that the other one is lost.
    Known,
    /// Something that a person should know.
    Because(String),
    /// It is carried out nowhere for now: it may be at work where it was seen.
    Later(String),
}

impl From<CallError> for Elsewhere {
    fn from(error: CallError) -> Self {
        Self::Because(error.to_string())
    }
}

impl Visiting {
    /// Turns of a mission in the server behind a socket, and in our own whatever that cannot carry out. `tell` is told
    /// each reason for that once.
    ///
    /// # Errors
    /// Nobody answers behind the socket, or a version that cannot be driven.
    pub async fn begin(own: Arc<OpenCode>, visit: Visit, tell: Tell) -> Result<Self, String> {
        let pace: Pace = own.host.pace.clone();
        let api = Api::over(&visit.bridge, pace.call).map_err(|error| error.to_string())?;
        let health = api.health(pace.probe_deadline).await;
        let version = health.map_err(|error| error.to_string())?.version;
        if !version.starts_with("1.") {
            return Err(format!("OpenCode {version} cannot be driven, only 1.x"));
        }
        let api = Arc::new(api);
        let family = Family::of(Arc::clone(&api), visit.at.session.clone());
        if let Some(left) = &visit.left {
            let found = family.find(&visit.at, left).await;
            found.map_err(|error| error.to_string())?;
        }
        let lost = {
            let tell = Arc::clone(&tell);
            Box::new(move |why: &str| {
                tell(format!(
                    "the OpenCode in which agents were seen is lost ({why}); they go on in the engine's own server"
                ));
            })
        };
        let visited = Visited {
            api: Arc::clone(&api),
            version,
            bridge: visit.bridge,
            pace: pace.clone(),
            family: family.clone(),
            lost,
        };
        let server = Server::visit(visited, &own.host.server);
        let hub = Hub::default();
        let follower = tokio::spawn(hub.clone().follow(server.watch(), pace.clone()));
        let host = Arc::new(Host {
            server,
            hub,
            config: own.host.config.clone(),
            wishes: own.host.wishes.clone(),
            last_used: own.host.last_used.clone(),
            pace,
            family: Some(family),
        });
        Ok(Self {
            own,
            host,
            api,
            follower,
            places: Arc::new(Semaphore::new(AT_ONCE)),
            again: visit.left.is_some(),
            tell,
            told: Mutex::default(),
        })
    }

    /// A place for a turn where it is seen.
    async fn place(&self, order: &Order) -> Result<OwnedSemaphorePermit, Elsewhere> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| Elsewhere::Known)?;
        // Nothing keeps that server from obeying what stands there, so it must not see it.
        let obeyed = |name: &&&str| order.directory.join(name).symlink_metadata().is_ok();
        if let Some(name) = OBEYED.iter().find(obeyed) {
            let why = format!("OpenCode's own server would obey the {name} of the project");
            return Err(Elsewhere::Because(why));
        }
        self.has_agent(order).await?;
        let family = self.host.family.as_ref();
        if let Some(family) = family
            && !self
                .api
                .has_session(&order.directory, &family.parent)
                .await?
        {
            let why = "the conversation in which the mission was asked for is gone".to_owned();
            return Err(Elsewhere::Because(why));
        }
        let model = order.model.as_deref();
        let known = self.host.model(&order.directory, order.role, model).await;
        known.map_err(|error| Elsewhere::Because(error.to_string()))?;
        Ok(place)
    }

    /// Whether an earlier engine left the turn at work there. Where that cannot be found out, nobody else may carry it
    /// out: two would write into one workspace.
    async fn is_left_at_work(&self, order: &Order) -> Result<bool, Elsewhere> {
        if !self.again {
            return Ok(false);
        }
        let asked = tokio::time::timeout(READY, session::is_at_work(&self.api, order)).await;
        let why = match asked {
            Ok(Ok(at_work)) => return Ok(at_work),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "OpenCode's server is not ready in time".to_owned(),
        };
        // When it is lost meanwhile, what goes on in it is stopped.
        match self.host.server.is_at(&self.api) {
            true => Err(Elsewhere::Later(why)),
            false => Err(Elsewhere::Known),
        }
    }

    /// Makes sure that the server knows the agent of a turn as it is meant: to a prompt that names another one it says
    /// yes as well.
    async fn has_agent(&self, order: &Order) -> Result<(), Elsewhere> {
        let (name, directory) = (roles::agent_name(order.role), &order.directory);
        let told = roles::with_wish(order.role, self.host.wishes.get(&name));
        let told = Some(told.trim());
        for first in [true, false] {
            let agents = self.api.agents(directory).await?;
            let is_it = |agent: &wire::Agent| {
                agent.name == name && agent.prompt.as_deref().map(str::trim) == told
            };
            if agents.iter().any(is_it) {
                return Ok(());
            }
            // What it has read of the workspace it may have read while nobody told it of us.
            if first {
                self.api.forget(directory).await?;
            }
        }
        let why = format!("OpenCode's server does not know the agent {name} in a workspace");
        Err(Elsewhere::Because(why))
    }

    /// Where the turn is carried out if it is seen; no place is taken by one that an earlier engine left at work there.
    async fn find(&self, order: &Order) -> Result<Option<OwnedSemaphorePermit>, Elsewhere> {
        if !self.host.server.is_at(&self.api) {
            return Err(Elsewhere::Known);
        }
        if self.is_left_at_work(order).await? {
            return Ok(Arc::clone(&self.places).try_acquire_owned().ok());
        }
        let late = || Elsewhere::Because("OpenCode's server is not ready in time".to_owned());
        let found = tokio::time::timeout(READY, self.place(order)).await;
        found.unwrap_or_else(|_| Err(late())).map(Some)
    }

    /// Where the turn is carried out: with a place if it is seen. A person is told why it is not.
    async fn choose(&self, order: &Order) -> Result<Option<OwnedSemaphorePermit>, Elsewhere> {
        let found = self.find(order).await;
        if let Err(Elsewhere::Because(why)) = &found {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            if self.host.server.is_at(&self.api) && told.insert(why.clone()) {
                (self.tell)(format!(
                    "an agent runs in the engine's own server, where it is not seen: {why}"
                ));
            }
        }
        found
    }

    /// Has the user's OpenCode forget the workspaces, which it would keep in mind for as long as it lives. It is asked no
    /// longer than our own server would be waited for.
    async fn let_go(&self) {
        let members = self.host.family.as_ref().map(Family::members);
        let directories: BTreeSet<PathBuf> = members.unwrap_or_default().into_values().collect();
        let all = async {
            for directory in directories {
                if !self.host.server.is_at(&self.api) {
                    return;
                }
                if let Err(error) = self.api.forget(&directory).await {
                    tracing::debug!(%error, "a visited OpenCode server keeps a workspace");
                }
            }
        };
        if tokio::time::timeout(self.host.pace.grace, all)
            .await
            .is_err()
        {
            tracing::debug!("a visited OpenCode server does not forget workspaces in time");
        }
    }
}

impl Agent for Visiting {
    fn name(&self) -> String {
        self.own.name()
    }

    fn run(
        &self,
        order: Order,
        watcher: Arc<dyn Watcher>,
        stop: CancellationToken,
    ) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let chosen = tokio::select! {
                chosen = self.choose(&order) => chosen,
                () = stop.cancelled() => return,
            };
            match chosen {
                Ok(_place) => turn::run(Arc::clone(&self.host), order, watcher, stop).await,
                Err(Elsewhere::Later(why)) => watcher.reply(Outcome::Failed {
                    failure: Failure::Machine,
                    why,
                    usage: Usage::NOTHING,
                }),
                Err(_) => self.own.run(order, watcher, stop).await,
            }
        })
    }

    fn keeps_sessions(&self) -> bool {
        true
    }

    /// What is seen belongs to the conversation below which it is seen; the rest is our own server's.
    fn close_sessions(&self, closing: Closing) -> BoxFuture<'_, Result<u32, String>> {
        self.own.close_sessions(closing)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            // Side by side: whoever ends has one server's time for both.
            tokio::join!(self.let_go(), self.own.close());
            self.host.server.close().await;
            self.follower.abort();
        })
    }
}

impl Drop for Visiting {
    fn drop(&mut self) {
        self.follower.abort();
    }
}
