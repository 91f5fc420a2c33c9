//! What the user has configured, and where their HEAD stands, when a result arrives.

use crate::delivery::{ready, result};
use crate::fixture::{World, contents, write_in};
use std::os::unix::fs::PermissionsExt;
use workbench::delivery::{Branch, Error};
use workbench::snapshot::Head;

#[test]
fn a_detached_head_takes_files_and_a_branch_and_no_commit() {
    let world = World::with(&[("a", "a\n")]);
    world.git(&["checkout", "-q", "--detach"]);
    let (mission, base, commit) = result(&world, |root| write_in(root, "a", "result\n"));
    assert_eq!(base.head, Head::Detached);
    let (project, kept) = (world.project(), world.state.join("kept"));
    let plan = ready(&world, &mission, &base, &commit);
    mission.keep_old(&project, &plan, &kept).unwrap();
    let broken = mission
        .deliver_commit(&project, &base, &plan, &commit, &kept)
        .unwrap_err();
    assert!(matches!(*broken.why, Error::NotOnBranch { .. }), "{broken}");
    assert_eq!(world.read("a"), "a\n");
    mission.deliver_files(&project, &plan, &kept).unwrap();
    assert_eq!(world.git(&["status", "--porcelain"]), " M a");
    let made = mission.deliver_branch(&project, "result", &commit).unwrap();
    assert_eq!(made, Branch::Made);
    assert_eq!(world.git(&["show", "result:a"]), "result");
    mission.undo(&project, &plan, &kept).unwrap();
    assert_eq!(world.git(&["status", "--porcelain"]), "");
    assert_eq!(world.git(&["rev-parse", "HEAD"]), base.commit.as_str());
}

#[test]
fn a_branch_without_a_commit_takes_files_and_a_branch_beside_it() {
    let world = World::empty();
    world.write("a", "a\n");
    let (mission, base, commit) = result(&world, |root| {
        write_in(root, "a", "result\n");
        write_in(root, "new", "n\n");
    });
    assert_eq!(base.head, Head::Unborn("refs/heads/main".to_owned()));
    let (project, kept) = (world.project(), world.state.join("kept"));
    let plan = ready(&world, &mission, &base, &commit);
    mission.keep_old(&project, &plan, &kept).unwrap();
    let broken = mission
        .deliver_commit(&project, &base, &plan, &commit, &kept)
        .unwrap_err();
    assert!(matches!(*broken.why, Error::NotOnBranch { .. }), "{broken}");
    mission.deliver_files(&project, &plan, &kept).unwrap();
    assert_eq!(world.git(&["status", "--porcelain"]), "?? a\n?? new");
    let made = mission.deliver_branch(&project, "result", &commit).unwrap();
    assert_eq!(made, Branch::Made);
    assert_eq!(world.git(&["show", "result:new"]), "n");
    assert_eq!(world.git(&["branch", "--list", "main"]), "");
    mission.undo(&project, &plan, &kept).unwrap();
    assert_eq!(world.read("a"), "a\n");
    assert!(!world.root.join("new").exists());
    std::fs::remove_dir_all(&world.state).unwrap();
    world.git(&["fsck", "--strict"]);
}

#[test]
fn the_users_hooks_run_at_no_pin_branch_commit_or_undo() {
    let world = World::with(&[("a", "a\n")]);
    let sign = world.home.join("RAN");
    for hook in [
        "reference-transaction",
        "post-index-change",
        "post-checkout",
        "pre-commit",
        "post-commit",
        "post-rewrite",
        "update",
    ] {
        let path = format!(".git/hooks/{hook}");
        world.write(
            &path,
            format!("#!/bin/sh\necho {hook} >> {}\n", sign.display()),
        );
        let place = world.root.join(path);
        std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let (mission, base, commit) = result(&world, |root| write_in(root, "a", "result\n"));
    let (project, kept) = (world.project(), world.state.join("kept"));
    let user = project.repository().unwrap();
    user.pin("m7-x", &base.commit).unwrap();
    mission.deliver_branch(&project, "result", &commit).unwrap();
    assert!(mission.undo_branch(&project, "result", &commit).unwrap());
    let plan = ready(&world, &mission, &base, &commit);
    mission.keep_old(&project, &plan, &kept).unwrap();
    mission
        .deliver_commit(&project, &base, &plan, &commit, &kept)
        .unwrap();
    mission
        .undo_commit(&project, &base, &plan, &commit, &kept)
        .unwrap();
    user.unpin("m7-x").unwrap();
    let ran = std::fs::read_to_string(&sign).unwrap_or_default();
    assert_eq!(ran, "");
    // The hooks themselves are there and would run.
    world.git(&["branch", "theirs"]);
    assert!(sign.exists());
}

#[test]
fn files_that_the_users_own_excludes_file_names_are_no_part_of_anything() {
    let world = World::with(&[("a", "a\n")]);
    std::fs::write(world.home.join("my-ignores"), "*.mine\n").unwrap();
    let config = "[core]\n\texcludesFile = ~/my-ignores\n";
    std::fs::write(world.home.join(".gitconfig"), config).unwrap();
    world.write("secret.mine", "the user's\n");
    let before = contents(&world.root);
    let (mission, base, commit) = result(&world, |root| {
        assert!(!root.join("secret.mine").exists());
        write_in(root, "agent.mine", "not work\n");
        write_in(root, "b", "b\n");
    });
    assert_eq!(world.names(&mission, &base.tree), ["a"]);
    let plan = ready(&world, &mission, &base, &commit);
    let names: Vec<String> = plan
        .files
        .iter()
        .map(|file| file.path.to_string())
        .collect();
    assert_eq!(names, ["b"]);
    let (project, kept) = (world.project(), world.state.join("kept"));
    mission.keep_old(&project, &plan, &kept).unwrap();
    mission.deliver_files(&project, &plan, &kept).unwrap();
    mission.undo(&project, &plan, &kept).unwrap();
    assert!(contents(&world.root) == before);
}
