//! What a turn reserves, by a book of its own: of how much each model writes only what its host said is known.

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

impl Audit {
    /// What a turn of a role reserves that is asked of a model.
    pub(super) fn reserve(&self, role: Role, model: &str) -> u64 {
        let (steps, common, part) = match role {
            Role::Worker => (limits::STEPS_WORK, limits::RESERVE_WORK, 4),
            Role::Reviewer => (limits::STEPS_SHORT, limits::RESERVE_SHORT, 8),
            Role::Commander | Role::Planner => (limits::STEPS_SHORT, limits::RESERVE_SHORT, 4),
        };
        let most = common.min(self.limit / part);
        let known = self.asks.outputs.known.get(model);
        let written = known.map(|output| output.saturating_mul(steps.into()));
        written.map_or(most, |written| written.min(most)).max(1)
    }

    /// What is kept for a turn of a role that comes later, whatever it is asked of then.
    pub(super) fn reserve_later(&self, role: Role) -> u64 {
        let models = self.asks.all_for(role, &self.terms);
        let all = models.iter().map(|model| self.reserve(role, model));
        all.max().unwrap_or(0)
    }

    /// What a Worker that begins may reserve, besides what its review and those of others hold.
    pub(super) fn left_for_work(&self, mission: &Mission) -> u64 {
        let own = match self.terms.review_rounds {
            0 => 0,
            _ => self.reserve_later(Role::Reviewer),
        };
        let held = mission.held_for_reviews().0 + own;
        mission.budget().free().saturating_sub(held)
    }
}
