//! What a turn reserves of the token budget before it begins.

use crate::teller::{Story, task};
use mission::input::Input;
use mission::limits;
use mission::terms::Terms;

/// The host says which model it asks, and how much that may write.
fn limited(story: &mut Story, turn: &str, model: &str, output: Option<u64>) {
    let (epoch, model) = (story.epoch(turn), model.to_owned());
    story.tell(Input::ModelNamed {
        epoch,
        model,
        output,
    });
}

/// A mission of one Worker without reviews, in which nobody is asked what its plan is worth.
fn unreviewed(tokens: u64) -> Terms {
    Terms {
        tokens,
        workers: 1,
        review_rounds: 0,
        ask_above: Some(u64::MAX),
        task_tokens: Some(tokens),
        ..Terms::default()
    }
}

#[test]
fn how_much_a_model_writes_is_recorded_when_it_is_news_and_of_so_many_models() {
    let mut story = Story::planned(unreviewed(5_000_000), vec![task("a", &[])]);
    let mut told = |model: &str, output| {
        limited(&mut story, "T1.1", model, output);
        story.count("model_limited")
    };
    assert_eq!(told("acme/large", None), 0);
    assert_eq!(told("acme/large", Some(0)), 0);
    assert_eq!(told("acme/large", Some(300)), 1);
    assert_eq!(told("acme/large", Some(300)), 1, "it is known");
    assert_eq!(told("acme/large", None), 1, "nobody takes it back");
    assert_eq!(told("acme/large", Some(400)), 2, "it was set otherwise");
    for n in 0..limits::MODELS {
        told(&format!("odd/{n}"), Some(300));
    }
    assert_eq!(told("acme/large", Some(500)), limits::MODELS + 2);
}
