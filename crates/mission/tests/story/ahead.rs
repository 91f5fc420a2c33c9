//! The plan that is begun beside the Commander, from the request alone.

use crate::teller::{Story, done, task, used};
use mission::ahead::Came;
use mission::event::{Event, Turn};
use mission::ids::TaskId;
use mission::input::{Input, Reply};
use mission::limits;
use mission::mission::Phase;
use mission::plan::Draft;
use mission::seal::Outcome;
use mission::terms::Terms;
use mission::time::Millis;
use mission::todo::TodoEdit;
use mission::turn::{Answer, Failure, Intent, Outcome as TurnOutcome, Usage};

fn terms() -> Terms {
    Terms {
        plan_ahead: true,
        ..Terms::default()
    }
}

/// A mission in which the Commander and a Planner are at work.
fn begun(terms: Terms) -> Story {
    let mut story = Story::open(terms);
    story.prepare(Vec::new());
    story
}

fn plan() -> Answer {
    Answer::Plan(Draft {
        tasks: vec![task("a", &[]), task("b", &[])],
    })
}

/// The Commander wants a plan, and says this of it.
fn wants(goal: &str) -> Answer {
    let goal = goal.into();
    Answer::Intent(Intent::Plan { goal })
}

fn turns(story: &Story) -> Vec<String> {
    let turn = |event: &Event| match event {
        Event::TurnStarted { turn, .. } => Some(turn.to_string()),
        _ => None,
    };
    let told = story.told.iter();
    told.filter_map(|recorded| turn(&recorded.event)).collect()
}

fn came(story: &Story) -> Option<Came> {
    story.mission.planned_ahead()?.settled.clone()
}

/// Why it is void.
fn void(story: &Story) -> String {
    match came(story) {
        Some(Came::Void { why }) => why,
        other => panic!("{other:?}"),
    }
}

fn reserved(story: &Story) -> u64 {
    story.mission.budget().reserved
}

#[test]
fn the_planner_begins_beside_the_commander_only_where_that_is_wanted() {
    let story = begun(terms());
    assert_eq!(turns(&story), ["intent.1", "plan.1"]);
    let lanes: Vec<u32> = story
        .mission
        .leases()
        .map(|(_, lease)| lease.lane)
        .collect();
    assert_eq!(lanes, [1, limits::LANE_AHEAD], "no two share a workspace");
    assert_eq!(reserved(&story), 2 * limits::RESERVE_SHORT);
    assert_eq!(turns(&begun(Terms::default())), ["intent.1"]);
}

#[test]
fn a_plan_that_is_written_first_waits_for_the_commander_and_is_taken_as_it_is() {
    let mut story = begun(terms());
    story.now = story.now + Millis(4_000);
    story.answer("plan.1", plan());
    assert_eq!(story.mission.phase(), Phase::Reading);
    assert_eq!(story.mission.tasks().count(), 0, "nothing is planned yet");
    assert_eq!(story.mission.budget().spent, 1_000);
    story.now = story.now + Millis(5_000);
    // The request is `do it`.
    story.answer("intent.1", wants(" do  it\n"));
    assert_eq!(story.mission.phase(), Phase::Running);
    let ahead = Millis(4_000);
    assert_eq!(came(&story), Some(Came::Used { ahead }));
    assert_eq!(turns(&story), ["intent.1", "plan.1", "T1.1", "T2.1"]);
    for attempt in ["T1.1", "T2.1"] {
        story.carry(attempt);
    }
    assert_eq!(story.mission.outcome(), Some(Outcome::Completed));
}

#[test]
fn a_plan_on_the_way_becomes_the_plan_turn_and_is_repaired_where_it_was_written() {
    let mut story = begun(terms());
    story.now = story.now + Millis(3_000);
    story.answer("intent.1", wants(""));
    let ahead = Millis(3_000);
    assert_eq!(came(&story), Some(Came::Used { ahead }));
    assert_eq!(story.mission.phase(), Phase::Planning);
    assert_eq!(
        turns(&story),
        ["intent.1", "plan.1"],
        "none begins beside it"
    );
    let faulty = Draft {
        tasks: vec![task("a", &["nobody"])],
    };
    story.answer("plan.1", Answer::Plan(faulty));
    let (_, repair) = story.mission.leases().next().unwrap();
    assert_eq!(repair.turn, Turn::Plan { n: 2 });
    assert_eq!(repair.lane, limits::LANE_AHEAD, "where its session is");
    story.answer("plan.2", plan());
    assert_eq!(story.mission.phase(), Phase::Running);
}

#[test]
fn what_the_commander_says_makes_the_plan_void_and_another_one_begins_with_it() {
    for written in [false, true] {
        let mut story = begun(terms());
        if written {
            story.answer("plan.1", plan());
        }
        story.answer("intent.1", wants("do it, and leave the tests alone"));
        assert_eq!(void(&story), "the Commander said more than the request");
        assert_eq!(story.mission.phase(), Phase::Planning);
        assert_eq!(turns(&story), ["intent.1", "plan.1", "plan.2"]);
        // What its turn used is known where it came to its end; else it counts for all that it had.
        let charged = [limits::RESERVE_SHORT, 1_000][usize::from(written)];
        let known = story.mission.planned_ahead().unwrap();
        assert_eq!(known.charged.0, charged);
        assert_eq!(story.mission.budget().spent, 1_000 + charged);
        assert_eq!(reserved(&story), limits::RESERVE_SHORT);
        let (_, lease) = story.mission.leases().next().unwrap();
        assert_eq!(lease.lane, 1);
        let tasks = vec![task("other", &[])];
        story.answer("plan.2", Answer::Plan(Draft { tasks }));
        let title = &story.mission.task(TaskId(1)).unwrap().task.title;
        assert_eq!(
            (title.as_str(), story.mission.tasks().count()),
            ("Do other", 1)
        );
    }
}

#[test]
fn a_late_reply_of_a_plan_that_is_void_means_nothing() {
    let mut story = begun(terms());
    let epoch = story.epoch("plan.1");
    story.answer("intent.1", wants("and more"));
    let outcome = TurnOutcome::Answered {
        answer: plan(),
        usage: used(1_000),
    };
    let late = Input::TurnReplied {
        epoch,
        outcome,
        work: None,
    };
    assert_eq!(story.tell(late), Reply::Stale);
    assert_eq!(story.mission.tasks().count(), 0);
}

#[test]
fn a_question_and_a_small_change_end_it() {
    let mut story = begun(terms());
    let text = "because".into();
    story.answer("intent.1", Answer::Intent(Intent::Answer { text }));
    assert_eq!(void(&story), "the request is a question");
    assert_eq!(story.mission.outcome(), Some(Outcome::Answered));
    assert_eq!((story.mission.leases().count(), reserved(&story)), (0, 0));

    let mut story = begun(terms());
    let tasks = vec![task("small", &[])];
    let plan = Draft { tasks };
    story.answer("intent.1", Answer::Intent(Intent::Small { plan }));
    assert_eq!(void(&story), "a small change needs no planner");
    assert_eq!(turns(&story), ["intent.1", "plan.1", "T1.1"]);
    story.carry("T1.1");
    assert_eq!(story.mission.outcome(), Some(Outcome::Completed));
}

#[test]
fn what_people_say_meanwhile_makes_a_plan_void_that_does_not_know_it() {
    let says = |story: &mut Story| {
        let (task, text, by) = (None, "mind the umlauts".into(), "me".into());
        assert_eq!(story.tell(Input::Steer { task, text, by }), Reply::Done);
    };
    let mut story = begun(terms());
    story.answer("plan.1", plan());
    says(&mut story);
    story.answer("intent.1", wants(""));
    assert_eq!(
        void(&story),
        "its Planner does not know all that people said since"
    );
    // One that was told of it at a step knows it.
    let mut story = begun(terms());
    says(&mut story);
    let epoch = story.epoch("plan.1");
    story.tell(Input::TurnTold { epoch, n: 1 });
    story.answer("plan.1", plan());
    story.answer("intent.1", wants(""));
    assert!(matches!(came(&story), Some(Came::Used { .. })));
    // What is proposed no running turn is told.
    let mut story = begun(terms());
    let (text, by) = ("and a manual".into(), "me".into());
    let edit = TodoEdit::Propose { text };
    story.tell(Input::Edit { edit, by });
    story.answer("intent.1", wants(""));
    assert_eq!(void(&story), "people have written on the TODO since");
}

#[test]
fn a_failure_of_it_is_none_of_the_missions() {
    for failure in [
        Failure::Fatal,
        Failure::Machine,
        Failure::NoAnswer,
        Failure::Transient,
    ] {
        let mut story = begun(terms());
        let (why, usage) = ("it broke".into(), used(10));
        let failed = TurnOutcome::Failed {
            failure,
            why,
            usage,
        };
        story.end("plan.1", failed, None);
        assert_eq!(void(&story), "it failed: it broke");
        assert_eq!(turns(&story), ["intent.1", "plan.1"], "it has one try");
        story.answer("intent.1", wants(""));
        // The mission's own Planner has all its tries.
        for n in 2..2 + limits::PLANNING_TRIES {
            assert!(!story.mission.winding_down(), "{failure:?}");
            let failed = TurnOutcome::Failed {
                failure: Failure::NoAnswer,
                why: "nothing".into(),
                usage: Usage::NOTHING,
            };
            story.end(&format!("plan.{n}"), failed, None);
            story.wait(limits::BACKOFF_MOST);
        }
        assert!(story.mission.outcome().is_some());
    }
    // So is a faulty plan, and an answer of another kind.
    let mut story = begun(terms());
    let tasks = Vec::new();
    story.answer("plan.1", Answer::Plan(Draft { tasks }));
    assert!(
        void(&story).starts_with("it is faulty: "),
        "{}",
        void(&story)
    );
    story.answer("intent.1", wants(""));
    assert_eq!(story.mission.plan_faults(), [""; 0], "nobody repairs it");
    let mut story = begun(terms());
    story.answer("plan.1", Answer::Report(done()));
    assert!(void(&story).starts_with("it failed: "), "{}", void(&story));
}

#[test]
fn a_provider_that_refuses_it_is_left_alone_and_the_commander_goes_on() {
    let mut story = begun(terms());
    let refused = TurnOutcome::Refused {
        retry_after: Some(Millis::from_secs(60)),
        why: "429".into(),
        usage: Usage::default(),
        outage: false,
    };
    story.end("plan.1", refused, None);
    assert_eq!(void(&story), "it was refused: 429");
    story.answer("intent.1", wants(""));
    assert_eq!(story.mission.leases().count(), 0, "the wait is kept");
    story.wait(Millis::from_secs(70));
    assert_eq!(turns(&story), ["intent.1", "plan.1", "plan.2"]);
}

#[test]
fn a_commander_who_is_refused_comes_back_while_the_plan_goes_on() {
    let mut story = begun(terms());
    let refused = TurnOutcome::Refused {
        retry_after: Some(Millis::from_secs(5)),
        why: "429".into(),
        usage: Usage::default(),
        outage: false,
    };
    story.end("intent.1", refused, None);
    let waits = story.mission.waits(story.now);
    assert!(
        waits.iter().any(|wait| wait.who == "commander"),
        "{waits:?}"
    );
    story.wait(Millis::from_secs(6));
    assert_eq!(turns(&story), ["intent.1", "plan.1", "intent.2"]);
    story.answer("plan.1", plan());
    story.answer("intent.2", wants(""));
    assert_eq!(story.mission.phase(), Phase::Running);
}

#[test]
fn it_begins_only_where_there_is_room_for_it_and_for_a_plan_after_it() {
    let turns_of = |terms: Terms| turns(&begun(terms)).len();
    // Four parts of a small budget are enough for the three of them.
    for (tokens, n) in [(1, 1), (2, 1), (400, 2)] {
        let terms = Terms { tokens, ..terms() };
        assert_eq!(turns_of(terms), n, "{tokens}");
    }
    for (most, n) in [(1, 1), (2, 1), (3, 2)] {
        let turns = Some(most);
        let terms = Terms { turns, ..terms() };
        assert_eq!(turns_of(terms), n, "{most} turns");
    }
    let mut story = begun(Terms {
        tokens: 400,
        ..terms()
    });
    // It is lent nothing that the plan after it would need.
    let epoch = story.epoch("plan.1");
    let usage = used(250);
    story.tell(Input::TurnUsed { epoch, usage });
    assert_eq!(void(&story), limits::OVERSPENT);
}

#[test]
fn what_ends_the_mission_ends_it_and_a_resume_reads_without_it() {
    for written in [false, true] {
        let mut story = begun(terms());
        if written {
            story.answer("plan.1", plan());
        }
        story.tell(Input::Cancel { by: "me".into() });
        let why = ["it was cancelled", "the mission winds down"][usize::from(written)];
        assert_eq!(void(&story), why);
        assert_eq!((story.mission.leases().count(), reserved(&story)), (0, 0));
        assert_eq!(story.mission.outcome(), Some(Outcome::Cancelled));
        story.tell(Input::Resume {
            by: "me".into(),
            more_tokens: 0,
            more_money: 0,
            replan: false,
        });
        story.answer("intent.2", wants(""));
        assert_eq!(story.mission.phase(), Phase::Planning);
        assert_eq!(turns(&story), ["intent.1", "plan.1", "intent.2", "plan.2"]);
    }
}

#[test]
fn a_pause_begins_none_and_takes_what_comes_of_one_that_runs() {
    let mut story = Story::open(terms());
    story.find(Vec::new());
    story.tell(Input::Pause { by: "me".into() });
    story.wait(limits::FIRST_LOOK);
    let begun = turns(&story).len();
    story.answer("plan.1", plan());
    story.answer("intent.1", wants(""));
    assert_eq!(story.mission.phase(), Phase::Running);
    assert_eq!(turns(&story).len(), begun, "no Worker begins");
}

#[test]
fn time_without_an_engine_is_not_saved() {
    let mut story = begun(terms());
    story.now = story.now + Millis(2_000);
    let seen = Some(story.now);
    story.now = story.now + Millis::from_mins(60);
    story.tell(Input::Woke { seen });
    story.now = story.now + Millis(1_000);
    story.answer("intent.1", wants(""));
    let ahead = Millis(3_000);
    assert_eq!(came(&story), Some(Came::Used { ahead }));
}

#[test]
fn the_commanders_own_faulty_plan_is_not_mended_where_a_void_one_was_written() {
    let mut story = begun(terms());
    let plan = Draft::default();
    story.answer("intent.1", Answer::Intent(Intent::Small { plan }));
    let (_, repair) = story.mission.leases().next().unwrap();
    assert_eq!((repair.turn, repair.lane), (Turn::Plan { n: 2 }, 1));
    assert_eq!(story.mission.mended_by(2), None, "nobody wrote that");
    assert!(!story.mission.plan_faults().is_empty());
    assert_eq!(story.mission.mended_by(3), Some(Turn::Plan { n: 2 }));
}
