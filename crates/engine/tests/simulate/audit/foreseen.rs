//! Conflicts that were foreseen: told to whoever runs, of what still lies ahead of them, once.

use super::*;
use mission::foresight::Foreseen;
use mission::mission::Phase;

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
        let mut running = self.live.keys().filter_map(|epoch| self.leases.get(epoch));
        let lease = running.find(|lease| lease.turn == Turn::Work { attempt });
        let lease = lease.unwrap_or_else(|| panic!("{attempt} does not run and is told"));
        if conflict.landed {
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
        } else {
            let [other] = conflict.with.as_slice() else {
                panic!("nobody has handed that in: {conflict:?}");
            };
            assert_ne!(
                other.task, attempt.task,
                "{attempt} is told of its own work"
            );
            assert_eq!(
                self.works.get(other).map(|work| &work.commit),
                Some(&conflict.commit),
                "{other} has handed in something else"
            );
            assert!(!self.landed.contains(&other.task), "{other} has landed");
        }
        let told = self.foretold.entry(attempt).or_default();
        let again = |path: &&String| told.iter().flatten().any(|known| known == *path);
        let again = conflict.paths.iter().find(again);
        assert_eq!(again, None, "{attempt} is told twice of one conflict");
        told.push(conflict.paths.clone());
        assert!(!conflict.paths.is_empty(), "{attempt} is told of nothing");
        assert_eq!(told.len(), n as usize, "it has another number");
        assert!(n <= limits::FORESEEN, "{attempt} is told too often");
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
