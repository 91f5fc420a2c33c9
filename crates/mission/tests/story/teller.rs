//! Tells a mission what a well-behaved world would, one line a step.

use mission::command::Command;
use mission::event::{Event, Purpose, Recorded, Turn};
use mission::gate::{Gate, GateKind, GateResult, GateRun, Program};
use mission::ids::{AttemptId, CommitId, Digest, Epoch, MissionId, TaskId, TreeId};
use mission::input::{Input, Reply};
use mission::landing::{StackResult, Stacked};
use mission::mission::{Mission, State};
use mission::plan::{Draft, TaskDraft};
use mission::terms::Terms;
use mission::time::{Millis, Timestamp};
use mission::turn::{Answer, Intent, Outcome, Report, Usage, Verdict};
use mission::work::{Base, Work};

pub(crate) struct Story {
    pub(crate) mission: Mission,
    pub(crate) now: Timestamp,
    /// With which tools gates run.
    pub(crate) tools: &'static str,
    /// All that happened, the opening included.
    pub(crate) told: Vec<Recorded>,
}

pub(crate) fn tree(name: &str) -> TreeId {
    Digest::of(name.as_bytes()).as_str().parse().unwrap()
}

pub(crate) fn commit(name: &str) -> CommitId {
    Digest::of(format!("commit {name}").as_bytes())
        .as_str()
        .parse()
        .unwrap()
}

/// A task that is proved by the command `check KEY`.
pub(crate) fn task(key: &str, needs: &[&str]) -> TaskDraft {
    TaskDraft {
        id: key.into(),
        title: format!("Do {key}"),
        goal: format!("Do {key} well"),
        needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        acceptance: vec![format!("check {key}")],
        ..TaskDraft::default()
    }
}

pub(crate) fn used(tokens: u64) -> Usage {
    Usage {
        input: Some(tokens),
        output: Some(0),
        calls: 1,
        ..Usage::default()
    }
}

pub(crate) fn done() -> Report {
    Report::Done {
        summary: "done".into(),
        changed_tests: Vec::new(),
        notes: Vec::new(),
    }
}

pub(crate) fn work(attempt: &str) -> Work {
    Work {
        commit: commit(attempt),
        tree: tree(attempt),
        touched: vec!["a".into()],
        files: 1,
        tests: mission::work::TestFacts::default(),
        protected: Vec::new(),
    }
}

pub(crate) fn project_gate(id: &str) -> Gate {
    Gate {
        id: id.into(),
        kind: GateKind::Test,
        program: Program::Shell(format!("run {id}")),
        directory: String::new(),
        timeout: Millis::from_mins(5),
        source: "a test".into(),
        defined_by: Vec::new(),
    }
}

/// Whoever asks why something is as it is with one task sees each event that names it.
fn concerns_whom_it_names(before: &Mission, event: &Event) {
    let told = serde_json::to_value(event).unwrap();
    let epoch = |from: &serde_json::Value| from.get("epoch").and_then(serde_json::Value::as_u64);
    let about = told.get("about").and_then(epoch);
    if let Some(epoch) = epoch(&told).or(about)
        && let Some((_, lease)) = before.leases().find(|(under, _)| under.0 == epoch)
        && let Some(task) = lease.turn.task()
    {
        assert!(
            before.concerned(event).contains(&task),
            "{task} is not shown {told}"
        );
    }
    // Beside a task it is an attempt of an earlier mission.
    let name = told.get("task").or_else(|| told.get("attempt"));
    if let Some(name) = name.and_then(|name| name.as_str()) {
        let task: TaskId = name.split('.').next().unwrap().parse().unwrap();
        let concerned = before.concerned(event);
        assert!(concerned.contains(&task), "{name} is not shown {told}");
    }
}

impl Story {
    pub(crate) fn open(terms: Terms) -> Self {
        let now = Timestamp(1_000_000);
        let (mission, first) = Mission::open(
            now,
            MissionId(1),
            "n0".into(),
            "/p".into(),
            "do it".into(),
            terms,
        );
        Self {
            mission,
            now,
            tools: "environment",
            told: vec![first],
        }
    }

    /// A mission without project gates whose plan stands.
    pub(crate) fn planned(terms: Terms, tasks: Vec<TaskDraft>) -> Self {
        let mut story = Self::open(terms);
        story.prepare(Vec::new());
        story.answer(
            "intent.1",
            Answer::Intent(Intent::Plan {
                goal: "all of it".into(),
            }),
        );
        story.answer("plan.1", Answer::Plan(Draft { tasks }));
        story
    }

    pub(crate) fn prepare(&mut self, gates: Vec<Gate>) {
        self.find(gates);
        self.set_up();
    }

    /// The base is pinned and its gates are found; nothing has run.
    pub(crate) fn find(&mut self, gates: Vec<Gate>) {
        let base = Base {
            commit: commit("base"),
            tree: tree("base"),
            branch: None,
            head: None,
            uncommitted: 0,
            left_out: Vec::new(),
        };
        self.tell(Input::Prepared {
            base,
            gates,
            notes: Vec::new(),
        });
    }

    pub(crate) fn set_up(&mut self) {
        let reply = self.tell(Input::SetUp {
            environment: Digest::of(b"environment"),
            notes: Vec::new(),
        });
        assert_eq!(reply, Reply::Done);
    }

    /// Tells one input and checks that the events alone make the same mission.
    pub(crate) fn tell(&mut self, input: Input) -> Reply {
        let mut before = self.mission.clone();
        let step = self.mission.step(self.now, input);
        for recorded in &step.events {
            concerns_whom_it_names(&before, &recorded.event);
            before.apply(recorded.at, &recorded.event);
        }
        self.told.extend(step.events);
        assert_eq!(Mission::replay(&self.told).as_ref(), Some(&self.mission));
        step.reply
    }

    pub(crate) fn wait(&mut self, length: Millis) {
        self.now = self.now + length;
        self.tell(Input::Tick);
    }

    pub(crate) fn epoch(&self, turn: &str) -> Epoch {
        let found = self
            .mission
            .leases()
            .find(|(_, lease)| lease.turn.to_string() == turn);
        found
            .unwrap_or_else(|| panic!("{turn} does not run; due: {:?}", self.due()))
            .0
    }

    pub(crate) fn due(&self) -> Vec<String> {
        self.mission.due().iter().map(Command::name).collect()
    }

    /// An answer to a running turn.
    pub(crate) fn answer(&mut self, turn: &str, answer: Answer) -> Reply {
        let outcome = Outcome::Answered {
            answer,
            usage: used(1_000),
        };
        self.end(turn, outcome, None)
    }

    pub(crate) fn end(&mut self, turn: &str, outcome: Outcome, work: Option<Work>) -> Reply {
        let epoch = self.epoch(turn);
        self.tell(Input::TurnReplied {
            epoch,
            outcome,
            work,
        })
    }

    /// A Worker hands in; its tree has the attempt's name.
    pub(crate) fn hand_in(&mut self, attempt: &str) {
        let work = work(attempt);
        let outcome = Outcome::Answered {
            answer: Answer::Report(done()),
            usage: used(1_000),
        };
        self.end(attempt, outcome, Some(work));
    }

    pub(crate) fn review(&mut self, turn: &str, accept: bool) {
        self.answer(
            turn,
            Answer::Verdict(Verdict {
                accept,
                findings: Vec::new(),
            }),
        );
    }

    /// Runs due gates until none is left: an acceptance command is red before the work, and `red` says what else is.
    pub(crate) fn gates(&mut self, red: impl Fn(&str, &TreeId) -> bool) {
        while let Some((epoch, run)) = self.gate(&red) {
            self.tell(Input::GateRan { epoch, run });
        }
    }

    /// The gate that runs ends like this.
    pub(crate) fn gate_ends(&mut self, result: GateResult) {
        let (epoch, run) = self.gate(|_, _| false).expect("a gate runs");
        let run = GateRun { result, ..run };
        self.tell(Input::GateRan { epoch, run });
    }

    /// The gate that runs, and how it ends.
    pub(crate) fn gate(&self, red: impl Fn(&str, &TreeId) -> bool) -> Option<(Epoch, GateRun)> {
        let (epoch, lease) = self.mission.gate_leases().next()?;
        let line = lease.gate.program.to_string();
        let red = red(&line, &lease.tree) || matches!(lease.purpose, Purpose::Before { .. });
        let environment = Digest::of(self.tools.as_bytes());
        let run = run_of(&lease.gate, &lease.tree, !red);
        Some((epoch, GateRun { environment, ..run }))
    }

    /// Stacks what is to be stacked; the tree of a stack has the landing's name.
    pub(crate) fn stack(&mut self) {
        let due = self.mission.due();
        let stack = due.iter().find_map(|command| match command {
            Command::Stack { n, attempts, .. } => Some((*n, attempts.clone())),
            _ => None,
        });
        let (n, attempts) = stack.expect("a stack is due");
        let put = |(attempt, _): &(AttemptId, CommitId)| Stacked {
            attempt: *attempt,
            result: StackResult::Put {
                commit: commit(&format!("stack {n} {attempt}")),
                tree: tree(&format!("stack {n}")),
            },
        };
        let results = attempts.iter().map(put).collect();
        self.tell(Input::Stacked { n, results });
    }

    pub(crate) fn move_line(&mut self) {
        let due = self.mission.due();
        let moved = due.into_iter().find_map(|command| match command {
            Command::Move { n, to, tree, .. } => Some(Input::Moved {
                n,
                commit: to,
                tree,
            }),
            _ => None,
        });
        self.tell(moved.expect("a move is due"));
    }

    pub(crate) fn land(&mut self) {
        self.stack();
        self.gates(|_, _| false);
        self.move_line();
    }

    /// Carries one attempt from its Worker to the landed line.
    pub(crate) fn carry(&mut self, attempt: &str) {
        self.hand_in(attempt);
        self.gates(|_, _| false);
        self.review(&format!("{attempt}/review.1"), true);
        self.land();
        self.gates(|_, _| false);
    }

    pub(crate) fn state(&self, id: u32) -> &State {
        &self.mission.task(TaskId(id)).unwrap().state
    }

    pub(crate) fn count(&self, name: &str) -> usize {
        self.told
            .iter()
            .filter(|recorded| recorded.event.name() == name)
            .count()
    }

    /// Every Worker's turn that was started, as it is named.
    pub(crate) fn worked(&self) -> Vec<String> {
        let turn = |recorded: &Recorded| match recorded.event {
            Event::TurnStarted {
                turn: turn @ Turn::Work { .. },
                ..
            } => Some(turn.to_string()),
            _ => None,
        };
        self.told.iter().filter_map(turn).collect()
    }
}

pub(crate) fn run_of(gate: &Gate, tree: &TreeId, green: bool) -> GateRun {
    GateRun {
        gate: gate.id.clone(),
        command: gate.command(),
        tree: tree.clone(),
        environment: Digest::of(b"environment"),
        result: if green {
            GateResult::Passed
        } else {
            GateResult::Failed { exit: 1 }
        },
        output: Digest::of(b""),
        tail: String::new(),
        tests: None,
        as_before: None,
        duration: Millis(1),
    }
}
