//! What agents do to the engine's things in their workspaces: nothing of it is run or believed, and it is gone afterwards.

use crate::fixture::{WHEN, World, contents, left_out, write_in};
use std::os::unix::fs::{PermissionsExt, symlink};
use workbench::snapshot::Reason;
use workbench::workspace::{Error, Tampering};

/// A program that, if anything runs it, leaves a file behind.
fn canary(world: &World) -> (String, std::path::PathBuf) {
    let (script, sign) = (world.home.join("canary.sh"), world.home.join("RAN"));
    std::fs::write(
        &script,
        format!("#!/bin/sh\ntouch '{}'\ncat\n", sign.display()),
    )
    .unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    (script.display().to_string(), sign)
}

#[test]
fn nothing_that_an_agent_configures_is_run() {
    let world = World::with(&[
        ("a", "a\n"),
        ("b.x", "b\n"),
        (".gitattributes", "*.y text\n"),
    ]);
    let (mission, base, workspace) = world.workspace();
    let (script, sign) = canary(&world);
    let root = workspace.path();
    std::fs::remove_file(root.join(".git")).unwrap();
    world.git_in(root, &["init", "-q"]);
    let keys = [
        "core.fsmonitor",
        "filter.x.clean",
        "filter.x.smudge",
        "filter.x.process",
        "diff.x.command",
        "diff.x.textconv",
    ];
    for key in keys {
        world.git_in(root, &["config", key, &script]);
    }
    write_in(
        root,
        ".git/hooks/post-checkout",
        format!("#!/bin/sh\n{script}\n"),
    );
    for hook in [
        "post-checkout",
        "pre-commit",
        "reference-transaction",
        "post-index-change",
        "post-commit",
    ] {
        write_in(
            root,
            &format!(".git/hooks/{hook}"),
            format!("#!/bin/sh\n{script}\n"),
        );
        let place = root.join(".git/hooks").join(hook);
        std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    world.git_in(root, &["config", "core.hooksPath", ".git/hooks"]);
    write_in(root, ".gitattributes", "* filter=x diff=x merge=x\n");
    write_in(root, "a", "changed\n");
    // The same in the engine's throw-away repository for the agent, with its refs.
    let agents = std::fs::read_dir(world.state.join("sides"))
        .unwrap()
        .flatten()
        .next()
        .unwrap()
        .path()
        .join("agent.git");
    std::fs::copy(root.join(".git/config"), agents.join("config")).unwrap();

    let work = mission.collect(&workspace, &base.commit).unwrap();
    assert_eq!(work.tampering, Some(Tampering::PointerReplaced));
    assert!(!sign.exists(), "collecting ran the agent's program");
    let filter = Reason::Filter {
        name: "x".to_owned(),
    };
    assert_eq!(
        left_out(&work),
        [
            (".gitattributes".to_owned(), filter.clone()),
            ("a".to_owned(), filter)
        ]
    );
    mission.rescue(&workspace, "T1.1", WHEN).unwrap();
    mission.workspace(root, &base.commit, &[]).unwrap();
    assert!(!sign.exists(), "rescue or reset ran the agent's program");

    // The canary can sing: the agent's own git runs it.
    write_in(root, "a", "again\n");
    std::fs::remove_file(root.join(".git")).unwrap();
    world.git_in(root, &["init", "-q"]);
    world.git_in(root, &["config", "filter.x.clean", &script]);
    write_in(root, ".gitattributes", "* filter=x\n");
    world.git_in(root, &["add", "a"]);
    assert!(sign.exists());
}

#[test]
fn a_changed_or_missing_git_file_is_told_and_changes_nothing() {
    let world = World::with(&[("a", "a\n")]);
    let (mission, base, workspace) = world.workspace();
    let pointer = workspace.path().join(".git");
    let text = std::fs::read(&pointer).unwrap();
    write_in(workspace.path(), "a", "result\n");
    let expected = mission.collect(&workspace, &base.commit).unwrap();
    let mut tamperings = vec![expected.tampering];
    std::fs::write(&pointer, format!("gitdir: {}/.git\n", world.root.display())).unwrap();
    tamperings.push(mission.collect(&workspace, &base.commit).unwrap().tampering);
    std::fs::remove_file(&pointer).unwrap();
    tamperings.push(mission.collect(&workspace, &base.commit).unwrap().tampering);
    symlink(world.root.join(".git"), &pointer).unwrap();
    let work = mission.collect(&workspace, &base.commit).unwrap();
    tamperings.push(work.tampering);
    let told = [
        None,
        Some(Tampering::PointerChanged),
        Some(Tampering::PointerRemoved),
        Some(Tampering::PointerReplaced),
    ];
    assert_eq!(tamperings, told);
    assert_eq!(
        (&work.tree, &work.touched),
        (&expected.tree, &expected.touched)
    );
    mission
        .workspace(workspace.path(), &base.commit, &[])
        .unwrap();
    assert_eq!(std::fs::read(&pointer).unwrap(), text);
    // A whole other folder at the same path is not believed at all.
    let workspace = mission.workspace_at(workspace.path()).unwrap().unwrap();
    std::fs::rename(workspace.path(), world.home.join("moved")).unwrap();
    std::fs::create_dir(workspace.path()).unwrap();
    assert!(matches!(
        mission.collect(&workspace, &base.commit),
        Err(Error::Replaced(_))
    ));
}

#[test]
fn an_agents_repository_is_set_anew_and_nothing_outside_it_is_written() {
    let world = World::with(&[("a", "a\n")]);
    let (mission, base, workspace) = world.workspace();
    let root = workspace.path();
    let dir = workspace.agent_dir();
    let clean = contents(&dir);
    let outside = world.home.join("outside");
    let file = outside.join("file");
    let closed = |name| {
        std::fs::set_permissions(dir.join(name), PermissionsExt::from_mode(0o400)).unwrap();
    };
    let replaced = |name: &str| {
        let place = dir.join(name);
        if place.is_dir() {
            std::fs::remove_dir_all(&place).unwrap();
        } else {
            std::fs::remove_file(&place).unwrap();
        }
        place
    };
    let mischief: [&dyn Fn(); 8] = [
        &|| std::fs::write(dir.join("config"), "[core]\n\thooksPath = here\n").unwrap(),
        &|| write_in(&dir, "hooks/post-checkout", "#!/bin/sh\n"),
        &|| symlink(&file, replaced("HEAD")).unwrap(),
        &|| std::fs::hard_link(&file, replaced("config")).unwrap(),
        &|| symlink(&outside, replaced("info")).unwrap(),
        &|| closed("info"),
        &|| closed("HEAD"),
        &|| std::fs::create_dir(replaced("index")).unwrap(),
    ];
    for (n, act) in mischief.iter().enumerate() {
        write_in(&outside, "file", "precious\n");
        act();
        mission.workspace(root, &base.commit, &[]).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"precious\n", "mischief {n}");
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
        assert_eq!(contents(&dir), clean, "mischief {n}");
        world.git_in(root, &["status"]);
        // That writes the index anew.
        mission.workspace(root, &base.commit, &[]).unwrap();
    }
    std::fs::remove_dir_all(&dir).unwrap();
    symlink(&outside, &dir).unwrap();
    mission.workspace(root, &base.commit, &[]).unwrap();
    assert_eq!(contents(&dir), clean);
}
