//! What agents may do: asked once, for the mission, or for the project.

use crate::teller::{Story, task};
use mission::ids::Epoch;
use mission::input::{Input, Reply};
use mission::question::{Answered, QuestionId, permit};
use mission::rules::{Action, Rule};
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
    // What the agent proposes is not all that one may say.
    story.wait(Millis(10));
    answer(&mut story, 2, "none of these");
    assert_eq!(closed(&story).1.text, "none of these");
    asks(&mut story, epoch, 3, "bash");
    let answer = Input::Answer {
        id: QuestionId(3),
        text: "none of these".to_owned(),
        by: "me".to_owned(),
    };
    assert!(matches!(story.tell(answer), Reply::Refused(_)));
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

#[test]
fn a_rule_answers_at_once_and_is_named_and_one_that_asks_asks_whatever_is_allowed() {
    let rule = |action, pattern: &str| Rule {
        action,
        kind: "bash".to_owned(),
        pattern: pattern.to_owned(),
    };
    let terms = Terms {
        rules: vec![
            rule(Action::Allow, "*"),
            rule(Action::Ask, "make *"),
            rule(Action::Deny, "make install *"),
        ],
        ..Terms::default()
    };
    let says = |story: &mut Story, token, text: &str| {
        let epoch = story.epoch("T1.1");
        story.tell(Input::Question {
            epoch,
            token,
            kind: "bash".into(),
            text: format!("run: {text}"),
            choices: [permit::ONCE, permit::MISSION, permit::DENY]
                .map(str::to_owned)
                .to_vec(),
        });
    };
    let by = |text: &str, by: &str| Answered {
        text: text.to_owned(),
        by: by.to_owned(),
    };
    let mut story = Story::planned(terms.clone(), vec![task("a", &[])]);
    says(&mut story, 1, "ls");
    assert_eq!(closed(&story), (1, by(permit::ONCE, "policy: rule 1")));
    says(&mut story, 2, "make install");
    assert_eq!(closed(&story), (2, by(permit::DENY, "policy: rule 3")));
    says(&mut story, 3, "make all");
    assert_eq!(open(&story), [3], "a person is asked");
    answer(&mut story, 3, permit::MISSION);
    says(&mut story, 4, "make all");
    assert_eq!(open(&story), [4], "and again, whatever was allowed");
    says(&mut story, 5, "make install x");
    assert_eq!(closed(&story), (5, by(permit::DENY, "policy: rule 3")));
    // With nobody there what is to be asked is denied, and what is allowed is not.
    let attended = false;
    let mut story = Story::planned(Terms { attended, ..terms }, vec![task("a", &[])]);
    says(&mut story, 1, "ls");
    assert_eq!(closed(&story), (1, by(permit::ONCE, "policy: rule 1")));
    says(&mut story, 2, "make all");
    assert_eq!(closed(&story), (2, by(permit::DENY, "policy")));
}

#[test]
fn where_rules_tell_commands_apart_what_a_person_allows_counts_for_later_turns_as_well() {
    let terms = Terms {
        rules: vec![Rule {
            action: Action::Deny,
            kind: "bash".to_owned(),
            pattern: "rm *".to_owned(),
        }],
        ..Terms::default()
    };
    let mut story = Story::planned(terms, vec![task("a", &[]), task("b", &["a"])]);
    let first = story.epoch("T1.1");
    asks(&mut story, first, 1, "bash");
    answer(&mut story, 1, permit::MISSION);
    story.wait(Millis(10));
    story.carry("T1.1");
    let second = story.epoch("T2.1");
    asks(&mut story, second, 2, "bash");
    assert_eq!(open(&story), [0; 0]);
    assert_eq!(closed(&story).1.text, permit::ONCE);
}
