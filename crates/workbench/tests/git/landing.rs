//! From a base over workspaces to a moved ref.

use crate::fixture::{MISSION, WHEN, World, contents, write_in};
use mission::ids::{AttemptId, CommitId, TaskId};
use workbench::git::RefName;
use workbench::landing::{self, ConflictKind, Landed, StackItem, Stacked};
use workbench::repository::MissionRepository;

fn attempt(task: u32) -> AttemptId {
    AttemptId {
        task: TaskId(task),
        n: 1,
    }
}

/// A task whose result is these files.
fn item(
    world: &World,
    mission: &MissionRepository,
    base: &CommitId,
    task: u32,
    files: &[(&str, &str)],
) -> StackItem {
    let workspace = mission
        .workspace(&world.lane(task as usize), base, &[])
        .unwrap();
    for (name, text) in files {
        write_in(workspace.path(), name, text);
    }
    let work = mission.collect(&workspace, base).unwrap();
    StackItem {
        attempt: attempt(task),
        commit: mission
            .commit_attempt(base, &work.tree, "attempt", WHEN)
            .unwrap(),
        message: format!("Do task {task}\n\nAttempt: T99.1"),
        when: WHEN,
    }
}

#[test]
fn accepted_attempts_land_in_order_and_a_conflict_is_skipped_with_both_sides() {
    let world = World::with(&[("a", "one\ntwo\nthree\n"), ("b", "b\n")]);
    let (mission, base) = world.base();
    let items = [
        item(
            &world,
            &mission,
            &base.commit,
            1,
            &[("a", "one\nTWO by 1\nthree\n")],
        ),
        item(
            &world,
            &mission,
            &base.commit,
            2,
            &[("a", "one\ntwo by 2\nthree\n"), ("x", "2")],
        ),
        item(
            &world,
            &mission,
            &base.commit,
            3,
            &[("b", "b by 3\n"), ("dir/new", "3\n")],
        ),
        item(&world, &mission, &base.commit, 4, &[("b", "b by 3\n")]),
    ];
    let stacked = mission.stack(MISSION, &base.commit, &items).unwrap();
    let [
        Stacked::Merged { commit: first, .. },
        Stacked::Conflict { paths },
        Stacked::Merged {
            commit: third,
            tree,
        },
        Stacked::Empty,
    ] = &stacked[..]
    else {
        panic!("{stacked:?}");
    };
    assert_eq!(world.names(&mission, tree), ["a", "b", "dir/new"]);
    assert_eq!(world.text(&mission, tree, "a"), "one\nTWO by 1\nthree\n");
    assert_eq!(paths.len(), 1);
    assert_eq!(
        (paths[0].kind, paths[0].path.to_string().as_str()),
        (ConflictKind::Content, "a")
    );
    assert_eq!(
        (paths[0].ours.as_str(), paths[0].theirs.as_str()),
        ("TWO by 1\n", "two by 2\n")
    );

    // After a crash the same stack is the same commits.
    assert_eq!(
        mission.stack(MISSION, &base.commit, &items).unwrap(),
        stacked
    );

    let name: RefName = "refs/heads/landing".parse().unwrap();
    assert_eq!(
        mission.land(&name, None, &base.commit).unwrap(),
        Landed::Landed
    );
    assert_eq!(
        mission.land(&name, Some(&base.commit), third).unwrap(),
        Landed::Landed
    );
    assert_eq!(
        mission.land(&name, Some(&base.commit), third).unwrap(),
        Landed::Landed,
        "again is the same as once"
    );
    let moved = Landed::Moved {
        found: Some(third.clone()),
    };
    assert_eq!(
        mission.land(&name, Some(&base.commit), first).unwrap(),
        moved,
        "a lost race is told"
    );
    assert_eq!(mission.land(&name, None, first).unwrap(), moved);
    assert_eq!(mission.landed(&name).unwrap().as_ref(), Some(third));
    let landed = mission.landed_attempts(&name, &base.commit).unwrap();
    assert_eq!(
        landed,
        [(attempt(1), first.clone()), (attempt(3), third.clone())]
    );
}

#[test]
fn deletions_and_additions_in_conflict_are_told_apart() {
    let world = World::with(&[("a", "1\n2\n3\n"), ("b", "1\n2\n3\n")]);
    let (mission, base) = world.base();
    let head = item(
        &world,
        &mission,
        &base.commit,
        1,
        &[("a", "1\n2\nX\n"), ("c", "ours\n")],
    );
    let workspace = mission
        .workspace(&world.lane(2), &base.commit, &[])
        .unwrap();
    std::fs::remove_file(workspace.path().join("a")).unwrap();
    write_in(workspace.path(), "c", "theirs\n");
    let work = mission.collect(&workspace, &base.commit).unwrap();
    let other = StackItem {
        commit: mission
            .commit_attempt(&base.commit, &work.tree, "x", WHEN)
            .unwrap(),
        attempt: attempt(2),
        ..head.clone()
    };
    let stacked = mission
        .stack(MISSION, &base.commit, &[head, other])
        .unwrap();
    let Stacked::Conflict { paths } = &stacked[1] else {
        panic!("{stacked:?}")
    };
    let kinds: Vec<_> = paths
        .iter()
        .map(|path| (path.path.to_string(), path.kind))
        .collect();
    assert_eq!(
        kinds,
        [
            ("a".to_owned(), ConflictKind::DeletedInAttempt),
            ("c".to_owned(), ConflictKind::BothAdded)
        ]
    );
    assert_eq!(
        (paths[1].ours.as_str(), paths[1].theirs.as_str()),
        ("ours\n", "theirs\n")
    );
}

#[test]
fn an_attempt_on_the_head_lands_as_the_commit_that_it_is() {
    let world = World::with(&[("a", "a\n")]);
    let (mission, base) = world.base();
    let mut item = item(&world, &mission, &base.commit, 1, &[("b", "b\n")]);
    let tree = mission.tree_of(&item.commit).unwrap();
    let message = landing::message(MISSION, item.attempt, &item.message);
    item.commit = mission
        .commit_attempt(&base.commit, &tree, &message, WHEN)
        .unwrap();
    let commit = item.commit.clone();
    let stacked = mission.stack(MISSION, &base.commit, &[item]).unwrap();
    assert_eq!(stacked, [Stacked::Merged { commit, tree }]);
}

#[test]
fn a_look_at_a_workspace_finds_what_would_conflict_and_leaves_no_trace_in_it() {
    let world = World::with(&[("a", "one\ntwo\nthree\n"), ("b", "b\n"), ("c", "c\n")]);
    let (mission, base) = world.base();
    let base = &base.commit;
    let of = |task, files: &[(&str, &str)]| item(&world, &mission, base, task, files).commit;
    let first = of(1, &[("a", "one\nTWO by 1\nthree\n"), ("c", "by 1\n")]);
    let second = of(2, &[("b", "by 2\n"), ("c", "by 2\n")]);
    let workspace = mission.workspace(&world.lane(9), base, &[]).unwrap();
    let nothing = mission.glance(&workspace, base).unwrap();
    assert_eq!(nothing.commit(), base, "it has changed nothing");
    assert_eq!(mission.foresee(&nothing, &first).unwrap(), []);
    write_in(workspace.path(), "a", "one\ntwo by 9\nthree\n");
    write_in(workspace.path(), "new", "new\n");
    let lane = workspace.agent_dir().parent().unwrap().to_owned();
    let traces = || (contents(workspace.path()), contents(&lane));
    let before = traces();
    assert!(before.1.contains_key(std::path::Path::new("index")));
    let start = std::time::Instant::now();
    let glance = mission.glance(&workspace, base).unwrap();
    let found = [&first, &second].map(|other| mission.foresee(&glance, other));
    println!("looked at in {:?}", start.elapsed());
    let found = found.map(Result::unwrap);
    assert_eq!(found[0].len(), 1, "{found:?}");
    let conflict = &found[0][0];
    assert_eq!(
        (conflict.path.to_string().as_str(), conflict.kind),
        ("a", ConflictKind::Content)
    );
    assert_eq!(conflict.ours, "TWO by 1\n");
    assert!(found[1].is_empty(), "{found:?}");
    assert_eq!(traces(), before);
    std::fs::remove_dir_all(workspace.path()).unwrap();
    let gone = mission.glance(&workspace, base);
    assert!(gone.is_err(), "{gone:?}");
}

#[test]
fn two_workspaces_that_are_worked_in_are_held_against_each_other_and_no_ref_keeps_the_look() {
    let world = World::with(&[("a", "one\ntwo\nthree\n"), ("b", "b\n")]);
    let (mission, base) = world.base();
    let base = &base.commit;
    let git = |words: &[&str]| world.git_in(&mission.dir().join("repo.git"), words);
    let refs = || git(&["for-each-ref"]);
    let workspace = |lane| mission.workspace(&world.lane(lane), base, &[]).unwrap();
    let (one, other) = (workspace(1), workspace(2));
    let before = refs();
    let look = |workspace| mission.glance(workspace, base).unwrap();
    write_in(one.path(), "a", "one\ntwo by 1\nthree\n");
    write_in(other.path(), "a", "one\ntwo by 2\nthree\n");
    write_in(other.path(), "new", "new\n");
    let seen = look(&one);
    let found = mission.foresee(&look(&other), seen.commit()).unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].path.to_string(), "a");
    assert_eq!(
        (found[0].ours.as_str(), found[0].theirs.as_str()),
        ("two by 1\n", "two by 2\n")
    );
    assert_eq!(look(&one), seen, "what has not moved is the same commit");
    // One of them makes way.
    write_in(other.path(), "a", "one\ntwo\nthree\nby 2\n");
    let found = mission.foresee(&look(&other), seen.commit()).unwrap();
    assert!(found.is_empty(), "{found:?}");
    assert_eq!(refs(), before);
    // What no ref keeps may be pruned: then nothing is said, and the next look finds it again.
    git(&["prune", "--expire=now"]);
    let gone = mission.foresee(&look(&other), seen.commit());
    assert!(gone.is_err(), "{gone:?}");
    assert_eq!(look(&one), seen);
    assert!(mission.foresee(&look(&other), seen.commit()).is_ok());
}

#[test]
fn what_another_has_against_an_older_line_is_not_the_conflict_of_who_began_on_it() {
    let list = "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\n";
    let world = World::with(&[("a", list), ("b", list)]);
    let (mission, base) = world.base();
    let with = |changes: &[(&str, &str)]| {
        let changes = changes.iter();
        changes.fold(list.to_owned(), |text, (one, other)| {
            text.replace(one, other)
        })
    };
    let landed = [("a", with(&[("two", "two by 0")]))];
    let landed = landed.each_ref().map(|(path, text)| (*path, text.as_str()));
    let line = item(&world, &mission, &base.commit, 1, &landed).commit;
    // One began before that landed, the other on it.
    let one = mission
        .workspace(&world.lane(2), &base.commit, &[])
        .unwrap();
    let other = mission.workspace(&world.lane(3), &line, &[]).unwrap();
    let look = |other_has: &str, one_has: &str, b: &str| {
        write_in(one.path(), "a", one_has);
        write_in(one.path(), "b", with(&[("nine", "nine by 1")]));
        write_in(other.path(), "a", other_has);
        write_in(other.path(), "b", b);
        let seen = mission.glance(&one, &base.commit).unwrap();
        let glance = mission.glance(&other, &line).unwrap();
        let found = mission.foresee(&glance, seen.commit()).unwrap();
        let found = found.into_iter();
        found.map(|it| it.path.to_string()).collect::<Vec<_>>()
    };
    let aside = with(&[("two", "two by 0"), ("eight", "eight by 2")]);
    let old = with(&[("two", "two by 1")]);
    assert_eq!(look(&aside, &old, list), [""; 0], "it is the line's");
    let b = with(&[("nine", "nine by 2")]);
    assert_eq!(look(&aside, &old, &b), ["b"], "its own are found beside it");
    let both = with(&[("two", "two by 1"), ("eight", "eight by 1")]);
    assert_eq!(look(&aside, &both, list), ["a"], "in the same file, too");
}
