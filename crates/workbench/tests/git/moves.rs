//! A workspace that is set from one commit to another, whatever was done in it meanwhile.

use crate::fixture::{WHEN, World, contents, write_in};
use crate::workspace::make_fifo;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

/// Something that is done in a workspace, with a folder outside of it.
type Deed = fn(&Path, &Path);

/// What somebody may have done to a workspace before it is set to another commit.
const DONE: &[(&str, Deed)] = &[
    ("nothing", |_, _| {}),
    (
        "other bytes in a file that is the same in both",
        |root, _| {
            write_in(root, "same", "changed\n");
        },
    ),
    ("other bytes in a file that differs", |root, _| {
        write_in(root, "differs", "mine\n");
    }),
    ("files that are gone", |root, _| {
        std::fs::remove_file(root.join("same")).unwrap();
        std::fs::remove_dir_all(root.join("dir")).unwrap();
    }),
    ("a new file in the way of a folder to come", |root, _| {
        std::fs::remove_dir_all(root.join("kind")).ok();
        write_in(root, "kind", "in the way\n");
    }),
    ("a file where one is to come", |root, _| {
        write_in(root, "comes/late", "mine\n");
    }),
    ("another mode", |root, _| {
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(root.join("dir/b"), mode).unwrap();
    }),
    (
        "a link that leads out in place of a folder",
        |root, outside| {
            std::fs::remove_dir_all(root.join("dir")).unwrap();
            symlink(outside, root.join("dir")).unwrap();
        },
    ),
    (
        "another name of a file outside for a file that is the same",
        |root, outside| {
            write_in(outside, "same", "same\n");
            std::fs::remove_file(root.join("same")).unwrap();
            std::fs::hard_link(outside.join("same"), root.join("same")).unwrap();
        },
    ),
    ("a file that is closed against writing", |root, _| {
        let mode = std::fs::Permissions::from_mode(0o444);
        std::fs::set_permissions(root.join("same"), mode).unwrap();
    }),
    ("rules for what is checked out", |root, _| {
        write_in(root, ".gitattributes", "* text eol=crlf\n");
    }),
    ("a pipe in place of a file", |root, _| {
        std::fs::remove_file(root.join("differs")).unwrap();
        make_fifo(&root.join("differs"));
    }),
];

#[test]
fn a_workspace_goes_from_commit_to_commit_whatever_was_done_there() {
    let world = World::with(&[
        ("same", "same\n"),
        ("differs", "one\n"),
        ("goes", "goes\n"),
        ("dir/a", "a\n"),
        ("dir/b", "b\n"),
        ("kind", "a file\n"),
    ]);
    symlink("same", world.root.join("link")).unwrap();
    let (mission, one, workspace) = world.workspace();
    world.write("differs", "two\n");
    world.write("comes/late", "late\n");
    world.write("dir/a", "a, and more\n");
    for gone in ["goes", "kind", "link"] {
        std::fs::remove_file(world.root.join(gone)).unwrap();
    }
    world.write("kind/now", "a folder\n");
    symlink("differs", world.root.join("link")).unwrap();
    let other = mission.snapshot(&world.project(), WHEN).unwrap();
    let root = workspace.path();
    let fresh = |commit| {
        let place = world.state.join("work/fresh");
        let made = mission.workspace(&place, commit, &[]).unwrap();
        let found = contents(&place);
        mission.remove(&made).unwrap();
        // The pointer leads elsewhere in each workspace.
        found
            .into_iter()
            .filter(|(name, _)| name != Path::new(".git"))
            .collect::<Vec<_>>()
    };
    let expected = [fresh(&one.commit), fresh(&other.commit)];
    let outside = world.home.join("outside");
    write_in(&outside, "a", "precious\n");
    write_in(&outside, "same", "same\n");
    let precious = contents(&outside);
    let mut at = 0;
    for (what, done) in DONE {
        for round in 0..4 {
            done(root, &outside);
            let to = [&one.commit, &other.commit][1 - at];
            let set = match round < 2 {
                true => mission.workspace(root, to, &[]),
                false => mission.workspace_again(root, to, &[]),
            };
            set.unwrap();
            at = 1 - at;
            let mut found = contents(root);
            found.remove(Path::new(".git")).unwrap();
            let found: Vec<_> = found.into_iter().collect();
            assert_eq!(found, expected[at], "{what}, round {round}");
            // Whoever works there next writes to no file but those of the workspace.
            write_in(root, "same", "worked on\n");
            assert_eq!(contents(&outside), precious, "{what}, round {round}");
        }
    }
}
