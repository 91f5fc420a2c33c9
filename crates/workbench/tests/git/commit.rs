//! A result becomes a commit on the user's branch, and is taken back.

use crate::delivery::{ready, result};
use crate::fixture::{World, contents, write_in};
use mission::ids::CommitId;
use std::path::PathBuf;
use workbench::delivery::{DeliveryPlan, Error};
use workbench::repository::{MissionRepository, Project};
use workbench::snapshot::Base;

/// A planned delivery as a commit.
struct Case {
    world: World,
    mission: MissionRepository,
    base: Base,
    commit: CommitId,
    plan: DeliveryPlan,
    kept: PathBuf,
    project: Project,
}

impl Case {
    fn new() -> Self {
        let world = World::with(&[("a", "a\n"), ("gone", "x\n"), ("other", "o\n")]);
        let (mission, base, commit) = result(&world, |root| {
            write_in(root, "a", "result\n");
            std::fs::remove_file(root.join("gone")).unwrap();
            write_in(root, "new", "n\n");
        });
        let (project, kept) = (world.project(), world.state.join("kept"));
        let plan = ready(&world, &mission, &base, &commit);
        mission.keep_old(&project, &plan, &kept).unwrap();
        Self {
            world,
            mission,
            base,
            commit,
            plan,
            kept,
            project,
        }
    }

    fn deliver(&self) -> Result<(), workbench::delivery::Broken> {
        let (base, plan, commit) = (&self.base, &self.plan, &self.commit);
        self.mission
            .deliver_commit(&self.project, base, plan, commit, &self.kept)
    }

    fn undo(&self) -> Result<(Vec<String>, Option<String>), Error> {
        let (base, plan, commit) = (&self.base, &self.plan, &self.commit);
        let undone = self
            .mission
            .undo_commit(&self.project, base, plan, commit, &self.kept)?;
        let kept = undone.0.kept.iter().map(ToString::to_string).collect();
        Ok((kept, undone.1))
    }

    fn status(&self) -> String {
        self.world.git(&["status", "--porcelain"])
    }

    fn main(&self) -> String {
        self.world.git(&["rev-parse", "main"])
    }

    /// The files of the user's, and nothing of git's.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let all = contents(&self.world.root).into_iter();
        all.filter(|(path, _)| !path.starts_with(".git")).collect()
    }

    fn has_no_lock(&self) -> bool {
        !self.world.root.join(".git/index.lock").exists()
    }
}

#[test]
fn a_commit_that_breaks_off_leaves_nothing_changed() {
    let case = Case::new();
    let before = case.files();
    let lock = case.world.root.join(".git/refs/heads/main.lock");
    std::fs::write(&lock, "").unwrap();
    let broken = case.deliver().unwrap_err();
    assert!(broken.stuck.is_none(), "{broken}");
    assert!(matches!(*broken.why, Error::Git(_)), "{broken}");
    std::fs::remove_file(&lock).unwrap();
    assert_eq!(case.files(), before);
    assert_eq!(
        (case.main(), case.status()),
        (case.base.commit.to_string(), String::new())
    );
    assert!(case.has_no_lock());
    case.deliver().unwrap();
    assert_eq!(case.main(), case.commit.as_str());
}

#[test]
fn a_commit_that_cannot_be_taken_back_at_once_keeps_its_lock_for_the_next_try() {
    let case = Case::new();
    let before = case.files();
    let lock = case.world.root.join(".git/refs/heads/main.lock");
    std::fs::write(&lock, "").unwrap();
    let hidden = case.world.state.join("hidden");
    std::fs::rename(&case.kept, &hidden).unwrap();
    let broken = case.deliver().unwrap_err();
    assert!(
        matches!(broken.stuck.as_deref(), Some(Error::Lost { .. })),
        "{broken}"
    );
    assert!(!case.has_no_lock(), "something of it is left");
    std::fs::rename(&hidden, &case.kept).unwrap();
    let broken = case.deliver().unwrap_err();
    assert!(broken.stuck.is_none(), "{broken}");
    assert_eq!(case.files(), before);
    assert!(case.has_no_lock());
}

#[test]
fn a_delivered_commit_is_taken_back_with_branch_index_and_files() {
    let case = Case::new();
    let before = case.files();
    case.deliver().unwrap();
    // The user has gone on with something else, and has staged it.
    case.world.write("other", "mine\n");
    case.world.git(&["add", "other"]);
    assert_eq!(case.undo().unwrap(), (Vec::new(), None));
    assert_eq!(case.main(), case.base.commit.as_str());
    assert_eq!(case.status(), "M  other");
    case.world.git(&["reset", "-q", "--hard"]);
    assert_eq!(case.files(), before);
    assert!(case.has_no_lock());
    // Again is the same as once, and it can be delivered again.
    assert_eq!(case.undo().unwrap(), (Vec::new(), None));
    assert_eq!(case.status(), "");
    case.deliver().unwrap();
    assert_eq!(
        (case.main(), case.status()),
        (case.commit.to_string(), String::new())
    );
}

#[test]
fn a_commit_stays_where_taking_it_back_would_cost_the_user_something() {
    let case = Case::new();
    case.deliver().unwrap();
    let delivered = case.files();
    case.world.write("a", "staged\n");
    case.world.git(&["add", "a"]);
    let error = case.undo().unwrap_err();
    assert!(matches!(error, Error::CommitStays { .. }), "{error}");
    assert_eq!(
        (case.main(), case.status()),
        (case.commit.to_string(), "M  a".into())
    );
    case.world.git(&["reset", "-q", "--hard"]);
    case.world.git(&["switch", "-q", "-c", "elsewhere"]);
    let error = case.undo().unwrap_err();
    assert!(error.to_string().contains("check out main"), "{error}");
    assert_eq!(case.files(), delivered);
    case.world.git(&["switch", "-q", "main"]);
    // On top of it stands a commit of the user's: the files go back, and the branch is named.
    let top = case.world.commit_file("mine");
    assert_eq!(case.undo().unwrap(), (Vec::new(), Some("main".to_owned())));
    assert_eq!(case.main(), top.as_str());
    assert_eq!(case.world.read("a"), "a\n");
    assert!(case.has_no_lock());
}

#[test]
fn a_commit_that_was_done_before_a_crash_is_left_as_the_user_has_it_now() {
    // The user goes to another branch, amends the commit, or goes back before it, and then the mission is resumed.
    for then in [
        &["switch", "-q", "-c", "mine"][..],
        &["commit", "-q", "--amend", "-m", "amended"],
        &["switch", "-q", "--detach"],
    ] {
        let case = Case::new();
        case.deliver().unwrap();
        case.world.git(then);
        let (before, main) = (case.files(), case.main());
        case.deliver().unwrap();
        assert_eq!(case.files(), before, "{then:?}");
        assert_eq!(
            (case.main(), case.status()),
            (main, String::new()),
            "{then:?}"
        );
        assert!(case.has_no_lock());
    }
}

#[test]
fn a_lock_of_a_killed_commit_is_found_although_its_branch_is_checked_out_no_more() {
    let case = Case::new();
    let before = case.files();
    let mut half = case.plan.clone();
    half.files.truncate(1);
    case.mission.apply(&case.project, &half).unwrap();
    case.world
        .git(&["symbolic-ref", "HEAD", "refs/heads/other"]);
    case.world.git(&["update-ref", "refs/heads/other", "main"]);
    let mark = format!("opencode-orchestrator {}\n", case.commit);
    case.world.write(".git/index.lock", mark);
    let broken = case.deliver().unwrap_err();
    assert!(matches!(*broken.why, Error::NotOnBranch { .. }), "{broken}");
    assert_eq!(case.files(), before, "what was written went back");
    assert!(case.has_no_lock());
}
