//! Answers that are given before they are asked for again.
//!
//! An engine that takes a mission over finds the questions of the one before it open, and shows them at once. A person may
//! be quicker than the turn that comes back to ask: what is answered then is kept for it, and nobody is asked twice. It is
//! lost with the engine; then the turn asks anew.

use agents::{Question, Reply};
use mission::ids::Epoch;
use mission::mission::Mission;
use mission::question::{About, QuestionId};
use std::collections::BTreeMap;

/// What a turn had asked.
struct Asked {
    epoch: Epoch,
    text: String,
    choices: Vec<String>,
}

/// Questions of an engine before this one, and their answers as long as nobody waits for them. No more than were open.
pub(super) struct Early {
    open: BTreeMap<QuestionId, Asked>,
    answered: Vec<(Asked, Reply)>,
}

impl Early {
    pub(super) fn of(mission: &Mission) -> Self {
        let asked = mission
            .questions()
            .filter_map(|(id, question)| match question.about {
                About::Permission { epoch, .. } => {
                    let (text, choices) = (question.text.clone(), question.choices.clone());
                    let asked = Asked {
                        epoch,
                        text,
                        choices,
                    };
                    Some((id, asked))
                }
                _ => None,
            });
        Self {
            open: asked.collect(),
            answered: Vec::new(),
        }
    }

    /// A question was closed, and nobody waits for its answer here.
    pub(super) fn answered(&mut self, id: QuestionId, reply: Reply) {
        if let Some(asked) = self.open.remove(&id) {
            self.answered.push((asked, reply));
        }
    }

    /// The answer that a turn was given before it came back to ask; once.
    pub(super) fn take(&mut self, epoch: Epoch, question: &Question) -> Option<Reply> {
        let is_it = |(asked, _): &(Asked, Reply)| {
            let same = asked.text == question.text && asked.choices == question.choices;
            asked.epoch == epoch && same
        };
        let n = self.answered.iter().position(is_it)?;
        Some(self.answered.remove(n).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_kept_for_the_turn_that_had_asked_and_given_once() {
        let asked = |epoch| Asked {
            epoch: Epoch(epoch),
            text: "run: make".into(),
            choices: vec!["allow".into()],
        };
        let question = |text: &str| Question {
            text: text.into(),
            choices: vec!["allow".into()],
            about: "bash".into(),
            request: None,
        };
        let open = [(QuestionId(1), asked(3)), (QuestionId(2), asked(4))];
        let mut early = Early {
            open: open.into(),
            answered: Vec::new(),
        };
        let make = question("run: make");
        assert_eq!(early.take(Epoch(3), &make), None, "nobody has answered it");
        early.answered(QuestionId(1), Reply::Allow);
        early.answered(QuestionId(7), Reply::Allow);
        assert_eq!(early.take(Epoch(4), &make), None, "another turn's");
        assert_eq!(early.take(Epoch(3), &question("run: rm")), None);
        assert_eq!(early.take(Epoch(3), &make), Some(Reply::Allow));
        assert_eq!(early.take(Epoch(3), &make), None, "it is asked anew");
    }
}
