//! A result arrives in the user's files, and leaves again.

use crate::fixture::{WHEN, World, contents, path, write_in};
use mission::ids::CommitId;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use workbench::delivery::{Branch, DeliveryPlan, Error, Obstacle, Planned, Refusal};
use workbench::repository::MissionRepository;
use workbench::snapshot::{Base, Head};

/// A mission whose result is what the closure does to a workspace.
pub(crate) fn result(
    world: &World,
    work: impl FnOnce(&Path),
) -> (MissionRepository, Base, CommitId) {
    let (mission, base, workspace) = world.workspace();
    work(workspace.path());
    let work = mission.collect(&workspace, &base.commit).unwrap();
    let commit = mission
        .commit_attempt(&base.commit, &work.tree, "result\n", WHEN)
        .unwrap();
    (mission, base, commit)
}

pub(crate) fn ready(
    world: &World,
    mission: &MissionRepository,
    base: &Base,
    commit: &CommitId,
) -> DeliveryPlan {
    match mission
        .plan_delivery(&world.project(), base, commit, WHEN)
        .unwrap()
    {
        Planned::Ready(plan) => plan,
        Planned::Refused(why) => panic!("{why:?}"),
    }
}

fn refused(world: &World, mission: &MissionRepository, base: &Base, commit: &CommitId) -> Refusal {
    match mission
        .plan_delivery(&world.project(), base, commit, WHEN)
        .unwrap()
    {
        Planned::Ready(plan) => panic!("{plan:?}"),
        Planned::Refused(why) => why,
    }
}

fn many_changes() -> World {
    let world = World::with(&[
        ("edit", "old\n"),
        ("gone/deep/file", "x\n"),
        ("folder/a", "a\n"),
        ("folder/b", "b\n"),
        ("name", "was a file\n"),
        ("stays", "same\n"),
        ("tool", "#!/bin/sh\n"),
    ]);
    std::fs::set_permissions(
        world.root.join("edit"),
        std::fs::Permissions::from_mode(0o640),
    )
    .unwrap();
    world
}

fn change_much(root: &Path) {
    write_in(root, "edit", "new\n");
    std::fs::remove_dir_all(root.join("gone")).unwrap();
    std::fs::remove_dir_all(root.join("folder")).unwrap();
    write_in(root, "folder", "now a file\n");
    std::fs::remove_file(root.join("name")).unwrap();
    write_in(root, "name/inner", "now a folder\n");
    write_in(root, "new/deep/file", "n\n");
    symlink("edit", root.join("link")).unwrap();
    std::fs::set_permissions(root.join("tool"), std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_delivery_is_written_and_undone_byte_for_byte() {
    let world = many_changes();
    world.write("stays", "the user's own uncommitted edit\n");
    let before = contents(&world.root);
    let (mission, base, commit) = result(&world, change_much);
    assert_eq!(
        contents(&world.root),
        before,
        "a mission before its delivery changes nothing"
    );

    let plan = ready(&world, &mission, &base, &commit);
    let kept = world.state.join("kept");
    let text = serde_json::to_string(&plan).unwrap();
    let plan: DeliveryPlan = serde_json::from_str(&text).unwrap();
    mission.keep_old(&world.project(), &plan, &kept).unwrap();
    assert_eq!(
        contents(&world.root),
        before,
        "keeping the old bytes changes nothing"
    );
    mission.apply(&world.project(), &plan).unwrap();

    let after = contents(&world.root);
    assert_eq!(world.read("edit"), "new\n");
    assert_eq!(world.read("folder"), "now a file\n");
    assert_eq!(world.read("name/inner"), "now a folder\n");
    assert_eq!(world.read("stays"), "the user's own uncommitted edit\n");
    assert!(!world.root.join("gone").exists(), "an emptied folder goes");
    assert_eq!(
        std::fs::read_link(world.root.join("link")).unwrap(),
        Path::new("edit")
    );
    let mode = |name: &str| {
        std::fs::metadata(world.root.join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!((mode("edit"), mode("tool") & 0o111), (0o640, 0o111));
    for (name, bytes) in &before {
        if name.starts_with(".git") {
            assert_eq!(after.get(name), Some(bytes), "{name:?} is the user's");
        }
    }
    mission.apply(&world.project(), &plan).unwrap();
    assert_eq!(contents(&world.root), after, "again is the same as once");

    let undone = mission.undo(&world.project(), &plan, &kept).unwrap();
    assert_eq!(undone.kept, []);
    assert_eq!(contents(&world.root), before);
}

#[test]
fn a_crash_after_any_file_is_finished_or_undone() {
    let world = many_changes();
    let before = contents(&world.root);
    let (mission, base, commit) = result(&world, change_much);
    let project = world.project();
    let plan = ready(&world, &mission, &base, &commit);
    let kept = world.state.join("kept");
    mission.keep_old(&project, &plan, &kept).unwrap();
    mission.apply(&project, &plan).unwrap();
    let after = contents(&world.root);
    mission.undo(&project, &plan, &kept).unwrap();

    // The order of writing: what goes, the last first; then what comes.
    let absent = |n: &usize| plan.files[*n].new == workbench::delivery::State::Absent;
    let (mut order, comes): (Vec<usize>, Vec<usize>) = (0..plan.files.len()).partition(absent);
    order.reverse();
    order.extend(comes);
    for done in 0..=order.len() {
        for finish in [true, false] {
            let mut half = plan.clone();
            let mut n = 0;
            half.files.retain(|_| {
                n += 1;
                order[..done].contains(&(n - 1))
            });
            mission.apply(&project, &half).unwrap();
            mission.keep_old(&project, &plan, &kept).unwrap();
            if finish {
                mission.apply(&project, &plan).unwrap();
                assert_eq!(contents(&world.root), after, "finished after {done}");
            }
            assert_eq!(mission.undo(&project, &plan, &kept).unwrap().kept, []);
            assert_eq!(contents(&world.root), before, "undone after {done}");
        }
    }
}

#[test]
fn an_edit_of_the_user_is_never_overwritten() {
    let world = World::with(&[("a", "a\n"), ("b", "b\n"), ("c", "c\n")]);
    let (mission, base, commit) = result(&world, |root| {
        for name in ["a", "b", "c", "d"] {
            write_in(root, name, "result\n");
        }
    });
    let (project, kept) = (world.project(), world.state.join("kept"));
    let plan = ready(&world, &mission, &base, &commit);
    mission.keep_old(&project, &plan, &kept).unwrap();
    world.write("b", "edited meanwhile\n");
    world.write("d", "made meanwhile\n");
    let error = mission.apply(&project, &plan).unwrap_err();
    assert!(
        matches!(&error, Error::Edited { path: p } if *p == path("b")),
        "{error}"
    );
    assert_eq!(
        (world.read("b").as_str(), world.read("d").as_str()),
        ("edited meanwhile\n", "made meanwhile\n")
    );
    let undone = mission.undo(&project, &plan, &kept).unwrap();
    assert_eq!(undone.kept, [path("b"), path("d")]);
    assert_eq!(
        (world.read("a").as_str(), world.read("c").as_str()),
        ("a\n", "c\n")
    );

    // A new plan merges what can be merged, and refuses what cannot.
    let Refusal::Conflicts { paths } = refused(&world, &mission, &base, &commit) else {
        panic!()
    };
    let paths: Vec<String> = paths
        .iter()
        .map(|conflict| conflict.path.to_string())
        .collect();
    assert_eq!(paths, ["b", "d"]);
    assert_eq!(world.read("b"), "edited meanwhile\n");
}

#[test]
fn the_user_may_go_on_working_and_committing_elsewhere() {
    let world = World::with(&[("a", "1\n2\n3\n4\n5\n"), ("b", "b\n")]);
    let (mission, base, commit) = result(&world, |root| write_in(root, "a", "1\n2\n3\n4\nFIVE\n"));
    world.write("a", "ONE\n2\n3\n4\n5\n");
    world.commit("the user's");
    world.write("b", "uncommitted\n");
    let plan = ready(&world, &mission, &base, &commit);
    assert_eq!(plan.files.len(), 1);
    mission.apply(&world.project(), &plan).unwrap();
    assert_eq!(
        (world.read("a").as_str(), world.read("b").as_str()),
        ("ONE\n2\n3\n4\nFIVE\n", "uncommitted\n")
    );
}

#[test]
fn another_branch_or_an_ignored_file_in_the_way_refuses_before_anything_is_written() {
    let world = World::with(&[("a", "a\n"), (".gitignore", "secret\n")]);
    let (mission, base, commit) = result(&world, |root| {
        write_in(root, ".gitignore", "");
        write_in(root, "plain/file", "x\n");
    });
    world.write(".git/info/exclude", "plain\n");
    world.write("plain", "an ignored file of the user's\n");
    // The rules of the mission are those of its beginning, so the file is in the way as an untracked one.
    let before = contents(&world.root);
    match refused(&world, &mission, &base, &commit) {
        Refusal::Conflicts { .. } => {}
        Refusal::Blocked { paths } => assert_eq!(paths[0].obstacle, Obstacle::Occupied),
        other => panic!("{other:?}"),
    }
    world.git(&["checkout", "-q", "-b", "other"]);
    let expected = Refusal::BranchChanged {
        was: Head::Branch("refs/heads/main".to_owned()),
        now: Head::Branch("refs/heads/other".to_owned()),
    };
    assert_eq!(refused(&world, &mission, &base, &commit), expected);
    world.git(&["checkout", "-q", "main"]);
    world.git(&["branch", "-D", "-q", "other"]);
    assert_eq!(
        contents(&world.root).get(Path::new("plain")),
        before.get(Path::new("plain"))
    );
}

#[test]
fn an_ignored_file_is_never_replaced() {
    let world = World::with(&[("a", "a\n"), (".gitignore", "local.env\n")]);
    let (mission, base) = world.base();
    // A tree that could not come from a workspace, whose ignored files stay out.
    let other = World::with(&[("a", "a\n"), (".gitignore", "local.env\n"), ("z", "z\n")]);
    other.write("local.env", "theirs\n");
    other.git(&["add", "-f", "local.env"]);
    let tree = other.git(&["write-tree"]);
    std::fs::write(mission.dir().join("repo.git/objects/info/alternates"), {
        let mut both =
            std::fs::read(mission.dir().join("repo.git/objects/info/alternates")).unwrap();
        both.extend_from_slice(
            format!("{}\n", other.root.join(".git/objects").display()).as_bytes(),
        );
        both
    })
    .unwrap();
    let commit = mission
        .commit_attempt(&base.commit, &tree.parse().unwrap(), "x", WHEN)
        .unwrap();
    world.write("local.env", "PASSWORD=1\n");
    let Refusal::Blocked { paths } = refused(&world, &mission, &base, &commit) else {
        panic!()
    };
    assert_eq!(
        (paths.len(), &paths[0].path, &paths[0].obstacle),
        (1, &path("local.env"), &Obstacle::Occupied)
    );
}

#[test]
fn a_link_slipped_in_between_cannot_lead_a_delivery_out_of_the_project() {
    let world = World::with(&[("dir/a", "a\n"), ("dir/b", "b\n")]);
    let (mission, base, commit) = result(&world, |root| {
        write_in(root, "dir/a", "result\n");
        write_in(root, "dir/new", "result\n");
    });
    let plan = ready(&world, &mission, &base, &commit);
    let outside = world.home.join("outside");
    std::fs::rename(world.root.join("dir"), &outside).unwrap();
    symlink(&outside, world.root.join("dir")).unwrap();
    let before = contents(&outside);
    mission.apply(&world.project(), &plan).unwrap_err();
    mission
        .undo(&world.project(), &plan, &world.state.join("kept"))
        .unwrap();
    assert_eq!(contents(&outside), before);
}

#[test]
fn files_arrive_with_the_line_ends_that_the_user_checks_out() {
    let world = World::empty();
    world.git(&["config", "core.autocrlf", "true"]);
    world.write("a.txt", "one\r\ntwo\r\n");
    world.write("b.txt", "b\r\n");
    world.commit("crlf");
    let (mission, base, commit) = result(&world, |root| {
        assert_eq!(
            std::fs::read(root.join("a.txt")).unwrap(),
            b"one\ntwo\n",
            "agents see what is stored"
        );
        write_in(root, "a.txt", "one\nTWO\n");
        write_in(root, "new.txt", "n\n");
    });
    assert_eq!(base.dirty, []);
    let plan = ready(&world, &mission, &base, &commit);
    mission.apply(&world.project(), &plan).unwrap();
    assert_eq!(
        (world.read("a.txt").as_str(), world.read("new.txt").as_str()),
        ("one\r\nTWO\r\n", "n\r\n")
    );
    assert_eq!(world.read("b.txt"), "b\r\n");
    assert_eq!(
        world.git(&["status", "--porcelain"]),
        " M a.txt\n?? new.txt"
    );
}

#[test]
fn a_new_branch_carries_the_result_and_an_existing_one_is_never_moved() {
    let world = World::with(&[("a", "a\n")]);
    let (mission, _, commit) = result(&world, |root| write_in(root, "a", "result\n"));
    let project = world.project();
    assert_eq!(
        mission
            .deliver_branch(&project, "m7/result", &commit)
            .unwrap(),
        Branch::Made
    );
    assert_eq!(
        mission
            .deliver_branch(&project, "m7/result", &commit)
            .unwrap(),
        Branch::AlreadyThere
    );
    assert_eq!(world.git(&["show", "m7/result:a"]), "result");
    assert_eq!(world.git(&["status", "--porcelain"]), "");
    let error = mission
        .deliver_branch(&project, "main", &commit)
        .unwrap_err();
    assert!(matches!(error, Error::BranchTaken { .. }), "{error}");
    for bad in ["--upload-pack=x", "-f", "refs/heads/../x", "a..b"] {
        assert!(
            matches!(
                mission.deliver_branch(&project, bad, &commit),
                Err(Error::Name(_))
            ),
            "{bad}"
        );
    }
    std::fs::remove_dir_all(&world.state).unwrap();
    world.git(&["fsck", "--strict"]);
}

#[test]
fn a_result_is_committed_on_the_branch_only_where_that_is_a_fast_forward() {
    let world = World::with(&[("a", "a\n"), ("gone", "x\n")]);
    let (mission, base, commit) = result(&world, |root| {
        write_in(root, "a", "result\n");
        std::fs::remove_file(root.join("gone")).unwrap();
        write_in(root, "new", "n\n");
    });
    let (project, kept) = (world.project(), world.state.join("kept"));
    let plan = ready(&world, &mission, &base, &commit);
    mission.keep_old(&project, &plan, &kept).unwrap();
    std::fs::write(world.root.join(".git/index.lock"), "somebody").unwrap();
    let error = mission
        .deliver_commit(&project, &base, &plan, &commit, &kept)
        .unwrap_err();
    assert!(matches!(*error.why, Error::NotOnBranch { .. }), "{error}");
    std::fs::remove_file(world.root.join(".git/index.lock")).unwrap();
    assert_eq!(world.git(&["status", "--porcelain"]), "");

    mission
        .deliver_commit(&project, &base, &plan, &commit, &kept)
        .unwrap();
    assert_eq!(world.git(&["rev-parse", "main"]), commit.as_str());
    assert_eq!(world.git(&["status", "--porcelain"]), "");
    assert_eq!(world.read("a"), "result\n");
    mission
        .deliver_commit(&project, &base, &plan, &commit, &kept)
        .unwrap();
    world.commit_file("b");
    let on_top = world.git(&["rev-parse", "main"]);
    mission
        .deliver_commit(&project, &base, &plan, &commit, &kept)
        .unwrap();
    assert_eq!(world.git(&["rev-parse", "main"]), on_top);
    assert_eq!(world.git(&["status", "--porcelain"]), "");
    world.git(&["reset", "--quiet", "--hard", base.commit.as_str()]);
    world.commit_file("c");
    let error = mission
        .deliver_commit(&project, &base, &plan, &commit, &kept)
        .unwrap_err();
    assert!(matches!(*error.why, Error::NotOnBranch { .. }), "{error}");
    assert_eq!(world.git(&["status", "--porcelain"]), "");
}

#[test]
fn a_file_under_a_filter_is_not_written_and_the_branch_is_still_there_to_have() {
    let world = World::with(&[("a", "a\n"), ("b.x", "b\n")]);
    let (mission, base, commit) = result(&world, |root| {
        write_in(root, "a", "result\n");
        write_in(root, "b.x", "result\n");
    });
    let sign = world.home.join("RAN");
    world.git(&[
        "config",
        "filter.x.smudge",
        &format!("touch {}; cat", sign.display()),
    ]);
    world.write(".git/info/attributes", "*.x filter=x\n");
    world.write(".gitattributes", "*.x filter=x\n");
    let Refusal::Blocked { paths } = refused(&world, &mission, &base, &commit) else {
        panic!()
    };
    let obstacle = Obstacle::Filter {
        name: "x".to_owned(),
    };
    assert_eq!(
        (paths.len(), &paths[0].path, &paths[0].obstacle),
        (1, &path("b.x"), &obstacle)
    );
    assert_eq!(
        mission
            .deliver_branch(&world.project(), "result", &commit)
            .unwrap(),
        Branch::Made
    );
    assert!(!sign.exists());
    assert_eq!(world.read("a"), "a\n");
}

#[test]
fn a_delivered_branch_is_taken_back_unless_somebody_went_on_with_it() {
    let world = World::with(&[("a", "a\n")]);
    let (mission, _, commit) = result(&world, |root| write_in(root, "a", "result\n"));
    let project = world.project();
    mission.deliver_branch(&project, "result", &commit).unwrap();
    world.git(&["branch", "-f", "other", "result"]);
    // Without the branch that somebody is on, all that he has would look newly added.
    let on_it = |place: &Path| match mission.undo_branch(&project, "result", &commit) {
        Err(Error::BranchInUse { name, place: told }) => {
            assert_eq!(
                (name.as_str(), told.as_path()),
                ("refs/heads/result", place)
            );
        }
        other => panic!("{other:?}"),
    };
    world.git(&["checkout", "-q", "result"]);
    on_it(&world.root.canonicalize().unwrap());
    world.git(&["checkout", "-q", "main"]);
    let beside = world.state.join("a tree of his own");
    world.git(&["worktree", "add", "-q", beside.to_str().unwrap(), "result"]);
    on_it(&beside.canonicalize().unwrap());
    // Git still knows of one whose folder somebody has removed, and nobody is there.
    std::fs::remove_dir_all(&beside).unwrap();
    assert!(mission.undo_branch(&project, "result", &commit).unwrap());
    assert!(mission.undo_branch(&project, "result", &commit).unwrap());
    assert_eq!(world.git(&["branch", "--list", "result"]), "");
    world.git(&["branch", "result", "main"]);
    assert!(!mission.undo_branch(&project, "result", &commit).unwrap());
    assert_eq!(
        world.git(&["rev-parse", "result"]),
        world.git(&["rev-parse", "main"])
    );
}

#[test]
fn a_commit_cut_short_by_a_crash_is_finished() {
    let world = World::with(&[("a", "a\n"), ("b", "b\n")]);
    let (mission, base, commit) = result(&world, |root| {
        write_in(root, "a", "result\n");
        write_in(root, "b", "result\n");
    });
    let plan = ready(&world, &mission, &base, &commit);
    let kept = world.state.join("kept");
    mission.keep_old(&world.project(), &plan, &kept).unwrap();
    let mut half = plan.clone();
    half.files.truncate(1);
    mission.apply(&world.project(), &half).unwrap();
    world.write(
        ".git/index.lock",
        format!("opencode-orchestrator {commit}\n"),
    );
    mission
        .deliver_commit(&world.project(), &base, &plan, &commit, &kept)
        .unwrap();
    assert_eq!(
        (
            world.git(&["rev-parse", "main"]),
            world.git(&["status", "--porcelain"])
        ),
        (commit.to_string(), String::new())
    );
    // A plan is for its own project only.
    let other = World::with(&[("a", "a\n"), ("b", "b\n")]);
    assert!(matches!(
        mission.apply(&other.project(), &plan),
        Err(Error::OtherProject)
    ));
}

#[test]
fn a_delivery_of_many_files_is_written_and_undone() {
    let world = World::with(&[("kept", "k\n")]);
    for n in 0..300 {
        world.write(&format!("old/{n}"), format!("{n}\n"));
    }
    world.commit("many");
    let files = || {
        let all = contents(&world.root).into_iter();
        let differ: Vec<_> = all.filter(|(path, _)| !path.starts_with(".git")).collect();
        differ
    };
    let before = files();
    let (mission, base, commit) = result(&world, |root| {
        for n in 0..150 {
            write_in(root, &format!("old/{n}"), "changed\n");
            std::fs::remove_file(root.join(format!("old/{}", 150 + n))).unwrap();
            write_in(root, &format!("new/{n}/file"), "made\n");
        }
    });
    let (project, kept) = (world.project(), world.state.join("kept"));
    let plan = ready(&world, &mission, &base, &commit);
    mission.keep_old(&project, &plan, &kept).unwrap();
    mission.deliver_files(&project, &plan, &kept).unwrap();
    let after = files();
    assert_eq!(world.read("old/149"), "changed\n");
    assert_eq!(world.read("new/149/file"), "made\n");
    assert!(!world.root.join("old/150").exists());
    assert!(
        !after
            .iter()
            .any(|(path, _)| path.to_string_lossy().contains(".orchestrator-"))
    );
    mission.undo(&project, &plan, &kept).unwrap();
    assert!(files() == before, "all of it went back");
    // Somebody edits one of them while the delivery is under way: all the others go back.
    world.write("old/149", "edited\n");
    let broken = mission.deliver_files(&project, &plan, &kept).unwrap_err();
    assert!(broken.stuck.is_none(), "{broken}");
    assert_eq!(broken.kept, [path("old/149")]);
    world.write("old/149", "149\n");
    assert!(files() == before, "all of it went back");
}
