//! A prepared mission on a folder without git, for tests of single performers.

use super::{Bench, prepare};
use crate::layout::Layout;
use crate::settings::Settings;
use agents::{Agent, Order, ShellRule, Watcher};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use mission::time::{Millis, Timestamp};
use mission::work::Base;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use workbench::git::UserEnvironment;
use workbench::guard::Guard;

/// Nobody: no test here asks an agent.
struct Nobody;

impl Agent for Nobody {
    fn name(&self) -> String {
        "nobody".into()
    }

    fn run(&self, _: Order, _: Arc<dyn Watcher>, _: CancellationToken) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }
}

pub(super) struct Sample {
    pub(super) bench: Bench,
    pub(super) base: Base,
    /// A folder that holds the project, the state and whatever a test puts beside them.
    pub(super) root: PathBuf,
    _dir: tempfile::TempDir,
}

/// What an engine works with that keeps all of it in one folder and asks nobody.
pub(crate) fn settings(root: &Path) -> Settings {
    Settings {
        layout: Layout::new(root.join("state")),
        agent: Arc::new(Nobody),
        guard: Guard::new("/nowhere"),
        environment: BTreeMap::new(),
        git: UserEnvironment {
            home: Some(root.join("home")),
            system: false,
            ..UserEnvironment::default()
        },
        shell: ShellRule::Deny,
        model: None,
        recipes: Vec::new(),
        silence: Millis(1_000),
        machine: None,
    }
}

/// A mission on a project with these files, its base pinned and its repository made.
pub(super) fn mission(files: &[(&str, &str)]) -> Sample {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let project = root.join("project");
    std::fs::create_dir_all(&project).unwrap();
    for (name, text) in files {
        let path = project.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let settings = settings(&root);
    let git = settings.git.clone();
    let place = settings.layout.mission("m1-test");
    let bench = Bench::at(settings, place.clone());
    let job = prepare::Job {
        project,
        name: "m1-test".into(),
        when: WHEN,
    };
    let (base, _) = job
        .pin(&place, &git, |_| Ok(()), &CancellationToken::new())
        .unwrap();
    Sample {
        bench,
        base,
        root,
        _dir: dir,
    }
}

pub(super) const WHEN: Timestamp = Timestamp(1_700_000_000_000);
