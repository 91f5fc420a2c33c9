//! How much models write in one answer, by a book of its own: only what their host said is known, and it is noted once.

use super::*;

/// How much models write in one answer.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    said: BTreeSet<(String, u64)>,
    known: BTreeMap<String, u64>,
}

impl Outputs {
    pub(super) fn are_said(&mut self, model: &str, output: Option<u64>) {
        self.said.extend(output.map(|n| (model.to_owned(), n)));
    }

    pub(super) fn go_on(&mut self, event: &Event) {
        let Event::ModelLimited { model, output } = event else {
            return;
        };
        let of = (model.clone(), *output);
        assert!(
            *output > 0 && self.said.contains(&of),
            "nobody said {of:?} of it"
        );
        let was = self.known.insert(of.0, of.1);
        assert_ne!(was, Some(*output), "that was known of {model}");
    }
}
