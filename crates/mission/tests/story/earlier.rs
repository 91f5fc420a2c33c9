//! What missions before this one in the same folder tell of how long tasks take.

use crate::teller::{Story, task};
use mission::event::{Event, Recorded};
use mission::ids::MissionId;
use mission::mission::Mission;
use mission::plan::{Size, TaskDraft, TaskKind};
use mission::schedule::Took;
use mission::terms::Terms;
use mission::time::{Millis, Timestamp};

fn took(size: Size, n: u32, each: u64) -> Took {
    Took {
        kind: TaskKind::Agent,
        size,
        n,
        all: Millis::from_mins(each * u64::from(n)),
    }
}

/// A mission after others, and the event that opened it.
fn after(earlier: Vec<Took>) -> (Mission, Recorded) {
    let name = (MissionId(2), "n1".to_owned());
    let what = ("/p".to_owned(), "do it".to_owned());
    Mission::open_after(Timestamp(1_000_000), name, what, Terms::default(), earlier)
}

fn expected(mission: &Mission, size: Size) -> Option<Millis> {
    mission.durations().expected(TaskKind::Agent, size)
}

/// The same story with another opening.
fn retold(story: &Story, earlier: Vec<Took>) -> Mission {
    let (_, first) = after(earlier);
    let rest = story.told[1..].iter();
    Mission::replay(std::iter::once(&first).chain(rest)).unwrap()
}

#[test]
fn a_new_mission_goes_by_what_earlier_ones_took_until_it_knows_enough_itself() {
    let (fresh, _) = after(Vec::new());
    assert_eq!(expected(&fresh, Size::Small), None);
    assert_eq!(fresh.durations().from_earlier(), None);
    let (few, _) = after(vec![took(Size::Small, 2, 4)]);
    assert_eq!(expected(&few, Size::Small), None, "two are chance");
    let known = vec![took(Size::Small, 3, 4), took(Size::Large, 3, 50)];
    let (mission, _) = after(known.clone());
    assert_eq!(expected(&mission, Size::Small), Some(Millis::from_mins(4)));
    assert_eq!(expected(&mission, Size::Large), Some(Millis::from_mins(50)));
    assert_eq!(mission.durations().from_earlier(), Some(6));

    let plan: Vec<TaskDraft> = (1..=3).map(|n| task(&format!("t{n}"), &[])).collect();
    let mut story = Story::planned(Terms::default(), plan);
    let long = Millis::from_mins(9);
    story.wait(long);
    for turn in ["T1.1", "T2.1", "T3.1"] {
        let mission = retold(&story, known.clone());
        assert_eq!(mission.durations().from_earlier(), Some(6), "before {turn}");
        story.hand_in(turn);
    }
    let mission = retold(&story, known);
    assert_eq!(mission.durations().from_earlier(), None);
    assert_eq!(
        expected(&mission, Size::Medium),
        Some(long),
        "its own count alone"
    );
    let own = mission.durations().took();
    assert_eq!(
        own.len(),
        1,
        "what it tells those after it is its own: {own:?}"
    );
    assert_eq!((own[0].n, own[0].all), (3, Millis::from_mins(27)));
}

#[test]
fn the_order_of_a_plan_follows_what_earlier_missions_took_from_its_beginning() {
    let sized = |key: &str, size, needs: &[&str]| TaskDraft {
        size,
        ..task(key, needs)
    };
    // By sizes the large one is longer than two small ones; here small ones took long, and large ones did not.
    let plan = vec![
        sized("large", Size::Large, &[]),
        sized("small", Size::Small, &[]),
        sized("after", Size::Small, &["small"]),
    ];
    let story = Story::planned(Terms::default(), plan);
    let path = |mission: &Mission, n: usize| mission.tasks().nth(n).unwrap().path;
    assert!(path(&story.mission, 0) > path(&story.mission, 1));
    let mission = retold(
        &story,
        vec![took(Size::Small, 3, 30), took(Size::Large, 3, 10)],
    );
    assert_eq!(path(&mission, 1), Millis::from_mins(60).0);
    assert_eq!(path(&mission, 0), Millis::from_mins(10).0);
    let critical = mission.critical_path().unwrap();
    assert_eq!(critical.expected, Some(Millis::from_mins(60)));
}

#[test]
fn an_opening_without_earlier_missions_is_stored_as_it_always_was() {
    let (_, first) = after(Vec::new());
    let text = String::from_utf8(first.encode()).unwrap();
    assert!(!text.contains("earlier"), "{text}");
    let (_, first) = after(vec![took(Size::Small, 3, 4)]);
    assert_eq!(Recorded::decode(&first.encode()).unwrap(), first);
    assert!(matches!(first.event, Event::Opened { ref earlier, .. } if earlier.len() == 1));
}
