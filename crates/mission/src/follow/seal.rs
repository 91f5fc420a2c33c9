//! The end: when nothing can move any more, how it ended, and why not better.

use super::*;
use crate::bounds::few;

impl Mission {
    /// Whether no task can move any more without a gate of the seal.
    pub(super) fn nothing_moves(&self) -> bool {
        self.phase == Phase::Running
            && self.leases.is_empty()
            && self.landing.is_none()
            && self.questions.is_empty()
            && [
                self.ready.len(),
                self.parked.len(),
                self.checking.len(),
                self.judging.len(),
                self.cuts.due.len(),
                self.queue.len(),
            ]
            .iter()
            .all(|waiting| *waiting == 0)
    }

    pub(super) fn seal(&self, _now: Timestamp) -> Vec<Event> {
        let gated = self.gate_leases.is_empty() || planted!("sealed_over_running_gates");
        let over = self.nothing_moves() && gated;
        let graded = || {
            self.befores
                .iter()
                .all(|id| self.next_before(*id).is_none())
        };
        if !over || !graded() || self.next_seal_gate().is_some() {
            return Vec::new();
        }
        vec![self.sealed()]
    }

    pub(super) fn sealed(&self) -> Event {
        let (outcome, reasons) = self.verdict();
        let reasons = few(reasons, limits::REASONS);
        let landed = self.head.as_ref().filter(|_| self.landed > 0);
        let (commit, tree) = (
            landed.map(|(commit, _)| commit.clone()),
            landed.map(|(_, tree)| tree.clone()),
        );
        Event::Sealed {
            outcome,
            reasons,
            commit,
            tree,
        }
    }

    /// How the mission ends, and why not better.
    pub(super) fn verdict(&self) -> (Outcome, Vec<String>) {
        let mut reasons: Vec<String> = self.halted.iter().cloned().collect();
        let mut disputed = false;
        for task in self
            .tasks
            .values()
            .filter(|task| task.state != State::Landed)
        {
            disputed |= task.state == State::Disputed;
            reasons.push(format!(
                "{} ({}) {}",
                task.task.id,
                task.task.title,
                self.why_not_landed(task)
            ));
        }
        if self.cancelled {
            return (Outcome::Cancelled, reasons);
        }
        if self.is_answered() {
            return (Outcome::Answered, reasons);
        }
        let everything =
            !self.tasks.is_empty() && self.tasks.values().all(|task| task.state == State::Landed);
        if !everything {
            let outcome = match (disputed, self.landed) {
                (true, _) => Outcome::Disputed,
                (false, 0) => Outcome::Failed,
                (false, _) => Outcome::Partial,
            };
            return (outcome, reasons);
        }
        reasons.extend(self.seal_faults());
        if !reasons.is_empty() {
            return (Outcome::Partial, reasons);
        }
        reasons.extend(self.unproved());
        if reasons.is_empty() {
            (Outcome::Completed, reasons)
        } else {
            (Outcome::Unverified, reasons)
        }
    }

    /// Why what has landed is not proved, although nothing is red.
    fn unproved(&self) -> Vec<String> {
        let named = |task: &TaskState| format!("{} ({})", task.task.id, task.task.title);
        let of = |kind: TaskKind| self.tasks.values().filter(move |t| t.task.kind == kind);
        let mut reasons = Vec::new();
        if of(TaskKind::Agent).next().is_none() && !planted!("looking_counted_as_work") {
            reasons.push("no task changed anything: the plan only looks at what was there".into());
        }
        let claimed = of(TaskKind::Agent).filter(|t| self.grade(t.task.id) == Grade::Claimed);
        for task in claimed {
            let named = named(task);
            reasons.push(format!(
                "nothing proves {named}: its checks were green before the work"
            ));
        }
        let silent = |task: &&TaskState| task.notes.iter().any(|note| note == UNANSWERED);
        for task in of(TaskKind::Ask).filter(silent) {
            reasons.push(format!("nobody answered {}", named(task)));
        }
        reasons
    }

    pub(super) fn why_not_landed(&self, task: &TaskState) -> String {
        match &task.state {
            State::Failed { why } => format!("failed: {why}"),
            State::Disputed => Self::dispute_told(task),
            State::Skipped { why, .. } => format!("was skipped {why}"),
            State::Waiting { .. } => {
                let open = |need: &&TaskId| {
                    self.tasks.get(need).is_some_and(|need| {
                        !matches!(
                            need.state,
                            State::Landed | State::Skipped { without: true, .. }
                        )
                    })
                };
                let names: Vec<String> = task
                    .task
                    .needs
                    .iter()
                    .filter(open)
                    .map(TaskId::to_string)
                    .collect();
                format!("did not start: it needs {}", names.join(", "))
            }
            other => format!("was not finished ({})", other.word()),
        }
    }
}
