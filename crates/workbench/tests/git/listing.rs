//! What follows from listings of trees is what git says of the trees.

use crate::fixture::{World, write_in};
use mission::ids::CommitId;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use workbench::git::Git;
use workbench::repository::MissionRepository;

fn remove(root: &Path, name: &str) {
    let place = root.join(name);
    if place.is_dir() {
        std::fs::remove_dir_all(place).unwrap();
    } else {
        std::fs::remove_file(place).unwrap();
    }
}

#[test]
fn what_differs_between_known_trees_is_what_git_says_of_them() {
    let world = World::with(&[
        ("a", "a\n"),
        ("a.txt", "1\n2\n3\n4\n5\n6\n7\n8\n"),
        ("z", "z\n"),
        ("dir/one", "one\n"),
        ("dir/two", "two\n"),
        ("dir-after", "x\n"),
    ]);
    let (mission, base, _) = world.workspace();
    let root = world.state.join("lanes/other");
    let steps: [&dyn Fn(&Path); 8] = [
        &|root| write_in(root, "a", "changed\n"),
        &|root| {
            remove(root, "a");
            write_in(root, "a/deep/file", "in place of a file\n");
        },
        &|root| {
            remove(root, "dir");
            write_in(root, "dir", "in place of a folder\n");
        },
        &|root| std::fs::rename(root.join("a.txt"), root.join("moved.txt")).unwrap(),
        &|root| {
            let script = root.join("z");
            std::fs::set_permissions(script, PermissionsExt::from_mode(0o755)).unwrap();
        },
        &|root| {
            remove(root, "z");
            symlink("dir-after", root.join("z")).unwrap();
        },
        &|root| write_in(root, "tab\tand \u{fc}mlaut", "odd\n"),
        &|root| remove(root, "a"),
    ];
    let mut commits: Vec<CommitId> = vec![base.commit];
    for step in steps {
        let last = commits.last().unwrap().clone();
        let workspace = mission.workspace(&root, &last, &[]).unwrap();
        step(&root);
        let work = mission.collect(&workspace, &last).unwrap();
        let commit = mission
            .commit_attempt(&last, &work.tree, "step\n", crate::fixture::WHEN)
            .unwrap();
        commits.push(commit);
    }
    // One repository object that knows nothing asks git; another that has listed both trees does not.
    let git = Git::find().unwrap();
    let open = || MissionRepository::read(&git, mission.dir()).unwrap();
    let files = |of: &MissionRepository, commit: &CommitId| {
        let tree = of.tree_of(commit).unwrap();
        of.list_files(&tree, usize::MAX).unwrap().0
    };
    for from in &commits {
        for to in &commits {
            let known = open();
            assert_eq!(files(&known, from), files(&mission, from));
            files(&known, to);
            let told = open().changed_files(from, to).unwrap();
            assert_eq!(known.changed_files(from, to).unwrap(), told);
            assert_eq!(mission.changed_files(from, to).unwrap(), told);
        }
    }
}
