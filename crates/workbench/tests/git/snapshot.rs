//! What the user's folder holds becomes a base, and the folder stays as it was, byte for byte.

use crate::fixture::{WHEN, World, contents, path};
use crate::workspace::make_fifo;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;
use workbench::git::{Git, RepoPath};
use workbench::repository::{self, Content, MissionRepository, Project};
use workbench::snapshot::{Base, Error, Head, Reason};

fn dirty(base: &Base) -> Vec<String> {
    base.dirty.iter().map(ToString::to_string).collect()
}

fn left_out(base: &Base) -> Vec<(String, Reason)> {
    base.left_out
        .iter()
        .map(|left| (left.path.to_string(), left.why.clone()))
        .collect()
}

/// A snapshot that is asserted to leave the project as it was, and to be the same the second time.
fn snapshot(world: &World) -> (MissionRepository, Base) {
    let before = contents(&world.root);
    let (mission, base) = world.base();
    assert_eq!(
        mission.snapshot(&world.project(), WHEN).unwrap(),
        base,
        "the same files give the same base"
    );
    assert_eq!(
        contents(&world.root),
        before,
        "a snapshot changes nothing of the user's"
    );
    (mission, base)
}

#[test]
fn a_clean_project_is_its_own_commit() {
    let world = World::with(&[("a", "a\n"), ("dir/b", "b\n")]);
    let (_, base) = snapshot(&world);
    assert_eq!(base.commit.as_str(), world.git(&["rev-parse", "HEAD"]));
    assert_eq!(
        (
            base.head,
            dirty(&Base {
                dirty: base.dirty.clone(),
                ..world.base().1
            })
        ),
        (Head::Branch("refs/heads/main".to_owned()), vec![])
    );
    assert_eq!(
        (base.untracked, base.left_out, base.warnings),
        (0, vec![], vec![])
    );
}

#[test]
fn uncommitted_work_is_part_of_the_base() {
    let world = World::with(&[
        ("edit", "1\n"),
        ("gone", "g\n"),
        ("staged", "1\n"),
        ("same", "s\n"),
        (".gitignore", "*.log\n"),
    ]);
    std::fs::create_dir_all(world.home.join(".config/git")).unwrap();
    std::fs::write(world.home.join(".config/git/ignore"), "*.global\n").unwrap();
    world.write(".git/info/exclude", "*.mine\n");
    world.write_all(&[
        ("edit", "2\n"),
        ("staged", "2\n"),
        ("new/file", "n\n"),
        ("intended", "i\n"),
    ]);
    world.write_all(&[("x.log", ""), ("x.global", ""), ("x.mine", "")]);
    world.git(&["add", "staged"]);
    world.git(&["add", "-N", "intended"]);
    std::fs::remove_file(world.root.join("gone")).unwrap();
    symlink("/nowhere", world.root.join("link")).unwrap();
    let (mission, base) = snapshot(&world);
    assert_eq!(
        dirty(&base),
        ["edit", "gone", "intended", "link", "new/file", "staged"]
    );
    assert_eq!(base.untracked, 2);
    assert_eq!(world.text(&mission, &base.tree, "edit"), "2\n");
    assert_eq!(
        world.names(&mission, &base.tree),
        [
            ".gitignore",
            "edit",
            "intended",
            "link",
            "new/file",
            "same",
            "staged"
        ]
    );

    // What was only staged survives the user's pruning it.
    world.git(&["reset", "-q", "--hard"]);
    world.git(&["prune", "--expire=now"]);
    assert_eq!(world.text(&mission, &base.tree, "staged"), "2\n");
    mission
        .workspace(&world.lane(1), &base.commit, &[])
        .unwrap();
}

#[test]
fn the_pin_is_the_only_trace_and_goes_again() {
    let world = World::with(&[("a", "a\n")]);
    let before = contents(&world.root);
    let (_, base) = snapshot(&world);
    let project = world.project();
    let user = project.repository().unwrap();
    user.pin("m7-1f3a9c2b", base.head_commit.as_ref().unwrap())
        .unwrap();
    user.pin("m7-1f3a9c2b", base.head_commit.as_ref().unwrap())
        .unwrap();
    let traces: Vec<_> = contents(&world.root)
        .into_keys()
        .filter(|name| !before.contains_key(name))
        .collect();
    assert_eq!(
        traces,
        [
            Path::new(".git/refs/orchestrator"),
            Path::new(".git/refs/orchestrator/m7-1f3a9c2b")
        ]
    );
    assert_eq!(user.pinned("m7-1f3a9c2b").unwrap(), base.head_commit);
    std::fs::write(
        world.root.join(".git/refs/orchestrator/m7-1f3a9c2b.lock"),
        "",
    )
    .unwrap();
    user.unpin("m7-1f3a9c2b").unwrap();
    user.unpin("m7-1f3a9c2b").unwrap();
    assert_eq!(contents(&world.root), before);
    for bad in ["../heads/main", "", "-f", "a b"] {
        assert!(
            user.pin(bad, base.head_commit.as_ref().unwrap()).is_err(),
            "{bad}"
        );
    }
}

#[test]
fn the_places_where_a_head_can_stand() {
    let unborn = World::empty();
    unborn.write("a", "a\n");
    let (_, base) = snapshot(&unborn);
    assert_eq!(
        (&base.head, &base.head_commit),
        (&Head::Unborn("refs/heads/main".to_owned()), &None)
    );
    assert_eq!(dirty(&base), ["a"]);

    let world = World::with(&[("a", "a\n")]);
    world.commit_file("b");
    world.git(&["checkout", "-q", "--detach", "HEAD~1"]);
    let (_, base) = snapshot(&world);
    assert_eq!((base.head, base.warnings.len()), (Head::Detached, 1));

    let nothing = World::empty();
    let (mission, base) = snapshot(&nothing);
    assert_eq!(dirty(&base), Vec::<String>::new());
    mission
        .workspace(&nothing.lane(1), &base.commit, &[])
        .unwrap();
}

#[test]
fn a_folder_without_git_works_the_same_way() {
    let world = World::plain();
    world.write_all(&[
        ("a", "a\n"),
        ("src/b", "b\n"),
        ("node_modules/x", "x"),
        (".gitignore", "*.log\n"),
        ("c.log", ""),
    ]);
    let (mission, base, workspace) = world.workspace();
    assert_eq!(
        (base.head.clone(), dirty(&base)),
        (
            Head::None,
            vec![".gitignore".into(), "a".into(), "src/b".into()]
        )
    );
    std::fs::write(workspace.path().join("a"), "result\n").unwrap();
    let work = mission.collect(&workspace, &base.commit).unwrap();
    let commit = mission
        .commit_attempt(&base.commit, &work.tree, "x", WHEN)
        .unwrap();
    let planned = mission
        .plan_delivery(&world.project(), &base, &commit, WHEN)
        .unwrap();
    let workbench::delivery::Planned::Ready(plan) = planned else {
        panic!("{planned:?}")
    };
    mission.apply(&world.project(), &plan).unwrap();
    assert_eq!(world.read("a"), "result\n");
    assert!(
        mission
            .deliver_branch(&world.project(), "x", &commit)
            .is_err()
    );
}

#[test]
fn untracked_files_over_the_limits_are_named() {
    let world = World::with(&[("a", "a\n")]);
    world.write("one-over", vec![0; (1 << 20) + 1]);
    for n in 0..52 {
        world.write(&format!("many/{n:02}"), vec![n; 1 << 20]);
    }
    let (_, base) = snapshot(&world);
    let bytes = 1 << 20;
    assert_eq!(
        left_out(&base),
        [
            ("many/50".to_owned(), Reason::TooMuchInAll { bytes }),
            ("many/51".to_owned(), Reason::TooMuchInAll { bytes }),
            ("one-over".to_owned(), Reason::TooLarge { bytes: bytes + 1 }),
        ]
    );
    assert_eq!(base.untracked, 50);
}

#[test]
fn pipes_and_sockets_and_nested_repositories_are_named_and_never_hang() {
    let world = World::with(&[("a", "a\n"), ("tracked", "t\n"), ("dir/b", "b\n")]);
    std::fs::remove_file(world.root.join("tracked")).unwrap();
    make_fifo(&world.root.join("tracked"));
    make_fifo(&world.root.join("package.json"));
    let _socket = std::os::unix::net::UnixListener::bind(world.root.join("dir/socket")).unwrap();
    world.git(&["init", "-q", "inner"]);
    world.write("inner/file", "x\n");
    let (mission, base) = snapshot(&world);
    assert_eq!(
        left_out(&base),
        [
            ("dir/socket".to_owned(), Reason::Special),
            ("inner".to_owned(), Reason::NestedRepository),
            ("package.json".to_owned(), Reason::Special),
            ("tracked".to_owned(), Reason::Special),
        ]
    );
    assert_eq!(world.text(&mission, &base.tree, "tracked"), "t\n");
}

#[test]
fn filters_never_run_and_a_changed_filtered_file_stops_with_its_name() {
    let world = World::with(&[
        ("a", "a\n"),
        (".gitattributes", "*.x filter=x\n*.bin filter=lfs\n"),
    ]);
    let sign = world.home.join("RAN");
    let pointer = |digest: &str, size: usize| {
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {size}\n")
    };
    // As LFS does it: the file on disk has the content, git stores its pointer.
    let abc = pointer(
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        3,
    );
    world.git(&["config", "filter.lfs.clean", &format!("printf '{abc}'")]);
    world.write_all(&[("plain.x", "as stored\n"), ("big.bin", "abc")]);
    world.commit("with filters");
    let program = format!("touch '{}'; cat", sign.display());
    for key in [
        "filter.x.clean",
        "filter.x.smudge",
        "filter.lfs.clean",
        "core.fsmonitor",
    ] {
        world.git(&["config", key, &program]);
    }
    std::fs::remove_file(&sign).ok();
    let (mission, base) = snapshot(&world);
    assert_eq!(dirty(&base), Vec::<String>::new());
    assert_eq!(world.text(&mission, &base.tree, "big.bin"), abc);

    // Written again with the same content, changed, and new.
    world.write_all(&[("big.bin", "abc"), ("new.bin", "abc"), ("empty.bin", "")]);
    let (mission, base) = snapshot(&world);
    assert_eq!(dirty(&base), ["empty.bin", "new.bin"]);
    assert_eq!(world.text(&mission, &base.tree, "new.bin"), abc);
    world.write("big.bin", "");
    let (mission, base) = snapshot(&world);
    assert_eq!(
        world.text(&mission, &base.tree, "big.bin"),
        "",
        "LFS stores an empty file as it is"
    );

    world.write("plain.x", "changed\n");
    let error = mission.snapshot(&world.project(), WHEN).unwrap_err();
    assert!(
        matches!(&error, Error::Filter { path: p, filter } if *p == path("plain.x") && filter == "x"),
        "{error}"
    );
    assert!(!sign.exists(), "a program of the user's configuration ran");
}

#[test]
fn line_ends_modes_and_links_are_seen_as_the_user_sees_them() {
    let world = World::empty();
    world.git(&["config", "core.autocrlf", "true"]);
    world.git(&["config", "core.fileMode", "false"]);
    world.write("a.txt", "one\r\ntwo\r\n");
    world.commit("crlf");
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(
        world.root.join("a.txt"),
        std::fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    let (_, base) = snapshot(&world);
    assert_eq!(dirty(&base), Vec::<String>::new());
    world.write("a.txt", "one\r\nTWO\r\n");
    let (mission, base) = snapshot(&world);
    assert_eq!(dirty(&base), ["a.txt"]);
    assert_eq!(world.text(&mission, &base.tree, "a.txt"), "one\nTWO\n");
    assert_eq!(
        mission.list_files(&base.tree, 9).unwrap().0[0].mode,
        0o100_644
    );
}

#[test]
fn odd_names_and_odd_places_work() {
    let world = World::plain_named("-pro\nject \"q\" ;$(touch x)");
    world.git(&["init", "-q", "-b", "main"]);
    let odd = [
        "-f",
        "new\nline",
        "quo\"te",
        "back\\slash",
        ";$(touch x)",
        ":(top)magic",
        "tab\t",
        "ä",
        "*",
    ];
    for name in odd {
        world.write(name, "1\n");
    }
    let invalid = RepoPath::new(&b"caf\xe9"[..]).unwrap();
    std::fs::write(invalid.below(&world.root), "1\n").unwrap();
    world.commit("odd");
    for name in odd {
        world.write(name, "2\n");
    }
    std::fs::write(invalid.below(&world.root), "2\n").unwrap();
    let (mission, base) = snapshot(&world);
    assert_eq!(base.dirty.len(), odd.len() + 1);
    assert!(base.dirty.contains(&invalid));
    let text = serde_json::to_string(&base).unwrap();
    assert_eq!(serde_json::from_str::<Base>(&text).unwrap(), base);
    let workspace = mission
        .workspace(&world.lane(1), &base.commit, &[])
        .unwrap();
    for name in odd {
        assert_eq!(world.text(&mission, &base.tree, name), "2\n");
        std::fs::write(workspace.path().join(name), "3\n").unwrap();
    }
    std::fs::write(invalid.below(workspace.path()), "3\n").unwrap();
    let work = mission.collect(&workspace, &base.commit).unwrap();
    let commit = mission
        .commit_attempt(&base.commit, &work.tree, "x", WHEN)
        .unwrap();
    let planned = mission
        .plan_delivery(&world.project(), &base, &commit, WHEN)
        .unwrap();
    let workbench::delivery::Planned::Ready(plan) = planned else {
        panic!("{planned:?}")
    };
    let plan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
    mission.apply(&world.project(), &plan).unwrap();
    for name in odd {
        assert_eq!(world.read(name), "3\n");
    }
    assert_eq!(std::fs::read(invalid.below(&world.root)).unwrap(), b"3\n");
    assert!(!world.root.join("x").exists());
}

#[test]
fn a_sub_folder_and_a_linked_worktree_are_the_same_project() {
    let mut world = World::with(&[("a", "a\n"), ("sub/b", "b\n")]);
    let git = Git::find().unwrap();
    let project = Project::find(&git, &world.root.join("sub"), &world.environment()).unwrap();
    assert_eq!(
        (project.root(), project.start()),
        (world.root.as_path(), Path::new("sub"))
    );
    let linked = world.home.join("linked");
    world.git(&[
        "worktree",
        "add",
        "-q",
        "-b",
        "other",
        linked.to_str().unwrap(),
    ]);
    world.root = linked;
    world.write("a", "changed\n");
    let (mission, base, workspace) = world.workspace();
    assert_eq!(
        (base.head.clone(), dirty(&base)),
        (
            Head::Branch("refs/heads/other".to_owned()),
            vec!["a".to_owned()]
        )
    );
    assert_eq!(
        std::fs::read(workspace.path().join("a")).unwrap(),
        b"changed\n"
    );
    world
        .project()
        .repository()
        .unwrap()
        .pin("m1", base.head_commit.as_ref().unwrap())
        .unwrap();
    assert_eq!(
        world
            .git(&["for-each-ref", "refs/orchestrator"])
            .lines()
            .count(),
        1
    );
    assert_eq!(
        mission
            .workspace_at(workspace.path())
            .unwrap()
            .unwrap()
            .commit(),
        &base.commit
    );
}

#[test]
fn a_repository_of_sha256_works_from_base_to_branch() {
    let world = World::plain();
    world.git(&["init", "-q", "-b", "main", "--object-format=sha256"]);
    world.write_all(&[("a", "a\n"), ("gone", "g\n")]);
    world.commit("first");
    world.write("b", "b\n");
    std::fs::remove_file(world.root.join("gone")).unwrap();
    let (mission, base, workspace) = world.workspace();
    assert_eq!(
        (base.commit.as_str().len(), dirty(&base)),
        (64, vec!["b".to_owned(), "gone".to_owned()])
    );
    world.git_in(workspace.path(), &["log", "-1"]);
    std::fs::write(workspace.path().join("a"), "result\n").unwrap();
    let work = mission.collect(&workspace, &base.commit).unwrap();
    let commit = mission
        .commit_attempt(&base.commit, &work.tree, "x", WHEN)
        .unwrap();
    mission
        .deliver_branch(&world.project(), "result", &commit)
        .unwrap();
    assert_eq!(world.git(&["show", "result:a"]), "result");
}

#[test]
fn a_shallow_clone_and_a_sparse_checkout_and_a_submodule_are_as_they_are() {
    let origin = World::with(&[("a", "a\n"), ("in/b", "b\n"), ("out/c", "c\n")]);
    origin.commit_file("d");
    let mut world = World::plain();
    let clone = world.home.join("clone");
    let url = format!("file://{}", origin.root.display());
    world.git_in(
        &world.home,
        &["clone", "-q", "--depth=1", &url, clone.to_str().unwrap()],
    );
    world.root = clone;
    world.git(&[
        "submodule",
        "--quiet",
        "add",
        origin.root.to_str().unwrap(),
        "module",
    ]);
    world.commit("submodule");
    world.git(&["sparse-checkout", "set", "--cone", "--sparse-index", "in"]);
    assert!(!world.root.join("out/c").exists());
    world.write("in/b", "changed\n");
    let (mission, base) = snapshot(&world);
    assert_eq!(dirty(&base), ["in/b"]);
    let workspace = mission
        .workspace(&world.lane(1), &base.commit, &[])
        .unwrap();
    assert_eq!(
        world.git_in(workspace.path(), &["status", "--porcelain"]),
        ""
    );
    assert_eq!(
        world
            .git_in(workspace.path(), &["log", "--oneline"])
            .lines()
            .count(),
        3
    );
    assert!(
        workspace.path().join("out/c").exists(),
        "a workspace is whole"
    );
    std::fs::write(workspace.path().join("module/x"), "lost?").unwrap();
    std::fs::write(workspace.path().join("out/c"), "changed\n").unwrap();
    let work = mission.collect(&workspace, &base.commit).unwrap();
    let left: Vec<_> = work
        .left_out
        .iter()
        .map(|left| (left.path.to_string(), left.why.clone()))
        .collect();
    assert_eq!(left, [("module".to_owned(), Reason::Submodule)]);
    let commit = mission
        .commit_attempt(&base.commit, &work.tree, "x", WHEN)
        .unwrap();
    let planned = mission
        .plan_delivery(&world.project(), &base, &commit, WHEN)
        .unwrap();
    let workbench::delivery::Planned::Refused(workbench::delivery::Refusal::Blocked { paths }) =
        planned
    else {
        panic!("{planned:?}")
    };
    assert_eq!(
        (paths.len(), &paths[0].obstacle),
        (1, &workbench::delivery::Obstacle::NotCheckedOut)
    );
}

#[test]
fn what_cannot_be_a_base_is_refused_with_the_way_out() {
    let world = World::with(&[("a", "a\n")]);
    let git = Git::find().unwrap();
    let find = |dir: &Path| {
        Project::find(&git, dir, &world.environment())
            .map(|_| ())
            .unwrap_err()
    };
    let bare = world.home.join("bare.git");
    world.git_in(&world.home, &["init", "-q", "--bare", "bare.git"]);
    assert!(matches!(find(&bare), repository::Error::Bare(_)));
    assert!(matches!(
        find(&world.root.join(".git")),
        repository::Error::InsideGit(_)
    ));
    let broken = world.home.join("broken");
    std::fs::create_dir(&broken).unwrap();
    std::fs::write(broken.join(".git"), "gitdir: /nowhere\n").unwrap();
    assert!(
        matches!(find(&broken), repository::Error::Git(_)),
        "a damaged repository is not a folder without git"
    );

    world.git(&["checkout", "-q", "-b", "side"]);
    world.write("a", "side\n");
    world.commit("side");
    world.git(&["checkout", "-q", "main"]);
    world.write("a", "main\n");
    world.commit("main");
    let merge = world
        .command(&world.root, &["merge", "side"])
        .output()
        .unwrap();
    assert!(!merge.status.success());
    let mission = world.mission();
    let before = contents(&world.root);
    let error = mission.snapshot(&world.project(), WHEN).unwrap_err();
    assert!(error.to_string().contains("conflicts in a."), "{error}");
    assert_eq!(contents(&world.root), before);
    world.git(&["merge", "--abort"]);

    let other = World::with(&[("z", "z\n")]);
    let error = MissionRepository::create(&git, &world.state, &other.project()).unwrap_err();
    assert!(
        matches!(error, repository::Error::Foreign { .. }),
        "{error}"
    );
    world.git(&["config", "remote.origin.promisor", "true"]);
    let error = MissionRepository::create(&git, &world.state, &world.project()).unwrap_err();
    assert!(matches!(error, repository::Error::Partial(_)), "{error}");
}

#[test]
fn a_repository_half_made_by_a_crash_is_made_whole() {
    let world = World::with(&[("a", "a\n")]);
    std::fs::create_dir_all(world.state.join("repo.git.new/objects")).unwrap();
    let (mission, base) = world.base();
    std::fs::write(world.state.join("repo.git/packed-refs.lock"), "").unwrap();
    std::fs::create_dir_all(world.state.join("repo.git/refs/heads")).unwrap();
    std::fs::write(world.state.join("repo.git/refs/heads/landing.lock"), "").unwrap();
    drop(mission);
    let mission = MissionRepository::open(&Git::find().unwrap(), &world.state).unwrap();
    let name = "refs/heads/landing".parse().unwrap();
    assert_eq!(
        mission.land(&name, None, &base.commit).unwrap(),
        workbench::landing::Landed::Landed
    );
    let config = std::fs::read_to_string(world.state.join("repo.git/config")).unwrap();
    assert!(!config.contains("remote") && !world.state.join("repo.git/hooks").exists());
}

#[test]
fn a_mission_inside_its_own_project_does_not_see_itself() {
    let mut world = World::with(&[("a", "a\n")]);
    world.state = world.root.join("sta*te [1]/m7");
    let (mission, base, workspace) = world.workspace();
    assert_eq!(dirty(&base), Vec::<String>::new());
    assert_eq!(mission.snapshot(&world.project(), WHEN).unwrap(), base);
    assert_eq!(
        mission.collect(&workspace, &base.commit).unwrap().tree,
        base.tree
    );
}

#[test]
fn reviewers_and_maps_read_trees_within_limits() {
    let world = World::with(&[
        ("a", "1\n2\n3\n"),
        ("gone", "g\n"),
        ("folder/in", "in\n"),
        (".gitattributes", "* diff=x\n"),
    ]);
    let sign = world.home.join("RAN");
    world.git(&[
        "config",
        "diff.x.textconv",
        &format!("touch {}; cat", sign.display()),
    ]);
    let (mission, base, workspace) = world.workspace();
    let root = workspace.path();
    std::fs::write(root.join("a"), "1\nTWO\n3\n4\n").unwrap();
    std::fs::write(root.join("binary"), b"\0\x01").unwrap();
    std::fs::remove_file(root.join("gone")).unwrap();
    symlink("a", root.join("link")).unwrap();
    let work = mission.collect(&workspace, &base.commit).unwrap();
    let commit = mission
        .commit_attempt(&base.commit, &work.tree, "x", WHEN)
        .unwrap();
    let (diff, cut) = mission.diff(&base.commit, &commit, 1 << 20).unwrap();
    let diff = String::from_utf8(diff).unwrap();
    assert!(
        !cut && diff.contains("-2\n+TWO\n 3\n+4\n") && diff.contains("deleted file"),
        "{diff}"
    );
    assert!(!sign.exists());
    let (short, cut) = mission.diff(&base.commit, &commit, 40).unwrap();
    assert_eq!((short.as_slice(), cut), (&diff.as_bytes()[..40], true));
    let counts = mission.numstat(&base.commit, &commit).unwrap();
    let counts: Vec<_> = counts
        .iter()
        .map(|count| (count.path.to_string(), count.added, count.removed))
        .collect();
    let expected = [
        ("a", Some(2), Some(1)),
        ("binary", None, None),
        ("gone", Some(0), Some(1)),
        ("link", Some(1), Some(0)),
    ];
    assert_eq!(
        counts,
        expected.map(|(name, added, removed)| (name.to_owned(), added, removed))
    );
    let (files, more) = mission.list_files(&work.tree, 2).unwrap();
    assert_eq!((files.len(), more), (2, true));
    // Whoever knows no tree yet asks git for a path; whoever has listed it looks there.
    let new_to_it = world.mission();
    for mission in [&new_to_it, &mission] {
        let read = |name: &str, limit| mission.read_file(&work.tree, &path(name), limit).unwrap();
        let file = |bytes: &[u8], cut| {
            Some(Content::File {
                bytes: bytes.to_owned(),
                cut,
                executable: false,
            })
        };
        assert_eq!(read("a", 3), file(b"1\nT", true));
        assert_eq!(read("binary", 2), file(b"\0\x01", false));
        assert_eq!(read("link", 9), Some(Content::Link(b"a".to_vec())));
        assert_eq!(read("folder/in", 9), file(b"in\n", false));
        assert_eq!(read("folder", 9), Some(Content::Folder));
        for absent in ["gone", "fold", "folder/in/deeper", "folder/i"] {
            assert_eq!(read(absent, 9), None, "{absent}");
        }
    }
}

#[test]
fn a_split_index_is_read() {
    let world = World::with(&[("a", "a\n"), ("b", "b\n")]);
    world.git(&["update-index", "--split-index"]);
    world.write("b", "changed\n");
    world.git(&["add", "b"]);
    let (_, base) = snapshot(&world);
    assert_eq!(dirty(&base), ["b"]);
}

#[test]
fn a_hundred_thousand_files_are_seen_in_seconds() {
    let world = World::empty();
    for folder in 0..1000 {
        let dir = world.root.join(format!("{:02}/{folder:03}", folder % 50));
        std::fs::create_dir_all(&dir).unwrap();
        for n in 0..100 {
            std::fs::write(dir.join(format!("{n}")), format!("{n}\n")).unwrap();
        }
    }
    world.commit("many");
    world.write("00/000/1", "changed\n");
    let start = std::time::Instant::now();
    let (_, base) = world.base();
    let took = start.elapsed();
    println!("a snapshot of 100,000 files with one change: {took:?}");
    assert_eq!(dirty(&base), ["00/000/1"]);
    assert!(took < Duration::from_secs(20), "{took:?}");
}
