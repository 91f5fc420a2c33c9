//! What a process that was killed left half-done is finished by the next command, without an agent.

#![cfg(test)]

use engine::door::Wish;
use engine::store;
use mission::ids::MissionId;
use mission::input::Reply;
use mission::mission::Delivery;
use mission::terms::Deliver;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// One task that adds a file.
const SCRIPT: &str = r#"
[[turn]]
role = "commander"
[turn.end.answer]
kind = "small"
[[turn.end.answer.plan.tasks]]
id = "add"
title = "Add a file"
goal = "The file new.txt exists."
writes = ["new.txt"]
acceptance = ["test -f new.txt"]

[[turn]]
role = "worker"
steps = [{ write = { path = "new.txt", text = "new\n" } }]
[turn.end.answer]
status = "done"
summary = "It is there."

[[turn]]
role = "reviewer"
[turn.end.answer]
accept = true
"#;

struct World(tempfile::TempDir);

impl World {
    /// A mission that is completed and was not handed over.
    fn new() -> Self {
        let world = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(world.at("project")).unwrap();
        std::fs::write(world.at("project/old.txt"), "old\n").unwrap();
        std::fs::write(world.at("script.toml"), SCRIPT).unwrap();
        let agent = format!("scripted:{}", world.at("script.toml").display());
        let words = ["task", "Add a file", "--deliver", "none", "--agent", &agent];
        let ran = world.run(&words);
        assert!(ran.status.success(), "{ran:?}");
        world
    }

    fn at(&self, path: &str) -> std::path::PathBuf {
        self.0.path().join(path)
    }

    fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orchestrator"));
        command
            .args(words)
            .env("HOME", self.0.path())
            .env("ORCHESTRATOR_STATE_DIR", self.at("state"))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .current_dir(self.at("project"))
            .stdin(Stdio::null());
        command.output().unwrap()
    }

    /// Makes a wish durable and ends before anything is done because of it.
    fn wish_and_die(&self, wish: Wish) {
        let journal = journal::Sqlite::open(&self.at("state")).unwrap();
        let owned = store::take(&journal, MissionId(1), Path::new("/nowhere")).unwrap();
        let reply = store::once(&journal, owned, wish.input("a test"), None).unwrap();
        assert_eq!(reply, Reply::Done);
    }

    fn delivery(&self) -> Delivery {
        let journal = journal::Sqlite::open(&self.at("state")).unwrap();
        let (mission, _) = store::load(&journal, MissionId(1)).unwrap();
        mission.delivery().clone()
    }
}

#[test]
fn a_delivery_that_was_cut_short_is_finished_and_can_be_undone() {
    let world = World::new();
    let deliver = Wish::Deliver {
        form: Deliver::Worktree,
    };
    let done = Delivery::Done {
        form: Deliver::Worktree,
    };
    for command in ["resume", "deliver"] {
        world.wish_and_die(deliver.clone());
        let ran = world.run(&[command, "m1"]);
        assert!(ran.status.success(), "{command}: {ran:?}");
        assert_eq!(world.delivery(), done);
        assert!(world.at("project/new.txt").exists());
        world.wish_and_die(Wish::Undo);
        let ran = world.run(&["undo", "m1"]);
        assert!(ran.status.success(), "{ran:?}");
        assert_eq!(world.delivery(), Delivery::Undone);
        assert!(!world.at("project/new.txt").exists());
    }
    world.wish_and_die(deliver);
    let ran = world.run(&["undo", "m1"]);
    assert!(ran.status.success(), "{ran:?}");
    assert!(!world.at("project/new.txt").exists());
}
