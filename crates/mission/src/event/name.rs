//! What each kind of event is called where it is stored.

use super::Event;

impl Event {
    /// The event's name as it is stored.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Opened { .. } => "opened",
            Self::Prepared { .. } => "prepared",
            Self::SetUp { .. } => "set_up",
            Self::TurnStarted { .. } => "turn_started",
            Self::TurnLent { .. } => "turn_lent",
            Self::TurnTold { .. } => "turn_told",
            Self::TurnServed { .. } => "turn_served",
            Self::TurnNudged { .. } => "turn_nudged",
            Self::Stagnated { .. } => "stagnated",
            Self::Diagnosed { .. } => "diagnosed",
            Self::TurnEnded { .. } => "turn_ended",
            Self::ModelNamed { .. } => "model_named",
            Self::ModelSwitched { .. } => "model_switched",
            Self::ProviderHeld { .. } => "provider_held",
            Self::BreakerOpened { .. } => "breaker_opened",
            Self::IntentRead { .. } => "intent_read",
            Self::PlannedAhead { .. } => "planned_ahead",
            Self::PlanRefused { .. } => "plan_refused",
            Self::Planned { .. } => "planned",
            Self::PlanEdited { .. } => "plan_edited",
            Self::SplitRefused { .. } => "split_refused",
            Self::Worked { .. } => "worked",
            Self::Reused { .. } => "reused",
            Self::GateStarted { .. } => "gate_started",
            Self::GateEnded { .. } => "gate_ended",
            Self::GateLost { .. } => "gate_lost",
            Self::Rejected { .. } => "rejected",
            Self::Accepted { .. } => "accepted",
            Self::ConflictForeseen { .. } => "conflict_foreseen",
            Self::Parked { .. } => "parked",
            Self::TaskFailed { .. } => "task_failed",
            Self::Disputed { .. } => "disputed",
            Self::LandingStarted { .. } => "landing_started",
            Self::Stacked { .. } => "stacked",
            Self::LandingFailed { .. } => "landing_failed",
            Self::Landed { .. } => "landed",
            Self::TaskDone { .. } => "task_done",
            Self::Asked { .. } => "asked",
            Self::QuestionClosed { .. } => "question_closed",
            Self::TodoEdited { .. } => "todo_edited",
            Self::Woke { .. } => "woke",
            Self::Paused { .. } => "paused",
            Self::Unpaused { .. } => "unpaused",
            Self::Steered { .. } => "steered",
            Self::TaskRetried { .. } => "task_retried",
            Self::TaskSkipped { .. } => "task_skipped",
            Self::TaskPrioritised { .. } => "task_prioritised",
            Self::CancelAsked { .. } => "cancel_asked",
            Self::Halted { .. } => "halted",
            Self::Sealed { .. } => "sealed",
            Self::Resumed { .. } => "resumed",
            Self::DeliverAsked { .. } => "deliver_asked",
            Self::DeliveryPlanned { .. } => "delivery_planned",
            Self::Delivered { .. } => "delivered",
            Self::DeliveryRefused { .. } => "delivery_refused",
            Self::UndoAsked { .. } => "undo_asked",
            Self::Undone { .. } => "undone",
            Self::UndoFailed { .. } => "undo_failed",
            Self::SessionUsed { .. } => "session_used",
            Self::SessionRetired { .. } => "session_retired",
            Self::SessionClosed { .. } => "session_closed",
            Self::Cleaned { .. } => "cleaned",
            Self::CleanFailed { .. } => "clean_failed",
            Self::Pressed { .. } => "pressed",
            Self::Relieved { .. } => "relieved",
            Self::EnvironmentChanged { .. } => "environment_changed",
        }
    }

    /// How many kinds of event there are; the simulator shows that it saw each.
    pub const KINDS: usize = 66;
}

/// Whether a number need not be stored.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "that is how serde asks")]
pub(super) fn is_nothing(n: &u64) -> bool {
    *n == 0
}
