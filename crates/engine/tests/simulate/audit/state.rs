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
        self.one_lease_a_task(mission);
        self.slots(mission, now);
        self.is_the_fold(mission);
        assert_eq!(
            mission.todo().version,
            self.edits_recorded,
            "the TODO has another version than it had changes"
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
            let line = git.end();
            assert!(
                line == Some(commit) || line == top,
                "the line is neither where it was nor one move ahead"
            );
        }
        match mission.outcome() {
            Some(_) => self.at_rest(mission),
            None => {
                self.holds(mission, now);
                self.waits(mission, in_flight, now);
            }
        }
    }

    /// A task has at most one lease, and it is the one that its state names.
    fn one_lease_a_task(&self, mission: &Mission) {
        let mut of = BTreeMap::new();
        for (epoch, lease) in mission.leases() {
            if let Turn::Split { task: id, .. } = lease.turn {
                let state = mission.task(id).map(|task| &task.state);
                let waits = matches!(state, Some(State::Splitting { .. }));
                assert!(waits, "{id} is {state:?} and is being cut");
                continue;
            }
            let (Turn::Work { attempt } | Turn::Review { attempt, .. }) = lease.turn else {
                let ahead = |lease: &Lease| mission.is_ahead(lease.turn);
                let beside = mission.leases().filter(|(_, lease)| ahead(lease)).count();
                let others = mission.leases().count() - beside;
                assert!(
                    beside <= 1 && others <= 1,
                    "{} is not the only turn",
                    lease.turn
                );
                continue;
            };
            let two = of.insert(attempt.task, (epoch, lease.turn));
            assert!(two.is_none(), "{} has two leases", attempt.task);
        }
        for task in mission.tasks() {
            let named = match task.state {
                State::Working { epoch } => Some((
                    epoch,
                    Turn::Work {
                        attempt: task.attempt(),
                    },
                )),
                State::Reviewing { epoch } => Some((
                    epoch,
                    Turn::Review {
                        attempt: task.attempt(),
                        n: task.reviews,
                    },
                )),
                _ => None,
            };
            let live = of.remove(&task.task.id);
            assert_eq!(live, named, "{} has another lease", task.task.id);
        }
        assert!(of.is_empty(), "leases of tasks that are not there: {of:?}");
    }
}
