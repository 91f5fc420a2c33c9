//! What agents may do: asked once, for the mission, or for the project.

use crate::teller::{Story, task};
use mission::ids::Epoch;
use mission::input::{Input, Reply};
use mission::question::{Answered, QuestionId, permit};
use mission::terms::Terms;
use mission::time::Millis;

fn asks(story: &mut Story, epoch: Epoch, token: u64, kind: &str) {
    let choices = [permit::ONCE, permit::MISSION, permit::PROJECT, permit::DENY];
    story.tell(Input::Question {
        epoch,
        token,
        kind: kind.to_owned(),
        text: "run: make".to_owned(),
        choices: choices.map(str::to_owned).to_vec(),
    });
}

fn answer(story: &mut Story, id: u32, text: &str) {
    let answer = Input::Answer {
        id: QuestionId(id),
        text: text.to_owned(),
        by: "me".to_owned(),
    };
    assert_eq!(story.tell(answer), Reply::Done);
}

/// The open questions.
fn open(story: &Story) -> Vec<u32> {
    story.mission.questions().map(|(id, _)| id.0).collect()
}

/// How the last question was closed.
fn closed(story: &Story) -> (u32, Answered) {
    let found = story.told.iter().rev().find_map(|told| match &told.event {
        mission::event::Event::QuestionClosed { id, answered } => Some((id.0, answered.clone())),
        _ => None,
    });
    found.expect("a question was closed")
}

#[test]
fn what_is_allowed_for_the_mission_is_asked_about_once() {
    for lasting in [permit::MISSION, permit::PROJECT] {
        let tasks = vec![task("a", &[]), task("b", &[]), task("c", &["a"])];
        let mut story = Story::planned(Terms::default(), tasks);
        let (first, second) = (story.epoch("T1.1"), story.epoch("T2.1"));
        asks(&mut story, first, 1, "bash");
        asks(&mut story, second, 2, "bash");
        asks(&mut story, second, 3, "webfetch");
        story.wait(Millis(10));
        answer(&mut story, 1, lasting);
        assert_eq!(open(&story), [3], "who waits for the same goes on, too");
        assert!(story.mission.allows("bash") && !story.mission.allows("webfetch"));
        asks(&mut story, first, 4, "bash");
        let by_policy = Answered {
            text: permit::ONCE.to_owned(),
            by: "policy".to_owned(),
        };
        assert_eq!(closed(&story), (4, by_policy));
        // A turn that begins later has rules that allow it; if it asks, the user's own rules want that.
        story.wait(Millis(10));
        story.carry("T1.1");
        let third = story.epoch("T3.1");
        asks(&mut story, third, 5, "bash");
        assert_eq!(open(&story), [3, 5]);
    }
}

#[test]
fn what_is_allowed_once_is_asked_about_again() {
    let mut story = Story::planned(Terms::default(), vec![task("a", &[])]);
    let epoch = story.epoch("T1.1");
    for (id, text) in [(1, permit::ONCE), (2, permit::DENY)] {
        asks(&mut story, epoch, u64::from(id), "bash");
        story.wait(Millis(10));
        answer(&mut story, id, text);
    }
    assert!(!story.mission.allows("bash"));
    asks(&mut story, epoch, 3, "bash");
    assert_eq!(open(&story), [3]);
}

#[test]
fn the_answer_to_an_agents_own_question_allows_nothing() {
    let mut story = Story::planned(Terms::default(), vec![task("a", &[])]);
    let epoch = story.epoch("T1.1");
    let kind = mission::question::QUESTION;
    asks(&mut story, epoch, 1, kind);
    story.wait(Millis(10));
    answer(&mut story, 1, permit::PROJECT);
    assert!(!story.mission.allows(kind));
    asks(&mut story, epoch, 2, kind);
    assert_eq!(open(&story), [2]);
}

#[test]
fn what_was_answered_where_the_agent_runs_is_closed_once_and_allows_nothing_else() {
    let tasks = vec![task("a", &[]), task("b", &[])];
    let mut story = Story::planned(Terms::default(), tasks);
    let (first, second) = (story.epoch("T1.1"), story.epoch("T2.1"));
    asks(&mut story, first, 1, "bash");
    asks(&mut story, second, 2, "bash");
    let elsewhere = |token: u64, text: &str| Input::AnsweredElsewhere {
        request: (first, token),
        said: Answered {
            text: text.to_owned(),
            by: "OpenCode".to_owned(),
        },
    };
    // It would last if it were an answer that is given here.
    assert_eq!(story.tell(elsewhere(1, permit::MISSION)), Reply::Done);
    let told = Answered {
        text: permit::ONCE.to_owned(),
        by: "OpenCode".to_owned(),
    };
    assert_eq!(closed(&story), (1, told));
    assert_eq!(open(&story), [2], "the other one is still asked");
    assert!(!story.mission.allows("bash"));
    assert_eq!(story.tell(elsewhere(1, "deny")), Reply::Stale);
    assert_eq!(
        story.tell(elsewhere(2, "deny")),
        Reply::Stale,
        "of another turn"
    );
}
