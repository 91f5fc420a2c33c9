//! From the mission's state to what an agent is told. An agent sees its own task and what it builds on, never a
//! sibling's order.

use crate::perform::turn::{Brief, Job};
use agents::ShellRule;
use agents::brief::{self, Assignment, Case, Diagnosis, KnownGate, Stuck, Survey};
use mission::event::{Rejection, Turn};
use mission::ids::{AttemptId, Epoch, TaskId};
use mission::judge::Baseline;
use mission::mission::{Mission, State, TaskState};
use mission::plan::TaskKind;
use mission::schedule::Place;
use mission::steering::Said;
use mission::todo::{Line, LineId};
use mission::turn::{AnswerKind, Intent, Report};
use std::collections::BTreeSet;

/// The most of a failing gate's output that a brief carries, in bytes.
const TAIL: usize = 3_000;

/// What a mission's rules say of commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ruled {
    pub(crate) restricts: bool,
    pub(crate) allows: bool,
}

impl Ruled {
    /// What a shell is under: where a rule tells some commands from others each is asked for, and the mission answers.
    pub(crate) fn over(self, shell: ShellRule, allowed: bool) -> ShellRule {
        match (shell, allowed) {
            (ShellRule::Deny, false) if !self.allows => ShellRule::Deny,
            (ShellRule::Deny, false) => ShellRule::AskEach,
            _ if self.restricts => ShellRule::AskEach,
            (ShellRule::Allow, _) | (_, true) => ShellRule::Allow,
            (asked, false) => asked,
        }
    }
}

/// The job of a turn under its lease.
pub(crate) fn turn(mission: &Mission, turn: Turn, epoch: Epoch, lane: u32) -> Job {
    let lease = mission.lease(epoch);
    let base = lease.and_then(|lease| lease.base.clone());
    let from = lease.and_then(|lease| lease.from.clone());
    let limit = match turn {
        Turn::Work { .. } => mission.terms().attempt,
        _ => mission::limits::SHORT_TURN,
    };
    let deadline = lease.map_or(mission.deadline(), |lease| lease.deadline);
    let answer = mission.asks_for(turn);
    let brief = match turn {
        Turn::Intent { .. } => Brief::Intent(survey(mission)),
        Turn::Plan { .. } => Brief::Plan(survey(mission)),
        Turn::Split { task, .. } => Brief::Plan(stuck(mission, task)),
        Turn::Work { attempt } => Brief::Work(assignment(mission, attempt)),
        Turn::Review { attempt, .. } => Brief::Review(case(mission, attempt)),
    };
    let task = match turn {
        Turn::Work { attempt } | Turn::Review { attempt, .. } => mission.task(attempt.task),
        Turn::Split { task, .. } => mission.task(task),
        Turn::Intent { .. } | Turn::Plan { .. } => None,
    };
    let what = task.map_or_else(String::new, |task| task.task.title.clone());
    let title = format!("{turn} {what}").trim_end().to_owned();
    Job {
        mission: mission.id(),
        nonce: mission.nonce().to_owned(),
        turn,
        epoch,
        key: task.map(|task| task.task.key.clone()),
        title,
        what,
        tried: match (answer, task) {
            (AnswerKind::Diagnosis, Some(task)) => mission.strategies(task.task.id),
            _ => Vec::new(),
        },
        answer,
        brief,
        told: mission.said().last().map_or(0, |said| said.n),
        lane: Place::of(turn.role(), lane),
        base,
        workers: mission
            .terms()
            .workers
            .clamp(1, mission::limits::SLOTS_FIRST),
        origin: mission.base().map(|base| base.commit.clone()),
        from,
        case_base: task
            .and_then(|task| task.base.clone())
            .map(|(commit, _)| commit),
        since: task
            .and_then(|task| task.started)
            .unwrap_or(mission.opened()),
        limit,
        deadline,
        continues: continues(mission, turn),
        closed: closed(mission),
        ahead: ahead(mission, turn),
        model: lease.and_then(|lease| lease.model.clone()),
        shell_allowed: mission.allows(agents::SHELL),
        ruled: Ruled {
            restricts: mission.restricts(agents::SHELL),
            allows: mission.may_allow(agents::SHELL),
        },
        definitions: definitions(mission),
        works: crate::perform::turn::works(mission),
    }
}

/// The files that define the project's checks.
fn definitions(mission: &Mission) -> BTreeSet<String> {
    let gates = mission.gates().iter();
    gates.flat_map(|gate| gate.defined_by.clone()).collect()
}

/// The sessions that are being closed, which nobody goes on with.
fn closed(mission: &Mission) -> Vec<String> {
    let retired = mission.sessions().retired();
    retired.map(|(name, _)| name.to_owned()).collect()
}

/// What the tasks that wait are expected to write, in the order of the plan, for whoever has time while an agent works.
fn ahead(mission: &Mission, turn: Turn) -> Vec<crate::perform::Waiting> {
    if !matches!(turn, Turn::Work { .. }) {
        return Vec::new();
    }
    let waits = |task: &&TaskState| {
        let open = matches!(
            task.state,
            State::Waiting { .. } | State::Ready | State::Parked { .. }
        );
        open && task.task.kind == TaskKind::Agent && !task.task.writes.is_empty()
    };
    let waiting = mission.tasks().filter(waits).take(crate::perform::AHEAD);
    waiting
        .map(|task| (task.task.id, task.task.writes.clone()))
        .collect()
}

/// A plan's repair goes on with the conversation in which the faulty plan was written.
fn continues(mission: &Mission, turn: Turn) -> Option<String> {
    match turn {
        Turn::Plan { n } => mission.mended_by(n).map(|turn| turn.to_string()),
        Turn::Split { task, n } if n > 1 => {
            let refused = mission
                .task(task)
                .is_some_and(|it| !it.cut().faults().is_empty());
            refused.then(|| Turn::Split { task, n: n - 1 }.to_string())
        }
        _ => None,
    }
}

fn survey(mission: &Mission) -> Survey {
    let goal = match mission.intent() {
        Some(Intent::Plan { goal }) => Some(goal.clone()),
        _ => None,
    };
    let landed = mission.tasks().filter(|task| task.state == State::Landed);
    let failed = mission.tasks().filter_map(|task| match &task.state {
        State::Failed { why } => Some(format!("{}: {why}", task.task.title)),
        State::Skipped { why, .. } => Some(format!(
            "{}: a person does not want it done, {why}",
            task.task.title
        )),
        _ => None,
    });
    Survey {
        request: mission.request().to_owned(),
        planned_ahead: mission.terms().plan_ahead,
        goal,
        gates: gates(mission),
        landed: landed
            .map(|task| (task.task.key.clone(), task.task.title.clone()))
            .collect(),
        failed: failed.collect(),
        faults: mission.plan_faults().to_vec(),
        proposed: proposed(mission),
        notes: said(mission),
        ..Survey::default()
    }
}

/// What the Planner is told of a task that is to be cut anew.
fn stuck(mission: &Mission, id: TaskId) -> Survey {
    let whole = survey(mission);
    let Some(task) = mission.task(id) else {
        return whole;
    };
    let Assignment {
        title,
        goal,
        writes,
        acceptance,
        history,
        notes,
        ..
    } = assignment(mission, task.attempt());
    // What others are about: a piece is named like none of them, and does nothing of theirs.
    let others = mission.tasks().filter(|other| other.task.id != id);
    let others = others.map(|other| (other.task.key.clone(), other.task.title.clone()));
    Survey {
        faults: task.cut().faults().to_vec(),
        stuck: Some(Stuck {
            title,
            goal,
            writes,
            acceptance,
            history,
            tried: mission.strategies(id),
            others: others.collect(),
        }),
        notes,
        landed: Vec::new(),
        failed: Vec::new(),
        proposed: Vec::new(),
        ..whole
    }
}

/// What people wrote on the TODO that no Worker is told: lines of their own, and notes beside tasks that have landed.
fn proposed(mission: &Mission) -> Vec<String> {
    let landed = |id: TaskId| {
        let task = mission.task(id);
        task.filter(|task| task.state == State::Landed)
    };
    let told = |(id, line): (LineId, &Line)| match id {
        LineId::Proposal(_) if line.note.is_empty() => Some(line.text.clone()),
        LineId::Proposal(_) => Some(format!("{} ({})", line.text, line.note)),
        LineId::Task(_) if line.note.is_empty() => None,
        LineId::Task(id) => Some(format!("to {}: {}", landed(id)?.task.title, line.note)),
    };
    mission.todo().lines().filter_map(told).collect()
}

/// What people said after the request, for whoever plans.
fn said(mission: &Mission) -> Vec<String> {
    let told = |said: &Said| match said.task.and_then(|id| mission.task(id)) {
        Some(task) => format!("to {}: {}", task.task.title, said.text),
        None => said.text.clone(),
    };
    mission.said().iter().map(told).collect()
}

fn gates(mission: &Mission) -> Vec<KnownGate> {
    let base = mission.base().map(|base| &base.tree);
    let known = mission.gates().iter().map(|gate| {
        let run = base.and_then(|tree| mission.evidence(tree, &gate.command()));
        let failing = run
            .and_then(|evidence| evidence.run.tests.as_ref())
            .map(|tests| tests.failed.clone());
        KnownGate {
            name: gate.id.clone(),
            command: brief::command(gate),
            baseline: match mission.baseline(gate) {
                None => "not known yet",
                Some(Baseline::Green) => "green",
                Some(Baseline::Red) => "red",
                Some(Baseline::Flaky) => "flaky",
                Some(Baseline::Unusable) => "unusable here",
            },
            failing: failing.unwrap_or_default(),
        }
    });
    known.collect()
}

fn assignment(mission: &Mission, attempt: AttemptId) -> Assignment {
    let Some(task) = mission.task(attempt.task) else {
        return Assignment::default();
    };
    let needs = task
        .task
        .needs
        .iter()
        .filter_map(|need| mission.task(*need));
    let said = |need: &TaskState| match (&need.state, &need.report) {
        (State::Skipped { why, .. }, _) => {
            format!("It was not done, and you work without it. It was skipped {why}")
        }
        (_, Some(Report::Done { summary, .. })) => summary.clone(),
        _ => need.notes.join("; "),
    };
    let note = mission.todo().line(LineId::Task(attempt.task)).note;
    let note = Some(note).filter(|note| !note.is_empty());
    Assignment {
        title: task.task.title.clone(),
        goal: task.task.goal.clone(),
        writes: task.task.writes.clone(),
        resources: task.task.resources.clone(),
        files: Vec::new(),
        habits: None,
        defines: Vec::new(),
        tests: Vec::new(),
        acceptance: task.task.acceptance.iter().map(brief::command).collect(),
        builds_on: needs
            .map(|need| (need.task.title.clone(), said(need)))
            .collect(),
        gates: gates(mission),
        history: task
            .history
            .iter()
            .map(|(attempt, why)| told(mission, *attempt, why))
            .collect(),
        goes_on: task.from.is_some(),
        notes: task
            .notes
            .iter()
            .cloned()
            .chain(note)
            .chain(mission.said_of(attempt.task).map(str::to_owned))
            .collect(),
        diagnosis: mission.diagnoses(attempt).then(|| Diagnosis {
            alike: task.stuck.alike(),
            tried: mission.strategies(attempt.task),
            log: Vec::new(),
        }),
    }
}

/// Why an attempt was turned down, with what its Worker needs to mend it.
fn told(mission: &Mission, attempt: AttemptId, rejection: &Rejection) -> String {
    let mut text = format!("{attempt}: {}", mission.told(rejection));
    match rejection {
        Rejection::Review { findings } => {
            for finding in findings {
                text.push_str(&format!("\n- {}", brief::finding(finding)));
            }
        }
        Rejection::Gate { gate, tree } => {
            let run = mission
                .all_evidence()
                .map(|evidence| &evidence.run)
                .find(|run| run.gate == *gate && run.tree == *tree);
            if let Some(run) = run {
                text.push_str(&format!("\n{}", last(&run.tail, TAIL)));
            }
        }
        Rejection::Conflict { excerpt, .. } => text.push_str(&format!("\n{excerpt}")),
        _ => {}
    }
    text
}

fn last(text: &str, bytes: usize) -> &str {
    let mut start = text.len().saturating_sub(bytes);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

fn case(mission: &Mission, attempt: AttemptId) -> Case {
    let Some(task) = mission.task(attempt.task) else {
        return Case::default();
    };
    let Some(work) = mission.work(attempt) else {
        return Case::default();
    };
    let ran = |gate: &mission::gate::Gate| {
        let run = mission.evidence_for(task, &work.tree, &gate.command());
        let ended = match run {
            Some(evidence) if evidence.run.result.passed() => "passed".to_owned(),
            Some(evidence) => format!("{:?}", evidence.run.result),
            None => "has not run".to_owned(),
        };
        let before = task
            .base
            .as_ref()
            .and_then(|(_, tree)| mission.evidence_for(task, tree, &gate.command()));
        let before = match before {
            Some(evidence) if evidence.run.result.passed() => {
                "; it passed before the work too, so it proves no change"
            }
            Some(_) => "; it was red before the work",
            None => "",
        };
        format!("`{}`: {ended}{before}", brief::command(gate))
    };
    // The author's words are no evidence and are not shown; which test changes were declared is a fact.
    let declared = match &task.report {
        Some(Report::Done { changed_tests, .. }) => changed_tests.as_slice(),
        _ => &[],
    };
    let declared = declared
        .iter()
        .map(|test| format!("declared change of the test {}: {}", test.path, test.why));
    let tests = &work.tests;
    let facts = [
        ("adds the test", &tests.added),
        ("changes the test", &tests.changed),
        ("removes the test", &tests.removed),
        ("skips", &tests.silenced),
        ("changes what a check runs:", &tests.gates),
    ];
    let facts = facts
        .iter()
        .flat_map(|(what, paths)| paths.iter().map(move |path| format!("{what} {path}")));
    let earlier = task.history.iter().filter_map(|(_, why)| match why {
        Rejection::Review { findings } => {
            Some(findings.iter().map(brief::finding).collect::<Vec<_>>())
        }
        _ => None,
    });
    Case {
        title: task.task.title.clone(),
        goal: task.task.goal.clone(),
        evidence: task.task.acceptance.iter().map(ran).collect(),
        facts: facts
            .chain(declared)
            .chain(mission.tests_told(attempt.task))
            .collect(),
        earlier: earlier.flatten().collect(),
        notes: mission.said_of(attempt.task).map(str::to_owned).collect(),
        ..Case::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mission::ids::{CommitId, Digest, MissionId, TreeId};
    use mission::input::Input;
    use mission::plan::{Draft, TaskDraft};
    use mission::terms::Terms;
    use mission::time::Timestamp;
    use mission::todo::TodoEdit;
    use mission::turn::{Answer, Outcome, Usage};
    use mission::work::Base;

    /// A mission whose plan of one task stands.
    fn planned() -> Mission {
        let (id, nonce) = (MissionId(1), "n".to_owned());
        let (project, request) = ("/p".to_owned(), "do it".to_owned());
        let now = Timestamp(1_000);
        let (mut mission, _) = Mission::open(now, id, nonce, project, request, Terms::default());
        let object = Digest::of(b"x");
        let (commit, tree): (CommitId, TreeId) = (
            object.as_str().parse().unwrap(),
            object.as_str().parse().unwrap(),
        );
        let base = Base {
            commit,
            tree,
            branch: None,
            head: None,
            uncommitted: 0,
            left_out: Vec::new(),
        };
        let prepared = Input::Prepared {
            base,
            gates: Vec::new(),
            notes: Vec::new(),
        };
        mission.step(now, prepared);
        let set_up = Input::SetUp {
            environment: object,
            notes: Vec::new(),
        };
        mission.step(now, set_up);
        let task = TaskDraft {
            id: "a".into(),
            title: "Do a".into(),
            goal: "a is done".into(),
            acceptance: vec!["test -e a".into()],
            resources: vec!["database".into()],
            ..TaskDraft::default()
        };
        let plan = Draft { tasks: vec![task] };
        let (epoch, _) = mission.leases().next().unwrap();
        let outcome = Outcome::Answered {
            answer: Answer::Intent(Intent::Small { plan }),
            usage: Usage::default(),
        };
        let work = None;
        mission.step(
            now,
            Input::TurnReplied {
                epoch,
                outcome,
                work,
            },
        );
        mission
    }

    fn write(mission: &mut Mission, edit: TodoEdit) {
        let by = "me".to_owned();
        mission.step(Timestamp(2_000), Input::Edit { edit, by });
    }

    #[test]
    fn where_rules_tell_commands_apart_each_is_asked_for() {
        use ShellRule::{Allow, Ask, AskEach, Deny};
        let over = |restricts, allows, shell, allowed| {
            let ruled = Ruled { restricts, allows };
            ruled.over(shell, allowed)
        };
        // Without a rule nothing changes.
        for (shell, allowed, then) in [
            (Allow, false, Allow),
            (Ask, false, Ask),
            (Deny, false, Deny),
            (Ask, true, Allow),
        ] {
            assert_eq!(over(false, false, shell, allowed), then);
        }
        // What is denied or to be asked about is seen although all is allowed, and what may be allowed although none is.
        for (shell, allowed) in [(Allow, false), (Ask, true), (Ask, false)] {
            assert_eq!(over(true, false, shell, allowed), AskEach);
        }
        assert_eq!(over(true, false, Deny, false), Deny);
        assert_eq!(over(false, true, Deny, false), AskEach);
    }

    #[test]
    fn what_people_write_and_the_plan_says_reaches_whoever_it_is_for() {
        let mut mission = planned();
        let (line, saw) = (LineId::Task(TaskId(1)), 0);
        let text = "mind the umlauts".to_owned();
        write(&mut mission, TodoEdit::Note { line, saw, text });
        let text = "and a manual".to_owned();
        write(&mut mission, TodoEdit::Propose { text });
        let attempt = AttemptId {
            task: TaskId(1),
            n: 1,
        };
        let told = assignment(&mission, attempt).text();
        assert!(told.contains("- mind the umlauts"), "{told}");
        let alone = "Nobody else of this plan uses, while you work\n\n- database\n";
        assert!(told.contains(alone), "{told}");
        assert!(!told.contains("manual"), "{told}");
        let planner = survey(&mission).for_planner();
        assert!(planner.contains("- and a manual"), "{planner}");
        assert!(!planner.contains("umlauts"), "{planner}");
    }
}
