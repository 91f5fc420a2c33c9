//! Commits are written by one git that goes on, and are what `git commit-tree` makes of the same.

use crate::fixture::{WHEN, World};
use mission::ids::CommitId;
use workbench::repository::{MissionRepository, Signature};

/// The numbers of the gits that go on writing commits for a repository.
fn writers(mission: &MissionRepository) -> Vec<i32> {
    let word = format!("--git-dir={}", mission.dir().join("repo.git").display());
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_one = |number: &i32| {
        let words = std::fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = words.split(|byte| *byte == 0).collect();
        words.contains(&word.as_bytes()) && words.contains(&&b"hash-object"[..])
    };
    numbers.filter(is_one).collect()
}

#[test]
fn a_commit_is_what_git_makes_of_the_same() {
    let world = World::plain();
    let (mission, base) = world.base();
    let by = Signature {
        name: "Zoë <Q>".into(),
        email: "zoe@example.org".into(),
        when: WHEN,
    };
    let date = format!("@{} +0000", WHEN.0 / 1000);
    let odd = "no line end";
    let messages = [
        "subject\n\nbody\n",
        odd,
        "",
        "\"quoted\"\r\n\u{1f980}\n\n\n",
    ];
    for (n, message) in messages.into_iter().enumerate() {
        let parents: &[&CommitId] = if n == 0 { &[] } else { &[&base.commit] };
        let written = mission.commit(&base.tree, parents, message, &by).unwrap();
        let said = world.git_in(
            &mission.dir().join("repo.git"),
            &["cat-file", "commit", written.as_str()],
        );
        let mut words = vec!["commit-tree".to_owned(), base.tree.to_string()];
        for parent in parents {
            words.extend(["-p".to_owned(), parent.to_string()]);
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut command = world.command(&mission.dir().join("repo.git"), &words);
        let file = world.state.join("message");
        std::fs::write(&file, message).unwrap();
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "Zoë  Q");
            command.env(format!("GIT_{who}_EMAIL"), &by.email);
            command.env(format!("GIT_{who}_DATE"), &date);
        }
        let made = command.stdin(std::fs::File::open(&file).unwrap()).output();
        let made = String::from_utf8(made.unwrap().stdout).unwrap();
        assert_eq!(made.trim(), written.as_str(), "{message:?}: {said}");
    }
    assert_eq!(writers(&mission).len(), 1, "one has written them all");
}

#[test]
fn a_writer_that_somebody_ended_is_started_again_and_none_outlives_its_repository() {
    let world = World::plain();
    let (mission, base) = world.base();
    let write = |message: &str| {
        mission
            .commit_attempt(&base.commit, &base.tree, message, WHEN)
            .unwrap()
    };
    let first = write("one");
    let [writer] = writers(&mission)[..] else {
        panic!("{:?}", writers(&mission));
    };
    let pid = rustix::process::Pid::from_raw(writer).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let second = write("two");
    assert_ne!(first, second);
    assert_ne!(writers(&mission), [writer]);
    let other = mission.clone();
    drop(mission);
    assert_eq!(writers(&other).len(), 1);
    let dir = other.dir().to_owned();
    let git = other.git().clone();
    drop(other);
    let mission = MissionRepository::read(&git, &dir).unwrap();
    assert_eq!(writers(&mission), [0; 0]);
}
