//! From a request to a mission that can be run: one way, for a terminal and for OpenCode.

use crate::args::{AgentArgs, Allowed, Form, LimitArgs};
use crate::config::{Config, Resolved};
use crate::error::{Error, Kind};
use crate::host::{self, Chosen, Ready, Store};
use crate::trust::{self, Found, Trust};
use engine::clock::Clock;
use engine::layout::{Layout, Place};
use engine::store::{self, Owned};
use mission::limits;
use mission::mission::Mission;
use mission::rules::{Action, Rule};
use mission::terms::Terms;
use std::path::{Path, PathBuf};

/// Who carries a mission out, and what they may use.
pub(crate) struct Means {
    pub(crate) project: PathBuf,
    pub(crate) chosen: Chosen,
    pub(crate) wanted: Resolved,
    /// What was decided about the project's own configuration for agents.
    trust: Trust,
    /// Where an approval is remembered.
    state: PathBuf,
    /// Where programs are looked for, if not where this one does.
    pub(crate) path: Option<String>,
}

impl Means {
    /// What was chosen for a project: now, or when its mission began.
    pub(crate) fn read(
        layout: &Layout,
        project: &Path,
        begun: Option<&Place>,
        config: &Config,
        args: &AgentArgs,
    ) -> Result<Self, Error> {
        let wanted = config.agent(args);
        let chosen = Chosen::read(&wanted, begun)?;
        let trust = trust::decide(layout.root(), project, args.trust.as_deref())?;
        Ok(Self {
            project: project.to_owned(),
            chosen,
            wanted,
            trust,
            state: layout.root().to_owned(),
            path: None,
        })
    }

    /// The project's own configuration for agents, where it is there and nobody approved it.
    pub(crate) fn unread(&self) -> Option<&Found> {
        let asked = matches!(self.chosen, Chosen::OpenCode);
        self.trust.unread().filter(|_| asked)
    }

    /// Whether the project's own configuration for agents is used.
    pub(crate) fn uses_project(&self) -> bool {
        self.trust.used.is_some()
    }

    /// Starts the agent's host, before any token is spent. An approval that was given for it is remembered from then on.
    pub(crate) async fn ready(&self) -> Result<Ready, Error> {
        let used = self.trust.used.as_ref();
        let ready = host::ready(
            &self.chosen,
            &self.project,
            &self.wanted,
            used,
            self.path.as_deref(),
        )
        .await?;
        self.trust.remember(&self.state)?;
        Ok(ready)
    }

    /// Opens a mission. `also` keeps what else has to be known of it after a crash, before its first event.
    pub(crate) fn open(
        &self,
        store: &Store,
        request: &str,
        terms: Terms,
        also: impl FnOnce(&Mission) -> std::io::Result<()>,
    ) -> Result<Owned, Error> {
        let keep = |mission: &Mission| {
            host::keep_agent(&self.chosen, &store.layout.mission(&mission.full_name()))?;
            also(mission)
        };
        let terms = self.with_the_rest_allowed(store, terms);
        let (now, door) = (Clock::new().now(), |id| store.door(id));
        let (journal, project) = (&*store.journal, self.project.as_path());
        Ok(store::open_new(
            journal, now, project, request, terms, door, keep,
        )?)
    }
}

impl Means {
    /// Where rules have each command asked for and all the others are allowed beforehand, that is a rule as well: the last.
    fn with_the_rest_allowed(&self, store: &Store, mut terms: Terms) -> Terms {
        let allowed = self.wanted.allow.contains(&Allowed::Shell)
            || engine::allowed::kinds(&store.layout, &self.project).contains(agents::SHELL);
        if allowed && !terms.rules.is_empty() {
            terms.rules.push(Rule {
                action: Action::Allow,
                kind: agents::SHELL.to_owned(),
                pattern: "*".to_owned(),
            });
        }
        terms
    }
}

/// A request as it is taken: not empty, not too long.
pub(crate) fn request(text: &str) -> Result<String, Error> {
    let text = text.trim().to_owned();
    if text.is_empty() {
        return Err(Error::new(Kind::Usage, "there is no request")
            .hint("say what you want: orchestrator task \"Add a health check\""));
    }
    if text.len() > limits::REQUEST_BYTES {
        let what = format!(
            "the request has {} bytes; at most {} are taken",
            text.len(),
            limits::REQUEST_BYTES
        );
        return Err(Error::new(Kind::Usage, what)
            .hint("put details into a file of the project and name it in the request"));
    }
    Ok(text)
}

/// What a mission may use: what was asked for, else what the user's file says.
pub(crate) fn terms(
    config: &Config,
    args: &LimitArgs,
    deliver: Option<Form>,
    approve: bool,
    attended: bool,
) -> Result<Terms, Error> {
    let limits = config.limits(args);
    if limits.tokens == 0 {
        return Err(
            Error::new(Kind::Usage, "a mission without tokens can do nothing")
                .hint("for example --tokens 500k"),
        );
    }
    if limits.cost == Some(0) || limits.task_tokens == Some(0) {
        return Err(
            Error::new(Kind::Usage, "a mission that may use nothing can do nothing")
                .hint("leave --cost and --task-tokens out, or say more, as in --cost 5"),
        );
    }
    Ok(Terms {
        workers: limits.workers,
        attempts: limits.attempts,
        review_rounds: limits.reviews,
        tokens: limits.tokens,
        micro_usd: limits.cost,
        task_tokens: limits.task_tokens,
        turns: limits.turns,
        ask_above: limits.ask_above,
        plan_ahead: limits.plan_ahead,
        attempt: limits.attempt_time,
        mission: limits.time,
        approve,
        attended,
        deliver: config.deliver(deliver).into(),
        fallbacks: config.fallbacks(args)?,
        rules: config.rules(),
        ..Terms::default()
    })
}

/// The folder to work on, absolute.
pub(crate) fn project(folder: &Path) -> Result<PathBuf, Error> {
    let found = folder
        .canonicalize()
        .map_err(|error| Error::io("find", folder, &error))?;
    if !found.is_dir() {
        let what = format!("{} is not a folder", found.display());
        return Err(Error::new(Kind::Project, what).hint("name the project's folder with -C"));
    }
    if found.to_str().is_none() {
        let what = format!(
            "the name of {} is not UTF-8, so it cannot stand in the journal",
            found.display()
        );
        return Err(Error::new(Kind::Project, what)
            .hint("rename the folder; files in it may be named as they like"));
    }
    if is_all_of_somebody(&found) && !found.join(".git").exists() {
        let what = format!(
            "{} is no project: it holds all that somebody has, keys and passwords included, and agents would get a copy",
            found.display()
        );
        return Err(Error::new(Kind::Project, what)
            .hint("go into the project's folder, or name it with -C")
            .hint("if it is the project all the same: git init, and keep secrets in .gitignore"));
    }
    Ok(found)
}

/// Whether a folder is the user's home, or has it somewhere below.
fn is_all_of_somebody(folder: &Path) -> bool {
    let home = crate::places::home().and_then(|home| home.canonicalize().ok());
    folder.parent().is_none() || home.is_some_and(|home| home.starts_with(folder))
}
