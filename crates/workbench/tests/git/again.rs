//! A workspace that is handed out again for the same tree.

use crate::fixture::{World, contents, write_in};
use mission::time::Timestamp;
use std::os::unix::fs::symlink;

#[test]
fn where_nobody_was_expected_to_change_anything_what_was_changed_all_the_same_is_mended() {
    let world = World::with(&[("a", "a\n"), ("dir/b", "b\n"), (".gitignore", "*.o\n")]);
    let (mission, base, workspace) = world.workspace();
    let root = workspace.path();
    let clean = contents(root);
    let outside = world.home.join("outside");
    write_in(&outside, "b", "precious\n");
    let damages: [&dyn Fn(); 5] = [
        &|| {},
        &|| write_in(root, "a", "another\n"),
        &|| {
            write_in(root, "junk/deep", "x");
            write_in(root, "dir/b.o", "x");
        },
        &|| std::fs::remove_file(root.join("a")).unwrap(),
        &|| {
            std::fs::remove_dir_all(root.join("dir")).unwrap();
            symlink(&outside, root.join("dir")).unwrap();
        },
    ];
    for (n, damage) in damages.iter().enumerate() {
        damage();
        // Another commit of the same tree, as a landing makes of an attempt.
        let when = Timestamp(1_000 * (n as u64 + 1));
        let commit = mission
            .commit_attempt(&base.commit, &base.tree, "the same\n", when)
            .unwrap();
        let again = mission.workspace_again(root, &commit, &[]).unwrap();
        assert_eq!(contents(again.path()), clean, "damage {n}");
        assert_eq!(again.commit(), &commit);
        let head = world.git_in(root, &["rev-parse", "HEAD"]);
        assert_eq!(head.trim(), commit.as_str());
        assert_eq!(std::fs::read(outside.join("b")).unwrap(), b"precious\n");
    }
}

#[test]
fn who_works_on_from_what_was_collected_has_just_that_whatever_happened_since() {
    let world = World::with(&[("a", "a\n"), ("b", "b\n"), (".gitignore", "*.o\n")]);
    let (mission, base, workspace) = world.workspace();
    let root = workspace.path();
    let outside = world.home.join("outside");
    let since: [&dyn Fn(); 6] = [
        &|| {},
        &|| write_in(root, "new", "later\n"),
        &|| write_in(root, "junk.o", "x"),
        &|| std::fs::remove_file(root.join("b")).unwrap(),
        &|| std::fs::remove_file(root.join(".git")).unwrap(),
        &|| {
            mission.workspace(root, &base.commit, &[]).unwrap();
        },
    ];
    for (n, act) in since.iter().enumerate() {
        let workspace = mission.workspace(root, &base.commit, &[]).unwrap();
        write_in(root, "new", "new\n");
        write_in(root, "a", format!("a{n}\n"));
        let wanted = contents(root);
        let work = mission.collect(&workspace, &base.commit).unwrap();
        act();
        let when = Timestamp(1_000);
        let commit = mission
            .commit_attempt(&base.commit, &work.tree, "work\n", when)
            .unwrap();
        let next = mission.workspace(root, &commit, &[]).unwrap();
        assert_eq!(contents(root), wanted, "{n}");
        let more = mission.collect(&next, &commit).unwrap();
        assert_eq!(more.touched, [], "{n}");
    }
    // A file that is somebody else's too must not be what the next one writes to.
    let workspace = mission.workspace(root, &base.commit, &[]).unwrap();
    write_in(&outside, "new", "precious\n");
    std::fs::hard_link(outside.join("new"), root.join("new")).unwrap();
    let work = mission.collect(&workspace, &base.commit).unwrap();
    let when = Timestamp(1_000);
    let commit = mission
        .commit_attempt(&base.commit, &work.tree, "work\n", when)
        .unwrap();
    mission.workspace(root, &commit, &[]).unwrap();
    write_in(root, "new", "changed\n");
    assert_eq!(std::fs::read(outside.join("new")).unwrap(), b"precious\n");
}
