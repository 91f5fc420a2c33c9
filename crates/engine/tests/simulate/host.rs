//! The agents' host: sessions that live on when the engine dies, and whose finished replies are found again.

use crate::git::{Git, Tree};
use crate::rng::Rng;
use crate::scenario::{BROKEN, Faults, Goal, Request, Scenario, TESTS};
use mission::event::Turn;
use mission::ids::{CommitId, Epoch};
use mission::limits;
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
    RemovesTest {
        says: bool,
    },
    Strays,
    BadPlan,
    /// Its words are longer than anything that is kept.
    Talks,
}

/// One turn of one agent, by the name of its command.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) epoch: Epoch,
    pub(crate) deed: Deed,
    /// What it will have used at its end, and what of that earlier sessions of its turn had used.
    pub(crate) tokens: u64,
    pub(crate) before: u64,
    /// It asks for a permission in the middle of its turn, and stands still until it has it.
    pub(crate) asks: bool,
    /// How it ended, once it has.
    pub(crate) ended: Option<(Outcome, Option<Work>)>,
    /// How often it was run from the start.
    pub(crate) runs: u32,
    /// What its provider asks to wait for, if it refuses because of the weather.
    pub(crate) storm: Option<Option<Millis>>,
}

#[derive(Debug, Default)]
pub(crate) struct Host {
    pub(crate) sessions: BTreeMap<String, Session>,
    /// What sessions that died had used by then, by the turn that they were for.
    pub(crate) before: BTreeMap<String, u64>,
    /// What it remembers of conversations, until somebody closes them.
    pub(crate) talks: BTreeMap<String, Talk>,
    /// How many there ever were.
    pub(crate) n_talks: u64,
}

/// A conversation, and where it takes place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Talk {
    pub(crate) turn: Turn,
    pub(crate) role: Role,
    pub(crate) lane: u32,
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
            (1, Self::Fails(Failure::Machine)),
            (2, Self::Fails(Failure::NoAnswer)),
            (1, Self::Fails(Failure::Overflow)),
            (1, Self::Fails(Failure::Silent)),
            (1, Self::WrongKind),
            (1, Self::Talks),
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

    /// What it is counted as.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Honest => "an honest turn",
            Self::Lie => "a lie",
            Self::Empty => "a turn that changes nothing",
            Self::NoWork => "a report without work",
            Self::Hang => "a hang",
            Self::Refused => "a refusal",
            Self::Fails(_) => "a failed turn",
            Self::Protected => "a write where no agent may",
            Self::Blocked => "a blocked agent",
            Self::SpecWrong => "a wrong specification",
            Self::WrongKind => "an answer of another kind",
            Self::Breaks => "a broken tree",
            Self::RemovesTest { says: true } => "a test is removed, and it is said",
            Self::RemovesTest { says: false } => "a test is removed, and it is not said",
            Self::Strays => "a write into another's file",
            Self::BadPlan => "a bad plan",
            Self::Talks => "an answer without end",
        }
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

fn used(rng: &mut Rng, scenario: &Scenario, session: &Session) -> Usage {
    // Most are refused before their first call.
    if session.deed == Deed::Refused && session.tokens == 0 {
        return Usage::default();
    }
    if session.deed != Deed::Honest && rng.chance(200) {
        let calls = 1;
        return Usage {
            calls,
            ..Usage::default()
        };
    }
    scenario.purse.used(session.tokens)
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
    let usage = used(rng, scenario, session);
    let goal = key.and_then(|key| scenario.goal(key));
    match session.deed {
        Deed::Refused => {
            let retry_after = rng.weigh(&[
                (25, None),
                (25, Some(Millis(0))),
                (45, Some(Millis::from_secs(40))),
                (4, Some(Millis::from_mins(150))),
                (1, Some(limits::NAMED_MOST)),
            ]);
            // Who says nothing of a wait is one who fails, but for a storm.
            let outage = retry_after.is_none() && session.storm.is_none();
            let retry_after = session.storm.unwrap_or(retry_after);
            (
                Outcome::Refused {
                    retry_after,
                    why: "429".into(),
                    usage,
                    outage,
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
                (Role::Worker, Deed::WrongKind) => (Answer::Verdict(verdict(true, deed)), None),
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
            text: match deed {
                Deed::Talks => endless(),
                _ => "because".into(),
            },
        },
        (_, Deed::BadPlan) => Intent::Small {
            plan: scenario.bad_draft(rng),
        },
        (Request::Small, _) => Intent::Small {
            plan: scenario.draft(),
        },
        (Request::Large, _) => Intent::Plan {
            goal: scenario.goal.into(),
        },
    }
}

fn verdict(accept: bool, deed: Deed) -> Verdict {
    let finding = Finding {
        file: "src".into(),
        line: 1,
        kind: FindingKind::Spec,
        what: match deed {
            Deed::Talks => endless()[..10_000].to_owned(),
            _ => "it is not what was asked".into(),
        },
    };
    let n = match (accept, deed) {
        (_, Deed::Talks) => 200,
        (accept, _) => usize::from(!accept),
    };
    Verdict {
        accept,
        findings: vec![finding; n],
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
    verdict(good != (deed == Deed::Lie), deed)
}

/// More than an event may hold, and of characters that take six bytes each when they are stored.
fn endless() -> String {
    "\u{1}".repeat(1 << 20)
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
    let changed_tests = changes(rng, scenario, deed, goal, &turn, &before, &mut tree);
    let protected = if deed == Deed::Protected {
        vec![".git/config".to_owned()]
    } else {
        Vec::new()
    };
    let work = work_of(git, base, &before, &tree, &turn, protected);
    let mut report = report(changed_tests);
    if let (Deed::Talks, Report::Done { summary, notes, .. }) = (deed, &mut report) {
        *summary = endless();
        notes.extend((0..60).map(|_| summary[..2_000].to_owned()));
    }
    (Answer::Report(report), Some(work))
}

/// What a deed does to the files of a workspace, and which changes of tests it tells of.
fn changes(
    rng: &mut Rng,
    scenario: &Scenario,
    deed: Deed,
    goal: Option<&Goal>,
    turn: &str,
    before: &Tree,
    tree: &mut Tree,
) -> Vec<ChangedTest> {
    let mut changed_tests = Vec::new();
    match deed {
        Deed::Empty => *tree = before.clone(),
        Deed::Lie => _ = tree.insert(format!("notes/{turn}"), rng.below(1_000)),
        Deed::Breaks => _ = tree.insert(BROKEN.into(), 1),
        Deed::Strays => {
            let Some(other) = rng.pick(&scenario.goals) else {
                panic!("a world has goals");
            };
            if rng.chance(500) {
                tree.insert(other.path(), 2);
            } else {
                // Whoever was to do it finds it done, or hands in what is there by then.
                goal.iter().for_each(|goal| goal.meet(tree));
                other.meet(tree);
            }
        }
        Deed::RemovesTest { says } => {
            tree.remove(TESTS[0]);
            goal.iter().for_each(|goal| goal.meet(tree));
            changed_tests.extend(says.then(|| ChangedTest {
                path: TESTS[0].into(),
                why: "it was wrong".into(),
            }));
        }
        _ => {
            goal.iter().for_each(|goal| goal.meet(tree));
            tree.remove(BROKEN);
            tree.extend(
                TESTS
                    .iter()
                    .filter(|test| before.contains_key(**test))
                    .map(|test| ((*test).to_owned(), 1)),
            );
            // Most say something in a file of their own; whoever finds all done already has nothing else to hand in.
            if goal.is_none_or(|goal| goal.is_met(before)) || rng.chance(700) {
                tree.insert(format!("notes/{turn}"), 0);
            }
        }
    }
    changed_tests
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
