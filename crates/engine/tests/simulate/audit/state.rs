//! What holds of the state between two steps.

use super::*;

impl Audit {
    /// What holds of the state between two steps.
    pub(crate) fn state(&self, mission: &Mission, in_flight: usize, now: Timestamp, git: &Git) {
        let leases: Vec<&Lease> = mission.leases().map(|(_, lease)| lease).collect();
        let mut lanes = BTreeSet::new();
        let mut of: BTreeMap<Role, u32> = BTreeMap::new();
        for lease in &leases {
            let role = lease.turn.role();
            assert!(
                lanes.insert((role, lease.lane)),
                "two turns share lane {} of the {role}s",
                lease.lane
            );
            *of.entry(role).or_default() += 1;
        }
        for (role, n) in of {
            let most = match role {
                Role::Worker => self.terms.workers,
                Role::Reviewer => limits::REVIEWERS,
                Role::Commander | Role::Planner => 1,
            };
            assert!(n <= most, "{n} {role}s at once");
        }
        let gates = mission.gate_leases().count();
        assert!(gates <= limits::GATES as usize, "{gates} gates at once");
        let budget = mission.budget();
        let reserved: u64 = leases.iter().map(|lease| lease.reserved).sum();
        assert_eq!(
            (budget.reserved, budget.spent),
            (reserved, self.spent),
            "the budget's sums are wrong"
        );
        assert_eq!(
            reserved,
            self.reserved(),
            "a lease's reservation is not the one that was recorded"
        );
        for task in mission.tasks() {
            let tries = self.tries.get(&task.task.id).copied().unwrap_or(0);
            assert_eq!(
                task.tries, tries,
                "{} counts other tries than happened",
                task.task.id
            );
        }
        if let Some((commit, _)) = mission.head() {
            let top = mission
                .landing()
                .and_then(|landing| landing.top.as_ref())
                .map(|(top, _)| top);
            let line = git.line.as_ref();
            assert!(
                line == Some(commit) || line == top,
                "the line is neither where it was nor one move ahead"
            );
        }
        match mission.outcome() {
            Some(_) => self.at_rest(mission),
            None => self.waits(mission, in_flight, now),
        }
    }
}
