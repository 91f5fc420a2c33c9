//! What the project's gates say, and what may land because of it: a second judge, which knows the truth of every tree.

use super::*;
use crate::scenario::BROKEN;

impl Audit {
    /// What there is to judge by: the project's gates, and the tools that they run with. Whether the event says that.
    pub(super) fn judges(&mut self, event: &Event) -> bool {
        match event {
            Event::Prepared { base, gates, .. } => {
                self.head = Some((base.commit.clone(), base.tree.clone()));
                self.base = Some(base.tree.clone());
                self.project.clone_from(gates);
            }
            Event::SetUp { environment, .. } => {
                assert!(self.base.is_some(), "set up without a base");
                let before = self.environment.replace(environment.clone());
                assert_eq!(before, None, "set up twice");
            }
            Event::EnvironmentChanged { environment } => {
                let before = self.environment.replace(environment.clone());
                assert_ne!(before.as_ref(), Some(environment), "nothing has changed");
            }
            _ => return false,
        }
        true
    }

    /// A lease of a gate, and the evidence that ends it.
    pub(super) fn gate(&mut self, event: &Event) {
        match event {
            Event::GateStarted {
                epoch,
                gate,
                tree,
                deadline,
                ..
            } => {
                self.new_epoch(*epoch);
                self.clocks
                    .begin(Waits::Lease(*epoch), self.last, *deadline);
                self.gates.insert(*epoch, (tree.clone(), gate.command()));
            }
            Event::GateEnded { epoch, run } => {
                let lease = self
                    .gates
                    .remove(epoch)
                    .expect("a gate that ends has a lease");
                let of = (run.tree.clone(), run.command.clone());
                assert_eq!(of, lease, "evidence of another tree or command was taken");
                self.ran(run);
                if run.result.passed() {
                    self.greens.insert((lease.0.clone(), lease.1.clone()));
                }
                let key = (run.environment.clone(), lease.0, lease.1);
                self.evidence.insert(key, run.result.passed());
            }
            Event::GateLost { epoch, .. } => {
                assert!(
                    self.gates.remove(epoch).is_some(),
                    "a gate that is lost has a lease"
                );
            }
            _ => {}
        }
    }

    /// A run of a project's gate on the untouched base tells what it will be worth.
    fn ran(&mut self, run: &GateRun) {
        let of_the_project = self
            .project
            .iter()
            .any(|gate| gate.command() == run.command);
        if of_the_project && Some(&run.tree) == self.base.as_ref() {
            let key = (run.environment.clone(), run.command.clone());
            let runs = self.on_base.entry(key).or_default();
            runs.push(run.clone());
        }
    }

    /// What a gate said of the base, as often as it ran there with the tools that there are now.
    fn runs_on_base(&self, gate: &Gate) -> Option<&Vec<GateRun>> {
        let environment = self.environment.clone()?;
        self.on_base.get(&(environment, gate.command()))
    }

    /// What a gate last said of a tree, with the tools that there are now.
    pub(super) fn evidence(&self, tree: &TreeId, gate: &Gate) -> Option<bool> {
        let environment = self.environment.clone()?;
        let key = (environment, tree.clone(), gate.command());
        self.evidence.get(&key).copied()
    }

    /// What it said with any tools.
    pub(super) fn evidence_of_any_time<'a>(
        &'a self,
        tree: &'a TreeId,
        gate: &Gate,
    ) -> impl Iterator<Item = bool> + 'a {
        let command = gate.command();
        let of = move |key: &(Digest, TreeId, Digest)| key.1 == *tree && key.2 == command;
        let found = self.evidence.iter().filter(move |(key, _)| of(key));
        found.map(|(_, green)| *green)
    }

    /// Whether a gate of the project was green on the base, at least sometimes.
    fn must_be_green(&self, gate: &Gate) -> bool {
        let mut runs = self.runs_on_base(gate).into_iter().flatten();
        runs.any(|run| run.result.passed())
    }

    /// Whether a gate that is red on the base names what is red, so that more can be told from less.
    fn tells_worse(&self, gate: &Gate) -> bool {
        let runs = self.runs_on_base(gate);
        let last = runs.and_then(|runs| runs.last());
        last.is_some_and(|run| run.result.conclusive() && run.tests.is_some())
    }

    /// No gate of the project was passed by: what it finds in the base, it finds in whatever lands.
    pub(super) fn gated(&self, what: &str, tree: &TreeId, git: &Git) {
        let broken = git.tree(tree).contains_key(BROKEN);
        for gate in &self.project {
            let green = self.must_be_green(gate);
            let last = self.evidence(tree, gate);
            assert!(
                !green || last == Some(true),
                "{what}, and {} is not green on it",
                gate.id
            );
            assert!(
                !(broken && (green || self.tells_worse(gate))),
                "{what}, it is broken, and {} would tell",
                gate.id
            );
        }
    }

    /// A gate turns down only what it saw: an attempt's own tree, or a stack in which nothing else stood.
    pub(super) fn turned_down(&self, attempt: AttemptId, gate: &str, tree: &TreeId) {
        let own = self.works.get(&attempt).map(|work| &work.tree) == Some(tree);
        let alone = self
            .red
            .as_ref()
            .is_some_and(|(red, of)| red == gate && *of == [attempt]);
        assert!(
            own || (alone && self.top.as_ref() == Some(tree)),
            "{attempt} is turned down for {gate} on a tree that holds others' work"
        );
        let gates = self
            .project
            .iter()
            .chain(&self.tasks[&attempt.task].acceptance);
        let runs = gates
            .filter(|known| known.id == gate)
            .flat_map(|gate| self.evidence_of_any_time(tree, gate));
        let mut runs = runs.peekable();
        // What the machine lost too often counts as red, and has left no run.
        assert!(
            runs.peek().is_none() || runs.any(|green| !green),
            "{attempt} is turned down for {gate}, which is green"
        );
    }
}
