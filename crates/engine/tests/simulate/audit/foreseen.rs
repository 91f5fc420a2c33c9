//! Conflicts that were foreseen: told to whoever runs, of what still lies ahead of them, once; of two that run to the later
//! one alone.

use super::*;
use mission::foresight::{Foreseen, Stands};
use mission::mission::Phase;

/// What was told of conflicts.
#[derive(Default)]
pub(super) struct Foretold {
    told: BTreeMap<AttemptId, Vec<Foreseen>>,
    /// Who was told of whose work while both worked.
    made_way: BTreeSet<(AttemptId, TaskId)>,
}

impl Audit {
    pub(super) fn foresees(&mut self, event: &Event) -> bool {
        let Event::ConflictForeseen {
            attempt,
            n,
            conflict,
        } = event
        else {
            return false;
        };
        self.foreseen(*attempt, *n, conflict);
        true
    }

    fn foreseen(&mut self, attempt: AttemptId, n: u32, conflict: &Foreseen) {
        let lease = self.runs(attempt);
        let lease = lease.unwrap_or_else(|| panic!("{attempt} does not run and is told"));
        match conflict.stands() {
            Stands::Landed => {
                let head = self.head.as_ref().map(|(commit, _)| commit);
                assert_eq!(head, Some(&conflict.commit), "it is told of an older line");
                assert_ne!(
                    lease.base,
                    Some(conflict.commit.clone()),
                    "it stands on that"
                );
                let stray = |who: &&AttemptId| !self.landed.contains(&who.task);
                let stray = conflict.with.iter().find(stray);
                assert_eq!(stray, None, "it is told that something landed that has not");
            }
            Stands::HandedIn => {
                let other = the_other(attempt, conflict);
                assert_eq!(
                    self.works.get(&other).map(|work| &work.commit),
                    Some(&conflict.commit),
                    "{other} has handed in something else"
                );
                assert!(!self.landed.contains(&other.task), "{other} has landed");
            }
            Stands::AtWork => self.makes_way(attempt, the_other(attempt, conflict)),
        }
        let told = self.foretold.told.entry(attempt).or_default();
        let counts = |known: &&Foreseen| conflict.at_work || !known.at_work;
        let known = told.iter().filter(counts).flat_map(|known| &known.paths);
        let known: BTreeSet<&String> = known.collect();
        let again = conflict.paths.iter().find(|path| known.contains(path));
        assert_eq!(again, None, "{attempt} is told twice of one conflict");
        // What others say is a line here.
        let of_it = |known: &&Foreseen| known.with.iter().any(|with| conflict.with.contains(with));
        let said = told
            .iter()
            .filter(of_it)
            .flat_map(|known| known.excerpt.lines());
        let said: BTreeSet<&str> = said.collect();
        let again = conflict.excerpt.lines().find(|line| said.contains(line));
        assert_eq!(again, None, "{attempt} is told twice in the same words");
        told.push(conflict.clone());
        assert!(!conflict.paths.is_empty(), "{attempt} is told of nothing");
        assert_eq!(told.len(), n as usize, "it has another number");
        let most = limits::FORESEEN - u32::from(conflict.at_work);
        assert!(n <= most, "{attempt} is told too often");
    }

    /// Whether something is told to an attempt that it was told of while it was still written.
    pub(crate) fn is_told_again(&self, attempt: AttemptId, conflict: &Foreseen) -> bool {
        let told = self.foretold.told.get(&attempt).into_iter().flatten();
        let mut written = told.filter(|told| told.at_work && !conflict.at_work);
        written.any(|told| conflict.paths.iter().any(|path| told.paths.contains(path)))
    }

    /// Of two that run the one that began later makes way, and never both: nor does a later attempt at the one's task.
    fn makes_way(&mut self, attempt: AttemptId, other: AttemptId) {
        assert!(self.runs(other).is_some(), "{other} does not run any more");
        assert!(
            !self.foretold.made_way.contains(&(other, attempt.task)),
            "{attempt} and {other} both make way"
        );
        assert!(
            self.first(other) < self.first(attempt),
            "{attempt} began before {other}, and is told of it"
        );
        self.foretold.made_way.insert((attempt, other.task));
    }

    /// The lease of an attempt whose Worker runs.
    fn runs(&self, attempt: AttemptId) -> Option<&Lease> {
        let mut running = self.live.keys().filter_map(|epoch| self.leases.get(epoch));
        running.find(|lease| lease.turn == Turn::Work { attempt })
    }

    /// The first lease that an attempt ever had.
    fn first(&self, attempt: AttemptId) -> Option<Epoch> {
        let mut leases = self.leases.iter();
        let of = |(_, lease): &(&Epoch, &Lease)| lease.turn == Turn::Work { attempt };
        leases.find(of).map(|(epoch, _)| *epoch)
    }

    /// The first lease of the attempt that a Worker's lease is for.
    pub(crate) fn first_of(&self, epoch: Epoch) -> Option<Epoch> {
        match self.leases.get(&epoch)?.turn {
            Turn::Work { attempt } => self.first(attempt),
            _ => None,
        }
    }

    /// Whether the second of two leases is a Worker's that runs and began before the first one's attempt.
    pub(super) fn is_ahead(&self, mission: &Mission, epoch: Epoch, other: Epoch) -> bool {
        let attempt = |epoch| match mission.lease(epoch)?.turn {
            Turn::Work { attempt } => Some(attempt),
            _ => None,
        };
        let (Some(own), Some(other)) = (attempt(epoch), attempt(other)) else {
            return false;
        };
        // Also while the plan waits for a person's word: who runs goes on meanwhile.
        self.first(other) < self.first(own)
    }

    /// Whether a commit is something that a running Worker's result will have to go together with.
    pub(super) fn lies_ahead(&self, mission: &Mission, epoch: Epoch, commit: &CommitId) -> bool {
        let Some(lease) = mission.lease(epoch) else {
            return false;
        };
        let Turn::Work { attempt } = lease.turn else {
            return false;
        };
        let is_handed_in = |task: &TaskState| {
            use State::{Checking, Judging, Landing, Queued, Reviewing};
            let waits = matches!(
                task.state,
                Checking | Judging { .. } | Reviewing { .. } | Queued | Landing
            );
            waits
                && task
                    .work
                    .as_ref()
                    .is_some_and(|work| work.commit == *commit)
        };
        let mut others = mission.tasks().filter(|task| task.task.id != attempt.task);
        let head = mission.head().map(|(commit, _)| commit);
        let is_line = head == Some(commit) && lease.base.as_ref() != Some(commit);
        let runs = mission.phase() == Phase::Running && !mission.winding_down();
        runs && (is_line || others.any(is_handed_in))
    }
}

/// Whose work a conflict is with that has not landed.
fn the_other(attempt: AttemptId, conflict: &Foreseen) -> AttemptId {
    let [other] = conflict.with.as_slice() else {
        panic!("it is nobody's: {conflict:?}");
    };
    assert_ne!(
        other.task, attempt.task,
        "{attempt} is told of its own work"
    );
    *other
}
