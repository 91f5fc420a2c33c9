//! Workspaces and what is taken from them, with agents that mean well and agents that do not.

use crate::fixture::{WHEN, World, contents, left_out, path, write_in};
use std::os::unix::fs::symlink;
use std::path::Path;
use workbench::repository::Changed;
use workbench::snapshot::Reason;
use workbench::workspace::{Error, Flag, Work, Workspace};

fn touched(work: &Work) -> Vec<String> {
    let show = |change: &Changed| match change {
        Changed::Added => "A".to_owned(),
        Changed::Modified => "M".to_owned(),
        Changed::Deleted => "D".to_owned(),
        Changed::Renamed { from } => format!("R {from} ->"),
    };
    work.touched
        .iter()
        .map(|touched| format!("{} {}", show(&touched.change), touched.path))
        .collect()
}

fn run_as_agent(world: &World, workspace: &Workspace, words: &[&str]) -> String {
    world.git_in(workspace.path(), words)
}

#[test]
fn a_result_is_the_content_whatever_the_agent_committed() {
    let world = World::with(&[
        ("a", "a\n"),
        ("b", "b\nb\nb\n"),
        ("c", "c\n"),
        (".gitignore", "*.log\n"),
    ]);
    let (mission, base, workspace) = world.workspace();
    assert_eq!(
        run_as_agent(&world, &workspace, &["status", "--porcelain"]),
        ""
    );
    let root = workspace.path();
    write_in(root, "a", "committed\n");
    run_as_agent(&world, &workspace, &["checkout", "-q", "-b", "mine"]);
    run_as_agent(
        &world,
        &workspace,
        &["commit", "-q", "-a", "-m", "on a branch"],
    );
    std::fs::rename(root.join("b"), root.join("renamed")).unwrap();
    run_as_agent(&world, &workspace, &["add", "-A"]);
    std::fs::remove_file(root.join("c")).unwrap();
    write_in(root, "sub/new", "n\n");
    write_in(root, "debug.log", "ignored\n");
    let work = mission.collect(&workspace, &base.commit).unwrap();
    assert_eq!(
        touched(&work),
        ["M a", "D c", "R b -> renamed", "A sub/new"]
    );
    assert_eq!((work.left_out, work.tampering), (vec![], None));
    assert_eq!(world.text(&mission, &work.tree, "a"), "committed\n");
    assert_eq!(
        run_as_agent(&world, &workspace, &["log", "--format=%s"]),
        "on a branch\nfirst"
    );
    assert_eq!(run_as_agent(&world, &workspace, &["remote"]), "");
    assert_eq!(
        world.git(&["for-each-ref"]).lines().count(),
        1,
        "the user's refs are the user's"
    );
    assert_eq!(world.git(&["status", "--porcelain"]), "");
}

#[test]
fn a_reset_removes_everything_but_what_is_to_be_kept() {
    let world = World::with(&[
        ("a", "a\n"),
        ("dir/b", "b\n"),
        ("was/dir", "x\n"),
        (".gitignore", "node_modules\n*.o\n"),
    ]);
    let (mission, base, workspace) = world.workspace();
    let root = workspace.path();
    let clean = contents(root);
    for name in [
        "node_modules/x/index.js",
        "dir/node_modules/y",
        "dir/b.o",
        "junk/deep/er",
        "nested/.git/config",
    ] {
        write_in(root, name, "junk");
    }
    write_in(root, "dir/b", "changed\n");
    std::fs::remove_file(root.join("a")).unwrap();
    std::fs::create_dir(root.join("a")).unwrap();
    write_in(root, "a/in the way", "x");
    std::fs::remove_dir_all(root.join("was")).unwrap();
    write_in(root, "was", "a file");
    make_fifo(&root.join("pipe"));
    let keep = [path("node_modules"), path("dir/node_modules")];
    let workspace = mission.workspace(root, &base.commit, &keep).unwrap();
    assert!(
        root.join("node_modules/x/index.js").exists() && root.join("dir/node_modules/y").exists()
    );
    for kept in ["node_modules", "dir/node_modules"] {
        std::fs::remove_dir_all(root.join(kept)).unwrap();
    }
    assert_eq!(contents(workspace.path()), clean);
    assert_eq!(
        mission.workspace_at(root).unwrap().unwrap().commit(),
        &base.commit
    );
}

#[test]
fn what_hosts_obey_is_hidden_from_agents_and_stays_a_part_of_the_work() {
    let world = World::with(&[
        ("a", "a\n"),
        (".opencode/plugin/x.js", "x\n"),
        (".opencode/agent/y.md", "y\n"),
        ("opencode.json", "{}\n"),
        ("sub/opencode.json", "{}\n"),
    ]);
    let (mission, base, workspace) = world.workspace();
    let root = workspace.path().to_owned();
    let hide = || {
        let workspace = mission.workspace(&root, &base.commit, &[]).unwrap();
        mission.hide_obeyed(&workspace).unwrap();
        assert!(!root.join(".opencode").exists() && !root.join("opencode.json").exists());
        assert!(
            root.join("sub/opencode.json").exists(),
            "that is obeyed by nobody"
        );
        workspace
    };
    let collect = |workspace: &Workspace| mission.collect(workspace, &base.commit).unwrap();
    let untouched = collect(&hide());
    assert_eq!(
        (untouched.tree, untouched.touched.len()),
        (base.tree.clone(), 0)
    );
    // What was collected is begun with again, and hidden again.
    let workspace = hide();
    write_in(&root, "a", "changed\n");
    write_in(&root, ".opencode/agent/y.md", "new\n");
    write_in(&root, ".opencode/agent/z.md", "z\n");
    assert_eq!(
        touched(&collect(&workspace)),
        ["M .opencode/agent/y.md", "A .opencode/agent/z.md", "M a"]
    );
}

#[test]
fn a_reset_never_writes_or_removes_through_a_link() {
    let world = World::with(&[("dir/a", "a\n"), ("dir/b", "b\n")]);
    let (mission, base, workspace) = world.workspace();
    let outside = world.home.join("outside");
    write_in(&outside, "a", "precious\n");
    write_in(&outside, "c", "precious\n");
    std::fs::remove_dir_all(workspace.path().join("dir")).unwrap();
    symlink(&outside, workspace.path().join("dir")).unwrap();
    let before = contents(&outside);
    let work = mission.collect(&workspace, &base.commit).unwrap();
    assert_eq!(touched(&work), ["A dir", "D dir/a", "D dir/b"]);
    assert!(
        matches!(&work.flags[..], [Flag::LinkOutside { .. }]),
        "{:?}",
        work.flags
    );
    mission
        .workspace(workspace.path(), &base.commit, &[])
        .unwrap();
    assert_eq!(contents(&outside), before);
    assert_eq!(
        std::fs::read(workspace.path().join("dir/a")).unwrap(),
        b"a\n"
    );
    // Nor is a workspace that is itself a link.
    let link = world.state.join("work/link");
    symlink(&outside, &link).unwrap();
    assert!(matches!(
        mission.workspace(&link, &base.commit, &[]),
        Err(Error::Path { .. })
    ));
    assert_eq!(contents(&outside), before);
}

#[test]
fn odd_things_in_a_workspace_are_taken_or_named_and_never_lost() {
    let world = World::with(&[("a", "a\n"), ("README", "r\n")]);
    let (mission, base, workspace) = world.workspace();
    let root = workspace.path();
    world.git_in(root, &["init", "-q", "vendor/lib"]);
    write_in(root, "vendor/lib/src.c", "int x;\n");
    world.git_in(&root.join("vendor/lib"), &["add", "."]);
    world.git_in(&root.join("vendor/lib"), &["commit", "-q", "-m", "nested"]);
    world.git_in(&root.join("vendor/lib"), &["init", "-q", "inner"]);
    write_in(root, "vendor/lib/inner/i", "i\n");
    symlink("/etc/passwd", root.join("absolute")).unwrap();
    symlink("../../x", root.join("vendor/out")).unwrap();
    symlink("../a", root.join("vendor/in")).unwrap();
    symlink("nowhere", root.join("dangling")).unwrap();
    write_in(root, "readme", "other case\n");
    make_fifo(&root.join("package.json"));
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    let large = std::fs::File::create(root.join("large")).unwrap();
    large.set_len((50 << 20) + 1).unwrap();
    let odd = [
        "-f",
        "new\nline",
        "quo\"te",
        "back\\slash",
        ";$(touch x)",
        "tab\t",
        " blank ",
    ];
    for name in odd {
        write_in(root, name, "odd\n");
    }
    let bytes = std::os::unix::ffi::OsStrExt::as_bytes(std::ffi::OsStr::new("x")).to_owned();
    let invalid = workbench::git::RepoPath::new([&bytes[..], b"\xff\xfe"].concat()).unwrap();
    std::fs::write(invalid.below(root), "odd\n").unwrap();

    let work = mission.collect(&workspace, &base.commit).unwrap();
    assert_eq!(
        left_out(&work),
        [
            (
                "large".to_owned(),
                Reason::TooLarge {
                    bytes: (50 << 20) + 1
                }
            ),
            ("package.json".to_owned(), Reason::Special),
            ("socket".to_owned(), Reason::Special),
        ]
    );
    let names = world.names(&mission, &work.tree);
    for name in [
        "vendor/lib/src.c",
        "vendor/lib/inner/i",
        "absolute",
        "dangling",
        "vendor/in",
        "vendor/out",
        "\"x\\377\\376\"",
    ] {
        assert!(
            names.iter().any(|found| found == name),
            "{name} is not in {names:?}"
        );
    }
    for name in odd {
        assert_eq!(world.text(&mission, &work.tree, name), "odd\n");
    }
    let flags: Vec<String> = work
        .flags
        .iter()
        .map(|flag| match flag {
            Flag::LinkOutside { path, target } => format!("{path} -> {target}"),
            Flag::CaseCollision { path, with } => format!("{path} = {with}"),
        })
        .collect();
    assert_eq!(
        flags,
        [
            "absolute -> /etc/passwd",
            "vendor/out -> ../../x",
            "readme = README"
        ]
    );
    assert!(work.touched.iter().all(|touched| touched.mode != 0o160_000));
    assert!(!root.join("x").exists());
    let text = serde_json::to_string(&work).unwrap();
    assert_eq!(serde_json::from_str::<Work>(&text).unwrap(), work);
}

#[test]
fn editing_ignore_rules_neither_hides_work_nor_carries_secrets_out() {
    let world = World::with(&[
        ("a", "a\n"),
        (".gitignore", ".env\nbuild/\n"),
        ("sub/.gitignore", "local\n"),
    ]);
    let (mission, base, workspace) = world.workspace();
    let root = workspace.path();
    write_in(root, ".gitignore", "src/hidden.rs\ncache/\n");
    write_in(root, ".env", "SECRET=1\n");
    write_in(root, "build/out", "o\n");
    write_in(root, "sub/local", "l\n");
    write_in(root, "src/hidden.rs", "work\n");
    write_in(root, "src/shown.rs", "work\n");
    write_in(root, "cache/1", "x\n");
    let work = mission.collect(&workspace, &base.commit).unwrap();
    assert_eq!(touched(&work), ["M .gitignore", "A src/shown.rs"]);
    assert_eq!(
        left_out(&work),
        [
            (".env".to_owned(), Reason::Ignored),
            ("build/out".to_owned(), Reason::Ignored),
            ("cache".to_owned(), Reason::NewlyIgnored),
            ("src/hidden.rs".to_owned(), Reason::NewlyIgnored),
        ]
    );
}

#[test]
fn a_change_within_the_same_second_and_size_is_seen() {
    let world = World::with(&[("a", "one\n")]);
    let (mission, base, workspace) = world.workspace();
    let place = workspace.path().join("a");
    let time = std::fs::metadata(&place).unwrap().modified().unwrap();
    std::fs::write(&place, "two\n").unwrap();
    std::fs::File::options()
        .write(true)
        .open(&place)
        .unwrap()
        .set_modified(time)
        .unwrap();
    assert_eq!(
        touched(&mission.collect(&workspace, &base.commit).unwrap()),
        ["M a"]
    );
}

#[test]
fn files_stored_with_other_line_ends_than_their_attributes_say_are_left_alone() {
    let world = World::with(&[("old.txt", "one\r\ntwo\r\n"), ("other.txt", "1\r\n")]);
    world.write(".gitattributes", "*.txt text\n");
    world.git(&["add", ".gitattributes"]);
    world.git(&["commit", "-q", "-m", "attributes"]);
    let (mission, base, workspace) = world.workspace();
    assert_eq!(base.dirty, []);
    let work = mission.collect(&workspace, &base.commit).unwrap();
    assert_eq!(touched(&work), Vec::<String>::new());
    // Written again with the same bytes, and really changed.
    write_in(workspace.path(), "old.txt", "one\r\ntwo\r\n");
    write_in(workspace.path(), "other.txt", "2\r\n");
    let work = mission.collect(&workspace, &base.commit).unwrap();
    assert_eq!(touched(&work), ["M other.txt"]);
}

#[test]
fn a_warm_reset_of_two_thousand_files_is_fast() {
    let names: Vec<(String, String)> = (0..2000)
        .map(|n| (format!("d{}/e{}/f{n}", n % 20, n % 10), format!("{n}\n")))
        .collect();
    let files: Vec<(&str, &str)> = names
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    let world = World::with(&files);
    let (mission, base, workspace) = world.workspace();
    let (mut resets, mut collects) = (Vec::new(), Vec::new());
    for n in 0..15 {
        write_in(workspace.path(), "d1/e1/f1", format!("changed {n}\n"));
        write_in(workspace.path(), "new", "n\n");
        let start = std::time::Instant::now();
        let work = mission.collect(&workspace, &base.commit).unwrap();
        collects.push(start.elapsed());
        assert_eq!(work.touched.len(), 2);
        let start = std::time::Instant::now();
        mission
            .workspace(workspace.path(), &base.commit, &[])
            .unwrap();
        resets.push(start.elapsed());
    }
    resets.sort();
    collects.sort();
    println!(
        "warm reset of 2,000 files: p50 {:?}; collect: p50 {:?}",
        resets[7], collects[7]
    );
}

#[test]
fn a_pipe_in_place_of_rules_is_named_and_never_waited_for() {
    let world = World::with(&[
        ("a", "a\n"),
        ("dir/b", "b\n"),
        (".gitattributes", "*.x text\n"),
    ]);
    let (mission, base, workspace) = world.workspace();
    for name in [
        ".gitattributes",
        ".gitignore",
        "dir/.gitattributes",
        "new/deep/.gitignore",
    ] {
        let root = workspace.path();
        write_in(root, "a", "changed\n");
        std::fs::create_dir_all(root.join("new/deep")).unwrap();
        std::fs::remove_file(root.join(name)).ok();
        make_fifo(&root.join(name));
        let error = mission.collect(&workspace, &base.commit).unwrap_err();
        assert!(error.to_string().starts_with(name), "{error}");
        let again = mission.workspace(root, &base.commit, &[]).unwrap();
        assert_eq!(
            touched(&mission.collect(&again, &base.commit).unwrap()),
            Vec::<String>::new()
        );
    }
}

#[test]
fn folders_deeper_than_any_path_are_no_way_to_keep_a_workspace() {
    let world = World::with(&[("a", "a\n")]);
    let (mission, base, workspace) = world.workspace();
    let clean = contents(workspace.path());
    dig(workspace.path(), "d", 6000);
    dig(workspace.path(), &"long".repeat(50), 100);
    let work = mission.collect(&workspace, &base.commit).unwrap();
    assert_eq!(touched(&work), Vec::<String>::new());
    let workspace = mission
        .workspace(workspace.path(), &base.commit, &[])
        .unwrap();
    assert_eq!(contents(workspace.path()), clean);
}

/// Folders in folders, with a file in the last.
fn dig(root: &Path, name: &str, depth: usize) {
    use rustix::fs::{Mode, OFlags, mkdirat, openat};
    let flags = OFlags::DIRECTORY | OFlags::RDONLY;
    let mut at = rustix::fs::open(root, flags, Mode::empty()).unwrap();
    for _ in 0..depth {
        mkdirat(&at, name, Mode::from_raw_mode(0o755)).unwrap();
        at = openat(&at, name, flags, Mode::empty()).unwrap();
    }
    drop(
        openat(
            &at,
            "file",
            OFlags::CREATE | OFlags::WRONLY,
            Mode::from_raw_mode(0o644),
        )
        .unwrap(),
    );
}

#[test]
fn unmerged_work_is_kept_before_a_workspace_goes() {
    let world = World::with(&[("a", "a\n")]);
    let (mission, _, workspace) = world.workspace();
    assert_eq!(
        mission.rescue(&workspace, "T1.1", WHEN).unwrap(),
        None,
        "there is nothing to keep"
    );
    assert!(!mission.holds_rescued().unwrap());
    let root = workspace.path();
    write_in(root, "on-branch", "1\n");
    run_as_agent(&world, &workspace, &["checkout", "-q", "-b", "side"]);
    run_as_agent(&world, &workspace, &["add", "-A"]);
    run_as_agent(&world, &workspace, &["commit", "-q", "-m", "side"]);
    let side = run_as_agent(&world, &workspace, &["rev-parse", "HEAD"]);
    run_as_agent(
        &world,
        &workspace,
        &["checkout", "-q", "--detach", "HEAD~1"],
    );
    let kept = mission.rescue(&workspace, "T1.1", WHEN).unwrap().unwrap();
    assert_eq!(
        mission.rescue(&workspace, "T1.1", WHEN).unwrap().unwrap(),
        kept
    );
    write_in(root, "uncommitted", "2\n");
    let kept = mission.rescue(&workspace, "T1.2", WHEN).unwrap().unwrap();
    mission.remove(&workspace).unwrap();
    assert!(!root.exists());
    let store = world.state.join("repo.git");
    let show = |words: &[&str]| world.git_in(&store, words);
    assert_eq!(show(&["rev-parse", "refs/rescue/T1.2"]), kept.as_str());
    assert_eq!(show(&["show", "refs/rescue/T1.2:uncommitted"]), "2");
    assert_eq!(show(&["rev-parse", "refs/rescue/T1.2^2"]), side);
    assert_eq!(show(&["show", "refs/rescue/T1.1^2:on-branch"]), "1");
    show(&["fsck", "--strict"]);
    assert!(mission.rescue(&workspace, "../x", WHEN).is_err());
    assert!(mission.holds_rescued().unwrap());
    for kept in ["T1.1", "T1.2"] {
        show(&["update-ref", "-d", &format!("refs/rescue/{kept}")]);
    }
    assert!(!mission.holds_rescued().unwrap());
    show(&["update-ref", "refs/heads/rescue/T1.1", kept.as_str()]);
    assert!(
        mission.holds_rescued().unwrap(),
        "an attempt that did not land"
    );
}

#[test]
fn sixty_four_workspaces_are_made_at_once() {
    let files: Vec<(String, String)> = (0..50)
        .map(|n| (format!("d{}/f{n}", n % 7), format!("{n}\n")))
        .collect();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    let world = World::with(&files);
    let (mission, base) = world.base();
    std::thread::scope(|scope| {
        for n in 0..64 {
            let (mission, base, lane) = (&mission, &base, world.lane(n));
            scope.spawn(move || {
                let workspace = mission.workspace(&lane, &base.commit, &[]).unwrap();
                write_in(workspace.path(), "mine", format!("{n}"));
                let work = mission.collect(&workspace, &base.commit).unwrap();
                assert_eq!(touched(&work), ["A mine"]);
            });
        }
    });
    assert_eq!(
        std::fs::read_dir(world.state.join("work")).unwrap().count(),
        64
    );
}

#[test]
fn a_reset_that_was_cut_short_is_not_handed_out_and_the_next_one_mends_it() {
    let world = World::with(&[("a", "a\n"), ("b", "b\n")]);
    let (mission, base, workspace) = world.workspace();
    let lane = std::fs::read_dir(world.state.join("sides"))
        .unwrap()
        .flatten()
        .next()
        .unwrap()
        .path();
    std::fs::write(lane.join("index.lock"), "half").unwrap();
    std::fs::write(lane.join("index"), "garbage").unwrap();
    std::fs::write(lane.join("state.json"), "").unwrap();
    std::fs::remove_file(workspace.path().join("b")).unwrap();
    assert!(mission.workspace_at(workspace.path()).unwrap().is_none());
    let workspace = mission
        .workspace(workspace.path(), &base.commit, &[])
        .unwrap();
    assert_eq!(
        touched(&mission.collect(&workspace, &base.commit).unwrap()),
        Vec::<String>::new()
    );
    // A commit that is not there fails closed.
    let absent = "1".repeat(40).parse().unwrap();
    mission
        .workspace(workspace.path(), &absent, &[])
        .unwrap_err();
    assert!(mission.workspace_at(workspace.path()).unwrap().is_none());
}

pub(crate) fn make_fifo(at: &Path) {
    let mode = rustix::fs::Mode::from_raw_mode(0o644);
    rustix::fs::mknodat(rustix::fs::CWD, at, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}

#[test]
fn what_set_up_makes_is_no_work_although_the_project_does_not_ignore_it() {
    let world = World::with(&[("a", "a\n"), ("[x] y/kept", "of the base\n")]);
    let (mission, base, workspace) = world.workspace();
    let paths = [".venv", "[x] y"].map(path);
    mission.set_aside(&paths, &["__pycache__"]).unwrap();
    mission.set_aside(&paths, &["__pycache__"]).unwrap();
    let root = workspace.path();
    for made in [
        ".venv/lib/x.py",
        "[x] y/made",
        "sub/__pycache__/x.pyc",
        "sub/.venv",
        "new",
    ] {
        write_in(root, made, "made\n");
    }
    write_in(root, "[x] y/kept", "changed\n");
    let work = mission.collect(&workspace, &base.commit).unwrap();
    assert_eq!(touched(&work), ["M [x] y/kept", "A new", "A sub/.venv"]);
}
