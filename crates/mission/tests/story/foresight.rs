//! Conflicts that are foreseen while a Worker runs.

use crate::teller::{Story, commit, task};
use mission::event::Event;
use mission::foresight::{Clash, Foreseen, Foresight, Stands};
use mission::ids::{AttemptId, CommitId, Epoch};
use mission::input::{Input, Reply};
use mission::landing::{StackResult, Stacked};
use mission::limits;
use mission::terms::Terms;
use mission::time::Millis;
use mission::turn::Outcome;

fn attempt(name: &str) -> AttemptId {
    name.parse().unwrap()
}

fn clash(commit: CommitId, paths: &[&str]) -> Clash {
    Clash {
        commit,
        at_work: None,
        landed: vec![attempt("T1.1"), attempt("T2.1"), attempt("T9.1")],
        files: paths
            .iter()
            .map(|path| ((*path).to_owned(), format!("{path}: both\n")))
            .collect(),
    }
}

fn told(story: &mut Story, epoch: Epoch, clash: Clash) -> Reply {
    story.tell(Input::Clashed { epoch, clash })
}

/// Two tasks that run beside each other.
fn two() -> Story {
    let terms = Terms {
        workers: 2,
        ..Terms::default()
    };
    Story::planned(terms, vec![task("a", &[]), task("b", &[])])
}

/// A look against what another holds that runs.
fn beside(other: Epoch, paths: &[&str]) -> Clash {
    Clash {
        at_work: Some(other),
        landed: Vec::new(),
        ..clash(commit("passing"), paths)
    }
}

/// A turn is refused, and its attempt goes on a minute later; gives its next lease.
fn goes_on_later(story: &mut Story, turn: &str) -> Epoch {
    let refused = Outcome::Refused {
        retry_after: Some(Millis::from_secs(1)),
        why: "429".into(),
        usage: crate::teller::used(0),
        outage: false,
    };
    story.end(turn, refused, None);
    story.wait(Millis::from_mins(1));
    story.epoch(turn)
}

fn line(story: &Story) -> CommitId {
    story.mission.head().unwrap().0.clone()
}

fn last(story: &Story) -> Foreseen {
    story
        .mission
        .foreseen(attempt("T2.1"))
        .last()
        .cloned()
        .unwrap()
}

#[test]
fn an_attempt_is_told_once_of_each_file_that_conflicts_with_what_landed_meanwhile() {
    let mut story = two();
    let epoch = story.epoch("T2.1");
    story.carry("T1.1");
    let line = line(&story);
    let before = story.mission.n_events();
    assert_eq!(
        told(&mut story, epoch, clash(line.clone(), &["a"])),
        Reply::Done
    );
    assert_eq!(story.mission.n_events(), before + 1);
    let first = last(&story);
    // It touched `a`; of the others one has not landed and one does not exist.
    assert_eq!(first.with, [attempt("T1.1")]);
    assert!(first.landed);
    told(&mut story, epoch, clash(line.clone(), &["a"]));
    assert_eq!(story.mission.n_events(), before + 1, "it knows that");
    told(&mut story, epoch, clash(line.clone(), &["a", "b"]));
    assert_eq!(last(&story).paths, ["b"]);
    assert!(
        last(&story).with.is_empty(),
        "nobody is known to have written it"
    );
    let many: Vec<String> = (0..90).map(|n| format!("{n:02}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for _ in 0..3 {
        told(&mut story, epoch, clash(line.clone(), &many));
    }
    assert_eq!(last(&story).paths.len(), limits::FORESEEN_PATHS);
    assert_eq!(story.count("conflict_foreseen"), limits::FORESEEN as usize);
}

#[test]
fn what_was_handed_in_and_has_not_landed_counts_too_and_ones_own_does_not() {
    let mut story = two();
    let (first, second) = (story.epoch("T1.1"), story.epoch("T2.1"));
    story.hand_in("T1.1");
    let handed_in = commit("T1.1");
    assert_eq!(
        told(&mut story, first, clash(handed_in.clone(), &["a"])),
        Reply::Stale
    );
    assert_eq!(
        told(&mut story, second, clash(handed_in.clone(), &["a"])),
        Reply::Done
    );
    assert_eq!(last(&story).with, [attempt("T1.1")]);
    assert!(!last(&story).landed);
    let ahead = story.mission.ahead();
    let attempts: Vec<_> = ahead.iter().map(|ahead| ahead.attempt).collect();
    assert_eq!(attempts, [None, Some(attempt("T1.1"))]);
    story.gates(|_, _| false);
    story.review("T1.1/review.1", false);
    let reply = told(&mut story, second, clash(handed_in, &["b"]));
    assert_eq!(reply, Reply::Stale, "it was turned down");
}

#[test]
fn a_look_at_an_earlier_attempt_or_at_an_older_line_means_nothing() {
    let mut story = two();
    let epoch = story.epoch("T2.1");
    let base = line(&story);
    assert_eq!(
        told(&mut story, epoch, clash(base.clone(), &["a"])),
        Reply::Stale,
        "it stands on that"
    );
    story.carry("T1.1");
    let line = line(&story);
    for (epoch, commit) in [
        (epoch, base),
        (Epoch(99), line.clone()),
        (epoch, commit("nowhere")),
    ] {
        assert_eq!(told(&mut story, epoch, clash(commit, &["a"])), Reply::Stale);
    }
    let (why, usage) = ("429".to_owned(), crate::teller::used(0));
    let retry_after = Some(Millis::from_secs(1));
    story.end(
        "T2.1",
        Outcome::Refused {
            retry_after,
            why,
            usage,
            outage: false,
        },
        None,
    );
    assert_eq!(
        told(&mut story, epoch, clash(line.clone(), &["a"])),
        Reply::Stale
    );
    assert_eq!(story.count("conflict_foreseen"), 0);
    // The attempt goes on, under another lease and on the same base.
    story.wait(Millis::from_mins(1));
    let epoch = story.epoch("T2.1");
    assert_eq!(
        told(&mut story, epoch, clash(line.clone(), &["a"])),
        Reply::Done
    );
    story.tell(Input::Cancel { by: "me".into() });
    assert_eq!(told(&mut story, epoch, clash(line, &["b"])), Reply::Stale);
}

#[test]
fn it_is_counted_how_many_that_were_told_landed_and_how_many_conflicted_all_the_same() {
    let mut story = two();
    let epoch = story.epoch("T2.1");
    story.carry("T1.1");
    let line = line(&story);
    told(&mut story, epoch, clash(line, &["a"]));
    let counted = |told, landed, conflicts| Foresight {
        told,
        landed,
        conflicts,
    };
    assert_eq!(story.mission.foresight(), counted(1, 0, 0));
    let mut lucky = Story {
        mission: story.mission.clone(),
        now: story.now,
        tools: story.tools,
        told: story.told.clone(),
    };
    lucky.carry("T2.1");
    assert_eq!(lucky.mission.foresight(), counted(1, 1, 0));
    story.hand_in("T2.1");
    story.gates(|_, _| false);
    story.review("T2.1/review.1", true);
    let n = story.mission.landing().unwrap().n;
    let (paths, excerpt) = (vec!["a".to_owned()], String::new());
    let result = StackResult::Conflict { paths, excerpt };
    let results = vec![Stacked {
        attempt: attempt("T2.1"),
        result,
    }];
    story.tell(Input::Stacked { n, results });
    assert_eq!(story.mission.foresight(), counted(1, 0, 1));
    story.carry("T2.2");
    assert_eq!(story.mission.foresight(), counted(1, 0, 1));
}

#[test]
fn what_is_shown_is_of_the_files_that_are_named() {
    let mut story = two();
    let epoch = story.epoch("T2.1");
    story.carry("T1.1");
    let line = line(&story);
    let long = "x".repeat(limits::FORESEEN_BYTES);
    let of = |files: &[(&str, &str)]| Clash {
        files: files
            .iter()
            .map(|(path, there)| ((*path).to_owned(), (*there).to_owned()))
            .collect(),
        ..clash(line.clone(), &[])
    };
    told(&mut story, epoch, of(&[("a", &long)]));
    told(&mut story, epoch, of(&[("a", &long), ("b", "of b")]));
    let foreseen = story.mission.foreseen(attempt("T2.1"));
    let shown: Vec<&str> = foreseen.iter().map(|it| it.excerpt.as_str()).collect();
    assert_eq!(shown[1], "of b");
    assert_eq!(foreseen[1].paths, ["b"]);
}

#[test]
fn what_is_told_is_bounded_whatever_a_look_says() {
    let mut story = two();
    let epoch = story.epoch("T2.1");
    story.carry("T1.1");
    let line = line(&story);
    let clash = Clash {
        files: vec![("\u{1}".repeat(10_000), "x".repeat(1 << 20)); 100],
        landed: vec![attempt("T1.1"); 10_000],
        ..clash(line, &[])
    };
    told(&mut story, epoch, clash);
    let recorded = story.told.last().unwrap();
    assert!(matches!(recorded.event, Event::ConflictForeseen { .. }));
    assert!(recorded.encode().len() < 64 * 1024);
}

#[test]
fn of_two_that_run_the_one_that_began_later_is_told_and_the_other_never() {
    let mut story = two();
    let (first, second) = (story.epoch("T1.1"), story.epoch("T2.1"));
    let works = story.mission.at_work();
    let works: Vec<_> = works
        .iter()
        .map(|works| (works.epoch, works.attempt))
        .collect();
    assert_eq!(works, [(first, attempt("T1.1")), (second, attempt("T2.1"))]);
    let before = story.mission.n_events();
    for (who, other) in [(first, second), (first, first), (second, second)] {
        let reply = told(&mut story, who, beside(other, &["a"]));
        assert_eq!(reply, Reply::Stale, "{who:?} of {other:?}");
    }
    assert_eq!(story.mission.n_events(), before);
    assert_eq!(told(&mut story, second, beside(first, &["a"])), Reply::Done);
    assert_eq!(last(&story).with, [attempt("T1.1")]);
    assert_eq!(last(&story).stands(), Stands::AtWork);
    told(&mut story, second, beside(first, &["a"]));
    assert_eq!(story.count("conflict_foreseen"), 1, "it knows that");
    assert!(story.mission.foreseen(attempt("T1.1")).is_empty());
}

#[test]
fn a_wait_for_the_provider_turns_nobodys_place_round_and_another_attempt_is_behind_all() {
    let mut story = two();
    let (first, second) = (story.epoch("T1.1"), story.epoch("T2.1"));
    let again = goes_on_later(&mut story, "T1.1");
    assert!(again > second);
    let works = |story: &Story| -> Vec<AttemptId> {
        let works = story.mission.at_work();
        works.iter().map(|works| works.attempt).collect()
    };
    assert_eq!(works(&story), [attempt("T1.1"), attempt("T2.1")]);
    for (who, other, reply) in [
        (second, first, Reply::Stale),
        (again, second, Reply::Stale),
        (second, again, Reply::Done),
    ] {
        assert_eq!(told(&mut story, who, beside(other, &["a"])), reply);
    }
    story.hand_in("T1.1");
    story.gates(|_, _| false);
    story.review("T1.1/review.1", false);
    let anew = story.epoch("T1.2");
    assert_eq!(works(&story), [attempt("T2.1"), attempt("T1.2")]);
    assert_eq!(told(&mut story, second, beside(anew, &["b"])), Reply::Stale);
    for path in ["a", "b"] {
        let reply = told(&mut story, anew, beside(second, &[path]));
        assert_eq!(reply, Reply::Stale, "the other was told to make way");
    }
    assert!(story.mission.foreseen(attempt("T1.2")).is_empty());
}

#[test]
fn another_attempt_makes_way_for_who_was_told_nothing_of_its_task() {
    let terms = Terms {
        workers: 3,
        ..Terms::default()
    };
    let tasks = ["a", "b", "c"].map(|path| task(path, &[]));
    let mut story = Story::planned(terms, tasks.to_vec());
    let (first, second) = (story.epoch("T1.1"), story.epoch("T2.1"));
    let third = story.epoch("T3.1");
    // What the third was told of another task, and what it was told of this one once that was handed in, is not that.
    told(&mut story, third, beside(second, &["b"]));
    assert_eq!(told(&mut story, second, beside(first, &["a"])), Reply::Done);
    story.hand_in("T1.1");
    told(&mut story, third, clash(commit("T1.1"), &["c"]));
    assert_eq!(story.mission.foreseen(attempt("T3.1")).len(), 2);
    story.gates(|_, _| false);
    story.review("T1.1/review.1", false);
    let anew = story.epoch("T1.2");
    assert_eq!(
        told(&mut story, anew, beside(second, &["a"])),
        Reply::Stale,
        "it was told of the attempt before"
    );
    assert_eq!(told(&mut story, anew, beside(third, &["a"])), Reply::Done);
    // Whoever was told and begins anew knows nothing of it any more, and is behind.
    story.hand_in("T2.1");
    story.gates(|_, _| false);
    story.review("T2.1/review.1", false);
    let last = story.epoch("T2.2");
    assert_eq!(told(&mut story, anew, beside(last, &["b"])), Reply::Stale);
    assert_eq!(told(&mut story, last, beside(anew, &["b"])), Reply::Done);
}

#[test]
fn a_look_at_who_has_ended_or_works_at_nothing_means_nothing() {
    let mut story = two();
    let (first, second) = (story.epoch("T1.1"), story.epoch("T2.1"));
    assert_eq!(
        told(&mut story, second, beside(Epoch(1), &["a"])),
        Reply::Stale,
        "the Commander changes nothing"
    );
    story.hand_in("T1.1");
    assert_eq!(
        told(&mut story, second, beside(first, &["a"])),
        Reply::Stale,
        "it is handed in"
    );
    story.gates(|_, _| false);
    let reviews = story.epoch("T1.1/review.1");
    assert_eq!(
        told(&mut story, second, beside(reviews, &["a"])),
        Reply::Stale,
        "a Reviewer changes nothing"
    );
    let mut story = two();
    story.tell(Input::Cancel { by: "me".into() });
    assert!(story.mission.at_work().is_empty());
    assert_eq!(
        told(&mut story, second, beside(first, &["a"])),
        Reply::Stale
    );
    assert_eq!(story.count("conflict_foreseen"), 0);
}

#[test]
fn what_was_still_written_is_told_once_more_when_it_is_handed_in() {
    let mut story = two();
    let (first, second) = (story.epoch("T1.1"), story.epoch("T2.1"));
    let hears = |story: &Story| {
        let works = story.mission.at_work();
        let works = works.iter().find(|works| works.epoch == second);
        works.is_some_and(|works| works.hears)
    };
    for path in ["a", "b", "c"] {
        assert_eq!(hears(&story), path != "c");
        told(&mut story, second, beside(first, &[path]));
    }
    let most = limits::FORESEEN_AT_WORK as usize;
    assert_eq!(story.count("conflict_foreseen"), most, "one is left");
    story.hand_in("T1.1");
    told(&mut story, second, says(commit("T1.1"), "a", "a: more\n"));
    assert_eq!(last(&story).paths, ["a"]);
    assert_eq!(last(&story).stands(), Stands::HandedIn);
    assert_eq!(story.count("conflict_foreseen"), limits::FORESEEN as usize);
    // What is told of what is handed in is not told of what is still written.
    let mut story = Story::planned(
        Terms {
            workers: 3,
            ..Terms::default()
        },
        vec![task("a", &[]), task("b", &[]), task("c", &[])],
    );
    let (second, third) = (story.epoch("T2.1"), story.epoch("T3.1"));
    story.hand_in("T1.1");
    told(&mut story, third, clash(commit("T1.1"), &["a"]));
    told(&mut story, third, beside(second, &["a"]));
    assert_eq!(story.count("conflict_foreseen"), 1);
}

/// A look at one file that finds this there.
fn says(commit: CommitId, path: &str, there: &str) -> Clash {
    Clash {
        files: vec![(path.to_owned(), there.to_owned())],
        ..clash(commit, &[])
    }
}

#[test]
fn what_is_handed_in_or_lands_as_it_was_told_is_not_told_again() {
    let mut story = two();
    let (first, second) = (story.epoch("T1.1"), story.epoch("T2.1"));
    told(&mut story, second, beside(first, &["a", "b"]));
    story.hand_in("T1.1");
    let reply = told(&mut story, second, clash(commit("T1.1"), &["a", "b"]));
    assert_eq!(reply, Reply::Done);
    assert_eq!(story.count("conflict_foreseen"), 1, "it is the same");
    story.gates(|_, _| false);
    story.review("T1.1/review.1", true);
    story.land();
    let line = line(&story);
    told(&mut story, second, clash(line.clone(), &["a"]));
    assert_eq!(
        story.count("conflict_foreseen"),
        1,
        "so it is when it lands"
    );
    // Of one file it says something else, of the other what it said.
    let mut changed = clash(line.clone(), &["a", "b"]);
    changed.files[0].1 = "a: more\n".to_owned();
    told(&mut story, second, changed);
    assert_eq!(last(&story).paths, ["a"]);
    assert_eq!(last(&story).excerpt, "a: more\n");
    assert_eq!(story.count("conflict_foreseen"), 2);
    // The same text of somebody else is news: what it was told of may never land.
    let of_another = Clash {
        landed: vec![attempt("T9.1")],
        ..clash(line, &["b"])
    };
    told(&mut story, second, of_another);
    assert_eq!(last(&story).paths, ["b"]);
}

#[test]
fn a_part_of_what_was_told_is_something_else() {
    for (there, n) in [("a: x\n", 2), ("x\ny\n", 2), ("a: x\ny\n", 1)] {
        let mut story = two();
        let (first, second) = (story.epoch("T1.1"), story.epoch("T2.1"));
        let mut before = beside(first, &["a", "b"]);
        before.files[0].1 = "a: x\ny\n".to_owned();
        told(&mut story, second, before);
        story.hand_in("T1.1");
        told(&mut story, second, says(commit("T1.1"), "a", there));
        assert_eq!(story.count("conflict_foreseen"), n, "{there:?}");
    }
}

#[test]
fn what_is_too_long_to_be_shown_whole_is_told_once_too() {
    let long = format!("a: {}\n", "x".repeat(limits::FORESEEN_BYTES));
    for (there, n) in [(long.clone(), 1), (format!("{long}y\n"), 2)] {
        let mut story = two();
        let (first, second) = (story.epoch("T1.1"), story.epoch("T2.1"));
        let mut before = beside(first, &["a"]);
        before.files[0].1.clone_from(&long);
        told(&mut story, second, before);
        story.hand_in("T1.1");
        told(&mut story, second, says(commit("T1.1"), "a", &there));
        assert_eq!(story.count("conflict_foreseen"), n);
    }
}

#[test]
fn an_engine_that_takes_the_mission_up_finds_both_where_they_stood() {
    let mut story = two();
    let (first, second) = (story.epoch("T1.1"), story.epoch("T2.1"));
    // What was found was lost with the engine, and is found again at the next steps.
    story.now = story.now + Millis::from_mins(5);
    let seen = Some(story.now);
    story.tell(Input::Woke { seen });
    assert_eq!(
        told(&mut story, first, beside(second, &["a"])),
        Reply::Stale
    );
    assert_eq!(told(&mut story, second, beside(first, &["a"])), Reply::Done);
    story.tell(Input::Woke { seen });
    told(&mut story, second, beside(first, &["a"]));
    assert_eq!(story.count("conflict_foreseen"), 1, "it knows that");
}
