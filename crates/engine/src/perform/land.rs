//! Puts accepted attempts onto the landed line, and moves the line by compare-and-swap.

use super::{Bench, Error, still_owed};
use mission::ids::{AttemptId, CommitId, MissionId, TreeId};
use mission::input::Input;
use mission::landing::{StackResult, Stacked};
use mission::mission::Mission;
use std::collections::BTreeSet;
use tokio_util::sync::CancellationToken;
use workbench::fault;
use workbench::git::RefName;
use workbench::landing::{Landed, StackItem, Stacked as Result_};

/// The branch of the mission repository that holds what has landed.
pub(crate) const LINE: &str = "landed";

/// The ref of the landed line.
pub(crate) fn line() -> Result<RefName, Error> {
    RefName::branch(LINE).map_err(Error::new)
}

/// A stack to be made.
pub(crate) struct Stack {
    mission: MissionId,
    n: u32,
    onto: CommitId,
    items: Vec<StackItem>,
}

pub(crate) fn stack(
    mission: &Mission,
    n: u32,
    onto: &CommitId,
    attempts: &[(AttemptId, CommitId)],
) -> Stack {
    let item = |(attempt, commit): &(AttemptId, CommitId)| {
        let task = mission.task(attempt.task);
        StackItem {
            attempt: *attempt,
            commit: commit.clone(),
            message: task.map_or_else(|| attempt.to_string(), |task| task.task.title.clone()),
            // Any moment would do that is the same after a crash; this one means something to a reader.
            when: task
                .and_then(|task| task.started)
                .unwrap_or(mission.opened()),
        }
    };
    Stack {
        mission: mission.id(),
        n,
        onto: onto.clone(),
        items: attempts.iter().map(item).collect(),
    }
}

impl Stack {
    pub(crate) async fn perform(self, bench: &Bench) -> Result<Input, Error> {
        let Self {
            mission,
            n,
            onto,
            items,
        } = self;
        let results = bench
            .with_repository(move |repository| {
                fault::of("stack.before", &n);
                let stacked = repository
                    .stack(mission, &onto, &items)
                    .map_err(Error::new)?;
                fault::of("stack.after", &n);
                Ok(items
                    .iter()
                    .zip(stacked)
                    .map(|(item, stacked)| told(item.attempt, stacked))
                    .collect())
            })
            .await?;
        Ok(Input::Stacked { n, results })
    }
}

fn told(attempt: AttemptId, stacked: Result_) -> Stacked {
    let result = match stacked {
        Result_::Merged { commit, tree } => StackResult::Put { commit, tree },
        Result_::Empty => StackResult::Empty,
        Result_::Conflict { paths } => StackResult::Conflict {
            paths: paths
                .iter()
                .map(|conflict| conflict.path.to_string())
                .collect(),
            excerpt: paths.iter().map(excerpt).collect::<Vec<_>>().join("\n"),
        },
    };
    Stacked { attempt, result }
}

fn excerpt(conflict: &workbench::landing::ConflictPath) -> String {
    let kind = match conflict.kind {
        workbench::landing::ConflictKind::Content => "both changed the same lines",
        workbench::landing::ConflictKind::BothAdded => "both added it",
        workbench::landing::ConflictKind::DeletedInHead => "what landed deleted it",
        workbench::landing::ConflictKind::DeletedInAttempt => "the attempt deleted it",
        workbench::landing::ConflictKind::Names => "names collide",
    };
    format!(
        "{}: {kind}\nlanded:\n{}\nthe attempt:\n{}",
        conflict.path, conflict.ours, conflict.theirs
    )
}

/// A move of the line.
pub(crate) struct Move {
    pub(crate) n: u32,
    pub(crate) from: CommitId,
    pub(crate) adrift: BTreeSet<CommitId>,
    pub(crate) to: CommitId,
    pub(crate) tree: TreeId,
}

impl Move {
    pub(crate) async fn perform(
        self,
        bench: &Bench,
        cancel: &CancellationToken,
    ) -> Result<Input, Error> {
        let cancel = cancel.clone();
        let Self {
            n,
            from,
            adrift,
            to,
            tree,
        } = self;
        bench
            .with_repository(move |repository| {
                fault::of("move.before", &n);
                let line = line()?;
                let land = |from| repository.land(&line, Some(from), &to).map_err(Error::new);
                let landed = match land(&from)? {
                    // An earlier move was given up, and was made all the same.
                    Landed::Moved { found: Some(found) } if adrift.contains(&found) => {
                        still_owed(&cancel)?;
                        land(&found)?
                    }
                    landed => landed,
                };
                fault::of("move.after", &n);
                match landed {
                    Landed::Landed => Ok(Input::Moved { n, commit: to, tree }),
                    // The line stands elsewhere. Nobody but this engine moves it, so somebody reached into the state.
                    Landed::Moved { found } => Err(Error::lasting(format!(
                        "the landed line stands at {} instead of {from}: somebody changed the mission repository",
                        found.map_or_else(|| "nothing".to_owned(), |commit| commit.to_string())
                    ))),
                }
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[tokio::test]
    async fn the_line_moves_from_where_a_given_up_move_may_have_left_it_and_from_nowhere_else() {
        let sample = sample::mission(&[("a.txt", "a\n")]);
        let (bench, base) = (&sample.bench, &sample.base);
        let repository = bench.repository().unwrap();
        let commit = |what: &str| {
            let made = repository.commit_attempt(&base.commit, &base.tree, what, sample::WHEN);
            made.unwrap()
        };
        let (left, next) = (commit("left"), commit("next"));
        let moves = |adrift: BTreeSet<CommitId>| Move {
            n: 2,
            from: base.commit.clone(),
            adrift,
            to: next.clone(),
            tree: base.tree.clone(),
        };
        let (line, on) = (line().unwrap(), CancellationToken::new());
        repository.land(&line, Some(&base.commit), &left).unwrap();
        let error = moves(BTreeSet::new())
            .perform(bench, &on)
            .await
            .unwrap_err();
        assert!(error.is_final(), "{error}");
        assert_eq!(repository.landed(&line).unwrap(), Some(left.clone()));
        let moved = moves([left].into()).perform(bench, &on).await.unwrap();
        assert!(matches!(moved, Input::Moved { n: 2, .. }));
        assert_eq!(repository.landed(&line).unwrap(), Some(next));
    }
}
