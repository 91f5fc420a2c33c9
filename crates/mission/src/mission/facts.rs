//! What a mission tells of itself.

use super::*;

impl Mission {
    /// The mission's name.
    pub fn id(&self) -> MissionId {
        self.id
    }

    /// What tells it apart from missions of other stores.
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// The name of its pin in the user's repository and of its folder.
    pub fn full_name(&self) -> String {
        format!("{}-{}", self.id, self.nonce)
    }

    /// The user's folder.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// What was asked for.
    pub fn request(&self) -> &str {
        &self.request
    }

    /// The terms that it runs under.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// What it is doing.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// One word for lists: the phase, or the outcome once it is over.
    pub fn phase_word(&self) -> &'static str {
        match (self.outcome, self.phase) {
            (Some(outcome), _) => outcome.word(),
            (None, _) if self.paused.is_some() => "paused",
            (None, Phase::Preparing) => "preparing",
            (None, Phase::Reading) => "reading",
            (None, Phase::Planning) => "planning",
            (None, Phase::Approving) => "approving",
            (None, Phase::Running | Phase::Sealed) => "running",
        }
    }

    /// How often a Worker began where one had worked before.
    pub fn workspaces(&self) -> &crate::work::Workspaces {
        &self.sessions.workspaces
    }

    /// When it opened.
    pub fn opened(&self) -> Timestamp {
        self.opened
    }

    /// When the last event was decided.
    pub fn last(&self) -> Timestamp {
        self.last
    }

    /// It winds down then, whatever is left.
    pub fn deadline(&self) -> Timestamp {
        self.deadline
    }

    /// The state that it started from, once it is known.
    pub fn base(&self) -> Option<&Base> {
        self.base.as_ref()
    }

    /// The project's gates.
    pub fn gates(&self) -> &[Gate] {
        &self.gates
    }

    /// What evidence depends on besides the tree.
    pub fn environment(&self) -> Option<&Digest> {
        self.environment.as_ref()
    }

    /// What a person should know of how it was prepared.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// How the Commander read the request.
    pub fn intent(&self) -> Option<&Intent> {
        self.intent.as_ref()
    }

    /// Its tasks, in the order of the plan.
    pub fn tasks(&self) -> impl Iterator<Item = &TaskState> {
        self.tasks.values()
    }

    /// The version of its plan: grows by one with every plan and with every change of it.
    pub fn plan_version(&self) -> u64 {
        self.plan_version
    }

    /// How often people changed its plan.
    pub fn plan_edits(&self) -> u32 {
        self.edits
    }

    /// One task.
    pub fn task(&self, id: TaskId) -> Option<&TaskState> {
        self.tasks.get(&id)
    }

    /// What an attempt handed in.
    pub fn work(&self, attempt: AttemptId) -> Option<&Work> {
        self.works.get(&attempt).map(|(work, _)| work)
    }

    /// The attempts that have handed in.
    pub fn works(&self) -> impl Iterator<Item = AttemptId> {
        self.works.keys().copied()
    }

    /// The leases that are out.
    pub fn leases(&self) -> impl Iterator<Item = (Epoch, &Lease)> {
        self.leases.iter().map(|(epoch, lease)| (*epoch, lease))
    }

    /// One lease.
    pub fn lease(&self, epoch: Epoch) -> Option<&Lease> {
        self.leases.get(&epoch)
    }

    /// The gates that run.
    pub fn gate_leases(&self) -> impl Iterator<Item = (Epoch, &GateLease)> {
        self.gate_leases
            .iter()
            .map(|(epoch, lease)| (*epoch, lease))
    }

    /// The end of the landed line.
    pub fn head(&self) -> Option<&(CommitId, TreeId)> {
        self.head.as_ref()
    }

    /// How many tasks have landed.
    pub fn landed(&self) -> u32 {
        self.landed
    }

    /// The landing in flight.
    pub fn landing(&self) -> Option<&Landing> {
        self.landing.as_ref()
    }

    /// The token budget.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// The open questions.
    pub fn questions(&self) -> impl Iterator<Item = (QuestionId, &Question)> {
        self.questions.iter().map(|(id, question)| (*id, question))
    }

    /// Whether a person has allowed all of a kind for the whole mission.
    pub fn allows(&self, kind: &str) -> bool {
        self.allowed.contains_key(kind)
    }

    /// What people wrote on the TODO.
    pub fn todo(&self) -> &Todo {
        &self.todo
    }

    /// Whether it is over and owes nothing any more.
    pub fn is_settled(&self) -> bool {
        self.outcome().is_some() && self.due().is_empty()
    }

    /// How it ended; `None` while it runs.
    pub fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    /// When it ended last; `None` while it runs.
    pub fn ended(&self) -> Option<Timestamp> {
        self.sealed_at
    }

    /// Whether something has landed that was never handed over, or was taken back.
    pub fn is_undelivered(&self) -> bool {
        let changed = |base: &Base| {
            self.head
                .as_ref()
                .is_some_and(|(_, tree)| *tree != base.tree)
        };
        self.landed > 0 && self.base.as_ref().is_some_and(changed) && !self.is_handed_over()
    }

    /// Why it did not end better.
    pub fn reasons(&self) -> &[String] {
        &self.reasons
    }

    /// How long it has run until its last event, or ran.
    pub fn duration(&self) -> Millis {
        self.running_for(self.last)
    }

    /// Where the result's way to the user is.
    pub fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// Whether the last delivery broke off: what of it was written is taken back, or stands where even that failed.
    pub fn broke_off(&self) -> bool {
        self.broke_off
    }

    /// The last delivery that was done and not taken back.
    pub fn handed(&self) -> Option<&Handed> {
        self.handed.last()
    }

    /// Faults of the last refused plan, for its repair.
    pub fn plan_faults(&self) -> &[String] {
        &self.planning.refused
    }

    /// How many events made it.
    pub fn n_events(&self) -> u64 {
        self.events
    }
}
