//! What the workspace of a running Worker is looked at for, and when. It looks at nothing and at no clock: it is told what
//! there is and what time it is.

use super::{AHEAD, Glances, Sight};
use mission::foresight::AtWork;
use mission::ids::{AttemptId, CommitId, Epoch};
use std::time::Duration;
use tokio::time::Instant;

/// The most looks that are for the sake of who runs beside it alone: the rest is left for what lands.
const BESIDE: u32 = super::LOOKS / 2;
/// By so much each of them waits longer than the one before: all of them together last for forty minutes, however often
/// somebody writes, and the first come as soon as there is something.
const BESIDE_REST: Duration = Duration::from_millis(500);

/// What there is to look for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Errand {
    /// What stays, the nearest to its landing first.
    pub(super) stays: Vec<CommitId>,
    /// What those had who run before it, by their leases; who began first is the first.
    pub(super) beside: Vec<(CommitId, Epoch)>,
    /// Whether somebody who runs is to be held against the workspace.
    pub(super) is_followed: bool,
}

impl Errand {
    /// The one of a turn that stands on a base.
    pub(super) fn of(
        (attempt, epoch, base): (AttemptId, Epoch, &CommitId),
        sight: &Sight,
        glances: &Glances,
    ) -> Self {
        let stays = sight.ahead.iter().filter(|ahead| match ahead.attempt {
            Some(other) => other.task != attempt.task,
            None => ahead.commit != *base,
        });
        let stays = stays.map(|ahead| ahead.commit.clone()).take(AHEAD);
        let stays: Vec<CommitId> = stays.collect();
        let all = &sight.at_work;
        let (before, behind): (&[AtWork], &[AtWork]) =
            match all.iter().position(|works| works.epoch == epoch) {
                Some(at) if all[at].hears => (&all[..at], &all[at + 1..]),
                Some(at) => (&[], &all[at + 1..]),
                // The turn is over.
                None => (&[], &[]),
            };
        let seen = before.iter().filter_map(|works| {
            let commit = glances.get(&works.epoch)?;
            Some((commit.clone(), works.epoch))
        });
        Self {
            beside: seen.take(AHEAD - stays.len()).collect(),
            stays,
            is_followed: behind.iter().any(|works| works.hears),
        }
    }

    /// All that the workspace is held against; what somebody runs who has it with the lease.
    pub(super) fn others(&self) -> impl Iterator<Item = (&CommitId, Option<Epoch>)> {
        let beside = self.beside.iter();
        let beside = beside.map(|(commit, epoch)| (commit, Some(*epoch)));
        self.stays.iter().map(|commit| (commit, None)).chain(beside)
    }
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Look,
    /// Something has to change first, or it has to be that late.
    Wait(Option<Instant>),
}

/// When a workspace is looked at.
#[derive(Default)]
pub(super) struct Pace {
    /// What it was looked at for last, and at which step; nothing where that failed.
    last: Option<(Errand, u64)>,
    /// The step at which it was looked at once more, because it failed.
    again: Option<u64>,
    /// The looks for the sake of who runs beside it alone, and when the next of them may be.
    n_beside: u32,
    beside_from: Option<Instant>,
}

impl Pace {
    /// Whether there is anything to look for that was not looked for before: something new, or a step since then.
    pub(super) fn next(&mut self, errand: &Errand, step: u64, now: Instant) -> Next {
        let (stays, any) = match &self.last {
            Some((last, at)) if *at == step => (errand.stays != last.stays, errand != last),
            _ => (true, true),
        };
        let is_beside = errand.is_followed || !errand.beside.is_empty();
        if !stays || errand.stays.is_empty() {
            if !any || !is_beside || self.n_beside == BESIDE {
                return Next::Wait(None);
            }
            if self.beside_from.is_some_and(|from| now < from) {
                return Next::Wait(self.beside_from);
            }
            self.n_beside += 1;
            self.beside_from = Some(now + BESIDE_REST * self.n_beside);
        }
        self.last = Some((errand.clone(), step));
        Next::Look
    }

    /// The look failed: it is made again, once at one step.
    pub(super) fn failed(&mut self) {
        let again = self.again;
        let last = self.last.take_if(|(_, step)| again != Some(*step));
        if let Some((_, step)) = last {
            self.again = Some(step);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mission::foresight::Ahead;

    fn works(attempt: &str, epoch: u64) -> AtWork {
        AtWork {
            epoch: Epoch(epoch),
            attempt: attempt.parse().unwrap(),
            hears: true,
        }
    }

    fn commit(n: usize) -> CommitId {
        format!("{n:040x}").parse().unwrap()
    }

    fn errand(who: AtWork, sight: &Sight, glances: &Glances) -> Errand {
        let own = (who.attempt, who.epoch, &commit(0));
        Errand::of(own, sight, glances)
    }

    /// Three who run, of whom the first goes on under another lease, and what each had.
    fn three() -> ([AtWork; 3], Sight, Glances) {
        let all = [works("T1.1", 9), works("T2.1", 6), works("T3.1", 7)];
        let line = Ahead {
            commit: commit(0),
            attempt: None,
        };
        let sight = Sight {
            ahead: vec![line],
            at_work: all.to_vec(),
        };
        let seen = all.map(|works| (works.epoch, commit(works.epoch.0 as usize)));
        (all, sight, Glances::from(seen))
    }

    fn beside(errand: &Errand) -> Vec<u64> {
        errand.beside.iter().map(|(_, epoch)| epoch.0).collect()
    }

    #[test]
    fn each_is_held_against_who_is_before_it_and_the_last_is_looked_at_for_nobody() {
        let (all, sight, mut glances) = three();
        let errands = all.map(|who| errand(who, &sight, &glances));
        assert_eq!(
            errands.each_ref().map(beside),
            [vec![], vec![9], vec![9, 6]]
        );
        let followed = errands.each_ref().map(|errand| errand.is_followed);
        assert_eq!(followed, [true, true, false]);
        // What nobody has looked at yet, or what is over, is held against nothing.
        glances.remove(&Epoch(9));
        assert_eq!(beside(&errand(all[2], &sight, &glances)), [6]);
        let over = errand(works("T4.1", 8), &sight, &glances);
        assert_eq!(over, Errand::default());
    }

    #[test]
    fn who_can_be_told_no_more_of_who_runs_is_held_against_nobody_and_follows_nobody() {
        let (all, mut sight, glances) = three();
        sight.at_work[2].hears = false;
        let errands = all.map(|who| errand(who, &sight, &glances));
        assert_eq!(errands.each_ref().map(beside), [vec![], vec![9], vec![]]);
        let followed = errands.each_ref().map(|errand| errand.is_followed);
        assert_eq!(followed, [true, false, false]);
    }

    #[test]
    fn what_lands_goes_before_what_is_still_written_where_not_all_can_be_looked_at() {
        let who = works("T1.1", 99);
        let attempt = |n: usize| format!("T{}.1", n + 2).parse().unwrap();
        let ahead = (1..AHEAD).map(|n| Ahead {
            commit: commit(n),
            attempt: Some(attempt(n)),
        });
        let before = [works("T20.1", 20), works("T21.1", 21)];
        let sight = Sight {
            ahead: ahead.collect(),
            at_work: before.into_iter().chain([who]).collect(),
        };
        let glances = Glances::from(before.map(|works| (works.epoch, commit(100))));
        let errand = errand(who, &sight, &glances);
        let others: Vec<_> = errand.others().map(|(_, epoch)| epoch).collect();
        let mut wanted = vec![None; AHEAD - 1];
        wanted.push(Some(Epoch(20)));
        assert_eq!(others, wanted);
    }

    /// What is to be held against a line, if it has moved to that, and against what another had.
    fn held(line: Option<usize>, other: usize) -> Errand {
        Errand {
            stays: line.map(commit).into_iter().collect(),
            beside: vec![(commit(other), Epoch(1))],
            is_followed: false,
        }
    }

    #[test]
    fn looks_at_who_runs_beside_come_ever_later_and_what_lands_waits_for_none_of_them() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        let begun = now;
        for n in 1..=BESIDE {
            let (errand, step) = (held(None, n as usize), u64::from(n % 7));
            if n > 1 {
                let from = now + BESIDE_REST * (n - 1);
                assert_eq!(pace.next(&errand, step, now), Next::Wait(Some(from)));
                now = from;
            }
            assert_eq!(pace.next(&errand, step, now), Next::Look);
            let later = now + Duration::from_secs(600);
            assert_eq!(pace.next(&errand, step, later), Next::Wait(None));
            // Nor are those looks counted.
            let landed = held(Some(n as usize), n as usize);
            assert_eq!(pace.next(&landed, step, now), Next::Look);
            assert_eq!(pace.next(&landed, step + 1, now), Next::Look);
        }
        assert!(now - begun > Duration::from_secs(40 * 60));
        let later = now + Duration::from_secs(600);
        assert_eq!(pace.next(&held(None, 0), 9, later), Next::Wait(None));
        assert_eq!(pace.next(&held(Some(0), 0), 9, later), Next::Look);
    }

    #[test]
    fn a_look_that_failed_is_made_again_once_at_a_step() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let errand = held(Some(1), 1);
        for step in 1..3 {
            assert_eq!(pace.next(&errand, step, now), Next::Look);
            pace.failed();
            assert_eq!(pace.next(&errand, step, now), Next::Look);
            pace.failed();
            assert_eq!(pace.next(&errand, step, now), Next::Wait(None));
        }
    }
}
