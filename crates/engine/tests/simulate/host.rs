//! The agents' host: sessions that live on when the engine dies, and whose finished replies are found again.

use crate::git::{Git, Tree};
use crate::rng::Rng;
use crate::scenario::{BROKEN, Faults, Goal, Request, Scenario, TESTS};
use mission::ids::{CommitId, Epoch};
use mission::mission::Lease;
use mission::time::Millis;
use mission::turn::{
    Answer, ChangedTest, Failure, Finding, FindingKind, Intent, Outcome, Report, Role, Usage,
    Verdict,
};
use mission::work::{TestFacts, Work};
use std::collections::BTreeMap;

/// What an agent does with its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Honest,
    Lie,
    Empty,
    NoWork,
    Hang,
    Refused,
    Fails(Failure),
    Protected,
    Blocked,
    SpecWrong,
    WrongKind,
    Breaks,
    RemovesTest { says: bool },
    Strays,
    BadPlan,
}

/// One turn of one agent, by the name of its command.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) epoch: Epoch,
    pub(crate) deed: Deed,
    pub(crate) tokens: u64,
    /// It asks for a permission in the middle of its turn, and stands still until it has it.
    pub(crate) asks: bool,
    /// How it ended, once it has.
    pub(crate) ended: Option<(Outcome, Option<Work>)>,
    /// How often it was run from the start.
    pub(crate) runs: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Host {
    pub(crate) sessions: BTreeMap<String, Session>,
}

impl Deed {
    pub(crate) fn draw(rng: &mut Rng, faults: &Faults, role: Role) -> Self {
        if rng.chance(faults.fatal) {
            return Self::Fails(Failure::Fatal);
        }
        if !rng.chance(faults.agent) {
            return Self::Honest;
        }
        let common = [
            (2, Self::Hang),
            (4, Self::Refused),
            (3, Self::Fails(Failure::Transient)),
            (2, Self::Fails(Failure::NoAnswer)),
            (1, Self::Fails(Failure::Overflow)),
            (1, Self::Fails(Failure::Silent)),
            (1, Self::WrongKind),
        ];
        let own: &[(u64, Self)] = match role {
            Role::Commander => &[(2, Self::BadPlan)],
            Role::Planner => &[(6, Self::BadPlan)],
            Role::Reviewer => &[(12, Self::Lie)],
            Role::Worker => &[
                (12, Self::Lie),
                (3, Self::Empty),
                (1, Self::NoWork),
                (3, Self::Protected),
                (3, Self::Blocked),
                (2, Self::SpecWrong),
                (4, Self::Breaks),
                (2, Self::RemovesTest { says: true }),
                (2, Self::RemovesTest { says: false }),
                (3, Self::Strays),
            ],
        };
        rng.weigh(&[&common, own].concat())
    }

    /// How long such a turn takes; `None` for ever.
    pub(crate) fn length(self, rng: &mut Rng, role: Role) -> Option<Millis> {
        match self {
            Self::Hang => None,
            Self::Refused => Some(Millis(rng.range(50, 2_000))),
            _ if role == Role::Worker => Some(Millis(rng.range(60_000, 18 * 60_000))),
            _ => Some(Millis(rng.range(10_000, 5 * 60_000))),
        }
    }
}

fn used(rng: &mut Rng, session: &Session) -> Usage {
    if session.deed != Deed::Honest && rng.chance(200) {
        return Usage::default();
    }
    Usage {
        input: Some(session.tokens),
        output: Some(0),
        calls: 1,
        ..Usage::default()
    }
}

/// How a turn ends, and what its workspace holds then.
pub(crate) fn end(
    rng: &mut Rng,
    scenario: &Scenario,
    git: &mut Git,
    session: &Session,
    lease: &Lease,
    key: Option<&str>,
) -> (Outcome, Option<Work>) {
    let usage = used(rng, session);
    let goal = key.and_then(|key| scenario.goal(key));
    match session.deed {
        Deed::Refused => {
            let retry_after = [
                None,
                Some(Millis(0)),
                Some(Millis::from_secs(40)),
                Some(Millis(86_400_000)),
            ];
            let retry_after = *rng.pick(&retry_after).unwrap_or(&None);
            (
                Outcome::Refused {
                    retry_after,
                    why: "429".into(),
                    usage,
                },
                None,
            )
        }
        Deed::Fails(failure) => (
            Outcome::Failed {
                failure,
                why: "it failed".into(),
                usage,
            },
            None,
        ),
        deed => {
            let role = lease.turn.role();
            let (answer, work) = match (role, deed) {
                (Role::Worker, Deed::WrongKind) => (Answer::Verdict(verdict(true)), None),
                (_, Deed::WrongKind) => (Answer::Report(report(Vec::new())), None),
                (Role::Commander, _) => (Answer::Intent(intent(rng, scenario, deed)), None),
                (Role::Planner, Deed::BadPlan) => (Answer::Plan(scenario.bad_draft(rng)), None),
                (Role::Planner, _) => (Answer::Plan(scenario.draft()), None),
                (Role::Reviewer, _) => (Answer::Verdict(judge(git, deed, lease, goal)), None),
                (Role::Worker, _) => worked(rng, scenario, git, deed, lease, goal),
            };
            (Outcome::Answered { answer, usage }, work)
        }
    }
}

fn intent(rng: &mut Rng, scenario: &Scenario, deed: Deed) -> Intent {
    match (scenario.request, deed) {
        (Request::Question, _) => Intent::Answer {
            text: "because".into(),
        },
        (_, Deed::BadPlan) => Intent::Small {
            plan: scenario.bad_draft(rng),
        },
        (Request::Small, _) => Intent::Small {
            plan: scenario.draft(),
        },
        (Request::Large, _) => Intent::Plan {
            goal: "all of it".into(),
        },
    }
}

fn verdict(accept: bool) -> Verdict {
    let finding = Finding {
        file: "src".into(),
        line: 1,
        kind: FindingKind::Spec,
        what: "it is not what was asked".into(),
    };
    Verdict {
        accept,
        findings: if accept { Vec::new() } else { vec![finding] },
    }
}

fn judge(git: &Git, deed: Deed, lease: &Lease, goal: Option<&Goal>) -> Verdict {
    let tree = lease
        .base
        .as_ref()
        .map(|commit| git.tree(&git.tree_of(commit)));
    let good = tree.is_some_and(|tree| {
        goal.is_some_and(|goal| goal.is_met(&tree)) && !tree.contains_key(BROKEN)
    });
    verdict(good != (deed == Deed::Lie))
}

fn report(changed_tests: Vec<ChangedTest>) -> Report {
    Report::Done {
        summary: "done".into(),
        changed_tests,
        notes: Vec::new(),
    }
}

fn worked(
    rng: &mut Rng,
    scenario: &Scenario,
    git: &mut Git,
    deed: Deed,
    lease: &Lease,
    goal: Option<&Goal>,
) -> (Answer, Option<Work>) {
    let why = || "it cannot be done like that".to_owned();
    match deed {
        Deed::Blocked => return (Answer::Report(Report::Blocked { why: why() }), None),
        Deed::SpecWrong => return (Answer::Report(Report::SpecWrong { why: why() }), None),
        Deed::NoWork => return (Answer::Report(report(Vec::new())), None),
        _ => {}
    }
    let Some(base) = &lease.base else {
        panic!("a Worker's lease names no base")
    };
    let before = git.tree(&git.tree_of(base));
    let mut tree = match lease.from.as_ref().map(|from| git.pick(&before, from)) {
        Some(Ok(earlier)) => earlier,
        _ => (*before).clone(),
    };
    let turn = lease.turn.to_string();
    let mut changed_tests = Vec::new();
    match deed {
        Deed::Empty => tree = (*before).clone(),
        Deed::Lie => _ = tree.insert(format!("notes/{turn}"), rng.below(1_000)),
        Deed::Breaks => _ = tree.insert(BROKEN.into(), 1),
        Deed::Strays => {
            let other = rng
                .pick(&scenario.goals)
                .map(Goal::path)
                .unwrap_or_default();
            tree.insert(other, 2);
        }
        Deed::RemovesTest { says } => {
            tree.remove(TESTS[0]);
            goal.iter().for_each(|goal| goal.meet(&mut tree));
            changed_tests.extend(says.then(|| ChangedTest {
                path: TESTS[0].into(),
                why: "it was wrong".into(),
            }));
        }
        _ => {
            goal.iter().for_each(|goal| goal.meet(&mut tree));
            tree.remove(BROKEN);
            tree.extend(
                TESTS
                    .iter()
                    .filter(|test| before.contains_key(**test))
                    .map(|test| ((*test).to_owned(), 1)),
            );
            tree.insert(format!("notes/{turn}"), 0);
        }
    }
    let protected = if deed == Deed::Protected {
        vec![".git/config".to_owned()]
    } else {
        Vec::new()
    };
    let work = work_of(git, base, &before, &tree, &turn, protected);
    (Answer::Report(report(changed_tests)), Some(work))
}

fn work_of(
    git: &mut Git,
    base: &CommitId,
    before: &Tree,
    tree: &Tree,
    label: &str,
    protected: Vec<String>,
) -> Work {
    let paths = before.keys().chain(tree.keys());
    let mut touched: Vec<String> = paths
        .filter(|path| before.get(*path) != tree.get(*path))
        .cloned()
        .collect();
    touched.sort();
    touched.dedup();
    let is_test = |path: &&String| path.starts_with("tests/");
    let tests = TestFacts {
        removed: touched
            .iter()
            .filter(is_test)
            .filter(|path| !tree.contains_key(*path))
            .cloned()
            .collect(),
        added: touched
            .iter()
            .filter(is_test)
            .filter(|path| !before.contains_key(*path))
            .cloned()
            .collect(),
        ..TestFacts::default()
    };
    let id = git.write(tree);
    let commit = git.commit(&id, Some(base), label);
    Work {
        commit,
        tree: id,
        files: touched.len() as u32,
        touched,
        tests,
        protected,
    }
}
