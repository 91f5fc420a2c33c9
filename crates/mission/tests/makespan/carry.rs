//! Lets the real core carry a graph out: every turn takes as long as its task does, and all else takes no time.

use crate::shapes::Graph;
use mission::command::Command;
use mission::event::Turn;
use mission::ids::{CommitId, Digest, Epoch, MissionId, TaskId, TreeId};
use mission::input::Input;
use mission::landing::{StackResult, Stacked};
use mission::mission::Mission;
use mission::plan::{Plan, Priority, Task, TaskKind};
use mission::seal::Outcome as SealOutcome;
use mission::terms::{Deliver, Terms};
use mission::time::{Millis, Timestamp};
use mission::turn::{Answer, Failure, Intent, Outcome, Report, Usage};
use mission::work::{Base, TestFacts, Work};
use std::collections::{BTreeMap, BTreeSet};

fn tree(name: &str) -> TreeId {
    Digest::of(name.as_bytes()).as_str().parse().unwrap()
}

fn commit(name: &str) -> CommitId {
    Digest::of(format!("commit {name}").as_bytes())
        .as_str()
        .parse()
        .unwrap()
}

fn plan(graph: &Graph) -> Plan {
    let id = |n: usize| TaskId(n as u32 + 1);
    let task = |(n, node): (usize, &crate::shapes::Node)| Task {
        id: id(n),
        key: format!("k{n}"),
        title: "Do it".into(),
        goal: "It is done".into(),
        kind: TaskKind::Agent,
        needs: node.needs.iter().map(|need| id(*need)).collect(),
        added: Vec::new(),
        writes: Vec::new(),
        acceptance: Vec::new(),
        priority: Priority::Normal,
        size: node.size,
        resources: Vec::new(),
        weight: 1,
    };
    Plan {
        tasks: graph.tasks.iter().enumerate().map(task).collect(),
    }
}

pub(crate) fn begin(graph: &Graph) -> Mission {
    let terms = Terms {
        workers: super::LANES,
        review_rounds: 0,
        tokens: u64::MAX / 2,
        mission: Millis::from_mins(1_000_000),
        deliver: Deliver::None,
        ..Terms::default()
    };
    let now = Timestamp(0);
    let text = String::new;
    let (mut mission, _) = Mission::open(now, MissionId(1), text(), text(), text(), terms);
    let base = Base {
        commit: commit("base"),
        tree: tree("base"),
        branch: None,
        head: None,
        uncommitted: 0,
        left_out: Vec::new(),
    };
    mission.step(
        now,
        Input::Prepared {
            base,
            gates: Vec::new(),
            notes: Vec::new(),
        },
    );
    mission.step(
        now,
        Input::SetUp {
            environment: Digest::of(b""),
            notes: Vec::new(),
        },
    );
    let (epoch, _) = mission.leases().next().expect("the Commander reads");
    let intent = Intent::Plan { goal: text() };
    answer(&mut mission, now, epoch, Answer::Intent(intent), None);
    let (planner, _) = mission.leases().next().expect("the Planner plans");
    let failed = Outcome::Failed {
        failure: Failure::NoAnswer,
        why: text(),
        usage: Usage::NOTHING,
    };
    // The Planner's turn is over, and the plan stands as it is, without acceptance commands.
    let ended = Input::TurnReplied {
        epoch: planner,
        outcome: failed,
        work: None,
    };
    mission.step(now, ended);
    mission.planned_unchecked(now, plan(graph));
    mission
}

fn answer(mission: &mut Mission, now: Timestamp, epoch: Epoch, answer: Answer, work: Option<Work>) {
    let usage = Usage::NOTHING;
    let outcome = Outcome::Answered { answer, usage };
    let input = Input::TurnReplied {
        epoch,
        outcome,
        work,
    };
    mission.step(now, input);
}

pub(crate) fn hand_in(mission: &mut Mission, now: Timestamp, epoch: Epoch, name: &str) {
    let work = Work {
        commit: commit(name),
        tree: tree(name),
        touched: vec!["a".into()],
        files: 1,
        tests: TestFacts::default(),
        protected: Vec::new(),
    };
    let report = Report::Done {
        summary: String::new(),
        changed_tests: Vec::new(),
        notes: Vec::new(),
    };
    answer(mission, now, epoch, Answer::Report(report), Some(work));
}

/// Stacks and moves what is due until nothing is.
pub(crate) fn land(mission: &mut Mission, now: Timestamp) {
    loop {
        let due = mission.due().into_iter().find_map(|command| match command {
            Command::Stack { n, attempts, .. } => {
                let put = |(attempt, _): &(mission::ids::AttemptId, CommitId)| Stacked {
                    attempt: *attempt,
                    result: StackResult::Put {
                        commit: commit(&format!("on {attempt}")),
                        tree: tree(&format!("on {attempt}")),
                    },
                };
                let results = attempts.iter().map(put).collect();
                Some(Input::Stacked { n, results })
            }
            Command::Move { n, to, tree, .. } => Some(Input::Moved {
                n,
                commit: to,
                tree,
            }),
            _ => None,
        });
        match due {
            Some(input) => drop(mission.step(now, input)),
            None => return,
        }
    }
}

/// How long the core takes for a graph, told the true durations beforehand or not.
pub(crate) fn carry(graph: &Graph, clairvoyant: bool) -> u64 {
    let mut mission = begin(graph);
    if clairvoyant {
        let told = (1..).zip(&graph.tasks);
        let told = told.map(|(n, node)| (TaskId(n), Millis(node.takes)));
        mission.foretell(told.collect::<BTreeMap<_, _>>());
    }
    let mut now = Timestamp(0);
    mission.step(now, Input::Tick);
    let mut ends: BTreeSet<(Timestamp, Epoch)> = BTreeSet::new();
    let mut known: BTreeSet<Epoch> = BTreeSet::new();
    loop {
        for (epoch, lease) in mission.leases() {
            let Turn::Work { attempt } = lease.turn else {
                continue;
            };
            if known.insert(epoch) {
                let takes = graph.tasks[attempt.task.0 as usize - 1].takes;
                ends.insert((now + Millis(takes), epoch));
            }
        }
        assert!(mission.leases().count() <= super::LANES as usize);
        let Some((at, epoch)) = ends.pop_first() else {
            break;
        };
        now = at;
        let turn = mission.lease(epoch).expect("no lease ends by itself").turn;
        hand_in(&mut mission, now, epoch, &turn.to_string());
        land(&mut mission, now);
    }
    assert_eq!(mission.landed() as usize, graph.tasks.len());
    assert!(
        matches!(mission.outcome(), Some(SealOutcome::Unverified)),
        "{:?}",
        mission.outcome()
    );
    now.0
}
